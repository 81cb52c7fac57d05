package lance

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

func TestScalarIndexes(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	schema := arrow.NewSchema([]arrow.Field{
		field("n", arrow.PrimitiveTypes.Int64), field("kind", arrow.BinaryTypes.String), field("tags", arrow.ListOf(arrow.BinaryTypes.String)),
	}, nil)
	var text []string
	for i := range 100 {
		text = append(text, fmt.Sprintf(`{"n": %d, "kind": "k%d", "tags": ["t%d", "all"]}`, i, i%3, i%5))
	}
	table := create(t, c, "t", fromJSON(t, schema, "["+strings.Join(text, ",")+"]"))
	for _, index := range []Index{
		{Columns: []string{"n"}, Type: BTree}, {Columns: []string{"kind"}, Type: Bitmap, Name: "by_kind"}, {Columns: []string{"tags"}, Type: LabelList},
	} {
		made, err := table.CreateIndex(ctx, index, nil)
		if err != nil {
			t.Fatal(err)
		}
		if want := index.Name; want != "" && made.Name != want || made.Name == "" || made.Version < 2 {
			t.Errorf("%s: got %+v", index.Type, made)
		}
		stats := must[IndexStats](t)(table.IndexStats(ctx, made.Name))
		if stats.IndexedRows != 100 || stats.UnindexedRows != 0 || stats.Type != index.Type || stats.Parts < 1 {
			t.Errorf("%s: got %+v", index.Type, stats)
		}
		if err := table.PrewarmIndex(ctx, made.Name); err != nil {
			t.Error(err)
		}
		if err := table.WaitForIndex(ctx, time.Minute, made.Name); err != nil {
			t.Error(err)
		}
	}
	diff(t, "indexes", must[[]IndexInfo](t)(table.Indexes(ctx)), []IndexInfo{
		{"by_kind", Bitmap, []string{"kind"}}, {"n_idx", BTree, []string{"n"}}, {"tags_idx", LabelList, []string{"tags"}}})
	for where, want := range map[string]int64{"n = 5": 1, "kind = 'k1'": 33, "array_has(tags, 't2')": 20, "n < 50 AND array_has_any(tags, ['t2', 't3'])": 20} {
		if got := count(t, table, where); got != want {
			t.Errorf("%s: got %d rows, want %d", where, got, want)
		}
		plan := must[string](t)(table.Explain(ctx, Query{Where: where}, nil))
		if !strings.Contains(plan, "ScalarIndexQuery") && !strings.Contains(plan, "full_filter") && !strings.Contains(plan, "@") {
			t.Errorf("%s does not use the index: %s", where, plan)
		}
	}
	// Rows added later are found, and an optimization covers them.
	must[WriteResult](t)(table.Append(ctx, FromBatches(nil, fromJSON(t, schema, `[{"n": 5, "kind": "k1", "tags": ["t2"]}]`)), nil))
	if stats := must[IndexStats](t)(table.IndexStats(ctx, "n_idx")); stats.UnindexedRows != 1 || count(t, table, "n = 5") != 2 {
		t.Errorf("got %+v and %d rows", stats, count(t, table, "n = 5"))
	}
	done := must[OptimizeResult](t)(table.Optimize(ctx, OptimizeOptions{Index: &Reindex{Names: []string{"n_idx"}}}, nil))
	if stats := must[IndexStats](t)(table.IndexStats(ctx, "n_idx")); stats.UnindexedRows != 0 || !done.IndexUpdated {
		t.Errorf("got %+v after %+v", stats, done)
	}

	_, err := table.CreateIndex(ctx, Index{Columns: []string{"n"}, Type: BTree, Keep: true}, nil)
	t.Log(err)
	if err == nil {
		t.Error("an index was replaced that was to be kept")
	}
	for _, index := range []Index{
		{Columns: []string{"x"}, Type: BTree}, {Columns: []string{"n"}, Type: "HASH"}, {Columns: nil, Type: BTree}, {Columns: []string{"n"}, Type: FTS},
		{Columns: []string{"n"}, Type: IVFPQ}, {Columns: []string{"kind"}, Type: FTS, FTS: &FTSOptions{Tokenizer: "x"}},
		{Columns: []string{"n"}, Type: IVFFlat, Metric: "l3"},
	} {
		_, err := table.CreateIndex(ctx, index, nil)
		t.Logf("%+v: %v", index, err)
		if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrUnsupported) {
			t.Errorf("%+v: got %v, want it refused", index, err)
		}
	}
	if err := table.DropIndex(ctx, "by_kind"); err != nil {
		t.Error(err)
	}
	if left := must[[]IndexInfo](t)(table.Indexes(ctx)); len(left) != 2 {
		t.Errorf("got %v", left)
	}
	_, err = table.IndexStats(ctx, "by_kind")
	wantError(t, err, ErrNotFound)
	wantError(t, table.DropIndex(ctx, "by_kind"), ErrNotFound)
	wantError(t, table.PrewarmIndex(ctx, "by_kind"), ErrNotFound)
}

// clusters has n vectors around a few centres, so that indexes have something to find.
func clusters(n, dim int) arrow.RecordBatch {
	schema := arrow.NewSchema([]arrow.Field{field("n", arrow.PrimitiveTypes.Int64), field("vector", vectorType(int32(dim)))}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	vectors := b.Field(1).(*array.FixedSizeListBuilder)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		vectors.Append(true)
		for j := range dim {
			x := float32(r.NormFloat64() * 0.1)
			if j == i%8 {
				x += 10
			}
			vectors.ValueBuilder().(*array.Float32Builder).Append(x)
		}
	}
	return b.NewRecordBatch()
}

func vectorAt(batch arrow.RecordBatch, i int) []float32 {
	list := batch.Column(batch.Schema().FieldIndices("vector")[0]).(*array.FixedSizeList)
	start, end := list.ValueOffsets(i)
	return list.ListValues().(*array.Float32).Float32Values()[start:end]
}

func TestVectorIndexes(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	rows := clusters(600, 16)
	for _, index := range []Index{
		{Type: IVFFlat, Partitions: 4, SampleRate: 100, MaxIterations: 10},
		{Type: IVFPQ, Partitions: 2, SubVectors: 4, Bits: 8, Metric: Cosine},
		{Type: IVFHNSWSQ, Partitions: 1, M: 16, EFConstruction: 100, Metric: L2},
		{Type: IVFHNSWPQ, Partitions: 1, M: 16, EFConstruction: 100, SubVectors: 8, Metric: Dot},
	} {
		t.Run(string(index.Type), func(t *testing.T) {
			table := create(t, c, strings.ToLower(string(index.Type)), rows)
			index.Columns = []string{"vector"}
			made, err := table.CreateIndex(ctx, index, nil)
			if err != nil {
				t.Fatal(err)
			}
			stats := must[IndexStats](t)(table.IndexStats(ctx, made.Name))
			want := index.Metric
			if want == "" {
				want = L2
			}
			if stats.IndexedRows != 600 || stats.Type != index.Type || stats.Metric != want {
				t.Errorf("got %+v", stats)
			}
			if err := table.PrewarmIndex(ctx, made.Name); err != nil {
				t.Error(err)
			}
			// Of the ten that are nearest to row 5 most are found, the row itself among them.
			query := Query{Columns: []string{"n"}, Limit: 10, Vector: &VectorQuery{Vectors: [][]float32{vectorAt(rows, 5)}, Metric: want, NProbes: 4, EF: 200, RefineFactor: 10}}
			found := strings.Fields(ns(t, table, query))
			query.Vector.Exact = true
			exact := ns(t, table, query)
			hits := 0
			for _, n := range found {
				hits += times(n, exact)
			}
			t.Logf("found %v, exact are %v", found, exact)
			if hits < 7 {
				t.Errorf("found %v of %v", found, exact)
			}
			query.Vector.Exact = false
			plan := must[string](t)(table.Explain(ctx, query, nil))
			if !strings.Contains(plan, "ANN") {
				t.Errorf("the index is not used: %s", plan)
			}
			// New rows are searched beside the index unless only the index is to be used.
			must[WriteResult](t)(table.Append(ctx, FromBatches(nil, rows.NewSlice(5, 6)), nil))
			query.Limit, query.FastSearch = 20, false
			if got := times("5", ns(t, table, query)); got != 2 {
				t.Errorf("the new row was found %d times, want twice with the old one", got)
			}
			query.FastSearch = true
			if got := times("5", ns(t, table, query)); got != 1 {
				t.Errorf("with fast search the row was found %d times", got)
			}
		})
	}
}

// times counts a word in a text.
func times(word, text string) int {
	n := 0
	for _, w := range strings.Fields(text) {
		if w == word {
			n++
		}
	}
	return n
}

func TestTextSearch(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	table := create(t, c, "t", vectorBatch(100, 4))
	made, err := table.CreateIndex(ctx, Index{Columns: []string{"text"}, Type: FTS, FTS: &FTSOptions{
		Tokenizer: "simple", Language: "English", LowerCase: new(true), Stem: new(true), RemoveStopWords: new(false), ASCIIFolding: new(true),
		WithPosition: new(true), MaxTokenLength: new(40),
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if stats := must[IndexStats](t)(table.IndexStats(ctx, made.Name)); stats.IndexedRows != 100 || stats.Type != FTS {
		t.Errorf("got %+v", stats)
	}
	_, err = table.CreateIndex(ctx, Index{Columns: []string{"text"}, Type: FTS, FTS: &FTSOptions{Language: "Klingon"}}, nil)
	wantError(t, err, ErrInvalid)
	search := func(q TextQuery) string { return ns(t, table, Query{Text: &q, Limit: 100}) }
	diff(t, "a word", search(TextQuery{Text: "number42"}), "42")
	diff(t, "in a column", search(TextQuery{Text: "NUMBER42", Columns: []string{"text"}}), "42")
	diff(t, "no word", search(TextQuery{Text: "absent"}), "")
	diff(t, "a typo", search(TextQuery{Text: "numbr42", Fuzziness: new(1)}), "42")
	diff(t, "either", len(strings.Fields(search(TextQuery{Text: "red fox"}))), 36)
	diff(t, "both", len(strings.Fields(search(TextQuery{Text: "red fox", Operator: "and"}))), 2)
	diff(t, "a phrase", search(TextQuery{Text: "red fox", Phrase: true}), "50")
	diff(t, "a stem", len(strings.Fields(search(TextQuery{Text: "jumping", Boost: 2}))), 19)
	diff(t, "filtered", ns(t, table, Query{Text: &TextQuery{Text: "fox"}, Where: "n < 20 AND n > 10", Limit: 10}), "15")
	scored := read(t, table, Query{Columns: []string{"n"}, Text: &TextQuery{Text: "number42"}})
	if !strings.Contains(scored, `"_score":`) {
		t.Errorf("got %s", scored)
	}

	// Row 50 is the only one that both searches have among their best.
	hybrid := read(t, table, Query{
		Columns: []string{"n"}, Limit: 5, Text: &TextQuery{Text: "red fox", Operator: "and"},
		Vector: &VectorQuery{Vectors: [][]float32{{51, 1, 1, 1}}}, Hybrid: &Hybrid{K: 60},
	})
	if !strings.HasPrefix(hybrid, `{"_`) || !strings.Contains(strings.SplitN(hybrid, "\n", 2)[0], `"n":50`) || !strings.Contains(hybrid, "_relevance_score") {
		t.Errorf("hybrid: got %s", hybrid)
	}
	if err := table.DropIndex(ctx, made.Name); err != nil {
		t.Fatal(err)
	}
	for name, options := range map[string]*FTSOptions{
		"ngram": {Tokenizer: "ngram", NgramMin: new(2), NgramMax: new(3), PrefixOnly: new(true)}, "whitespace": {Tokenizer: "whitespace"}, "raw": {Tokenizer: "raw"},
	} {
		if _, err := table.CreateIndex(ctx, Index{Columns: []string{"text"}, Type: FTS, FTS: options}, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
