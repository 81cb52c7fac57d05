package formats

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/dataset/exchange"
)

// seen says in a few words what was imported: splits with their items, boxes by category, masks, warnings and losses.
func seen(t *testing.T, ds *dataset.Dataset, report *exchange.Report) []string {
	t.Helper()
	all := tables(t, ds)
	words := []string{fmt.Sprint(report.Splits), fmt.Sprint(report.Categories), fmt.Sprint(len(all["bboxes"]), " boxes ", len(all["masks"]), " masks")}
	for _, w := range report.Warnings {
		words = append(words, w.String())
	}
	for _, l := range report.Losses {
		words = append(words, l.String())
	}
	for v, err := range ds.Check(t.Context()) {
		t.Errorf("%v %v", v, err)
	}
	return words
}

// TestYOLOOfOthers imports directories as Ultralytics, Roboflow, CVAT and Windows write them.
func TestYOLOOfOthers(t *testing.T) {
	line := "0 0.5 0.5 0.2 0.2\r\n"
	files := func(more ...string) map[string]string {
		m := map[string]string{"images/train/a.ppm": tiny, "labels/train/a.txt": "\xef\xbb\xbf" + line + line}
		for i := 0; i < len(more); i += 2 {
			m[more[i]] = more[i+1]
		}
		return m
	}
	for _, test := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"marks and line ends", files("data.yaml", "\xef\xbb\xbftrain: images/train\r\nnames:\r\n  0: car\r\n"), []string{"map[train:1]", "map[car:2]", "2 boxes 0 masks"}},
		{"no test", files("data.yaml", "train: ../images/train\ntest: ../test/images\nnames: [car]\n"),
			[]string{"map[train:1]", "map[car:2]", "2 boxes 0 masks", `data.yaml: left out: test: "../test/images" leads out of the source`}},
		{"lists", files("data.yaml", "path: ./\ntrain: train.txt\nval: lists/val.txt\nnames: {0: car}\n", "train.txt", "\xef\xbb\xbfdata/images/train/a.ppm\r\n",
			"lists/val.txt", "../images/val/b.ppm\n/home/me/set/images/val/c.ppm\nC:\\set\\images\\val\\d.ppm\n", "images/val/b.ppm", tiny, "images/val/c.ppm", tiny,
			"images/val/d.ppm", tiny, "labels/val/c.txt", line),
			[]string{"map[train:1 val:3]", "map[car:3]", "3 boxes 0 masks"}},
		{"several folders", files("data.yaml", "train: [images/train, images/more]\nval: images/train\nnames: [car]\n", "images/more/é 1.ppm", tiny, "labels/more/é 1.txt", line),
			[]string{"map[train:2]", "map[car:3]", "3 boxes 0 masks"}},
		{"labels of nothing", files("data.yaml", "train: images/train\nnames: [car]\n", "labels/train/b.txt", line, "labels/train/classes.txt", "car"),
			[]string{"map[train:1]", "map[car:2]", "2 boxes 0 masks", "labels/train: labels of no image of the splits were left out: 1, such as labels/train/b.txt"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ds, report := importCopied(t, "yolo", source(t, test.files), nil)
			if diff := cmp.Diff(test.want, seen(t, ds, report)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestVOCOfOthers imports directories as CVAT, Roboflow and labelImg write them.
func TestVOCOfOthers(t *testing.T) {
	xml := func(file, more string) string {
		return "<annotation><folder/><filename>" + file + `</filename><source><database>x</database></source><object><name>car</name>
<bndbox><xmin>3</xmin><ymin>3</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>` + more + "</object></annotation>"
	}
	colour := func(c color.Color) string {
		img := image.NewNRGBA(image.Rect(0, 0, 40, 30))
		for i := range img.Pix {
			img.Pix[i] = map[bool]byte{true: 255}[i%4 == 3]
		}
		img.Set(5, 5, c)
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for _, test := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"elements", map[string]string{"Annotations/a.xml": xml("a.ppm", "<attributes><attribute><name>color</name><value>red</value></attribute></attributes><polygon/><part><name>wheel</name></part>"),
			"JPEGImages/a.ppm": tiny, "JPEGImages/b.ppm": tiny, "ImageSets/Main/val.txt": "\xef\xbb\xbfa\r\n"},
			[]string{"map[val:1]", "map[car:1]", "1 boxes 0 masks", "JPEGImages: images without an XML file were left out: 1, such as b.ppm",
				"object.attributes (1): the element is not read", "object.part (1): parts of objects have no table"}},
		{"folders", map[string]string{"Annotations/x/a.xml": xml("x/a.ppm", ""), "Annotations/y/a.xml": xml("a.ppm", ""), "JPEGImages/x/a.ppm": tiny, "JPEGImages/y/a.ppm": tiny,
			"ImageSets/Main/val.txt": "x/a\n"},
			[]string{"map[val:1 y:1]", "map[car:2]", "2 boxes 0 masks"}},
		{"folder for each split", map[string]string{"train/a.xml": xml("a.ppm", ""), "train/a.ppm": tiny, "valid/a.xml": xml("a.ppm", ""), "valid/a.ppm": tiny},
			[]string{"map[train:1 valid:1]", "map[car:2]", "2 boxes 0 masks"}},
		{"masks in colours", map[string]string{"Annotations/a.xml": xml("a.ppm", ""), "JPEGImages/a.ppm": tiny, "SegmentationObject/a.png": colour(color.NRGBA{128, 0, 0, 255})},
			[]string{"map[default:1]", "map[car:1]", "1 boxes 1 masks"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ds, report := importCopied(t, "voc", source(t, test.files), nil)
			if diff := cmp.Diff(test.want, seen(t, ds, report)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestPixanoOfOthers imports Pixano's own formats as editors of Windows leave them.
func TestPixanoOfOthers(t *testing.T) {
	for format, files := range map[string]map[string]string{
		"json":  {"a.json": `{"info": {"name": "n"}, "items": [{"id": "i", "split": "train"}], "views": {"image": []}, "entities": {}, "annotations": {}, "sources": []}`},
		"jsonl": {"a.jsonl": "{\"id\": \"i\", \"split\": \"train\"}\n{\"id\": \"j\", \"split\": \"train\"}", "info.json": `{"info": {"name": "n"}, "sources": []}`},
	} {
		for name, text := range files {
			files[name] = "\xef\xbb\xbf" + strings.ReplaceAll(strings.ReplaceAll(text, "\n", "\r\n"), ", ", ",\r\n ")
		}
		ds, report := importCopied(t, format, source(t, files), nil)
		want := map[string]int{"json": 1, "jsonl": 2}[format]
		if n := len(tables(t, ds)["item"]); n != want || ds.Info().Name != "n" || slices.ContainsFunc(report.Warnings, func(w exchange.Warning) bool { return !strings.Contains(w.Message, "guessed") }) {
			t.Errorf("%s: %d items of %q, %v", format, n, ds.Info().Name, report.Warnings)
		}
	}
}

// TestAddTwice adds what is there already, in each format: nothing comes of it, also no further source.
func TestAddTwice(t *testing.T) {
	for format, files := range map[string]map[string]string{
		"coco":   cocoFile(`{"id":1,"image_id":1,"category_id":1,"bbox":[1,2,3,4]}`),
		"yolo":   labelFile("1 0.5 0.5 0.1 0.1"),
		"voc":    objectXML("<bndbox><xmin>3</xmin><ymin>3</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"),
		"folder": described(`{"image":"a.ppm","id":"x","objects":{"bboxes":[[0,0,1,1]]}}`),
		"json": {"a.json": `{"info": {}, "annotations": {"bboxes": [{"id": "b", "item_ref": {"name": "item", "id": "i"}, "view_ref": {"name": "", "id": ""},
 "entity_ref": {"name": "", "id": ""}, "source_ref": {"name": "source", "id": "s"}, "inference_metadata": "{}", "coords": [0.1, 0.1, 0.2, 0.2], "format": "xywh",
 "is_normalized": true, "confidence": 1.0}]}, "items": [{"id": "i", "split": "train"}], "sources": [{"id": "s", "name": "x", "kind": "other", "metadata": "{}"}]}`},
		"jsonl": {"a.jsonl": `{"id": "i", "split": "train"}`},
	} {
		src := source(t, files)
		var o exchange.ImportOptions
		ds, _ := importCopied(t, format, src, func(opts *exchange.ImportOptions) { o = *opts })
		before := tables(t, ds)
		for _, media := range []exchange.MediaMode{exchange.MediaCopy, exchange.MediaLink} {
			o.Mode, o.Media = dataset.BuildAdd, media
			f, err := ByName(format)
			if err != nil {
				t.Fatal(err)
			}
			o.Format = f
			if _, err := exchange.Import(t.Context(), o); err != nil {
				t.Fatal(err)
			}
		}
		again, err := dataset.Open(t.Context(), o.Dataset, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, tables(t, again)); diff != "" {
			t.Errorf("%s (-before +after):\n%s", format, diff)
		}
		again.Close()
	}
}
