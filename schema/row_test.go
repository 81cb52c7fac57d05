package schema_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"image"
	"image/png"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pixano/features"
	"pixano/schema"
)

const boxJSON = `{"id": "b1", "created_at": "2024-01-02T03:04:05", "updated_at": "2024-01-02T03:04:06",
 "table_info": {"name": "bboxes", "group": "annotations", "base_schema": "BBox"},
 "data": {"item_ref": {"name": "item", "id": "i1"}, "view_ref": {"name": "", "id": ""}, "entity_ref": {"name": "", "id": ""},
  "source_ref": {"name": "", "id": ""}, "inference_metadata": {"score": 1.0, "é": [1, null]},
  "coords": [0, 0.5, 1e-7, 1], "format": "xywh", "is_normalized": true, "confidence": 1, "unknown": 3}}`

func TestMarshalRow(t *testing.T) {
	var b schema.BBox
	info, err := schema.UnmarshalRow([]byte(boxJSON), &b)
	if err != nil {
		t.Fatal(err)
	}
	if want := (schema.TableInfo{Name: "bboxes", Group: schema.GroupAnnotations, BaseSchema: "BBox"}); info != want {
		t.Errorf("got %+v, want %+v", info, want)
	}
	want := schema.BBox{
		Annotation: schema.Annotation{
			ID:                "b1",
			CreatedAt:         time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC),
			UpdatedAt:         time.Date(2024, 1, 2, 3, 4, 6, 0, time.UTC),
			ItemRef:           features.Item("i1"),
			InferenceMetadata: `{"score": 1.0, "\u00e9": [1, null]}`,
		},
		Coords: []float64{0, 0.5, 1e-7, 1}, Format: "xywh", IsNormalized: true, Confidence: 1,
	}
	if diff := cmp.Diff(want, b); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got, err := schema.MarshalRow("bboxes", b)
	if err != nil {
		t.Fatal(err)
	}
	const wantJSON = `{"id":"b1","created_at":"2024-01-02T03:04:05","updated_at":"2024-01-02T03:04:06",` +
		`"table_info":{"name":"bboxes","group":"annotations","base_schema":"BBox"},` +
		`"data":{"item_ref":{"name":"item","id":"i1"},"view_ref":{"name":"","id":""},"entity_ref":{"name":"","id":""},` +
		`"source_ref":{"name":"","id":""},"inference_metadata":{"score":1.0,"\u00e9":[1,null]},` +
		`"coords":[0.0,0.5,1e-07,1.0],"format":"xywh","is_normalized":true,"confidence":1.0}}`
	if string(got) != wantJSON {
		t.Errorf("got  %s\nwant %s", got, wantJSON)
	}
}

func TestJSONValues(t *testing.T) {
	type row struct {
		schema.Entity
		Text    string
		Raw     []byte
		Numbers []float64
		Half    [2]schema.Float16
		Big     [1]uint64
		Blobs   [1][]byte
		Flags   [2]bool
		Vector  []int8 `pixano:",dim=2"`
		Pose    features.NDArrayFloat
		Seen    []time.Time
	}
	in := row{
		Text: "a\"\\\n\u0001é🐕", Raw: []byte{0, 255}, Numbers: []float64{1, 0.0, 1e16, 1e-5, 123456789.5, math.MaxFloat64},
		Half: [2]schema.Float16{schema.NewFloat16(1.5), schema.NewFloat16(-2)}, Big: [1]uint64{math.MaxUint64},
		Blobs: [1][]byte{[]byte("text")}, Flags: [2]bool{true, false}, Vector: []int8{-128, 127},
		Pose: features.NDArrayFloat{Values: []float64{1}, Shape: []int64{1}},
		Seen: []time.Time{time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)},
	}
	if err := schema.Normalize(&in); err != nil {
		t.Fatal(err)
	}
	data, err := schema.EncodeJSON(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"text":"a\"\\\n\u0001é🐕"`, `"raw":{"__bytes__":"AP8="}`, `"numbers":[1.0,0.0,1e+16,1e-05,123456789.5,1.7976931348623157e+308]`,
		`"half":[1.5,-2.0]`, `"big":[18446744073709551615]`, `"blobs":["text"]`, `"flags":[true,false]`, `"vector":[-128,127]`,
		`"pose":{"values":[1.0],"shape":[1]}`, `"seen":["0001-01-01T00:00:00","9999-12-31T23:59:59.999999"]`} {
		if !strings.Contains(string(data), want) {
			t.Errorf("want %s in\n%s", want, data)
		}
	}
	var out row
	if err := schema.DecodeJSON(data, &out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in, out); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	out.Numbers = []float64{math.NaN(), math.Inf(1)}
	out.Vector = nil
	if data, err = schema.EncodeJSON(&out); err != nil || !strings.Contains(string(data), `"numbers":[{"__float__":"NaN(0x7ff8000000000001)"},{"__float__":"Infinity"}]`) ||
		!strings.Contains(string(data), `"vector":null`) || !json.Valid(data) {
		t.Errorf("got %s, %v", data, err)
	}
	// Over REST there is no NaN.
	if data, err = schema.MarshalRow("t", &out); err != nil || !strings.Contains(string(data), `"numbers":[null,null]`) ||
		!strings.Contains(string(data), `"vector":null`) || !json.Valid(data) {
		t.Errorf("got %s, %v", data, err)
	}
}

// TestCoercion goes through what each column type takes and refuses.
func TestCoercion(t *testing.T) {
	type row struct {
		schema.Entity
		S    string             `pixano:",optional"`
		I    int                `pixano:",optional"`
		F    float64            `pixano:",optional"`
		B    bool               `pixano:",optional"`
		Y    []byte             `pixano:",optional"`
		T    time.Time          `pixano:",optional"`
		R    features.EntityRef `pixano:",optional"`
		L    []int64            `pixano:",optional"`
		V    [2]float32         `pixano:",optional"`
		U    [1]uint8           `pixano:",optional"`
		H    [1]schema.Float16  `pixano:",optional"`
		Pose features.BaseIntrinsics
	}
	const pose = `"pose": {"cx_offset_px": 0, "cy_offset_px": 0, "img_height_px": 0, "img_width_px": 0}`
	utc := func(y, mo, d, h, mi, s, us int) time.Time {
		return time.Date(y, time.Month(mo), d, h, mi, s, us*1000, time.UTC)
	}
	for _, test := range []struct {
		column, in string
		want       any // nil for an error
		field      string
	}{
		{"s", `"x"`, "x", ""}, {"s", `""`, "", ""}, {"s", `3`, nil, "s"}, {"s", `true`, nil, "s"}, {"s", `null`, nil, "s"},
		{"i", `7`, int64(7), ""}, {"i", `7.0`, int64(7), ""}, {"i", `"7"`, int64(7), ""}, {"i", `" -7 "`, int64(-7), ""}, {"i", `"7.0"`, int64(7), ""},
		{"i", `true`, int64(1), ""}, {"i", `1e3`, int64(1000), ""}, {"i", `7.5`, nil, "i"}, {"i", `"7.5"`, nil, "i"}, {"i", `"x"`, nil, "i"}, {"i", `"0x7"`, nil, "i"},
		{"i", `9223372036854775807`, int64(math.MaxInt64), ""}, {"i", `9223372036854775808`, nil, "i"}, {"i", `1e30`, nil, "i"}, {"i", `[]`, nil, "i"},
		{"f", `1`, 1.0, ""}, {"f", `"1.25"`, 1.25, ""}, {"f", `true`, 1.0, ""}, {"f", `"1e5"`, 1e5, ""}, {"f", `"nan"`, nil, "f"}, {"f", `"0x1p1"`, nil, "f"},
		{"f", `""`, nil, "f"}, {"f", `1e999`, nil, "f"}, {"f", `{}`, nil, "f"},
		{"b", `true`, true, ""}, {"b", `0`, false, ""}, {"b", `1.0`, true, ""}, {"b", `"YES"`, true, ""}, {"b", `"off"`, false, ""}, {"b", `2`, nil, "b"}, {"b", `"ja"`, nil, "b"}, {"b", `[]`, nil, "b"},
		{"y", `"é"`, []byte("é"), ""}, {"y", `{"__bytes__": "AP8="}`, []byte{0, 255}, ""}, {"y", `{"__bytes__": "?"}`, nil, "y"}, {"y", `[1, 2]`, nil, "y"}, {"y", `3`, nil, "y"},
		{"t", `"2024-01-02"`, utc(2024, 1, 2, 0, 0, 0, 0), ""}, {"t", `"2024-01-02T03:04"`, utc(2024, 1, 2, 3, 4, 0, 0), ""},
		{"t", `"2024-01-02 03:04:05.1234567"`, utc(2024, 1, 2, 3, 4, 5, 123456), ""}, {"t", `"2024-01-02T03:04:05+02:00"`, utc(2024, 1, 2, 1, 4, 5, 0), ""},
		{"t", `"2024-01-02T03:04:05-0030"`, utc(2024, 1, 2, 3, 34, 5, 0), ""}, {"t", `"2024-01-02T03:04:05Z"`, utc(2024, 1, 2, 3, 4, 5, 0), ""},
		{"t", `1704164645`, utc(2024, 1, 2, 3, 4, 5, 0), ""}, {"t", `1704164645000`, utc(2024, 1, 2, 3, 4, 5, 0), ""}, {"t", `"1704164645.5"`, utc(2024, 1, 2, 3, 4, 5, 500000), ""},
		{"t", `"0001-01-01T00:00:00"`, time.Time{}, ""}, {"t", `"0001-01-01T00:00:00+01:00"`, nil, "t"}, {"t", `"0000-01-01"`, nil, "t"},
		{"t", `"2024-02-30"`, nil, "t"}, {"t", `"2024-01-02T25:00:00"`, nil, "t"}, {"t", `"02.01.2024"`, nil, "t"}, {"t", `1e300`, nil, "t"}, {"t", `true`, nil, "t"},
		{"r", `{"name": "a", "id": "b", "c": 1}`, features.Entity("a", "b"), ""}, {"r", `{"name": "a"}`, features.Entity("a", ""), ""},
		{"r", `{"id": "b"}`, nil, "r.name"}, {"r", `{"name": 3}`, nil, "r.name"}, {"r", `"a"`, nil, "r"},
		{"l", `[1, "2", 3.0]`, []int64{1, 2, 3}, ""}, {"l", `[]`, []int64{}, ""}, {"l", `[1, null]`, nil, "l[1]"}, {"l", `[1, 2.5]`, nil, "l[1]"}, {"l", `"12"`, nil, "l"}, {"l", `{}`, nil, "l"},
		{"v", `[1, "2.5"]`, []float32{1, 2.5}, ""}, {"v", `[1]`, nil, "v"}, {"v", `[1, 1e300]`, nil, "v[1]"}, {"v", `[1, null]`, nil, "v[1]"},
		{"v", `[1, {"__float__": "-Infinity"}]`, []float32{1, float32(math.Inf(-1))}, ""}, {"v", `[1, {"__float__": "inf"}]`, nil, "v[1]"},
		{"v", `[1, {"__float__": "NaN(0x0)"}]`, nil, "v[1]"}, {"v", `[1, {"__float__": "NaN(0x7ff8000000000000)"}]`, nil, "v[1]"},
		{"f", `{"__float__": "Infinity"}`, math.Inf(1), ""}, {"f", `{"__float__": "1"}`, nil, "f"}, {"f", `{"__float__": 1}`, nil, "f"}, {"f", `null`, nil, "f"},
		{"h", `[{"__float__": "Infinity"}]`, []schema.Float16{0x7c00}, ""}, {"s", `{"__bytes__": "AP8="}`, nil, "s"}, {"t", `{"__datetime__": "0"}`, nil, "t"},
		{"u", `[255]`, []uint8{255}, ""}, {"u", `[256]`, nil, "u[0]"}, {"u", `[-1]`, nil, "u[0]"},
		{"h", `[0.5]`, []schema.Float16{0x3800}, ""}, {"h", `[65520]`, nil, "h[0]"},
		{"item_ref", `{"id": "i"}`, features.Item("i"), ""}, {"item_ref", `{"name": "image", "id": "i"}`, nil, "item_ref.name"},
		{"id", `"a b"`, nil, "id"}, {"id", `5`, nil, "id"}, {"id", `"a\tb"`, "a\tb", ""},
	} {
		data := []byte(`{` + pose + `, "` + test.column + `": ` + test.in + `}`)
		var typed row
		class, err := schema.ClassOf(typed)
		if err != nil {
			t.Fatal(err)
		}
		dynamic, err := schema.NewDynamic(class)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range []any{&typed, dynamic} {
			err := schema.DecodeJSON(data, r)
			if test.want == nil {
				e, ok := errors.AsType[*schema.Error](err)
				if !ok || e.Field != test.field || e.Type != "row" {
					t.Errorf("%s %s as %T: got %v, want an error at row.%s", test.column, test.in, r, err, test.field)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s %s as %T: %v", test.column, test.in, r, err)
				continue
			}
			got, _ := schema.Value(r, test.column)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s %s as %T (-want +got):\n%s", test.column, test.in, r, diff)
			}
		}
	}
}

func TestDecodeMap(t *testing.T) {
	var b schema.BBox
	err := schema.Decode(map[string]any{
		"id": "b", "coords": [4]int{1, 2, 3, 4}, "format": "xyxy", "is_normalized": 0,
		"item_ref": features.Item("i"), "view_ref": map[string]any{"name": "image", "id": "v"},
		"inference_metadata": map[string]any{"b": 1.5, "a": []string{"x"}},
		"created_at":         time.Date(2024, 1, 2, 3, 4, 5, 678901234, time.FixedZone("", 7200)),
	}, &b)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2024, 1, 2, 3, 4, 5, 678901000, time.UTC) // the wall clock, whatever the zone
	want := schema.BBox{
		Annotation: schema.Annotation{ID: "b", CreatedAt: at, UpdatedAt: at, ItemRef: features.Item("i"),
			ViewRef: features.View("image", "v"), InferenceMetadata: `{"a": ["x"], "b": 1.5}`},
		Coords: []float64{1, 2, 3, 4}, Format: "xyxy", Confidence: -1,
	}
	if diff := cmp.Diff(want, b); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, bad := range []map[string]any{
		{"coords": make(chan int)}, {"coords": []any{func() {}}}, {"format": nil}, {"inference_metadata": 3},
		{"inference_metadata": map[string]any{"a": make(chan int)}}, {"inference_metadata": map[string]any{"a": math.NaN()}},
		{"confidence": math.NaN()}, {"id": "\xff"}, {"created_at": time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		values := map[string]any{"coords": []float64{1, 2, 3, 4}, "format": "xyxy", "is_normalized": false}
		for k, v := range bad {
			values[k] = v
		}
		if err := schema.Decode(values, &b); !errors.Is(err, schema.ErrSchema) {
			t.Errorf("%v: got %v, want an error", bad, err)
		}
	}
}

func TestEnvelopeErrors(t *testing.T) {
	for _, test := range []struct{ replace, with, field string }{
		{`"id": "b1"`, `"id": "b 1"`, "id"},
		{`"id": "b1", "created`, `"created`, "id"},
		{`"id": "b1"`, `"id": 3`, "id"},
		{`"created_at": "2024-01-02T03:04:05", `, ``, "updated_at"},
		{`"created_at": "2024-01-02T03:04:05"`, `"created_at": "2025-01-02T03:04:05"`, "updated_at"},
		{`"created_at": "2024-01-02T03:04:05"`, `"created_at": "yesterday"`, "created_at"},
		{`"created_at": "2024-01-02T03:04:05"`, `"created_at": null`, "created_at"},
		{`"group": "annotations"`, `"group": "boxes"`, "table_info.group"},
		{`"group": "annotations", `, ``, "table_info.group"},
		{`"base_schema": "BBox"`, `"base_schema": "Box"`, "table_info.base_schema"},
		{`"base_schema": "BBox"`, `"base_schema": "BaseSchema"`, "table_info.base_schema"},
		{`"name": "bboxes", `, ``, "table_info.name"},
		{`"table_info": {`, `"table": {`, "table_info"},
		{`"data": {`, `"datum": {`, "data"},
		{`"coords": [0, 0.5, 1e-7, 1]`, `"coords": [0]`, "coords"},
		{`"coords": [0, 0.5, 1e-7, 1], `, ``, "coords"},
		{`"score": 1.0`, `"score": `, ""},
		{`"inference_metadata": {"score": 1.0, "é": [1, null]}`, `"inference_metadata": [1]`, "inference_metadata"},
	} {
		text := strings.Replace(boxJSON, test.replace, test.with, 1)
		if text == boxJSON {
			t.Fatalf("%s is not in the row", test.replace)
		}
		var b schema.BBox
		_, err := schema.UnmarshalRow([]byte(text), &b)
		e, ok := errors.AsType[*schema.Error](err)
		if !ok || e.Field != test.field {
			t.Errorf("%s: got %v, want an error at %q", test.with, err, test.field)
		}
	}
	for _, text := range []string{``, `null`, `[]`, `3`, `{`, `{}`, `{"id": "a", "id": "b"}`, boxJSON + `{}`, strings.Repeat("[", 100000)} {
		if _, err := schema.ParseEnvelope([]byte(text)); !errors.Is(err, schema.ErrSchema) {
			t.Errorf("%.20s: got %v, want an error", text, err)
		}
	}
}

// TestEnvelopeWithoutTimes wants now for both.
func TestEnvelopeWithoutTimes(t *testing.T) {
	text := strings.Replace(boxJSON, `"created_at": "2024-01-02T03:04:05", "updated_at": "2024-01-02T03:04:06",`, ``, 1)
	var b schema.BBox
	before := schema.Now()
	if _, err := schema.UnmarshalRow([]byte(text), &b); err != nil {
		t.Fatal(err)
	}
	if b.CreatedAt.Before(before) || b.CreatedAt.After(schema.Now()) || !b.UpdatedAt.Equal(b.CreatedAt) {
		t.Errorf("got %v, %v, want now", b.CreatedAt, b.UpdatedAt)
	}
}

func TestNormalize(t *testing.T) {
	zone := time.FixedZone("", -3600)
	e := schema.Entity{ID: "e", CreatedAt: time.Date(2024, 1, 2, 3, 4, 5, 6007, zone)}
	if err := schema.Normalize(&e); err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2024, 1, 2, 3, 4, 5, 6000, time.UTC); e.CreatedAt != want || e.UpdatedAt != want {
		t.Errorf("got %v and %v, want %v", e.CreatedAt, e.UpdatedAt, want)
	}
	s := schema.Source{Name: "n", Kind: "model"}
	if err := schema.Normalize(&s); err != nil || s.Metadata != "{}" || s.CreatedAt.IsZero() {
		t.Errorf("got %+v, %v", s, err)
	}
	for name, row := range map[string]any{
		"space":          schema.Entity{ID: "a b"},
		"updated alone":  schema.Entity{UpdatedAt: schema.Now()},
		"updated before": schema.Entity{CreatedAt: e.CreatedAt, UpdatedAt: e.CreatedAt.Add(-time.Second)},
		"year":           schema.Entity{CreatedAt: time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)},
		"utf8":           schema.Text{Content: "\xff"},
		"utf8 in list":   schema.Classification{Labels: []string{"\xff"}, Confidences: []float64{1}},
		"utf8 in ref":    schema.Entity{ViewRef: features.View("\xff", "a")},
		"item ref":       schema.Entity{ItemRef: features.ItemRef{Name: "image", ID: "a"}},
		"no vector":      schema.ViewEmbedding{},
		"NaN vector":     schema.Embedding{Vector: []float32{float32(math.NaN())}},
		"half NaN":       halfVector{Vector: [2]schema.Float16{0x7e00, 0}},
		"shape":          schema.Embedding{Vector: []float32{1, 2}, Shape: []int64{3}},
		"zero shape":     schema.Embedding{Vector: []float32{1, 2}, Shape: []int64{2, 0}},
		"huge shape":     schema.Embedding{Vector: []float32{1, 2}, Shape: []int64{1 << 62, 1 << 62}},
		"NaN box":        schema.BBox{Coords: []float64{0, 0, math.NaN(), 1}, Format: "xywh"},
		"zero tracklet":  schema.Tracklet{StartTimestep: -1, EndTimestep: -1, StartTimestamp: -1, EndTimestamp: -1},
		"source kind":    schema.Source{},
	} {
		if err := schema.Validate(row); !errors.Is(err, schema.ErrSchema) {
			t.Errorf("%s: got %v, want an error", name, err)
		}
	}
}

type halfVector struct {
	schema.Embedding
	Vector [2]schema.Float16
}

func TestEmbeddingShape(t *testing.T) {
	v := imageVec16{}
	v.Vector = make([]float32, 16)
	if err := schema.Validate(v); err != nil || v.Shape != nil {
		t.Errorf("Validate: got %v, shape %v; want the row unchanged", err, v.Shape)
	}
	if err := schema.Normalize(&v); err != nil || !cmp.Equal(v.Shape, []int64{16}) {
		t.Errorf("Normalize: got %v, shape %v", err, v.Shape)
	}
	v.Vector = make([]float32, 15)
	if err := schema.Validate(v); err == nil {
		t.Error("15 values for 16: want an error")
	}
	tv := textVec{Vector: [6]float64{1, 2, 3, 4, 5, 6}}
	if err := schema.FillShape(&tv); err != nil || !cmp.Equal(tv.Shape, []int64{6}) {
		t.Errorf("FillShape: got %v, shape %v", err, tv.Shape)
	}
	tv.Shape = []int64{2, 3}
	if err := schema.FillShape(&tv); err != nil || !cmp.Equal(tv.Shape, []int64{2, 3}) {
		t.Errorf("FillShape of a shape: got %v, shape %v", err, tv.Shape)
	}
	if err := schema.FillShape(&schema.BBox{}); err != nil {
		t.Errorf("FillShape of a box: got %v", err)
	}
	c, _ := schema.ClassOf(tv)
	d, err := schema.NewDynamic(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Set("vector", []any{1, 2, 3, 4, 5, 6}); err != nil {
		t.Fatal(err)
	}
	if err := schema.Normalize(d); err != nil {
		t.Fatal(err)
	}
	if got, _ := d.Get("shape"); !cmp.Equal(got, []int64{6}) {
		t.Errorf("got shape %v", got)
	}
}

func TestMessageRules(t *testing.T) {
	for _, test := range []struct {
		typ, question, content string
		choices                []string
		wantQuestion, want     string // empty: refused
	}{
		{"question", "", "q?", nil, "OPEN", "q?"},
		{"QUESTION", "open", "q?", []string{"a"}, "MULTI_CHOICE", "q?"},
		{"QUESTION", "SINGLE_CHOICE", "q?", nil, "OPEN", "q?"},
		{"QUESTION", "anything", "q?", nil, "OPEN", "q?"},
		{"QUESTION", "anything", "q?", []string{"a"}, "", ""},
		{"QUESTION", "single_choice", "q?", []string{"a"}, "SINGLE_CHOICE", "q?"},
		{"SYSTEM", "anything", "s", nil, "ANYTHING", "s"},
		{"SYSTEM", "OPEN", "s", []string{"a"}, "", ""},
		{"ANSWER", "OPEN", "a", []string{"a"}, "", ""},
		{"ANSWER", "OPEN", " [[A]]", nil, "OPEN", " [[A]]"},
		{"ANSWER", "MULTI_CHOICE", "[[A;B]]", nil, "MULTI_CHOICE", "[[A;B]] "},
		{"ANSWER", "MULTI_CHOICE", "[[A;B]]\n  because", nil, "MULTI_CHOICE", "[[A;B]] because"},
		{"ANSWER", "SINGLE_CHOICE", "[[A;B]]", nil, "", ""},
		{"ANSWER", "SINGLE_CHOICE_EXPLANATION", "[[A]]", nil, "", ""},
		{"ANSWER", "SINGLE_CHOICE_EXPLANATION", "[[A]]x", nil, "SINGLE_CHOICE_EXPLANATION", "[[A]] x"},
		{"ANSWER", "MULTI_CHOICE", " [[A]]", nil, "MULTI_CHOICE", " [[A]]"}, // kept, with a warning
		{"ANSWER", "MULTI_CHOICE_EXPLANATION", "because", nil, "", ""},
		{"ANSWER", "MULTI_CHOICE", "[[A]] one\ntwo", nil, "MULTI_CHOICE", "[[A]] one\ntwo"},
		{"remark", "OPEN", "r", nil, "", ""},
	} {
		m := schema.Message{Type: test.typ, QuestionType: test.question, Content: test.content, Choices: test.choices}
		err := schema.Normalize(&m)
		if (err == nil) != (test.wantQuestion != "") {
			t.Errorf("%+v: got error %v", test, err)
			continue
		}
		if err == nil && (m.QuestionType != test.wantQuestion || m.Content != test.want || m.Type != strings.ToUpper(test.typ)) {
			t.Errorf("%+v: got %s %s %q", test, m.Type, m.QuestionType, m.Content)
		}
	}
	if err := schema.Validate(schema.Message{Type: "SYSTEM", Number: -1}); err == nil {
		t.Error("number -1: want an error")
	}
}

func TestWarnings(t *testing.T) {
	type sized struct{ schema.CompressedRLE }
	for _, test := range []struct {
		row   any
		field string // of the warning; empty for none
	}{
		{schema.CompressedRLE{Size: []int64{2, 3}}, ""},
		{schema.CompressedRLE{Size: []int64{2, -3}}, "size"},
		{&sized{schema.CompressedRLE{Size: []int64{2}}}, "size"},
		{schema.TextSpan{}, "spans_start"},
		{schema.Tracklet{StartTimestep: 5}, "end_timestep"},
		{schema.NewTracklet("t"), ""},
		{schema.Tracklet{StartTimestep: -1, EndTimestep: -1, StartTimestamp: 5}, "end_timestamp"},
		{schema.Image{Width: -1}, "width"},
		{schema.SequenceFrame{Image: schema.Image{Height: -1}}, "height"},
		{schema.BBox{Coords: []float64{1, 1, 0, 0}, Format: "xyxy"}, "coords"},
		{schema.BBox{Coords: []float64{.5, .5, .6, .5}, Format: "xywh", IsNormalized: true}, "coords"},
		{schema.BBox{Coords: []float64{.5, .5, .5, .5}, Format: "xywh", IsNormalized: true}, ""},
		{schema.Message{Type: "ANSWER", QuestionType: "SINGLE_CHOICE", Content: "A"}, "content"},
		{schema.Message{Type: "ANSWER", QuestionType: "SINGLE_CHOICE", Content: "[[A]] 1\n2"}, "content"},
		{schema.Message{Type: "ANSWER", QuestionType: "SINGLE_CHOICE", Content: "[[A]]"}, ""},
		{schema.Entity{}, ""},
		{schema.Entity{ViewRef: features.View("image", "a")}, ""},
		{schema.Entity{ViewRef: features.View("", "a")}, "view_ref"},
	} {
		got, err := schema.Warnings(test.row)
		if err != nil {
			t.Fatal(err)
		}
		if test.field == "" && len(got) > 0 || test.field != "" && (len(got) != 1 || got[0].Field != test.field || got[0].Type == "") {
			t.Errorf("%+v: got %v, want a warning about %q", test.row, got, test.field)
		}
	}
}

// ranked has a rule of its own.
type ranked struct {
	schema.Entity
	Rank int
}

var errRank = errors.New("want a rank")

func (r ranked) Validate() error {
	if r.Rank < 0 {
		return errRank
	}
	return nil
}

func TestValidator(t *testing.T) {
	if err := schema.Validate(ranked{Rank: 1}); err != nil {
		t.Error(err)
	}
	if err := schema.Validate(&ranked{Rank: -1}); !errors.Is(err, errRank) {
		t.Errorf("got %v, want errRank", err)
	}
	if err := schema.Validate(ranked{Entity: schema.Entity{ID: "a b"}, Rank: -1}); !errors.Is(err, schema.ErrSchema) {
		t.Errorf("got %v, want the id's rule first", err)
	}
	if err := schema.DecodeJSON([]byte(`{"rank": -1}`), &ranked{}); !errors.Is(err, errRank) {
		t.Errorf("got %v, want errRank", err)
	}
}

func TestHead(t *testing.T) {
	created, updated := schema.Now(), schema.Now().Add(time.Hour)
	class, _ := schema.ClassOf(schema.BBox{})
	d, err := schema.NewDynamic(class)
	if err != nil {
		t.Fatal(err)
	}
	unnamed := struct {
		Entity   schema.Entity
		Category string
	}{}
	for _, row := range []any{&schema.BBox{}, d, &unnamed} {
		if err := schema.SetID(row, "x"); err != nil {
			t.Fatal(err)
		}
		if err := schema.SetTimes(row, created, updated); err != nil {
			t.Fatal(err)
		}
		id, err := schema.ID(row)
		c, u, err2 := schema.Times(row)
		if id != "x" || c != created || u != updated || err != nil || err2 != nil {
			t.Errorf("%T: got %q %v %v %v %v", row, id, c, u, err, err2)
		}
	}
}

func TestDynamic(t *testing.T) {
	class, _ := parseGolden(t, "image_detection").Class("objects")
	d, err := schema.NewDynamic(class)
	if err != nil {
		t.Fatal(err)
	}
	for column, value := range map[string]any{"id": "o1", "category": "cat", "rank": 3.0, "area": 2, "occluded": "no", "attributes": []string{"a"}} {
		if err := d.Set(column, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := schema.Normalize(d); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"id": "o1", "category": "cat", "rank": int64(3), "area": 2.0, "occluded": false, "attributes": []string{"a"},
		"view_ref": features.ViewRef{}}
	for column, w := range want {
		if got, ok := d.Get(column); !ok || !cmp.Equal(got, w) {
			t.Errorf("%s: got %#v, want %#v", column, got, w)
		}
	}
	again, err := schema.NewDynamicValues(class, d.Values())
	if err != nil {
		t.Fatal(err)
	}
	c := again.Clone()
	if err := c.Set("category", "dog"); err != nil {
		t.Fatal(err)
	}
	if got, _ := again.Get("category"); got != "cat" {
		t.Error("Clone: want an independent row")
	}
	for column, value := range map[string]any{"colour": "red", "rank": 1.5, "category": nil, "view_ref": 3, "id": "\xff"} {
		if err := c.Set(column, value); !errors.Is(err, schema.ErrSchema) {
			t.Errorf("Set(%s, %v): got %v, want an error", column, value, err)
		}
	}
	if _, ok := c.Get("colour"); ok {
		t.Error("Get of no column: want false")
	}
	values := d.Values()
	values[3] = 5
	if _, err := schema.NewDynamicValues(class, values); !errors.Is(err, schema.ErrSchema) {
		t.Errorf("wrong type: got %v", err)
	}
	if _, err := schema.NewDynamicValues(class, values[:3]); !errors.Is(err, schema.ErrSchema) {
		t.Errorf("too few values: got %v", err)
	}
	if _, err := schema.NewDynamic(&schema.Class{Name: "X", Base: "Entity"}); !errors.Is(err, schema.ErrSchema) {
		t.Errorf("invalid class: got %v", err)
	}
	if _, err := schema.NewDynamic(nil); !errors.Is(err, schema.ErrSchema) {
		t.Errorf("no class: got %v", err)
	}
}

// TestRedeclaredBase reads a class that gives a column of its base another type: its rows are kept, the base's rules
// about that column do not fit them.
func TestRedeclaredBase(t *testing.T) {
	class := &schema.Class{}
	err := json.Unmarshal([]byte(`{"schema": "Odd", "base_schema": "BBox", "fields": {"coords": {"type": "int", "collection": true}}}`), class)
	if err != nil {
		t.Fatal(err)
	}
	d, err := schema.NewDynamic(class)
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.DecodeJSON([]byte(`{"coords": [1, 2, 3], "format": "?", "is_normalized": false}`), d); err != nil {
		t.Fatal(err)
	}
	if got, _ := d.Get("coords"); !cmp.Equal(got, []int64{1, 2, 3}) {
		t.Errorf("got %v", got)
	}
	if got, _ := d.Get("confidence"); got != -1.0 {
		t.Errorf("got confidence %v, want the inherited default -1", got)
	}
}

func TestFloat16(t *testing.T) {
	for i := range 1 << 16 {
		h := schema.Float16(i)
		f := h.Float32()
		if h.IsNaN() {
			if f == f || !schema.NewFloat16(f).IsNaN() {
				t.Fatalf("%#04x: got %v, want NaN", i, f)
			}
			continue
		}
		if got := schema.NewFloat16(f); got != h {
			t.Fatalf("%#04x: got %#04x back from %v", i, got, f)
		}
		// Half way to the next number, rounding goes to the even one; a little more or less, to the nearer one.
		if next := h + 1; next&0x7fff <= 0x7c00 && next&0x7fff != 0 {
			nf := float64(next.Float32())
			if next&0x7fff == 0x7c00 {
				nf = math.Copysign(65536, float64(f)) // where the next number would be if it were not infinity
			}
			mid := float32((float64(f) + nf) / 2)
			even := h
			if h&1 == 1 {
				even = next
			}
			near, far := math.Nextafter32(mid, f), math.Nextafter32(mid, float32(nf))
			if got := schema.NewFloat16(mid); got != even {
				t.Fatalf("%v: got %#04x, want %#04x", mid, got, even)
			}
			if got := schema.NewFloat16(near); got != h {
				t.Fatalf("%v: got %#04x, want %#04x", near, got, h)
			}
			if got := schema.NewFloat16(far); got != next {
				t.Fatalf("%v: got %#04x, want %#04x", far, got, next)
			}
		}
	}
	for f, want := range map[float32]schema.Float16{1e10: 0x7c00, float32(math.Inf(-1)): 0xfc00, 1e-30: 0, -1e-30: 0x8000, 1: 0x3c00} {
		if got := schema.NewFloat16(f); got != want {
			t.Errorf("%v: got %#04x, want %#04x", f, got, want)
		}
	}
}

func TestTimes(t *testing.T) {
	zone := time.FixedZone("", 3*3600)
	in := time.Date(2024, 5, 6, 7, 8, 9, 1234567, zone)
	if got, want := schema.Naive(in), time.Date(2024, 5, 6, 7, 8, 9, 1234000, time.UTC); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, want := schema.FormatTime(schema.Naive(in)), "2024-05-06T07:08:09.001234"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	local := time.Now()
	if now := schema.Now(); now.Location() != time.UTC || now.Hour() != local.Hour() && now.Minute() > 0 {
		t.Errorf("got %v, want the local wall clock %v", now, local)
	}
}

func TestStructFields(t *testing.T) {
	for name, want := range map[string][]string{
		"ItemRef":        {"name str", "id str"},
		"NDArrayFloat":   {"values list[float]", "shape list[int]"},
		"BaseIntrinsics": {"cx_offset_px float", "cy_offset_px float", "img_height_px int", "img_width_px int"},
		"Intrinsics":     {"c1 float", "c2 float", "c3 float", "c4 float", "pixel_aspect_ratio float"},
		"Extrinsics":     {"pos_x_m float", "pos_y_m float", "pos_z_m float", "rot_x_deg float", "rot_z1_deg float", "rot_z2_deg float"},
		"str":            nil,
	} {
		var got []string
		ft := schema.FieldType{Name: name}
		for _, c := range ft.Fields() {
			got = append(got, c.Name+" "+c.Type.String())
			if f := ft.GoType().FieldByIndex(c.Index); f.Type != c.GoType {
				t.Errorf("%s.%s: Index leads to %v", name, c.Name, f.Type)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestItemForm(t *testing.T) {
	s, err := schema.DatasetSchemaOf(sample{})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	box := schema.NewBBox("b1")
	box.Coords, box.Format = []float64{1, 2, 3, 4}, "xywh"
	box.CreatedAt, box.UpdatedAt = at, at
	in := sample{Boxes: []schema.BBox{box}, Count: 3}
	in.Item = schema.Item{ID: "i1", CreatedAt: at, UpdatedAt: at, Split: "train"}
	in.Weather = "rain"
	if err := schema.Normalize(&in); err != nil {
		t.Fatal(err)
	}
	data, err := schema.MarshalItem(s, in, nil)
	if err != nil {
		t.Fatal(err)
	}
	const head = `"created_at":"2024-01-02T03:04:05","updated_at":"2024-01-02T03:04:05","table_info":`
	const none = `{"name":"","id":""}`
	want := `{"id":"i1","item":{"id":"i1",` + head + `{"name":"item","group":"item","base_schema":"Item"},` +
		`"data":{"split":"train","weather":"rain","count":3}},"entities":{},"annotations":{"boxes":[{"id":"b1",` + head +
		`{"name":"boxes","group":"annotations","base_schema":"BBox"},"data":{"item_ref":` + none + `,"view_ref":` + none +
		`,"entity_ref":` + none + `,"source_ref":` + none + `,"inference_metadata":{},"coords":[1.0,2.0,3.0,4.0],"format":"xywh",` +
		`"is_normalized":false,"confidence":-1.0}}]},"views":{"image":null}}`
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// By table, of any row type.
	again, err := schema.MarshalItem(s, &in, map[string]any{"boxes": []any{&box}, "image": nil})
	if err != nil || string(again) != want {
		t.Errorf("got %s, %v", again, err)
	}
	e, err := schema.ParseItem(data)
	if err != nil {
		t.Fatal(err)
	}
	var out sample
	if err := e.Item.Decode(&out); err != nil {
		t.Fatal(err)
	}
	for _, table := range e.Tables {
		for _, row := range table.Rows {
			var b schema.BBox
			if err := row.Decode(&b); err != nil {
				t.Fatal(err)
			}
			out.Boxes = append(out.Boxes, b)
		}
	}
	in.Boxes[0].InferenceMetadata = "{}"
	if diff := cmp.Diff(in, out, cmp.AllowUnexported(sample{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := schema.MarshalItem(s, in, map[string]any{"boxes": 3}); !errors.Is(err, schema.ErrSchema) {
		t.Errorf("rows that are none: got %v", err)
	}
	for _, test := range []struct{ replace, with, field string }{
		{`"id":"i1","item"`, `"item"`, "id"},
		{`"item":{"id"`, `"items":{"id"`, "item"},
		{`"item":{"id":"i1"`, `"item":{"id":"i 1"`, "item.id"},
		{`"boxes":[`, `"boxes":[null,`, "annotations.boxes[0]"},
		{`"boxes":[`, `"masks":[`, "annotations.masks[0].table_info.name"},
		{`"group":"annotations"`, `"group":"views"`, "annotations.boxes[0].table_info.group"},
		{`"views":{"image":null}`, `"views":[]`, "views"},
		{`"image":null`, `"image":3`, "views.image"},
	} {
		text := strings.Replace(want, test.replace, test.with, 1)
		if text == want {
			t.Fatalf("%s is not in the item", test.replace)
		}
		_, err := schema.ParseItem([]byte(text))
		if e, ok := errors.AsType[*schema.Error](err); !ok || e.Field != test.field {
			t.Errorf("%s: got %v, want an error at %s", test.with, err, test.field)
		}
	}
}

func TestMaskPNG(t *testing.T) {
	type labelled struct {
		schema.CompressedRLE
		Label string
	}
	rle, err := features.RLEFromBitmap(2, 3, []byte{0, 1, 1, 0, 0, 1}) // rows of the picture
	if err != nil {
		t.Fatal(err)
	}
	var m labelled
	if got := m.PNG(); got != nil {
		t.Errorf("no mask: got %d bytes", len(got))
	}
	m.SetMask(rle)
	img, err := png.Decode(bytes.NewReader(m.PNG()))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := img.Bounds().Size(), image.Pt(3, 2); got != want {
		t.Errorf("got size %v, want %v", got, want)
	}
	for y, row := range []string{" ##", "  #"} {
		for x, c := range row {
			if r, _, _, _ := img.At(x, y).RGBA(); (r != 0) != (c == '#') {
				t.Errorf("pixel %d, %d: got %d", x, y, r)
			}
		}
	}
	m.Counts = []byte("?!")
	if got := m.PNG(); got != nil {
		t.Errorf("a broken mask: got %d bytes", len(got))
	}
}

func TestJSONText(t *testing.T) {
	for _, test := range []struct {
		in   any
		want string // empty for an error
	}{
		{map[string]any{"b": []any{1, 2.5, nil, true}, "a": "é🐕\u2028"}, `{"a": "\u00e9\ud83d\udc15\u2028", "b": [1, 2.5, null, true]}`},
		{struct{ X, Y float64 }{1, 1e21}, `{"X": 1, "Y": 1e+21}`},
		{[]int{}, `[]`}, {map[string]int{}, `{}`}, {"<&>", `"<&>"`}, {nil, `null`},
		{json.Number("-0"), `0`}, {json.Number("123456789012345678901234567890"), `123456789012345678901234567890`}, {json.Number("1.50"), `1.5`},
		{json.RawMessage(`{"z":1.0,"a":2e0}`), `{"z": 1.0, "a": 2.0}`},
		{func() {}, ""}, {map[string]any{"a": []any{math.Inf(1)}}, ""},
	} {
		got, err := schema.JSONText(test.in)
		if (err == nil) != (test.want != "") || got != test.want {
			t.Errorf("%v: got %s, %v, want %s", test.in, got, err, test.want)
		}
	}
}

func TestErrorText(t *testing.T) {
	for _, test := range []struct {
		err  schema.Error
		want string
	}{
		{schema.Error{Type: "BBox", Field: "coords", Value: []float64{1}, Rule: "want 4 values"}, "BBox.coords: want 4 values, have [1]"},
		{schema.Error{Field: "coords", Rule: "is required"}, "coords: is required"},
		{schema.Error{Rule: "is bad", Value: "a"}, `is bad, have "a"`},
		{schema.Error{Rule: "is bad", Value: make([]int, 9)}, "is bad, have [0 0 0 0 0 0 0 0 …] (9 values)"},
		{schema.Error{Rule: "is bad", Value: strings.Repeat("é", 31)}, `is bad, have "` + strings.Repeat("é", 30) + `"… (62 bytes)`},
		{schema.Error{Rule: "is bad", Value: map[string]string{"a": strings.Repeat("x", 200)}}, "is bad, have a map[string]string"},
		{schema.Error{Rule: "is bad", Value: json.Number("1.5")}, "is bad, have 1.5"},
	} {
		if got := test.err.Error(); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

func TestFieldTypeJSON(t *testing.T) {
	for _, test := range []struct {
		ft   schema.FieldType
		want string
	}{
		{schema.FieldType{Name: "str", Collection: true}, `{"type":"str","collection":true}`},
		{schema.FieldType{Name: "FixedSizeList", Dim: 4, ValueType: "halffloat"}, `{"type":"FixedSizeList","collection":false,"dim":4,"value_type":"halffloat"}`},
	} {
		data, err := json.Marshal(test.ft)
		if err != nil || string(data) != test.want {
			t.Errorf("got %s, %v, want %s", data, err, test.want)
		}
		var got schema.FieldType
		if err := json.Unmarshal(data, &got); err != nil || got != test.ft {
			t.Errorf("got %v, %v, want %v", got, err, test.ft)
		}
	}
	for _, ft := range []schema.FieldType{{}, {Name: "x"}, {Name: "str", Dim: 3}, {Name: "FixedSizeList", Dim: -1, ValueType: "float"},
		{Name: "FixedSizeList", Dim: 1, ValueType: "str"}, {Name: "FixedSizeList", Dim: 1, ValueType: "float", Collection: true}} {
		if err := ft.Validate(); !errors.Is(err, schema.ErrSchema) {
			t.Errorf("%v: got %v, want an error", ft, err)
		}
		if ft.Name == "" && ft.GoType() != nil {
			t.Errorf("%v: got Go type %v", ft, ft.GoType())
		}
	}
}

// Rows of all kinds satisfy the constraint of typed tables.
var _ = []schema.Row{schema.Item{}, &schema.View{}, schema.Entity{}, schema.Track{}, &schema.BBox{}, schema.ViewEmbedding{},
	schema.Source{}, detectedObject{}, &pet{}, schema.Dynamic{}, &schema.Dynamic{}, sample{}}

// TestNormalizeAt fills times in as floating times, whatever zone the given one is in.
func TestNormalizeAt(t *testing.T) {
	now := time.Date(2024, 5, 6, 7, 8, 9, 123456789, time.FixedZone("", 2*3600))
	box := schema.BBox{Annotation: schema.Annotation{ID: "b"}, Coords: []float64{0, 0, 1, 1}, Format: "xywh", IsNormalized: true}
	if err := schema.NormalizeAt(&box, now); err != nil {
		t.Fatal(err)
	}
	want := time.Date(2024, 5, 6, 7, 8, 9, 123456000, time.UTC)
	if box.CreatedAt != want || box.UpdatedAt != want {
		t.Errorf("created %v, updated %v, want %v", box.CreatedAt, box.UpdatedAt, want)
	}
}
