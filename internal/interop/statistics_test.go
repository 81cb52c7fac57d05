package interop_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pixano/dataset"
)

// TestStatisticsBesidePandas compares the statistics of the golden datasets with those that pandas and NumPy compute from
// the same tables.
func TestStatisticsBesidePandas(t *testing.T) {
	for _, name := range []string{"image_detection", "image_detection_f1098606", "video_tracking", "vqa", "multiview_text"} {
		t.Run(name, func(t *testing.T) {
			interpreter := python(t, "pixano")
			dir := filepath.Join(t.TempDir(), name)
			if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "testdata", "golden", name))); err != nil {
				t.Fatal(err)
			}
			ds := must(dataset.Open(t.Context(), dir, nil))(t)
			defer ds.Close()
			computed := must(ds.UpdateStatistics(t.Context()))(t)
			stored := must(ds.Statistics())(t)
			if d := cmp.Diff(computed, stored[len(stored)-len(computed):], cmpopts.EquateEmpty()); d != "" {
				t.Errorf("computed and stored statistics (-computed +stored):\n%s", d)
			}
			out := filepath.Join(t.TempDir(), "pandas.json")
			runPython(t, interpreter, "testdata/pandas_statistics.py", dir, out)
			var theirs []map[string]any
			if err := json.Unmarshal(must(os.ReadFile(out))(t), &theirs); err != nil {
				t.Fatal(err)
			}
			want, got := map[string]any{}, map[string]any{}
			for _, s := range theirs {
				want[s["name"].(string)] = sortedBins(s)
			}
			for _, s := range computed {
				ours := map[string]any{}
				raw := must(json.Marshal(map[string]any{"name": s.Name, "type": s.Type, "histogram": s.Histogram, "range": s.Range}))(t)
				if err := json.Unmarshal(raw, &ours); err != nil {
					t.Fatal(err)
				}
				got[s.Name] = sortedBins(ours)
			}
			t.Logf("%d statistics: %s", len(got), strings.Join(slices.Sorted(maps.Keys(got)), ", "))
			if len(want) < 4 {
				t.Errorf("pandas has %d statistics", len(want))
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("statistics (-pandas +here):\n%s", d)
			}
		})
	}
}

// sortedBins puts the bins of a statistic in an order.
func sortedBins(s map[string]any) map[string]any {
	bins := s["histogram"].([]any)
	slices.SortStableFunc(bins, func(a, b any) int { return strings.Compare(binKey(a), binKey(b)) })
	return s
}

func binKey(bin any) string {
	b := maps.Clone(bin.(map[string]any))
	delete(b, "counts")
	return fmt.Sprint(b)
}
