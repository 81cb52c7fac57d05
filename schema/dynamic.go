package schema

import (
	"reflect"
	"slices"
	"sync"
)

// Dynamic is a row of a class that need not have a Go type: its values in the order of the class's columns. It stands
// wherever a struct that embeds a group does.
//
// Values have the Go types of [FieldType.GoType]; a nil is a null, which only fixed-size lists can be. A Dynamic comes
// from [NewDynamic]; the zero value has no class and is refused everywhere.
type Dynamic struct {
	class  *Class
	values []any
}

// NewDynamic returns a row of a class with the defaults of its built-in base: empty texts and lists, zero numbers,
// confidence -1 and the like, null vectors. Error: what [Class.Validate] says.
func NewDynamic(class *Class) (*Dynamic, error) {
	if err := class.check(); err != nil {
		return nil, err
	}
	return newDynamic(class), nil
}

func newDynamic(class *Class) *Dynamic {
	d := &Dynamic{class: class, values: make([]any, len(class.Fields))}
	base := defaultsOf(class.Base)
	for i, f := range class.Fields {
		j := i // columns of the base come first
		if j >= len(base) || base[j].field.Name != f.Name {
			j = slices.IndexFunc(base, func(c columnDefault) bool { return c.field.Name == f.Name })
		}
		if j >= 0 && base[j].field.Type == f.Type {
			d.values[i] = base[j].new()
		} else {
			d.values[i] = zeroValue(f.Type)
		}
	}
	return d
}

// columnDefault is the default of a column of a built-in class.
type columnDefault struct {
	field Field
	value any
	list  bool // it has elements, which each row needs for itself
}

func (c columnDefault) new() any {
	if !c.list {
		return c.value
	}
	v := reflect.ValueOf(c.value)
	return reflect.AppendSlice(reflect.MakeSlice(v.Type(), 0, v.Len()), v).Interface()
}

var defaults sync.Map // of built-in classes, by name

func defaultsOf(builtin string) []columnDefault {
	if list, ok := defaults.Load(builtin); ok {
		return list.([]columnDefault)
	}
	b, ok := builtinsByName[builtin]
	if !ok {
		return nil
	}
	base, _ := openView(b.zero)
	list := make([]columnDefault, len(base.fields()))
	for i, f := range base.fields() {
		value := fresh(f.Type, base.at(i))
		v := reflect.ValueOf(value)
		list[i] = columnDefault{f, value, v.Kind() == reflect.Slice && v.Len() > 0}
	}
	defaults.Store(builtin, list)
	return list
}

// fresh is canonical, with an empty list for a nil one.
func fresh(t FieldType, v reflect.Value) any {
	if v.Kind() == reflect.Slice && v.Len() == 0 && !t.Nullable() {
		return zeroValue(t)
	}
	return canonical(t, v)
}

// zeroValue returns the empty value of a column type: lists are empty, not nil.
func zeroValue(t FieldType) any {
	g := t.GoType()
	switch {
	case g == nil || t.Nullable():
		return nil
	case g.Kind() == reflect.Slice:
		return reflect.MakeSlice(g, 0, 0).Interface()
	}
	return reflect.Zero(g).Interface()
}

// NewDynamicValues returns a row with the given values, one per column, whose Go types are those of [FieldType.GoType].
// It keeps the slice. It is meant for decoders; a value of another type is an error, the rules of the class are not
// applied. Error: [Error].
func NewDynamicValues(class *Class, values []any) (*Dynamic, error) {
	if err := class.check(); err != nil {
		return nil, err
	}
	if len(values) != len(class.Fields) {
		return nil, &Error{Type: class.Name, Value: len(values), Rule: "want a value for every column"}
	}
	for i, f := range class.Fields {
		if values[i] == nil && f.Type.Nullable() {
			continue
		}
		if t := reflect.TypeOf(values[i]); t == nil || t != f.Type.GoType() {
			return nil, &Error{Type: class.Name, Field: f.Name, Rule: "want a Go value for " + f.Type.String()}
		}
	}
	return &Dynamic{class: class, values: values}, nil
}

func (d Dynamic) group() Group {
	if d.class == nil {
		return ""
	}
	return d.class.Group()
}

func (d *Dynamic) dynamicClass() (*Class, error) {
	if d.class == nil || len(d.values) != len(d.class.Fields) {
		return nil, &Error{Type: "schema.Dynamic", Rule: "want a row made by NewDynamic"}
	}
	return d.class, nil
}

// Class returns the row's class. Do not change it.
func (d Dynamic) Class() *Class { return d.class }

// Values returns the row's values in the order of its class's columns. The slice is a copy, the lists in it are not.
func (d Dynamic) Values() []any { return slices.Clone(d.values) }

// Get returns the value of a column, or false if the class has no such column.
func (d Dynamic) Get(column string) (any, bool) {
	if d.class == nil {
		return nil, false
	}
	i := fieldIndex(d.class.Fields, column)
	if i < 0 {
		return nil, false
	}
	return d.values[i], true
}

// Set sets a column from a value, converting as JSON rows are: whole numbers to fractions, texts that are numbers,
// ISO 8601 times. The rules of the class are not applied, see [Normalize]. Error: [Error].
func (d *Dynamic) Set(column string, value any) error {
	class, err := d.dynamicClass()
	if err != nil {
		return err
	}
	i := fieldIndex(class.Fields, column)
	if i < 0 {
		return &Error{Type: class.Name, Field: column, Rule: "is no column"}
	}
	f := class.Fields[i]
	c, err := coerceColumn(class.Group(), f, value, constructorForm)
	if err == nil {
		err = checkValue(f.Type, reflect.ValueOf(c))
	}
	if err != nil {
		return inType(class.Name, inField(column, err))
	}
	d.values[i] = c
	return nil
}

// Clone returns a copy of the row. Lists are shared.
func (d Dynamic) Clone() *Dynamic {
	return &Dynamic{class: d.class, values: slices.Clone(d.values)}
}
