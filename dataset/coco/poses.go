package coco

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"

	"pixano/dataset"
	"pixano/dataset/exchange"
	"pixano/features"
	"pixano/schema"
)

// pose is what key points are: a template, and how many.
type pose struct {
	template string
	points   int
}

// findPoses finds for each category the pose that most of its objects have, and its supercategory.
func (w *writer) findPoses(ctx context.Context) error {
	seed := maphash.MakeSeed()
	ds := w.out.Dataset()
	var poses []pose
	of := map[uint64]int{} // hashes of entities to their pose
	for _, table := range w.tables.points {
		for row, err := range ds.Rows(ctx, table, dataset.Query{Columns: []string{"entity_ref", "template_id", "states"}}) {
			if err != nil {
				return err
			}
			entity, _ := row.Value("entity_ref").(dataset.Row)
			template, _ := row.Value("template_id").(string)
			states, _ := row.Value("states").([]string)
			i := slices.Index(poses, pose{template, len(states)})
			if i < 0 {
				i = len(poses)
				poses = append(poses, pose{strings.Clone(template), len(states)}) // a text of a row keeps its batch
			}
			of[maphash.String(seed, entity.ID())] = i
		}
	}
	counts := map[string][]int{}
	note := func(category string, i int) {
		if counts[category] == nil {
			counts[strings.Clone(category)] = make([]int, len(poses))
		}
		counts[category][i]++
	}
	if i, ok := of[maphash.String(seed, "")]; ok {
		note("", i) // of no entity
	}
	for _, table := range w.tables.entities {
		columns := []string{"id"}
		class, _ := w.schema.Class(table)
		for _, column := range []string{"category", superColumn} {
			if f, _, ok := class.Field(column); ok && f.Type.Name == schema.TypeStr && !f.Type.Collection {
				columns = append(columns, column)
			}
		}
		if len(poses) == 0 && !slices.Contains(columns, superColumn) {
			continue
		}
		for row, err := range ds.Rows(ctx, table, dataset.Query{Columns: columns}) {
			if err != nil {
				return err
			}
			category, _ := row.Value("category").(string)
			if super, _ := row.Value(superColumn).(string); super != "" && w.supers[category] == "" && category != "" {
				w.supers[strings.Clone(category)] = strings.Clone(super)
			}
			if i, ok := of[maphash.String(seed, row.ID())]; ok {
				note(category, i)
			}
		}
	}
	for category, list := range counts {
		w.poses[category] = poses[slices.Index(list, slices.Max(list))]
	}
	return nil
}

// template returns the template of a pose, with names for all of its points.
func (w *writer) template(p pose) features.KeyPointTemplate {
	t := features.KeyPointTemplate{ID: p.template}
	if i := slices.IndexFunc(w.known, func(t features.KeyPointTemplate) bool { return t.ID == p.template && len(t.Points) == p.points }); i >= 0 {
		t = w.known[i]
	}
	for i := len(t.Points); i < p.points; i++ {
		t.Points = append(t.Points, features.TemplatePoint{Name: fmt.Sprintf("point_%d", i+1)})
	}
	return t
}

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
