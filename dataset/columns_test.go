package dataset

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/go-cmp/cmp"

	"pixano/features"
	"pixano/schema"
)

// rowsOfTable reads all rows of a table by their ids, as JSON.
func rowsOfTable(t *testing.T, ds *Dataset, table string) map[string]string {
	t.Helper()
	rows := map[string]string{}
	for row, err := range ds.Rows(t.Context(), table, Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		text, err := row.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		rows[row.ID()] = string(text)
	}
	return rows
}

// columnsInStep wants a table whose columns are exactly those that schema.json says, with the right nullability, in
// storage version 2.0 and with its key marked.
func columnsInStep(t *testing.T, ds *Dataset, table string) *schema.Class {
	t.Helper()
	s, err := readSchema(ds.Path())
	if err != nil {
		t.Fatal(err)
	}
	class, _ := s.Class(table)
	want, err := tableColumns(class)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ds.Columns(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range got.Fields() {
		if i >= want.NumFields() || f.Name != want.Field(i).Name || f.Nullable != want.Field(i).Nullable ||
			!arrow.TypeEqual(f.Type, want.Field(i).Type, arrow.CheckMetadata()) {
			t.Errorf("%s: column %v, want %v", table, f, want.Fields()[min(i, want.NumFields()-1)])
		}
	}
	if got.NumFields() != want.NumFields() {
		t.Errorf("%s: %d columns, want %d", table, got.NumFields(), want.NumFields())
	}
	if !ds.Schema().Equal(s) {
		t.Errorf("the handle's schema is not that of schema.json")
	}
	if exists(ds.Path(), privateFolder, columnsFile) {
		t.Errorf("the note of a change of columns is still there")
	}
	lt, err := ds.db.OpenTable(t.Context(), table, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer lt.Close()
	info, err := lt.Info(t.Context(), false)
	if err != nil || info.StorageVersion != "2.0" || !slices.Equal(info.PrimaryKey, []string{"id"}) {
		t.Errorf("%s: storage version %s, key %v (%v), want 2.0 and id", table, info.StorageVersion, info.PrimaryKey, err)
	}
	return class
}

func TestAddColumns(t *testing.T) {
	ds := newFair(t, 5, 30, rand.New(rand.NewPCG(2, 2)))
	ctx := t.Context()
	before := rowsOfTable(t, ds, "stalls")
	day := time.Date(2024, 2, 3, 4, 5, 6, 7000, time.UTC)
	f := func(name string) schema.FieldType { return schema.FieldType{Name: name} }
	list := func(name string) schema.FieldType { return schema.FieldType{Name: name, Collection: true} }
	vector := schema.FieldType{Name: schema.TypeFixedSizeList, Dim: 2, ValueType: "float"}
	for _, test := range []struct {
		column  NewColumn
		want    func(r Row) any // the value in a row
		rewrite bool
	}{
		{NewColumn{Name: "note", Type: f("str"), Value: "it's é"}, func(Row) any { return "it's é" }, false},
		{NewColumn{Name: "nothing", Type: f("str")}, func(Row) any { return "" }, false},
		{NewColumn{Name: "rank", Type: f("int"), Value: "-7"}, func(Row) any { return int64(-7) }, false},
		{NewColumn{Name: "share", Type: f("float"), Value: 1}, func(Row) any { return 1.0 }, false},
		{NewColumn{Name: "good", Type: f("bool"), Value: true}, func(Row) any { return true }, false},
		{NewColumn{Name: "raw", Type: f("bytes"), Value: []byte{0, 255}}, func(Row) any { return []byte{0, 255} }, false},
		{NewColumn{Name: "when", Type: f("datetime"), Value: day}, func(Row) any { return day }, false},
		{NewColumn{Name: "ever", Type: f("datetime")}, func(Row) any { return time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC) }, false},
		{NewColumn{Name: "words", Type: list("str"), Value: []string{"a", "b'"}}, func(Row) any { return []string{"a", "b'"} }, false},
		{NewColumn{Name: "none", Type: list("float")}, func(Row) any { return []float64(nil) }, false},
		{NewColumn{Name: "of", Type: f("EntityRef"), Value: features.Entity("stalls", "s1")}, func(Row) any { return `{"name":"stalls","id":"s1"}` }, true},
		{NewColumn{Name: "unset", Type: f("ItemRef")}, func(Row) any { return `{"name":"","id":""}` }, true},
		{NewColumn{Name: "empty", Type: vector}, func(Row) any { return nil }, false},
		{NewColumn{Name: "corner", Type: vector, Value: []float64{0.5, 2}}, func(Row) any { return []float32{0.5, 2} }, true},
		{NewColumn{Name: "double_seats", Type: f("int"), SQL: "seats * ?", Args: []any{2}}, func(r Row) any { return 2 * r.Value("seats").(int64) }, false},
		{NewColumn{Name: "shout", Type: f("str"), SQL: "concat(upper(kind), '!')"},
			func(r Row) any { return strings.ToUpper(r.Value("kind").(string)) + "!" }, false},
		{NewColumn{Name: "half", Type: f("float"), SQL: "seats / 2.0"}, func(r Row) any { return float64(r.Value("seats").(int64)) / 2 }, false},
		{NewColumn{Name: "size", Type: f("str"), SQL: "CASE WHEN seats > 2 THEN 'big' ELSE 'small' END"}, func(r Row) any {
			if r.Value("seats").(int64) > 2 {
				return "big"
			}
			return "small"
		}, false},
		{NewColumn{Name: "item_id", Type: f("str"), SQL: "item_ref.id"}, func(r Row) any { return r.Value("item_ref.id") }, false},
		{NewColumn{Name: "tags2", Type: list("str"), SQL: "tags"}, func(r Row) any { return r.Value("tags") }, false},
	} {
		t.Run(test.column.Name, func(t *testing.T) {
			if err := ds.AddColumns(ctx, "stalls", test.column); err != nil {
				t.Fatal(err)
			}
			columnsInStep(t, ds, "stalls")
			n := 0
			for row, err := range ds.Rows(ctx, "stalls", Query{}) {
				if err != nil {
					t.Fatal(err)
				}
				n++
				got := row.Value(test.column.Name)
				if r, ok := got.(Row); ok {
					text, _ := r.MarshalJSON()
					got = string(text)
				}
				if d := cmp.Diff(test.want(row), got); d != "" {
					t.Fatalf("row %s (-want +got):\n%s", row.ID(), d)
				}
				text, err := row.MarshalJSON()
				if was := strings.TrimSuffix(before[row.ID()], "}"); err != nil || !strings.HasPrefix(string(text), was) {
					t.Fatalf("row %s was %s, is %s (%v)", row.ID(), was, text, err)
				}
			}
			if n != len(before) {
				t.Fatalf("%d rows, want %d", n, len(before))
			}
			lt, err := ds.db.OpenTable(ctx, "stalls", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer lt.Close()
			commits, err := lt.Transactions(ctx, 0, 1)
			if err != nil {
				t.Fatal(err)
			}
			if got := commits[0].Operation == "Overwrite"; got != test.rewrite {
				t.Errorf("the commit is an %s, want the table written anew: %v", commits[0].Operation, test.rewrite)
			}
			before = rowsOfTable(t, ds, "stalls")
		})
	}
	// Several at once, and rows as before and after.
	if err := ds.AddColumns(ctx, "item", NewColumn{Name: "a", Type: f("int")}, NewColumn{Name: "b", Type: f("str"), SQL: "weather"}); err != nil {
		t.Fatal(err)
	}
	class := columnsInStep(t, ds, "item")
	row, err := schema.NewDynamic(class)
	if err != nil {
		t.Fatal(err)
	}
	for column, value := range map[string]any{"id": "new", "split": "val", "weather": "snow", "a": 3, "b": "c"} {
		if err := row.Set(column, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := ds.Add(ctx, "item", row); err != nil {
		t.Fatal(err)
	}
	if err := ds.Add(ctx, "item", schema.NewItem("old")); !errors.Is(err, ErrSchema) {
		t.Errorf("a row without the new columns: %v", err)
	}
	if _, err := ds.Optimize(ctx); err != nil {
		t.Fatal(err)
	}
	var rows []Row
	if err := ds.Get(ctx, "item", &rows, Query{Where: "a = 3"}); err != nil || len(rows) != 1 || rows[0].Value("b") != "c" {
		t.Errorf("rows with a = 3: %v (%v)", rows, err)
	}
	for v, err := range ds.Check(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if v.Check != RefID || v.Value != "i5" { // an item that is not there, from the start
			t.Error(v)
		}
	}
}

func TestRenameAndDropColumns(t *testing.T) {
	ds := newFair(t, 5, 30, rand.New(rand.NewPCG(2, 3)))
	ctx := t.Context()
	for _, c := range []Constraint{{Name: "kind", Restricted: true, Values: []any{"k"}}, {Name: "price", Values: []any{1.5}}} {
		if err := ds.SetConstraint(ctx, "stalls", c); err != nil {
			t.Fatal(err)
		}
	}
	before := rowsOfTable(t, ds, "stalls")
	if err := ds.RenameColumn(ctx, "stalls", "kind", "Sort"); err != nil {
		t.Fatal(err)
	}
	if err := ds.DropColumns(ctx, "stalls", "price", "photo", "marks"); err != nil {
		t.Fatal(err)
	}
	class := columnsInStep(t, ds, "stalls")
	if d := cmp.Diff([]string{"id", "created_at", "updated_at", "item_ref", "view_ref", "parent_ref", "Sort", "open", "seats", "since", "tags"}, classColumns(class)); d != "" {
		t.Errorf("columns (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]Constraint{{Name: "Sort", Restricted: true, Values: []any{"k"}}}, ds.Constraints("stalls")); d != "" {
		t.Errorf("constraints (-want +got):\n%s", d)
	}
	again, err := Open(ctx, ds.Path(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if d := cmp.Diff(ds.Constraints("stalls"), again.Constraints("stalls")); d != "" {
		t.Errorf("constraints in the file (-here +there):\n%s", d)
	}
	var rows []*schema.Dynamic
	if err := again.Get(ctx, "stalls", &rows, Query{}); err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		id, _ := schema.ID(row)
		kind, _ := row.Get("Sort")
		if want := fmt.Sprintf(`"kind":%q`, kind); !strings.Contains(before[id], want) {
			t.Errorf("%s has %s, was %s", id, want, before[id])
		}
	}
	// Once more under its old name, after a write.
	if _, err := again.WithChecks(Checks{Mode: CheckNone}).Update(ctx, "stalls", rows[:3]); err != nil {
		t.Fatal(err)
	}
	if err := again.RenameColumn(ctx, "stalls", "Sort", "kind"); err != nil {
		t.Fatal(err)
	}
	columnsInStep(t, ds, "stalls") // the first handle follows
	if err := ds.Get(ctx, "stalls", &rows, Query{Where: "kind = 'k'"}); err != nil {
		t.Error(err)
	}
}

func TestRetypeColumn(t *testing.T) {
	ds := newFair(t, 5, 30, rand.New(rand.NewPCG(2, 4)))
	ctx := t.Context()
	f := func(name string) schema.FieldType { return schema.FieldType{Name: name} }
	list := func(name string) schema.FieldType { return schema.FieldType{Name: name, Collection: true} }
	type step struct {
		to    schema.FieldType
		using string
		want  string // of row s1
	}
	if err := ds.AddColumns(ctx, "stalls", NewColumn{Name: "x", Type: f("int"), Value: 12}); err != nil {
		t.Fatal(err)
	}
	for _, s := range []step{
		{f("float"), "", "12.0"}, {f("str"), "", `"12"`}, {f("int"), "", "12"}, {list("int"), "", "[12]"}, {list("str"), "", `["12"]`},
		{list("float"), "", "[12.0]"}, {f("str"), "concat('n', CAST(x[1] AS VARCHAR))", `"n12.0"`}, {f("bool"), "x = 'n12.0'", "true"}, {f("str"), "", `"true"`},
		{f("bool"), "", "true"}, {f("int"), "", "1"}, {f("bool"), "", "true"}, {f("datetime"), "TIMESTAMP '2020-01-02 03:04:05'", `"2020-01-02T03:04:05"`},
		{f("str"), "", `"2020-01-02T03:04:05"`}, {f("datetime"), "", `"2020-01-02T03:04:05"`},
	} {
		if err := ds.RetypeColumn(ctx, "stalls", "x", s.to, s.using); err != nil {
			t.Fatalf("to %s: %v", s.to, err)
		}
		columnsInStep(t, ds, "stalls")
		if row := rowsOfTable(t, ds, "stalls")["s1"]; !strings.HasSuffix(row, `"x":`+s.want+"}") {
			t.Fatalf("to %s: row %s, want %s", s.to, row, s.want)
		}
	}
	// In the middle of a table it stays in its place.
	if err := ds.RetypeColumn(ctx, "stalls", "seats", f("str"), ""); err != nil {
		t.Fatal(err)
	}
	if class := columnsInStep(t, ds, "stalls"); class.Fields[9].Name != "seats" || class.Fields[9].Type.Name != "str" {
		t.Errorf("columns %v", classColumns(class))
	}
	var rows []Row
	if err := ds.Get(ctx, "stalls", &rows, Query{Where: "seats = '-4'"}); err != nil || len(rows) == 0 {
		t.Errorf("%d rows with the text -4 (%v)", len(rows), err)
	}
}

// TestColumnsRefused wants that a wrong step changes nothing.
func TestColumnsRefused(t *testing.T) {
	ds := newFair(t, 5, 30, rand.New(rand.NewPCG(2, 5)))
	ctx := t.Context()
	f := func(name string) schema.FieldType { return schema.FieldType{Name: name} }
	file := func() string {
		text, err := os.ReadFile(filepath.Join(ds.Path(), "schema.json"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	before, declared := rowsOfTable(t, ds, "stalls"), file()
	readOnly, err := Open(ctx, ds.Path(), &Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer readOnly.Close()
	add := func(c ...NewColumn) error { return ds.AddColumns(ctx, "stalls", c...) }
	for _, test := range []struct {
		err  error
		kind error
		want string
	}{
		{add(NewColumn{Name: "kind", Type: f("str")}), ErrSchema, `add columns to stalls: kind: the table has a column kind: want a name that is not taken`},
		{add(NewColumn{Name: "Kind", Type: f("str")}), ErrSchema, `the table has a column kind`},
		{add(NewColumn{Name: "id", Type: f("str")}), ErrSchema, `the table has a column id`},
		{add(NewColumn{Name: "a.b", Type: f("str")}), ErrSchema, `a.b`},
		{add(NewColumn{Name: "n", Type: f("int")}, NewColumn{Name: "n", Type: f("int")}), ErrSchema, `the table has a column n`},
		{add(NewColumn{Name: "n", Type: f("number")}), ErrSchema, `want a column type`},
		{add(NewColumn{Name: "n", Type: f("int"), Value: "many"}), ErrSchema, `n: `},
		{add(NewColumn{Name: "n", Type: f("int"), SQL: "prices + 1"}), ErrQuery, `n: at 0: no column "prices"`},
		{add(NewColumn{Name: "n", Type: f("int"), SQL: "kind + 1"}), ErrQuery, `n: `},
		{add(NewColumn{Name: "n", Type: f("int"), SQL: "CAST(kind AS BIGINT)"}), ErrQuery, `n: `},
		{add(NewColumn{Name: "n", Type: f("int"), SQL: "nullif(seats, 1)"}), ErrQuery, `n: the expression gives no value for `},
		{add(NewColumn{Name: "n", Type: f("int"), SQL: "seats", Args: []any{1}}), ErrQuery, `1 values for 0 question marks`},
		{add(NewColumn{Name: "n", Type: f("ItemRef"), SQL: "seats"}), ErrQuery, `where values are computed`},
		{ds.AddColumns(ctx, "source", NewColumn{Name: "n", Type: f("int")}), ErrSchema, `the columns of sources are always the same`},
		{ds.AddColumns(ctx, "nothing", NewColumn{Name: "n", Type: f("int")}), ErrNotFound, `no such table`},
		{readOnly.AddColumns(ctx, "stalls", NewColumn{Name: "n", Type: f("int")}), ErrReadOnly, `read only`},
		{ds.RenameColumn(ctx, "stalls", "item_ref", "item"), ErrSchema, `item_ref: the column belongs to the built-in class Entity`},
		{ds.RenameColumn(ctx, "stalls", "nope", "item"), ErrNotFound, `nope: no such column: want one of id, created_at`},
		{ds.RenameColumn(ctx, "stalls", "kind", "price"), ErrSchema, `price: the table has a column price`},
		{ds.RenameColumn(ctx, "stalls", "kind", "_rowid"), ErrSchema, `_rowid`},
		{ds.DropColumns(ctx, "stalls", "kind", "id"), ErrSchema, `id: the column belongs to the built-in class`},
		{ds.DropColumns(ctx, "stalls", "kind", "kind"), ErrNotFound, `kind: no such column`},
		{ds.DropColumns(ctx, "item", "split"), ErrSchema, `split: the column belongs to the built-in class Item`},
		{ds.RetypeColumn(ctx, "stalls", "kind", f("int"), ""), ErrSchema, `: kind: "`},
		{ds.RetypeColumn(ctx, "stalls", "price", f("int"), ""), ErrSchema, `cannot become a int`},
		{ds.RetypeColumn(ctx, "stalls", "price", f("ItemRef"), ""), ErrSchema, `there is no way`},
		{ds.RetypeColumn(ctx, "stalls", "created_at", f("str"), ""), ErrSchema, `built-in class`},
		{ds.RetypeColumn(ctx, "stalls", "kind", f("int"), "nullif(1, 1)"), ErrQuery, `gives no value for 30 rows`},
	} {
		if test.err == nil || !errors.Is(test.err, test.kind) || !strings.Contains(test.err.Error(), test.want) {
			t.Errorf("error %v, want %v with %s", test.err, test.kind, test.want)
		}
	}
	if _, err := ds.BuildIndex(ctx, Index{Table: "stalls", Column: "kind"}); err != nil {
		t.Fatal(err)
	}
	if err := ds.DropColumns(ctx, "stalls", "kind"); !errors.Is(err, ErrSchema) || !strings.Contains(err.Error(), `kind: the index "kind_idx" is of the column: drop it first`) {
		t.Errorf("an indexed column: %v", err)
	}
	if d := cmp.Diff(declared, file()); d != "" {
		t.Errorf("schema.json changed:\n%s", d)
	}
	if d := cmp.Diff(before, rowsOfTable(t, ds, "stalls")); d != "" {
		t.Errorf("rows changed:\n%s", d)
	}
	columnsInStep(t, ds, "stalls")
	if err := ds.AddColumns(ctx, "stalls"); err != nil {
		t.Errorf("no columns: %v", err)
	}
}

// TestColumnsCrash looks at what each step of a change of columns leaves on disk: all of it or nothing.
func TestColumnsCrash(t *testing.T) {
	defer func(f func(string)) { fault = f }(fault)
	f := func(name string) schema.FieldType { return schema.FieldType{Name: name} }
	for name, change := range map[string]func(ctx context.Context, ds *Dataset) error{
		"add": func(ctx context.Context, ds *Dataset) error {
			return ds.AddColumns(ctx, "stalls", NewColumn{Name: "n", Type: f("int"), Value: 3})
		},
		"rewrite": func(ctx context.Context, ds *Dataset) error {
			return ds.AddColumns(ctx, "stalls", NewColumn{Name: "n", Type: f("ItemRef")})
		},
		"rename": func(ctx context.Context, ds *Dataset) error { return ds.RenameColumn(ctx, "stalls", "kind", "sort") },
		"drop":   func(ctx context.Context, ds *Dataset) error { return ds.DropColumns(ctx, "stalls", "kind", "tags") },
		"retype": func(ctx context.Context, ds *Dataset) error {
			return ds.RetypeColumn(ctx, "stalls", "seats", f("str"), "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			ds := newFair(t, 3, 12, rand.New(rand.NewPCG(2, 6)))
			if err := ds.SetConstraint(ctx, "stalls", Constraint{Name: "kind", Values: []any{"k"}}); err != nil {
				t.Fatal(err)
			}
			if _, err := ds.Delete(ctx, "stalls", "s3"); err != nil {
				t.Fatal(err)
			}
			old, constraints := rowsOfTable(t, ds, "stalls"), ds.Constraints("stalls")
			copies := map[string]string{}
			var steps []string
			fault = func(step string) {
				dir := filepath.Join(t.TempDir(), "copy")
				if err := os.CopyFS(dir, os.DirFS(ds.Path())); err != nil {
					t.Error(err)
				}
				copies[step] = dir
				steps = append(steps, step)
			}
			err := change(ctx, ds)
			fault = func(string) {}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff([]string{"columns noted", "columns committed", "columns in schema.json"}, steps); d != "" {
				t.Fatalf("steps (-want +got):\n%s", d)
			}
			now, constraintsNow := rowsOfTable(t, ds, "stalls"), ds.Constraints("stalls")
			for step, dir := range copies {
				want, wantConstraints := now, constraintsNow
				if step == "columns noted" {
					want, wantConstraints = old, constraints
				}
				// First where nothing may be written.
				for _, readOnly := range []bool{true, false} {
					again, err := Open(ctx, dir, &Options{ReadOnly: readOnly})
					if err != nil {
						t.Fatalf("after %q: %v", step, err)
					}
					var rows []*schema.Dynamic
					if err := again.Get(ctx, "stalls", &rows, Query{}); err != nil || len(rows) != len(want) {
						t.Errorf("after %q, read only %v: %d rows (%v)", step, readOnly, len(rows), err)
					}
					if d := cmp.Diff(want, rowsOfTable(t, again, "stalls")); d != "" {
						t.Errorf("after %q, read only %v: rows (-want +got):\n%s", step, readOnly, d)
					}
					if !readOnly {
						columnsInStep(t, again, "stalls")
						if d := cmp.Diff(wantConstraints, again.Constraints("stalls")); d != "" {
							t.Errorf("after %q: constraints (-want +got):\n%s", step, d)
						}
						if _, err := again.WithChecks(Checks{Mode: CheckNone}).Update(ctx, "stalls", rows); err != nil {
							t.Errorf("after %q: %v", step, err)
						}
					}
					if err := again.Close(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
}

// TestColumnsBesideWriters changes columns while rows are written by this handle and by another one.
func TestColumnsBesideWriters(t *testing.T) {
	ds := newFair(t, 3, 12, rand.New(rand.NewPCG(2, 7)))
	other, err := Open(t.Context(), ds.Path(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	var mu sync.Mutex
	stored := map[string]bool{}
	var refused int
	for w, ds := range []*Dataset{ds, ds, other} {
		wait.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				class, _ := ds.Schema().Class("stalls")
				row, err := schema.NewDynamic(class)
				if err != nil {
					t.Error(err)
					return
				}
				id := fmt.Sprintf("w%d-%d", w, n)
				if err := row.Set("id", id); err != nil {
					t.Error(err)
					return
				}
				err = ds.Add(t.Context(), "stalls", row)
				mu.Lock()
				switch {
				case err == nil:
					stored[id] = true
				case errors.Is(err, ErrConflict) || errors.Is(err, ErrSchema):
					refused++
				default:
					t.Errorf("%s: %v", id, err)
				}
				mu.Unlock()
			}
		})
	}
	for i := range 12 {
		var err error
		from := []*Dataset{ds, other}[i%2]
		switch i % 4 {
		case 0:
			err = from.AddColumns(t.Context(), "stalls", NewColumn{Name: "n", Type: schema.FieldType{Name: "int"}, Value: i})
		case 1:
			err = from.RenameColumn(t.Context(), "stalls", "n", "m")
		case 2:
			err = from.RetypeColumn(t.Context(), "stalls", "m", schema.FieldType{Name: "str"}, "")
		case 3:
			err = from.DropColumns(t.Context(), "stalls", "m")
		}
		if err != nil {
			t.Errorf("change %d: %v", i, err)
		}
	}
	cancel()
	wait.Wait()
	t.Logf("%d rows stored, %d refused", len(stored), refused)
	columnsInStep(t, ds, "stalls")
	columnsInStep(t, other, "stalls")
	again, err := Open(t.Context(), ds.Path(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	rows := rowsOfTable(t, again, "stalls")
	for id := range stored {
		if _, ok := rows[id]; !ok {
			t.Errorf("%s is lost", id)
		}
	}
	if want := len(stored) + 12; len(rows) != want {
		t.Errorf("%d rows, want %d", len(rows), want)
	}
}

// TestColumnsAndSnapshots wants that a snapshot keeps the columns that it was made with.
func TestColumnsAndSnapshots(t *testing.T) {
	ds := newFair(t, 3, 12, rand.New(rand.NewPCG(2, 8)))
	ctx := t.Context()
	before := rowsOfTable(t, ds, "stalls")
	if _, err := ds.Snapshot(ctx, "v1", SnapshotOptions{}); err != nil {
		t.Fatal(err)
	}
	then, err := ds.At(ctx, "v1")
	if err != nil {
		t.Fatal(err)
	}
	defer then.Close()
	if err := ds.RenameColumn(ctx, "stalls", "kind", "sort"); err != nil {
		t.Fatal(err)
	}
	if err := ds.DropColumns(ctx, "stalls", "tags"); err != nil {
		t.Fatal(err)
	}
	again, err := Open(ctx, ds.Path(), &Options{Snapshot: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	for _, old := range []*Dataset{then, again} {
		if d := cmp.Diff(before, rowsOfTable(t, old, "stalls")); d != "" {
			t.Errorf("rows of the snapshot (-want +got):\n%s", d)
		}
		var rows []*schema.Dynamic
		if err := old.Get(ctx, "stalls", &rows, Query{Where: "kind <> 'x'"}); err != nil || len(rows) != len(before) {
			t.Errorf("%d rows of the snapshot (%v)", len(rows), err)
		}
	}
	columnsInStep(t, ds, "stalls")
}
