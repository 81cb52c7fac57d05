package schema

import (
	"errors"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"
	"unsafe"

	"pixano/features"
)

// Validator is implemented by row types that have rules of their own. [Validate] and [Normalize] call it after the
// rules of the built-in class.
type Validator interface {
	Validate() error
}

// ruler is implemented by pointers to built-in classes: rules brings the row into its stored form and returns the first
// rule that it breaks.
type ruler interface{ rules() error }

// warner is implemented by pointers to built-in classes that accept what is doubtful.
type warner interface{ warnings() []*Error }

// Normalize brings a row into the form in which it is stored, and validates it. row is a pointer to a struct or a
// *[Dynamic].
//
// Times become floating times ([Naive]); a zero CreatedAt becomes [Now], a zero UpdatedAt becomes CreatedAt. The empty
// shape of an embedding becomes its vector's length, an empty metadata text "{}", and messages change as [Message]
// says. On an error the row may be partly changed. Error: [Error] with the class, column, value and rule; or what the
// type's own Validate method returns.
func Normalize(row any) error { return normalizeAt(row, Now) }

// NormalizeAt is [Normalize] with now in the place of [Now], for many rows that are made at one time.
func NormalizeAt(row any, now time.Time) error {
	now = Naive(now)
	return normalizeAt(row, func() time.Time { return now })
}

func normalizeAt(row any, now func() time.Time) error {
	r, err := open(row)
	if err != nil {
		return err
	}
	return r.normalize(now)
}

// Validate reports the first rule that a row breaks, without changing it: what [Normalize] would return. row is a
// struct, a [Dynamic], or a pointer to one. Whether referenced rows exist is a question for the dataset.
func Validate(row any) error {
	r, err := openCopy(row)
	if err != nil {
		return err
	}
	return r.normalize(func() time.Time { return time.Unix(0, 0).UTC() })
}

// Warnings lists what is accepted in a row and most likely wrong: a mask whose size is no height and width, an answer
// that does not name its choices, a box whose corners are swapped, a reference with an id and no table. row is as in
// [Validate].
func Warnings(row any) ([]*Error, error) {
	r, err := openView(row)
	if err != nil {
		return nil, err
	}
	var list []*Error
	for i, f := range r.fields() {
		if _, ok := f.Type.RefGroup(); !ok {
			continue
		}
		refs := []reflect.Value{r.at(i)}
		if f.Type.Collection {
			refs = refs[:0]
			for j := range r.at(i).Len() {
				refs = append(refs, r.at(i).Index(j))
			}
		}
		for _, ref := range refs {
			if name, id := ref.Field(0).String(), ref.Field(1).String(); name == "" && id != "" {
				list = append(list, doubtful(f.Name, id, "a reference with an id names its table"))
			}
		}
	}
	base, err := r.baseRow()
	if err != nil {
		return nil, err
	}
	if w, ok := base.(warner); ok {
		list = append(list, w.warnings()...)
	}
	for _, e := range list {
		e.Type = r.name()
	}
	return list, nil
}

// doubtful is a warning.
func doubtful(field string, value any, rule string) *Error {
	return &Error{Field: field, Value: value, Rule: rule}
}

// normalize applies the defaults and rules of columns, of the class and of the type itself, in this order.
func (r record) normalize(now func() time.Time) error {
	if err := r.checkAll(now); err != nil {
		return inType(r.name(), err)
	}
	if r.plan != nil && r.plan.validator {
		return r.v.Addr().Interface().(Validator).Validate()
	}
	return nil
}

func (r record) checkAll(now func() time.Time) error {
	if r.plan != nil {
		return r.checkGo(now)
	}
	for i, f := range r.fields() {
		if err := r.checkColumn(i); err != nil {
			return inField(f.Name, err)
		}
	}
	if err := r.checkHead(now); err != nil {
		return err
	}
	if r.group() == GroupEmbeddings {
		if err := checkEmbedding(r, true); err != nil {
			return err
		}
	}
	return r.baseRules()
}

// checkGo is checkAll for a Go row. Every row that is added goes through here, so it does without reflection where the
// plan allows it.
func (r record) checkGo(now func() time.Time) error {
	row := r.v.Addr().UnsafePointer()
	for i := range r.plan.checks {
		c := &r.plan.checks[i]
		var err error
		if c.check != nil {
			err = c.check(unsafe.Add(row, c.offset))
		} else {
			err = r.checkColumn(c.column)
		}
		if err != nil {
			return inField(r.plan.fields[c.column].Name, err)
		}
	}
	created := (*time.Time)(unsafe.Add(row, r.plan.head[1]))
	updated := (*time.Time)(unsafe.Add(row, r.plan.head[2]))
	if err := checkHead(*(*string)(unsafe.Add(row, r.plan.head[0])), created, updated, now); err != nil {
		return err
	}
	if r.plan.Group == GroupEmbeddings {
		if err := checkEmbedding(r, true); err != nil {
			return err
		}
	}
	return r.plan.rules(unsafe.Add(row, r.plan.baseOffset))
}

// checkColumn applies the rules of one column, and makes its times floating times.
func (r record) checkColumn(i int) error {
	t := r.field(i).Type
	if t.Name == TypeDatetime {
		if err := r.naive(i); err != nil {
			return err
		}
	}
	return checkValue(t, r.at(i))
}

// columnCheck is the check of a column of a Go type.
type columnCheck struct {
	column int
	offset uintptr                    // of the value in the row
	check  func(unsafe.Pointer) error // as checkColumn, of the value at a place; nil: there is none for its type
}

// lay sets what of the plan is known from the type's memory layout.
func (p *Plan) lay() {
	offset := func(index []int) uintptr {
		var n uintptr
		t := p.Type
		for _, i := range index {
			f := t.Field(i)
			n += f.Offset
			t = f.Type
		}
		return n
	}
	for i, c := range p.Columns {
		check := columnCheck{column: i, offset: offset(c.Index)}
		if i < len(p.head) {
			p.head[i] = check.offset
		}
		if c.Type.Name != TypeFixedSizeList {
			if anyValue[c.GoType] {
				continue
			}
			check.check = goChecks[c.GoType]
		}
		p.checks = append(p.checks, check)
	}
	p.baseOffset = offset(p.baseIndex)
	p.rules = builtinsByName[p.Base].rules
}

// anyValue has the types of columns that take every value.
var anyValue = map[reflect.Type]bool{
	reflect.TypeFor[int](): true, reflect.TypeFor[int64](): true, reflect.TypeFor[float64](): true, reflect.TypeFor[bool](): true,
	reflect.TypeFor[[]byte](): true, reflect.TypeFor[[]int64](): true, reflect.TypeFor[[]float64](): true,
}

// goChecks has the checks of the types of most other columns.
var goChecks = map[reflect.Type]func(unsafe.Pointer) error{
	reflect.TypeFor[string](): func(p unsafe.Pointer) error {
		if s := *(*string)(p); !utf8.ValidString(s) {
			return broken("", s, "want valid UTF-8")
		}
		return nil
	},
	timeType: func(p unsafe.Pointer) error {
		t := (*time.Time)(p)
		*t = Naive(*t)
		return checkTime(*t)
	},
	reflect.TypeFor[features.ItemRef]():   checkFeature[features.ItemRef],
	reflect.TypeFor[features.SourceRef](): checkFeature[features.SourceRef],
	reflect.TypeFor[features.ViewRef]():   checkFeature[features.ViewRef],
	reflect.TypeFor[features.EntityRef](): checkFeature[features.EntityRef],
}

func checkFeature[T Validator](p unsafe.Pointer) error {
	value := *(*T)(p)
	if err := value.Validate(); err != nil {
		return featureError(value, err)
	}
	return nil
}

// naive makes the times of column i floating times.
func (r record) naive(i int) error {
	v := r.at(i)
	if !r.field(i).Type.Collection {
		t, ok := v.Interface().(time.Time)
		if !ok || t.Location() == time.UTC && t == Naive(t) {
			return nil
		}
		return r.set(i, Naive(t))
	}
	times, ok := canonicalAt(r, i).([]time.Time)
	if !ok {
		return nil
	}
	clean := make([]time.Time, len(times))
	for j, t := range times {
		clean[j] = Naive(t)
	}
	return r.set(i, clean)
}

// checkHead holds the rules of id, created_at and updated_at. Zero times are filled in, unless now is nil: then they
// are meant.
func (r record) checkHead(now func() time.Time) error {
	created, updated := r.created(), r.updated()
	if err := checkHead(r.id(), &created, &updated, now); err != nil {
		return err
	}
	return r.setTimes(created, updated)
}

func checkHead(id string, created, updated *time.Time, now func() time.Time) error {
	if strings.Contains(id, " ") {
		return broken("id", id, "want an id without spaces")
	}
	unset := now != nil && (created.IsZero() || updated.IsZero())
	first, last := *created, *updated
	if unset && first.IsZero() {
		if !last.IsZero() {
			return broken("updated_at", last, "want a created_at with it")
		}
		first = now()
	}
	if unset && last.IsZero() {
		last = first
	}
	if last.Before(first) {
		return broken("updated_at", last, "want a time not before created_at, %s", FormatTime(first))
	}
	if unset {
		*created, *updated = first, last
	}
	return nil
}

// checkValue holds the rules that come with a column's type.
func checkValue(t FieldType, v reflect.Value) error {
	if !v.IsValid() {
		if t.Nullable() {
			return nil
		}
		return broken("", nil, "want %s, have nil", t)
	}
	switch {
	case t.Name == TypeFixedSizeList:
		if !isNull(v) && t.Dim != 0 && v.Len() != t.Dim {
			return broken("", nil, "want %d values, have %d", t.Dim, v.Len())
		}
		return nil
	case t.Collection:
		if t.Name == TypeInt || t.Name == TypeFloat || t.Name == TypeBool || t.Name == TypeBytes {
			return nil // any value will do
		}
		item := FieldType{Name: t.Name}
		for i := range v.Len() {
			if err := checkValue(item, v.Index(i)); err != nil {
				return inField(subscript(i), err)
			}
		}
		return nil
	}
	switch t.Name {
	case TypeInt, TypeFloat, TypeBool, TypeBytes:
		return nil
	case TypeStr:
		if s := v.String(); !utf8.ValidString(s) {
			return broken("", s, "want valid UTF-8")
		}
		return nil
	case TypeDatetime:
		return checkTime(v.Interface().(time.Time))
	}
	for _, part := range t.Fields() {
		if err := checkValue(part.Type, v.FieldByIndex(part.Index)); err != nil {
			return inField(part.Name, err)
		}
	}
	if check, ok := v.Interface().(Validator); ok {
		return featureError(check, check.Validate())
	}
	return nil
}

// baseRow returns a pointer to the row as its built-in class: into the row itself, or a copy of a dynamic one. It is
// nil for a dynamic row whose class declares a column of its base with another type: then the rules do not fit it.
func (r record) baseRow() (any, error) {
	if r.dyn == nil {
		return r.v.FieldByIndex(r.plan.baseIndex).Addr().Interface(), nil
	}
	b := builtinsByName[r.dyn.class.Base]
	base, err := open(reflect.New(b.typ).Interface())
	if err != nil {
		return nil, err
	}
	for i, f := range base.fields() {
		if f.Type.Name == TypeFixedSizeList {
			continue // see checkEmbedding
		}
		j := r.index(f.Name)
		if j < 0 || r.field(j).Type != f.Type {
			return nil, nil
		}
		if err := base.set(i, r.dyn.values[j]); err != nil {
			return nil, inField(f.Name, err)
		}
	}
	return base.v.Addr().Interface(), nil
}

// baseRules applies the rules of the built-in class to a dynamic row.
func (r record) baseRules() error {
	row, err := r.baseRow()
	if err != nil || row == nil {
		return err
	}
	if err := row.(ruler).rules(); err != nil {
		return err
	}
	base, err := open(row)
	if err != nil {
		return err
	}
	for i, f := range base.fields() {
		if f.Type.Name != TypeFixedSizeList {
			r.dyn.values[r.index(f.Name)] = fresh(f.Type, base.at(i))
		}
	}
	return nil
}

// featureError gives the error of a value of package features the form of this package's.
func featureError(value any, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*features.Error](err); ok {
		return &Error{Field: e.Field, Value: e.Value, Rule: e.Rule}
	}
	return &Error{Value: value, Rule: err.Error()}
}
