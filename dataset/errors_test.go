package dataset_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"pixano/dataset"
)

// copyGolden copies a golden dataset to a directory that the test may damage.
func copyGolden(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(goldenDir, name))); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func remove(t testing.TB, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

// wantError checks the kind of an error, and that its text holds each part.
func wantError(t *testing.T, err error, kind error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Error("got no error")
		return
	}
	if kind != nil && !errors.Is(err, kind) {
		t.Errorf("got %v, which is no %v", err, kind)
	}
	if _, ok := errors.AsType[*dataset.Error](err); !ok {
		t.Errorf("%v is no *dataset.Error", err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got %q, want it to say %q", err, part)
		}
	}
	if strings.Contains(err.Error(), ".rs:") {
		t.Errorf("%q names the engine's source", err)
	}
}

func TestOpenErrors(t *testing.T) {
	needEngine(t)
	tests := []struct {
		name   string
		damage func(t *testing.T, dir string)
		kind   error
		parts  []string
	}{
		{"no directory", func(t *testing.T, dir string) { remove(t, dir) }, dataset.ErrNotFound, []string{"no such directory"}},
		{"a file", func(t *testing.T, dir string) { remove(t, dir); write(t, dir, "x") }, dataset.ErrNotFound, []string{"not a directory"}},
		{"no info.json", func(t *testing.T, dir string) { remove(t, dir+"/info.json") }, dataset.ErrNotFound, []string{"not a dataset", "info.json"}},
		{"info.json is a directory", func(t *testing.T, dir string) {
			remove(t, dir+"/info.json")
			if err := os.Mkdir(dir+"/info.json", 0o755); err != nil {
				t.Fatal(err)
			}
		}, nil, []string{"info.json: is a directory"}},
		{"info.json is cut", func(t *testing.T, dir string) { write(t, dir+"/info.json", "{\n\"id\": \"a\",\n\"name") }, dataset.ErrSchema, []string{"info.json: line 3: not JSON"}},
		{"info.json is a list", func(t *testing.T, dir string) { write(t, dir+"/info.json", "[]") }, dataset.ErrSchema, []string{"info.json: line 1: the file is a JSON array"}},
		{"id of another type", func(t *testing.T, dir string) { write(t, dir+"/info.json", `{"id": 1}`) }, dataset.ErrSchema, []string{"info.json", "id is a JSON number: want a string"}},
		{"name is null", func(t *testing.T, dir string) { write(t, dir+"/info.json", `{"name": null}`) }, dataset.ErrSchema, []string{"info.json: name is null"}},
		{"id with a space", func(t *testing.T, dir string) { write(t, dir+"/info.json", `{"id": "a b"}`) }, dataset.ErrSchema, []string{`info.json: id "a b" has a space`}},
		{"workspace", func(t *testing.T, dir string) { write(t, dir+"/info.json", `{"workspace": "Image"}`) }, dataset.ErrSchema, []string{`info.json: workspace "Image": want one of image, video`}},
		{"no schema.json", func(t *testing.T, dir string) { remove(t, dir+"/schema.json") }, dataset.ErrNotFound, []string{"no schema.json"}},
		{"schema.json is cut", func(t *testing.T, dir string) { write(t, dir+"/schema.json", `{"schemas": {"a"`) }, dataset.ErrSchema, []string{"schema.json"}},
		{"schemas is a list", func(t *testing.T, dir string) { write(t, dir+"/schema.json", `{"schemas": []}`) }, dataset.ErrSchema, []string{"schema.json", "schemas"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := copyGolden(t, "vqa")
			test.damage(t, dir)
			ds, err := dataset.Open(t.Context(), dir, nil)
			if err == nil {
				ds.Close()
			}
			wantError(t, err, test.kind, append(test.parts, "open "+dir+": ")...)
			if test.kind == dataset.ErrNotFound && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%v is no fs.ErrNotExist", err)
			}
		})
	}
}

func TestOpenRefusesRecordLayout(t *testing.T) {
	needEngine(t)
	_, err := dataset.Open(t.Context(), filepath.Join(goldenDir, "record_image"), nil)
	wantError(t, err, dataset.ErrUnsupported, "record layout of Pixano 0.7 and 0.8", "item layout of Pixano 0.6")

	dir := copyGolden(t, "vqa")
	remove(t, dir+"/schema.json")
	write(t, dir+"/info.json", `{"id": "x", "spec_version": "1.0"}`)
	if _, layout, err := dataset.ReadInfo(dir); err != nil || layout != dataset.RecordLayout {
		t.Errorf("got layout %q (%v), want %q", layout, err, dataset.RecordLayout)
	}
}

// TestUnknownKeys: readers ignore what they do not know, and all keys of info.json are optional.
func TestUnknownKeys(t *testing.T) {
	needEngine(t)
	dir := copyGolden(t, "vqa")
	write(t, dir+"/info.json", `{"future": {"a": 1}}`)
	ds, err := dataset.Open(t.Context(), dir, &dataset.Options{MediaDir: "elsewhere"})
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	if want := (dataset.Info{Size: "Unknown", Workspace: "undefined"}); ds.Info() != want {
		t.Errorf("got %+v, want %+v", ds.Info(), want)
	}
	if ds.MediaDir() != "elsewhere" {
		t.Errorf("media directory is %s", ds.MediaDir())
	}
}

// read reads a whole table and returns its first error.
func read(ctx context.Context, ds *dataset.Dataset, table string, q dataset.Query) (rows int, err error) {
	for _, err := range ds.Rows(ctx, table, q) {
		if err != nil {
			return rows, err
		}
		rows++
	}
	return rows, nil
}

func TestMissingTable(t *testing.T) {
	needEngine(t)
	dir := copyGolden(t, "vqa")
	remove(t, dir+"/db/image.lance")
	remove(t, dir+"/db/item.lance/_versions")
	ds, err := dataset.Open(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	_, err = read(t.Context(), ds, "image", dataset.Query{})
	wantError(t, err, dataset.ErrNotFound, "read image: the dataset declares the table but has no db/image.lance")
	_, err = ds.Count(t.Context(), "item", dataset.Query{})
	wantError(t, err, dataset.ErrCorrupt, "count item: db/item.lance holds no readable version")
	_, err = ds.Columns(t.Context(), "nope")
	wantError(t, err, dataset.ErrNotFound, "columns of nope: no such table: want one of item, image")
	if n, err := read(t.Context(), ds, "messages", dataset.Query{}); n != 24 || err != nil {
		t.Errorf("another table: %d rows (%v), want 24", n, err)
	}
}

// TestCutFiles cuts every file of a table at several places. Whatever is cut, reading gives an error that names the
// table, or all rows if the newest version does without the file.
func TestCutFiles(t *testing.T) {
	needEngine(t)
	const table, wantRows = "bboxes", 37
	const set = "video_tracking" // its boxes have several versions and fragments, and a deletion file
	root := filepath.Join(goldenDir, set, "db", table+".lance")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(filepath.Join(goldenDir, set), path)
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n := len(content)
		for _, size := range []int{0, n / 2, n - 1} {
			t.Run(fmt.Sprintf("%s to %d of %d", rel, size, n), func(t *testing.T) {
				dir := copyGolden(t, set)
				write(t, filepath.Join(dir, rel), string(content[:size]))
				ds, err := dataset.Open(t.Context(), dir, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer ds.Close()
				rows, err := read(t.Context(), ds, table, dataset.Query{})
				switch {
				case err != nil:
					wantError(t, err, dataset.ErrCorrupt, "read "+table+": ", filepath.Base(rel))
				case rows != wantRows:
					t.Errorf("%d rows came from a table of which %s is cut, want %d", rows, rel, wantRows)
				case filepath.Base(filepath.Dir(rel)) == "data":
					t.Errorf("%s is cut, but its rows came", rel)
				}
			})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestNewerStorage opens tables of a storage version that the engine does not know: by its manifest, and by a data file.
func TestNewerStorage(t *testing.T) {
	needEngine(t)
	dir := copyGolden(t, "image_detection")
	patch := func(pattern string, change func([]byte)) {
		files, err := filepath.Glob(filepath.Join(dir, "db", pattern))
		if err != nil || len(files) != 1 {
			t.Fatalf("%s names %d files (%v)", pattern, len(files), err)
		}
		content, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		change(content)
		write(t, files[0], string(content))
	}
	patch("bboxes.lance/_versions/*.manifest", func(b []byte) { copy(b[bytes.Index(b, []byte("\x032.0")):], "\x039.9") })
	patch("masks.lance/data/*.lance", func(b []byte) { copy(b[len(b)-8:], "\x09\x00\x09\x00") }) // major and minor before the magic
	ds, err := dataset.Open(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	for _, table := range []string{"bboxes", "masks"} {
		_, err := read(t.Context(), ds, table, dataset.Query{})
		wantError(t, err, dataset.ErrUnsupported, "read "+table+": ", "9.9")
	}
}

func TestQueryErrors(t *testing.T) {
	needEngine(t)
	ds, err := dataset.Open(t.Context(), filepath.Join(goldenDir, "image_detection"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	tests := []struct {
		q     dataset.Query
		parts []string
	}{
		{dataset.Query{Where: "nope = 1"}, []string{`where: at 0: no column "nope": want one of id, created_at`}},
		{dataset.Query{Where: "difficulty = 'x'"}, []string{"difficulty"}},
		{dataset.Query{Where: "reviewed > 3"}, []string{"reviewed"}},
		{dataset.Query{Where: "difficulty"}, []string{"boolean"}},
		{dataset.Query{Where: "nofunction(split) = 1"}, []string{"nofunction"}},
		{dataset.Query{Where: "split ="}, []string{"where"}},
		{dataset.Query{Where: "split = ?"}, []string{"question marks"}},
		{dataset.Query{OrderBy: "nope"}, []string{`order_by: no column "nope"`}},
		{dataset.Query{OrderBy: "tags"}, []string{`order_by: column "tags"`}},
		{dataset.Query{Limit: -1}, []string{"limit: -1: want 0 or more"}},
		{dataset.Query{Offset: -1}, []string{"offset: -1: want 0 or more"}},
	}
	for _, test := range tests {
		_, err := read(t.Context(), ds, "item", test.q)
		wantError(t, err, dataset.ErrQuery, append(test.parts, "read item: ")...)
	}
	for _, test := range tests[:5] {
		_, err := ds.Count(t.Context(), "item", test.q)
		wantError(t, err, dataset.ErrQuery, append(test.parts, "count item: ")...)
	}
}

func TestEmptyListsSelectNothing(t *testing.T) {
	needEngine(t)
	ds, err := dataset.Open(t.Context(), filepath.Join(goldenDir, "image_detection"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	for _, q := range []dataset.Query{{IDs: []string{}}, {ItemIDs: []string{}}, {IDs: []string{"box_003_0"}, ItemIDs: []string{}}} {
		if rows, err := read(t.Context(), ds, "bboxes", q); rows != 0 || err != nil {
			t.Errorf("%+v: %d rows (%v), want none", q, rows, err)
		}
		if n, err := ds.Count(t.Context(), "bboxes", q); n != 0 || err != nil {
			t.Errorf("%+v: counted %d (%v), want none", q, n, err)
		}
	}
	q := dataset.Query{IDs: []string{"box_003_0", "box_003_1", "box_007_0"}, ItemIDs: []string{"item_003"}, Where: "confidence > ? OR confidence <= ?", Args: []any{0.5, 0.5}}
	if n, err := ds.Count(t.Context(), "bboxes", q); n != 2 || err != nil {
		t.Errorf("conditions together: counted %d (%v), want 2", n, err)
	}
}

func TestClosedAndCancelled(t *testing.T) {
	needEngine(t)
	ds, err := dataset.Open(t.Context(), filepath.Join(goldenDir, "image_detection"), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = read(ctx, ds, "item", dataset.Query{})
	wantError(t, err, context.Canceled, "read item: ")

	for range 2 { // leaving a loop ends the read; ranging again reads again
		for _, err := range ds.Rows(t.Context(), "item", dataset.Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	for range 2 {
		if err := ds.Close(); err != nil {
			t.Error(err)
		}
	}
	_, err = read(t.Context(), ds, "item", dataset.Query{})
	wantError(t, err, dataset.ErrClosed, "read item: closed")
	if !errors.Is(err, fs.ErrClosed) {
		t.Errorf("%v is no fs.ErrClosed", err)
	}
}

// TestConcurrentReads reads from many goroutines, also while the dataset is closed: each call gives its rows or ErrClosed.
func TestConcurrentReads(t *testing.T) {
	needEngine(t)
	ds, err := dataset.Open(t.Context(), filepath.Join(goldenDir, "image_detection"), nil)
	if err != nil {
		t.Fatal(err)
	}
	reads := []func() error{
		func() error {
			n, err := read(t.Context(), ds, "bboxes", dataset.Query{Where: "confidence > ?", Args: []any{0.5}})
			if err == nil && n != 15 {
				err = fmt.Errorf("%d boxes, want 15", n)
			}
			return err
		},
		func() error {
			n, err := ds.Count(t.Context(), "item", dataset.Query{})
			if err == nil && n != 24 {
				err = fmt.Errorf("%d items, want 24", n)
			}
			return err
		},
	}
	var group sync.WaitGroup
	for range 3 {
		for _, one := range reads {
			group.Go(func() {
				for {
					if err := one(); errors.Is(err, dataset.ErrClosed) {
						return
					} else if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	time.Sleep(100 * time.Millisecond)
	if err := ds.Close(); err != nil {
		t.Error(err)
	}
	group.Wait()
}

// TestQueryJSON: a query travels as JSON, and an empty list stays different from none.
func TestQueryJSON(t *testing.T) {
	for _, test := range []struct {
		query dataset.Query
		want  string
	}{
		{dataset.Query{}, `{}`},
		{dataset.Query{IDs: []string{}}, `{"ids":[]}`},
		{dataset.Query{ItemIDs: []string{"a"}, Where: "x = ?", Args: []any{"b"}, OrderBy: "x desc", Limit: 1, Offset: 2},
			`{"item_ids":["a"],"where":"x = ?","args":["b"],"order_by":"x desc","limit":1,"offset":2}`},
	} {
		got, err := json.Marshal(test.query)
		if err != nil || string(got) != test.want {
			t.Errorf("got %s (%v), want %s", got, err, test.want)
		}
		var back dataset.Query
		if err := json.Unmarshal(got, &back); err != nil || !reflect.DeepEqual(back, test.query) {
			t.Errorf("%s came back as %+v (%v)", got, back, err)
		}
	}
}

func TestLibrary(t *testing.T) {
	needEngine(t)
	library := t.TempDir()
	for _, name := range []string{"vqa", "record_image", "multiview_text"} {
		if err := os.CopyFS(filepath.Join(library, name), os.DirFS(filepath.Join(goldenDir, name))); err != nil {
			t.Fatal(err)
		}
	}
	remove(t, filepath.Join(library, "multiview_text", "schema.json"))
	if err := os.Mkdir(filepath.Join(library, "notes"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(library, "file"), "")

	l, err := dataset.OpenLibrary(library)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := l.Datasets(t.Context())
	if err != nil || len(entries) != 3 {
		t.Fatalf("got %d datasets (%v), want 3", len(entries), err)
	}
	wantError(t, entries[0].Err, dataset.ErrNotFound, "multiview_text: not a dataset: no schema.json")
	for i, want := range map[int]dataset.Entry{1: {Layout: dataset.RecordLayout, Items: 6}, 2: {Layout: dataset.ItemLayout, Items: 7}} {
		if e := entries[i]; e.Err != nil || e.Layout != want.Layout || e.Items != want.Items || e.Info.ID == "" {
			t.Errorf("entry %d: got %+v, want %+v", i, e, want)
		}
	}
	_, err = dataset.OpenLibrary(filepath.Join(library, "nope"))
	wantError(t, err, dataset.ErrNotFound, "open library", "no such directory")
	_, err = dataset.OpenLibrary(filepath.Join(library, "file"))
	wantError(t, err, dataset.ErrNotFound, "not a directory")
}
