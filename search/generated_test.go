package search_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/features"
	"pixano/schema"
	"pixano/search"
)

type photo struct {
	schema.Item
	Caption string
	Group   int64
	Objects []thing
}

type thing struct {
	schema.Entity
	Category string
}

type vector16 struct {
	schema.ViewEmbedding
	Vector [16]float32
	Kind   string
}

const dim = 16

// photos is a generated dataset: items with captions, some objects, and two vectors each around a few centres.
type photos struct {
	*dataset.Dataset
	s    *search.Searcher
	rows []vector16
}

func vectorOf(random *rand.Rand, centre int) (v [dim]float32) {
	for j := range v {
		v[j] = float32(random.NormFloat64())
		if j == centre%dim {
			v[j] += 4
		}
	}
	return v
}

var colours = []string{"red", "green", "blue", "Yellow", "black"}
var things = []string{"cars", "dog", "house", "tree", "boats", "road", "river"}

func makePhotos(t testing.TB, n int) *photos {
	t.Helper()
	if _, err := dataset.Engine(); err != nil {
		t.Skipf("no storage engine here: %v", err)
	}
	ctx := t.Context()
	ds, err := dataset.Create(ctx, filepath.Join(t.TempDir(), "photos"), photo{}, dataset.Info{Name: "photos"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ds.Close() })
	if err := ds.CreateTable(ctx, "vectors", vector16{}, schema.ManyToOne); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(4, 2))
	p := &photos{Dataset: ds, s: search.New(ds, nil)}
	type row struct {
		schema.Item
		Caption string
		Group   int64
	}
	var items []row
	var objects []thing
	for i := range n {
		ref := features.Item(fmt.Sprintf("item_%05d", i))
		items = append(items, row{schema.Item{ID: ref.ID}, fmt.Sprintf("a %s %s by the %s", colours[i%5], things[i%7], things[(i/7)%7]), int64(i % 10)})
		if i%4 == 0 {
			objects = append(objects, thing{schema.Entity{ID: fmt.Sprintf("object_%05d", i), ItemRef: ref}, things[i%7]})
		}
		for k := range 2 {
			e := vector16{Vector: vectorOf(random, i), Kind: []string{"whole", "part"}[k]}
			e.ID, e.ItemRef = fmt.Sprintf("vector_%05d_%d", i, k), ref
			p.rows = append(p.rows, e)
		}
	}
	unchecked := ds.WithChecks(dataset.Checks{Mode: dataset.CheckNone})
	for table, rows := range map[string]any{"item": items, "objects": objects, "vectors": p.rows} {
		if err := unchecked.Add(ctx, table, rows); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// distance is what the engine computes, in doubles.
func distance(metric dataset.Metric, a, b []float32) float64 {
	var sum, dot, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		sum, dot, aa, bb = sum+(x-y)*(x-y), dot+x*y, aa+x*x, bb+y*y
	}
	switch metric {
	case dataset.Cosine:
		return 1 - dot/math.Sqrt(aa*bb)
	case dataset.Dot:
		return 1 - dot
	}
	return sum
}

// nearest is the answer that a search must give, by looking at all rows.
func (p *photos) nearest(metric dataset.Metric, query []float32, byRow bool, keep func(i int, row *vector16) bool) []search.Hit {
	var hits []search.Hit
	for i := range p.rows {
		if row := &p.rows[i]; keep == nil || keep(i/2, row) {
			hits = append(hits, search.Hit{ItemID: row.ItemRef.ID, ID: row.ID, Distance: distance(metric, query, row.Vector[:])})
		}
	}
	slices.SortFunc(hits, func(a, b search.Hit) int {
		if a.Distance != b.Distance {
			if a.Distance < b.Distance {
				return -1
			}
			return 1
		}
		return strings.Compare(a.ID, b.ID)
	})
	if !byRow {
		seen := map[string]bool{}
		hits = slices.DeleteFunc(hits, func(h search.Hit) bool { again := seen[h.ItemID]; seen[h.ItemID] = true; return again })
	}
	return hits
}

// share is the part of the want first hits that were found, whatever their order.
func share(got, want []search.Hit) float64 {
	if len(want) == 0 {
		return 1
	}
	ids := map[string]bool{}
	for _, h := range got {
		ids[h.ID] = true
	}
	n := 0
	for _, h := range want {
		if ids[h.ID] {
			n++
		}
	}
	return float64(n) / float64(len(want))
}

// filters are conditions on the rows searched, in each place where one can stand, with the answer by hand.
var filters = []struct {
	name  string
	query dataset.Query
	keep  func(i int, row *vector16) bool
}{
	{"none", dataset.Query{}, nil},
	{"rows", dataset.Query{Where: "kind = ?", Args: []any{"part"}}, func(_ int, row *vector16) bool { return row.Kind == "part" }},
	{"few rows", dataset.Query{Where: "item_ref.id < 'item_00007'"}, func(i int, _ *vector16) bool { return i < 7 }},
	{"items by id", dataset.Query{ItemIDs: []string{"item_00003", "item_00011", "nobody"}}, func(i int, _ *vector16) bool { return i == 3 || i == 11 }},
	{"ids", dataset.Query{IDs: []string{"vector_00005_1", "vector_00006_0"}}, func(_ int, row *vector16) bool { return row.ID == "vector_00005_1" || row.ID == "vector_00006_0" }},
	{"few items", dataset.Query{Has: []dataset.Has{{Table: "item", Where: "id < 'item_00009'"}}}, func(i int, _ *vector16) bool { return i < 9 }},
	{"many items", dataset.Query{Has: []dataset.Has{{Table: "item", Where: "\"group\" > 0"}}}, func(i int, _ *vector16) bool { return i%10 > 0 }},
	{"items with an object", dataset.Query{Has: []dataset.Has{{Table: "objects"}}}, func(i int, _ *vector16) bool { return i%4 == 0 }},
	{"items without one", dataset.Query{Has: []dataset.Has{{Table: "objects", Not: true}}}, func(i int, _ *vector16) bool { return i%4 != 0 }},
	{"all of it", dataset.Query{Where: "kind = 'whole'", Has: []dataset.Has{{Table: "objects", Where: "category <> 'dog'"}, {Table: "item", Where: "\"group\" < 8"}}},
		func(i int, row *vector16) bool {
			return row.Kind == "whole" && i%4 == 0 && things[i%7] != "dog" && i%10 < 8
		}},
	{"nothing", dataset.Query{Where: "kind = 'none'"}, func(int, *vector16) bool { return false }},
	{"no item", dataset.Query{Has: []dataset.Has{{Table: "objects", Where: "category = 'unheard of'"}}}, func(int, *vector16) bool { return false }},
	{"no ids", dataset.Query{IDs: []string{}}, func(int, *vector16) bool { return false }},
}

// TestExact compares exact searches by every metric, with a filter in every place, with the answers by hand.
func TestExact(t *testing.T) {
	p := makePhotos(t, 5000) // more items than are named one by one in a condition
	random := rand.New(rand.NewPCG(8, 8))
	for _, metric := range []dataset.Metric{dataset.L2, dataset.Cosine, dataset.Dot} {
		for _, f := range filters {
			for _, byRow := range []bool{false, true} {
				v := vectorOf(random, 3)
				want := p.nearest(metric, v[:], byRow, f.keep)
				for _, page := range [][2]int{{10, 0}, {7, 20}, {0, 0}, {5, 100_000}} {
					name := fmt.Sprintf("%s, %s, by row %v, limit %d, offset %d", metric, f.name, byRow, page[0], page[1])
					q := search.Query{Table: "vectors", Vector: v[:], Metric: metric, Filter: f.query, ByRow: byRow, Limit: page[0], Offset: page[1]}
					got, err := p.s.Search(t.Context(), q)
					if err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					rest := want[min(page[1], len(want)):]
					if page[0] > 0 {
						rest = rest[:min(page[0], len(rest))]
					}
					if len(got.Hits) != len(rest) || got.Index != "" {
						t.Errorf("%s: got %d hits, want %d", name, len(got.Hits), len(rest))
						continue
					}
					for i, h := range got.Hits {
						if !closeTo(h.Distance, rest[i].Distance) || h.VectorRank != page[1]+i+1 {
							t.Errorf("%s: hit %d: got %+v, want %+v", name, i, h, rest[i])
							break
						}
					}
					if share(got.Hits, rest) < 0.99 {
						t.Errorf("%s: got other rows than the nearest", name)
					}
				}
			}
		}
	}
	far := p.nearest(dataset.L2, p.rows[0].Vector[:], true, nil)
	limit := (far[4].Distance + far[5].Distance) / 2
	got, err := p.s.Search(t.Context(), search.Query{Table: "vectors", Like: p.rows[0].ID, ByRow: true, MaxDistance: &limit})
	if err != nil || len(got.Hits) != 5 || got.Hits[0].ID != p.rows[0].ID || got.Hits[0].Distance != 0 {
		t.Errorf("within %g: got %+v (%v), want 5 hits", limit, got.Hits, err)
	}
	// An item stands for its first row.
	byItem, err := p.s.Search(t.Context(), search.Query{Table: "vectors", Like: "item_00000", ByRow: true, MaxDistance: &limit})
	if diff := cmp.Diff(got, byItem); err != nil || diff != "" {
		t.Errorf("like an item (-row +item): %v %s", err, diff)
	}
}

// TestIndexes builds each kind of index with each metric, and searches with a filter in every place: it finds nearly all,
// only what the filter selects, and what was written after it was built.
func TestIndexes(t *testing.T) {
	p := makePhotos(t, 800)
	ctx := t.Context()
	random := rand.New(rand.NewPCG(9, 9))
	for _, kind := range []dataset.IndexType{dataset.IVFHNSWSQ, dataset.IVFPQ, dataset.IVFFlat, dataset.IVFHNSWPQ} {
		for _, metric := range []dataset.Metric{dataset.L2, dataset.Cosine, dataset.Dot} {
			name := fmt.Sprintf("%s %s", kind, metric)
			index := dataset.Index{Table: "vectors", Type: kind, Metric: metric, Partitions: 4, NProbes: 4}
			if kind == dataset.IVFPQ || kind == dataset.IVFHNSWPQ {
				index.SubVectors, index.Refine = 8, 8
			}
			if kind == dataset.IVFHNSWSQ || kind == dataset.IVFHNSWPQ {
				index.EF = 300
			}
			info, err := p.s.CreateIndex(ctx, index, &search.BuildOptions{Samples: 10})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if info.Indexed != int64(len(p.rows)) || info.Unindexed != 0 || !info.OptedIn || info.Type != kind || info.Metric != metric ||
				info.Recall < 0.9 || info.Bytes == 0 || info.Python == "" || info.Seconds <= 0 || info.Rows != int64(len(p.rows)) {
				t.Errorf("%s: got %+v", name, info)
			}
			used := 0
			for _, f := range filters {
				v := vectorOf(random, 5)
				for _, byRow := range []bool{true, false} {
					want := p.nearest(metric, v[:], byRow, f.keep)
					want = want[:min(20, len(want))]
					got, err := p.s.Search(ctx, search.Query{Table: "vectors", Vector: v[:], Filter: f.query, ByRow: byRow, Limit: 20})
					if err != nil {
						t.Fatalf("%s, %s: %v", name, f.name, err)
					}
					if got.Index != "" {
						used++
					}
					if len(got.Hits) != len(want) || share(got.Hits, want) < 0.8 {
						t.Errorf("%s, %s, by row %v, index %q: got %d hits with %.2f of the nearest %d", name, f.name, byRow, got.Index, len(got.Hits), share(got.Hits, want), len(want))
					}
					exact, err := p.s.Search(ctx, search.Query{Table: "vectors", Vector: v[:], Filter: f.query, ByRow: byRow, Limit: 20, Exact: true})
					if err != nil || exact.Index != "" || share(exact.Hits, want) < 0.99 {
						t.Errorf("%s, %s: exact in spite of the index: got %.2f of the nearest (%v)", name, f.name, share(exact.Hits, want), err)
					}
				}
			}
			if used == 0 {
				t.Errorf("%s: no search used the index", name)
			}
			other := dataset.L2
			if metric == dataset.L2 {
				other = dataset.Dot
			}
			v := vectorOf(random, 1)
			if got, err := p.s.Search(ctx, search.Query{Table: "vectors", Vector: v[:], Metric: other, Limit: 5}); err != nil || got.Index != "" {
				t.Errorf("%s: a search by %s used the index %q (%v)", name, other, got.Index, err)
			}
			if got, err := p.s.Search(ctx, search.Query{Table: "vectors", Vector: v[:], Limit: 5, Ranking: true}); err != nil || got.Index != "" || len(got.Ranking) != 800 {
				t.Errorf("%s: a whole ranking by the index %q has %d items (%v)", name, got.Index, len(got.Ranking), err)
			}
			r, err := p.s.Recall(ctx, "vectors", &search.RecallOptions{K: 10, Samples: 10})
			if err != nil || r.Mean < 0.8 || r.Least > r.Mean || r.Queries != 10 || r.K != 10 || r.Index != info.Name || r.IndexP50 <= 0 || r.ExactP99 < r.ExactP50 {
				t.Errorf("%s: recall %+v (%v)", name, r, err)
			}
		}
	}
	if infos, err := p.s.Indexes(ctx, ""); err != nil || len(infos) != 1 {
		t.Errorf("an index of the same name takes the place of the old one: got %+v (%v)", infos, err)
	}
	e, err := p.s.Explain(ctx, search.Query{Table: "vectors", Like: p.rows[9].ID, Limit: 3})
	if err != nil || !strings.Contains(e.String(), "by the index vector_idx") || len(e.Plans) != 1 || !strings.Contains(e.Plans[0], "ANN") {
		t.Errorf("got %s (%v)", e, err)
	}
	e, err = p.s.Explain(ctx, search.Query{Table: "vectors", Like: p.rows[9].ID, Words: &search.Words{Table: "item", Text: "red"}})
	if err != nil || !strings.Contains(e.String(), "item.split, caption by scanning") || !strings.Contains(e.String(), "fusion") || len(e.Plans) != 2 {
		t.Errorf("got %s (%v)", e, err)
	}
	if err := p.s.DropIndex(ctx, "vectors", "vector_idx"); err != nil {
		t.Fatal(err)
	}
	wantError(t, p.s.DropIndex(ctx, "vectors", "vector_idx"), dataset.ErrNotFound, "vector_idx")
	_, err = p.s.Recall(ctx, "vectors", nil)
	wantError(t, err, dataset.ErrNotFound, "no index")
	if e, err := p.s.Explain(ctx, search.Query{Table: "vectors", Like: p.rows[9].ID}); err != nil || !strings.Contains(e.String(), "exact: every vector is compared") {
		t.Errorf("got %s (%v)", e, err)
	}
}

// TestIndexWaits: where nobody says what index to make, small tables get none until they have grown.
func TestIndexWaits(t *testing.T) {
	p := makePhotos(t, 300)
	ctx := t.Context()
	info, err := p.s.CreateIndex(ctx, dataset.Index{Table: "vectors"}, nil)
	if err != nil || !info.Built.IsZero() || info.Type != "" || !info.OptedIn || info.Column != "vector" {
		t.Errorf("got %+v (%v)", info, err)
	}
	if err := p.RefreshIndexes(ctx, 0); err != nil {
		t.Error(err)
	}
	if got, err := p.s.Search(ctx, search.Query{Table: "vectors", Like: p.rows[0].ID, Limit: 3}); err != nil || got.Index != "" || len(got.Hits) != 3 {
		t.Errorf("got %+v (%v)", got, err)
	}
	list, err := p.s.Indexes(ctx, "vectors")
	if err != nil || len(list) != 1 || list[0].Name != "vector_idx" {
		t.Errorf("got %+v (%v)", list, err)
	}
	if err := p.s.DropIndex(ctx, "vectors", "vector_idx"); err != nil {
		t.Error(err)
	}
	if list, err := p.s.Indexes(ctx, ""); err != nil || len(list) != 0 {
		t.Errorf("got %+v (%v)", list, err)
	}
}

// TestSearchesWhileWriting: while rows come, change and go and the index is refreshed, searches find each row where it is,
// and those that were there all the time.
func TestSearchesWhileWriting(t *testing.T) {
	p := makePhotos(t, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := p.s.CreateIndex(ctx, dataset.Index{Table: "vectors", Type: dataset.IVFHNSWSQ, EF: 400}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := p.s.CreateIndex(ctx, dataset.Index{Table: "item", Column: "caption"}, nil); err != nil {
		t.Fatal(err)
	}
	var searches atomic.Int64
	var group sync.WaitGroup
	for g := range 3 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 3))
			for ctx.Err() == nil {
				row := &p.rows[random.IntN(len(p.rows))]
				got, err := p.s.Search(ctx, search.Query{Table: "vectors", Vector: row.Vector[:], Limit: 3, ByRow: true, Exact: g == 0})
				if errors.Is(err, context.Canceled) {
					return
				}
				if err != nil || len(got.Hits) != 3 || got.Hits[0].ID != row.ID {
					t.Errorf("looking for %s: got %+v (%v)", row.ID, got.Hits, err)
					return
				}
				if _, err := p.s.Search(ctx, search.Query{Table: "item", Words: &search.Words{Text: "red"}, Limit: 5}); err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
					return
				}
				searches.Add(1)
			}
		})
	}
	random := rand.New(rand.NewPCG(77, 3))
	for i := range 12 {
		e := vector16{Vector: vectorOf(random, i), Kind: "new"}
		for j := range e.Vector {
			e.Vector[j] += 50 // far from all others
		}
		e.ID, e.ItemRef = fmt.Sprintf("new_%d", i), features.Item("item_00001")
		if err := p.Add(ctx, "vectors", []vector16{e}); err != nil {
			t.Fatal(err)
		}
		got, err := p.s.Search(ctx, search.Query{Table: "vectors", Vector: e.Vector[:], Limit: 1, ByRow: true})
		if err != nil || len(got.Hits) != 1 || got.Hits[0].ID != e.ID {
			t.Fatalf("a new row is not found: got %+v (%v)", got, err)
		}
		e.Vector[0] += 300
		if _, err := p.Update(ctx, "vectors", []vector16{e}); err != nil {
			t.Fatal(err)
		}
		got, err = p.s.Search(ctx, search.Query{Table: "vectors", Vector: e.Vector[:], Limit: 1, ByRow: true})
		if err != nil || len(got.Hits) != 1 || got.Hits[0].ID != e.ID || got.Hits[0].Distance > 1 {
			t.Fatalf("a changed row is not found: got %+v (%v)", got, err)
		}
		switch i % 4 {
		case 1:
			if err := p.RefreshIndexes(ctx, 0); err != nil {
				t.Fatal(err)
			}
		case 3:
			if _, err := p.Optimize(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := p.Delete(ctx, "vectors", e.ID); err != nil {
			t.Fatal(err)
		}
		got, err = p.s.Search(ctx, search.Query{Table: "vectors", Vector: e.Vector[:], Limit: 1, ByRow: true})
		if err != nil || len(got.Hits) != 1 || got.Hits[0].ID == e.ID {
			t.Fatalf("a deleted row is found: got %+v (%v)", got, err)
		}
	}
	cancel()
	group.Wait()
	if searches.Load() == 0 {
		t.Error("no search was made meanwhile")
	}
	infos, err := p.s.Indexes(t.Context(), "vectors")
	if err != nil || len(infos) != 1 || infos[0].Indexed < 2000 {
		t.Errorf("got %+v (%v)", infos, err)
	}
}

// TestEmptied: a table that loses its rows while it is searched gives hits of before, or none.
func TestEmptied(t *testing.T) {
	p := makePhotos(t, 200)
	ctx := t.Context()
	if _, err := p.s.CreateIndex(ctx, dataset.Index{Table: "vectors", Type: dataset.IVFHNSWSQ}, nil); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			for {
				got, err := p.s.Search(ctx, search.Query{Table: "vectors", Vector: p.rows[0].Vector[:], Limit: 4})
				if err != nil {
					t.Error(err)
					return
				}
				if len(got.Hits) == 0 {
					return
				}
			}
		})
	}
	ids := make([]string, len(p.rows))
	for i := range ids {
		ids[i] = p.rows[i].ID
	}
	for part := range slices.Chunk(ids, 100) {
		if _, err := p.Delete(ctx, "vectors", part...); err != nil {
			t.Fatal(err)
		}
	}
	group.Wait()
	for _, q := range []search.Query{
		{Table: "vectors", Vector: p.rows[0].Vector[:], Limit: 4, Ranking: true},
		{Table: "vectors", Vector: p.rows[0].Vector[:], Words: &search.Words{Table: "objects", Text: "nothing of the kind"}},
	} {
		if got, err := p.s.Search(ctx, q); err != nil || len(got.Hits) != 0 || len(got.Ranking) != 0 {
			t.Errorf("got %+v (%v)", got, err)
		}
	}
	if err := p.RefreshIndexes(ctx, 0); err != nil {
		t.Error(err)
	}
}

// TestCancelledBuild: an index whose making is cancelled is not there.
func TestCancelledBuild(t *testing.T) {
	p := makePhotos(t, 3000)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := p.s.CreateIndex(ctx, dataset.Index{Table: "vectors", Type: dataset.IVFHNSWSQ, M: 32, EFConstruction: 400},
		&search.BuildOptions{Progress: func(pr search.Progress) {
			if pr.Stage == "building" {
				cancel()
			}
		}})
	wantError(t, err, context.Canceled)
	if infos, err := p.s.Indexes(t.Context(), ""); err != nil || len(infos) != 0 {
		t.Errorf("got %+v (%v), want none", infos, err)
	}
}

// TestWords searches for words without and with a full text index.
func TestWords(t *testing.T) {
	p := makePhotos(t, 700)
	ctx := t.Context()
	contains := func(words ...string) (ids []string) {
		for i := range 700 {
			for _, w := range words {
				caption := strings.Fields(strings.ToLower(fmt.Sprintf("a %s %s by the %s", colours[i%5], things[i%7], things[(i/7)%7])))
				if slices.Contains(caption, w) {
					ids = append(ids, fmt.Sprintf("item_%05d", i))
					break
				}
			}
		}
		return ids
	}
	find := func(q search.Query) []string {
		t.Helper()
		q.Ranking = true
		got, err := p.s.Search(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		for i, h := range got.Hits {
			if h.WordsRank != q.Offset+i+1 || h.VectorRank != 0 || h.Score <= 0 || i > 0 && h.Score > got.Hits[i-1].Score {
				t.Errorf("hit %d: got %+v", i, h)
			}
		}
		return slices.Sorted(slices.Values(got.Ranking))
	}
	words := func(text string, more ...func(*search.Words)) search.Query {
		w := &search.Words{Text: text}
		for _, change := range more {
			change(w)
		}
		return search.Query{Table: "item", Words: w}
	}
	equal := func(what string, got, want []string) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%.600s", what, diff)
		}
	}
	all := func(w *search.Words) { w.All = true }
	for _, indexed := range []bool{false, true} {
		if indexed {
			info, err := p.s.CreateIndex(ctx, dataset.Index{Table: "item", Column: "caption", Tokens: &dataset.Tokens{Positions: true}}, nil)
			if err != nil || info.Type != dataset.FullText || info.Indexed != 700 {
				t.Fatalf("got %+v (%v)", info, err)
			}
		}
		equal("one word", find(words("red")), contains("red"))
		equal("in any case", find(words("RED yellow")), contains("red", "yellow"))
		if both := find(words("red dog", all)); len(both) == 0 || len(both) >= len(contains("red")) {
			t.Errorf("both words: got %d", len(both))
		}
		equal("no such word", find(words("unheard")), nil)
		filtered := words("red")
		filtered.Filter = dataset.Query{Where: "\"group\" = 5", Has: []dataset.Has{{Table: "objects", Not: true}}}
		var want []string
		for i := range 700 {
			if i%5 == 0 && i%10 == 5 && i%4 != 0 {
				want = append(want, fmt.Sprintf("item_%05d", i))
			}
		}
		equal("filtered", find(filtered), want)
		page := words("green", func(w *search.Words) { w.Columns = []string{"caption"} })
		page.Limit, page.Offset = 5, 3
		if got, err := p.s.Search(ctx, page); err != nil || len(got.Hits) != 5 {
			t.Errorf("a page: got %+v (%v)", got, err)
		}
		if !indexed {
			_, err := p.s.Search(ctx, words("gren", func(w *search.Words) { w.Fuzziness = 1 }))
			wantError(t, err, dataset.ErrQuery, "pixano data index create DATASET --table item --column")
		}
		if phrase := find(words("Green dog", func(w *search.Words) { w.Phrase, w.Columns = true, []string{"caption"} })); len(phrase) != 20 {
			t.Errorf("a phrase: got %d", len(phrase))
		}
		if !indexed {
			continue
		}
		equal("another form of the word", find(words("car")), contains("cars"))
		equal("a typing error", find(words("gren", func(w *search.Words) { w.Fuzziness = 1 })), contains("green"))
	}
	// A row that the index does not cover yet is found too.
	if err := p.Add(ctx, "item", []schema.Dynamic{}); err != nil {
		t.Fatal(err)
	}
	type row struct {
		schema.Item
		Caption string
		Group   int64
	}
	if err := p.Add(ctx, "item", []row{{schema.Item{ID: "late"}, "a purple cow", 1}}); err != nil {
		t.Fatal(err)
	}
	equal("a late row", find(words("purple")), []string{"late"})
}

// TestHybrid joins the rankings of vectors and of captions, which are in different tables.
func TestHybrid(t *testing.T) {
	p := makePhotos(t, 700)
	ctx := t.Context()
	q := search.Query{Table: "vectors", Like: "vector_00005_0", Limit: 30, Words: &search.Words{Table: "item", Text: "red dog"}}
	got, err := p.s.Search(ctx, q)
	if err != nil || len(got.Hits) != 30 {
		t.Fatalf("got %+v (%v)", got, err)
	}
	for i, h := range got.Hits {
		want := 0.0
		for _, rank := range []int{h.VectorRank, h.WordsRank} {
			if rank > 0 {
				want += 1 / float64(60+rank)
			}
		}
		if !closeTo(h.Score, want) || i > 0 && h.Score > got.Hits[i-1].Score {
			t.Errorf("hit %d: got %+v, want the score %g", i, h, want)
		}
	}
	first := func(q search.Query) string {
		t.Helper()
		got, err := p.s.Search(ctx, q)
		if err != nil || len(got.Hits) == 0 {
			t.Fatalf("got %+v (%v)", got, err)
		}
		return got.Hits[0].ItemID
	}
	q.VectorWeight = 100
	if got := first(q); got != "item_00005" {
		t.Errorf("vectors that weigh more: got %s first", got)
	}
	q.VectorWeight, q.Words.Weight = 0.001, 5
	byWords := q
	byWords.Table, byWords.Like = "", ""
	if got, want := first(q), first(byWords); got != want {
		t.Errorf("words that weigh more: got %s first, want %s", got, want)
	}
	// What the query says of items holds for both tables, and the words' own condition for theirs.
	q.Filter.Has = []dataset.Has{{Table: "item", Where: "\"group\" = 1"}}
	q.Words.Where, q.Words.Args = "id > ?", []any{"item_00100"}
	got, err = p.s.Search(ctx, q)
	if err != nil || len(got.Hits) == 0 {
		t.Fatal(err)
	}
	for _, h := range got.Hits {
		if !strings.HasSuffix(h.ItemID, "1") || h.WordsRank > 0 && h.ItemID <= "item_00100" {
			t.Errorf("the filter lets %+v pass", h)
		}
	}
	q.ByRow = true
	_, err = p.s.Search(ctx, q)
	wantError(t, err, dataset.ErrQuery, "cannot be joined")
}

func TestBadQueries(t *testing.T) {
	p := makePhotos(t, 50)
	zero := make([]float32, dim)
	one := append([]float32{1}, zero[1:]...)
	nan := append([]float32{float32(math.NaN())}, zero[1:]...)
	inf := append([]float32{float32(math.Inf(-1))}, zero[1:]...)
	for name, test := range map[string]struct {
		q     search.Query
		kind  error
		parts []string
	}{
		"no table":            {search.Query{Vector: one}, dataset.ErrQuery, []string{"search", "name of a table"}},
		"nothing":             {search.Query{Table: "vectors"}, dataset.ErrQuery, []string{"search vectors", "nothing to look for"}},
		"two things":          {search.Query{Table: "vectors", Vector: one, Like: "x"}, dataset.ErrQuery, []string{"one of text, image"}},
		"unknown table":       {search.Query{Table: "nope", Vector: one}, dataset.ErrNotFound, []string{"search nope", "want one of"}},
		"no vectors":          {search.Query{Table: "item", Vector: one}, dataset.ErrQuery, []string{"no vector column"}},
		"dimension":           {search.Query{Table: "vectors", Vector: one[:3]}, dataset.ErrQuery, []string{"vector: ", "3 values", "16"}},
		"empty vector":        {search.Query{Table: "vectors", Vector: []float32{}}, dataset.ErrQuery, []string{"0 values"}},
		"NaN":                 {search.Query{Table: "vectors", Vector: nan}, dataset.ErrQuery, []string{"value 0 is NaN"}},
		"Inf":                 {search.Query{Table: "vectors", Vector: inf}, dataset.ErrQuery, []string{"value 0 is -Inf"}},
		"zero by cosine":      {search.Query{Table: "vectors", Vector: zero, Metric: dataset.Cosine}, dataset.ErrQuery, []string{"direction"}},
		"metric":              {search.Query{Table: "vectors", Vector: one, Metric: "hamming"}, dataset.ErrQuery, []string{"metric", "hamming", "l2, cosine or dot"}},
		"limit":               {search.Query{Table: "vectors", Vector: one, Limit: -1}, dataset.ErrQuery, []string{"limit: -1"}},
		"offset":              {search.Query{Table: "vectors", Vector: one, Offset: -2}, dataset.ErrQuery, []string{"offset: -2"}},
		"ef":                  {search.Query{Table: "vectors", Vector: one, EF: -2}, dataset.ErrQuery, []string{"ef -2"}},
		"weight":              {search.Query{Table: "vectors", Vector: one, VectorWeight: math.NaN()}, dataset.ErrQuery, []string{"vector_weight"}},
		"max distance":        {search.Query{Table: "vectors", Vector: one, MaxDistance: new(math.NaN())}, dataset.ErrQuery, []string{"max_distance"}},
		"filter syntax":       {search.Query{Table: "vectors", Vector: one, Filter: dataset.Query{Where: "kind = "}}, dataset.ErrQuery, nil},
		"filter column":       {search.Query{Table: "vectors", Vector: one, Filter: dataset.Query{Where: "nope = 1"}}, dataset.ErrQuery, []string{"where", "nope"}},
		"filter type":         {search.Query{Table: "vectors", Vector: one, Filter: dataset.Query{Where: "kind + 1 > created_at"}}, dataset.ErrQuery, []string{"search vectors", "filter"}},
		"filter of a page":    {search.Query{Table: "vectors", Vector: one, Filter: dataset.Query{Limit: 5}}, dataset.ErrQuery, []string{"filter: ", "conditions only"}},
		"other table":         {search.Query{Table: "vectors", Vector: one, Filter: dataset.Query{Has: []dataset.Has{{Table: "nope"}}}}, dataset.ErrNotFound, []string{"nope"}},
		"other table's where": {search.Query{Table: "vectors", Vector: one, Filter: dataset.Query{Has: []dataset.Has{{Table: "objects", Where: "x = 1"}}}}, dataset.ErrQuery, []string{"x"}},
		"like nobody":         {search.Query{Table: "vectors", Like: "nobody"}, dataset.ErrNotFound, []string{"like", `"nobody"`}},
		"blank text":          {search.Query{Table: "vectors", Text: " \t"}, dataset.ErrQuery, []string{"text: it is empty"}},
		"text, no model":      {search.Query{Table: "vectors", Text: "car"}, dataset.ErrQuery, []string{"no function", "by a vector"}},
		"blank words":         {search.Query{Table: "item", Words: &search.Words{Text: " "}}, dataset.ErrQuery, []string{"words.text: it is empty"}},
		"words, no column":    {search.Query{Table: "item", Words: &search.Words{Text: "a", Columns: []string{"nope"}}}, dataset.ErrQuery, []string{`"nope"`, "caption"}},
		"words in numbers":    {search.Query{Table: "item", Words: &search.Words{Text: "a", Columns: []string{"group"}}}, dataset.ErrQuery, []string{`"group"`, "want texts"}},
		"words, no table":     {search.Query{Words: &search.Words{Text: "a", Table: "nope"}}, dataset.ErrNotFound, []string{"nope"}},
		"no words":            {search.Query{Table: "item", Words: &search.Words{Text: "?!"}}, dataset.ErrQuery, []string{"no words"}},
		"too fuzzy":           {search.Query{Table: "item", Words: &search.Words{Text: "a", Fuzziness: 3}}, dataset.ErrQuery, []string{"fuzziness: 3"}},
		"fuzzy phrase":        {search.Query{Table: "item", Words: &search.Words{Text: "a", Fuzziness: 1, Phrase: true}}, dataset.ErrQuery, []string{"phrase"}},
		"words' weight":       {search.Query{Table: "item", Words: &search.Words{Text: "a", Weight: -1}}, dataset.ErrQuery, []string{"words.weight"}},
	} {
		for verb, run := range map[string]func() error{
			"search":  func() error { _, err := p.s.Search(t.Context(), test.q); return err },
			"explain": func() error { _, err := p.s.Explain(t.Context(), test.q); return err },
		} {
			err := run()
			if err == nil {
				t.Errorf("%s, %s: got no error", name, verb)
				continue
			}
			t.Logf("%s: %v", name, err)
			wantError(t, err, test.kind, test.parts...)
			if _, ok := errors.AsType[*dataset.Error](err); !ok || strings.Contains(err.Error(), ".rs:") {
				t.Errorf("%s: %v is no *dataset.Error", name, err)
			}
		}
	}
	for name, test := range map[string]struct {
		index dataset.Index
		kind  error
		part  string
	}{
		"no table":       {dataset.Index{}, dataset.ErrNotFound, "no such table"},
		"unknown table":  {dataset.Index{Table: "nope"}, dataset.ErrNotFound, "nope"},
		"unknown column": {dataset.Index{Table: "vectors", Column: "nope"}, dataset.ErrQuery, "nope"},
		"number":         {dataset.Index{Table: "item", Column: "group"}, dataset.ErrQuery, "want vectors or texts"},
		"no vectors":     {dataset.Index{Table: "item"}, dataset.ErrQuery, "name the column"},
		"type":           {dataset.Index{Table: "vectors", Type: "HASH"}, dataset.ErrQuery, "HASH"},
		"type of texts":  {dataset.Index{Table: "item", Column: "caption", Type: dataset.IVFPQ}, dataset.ErrQuery, "FTS"},
		"metric":         {dataset.Index{Table: "vectors", Metric: "l3"}, dataset.ErrQuery, "l3"},
		"divisor":        {dataset.Index{Table: "vectors", SubVectors: 5}, dataset.ErrQuery, "divisor"},
		"bits":           {dataset.Index{Table: "vectors", Bits: 3}, dataset.ErrQuery, "bits"},
		"negative":       {dataset.Index{Table: "vectors", Partitions: -1}, dataset.ErrQuery, "partitions"},
		"too few rows":   {dataset.Index{Table: "vectors", Type: dataset.IVFPQ}, dataset.ErrQuery, "256"},
		"tokenizer":      {dataset.Index{Table: "item", Column: "caption", Tokens: &dataset.Tokens{Tokenizer: "x"}}, dataset.ErrQuery, "tokenizer"},
		"language":       {dataset.Index{Table: "item", Column: "caption", Tokens: &dataset.Tokens{Language: "Klingon"}}, dataset.ErrQuery, "Klingon"},
	} {
		_, err := p.s.CreateIndex(t.Context(), test.index, nil)
		t.Logf("%s: %v", name, err)
		wantError(t, err, test.kind, test.part)
	}
	if infos, err := p.s.Indexes(t.Context(), ""); err != nil || len(infos) != 0 {
		t.Errorf("after mistakes only: got %+v (%v)", infos, err)
	}
	_, err := p.s.Indexes(t.Context(), "nope")
	wantError(t, err, dataset.ErrNotFound, "nope")
	_, err = p.s.Semantic(t.Context(), "x", "item", 3)
	wantError(t, err, dataset.ErrQuery, "view embeddings")
	_, err = p.s.Semantic(t.Context(), "x", "vectors", 0)
	wantError(t, err, dataset.ErrQuery, "limit: 0")
	_, err = p.s.Recall(t.Context(), "item", nil)
	wantError(t, err, dataset.ErrQuery, "vector")
	if got, err := p.s.Search(t.Context(), search.Query{Table: "vectors", Vector: one, Limit: math.MaxInt, Offset: 3}); err != nil || len(got.Hits) != 47 {
		t.Errorf("a huge limit: got %d hits (%v)", len(got.Hits), err)
	}
}

// TestFunctions: what a table's metadata says of the function of its vectors decides who may search it by text.
func TestFunctions(t *testing.T) {
	p := makePhotos(t, 10)
	ctx := t.Context()
	wantError(t, search.SetFunction(ctx, p.Dataset, "vectors", toy{1}), dataset.ErrQuery, "8 values", "16")
	wantError(t, search.SetFunction(ctx, p.Dataset, "nope", toy{1}), dataset.ErrNotFound, "nope")
	for name, metadata := range map[string]string{"no JSON": "{", "two functions": `[{"name":"a"},{"name":"b"}]`, "no name": `[{"model":{}}]`} {
		if err := p.SetTableMetadata(ctx, "vectors", map[string]string{"embedding_functions": metadata}); err != nil {
			t.Fatal(err)
		}
		_, err := p.s.Search(ctx, search.Query{Table: "vectors", Text: "car"})
		t.Logf("%s: %v", name, err)
		wantError(t, err, dataset.ErrSchema, "embedding_functions")
		if got, err := p.s.Search(ctx, search.Query{Table: "vectors", Vector: p.rows[0].Vector[:], Limit: 1}); err != nil || got.Hits[0].ItemID != "item_00000" {
			t.Errorf("%s: searching by a vector needs no function: got %+v (%v)", name, got, err)
		}
	}

	golden := openGolden(t, "image_detection")
	for name, test := range map[string]struct {
		s     *search.Searcher
		table string
		part  string // of the error; "": there is none
	}{
		"the function":        {search.New(golden, toy{2}), "toy_embedding", ""},
		"by the registry":     {search.New(golden, nil).WithModels(toys), "toy_embedding", ""},
		"another's argument":  {search.New(golden, toy{3}), "toy_embedding", "scale 2, not 3"},
		"rather the registry": {search.New(golden, toy{3}).WithModels(toys), "toy_embedding", ""},
		"nobody":              {search.New(golden, nil), "toy_embedding", `"toy-bytes"`},
		"of another length":   {search.New(golden, toy{1}), "image_embedding", "8 values"},
	} {
		got, err := test.s.Search(ctx, search.Query{Table: test.table, Text: "30x25", Limit: 1})
		if test.part != "" {
			wantError(t, err, dataset.ErrQuery, test.part)
		} else if err != nil || len(got.Hits) != 1 {
			t.Errorf("%s: got %+v (%v)", name, got, err)
		}
	}
}
