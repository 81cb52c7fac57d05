package search

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"math"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"pixano/dataset"
	"pixano/schema"
)

// Query says what to search for, where, and how much of the ranking to return.
//
// One of Text, Image, Like and Vector gives the vector to look for. Words look for words instead, or beside it: then the
// two rankings are joined by reciprocal-rank fusion.
type Query struct {
	Table string `json:"table"` // the embedding table; of words alone, the table of texts

	Text   string      `json:"text,omitempty"` // the vector that the table's function has for a text
	Image  image.Image `json:"-"`              // the vector that the table's function has for a picture
	Vector []float32   `json:"vector,omitempty"`

	// Like is the id of a row of Table, whose vector is looked for; if no row has it, that of a view or an item, which
	// stands for its first row. The row itself is among the hits.
	Like string `json:"like,omitempty"`

	// Metric is the distance between vectors. "": that of the index that the dataset opted in to, else L2.
	Metric dataset.Metric `json:"metric,omitempty"`

	// MaxDistance leaves out rows that are at this distance or farther. Nil: none.
	MaxDistance *float64 `json:"max_distance,omitempty"`

	Words *Words `json:"words,omitempty"`

	// VectorWeight and Words.Weight say how much each ranking counts where they are joined. 0: 1.
	VectorWeight float64 `json:"vector_weight,omitempty"`

	// Filter chooses the rows of Table to search, before the search: its conditions IDs, ItemIDs, Where with Args, and Has
	// for those on other tables of the item. The rest of it must be empty.
	Filter dataset.Query `json:"filter,omitzero"`

	ByRow  bool `json:"by_row,omitempty"` // hits are rows. False: items, each at its nearest row
	Limit  int  `json:"limit,omitempty"`  // at most so many hits; 0: all
	Offset int  `json:"offset,omitempty"` // leave out so many first

	// Ranking asks for the ids of the whole ranking too, of which Hits are one page. It is exact.
	Ranking bool `json:"ranking,omitempty"`

	// Exact compares with every vector even where there is an index.
	Exact bool `json:"exact,omitempty"`

	// How to look into an index, in place of what it was tuned to: see [dataset.Index]. 0: as tuned.
	NProbes int `json:"nprobes,omitempty"`
	EF      int `json:"ef,omitempty"`
	Refine  int `json:"refine,omitempty"`
}

// Words look for words in columns of texts. Rows are ranked by BM25: a word counts more the rarer it is and the shorter
// the text.
type Words struct {
	Text    string   `json:"text"`              // the words; a row has to have one of them
	Table   string   `json:"table,omitempty"`   // of the texts; "": that of the query
	Columns []string `json:"columns,omitempty"` // nil: those with a full text index, or all texts but references and "id"
	All     bool     `json:"all,omitempty"`     // a row has to have all words, in one column
	Weight  float64  `json:"weight,omitempty"`  // see Query.VectorWeight

	// Phrase wants the words to stand together in this order, in one column; a full text index has to have positions for it.
	// Fuzziness allows a word to differ by so many letters, 0 to 2, and needs a full text index of each column.
	Phrase    bool `json:"phrase,omitempty"`
	Fuzziness int  `json:"fuzziness,omitempty"`

	// Where is a further condition on the rows of Table, with Args, where it is another table than that of the query.
	Where string `json:"where,omitempty"`
	Args  []any  `json:"args,omitempty"`
}

// Hit is an item, or a row, that was found.
type Hit struct {
	ItemID string `json:"item_id"` // "" for a row without an item
	ID     string `json:"id"`      // of the row: in the embedding table if it was found there, else in that of the texts

	// Distance is that of the vectors, a float32 value; smaller is nearer. It has a meaning if VectorRank is not 0.
	Distance float64 `json:"distance"`

	// Score is that of the words, or of both where two rankings were joined; larger is better.
	Score float64 `json:"score,omitempty"`

	// The places in the rankings by vectors and by words, from 1; 0: not in it.
	VectorRank int `json:"vector_rank,omitempty"`
	WordsRank  int `json:"words_rank,omitempty"`
}

// MarshalJSON leaves the distance of a hit out that was found by words alone.
func (h Hit) MarshalJSON() ([]byte, error) {
	type plain Hit
	if h.VectorRank > 0 {
		return json.Marshal(plain(h))
	}
	return json.Marshal(struct {
		plain
		Distance *float64 `json:"distance,omitempty"`
	}{plain: plain(h)})
}

// key is what a hit is of: an item, or a row.
func (h *Hit) key(byRow bool) string {
	if byRow {
		return h.ID
	}
	return h.ItemID
}

// Result is the outcome of a search.
type Result struct {
	Hits []Hit `json:"hits"` // best first; at equal distance or score by item and id

	// Ranking are the ids of all items, or rows, in order. Nil unless the query asks for it.
	Ranking []string `json:"ranking,omitempty"`

	// Index names the index of vectors that was used. "": every vector was compared, so the result is exact.
	Index string `json:"index,omitempty"`
}

// Searcher searches a dataset. It is safe for concurrent use.
type Searcher struct {
	ds     *dataset.Dataset
	embed  Embedder
	models func(ctx context.Context, f Function) (Embedder, error)
}

// New returns a searcher of a dataset. The embedder computes the vectors of texts and pictures, for tables that name it as
// their function and for those that name none; nil: searches by text and picture are refused, see also
// [Searcher.WithModels].
func New(ds *dataset.Dataset, e Embedder) *Searcher { return &Searcher{ds: ds, embed: e} }

// WithModels returns a searcher that asks models for the embedder of a table's function, where the one given to [New] is
// another one. models is called at each search and should keep what is costly to make.
func (s *Searcher) WithModels(models func(ctx context.Context, f Function) (Embedder, error)) *Searcher {
	with := *s
	with.models = models
	return &with
}

const op = "search"

// kindError is a message with its kind, and what it is about.
type kindError struct {
	kind error
	text string
	err  error // nil for none
}

func (e *kindError) Error() string { return e.text }

func (e *kindError) Unwrap() []error {
	if e.err == nil {
		return []error{e.kind}
	}
	return []error{e.kind, e.err}
}

func kindErrorf(kind error, format string, v ...any) error {
	return &kindError{kind: kind, text: fmt.Sprintf(format, v...)}
}

func queryError(format string, v ...any) error { return kindErrorf(dataset.ErrQuery, format, v...) }

// at puts the place of a search on an error that has none.
func at(table, field string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*dataset.Error](err); ok {
		return err
	}
	return &dataset.Error{Op: op, Table: table, Field: field, Err: err}
}

// Semantic returns the items nearest to a text in an embedding table of views, as the reference implementation does: by
// squared L2 distance, each item once at its nearest row, with the whole ranking. The table has to name the function that
// computes its vectors.
//
// A limit below 1, a table that is no view embedding and one without a function are dataset.ErrQuery, an unknown table is
// dataset.ErrNotFound.
func (s *Searcher) Semantic(ctx context.Context, text, table string, limit int) (Result, error) {
	if limit < 1 {
		return Result{}, at(table, "limit", queryError("%d: want 1 or more", limit))
	}
	t, err := s.ds.Search(ctx, op, table, dataset.Query{})
	if err != nil {
		return Result{}, err
	}
	for _, info := range s.ds.Tables() {
		if info.Name == table && !schema.IsA(info.BaseSchema, "ViewEmbedding") {
			return Result{}, at(table, "", queryError("its rows are of the class %s: want a table of view embeddings", info.BaseSchema))
		}
	}
	e, err := s.embedder(ctx, t, table, true)
	if err != nil {
		return Result{}, at(table, "", err)
	}
	vector, err := embedText(ctx, e, text)
	if err != nil {
		return Result{}, at(table, "text", err)
	}
	return s.Search(ctx, Query{Table: table, Vector: vector, Metric: dataset.L2, Limit: limit, Ranking: true})
}

// Search searches.
//
// A vector of another dimension or with values that are not finite, an empty text, a table without vectors, columns that
// are no texts, a filter that does not fit the table, and negative numbers are dataset.ErrQuery; unknown tables and an
// unknown row to be like are dataset.ErrNotFound. What needs an index that is not there says so.
func (s *Searcher) Search(ctx context.Context, q Query) (Result, error) {
	p, err := s.plan(ctx, q)
	if err != nil {
		return Result{}, err
	}
	return p.run(ctx)
}

// plan is a query that was checked, with what it searches.
type plan struct {
	q      Query
	vector *vectorSearch // nil: not by vectors
	words  *wordSearch   // nil: not by words
}

func (s *Searcher) plan(ctx context.Context, q Query) (*plan, error) {
	fail := func(field, format string, v ...any) (*plan, error) {
		return nil, at(q.Table, field, queryError(format, v...))
	}
	ways := 0
	for _, given := range []bool{q.Text != "", q.Image != nil, q.Vector != nil, q.Like != ""} {
		if given {
			ways++
		}
	}
	f := q.Filter
	switch {
	case q.Table == "" && (ways > 0 || q.Words == nil || q.Words.Table == ""):
		return nil, &dataset.Error{Op: op, Field: "table", Err: queryError("want the name of a table")}
	case ways > 1:
		return fail("", "several things to look for: want one of text, image, vector and like")
	case ways == 0 && q.Words == nil:
		return fail("", "nothing to look for: want a text, an image, a vector, a row to be like, or words")
	case q.Text != "" && strings.TrimSpace(q.Text) == "":
		return fail("text", "it is empty")
	case q.Limit < 0:
		return fail("limit", "%d: want 0 or more", q.Limit)
	case q.Offset < 0:
		return fail("offset", "%d: want 0 or more", q.Offset)
	case q.NProbes < 0, q.EF < 0, q.Refine < 0:
		return fail("", "nprobes %d, ef %d, refine %d: want 0 or more", q.NProbes, q.EF, q.Refine)
	case f.Limit != 0, f.Offset != 0, f.OrderBy != "", len(f.Columns) > 0:
		return fail("filter", "want conditions only, without limit, offset, order and columns")
	case q.VectorWeight < 0, math.IsNaN(q.VectorWeight), math.IsInf(q.VectorWeight, 0):
		return fail("vector_weight", "%v: want a number above 0", q.VectorWeight)
	case q.MaxDistance != nil && math.IsNaN(*q.MaxDistance):
		return fail("max_distance", "NaN: want a number")
	}
	p := &plan{q: q}
	var err error
	if ways > 0 {
		if p.vector, err = s.vectorSearch(ctx, q); err != nil {
			return nil, err
		}
	}
	if q.Words != nil {
		if p.words, err = s.wordSearch(ctx, q); err != nil {
			return nil, err
		}
		if p.vector != nil && q.ByRow && p.words.table != q.Table {
			return fail("by_row", "rows of %s and of %s cannot be joined: want items", q.Table, p.words.table)
		}
	}
	return p, nil
}

func (p *plan) run(ctx context.Context) (Result, error) {
	var r Result
	var hits []Hit
	var err error
	switch {
	case p.vector != nil && p.words != nil:
		hits, err = p.fuse(ctx, &r)
	case p.vector != nil:
		hits, err = p.vector.best(ctx, p.want(), &r)
	default:
		hits, err = p.words.best(ctx, p.want())
	}
	if err != nil {
		return Result{}, err
	}
	if p.q.Ranking {
		r.Ranking = make([]string, len(hits))
		for i := range hits {
			r.Ranking[i] = hits[i].key(p.q.ByRow)
		}
	}
	hits = hits[min(p.q.Offset, len(hits)):]
	if p.q.Limit > 0 {
		hits = hits[:min(p.q.Limit, len(hits))]
	}
	r.Hits = append([]Hit{}, hits...)
	return r, nil
}

// want is the number of hits from the best one that the query needs; 0: all.
func (p *plan) want() int {
	const most = 1 << 30 // no table has more
	if p.q.Limit == 0 || p.q.Ranking || p.q.Limit > most || p.q.Offset > most-p.q.Limit {
		return 0
	}
	return p.q.Offset + p.q.Limit
}

// textColumn reads a column of ids of a batch.
func textColumn(batch arrow.RecordBatch, name string) (interface{ Value(int) string }, error) {
	at := batch.Schema().FieldIndices(name)
	if len(at) == 0 {
		return nil, kindErrorf(dataset.ErrCorrupt, "the engine gave no column %q", name)
	}
	column, ok := batch.Column(at[0]).(interface{ Value(int) string })
	if !ok {
		return nil, kindErrorf(dataset.ErrSchema, "column %s is %s: want texts", name, batch.Column(at[0]).DataType())
	}
	return column, nil
}

// sortHits sorts hits, the smaller value of by first.
func sortHits(hits []Hit, by func(h *Hit) float64) {
	slices.SortFunc(hits, func(a, b Hit) int {
		switch x, y := by(&a), by(&b); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		if c := strings.Compare(a.ItemID, b.ItemID); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
}

// firstOfItems keeps the first hit of each item.
func firstOfItems(hits []Hit) []Hit {
	seen := make(map[string]struct{}, len(hits))
	return slices.DeleteFunc(hits, func(h Hit) bool {
		_, again := seen[h.ItemID]
		seen[h.ItemID] = struct{}{}
		return again
	})
}
