package schema_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pixano/features"
	"pixano/schema"
)

// stored has a column of each kind that JSON has its difficulties with.
type stored struct {
	schema.Entity
	Text    string
	Whole   int64
	Number  float64
	Raw     []byte
	When    time.Time
	Texts   []string
	Wholes  []int64
	Numbers []float64
	Raws    [][]byte
	Whens   []time.Time
	Array   features.NDArrayFloat
	Arrays  []features.NDArrayFloat
	Lens    features.Intrinsics
	Refs    []features.AnnotationRef
	Half    []schema.Float16 `pixano:",dim=3"`
	Single  []float32        `pixano:",dim=3"`
	Double  []float64        `pixano:",dim=3"`
	Bits    []bool           `pixano:",dim=3"`
	Small   []int8           `pixano:",dim=3"`
	Big     []uint64         `pixano:",dim=3"`
	Blobs   [][]byte         `pixano:",dim=3"`
}

// identical compares numbers by their bits: NaN with NaN, and 0 not with -0.
var identical = cmp.Options{
	cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }),
	cmp.Comparer(func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }),
}

var (
	hardDoubles = []float64{0, math.Copysign(0, -1), math.NaN(), math.Float64frombits(0x7ff8000000000000), math.Float64frombits(0x7ff0000000000001),
		math.Float64frombits(0xfff8000000000000), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64, 0.1, 1e16, 1e-5, 1 << 53}
	hardTexts = []string{"", "NaN", "null", `{"__bytes__":"AP8="}`, `{"__float__": "NaN"}`, "AP8=", "é\u2028\ufffd\x00\x7f\"\\", "\xff", "a\xc3", "0", "true"}
	hardTimes = []time.Time{{}, time.UnixMicro(-1).UTC(), time.UnixMicro(1).UTC(), time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC),
		time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC), time.UnixMicro(math.MinInt64).UTC(), time.UnixMicro(math.MaxInt64).UTC(),
		time.Date(0, 12, 31, 0, 0, 0, 0, time.UTC), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}
	hardInts = []int64{0, -1, math.MaxInt64, math.MinInt64, 1<<53 + 1, -1<<53 - 1}
)

func storedRow(r *rand.Rand) stored {
	double := func() float64 {
		if r.IntN(2) == 0 {
			return math.Float64frombits(r.Uint64())
		}
		return hardDoubles[r.IntN(len(hardDoubles))]
	}
	text := func() string {
		if r.IntN(4) > 0 {
			return hardTexts[r.IntN(len(hardTexts))]
		}
		b := make([]byte, r.IntN(6))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return string(b)
	}
	raw := func() []byte { return []byte(text()) }
	whole := func() int64 {
		if r.IntN(2) == 0 {
			return int64(r.Uint64())
		}
		return hardInts[r.IntN(len(hardInts))]
	}
	when := func() time.Time {
		if r.IntN(2) == 0 {
			return time.UnixMicro(int64(r.Uint64())).UTC()
		}
		return hardTimes[r.IntN(len(hardTimes))]
	}
	array := func() features.NDArrayFloat {
		return features.NDArrayFloat{Values: listOf(r, double), Shape: listOf(r, whole)}
	}
	s := stored{
		Entity: schema.Entity{ID: text(), CreatedAt: when(), UpdatedAt: when(), ItemRef: features.ItemRef{Name: text(), ID: text()},
			ViewRef: features.View(text(), text())},
		Text: text(), Whole: whole(), Number: double(), Raw: raw(), When: when(),
		Texts: listOf(r, text), Wholes: listOf(r, whole), Numbers: listOf(r, double), Raws: listOf(r, raw), Whens: listOf(r, when),
		Array: array(), Arrays: listOf(r, array), Lens: features.Intrinsics{C1: double(), PixelAspectRatio: double()},
		Refs: listOf(r, func() features.AnnotationRef { return features.Annotation(text(), text()) }),
	}
	if r.IntN(4) > 0 {
		s.Half = []schema.Float16{schema.Float16(r.Uint32()), 0x7c00, 0xfe01}
		s.Single = []float32{math.Float32frombits(r.Uint32()), math.Float32frombits(0x7f800001), float32(math.Inf(-1))}
		s.Double = []float64{double(), double(), double()}
		s.Bits = []bool{true, false, r.IntN(2) == 0}
		s.Small = []int8{math.MinInt8, math.MaxInt8, int8(r.Int())}
		s.Big = []uint64{math.MaxUint64, 1 << 63, r.Uint64()}
		s.Blobs = [][]byte{raw(), raw(), {}}
	}
	return s
}

func listOf[T any](r *rand.Rand, item func() T) []T {
	list := make([]T, r.IntN(4))
	for i := range list {
		list[i] = item()
	}
	return list
}

// TestStoredRowsKeepEveryBit writes rows of hard values, as structs and dynamic, and reads them into both.
func TestStoredRowsKeepEveryBit(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	class, err := schema.ClassOf(stored{})
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		in := storedRow(r)
		checkStored(t, class, &in)
	}
	for i := 0; i < 1<<16; { // every half precision number there is
		var in halves
		for j := range in.Half {
			in.Half[j] = schema.Float16(i)
			i++
		}
		data, err := schema.EncodeJSON(in)
		if err != nil {
			t.Fatal(err)
		}
		var out halves
		if err := schema.DecodeStoredJSON(data, &out); err != nil || out.Half != in.Half {
			t.Fatalf("%s: got %v, %v, want %v", data, out.Half, err, in.Half)
		}
	}
}

type halves struct {
	schema.Entity
	Half [256]schema.Float16
}

// checkStored wants a row to survive EncodeJSON and DecodeStoredJSON, and EncodeJSON to write the same text again.
func checkStored(t *testing.T, class *schema.Class, row any) {
	t.Helper()
	data, err := schema.EncodeJSON(row)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(data) {
		t.Fatalf("no JSON: %s", data)
	}
	want := columns(t, class, row)
	for _, out := range append(targets(t, class), reflect.New(reflect.TypeOf(row).Elem()).Interface()) {
		if err := schema.DecodeStoredJSON(data, out); err != nil {
			t.Fatalf("as %T: %v\n%s", out, err, data)
		}
		if diff := cmp.Diff(want, columns(t, class, out), identical); diff != "" {
			t.Fatalf("as %T (-want +got):\n%s\n%s", out, diff, data)
		}
		if again, err := schema.EncodeJSON(out); err != nil || !bytes.Equal(data, again) {
			t.Fatalf("as %T: got %s, %v, want %s", out, again, err, data)
		}
	}
}

// TestQuirkyRowsAreKept goes through rows that Normalize accepts, which DecodeJSON has to take too and normalising again
// leaves alone, and rows that others stored and no rule accepts.
func TestQuirkyRowsAreKept(t *testing.T) {
	head := schema.Annotation{ID: "a", CreatedAt: time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC), UpdatedAt: schema.Now(), InferenceMetadata: "{"}
	answer := func(question, content string) *schema.Message {
		return &schema.Message{Annotation: head, Type: "answer", QuestionType: question, Content: content}
	}
	for _, test := range []struct {
		row      any
		accepted bool
	}{
		{&schema.CompressedRLE{Annotation: head, Size: []int64{2}, Counts: []byte("06")}, true},
		{&schema.CompressedRLE{Annotation: head, Size: []int64{2, -3}, Counts: []byte{0xff, 0}}, true},
		{&schema.CompressedRLE{Annotation: head, Size: []int64{2, 3, 4}, Counts: []byte(`{"__bytes__":""}`)}, true},
		{&schema.CompressedRLE{Annotation: head, Size: []int64{}, Counts: []byte{}}, true},
		{&schema.CompressedRLE{Annotation: head, Size: []int64{0}}, false},
		{&schema.Tracklet{Annotation: head, StartTimestep: 5, StartTimestamp: -1, EndTimestamp: -1}, true},
		{&schema.Tracklet{Annotation: head, StartTimestep: -1, EndTimestep: -1, EndTimestamp: -1}, true},
		{&schema.Tracklet{Annotation: head, StartTimestep: 5, EndTimestep: 3}, false},
		{&schema.Tracklet{Annotation: head, StartTimestamp: math.NaN()}, false},
		{answer("single_choice", "A, since"), true},
		{answer("SINGLE_CHOICE", " [[A]] since"), true},
		{answer("MULTI_CHOICE", "[[A;B]]\t\n since\nlines"), true},
		{answer("ſtraße", "[[]]"), true},
		{answer("SINGLE_CHOICE_EXPLANATION", "A, since"), false},
		{&schema.Message{Annotation: head, Type: "question", Choices: []string{"a"}}, true},
		{&schema.Message{Annotation: head, Type: "question", QuestionType: "?"}, true},
		{&schema.Message{Annotation: head, Type: "chat", Number: -1}, false},
		{&schema.BBox{Annotation: head, Coords: []float64{5, 5, 1, math.Inf(1)}, Format: "xyxy", Confidence: -1}, true},
		{&schema.BBox{Annotation: head, Coords: []float64{-5, math.NaN()}, Confidence: math.NaN()}, false},
		{&schema.BBox3D{Annotation: head, Coords: make([]float64, 6), Format: "xyzwhd", Heading: []float64{math.NaN(), math.Inf(-1)}}, true},
		{&schema.Classification{Annotation: head, Labels: []string{""}, Confidences: []float64{math.NaN()}}, true},
		{&schema.Classification{Annotation: head, Labels: []string{"\xff"}}, false},
		{&schema.TextSpan{Annotation: head, Mention: "x"}, true},
		{&schema.CamCalibration{Annotation: head, Extrinsics: features.Extrinsics{PosXM: -1}}, false},
		{&schema.CamCalibration{Annotation: head, Intrinsics: features.Intrinsics{PixelAspectRatio: math.NaN()}}, true},
		{&schema.Relation{Annotation: head, SubjectRef: features.Annotation("", "a")}, true},
		{&schema.Entity{ID: "a b"}, false},
		{&schema.Entity{ID: "a", CreatedAt: schema.Now(), UpdatedAt: schema.Now().Add(-time.Hour)}, false},
		{&schema.Entity{ID: "a", CreatedAt: time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC)}, false},
		{&schema.Entity{ID: "a", ItemRef: features.ItemRef{Name: "image", ID: "x"}}, false},
		{&schema.Source{ID: "a", Kind: "?", Metadata: "not JSON"}, false},
		{&schema.Source{ID: "a", Kind: "other", Metadata: ` [1, "x"]`}, true},
		{&nullable{}, true},
		{&nullable{Vector: []schema.Float16{0x7e01, 0xfc00}}, true},
	} {
		class, err := schema.ClassOf(test.row)
		if err != nil {
			t.Fatal(err)
		}
		checkStored(t, class, test.row)
		err = schema.Normalize(test.row)
		if (err == nil) != test.accepted {
			t.Errorf("%T %+v: got %v, want accepted %v", test.row, test.row, err, test.accepted)
		}
		if err == nil {
			checkNormalized(t, class, test.row)
		}
	}
}

type nullable struct {
	schema.Entity
	Vector []schema.Float16 `pixano:",dim=2"`
}

// checkNormalized wants a normalised row to stay as it is when it is normalised, or written and read with all rules.
func checkNormalized(t *testing.T, class *schema.Class, row any) {
	t.Helper()
	want := columns(t, class, row)
	checkStored(t, class, row)
	data, err := schema.EncodeJSON(row)
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range append(targets(t, class), reflect.New(reflect.TypeOf(row).Elem()).Interface()) {
		if err := schema.DecodeJSON(data, out); err != nil {
			t.Errorf("DecodeJSON as %T: %v\n%s", out, err, data)
		} else if diff := cmp.Diff(want, columns(t, class, out), identical); diff != "" {
			t.Errorf("DecodeJSON as %T (-want +got):\n%s", out, diff)
		}
	}
	if err := schema.Normalize(row); err != nil {
		t.Errorf("normalising again: %v", err)
	} else if diff := cmp.Diff(want, columns(t, class, row), identical); diff != "" {
		t.Errorf("normalising again (-want +got):\n%s", diff)
	}
}

func TestDecodeStoredJSONErrors(t *testing.T) {
	good, err := schema.EncodeJSON(stored{})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ replace, with, field string }{
		{`"text":""`, `"other":""`, "text"},
		{`"text":""`, `"text":null`, "text"},
		{`"text":""`, `"text":{"__bytes__":"?"}`, "text"},
		{`"text":""`, `"text":{"__bytes__":"","x":1}`, "text"},
		{`"number":0.0`, `"number":null`, "number"},
		{`"number":0.0`, `"number":{"__float__":"nan"}`, "number"},
		{`"numbers":[]`, `"numbers":null`, "numbers"},
		{`"whole":0`, `"whole":9223372036854775808`, "whole"},
		{`"single":null`, `"single":[1.0]`, "single"},
		{`"single":null`, `"single":[1.0,2.0,{"__float__":"NaN(0x7ff8000000000000)"}]`, "single[2]"},
		{`"when":"0001-01-01T00:00:00"`, `"when":{"__datetime__":"x"}`, "when"},
		{`"array":{`, `"array":{"x":0,"val`, ""},
	} {
		text := strings.Replace(string(good), test.replace, test.with, 1)
		if text == string(good) {
			t.Fatalf("%s is not in %s", test.replace, good)
		}
		var row stored
		err := schema.DecodeStoredJSON([]byte(text), &row)
		if e, ok := errors.AsType[*schema.Error](err); !ok || e.Type != "stored" || e.Field != test.field {
			t.Errorf("%s: got %v, want an error at %q", test.with, err, test.field)
		}
	}
	// A type with fewer columns reads fewer.
	var e schema.Entity
	if err := schema.DecodeStoredJSON(good, &e); err != nil {
		t.Error(err)
	}
}

// FuzzStoredRow wants every row to survive, and what Normalize accepts to be stable.
func FuzzStoredRow(f *testing.F) {
	f.Add(uint64(1), "text", []byte{0xff}, uint64(0x7ff0000000000001), uint32(0x7f800001), uint16(0x7c01), int64(-1))
	f.Add(uint64(2), "[[A]] since", []byte(`{"__bytes__":"AP8="}`), uint64(1), uint32(1), uint16(1), int64(math.MinInt64))
	f.Fuzz(func(t *testing.T, seed uint64, text string, raw []byte, double uint64, single uint32, half uint16, whole int64) {
		in := storedRow(rand.New(rand.NewPCG(seed, 0)))
		in.Text, in.Raw, in.Number, in.Whole, in.When = text, append([]byte{}, raw...), math.Float64frombits(double), whole, time.UnixMicro(whole).UTC()
		in.Single = []float32{math.Float32frombits(single), 0, 1}
		in.Half = []schema.Float16{schema.Float16(half), 0, 1}
		class, err := schema.ClassOf(in)
		if err != nil {
			t.Fatal(err)
		}
		checkStored(t, class, &in)
		if schema.Normalize(&in) == nil {
			checkNormalized(t, class, &in)
		}
		kinds := []string{"question", "ANSWER", "system", text}
		types := []string{"", "single_choice", "MULTI_CHOICE", "multi_choice_explanation", text}
		m := schema.Message{Content: text, Type: kinds[double%4], QuestionType: types[single%5], Number: whole}
		if half%2 == 1 {
			m.Choices = []string{text, string(raw)}
		}
		m.UpdatedAt, m.CreatedAt = in.UpdatedAt, in.CreatedAt
		if schema.Normalize(&m) == nil {
			class, err := schema.ClassOf(m)
			if err != nil {
				t.Fatal(err)
			}
			checkNormalized(t, class, &m)
		}
	})
}

// FuzzDecodeStoredJSON wants an error, or a row that is written and read as the same.
func FuzzDecodeStoredJSON(f *testing.F) {
	data, err := schema.EncodeJSON(storedRow(rand.New(rand.NewPCG(3, 4))))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		var row stored
		if err := schema.DecodeStoredJSON(data, &row); err != nil {
			if !errors.Is(err, schema.ErrSchema) {
				t.Errorf("got %v, want ErrSchema", err)
			}
			return
		}
		class, err := schema.ClassOf(row)
		if err != nil {
			t.Fatal(err)
		}
		checkStored(t, class, &row)
	})
}

// TestRefsAgree wants both packages to accept the same references, those that the reference implementation accepts.
func TestRefsAgree(t *testing.T) {
	type row struct {
		schema.Annotation
		About     features.EmbeddingRef
		Neighbour features.AnnotationRef
		Views     []features.ViewRef
	}
	for _, test := range []struct {
		name, id    string
		item, other bool // accepted, of items and of views
	}{
		{"", "", true, true}, {"item", "i", true, true}, {"item", "", true, true}, {"image", "v", false, true}, {"image", "", false, true},
		{"", "v", false, true}, {"\xff", "v", false, false}, {"item", "\xff", false, false}, {"item", "a b", true, true},
	} {
		for field, ref := range map[string]struct {
			row      any
			ref      interface{ Validate() error }
			accepted bool
		}{
			"item_ref":   {row{Annotation: schema.Annotation{ItemRef: features.ItemRef{Name: test.name, ID: test.id}}}, features.ItemRef{Name: test.name, ID: test.id}, test.item},
			"view_ref":   {row{Annotation: schema.Annotation{ViewRef: features.View(test.name, test.id)}}, features.View(test.name, test.id), test.other},
			"entity_ref": {row{Annotation: schema.Annotation{EntityRef: features.Entity(test.name, test.id)}}, features.Entity(test.name, test.id), test.other},
			"about":      {row{About: features.Embedding(test.name, test.id)}, features.Embedding(test.name, test.id), test.other},
			"neighbour":  {row{Neighbour: features.Annotation(test.name, test.id)}, features.Annotation(test.name, test.id), test.other},
			"views":      {row{Views: []features.ViewRef{{}, features.View(test.name, test.id)}}, features.View(test.name, test.id), test.other},
		} {
			if err := ref.ref.Validate(); (err == nil) != ref.accepted {
				t.Errorf("%#v: got %v, want accepted %v", ref.ref, err, ref.accepted)
			}
			err := schema.Validate(ref.row)
			if (err == nil) != ref.accepted || err != nil && !strings.Contains(err.Error(), "row."+field) {
				t.Errorf("%s of %q, %q: got %v, want accepted %v", field, test.name, test.id, err, ref.accepted)
			}
			if err != nil {
				continue
			}
			got, err := schema.Warnings(ref.row)
			if err != nil {
				t.Fatal(err)
			}
			if want := test.name == "" && test.id != ""; len(got) > 0 != want || want && got[0].Field != field {
				t.Errorf("%s of %q, %q: got warnings %v, want some: %v", field, test.name, test.id, got, want)
			}
		}
	}
	// The same for sources, whose table is another.
	for ref, accepted := range map[features.SourceRef]bool{{}: true, features.Source("s"): true, {Name: "item", ID: "s"}: false, {ID: "s"}: false} {
		if err := schema.Validate(schema.Annotation{SourceRef: ref}); (err == nil) != accepted || (ref.Validate() == nil) != accepted {
			t.Errorf("%v: got %v and %v, want accepted %v", ref, err, ref.Validate(), accepted)
		}
	}
}
