package exchange

import (
	"slices"

	"pixano/features"
)

// Sketch is the pose, of several of the same points, that shows most of them. Templates of key points that a source gives
// no places for are laid out like it.
type Sketch struct {
	points   []float64 // x, y and visibility of each
	labelled int
}

// Note remembers a pose, as x, y and visibility of each point, if it shows more than those before.
func (s *Sketch) Note(points []float64) {
	labelled := 0
	for i := 2; i < len(points); i += 3 {
		if points[i] > 0 {
			labelled++
		}
	}
	if labelled > s.labelled {
		s.points, s.labelled = slices.Clone(points), labelled
	}
}

// LayOut places points of these names as the sketch does; those that it does not show are in the middle.
func (s *Sketch) LayOut(names []string) []features.TemplatePoint {
	var box []float64
	for i := 0; i+2 < len(s.points); i += 3 {
		x, y := s.points[i], s.points[i+1]
		switch {
		case s.points[i+2] == 0:
		case box == nil:
			box = []float64{x, y, x, y}
		default:
			box = []float64{min(box[0], x), min(box[1], y), max(box[2], x), max(box[3], y)}
		}
	}
	points := make([]features.TemplatePoint, len(names))
	for i, name := range names {
		points[i] = features.TemplatePoint{Name: name, X: 0.5, Y: 0.5}
		if 3*i+2 >= len(s.points) || s.points[3*i+2] == 0 {
			continue
		}
		if w := box[2] - box[0]; w > 0 {
			points[i].X = (s.points[3*i] - box[0]) / w
		}
		if h := box[3] - box[1]; h > 0 {
			points[i].Y = (s.points[3*i+1] - box[1]) / h
		}
	}
	return points
}

// NamedTemplate returns the built-in template with points of these names, or "".
func NamedTemplate(names []string) string {
	for _, t := range features.KeyPointTemplates() {
		if slices.EqualFunc(t.Points, names, func(p features.TemplatePoint, name string) bool { return p.Name == name }) {
			return t.ID
		}
	}
	return ""
}
