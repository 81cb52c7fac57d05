package dataset

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// valueAppender appends bytes to a buffer that differ for different values of a column.
type valueAppender func(b []byte, row int) []byte

// valueBytes returns how the values of an array become bytes. Equal values of equal types have equal bytes, and numbers
// are told apart by their bits.
func valueBytes(values arrow.Array) valueAppender {
	value := presentBytes(values)
	if values.NullN() == 0 {
		return func(b []byte, row int) []byte { return value(append(b, 1), row) }
	}
	return func(b []byte, row int) []byte {
		if values.IsNull(row) {
			return append(b, 0)
		}
		return value(append(b, 1), row)
	}
}

func presentBytes(values arrow.Array) valueAppender {
	sized := func(b []byte, text string) []byte {
		return append(binary.LittleEndian.AppendUint64(b, uint64(len(text))), text...)
	}
	word := func(of func(row int) uint64) valueAppender {
		return func(b []byte, row int) []byte { return binary.LittleEndian.AppendUint64(b, of(row)) }
	}
	switch a := values.(type) {
	case *array.String:
		return func(b []byte, row int) []byte { return sized(b, a.Value(row)) }
	case *array.LargeString:
		return func(b []byte, row int) []byte { return sized(b, a.Value(row)) }
	case *array.Binary:
		return func(b []byte, row int) []byte { return sized(b, a.ValueString(row)) }
	case *array.LargeBinary:
		return func(b []byte, row int) []byte { return sized(b, a.ValueString(row)) }
	case *array.Boolean:
		return word(func(row int) uint64 {
			if a.Value(row) {
				return 1
			}
			return 0
		})
	case *array.Int64:
		return word(func(row int) uint64 { return uint64(a.Value(row)) })
	case *array.Timestamp:
		return word(func(row int) uint64 { return uint64(a.Value(row)) })
	case *array.Float64:
		return word(func(row int) uint64 { return math.Float64bits(a.Value(row)) })
	case *array.Float32:
		return word(func(row int) uint64 { return uint64(math.Float32bits(a.Value(row))) })
	case *array.Struct:
		fields := make([]valueAppender, a.NumField())
		for i := range fields {
			fields[i] = valueBytes(a.Field(i))
		}
		return func(b []byte, row int) []byte {
			for _, field := range fields {
				b = field(b, row)
			}
			return b
		}
	case array.ListLike: // of fixed size, too
		item := valueBytes(a.ListValues())
		return func(b []byte, row int) []byte {
			from, to := a.ValueOffsets(row)
			b = binary.LittleEndian.AppendUint64(b, uint64(to-from))
			for i := from; i < to; i++ {
				b = item(b, int(i))
			}
			return b
		}
	}
	// Numbers of other sizes are rare.
	return func(b []byte, row int) []byte { return sized(b, fmt.Sprint(values.GetOneForMarshal(row))) }
}
