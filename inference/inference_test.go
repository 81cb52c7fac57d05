package inference_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"pixano/features"
	"pixano/inference"
	"pixano/inference/toyclip"
	"pixano/search"
)

// fake is a provider whose answers a test sets.
type fake struct {
	inference.Unsupported
	name      string
	models    []inference.Model
	modelsErr error
	closed    int

	imageMask func(context.Context, *inference.ImageMaskRequest) (*inference.ImageMaskResponse, error)
	videoMask func(*inference.VideoMaskRequest) *inference.VideoMaskResponse
	detect    func(*inference.DetectionRequest) *inference.DetectionResponse
	embed     func(*inference.EmbeddingRequest) *inference.EmbeddingResponse
}

func (f *fake) Name() string            { return f.name }
func (f *fake) Tasks() []inference.Task { return inference.Tasks() }
func (f *fake) Close() error            { f.closed++; return nil }
func (f *fake) Models(context.Context) ([]inference.Model, error) {
	return f.models, f.modelsErr
}
func (f *fake) Info(context.Context) (*inference.Info, error) {
	return &inference.Info{AppName: f.name}, nil
}
func (f *fake) ImageMask(ctx context.Context, r *inference.ImageMaskRequest) (*inference.ImageMaskResponse, error) {
	return f.imageMask(ctx, r)
}
func (f *fake) VideoMask(_ context.Context, r *inference.VideoMaskRequest) (*inference.VideoMaskResponse, error) {
	return f.videoMask(r), nil
}
func (f *fake) Detect(_ context.Context, r *inference.DetectionRequest) (*inference.DetectionResponse, error) {
	return f.detect(r), nil
}
func (f *fake) Embed(_ context.Context, r *inference.EmbeddingRequest) (*inference.EmbeddingResponse, error) {
	return f.embed(r), nil
}

func picture(t *testing.T, w, h int) *inference.Image {
	t.Helper()
	m, err := inference.ImageOf(image.NewRGBA(image.Rect(0, 0, w, h)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func full(w, h int) features.RLE {
	return features.RLE{Height: h, Width: w, Counts: []uint32{0, uint32(w * h)}}
}

func TestImageMaskRequests(t *testing.T) {
	img := picture(t, 20, 10)
	click := []inference.Prompt{{Points: []inference.Point{{X: 3, Y: 4}}}}
	for _, tt := range []struct {
		name string
		req  inference.ImageMaskRequest
		want string
	}{
		{"no model", inference.ImageMaskRequest{Image: img, Prompts: click}, "want the name of a model"},
		{"no picture", inference.ImageMaskRequest{Model: "m", Prompts: click}, "want a picture"},
		{"no prompt", inference.ImageMaskRequest{Model: "m", Image: img}, "want at least one prompt"},
		{"empty prompt", inference.ImageMaskRequest{Model: "m", Image: img, Prompts: []inference.Prompt{{}}}, "want a point on the object"},
		{"background only", inference.ImageMaskRequest{Model: "m", Image: img, Prompts: []inference.Prompt{{Points: []inference.Point{{Background: true}}}}}, "want a point on the object"},
		{"point outside", inference.ImageMaskRequest{Model: "m", Image: img, Prompts: []inference.Prompt{{Points: []inference.Point{{X: 21, Y: 4}}}}}, "point 21, 4 is outside of the picture of 20 × 10 pixels"},
		{"box outside", inference.ImageMaskRequest{Model: "m", Image: img, Prompts: []inference.Prompt{{Box: image.Rect(30, 0, 40, 5)}}}, "is outside of the picture"},
		{"box empty", inference.ImageMaskRequest{Model: "m", Image: img, Prompts: []inference.Prompt{{Box: image.Rectangle{image.Pt(5, 5), image.Pt(5, 9)}}}}, "is empty"},
		{"two masks", inference.ImageMaskRequest{Model: "m", Image: img, Prompts: click, MasksPerPrompt: 2}, "want 1 or 3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &fake{name: "f", imageMask: func(context.Context, *inference.ImageMaskRequest) (*inference.ImageMaskResponse, error) {
				t.Error("the provider was asked")
				return nil, inference.ErrFailed
			}}
			_, err := inference.ImageMask(t.Context(), p, &tt.req)
			if !errors.Is(err, inference.ErrInvalidRequest) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			if e, ok := errors.AsType[*inference.Error](err); !ok || e.Provider != "f" || e.Op != string(inference.TaskImageMask) {
				t.Errorf("error %#v does not name provider and task", err)
			}
		})
	}
}

// The right and the lower edge of a picture belong to its last pixels; the caller's request stays as it is.
func TestImageMaskEdges(t *testing.T) {
	req := &inference.ImageMaskRequest{Model: "m", Image: picture(t, 20, 10),
		Prompts: []inference.Prompt{{Points: []inference.Point{{X: 20, Y: 10}}, Box: image.Rect(-3, 2, 40, 50)}}}
	var got inference.Prompt
	p := &fake{imageMask: func(_ context.Context, r *inference.ImageMaskRequest) (*inference.ImageMaskResponse, error) {
		got = r.Prompts[0]
		return &inference.ImageMaskResponse{Masks: [][]inference.Mask{{{RLE: full(20, 10), Score: 0.2}, {RLE: full(20, 10), Score: 0.7}}}}, nil
	}}
	resp, err := inference.ImageMask(t.Context(), p, req)
	if err != nil {
		t.Fatal(err)
	}
	want := inference.Prompt{Points: []inference.Point{{X: 19, Y: 9}}, Box: image.Rect(0, 2, 20, 10)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if req.Prompts[0].Points[0].X != 20 {
		t.Error("the caller's request was changed")
	}
	if best := resp.Best(); len(best) != 1 || best[0].Score != 0.7 {
		t.Errorf("best %v", best)
	}
}

func TestImageMaskAnswers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		masks [][]inference.Mask
		want  string // "" for none
	}{
		{"good", [][]inference.Mask{{{RLE: full(20, 10)}}}, ""},
		{"empty", [][]inference.Mask{{{}}}, ""},
		{"none", nil, "masks for 0 prompts, asked with 1"},
		{"no mask", [][]inference.Mask{{}}, "a prompt without a mask"},
		{"other size", [][]inference.Mask{{{RLE: full(10, 20)}}}, "a mask of 10 × 20 pixels for a picture of 20 × 10"},
		{"runs too long", [][]inference.Mask{{{RLE: features.RLE{Height: 10, Width: 20, Counts: []uint32{0, 300}}}}}, "no sense"},
		{"score", [][]inference.Mask{{{RLE: full(20, 10), Score: math.NaN()}}}, "a score of NaN"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &fake{imageMask: func(context.Context, *inference.ImageMaskRequest) (*inference.ImageMaskResponse, error) {
				return &inference.ImageMaskResponse{Masks: tt.masks}, nil
			}}
			resp, err := inference.ImageMask(t.Context(), p, &inference.ImageMaskRequest{Model: "m", Image: picture(t, 20, 10),
				Prompts: []inference.Prompt{{Box: image.Rect(1, 1, 5, 5)}}})
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if m := resp.Masks[0][0]; m.Width != 20 || m.Height != 10 {
					t.Errorf("a mask of %d × %d", m.Width, m.Height)
				}
				return
			}
			if !errors.Is(err, inference.ErrInvalidResponse) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestVideoMask(t *testing.T) {
	frames := []*inference.Image{picture(t, 4, 3), picture(t, 4, 3)}
	prompt := inference.Prompt{Points: []inference.Point{{X: 1, Y: 1}}}
	mask := func(object, frame int) inference.FrameMask {
		return inference.FrameMask{Object: object, Frame: frame, Mask: inference.Mask{RLE: full(4, 3)}}
	}
	for _, tt := range []struct {
		name  string
		masks []inference.FrameMask
		want  string
	}{
		{"good", []inference.FrameMask{mask(7, 1), mask(7, 0)}, ""},
		{"frame", []inference.FrameMask{mask(7, 2)}, "a mask in frame 2 of 2"},
		{"object", []inference.FrameMask{mask(1, 0)}, "object 1, which was not asked for"},
		{"twice", []inference.FrameMask{mask(7, 0), mask(7, 0)}, "two masks of object 7 in frame 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &fake{videoMask: func(*inference.VideoMaskRequest) *inference.VideoMaskResponse {
				return &inference.VideoMaskResponse{Masks: tt.masks}
			}}
			resp, err := inference.VideoMask(t.Context(), p, &inference.VideoMaskRequest{Model: "m", Frames: frames,
				Prompts: []inference.VideoPrompt{{Object: 7, Prompt: prompt}}})
			if tt.want == "" {
				if err != nil || resp.Masks[0].Frame != 0 || resp.Masks[1].Frame != 1 {
					t.Errorf("got %v, %v, want masks in the order of frames", resp, err)
				}
			} else if !errors.Is(err, inference.ErrInvalidResponse) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
	_, err := inference.VideoMask(t.Context(), &fake{}, &inference.VideoMaskRequest{Model: "m", Frames: frames,
		Prompts: []inference.VideoPrompt{{Frame: 2, Prompt: prompt}}})
	if !errors.Is(err, inference.ErrInvalidRequest) || !strings.Contains(err.Error(), "frame 2") {
		t.Errorf("a prompt in a frame that is not there: %v", err)
	}
}

func TestDetect(t *testing.T) {
	var asked *inference.DetectionRequest
	p := &fake{detect: func(r *inference.DetectionRequest) *inference.DetectionResponse {
		asked = r
		return &inference.DetectionResponse{Detections: []inference.Detection{
			{Box: image.Rect(-5, 2, 8, 40), Score: 0.5, Class: "cat"},
			{Box: image.Rect(50, 50, 60, 60), Score: 0.5, Class: "outside"},
		}}
	}}
	req := &inference.DetectionRequest{Model: "m", Image: picture(t, 20, 10), Classes: []string{"cat"}, TextThreshold: -1}
	resp, err := inference.Detect(t.Context(), p, req)
	if err != nil {
		t.Fatal(err)
	}
	want := []inference.Detection{{Box: image.Rect(0, 2, 8, 10), Score: 0.5, Class: "cat"}}
	if diff := cmp.Diff(want, resp.Detections); diff != "" {
		t.Error(diff)
	}
	if asked.BoxThreshold != 0.3 || asked.TextThreshold != 0 {
		t.Errorf("thresholds %v and %v", asked.BoxThreshold, asked.TextThreshold)
	}
	for _, d := range []inference.Detection{
		{Box: image.Rect(0, 0, 5, 5), Score: 1.5},
		{Box: image.Rect(0, 0, 5, 5), Score: math.NaN()},
		{Box: image.Rectangle{image.Pt(9, 9), image.Pt(2, 2)}, Score: 0.5},
		{Box: image.Rect(0, 0, 5, 5), Score: 0.5, Mask: &features.RLE{Height: 1, Width: 1, Counts: []uint32{1}}},
	} {
		p.detect = func(*inference.DetectionRequest) *inference.DetectionResponse {
			return &inference.DetectionResponse{Detections: []inference.Detection{d}}
		}
		if _, err := inference.Detect(t.Context(), p, req); !errors.Is(err, inference.ErrInvalidResponse) {
			t.Errorf("%+v: error %v, want ErrInvalidResponse", d, err)
		}
	}
	for _, bad := range []inference.DetectionRequest{
		{Model: "m", Image: req.Image, Classes: []string{" "}},
		{Model: "m", Image: req.Image, BoxThreshold: 1.5},
		{Model: "m", Image: req.Image, TextThreshold: math.NaN()},
	} {
		if _, err := inference.Detect(t.Context(), p, &bad); !errors.Is(err, inference.ErrInvalidRequest) {
			t.Errorf("%+v: error %v, want ErrInvalidRequest", bad, err)
		}
	}
}

func TestEmbed(t *testing.T) {
	for _, tt := range []struct {
		name string
		req  inference.EmbeddingRequest
		got  [][]float32
		want error
	}{
		{"good", inference.EmbeddingRequest{Texts: []string{"a", "b"}}, [][]float32{{1, 0}, {0, 1}}, nil},
		{"nothing", inference.EmbeddingRequest{}, nil, inference.ErrInvalidRequest},
		{"both", inference.EmbeddingRequest{Texts: []string{"a"}, Images: []*inference.Image{picture(t, 1, 1)}}, nil, inference.ErrInvalidRequest},
		{"no picture", inference.EmbeddingRequest{Images: []*inference.Image{nil}}, nil, inference.ErrInvalidRequest},
		{"too few", inference.EmbeddingRequest{Texts: []string{"a", "b"}}, [][]float32{{1, 0}}, inference.ErrInvalidResponse},
		{"ragged", inference.EmbeddingRequest{Texts: []string{"a", "b"}}, [][]float32{{1, 0}, {1}}, inference.ErrInvalidResponse},
		{"empty", inference.EmbeddingRequest{Texts: []string{"a"}}, [][]float32{{}}, inference.ErrInvalidResponse},
		{"infinite", inference.EmbeddingRequest{Texts: []string{"a"}}, [][]float32{{float32(math.Inf(1))}}, inference.ErrInvalidResponse},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.req.Model = "m"
			p := &fake{embed: func(*inference.EmbeddingRequest) *inference.EmbeddingResponse {
				return &inference.EmbeddingResponse{Vectors: tt.got}
			}}
			if _, err := inference.Embed(t.Context(), p, &tt.req); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

// A provider that never answers is given up after the task's time; a caller's own end has its own error.
func TestTime(t *testing.T) {
	hang := &fake{name: "f", imageMask: func(ctx context.Context, _ *inference.ImageMaskRequest) (*inference.ImageMaskResponse, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	req := &inference.ImageMaskRequest{Model: "m", Image: picture(t, 20, 10), Prompts: []inference.Prompt{{Box: image.Rect(1, 1, 5, 5)}}}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := inference.ImageMask(t.Context(), hang, req)
		if !errors.Is(err, inference.ErrTimeout) || time.Since(start) != time.Minute {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := inference.ImageMask(ctx, hang, req); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, inference.ErrTimeout) {
			t.Errorf("error %v, want that of the context", err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		go cancel()
		if _, err := inference.ImageMask(ctx, hang, req); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want that of the context", err)
		}
	})
}

func TestUnsupported(t *testing.T) {
	var u inference.Unsupported
	if _, err := u.Generate(t.Context(), nil); !errors.Is(err, inference.ErrTaskNotSupported) || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error %v", err)
	}
}

func TestImages(t *testing.T) {
	src := image.NewRGBA(image.Rect(0, 0, 3, 2))
	src.Set(2, 1, color.RGBA{200, 100, 50, 255})
	var file bytes.Buffer
	if err := png.Encode(&file, src); err != nil {
		t.Fatal(err)
	}
	m, err := inference.NewImage(file.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if m.Size() != image.Pt(3, 2) {
		t.Errorf("size %v", m.Size())
	}
	url, err := m.WithID("i").Source()
	if err != nil || !strings.HasPrefix(url, "data:image/png;base64,iVBOR") {
		t.Errorf("source %.40q, %v", url, err)
	}
	pixels, err := m.Decode()
	if err != nil || pixels.At(2, 1) != (color.RGBA{200, 100, 50, 255}) && pixels.At(2, 1) != (color.NRGBA{200, 100, 50, 255}) {
		t.Errorf("pixel %v, %v", pixels, err)
	}
	of, err := inference.ImageOf(src)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := of.Source(); err != nil || again != url {
		t.Errorf("encoded pixels give %.40q, %v", again, err)
	}

	remote, err := inference.RemoteImage("https://example.org/a.jpg")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := remote.Source(); err != nil || s != "https://example.org/a.jpg" || !remote.Remote() {
		t.Errorf("source %q, %v", s, err)
	}
	if _, err := remote.Decode(); !errors.Is(err, inference.ErrInvalidRequest) {
		t.Errorf("decoding a remote picture: %v", err)
	}
	for _, bad := range []string{"", "a.jpg", "file:///etc/passwd", "ftp://host/a", "http://"} {
		if _, err := inference.RemoteImage(bad); !errors.Is(err, inference.ErrInvalidRequest) {
			t.Errorf("%q: error %v", bad, err)
		}
	}
}

func TestBadImages(t *testing.T) {
	var file bytes.Buffer
	if err := png.Encode(&file, image.NewRGBA(image.Rect(0, 0, 64, 64))); err != nil {
		t.Fatal(err)
	}
	// A picture that claims to be 100,000 pixels wide and high, in a few hundred bytes.
	bomb := bytes.Clone(file.Bytes())
	binary.BigEndian.PutUint32(bomb[16:], 100_000)
	binary.BigEndian.PutUint32(bomb[20:], 100_000)
	binary.BigEndian.PutUint32(bomb[29:], crc32.ChecksumIEEE(bomb[12:29]))
	for name, data := range map[string][]byte{"none": nil, "text": []byte("not a picture"), "bomb": bomb} {
		if _, err := inference.NewImage(data); !errors.Is(err, inference.ErrInvalidRequest) {
			t.Errorf("%s: error %v, want ErrInvalidRequest", name, err)
		}
	}
	cut, err := inference.NewImage(file.Bytes()[:file.Len()/2])
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := cut.Decode(); !errors.Is(err, inference.ErrInvalidRequest) {
			t.Errorf("cut file: error %v, want ErrInvalidRequest", err)
		}
	}
	if _, err := inference.ImageOf(image.NewRGBA(image.Rectangle{})); !errors.Is(err, inference.ErrInvalidRequest) {
		t.Errorf("empty picture: error %v", err)
	}
}

func TestRegistry(t *testing.T) {
	var r inference.Registry
	if _, err := r.Get(""); !errors.Is(err, inference.ErrProviderNotFound) {
		t.Errorf("error %v", err)
	}
	made := map[string]*fake{}
	r.Register("server", func(_ context.Context, url string) (inference.Provider, error) {
		if url == "down" {
			return nil, inference.ErrConnection
		}
		made[url] = &fake{name: "server@" + url, models: []inference.Model{{Name: "m-" + url, Task: inference.TaskDetection}}}
		return made[url], nil
	})
	if _, _, err := r.Connect(t.Context(), "zzz", "a"); !errors.Is(err, inference.ErrProviderNotFound) || !strings.Contains(err.Error(), "server") {
		t.Errorf("error %v, want one that lists the kinds", err)
	}
	if _, _, err := r.Connect(t.Context(), "server", "down"); !errors.Is(err, inference.ErrConnection) {
		t.Errorf("error %v", err)
	}
	a, added, err := r.Connect(t.Context(), "server", "a")
	if err != nil || !added {
		t.Fatalf("added %v, %v", added, err)
	}
	again, added, err := r.Connect(t.Context(), "server", "a")
	if err != nil || added || again != a || made["a"].closed != 1 {
		t.Errorf("connecting again: %v, added %v, %v", again, added, err)
	}
	if _, _, err := r.Connect(t.Context(), "server", "b"); err != nil {
		t.Fatal(err)
	}
	if p, err := r.Find(t.Context(), "", "m-b", inference.TaskDetection); err != nil || p.Name() != "server@b" {
		t.Errorf("found %v, %v", p, err)
	}
	made["b"].modelsErr = inference.ErrConnection
	if _, err := r.Find(t.Context(), "", "m-b", inference.TaskDetection); !errors.Is(err, inference.ErrModelNotFound) || !errors.Is(err, inference.ErrConnection) {
		t.Errorf("error %v, want that the model was not found and why b was not asked", err)
	}
	if _, err := r.Find(t.Context(), "server@a", "m-a", inference.TaskEmbedding); !errors.Is(err, inference.ErrModelNotFound) {
		t.Errorf("error %v", err)
	}
	if err := r.Remove("server@a"); err != nil || r.Default() != "server@b" {
		t.Errorf("default %q, %v", r.Default(), err)
	}
	if err := r.Remove("server@a"); !errors.Is(err, inference.ErrProviderNotFound) {
		t.Errorf("error %v", err)
	}
	if err := r.Close(); err != nil || made["b"].closed != 1 || len(r.Providers()) != 0 {
		t.Errorf("close: %v", err)
	}
}

func TestErrorText(t *testing.T) {
	err := &inference.Error{Provider: "pixano-inference@gpu:7463", Op: "image_mask_generation", Model: "sam9", Status: 404,
		Detail: "Model sam9 is not registered.", Err: inference.ErrModelNotFound}
	want := `pixano-inference@gpu:7463: image_mask_generation with "sam9": model not found: HTTP 404: Not Found - Model sam9 is not registered.`
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
}

func TestInferenceMetadata(t *testing.T) {
	m := inference.Meta{Timestamp: time.Date(2025, 3, 1, 9, 30, 0, 500_000_000, time.UTC), ProcessingTime: 1500 * time.Millisecond,
		Metadata: map[string]any{"name": "sam2"}}
	want := map[string]any{"timestamp": "2025-03-01T09:30:00.500000", "processing_time": 1.5, "name": "sam2"}
	if diff := cmp.Diff(want, m.InferenceMetadata()); diff != "" {
		t.Error(diff)
	}
}

// TestEmbedder finds the model that a table's function names.
func TestEmbedder(t *testing.T) {
	one := &named{fake{name: "one", models: []inference.Model{{Name: "mini", Task: inference.TaskEmbedding}}, embed: func(r *inference.EmbeddingRequest) *inference.EmbeddingResponse {
		resp := &inference.EmbeddingResponse{}
		for range len(r.Texts) + len(r.Images) {
			resp.Vectors = append(resp.Vectors, []float32{1, 0, 0})
		}
		return resp
	}}}
	var r inference.Registry
	if err := r.Add(one); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		function search.Function
		found    bool
	}{
		{search.Function{Name: "sentence-transformers", Model: map[string]any{"name": "mini"}}, true},
		{search.Function{Name: "sentence-transformers", Model: map[string]any{"name": "owner/MINI", "max_retries": 7.0}}, true},
		{search.Function{Name: "sentence-transformers", Model: map[string]any{"name": "large"}}, false},
		{search.Function{Name: "sentence-transformers"}, false}, // that of the default is another one
		{search.Function{Name: "open-clip", Model: map[string]any{"name": "mini"}}, false},
		{search.Function{Name: "toy-clip"}, true},
	} {
		if test.function.Name == "toy-clip" {
			if err := r.Add(inference.ProviderOf(toyclip.Embedder{})); err != nil {
				t.Fatal(err)
			}
		}
		e, err := r.Embedder(t.Context(), test.function)
		switch {
		case test.found && err != nil, !test.found && !errors.Is(err, inference.ErrModelNotFound):
			t.Errorf("%v: %v", test.function, err)
		case test.found && e.Name() != test.function.Name:
			t.Errorf("%v: %s", test.function, e.Name())
		case test.found && e.Dim() != map[string]int{"toy-clip": toyclip.Dim, "sentence-transformers": 3}[e.Name()]:
			t.Errorf("%v: %d values", test.function, e.Dim())
		}
		if test.found && e.Name() == "toy-clip" { // vectors of a table that names it have to be found by its own
			red := image.NewRGBA(image.Rect(0, 0, 20, 20))
			draw.Draw(red, red.Bounds(), image.NewUniform(color.RGBA{R: 200, G: 90, A: 255}), image.Point{}, draw.Src)
			want, err := toyclip.Embedder{}.EmbedImages(t.Context(), []image.Image{red})
			if err != nil {
				t.Fatal(err)
			}
			got, err := e.EmbedImages(t.Context(), []image.Image{red})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("vectors (-embedder +provider):\n%s", d)
			}
		}
	}
	if err := r.Remove(one.Name()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Embedder(t.Context(), search.Function{Name: "sentence-transformers", Model: map[string]any{"name": "mini"}}); !errors.Is(err, inference.ErrModelNotFound) {
		t.Errorf("of a provider that was removed: %v", err)
	}
}

// named is a provider whose one model is a function of LanceDB.
type named struct{ fake }

func (*named) EmbeddingFunction(model string) (string, map[string]any, bool) {
	return "sentence-transformers", map[string]any{"name": model}, true
}
