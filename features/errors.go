package features

import (
	"errors"
	"fmt"
	"strings"
)

// ErrInvalid is what every error of this package matches with errors.Is: a value that breaks a rule of its type, a text
// that is not what it should encode, sizes that do not fit each other.
var ErrInvalid = errors.New("invalid value")

// Error says which rule of which type was broken, where, and by what value. It matches [ErrInvalid].
type Error struct {
	Type  string // type of the value: "Extrinsics", "RLE", "box"
	Field string // column or place in it: "pos_x_m", "shape[1]"; empty if the whole value is meant
	Value any    // the value refused, a number or a text; nil if there is none to show
	Rule  string // what was wanted
}

// Error gives "Extrinsics.pos_x_m: want at least 0, have -5". Long texts are cut.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Type)
	if e.Field != "" {
		if e.Type != "" && e.Field[0] != '[' {
			b.WriteByte('.')
		}
		b.WriteString(e.Field)
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	b.WriteString(e.Rule)
	switch v := e.Value.(type) {
	case nil:
	case string:
		fmt.Fprintf(&b, ", have %.60q", v) // enough for an id, and an error still fits a line
	default:
		fmt.Fprintf(&b, ", have %v", v)
	}
	return b.String()
}

// Is reports whether target is [ErrInvalid].
func (e *Error) Is(target error) bool { return target == ErrInvalid }

// invalid is the error of a broken rule, which args complete.
func invalid(typ, field string, value any, rule string, args ...any) error {
	if len(args) > 0 {
		rule = fmt.Sprintf(rule, args...)
	}
	return &Error{Type: typ, Field: field, Value: value, Rule: rule}
}
