package jsonl

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"pixano/dataset"
	"pixano/dataset/exchange"
	"pixano/schema"
)

// guess finds what tables a source has whose schema is not known, from the keys and values of its rows.
type guess struct {
	known  *schema.DatasetSchema
	info   dataset.Info
	order  []string
	tables map[string]*guessed
}

// guessed is what is known of a table.
type guessed struct {
	group  string
	fields map[string]string // columns to types
	order  []string
	many   bool
	seen   map[string]bool // items with a row of it; nil where that is no question
}

func newGuess(known *schema.DatasetSchema) *guess {
	return &guess{known: known, tables: map[string]*guessed{}}
}

// see looks at a row.
func (g *guess) see(v value) error {
	if v.group == "info" {
		if err := json.Unmarshal(v.raw, &g.info); err != nil {
			return fmt.Errorf("info: %w", err)
		}
		return nil
	}
	if g.known != nil || v.table == schema.SourceTable {
		return nil
	}
	t := g.tables[v.table]
	if t == nil {
		t = &guessed{group: v.group, fields: map[string]string{}, many: !v.one, seen: map[string]bool{}}
		g.tables[v.table] = t
		g.order = append(g.order, v.table)
	}
	members, err := exchange.Members(v.raw)
	if err != nil {
		return fmt.Errorf("%s: %w", v.table, err)
	}
	item := v.item
	for _, m := range members {
		value, err := exchange.Decoded(m.Value)
		if err != nil {
			return err
		}
		if m.Key == "item_ref" && v.group == "views" {
			if ref, ok := value.(map[string]any); ok {
				item, _ = ref["id"].(string)
			}
		}
		if _, ok := t.fields[m.Key]; !ok {
			t.order = append(t.order, m.Key)
		}
		t.fields[m.Key] = exchange.WiderType(t.fields[m.Key], typeOf(value))
	}
	if v.group == "views" { // of JSON, which does not say whether an item has one
		t.many = t.many && len(t.seen) > 0 && (t.many || t.seen[item])
		if t.seen[item] {
			t.many = true
		}
		t.seen[item] = true
	}
	return nil
}

// typeOf knows the structs of columns too.
func typeOf(v any) string {
	m, ok := v.(map[string]any)
	if !ok {
		return exchange.TypeOf(v)
	}
	switch {
	case has(m, "values", "shape"):
		return schema.TypeNDArrayFloat
	case has(m, "cx_offset_px"):
		return schema.TypeBaseIntrinsics
	case has(m, "c1", "c2"):
		return schema.TypeIntrinsics
	case has(m, "pos_x_m"):
		return schema.TypeExtrinsics
	case has(m, "name", "id"):
		return schema.TypeEntityRef
	}
	return ""
}

func has(m map[string]any, keys ...string) bool {
	for _, k := range keys {
		if _, ok := m[k]; !ok {
			return false
		}
	}
	return true
}

var groupOf = map[string]schema.Group{"views": schema.GroupViews, "entities": schema.GroupEntities, "annotations": schema.GroupAnnotations}

// schema returns the guess.
func (g *guess) schema(in *exchange.Input) (*schema.DatasetSchema, error) {
	item, err := schema.ClassOf(schema.Item{})
	if err != nil {
		return nil, err
	}
	if t := g.tables[schema.ItemTable]; t != nil {
		t.order = slices.DeleteFunc(t.order, func(column string) bool {
			return g.tables[column] != nil || t.fields[column] == "[]" // a table that has no rows in some items, or in none
		})
		if item, err = t.class(item, "Item"); err != nil {
			return nil, err
		}
	}
	s, err := schema.NewDatasetSchema(item)
	if err != nil {
		return nil, err
	}
	for _, name := range g.order {
		if name == schema.ItemTable {
			continue
		}
		t := g.tables[name]
		base := t.base(name)
		if base == nil {
			in.Warn("", 0, "the table %s was left out: its keys %q are of no known class", name, t.order)
			continue
		}
		class, err := t.class(base, "Own"+base.Name)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", name, err)
		}
		relation := schema.OneToOne
		if t.many {
			relation = schema.ManyToOne
		}
		if err := s.Add(name, class, relation); err != nil {
			return nil, err
		}
	}
	in.Warn("", 0, "there is no %s beside: the classes of the tables were guessed", schemaFile)
	return s, nil
}

// base returns the built-in class with the most columns that the rows all have. Of classes with the same columns the
// table's name decides.
func (t *guessed) base(name string) *schema.Class {
	var best *schema.Class
	for _, class := range schema.Builtins() {
		group, _ := schema.GroupOfClass(class)
		if group == schema.GroupItem || group == schema.GroupSource || group == schema.GroupEmbeddings {
			continue
		}
		if want, ok := groupOf[t.group]; ok && want != group {
			continue
		}
		goType, _ := schema.Lookup(class)
		c, err := schema.ClassOf(goType)
		if err != nil {
			continue
		}
		fits := true
		for _, f := range c.Fields {
			if _, ok := t.fields[f.Name]; !ok && !isTime(f.Name) {
				fits = false
			}
		}
		if !fits {
			continue
		}
		alike := func(class string) bool {
			return strings.Contains(name, strings.ToLower(strings.TrimSuffix(class, "s"))) || strings.HasSuffix(class, "3D") && strings.Contains(name, "3d")
		}
		switch {
		case best == nil || len(c.Fields) > len(best.Fields):
			best = c
		case len(c.Fields) == len(best.Fields) && (alike(class) && !alike(best.Name) || schema.IsA(best.Name, class) && !alike(best.Name)):
			best = c
		}
	}
	return best
}

// class returns a class with the columns of the rows.
func (t *guessed) class(base *schema.Class, name string) (*schema.Class, error) {
	c := &schema.Class{Name: base.Name, Base: base.Base, Fields: slices.Clone(base.Fields)}
	for _, column := range t.order {
		if _, _, ok := base.Field(column); ok {
			continue
		}
		text, list := strings.CutSuffix(t.fields[column], "[]")
		if text == "" {
			text = schema.TypeStr
		}
		c.Name = name
		c.Fields = append(c.Fields, schema.Field{Name: column, Type: schema.FieldType{Name: text, Collection: list}})
	}
	return c, c.Validate()
}
