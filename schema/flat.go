package schema

import (
	"encoding/base64"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// What JSON cannot express is written in the flat form as an object with one of these keys and a text. A column of
// texts, numbers, bytes or times never holds an object otherwise, so that nothing stored looks like one.
const (
	bytesKey = "__bytes__"    // {"__bytes__": "AP8="}, base64: bytes that are no text. The 0.7 layout writes defaults of bytes so.
	floatKey = "__float__"    // {"__float__": "NaN"}: see floatText
	timeKey  = "__datetime__" // {"__datetime__": "-62135596800000001"}: microseconds since 1970 of a year not in 1 to 9999
)

func appendMark(dst []byte, key, text string) []byte {
	dst = append(dst, `{"`+key+`":"`...)
	dst = append(dst, text...)
	return append(dst, '"', '}')
}

// marked returns the text of a mark.
func marked(v any, key string) (string, bool) {
	o, ok := v.(*object)
	if !ok || len(o.keys) != 1 || o.keys[0] != key {
		return "", false
	}
	text, ok := o.values[0].(string)
	return text, ok
}

// floatText gives "Infinity", "-Infinity", "NaN", or "NaN(0x7e01)" with the bits of a NaN that is not the usual one of
// its precision.
func floatText(v reflect.Value) string {
	switch f := widened(v); {
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	var bits, usual uint64
	switch {
	case v.Type() == float16Type:
		bits, usual = v.Uint(), 0x7e00
	case v.Kind() == reflect.Float32:
		// Float would pass the value through a double, which changes some NaN.
		bits, usual = uint64(math.Float32bits(v.Convert(reflect.TypeFor[float32]()).Interface().(float32))), 0x7fc00000
	default:
		bits, usual = math.Float64bits(v.Float()), 0x7ff8000000000000
	}
	if bits == usual {
		return "NaN"
	}
	return "NaN(0x" + strconv.FormatUint(bits, 16) + ")"
}

// floatOf is the inverse of floatText for a precision. ok is false for other texts.
func floatOf(valueType, text string) (v any, ok bool) {
	size, nan := 64, uint64(0x7ff8000000000000)
	switch valueType {
	case "halffloat":
		size, nan = 16, 0x7e00
	case "float":
		size, nan = 32, 0x7fc00000
	}
	if hex, isNaN := strings.CutPrefix(text, "NaN(0x"); isNaN {
		bits, err := strconv.ParseUint(strings.TrimSuffix(hex, ")"), 16, size)
		if err != nil {
			return nil, false
		}
		nan, text = bits, "NaN"
	}
	f, known := map[string]float64{"NaN": 0, "Infinity": math.Inf(1), "-Infinity": math.Inf(-1)}[text]
	if !known {
		return nil, false
	}
	switch {
	case text != "NaN" && size == 16:
		return NewFloat16(float32(f)), true
	case text != "NaN" && size == 32:
		return float32(f), true
	case text != "NaN":
		return f, true
	case size == 16:
		return Float16(nan), Float16(nan).IsNaN()
	case size == 32:
		f := math.Float32frombits(uint32(nan))
		return f, f != f
	}
	f = math.Float64frombits(nan)
	return f, f != f
}

// unmark replaces the marks in the JSON value of a column by the Go values that they stand for. What it does not know it
// leaves to coerce, which refuses it. Marks of what a class never accepts are known only if the row is stored.
func unmark(t FieldType, v any, stored bool) any {
	if list, ok := v.([]any); ok {
		item := FieldType{Name: t.Name, ValueType: t.ValueType}
		for i := range list {
			list[i] = unmark(item, list[i], stored)
		}
		return list
	}
	o, ok := v.(*object)
	if !ok {
		return v
	}
	for _, part := range t.Fields() {
		if p, ok := o.get(part.Name); ok {
			o.set(part.Name, unmark(part.Type, p, stored))
		}
	}
	switch {
	case t.Name == TypeFloat || t.ValueType == "halffloat" || t.ValueType == "float" || t.ValueType == "double":
		if text, ok := marked(o, floatKey); ok {
			if f, ok := floatOf(t.ValueType, text); ok {
				return f
			}
		}
	case t.Name == TypeStr && stored:
		if text, ok := marked(o, bytesKey); ok {
			if b, err := base64.StdEncoding.DecodeString(text); err == nil {
				return string(b)
			}
		}
	case t.Name == TypeDatetime && stored:
		if text, ok := marked(o, timeKey); ok {
			if us, err := strconv.ParseInt(text, 10, 64); err == nil {
				return time.UnixMicro(us).UTC()
			}
		}
	}
	return v
}

// EncodeJSON writes a row as one flat object of its columns, in order, from which [DecodeStoredJSON] makes the same row
// again, to the bit:
//
//	{"id": "b1", "created_at": "2024-01-02T03:04:05.678901", …, "inference_metadata": "{}", "coords": [0.5, 0.5, 0.25, 0.25], …}
//
// Values are as in [MarshalRow], but for metadata columns, which are the texts they are, and for what JSON has no form
// for: {"__float__": "NaN"}, "Infinity" and "-Infinity"; {"__bytes__": BASE64} for bytes and texts that are not UTF-8;
// {"__datetime__": "MICROSECONDS"} for years before 1 and after 9999. The row is not validated. Error: [Error], if it is
// no row.
func EncodeJSON(row any) ([]byte, error) {
	r, err := openView(row)
	if err != nil {
		return nil, err
	}
	dst := []byte{'{'}
	for i, f := range r.fields() {
		dst = appendKey(dst, f.Name, i == 0)
		dst = appendValue(dst, constructorForm, f.Type, r.at(i))
	}
	return append(dst, '}'), nil
}

// DecodeJSON is [Decode] from the text of a JSON object. It reads what people write, and what [EncodeJSON] writes of a
// row that [Normalize] accepts. For rows of unknown origin that are stored already see [DecodeStoredJSON].
func DecodeJSON(data []byte, row any) error {
	r, o, err := openFlat(data, row, false)
	if err != nil {
		return err
	}
	return r.fill(o, constructorForm)
}

// DecodeStoredJSON sets every column of row, a pointer to a struct or a *[Dynamic], from what [EncodeJSON] wrote. The
// row comes out as it was: no rule is applied, nothing is normalised and no default filled in, so that also rows are
// read that were stored by others and that their class refuses. Every column has to be there; columns that the row's
// type lacks are ignored. Error: [Error] with the column; then the row is partly set.
func DecodeStoredJSON(data []byte, row any) error {
	r, o, err := openFlat(data, row, true)
	if err != nil {
		return err
	}
	r.reset()
	for i, f := range r.fields() {
		v, ok := o.get(f.Name)
		if !ok {
			return inType(r.name(), broken(f.Name, nil, RuleRequired))
		}
		var c any
		if v != nil || !f.Type.Nullable() {
			c, err = coerce(f.Type, v)
		}
		if err == nil {
			err = r.set(i, c)
		}
		if err != nil {
			return inType(r.name(), inField(f.Name, err))
		}
	}
	return nil
}

// openFlat parses a flat row for a target and replaces its marks.
func openFlat(data []byte, row any, stored bool) (record, *object, error) {
	r, err := open(row)
	if err != nil {
		return r, nil, err
	}
	v, err := parseJSON(data)
	if err != nil {
		return r, nil, inType(r.name(), err)
	}
	o, ok := v.(*object)
	if !ok {
		return r, nil, inType(r.name(), broken("", show(v), "want an object of columns"))
	}
	for _, f := range r.fields() {
		if v, ok := o.get(f.Name); ok && (stored || !isMetadata(r.group(), f)) {
			o.set(f.Name, unmark(f.Type, v, stored))
		}
	}
	return r, o, nil
}
