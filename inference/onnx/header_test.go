package onnx

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/internal/fetched"
)

func TestHeader(t *testing.T) {
	show := func(ports []port) (s []string) {
		for _, p := range ports {
			s = append(s, fmt.Sprintf("%s %d %v", p.name, p.kind, p.shape))
		}
		return s
	}
	for file, want := range map[string][][]string{
		"testdata/models/toy-clip-text.onnx": {{"input_ids 7 [-1 -1]"}, {"text_embeds 1 [-1 11]"}},
		"testdata/models/toy-sam-decoder.onnx": {{"image_embeddings 1 [1 256 64 64]", "point_coords 1 [1 -1 2]", "point_labels 1 [1 -1]",
			"mask_input 1 [1 1 256 256]", "has_mask_input 1 [1]", "orig_im_size 1 [2]"},
			{"masks 1 [1 1 -1 -1]", "iou_predictions 1 [1 1]", "low_res_masks 1 [1 1 256 256]"}},
	} {
		h, err := readHeader(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, [][]string{show(h.inputs), show(h.outputs)}); diff != "" {
			t.Errorf("%s: -want +got\n%s", file, diff)
		}
		if h.opset != 13 {
			t.Errorf("%s: opset %d, want 13", file, h.opset)
		}
	}
}

func TestHeaderOfRealModel(t *testing.T) {
	h, err := readHeader(filepath.Join(fetched.Dir(t, "all-minilm-l6-v2"), "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	if h.input("input_ids") == nil || h.input("attention_mask") == nil || h.output("last_hidden_state") == nil || len(h.inputs) != 3 {
		t.Errorf("inputs %v, outputs %v", h.inputs, h.outputs)
	}
}

// TestHeaderCut: a file that was cut anywhere is no model.
func TestHeaderCut(t *testing.T) {
	whole, err := os.ReadFile("testdata/models/toy-sam-decoder.onnx")
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) {
		h, err := decodeHeader(bytes.NewReader(whole[:n]), int64(n))
		// The file ends with the operators' version, which a cut can take away as a whole.
		if err == nil && h.opset == 0 {
			continue
		}
		if !errors.Is(err, errNoModel) {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
	}
}

func FuzzHeader(f *testing.F) {
	files, err := filepath.Glob("testdata/models/*.onnx")
	if err != nil || len(files) < 4 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		h, err := decodeHeader(bytes.NewReader(file), int64(len(file)))
		if err == nil && (len(h.inputs) == 0 || len(h.outputs) == 0) {
			t.Errorf("a model without inputs or outputs: %+v", h)
		}
	})
}
