package rowcodec

import (
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// arrayData assembles the data of an array from Go memory: its validity bits (nil: no nulls), further buffers, children.
func arrayData(t arrow.DataType, n, nulls int, valid []byte, buffers [][]byte, children []arrow.ArrayData) arrow.ArrayData {
	all := make([]*memory.Buffer, 1, 1+len(buffers))
	if valid != nil {
		all[0] = memory.NewBufferBytes(valid)
	}
	for _, b := range buffers {
		all = append(all, memory.NewBufferBytes(b))
	}
	return array.NewData(t, n, all, children, nulls, 0)
}

// bytesOf returns the memory of a slice of fixed-width values.
func bytesOf[T any](v []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*int(unsafe.Sizeof(*new(T))))
}

// A Go int and an int64 are read and written alike, which needs them to be of one size.
var _ = [1]struct{}{}[8-unsafe.Sizeof(int(0))]
