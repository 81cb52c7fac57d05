package dataset

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"pixano/schema"
)

// TestBuildWithoutExchange: where directories cannot be exchanged, a dataset is replaced in two steps, and a crash
// between them costs nothing.
func TestBuildWithoutExchange(t *testing.T) {
	defer func(f func(string, string) (bool, error)) { exchange = f }(exchange)
	defer func(f func(string)) { fault = f }(fault)
	exchange = func(_, _ string) (bool, error) { return false, nil }
	library := t.TempDir()
	path := filepath.Join(library, "a")
	build := func(mode BuildMode, items int) int64 {
		t.Helper()
		builder := BuilderFunc(func(_ context.Context, _ *BuildContext, yield func(Batch) error) error {
			rows := make([]schema.Item, items)
			for i := range rows {
				rows[i].ID = fmt.Sprint(mode, i)
			}
			return yield(Batch{"item": rows})
		})
		type Scene struct{ schema.Item }
		ds, err := Build(t.Context(), path, Scene{}, Info{}, builder, &BuildOptions{Mode: mode})
		if err != nil {
			t.Fatal(err)
		}
		defer ds.Close()
		n, err := ds.Count(t.Context(), "item", Query{})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	build(BuildCreate, 3)
	fault = func(step string) {
		if step == "set aside" {
			panic(step)
		}
	}
	func() {
		defer func() {
			if r := recover(); r != "set aside" {
				t.Errorf("recovered %v, want the crash", r)
			}
		}()
		build(BuildOverwrite, 5)
	}()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Fatalf("after the crash: got %v, want no dataset", err)
	}
	fault = func(string) {}
	if n := build(BuildAdd, 1); n != 4 {
		t.Errorf("after the crash and one more: got %d items, want 4", n)
	}
	if n := build(BuildOverwrite, 5); n != 5 {
		t.Errorf("replaced: got %d items, want 5", n)
	}
	if left, _ := filepath.Glob(filepath.Join(library, privateFolder, "staging", "*-*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
