package onnx

import (
	"cmp"
	"context"
	"fmt"
	"image"
	"math"
	"slices"
	"strings"

	"pixano/inference"
)

// yolo finds the objects of a list of classes.
type yolo struct {
	*Model
	*session
	prep preparation
}

// Boxes of one class that overlap by more than this part of what they cover together are one object.
const overlap = 0.45

// The grey around a picture, and the size of an open input.
const (
	yoloGrey  = 114
	yolo3Grey = 128
	yoloInput = 640
)

// The most boxes that are looked at for overlaps, those of the highest scores.
const maxBoxes = 10_000

func newYOLO(m *Model, threads int) (*yolo, error) {
	h := m.headers[roleModel]
	input := h.inputs[0]
	if !fits(input.shape, -1, 3, -1, -1) || input.kind != float32Type {
		return nil, fmt.Errorf("%s: input %v: want [1, 3, height, width] of float", m.Path(), input)
	}
	y := &yolo{Model: m, prep: preparation{fit: fitLetterbox, filter: bilinear, std: pixels(1, 1, 1), fill: float32(yoloGrey) / 255}}
	outputs := []string{h.outputs[0].name}
	if m.Family == YOLOBoxes {
		y.prep.fill = float32(yolo3Grey) / 255
		outputs = []string{"boxes", "scores"}
	}
	if err := y.prep.size(input.shape[2], input.shape[3], m.config.ImageSize, yoloInput); err != nil {
		return nil, fmt.Errorf("%s: %w", m.Path(), err)
	}
	var err error
	y.session, err = m.open(roleModel, threads, outputs...)
	return y, err
}

// candidate is a box before those of the same object are joined.
type candidate struct {
	class                    int
	score                    float32
	left, top, right, bottom float64 // in pixels of the picture
}

func (y *yolo) detect(ctx context.Context, req *inference.DetectionRequest) ([]inference.Detection, error) {
	wanted := make([]bool, len(y.Labels))
	for i, label := range y.Labels {
		wanted[i] = len(req.Classes) == 0 || slices.ContainsFunc(req.Classes, func(c string) bool { return strings.EqualFold(strings.TrimSpace(c), label) })
	}
	if !slices.Contains(wanted, true) {
		return nil, nil // nothing that the model knows; it need not look
	}
	values := make([]float32, 3*y.prep.width*y.prep.height)
	pixels, err := req.Image.Decode()
	if err != nil {
		return nil, err
	}
	v := y.prep.prepare(pixels, values)
	out, err := y.run(ctx, map[string]tensor{y.inputs[0].name: floats(values, 1, 3, int64(y.prep.height), int64(y.prep.width))})
	if err != nil {
		return nil, err
	}
	candidates, err := y.candidates(out, v, wanted, float32(req.BoxThreshold))
	if err != nil {
		return nil, err
	}
	var found []inference.Detection
	bounds := image.Rectangle{Max: v.picture}
	for _, c := range suppress(candidates) {
		round := func(x float64) int { return int(math.Round(min(max(x, -1e6), 1e6))) }
		box := image.Rect(round(c.left), round(c.top), round(c.right), round(c.bottom)).Intersect(bounds)
		if box.Empty() {
			continue
		}
		found = append(found, inference.Detection{Box: box, Score: float64(min(max(c.score, 0), 1)), Class: y.Labels[c.class]})
	}
	return found, nil
}

// candidates are the boxes above the threshold, each with its likeliest class of those wanted.
func (y *yolo) candidates(out []tensor, v view, wanted []bool, limit float32) ([]candidate, error) {
	classes := len(y.Labels)
	var n int
	var at func(i, k int) float32    // a coordinate of box i
	var score func(i, k int) float32 // of class k
	bad := func(t tensor, want string) error {
		return inference.Errorf(inference.ErrInvalidResponse, "output of the shape %v: want %s", t.shape, want)
	}
	corners := y.Family == YOLOBoxes
	if corners {
		boxes, scores := out[0], out[1]
		if !fits(boxes.shape, 1, -1, 4) || !fits(scores.shape, 1, boxes.shape[1], int64(classes)) || boxes.float32 == nil || scores.float32 == nil {
			return nil, bad(boxes, fmt.Sprintf("[1, n, 4], and scores [1, n, %d]", classes))
		}
		n = int(boxes.shape[1])
		at = func(i, k int) float32 {
			return boxes.float32[4*i+k] * float32([2]int{y.prep.width, y.prep.height}[k%2])
		}
		score = func(i, k int) float32 { return scores.float32[classes*i+k] }
	} else {
		t := out[0]
		if !fits(t.shape, 1, int64(4+classes), -1) || t.float32 == nil {
			return nil, bad(t, fmt.Sprintf("[1, %d, n]", 4+classes))
		}
		n = int(t.shape[2])
		at = func(i, k int) float32 { return t.float32[k*n+i] }
		score = func(i, k int) float32 { return t.float32[(4+k)*n+i] }
	}
	best := make([]float32, n)
	class := make([]int, n)
	for k := range classes {
		if !wanted[k] {
			continue
		}
		for i := range n {
			if s := score(i, k); s > best[i] {
				best[i], class[i] = s, k
			}
		}
	}
	var found []candidate
	for i := range n {
		if best[i] <= 0 || best[i] < limit {
			continue
		}
		a, b, c, d := float64(at(i, 0)), float64(at(i, 1)), float64(at(i, 2)), float64(at(i, 3))
		if !corners { // centre, width, height
			a, b, c, d = a-c/2, b-d/2, a+c/2, b+d/2
		}
		if sum := a + b + c + d; math.IsNaN(sum) || math.IsInf(sum, 0) {
			return nil, inference.Errorf(inference.ErrInvalidResponse, "a box with the coordinates %v, %v, %v, %v", a, b, c, d)
		}
		o := candidate{class: class[i], score: best[i]}
		o.left, o.top = v.back(a, b)
		o.right, o.bottom = v.back(c, d)
		found = append(found, o)
	}
	return found, nil
}

// suppress leaves of the boxes of one object the one with the highest score, in order of the scores.
func suppress(boxes []candidate) []candidate {
	slices.SortStableFunc(boxes, func(a, b candidate) int { return cmp.Compare(b.score, a.score) })
	boxes = boxes[:min(len(boxes), maxBoxes)]
	var kept []candidate
	for _, b := range boxes {
		if !slices.ContainsFunc(kept, func(k candidate) bool { return k.class == b.class && iou(k, b) > overlap }) {
			kept = append(kept, b)
		}
	}
	return kept
}

func iou(a, b candidate) float64 {
	w, h := min(a.right, b.right)-max(a.left, b.left), min(a.bottom, b.bottom)-max(a.top, b.top)
	if w <= 0 || h <= 0 {
		return 0
	}
	area := func(c candidate) float64 { return (c.right - c.left) * (c.bottom - c.top) }
	return w * h / (area(a) + area(b) - w*h)
}
