package dataset_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/features"
	"pixano/schema"
)

// The classes of the golden dataset image_detection.
type (
	DetectedObject struct {
		schema.Entity
		Category   string
		Occluded   bool
		Area       float64
		Rank       int64
		Attributes []string
	}
	Detection struct {
		schema.Item
		Category   string
		Difficulty int64
		Score      float64
		Reviewed   bool
		Tags       []string
		CapturedAt time.Time
		Image      schema.Image
		Objects    []DetectedObject
		BBoxes     []schema.BBox `pixano:"bboxes"`
		Masks      []schema.CompressedRLE
		KeyPoints  []schema.KeyPoints      `pixano:"keypoints"`
		Toy        []schema.ViewEmbedding  `pixano:"toy_embedding,dim=8"`
		Labels     []schema.Classification `pixano:"labels"`
	}
)

// openGolden opens a golden dataset for reading.
func openGolden(t testing.TB, name string) *dataset.Dataset {
	t.Helper()
	needEngine(t)
	ds, err := dataset.OpenTables(t.Context(), goldenDir+"/"+name, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ds.Close() })
	return ds
}

// get reads rows of any type as a slice of it.
func get[T any](t *testing.T, ds *dataset.Dataset, table string, q dataset.Query) []T {
	t.Helper()
	var rows []T
	if err := ds.Get(t.Context(), table, &rows, q); err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestGetTypes reads the same rows into every type of slice.
func TestGetTypes(t *testing.T) {
	ds := openGolden(t, "image_detection")
	q := dataset.Query{Where: "confidence > 0.6", OrderBy: "confidence"}
	want := get[schema.BBox](t, ds, "bboxes", q)
	if len(want) < 5 {
		t.Fatalf("got %d boxes", len(want))
	}
	as := func(rows any) (list []schema.BBox) {
		v := reflect.ValueOf(rows)
		for i := range v.Len() {
			var b schema.BBox
			raw, err := schema.EncodeJSON(v.Index(i).Interface())
			if err == nil {
				err = schema.DecodeJSON(raw, &b)
			}
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, b)
		}
		return list
	}
	for name, rows := range map[string]any{
		"pointers":         get[*schema.BBox](t, ds, "bboxes", q),
		"dynamic":          get[schema.Dynamic](t, ds, "bboxes", q),
		"dynamic pointers": get[*schema.Dynamic](t, ds, "bboxes", q),
		"any":              get[any](t, ds, "bboxes", q),
		"schema.Row":       get[schema.Row](t, ds, "bboxes", q),
	} {
		if diff := cmp.Diff(want, as(rows)); diff != "" {
			t.Errorf("%s (-struct +got):\n%s", name, diff)
		}
	}
	for i, row := range get[dataset.Row](t, ds, "bboxes", q) {
		if row.ID() != want[i].ID || !reflect.DeepEqual(row.Value("coords"), want[i].Coords) {
			t.Errorf("row %d is %s, want %+v", i, row, want[i])
		}
	}
	for i, a := range get[schema.Annotation](t, ds, "bboxes", q) { // fewer columns
		if diff := cmp.Diff(want[i].Annotation, a); diff != "" {
			t.Errorf("annotation %d (-want +got):\n%s", i, diff)
		}
	}
	// A struct declared in a notebook cell is unnamed, and what it embeds an ordinary field.
	cell := get[struct {
		Entity   schema.Entity
		Category string
		Rank     int64
	}](t, ds, "objects", dataset.Query{OrderBy: "id", Limit: 3})
	for i, o := range get[DetectedObject](t, ds, "objects", dataset.Query{OrderBy: "id", Limit: 3}) {
		if diff := cmp.Diff(o.Entity, cell[i].Entity); diff != "" || o.Category != cell[i].Category || o.Rank != cell[i].Rank {
			t.Errorf("object %d (-want +got):\n%s", i, diff)
		}
	}
	// An aggregate is read without its tables.
	type wantItem struct {
		ID, Split, Category string
		Tags                []string
	}
	detections := get[*Detection](t, ds, "item", dataset.Query{})
	for i, row := range get[dataset.Row](t, ds, "item", dataset.Query{}) {
		d := detections[i]
		want := wantItem{row.ID(), row.Value("split").(string), row.Value("category").(string), row.Value("tags").([]string)}
		if diff := cmp.Diff(want, wantItem{d.ID, d.Split, d.Category, d.Tags}); diff != "" || !d.CapturedAt.Equal(row.Value("captured_at").(time.Time)) {
			t.Errorf("item %d (-want +got):\n%s", i, diff)
		}
		if d.BBoxes != nil || d.Image.ID != "" {
			t.Errorf("item %d has rows of other tables", i)
		}
	}
	records := openGolden(t, "record_image")
	if rows := get[any](t, records, "records", dataset.Query{Limit: 1}); rows[0].(dataset.Row).ID() != "rec_3" {
		t.Errorf("got %v", rows)
	}
	var dynamic []*schema.Dynamic
	wantError(t, records.Get(t.Context(), "records", &dynamic, dataset.Query{}), dataset.ErrUnsupported, "dataset.Row")
}

func TestGetReplaces(t *testing.T) {
	ds := openGolden(t, "image_detection")
	sources := []schema.Source{{ID: "old"}, {ID: "older"}, {ID: "oldest"}, {ID: "eldest"}, {ID: "first"}}
	kept := sources
	if err := ds.Get(t.Context(), "source", &sources, dataset.Query{IDs: []string{"src_human"}}); err != nil {
		t.Fatal(err)
	}
	if len(sources) != 1 || sources[0].ID != "src_human" || kept[0].ID != "old" {
		t.Errorf("got %v, and %v before", sources, kept)
	}
	if err := ds.Get(t.Context(), "source", &sources, dataset.Query{IDs: []string{}}); err != nil || sources == nil || len(sources) > 0 {
		t.Errorf("got %v (%v), want no rows and not nil", sources, err)
	}
}

func TestGetErrors(t *testing.T) {
	ds := openGolden(t, "image_detection")
	type wrong struct {
		schema.Annotation
		Coords []int64
	}
	type more struct {
		schema.BBox
		Colour string
	}
	type whole struct {
		schema.Item
		Boxes []schema.BBox
	}
	tests := []struct {
		name  string
		table string
		dst   any
		q     dataset.Query
		kind  error
		parts []string
	}{
		{"nil", "bboxes", nil, dataset.Query{}, dataset.ErrQuery, []string{"want a pointer to a slice"}},
		{"a slice", "bboxes", []schema.BBox{}, dataset.Query{}, dataset.ErrQuery, []string{"read into []schema.BBox"}},
		{"a nil pointer", "bboxes", (*[]schema.BBox)(nil), dataset.Query{}, dataset.ErrQuery, []string{"want a pointer to a slice"}},
		{"a pointer to a row", "bboxes", &schema.BBox{}, dataset.Query{}, dataset.ErrQuery, []string{"*schema.BBox"}},
		{"numbers", "bboxes", &[]int{}, dataset.Query{}, dataset.ErrSchema, []string{"bboxes", "int"}},
		{"errors", "bboxes", &[]error{}, dataset.Query{}, dataset.ErrSchema, []string{"rows of type error"}},
		{"another group", "bboxes", &[]schema.Entity{}, dataset.Query{}, dataset.ErrSchema, []string{"get bboxes"}},
		{"another column type", "bboxes", &[]wrong{}, dataset.Query{}, dataset.ErrSchema, []string{"coords"}},
		{"a further column", "bboxes", &[]more{}, dataset.Query{}, dataset.ErrSchema, []string{"colour"}},
		{"a whole item", "bboxes", &[]whole{}, dataset.Query{}, dataset.ErrSchema, []string{"is a whole item"}},
		{"unknown table", "nope", &[]schema.BBox{}, dataset.Query{}, dataset.ErrNotFound, []string{"nope", "want one of item"}},
		{"unknown table, rows", "nope", &[]dataset.Row{}, dataset.Query{}, dataset.ErrNotFound, []string{"nope"}},
		{"columns", "bboxes", &[]schema.BBox{}, dataset.Query{Columns: []string{"id"}}, dataset.ErrQuery, []string{"columns", "want none"}},
		{"condition", "bboxes", &[]schema.BBox{}, dataset.Query{Where: "nope = 1"}, dataset.ErrQuery, []string{"where", `no column "nope"`}},
		{"condition of wrong types", "bboxes", &[]schema.BBox{}, dataset.Query{Where: "coords > 'x'"}, dataset.ErrQuery, []string{"where"}},
		{"limit", "bboxes", &[]schema.BBox{}, dataset.Query{Limit: -1}, dataset.ErrQuery, []string{"limit: -1: want 0 or more"}},
		{"id that is no text", "bboxes", &[]schema.BBox{}, dataset.Query{IDs: []string{"\xff"}}, dataset.ErrQuery, []string{"ids", "UTF-8"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantError(t, ds.Get(t.Context(), test.table, test.dst, test.q), test.kind, test.parts...)
		})
	}
	boxes := []schema.BBox{schema.NewBBox("kept")}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := ds.Get(ctx, "bboxes", &boxes, dataset.Query{})
	if wantError(t, err, context.Canceled); len(boxes) != 1 || boxes[0].ID != "kept" {
		t.Errorf("the rows were changed to %v", boxes)
	}
}

// TestColumnsOfTableAndSchemaDiffer: a column that schema.json lists and the table lacks is named.
func TestColumnsOfTableAndSchemaDiffer(t *testing.T) {
	dir := copyGolden(t, "image_detection")
	needEngine(t)
	raw, err := os.ReadFile(dir + "/schema.json")
	if err != nil {
		t.Fatal(err)
	}
	const column = `"is_normalized": {`
	write(t, dir+"/schema.json", strings.Replace(string(raw), column, `"is_normalised": {"type": "bool", "collection": false}, `+column, 1))
	ds, err := dataset.Open(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	var rows []any
	wantError(t, ds.Get(t.Context(), "bboxes", &rows, dataset.Query{Limit: 1}), dataset.ErrSchema, "bboxes", "is_normalised")
	if boxes := get[schema.BBox](t, ds, "bboxes", dataset.Query{Limit: 1}); len(boxes) != 1 {
		t.Errorf("got %d boxes", len(boxes))
	}
}

func TestShapes(t *testing.T) {
	ds := openGolden(t, "image_detection")
	stored := get[dataset.Row](t, ds, "toy_embedding", dataset.Query{Limit: 2})
	if shape := stored[0].Value("shape").([]int64); len(shape) != 0 {
		t.Fatalf("the stored shape is %v, want one to be filled", shape)
	}
	for _, e := range get[schema.ViewEmbedding](t, ds, "toy_embedding", dataset.Query{}) {
		if diff := cmp.Diff([]int64{8}, e.Shape); diff != "" {
			t.Errorf("%s: shape (-want +got):\n%s", e.ID, diff)
		}
	}
	for _, e := range get[any](t, ds, "toy_embedding", dataset.Query{}) {
		if shape, _ := schema.Value(e, "shape"); !reflect.DeepEqual(shape, []int64{8}) {
			t.Errorf("dynamic: shape %v", shape)
		}
	}
	var wholes []struct { // where the shape is not asked for, none is filled
		Item schema.Item
		Toy  []schema.ViewEmbedding `pixano:"toy_embedding"`
	}
	if err := ds.Items(t.Context(), &wholes, dataset.Query{IDs: []string{"item_003"}}); err != nil {
		t.Fatal(err)
	}
	if len(wholes) != 1 || len(wholes[0].Toy) != 1 || !slices.Equal(wholes[0].Toy[0].Shape, []int64{8}) {
		t.Errorf("got %+v", wholes)
	}
}

func TestByID(t *testing.T) {
	ds := openGolden(t, "image_detection")
	ids := []string{"box_011_0", "no", "box_003_1", "box_011_0", "", "no"}
	var boxes []schema.BBox
	missing, err := ds.ByID(t.Context(), "bboxes", &boxes, ids...)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, b := range boxes {
		got = append(got, b.ID)
	}
	if diff := cmp.Diff([]string{"box_011_0", "box_003_1", "box_011_0"}, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"no", "", "no"}, missing); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
	for _, dst := range []any{&[]any{}, &[]dataset.Row{}, &[]*schema.BBox{}, &[]schema.Dynamic{}} {
		missing, err := ds.ByID(t.Context(), "bboxes", dst, ids...)
		if err != nil || len(missing) != 3 || reflect.ValueOf(dst).Elem().Len() != 3 {
			t.Errorf("%T: got %v, missing %v (%v)", dst, dst, missing, err)
		}
	}
	if missing, err := ds.ByID(t.Context(), "bboxes", &boxes); err != nil || missing != nil || len(boxes) != 0 {
		t.Errorf("no ids: got %v, missing %v (%v)", boxes, missing, err)
	}
	_, err = ds.ByID(t.Context(), "nope", &boxes, "a")
	wantError(t, err, dataset.ErrNotFound, "nope")
	_, err = ds.ByID(t.Context(), "bboxes", boxes, "a")
	wantError(t, err, dataset.ErrQuery, "pointer to a slice")
	_, err = ds.Exist(t.Context(), "nope", "a")
	wantError(t, err, dataset.ErrNotFound, "nope")
	_, err = ds.IDs(t.Context(), "nope", dataset.Query{})
	wantError(t, err, dataset.ErrNotFound, "nope")
}

func TestResolve(t *testing.T) {
	ctx := t.Context()
	ds := openGolden(t, "image_detection")
	var box schema.BBox
	if err := ds.Resolve(ctx, features.Annotation("bboxes", "box_003_1"), &box); err != nil || box.ID != "box_003_1" {
		t.Fatal(box, err)
	}
	var object *DetectedObject
	if err := ds.Resolve(ctx, &box.EntityRef, &object); err != nil || object.ID != box.EntityRef.ID {
		t.Errorf("entity: got %v (%v)", object, err)
	}
	var source dataset.Row
	if err := ds.Resolve(ctx, box.SourceRef, &source); err != nil || source.ID() != box.SourceRef.ID {
		t.Errorf("source: got %v (%v)", source, err)
	}
	row := get[dataset.Row](t, ds, "bboxes", dataset.Query{IDs: []string{box.ID}})[0]
	var item schema.Dynamic
	if err := ds.Resolve(ctx, row.Value("item_ref"), &item); err != nil {
		t.Error(err)
	} else if id, _ := schema.ID(item); id != box.ItemRef.ID {
		t.Errorf("item: got %s", id)
	}
	tests := []struct {
		name     string
		ref, dst any
		kind     error
		parts    []string
	}{
		{"zero", features.ItemRef{}, &box, dataset.ErrQuery, []string{"resolve", "is empty"}},
		{"no id", features.View("image", ""), &box, dataset.ErrQuery, []string{`of the table "image" is empty`}},
		{"no table", features.View("", "img_003"), &box, dataset.ErrQuery, []string{`row "img_003"`}},
		{"nil", nil, &box, dataset.ErrQuery, []string{"want a reference"}},
		{"nil pointer", (*features.ItemRef)(nil), &box, dataset.ErrQuery, []string{"want a reference"}},
		{"a text", "item_001", &box, dataset.ErrQuery, []string{"string: want a reference"}},
		{"unknown table", features.View("nope", "a"), &box, dataset.ErrNotFound, []string{"nope"}},
		{"unknown id", features.Annotation("bboxes", "it's"), &box, dataset.ErrNotFound, []string{`resolve bboxes "it's": no such row`}},
		{"no pointer", features.Annotation("bboxes", "box_003_1"), box, dataset.ErrQuery, []string{"want a pointer"}},
		{"another type", features.Annotation("bboxes", "box_003_1"), &object, dataset.ErrSchema, []string{"bboxes"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { wantError(t, ds.Resolve(ctx, test.ref, test.dst), test.kind, test.parts...) })
	}
	if e, ok := errors.AsType[*dataset.Error](ds.Resolve(ctx, features.Annotation("bboxes", "x"), &box)); !ok || e.Table != "bboxes" || e.ID != "x" {
		t.Errorf("the error has the place %+v", e)
	}
}

func TestEach(t *testing.T) {
	ds := openGolden(t, "image_detection")
	var ids []string
	stop := errors.New("enough")
	err := ds.Each(t.Context(), "bboxes", dataset.Query{OrderBy: "id desc"}, func(row any) error {
		id, err := schema.ID(row)
		if ids = append(ids, id); len(ids) == 3 {
			return stop
		}
		return err
	})
	want, _ := ds.IDs(t.Context(), "bboxes", dataset.Query{OrderBy: "id desc", Limit: 3})
	if diff := cmp.Diff(want, ids); diff != "" || err != stop {
		t.Errorf("got %v (-want +got):\n%s", err, diff)
	}
	err = ds.Each(t.Context(), "bboxes", dataset.Query{Where: "nope"}, func(any) error { return nil })
	wantError(t, err, dataset.ErrQuery, "nope")
}

func TestQueryColumns(t *testing.T) {
	ds := openGolden(t, "image_detection")
	for _, q := range []dataset.Query{
		{Columns: []string{"confidence", "item_ref.id", "ID"}, Limit: 2},
		{Columns: []string{"confidence", "item_ref.id", "id"}, Limit: 2, OrderBy: "id"},
		{Columns: []string{"confidence", "item_ref.id", "id"}, IDs: []string{"box_003_1"}},
		{Columns: []string{"confidence", "item_ref.id", "id"}, ItemIDs: []string{"item_003"}},
	} {
		for row, err := range ds.Rows(t.Context(), "bboxes", q) {
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"confidence", "item_ref.id", "id"}, row.Columns()); diff != "" {
				t.Errorf("columns (-want +got):\n%s", diff)
			}
			if id, ok := row.At(1).(string); !ok || !strings.HasPrefix(id, "item_") || !strings.HasPrefix(row.ID(), "box_") {
				t.Errorf("got %s", row)
			}
		}
	}
	all := get[dataset.Row](t, ds, "bboxes", dataset.Query{Columns: []string{}, Limit: 1})
	if all[0].Len() != 12 {
		t.Errorf("no columns: got %v, want all", all[0].Columns())
	}
	for column, part := range map[string]string{"nope": `no column "nope"`, "item_ref.nope": "no field", "id": "is there twice", "": `no column ""`} {
		var rows []dataset.Row
		err := ds.Get(t.Context(), "bboxes", &rows, dataset.Query{Columns: []string{"id", column}})
		wantError(t, err, dataset.ErrQuery, "columns", part)
	}
}

// TestHostileIDs: what stands in an id stays a text.
func TestHostileIDs(t *testing.T) {
	ds := openGolden(t, "image_detection")
	hostile := []string{"'", "''", "' OR '1'='1", "x') OR (true", "item_001'; DROP TABLE item; --", "/*", "\\", "\x00", "é\u202e", "%", "_", "?", "NULL", strings.Repeat("'", 5000)}
	found, err := ds.Exist(t.Context(), "item", append(hostile, "item_001")...)
	if err != nil {
		t.Fatal(err)
	}
	for id, there := range found {
		if there != (id == "item_001") {
			t.Errorf("%q: %t", id, there)
		}
	}
	for _, id := range hostile {
		for _, q := range []dataset.Query{{IDs: []string{id}}, {ItemIDs: []string{id}}, {Where: "id = ?", Args: []any{id}},
			{Where: "item_ref.id IN ? OR id IN ?", Args: []any{[]string{id}, []string{id}}}} {
			if ids, err := ds.IDs(t.Context(), "bboxes", q); err != nil || len(ids) > 0 {
				t.Errorf("%+v: got %v (%v), want none", q, ids, err)
			}
		}
	}
}

// TestWhereStaysInside: a condition reaches neither beyond ids nor beyond items, however it is written.
func TestWhereStaysInside(t *testing.T) {
	ds := openGolden(t, "image_detection")
	within := dataset.Query{IDs: []string{"box_003_0", "box_003_1", "box_007_0"}, ItemIDs: []string{"item_003"}}
	for where, want := range map[string]int{
		"confidence > 2 OR confidence <= 2":    2,
		"(id = 'a') OR NOT (id = 'a')":         2,
		"id = 'box_007_0' OR id = 'box_003_0'": 1,
		"NOT id = 'box_003_0'":                 1,
		"true":                                 2,
		"id LIKE '%' OR id IS NULL":            2,
	} {
		q := within
		q.Where = where
		ids, err := ds.IDs(t.Context(), "bboxes", q)
		if err != nil || len(ids) != want {
			t.Errorf("%s: got %v (%v), want %d of item_003", where, ids, err, want)
		}
		if n, err := ds.Count(t.Context(), "bboxes", q); err != nil || int(n) != want {
			t.Errorf("%s: counted %d (%v), want %d", where, n, err, want)
		}
	}
	for _, where := range []string{"true) OR (true", "true)) OR ((true", "true OR (true", "true -- ", "true /* ", "true; SELECT 1", "true #objects"} {
		q := within
		q.Where = where
		_, err := ds.IDs(t.Context(), "bboxes", q)
		wantError(t, err, dataset.ErrQuery, "where")
	}
}

// TestDialects reads what both versions of the reference implementation accept, DuckDB's SQL and DataFusion's.
func TestDialects(t *testing.T) {
	ds := openGolden(t, "image_detection")
	for where, want := range map[string]string{
		"id = 'item_003'":                                                  "item_003",
		"id <> 'item_003' AND id < 'item_001'":                             "item_000",
		"id != 'item_000' AND id <= 'item_001'":                            "item_001",
		"ID IN ('item_001','item_002')":                                    "item_002 item_001",
		"id NOT IN ('item_001') AND id<'item_002'":                         "item_000",
		"Category LIKE 'l''%'":                                             "item_015 item_021 item_009 item_003",
		"category NOT LIKE '%' OR id='item_004'":                           "item_004",
		"category ILIKE 'L''ORANGE' and difficulty = 0":                    "item_015",
		"difficulty BETWEEN 4 AND 9 AND reviewed":                          "item_012",
		"reviewed AND difficulty >= 3":                                     "item_009 item_012",
		"reviewed = true AND difficulty > 2":                               "item_009 item_012",
		"NOT reviewed AND id = 'item_004'":                                 "item_004",
		"captured_at = TIMESTAMP '2020-03-03 12:00:00'":                    "item_003",
		"captured_at < timestamp '2020-03-02'":                             "item_000 item_001",
		"captured_at < DATE '2020-03-02'":                                  "item_000 item_001",
		"CAST(difficulty AS double) / 2 = 0.5 AND score > 0.5":             "item_003 item_018",
		"difficulty::double = 1.0 AND category = ''":                       "item_023",
		`"category" = '' AND difficulty = 1`:                               "item_023",
		"category IS NOT NULL AND id = 'item_000'":                         "item_000",
		"lower(split) = 'val' AND length(category) = 3 AND difficulty < 3": "item_020 item_008 item_000",
		"array_has(tags, 'it''s') AND difficulty = 4":                      "item_002 item_022",
		"id = concat('item', '_003')":                                      "item_003",
		"id = 'item' || '_003'":                                            "item_003",
	} {
		ids, err := ds.IDs(t.Context(), "item", dataset.Query{Where: where})
		if err != nil {
			t.Errorf("%s: %v", where, err)
			continue
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("%s: got %s, want %s", where, got, want)
		}
	}
}

func TestQueryColumnsJSON(t *testing.T) {
	q := dataset.Query{IDs: []string{}, Where: "a = ?", Args: []any{"x"}, OrderBy: "#objects desc", Columns: []string{"id"}, Limit: 2}
	const want = `{"ids":[],"where":"a = ?","args":["x"],"order_by":"#objects desc","limit":2,"columns":["id"]}`
	if got := string(must(json.Marshal(q))); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestRecordLayout reads a dataset of the other layout, whose rows name their record by a column of their own.
func TestRecordLayout(t *testing.T) {
	ds := openGolden(t, "record_image")
	boxes := map[string]int{}
	err := ds.Each(t.Context(), "bboxes", dataset.Query{}, func(row any) error {
		boxes[row.(dataset.Row).Value("record_id").(string)]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want, err := ds.IDs(t.Context(), "records", dataset.Query{})
	if err != nil || len(boxes) < 2 || len(boxes) == len(want) {
		t.Fatal(boxes, want, err)
	}
	slices.SortStableFunc(want, func(a, b string) int { return boxes[b] - boxes[a] })
	got, err := ds.IDs(t.Context(), "records", dataset.Query{OrderBy: "#bboxes desc"})
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	var items []dataset.Item
	wantError(t, ds.Items(t.Context(), &items, dataset.Query{}), dataset.ErrUnsupported, "record layout")
}
