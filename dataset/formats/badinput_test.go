package formats

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pixano/dataset"
	"pixano/dataset/exchange"
	"pixano/dataset/folder"
)

const (
	tiny     = "P3 40 30 255\n" // the head of an image of 40 × 30 pixels, which is all that is read
	cocoText = `{"images":[{"id":1,"file_name":"a.ppm","width":40,"height":30}],"categories":[{"id":1,"name":"car"}],"annotations":[%s]}`
)

// source makes a directory of files.
func source(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "src")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if link, ok := strings.CutPrefix(content, "-> "); ok {
			if err := os.Symlink(link, path); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// listing lists all files of a directory.
func listing(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !strings.Contains(name, ".pixano") && name != "." {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func cocoFile(annotation string) map[string]string {
	return map[string]string{"train.json": fmt.Sprintf(cocoText, annotation), "a.ppm": tiny}
}

func described(line string) map[string]string {
	return map[string]string{"train/metadata.jsonl": "{\"image\":\"a.ppm\"}\n" + line + "\n", "train/a.ppm": tiny}
}

func labelFile(line string) map[string]string {
	return map[string]string{"data.yaml": "train: images/train\nnames: [car, dog]\n", "images/train/a.ppm": tiny, "labels/train/a.txt": "0 0.5 0.5 0.1 0.1\n" + line + "\n"}
}

func objectXML(object string) map[string]string {
	return map[string]string{"Annotations/a.xml": "<annotation><filename>a.ppm</filename><object><name>car</name>" + object + "</object></annotation>", "JPEGImages/a.ppm": tiny}
}

// TestBadInput imports what is wrong: each error names file, line and what was wanted, and leaves the library and the media
// as they were, also where rows and media were taken already.
func TestBadInput(t *testing.T) {
	long := strings.Repeat("x", 10<<20)
	for _, test := range []struct {
		name, format string
		files        map[string]string
		want         string
	}{
		{"no splits", "folder", map[string]string{"a.ppm": tiny}, "want one for each split"},
		{"looks like yolo", "folder", map[string]string{"data.yaml": ""}, "it looks like the format yolo"},
		{"cut json", "folder", described(`{"image":"a.ppm"`), "train/metadata.jsonl:2: not JSON: it ends in the middle"},
		{"list", "folder", described(`[1]`), "train/metadata.jsonl:2: want a JSON object, have a list"},
		{"key twice", "folder", described(`{"image":"a.ppm","image":"b.ppm"}`), `:2: the key "image" is there twice`},
		{"missing media", "folder", described(`{"image":"b.ppm"}`), `:2: media file "train/b.ppm": no such file`},
		{"outside", "folder", described(`{"image":"../../../etc/passwd"}`), "leads out of the source"},
		{"absolute", "folder", described(`{"image":"/etc/passwd"}`), "leads out of the source"},
		{"link outside", "folder", map[string]string{"train/metadata.jsonl": `{"image":"b.png"}`, "train/b.png": "-> /etc/hostname"}, "leads out of the source"},
		{"link loop", "folder", map[string]string{"train/metadata.jsonl": `{"image":"b.png"}`, "train/b.png": "-> b.png"}, `media file "train/b.png"`},
		{"not an image", "folder", map[string]string{"train/a.png": "hello"}, "import src: train/a.png: not an image of a known format"},
		{"name of no file", "folder", described(`{"image":""}`), "train/metadata.jsonl:2: image: the name of the file is empty"},
		{"folder for a file", "folder", map[string]string{"train/metadata.jsonl": `{"image":"sub"}`, "train/sub/a.ppm": tiny}, `train/metadata.jsonl:1: media file "train/sub": a folder: want a file`},
		{"other things in a list", "folder", described(`{"image":["a.ppm",5]}`), "train/metadata.jsonl:2: image: want the name of a file or a list of them, have a list of other things"},
		{"conversations later", "folder", described(`{"image":"a.ppm","conversations":[{"question":{"content":"q"}}]}`), "train/metadata.jsonl:2: conversations: want the type vqa, have image"},
		{"key that is no column", "folder", described(`{"image":"a.ppm","my key":1}`), `train/metadata.jsonl:2: the key "my key" of item: want a column name`},
		{"question of another kind", "folder", map[string]string{"train/metadata.jsonl": `{"image":"a.ppm","conversations":[{"question":"q"}]}`, "train/a.ppm": tiny}, "train/metadata.jsonl:1: conversations: question 0: question: want an object, have a text"},
		{"UTF-16", "folder", map[string]string{"train/metadata.jsonl": "\xff\xfe{\x00}\x00", "train/a.ppm": tiny}, "train/metadata.jsonl:1: the file is UTF-16: want UTF-8"},
		{"metadata is a folder", "folder", map[string]string{"train/metadata.jsonl/a": "", "train/a.ppm": tiny}, "import src: train/metadata.jsonl:1: is a directory"},
		{"empty image", "folder", map[string]string{"train/a.png": ""}, "the file is empty"},
		{"cut image", "folder", map[string]string{"train/a.png": "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00"}, "the head of the image cannot be read"},
		{"huge image", "folder", map[string]string{"train/a.ppm": "P3 100000 100000 255\n"}, "an image of 100000 × 100000 pixels: want at most 4294967295"},
		{"no pixels", "folder", map[string]string{"train/a.ppm": "P3 0 4 255\n"}, "an image of 0 × 4 pixels"},
		{"not UTF-8", "folder", map[string]string{"train/\xff.ppm": tiny}, "is not UTF-8: want it renamed"},
		{"same stem", "folder", map[string]string{"train/a.ppm": tiny, "val/a.ppm": tiny}, `val/a.ppm: the item id "a" is there already, in train/a.ppm`},
		{"same id", "folder", described(`{"image":"a.ppm","id":"x"}` + "\n" + `{"image":"a.ppm","id":"x"}`), `:3: the item id "x" is there already, in train/metadata.jsonl:2`},
		{"space in id", "folder", described(`{"image":"a.ppm","id":"x y"}`), ":2:"},
		{"lengths", "folder", described(`{"image":"a.ppm","objects":{"bboxes":[[0,0,1,1]],"masks":[]}}`), "bboxes has 1 values and masks has 0: want as many of each"},
		{"unknown view", "folder", described(`{"image":"a.ppm","objects":{"view_ref":"left","bboxes":[[0,0,1,1]]}}`), `view_ref "left" is no view of the item: want one of ["image"]`},
		{"table of views", "folder", described(`{"image":"a.ppm","objects":{"image":["x"]}}`), "image is a table of views: want one of annotations"},
		{"entities without view", "folder", described(`{"objects":{"bboxes":[[0,0,1,1]]}}`), "the item has no view that its entities could be in"},
		{"short box", "folder", described(`{"image":"a.ppm","objects":{"bboxes":[[0,0,1]]}}`), "bboxes 0: BBox.coords: want 4"},
		{"negative box", "folder", described(`{"image":"a.ppm","objects":{"bboxes":[[-1,0,5,5]]}}`), "bboxes 0: BBox.coords"},
		{"mask sum", "folder", described(`{"image":"a.ppm","objects":{"masks":[{"size":[3,2],"counts":"6666"}]}}`), "masks 0:"},
		{"box of texts", "folder", described(`{"image":"a.ppm","objects":{"bboxes":[["a","b","c","d"]]}}`), "want four numbers"},
		{"long line", "folder", described(`{"image":"a.ppm","note":"` + long + `","objects":{"bboxes":[[0]]}}`), "train/metadata.jsonl:2: objects"},
		{"no question", "folder", described(`{"image":"a.ppm","conversations":[{"question":{}}]}`), ":2: conversations: question 0: there is no question"},
		{"empty question", "folder", described(`{"image":"a.ppm","conversations":[{"question":{"content":""}}]}`), "the question has no text"},
		{"missing explanation", "folder", described(`{"image":"a.ppm","conversations":[{"question":{"content":"q","choices":["a","b"],"question_type":"SINGLE_CHOICE_EXPLANATION"},"response":{"content":"A"}}]}`), "answer 0: Message"},

		{"no images", "coco", map[string]string{"x.json": `{"annotations":[]}`}, `x.json: there are no images: want a COCO file with "images"`},
		{"not JSON", "coco", map[string]string{"x.json": "{\"images\": [\n{]}"}, "x.json:2: images[0]: not JSON"},
		{"list", "coco", map[string]string{"x.json": "[]"}, "want a JSON object"},
		{"no JSON", "coco", map[string]string{"a.ppm": tiny}, "no JSON file"},
		{"image id twice", "coco", map[string]string{"x.json": `{"images":[{"id":1,"file_name":"a"},{"id":1,"file_name":"b"}]}`}, "images[1]: the image id 1 is there twice"},
		{"file twice", "coco", map[string]string{"x.json": `{"images":[{"id":1,"file_name":"a"},{"id":2,"file_name":"a"}]}`}, `images[1]: the file "a" is there twice`},
		{"missing file", "coco", map[string]string{"x.json": `{"images":[{"id":1,"file_name":"no.png"}]}`}, `x.json: images[0]: media file "no.png": no such file`},
		{"outside", "coco", map[string]string{"x.json": `{"images":[{"id":1,"file_name":"../../etc/passwd"}]}`}, "leads out of the source"},
		{"huge", "coco", map[string]string{"x.json": `{"images":[{"id":1,"file_name":"a.ppm","width":100000,"height":100000}]}`, "a.ppm": tiny}, "100000 × 100000 pixels: want at most"},
		{"unknown image", "coco", cocoFile(`{"id":1,"image_id":7,"category_id":1,"bbox":[0,0,1,1]}`), "annotations[0]: there is no image of the id 7"},
		{"unknown category", "coco", cocoFile(`{"id":1,"image_id":1,"category_id":9,"bbox":[0,0,1,1]}`), "annotations[0]: there is no category of the id 9"},
		{"three numbers", "coco", cocoFile(`{"id":1,"image_id":1,"category_id":1,"bbox":[0,0,1]}`), "annotations[0]: bbox: want 4 numbers, have 3"},
		{"text box", "coco", cocoFile(`{"id":1,"image_id":1,"category_id":1,"bbox":"no"}`), "annotations[0]: bbox: want a list of numbers, have a text"},
		{"mask of another size", "coco", cocoFile(`{"id":1,"image_id":1,"category_id":1,"segmentation":{"size":[3,2],"counts":[6]}}`), "a mask of 2 × 3 pixels in an image of 40 × 30"},
		{"run lengths", "coco", cocoFile(`{"id":1,"image_id":1,"category_id":1,"segmentation":{"size":[30,40],"counts":[6]}}`), "annotations[0]: segmentation: "},
		{"odd polygon", "coco", cocoFile(`{"id":1,"image_id":1,"category_id":1,"segmentation":[[1,2,3,4,5,6,7]]}`), "a polygon of 7 numbers: want x, y"},
		{"half a key point", "coco", cocoFile(`{"id":1,"image_id":1,"category_id":1,"keypoints":[1,2]}`), "annotations[0]: keypoints: "},

		{"no yaml", "yolo", map[string]string{"a.ppm": tiny}, "no data.yaml"},
		{"bad yaml", "yolo", map[string]string{"data.yaml": "names: [a"}, "data.yaml: not YAML"},
		{"no names", "yolo", map[string]string{"data.yaml": "train: images\n"}, "there are no names"},
		{"no folder", "yolo", map[string]string{"data.yaml": "names: [a]\ntrain: images\n"}, `train: "images": no such folder`},
		{"folder outside", "yolo", map[string]string{"data.yaml": "names: [a]\ntrain: ../..\n"}, "train: "},
		{"unknown class", "yolo", labelFile("2 0.5 0.5 0.1 0.1"), "labels/train/a.txt:2: there is no class 2: data.yaml has 2 names"},
		{"no number", "yolo", labelFile("0 0.5 x 0.1 0.1"), `labels/train/a.txt:2: "x": want a number`},
		{"NaN", "yolo", labelFile("0 0.5 NaN 0.1 0.1"), `"NaN": want a number`},
		{"three numbers", "yolo", labelFile("0 0.5 0.5 0.1"), "3 numbers after the class: want 4"},
		{"two points", "yolo", labelFile("0 0.5 0.5 0.1 0.1 0.2 0.2 0.1"), "want x and y of at least 3 points"},
		{"bad pose", "yolo", map[string]string{"data.yaml": "names: [a]\ntrain: .\nkpt_shape: [2]\n"}, "kpt_shape [2]: want"},

		{"no XML", "voc", map[string]string{"a.ppm": tiny}, "there are no XML files"},
		{"cut XML", "voc", map[string]string{"a.xml": "<annotation>\n<object>"}, "a.xml:2: not XML of an annotation"},
		{"other XML", "voc", map[string]string{"a.xml": "<html/>"}, "not XML of an annotation"},
		{"missing image", "voc", map[string]string{"Annotations/a.xml": "<annotation><filename>a.jpg</filename></annotation>"}, `Annotations/a.xml: media file "JPEGImages/a.jpg": no such file`},
		{"no box", "voc", objectXML(""), "Annotations/a.xml: object 1: there is no bndbox"},
		{"no number", "voc", objectXML("<bndbox><xmin>a</xmin></bndbox>"), `bndbox: xmin "a": want a number`},
		{"turned box", "voc", objectXML("<bndbox><xmin>9</xmin><ymin>1</ymin><xmax>1</xmax><ymax>2</ymax></bndbox>"), "want the smaller numbers first"},
		{"outside", "voc", map[string]string{"a.xml": "<annotation><filename>../../x.jpg</filename></annotation>"}, "leads out of the source"},

		{"no file", "json", map[string]string{"a.ppm": tiny}, "no file *.json"},
		{"cut", "json", map[string]string{"a.json": `{"items":[{"id":"a"`}, "a.json:1: not JSON"},
		{"not rows", "json", map[string]string{"a.json": `{"items":{}}`}, "want a JSON list"},
		{"no id", "jsonl", map[string]string{"a.jsonl": "{\"split\":\"x\"}\n"}, "a.jsonl:1: the item has no id"},
		{"bad box", "jsonl", map[string]string{"a.jsonl": `{"id":"a","split":"x","bboxes":[{"id":"b","item_ref":{"name":"item","id":"a"},"view_ref":{"name":"","id":""},"entity_ref":{"name":"","id":""},"source_ref":{"name":"","id":""},"inference_metadata":"{}","coords":[1],"format":"xywh","is_normalized":false,"confidence":1.0}]}`}, "a.jsonl:1: bboxes: BBox.coords"},
		{"dangling", "jsonl", map[string]string{"a.jsonl": `{"id":"a","split":"x","objects":[{"id":"b","item_ref":{"name":"item","id":"none"},"view_ref":{"name":"","id":""},"parent_ref":{"name":"","id":""}}]}`}, `objects "b": item_ref: no row "none" in table item`},
	} {
		t.Run(test.format+" "+test.name, func(t *testing.T) {
			data := dataDir(t)
			f, err := ByName(test.format)
			if err != nil {
				t.Fatal(err)
			}
			o := exchange.ImportOptions{Format: f, Source: source(t, test.files), Dataset: filepath.Join(data, "library", "d"), MediaDir: filepath.Join(data, "media")}
			if strings.Contains(test.name, "question") || strings.Contains(test.name, "explanation") {
				o.Type = folder.VQA
			}
			before := listing(t, data)
			_, err = exchange.Import(t.Context(), o)
			if err == nil {
				t.Fatalf("no error, want %q", test.want)
			}
			if !strings.Contains(err.Error(), test.want) || len(err.Error()) > 2000 {
				t.Errorf("the error is %.2000q, want %q", err, test.want)
			}
			if after := listing(t, data); !slices.Equal(before, after) {
				t.Errorf("after the error there are %q, want %q", after, before)
			}
			if test.name != "dangling" { // a plan does not look up references
				if _, planned := exchange.PlanImport(t.Context(), o); planned == nil || planned.Error() != err.Error() {
					t.Errorf("the plan's error is %v, want %v", planned, err)
				}
			}
		})
	}
}

// TestDoubtfulInput imports what is accepted with a warning.
func TestDoubtfulInput(t *testing.T) {
	for _, test := range []struct {
		name, format string
		files        map[string]string
		want         string
		items        int64
	}{
		{"capitals", "folder", map[string]string{"train/A.PPM": tiny, "train/b.Ppm": tiny}, "", 2},
		{"empty metadata", "folder", map[string]string{"train/metadata.jsonl": ""}, "nothing was found: want a directory of split directories", 0},
		{"null is absent", "folder", described(`{"image":"a.ppm","id":null,"split":null,"objects":null}`), "", 2},
		{"dates stay texts", "folder", described(`{"image":"a.ppm","day":"2024-01-02"}`), "", 2},
		{"space in name", "folder", map[string]string{"train/a b.ppm": tiny}, "train/a b.ppm: the item id gets _ for spaces", 1},
		{"long line", "folder", described(`{"image":"a.ppm","note":"` + strings.Repeat("x", 10<<20) + `"}`), "", 2},
		{"box outside", "folder", described(`{"image":"a.ppm","objects":{"bboxes":[[30,20,20,20]]}}`), "metadata.jsonl:2: bboxes: a box reaches out of its image of 40 × 30 pixels", 2},
		{"link outside", "folder", map[string]string{"train/a.ppm": tiny, "train/b.ppm": "-> /etc/hostname"}, "train/b.ppm: left out: the link leads to no file of the source", 1},
		{"link loop", "folder", map[string]string{"train/a.ppm": tiny, "train/more": "-> ../train"}, "train/more: left out: the link leads to no file of the source", 1},
		{"cut png", "folder", map[string]string{"train/a.png": "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x03\x00\x00\x00\x02\x08\x02\x00\x00\x00\x12\x16\xf1\x4d"}, "the PNG file seems to be cut off", 1},
		{"box outside", "coco", cocoFile(`{"id":1,"image_id":1,"category_id":1,"bbox":[30,20,20,20]}`), "train.json: annotations[0]: a box reaches out of its image of 40 × 30 pixels", 1},
		{"box begins outside", "coco", cocoFile(`{"id":1,"image_id":1,"category_id":1,"bbox":[-3,20,20,5]}`), "a box that begins outside of its image was cut", 1},
		{"negative size", "coco", cocoFile(`{"id":1,"image_id":1,"category_id":1,"bbox":[3,20,-20,5]}`), "a box of the size -20 × 5 was left out", 1},
		{"two points", "coco", cocoFile(`{"id":1,"image_id":1,"category_id":1,"bbox":[3,20,2,5],"segmentation":[[1,2,3,4]]}`), "a polygon of 2 points was left out", 1},
		{"files beside", "folder", map[string]string{"train/a.ppm": tiny, "b.ppm": tiny, "metadata.jsonl": "{}"}, "files beside the folders of the splits were left out: 2, such as b.ppm", 1},
		{"other metadata", "folder", map[string]string{"train/a.ppm": tiny, "train/metadata.json": "[]"}, "train/metadata.json: left out: want metadata in train/metadata.jsonl", 1},
		{"clipped", "yolo", labelFile("1 0.9 0.9 0.4 0.4"), "labels/train/a.txt:2: what reaches out of the image was cut", 1},
		{"wrong nc", "yolo", map[string]string{"data.yaml": "train: images\nnames: [car]\nnc: 7\n", "images/a.ppm": tiny}, "nc is 7, and there are 1 names", 1},
		{"no labels", "yolo", map[string]string{"data.yaml": "train: images\nnames: [car]\n", "images/a.ppm": tiny}, "", 1},
		{"box outside", "voc", objectXML("<bndbox><xmin>30</xmin><ymin>20</ymin><xmax>50</xmax><ymax>25</ymax></bndbox>"), "Annotations/a.xml: object 1: the box reaches out of its image", 1},
	} {
		t.Run(test.format+" "+test.name, func(t *testing.T) {
			data := dataDir(t)
			f, err := ByName(test.format)
			if err != nil {
				t.Fatal(err)
			}
			o := exchange.ImportOptions{Format: f, Source: source(t, test.files), Dataset: filepath.Join(data, "library", "d"), MediaDir: filepath.Join(data, "media")}
			report, err := exchange.Import(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if report.Items != test.items {
				t.Errorf("%d items, want %d", report.Items, test.items)
			}
			var texts []string
			for _, w := range report.Warnings {
				texts = append(texts, w.String())
			}
			if got := strings.Join(texts, "\n"); !strings.Contains(got, test.want) || test.want == "" && got != "" {
				t.Errorf("warnings %q, want %q", got, test.want)
			}
			ds, err := dataset.Open(t.Context(), o.Dataset, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer ds.Close()
			for v, err := range ds.Check(t.Context()) {
				t.Errorf("%v %v", v, err)
			}
		})
	}
}
