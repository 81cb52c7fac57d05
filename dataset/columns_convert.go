package dataset

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"pixano/internal/rowcodec"
	"pixano/schema"
)

// castTypes are the types of columns that are computed, as the engine names them.
var castTypes = map[string]string{
	schema.TypeStr: "Utf8", schema.TypeInt: "Int64", schema.TypeFloat: "Float64", schema.TypeBool: "Boolean",
	schema.TypeBytes: "Binary", schema.TypeDatetime: "Timestamp(Microsecond, None)",
}

var zeroLiterals = map[string]string{
	schema.TypeStr: "''", schema.TypeInt: "arrow_cast(0, 'Int64')", schema.TypeFloat: "arrow_cast(0, 'Float64')", schema.TypeBool: "FALSE",
	schema.TypeBytes: "X''", schema.TypeDatetime: "arrow_cast('1970-01-01T00:00:00', 'Timestamp(Microsecond, None)')",
}

// constant returns an array of one value: that of a new column.
func (c *columnChange) constant(n NewColumn) (arrow.Array, error) {
	values := []any{n.Value}
	column, err := encodeValues(n.Name, n.Type, values)
	if err != nil {
		return nil, &Error{Field: n.Name, Err: err}
	}
	return column, nil
}

// encodeValues gives values, nil for the zero value or null, as a column of a type.
func encodeValues(name string, t schema.FieldType, values []any) (arrow.Array, error) {
	head, err := schema.ClassOf(schema.Item{})
	if err != nil {
		return nil, err
	}
	class := &schema.Class{Name: head.Name, Base: head.Base, Fields: append(slices.Clone(head.Fields), schema.Field{Name: name, Type: t})}
	zero, err := schema.NewDynamic(class)
	if err != nil {
		return nil, err
	}
	rows := make([]*schema.Dynamic, len(values))
	for i, v := range values {
		rows[i] = zero
		if v == nil {
			continue
		}
		rows[i] = zero.Clone()
		if err := rows[i].Set(name, v); err != nil {
			return nil, &valueError{i, err}
		}
	}
	codec, err := rowcodec.ForClass(class)
	if err != nil {
		return nil, err
	}
	columns, err := codec.Schema()
	if err != nil {
		return nil, err
	}
	batch, err := codec.Encode(rows, columns)
	if err != nil {
		return nil, err
	}
	return batch.Column(len(class.Fields) - 1), nil
}

// valueError is the error of one of several values.
type valueError struct {
	row int
	err error
}

func (e *valueError) Error() string { return e.err.Error() }
func (e *valueError) Unwrap() error { return e.err }

// literal gives the only value of an array in SQL, if the engine makes exactly this column of it.
func literal(t schema.FieldType, values arrow.Array) (string, bool) {
	typ, ok := castTypes[t.Name]
	if !ok {
		return "", false
	}
	one := func(values arrow.Array, i int) (string, bool) {
		var v any
		switch values := values.(type) {
		case *array.String:
			v = values.Value(i)
		case *array.Int64:
			v = values.Value(i)
		case *array.Float64:
			v = values.Value(i)
		case *array.Boolean:
			v = values.Value(i)
		case *array.Binary:
			v = values.Value(i)
		case *array.Timestamp:
			at := values.Value(i).ToTime(arrow.Microsecond)
			if at.Year() < 1 || at.Year() > 9999 {
				return "", false
			}
			v = schema.FormatTime(at)
		}
		text, err := quote(v)
		return "arrow_cast(" + text + ", '" + typ + "')", v != nil && err == nil
	}
	if !t.Collection {
		return one(values, 0)
	}
	list, ok := values.(*array.List)
	if !ok {
		return "", false
	}
	from, to := list.ValueOffsets(0)
	parts := make([]string, 0, to-from)
	for i := from; i < to; i++ {
		part, ok := one(list.ListValues(), int(i))
		if !ok {
			return "", false
		}
		parts = append(parts, part)
	}
	return "arrow_cast(make_array(" + strings.Join(parts, ", ") + "), 'List(" + typ + ")')", true
}

// columnSource makes a column for the rows of a batch, whose first column are the ids.
type columnSource func(batch arrow.RecordBatch) (arrow.Array, error)

// constantSource repeats a value.
func constantSource(value arrow.Array) columnSource {
	var repeated arrow.Array
	return func(batch arrow.RecordBatch) (arrow.Array, error) {
		n := int(batch.NumRows())
		if repeated == nil || repeated.Len() < n {
			copies := make([]arrow.Array, max(n, 8192))
			for i := range copies {
				copies[i] = value
			}
			var err error
			if repeated, err = array.Concatenate(copies, memory.NewGoAllocator()); err != nil {
				return nil, err
			}
		}
		return array.NewSlice(repeated, 0, int64(n)), nil
	}
}

// convert converts the values of a column.
func (c *columnChange) convert(name string, from, to schema.FieldType) columnSource {
	return func(batch arrow.RecordBatch) (arrow.Array, error) {
		at := batch.Schema().FieldIndices(name)
		values := make([]any, batch.NumRows())
		columns := newRowColumns(batch.Schema().Fields())
		err := decodeColumn(batch.Column(at[0]), columns.children[at[0]], 0, len(values), func(i int, v any) { values[i] = v })
		if err != nil {
			return nil, err
		}
		for i, v := range values {
			if v == nil && !to.Nullable() {
				return nil, c.atRow(batch, i, name, schemaError("null: want a %s", to))
			}
			values[i] = toType(v, from, to)
		}
		column, err := encodeValues(name, to, values)
		if e, ok := errors.AsType[*valueError](err); ok {
			return nil, c.atRow(batch, e.row, name, schemaError("%s cannot become a %s", showScalar(values[e.row]), to))
		}
		return column, err
	}
}

func (c *columnChange) atRow(batch arrow.RecordBatch, row int, field string, err error) error {
	e := &Error{Field: field, Err: err}
	if ids, idErr := stringColumn(batch, "id"); idErr == nil {
		e.ID = textAt(ids, row)
	}
	return e
}

// toType brings a value into a form that the new type may take: texts of what is none, and lists.
func toType(v any, from, to schema.FieldType) any {
	if to.Name == schema.TypeStr && from.Name != schema.TypeStr && from.Name != schema.TypeBytes {
		switch list := v.(type) {
		case []int64:
			v = textsOf(list)
		case []float64:
			v = textsOf(list)
		case []bool:
			v = textsOf(list)
		case []time.Time:
			v = textsOf(list)
		default:
			v = scalarText(v)
		}
	}
	if to.Collection && !from.Collection && from.Name != schema.TypeFixedSizeList {
		return []any{v}
	}
	return v
}

func textsOf[T any](list []T) []any {
	texts := make([]any, len(list))
	for i, v := range list {
		texts[i] = scalarText(v)
	}
	return texts
}

// scalarText gives a number, boolean or time as text; anything else as it is.
func scalarText(v any) any {
	switch v := v.(type) {
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	case time.Time:
		return schema.FormatTime(v)
	}
	return v
}
