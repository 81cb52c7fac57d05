package dataset_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/features"
	"pixano/schema"
)

// shots yields batches of shots, per of them at a time, each with an image and boxes and things.
type shots struct {
	from, items, per, boxes int
	vectors                 bool
	ids                     string // put before the ids
}

func (g shots) batch(from, to int) dataset.Batch {
	type shot struct {
		schema.Item
		Difficulty int64
	}
	n := to - from
	items, images := make([]shot, 0, n), make([]schema.Image, 0, n)
	things, boxes := make([]Thing, 0, n*g.boxes), make([]schema.BBox, 0, n*g.boxes)
	var vectors []schema.ViewEmbedding
	for i := from; i < to; i++ {
		item, view := features.Item(fmt.Sprintf("%sitem-%08d", g.ids, i)), features.View("image", fmt.Sprintf("%simage-%08d", g.ids, i))
		items = append(items, shot{schema.Item{ID: item.ID, Split: "train"}, int64(i)})
		images = append(images, schema.Image{View: schema.View{ID: view.ID, ItemRef: item}, URL: fmt.Sprintf("%08d.jpg", i), Width: 640, Height: 480, Format: "JPEG"})
		for k := range g.boxes {
			entity := features.Entity("objects", fmt.Sprintf("%sobject-%08d-%d", g.ids, i, k))
			things = append(things, Thing{Entity: schema.Entity{ID: entity.ID, ItemRef: item, ViewRef: view}, Category: fmt.Sprintf("class-%02d", k), Tags: []string{"a"}})
			b := schema.BBox{Annotation: schema.Annotation{ID: fmt.Sprintf("%sbox-%08d-%d", g.ids, i, k), ItemRef: item, ViewRef: view, EntityRef: entity},
				Coords: []float64{0.1, 0.2, 0.3, 0.4}, Format: "xywh", IsNormalized: true, Confidence: 0.5}
			boxes = append(boxes, b)
		}
		if g.vectors {
			vectors = append(vectors, schema.ViewEmbedding{Embedding: schema.Embedding{ID: fmt.Sprintf("%svector-%08d", g.ids, i), ItemRef: item,
				Vector: []float32{1, 2, 3, float32(i)}}, ViewRef: view})
		}
	}
	return dataset.Batch{"item": items, "image": images, "objects": things, "bboxes": boxes, "vectors": vectors}
}

func (g shots) Generate(_ context.Context, _ *dataset.BuildContext) iter.Seq2[dataset.Batch, error] {
	return func(yield func(dataset.Batch, error) bool) {
		for i := g.from; i < g.from+g.items; i += g.per {
			if !yield(g.batch(i, min(i+g.per, g.from+g.items)), nil) {
				return
			}
		}
	}
}

// state is a directory of datasets without locks and without what Build may leave of its stages.
func state(t *testing.T, dir string) map[string]string {
	t.Helper()
	list := files(t, dir)
	maps.DeleteFunc(list, func(name, _ string) bool {
		// Files that are locked, and the note of which versions of the tables the history knows.
		return strings.HasSuffix(name, ".pixano/lock") || strings.HasSuffix(name, ".pixano/staging/lock") || strings.HasSuffix(name, ".pixano/log/tables")
	})
	return list
}

// rowsOf returns the rows of all tables of a dataset as JSON, by table, and closes it.
func rowsOf(t *testing.T, ds *dataset.Dataset, err error) map[string][]string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	all := map[string][]string{}
	for _, table := range ds.Tables() {
		var rows []*schema.Dynamic
		if err := ds.Get(t.Context(), table.Name, &rows, dataset.Query{}); err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			text, err := schema.EncodeJSON(row)
			if err != nil {
				t.Fatal(err)
			}
			all[table.Name] = append(all[table.Name], string(text))
		}
	}
	return all
}

func counts(rows map[string][]string) map[string]int {
	n := map[string]int{}
	for table, list := range rows {
		n[table] = len(list)
	}
	return n
}

// TestBuildGolden builds the golden datasets anew of their rows.
func TestBuildGolden(t *testing.T) {
	goldenSets(t, func(t *testing.T, from *dataset.Dataset, _ golden) {
		if from.Layout() != dataset.ItemLayout {
			t.Skip("the record layout has no schema to build with")
		}
		builder := dataset.BuilderFunc(func(ctx context.Context, b *dataset.BuildContext, yield func(dataset.Batch) error) error {
			for _, table := range from.Tables() {
				for offset := 0; ; offset += 7 {
					var rows []*schema.Dynamic
					if err := from.Get(ctx, table.Name, &rows, dataset.Query{Limit: 7, Offset: offset}); err != nil {
						return err
					}
					if len(rows) == 0 {
						break
					}
					if err := yield(dataset.Batch{table.Name: rows}); err != nil {
						return err
					}
				}
			}
			return nil
		})
		path := filepath.Join(t.TempDir(), "copy")
		ds, err := dataset.Build(t.Context(), path, from.Schema(), from.Info(), builder,
			&dataset.BuildOptions{FlushRows: 10, Checks: dataset.Checks{Mode: dataset.CheckNone}})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(from.Info(), ds.Info()); diff != "" {
			t.Errorf("info (-want +got):\n%s", diff)
		}
		if !bytes.Equal(from.Schema().Encode(), must(os.ReadFile(filepath.Join(path, "schema.json")))) {
			t.Error("schema.json is another one")
		}
		again, err := dataset.Open(t.Context(), from.Path(), &dataset.Options{ReadOnly: true})
		if diff := cmp.Diff(rowsOf(t, again, err), rowsOf(t, ds, nil)); diff != "" {
			t.Errorf("rows (-want +got):\n%s", diff)
		}
	})
}

// TestBuildRows: every form of rows, times, sources, and one file of each table however many batches there are.
func TestBuildRows(t *testing.T) {
	needEngine(t)
	path := filepath.Join(t.TempDir(), "shots")
	past := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	class, _ := must(dataset.SchemaOf(Shot{})).Class("objects")
	dynamic := must(schema.NewDynamic(class))
	for column, value := range map[string]any{"id": "o3", "category": "cat"} {
		if err := dynamic.Set(column, value); err != nil {
			t.Fatal(err)
		}
	}
	builder := dataset.BuilderFunc(func(_ context.Context, b *dataset.BuildContext, yield func(dataset.Batch) error) error {
		model := must(b.AddSource("yolo", schema.SourceModel, map[string]any{"version": 8}, ""))
		if len(model) != 22 {
			t.Errorf("got id %q, want a random one", model)
		}
		for range 2 {
			if id, err := b.AddGroundTruthSource(nil); id != schema.GroundTruthID || err != nil {
				t.Errorf("ground truth: got %q, %v", id, err)
			}
		}
		if _, err := b.AddSource("x", "robot", nil, "x"); !errors.Is(err, dataset.ErrSchema) {
			t.Errorf("a source of an unknown kind: got %v, want ErrSchema", err)
		}
		if _, err := b.AddSource("x", schema.SourceModel, "{", "x"); !errors.Is(err, dataset.ErrSchema) {
			t.Errorf("broken metadata: got %v, want ErrSchema", err)
		}
		if _, err := b.AddSource("x", schema.SourceHuman, nil, schema.GroundTruthID); !errors.Is(err, dataset.ErrExists) {
			t.Errorf("an id that is there: got %v, want ErrExists", err)
		}
		if err := os.MkdirAll(b.MediaDir(), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(b.MediaDir(), "a.txt"), []byte("a"), 0o644); err != nil {
			return err
		}
		thing := Thing{Entity: schema.Entity{ID: "o1", CreatedAt: past, UpdatedAt: past}}
		for i, batch := range []dataset.Batch{
			{"objects": thing}, {"objects": &Thing{Entity: schema.Entity{ID: "o2"}}}, {"objects": dynamic}, {},
			{"objects": []any{Thing{Entity: schema.Entity{ID: "o4"}}, dynamicCopy(dynamic, "o5")}, "bboxes": nil, "image": []schema.Image{}},
			{"objects": []*Thing{{Entity: schema.Entity{ID: "o6"}}}}, {"objects": [1]Thing{{Entity: schema.Entity{ID: "o7"}}}},
			{"objects": &[]Thing{{Entity: schema.Entity{ID: "o8"}}, {Entity: schema.Entity{ID: "o9"}}}, "image": (*schema.Image)(nil)},
			{"source": schema.Source{ID: "s", Name: "s", Kind: schema.SourceOther}},
		} {
			if err := yield(batch); err != nil {
				return fmt.Errorf("batch %d: %w", i, err)
			}
		}
		return nil
	})
	ds, err := dataset.Build(t.Context(), path, Shot{}, dataset.Info{}, builder, &dataset.BuildOptions{FlushRows: 2, Author: "ana"})
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	var things []Thing
	if err := ds.Get(t.Context(), "objects", &things, dataset.Query{}); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, thing := range things {
		ids = append(ids, thing.ID)
	}
	if diff := cmp.Diff([]string{"o1", "o2", "o3", "o4", "o5", "o6", "o7", "o8", "o9"}, ids); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
	if !things[0].CreatedAt.Equal(past) || things[1].CreatedAt.IsZero() || things[2].Category != "cat" {
		t.Errorf("times and values: got %v, %v, %q", things[0].CreatedAt, things[1].CreatedAt, things[2].Category)
	}
	if n := must(ds.Count(t.Context(), "source", dataset.Query{})); n != 3 {
		t.Errorf("got %d sources, want 3", n)
	}
	data := must(os.ReadDir(filepath.Join(path, "db", "objects.lance", "data")))
	if len(data) != 1 {
		t.Errorf("got %d files, want 1", len(data))
	}
	if got := string(must(os.ReadFile(filepath.Join(path, "media", "a.txt")))); got != "a" {
		t.Errorf("media: got %q", got)
	}
	logged := ""
	for name, content := range files(t, filepath.Join(path, ".pixano", "log")) {
		if strings.HasSuffix(name, ".log") {
			logged += content
		}
	}
	for _, part := range []string{`"author":"ana","table":"objects","rows":9`, `"author":"ana","table":"source","rows":3`} {
		if !strings.Contains(logged, part) {
			t.Errorf("the log is %q, want %s in it", logged, part)
		}
	}
	if n := strings.Count(logged, "\n"); n != 2 {
		t.Errorf("got %d lines of log, want 2", n)
	}
	// It is an ordinary dataset.
	if err := ds.Add(t.Context(), "objects", Thing{Entity: schema.Entity{ID: "o10"}}); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"shots"}, dirNames(t, filepath.Dir(path))); diff != "" {
		t.Errorf("the library (-want +got):\n%s", diff)
	}
}

func dynamicCopy(d *schema.Dynamic, id string) *schema.Dynamic {
	c := d.Clone()
	if err := c.Set("id", id); err != nil {
		panic(err)
	}
	return c
}

// TestBuildModes: what stays of a dataset, and what does not.
func TestBuildModes(t *testing.T) {
	needEngine(t)
	ctx, library := t.Context(), t.TempDir()
	path := filepath.Join(library, "a")
	build := func(mode dataset.BuildMode, tables any, info dataset.Info, from dataset.Builder) (*dataset.Dataset, error) {
		return dataset.Build(ctx, path, tables, info, from, &dataset.BuildOptions{Mode: mode, CompactAtEnd: true})
	}
	if _, err := build(dataset.BuildAdd, Shot{}, dataset.Info{}, shots{items: 1, per: 1}); !errors.Is(err, dataset.ErrNotFound) {
		t.Errorf("add without a dataset: got %v, want ErrNotFound", err)
	}
	ds, err := build(dataset.BuildOverwrite, Shot{}, dataset.Info{ID: "kept", Description: "old"}, shots{items: 3, per: 1, boxes: 2, vectors: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := ds.SetConstraint(ctx, "objects", dataset.Constraint{Name: "category", Restricted: true, Values: []any{"class-00", "class-01"}}); err != nil {
		t.Fatal(err)
	}
	ds.Close()
	if err := os.MkdirAll(filepath.Join(path, "media", "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"media/deep/b.jpg", "preview.png"} {
		if err := os.WriteFile(filepath.Join(path, name), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	before := state(t, library)
	if _, err := build("", Shot{}, dataset.Info{}, shots{items: 1, per: 1}); !errors.Is(err, dataset.ErrExists) {
		t.Errorf("create over a dataset: got %v, want ErrExists", err)
	}
	if diff := cmp.Diff(before, state(t, library)); diff != "" {
		t.Errorf("create over a dataset changed it (-want +got):\n%s", diff)
	}
	ds, err = build(dataset.BuildAdd, nil, dataset.Info{Description: "new"}, shots{from: 3, items: 4, per: 3, boxes: 2, vectors: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := ds.Info(); got.ID != "kept" || got.Description != "new" || got.Name != "a" {
		t.Errorf("add: got info %+v", got)
	}
	if len(ds.Constraints("objects")) != 1 {
		t.Error("add lost the constraints")
	}
	want := map[string]int{"item": 7, "image": 7, "objects": 14, "bboxes": 14, "vectors": 7}
	if diff := cmp.Diff(want, counts(rowsOf(t, ds, nil))); diff != "" {
		t.Errorf("add (-want +got):\n%s", diff)
	}
	// A constraint can refuse rows.
	_, err = dataset.Build(ctx, path, nil, dataset.Info{}, shots{from: 7, items: 1, per: 1, boxes: 3},
		&dataset.BuildOptions{Mode: dataset.BuildAdd, Checks: dataset.Checks{Values: dataset.CheckRaise}})
	if e, ok := errors.AsType[*dataset.Error](err); !ok || e.Table != "objects" || e.Field != "category" {
		t.Errorf("a value that is not allowed: got %v", err)
	}
	ds, err = build(dataset.BuildOverwrite, Shot{}, dataset.Info{}, shots{ids: "new-", items: 2, per: 1})
	if err != nil {
		t.Fatal(err)
	}
	if got := ds.Info(); got.ID != "kept" {
		t.Errorf("overwrite: got id %q, want that of the dataset", got.ID)
	}
	if len(ds.Constraints("objects")) != 0 {
		t.Error("overwrite kept the constraints")
	}
	if diff := cmp.Diff(map[string]int{"item": 2, "image": 2}, counts(rowsOf(t, ds, nil))); diff != "" {
		t.Errorf("overwrite (-want +got):\n%s", diff)
	}
	for _, name := range []string{"media/deep/b.jpg", "preview.png"} {
		if got, err := os.ReadFile(filepath.Join(path, name)); string(got) != "x" {
			t.Errorf("overwrite: %s is %q, %v", name, got, err)
		}
	}
	if diff := cmp.Diff([]string{"a"}, dirNames(t, library)); diff != "" {
		t.Errorf("the library (-want +got):\n%s", diff)
	}
}

// TestBuildFailures: an error, wherever it comes from, names its place and changes nothing.
func TestBuildFailures(t *testing.T) {
	needEngine(t)
	boom := errors.New("boom")
	after := func(n int, last func(ctx context.Context, yield func(dataset.Batch) error) error) dataset.BuilderFunc {
		return func(ctx context.Context, b *dataset.BuildContext, yield func(dataset.Batch) error) error {
			for i := range n {
				if err := yield(shots{ids: "new-", items: 100, per: 1, boxes: 2}.batch(i, i+1)); err != nil {
					return err
				}
			}
			return last(ctx, yield)
		}
	}
	yields := func(batch dataset.Batch) dataset.BuilderFunc {
		return after(20, func(_ context.Context, yield func(dataset.Batch) error) error {
			if err := yield(batch); err == nil {
				t.Error("the builder was not told of the error")
			}
			return nil
		})
	}
	box := func(id string) schema.BBox {
		return schema.BBox{Annotation: schema.Annotation{ID: id}, Coords: []float64{0, 0, 1, 1}, Format: "xywh", Confidence: -1}
	}
	bad := box("bad")
	bad.Coords = []float64{1}
	astray := box("astray")
	astray.ItemRef = features.Item("nowhere")
	tests := []struct {
		name  string
		from  dataset.Builder
		want  error
		parts []string
	}{
		{"nil builder", nil, dataset.ErrQuery, nil},
		{"error at once", after(0, func(context.Context, func(dataset.Batch) error) error { return boom }), boom, []string{"batch 1"}},
		{"error later", after(20, func(context.Context, func(dataset.Batch) error) error { return boom }), boom, []string{"batch 21", `after item "new-item-00000019"`}},
		{"unknown table", yields(dataset.Batch{"boxes": box("b"), "item": nil}), dataset.ErrNotFound, []string{"batch 21", "boxes", "bboxes"}},
		{"wrong type", yields(dataset.Batch{"bboxes": []schema.Image{{}}}), dataset.ErrSchema, []string{"batch 21, row 0", "bboxes"}},
		{"no row", yields(dataset.Batch{"bboxes": []any{box("b"), 7}}), dataset.ErrSchema, []string{"batch 21, row 1", "bboxes"}},
		{"nil row", yields(dataset.Batch{"bboxes": []*schema.BBox{nil}}), dataset.ErrSchema, []string{"batch 21, row 0", "nil"}},
		{"invalid row", yields(dataset.Batch{"bboxes": []schema.BBox{box("b0"), box("b1"), bad}}), dataset.ErrSchema, []string{"batch 21, row 2", `bboxes "bad"`, "coords"}},
		{"vector", yields(dataset.Batch{"vectors": schema.ViewEmbedding{Embedding: schema.Embedding{ID: "v", Vector: []float32{1}}}}),
			dataset.ErrSchema, []string{"vectors", "vector", "want 4 values, have 1"}},
		{"reference", after(20, func(_ context.Context, yield func(dataset.Batch) error) error {
			return yield(dataset.Batch{"bboxes": astray})
		}),
			dataset.ErrIntegrity, []string{"astray", "nowhere"}},
		{"same id", after(20, func(_ context.Context, yield func(dataset.Batch) error) error {
			return yield(dataset.Batch{"item": shots{ids: "new-"}.batch(3, 4)["item"]})
		}), dataset.ErrIntegrity, []string{"new-item-00000003", "not unique"}},
	}
	for _, mode := range []dataset.BuildMode{dataset.BuildCreate, dataset.BuildOverwrite, dataset.BuildAdd} {
		library := t.TempDir()
		path := filepath.Join(library, "a")
		if mode != dataset.BuildCreate {
			ds, err := dataset.Build(t.Context(), path, Shot{}, dataset.Info{}, shots{items: 3, per: 1}, nil)
			if err != nil {
				t.Fatal(err)
			}
			ds.Close()
		}
		before := state(t, library)
		for _, test := range tests {
			t.Run(string(mode)+" "+test.name, func(t *testing.T) {
				_, err := dataset.Build(t.Context(), path, Shot{}, dataset.Info{}, test.from, &dataset.BuildOptions{Mode: mode, FlushRows: 5})
				if !errors.Is(err, test.want) {
					t.Fatalf("got %v, want %v", err, test.want)
				}
				if e, ok := errors.AsType[*dataset.Error](err); !ok || e.Op != "build "+path {
					t.Errorf("got %v, want an *Error of the build", err)
				}
				for _, part := range test.parts {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("got %q, want %q in it", err, part)
					}
				}
				if diff := cmp.Diff(before, state(t, library)); diff != "" {
					t.Errorf("it left something (-want +got):\n%s", diff)
				}
			})
		}
		t.Run(string(mode)+" panic", func(t *testing.T) {
			func() {
				defer func() {
					if r := recover(); r != boom {
						t.Errorf("recovered %v, want the builder's panic", r)
					}
				}()
				dataset.Build(t.Context(), path, Shot{}, dataset.Info{}, after(20, func(context.Context, func(dataset.Batch) error) error { panic(boom) }),
					&dataset.BuildOptions{Mode: mode, FlushRows: 5})
			}()
			if diff := cmp.Diff(before, state(t, library)); diff != "" {
				t.Errorf("it left something (-want +got):\n%s", diff)
			}
		})
		t.Run(string(mode)+" cancel", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			_, err := dataset.Build(ctx, path, Shot{}, dataset.Info{}, after(20, func(_ context.Context, yield func(dataset.Batch) error) error {
				cancel()
				return yield(dataset.Batch{"bboxes": box("b")})
			}), &dataset.BuildOptions{Mode: mode, FlushRows: 5})
			if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "batch 21") {
				t.Errorf("got %v, want the end of the context in batch 21", err)
			}
			if diff := cmp.Diff(before, state(t, library)); diff != "" {
				t.Errorf("it left something (-want +got):\n%s", diff)
			}
		})
	}
}

// TestBuildOptions: options that make no sense.
func TestBuildOptions(t *testing.T) {
	needEngine(t)
	library := t.TempDir()
	for _, test := range []struct {
		opts dataset.BuildOptions
		want error
		part string
	}{
		{dataset.BuildOptions{Mode: "append"}, dataset.ErrQuery, `mode "append": want create, overwrite or add`},
		{dataset.BuildOptions{FlushRows: -1}, dataset.ErrQuery, "FlushRows is -1"},
		{dataset.BuildOptions{FlushBytes: -1}, dataset.ErrQuery, "FlushBytes is -1"},
		{dataset.BuildOptions{CheckpointRows: -1}, dataset.ErrQuery, "CheckpointRows is -1"},
		{dataset.BuildOptions{Checks: dataset.Checks{Mode: "loud"}}, dataset.ErrQuery, "loud"},
		{dataset.BuildOptions{Resume: "../x"}, dataset.ErrSchema, "Resume"},
		{dataset.BuildOptions{Resume: "tmp-x"}, dataset.ErrSchema, "Resume"},
		{dataset.BuildOptions{Options: &dataset.Options{ReadOnly: true}}, dataset.ErrReadOnly, ""},
		{dataset.BuildOptions{Options: &dataset.Options{StorageVersion: "1.0"}}, dataset.ErrUnsupported, "1.0"},
	} {
		_, err := dataset.Build(t.Context(), filepath.Join(library, "a"), Shot{}, dataset.Info{}, shots{items: 1, per: 1}, &test.opts)
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.part) {
			t.Errorf("%+v: got %v, want %v with %q", test.opts, err, test.want, test.part)
		}
	}
	if left := must(os.ReadDir(library)); len(left) > 0 {
		t.Errorf("something was made: %v", left)
	}
}

// TestBuildEmpty: a builder without batches makes a dataset without rows.
func TestBuildEmpty(t *testing.T) {
	needEngine(t)
	path := filepath.Join(t.TempDir(), "a")
	ds, err := dataset.Build(t.Context(), path, Shot{}, dataset.Info{}, shots{per: 1}, nil)
	if diff := cmp.Diff(map[string][]string{}, rowsOf(t, ds, err)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestBuildProgress: the last report has everything, and steps follow each other.
func TestBuildProgress(t *testing.T) {
	needEngine(t)
	var steps []string
	var last dataset.BuildProgress
	ds, err := dataset.Build(t.Context(), filepath.Join(t.TempDir(), "a"), Shot{}, dataset.Info{}, shots{items: 50, per: 5, boxes: 2},
		&dataset.BuildOptions{Progress: func(p dataset.BuildProgress) {
			if len(steps) == 0 || steps[len(steps)-1] != p.Step {
				steps = append(steps, p.Step)
			}
			last = p
		}})
	if err != nil {
		t.Fatal(err)
	}
	ds.Close()
	if diff := cmp.Diff([]string{"generate", "check", "publish", "done"}, steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	want := dataset.BuildProgress{Step: "done", Batches: 10, Rows: map[string]int64{"item": 50, "image": 50, "objects": 100, "bboxes": 100}}
	if diff := cmp.Diff(want, last); diff != "" {
		t.Errorf("last (-want +got):\n%s", diff)
	}
}

// TestBuildChecksWarn: rows that fail a check are stored, and reported.
func TestBuildChecksWarn(t *testing.T) {
	needEngine(t)
	var warned error
	g := shots{items: 4, per: 2, boxes: 1}
	builder := dataset.BuilderFunc(func(_ context.Context, _ *dataset.BuildContext, yield func(dataset.Batch) error) error {
		batch := g.batch(0, 4)
		delete(batch, "objects")
		return yield(batch)
	})
	ds, err := dataset.Build(t.Context(), filepath.Join(t.TempDir(), "a"), Shot{}, dataset.Info{}, builder,
		&dataset.BuildOptions{Checks: dataset.Checks{Mode: dataset.CheckWarn, Warn: func(err error) { warned = err }}})
	if n := counts(rowsOf(t, ds, err))["bboxes"]; n != 4 {
		t.Errorf("got %d boxes, want 4", n)
	}
	if e, ok := errors.AsType[*dataset.IntegrityError](warned); !ok || len(e.Violations) != 4 {
		t.Errorf("got %v, want 4 violations", warned)
	}
}

// TestBuildResume: a build that was stopped goes on, and makes what one in one go makes.
func TestBuildResume(t *testing.T) {
	needEngine(t)
	boom := errors.New("boom")
	for _, skips := range []bool{false, true} {
		for _, mode := range []dataset.BuildMode{dataset.BuildCreate, dataset.BuildAdd} {
			t.Run(fmt.Sprint(mode, skips), func(t *testing.T) {
				library := t.TempDir()
				path := filepath.Join(library, "a")
				if mode == dataset.BuildAdd {
					ds, err := dataset.Build(t.Context(), path, Shot{}, dataset.Info{}, shots{ids: "old-", items: 3, per: 1}, nil)
					if err != nil {
						t.Fatal(err)
					}
					ds.Close()
				}
				before := state(t, library)
				var began []int
				var sources []string
				// Each run is stopped at another batch.
				builder := func(stop int) dataset.BuilderFunc {
					return func(_ context.Context, b *dataset.BuildContext, yield func(dataset.Batch) error) error {
						sources = append(sources, must(b.AddSource("m", schema.SourceModel, nil, "")))
						from := 0
						if skips {
							from = int(b.Skip())
						}
						began = append(began, from)
						for i := from; i < 20; i++ {
							if i == stop {
								return boom
							}
							if err := yield(shots{boxes: 2}.batch(i, i+1)); err != nil {
								return err
							}
						}
						return nil
					}
				}
				opts := &dataset.BuildOptions{Mode: mode, Resume: "mine", CheckpointRows: 12}
				for _, stop := range []int{5, 5, 13} {
					if _, err := dataset.Build(t.Context(), path, Shot{}, dataset.Info{}, builder(stop), opts); !errors.Is(err, boom) {
						t.Fatalf("got %v, want boom", err)
					}
					now := state(t, library)
					maps.DeleteFunc(now, func(name, _ string) bool { return strings.Contains(name, ".pixano/staging/mine/") })
					if diff := cmp.Diff(before, now); diff != "" {
						t.Errorf("something is visible (-want +got):\n%s", diff)
					}
				}
				other := *opts
				other.Mode = dataset.BuildOverwrite
				if mode == dataset.BuildCreate {
					if _, err := dataset.Build(t.Context(), path, Shot{}, dataset.Info{}, builder(0), &other); !errors.Is(err, dataset.ErrConflict) {
						t.Errorf("with another mode: got %v, want ErrConflict", err)
					}
				}
				ds, err := dataset.Build(t.Context(), path, Shot{}, dataset.Info{}, builder(-1), opts)
				if err != nil {
					t.Fatal(err)
				}
				if got := must(ds.Count(t.Context(), "source", dataset.Query{})); got != 1 || len(slices.Compact(sources)) != 1 {
					t.Errorf("got %d sources of ids %v, want the same one in each run", got, sources)
				}
				got := rowsOf(t, ds, nil)
				var ids []string
				for _, row := range got["bboxes"] {
					id, _, _ := strings.Cut(row[strings.Index(row, `"box-`)+1:], `"`)
					ids = append(ids, id)
				}
				var want []string
				for i := range 20 {
					want = append(want, fmt.Sprintf("box-%08d-0", i), fmt.Sprintf("box-%08d-1", i))
				}
				if diff := cmp.Diff(want, ids); diff != "" {
					t.Errorf("boxes (-want +got):\n%s", diff)
				}
				if skips {
					if diff := cmp.Diff([]int{0, 5, 5, 13}, began); diff != "" {
						t.Errorf("where the runs began (-want +got):\n%s", diff)
					}
				}
				if n := len(must(os.ReadDir(filepath.Join(path, "db", "bboxes.lance", "data")))); n != 1 {
					t.Errorf("got %d files of boxes, want 1", n)
				}
				if left := must(filepath.Glob(filepath.Join(library, "*", "staging", "mine"))); len(left) > 0 {
					t.Errorf("left: %v", left)
				}
			})
		}
	}
}

// TestBuildMemory: what is in memory does not grow with the rows.
func TestBuildMemory(t *testing.T) {
	needEngine(t)
	if testing.Short() {
		t.Skip("300,000 rows")
	}
	most := uint64(0)
	builder := dataset.BuilderFunc(func(_ context.Context, _ *dataset.BuildContext, yield func(dataset.Batch) error) error {
		for i := range 150 {
			batch := shots{boxes: 5}.batch(200*i, 200*(i+1))
			delete(batch, "objects")
			delete(batch, "image")
			batch["objects"] = []Thing(nil)
			things := shots{boxes: 4}.batch(200*i, 200*(i+1))["objects"]
			batch["objects"] = things
			if err := yield(batch); err != nil {
				return err
			}
			if i%10 == 9 {
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			}
		}
		return nil
	})
	ds, err := dataset.Build(t.Context(), filepath.Join(t.TempDir(), "a"), Shot{}, dataset.Info{}, builder,
		&dataset.BuildOptions{FlushRows: 2000, Checks: dataset.Checks{Mode: dataset.CheckNone}})
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	rows := int64(0)
	for _, table := range ds.Tables() {
		rows += must(ds.Count(t.Context(), table.Name, dataset.Query{}))
	}
	if rows != 300_000 {
		t.Fatalf("got %d rows", rows)
	}
	// All boxes alone, 150,000 of 400 bytes, are 60 MB.
	if most > 40<<20 {
		t.Errorf("%d MiB in use, want at most 40", most>>20)
	}
	t.Logf("%d MiB in use", most>>20)
}

// buildCrashVariable holds mode, step and path of the build of a process that is to die.
const buildCrashVariable = "PIXANO_TEST_BUILD_CRASH"

// TestBuildCrashed is no test but the process that dies.
func TestBuildCrashed(t *testing.T) {
	mode, rest, ok := strings.Cut(os.Getenv(buildCrashVariable), ",")
	if !ok {
		t.Skip("run by TestBuildCrash")
	}
	step, path, _ := strings.Cut(rest, ",")
	step, named := strings.CutSuffix(step, " named")
	die := func() {
		p, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = p.Kill()
		}
		t.Fatal("still alive: ", err)
	}
	dataset.SetFault(func(now string) {
		if now == step {
			die()
		}
	})
	g := shots{ids: "new-", items: 12, per: 1, boxes: 2}
	builder := dataset.BuilderFunc(func(_ context.Context, b *dataset.BuildContext, yield func(dataset.Batch) error) error {
		for i := range g.items {
			if step == "generate" && i == 8 {
				die()
			}
			if err := yield(g.batch(i, i+1)); err != nil {
				return err
			}
		}
		return b.AddKeyPointTemplates([]features.KeyPointTemplate{pose("new", "fin"), pose("old", "fin")})
	})
	opts := &dataset.BuildOptions{Mode: dataset.BuildMode(mode), FlushRows: 4}
	if step == "checkpoint" || step == "flushed" || named {
		opts.Resume, opts.CheckpointRows = "mine", 20
	}
	_, err := dataset.Build(t.Context(), path, Shot{}, dataset.Info{}, builder, opts)
	t.Fatal("the build ended: ", err)
}

// pose makes a template of one point.
func pose(id, point string) features.KeyPointTemplate {
	return features.KeyPointTemplate{ID: id, Points: []features.TemplatePoint{{Name: point}}, Edges: [][2]int{}}
}

// TestBuildCrash: of a build whose process dies, there is nothing or all, and the next build clears up.
func TestBuildCrash(t *testing.T) {
	needEngine(t)
	old := map[string]int{"item": 3, "image": 3}
	fresh := map[string]int{"item": 12, "image": 12, "objects": 24, "bboxes": 24}
	both := map[string]int{"item": 15, "image": 15, "objects": 24, "bboxes": 24}
	for _, test := range []struct {
		mode dataset.BuildMode
		step string
		want map[string]int // after the next build, which adds nothing; nil: no dataset
		now  map[string]int // at once, if that differs
	}{
		{dataset.BuildCreate, "generate", nil, nil}, {dataset.BuildCreate, "built", nil, nil}, {dataset.BuildCreate, "published", fresh, nil},
		{dataset.BuildOverwrite, "generate", old, nil}, {dataset.BuildOverwrite, "built", old, nil}, {dataset.BuildOverwrite, "published", fresh, nil},
		{dataset.BuildAdd, "generate", old, nil}, {dataset.BuildAdd, "built", old, nil},
		{dataset.BuildAdd, "rows published", both, old}, {dataset.BuildAdd, "appended item", both, map[string]int{"item": 15, "image": 3}},
		{dataset.BuildAdd, "appended objects", both, map[string]int{"item": 15, "image": 15, "objects": 24}}, {dataset.BuildAdd, "appended bboxes", both, both},
		{dataset.BuildAdd, "finished", both, both},
		{dataset.BuildCreate, "flushed", nil, nil}, {dataset.BuildCreate, "checkpoint", nil, nil}, {dataset.BuildAdd, "checkpoint", old, nil},
		{dataset.BuildCreate, "built named", nil, nil},
	} {
		t.Run(string(test.mode)+" "+test.step, func(t *testing.T) {
			library := t.TempDir()
			path := filepath.Join(library, "a")
			if test.mode != dataset.BuildCreate {
				ds, err := dataset.Build(t.Context(), path, Shot{}, dataset.Info{}, shots{items: 3, per: 1}, nil)
				if err == nil {
					err = ds.SetKeyPointTemplates(t.Context(), []features.KeyPointTemplate{pose("old", "beak")})
				}
				if err != nil {
					t.Fatal(err)
				}
				ds.Close()
			}
			child := exec.Command(os.Args[0], "-test.run=^TestBuildCrashed$")
			child.Env = append(os.Environ(), fmt.Sprintf("%s=%s,%s,%s", buildCrashVariable, test.mode, test.step, path))
			if out, err := child.CombinedOutput(); err == nil || bytes.Contains(out, []byte("FAIL")) {
				t.Fatalf("the child did not die: %v\n%s", err, out)
			}
			if test.want == nil {
				if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("something is there: %v", err)
				}
			} else if test.now == nil || maps.Equal(test.now, old) {
				ds, err := dataset.OpenTables(t.Context(), path, &dataset.Options{ReadOnly: true})
				got := counts(rowsOf(t, ds, err))
				if now := test.now; now == nil {
					now = test.want
					if diff := cmp.Diff(now, got); diff != "" {
						t.Errorf("at once (-want +got):\n%s", diff)
					}
				}
			}
			// The next build.
			named := test.step == "checkpoint" || test.step == "flushed" || strings.HasSuffix(test.step, " named")
			opts := &dataset.BuildOptions{Mode: dataset.BuildAdd}
			next := dataset.Builder(shots{per: 1})
			want := test.want
			if want == nil {
				opts.Mode, want = dataset.BuildCreate, map[string]int{}
			}
			if named {
				opts.Resume, next = "mine", shots{ids: "new-", items: 12, per: 1, boxes: 2}
				want = fresh
				if test.mode == dataset.BuildAdd {
					want = both
				}
			}
			ds, err := dataset.Build(t.Context(), path, Shot{}, dataset.Info{}, next, opts)
			if err == nil && !named {
				var poses []features.KeyPointTemplate
				if test.mode != dataset.BuildCreate {
					poses = append(poses, pose("old", "beak"))
				}
				if test.want["bboxes"] > 0 {
					poses = append(poses, pose("new", "fin"))
				}
				if test.mode == dataset.BuildCreate && poses != nil {
					poses = append(poses, pose("old", "fin"))
				}
				if diff := cmp.Diff(poses, must(ds.KeyPointTemplates())); diff != "" {
					t.Errorf("templates (-want +got):\n%s", diff)
				}
			}
			if diff := cmp.Diff(want, counts(rowsOf(t, ds, err))); diff != "" {
				t.Errorf("after the next build (-want +got):\n%s", diff)
			}
			// One more, beside it and in it, finds nothing left.
			ds, err = dataset.Build(t.Context(), path+"b", Shot{}, dataset.Info{}, shots{per: 1}, nil)
			rowsOf(t, ds, err)
			for _, dir := range []string{library, path} {
				for _, pattern := range []string{"staging/tmp-*", "staging/mine", "builds"} {
					if left := must(filepath.Glob(filepath.Join(dir, ".pixano", pattern))); len(left) > 0 {
						t.Errorf("left: %v", left)
					}
				}
			}
		})
	}
}

// BenchmarkBuild builds a dataset of 240,000 rows in batches of one item and of a thousand.
func BenchmarkBuild(b *testing.B) {
	needEngine(b)
	for _, per := range []int{1, 1000} {
		b.Run(fmt.Sprintf("items=%d", per), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				path := filepath.Join(b.TempDir(), fmt.Sprint(i))
				i++
				ds, err := dataset.Build(b.Context(), path, Shot{}, dataset.Info{}, shots{items: 20_000, per: per, boxes: 5},
					&dataset.BuildOptions{Checks: dataset.Checks{Mode: dataset.CheckNone}})
				if err != nil {
					b.Fatal(err)
				}
				ds.Close()
			}
			b.ReportMetric(float64(240_000*b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
