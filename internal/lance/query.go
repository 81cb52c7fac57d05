package lance

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"math"
	"runtime"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// Query says which rows and columns to read, in which order. The zero value reads the whole table.
type Query struct {
	// Where is a filter in SQL, as "confidence > 0.5 AND item_ref.id = 'i1'". "": every row.
	Where string

	// Columns are the columns to read, in this order; "a.b" is a field of a struct. Nil: all. Empty: none,
	// which is of use with WithRowID.
	Columns []string

	// Exprs are columns to compute instead of Columns.
	Exprs []Expr

	// OrderBy sorts the result. Without it the rows of a plain query come in storage order and those of a
	// search best first.
	OrderBy []Order

	Limit  int // at most so many rows; 0: no limit, but 10 for a search
	Offset int // skip so many rows

	// WithRowID adds the column _rowid (uint64), the address of each row in the version seen.
	WithRowID bool

	// RowIDs takes the rows of these addresses, in this order. Only Columns applies beside it. Nil: no
	// condition. Empty: no rows.
	RowIDs []uint64

	BatchRows  int  // at most so many rows a batch; 0: the engine's choice
	Postfilter bool // apply Where to the hits of a search, not to the rows searched
	FastSearch bool // search only what an index covers

	Vector *VectorQuery // nearest rows first, with the column _distance (float32)
	Text   *TextQuery   // full text search, with the column _score (float32)

	// Hybrid says how the hits of Vector and Text, both given, are joined; nil: with its defaults. The
	// result carries the column _relevance_score (float32), largest first.
	Hybrid *Hybrid
}

// Expr is a computed column.
type Expr struct {
	Name string
	SQL  string
}

// Order is a column to sort by.
type Order struct {
	Column     string
	Descending bool
	NullsFirst bool
}

// Metric is a distance between vectors.
type Metric string

// The metrics. Smaller is nearer with all of them.
const (
	L2     Metric = "l2"     // squared Euclidean distance
	Cosine Metric = "cosine" // 1 minus the cosine
	Dot    Metric = "dot"    // 1 minus the dot product
)

// VectorQuery searches the rows whose vectors are nearest to the vectors given.
type VectorQuery struct {
	// Column holds the vectors. "": the table's only column of fixed-size lists.
	Column string

	// Vectors are one or more query vectors of the column's dimension. With several, each has its own
	// Query.Limit hits, told apart by the column query_index (int32).
	Vectors [][]float32

	Metric Metric // "": that of the index, or L2
	Exact  bool   // compare with every row, also where there is an index

	NProbes      int // partitions of the index to look into; 0: the engine's choice
	EF           int // candidates kept while walking an HNSW graph; 0: the engine's choice
	RefineFactor int // fetch so many times the limit and sort them by their exact distance; 0: off

	LowerBound *float32 // hits have at least this distance
	UpperBound *float32 // and less than this one
}

// TextQuery is a full text search.
type TextQuery struct {
	Text    string
	Columns []string // nil: every column with a full text index

	Fuzziness *int    // edits a word may differ by; nil: none
	Operator  string  // between the words: "or" (as ""), "and"
	Phrase    bool    // the words stand together in this order; wants an index with positions
	Boost     float32 // weight of the score; 0: 1
}

// Hybrid joins two lists of hits by reciprocal-rank fusion: each hit scores the sum of 1/(K+rank).
type Hybrid struct {
	K float32 // 0: 60
}

type queryJSON struct {
	Where      string      `json:"where,omitempty"`
	Columns    []string    `json:"columns"`
	Exprs      [][2]string `json:"exprs"`
	OrderBy    []orderJSON `json:"order_by,omitempty"`
	Limit      *int        `json:"limit"`
	Offset     *int        `json:"offset"`
	WithRowID  bool        `json:"with_row_id,omitempty"`
	RowIDs     []uint64    `json:"row_ids"`
	BatchRows  int         `json:"batch_rows,omitempty"`
	Postfilter bool        `json:"postfilter,omitempty"`
	FastSearch bool        `json:"fast_search,omitempty"`
	Vector     *vectorJSON `json:"vector,omitempty"`
	FTS        *ftsJSON    `json:"fts,omitempty"`
	Hybrid     *hybridJSON `json:"hybrid,omitempty"`
}

type orderJSON struct {
	Column     string `json:"column"`
	Descending bool   `json:"descending"`
	NullsFirst bool   `json:"nulls_first"`
}

type vectorJSON struct {
	Column       string   `json:"column"`
	Count        int      `json:"count"`
	Dim          int      `json:"dim"`
	Metric       Metric   `json:"metric"`
	Exact        bool     `json:"exact"`
	NProbes      int      `json:"nprobes"`
	EF           int      `json:"ef"`
	RefineFactor int      `json:"refine_factor"`
	LowerBound   *float32 `json:"lower_bound"`
	UpperBound   *float32 `json:"upper_bound"`
}

type ftsJSON struct {
	Query     string   `json:"query"`
	Columns   []string `json:"columns"`
	Fuzziness *int     `json:"fuzziness"`
	Operator  string   `json:"operator"`
	Phrase    bool     `json:"phrase"`
	Boost     *float32 `json:"boost"`
}

type hybridJSON struct {
	K *float32 `json:"rrf_k"`
}

// encode gives the request and the body of a query.
func (q *Query) encode(a args) (queryJSON, []byte, error) {
	invalid := func(format string, v ...any) (queryJSON, []byte, error) {
		return queryJSON{}, nil, newError(a.op, a.table, CodeInvalid, fmt.Sprintf(format, v...))
	}
	for _, n := range []struct {
		name  string
		value int
	}{{"limit", q.Limit}, {"offset", q.Offset}, {"batch rows", q.BatchRows}} {
		if n.value < 0 {
			return invalid("%s is %d, want 0 or more", n.name, n.value)
		}
	}
	j := queryJSON{
		Where: q.Where, Columns: q.Columns, Limit: optional(q.Limit), Offset: optional(q.Offset), WithRowID: q.WithRowID,
		RowIDs: q.RowIDs, BatchRows: q.BatchRows, Postfilter: q.Postfilter, FastSearch: q.FastSearch,
	}
	for _, e := range q.Exprs {
		j.Exprs = append(j.Exprs, [2]string{e.Name, e.SQL})
	}
	for _, o := range q.OrderBy {
		j.OrderBy = append(j.OrderBy, orderJSON(o))
	}
	if t := q.Text; t != nil {
		j.FTS = &ftsJSON{t.Text, t.Columns, t.Fuzziness, t.Operator, t.Phrase, optional(t.Boost)}
		if j.FTS.Columns == nil {
			j.FTS.Columns = []string{}
		}
	}
	if q.Hybrid != nil && (q.Vector == nil || q.Text == nil) {
		return invalid("a hybrid search wants both a vector and a text query")
	}
	if q.Vector != nil && q.Text != nil {
		j.Hybrid = &hybridJSON{}
		if q.Hybrid != nil {
			j.Hybrid.K = optional(q.Hybrid.K)
		}
	}
	v := q.Vector
	if v == nil {
		return j, nil, nil
	}
	if len(v.Vectors) == 0 {
		return invalid("a vector query has no vector")
	}
	dim := len(v.Vectors[0])
	j.Vector = &vectorJSON{
		v.Column, len(v.Vectors), dim, v.Metric, v.Exact, v.NProbes, v.EF, v.RefineFactor, v.LowerBound, v.UpperBound,
	}
	body := make([]byte, 0, 4*dim*len(v.Vectors))
	for i, vector := range v.Vectors {
		if len(vector) != dim {
			return invalid("query vector %d has %d values, vector 0 has %d", i, len(vector), dim)
		}
		for _, x := range vector {
			body = binary.LittleEndian.AppendUint32(body, math.Float32bits(x))
		}
	}
	return j, body, nil
}

// Query starts a query and returns the reader of its result, which the caller closes. The context governs
// the start only; each read has its own.
func (t *Table) Query(ctx context.Context, q Query) (*Reader, error) {
	a := t.args("query", nil)
	request, body, err := q.encode(a)
	if err != nil {
		return nil, err
	}
	a.request, a.body = request, body
	answer, err := t.h.call(ctx, fnQuery, a)
	if err != nil {
		return nil, err
	}
	return newReader(a, answer)
}

// Batches runs a query and yields its result batch by batch. An error is the last pair. Leaving the loop
// ends the query; ranging again runs it again, on the version that the table then sees. Batches belong to
// the caller, as those of [Reader.Next] do.
func (t *Table) Batches(ctx context.Context, q Query) iter.Seq2[arrow.RecordBatch, error] {
	return batches(ctx, func() (*Reader, error) { return t.Query(ctx, q) })
}

func batches(ctx context.Context, open func() (*Reader, error)) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		r, err := open()
		if err != nil {
			yield(nil, err)
			return
		}
		defer r.Close()
		r.All(ctx)(yield)
	}
}

// Count counts the rows that match a filter in SQL, or all for "".
func (t *Table) Count(ctx context.Context, where string) (int64, error) {
	var answer struct {
		Rows int64 `json:"rows"`
	}
	request := struct {
		Where string `json:"where"`
	}{where}
	err := t.h.json(ctx, fnCount, t.args("count", request), &answer)
	return answer.Rows, err
}

// ExplainOptions are the options of [Table.Explain].
type ExplainOptions struct {
	Analyze bool // run the query and add what each step took
	Verbose bool // more detail of the plan
}

// Explain returns the plan of a query as text.
func (t *Table) Explain(ctx context.Context, q Query, opts *ExplainOptions) (string, error) {
	if opts == nil {
		opts = &ExplainOptions{}
	}
	a := t.args("explain", nil)
	query, body, err := q.encode(a)
	if err != nil {
		return "", err
	}
	a.body = body
	a.request = struct {
		Query   queryJSON `json:"query"`
		Analyze bool      `json:"analyze"`
		Verbose bool      `json:"verbose"`
	}{query, opts.Analyze, opts.Verbose}
	answer, err := t.h.call(ctx, fnExplain, a)
	return string(answer.data), err
}

// SQLOptions are the options of [SQL]. Nil and the zero value are the defaults.
type SQLOptions struct {
	BatchRows   int           // rows a batch; 0: 8192
	MemoryBytes int64         // memory for sorting, joining and grouping, spilled to disk beyond; 0: unbounded
	Time        time.Duration // time for the whole query, after which it fails as a context's deadline does; 0: unbounded
}

// SQL starts one read-only query, in the dialect of DataFusion, over the tables given under the names that
// the query uses. Each is read at the version that its handle sees. Anything but one SELECT, WITH, VALUES or
// EXPLAIN is refused with [ErrInvalid] or [ErrUnsupported], and nothing but these tables can be read. The
// caller closes the reader.
//
// SQL runs on threads of its own, so that no query keeps other calls waiting. One that is cancelled, closed or out
// of time stops between two steps of its plan, which are short.
func SQL(ctx context.Context, query string, tables map[string]*Table, opts *SQLOptions) (*Reader, error) {
	if err := Load(nil); err != nil {
		return nil, err
	}
	if opts == nil {
		opts = &SQLOptions{}
	}
	handles := make(map[string]uint64, len(tables))
	for name, t := range tables {
		if t.h.closed.Load() {
			return nil, closed("sql", name)
		}
		handles[name] = t.h.id
	}
	// The engine looks the tables up by number: they must not be collected until it has.
	defer runtime.KeepAlive(tables)
	a := args{op: "sql", request: struct {
		SQL         string            `json:"sql"`
		Tables      map[string]uint64 `json:"tables"`
		BatchRows   int               `json:"batch_rows,omitempty"`
		MemoryBytes int64             `json:"memory_bytes,omitempty"`
		TimeMS      int64             `json:"time_ms,omitempty"`
	}{query, handles, opts.BatchRows, opts.MemoryBytes, int64((opts.Time + time.Millisecond - 1) / time.Millisecond)}}
	answer, err := call(ctx, fnSQL, a)
	if err != nil {
		return nil, err
	}
	return newReader(a, answer)
}

// SQLBatches runs a query as [SQL] does and yields its result as [Table.Batches] does.
func SQLBatches(ctx context.Context, query string, tables map[string]*Table, opts *SQLOptions) iter.Seq2[arrow.RecordBatch, error] {
	return batches(ctx, func() (*Reader, error) { return SQL(ctx, query, tables, opts) })
}

// Reader is the running result of a query. The engine has one batch prepared and waits.
//
// Several goroutines may use it, each getting some of the batches, and close it while others read.
type Reader struct {
	h      *handle
	a      args
	schema *arrow.Schema

	mu sync.Mutex // of d
	d  *decoder
}

func newReader(a args, answer reply) (*Reader, error) {
	h := newHandle(answer.handle)
	d, err := newDecoder(a, answer.data)
	if err != nil {
		h.close()
		return nil, err
	}
	a.request, a.body = nil, nil
	return &Reader{h: h, a: a, schema: d.schema(), d: d}, nil
}

// Schema returns the columns of the result.
func (r *Reader) Schema() *arrow.Schema { return r.schema }

// Next returns the next batch, or [io.EOF] after the last one. The batch belongs to the caller: it lies in
// Go memory of its own, stays valid after the next step and needs no Release.
//
// When the context ends, the query as such goes on and can be read with another one.
func (r *Reader) Next(ctx context.Context) (arrow.RecordBatch, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	answer, err := r.h.call(ctx, fnRead, r.a)
	if err != nil {
		return nil, err
	}
	if answer.end {
		// A reader that is closed while it waits ends too.
		if r.h.closed.Load() {
			return nil, closed(r.a.op, r.a.table)
		}
		return nil, io.EOF
	}
	return r.d.decode(answer.data)
}

// All yields the batches that are left, as [Reader.Next] gives them. An error is the last pair. It does not
// close the reader.
func (r *Reader) All(ctx context.Context) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for {
			batch, err := r.Next(ctx)
			if err == io.EOF {
				return
			}
			if !yield(batch, err) || err != nil {
				return
			}
		}
	}
}

// Records gives the reader as Arrow's own interface, for example to append it to another table. The last
// Release closes the reader.
func (r *Reader) Records(ctx context.Context) array.RecordReader {
	records := &recordReader{schema: r.schema, next: func() (arrow.RecordBatch, error) { return r.Next(ctx) }, done: func() { r.Close() }}
	records.refs.Store(1)
	return records
}

// Close ends the query and frees what it holds. It may be repeated.
func (r *Reader) Close() error { return r.h.close() }
