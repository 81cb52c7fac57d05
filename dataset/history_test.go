package dataset_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/features"
	"pixano/schema"
)

// collect reads a stream to its end.
func collect[T any](t *testing.T, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var list []T
	for v, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, v)
	}
	return list
}

func apply(t *testing.T, ds *dataset.Dataset, author string, changes ...dataset.Change) *dataset.Result {
	t.Helper()
	return must(ds.Apply(t.Context(), dataset.ChangeSet{Author: author, Changes: changes}))
}

func thing(id, category string, rank int64) Thing {
	return Thing{Entity: schema.Entity{ID: id}, Category: category, Rank: rank, Tags: []string{}}
}

// brief tells events in few words.
func brief(events []dataset.Event) []string {
	var list []string
	for _, e := range events {
		text := fmt.Sprintf("%s %s %s", e.ID, e.Kind, e.Author)
		if e.Table != "" {
			text += fmt.Sprintf(" %s %s", e.Table, e.Operation)
		}
		if e.Reverts != nil {
			text += " reverts " + e.Reverts.String()
		}
		if e.Restores != "" {
			text += " restores " + e.Restores
		}
		for _, row := range e.Rows {
			text += fmt.Sprintf(" %s %s/%s", row.Outcome, row.Table, row.ID)
		}
		list = append(list, text)
	}
	return list
}

func TestHistory(t *testing.T) {
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "shots")
	ds := newDataset(t, dir, dataset.Info{}, nil)
	apply(t, ds, "ana", dataset.Insert("item", ShotItem{Item: schema.NewItem("i")}), dataset.Insert("objects", []Thing{thing("a", "car", 1), thing("b", "dog", 2)}))
	apply(t, ds, "bob", dataset.Put("objects", thing("a", "bus", 1)))
	between := time.Now()
	apply(t, ds, "ana", dataset.Delete("objects", "b"), dataset.Put("objects", thing("c", "cat", 3)))
	rows := make([]schema.ViewEmbedding, 10_001)
	for i := range rows {
		rows[i] = schema.ViewEmbedding{Embedding: schema.Embedding{ID: strconv.Itoa(i), Vector: make([]float32, 4), Shape: []int64{4}}}
	}
	if err := ds.Add(ctx, "vectors", rows); err != nil {
		t.Fatal(err)
	}
	outsideThing := thing("x", "ufo", 9)
	dataset.Store(t, ds, "objects", []Thing{outsideThing})
	read := func(q dataset.HistoryQuery) []string { t.Helper(); return brief(collect(t, ds.History(ctx, q))) }
	want := []string{
		"0 outside  objects Append",
		"4 load  vectors Append",
		"3 change ana deleted objects/b added objects/c",
		"2 change bob updated objects/a",
		"1 change ana added item/i added objects/a added objects/b",
	}
	same := func(what string, want []string, q dataset.HistoryQuery) {
		t.Helper()
		if d := cmp.Diff(want, read(q)); d != "" {
			t.Errorf("%s (-want +got):\n%s", what, d)
		}
	}
	same("all", want, dataset.HistoryQuery{})
	apply(t, ds, "bob", dataset.Put("objects", thing("x", "bird", 9)))
	want = append([]string{"5 change bob updated objects/x", "5.-1 outside  objects Append"}, want[1:]...)
	same("after a change of ours", want, dataset.HistoryQuery{})
	same("of a row", []string{"2 change bob updated objects/a", "1 change ana added objects/a"}, dataset.HistoryQuery{Table: "objects", ID: "a"})
	same("of a table", []string{"4 load  vectors Append"}, dataset.HistoryQuery{Table: "vectors"})
	same("of an author", []string{want[0], want[4]}, dataset.HistoryQuery{Author: "bob"})
	same("since", want[:4], dataset.HistoryQuery{Since: between})
	same("until", want[4:], dataset.HistoryQuery{Until: between})
	same("one", want[3:4], dataset.HistoryQuery{Change: dataset.ChangeID{Number: 3}})
	var paged []string
	q := dataset.HistoryQuery{Limit: 2}
	for {
		page := collect(t, ds.History(ctx, q))
		if len(page) == 0 {
			break
		}
		paged = append(paged, brief(page)...)
		q.Before = page[len(page)-1].ID
	}
	if d := cmp.Diff(want, paged); d != "" {
		t.Errorf("in pages (-want +got):\n%s", d)
	}
	row := collect(t, ds.History(ctx, dataset.HistoryQuery{Table: "objects", ID: "a", Limit: 1}))[0].Rows[0]
	if d := cmp.Diff([]string{"category"}, row.Fields()); d != "" {
		t.Error(d)
	}
	var before Thing
	if err := schema.DecodeStoredJSON(row.Before, &before); err != nil || before.Category != "car" {
		t.Errorf("before: %+v, %v", before, err)
	}
	// A note of how far others were looked at may be old.
	must(ds.Snapshot(ctx, "note", dataset.SnapshotOptions{}))
	dataset.Store(t, ds, "objects", []Thing{thing("y", "ufo", 9)})
	apply(t, ds, "ana", dataset.Put("objects", thing("y", "bird", 9)))
	want = append([]string{"6 change ana updated objects/y", "6.-1 outside  objects Append"}, want...)
	if err := ds.Close(); err != nil {
		t.Fatal(err)
	}
	ds = must(dataset.Open(ctx, dir, nil))
	apply(t, ds, "ana", dataset.Put("objects", thing("y", "bat", 9)))
	want = append([]string{"7 change ana updated objects/y"}, want...)
	same("with an old note", want, dataset.HistoryQuery{})
	// Another handle, and one that was opened anew, know the same.
	if err := ds.Close(); err != nil {
		t.Fatal(err)
	}
	ds = must(dataset.Open(ctx, dir, nil))
	defer ds.Close()
	same("opened again", want, dataset.HistoryQuery{})
	// So are commits to tables that were never changed here.
	box := schema.NewBBox("box")
	box.Format, box.Coords = features.FormatXYXY, []float64{1, 2, 3, 4}
	dataset.Store(t, ds, "bboxes", []schema.BBox{box})
	same("another table", append([]string{"0 outside  bboxes Append"}, want...), dataset.HistoryQuery{})
}

func TestRevert(t *testing.T) {
	ctx := t.Context()
	ds := newDataset(t, filepath.Join(t.TempDir(), "shots"), dataset.Info{}, nil)
	first := apply(t, ds, "ana", dataset.Insert("item", ShotItem{Item: schema.NewItem("i")}), dataset.Insert("objects", []Thing{thing("a", "car", 1), thing("b", "dog", 2)}))
	second := apply(t, ds, "bob", dataset.Put("objects", thing("a", "bus", 1)), dataset.Delete("objects", "b"))
	third := apply(t, ds, "cid", dataset.Put("objects", thing("a", "bus", 7)))
	get := func(id string) *Thing {
		var found []Thing
		if err := ds.Get(ctx, "objects", &found, dataset.Query{IDs: []string{id}}); err != nil {
			t.Fatal(err)
		}
		if len(found) == 0 {
			return nil
		}
		return &found[0]
	}
	created := collect(t, ds.History(ctx, dataset.HistoryQuery{Change: first.ID()}))[0]
	res, err := ds.Revert(ctx, second.ID(), dataset.By{Author: "dan", Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	if a := get("a"); a == nil || a.Category != "car" || a.Rank != 7 {
		t.Errorf("merged: %+v", a)
	}
	b := get("b")
	var was Thing
	if err := schema.DecodeStoredJSON(created.Rows[2].After, &was); err != nil {
		t.Fatal(err)
	}
	if b == nil || b.Category != "dog" || !b.CreatedAt.Equal(was.CreatedAt) {
		t.Errorf("brought back: %+v, created %v", b, was.CreatedAt)
	}
	if again, err := ds.Revert(ctx, second.ID(), dataset.By{Author: "dan", Key: "k"}); err != nil || !again.Replayed || again.Number != res.Number {
		t.Errorf("the same key: %+v %v", again, err)
	}
	if again, err := ds.Revert(ctx, second.ID(), dataset.By{}); err != nil || again.Number != 0 {
		t.Errorf("undone already: %+v %v", again, err)
	}
	_, err = ds.Revert(ctx, first.ID(), dataset.By{})
	if e, ok := errors.AsType[*dataset.RevertError](err); !ok || !errors.Is(err, dataset.ErrConflict) || len(e.Rows) != 1 || e.Rows[0].ID != "a" ||
		!slices.Equal(e.Rows[0].Fields, []string{"rank"}) {
		t.Errorf("changed since: %v", err)
	}
	if _, err := ds.Revert(ctx, third.ID(), dataset.By{}); err != nil {
		t.Error(err)
	}
	// Rows that others refer to stay.
	box := schema.NewBBox("box")
	box.Format, box.Coords = features.FormatXYXY, []float64{1, 2, 3, 4}
	box.EntityRef = features.Entity("objects", "b")
	drawn := apply(t, ds, "eva", dataset.Insert("bboxes", box))
	if _, err := ds.Revert(ctx, first.ID(), dataset.By{}); !errors.Is(err, dataset.ErrConflict) {
		t.Errorf("a row that is referred to: %v", err)
	} else {
		t.Log(err)
	}
	if _, err := ds.Revert(ctx, drawn.ID(), dataset.By{}); err != nil {
		t.Error(err)
	}
	if _, err := ds.Revert(ctx, first.ID(), dataset.By{}); err != nil {
		t.Error(err)
	}
	if n := must(ds.Count(ctx, "objects", dataset.Query{})); n != 0 {
		t.Errorf("%d objects", n)
	}
	if _, err := ds.Revert(ctx, dataset.ChangeID{Number: 99}, dataset.By{}); !errors.Is(err, dataset.ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
}

// undoRow is a row of the model of TestUndoInEveryOrder; undoSet what a change set makes of rows.
type undoRow struct {
	category string
	rank     int64
	weight   float64
}

type undoSet map[string][2]*undoRow

// replay applies what sets did to a state, leaving out those that were undone: columns that a set changed, and rows that
// it added or deleted.
func replay(base map[string]undoRow, sets []undoSet, undone []bool) map[string]undoRow {
	state := map[string]undoRow{}
	for id, row := range base {
		state[id] = row
	}
	for i, set := range sets {
		if undone[i] {
			continue
		}
		for id, c := range set {
			before, after := c[0], c[1]
			switch {
			case after == nil:
				delete(state, id)
			case before == nil:
				state[id] = *after
			default:
				row := state[id]
				if before.category != after.category {
					row.category = after.category
				}
				if before.rank != after.rank {
					row.rank = after.rank
				}
				if before.weight != after.weight {
					row.weight = after.weight
				}
				state[id] = row
			}
		}
	}
	return state
}

// TestUndoInEveryOrder makes a few random change sets of few rows, and undoes them in every order. Each undo must lead to
// what the other sets alone would have made, or be refused with rows that a later set changed, and change nothing.
func TestUndoInEveryOrder(t *testing.T) {
	t.Parallel()
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	const sets = 3
	orders := [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}
	ctx := t.Context()
	ds := newDataset(t, filepath.Join(t.TempDir(), "shots"), dataset.Info{}, nil)
	row := func(r *rand.Rand) undoRow {
		return undoRow{[]string{"car", "bus"}[r.IntN(2)], r.Int64N(2), float64(r.IntN(2))}
	}
	store := func(id string, row undoRow) dataset.Change {
		th := thing(id, row.category, row.rank)
		th.Weight = row.weight
		return dataset.Put("objects", th)
	}
	read := func() map[string]undoRow {
		var things []Thing
		if err := ds.Get(ctx, "objects", &things, dataset.Query{}); err != nil {
			t.Fatal(err)
		}
		state := map[string]undoRow{}
		for _, th := range things {
			state[th.ID] = undoRow{th.Category, th.Rank, th.Weight}
		}
		return state
	}
	done, refused := 0, 0
	ids := []string{"a", "b", "c"}
	for round := range rounds {
		r := rand.New(rand.NewPCG(uint64(round), 7))
		base := map[string]undoRow{}
		changes := []dataset.Change{dataset.Delete("objects", ids...)}
		for _, id := range ids[:2] {
			base[id] = row(r)
			changes = append(changes, store(id, base[id]))
		}
		// The same sets for each order.
		state := base
		var made []undoSet
		for range sets {
			set := undoSet{}
			next := map[string]undoRow{}
			for id, row := range state {
				next[id] = row
			}
			for _, id := range ids[:1+r.IntN(3)] {
				old, there := state[id]
				c := [2]*undoRow{}
				if there {
					c[0] = &old
				}
				if there && r.IntN(4) == 0 {
					delete(next, id)
				} else if !there && r.IntN(2) == 0 {
					continue
				} else {
					row := row(r)
					c[1] = &row
					next[id] = row
				}
				set[id] = c
			}
			made, state = append(made, set), next
		}
		for _, order := range orders {
			apply(t, ds, "base", changes...)
			var numbers []dataset.ChangeID
			for _, set := range made {
				var changes []dataset.Change
				for _, id := range ids {
					if c, ok := set[id]; ok && c[1] == nil {
						changes = append(changes, dataset.Delete("objects", id))
					} else if ok {
						changes = append(changes, store(id, *c[1]))
					}
				}
				res := apply(t, ds, "set", changes...)
				numbers = append(numbers, res.ID())
			}
			undone := make([]bool, sets)
			for _, i := range order {
				before := read()
				_, err := ds.Revert(ctx, numbers[i], dataset.By{})
				var e *dataset.RevertError
				switch {
				case errors.As(err, &e):
					refused++
					if d := cmp.Diff(before, read(), cmp.AllowUnexported(undoRow{})); d != "" {
						t.Fatalf("round %d, order %v: a refused undo of %d changed rows:\n%s", round, order, i, d)
					}
					for _, blocked := range e.Rows {
						touched := false
						for j := i + 1; j < sets; j++ {
							_, in := made[j][blocked.ID]
							touched = touched || in && !undone[j]
						}
						if !touched {
							t.Fatalf("round %d, order %v: undo of %d refused for no reason: %v", round, order, i, err)
						}
					}
				case err != nil:
					t.Fatalf("round %d, order %v: undo of %d: %v", round, order, i, err)
				default:
					done++
					undone[i] = true
					if d := cmp.Diff(replay(base, made, undone), read(), cmp.AllowUnexported(undoRow{})); d != "" {
						t.Fatalf("round %d, order %v, undo of %d (-want +got):\n%s", round, order, i, d)
					}
				}
			}
		}
	}
	t.Logf("%d undone, %d refused", done, refused)
	if done == 0 || refused == 0 {
		t.Error("one of them never happened")
	}
}

// TestHistoryOfCutLog: what a torn line would have said never happened.
func TestHistoryOfCutLog(t *testing.T) {
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "shots")
	ds := newDataset(t, dir, dataset.Info{}, nil)
	apply(t, ds, "ana", dataset.Put("objects", thing("a", "car", 1)))
	if err := ds.Close(); err != nil {
		t.Fatal(err)
	}
	path, content := lastLog(t, dir)
	line := content
	if err := os.WriteFile(path, append(slices.Clone(content), line[:len(line)-5]...), 0o644); err != nil {
		t.Fatal(err)
	}
	ds = must(dataset.Open(ctx, dir, &dataset.Options{ReadOnly: true}))
	defer ds.Close()
	if d := cmp.Diff([]string{"1 change ana added objects/a"}, brief(collect(t, ds.History(ctx, dataset.HistoryQuery{})))); d != "" {
		t.Error(d)
	}
}

func TestChangeIDText(t *testing.T) {
	for text, want := range map[string]dataset.ChangeID{"7": {Number: 7}, "7.2": {Number: 7, Set: 2}} {
		id, err := dataset.ParseChangeID(text)
		if err != nil || id != want || id.String() != text {
			t.Errorf("%s: %+v, %v", text, id, err)
		}
		var back dataset.ChangeID
		raw := must(json.Marshal(id))
		if err := json.Unmarshal(raw, &back); err != nil || back != id {
			t.Errorf("%s: %+v, %v", raw, back, err)
		}
	}
	for _, text := range []string{"", "0", "x", "1.", "1.x", "-1", "1.2.3"} {
		if _, err := dataset.ParseChangeID(text); !errors.Is(err, dataset.ErrQuery) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestHistoryOfItem: the changes of an item are those of its row and of rows that refer to it, before or after a change,
// from the log and from the folded history.
func TestHistoryOfItem(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	ds := newDataset(t, filepath.Join(t.TempDir(), "shots"), dataset.Info{}, &dataset.Options{Maintenance: dataset.Maintenance{Off: true}})
	of := func(id, category, item string) Thing {
		thing := thing(id, category, 1)
		thing.ItemRef = features.ItemRef{Name: "item", ID: item}
		return thing
	}
	one, other := "é_1%<", "i_2"
	apply(t, ds, "ana", dataset.Insert("item", ShotItem{Item: schema.NewItem(one)}), dataset.Insert("item", ShotItem{Item: schema.NewItem(other)}))
	apply(t, ds, "ana", dataset.Insert("objects", []Thing{of("a", "car", one), of("b", "dog", other)}))
	apply(t, ds, "bob", dataset.Put("objects", of("b", one, other))) // names it and is not its
	apply(t, ds, "bob", dataset.Put("objects", of("a", "car", other)))
	apply(t, ds, "ana", dataset.Put("objects", of("a", "bus", other)))
	dataset.Store(t, ds, "objects", []Thing{of("x", "ufo", one)})
	check := func(when string) {
		t.Helper()
		got := brief(collect(t, ds.History(ctx, dataset.HistoryQuery{Item: one})))
		want := []string{"4 change bob updated objects/a", "2 change ana added objects/a", "1 change ana added item/" + one}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", when, d)
		}
	}
	check("log")
	must(ds.Optimize(ctx))
	check("folded")
}
