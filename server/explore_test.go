package server_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"image"
	_ "image/jpeg"
	"net/http"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/google/go-cmp/cmp"
)

// post sends JSON and returns the answer, which must be 200.
func post(t testing.TB, url, body string) map[string]any {
	t.Helper()
	got := call(t, "POST", url, body)
	if got.status != http.StatusOK {
		t.Fatalf("POST %s: status %d: %s", url, got.status, got.body)
	}
	return got.decoded(t).(map[string]any)
}

// TestExplore reads a page of items under a filter and in an order, with all that can be told of them.
func TestExplore(t *testing.T) {
	url := start(t, newLibrary(t, "image_detection"), nil)
	got := post(t, url+"/explore/"+images, `{"query": {"where": "split = ?", "args": ["train"], "order_by": "score desc", "limit": 2, "offset": 1}, "with": ["views", "counts", "total"]}`)
	if got["total"] != 18.0 || got["offset"] != 1.0 {
		t.Errorf("total %v, offset %v: want 18, 1", got["total"], got["offset"])
	}
	items := got["items"].([]any)
	if len(items) != 2 {
		t.Fatalf("%d items", len(items))
	}
	item := items[0].(map[string]any)
	if id := item["row"].(map[string]any)["id"]; id != "item_018" {
		t.Errorf("item %v", id)
	}
	want := map[string]any{
		"counts": map[string]any{"bboxes": 2.0, "image": 1.0, "keypoints": 1.0, "labels": 0.0, "masks": 2.0, "objects": 2.0},
		"views":  map[string]any{"image": map[string]any{"id": "img_018", "url": "images/train/im_018.jpg", "width": 29.0, "height": 29.0}},
	}
	delete(item, "row")
	if diff := cmp.Diff(want, item); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestSearchRoutes: what is like a row is the row itself first; a search keeps to the items of the query.
func TestSearchRoutes(t *testing.T) {
	url := start(t, newLibrary(t, "image_detection"), nil)
	row := call(t, "GET", url+"/embeddings/"+images+"/image_embedding?limit=1", nil).decoded(t).([]any)[0].(map[string]any)
	id, item := row["id"].(string), row["data"].(map[string]any)["item_ref"].(map[string]any)["id"].(string)
	hits := post(t, url+"/similar/"+images, `{"table": "image_embedding", "like": "`+id+`", "limit": 3}`)["hits"].([]any)
	if first := hits[0].(map[string]any); len(hits) != 3 || first["id"] != id || first["distance"] != 0.0 {
		t.Errorf("hits %v", hits)
	}
	search := `"search": {"table": "image_embedding", "like": "` + id + `"}`
	page := post(t, url+"/explore/"+images, `{`+search+`, "query": {"where": "split = 'val'"}, "with": ["total"]}`)
	for _, i := range page["items"].([]any) {
		data := i.(map[string]any)["row"].(map[string]any)["data"].(map[string]any)
		if data["split"] != "val" || i.(map[string]any)["distance"] == nil {
			t.Errorf("item %v", i)
		}
	}
	near := post(t, url+"/neighbours/"+images, `{`+search+`, "id": "`+item+`", "after": 1}`)
	if near["index"] != 0.0 || len(near["before"].([]any)) != 0 || len(near["after"].([]any)) != 1 {
		t.Errorf("neighbours %v", near)
	}
	for _, bad := range []string{`{"table": "image_embedding"}`, `{"table": "bboxes", "vector": [1]}`, `{"table": "image_embedding", "vector": [1, 2]}`, `{"table": "image_embedding", "text": "x"}`} {
		if got := call(t, "POST", url+"/similar/"+images, bad); got.status != http.StatusBadRequest {
			t.Errorf("%s: status %d: %s", bad, got.status, got.body)
		}
	}
}

// TestNeighbours finds the items around one, also after an item was added.
func TestNeighbours(t *testing.T) {
	url := start(t, newLibrary(t, "image_detection"), nil)
	ask := `{"id": "item_004", "query": {"order_by": "id"}, "before": 2, "after": 1}`
	want := map[string]any{"index": 4.0, "total": 24.0, "before": []any{"item_002", "item_003"}, "after": []any{"item_005"}}
	if diff := cmp.Diff(want, post(t, url+"/neighbours/"+images, ask)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := call(t, "DELETE", url+"/items/"+images+"/item_003", nil).status; got != http.StatusOK {
		t.Fatalf("status %d", got)
	}
	want["index"], want["total"], want["before"] = 3.0, 23.0, []any{"item_001", "item_002"}
	if diff := cmp.Diff(want, post(t, url+"/neighbours/"+images, ask)); diff != "" {
		t.Errorf("after a deletion (-want +got):\n%s", diff)
	}
	if got := post(t, url+"/neighbours/"+images, `{"id": "item_003"}`)["index"]; got != -1.0 {
		t.Errorf("index of an item that is not there: %v", got)
	}
}

// TestFacets counts values and makes a histogram.
func TestFacets(t *testing.T) {
	url := start(t, newLibrary(t, "image_detection"), nil)
	facets := post(t, url+"/facets/"+images+"/item", `{"fields": ["split", "score"], "options": {"bins": 3}}`)["facets"].([]any)
	want := []any{map[string]any{"value": "train", "count": 18.0}, map[string]any{"value": "val", "count": 6.0}}
	if diff := cmp.Diff(want, facets[0].(map[string]any)["values"]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if bins := facets[1].(map[string]any)["bins"].([]any); len(bins) != 3 {
		t.Errorf("bins %v", bins)
	}
	if n := post(t, url+"/count/"+images+"/bboxes", `{"has": [{"table": "item", "where": "id < 'item_003'"}]}`)["count"]; n != 3.0 {
		t.Errorf("boxes of three items: %v", n)
	}
}

// TestRows reads rows as JSON, as lines and as Arrow.
func TestRows(t *testing.T) {
	url := start(t, newLibrary(t, "image_detection"), nil) + "/rows/" + images + "/bboxes"
	if rows := call(t, "GET", url+"?limit=3", nil).decoded(t).([]any); len(rows) != 3 {
		t.Errorf("%d rows", len(rows))
	}
	lines := call(t, "GET", url+"?columns=id&columns=confidence&order_by=id&limit=2", nil, "Accept", "application/x-ndjson")
	want := "{\"id\":\"box_001_0\",\"confidence\":0.4683}\n{\"id\":\"box_002_0\",\"confidence\":0.3521}\n"
	if diff := cmp.Diff(want, string(lines.body)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	for _, where := range []string{"", "id = 'nope'"} {
		stream := call(t, "POST", url+"?format=arrow", map[string]any{"where": where, "columns": []string{"id"}})
		r, err := ipc.NewReader(bytes.NewReader(stream.body))
		if err != nil {
			t.Fatal(err)
		}
		rows := int64(0)
		for r.Next() {
			rows += r.RecordBatch().NumRows()
		}
		r.Release()
		if want := int64(36); (where == "") != (rows == want) || r.Err() != nil {
			t.Errorf("where %q: %d rows in the Arrow stream: %v", where, rows, r.Err())
		}
	}
	for query, want := range map[string]int{"?where=nope": 400, "?order_by=nope": 400, "?limit=-1": 422, "?format=xml": 422, "?columns=id": 400} {
		if got := call(t, "GET", url+query, nil); got.status != want || !strings.HasPrefix(got.header.Get("Content-Type"), "application/problem+json") {
			t.Errorf("%s: status %d, %s", query, got.status, got.body)
		}
	}
}

// TestFrames reads a window of a video, and its frames reduced in one answer.
func TestFrames(t *testing.T) {
	url := start(t, newLibrary(t, "video_tracking"), nil)
	got := call(t, "GET", url+"/frames/golden_video_tracking/video_1?view=image&from=1&to=2", nil).decoded(t).(map[string]any)
	frames := got["frames"].([]any)
	if len(frames) != 2 || frames[0].(map[string]any)["data"].(map[string]any)["frame_index"] != 1.0 {
		t.Errorf("frames %v", frames)
	}
	inWindow := map[any]bool{}
	for _, f := range frames {
		inWindow[f.(map[string]any)["id"]] = true
	}
	if tracks := got["annotations"].(map[string]any)["tracklets"].([]any); len(tracks) != 1 {
		t.Errorf("tracklets %v", tracks)
	}
	boxes := got["annotations"].(map[string]any)["bboxes"].([]any)
	for _, b := range boxes {
		if at := b.(map[string]any)["data"].(map[string]any)["view_ref"].(map[string]any)["id"]; !inWindow[at] {
			t.Errorf("a box of frame %v", at)
		}
	}
	if len(boxes) == 0 {
		t.Error("no boxes")
	}
	pack := call(t, "GET", url+"/frame_pack/golden_video_tracking/video_1?view=image&from=0&to=2", nil).body
	n := binary.LittleEndian.Uint32(pack)
	var heads []struct {
		FrameIndex, Size int
		Type, Error      string
	}
	if err := json.Unmarshal(pack[4:4+n], &heads); err != nil {
		t.Fatal(err)
	}
	rest := pack[4+n:]
	for _, h := range heads {
		if h.Error != "" {
			t.Errorf("%+v", h)
			continue
		}
		if _, _, err := image.Decode(bytes.NewReader(rest[:h.Size])); err != nil {
			t.Error(err)
		}
		rest = rest[h.Size:]
	}
	if len(heads) != 3 || len(rest) != 0 {
		t.Errorf("%d frames, %d bytes over", len(heads), len(rest))
	}
	for _, query := range []string{"?view=clip", "?view=image&from=5&to=1", "?view=image&to=100000"} {
		if got := call(t, "GET", url+"/frames/golden_video_tracking/video_1"+query, nil); got.status != http.StatusBadRequest {
			t.Errorf("%s: status %d: %s", query, got.status, got.body)
		}
	}
}
