package rowcodec

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"pixano/schema"
)

// ArrowType returns the Arrow type in which columns of type t are stored. Items of lists are nullable there, as all
// implementations of the format write them, and never null. A fixed-size list without a length is an error.
func ArrowType(t schema.FieldType) (arrow.DataType, error) {
	if t.Name == schema.TypeFixedSizeList {
		if t.Dim <= 0 {
			return nil, fmt.Errorf("%s has no length", t)
		}
		item, ok := valueTypes[t.ValueType]
		if !ok {
			return nil, fmt.Errorf("%s: no such value type", t)
		}
		return arrow.FixedSizeListOf(int32(t.Dim), item), nil
	}
	item, ok := scalarTypes[t.Name]
	if !ok {
		parts := t.Fields()
		if parts == nil {
			return nil, fmt.Errorf("%s: no such column type", t)
		}
		fields := make([]arrow.Field, len(parts))
		for i, part := range parts {
			inner, err := ArrowType(part.Type)
			if err != nil {
				return nil, err
			}
			fields[i] = arrow.Field{Name: part.Name, Type: inner}
		}
		item = arrow.StructOf(fields...)
	}
	if t.Collection {
		return arrow.ListOf(item), nil
	}
	return item, nil
}

// ArrowSchema returns the schema of a table with these columns, without metadata.
func ArrowSchema(fields []schema.Field) (*arrow.Schema, error) {
	columns := make([]arrow.Field, len(fields))
	for i, f := range fields {
		t, err := ArrowType(f.Type)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", f.Name, err)
		}
		columns[i] = arrow.Field{Name: f.Name, Type: t, Nullable: f.Type.Nullable()}
	}
	return arrow.NewSchema(columns, nil), nil
}

var scalarTypes = map[string]arrow.DataType{
	schema.TypeStr:      arrow.BinaryTypes.String,
	schema.TypeInt:      arrow.PrimitiveTypes.Int64,
	schema.TypeFloat:    arrow.PrimitiveTypes.Float64,
	schema.TypeBool:     arrow.FixedWidthTypes.Boolean,
	schema.TypeBytes:    arrow.BinaryTypes.Binary,
	schema.TypeDatetime: &arrow.TimestampType{Unit: arrow.Microsecond},
}

var valueTypes = map[string]arrow.DataType{
	"halffloat": arrow.FixedWidthTypes.Float16,
	"float":     arrow.PrimitiveTypes.Float32,
	"double":    arrow.PrimitiveTypes.Float64,
	"int8":      arrow.PrimitiveTypes.Int8,
	"int16":     arrow.PrimitiveTypes.Int16,
	"int32":     arrow.PrimitiveTypes.Int32,
	"int64":     arrow.PrimitiveTypes.Int64,
	"uint8":     arrow.PrimitiveTypes.Uint8,
	"uint16":    arrow.PrimitiveTypes.Uint16,
	"uint32":    arrow.PrimitiveTypes.Uint32,
	"uint64":    arrow.PrimitiveTypes.Uint64,
	"binary":    arrow.BinaryTypes.Binary,
	"bool":      arrow.FixedWidthTypes.Boolean,
}

// sameType reports whether a column of type have holds what want says. Names and nullability of list items and the
// nullability of struct parts differ between writers and mean nothing.
func sameType(have, want arrow.DataType) bool {
	if have.ID() != want.ID() {
		return false
	}
	switch want := want.(type) {
	case *arrow.ListType:
		return sameType(have.(*arrow.ListType).Elem(), want.Elem())
	case *arrow.FixedSizeListType:
		have := have.(*arrow.FixedSizeListType)
		return have.Len() == want.Len() && sameType(have.Elem(), want.Elem())
	case *arrow.StructType:
		have := have.(*arrow.StructType)
		if have.NumFields() != want.NumFields() {
			return false
		}
		for i, f := range want.Fields() {
			if have.Field(i).Name != f.Name || !sameType(have.Field(i).Type, f.Type) {
				return false
			}
		}
		return true
	}
	return arrow.TypeEqual(have, want)
}
