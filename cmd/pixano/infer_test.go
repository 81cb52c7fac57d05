package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestInferDetect runs a job of detection with a server that finds one object of each class in every picture.
func TestInferDetect(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /app/settings/", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"app_name":"test"}`) })
	mux.HandleFunc("GET /app/models/", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `[{"name":"dino","task":"image_zero_shot_detection"}]`)
	})
	broken := true
	mux.HandleFunc("POST /tasks/image/zero_shot_detection/{$}", func(w http.ResponseWriter, r *http.Request) {
		var request struct {
			Classes      []string `json:"classes"`
			BoxThreshold float64  `json:"box_threshold"`
		}
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			t.Error(err)
		}
		if strings.Join(request.Classes, "|") != "car|traffic light" || request.BoxThreshold != 0.4 {
			t.Errorf("asked for %+v", request)
		}
		if broken {
			broken = false
			w.WriteHeader(500)
			return
		}
		io.WriteString(w, `{"status":"SUCCESS","timestamp":"2026-03-01T10:00:00","processing_time":0.1,"metadata":{},"data":{"boxes":[[1,2,9,8],[3,3,9,9]],"scores":[0.9,0.5],"classes":["car","traffic light"]}}`)
	})
	server := httptest.NewServer(mux)
	defer server.Close()

	ds := filepath.Join(t.TempDir(), "ds")
	if err := os.CopyFS(ds, os.DirFS(filepath.Join(goldenDir, "image_detection"))); err != nil {
		t.Fatal(err)
	}
	infer := func(more ...string) (code int, stdout, stderr string) {
		t.Helper()
		var out, errs bytes.Buffer
		args := append([]string{"infer", "detect", ds, "--model", "dino", "--classes", "car,traffic light", "--inference-url", server.URL, "--quiet", "--box-threshold", "0.4"}, more...)
		code = execute(t.Context(), args, strings.NewReader(""), &out, &errs)
		return code, out.String(), errs.String()
	}
	for _, step := range []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{"--dry-run"}, 0, "24 of 24 pictures of image to be done with dino of pixano-inference@", ""},
		{[]string{"--workers", "1"}, 1, "23 of 24 pictures of image done, 138 rows stored, 1 failed", "1 of 24 pictures of image failed"},
		{nil, 0, "1 of 24 pictures of image done, 6 rows stored, 23 done before", ""},
		{[]string{"--json"}, 0, `"before": 24`, ""},
		{[]string{"--labels", "none", "--entities", "none"}, 1, "", "the classes would be lost"},
		{[]string{"--views", "bboxes"}, 1, "", "want Image or SequenceFrame"},
	} {
		code, stdout, stderr := infer(step.args...)
		if code != step.code || !strings.Contains(stdout, step.stdout) || !strings.Contains(stderr, step.stderr) {
			t.Errorf("%q: exit code %d, want %d\n%s%s", step.args, code, step.code, stdout, stderr)
		}
	}
	var out bytes.Buffer
	if code := execute(t.Context(), []string{"data", "show", ds, "--table", "objects", "--where", "category = 'traffic light'", "--format", "jsonl"}, nil, &out, io.Discard); code != 0 || strings.Count(out.String(), "\n") != 24 {
		t.Errorf("exit code %d, objects:\n%s", code, out.String())
	}
}

// TestOpenAI: a server with OpenAI's interface is among the models, and computes the vectors of texts.
func TestOpenAI(t *testing.T) {
	t.Setenv("OPENAI_API_KEY", "secret")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("authorization %q", r.Header.Get("Authorization"))
		}
		io.WriteString(w, `{"object":"list","data":[{"id":"embed-small","object":"model"},{"id":"talker","object":"model"}]}`)
	})
	mux.HandleFunc("POST /v1/embeddings", func(w http.ResponseWriter, r *http.Request) {
		var request struct{ Input []string }
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			t.Error(err)
		}
		answer := map[string]any{"object": "list", "model": "embed-small"}
		data := []any{}
		for i, text := range request.Input {
			data = append(data, map[string]any{"object": "embedding", "index": i, "embedding": []float64{float64(strings.Count(text, "dog")), float64(strings.Count(text, "cat")), 0.1}})
		}
		answer["data"] = data
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()

	ds := filepath.Join(t.TempDir(), "ds")
	if err := os.CopyFS(ds, os.DirFS(filepath.Join(goldenDir, "image_detection"))); err != nil {
		t.Fatal(err)
	}
	url := server.URL + "/v1"
	for _, step := range []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{"models", "list", "--openai-url", url}, 0, "embed-small", ""},
		{[]string{"data", "embed", ds, "--model", "embed-small", "--openai-url", url, "--text-of", "objects.category", "--table", "words", "--quiet"}, 0, "vectors of image in words", ""},
		{[]string{"data", "search", ds, "--table", "words", "--text", "dog", "--openai-url", url, "--limit", "1", "--json"}, 0, `"item_id": "item_`, ""},
		{[]string{"models", "list", "--openai-url", "http://127.0.0.1:9/v1"}, 1, "", "connection refused"},
	} {
		var out, errs bytes.Buffer
		code := execute(t.Context(), step.args, strings.NewReader(""), &out, &errs)
		if code != step.code || !strings.Contains(out.String(), step.stdout) || !strings.Contains(errs.String(), step.stderr) {
			t.Errorf("%q: exit code %d, want %d\n%s%s", step.args, code, step.code, out.String(), errs.String())
		}
		if strings.Contains(out.String()+errs.String(), "secret") {
			t.Errorf("%q tells the key", step.args)
		}
	}
}

// TestGoOn: a job that was interrupted says how it goes on, another one does not.
func TestGoOn(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	failure := errors.New("failed")
	if got := goOn(ctx, failure); got != failure || goOn(ctx, nil) != nil {
		t.Errorf("not interrupted: %v", got)
	}
	cancel()
	if got := goOn(ctx, failure); !errors.Is(got, failure) || !strings.Contains(got.Error(), "Run the command again") || goOn(ctx, nil) != nil {
		t.Errorf("interrupted: %v", got)
	}
}
