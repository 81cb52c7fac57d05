package onnx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/inference"
	"pixano/internal/fetched"
)

const toys = "testdata/models"

// provider returns one with the toy models and, after them, those that were fetched. It needs the runtime.
func provider(t testing.TB, dirs ...string) *Provider {
	t.Helper()
	fetched.Dir(t, "onnxruntime")
	p := New(&Options{Dirs: append(dirs, toys)})
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := p.Runtime(); err != nil {
		t.Fatal(err)
	}
	return p
}

// canvas is a picture of one colour with rectangles of others.
func canvas(w, h int, background color.Color, parts ...any) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	draw.Draw(m, m.Rect, image.NewUniform(background), image.Point{}, draw.Src)
	for i := 0; i < len(parts); i += 2 {
		draw.Draw(m, parts[i].(image.Rectangle), image.NewUniform(parts[i+1].(color.Color)), image.Point{}, draw.Src)
	}
	return m
}

var (
	red    = color.NRGBA{255, 0, 0, 255}
	green  = color.NRGBA{0, 255, 0, 255}
	blue   = color.NRGBA{0, 0, 255, 255}
	yellow = color.NRGBA{255, 255, 0, 255}
	white  = color.NRGBA{255, 255, 255, 255}
)

func picture(t testing.TB, m image.Image) *inference.Image {
	t.Helper()
	img, err := inference.ImageOf(m)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestScan(t *testing.T) {
	models, err := Scan(toys)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range models {
		line := fmt.Sprintf("%s %s", m.Name, m.Family)
		if m.Function != nil {
			line += fmt.Sprintf(" %s %v", m.Function.Name, m.Function.Model)
		}
		if m.Labels != nil {
			line += " " + strings.Join(m.Labels, "|")
		}
		got = append(got, line)
	}
	want := []string{
		"toy-clip clip toy-clip map[]",
		"toy-clip-one clip toy-clip-one map[]",
		"toy-mobilesam sam",
		"toy-sam sam",
		"toy-sam2 sam2",
		"toy-sentence sentence sentence-transformers map[name:toy-sentence]",
		"toy-yolo3 yolo-v3 red|green|driver's blue",
		"toy-yolo8 yolo red|green|driver's blue",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestScanNames: files of one model are found by their names in the ways in which exports are named.
func TestScanNames(t *testing.T) {
	dir := t.TempDir()
	for to, from := range map[string]string{
		"sam_vit_b.encoder.onnx": "toy-sam-encoder", "sam_vit_b.decoder.onnx": "toy-sam-decoder",
		"vit/onnx/vision_model.onnx": "toy-clip-vision", "vit/onnx/text_model.onnx": "toy-clip-text",
		"clip_visual.onnx": "toy-clip-vision", "clip_textual.onnx": "toy-clip-text",
		"hiera/encoder.onnx": "toy-sam2-encoder", "hiera/decoder.onnx": "toy-sam2-decoder",
		"best.onnx": "toy-yolo8",
	} {
		copyFile(t, filepath.Join(toys, from+".onnx"), filepath.Join(dir, to))
	}
	copyFile(t, filepath.Join(toys, "toy-sam-encoder.onnx"), filepath.Join(dir, "alone-encoder.onnx"))
	models, err := Scan(dir)
	if err == nil || !strings.Contains(err.Error(), `model "alone": no decoder beside`) {
		t.Errorf("got the error %v, want one about the encoder that is alone", err)
	}
	var got []string
	for _, m := range models {
		got = append(got, fmt.Sprintf("%s %s %d", m.Name, m.Family, len(m.Files)))
	}
	if diff := cmp.Diff([]string{"best yolo 1", "clip clip 2", "hiera sam2 2", "sam_vit_b sam 2", "vit clip 2"}, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	raw, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, to, raw)
}

func writeFile(t testing.TB, to string, raw []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, raw, 0o644); err != nil {
		t.Fatal(err)
	}
}

func dot(a, b []float32) float64 {
	var sum float64
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

// TestMiniLM: the real model gives the vectors that the Python programs give.
func TestMiniLM(t *testing.T) {
	fetched.Dir(t, "all-minilm-l6-v2")
	p := provider(t)
	texts := []string{"a red car on the road", "an automobile driving on a street", "microscope image of blood cells", "", strings.Repeat("word ", 1000)}
	r, err := inference.Embed(t.Context(), p, &inference.EmbeddingRequest{Model: "all-minilm-l6-v2", Texts: texts})
	if err != nil {
		t.Fatal(err)
	}
	v := r.Vectors
	for i, want := range []float64{-0.0466, 0.0031, -0.0667, 0.0771} {
		if got := float64(v[0][i]); math.Abs(got-want) > 1e-4 {
			t.Errorf("value %d: %.4f, want %.4f", i, got, want)
		}
	}
	// Within a batch shorter texts are filled up; int8 scales by the batch, hence the tolerance.
	for _, test := range []struct {
		a, b int
		want float64
	}{{0, 1, 0.679}, {0, 2, 0.046}, {0, 0, 1}, {4, 4, 1}} {
		if got := dot(v[test.a], v[test.b]); math.Abs(got-test.want) > 0.02 {
			t.Errorf("cosine of %d and %d: %.3f, want %.3f", test.a, test.b, got, test.want)
		}
	}
	if r.Metadata["name"] != "all-minilm-l6-v2" || r.Metadata["provider"] != "local" || r.ProcessingTime <= 0 {
		t.Errorf("metadata %v, %v", r.Metadata, r.ProcessingTime)
	}
}

func TestToySentence(t *testing.T) {
	p := provider(t)
	r, err := inference.Embed(t.Context(), p, &inference.EmbeddingRequest{Model: "toy-sentence", Texts: []string{"a red car", "Crimson vehicles", "dog", "red"}})
	if err != nil {
		t.Fatal(err)
	}
	v := r.Vectors
	if near, far := dot(v[0], v[1]), dot(v[0], v[2]); near < 0.9 || far > 0.1 {
		t.Errorf("cosines %.2f and %.2f, want near 1 and near 0", near, far)
	}
	if math.Abs(dot(v[3], v[3])-1) > 1e-6 {
		t.Errorf("length² %f, want 1", dot(v[3], v[3]))
	}
}

// TestToyCLIP finds pictures by the words for their colours, with a model in two files and in one.
func TestToyCLIP(t *testing.T) {
	p := provider(t)
	for _, model := range []string{"toy-clip", "toy-clip-one"} {
		pictures := []*inference.Image{picture(t, canvas(300, 200, red)), picture(t, canvas(224, 224, blue)), picture(t, canvas(90, 400, yellow))}
		images, err := inference.Embed(t.Context(), p, &inference.EmbeddingRequest{Model: model, Images: pictures, Normalize: true})
		if err != nil {
			t.Fatal(err)
		}
		texts, err := inference.Embed(t.Context(), p, &inference.EmbeddingRequest{Model: model, Texts: []string{"a photo of a red car", "the blue sea", "yellow flower"}, Normalize: true})
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range texts.Vectors {
			for k, img := range images.Vectors {
				want := 0.01
				if i == k {
					want = 1
				}
				if got := dot(text, img); math.Abs(got-want) > 0.02 {
					t.Errorf("%s: cosine of text %d and picture %d: %.3f, want %.2f", model, i, k, got, want)
				}
			}
		}
	}
}

// wrong counts the pixels of a mask that are not as the part has them, leaving out those at its edges: the models look at
// cells of 16 pixels of their input, and between the cells it is linear.
func wrong(t *testing.T, m inference.Mask, part image.Rectangle) (missing, beside int) {
	t.Helper()
	bits, err := m.Bitmap()
	if err != nil {
		t.Fatal(err)
	}
	cell := 2 * 16 * max(m.Width, m.Height) / samInput
	for i, b := range bits {
		at := image.Pt(i%m.Width, i/m.Width)
		switch {
		case b == 0 && at.In(part.Inset(cell)):
			missing++
		case b != 0 && !at.In(part.Inset(-cell)):
			beside++
		}
	}
	return missing, beside
}

// TestToySAM: one click on a rectangle gives the rectangle, in pictures of all shapes, with each family.
func TestToySAM(t *testing.T) {
	p := provider(t)
	for _, model := range []string{"toy-sam", "toy-mobilesam", "toy-sam2"} {
		for _, size := range []image.Point{{512, 512}, {640, 480}, {300, 900}, {1920, 1080}} {
			part := image.Rect(size.X/4, size.Y/4, size.X*3/4, size.Y/2)
			img := picture(t, canvas(size.X, size.Y, white, part, red))
			middle := inference.Point{X: size.X / 2, Y: size.Y * 3 / 8}
			for name, prompt := range map[string]inference.Prompt{
				"point":      {Points: []inference.Point{middle}},
				"box":        {Box: part.Inset(-3)},
				"background": {Points: []inference.Point{middle, {X: 2, Y: 2, Background: true}}},
			} {
				r, err := inference.ImageMask(t.Context(), p, &inference.ImageMaskRequest{Model: model, Image: img, Prompts: []inference.Prompt{prompt}})
				if err != nil {
					t.Fatal(err)
				}
				if missing, beside := wrong(t, r.Masks[0][0], part); missing > 0 || beside > 0 {
					t.Errorf("%s, %v, %s: %d pixels missing, %d outside", model, size, name, missing, beside)
				}
				if math.Abs(r.Masks[0][0].Score-0.9) > 1e-6 {
					t.Errorf("%s: score %v, want 0.9", model, r.Masks[0][0].Score)
				}
			}
		}
	}
}

// TestSAMBoxCut: a model that knows no boxes gives a mask that is cut off at the box.
func TestSAMBoxCut(t *testing.T) {
	p := provider(t)
	img := picture(t, canvas(400, 400, red))
	box := image.Rect(100, 50, 200, 250)
	for _, model := range []string{"toy-sam", "toy-sam2"} {
		r, err := inference.ImageMask(t.Context(), p, &inference.ImageMaskRequest{Model: model, Image: img, Prompts: []inference.Prompt{{Box: box}}})
		if err != nil {
			t.Fatal(err)
		}
		if missing, beside := wrong(t, r.Masks[0][0], box); missing > 0 || beside > 0 {
			t.Errorf("%s: %d pixels missing, %d outside of the box", model, missing, beside)
		}
		if got := r.Masks[0][0].Bounds(); model == "toy-sam" && got != box {
			t.Errorf("the mask fills %v, want the box %v", got, box)
		}
	}
}

// TestSAMFeatures: features that were returned give the same mask, without the encoder.
func TestSAMFeatures(t *testing.T) {
	p := provider(t)
	img := picture(t, canvas(500, 300, white, image.Rect(50, 50, 200, 200), red)).WithID("v1")
	for model, shape := range map[string][]int{"toy-sam": {256, 64, 64}, "toy-sam2": {256, 64, 64}} {
		req := &inference.ImageMaskRequest{Model: model, Image: img, MasksPerPrompt: 1, ReturnFeatures: true,
			Prompts: []inference.Prompt{{Points: []inference.Point{{X: 100, Y: 100}}}, {Points: []inference.Point{{X: 300, Y: 100}}}}}
		first, err := inference.ImageMask(t.Context(), p, req)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(shape, first.Features.Embedding.Shape); diff != "" {
			t.Errorf("%s: -want +got\n%s", model, diff)
		}
		again := *req
		again.Features = first.Features
		second, err := inference.ImageMask(t.Context(), p, &again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first.Masks, second.Masks); diff != "" {
			t.Errorf("%s: other masks from the same features", model)
		}
		again.Features = &inference.Features{Embedding: inference.Tensor{Values: make([]float32, 10), Shape: []int{10, 1, 1}}}
		if _, err := inference.ImageMask(t.Context(), p, &again); !errors.Is(err, inference.ErrInvalidRequest) {
			t.Errorf("%s: wrong features: %v", model, err)
		}
	}
	three, err := inference.ImageMask(t.Context(), p, &inference.ImageMaskRequest{Model: "toy-sam2", Image: img, MasksPerPrompt: 3,
		Prompts: []inference.Prompt{{Points: []inference.Point{{X: 100, Y: 100}}}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(three.Masks[0]) != 3 || three.Best()[0].Score != three.Masks[0][1].Score {
		t.Errorf("%d masks with the best score %v", len(three.Masks[0]), three.Best()[0].Score)
	}
}

// TestFeatureCache: what an encoder computed is kept by the picture's name for each model, within the limit.
func TestFeatureCache(t *testing.T) {
	fetched.Dir(t, "onnxruntime")
	p := New(&Options{Dirs: []string{toys}, FeatureBytes: 2*4<<20 + 1}) // of two pictures
	defer p.Close()
	click := func(model, id string, c color.Color) bool {
		img := picture(t, canvas(64, 64, c)).WithID(id)
		r, err := inference.ImageMask(t.Context(), p, &inference.ImageMaskRequest{Model: model, Image: img,
			Prompts: []inference.Prompt{{Points: []inference.Point{{X: 5, Y: 5}, {X: 60, Y: 60, Background: true}}}}})
		if err != nil {
			t.Fatal(err)
		}
		return r.Masks[0][0].Area() > 0
	}
	click("toy-sam", "v1", red)
	click("toy-sam", "v2", red)
	click("toy-mobilesam", "v1", red)
	if n := len(p.features.items); n != 2 || p.features.bytes != 2*4<<20 {
		t.Errorf("%d pictures of %d bytes are kept, want 2 of 8 MiB", n, p.features.bytes)
	}
	m, _ := p.Find("toy-sam")
	if p.features.get(cacheKey{model: m.Path() + m.stamp, id: "v1"}) != nil {
		t.Error("the picture that was used longest ago is kept")
	}
	if p.features.get(cacheKey{model: m.Path() + m.stamp, id: "v2"}) == nil {
		t.Error("the picture that was used last is not kept")
	}
	for model, want := range map[string]bool{"toy-sam": true, "toy-yolo8": false, "nope": false} {
		if got := p.KeepsPictures(model); got != want {
			t.Errorf("%s keeps pictures: %v, want %v", model, got, want)
		}
	}
}

// TestToyVideo: an object is followed from the frame where it was clicked, forwards and backwards.
func TestToyVideo(t *testing.T) {
	p := provider(t)
	var frames []*inference.Image
	var parts []image.Rectangle
	for i := range 6 {
		part := image.Rect(40+8*i, 60, 140+8*i, 160)
		parts = append(parts, part)
		frames = append(frames, picture(t, canvas(400, 300, white, part, red, image.Rect(300, 200, 350, 250), green)))
	}
	for _, model := range []string{"toy-sam", "toy-sam2"} {
		var progress []int
		r, err := inference.VideoMask(t.Context(), p, &inference.VideoMaskRequest{Model: model, Frames: frames, Prompts: []inference.VideoPrompt{
			{Object: 7, Frame: 2, Prompt: inference.Prompt{Points: []inference.Point{{X: 110, Y: 110}}}},
			{Object: 8, Frame: 0, Prompt: inference.Prompt{Box: image.Rect(295, 195, 355, 255)}},
		}, Progress: func(done, total int) { progress = append(progress, done) }})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[[2]int]bool{}
		for _, m := range r.Masks {
			part := image.Rect(300, 200, 350, 250)
			if m.Object == 7 {
				part = parts[m.Frame]
			}
			seen[[2]int{m.Object, m.Frame}] = true
			if missing, beside := wrong(t, m.Mask, part); missing > 0 || beside > 0 {
				t.Errorf("%s: object %d in frame %d: %d pixels missing, %d outside", model, m.Object, m.Frame, missing, beside)
			}
		}
		if len(seen) != 12 || len(r.Masks) != 12 || !slices.Equal(progress, []int{1, 2, 3, 4, 5, 6}) {
			t.Errorf("%s: %d masks of %d, progress %v", model, len(r.Masks), len(seen), progress)
		}
	}
}

func TestToyYOLO(t *testing.T) {
	p := provider(t)
	a, b := image.Rect(64, 32, 192, 96), image.Rect(256, 192, 320, 256)
	img := picture(t, canvas(640, 320, white, a, red, b, blue))
	for _, model := range []string{"toy-yolo8", "toy-yolo3"} {
		for _, test := range []struct {
			classes []string
			limit   float64
			want    []string
		}{
			{nil, 0.3, []string{"red", "driver's blue"}},
			{[]string{"RED ", "zebra"}, 0, []string{"red"}},
			{[]string{"zebra"}, 0, nil},
			{nil, 0.96, nil},
		} {
			r, err := inference.Detect(t.Context(), p, &inference.DetectionRequest{Model: model, Image: img, Classes: test.classes, BoxThreshold: test.limit})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range r.Detections {
				want := a
				if d.Class == "driver's blue" {
					want = b
				}
				got = append(got, d.Class)
				if math.Abs(d.Score-0.95) > 0.01 || iou(asCandidate(d.Box), asCandidate(want)) < 0.5 {
					t.Errorf("%s: %v", model, d)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s, %v, %v: -want +got\n%s", model, test.classes, test.limit, diff)
			}
		}
	}
}

func asCandidate(r image.Rectangle) candidate {
	return candidate{left: float64(r.Min.X), top: float64(r.Min.Y), right: float64(r.Max.X), bottom: float64(r.Max.Y)}
}

// TestYOLOv3 finds people and a bus in photographs, with real weights.
func TestYOLOv3(t *testing.T) {
	fetched.Dir(t, "yolov3-tiny")
	p := provider(t)
	type found struct {
		class string
		score float64
		box   image.Rectangle
	}
	for photo, want := range map[string][]found{
		"bus.jpg": {{"person", 0.97, image.Rect(46, 407, 210, 892)}, {"person", 0.79, image.Rect(685, 487, 810, 883)},
			{"person", 0.69, image.Rect(726, 536, 777, 826)}, {"bus", 0.59, image.Rect(0, 234, 810, 736)}, {"person", 0.54, image.Rect(217, 447, 390, 780)}},
		"zidane.jpg": {{"person", 0.92, image.Rectangle{}}, {"person", 0.74, image.Rectangle{}}, {"person", 0.39, image.Rectangle{}}, {"tie", 0.33, image.Rectangle{}}},
	} {
		raw, err := os.ReadFile(filepath.Join(fetched.Dir(t, "photos"), photo))
		if err != nil {
			t.Fatal(err)
		}
		img, err := inference.NewImage(raw)
		if err != nil {
			t.Fatal(err)
		}
		r, err := inference.Detect(t.Context(), p, &inference.DetectionRequest{Model: "yolov3-tiny", Image: img, BoxThreshold: 0.25})
		if err != nil {
			t.Fatal(err)
		}
		t.Log(photo, r.Detections)
		for _, w := range want {
			if !slices.ContainsFunc(r.Detections, func(d inference.Detection) bool {
				return d.Class == w.class && math.Abs(d.Score-w.score) < 0.08 && (w.box.Empty() || iou(asCandidate(d.Box), asCandidate(w.box)) > 0.85)
			}) {
				t.Errorf("%s: no %v among %v", photo, w, r.Detections)
			}
		}
	}
}

// TestBadModels: what is no model, is cut, or wants other inputs, is an error that says so, and the others can be used.
func TestBadModels(t *testing.T) {
	dir := t.TempDir()
	copyFile(t, filepath.Join(toys, "toy-yolo8.onnx"), filepath.Join(dir, "good.onnx"))
	whole, err := os.ReadFile(filepath.Join(toys, "toy-yolo8.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "cut.onnx"), whole[:len(whole)/2])
	writeFile(t, filepath.Join(dir, "text.onnx"), []byte("no model at all"))
	copyFile(t, filepath.Join(toys, "toy-sentence/model.onnx"), filepath.Join(dir, "nowords.onnx"))
	p := provider(t, dir)
	found, err := p.Found()
	if err == nil || !strings.Contains(err.Error(), "cut.onnx: no ONNX model: the file of") || !strings.Contains(err.Error(), "text.onnx: no ONNX model") {
		t.Errorf("got %v, want what is wrong with cut.onnx and text.onnx", err)
	}
	if !slices.ContainsFunc(found, func(m *Model) bool { return m.Name == "good" }) {
		t.Errorf("the good model is not among %v", found)
	}
	img := picture(t, canvas(64, 64, red))
	for _, test := range []struct {
		model string
		task  inference.Task
		kind  error
		want  string
	}{
		{"good", inference.TaskDetection, nil, ""},
		{"cut", inference.TaskDetection, inference.ErrModelNotFound, "cut.onnx: no ONNX model"},
		{"unknown", inference.TaskDetection, inference.ErrModelNotFound, `no model "unknown" in`},
		{"good", inference.TaskEmbedding, inference.ErrTaskNotSupported, `a model of the family "yolo" has no embedding`},
		{"nowords", inference.TaskEmbedding, nil, "no vocab.txt or tokenizer.json beside it"},
		{"toy-sentence", inference.TaskEmbedding, inference.ErrTaskNotSupported, "embeds texts, no pictures"},
	} {
		var err error
		if test.task == inference.TaskDetection {
			_, err = inference.Detect(t.Context(), p, &inference.DetectionRequest{Model: test.model, Image: img})
		} else {
			_, err = inference.Embed(t.Context(), p, &inference.EmbeddingRequest{Model: test.model, Images: []*inference.Image{img}})
		}
		switch {
		case test.want == "" && err != nil, test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: got %v, want %q", test.model, err, test.want)
		case test.kind != nil && !errors.Is(err, test.kind):
			t.Errorf("%s: %v does not match %v", test.model, err, test.kind)
		}
	}
}

// TestReplacedModel: a file that is replaced while its model is loaded is loaded anew.
func TestReplacedModel(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "swap", "model.onnx")
	copyFile(t, filepath.Join(toys, "toy-yolo8.onnx"), path)
	p := provider(t, dir)
	img := picture(t, canvas(64, 64, red))
	if _, err := inference.Detect(t.Context(), p, &inference.DetectionRequest{Model: "swap", Image: img}); err != nil {
		t.Fatal(err)
	}
	copyFile(t, filepath.Join(toys, "toy-clip-one/model.onnx"), path)
	r, err := inference.Embed(t.Context(), p, &inference.EmbeddingRequest{Model: "swap", Images: []*inference.Image{img}})
	if err != nil || len(r.Vectors[0]) != 11 {
		t.Errorf("%v, %v", r, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := inference.Detect(t.Context(), p, &inference.DetectionRequest{Model: "swap", Image: img}); !errors.Is(err, inference.ErrModelNotFound) {
		t.Errorf("a model whose file was removed: %v", err)
	}
}

// TestModelsJSON: mistakes in models.json are told with their place.
func TestModelsJSON(t *testing.T) {
	for _, test := range []struct{ file, want string }{
		{`{"models": [`, "models.json: unexpected EOF"},
		{`{"models": [{"name": "m"}]}`, `model "m": want a name and files`},
		{`{"models": [{"name": "m", "files": {"model": "../x.onnx"}}]}`, `file "../x.onnx": want one in the directory of models`},
		{`{"models": [{"name": "m", "files": {"model": "x.onnx"}}]}`, "no such file"},
		{`{"models": [{"name": "m", "file": {}}]}`, `unknown field "file"`},
		{`{"models": [{"name": "m", "family": "sam", "files": {"model": "toy-yolo8.onnx"}}]}`, `is not the model of a model of the family "sam"`},
		{`{"models": [{"name": "m", "files": {"model": "toy-yolo8.onnx"}, "labels": ["a"]}]}`, `model "m": 1 labels for 3 classes`},
	} {
		dir := t.TempDir()
		copyFile(t, filepath.Join(toys, "toy-yolo8.onnx"), filepath.Join(dir, "toy-yolo8.onnx"))
		writeFile(t, filepath.Join(dir, ConfigFile), []byte(test.file))
		if _, err := Scan(dir); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", test.file, err, test.want)
		}
	}
}

// TestBadPictures: a damaged file is an error that names which.
func TestBadPictures(t *testing.T) {
	p := provider(t)
	var file bytes.Buffer
	if err := png.Encode(&file, canvas(300, 300, red)); err != nil {
		t.Fatal(err)
	}
	cut, err := inference.NewImage(file.Bytes()[:file.Len()/2])
	if err != nil {
		t.Fatal(err)
	}
	_, err = inference.Embed(t.Context(), p, &inference.EmbeddingRequest{Model: "toy-clip", Images: []*inference.Image{picture(t, canvas(9, 9, red)), cut}})
	if !errors.Is(err, inference.ErrInvalidRequest) || !strings.Contains(err.Error(), "picture 2 of 2: damaged picture") {
		t.Errorf("got %v", err)
	}
	for _, size := range []image.Point{{1, 1}, {1, 5000}, {5000, 2}} {
		img := picture(t, canvas(size.X, size.Y, red))
		if _, err := inference.Embed(t.Context(), p, &inference.EmbeddingRequest{Model: "toy-clip", Images: []*inference.Image{img}}); err != nil {
			t.Errorf("%v: %v", size, err)
		}
		if _, err := inference.ImageMask(t.Context(), p, &inference.ImageMaskRequest{Model: "toy-sam", Image: img, Prompts: []inference.Prompt{{Points: []inference.Point{{}}}}}); err != nil {
			t.Errorf("%v: %v", size, err)
		}
		if _, err := inference.Detect(t.Context(), p, &inference.DetectionRequest{Model: "toy-yolo8", Image: img}); err != nil {
			t.Errorf("%v: %v", size, err)
		}
	}
}

func TestCancelled(t *testing.T) {
	p := provider(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := inference.Embed(ctx, p, &inference.EmbeddingRequest{Model: "toy-sentence", Texts: []string{"red"}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestClosed(t *testing.T) {
	p := provider(t)
	req := &inference.EmbeddingRequest{Model: "toy-sentence", Texts: []string{"red"}}
	if _, err := inference.Embed(t.Context(), p, req); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := inference.Embed(t.Context(), p, req); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
