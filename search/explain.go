package search

import (
	"context"
	"fmt"
	"strings"

	"pixano/dataset"
	"pixano/internal/lance"
)

// Explanation says how a search is done.
type Explanation struct {
	Steps []string `json:"steps"` // in words

	// Plans are those of the storage engine, one for each ranking, for the rows that the search begins with.
	Plans []string `json:"plans"`
}

// String gives the steps, and the plans below.
func (e Explanation) String() string {
	return strings.Join(e.Steps, "\n") + "\n\n" + strings.Join(e.Plans, "\n")
}

// Explain says how a search would be done, without doing it; the vector of a text or picture is computed. Errors are those
// of [Searcher.Search].
func (s *Searcher) Explain(ctx context.Context, q Query) (Explanation, error) {
	var e Explanation
	p, err := s.plan(ctx, q)
	if err != nil {
		return e, err
	}
	step := func(format string, v ...any) { e.Steps = append(e.Steps, fmt.Sprintf(format, v...)) }
	want := p.want()
	if p.vector != nil && p.words != nil && want > 0 {
		want = max(want, fuseDepth)
	}
	filters := func(t *dataset.Searched) {
		switch {
		case t.Empty:
			step("  the filter selects nothing")
		case t.Where != "":
			step("  before: rows where %s", shorten(t.Where, 200))
		}
		if t.Allow != nil {
			step("  after: rows of the items that other tables select, about %.3g of all", t.Share)
		}
	}
	if v := p.vector; v != nil {
		rows, err := v.t.Table.Count(ctx, "")
		if err != nil {
			return e, at(v.table, "", err)
		}
		name, err := v.serves(ctx, want, rows)
		if err != nil {
			return e, at(v.table, filterField(v.t, err), err)
		}
		ask := v.ask(want, rows)
		query := lance.Query{Columns: idColumns(v.t), Where: v.t.Where, Limit: int(max(ask, 1)), Vector: &v.query}
		if name != "" {
			query.Vector = v.indexed(int(ask))
			step("vectors: %s of %d rows by the index %s (%s, nprobes %d, ef %d, refine %d), rows that it does not cover one by one",
				v.query.Metric, rows, name, v.index.Type, query.Vector.NProbes, query.Vector.EF, query.Vector.RefineFactor)
		} else {
			step("vectors: %s of %d rows, exact: every vector is compared", v.query.Metric, rows)
			if ask >= rows && v.floats {
				query = lance.Query{Columns: append(idColumns(v.t), v.query.Column), Where: v.t.Where}
			}
		}
		filters(v.t)
		plan, err := v.t.Table.Explain(ctx, query, nil)
		if err != nil {
			return e, at(v.table, filterField(v.t, err), err)
		}
		e.Plans = append(e.Plans, plan)
	}
	if w := p.words; w != nil {
		query := lance.Query{Columns: idColumns(w.t), Where: w.t.Where, Limit: max(want, 1), Text: &w.query}
		if w.scanned != "" {
			step("words: %s.%s by scanning, as %s has no full text index", w.table, strings.Join(w.query.Columns, ", "), w.scanned)
			query = lance.Query{Columns: append(idColumns(w.t), w.query.Columns...), Where: w.t.Where}
		} else {
			step("words: %s.%s by full text index, rows that it does not cover one by one", w.table, strings.Join(w.query.Columns, ", "))
		}
		filters(w.t)
		plan, err := w.t.Table.Explain(ctx, query, nil)
		if err != nil {
			return e, at(w.table, filterField(w.t, err), err)
		}
		e.Plans = append(e.Plans, plan)
	}
	if p.vector != nil && p.words != nil {
		step("joined by reciprocal-rank fusion, %d hits deep (0: all)", want)
	}
	if !q.ByRow {
		step("one hit an item, at its best row")
	}
	return e, nil
}

func shorten(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}
