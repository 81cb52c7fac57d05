package rowcodec_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"pixano/features"
	"pixano/internal/lance"
	"pixano/internal/rowcodec"
	"pixano/schema"
)

// everything has a column of each type.
type everything struct {
	schema.Entity
	Text    string
	Whole   int
	Number  float64
	Yes     bool
	Raw     []byte
	When    time.Time
	Array   features.NDArrayFloat
	Base    features.BaseIntrinsics
	Inner   features.Intrinsics
	Outer   features.Extrinsics
	Texts   []string
	Wholes  []int64
	Numbers []float64
	Yeses   []bool
	Raws    [][]byte
	Whens   []time.Time
	Refs    []features.AnnotationRef
	Half    []schema.Float16 `pixano:",dim=3"`
	Single  [4]float32
	Double  []float64 `pixano:",dim=2"`
	Small   []int8    `pixano:",dim=2"`
	Bits    []bool    `pixano:",dim=5"`
	Blobs   [][]byte  `pixano:",dim=2"`
}

func randomText(r *rand.Rand) string {
	const letters = "abc é'\"😀\x00"
	var b strings.Builder
	for range r.IntN(6) {
		b.WriteString(string([]rune(letters)[r.IntN(len([]rune(letters)))]))
	}
	return b.String()
}

func list[T any](r *rand.Rand, item func() T) []T {
	items := make([]T, r.IntN(4))
	for i := range items {
		items[i] = item()
	}
	return items
}

func randomRow(r *rand.Rand) everything {
	text := func() string { return randomText(r) }
	raw := func() []byte { return append([]byte{}, randomText(r)...) }
	number := func() float64 { return r.NormFloat64() }
	when := func() time.Time { return time.UnixMicro(r.Int64N(4e15) - 2e15).UTC() }
	e := everything{
		Text: text(), Whole: r.Int(), Number: number(), Yes: r.IntN(2) == 0, Raw: raw(), When: when(),
		Array:  features.NDArrayFloat{Values: list(r, number), Shape: list(r, r.Int64)},
		Base:   features.BaseIntrinsics{},
		Texts:  list(r, text),
		Wholes: list(r, r.Int64), Numbers: list(r, number), Yeses: list(r, func() bool { return r.IntN(2) == 0 }),
		Raws: list(r, raw), Whens: list(r, when),
		Refs:   list(r, func() features.AnnotationRef { return features.Annotation(text(), text()) }),
		Single: [4]float32{r.Float32(), 1, 2, 3},
	}
	e.ID, e.CreatedAt, e.UpdatedAt = text(), when(), when()
	e.ViewRef = features.View(text(), text())
	if r.IntN(3) > 0 {
		e.Half = []schema.Float16{1, 2, schema.NewFloat16(r.Float32())}
		e.Double = []float64{number(), number()}
		e.Small = []int8{int8(r.Int()), 0}
		e.Bits = []bool{true, false, r.IntN(2) == 0, true, false}
		e.Blobs = [][]byte{raw(), raw()}
	}
	return e
}

func codecFor(t testing.TB, row any) *rowcodec.Codec {
	t.Helper()
	c, err := rowcodec.For(reflect.TypeOf(row))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRoundTripOfEveryColumnType(t *testing.T) {
	c := codecFor(t, everything{})
	s, err := c.Schema()
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 7, 300, 1000} {
		rows := make([]everything, n)
		pointers := make([]*everything, n)
		for i := range rows {
			rows[i] = randomRow(r)
			pointers[i] = &rows[i]
		}
		batch, err := c.Encode(rows, s)
		if err != nil {
			t.Fatal(err)
		}
		again, err := c.Encode(pointers, s)
		if err != nil {
			t.Fatal(err)
		}
		if !array.RecordEqual(batch, again) {
			t.Errorf("%d rows: rows and pointers to them are encoded differently", n)
		}
		d, err := c.Decoder(batch.Schema())
		if err != nil {
			t.Fatal(err)
		}
		prefix := []everything{{Text: "kept"}}
		got, err := rowcodec.Append(d, prefix, batch)
		if err != nil {
			t.Fatal(err)
		}
		if got[0].Text != "kept" || len(got) != n+1 {
			t.Fatalf("%d rows appended to one give %d", n, len(got))
		}
		for i := range rows {
			if !reflect.DeepEqual(got[i+1], rows[i]) {
				t.Fatalf("row %d of %d:\ngot  %+v\nwant %+v", i, n, got[i+1], rows[i])
			}
		}
		if n < 7 {
			continue
		}
		// A slice of a batch has offsets in all its arrays.
		part, err := rowcodec.Append[everything](d, nil, batch.NewSlice(3, 6))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(part, rows[3:6]) {
			t.Errorf("slice of a batch: got %+v, want %+v", part, rows[3:6])
		}
	}
}

// goldenTables calls f with every batch of every table of the golden datasets that has a schema.json.
func goldenTables(t *testing.T, f func(t *testing.T, class *schema.Class, batch arrow.RecordBatch)) {
	ctx := context.Background()
	root := filepath.Join("..", "..", "testdata", "golden")
	files, err := filepath.Glob(filepath.Join(root, "*", "schema.json"))
	if err != nil || len(files) < 5 {
		t.Fatalf("found %d golden datasets (%v), want 5", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		ds, err := schema.ParseDatasetSchema(text)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := lance.Connect(ctx, filepath.Join(filepath.Dir(file), "db"), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for _, name := range ds.Tables() {
			t.Run(filepath.Base(filepath.Dir(file))+"/"+name, func(t *testing.T) {
				class, _ := ds.Class(name)
				table, err := conn.OpenTable(ctx, name, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer table.Close()
				for batch, err := range table.Batches(ctx, lance.Query{}) {
					if err != nil {
						t.Fatal(err)
					}
					f(t, class, batch)
				}
			})
		}
	}
}

func TestGoldenRowsAsDynamicRows(t *testing.T) {
	goldenTables(t, func(t *testing.T, class *schema.Class, batch arrow.RecordBatch) {
		c, err := rowcodec.ForClass(class)
		if err != nil {
			t.Fatal(err)
		}
		d, err := c.Decoder(batch.Schema())
		if err != nil {
			t.Fatal(err)
		}
		rows, err := rowcodec.Append[*schema.Dynamic](d, nil, batch)
		if err != nil {
			t.Fatal(err)
		}
		again, err := c.Encode(rows, batch.Schema())
		if err != nil {
			t.Fatal(err)
		}
		if !array.RecordEqual(batch, again) {
			t.Errorf("got  %v\nwant %v", again, batch)
		}
	})
}

func TestGoldenRowsAsTypedRows(t *testing.T) {
	seen := 0
	goldenTables(t, func(t *testing.T, class *schema.Class, batch arrow.RecordBatch) {
		// The built-in class reads its own columns of custom tables.
		row, ok := schema.Lookup(class.Base)
		if !ok {
			t.Fatalf("no Go type for %s", class.Base)
		}
		c, err := rowcodec.For(row)
		if err != nil {
			t.Fatal(err)
		}
		d, err := c.Decoder(batch.Schema())
		if f, _, ok := class.Field("vector"); ok && f.Type.ValueType != "float" {
			// Embedding holds single precision vectors; a type of one's own holds others.
			if err == nil || !strings.Contains(err.Error(), "schema.Embedding.vector: column is fixed_size_list") {
				t.Errorf("vectors of %s in an Embedding: got error %v", f.Type.ValueType, err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		rows := reflect.New(reflect.SliceOf(row))
		if err := d.AppendTo(rows.Interface(), batch); err != nil {
			t.Fatal(err)
		}
		var columns []arrow.Array
		var fields []arrow.Field
		for _, name := range c.Columns() {
			i := batch.Schema().FieldIndices(name)[0]
			columns, fields = append(columns, batch.Column(i)), append(fields, batch.Schema().Field(i))
		}
		want := array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, batch.NumRows())
		got, err := c.Encode(rows.Elem().Interface(), want.Schema())
		if err != nil {
			t.Fatal(err)
		}
		if !array.RecordEqual(want, got) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
		seen += rows.Elem().Len()
	})
	if seen < 500 {
		t.Errorf("decoded %d golden rows, want more", seen)
	}
}

type narrow struct {
	schema.Entity
	Text string
}

type other struct {
	schema.Entity
	Text int
}

func TestProjectionAndMismatch(t *testing.T) {
	c := codecFor(t, everything{})
	s, _ := c.Schema()
	rows := []everything{randomRow(rand.New(rand.NewPCG(3, 4)))}
	batch, err := c.Encode(rows, s)
	if err != nil {
		t.Fatal(err)
	}

	d, err := codecFor(t, narrow{}).Decoder(s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := rowcodec.Append[narrow](d, nil, batch)
	if err != nil || got[0].Text != rows[0].Text || got[0].ID != rows[0].ID {
		t.Errorf("fewer columns: got %+v (%v), want the values of %+v", got, err, rows[0])
	}

	ns, _ := codecFor(t, narrow{}).Schema()
	cases := []struct {
		what, want string
		err        error
	}{
		{"column missing in the table", "rowcodec_test.everything.whole: found 0 columns of this name, want 1",
			second(c.Decoder(ns))},
		{"column of another type", "rowcodec_test.other.text: column is utf8, want int64", second(codecFor(t, other{}).Decoder(s))},
		{"column that the rows lack", "rowcodec_test.narrow.whole: the table has this column, the rows have not",
			second(codecFor(t, narrow{}).Encode([]narrow{{}}, s))},
		{"column that the table lacks", "rowcodec_test.everything.whole: the table has 0 columns of this name, want 1",
			second(c.Encode(rows, ns))},
		{"rows of another type", "encode []int as rows of rowcodec_test.narrow", second(codecFor(t, narrow{}).Encode([]int{1}, ns))},
		{"a nil row", "rowcodec_test.narrow: row 1 is nil", second(codecFor(t, narrow{}).Encode([]*narrow{{}, nil}, ns))},
		{"into another type", "decode rows of rowcodec_test.narrow into []int", d.AppendTo(new([]int), batch)},
		{"into no slice", "rowcodec_test.narrow: decode into int, want a pointer to a slice", d.AppendTo(1, batch)},
	}
	for _, tc := range cases {
		if tc.err == nil || tc.err.Error() != tc.want {
			t.Errorf("%s: got error %v, want %s", tc.what, tc.err, tc.want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestRowsThatCannotBeStored(t *testing.T) {
	c := codecFor(t, everything{})
	s, _ := c.Schema()
	rows := []everything{{}, {Double: []float64{1, 2, 3}}}
	_, err := c.Encode(rows, s)
	var e *rowcodec.Error
	if !errors.As(err, &e) || e.Row != 1 || e.Column != "double" || !strings.Contains(err.Error(), "want 2 values, have 3") {
		t.Errorf("vector of the wrong length: got %v", err)
	}
	if _, err := codecFor(t, schema.ViewEmbedding{}).Schema(); err == nil {
		t.Error("schema of vectors without length: no error")
	}
}

func TestNullsAreNamed(t *testing.T) {
	c := codecFor(t, narrow{})
	s, _ := c.Schema()
	batch, err := c.Encode(make([]narrow, 3), s)
	if err != nil {
		t.Fatal(err)
	}
	columns := append([]arrow.Array(nil), batch.Columns()...)
	b := array.NewStringBuilder(memory.DefaultAllocator)
	b.AppendValues([]string{"a", "", "c"}, []bool{true, false, true})
	columns[len(columns)-1] = b.NewStringArray()
	fields := append([]arrow.Field(nil), s.Fields()...)
	fields[len(fields)-1].Nullable = true
	d, err := c.Decoder(arrow.NewSchema(fields, nil))
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]narrow, 1, 10)
	got, err := rowcodec.Append(d, dst, array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, 3))
	if err == nil || err.Error() != "rowcodec_test.narrow.text: row 1: is null" || len(got) != 1 {
		t.Errorf("got %d rows and %v, want an error that names row 1", len(got), err)
	}
}

func TestArrayCannotHoldNull(t *testing.T) {
	type loose struct {
		schema.Entity
		V []float32 `pixano:",dim=2"`
	}
	type fixed struct {
		schema.Entity
		V [2]float32
	}
	c := codecFor(t, loose{})
	s, _ := c.Schema()
	batch, err := c.Encode([]loose{{V: []float32{1, 2}}, {}}, s)
	if err != nil {
		t.Fatal(err)
	}
	if batch.Column(len(c.Columns())-1).NullN() != 1 {
		t.Errorf("a nil vector is stored as %v, want null", batch.Column(len(c.Columns())-1))
	}
	d, err := codecFor(t, fixed{}).Decoder(s)
	if err != nil {
		t.Fatal(err)
	}
	_, err = rowcodec.Append[fixed](d, nil, batch)
	if err == nil || !strings.Contains(err.Error(), "fixed.v: row 1: is null, which a Go array cannot hold") {
		t.Errorf("got %v", err)
	}
}

// A batch whose offsets point outside of its buffers is an error and no crash.
func FuzzDecodeHostileOffsets(f *testing.F) {
	c := codecFor(f, everything{})
	s, _ := c.Schema()
	f.Add(uint8(0), uint16(0), int32(-1))
	f.Add(uint8(9), uint16(3), int32(1<<30))
	f.Fuzz(func(t *testing.T, column uint8, at uint16, value int32) {
		rows := make([]everything, 5)
		r := rand.New(rand.NewPCG(uint64(column), uint64(at)))
		for i := range rows {
			rows[i] = randomRow(r)
		}
		batch, err := c.Encode(rows, s)
		if err != nil {
			t.Fatal(err)
		}
		// Overwrite one word of one offset buffer.
		data := batch.Column(int(column) % int(batch.NumCols())).Data()
		for len(data.Children()) > 0 && len(data.Buffers()) < 2 {
			data = data.Children()[0]
		}
		if len(data.Buffers()) < 2 || data.Buffers()[1] == nil || data.Buffers()[1].Len() < 4 {
			return
		}
		words := arrow.Int32Traits.CastFromBytes(data.Buffers()[1].Bytes()[:data.Buffers()[1].Len()/4*4])
		words[int(at)%len(words)] = value
		d, err := c.Decoder(s)
		if err != nil {
			t.Fatal(err)
		}
		got, err := rowcodec.Append[everything](d, nil, batch)
		if err == nil {
			// What was accepted can be looked at.
			_ = fmt.Sprint(got)
		}
	})
}

func goldenBoxes(b *testing.B) ([]schema.BBox, *rowcodec.Codec, *arrow.Schema) {
	ctx := context.Background()
	conn, err := lance.Connect(ctx, filepath.Join("..", "..", "testdata", "golden", "image_detection", "db"), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	table, err := conn.OpenTable(ctx, "bboxes", nil)
	if err != nil {
		b.Fatal(err)
	}
	defer table.Close()
	c := codecFor(b, schema.BBox{})
	var boxes []schema.BBox
	var s *arrow.Schema
	for batch, err := range table.Batches(ctx, lance.Query{}) {
		if err != nil {
			b.Fatal(err)
		}
		s = batch.Schema()
		d, err := c.Decoder(s)
		if err != nil {
			b.Fatal(err)
		}
		if boxes, err = rowcodec.Append(d, boxes, batch); err != nil {
			b.Fatal(err)
		}
	}
	const rows = 500_000
	scaled := make([]schema.BBox, rows)
	for i := range scaled {
		scaled[i] = boxes[i%len(boxes)]
	}
	return scaled, c, s
}

const benchBatch = 8192 // rows, as the engine gives them

func BenchmarkDecodeBBox(b *testing.B) {
	boxes, c, s := goldenBoxes(b)
	var batches []arrow.RecordBatch
	for lo := 0; lo < len(boxes); lo += benchBatch {
		batch, err := c.Encode(boxes[lo:min(lo+benchBatch, len(boxes))], s)
		if err != nil {
			b.Fatal(err)
		}
		batches = append(batches, batch)
	}
	d, err := c.Decoder(s)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, batch := range batches {
			if _, err := rowcodec.Append[schema.BBox](d, nil, batch); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(len(boxes))*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkEncodeBBox(b *testing.B) {
	boxes, c, s := goldenBoxes(b)
	b.ReportAllocs()
	for b.Loop() {
		for lo := 0; lo < len(boxes); lo += benchBatch {
			if _, err := c.Encode(boxes[lo:min(lo+benchBatch, len(boxes))], s); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(len(boxes))*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
