package onnx

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/inference"
	"pixano/internal/fetched"
)

// TestLoadChild is the process in which TestLoad loads a runtime, which can be done once in each.
func TestLoadChild(t *testing.T) {
	if os.Getenv("PIXANO_TEST_LOAD") == "" {
		t.Skip("it is run by TestLoad")
	}
	p := New(&Options{Dirs: []string{os.Getenv("PIXANO_TEST_LOAD")}})
	found, _ := p.Found()
	_, err := p.Models(t.Context())
	if err == nil {
		_, err = inference.Embed(t.Context(), p, &inference.EmbeddingRequest{Model: "toy-clip", Texts: []string{"red"}})
	}
	r, _ := p.Runtime()
	var load *LoadError
	fmt.Printf("found %d, typed %t, runtime %v, error %v\n", len(found), errors.As(err, &load) && errors.Is(err, ErrNoRuntime), r != nil, err)
}

// TestLoad: the runtime is found in the documented order, and where it is not, the error lists the places. Models are listed
// either way.
func TestLoad(t *testing.T) {
	cache := filepath.Dir(filepath.Dir(fetched.Dir(t, "onnxruntime")))
	libraries := librariesIn(filepath.Join(cache, "pixano", "onnxruntime", "1.24.4"))
	if len(libraries) != 1 {
		t.Fatal(libraries)
	}
	models := t.TempDir()
	if err := os.CopyFS(models, os.DirFS(toys)); err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	broken := filepath.Join(t.TempDir(), "libonnxruntime.so")
	writeFile(t, broken, []byte("not a library"))
	for _, test := range []struct {
		name string
		env  []string
		want []string
	}{
		{"nowhere", []string{"XDG_CACHE_HOME=" + empty}, []string{"found 8, typed true, runtime false", filepath.Join(models, "libonnxruntime.so*") + ": no such file",
			filepath.Join(empty, "pixano", "onnxruntime", "libonnxruntime.so*") + ": no such file", "libonnxruntime.so.1: ", "/usr/local/lib/libonnxruntime.so: no such file"}},
		{"in the cache", []string{"XDG_CACHE_HOME=" + cache}, []string{"runtime true, error <nil>"}},
		{"named", []string{"XDG_CACHE_HOME=" + empty, "PIXANO_ONNXRUNTIME=" + libraries[0]}, []string{"runtime true, error <nil>"}},
		{"otherwise named", []string{"XDG_CACHE_HOME=" + empty, "ONNXRUNTIME_LIB=" + libraries[0]}, []string{"runtime true, error <nil>"}},
		{"wrongly named", []string{"XDG_CACHE_HOME=" + cache, "PIXANO_ONNXRUNTIME=/nowhere/lib.so"}, []string{"typed true, runtime false", "/nowhere/lib.so: no such file"}},
		{"no library", []string{"XDG_CACHE_HOME=" + cache, "PIXANO_ONNXRUNTIME=" + broken}, []string{"typed true, runtime false", broken + ": "}},
	} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestLoadChild$", "-test.v")
		cmd.Env = append(os.Environ(), append(test.env, "HOME="+empty, "PIXANO_TEST_LOAD="+models)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", test.name, err, out)
		}
		for _, want := range test.want {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s: want %q in\n%s", test.name, want, out)
			}
		}
	}
	// A broken library among the models does not hide the good one.
	writeFile(t, filepath.Join(models, "libonnxruntime.so"), []byte("not a library"))
	cmd := exec.Command(os.Args[0], "-test.run=^TestLoadChild$", "-test.v")
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+cache, "PIXANO_TEST_LOAD="+models)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "runtime true, error <nil>") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestLibrariesIn(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"libonnxruntime.so.1.24.1", "libonnxruntime.so.1.32.0", "libonnxruntime.so", "libonnxruntime.so.1",
		"libonnxruntime_providers_shared.so", "libother.so"} {
		writeFile(t, filepath.Join(dir, name), nil)
	}
	var got []string
	for _, path := range librariesIn(dir) {
		got = append(got, filepath.Base(path))
	}
	if libraryName() != "libonnxruntime.so" {
		t.Skip("other names on this system")
	}
	want := []string{"libonnxruntime.so", "libonnxruntime.so.1.32.0", "libonnxruntime.so.1.24.1", "libonnxruntime.so.1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
