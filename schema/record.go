package schema

import (
	"reflect"
	"time"
)

// record is one row seen as columns, whichever Go type holds it.
type record struct {
	plan *Plan         // nil for a dynamic row
	v    reflect.Value // the addressable struct, if there is a plan
	dyn  *Dynamic
}

// open returns the columns of a row that may be changed: row is a pointer to a struct or to a Dynamic.
func open(row any) (record, error) {
	if d, ok := row.(*Dynamic); ok {
		if d == nil {
			return record{}, errNilRow
		}
		if _, err := d.dynamicClass(); err != nil {
			return record{}, err
		}
		return record{dyn: d}, nil
	}
	v := reflect.ValueOf(row)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		if !v.IsValid() || v.Kind() == reflect.Pointer {
			return record{}, errNilRow
		}
		return record{}, &Error{Type: typeName(v.Type()), Rule: "want a pointer to the row"}
	}
	p, err := rowPlan(v.Type())
	if err != nil {
		return record{}, err
	}
	return record{plan: p, v: v.Elem()}, nil
}

// rowPlan returns the plan of a row's type. An aggregate counts as the row of the table "item" that is in it.
func rowPlan(t reflect.Type) (*Plan, error) {
	p, err := PlanOf(t)
	if err == nil {
		return p, nil
	}
	if t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil {
		return nil, err
	}
	if g, groupErr := groupOf(t); g != GroupItem || groupErr != nil {
		return nil, err
	}
	a, err := AggregateOf(t)
	if err != nil {
		return nil, err
	}
	return a.Item, nil
}

// openCopy returns the columns of a row for reading, and for writing to a shallow copy of it. row is a struct, a Dynamic
// or a pointer to one.
func openCopy(row any) (record, error) {
	switch d := row.(type) {
	case Dynamic:
		return open(d.Clone())
	case *Dynamic:
		if d == nil {
			return record{}, errNilRow
		}
		return open(d.Clone())
	}
	v := reflect.ValueOf(row)
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if !v.IsValid() || v.Kind() == reflect.Pointer {
		return record{}, errNilRow
	}
	p, err := rowPlan(v.Type())
	if err != nil {
		return record{}, err
	}
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	return record{plan: p, v: c}, nil
}

// openView returns the columns of a row for reading only.
func openView(row any) (record, error) {
	switch d := row.(type) {
	case Dynamic:
		return open(&d)
	case *Dynamic:
		return open(d)
	}
	if v := reflect.ValueOf(row); v.Kind() == reflect.Pointer {
		return open(row)
	}
	return openCopy(row)
}

func (r record) fields() []Field {
	if r.dyn != nil {
		return r.dyn.class.Fields
	}
	return r.plan.fields
}

func (r record) field(i int) Field { return r.fields()[i] }

func (r record) index(name string) int { return fieldIndex(r.fields(), name) }

func (r record) group() Group {
	if r.dyn != nil {
		return r.dyn.class.Group()
	}
	return r.plan.Group
}

func (r record) base() string {
	if r.dyn != nil {
		return r.dyn.class.Base
	}
	return r.plan.Base
}

// name is the class in errors: the plain type name, which is also the class's unless it is registered under another.
func (r record) name() string {
	if r.dyn != nil {
		return r.dyn.class.Name
	}
	if n := r.plan.Type.Name(); n != "" {
		return n
	}
	if n, ok := registeredName(r.plan.Type); ok {
		return n
	}
	return typeName(r.plan.Type)
}

// at returns the value of column i. It is invalid for a null of a dynamic row.
func (r record) at(i int) reflect.Value {
	if r.dyn != nil {
		return reflect.ValueOf(r.dyn.values[i])
	}
	return r.v.FieldByIndex(r.plan.Columns[i].Index)
}

// set sets column i to a value of its column type's Go type.
func (r record) set(i int, value any) error {
	if r.dyn != nil {
		r.dyn.values[i] = value
		return nil
	}
	dst := r.v.FieldByIndex(r.plan.Columns[i].Index)
	if dst.Kind() == reflect.Array {
		if n := reflect.ValueOf(value); !n.IsValid() || n.Len() != dst.Len() {
			return broken("", nil, "want %d values", dst.Len())
		}
	}
	if n, ok := value.(int64); ok && dst.Kind() == reflect.Int && dst.OverflowInt(n) {
		return broken("", n, "want a number that fits the field's int")
	}
	assign(dst, value)
	return nil
}

// reset gives every column its default.
func (r record) reset() {
	if r.dyn != nil {
		r.dyn.values = newDynamic(r.dyn.class).values
		return
	}
	for _, c := range r.plan.Columns {
		r.v.FieldByIndex(c.Index).SetZero()
	}
	base := builtinsByName[r.plan.Base]
	r.v.FieldByIndex(r.plan.baseIndex).Set(reflect.ValueOf(base.zero))
}

// id, created and updated are the head's values. Columns of those names have these types in every class, and the first
// three places in every Go type.
func (r record) id() string {
	if r.plan != nil {
		return r.at(0).String()
	}
	return r.at(r.index("id")).String()
}

func (r record) created() time.Time {
	if r.plan != nil {
		return *r.at(1).Addr().Interface().(*time.Time)
	}
	return r.at(r.index("created_at")).Interface().(time.Time)
}

func (r record) updated() time.Time {
	if r.plan != nil {
		return *r.at(2).Addr().Interface().(*time.Time)
	}
	return r.at(r.index("updated_at")).Interface().(time.Time)
}

// ID returns the id of a row: a struct, a [Dynamic], or a pointer to one. Error: [Error], if it is no row.
func ID(row any) (string, error) {
	r, err := openView(row)
	if err != nil {
		return "", err
	}
	return r.id(), nil
}

// SetID sets the id of a row, given by a pointer.
func SetID(row any, id string) error {
	r, err := open(row)
	if err != nil {
		return err
	}
	return r.set(r.index("id"), id)
}

// Times returns when a row was created and updated.
func Times(row any) (created, updated time.Time, err error) {
	r, err := openView(row)
	if err != nil {
		return time.Time{}, time.Time{}, err
	}
	return r.created(), r.updated(), nil
}

// SetTimes sets when a row, given by a pointer, was created and updated.
func SetTimes(row any, created, updated time.Time) error {
	r, err := open(row)
	if err != nil {
		return err
	}
	return r.setTimes(created, updated)
}

func (r record) setTimes(created, updated time.Time) error {
	if r.plan != nil {
		*r.at(1).Addr().Interface().(*time.Time) = created
		*r.at(2).Addr().Interface().(*time.Time) = updated
		return nil
	}
	if err := r.set(r.index("created_at"), created); err != nil {
		return err
	}
	return r.set(r.index("updated_at"), updated)
}

// GroupOf returns the group of a row's type, and its built-in base class.
func GroupOf(row any) (Group, string, error) {
	r, err := openView(row)
	if err != nil {
		return "", "", err
	}
	return r.group(), r.base(), nil
}

// Value returns the value of a column of a row, in the column type's Go type ([FieldType.GoType]). A null vector is nil;
// a list is never nil.
func Value(row any, column string) (any, error) {
	r, err := openView(row)
	if err != nil {
		return nil, err
	}
	i := r.index(column)
	if i < 0 {
		return nil, inType(r.name(), broken(column, nil, "is no column"))
	}
	return canonicalAt(r, i), nil
}

func canonicalAt(r record, i int) any {
	if r.dyn != nil {
		return r.dyn.values[i]
	}
	return fresh(r.field(i).Type, r.at(i))
}
