package lance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/float16"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

func TestQuery(t *testing.T) {
	c := connect(t)
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.BinaryTypes.String}, field("n", arrow.PrimitiveTypes.Int64),
		{Name: "ref", Type: arrow.StructOf(field("id", arrow.BinaryTypes.String), field("k", arrow.PrimitiveTypes.Int32))},
	}, nil)
	table := create(t, c, "t", fromJSON(t, schema, `[
		{"id": "a", "n": 3, "ref": {"id": "x", "k": 1}}, {"id": "b", "n": null, "ref": {"id": "y", "k": 2}},
		{"id": "c", "n": 1, "ref": {"id": "x", "k": 3}}, {"id": "d", "n": 2, "ref": {"id": null, "k": 4}}]`))
	for name, test := range map[string]struct {
		query Query
		want  string // ids in their order, or rows
	}{
		"all":           {Query{Columns: []string{"id"}}, "a b c d"},
		"where":         {Query{Columns: []string{"id"}, Where: "n > 1"}, "a d"},
		"of a struct":   {Query{Columns: []string{"id"}, Where: "ref.id = 'x'"}, "a c"},
		"null":          {Query{Columns: []string{"id"}, Where: "n IS NULL OR ref.id IS NULL"}, "b d"},
		"none":          {Query{Columns: []string{"id"}, Where: "false"}, ""},
		"order":         {Query{Columns: []string{"id"}, OrderBy: []Order{{Column: "n"}}}, "c d a b"},
		"descending":    {Query{Columns: []string{"id"}, OrderBy: []Order{{Column: "n", Descending: true}}}, "a d c b"},
		"nulls first":   {Query{Columns: []string{"id"}, OrderBy: []Order{{Column: "n", NullsFirst: true}}}, "b c d a"},
		"by two":        {Query{Columns: []string{"id"}, Where: "ref.id IS NOT NULL", OrderBy: []Order{{Column: "n", NullsFirst: true}, {Column: "id"}}}, "b c a"},
		"limit":         {Query{Columns: []string{"id"}, Limit: 2}, "a b"},
		"offset":        {Query{Columns: []string{"id"}, Offset: 3}, "d"},
		"page":          {Query{Columns: []string{"id"}, Offset: 1, Limit: 2, OrderBy: []Order{{Column: "n"}}}, "d a"},
		"beyond":        {Query{Columns: []string{"id"}, Offset: 9, Limit: 2}, ""},
		"field":         {Query{Columns: []string{"ref.k"}, Where: "id = 'a'"}, `{"ref.k":1}`},
		"two":           {Query{Columns: []string{"n", "id"}, Where: "id = 'a'"}, `{"id":"a","n":3}`},
		"expressions":   {Query{Exprs: []Expr{{"twice", "n * 2"}, {"up", "upper(id)"}}, Where: "id = 'a'"}, `{"twice":6,"up":"A"}`},
		"row ids":       {Query{Columns: []string{"id"}, WithRowID: true, Where: "n = 1"}, `{"_rowid":2,"id":"c"}`},
		"only row ids":  {Query{Columns: []string{}, WithRowID: true, Where: "n = 1"}, `{"_rowid":2}`},
		"take":          {Query{Columns: []string{"id"}, RowIDs: []uint64{2, 0, 3}}, "c a d"},
		"take nothing":  {Query{Columns: []string{"id"}, RowIDs: []uint64{}}, ""},
		"small batches": {Query{Columns: []string{"id"}, BatchRows: 1}, "a b c d"},
	} {
		t.Run(name, func(t *testing.T) {
			got := read(t, table, test.query)
			if !strings.HasPrefix(test.want, "{") {
				got = strings.NewReplacer(`{"id":"`, "", `"}`, "").Replace(got)
				got = strings.Join(strings.Fields(got), " ")
			}
			diff(t, "rows", strings.TrimSpace(got), test.want)
		})
	}
}

func TestQueryErrors(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	table := create(t, c, "t", numbers(0, 10))
	vectors := create(t, c, "v", vectorBatch(20, 4))
	two := arrow.NewSchema([]arrow.Field{field("v", vectorType(4)), field("w", vectorType(4))}, nil)
	several := create(t, c, "w", fromJSON(t, two, `[{"v": [1,2,3,4], "w": [1,2,3,4]}]`))
	for name, test := range map[string]struct {
		table *Table
		query Query
	}{
		"unknown column in filter": {table, Query{Where: "x > 1"}},
		"type error in filter":     {table, Query{Where: "n = [1]"}},
		"broken filter":            {table, Query{Where: "n >"}},
		"unknown function":         {table, Query{Where: "frobnicate(n) = 1"}},
		"filter of a number":       {table, Query{Where: "n"}},
		"unknown column":           {table, Query{Columns: []string{"x"}}},
		"unknown column to take":   {table, Query{Columns: []string{"x"}, RowIDs: []uint64{1}}},
		"unknown order":            {table, Query{OrderBy: []Order{{Column: "x"}}}},
		"columns and expressions":  {table, Query{Columns: []string{"n"}, Exprs: []Expr{{"a", "n"}}}},
		"broken expression":        {table, Query{Exprs: []Expr{{"a", "n +"}}}},
		"negative limit":           {table, Query{Limit: -1}},
		"no vector column":         {table, Query{Vector: &VectorQuery{Vectors: [][]float32{{1}}}}},
		"no vectors":               {vectors, Query{Vector: &VectorQuery{}}},
		"wrong dimension":          {vectors, Query{Vector: &VectorQuery{Vectors: [][]float32{{1, 2, 3}}}}},
		"no dimension":             {vectors, Query{Vector: &VectorQuery{Vectors: [][]float32{{}}}}},
		"ragged":                   {vectors, Query{Vector: &VectorQuery{Vectors: [][]float32{{1, 2, 3, 4}, {1}}}}},
		"not a number":             {vectors, Query{Vector: &VectorQuery{Vectors: [][]float32{{1, 2, 3, float32(math.NaN())}}}}},
		"unknown vector column":    {vectors, Query{Vector: &VectorQuery{Column: "x", Vectors: [][]float32{{1, 2, 3, 4}}}}},
		"no vectors in column":     {vectors, Query{Vector: &VectorQuery{Column: "n", Vectors: [][]float32{{1, 2, 3, 4}}}}},
		"unknown metric":           {vectors, Query{Vector: &VectorQuery{Metric: "l3", Vectors: [][]float32{{1, 2, 3, 4}}}}},
		"several vector columns":   {several, Query{Vector: &VectorQuery{Vectors: [][]float32{{1, 2, 3, 4}}}}},
		"hybrid of one":            {vectors, Query{Hybrid: &Hybrid{}, Vector: &VectorQuery{Vectors: [][]float32{{1, 2, 3, 4}}}}},
		"unknown operator":         {vectors, Query{Text: &TextQuery{Text: "a", Operator: "xor"}}},
	} {
		err := func() error {
			for _, err := range test.table.Batches(ctx, test.query) {
				if err != nil {
					return err
				}
			}
			return nil
		}()
		t.Logf("%s: %v", name, err)
		var e *Error
		if !errors.As(err, &e) || !errors.Is(err, ErrInvalid) || e.Table == "" {
			t.Errorf("%s: got %v, want an error that is %v and names the table", name, err, ErrInvalid)
		}
	}
}

func vectorType(dim int32) arrow.DataType {
	return arrow.FixedSizeListOf(dim, arrow.PrimitiveTypes.Float32)
}

// vectorBatch has n rows: n, a word, and a vector (n, 1, 1 …).
func vectorBatch(n, dim int) arrow.RecordBatch {
	return vectorBatchOf(n, dim, arrow.PrimitiveTypes.Float32)
}

func vectorBatchOf(n, dim int, item arrow.DataType) arrow.RecordBatch {
	schema := arrow.NewSchema([]arrow.Field{
		field("n", arrow.PrimitiveTypes.Int64), field("text", arrow.BinaryTypes.String), field("vector", arrow.FixedSizeListOf(int32(dim), item)),
	}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	vectors := b.Field(2).(*array.FixedSizeListBuilder)
	words := strings.Fields("red green blue quick brown fox lazy dog jumps over")
	for i := range n {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).(*array.StringBuilder).Append(fmt.Sprintf("the %s %s number%d", words[i%10], words[i/10%10], i))
		vectors.Append(true)
		for j := range dim {
			x := float32(1)
			if j == 0 {
				x = float32(i)
			} else if j == 1 {
				x = float32(i % 7)
			}
			switch values := vectors.ValueBuilder().(type) {
			case *array.Float32Builder:
				values.Append(x)
			case *array.Float64Builder:
				values.Append(float64(x))
			case *array.Float16Builder:
				values.Append(float16.New(x))
			}
		}
	}
	return b.NewRecordBatch()
}

// ns are the values of the column n in the order of the result.
func ns(t testing.TB, table *Table, q Query) string {
	t.Helper()
	var found []string
	for batch, err := range table.Batches(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		column := batch.Column(batch.Schema().FieldIndices("n")[0]).(*array.Int64)
		for i := range column.Len() {
			found = append(found, fmt.Sprint(column.Value(i)))
		}
	}
	return strings.Join(found, " ")
}

func TestVectorSearch(t *testing.T) {
	c := connect(t)
	at := func(x float32) [][]float32 { return [][]float32{{x, 1, 1, 1}} }
	for name, item := range map[string]arrow.DataType{
		"f16": arrow.FixedWidthTypes.Float16, "f32": arrow.PrimitiveTypes.Float32, "f64": arrow.PrimitiveTypes.Float64,
	} {
		table := create(t, c, name, vectorBatchOf(50, 4, item))
		diff(t, name, ns(t, table, Query{Limit: 1, Vector: &VectorQuery{Vectors: at(8)}}), "8")
		diff(t, name+" filtered", ns(t, table, Query{Limit: 1, Where: "n > 20", Vector: &VectorQuery{Vectors: at(8), Exact: true}}), "21")
		diff(t, name+" filtered after", ns(t, table, Query{Limit: 1, Where: "n > 20", Postfilter: true, Vector: &VectorQuery{Vectors: at(8)}}), "")
		diff(t, name+" by cosine", ns(t, table, Query{Limit: 1, Vector: &VectorQuery{Vectors: [][]float32{{1, 1, 1, 1}}, Metric: Cosine}}), "1")
	}
	table := openTable(t, c, "f32")
	diff(t, "distances", read(t, table, Query{Columns: []string{"n"}, Limit: 2, Vector: &VectorQuery{Vectors: at(8.25), Metric: L2}}),
		`{"_distance":0.0625,"n":8}`+"\n"+`{"_distance":1.5625,"n":9}`+"\n")
	diff(t, "default limit", len(strings.Fields(ns(t, table, Query{Vector: &VectorQuery{Vectors: at(8)}}))), 10)
	from, to := float32(1), float32(3)
	diff(t, "bounds", ns(t, table, Query{Limit: 9, Vector: &VectorQuery{Vectors: at(8.25), LowerBound: &from, UpperBound: &to}}), "9 7")
	both := read(t, table, Query{Columns: []string{"n"}, Limit: 1, Vector: &VectorQuery{Vectors: append(at(8), at(22)...)}})
	diff(t, "two vectors", strings.Count(both, "\n"), 2)
	if !strings.Contains(both, `"n":8,"query_index":0`) || !strings.Contains(both, `"n":22,"query_index":1`) {
		t.Errorf("two vectors: got %s", both)
	}
	plan := must[string](t)(table.Explain(t.Context(), Query{Limit: 3, Vector: &VectorQuery{Vectors: at(8)}}, &ExplainOptions{Verbose: true}))
	if !strings.Contains(plan, "KNN") {
		t.Errorf("got plan %s", plan)
	}
}

func TestExplain(t *testing.T) {
	c := connect(t)
	table := create(t, c, "t", numbers(0, 100))
	plan := must[string](t)(table.Explain(t.Context(), Query{Where: "n > 5"}, nil))
	analyzed := must[string](t)(table.Explain(t.Context(), Query{Where: "n > 5"}, &ExplainOptions{Analyze: true}))
	if !strings.Contains(plan, "n > ") || !strings.Contains(analyzed, "output_rows=94") {
		t.Errorf("got plan %s and measured %s", plan, analyzed)
	}
	_, err := table.Explain(t.Context(), Query{Limit: -1}, nil)
	wantError(t, err, ErrInvalid)
}

func TestIterator(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	table := create(t, c, "t", numbers(0, 50_000))
	scan := table.Batches(ctx, Query{BatchRows: 1000})
	var kept []arrow.RecordBatch
	for batch, err := range scan {
		if err != nil {
			t.Fatal(err)
		}
		if kept = append(kept, batch); len(kept) == 3 {
			break
		}
	}
	// Again from the start, and the batches of the first time are still what they were.
	n := 0
	for batch, err := range scan {
		if err != nil {
			t.Fatal(err)
		}
		n += int(batch.NumRows())
	}
	if n != 50_000 {
		t.Errorf("the second time has %d rows", n)
	}
	for i, batch := range kept {
		if got := batch.Column(1).(*array.Int64).Value(0); got != int64(i*1000) {
			t.Errorf("batch %d begins with %d", i, got)
		}
	}
	bad := 0
	for batch, err := range table.Batches(ctx, Query{Where: "x = 1"}) {
		if batch != nil || !errors.Is(err, ErrInvalid) {
			t.Errorf("got %v, %v", batch, err)
		}
		bad++
	}
	if bad != 1 {
		t.Errorf("an error was given %d times", bad)
	}
}

func TestCancelledQueries(t *testing.T) {
	c := connect(t)
	table := create(t, c, "t", numbers(0, 100_000))
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reader := must[*Reader](t)(table.Query(ctx, Query{BatchRows: 100}))
	defer reader.Close()
	seen := 0
	var last error
	for batch, err := range reader.All(ctx) {
		if last = err; err != nil {
			break
		}
		if seen += int(batch.NumRows()); seen >= 1000 {
			cancel()
		}
	}
	wantError(t, last, context.Canceled)
	if seen > 1100 {
		t.Errorf("%d rows were read after the context had ended", seen-1000)
	}
	// The query itself goes on with another context.
	for batch, err := range reader.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		seen += int(batch.NumRows())
	}
	if seen != 100_000 {
		t.Errorf("got %d rows in all", seen)
	}
	for name, call := range map[string]func() error{
		"query":   func() error { _, err := table.Query(ctx, Query{}); return err },
		"count":   func() error { _, err := table.Count(ctx, "n > 1"); return err },
		"connect": func() error { _, err := Connect(ctx, t.TempDir(), nil); return err },
		"open":    func() error { _, err := c.OpenTable(ctx, "t", nil); return err },
		"sql":     func() error { _, err := SQL(ctx, "SELECT 1 FROM t", map[string]*Table{"t": table}, nil); return err },
	} {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	waitFor(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}

// heavy are queries that would compute for minutes. The first two are joins without a condition that an operator
// could use, which never wait for input; the third has one.
var heavy = []string{
	"SELECT count(*) AS n FROM t a, t b, t c WHERE a.n + b.n + c.n = 7",
	"SELECT sum(a.n) AS n FROM t a, t b, t c",
	"SELECT sum(a.n * b.n * c.n) AS n FROM t a JOIN t b ON a.n % 100 = b.n % 100 JOIN t c ON a.n % 10 = c.n % 10 WHERE a.n + b.n > 7",
}

// within fails when something takes long, rather than hang with it.
func within(t testing.TB, limit time.Duration, what string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatalf("%s has not ended after %v", what, limit)
	}
}

// A query ends when its context does or its time is up, not when it would have been done, and leaves the engine to
// others: as many of them as there are cores, and more.
func TestCancelledMidway(t *testing.T) {
	c := connect(t)
	tables := map[string]*Table{"t": create(t, c, "t", numbers(0, 30_000))}
	end := func(ctx context.Context, query string, opts *SQLOptions) error {
		for _, err := range SQLBatches(ctx, query, tables, opts) {
			if err != nil {
				return err
			}
		}
		return nil
	}
	for _, query := range heavy {
		for _, after := range []time.Duration{5 * time.Millisecond, 300 * time.Millisecond} {
			var all sync.WaitGroup
			for range runtime.NumCPU() + 1 {
				all.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), after)
					defer cancel()
					wantError(t, end(ctx, query, nil), context.DeadlineExceeded)
				})
			}
			within(t, 20*time.Second, "a cancelled query", all.Wait)
		}
		within(t, 20*time.Second, "a query with a time limit", func() {
			wantError(t, end(t.Context(), query, &SQLOptions{Time: 50 * time.Millisecond}), context.DeadlineExceeded)
		})
		within(t, 20*time.Second, "a call after them", func() { count(t, tables["t"], "n > 5") })
		within(t, 20*time.Second, "SQL after them", func() {
			if err := end(t.Context(), "SELECT count(*) FROM t", nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestReaderShared(t *testing.T) {
	c := connect(t)
	table := create(t, c, "t", numbers(0, 20_000))
	reader := must[*Reader](t)(table.Query(t.Context(), Query{BatchRows: 100}))
	defer reader.Close()
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[int64]int{}
	for range 4 {
		wg.Go(func() {
			for {
				batch, err := reader.Next(t.Context())
				if err == io.EOF {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, n := range batch.Column(1).(*array.Int64).Int64Values() {
					seen[n]++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != 20_000 {
		t.Errorf("%d different rows were read", len(seen))
	}
	for n, times := range seen {
		if times != 1 {
			t.Fatalf("row %d was read %d times", n, times)
		}
	}
}

// Closing a reader frees one that waits in it.
func TestReaderClosedWhileReading(t *testing.T) {
	c := connect(t)
	table := create(t, c, "t", numbers(0, 30_000))
	reader := must[*Reader](t)(SQL(t.Context(), heavy[0], map[string]*Table{"t": table}, nil))
	var err error
	within(t, 20*time.Second, "a read", func() {
		time.AfterFunc(20*time.Millisecond, func() { reader.Close() })
		_, err = reader.Next(t.Context())
	})
	wantError(t, err, ErrClosed)
}

func TestSQL(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	tables := map[string]*Table{"a": create(t, c, "first", numbers(0, 100)), "b": create(t, c, "second", numbers(50, 60))}
	all := func(query string, opts *SQLOptions) string {
		t.Helper()
		var b strings.Builder
		for batch, err := range SQLBatches(ctx, query, tables, opts) {
			if err != nil {
				t.Fatal(query, ": ", err)
			}
			b.WriteString(rows(t, batch))
		}
		return b.String()
	}
	for query, want := range map[string]string{
		"SELECT count(*) AS n FROM a":                   `{"n":100}`,
		"SELECT sum(a.n) AS n FROM a JOIN b USING (id)": `{"n":545}`,
		"WITH x AS (SELECT n % 3 AS k FROM a) SELECT k, count(*) AS n FROM x GROUP BY k ORDER BY k LIMIT 1": `{"k":0,"n":34}`,
		"VALUES (1)": `{"column1":1}`,
		"SELECT id FROM a WHERE id LIKE '%99' AND upper(id) = 'ID000099'": `{"id":"id000099"}`,
		"SELECT n FROM a EXCEPT SELECT n FROM a WHERE n > 0":              `{"n":0}`,
		"SELECT median(n) AS n FROM b":                                    `{"n":54.5}`,
		"SELECT date_part('year', TIMESTAMP '2024-05-06 00:00:00') AS y":  `{"y":2024}`,
	} {
		diff(t, query, strings.TrimSpace(all(query, &SQLOptions{BatchRows: 10, MemoryBytes: 64 << 20, Time: time.Minute})), want)
	}
	if plan := all("EXPLAIN SELECT n FROM a WHERE n > 3", nil); !strings.Contains(plan, "plan") {
		t.Errorf("got %s", plan)
	}

	file := t.TempDir() + "/out.csv"
	for _, query := range []string{
		"", "SELECT", "SELECT * FROM c", "SELECT x FROM a", "SELECT frobnicate(n) FROM a",
		"DROP TABLE a", "CREATE TABLE c AS SELECT 1", "CREATE VIEW c AS SELECT 1", "CREATE EXTERNAL TABLE c STORED AS CSV LOCATION '/etc/passwd'",
		"INSERT INTO a VALUES ('x', 1)", "DELETE FROM a", "UPDATE a SET n = 1", "TRUNCATE TABLE a",
		"SET datafusion.execution.batch_size = 1", "SHOW TABLES", "SHOW ALL", "BEGIN", "PREPARE p AS SELECT 1",
		"SELECT 1; SELECT 2", "SELECT 1; DROP TABLE a",
		"COPY a TO '" + file + "'", "COPY (SELECT 1) TO '" + file + "' STORED AS CSV",
		"EXPLAIN ANALYZE INSERT INTO a VALUES ('x', 1)", "EXPLAIN DROP TABLE a",
		"SELECT * FROM '/etc/passwd'", "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM read_parquet('/etc/passwd')",
		"SELECT * FROM '" + file + "'", "SELECT * FROM information_schema.tables", "SELECT * FROM second",
	} {
		err := func() error {
			for batch, err := range SQLBatches(ctx, query, tables, nil) {
				if err != nil {
					return err
				}
				t.Logf("%s gives %s", query, rows(t, batch))
			}
			return nil
		}()
		t.Logf("%s: %v", query, err)
		if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: got %v, want it refused", query, err)
		}
	}
	if n := count(t, tables["a"], ""); n != 100 {
		t.Errorf("got %d rows", n)
	}
	// Memory that does not suffice is an error, not the end of the process.
	var last error
	for _, err := range SQLBatches(ctx, "SELECT array_agg(a.id || b.id) FROM a, a b, b c", tables, &SQLOptions{MemoryBytes: 1 << 16}) {
		last = err
	}
	wantError(t, last, ErrNoSpace)
}
