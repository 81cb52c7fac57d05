// Package fetched finds, for tests and benchmarks, what scripts/models has fetched.
package fetched

import (
	"os"
	"path/filepath"
	"testing"
)

// Dir returns the directory of "onnxruntime", "photos" or a model. Where it is missing, the test is skipped or, with
// PIXANO_REQUIRE_INTEROP=1, fails.
func Dir(t testing.TB, name string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "pixano", "models", name)
	switch name {
	case "onnxruntime", "photos":
		dir = filepath.Join(cache, "pixano", name)
	}
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("PIXANO_REQUIRE_INTEROP") == "1" {
			t.Fatalf("%v: run scripts/models %s", err, name)
		}
		t.Skipf("%v: run scripts/models %s", err, name)
	}
	return dir
}
