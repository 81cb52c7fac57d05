package schema_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pixano/features"
	"pixano/schema"
)

const golden = "../testdata/golden"

// goldenSets are the golden datasets that have a schema.json.
var goldenSets = []string{"image_detection", "image_detection_f1098606", "multiview_text", "video_tracking", "vqa"}

func readFile(t testing.TB, path ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func readJSON(t testing.TB, v any, path ...string) {
	t.Helper()
	if err := json.Unmarshal(readFile(t, path...), v); err != nil {
		t.Fatalf("%s: %v", filepath.Join(path...), err)
	}
}

func parseGolden(t testing.TB, set string) *schema.DatasetSchema {
	t.Helper()
	s, err := schema.ParseDatasetSchema(readFile(t, golden, set, "schema.json"))
	if err != nil {
		t.Fatalf("%s: %v", set, err)
	}
	return s
}

// goldenTable is one table of expected.json.
type goldenTable struct {
	Group      schema.Group
	Schema     string
	BaseSchema string `json:"base_schema"`
	Rows       []map[string]any
	Arrow      []struct {
		Name     string
		Nullable bool
		Type     string
		Dim      int
	} `json:"arrow_schema"`
}

func goldenTables(t testing.TB, set string) map[string]goldenTable {
	t.Helper()
	var expected struct{ Tables map[string]goldenTable }
	data := readFile(t, golden, set, "expected.json")
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&expected); err != nil {
		t.Fatal(err)
	}
	return expected.Tables
}

func TestGoldenSchemaRoundTrips(t *testing.T) {
	for _, set := range goldenSets {
		t.Run(set, func(t *testing.T) {
			want := readFile(t, golden, set, "schema.json")
			s := parseGolden(t, set)
			if diff := cmp.Diff(string(want), string(s.Encode())); diff != "" {
				t.Errorf("schema.json (-want +got):\n%s", diff)
			}
			var again schema.DatasetSchema
			data, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(data, &again); err != nil {
				t.Fatal(err)
			}
			if !again.Equal(s) {
				t.Errorf("json.Marshal, Unmarshal: got another schema\n%s", data)
			}
			if !s.Clone().Equal(s) {
				t.Error("Clone: got another schema")
			}
		})
	}
}

// TestGoldenArrowSchema holds the classes against the columns that the reference implementation stored.
func TestGoldenArrowSchema(t *testing.T) {
	for _, set := range goldenSets {
		s := parseGolden(t, set)
		for name, table := range goldenTables(t, set) {
			c, ok := s.Class(name)
			if !ok {
				t.Errorf("%s: no class for table %s", set, name)
				continue
			}
			if g, _ := s.Group(name); g != table.Group || c.Name != table.Schema || c.Base != table.BaseSchema {
				t.Errorf("%s.%s: got %s %s %s, want %s %s %s", set, name, g, c.Name, c.Base, table.Group, table.Schema, table.BaseSchema)
			}
			if len(c.Fields) != len(table.Arrow) {
				t.Errorf("%s.%s: got %d columns, want %d", set, name, len(c.Fields), len(table.Arrow))
				continue
			}
			for i, a := range table.Arrow {
				f := c.Fields[i]
				if f.Name != a.Name || f.Type.Nullable() != a.Nullable || f.Type.Dim != a.Dim || arrowType(f.Type) != a.Type {
					t.Errorf("%s.%s column %d: got %s %s, want %+v", set, name, i, f.Name, f.Type, a)
				}
			}
		}
	}
}

// arrowType names the Arrow type of a column as expected.json does.
func arrowType(t schema.FieldType) string {
	switch {
	case t.Name == schema.TypeFixedSizeList:
		return "fixed_size_list"
	case t.Collection:
		return "list"
	}
	names := map[string]string{"str": "string", "int": "int64", "float": "double", "bool": "bool", "bytes": "binary",
		"datetime": "timestamp[us]"}
	if n, ok := names[t.Name]; ok {
		return n
	}
	return "struct"
}

// TestGoldenRows reads every row that the reference implementation wrote and writes it back, by its Go type where there
// is one and as a dynamic row, in both JSON forms.
func TestGoldenRows(t *testing.T) {
	for _, set := range goldenSets {
		s := parseGolden(t, set)
		for name, table := range goldenTables(t, set) {
			class, _ := s.Class(name)
			for _, row := range table.Rows {
				want := decodeBytes(t, class, row)
				for _, target := range targets(t, class) {
					if err := schema.Decode(fillShape(want), target); err != nil {
						t.Errorf("%s.%s %v: %v", set, name, row["id"], err)
						continue
					}
					if diff := cmp.Diff(normalized(t, class, want), columns(t, class, target)); diff != "" {
						t.Errorf("%s.%s %v as %T (-want +got):\n%s", set, name, row["id"], target, diff)
					}
					checkForms(t, name, target)
				}
			}
		}
	}
}

// checkForms writes the row in both JSON forms and reads it back.
func checkForms(t *testing.T, table string, row any) {
	t.Helper()
	class, err := schema.ClassOf(row)
	if err != nil {
		t.Fatal(err)
	}
	want := columns(t, class, row)
	rest, err := schema.MarshalRow(table, row)
	if err != nil {
		t.Fatal(err)
	}
	flat, err := schema.EncodeJSON(row)
	if err != nil {
		t.Fatal(err)
	}
	if text, ok := want["metadata"].(string); ok && text[0] == '[' {
		return // accepted as a text, refused as the list that it is on the wire
	}
	for _, again := range targets(t, class) {
		info, err := schema.UnmarshalRow(rest, again)
		if err != nil {
			t.Fatalf("%s: %v", rest, err)
		}
		group, base, _ := schema.GroupOf(row)
		if want := (schema.TableInfo{Name: table, Group: group, BaseSchema: base}); info != want {
			t.Errorf("table_info: got %+v, want %+v", info, want)
		}
		if diff := cmp.Diff(want, columns(t, class, again)); diff != "" {
			t.Errorf("UnmarshalRow(MarshalRow) (-want +got):\n%s", diff)
		}
		if err := schema.DecodeJSON(flat, again); err != nil {
			t.Fatalf("%s: %v", flat, err)
		}
		if diff := cmp.Diff(want, columns(t, class, again)); diff != "" {
			t.Errorf("DecodeJSON(EncodeJSON) (-want +got):\n%s", diff)
		}
	}
}

// targets returns fresh rows of the class: a dynamic one, and one of its Go type if it has one.
func targets(t *testing.T, class *schema.Class) []any {
	t.Helper()
	d, err := schema.NewDynamic(withDim(t, class))
	if err != nil {
		t.Fatal(err)
	}
	list := []any{d}
	if typ, ok := class.GoType(); ok {
		list = append(list, reflect.New(typ).Interface())
	}
	return list
}

// withDim gives embeddings of an open length the one that the tests use.
func withDim(t *testing.T, class *schema.Class) *schema.Class {
	t.Helper()
	f, _, ok := class.Field("vector")
	if !ok || f.Type.Dim != 0 {
		return class
	}
	c, err := class.WithDim(8)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// columns returns all values of a row.
func columns(t *testing.T, class *schema.Class, row any) map[string]any {
	t.Helper()
	m := map[string]any{}
	for _, f := range class.Fields {
		v, err := schema.Value(row, f.Name)
		if err != nil {
			t.Fatal(err)
		}
		m[f.Name] = v
	}
	return m
}

// decodeBytes turns the base64 texts of the golden files into bytes.
func decodeBytes(t *testing.T, class *schema.Class, row map[string]any) map[string]any {
	t.Helper()
	decoded := map[string]any{}
	for k, v := range row {
		decoded[k] = v
		if f, _, ok := class.Field(k); ok && f.Type == (schema.FieldType{Name: schema.TypeBytes}) {
			b, err := base64.StdEncoding.DecodeString(v.(string))
			if err != nil {
				t.Fatal(err)
			}
			decoded[k] = b
		}
	}
	return decoded
}

// fillShape gives rows whose vectors a function computed, and that are stored without a shape, one to compare with.
func fillShape(row map[string]any) map[string]any {
	if shape, ok := row["shape"].([]any); ok && len(shape) == 0 {
		row["shape"] = []any{len(row["vector"].([]any))}
	}
	return row
}

// normalized returns the expected row in Go types.
func normalized(t *testing.T, class *schema.Class, row map[string]any) map[string]any {
	t.Helper()
	m := map[string]any{}
	for _, f := range class.Fields {
		m[f.Name] = goValue(t, f.Type, row[f.Name])
	}
	return m
}

// goValue converts a JSON value that is already of the right kind: the tests' own, strict conversion.
func goValue(t *testing.T, ft schema.FieldType, v any) any {
	t.Helper()
	if ft.Collection || ft.Name == schema.TypeFixedSizeList {
		typ := ft.GoType()
		out := reflect.MakeSlice(typ, 0, 0)
		rv := reflect.ValueOf(v)
		for i := range rv.Len() {
			item := schema.FieldType{Name: ft.Name}
			if ft.Name == schema.TypeFixedSizeList {
				item = schema.FieldType{Name: schema.TypeFloat}
			}
			e := goValue(t, item, rv.Index(i).Interface())
			out = reflect.Append(out, reflect.ValueOf(e).Convert(typ.Elem()))
		}
		return out.Interface()
	}
	switch v := v.(type) {
	case json.Number:
		if ft.Name == schema.TypeInt {
			n, err := v.Int64()
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		f, err := v.Float64()
		if err != nil {
			t.Fatal(err)
		}
		return f
	case int:
		return int64(v)
	case string:
		if ft.Name == schema.TypeDatetime {
			for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04:05Z07:00"} {
				if tm, err := time.Parse(layout, v); err == nil {
					return tm.UTC() // stored without zone, in UTC
				}
			}
			t.Fatalf("no time: %s", v)
		}
		return v
	case map[string]any:
		out := reflect.New(ft.GoType())
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, out.Interface()); err != nil {
			t.Fatal(err)
		}
		return out.Elem().Interface()
	}
	return v
}

// TestGoldenAggregates declares the golden datasets in Go and compares the schemas with what Python wrote.
func TestGoldenAggregates(t *testing.T) {
	for _, test := range []struct {
		set       string
		aggregate any
		added     func(*schema.DatasetSchema) error
	}{
		{set: "image_detection", aggregate: detectionItem{}, added: func(s *schema.DatasetSchema) error {
			c, err := schema.ClassOf(schema.ViewEmbedding{})
			if err != nil {
				return err
			}
			if c, err = c.WithDim(8); err != nil {
				return err
			}
			return s.Add("toy_embedding", c, schema.ManyToOne)
		}},
		{set: "multiview_text", aggregate: &multiviewItem{}},
		{set: "video_tracking", aggregate: reflect.TypeFor[trackingItem]()},
		{set: "vqa", aggregate: vqaItem{}},
	} {
		t.Run(test.set, func(t *testing.T) {
			got, err := schema.DatasetSchemaOf(test.aggregate)
			if err != nil {
				t.Fatal(err)
			}
			if test.added != nil {
				if err := test.added(got); err != nil {
					t.Fatal(err)
				}
			}
			want := parseGolden(t, test.set)
			if !got.Equal(want) {
				t.Errorf("(-want +got):\n%s", cmp.Diff(string(want.Encode()), string(got.Encode())))
			}
			typ, ok := test.aggregate.(reflect.Type)
			if !ok {
				typ = reflect.TypeOf(test.aggregate)
			}
			a, err := schema.AggregateOf(typ)
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Check(want); err != nil {
				t.Error(err)
			}
		})
	}
}

type detectedObject struct {
	schema.Entity
	Category   string
	Occluded   bool
	Area       float64
	Rank       int
	Attributes []string
}

type imageVec16 struct {
	schema.ViewEmbedding `pixano:",dim=16"`
}

type detectionItem struct {
	schema.Item
	Image          schema.Image
	Objects        []detectedObject
	BBoxes         []schema.BBox `pixano:"bboxes"`
	Masks          []schema.CompressedRLE
	KeyPoints      []schema.KeyPoints `pixano:"keypoints"`
	Labels         []schema.Classification
	ImageEmbedding []imageVec16
	Category       string
	Difficulty     int64
	Score          float64
	Reviewed       bool
	Tags           []string
	CapturedAt     time.Time
}

type textVec struct {
	schema.Embedding
	Vector [6]float64
}

type multiviewItem struct {
	schema.Item
	Left, Right  schema.Image
	Thumbs       []schema.Image
	Caption      schema.Text
	Cloud        schema.PointCloud
	Persons      []schema.MultiModalEntity
	Places       []schema.NamedEntity
	Boxes        []schema.BBox
	Spans        []schema.TextSpan
	Relations    []schema.Relation
	Calibrations []schema.CamCalibration
	Boxes3D      []schema.BBox3D
	Skeletons    []schema.KeyPoints3D
	TextVectors  textVec
	Pose         features.NDArrayFloat
	Checksum     []byte
	SensorIDs    []int64 `pixano:"sensor_ids"`
	Ratios       []float64
	Flags        []bool
}

type trackingItem struct {
	schema.Item
	Clip      schema.Video
	Image     []schema.SequenceFrame
	Tracks    []schema.Track
	Tracklets []schema.Tracklet
	BBoxes    []schema.BBox `pixano:"bboxes"`
	Masks     []schema.CompressedRLE
	Location  string
	NumFrames int64
	FPS       float64
}

type vqaItem struct {
	schema.Item
	Image         schema.Image
	Conversations []schema.Conversation
	Messages      []schema.Message
	Objects       []schema.Entity
	BBoxes        []schema.BBox `pixano:"bboxes"`
	Masks         []schema.CompressedRLE
	KeyPoints     []schema.KeyPoints `pixano:"keypoints"`
	Topic         string
}

// The golden datasets have class names that begin with a capital.
func TestMain(m *testing.M) {
	for name, row := range map[string]any{"DetectedObject": detectedObject{}, "ImageVec16": imageVec16{}, "TextVec": textVec{}} {
		if err := schema.RegisterName(name, row); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// TestGoSource declares the golden datasets as GoSource says and checks that the declarations compile and mean the same
// columns and tags as the types above.
func TestGoSource(t *testing.T) {
	imp := importer.ForCompiler(token.NewFileSet(), "source", nil)
	for set, want := range map[string][]string{
		"image_detection": {"ViewEmbedding `pixano:\",dim=16\"`", "BBoxes", "Rank       int64"},
		"multiview_text":  {"Vector [6]float64", "SensorIds", "Pose         features.NDArrayFloat", "TextVectors  TextVec\n"},
		"video_tracking":  {"[]schema.SequenceFrame", "FPS "},
		"vqa":             {"[]schema.Message"},
	} {
		src, err := parseGolden(t, set).GoSource("mine", "Sample")
		if err != nil {
			t.Fatalf("%s: %v", set, err)
		}
		for _, w := range want {
			if !strings.Contains(strings.ReplaceAll(string(src), "Bboxes", "BBoxes"), w) {
				t.Errorf("%s: want %q in\n%s", set, w, src)
			}
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, set+".go", src, 0)
		if err != nil {
			t.Fatalf("%s: %v", set, err)
		}
		if testing.Short() {
			continue
		}
		if _, err := (&types.Config{Importer: imp}).Check("mine", fset, []*ast.File{file}, nil); err != nil {
			t.Errorf("%s: %v\n%s", set, err, src)
		}
	}
}

// TestValidationCases holds constructors against the reference implementation's answers.
func TestValidationCases(t *testing.T) {
	var file struct {
		Cases []struct {
			Schema   string
			Args     json.RawMessage
			Accepted bool
			Row      map[string]any
		}
	}
	dec := json.NewDecoder(bytes.NewReader(readFile(t, golden, "validation_cases.json")))
	dec.UseNumber()
	if err := dec.Decode(&file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) != 186 {
		t.Errorf("got %d cases, want 186", len(file.Cases))
	}
	for i, c := range file.Cases {
		typ, ok := schema.Lookup(c.Schema)
		if !ok {
			t.Errorf("case %d: no class %s", i, c.Schema)
			continue
		}
		class, err := schema.ClassOf(typ)
		if err != nil {
			t.Fatal(err)
		}
		args := withTimes(t, c.Args)
		for _, row := range targets(t, class) {
			err := schema.DecodeJSON(args, row)
			if (err == nil) != c.Accepted {
				t.Errorf("case %d, %s %s as %T: got error %v, want accepted %v", i, c.Schema, c.Args, row, err, c.Accepted)
				continue
			}
			if !c.Accepted {
				checkError(t, err, c.Schema)
				continue
			}
			want := normalized(t, class, decodeBytes(t, class, c.Row))
			if diff := cmp.Diff(want, columns(t, class, row)); diff != "" {
				t.Errorf("case %d, %s %s as %T (-want +got):\n%s", i, c.Schema, c.Args, row, diff)
			}
			if err := schema.Validate(row); err != nil {
				t.Errorf("case %d, %s %s: Validate after Decode: %v", i, c.Schema, c.Args, err)
			}
			checkForms(t, "table", row)
		}
	}
}

// TestMessageCases holds messages against the reference implementation's answers.
func TestMessageCases(t *testing.T) {
	var expected struct {
		Calls []struct {
			Op     string
			Args   map[string]any
			Result json.RawMessage
		}
	}
	readJSON(t, &expected, golden, "vqa", "expected.json")
	n := 0
	for _, call := range expected.Calls {
		if call.Op != "new_Message" {
			continue
		}
		n++
		args := map[string]any{"id": "m", "content": "c", "number": 0, "user": "u", "created_at": "2024-01-02T03:04:05.678901"}
		for k, v := range call.Args {
			args[k] = v
		}
		var m schema.Message
		err := schema.Decode(args, &m)
		if accepted := call.Result != nil; (err == nil) != accepted {
			t.Errorf("%v: got error %v, want accepted %v", call.Args, err, accepted)
		}
		if err != nil {
			continue
		}
		var want schema.Message
		if err := schema.DecodeJSON(call.Result, &want); err != nil {
			t.Fatal(err)
		}
		if want.Content == "[[]] " {
			want.Content = "no brackets" // what the reference loses is kept here
		}
		if diff := cmp.Diff(columns(t, messageClass(t), want), columns(t, messageClass(t), m)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", call.Args, diff)
		}
	}
	if n != 17 {
		t.Errorf("got %d cases, want 17", n)
	}
}

func messageClass(t *testing.T) *schema.Class {
	t.Helper()
	c, err := schema.ClassOf(schema.Message{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// withTimes adds the times that the cases leave out.
func withTimes(t *testing.T, args json.RawMessage) []byte {
	t.Helper()
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(args, &keys); err != nil {
		t.Fatal(err)
	}
	if keys["created_at"] != nil || keys["updated_at"] != nil {
		return args
	}
	text := strings.TrimSuffix(strings.TrimSpace(string(args)), "}")
	if len(keys) > 0 {
		text += ","
	}
	return []byte(text + `"created_at": "2024-01-02T03:04:05.678901", "updated_at": "2024-01-02T03:04:05.678901"}`)
}

// checkError wants an error that names class, field and rule.
func checkError(t *testing.T, err error, class string) {
	t.Helper()
	e, ok := err.(*schema.Error)
	if !ok || e.Type != class || e.Field == "" || e.Rule == "" {
		t.Errorf("got %#v, want an Error with type %s, field and rule", err, class)
	}
}

// TestBuiltinClasses holds the built-in classes against those of the reference implementation: columns in order, types,
// which are required, and defaults.
func TestBuiltinClasses(t *testing.T) {
	var want map[string]struct {
		Parent string
		Group  schema.Group
		Fields []struct {
			Name       string
			Type       string
			Collection bool
			ValueType  string `json:"value_type"`
			Required   bool
			Nullable   bool
			Default    any
		}
	}
	dec := json.NewDecoder(bytes.NewReader(readFile(t, "testdata", "builtin_classes.json")))
	dec.UseNumber()
	if err := dec.Decode(&want); err != nil {
		t.Fatal(err)
	}
	if got := len(schema.Builtins()); got != len(want) {
		t.Errorf("got %d classes, want %d", got, len(want))
	}
	for name, w := range want {
		typ, ok := schema.Lookup(name)
		if !ok {
			t.Errorf("no class %s", name)
			continue
		}
		class, err := schema.ClassOf(typ)
		if err != nil {
			t.Fatal(err)
		}
		if class.Group() != w.Group || class.Name != name || class.Base != name || !schema.IsA(name, name) ||
			w.Parent != "" && !schema.IsA(name, w.Parent) {
			t.Errorf("%s: got class %s of %s in %s", name, class.Name, class.Base, class.Group())
		}
		if len(class.Fields) != len(w.Fields) {
			t.Errorf("%s: got %d columns, want %d", name, len(class.Fields), len(w.Fields))
			continue
		}
		d, err := schema.NewDynamic(withDim(t, class))
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range class.Fields {
			wf := w.Fields[i]
			wt := schema.FieldType{Name: wf.Type, Collection: wf.Collection, ValueType: wf.ValueType}
			// The head is never required: id is "" and the times are now.
			if f.Name != wf.Name || f.Type != wt || f.Required != wf.Required && i > 2 || f.Type.Nullable() != wf.Nullable {
				t.Errorf("%s: got column %+v, want %+v", name, f, wf)
			}
			if wf.Default == nil {
				continue
			}
			got := d.Values()[i]
			if f.Name == "inference_metadata" || f.Name == "metadata" {
				got = "{}" // filled in by normalising
			}
			if diff := cmp.Diff(goValue(t, f.Type, wf.Default), got); diff != "" {
				t.Errorf("%s.%s default (-want +got):\n%s", name, f.Name, diff)
			}
		}
	}
}
