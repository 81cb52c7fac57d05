package rowcodec

import (
	"fmt"
	"reflect"
	"time"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"pixano/schema"
)

// A kernel converts the values of one column. Values in rows are reached by their address: their Go types were checked
// when the codec was compiled, and named types (type Label string) lie in memory as the types they are made of.
type kernel interface {
	// bind prepares reading one array.
	bind(a arrow.Array) (reader, error)
	// encode makes the data of an array of n values of type t.
	encode(src place, n int, t arrow.DataType) (arrow.ArrayData, error)
}

// reader writes values lo to hi (exclusive) of its array to dst, dst+stride and so on.
type reader func(lo, hi int, dst unsafe.Pointer, stride uintptr) error

// place is where the values of a column lie: in rows that follow each other, or in rows behind pointers that do.
type place struct {
	base   unsafe.Pointer
	stride uintptr
	offset uintptr // of the value in a row
	behind bool    // pointers
}

// at gives the address of the value of a row.
func (p place) at(row int) unsafe.Pointer {
	at := unsafe.Add(p.base, uintptr(row)*p.stride)
	if p.behind {
		at = *(*unsafe.Pointer)(at)
	}
	return unsafe.Add(at, p.offset)
}

// kernelOf returns the kernel for a column type and the Go type that holds it.
func kernelOf(t schema.FieldType, g reflect.Type) (kernel, error) {
	if t.Name == schema.TypeFixedSizeList {
		return fixedSizeKernel(t, g)
	}
	if t.Collection {
		item := t
		item.Collection = false
		return listKernel(item)
	}
	if k, ok := scalarKernels[t.Name]; ok {
		return k, nil
	}
	if parts := t.Fields(); parts != nil {
		return structKernelOf(parts, g)
	}
	return nil, fmt.Errorf("%s in a Go %s: no such column type", t, g)
}

var scalarKernels = map[string]kernel{
	schema.TypeStr:      textKernel{},
	schema.TypeBytes:    bytesKernel{},
	schema.TypeInt:      fixedKernel[int64]{},
	schema.TypeFloat:    fixedKernel[float64]{},
	schema.TypeBool:     boolKernel{},
	schema.TypeDatetime: timeKernel{},
}

// values returns the fixed-width values of an array, its slice offset applied.
func values[T any](a arrow.Array) []T {
	d := a.Data()
	if d.Len() == 0 {
		return nil
	}
	b := d.Buffers()[1]
	all := unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b.Bytes()))), b.Len()/int(unsafe.Sizeof(*new(T))))
	lo, hi := d.Offset(), d.Offset()+d.Len()
	return all[lo:hi:hi] // and no values of the buffer beyond the array
}

// fixedKernel is for numbers, which lie in Arrow as they do in Go.
type fixedKernel[T any] struct{}

func (fixedKernel[T]) bind(a arrow.Array) (reader, error) {
	v := values[T](a)
	return func(lo, hi int, dst unsafe.Pointer, stride uintptr) error {
		for i, x := range v[lo:hi] {
			*(*T)(unsafe.Add(dst, uintptr(i)*stride)) = x
		}
		return nil
	}, nil
}

func (fixedKernel[T]) encode(src place, n int, t arrow.DataType) (arrow.ArrayData, error) {
	v := make([]T, n)
	for i := range v {
		v[i] = *(*T)(src.at(i))
	}
	return arrayData(t, n, 0, nil, [][]byte{bytesOf(v)}, nil), nil
}

type boolKernel struct{}

func (boolKernel) bind(a arrow.Array) (reader, error) {
	b := a.(*array.Boolean)
	if d := a.Data(); d.Len() > 0 && d.Buffers()[1].Len() < (d.Offset()+d.Len()+7)/8 {
		return nil, fmt.Errorf("bits of %d bytes for %d values at %d", d.Buffers()[1].Len(), d.Len(), d.Offset())
	}
	return func(lo, hi int, dst unsafe.Pointer, stride uintptr) error {
		for i := lo; i < hi; i++ {
			*(*bool)(unsafe.Add(dst, uintptr(i-lo)*stride)) = b.Value(i)
		}
		return nil
	}, nil
}

func (boolKernel) encode(src place, n int, t arrow.DataType) (arrow.ArrayData, error) {
	bits := make([]byte, (n+7)/8)
	for i := range n {
		if *(*bool)(src.at(i)) {
			bits[i/8] |= 1 << (i % 8)
		}
	}
	return arrayData(t, n, 0, nil, [][]byte{bits}, nil), nil
}

// timeKernel holds naive times: the wall clock of whatever location, read back in UTC.
type timeKernel struct{}

func (timeKernel) bind(a arrow.Array) (reader, error) {
	v := values[int64](a)
	return func(lo, hi int, dst unsafe.Pointer, stride uintptr) error {
		for i, us := range v[lo:hi] {
			*(*time.Time)(unsafe.Add(dst, uintptr(i)*stride)) = time.UnixMicro(us).UTC()
		}
		return nil
	}, nil
}

func (timeKernel) encode(src place, n int, t arrow.DataType) (arrow.ArrayData, error) {
	v := make([]int64, n)
	for i := range v {
		at := *(*time.Time)(src.at(i))
		_, east := at.Zone()
		v[i] = at.Unix()*1e6 + int64(east)*1e6 + int64(at.Nanosecond())/1e3
	}
	return arrayData(t, n, 0, nil, [][]byte{bytesOf(v)}, nil), nil
}

// spans are the places of variable-length values.
func spans(a arrow.Array) []int32 {
	d := a.Data()
	b := d.Buffers()[1]
	if d.Len() == 0 && (b == nil || b.Len() == 0) {
		return make([]int32, 1)
	}
	all := unsafe.Slice((*int32)(unsafe.Pointer(unsafe.SliceData(b.Bytes()))), b.Len()/4)
	return all[d.Offset() : d.Offset()+d.Len()+1]
}

func content(a arrow.Array) []byte {
	if b := a.Data().Buffers()[2]; b != nil {
		return b.Bytes()
	}
	return nil
}

type textKernel struct{}

func (textKernel) bind(a arrow.Array) (reader, error) {
	at, data := spans(a), content(a)
	all := unsafe.String(unsafe.SliceData(data), len(data))
	return func(lo, hi int, dst unsafe.Pointer, stride uintptr) error {
		from := at[lo]
		for i, to := range at[lo+1 : hi+1] {
			*(*string)(unsafe.Add(dst, uintptr(i)*stride)) = all[from:to]
			from = to
		}
		return nil
	}, nil
}

func (textKernel) encode(src place, n int, t arrow.DataType) (arrow.ArrayData, error) {
	return encodeVariable[string](src, n, t)
}

type bytesKernel struct{}

func (bytesKernel) bind(a arrow.Array) (reader, error) {
	at, data := spans(a), content(a)
	if data == nil {
		data = []byte{}
	}
	return func(lo, hi int, dst unsafe.Pointer, stride uintptr) error {
		from := at[lo]
		for i, to := range at[lo+1 : hi+1] {
			*(*[]byte)(unsafe.Add(dst, uintptr(i)*stride)) = data[from:to:to]
			from = to
		}
		return nil
	}, nil
}

func (bytesKernel) encode(src place, n int, t arrow.DataType) (arrow.ArrayData, error) {
	return encodeVariable[[]byte](src, n, t)
}

// maxVariable is the most that the 32-bit offsets of one array can reach.
const maxVariable = 1<<31 - 1

func encodeVariable[T string | []byte](src place, n int, t arrow.DataType) (arrow.ArrayData, error) {
	offsets := make([]int32, n+1)
	total := 0
	for i := range n {
		total += len(*(*T)(src.at(i)))
		if total > maxVariable {
			return nil, atRow(i, "more than 2 GiB in one batch: encode fewer rows at a time")
		}
		offsets[i+1] = int32(total)
	}
	data := make([]byte, 0, total)
	for i := range n {
		data = append(data, *(*T)(src.at(i))...)
	}
	return arrayData(t, n, 0, nil, [][]byte{bytesOf(offsets), data}, nil), nil
}

// structKernel is for references, arrays and calibrations.
type structKernel struct {
	parts   []kernel
	offsets []uintptr
}

func structKernelOf(parts []schema.Column, g reflect.Type) (kernel, error) {
	var s structKernel
	for _, part := range parts {
		k, err := kernelOf(part.Type, part.GoType)
		if err != nil {
			return nil, err
		}
		s.parts = append(s.parts, k)
		s.offsets = append(s.offsets, g.FieldByIndex(part.Index).Offset)
	}
	return s, nil
}

func (s structKernel) bind(a arrow.Array) (reader, error) {
	st := a.(*array.Struct)
	readers := make([]reader, len(s.parts))
	for i, part := range s.parts {
		field := st.Field(i)
		if field.Len() < st.Len() {
			return nil, fmt.Errorf("a struct of %d values has %d values in part %d", st.Len(), field.Len(), i)
		}
		if row := firstNull(field); row >= 0 {
			return nil, atRow(row, "part %d is null", i)
		}
		var err error
		if readers[i], err = part.bind(field); err != nil {
			return nil, err
		}
	}
	return func(lo, hi int, dst unsafe.Pointer, stride uintptr) error {
		for i, read := range readers {
			if err := read(lo, hi, unsafe.Add(dst, s.offsets[i]), stride); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

func (s structKernel) encode(src place, n int, t arrow.DataType) (arrow.ArrayData, error) {
	fields := t.(*arrow.StructType).Fields()
	children := make([]arrow.ArrayData, len(s.parts))
	for i, part := range s.parts {
		values := src
		values.offset += s.offsets[i]
		var err error
		children[i], err = part.encode(values, n, fields[i].Type)
		if err != nil {
			return nil, err
		}
	}
	return arrayData(t, n, 0, nil, nil, children), nil
}
