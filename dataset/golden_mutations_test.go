package dataset_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/features"
	"pixano/schema"
)

// mutation is a recorded change of a golden dataset.
type mutation struct {
	Op   string `json:"op"`
	Args struct {
		Table  string            `json:"table"`
		Data   []json.RawMessage `json:"data"`
		IDs    []string          `json:"ids"`
		ID     string            `json:"id"`
		Ignore []string          `json:"ignore"`
		Mode   string            `json:"raise_or_warn"`
	} `json:"args"`
	Result json.RawMessage `json:"result"`
	Raises *struct {
		Error  string `json:"error"`
		Checks []struct {
			Check    string `json:"check"`
			ID       string `json:"id"`
			Field    string `json:"field"`
			RefTable string `json:"ref_table"`
			RefID    string `json:"ref_id"`
		} `json:"checks"`
	} `json:"raises"`
	After          map[string][]json.RawMessage `json:"after"`
	AfterOrder     string                       `json:"after_order"`
	AfterIfCorrect map[string][]json.RawMessage `json:"after_if_correct"`
}

// clock is the time at which the reference made the recorded changes.
var clock = time.Date(2030, 5, 6, 7, 8, 9, 123456000, time.UTC)

// TestGoldenMutations makes every recorded change on a fresh copy of its dataset, at the recorded time, and compares
// what is returned and what is stored then.
func TestGoldenMutations(t *testing.T) {
	needEngine(t)
	seen := 0
	for _, path := range must(filepath.Glob(filepath.Join(goldenDir, "*", "expected.json"))) {
		set := filepath.Base(filepath.Dir(path))
		var file struct {
			Mutations []mutation `json:"mutations"`
		}
		if err := json.Unmarshal(must(os.ReadFile(path)), &file); err != nil {
			t.Fatal(err)
		}
		for _, m := range file.Mutations {
			seen++
			t.Run(set+"/"+m.Op, func(t *testing.T) { m.run(t, set) })
		}
	}
	if seen != 59 {
		t.Errorf("%d changes are recorded, this test knows 59", seen)
	}
}

func (m *mutation) run(t *testing.T, set string) {
	ctx := t.Context()
	ds, err := dataset.Open(ctx, copyGolden(t, set), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	dataset.SetClock(ds, func() time.Time { return clock })
	checks := dataset.Checks{Mode: dataset.CheckMode(m.Args.Mode)}
	for _, name := range m.Args.Ignore {
		checks.Ignore = append(checks.Ignore, dataset.Check(strings.ToLower(name)))
	}
	to := ds.WithChecks(checks)
	table := m.Args.Table
	rows := func() []*schema.Dynamic {
		class, ok := ds.Schema().Class("bboxes")
		if table == "source" {
			class, ok = ds.Schema().Class(table)
		}
		if !ok {
			t.Fatal("no class")
		}
		var rows []*schema.Dynamic
		for _, text := range m.Args.Data {
			row := must(schema.NewDynamic(class))
			if err := schema.DecodeJSON(text, row); err != nil {
				t.Fatal(err)
			}
			rows = append(rows, row)
		}
		return rows
	}
	get := func(table string, ids ...string) []*schema.Dynamic {
		var rows []*schema.Dynamic
		if missing, err := ds.ByID(ctx, table, &rows, ids...); err != nil || missing != nil {
			t.Fatalf("%v, missing %v", err, missing)
		}
		return rows
	}
	set1 := func(row *schema.Dynamic, column string, value any) {
		if err := row.Set(column, value); err != nil {
			t.Fatal(err)
		}
	}
	stored := func(table string, want json.RawMessage) {
		var list []json.RawMessage
		if json.Unmarshal(want, &list) != nil {
			list = []json.RawMessage{want}
		}
		for _, text := range list {
			var head struct{ ID string }
			if err := json.Unmarshal(text, &head); err != nil {
				t.Fatal(err)
			}
			got := must(schema.EncodeJSON(get(table, head.ID)[0]))
			compareJSON(t, table+" "+head.ID, got, text)
		}
	}
	newBox := func() *schema.Dynamic {
		box := get("bboxes", "box_001_0")[0]
		set1(box, "id", "box_new")
		return box
	}
	switch op, what, _ := strings.Cut(m.Op, ":"); {
	case op == "add_data" && what == " wrong type for the table":
		box := schema.NewBBox("box_new")
		box.Coords, box.Format = []float64{0, 0, 1, 1}, features.FormatXYWH
		if err = to.Add(ctx, table, box); !errors.Is(err, dataset.ErrSchema) {
			t.Errorf("got %v, want %v", err, dataset.ErrSchema)
		}
	case op == "add_data" && what == " empty list":
		// Nothing to do is done, here and in the next case; the reference fails.
		m.Raises, err = nil, to.Add(ctx, table, []*schema.Dynamic{})
	case op == "delete_data" && what == " empty ids":
		m.Raises = nil
		_, err = to.Delete(ctx, table, m.Args.IDs...)
	case op == "add_data":
		// The result is a list of the ids added, or of the rows.
		var ids []string
		if err = to.Add(ctx, table, rows()); err == nil && json.Unmarshal(m.Result, &ids) != nil {
			stored(table, m.Result)
		}
	case op == "update_data" && m.Args.Data != nil:
		_, err = to.Update(ctx, table, rows())
	case op == "update_data" && (strings.HasPrefix(what, " box_001_0 gets") || what == "rows_as_stored"):
		box := get("bboxes", "box_001_0")[0]
		set1(box, "coords", []any{.5, .5, .25, .25})
		set1(box, "confidence", .125)
		added := newBox()
		recorded(t, m, added)
		var res dataset.UpdateResult
		res, err = to.Update(ctx, "bboxes", []*schema.Dynamic{box, added})
		if d := cmp.Diff(dataset.UpdateResult{Updated: []string{"box_001_0"}, Added: []string{"box_new"}}, res); d != "" {
			t.Error(d)
		}
		if what == "rows_as_stored" {
			stored("bboxes", m.Result)
		}
	case op == "update_data" && strings.HasPrefix(what, " calibrations cal0"):
		row := get(table, "cal0")[0]
		base, _ := row.Get("base_intrinsics")
		intrinsics := base.(features.BaseIntrinsics)
		set1(row, "base_intrinsics", map[string]any{"cx_offset_px": 9.5, "cy_offset_px": intrinsics.CyOffsetPx,
			"img_height_px": intrinsics.ImgHeightPx, "img_width_px": intrinsics.ImgWidthPx})
		if _, err = to.Update(ctx, table, row); err == nil {
			stored(table, m.Result)
		}
	case op == "update_data" && strings.HasPrefix(what, " first tracklet"):
		row := get(table, "tlt_1_0_0")[0]
		set1(row, "end_timestep", 3)
		if _, err = to.Update(ctx, table, row); err == nil {
			stored(table, m.Result)
		}
	case op == "delete_data":
		var missing []string
		missing, err = to.Delete(ctx, table, m.Args.IDs...)
		compareIDs(t, missing, m.Result)
	case op == "delete_dataset_items":
		var missing []string
		missing, err = to.DeleteItems(ctx, m.Args.IDs...)
		compareIDs(t, missing, m.Result)
	case op == "add_dataset_items" && strings.HasPrefix(what, " copy of item_003"):
		var items []dataset.Item
		must(ds.ItemsByID(ctx, &items, "item_003"))
		image := items[0].Tables["image"].(*schema.Dynamic)
		set1(items[0].Item, "id", "item_900")
		set1(image, "id", "img_900")
		set1(image, "item_ref", map[string]any{"name": "item", "id": "item_900"})
		items[0].Tables = map[string]any{"image": image}
		err = to.AddItems(ctx, items)
	case op == "add_dataset_items" && strings.HasPrefix(what, " an existing item again"):
		var items []dataset.Item
		must(ds.ItemsByID(ctx, &items, m.Args.ID))
		err = to.AddItems(ctx, items)
	case op == "update_dataset_items":
		var items []dataset.Item
		must(ds.ItemsByID(ctx, &items, "item_003"))
		set1(items[0].Item, "category", "changed")
		set1(items[0].Tables["bboxes"].([]*schema.Dynamic)[0], "confidence", .0625)
		items[0].Tables["objects"] = items[0].Tables["objects"].([]*schema.Dynamic)[:1]
		var res dataset.UpdateResult
		res, err = to.UpdateItems(ctx, items)
		if d := cmp.Diff(dataset.UpdateResult{Updated: []string{"item_003"}}, res); d != "" {
			t.Error(d)
		}
		m.compareItem(t, ds)
	case strings.HasPrefix(m.Op, "delete_data tracks trk_3_1, then check_dataset_integrity"):
		if _, err = to.Delete(ctx, "tracks", "trk_3_1"); err == nil {
			compareViolations(t, ds, m.Result)
		}
	default:
		t.Fatalf("unknown change %q", m.Op)
	}
	m.compareError(t, err)
	m.compareAfter(t, ds)
}

// recorded gives a row the columns that the recorded result has for it.
func recorded(t *testing.T, m *mutation, row *schema.Dynamic) {
	t.Helper()
	var answer struct{ Added []json.RawMessage }
	var list []json.RawMessage
	if json.Unmarshal(m.Result, &answer) == nil {
		list = answer.Added
	} else if err := json.Unmarshal(m.Result, &list); err != nil {
		t.Fatal(err)
	}
	for _, text := range list {
		if strings.Contains(string(text), `"box_new"`) {
			if err := schema.DecodeJSON(text, row); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// compareItem compares an item as it is read back, and the ids of its rows, with the recorded one.
func (m *mutation) compareItem(t *testing.T, ds *dataset.Dataset) {
	t.Helper()
	var want []map[string]any
	if err := json.Unmarshal(m.Result, &want); err != nil || len(want) != 1 {
		t.Fatalf("%d items are recorded (%v), want 1", len(want), err)
	}
	var items []dataset.Item
	must(ds.ItemsByID(t.Context(), &items, want[0]["id"].(string)))
	var got map[string]any
	if err := json.Unmarshal(must(schema.EncodeJSON(items[0].Item)), &got); err != nil {
		t.Fatal(err)
	}
	for table, rows := range items[0].Tables {
		if _, recorded := want[0][table]; !recorded {
			continue // embeddings are no part of the reference's item
		}
		switch rows := rows.(type) {
		case *schema.Dynamic:
			got[table] = must(schema.ID(rows))
		case []*schema.Dynamic:
			ids := []any{}
			for _, row := range rows {
				ids = append(ids, must(schema.ID(row)))
			}
			slices.SortFunc(ids, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
			slices.SortFunc(want[0][table].([]any), func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
			got[table] = ids
		}
	}
	if d := cmp.Diff(want[0], got); d != "" {
		t.Errorf("item (-want +got):\n%s", d)
	}
	if first := items[0].Tables["bboxes"].([]*schema.Dynamic); !slices.ContainsFunc(first, func(row *schema.Dynamic) bool {
		confidence, _ := row.Get("confidence")
		return confidence == .0625
	}) {
		t.Error("no box of the item has the new confidence")
	}
}

func (m *mutation) compareError(t *testing.T, err error) {
	t.Helper()
	if m.Raises == nil {
		if err != nil {
			t.Errorf("got error %v", err)
		}
		return
	}
	if err == nil {
		t.Fatalf("got no error, want one as %s", m.Raises.Error)
	}
	if m.Raises.Checks == nil {
		return
	}
	broken, ok := errors.AsType[*dataset.IntegrityError](err)
	if !ok {
		t.Fatalf("got %v, want failed checks", err)
	}
	var got, want [][]string
	for _, v := range broken.Violations {
		if v.Check == dataset.UniqueID || v.Check == dataset.DefinedID {
			v.Field, v.Value, v.To = "", "", ""
		}
		if v.Check != dataset.RefID {
			v.Value = ""
		}
		got = append(got, []string{strings.ToUpper(string(v.Check)), v.ID, v.Field, v.To, v.Value})
	}
	for _, c := range m.Raises.Checks {
		want = append(want, []string{c.Check, c.ID, c.Field, c.RefTable, c.RefID})
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("failed checks (-want +got):\n%s", d)
	}
}

// compareAfter compares what tables hold with what was recorded: ids, or rows.
func (m *mutation) compareAfter(t *testing.T, ds *dataset.Dataset) {
	t.Helper()
	after := m.After
	if m.AfterIfCorrect != nil {
		after = m.AfterIfCorrect
	}
	for table, want := range after {
		var rows []*schema.Dynamic
		if err := ds.Get(t.Context(), table, &rows, dataset.Query{}); err != nil {
			t.Fatal(err)
		}
		var gotIDs, wantIDs []string
		texts := map[string]json.RawMessage{}
		for _, row := range rows {
			gotIDs = append(gotIDs, must(schema.ID(row)))
		}
		for _, text := range want {
			var id string
			if json.Unmarshal(text, &id) != nil {
				var head struct{ ID string }
				if err := json.Unmarshal(text, &head); err != nil {
					t.Fatal(err)
				}
				id = head.ID
				texts[id] = text
			}
			wantIDs = append(wantIDs, id)
		}
		if m.AfterOrder == "any" {
			slices.Sort(gotIDs)
			slices.Sort(wantIDs)
		}
		if d := cmp.Diff(wantIDs, gotIDs); d != "" {
			t.Errorf("ids in %s (-want +got):\n%s", table, d)
		}
		for _, row := range rows {
			id := must(schema.ID(row))
			if text, ok := texts[id]; ok {
				compareJSON(t, table+" "+id, must(schema.EncodeJSON(row)), text)
			}
		}
	}
}

func compareIDs(t *testing.T, got []string, want json.RawMessage) {
	t.Helper()
	var ids []string
	if err := json.Unmarshal(want, &ids); err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if d := cmp.Diff(ids, append([]string{}, got...)); d != "" {
		t.Errorf("ids not found (-want +got):\n%s", d)
	}
}

func compareJSON(t *testing.T, what string, got, want []byte) {
	t.Helper()
	var a, b any
	if err := errors.Join(json.Unmarshal(got, &a), json.Unmarshal(want, &b)); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(b, a); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func compareViolations(t *testing.T, ds *dataset.Dataset, want json.RawMessage) {
	t.Helper()
	var recorded, got [][]string
	if err := json.Unmarshal(want, &recorded); err != nil {
		t.Fatal(err)
	}
	for v, err := range ds.Check(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, []string{strings.ToUpper(string(v.Check)), v.Table, v.Field, v.ID})
	}
	slices.SortFunc(got, slices.Compare)
	slices.SortFunc(recorded, slices.Compare)
	if d := cmp.Diff(recorded, got); d != "" {
		t.Errorf("violations (-want +got):\n%s", d)
	}
}
