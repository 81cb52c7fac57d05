package dataset

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/float16"
)

// Row is a row read without a Go type of its own: its columns in table order with their values. It also holds the
// value of a struct column, such as a reference. The zero Row has no columns.
//
// A value's Go type follows from the column's Arrow type:
//
//	utf8                       string
//	bool                       bool
//	int8 … int64, uint8 …      the Go integer of that width
//	halffloat, float           float32
//	double                     float64
//	binary                     []byte
//	timestamp, date            time.Time; without a zone it is the stored wall clock, in time.UTC
//	struct                     Row
//	list, fixed_size_list      a slice of the element's Go type ([]float32, []string, []Row …),
//	                           or []any with nil for null elements if there are any
//	any type, when null        nil
//
// A Row belongs to the caller. Its strings and slices share the memory of the batch that they were read in, which is
// never used again; so a kept Row keeps its batch.
type Row struct {
	columns *rowColumns
	values  []any
}

// rowColumns is what the rows of one scan have in common.
type rowColumns struct {
	fields   []arrow.Field
	children []*rowColumns // by field; for a struct, or a list of structs, its fields
}

func newRowColumns(fields []arrow.Field) *rowColumns {
	c := &rowColumns{fields: fields, children: make([]*rowColumns, len(fields))}
	for i, f := range fields {
		t := f.Type
		for {
			l, ok := t.(arrow.ListLikeType)
			if !ok {
				break
			}
			t = l.Elem()
		}
		if s, ok := t.(*arrow.StructType); ok {
			c.children[i] = newRowColumns(s.Fields())
		}
	}
	return c
}

// Len returns the number of columns.
func (r Row) Len() int { return len(r.values) }

// Columns returns the names of the columns in order.
func (r Row) Columns() []string {
	names := make([]string, len(r.values))
	for i := range names {
		names[i] = r.columns.fields[i].Name
	}
	return names
}

// All returns the columns and their values in order.
func (r Row) All() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for i, v := range r.values {
			if !yield(r.columns.fields[i].Name, v) {
				return
			}
		}
	}
}

// Field returns name and Arrow type of the i-th column.
func (r Row) Field(i int) arrow.Field { return r.columns.fields[i] }

// At returns the value of the i-th column.
func (r Row) At(i int) any { return r.values[i] }

// Lookup returns the value of a column, or of a field of a struct column ("item_ref.id"), and whether there is one.
func (r Row) Lookup(column string) (any, bool) {
	for i, v := range r.values {
		name := r.columns.fields[i].Name
		if name == column {
			return v, true
		}
		if rest, ok := strings.CutPrefix(column, name+"."); ok {
			if child, ok := v.(Row); ok {
				return child.Lookup(rest)
			}
		}
	}
	return nil, false
}

// Value is [Row.Lookup] with nil for a column that does not exist.
func (r Row) Value(column string) any {
	v, _ := r.Lookup(column)
	return v
}

// ID returns the value of the column "id", or "" if it is no string.
func (r Row) ID() string {
	id, _ := r.Value("id").(string)
	return id
}

// String returns the row as a line of JSON.
func (r Row) String() string { return string(r.AppendJSON(nil)) }

// MarshalJSON returns the row as a JSON object with the columns in order. See [Row.AppendJSON].
func (r Row) MarshalJSON() ([]byte, error) { return r.AppendJSON(nil), nil }

// AppendJSON appends the row as one line of JSON: an object with the columns in order that loses nothing.
//
// Integers are written in full. Floating-point numbers have the shortest form that reads back as the same double,
// always with a fraction or an exponent; float and halffloat columns are widened first. What JSON cannot hold is a
// string: "NaN", "Infinity", "-Infinity". Binary is base64 with padding. Times are ISO 8601 without a zone, with six
// decimals unless they are zero (nine for a column of nanoseconds); columns that have a zone end in their offset.
func (r Row) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	for i, v := range r.values {
		if i > 0 {
			b = append(b, ',')
		}
		f := r.columns.fields[i]
		b = appendString(b, f.Name)
		b = append(b, ':')
		b = appendValue(b, v, f.Type)
	}
	return append(b, '}')
}

func appendValue(b []byte, v any, t arrow.DataType) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case string:
		return appendString(b, v)
	case int8:
		return appendInt(b, v)
	case int16:
		return appendInt(b, v)
	case int32:
		return appendInt(b, v)
	case int64:
		return appendInt(b, v)
	case uint8:
		return appendUint(b, v)
	case uint16:
		return appendUint(b, v)
	case uint32:
		return appendUint(b, v)
	case uint64:
		return appendUint(b, v)
	case float32:
		return appendFloat(b, v)
	case float64:
		return appendFloat(b, v)
	case []byte:
		if _, ok := t.(arrow.ListLikeType); ok { // list<uint8>
			return appendList(b, v, appendUint[uint8])
		}
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, v)
		return append(b, '"')
	case time.Time:
		return appendTime(b, v, t)
	case Row:
		return v.AppendJSON(b)
	case []any:
		elem := t.(arrow.ListLikeType).Elem()
		return appendList(b, v, func(b []byte, v any) []byte { return appendValue(b, v, elem) })
	case []bool:
		return appendList(b, v, strconv.AppendBool)
	case []string:
		return appendList(b, v, appendString)
	case []int8:
		return appendList(b, v, appendInt[int8])
	case []int16:
		return appendList(b, v, appendInt[int16])
	case []int32:
		return appendList(b, v, appendInt[int32])
	case []int64:
		return appendList(b, v, appendInt[int64])
	case []uint16:
		return appendList(b, v, appendUint[uint16])
	case []uint32:
		return appendList(b, v, appendUint[uint32])
	case []uint64:
		return appendList(b, v, appendUint[uint64])
	case []float32:
		return appendList(b, v, appendFloat[float32])
	case []float64:
		return appendList(b, v, appendFloat[float64])
	}
	return appendString(b, fmt.Sprint(v))
}

func appendList[T any](b []byte, list []T, one func(b []byte, v T) []byte) []byte {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = one(b, v)
	}
	return append(b, ']')
}

func appendInt[T int8 | int16 | int32 | int64](b []byte, v T) []byte {
	return strconv.AppendInt(b, int64(v), 10)
}

func appendUint[T uint8 | uint16 | uint32 | uint64](b []byte, v T) []byte {
	return strconv.AppendUint(b, uint64(v), 10)
}

// appendFloat writes a double in the shortest form that reads back the same and shows that it is no integer.
func appendFloat[T float32 | float64](b []byte, v T) []byte {
	f := float64(v)
	switch {
	case math.IsNaN(f):
		return append(b, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(b, `"-Infinity"`...)
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-4 || abs >= 1e16) {
		format = 'e'
	}
	start := len(b)
	b = strconv.AppendFloat(b, f, format, -1, 64)
	if format == 'f' && bytes.IndexByte(b[start:], '.') < 0 {
		b = append(b, ".0"...)
	}
	return b
}

func appendTime(b []byte, v time.Time, t arrow.DataType) []byte {
	b = append(b, '"')
	b = v.AppendFormat(b, time.DateOnly)
	if t, ok := t.(*arrow.TimestampType); ok {
		b = v.AppendFormat(b, "T15:04:05")
		switch ns := v.Nanosecond(); {
		case ns != 0 && t.Unit == arrow.Nanosecond:
			b = v.AppendFormat(b, ".000000000")
		case ns != 0:
			b = v.AppendFormat(b, ".000000")
		}
		if t.TimeZone != "" {
			b = v.AppendFormat(b, "Z07:00")
		}
	}
	return append(b, '"')
}

// appendString writes a JSON string. Unlike encoding/json it keeps <, > and & as they are: rows are data, not HTML.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			var quoted strings.Builder
			enc := json.NewEncoder(&quoted)
			enc.SetEscapeHTML(false)
			_ = enc.Encode(s) // a string always encodes
			return append(b, strings.TrimSuffix(quoted.String(), "\n")...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// decodeRows turns a batch into rows. The columns are those of the batch's scan.
func decodeRows(batch arrow.RecordBatch, columns *rowColumns) ([]Row, error) {
	n, width := int(batch.NumRows()), int(batch.NumCols())
	slab := make([]any, n*width)
	for c := range width {
		if err := decodeColumn(batch.Column(c), columns.children[c], 0, n, func(i int, v any) { slab[i*width+c] = v }); err != nil {
			return nil, &Error{Field: columns.fields[c].Name, Err: err}
		}
	}
	rows := make([]Row, n)
	for i := range rows {
		rows[i] = Row{columns, slab[i*width : (i+1)*width : (i+1)*width]}
	}
	return rows, nil
}

// decodeColumn gives the values from to to-1 of an array to put, numbered from 0.
func decodeColumn(a arrow.Array, child *rowColumns, from, to int, put func(i int, v any)) error {
	value, err := reader(a, child)
	if err != nil {
		return err
	}
	for i := from; i < to; i++ {
		if a.IsNull(i) {
			put(i-from, nil)
			continue
		}
		v, err := value(i)
		if err != nil {
			return err
		}
		put(i-from, v)
	}
	return nil
}

// reader returns the function that reads one value that is not null. child holds the fields of a struct, also of one
// inside lists.
func reader(a arrow.Array, child *rowColumns) (func(i int) (any, error), error) {
	switch a := a.(type) {
	case *array.Null:
		return func(int) (any, error) { return nil, nil }, nil
	case *array.Boolean:
		return value(a.Value), nil
	case *array.Int8:
		return value(a.Value), nil
	case *array.Int16:
		return value(a.Value), nil
	case *array.Int32:
		return value(a.Value), nil
	case *array.Int64:
		return value(a.Value), nil
	case *array.Uint8:
		return value(a.Value), nil
	case *array.Uint16:
		return value(a.Value), nil
	case *array.Uint32:
		return value(a.Value), nil
	case *array.Uint64:
		return value(a.Value), nil
	case *array.Float16:
		return value(func(i int) float32 { return a.Value(i).Float32() }), nil
	case *array.Float32:
		return value(a.Value), nil
	case *array.Float64:
		return value(a.Value), nil
	case *array.String:
		return value(a.Value), nil
	case *array.LargeString:
		return value(a.Value), nil
	case *array.StringView:
		return value(a.Value), nil
	case *array.Binary:
		return value(func(i int) []byte { return clip(a.Value(i)) }), nil
	case *array.LargeBinary:
		return value(func(i int) []byte { return clip(a.Value(i)) }), nil
	case *array.BinaryView:
		return value(func(i int) []byte { return clip(a.Value(i)) }), nil
	case *array.FixedSizeBinary:
		return value(func(i int) []byte { return clip(a.Value(i)) }), nil
	case *array.Date32:
		return value(func(i int) time.Time { return a.Value(i).ToTime() }), nil
	case *array.Date64:
		return value(func(i int) time.Time { return a.Value(i).ToTime() }), nil
	case *array.Timestamp:
		t := a.DataType().(*arrow.TimestampType)
		zone := time.UTC
		if t.TimeZone != "" {
			if z, err := t.GetZone(); err == nil && z != nil {
				zone = z
			}
		}
		return value(func(i int) time.Time { return a.Value(i).ToTime(t.Unit).In(zone) }), nil
	case *array.Dictionary:
		values, err := reader(a.Dictionary(), child)
		return func(i int) (any, error) { return values(a.GetValueIndex(i)) }, err
	case *array.Struct:
		return structReader(a, child)
	case array.ListLike:
		return func(i int) (any, error) {
			from, to := a.ValueOffsets(i)
			return list(a.ListValues(), child, int(from), int(to))
		}, nil
	}
	return nil, schemaError("values of type %s have no Go form", a.DataType())
}

func value[T any](get func(i int) T) func(int) (any, error) {
	return func(i int) (any, error) { return get(i), nil }
}

func clip(b []byte) []byte { return b[:len(b):len(b)] }

func structReader(a *array.Struct, child *rowColumns) (func(i int) (any, error), error) {
	fields := make([]func(i int) (any, error), a.NumField())
	for f := range fields {
		var err error
		if fields[f], err = reader(a.Field(f), child.children[f]); err != nil {
			return nil, err
		}
	}
	const ahead = 64 // rows whose values are allocated together
	var slab []any
	return func(i int) (any, error) {
		if len(slab) < len(fields) {
			slab = make([]any, ahead*len(fields))
		}
		row := Row{child, slab[:len(fields):len(fields)]}
		slab = slab[len(fields):]
		for f, read := range fields {
			if a.Field(f).IsNull(i) {
				continue
			}
			v, err := read(i)
			if err != nil {
				return nil, err
			}
			row.values[f] = v
		}
		return row, nil
	}, nil
}

// list returns the elements from to to-1 of a list's child.
func list(a arrow.Array, child *rowColumns, from, to int) (any, error) {
	if from < 0 || to < from || to > a.Len() {
		return nil, &kindError{ErrCorrupt, fmt.Sprintf("a list holds the values %d to %d of %d", from, to, a.Len()), nil}
	}
	hasNull := false
	for i := from; i < to && a.NullN() > 0; i++ {
		hasNull = hasNull || a.IsNull(i)
	}
	if !hasNull {
		switch a := a.(type) {
		case *array.Boolean:
			return each(from, to, a.Value), nil
		case *array.Int8:
			return part(a.Int8Values(), from, to), nil
		case *array.Int16:
			return part(a.Int16Values(), from, to), nil
		case *array.Int32:
			return part(a.Int32Values(), from, to), nil
		case *array.Int64:
			return part(a.Int64Values(), from, to), nil
		case *array.Uint8:
			return part(a.Uint8Values(), from, to), nil
		case *array.Uint16:
			return part(a.Uint16Values(), from, to), nil
		case *array.Uint32:
			return part(a.Uint32Values(), from, to), nil
		case *array.Uint64:
			return part(a.Uint64Values(), from, to), nil
		case *array.Float16:
			return each(from, to, func(i int) float32 { return float16.Num.Float32(a.Value(i)) }), nil
		case *array.Float32:
			return part(a.Float32Values(), from, to), nil
		case *array.Float64:
			return part(a.Float64Values(), from, to), nil
		case *array.String:
			return each(from, to, a.Value), nil
		}
	}
	values := make([]any, to-from)
	err := decodeColumn(a, child, from, to, func(i int, v any) { values[i] = v })
	return values, err
}

func part[T any](values []T, from, to int) []T { return values[from:to:to] }

func each[T any](from, to int, get func(i int) T) []T {
	values := make([]T, to-from)
	for i := range values {
		values[i] = get(from + i)
	}
	return values
}
