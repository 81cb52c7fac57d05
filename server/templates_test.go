package server_test

import (
	"net/http"
	"testing"
)

func TestKeyPointTemplates(t *testing.T) {
	url := start(t, newLibrary(t, "image_detection"), nil)
	address := url + "/keypoint_templates/" + images
	got := call(t, "GET", address, nil).decoded(t).(map[string]any)
	if len(got["templates"].([]any)) != 0 || len(got["builtin"].([]any)) < 3 {
		t.Fatalf("got %v", got)
	}
	hand := map[string]any{"id": "hand", "points": []any{map[string]any{"name": "wrist", "x": 0.5, "y": 1}}, "edges": []any{}}
	if got := call(t, "PUT", address, map[string]any{"templates": []any{hand}}); got.status != http.StatusOK {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	bad := map[string]any{"id": "hand", "points": []any{map[string]any{"name": "wrist", "x": 1.5, "y": 1}}, "edges": []any{}}
	if got := call(t, "PUT", address, map[string]any{"templates": []any{bad}}); got.status != http.StatusBadRequest {
		t.Errorf("a point outside: got %d %s", got.status, got.body)
	}
	own := call(t, "GET", address, nil).decoded(t).(map[string]any)["templates"].([]any)
	if len(own) != 1 || own[0].(map[string]any)["points"].([]any)[0].(map[string]any)["x"] != 0.5 {
		t.Errorf("got %v", own)
	}
}
