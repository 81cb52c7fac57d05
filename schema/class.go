package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Class is what a table holds: a named list of columns over a built-in class, whose rules its rows obey. It stands for
// a Go type in schema.json, and for types that have no Go type in this process.
//
// Classes are shared by the rows made of them: do not change one that is in use.
type Class struct {
	Name   string  // "DetectedObject"; "schema" in schema.json
	Base   string  // the nearest built-in class, "Entity"; "base_schema" in schema.json
	Fields []Field // all columns in stored order, those of the base included

	checked bool // validated when it was read
}

// check is Validate, once for classes that were read from a file: rows are made of them one by one.
func (c *Class) check() error {
	if c == nil {
		return &Error{Type: "schema.Class", Rule: "want a class, have nil"}
	}
	if c.checked {
		return nil
	}
	return c.Validate()
}

// Optional returns the class with none of its columns required, for rows that others wrote in part. Error: [Error].
func (c *Class) Optional() (*Class, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	o := &Class{Name: c.Name, Base: c.Base, Fields: slices.Clone(c.Fields), checked: true}
	for i := range o.Fields {
		o.Fields[i].Required = false
	}
	return o, nil
}

// ClassOf returns the class of a row's Go type. row is a struct, a pointer to one, a [Dynamic], or a reflect.Type. Of an
// aggregate it is the class of the items.
//
// The class name is the registered name or else the name of the Go type; a type that has neither, such as one from a
// notebook cell, is an error, see [RegisterName]. Items are always of the class "Item". Error: [Error].
func ClassOf(row any) (*Class, error) {
	switch row := row.(type) {
	case Dynamic:
		return row.dynamicClass()
	case *Dynamic:
		if row == nil {
			return nil, errNilRow
		}
		return row.dynamicClass()
	case reflect.Type:
		p, err := rowPlan(row)
		if err != nil {
			return nil, err
		}
		return p.Class()
	}
	p, err := rowPlan(reflect.TypeOf(row))
	if err != nil {
		return nil, err
	}
	return p.Class()
}

var errNilRow = &Error{Rule: "want a row, have nil"}

// Class returns the class of the plan's type, see [ClassOf].
func (p *Plan) Class() (*Class, error) {
	name, err := p.ClassName()
	if err != nil {
		return nil, err
	}
	c := *p.class
	c.Name = name
	return &c, nil
}

// ClassName returns the class name of the plan's type, see [ClassOf].
func (p *Plan) ClassName() (string, error) {
	if b, ok := builtinsByType[p.Type]; ok {
		return b.name, nil
	}
	if p.Group == GroupItem {
		return "Item", nil
	}
	if name, ok := registeredName(p.Type); ok {
		return name, nil
	}
	name := p.Type.Name()
	if name == "" {
		return "", &Error{Type: typeName(p.Type), Field: "schema",
			Rule: `want a class name for an unnamed struct type: schema.RegisterName("Name", value)`}
	}
	if err := checkClassName(name); err != nil { // instances of generic types have brackets in their names
		return "", inType(typeName(p.Type), err)
	}
	if _, ok := builtinsByName[name]; ok && name != p.Base {
		return "", &Error{Type: typeName(p.Type), Field: "schema", Value: name,
			Rule: "want a class name that no other built-in class has: schema.RegisterName gives one"}
	}
	return name, nil
}

// Group returns the group of the class.
func (c *Class) Group() Group {
	g, _ := GroupOfClass(c.Base)
	return g
}

// Field returns the column of that name and its place, or false.
func (c *Class) Field(name string) (Field, int, bool) {
	i := fieldIndex(c.Fields, name)
	if i < 0 {
		return Field{}, i, false
	}
	return c.Fields[i], i, true
}

// GoType returns the Go type whose rows have exactly the class's columns: the one registered under the class's name, or
// the built-in class of that name. Rows of a class that has none are [Dynamic].
func (c *Class) GoType() (reflect.Type, bool) {
	t, ok := Lookup(c.Name)
	if !ok {
		return nil, false
	}
	p, err := PlanOf(t)
	if err != nil || p.CheckWrite(c) != nil {
		return nil, false
	}
	return t, true
}

// WithDim returns the class with the vector of an embedding set to a length, for tables of a class that leaves it open.
func (c *Class) WithDim(dim int) (*Class, error) {
	i := fieldIndex(c.Fields, vectorColumn)
	if i < 0 || c.Fields[i].Type.Name != TypeFixedSizeList {
		return nil, inType(c.Name, broken(vectorColumn, nil, "dim is for embeddings"))
	}
	if have := c.Fields[i].Type.Dim; have != 0 && have != dim {
		return nil, inType(c.Name, broken(vectorColumn, nil, "dim=%d contradicts the vector's length %d", dim, have))
	}
	w := *c
	w.Fields = slices.Clone(c.Fields)
	w.Fields[i].Type.Dim = dim
	if err := w.Fields[i].Type.Validate(); err != nil {
		return nil, inType(c.Name, inField(vectorColumn, err))
	}
	return &w, nil
}

// Validate checks that a table can be made of the class: a name, a built-in base, valid column types of known length,
// names that Lance takes, each once, and the columns of the head and of its base. Error: [Error].
func (c *Class) Validate() error {
	if c.Name == "" {
		return &Error{Field: "schema", Rule: RuleRequired}
	}
	b, ok := builtinsByName[c.Base]
	if !ok {
		return &Error{Type: c.Name, Field: "base_schema", Value: c.Base, Rule: "want a built-in class of one of the six groups"}
	}
	seen := map[string]bool{}
	for _, f := range c.Fields {
		err := f.Type.Validate()
		switch {
		case f.Name == "" || strings.Contains(f.Name, "."):
			err = broken("", f.Name, "want a column name without dots, which Lance refuses")
		case seen[f.Name]:
			err = broken("", nil, "want each column once")
		case err == nil && f.Type.Name == TypeFixedSizeList && f.Type.Dim == 0:
			err = broken("dim", nil, "want the length of the vector, for example `pixano:\",dim=512\"` on the field")
		}
		if err != nil {
			return inType(c.Name, inField(f.Name, err))
		}
		seen[f.Name] = true
	}
	p, err := PlanOf(b.typ)
	if err != nil {
		return err
	}
	for _, f := range p.fields {
		if !seen[f.Name] {
			return &Error{Type: c.Name, Field: f.Name, Rule: "want the column of the base class " + c.Base}
		}
	}
	for _, want := range headFields {
		if have, _, _ := c.Field(want.Name); have.Type != want.Type {
			return &Error{Type: c.Name, Field: want.Name, Value: have.Type.String(), Rule: "want type " + want.Type.String()}
		}
	}
	return nil
}

// headFields are the columns that every table has.
var headFields = [...]Field{
	{Name: "id", Type: FieldType{Name: TypeStr}},
	{Name: "created_at", Type: FieldType{Name: TypeDatetime}},
	{Name: "updated_at", Type: FieldType{Name: TypeDatetime}},
}

func isHead(name string) bool {
	return name == "id" || name == "created_at" || name == "updated_at"
}

// CheckRead reports whether rows of the plan's type can be read from a table of class c: the same group, and every
// column of the type is a column of the table, of the same type. The table may have more. Error: [Error], naming the
// column.
func (p *Plan) CheckRead(c *Class) error {
	if c.Group() != p.Group {
		return &Error{Type: typeName(p.Type), Rule: fmt.Sprintf("is a record of %s, the table %s is of %s", p.Group, c.Name, c.Group())}
	}
	for _, f := range p.fields {
		have, _, ok := c.Field(f.Name)
		if !ok {
			return &Error{Type: typeName(p.Type), Field: f.Name, Rule: "is no column of " + c.Name}
		}
		want := f.Type
		if want.Dim == 0 {
			want.Dim = have.Type.Dim
		}
		if have.Type != want {
			return &Error{Type: typeName(p.Type), Field: f.Name, Rule: fmt.Sprintf("is %s, the column of %s is %s", f.Type, c.Name, have.Type)}
		}
	}
	return nil
}

// CheckWrite reports whether rows of the plan's type can be added to a table of class c: [Plan.CheckRead] holds, the
// table has no further columns, and of the two base classes one descends from the other. Error: [Error].
func (p *Plan) CheckWrite(c *Class) error {
	if err := p.CheckRead(c); err != nil {
		return err
	}
	if !IsA(p.Base, c.Base) && !IsA(c.Base, p.Base) {
		return &Error{Type: typeName(p.Type), Rule: fmt.Sprintf("is a %s, the rows of %s are %s", p.Base, c.Name, c.Base)}
	}
	for _, f := range c.Fields {
		if p.index(f.Name) < 0 {
			return &Error{Type: typeName(p.Type), Field: f.Name, Rule: "is a column of " + c.Name + " that the type has not"}
		}
	}
	return nil
}

// MarshalJSON writes the form of schema.json: {"schema": …, "base_schema": …, "fields": {…}}, columns in order.
func (c Class) MarshalJSON() ([]byte, error) {
	return c.object().appendJSON(nil), nil
}

// UnmarshalJSON reads the form of schema.json, see [ParseDatasetSchema].
func (c *Class) UnmarshalJSON(data []byte) error {
	v, err := parseJSON(data)
	if err != nil {
		return err
	}
	parsed, err := classFromJSON(v)
	if err != nil {
		return err
	}
	*c = *parsed
	return nil
}

// object returns the class as a value of schema.json.
func (c *Class) object() *object {
	fields := newObject()
	for _, f := range c.Fields {
		entry := newObject()
		entry.set("type", f.Type.Name)
		entry.set("collection", f.Type.Collection)
		if f.Type.Name == TypeFixedSizeList {
			entry.set("dim", json.Number(fmt.Sprint(f.Type.Dim)))
			entry.set("value_type", f.Type.ValueType)
		}
		fields.set(f.Name, entry)
	}
	o := newObject()
	o.set("schema", c.Name)
	o.set("base_schema", c.Base)
	o.set("fields", fields)
	return o
}

// classFromJSON reads one entry of "schemas". A column of the base that is not listed is inherited, at its place.
func classFromJSON(v any) (*Class, error) {
	obj, ok := v.(*object)
	if !ok {
		return nil, broken("", show(v), "want an object with schema, base_schema and fields")
	}
	c := &Class{}
	for _, key := range []struct {
		name string
		to   *string
	}{{"schema", &c.Name}, {"base_schema", &c.Base}} {
		text, ok := obj.get(key.name)
		if !ok {
			return nil, broken(key.name, nil, RuleRequired)
		}
		if *key.to, ok = text.(string); !ok {
			return nil, broken(key.name, show(text), "want a class name")
		}
	}
	list, ok := obj.get("fields")
	if !ok {
		return nil, broken("fields", nil, RuleRequired)
	}
	fields, ok := list.(*object)
	if !ok {
		return nil, broken("fields", show(list), "want an object of columns")
	}
	for _, name := range fields.keys {
		entry, _ := fields.get(name)
		ft, err := fieldTypeFromJSON(entry)
		if err != nil {
			return nil, inField("fields", inField(name, err))
		}
		c.Fields = append(c.Fields, Field{Name: name, Type: ft, Required: !isHead(name)})
	}
	if err := c.inherit(); err != nil {
		return nil, err
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c.checked = true
	return c, nil
}

// inherit adds the columns of the base that the class does not list. Then the order is that of the base, and the others
// follow, as when the reference implementation builds a class.
func (c *Class) inherit() error {
	b, ok := builtinsByName[c.Base]
	if !ok {
		return nil // Validate says so
	}
	p, err := PlanOf(b.typ)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(p.fields, func(f Field) bool { return fieldIndex(c.Fields, f.Name) < 0 }) {
		return nil
	}
	var fields []Field
	for _, f := range p.fields {
		if i := fieldIndex(c.Fields, f.Name); i >= 0 {
			f = c.Fields[i]
		}
		fields = append(fields, f)
	}
	for _, f := range c.Fields {
		if p.index(f.Name) < 0 {
			fields = append(fields, f)
		}
	}
	c.Fields = fields
	return nil
}

// equal reports whether two classes are written the same.
func (c *Class) equal(d *Class) bool {
	return bytes.Equal(c.object().appendJSON(nil), d.object().appendJSON(nil))
}
