package formats

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/dataset/exchange"
)

// TestCOCOOfOthers imports files as CVAT, FiftyOne, Roboflow, LVIS and data frames write them.
func TestCOCOOfOthers(t *testing.T) {
	image := func(id, more string) string {
		return fmt.Sprintf(`{"id": %s, "file_name": "a.ppm", "width": 40, "height": 30%s}`, id, more)
	}
	file := func(images, annotations string) string {
		return fmt.Sprintf(`{"images": [%s], "annotations": [%s], "categories": [{"id": 1, "name": "car", "supercategory": "vehicle"}, {"id": 2, "name": "dog"}]}`, images, annotations)
	}
	box := func(id, image, more string) string {
		return fmt.Sprintf(`{"id": %s, "image_id": %s, "category_id": 1, "bbox": [1, 2, 3, 4]%s}`, id, image, more)
	}
	objects := func(ds *dataset.Dataset, column string) string {
		var texts []string
		for _, row := range tables(t, ds)["objects"] {
			texts = append(texts, fmt.Sprint(row[column]))
		}
		slices.Sort(texts)
		return strings.Join(texts, " ")
	}
	for _, test := range []struct {
		name     string
		files    map[string]string
		boxes    int
		check    func(ds *dataset.Dataset) string
		want     string
		warnings string // what one of them has; "": there are none
		loss     string // what one has
	}{
		{name: "mark and line ends", files: map[string]string{"train.json": "\xef\xbb\xbf" + strings.ReplaceAll(file(image("1", ""), box("1", "1", "")), ",", ",\r\n"), "a.ppm": tiny}, boxes: 1},
		{name: "folder for each split", files: map[string]string{"train/_annotations.coco.json": file(image("1", ""), box("1", "1", "")), "train/a.ppm": tiny,
			"valid/_annotations.coco.json": file(image("1", ""), box("1", "1", "")), "valid/a.ppm": tiny}, boxes: 2,
			check: func(ds *dataset.Dataset) string {
				return fmt.Sprint(ds.Count(t.Context(), "item", dataset.Query{Where: "split = 'valid'"}))
			}, want: "1 <nil>"},
		{name: "file of another kind", files: map[string]string{"train.json": file(image("1", ""), box("1", "1", "")), "a.ppm": tiny, "labels.json": `{"classes": []}`},
			boxes: 1, warnings: "labels.json: left out: there are no images"},
		{name: "texts as ids", files: map[string]string{"train.json": file(image(`"1"`, ""), box(`"x y"`, `"1"`, "")), "val.json": file(image(`"1"`, ""), box(`"x y"`, `"1"`, "")), "a.ppm": tiny}, boxes: 2},
		{name: "fractions as ids", files: map[string]string{"train.json": file(image("1", ""), box("12345678901234567890.0", "1.0", "")), "a.ppm": tiny}, boxes: 1},
		{name: "ids twice", files: map[string]string{"train.json": file(image("1", ""), box("7", "1", "")+","+box("7", "1", "")+","+box("8", "1", "")), "a.ppm": tiny}, boxes: 3,
			warnings: "train.json: annotation ids that several have: 1, such as 7"},
		{name: "super", files: map[string]string{"train.json": file(image("1", ""), box("1", "1", "")), "a.ppm": tiny}, boxes: 1,
			check: func(ds *dataset.Dataset) string { return objects(ds, "supercategory") }, want: "vehicle"},
		{name: "attributes beside", files: map[string]string{"train.json": file(image("1", ""), box("1", "1", `, "occluded": true, "tags": ["a", "b"]`)+","+box("2", "1", `, "occluded": "no", "attributes": {"tags": "c"}`)), "a.ppm": tiny}, boxes: 2,
			check: func(ds *dataset.Dataset) string { return objects(ds, "occluded") + " " + objects(ds, "tags") }, want: "no true [a b] [c]"},
		{name: "attributes of any kind", files: map[string]string{"train.json": file(image("1", ""), box("1", "1", `, "attributes": {"speed": 5, "more": {"a": [1]}}`)+","+box("2", "1", `, "attributes": {"speed": "fast", "more": 7}`)), "a.ppm": tiny}, boxes: 2,
			check: func(ds *dataset.Dataset) string { return objects(ds, "speed") + " " + objects(ds, "more") }, want: `5 fast 7 {"a":[1]}`},
		{name: "of images", files: map[string]string{"train.json": file(image("1", `, "video_id": 3, "license": 4, "coco_url": ""`), box("1", "1", "")), "a.ppm": tiny}, boxes: 1,
			check: func(ds *dataset.Dataset) string {
				for _, row := range tables(t, ds)["item"] {
					return fmt.Sprint(row["video_id"])
				}
				return ""
			}, want: "3", loss: "images.license (1): the dataset has no place for it"},
		{name: "LVIS", files: map[string]string{"train.json": file(`{"id": 1, "width": 40, "height": 30, "coco_url": "http://images.cocodataset.org/train2017/0.ppm"}`, box("1", "1", "")), "train2017/0.ppm": tiny}, boxes: 1},
		{name: "panoptic", files: map[string]string{"train.json": file(image("1", ""), box("1", "1", "")), "annotations/panoptic_train.json": file(image("1", ""), `{"image_id": 1, "file_name": "a.png", "segments_info": [{"id": 5}]}`), "a.ppm": tiny}, boxes: 1,
			loss: "annotations.segments_info (1): panoptic"},
		{name: "unused category", files: map[string]string{"train.json": file(image("1", ""), box("1", "1", "")), "a.ppm": tiny}, boxes: 1, loss: "categories.name (1): no annotation is of the category"},
		{name: "size", files: map[string]string{"train.json": file(`{"id": 1, "file_name": "a.ppm", "width": 30, "height": 40}`, box("1", "1", "")), "a.ppm": tiny}, boxes: 1,
			warnings: `train.json: the image "a.ppm" is said to have 30 × 40 pixels, its file has 40 × 30`},
		{name: "no objects", files: map[string]string{"train.json": `{"images": [` + image("1", "") + `], "annotations": null}`, "a.ppm": tiny}},
		{name: "poses without points", files: map[string]string{"train.json": file(image("1", ""), box("1", "1", `, "keypoints": [0,0,0,0,0,0], "num_keypoints": 0`)+","+box("2", "1", `, "keypoints": [5,6,2,0,0,0], "num_keypoints": 1`)), "a.ppm": tiny}, boxes: 2,
			check: func(ds *dataset.Dataset) string { return fmt.Sprint(len(tables(t, ds)["keypoints"])) }, want: "1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ds, report := importCopied(t, "coco", source(t, test.files), nil)
			got := tables(t, ds)
			if len(got["bboxes"]) != test.boxes {
				t.Errorf("%d boxes, want %d", len(got["bboxes"]), test.boxes)
			}
			if test.check != nil {
				if got := test.check(ds); got != test.want {
					t.Errorf("got %q, want %q", got, test.want)
				}
			}
			var losses, warnings []string
			for _, l := range report.Losses {
				losses = append(losses, l.String())
			}
			for _, w := range report.Warnings {
				warnings = append(warnings, w.String())
			}
			if text := strings.Join(warnings, "\n"); !strings.Contains(text, test.warnings) || test.warnings == "" && text != "" {
				t.Errorf("warnings %q, want %q", text, test.warnings)
			}
			if text := strings.Join(losses, "\n"); !strings.Contains(text, test.loss) {
				t.Errorf("losses %q, want %q", text, test.loss)
			}
			for v, err := range ds.Check(t.Context()) {
				t.Errorf("%v %v", v, err)
			}
			// A strict export gives back what was imported.
			f, err := ByName("coco")
			if err != nil {
				t.Fatal(err)
			}
			out := filepath.Join(t.TempDir(), "out")
			report = export(t, ds, exchange.ExportOptions{Format: f, Out: out, Strict: true})
			again, _ := importKept(t, "coco", out, ds.MediaDir(), nil)
			compareKept(t, ds, again, report, strings.NewReplacer())
		})
	}
}

// TestCOCOOfPartlyPosed exports objects with and without key points: the strict form has zeros for those without in a category
// that has them, and the number 0 for all others, which an import makes nothing of.
func TestCOCOOfPartlyPosed(t *testing.T) {
	ds, _ := importCopied(t, "coco", source(t, map[string]string{"a.ppm": tiny, "train.json": `{"images": [{"id": 1, "file_name": "a.ppm", "width": 40, "height": 30}],
"annotations": [{"id": 1, "image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4]}, {"id": 2, "image_id": 1, "category_id": 1, "bbox": [2, 2, 3, 4]},
 {"id": 3, "image_id": 1, "category_id": 1, "bbox": [3, 2, 3, 4], "keypoints": [4, 4, 2, 5, 5, 1]}],
"categories": [{"id": 1, "name": "bird", "keypoints": ["bill", "tail"]}, {"id": 2, "name": "car"}]}`}), nil)
	f, err := ByName("coco")
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	report := export(t, ds, exchange.ExportOptions{Format: f, Out: out, Strict: true})
	text, err := os.ReadFile(filepath.Join(out, "train_pixano_export_0.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Annotations []struct {
			BBox      []float64
			KeyPoints []float64
			Number    *int `json:"num_keypoints"`
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	got := map[float64]string{}
	for _, a := range file.Annotations {
		number := -1
		if a.Number != nil {
			number = *a.Number
		}
		got[a.BBox[0]] = fmt.Sprint(a.KeyPoints, number)
	}
	want := map[float64]string{1: "[] 0", 2: "[0 0 0 0 0 0] 0", 3: "[4 4 2 5 5 1] 2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("key points (-want +got):\n%s", diff)
	}
	again, _ := importKept(t, "coco", out, ds.MediaDir(), nil)
	compareKept(t, ds, again, report, strings.NewReplacer())
	if n := len(tables(t, again)["keypoints"]); n != 1 {
		t.Errorf("%d skeletons after an import, want 1", n)
	}
}
