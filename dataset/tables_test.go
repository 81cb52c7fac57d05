package dataset_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/internal/lance"
	"pixano/schema"
)

func tableNames(ds *dataset.Dataset) []string {
	var names []string
	for _, t := range ds.Tables() {
		names = append(names, t.Name)
	}
	return names
}

func TestCreateTable(t *testing.T) {
	needEngine(t)
	dir := copyGolden(t, "vqa")
	ds, err := dataset.Open(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	before := ds.Tables()
	dynamic := must(schema.NewDynamic(must(schema.ClassOf(schema.Text{}))))
	for _, test := range []struct {
		name     string
		class    any
		relation schema.SchemaRelation
		many     bool
		want     dataset.TableInfo
	}{
		{"boxes.2d", schema.BBox{}, schema.ManyToOne, true, dataset.TableInfo{Group: schema.GroupAnnotations, Schema: "BBox", BaseSchema: "BBox"}},
		{"things", &Thing{}, schema.ManyToOne, true, dataset.TableInfo{Group: schema.GroupEntities, Schema: "Thing", BaseSchema: "Entity"}},
		{"thumb", reflect.TypeFor[schema.Image](), schema.OneToOne, false, dataset.TableInfo{Group: schema.GroupViews, Schema: "Image", BaseSchema: "Image"}},
		{"text", dynamic, schema.OneToOne, false, dataset.TableInfo{Group: schema.GroupViews, Schema: "Text", BaseSchema: "Text"}},
		{"clip", must(must(schema.ClassOf(schema.ViewEmbedding{})).WithDim(4)), schema.ManyToOne, true, dataset.TableInfo{Group: schema.GroupEmbeddings, Schema: "ViewEmbedding", BaseSchema: "ViewEmbedding"}},
	} {
		if err := ds.CreateTable(t.Context(), test.name, test.class, test.relation); err != nil {
			t.Fatal(err)
		}
		test.want.Name = test.name
		if !slices.Contains(ds.Tables(), test.want) {
			t.Errorf("%s: want %+v among %+v", test.name, test.want, ds.Tables())
		}
		if ds.Schema().Many(test.name) != test.many {
			t.Errorf("%s: several rows per item: %v", test.name, !test.many)
		}
		if n, err := ds.Count(t.Context(), test.name, dataset.Query{}); n != 0 || err != nil {
			t.Errorf("%s: %d rows (%v), want none", test.name, n, err)
		}
	}
	for _, b := range before {
		if !slices.Contains(ds.Tables(), b) {
			t.Errorf("%s is gone", b.Name)
		}
	}
	again, err := dataset.Open(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if diff := cmp.Diff(ds.Tables(), again.Tables()); diff != "" || !ds.Schema().Equal(again.Schema()) {
		t.Errorf("opened again (-want +got):\n%s", diff)
	}
	if n, err := again.Count(t.Context(), "messages", dataset.Query{}); n != 24 || err != nil {
		t.Errorf("messages: %d rows (%v), want 24", n, err)
	}
}

func TestCreateTableErrors(t *testing.T) {
	needEngine(t)
	dir := copyGolden(t, "vqa")
	ds, err := dataset.Open(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	// The lock file comes with the first change.
	wantError(t, ds.DropTable(t.Context(), "nope"), dataset.ErrNotFound, "drop table nope: no such table: want one of item")
	before := files(t, dir)
	for _, test := range []struct {
		name     string
		class    any
		relation schema.SchemaRelation
		kind     error
	}{
		{"Boxes", schema.BBox{}, schema.ManyToOne, dataset.ErrSchema},
		{"a/b", schema.BBox{}, schema.ManyToOne, dataset.ErrSchema},
		{"..", schema.BBox{}, schema.ManyToOne, dataset.ErrSchema},
		{"", schema.BBox{}, schema.ManyToOne, dataset.ErrSchema},
		{"image", schema.BBox{}, schema.ManyToOne, dataset.ErrSchema},
		{"item", schema.BBox{}, schema.ManyToOne, dataset.ErrSchema},
		{"source", schema.BBox{}, schema.ManyToOne, dataset.ErrSchema},
		{"items", schema.Item{}, schema.ManyToOne, dataset.ErrSchema},
		{"sources", schema.Source{}, schema.ManyToOne, dataset.ErrSchema},
		{"vectors", schema.ViewEmbedding{}, schema.ManyToOne, dataset.ErrSchema},
		{"boxes", schema.BBox{}, "some_to_none", dataset.ErrSchema},
		{"boxes", "no row", schema.ManyToOne, dataset.ErrSchema},
		{"boxes", nil, schema.ManyToOne, dataset.ErrSchema},
		{"boxes", (*schema.Class)(nil), schema.ManyToOne, dataset.ErrSchema},
	} {
		wantError(t, ds.CreateTable(t.Context(), test.name, test.class, test.relation), test.kind, strings.TrimSpace("create table "+test.name))
	}
	wantError(t, ds.DropTable(t.Context(), "item"), dataset.ErrSchema, "every dataset has this table")
	wantError(t, ds.DropTable(t.Context(), "source"), dataset.ErrSchema, "every dataset has this table")
	if diff := cmp.Diff(before, files(t, dir)); diff != "" {
		t.Errorf("something was changed (-want +got):\n%s", diff)
	}
}

func TestDropTable(t *testing.T) {
	needEngine(t)
	dir := copyGolden(t, "image_detection")
	ds, err := dataset.Open(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	want := slices.DeleteFunc(ds.Tables(), func(t dataset.TableInfo) bool { return t.Name == "objects" })
	if _, err := read(t.Context(), ds, "objects", dataset.Query{}); err != nil { // so that the table is open
		t.Fatal(err)
	}
	if err := ds.DropTable(t.Context(), "objects"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, ds.Tables()); diff != "" {
		t.Errorf("tables (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(dir + "/db/objects.lance"); err == nil {
		t.Error("the rows are still there")
	}
	_, err = read(t.Context(), ds, "objects", dataset.Query{})
	wantError(t, err, dataset.ErrNotFound, "read objects: no such table")
	if c := ds.Constraints("objects"); len(c) > 0 {
		t.Errorf("constraints are left: %v", c)
	}
	if c := ds.Constraints("bboxes"); len(c) != 1 {
		t.Errorf("constraints of another table: %v, want 1", c)
	}
	if _, ok := ds.Schema().Relation("item", "objects"); ok {
		t.Error("a relation is left")
	}
	again, err := dataset.Open(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if diff := cmp.Diff(want, again.Tables()); diff != "" {
		t.Errorf("opened again (-want +got):\n%s", diff)
	}
	if n, err := read(t.Context(), again, "bboxes", dataset.Query{}); n == 0 || err != nil {
		t.Errorf("rows that refer to it: %d (%v)", n, err)
	}
	// A new table of the name, read through the same handle, is the new one.
	if err := ds.CreateTable(t.Context(), "objects", Thing{}, schema.ManyToOne); err != nil {
		t.Fatal(err)
	}
	if n, err := read(t.Context(), ds, "objects", dataset.Query{}); n != 0 || err != nil {
		t.Errorf("the new table: %d rows (%v), want none", n, err)
	}
}

// TestOrphans: a crash between the files of a table and schema.json leaves a table that is not declared. Without rows it
// is replaced, with rows it is not.
func TestOrphans(t *testing.T) {
	needEngine(t)
	path := filepath.Join(t.TempDir(), "ds")
	ds := newDataset(t, path, dataset.Info{}, nil)
	conn, err := lance.Connect(t.Context(), filepath.Join(path, "db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	columns := arrow.NewSchema([]arrow.Field{{Name: "x", Type: arrow.PrimitiveTypes.Int64}}, nil)
	orphan := func(name string, rows ...int64) {
		b := array.NewRecordBuilder(memory.DefaultAllocator, columns)
		b.Field(0).(*array.Int64Builder).AppendValues(rows, nil)
		table, err := conn.CreateTable(t.Context(), name, columns, lance.FromBatches(columns, b.NewRecordBatch()), nil)
		if err != nil {
			t.Fatal(err)
		}
		table.Close()
	}
	orphan("empty")
	orphan("full", 1, 2)
	orphan("cut", 1)
	remove(t, filepath.Join(path, "db/cut.lance/_versions"))
	if err := os.MkdirAll(filepath.Join(path, "db/begun.lance/_transactions"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"empty", "begun"} {
		if err := ds.CreateTable(t.Context(), name, schema.BBox{}, schema.ManyToOne); err != nil {
			t.Fatal(err)
		}
		if got, err := ds.Columns(t.Context(), name); err != nil || got.HasField("x") {
			t.Errorf("%s: columns %v (%v)", name, got, err)
		}
	}
	before := files(t, path)
	err = ds.CreateTable(t.Context(), "full", schema.BBox{}, schema.ManyToOne)
	wantError(t, err, dataset.ErrExists, "create table full: db/full.lance holds 2 rows of a table that schema.json does not list")
	err = ds.CreateTable(t.Context(), "cut", schema.BBox{}, schema.ManyToOne)
	wantError(t, err, dataset.ErrExists, "create table cut: db/cut.lance holds data")
	if diff := cmp.Diff(before, files(t, path)); diff != "" {
		t.Errorf("something was changed (-want +got):\n%s", diff)
	}
}

// TestTablesOfTwoHandles: handles that each know other tables do not lose those of the other, as two processes would.
func TestTablesOfTwoHandles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ds")
	newDataset(t, path, dataset.Info{}, nil)
	const handles, tables = 3, 4
	var group sync.WaitGroup
	for h := range handles {
		ds, err := dataset.Open(t.Context(), path, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer ds.Close()
		group.Go(func() {
			for i := range tables {
				if err := ds.CreateTable(t.Context(), fmt.Sprintf("t%d_%d", h, i), schema.BBox{}, schema.ManyToOne); err != nil {
					t.Error(err)
				}
			}
			if err := ds.DropTable(t.Context(), fmt.Sprintf("t%d_0", h)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	ds, err := dataset.Open(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	want := []string{"item", "image", "objects", "bboxes", "vectors", "source"}
	for h := range handles {
		for i := 1; i < tables; i++ {
			want = append(want, fmt.Sprintf("t%d_%d", h, i))
		}
	}
	got := tableNames(ds)
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tables (-want +got):\n%s", diff)
	}
}
