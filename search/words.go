package search

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"pixano/dataset"
	"pixano/internal/lance"
)

// wordSearch finds the rows of a table whose texts have some words.
type wordSearch struct {
	t       *dataset.Searched
	table   string
	query   lance.TextQuery
	scanned string // a column without a full text index, for which all are scanned; "": none
	byRow   bool
}

// wordSearch checks what to search for by words and where.
func (s *Searcher) wordSearch(ctx context.Context, q Query) (*wordSearch, error) {
	words := q.Words
	w := &wordSearch{table: words.Table, byRow: q.ByRow}
	if w.table == "" {
		w.table = q.Table
	}
	fail := func(field, format string, v ...any) (*wordSearch, error) {
		return nil, at(w.table, "words."+field, queryError(format, v...))
	}
	filter := q.Filter
	if w.table != q.Table && q.Table != "" {
		// What the query says of rows is of its own table; what it says of items holds here too.
		filter = dataset.Query{ItemIDs: q.Filter.ItemIDs, Has: q.Filter.Has, Where: words.Where, Args: words.Args}
	} else if words.Where != "" {
		if filter.Where != "" {
			return fail("where", "the query has a filter for the same table")
		}
		filter.Where, filter.Args = words.Where, words.Args
	}
	var err error
	if w.t, err = s.ds.Search(ctx, op, w.table, filter); err != nil {
		return nil, err
	}
	switch {
	case strings.TrimSpace(words.Text) == "":
		return fail("text", "it is empty")
	case len(wordsOf(words.Text)) == 0:
		return fail("text", "%q has no words", words.Text)
	case words.Fuzziness < 0 || words.Fuzziness > 2:
		return fail("fuzziness", "%d: want 0 to 2", words.Fuzziness)
	case words.Phrase && words.Fuzziness > 0:
		return fail("fuzziness", "a phrase is found as it is")
	case !(words.Weight >= 0 && words.Weight < 1e9):
		return fail("weight", "%v: want a number above 0", words.Weight)
	}
	for _, name := range words.Columns {
		f, ok := w.t.Columns.FieldsByName(name)
		switch {
		case !ok:
			return fail("columns", "no column %q: want one of %s", name, strings.Join(textColumns(w.t.Columns), ", "))
		case !isText(f[0].Type):
			return fail("columns", "column %q is %s: want texts", name, f[0].Type)
		}
	}
	list, err := w.t.Table.Indexes(ctx)
	if err != nil {
		return nil, at(w.table, "", err)
	}
	var indexed []string
	for _, i := range list {
		if i.Type == lance.FTS {
			indexed = append(indexed, i.Columns...)
		}
	}
	columns := slices.Compact(slices.Sorted(slices.Values(words.Columns)))
	if len(columns) == 0 {
		columns = indexed
	}
	if len(columns) == 0 {
		columns = textColumns(w.t.Columns)
	}
	if len(columns) == 0 {
		return fail("columns", "the table has no texts")
	}
	for _, name := range columns {
		if !slices.Contains(indexed, name) {
			w.scanned = name
		}
	}
	if words.Fuzziness > 0 && w.scanned != "" {
		return fail("fuzziness", "column %q has no full text index, without which words are found as they are: "+
			"pixano data index create DATASET --table %s --column %s", w.scanned, w.table, w.scanned)
	}
	if words.Phrase && len(columns) > 1 {
		return fail("phrase", "want one column to look for it in, have %s", strings.Join(columns, ", "))
	}
	w.query = lance.TextQuery{Text: words.Text, Columns: columns, Phrase: words.Phrase}
	if words.All {
		w.query.Operator = "and"
	}
	if words.Fuzziness > 0 {
		w.query.Fuzziness = &words.Fuzziness
	}
	return w, nil
}

func isText(t arrow.DataType) bool {
	switch t.ID() {
	case arrow.STRING, arrow.LARGE_STRING:
		return true
	}
	return false
}

// textColumns names the columns of a table that hold texts for people.
func textColumns(columns *arrow.Schema) (names []string) {
	for _, f := range columns.Fields() {
		if isText(f.Type) && f.Name != "id" && !strings.HasSuffix(f.Name, "_id") {
			names = append(names, f.Name)
		}
	}
	return names
}

// tieRows is the number of rows, beside four times those wanted, up to which all at the score of the last hit are looked
// for. Scores are often equal, so that beyond it which of them come is the engine's choice.
const tieRows = 1024

// best returns the best hits, want of them or a few more; 0: all.
func (w *wordSearch) best(ctx context.Context, want int) ([]Hit, error) {
	hits, err := w.search(ctx, want)
	if err != nil {
		return nil, at(w.table, filterField(w.t, err), err)
	}
	for i := range hits {
		hits[i].WordsRank = i + 1
	}
	return hits, nil
}

func (w *wordSearch) search(ctx context.Context, want int) ([]Hit, error) {
	rows, err := w.t.Table.Count(ctx, "")
	if err != nil || rows == 0 || w.t.Empty {
		return nil, err
	}
	if w.scanned != "" {
		hits, err := w.scan(ctx)
		return w.finish(hits), err
	}
	ask := rows
	if want > 0 && int64(want) < rows {
		ask = min(rows, int64(float64(want+4*more)*1.2/max(w.t.Share, 1e-3)))
	}
	for ; ; ask *= 4 {
		ask = min(ask, rows)
		hits, n, err := w.matches(ctx, int(ask))
		if err != nil {
			return nil, err
		}
		settled := len(hits) > want && (hits[want].Score > hits[len(hits)-1].Score || ask > int64(4*want+tieRows))
		if int64(n) < ask || ask == rows || settled {
			return hits, nil
		}
	}
}

// matches returns the hits among the rows that the engine ranks first, sorted, and the number of those rows.
func (w *wordSearch) matches(ctx context.Context, ask int) (hits []Hit, rows int, err error) {
	q := lance.Query{Columns: idColumns(w.t), Limit: ask, Where: w.t.Where, Text: &w.query}
	for batch, err := range w.t.Table.Batches(ctx, q) {
		if err != nil {
			return nil, 0, err
		}
		rows += int(batch.NumRows())
		ids, items, err := ids(batch, w.t)
		if err != nil {
			return nil, 0, err
		}
		at := batch.Schema().FieldIndices("_score")
		if len(at) == 0 {
			return nil, 0, kindErrorf(dataset.ErrCorrupt, "the engine gave no scores")
		}
		scores, ok := batch.Column(at[0]).(*array.Float32)
		if !ok {
			return nil, 0, kindErrorf(dataset.ErrCorrupt, "the engine gave scores of type %s", batch.Column(at[0]).DataType())
		}
		for i := range scores.Len() {
			hits = append(hits, Hit{ItemID: items.Value(i), ID: ids.Value(i), Score: float64(scores.Value(i))})
		}
	}
	return w.finish(hits), rows, nil
}

// finish sorts hits and leaves out those that do not count.
func (w *wordSearch) finish(hits []Hit) []Hit {
	hits = allowed(hits, w.t, w.byRow)
	sortHits(hits, func(h *Hit) float64 { return -h.Score })
	if !w.byRow {
		hits = firstOfItems(hits)
	}
	return hits
}

// filterField names the filter for an error of the engine that can be about nothing else.
func filterField(t *dataset.Searched, err error) string {
	if t.Where != "" && errors.Is(err, dataset.ErrQuery) {
		return "filter"
	}
	return ""
}

func splitPath(path string) []string { return strings.Split(path, ".") }

const (
	rrfK = 60 // the constant of reciprocal-rank fusion, from the paper that introduced it (Cormack et al., 2009)

	// Rankings are joined to at least this depth, so that the pages of one search belong together.
	fuseDepth = 1000
)

// fuse joins the rankings by vectors and by words: a hit scores the sum of weight/(rrfK+rank).
func (p *plan) fuse(ctx context.Context, r *Result) ([]Hit, error) {
	depth := p.want()
	if depth > 0 {
		depth = max(depth, fuseDepth)
	}
	near, err := p.vector.best(ctx, depth, r)
	if err != nil {
		return nil, err
	}
	said, err := p.words.best(ctx, depth)
	if err != nil {
		return nil, err
	}
	if depth > 0 {
		near, said = near[:min(depth, len(near))], said[:min(depth, len(said))]
	}
	weight := func(w float64) float64 {
		if w == 0 {
			return 1
		}
		return w
	}
	hits := make([]Hit, 0, len(near)+len(said))
	place := make(map[string]int, len(near))
	for _, h := range near {
		h.Score = weight(p.q.VectorWeight) / float64(rrfK+h.VectorRank)
		place[h.key(p.q.ByRow)] = len(hits)
		hits = append(hits, h)
	}
	for _, h := range said {
		score := weight(p.q.Words.Weight) / float64(rrfK+h.WordsRank)
		if i, ok := place[h.key(p.q.ByRow)]; ok {
			hits[i].Score += score
			hits[i].WordsRank = h.WordsRank
			continue
		}
		h.Score = score
		hits = append(hits, h)
	}
	sortHits(hits, func(h *Hit) float64 { return -h.Score })
	return hits, nil
}
