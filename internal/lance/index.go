package lance

import (
	"context"
	"slices"
	"strings"
	"time"
)

// IndexType is a kind of index.
type IndexType string

// The kinds of index. The first three are for filters, FTS is for full text search, the rest for vectors.
const (
	BTree     IndexType = "BTREE"       // comparisons on any sortable column
	Bitmap    IndexType = "BITMAP"      // equality on a column of few distinct values
	LabelList IndexType = "LABEL_LIST"  // array_has and the like on a list column
	FTS       IndexType = "FTS"         // words of a string column
	IVFFlat   IndexType = "IVF_FLAT"    // partitions of whole vectors
	IVFPQ     IndexType = "IVF_PQ"      // partitions of product-quantized vectors: smallest
	IVFHNSWSQ IndexType = "IVF_HNSW_SQ" // a graph over scalar-quantized vectors: best recall for its speed
	IVFHNSWPQ IndexType = "IVF_HNSW_PQ" // a graph over product-quantized vectors
)

// Index describes an index to make. Fields that do not concern its type are ignored, and 0 leaves a number
// to the engine.
type Index struct {
	Columns []string
	Type    IndexType
	Name    string // "": the columns' name with "_idx"
	Keep    bool   // an index on these columns that exists is an error and not replaced

	Metric         Metric // of vectors; "": L2
	Partitions     int    // of all IVF types
	SubVectors     int    // of product quantization
	Bits           int    // of product quantization, per sub-vector: 4 or 8
	M              int    // edges of an HNSW node
	EFConstruction int    // candidates looked at when an HNSW node is added
	SampleRate     int    // vectors per partition to train on
	MaxIterations  int    // of k-means

	FTS *FTSOptions // nil: the defaults
}

// FTSOptions say how a full text index cuts text into words. Nil fields are the engine's choice.
type FTSOptions struct {
	Tokenizer       string // "simple" (as ""), "whitespace", "raw" or "ngram"
	Language        string // for stems and stop words; "": "English"
	LowerCase       *bool
	Stem            *bool
	RemoveStopWords *bool
	ASCIIFolding    *bool
	WithPosition    *bool // needed for phrases
	MaxTokenLength  *int  // longer words are left out; 0: none
	NgramMin        *int
	NgramMax        *int
	PrefixOnly      *bool // only n-grams at the beginning of words
}

type indexJSON struct {
	Op             string     `json:"op"`
	Columns        []string   `json:"columns"`
	Type           IndexType  `json:"type"`
	Name           string     `json:"name"`
	Replace        bool       `json:"replace"`
	Metric         Metric     `json:"metric"`
	Partitions     int        `json:"partitions"`
	SubVectors     int        `json:"sub_vectors"`
	Bits           int        `json:"bits"`
	M              int        `json:"m"`
	EFConstruction int        `json:"ef_construction"`
	SampleRate     int        `json:"sample_rate"`
	MaxIterations  int        `json:"max_iterations"`
	FTS            *ftsIndex  `json:"fts,omitempty"`
	Opts           commitJSON `json:"opts"`
}

type ftsIndex struct {
	Tokenizer       *string `json:"tokenizer,omitempty"`
	Language        *string `json:"language,omitempty"`
	LowerCase       *bool   `json:"lower_case,omitempty"`
	Stem            *bool   `json:"stem,omitempty"`
	RemoveStopWords *bool   `json:"remove_stop_words,omitempty"`
	ASCIIFolding    *bool   `json:"ascii_folding,omitempty"`
	WithPosition    *bool   `json:"with_position,omitempty"`
	MaxTokenLength  *int    `json:"max_token_length,omitempty"`
	NgramMin        *int    `json:"ngram_min,omitempty"`
	NgramMax        *int    `json:"ngram_max,omitempty"`
	PrefixOnly      *bool   `json:"prefix_only,omitempty"`
}

// IndexResult is an index that was made.
type IndexResult struct {
	Name    string `json:"name"`
	Version uint64 `json:"version"`
}

// CreateIndex makes an index and waits until it is complete. Python releases of LanceDB older than this
// engine may no longer write to a table that has one.
func (t *Table) CreateIndex(ctx context.Context, index Index, opts *WriteOptions) (IndexResult, error) {
	request := indexJSON{
		Op: "create", Columns: nonNil(index.Columns), Type: index.Type, Name: index.Name, Replace: !index.Keep, Metric: index.Metric,
		Partitions: index.Partitions, SubVectors: index.SubVectors, Bits: index.Bits, M: index.M,
		EFConstruction: index.EFConstruction, SampleRate: index.SampleRate, MaxIterations: index.MaxIterations,
		Opts: opts.commit(0),
	}
	if f := index.FTS; f != nil {
		request.FTS = &ftsIndex{
			optional(f.Tokenizer), optional(f.Language), f.LowerCase, f.Stem, f.RemoveStopWords, f.ASCIIFolding,
			f.WithPosition, f.MaxTokenLength, f.NgramMin, f.NgramMax, f.PrefixOnly,
		}
	}
	var result IndexResult
	err := t.h.json(ctx, fnIndex, t.args("index", request), &result)
	return result, err
}

// IndexInfo is an index of a table.
type IndexInfo struct {
	Name    string    `json:"name"`
	Type    IndexType `json:"type"`
	Columns []string  `json:"columns"`
}

// Indexes lists the indexes by name.
func (t *Table) Indexes(ctx context.Context) ([]IndexInfo, error) {
	var answer struct {
		Indexes []IndexInfo `json:"indexes"`
	}
	err := t.h.json(ctx, fnIndex, t.args("indexes of", opRequest{Op: "list"}), &answer)
	slices.SortFunc(answer.Indexes, func(a, b IndexInfo) int { return strings.Compare(a.Name, b.Name) })
	return answer.Indexes, err
}

// IndexStats says how complete an index is. Rows that it does not cover are searched one by one.
type IndexStats struct {
	IndexedRows   int64     `json:"indexed_rows"`
	UnindexedRows int64     `json:"unindexed_rows"`
	Type          IndexType `json:"type"`
	Metric        Metric    `json:"metric"` // "" unless of vectors
	Parts         int       `json:"num_indices"`
	Loss          *float64  `json:"loss"` // of k-means; nil where it has none
}

type namedRequest struct {
	Op   string `json:"op"`
	Name string `json:"name"`
}

// IndexStats measures an index. Without one of this name the error matches [ErrNotFound].
func (t *Table) IndexStats(ctx context.Context, name string) (IndexStats, error) {
	var stats IndexStats
	err := t.h.json(ctx, fnIndex, t.args("index of", namedRequest{"stats", name}), &stats)
	return stats, err
}

// DropIndex removes an index. Without one of this name the error matches [ErrNotFound].
func (t *Table) DropIndex(ctx context.Context, name string) error {
	_, err := t.h.call(ctx, fnIndex, t.args("index of", namedRequest{"drop", name}))
	return err
}

// PrewarmIndex reads an index into the connection's cache.
func (t *Table) PrewarmIndex(ctx context.Context, name string) error {
	_, err := t.h.call(ctx, fnIndex, t.args("index of", namedRequest{"prewarm", name}))
	return err
}

// WaitForIndex waits until the indexes named cover every row, at most for the timeout.
func (t *Table) WaitForIndex(ctx context.Context, timeout time.Duration, names ...string) error {
	request := struct {
		Op        string   `json:"op"`
		Names     []string `json:"names"`
		TimeoutMS int64    `json:"timeout_ms"`
	}{"wait", nonNil(names), timeout.Milliseconds()}
	_, err := t.h.call(ctx, fnIndex, t.args("index of", request))
	return err
}

// nonNil makes a nil slice an empty one, which JSON does not write as null.
func nonNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
