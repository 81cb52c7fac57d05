package search_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pixano/dataset"
	"pixano/features"
	"pixano/schema"
	"pixano/search"
)

// TestVectorsInMemory: searches give what is in the table after every kind of change, made by this handle of the dataset or
// by another one, whatever was read of the vectors before.
func TestVectorsInMemory(t *testing.T) {
	p := makePhotos(t, 300)
	ctx := t.Context()
	other, err := dataset.Open(ctx, p.Path(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { other.Close() }()
	random := rand.New(rand.NewPCG(8, 1))
	rows := map[string]vector16{}
	for _, row := range p.rows {
		rows[row.ID] = row
	}
	check := func(step string) {
		t.Helper()
		query := vectorOf(random, random.IntN(20))
		for name, q := range map[string]search.Query{
			"items":       {Ranking: true},
			"rows":        {Ranking: true, ByRow: true},
			"some rows":   {ByRow: true, Filter: dataset.Query{Where: "kind = 'part'"}},
			"some items":  {Filter: dataset.Query{Has: []dataset.Has{{Table: "objects", Not: true}}}},
			"the nearest": {Limit: 5, ByRow: true},
			"by cosine":   {Limit: 5, Metric: dataset.Cosine},
		} {
			q.Table, q.Vector = "vectors", query[:]
			var want []search.Hit
			for _, row := range rows {
				if strings.HasPrefix(name, "some") && (q.ByRow && row.Kind != "part" || !q.ByRow && has(row.ItemRef.ID)) {
					continue
				}
				metric := cmp.Or(q.Metric, dataset.L2)
				want = append(want, search.Hit{ItemID: row.ItemRef.ID, ID: row.ID, Distance: distance(metric, query[:], row.Vector[:])})
			}
			slices.SortFunc(want, func(a, b search.Hit) int {
				return cmp.Or(cmp.Compare(a.Distance, b.Distance), cmp.Compare(a.ID, b.ID))
			})
			if !q.ByRow {
				seen := map[string]bool{}
				want = slices.DeleteFunc(want, func(h search.Hit) bool {
					again := seen[h.ItemID]
					seen[h.ItemID] = true
					return again
				})
			}
			if q.Limit > 0 {
				want = want[:min(q.Limit, len(want))]
			}
			got, err := p.s.Search(ctx, q)
			if err != nil {
				t.Fatalf("%s, %s: %v", step, name, err)
			}
			if len(got.Hits) != len(want) {
				t.Fatalf("%s, %s: got %d hits, want %d", step, name, len(got.Hits), len(want))
			}
			for i, hit := range got.Hits {
				if diff := hit.Distance - want[i].Distance; diff > 1e-3 || diff < -1e-3 {
					t.Fatalf("%s, %s, hit %d: got %+v, want %+v", step, name, i, hit, want[i])
				}
				key := hit.ID
				if !q.ByRow {
					key = hit.ItemID
				}
				if q.Ranking && got.Ranking[i] != key {
					t.Fatalf("%s, %s: %q is ranked, %q is the hit", step, name, got.Ranking[i], key)
				}
			}
		}
	}
	check("at first")
	check("again")
	made := 0
	fresh := func() vector16 {
		made++
		row := vector16{Vector: vectorOf(random, made), Kind: []string{"whole", "part"}[made%2]}
		row.ID, row.ItemRef = fmt.Sprintf("made_%d", made), features.Item(fmt.Sprintf("item_%05d", random.IntN(300)))
		return row
	}
	pick := func() string { return slices.Sorted(maps.Keys(rows))[random.IntN(len(rows))] }
	for i := range 40 {
		ds, by := p.Dataset, "here"
		if random.IntN(3) == 0 {
			ds, by = other, "elsewhere"
		}
		var step string
		var err error
		switch kind := random.IntN(10); {
		case kind < 3:
			step = "added"
			row := fresh()
			rows[row.ID] = row
			err = ds.Add(ctx, "vectors", []vector16{row})
		case kind < 6:
			step = "updated"
			row := rows[pick()]
			row.Vector = vectorOf(random, i)
			rows[row.ID] = row
			_, err = ds.Update(ctx, "vectors", []vector16{row})
		case kind < 8:
			step = "deleted"
			doomed := []string{pick()}
			for range random.IntN(40) {
				doomed = append(doomed, pick())
			}
			for _, id := range doomed {
				delete(rows, id)
			}
			_, err = ds.Delete(ctx, "vectors", slices.Compact(slices.Sorted(slices.Values(doomed)))...)
		case kind < 9:
			step = "optimized"
			_, err = ds.Optimize(ctx)
		default:
			step = "made anew"
			clear(rows)
			var list []vector16
			for range 150 {
				row := fresh()
				rows[row.ID] = row
				list = append(list, row)
			}
			if err = other.Close(); err == nil {
				err = p.DropTable(ctx, "vectors")
			}
			if err == nil {
				err = p.CreateTable(ctx, "vectors", vector16{}, schema.ManyToOne)
			}
			// Commits that leave addresses as they are, up to a version beyond that of the table before.
			for part := range slices.Chunk(list, 5) {
				if err == nil {
					err = p.Add(ctx, "vectors", part)
				}
			}
			if err == nil {
				other, err = dataset.Open(ctx, p.Path(), nil)
			}
		}
		if err != nil {
			t.Fatalf("%d, %s %s: %v", i, step, by, err)
		}
		check(fmt.Sprintf("%d, %s %s", i, step, by))
	}
}

// has reports whether an item of makePhotos has objects.
func has(item string) bool {
	var n int
	fmt.Sscanf(item, "item_%d", &n)
	return n%4 == 0
}
