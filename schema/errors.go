package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// ErrSchema is what every error of this package matches with errors.Is: a Go type that cannot be a table, a schema
// file that breaks a rule, a value that its column or class refuses.
var ErrSchema = errors.New("schema error")

// RuleRequired is the Rule of the error for a column, or a key of a JSON form, that is not there.
const RuleRequired = "is required"

// Error says which rule of which class or type was broken, where, and by what value. It matches [ErrSchema].
type Error struct {
	Type  string // class ("BBox"), Go type ("main.DetectedObject") or file ("schema.json"); may be empty
	Field string // column ("coords"), place in it ("coords[2]"), Go field or JSON key; empty if the whole is meant
	Value any    // the value refused; nil if there is none to show
	Rule  string // what was wanted
}

// Error gives "BBox.coords: want 4 values, have [0 0 1]". Long values are cut.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Type)
	if e.Type != "" && e.Field != "" {
		b.WriteByte('.')
	}
	b.WriteString(e.Field)
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	b.WriteString(e.Rule)
	if e.Value != nil {
		b.WriteString(", have ")
		b.WriteString(showValue(e.Value))
	}
	return b.String()
}

// Is reports whether target is [ErrSchema].
func (e *Error) Is(target error) bool { return target == ErrSchema }

// broken is the error of a rule whose type the caller fills in with inType.
func broken(field string, value any, rule string, args ...any) error {
	if len(args) > 0 {
		rule = fmt.Sprintf(rule, args...)
	}
	return &Error{Field: field, Value: value, Rule: rule}
}

// inType names the type of an error that has none yet. Errors are copied, since plans keep theirs.
func inType(typ string, err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	c := *e
	if c.Type == "" {
		c.Type = typ
	}
	return &c
}

// inField puts name in front of the place an error names: inField("coords", {[2]}) is coords[2].
func inField(name string, err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return &Error{Field: name, Rule: err.Error()}
	}
	c := *e
	switch {
	case c.Field == "" || c.Field[0] == '[':
		c.Field = name + c.Field
	default:
		c.Field = name + "." + c.Field
	}
	return &c
}

const (
	maxShownBytes = 60 // enough for an id or a url, and an error still fits a line
	maxShownItems = 8
)

// showValue prints v for people: texts quoted, long ones cut, lists by their first values.
func showValue(v any) string {
	switch v := v.(type) {
	case described:
		return string(v)
	case json.Number:
		return v.String()
	}
	rv := reflect.ValueOf(v)
	switch {
	case rv.Kind() == reflect.String:
		s := rv.String()
		if len(s) > maxShownBytes {
			cut := maxShownBytes
			for cut > 0 && !utf8.RuneStart(s[cut]) {
				cut--
			}
			return fmt.Sprintf("%q… (%d bytes)", s[:cut], len(s))
		}
		return fmt.Sprintf("%q", s)
	case (rv.Kind() == reflect.Slice || rv.Kind() == reflect.Array) && rv.Len() > maxShownItems:
		parts := make([]string, maxShownItems)
		for i := range parts {
			parts[i] = showValue(rv.Index(i).Interface())
		}
		return fmt.Sprintf("[%s …] (%d values)", strings.Join(parts, " "), rv.Len())
	}
	if s := fmt.Sprint(v); len(s) <= 2*maxShownBytes {
		return s
	}
	return fmt.Sprintf("a %T", v)
}
