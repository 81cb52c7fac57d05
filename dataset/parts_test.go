package dataset

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pixano/schema"
)

// TestReadInParts finds rows of a table that is read in parts by its index and in memory, after rows of its first part went.
func TestReadInParts(t *testing.T) {
	const items = 30_000
	ds := crowded(t, items) // 150,000 objects
	ctx := t.Context()
	gone := map[string]bool{}
	for n := 3; n < 5_000; n += 7 {
		gone[fmt.Sprintf("object-%09d", n)] = true
	}
	var ids []string
	for id := range gone {
		ids = append(ids, id)
	}
	if missing, err := ds.Delete(ctx, "objects", ids...); err != nil || len(missing) > 0 {
		t.Fatalf("%d are missing (%v)", len(missing), err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 4 { // a scan, then with an index, then in memory
		var wanted, want []string
		for n := range 5 * items {
			if random.IntN(100) > 0 {
				continue
			}
			id := fmt.Sprintf("object-%09d", n+1)
			if wanted = append(wanted, id); !gone[id] {
				want = append(want, id)
			}
		}
		var got []crowdObject
		if err := ds.Get(ctx, "objects", &got, Query{IDs: wanted}); err != nil {
			t.Fatal(err)
		}
		found := make([]string, len(got))
		for i, o := range got {
			if found[i] = o.ID; o.ItemRef.ID != itemOf(o.ID) {
				t.Fatalf("%s is of %s, want %s", o.ID, o.ItemRef.ID, itemOf(o.ID))
			}
		}
		if slices.Sort(found); !slices.Equal(found, want) {
			t.Fatalf("found %d of %d rows, want %d", len(found), len(wanted), len(want))
		}
	}
	cached := ds.cache.table("objects")
	if rows := 5*items - len(gone); cached.refused || cached.rows() != rows {
		t.Errorf("%d rows are in memory (refused: %v), want %d", cached.rows(), cached.refused, rows)
	}
}

// itemOf is the item of an object of a crowd.
func itemOf(object string) string {
	var n int
	fmt.Sscanf(object, "object-%d", &n)
	return fmt.Sprintf("item-%08d", (n-1)/5)
}

// TestTooLargeForMemory reads rows of a table that would not fit into the memory for tables.
func TestTooLargeForMemory(t *testing.T) {
	type wide struct {
		schema.Item
		Text string
	}
	ctx := t.Context()
	ds, err := Create(ctx, filepath.Join(t.TempDir(), "wide"), wide{}, Info{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ds.Close() })
	const rows, width = 2*partRows + 1, 700
	text := strings.Repeat("x", width)
	if rows*width < 1.3*cacheBytes {
		t.Fatalf("%d bytes may fit", rows*width)
	}
	all := make([]wide, rows)
	for i := range all {
		all[i] = wide{schema.Item{ID: fmt.Sprintf("item-%08d", i)}, text}
	}
	store(t, ds, "item", all)
	for range 4 {
		ids := []string{"item-00000000", fmt.Sprintf("item-%08d", partRows), fmt.Sprintf("item-%08d", rows-1)}
		for i := range 1000 {
			ids = append(ids, fmt.Sprintf("item-%08d", 1+i*3))
		}
		var got []wide
		if missing, err := ds.ByID(ctx, "item", &got, ids...); err != nil || len(missing) > 0 || len(got) != len(ids) {
			t.Fatalf("%d rows, %d missing (%v)", len(got), len(missing), err)
		}
		for i, row := range got {
			if row.ID != ids[i] || row.Text != text {
				t.Fatalf("row %d is %s", i, row.ID)
			}
		}
	}
	if cached := ds.cache.table("item"); !cached.refused || cached.rows() > 0 || ds.cache.bytes != 0 {
		t.Errorf("%d rows and %d bytes are in memory (refused: %v)", cached.rows(), ds.cache.bytes, cached.refused)
	}
}
