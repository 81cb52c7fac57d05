package features

import "testing"

func TestLabels(t *testing.T) {
	for _, test := range []struct {
		list  string
		count int
		names map[int]string
	}{
		{"coco91", 91, map[int]string{1: "person", 12: "street sign", 26: "hat", 45: "plate", 62: "chair", 90: "toothbrush", 91: "hair brush"}},
		{"coco80", 80, map[int]string{1: "person", 12: "stop sign", 57: "chair", 80: "toothbrush"}},
		{"voc", 20, map[int]string{1: "aeroplane", 11: "dining table", 16: "potted plant", 20: "tv / monitor"}},
	} {
		t.Run(test.list, func(t *testing.T) {
			l, err := LabelsByName(test.list)
			if err != nil {
				t.Fatal(err)
			}
			if got := len(l.Names()); got != test.count {
				t.Errorf("%d names, want %d", got, test.count)
			}
			for id, want := range test.names {
				if got, ok := l.Name(id); got != want || !ok {
					t.Errorf("Name(%d) = %q, want %q", id, got, want)
				}
			}
			for i, name := range l.Names() {
				if id, ok := l.ID(name); id != i+1 || !ok {
					t.Errorf("ID(%q) = %d, want %d", name, id, i+1)
				}
			}
			for _, id := range []int{-1, 0, test.count + 1} {
				if name, ok := l.Name(id); ok {
					t.Errorf("Name(%d) = %q, want none", id, name)
				}
			}
		})
	}
	if id, ok := COCO91.ID("  Traffic Light\n"); id != 10 || !ok {
		t.Errorf("ID trims and ignores case: got %d, want 10", id)
	}
	for _, name := range []string{"", "diningtable", "tvmonitor", "hat "} {
		if id, ok := VOC.ID(name); ok {
			t.Errorf("VOC.ID(%q) = %d, want none", name, id)
		}
	}
	_, err := LabelsByName("imagenet")
	checkValid(t, err, false)
}

func TestCOCO80To91(t *testing.T) {
	// The published pairs around the names that are left out.
	for id80, want := range map[int]int{1: 1, 11: 11, 12: 13, 24: 25, 25: 27, 27: 31, 39: 43, 40: 44, 41: 46, 60: 65, 61: 67,
		62: 70, 63: 72, 72: 81, 73: 82, 74: 84, 79: 89, 80: 90} {
		if got, ok := COCO80To91(id80); got != want || !ok {
			t.Errorf("COCO80To91(%d) = %d, want %d", id80, got, want)
		}
	}
	for _, id := range []int{0, 81} {
		if got, ok := COCO80To91(id); ok {
			t.Errorf("COCO80To91(%d) = %d, want none", id, got)
		}
	}
}
