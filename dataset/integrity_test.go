package dataset_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/features"
	"pixano/schema"
)

// checkedCopy opens a copy of a golden dataset.
func checkedCopy(t *testing.T, name string) *dataset.Dataset {
	t.Helper()
	needEngine(t)
	ds, err := dataset.Open(t.Context(), copyGolden(t, name), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ds.Close() })
	return ds
}

// goodBox makes a box for image_detection that passes all checks. change may be nil.
func goodBox(id string, change func(b *schema.BBox)) schema.BBox {
	b := schema.NewBBox(id)
	b.ItemRef = features.ItemRef{Name: "item", ID: "item_001"}
	b.ViewRef = features.ViewRef{Name: "image", ID: "img_001"}
	b.EntityRef = features.EntityRef{Name: "objects", ID: "obj_001_0"}
	b.SourceRef = features.SourceRef{Name: "source", ID: "src_model"}
	b.Coords, b.Format = []float64{1, 2, 3, 4}, features.FormatXYXY
	if change != nil {
		change(&b)
	}
	return b
}

// relation makes a relation for multiview_text that passes all checks.
func relation(id string, change func(r *schema.Relation)) schema.Relation {
	r := schema.Relation{Predicate: "near"}
	r.ID, r.InferenceMetadata = id, "{}"
	r.ItemRef = features.ItemRef{Name: "item", ID: "scene-0"}
	r.SubjectRef = features.AnnotationRef{Name: "boxes", ID: "b0_left"}
	r.ObjectRef = features.AnnotationRef{Name: "boxes", ID: "b0_right"}
	if change != nil {
		change(&r)
	}
	return r
}

// dynamics gives rows as dynamic ones of a table's class.
func dynamics[T any](t *testing.T, ds *dataset.Dataset, table string, rows []T) []*schema.Dynamic {
	t.Helper()
	class, ok := ds.Schema().Class(table)
	if !ok {
		t.Fatalf("no table %s", table)
	}
	list := make([]*schema.Dynamic, len(rows))
	for i, row := range rows {
		list[i] = must(schema.NewDynamic(class))
		if err := schema.DecodeJSON(must(schema.EncodeJSON(row)), list[i]); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

func violations(t *testing.T, err error) []dataset.Violation {
	t.Helper()
	if err == nil {
		return nil
	}
	broken, ok := errors.AsType[*dataset.IntegrityError](err)
	if !ok || !errors.Is(err, dataset.ErrIntegrity) {
		t.Fatalf("got %v, want an IntegrityError", err)
	}
	return broken.Violations
}

// all collects what a check yields.
func all(t *testing.T, check iter.Seq2[dataset.Violation, error]) []dataset.Violation {
	t.Helper()
	var found []dataset.Violation
	for v, err := range check {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, v)
	}
	return found
}

const oddID = "l'été\"\n\\;--%_東京"

// refusals are rows for image_detection with what is wrong with them.
var refusals = []struct {
	name   string
	update bool
	others bool // only other programs write such rows: their class refuses them
	rows   []schema.BBox
	want   []dataset.Violation
}{
	{name: "nothing wrong", rows: []schema.BBox{goodBox("n1", nil), goodBox("n2", nil)}},
	{name: "no id", rows: []schema.BBox{goodBox("", nil)}, want: []dataset.Violation{
		{Check: dataset.DefinedID, Table: "bboxes", Field: "id"},
	}},
	{name: "no id, twice", rows: []schema.BBox{goodBox("", nil), goodBox("n1", nil), goodBox("", nil)}, want: []dataset.Violation{
		{Check: dataset.DefinedID, Table: "bboxes", Field: "id"},
		{Check: dataset.DefinedID, Table: "bboxes", Field: "id"},
	}},
	{name: "id in the table", rows: []schema.BBox{goodBox("n1", nil), goodBox("box_001_0", nil)}, want: []dataset.Violation{
		{Check: dataset.UniqueID, Table: "bboxes", ID: "box_001_0", Field: "id", Value: "box_001_0"},
	}},
	{name: "update of an id in the table and of a new one", update: true,
		rows: []schema.BBox{goodBox("n1", nil), goodBox("box_001_0", nil)}},
	{name: "id twice", rows: []schema.BBox{goodBox("n1", nil), goodBox("n2", nil), goodBox("n1", nil)}, want: []dataset.Violation{
		{Check: dataset.UniqueID, Table: "bboxes", ID: "n1", Field: "id", Value: "n1"},
		{Check: dataset.UniqueID, Table: "bboxes", ID: "n1", Field: "id", Value: "n1"},
	}},
	{name: "id twice in an update", update: true, rows: []schema.BBox{goodBox("n1", nil), goodBox("n1", nil), goodBox("n1", nil)},
		want: []dataset.Violation{
			{Check: dataset.UniqueID, Table: "bboxes", ID: "n1", Field: "id", Value: "n1"},
			{Check: dataset.UniqueID, Table: "bboxes", ID: "n1", Field: "id", Value: "n1"},
			{Check: dataset.UniqueID, Table: "bboxes", ID: "n1", Field: "id", Value: "n1"},
		}},
	{name: "unknown tables", rows: []schema.BBox{
		goodBox("n1", func(b *schema.BBox) { b.ViewRef.Name = "nowhere" }),
		goodBox("n2", func(b *schema.BBox) { b.EntityRef = features.EntityRef{Name: "Objects"} }),
	}, want: []dataset.Violation{
		{Check: dataset.RefName, Table: "bboxes", ID: "n1", Field: "view_ref", Value: "nowhere", To: "nowhere"},
		{Check: dataset.RefName, Table: "bboxes", ID: "n2", Field: "entity_ref", Value: "Objects", To: "Objects"},
	}},
	{name: "unknown tables of items and sources", others: true, rows: []schema.BBox{
		goodBox("n1", func(b *schema.BBox) { b.ItemRef.Name = "nowhere" }),
		goodBox("n2", func(b *schema.BBox) { b.SourceRef.Name = "Source" }),
	}, want: []dataset.Violation{
		{Check: dataset.RefName, Table: "bboxes", ID: "n1", Field: "item_ref", Value: "nowhere", To: "nowhere"},
		{Check: dataset.RefName, Table: "bboxes", ID: "n2", Field: "source_ref", Value: "Source", To: "Source"},
	}},
	{name: "tables of other groups", rows: []schema.BBox{
		goodBox("n1", func(b *schema.BBox) { b.ViewRef = features.ViewRef{Name: "objects", ID: "obj_001_0"} }),
		goodBox("n2", func(b *schema.BBox) { b.ViewRef = features.ViewRef{Name: "source", ID: "src_model"} }),
		goodBox("n3", func(b *schema.BBox) { b.EntityRef = features.EntityRef{Name: "image"} }),
	}, want: []dataset.Violation{
		{Check: dataset.RefType, Table: "bboxes", ID: "n1", Field: "view_ref", Value: "objects", To: "objects"},
		{Check: dataset.RefType, Table: "bboxes", ID: "n2", Field: "view_ref", Value: "source", To: "source"},
		{Check: dataset.RefType, Table: "bboxes", ID: "n3", Field: "entity_ref", Value: "image", To: "image"},
	}},
	{name: "references to items and sources may name any table", others: true, rows: []schema.BBox{
		goodBox("n1", func(b *schema.BBox) { b.ItemRef = features.ItemRef{Name: "objects", ID: "obj_001_0"} }),
		goodBox("n2", func(b *schema.BBox) { b.SourceRef = features.SourceRef{Name: "item", ID: "item_001"} }),
		goodBox("n3", func(b *schema.BBox) { b.SourceRef = features.SourceRef{Name: "item", ID: "src_model"} }),
	}, want: []dataset.Violation{
		{Check: dataset.RefID, Table: "bboxes", ID: "n3", Field: "source_ref", Value: "src_model", To: "item"},
	}},
	{name: "unknown ids", rows: []schema.BBox{
		goodBox("n1", func(b *schema.BBox) { b.ItemRef.ID = "zzz" }),
		goodBox("n2", func(b *schema.BBox) { b.ViewRef.ID = oddID }),
		goodBox("n3", func(b *schema.BBox) { b.EntityRef.ID = "OBJ_001_0" }),
		goodBox("n4", func(b *schema.BBox) { b.SourceRef.ID = "src_model\x00" }),
	}, want: []dataset.Violation{
		{Check: dataset.RefID, Table: "bboxes", ID: "n1", Field: "item_ref", Value: "zzz", To: "item"},
		{Check: dataset.RefID, Table: "bboxes", ID: "n2", Field: "view_ref", Value: oddID, To: "image"},
		{Check: dataset.RefID, Table: "bboxes", ID: "n3", Field: "entity_ref", Value: "OBJ_001_0", To: "objects"},
		{Check: dataset.RefID, Table: "bboxes", ID: "n4", Field: "source_ref", Value: "src_model\x00", To: "source"},
	}},
	{name: "references without table or id", rows: []schema.BBox{
		goodBox("n1", func(b *schema.BBox) {
			b.ItemRef, b.ViewRef, b.EntityRef, b.SourceRef = features.ItemRef{}, features.ViewRef{}, features.EntityRef{}, features.SourceRef{}
		}),
		goodBox("n2", func(b *schema.BBox) {
			b.ViewRef, b.EntityRef = features.ViewRef{Name: "image"}, features.EntityRef{ID: "zzz"}
		}),
	}},
	{name: "one violation a row, each check of all references first", rows: []schema.BBox{
		goodBox("n1", func(b *schema.BBox) { b.ItemRef.ID, b.ViewRef.Name, b.EntityRef.Name = "zzz", "objects", "nowhere" }),
		goodBox("n2", func(b *schema.BBox) { b.ItemRef.ID, b.EntityRef.Name, b.SourceRef.ID = "zzz", "image", "zzz" }),
		goodBox("n3", func(b *schema.BBox) { b.ViewRef.ID, b.EntityRef.ID, b.SourceRef.ID = "v", "e", "s" }),
		goodBox("box_001_0", func(b *schema.BBox) { b.ViewRef.Name = "nowhere" }),
		goodBox("", func(b *schema.BBox) { b.ViewRef.Name = "nowhere" }),
	}, want: []dataset.Violation{
		{Check: dataset.RefName, Table: "bboxes", ID: "n1", Field: "entity_ref", Value: "nowhere", To: "nowhere"},
		{Check: dataset.RefType, Table: "bboxes", ID: "n2", Field: "entity_ref", Value: "image", To: "image"},
		{Check: dataset.RefID, Table: "bboxes", ID: "n3", Field: "view_ref", Value: "v", To: "image"},
		{Check: dataset.UniqueID, Table: "bboxes", ID: "box_001_0", Field: "id", Value: "box_001_0"},
		{Check: dataset.DefinedID, Table: "bboxes", Field: "id"},
	}},
}

// TestRefusedRows stores rows of all kinds of violation as structs, as dynamic rows and mixed: they are refused alike,
// and a table with one refused row is as it was.
func TestRefusedRows(t *testing.T) {
	for _, test := range refusals {
		if test.others {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			ctx := t.Context()
			ds := checkedCopy(t, "image_detection")
			dynamic := dynamics(t, ds, "bboxes", test.rows)
			var mixed []any
			for i, row := range test.rows {
				if mixed = append(mixed, row); i%2 == 1 {
					mixed[i] = dynamic[i]
				}
			}
			before := must(ds.Count(ctx, "bboxes", dataset.Query{}))
			for form, rows := range map[string]any{"structs": test.rows, "dynamic": dynamic, "mixed": mixed} {
				var err error
				if test.update {
					_, err = ds.Update(ctx, "bboxes", rows)
				} else if err = ds.Add(ctx, "bboxes", rows); err == nil {
					for _, row := range test.rows {
						if missing := must(ds.Delete(ctx, "bboxes", row.ID)); missing != nil {
							t.Errorf("%s: rows %q were not stored", form, missing)
						}
					}
				}
				if diff := cmp.Diff(test.want, violations(t, err)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", form, diff)
				}
				if n := must(ds.Count(ctx, "bboxes", dataset.Query{})); !test.update && n != before {
					t.Errorf("%s: the table has %d rows, had %d", form, n, before)
				}
			}
		})
	}
}

func TestOwnRows(t *testing.T) {
	ctx := t.Context()
	ds := checkedCopy(t, "multiview_text")
	self := relation("r1", func(r *schema.Relation) { r.SubjectRef = features.AnnotationRef{Name: "relations", ID: "r1"} })
	toFirst := relation("r2", func(r *schema.Relation) { r.ObjectRef = features.AnnotationRef{Name: "relations", ID: "r1"} })
	wantSelf := dataset.Violation{Check: dataset.RefID, Table: "relations", ID: "r1", Field: "subject_ref", Value: "r1", To: "relations"}
	wantFirst := dataset.Violation{Check: dataset.RefID, Table: "relations", ID: "r2", Field: "object_ref", Value: "r1", To: "relations"}

	// Rows of an Add or an Update refer to what is there before.
	err := ds.Add(ctx, "relations", []schema.Relation{self, toFirst})
	if diff := cmp.Diff([]dataset.Violation{wantSelf, wantFirst}, violations(t, err)); diff != "" {
		t.Errorf("add (-want +got):\n%s", diff)
	}
	_, err = ds.Update(ctx, "relations", []schema.Relation{self, toFirst})
	if diff := cmp.Diff([]dataset.Violation{wantSelf, wantFirst}, violations(t, err)); diff != "" {
		t.Errorf("update (-want +got):\n%s", diff)
	}

	// Those of a change set refer to what is there after it.
	set := func(changes ...dataset.Change) error {
		_, err := ds.Apply(ctx, dataset.ChangeSet{Changes: changes})
		return err
	}
	if err := set(dataset.Insert("relations", []schema.Relation{toFirst, self})); err != nil {
		t.Error(err)
	}
	if _, err := ds.Update(ctx, "relations", self); err != nil {
		t.Errorf("an update of a row that refers to itself and is there: %v", err)
	}
	err = set(dataset.Put("relations", toFirst), dataset.Delete("relations", "r1"))
	if diff := cmp.Diff([]dataset.Violation{wantFirst}, violations(t, err)); diff != "" {
		t.Errorf("reference to a row that the set deletes (-want +got):\n%s", diff)
	}
	err = set(dataset.Put("relations", relation("", nil)))
	if diff := cmp.Diff([]dataset.Violation{{Check: dataset.DefinedID, Table: "relations", Field: "id"}}, violations(t, err)); diff != "" {
		t.Errorf("no id in a change set (-want +got):\n%s", diff)
	}

	// What a set itself replaces or deletes is never stored, so it is not checked.
	broken := relation("r3", func(r *schema.Relation) { r.SubjectRef.ID = "zzz" })
	if err := set(dataset.Put("relations", broken), dataset.Put("relations", relation("r3", nil))); err != nil {
		t.Errorf("broken row that the set replaces: %v", err)
	}
	if err := set(dataset.Put("relations", broken), dataset.Delete("relations", "r3")); err != nil {
		t.Errorf("broken row that the set deletes: %v", err)
	}
	err = set(dataset.Put("relations", relation("r3", nil)), dataset.Put("relations", broken))
	want := dataset.Violation{Check: dataset.RefID, Table: "relations", ID: "r3", Field: "subject_ref", Value: "zzz", To: "boxes"}
	if diff := cmp.Diff([]dataset.Violation{want}, violations(t, err)); diff != "" {
		t.Errorf("broken row last (-want +got):\n%s", diff)
	}
	if found := all(t, ds.Check(ctx)); found != nil {
		t.Errorf("after all that: %v", found)
	}
}

// TestChecksOfAGroup adds rows at the same time whose outcome depends on each other: as one after the other, they end
// like that.
func TestChecksOfAGroup(t *testing.T) {
	ctx := t.Context()
	ds := checkedCopy(t, "multiview_text")
	unlock, err := dataset.Lock(ctx, ds)
	if err != nil {
		t.Fatal(err)
	}
	plain := ds.WithChecks(dataset.Checks{Ignore: []dataset.Check{dataset.UniqueID}})
	adds := []struct {
		to  *dataset.Dataset
		row schema.Relation
	}{
		{ds, relation("r0", nil)}, // is taken at once; the others wait together
		{plain, relation("r1", nil)},
		{ds, relation("r1", nil)},
		{ds, relation("r2", func(r *schema.Relation) { r.SubjectRef = features.AnnotationRef{Name: "relations", ID: "r1"} })},
		{ds, relation("r3", func(r *schema.Relation) { r.SubjectRef = features.AnnotationRef{Name: "relations", ID: "r2"} })},
		{ds, relation("r2", nil)},
	}
	errs := make([]error, len(adds))
	var wg sync.WaitGroup
	for i, add := range adds {
		wg.Go(func() { errs[i] = add.to.Add(ctx, "relations", add.row) })
		time.Sleep(20 * time.Millisecond) // the order of the queue
	}
	unlock()
	wg.Wait()
	unique := func(id string) []dataset.Violation {
		return []dataset.Violation{{Check: dataset.UniqueID, Table: "relations", ID: id, Field: "id", Value: id}}
	}
	want := [][]dataset.Violation{nil, nil, unique("r1"), nil, nil, unique("r2")}
	for i, err := range errs {
		if diff := cmp.Diff(want[i], violations(t, err)); diff != "" {
			t.Errorf("add %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestCheckModes(t *testing.T) {
	ctx := t.Context()
	bad := goodBox("n1", func(b *schema.BBox) { b.ViewRef.ID = "zzz" })
	bad2 := goodBox("box_001_0", nil)
	want := []dataset.Violation{
		{Check: dataset.RefID, Table: "bboxes", ID: "n1", Field: "view_ref", Value: "zzz", To: "image"},
		{Check: dataset.UniqueID, Table: "bboxes", ID: "box_001_0", Field: "id", Value: "box_001_0"},
	}
	for _, test := range []struct {
		mode   dataset.CheckMode
		stored bool
		warned bool
	}{{"", false, false}, {dataset.CheckRaise, false, false}, {dataset.CheckWarn, true, true}, {dataset.CheckNone, true, false}} {
		t.Run("mode "+string(test.mode), func(t *testing.T) {
			ds := checkedCopy(t, "image_detection")
			var warned []error
			var stored int64
			to := ds.WithChecks(dataset.Checks{Mode: test.mode, Warn: func(err error) {
				warned = append(warned, err)
				// The rows are stored, and nothing is locked.
				stored = must(ds.Count(ctx, "bboxes", dataset.Query{IDs: []string{"n1", "box_001_0"}}))
				if _, err := ds.Delete(ctx, "masks", "none"); err != nil {
					t.Error(err)
				}
			}})
			err := to.Add(ctx, "bboxes", []schema.BBox{bad, bad2})
			if got := violations(t, err); !test.stored && !cmp.Equal(got, want) || test.stored && err != nil {
				t.Errorf("got error %v", err)
			}
			if n := must(ds.Count(ctx, "bboxes", dataset.Query{IDs: []string{"n1", "box_001_0"}})); test.stored != (n == 3) {
				t.Errorf("%d rows are stored", n)
			}
			if !test.warned {
				if warned != nil {
					t.Errorf("got warnings %v", warned)
				}
				return
			}
			if len(warned) != 1 || stored != 3 {
				t.Fatalf("got warnings %v, with %d rows stored", warned, stored)
			}
			if diff := cmp.Diff(want, violations(t, warned[0])); diff != "" {
				t.Errorf("warned of (-want +got):\n%s", diff)
			}
		})
	}
	ds := checkedCopy(t, "image_detection")
	for _, c := range []dataset.Checks{{Mode: "strict"}, {Values: "raise!"}, {Ignore: []dataset.Check{"UNIQUE_ID"}}} {
		to := ds.WithChecks(c)
		wantError(t, to.Add(ctx, "bboxes", goodBox("n1", nil)), dataset.ErrQuery, "want")
		_, err := to.CheckIntegrity(ctx, 0)
		wantError(t, err, dataset.ErrQuery, "want")
	}
}

// TestIgnoredChecks makes a row that fails every check, and ignores them one after the other.
func TestIgnoredChecks(t *testing.T) {
	ctx := t.Context()
	ds := checkedCopy(t, "image_detection")
	row := goodBox("", func(b *schema.BBox) { b.ItemRef.ID, b.ViewRef.Name, b.EntityRef.Name = "zzz", "objects", "nowhere" })
	rows := []schema.BBox{row, row}
	var ignored []dataset.Check
	for _, check := range []dataset.Check{dataset.DefinedID, dataset.UniqueID, dataset.RefName, dataset.RefType, dataset.RefID} {
		to := ds.WithChecks(dataset.Checks{Ignore: ignored})
		err := to.Add(ctx, "bboxes", rows)
		for _, v := range violations(t, err) {
			if v.Check != check {
				t.Errorf("ignoring %v: got %v", ignored, v)
			}
		}
		if err == nil {
			t.Errorf("ignoring %v: the rows were stored", ignored)
		}
		ignored = append(ignored, check)
	}
	to := ds.WithChecks(dataset.Checks{Ignore: ignored})
	if err := to.Add(ctx, "bboxes", rows); err != nil {
		t.Fatal(err)
	}
	if found := all(t, to.Check(ctx)); found != nil {
		t.Errorf("ignoring all: got %v", found)
	}
	for i := range ignored {
		found := all(t, ds.WithChecks(dataset.Checks{Ignore: ignored[:i]}).Check(ctx))
		if len(found) != 2 || found[0].Check != ignored[i] || found[1].Check != ignored[i] {
			t.Errorf("ignoring %v: got %v", ignored[:i], found)
		}
	}
}

// TestCheckGolden: what the reference implementation wrote and found sound is sound.
func TestCheckGolden(t *testing.T) {
	for _, name := range []string{"image_detection", "image_detection_f1098606", "multiview_text", "video_tracking", "vqa"} {
		if found := all(t, openGolden(t, name).Check(t.Context())); found != nil {
			t.Errorf("%s: got %v", name, found)
		}
	}
}

func TestCheck(t *testing.T) {
	ctx := t.Context()
	ds := checkedCopy(t, "image_detection")
	none := ds.WithChecks(dataset.Checks{Mode: dataset.CheckNone})
	add := func(table string, rows any) {
		t.Helper()
		if err := none.Add(ctx, table, rows); err != nil {
			t.Fatal(err)
		}
	}
	// Rows that are sound, in spite of their ids.
	source := schema.Source{ID: oddID, Name: "n", Kind: schema.SourceOther, Metadata: "{}"}
	add("source", source)
	add("bboxes", goodBox(oddID, func(b *schema.BBox) { b.SourceRef.ID = oddID }))
	dataset.Store(t, ds, "bboxes", []schema.BBox{
		goodBox(oddID+"2", func(b *schema.BBox) { b.ItemRef = features.ItemRef{Name: "bboxes", ID: oddID} }),
		goodBox(oddID+"3", func(b *schema.BBox) { b.ItemRef = features.ItemRef{Name: "bboxes", ID: oddID + "3"} }),
	})
	if found := all(t, ds.Check(ctx)); found != nil {
		t.Fatalf("got %v", found)
	}
	want := map[string][]dataset.Violation{}
	seen := map[string]bool{}
	for _, test := range refusals {
		for _, row := range test.rows {
			i := slices.IndexFunc(test.want, func(v dataset.Violation) bool { return v.ID == row.ID })
			if i >= 0 && test.want[i].Check == dataset.UniqueID {
				continue // whether it fails depends on what else is there
			}
			if row.ID != "" {
				row.ID = fmt.Sprintf("%s/%s", strings.ReplaceAll(test.name, " ", "-"), row.ID)
			}
			if i >= 0 {
				v := test.want[i]
				v.ID = row.ID
				want["bboxes"] = append(want["bboxes"], v)
			} else if test.update || seen[row.ID] {
				continue
			}
			seen[row.ID] = true
			dataset.Store(t, ds, "bboxes", []schema.BBox{row})
		}
	}
	// A row stored twice makes one violation where each lies.
	first := must(ds.CheckIntegrity(ctx, 0, "bboxes"))
	if diff := cmp.Diff(want["bboxes"], first); diff != "" {
		t.Errorf("bboxes (-want +got):\n%s", diff)
	}
	repeated := dataset.Violation{Check: dataset.UniqueID, Table: "bboxes", ID: oddID, Field: "id", Value: oddID}
	add("bboxes", goodBox(oddID, nil))
	want["bboxes"] = append(append([]dataset.Violation{repeated}, want["bboxes"]...), repeated)
	item := get[*schema.Dynamic](t, ds, "item", dataset.Query{Limit: 1})[0]
	id := must(schema.ID(item))
	add("item", item)
	for range 2 {
		want["item"] = append(want["item"], dataset.Violation{Check: dataset.UniqueID, Table: "item", ID: id, Field: "id", Value: id})
	}
	add("source", source)
	for range 2 {
		want["source"] = append(want["source"], dataset.Violation{Check: dataset.UniqueID, Table: "source", ID: oddID, Field: "id", Value: oddID})
	}
	if _, err := ds.Delete(ctx, "image", "img_023"); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"objects", "masks", "keypoints", "labels", "image_embedding", "toy_embedding", "bboxes"} {
		var to []dataset.Violation
		for _, row := range get[*schema.Dynamic](t, ds, table, dataset.Query{Where: "view_ref.id = 'img_023'"}) {
			to = append(to, dataset.Violation{
				Check: dataset.RefID, Table: table, ID: must(schema.ID(row)), Field: "view_ref", Value: "img_023", To: "image"})
		}
		if len(to) == 0 && table != "objects" {
			t.Errorf("%s has no row to img_023", table)
		}
		want[table] = append(to, want[table]...) // they were stored first
	}
	var wantAll []dataset.Violation
	for _, table := range append(ds.Schema().Tables(), schema.SourceTable) {
		found := all(t, ds.CheckTable(ctx, table))
		if diff := cmp.Diff(want[table], found); diff != "" {
			t.Errorf("%s (-want +got):\n%s", table, diff)
		}
		if table != schema.SourceTable {
			wantAll = append(wantAll, want[table]...)
		}
	}
	check := ds.Check(ctx)
	for range 2 { // ranging again checks again
		if diff := cmp.Diff(wantAll, all(t, check)); diff != "" {
			t.Errorf("all tables (-want +got):\n%s", diff)
		}
	}
	if diff := cmp.Diff(wantAll, must(ds.CheckIntegrity(ctx, 0))); diff != "" {
		t.Errorf("CheckIntegrity (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantAll[:3], must(ds.CheckIntegrity(ctx, 3))); diff != "" {
		t.Errorf("limit (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(append(slices.Clone(want["item"]), want["masks"]...), must(ds.CheckIntegrity(ctx, -1, "item", "masks"))); diff != "" {
		t.Errorf("two tables (-want +got):\n%s", diff)
	}
	for _, v := range wantAll {
		if text := v.String(); !strings.Contains(text, v.Table) || strings.Contains(text, "\n") {
			t.Errorf("violation %+v prints as %q", v, text)
		}
	}
}

// TestCheckComparesIDs: with hashes that tell nothing, what is reported is still true.
func TestCheckComparesIDs(t *testing.T) {
	ctx := t.Context()
	ds := checkedCopy(t, "image_detection")
	none := ds.WithChecks(dataset.Checks{Mode: dataset.CheckNone})
	if err := none.Add(ctx, "bboxes", []schema.BBox{goodBox("box_001_0", nil), goodBox("n1", nil), goodBox("n1", nil)}); err != nil {
		t.Fatal(err)
	}
	want := []string{"box_001_0", "box_001_0", "n1", "n1"}
	for name, hash := range map[string]func(string) uint64{
		"one hash":    func(string) uint64 { return 7 },
		"by length":   func(id string) uint64 { return uint64(len(id)) },
		"by its last": func(id string) uint64 { return uint64(id[len(id)-1]) },
	} {
		var got []string
		for v, err := range dataset.CheckHashed(ctx, ds, "bboxes", hash) {
			if err != nil {
				t.Fatal(err)
			}
			if v.Check != dataset.UniqueID {
				t.Errorf("%s: got %v", name, v)
			}
			got = append(got, v.ID)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

// TestCheckSeesOneState changes the dataset in the middle of a check.
func TestCheckSeesOneState(t *testing.T) {
	ctx := t.Context()
	ds := checkedCopy(t, "image_detection")
	if _, err := ds.Delete(ctx, "item", "item_023"); err != nil {
		t.Fatal(err)
	}
	want := must(ds.CheckIntegrity(ctx, 0))
	if len(want) < 5 || want[0].Table != "image" {
		t.Fatalf("got %v", want)
	}
	var got []dataset.Violation
	for v, err := range ds.Check(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, v); len(got) == 1 {
			ids := []string{}
			for _, row := range get[*schema.Dynamic](t, ds, "objects", dataset.Query{}) {
				ids = append(ids, must(schema.ID(row)))
			}
			if _, err := ds.Delete(ctx, "objects", ids...); err != nil {
				t.Fatal(err)
			}
			if _, err := ds.DeleteItems(ctx, "item_001", "item_002"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("with changes in between (-want +got):\n%s", diff)
	}
	if now := must(ds.CheckIntegrity(ctx, 0)); len(now) <= len(want) {
		t.Errorf("got %d violations afterwards, had %d", len(now), len(want))
	}
}

func TestCheckErrors(t *testing.T) {
	ctx := t.Context()
	ds := checkedCopy(t, "image_detection")
	last := func(check iter.Seq2[dataset.Violation, error]) (err error) {
		n := 0
		for _, err = range check {
			if n++; err != nil && n > 1 {
				t.Errorf("the error is pair %d", n)
			}
		}
		return err
	}
	wantError(t, last(ds.CheckTable(ctx, "nowhere")), dataset.ErrNotFound, "check nowhere", "bboxes")
	_, err := ds.CheckIntegrity(ctx, 1, "item", "nowhere")
	wantError(t, err, dataset.ErrNotFound, "nowhere")
	wantError(t, last(openGolden(t, "record_image").Check(ctx)), dataset.ErrUnsupported, "record layout")
	wantError(t, last(openGolden(t, "record_image").CheckTable(ctx, "image")), dataset.ErrUnsupported, "record layout")
	ended, cancel := context.WithCancel(ctx)
	cancel()
	wantError(t, last(ds.Check(ended)), context.Canceled)
	for range 3 {
		for range ds.Check(ctx) {
			break
		}
	}
	if err := ds.Close(); err != nil {
		t.Fatal(err)
	}
	wantError(t, last(ds.Check(ctx)), dataset.ErrClosed)

	// A table that is missing matters where it is needed.
	dir := copyGolden(t, "image_detection")
	remove(t, filepath.Join(dir, "db", "objects.lance"))
	ds, err = dataset.Open(ctx, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	for _, table := range []string{"item", "image", "image_embedding"} {
		if found := all(t, ds.CheckTable(ctx, table)); found != nil {
			t.Errorf("%s: got %v", table, found)
		}
	}
	for _, table := range []string{"objects", "bboxes"} {
		wantError(t, last(ds.CheckTable(ctx, table)), dataset.ErrNotFound, "check objects", "objects.lance")
	}
	wantError(t, last(ds.Check(ctx)), os.ErrNotExist, "objects")
}

// TestCheckManyRows measures the memory for a table of 300,000 rows, without and with ids that are there twice.
func TestCheckManyRows(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const rows, twice = 300_000, 150_000
	ctx := t.Context()
	ds := checkedCopy(t, "image_detection")
	if twice <= dataset.SuspectIDs {
		t.Fatalf("%d repeated ids are compared in one read", twice)
	}
	store := func(n int) {
		for from := 0; from < n; from += 50_000 {
			boxes := make([]schema.BBox, min(50_000, n-from))
			for i := range boxes {
				boxes[i] = goodBox(fmt.Sprintf("a-rather-long-id-as-uuids-are-%08d", from+i), func(b *schema.BBox) {
					b.EntityRef.ID = fmt.Sprintf("obj_%03d_0", (from+i)%24)
				})
			}
			dataset.Store(t, ds, "bboxes", boxes)
		}
	}
	// The heap is kept close to what is in use, and looked at all the time.
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	check := func(name string, most uint64) (found map[dataset.Check]int) {
		found = map[dataset.Check]int{}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		before := m.HeapAlloc
		var peak atomic.Uint64
		done, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				select {
				case <-done:
					return
				case <-time.After(2 * time.Millisecond):
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					peak.Store(max(peak.Load(), m.HeapAlloc))
				}
			}
		}()
		start := time.Now()
		for v, err := range ds.Check(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			found[v.Check]++
		}
		took := time.Since(start)
		close(done)
		<-stopped
		used := peak.Load() - min(peak.Load(), before)
		t.Logf("%s: %v, heap %.1f MB above %.1f", name, took, float64(used)/1e6, float64(before)/1e6)
		if used > most {
			t.Errorf("%s: %d bytes of heap, want at most %d", name, used, most)
		}
		return found
	}
	store(rows)
	dangling := check("unique ids", 16<<20)
	store(twice)
	found := check("repeated ids", 40<<20)
	if found[dataset.UniqueID] != 2*twice {
		t.Errorf("got %d repeated ids, want %d", found[dataset.UniqueID], 2*twice)
	}
	// Entities that are not there are found among the rows whose ids are unique.
	if dangling[dataset.UniqueID] != 0 || dangling[dataset.RefID] != 2*found[dataset.RefID] || found[dataset.RefID] == 0 {
		t.Errorf("got %v without and %v with repeated ids", dangling, found)
	}
}
