package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"pixano/schema"
)

// constraintsFile holds the constraints by group and table.
const constraintsFile = "features_values.json"

// constrainedGroups are the groups in it. Vectors and sources have no constraints.
var constrainedGroups = []schema.Group{schema.GroupItem, schema.GroupViews, schema.GroupEntities, schema.GroupAnnotations}

// Constraint says which values a column of a table is meant to hold, kept in features_values.json.
type Constraint struct {
	// Name is the column.
	Name string

	// Restricted: other values are wrong. Otherwise Values are suggestions.
	Restricted bool

	// Values are the values, or for a column of lists those of their elements: all int64, all float64 or int64, all
	// string, or all bool, as the column's type is. 1 and 1.0 stay as they are. An integer beyond int64 that a file has
	// is a json.Number.
	Values []any
}

// constraints are the constraints of the tables.
type constraints map[string][]Constraint

// Constraints returns the constraints of a table, in the order of features_values.json. They belong to the caller. A
// table without any, and an unknown one, has none.
func (d *Dataset) Constraints(table string) []Constraint {
	list := slices.Clone(d.meta.Load().constraints[table])
	for i := range list {
		list[i].Values = slices.Clone(list[i].Values)
	}
	return list
}

// SetConstraint stores a constraint of a table, in the place of the one of the same column if there is one. Values of any
// Go integer, float, string and bool type do.
//
// An unknown table is ErrNotFound; an unknown column, one of another type than str, int, float, bool or a list of them,
// values that are not of the column's type, and a table of embeddings or sources are ErrSchema. Rows that are stored
// already are not looked at.
func (d *Dataset) SetConstraint(ctx context.Context, table string, c Constraint) error {
	const op = "set constraint of"
	if _, err := d.class(op, table); err != nil {
		return err
	}
	return d.exclusively(ctx, op, table, func(m *meta) error {
		group, raw, err := m.encodeConstraint(table, c)
		if err != nil {
			return &Error{Field: c.Name, Err: err}
		}
		return d.changeConstraints(m, func(groups map[string]*jsonObject) error {
			return putConstraint(groups, string(group), table, c.Name, raw)
		})
	})
}

// RemoveConstraint removes the constraint of a column. One that is not there is ErrNotFound.
func (d *Dataset) RemoveConstraint(ctx context.Context, table, name string) error {
	return d.exclusively(ctx, "remove constraint of", table, func(m *meta) error {
		return d.changeConstraints(m, func(groups map[string]*jsonObject) error {
			if err := cutConstraints(groups, table, name); err != nil {
				return &Error{Field: name, Err: err}
			}
			return nil
		})
	})
}

// encodeConstraint checks a constraint and returns the group that it is stored under and the JSON.
func (m *meta) encodeConstraint(table string, c Constraint) (schema.Group, *jsonObject, error) {
	class, ok := m.schema.Class(table)
	if !ok {
		return "", nil, m.noTable()
	}
	if !slices.Contains(constrainedGroups, class.Group()) {
		return "", nil, schemaError("tables of the group %s have no constraints", class.Group())
	}
	field, _, ok := class.Field(c.Name)
	if !ok {
		return "", nil, schemaError("no such column: want one of %s", strings.Join(classColumns(class), ", "))
	}
	switch field.Type.Name {
	case schema.TypeStr, schema.TypeInt, schema.TypeFloat, schema.TypeBool:
	default:
		return "", nil, schemaError("the column is %s: want one of str, int, float, bool, or a list of them", field.Type)
	}
	values := make([]json.RawMessage, len(c.Values))
	for i, v := range c.Values {
		scalar, err := toScalar(field.Type, v)
		if err == nil {
			values[i], err = scalarJSON(scalar)
		}
		if err != nil {
			return "", nil, fmt.Errorf("value %d: %w", i, err)
		}
	}
	o := &jsonObject{values: map[string]json.RawMessage{}}
	o.set("name", marshalJSON(c.Name))
	o.set("restricted", marshalJSON(c.Restricted))
	o.set("values", rawList(values))
	return class.Group(), o, nil
}

func classColumns(class *schema.Class) []string {
	names := make([]string, len(class.Fields))
	for i, f := range class.Fields {
		names[i] = f.Name
	}
	return names
}

// toScalar converts a value to that of a column: int64, float64, string or bool. Float columns take integers as well.
func toScalar(t schema.FieldType, v any) (any, error) {
	rv := reflect.ValueOf(v)
	switch t.Name {
	case schema.TypeInt, schema.TypeFloat:
		switch {
		case rv.CanInt():
			return rv.Int(), nil
		case rv.CanUint() && rv.Uint() <= 1<<63-1:
			return int64(rv.Uint()), nil
		case rv.CanFloat() && t.Name == schema.TypeFloat:
			return rv.Float(), nil
		}
	case schema.TypeStr:
		if rv.Kind() == reflect.String && rv.Type() != reflect.TypeFor[json.Number]() {
			return rv.String(), nil
		}
	case schema.TypeBool:
		if rv.Kind() == reflect.Bool {
			return rv.Bool(), nil
		}
	}
	return nil, schemaError("%#v is a %T: want one of type %s", v, v, t.Name)
}

// changeConstraints changes features_values.json and what m says of it, and stores m. The lock of the dataset is held.
func (d *Dataset) changeConstraints(m *meta, change func(groups map[string]*jsonObject) error) error {
	fail := func(err error) error { return &Error{Field: constraintsFile, Err: err} }
	root, groups, err := readConstraintsFile(d.path)
	if err != nil {
		return fail(err)
	}
	if err := change(groups); err != nil {
		return err
	}
	for _, group := range constrainedGroups {
		root.set(string(group), groups[string(group)].raw())
	}
	if m.constraints, err = decodeConstraints(groups); err != nil {
		return fail(err)
	}
	if err := writeFile(filepath.Join(d.path, constraintsFile), fileJSON(root.raw())); err != nil {
		return fail(fileError(err))
	}
	d.meta.Store(m)
	return nil
}

// putConstraint puts a constraint of a column into its group. Keys of the old one that this version does not know stay.
func putConstraint(groups map[string]*jsonObject, group, table, column string, c *jsonObject) error {
	for name, o := range groups {
		if name != group && o.values[table] != nil {
			if err := cutFrom(o, table, column); err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
		}
	}
	o := groups[group]
	var list []json.RawMessage
	if raw, ok := o.values[table]; ok {
		var err error
		if list, err = parseList(table, raw); err != nil {
			return err
		}
	}
	place := -1
	for i := len(list) - 1; i >= 0; i-- {
		old, err := parseConstraintObject(table, i, list[i])
		if err != nil {
			return err
		}
		if !concerns(old, column) {
			continue
		}
		if place >= 0 { // a file may name the column twice
			list = slices.Delete(list, place, place+1)
		}
		place = i
		for _, key := range c.keys {
			old.set(key, c.values[key])
		}
		list[i] = old.raw()
	}
	if place < 0 {
		list = append(list, c.raw())
	}
	o.set(table, rawList(list))
	return nil
}

// cutConstraints removes the constraint of a column, or those of a whole table for "".
func cutConstraints(groups map[string]*jsonObject, table, column string) error {
	found := false
	for _, o := range groups {
		if column == "" {
			o.remove(table)
			continue
		}
		switch err := cutFrom(o, table, column); {
		case err == nil:
			found = true
		case !errors.Is(err, ErrNotFound):
			return err
		}
	}
	if column != "" && !found {
		return &kindError{ErrNotFound, "the column has no constraint", nil}
	}
	return nil
}

func cutFrom(o *jsonObject, table, column string) error {
	raw, ok := o.values[table]
	if !ok {
		return ErrNotFound
	}
	list, err := parseList(table, raw)
	if err != nil {
		return err
	}
	n := len(list)
	list = slices.DeleteFunc(list, func(raw json.RawMessage) bool {
		c, err := parseObject("", raw)
		return err == nil && concerns(c, column)
	})
	switch {
	case len(list) == n:
		return ErrNotFound
	case len(list) == 0:
		o.remove(table)
	default:
		o.set(table, rawList(list))
	}
	return nil
}

// concerns reports whether a constraint is one of a column.
func concerns(c *jsonObject, column string) bool {
	name, err := c.text("name")
	return err == nil && name == column
}

func emptyConstraints() *jsonObject {
	o := &jsonObject{values: map[string]json.RawMessage{}}
	for _, group := range constrainedGroups {
		o.set(string(group), json.RawMessage("{}"))
	}
	return o
}

// readConstraintsFile reads features_values.json as it is, with its groups taken out. A file or a group that is missing
// is empty.
func readConstraintsFile(path string) (root *jsonObject, groups map[string]*jsonObject, err error) {
	root = emptyConstraints()
	raw, err := os.ReadFile(filepath.Join(path, constraintsFile))
	switch {
	case err == nil:
		var whole json.RawMessage
		if err := decodeJSON(raw, &whole); err != nil {
			return nil, nil, err
		}
		if root, err = parseObject("the file", whole); err != nil {
			return nil, nil, err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, nil, fileError(err)
	}
	groups = map[string]*jsonObject{}
	for _, group := range constrainedGroups {
		o := &jsonObject{values: map[string]json.RawMessage{}}
		if raw, ok := root.values[string(group)]; ok {
			if o, err = parseObject(string(group), raw); err != nil {
				return nil, nil, err
			}
		}
		groups[string(group)] = o
	}
	return root, groups, nil
}

func readConstraints(path string) (constraints, error) {
	_, groups, err := readConstraintsFile(path)
	var c constraints
	if err == nil {
		c, err = decodeConstraints(groups)
	}
	if err != nil {
		return nil, &Error{Field: constraintsFile, Err: err}
	}
	return c, nil
}

// decodeConstraints gives the constraints by table. Names of tables and columns are not looked up: the file may be older
// than the schema.
func decodeConstraints(groups map[string]*jsonObject) (constraints, error) {
	all := constraints{}
	for _, group := range constrainedGroups {
		for _, table := range groups[string(group)].keys {
			list, err := parseList(table, groups[string(group)].values[table])
			if err != nil {
				return nil, err
			}
			for i, raw := range list {
				c, err := decodeConstraint(table, i, raw)
				if err != nil {
					return nil, err
				}
				all[table] = append(all[table], c)
			}
		}
	}
	return all, nil
}

func parseConstraintObject(table string, i int, raw json.RawMessage) (*jsonObject, error) {
	return parseObject(fmt.Sprintf("%s[%d]", table, i), raw)
}

func decodeConstraint(table string, i int, raw json.RawMessage) (c Constraint, err error) {
	o, err := parseConstraintObject(table, i, raw)
	if err != nil {
		return c, err
	}
	place := fmt.Sprintf("%s[%d].", table, i)
	if c.Name, err = o.text("name"); err != nil {
		return c, fmt.Errorf("%s%w", place, err)
	}
	if kind := jsonKind(o.values["restricted"]); kind != "a boolean" {
		return c, schemaError("%srestricted is %s: want a boolean", place, kind)
	}
	c.Restricted = string(o.values["restricted"]) == "true"
	values, err := parseList(place+"values", o.values["values"])
	if err != nil {
		return c, err
	}
	c.Values = make([]any, len(values))
	for j, raw := range values {
		if c.Values[j], err = parseScalar(raw); err != nil {
			return c, fmt.Errorf("%svalues[%d]: %w", place, j, err)
		}
	}
	return c, nil
}

// ValueError says that a row holds a value that a restricted [Constraint] does not allow. It matches [ErrSchema].
type ValueError struct {
	Table, ID, Field string
	Value            any   // of the column, or the first element of a list that is not allowed
	Allowed          []any // the constraint's values
}

// Error gives `category: "bird" is not allowed: want one of "cat", "dog"`.
func (e *ValueError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s is not allowed: want ", e.Field, showScalar(e.Value))
	const shown = 20
	for i, v := range e.Allowed {
		switch {
		case i == shown:
			fmt.Fprintf(&b, " … %d in all", len(e.Allowed))
			return b.String()
		case i > 0:
			b.WriteString(", ")
		case len(e.Allowed) > 1:
			b.WriteString("one of ")
		}
		b.WriteString(showScalar(v))
	}
	if len(e.Allowed) == 0 {
		b.WriteString("none: the constraint has no values")
	}
	return b.String()
}

// Is reports whether target is [ErrSchema].
func (e *ValueError) Is(target error) bool { return target == ErrSchema }

func showScalar(v any) string {
	if raw, err := scalarJSON(v); err == nil {
		return string(raw)
	}
	return fmt.Sprint(v)
}

// valueErrors returns which restricted constraints a row of a table breaks, at most one for each column.
func (m *meta) valueErrors(table string, row any) []*ValueError {
	var broken []*ValueError
	for _, c := range m.constraints[table] {
		if !c.Restricted {
			continue
		}
		value, err := schema.Value(row, c.Name)
		if err != nil {
			continue // the file may be older than the schema
		}
		for _, v := range scalars(value) {
			if !slices.ContainsFunc(c.Values, func(allowed any) bool { return equalScalars(v, allowed) }) {
				id, _ := schema.ID(row)
				broken = append(broken, &ValueError{Table: table, ID: id, Field: c.Name, Value: v, Allowed: slices.Clone(c.Values)})
				break
			}
		}
	}
	return broken
}

// scalars returns the value of a column, or of a list its elements.
func scalars(value any) []any {
	switch rv := reflect.ValueOf(value); {
	case rv.Kind() == reflect.Slice && rv.Type().Elem().Kind() != reflect.Uint8:
		list := make([]any, rv.Len())
		for i := range list {
			list[i] = rv.Index(i).Interface()
		}
		return list
	default:
		return []any{value}
	}
}

// equalScalars compares the value of a column with one of a constraint. Numbers are compared as numbers.
func equalScalars(value, allowed any) bool {
	switch v := value.(type) {
	case int64:
		if a, ok := allowed.(float64); ok {
			return equalNumbers(v, a)
		}
	case float64:
		if a, ok := allowed.(int64); ok {
			return equalNumbers(a, v)
		}
	}
	return value == allowed
}

// equalNumbers compares without rounding.
func equalNumbers(n int64, f float64) bool { return float64(n) == f && int64(f) == n }
