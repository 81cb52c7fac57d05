package lance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
)

// needEngine loads the engine. On linux/amd64, where it is embedded, a test without it fails.
func needEngine(t testing.TB) {
	t.Helper()
	err := Load(nil)
	switch {
	case err == nil:
	case runtime.GOOS == "linux" && runtime.GOARCH == "amd64":
		t.Fatal(err)
	default:
		t.Skip("no engine has been built for this platform: ", err)
	}
}

func connect(t testing.TB) *Connection {
	t.Helper()
	return connectTo(t, t.TempDir(), nil)
}

func connectTo(t testing.TB, uri string, opts *ConnectOptions) *Connection {
	t.Helper()
	needEngine(t)
	c, err := Connect(t.Context(), uri, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func field(name string, t arrow.DataType) arrow.Field {
	return arrow.Field{Name: name, Type: t, Nullable: true}
}

// numbered is the schema of most tests: an id and a number.
var numbered = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.BinaryTypes.String},
	field("n", arrow.PrimitiveTypes.Int64),
}, nil)

// fromJSON makes a batch of rows written as a JSON array of objects.
func fromJSON(t testing.TB, schema *arrow.Schema, text string) arrow.RecordBatch {
	t.Helper()
	batch, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

// numbers makes a batch of numbered with the numbers from (including) and to (excluding).
func numbers(from, to int) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, numbered)
	for i := from; i < to; i++ {
		b.Field(0).(*array.StringBuilder).Append(fmt.Sprintf("id%06d", i))
		b.Field(1).(*array.Int64Builder).Append(int64(i))
	}
	return b.NewRecordBatch()
}

func create(t testing.TB, c *Connection, name string, batches ...arrow.RecordBatch) *Table {
	t.Helper()
	var schema *arrow.Schema
	if len(batches) == 0 {
		schema = numbered
	}
	table, err := c.CreateTable(t.Context(), name, schema, FromBatches(schema, batches...), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	return table
}

func openTable(t testing.TB, c *Connection, name string) *Table {
	t.Helper()
	table, err := c.OpenTable(t.Context(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	return table
}

// read gives the rows of a query as JSON, one row a line.
func read(t testing.TB, table *Table, q Query) string {
	t.Helper()
	var b strings.Builder
	for batch, err := range table.Batches(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(rows(t, batch))
	}
	return b.String()
}

func rows(t testing.TB, batch arrow.RecordBatch) string {
	t.Helper()
	var b strings.Builder
	if err := array.RecordToJSON(batch, &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func count(t testing.TB, table *Table, where string) int64 {
	t.Helper()
	n, err := table.Count(t.Context(), where)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func must[T any](t testing.TB) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantError(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want one that is %v", err, want)
	}
}

func diff(t testing.TB, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func TestCodes(t *testing.T) {
	for code, want := range map[Code]error{
		CodeNotFound: ErrNotFound, CodeExists: ErrExists, CodeInvalid: ErrInvalid, CodeConflict: ErrConflict, CodeIO: ErrIO,
		CodeUnsupported: ErrUnsupported, CodePanic: ErrPanic, CodeClosed: ErrClosed, CodeCorrupt: ErrCorrupt,
		CodePermission: ErrPermission, CodeNoSpace: ErrNoSpace, CodeInternal: ErrInternal, 99: ErrInternal,
		CodeCancelled: context.DeadlineExceeded,
	} {
		if err := newError("append", "t", code, "why"); !errors.Is(err, want) {
			t.Errorf("code %d: %v is not %v", code, err, want)
		}
	}
	for err, want := range map[error]error{
		ErrNotFound: fs.ErrNotExist, ErrExists: fs.ErrExist, ErrPermission: fs.ErrPermission, ErrClosed: fs.ErrClosed,
		ErrUnsupported: errors.ErrUnsupported,
	} {
		if !errors.Is(err, want) {
			t.Errorf("%v is not %v", err, want)
		}
	}
	if errors.Is(ErrInvalid, ErrConflict) || errors.Is(ErrInvalid, nil) {
		t.Error("sentinels match what they should not")
	}
}

func TestErrorText(t *testing.T) {
	err := newError("append", "boxes", CodeInvalid, `append "boxes": no column x`)
	diff(t, "message", err.Error(), `append "boxes": no column x`)
	ctx, cancel := context.WithCancelCause(context.Background())
	why := errors.New("the user left")
	cancel(why)
	e := cancelled(ctx, "query", "boxes")
	if !errors.Is(e, context.Canceled) || !errors.Is(e, why) {
		t.Errorf("%v is neither context.Canceled nor the cause", e)
	}
}

// The tables of names on both sides of the interface must agree; open would find out, this says it better.
func TestFunctionNames(t *testing.T) {
	for i, name := range functionNames {
		if name == "" {
			t.Errorf("function %d has no name", i)
		}
	}
	source, err := os.ReadFile("native/src/lib.rs")
	if err != nil {
		t.Skip("the sources of the native half are not here: ", err)
	}
	for _, name := range functionNames {
		if !strings.Contains(string(source), "pixano_"+name+" =>") {
			t.Errorf("the native half has no function pixano_%s", name)
		}
	}
	if got := strings.Count(string(source), "    pixano_"); got != len(functionNames) {
		t.Errorf("the native half has %d functions of the common signature, this one %d", got, len(functionNames))
	}
}

func TestConnect(t *testing.T) {
	needEngine(t)
	ctx := t.Context()
	dir := t.TempDir() + "/new"
	c := connectTo(t, dir, nil)
	names := must[[]string](t)(c.TableNames(ctx))
	if len(names) != 0 || c.URI() != dir {
		t.Errorf("got tables %q of %q, want none of %q", names, c.URI(), dir)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("looking has made the directory: %v", err)
	}
	_, err := c.OpenTable(ctx, "a", nil)
	wantError(t, err, ErrNotFound)
	wantError(t, err, fs.ErrNotExist)

	create(t, c, "b", numbers(0, 3))
	create(t, c, "a")
	diff(t, "tables", must[[]string](t)(c.TableNames(ctx)), []string{"a", "b"})

	_, err = c.CreateTable(ctx, "a", numbered, nil, nil)
	wantError(t, err, ErrExists)
	same, err := c.CreateTable(ctx, "b", numbered, FromBatches(nil, numbers(5, 9)), &CreateOptions{Mode: CreateExistOK})
	if err != nil {
		t.Fatal(err)
	}
	if n := count(t, same, ""); n != 3 {
		t.Errorf("an existing table has %d rows, want the 3 it had", n)
	}
	over, err := c.CreateTable(ctx, "b", nil, FromBatches(nil, numbers(5, 9)), &CreateOptions{Mode: CreateOverwrite, Properties: map[string]string{"by": "test"}})
	if err != nil {
		t.Fatal(err)
	}
	if n := count(t, over, ""); n != 4 {
		t.Errorf("an overwritten table has %d rows, want 4", n)
	}
	if v := must[[]Version](t)(over.Versions(ctx)); len(v) != 2 {
		t.Errorf("an overwritten table has versions %v, want 2", v)
	}

	wantError(t, c.DropTable(ctx, "zzz", nil), ErrNotFound)
	if err := c.DropTable(ctx, "zzz", &DropOptions{IgnoreMissing: true}); err != nil {
		t.Error(err)
	}
	if err := c.DropTable(ctx, "b", nil); err != nil {
		t.Error(err)
	}
	diff(t, "tables", must[[]string](t)(c.TableNames(ctx)), []string{"a"})

	_, err = c.CreateTable(ctx, "c", nil, nil, nil)
	wantError(t, err, ErrInvalid)
	_, err = c.CreateTable(ctx, "c", numbered, nil, &CreateOptions{StorageVersion: "7.5"})
	wantError(t, err, ErrInvalid)
	_, err = c.CreateTable(ctx, "no/slash", numbered, nil, nil)
	wantError(t, err, ErrInvalid)
}

func TestConnectToNothing(t *testing.T) {
	needEngine(t)
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, uri := range []string{"", file, "gopher://x/y"} {
		if c, err := Connect(t.Context(), uri, nil); err == nil {
			c.Close()
			t.Errorf("%q was connected to", uri)
		}
	}
	// A folder below a file: neither there nor to be made.
	c := connectTo(t, file+"/db", nil)
	if table, err := c.CreateTable(t.Context(), "a", numbered, nil, nil); err == nil {
		table.Close()
		t.Error("a table was created below a file")
	} else {
		t.Log(err)
	}
}

func TestCreateOptions(t *testing.T) {
	c := connect(t)
	for _, version := range []string{"2.0", "2.1", "2.2"} {
		opts := &CreateOptions{StorageVersion: version, V2ManifestPaths: version != "2.0", MaxRowsPerFile: 100}
		table, err := c.CreateTable(t.Context(), "v"+version[2:], nil, FromBatches(nil, numbers(0, 250)), opts)
		if err != nil {
			t.Fatal(err)
		}
		info := must[TableInfo](t)(table.Info(t.Context(), true))
		if info.StorageVersion != version || info.V2Manifests != opts.V2ManifestPaths || info.Rows != 250 || info.Fragments < 2 {
			t.Errorf("got %+v, want version %s and several files", info, version)
		}
	}
}

func TestReadConsistency(t *testing.T) {
	dir := t.TempDir()
	stay := connectTo(t, dir, nil)
	writer := create(t, stay, "t", numbers(0, 1))
	still := openTable(t, stay, "t")
	follow := openTable(t, connectTo(t, dir, &ConnectOptions{ReadConsistency: EveryRead}), "t")
	lazy := openTable(t, connectTo(t, dir, &ConnectOptions{ReadConsistency: 50 * time.Millisecond, IndexCacheBytes: 1 << 20, MetadataCacheBytes: 1 << 20}), "t")
	must[WriteResult](t)(writer.Append(t.Context(), FromBatches(nil, numbers(1, 2)), nil))
	time.Sleep(60 * time.Millisecond)
	if a, b, c, d := count(t, writer, ""), count(t, still, ""), count(t, follow, ""), count(t, lazy, ""); a != 2 || b != 1 || c != 2 || d != 2 {
		t.Errorf("writer, still, follow and lazy see %d, %d, %d and %d rows, want 2, 1, 2, 2", a, b, c, d)
	}
	if v := must[uint64](t)(still.CheckoutLatest(t.Context())); v != 2 || count(t, still, "") != 2 {
		t.Errorf("got version %d, want 2", v)
	}
}

func TestClose(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	table := create(t, c, "t", numbers(0, 10))
	reader := must[*Reader](t)(table.Query(ctx, Query{BatchRows: 2}))
	if err := errors.Join(c.Close(), c.Close()); err != nil {
		t.Error(err)
	}
	_, err := c.TableNames(ctx)
	wantError(t, err, ErrClosed)
	_, err = c.Objects().Get(ctx, "x")
	wantError(t, err, ErrClosed)
	// What was opened through it goes on.
	if n := count(t, table, ""); n != 10 {
		t.Errorf("got %d rows", n)
	}
	if err := errors.Join(table.Close(), table.Close()); err != nil {
		t.Error(err)
	}
	_, err = table.Count(ctx, "")
	wantError(t, err, ErrClosed)
	wantError(t, err, fs.ErrClosed)
	_, err = table.Append(ctx, FromBatches(nil, numbers(0, 1)), &WriteOptions{BufferBytes: -1})
	wantError(t, err, ErrClosed)
	_, err = SQL(ctx, "SELECT 1 FROM t", map[string]*Table{"t": table}, nil)
	wantError(t, err, ErrClosed)
	if batch, err := reader.Next(ctx); err != nil || batch.NumRows() == 0 {
		t.Errorf("a reader of a closed table gives %v, %v", batch, err)
	}
	if err := errors.Join(reader.Close(), reader.Close()); err != nil {
		t.Error(err)
	}
	_, err = reader.Next(ctx)
	wantError(t, err, ErrClosed)
}

// What was never closed is closed by the collector.
func TestCollected(t *testing.T) {
	c := connect(t)
	create(t, c, "t", numbers(0, 10))
	var ids []uint64
	for range 10 {
		table, err := c.OpenTable(t.Context(), "t", nil)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, table.h.id)
	}
	gone := func() bool {
		for _, id := range ids {
			if _, err := callToken(fnCount, id, 0, args{op: "count"}); !errors.Is(err, ErrClosed) {
				return false
			}
		}
		return true
	}
	for deadline := time.Now().Add(10 * time.Second); !gone(); {
		if time.Now().After(deadline) {
			t.Fatal("tables that were let go are still open")
		}
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
}

func TestEngine(t *testing.T) {
	needEngine(t)
	info := must[EngineInfo](t)(Engine())
	if info.ABI != abiVersion || info.LanceDB == "" || info.Lance == "" || info.DataFusion == "" || info.Arrow == "" {
		t.Errorf("got %+v", info)
	}
	if err := Load(nil); err != nil {
		t.Error(err)
	}
	var e *LoadError
	if err := Load(&LoadOptions{Path: "/another"}); !errors.As(err, &e) {
		t.Errorf("a second engine: got %v, want a LoadError", err)
	}
}
