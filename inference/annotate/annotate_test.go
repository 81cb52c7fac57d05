package annotate_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/features"
	"pixano/inference"
	"pixano/inference/annotate"
	"pixano/inference/grabcut"
	"pixano/inference/pixanoserver"
	"pixano/schema"
)

// object is an entity class with a place for the name of its class.
type object struct {
	schema.Entity
	Category string
}

// scene is the items of the test datasets.
type scene struct {
	schema.Item
	Image    schema.Image
	Frames   []schema.SequenceFrame
	Caption  schema.Text
	Objects  []object
	Chats    []schema.Conversation
	Boxes    []schema.BBox
	Masks    []schema.CompressedRLE
	Labels   []schema.Classification
	Messages []schema.Message
}

// square is where the one red square of picture i is: pictures are 64 by 48 and black.
func square(i int) image.Rectangle { return image.Rect(4+i%40, 6, 20+i%40, 22) }

func pictureFile(t *testing.T, r image.Rectangle) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 64, 48))
	draw.Draw(img, img.Rect, image.Black, image.Point{}, draw.Src)
	draw.Draw(img, r, image.NewUniform(color.RGBA{220, 30, 20, 255}), image.Point{}, draw.Src)
	var buf bytes.Buffer
	if err := png.Encode(&buf, img); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// newDataset makes a dataset of n items, each with a picture.
func newDataset(t *testing.T, n int) *dataset.Dataset {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ds")
	ds, err := dataset.Create(t.Context(), dir, scene{}, dataset.Info{ID: "ds"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ds.Close() })
	if err := os.Mkdir(ds.MediaDir(), 0o755); err != nil {
		t.Fatal(err)
	}
	var items []schema.Item
	var images []schema.Image
	for i := range n {
		id := fmt.Sprintf("i%02d", i)
		if err := os.WriteFile(filepath.Join(ds.MediaDir(), id+".png"), pictureFile(t, square(i)), 0o644); err != nil {
			t.Fatal(err)
		}
		items = append(items, schema.NewItem(id))
		images = append(images, schema.Image{View: schema.View{ID: "v" + id, ItemRef: features.Item(id)}, URL: id + ".png", Width: 64, Height: 48, Format: "PNG"})
	}
	_, err = ds.Apply(t.Context(), dataset.ChangeSet{Changes: []dataset.Change{dataset.Insert("item", items), dataset.Insert("image", images)}})
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

// server is an inference server of generation B with one model, "m". It finds the red square of a picture, as one object of
// each class asked for; gives the box of a prompt as the mask; and answers with what it was told.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	tasks  []string                                             // of the requests
	before func(task string, w http.ResponseWriter, n int) bool // takes the place of the n-th answer if it returns true
}

func newServer(t *testing.T) (*server, annotate.Model) {
	t.Helper()
	s := &server{}
	mux := http.NewServeMux()
	reply := func(w http.ResponseWriter, v any) {
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	mux.HandleFunc("GET /app/models/", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, []map[string]any{{"name": "m", "task": "image_zero_shot_detection"}, {"name": "m", "task": "image_mask_generation"}})
	})
	mux.HandleFunc("GET /app/settings/", func(w http.ResponseWriter, _ *http.Request) { reply(w, map[string]any{"app_name": "test"}) })
	handle := func(task, path string, answer func(r map[string]any) any) {
		mux.HandleFunc("POST /tasks/"+path+"/{$}", func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			s.tasks = append(s.tasks, task)
			n := len(s.tasks)
			before := s.before
			s.mu.Unlock()
			if before != nil && before(task, w, n) {
				return
			}
			var request map[string]any
			if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
				t.Error(err)
			}
			if request["model"] != "m" {
				w.WriteHeader(404)
				reply(w, map[string]any{"detail": fmt.Sprintf("Model %v is not registered.", request["model"])})
				return
			}
			reply(w, map[string]any{"status": "SUCCESS", "timestamp": "2026-03-01T10:00:00", "processing_time": 0.25,
				"metadata": map[string]any{"name": "m"}, "data": answer(request)})
		})
	}
	rle := func(r image.Rectangle) any {
		a := image.NewAlpha(image.Rect(0, 0, 64, 48))
		draw.Draw(a, r, image.Opaque, image.Point{}, draw.Src)
		m, err := features.RLEFromImage(a)
		if err != nil {
			t.Error(err)
		}
		return m
	}
	box := func(v any) image.Rectangle {
		b := v.([]any)
		return image.Rect(int(b[0].(float64)), int(b[1].(float64)), int(b[2].(float64)), int(b[3].(float64)))
	}
	handle("mask", "image/mask_generation", func(r map[string]any) any {
		masks, scores := [][]any{}, []float64{}
		for _, b := range r["boxes"].([]any) {
			masks = append(masks, []any{rle(box(b))})
			scores = append(scores, 0.9)
		}
		return map[string]any{"masks": masks, "scores": map[string]any{"values": scores, "shape": []int{len(scores), 1}}}
	})
	handle("video", "video/mask_generation", func(r map[string]any) any {
		masks, zeros, frames := []any{}, []int{}, []int{}
		for i := range r["video"].([]any) {
			masks, zeros, frames = append(masks, rle(box(r["boxes"].([]any)[0]).Add(image.Pt(i, 0)))), append(zeros, 0), append(frames, i)
		}
		return map[string]any{"masks": masks, "objects_ids": zeros, "frame_indexes": frames}
	})
	handle("detect", "image/zero_shot_detection", func(r map[string]any) any {
		file := r["image"].(string)
		img, err := png.Decode(base64Reader(file[strings.IndexByte(file, ',')+1:]))
		if err != nil {
			t.Error(err)
			return nil
		}
		var found image.Rectangle
		for y := range 48 {
			for x := range 64 {
				if red, _, _, _ := img.At(x, y).RGBA(); red > 0x8000 {
					found = found.Union(image.Rect(x, y, x+1, y+1))
				}
			}
		}
		boxes, scores, classes := [][]int{}, []float64{}, []any{}
		if !found.Empty() {
			for i, c := range r["classes"].([]any) {
				boxes = append(boxes, []int{found.Min.X, found.Min.Y, found.Max.X, found.Max.Y})
				scores, classes = append(scores, 0.75-float64(i)/8), append(classes, c)
			}
		}
		return map[string]any{"boxes": boxes, "scores": scores, "classes": classes}
	})
	handle("chat", "multimodal/text-image/conditional_generation", func(r map[string]any) any {
		var said []string
		for _, m := range r["prompt"].([]any) {
			line := m.(map[string]any)["role"].(string) + ":"
			for _, part := range m.(map[string]any)["content"].([]any) {
				if part := part.(map[string]any); part["type"] == "text" {
					line += " " + part["text"].(string)
				} else {
					line += " PICTURE"
				}
			}
			said = append(said, line)
		}
		return map[string]any{"generated_text": strings.Join(said, "\n"), "usage": map[string]any{"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
			"generation_config": map[string]any{"max_new_tokens": r["max_new_tokens"]}}
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	p, err := pixanoserver.Connect(t.Context(), s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s, annotate.Model{Provider: p, Name: "m"}
}

func view(t *testing.T, ds *dataset.Dataset, id string) annotate.View {
	t.Helper()
	v, err := annotate.ReadView(t.Context(), ds, "image", id)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// oneSource returns the only source of the model.
func oneSource(t *testing.T, ds *dataset.Dataset) features.SourceRef {
	t.Helper()
	var sources []schema.Source
	if err := ds.Get(t.Context(), "source", &sources, dataset.Query{}); err != nil {
		t.Fatal(err)
	}
	if len(sources) != 1 || sources[0].Name != "m" || sources[0].Kind != schema.SourceModel {
		t.Fatalf("sources %+v", sources)
	}
	return features.Source(sources[0].ID)
}

const wantMetadata = `{"name": "m", "processing_time": 0.25, "timestamp": "2026-03-01T10:00:00"}`

// sameJSON compares the text of inference_metadata.
func sameJSON(t *testing.T, got, want string) {
	t.Helper()
	var g, w any
	if err := errors.Join(json.Unmarshal([]byte(got), &g), json.Unmarshal([]byte(want), &w)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("metadata %s", diff)
	}
}

func TestImageMask(t *testing.T) {
	ds := newDataset(t, 2)
	_, model := newServer(t)
	entity := features.Entity("objects", "o1")
	for range 2 {
		row, err := annotate.ImageMask(t.Context(), ds, annotate.MaskRequest{Model: model, View: view(t, ds, "vi01"), Entity: entity,
			Box: &schema.BBox{Coords: []float64{5. / 64, 6. / 48, 16.4 / 64, 16. / 48}, Format: "xywh", IsNormalized: true}})
		if err != nil {
			t.Fatal(err)
		}
		mask, err := row.Mask()
		if err != nil || mask.Bounds() != image.Rect(5, 6, 21, 22) {
			t.Errorf("mask at %v, %v", mask.Bounds(), err)
		}
		source := oneSource(t, ds) // also the second time
		if row.ID == "" || row.ItemRef != features.Item("i01") || row.ViewRef != features.View("image", "vi01") || row.EntityRef != entity || row.SourceRef != source {
			t.Errorf("row %+v", row.Annotation)
		}
		sameJSON(t, row.InferenceMetadata, wantMetadata)
	}
	if n, err := ds.Count(t.Context(), "masks", dataset.Query{}); err != nil || n != 0 {
		t.Errorf("%d masks were stored, %v", n, err)
	}
}

// TestPreview asks for masks and boxes that are only looked at: no source is made for them, whoever finds them.
func TestPreview(t *testing.T) {
	ds := newDataset(t, 2)
	ask := annotate.MaskRequest{Model: annotate.Model{Provider: grabcut.New(), Name: grabcut.Model}, View: view(t, ds, "vi01"),
		Points: []inference.Point{{X: 12, Y: 14}}, Preview: true}
	row, err := annotate.ImageMask(t.Context(), ds, ask)
	if err != nil {
		t.Fatal(err)
	}
	mask, err := row.Mask()
	if err != nil || mask.Bounds() != image.Rect(5, 6, 21, 22) || !row.SourceRef.IsZero() {
		t.Errorf("mask at %v, source %v, %v", mask.Bounds(), row.SourceRef, err)
	}
	_, ask.Model = newServer(t)
	ask.Box = &schema.BBox{Coords: []float64{4, 6, 20, 22}, Format: "xyxy"}
	if row, err = annotate.ImageMask(t.Context(), ds, ask); err != nil || !row.SourceRef.IsZero() {
		t.Errorf("of a server: %v, %v", row, err)
	}
	found, err := annotate.Detect(t.Context(), ds, annotate.DetectRequest{Model: ask.Model, View: ask.View, Classes: []string{"car"}, Preview: true})
	if err != nil || len(found) == 0 || !found[0].BBox.SourceRef.IsZero() || !found[0].Classification.SourceRef.IsZero() {
		t.Errorf("boxes of a server: %v, %v", found, err)
	}
	frame := ask.View
	frame.Table = "frames"
	masks, err := annotate.VideoMask(t.Context(), ds, annotate.VideoMaskRequest{Model: ask.Model, Frames: []annotate.View{frame}, Box: ask.Box, Preview: true})
	if err != nil || len(masks) != 1 || !masks[0].SourceRef.IsZero() {
		t.Errorf("a video of a server: %v, %v", masks, err)
	}
	if n, err := ds.Count(t.Context(), "source", dataset.Query{}); err != nil || n != 0 {
		t.Errorf("%d sources, %v", n, err)
	}
	ask.Quick = true
	if _, err := annotate.ImageMask(t.Context(), ds, ask); !errors.Is(err, inference.ErrTaskNotSupported) {
		t.Errorf("a server that computes all again: %v", err)
	}
}

func TestVideoMask(t *testing.T) {
	ds := newDataset(t, 3)
	_, model := newServer(t)
	var frames []annotate.View
	for i := range 3 {
		v := view(t, ds, fmt.Sprintf("vi%02d", i))
		v.Table = "frames"
		frames = append(frames, v)
	}
	rows, err := annotate.VideoMask(t.Context(), ds, annotate.VideoMaskRequest{Model: model, Frames: frames, Box: &schema.BBox{Coords: []float64{4, 6, 20, 22}, Format: "xyxy"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 3 {
		t.Fatalf("%d rows", len(rows))
	}
	for i, row := range rows {
		mask, err := row.Mask()
		if err != nil || mask.Bounds() != square(i) || row.ViewRef != features.View("frames", frames[i].ID) {
			t.Errorf("frame %d: %v at %v, %v", i, row.ViewRef, mask.Bounds(), err)
		}
		if row.EntityRef.Name != "" || row.EntityRef.ID == "" || row.EntityRef != rows[0].EntityRef {
			t.Errorf("frame %d: entity %v", i, row.EntityRef)
		}
	}
	frames[1].Table = "image"
	if _, err := annotate.VideoMask(t.Context(), ds, annotate.VideoMaskRequest{Model: model, Frames: frames, Points: []inference.Point{{X: 1, Y: 1}}}); !errors.Is(err, inference.ErrInvalidRequest) || !strings.Contains(err.Error(), "want SequenceFrame") {
		t.Errorf("an image among the frames: %v", err)
	}
}

func TestDetect(t *testing.T) {
	ds := newDataset(t, 3)
	_, model := newServer(t)
	found, err := annotate.Detect(t.Context(), ds, annotate.DetectRequest{Model: model, View: view(t, ds, "vi02"), Classes: []string{"car", "dog"}, Entity: features.Entity("objects", "o")})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 2 {
		t.Fatalf("%d objects", len(found))
	}
	b, c := found[1].BBox, found[1].Classification
	if diff := cmp.Diff([]float64{6, 6, 22, 22}, b.Coords); diff != "" || b.Format != "xyxy" || b.IsNormalized || b.Confidence != 0.625 {
		t.Errorf("box %+v", b)
	}
	if diff := cmp.Diff([]string{"dog"}, c.Labels); diff != "" || c.Confidences[0] != 0.625 || c.ID == b.ID {
		t.Errorf("classification %+v", c)
	}
	for _, a := range []schema.Annotation{b.Annotation, c.Annotation} {
		if a.EntityRef != features.Entity("objects", "o") || a.SourceRef != oneSource(t, ds) || a.ViewRef.ID != "vi02" {
			t.Errorf("row %+v", a)
		}
		sameJSON(t, a.InferenceMetadata, wantMetadata)
	}
}

func TestAnswer(t *testing.T) {
	ds := newDataset(t, 1)
	_, model := newServer(t)
	about := func(id string) schema.Entity {
		return schema.Entity{ID: id, ItemRef: features.Item("i00"), ViewRef: features.View("image", "vi00")}
	}
	_, err := ds.Apply(t.Context(), dataset.ChangeSet{Changes: []dataset.Change{
		dataset.Insert("chats", schema.Conversation{Entity: about("c")}),
		dataset.Insert("objects", []object{{Entity: about("o1")}, {Entity: about("o2")}}),
		dataset.Insert("boxes", schema.BBox{Annotation: schema.Annotation{ID: "b", ItemRef: features.Item("i00"), EntityRef: features.Entity("objects", "o2")},
			Coords: []float64{0.1, 0.1, 0.5, 0.5}, Format: "xywh", IsNormalized: true}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	message := func(kind, content string, number int64) schema.Message {
		return schema.Message{Annotation: schema.Annotation{ID: "m", ItemRef: features.Item("i00"), ViewRef: features.View("image", "vi00")}, Type: kind, Content: content, Number: number}
	}
	req := annotate.AnswerRequest{Model: model, Conversation: features.Entity("chats", "c"), Table: "messages", RoleAssistant: "bot",
		Messages: []schema.Message{message("SYSTEM", "be brief", 0), message("QUESTION", "What?", 1)}}
	row, err := annotate.Answer(t.Context(), ds, req)
	if err != nil {
		t.Fatal(err)
	}
	said := " PICTURE a normalized bounding box [0.1, 0.1, 0.5, 0.5]"
	if want := "system:" + said + " be brief\nuser:" + said + " What?"; row.Content != want {
		t.Errorf("the model was told\n%s\nwant\n%s", row.Content, want)
	}
	if row.Type != "ANSWER" || row.Number != 1 || row.User != "m" || row.EntityRef != req.Conversation || row.ViewRef.ID != "vi00" ||
		!row.Timestamp.Equal(time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)) || row.SourceRef != oneSource(t, ds) {
		t.Errorf("row %+v", row)
	}
	sameJSON(t, row.InferenceMetadata, `{"name": "m", "processing_time": 0.25, "timestamp": "2026-03-01T10:00:00",
		"generation_config": {"max_new_tokens": 100}, "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}`)

	req.Messages = append(req.Messages, message("ANSWER", "This.", 1))
	req.ImagesOnce = true
	if row, err = annotate.Answer(t.Context(), ds, req); err != nil {
		t.Fatal(err)
	}
	if want := "system:" + said + " be brief\nuser: What?\nbot: This."; row.Content != want || row.Type != "QUESTION" || row.Number != 2 {
		t.Errorf("%s %d after\n%s\nwant\n%s", row.Type, row.Number, row.Content, want)
	}
	for _, change := range []func(*annotate.AnswerRequest){
		func(r *annotate.AnswerRequest) { r.Conversation.Name = "objects" },
		func(r *annotate.AnswerRequest) { r.Table = "boxes" },
		func(r *annotate.AnswerRequest) { r.Messages = nil },
		func(r *annotate.AnswerRequest) { r.Messages = []schema.Message{message("OTHER", "", 0)} },
	} {
		bad := req
		change(&bad)
		if _, err := annotate.Answer(t.Context(), ds, bad); !errors.Is(err, inference.ErrInvalidRequest) {
			t.Errorf("%+v: error %v", bad, err)
		}
	}
}

func TestBadPictures(t *testing.T) {
	ds := newDataset(t, 1)
	_, model := newServer(t)
	v := view(t, ds, "vi00")
	if err := os.WriteFile(filepath.Join(ds.MediaDir(), "text.png"), []byte("no picture"), 0o644); err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]error{"gone.png": dataset.ErrNotFound, "../../etc/passwd": os.ErrPermission, "text.png": inference.ErrInvalidRequest, "ftp://host/a.png": dataset.ErrUnsupported} {
		v.URL = url
		_, err := annotate.Detect(t.Context(), ds, annotate.DetectRequest{Model: model, View: v, Classes: []string{"a"}})
		if !errors.Is(err, want) || !strings.Contains(err.Error(), `image "vi00"`) {
			t.Errorf("%s: error %v, want %v of the row", url, err, want)
		}
	}
	v.Table = "caption"
	if _, err := annotate.Detect(t.Context(), ds, annotate.DetectRequest{Model: model, View: v}); !errors.Is(err, inference.ErrInvalidRequest) {
		t.Errorf("a table of texts: %v", err)
	}
	model.Name = "m9"
	if _, err := annotate.Detect(t.Context(), ds, annotate.DetectRequest{Model: model, View: view(t, ds, "vi00"), Classes: []string{"a"}}); !errors.Is(err, inference.ErrModelNotFound) {
		t.Errorf("an unknown model: %v", err)
	}
	if n, err := ds.Count(t.Context(), "source", dataset.Query{}); err != nil || n != 0 {
		t.Errorf("%d sources were stored by requests that failed, %v", n, err)
	}
}

// Requests at the same time, also of several handles, store the source of a model once; two of one name are refused.
func TestModelSource(t *testing.T) {
	ds := newDataset(t, 0)
	other, err := dataset.Open(t.Context(), ds.Path(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if _, err := annotate.ModelSource(t.Context(), []*dataset.Dataset{ds, other}[i%2], "m"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	ref := oneSource(t, ds)
	if _, err := ds.Update(t.Context(), "source", schema.Source{ID: ref.ID, Name: "renamed", Kind: schema.SourceModel}); err != nil {
		t.Fatal(err)
	}
	again, err := annotate.ModelSource(t.Context(), ds, "m")
	if err != nil || again == ref {
		t.Errorf("after the source got another name: %v, %v", again, err)
	}
	if err := ds.Add(t.Context(), "source", schema.Source{ID: "second", Name: "m", Kind: schema.SourceModel}); err != nil {
		t.Fatal(err)
	}
	if _, err := annotate.ModelSource(t.Context(), ds, "m"); !errors.Is(err, inference.ErrInvalidRequest) {
		t.Errorf("two sources: %v", err)
	}
}

func TestBox(t *testing.T) {
	for _, tt := range []struct {
		box  schema.BBox
		want image.Rectangle
	}{
		{schema.BBox{Coords: []float64{1, 2, 3, 4}, Format: "xywh"}, image.Rect(1, 2, 4, 6)},
		{schema.BBox{Coords: []float64{1, 2, 3, 4}, Format: "xyxy"}, image.Rect(1, 2, 3, 4)},
		{schema.BBox{Coords: []float64{0.25, 0.5, 0.5, 0.25}, Format: "xywh", IsNormalized: true}, image.Rect(2, 2, 7, 3)}, // 2.5 and 5: halves to the even number
	} {
		if got, err := annotate.Box(tt.box, image.Pt(10, 4)); err != nil || got != tt.want {
			t.Errorf("%+v: %v, %v, want %v", tt.box, got, err, tt.want)
		}
	}
	for _, bad := range []schema.BBox{{}, {Coords: []float64{1, 2, 3}, Format: "xywh"}, {Coords: []float64{1, 2, 3, 1e300}, Format: "xyxy"}, {Coords: []float64{0, 0, 1, 1}, Format: "x"}} {
		if _, err := annotate.Box(bad, image.Pt(10, 4)); !errors.Is(err, inference.ErrInvalidRequest) {
			t.Errorf("%+v: error %v", bad, err)
		}
	}
}

func base64Reader(s string) io.Reader {
	return base64.NewDecoder(base64.StdEncoding, strings.NewReader(s))
}
