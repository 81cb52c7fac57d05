package features

import (
	"maps"
	"slices"
	"strings"
)

// Labels is a list of category names and their ids, as a family of datasets defines it. It never changes.
type Labels struct {
	names []string // by id; empty where there is none
	ids   map[string]int
}

// The lists that Pixano knows.
var (
	// COCO91 is the list of the COCO paper, ids 1 to 91. The annotations of COCO use it, less the eleven names that
	// COCO80 leaves out.
	COCO91 = newLabels(coco91...)
	// COCO80 is the list of the categories that COCO annotates, ids 1 to 80 in the order of COCO91, as trained models
	// count them.
	COCO80 = newLabels(slices.DeleteFunc(slices.Clone(coco91), notAnnotated)...)
	// VOC is the list of Pascal VOC, ids 1 to 20. Its names are Pixano's: "dining table", "potted plant" and
	// "tv / monitor" stand for diningtable, pottedplant and tvmonitor.
	VOC = newLabels("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "dining table",
		"dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv / monitor")
)

var labelLists = map[string]*Labels{"coco91": COCO91, "coco80": COCO80, "voc": VOC}

// LabelsByName returns the list called "coco91", "coco80" or "voc".
func LabelsByName(name string) (*Labels, error) {
	if l, ok := labelLists[name]; ok {
		return l, nil
	}
	return nil, invalid("labels", "", name, "want one of %s", strings.Join(slices.Sorted(maps.Keys(labelLists)), ", "))
}

// newLabels numbers names from 1.
func newLabels(names ...string) *Labels {
	l := &Labels{names: append([]string{""}, names...), ids: make(map[string]int, len(names))}
	for i, name := range names {
		l.ids[name] = i + 1
	}
	return l
}

// Name returns the name of a category.
func (l *Labels) Name(id int) (string, bool) {
	if id < 1 || id >= len(l.names) {
		return "", false
	}
	return l.names[id], true
}

// ID returns the id of a category by its name, in letters of any case and with any space around it.
func (l *Labels) ID(name string) (int, bool) {
	id, ok := l.ids[strings.ToLower(strings.TrimSpace(name))]
	return id, ok
}

// Names returns the names of all categories in the order of their ids, which count from 1.
func (l *Labels) Names() []string { return slices.Clone(l.names[1:]) }

// COCO80To91 returns the id in [COCO91] of a category of [COCO80].
func COCO80To91(id int) (int, bool) {
	name, ok := COCO80.Name(id)
	if !ok {
		return 0, false
	}
	return COCO91.ID(name)
}

// notAnnotated reports whether COCO names a category and annotates none of it.
func notAnnotated(name string) bool {
	switch name {
	case "street sign", "hat", "shoe", "eye glasses", "plate", "mirror", "window", "desk", "door", "blender", "hair brush":
		return true
	}
	return false
}

var coco91 = []string{
	"person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
	"fire hydrant", "street sign", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep",
	"cow", "elephant", "bear", "zebra", "giraffe", "hat", "backpack", "umbrella", "shoe", "eye glasses",
	"handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove",
	"skateboard", "surfboard", "tennis racket", "bottle", "plate", "wine glass", "cup", "fork", "knife", "spoon",
	"bowl", "banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut",
	"cake", "chair", "couch", "potted plant", "bed", "mirror", "dining table", "window", "desk", "toilet",
	"door", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster",
	"sink", "refrigerator", "blender", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
	"hair brush",
}
