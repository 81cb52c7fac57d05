package rowcodec

import (
	"fmt"
	"reflect"
	"sync"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"

	"pixano/schema"
)

// Codec converts rows of one struct type, or dynamic rows of one class. It is safe for concurrent use.
type Codec struct {
	name    string       // in errors
	row     reflect.Type // struct type; nil for dynamic rows
	class   *schema.Class
	columns []column
}

// column is a column of a codec: what it is, where its value lies in a row, and how it is converted.
type column struct {
	schema.Field
	goType reflect.Type
	offset uintptr
	kernel kernel
}

type codecResult struct {
	codec *Codec
	err   error
}

var codecs sync.Map // reflect.Type -> codecResult

// For returns the codec of a struct type, or of a pointer to one. The same type gives the same codec, or the same
// error, which is [schema.PlanOf]'s.
func For(t reflect.Type) (*Codec, error) {
	if t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if r, ok := codecs.Load(t); ok {
		return r.(codecResult).codec, r.(codecResult).err
	}
	c, err := compile(t)
	r, _ := codecs.LoadOrStore(t, codecResult{c, err})
	return r.(codecResult).codec, r.(codecResult).err
}

func compile(t reflect.Type) (*Codec, error) {
	plan, err := schema.PlanOf(t)
	if err != nil {
		return nil, err
	}
	c := &Codec{name: plan.Type.String(), row: plan.Type}
	for _, col := range plan.Columns {
		offset := uintptr(0)
		at := plan.Type
		for _, i := range col.Index {
			f := at.Field(i)
			offset += f.Offset
			at = f.Type
		}
		k, err := kernelOf(col.Type, col.GoType)
		if err != nil {
			return nil, &Error{Type: c.name, Column: col.Name, Row: -1, Err: err}
		}
		c.columns = append(c.columns, column{col.Field, col.GoType, offset, k})
	}
	return c, nil
}

// ForClass returns a codec for rows of a class as [schema.Dynamic].
func ForClass(class *schema.Class) (*Codec, error) {
	if err := class.Validate(); err != nil {
		return nil, err
	}
	c := &Codec{name: class.Name, class: class}
	for _, f := range class.Fields {
		t := f.Type.GoType()
		k, err := kernelOf(f.Type, t)
		if err != nil {
			return nil, &Error{Type: c.name, Column: f.Name, Row: -1, Err: err}
		}
		c.columns = append(c.columns, column{f, t, 0, k})
	}
	return c, nil
}

// Columns returns the names of the codec's columns in order: what a query has to read.
func (c *Codec) Columns() []string {
	names := make([]string, len(c.columns))
	for i := range c.columns {
		names[i] = c.columns[i].Name
	}
	return names
}

// Schema returns the Arrow schema of a table of these rows. A vector without a length in its type is an error.
func (c *Codec) Schema() (*arrow.Schema, error) {
	fields := make([]schema.Field, len(c.columns))
	for i := range c.columns {
		fields[i] = c.columns[i].Field
	}
	s, err := ArrowSchema(fields)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	return s, nil
}

// Decoder reads batches of one Arrow schema into rows. It is safe for concurrent use.
type Decoder struct {
	codec  *Codec
	places []int            // of the codec's columns in a batch
	types  []arrow.DataType // of the columns there
}

// Decoder binds the codec to a schema, in which every column of the codec has to occur once and with its type. Columns
// that the codec lacks are left alone. Error: [Error], of the first column that is missing or of another type.
func (c *Codec) Decoder(s *arrow.Schema) (*Decoder, error) {
	d := &Decoder{codec: c, places: make([]int, len(c.columns)), types: make([]arrow.DataType, len(c.columns))}
	for i := range c.columns {
		col := &c.columns[i]
		found := s.FieldIndices(col.Name)
		if len(found) != 1 {
			return nil, &Error{Type: c.name, Column: col.Name, Row: -1, Err: fmt.Errorf("found %d columns of this name, want 1", len(found))}
		}
		have := s.Field(found[0]).Type
		if err := c.checkType(col, have); err != nil {
			return nil, err
		}
		d.places[i], d.types[i] = found[0], have
	}
	return d, nil
}

// checkType compares a column's type with the table's. A vector of no fixed length takes the table's.
func (c *Codec) checkType(col *column, have arrow.DataType) error {
	t := col.Type
	if list, ok := have.(*arrow.FixedSizeListType); ok && t.Name == schema.TypeFixedSizeList && t.Dim == 0 {
		t.Dim = int(list.Len())
	}
	want, err := ArrowType(t)
	if err != nil {
		return &Error{Type: c.name, Column: col.Name, Row: -1, Err: err}
	}
	if !sameType(have, want) {
		return &Error{Type: c.name, Column: col.Name, Row: -1, Have: have, Want: want}
	}
	return nil
}

// blockRows is how many rows are decoded column by column before the next ones, so that they stay in the cache: 256
// rows of a box are 90 kB.
const blockRows = 256

// Append appends the rows of a batch to dst.
//
// T is the codec's struct type or, for a codec of [ForClass], *schema.Dynamic. The batch has the schema that the decoder
// is bound to; one of another schema, a null where the format has none and corrupt data are an [Error]. After an error dst
// is what it was.
func Append[T any](d *Decoder, dst []T, batch arrow.RecordBatch) ([]T, error) {
	err := d.AppendTo(&dst, batch)
	return dst, err
}

// AppendTo is [Append] without type parameters: dst is a pointer to a slice.
func (d *Decoder) AppendTo(dst any, batch arrow.RecordBatch) error {
	p := reflect.ValueOf(dst)
	if p.Kind() != reflect.Pointer || p.Elem().Kind() != reflect.Slice {
		return fmt.Errorf("%s: decode into %T, want a pointer to a slice", d.codec.name, dst)
	}
	slice := p.Elem()
	n, old := int(batch.NumRows()), slice.Len()
	if d.codec.row == nil {
		return d.appendDynamic(slice, batch)
	}
	if slice.Type().Elem() != d.codec.row {
		return fmt.Errorf("decode rows of %s into %s", d.codec.name, slice.Type())
	}
	// Binding looks at the size of every buffer, so that memory is taken only for rows that are there.
	readers, err := d.bindAll(batch)
	if err != nil || n == 0 {
		return err
	}
	slice.Grow(n)
	slice.SetLen(old + n)
	slice.Slice(old, old+n).Clear() // of what an earlier use of its memory left
	base := slice.Index(old).Addr().UnsafePointer()
	if err := d.decode(base, d.codec.row.Size(), n, readers); err != nil {
		slice.SetLen(old)
		return err
	}
	return nil
}

func (d *Decoder) decode(base unsafe.Pointer, stride uintptr, n int, readers []reader) error {
	for lo := 0; lo < n; lo += blockRows {
		hi := min(lo+blockRows, n)
		for i, read := range readers {
			col := &d.codec.columns[i]
			at := unsafe.Add(base, uintptr(lo)*stride+col.offset)
			if err := guard(func() error { return read(lo, hi, at, stride) }); err != nil {
				return d.codec.failed(col, err)
			}
		}
	}
	return nil
}

// bindAll returns the readers of all columns of a batch.
func (d *Decoder) bindAll(batch arrow.RecordBatch) ([]reader, error) {
	readers := make([]reader, len(d.places))
	for i, place := range d.places {
		col := &d.codec.columns[i]
		if place >= int(batch.NumCols()) {
			return nil, d.codec.failed(col, fmt.Errorf("the batch has %d columns, this one is number %d", batch.NumCols(), place))
		}
		a := batch.Column(place)
		if have := a.DataType(); have != d.types[i] && !sameType(have, d.types[i]) {
			return nil, &Error{Type: d.codec.name, Column: col.Name, Row: -1, Have: have, Want: d.types[i]}
		}
		read, err := d.bind(col, a, int(batch.NumRows()))
		if err != nil {
			return nil, err
		}
		readers[i] = read
	}
	return readers, nil
}

func (d *Decoder) bind(col *column, a arrow.Array, rows int) (read reader, err error) {
	err = guard(func() error {
		if a.Len() < rows {
			return fmt.Errorf("%d values for %d rows", a.Len(), rows)
		}
		if err := checkParts(a); err != nil {
			return err
		}
		if !col.Type.Nullable() {
			if row := firstNull(a); row >= 0 {
				return atRow(row, "is null")
			}
		}
		read, err = col.kernel.bind(a)
		return err
	})
	if err != nil {
		return nil, d.codec.failed(col, err)
	}
	return read, nil
}

// checkParts wants the arrays that a nested array is made of to have the types that its own type gives them, which
// nothing else looks at: their buffers would be taken for something else. It also wants validity bits for every value.
func checkParts(a arrow.Array) error {
	data := a.Data()
	if b := data.Buffers(); len(b) > 0 && b[0] != nil && b[0].Len() > 0 && b[0].Len() < (data.Offset()+data.Len()+7)/8 {
		return fmt.Errorf("validity bits of %d bytes for %d values at %d", b[0].Len(), data.Len(), data.Offset())
	}
	var parts []arrow.Field
	switch t := a.DataType().(type) {
	case *arrow.ListType:
		parts = []arrow.Field{t.ElemField()}
	case *arrow.FixedSizeListType:
		parts = []arrow.Field{t.ElemField()}
	case *arrow.StructType:
		parts = t.Fields()
	}
	children := data.Children()
	if len(children) != len(parts) {
		return fmt.Errorf("a %s of %d parts, want %d", a.DataType().Name(), len(children), len(parts))
	}
	for i, part := range parts {
		var child arrow.Array
		switch a := a.(type) {
		case *array.List:
			child = a.ListValues()
		case *array.FixedSizeList:
			child = a.ListValues()
		case *array.Struct:
			child = a.Field(i)
		}
		if have := child.DataType(); !sameType(have, part.Type) {
			return fmt.Errorf("a %s of %s, its type says %s", a.DataType().Name(), have, part.Type)
		}
		if err := checkParts(child); err != nil {
			return err
		}
	}
	return nil
}

// guard turns the panics of offsets that point outside of their buffers into errors.
func guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("corrupt Arrow data: %v", r)
		}
	}()
	return f()
}

func (c *Codec) failed(col *column, err error) error {
	if e, ok := err.(*rowError); ok {
		return &Error{Type: c.name, Column: col.Name, Row: e.row, Err: e.err}
	}
	return &Error{Type: c.name, Column: col.Name, Row: -1, Err: err}
}

// firstNull returns the place of the first null, -1 if there is none. It counts the validity bits and does not ask for
// the number of nulls, which writers can get wrong.
func firstNull(a arrow.Array) int {
	bits := a.NullBitmapBytes()
	if len(bits) == 0 || bitutil.CountSetBits(bits, a.Data().Offset(), a.Len()) == a.Len() {
		return -1
	}
	for i := range a.Len() {
		if a.IsNull(i) {
			return i
		}
	}
	return -1
}

func (d *Decoder) appendDynamic(slice reflect.Value, batch arrow.RecordBatch) error {
	rows, ok := slice.Addr().Interface().(*[]*schema.Dynamic)
	if !ok {
		return fmt.Errorf("decode dynamic rows of %s into %s, want []*schema.Dynamic", d.codec.name, slice.Type())
	}
	readers, err := d.bindAll(batch)
	if err != nil {
		return err
	}
	n := int(batch.NumRows())
	width := len(d.codec.columns)
	values := make([]any, n*width)
	for i, read := range readers {
		col := &d.codec.columns[i]
		whole := reflect.MakeSlice(reflect.SliceOf(col.goType), n, n)
		if n == 0 {
			continue
		}
		err := guard(func() error { return read(0, n, whole.UnsafePointer(), col.goType.Size()) })
		if err != nil {
			return d.codec.failed(col, err)
		}
		for row := range n {
			v := whole.Index(row)
			if v.Kind() == reflect.Slice && v.IsNil() {
				continue // null
			}
			values[row*width+i] = v.Interface()
		}
	}
	decoded := make([]*schema.Dynamic, n)
	for row := range n {
		var err error
		decoded[row], err = schema.NewDynamicValues(d.codec.class, values[row*width:(row+1)*width:(row+1)*width])
		if err != nil {
			return &Error{Type: d.codec.name, Row: row, Err: err}
		}
	}
	*rows = append(*rows, decoded...)
	return nil
}

// Encode makes a batch of rows in the schema of a table, which must have the codec's columns, in any order, and no
// others.
//
// rows is a slice of the codec's struct type or of pointers to it; for a codec of [ForClass], of *schema.Dynamic. The
// batch shares no memory with the rows. Error: [Error], of the first row that cannot be stored.
func (c *Codec) Encode(rows any, s *arrow.Schema) (arrow.RecordBatch, error) {
	slice := reflect.ValueOf(rows)
	if slice.Kind() != reflect.Slice {
		return nil, fmt.Errorf("%s: encode %T, want a slice", c.name, rows)
	}
	if s.NumFields() != len(c.columns) {
		for _, f := range s.Fields() {
			if !c.has(f.Name) {
				return nil, &Error{Type: c.name, Column: f.Name, Row: -1, Err: fmt.Errorf("the table has this column, the rows have not")}
			}
		}
	}
	places := make([]int, len(c.columns))
	for i := range c.columns {
		col := &c.columns[i]
		found := s.FieldIndices(col.Name)
		if len(found) != 1 {
			return nil, &Error{Type: c.name, Column: col.Name, Row: -1, Err: fmt.Errorf("the table has %d columns of this name, want 1", len(found))}
		}
		places[i] = found[0]
		if err := c.checkType(col, s.Field(found[0]).Type); err != nil {
			return nil, err
		}
	}
	source, err := c.source(slice)
	if err != nil {
		return nil, err
	}
	n := slice.Len()
	columns := make([]arrow.Array, s.NumFields())
	for i := range c.columns {
		col := &c.columns[i]
		data, err := col.kernel.encode(source(i), n, s.Field(places[i]).Type)
		if err != nil {
			return nil, c.failed(col, err)
		}
		columns[places[i]] = array.MakeFromData(data)
	}
	return array.NewRecordBatch(s, columns, int64(n)), nil
}

func (c *Codec) has(name string) bool {
	for i := range c.columns {
		if c.columns[i].Name == name {
			return true
		}
	}
	return false
}

// source gives, for a column, the place of its value in row i.
func (c *Codec) source(slice reflect.Value) (func(column int) place, error) {
	elem := slice.Type().Elem()
	n := slice.Len()
	switch {
	case c.row == nil:
		rows, ok := slice.Interface().([]*schema.Dynamic)
		if !ok {
			return nil, fmt.Errorf("encode %s as dynamic rows of %s, want []*schema.Dynamic", slice.Type(), c.name)
		}
		return c.dynamicSource(rows)
	case elem == c.row:
		rows := place{base: slice.UnsafePointer(), stride: c.row.Size()}
		return func(i int) place {
			rows.offset = c.columns[i].offset
			return rows
		}, nil
	case elem.Kind() == reflect.Pointer && elem.Elem() == c.row:
		base := slice.UnsafePointer()
		for row := range n {
			if *(*unsafe.Pointer)(unsafe.Add(base, uintptr(row)*ptrSize)) == nil {
				return nil, fmt.Errorf("%s: row %d is nil", c.name, row)
			}
		}
		rows := place{base: base, stride: ptrSize, behind: true}
		return func(i int) place {
			rows.offset = c.columns[i].offset
			return rows
		}, nil
	}
	return nil, fmt.Errorf("encode %s as rows of %s", slice.Type(), c.name)
}

const ptrSize = unsafe.Sizeof(uintptr(0))

// dynamicSource lays the values of dynamic rows out as Go values of the columns' types.
func (c *Codec) dynamicSource(rows []*schema.Dynamic) (func(column int) place, error) {
	n := len(rows)
	laid := make([]reflect.Value, len(c.columns))
	for i := range c.columns {
		laid[i] = reflect.MakeSlice(reflect.SliceOf(c.columns[i].goType), n, n)
	}
	for row, d := range rows {
		if d == nil || d.Class() == nil {
			return nil, fmt.Errorf("%s: row %d is no row", c.name, row)
		}
		for i := range c.columns {
			col := &c.columns[i]
			v, ok := d.Get(col.Name)
			switch {
			case !ok:
				return nil, &Error{Type: c.name, Column: col.Name, Row: row, Err: fmt.Errorf("a row of class %s has no such column", d.Class().Name)}
			case v == nil:
			case reflect.TypeOf(v) != col.goType:
				return nil, &Error{Type: c.name, Column: col.Name, Row: row, Err: fmt.Errorf("have %T, want %s", v, col.goType)}
			default:
				laid[i].Index(row).Set(reflect.ValueOf(v))
			}
		}
	}
	return func(i int) place {
		return place{base: laid[i].UnsafePointer(), stride: c.columns[i].goType.Size()}
	}, nil
}
