package interop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pixano/dataset"
	"pixano/server"
)

// served are the golden datasets that the reference serves, by directory with their ids.
var served = map[string]string{
	"image_detection": "golden_image_detection", "video_tracking": "golden_video_tracking",
	"vqa": "golden_vqa", "multiview_text": "golden_multiview_text",
}

// copyLibrary copies the golden datasets, and the media of one of them as those of the library.
func copyLibrary(t testing.TB) (library, media string) {
	t.Helper()
	dir := t.TempDir()
	library, media = filepath.Join(dir, "library"), filepath.Join(dir, "media")
	for name := range served {
		if err := os.CopyFS(filepath.Join(library, name), os.DirFS(filepath.Join("..", "..", "testdata", "golden", name))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(media, os.DirFS(filepath.Join(library, "image_detection", "media"))); err != nil {
		t.Fatal(err)
	}
	return library, media
}

// startReference serves a library with the real Pixano 0.6.12 and returns its address.
func startReference(t testing.TB, python, library, media string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	cmd := exec.Command(filepath.Join(filepath.Dir(python), "pixano"), library, media, "--port", fmt.Sprint(port))
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	address := fmt.Sprintf("http://127.0.0.1:%d", port)
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if res, err := http.Get(address + "/models"); err == nil {
			res.Body.Close()
			return address
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the reference ended: %v\n%s", err, log.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("the reference does not answer:\n%s", log.String())
		}
	}
}

// startServer serves a library with the server of this project and returns its address.
func startServer(t testing.TB, library string, opts *server.Options) string {
	t.Helper()
	l, err := dataset.OpenLibrary(library)
	if err != nil {
		t.Fatal(err)
	}
	opts.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	s, err := server.New(l, opts)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s)
	t.Cleanup(func() {
		s.EndStreams()
		web.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return web.URL
}

// exchange is a request to both servers.
type exchange struct {
	method, path string
	body         any // JSON, or a text that is sent as it is
}

func (e exchange) String() string { return e.method + " " + e.path }

func (e exchange) send(t testing.TB, address string) (status int, contentType string, body []byte) {
	t.Helper()
	var r io.Reader
	switch b := e.body.(type) {
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
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, e.method, address+e.path, r)
	if err != nil {
		t.Fatal(err)
	}
	if r != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Close = true // the reference breaks connections off after some errors
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", e, err)
	}
	defer res.Body.Close()
	if body, err = io.ReadAll(res.Body); err != nil {
		t.Fatalf("%s: %v", e, err)
	}
	return res.StatusCode, res.Header.Get("Content-Type"), body
}

var recent = regexp.MustCompile(`^20(2[5-9]|[3-9].)-..-..T..:..:..(\.\d{6})?(Z|\+00:00)?$`)

// comparable makes of an answer what has to be the same on both servers: the words of errors, what is the time of the
// request, addresses, paths and pictures are not.
func comparable(path string, body []byte, address, library string) any {
	var v any
	if json.Unmarshal(body, &v) != nil {
		return fmt.Sprintf("%d bytes that are no JSON", len(body))
	}
	var walk func(key string, v any) any
	walk = func(key string, v any) any {
		switch v := v.(type) {
		case map[string]any:
			for k, e := range v {
				v[k] = walk(k, e)
			}
			if loc, ok := v["loc"]; ok && v["msg"] != nil {
				return map[string]any{"loc": loc, "type": v["type"]}
			}
		case []any:
			for i, e := range v {
				v[i] = walk("", e)
			}
			// The order in a group of tables is arbitrary, and so is that of the constraints.
			if slices.Contains([]string{"annotations", "entities", "views", "embeddings", "item"}, key) {
				slices.SortFunc(v, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
			}
		case string:
			switch {
			case key == "detail":
				return "words"
			case key == "preview":
				return "" // one server makes those that are missing
			case (key == "created_at" || key == "updated_at" || key == "timestamp") && recent.MatchString(v):
				return "now"
			case strings.HasPrefix(v, "data:image/"):
				return "a picture"
			}
			return strings.ReplaceAll(strings.ReplaceAll(v, address, ""), filepath.Dir(library), "")
		}
		return v
	}
	v = walk("", v)
	if list, ok := v.([]any); ok && strings.HasPrefix(path, "/items_info/") {
		slices.SortFunc(list, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
	return v
}

// TestREST sends the same requests to the real Pixano 0.6.12 and to the server of this project, each on a copy of the
// golden datasets, and compares the answers. Where the reference crashes, it is enough to answer.
func TestREST(t *testing.T) {
	python := python(t, "pixano")
	theirLibrary, theirMedia := copyLibrary(t)
	ourLibrary, ourMedia := copyLibrary(t)
	reference := startReference(t, python, theirLibrary, theirMedia)
	ours := startServer(t, ourLibrary, &server.Options{MediaDir: ourMedia, ModelsDir: filepath.Join(ourLibrary, "models")})
	crashes := 0
	run := func(group string, exchanges []exchange) {
		for _, e := range exchanges {
			wantStatus, wantType, wantBody := e.send(t, reference)
			gotStatus, gotType, gotBody := e.send(t, ours)
			if wantStatus == http.StatusInternalServerError {
				crashes++
				if gotStatus >= 500 {
					t.Errorf("%s: %s: status %d, as the reference: %s", group, e, gotStatus, gotBody)
				}
				continue
			}
			if gotStatus != wantStatus {
				t.Errorf("%s: %s: status %d, want %d: %.500s\nthe reference: %.500s", group, e, gotStatus, wantStatus, gotBody, wantBody)
				continue
			}
			if gotType != wantType {
				t.Errorf("%s: %s: content type %q, want %q", group, e, gotType, wantType)
			}
			got, want := comparable(e.path, gotBody, ours, ourLibrary), comparable(e.path, wantBody, reference, theirLibrary)
			if diff := cmp.Diff(want, got, cmpopts.EquateApprox(1e-9, 1e-12)); diff != "" {
				t.Errorf("%s: %s (-reference +ours):\n%.3000s", group, e, diff)
			}
		}
		t.Logf("%s: %d exchanges", group, len(exchanges))
	}
	run("reads", readExchanges(t, ours, slices.Sorted(maps.Keys(served))...))
	run("mistakes", mistakenExchanges())
	run("writes", writeExchanges())
	run("reads after writes", readExchanges(t, ours, "image_detection"))
	t.Logf("the reference crashed %d times", crashes)
}

// rowPath is the path of the rows of a table.
func rowPath(group, id, table string) string {
	switch group {
	case "item":
		return "/items/" + id
	case "source":
		return "/sources/" + id
	}
	return "/" + group + "/" + id + "/" + table
}

// readExchanges are reads of every table of some datasets.
func readExchanges(t testing.TB, address string, datasets ...string) []exchange {
	t.Helper()
	get := func(format string, args ...any) exchange { return exchange{"GET", fmt.Sprintf(format, args...), nil} }
	all := []exchange{get("/datasets/info"), get("/datasets/nope"), get("/datasets/info/nope"), get("/models"), get("/nope"), get("/models/nope")}
	for _, dir := range datasets {
		id := served[dir]
		all = append(all, get("/datasets/info/%s", id), get("/datasets/%s", id), get("/browser/item_ids/%s", id))
		_, _, body := get("/datasets/%s", id).send(t, address)
		var description struct {
			DatasetSchema struct {
				Groups map[string][]string `json:"groups"`
			} `json:"dataset_schema"`
		}
		if err := json.Unmarshal(body, &description); err != nil {
			t.Fatal(err)
		}
		groups := description.DatasetSchema.Groups
		groups["source"] = []string{"source"}
		for _, group := range slices.Sorted(maps.Keys(groups)) {
			for _, table := range slices.Sorted(slices.Values(groups[group])) {
				path := rowPath(group, id, table)
				all = append(all, get("/datasets/%s/%s/count", id, table), get("%s", path), get("%s?limit=3", path), get("%s?limit=2&skip=1", path),
					get("%s?skip=1", path), get("%s?limit=1&skip=100000", path), get("%s/nope", path), get("%s?ids=nope", path),
					get("%s?where=id%%3C%%3E%%27x%%27&limit=2", path), get("%s?where=nope%%3D1", path))
				var rows []struct{ ID string }
				if status, _, body := get("%s", path).send(t, address); status == http.StatusOK {
					if err := json.Unmarshal(body, &rows); err != nil {
						t.Fatal(err)
					}
				}
				for i, row := range rows {
					if i < 2 {
						all = append(all, get("%s/%s", path, url.PathEscape(row.ID)), get("%s?ids=%s&ids=%s&ids=nope", path, url.QueryEscape(rows[len(rows)-1].ID), url.QueryEscape(row.ID)))
					}
				}
				if group != "item" && group != "source" {
					all = append(all, get("%s?item_ids=item_001&item_ids=item_003", path), get("%s?item_ids=video_1&limit=2&skip=1", path))
				}
			}
		}
		all = append(all, get("/items_info/%s", id), get("/items_info/%s?limit=2", id), get("/items_info/%s?limit=2&skip=1", id),
			get("/dataset_items/%s?limit=3", id), get("/dataset_items/%s?limit=2&skip=2", id), get("/dataset_items/%s?limit=1&skip=100000", id))
		status, _, body := get("/browser/item_ids/%s", id).send(t, address)
		var items []string
		if status == http.StatusOK {
			if err := json.Unmarshal(body, &items); err != nil {
				t.Fatal(err)
			}
		}
		for i, item := range items {
			if i < 6 {
				all = append(all, get("/dataset_items/%s/%s", id, url.PathEscape(item)), get("/items_info/%s/%s", id, url.PathEscape(item)), get("/items_info/%s?ids=%s", id, url.QueryEscape(item)))
			}
		}
		for _, query := range []string{
			"", "?limit=3", "?limit=2&skip=1", "?skip=0&limit=20&sortcol=id&order=asc", "?skip=1&limit=5&sortcol=id&order=desc", "?sortcol=id",
			"?sortcol=nope&order=asc", "?where=split%3D%27nope%27", "?where=split%3C%3E%27nope%27&limit=2&sortcol=id&order=asc", "?where=nope", "?skip=100000",
			"?query=a", "?embedding_table=a", "?query=a&embedding_table=nope", "?limit=0", "?limit=a&skip=b",
		} {
			all = append(all, get("/browser/%s%s", id, query))
		}
	}
	images := served["image_detection"]
	for _, query := range []string{
		"?sortcol=score&order=asc&limit=5", "?sortcol=score&order=desc&limit=24", "?sortcol=captured_at&order=desc&limit=4&skip=3",
		"?where=score%20%3E%200.5%20AND%20split%20%3D%20%27train%27&limit=4", "?where=reviewed&limit=50", "?where=category%20LIKE%20%27c%25%27",
		"?where=captured_at%20%3E%20TIMESTAMP%20%272020-03-10%2000:00:00%27&limit=3", "?where=id%20IN%20(%27item_001%27,%27item_002%27)",
		"?where=difficulty%20BETWEEN%201%20AND%202&limit=100", "?where=category%20IS%20NULL", "?where=NOT%20reviewed&limit=100",
	} {
		all = append(all, get("/browser/%s%s", images, query))
		if where, ok := strings.CutPrefix(query, "?where="); ok && !strings.Contains(where, "sortcol") {
			all = append(all, get("/items/%s?where=%s", images, strings.Split(where, "&")[0]), get("/items_info/%s?where=%s", images, strings.Split(where, "&")[0]))
		}
	}
	return append(all,
		get("/annotations/%s/bboxes?where=view_ref.id%%3D%%27img_003%%27", images),
		get("/annotations/%s/bboxes?item_ids=item_003&where=confidence%%20%%3E%%200.2", images),
		get("/annotations/%s/bboxes?where=confidence%%20%%3C%%200.5%%20AND%%20is_normalized&limit=5", images),
	)
}

// goldenBox is a row for the boxes of the golden images.
func goldenBox(id string, change func(row, data map[string]any)) map[string]any {
	none := map[string]any{"name": "", "id": ""}
	data := map[string]any{
		"item_ref": map[string]any{"name": "item", "id": "item_003"}, "view_ref": map[string]any{"name": "image", "id": "img_003"},
		"entity_ref": none, "source_ref": map[string]any{"name": "source", "id": "ground_truth"}, "inference_metadata": map[string]any{"a": []any{1, "é"}},
		"coords": []any{0.25, 0, 0.5, "0.125"}, "format": "xywh", "is_normalized": 1, "confidence": "0.5",
	}
	row := map[string]any{"id": id, "table_info": map[string]any{"name": "bboxes", "group": "annotations", "base_schema": "BBox"}, "data": data}
	if change != nil {
		change(row, data)
	}
	return row
}

// mistakenExchanges are requests that are refused.
func mistakenExchanges() []exchange {
	images := served["image_detection"]
	path := "/annotations/" + images + "/bboxes"
	with := func(change func(row, data map[string]any)) []any { return []any{goldenBox("new", change)} }
	set := func(key string, value any) []any {
		return with(func(row, _ map[string]any) { row[key] = value })
	}
	drop := func(key string) []any { return with(func(row, _ map[string]any) { delete(row, key) }) }
	column := func(key string, value any) []any {
		return with(func(_, data map[string]any) { data[key] = value })
	}
	info := func(name, group, base any) []any {
		return set("table_info", map[string]any{"name": name, "group": group, "base_schema": base})
	}
	var all []exchange
	for _, body := range []any{
		"{bad", "", "null", "{}", "5", `"text"`, "[1]", "[null]", "[[]]", `[{"id":"x"}]`, "[]",
		drop("id"), set("id", 5), set("id", "a b"), set("id", nil), set("id", ""), drop("table_info"), set("table_info", 7), set("table_info", nil),
		info("bboxes", "zzz", "BBox"), info("bboxes", "views", "BBox"), info("bboxes", "annotations", "Nope"), info(5, "annotations", "BBox"), info("nope", "annotations", "BBox"),
		drop("data"), set("data", []any{1}), set("data", nil), set("data", map[string]any{}),
		set("updated_at", "2020-01-01T00:00:00"), set("created_at", "nope"), set("created_at", 5),
		with(func(row, _ map[string]any) {
			row["created_at"], row["updated_at"] = "2020-01-02T00:00:00", "2020-01-01T00:00:00"
		}),
		column("coords", []any{1, 2, 3}), column("coords", []any{0, 0, 2, 0}), column("coords", []any{-1, 0, 0, 0}), column("coords", nil), column("coords", "x"),
		column("format", "zzz"), column("format", 5), column("confidence", 2), column("confidence", -1), column("confidence", -0.5), column("is_normalized", "perhaps"),
		column("inference_metadata", []any{}), column("inference_metadata", "text"), column("view_ref", nil), column("view_ref", map[string]any{"id": "x"}),
		column("view_ref", map[string]any{"name": "nope", "id": "x"}), column("view_ref", map[string]any{"name": "objects", "id": "x"}),
		column("view_ref", map[string]any{"name": "image", "id": "nope"}), column("view_ref", map[string]any{"name": "image", "id": ""}),
		column("item_ref", map[string]any{"name": "nope", "id": "item_003"}), column("entity_ref", map[string]any{"name": "image", "id": "img_003"}),
		[]any{goldenBox("twice", nil), goldenBox("twice", nil)},
		[]any{goldenBox("fine", nil), goldenBox("wrong", func(_, data map[string]any) { data["confidence"] = 7 })},
	} {
		all = append(all, exchange{"POST", path, body})
		if rows, ok := body.([]any); ok {
			all = append(all, exchange{"DELETE", path + "?ids=new&ids=fine&ids=twice", nil}, exchange{"PUT", path + "/new", rows[0]}, exchange{"DELETE", path + "/new", nil})
		}
	}
	one := goldenBox("new", nil)
	return append(all,
		exchange{"POST", path + "/x", []any{one}}, exchange{"POST", path + "/x", one}, exchange{"PUT", path + "/x", one},
		exchange{"POST", "/annotations/nope/bboxes", []any{one}}, exchange{"POST", "/annotations/" + images + "/nope", []any{one}},
		exchange{"POST", "/annotations/" + images + "/objects", []any{one}}, exchange{"PUT", "/items/" + images, []any{one}},
		exchange{"DELETE", path, nil}, exchange{"PATCH", path, nil}, exchange{"DELETE", path + "/nope", nil}, exchange{"DELETE", path + "?ids=nope", nil},
		exchange{"GET", path + "?limit=0", nil}, exchange{"GET", path + "?limit=1&skip=-1", nil}, exchange{"GET", path + "?limit=y&skip=x", nil},
		exchange{"GET", path + "?ids=a&limit=1", nil}, exchange{"GET", path + "?ids=a&item_ids=b", nil}, exchange{"GET", path + "?limit=99999999999999999999", nil},
		exchange{"GET", "/annotations/" + images + "/objects", nil},
		exchange{"GET", "/dataset_items/" + images, nil}, exchange{"GET", "/dataset_items/" + images + "?limit=0", nil},
		exchange{"GET", "/dataset_items/" + images + "?ids=a&limit=1", nil}, exchange{"GET", "/dataset_items/" + images + "/nope", nil},
		exchange{"POST", "/dataset_items/" + images, []any{map[string]any{}}}, exchange{"POST", "/dataset_items/" + images, []any{map[string]any{"id": "x", "item": map[string]any{}}}},
		exchange{"POST", "/dataset_items/" + images, map[string]any{"id": "x"}}, exchange{"POST", "/dataset_items/" + images + "/q", map[string]any{"id": "x"}},
		exchange{"DELETE", "/dataset_items/" + images, nil}, exchange{"DELETE", "/dataset_items/" + images + "/nope", nil},
		exchange{"GET", "/thumbnail/aGVsbG8=?max_size=0", nil}, exchange{"GET", "/thumbnail/aGVsbG8=", nil}, exchange{"GET", "/media/nope", nil},
		exchange{"GET", "/datasets/" + images + "/nope/count", nil}, exchange{"POST", "/datasets/info", nil},
	)
}

// writeExchanges change rows, and read them back.
func writeExchanges() []exchange {
	images, vqa := served["image_detection"], served["vqa"]
	path := "/annotations/" + images + "/bboxes"
	at := func(created, updated string) func(row, data map[string]any) {
		return func(row, _ map[string]any) { row["created_at"], row["updated_at"] = created, updated }
	}
	source := map[string]any{"id": "pixano_source", "created_at": "2026-01-02T03:04:05.678+00:00", "updated_at": "2026-01-02T03:04:05.678+00:00",
		"table_info": map[string]any{"name": "source", "group": "source", "base_schema": "Source"},
		"data":       map[string]any{"name": "Pixano", "kind": "other", "metadata": map[string]any{}}}
	object := map[string]any{"id": "obj_new", "table_info": map[string]any{"name": "objects", "group": "entities", "base_schema": "Entity"},
		"data": map[string]any{"item_ref": map[string]any{"name": "item", "id": "item_003"}, "view_ref": map[string]any{"name": "image", "id": "img_003"},
			"parent_ref": map[string]any{"name": "", "id": ""}, "category": "cat", "rank": 1, "weight": 0.5, "occluded": false, "attributes": []any{"a"}, "unknown": 1}}
	message := map[string]any{"id": "msg_new", "table_info": map[string]any{"name": "messages", "group": "annotations", "base_schema": "Message"},
		"data": map[string]any{"item_ref": map[string]any{"name": "item", "id": "vqa_0"}, "view_ref": map[string]any{"name": "", "id": ""}, "entity_ref": map[string]any{"name": "", "id": ""},
			"source_ref": map[string]any{"name": "", "id": ""}, "inference_metadata": map[string]any{}, "content": "[[A;B]] because", "number": 3, "user": "ana", "type": "answer",
			"question_type": "multi_choice_explanation", "choices": []any{}, "timestamp": "2026-01-02T03:04:05.678"}}
	item := func(id string) map[string]any {
		return map[string]any{"id": id, "item": map[string]any{"id": id, "table_info": map[string]any{"name": "item", "group": "item", "base_schema": "Item"},
			"data": map[string]any{"split": "train", "category": "dog", "difficulty": 1, "score": 1, "reviewed": "yes", "tags": []any{"x"}, "captured_at": "2020-01-02T03:04:05"}},
			"entities": map[string]any{"objects": []any{}}, "annotations": map[string]any{}, "views": map[string]any{}}
	}
	list := func(rows ...any) []any { return rows }
	return []exchange{
		{"POST", "/sources/" + images, list(source)}, {"POST", "/sources/" + images, list(source)}, {"GET", "/sources/" + images + "/pixano_source", nil},
		{"POST", "/entities/" + images + "/objects", list(object)}, {"GET", "/entities/" + images + "/objects?ids=obj_new", nil},
		{"POST", path, list(goldenBox("b_new", nil))}, {"GET", path + "/b_new", nil}, {"POST", path, list(goldenBox("b_new", nil))},
		{"POST", path + "/b_one", goldenBox("b_one", nil)}, {"GET", path + "/b_one", nil},
		{"PUT", path, list(goldenBox("b_new", at("2020-01-01T00:00:00", "2020-01-02T00:00:00")))}, {"GET", path + "/b_new", nil},
		{"PUT", path, list(goldenBox("b_new", at("2020-01-01T02:00:00+02:00", "2020-01-02T00:00:00Z")), goldenBox("b_put", nil))}, {"GET", path + "?ids=b_new&ids=b_put", nil},
		{"PUT", path + "/b_one", goldenBox("b_one", func(_, data map[string]any) { data["confidence"] = -1 })}, {"GET", path, nil},
		{"POST", "/annotations/" + vqa + "/messages", list(message)}, {"GET", "/annotations/" + vqa + "/messages?ids=msg_new", nil},
		{"POST", "/dataset_items/" + images, list(item("item_new"), item("item_two"))}, {"GET", "/dataset_items/" + images + "/item_new", nil},
		{"PUT", "/dataset_items/" + images + "/item_new", item("item_new")}, {"POST", "/dataset_items/" + images, list()},
		{"GET", "/browser/" + images + "?sortcol=id&order=desc&limit=3", nil}, {"GET", "/datasets/info", nil}, {"GET", "/items_info/" + images + "?ids=item_new", nil},
		{"DELETE", path + "/b_one", nil}, {"DELETE", path + "?ids=b_new&ids=nope", nil}, {"GET", path, nil},
		{"DELETE", "/entities/" + images + "/objects?ids=obj_new", nil}, {"DELETE", "/sources/" + images + "?ids=pixano_source", nil},
		{"DELETE", "/dataset_items/" + images + "/item_two", nil}, {"DELETE", "/items/" + images + "/item_new", nil}, {"GET", "/items/" + images, nil},
	}
}
