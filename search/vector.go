package search

import (
	"context"
	"math"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"pixano/dataset"
	"pixano/internal/lance"
)

// vectorSearch finds the rows of a table whose vectors are nearest to one.
type vectorSearch struct {
	t      *dataset.Searched
	table  string
	query  lance.VectorQuery // exact
	index  *dataset.Index    // that may serve; nil: none
	byRow  bool
	ranked bool // the whole ranking is wanted
	floats bool // the vectors are float32
	custom Query
}

// vectorSearch checks what to search for by vectors and where.
func (s *Searcher) vectorSearch(ctx context.Context, q Query) (*vectorSearch, error) {
	fail := func(field string, err error) (*vectorSearch, error) { return nil, at(q.Table, field, err) }
	t, err := s.ds.Search(ctx, op, q.Table, q.Filter)
	if err != nil {
		return nil, err
	}
	v := &vectorSearch{t: t, table: q.Table, byRow: q.ByRow, ranked: q.Ranking, custom: q}
	column, dim, err := vectorColumn(t.Columns)
	if err != nil {
		return fail("", err)
	}
	indexes, err := s.ds.Indexes()
	if err != nil {
		return fail("", err)
	}
	for i, index := range indexes {
		if index.Table == q.Table && index.Column == column {
			v.index = &indexes[i]
		}
	}
	f, _ := t.Columns.FieldsByName(column)
	v.floats = f[0].Type.(*arrow.FixedSizeListType).Elem().ID() == arrow.FLOAT32
	v.query = lance.VectorQuery{Column: column, Metric: q.Metric, Exact: true}
	switch q.Metric {
	case dataset.L2, dataset.Cosine, dataset.Dot:
	case "":
		if v.query.Metric = dataset.L2; v.index != nil {
			v.query.Metric = v.index.Metric
		}
	default:
		return fail("metric", queryError("%q: want l2, cosine or dot", q.Metric))
	}
	if v.index != nil && (q.Exact || v.index.Metric != v.query.Metric || v.index.Built.IsZero()) {
		v.index = nil
	}
	if q.MaxDistance != nil {
		v.query.UpperBound = new(float32(*q.MaxDistance))
	}
	vector := q.Vector
	field := "vector"
	switch {
	case q.Text != "" || q.Image != nil:
		field = "text"
		if q.Image != nil {
			field = "image"
		}
		e, err := s.embedder(ctx, t, q.Table, false)
		if err != nil {
			return fail(field, err)
		}
		if q.Image != nil {
			vector, err = embedImage(ctx, e, q.Image)
		} else {
			vector, err = embedText(ctx, e, q.Text)
		}
		if err != nil {
			return fail(field, err)
		}
	case q.Like != "":
		field = "like"
		if vector, err = s.vectorOf(ctx, t, q.Table, column, q.Like); err != nil {
			return fail(field, err)
		}
	}
	if len(vector) != dim {
		return fail(field, queryError("the vector has %d values, those of the table have %d", len(vector), dim))
	}
	if err := finite(vector); err != nil {
		return fail(field, queryError("%v", err))
	}
	if v.query.Metric == dataset.Cosine && !slices.ContainsFunc(vector, func(x float32) bool { return x != 0 }) {
		return fail(field, queryError("the vector is zero, which has no direction: want another metric than cosine"))
	}
	v.query.Vectors = [][]float32{vector}
	return v, nil
}

// vectorColumn returns the column of a table that holds its vectors, and their dimension.
func vectorColumn(columns *arrow.Schema) (name string, dim int, err error) {
	var t *arrow.FixedSizeListType
	var names []string
	for _, f := range columns.Fields() {
		if list, ok := f.Type.(*arrow.FixedSizeListType); ok {
			if t == nil || f.Name == "vector" {
				t, name = list, f.Name
			}
			names = append(names, f.Name)
		}
	}
	switch {
	case t == nil:
		return "", 0, queryError("the table has no vector column: want a table of embeddings")
	case len(names) > 1 && name != "vector":
		return "", 0, queryError("the table has several columns of vectors, %q: want one, or one called vector", names)
	}
	switch t.Elem().ID() {
	case arrow.FLOAT16, arrow.FLOAT32, arrow.FLOAT64:
		return name, int(t.Len()), nil
	}
	return "", 0, queryError("column %q holds vectors of %s: want floating-point numbers", name, t.Elem())
}

// vectorOf returns the vector of a row of a table, or of the first row of a view or an item.
func (s *Searcher) vectorOf(ctx context.Context, t *dataset.Searched, table, column, id string) ([]float32, error) {
	conditions := []dataset.Query{{IDs: []string{id}}}
	if f, ok := t.Columns.FieldsByName("view_ref"); ok && f[0].Type.ID() == arrow.STRUCT {
		conditions = append(conditions, dataset.Query{Where: "view_ref.id = ?", Args: []any{id}})
	}
	if t.Item != "id" {
		conditions = append(conditions, dataset.Query{ItemIDs: []string{id}})
	}
	found := false
	for _, q := range conditions {
		for batch, err := range s.ds.Batches(ctx, table, q) {
			if err != nil {
				return nil, err
			}
			found = found || batch.NumRows() > 0
			if vector := firstVector(batch, column); vector != nil {
				return vector, nil
			}
		}
		if found {
			return nil, kindErrorf(dataset.ErrNotFound, "the row %q has no vector", id)
		}
	}
	return nil, kindErrorf(dataset.ErrNotFound, "no row has the id %q", id)
}

// firstVector returns the first vector of a batch that is not null, or nil.
func firstVector(batch arrow.RecordBatch, column string) []float32 {
	for _, vector := range vectorsOf(batch, column, 1) {
		return vector
	}
	return nil
}

// vectorsOf returns up to n vectors of a batch, leaving out null ones.
func vectorsOf(batch arrow.RecordBatch, column string, n int) [][]float32 {
	at := batch.Schema().FieldIndices(column)
	if len(at) == 0 {
		return nil
	}
	list, ok := batch.Column(at[0]).(*array.FixedSizeList)
	if !ok {
		return nil
	}
	var vectors [][]float32
	for i := 0; i < list.Len() && len(vectors) < n; i++ {
		if list.IsNull(i) {
			continue
		}
		vectors = append(vectors, appendVector(nil, list, i))
	}
	return vectors
}

// appendVector appends the numbers of a row's vector.
func appendVector(vector []float32, list *array.FixedSizeList, row int) []float32 {
	from, to := list.ValueOffsets(row)
	for j := int(from); j < int(to); j++ {
		switch values := list.ListValues().(type) {
		case *array.Float32:
			vector = append(vector, values.Value(j))
		case *array.Float64:
			vector = append(vector, float32(values.Value(j)))
		case *array.Float16:
			vector = append(vector, values.Value(j).Float32())
		}
	}
	return vector
}

const (
	// more rows than wanted are asked for at first: rows at the distance of the last one belong to the choice among
	// equals, and rows of items that were seen before make no hit.
	more = 16

	// An index is asked for so many rows at most, and not for more than this share of a table. Beyond, comparing with
	// every vector is no slower and misses nothing.
	indexAsk   = 4096
	indexShare = 8

	// A filter that leaves so few rows, or this share of a table, is searched without an index: walking a graph most of
	// whose nodes do not count finds little and takes long.
	filteredRows  = 20_000
	filteredShare = 20

	// Rows that are compared at once: their vectors should fit into the caches of a processor.
	vectorBatch = 1024

	// What the allocator keeps of freed memory once vectors of a large table were compared.
	keepFreed = 256 << 20
)

// large is done at the first search that compares with all vectors of a large table.
var large sync.Once

// best returns the best hits, want of them or a few more; 0: all.
func (v *vectorSearch) best(ctx context.Context, want int, r *Result) ([]Hit, error) {
	hits, err := v.search(ctx, want, r)
	if err != nil {
		return nil, at(v.table, filterField(v.t, err), err)
	}
	for i := range hits {
		hits[i].VectorRank = i + 1
	}
	return hits, nil
}

func (v *vectorSearch) search(ctx context.Context, want int, r *Result) ([]Hit, error) {
	rows, err := v.t.Table.Count(ctx, "")
	if err != nil || rows == 0 || v.t.Empty {
		return nil, err
	}
	name, err := v.serves(ctx, want, rows)
	if err != nil {
		return nil, err
	}
	if name != "" {
		for ask := v.ask(want, rows); ask <= min(indexAsk, rows/indexShare); ask *= 2 {
			hits, n, err := v.nearest(ctx, v.indexed(int(ask)), int(ask))
			if err != nil {
				return nil, err
			}
			if len(hits) >= want {
				r.Index = name
				return hits, nil
			}
			if int64(n) < ask {
				break // the index has no more: it may have passed some over
			}
		}
	}
	if v.floats {
		if hits, ok, err := v.compare(ctx, want, v.ask(want, rows) >= rows); ok || err != nil {
			return hits, err
		}
	}
	large.Do(func() { lance.KeepFreed(keepFreed) })
	for ask := v.ask(want, rows); ; ask *= 4 {
		all := want == 0 || ask >= rows
		if all && v.floats {
			return v.rank(ctx)
		}
		if all {
			ask = rows
		}
		hits, n, err := v.nearest(ctx, &v.query, int(min(ask, math.MaxInt32)))
		if err != nil {
			return nil, err
		}
		// Those after the last one wanted are farther, so that all at its distance are among them.
		settled := len(hits) > want && hits[want].Distance < hits[len(hits)-1].Distance
		if all || settled || int64(n) < ask {
			return hits, nil
		}
	}
}

// ask is the number of rows to begin with.
func (v *vectorSearch) ask(want int, rows int64) int64 {
	if want == 0 || int64(want) > rows {
		return rows
	}
	ask := float64(want + more)
	if v.t.Allow != nil {
		ask *= 1.2 / max(v.t.Share, 1e-3)
	}
	return min(int64(ask), rows)
}

// serves returns the name of the index to use, or "".
func (v *vectorSearch) serves(ctx context.Context, want int, rows int64) (string, error) {
	if v.index == nil || want == 0 || v.ranked || v.ask(want, rows) > min(indexAsk, rows/indexShare) {
		return "", nil
	}
	// It may be gone: tables are overwritten, and others drop indexes.
	list, err := v.t.Table.Indexes(ctx)
	if err != nil || !slices.ContainsFunc(list, func(i lance.IndexInfo) bool { return i.Name == v.index.Name && i.Type == v.index.Type }) {
		return "", err
	}
	if v.t.Where != "" {
		left, err := v.t.Table.Count(ctx, v.t.Where)
		if err != nil || left < filteredRows || left < rows/filteredShare {
			return "", err
		}
	}
	return v.index.Name, nil
}

// indexed is the query with the index, for so many rows.
func (v *vectorSearch) indexed(ask int) *lance.VectorQuery {
	pick := func(own, tuned int) int {
		if own > 0 {
			return own
		}
		return tuned
	}
	q := v.query
	q.Exact = false
	q.NProbes, q.EF, q.RefineFactor = pick(v.custom.NProbes, v.index.NProbes), pick(v.custom.EF, v.index.EF), pick(v.custom.Refine, v.index.Refine)
	if q.EF > 0 {
		q.EF = max(q.EF, ask*max(q.RefineFactor, 1))
	}
	return &q
}

// nearest returns the hits among the nearest rows that the engine finds, sorted, and the number of those rows.
func (v *vectorSearch) nearest(ctx context.Context, query *lance.VectorQuery, ask int) (hits []Hit, rows int, err error) {
	q := lance.Query{Columns: idColumns(v.t), Limit: ask, Where: v.t.Where, Vector: query, BatchRows: vectorBatch}
	hits = make([]Hit, 0, ask)
	for batch, err := range v.t.Table.Batches(ctx, q) {
		if err != nil {
			return nil, 0, err
		}
		rows += int(batch.NumRows())
		ids, items, err := ids(batch, v.t)
		if err != nil {
			return nil, 0, err
		}
		distances, ok := batch.Column(int(batch.NumCols()) - 1).(*array.Float32)
		if !ok {
			return nil, 0, kindErrorf(dataset.ErrCorrupt, "the engine gave no distances but %s", batch.Schema())
		}
		for i := range distances.Len() {
			// Rows without a vector have no distance.
			if distance := float64(distances.Value(i)); distances.IsValid(i) && !math.IsNaN(distance) {
				hits = append(hits, Hit{ItemID: items.Value(i), ID: ids.Value(i), Distance: distance})
			}
		}
	}
	return v.finish(hits), rows, nil
}

// finish sorts hits and leaves out those that do not count.
func (v *vectorSearch) finish(hits []Hit) []Hit {
	hits = allowed(hits, v.t, v.byRow)
	sortHits(hits, func(h *Hit) float64 { return h.Distance })
	if !v.byRow {
		hits = firstOfItems(hits)
	}
	return hits
}

// allowed leaves out hits of other items than the filter selects and, where hits are items, those of none.
func allowed(hits []Hit, t *dataset.Searched, byRow bool) []Hit {
	if t.Allow == nil && byRow {
		return hits
	}
	return slices.DeleteFunc(hits, func(h Hit) bool {
		return !byRow && h.ItemID == "" || t.Allow != nil && !t.Allow(h.ItemID)
	})
}

// idColumns are the columns to read of hits.
func idColumns(t *dataset.Searched) []string {
	if t.Item == "id" || !hasColumn(t.Columns, t.Item) {
		return []string{"id"}
	}
	return []string{"id", t.Item}
}

func hasColumn(columns *arrow.Schema, path string) bool {
	fields := columns.Fields()
	for _, name := range splitPath(path) {
		i := slices.IndexFunc(fields, func(f arrow.Field) bool { return f.Name == name })
		if i < 0 {
			return false
		}
		s, ok := fields[i].Type.(*arrow.StructType)
		if fields = nil; ok {
			fields = s.Fields()
		}
	}
	return true
}

type texts interface{ Value(i int) string }

type noTexts struct{}

func (noTexts) Value(int) string { return "" }

// ids reads the ids of rows and of their items.
func ids(batch arrow.RecordBatch, t *dataset.Searched) (rows, items texts, err error) {
	if rows, err = textColumn(batch, "id"); err != nil {
		return nil, nil, err
	}
	switch columns := idColumns(t); {
	case t.Item == "id":
		items = rows
	case len(columns) == 1:
		items = noTexts{}
	default:
		items, err = textColumn(batch, t.Item)
	}
	return rows, items, err
}
