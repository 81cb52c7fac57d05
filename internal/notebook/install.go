// Package notebook builds a Jupyter kernel in which Go cells can import the packages of this module, and registers it.
//
// The kernel is gophernotes, an interpreter that compiles what a cell imports. Its last release does not run with the Go
// of today and cannot fetch a module whose path has no dot, so it is built from a copy with newer dependencies, and
// told by a go.mod of its own where this module is.
package notebook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Kernel is the name by which notebooks ask for the kernel.
const Kernel = "pixano-go"

// What is built. gomacro is the interpreter inside of gophernotes; the checksums are those that gophernotes' own later
// go.sum has for it, since the checksum database does not know this version.
const (
	release = "github.com/gopherdata/gophernotes@v0.7.5"
	gomacro = "github.com/cosmos72/gomacro@v0.0.0-20231101204900-3dc08f5f8fea"
	tools   = "golang.org/x/tools@v0.51.0"
	sums    = `github.com/cosmos72/gomacro v0.0.0-20231101204900-3dc08f5f8fea h1:UaXbB+Mv9i2roIj0Ka1ATyHrC8JFnycDdj9dZ9RK/sg=
github.com/cosmos72/gomacro v0.0.0-20231101204900-3dc08f5f8fea/go.mod h1:5e35wR9cfXppxd99a3QlRkj0E5qVg2nSA8z5XG0biTc=
`
)

// Options are the options of [Install].
type Options struct {
	// Source is the directory of this module: the one that holds its go.mod. "": where the go command finds it from the
	// current directory.
	Source string

	// Kernels is the directory of Jupyter's kernels. "": the user's own.
	Kernels string

	// Cache is where the kernel is built and kept. "": pixano in the user's cache directory.
	Cache string

	// Log gets a line for each step. Nil: nobody does.
	Log io.Writer
}

// Install builds the kernel, unless the cache has it from an earlier call with the same Go, and registers it. It returns
// the directory that it is registered in.
//
// It needs the go command and a C compiler, which cells with imports need as well, and the module proxy for the first
// time.
func Install(ctx context.Context, opts Options) (string, error) {
	if opts.Log == nil {
		opts.Log = io.Discard
	}
	if opts.Cache == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		opts.Cache = filepath.Join(cache, "pixano")
	}
	if opts.Kernels == "" {
		data, err := jupyterData()
		if err != nil {
			return "", err
		}
		opts.Kernels = filepath.Join(data, "kernels")
	}
	version, err := checkTools(ctx)
	if err != nil {
		return "", err
	}
	if opts.Source, err = findSource(ctx, opts.Source); err != nil {
		return "", err
	}
	program, err := build(ctx, opts, version)
	if err != nil {
		return "", fmt.Errorf("build the kernel: %w", err)
	}
	mod, err := writeModule(ctx, opts)
	if err != nil {
		return "", err
	}
	return register(opts, program, mod)
}

// jupyterData is the directory that Jupyter keeps a user's data in, see
// https://docs.jupyter.org/en/latest/use/jupyter-directories.html.
func jupyterData() (string, error) {
	if dir := os.Getenv("JUPYTER_DATA_DIR"); dir != "" {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	switch {
	case err != nil:
		return "", err
	case runtime.GOOS == "windows" && os.Getenv("APPDATA") != "":
		return filepath.Join(os.Getenv("APPDATA"), "jupyter"), nil
	case runtime.GOOS == "darwin":
		return filepath.Join(home, "Library", "Jupyter"), nil
	case os.Getenv("XDG_DATA_HOME") != "":
		return filepath.Join(os.Getenv("XDG_DATA_HOME"), "jupyter"), nil
	}
	return filepath.Join(home, ".local", "share", "jupyter"), nil
}

// checkTools looks for what the kernel is built with, and gives the version of Go.
func checkTools(ctx context.Context) (string, error) {
	out, err := output(ctx, "", nil, "go", "env", "GOVERSION", "CC")
	if errors.Is(err, exec.ErrNotFound) {
		return "", errors.New("no go command: want Go 1.26 or newer in PATH, the kernel compiles what cells import")
	} else if err != nil {
		return "", err
	}
	version, compiler, _ := strings.Cut(strings.TrimSpace(out), "\n")
	if words := strings.Fields(compiler); len(words) == 0 {
		return "", errors.New("no C compiler is set: want one in CC, such as gcc")
	} else if _, err := exec.LookPath(words[0]); err != nil {
		return "", fmt.Errorf("no C compiler %s: want one in PATH (Debian: apt-get install gcc), Go plugins are linked with it", words[0])
	}
	return version, nil
}

func findSource(ctx context.Context, dir string) (string, error) {
	if dir == "" {
		found, err := output(ctx, "", nil, "go", "list", "-m", "-f", "{{.Dir}}", "pixano")
		if dir = strings.TrimSpace(found); err != nil || dir == "" {
			return "", errors.New("the module pixano is not known here: run this in its directory or in a module that requires it, or name its directory")
		}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return "", err
	}
	if first, _, _ := bytes.Cut(content, []byte("\n")); strings.TrimSpace(string(first)) != "module pixano" {
		return "", fmt.Errorf("%s is the %s: want module pixano", filepath.Join(dir, "go.mod"), first)
	}
	return dir, nil
}

// build gives the path of the kernel's program.
func build(ctx context.Context, opts Options, version string) (string, error) {
	recipe := sha256.Sum256([]byte(release + gomacro + tools + version))
	program := filepath.Join(opts.Cache, fmt.Sprintf("gophernotes-%x", recipe[:6]))
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if err := os.MkdirAll(opts.Cache, 0o755); err != nil {
		return "", err
	}
	fmt.Fprintf(opts.Log, "building %s, which takes a minute\n", release)
	found, err := output(ctx, "", nil, "go", "mod", "download", "-json", release)
	if err != nil {
		return "", err
	}
	var module struct{ Dir string }
	if err := json.Unmarshal([]byte(found), &module); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(opts.Cache, "gophernotes-build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	// Files of the module cache are read only; the copies are not.
	err = filepath.WalkDir(module.Dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(module.Dir, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.MkdirAll(filepath.Join(work, name), 0o755)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(work, name), content, 0o644)
	})
	if err != nil {
		return "", err
	}
	if err := amend(work, opts.Source); err != nil {
		return "", err
	}
	env := []string{"GOFLAGS=-mod=mod", "GOWORK=off", "CGO_ENABLED=1"}
	if _, err := output(ctx, work, env, "go", "mod", "edit", "-require="+gomacro, "-require="+tools); err != nil {
		return "", err
	}
	built := filepath.Join(work, "gophernotes.program") // the name of no folder there
	if _, err := output(ctx, work, env, "go", "build", "-buildvcs=false", "-o", built, "."); err != nil {
		return "", err
	}
	return program, os.Rename(built, program)
}

// amend changes the copy of gophernotes: the checksums of newer dependencies, most of which this module has too; and a
// function whose result is of another type than the interface that it is for, which no longer loads.
func amend(work, source string) error {
	own, err := os.ReadFile(filepath.Join(source, "go.sum"))
	if err != nil {
		return err
	}
	path := filepath.Join(work, "go.sum")
	known, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, bytes.Join([][]byte{known, own, []byte(sums)}, []byte("\n")), 0o644); err != nil {
		return err
	}
	path = filepath.Join(work, "x_package.go")
	code, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for _, change := range [][2]string{
		{"JSON_  func(interface{}) string", "JSON_  func(interface{}) map[string]interface{}"},
		{"func (P *proxy_JSONer) JSON() string", "func (P *proxy_JSONer) JSON() map[string]interface{}"},
	} {
		if !bytes.Contains(code, []byte(change[0])) {
			return fmt.Errorf("x_package.go has no %q", change[0])
		}
		code = bytes.Replace(code, []byte(change[0]), []byte(change[1]), 1)
	}
	return os.WriteFile(path, code, 0o644)
}

// writeModule writes the go.mod that the kernel's imports are resolved with, and gives its path.
func writeModule(ctx context.Context, opts Options) (string, error) {
	described, err := output(ctx, opts.Source, nil, "go", "mod", "edit", "-json")
	if err != nil {
		return "", err
	}
	var module struct {
		Go      string
		Require []struct{ Path, Version string }
	}
	if err := json.Unmarshal([]byte(described), &module); err != nil {
		return "", err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "module notebook\n\ngo %s\n\nrequire pixano v0.0.0\n\nreplace pixano => %s\n\nrequire (\n", module.Go, quotePath(opts.Source))
	for _, r := range module.Require {
		fmt.Fprintf(&text, "\t%s %s // indirect\n", r.Path, r.Version)
	}
	text.WriteString(")\n")
	own, err := os.ReadFile(filepath.Join(opts.Source, "go.sum"))
	if err != nil {
		return "", err
	}
	place := sha256.Sum256([]byte(opts.Source))
	path := filepath.Join(opts.Cache, fmt.Sprintf("notebook-%x.mod", place[:6]))
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		return "", err
	}
	return path, os.WriteFile(strings.TrimSuffix(path, ".mod")+".sum", own, 0o644)
}

// quotePath writes a path as go.mod wants it.
func quotePath(path string) string {
	if strings.ContainsAny(path, " \t\"'`,;()[]{}") {
		return fmt.Sprintf("%q", path)
	}
	return path
}

// register writes the kernel's description for Jupyter.
func register(opts Options, program, mod string) (string, error) {
	dir := filepath.Join(opts.Kernels, Kernel)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	spec, err := json.MarshalIndent(map[string]any{
		"argv": []string{program, "{connection_file}"}, "display_name": "Go (pixano)", "language": "go",
		"env": map[string]string{
			"GODEBUG": "gotypesalias=0",                                  // gophernotes does not know the newer form of type aliases
			"GOFLAGS": "-mod=mod -buildvcs=false '-modfile=" + mod + "'", // in quotes, for a path with spaces
			"GOWORK":  "off",
		},
	}, "", "  ")
	if err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "kernel.json"), append(spec, '\n'), 0o644)
}

// output runs a command and returns what it prints. Its error has what it printed on standard error.
func output(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var out, trouble bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &trouble
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, strings.TrimSpace(trouble.String()))
	}
	return out.String(), nil
}
