package server_test

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"net/http"
	"testing"
)

func TestProjection(t *testing.T) {
	address := start(t, newLibrary(t, "image_detection"), nil)
	got := call(t, "GET", address+"/projection/"+images+"/image_embedding", nil)
	if got.status != http.StatusOK {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	length := int(binary.LittleEndian.Uint32(got.body))
	var head struct {
		Items     []string
		Explained [2]float64
	}
	if err := json.Unmarshal(got.body[4:4+length], &head); err != nil {
		t.Fatal(err)
	}
	points := got.body[4+length:]
	if len(head.Items) == 0 || length%4 != 0 || len(points) != 8*len(head.Items) {
		t.Fatalf("%d items, head of %d bytes, points of %d bytes", len(head.Items), length, len(points))
	}
	most := 0.0
	for i := 0; i < len(points); i += 4 {
		most = max(most, math.Abs(float64(math.Float32frombits(binary.LittleEndian.Uint32(points[i:])))))
	}
	if math.Abs(most-1) > 1e-6 || head.Explained[0] < head.Explained[1] || head.Explained[1] < 0 || head.Explained[0] > 1 {
		t.Errorf("points up to %v, explained %v", most, head.Explained)
	}
	for path, want := range map[string]int{"/bboxes": http.StatusBadRequest, "/none": http.StatusNotFound} {
		if got := call(t, "GET", address+"/projection/"+images+path, nil); got.status != want {
			t.Errorf("%s: status %d, want %d: %s", path, got.status, want, got.body)
		}
	}
}
