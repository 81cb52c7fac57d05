package schema_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/schema"
)

var update = flag.Bool("update", false, "rewrite the files of testdata")

const smallSchema = `{
    "relations": {"item": {"image": "one_to_one", "objects": "one_to_many"},
                  "image": {"item": "one_to_one"}, "objects": {"item": "many_to_one"}},
    "schemas": {
        "image": {"schema": "Photo", "base_schema": "Image", "fields": {
            "id": {"type": "str", "collection": false}, "caption": {"type": "str", "collection": false}}},
        "objects": {"schema": "Thing", "base_schema": "Entity", "fields": {"tags": {"type": "str", "collection": true}}},
        "item": {"schema": "Item", "base_schema": "Item", "fields": {}}},
    "groups": {"views": ["objects", "image", "nothing", "image"], "other": []}
}`

// TestTolerance reads what the reference implementation would refuse or misread and what follows from the rest.
func TestTolerance(t *testing.T) {
	s, err := schema.ParseDatasetSchema([]byte(smallSchema))
	if err != nil {
		t.Fatal(err)
	}
	for g, want := range map[schema.Group][]string{
		schema.GroupItem: {"item"}, schema.GroupViews: {"image"}, schema.GroupEntities: {"objects"}, schema.GroupAnnotations: nil,
		schema.GroupSource: {"source"},
	} {
		if got := s.TablesOf(g); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", g, got, want)
		}
	}
	var file struct{ Groups map[string][]string }
	if err := json.Unmarshal(s.Encode(), &file); err != nil {
		t.Fatal(err)
	}
	wantGroups := map[string][]string{"item": {"item"}, "views": {"image"}, "entities": {"objects"}, "annotations": {}, "embeddings": {}}
	if diff := cmp.Diff(wantGroups, file.Groups); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	c, _ := s.Class("image")
	var names []string
	for _, f := range c.Fields {
		names = append(names, f.Name)
		if want := f.Name == "caption"; strings.HasPrefix(f.Name, "c") && f.Name != "created_at" && f.Required != want {
			t.Errorf("%s: got required %v", f.Name, f.Required)
		}
	}
	// Columns of the base come first, each at its place.
	want := []string{"id", "created_at", "updated_at", "item_ref", "parent_ref", "url", "width", "height", "format", "caption"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	if s.Many("image") || !s.Many("objects") || s.Many("nothing") {
		t.Error("Many: want true for objects only")
	}
	if r, ok := s.Relation("objects", "item"); !ok || r != schema.ManyToOne {
		t.Errorf("got %s", r)
	}
	if c, ok := s.Class("source"); !ok || c.Name != "Source" {
		t.Error("want the class of source")
	}
	if _, ok := s.Group("nothing"); ok {
		t.Error("Group of no table: want false")
	}
	again, err := schema.ParseDatasetSchema(s.Encode())
	if err != nil || !again.Equal(s) {
		t.Errorf("written and read: got %v\n%s", err, s.Encode())
	}
}

func TestParseDatasetSchemaErrors(t *testing.T) {
	for _, test := range []struct{ replace, with, field, rule string }{
		{`"schemas"`, `"tables"`, "schemas", "is required"},
		{`"relations"`, `"links"`, "relations", "is required"},
		{`"item": {"schema"`, `"items": {"schema"`, "schemas.items.base_schema", "one table of the group item"},
		{`"schema": "Item", "base_schema": "Item"`, `"schema": "Item", "base_schema": "View"`, "schemas.item.base_schema", "group item"},
		{`"base_schema": "Image"`, `"base_schema": "Picture"`, "schemas.image.base_schema", "built-in class"},
		{`"base_schema": "Image"`, `"base_schema": "BaseSchema"`, "schemas.image.base_schema", "built-in class"},
		{`"base_schema": "Image"`, `"base_schema": "Source"`, "schemas.image.base_schema", "no table of sources"},
		{`"base_schema": "Image"`, `"base_schema": 3`, "schemas.image.base_schema", "class name"},
		{`"schema": "Photo", `, ``, "schemas.image.schema", "is required"},
		{`"schema": "Photo"`, `"schema": ""`, "schemas.image.schema", "is required"},
		{`"base_schema": "Entity"`, `"base_schema": "ViewEmbedding"`, "schemas.objects.vector.dim", "the length"},
		{`"type": "str", "collection": true`, `"type": "complex", "collection": true`, "schemas.objects.fields.tags.type", "column type"},
		{`"type": "str", "collection": true`, `"collection": true`, "schemas.objects.fields.tags.type", "is required"},
		{`"type": "str", "collection": true`, `"type": "str", "collection": 1`, "schemas.objects.fields.tags.collection", "true or false"},
		{`"type": "str", "collection": true`, `"type": "FixedSizeList"`, "schemas.objects.fields.tags.dim", "is required"},
		{`"type": "str", "collection": true`, `"type": "FixedSizeList", "dim": 0, "value_type": "float"`, "schemas.objects.fields.tags.dim", "a length"},
		{`"type": "str", "collection": true`, `"type": "FixedSizeList", "dim": 1e9, "value_type": "float"`, "schemas.objects.fields.tags.dim", "a length"},
		{`"type": "str", "collection": true`, `"type": "FixedSizeList", "dim": 99999999999, "value_type": "float"`, "schemas.objects.fields.tags.dim", "a length"},
		{`"type": "str", "collection": true`, `"type": "FixedSizeList", "dim": 2, "value_type": "str"`, "schemas.objects.fields.tags.value_type", "one of"},
		{`"type": "str", "collection": true`, `"type": "FixedSizeList", "dim": 2`, "schemas.objects.fields.tags.value_type", "is required"},
		{`"type": "str", "collection": true`, `"type": "FixedSizeList", "collection": true, "dim": 2, "value_type": "float"`, "schemas.objects.fields.tags.collection", "no list"},
		{`{"type": "str", "collection": true}`, `"str"`, "schemas.objects.fields.tags", "an object"},
		{`"tags": {`, `"a.b": {`, "schemas.objects.a.b", "without dots"},
		{`"tags": {`, `"": {`, "schemas.objects", "without dots"},
		{`"tags": {`, `"id": {`, "schemas.objects.id", "want type str"},
		{`"caption": {`, `"id": {`, "", "each key once"},
		{`"objects": {"schema"`, `"Objects": {"schema"`, "schemas", "table name"},
		{`"objects": {"schema"`, `"../objects": {"schema"`, "schemas", "table name"},
		{`"objects": {"schema"`, `"source": {"schema"`, "schemas", "another table name"},
		{`"objects": "one_to_many"`, `"objects": "many"`, "relations.item.objects", "one_to_one"},
		{`"objects": "one_to_many"`, `"objects": "one_to_one"`, "relations.objects.item", "the inverse"},
		{`, "objects": "one_to_many"`, ``, "relations.item.objects", "inverse"},
		{`, "objects": {"item": "many_to_one"}`, ``, "relations.objects.item", "inverse"},
		{`"objects": {"item": "many_to_one"}`, `"things": {"item": "many_to_one"}`, "relations.things", "name of a table"},
		{`"objects": {"item": "many_to_one"}`, `"objects": {"items": "many_to_one"}`, "relations.objects.items", "name of a table"},
		{`"objects": {"item": "many_to_one"}`, `"objects": []`, "relations.objects", "an object"},
		{`"views": ["objects"`, `"views": [1`, "groups.views", "table names"},
		{`"groups": {`, `"groups": {"item": {}, `, "groups.item", "table names"},
	} {
		text := strings.Replace(smallSchema, test.replace, test.with, 1)
		if text == smallSchema {
			t.Fatalf("%s is not in the schema", test.replace)
		}
		_, err := schema.ParseDatasetSchema([]byte(text))
		e, ok := errors.AsType[*schema.Error](err)
		if !ok || e.Type != "schema.json" || e.Field != test.field || !strings.Contains(e.Rule, test.rule) {
			t.Errorf("%s: got %v, want an error at %s: %s", test.with, err, test.field, test.rule)
		}
	}
	for _, text := range []string{"", "null", "[]", "{}", "{", smallSchema + "x", "\xff", strings.Repeat(`{"a":`, 20000)} {
		if _, err := schema.ParseDatasetSchema([]byte(text)); !errors.Is(err, schema.ErrSchema) {
			t.Errorf("%.20q: got %v, want an error", text, err)
		}
	}
}

// TestMissingRelations wants both tables related to the items when there is no inverse to hint at it.
func TestMissingRelations(t *testing.T) {
	text := strings.Replace(smallSchema, `, "objects": "one_to_many"`, ``, 1)
	text = strings.Replace(text, `, "objects": {"item": "many_to_one"}`, ``, 1)
	_, err := schema.ParseDatasetSchema([]byte(text))
	if e, ok := errors.AsType[*schema.Error](err); !ok || e.Field != "relations.item.objects" || e.Rule != schema.RuleRequired {
		t.Errorf("got %v", err)
	}
}

func TestAdd(t *testing.T) {
	s := parseGolden(t, "vqa")
	before := s.Clone()
	boxes, err := schema.ClassOf(schema.BBox{})
	if err != nil {
		t.Fatal(err)
	}
	item, _ := s.Class("item")
	sources, _ := s.Class("source")
	vectors, _ := schema.ClassOf(schema.ViewEmbedding{})
	for _, test := range []struct {
		name     string
		class    *schema.Class
		relation schema.SchemaRelation
	}{
		{"bboxes", boxes, schema.ManyToOne}, {"Boxes", boxes, schema.ManyToOne}, {"source", boxes, schema.ManyToOne}, {"", boxes, schema.ManyToOne},
		{"boxes", boxes, "many"}, {"boxes", item, schema.ManyToOne}, {"boxes", sources, schema.ManyToOne}, {"boxes", vectors, schema.ManyToOne},
		{"boxes", &schema.Class{}, schema.ManyToOne},
	} {
		if err := s.Add(test.name, test.class, test.relation); !errors.Is(err, schema.ErrSchema) {
			t.Errorf("Add(%q, %s, %s): got %v, want an error", test.name, test.class.Name, test.relation, err)
		}
	}
	if !s.Equal(before) {
		t.Error("refused tables: want the schema unchanged")
	}
	if err := s.Add("boxes", boxes, schema.ManyToOne); err != nil {
		t.Fatal(err)
	}
	if s.Equal(before) || !s.Many("boxes") || before.Many("boxes") {
		t.Error("want the table in the schema and not in its clone")
	}
	again, err := schema.ParseDatasetSchema(s.Encode())
	if err != nil || !again.Equal(s) {
		t.Errorf("written and read: got %v", err)
	}
	if got := again.TablesOf(schema.GroupAnnotations); !slices.Contains(got, "boxes") {
		t.Errorf("got annotations %v", got)
	}
	if _, err := schema.NewDatasetSchema(boxes); !errors.Is(err, schema.ErrSchema) {
		t.Errorf("items of boxes: got %v", err)
	}
}

func TestRemove(t *testing.T) {
	s := parseGolden(t, "vqa")
	before := s.Clone()
	for _, name := range []string{"item", "source", "nothing", ""} {
		err := s.Remove(name)
		if e, ok := errors.AsType[*schema.Error](err); !ok || e.Type != "schema.json" || e.Field != strings.TrimSuffix("schemas."+name, ".") {
			t.Errorf("Remove(%q): got %v, want an error that names the table", name, err)
		}
	}
	if !s.Equal(before) || !bytes.Equal(s.Encode(), before.Encode()) {
		t.Error("refused names: want the schema unchanged")
	}
	class, _ := s.Class("messages")
	if err := s.Remove("messages"); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(s.Encode(), []byte("messages")) {
		t.Errorf("want no messages in\n%s", s.Encode())
	}
	if _, ok := s.Relation("item", "messages"); ok {
		t.Error("want no relation of the removed table")
	}
	if _, ok := before.Class("messages"); !ok {
		t.Error("the clone lost the table too")
	}
	again, err := schema.ParseDatasetSchema(s.Encode())
	if err != nil || !again.Equal(s) {
		t.Errorf("written and read: got %v", err)
	}
	if err := s.Remove("messages"); !errors.Is(err, schema.ErrSchema) {
		t.Errorf("removed twice: got %v", err)
	}
	// Added again, it is the last table and otherwise as before.
	if err := s.Add("messages", class, schema.ManyToOne); err != nil {
		t.Fatal(err)
	}
	if got, want := len(s.Tables()), len(before.Tables()); got != want || !s.Many("messages") {
		t.Errorf("got %d tables, want %d with many messages", got, want)
	}
	for _, name := range s.Tables() {
		if name != "item" {
			if err := s.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if again, err = schema.ParseDatasetSchema(s.Encode()); err != nil || !slices.Equal(again.Tables(), []string{"item"}) {
		t.Errorf("items alone: got %v, %v", again, err)
	}
}

// TestEncodeEscapes wants names that are not ASCII written as the reference implementation does.
func TestEncodeEscapes(t *testing.T) {
	text := strings.ReplaceAll(strings.ReplaceAll(smallSchema, "Photo", "Bildé🐕"), "caption", "légende")
	s, err := schema.ParseDatasetSchema([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"schema": "Bild\u00e9\ud83d\udc15"`, `"l\u00e9gende": {`} {
		if !strings.Contains(string(s.Encode()), want) {
			t.Errorf("want %s in\n%s", want, s.Encode())
		}
	}
	again, err := schema.ParseDatasetSchema(s.Encode())
	if err != nil || !again.Equal(s) {
		t.Errorf("written and read: got %v", err)
	}
}

func TestGoSourceErrors(t *testing.T) {
	redeclared := strings.Replace(smallSchema, `"tags": {"type": "str", "collection": true}`, `"item_ref": {"type": "str", "collection": false}`, 1)
	twice := strings.Replace(smallSchema, `"schema": "Thing", "base_schema": "Entity"`, `"schema": "Photo", "base_schema": "Entity"`, 1)
	spaces := strings.Replace(smallSchema, `"Thing"`, `"a thing"`, 1)
	aggregate := strings.Replace(smallSchema, `"Thing"`, `"Sample"`, 1)
	column := strings.Replace(smallSchema, `"tags"`, `"a-b"`, 1)
	for _, text := range []string{redeclared, twice, spaces, aggregate, column} {
		s, err := schema.ParseDatasetSchema([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if src, err := s.GoSource("main", "Sample"); !errors.Is(err, schema.ErrSchema) {
			t.Errorf("got %v\n%s", err, src)
		}
	}
}

func TestGoSourceNames(t *testing.T) {
	text := strings.Replace(smallSchema, `"tags": {"type": "str", "collection": true}`,
		`"entity": {"type": "bytes", "collection": true}, "b_box": {"type": "datetime", "collection": false}, "x2nd": {"type": "int", "collection": false},
		 "Upper": {"type": "ViewRef", "collection": true}, "half": {"type": "FixedSizeList", "dim": 3, "value_type": "halffloat"}, "a__b": {"type": "str"}, "a_b": {"type": "str"}`, 1)
	s, err := schema.ParseDatasetSchema([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	src, err := s.GoSource("main", "Sample")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(filepath.Join("testdata", "names.go.txt"), src, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := readFile(t, "testdata", "names.go.txt")
	if diff := cmp.Diff(string(want), string(src)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Registration.

type registeredOnce struct {
	schema.Entity
	A string
}

type generic[T any] struct {
	schema.Entity
	Value T
}

func TestRegister(t *testing.T) {
	for range 2 { // the second time changes nothing
		if err := schema.Register[registeredOnce](); err != nil {
			t.Fatal(err)
		}
		if err := schema.Register[*registeredOnce](); err != nil {
			t.Fatal(err)
		}
		if err := schema.Register[schema.BBox](); err != nil {
			t.Fatal(err)
		}
		if err := schema.RegisterName("StringValue", generic[string]{}); err != nil {
			t.Fatal(err)
		}
	}
	if got, ok := schema.Lookup("registeredOnce"); !ok || got != reflect.TypeFor[registeredOnce]() {
		t.Errorf("got %v", got)
	}
	if c, err := schema.ClassOf(generic[string]{}); err != nil || c.Name != "StringValue" {
		t.Errorf("got %v, %v", c, err)
	}
	if _, err := schema.ClassOf(generic[int64]{}); !errors.Is(err, schema.ErrSchema) {
		t.Errorf("an instance without a name: got %v", err)
	}
	for name, err := range map[string]error{
		"taken name":      schema.RegisterName("registeredOnce", ranked{}),
		"another name":    schema.RegisterName("Twice", registeredOnce{}),
		"built-in name":   schema.RegisterName("BBox", registeredOnce{}),
		"built-in type":   schema.RegisterName("Box", schema.BBox{}),
		"no name":         schema.RegisterName("", ranked{}),
		"bad name":        schema.RegisterName("a b", ranked{}),
		"bad type":        schema.RegisterName("Bad", smallInt{}),
		"no row":          schema.RegisterName("Nil", nil),
		"generic default": schema.Register[generic[int64]](),
		"dynamic":         schema.Register[schema.Dynamic](),
	} {
		if !errors.Is(err, schema.ErrSchema) {
			t.Errorf("%s: got %v, want an error", name, err)
		}
	}
	if _, ok := schema.Lookup("Twice"); ok {
		t.Error("a refused name: want it unknown")
	}
}

// Image shadows the name of a built-in class that it extends; KeyPoints that of one it has nothing to do with.
type (
	Image struct {
		schema.Image
		Caption string
	}
	KeyPoints struct{ schema.Entity }
)

func TestClassNamesOfBuiltins(t *testing.T) {
	if c, err := schema.ClassOf(Image{}); err != nil || c.Name != "Image" || c.Base != "Image" {
		t.Errorf("got %v, %v", c, err)
	} else if typ, ok := c.GoType(); ok {
		t.Errorf("got %v, want no type: the built-in has fewer columns", typ)
	}
	if _, err := schema.ClassOf(KeyPoints{}); !errors.Is(err, schema.ErrSchema) {
		t.Errorf("got %v, want an error", err)
	}
}

// Notebooks: struct types arrive unnamed, with an ordinary first field in place of the embedded one.

func TestNotebookTypes(t *testing.T) {
	type cellOne = struct {
		Entity   schema.Entity
		Category string
	}
	type cellTwo = struct {
		Entity   schema.Entity
		Category string
		Area     float64
	}
	if _, err := schema.ClassOf(cellOne{}); !errors.Is(err, schema.ErrSchema) || !strings.Contains(err.Error(), "RegisterName") {
		t.Errorf("without a name: got %v", err)
	}
	for _, cell := range []any{cellOne{}, cellOne{}, cellTwo{}, cellOne{}, cellTwo{}} { // cells run again
		if err := schema.RegisterName("CellObject", cell); err != nil {
			t.Fatal(err)
		}
	}
	c, err := schema.ClassOf(cellTwo{})
	if err != nil || c.Name != "CellObject" || c.Base != "Entity" {
		t.Fatalf("got %v, %v", c, err)
	}
	if _, err := schema.ClassOf(cellOne{}); !errors.Is(err, schema.ErrSchema) {
		t.Errorf("a replaced type: got %v, want an error", err)
	}
	if err := schema.RegisterName("CellObject", ranked{}); !errors.Is(err, schema.ErrSchema) {
		t.Errorf("a named type in its place: got %v", err)
	}
	if typ, ok := c.GoType(); !ok || typ != reflect.TypeFor[cellTwo]() {
		t.Errorf("got %v", typ)
	}
	// An aggregate of another cell, and a class two levels deep with the names that an interpreter makes.
	deepType := reflect.StructOf([]reflect.StructField{
		{Name: "CellObject", Type: reflect.TypeFor[cellTwo]()},
		{Name: "Rank", Type: reflect.TypeFor[int]()},
		{Name: "\U00012038cache", Type: reflect.TypeFor[map[string]int]()},
		{Name: "Extra", Type: reflect.TypeFor[string](), Tag: `pixano:"extra_text"`},
	})
	cols, err := schema.ColumnsOf(deepType)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, col := range cols {
		names = append(names, col.Name)
	}
	want := []string{"id", "created_at", "updated_at", "item_ref", "view_ref", "parent_ref", "category", "area", "rank", "extra_text"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	item := struct {
		Item    schema.Item
		Image   schema.Image
		Objects []cellTwo
		Weather string
	}{}
	s, err := schema.DatasetSchemaOf(&item)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.Tables(), []string{"image", "objects", "item"}; !slices.Equal(got, want) {
		t.Errorf("got tables %v, want %v", got, want)
	}
	if c, _ := s.Class("objects"); c.Name != "CellObject" {
		t.Errorf("got class %s", c.Name)
	}
	row := cellTwo{Entity: schema.Entity{ID: "a"}, Category: "cat"}
	data, err := schema.MarshalRow("objects", row)
	if err != nil || !strings.Contains(string(data), `"category":"cat"`) {
		t.Errorf("got %s, %v", data, err)
	}
	if err := schema.Validate(cellTwo{Entity: schema.Entity{ID: "a b"}}); err == nil || !strings.Contains(err.Error(), "CellObject.id") {
		t.Errorf("got %v, want an error of CellObject.id", err)
	}
	// A named struct's field is a field.
	if _, err := schema.ClassOf(groupAsField{}); !errors.Is(err, schema.ErrSchema) {
		t.Errorf("got %v", err)
	}
}

func TestShow(t *testing.T) {
	rows := []detectedObject{{Entity: schema.Entity{ID: "a<b"}, Category: strings.Repeat("x", 100)}, {}}
	html := schema.Show(rows).HTML()
	for _, want := range []string{"<th>category</th>", "<td>a&lt;b</td>", strings.Repeat("x", 79) + "…"} {
		if !strings.Contains(html, want) {
			t.Errorf("want %s in %s", want, html)
		}
	}
	s := parseGolden(t, "image_detection")
	class, _ := s.Class("objects")
	d, err := schema.NewDynamic(class)
	if err != nil {
		t.Fatal(err)
	}
	box := schema.NewBBox("b")
	box.Coords = []float64{0, math.NaN(), 1, 2}
	for name, shown := range map[string][2]string{
		"row":     {schema.Show(box).HTML(), "<td>[0.0,NaN,1.0,2.0]</td>"},
		"pointer": {schema.Show(&box).HTML(), "<th>confidence</th>"},
		"mixed":   {schema.Show([]any{&box, box}).HTML(), "<td>b</td>"},
		"schema":  {s.HTML(), "<td>DetectedObject</td>"},
		"class":   {class.HTML(), "<td>list[str]</td>"},
		"dynamic": {d.HTML(), "<th>occluded</th>"},
		"many":    {schema.Show(make([]schema.BBox, 51)).HTML(), "50 of 51 rows"},
		"none":    {schema.Show(&[]schema.BBox{}).HTML(), "no rows"},
		"text":    {schema.Show(schema.NewItem("i")).String(), "id\tcreated_at\tupdated_at\tsplit\ni\t"},
	} {
		if !strings.Contains(shown[0], shown[1]) {
			t.Errorf("%s: want %q in %s", name, shown[1], shown[0])
		}
	}
}
