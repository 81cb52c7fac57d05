package server_test

import (
	"bytes"
	"context"
	"image"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pixano/inference"
	"pixano/inference/toyclip"
	"pixano/internal/imaging"
	"pixano/search"
	"pixano/server"
)

// TestPictureVector asks for the vector of a picture, and finds the items that are like it.
func TestPictureVector(t *testing.T) {
	library := newLibrary(t, "image_detection")
	registry := &inference.Registry{}
	if err := registry.Add(inference.ProviderOf(toyclip.Embedder{})); err != nil {
		t.Fatal(err)
	}
	defer registry.Close()
	url := start(t, library, &server.Options{Inference: registry, Models: func(ctx context.Context, f search.Function) (search.Embedder, error) {
		return registry.Embedder(ctx, f)
	}})
	finished(t, url, call(t, "POST", url+"/embed/"+images, map[string]any{"model": toyclip.Name, "views": "image", "table": "colours"}))
	content, err := os.ReadFile(filepath.Join("..", "testdata", "golden", "image_detection", "media", "images", "train", "im_003.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	send := func(table string, body []byte) answer {
		return call(t, "POST", url+"/picture_vector/"+images+"/"+table, string(body), "Content-Type", "image/jpeg")
	}
	got := send("colours", content)
	if got.status != http.StatusOK {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	vector := got.decoded(t).(map[string]any)["vector"].([]any)
	picture, _, err := imaging.Decode(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	want, err := toyclip.Embedder{}.EmbedImages(t.Context(), []image.Image{picture})
	if err != nil || len(vector) != len(want[0]) {
		t.Fatalf("%d numbers, want %d; %v", len(vector), len(want[0]), err)
	}
	found := call(t, "POST", url+"/explore/"+images, map[string]any{"search": map[string]any{"table": "colours", "vector": vector}, "query": map[string]any{"limit": 1}}).decoded(t)
	nearest := found.(map[string]any)["items"].([]any)[0].(map[string]any)
	if id := nearest["row"].(map[string]any)["id"]; id != "item_003" || nearest["distance"].(float64) > 1e-4 {
		t.Errorf("nearest is %v at %v, want the item of the picture", id, nearest["distance"])
	}
	if got := call(t, "GET", url+"/browser/"+images+"?query=red&embedding_table=colours&skip=1&limit=9223372036854775807", nil); got.status != http.StatusOK {
		t.Errorf("a page of all that follow: status %d: %s", got.status, got.body)
	}
	for _, test := range []struct {
		table  string
		body   []byte
		status int
		text   string
	}{
		{"colours", []byte("no picture"), http.StatusBadRequest, "no picture"},
		{"none", content, http.StatusNotFound, "none"},
		{"bboxes", content, http.StatusBadRequest, "names no function"},
		{"image_embedding", content, http.StatusBadRequest, "names no function"},
		{"toy_embedding", content, http.StatusBadRequest, "toy-bytes"}, // whose model is not there
	} {
		if got := send(test.table, test.body); got.status != test.status || !strings.Contains(string(got.body), test.text) {
			t.Errorf("%s: status %d, want %d with %q: %s", test.table, got.status, test.status, test.text, got.body)
		}
	}
}
