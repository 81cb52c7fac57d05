package dataset

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/float16"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
)

func timestamp(unit arrow.TimeUnit, zone string) arrow.DataType {
	return &arrow.TimestampType{Unit: unit, TimeZone: zone}
}

func micros(t time.Time) arrow.Timestamp { return arrow.Timestamp(t.UnixMicro()) }

func TestRowValues(t *testing.T) {
	ref := arrow.StructOf(
		arrow.Field{Name: "name", Type: arrow.BinaryTypes.String},
		arrow.Field{Name: "id", Type: arrow.BinaryTypes.String},
	)
	day := time.Date(2024, 1, 2, 3, 4, 5, 678901000, time.UTC)
	tests := []struct {
		name   string
		typ    arrow.DataType
		append func(b array.Builder)
		value  any
		json   string
	}{
		{"utf8", arrow.BinaryTypes.String, func(b array.Builder) { b.(*array.StringBuilder).Append("é<&>\"\n\x01") }, "é<&>\"\n\x01", `"é<&>\"\n\u0001"`},
		{"large utf8", arrow.BinaryTypes.LargeString, func(b array.Builder) { b.(*array.LargeStringBuilder).Append("a") }, "a", `"a"`},
		{"bool", arrow.FixedWidthTypes.Boolean, func(b array.Builder) { b.(*array.BooleanBuilder).Append(true) }, true, `true`},
		{"int64", arrow.PrimitiveTypes.Int64, func(b array.Builder) { b.(*array.Int64Builder).Append(math.MinInt64) }, int64(math.MinInt64), `-9223372036854775808`},
		{"uint64", arrow.PrimitiveTypes.Uint64, func(b array.Builder) { b.(*array.Uint64Builder).Append(math.MaxUint64) }, uint64(math.MaxUint64), `18446744073709551615`},
		{"int8", arrow.PrimitiveTypes.Int8, func(b array.Builder) { b.(*array.Int8Builder).Append(-8) }, int8(-8), `-8`},
		{"double", arrow.PrimitiveTypes.Float64, func(b array.Builder) { b.(*array.Float64Builder).Append(0.1) }, 0.1, `0.1`},
		{"whole double", arrow.PrimitiveTypes.Float64, func(b array.Builder) { b.(*array.Float64Builder).Append(-3) }, -3.0, `-3.0`},
		{"small double", arrow.PrimitiveTypes.Float64, func(b array.Builder) { b.(*array.Float64Builder).Append(5e-324) }, 5e-324, `5e-324`},
		{"large double", arrow.PrimitiveTypes.Float64, func(b array.Builder) { b.(*array.Float64Builder).Append(1e16) }, 1e16, `1e+16`},
		{"negative zero", arrow.PrimitiveTypes.Float64, func(b array.Builder) { b.(*array.Float64Builder).Append(math.Copysign(0, -1)) }, math.Copysign(0, -1), `-0.0`},
		{"infinity", arrow.PrimitiveTypes.Float64, func(b array.Builder) { b.(*array.Float64Builder).Append(math.Inf(-1)) }, math.Inf(-1), `"-Infinity"`},
		{"float", arrow.PrimitiveTypes.Float32, func(b array.Builder) { b.(*array.Float32Builder).Append(0.1) }, float32(0.1), `0.10000000149011612`},
		{"halffloat", arrow.FixedWidthTypes.Float16, func(b array.Builder) { b.(*array.Float16Builder).Append(float16.New(0.1)) }, float32(0.099975586), `0.0999755859375`},
		{"binary", arrow.BinaryTypes.Binary, func(b array.Builder) { b.(*array.BinaryBuilder).Append([]byte{0, 255}) }, []byte{0, 255}, `"AP8="`},
		{"no binary", arrow.BinaryTypes.LargeBinary, func(b array.Builder) { b.AppendNull() }, nil, `null`},
		{"timestamp", timestamp(arrow.Microsecond, ""), func(b array.Builder) { b.(*array.TimestampBuilder).Append(micros(day)) }, day, `"2024-01-02T03:04:05.678901"`},
		{"whole second", timestamp(arrow.Microsecond, ""), func(b array.Builder) { b.(*array.TimestampBuilder).Append(micros(day.Truncate(time.Second))) }, day.Truncate(time.Second), `"2024-01-02T03:04:05"`},
		{"year 1", timestamp(arrow.Microsecond, ""), func(b array.Builder) { b.(*array.TimestampBuilder).Append(micros(time.Time{})) }, time.Time{}, `"0001-01-01T00:00:00"`},
		{"before 1970", timestamp(arrow.Microsecond, ""), func(b array.Builder) { b.(*array.TimestampBuilder).Append(-1) }, time.UnixMicro(-1).UTC(), `"1969-12-31T23:59:59.999999"`},
		{"zoned", timestamp(arrow.Microsecond, "+01:00"), func(b array.Builder) { b.(*array.TimestampBuilder).Append(micros(day)) }, day, `"2024-01-02T04:04:05.678901+01:00"`},
		{"nanoseconds", timestamp(arrow.Nanosecond, ""), func(b array.Builder) { b.(*array.TimestampBuilder).Append(1) }, time.Unix(0, 1).UTC(), `"1970-01-01T00:00:00.000000001"`},
		{"date", arrow.FixedWidthTypes.Date32, func(b array.Builder) { b.(*array.Date32Builder).Append(19724) }, time.Date(2024, 1, 2, 0, 0, 0, 0, time.UTC), `"2024-01-02"`},
		{"list", arrow.ListOf(arrow.PrimitiveTypes.Float64), func(b array.Builder) {
			l := b.(*array.ListBuilder)
			l.Append(true)
			l.ValueBuilder().(*array.Float64Builder).AppendValues([]float64{0.5, 2}, nil)
		}, []float64{0.5, 2}, `[0.5,2.0]`},
		{"empty list", arrow.ListOf(arrow.BinaryTypes.String), func(b array.Builder) { b.(*array.ListBuilder).Append(true) }, []string{}, `[]`},
		{"list with null", arrow.ListOf(arrow.PrimitiveTypes.Int64), func(b array.Builder) {
			l := b.(*array.ListBuilder)
			l.Append(true)
			l.ValueBuilder().(*array.Int64Builder).AppendValues([]int64{1, 0}, []bool{true, false})
		}, []any{int64(1), nil}, `[1,null]`},
		{"list of bytes", arrow.ListOf(arrow.PrimitiveTypes.Uint8), func(b array.Builder) {
			l := b.(*array.ListBuilder)
			l.Append(true)
			l.ValueBuilder().(*array.Uint8Builder).AppendValues([]uint8{1, 2}, nil)
		}, []uint8{1, 2}, `[1,2]`},
		{"vector", arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Float32), func(b array.Builder) {
			l := b.(*array.FixedSizeListBuilder)
			l.Append(true)
			l.ValueBuilder().(*array.Float32Builder).AppendValues([]float32{0.25, -1}, nil)
		}, []float32{0.25, -1}, `[0.25,-1.0]`},
		{"vector of halfs", arrow.FixedSizeListOf(1, arrow.FixedWidthTypes.Float16), func(b array.Builder) {
			l := b.(*array.FixedSizeListBuilder)
			l.Append(true)
			l.ValueBuilder().(*array.Float16Builder).Append(float16.New(1.5))
		}, []float32{1.5}, `[1.5]`},
		{"vector of bools", arrow.FixedSizeListOf(1, arrow.FixedWidthTypes.Boolean), func(b array.Builder) {
			l := b.(*array.FixedSizeListBuilder)
			l.Append(true)
			l.ValueBuilder().(*array.BooleanBuilder).Append(true)
		}, []bool{true}, `[true]`},
		{"no vector", arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Float32), func(b array.Builder) { b.AppendNull() }, nil, `null`},
		{"dictionary", &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}, func(b array.Builder) {
			if err := b.(*array.BinaryDictionaryBuilder).AppendString("d"); err != nil {
				t.Fatal(err)
			}
		}, "d", `"d"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := array.NewBuilder(memory.DefaultAllocator, test.typ)
			b.AppendNull() // so that the row read is not the first
			test.append(b)
			row := rowsOf(t, arrow.Field{Name: "c", Type: test.typ, Nullable: true}, b.NewArray())[1]
			got := row.Value("c")
			if zoned, ok := got.(time.Time); ok {
				got = zoned.UTC()
			}
			if diff := cmp.Diff(test.value, got); diff != "" {
				t.Errorf("value (-want +got):\n%s", diff)
			}
			if got := string(row.AppendJSON(nil)); got != `{"c":`+test.json+`}` {
				t.Errorf("got %s, want %s", got, test.json)
			}
		})
	}

	t.Run("struct", func(t *testing.T) {
		b := array.NewStructBuilder(memory.DefaultAllocator, ref)
		b.Append(true)
		b.FieldBuilder(0).(*array.StringBuilder).Append("item")
		b.FieldBuilder(1).(*array.StringBuilder).Append("i1")
		row := rowsOf(t, arrow.Field{Name: "item_ref", Type: ref}, b.NewArray())[0]
		if got := row.Value("item_ref.id"); got != "i1" {
			t.Errorf("item_ref.id is %v, want i1", got)
		}
		if _, ok := row.Lookup("item_ref.nope"); ok {
			t.Error("item_ref.nope was found")
		}
		raw, err := json.Marshal([]Row{row})
		if err != nil || string(raw) != `[{"item_ref":{"name":"item","id":"i1"}}]` {
			t.Errorf("got %s (%v)", raw, err)
		}
	})

	t.Run("list of structs", func(t *testing.T) {
		typ := arrow.ListOf(ref)
		b := array.NewListBuilder(memory.DefaultAllocator, ref)
		b.Append(true)
		s := b.ValueBuilder().(*array.StructBuilder)
		s.Append(true)
		s.FieldBuilder(0).(*array.StringBuilder).Append("n")
		s.FieldBuilder(1).(*array.StringBuilder).AppendNull()
		row := rowsOf(t, arrow.Field{Name: "refs", Type: typ}, b.NewArray())[0]
		if got := string(row.AppendJSON(nil)); got != `{"refs":[{"name":"n","id":null}]}` {
			t.Errorf("got %s", got)
		}
	})
}

// rowsOf decodes a column, of which it cuts the second half off and joins it again, as engines send slices.
func rowsOf(t *testing.T, field arrow.Field, column arrow.Array) []Row {
	t.Helper()
	schema := arrow.NewSchema([]arrow.Field{field}, nil)
	whole := array.NewRecordBatch(schema, []arrow.Array{column}, int64(column.Len()))
	var rows []Row
	for _, cut := range [][2]int64{{0, whole.NumRows() / 2}, {whole.NumRows() / 2, whole.NumRows()}} {
		part, err := decodeRows(whole.NewSlice(cut[0], cut[1]), newRowColumns(schema.Fields()))
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, part...)
	}
	return rows
}

func TestRowUnknownType(t *testing.T) {
	typ := &arrow.Decimal128Type{Precision: 10, Scale: 2}
	b := array.NewBuilder(memory.DefaultAllocator, typ)
	b.AppendNull()
	schema := arrow.NewSchema([]arrow.Field{{Name: "price", Type: typ, Nullable: true}}, nil)
	batch := array.NewRecordBatch(schema, []arrow.Array{b.NewArray()}, 1)
	_, err := decodeRows(batch, newRowColumns(schema.Fields()))
	if err == nil || !strings.Contains(err.Error(), "price: values of type decimal") {
		t.Errorf("got %v, want an error naming column and type", err)
	}
}

func TestZeroRow(t *testing.T) {
	var row Row
	if row.Len() != 0 || row.ID() != "" || string(row.AppendJSON(nil)) != "{}" || len(row.Columns()) != 0 {
		t.Errorf("the zero row is not empty: %s", row.AppendJSON(nil))
	}
}

// boxBatch is a batch like those of a table of boxes.
func boxBatch(rows int) arrow.RecordBatch {
	ref := arrow.StructOf(
		arrow.Field{Name: "name", Type: arrow.BinaryTypes.String},
		arrow.Field{Name: "id", Type: arrow.BinaryTypes.String},
	)
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.BinaryTypes.String},
		{Name: "created_at", Type: timestamp(arrow.Microsecond, "")},
		{Name: "item_ref", Type: ref},
		{Name: "view_ref", Type: ref},
		{Name: "coords", Type: arrow.ListOf(arrow.PrimitiveTypes.Float64)},
		{Name: "format", Type: arrow.BinaryTypes.String},
		{Name: "is_normalized", Type: arrow.FixedWidthTypes.Boolean},
		{Name: "confidence", Type: arrow.PrimitiveTypes.Float64},
	}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for i := range rows {
		b.Field(0).(*array.StringBuilder).Append("bbox-000000001")
		b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(1704164645678901 + i))
		for c := 2; c < 4; c++ {
			s := b.Field(c).(*array.StructBuilder)
			s.Append(true)
			s.FieldBuilder(0).(*array.StringBuilder).Append("image")
			s.FieldBuilder(1).(*array.StringBuilder).Append("image-00000001")
		}
		l := b.Field(4).(*array.ListBuilder)
		l.Append(true)
		l.ValueBuilder().(*array.Float64Builder).AppendValues([]float64{0.1, 0.2, 0.3, float64(i) / 7}, nil)
		b.Field(5).(*array.StringBuilder).Append("xywh")
		b.Field(6).(*array.BooleanBuilder).Append(true)
		b.Field(7).(*array.Float64Builder).Append(float64(i) / 3)
	}
	return b.NewRecordBatch()
}

func BenchmarkDecodeRows(b *testing.B) {
	batch := boxBatch(8192)
	columns := newRowColumns(batch.Schema().Fields())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeRows(batch, columns); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(batch.NumRows())*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkAppendJSON(b *testing.B) {
	batch := boxBatch(8192)
	rows, err := decodeRows(batch, newRowColumns(batch.Schema().Fields()))
	if err != nil {
		b.Fatal(err)
	}
	var line []byte
	b.ReportAllocs()
	for b.Loop() {
		for _, row := range rows {
			line = row.AppendJSON(line[:0])
		}
	}
	b.ReportMetric(float64(len(rows))*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
