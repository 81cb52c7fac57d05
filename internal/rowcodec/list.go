package rowcodec

import (
	"fmt"
	"reflect"
	"time"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"pixano/features"
	"pixano/schema"
)

// listOf is the kernel of lists whose items have Go type T. Numbers are shared with the batch; other items of all
// lists of a batch are decoded into one slice that the lists are cut from.
type listOf[T any] struct {
	item   kernel
	shared bool // T lies in Arrow as it does in Go
}

// listKernel returns the kernel of lists of an item type.
func listKernel(item schema.FieldType) (kernel, error) {
	switch item.Name {
	case schema.TypeStr:
		return listOf[string]{item: textKernel{}}, nil
	case schema.TypeBytes:
		return listOf[[]byte]{item: bytesKernel{}}, nil
	case schema.TypeInt:
		return listOf[int64]{item: fixedKernel[int64]{}, shared: true}, nil
	case schema.TypeFloat:
		return listOf[float64]{item: fixedKernel[float64]{}, shared: true}, nil
	case schema.TypeBool:
		return listOf[bool]{item: boolKernel{}}, nil
	case schema.TypeDatetime:
		return listOf[time.Time]{item: timeKernel{}}, nil
	}
	k, err := kernelOf(item, item.GoType())
	if err != nil {
		return nil, err
	}
	switch item.Name {
	case schema.TypeNDArrayFloat:
		return listOf[features.NDArrayFloat]{item: k}, nil
	case schema.TypeBaseIntrinsics:
		return listOf[features.BaseIntrinsics]{item: k}, nil
	case schema.TypeIntrinsics:
		return listOf[features.Intrinsics]{item: k}, nil
	case schema.TypeExtrinsics:
		return listOf[features.Extrinsics]{item: k}, nil
	}
	// All references have one shape.
	return listOf[features.ItemRef]{item: k}, nil
}

func (l listOf[T]) bind(a arrow.Array) (reader, error) {
	at := spans(a)
	// Items before the first list and behind the last one belong to rows that are not asked for.
	first, end := at[0], at[len(at)-1]
	child := a.(*array.List).ListValues()
	if first < 0 || end < first || int(end) > child.Len() {
		return nil, fmt.Errorf("lists of the items %d to %d of %d", first, end, child.Len())
	}
	child = array.NewSlice(child, int64(first), int64(end))
	if item := firstNull(child); item >= 0 {
		return nil, nullItem(at, item+int(first))
	}
	var items []T
	if l.shared {
		items = values[T](child)
	} else {
		var err error
		if items, err = decodeItems[T](l.item, child); err != nil {
			return nil, err
		}
	}
	if items == nil {
		items = []T{}
	}
	return func(lo, hi int, dst unsafe.Pointer, stride uintptr) error {
		from := at[lo] - first
		for i, to := range at[lo+1 : hi+1] {
			to -= first
			*(*[]T)(unsafe.Add(dst, uintptr(i)*stride)) = items[from:to:to]
			from = to
		}
		return nil
	}, nil
}

// decodeItems decodes a whole array. Memory is taken after binding, which looks at the size of its buffers.
func decodeItems[T any](item kernel, a arrow.Array) ([]T, error) {
	n := a.Len()
	if n == 0 {
		return []T{}, nil
	}
	read, err := item.bind(a)
	if err != nil {
		return nil, placeless(err)
	}
	items := make([]T, n)
	return items, placeless(read(0, n, unsafe.Pointer(unsafe.SliceData(items)), unsafe.Sizeof(items[0])))
}

// placeless forgets the row of an error in an item, which is no row of the table.
func placeless(err error) error {
	if e, ok := err.(*rowError); ok {
		return fmt.Errorf("item %d of all lists: %w", e.row, e.err)
	}
	return err
}

// nullItem is the error of a null in the list that item lies in.
func nullItem(at []int32, item int) error {
	for row := 0; row+1 < len(at); row++ {
		if int(at[row]) <= item && item < int(at[row+1]) {
			return atRow(row, "item %d is null", item-int(at[row]))
		}
	}
	return fmt.Errorf("item %d of all lists is null", item)
}

func (l listOf[T]) encode(src place, n int, t arrow.DataType) (arrow.ArrayData, error) {
	offsets := make([]int32, n+1)
	total := 0
	for i := range n {
		total += len(*(*[]T)(src.at(i)))
		if total > maxVariable {
			return nil, atRow(i, "more than 2^31 list items in one batch: encode fewer rows at a time")
		}
		offsets[i+1] = int32(total)
	}
	items := make([]T, 0, total)
	for i := range n {
		items = append(items, *(*[]T)(src.at(i))...)
	}
	child, err := l.item.encode(placeIn(items), total, t.(*arrow.ListType).Elem())
	if err != nil {
		return nil, err
	}
	return arrayData(t, n, 0, nil, [][]byte{bytesOf(offsets)}, []arrow.ArrayData{child}), nil
}

// placeIn gives the places of the values of a slice.
func placeIn[T any](items []T) place {
	return place{base: unsafe.Pointer(unsafe.SliceData(items)), stride: unsafe.Sizeof(*new(T))}
}

// vectorOf is the kernel of fixed-size lists, in Go slices or arrays. A null is a nil slice; arrays cannot be null.
type vectorOf[T any] struct {
	item   kernel
	shared bool
	length int // of a Go array, 0 for a slice
}

func fixedSizeKernel(t schema.FieldType, g reflect.Type) (kernel, error) {
	length := 0
	if g.Kind() == reflect.Array {
		length = g.Len()
	}
	switch t.ValueType {
	case "halffloat":
		return vectorOf[schema.Float16]{fixedKernel[schema.Float16]{}, true, length}, nil
	case "float":
		return vectorOf[float32]{fixedKernel[float32]{}, true, length}, nil
	case "double":
		return vectorOf[float64]{fixedKernel[float64]{}, true, length}, nil
	case "int8":
		return vectorOf[int8]{fixedKernel[int8]{}, true, length}, nil
	case "int16":
		return vectorOf[int16]{fixedKernel[int16]{}, true, length}, nil
	case "int32":
		return vectorOf[int32]{fixedKernel[int32]{}, true, length}, nil
	case "int64":
		return vectorOf[int64]{fixedKernel[int64]{}, true, length}, nil
	case "uint8":
		return vectorOf[uint8]{fixedKernel[uint8]{}, true, length}, nil
	case "uint16":
		return vectorOf[uint16]{fixedKernel[uint16]{}, true, length}, nil
	case "uint32":
		return vectorOf[uint32]{fixedKernel[uint32]{}, true, length}, nil
	case "uint64":
		return vectorOf[uint64]{fixedKernel[uint64]{}, true, length}, nil
	case "bool":
		return vectorOf[bool]{boolKernel{}, false, length}, nil
	case "binary":
		return vectorOf[[]byte]{bytesKernel{}, false, length}, nil
	}
	return nil, fmt.Errorf("%s: no such value type", t)
}

func (v vectorOf[T]) bind(a arrow.Array) (reader, error) {
	list := a.(*array.FixedSizeList)
	dim := int(list.DataType().(*arrow.FixedSizeListType).Len())
	null := firstNull(a)
	if null >= 0 && v.length > 0 {
		return nil, atRow(null, "is null, which a Go array cannot hold")
	}
	child := list.ListValues()
	if whole := child.Len() / dim; whole < a.Len() || whole-a.Len() < a.Data().Offset() {
		return nil, fmt.Errorf("%d lists of %d from number %d on have %d values", a.Len(), dim, a.Data().Offset(), child.Len())
	}
	start, n := a.Data().Offset()*dim, a.Len()*dim
	child = array.NewSlice(child, int64(start), int64(start+n))
	if firstNull(child) >= 0 {
		// Items of null lists may be null too: only those of the others count.
		for i := range n {
			if child.IsNull(i) && !a.IsNull(i/dim) {
				return nil, atRow(i/dim, "value %d is null", i%dim)
			}
		}
	}
	var items []T
	if v.shared {
		items = values[T](child)
	} else {
		var err error
		if items, err = decodeItems[T](v.item, child); err != nil {
			return nil, err
		}
	}
	if v.length > 0 {
		return func(lo, hi int, dst unsafe.Pointer, stride uintptr) error {
			for i := lo; i < hi; i++ {
				copy(unsafe.Slice((*T)(unsafe.Add(dst, uintptr(i-lo)*stride)), dim), items[i*dim:(i+1)*dim])
			}
			return nil
		}, nil
	}
	return func(lo, hi int, dst unsafe.Pointer, stride uintptr) error {
		for i := lo; i < hi; i++ {
			vector := (*[]T)(unsafe.Add(dst, uintptr(i-lo)*stride))
			if null >= 0 && a.IsNull(i) {
				*vector = nil
			} else {
				*vector = items[i*dim : (i+1)*dim : (i+1)*dim]
			}
		}
		return nil
	}, nil
}

func (v vectorOf[T]) encode(src place, n int, t arrow.DataType) (arrow.ArrayData, error) {
	list := t.(*arrow.FixedSizeListType)
	dim := int(list.Len())
	items := make([]T, n*dim)
	var valid []byte
	nulls := 0
	for i := range n {
		var have []T
		if v.length > 0 {
			have = unsafe.Slice((*T)(src.at(i)), v.length)
		} else if have = *(*[]T)(src.at(i)); have == nil {
			if valid == nil {
				valid = make([]byte, (n+7)/8)
				for j := range valid {
					valid[j] = 0xff
				}
			}
			valid[i/8] &^= 1 << (i % 8)
			nulls++
			continue
		}
		if len(have) != dim {
			return nil, atRow(i, "want %d values, have %d", dim, len(have))
		}
		copy(items[i*dim:], have)
	}
	var child arrow.ArrayData
	if v.shared { // the values lie as Arrow wants them
		child = arrayData(list.Elem(), len(items), 0, nil, [][]byte{bytesOf(items)}, nil)
	} else {
		var err error
		if child, err = v.item.encode(placeIn(items), len(items), list.Elem()); err != nil {
			return nil, err
		}
	}
	return arrayData(t, n, nulls, valid, nil, []arrow.ArrayData{child}), nil
}
