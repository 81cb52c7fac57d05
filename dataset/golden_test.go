package dataset_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pixano/dataset"
	"pixano/features"
	"pixano/schema"
)

const goldenDir = "../testdata/golden"

// needEngine skips a test where there can be no storage engine. On linux/amd64 it is part of the repository, and a
// missing one is a failure.
func needEngine(t testing.TB) {
	t.Helper()
	if _, err := dataset.Engine(); err != nil {
		if runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
			t.Fatal(err)
		}
		t.Skip("no storage engine on this platform: ", err)
	}
}

// golden is an expected.json.
type golden struct {
	Info    map[string]any         `json:"info"`
	NumRows *int64                 `json:"num_rows"`
	Tables  map[string]goldenTable `json:"tables"`
	Calls   []goldenCall           `json:"calls"`
}

type goldenTable struct {
	Group         schema.Group      `json:"group"`
	Schema        string            `json:"schema"`
	BaseSchema    string            `json:"base_schema"`
	Count         int64             `json:"count"`
	ArrowSchema   []goldenField     `json:"arrow_schema"`
	ArrowMetadata map[string]string `json:"arrow_metadata"`
	Rows          []json.RawMessage `json:"rows"`
}

type goldenField struct {
	Name     string        `json:"name"`
	Nullable bool          `json:"nullable"`
	Type     string        `json:"type"`
	Dim      int           `json:"dim,omitempty"`
	Item     *goldenField  `json:"item,omitempty"`
	Fields   []goldenField `json:"fields,omitempty"`
}

type goldenCall struct {
	Op        string          `json:"op"`
	Args      json.RawMessage `json:"args"`
	Result    json.RawMessage `json:"result"`
	Raises    json.RawMessage `json:"raises"`
	TieGroups [][]string      `json:"tie_groups"`
}

func readGolden(t *testing.T, path string) golden {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(path, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(raw, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// goldenSets runs a test on each golden dataset.
func goldenSets(t *testing.T, test func(t *testing.T, ds *dataset.Dataset, want golden)) {
	needEngine(t)
	paths, err := filepath.Glob(filepath.Join(goldenDir, "*", "expected.json"))
	if err != nil || len(paths) != 6 {
		t.Fatalf("got %d golden datasets (%v), want 6", len(paths), err)
	}
	for _, path := range paths {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			ds, err := dataset.OpenTables(t.Context(), dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := ds.Close(); err != nil {
					t.Error(err)
				}
			})
			test(t, ds, readGolden(t, dir))
		})
	}
}

func TestGoldenTables(t *testing.T) {
	goldenSets(t, func(t *testing.T, ds *dataset.Dataset, want golden) {
		var names []string
		for _, info := range ds.Tables() {
			names = append(names, info.Name)
			w, ok := want.Tables[info.Name]
			if !ok {
				t.Errorf("table %s is not expected", info.Name)
				continue
			}
			t.Run(info.Name, func(t *testing.T) { compareTable(t, ds, info, w) })
		}
		if len(names) != len(want.Tables) {
			t.Errorf("got tables %v, want %d", names, len(want.Tables))
		}
	})
}

func compareTable(t *testing.T, ds *dataset.Dataset, info dataset.TableInfo, want goldenTable) {
	ctx := t.Context()
	wantInfo := dataset.TableInfo{Name: info.Name, Group: want.Group, Schema: want.Schema, BaseSchema: want.BaseSchema}
	if diff := cmp.Diff(wantInfo, info); diff != "" {
		t.Errorf("declared table (-want +got):\n%s", diff)
	}
	columns, err := ds.Columns(ctx, info.Name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.ArrowSchema, describe(columns.Fields())); diff != "" {
		t.Errorf("arrow schema (-want +got):\n%s", diff)
	}
	metadata := columns.Metadata()
	if diff := cmp.Diff(want.ArrowMetadata, metadata.ToMap()); diff != "" && want.ArrowMetadata != nil {
		t.Errorf("arrow metadata (-want +got):\n%s", diff)
	}
	n, err := ds.Count(ctx, info.Name, dataset.Query{})
	if err != nil || n != want.Count {
		t.Errorf("got %d rows (%v), want %d", n, err, want.Count)
	}
	i := 0
	for row, err := range ds.Rows(ctx, info.Name, dataset.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if i < len(want.Rows) {
			got, err := json.Marshal(row)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(decode(t, want.Rows[i]), decode(t, got)); diff != "" {
				t.Errorf("row %d (-want +got):\n%s", i, diff)
			}
			if diff := cmp.Diff(keys(t, want.Rows[i]), row.Columns()); diff != "" {
				t.Errorf("row %d: columns (-want +got):\n%s", i, diff)
			}
		}
		i++
	}
	if i != len(want.Rows) {
		t.Errorf("read %d rows, want %d", i, len(want.Rows))
	}
}

// describe gives Arrow fields in the words of expected.json.
func describe(fields []arrow.Field) []goldenField {
	var out []goldenField
	for _, f := range fields {
		g := goldenField{Name: f.Name, Nullable: f.Nullable, Type: typeName(f.Type)}
		switch typ := f.Type.(type) {
		case *arrow.StructType:
			g.Fields = describe(typ.Fields())
		case *arrow.FixedSizeListType:
			g.Dim = int(typ.Len())
			g.Item = &describe([]arrow.Field{typ.ElemField()})[0]
		case arrow.ListLikeType:
			g.Item = &describe([]arrow.Field{typ.ElemField()})[0]
		}
		out = append(out, g)
	}
	return out
}

func typeName(t arrow.DataType) string {
	switch t.ID() {
	case arrow.STRING:
		return "string"
	case arrow.FLOAT64:
		return "double"
	case arrow.FLOAT32:
		return "float"
	case arrow.FLOAT16:
		return "halffloat"
	case arrow.TIMESTAMP:
		return "timestamp[" + t.(*arrow.TimestampType).Unit.String() + "]"
	case arrow.BOOL, arrow.INT64, arrow.STRUCT, arrow.LIST, arrow.FIXED_SIZE_LIST, arrow.BINARY, arrow.LARGE_BINARY:
		return t.Name()
	}
	return fmt.Sprintf("%v", t)
}

// decode reads JSON so that numbers compare exactly: integers by their digits, others as doubles.
func decode(t *testing.T, raw []byte) any {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return exact(t, v)
}

func exact(t *testing.T, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = exact(t, v[k])
		}
	case []any:
		for i := range v {
			v[i] = exact(t, v[i])
		}
	case json.Number:
		if !strings.ContainsAny(v.String(), ".eE") {
			return "integer " + v.String()
		}
		f, err := v.Float64()
		if err != nil {
			t.Fatal(err)
		}
		return math.Float64bits(f)
	}
	return v
}

// keys returns the keys of a JSON object in their order.
func keys(t *testing.T, raw []byte) []string {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil {
		t.Fatal(err)
	}
	var names []string
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, key.(string))
		var skip json.RawMessage
		if err := dec.Decode(&skip); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// callArgs are the arguments of the reference's calls that read rows.
type callArgs struct {
	Table     string    `json:"table_name"`
	IDs       stringSet `json:"ids"`
	ItemIDs   []string  `json:"item_ids"`
	RecordIDs []string  `json:"record_ids"`
	Limit     *int      `json:"limit"`
	Skip      int       `json:"skip"`
	Where     string    `json:"where"`
	SortCol   string    `json:"sortcol"`
	Order     string    `json:"order"`
}

// query gives the arguments as a query.
func (a callArgs) query() dataset.Query {
	q := dataset.Query{IDs: a.IDs, ItemIDs: a.ItemIDs, Where: a.Where, Offset: a.Skip}
	if a.RecordIDs != nil {
		q.ItemIDs = a.RecordIDs
	}
	if a.Limit != nil {
		q.Limit = *a.Limit
	}
	if a.SortCol != "" && a.Order != "" { // one without the other is ignored
		q.OrderBy = a.SortCol + " " + a.Order
	}
	return q
}

// stringSet is a list of strings, or one string.
type stringSet []string

func (s *stringSet) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*s = stringSet{one}
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(s))
}

func args[T any](t *testing.T, call goldenCall) (a T) {
	t.Helper()
	if err := json.Unmarshal(call.Args, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// deviation is a call that this package answers otherwise than the reference did, and as the format's description
// recommends.
type deviation struct {
	op, args string // of the call
	reason   string
	want     string // the ids that it gives, separated by spaces; "" for checks of its own
	kind     error  // instead: the error that it gives
	used     bool
}

var deviations = []*deviation{
	{op: "get_data[ids]", args: `{"table_name": "item", "limit": 0}`, reason: "a limit of 0 is none", want: allItems},
	{op: "get_data[ids]", args: `{"table_name": "records", "limit": 0}`, reason: "a limit of 0 is none", want: allRecords},
	{op: "get_data[ids]", args: `{"table_name": "item", "ids": ["item_001"], "limit": 2}`, reason: "ids may go with a limit", want: "item_001"},
	{op: "get_data[ids]", args: `{"table_name": "records", "ids": ["rec_1"], "limit": 1}`, reason: "ids may go with a limit", want: "rec_1"},
	{op: "get_data[ids]", args: `{"table_name": "item", "ids": ["item_001"], "item_ids": ["item_001"]}`, reason: "ids may go with items", want: "item_001"},
	{op: "get_data[ids]", args: `{"table_name": "bboxes", "ids": ["box_003_0"], "item_ids": ["item_003"]}`, reason: "ids may go with items", want: "box_003_0"},
	{op: "get_data[ids]", args: `{"table_name": "item", "ids": []}`, reason: "no ids are no rows", want: none},
	{op: "get_data[ids]", args: `{"table_name": "bboxes", "item_ids": []}`, reason: "no items are no rows", want: none},
	{op: "get_data[ids]", args: `{"table_name": "objects", "where": "", "limit": 2}`, reason: "an empty condition is none", want: "obj_023_0 obj_023_1"},
	{op: "get_data[ids]", args: `{"table_name": "item", "where": "category = 'dog' OR category = 'cat'", "ids": ["item_000", "item_002"]}`,
		reason: "an OR does not reach beyond the ids", want: "item_000"},
	{op: "get_data[ids]", args: `{"table_name": "bboxes", "where": "confidence > 0.9 OR confidence < 0", "item_ids": ["item_003"], "limit": 50}`,
		reason: "an OR does not reach beyond the items", want: "box_003_1"},
	{op: "get_data[ids]", args: `{"table_name": "item", "sortcol": "nonexistent", "order": "asc", "limit": 4}`,
		reason: "an unknown column is an error", kind: dataset.ErrQuery},
	{op: "get_data[ids]", args: `{"table_name": "item", "sortcol": "#nope", "order": "asc", "limit": 4}`,
		reason: "an unknown table is an error", kind: dataset.ErrQuery},
	{op: "get_data[ids]", args: `{"table_name": "item", "sortcol": "#right", "order": "asc", "limit": 10}`,
		reason: "any table can be counted, not the first ten only", want: "scene-3 scene-0 scene-1 scene-2 scene-4"},
	{op: "get_data[ids]", args: `{"table_name": "item", "sortcol": "#thumbs", "order": "desc", "limit": 10}`,
		reason: "any table can be counted, not the first ten only", want: "scene-4 scene-3 scene-2 scene-1 scene-0"},
	{op: "get_all_ids", args: `{"table_name": "objects", "sortcol": "area", "order": "asc"}`, reason: "ids may be sorted by any column"},
	{op: "get_dataset_items", args: `{"limit": 0}`, reason: "a limit of 0 is none", want: allItems},
	{op: "get_dataset_items", args: `{}`, reason: "a query without conditions selects all", want: allItems},
	{op: "get_dataset_items", args: `{"ids": ["item_001"], "limit": 1}`, reason: "ids may go with a limit", want: "item_001"},
	{op: "delete_records", args: `{"ids": ["rec_5", "nope"]}`, reason: "the record layout is read only"},
}

const (
	none     = "(none)"
	allItems = "item_023 item_020 item_004 item_008 item_002 item_015 item_017 item_021 item_009 item_003 item_005 item_011 " +
		"item_006 item_000 item_018 item_001 item_012 item_013 item_022 item_019 item_010 item_007 item_016 item_014"
	allRecords = "rec_3 rec_0 rec_5 rec_1 rec_4 rec_2"
)

// compact removes the white space of JSON.
func compact(text string) string {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		return text
	}
	return b.String()
}

func deviationOf(call goldenCall) *deviation {
	for _, d := range deviations {
		if d.op == call.Op && compact(d.args) == compact(string(call.Args)) {
			d.used = true
			return d
		}
	}
	return nil
}

// check compares what a call gives with what the deviation says, and reports whether it says anything.
func (d *deviation) check(t *testing.T, ids []string, err error) bool {
	t.Helper()
	switch {
	case d.kind != nil:
		wantError(t, err, d.kind)
	case err != nil:
		t.Fatal(err)
	case d.want == none:
		if len(ids) > 0 {
			t.Errorf("got %v, want none: %s", ids, d.reason)
		}
	case d.want != "":
		if diff := cmp.Diff(strings.Fields(d.want), ids); diff != "" {
			t.Errorf("%s (-want +got):\n%s", d.reason, diff)
		}
	default:
		return false
	}
	return true
}

// TestGoldenCalls makes every call that was recorded, so that an unknown one is noticed.
func TestGoldenCalls(t *testing.T) {
	ops := map[string]func(*testing.T, *dataset.Dataset, goldenCall){
		"get_data":                getCall,
		"get_data[ids]":           idsCall,
		"get_records[ids]":        idsCall,
		"get_all_ids":             idsCall,
		"get_dataset_items":       itemsCall,
		"find_ids_in_table":       existCall,
		"resolve_ref":             resolveCall,
		"vector_query":            elsewhere,
		"semantic_rank_by_vector": elsewhere,
		"semantic_search":         elsewhere,
		"check_dataset_integrity": integrityCall,
		"new_Message":             messageCall,
		"delete_records":          deleteCall,
	}
	calls := 0
	goldenSets(t, func(t *testing.T, ds *dataset.Dataset, want golden) {
		n, err := ds.Count(t.Context(), ds.ItemTable(), dataset.Query{})
		if err != nil || want.NumRows != nil && n != *want.NumRows {
			t.Errorf("got %d items (%v), want %v", n, err, want.NumRows)
		}
		for i, call := range want.Calls {
			calls++
			t.Run(fmt.Sprintf("%d %s %s", i, call.Op, compact(string(call.Args))), func(t *testing.T) {
				op, ok := ops[call.Op]
				if !ok {
					t.Fatalf("no test makes the call %q", call.Op)
				}
				op(t, ds, call)
			})
		}
	})
	if !t.Failed() && calls != 282 {
		t.Errorf("made %d calls, want 282", calls)
	}
	for _, d := range deviations {
		if !d.used && !t.Skipped() {
			t.Errorf("no call is %s %s", d.op, d.args)
		}
	}
}

// flat gives a row as expected.json has it.
func flat(t *testing.T, row any) any {
	t.Helper()
	d, ok := row.(*schema.Dynamic)
	if !ok {
		t.Fatalf("the row is a %T", row)
	}
	raw, err := schema.EncodeJSON(d)
	if err != nil {
		t.Fatal(err)
	}
	columns := decode(t, raw).(map[string]any)
	for _, f := range d.Class().Fields {
		v, _ := d.Get(f.Name)
		switch v := v.(type) {
		case []byte:
			columns[f.Name] = base64.StdEncoding.EncodeToString(v)
		case [][]byte:
			list := []any{}
			for _, b := range v {
				list = append(list, base64.StdEncoding.EncodeToString(b))
			}
			columns[f.Name] = list
		}
	}
	return columns
}

// getCall reads whole rows.
func getCall(t *testing.T, ds *dataset.Dataset, call goldenCall) {
	a := args[callArgs](t, call)
	var rows []any
	if err := ds.Get(t.Context(), a.Table, &rows, a.query()); err != nil {
		t.Fatal(err)
	}
	want, got := decode(t, call.Result), any(nil)
	list := []any{}
	for _, row := range rows {
		list = append(list, flat(t, row))
	}
	if got = list; reflect.TypeOf(want) != reflect.TypeFor[[]any]() {
		if got = nil; len(list) > 0 {
			got = list[0]
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// idsCall reads ids.
func idsCall(t *testing.T, ds *dataset.Dataset, call goldenCall) {
	a := args[callArgs](t, call)
	if a.Table == "" {
		a.Table = ds.ItemTable()
	}
	q := a.query()
	ids, err := ds.IDs(t.Context(), a.Table, q)
	if d := deviationOf(call); d != nil {
		if !d.check(t, ids, err) {
			sortedIDs(t, ds, a, ids)
		}
		return
	}
	if call.Raises != nil {
		kind := dataset.ErrQuery
		if a.Table == "unknown" || a.Table == "nope" {
			kind = dataset.ErrNotFound
		}
		wantError(t, err, kind)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	rows := []string{}
	for row, err := range ds.Rows(t.Context(), a.Table, q) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row.ID())
	}
	if diff := cmp.Diff(ids, rows); diff != "" {
		t.Errorf("rows read whole come in another order (-ids +rows):\n%s", diff)
	}
	if call.TieGroups != nil {
		for _, group := range call.TieGroups {
			if len(ids) < len(group) {
				t.Fatalf("%d rows are missing", len(group)-len(ids))
			}
			got := slices.Sorted(slices.Values(ids[:len(group)]))
			if diff := cmp.Diff(slices.Sorted(slices.Values(group)), got); diff != "" {
				t.Errorf("ids of equal rank (-want +got):\n%s", diff)
			}
			ids = ids[len(group):]
		}
		if len(ids) > 0 {
			t.Errorf("got %v besides", ids)
		}
		return
	}
	var want []string
	if err := json.Unmarshal(call.Result, &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, ids, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
}

// sortedIDs checks ids that the reference did not sort.
func sortedIDs(t *testing.T, ds *dataset.Dataset, a callArgs, ids []string) {
	t.Helper()
	var rows []any
	missing, err := ds.ByID(t.Context(), a.Table, &rows, ids...)
	n, countErr := ds.Count(t.Context(), a.Table, dataset.Query{})
	if err != nil || countErr != nil || missing != nil || int(n) != len(ids) {
		t.Fatal(missing, err, n, countErr)
	}
	if !slices.IsSortedFunc(rows, func(x, y any) int {
		vx, _ := schema.Value(x, a.SortCol)
		vy, _ := schema.Value(y, a.SortCol)
		return int(math.Copysign(1, vx.(float64)-vy.(float64)))
	}) {
		t.Errorf("%v are not sorted by %s", ids, a.SortCol)
	}
}

// itemsCall reads whole items. The recorded ones have ids in place of rows.
func itemsCall(t *testing.T, ds *dataset.Dataset, call goldenCall) {
	a := args[callArgs](t, call)
	var items []dataset.Item
	err := ds.Items(t.Context(), &items, a.query())
	if d := deviationOf(call); d != nil {
		ids := []string{}
		for _, item := range items {
			ids = append(ids, item.ID)
		}
		d.check(t, ids, err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	list := []any{}
	for _, item := range items {
		columns := flat(t, item.Item).(map[string]any)
		for name, rows := range item.Tables {
			switch rows := rows.(type) {
			case nil:
				columns[name] = nil
			case *schema.Dynamic:
				id, _ := schema.ID(rows)
				columns[name] = id
			case []*schema.Dynamic:
				ids := []any{}
				for _, row := range rows {
					id, _ := schema.ID(row)
					ids = append(ids, id)
				}
				columns[name] = ids
			}
		}
		list = append(list, columns)
		raw, err := schema.MarshalItem(ds.Schema(), item.Item, item.Tables)
		if err != nil {
			t.Fatal(err)
		}
		if envelope, err := schema.ParseItem(raw); err != nil || envelope.ID != item.ID || len(envelope.Tables) != len(item.Tables) {
			t.Errorf("item %s does not come back from JSON: %v", item.ID, err)
		}
	}
	want, got := decode(t, call.Result), any(list)
	if _, many := want.([]any); !many {
		if got = nil; len(list) > 0 {
			got = list[0]
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("items (-want +got):\n%s", diff)
	}
}

func existCall(t *testing.T, ds *dataset.Dataset, call goldenCall) {
	a := args[callArgs](t, call)
	got, err := ds.Exist(t.Context(), a.Table, a.IDs...)
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]bool
	if err := json.Unmarshal(call.Result, &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

func resolveCall(t *testing.T, ds *dataset.Dataset, call goldenCall) {
	ref := args[features.ViewRef](t, call)
	var row any
	err := ds.Resolve(t.Context(), ref, &row)
	switch {
	case call.Raises != nil && (ref.Name == "" || ref.ID == ""):
		wantError(t, err, dataset.ErrQuery)
	case call.Raises != nil:
		wantError(t, err, dataset.ErrNotFound, ref.Name, ref.ID)
	case err != nil:
		t.Fatal(err)
	default:
		if diff := cmp.Diff(decode(t, call.Result), flat(t, row)); diff != "" {
			t.Errorf("row (-want +got):\n%s", diff)
		}
	}
}

// elsewhere stands for the searches, which the tests of package search make.
func elsewhere(*testing.T, *dataset.Dataset, goldenCall) {}

// integrityCall looks up every reference of every table: the golden datasets have none that leads nowhere.
func integrityCall(t *testing.T, ds *dataset.Dataset, call goldenCall) {
	if diff := cmp.Diff([]any{}, decode(t, call.Result)); diff != "" {
		t.Fatalf("this test wants a dataset without violations:\n%s", diff)
	}
	refs := map[string]map[string]bool{} // table -> ids
	for _, table := range ds.Tables() {
		seen := map[string]bool{}
		err := ds.Each(t.Context(), table.Name, dataset.Query{}, func(row any) error {
			d := row.(*schema.Dynamic)
			if id, _ := schema.ID(d); id == "" || seen[id] {
				t.Errorf("table %s: id %q is empty or there twice", table.Name, id)
			} else {
				seen[id] = true
			}
			for _, f := range d.Class().Fields {
				v, _ := d.Get(f.Name)
				if _, ok := f.Type.RefGroup(); !ok || f.Type.Collection {
					continue
				}
				ref := reflect.ValueOf(v).Convert(reflect.TypeFor[features.ViewRef]()).Interface().(features.ViewRef)
				if ref.Name == "" || ref.ID == "" {
					continue
				}
				if refs[ref.Name] == nil {
					refs[ref.Name] = map[string]bool{}
				}
				refs[ref.Name][ref.ID] = true
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(refs) == 0 {
		t.Error("no reference was found")
	}
	for table, ids := range refs {
		found, err := ds.Exist(t.Context(), table, slices.Collect(maps.Keys(ids))...)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(ids, found); diff != "" {
			t.Errorf("table %s: references to no row (-want +got):\n%s", table, diff)
		}
	}
}

// messageCall makes a row as the class's constructor does.
func messageCall(t *testing.T, ds *dataset.Dataset, call goldenCall) {
	values := map[string]any{"id": "m", "number": 0, "user": "u", "content": "c", "created_at": "2024-01-02T03:04:05.678901"}
	if err := json.Unmarshal(call.Args, &values); err != nil {
		t.Fatal(err)
	}
	var m schema.Message
	err := schema.Decode(values, &m)
	if call.Raises != nil {
		if !errors.Is(err, dataset.ErrSchema) {
			t.Errorf("got %v, want ErrSchema", err)
		}
		return
	}
	if values["content"] == "no brackets" { // which the reference replaces by "[[]] "
		if err != nil || m.Content != "no brackets" {
			t.Errorf("got %q (%v), want the content as it was", m.Content, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	raw, err := schema.EncodeJSON(m)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(decode(t, call.Result), decode(t, raw)); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
}

// deleteCall deletes records, which is refused.
func deleteCall(t *testing.T, ds *dataset.Dataset, call goldenCall) {
	if d := deviationOf(call); d == nil {
		t.Fatal("want a deviation")
	}
	a := args[callArgs](t, call)
	if _, err := ds.Delete(t.Context(), ds.ItemTable(), a.IDs...); err == nil {
		t.Error("got no error")
	}
	found, err := ds.Exist(t.Context(), ds.ItemTable(), a.IDs...)
	if diff := cmp.Diff(map[string]bool{"rec_5": true, "nope": false}, found); diff != "" || err != nil {
		t.Errorf("records left: %v (-want +got):\n%s", err, diff)
	}
}
