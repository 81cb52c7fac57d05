package server_test

import (
	"net/http"
	"net/url"
	"testing"

	"pixano/server"
)

// TestShared: constraints and saved views are stored for all, and wrong ones change nothing.
func TestShared(t *testing.T) {
	library := newLibrary(t, "image_detection")
	web := start(t, library, nil)
	const ds = "/golden_image_detection"
	for _, step := range []struct {
		method, path string
		body         any
		want         int
	}{
		{"PUT", "/constraints" + ds + "/objects/category", map[string]any{"restricted": true, "values": []string{"cat", "dog"}}, 204},
		{"PUT", "/constraints" + ds + "/objects/area", map[string]any{"restricted": false, "values": []any{1, 2.5}}, 204},
		{"PUT", "/constraints" + ds + "/objects/category", map[string]any{"restricted": true, "values": []any{1}}, 400},
		{"PUT", "/constraints" + ds + "/objects/nope", map[string]any{"restricted": true, "values": []any{}}, 400},
		{"PUT", "/constraints" + ds + "/nope/category", map[string]any{"restricted": true, "values": []any{}}, 404},
		{"DELETE", "/constraints" + ds + "/objects/area", nil, 204},
		{"DELETE", "/constraints" + ds + "/objects/area", nil, 404},
		{"PUT", "/saved_views" + ds + "/" + url.PathEscape("val / night"), map[string]any{"address": "where=a", "author": "Ana"}, 204},
		{"DELETE", "/saved_views" + ds + "/nope", nil, 404},
	} {
		if got := call(t, step.method, web+step.path, step.body); got.status != step.want {
			t.Errorf("%s %s: status %d, want %d: %s", step.method, step.path, got.status, step.want, got.body)
		}
	}
	list := call(t, "GET", web+"/datasets"+ds, nil).decoded(t).(map[string]any)["feature_values"].(map[string]any)["entities"].(map[string]any)["objects"].([]any)
	if got := list[0].(map[string]any); len(list) != 2 || got["restricted"] != true || len(got["values"].([]any)) != 2 {
		t.Errorf("constraints %v", list)
	}
	views := call(t, "GET", web+"/saved_views"+ds, nil).decoded(t).(map[string]any)["views"].([]any)
	if len(views) != 1 || views[0].(map[string]any)["name"] != "val / night" || views[0].(map[string]any)["author"] != "Ana" {
		t.Errorf("views %v", views)
	}

	item := call(t, "GET", web+"/items"+ds+"?limit=1", nil).decoded(t).([]any)[0].(map[string]any)["id"].(string)
	got := call(t, "POST", web+"/delete_items"+ds, map[string]any{"ids": []string{item}, "author": "Ana"})
	if got.status != http.StatusOK {
		t.Fatalf("delete: status %d: %s", got.status, got.body)
	}
	if gone := call(t, "GET", web+"/items"+ds+"/"+item, nil); gone.status != http.StatusNotFound {
		t.Errorf("the deleted item: status %d", gone.status)
	}
	change := got.decoded(t).(map[string]any)["change"].(string)
	if back := call(t, "POST", web+"/revert"+ds+"/"+change, map[string]any{}); back.status != http.StatusOK {
		t.Errorf("revert: status %d: %s", back.status, back.body)
	}
	if back := call(t, "GET", web+"/items"+ds+"/"+item, nil); back.status != http.StatusOK {
		t.Errorf("the item brought back: status %d", back.status)
	}

	reader := start(t, newLibrary(t, "image_detection"), &server.Options{ReadOnly: true})
	if got := call(t, "PUT", reader+"/saved_views"+ds+"/x", map[string]any{"address": ""}); got.status != http.StatusForbidden {
		t.Errorf("a view of a server that only reads: status %d", got.status)
	}
}
