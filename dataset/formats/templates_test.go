package formats

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/dataset/exchange"
	"pixano/features"
	"pixano/schema"
)

// TestTemplatesOfCOCO imports key points that no built-in template has: their names, lines and places become a template of
// the dataset, which an export gives back, and which a later import of others does not replace.
func TestTemplatesOfCOCO(t *testing.T) {
	data := dataDir(t)
	f, err := ByName("coco")
	if err != nil {
		t.Fatal(err)
	}
	open := func(name string) *dataset.Dataset {
		t.Helper()
		ds, err := dataset.Open(t.Context(), filepath.Join(data, "library", name), &dataset.Options{MediaDir: filepath.Join(data, "media")})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ds.Close() })
		return ds
	}
	load := func(src, name string, mode dataset.BuildMode) {
		t.Helper()
		report, err := exchange.Import(t.Context(), exchange.ImportOptions{Format: f, Source: src, Mode: mode,
			Dataset: filepath.Join(data, "library", name), MediaDir: filepath.Join(data, "media")})
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Warnings) > 0 {
			t.Errorf("warnings: %v", report.Warnings)
		}
	}
	file := func(image, skeleton string) map[string]string {
		return map[string]string{"train.json": fmt.Sprintf(`{"images": [{"id": 1, "file_name": %q, "width": 40, "height": 30}],
"annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "keypoints": [4, 4, 2, 0, 0, 0, 0, 0, 0]},
 {"id": 2, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "keypoints": [20, 10, 2, 10, 10, 1, 15, 20, 2]},
 {"id": 3, "image_id": 1, "category_id": 2, "bbox": [0, 0, 9, 9]}],
"categories": [{"id": 1, "name": "rubber duck", "keypoints": ["bill", "tail", "foot"], "skeleton": %s},
 {"id": 2, "name": "goose", "keypoints": ["neck"], "skeleton": []}]}`, image, skeleton), image: tiny}
	}
	want := []features.KeyPointTemplate{{ID: "rubber_duck", Edges: [][2]int{{0, 1}, {2, 0}},
		Points: []features.TemplatePoint{{Name: "bill", X: 1, Y: 0}, {Name: "tail", X: 0, Y: 0}, {Name: "foot", X: 0.5, Y: 1}}}}
	check := func(name string) {
		t.Helper()
		ds := open(name)
		own, err := ds.KeyPointTemplates()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, own); diff != "" {
			t.Errorf("%s: templates (-want +got):\n%s", name, diff)
		}
		var rows []schema.KeyPoints
		if err := ds.Get(t.Context(), "keypoints", &rows, dataset.Query{}); err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			if row.TemplateID != want[0].ID {
				t.Errorf("%s: key points of the template %q, want %q", name, row.TemplateID, want[0].ID)
			}
		}
		if len(rows) == 0 {
			t.Errorf("%s: no key points", name)
		}
	}
	load(source(t, file("a.ppm", "[[1, 2], [3, 1], [1, 9], [2]]")), "ducks", dataset.BuildCreate)
	check("ducks")
	load(source(t, file("b.ppm", `"none"`)), "ducks", dataset.BuildAdd)
	check("ducks")
	out := filepath.Join(t.TempDir(), "out")
	if _, err := exchange.Export(t.Context(), open("ducks"), exchange.ExportOptions{Format: f, Out: out, Strict: true, Media: exchange.MediaCopy}); err != nil {
		t.Fatal(err)
	}
	load(out, "again", dataset.BuildCreate)
	check("again")
}
