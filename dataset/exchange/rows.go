package exchange

import (
	"fmt"
	"reflect"

	"pixano/features"
	"pixano/schema"
)

// Value returns the value of a column of a row, or nil if the row has no such column.
func Value(row *schema.Dynamic, column string) any {
	v, _ := row.Get(column)
	return v
}

// Text returns a column of texts of a row, or "".
func Text(row *schema.Dynamic, column string) string {
	s, _ := Value(row, column).(string)
	return s
}

// Int returns a column of whole numbers of a row, or 0.
func Int(row *schema.Dynamic, column string) int64 {
	n, _ := Value(row, column).(int64)
	return n
}

// Rows returns the rows of a table of an item, which may be none.
func Rows(tables map[string]any, table string) []*schema.Dynamic {
	switch rows := tables[table].(type) {
	case []*schema.Dynamic:
		return rows
	case *schema.Dynamic:
		if rows != nil {
			return []*schema.Dynamic{rows}
		}
	}
	return nil
}

// ViewOf returns the id of the view of an entity or annotation, and its table.
func ViewOf(row *schema.Dynamic) features.ViewRef {
	ref, _ := Value(row, "view_ref").(features.ViewRef)
	return ref
}

// EntityOf returns the entity of an annotation.
func EntityOf(row *schema.Dynamic) features.EntityRef {
	ref, _ := Value(row, "entity_ref").(features.EntityRef)
	return ref
}

// Box returns a row of class BBox as a box of pixels, left, top, width and height, in a view of the given size.
func Box(row *schema.Dynamic, width, height float64) ([4]float64, error) {
	coords, _ := Value(row, "coords").([]float64)
	normalized, _ := Value(row, "is_normalized").(bool)
	box, err := features.ConvertBox(coords, Text(row, "format"), features.FormatXYWH)
	if err == nil && normalized {
		if width <= 0 || height <= 0 {
			return [4]float64{}, fmt.Errorf("a box in fractions of a view of unknown size")
		}
		box, err = features.Scale(box, width, height)
	}
	if err != nil {
		return [4]float64{}, err
	}
	return [4]float64(box), nil
}

// Mask returns a row of class CompressedRLE as a mask.
func Mask(row *schema.Dynamic) (features.RLE, error) {
	size, _ := Value(row, "size").([]int64)
	counts, _ := Value(row, "counts").([]byte)
	return features.ParseRLE(size, counts)
}

// SchemaWith returns the schema of an aggregate. The aggregates of formats are fixed, so that it cannot fail.
func SchemaWith(aggregate any) *schema.DatasetSchema {
	s, err := schema.DatasetSchemaOf(aggregate)
	if err != nil {
		panic(err)
	}
	return s
}

// Object is the class of entities that have a category only.
type Object struct {
	schema.Entity
	Category string
}

// NewAnnotation returns the columns that annotations share.
func NewAnnotation(id, item string, view features.ViewRef, entity features.EntityRef, source string) schema.Annotation {
	a := schema.Annotation{ID: id, ItemRef: features.Item(item), ViewRef: view, EntityRef: entity}
	if source != "" {
		a.SourceRef = features.Source(source)
	}
	return a
}

// fit brings rows of a format into the form of a table of the target.
type fit struct {
	table   string
	same    bool // as they are
	missing bool // the target has no such table
	class   *schema.Class
	types   map[reflect.Type][]schema.Column
}

func newFit(table string, from, target *schema.DatasetSchema) (*fit, error) {
	f := &fit{table: table, same: true}
	if target == nil || table == schema.SourceTable {
		return f, nil
	}
	class, ok := target.Class(table)
	if !ok {
		f.missing = true
		return f, nil
	}
	if have, ok := from.Class(table); ok {
		if have.Group() != class.Group() {
			return nil, fmt.Errorf("table %s holds %s: want one of %s", table, class.Group(), have.Group())
		}
		f.same = sameFields(have, class)
	}
	f.class, f.types = class, map[reflect.Type][]schema.Column{}
	return f, nil
}

func sameFields(a, b *schema.Class) bool {
	if len(a.Fields) != len(b.Fields) {
		return false
	}
	for _, f := range a.Fields {
		if g, _, ok := b.Field(f.Name); !ok || f.Type != g.Type {
			return false
		}
	}
	return true
}

// rows returns the rows as a slice, which is nil if there are none to store, and their number.
func (f *fit) rows(rows any, n *notes) (any, int, error) {
	v := reflect.ValueOf(rows)
	if !v.IsValid() || v.Kind() != reflect.Slice {
		return nil, 0, fmt.Errorf("table %s: rows of the format are a %T: want a slice", f.table, rows)
	}
	switch {
	case v.Len() == 0:
		return nil, 0, nil
	case f.missing:
		n.lose(f.table, "", "the dataset has no such table", int64(v.Len()))
		return nil, 0, nil
	case f.same:
		return rows, v.Len(), nil
	}
	out := make([]*schema.Dynamic, v.Len())
	for i := range out {
		d, err := f.row(v.Index(i), n)
		if err != nil {
			return nil, 0, err
		}
		out[i] = d
	}
	return out, len(out), nil
}

// row makes a row of the target's class: columns that only the target has keep their default, and values of columns that
// it has not are lost.
func (f *fit) row(v reflect.Value, n *notes) (*schema.Dynamic, error) {
	d, err := schema.NewDynamic(f.class)
	if err != nil {
		return nil, err
	}
	set := func(name string, value any, zero bool) error {
		if _, _, ok := f.class.Field(name); !ok {
			if !zero {
				n.lose(f.table, name, "the dataset's table has no such column", 1)
			}
			return nil
		}
		return d.Set(name, value)
	}
	if from, ok := v.Interface().(*schema.Dynamic); ok {
		if from.Class() == f.class {
			return from, nil
		}
		for i, value := range from.Values() {
			field := from.Class().Fields[i]
			if err := set(field.Name, value, isDefault(value)); err != nil {
				return nil, err
			}
		}
		return d, nil
	}
	v = reflect.Indirect(v)
	columns, ok := f.types[v.Type()]
	if !ok {
		if columns, err = schema.ColumnsOf(v.Type()); err != nil {
			return nil, err
		}
		f.types[v.Type()] = columns
	}
	for _, c := range columns {
		value := v.FieldByIndex(c.Index)
		if value.IsZero() && (c.Name == "created_at" || c.Name == "updated_at" || c.Name == "inference_metadata") {
			continue
		}
		if err := set(c.Name, value.Interface(), value.IsZero()); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// isDefault reports whether a value says nothing: zero, empty, or "none".
func isDefault(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == "" || v == "{}"
	case []string:
		return len(v) == 0
	case []float64:
		return len(v) == 0
	}
	r := reflect.ValueOf(v)
	return r.IsZero() || r.Kind() == reflect.Slice && r.Len() == 0
}
