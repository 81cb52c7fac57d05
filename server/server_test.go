package server_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/server"
)

// golden is a directory of datasets that Python Pixano wrote.
const golden = "../testdata/golden"

// newLibrary copies golden datasets into a new library.
func newLibrary(t testing.TB, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join(golden, name))); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// start serves a library until the end of the test and returns its address.
func start(t testing.TB, library string, opts *server.Options) (address string) {
	t.Helper()
	l, err := dataset.OpenLibrary(library)
	if err != nil {
		t.Fatal(err)
	}
	if opts == nil {
		opts = &server.Options{}
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.NewTextHandler(testWriter{t}, nil))
	}
	s, err := server.New(l, opts)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s)
	t.Cleanup(func() {
		s.EndStreams()
		web.Close()
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return web.URL
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// answer is what a server answered.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// decoded returns the JSON of an answer.
func (a answer) decoded(t testing.TB) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("%v: %.200s", err, a.body)
	}
	return v
}

// call sends a request. body is a text, or a value to be sent as JSON; nil is none. headers are names and values.
func call(t testing.TB, method, url string, body any, headers ...string) answer {
	t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		r = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, r)
	if err != nil {
		t.Fatal(err)
	}
	if r != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, content}
}

const images = "golden_image_detection" // id of the golden dataset image_detection

// box is a row that can be stored in the golden dataset of images.
func box(id string) map[string]any {
	none := map[string]any{"name": "", "id": ""}
	return map[string]any{
		"id":         id,
		"table_info": map[string]any{"name": "bboxes", "group": "annotations", "base_schema": "BBox"},
		"data": map[string]any{
			"item_ref": map[string]any{"name": "item", "id": "item_000"}, "view_ref": none, "entity_ref": none, "source_ref": none,
			"inference_metadata": map[string]any{}, "coords": []any{0.0, 0.0, 0.5, 0.5}, "format": "xywh", "is_normalized": true, "confidence": 1.0,
		},
	}
}

// TestChangeSets stores a change set over two tables, refuses one whose precondition does not hold, and replays one.
func TestChangeSets(t *testing.T) {
	url := start(t, newLibrary(t, "image_detection"), nil)
	put := map[string]any{"author": "ana", "key": "k1", "changes": []any{
		map[string]any{"op": "insert", "table": "bboxes", "row": box("new"), "if": "absent"},
		map[string]any{"op": "delete", "table": "masks", "id": "mask_000_0"},
	}}
	first := call(t, "POST", url+"/changes/"+images, put)
	if first.status != http.StatusOK {
		t.Fatalf("status %d: %s", first.status, first.body)
	}
	again := call(t, "POST", url+"/changes/"+images, put).decoded(t).(map[string]any)
	if again["replayed"] != true {
		t.Errorf("the same key again: %v", again)
	}
	conflict := call(t, "POST", url+"/changes/"+images, map[string]any{"changes": []any{
		map[string]any{"op": "put", "table": "bboxes", "row": box("other")},
		map[string]any{"op": "delete", "table": "bboxes", "id": "new", "if": "2020-01-01T00:00:00"},
	}})
	if conflict.status != http.StatusConflict {
		t.Fatalf("status %d: %s", conflict.status, conflict.body)
	}
	row := conflict.decoded(t).(map[string]any)["conflicts"].([]any)[0].(map[string]any)["now"].(map[string]any)
	if diff := cmp.Diff(box("new")["data"], row["data"]); diff != "" {
		t.Errorf("the row as it is (-want +got):\n%s", diff)
	}
	if got := call(t, "GET", url+"/annotations/"+images+"/bboxes/other", nil).status; got != http.StatusNotFound {
		t.Errorf("a row of a refused change set: status %d", got)
	}
	now := row["updated_at"].(string)
	gone := call(t, "POST", url+"/changes/"+images, map[string]any{"changes": []any{
		map[string]any{"op": "delete", "table": "bboxes", "id": "new", "if": now}}})
	if gone.status != http.StatusOK {
		t.Errorf("status %d: %s", gone.status, gone.body)
	}
}

// TestGuards: requests that pages of other sites may have caused change and show nothing.
func TestGuards(t *testing.T) {
	library := newLibrary(t, "image_detection")
	url := start(t, library, &server.Options{MaxBody: 1000, UI: fstest.MapFS{"index.html": {Data: []byte("<head></head>")}}})
	path := url + "/annotations/" + images + "/bboxes"
	for name, test := range map[string]struct {
		got  answer
		want int
	}{
		"another name for this address": {call(t, "GET", url+"/datasets/info", nil, "Host", "evil.example"), http.StatusMisdirectedRequest},
		"a write from another site":     {call(t, "POST", path, []any{box("x")}, "Origin", "http://evil.example"), http.StatusForbidden},
		"a write from a frame":          {call(t, "POST", path, []any{box("x")}, "Sec-Fetch-Site", "cross-site"), http.StatusForbidden},
		"a write from its own pages":    {call(t, "POST", path, []any{box("y")}, "Origin", url), http.StatusOK},
		"a body that is too large":      {call(t, "POST", path, strings.Repeat(" ", 2000)), http.StatusRequestEntityTooLarge},
		"a path out of the media":       {call(t, "GET", url+"/media/..%2F..%2Finfo.json", nil), http.StatusNotFound},
		"no such page":                  {call(t, "GET", url+"/nope/nope/nope", nil), http.StatusNotFound},
		"another method":                {call(t, "PATCH", path, "{}"), http.StatusMethodNotAllowed},
		"the application":               {call(t, "GET", url+"/app/d/x/i/y", nil), http.StatusOK},
	} {
		if test.got.status != test.want {
			t.Errorf("%s: status %d, want %d: %s", name, test.got.status, test.want, test.got.body)
		}
		if h := test.got.header.Get("Access-Control-Allow-Origin"); h != "" {
			t.Errorf("%s: Access-Control-Allow-Origin %q", name, h)
		}
	}
	if got := call(t, "GET", path+"?ids=x", nil).status; got != http.StatusNotFound {
		t.Errorf("a row from another site is there: status %d", got)
	}
}
