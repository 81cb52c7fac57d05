package server

import (
	"log/slog"
	"net/http/httptest"
	"testing"

	"pixano/dataset"
)

// TestItemsInParts: long lists of whole items are read part by part, and are the same.
func TestItemsInParts(t *testing.T) {
	library, err := dataset.OpenLibrary("../testdata/golden")
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(library, &Options{ReadOnly: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	get := func(query string) (int, string) {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost/dataset_items/golden_image_detection?"+query, nil))
		return w.Code, w.Body.String()
	}
	defer func(n int) { itemsPart = n }(itemsPart)
	whole := itemsPart
	for _, query := range []string{"limit=17&skip=3", "limit=100000", "limit=9&skip=24", "ids=item_007&ids=item_003&ids=nope&ids=item_011&ids=item_001&ids=item_009"} {
		itemsPart = whole
		code, want := get(query)
		itemsPart = 4
		if gotCode, got := get(query); gotCode != code || got != want {
			t.Errorf("%s: status %d, want %d: %.200s, want %.200s", query, gotCode, code, got, want)
		}
	}
}
