package server_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pixano/dataset"
	"pixano/internal/lance"
	"pixano/schema"
)

// listenTo returns the change events of a dataset as they come.
func listenTo(t *testing.T, address string) <-chan map[string]any {
	t.Helper()
	res, err := http.Get(address + "/events/" + images)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	events := make(chan map[string]any, 100)
	ready := make(chan struct{})
	go func() {
		defer close(events)
		kind := ""
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				kind = name
			}
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				if kind == "ping" && ready != nil {
					close(ready)
					ready = nil
				}
				var event map[string]any
				if kind == "change" && json.Unmarshal([]byte(data), &event) == nil {
					events <- event
				}
			}
		}
	}()
	<-ready
	return events
}

func next(t *testing.T, events <-chan map[string]any) map[string]any {
	t.Helper()
	select {
	case event := <-events:
		return event
	case <-time.After(20 * time.Second):
		t.Fatal("no event")
		return nil
	}
}

// A dataset that is not there has no events: an empty stream would be asked for without end.
func TestEventsOfNothing(t *testing.T) {
	address := start(t, newLibrary(t, "image_detection"), nil)
	if got := call(t, "GET", address+"/events/nope", nil); got.status != http.StatusNotFound || got.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("status %d: %s", got.status, got.body)
	}
}

// Changes of other processes are told, row by row where the history has them.
func TestEventsOfOthers(t *testing.T) {
	library := newLibrary(t, "image_detection")
	address := start(t, library, nil)
	events := listenTo(t, address)

	// The watch begins at some moment; from the first change that it tells on, it tells all.
	other, err := dataset.Open(t.Context(), filepath.Join(library, "image_detection"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	box := func(id string) schema.BBox {
		b := schema.NewBBox(id)
		b.Coords, b.Format = []float64{1, 2, 3, 4}, "xyxy"
		return b
	}
	apply := func(author, id string) {
		t.Helper()
		set := dataset.ChangeSet{Author: author, Changes: []dataset.Change{dataset.Put("bboxes", box(id))}}
		if _, err := other.Apply(t.Context(), set); err != nil {
			t.Fatal(err)
		}
	}
	begun := false
	for deadline := time.Now().Add(30 * time.Second); !begun && time.Now().Before(deadline); {
		apply("start", "first")
		select {
		case <-events:
			begun = true
		case <-time.After(500 * time.Millisecond):
		}
	}
	if !begun {
		t.Fatal("nothing was told")
	}
	apply("ana", "mine")
	for {
		event := next(t, events)
		if event["author"] == "start" {
			continue
		}
		rows, _ := event["tables"].(map[string]any)["bboxes"].([]any)
		if event["author"] != "ana" || len(rows) != 1 || rows[0] != "mine" {
			t.Fatalf("got %v, want the box that ana stored", event)
		}
		break
	}
	db, err := lance.Connect(t.Context(), filepath.Join(library, "image_detection", "db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	table, err := db.OpenTable(t.Context(), "bboxes", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	if _, err := table.Delete(t.Context(), "id = 'mine'", nil); err != nil {
		t.Fatal(err)
	}
	if event := next(t, events); len(event["tables"].(map[string]any)) != 0 {
		t.Errorf("got %v, want that all is read again", event)
	}
}

func TestMetrics(t *testing.T) {
	address := start(t, newLibrary(t, "image_detection"), nil)
	call(t, "GET", address+"/items/"+images+"?limit=1", nil)
	call(t, "GET", address+"/items/"+images+"/nothing", nil)
	text := string(call(t, "GET", address+"/metrics", nil).body)
	for _, want := range []string{
		`pixano_http_requests_total{method="GET",route="/items/{dataset}",code="200"} 1`,
		`pixano_http_requests_total{method="GET",route="/items/{dataset}/{id}",code="404"} 1`,
		`pixano_http_request_duration_seconds_bucket{method="GET",route="/items/{dataset}",code="200",le="+Inf"} 1`,
		`pixano_datasets_open 1`, `pixano_jobs{state="running"} 0`, "# TYPE pixano_http_request_duration_seconds histogram",
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no line %s in\n%s", want, text)
		}
	}
	if got := call(t, "GET", address+"/metrics", nil, "X-Forwarded-For", "192.0.2.1"); got.status != http.StatusForbidden {
		t.Errorf("metrics for a client of a proxy: status %d, want 403", got.status)
	}
}
