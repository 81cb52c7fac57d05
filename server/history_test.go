package server_test

import (
	"net/http"
	"testing"
)

// TestHistory changes a row twice, reads both changes, and undoes them in a wrong and in a right order.
func TestHistory(t *testing.T) {
	url := start(t, newLibrary(t, "image_detection"), nil)
	put := func(confidence float64) string {
		row := box("b")
		row["data"].(map[string]any)["confidence"] = confidence
		got := call(t, "POST", url+"/changes/"+images, map[string]any{"author": "ana", "changes": []any{map[string]any{"op": "put", "table": "bboxes", "row": row}}})
		if got.status != http.StatusOK {
			t.Fatalf("status %d: %s", got.status, got.body)
		}
		return got.decoded(t).(map[string]any)["change"].(string)
	}
	first, second := put(0.25), put(0.75)
	events := call(t, "GET", url+"/history/"+images+"?table=bboxes&id=b", nil).decoded(t).(map[string]any)["events"].([]any)
	if len(events) != 2 || events[0].(map[string]any)["id"] != second || events[1].(map[string]any)["author"] != "ana" {
		t.Fatalf("events %v", events)
	}
	row := call(t, "GET", url+"/history/"+images+"/"+second, nil).decoded(t).(map[string]any)["rows"].([]any)[0].(map[string]any)
	if row["before"].(map[string]any)["confidence"] != 0.25 || row["after"].(map[string]any)["confidence"] != 0.75 {
		t.Errorf("row %v", row)
	}
	blocked := call(t, "POST", url+"/revert/"+images+"/"+first, map[string]any{"author": "eve"})
	if blocked.status != http.StatusConflict || len(blocked.decoded(t).(map[string]any)["rows"].([]any)) != 1 {
		t.Errorf("undoing the first change: status %d: %s", blocked.status, blocked.body)
	}
	for _, change := range []string{second, first} {
		if got := call(t, "POST", url+"/revert/"+images+"/"+change, map[string]any{"author": "eve"}); got.status != http.StatusOK {
			t.Errorf("undoing %s: status %d: %s", change, got.status, got.body)
		}
	}
	if got := call(t, "GET", url+"/annotations/"+images+"/bboxes/b", nil).status; got != http.StatusNotFound {
		t.Errorf("after both were undone: status %d", got)
	}
	for path, want := range map[string]int{"/history/" + images + "/99": 404, "/history/" + images + "/x": 400, "/history/" + images + "?before=x": 400, "/history/" + images + "?limit=0": 422} {
		if got := call(t, "GET", url+path, nil); got.status != want {
			t.Errorf("%s: status %d, want %d: %s", path, got.status, want, got.body)
		}
	}
}

// TestSnapshots names a state, changes rows, compares, reads the named state, and goes back to it.
func TestSnapshots(t *testing.T) {
	url := start(t, newLibrary(t, "image_detection"), nil)
	if got := call(t, "POST", url+"/snapshots/"+images, map[string]any{"name": "v1", "author": "ana"}); got.status != http.StatusOK {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	if got := call(t, "POST", url+"/snapshots/"+images, map[string]any{"name": "v1"}); got.status != http.StatusConflict {
		t.Errorf("the same name again: status %d: %s", got.status, got.body)
	}
	call(t, "DELETE", url+"/annotations/"+images+"/masks?ids=mask_023_0", nil)
	call(t, "POST", url+"/annotations/"+images+"/bboxes", []any{box("b")})
	tables := call(t, "GET", url+"/diff/"+images+"?from=v1", nil).decoded(t).(map[string]any)["tables"].([]any)
	differ := map[any]any{}
	for _, table := range tables {
		if m := table.(map[string]any); m["added"] != 0.0 || m["removed"] != 0.0 || m["changed"] != 0.0 {
			differ[m["table"]] = []any{m["added"], m["removed"], m["changed"]}
		}
	}
	if len(differ) != 2 || differ["bboxes"] == nil || differ["masks"] == nil {
		t.Errorf("differences %v", differ)
	}
	rows := call(t, "GET", url+"/diff_rows/"+images+"?from=v1&tables=bboxes", nil).decoded(t).(map[string]any)["rows"].([]any)
	if len(rows) != 1 || rows[0].(map[string]any)["id"] != "b" || rows[0].(map[string]any)["outcome"] != "added" {
		t.Errorf("rows %v", rows)
	}
	count := func(dataset, table string) string {
		return string(call(t, "GET", url+"/datasets/"+dataset+"/"+table+"/count", nil).body)
	}
	if then, now := count(images+"@v1", "bboxes"), count(images, "bboxes"); then != "36" || now != "37" {
		t.Errorf("boxes: then %s, now %s", then, now)
	}
	if got := call(t, "POST", url+"/annotations/"+images+"@v1/bboxes", []any{box("c")}); got.status != http.StatusForbidden {
		t.Errorf("a change to the past: status %d: %s", got.status, got.body)
	}
	if got := call(t, "POST", url+"/restore/"+images+"/v1", map[string]any{"author": "ana"}); got.status != http.StatusOK {
		t.Errorf("restore: status %d: %s", got.status, got.body)
	}
	if boxes, masks := count(images, "bboxes"), count(images, "masks"); boxes != "36" || masks != "36" {
		t.Errorf("after going back: %s boxes, %s masks", boxes, masks)
	}
	if got := call(t, "DELETE", url+"/snapshots/"+images+"/v1", nil).status; got != http.StatusNoContent {
		t.Errorf("delete: status %d", got)
	}
}

// TestSQL queries several tables.
func TestSQL(t *testing.T) {
	url := start(t, newLibrary(t, "image_detection"), nil)
	got := post(t, url+"/sql/"+images, `{"query": "SELECT split, count(*) AS n FROM item WHERE difficulty >= ? GROUP BY split ORDER BY split", "args": [0], "limit": 1}`)
	if rows := got["rows"].([]any); len(rows) != 1 || rows[0].(map[string]any)["n"] != 18.0 || got["more"] != true {
		t.Errorf("%v", got)
	}
	for _, query := range []string{"DROP TABLE item", "SELECT nope FROM item", "SELECT repeat(id, 5000000) FROM bboxes LIMIT 3", "INSERT INTO item VALUES (1)"} {
		if got := call(t, "POST", url+"/sql/"+images, map[string]any{"query": query}); got.status != http.StatusBadRequest {
			t.Errorf("%s: status %d: %s", query, got.status, got.body)
		}
	}
}
