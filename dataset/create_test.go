package dataset_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/internal/lance"
	"pixano/schema"
)

// Shot is the aggregate of the datasets that tests make.
type Shot struct {
	schema.Item
	Difficulty int64
	Image      schema.Image
	Objects    []Thing
	BBoxes     []schema.BBox          `pixano:"bboxes"`
	Vectors    []schema.ViewEmbedding `pixano:",dim=4"`
}

// Thing is an entity class of its own.
type Thing struct {
	schema.Entity
	Category string
	Rank     int64
	Weight   float64
	Hidden   bool
	Tags     []string
}

// newDataset makes a dataset of shots that is closed when the test ends.
func newDataset(t *testing.T, path string, info dataset.Info, opts *dataset.Options) *dataset.Dataset {
	t.Helper()
	needEngine(t)
	ds, err := dataset.Create(t.Context(), path, Shot{}, info, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ds.Close() })
	return ds
}

// files lists the files below a directory with their content.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	list := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		relative, _ := filepath.Rel(dir, path)
		list[filepath.ToSlash(relative)] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// dirNames lists a directory without what stays of stages: an empty folder and its lock.
func dirNames(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		if e.Name() != ".pixano" {
			names = append(names, e.Name())
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".pixano", "staging", "tmp-*")); len(left) > 0 {
		t.Errorf("stages are left: %v", left)
	}
	return names
}

func TestCreate(t *testing.T) {
	library := t.TempDir()
	path := filepath.Join(library, "shots")
	ds := newDataset(t, path, dataset.Info{Description: "été <b> 😀"}, nil)

	info := ds.Info()
	if len(info.ID) != 22 {
		t.Errorf("got id %q, want a short UUID", info.ID)
	}
	want := dataset.Info{ID: info.ID, Name: "shots", Description: "été <b> 😀", Size: "Unknown", Workspace: "undefined"}
	if diff := cmp.Diff(want, info); diff != "" {
		t.Errorf("info (-want +got):\n%s", diff)
	}
	got := files(t, path)
	wantInfo := strings.ReplaceAll(`{
    "id": "ID",
    "name": "shots",
    "description": "\u00e9t\u00e9 <b> \ud83d\ude00",
    "size": "Unknown",
    "preview": "",
    "workspace": "undefined"
}`, "ID", info.ID)
	if diff := cmp.Diff(wantInfo, got["info.json"]); diff != "" {
		t.Errorf("info.json (-want +got):\n%s", diff)
	}
	const wantConstraints = `{
    "item": {},
    "views": {},
    "entities": {},
    "annotations": {}
}`
	if diff := cmp.Diff(wantConstraints, got["features_values.json"]); diff != "" {
		t.Errorf("features_values.json (-want +got):\n%s", diff)
	}
	s, err := dataset.SchemaOf(&Shot{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(s.Encode()), got["schema.json"]); diff != "" {
		t.Errorf("schema.json (-want +got):\n%s", diff)
	}
	for name := range got {
		if !strings.HasPrefix(name, "db/") && !slices.Contains([]string{"info.json", "features_values.json", "schema.json"}, name) {
			t.Errorf("%s should not be there", name)
		}
	}
	for _, table := range append(s.Tables(), schema.SourceTable) {
		if n, err := ds.Count(t.Context(), table, dataset.Query{}); n != 0 || err != nil {
			t.Errorf("table %s: %d rows (%v), want none", table, n, err)
		}
		columns, err := ds.Columns(t.Context(), table)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range columns.Fields() {
			if mark, _ := f.Metadata.GetValue("lance-schema:unenforced-primary-key"); (mark == "true") != (f.Name == "id") {
				t.Errorf("%s.%s: marked as key: %q", table, f.Name, mark)
			}
		}
	}
	if diff := cmp.Diff([]string{"shots"}, dirNames(t, library)); diff != "" {
		t.Errorf("the library (-want +got):\n%s", diff)
	}
}

// TestCreateLikeGolden makes datasets with the schemas of those that the reference implementation wrote: files and tables
// come out the same.
func TestCreateLikeGolden(t *testing.T) {
	needEngine(t)
	for _, name := range []string{"image_detection", "multiview_text", "video_tracking", "vqa"} {
		t.Run(name, func(t *testing.T) {
			from, err := dataset.Open(t.Context(), filepath.Join(goldenDir, name), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer from.Close()
			path := filepath.Join(t.TempDir(), "copy")
			ds, err := dataset.Create(t.Context(), path, from.Schema(), from.Info(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer ds.Close()
			if diff := cmp.Diff(files(t, from.Path())["info.json"], files(t, path)["info.json"]); diff != "" {
				t.Errorf("info.json (-want +got):\n%s", diff)
			}
			if !ds.Schema().Equal(from.Schema()) {
				t.Error("the schema is another")
			}
			if diff := cmp.Diff(from.Tables(), ds.Tables()); diff != "" {
				t.Errorf("tables (-want +got):\n%s", diff)
			}
			for _, table := range from.Tables() {
				want, err := from.Columns(t.Context(), table.Name)
				if err != nil {
					t.Fatal(err)
				}
				got, err := ds.Columns(t.Context(), table.Name)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(describe(want.Fields()), describe(got.Fields())); diff != "" {
					t.Errorf("%s (-want +got):\n%s", table.Name, diff)
				}
			}
		})
	}
}

func TestCreateStorageVersions(t *testing.T) {
	for _, version := range []string{"", "2.0", "2.1", "2.2"} {
		t.Run(version, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ds")
			newDataset(t, path, dataset.Info{}, &dataset.Options{StorageVersion: version})
			conn, err := lance.Connect(t.Context(), filepath.Join(path, "db"), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			names, err := conn.TableNames(t.Context())
			if diff := cmp.Diff([]string{"bboxes", "image", "item", "objects", "source", "vectors"}, names); diff != "" || err != nil {
				t.Errorf("tables (%v, -want +got):\n%s", err, diff)
			}
			table, err := conn.OpenTable(t.Context(), "objects", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer table.Close()
			info, err := table.Info(t.Context(), false)
			if err != nil {
				t.Fatal(err)
			}
			want := version
			if want == "" {
				want = "2.0"
			}
			if info.StorageVersion != want || info.V2Manifests {
				t.Errorf("got storage version %s, new manifest names %v, want %s, false", info.StorageVersion, info.V2Manifests, want)
			}
			if diff := cmp.Diff([]string{"id"}, info.PrimaryKey); diff != "" {
				t.Errorf("key (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCreateErrors(t *testing.T) {
	needEngine(t)
	long, err := schema.NewDatasetSchema(must(schema.ClassOf(schema.Item{})))
	if err != nil {
		t.Fatal(err)
	}
	// In a deep directory the path of this table is too long, and those before it have been made by then.
	if err := long.Add(strings.Repeat("x", 120), must(schema.ClassOf(schema.Image{})), schema.OneToOne); err != nil {
		t.Fatal(err)
	}
	open := struct { // its vectors have no length
		schema.Item
		Vectors []schema.ViewEmbedding
	}{}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name   string
		before func(t *testing.T, dir string)
		ctx    context.Context
		deep   int // bytes of the directory's path
		tables any
		info   dataset.Info
		opts   *dataset.Options
		kind   error
		parts  []string
	}{
		{name: "a table that the engine cannot make", tables: long, deep: 3880, parts: []string{"xxx: "}},
		{name: "vectors without a length", tables: open, kind: dataset.ErrSchema, parts: []string{"Vectors"}},
		{name: "no aggregate", tables: 3, kind: dataset.ErrSchema},
		{name: "nil", tables: nil, kind: dataset.ErrSchema},
		{name: "nil schema", tables: (*schema.DatasetSchema)(nil), kind: dataset.ErrSchema},
		{name: "id with a space", tables: Shot{}, info: dataset.Info{ID: "a b"}, kind: dataset.ErrSchema, parts: []string{`info.json: id "a b" has a space`}},
		{name: "workspace", tables: Shot{}, info: dataset.Info{Workspace: "Image"}, kind: dataset.ErrSchema, parts: []string{`workspace "Image"`}},
		{name: "not UTF-8", tables: Shot{}, info: dataset.Info{Description: "\xff"}, kind: dataset.ErrSchema, parts: []string{"description"}},
		{name: "storage version", tables: Shot{}, opts: &dataset.Options{StorageVersion: "9.9"}, kind: dataset.ErrUnsupported, parts: []string{`"9.9": want one of 2.0`}},
		{name: "media root", tables: Shot{}, opts: &dataset.Options{MediaRoots: map[string]string{"a/b": "x"}}, kind: dataset.ErrSchema, parts: []string{`media root "a/b"`}},
		{name: "read only", tables: Shot{}, opts: &dataset.Options{ReadOnly: true}, kind: dataset.ErrReadOnly},
		{name: "cancelled", tables: Shot{}, ctx: cancelled, kind: context.Canceled},
		{name: "a file in the place of the stage", tables: Shot{}, parts: []string{".pixano/staging: not a directory"},
			before: func(t *testing.T, dir string) { write(t, filepath.Join(dir, ".pixano"), "") }},
		{name: "a directory that cannot be written", tables: Shot{}, kind: fs.ErrPermission,
			before: func(t *testing.T, dir string) {
				if os.Geteuid() == 0 {
					t.Skip("root may write everywhere")
				}
				t.Cleanup(func() { os.Chmod(dir, 0o755) })
				if err := os.Chmod(dir, 0o555); err != nil {
					t.Fatal(err)
				}
			}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for len(dir) < test.deep {
				dir = filepath.Join(dir, strings.Repeat("d", min(200, test.deep-len(dir))))
			}
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if test.before != nil {
				test.before(t, dir)
			}
			if test.ctx == nil {
				test.ctx = t.Context()
			}
			path := filepath.Join(dir, "ds")
			ds, err := dataset.Create(test.ctx, path, test.tables, test.info, test.opts)
			if err == nil {
				ds.Close()
			}
			wantError(t, err, test.kind, append(test.parts, "create "+path)...)
			if names := dirNames(t, dir); len(names) > 0 {
				t.Errorf("%v is left", names)
			}
		})
	}
	missing := filepath.Join(t.TempDir(), "no", "ds")
	_, err = dataset.Create(t.Context(), missing, Shot{}, dataset.Info{}, nil)
	wantError(t, err, dataset.ErrNotFound, "no directory ")
	if _, err := os.Stat(filepath.Dir(missing)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the parent: %v", err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestCreateWhereSomethingIs: only nothing and an empty directory make room, and what is there stays.
func TestCreateWhereSomethingIs(t *testing.T) {
	needEngine(t)
	dir := t.TempDir()
	mkdir := func(name string) {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mkdir("empty")
	mkdir("full/media")
	mkdir("dataset")
	write(t, filepath.Join(dir, "dataset/info.json"), "{}")
	write(t, filepath.Join(dir, "file"), "x")
	if err := os.Symlink("empty", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	before := files(t, dir)
	for name, part := range map[string]string{
		"full": "not empty", "dataset": "there is a dataset already", "file": "there is a file of this name", "link": "there is a file of this name",
	} {
		_, err := dataset.Create(t.Context(), filepath.Join(dir, name), Shot{}, dataset.Info{}, nil)
		wantError(t, err, dataset.ErrExists, part)
	}
	if diff := cmp.Diff(before, files(t, dir)); diff != "" {
		t.Errorf("something was changed (-want +got):\n%s", diff)
	}
	newDataset(t, filepath.Join(dir, "empty"), dataset.Info{}, nil)
}

// TestCreateTogether: of those who create the same dataset at the same time, one does.
func TestCreateTogether(t *testing.T) {
	needEngine(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "ds")
	var group sync.WaitGroup
	var mu sync.Mutex
	var ids []string
	for range 4 {
		group.Go(func() {
			ds, err := dataset.Create(t.Context(), path, Shot{}, dataset.Info{}, nil)
			if err != nil {
				wantError(t, err, dataset.ErrExists, "there is a dataset already")
				return
			}
			defer ds.Close()
			mu.Lock()
			defer mu.Unlock()
			ids = append(ids, ds.Info().ID)
		})
	}
	group.Wait()
	info, _, err := dataset.ReadInfo(path)
	if diff := cmp.Diff([]string{info.ID}, ids); diff != "" || err != nil {
		t.Errorf("who made it (%v, -there +told so):\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{"ds"}, dirNames(t, dir)); diff != "" {
		t.Errorf("the directory (-want +got):\n%s", diff)
	}
}

func TestSetInfo(t *testing.T) {
	needEngine(t)
	dir := copyGolden(t, "image_detection")
	ds, err := dataset.Open(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	before := files(t, dir)["info.json"]
	if err := ds.SetInfo(t.Context(), ds.Info()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, files(t, dir)["info.json"]); diff != "" {
		t.Errorf("rewritten as it was (-want +got):\n%s", diff)
	}

	write(t, dir+"/info.json", `{"later": {"b": 1.0, "a": [1, "é"]}, "name": "x", "id": "i"}`)
	if err := ds.SetInfo(t.Context(), dataset.Info{Name: "n", Workspace: "video"}); err != nil {
		t.Fatal(err)
	}
	const want = `{
    "later": {
        "b": 1.0,
        "a": [
            1,
            "\u00e9"
        ]
    },
    "name": "n",
    "id": "golden_image_detection",
    "description": "",
    "size": "Unknown",
    "preview": "",
    "workspace": "video"
}`
	if diff := cmp.Diff(want, files(t, dir)["info.json"]); diff != "" {
		t.Errorf("unknown keys (-want +got):\n%s", diff)
	}
	again, _, err := dataset.ReadInfo(dir)
	if diff := cmp.Diff(again, ds.Info()); diff != "" || err != nil {
		t.Errorf("the handle (%v, -file +handle):\n%s", err, diff)
	}

	for _, info := range []dataset.Info{{ID: "a b"}, {Workspace: "nope"}, {Name: "\xff"}} {
		wantError(t, ds.SetInfo(t.Context(), info), dataset.ErrSchema, "set info: info.json: ")
	}
	if diff := cmp.Diff(want, files(t, dir)["info.json"]); diff != "" {
		t.Errorf("after refusals (-want +got):\n%s", diff)
	}
	// A file that cannot be understood is not replaced: it may hold more than is known here.
	write(t, dir+"/info.json", `{"name": `)
	wantError(t, ds.SetInfo(t.Context(), dataset.Info{}), dataset.ErrSchema, "info.json: line 1: not JSON")
}

func TestReadOnlyRefusesChanges(t *testing.T) {
	needEngine(t)
	dir := copyGolden(t, "image_detection")
	before := files(t, dir)
	ds, err := dataset.Open(t.Context(), dir, &dataset.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	record, err := dataset.OpenTables(t.Context(), filepath.Join(goldenDir, "record_image"), nil)
	if err != nil {
		t.Fatal(err)
	}
	closed, err := dataset.Open(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	ctx := t.Context()
	for _, test := range []struct {
		ds   *dataset.Dataset
		want error
	}{{ds, dataset.ErrReadOnly}, {record, dataset.ErrReadOnly}, {closed, dataset.ErrClosed}} {
		wantError(t, test.ds.SetInfo(ctx, dataset.Info{}), test.want, "set info")
		wantError(t, test.ds.CreateTable(ctx, "new", schema.Image{}, schema.ManyToOne), test.want, "create table new")
		wantError(t, test.ds.DropTable(ctx, "image"), test.want, "drop table image")
		wantError(t, test.ds.RemoveConstraint(ctx, "objects", "rank"), test.want, "objects")
		wantError(t, test.ds.SaveStatistic(ctx, dataset.Statistic{Name: "x"}), test.want, "save statistic")
		wantError(t, test.ds.SavePreview(ctx), test.want, "save preview")
	}
	wantError(t, ds.SetConstraint(ctx, "objects", dataset.Constraint{Name: "rank"}), dataset.ErrReadOnly, "objects")
	ds.Close()
	record.Close()
	if diff := cmp.Diff(before, files(t, dir)); diff != "" {
		t.Errorf("something was written (-want +got):\n%s", diff)
	}
}

// TestTablesOfGo reads back a schema that was written, without the Go types of its rows.
func TestTablesOfGo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ds")
	ds := newDataset(t, path, dataset.Info{}, nil)
	raw, err := json.Marshal(ds.Tables())
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"Name":"item","Group":"item","Schema":"Item","BaseSchema":"Item"},` +
		`{"Name":"image","Group":"views","Schema":"Image","BaseSchema":"Image"},` +
		`{"Name":"objects","Group":"entities","Schema":"Thing","BaseSchema":"Entity"},` +
		`{"Name":"bboxes","Group":"annotations","Schema":"BBox","BaseSchema":"BBox"},` +
		`{"Name":"vectors","Group":"embeddings","Schema":"ViewEmbedding","BaseSchema":"ViewEmbedding"},` +
		`{"Name":"source","Group":"source","Schema":"Source","BaseSchema":"Source"}]`
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Errorf("tables (-want +got):\n%s", diff)
	}
}

func ExampleCreate() {
	type Car struct {
		schema.Entity
		Colour string
	}
	type Street struct {
		schema.Item
		Image schema.Image
		Cars  []Car
		Boxes []schema.BBox
	}
	library, err := os.MkdirTemp("", "library")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(library)
	ds, err := dataset.Create(context.Background(), filepath.Join(library, "streets"), Street{}, dataset.Info{Workspace: "image"}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ds.Close()
	fmt.Println(ds.Info().Name)
	for _, table := range ds.Tables() {
		fmt.Println(table.Group, table.Name, table.Schema)
	}
	// Output:
	// streets
	// item item Item
	// views image Image
	// entities cars Car
	// annotations boxes BBox
	// source source Source
}
