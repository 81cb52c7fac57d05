package coco

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"pixano/features"
)

// sketch is the pose of a category that shows most of its points.
type sketch struct {
	points   []float64 // x, y and visibility of each
	labelled int
	template string // that an export of ours names
}

// noteKeyPoints remembers the pose of an annotation if it shows more than those before.
func (f *file) noteKeyPoints(category number, points []float64, template string) {
	s := f.sketches[category]
	if s == nil {
		s = &sketch{}
		f.sketches[category] = s
	}
	if s.template == "" {
		s.template = template
	}
	labelled := 0
	for i := 2; i < len(points); i += 3 {
		if points[i] > 0 {
			labelled++
		}
	}
	if s.points == nil || labelled > s.labelled {
		s.points, s.labelled = points, labelled
	}
}

// builtinTemplate returns the built-in template with the points of a category, or "".
func builtinTemplate(c cocoCategory) string {
	for _, t := range features.KeyPointTemplates() {
		if len(t.Points) == len(c.KeyPoints) && slices.EqualFunc(t.Points, c.KeyPoints, func(p features.TemplatePoint, name string) bool { return p.Name == name }) {
			return t.ID
		}
	}
	return ""
}

// templateOf names the template of the key points of a category.
func templateOf(c cocoCategory) string {
	if id := builtinTemplate(c); id != "" {
		return id
	}
	return strings.ReplaceAll(c.Name, " ", "_")
}

// Templates returns the templates of categories whose points are not those of a built-in one, laid out as the pose that shows
// most of them.
func (r *reader) Templates() []features.KeyPointTemplate {
	var list []features.KeyPointTemplate
	for _, f := range r.files {
		for _, id := range slices.Sorted(maps.Keys(f.skeletons)) {
			c := f.skeletons[id]
			t := features.KeyPointTemplate{ID: features.TemplateID(templateOf(c), len(c.KeyPoints))}
			s := f.sketches[id]
			if s == nil {
				continue // nobody has such points
			}
			if s.template != "" {
				t.ID = s.template
			}
			t.Points = s.layOut(c.KeyPoints)
			var lines [][]int
			if json.Unmarshal(c.Skeleton, &lines) != nil {
				lines = nil // whatever others write there
			}
			for _, line := range lines {
				if len(line) == 2 && line[0] != line[1] && min(line[0], line[1]) >= 1 && max(line[0], line[1]) <= len(t.Points) {
					t.Edges = append(t.Edges, [2]int{line[0] - 1, line[1] - 1})
				}
			}
			if slices.ContainsFunc(list, func(other features.KeyPointTemplate) bool { return other.ID == t.ID }) {
				continue
			}
			if err := t.Validate(); err != nil {
				r.in.Warn(f.name, 0, "category %s: the key points have no template: %v", id, err)
				continue
			}
			list = append(list, t)
		}
	}
	return list
}

// layOut places points as the sketch does; those that it does not show are in the middle.
func (s *sketch) layOut(names []string) []features.TemplatePoint {
	box := around(s.points)
	points := make([]features.TemplatePoint, len(names))
	for i, name := range names {
		points[i] = features.TemplatePoint{Name: name, X: 0.5, Y: 0.5}
		if 3*i+2 >= len(s.points) || s.points[3*i+2] == 0 {
			continue
		}
		if box[2] > 0 {
			points[i].X = (s.points[3*i] - box[0]) / box[2]
		}
		if box[3] > 0 {
			points[i].Y = (s.points[3*i+1] - box[1]) / box[3]
		}
	}
	return points
}
