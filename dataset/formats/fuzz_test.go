package formats

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"pixano/dataset/exchange"
	"pixano/dataset/folder"
)

// fuzzPlan plans the import of a source one of whose files is anything. It must not panic, nor make rows that a build
// refuses without saying so.
func fuzzPlan(f *testing.F, format, file string, beside map[string]string, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	dir := f.TempDir()
	src, media := filepath.Join(dir, "src"), filepath.Join(dir, "media")
	for name, content := range beside {
		path := filepath.Join(src, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			f.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			f.Fatal(err)
		}
	}
	path := filepath.Join(src, filepath.FromSlash(file))
	for _, d := range []string{filepath.Dir(path), media, filepath.Join(dir, "library")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			f.Fatal(err)
		}
	}
	by, err := ByName(format)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		report, err := exchange.PlanImport(t.Context(), exchange.ImportOptions{Format: by, Source: src,
			Dataset: filepath.Join(dir, "library", "d"), MediaDir: media, SkipMissing: true})
		if (report == nil) == (err == nil) {
			t.Errorf("report %v and error %v", report, err)
		}
		if err != nil && len(err.Error()) > 5000 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	})
}

func FuzzFolder(f *testing.F) {
	fuzzPlan(f, "folder", "train/metadata.jsonl", map[string]string{"train/a.ppm": tiny},
		`{"image":"a.ppm","objects":{"bboxes":[[0.1,0.2,0.3,0.4],{"coords":[1,2,3,4],"format":"xyxy","is_normalized":false}],"category":["car","dog"]}}`,
		`{"image":["a.ppm"],"objects":{"masks":[[[1,1,9,1,9,9]],{"size":[30,40],"counts":[1200]}]}}`,
		`{"image":"a.ppm","conversations":[[{"question":{"content":"<image 1> q","choices":["a"]},"responses":[{"content":"a"}]}]]}`,
		"{\"id\":null}\n\n{} {}", `{"image":"a.ppm","image":1}`)
}

func FuzzCOCO(f *testing.F) {
	fuzzPlan(f, "coco", "train.json", map[string]string{"a.ppm": tiny},
		`{"images":[{"id":1,"file_name":"a.ppm","width":40,"height":30}],"categories":[{"id":1,"name":"car"}],"annotations":[
		{"id":1,"image_id":1,"category_id":1,"bbox":[1,2,3,4],"segmentation":[[1,1,9,1,9,9]],"keypoints":[1,2,2],"attributes":{"a":1}},
		{"id":2,"image_id":1,"segmentation":{"size":[30,40],"counts":"a97g0"},"iscrowd":1},{"image_id":1,"caption":"x"}]}`,
		`{"images":[{"id":"v","view":"image","file_name":"a.ppm"}],"annotations":[{"id":"v_e","image_id":"v","category_name":"x","pixano_entity_id":"e","pixano_bbox":{"coords":[0,0,1,1],"format":"xyxy","is_normalized":true},"bbox":[0,0,1,1],"pixano_bbox_id":"b"}]}`)
}

func FuzzYOLOLabels(f *testing.F) {
	fuzzPlan(f, "yolo", "labels/train/a.txt", map[string]string{"data.yaml": "train: images/train\nnames: [car, dog]\n", "images/train/a.ppm": tiny},
		"0 0.5 0.5 0.1 0.1\n1 0.5 0.5 0.1 0.1 0.9", "0 0.1 0.1 0.2 0.2 0.3 0.1", "1e0 -1 2 3 4")
}

func FuzzYOLOConfig(f *testing.F) {
	fuzzPlan(f, "yolo", "data.yaml", map[string]string{"images/train/a.ppm": tiny, "labels/train/a.txt": "0 0.5 0.5 0.1 0.1 0.1 0.1 2"},
		"train: images/train\nnames: {0: car}\nkpt_shape: [1, 3]\n", "path: ..\ntrain: [images/train, ../x]\nnames: [a]\nnc: 2", "names: &a [*a]", "train: x.txt\nnames: [a]")
}

func FuzzVOC(f *testing.F) {
	fuzzPlan(f, "voc", "Annotations/a.xml", map[string]string{"JPEGImages/a.ppm": tiny, "ImageSets/Main/train.txt": "a\n"},
		"<annotation><filename>a.ppm</filename><size><width>40</width><height>30</height></size><object><name>car</name><truncated>1</truncated><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></object></annotation>",
		"<annotation/>", "<?xml version='1.0' encoding='latin1'?><annotation>")
}

func FuzzJSON(f *testing.F) {
	fuzzPlan(f, "json", "train.json", nil,
		`{"info":{"name":"x"},"annotations":{"bboxes":[]},"items":[{"id":"i","split":"train","n":1.5}],"entities":{},"views":{"image":[{"id":"v","item_ref":{"name":"item","id":"i"},"parent_ref":{"name":"","id":""},"url":"http://x/y","width":1,"height":2,"format":"PNG"}]},"sources":[{"id":"s","name":"b","kind":"other","metadata":"{}"}]}`)
}

func FuzzJSONL(f *testing.F) {
	fuzzPlan(f, "jsonl", "train.jsonl", nil,
		`{"id":"i","split":"train","image":null,"objects":[{"id":"o","item_ref":{"name":"item","id":"i"},"view_ref":{"name":"","id":""},"parent_ref":{"name":"","id":""},"tags":["a"]}],"n":1}`)
}

// FuzzSchema reads schemas. One that is read is written and read again as the same.
func FuzzSchema(f *testing.F) {
	f.Add([]byte(`{"extends":"image","item":{"a":"str"},"tables":{"objects":{"base":"Entity","many":true,"fields":{"c":"list[int]"}},"v":{"base":"ViewEmbedding","dim":4}}}`))
	f.Add(folder.DefaultSchema(folder.VQA, false).Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := folder.ParseSchema(data)
		if err != nil {
			return
		}
		again, err := folder.ParseSchema(s.Encode())
		if err != nil || !again.Equal(s) {
			t.Errorf("%s is not read again: %v", s.Encode(), err)
		}
	})
}

// FuzzAppendJSON writes JSON in both styles, which mean the same and look as Python's.
func FuzzAppendJSON(f *testing.F) {
	f.Add([]byte(`{"a": [1, {"b": [], "c": {}}, "é\n\u0001"], "😀": null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var v any
		if json.Unmarshal(data, &v) != nil || !json.Valid(data) {
			return
		}
		plain, err := json.Marshal(v)
		if err != nil {
			return
		}
		want, err := json.MarshalIndent(v, "", "    ")
		if err != nil {
			t.Fatal(err)
		}
		got := exchange.AppendJSON(nil, plain, exchange.JSONStyle{Indent: true})
		line := exchange.AppendJSON(nil, plain, exchange.JSONStyle{})
		for _, text := range [][]byte{got, line} {
			var again any
			if err := json.Unmarshal(text, &again); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			normal, err := json.Marshal(again)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(normal, plain) {
				t.Errorf("%s means %s, want %s", text, normal, plain)
			}
			if bytes.ContainsFunc(text, func(r rune) bool { return r > 126 }) {
				t.Errorf("%s is not ASCII", text)
			}
		}
		if ascii := !bytes.ContainsFunc(want, func(r rune) bool { return r > 126 }); ascii && !bytes.Equal(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// FuzzImageInfo reads the heads of images.
func FuzzImageInfo(f *testing.F) {
	for _, s := range []string{tiny, "8BPS\x00\x01\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x05\x00\x00\x00\x07\x00\x08\x00\x03", "GIF89a\x05\x00\x07\x00\x00\x00\x00", "\x00\x00\x01\x00\x01\x00\x10\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		info, err := exchange.ReadImageInfo(bytes.NewReader(data))
		if err == nil && (info.Width <= 0 || info.Height <= 0 || info.Format == "") {
			t.Errorf("read %+v", info)
		}
	})
}
