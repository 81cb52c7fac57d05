package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pixano/features"
	"pixano/schema"
)

// fair is a dataset whose columns have values of every kind that has a facet, in an order that is not that of the items.
type fair struct {
	schema.Item
	Weather string
	Stalls  []stall
}

type stall struct {
	schema.Entity
	Kind  string
	Price float64
	Open  bool
	Seats int64
	Since time.Time
	Tags  []string
	Marks []int64
	Photo []byte
}

func newFair(t testing.TB, items, stalls int, r *rand.Rand) *Dataset {
	t.Helper()
	ds, err := Create(t.Context(), t.TempDir()+"/fair", fair{}, Info{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ds.Close() })
	type row struct {
		schema.Item
		Weather string
	}
	rows := make([]row, items)
	for i := range rows {
		rows[i] = row{schema.NewItem(fmt.Sprintf("i%d", i)), []string{"sun", "rain", "fög"}[r.IntN(3)]}
		rows[i].Split = []string{"train", "val", "test"}[r.IntN(3)]
	}
	store(t, ds, "item", rows)
	all := make([]stall, stalls)
	for i := range all {
		s := stall{
			Entity: schema.Entity{ID: fmt.Sprintf("s%d", i), ItemRef: features.Item(fmt.Sprintf("i%d", r.IntN(items+1)))}, // one is not there
			Kind:   strings.Repeat("k", r.IntN(4)), Price: float64(r.IntN(40)) / 8, Open: r.IntN(3) == 0, Seats: int64(r.IntN(9) - 4),
			Since: time.Date(2020, 1, 1+r.IntN(400), 0, 0, 0, 0, time.UTC),
		}
		for range r.IntN(3) {
			s.Tags = append(s.Tags, string(rune('a'+r.IntN(5))))
			s.Marks = append(s.Marks, int64(r.IntN(100)))
		}
		if r.IntN(10) == 0 {
			s.Price = math.NaN()
		}
		all[i] = s
	}
	store(t, ds, "stalls", all)
	return ds
}

// elements returns the values of a field of a row: of a list all.
func elements(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []string:
		return boxed(v)
	case []int64:
		return boxed(v)
	}
	return []any{v}
}

func boxed[T any](list []T) []any {
	values := make([]any, len(list))
	for i, v := range list {
		values[i] = v
	}
	return values
}

// TestFacetModel compares facets with counts of the rows one by one.
func TestFacetModel(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 4))
	ds := newFair(t, 60, 700, r)
	ctx := t.Context()
	split, weather := map[string]string{}, map[string]string{}
	for row, err := range ds.Rows(ctx, "item", Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		split[row.ID()], _ = row.Value("split").(string)
		weather[row.ID()], _ = row.Value("weather").(string)
	}
	stalls := map[string]int{}
	var rows []Row
	for row, err := range ds.Rows(ctx, "stalls", Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		stalls[row.Value("item_ref.id").(string)]++
		rows = append(rows, row)
	}
	selections := []struct {
		q    Query
		keep func(Row) bool
	}{
		{Query{}, func(Row) bool { return true }},
		{Query{Where: "seats > ? AND kind <> ''", Args: []any{0}}, func(r Row) bool { return r.Value("seats").(int64) > 0 && r.Value("kind") != "" }},
		{Query{ItemIDs: []string{"i3", "i4", "nobody"}}, func(r Row) bool { id := r.Value("item_ref.id"); return id == "i3" || id == "i4" }},
		{Query{Has: []Has{{Table: "item", Where: "weather = 'rain'"}}}, func(r Row) bool { return weather[r.Value("item_ref.id").(string)] == "rain" }},
		{Query{Has: []Has{{Table: "item", Where: "split = ?", Args: []any{"val"}, Not: true}}, Where: "open"},
			func(r Row) bool { return split[r.Value("item_ref.id").(string)] != "val" && r.Value("open") == true }},
		{Query{IDs: []string{}}, func(Row) bool { return false }},
	}
	for _, field := range []string{"kind", "price", "open", "seats", "since", "tags", "marks", "item_ref.id", "id", "created_at"} {
		for i, selection := range selections {
			for _, kind := range []FacetKind{"", Categorical} {
				for _, bySplit := range []bool{false, true} {
					f, err := ds.Facet(ctx, "stalls", field, selection.q, &FacetOptions{Kind: kind, BySplit: bySplit, Values: -1, Bins: 7})
					if err != nil {
						t.Fatal(err)
					}
					var want Facet
					type tally struct {
						all     int64
						bySplit map[string]int64
					}
					counts := map[any]*tally{}
					for _, row := range rows {
						if !selection.keep(row) {
							continue
						}
						want.Rows++
						values := elements(row.Value(field))
						if len(values) == 0 {
							want.Missing++
						}
						for _, v := range values {
							want.Count++
							if f, ok := v.(float64); ok && math.IsNaN(f) {
								want.NaN++
								continue
							}
							if counts[v] == nil {
								counts[v] = &tally{bySplit: map[string]int64{}}
							}
							counts[v].all++
							counts[v].bySplit[split[row.Value("item_ref.id").(string)]]++
						}
					}
					name := fmt.Sprintf("%s, selection %d, kind %q, by split %v", field, i, kind, bySplit)
					if d := cmp.Diff([]int64{want.Rows, want.Missing, want.Count, want.NaN}, []int64{f.Rows, f.Missing, f.Count, f.NaN}); d != "" {
						t.Fatalf("%s: rows, missing, values, NaN (-want +got):\n%s", name, d)
					}
					if bySplit && want.Rows > 0 && i == 0 {
						if d := cmp.Diff([]string{"", "test", "train", "val"}, f.Splits); d != "" {
							t.Errorf("%s: splits (-want +got):\n%s", name, d)
						}
					}
					check := func(what any, count int64, splits map[string]int64, of *tally) {
						t.Helper()
						if count != of.all {
							t.Errorf("%s: %v occurs %d times, want %d", name, what, count, of.all)
						}
						if d := cmp.Diff(of.bySplit, splits); bySplit && of.all > 0 && d != "" || !bySplit && splits != nil {
							t.Errorf("%s: %v by split (-want +got):\n%s", name, what, d)
						}
					}
					if f.Kind == Categorical || f.Type == "int" {
						if f.Distinct != len(counts) || len(f.Values) != len(counts) || f.Other != 0 || f.More {
							t.Fatalf("%s: %d values, %d listed, %d others: want %d", name, f.Distinct, len(f.Values), f.Other, len(counts))
						}
						for j, v := range f.Values {
							check(v.Value, v.Count, v.Splits, counts[v.Value])
							if j > 0 && f.Values[j-1].Count < v.Count {
								t.Errorf("%s: %v stands after %v", name, v, f.Values[j-1])
							}
						}
					}
					if f.Kind != Numerical || want.Count == want.NaN {
						continue
					}
					number := func(v any) float64 {
						switch v := v.(type) {
						case int64:
							return float64(v)
						case time.Time:
							return float64(v.UnixMicro())
						}
						return v.(float64)
					}
					low, high := math.Inf(1), math.Inf(-1)
					for v := range counts {
						low, high = min(low, number(v)), max(high, number(v))
					}
					if number(f.Min) != low || number(f.Max) != high {
						t.Errorf("%s: from %v to %v, want %v to %v", name, f.Min, f.Max, low, high)
					}
					for j, b := range f.Bins {
						in := &tally{bySplit: map[string]int64{}}
						for v, n := range counts {
							x := number(v)
							if x >= number(b.Start) && (x < number(b.End) || j == len(f.Bins)-1 && x == number(b.End)) {
								in.all += n.all
								for s, m := range n.bySplit {
									in.bySplit[s] += m
								}
							}
						}
						check(b, b.Count, b.Splits, in)
					}
					if len(f.Bins) != 7 {
						t.Errorf("%s: %d bins, want 7", name, len(f.Bins))
					}
				}
			}
		}
	}
	// Of an item table the splits are its own.
	f, err := ds.Facet(ctx, "item", "weather", Query{Has: []Has{{Table: "stalls", Where: "open"}}}, &FacetOptions{BySplit: true})
	if err != nil {
		t.Fatal(err)
	}
	open := map[string]bool{}
	for _, row := range rows {
		if row.Value("open") == true {
			open[row.Value("item_ref.id").(string)] = true
		}
	}
	want := map[string]map[string]int64{}
	for id := range split {
		if open[id] {
			if want[weather[id]] == nil {
				want[weather[id]] = map[string]int64{}
			}
			want[weather[id]][split[id]]++
		}
	}
	got := map[string]map[string]int64{}
	for _, v := range f.Values {
		got[v.Value.(string)] = v.Splits
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("weather of items with an open stall, by split (-want +got):\n%s", d)
	}
	counts, err := ds.ItemCounts(ctx, []string{"i5", "nobody", "i0", "i5"})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string][]int64{"stalls": {int64(stalls["i5"]), 0, int64(stalls["i0"]), int64(stalls["i5"])}}, counts); d != "" {
		t.Errorf("rows of items (-want +got):\n%s", d)
	}
}

// TestHasModel compares pages and counts of rows by what other tables have of their items with a count one by one.
func TestHasModel(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	ds := newFair(t, 80, 200, r)
	ctx := t.Context()
	var items, stalls []Row
	for table, rows := range map[string]*[]Row{"item": &items, "stalls": &stalls} {
		if err := ds.Get(ctx, table, rows, Query{}); err != nil {
			t.Fatal(err)
		}
	}
	open, weather := map[string]bool{}, map[string]string{}
	for _, s := range stalls {
		open[s.Value("item_ref.id").(string)] = open[s.Value("item_ref.id").(string)] || s.Value("open") == true
	}
	for _, i := range items {
		weather[i.ID()] = i.Value("weather").(string)
	}
	for _, test := range []struct {
		table string
		has   []Has
		keep  func(item string) bool
	}{
		{"item", []Has{{Table: "stalls", Where: "open"}}, func(id string) bool { return open[id] }},
		{"item", []Has{{Table: "stalls", Not: true}}, func(id string) bool { _, any := open[id]; return !any }},
		{"item", []Has{{Table: "stalls", Where: "open"}, {Table: "item", Where: "weather = ?", Args: []any{"sun"}}},
			func(id string) bool { return open[id] && weather[id] == "sun" }},
		{"stalls", []Has{{Table: "item", Where: "weather = 'rain'"}}, func(id string) bool { return weather[id] == "rain" }},
	} {
		of := func(r Row) string {
			if test.table == "item" {
				return r.ID()
			}
			return r.Value("item_ref.id").(string)
		}
		all := map[string][]Row{"item": items, "stalls": stalls}[test.table]
		var want []string
		for _, row := range all {
			if test.keep(of(row)) {
				want = append(want, row.ID())
			}
		}
		n, err := ds.Count(ctx, test.table, Query{Has: test.has, Limit: 3})
		if err != nil || n != int64(len(want)) {
			t.Errorf("%v: %d rows of %s (%v), want %d", test.has, n, test.table, err, len(want))
		}
		ids, err := ds.IDs(ctx, test.table, Query{Has: test.has, Offset: 2, Limit: 4})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want[2:6], ids); d != "" {
			t.Errorf("%v: a page (-want +got):\n%s", test.has, d)
		}
		if ids, err = ds.IDs(ctx, test.table, Query{Has: test.has, OrderBy: "id desc"}); err != nil {
			t.Fatal(err)
		}
		sorted := slices.Clone(want)
		slices.Sort(sorted)
		slices.Reverse(sorted)
		if d := cmp.Diff(sorted, ids); d != "" {
			t.Errorf("%v: sorted (-want +got):\n%s", test.has, d)
		}
		var rows []Row
		if err := ds.Get(ctx, test.table, &rows, Query{Has: test.has, Where: "id <> ?", Args: []any{want[0]}, IDs: want[:5]}); err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, row := range rows {
			got = append(got, row.ID())
		}
		if d := cmp.Diff(want[1:5], got); d != "" {
			t.Errorf("%v: with other conditions (-want +got):\n%s", test.has, d)
		}
	}
	// In the order of numbers of rows.
	perItem := map[string]int{}
	for _, s := range stalls {
		perItem[s.Value("item_ref.id").(string)]++
	}
	var want []string
	for _, i := range items {
		if open[i.ID()] {
			want = append(want, i.ID())
		}
	}
	slices.SortStableFunc(want, func(a, b string) int { return perItem[b] - perItem[a] })
	selected, err := ItemsOf[fair](ds)
	if err != nil {
		t.Fatal(err)
	}
	found, err := selected.Has("stalls", "open").OrderBy("#stalls desc").Limit(9).Slice(ctx)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, f := range found {
		got = append(got, f.ID)
		if !slices.ContainsFunc(f.Stalls, func(s stall) bool { return s.Open }) {
			t.Errorf("%s has no open stall", f.ID)
		}
	}
	if d := cmp.Diff(want[:9], got); d != "" {
		t.Errorf("by number of stalls (-want +got):\n%s", d)
	}
	for has, text := range map[*Has]string{
		{Table: "nothing"}:                 `count item: has: no such table`,
		{Table: "stalls", Where: "nope"}:   `no column "nope"`,
		{Table: "source"}:                  `belong to no item`,
		{Table: "stalls", Where: "open; "}: `unexpected ';'`,
	} {
		_, err := ds.Count(ctx, "item", Query{Has: []Has{*has}})
		if err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(text, "count item: has: ")) {
			t.Errorf("%v: error %v, want %s", *has, err, text)
		}
	}
}

func TestFacetBounds(t *testing.T) {
	ds := crowded(t, 20_000) // 100,000 objects
	ctx := t.Context()
	f, err := ds.Facet(ctx, "objects", "id", Query{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !f.More || f.Distinct != MaxFacetValues || len(f.Values) != defaultFacetValues || f.Other != 100_000-defaultFacetValues {
		t.Errorf("unique values: %d told apart (more: %v), %d listed, %d others", f.Distinct, f.More, len(f.Values), f.Other)
	}
	f, err = ds.Facet(ctx, "objects", "rank", Query{}, &FacetOptions{Range: &[2]float64{10, 19}, Bins: 9})
	if err != nil {
		t.Fatal(err)
	}
	if f.Count != 100_000 || f.Outside != 75_000 || len(f.Bins) != 9 || f.Bins[0].Count != 2500 || f.Bins[8].Count != 5000 {
		t.Errorf("range 10 to 19 of 0 to 39: %+v", f)
	}
	if len(f.Values) != 40 || f.Distinct != 40 {
		t.Errorf("%d values of %d, want 40", len(f.Values), f.Distinct)
	}
	constant, err := ds.Facet(ctx, "objects", "rank", Query{Where: "rank = 3"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if first, last := constant.Bins[0], constant.Bins[9]; first.Start != 2.5 || last.End != 3.5 || constant.Bins[5].Count != constant.Count {
		t.Errorf("one value: %+v", constant)
	}
	text, err := json.Marshal(constant)
	if err != nil || !strings.Contains(string(text), `"min":3,"max":3,"bins":[{"start":2.5,"end":2.6,"count":0}`) {
		t.Errorf("%s (%v)", text, err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := ds.Facet(cancelled, "objects", "rank", Query{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestFacetErrors(t *testing.T) {
	ds := newFair(t, 3, 9, rand.New(rand.NewPCG(1, 1)))
	for _, test := range []struct {
		table, field string
		q            Query
		opts         FacetOptions
		want         string
	}{
		{table: "nothing", field: "kind", want: `facet nothing: no such table: want one of`},
		{table: "stalls", field: "knd", want: `facet stalls: knd: no column "knd": want one of id,`},
		{table: "stalls", field: "item_ref", want: `item_ref: values of type struct<name: utf8, id: utf8> have no facet: want one of its fields, such as item_ref.id`},
		{table: "stalls", field: "photo", want: `photo: values of type binary have no facet`},
		{table: "stalls", field: "kind", opts: FacetOptions{Kind: Numerical}, want: `values of type str have no histogram`},
		{table: "stalls", field: "kind", opts: FacetOptions{Kind: "pie"}, want: `kind "pie": want categorical or numerical`},
		{table: "stalls", field: "price", opts: FacetOptions{Bins: -1}, want: `-1 bins: want 1 to 10000`},
		{table: "stalls", field: "price", opts: FacetOptions{Range: &[2]float64{2, 1}}, want: `range 2 to 1: want two finite numbers, the least first`},
		{table: "stalls", field: "price", q: Query{Where: "prices > 1"}, want: `where: at 0: no column "prices"`},
	} {
		_, err := ds.Facet(t.Context(), test.table, test.field, test.q, &test.opts)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %s: error %v, want %s", test.table, test.field, err, test.want)
			continue
		}
		if !errors.Is(err, ErrQuery) && !errors.Is(err, ErrNotFound) {
			t.Errorf("%v is no error of a query", err)
		}
	}
	if _, err := ds.ItemCounts(t.Context(), []string{"i0"}, "nothing"); !errors.Is(err, ErrNotFound) {
		t.Errorf("counts of an unknown table: %v", err)
	}
}
