package yolo

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"pixano/dataset/exchange"
	"pixano/features"
)

// describePoses writes the names of the points of each class, as YOLO has them, which of them change places in a mirror, the
// ids of the templates and, as JSON, those templates that are not built in.
func (w *writer) describePoses(b *strings.Builder) error {
	known, err := w.out.Dataset().KeyPointTemplates()
	if err != nil {
		return err
	}
	own := len(known)
	known = append(known, features.KeyPointTemplates()...)
	names, ids := map[int][]string{}, map[int]string{}
	var flips [][]int
	list := []features.KeyPointTemplate{}
	for _, class := range slices.Sorted(maps.Keys(w.poses)) {
		ids[class] = w.poses[class]
		i := slices.IndexFunc(known, func(t features.KeyPointTemplate) bool { return t.ID == w.poses[class] && len(t.Points) == w.points })
		if i < 0 {
			flips = append(flips, nil)
			continue
		}
		for _, p := range known[i].Points {
			names[class] = append(names[class], p.Name)
		}
		flips = append(flips, mirrored(names[class]))
		if i < own && !slices.ContainsFunc(list, func(t features.KeyPointTemplate) bool { return t.ID == known[i].ID }) {
			list = append(list, known[i])
		}
	}
	described := map[string]any{"pixano_templates": ids}
	if len(names) > 0 {
		described["kpt_names"] = names
	}
	if len(list) > 0 {
		text, err := json.Marshal(list)
		if err != nil {
			return err
		}
		described["pixano_template_list"] = string(text)
	}
	if len(flips) > 0 && flips[0] != nil && !slices.ContainsFunc(flips, func(f []int) bool { return !slices.Equal(f, flips[0]) }) {
		fmt.Fprintf(b, "flip_idx: [%s]\n", strings.Trim(strings.ReplaceAll(fmt.Sprint(flips[0]), " ", ", "), "[]"))
	}
	text, err := yaml.Marshal(described)
	b.Write(text)
	return err
}

// mirrored returns for each point which one it is in a mirror: left and right change places.
func mirrored(names []string) []int {
	other := strings.NewReplacer("left", "right", "right", "left")
	places := make([]int, len(names))
	for i, name := range names {
		if places[i] = slices.Index(names, other.Replace(name)); places[i] < 0 {
			places[i] = i
		}
	}
	return places
}

// posed says what the points of a class are.
type posed struct {
	template string
	names    []string // of a template that is made of them
	guessed  bool     // by the number of points alone
	used     bool
	sketch   exchange.Sketch
}

// findPoses finds the templates of the classes: those that an export of ours names, or by the names of the points.
func (r *reader) findPoses(c *config) error {
	if r.kpt == nil {
		return nil
	}
	if c.Poses != "" {
		if err := json.Unmarshal([]byte(c.Poses), &r.given); err != nil {
			return fmt.Errorf("pixano_template_list: want templates of key points as JSON: %w", err)
		}
		for i, t := range r.given {
			if err := t.Validate(); err != nil {
				return fmt.Errorf("pixano_template_list[%d]: %w", i, err)
			}
		}
	}
	names := map[int][]string{}
	var all []string
	switch c.KptNames.Kind {
	case yaml.SequenceNode:
		if err := c.KptNames.Decode(&all); err != nil {
			return fmt.Errorf("kpt_names: want a list of names, or one for each class: %w", err)
		}
	case yaml.MappingNode:
		if err := c.KptNames.Decode(&names); err != nil {
			return fmt.Errorf("kpt_names: want a list of names for the number of each class: %w", err)
		}
	}
	for class, name := range r.names {
		list := names[class]
		if list == nil {
			list = all
		}
		if list != nil && len(list) != r.kpt[0] {
			r.in.Warn(r.file, 0, "kpt_names of class %d are %d, and kpt_shape has %d points: they were left out", class, len(list), r.kpt[0])
			list = nil
		}
		p := &posed{template: c.PoseIDs[class]}
		switch builtin := exchange.NamedTemplate(list); {
		case p.template != "":
		case builtin != "":
			p.template = builtin
		case list != nil:
			p.names = list
			p.template = features.TemplateID(strings.ReplaceAll(name, " ", "_"), len(list))
		default:
			p.template = usual(name, r.kpt[0])
			p.guessed = !strings.HasPrefix(p.template, "points_") && !strings.EqualFold(name, subject(p.template))
		}
		r.poses[name] = p
	}
	return nil
}

// subject returns whom a template shows.
func subject(template string) string {
	before, _, _ := strings.Cut(template, "-")
	return before
}

// usual returns the template of poses whose points have no names: the built-in one that is called like the class and has so
// many points. 17 points are those of COCO, which YOLO's own models of poses find.
func usual(class string, points int) string {
	id := fmt.Sprintf("points_%d", points)
	for _, t := range features.KeyPointTemplates() {
		switch {
		case len(t.Points) != points:
		case strings.EqualFold(subject(t.ID), class):
			return t.ID
		case t.ID == "person-17":
			id = t.ID
		}
	}
	return id
}

// template returns the template of an object with key points.
func (r *reader) template(o *labelled) string {
	p := r.poses[o.class]
	p.used = true
	p.sketch.Note(o.points)
	if p.guessed {
		p.guessed = false
		r.in.Warn(r.file, 0, "the points of class %q have no names (kpt_names): they are taken for those of the template %s", o.class, p.template)
	}
	return p.template
}

// Templates returns the templates of classes that have no built-in one.
func (r *reader) Templates() []features.KeyPointTemplate {
	list := slices.Clone(r.given)
	for _, name := range slices.Sorted(maps.Keys(r.poses)) {
		p := r.poses[name]
		if p.names == nil || !p.used {
			continue
		}
		t := features.KeyPointTemplate{ID: p.template, Points: p.sketch.LayOut(p.names)}
		if err := t.Validate(); err != nil {
			r.in.Warn(r.file, 0, "class %q: the key points have no template: %v", name, err)
			continue
		}
		list = append(list, t)
	}
	return list
}
