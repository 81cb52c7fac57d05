package lance

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
)

func TestVersions(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	table := create(t, c, "t", numbers(0, 10))
	for i := 10; i < 13; i++ {
		must[WriteResult](t)(table.Append(ctx, FromBatches(nil, numbers(i, i+1)), nil))
	}
	var listed []uint64
	for _, v := range must[[]Version](t)(table.Versions(ctx)) {
		listed = append(listed, v.Version)
		if since := time.Since(v.Timestamp); since < 0 || since > time.Minute {
			t.Errorf("version %d is of %v", v.Version, v.Timestamp)
		}
	}
	diff(t, "versions", listed, []uint64{1, 2, 3, 4})
	if v := must[uint64](t)(table.Version(ctx)); v != 4 {
		t.Errorf("got version %d", v)
	}

	if err := table.Checkout(ctx, 2); err != nil {
		t.Fatal(err)
	}
	if v, n := must[uint64](t)(table.Version(ctx)), count(t, table, ""); v != 2 || n != 11 {
		t.Errorf("got version %d with %d rows", v, n)
	}
	_, err := table.Append(ctx, FromBatches(nil, numbers(0, 1)), nil)
	wantError(t, err, ErrInvalid)
	wantError(t, table.Checkout(ctx, 99), ErrNotFound)
	if v := must[uint64](t)(table.Restore(ctx)); v != 5 || count(t, table, "") != 11 {
		t.Errorf("restored as version %d with %d rows", v, count(t, table, ""))
	}
	must[WriteResult](t)(table.Append(ctx, FromBatches(nil, numbers(50, 51)), nil))

	if err := table.CreateTag(ctx, "v1", 1); err != nil {
		t.Fatal(err)
	}
	wantError(t, table.CreateTag(ctx, "v1", 2), ErrExists)
	wantError(t, table.CreateTag(ctx, "v99", 99), ErrNotFound)
	wantError(t, table.UpdateTag(ctx, "v2", 2), ErrNotFound)
	wantError(t, table.DeleteTag(ctx, "v2"), ErrNotFound)
	if err := table.CreateTag(ctx, "other", 3); err != nil {
		t.Fatal(err)
	}
	if err := table.UpdateTag(ctx, "other", 4); err != nil {
		t.Fatal(err)
	}
	tags := must[map[string]Tag](t)(table.Tags(ctx))
	if len(tags) != 2 || tags["v1"].Version != 1 || tags["other"].Version != 4 || tags["v1"].ManifestBytes == 0 {
		t.Errorf("got tags %v", tags)
	}
	tagged, err := c.OpenTable(ctx, "t", &OpenOptions{Tag: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	if n := count(t, tagged, ""); n != 10 {
		t.Errorf("got %d rows", n)
	}
	if v := must[uint64](t)(tagged.CheckoutTag(ctx, "other")); v != 4 || count(t, tagged, "") != 13 {
		t.Errorf("got version %d with %d rows", v, count(t, tagged, ""))
	}
	_, err = tagged.CheckoutTag(ctx, "none")
	wantError(t, err, ErrNotFound)
	if v := must[uint64](t)(tagged.CheckoutLatest(ctx)); v != 6 {
		t.Errorf("got version %d", v)
	}
	if err := table.DeleteTag(ctx, "other"); err != nil {
		t.Fatal(err)
	}
	third, err := c.OpenTable(ctx, "t", &OpenOptions{Version: 3})
	if err != nil {
		t.Fatal(err)
	}
	if n := count(t, third, ""); n != 12 {
		t.Errorf("got %d rows", n)
	}
	for _, bad := range []*OpenOptions{{Version: 99}, {Tag: "none"}} {
		_, err = c.OpenTable(ctx, "t", bad)
		wantError(t, err, ErrNotFound)
	}
	_, err = c.OpenTable(ctx, "t", &OpenOptions{Version: 1, Tag: "v1"})
	wantError(t, err, ErrInvalid)

	// SQL sees each handle's version.
	reader := must[*Reader](t)(SQL(ctx, "SELECT (SELECT count(*) FROM a) AS a, (SELECT count(*) FROM b) AS b", map[string]*Table{"a": third, "b": table}, nil))
	defer reader.Close()
	if batch, err := reader.Next(ctx); err != nil || rows(t, batch) != `{"a":12,"b":12}`+"\n" {
		t.Errorf("got %v, %v", batch, err)
	}
}

func TestOptimize(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	table := create(t, c, "t", numbers(0, 10))
	for i := 1; i < 6; i++ {
		must[WriteResult](t)(table.Append(ctx, FromBatches(nil, numbers(i*10, i*10+10)), nil))
	}
	must[WriteResult](t)(table.Delete(ctx, "n % 10 = 3", nil))
	before := must[TableInfo](t)(table.Info(ctx, true))
	if before.Fragments != 6 || before.DeletedRows != 6 || before.Rows != 54 || len(before.Files) != 6 || before.Bytes <= 0 {
		t.Errorf("got %+v", before)
	}
	if err := table.CreateTag(ctx, "keep", 2); err != nil {
		t.Fatal(err)
	}
	done := must[OptimizeResult](t)(table.Optimize(ctx, OptimizeOptions{
		Compact: &Compact{TargetRowsPerFragment: 1000, MaxRowsPerGroup: 100, DeletionsThreshold: 0.05, Threads: 2},
		Index:   &Reindex{Merge: new(1)},
	}, &WriteOptions{Properties: map[string]string{"by": "upkeep"}}))
	// Two commits: the new fragment's number is reserved first.
	if done.FragmentsRemoved != 6 || done.FragmentsAdded != 1 || done.Version != 9 || done.IndexUpdated {
		t.Errorf("got %+v", done)
	}
	after := must[TableInfo](t)(table.Info(ctx, false))
	if after.Fragments != 1 || after.DeletedRows != 0 || after.Rows != 54 || after.Bytes != -1 || after.Files != nil {
		t.Errorf("got %+v", after)
	}
	if tx := must[[]Transaction](t)(table.Transactions(ctx, 0, 1)); tx[0].Operation != "Rewrite" || tx[0].Properties["by"] != "upkeep" {
		t.Errorf("got %+v", tx)
	}

	_, err := table.Optimize(ctx, OptimizeOptions{Prune: &Prune{}}, nil)
	wantError(t, err, ErrInvalid)
	none := time.Duration(0)
	_, err = table.Optimize(ctx, OptimizeOptions{Prune: &Prune{OlderThan: &none, ErrorIfTagged: true}}, nil)
	if err == nil {
		t.Error("a tagged version did not keep pruning from going on")
	}
	t.Log(err)
	done = must[OptimizeResult](t)(table.Optimize(ctx, OptimizeOptions{Prune: &Prune{KeepVersions: new(2)}}, nil))
	if done.OldVersions != 6 || done.BytesRemoved == 0 {
		t.Errorf("got %+v", done)
	}
	var left []uint64
	for _, v := range must[[]Version](t)(table.Versions(ctx)) {
		left = append(left, v.Version)
	}
	diff(t, "versions", left, []uint64{2, 8, 9})
	if tx := must[[]Transaction](t)(table.Transactions(ctx, 9, 3)); !tx[2].Missing || tx[0].Missing {
		t.Errorf("got %+v", tx)
	}
	must[OptimizeResult](t)(table.Optimize(ctx, OptimizeOptions{Prune: &Prune{OlderThan: &none, DeleteUnverified: true}}, nil))
	if v := must[[]Version](t)(table.Versions(ctx)); len(v) != 2 {
		t.Errorf("got %v", v)
	}
}

func TestSync(t *testing.T) {
	dir := t.TempDir()
	c := connectTo(t, dir, nil)
	ctx := t.Context()
	table := create(t, c, "t", numbers(0, 10))
	must[IndexResult](t)(table.CreateIndex(ctx, Index{Columns: []string{"n"}, Type: BTree}, nil))
	must[WriteResult](t)(table.Delete(ctx, "n = 3", nil))
	// Data, deletions, index and manifest at least; those known to be on disk are not synced twice.
	if n := must[int](t)(table.Sync(ctx, 0)); n < 4 {
		t.Errorf("synced %d files", n)
	}
	if n := must[int](t)(table.Sync(ctx, 0)); n != 0 {
		t.Errorf("synced %d files again", n)
	}
	must[int](t)(table.Sync(ctx, 1))
	_, err := table.Sync(ctx, 99)
	wantError(t, err, ErrNotFound)
	if _, err := os.Stat(filepath.Join(dir, "t.lance")); err != nil {
		t.Error(err)
	}
}

func TestColumns(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	table := create(t, c, "t", numbers(0, 3))
	if v := must[uint64](t)(table.AddColumns(ctx, []Expr{{"twice", "n * 2"}, {"name", "id || '!'"}})); v != 2 {
		t.Errorf("got version %d", v)
	}
	must[uint64](t)(table.AddNullColumns(ctx, arrow.NewSchema([]arrow.Field{field("f", arrow.PrimitiveTypes.Float32), field("l", arrow.ListOf(arrow.PrimitiveTypes.Float64))}, nil)))
	must[uint64](t)(table.AlterColumns(ctx, Alteration{Path: "twice", Rename: "double"}, Alteration{Path: "f", Type: arrow.PrimitiveTypes.Float64}))
	must[uint64](t)(table.AlterColumns(ctx, Alteration{Path: "id", Nullable: new(true)}))
	if v := must[uint64](t)(table.DropColumns(ctx, "n", "l")); v != 6 {
		t.Errorf("got version %d", v)
	}
	schema := must[*arrow.Schema](t)(table.Schema(ctx))
	diff(t, "schema", fmt.Sprint(schema.Fields()), fmt.Sprint([]arrow.Field{
		field("id", arrow.BinaryTypes.String), field("double", arrow.PrimitiveTypes.Int64), {Name: "name", Type: arrow.BinaryTypes.String}, field("f", arrow.PrimitiveTypes.Float64)}))
	diff(t, "rows", read(t, table, Query{Where: "double = 4"}), `{"double":4,"f":null,"id":"id000002","name":"id000002!"}`+"\n")
	for name, err := range map[string]error{
		"add one that exists": second(table.AddColumns(ctx, []Expr{{"id", "1"}})),
		"add nonsense":        second(table.AddColumns(ctx, []Expr{{"x", "foo("}})),
		"drop unknown":        second(table.DropColumns(ctx, "x")),
		"alter unknown":       second(table.AlterColumns(ctx, Alteration{Path: "x", Rename: "y"})),
		"impossible type":     second(table.AlterColumns(ctx, Alteration{Path: "name", Type: vectorType(4)})),
	} {
		t.Logf("%s: %v", name, err)
		if err == nil {
			t.Errorf("%s was not refused", name)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestMetadata(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	table := create(t, c, "t", numbers(0, 3))
	v := must[uint64](t)(table.SetMetadata(ctx, Metadata{
		Schema: map[string]string{"model": "clip", "é": "ü"},
		Fields: map[string]map[string]string{"n": {"unit": "px"}},
		Config: map[string]*string{"a": new("1"), "b": new("2")},
	}, &WriteOptions{Properties: map[string]string{"by": "test"}}))
	if v != 2 {
		t.Errorf("got version %d", v)
	}
	must[uint64](t)(table.SetMetadata(ctx, Metadata{Config: map[string]*string{"a": nil, "c": new("3")}}, nil))
	info := must[TableInfo](t)(table.Info(ctx, false))
	diff(t, "config", info.Config, map[string]string{"b": "2", "c": "3"})
	diff(t, "metadata", info.SchemaMetadata, map[string]string{"model": "clip", "é": "ü"})
	schema := must[*arrow.Schema](t)(openTable(t, c, "t").Schema(ctx))
	diff(t, "of the schema", schema.Metadata().ToMap(), map[string]string{"model": "clip", "é": "ü"})
	diff(t, "of the column", schema.Field(1).Metadata.ToMap(), map[string]string{"unit": "px"})
	// Replaced, not merged.
	must[uint64](t)(table.SetMetadata(ctx, Metadata{Schema: map[string]string{"x": "y"}}, nil))
	diff(t, "replaced", must[TableInfo](t)(table.Info(ctx, false)).SchemaMetadata, map[string]string{"x": "y"})
	_, err := table.SetMetadata(ctx, Metadata{Fields: map[string]map[string]string{"zzz": {}}}, nil)
	wantError(t, err, ErrInvalid)
}
