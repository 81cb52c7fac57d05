package rowcodec_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"pixano/features"
	"pixano/internal/rowcodec"
	"pixano/schema"
)

// nested has the column types that consist of several arrays.
type nested struct {
	schema.Entity
	Text   string
	Whole  int
	Yes    bool
	Texts  []string
	Wholes []int64
	Yeses  []bool
	Raws   [][]byte
	Array  features.NDArrayFloat
	Arrays []features.NDArrayFloat
	Refs   []features.AnnotationRef
	Double []float64 `pixano:",dim=3"`
	Fixed  [2]int16
	Bits   []bool   `pixano:",dim=5"`
	Blobs  [][]byte `pixano:",dim=2"`
}

// mangler makes Arrow arrays that are wrong in the ways that the bytes say; when they are used up, nothing more is wrong.
type mangler struct {
	bytes []byte
}

func (m *mangler) next(n int) int {
	if len(m.bytes) == 0 {
		return 0
	}
	b := m.bytes[0]
	m.bytes = m.bytes[1:]
	return int(b) % n
}

var leafTypes = []arrow.DataType{arrow.BinaryTypes.String, arrow.BinaryTypes.Binary, arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Float64,
	arrow.FixedWidthTypes.Boolean, arrow.PrimitiveTypes.Int16, arrow.PrimitiveTypes.Int8, &arrow.TimestampType{Unit: arrow.Microsecond}}

// anyType nests lists, structs and fixed-size lists up to a depth.
func (m *mangler) anyType(depth int) arrow.DataType {
	kind := m.next(4)
	if depth == 0 {
		kind = 0
	}
	switch kind {
	case 1:
		return arrow.ListOf(m.anyType(depth - 1))
	case 2:
		return arrow.FixedSizeListOf(int32(1+m.next(4)), m.anyType(depth-1))
	case 3:
		fields := make([]arrow.Field, 1+m.next(2))
		for i := range fields {
			fields[i] = arrow.Field{Name: []string{"values", "shape"}[i], Type: m.anyType(depth - 1)}
		}
		return arrow.StructOf(fields...)
	}
	return leafTypes[m.next(len(leafTypes))]
}

// data makes the data of n values of type t or, where a byte says so, of another length or type, with nulls, offsets or
// buffers that do not fit.
func (m *mangler) data(t arrow.DataType, n, depth int) arrow.ArrayData {
	offset, nulls, lengths := 0, 0, n
	var valid *memory.Buffer
	short := false
	switch m.next(12) {
	case 1:
		lengths = n + 1 + m.next(3)
		n = lengths
	case 2:
		n = max(0, n-1-m.next(3))
	case 3:
		offset = 1 + m.next(9)
	case 4, 5: // nulls, counted, not counted or counted wrong
		bits := make([]byte, (n+offset+7)/8)
		for i := range bits {
			bits[i] = byte(m.next(256))
		}
		valid = memory.NewBufferBytes(bits)
		nulls = n - bitutil.CountSetBits(bits, offset, n)
		if m.next(2) == 1 {
			nulls = []int{array.UnknownNullCount, 0, 1}[m.next(3)]
		}
	case 6:
		valid = memory.NewBufferBytes([]byte{byte(m.next(256))})
		nulls = array.UnknownNullCount
	case 7:
		short = true
	case 8:
		if depth > 0 {
			t = m.anyType(3)
		}
	case 9:
		n = []int{1 << 30, 1 << 62}[m.next(2)] // many values, of which few are there
	}
	have := min(n, 1000) + offset // values that the buffers hold
	if short {
		have = max(0, have-1-m.next(4))
	}
	// What is no number is random and different from its neighbours.
	content := func(size int) *memory.Buffer {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(i*7 + depth*31 + 1)
		}
		return memory.NewBufferBytes(b)
	}
	// offsets gives the places of have values, mostly in order, and the last of them.
	offsets := func() (*memory.Buffer, int) {
		at := make([]int32, have+1)
		for i := range have {
			at[i+1] = at[i] + int32((i+depth)%3)
		}
		last := int(at[have])
		switch m.next(6) {
		case 1:
			at[m.next(len(at))] = int32(m.next(256)) - 100
		case 2:
			for i := range at {
				at[i] += 2 // a list of which the first items belong to no one
			}
			last += 2
		}
		return memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(at)), last
	}
	buffers := []*memory.Buffer{valid}
	var children []arrow.ArrayData
	switch t := t.(type) {
	case *arrow.ListType:
		at, last := offsets()
		buffers = append(buffers, at)
		children = append(children, m.data(t.Elem(), last, depth+1))
	case *arrow.FixedSizeListType:
		children = append(children, m.data(t.Elem(), have*int(t.Len()), depth+1))
	case *arrow.StructType:
		for _, f := range t.Fields() {
			children = append(children, m.data(f.Type, have, depth+1))
		}
	case *arrow.StringType, *arrow.BinaryType:
		at, last := offsets()
		buffers = append(buffers, at, content(last))
	case *arrow.BooleanType:
		buffers = append(buffers, content((have+7)/8))
	case arrow.FixedWidthDataType:
		buffers = append(buffers, content(have*t.BitWidth()/8))
	}
	if m.next(30) == 1 {
		buffers[len(buffers)-1] = nil
	}
	return array.NewData(t, n, buffers, children, nulls, offset)
}

// FuzzDecodeHostileNesting gives the codec columns that are nested otherwise than their type says, have too few or too
// many values, nulls, offsets, lists of other sizes. It wants an error, or the rows that a slow reader finds.
func FuzzDecodeHostileNesting(f *testing.F) {
	c := codecFor(f, nested{})
	s, err := c.Schema()
	if err != nil {
		f.Fatal(err)
	}
	class, err := schema.ClassOf(nested{})
	if err != nil {
		f.Fatal(err)
	}
	dynamic, err := rowcodec.ForClass(class)
	if err != nil {
		f.Fatal(err)
	}
	const n = 5
	rows := make([]nested, n)
	for i := range rows {
		rows[i].Double = []float64{1, 2, 3}
		rows[i].Bits = make([]bool, 5)
		rows[i].Blobs = make([][]byte, 2)
	}
	good, err := c.Encode(rows, s)
	if err != nil {
		f.Fatal(err)
	}
	r := rand.New(rand.NewPCG(5, 6))
	for column := range s.NumFields() {
		f.Add(uint8(column), false, uint8(0), []byte{})
		for range 20 {
			b := make([]byte, 1+r.IntN(30))
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			f.Add(uint8(column), r.IntN(8) == 0, uint8(r.IntN(4)), b)
		}
	}
	f.Fuzz(func(t *testing.T, column uint8, other bool, skip uint8, mistakes []byte) {
		i := int(column) % s.NumFields()
		m := &mangler{bytes: mistakes}
		field := s.Field(i)
		if other {
			field.Type = m.anyType(4)
		}
		from := int(skip) % 4 // the batch is a slice of a longer one
		a := arrayOf(m.data(field.Type, n+from, 0))
		if a == nil || a.Len() < n+from {
			return // no array, or no column of a batch
		}
		a = array.NewSlice(a, int64(from), int64(a.Len()))
		columns := append([]arrow.Array(nil), good.Columns()...)
		columns[i] = a
		fields := append([]arrow.Field(nil), s.Fields()...)
		fields[i] = field
		batch := array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, n)
		for _, codec := range []*rowcodec.Codec{c, dynamic} {
			d, err := codec.Decoder(batch.Schema())
			if err != nil {
				wantCodecError(t, err)
				if arrow.TypeEqual(field.Type, s.Field(i).Type) {
					t.Errorf("%s: %v", field.Name, err)
				}
				return
			}
			var got []any
			if codec == c {
				kept := []nested{{Text: "kept"}}
				decoded, err := rowcodec.Append(d, kept, batch)
				if err != nil {
					wantCodecError(t, err)
					if len(decoded) != 1 || decoded[0].Text != "kept" {
						t.Errorf("after an error there are %d rows, want the 1 before", len(decoded))
					}
				} else {
					for _, row := range decoded[1:] {
						got = append(got, valueOf(t, row, field.Name))
					}
				}
			} else if decoded, err := rowcodec.Append[*schema.Dynamic](d, nil, batch); err != nil {
				wantCodecError(t, err)
			} else {
				for _, row := range decoded {
					v, _ := row.Get(field.Name)
					got = append(got, v)
				}
			}
			nullable := field.Nullable && (codec == dynamic || field.Name != "fixed") // a Go array holds no null
			want, err := slowColumn(a, n, nullable)
			if got == nil {
				if err == nil && mistakes == nil {
					t.Errorf("%s: refused %v", field.Name, want)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: got %v, want an error: %v", field.Name, got, err)
				continue
			}
			for row := range n {
				if g := slowValue(reflect.ValueOf(got[row])); g != want[row] {
					t.Errorf("%s of row %d: got %s, want %s", field.Name, row, g, want[row])
				}
			}
		}
	})
}

func valueOf(t *testing.T, row any, column string) any {
	t.Helper()
	v, err := schema.Value(row, column)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func wantCodecError(t *testing.T, err error) {
	t.Helper()
	if _, ok := errors.AsType[*rowcodec.Error](err); !ok {
		t.Errorf("got a %T, want a *rowcodec.Error: %v", err, err)
	}
}

// arrayOf makes an array, nil if the library refuses the data.
func arrayOf(data arrow.ArrayData) (a arrow.Array) {
	defer func() { _ = recover() }()
	return array.MakeFromData(data)
}

// slowColumn reads n values of a column one by one from its buffers and by its own type, as texts. It knows nothing of
// what the codec does.
func slowColumn(a arrow.Array, n int, nullable bool) (texts []string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	for i := range n {
		if !slowValid(a.Data(), i) && nullable {
			texts = append(texts, "null")
			continue
		}
		texts = append(texts, slowArrow(a.Data(), a.DataType(), i))
	}
	return texts, nil
}

func slowValid(d arrow.ArrayData, i int) bool {
	b := d.Buffers()[0]
	return b == nil || b.Len() == 0 || bitutil.BitIsSet(b.Bytes(), d.Offset()+i)
}

// slowArrow writes value i of an array that should be of type t. It panics if there is none.
func slowArrow(d arrow.ArrayData, t arrow.DataType, i int) string {
	if d.DataType().ID() != t.ID() {
		panic("another type: " + d.DataType().String())
	}
	if i < 0 || i >= d.Len() {
		panic(fmt.Sprintf("value %d of %d", i, d.Len()))
	}
	if !slowValid(d, i) {
		panic("null")
	}
	list := func(child arrow.ArrayData, t arrow.DataType, from, to int) string {
		if from > to {
			panic("a negative length")
		}
		var b bytes.Buffer
		for j := from; j < to; j++ {
			fmt.Fprintf(&b, "%s,", slowArrow(child, t, j))
		}
		return "[" + b.String() + "]"
	}
	at := d.Offset() + i
	switch t := t.(type) {
	case *arrow.ListType:
		offsets := arrow.Int32Traits.CastFromBytes(d.Buffers()[1].Bytes())
		return list(d.Children()[0], t.Elem(), int(offsets[at]), int(offsets[at+1]))
	case *arrow.FixedSizeListType:
		if have := d.DataType().(*arrow.FixedSizeListType); have.Len() != t.Len() {
			panic("another length")
		}
		return list(d.Children()[0], t.Elem(), at*int(t.Len()), (at+1)*int(t.Len()))
	case *arrow.StructType:
		text := "{"
		for j, f := range t.Fields() {
			text += slowArrow(d.Children()[j], f.Type, at) + ","
		}
		return text + "}"
	case *arrow.StringType, *arrow.BinaryType:
		offsets := arrow.Int32Traits.CastFromBytes(d.Buffers()[1].Bytes())
		var content []byte
		if b := d.Buffers()[2]; b != nil {
			content = b.Bytes()
		}
		return fmt.Sprintf("%q", content[offsets[at]:offsets[at+1]])
	case *arrow.BooleanType:
		return fmt.Sprint(bitutil.BitIsSet(d.Buffers()[1].Bytes(), at))
	}
	size := t.(arrow.FixedWidthDataType).BitWidth() / 8
	value := d.Buffers()[1].Bytes()[at*size : (at+1)*size]
	switch t.ID() {
	case arrow.INT64:
		return fmt.Sprint(arrow.Int64Traits.CastFromBytes(value)[0])
	case arrow.FLOAT64:
		return fmt.Sprint(arrow.Float64Traits.CastFromBytes(value)[0])
	case arrow.INT16:
		return fmt.Sprint(arrow.Int16Traits.CastFromBytes(value)[0])
	case arrow.TIMESTAMP:
		us := arrow.Timestamp(arrow.Int64Traits.CastFromBytes(value)[0])
		return us.ToTime(arrow.Microsecond).UTC().String()
	}
	panic("no column: " + t.String())
}

// slowValue writes a decoded value as slowArrow does.
func slowValue(v reflect.Value) string {
	if !v.IsValid() {
		return "null"
	}
	switch x := v.Interface().(type) {
	case []byte:
		return fmt.Sprintf("%q", x)
	case string:
		return fmt.Sprintf("%q", x)
	case fmt.Stringer: // a time
		return x.String()
	}
	switch v.Kind() {
	case reflect.Slice:
		var b bytes.Buffer
		for i := range v.Len() {
			fmt.Fprintf(&b, "%s,", slowValue(v.Index(i)))
		}
		return "[" + b.String() + "]"
	case reflect.Struct:
		text := "{"
		for i := range v.NumField() {
			text += slowValue(v.Field(i)) + ","
		}
		return text + "}"
	}
	return fmt.Sprint(v.Interface())
}

// TestUnusualArrays reads arrays that are right although writers seldom make them so.
func TestUnusualArrays(t *testing.T) {
	type row struct {
		schema.Entity
		Texts  []string
		Wholes []int64
		Pairs  []float64 `pixano:",dim=2"`
	}
	c := codecFor(t, row{})
	s, err := c.Schema()
	if err != nil {
		t.Fatal(err)
	}
	good, err := c.Encode([]row{{Pairs: []float64{1, 2}}, {}, {}}, s)
	if err != nil {
		t.Fatal(err)
	}
	offsets := func(at ...int32) *memory.Buffer { return memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(at)) }
	bits := func(b byte) *memory.Buffer { return memory.NewBufferBytes([]byte{b}) }
	column := func(name string) arrow.DataType {
		return s.Field(s.FieldIndices(name)[0]).Type
	}
	wholes := memory.NewBufferBytes(arrow.Int64Traits.CastToBytes([]int64{7, 8, 9, 10, 11, 12}))
	numbers := memory.NewBufferBytes(arrow.Float64Traits.CastToBytes([]float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}))
	texts := array.NewData(arrow.BinaryTypes.String, 5, []*memory.Buffer{bits(0b11100), offsets(0, 1, 2, 3, 4, 5), memory.NewBufferBytes([]byte("xyabc"))}, nil, 2, 0)
	replaced := map[string]arrow.ArrayData{
		// Lists that begin behind two null items, which are of no row.
		"texts": array.NewData(column("texts"), 3, []*memory.Buffer{nil, offsets(2, 3, 3, 5)}, []arrow.ArrayData{texts}, 0, 0),
		// Offsets on both levels, and items left over at the end.
		"wholes": array.NewData(column("wholes"), 3, []*memory.Buffer{nil, offsets(0, 1, 1, 3, 4)},
			[]arrow.ArrayData{array.NewData(arrow.PrimitiveTypes.Int64, 5, []*memory.Buffer{nil, wholes}, nil, 0, 1)}, 0, 1),
		// A null whose values are null too, and a number of nulls that nobody counted.
		"pairs": array.NewData(column("pairs"), 3, []*memory.Buffer{bits(0b1010)},
			[]arrow.ArrayData{array.NewData(arrow.PrimitiveTypes.Float64, 9, []*memory.Buffer{
				memory.NewBufferBytes([]byte{0b11001111, 0b1}), numbers}, nil, array.UnknownNullCount, 0)}, array.UnknownNullCount, 1),
	}
	columns := append([]arrow.Array(nil), good.Columns()...)
	for name, data := range replaced {
		columns[s.FieldIndices(name)[0]] = array.MakeFromData(data)
	}
	d, err := c.Decoder(s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := rowcodec.Append[row](d, nil, array.NewRecordBatch(s, columns, 3))
	if err != nil {
		t.Fatal(err)
	}
	want := []row{
		{Texts: []string{"a"}, Wholes: []int64{}, Pairs: []float64{2, 3}},
		{Texts: []string{}, Wholes: []int64{9, 10}},
		{Texts: []string{"b", "c"}, Wholes: []int64{11}, Pairs: []float64{6, 7}},
	}
	for i := range got {
		got[i].Entity = schema.Entity{}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTypesThatAreNoRows wants the error that names the type and the field, at the first use and ever after.
func TestTypesThatAreNoRows(t *testing.T) {
	type recursive struct {
		schema.Entity
		Next *recursive
	}
	type two struct {
		schema.Entity
		schema.View
	}
	type unsupported struct {
		schema.Entity
		Tags map[string]string
	}
	type twice struct {
		schema.Entity
		Key string `pixano:"id"`
	}
	type refused struct {
		schema.Entity
		Row int `pixano:"_rowid"`
	}
	for _, test := range []struct {
		row  any
		want string
	}{
		{recursive{}, "rowcodec_test.recursive.Next: "}, {two{}, "rowcodec_test.two.View: "},
		{unsupported{}, "rowcodec_test.unsupported.Tags: "}, {twice{}, "rowcodec_test.twice.Key: "},
		{refused{}, "rowcodec_test.refused.Row: "}, {3, "int: "}, {&struct{ A int }{}, "struct { A int }: "},
	} {
		for range 2 {
			_, err := rowcodec.For(reflect.TypeOf(test.row))
			if !errors.Is(err, schema.ErrSchema) || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("%T: got %v, want %s…", test.row, err, test.want)
			}
		}
	}
	if _, err := rowcodec.For(nil); !errors.Is(err, schema.ErrSchema) {
		t.Errorf("no type: got %v", err)
	}
	if _, err := rowcodec.ForClass(&schema.Class{Name: "A"}); !errors.Is(err, schema.ErrSchema) {
		t.Errorf("a class without columns: got %v", err)
	}
}

// TestDecoderOfAnotherSchema gives a decoder batches that it is not bound to.
func TestDecoderOfAnotherSchema(t *testing.T) {
	c := codecFor(t, nested{})
	s, err := c.Schema()
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.Decoder(s)
	if err != nil {
		t.Fatal(err)
	}
	narrowCodec := codecFor(t, narrow{})
	ns, err := narrowCodec.Schema()
	if err != nil {
		t.Fatal(err)
	}
	few, err := narrowCodec.Encode([]narrow{{}}, ns)
	if err != nil {
		t.Fatal(err)
	}
	fields := append([]arrow.Field(nil), s.Fields()...)
	fields[0].Type = arrow.PrimitiveTypes.Int64
	columns := make([]arrow.Array, len(fields))
	for i, f := range fields {
		columns[i] = array.MakeArrayOfNull(memory.DefaultAllocator, f.Type, 1)
	}
	typed := array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, 1)
	for _, test := range []struct {
		batch arrow.RecordBatch
		want  string
	}{
		{few, "rowcodec_test.nested.whole: the batch has 7 columns, this one is number 7"},
		{typed, "rowcodec_test.nested.id: column is int64, want utf8"},
	} {
		_, err := rowcodec.Append[nested](d, nil, test.batch)
		if err == nil || err.Error() != test.want {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}
