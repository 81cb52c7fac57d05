package schema

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// object is a JSON object that keeps the order of its keys, which has a meaning in schema.json (columns) and is kept in
// metadata texts. Other JSON values are held as encoding/json gives them: nil, bool, json.Number, string, []any.
type object struct {
	keys   []string
	values []any
	places map[string]int // of keys, where there are many
}

// fewKeys is up to how many keys it is faster to compare with each than to keep a map.
const fewKeys = 24

func newObject() *object { return &object{} }

func (o *object) place(key string) int {
	if o.places != nil {
		if i, ok := o.places[key]; ok {
			return i
		}
		return -1
	}
	return slices.Index(o.keys, key)
}

func (o *object) get(key string) (any, bool) {
	if i := o.place(key); i >= 0 {
		return o.values[i], true
	}
	return nil, false
}

func (o *object) set(key string, value any) {
	if i := o.place(key); i >= 0 {
		o.values[i] = value
		return
	}
	o.add(key, value)
}

// add sets a key that is not there yet.
func (o *object) add(key string, value any) {
	o.keys, o.values = append(o.keys, key), append(o.values, value)
	switch n := len(o.keys); {
	case n < fewKeys:
	case n == fewKeys:
		o.places = make(map[string]int, 2*n)
		for i, key := range o.keys {
			o.places[key] = i
		}
	default:
		o.places[key] = n - 1
	}
}

// maxJSONDepth bounds the recursion over nested values; no form of this package nests deeper than a dozen levels, but
// metadata is free.
const maxJSONDepth = 1000

// parseJSON reads one JSON value. A key that occurs twice in an object is an error: readers differ in which one they
// take.
func parseJSON(data []byte) (any, error) {
	// encoding/json checks the syntax, so that the parser below need not. Its Decoder.Token keeps the order of keys too,
	// but reading a row with it takes about twice as long and three times the allocations.
	if !json.Valid(data) {
		var v json.RawMessage
		return nil, broken("", nil, "want valid JSON: %v", json.Unmarshal(data, &v))
	}
	p := jsonParser{data: data}
	return p.value(maxJSONDepth)
}

// jsonParser reads a text that is known to be valid JSON.
type jsonParser struct {
	data []byte
	pos  int
}

// next skips white space and returns the byte that follows, without taking it.
func (p *jsonParser) next() byte {
	for {
		switch c := p.data[p.pos]; c {
		case ' ', '\t', '\r', '\n':
			p.pos++
		default:
			return c
		}
	}
}

func (p *jsonParser) value(depth int) (any, error) {
	switch c := p.next(); c {
	case '{', '[':
		if depth == 0 {
			return nil, broken("", nil, "want JSON nested at most %d deep", maxJSONDepth)
		}
		p.pos++
		if c == '[' {
			return p.list(depth - 1)
		}
		return p.object(depth - 1)
	case '"':
		return p.text(), nil
	case 't':
		p.pos += len("true")
		return true, nil
	case 'f':
		p.pos += len("false")
		return false, nil
	case 'n':
		p.pos += len("null")
		return nil, nil
	}
	start := p.pos
	for p.pos < len(p.data) && strings.IndexByte("+-.eE0123456789", p.data[p.pos]) >= 0 {
		p.pos++
	}
	return json.Number(p.data[start:p.pos]), nil
}

func (p *jsonParser) list(depth int) (any, error) {
	list := []any{}
	for p.next() != ']' {
		v, err := p.value(depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		if p.next() == ',' {
			p.pos++
		}
	}
	p.pos++
	return list, nil
}

func (p *jsonParser) object(depth int) (any, error) {
	o := newObject()
	for p.next() != '}' {
		key := p.text()
		if o.place(key) >= 0 {
			return nil, broken("", key, "want each key once in a JSON object")
		}
		p.next()
		p.pos++ // the colon
		v, err := p.value(depth)
		if err != nil {
			return nil, err
		}
		o.add(key, v)
		if p.next() == ',' {
			p.pos++
		}
	}
	p.pos++
	return o, nil
}

// text reads a string. Those with escapes or invalid UTF-8 are left to encoding/json.
func (p *jsonParser) text() string {
	start := p.pos
	plain := true
	for p.pos++; p.data[p.pos] != '"'; p.pos++ {
		if p.data[p.pos] == '\\' {
			plain = false
			p.pos++
		}
	}
	p.pos++
	if body := p.data[start+1 : p.pos-1]; plain && utf8.Valid(body) {
		return string(body)
	}
	var s string
	_ = json.Unmarshal(p.data[start:p.pos], &s) // it is valid
	return s
}

// style says how JSON is written.
type style struct {
	comma, colon string
	ascii        bool // other characters as \uXXXX
	indent       int  // spaces per level; 0 for one line
}

var (
	compactStyle = style{comma: ",", colon: ":"}
	pythonStyle  = style{comma: ", ", colon: ": ", ascii: true} // as Python's json.dumps writes
)

func (o *object) appendJSON(dst []byte) []byte { return compactStyle.append(dst, o, 0) }

func (o *object) appendIndented(dst []byte, indent int) []byte {
	s := style{comma: ",", colon: ": ", ascii: true, indent: indent}
	return s.append(dst, o, 0)
}

// append writes a value made by parseJSON, or built of the same types.
func (s style) append(dst []byte, v any, level int) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case string:
		return s.appendString(dst, v)
	case json.Number:
		return appendNumber(dst, v)
	case []any:
		dst = append(dst, '[')
		for i, e := range v {
			if i > 0 {
				dst = append(dst, s.comma...)
			}
			dst = s.append(s.newline(dst, level+1), e, level+1)
		}
		if len(v) > 0 {
			dst = s.newline(dst, level)
		}
		return append(dst, ']')
	case *object:
		dst = append(dst, '{')
		for i, key := range v.keys {
			if i > 0 {
				dst = append(dst, s.comma...)
			}
			dst = s.appendString(s.newline(dst, level+1), key)
			dst = append(dst, s.colon...)
			dst = s.append(dst, v.values[i], level+1)
		}
		if len(v.keys) > 0 {
			dst = s.newline(dst, level)
		}
		return append(dst, '}')
	}
	return append(dst, "null"...)
}

func (s style) newline(dst []byte, level int) []byte {
	if s.indent == 0 {
		return dst
	}
	dst = append(dst, '\n')
	return append(dst, strings.Repeat(" ", s.indent*level)...)
}

func (s style) appendString(dst []byte, text string) []byte {
	const hex = "0123456789abcdef"
	escape := func(r rune) {
		dst = append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
	}
	dst = append(dst, '"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, '\\', 'n')
		case r == '\r':
			dst = append(dst, '\\', 'r')
		case r == '\t':
			dst = append(dst, '\\', 't')
		case r == '\b':
			dst = append(dst, '\\', 'b')
		case r == '\f':
			dst = append(dst, '\\', 'f')
		case r < ' ':
			escape(r)
		case r < utf8.RuneSelf || !s.ascii:
			dst = utf8.AppendRune(dst, r)
		case r > 0xffff:
			escape(0xd800 + (r-0x10000)>>10)
			escape(0xdc00 + (r-0x10000)&0x3ff)
		default:
			escape(r)
		}
	}
	return append(dst, '"')
}

// appendNumber keeps whole numbers as they are, however large, and writes the others as appendFloat does.
func appendNumber(dst []byte, n json.Number) []byte {
	text := n.String()
	if !strings.ContainsAny(text, ".eE") {
		if text == "-0" {
			text = "0"
		}
		return append(dst, text...)
	}
	f, err := n.Float64()
	if err != nil { // beyond a double's range; JSON has no infinity to put there
		return append(dst, text...)
	}
	return appendFloat(dst, f)
}

// appendFloat writes a double with the fewest digits that read back the same and always as a fraction or with an
// exponent, so that it stays a float for readers that tell: 1.0, 1e+20. It is Python's way. What JSON cannot express,
// NaN and infinity, is null.
func appendFloat(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	if abs := math.Abs(f); abs != 0 && (abs < 1e-4 || abs >= 1e16) {
		return strconv.AppendFloat(dst, f, 'e', -1, 64)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
	if !bytes.ContainsRune(dst[start:], '.') {
		dst = append(dst, ".0"...)
	}
	return dst
}

// toJSONValue brings a Go value into the types of parseJSON. Objects from Go maps get their keys sorted.
func toJSONValue(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, string, json.Number, *object:
		return v, nil
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			var err error
			if list[i], err = toJSONValue(e); err != nil {
				return nil, err
			}
		}
		return list, nil
	case map[string]any:
		return objectOf(v)
	}
	data, err := json.Marshal(v)
	if err != nil {
		return nil, broken("", nil, "want a value that JSON can express: %v", err)
	}
	return parseJSON(data)
}

func objectOf(m map[string]any) (*object, error) {
	o := newObject()
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		v, err := toJSONValue(m[k])
		if err != nil {
			return nil, inField(k, err)
		}
		o.set(k, v)
	}
	return o, nil
}

// JSONText writes a value as the JSON text of a metadata column, in the style of the reference implementation:
// {"a": 1, "b": "\u00e9"}. Keys of maps are sorted. Error: [Error] if encoding/json cannot express the value.
func JSONText(v any) (string, error) {
	j, err := toJSONValue(v)
	if err != nil {
		return "", err
	}
	return string(pythonStyle.append(nil, j, 0)), nil
}

// described is what an error shows in place of a value that is too large to show.
type described string

// show returns a JSON value as it may appear in an error: lists and objects by kind only.
func show(v any) any {
	switch v.(type) {
	case nil:
		return described("null")
	case *object, map[string]any:
		return described("an object")
	case []any:
		return described("a list")
	}
	return v
}
