// Package interop tests what is written here beside the real Python programs.
package interop_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"pixano/features"
	"pixano/internal/lance"
	"pixano/internal/rowcodec"
	"pixano/schema"
)

// python returns the interpreter of an environment of scripts/python-env. Where it is missing the test is skipped, or
// fails if PIXANO_REQUIRE_INTEROP is set, as the repository's test command does.
func python(t *testing.T, environment string) string {
	t.Helper()
	script := filepath.Join("..", "..", "scripts", "python-env")
	out, err := exec.Command(script, "--find", environment).CombinedOutput()
	if err == nil {
		return strings.TrimSpace(string(out))
	}
	if os.Getenv("PIXANO_REQUIRE_INTEROP") != "" {
		t.Fatalf("no Python environment %s: %s", environment, out)
	}
	t.Skipf("no Python environment %s, made by scripts/python-env: %s", environment, strings.TrimSpace(string(out)))
	return ""
}

// row has the kinds of columns that datasets have.
type row struct {
	schema.Entity
	Text    string
	Whole   int
	Number  float64
	Yes     bool
	Raw     []byte
	When    time.Time
	Texts   []string
	Numbers []float64
	Array   features.NDArrayFloat
	Single  []float32        `pixano:",dim=4"`
	Double  []float64        `pixano:",dim=3"`
	Half    []schema.Float16 `pixano:",dim=2"`
}

func makeRows(from, to int) []row {
	rows := make([]row, 0, to-from)
	for i := from; i < to; i++ {
		r := row{
			Text: fmt.Sprintf("text %d é 😀 '\"", i), Whole: i - 5, Number: float64(i) / 3, Yes: i%2 == 0,
			Raw: []byte{0, byte(i), 255}, When: time.Date(1, 1, 1, 0, 0, i, 123000, time.UTC),
			Texts: make([]string, i%3), Numbers: []float64{float64(i), -1},
			Array: features.NDArrayFloat{Values: []float64{1, float64(i)}, Shape: []int64{2}},
		}
		r.ID = fmt.Sprintf("row_%d", i)
		r.CreatedAt = time.Date(2024, 1, 2, 3, 4, 5, i*1000, time.UTC)
		r.UpdatedAt = r.CreatedAt
		r.ItemRef = features.Item(fmt.Sprintf("item_%d", i/2))
		if i%4 != 3 { // null otherwise
			r.Single = []float32{float32(i), 1, 2, 3}
			r.Double = []float64{float64(i), 0.1, -7}
			r.Half = []schema.Float16{schema.NewFloat16(float32(i)), 1}
		}
		rows = append(rows, r)
	}
	return rows
}

func codec(t *testing.T) (*rowcodec.Codec, *arrow.Schema) {
	t.Helper()
	c, err := rowcodec.For(reflect.TypeFor[row]())
	if err != nil {
		t.Fatal(err)
	}
	plain, err := c.Schema()
	if err != nil {
		t.Fatal(err)
	}
	fields := append([]arrow.Field(nil), plain.Fields()...)
	fields[0].Metadata = arrow.NewMetadata([]string{"lance-schema:unenforced-primary-key"}, []string{"true"})
	return c, arrow.NewSchema(fields, nil)
}

func data(t *testing.T, rows []row) array.RecordReader {
	t.Helper()
	c, s := codec(t)
	batch, err := c.Encode(rows, s)
	if err != nil {
		t.Fatal(err)
	}
	return lance.FromBatches(s, batch)
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// whole reads a table as one batch.
func whole(t *testing.T, conn *lance.Connection, name string) arrow.RecordBatch {
	t.Helper()
	ctx := context.Background()
	table := must(conn.OpenTable(ctx, name, nil))(t)
	defer table.Close()
	var batches []arrow.RecordBatch
	for batch, err := range table.Batches(ctx, lance.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		batches = append(batches, batch)
	}
	return join(t, must(table.Schema(ctx))(t), batches)
}

func join(t *testing.T, s *arrow.Schema, batches []arrow.RecordBatch) arrow.RecordBatch {
	t.Helper()
	columns := make([]arrow.Array, s.NumFields())
	n := int64(0)
	for _, b := range batches {
		n += b.NumRows()
	}
	for i := range columns {
		var parts []arrow.Array
		for _, b := range batches {
			parts = append(parts, b.Column(i))
		}
		if len(parts) == 0 {
			columns[i] = array.MakeArrayOfNull(memory.DefaultAllocator, s.Field(i).Type, 0)
			continue
		}
		columns[i] = must(array.Concatenate(parts, memory.DefaultAllocator))(t)
	}
	return array.NewRecordBatch(s, columns, n)
}

// arrowFile reads what Python wrote.
func arrowFile(t *testing.T, path string) arrow.RecordBatch {
	t.Helper()
	f := must(os.Open(path))(t)
	defer f.Close()
	r := must(ipc.NewFileReader(f))(t)
	defer r.Close()
	var batches []arrow.RecordBatch
	for i := range r.NumRecords() {
		b := must(r.RecordBatch(i))(t)
		b.Retain()
		batches = append(batches, b)
	}
	return join(t, r.Schema(), batches)
}

// same compares rows, order, types and nullability; the metadata that each side adds to a schema is its own matter.
func same(t *testing.T, what string, got, want arrow.RecordBatch) {
	t.Helper()
	bare := func(s *arrow.Schema) []arrow.Field {
		fields := append([]arrow.Field(nil), s.Fields()...)
		for i := range fields {
			fields[i].Metadata = arrow.Metadata{}
		}
		return fields
	}
	gs, ws := arrow.NewSchema(bare(got.Schema()), nil), arrow.NewSchema(bare(want.Schema()), nil)
	if !gs.Equal(ws) {
		t.Fatalf("%s: got schema %v, want %v", what, gs, ws)
	}
	if got.NumRows() != want.NumRows() {
		t.Fatalf("%s: got %d rows, want %d", what, got.NumRows(), want.NumRows())
	}
	for i, f := range gs.Fields() {
		if !array.Equal(got.Column(i), want.Column(i)) {
			t.Errorf("%s: column %s:\ngot  %v\nwant %v", what, f.Name, got.Column(i), want.Column(i))
		}
	}
}

func ids(t *testing.T, b arrow.RecordBatch) []string {
	t.Helper()
	column := b.Column(b.Schema().FieldIndices("id")[0]).(*array.String)
	all := make([]string, column.Len())
	for i := range all {
		all[i] = column.Value(i)
	}
	return all
}

func runPython(t *testing.T, interpreter string, arguments ...string) {
	t.Helper()
	out, err := exec.Command(interpreter, arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", arguments, err, out)
	}
}

func TestPythonReadsAndChangesTablesWrittenHere(t *testing.T) {
	for _, environment := range []string{"pixano", "lancedb029"} { // lancedb 0.17, 0.29
		t.Run(environment, func(t *testing.T) {
			interpreter := python(t, environment)
			ctx := context.Background()
			dir, out := t.TempDir(), t.TempDir()
			conn := must(lance.Connect(ctx, dir, nil))(t)
			defer conn.Close()
			_, s := codec(t)
			must(conn.CreateTable(ctx, "empty", s, nil, nil))(t).Close()
			table := must(conn.CreateTable(ctx, "rows", s, data(t, makeRows(0, 10)), nil))(t)
			defer table.Close()
			must(table.Append(ctx, data(t, makeRows(10, 15)), nil))(t)
			merged := must(table.MergeInsert(ctx, lance.MergeInsert{On: []string{"id"}, UpdateMatched: true, InsertMissing: true},
				data(t, makeRows(13, 18)), nil))(t)
			if merged.Updated != 2 || merged.Inserted != 3 {
				t.Fatalf("merged %+v, want 2 updated and 3 inserted", merged)
			}
			must(table.Delete(ctx, "id = 'row_1'", nil))(t)
			must(table.Optimize(ctx, lance.OptimizeOptions{Compact: &lance.Compact{}}, nil))(t)
			written := whole(t, conn, "rows")
			if written.NumRows() != 17 {
				t.Fatalf("wrote %d rows, want 17", written.NumRows())
			}

			runPython(t, interpreter, "testdata/change.py", dir, out)
			same(t, "as Python reads it", arrowFile(t, filepath.Join(out, "before.arrow")), written)
			if empty := arrowFile(t, filepath.Join(out, "empty.arrow")); empty.NumRows() != 0 {
				t.Errorf("Python reads %d rows of an empty table", empty.NumRows())
			}
			changed := whole(t, conn, "rows")
			same(t, "as Python left it", changed, arrowFile(t, filepath.Join(out, "after.arrow")))
			// 17 rows, 3 added, 1 deleted, 1 inserted by the merge.
			if changed.NumRows() != 20 {
				t.Errorf("Python left %d rows %v, want 20", changed.NumRows(), ids(t, changed))
			}
			if added := whole(t, conn, "empty"); added.NumRows() != 2 {
				t.Errorf("Python added 2 rows to the empty table, here it has %d", added.NumRows())
			}

			// And on with it from here.
			must(table.CheckoutLatest(ctx))(t)
			must(table.MergeInsert(ctx, lance.MergeInsert{On: []string{"id"}, UpdateMatched: true, InsertMissing: true},
				data(t, makeRows(5, 25)), nil))(t)
			must(table.Delete(ctx, "id LIKE 'added_%'", nil))(t)
			must(table.Optimize(ctx, lance.OptimizeOptions{Compact: &lance.Compact{}}, nil))(t)
			runPython(t, interpreter, "testdata/change.py", dir, out, "read")
			same(t, "the second time", arrowFile(t, filepath.Join(out, "final.arrow")), whole(t, conn, "rows"))
		})
	}
}

// lancedb 0.17 writes the struct columns of a slice with all rows of what it was cut from.
func TestTornStructColumnIsNamed(t *testing.T) {
	interpreter := python(t, "pixano")
	ctx := context.Background()
	dir := t.TempDir()
	conn := must(lance.Connect(ctx, dir, nil))(t)
	defer conn.Close()
	_, s := codec(t)
	must(conn.CreateTable(ctx, "rows", s, data(t, makeRows(0, 10)), nil))(t).Close()
	table := must(conn.CreateTable(ctx, "empty", s, data(t, makeRows(0, 1)), nil))(t)
	defer table.Close()
	runPython(t, interpreter, "testdata/change.py", dir, t.TempDir(), "tear")
	must(table.CheckoutLatest(ctx))(t)
	info := must(table.Info(ctx, true))(t)
	torn := filepath.Base(info.Files[len(info.Files)-1])
	for _, err := range table.Batches(ctx, lance.Query{}) {
		if err == nil {
			continue
		}
		if !errors.Is(err, lance.ErrCorrupt) || !strings.Contains(err.Error(), `"empty"`) || !strings.Contains(err.Error(), torn) {
			t.Errorf("got %v, want an error that is ErrCorrupt and names table and file %s", err, torn)
		}
		return
	}
	t.Error("no error")
}

// insertVariable makes the test binary insert a row into the database it names, as one of several processes.
const insertVariable = "PIXANO_INTEROP_INSERT"

func TestMain(m *testing.M) {
	if dir := os.Getenv(insertVariable); dir != "" {
		if err := insertOne(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// insertOne waits for the file "go", so that all processes start at once, and inserts row_0.
func insertOne(dir string) error {
	ctx := context.Background()
	conn, err := lance.Connect(ctx, dir, nil)
	if err != nil {
		return err
	}
	table, err := conn.OpenTable(ctx, "rows", nil)
	if err != nil {
		return err
	}
	c, err := rowcodec.For(reflect.TypeFor[row]())
	if err != nil {
		return err
	}
	s, err := table.Schema(ctx)
	if err != nil {
		return err
	}
	batch, err := c.Encode(makeRows(0, 1), s)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	for {
		if _, err := os.Stat(filepath.Join(dir, "go")); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	_, err = table.MergeInsert(ctx, lance.MergeInsert{On: []string{"id"}, InsertMissing: true}, lance.FromBatches(s, batch), nil)
	return err
}

func TestEightProcessesInsertingOneIDLeaveOneRow(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	conn := must(lance.Connect(ctx, dir, nil))(t)
	defer conn.Close()
	_, s := codec(t)
	must(conn.CreateTable(ctx, "rows", s, nil, nil))(t).Close()

	const processes = 8
	errs := make(chan error, processes)
	ready := make(chan struct{}, processes)
	for range processes {
		command := exec.Command(os.Args[0])
		command.Env = append(os.Environ(), insertVariable+"="+dir)
		stdout := must(command.StdoutPipe())(t)
		var stderr strings.Builder
		command.Stderr = &stderr
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		go func() {
			stdout.Read(make([]byte, 1))
			ready <- struct{}{}
			err := command.Wait()
			if err != nil {
				err = fmt.Errorf("%w: %s", err, stderr.String())
			}
			errs <- err
		}()
	}
	for range processes {
		<-ready
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for range processes {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if got := ids(t, whole(t, conn, "rows")); len(got) != 1 {
		t.Errorf("%d processes inserting one id left %v", processes, got)
	}
}
