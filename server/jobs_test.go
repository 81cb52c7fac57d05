package server_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"pixano/features"
	"pixano/inference"
	"pixano/inference/grabcut"
	"pixano/inference/pixanoserver"
	"pixano/inference/toyclip"
	"pixano/server"
)

// finished waits for the end of a job.
func finished(t *testing.T, url string, started answer) map[string]any {
	t.Helper()
	if started.status != http.StatusOK {
		t.Fatalf("status %d: %s", started.status, started.body)
	}
	job := started.decoded(t).(map[string]any)
	for job["state"] == "running" {
		time.Sleep(10 * time.Millisecond)
		job = call(t, "GET", url+"/jobs/"+job["id"].(string), nil).decoded(t).(map[string]any)
	}
	return job
}

// TestJobs exports a dataset, fetches the files, imports pictures as another one, and makes an index.
func TestJobs(t *testing.T) {
	library, exchange, media := newLibrary(t, "image_detection"), t.TempDir(), t.TempDir()
	if err := os.CopyFS(media, os.DirFS(filepath.Join(library, "image_detection", "media"))); err != nil {
		t.Fatal(err)
	}
	url := start(t, library, &server.Options{ExchangeDir: exchange, MediaDir: media})
	export := finished(t, url, call(t, "POST", url+"/export/"+images, map[string]any{"format": "jsonl"}))
	if export["state"] != "done" || export["result"].(map[string]any)["items"] != 24.0 {
		t.Fatalf("export: %v", export)
	}
	content := call(t, "GET", url+export["file"].(string), nil).body
	files, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil || len(files.File) == 0 {
		t.Fatalf("the zip has %d files: %v", len(files.File), err)
	}
	const source = "pictures"
	if err := os.CopyFS(filepath.Join(exchange, source), os.DirFS(filepath.Join(media, "images"))); err != nil {
		t.Fatal(err)
	}
	imported := finished(t, url, call(t, "POST", url+"/import", map[string]any{"format": "folder", "source": source, "name": "again", "type": "image"}))
	if imported["state"] != "done" {
		t.Fatalf("import: %v", imported)
	}
	if got := string(call(t, "GET", url+"/datasets/again/item/count", nil).body); got != "24" {
		t.Errorf("items of the imported dataset: %s", got)
	}
	index := finished(t, url, call(t, "POST", url+"/indexes/"+images, map[string]any{"table": "item", "column": "category"}))
	if index["state"] != "done" {
		t.Fatalf("index: %v", index)
	}
	list := call(t, "GET", url+"/indexes/"+images, nil).decoded(t).(map[string]any)["indexes"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["opted_in"] != true {
		t.Errorf("indexes %v", list)
	}
	if got := call(t, "DELETE", url+"/indexes/"+images+"/item/category_idx", nil); got.status != http.StatusNoContent {
		t.Errorf("status %d: %s", got.status, got.body)
	}
	if jobs := call(t, "GET", url+"/jobs", nil).decoded(t).(map[string]any)["jobs"].([]any); len(jobs) != 3 {
		t.Errorf("%d jobs", len(jobs))
	}
	for body, want := range map[string]int{
		`{"format": "nope", "source": "x", "name": "y"}`:                400,
		`{"format": "jsonl", "source": "../x", "name": "y"}`:            400,
		`{"format": "jsonl", "source": "/etc", "name": "y"}`:            400,
		`{"format": "jsonl", "source": "nope", "name": "y"}`:            404,
		`{"format": "jsonl", "source": "` + source + `", "name": ".."}`: 400,
	} {
		if got := call(t, "POST", url+"/import", body); got.status != want {
			t.Errorf("%s: status %d, want %d: %s", body, got.status, want, got.body)
		}
	}
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

var wholePicture = []uint32{0, 32 * 28}

// modelServer speaks a protocol of Pixano-Inference. One model gives the whole picture as the mask, the other one finds one box
// of each class.
func modelServer(t *testing.T) *httptest.Server {
	mux := http.NewServeMux()
	reply := func(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }
	mux.HandleFunc("GET /app/settings/", func(w http.ResponseWriter, _ *http.Request) { reply(w, map[string]any{"app_name": "test"}) })
	mux.HandleFunc("GET /app/models/", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, []any{map[string]any{"name": "sam", "task": "image_mask_generation"}, map[string]any{"name": "finder", "task": "image_zero_shot_detection"}})
	})
	mux.HandleFunc("POST /tasks/image/zero_shot_detection/", func(w http.ResponseWriter, r *http.Request) {
		var ask struct{ Classes []string }
		_ = json.NewDecoder(r.Body).Decode(&ask)
		boxes, scores := [][]int{}, []float64{}
		for i := range ask.Classes {
			boxes, scores = append(boxes, []int{i, i, i + 4, i + 3}), append(scores, 0.9)
		}
		reply(w, map[string]any{"status": "SUCCESS", "timestamp": "2026-03-01T10:00:00", "processing_time": 0.25, "metadata": map[string]any{},
			"data": map[string]any{"boxes": boxes, "scores": scores, "classes": ask.Classes}})
	})
	mux.HandleFunc("POST /tasks/image/mask_generation/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !strings.Contains(string(body), `"sam"`) {
			w.WriteHeader(http.StatusNotFound)
			reply(w, map[string]any{"detail": "no such model"})
			return
		}
		// The picture is 28 wide and 32 high; the mask is all of it.
		reply(w, map[string]any{"status": "SUCCESS", "timestamp": "2026-03-01T10:00:00", "processing_time": 0.25, "metadata": map[string]any{},
			"data": map[string]any{"masks": []any{[]any{features.RLE{Height: 32, Width: 28, Counts: wholePicture}}}, "scores": map[string]any{"values": []float64{0.9}, "shape": []int{1}}}})
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// TestInference connects to a model server and asks for a mask, as the web interface of the reference does.
func TestInference(t *testing.T) {
	registry := &inference.Registry{}
	t.Cleanup(func() { registry.Close() })
	registry.Register(pixanoserver.Kind, pixanoserver.Connector(nil))
	url := start(t, newLibrary(t, "image_detection"), &server.Options{Inference: registry})
	for path, want := range map[string]int{"GET /inference/models/list": 500, "POST /inference/connect": 422, "POST /inference/connect?url=http://127.0.0.1:1": 404, "DELETE /inference/models/delete/x": 500} {
		method, path, _ := strings.Cut(path, " ")
		if got := call(t, method, url+path, nil); got.status != want {
			t.Errorf("%s without a connection: status %d, want %d: %s", path, got.status, want, got.body)
		}
	}
	models := modelServer(t)
	if got := call(t, "POST", url+"/inference/connect?url="+models.URL, nil); got.status != http.StatusOK || string(got.body) != "null" {
		t.Fatalf("connect: status %d: %s", got.status, got.body)
	}
	if got := string(call(t, "GET", url+"/inference/models/list?task=image_mask_generation", nil).body); got != `[{"name":"sam","task":"image_mask_generation"}]` {
		t.Errorf("models %s", got)
	}
	if got := string(call(t, "GET", url+"/inference/models/list?task=embedding", nil).body); got != `[]` {
		t.Errorf("models %s", got)
	}
	view := call(t, "GET", url+"/views/"+images+"/image/img_011", nil).decoded(t)
	ask := map[string]any{"dataset_id": images, "image": view, "model": "sam", "mask_table_name": "masks", "points": []any{[]int{5, 6}}, "labels": []int{1},
		"bbox": map[string]any{"id": "b", "coords": []float64{1, 2, 20, 20}, "format": "xywh", "is_normalized": false, "confidence": 1}}
	got := call(t, "POST", url+"/inference/tasks/mask-generation/image", ask)
	if got.status != http.StatusOK {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	mask := got.decoded(t).(map[string]any)["mask"].(map[string]any)
	data := mask["data"].(map[string]any)
	_, whole := features.RLE{Height: 32, Width: 28, Counts: wholePicture}.Compressed()
	if mask["table_info"].(map[string]any)["name"] != "masks" || data["view_ref"].(map[string]any)["id"] != "img_011" || data["counts"] != string(whole) {
		t.Errorf("mask %v", mask)
	}
	source := data["source_ref"].(map[string]any)["id"].(string)
	if row := call(t, "GET", url+"/sources/"+images+"/"+source, nil).decoded(t).(map[string]any)["data"].(map[string]any); row["name"] != "sam" || row["kind"] != "model" {
		t.Errorf("source %v", row)
	}
	if got := call(t, "GET", url+"/annotations/"+images+"/masks/"+mask["id"].(string), nil).status; got != http.StatusNotFound {
		t.Errorf("the mask was stored: status %d", got)
	}
	// Previews make no source, also those of servers elsewhere; quick ones are for providers that keep what takes long of a picture.
	known := string(call(t, "GET", url+"/sources/"+images+"?limit=100", nil).body)
	call(t, "DELETE", url+"/sources/"+images+"/"+source, nil)
	ask["preview"] = true
	if got := call(t, "POST", url+"/inference/tasks/mask-generation/image", ask); got.status != http.StatusOK {
		t.Errorf("a preview of a server: status %d: %s", got.status, got.body)
	}
	find := map[string]any{"dataset_id": images, "image": view, "entity": nil, "model": "finder", "classes": []string{"car"}, "box_table_name": "bboxes", "class_table_name": "labels", "preview": true}
	if got := call(t, "POST", url+"/inference/tasks/zero-shot-detection/image", find); got.status != http.StatusOK || !strings.Contains(string(got.body), `"car"`) {
		t.Errorf("a preview of boxes: status %d: %s", got.status, got.body)
	}
	if left := string(call(t, "GET", url+"/sources/"+images+"?limit=100", nil).body); strings.Contains(left, `"sam"`) || strings.Contains(left, `"finder"`) || !strings.Contains(known, `"sam"`) {
		t.Errorf("sources %s before, %s after previews of a server", known, left)
	}
	ask["quick"] = true
	if got := call(t, "POST", url+"/inference/tasks/mask-generation/image", ask); got.status != http.StatusBadRequest {
		t.Errorf("a quick preview of a server: status %d: %s", got.status, got.body)
	}
	if err := registry.Add(grabcut.New()); err != nil {
		t.Fatal(err)
	}
	sources := string(call(t, "GET", url+"/sources/"+images+"?limit=100", nil).body)
	ask["model"] = grabcut.Model
	preview := call(t, "POST", url+"/inference/tasks/mask-generation/image", ask)
	if preview.status != http.StatusOK || preview.decoded(t).(map[string]any)["mask"].(map[string]any)["data"].(map[string]any)["counts"] == "" {
		t.Errorf("a preview: status %d: %s", preview.status, preview.body)
	}
	if after := string(call(t, "GET", url+"/sources/"+images+"?limit=100", nil).body); after != sources {
		t.Errorf("sources %s before, %s after a preview", sources, after)
	}
	delete(ask, "preview")
	delete(ask, "quick")
	ask["model"] = "nope"
	if got := call(t, "POST", url+"/inference/tasks/mask-generation/image", ask); got.status < 400 || got.status >= 500 {
		t.Errorf("an unknown model: status %d: %s", got.status, got.body)
	}
	if err := registry.Add(inference.ProviderOf(toyclip.Embedder{})); err != nil {
		t.Fatal(err)
	}
	embedded := finished(t, url, call(t, "POST", url+"/embed/"+images, map[string]any{"model": toyclip.Name, "views": "image", "table": "colours", "query": map[string]any{"limit": 5}}))
	if embedded["state"] != "done" || embedded["result"].(map[string]any)["rows"] != 5.0 {
		t.Errorf("embed: %v", embedded)
	}
	if got := string(call(t, "GET", url+"/datasets/"+images+"/colours/count", nil).body); got != "5" {
		t.Errorf("vectors: %s", got)
	}
	before := string(call(t, "GET", url+"/datasets/"+images+"/bboxes/count", nil).body)
	detect := map[string]any{"model": "finder", "views": "image", "boxes": "bboxes", "entities": "objects", "classes": []string{"cat", "dog"}, "author": "bea", "query": map[string]any{"limit": 3}}
	detected := finished(t, url, call(t, "POST", url+"/detect/"+images, detect))
	if result, _ := detected["result"].(map[string]any); detected["state"] != "done" || result["total"] != 3.0 || result["done"] != 3.0 || result["failed"] != 0.0 || result["rows"].(float64) < 6 {
		t.Errorf("detect: %v", detected)
	}
	if after := string(call(t, "GET", url+"/datasets/"+images+"/bboxes/count", nil).body); number(t, after) != number(t, before)+6 {
		t.Errorf("%s boxes before, %s after, want six more", before, after)
	}
	again := finished(t, url, call(t, "POST", url+"/detect/"+images, detect))
	if result, _ := again["result"].(map[string]any); again["state"] != "done" || result["before"] != 3.0 || result["rows"] != 0.0 {
		t.Errorf("detect again: %v", again)
	}
	detect["boxes"] = "nope"
	if wrong := finished(t, url, call(t, "POST", url+"/detect/"+images, detect)); wrong["state"] != "failed" || wrong["error"] == "" {
		t.Errorf("detect into a table that is not there: %v", wrong)
	}
	if got := call(t, "POST", url+"/segment/"+images, map[string]any{"model": "nope", "boxes": "bboxes", "masks": "masks"}); got.status != http.StatusNotFound {
		t.Errorf("an unknown model: status %d: %s", got.status, got.body)
	}
	delete(ask, "image")
	if got := call(t, "POST", url+"/inference/tasks/mask-generation/image", ask); got.status != http.StatusUnprocessableEntity {
		t.Errorf("without an image: status %d: %s", got.status, got.body)
	}
}

// TestReadOnlyJobs: jobs that change a dataset are refused before they begin.
func TestReadOnlyJobs(t *testing.T) {
	registry := &inference.Registry{}
	if err := registry.Add(grabcut.New()); err != nil {
		t.Fatal(err)
	}
	defer registry.Close()
	url := start(t, newLibrary(t, "image_detection"), &server.Options{ReadOnly: true, Inference: registry})
	for path, body := range map[string]any{
		"/optimize/" + images: nil,
		"/indexes/" + images:  map[string]any{"table": "image_embedding", "column": "vector"},
		"/segment/" + images:  map[string]any{"model": grabcut.Model, "boxes": "bboxes", "masks": "masks"},
	} {
		if got := call(t, "POST", url+path, body); got.status != http.StatusForbidden {
			t.Errorf("%s: status %d: %s", path, got.status, got.body)
		}
	}
}
