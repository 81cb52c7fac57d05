package formats

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// templatesOf returns the templates that the key points of each category name.
func templatesOf(t *testing.T, ds *dataset.Dataset) map[string]string {
	t.Helper()
	all := tables(t, ds)
	found := map[string]string{}
	for _, row := range all["keypoints"] {
		ref, _ := row["entity_ref"].(map[string]any)
		id, _ := ref["id"].(string)
		category, _ := all["objects"][id]["category"].(string)
		template, _ := row["template_id"].(string)
		found[category] = template
	}
	return found
}

// TestTemplatesOfYOLO imports poses: their template is what an export of ours names, or that of the names of the points, or
// that which is called like the class. It is not one of other things that happens to have as many points.
func TestTemplatesOfYOLO(t *testing.T) {
	var animal []string
	for _, template := range features.KeyPointTemplates() {
		if template.ID == "animal-17" {
			for _, p := range template.Points {
				animal = append(animal, p.Name)
			}
		}
	}
	for _, test := range []struct {
		name, yaml string
		points     int
		classes    []string
		want       map[string]string
		own        []string // templates of the dataset
		warnings   int
	}{
		{"by class", "", 5, []string{"face", "plate"}, map[string]string{"face": "face-5", "plate": "points_5"}, nil, 0},
		{"person", "", 17, []string{"Person", "animal"}, map[string]string{"Person": "person-17", "animal": "animal-17"}, nil, 0},
		{"by number", "", 17, []string{"player"}, map[string]string{"player": "person-17"}, nil, 1},
		{"by names", "kpt_names: {0: [" + strings.Join(animal, ", ") + "]}\n", 17, []string{"zebra"}, map[string]string{"zebra": "animal-17"}, nil, 0},
		{"own names", "kpt_names: {0: [bill, tail, foot], 1: [bill, tail]}\n", 3, []string{"rubber duck", "goose"},
			map[string]string{"rubber duck": "rubber_duck", "goose": "points_3"}, []string{"rubber_duck"}, 1},
		{"names of all", "kpt_names: [bill, tail, foot]\n", 3, []string{"duck"}, map[string]string{"duck": "duck"}, []string{"duck"}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := map[string]string{"images/train/a.ppm": tiny, "data.yaml": fmt.Sprintf("train: images/train\nkpt_shape: [%d, 3]\nnames: [%s]\n%s",
				test.points, strings.Join(test.classes, ", "), test.yaml)}
			for class := range test.classes {
				files["labels/train/a.txt"] += fmt.Sprintf("%d 0.5 0.5 0.5 0.5%s\n", class, strings.Repeat(" 0.25 0.75 2", test.points))
			}
			ds, report := importCopied(t, "yolo", source(t, files), nil)
			if diff := cmp.Diff(test.want, templatesOf(t, ds)); diff != "" {
				t.Errorf("templates (-want +got):\n%s", diff)
			}
			own, err := ds.KeyPointTemplates()
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, template := range own {
				ids = append(ids, template.ID)
			}
			if !slices.Equal(ids, test.own) || len(report.Warnings) != test.warnings {
				t.Errorf("own templates %q and warnings %v, want %q and %d", ids, report.Warnings, test.own, test.warnings)
			}
			// An export of it gives the same.
			out := filepath.Join(t.TempDir(), "out")
			f, err := ByName("yolo")
			if err != nil {
				t.Fatal(err)
			}
			report = export(t, ds, exchange.ExportOptions{Format: f, Out: out, Params: map[string]string{"task": "pose"}, Media: exchange.MediaCopy})
			for _, l := range report.Losses {
				if l.Field == "template_id" {
					t.Errorf("unexpected loss %s", l)
				}
			}
			again, report := importCopied(t, "yolo", out, nil)
			same, err := again.KeyPointTemplates()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(own, same); diff != "" || !maps.Equal(templatesOf(t, again), test.want) || len(report.Warnings) > 0 {
				text, _ := os.ReadFile(filepath.Join(out, "data.yaml"))
				t.Errorf("after an export: templates %v, warnings %v\n%s\n%s", templatesOf(t, again), report.Warnings, diff, text)
			}
		})
	}
}

// TestTemplatesOfPixano exports templates of the dataset's own in Pixano's formats, and imports them again.
func TestTemplatesOfPixano(t *testing.T) {
	ds, _ := importCopied(t, "folder", source(t, map[string]string{"train/a.ppm": tiny}), nil)
	want := []features.KeyPointTemplate{{ID: "duck", Points: []features.TemplatePoint{{Name: "bill", X: 1}, {Name: "tail"}}, Edges: [][2]int{{0, 1}}}}
	if err := ds.SetKeyPointTemplates(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"json", "jsonl"} {
		f, err := ByName(format)
		if err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(t.TempDir(), "out")
		export(t, ds, exchange.ExportOptions{Format: f, Out: out})
		again, _ := importKept(t, format, out, ds.MediaDir(), nil)
		own, err := again.KeyPointTemplates()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, own); diff != "" {
			t.Errorf("%s (-want +got):\n%s", format, diff)
		}
	}
}
