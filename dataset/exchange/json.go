package exchange

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"reflect"
	"strings"
)

// JSONValue is one of several JSON values in a file.
type JSONValue struct {
	Line  int             // where it ends, from 1
	Value json.RawMessage // until the next one is read; it may be no JSON inside
}

// JSONValues yields the JSON values of a file, which may stand on one line or on several, in any length. An error, which
// names the line, is the last pair.
func JSONValues(r io.Reader) iter.Seq2[JSONValue, error] {
	return func(yield func(JSONValue, error) bool) {
		s := NewStream(r)
		for {
			if _, ok := s.peek(); !ok && s.err == io.EOF {
				return
			}
			raw, err := s.Raw()
			if !yield(JSONValue{s.Line(), raw}, err) || err != nil {
				return
			}
		}
	}
}

func jsonError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("not JSON: it ends in the middle of a value")
	}
	return fmt.Errorf("not JSON: %w", err)
}

// Member is a key of a JSON object with its value.
type Member struct {
	Key   string
	Value json.RawMessage
}

// Null reports whether a JSON value is null.
func Null(v json.RawMessage) bool { return len(v) == 0 || string(bytes.TrimSpace(v)) == "null" }

// Members returns the members of a JSON object in their order; their values are parts of v. A key that occurs twice is an
// error.
func Members(v json.RawMessage) ([]Member, error) {
	if !json.Valid(v) {
		var why json.RawMessage
		return nil, jsonError(json.Unmarshal(v, &why))
	}
	if kind := Kind(v); kind != "an object" {
		return nil, fmt.Errorf("want a JSON object, have %s", kind)
	}
	var members []Member
	err := EachMember(v, func(m Member) error {
		for _, other := range members {
			if other.Key == m.Key {
				return fmt.Errorf("the key %q is there twice", m.Key)
			}
		}
		members = append(members, m)
		return nil
	})
	return members, err
}

// EachMember calls fn for the members of what is known to be a JSON object.
func EachMember(v json.RawMessage, fn func(Member) error) error {
	s := &Stream{buf: v, end: len(v), err: io.EOF}
	return s.Object(func(key string) error {
		raw, err := s.Raw()
		if err != nil {
			return err
		}
		return fn(Member{key, raw})
	})
}

// Kind says in words what a JSON value is.
func Kind(v json.RawMessage) string {
	v = bytes.TrimSpace(v)
	if len(v) == 0 {
		return "nothing"
	}
	switch v[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a text"
	case 't', 'f':
		return "a truth value"
	case 'n':
		return "null"
	}
	return "a number"
}

// Decoded is a JSON value as [schema.Decode] takes it: texts, booleans, int64 or float64, lists and maps.
func Decoded(v json.RawMessage) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(v))
	dec.UseNumber()
	var out any
	if err := dec.Decode(&out); err != nil {
		return nil, jsonError(err)
	}
	return numbers(out), nil
}

func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if !strings.ContainsAny(v.String(), ".eE") {
			if n, err := v.Int64(); err == nil {
				return n
			}
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return f
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return v
}

// Unmarshal is that of package json, with errors that say what was wanted.
func Unmarshal(raw json.RawMessage, v any) error { return typeError(json.Unmarshal(raw, v)) }

// typeError says in words what package json says of values of other types than wanted.
func typeError(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		value, _, _ := strings.Cut(e.Value, " ") // "number 1.5"
		err = fmt.Errorf("want %s, have %s", kindOf(e.Type), cmp.Or(kinds[value], value))
		if e.Field != "" {
			err = fmt.Errorf("%s: %w", e.Field, err)
		}
		return err
	}
	return jsonError(err)
}

// kinds are the kinds of JSON values as package json calls them.
var kinds = map[string]string{"array": "a list", "bool": "a truth value", "number": "a number", "object": "an object", "string": "a text"}

// kindOf says what JSON a value of a type is read from, see [Kind].
func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return kindOf(t.Elem())
	case reflect.Slice, reflect.Array:
		_, of, _ := strings.Cut(kindOf(t.Elem()), " ")
		if rest, ok := strings.CutPrefix(of, "list of "); ok {
			return "a list of lists of " + rest
		}
		return "a list of " + of + "s"
	case reflect.Bool:
		return "a truth value"
	case reflect.String:
		return "a text"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Int, reflect.Int64, reflect.Int32:
		return "a whole number"
	}
	return "a number"
}
