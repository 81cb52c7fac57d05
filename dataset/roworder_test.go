package dataset

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pixano/schema"
)

type sortable struct {
	schema.Item
	Text   string
	Number int64
	Real   float64
	Sure   bool
	When   time.Time
}

// TestOrderInMemory: pages of a table in memory are those that the engine sorts, for every type of column, also after
// rows were changed and deleted; and so is the whole table.
func TestOrderInMemory(t *testing.T) {
	if _, err := Engine(); err != nil {
		t.Skipf("no storage engine here: %v", err)
	}
	ctx := t.Context()
	ds, err := Create(ctx, filepath.Join(t.TempDir(), "sorted"), sortable{}, Info{Name: "sorted"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	random := rand.New(rand.NewPCG(5, 9))
	draw := func(id string) sortable {
		reals := []float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), 1.5, -1.5}
		real := reals[random.IntN(len(reals))]
		return sortable{schema.Item{ID: id, Split: []string{"train", "val"}[random.IntN(2)]}, []string{"", "a", "B", "é", "zz"}[random.IntN(5)],
			random.Int64N(7) - 3, real, random.IntN(2) == 0,
			time.Date(2020+random.IntN(3), 1, 1, 0, 0, 0, 0, time.UTC)}
	}
	var rows []sortable
	for i := range 300 {
		rows = append(rows, draw(fmt.Sprintf("item-%04d", i)))
	}
	if err := ds.Add(ctx, "item", rows); err != nil {
		t.Fatal(err)
	}
	orders := []string{"split", "text desc", "number", "sure desc, number desc", "real", "real desc", "real desc, text", "sure", "sure desc",
		"when desc, split", "id desc"}
	for step := range 4 {
		for range 2 { // before the table is in memory, and then
			for _, order := range orders {
				read := func(limit int) []string {
					t.Helper()
					var rows []sortable
					if err := ds.Get(ctx, "item", &rows, Query{OrderBy: order, Limit: limit, Offset: 30}); err != nil {
						t.Fatal(err)
					}
					ids := make([]string, len(rows))
					for i := range rows {
						ids[i] = rows[i].ID
					}
					return ids
				}
				engine := read(takeRows + 1) // too large a page to be taken from memory
				if got := read(60); !slices.Equal(got, engine[:60]) {
					t.Fatalf("step %d, by %s: got %q, want %q", step, order, got, engine[:60])
				}
			}
		}
		table, _, err := ds.handle(ctx, "test", "item")
		if err != nil {
			t.Fatal(err)
		}
		version, err := table.Version(ctx)
		if err != nil {
			t.Fatal(err)
		}
		columns, err := table.Schema(ctx)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parseOrder("split", columns)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok, err := ds.cache.ordered(ctx, table, version, parsed, 0, 1); !ok || err != nil {
			t.Fatalf("step %d: the table is not in memory (%v)", step, err)
		}
		var all []sortable
		if err := ds.Get(ctx, "item", &all, Query{}); err != nil {
			t.Fatal(err)
		}
		ids, err := ds.IDs(ctx, "item", Query{Where: "id <> ''"})
		if err != nil {
			t.Fatal(err)
		}
		for i := range all {
			if len(ids) != len(all) || all[i].ID != ids[i] {
				t.Fatalf("step %d: %d rows in memory, %d in the table, of which number %d is %q", step, len(all), len(ids), i, all[i].ID)
			}
		}
		// The next step.
		var changed []sortable
		for i := range 20 {
			changed = append(changed, draw(fmt.Sprintf("item-%04d", 100*step+5*i)))
		}
		if step == 1 {
			if _, err := ds.Delete(ctx, "item", ids[3], ids[77], ids[200]); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if _, err := ds.Update(ctx, "item", changed); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDeepPage: the first page that an order is asked for is taken from memory if it is deep.
func TestDeepPage(t *testing.T) {
	path := generated(t, 80).Path()
	for _, c := range []struct {
		offset int
		want   bool
	}{{0, false}, {40, true}} {
		ds, err := Open(t.Context(), path, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer ds.Close()
		// Few rows alone would be read into memory after any read.
		ds.cache.table("item").taken = -1
		if err := ds.Get(t.Context(), "item", new([]schema.Item), Query{OrderBy: "split desc", Limit: 1, Offset: c.offset}); err != nil {
			t.Fatal(err)
		}
		if got := ds.cache.table("item").top != 0; got != c.want {
			t.Errorf("after a page from %d on: in memory %v, want %v", c.offset, got, c.want)
		}
	}
}
