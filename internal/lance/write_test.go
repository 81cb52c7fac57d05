package lance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/float16"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// everything has the types that datasets use, and more.
//
// A struct that is null needs storage version 2.1; 2.0 keeps only its fields' nulls.
func everything(nullStructs bool) *arrow.Schema {
	point := arrow.StructOf(
		arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Float64},
		field("label", arrow.BinaryTypes.String),
		arrow.Field{Name: "deep", Type: arrow.StructOf(field("n", arrow.PrimitiveTypes.Int32)), Nullable: nullStructs},
	)
	metadata := arrow.MetadataFrom(map[string]string{"unit": "px"})
	fields := []arrow.Field{
		{Name: "id", Type: arrow.BinaryTypes.String, Metadata: arrow.MetadataFrom(map[string]string{primaryKey: "true"})},
		field("bool", arrow.FixedWidthTypes.Boolean),
		field("i8", arrow.PrimitiveTypes.Int8), field("u16", arrow.PrimitiveTypes.Uint16), field("i32", arrow.PrimitiveTypes.Int32),
		field("u64", arrow.PrimitiveTypes.Uint64), field("f32", arrow.PrimitiveTypes.Float32),
		{Name: "f64", Type: arrow.PrimitiveTypes.Float64, Nullable: true, Metadata: metadata},
		field("f16", arrow.FixedWidthTypes.Float16),
		field("large", arrow.BinaryTypes.LargeString), field("binary", arrow.BinaryTypes.Binary), field("large_binary", arrow.BinaryTypes.LargeBinary),
		field("date", arrow.FixedWidthTypes.Date32), field("naive", &arrow.TimestampType{Unit: arrow.Microsecond}),
		field("zoned", &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "UTC"}),
		{Name: "point", Type: point, Nullable: nullStructs}, {Name: "must", Type: arrow.StructOf(arrow.Field{Name: "id", Type: arrow.BinaryTypes.String})},
		field("list", arrow.ListOf(arrow.PrimitiveTypes.Float64)), field("strings", arrow.ListOf(arrow.BinaryTypes.String)),
		field("points", arrow.ListOf(arrow.StructOf(field("x", arrow.PrimitiveTypes.Float64)))),
		field("v16", arrow.FixedSizeListOf(2, arrow.FixedWidthTypes.Float16)),
		field("v32", arrow.FixedSizeListOf(3, arrow.PrimitiveTypes.Float32)),
		field("v64", arrow.FixedSizeListOf(4, arrow.PrimitiveTypes.Float64)),
	}
	return arrow.NewSchema(fields, &metadata)
}

const primaryKey = "lance-schema:unenforced-primary-key"

// appendRandom appends n values that are zero, null and random ones.
func appendRandom(b array.Builder, nullable bool, n int, r *rand.Rand) {
	for range n {
		if nullable && r.IntN(4) == 0 {
			b.AppendNull()
			continue
		}
		switch b := b.(type) {
		case *array.StringBuilder:
			b.Append(strings.Repeat("é", r.IntN(5)))
		case *array.LargeStringBuilder:
			b.Append(strings.Repeat("x", r.IntN(50)))
		case *array.BinaryBuilder:
			b.Append([]byte(strings.Repeat("\x00\xff", r.IntN(9))))
		case *array.BooleanBuilder:
			b.Append(r.IntN(2) == 0)
		case *array.Int8Builder:
			b.Append(int8(r.Uint32()))
		case *array.Uint16Builder:
			b.Append(uint16(r.Uint32()))
		case *array.Int32Builder:
			b.Append(int32(r.Uint32()))
		case *array.Uint64Builder:
			b.Append(r.Uint64())
		case *array.Float16Builder:
			b.Append(float16.New(float32(r.IntN(100))))
		case *array.Float32Builder:
			b.Append(r.Float32())
		case *array.Float64Builder:
			b.Append(r.NormFloat64())
		case *array.Date32Builder:
			b.Append(arrow.Date32(r.IntN(30000)))
		case *array.TimestampBuilder:
			b.Append(arrow.Timestamp(r.Int64N(1 << 50)))
		case *array.StructBuilder:
			b.Append(true)
			for i := range b.NumField() {
				appendRandom(b.FieldBuilder(i), b.Type().(*arrow.StructType).Field(i).Nullable, 1, r)
			}
		case *array.ListBuilder:
			b.Append(true)
			appendRandom(b.ValueBuilder(), false, r.IntN(4), r)
		case *array.FixedSizeListBuilder:
			b.Append(true)
			appendRandom(b.ValueBuilder(), false, int(b.Type().(*arrow.FixedSizeListType).Len()), r)
		default:
			panic(fmt.Sprintf("no random values for %T", b))
		}
	}
}

func random(schema *arrow.Schema, n int, seed uint64) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	r := rand.New(rand.NewPCG(seed, 0))
	for i, f := range schema.Fields() {
		if f.Name == "id" {
			for i := range n {
				b.Field(0).(*array.StringBuilder).Append(fmt.Sprint(seed, "-", i))
			}
			continue
		}
		appendRandom(b.Field(i), f.Nullable, n, r)
	}
	return b.NewRecordBatch()
}

func TestRoundTrip(t *testing.T) {
	for _, version := range []string{"2.0", "2.1"} {
		t.Run(version, func(t *testing.T) {
			c := connect(t)
			ctx := t.Context()
			schema := everything(version != "2.0")
			first, second := random(schema, 300, 1), random(schema, 40, 2)
			table, err := c.CreateTable(ctx, "all", schema, FromBatches(schema, first), &CreateOptions{StorageVersion: version})
			if err != nil {
				t.Fatal(err)
			}
			// A slice, whose buffers begin before its rows.
			sliced := second.NewSlice(7, 31)
			result, err := table.Append(ctx, FromBatches(nil, sliced), nil)
			if err != nil {
				t.Fatal(err)
			}
			diff(t, "result", result, WriteResult{Version: 2, Rows: 24})
			got := must[*arrow.Schema](t)(openTable(t, c, "all").Schema(ctx))
			if !got.Equal(schema) || !got.Metadata().Equal(schema.Metadata()) {
				t.Errorf("got schema %v, want %v", got, schema)
			}
			for i, f := range got.Fields() {
				if !f.Metadata.Equal(schema.Field(i).Metadata) {
					t.Errorf("column %s has metadata %v, want %v", f.Name, f.Metadata, schema.Field(i).Metadata)
				}
			}
			diff(t, "rows", read(t, table, Query{}), rows(t, first)+rows(t, sliced))
			diff(t, "key", must[TableInfo](t)(table.Info(ctx, false)).PrimaryKey, []string{"id"})
		})
	}
}

func TestEmptyTable(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	table, err := c.CreateTable(ctx, "none", everything(false), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	reader := must[*Reader](t)(table.Query(ctx, Query{Where: "i32 > 1", Columns: []string{"i32", "point"}}))
	defer reader.Close()
	if reader.Schema().NumFields() != 2 {
		t.Errorf("got schema %v", reader.Schema())
	}
	for range 3 {
		if _, err := reader.Next(ctx); err != io.EOF {
			t.Fatalf("got %v, want io.EOF", err)
		}
	}
	// No rows, no version.
	result := must[WriteResult](t)(table.Append(ctx, FromBatches(everything(false)), nil))
	diff(t, "result", result, WriteResult{Version: 1})
	result = must[WriteResult](t)(table.Append(ctx, FromBatches(everything(false), random(everything(false), 0, 1)), &WriteOptions{BufferBytes: -1}))
	diff(t, "result", result, WriteResult{Version: 1})
	if n := count(t, table, ""); n != 0 {
		t.Errorf("got %d rows", n)
	}
}

func TestWrites(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	table := create(t, c, "t", numbers(0, 10))
	options := func(by string) *WriteOptions { return &WriteOptions{Properties: map[string]string{"by": by}} }

	got := must[WriteResult](t)(table.Append(ctx, FromBatches(nil, numbers(10, 20), numbers(20, 25)), options("append")))
	diff(t, "append", got, WriteResult{Version: 2, Rows: 15})
	got = must[WriteResult](t)(table.Update(ctx, "n >= 20", []Set{{"n", "n + 100"}}, options("update")))
	diff(t, "update", got, WriteResult{Version: 3, Updated: 5})
	got = must[WriteResult](t)(table.Delete(ctx, "n < 5", options("delete")))
	diff(t, "delete", got, WriteResult{Version: 4, Deleted: 5})
	got = must[WriteResult](t)(table.Delete(ctx, "n < 0", nil))
	diff(t, "delete nothing", got, WriteResult{Version: 4})
	got = must[WriteResult](t)(table.MergeInsert(ctx, MergeInsert{On: []string{"id"}, UpdateMatched: true, InsertMissing: true},
		FromBatches(nil, numbers(18, 30)), options("merge")))
	diff(t, "merge", got, WriteResult{Version: 5, Inserted: 5, Updated: 7, Attempts: 1})
	got = must[WriteResult](t)(table.MergeInsert(ctx, MergeInsert{On: []string{"id"}, InsertMissing: true}, FromBatches(nil, numbers(28, 32)), nil))
	diff(t, "insert only", got, WriteResult{Version: 6, Inserted: 2, Attempts: 1})
	got = must[WriteResult](t)(table.MergeInsert(ctx, MergeInsert{On: []string{"id"}, UpdateMatched: true, UpdateCondition: "target.n < 10"},
		FromBatches(nil, numbers(5, 15)), nil))
	diff(t, "update under a condition", got, WriteResult{Version: 7, Updated: 5, Attempts: 1})
	got = must[WriteResult](t)(table.MergeInsert(ctx, MergeInsert{On: []string{"id"}, InsertMissing: true, DeleteMissing: true, DeleteCondition: "n < 8"},
		FromBatches(nil, numbers(10, 32)), nil))
	diff(t, "delete what is missing", got, WriteResult{Version: 8, Deleted: 3, Attempts: 1})
	if n := count(t, table, ""); n != 24 {
		t.Errorf("got %d rows, want 24", n)
	}

	var done []string
	for _, tx := range must[[]Transaction](t)(table.Transactions(ctx, 5, 4)) {
		if tx.UUID == "" || tx.ReadVersion != tx.Version-1 || time.Since(tx.Timestamp) > time.Minute || tx.Missing {
			t.Errorf("got %+v", tx)
		}
		done = append(done, fmt.Sprint(tx.Version, " ", tx.Operation, " ", tx.Properties["by"]))
	}
	diff(t, "transactions", done, []string{"5 Update merge", "4 Delete delete", "3 Update update", "2 Append append"})
	if now := must[[]Transaction](t)(table.Transactions(ctx, 0, 0)); len(now) != 1 || now[0].Version != 8 {
		t.Errorf("got %+v", now)
	}

	got = must[WriteResult](t)(table.Overwrite(ctx, FromBatches(nil, fromJSON(t, arrow.NewSchema([]arrow.Field{field("other", arrow.PrimitiveTypes.Int32)}, nil),
		`[{"other": 1}]`)), options("overwrite")))
	diff(t, "overwrite", got, WriteResult{Version: 9, Rows: 1})
	diff(t, "rows", read(t, table, Query{}), `{"other":1}`+"\n")
}

func TestWriteErrors(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	table := create(t, c, "t", numbers(0, 10))
	other := arrow.NewSchema([]arrow.Field{field("n", arrow.BinaryTypes.String)}, nil)
	for name, write := range map[string]func() error{
		"other columns": func() error {
			_, err := table.Append(ctx, FromBatches(nil, fromJSON(t, other, `[{"n": "x"}]`)), nil)
			return err
		},
		"no key": func() error {
			_, err := table.MergeInsert(ctx, MergeInsert{InsertMissing: true}, FromBatches(nil, numbers(0, 1)), nil)
			return err
		},
		"unknown key": func() error {
			_, err := table.MergeInsert(ctx, MergeInsert{On: []string{"key"}, InsertMissing: true}, FromBatches(nil, numbers(0, 1)), nil)
			return err
		},
		"empty condition":  func() error { _, err := table.Delete(ctx, "", nil); return err },
		"unknown column":   func() error { _, err := table.Delete(ctx, "x = 1", nil); return err },
		"broken condition": func() error { _, err := table.Delete(ctx, "n = = 1", nil); return err },
		"nothing to set":   func() error { _, err := table.Update(ctx, "", nil, nil); return err },
		"set unknown":      func() error { _, err := table.Update(ctx, "", []Set{{"x", "1"}}, nil); return err },
		"set twice":        func() error { _, err := table.Update(ctx, "", []Set{{"n", "1"}, {"n", "2"}}, nil); return err },
		"set by nonsense":  func() error { _, err := table.Update(ctx, "", []Set{{"n", "foo(1"}}, nil); return err },
		"batches disagree": func() error {
			_, err := table.Append(ctx, FromBatches(nil, numbers(0, 1), fromJSON(t, other, `[{"n": "x"}]`)), nil)
			return err
		},
		"batches of a stream disagree": func() error {
			_, err := table.Append(ctx, FromBatches(nil, numbers(0, 1), fromJSON(t, other, `[{"n": "x"}]`)), &WriteOptions{BufferBytes: -1})
			return err
		},
	} {
		err := write()
		t.Logf("%s: %v", name, err)
		var e *Error
		if !errors.As(err, &e) || e.Code != CodeInvalid || e.Table != "t" || e.Op == "" {
			t.Errorf("%s: got %v, want an error of code %d that names the table", name, err, CodeInvalid)
		}
	}
	if v := must[uint64](t)(table.CheckoutLatest(ctx)); v != 1 {
		t.Errorf("failed writes made version %d", v)
	}
}

func TestExpectedVersion(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	table, other := create(t, c, "t", numbers(0, 10)), openTable(t, c, "t")
	must[WriteResult](t)(other.Append(ctx, FromBatches(nil, numbers(10, 11)), nil))
	for name, write := range map[string]func(*WriteOptions) (WriteResult, error){
		"append": func(o *WriteOptions) (WriteResult, error) {
			return table.Append(ctx, FromBatches(nil, numbers(20, 21)), o)
		},
		"update": func(o *WriteOptions) (WriteResult, error) { return table.Update(ctx, "", []Set{{"n", "1"}}, o) },
		"delete": func(o *WriteOptions) (WriteResult, error) { return table.Delete(ctx, "true", o) },
		"merge": func(o *WriteOptions) (WriteResult, error) {
			return table.MergeInsert(ctx, MergeInsert{On: []string{"id"}, InsertMissing: true}, FromBatches(nil, numbers(20, 21)), o)
		},
	} {
		if _, err := write(&WriteOptions{ExpectedVersion: 1}); !errors.Is(err, ErrConflict) {
			t.Errorf("%s: got %v, want a conflict", name, err)
		}
	}
	if n := count(t, openTable(t, c, "t"), ""); n != 11 {
		t.Errorf("got %d rows, want 11", n)
	}
	got := must[WriteResult](t)(table.Append(ctx, FromBatches(nil, numbers(20, 21)), &WriteOptions{ExpectedVersion: 2}))
	diff(t, "result", got, WriteResult{Version: 3, Rows: 1})
}

// source is data of n batches that counts what was taken from it, fails at the end if told so, and may be
// looked into at each step.
type source struct {
	array.RecordReader
	n, taken int
	rows     int
	err      error
	step     func(int)
	batch    arrow.RecordBatch
}

func (s *source) Schema() *arrow.Schema { return numbered }
func (s *source) Next() bool {
	if s.step != nil {
		s.step(s.taken)
	}
	if s.taken == s.n {
		return false
	}
	s.batch = numbers(s.taken*s.rows, (s.taken+1)*s.rows)
	s.taken++
	return true
}
func (s *source) RecordBatch() arrow.RecordBatch { return s.batch }
func (s *source) Err() error {
	if s.taken == s.n {
		return s.err
	}
	return nil
}

func TestStreamedWrites(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	stream := &WriteOptions{BufferBytes: -1, Properties: map[string]string{"by": "stream"}}
	table, err := c.CreateTable(ctx, "t", nil, &source{n: 30, rows: 500}, &CreateOptions{BufferBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	got := must[WriteResult](t)(table.Append(ctx, &source{n: 200, rows: 500}, stream))
	diff(t, "append", got, WriteResult{Version: 2, Rows: 100_000})
	if n := count(t, table, ""); n != 115_000 {
		t.Errorf("got %d rows", n)
	}
	got = must[WriteResult](t)(table.MergeInsert(ctx, MergeInsert{On: []string{"id"}, InsertMissing: true}, &source{n: 202, rows: 500}, stream))
	diff(t, "merge", got, WriteResult{Version: 3, Inserted: 1000, Attempts: 1})
	// Larger than the buffer, from the first batch or in the middle.
	got = must[WriteResult](t)(table.Overwrite(ctx, &source{n: 100, rows: 1000}, &WriteOptions{BufferBytes: 1 << 20}))
	diff(t, "overwrite", got, WriteResult{Version: 4, Rows: 100_000})
	diff(t, "rows", read(t, table, Query{Where: "n IN (0, 1000, 99999)", OrderBy: []Order{{Column: "n"}}}),
		`{"id":"id000000","n":0}`+"\n"+`{"id":"id001000","n":1000}`+"\n"+`{"id":"id099999","n":99999}`+"\n")
	// One that leaves the data unread.
	same, err := c.CreateTable(ctx, "t", nil, &source{n: 300, rows: 5000}, &CreateOptions{BufferBytes: -1, Mode: CreateExistOK})
	if err != nil {
		t.Fatal(err)
	}
	if n := count(t, same, ""); n != 100_000 {
		t.Errorf("got %d rows", n)
	}
}

// A query's result is data for another table, however large.
func TestCopy(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	from, to := create(t, c, "from", numbers(0, 50_000)), create(t, c, "to")
	data := must[*Reader](t)(from.Query(ctx, Query{Where: "n >= 100"})).Records(ctx)
	defer data.Release()
	got := must[WriteResult](t)(to.Append(ctx, data, &WriteOptions{BufferBytes: 1}))
	diff(t, "result", got, WriteResult{Version: 2, Rows: 49_900})
	// One that fails in the middle.
	bad := must[*Reader](t)(from.Query(ctx, Query{})).Records(ctx)
	from.Close()
	bad.Release()
	_, err := to.Append(ctx, bad, nil)
	wantError(t, err, ErrClosed)
}

func TestBrokenData(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	table := create(t, c, "t", numbers(0, 1))
	broken := errors.New("the disk of the source is gone")
	for _, buffer := range []int64{-1, 0, 1 << 20} {
		opts := &WriteOptions{BufferBytes: buffer}
		_, err := table.Append(ctx, &source{n: 100, rows: 1000, err: broken}, opts)
		wantError(t, err, broken)
		_, err = table.Overwrite(ctx, &source{n: 100, rows: 1000, err: broken}, opts)
		wantError(t, err, broken)
		_, err = table.MergeInsert(ctx, MergeInsert{On: []string{"id"}, InsertMissing: true}, &source{n: 100, rows: 1000, err: broken}, opts)
		wantError(t, err, broken)
		_, err = c.CreateTable(ctx, "new", nil, &source{n: 100, rows: 1000, err: broken}, &CreateOptions{BufferBytes: buffer})
		wantError(t, err, broken)
	}
	if v, n := must[uint64](t)(table.CheckoutLatest(ctx)), count(t, table, ""); v != 1 || n != 1 {
		t.Errorf("failed writes left version %d with %d rows", v, n)
	}
	_, err := c.OpenTable(ctx, "new", nil)
	wantError(t, err, ErrNotFound)
	if names := must[[]string](t)(c.TableNames(ctx)); !slices.Equal(names, []string{"t"}) {
		t.Errorf("after a failed creation there are the tables %q", names)
	}
}

// Data that panics takes the write with it and leaves nothing running.
func TestPanickingData(t *testing.T) {
	c := connect(t)
	table := create(t, c, "t", numbers(0, 1))
	before := runtime.NumGoroutine()
	func() {
		defer func() {
			if got := recover(); got != "boom" {
				t.Errorf("recovered %v", got)
			}
		}()
		table.Append(t.Context(), &source{n: 100, rows: 10_000, step: func(i int) {
			if i == 50 {
				panic("boom")
			}
		}}, &WriteOptions{BufferBytes: -1})
	}()
	if n := count(t, openTable(t, c, "t"), ""); n != 1 {
		t.Errorf("got %d rows", n)
	}
	waitFor(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}

func waitFor(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain for ", what)
		}
	}
}

func TestCancelledWrites(t *testing.T) {
	c := connect(t)
	table := create(t, c, "t", numbers(0, 1))
	before := runtime.NumGoroutine()
	for _, buffer := range []int64{-1, 1 << 20} {
		ctx, cancel := context.WithCancel(t.Context())
		data := &source{n: 1 << 30, rows: 1000, step: func(i int) {
			if i == 100 {
				cancel()
			}
		}}
		_, err := table.Append(ctx, data, &WriteOptions{BufferBytes: buffer})
		wantError(t, err, context.Canceled)
		if data.taken > 1000 {
			t.Errorf("%d batches were read after the context had ended", data.taken-100)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := table.Append(ctx, &source{n: 1 << 30, rows: 1000}, &WriteOptions{BufferBytes: -1})
	wantError(t, err, context.DeadlineExceeded)
	_, err = table.Append(ctx, FromBatches(nil, numbers(0, 1)), nil)
	wantError(t, err, context.DeadlineExceeded)
	if v, n := must[uint64](t)(table.CheckoutLatest(t.Context())), count(t, table, ""); v != 1 || n != 1 {
		t.Errorf("cancelled writes left version %d with %d rows", v, n)
	}
	waitFor(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}

func TestSet(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.BinaryTypes.String}, field("name", arrow.BinaryTypes.String),
		field("vector", arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Float32)), field("tags", arrow.ListOf(arrow.BinaryTypes.String)),
	}, nil)
	table := create(t, c, "t", fromJSON(t, schema, `[
		{"id": "a", "name": "A", "vector": [1, 2], "tags": ["x"]}, {"id": "b", "name": null, "vector": [3, 4], "tags": []}]`))
	got := must[WriteResult](t)(table.Update(ctx, "id = 'b'", []Set{{"name", "'it''s ' || id"}}, nil))
	diff(t, "result", got, WriteResult{Version: 2, Updated: 1})
	diff(t, "rows", read(t, table, Query{OrderBy: []Order{{Column: "id"}}}),
		`{"id":"a","name":"A","tags":["x"],"vector":[1,2]}`+"\n"+`{"id":"b","name":"it's b","tags":[],"vector":[3,4]}`+"\n")
}

// keyed is numbered with the key marked.
func keyed() *arrow.Schema {
	id := numbered.Field(0)
	id.Metadata = arrow.MetadataFrom(map[string]string{primaryKey: "true"})
	return arrow.NewSchema([]arrow.Field{id, numbered.Field(1)}, nil)
}

func TestConcurrentMerges(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	table, err := c.CreateTable(ctx, "t", keyed(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	const writers = 8
	var wg sync.WaitGroup
	var inserted, attempts [writers]int
	errs := make([]error, writers)
	for i := range writers {
		wg.Go(func() {
			// Half of them through a handle of their own.
			own := table
			if i%2 == 0 {
				own = openTable(t, c, "t")
			}
			batch := fromJSON(t, keyed(), fmt.Sprintf(`[{"id": "new", "n": %d}]`, i))
			result, err := own.MergeInsert(ctx, MergeInsert{On: []string{"id"}, InsertMissing: true}, FromBatches(nil, batch), &WriteOptions{ConflictRetries: 100})
			inserted[i], attempts[i], errs[i] = int(result.Inserted), result.Attempts, err
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, n := range inserted {
		sum += n
	}
	must[uint64](t)(table.CheckoutLatest(ctx))
	if n := count(t, table, ""); n != 1 || sum != 1 {
		t.Errorf("%d rows, %d of them said to be inserted, in %v attempts; want 1", n, sum, attempts)
	}
}

func TestConflict(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	table, other := create(t, c, "t", numbers(0, 10)), openTable(t, c, "t")
	// Many that change one row and do not try again: some succeed, the rest conflict, and every success counts.
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 16 {
		wg.Go(func() {
			own := table
			if i%2 == 0 {
				own = other
			}
			_, err := own.Update(ctx, "id = 'id000003'", []Set{{"n", "n + 1"}}, &WriteOptions{ConflictRetries: -1})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.Is(err, ErrConflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	diff(t, "row", read(t, openTable(t, c, "t"), Query{Where: "id = 'id000003'"}), fmt.Sprintf(`{"id":"id000003","n":%d}`+"\n", 3+won))
	t.Logf("%d of 16 succeeded", won)
}

// Readers, writers and closers on one table at once.
func TestConcurrency(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	table := create(t, c, "t", numbers(0, 1000))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 10 {
				if _, err := table.Append(ctx, FromBatches(nil, numbers(i*100+j, i*100+j+1)), nil); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 10 {
				n := 0
				for batch, err := range table.Batches(ctx, Query{BatchRows: 100}) {
					if err != nil {
						t.Error(err)
						return
					}
					n += int(batch.NumRows())
				}
				if n < 1000 || n > 1040 {
					t.Errorf("a scan has seen %d rows", n)
				}
			}
		})
		wg.Go(func() {
			for range 10 {
				own, err := c.OpenTable(ctx, "t", nil)
				if err != nil {
					t.Error(err)
					return
				}
				done := make(chan error)
				go func() { _, err := own.Count(ctx, "n > 10"); done <- err }()
				own.Close()
				if err := <-done; err != nil && !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := count(t, table, ""); n != 1040 {
		t.Errorf("got %d rows, want 1040", n)
	}
}
