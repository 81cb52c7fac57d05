package onnx

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/mod/semver"
)

// The environment variables that name the shared library of ONNX Runtime, in the order in which they are looked at.
const (
	LibraryVariable      = "PIXANO_ONNXRUNTIME"
	otherLibraryVariable = "ONNXRUNTIME_LIB"
)

// ErrNoRuntime: ONNX Runtime cannot be used. The error is then a [*LoadError].
var ErrNoRuntime = errors.New("no ONNX Runtime")

// Attempt is a place where ONNX Runtime was looked for.
type Attempt struct {
	Place string // a file, or what else was looked at
	Err   error  // why it could not be used
}

// LoadError says that ONNX Runtime cannot be used, and lists every place where it was looked for. It matches ErrNoRuntime.
type LoadError struct {
	Attempts []Attempt
}

// Error lists the places, one a line.
func (e *LoadError) Error() string {
	var b strings.Builder
	b.WriteString("no ONNX Runtime (1.24 or newer): run scripts/models onnxruntime, or name its shared library in " + LibraryVariable + "; looked at:")
	for _, a := range e.Attempts {
		fmt.Fprintf(&b, "\n\t%s: %v", a.Place, a.Err)
	}
	return b.String()
}

// Is reports whether target is ErrNoRuntime.
func (e *LoadError) Is(target error) bool { return target == ErrNoRuntime }

// Runtime says which ONNX Runtime runs in this process.
type Runtime struct {
	Library string // the shared library
	Version string // such as "1.24.4"
}

// loaded is the runtime of this process, which stays for good: sessions of several providers share it.
var loaded struct {
	sync.Mutex
	runtime *Runtime
}

// Load loads ONNX Runtime into this process, unless it is there already. It takes the first of these that works:
//
//  1. library, if it is not empty; then nothing else
//  2. the file named by the environment variable PIXANO_ONNXRUNTIME, or else by ONNXRUNTIME_LIB; then nothing else
//  3. libonnxruntime.so (libonnxruntime.dylib, onnxruntime.dll), with or without a version after it, in the directories dirs
//  4. the same in pixano/onnxruntime/VERSION of the user's cache, the newest version first, where scripts/models puts it
//  5. the same beside the program
//  6. the system's libraries: libonnxruntime.so.1 and libonnxruntime.so by name, then /usr/local/lib, /usr/lib
//
// If none does, the error is a [*LoadError]. A later call tries again.
func Load(library string, dirs ...string) (*Runtime, error) {
	loaded.Lock()
	defer loaded.Unlock()
	if loaded.runtime != nil {
		return loaded.runtime, nil
	}
	e := &LoadError{}
	if err := canLoad(); err != nil {
		e.Attempts = []Attempt{{"this program", err}}
		return nil, e
	}
	try := func(path string) bool {
		if filepath.IsAbs(path) || strings.ContainsRune(path, filepath.Separator) {
			if _, err := os.Stat(path); err != nil {
				e.Attempts = append(e.Attempts, Attempt{path, errors.Unwrap(err)})
				return false
			}
		}
		version, err := loadLibrary(path)
		if err != nil {
			e.Attempts = append(e.Attempts, Attempt{path, err})
			return false
		}
		loaded.runtime = &Runtime{Library: path, Version: version}
		return true
	}
	for _, named := range []string{library, os.Getenv(LibraryVariable), os.Getenv(otherLibraryVariable)} {
		if named != "" {
			if try(named) {
				return loaded.runtime, nil
			}
			return nil, e
		}
	}
	for _, dir := range libraryDirs(dirs) {
		files := librariesIn(dir)
		if len(files) == 0 {
			e.Attempts = append(e.Attempts, Attempt{filepath.Join(dir, libraryName()+"*"), errors.New("no such file")})
		}
		if slices.ContainsFunc(files, try) {
			return loaded.runtime, nil
		}
	}
	if slices.ContainsFunc(systemNames(), try) {
		return loaded.runtime, nil
	}
	return nil, e
}

// libraryName is the name of the shared library without a version.
func libraryName() string {
	switch runtime.GOOS {
	case "windows":
		return "onnxruntime.dll"
	case "darwin":
		return "libonnxruntime.dylib"
	}
	return "libonnxruntime.so"
}

// libraryDirs returns the directories to look in before the system's.
func libraryDirs(dirs []string) []string {
	dirs = slices.Clone(dirs)
	if cache, err := os.UserCacheDir(); err == nil {
		versions, _ := filepath.Glob(filepath.Join(cache, "pixano", "onnxruntime", "*"))
		slices.SortFunc(versions, func(a, b string) int {
			return semver.Compare("v"+filepath.Base(b), "v"+filepath.Base(a))
		})
		if len(versions) == 0 {
			versions = []string{filepath.Join(cache, "pixano", "onnxruntime")}
		}
		dirs = append(dirs, versions...)
	}
	if program, err := os.Executable(); err == nil {
		dirs = append(dirs, filepath.Dir(program))
	}
	return slices.DeleteFunc(dirs, func(dir string) bool { return dir == "" })
}

// librariesIn returns the shared libraries in a directory, one without a version first, then the newest.
func librariesIn(dir string) []string {
	name := libraryName()
	stem, ext := strings.TrimSuffix(name, filepath.Ext(name)), filepath.Ext(name)
	pattern := name + "*" // libonnxruntime.so.1.24.4
	if ext != ".so" {
		pattern = stem + "*" + ext // libonnxruntime.1.24.4.dylib
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var files []string
	for _, e := range entries {
		if ok, _ := filepath.Match(pattern, e.Name()); ok && !strings.Contains(e.Name(), "providers") {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	version := func(path string) string {
		if filepath.Base(path) == name {
			return "v99999"
		}
		v := strings.TrimPrefix(filepath.Base(path), stem)
		return "v" + strings.Trim(strings.ReplaceAll(v, ext, ""), ".")
	}
	slices.SortStableFunc(files, func(a, b string) int { return semver.Compare(version(b), version(a)) })
	return files
}

// systemNames returns what to ask the system's loader for.
func systemNames() []string {
	name := libraryName()
	switch runtime.GOOS {
	case "windows":
		return []string{name}
	case "darwin":
		return []string{name, "/opt/homebrew/lib/" + name, "/usr/local/lib/" + name}
	}
	return []string{name + ".1", name, "/usr/local/lib/" + name, "/usr/lib/" + name, "/usr/lib/" + map[string]string{
		"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH] + "-linux-gnu/" + name}
}
