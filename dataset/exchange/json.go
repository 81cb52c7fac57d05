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

// Lines counts the lines of what is read through it.
type Lines struct {
	r     io.Reader
	read  int64
	ends  []int64 // offsets of line ends that were not asked about yet
	count int     // lines that end before them
}

// NewLines returns a reader of r that knows in which line an offset lies.
func NewLines(r io.Reader) *Lines { return &Lines{r: r} }

// Read reads on.
func (l *Lines) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	for at := 0; ; {
		i := bytes.IndexByte(p[at:n], '\n')
		if i < 0 {
			break
		}
		at += i + 1
		l.ends = append(l.ends, l.read+int64(at)-1)
	}
	l.read += int64(n)
	return n, err
}

// At returns the number of the line of an offset, from 1. Offsets must not decrease from call to call.
func (l *Lines) At(offset int64) int {
	i := 0
	for i < len(l.ends) && l.ends[i] < offset {
		i++
	}
	l.ends, l.count = l.ends[i:], l.count+i
	return l.count + 1
}

// JSONValue is one of several JSON values in a file.
type JSONValue struct {
	Line  int // where it ends, from 1
	Value json.RawMessage
}

// JSONValues yields the JSON values of a file, which may stand on one line or on several, in any length. An error, which
// names the line, is the last pair.
func JSONValues(r io.Reader) iter.Seq2[JSONValue, error] {
	return func(yield func(JSONValue, error) bool) {
		lines := NewLines(skipMark(r))
		dec := json.NewDecoder(lines)
		for {
			var v json.RawMessage
			err := dec.Decode(&v)
			if err == io.EOF {
				return
			}
			line := lines.At(dec.InputOffset())
			if err != nil {
				line = lines.At(dec.InputOffset() + 1) // of the value that could not be read
				if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
					line = lines.At(max(dec.InputOffset()+1, syntax.Offset-1))
				}
				yield(JSONValue{Line: line}, jsonError(err))
				return
			}
			if !yield(JSONValue{line, v}, nil) {
				return
			}
		}
	}
}

// skipMark leaves out the mark that some editors put in front of UTF-8.
func skipMark(r io.Reader) io.Reader {
	head := make([]byte, 3)
	n, err := io.ReadFull(r, head)
	if err == nil && string(head) == "\xef\xbb\xbf" {
		return r
	}
	return io.MultiReader(bytes.NewReader(head[:n]), r)
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

// Members returns the members of a JSON object in their order. A key that occurs twice is an error.
func Members(v json.RawMessage) ([]Member, error) {
	dec := json.NewDecoder(bytes.NewReader(v))
	t, err := dec.Token()
	if err != nil {
		return nil, jsonError(err)
	}
	if t != json.Delim('{') {
		return nil, fmt.Errorf("want a JSON object, have %s", Kind(v))
	}
	var members []Member
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, jsonError(err)
		}
		m := Member{Key: t.(string)}
		for _, other := range members {
			if other.Key == m.Key {
				return nil, fmt.Errorf("the key %q is there twice", m.Key)
			}
		}
		if err := dec.Decode(&m.Value); err != nil {
			return nil, jsonError(err)
		}
		members = append(members, m)
	}
	return members, nil
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

// WalkObject reads a JSON object of any length and calls fn for each key, which has to read or skip its value.
func WalkObject(dec *json.Decoder, fn func(key string) error) error {
	t, err := dec.Token()
	if err != nil {
		return jsonError(err)
	}
	if t != json.Delim('{') {
		return fmt.Errorf("want a JSON object")
	}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return jsonError(err)
		}
		if err := fn(t.(string)); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return jsonError(err)
	}
	return nil
}

// WalkList reads a JSON list of any length and calls fn before each element, which it has to read or skip. null is an empty
// list.
func WalkList(dec *json.Decoder, fn func(i int) error) error {
	t, err := dec.Token()
	if err != nil {
		return jsonError(err)
	}
	if t == nil {
		return nil
	}
	if t != json.Delim('[') {
		return fmt.Errorf("want a JSON list")
	}
	for i := 0; dec.More(); i++ {
		if err := fn(i); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return jsonError(err)
	}
	return nil
}

// Skip leaves out the next value, without keeping it in memory.
func Skip(dec *json.Decoder) error {
	depth := 0
	for {
		t, err := dec.Token()
		if err != nil {
			return jsonError(err)
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// DecodeNext reads the next value of a list or object into v.
func DecodeNext(dec *json.Decoder, v any) error {
	err := dec.Decode(v)
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
