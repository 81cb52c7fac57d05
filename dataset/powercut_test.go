package dataset_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"pixano/dataset"
	"pixano/features"
	"pixano/schema"
)

// TestPowerCut cuts what a machine that stops may not have written out: files of the versions since the last
// checkpoint. The log has their changes.
func TestPowerCut(t *testing.T) {
	needEngine(t)
	for _, pattern := range []string{"db/bboxes.lance/_versions/*.manifest", "db/bboxes.lance/data/*.lance"} {
		for _, size := range []int64{0, 7} {
			dir := copyGolden(t, "image_detection")
			ds, err := dataset.Open(t.Context(), dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			before, err := ds.Count(t.Context(), "bboxes", dataset.Query{})
			if err != nil {
				t.Fatal(err)
			}
			old, _ := filepath.Glob(filepath.Join(dir, pattern))
			for _, id := range []string{"one", "two"} {
				box := schema.NewBBox(id)
				box.Coords, box.Format = []float64{1, 2, 3, 4}, features.FormatXYXY
				if err := ds.Add(t.Context(), "bboxes", box); err != nil {
					t.Fatal(err)
				}
			}
			// The dataset is not closed, as by a machine that stops. Another start of the machine is another id.
			state := filepath.Join(dir, ".pixano", "log", "state")
			text, err := os.ReadFile(state)
			if err != nil {
				t.Fatal(err)
			}
			other := regexp.MustCompile(`"boot":"[^"]{4}`).ReplaceAll(text, []byte(`"boot":"gone`))
			write(t, state, string(other))
			files, _ := filepath.Glob(filepath.Join(dir, pattern))
			cut := 0
			for _, file := range files {
				if !slices.Contains(old, file) {
					cut++
					if err := os.Truncate(file, size); err != nil {
						t.Fatal(err)
					}
				}
			}
			if cut != 2 {
				t.Fatalf("%d files of %s are new, want 2", cut, pattern)
			}
			again, err := dataset.Open(t.Context(), dir, nil)
			if err != nil {
				t.Fatalf("%s cut to %d: %v", pattern, size, err)
			}
			defer again.Close()
			var rows []schema.BBox
			missing, err := again.ByID(t.Context(), "bboxes", &rows, "one", "two")
			if err != nil || len(missing) > 0 {
				t.Errorf("%s cut to %d: %v, missing %v", pattern, size, err, missing)
			}
			after, err := again.Count(t.Context(), "bboxes", dataset.Query{})
			if err != nil || after != before+2 {
				t.Errorf("%s cut to %d: %d rows (%v), want %d", pattern, size, after, err, before+2)
			}
			var s struct{ Applied, Synced uint64 }
			if text, err = os.ReadFile(state); err != nil || json.Unmarshal(text, &s) != nil || s.Applied != 2 {
				t.Errorf("the log's state is %s (%v)", text, err)
			}
		}
	}
}
