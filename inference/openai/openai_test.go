package openai_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pixano/inference"
	"pixano/inference/openai"
)

// server answers chat completions with what was said to it, and keeps the last request.
type server struct {
	*httptest.Server
	last   map[string]any
	answer http.HandlerFunc // in place of that, if it is set
}

func newServer(t *testing.T) *server {
	s := &server{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"object":"list","data":[{"id":"qwen-vl"},{"id":"bge-embed"}]}`)
	})
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, _ *http.Request) {
		said := fmt.Sprint(len(s.last["messages"].([]any)), " messages")
		if s.last["stream"] != true {
			fmt.Fprintf(w, `{"model":"qwen-vl-2","choices":[{"message":{"role":"assistant","content":%q},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}`, said)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		fmt.Fprint(w, ": hello\n\n")
		for _, piece := range strings.SplitAfter(said, " ") {
			fmt.Fprintf(w, "data: {\"model\":\"qwen-vl-2\",\"choices\":[{\"delta\":{\"content\":%q}}]}\n\n", piece)
			w.(http.Flusher).Flush()
		}
		fmt.Fprint(w, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n")
		fmt.Fprint(w, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}}\n\ndata: [DONE]\n\n")
	})
	mux.HandleFunc("POST /v1/embeddings", func(w http.ResponseWriter, _ *http.Request) {
		// Not in order: the index counts.
		io.WriteString(w, `{"model":"bge-embed","data":[{"index":1,"embedding":[0,2]},{"index":0,"embedding":[3,4]}]}`)
	})
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer sesame" {
			w.WriteHeader(401)
			fmt.Fprintf(w, `{"error":{"message":"Incorrect API key provided: %s"}}`, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
			return
		}
		if r.Method == http.MethodPost {
			s.last = nil
			if err := json.NewDecoder(r.Body).Decode(&s.last); err != nil {
				t.Error(err)
			}
			if s.answer != nil {
				s.answer(w, r)
				return
			}
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func connect(t *testing.T, s *server) *openai.Client {
	t.Helper()
	c, err := openai.Connect(t.Context(), s.URL+"/v1/", &openai.Options{APIKey: "sesame"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func question(t *testing.T) *inference.GenerationRequest {
	t.Helper()
	m, err := inference.ImageOf(image.NewGray(image.Rect(0, 0, 2, 2)))
	if err != nil {
		t.Fatal(err)
	}
	return &inference.GenerationRequest{Model: "qwen-vl", Temperature: 0.5, Messages: []inference.ChatMessage{
		{Role: inference.RoleSystem, Parts: []inference.Part{{Text: "be brief"}}},
		{Role: inference.RoleUser, Parts: []inference.Part{{Image: m}, {Text: "What?"}}}}}
}

func TestGenerate(t *testing.T) {
	s := newServer(t)
	c := connect(t, s)
	for _, stream := range []bool{false, true} {
		req := question(t)
		var pieces []string
		if stream {
			req.OnText = func(text string) error { pieces = append(pieces, text); return nil }
		}
		got, err := inference.Generate(t.Context(), c, req)
		if err != nil {
			t.Fatal(err)
		}
		if got.Text != "2 messages" || got.Usage != (inference.Usage{PromptTokens: 9, CompletionTokens: 2, TotalTokens: 11}) ||
			got.Metadata["name"] != "qwen-vl-2" || got.Timestamp.IsZero() {
			t.Errorf("stream %v: %+v", stream, got)
		}
		if stream {
			if diff := cmp.Diff([]string{"2 ", "messages"}, pieces); diff != "" {
				t.Error(diff)
			}
		}
	}
	source, err := question(t).Messages[1].Parts[0].Image.Source()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"model": "qwen-vl", "max_tokens": 100.0, "temperature": 0.5, "stream": true, "stream_options": map[string]any{"include_usage": true},
		"messages": []any{map[string]any{"role": "system", "content": "be brief"},
			map[string]any{"role": "user", "content": []any{map[string]any{"type": "image_url", "image_url": map[string]any{"url": source}}, map[string]any{"type": "text", "text": "What?"}}}}}
	if diff := cmp.Diff(want, s.last); diff != "" {
		t.Error(diff)
	}
}

// An error of the function that takes the text ends the call.
func TestOnTextError(t *testing.T) {
	c := connect(t, newServer(t))
	req := question(t)
	enough := errors.New("enough")
	req.OnText = func(string) error { return enough }
	if _, err := inference.Generate(t.Context(), c, req); !errors.Is(err, enough) {
		t.Errorf("error %v", err)
	}
}

// Newer models want the limit under another name.
func TestMaxCompletionTokens(t *testing.T) {
	s := newServer(t)
	c := connect(t, s)
	s.answer = func(w http.ResponseWriter, _ *http.Request) {
		if _, ok := s.last["max_tokens"]; ok {
			w.WriteHeader(400)
			io.WriteString(w, `{"error":{"message":"Unsupported parameter: use 'max_completion_tokens' instead."}}`)
			return
		}
		io.WriteString(w, `{"choices":[{"message":{"content":"ok"}}]}`)
	}
	got, err := inference.Generate(t.Context(), c, question(t))
	if err != nil || got.Text != "ok" || s.last["max_completion_tokens"] != 100.0 || got.Metadata["name"] != "qwen-vl" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestBadAnswers(t *testing.T) {
	s := newServer(t)
	c := connect(t, s)
	event := func(lines ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for _, l := range lines {
				io.WriteString(w, l+"\n\n")
			}
		}
	}
	plain := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status); io.WriteString(w, body) }
	}
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   error
	}{
		{"no JSON", plain(200, "busy"), inference.ErrInvalidResponse},
		{"no choices", plain(200, `{"choices":[]}`), inference.ErrInvalidResponse},
		{"no content", plain(200, `{"choices":[{"message":{}}]}`), inference.ErrInvalidResponse},
		{"refusal", plain(200, `{"choices":[{"message":{"content":null,"refusal":"no"}}]}`), inference.ErrFailed},
		{"error in place of an answer", plain(200, `{"error":{"message":"overloaded"}}`), inference.ErrFailed},
		{"unknown model", plain(404, "{\"error\":{\"message\":\"The model `x` does not exist\",\"code\":\"model_not_found\"}}"), inference.ErrModelNotFound},
		{"too many", plain(429, `{"error":{"message":"slow down"}}`), inference.ErrFailed},
		{"event without JSON", event("data: {"), inference.ErrInvalidResponse},
		{"stream ends", event(`data: {"choices":[{"delta":{"content":"a"}}]}`), inference.ErrConnection},
		{"error in a stream", event(`data: {"error":{"message":"out of memory"}}`), inference.ErrFailed},
		{"long event", event("data: " + strings.Repeat("x", 5<<20)), inference.ErrInvalidResponse},
		{"death", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, inference.ErrConnection},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.answer = tt.answer
			if _, err := inference.Generate(t.Context(), c, question(t)); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
	s.answer = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := inference.Generate(ctx, c, question(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hanging stream: %v", err)
	}
}

func TestEmbed(t *testing.T) {
	s := newServer(t)
	c := connect(t, s)
	got, err := inference.Embed(t.Context(), c, &inference.EmbeddingRequest{Model: "bge-embed", Texts: []string{"a", "b"}, Normalize: true})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]float32{{0.6, 0.8}, {0, 1}}, got.Vectors); diff != "" {
		t.Error(diff)
	}
	for _, n := range []int{1, 3} {
		if _, err := inference.Embed(t.Context(), c, &inference.EmbeddingRequest{Model: "bge-embed", Texts: make([]string, n)}); !errors.Is(err, inference.ErrInvalidResponse) {
			t.Errorf("two vectors for %d texts: %v", n, err)
		}
	}
	m := question(t).Messages[1].Parts[0].Image
	if _, err := inference.Embed(t.Context(), c, &inference.EmbeddingRequest{Model: "m", Images: []*inference.Image{m}}); !errors.Is(err, inference.ErrTaskNotSupported) {
		t.Errorf("pictures: %v", err)
	}
	if _, err := inference.ImageMask(t.Context(), c, &inference.ImageMaskRequest{Model: "m", Image: m, Prompts: []inference.Prompt{{Box: image.Rect(0, 0, 1, 1)}}}); !errors.Is(err, inference.ErrTaskNotSupported) {
		t.Errorf("masks: %v", err)
	}
}

func TestModels(t *testing.T) {
	s := newServer(t)
	c := connect(t, s)
	models, err := c.Models(t.Context())
	want := []inference.Model{{Name: "qwen-vl", Task: inference.TaskGeneration}, {Name: "bge-embed", Task: inference.TaskEmbedding}}
	if diff := cmp.Diff(want, models); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if _, err := openai.Connect(t.Context(), s.URL+"/v1", &openai.Options{APIKey: "my-secret"}); !errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), "my-secret") {
		t.Errorf("wrong key: %v", err)
	}
	if _, err := openai.Connect(t.Context(), "ftp://host", nil); !errors.Is(err, inference.ErrInvalidRequest) {
		t.Errorf("wrong URL: %v", err)
	}
}

// FuzzStream: whatever a stream holds, the client gives an answer or an error.
func FuzzStream(f *testing.F) {
	f.Add([]byte("data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"))
	f.Add([]byte("event: x\ndata:{\"usage\":{\"total_tokens\":3},\"choices\":[]}\r\n\r\n"))
	f.Add([]byte("data: {\"error\":\"a\"}\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, kind := range []string{"text/event-stream", "application/json"} {
			client := &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(strings.NewReader(string(body))), Request: r}, nil
			})}
			c, err := openai.New("http://gpu/v1", &openai.Options{HTTPClient: client})
			if err != nil {
				t.Fatal(err)
			}
			var said strings.Builder
			got, err := inference.Generate(t.Context(), c, &inference.GenerationRequest{Model: "m", OnText: func(s string) error { said.WriteString(s); return nil },
				Messages: []inference.ChatMessage{{Role: "user", Parts: []inference.Part{{Text: "a"}}}}})
			if err == nil && got.Text != said.String() {
				t.Errorf("said %q and then %q", said.String(), got.Text)
			}
		}
	})
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
