package pixanoserver_test

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pixano/inference"
	"pixano/inference/pixanoserver"
)

var generations = []pixanoserver.Generation{pixanoserver.GenerationA, pixanoserver.GenerationB, pixanoserver.GenerationC, pixanoserver.GenerationD}

var size = image.Pt(40, 30)

func connect(t *testing.T, url string, opts *pixanoserver.Options) *pixanoserver.Client {
	t.Helper()
	if opts == nil {
		opts = &pixanoserver.Options{}
	}
	opts.APIKey, opts.PollInterval = apiKey, time.Millisecond
	c, err := pixanoserver.Connect(t.Context(), url, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func picture(t *testing.T) *inference.Image {
	t.Helper()
	m, err := inference.ImageOf(image.NewGray(image.Rectangle{Max: size}))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func boxRequest(t *testing.T, model string, boxes ...image.Rectangle) *inference.ImageMaskRequest {
	r := &inference.ImageMaskRequest{Model: model, Image: picture(t)}
	for _, b := range boxes {
		r.Prompts = append(r.Prompts, inference.Prompt{Box: b})
	}
	return r
}

// TestGenerations runs every task against a server of each generation.
func TestGenerations(t *testing.T) {
	for _, gen := range generations {
		t.Run(string(gen), func(t *testing.T) {
			s := newServer(t, gen, size)
			c := connect(t, s.URL, nil)
			if c.Generation() != gen {
				t.Fatalf("taken for generation %s", c.Generation())
			}
			if want := "pixano-inference@" + strings.TrimPrefix(s.URL, "http://"); c.Name() != want {
				t.Errorf("name %q, want %q", c.Name(), want)
			}
			ctx := t.Context()

			models, err := c.Models(ctx)
			if err != nil {
				t.Fatal(err)
			}
			want := []inference.Model{{Name: "sam", Task: inference.TaskImageMask}, {Name: "dino", Task: inference.TaskDetection}, {Name: "vlm", Task: inference.TaskGeneration}}
			if gen == pixanoserver.GenerationD {
				want = append(want, inference.Model{Name: "clip", Task: inference.TaskEmbedding})
			}
			if gen == pixanoserver.GenerationC || gen == pixanoserver.GenerationD {
				for i := range want {
					want[i].Path, want[i].Class = "hub/"+want[i].Name, "M"
				}
			}
			if diff := cmp.Diff(want, models); diff != "" {
				t.Error(diff)
			}
			info, err := c.Info(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if info.AppName != "Pixano Inference" || info.NumCPUs != 4 || info.ModelsToTask["sam"] != inference.TaskImageMask || info.Extra["queue"] != 7.0 {
				t.Errorf("info %+v", info)
			}

			one, two := image.Rect(4, 3, 24, 18), image.Rect(0, 0, 2, 2)
			masks, err := inference.ImageMask(ctx, c, boxRequest(t, "sam", one, two))
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range []image.Rectangle{one, two} {
				if m := masks.Masks[i][0]; m.Bounds() != want || m.Area() != want.Dx()*want.Dy() || m.Score != 0.5 {
					t.Errorf("mask %d: %v, %d pixels, score %v", i, m.Bounds(), m.Area(), m.Score)
				}
			}
			if got := masks.InferenceMetadata(); got["timestamp"] != "2026-03-01T10:00:00.250000" || got["processing_time"] != 0.5 || got["torch_dtype"] != "bfloat16" && got["torchDtype"] != "bfloat16" {
				t.Errorf("metadata %v", got)
			}

			three, err := inference.ImageMask(ctx, c, &inference.ImageMaskRequest{Model: "sam", Image: picture(t), MasksPerPrompt: 3, ReturnFeatures: true,
				Prompts: []inference.Prompt{{Points: []inference.Point{{X: 7, Y: 9}, {X: 1, Y: 1, Background: true}}}}})
			if err != nil {
				t.Fatal(err)
			}
			if best := three.Best()[0]; best.Bounds() != image.Rect(7, 9, 8, 10) || best.Score != 0.75 {
				t.Errorf("best of three: %v, score %v", best.Bounds(), best.Score)
			}
			features := &inference.Features{Embedding: inference.Tensor{Values: []float32{1, 2, 3, 4}, Shape: []int{1, 2, 2}},
				HighResolution: []inference.Tensor{{Values: []float32{5, 6}, Shape: []int{2, 1}}}}
			if diff := cmp.Diff(features, three.Features); diff != "" {
				t.Error(diff)
			}

			frames := []*inference.Image{picture(t), picture(t), picture(t)}
			video, err := inference.VideoMask(ctx, c, &inference.VideoMaskRequest{Model: "sam", Frames: frames,
				Prompts: []inference.VideoPrompt{{Prompt: inference.Prompt{Box: one}}}})
			if err != nil {
				t.Fatal(err)
			}
			if len(video.Masks) != 3 {
				t.Fatalf("%d masks", len(video.Masks))
			}
			for i, m := range video.Masks {
				if m.Frame != i || m.Object != 0 || m.Bounds() != one.Add(image.Pt(i, 0)) {
					t.Errorf("frame %d: object %d at %v", m.Frame, m.Object, m.Bounds())
				}
			}
			video, err = inference.VideoMask(ctx, c, &inference.VideoMaskRequest{Model: "sam", Frames: frames, Prompts: []inference.VideoPrompt{
				{Object: 5, Prompt: inference.Prompt{Box: one}}, {Object: 9, Frame: 1, Prompt: inference.Prompt{Box: two}}}})
			if err != nil {
				t.Fatal(err)
			}
			var places []string
			for _, m := range video.Masks {
				places = append(places, fmt.Sprint(m.Object, "@", m.Frame))
			}
			if got := strings.Join(places, " "); got != "5@0 5@1 9@1 5@2 9@2" {
				t.Errorf("masks of %s", got)
			}

			found, err := inference.Detect(ctx, c, &inference.DetectionRequest{Model: "dino", Image: picture(t), Classes: []string{"car", "dog", "cat", "cow"}})
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, d := range found.Detections {
				names = append(names, fmt.Sprintf("%s %.1f %v", d.Class, d.Score, d.Box))
			}
			if got := strings.Join(names, ", "); got != "car 0.9 (0,0)-(4,3), dog 0.7 (1,1)-(5,4), cat 0.5 (2,2)-(6,5)" {
				t.Errorf("found %s", got)
			}

			text, err := inference.Generate(ctx, c, &inference.GenerationRequest{Model: "vlm", Temperature: 0.9, Messages: []inference.ChatMessage{
				{Role: inference.RoleSystem, Parts: []inference.Part{{Text: "be brief"}}},
				{Role: inference.RoleUser, Parts: []inference.Part{{Image: picture(t)}, {Text: "What?"}}}}})
			if err != nil {
				t.Fatal(err)
			}
			if text.Text != "system: be brief|data:image/png|user: What?" || text.Usage.TotalTokens != 5 || text.Config["temperature"] != 0.9 {
				t.Errorf("answer %+v", text)
			}

			vectors, err := inference.Embed(ctx, c, &inference.EmbeddingRequest{Model: "clip", Texts: []string{"ab", "abc"}, Normalize: true})
			if gen == pixanoserver.GenerationD {
				if diff := cmp.Diff([][]float32{{2, 1}, {3, 1}}, vectors.Vectors); err != nil || diff != "" {
					t.Error(err, diff)
				}
			} else if !errors.Is(err, inference.ErrTaskNotSupported) {
				t.Errorf("embedding: %v", err)
			}

			if _, err := inference.ImageMask(ctx, c, boxRequest(t, "sam9", one)); !errors.Is(err, inference.ErrModelNotFound) || !strings.Contains(err.Error(), "Model sam9 is not registered.") {
				t.Errorf("unknown model: %v", err)
			}
			if _, err := inference.ImageMask(ctx, c, boxRequest(t, "dino", one)); !errors.Is(err, inference.ErrTaskNotSupported) {
				t.Errorf("model of another task: %v", err)
			}
			if _, err := inference.VideoMask(ctx, c, &inference.VideoMaskRequest{Model: "sam9", Frames: frames,
				Prompts: []inference.VideoPrompt{{Prompt: inference.Prompt{Box: one}}}}); !errors.Is(err, inference.ErrModelNotFound) {
				t.Errorf("unknown model for a video: %v", err)
			}
		})
	}
}

// What the client of the reference implementation sends for one object, key by key.
func TestReferenceBodies(t *testing.T) {
	s := newServer(t, pixanoserver.GenerationB, size)
	c := connect(t, s.URL, nil)
	source, err := picture(t).Source()
	if err != nil {
		t.Fatal(err)
	}
	_, err = inference.ImageMask(t.Context(), c, &inference.ImageMaskRequest{Model: "sam", Image: picture(t), Prompts: []inference.Prompt{
		{Points: []inference.Point{{X: 1, Y: 2}, {X: 3, Y: 4, Background: true}}, Box: image.Rect(4, 3, 24, 18)}}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = inference.VideoMask(t.Context(), c, &inference.VideoMaskRequest{Model: "sam", Frames: []*inference.Image{picture(t), picture(t)},
		Prompts: []inference.VideoPrompt{{Prompt: inference.Prompt{Points: []inference.Point{{X: 1, Y: 2}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	list := func(v ...any) []any { return v }
	want := []map[string]any{
		{"model": "sam", "image": source, "reset_predictor": true, "num_multimask_outputs": 1.0, "multimask_output": false, "return_image_embedding": false,
			"points": list(list(list(1.0, 2.0), list(3.0, 4.0))), "labels": list(list(1.0, 0.0)), "boxes": list(list(4.0, 3.0, 24.0, 18.0))},
		{"model": "sam", "video": list(source, source), "objects_ids": list(0.0, 1.0), "frame_indexes": list(0.0, 1.0),
			"points": list(list(list(1.0, 2.0))), "labels": list(list(1.0))},
	}
	if diff := cmp.Diff(want, s.requests); diff != "" {
		t.Error(diff)
	}
}

// A server whose only client this is may keep the picture in mind from call to call.
func TestExclusive(t *testing.T) {
	s := newServer(t, pixanoserver.GenerationB, size)
	c := connect(t, s.URL, &pixanoserver.Options{Exclusive: true})
	for i, call := range []struct {
		id, model string
		reset     bool
	}{{"a", "sam", true}, {"a", "sam", false}, {"b", "sam", true}, {"b", "nope", true}, {"b", "sam", true}, {"b", "sam", false}, {"", "sam", true}, {"", "sam", true}} {
		req := boxRequest(t, call.model, image.Rect(1, 1, 5, 5))
		req.Image = req.Image.WithID(call.id)
		if _, err := inference.ImageMask(t.Context(), c, req); (err != nil) != (call.model == "nope") {
			t.Fatal(err)
		}
		if got := s.requests[i]["reset_predictor"]; got != call.reset {
			t.Errorf("call %d: reset_predictor %v, want %v", i, got, call.reset)
		}
	}
}

// A job is asked for until it is done, and cancelled when nobody waits for it any more.
func TestCancel(t *testing.T) {
	video := func(t *testing.T) *inference.VideoMaskRequest {
		return &inference.VideoMaskRequest{Model: "sam", Frames: []*inference.Image{picture(t)}, Prompts: []inference.VideoPrompt{{Prompt: inference.Prompt{Box: image.Rect(1, 1, 5, 5)}}}}
	}
	for _, gen := range []pixanoserver.Generation{pixanoserver.GenerationA, pixanoserver.GenerationC, pixanoserver.GenerationD} {
		t.Run(string(gen), func(t *testing.T) {
			s := newServer(t, gen, size)
			c := connect(t, s.URL, nil)
			if _, err := inference.VideoMask(t.Context(), c, video(t)); err != nil || s.polls != 2 {
				t.Fatalf("after %d polls: %v", s.polls, err)
			}
			s.pending = 1 << 30
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
			defer cancel()
			if _, err := inference.VideoMask(ctx, c, video(t)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v, want that of the context", err)
			}
			if diff := cmp.Diff([]string{"job-1"}, s.deleted); diff != "" {
				t.Errorf("cancelled jobs: %s", diff)
			}
		})
	}
}

// What a job can come to.
func TestJobEnds(t *testing.T) {
	for _, tt := range []struct {
		answer string
		want   error
		text   string
	}{
		{`{"id":"job-0","status":"FAILURE"}`, inference.ErrFailed, "the inference failed"},
		{`{"id":"job-0","status":"FAILURE","detail":"out of memory"}`, inference.ErrFailed, "out of memory"},
		{`{"id":"job-0","status":"REVOKED"}`, inference.ErrFailed, "cancelled on the server"},
		{`{"id":"job-0","status":7}`, inference.ErrInvalidResponse, "status"},
		{`[]`, inference.ErrInvalidResponse, "no JSON as wanted"},
	} {
		s := newServer(t, pixanoserver.GenerationA, size)
		c := connect(t, s.URL, nil)
		s.instead = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodGet {
				io.WriteString(w, tt.answer)
			}
			return r.Method == http.MethodGet
		}
		_, err := inference.ImageMask(t.Context(), c, boxRequest(t, "sam", image.Rect(1, 1, 5, 5)))
		if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: error %v, want %v with %q", tt.answer, err, tt.want, tt.text)
		}
	}
	s := newServer(t, pixanoserver.GenerationA, size)
	c := connect(t, s.URL, nil)
	s.forget = true
	if _, err := inference.ImageMask(t.Context(), c, boxRequest(t, "sam", image.Rect(1, 1, 5, 5))); !errors.Is(err, inference.ErrFailed) || !strings.Contains(err.Error(), "does not know its job") {
		t.Errorf("a forgotten job: %v", err)
	}
}

// A server that dies while a job runs is given up after a few attempts to reach it.
func TestDeath(t *testing.T) {
	s := newServer(t, pixanoserver.GenerationA, size)
	c := connect(t, s.URL, nil)
	polled := make(chan struct{})
	var once sync.Once
	s.pending = 1 << 30
	s.instead = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/tasks/image/mask_generation/job-0" {
			once.Do(func() { close(polled) })
		}
		return false
	}
	go func() {
		<-polled
		s.CloseClientConnections()
		s.Close()
	}()
	if _, err := inference.ImageMask(t.Context(), c, boxRequest(t, "sam", image.Rect(1, 1, 5, 5))); !errors.Is(err, inference.ErrConnection) {
		t.Errorf("error %v, want ErrConnection", err)
	}
	if _, err := c.Models(t.Context()); !errors.Is(err, inference.ErrConnection) {
		t.Errorf("error %v, want ErrConnection", err)
	}
}

// A server that dies in the middle of an answer, or never answers.
func TestBrokenAnswers(t *testing.T) {
	s := newServer(t, pixanoserver.GenerationC, size)
	c := connect(t, s.URL, nil)
	var serve http.HandlerFunc
	s.instead = func(w http.ResponseWriter, r *http.Request) bool { serve(w, r); return true }

	serve = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, `[{"name":`)
		panic(http.ErrAbortHandler)
	}
	if _, err := c.Models(t.Context()); !errors.Is(err, inference.ErrConnection) {
		t.Errorf("cut answer: %v", err)
	}
	hung := make(chan struct{})
	serve = func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done() // the client has gone
		close(hung)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := c.Models(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no answer: %v", err)
	}
	<-hung
	for status, want := range map[int]error{500: inference.ErrFailed, 503: inference.ErrFailed, 504: inference.ErrTimeout, 502: inference.ErrConnection,
		302: inference.ErrConnection, 403: fs.ErrPermission, 422: inference.ErrInvalidRequest} {
		serve = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "http://example.org/elsewhere")
			reply(w, status, map[string]any{"detail": "what it is", "error": "why it is"})
		}
		_, err := c.Models(t.Context())
		if !errors.Is(err, want) || status != 302 && !strings.Contains(err.Error(), fmt.Sprintf("HTTP %d: %s - what it is - why it is", status, http.StatusText(status))) {
			t.Errorf("%d: error %v, want %v", status, err, want)
		}
	}
}

func TestNonsense(t *testing.T) {
	s := newServer(t, pixanoserver.GenerationB, size)
	c := connect(t, s.URL, nil)
	var body string
	s.instead = func(w http.ResponseWriter, _ *http.Request) bool { io.WriteString(w, body); return true }
	empty := `{"size":[30,40],"counts":"` + string(counts(t)) + `"}`
	envelope := func(data string) string { return `{"status":"SUCCESS","data":{` + data + `}}` }
	mask := func() error {
		_, err := inference.ImageMask(t.Context(), c, boxRequest(t, "sam", image.Rect(1, 1, 5, 5)))
		return err
	}
	detect := func() error {
		_, err := inference.Detect(t.Context(), c, &inference.DetectionRequest{Model: "dino", Image: picture(t), Classes: []string{"a"}})
		return err
	}
	for _, tt := range []struct {
		call func() error
		body string
	}{
		{mask, ``},
		{mask, `<html>busy</html>`},
		{mask, `{"status":"SUCCESS","data":{"masks":[[{"size":[30,`},
		{mask, `null`},
		{mask, `{"status":"PENDING"}`},
		{mask, envelope(``)},
		{mask, envelope(`"masks":[]`)},
		{mask, envelope(`"masks":[[]]`)},
		{mask, envelope(`"masks":{}`)},
		{mask, envelope(`"masks":[[{"size":[40,30],"counts":"` + string(counts(t)) + `"}]]`)},
		{mask, envelope(`"masks":[[{"size":[30,40],"counts":"zzzz"}]]`)},
		{mask, envelope(`"masks":[[` + empty + `]],"scores":{"values":[0.5,0.6],"shape":[1,2]}`)},
		{mask, envelope(`"masks":[[` + empty + `]],"scores":{"values":[0.5],"shape":[1,2]}`)},
		{mask, envelope(`"masks":[[` + empty + `]],"scores":{"values":[0.5],"shape":[4294967296,4294967296]}`)},
		{detect, envelope(`"boxes":[[1,2,3]],"scores":[0.5],"classes":["a"]`)},
		{detect, envelope(`"boxes":[[1,2,3,4]],"scores":[],"classes":["a"]`)},
		{detect, envelope(`"boxes":[[1,2,3,4]],"scores":[2],"classes":["a"]`)},
		{detect, envelope(`"boxes":[[1e300,2,3,4]],"scores":[0.5],"classes":["a"]`)},
		{detect, envelope(`"boxes":[[9,9,3,4]],"scores":[0.5],"classes":["a"]`)},
		{detect, envelope(`"boxes":[["a",2,3,4]],"scores":[0.5],"classes":["a"]`)},
	} {
		body = tt.body
		if err := tt.call(); !errors.Is(err, inference.ErrInvalidResponse) {
			t.Errorf("%s: error %v, want ErrInvalidResponse", tt.body, err)
		}
	}
}

func counts(t *testing.T) []byte {
	t.Helper()
	return []byte(strings.ReplaceAll(box(image.Rectangle{}, size)["counts"].(string), `\`, `\\`))
}

func TestDeploy(t *testing.T) {
	for _, gen := range generations {
		t.Run(string(gen), func(t *testing.T) {
			s := newServer(t, gen, size)
			c := connect(t, s.URL, nil)
			req := inference.DeployRequest{Name: "new one", Task: inference.TaskImageMask, Provider: "sam2", Path: "facebook/sam2-hiera-tiny"}
			err := c.Deploy(t.Context(), req)
			if gen == pixanoserver.GenerationB || gen == pixanoserver.GenerationC {
				if !errors.Is(err, inference.ErrTaskNotSupported) {
					t.Errorf("error %v, want ErrTaskNotSupported", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			models, err := c.Models(t.Context())
			if err != nil || models[len(models)-1].Name != "new one" {
				t.Errorf("models %v, %v", models, err)
			}
			if err := c.Undeploy(t.Context(), "new one"); err != nil {
				t.Error(err)
			}
			if err := c.Undeploy(t.Context(), "new one"); !errors.Is(err, inference.ErrModelNotFound) {
				t.Errorf("removing it again: %v", err)
			}
		})
	}
}

func TestConnectErrors(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>all pages are one</html>") }))
	defer page.Close()
	nothing := httptest.NewServer(http.NotFoundHandler())
	defer nothing.Close()
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer hanging.Close()
	redirecting := httptest.NewServer(http.RedirectHandler(newServer(t, pixanoserver.GenerationB, size).URL, http.StatusTemporaryRedirect))
	defer redirecting.Close()
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	for _, tt := range []struct {
		name, url string
		want      error
		text      string
	}{
		{"a page for everything", page.URL, inference.ErrConnection, "is no Pixano-Inference server"},
		{"another server", nothing.URL, inference.ErrConnection, "is no Pixano-Inference server"},
		{"redirect", redirecting.URL, inference.ErrConnection, "is no Pixano-Inference server"},
		{"down", down.URL, inference.ErrConnection, "connection refused"},
		{"hanging", hanging.URL, context.DeadlineExceeded, ""},
		{"no host", "http://", inference.ErrInvalidRequest, "want http://HOST:PORT"},
		{"file", "file:///etc/passwd", inference.ErrInvalidRequest, "want http://HOST:PORT"},
		{"password", "http://ana:hidden@gpu", inference.ErrInvalidRequest, "without user"},
		{"query", "http://gpu/?a=b", inference.ErrInvalidRequest, "without user, query"},
		{"cloud", "http://169.254.169.254/latest", inference.ErrConnection, "link-local"},
		{"cloud mapped", "http://[::ffff:169.254.169.254]/", inference.ErrConnection, "link-local"},
		{"link-local", "http://[fe80::1]/", inference.ErrConnection, "link-local"},
		{"multicast", "http://224.0.0.1/", inference.ErrConnection, "multicast"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			if tt.name == "hanging" {
				cancel()
				ctx, cancel = context.WithTimeout(t.Context(), 30*time.Millisecond)
			}
			defer cancel()
			_, err := pixanoserver.Connect(ctx, tt.url, nil)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "hidden") {
				t.Errorf("error %v, want %v with %q", err, tt.want, tt.text)
			}
		})
	}
}

// A server that wants another key says so, and may repeat the key that it got; the error does not.
func TestAPIKey(t *testing.T) {
	s := newServer(t, pixanoserver.GenerationD, size)
	_, err := pixanoserver.Connect(t.Context(), s.URL, &pixanoserver.Options{APIKey: "wrong-key"})
	if !errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), "wrong-key") || !strings.Contains(err.Error(), "***") {
		t.Errorf("error %v", err)
	}
}

// FuzzAnswers: whatever a server answers, the client gives an answer that keeps the rules, or an error.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"status":"SUCCESS","processing_time":0.5,"timestamp":"2026-03-01T10:00:00","metadata":{"a":1},"data":{"masks":[[{"size":[30,40],"counts":[1200]}]],"scores":{"values":[0.5],"shape":[1,1]},"boxes":[[1,2,3,4]],"classes":["a"]}}`))
	f.Add([]byte(`{"status":"SUCCESS","processingTime":0.5,"data":{"boxes":[[1,2,3,4]],"scores":[0.5],"classes":["a"],"generatedText":"a","usage":{"totalTokens":3},"embeddings":{"values":[1,2],"shape":[1,2]}}}`))
	f.Add([]byte(`[{"name":"a","capability":["segmentation","tracking"]}]`))
	f.Add([]byte(`{"detail":[{"msg":"a"}]}`))
	img, err := inference.ImageOf(image.NewGray(image.Rectangle{Max: size}))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		client := &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "tasks/") || strings.Contains(r.URL.Path, "jobs") {
				return nil, io.ErrUnexpectedEOF // no job goes on for ever
			}
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(string(body))), Request: r}, nil
		})}
		for _, gen := range generations {
			c, err := pixanoserver.Connect(t.Context(), "http://gpu", &pixanoserver.Options{Generation: gen, HTTPClient: client, PollInterval: 1})
			if err != nil {
				t.Fatal(err)
			}
			prompt := inference.Prompt{Box: image.Rect(1, 1, 5, 5)}
			if r, err := inference.ImageMask(t.Context(), c, &inference.ImageMaskRequest{Model: "m", Image: img, Prompts: []inference.Prompt{prompt}}); err == nil {
				if m := r.Best()[0]; m.Validate() != nil || m.Width != size.X || m.Height != size.Y {
					t.Errorf("mask %+v", m)
				}
			}
			if r, err := inference.Detect(t.Context(), c, &inference.DetectionRequest{Model: "m", Image: img, Classes: []string{"a"}}); err == nil {
				for _, d := range r.Detections {
					if !d.Box.In(image.Rectangle{Max: size}) || d.Box.Empty() {
						t.Errorf("detection %+v", d)
					}
				}
			}
			inference.VideoMask(t.Context(), c, &inference.VideoMaskRequest{Model: "m", Frames: []*inference.Image{img}, Prompts: []inference.VideoPrompt{{Prompt: prompt}}})
			inference.Generate(t.Context(), c, &inference.GenerationRequest{Model: "m", Messages: []inference.ChatMessage{{Role: "user", Parts: []inference.Part{{Text: "a"}}}}})
			inference.Embed(t.Context(), c, &inference.EmbeddingRequest{Model: "m", Texts: []string{"a"}})
			c.Models(t.Context())
			c.Info(t.Context())
		}
	})
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
