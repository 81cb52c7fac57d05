// Command build makes the storage engine's library from the crate in internal/lance/native. It needs cargo
// and protoc.
//
//	go run pixano/internal/lance/build                            for this machine, into the user's cache
//	go run pixano/internal/lance/build -profile dev               the same, quickly built and slow to run
//	go run pixano/internal/lance/build -embed                     into internal/lance/lib, to be shipped
//	go run pixano/internal/lance/build -embed -library FILE       the same with a library built before
//
// With -embed the library is compressed, the manifest is written that ties it to its sources, and the notices
// of all that is linked into it are gathered. Such a library is built for x86-64-v3 on amd64; one for this
// machine too, unless its processor is older.
//
// No path of the building machine stays in the library: they are mapped to fixed names.
package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/cpu"

	"pixano/internal/lance"
	"pixano/internal/lance/lib"
)

func main() {
	var b builder
	flag.StringVar(&b.profile, "profile", "release", "cargo profile: release, or dev")
	flag.StringVar(&b.target, "target-dir", "", "folder for cargo's files (default: pixano/native-target in the user's cache folder)")
	flag.BoolVar(&b.embed, "embed", false, "put the library into internal/lance/lib, to be embedded in programs")
	flag.StringVar(&b.library, "library", "", "library built before by this command from the same sources; cargo is not run")
	flag.StringVar(&b.home, "source", "", "folder of the package internal/lance (default: asked of the go command)")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := b.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

type builder struct {
	profile, target, library, home string
	embed                          bool

	sources string // their hash
}

func (b *builder) run(ctx context.Context) error {
	if b.profile != "release" && b.profile != "dev" {
		return fmt.Errorf("profile %q: want release or dev", b.profile)
	}
	if b.home == "" {
		out, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", "pixano/internal/lance").Output()
		if err != nil {
			return fmt.Errorf("find the sources: go list pixano/internal/lance: %w", err)
		}
		b.home = strings.TrimSpace(string(out))
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	cache = filepath.Join(cache, "pixano")
	b.target = cmp.Or(b.target, filepath.Join(cache, "native-target"))
	if b.target, err = filepath.Abs(b.target); err != nil {
		return err
	}
	if b.sources, err = lib.SourceSHA256(os.DirFS(b.crate())); err != nil {
		return fmt.Errorf("hash the sources: %w", err)
	}
	built := b.library
	if built == "" {
		if built, err = b.cargo(ctx); err != nil {
			return err
		}
	}

	// To load it tells whether it works, what it is made of, and whether it is made of these sources.
	if err := lance.Load(&lance.LoadOptions{Path: built}); err != nil {
		return err
	}
	engine, err := lance.Engine()
	if err != nil {
		return err
	}
	if engine.Source != b.sources {
		return fmt.Errorf("%s was built from sources with hash %q, these have %q", built, engine.Source, b.sources)
	}
	if b.embed {
		return b.embedLibrary(ctx, built, engine)
	}
	if embedded, err := lib.ReadManifest(); err == nil && embedded.SourceSHA256 != b.sources {
		fmt.Println("the sources are not those of the manifest: programs find this library only when PIXANO_ENGINE names it")
	}
	path, err := lance.InstallBuilt(cache, b.sources, built)
	if err == nil {
		fmt.Println("installed", path)
	}
	return err
}

func (b *builder) crate() string { return filepath.Join(b.home, "native") }

// cargo builds the library and returns its path.
func (b *builder) cargo(ctx context.Context) (string, error) {
	if _, err := exec.LookPath("cargo"); err != nil {
		return "", fmt.Errorf("building the engine needs cargo, of Rust: %w", err)
	}
	if _, err := exec.LookPath(cmp.Or(os.Getenv("PROTOC"), "protoc")); err != nil {
		return "", fmt.Errorf("building the engine needs protoc, the compiler of protocol buffers: %w", err)
	}
	// First of all, so that the folders of the sources are there to be asked for their names.
	if err := b.command(ctx, "cargo", "fetch", "--locked").Run(); err != nil {
		return "", fmt.Errorf("cargo fetch: %w", err)
	}
	maps, err := b.pathMaps()
	if err != nil {
		return "", err
	}
	rust, c := flags(maps, b.target, b.embed || cpu.X86.HasAVX2 && cpu.X86.HasFMA && cpu.X86.HasBMI2)
	arguments := []string{"build", "--locked"}
	folder := "debug"
	if b.profile == "release" {
		arguments = append(arguments, "--release")
		folder = "release"
	}
	command := b.command(ctx, "cargo", arguments...)
	command.Env = append(command.Env,
		rust,
		"CARGO_TARGET_DIR="+b.target,
		"PIXANO_SOURCE_SHA256="+b.sources,
		"PIXANO_TARGET="+b.triple(ctx))
	if runtime.GOOS != "windows" {
		for _, name := range []string{"CFLAGS", "CXXFLAGS"} {
			command.Env = append(command.Env, name+"="+strings.TrimSpace(os.Getenv(name)+" "+c))
		}
	}
	start := time.Now()
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("cargo build: %w", err)
	}
	fmt.Println("built in", time.Since(start).Round(time.Second))
	name := "libpixano_lance.so"
	switch runtime.GOOS {
	case "darwin":
		name = "libpixano_lance.dylib"
	case "windows":
		name = "pixano_lance.dll"
	}
	return filepath.Join(b.target, folder, name), nil
}

// triple names the platform as Rust does, or is empty.
func (b *builder) triple(ctx context.Context) string {
	out, _ := exec.CommandContext(ctx, "rustc", "-vV").Output()
	for line := range strings.Lines(string(out)) {
		if host, ok := strings.CutPrefix(line, "host: "); ok {
			return strings.TrimSpace(host)
		}
	}
	return ""
}

// flags gives the variable with the flags of the Rust compiler, and the flags of C compilers. Cargo builds
// everything anew when a byte of either changes.
func flags(maps [][2]string, target string, v3 bool) (rustVariable, c string) {
	var rust []string
	if runtime.GOARCH == "amd64" && v3 {
		rust = append(rust, "-C", "target-cpu=x86-64-v3")
	}
	var forC []string
	for _, m := range maps {
		rust = append(rust, "--remap-path-prefix="+m[0]+"="+m[1])
		// What is written in C is in the crates, and generated into the target folder.
		if m[1] == crates && m[0] != maps[registryMap][0] {
			forC = append(forC, "-ffile-prefix-map="+m[0]+"="+m[1])
		}
	}
	forC = append(forC, "-ffile-prefix-map="+target+"=/target")
	if slices.ContainsFunc(rust, func(f string) bool { return strings.ContainsAny(f, " \t") }) {
		// The other form of the variable, separated by a character that no path has.
		return "CARGO_ENCODED_RUSTFLAGS=" + strings.Join(rust, "\x1f"), strings.Join(forC, " ")
	}
	return "RUSTFLAGS=" + strings.Join(rust, " "), strings.Join(forC, " ")
}

func (b *builder) command(ctx context.Context, name string, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, name, arguments...)
	command.Dir = b.crate()
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	command.Env = os.Environ()
	return command
}

// crates stands for the folders of the sources of other crates.
const crates = "/crates"

// registryMap is the place of the folder of all registries in the maps; those of single ones follow.
const registryMap = 3

// pathMaps gives the paths of this machine and what is to stand for them. Of several that match, compilers
// take the last.
func (b *builder) pathMaps() ([][2]string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, err
	}
	registry := filepath.Join(cmp.Or(os.Getenv("CARGO_HOME"), filepath.Join(home, ".cargo")), "registry", "src")
	maps := [][2]string{{home, "/home/build"}, {b.target, "/target"}, {b.crate(), "/pixano/internal/lance/native"}, {registry, crates}}
	// The folders in it are named after the host that the crates come from.
	hosts, err := os.ReadDir(registry)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for _, host := range hosts {
		maps = append(maps, [2]string{filepath.Join(registry, host.Name()), crates})
	}
	return maps, nil
}

// embedLibrary writes the folder of this platform in internal/lance/lib, and the manifest.
func (b *builder) embedLibrary(ctx context.Context, built string, engine lance.EngineInfo) error {
	platform := runtime.GOOS + "_" + runtime.GOARCH
	folder := filepath.Join(b.home, "lib", platform)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	notices, err := b.notices(ctx)
	if err != nil {
		return fmt.Errorf("gather the notices: %w", err)
	}
	if err := os.WriteFile(filepath.Join(folder, "THIRD_PARTY_NOTICES"), notices, 0o644); err != nil {
		return err
	}
	start := time.Now()
	library, err := compress(filepath.Join(folder, lib.Name), built)
	if err != nil {
		return err
	}
	fmt.Printf("compressed %d to %d bytes in %v\n", library.Size, library.CompressedSize, time.Since(start).Round(time.Second))
	manifest := lib.Manifest{
		ABI: engine.ABI, SourceSHA256: b.sources,
		Versions: map[string]string{
			"lancedb": engine.LanceDB, "lance": engine.Lance, "datafusion": engine.DataFusion, "arrow": engine.Arrow,
		},
		Libraries: map[string]lib.Library{},
	}
	// Libraries for other platforms stay if they are of the same sources.
	path := filepath.Join(b.home, "lib", "manifest.json")
	var before lib.Manifest
	if text, err := os.ReadFile(path); err == nil && json.Unmarshal(text, &before) == nil && before.SourceSHA256 == b.sources {
		for name, other := range before.Libraries {
			manifest.Libraries[name] = other
		}
	}
	manifest.Libraries[platform] = library
	text, err := json.MarshalIndent(manifest, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return err
	}
	fmt.Println("wrote", folder, "and", path)
	return nil
}

// compress packs a library as tightly as the encoder can, with nothing that depends on the machine, so that
// the same library gives the same file.
func compress(to, from string) (lib.Library, error) {
	content, err := os.ReadFile(from)
	if err != nil {
		return lib.Library{}, err
	}
	// One frame and one goroutine: blocks refer to all that came before them within the window.
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(64<<20))
	if err != nil {
		return lib.Library{}, err
	}
	packed := encoder.EncodeAll(content, nil)
	before, after := sha256.Sum256(content), sha256.Sum256(packed)
	return lib.Library{
		SHA256: hex.EncodeToString(before[:]), Size: int64(len(content)),
		CompressedSHA256: hex.EncodeToString(after[:]), CompressedSize: int64(len(packed)),
	}, os.WriteFile(to, packed, 0o644)
}
