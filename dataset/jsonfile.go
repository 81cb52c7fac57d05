package dataset

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonObject is a JSON object that keeps the order of its keys, and the values that this package does not know.
type jsonObject struct {
	keys   []string
	values map[string]json.RawMessage
}

// parseObject reads a JSON object. what names it in errors. raw must be one valid JSON value.
func parseObject(what string, raw json.RawMessage) (*jsonObject, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || raw[0] != '{' {
		return nil, schemaError("%s is %s: want an object", what, jsonKind(raw))
	}
	o := &jsonObject{values: map[string]json.RawMessage{}}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.Token() // the brace
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, schemaError("%s: %v", what, err)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, schemaError("%s: %v", what, err)
		}
		o.set(key.(string), value)
	}
	return o, nil
}

// parseList reads a JSON list. what names it in errors. raw must be one valid JSON value.
func parseList(what string, raw json.RawMessage) ([]json.RawMessage, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil || list == nil {
		return nil, schemaError("%s is %s: want a list", what, jsonKind(raw))
	}
	return list, nil
}

// jsonKind says in words what a JSON value is.
func jsonKind(raw json.RawMessage) string {
	switch c := bytes.TrimSpace(raw); {
	case len(c) == 0:
		return "missing"
	case c[0] == '{':
		return "an object"
	case c[0] == '[':
		return "a list"
	case c[0] == '"':
		return "a string"
	case c[0] == 't', c[0] == 'f':
		return "a boolean"
	case c[0] == 'n':
		return "null"
	}
	return "a number"
}

// set sets a key, in its place if it is there and else at the end.
func (o *jsonObject) set(key string, value json.RawMessage) {
	if _, ok := o.values[key]; !ok {
		o.keys = append(o.keys, key)
	}
	o.values[key] = value
}

func (o *jsonObject) remove(key string) {
	if _, ok := o.values[key]; ok {
		delete(o.values, key)
		keys := o.keys[:0:0]
		for _, k := range o.keys {
			if k != key {
				keys = append(keys, k)
			}
		}
		o.keys = keys
	}
}

// text returns the string under a key.
func (o *jsonObject) text(key string) (string, error) {
	var s *string
	if err := json.Unmarshal(o.values[key], &s); err != nil || s == nil {
		return "", schemaError("%s is %s: want a string", key, jsonKind(o.values[key]))
	}
	return *s, nil
}

// raw gives the object as JSON.
func (o *jsonObject) raw() json.RawMessage {
	b := []byte{'{'}
	for i, key := range o.keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, marshalJSON(key)...)
		b = append(b, ':')
		b = append(b, o.values[key]...)
	}
	return append(b, '}')
}

// rawList gives a list as JSON.
func rawList(list []json.RawMessage) json.RawMessage {
	b := []byte{'['}
	for i, value := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, value...)
	}
	return append(b, ']')
}

// marshalJSON gives booleans, integers, strings, and structs of them, as JSON.
func marshalJSON(v any) json.RawMessage {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(fmt.Sprintf("dataset: %T is no JSON: %v", v, err)) // of this package's own types
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// fileJSON gives JSON as the reference implementation writes files: indented by 4, characters beyond ASCII as \uXXXX, no
// newline at the end.
func fileJSON(raw json.RawMessage) []byte {
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "    "); err != nil {
		panic(fmt.Sprintf("dataset: %v in %s", err, raw)) // it was made by this package, of JSON that was parsed
	}
	var out []byte
	for text := b.Bytes(); len(text) > 0; {
		r, size := utf8.DecodeRune(text)
		switch {
		case r < utf8.RuneSelf:
			out = append(out, byte(r))
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		text = text[size:]
	}
	return out
}

// parseScalar reads a JSON value that is none of null, list and object: a bool, a string, an int64, a float64, or a
// json.Number for an integer beyond int64. 1 and 1.0 stay different.
func parseScalar(raw json.RawMessage) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, schemaError("%v", err)
	}
	switch v := v.(type) {
	case bool, string:
		return v, nil
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			f, err := v.Float64()
			if err != nil {
				return nil, schemaError("%s is beyond the range of numbers", v)
			}
			return f, nil
		}
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return n, nil
		}
		return v, nil
	}
	return nil, schemaError("%s: want a number, a string or a boolean", jsonKind(raw))
}

// scalarJSON is the inverse of parseScalar.
func scalarJSON(v any) (json.RawMessage, error) {
	switch x := v.(type) {
	case json.Number:
		return json.RawMessage(x), nil
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, schemaError("%v: want a finite number", x)
		}
		return appendFloat(nil, x), nil
	case bool, int64:
	case string:
		if !utf8.ValidString(x) {
			return nil, schemaError("%q is not UTF-8", x)
		}
	default:
		return nil, schemaError("%v is a %T: want a number, a string or a boolean", v, v)
	}
	return marshalJSON(v), nil
}
