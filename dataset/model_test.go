package dataset_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/features"
	"pixano/schema"
)

// modelTables are the tables of a Shot that random operations change.
var modelTables = []string{"item", "image", "objects", "bboxes", "vectors"}

// ShotItem is a Shot's row of the table of items.
type ShotItem struct {
	schema.Item
	Difficulty int64
}

// model is what a dataset is meant to hold: by table and id a row as it is stored.
type model struct {
	t       *testing.T
	r       *rand.Rand
	ds      *dataset.Dataset
	dir     string
	seed    uint64
	now     time.Time
	rows    map[string]map[string]any
	keys    map[string]*dataset.Result
	done    int // row operations
	refused map[error]int
	count   int // calls
}

// fail reports what is wrong, and how to see it again.
func (m *model) fail(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf("seed %d, call %d: %s", m.seed, m.count, fmt.Sprintf(format, args...))
}

// id makes an id that is often there already. Some have characters that filters have to quote.
func (m *model) id(table string) string {
	of := map[string]int{"item": 12, "image": 30, "objects": 60, "bboxes": 120, "vectors": 20}[table]
	n := m.r.IntN(of)
	if n%7 == 3 {
		return fmt.Sprintf("%s'%d\"é", table, n)
	}
	return table + strconv.Itoa(n)
}

// some returns the id of a row of a table that is there, or "".
func (m *model) some(rows map[string]any) string {
	if len(rows) == 0 {
		return ""
	}
	return slices.Sorted(maps.Keys(rows))[m.r.IntN(len(rows))]
}

// row makes a random row of a table that refers to rows that are there after what the state says.
func (m *model) row(table, id string, state map[string]map[string]any) any {
	item := m.some(state["item"])
	ref := features.ItemRef{}
	if item != "" {
		ref = features.Item(item)
	}
	view := features.ViewRef{}
	if image := m.some(state["image"]); image != "" && m.r.IntN(2) == 0 {
		view = features.View("image", image)
	}
	number := []float64{0, -1.5, 1.0 / 3, 1e300, -0.1}[m.r.IntN(5)]
	switch table {
	case "item":
		return ShotItem{schema.NewItem(id), m.r.Int64() - 1<<62}
	case "image":
		return schema.Image{View: schema.View{ID: id, ItemRef: ref}, URL: "é '" + strconv.Itoa(m.r.IntN(1e6)), Width: m.r.Int64N(9999),
			Height: 3, Format: "PNG"}
	case "objects":
		thing := Thing{Entity: schema.Entity{ID: id, ItemRef: ref, ViewRef: view}, Category: []string{"", "car", "a\n\"b\""}[m.r.IntN(3)],
			Rank: m.r.Int64(), Weight: number, Hidden: m.r.IntN(2) == 0, Tags: []string{}}
		for range m.r.IntN(3) {
			thing.Tags = append(thing.Tags, strconv.Itoa(m.r.IntN(100)))
		}
		return thing
	case "bboxes":
		box := schema.NewBBox(id)
		box.ItemRef, box.ViewRef, box.Format = ref, view, features.FormatXYXY
		if object := m.some(state["objects"]); object != "" {
			box.EntityRef = features.Entity("objects", object)
		}
		box.Coords = []float64{1, 2, m.r.Float64() * 100, 1e-300}
		box.Confidence = m.r.Float64()
		return box
	}
	return schema.ViewEmbedding{Embedding: schema.Embedding{ID: id, ItemRef: ref, Shape: []int64{4},
		Vector: []float32{float32(number), m.r.Float32(), 1e-30, -7}}, ViewRef: view}
}

// stored returns a row as it is meant to be stored, by its own rules and with its times.
func (m *model) stored(row any, created, updated time.Time) any {
	p := reflect.New(reflect.TypeOf(row))
	p.Elem().Set(reflect.ValueOf(row))
	if err := errors.Join(schema.Normalize(p.Interface()), schema.SetTimes(p.Interface(), created, updated)); err != nil {
		m.fail("%v", err)
	}
	return p.Elem().Interface()
}

func times(row any) (created, updated time.Time) {
	created, updated, _ = schema.Times(row)
	return created, updated
}

// put stores a row in a state.
func (m *model) put(state map[string]map[string]any, table, id string, row any) dataset.RowResult {
	created, updated := m.now, m.now
	outcome := dataset.Added
	if old, ok := state[table][id]; ok {
		outcome = dataset.Updated
		var was time.Time
		created, was = times(old)
		if !updated.After(was) {
			updated = was.Add(time.Microsecond)
		}
	}
	state[table][id] = m.stored(row, created, updated)
	return dataset.RowResult{Table: table, ID: id, Outcome: outcome, CreatedAt: created, UpdatedAt: updated}
}

func (m *model) copyState() map[string]map[string]any {
	state := map[string]map[string]any{}
	for table, rows := range m.rows {
		state[table] = maps.Clone(rows)
	}
	return state
}

// apply makes a random change set, right or wrong in one of several ways.
func (m *model) apply(ctx context.Context) {
	state := m.copyState()
	set := dataset.ChangeSet{Author: "ana"}
	var want []dataset.RowResult
	var wrong error // that the set must be refused with
	if m.r.IntN(3) == 0 {
		set.Key = strconv.Itoa(m.r.IntN(400))
	}
	changes := 1 + m.r.IntN(24)
	first, replayed := m.keys[set.Key]
	bad := -1
	if !replayed && m.r.IntN(5) == 0 {
		bad = m.r.IntN(changes)
	}
	tables := modelTables
	if m.r.IntN(2) == 0 {
		tables = tables[2:4]
	}
	for i := range changes {
		table := tables[m.r.IntN(len(tables))]
		id := m.id(table)
		old, there := state[table][id]
		_, updated := times(old)
		row := m.row(table, id, state)
		if i == bad {
			var change dataset.Change
			change, wrong = m.wrong(table, id, row, there, updated)
			set.Changes = append(set.Changes, change)
			break
		}
		switch op := m.r.IntN(10); {
		case op < 3:
			set.Changes = append(set.Changes, dataset.Delete(table, id))
			outcome := dataset.Missing
			if there {
				outcome = dataset.Deleted
			}
			delete(state[table], id)
			want = append(want, dataset.RowResult{Table: table, ID: id, Outcome: outcome})
		case op < 6 && !there:
			set.Changes = append(set.Changes, dataset.Insert(table, row))
			want = append(want, m.put(state, table, id, row))
		case op < 8:
			set.Changes = append(set.Changes, dataset.Put(table, row).If(updated))
			want = append(want, m.put(state, table, id, row))
		default:
			set.Changes = append(set.Changes, dataset.Put(table, row))
			want = append(want, m.put(state, table, id, row))
		}
	}
	if wrong == nil && !replayed && dangles(state, want) {
		wrong = dataset.ErrIntegrity // a row that was stored refers to one that was deleted after it
	}
	res, err := m.ds.Apply(ctx, set)
	switch {
	case replayed:
		if err != nil || !res.Replayed {
			m.fail("key %q again: %v %+v", set.Key, err, res)
		}
		again := *res
		again.Replayed = false
		if d := cmp.Diff(*first, again); d != "" {
			m.fail("key %q again (-first +got):\n%s", set.Key, d)
		}
	case wrong != nil:
		m.refused[wrong]++
		if !errors.Is(err, wrong) {
			m.fail("got %v, want %v", err, wrong)
		}
	case err != nil:
		m.fail("%v", err)
	default:
		if d := cmp.Diff(want, res.Rows); d != "" {
			m.fail("result (-want +got):\n%s", d)
		}
		m.rows = state
		m.done += len(want)
		if set.Key != "" {
			m.keys[set.Key] = res
		}
	}
}

// dangles reports whether a row that was stored refers to one that is not there in the state.
func dangles(state map[string]map[string]any, stored []dataset.RowResult) bool {
	gone := func(table, id string) bool {
		_, ok := state[table][id]
		return table != "" && id != "" && !ok
	}
	for _, s := range stored {
		if s.Outcome == dataset.Deleted || s.Outcome == dataset.Missing {
			continue
		}
		row, ok := state[s.Table][s.ID]
		if !ok {
			continue
		}
		for _, column := range []string{"item_ref", "view_ref", "entity_ref"} {
			ref, err := schema.Value(row, column)
			if err != nil {
				continue
			}
			v := reflect.ValueOf(ref)
			if gone(v.FieldByName("Name").String(), v.FieldByName("ID").String()) {
				return true
			}
		}
	}
	return false
}

// wrong makes a change that must be refused, and says with what.
func (m *model) wrong(table, id string, row any, there bool, updated time.Time) (dataset.Change, error) {
	switch m.r.IntN(5) {
	case 0:
		if there {
			return dataset.Insert(table, row), dataset.ErrExists
		}
		return dataset.Delete(table, id).If(m.now), dataset.ErrConflict
	case 1:
		return dataset.Put(table, row).If(updated.Add(time.Microsecond)), dataset.ErrConflict
	case 2:
		box := schema.NewBBox("b")
		box.Format, box.Coords = features.FormatXYXY, []float64{1, 2, 3} // one is missing
		return dataset.Put("bboxes", box), dataset.ErrSchema
	case 3:
		object := Thing{Entity: schema.Entity{ID: "o", ItemRef: features.Item("nobody")}}
		return dataset.Put("objects", object), dataset.ErrIntegrity
	}
	return dataset.Put(table, schema.Source{ID: "s", Name: "s", Kind: "model"}), dataset.ErrSchema
}

// rowsOf makes some rows of a table with different ids.
func (m *model) rowsOf(table string) (ids []string, rows []any) {
	for range 1 + m.r.IntN(20) {
		id := m.id(table)
		if !slices.Contains(ids, id) {
			ids, rows = append(ids, id), append(rows, m.row(table, id, m.rows))
		}
	}
	return ids, rows
}

func (m *model) add(ctx context.Context) {
	table := modelTables[m.r.IntN(len(modelTables))]
	var ids []string
	var rows []any
	for range 1 + m.r.IntN(20) {
		id := m.id(table)
		if _, there := m.rows[table][id]; !slices.Contains(ids, id) && !(there && m.r.IntN(20) > 0) {
			ids, rows = append(ids, id), append(rows, m.row(table, id, m.rows))
		}
	}
	clash := slices.ContainsFunc(ids, func(id string) bool { return m.rows[table][id] != nil })
	err := m.ds.Add(ctx, table, rows)
	if clash {
		m.refused[dataset.ErrIntegrity]++
		if !errors.Is(err, dataset.ErrIntegrity) {
			m.fail("add %v: got %v, want that an id is not unique", ids, err)
		}
		return
	}
	if err != nil {
		m.fail("%v", err)
	}
	for i, id := range ids {
		m.put(m.rows, table, id, rows[i])
	}
	m.done += len(ids)
}

func (m *model) update(ctx context.Context) {
	table := modelTables[m.r.IntN(len(modelTables))]
	ids, rows := m.rowsOf(table)
	got, err := m.ds.Update(ctx, table, rows)
	if err != nil {
		m.fail("%v", err)
	}
	var want dataset.UpdateResult
	for i, id := range ids {
		if m.put(m.rows, table, id, rows[i]).Outcome == dataset.Added {
			want.Added = append(want.Added, id)
		} else {
			want.Updated = append(want.Updated, id)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		m.fail("update (-want +got):\n%s", d)
	}
	m.done += len(ids)
}

func (m *model) delete(ctx context.Context) {
	table := modelTables[m.r.IntN(len(modelTables))]
	ids, _ := m.rowsOf(table)
	missing, err := m.ds.Delete(ctx, table, ids...)
	if err != nil {
		m.fail("%v", err)
	}
	m.gone(table, ids, missing)
}

func (m *model) gone(table string, ids, missing []string) {
	var want []string
	for _, id := range ids {
		if _, there := m.rows[table][id]; !there {
			want = append(want, id)
		}
		delete(m.rows[table], id)
	}
	if d := cmp.Diff(want, missing); d != "" {
		m.fail("ids that were not in %s (-want +got):\n%s", table, d)
	}
	m.done += len(ids)
}

func (m *model) deleteItems(ctx context.Context) {
	ids := []string{m.id("item")}
	missing, err := m.ds.DeleteItems(ctx, ids...)
	if err != nil {
		m.fail("%v", err)
	}
	m.gone("item", ids, missing)
	for _, table := range modelTables[1:] {
		maps.DeleteFunc(m.rows[table], func(_ string, row any) bool {
			ref, _ := schema.Value(row, "item_ref")
			mine := slices.Contains(ids, ref.(features.ItemRef).ID)
			if mine {
				m.done++
			}
			return mine
		})
	}
}

// compare compares all tables with the model, row for row.
func (m *model) compare(ctx context.Context) {
	m.t.Helper()
	var items []ShotItem
	var images []schema.Image
	var objects []Thing
	var boxes []schema.BBox
	var vectors []schema.ViewEmbedding
	for table, dst := range map[string]any{"item": &items, "image": &images, "objects": &objects, "bboxes": &boxes, "vectors": &vectors} {
		if err := m.ds.Get(ctx, table, dst, dataset.Query{}); err != nil {
			m.fail("%v", err)
		}
		rows := reflect.ValueOf(dst).Elem()
		got := map[string]any{}
		for i := range rows.Len() {
			id, _ := schema.ID(rows.Index(i).Interface())
			got[id] = rows.Index(i).Interface()
		}
		if len(got) != rows.Len() {
			m.fail("%s has %d rows with %d different ids", table, rows.Len(), len(got))
		}
		if d := cmp.Diff(m.rows[table], got); d != "" {
			m.fail("%s (-want +got):\n%s", table, d)
		}
	}
}

func (m *model) open(ctx context.Context) {
	if err := m.ds.Close(); err != nil {
		m.fail("%v", err)
	}
	ds, err := dataset.Open(ctx, m.dir, nil)
	if err != nil {
		m.fail("%v", err)
	}
	m.ds = ds
	dataset.SetClock(ds, func() time.Time { return m.now })
}

// TestModel makes 10,000 random changes of rows, in change sets and by the other ways, and compares what is there with
// a model in memory.
func TestModel(t *testing.T) {
	for _, seed := range []uint64{1, 2} {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			operations := 5000
			if testing.Short() {
				operations = 500
			}
			ctx := t.Context()
			dir := filepath.Join(t.TempDir(), "shots")
			m := &model{t: t, r: rand.New(rand.NewPCG(seed, seed)), dir: dir, seed: seed, ds: newDataset(t, dir, dataset.Info{}, nil),
				now:  time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
				rows: map[string]map[string]any{}, keys: map[string]*dataset.Result{}, refused: map[error]int{}}
			for _, table := range modelTables {
				m.rows[table] = map[string]any{}
			}
			m.open(ctx)
			defer func() { m.ds.Close() }()
			began := time.Now()
			compared := 0
			for ; m.done < operations; m.count++ {
				// The clock may stand still, or go back.
				m.now = m.now.Add(time.Duration(m.r.IntN(5)-1) * time.Microsecond)
				switch n := m.r.IntN(100); {
				case n < 60:
					m.apply(ctx)
				case n < 74:
					m.add(ctx)
				case n < 88:
					m.update(ctx)
				case n < 93:
					m.delete(ctx)
				case n < 96:
					m.deleteItems(ctx)
				case n < 98:
					if _, err := m.ds.Optimize(ctx); err != nil {
						m.fail("%v", err)
					}
				default:
					m.open(ctx)
				}
				if m.done >= compared+500 {
					m.compare(ctx)
					compared = m.done
				}
			}
			m.open(ctx)
			m.compare(ctx)
			t.Logf("%d changes of rows in %d calls, %.1f s; refused: %v", m.done, m.count, time.Since(began).Seconds(), m.refused)
			for _, want := range []error{dataset.ErrExists, dataset.ErrConflict, dataset.ErrSchema, dataset.ErrIntegrity} {
				if m.refused[want] == 0 && !testing.Short() {
					t.Errorf("nothing was refused with %v", want)
				}
			}
		})
	}
}

// TestReadersSeeWholeChangeSets writes the same number into rows of two tables while others read both: they never see
// two numbers.
func TestReadersSeeWholeChangeSets(t *testing.T) {
	ctx := t.Context()
	ds := newDataset(t, filepath.Join(t.TempDir(), "shots"), dataset.Info{}, nil)
	const items = 4
	put := func(i, n int) error {
		id := strconv.Itoa(i)
		item := schema.NewItem(id)
		image := schema.Image{View: schema.View{ID: id, ItemRef: features.Item(id)}, URL: "x", Width: int64(n)}
		thing := Thing{Entity: schema.Entity{ID: id, ItemRef: features.Item(id)}, Rank: int64(n)}
		_, err := ds.Apply(ctx, dataset.ChangeSet{Changes: []dataset.Change{
			dataset.Put("item", ShotItem{item, int64(n)}), dataset.Put("image", image), dataset.Put("objects", thing),
		}})
		return err
	}
	for i := range items {
		if err := put(i, 0); err != nil {
			t.Fatal(err)
		}
	}
	writes := 25
	if testing.Short() {
		writes = 8
	}
	var writers, readers sync.WaitGroup
	stop := make(chan struct{})
	for i := range items {
		writers.Go(func() {
			for n := range writes {
				if err := put(i, n+1); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	var reads, middle atomic.Int64
	for range 3 {
		readers.Go(func() {
			last := [items]int64{}
			for {
				select {
				case <-stop:
					return
				default:
				}
				var shots []Shot
				if err := ds.Items(ctx, &shots, dataset.Query{}); err != nil {
					t.Error(err)
					return
				}
				if len(shots) != items {
					t.Errorf("%d items, want %d", len(shots), items)
					return
				}
				for _, s := range shots {
					i, _ := strconv.Atoi(s.ID)
					if len(s.Objects) != 1 || s.Difficulty != s.Image.Width || s.Difficulty != s.Objects[0].Rank {
						t.Errorf("item %s: number %d, in its image %d, in its objects %+v: want the same", s.ID, s.Difficulty, s.Image.Width, s.Objects)
						return
					}
					if s.Difficulty < last[i] {
						t.Errorf("item %s: number %d after %d", s.ID, s.Difficulty, last[i])
					}
					last[i] = s.Difficulty
					if s.Difficulty > 0 && s.Difficulty < int64(writes) {
						middle.Add(1)
					}
				}
				reads.Add(1)
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	t.Logf("%d reads during %d change sets", reads.Load(), items*writes)
	if middle.Load() == 0 {
		t.Error("no read fell between the writes")
	}
}
