package schema

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// coerce turns a JSON-like value into the Go type of a column type ([FieldType.GoType]), converting what can be without
// loss: whole numbers and fractions into each other, numbers in texts, booleans and 0, 1, "yes", "no". It takes what
// parseJSON makes and the Go values that a map may hold in its place. Null is refused.
func coerce(t FieldType, v any) (any, error) {
	if v == nil {
		return nil, broken("", nil, "want %s, have null", t)
	}
	if reflect.TypeOf(v) == t.GoType() && t.Name != TypeDatetime {
		return v, nil // already there; the column checks still see it
	}
	if t.Name == TypeFixedSizeList {
		return coerceFixed(t, v)
	}
	if t.Collection {
		items, err := listOf(t, v)
		if err != nil {
			return nil, err
		}
		item := FieldType{Name: t.Name}
		out := reflect.MakeSlice(t.GoType(), len(items), len(items))
		for i, e := range items {
			c, err := coerce(item, e)
			if err != nil {
				return nil, inField(subscript(i), err)
			}
			out.Index(i).Set(reflect.ValueOf(c))
		}
		return out.Interface(), nil
	}
	switch t.Name {
	case TypeStr:
		return coerceString(t, v)
	case TypeInt:
		return coerceInt(v)
	case TypeFloat:
		return coerceFloat(v)
	case TypeBool:
		return coerceBool(v)
	case TypeBytes:
		return coerceBytes(v)
	case TypeDatetime:
		return coerceTime(v)
	}
	return coerceStruct(t, v)
}

func subscript(i int) string { return "[" + strconv.Itoa(i) + "]" }

// listOf returns the elements of a list.
func listOf(t FieldType, v any) ([]any, error) {
	if list, ok := v.([]any); ok {
		return list, nil
	}
	rv := reflect.ValueOf(v)
	if k := rv.Kind(); k != reflect.Slice && k != reflect.Array {
		return nil, broken("", show(v), "want %s", t)
	}
	list := make([]any, rv.Len())
	for i := range list {
		list[i] = rv.Index(i).Interface()
	}
	return list, nil
}

func coerceFixed(t FieldType, v any) (any, error) {
	items, err := listOf(t, v)
	if err != nil {
		return nil, err
	}
	if t.Dim != 0 && len(items) != t.Dim {
		return nil, broken("", nil, "want %d values, have %d", t.Dim, len(items))
	}
	out := reflect.MakeSlice(t.GoType(), len(items), len(items))
	for i, e := range items {
		if err := coerceValue(t.ValueType, out.Index(i), e); err != nil {
			return nil, inField(subscript(i), err)
		}
	}
	return out.Interface(), nil
}

// coerceValue sets one value of a fixed-size list.
func coerceValue(valueType string, dst reflect.Value, v any) error {
	if reflect.TypeOf(v) == dst.Type() {
		dst.Set(reflect.ValueOf(v))
		return nil
	}
	switch valueType {
	case "binary":
		b, err := coerceBytes(v)
		if err != nil {
			return err
		}
		dst.Set(reflect.ValueOf(b))
	case "bool":
		b, err := coerceBool(v)
		if err != nil {
			return err
		}
		dst.SetBool(b.(bool))
	case "halffloat", "float", "double":
		c, err := coerceFloat(v)
		if err != nil {
			return err
		}
		f := c.(float64)
		switch valueType {
		case "halffloat":
			h := NewFloat16(float32(f))
			if math.IsInf(float64(h.Float32()), 0) {
				return broken("", f, "want a number in the range of a half float")
			}
			dst.SetUint(uint64(h))
		case "float":
			if dst.OverflowFloat(f) {
				return broken("", f, "want a number in the range of a float")
			}
			dst.SetFloat(f)
		default:
			dst.SetFloat(f)
		}
	case "uint64":
		if n, ok := v.(json.Number); ok { // the upper half of its range is beyond int64
			if u, err := strconv.ParseUint(n.String(), 10, 64); err == nil {
				dst.SetUint(u)
				return nil
			}
		}
		fallthrough
	default:
		c, err := coerceInt(v)
		if err != nil {
			return err
		}
		n := c.(int64)
		if dst.CanInt() {
			if dst.OverflowInt(n) {
				return broken("", n, "want a number in the range of %s", valueType)
			}
			dst.SetInt(n)
			return nil
		}
		if n < 0 || dst.OverflowUint(uint64(n)) {
			return broken("", n, "want a number in the range of %s", valueType)
		}
		dst.SetUint(uint64(n))
	}
	return nil
}

func coerceString(t FieldType, v any) (any, error) {
	if rv := reflect.ValueOf(v); rv.Kind() == reflect.String && !isNumber(v) {
		return rv.String(), nil
	}
	return nil, broken("", show(v), "want a text")
}

func isNumber(v any) bool {
	_, ok := v.(json.Number)
	return ok
}

// wholeText is what a text may look like to count as a whole number.
var wholeText = regexp.MustCompile(`^[+-]?[0-9]+(\.0*)?$`)

func coerceInt(v any) (any, error) {
	bad := broken("", show(v), "want a whole number of 64 bits")
	rv := reflect.ValueOf(v)
	switch {
	case isNumber(v):
		n := v.(json.Number)
		if i, err := n.Int64(); err == nil {
			return i, nil
		}
		f, err := n.Float64()
		if err != nil || !strings.ContainsAny(n.String(), ".eE") {
			return nil, bad
		}
		return wholeFloat(f, bad)
	case rv.Kind() == reflect.String:
		text := strings.TrimSpace(rv.String())
		if !wholeText.MatchString(text) {
			return nil, bad
		}
		digits, _, _ := strings.Cut(text, ".")
		i, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			return nil, bad
		}
		return i, nil
	case rv.Kind() == reflect.Bool:
		return boolToInt(rv.Bool()), nil
	case rv.CanInt():
		return rv.Int(), nil
	case rv.CanUint():
		if rv.Uint() > math.MaxInt64 {
			return nil, bad
		}
		return int64(rv.Uint()), nil
	case rv.CanFloat():
		return wholeFloat(rv.Float(), bad)
	}
	return nil, bad
}

func wholeFloat(f float64, bad error) (any, error) {
	// 2^63 is a double and no int64; the largest double below it is one.
	if f != math.Trunc(f) || f < -1<<63 || f >= 1<<63 {
		return nil, bad
	}
	return int64(f), nil
}

func boolToInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func coerceFloat(v any) (any, error) {
	bad := broken("", show(v), "want a number")
	rv := reflect.ValueOf(v)
	var f float64
	switch {
	case isNumber(v):
		n, err := v.(json.Number).Float64()
		if err != nil {
			return nil, bad
		}
		f = n
	case rv.Kind() == reflect.String:
		text := strings.TrimSpace(rv.String())
		// ParseFloat also reads hexadecimal and the words for infinity and NaN.
		if strings.Trim(text, "+-.eE0123456789") != "" {
			return nil, bad
		}
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, bad
		}
		f = n
	case rv.Kind() == reflect.Bool:
		return float64(boolToInt(rv.Bool())), nil
	case rv.CanInt():
		return float64(rv.Int()), nil
	case rv.CanUint():
		return float64(rv.Uint()), nil
	case rv.CanFloat():
		f = rv.Float()
	default:
		return nil, bad
	}
	return f, nil
}

func coerceBool(v any) (any, error) {
	bad := broken("", show(v), "want true or false")
	rv := reflect.ValueOf(v)
	switch {
	case rv.Kind() == reflect.Bool:
		return rv.Bool(), nil
	case rv.Kind() == reflect.String && !isNumber(v):
		switch strings.ToLower(rv.String()) {
		case "1", "true", "t", "yes", "y", "on":
			return true, nil
		case "0", "false", "f", "no", "n", "off":
			return false, nil
		}
		return nil, bad
	}
	c, err := coerceFloat(v)
	switch {
	case err != nil:
		return nil, bad
	case c == 0.0:
		return false, nil
	case c == 1.0:
		return true, nil
	}
	return nil, bad
}

func coerceBytes(v any) (any, error) {
	rv := reflect.ValueOf(v)
	switch {
	case rv.Kind() == reflect.String && !isNumber(v):
		return []byte(rv.String()), nil
	case rv.Kind() == reflect.Slice && rv.Type().Elem().Kind() == reflect.Uint8:
		return rv.Bytes(), nil
	}
	if m, ok := v.(map[string]any); ok {
		v, _ = objectOf(m)
	}
	if o, ok := v.(*object); ok && o != nil && len(o.keys) == 1 {
		if text, ok := o.values[0].(string); ok && o.keys[0] == bytesKey {
			if b, err := base64.StdEncoding.DecodeString(text); err == nil {
				return b, nil
			}
		}
	}
	return nil, broken("", show(v), `want a text, or {"__bytes__": BASE64}`)
}

func coerceTime(v any) (any, error) {
	rv := reflect.ValueOf(v)
	switch {
	case rv.Type() == timeType:
		return Naive(v.(time.Time)), nil
	case isNumber(v):
		f, err := v.(json.Number).Float64()
		if err != nil {
			return nil, broken("", show(v), "want a time")
		}
		return wrapTime(unixTime(f))
	case rv.Kind() == reflect.String:
		text := strings.TrimSpace(rv.String())
		if f, err := coerceFloat(text); err == nil {
			return wrapTime(unixTime(f.(float64)))
		}
		return wrapTime(ParseTime(text))
	case rv.CanInt():
		return wrapTime(unixTime(float64(rv.Int())))
	case rv.CanFloat():
		return wrapTime(unixTime(rv.Float()))
	}
	return nil, broken("", show(v), "want a time")
}

func wrapTime(t time.Time, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return t, nil
}

// coerceStruct reads a reference or one of the other struct types from an object. Keys it does not know are ignored.
func coerceStruct(t FieldType, v any) (any, error) {
	var get func(string) (any, bool)
	switch v := v.(type) {
	case *object:
		get = v.get
	case map[string]any:
		get = func(key string) (any, bool) { e, ok := v[key]; return e, ok }
	default:
		return nil, broken("", show(v), "want %s, an object", t)
	}
	out := reflect.New(scalarTypes[t.Name]).Elem()
	for _, part := range t.Fields() {
		e, ok := get(part.Name)
		if !ok {
			if e, ok = partDefault(t.Name, part.Name); !ok {
				return nil, broken(part.Name, nil, RuleRequired)
			}
		}
		c, err := coerce(part.Type, e)
		if err != nil {
			return nil, inField(part.Name, err)
		}
		assign(out.FieldByIndex(part.Index), c)
	}
	return out.Interface(), nil
}

// partDefault gives what a reference may leave out: its id, and its name where only one is possible.
func partDefault(typ, part string) (any, bool) {
	_, isRef := FieldType{Name: typ}.RefGroup()
	switch {
	case isRef && part == "id":
		return "", true
	case typ == TypeItemRef && part == "name":
		return ItemTable, true
	case typ == TypeSourceRef && part == "name":
		return SourceTable, true
	}
	return nil, false
}

// assign sets a Go field of a column to a value of the column type's Go type: the field may be of a named type, hold
// int for int64, or be an array.
func assign(dst reflect.Value, value any) {
	if value == nil {
		dst.SetZero()
		return
	}
	src := reflect.ValueOf(value)
	switch {
	case src.Type().AssignableTo(dst.Type()):
		dst.Set(src)
	case dst.Kind() == reflect.Slice || dst.Kind() == reflect.Array:
		if dst.Kind() == reflect.Slice {
			dst.Set(reflect.MakeSlice(dst.Type(), src.Len(), src.Len()))
		}
		for i := range min(dst.Len(), src.Len()) {
			dst.Index(i).Set(src.Index(i).Convert(dst.Type().Elem()))
		}
	default:
		dst.Set(src.Convert(dst.Type()))
	}
}

// canonical is the inverse of assign: the value of a Go field in the column type's Go type. A null is nil.
func canonical(t FieldType, v reflect.Value) any {
	want := t.GoType()
	switch {
	case isNull(v) && t.Nullable():
		return nil
	case v.Type() == want:
		return v.Interface()
	case want.Kind() == reflect.Slice && want != bytesType || v.Kind() == reflect.Array:
		out := reflect.MakeSlice(want, v.Len(), v.Len())
		for i := range v.Len() {
			out.Index(i).Set(v.Index(i).Convert(want.Elem()))
		}
		return out.Interface()
	}
	return v.Convert(want).Interface()
}

// isNull reports whether the value of a fixed-size list is null: a nil slice, or nothing at all in a dynamic row.
func isNull(v reflect.Value) bool {
	return !v.IsValid() || v.Kind() == reflect.Slice && v.IsNil()
}
