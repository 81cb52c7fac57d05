package dataset

import (
	"fmt"
	"path/filepath"
	"testing"

	"pixano/features"
	"pixano/schema"
)

// crowdObject is the class of the objects that facets are measured on.
type crowdObject struct {
	schema.Entity
	Category string
	Score    float64
	Rank     int64
	Crowd    bool
	Tags     []string
}

type crowdItem struct {
	schema.Item
	Objects []crowdObject
}

// crowded creates a dataset of items with five objects each.
func crowded(t testing.TB, items int) *Dataset {
	t.Helper()
	ds, err := Create(t.Context(), filepath.Join(t.TempDir(), "crowd"), crowdItem{}, Info{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ds.Close() })
	rows := make([]schema.Item, items)
	for i := range rows {
		rows[i] = schema.NewItem(fmt.Sprintf("item-%08d", i))
		rows[i].Split = []string{"train", "train", "val"}[i%3]
	}
	store(t, ds, "item", rows)
	n := 0
	for at := 0; at < items; at += 20_000 {
		var objects []crowdObject
		for i := at; i < min(at+20_000, items); i++ {
			for range 5 {
				n++
				objects = append(objects, crowdObject{
					Entity:   schema.Entity{ID: fmt.Sprintf("object-%09d", n), ItemRef: features.Item(rows[i].ID)},
					Category: fmt.Sprintf("category %d", n*7919%83), Score: float64(n*7919%100_003) / 100_003, Rank: int64(n % 40),
					Crowd: n%17 == 0, Tags: []string{"night", fmt.Sprintf("tag %d", n%11)}[:n%3],
				})
			}
		}
		store(t, ds, "objects", objects)
	}
	return ds
}

// BenchmarkFacet counts over 1,000,000 objects of 200,000 items.
func BenchmarkFacet(b *testing.B) {
	ds := crowded(b, 200_000)
	for _, test := range []struct {
		name, field string
		q           Query
		opts        FacetOptions
	}{
		{name: "text", field: "category"},
		{name: "text with filter", field: "category", q: Query{Where: "score > 0.5"}},
		{name: "text by split", field: "category", opts: FacetOptions{BySplit: true}},
		{name: "text of items that have", field: "category", q: Query{Has: []Has{{Table: "item", Where: "split = 'val'"}}}},
		{name: "histogram", field: "score"},
		{name: "histogram with filter", field: "score", q: Query{Where: "category = 'category 7'"}},
		{name: "histogram by split", field: "score", opts: FacetOptions{BySplit: true}},
		{name: "integer", field: "rank"},
		{name: "boolean", field: "crowd"},
		{name: "list", field: "tags"},
		{name: "time", field: "created_at"},
		{name: "reference", field: "item_ref.id"},
		{name: "unique", field: "id"},
	} {
		b.Run(test.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := ds.Facet(b.Context(), "objects", test.field, test.q, &test.opts); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for _, query := range []string{
		"SELECT category, count(*) AS n FROM objects GROUP BY category",
		"SELECT split, category, count(*) AS n FROM objects o JOIN item i ON o.item_ref.id = i.id GROUP BY split, category",
	} {
		b.Run("SQL "+query, func(b *testing.B) {
			for b.Loop() {
				r, err := ds.SQL(b.Context(), query)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := r.Collect(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	page, err := ds.IDs(b.Context(), "item", Query{Limit: 50, Offset: 100_000})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("objects of a page of 50 items", func(b *testing.B) {
		for b.Loop() {
			if _, err := ds.ItemCounts(b.Context(), page); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, q := range []Query{
		{Limit: 50, Has: []Has{{Table: "objects", Where: "category = 'category 7' AND score > 0.9"}}},
		{Limit: 50, OrderBy: "id desc", Has: []Has{{Table: "objects", Where: "category = 'category 7'", Not: true}}},
	} {
		b.Run("page of items that have objects "+q.OrderBy, func(b *testing.B) {
			for b.Loop() {
				if _, err := ds.IDs(b.Context(), "item", q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
