package server_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pixano/dataset"
	"pixano/server"
)

// hostile are values for the places of a request.
var hostile = []string{
	"", " ", ".", "..", "../..", "/", "//", "%00", "\x00", "\xff\xfe", "a'b", `a"b`, "a;DROP TABLE item", "'; --", "1 OR 1=1", "*", "#", "#nope", "-1", "0", "1e999",
	"99999999999999999999", "NaN", "null", "{}", "[]", "$where", "🙂", strings.Repeat("a", 5000), "golden_image_detection@", "golden_image_detection@nope", "source", "item", "con", "file:///etc/passwd", "http://127.0.0.1:1",
}

// bodies are bodies that no route wants.
var bodies = []string{
	"", " ", "null", "true", "5", `"x"`, "[]", "{}", "[null]", "[[]]", "[{}]", "{", "[", `{"a":`, "\x00", "\xff", `{"id": null}`, `[{"id": {}}]`, `{"where": 5}`, `{"query": "x"}`, `{"query": {"where": "id = '"}}`,
	`{"query": {"limit": -1}}`, `{"query": {"order_by": "nope"}}`, `{"query": {"has": [{"table": "nope"}]}}`, `{"changes": [{}]}`, `{"changes": [{"op": "delete", "table": "item"}]}`, `{"changes": [{"op": "put", "table": "nope", "row": {}}]}`,
	`{"changes": [{"op": "put", "table": "item", "row": {"id": "x", "data": {}}}]}`, `{"fields": ["nope"]}`, `{"fields": ["id"], "options": {"bins": -5}}`, `{"table": "image_embedding", "vector": [1e300]}`, `{"table": "image_embedding", "like": "nope"}`,
	`{"name": "../x"}`, `{"name": "now"}`, `{"format": "nope"}`, `{"query": "SELECT * FROM nope"}`, `{"query": "SELECT 1; SELECT 2"}`, `{"args": [{}], "where": "id = ?"}`, `{"ids": [""]}`, strings.Repeat("[", 20000), strings.Repeat(`{"a":`, 20000), `"` + strings.Repeat("x", 100000) + `"`,
}

// operations lists the routes of the description as method and path.
func operations(t testing.TB, address string) [][2]string {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(call(t, "GET", address+"/openapi.json", nil).body, &doc); err != nil {
		t.Fatal(err)
	}
	var all [][2]string
	for path, methods := range doc.Paths {
		for method := range methods {
			if path != "/events/{dataset}" { // has no end
				all = append(all, [2]string{strings.ToUpper(method), path})
			}
		}
	}
	slices.SortFunc(all, func(a, b [2]string) int { return strings.Compare(a[1]+a[0], b[1]+b[0]) })
	return all
}

// fill puts values into the places of a path: good ones, but for the one of a name.
func fill(path, name, value string) string {
	good := map[string]string{"dataset": images, "table": "bboxes", "id": "box_003_0", "item": "item_003", "path": "images/train/im_003.jpg", "url": "aW1hZ2Vz", "name": "v1", "change": "1"}
	switch {
	case strings.HasPrefix(path, "/views"):
		good["table"] = "image"
	case strings.HasPrefix(path, "/entities"):
		good["table"] = "objects"
	case strings.HasPrefix(path, "/embeddings"):
		good["table"] = "image_embedding"
	}
	good[name] = value
	for n, v := range good {
		path = strings.ReplaceAll(path, "{"+n+"}", url.PathEscape(v))
	}
	return path
}

// TestHostileRequests sends each route what it does not want, in every place: none of it is a failure of the server.
func TestHostileRequests(t *testing.T) {
	address := start(t, newLibrary(t, "image_detection"), &server.Options{ExchangeDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	queries := []string{"limit", "skip", "ids", "item_ids", "where", "sortcol", "order", "query", "embedding_table", "max_size", "w", "from", "to", "view", "order_by", "columns", "format", "offset", "before", "table", "tables", "since", "task", "dataset"}
	var requests []func() (string, answer)
	add := func(method, path string, body any) {
		requests = append(requests, func() (string, answer) {
			return fmt.Sprintf("%s %.300s %.200v", method, path, body), call(t, method, address+path, body)
		})
	}
	for _, op := range operations(t, address) {
		method, path := op[0], op[1]
		wantsBody := method == "POST" || method == "PUT"
		for part := range strings.SplitSeq(path, "/") {
			if name, ok := strings.CutPrefix(part, "{"); ok {
				name = strings.TrimSuffix(name, "}")
				for _, v := range hostile {
					var body any
					if wantsBody {
						body = "{}"
					}
					add(method, fill(path, name, v), body)
				}
			}
		}
		if wantsBody {
			for _, b := range bodies {
				add(method, fill(path, "", ""), b)
			}
		}
		for _, q := range queries {
			for _, v := range hostile[:16] {
				if method == "GET" {
					add(method, fill(path, "", "")+"?"+q+"="+url.QueryEscape(v), nil)
				}
			}
		}
		if method == "GET" {
			add(method, fill(path, "", "")+"?ids=%zz&;=%", nil)
		}
	}
	var wait sync.WaitGroup
	next := make(chan func() (string, answer))
	for range 4 {
		wait.Go(func() {
			for request := range next {
				what, got := request()
				if got.status >= 500 && !strings.Contains(string(got.body), "no inference server is connected") {
					t.Errorf("%s: status %d: %.500s", what, got.status, got.body)
				}
				if kind := got.header.Get("Content-Type"); strings.Contains(kind, "json") && kind != "application/x-ndjson" && len(got.body) > 0 && !json.Valid(got.body) {
					t.Errorf("%s: no JSON: %.200q", what, got.body)
				}
			}
		})
	}
	for _, r := range requests {
		next <- r
	}
	close(next)
	wait.Wait()
	t.Logf("%d requests", len(requests))
	if got := string(call(t, "GET", address+"/datasets/"+images+"/bboxes/count", nil).body); got == "0" {
		t.Error("all boxes are gone")
	}
}

// FuzzRequest sends requests of any kind.
func FuzzRequest(f *testing.F) {
	address := start(f, newLibrary(f, "image_detection"), &server.Options{Log: slog.New(slog.DiscardHandler)})
	for _, op := range operations(f, address) {
		f.Add(op[0], fill(op[1], "", ""), "limit=1", `{}`)
	}
	f.Fuzz(func(t *testing.T, method, path, query, body string) {
		if strings.HasPrefix(path, "/events") || strings.HasPrefix(path, "/inference") {
			return
		}
		u := url.URL{Scheme: "http", Host: strings.TrimPrefix(address, "http://"), Path: path, RawQuery: query}
		req, err := http.NewRequest(method, u.String(), strings.NewReader(body))
		if err != nil {
			return
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			return // what cannot be sent
		}
		defer res.Body.Close()
		content, err := io.ReadAll(res.Body)
		if res.StatusCode >= 500 {
			t.Errorf("%s %s: status %d: %s", method, u.String(), res.StatusCode, content)
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error(err)
		}
	})
}

// TestClientLeaves: clients that leave in the middle, or that send half a request, harm no one else.
func TestClientLeaves(t *testing.T) {
	address := start(t, newLibrary(t, "image_detection"), nil)
	host := strings.TrimPrefix(address, "http://")
	for _, text := range []string{
		"GET /annotations/" + images + "/bboxes HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /browser/" + images + "?limit=24&sortcol=id&order=asc HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /events/" + images + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"POST /changes/" + images + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"changes\": [",
		"POST /annotations/" + images + "/bboxes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n[{",
		"GET /media/images HTTP/1.1\r\n", "\x16\x03\x01", "GET",
	} {
		for range 5 {
			conn, err := net.Dial("tcp", host)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, text); err != nil {
				t.Fatal(err)
			}
			conn.Close()
		}
	}
	if got := call(t, "GET", address+"/items/"+images, nil); got.status != http.StatusOK {
		t.Errorf("afterwards: status %d", got.status)
	}
}

// TestSlowReader: a client that asks for much and reads nothing holds up nobody, and no save.
func TestSlowReader(t *testing.T) {
	address := start(t, newLibrary(t, "image_detection"), nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// Far more than what the system holds for a connection.
	if _, err := io.WriteString(conn, strings.Repeat("GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"+
		"GET /annotations/"+images+"/bboxes HTTP/1.1\r\nHost: localhost\r\n\r\n", 100)); err != nil {
		t.Fatal(err)
	}
	for n := range 10 {
		if got := call(t, "GET", address+"/annotations/"+images+"/bboxes", nil); got.status != http.StatusOK {
			t.Fatalf("a reader beside it: status %d: %s", got.status, got.body)
		}
		if got := call(t, "POST", address+"/annotations/"+images+"/bboxes", []any{box(fmt.Sprint("beside", n))}); got.status != http.StatusOK {
			t.Fatalf("a save beside it: status %d: %s", got.status, got.body)
		}
	}
	// It gets all of it once it reads.
	answers := bufio.NewReader(conn)
	for range 200 {
		res, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("status %d (%v)", res.StatusCode, err)
		}
		res.Body.Close()
	}
}

// TestEvents: who listens is told of changes and of others.
func TestEvents(t *testing.T) {
	address := start(t, newLibrary(t, "image_detection"), nil)
	res, err := http.Get(address + "/events/" + images)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := make(chan string)
	go func() {
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			if data, ok := strings.CutPrefix(s.Text(), "data: "); ok && strings.Contains(data, "client") || strings.Contains(data, "tables") {
				lines <- data
			}
		}
		close(lines)
	}()
	next := func() string {
		select {
		case line := <-lines:
			return line
		case <-time.After(10 * time.Second):
			t.Fatal("no event")
			return ""
		}
	}
	if got := call(t, "POST", address+"/annotations/"+images+"/bboxes", []any{box("e1")}); got.status != http.StatusOK {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	if got := next(); !strings.Contains(got, `"bboxes":["e1"]`) {
		t.Errorf("event %s", got)
	}
	if got := call(t, "POST", address+"/presence/"+images, map[string]any{"client": "c1", "author": "ana", "item": "item_003"}); got.status != http.StatusOK {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	if got := next(); !strings.Contains(got, `"item":"item_003"`) {
		t.Errorf("event %s", got)
	}
	call(t, "DELETE", address+"/dataset_items/"+images+"/item_003", nil)
	if got := next(); !strings.Contains(got, `"tables"`) {
		t.Errorf("event %s", got)
	}
}

// TestManyDatasets: datasets that appear, are replaced, break or vanish while the server runs are noticed, and a broken one
// harms no other.
func TestManyDatasets(t *testing.T) {
	library := newLibrary(t, "image_detection")
	url := start(t, library, &server.Options{Idle: 50 * time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	status := func(id string) int { return call(t, "GET", url+"/items/"+id+"?limit=1", nil).status }
	listed := func() int {
		return len(call(t, "GET", url+"/library?previews=false", nil).decoded(t).(map[string]any)["datasets"].([]any))
	}
	if got := status("golden_vqa"); got != http.StatusNotFound {
		t.Errorf("before it is there: status %d", got)
	}
	l, err := dataset.OpenLibrary(library)
	if err != nil {
		t.Fatal(err)
	}
	other, err := dataset.OpenLibrary(newLibrary(t, "vqa", "record_image"))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"vqa", "record_image"} {
		if err := other.Move(t.Context(), key, l); err != nil {
			t.Fatal(err)
		}
	}
	if got := status("golden_vqa"); got != http.StatusOK || listed() != 3 {
		t.Errorf("when it is there: status %d, %d listed", got, listed())
	}
	record := call(t, "GET", url+"/items/record_image", nil)
	if record.status != http.StatusBadRequest || !strings.Contains(string(record.body), "0.7") {
		t.Errorf("the record layout: status %d: %s", record.status, record.body)
	}
	if got := call(t, "GET", url+"/rows/record_image/records?format=jsonl&limit=1", nil); got.status != http.StatusOK || len(got.body) == 0 {
		t.Errorf("rows of the record layout: status %d: %s", got.status, got.body)
	}
	time.Sleep(200 * time.Millisecond) // idle: it is closed
	if got := status("golden_vqa"); got != http.StatusOK {
		t.Errorf("opened again: status %d", got)
	}
	if err := os.WriteFile(library+"/vqa/schema.json", []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if broken, fine := status("golden_vqa"), status(images); broken != http.StatusBadRequest || fine != http.StatusOK {
		t.Errorf("a broken dataset: status %d, the other %d", broken, fine)
	}
	if got := call(t, "GET", url+"/datasets/info", nil); got.status != http.StatusOK || len(got.decoded(t).([]any)) != 2 {
		t.Errorf("the list without the broken one: %s", got.body)
	}
	if err := l.Delete(t.Context(), "image_detection"); err != nil {
		t.Fatal(err)
	}
	if got := status(images); got != http.StatusNotFound {
		t.Errorf("when it is gone: status %d", got)
	}
}

// TestMedia: files in whole and in parts, only when they changed, smaller, and none from elsewhere.
func TestMedia(t *testing.T) {
	library := newLibrary(t, "image_detection", "video_tracking")
	address := start(t, library, nil)
	file, err := os.ReadFile(library + "/image_detection/media/images/train/im_003.jpg")
	if err != nil {
		t.Fatal(err)
	}
	path := address + "/media/images/train/im_003.jpg"
	whole := call(t, "GET", path, nil)
	tag := whole.header.Get("Etag")
	if string(whole.body) != string(file) || whole.header.Get("Content-Type") != "image/jpeg" || !strings.HasPrefix(tag, `"`) || whole.header.Get("Accept-Ranges") != "bytes" {
		t.Errorf("status %d, %d bytes, %v", whole.status, len(whole.body), whole.header)
	}
	if part := call(t, "GET", path, nil, "Range", "bytes=10-19"); part.status != http.StatusPartialContent || string(part.body) != string(file[10:20]) {
		t.Errorf("part: status %d, %d bytes", part.status, len(part.body))
	}
	if got := call(t, "GET", path, nil, "Range", "bytes=9999999-"); got.status != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("a part that is not there: status %d", got.status)
	}
	if got := call(t, "GET", path, nil, "If-None-Match", tag); got.status != http.StatusNotModified || len(got.body) != 0 {
		t.Errorf("unchanged: status %d", got.status)
	}
	if head := call(t, "HEAD", path, nil); head.status != http.StatusOK || head.header.Get("Content-Length") != fmt.Sprint(len(file)) {
		t.Errorf("head: status %d, %v", head.status, head.header)
	}
	small := call(t, "GET", address+"/dataset_media/"+images+"/images/train/im_003.jpg?w=10", nil)
	if small.status != http.StatusOK || small.header.Get("Etag") == tag {
		t.Errorf("reduced: status %d, etag %s", small.status, small.header.Get("Etag"))
	}
	if got := call(t, "GET", path+"?w=10", nil, "If-None-Match", call(t, "GET", path+"?w=10", nil).header.Get("Etag")); got.status != http.StatusNotModified {
		t.Errorf("reduced, unchanged: status %d", got.status)
	}
	secret := library + "/secret"
	if err := os.WriteFile(secret, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, library+"/image_detection/media/link"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"link", "..%2F..%2Fsecret", "../../secret", "%2e%2e/%2e%2e/secret", url.PathEscape(secret), "images", "images/", "", "nope", "images/train/im_003.jpg/x", "%00"} {
		for _, prefix := range []string{"/media/", "/dataset_media/" + images + "/", "/app_models/"} {
			req := httptest.NewRequest("GET", "http://localhost"+prefix+name, nil)
			req.URL.Host, req.RequestURI = strings.TrimPrefix(address, "http://"), ""
			res, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusNotFound {
				t.Errorf("%s%s: status %d", prefix, name, res.StatusCode)
			}
		}
	}
}
