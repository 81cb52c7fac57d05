package interop_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pixano/dataset"
)

// TestRepairOfSlicedTables has an old Python write a part of a table, which newer engines cannot read, and repairs it: the
// rows are then those that Python Pixano reads, before and after.
func TestRepairOfSlicedTables(t *testing.T) {
	for _, from := range []int{0, 5} {
		t.Run(fmt.Sprint("from ", from), func(t *testing.T) {
			interpreter := python(t, "pixano")
			dir := filepath.Join(t.TempDir(), "vqa")
			if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "testdata", "golden", "image_detection"))); err != nil {
				t.Fatal(err)
			}
			runPython(t, interpreter, "testdata/sliced_append.py", dir, "masks", fmt.Sprint(from), "4")
			there := runPixano(t, interpreter, "read", dir)
			ds := must(dataset.Open(t.Context(), dir, nil))(t)
			defer ds.Close()
			found := 0
			for f, err := range ds.Inspect(t.Context(), nil) {
				if err != nil {
					t.Fatal(err)
				}
				if f.Kind != dataset.FoundStruct || f.Table != "masks" || f.Repair == "" || !strings.Contains(f.Text, "children have differing lengths") {
					t.Errorf("found %s %v", f.Kind, f)
				}
				found++
			}
			if found != 1 {
				t.Errorf("%d findings, want the one of masks", found)
			}
			for step, err := range ds.Repair(t.Context(), nil) {
				if err != nil {
					t.Fatal(err)
				}
				if step.Kind != dataset.FoundStruct {
					t.Errorf("repaired %v", step)
				}
			}
			sameRows(t, "after the repair", readHere(t, ds), there)
			sameRows(t, "after the repair, read again", readHere(t, ds), runPixano(t, interpreter, "read", dir))
			changeAll(t, ds)
			sameRows(t, "after all rows were written again", readHere(t, ds), runPixano(t, interpreter, "read", dir))
		})
	}
}
