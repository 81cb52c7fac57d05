package dataset_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
)

func TestConstraintsOfGolden(t *testing.T) {
	needEngine(t)
	dir := copyGolden(t, "image_detection")
	ds, err := dataset.Open(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	want := map[string][]dataset.Constraint{
		"item":    {{Name: "category", Restricted: true, Values: []any{"cat", "dog", "été"}}},
		"objects": {{Name: "category", Values: []any{"cat", "dog", "été", "l'orange"}}, {Name: "rank", Restricted: true, Values: []any{int64(-1), int64(0), int64(1)}}},
		"bboxes":  {{Name: "is_normalized", Restricted: true, Values: []any{true, false}}},
		"image":   nil,
		"nope":    nil,
	}
	before := files(t, dir)["features_values.json"]
	for table, w := range want {
		if diff := cmp.Diff(w, ds.Constraints(table)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", table, diff)
		}
		for _, c := range w { // some of a column that the table has not: the file is not checked
			if err := ds.SetConstraint(t.Context(), table, c); err != nil && !strings.Contains(err.Error(), "no such column") {
				t.Error(err)
			}
		}
	}
	if diff := cmp.Diff(before, files(t, dir)["features_values.json"]); diff != "" {
		t.Errorf("rewritten as it was (-want +got):\n%s", diff)
	}
	ds.Constraints("objects")[0].Values[0] = "changed"
	if diff := cmp.Diff(want["objects"], ds.Constraints("objects")); diff != "" {
		t.Errorf("after a change of what was returned (-want +got):\n%s", diff)
	}
}

func TestSetConstraint(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ds")
	ds := newDataset(t, path, dataset.Info{}, nil)
	ctx := t.Context()
	write(t, path+"/features_values.json", `{"later": [1.50], "entities": {"objects": [{"name": "rank", "restricted": false, "values": [7], "color": "red"}], "gone": []},
		"views": {"objects": [{"name": "weight", "restricted": true, "values": []}]}}`)
	for _, c := range []dataset.Constraint{
		{Name: "weight", Restricted: true, Values: []any{1, 1.0, float32(0.5), 1e100, uint8(3)}},
		{Name: "category", Values: []any{"été", `"`, ""}},
		{Name: "hidden", Values: []any{true}},
		{Name: "tags", Values: []any{"a"}},
		{Name: "rank", Restricted: true, Values: []any{int8(-1), int64(1) << 62}},
		{Name: "hidden", Restricted: true},
	} {
		if err := ds.SetConstraint(ctx, "objects", c); err != nil {
			t.Fatal(err)
		}
	}
	if err := ds.RemoveConstraint(ctx, "objects", "tags"); err != nil {
		t.Fatal(err)
	}
	const want = `{
    "later": [
        1.50
    ],
    "entities": {
        "objects": [
            {
                "name": "rank",
                "restricted": true,
                "values": [
                    -1,
                    4611686018427387904
                ],
                "color": "red"
            },
            {
                "name": "weight",
                "restricted": true,
                "values": [
                    1,
                    1.0,
                    0.5,
                    1e+100,
                    3
                ]
            },
            {
                "name": "category",
                "restricted": false,
                "values": [
                    "\u00e9t\u00e9",
                    "\"",
                    ""
                ]
            },
            {
                "name": "hidden",
                "restricted": true,
                "values": []
            }
        ],
        "gone": []
    },
    "views": {},
    "item": {},
    "annotations": {}
}`
	if diff := cmp.Diff(want, files(t, path)["features_values.json"]); diff != "" {
		t.Errorf("the file (-want +got):\n%s", diff)
	}
	again, err := dataset.Open(ctx, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	wantAll := []dataset.Constraint{
		{Name: "rank", Restricted: true, Values: []any{int64(-1), int64(1) << 62}},
		{Name: "weight", Restricted: true, Values: []any{int64(1), 1.0, 0.5, 1e100, int64(3)}},
		{Name: "category", Values: []any{"été", `"`, ""}},
		{Name: "hidden", Restricted: true, Values: []any{}},
	}
	for _, d := range []*dataset.Dataset{ds, again} {
		if diff := cmp.Diff(wantAll, d.Constraints("objects")); diff != "" {
			t.Errorf("constraints (-want +got):\n%s", diff)
		}
	}

	for _, test := range []struct {
		table string
		c     dataset.Constraint
		kind  error
		part  string
	}{
		{"nope", dataset.Constraint{Name: "x"}, dataset.ErrNotFound, "set constraint of nope: no such table: want one of item"},
		{"objects", dataset.Constraint{Name: "x"}, dataset.ErrSchema, "set constraint of objects: x: no such column: want one of id, created_at"},
		{"vectors", dataset.Constraint{Name: "id"}, dataset.ErrSchema, "tables of the group embeddings have no constraints"},
		{"source", dataset.Constraint{Name: "kind"}, dataset.ErrSchema, "tables of the group source have no constraints"},
		{"objects", dataset.Constraint{Name: "item_ref"}, dataset.ErrSchema, "item_ref: the column is ItemRef"},
		{"objects", dataset.Constraint{Name: "created_at"}, dataset.ErrSchema, "the column is datetime"},
		{"objects", dataset.Constraint{Name: "rank", Values: []any{1, "a"}}, dataset.ErrSchema, `rank: value 1: "a" is a string: want one of type int`},
		{"objects", dataset.Constraint{Name: "rank", Values: []any{1.0}}, dataset.ErrSchema, "value 0: 1 is a float64: want one of type int"},
		{"objects", dataset.Constraint{Name: "rank", Values: []any{uint64(1) << 63}}, dataset.ErrSchema, "value 0"},
		{"objects", dataset.Constraint{Name: "category", Values: []any{"a", 1}}, dataset.ErrSchema, "value 1: 1 is a int: want one of type str"},
		{"objects", dataset.Constraint{Name: "category", Values: []any{"\xff"}}, dataset.ErrSchema, "not UTF-8"},
		{"objects", dataset.Constraint{Name: "hidden", Values: []any{0}}, dataset.ErrSchema, "want one of type bool"},
		{"objects", dataset.Constraint{Name: "weight", Values: []any{nan}}, dataset.ErrSchema, "want a finite number"},
		{"objects", dataset.Constraint{Name: "weight", Values: []any{nil}}, dataset.ErrSchema, "value 0"},
		{"objects", dataset.Constraint{Name: "weight", Values: []any{[]int{1}}}, dataset.ErrSchema, "value 0"},
	} {
		wantError(t, ds.SetConstraint(ctx, test.table, test.c), test.kind, test.part)
	}
	wantError(t, ds.RemoveConstraint(ctx, "objects", "tags"), dataset.ErrNotFound, "remove constraint of objects: tags: the column has no constraint")
	if diff := cmp.Diff(want, files(t, path)["features_values.json"]); diff != "" {
		t.Errorf("after refusals (-want +got):\n%s", diff)
	}
}

func TestConstraintFiles(t *testing.T) {
	needEngine(t)
	dir := copyGolden(t, "vqa")
	for _, content := range []string{"", "{}", `{"item": {}, "new": 3}`, `{"views": {"nope": [{"name": "n", "restricted": false, "values": [1, 1.0, "a", true]}]}}`} {
		remove(t, dir+"/features_values.json")
		if content != "" {
			write(t, dir+"/features_values.json", content)
		}
		ds, err := dataset.Open(t.Context(), dir, nil)
		if err != nil {
			t.Errorf("%s: %v", content, err)
			continue
		}
		if err := ds.SetConstraint(t.Context(), "image", dataset.Constraint{Name: "format", Values: []any{"PNG"}}); err != nil {
			t.Errorf("%s: %v", content, err)
		}
		if diff := cmp.Diff([]dataset.Constraint{{Name: "format", Values: []any{"PNG"}}}, ds.Constraints("image")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", content, diff)
		}
		if strings.Contains(content, "new") && !strings.Contains(files(t, dir)["features_values.json"], `"new": 3`) {
			t.Errorf("%s: an unknown key is gone", content)
		}
		ds.Close()
	}
	big := `{"views": {"image": [{"name": "width", "restricted": true, "values": [123456789012345678901234567890]}]}}`
	write(t, dir+"/features_values.json", big)
	ds, err := dataset.Open(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	if diff := cmp.Diff([]any{json.Number("123456789012345678901234567890")}, ds.Constraints("image")[0].Values); diff != "" {
		t.Errorf("a large integer (-want +got):\n%s", diff)
	}
	for content, part := range map[string]string{
		`[]`:                                "the file is a list: want an object",
		`{"item": `:                         "line 1: not JSON",
		`{"item": []}`:                      "item is a list: want an object",
		`{"item": {"item": {}}}`:            "item is an object: want a list",
		`{"item": {"item": null}}`:          "item is null: want a list",
		`{"item": {"item": [1]}}`:           "item[0] is a number: want an object",
		`{"item": {"item": [{"name": 1}]}}`: "item[0].name is a number: want a string",
		`{"item": {"item": [{"name": "a", "values": []}]}}`:                                  "item[0].restricted is missing: want a boolean",
		`{"item": {"item": [{"name": "a", "restricted": true}]}}`:                            "item[0].values is missing: want a list",
		`{"item": {"item": [{"name": "a", "restricted": true, "values": [1, null]}]}}`:       "item[0].values[1]: null: want a number",
		`{"item": {"item": [{"name": "a", "restricted": true, "values": [1e999]}]}}`:         "beyond the range",
		`{"item": {"item": [{"name": "a", "restricted": true, "values": [{"a": [true]}]}]}}`: "values[0]: an object",
	} {
		write(t, dir+"/features_values.json", content)
		_, err := dataset.Open(t.Context(), dir, nil)
		wantError(t, err, dataset.ErrSchema, "open "+dir+": features_values.json: ", part)
		wantError(t, ds.SetConstraint(t.Context(), "image", dataset.Constraint{Name: "format"}), dataset.ErrSchema, "features_values.json: ", part)
		if files(t, dir)["features_values.json"] != content {
			t.Errorf("%s was replaced", content)
		}
	}
}
