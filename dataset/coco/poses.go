package coco

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"pixano/dataset/exchange"
	"pixano/features"
)

// sketch is how a category looks.
type sketch struct {
	exchange.Sketch
	template string // that an export of ours names
}

// noteKeyPoints remembers the key points of an annotation.
func (f *file) noteKeyPoints(category number, points []float64, template string) {
	s := f.sketches[category]
	if s == nil {
		s = &sketch{}
		f.sketches[category] = s
	}
	if s.template == "" {
		s.template = template
	}
	s.Note(points)
}

// templateOf names the template of the key points of a category.
func templateOf(c cocoCategory) string {
	if id := exchange.NamedTemplate(c.KeyPoints); id != "" {
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
			t.Points = s.LayOut(c.KeyPoints)
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
