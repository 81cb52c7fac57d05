package lance

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/klauspost/compress/zstd"

	"pixano/internal/lance/lib"
)

// childVariable makes the test binary load an engine, say what it got, and end.
const childVariable = "PIXANO_TEST_LOAD"

func TestMain(m *testing.M) {
	switch os.Getenv(childVariable) {
	case "":
		os.Exit(m.Run())
	case "embedded":
		// As a program does that has no options.
		err := Load(nil)
		answer(info, err)
	default:
		// The folder in the variable stands for the one that is embedded.
		s, err := childSearch(os.Getenv(childVariable))
		if err == nil {
			_, info.Path, err = s.run()
		}
		answer(info, err)
	}
}

type childAnswer struct {
	Info  EngineInfo
	Error string
}

func answer(info EngineInfo, err error) {
	a := childAnswer{Info: info}
	if err != nil {
		a.Error = err.Error()
	}
	json.NewEncoder(os.Stdout).Encode(a)
}

func childSearch(dir string) (search, error) {
	s := search{files: os.DirFS(dir), variable: os.Getenv(EngineVariable), lacking: func() []string { return nil }}
	text, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err == nil {
		err = json.Unmarshal(text, &s.manifest)
	}
	return s, err
}

// start runs the test binary as such a child, with a home of its own.
func start(t testing.TB, what, home string, env ...string) func() childAnswer {
	t.Helper()
	command := exec.Command(os.Args[0])
	temporary := filepath.Join(home, "tmp")
	os.MkdirAll(temporary, 0o700)
	command.Env = append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME="+home+"/cache", "TMPDIR="+temporary, EngineVariable+"=", childVariable+"="+what)
	command.Env = append(command.Env, env...)
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	return func() childAnswer {
		t.Helper()
		if err := command.Wait(); err != nil {
			t.Fatalf("%v: %s", err, problems.Bytes())
		}
		var a childAnswer
		if err := json.Unmarshal(out.Bytes(), &a); err != nil {
			t.Fatalf("%v: %s", err, out.Bytes())
		}
		return a
	}
}

const fakeEngine = "testdata/fake_engine_linux_amd64.so"

func needFake(t testing.TB) []byte {
	t.Helper()
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("the fake engine is for linux/amd64")
	}
	content, err := os.ReadFile(fakeEngine)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// withABI changes the number of the interface in the fake engine: mov eax, NUMBER; ret.
func withABI(t testing.TB, library []byte, abi byte) []byte {
	t.Helper()
	code := []byte{0xb8, abiVersion, 0, 0, 0, 0xc3}
	at := bytes.Index(library, code)
	if at < 0 {
		t.Fatal("the fake engine's number was not found in its code")
	}
	library = bytes.Clone(library)
	library[at+1] = abi
	return library
}

func write(t testing.TB, path string, content []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// pack makes a folder as lib's, with a library compressed, and its manifest.
func pack(t testing.TB, library []byte) (dir string, a archive) {
	t.Helper()
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	packed := encoder.EncodeAll(library, nil)
	dir = t.TempDir()
	platform := runtime.GOOS + "_" + runtime.GOARCH
	write(t, filepath.Join(dir, platform, lib.Name), packed)
	before, after := sha256.Sum256(library), sha256.Sum256(packed)
	m := lib.Manifest{ABI: abiVersion, SourceSHA256: strings.Repeat("5", 64), Libraries: map[string]lib.Library{platform: {
		SHA256: hex.EncodeToString(before[:]), Size: int64(len(library)), CompressedSHA256: hex.EncodeToString(after[:]), CompressedSize: int64(len(packed)),
	}}}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "manifest.json"), text)
	a, err = embeddedArchive(os.DirFS(dir), m)
	if err != nil {
		t.Fatal(err)
	}
	return dir, a
}

// files lists a folder below another one, without the temporary one.
func files(t testing.TB, dir string) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return names
}

func TestLoadFromEmbedded(t *testing.T) {
	dir, a := pack(t, needFake(t))
	home := t.TempDir()
	want := filepath.Join(home, "cache/pixano", a.SHA256+".so")
	for range 2 {
		got := start(t, dir, home)()
		diff(t, "answer", got, childAnswer{Info: EngineInfo{Path: want}})
	}
	diff(t, "files", files(t, home), []string{"cache/pixano/" + a.SHA256 + ".so", "cache/pixano/" + a.SHA256 + ".so" + stampSuffix})
	unpacked, err := os.Stat(want)
	if err != nil || unpacked.Mode().Perm() != 0o700 {
		t.Errorf("got %v, %v", unpacked, err)
	}
	folder, err := os.Stat(filepath.Dir(want))
	if err != nil || folder.Mode().Perm() != 0o700 {
		t.Errorf("got %v, %v", folder, err)
	}
}

func TestLoadAtOnce(t *testing.T) {
	// Large enough that they meet.
	large := append(needFake(t), make([]byte, 30<<20)...)
	dir, a := pack(t, large)
	home := t.TempDir()
	var children []func() childAnswer
	for range 4 {
		children = append(children, start(t, dir, home))
	}
	for _, wait := range children {
		if got := wait(); got.Error != "" || !strings.HasPrefix(got.Info.Path, home+"/cache/") {
			t.Errorf("got %+v", got)
		}
	}
	diff(t, "files", files(t, home), []string{"cache/pixano/" + a.SHA256 + ".so", "cache/pixano/" + a.SHA256 + ".so" + stampSuffix})
	if err := verify(filepath.Join(home, "cache/pixano", a.SHA256+".so"), a.SHA256, a.Size); err != nil {
		t.Error(err)
	}
}

// A home that cannot be written to: a private folder among the temporary ones, and without that, memory.
func TestLoadReadOnlyHome(t *testing.T) {
	dir, a := pack(t, needFake(t))
	home := t.TempDir()
	blocked := write(t, filepath.Join(home, "file"), nil) + "/below" // also for root
	got := start(t, dir, home, "HOME="+blocked, "XDG_CACHE_HOME="+blocked)()
	want := fmt.Sprintf("%s/tmp/pixano-%d/%s.so", home, os.Getuid(), a.SHA256)
	diff(t, "answer", got, childAnswer{Info: EngineInfo{Path: want}})

	got = start(t, dir, home, "HOME="+blocked, "XDG_CACHE_HOME="+blocked, "TMPDIR="+blocked)()
	diff(t, "answer from memory", got, childAnswer{})
	got = start(t, dir, home, "HOME=", "XDG_CACHE_HOME=", "TMPDIR="+blocked)()
	diff(t, "answer without a home", got, childAnswer{})

	// One that others can write to is not trusted.
	if err := os.Chmod(filepath.Dir(want), 0o777); err != nil {
		t.Fatal(err)
	}
	got = start(t, dir, home, "HOME="+blocked, "XDG_CACHE_HOME="+blocked)()
	diff(t, "answer with a folder of all", got, childAnswer{})
}

func TestLoadCorruptCache(t *testing.T) {
	library := needFake(t)
	dir, a := pack(t, library)
	home := t.TempDir()
	path := filepath.Join(home, "cache/pixano", a.SHA256+".so")
	start(t, dir, home)()
	for name, spoil := range map[string]func(){
		"a byte": func() {
			bad := bytes.Clone(library)
			bad[len(bad)/2] ^= 1
			write(t, path, bad)
		},
		"a byte, with its old time": func() {
			before, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			bad := bytes.Clone(library)
			bad[len(bad)/2] ^= 1
			write(t, path, bad)
			if err := os.Chtimes(path, before.ModTime(), before.ModTime()); err != nil {
				t.Fatal(err)
			}
		},
		"cut":        func() { os.Truncate(path, 100) },
		"empty":      func() { os.Truncate(path, 0) },
		"a folder":   func() { os.Remove(path); os.MkdirAll(path, 0o700) },
		"gone":       func() { os.Remove(path) },
		"bad stamp":  func() { write(t, path+stampSuffix, []byte("x")) },
		"no stamp":   func() { os.Remove(path + stampSuffix) },
		"stamp only": func() { os.Remove(path); write(t, path+stampSuffix, []byte(a.SHA256)) },
	} {
		spoil()
		got := start(t, dir, home)()
		if name == "a folder" {
			// Not ours to remove; the next place does.
			if got.Error != "" || got.Info.Path == path {
				t.Errorf("%s: got %+v", name, got)
			}
			os.RemoveAll(path)
			continue
		}
		diff(t, name, got, childAnswer{Info: EngineInfo{Path: path}})
		content, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(content, library) {
			t.Errorf("%s: the file has not been replaced: %v", name, err)
		}
	}
}

// A file that was verified once is not read again.
func TestStamp(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "x.so"), []byte("content"))
	sum := sha256.Sum256([]byte("content"))
	hash := hex.EncodeToString(sum[:])
	if err := verify(path, hash, 7); err != nil {
		t.Fatal(err)
	}
	fileInfo, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	noted, err := os.ReadFile(path + stampSuffix)
	if err != nil || !bytes.Equal(noted, stamp(hash, fileInfo)) {
		t.Fatalf("got stamp %q, %v", noted, err)
	}
	// Believed, although it says something else.
	other := strings.Repeat("0", 64)
	write(t, path+stampSuffix, stamp(other, fileInfo))
	if err := verify(path, other, 7); err != nil {
		t.Error(err)
	}
	if err := verify(path, hash, 8); err == nil {
		t.Error("a wrong size was believed")
	}
}

func TestLoadOldFiles(t *testing.T) {
	dir := t.TempDir()
	_, a := pack(t, []byte("no library at all"))
	long := time.Now().Add(-90 * 24 * time.Hour)
	for _, name := range []string{"old.so", "old.so" + stampSuffix, "old.tmp", "new.so", "new.tmp", "old.txt"} {
		path := write(t, filepath.Join(dir, name), nil)
		if strings.HasPrefix(name, "old") {
			os.Chtimes(path, long, long)
		}
	}
	if _, err := a.unpack(dir); err != nil {
		t.Fatal(err)
	}
	want := []string{a.SHA256 + ".so", a.SHA256 + ".so" + stampSuffix, "new.so", "new.tmp", "old.txt"}
	slices.Sort(want)
	diff(t, "files", files(t, dir), want)
}

func TestLoadWrongArchive(t *testing.T) {
	library := needFake(t)
	dir, a := pack(t, library)
	packed := filepath.Join(dir, "linux_amd64", lib.Name)
	content, err := os.ReadFile(packed)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"cut": content[:len(content)/2], "empty": nil, "noise": bytes.Repeat([]byte("noise"), 100), "flipped": append(bytes.Clone(content[:len(content)-1]), 0),
	} {
		write(t, packed, bad)
		home := t.TempDir()
		got := start(t, dir, home)()
		t.Logf("%s: %s", name, got.Error)
		if got.Error == "" || got.Info.Path != "" {
			t.Errorf("%s: got %+v", name, got)
		}
		diff(t, "files", files(t, home), []string(nil))
	}
	a.Size++
	if _, err := a.unpack(t.TempDir()); err == nil {
		t.Error("a library of another size was unpacked")
	}
}

func noLibrary() search {
	return search{files: fstest.MapFS{}, lacking: func() []string { return nil }, manifest: lib.Manifest{SourceSHA256: strings.Repeat("7", 64)}}
}

func TestLoadErrors(t *testing.T) {
	library := needFake(t)
	dir := t.TempDir()
	good := write(t, dir+"/good.so", library)
	older := write(t, dir+"/older.so", withABI(t, library, 99))
	other := write(t, dir+"/other.so", bytes.ReplaceAll(library, []byte("pixano_abi_version"), []byte("pixano_xbi_version")))
	lacks := write(t, dir+"/lacks.so", bytes.ReplaceAll(library, []byte("pixano_objects"), []byte("pixano_objectz")))
	text := write(t, dir+"/text.so", bytes.Repeat([]byte("this is no library"), 100))
	packed, _ := pack(t, library)
	for name, test := range map[string]struct {
		change func(*search)
		want   []string // in the message; none: it loads
	}{
		"option":          {func(s *search) { s.options.Path = good }, nil},
		"variable":        {func(s *search) { s.variable = good }, nil},
		"option is first": {func(s *search) { s.options.Path, s.variable = good, text }, nil},
		"option is final": {func(s *search) { s.options.Path, s.variable = text, good }, []string{text, "options"}},
		"variable is final": {func(s *search) {
			s.variable = dir + "/none.so"
			s.files = os.DirFS(packed)
		}, []string{EngineVariable, "none.so", "no such file", "unset"}},
		"older":       {func(s *search) { s.variable = older }, []string{"99", fmt.Sprint(abiVersion), older}},
		"other":       {func(s *search) { s.variable = other }, []string{"no storage engine", "pixano_abi_version"}},
		"lacks":       {func(s *search) { s.variable = lacks }, []string{"lacks a function", "pixano_objects"}},
		"text":        {func(s *search) { s.variable = text }, []string{"invalid ELF header"}},
		"folder":      {func(s *search) { s.variable = dir }, []string{dir}},
		"nothing":     {func(s *search) {}, []string{"embedded library: this program was built without it", "library built from source", "build-7777777777777777", buildCommand}},
		"no manifest": {func(s *search) { s.manifestErr = errors.New("unexpected end of JSON") }, []string{"embedded library: unexpected end of JSON"}},
		"old processor": {func(s *search) {
			child, err := childSearch(packed)
			if err != nil {
				t.Fatal(err)
			}
			s.files, s.manifest = child.files, child.manifest
			s.lacking = func() []string { return []string{"AVX2", "FMA"} }
		}, []string{"x86-64-v3", "AVX2, FMA", "build-5555555555555555"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := noLibrary()
			s.options.CacheDir = t.TempDir()
			test.change(&s)
			loaded, _, err := s.run()
			if len(test.want) == 0 {
				if err != nil || loaded == nil {
					t.Errorf("got %v, %v", loaded, err)
				}
				return
			}
			var e *LoadError
			if !errors.As(err, &e) || loaded != nil || len(e.Tried) == 0 {
				t.Fatalf("got %v, %v, want a LoadError", loaded, err)
			}
			t.Log(err)
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}

func TestLoadRelativePath(t *testing.T) {
	library := needFake(t)
	t.Chdir(filepath.Dir(write(t, t.TempDir()+"/here.so", library)))
	s := noLibrary()
	s.variable = "here.so"
	if _, _, err := s.run(); err != nil {
		t.Error(err)
	}
}

func TestLoadBuilt(t *testing.T) {
	library := needFake(t)
	s := noLibrary()
	s.options.CacheDir = filepath.Join(t.TempDir(), "cache")
	built := write(t, t.TempDir()+"/libpixano_lance.so", library)
	installed, err := InstallBuilt(s.options.CacheDir, s.manifest.SourceSHA256, built)
	if err != nil {
		t.Fatal(err)
	}
	loaded, path, err := s.run()
	if err != nil || loaded == nil || path != installed {
		t.Errorf("got %v, %q, %v", loaded, path, err)
	}
	// Of other sources, or no longer what was installed.
	other := s
	other.tried, other.manifest.SourceSHA256 = nil, strings.Repeat("8", 64)
	if _, _, err := other.run(); err == nil {
		t.Error("a library of other sources was loaded")
	}
	write(t, installed, library[:len(library)-1])
	s.tried = nil
	if _, _, err := s.run(); err == nil {
		t.Error("a library that was changed was loaded")
	} else {
		t.Log(err)
	}
}

func TestExplainLoaderError(t *testing.T) {
	for text, want := range map[string]bool{
		"x.so: version `GLIBC_2.38' not found":                                    true,
		"Error loading shared library ld-linux-x86-64.so.2: No such file":         true,
		"Error relocating x.so: gnu_get_libc_version: symbol not found":           true,
		"x.so: failed to map segment from shared object: Operation not permitted": false,
	} {
		err := errors.New(text)
		got := explain(err)
		if !errors.Is(got, err) || strings.Contains(got.Error(), "musl") != want {
			t.Errorf("got %v", got)
		}
	}
}

// The library that is shipped belongs to the sources beside it.
func TestManifest(t *testing.T) {
	m, err := lib.ReadManifest()
	if err != nil {
		t.Fatal(err)
	}
	if m.ABI != abiVersion {
		t.Errorf("the manifest is of interface %d, this package of %d", m.ABI, abiVersion)
	}
	const again = "make it again: " + buildCommand + " -embed"
	if _, err := os.Stat("native"); err != nil {
		t.Skip("the sources are not here: ", err)
	}
	sources, err := lib.SourceSHA256(os.DirFS("native"))
	if err != nil {
		t.Fatal(err)
	}
	if sources != m.SourceSHA256 {
		t.Errorf("the sources have hash %s, the manifest has %s; %s", sources, m.SourceSHA256, again)
	}
	if _, ok := m.Libraries["linux_amd64"]; !ok {
		t.Errorf("no library for linux_amd64; %s", again)
	}
	for platform, known := range m.Libraries {
		content, err := os.ReadFile(filepath.Join("lib", platform, lib.Name))
		if err != nil {
			t.Error(err)
			continue
		}
		if sum := sha256.Sum256(content); int64(len(content)) != known.CompressedSize || hex.EncodeToString(sum[:]) != known.CompressedSHA256 {
			t.Errorf("the library for %s is not the manifest's; %s", platform, again)
		}
	}
}

// embedded is the library that is shipped for this platform, unpacked, if there is one.
func embedded(t testing.TB) (archive, []byte) {
	t.Helper()
	m, err := lib.ReadManifest()
	if err != nil {
		t.Fatal(err)
	}
	a, err := embeddedArchive(lib.Files, m)
	switch {
	case err == nil:
	case runtime.GOOS == "linux" && runtime.GOARCH == "amd64":
		t.Fatal("the embedded library: ", err)
	default:
		t.Skip("no library is embedded for this platform")
	}
	var unpacked bytes.Buffer
	if err := a.copyTo(&unpacked); err != nil {
		t.Fatal(err)
	}
	return a, unpacked.Bytes()
}

func TestEmbeddedLoads(t *testing.T) {
	a, _ := embedded(t)
	home := t.TempDir()
	begin := time.Now()
	first := start(t, "embedded", home)()
	unpacking := time.Since(begin)
	begin = time.Now()
	second := start(t, "embedded", home)()
	t.Logf("first start %v, second %v", unpacking, time.Since(begin))
	m, _ := lib.ReadManifest()
	for _, got := range []childAnswer{first, second} {
		if got.Error != "" || got.Info.Path != filepath.Join(home, "cache/pixano", a.SHA256+".so") || got.Info.Source != m.SourceSHA256 || got.Info.Profile != "release" {
			t.Errorf("got %+v", got)
		}
		versions := map[string]string{"lancedb": got.Info.LanceDB, "lance": got.Info.Lance, "datafusion": got.Info.DataFusion, "arrow": got.Info.Arrow}
		diff(t, "versions", versions, m.Versions)
	}
}

// Nothing of the machine that built the library stays in it: no folder of a user, of sources or of a build,
// and no name of a host that crates came from. Cargo names the folder of a registry HOST-HASH.
func TestEmbeddedNamesNoMachine(t *testing.T) {
	_, library := embedded(t)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	patterns := []string{
		`registry/src/[^/\x00]+`, `/[a-z0-9.-]+\.[a-z]+-[0-9a-f]{16}/`, `/root/`, `\.cargo/`, `\.rustup/`, `/home/[a-z]+/`,
		regexp.QuoteMeta(here), regexp.QuoteMeta(home) + "/",
	}
	for _, pattern := range patterns {
		for _, found := range regexp.MustCompile(pattern).FindAll(library, -1) {
			if string(found) != "/home/build/" {
				t.Errorf("%s: found %q", pattern, found)
				break
			}
		}
	}
}

func BenchmarkUnpack(b *testing.B) {
	a, library := embedded(b)
	b.SetBytes(int64(len(library)))
	for b.Loop() {
		if _, err := a.unpack(b.TempDir()); err != nil {
			b.Fatal(err)
		}
	}
}
