package schema_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/schema"
)

// FuzzParseDatasetSchema wants an error or a schema that is written and read as the same, of whose classes rows can be
// made.
func FuzzParseDatasetSchema(f *testing.F) {
	f.Add([]byte(smallSchema), []byte(`{"id": "a", "tags": ["b"]}`))
	f.Add([]byte(strings.Replace(smallSchema, `"caption": {"type": "str"`, `"url": {"type": "bytes"`, 1)), []byte(`{"url": "b"}`))
	for _, set := range goldenSets {
		data, err := os.ReadFile(filepath.Join(golden, set, "schema.json"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, []byte(`{"id": "a"}`))
	}
	f.Fuzz(func(t *testing.T, data, row []byte) {
		s, err := schema.ParseDatasetSchema(data)
		if err != nil {
			if !errors.Is(err, schema.ErrSchema) || err.Error() == "" {
				t.Errorf("got %v, want ErrSchema", err)
			}
			return
		}
		again, err := schema.ParseDatasetSchema(s.Encode())
		if err != nil || !again.Equal(s) {
			t.Fatalf("%v:\n%s", err, s.Encode())
		}
		for _, table := range s.Tables() {
			class, _ := s.Class(table)
			d, err := schema.NewDynamic(class)
			if err != nil {
				t.Fatal(err)
			}
			if rest, err := schema.MarshalRow(table, d); err != nil || !json.Valid(rest) {
				t.Fatalf("%v: %s", err, rest)
			}
			_ = schema.Validate(d)
			class.GoType()
			if schema.DecodeJSON(row, d) != nil {
				continue
			}
			if err := schema.Validate(d); err != nil {
				t.Errorf("%s: not valid after decoding: %v", row, err)
			}
		}
		if src, err := s.GoSource("p", "Aggregate"); err == nil && len(src) == 0 {
			t.Error("want a source or an error")
		}
	})
}

// FuzzDecodeJSON wants an error, or a row that is valid and is written and read as the same, for every class at once.
func FuzzDecodeJSON(f *testing.F) {
	var cases struct {
		Cases []struct {
			Schema string
			Args   json.RawMessage
		}
	}
	readJSON(f, &cases, golden, "validation_cases.json")
	names := schema.Builtins()
	for _, c := range cases.Cases {
		for i, name := range names {
			if name == c.Schema {
				f.Add(byte(i), []byte(c.Args))
			}
		}
	}
	f.Fuzz(func(t *testing.T, which byte, data []byte) {
		name := names[int(which)%len(names)]
		typ, _ := schema.Lookup(name)
		class, err := schema.ClassOf(typ)
		if err != nil {
			t.Fatal(err)
		}
		var accepted []bool
		for _, row := range targets(t, class) {
			err := schema.DecodeJSON(data, row)
			accepted = append(accepted, err == nil)
			if err != nil {
				if !errors.Is(err, schema.ErrSchema) || err.Error() == "" {
					t.Errorf("got %v, want ErrSchema", err)
				}
				continue
			}
			if err := schema.Validate(row); err != nil {
				t.Errorf("%s %s: not valid after decoding: %v", name, data, err)
			}
			if _, err := schema.Warnings(row); err != nil {
				t.Error(err)
			}
			flat, err := schema.EncodeJSON(row)
			if err != nil {
				t.Fatal(err)
			}
			again := targets(t, class)[0]
			if err := schema.DecodeJSON(flat, again); err != nil {
				t.Fatalf("%s: %v", flat, err)
			}
			if diff := cmp.Diff(columns(t, class, row), columns(t, class, again), identical); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
		if len(accepted) == 2 && accepted[0] != accepted[1] {
			t.Errorf("%s %s: accepted %v as a dynamic row, %v as a struct", name, data, accepted[0], accepted[1])
		}
	})
}

// FuzzParseEnvelope wants an error, or a row whose REST form is read as the same.
func FuzzParseEnvelope(f *testing.F) {
	f.Add([]byte(boxJSON))
	f.Add([]byte(`{"id": "s", "table_info": {"name": "source", "group": "source", "base_schema": "Source"}, "data": {"name": "n", "kind": "model", "metadata": "é"}}`))
	f.Add([]byte(`{"id": "i", "table_info": {"name": "item", "group": "item", "base_schema": "Item"}, "data": {"split": "train"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := schema.ParseEnvelope(data)
		if err != nil {
			if !errors.Is(err, schema.ErrSchema) || err.Error() == "" {
				t.Errorf("got %v, want ErrSchema", err)
			}
			return
		}
		typ, ok := schema.Lookup(e.Table.BaseSchema)
		if !ok {
			t.Fatalf("no class %s", e.Table.BaseSchema)
		}
		class, _ := schema.ClassOf(typ)
		for _, row := range targets(t, class) {
			if err := e.Decode(row); err != nil {
				continue
			}
			rest, err := schema.MarshalRow(e.Table.Name, row)
			if err != nil || !json.Valid(rest) {
				t.Fatalf("%v: %s", err, rest)
			}
			again := targets(t, class)[0]
			if _, err := schema.UnmarshalRow(rest, again); err != nil {
				t.Fatalf("%s: %v", rest, err)
			}
			if diff := cmp.Diff(columns(t, class, row), columns(t, class, again), identical); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
	})
}

// FuzzParseItem wants an error, or rows that stand under their own table.
func FuzzParseItem(f *testing.F) {
	f.Add([]byte(`{"id": "i", "item": {"id": "i", "table_info": {"name": "item", "group": "item", "base_schema": "Item"}, "data": {}},
		"views": {"image": null}, "annotations": {"bboxes": [` + boxJSON + `]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := schema.ParseItem(data)
		if err != nil {
			if !errors.Is(err, schema.ErrSchema) || err.Error() == "" {
				t.Errorf("got %v, want ErrSchema", err)
			}
			return
		}
		for _, table := range e.Tables {
			for _, row := range table.Rows {
				if row.Table.Name != table.Name {
					t.Errorf("got a row of %q under %q", row.Table.Name, table.Name)
				}
			}
		}
	})
}

// FuzzParseTime wants an error, or a time that is written and read as the same.
func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"2024-01-02T03:04:05.678901", "2024-01-02", "0001-01-01 00:00Z", "9999-12-31T23:59:59.999999+23:59"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tm, err := schema.ParseTime(s)
		if err != nil {
			return
		}
		if again, err := schema.ParseTime(schema.FormatTime(tm)); err != nil || again != tm {
			t.Errorf("%q: got %v and %v, %v", s, tm, again, err)
		}
	})
}
