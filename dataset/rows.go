package dataset

import (
	"fmt"
	"reflect"
	"time"

	"pixano/schema"
)

// given is a row as a caller gave it, copied and brought into its stored form.
type given struct {
	row     any // a pointer to a struct, or a *schema.Dynamic of the table's class
	id      string
	created time.Time // zero if the caller left it out
}

// copyRows copies rows for a table of a class. from is a row or a slice of rows, each a struct, a schema.Dynamic or a
// pointer to one, with exactly the columns of the class.
func copyRows(from any, class *schema.Class) ([]given, error) {
	v := reflect.ValueOf(from)
	for v.IsValid() && v.Kind() == reflect.Pointer && v.Type().Elem().Kind() == reflect.Slice {
		v = v.Elem()
	}
	if !v.IsValid() {
		return nil, schemaError("no rows: want a row or a slice of rows")
	}
	if v.Kind() != reflect.Slice && v.Kind() != reflect.Array {
		g, err := copyRow(v, class)
		return []given{g}, err
	}
	rows := make([]given, v.Len())
	if v.Type().Elem().Kind() == reflect.Struct && v.Type().Elem() != reflect.TypeFor[schema.Dynamic]() {
		// One block of memory for all.
		block := reflect.MakeSlice(reflect.SliceOf(v.Type().Elem()), v.Len(), v.Len())
		reflect.Copy(block, v)
		if err := checkWrite(v.Type().Elem(), class); err != nil {
			return nil, err
		}
		for i := range rows {
			var err error
			if rows[i], err = normalized(block.Index(i).Addr().Interface()); err != nil {
				return nil, inRow(i, err)
			}
		}
		return rows, nil
	}
	for i := range rows {
		var err error
		if rows[i], err = copyRow(v.Index(i), class); err != nil {
			return nil, inRow(i, err)
		}
	}
	return rows, nil
}

// inRow says which of several rows an error is about, if its id does not.
func inRow(i int, err error) error {
	if e, ok := err.(*Error); ok && e.ID != "" {
		return err
	}
	return fmt.Errorf("row %d: %w", i, err)
}

func copyRow(v reflect.Value, class *schema.Class) (given, error) {
	for v.IsValid() && (v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer) {
		v = v.Elem()
	}
	if !v.IsValid() {
		return given{}, schemaError("the row is nil")
	}
	if d, ok := v.Interface().(schema.Dynamic); ok {
		row, err := asClass(&d, class)
		if err != nil {
			return given{}, err
		}
		return normalized(row)
	}
	if err := checkWrite(v.Type(), class); err != nil {
		return given{}, err
	}
	c := reflect.New(v.Type())
	c.Elem().Set(v)
	return normalized(c.Interface())
}

// normalized brings a row into its stored form.
func normalized(row any) (given, error) {
	g := given{row: row}
	var err error
	if g.created, _, err = schema.Times(row); err != nil {
		return given{}, err
	}
	if g.id, err = schema.ID(row); err != nil {
		return given{}, err
	}
	if err := schema.Normalize(row); err != nil {
		return given{}, &Error{ID: g.id, Err: err}
	}
	return g, nil
}

// checkWrite refuses a type whose rows have not exactly the class's columns.
func checkWrite(t reflect.Type, class *schema.Class) error {
	p, err := schema.PlanOf(t)
	if err != nil {
		return err
	}
	return p.CheckWrite(class)
}

// asClass returns a copy of a dynamic row as one of the table's class, which has the same columns.
func asClass(d *schema.Dynamic, class *schema.Class) (*schema.Dynamic, error) {
	have := d.Class()
	switch {
	case have == class:
		return d.Clone(), nil
	case have == nil:
		return nil, schemaError("the row has no class: want one made by schema.NewDynamic")
	case have.Group() != class.Group():
		return nil, schemaError("rows of class %s are %s, the table's are %s", have.Name, have.Group(), class.Group())
	case len(have.Fields) > len(class.Fields):
		for _, f := range have.Fields {
			if _, _, ok := class.Field(f.Name); !ok {
				return nil, schemaError("rows of class %s have a column %s, which the table has not", have.Name, f.Name)
			}
		}
	}
	values := make([]any, len(class.Fields))
	from := d.Values()
	for i, f := range class.Fields {
		g, j, ok := have.Field(f.Name)
		switch {
		case !ok:
			return nil, schemaError("rows of class %s have no column %s", have.Name, f.Name)
		case g.Type != f.Type:
			return nil, schemaError("column %s of class %s is %s: want %s", f.Name, have.Name, g.Type, f.Type)
		}
		values[i] = from[j]
	}
	if len(have.Fields) != len(class.Fields) {
		return nil, schemaError("rows of class %s have %d columns, the table has %d", have.Name, len(have.Fields), len(class.Fields))
	}
	return schema.NewDynamicValues(class, values)
}
