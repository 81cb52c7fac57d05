package schema_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pixano/features"
	"pixano/schema"
)

// Types that embed several levels deep, by way of unexported and mixed-in structs.

type geo struct {
	Lat, Lon float64
}

type animal struct {
	schema.NamedEntity
	Species string
}

type Color string

type pet struct {
	geo
	animal
	Color     Color `pixano:"colour"`
	Weights   []float64
	Seen      []time.Time
	Friends   []features.EntityRef
	Photo     []byte
	Chunks    [][]byte
	Position  [3]float64
	Histogram []uint8 `pixano:",dim=4"`
	Half      [2]schema.Float16
	Hash      [2][]byte
	Note      string `pixano:"-"`
	cache     string
}

func TestColumnsOf(t *testing.T) {
	cols, err := schema.ColumnsOf(reflect.TypeFor[*pet]())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range cols {
		got = append(got, fmt.Sprintf("%s %s %v", c.Name, c.Type, c.Index))
		if f := reflect.TypeFor[pet]().FieldByIndex(c.Index); f.Type != c.GoType {
			t.Errorf("%s: Index leads to %v, want %v", c.Name, f.Type, c.GoType)
		}
	}
	want := []string{
		"id str [1 0 0 0]", "created_at datetime [1 0 0 1]", "updated_at datetime [1 0 0 2]", // of the Entity
		"item_ref ItemRef [1 0 0 3]", "view_ref ViewRef [1 0 0 4]", "parent_ref EntityRef [1 0 0 5]",
		"name str [1 0 1]", "species str [1 1]", "lat float [0 0]", "lon float [0 1]",
		"colour str [2]", "weights list[float] [3]", "seen list[datetime] [4]", "friends list[EntityRef] [5]",
		"photo bytes [6]", "chunks list[bytes] [7]", "position FixedSizeList[double, 3] [8]",
		"histogram FixedSizeList[uint8, 4] [9]", "half FixedSizeList[halffloat, 2] [10]",
		"hash FixedSizeList[binary, 2] [11]",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	p, _ := schema.PlanOf(reflect.TypeFor[pet]())
	if p.Group != schema.GroupEntities || p.Base != "NamedEntity" {
		t.Errorf("got %s of %s, want entities of NamedEntity", p.Group, p.Base)
	}
	if again, _ := schema.PlanOf(reflect.TypeFor[*pet]()); again != p {
		t.Error("want the same plan for the same type")
	}
	_ = pet{}.cache
}

type (
	noGroup   struct{ Category string }
	twoGroups struct {
		schema.Entity
		schema.View
	}
	twoDepths struct {
		schema.BBox
		schema.Entity
	}
	pointerGroup struct{ *schema.Entity }
	pointerField struct {
		schema.Entity
		Category *string
	}
	recursive struct {
		schema.Entity
		Next *recursive
	}
	recursiveList struct {
		schema.Entity
		Children []recursiveList
	}
	recursiveEmbedding struct{ *recursiveEmbedding }
	asField            struct {
		schema.Entity
		Box schema.BBox
	}
	groupAsField struct {
		Entity   schema.Entity
		Category string
	}
	mapField struct {
		schema.Entity
		Attributes map[string]string
	}
	anyField struct {
		schema.Entity
		Extra any
	}
	chanField struct {
		schema.Entity
		Done chan bool
	}
	smallInt struct {
		schema.Entity
		Rank int32
	}
	smallFloat struct {
		schema.Entity
		Score float32
	}
	smallFloats struct {
		schema.Entity
		Vector []float32
	}
	nested struct {
		schema.Entity
		Grid [][]float64
	}
	structField struct {
		schema.Entity
		Size struct{ W, H int }
	}
	duplicate struct {
		schema.Entity
		Category string
		Label    string `pixano:"category"`
	}
	duplicateCase struct {
		schema.Entity
		Category string
		Label    string `pixano:"CATEGORY"`
	}
	duplicateMixed struct {
		schema.NamedEntity
		Name string
	}
	reservedID struct {
		schema.Entity
		Key string `pixano:"id"`
	}
	engineName struct {
		schema.Entity
		Row int `pixano:"_rowid"`
	}
	dotName struct {
		schema.Entity
		Row int `pixano:"a.b"`
	}
	spaceName struct {
		schema.Entity
		Row int `pixano:"a b"`
	}
	dimOnScalar struct {
		schema.Entity
		Row int `pixano:",dim=3"`
	}
	dimContradicts struct {
		schema.Entity
		Row [2]int `pixano:",dim=3"`
	}
	dimZero struct {
		schema.Entity
		Row []float32 `pixano:",dim=0"`
	}
	unknownOption struct {
		schema.Entity
		Row []float32 `pixano:",size=3"`
	}
	emptyArray struct {
		schema.Entity
		Row [0]float32
	}
	stringArray struct {
		schema.Entity
		Row [2]string
	}
	taggedPrivate struct {
		schema.Entity
		row string `pixano:"row"`
	}
	skippedGroup struct {
		schema.Entity `pixano:"-"`
	}
	namedGroup struct {
		schema.Entity `pixano:"entity"`
	}
	embeddedTime struct {
		schema.Entity
		time.Time
	}
	dimOnEntity struct {
		schema.Entity `pixano:",dim=3"`
	}
	dimTwice struct {
		imageVec16 `pixano:",dim=32"`
	}
	vectorList struct {
		schema.Embedding
		Vector []float64
	}
	dynamicEmbedded struct{ schema.Dynamic }
)

func TestPlanErrors(t *testing.T) {
	_ = taggedPrivate{}.row
	for _, test := range []struct {
		row         any
		field, rule string // expected, the rule in part
	}{
		{noGroup{}, "", "embeds none of"},
		{twoGroups{}, "View", "two records"},
		{twoDepths{}, "Entity", "two records"},
		{pointerGroup{}, "Entity", "embeds the pointer *schema.Entity"},
		{pointerField{}, "Category", "no pointers"},
		{recursive{}, "Next", "no pointers"},
		{recursiveList{}, "Children", "no column type"},
		{recursiveEmbedding{}, "recursiveEmbedding", "embeds the pointer"},
		{asField{}, "Box", "is a record"},
		{groupAsField{}, "", "embeds none of"},
		{mapField{}, "Attributes", "no column type"},
		{anyField{}, "Extra", "no column type"},
		{chanField{}, "Done", "no column type"},
		{smallInt{}, "Rank", "use int64"},
		{smallFloat{}, "Score", "use float64"},
		{smallFloats{}, "Vector", "needs a length"},
		{nested{}, "Grid", "no column type"},
		{structField{}, "Size", "no column type"},
		{duplicate{}, "Label", "Category has not taken"},
		{duplicateCase{}, "Label", "Category has not taken"},
		{duplicateMixed{}, "Name", "NamedEntity.Name has not taken"},
		{reservedID{}, "Key", "Entity.ID has not taken"},
		{engineName{}, "Row", "want a column name"},
		{dotName{}, "Row", "want a column name"},
		{spaceName{}, "Row", "want a column name"},
		{dimOnScalar{}, "Row", "is for slices"},
		{dimContradicts{}, "Row", "contradicts"},
		{dimZero{}, "Row", "want dim=N"},
		{unknownOption{}, "Row", "want dim=N or optional"},
		{emptyArray{}, "Row", "at least 1"},
		{stringArray{}, "Row", "fixed-size list"},
		{taggedPrivate{}, "row", "unexported"},
		{skippedGroup{}, "Entity", "cannot be skipped"},
		{namedGroup{}, "Entity", "no column of its own"},
		{embeddedTime{}, "Time", "give it a field name"},
		{dimOnEntity{}, "Entity", "dim is for the vector"},
		{dimTwice{}, "imageVec16", "contradicts the vector's length 16"},
		{vectorList{}, "Vector", "Embedding.Vector has not taken"},
		{dynamicEmbedded{}, "", "embeds none of"},
		{schema.Dynamic{}, "", "dynamic row"},
		{3, "", "want a struct"},
		{"text", "", "want a struct"},
		{[]schema.BBox{}, "", "want a struct"},
		{(**schema.BBox)(nil), "", "want a struct"},
	} {
		t.Run(fmt.Sprintf("%T", test.row), func(t *testing.T) {
			for range 2 { // the second answer comes from the cache
				_, err := schema.PlanOf(reflect.TypeOf(test.row))
				e, ok := errors.AsType[*schema.Error](err)
				if !ok || !errors.Is(err, schema.ErrSchema) {
					t.Fatalf("got %v, want a schema.Error", err)
				}
				if e.Type == "" || e.Field != test.field || !strings.Contains(err.Error(), test.rule) {
					t.Errorf("got %v (field %q), want field %q and %q", err, e.Field, test.field, test.rule)
				}
			}
		})
	}
	if _, err := schema.PlanOf(nil); !errors.Is(err, schema.ErrSchema) {
		t.Errorf("PlanOf(nil): got %v", err)
	}
}

func TestRowFunctionsRefuseWhatIsNoRow(t *testing.T) {
	var nilBox *schema.BBox
	var nilDynamic *schema.Dynamic
	for _, row := range []any{nil, 3, "x", nilBox, nilDynamic, &nilBox, schema.Dynamic{}, &schema.Dynamic{}, noGroup{}, &noGroup{}, func() {}} {
		_, idErr := schema.ID(row)
		_, rowErr := schema.MarshalRow("t", row)
		_, flatErr := schema.EncodeJSON(row)
		_, warnErr := schema.Warnings(row)
		_, unmarshalErr := schema.UnmarshalRow([]byte(boxJSON), row)
		for i, err := range []error{idErr, rowErr, flatErr, warnErr, unmarshalErr, schema.Validate(row), schema.Normalize(row),
			schema.Decode(nil, row), schema.DecodeJSON([]byte("{}"), row), schema.SetID(row, "a"), schema.FillShape(row)} {
			if !errors.Is(err, schema.ErrSchema) {
				t.Errorf("%T, function %d: got %v, want ErrSchema", row, i, err)
			}
		}
		if got := schema.Show(row).HTML(); !strings.Contains(got, "want") && !strings.Contains(got, "embeds") {
			t.Errorf("Show(%T): got %s", row, got)
		}
	}
	if err := schema.Normalize(schema.BBox{}); !errors.Is(err, schema.ErrSchema) {
		t.Errorf("Normalize of a value: got %v", err)
	}
}

func TestPlanOfConcurrently(t *testing.T) {
	type row struct {
		schema.Entity
		Category string
	}
	var wg sync.WaitGroup
	got := make([]*schema.Plan, 8)
	for i := range got {
		wg.Go(func() { got[i], _ = schema.PlanOf(reflect.TypeFor[row]()) })
	}
	wg.Wait()
	for _, p := range got {
		if p == nil || p != got[0] {
			t.Fatal("want one plan for all")
		}
	}
}

func TestSnakeCase(t *testing.T) {
	for in, want := range map[string]string{
		"ItemRef": "item_ref", "URL": "url", "ID": "id", "FPS": "fps", "NumFrames": "num_frames", "IsNormalized": "is_normalized",
		"TemplateID": "template_id", "URLPath": "url_path", "Boxes3D": "boxes3d", "X1": "x1", "Vec16Big": "vec16_big",
		"BBoxes": "b_boxes", "Foo_Bar": "foo_bar", "Été": "été", "": "", "A": "a", "SpansStart": "spans_start",
	} {
		if got := schema.SnakeCase(in); got != want {
			t.Errorf("SnakeCase(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestTableNames(t *testing.T) {
	for _, name := range []string{"image", "b_2", "a-b", "a.b", strings.Repeat("a", 128)} {
		if err := schema.CheckTableName(name); err != nil {
			t.Errorf("%q: got %v", name, err)
		}
	}
	for _, name := range []string{"", "Image", "a b", "../x", "a/b", ".hidden", "source", "é", "a\x00", strings.Repeat("a", 129)} {
		if err := schema.CheckTableName(name); !errors.Is(err, schema.ErrSchema) {
			t.Errorf("%q: got %v, want an error", name, err)
		}
	}
}

// Aggregates.

type sampleBase struct {
	schema.Item
	Weather string
}

type sample struct {
	sampleBase
	Image   schema.Image
	Boxes   []schema.BBox
	Vectors []schema.ViewEmbedding `pixano:"view_vectors,dim=4"`
	Count   int
}

func TestAggregateOf(t *testing.T) {
	a, err := schema.AggregateOf(reflect.TypeFor[sample]())
	if err != nil {
		t.Fatal(err)
	}
	var items, tables []string
	for _, c := range a.Item.Columns {
		items = append(items, fmt.Sprint(c.Name, c.Index))
	}
	for _, table := range a.Tables {
		tables = append(tables, fmt.Sprintf("%s %v %v %s %d", table.Name, table.Index, table.Many, table.Row.Base, table.Dim))
	}
	wantItems := []string{"id[0 0 0]", "created_at[0 0 1]", "updated_at[0 0 2]", "split[0 0 3]", "weather[0 1]", "count[4]"}
	wantTables := []string{"image [1] false Image 0", "boxes [2] true BBox 0", "view_vectors [3] true ViewEmbedding 4"}
	if diff := cmp.Diff(wantItems, items); diff != "" {
		t.Errorf("item (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantTables, tables); diff != "" {
		t.Errorf("tables (-want +got):\n%s", diff)
	}
	s, err := schema.DatasetSchemaOf(sample{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.Tables(), []string{"image", "boxes", "view_vectors", "item"}; !cmp.Equal(got, want) {
		t.Errorf("got tables %v, want %v", got, want)
	}
	again, err := schema.ParseDatasetSchema(s.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if !again.Equal(s) {
		t.Errorf("(-want +got):\n%s", cmp.Diff(string(s.Encode()), string(again.Encode())))
	}
	if err := a.Check(again); err != nil {
		t.Error(err)
	}
	if c, _ := s.Class("view_vectors"); c.Name != "ViewEmbedding" {
		t.Errorf("got class %s", c.Name)
	}
	// The class of custom items is always Item.
	if c, _ := s.Class("item"); c.Name != "Item" || c.Base != "Item" {
		t.Errorf("got class %s of %s", c.Name, c.Base)
	}
}

func TestAggregateErrors(t *testing.T) {
	type outer = other
	type other struct {
		schema.Entity
		B string
	}
	for name, test := range map[string]struct {
		aggregate   any
		field, rule string
	}{
		"no item":   {struct{ Image schema.Image }{}, "", "want an aggregate that embeds schema.Item"},
		"an entity": {detectedObject{}, "", "want an aggregate that embeds schema.Item"},
		"item table": {struct {
			schema.Item
			Items []schema.Item
		}{}, "Items", "embedded once"},
		"sources": {struct {
			schema.Item
			Sources []schema.Source
		}{}, "Sources", "every dataset has one"},
		"pointer": {struct {
			schema.Item
			Image *schema.Image
		}{}, "Image", "by value"},
		"pointers": {struct {
			schema.Item
			Boxes []*schema.BBox
		}{}, "Boxes", "by value"},
		"dynamic": {struct {
			schema.Item
			Rows []schema.Dynamic
		}{}, "Rows", "want a struct"},
		"no length": {struct {
			schema.Item
			Vectors []schema.ViewEmbedding
		}{}, "Vectors.vector.dim", "want the length"},
		"two lengths": {struct {
			schema.Item
			Vectors []imageVec16 `pixano:",dim=3"`
		}{}, "Vectors", "contradicts"},
		"length of boxes": {struct {
			schema.Item
			Boxes []schema.BBox `pixano:",dim=3"`
		}{}, "Boxes", "tables of embeddings"},
		"upper case": {struct {
			schema.Item
			Boxes []schema.BBox `pixano:"Boxes"`
		}{}, "Boxes", "want a table name"},
		"named source": {struct {
			schema.Item
			Boxes []schema.BBox `pixano:"source"`
		}{}, "Boxes", "another table name"},
		"named item": {struct {
			schema.Item
			Boxes []schema.BBox `pixano:"item"`
		}{}, "Boxes", "another table name"},
		"named as a column": {struct {
			schema.Item
			Boxes []schema.BBox `pixano:"split"`
		}{}, "Boxes", "Item.Split has not taken"},
		"table twice": {struct {
			schema.Item
			Boxes []schema.BBox
			More  []schema.BBox `pixano:"boxes"`
		}{}, "More", "Boxes has not taken"},
		"bad row type": {struct {
			schema.Item
			Rows []smallInt
		}{}, "Rows.Rank", "use int64"},
		"unnamed row type": {struct {
			schema.Item
			Rows []struct {
				schema.Entity
				Unnamed string
			}
		}{}, "Rows.schema", "RegisterName"},
		"bad column": {struct {
			schema.Item
			Rank int32
		}{}, "Rank", "use int64"},
		"two types of one name": {struct {
			schema.Item
			First, Second []outer
			Third         []other
		}{}, "Third.schema", "one Go type per class name"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := schema.DatasetSchemaOf(test.aggregate)
			e, ok := errors.AsType[*schema.Error](err)
			if !ok {
				t.Fatalf("got %v, want a schema.Error", err)
			}
			if e.Type == "" || e.Field != test.field || !strings.Contains(e.Rule, test.rule) {
				t.Errorf("got %v (type %q, field %q), want field %q and %q", err, e.Type, e.Field, test.field, test.rule)
			}
		})
	}
	if _, err := schema.AggregateOf(nil); !errors.Is(err, schema.ErrSchema) {
		t.Errorf("AggregateOf(nil): got %v", err)
	}
}

type other struct {
	schema.Entity
	A string
}

func TestAggregateCheck(t *testing.T) {
	s := parseGolden(t, "vqa")
	for name, test := range map[string]struct {
		aggregate any
		want      string // part of the error, empty for none
	}{
		"a part": {struct {
			schema.Item
			Messages []schema.Message
		}{}, ""},
		"base class": {struct {
			schema.Item
			Conversations []schema.Entity
		}{}, ""},
		"unknown table": {struct {
			schema.Item
			Replies []schema.Message
		}{}, "name of a table"},
		"other group": {struct {
			schema.Item
			Messages []schema.Image
		}{}, "is a record of views"},
		"other class": {struct {
			schema.Item
			BBoxes []schema.KeyPoints `pixano:"bboxes"`
		}{}, "is no column of BBox"},
		"one for many": {struct {
			schema.Item
			Messages schema.Message
		}{}, "want a slice"},
		"many for one": {struct {
			schema.Item
			Image []schema.Image
		}{}, "want no slice"},
		"unknown column": {struct {
			schema.Item
			Subject string
		}{}, "is no column of Item"},
		"other type": {struct {
			schema.Item
			Topic int64
		}{}, "the column of Item is str"},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := schema.AggregateOf(reflect.TypeOf(test.aggregate))
			if err != nil {
				t.Fatal(err)
			}
			err = a.Check(s)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestCheckWrite(t *testing.T) {
	s := parseGolden(t, "multiview_text")
	class, _ := s.Class("skeletons")
	for _, test := range []struct {
		row  any
		want string
	}{
		{schema.KeyPoints3D{}, ""},
		{schema.KeyPoints{}, "is a KeyPoints"}, // the same columns, other rules
		{schema.Annotation{}, "the type has not"},
		{schema.BBox{}, "is no column"},
	} {
		p, err := schema.PlanOf(reflect.TypeOf(test.row))
		if err != nil {
			t.Fatal(err)
		}
		err = p.CheckWrite(class)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%T: got %v, want %q", test.row, err, test.want)
		}
	}
	vectors, _ := s.Class("text_vectors")
	p, _ := schema.PlanOf(reflect.TypeFor[schema.Embedding]())
	if err := p.CheckRead(vectors); err == nil {
		t.Error("float32 vectors read from doubles: want an error")
	}
}
