package dataset

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pixano/features"
	"pixano/internal/lance"
	"pixano/schema"
)

// yard is a dataset with every fault that rows can have.
type yard struct {
	schema.Item
	Image   schema.Image
	Objects []schema.NamedEntity
	BBoxes  []schema.BBox `pixano:"bboxes"`
	Masks   []schema.CompressedRLE
}

func newYard(t *testing.T) *Dataset {
	t.Helper()
	ds, err := Create(t.Context(), filepath.Join(t.TempDir(), "yard"), yard{}, Info{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ds.Close() })
	now := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	item := func(id string) schema.Item {
		return schema.Item{ID: id, CreatedAt: now, UpdatedAt: now, Split: "train"}
	}
	store(t, ds, "item", []schema.Item{item("a"), item("b"), item("c"), item("c")})
	image := func(id, of, url string) schema.Image {
		return schema.Image{View: schema.View{ID: id, CreatedAt: now, UpdatedAt: now, ItemRef: features.Item(of)}, URL: url, Width: 100, Height: 50, Format: "PNG"}
	}
	store(t, ds, "image", []schema.Image{image("va", "a", "a.png"), image("vb", "b", "b.png"), image("vc", "c", "http://nowhere/c.png"),
		image("", "a", ""), image("", "b", "a.png"), image("out", "a", "../../secret")})
	object := func(id, of, view string) schema.NamedEntity {
		return schema.NamedEntity{Entity: schema.Entity{ID: id, CreatedAt: now, UpdatedAt: now, ItemRef: features.Item(of), ViewRef: features.View("image", view)}, Name: id}
	}
	older := object("twin", "b", "vb")
	older.Name, older.UpdatedAt = "older", now.Add(-time.Hour)
	older.CreatedAt = older.UpdatedAt
	store(t, ds, "objects", []schema.NamedEntity{object("oa", "a", "va"), object("twin", "b", "vb"), older, object("lost", "gone", "va"), object("wrong", "a", "vb")})
	box := func(id, of string, coords ...float64) schema.BBox {
		b := schema.NewBBox(id)
		b.CreatedAt, b.UpdatedAt = now, now
		b.ItemRef, b.ViewRef, b.EntityRef = features.Item(of), features.View("image", "v"+of), features.Entity("objects", "oa")
		b.Coords, b.Format = coords, "xyxy"
		return b
	}
	odd := box("odd", "a", 1, 2, 3, 4)
	odd.ViewRef, odd.EntityRef = features.View("objects", "oa"), features.Entity("objects", "gone")
	nameless := box("nameless", "a", 1, 2, 3, 4)
	nameless.ViewRef = features.View("picture", "x")
	alone := box("alone", "", 1, 2, 3, 4)
	alone.ViewRef, alone.EntityRef = features.ViewRef{}, features.EntityRef{}
	normal := box("normal", "a", 0.5, 0.5, 0.75, 0.25)
	normal.Format, normal.IsNormalized = "xywh", true
	store(t, ds, "bboxes", []schema.BBox{box("in", "a", 0, 0, 100, 50), box("out", "a", 10, 10, 100.5, 20), normal, box("few", "a", 1, 2),
		odd, nameless, alone, box("other", "b", 1, 1, 2, 2)})
	mask := schema.CompressedRLE{Annotation: schema.Annotation{ID: "m", CreatedAt: now, UpdatedAt: now, ItemRef: features.Item("a"), ViewRef: features.View("image", "va")},
		Size: []int64{100, 50}, Counts: []byte("PP5")}
	store(t, ds, "masks", []schema.CompressedRLE{mask})
	media := filepath.Join(ds.Path(), "media")
	if err := os.Mkdir(media, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(media, "a.png"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	return ds
}

// inspected lists findings as texts, sorted.
func inspected(t *testing.T, ds *Dataset, opts *InspectOptions) []string {
	t.Helper()
	var found []string
	for f, err := range ds.Inspect(t.Context(), opts) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, fmt.Sprintf("%s %s: %s", f.Severity, f.Kind, f))
	}
	slices.Sort(found)
	return found
}

func TestInspect(t *testing.T) {
	ds := newYard(t)
	want := []string{
		`error defined_id: image: id: a row has no id`,
		`error defined_id: image: id: a row has no id`,
		// One check at most fails: "odd" refers to a table of another group before its entity is looked for.
		`error ref_type: bboxes "odd": view_ref: table objects is of another group`,
		`error ref_id: objects "lost": item_ref: no row "gone" in table item`,
		`error ref_name: bboxes "nameless": view_ref: no table "picture"`,
		`error unique_id: item "c": id: the id is not unique`,
		`error unique_id: item "c": id: the id is not unique`,
		`error unique_id: objects "twin": id: the id is not unique`,
		`error unique_id: objects "twin": id: the id is not unique`,
		`warning media: image "out": url: leads out of the media directory`,
		`warning media: image "vb": url: no such file`,
		`warning mask_size: masks "m": size: 50 × 100: the image is 100 × 50 wide and high`,
		`warning no_item: bboxes "alone": item_ref: the row belongs to no item`,
		`warning other_item: bboxes "other": entity_ref: objects "oa" belongs to another item than the row, which is of "b"`,
		`warning other_item: objects "lost": view_ref: image "va" belongs to another item than the row, which is of "gone"`,
		`warning other_item: objects "wrong": view_ref: image "vb" belongs to another item than the row, which is of "a"`,
		`warning outside: bboxes "normal": coords: the box [0.5 0.5 0.75 0.25] (xywh) reaches out of the image of 1 × 1`,
		`warning outside: bboxes "out": coords: the box [10 10 100.5 20] (xyxy) reaches out of the image of 100 × 50`,
		`warning value: bboxes "few": coords: [1 2]: want 4 values`,
	}
	slices.Sort(want)
	got := inspected(t, ds, &InspectOptions{Media: true, PythonCompat: true})
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("findings (-want +got):\n%s", d)
	}
	without := slices.DeleteFunc(slices.Clone(want), func(s string) bool { return strings.Contains(s, " media: ") })
	if d := cmp.Diff(without, inspected(t, ds, nil)); d != "" {
		t.Errorf("findings without media (-want +got):\n%s", d)
	}
	n := 0
	for range ds.Inspect(t.Context(), nil) {
		if n++; n == 3 {
			break
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range ds.Inspect(ctx, nil) {
		if err == nil || !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	}
}

// tree reads all files below a directory that matter to a dataset.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == "lock" {
			return err
		}
		text, err := os.ReadFile(path)
		files[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestRepair(t *testing.T) {
	ds := newYard(t)
	ctx := t.Context()
	before := tree(t, ds.Path())
	repair := func(dry bool) []string {
		t.Helper()
		var steps []string
		for s, err := range ds.Repair(ctx, &RepairOptions{DryRun: dry}) {
			if err != nil {
				t.Fatal(err)
			}
			text := s.String()
			if at := strings.LastIndex(text, `id "`); at > 0 && !dry {
				text = text[:at+2] // the ids are random
			}
			if at := strings.LastIndex(text, `own: "`); at > 0 {
				text = text[:at+3]
			}
			steps = append(steps, text)
		}
		slices.Sort(steps)
		return steps
	}
	planned := repair(true)
	want := []string{
		`bboxes "nameless": view_ref: empty the reference to picture "x"`,
		`bboxes "odd": view_ref: empty the reference to objects "oa"`,
		`image: id: give the row an id`,
		`image: id: give the row an id`,
		`item "c": id: keep the newest of 2 rows of the id`,
		`objects "lost": item_ref: delete the row, whose item "gone" is gone`,
		`objects "twin": id: keep the newest of 2 rows of the id`,
		`objects "twin": id: store the older row, which differs, under an id of its own`,
	}
	if d := cmp.Diff(want, planned); d != "" {
		t.Errorf("what would be done (-want +got):\n%s", d)
	}
	if d := cmp.Diff(before, tree(t, ds.Path())); d != "" {
		t.Errorf("a dry run changed files:\n%s", d)
	}
	for i := range want {
		want[i] = strings.Replace(want[i], "give the row an id", "give the row the id", 1)
	}
	want = append(want, `bboxes "odd": entity_ref: empty the reference to objects "gone"`) // found when the other one was done
	slices.Sort(want)
	if d := cmp.Diff(want, repair(false)); d != "" {
		t.Errorf("what was done (-want +got):\n%s", d)
	}
	for v, err := range ds.Check(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		t.Errorf("after the repair: %v", v)
	}
	// Nothing is lost: the older twin is there with its name, and the one that is kept is as it was.
	var objects []schema.NamedEntity
	if err := ds.Get(ctx, "objects", &objects, Query{OrderBy: "name"}); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, o := range objects {
		names = append(names, o.Name)
		if (o.Name == "twin") != (o.ID == "twin") || o.Name == "twin" && o.CreatedAt.Year() != 2024 {
			t.Errorf("%s has the name %s, created %s", o.ID, o.Name, o.CreatedAt)
		}
	}
	if d := cmp.Diff([]string{"oa", "older", "twin", "wrong"}, names); d != "" {
		t.Errorf("objects (-want +got):\n%s", d)
	}
	for table, n := range map[string]int64{"item": 3, "image": 6, "bboxes": 8, "masks": 1} {
		if got, err := ds.Count(ctx, table, Query{}); got != n || err != nil {
			t.Errorf("%s has %d rows (%v), want %d", table, got, err, n)
		}
	}
	if steps := repair(false); len(steps) != 0 {
		t.Errorf("a second repair: %v", steps)
	}
	readOnly, err := Open(ctx, ds.Path(), &Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer readOnly.Close()
	for _, err := range readOnly.Repair(ctx, nil) {
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("read only: %v", err)
		}
	}
}

// TestInspectFiles looks at datasets whose files are not as they should be, and repairs what can be.
func TestInspectFiles(t *testing.T) {
	ctx := t.Context()
	old := time.Now().Add(-2 * time.Hour)
	for _, test := range []struct {
		name   string
		spoil  func(t *testing.T, dir string)
		want   []string // findings with these words
		repair []string // steps
	}{
		{"a table cut off", func(t *testing.T, dir string) { cutFiles(t, filepath.Join(dir, "db/bboxes.lance/data/*.lance")) },
			[]string{"error unreadable: bboxes: "}, nil},
		{"a table without manifests", func(t *testing.T, dir string) {
			if err := os.RemoveAll(filepath.Join(dir, "db/bboxes.lance/_versions")); err != nil {
				t.Fatal(err)
			}
		}, []string{"error unreadable: bboxes: db/bboxes.lance holds no readable version"}, nil},
		{"no table", func(t *testing.T, dir string) {
			if err := os.RemoveAll(filepath.Join(dir, "db/source.lance")); err != nil {
				t.Fatal(err)
			}
		}, []string{"error no_table: source: schema.json declares the table"}, []string{"source: make the table, without rows"}},
		{"a table that nobody declares", func(t *testing.T, dir string) {
			if err := os.CopyFS(filepath.Join(dir, "db/more.lance"), os.DirFS(filepath.Join(dir, "db/item.lance"))); err != nil {
				t.Fatal(err)
			}
		}, []string{"warning undeclared: db/more.lance: schema.json lists no such table"}, nil},
		{"other columns", func(t *testing.T, dir string) {
			file := filepath.Join(dir, "schema.json")
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			changed := strings.Replace(string(text), `"name": {`, `"nickname": {`, 1)
			if err := os.WriteFile(file, []byte(changed), 0o644); err != nil || changed == string(text) {
				t.Fatal(err)
			}
		}, []string{"error columns: objects: the table has the columns id, created_at,"}, nil},
		{"leftovers", func(t *testing.T, dir string) {
			file := filepath.Join(dir, ".info.json.abc.tmp")
			if err := os.WriteFile(file, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(file, old, old); err != nil {
				t.Fatal(err)
			}
		}, []string{"info leftover: .info.json.abc.tmp: a file whose write was cut off"}, []string{".info.json.abc.tmp: remove it"}},
		{"no features_values.json", func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, constraintsFile)); err != nil {
				t.Fatal(err)
			}
		}, []string{"warning file: features_values.json: the file is missing"}, []string{"features_values.json: write an empty one"}},
		{"no groups", func(t *testing.T, dir string) {
			file := filepath.Join(dir, "schema.json")
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			head, _, _ := strings.Cut(string(text), `"groups"`)
			if err := os.WriteFile(file, []byte(head+`"groups": {}}`), 0o644); err != nil {
				t.Fatal(err)
			}
		}, []string{`warning file: schema.json: the group "item" is missing`}, []string{"schema.json: write the groups"}},
		{"a damaged log", func(t *testing.T, dir string) {
			ds, err := Open(ctx, dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if _, err := ds.Delete(ctx, "masks", "nobody"); err != nil {
					t.Fatal(err)
				}
				if err := ds.Add(ctx, "item", schema.NewItem(features.NewShortUUID())); err != nil {
					t.Fatal(err)
				}
			}
			if err := ds.Close(); err != nil {
				t.Fatal(err)
			}
			logs, err := filepath.Glob(filepath.Join(dir, logFolder, "*.log"))
			if err != nil || len(logs) != 1 {
				t.Fatal(logs, err)
			}
			text, err := os.ReadFile(logs[0])
			if err != nil {
				t.Fatal(err)
			}
			text[20] ^= 1
			if err := os.WriteFile(logs[0], text, 0o644); err != nil {
				t.Fatal(err)
			}
		}, []string{"error log: .pixano/log: "}, nil},
		{"an index, a tag and a newer storage version", func(t *testing.T, dir string) {
			db, err := lance.Connect(ctx, filepath.Join(dir, "db"), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			item, err := db.OpenTable(ctx, "item", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer item.Close()
			if _, err := item.CreateIndex(ctx, lance.Index{Columns: []string{"id"}, Type: lance.BTree}, nil); err != nil {
				t.Fatal(err)
			}
			if err := item.CreateTag(ctx, "v1", 1); err != nil {
				t.Fatal(err)
			}
			s, err := readSchema(dir)
			if err != nil {
				t.Fatal(err)
			}
			class, _ := s.Class("masks")
			if err := db.DropTable(ctx, "masks", nil); err != nil {
				t.Fatal(err)
			}
			if err := createTable(ctx, db, "masks", class, "2.1"); err != nil {
				t.Fatal(err)
			}
		}, []string{`warning index: item: id: index "id_idx" of type BTREE`, `warning storage: masks: storage version 2.1`, `warning tag: item: tag "v1" of version 1`},
			[]string{"item: id: drop the index"}},
		{"many versions", func(t *testing.T, dir string) {
			ds, err := Open(ctx, dir, &Options{Maintenance: Maintenance{Off: true}})
			if err != nil {
				t.Fatal(err)
			}
			for i := range many + 2 {
				if err := ds.Add(ctx, "item", schema.NewItem(fmt.Sprint("n", i))); err != nil {
					t.Fatal(err)
				}
			}
			if err := ds.Close(); err != nil {
				t.Fatal(err)
			}
		}, []string{"info fragments: item: ", "info versions: item: "}, []string{"item: join small files and drop deleted rows", "item: remove old versions and join small files"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "yard")
			made, err := Create(ctx, dir, yard{}, Info{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := made.Add(ctx, "item", schema.NewItem("a")); err != nil {
				t.Fatal(err)
			}
			box := schema.NewBBox("b")
			box.ItemRef, box.Coords, box.Format = features.Item("a"), []float64{1, 2, 3, 4}, "xywh"
			if err := made.Add(ctx, "bboxes", box); err != nil {
				t.Fatal(err)
			}
			if err := made.Close(); err != nil {
				t.Fatal(err)
			}
			test.spoil(t, dir)
			ds, err := Open(ctx, dir, &Options{ReadOnly: true})
			if err != nil {
				t.Fatal(err)
			}
			found := inspected(t, ds, &InspectOptions{PythonCompat: true})
			ds.Close()
			if len(found) != len(test.want) {
				t.Fatalf("found %q, want %q", found, test.want)
			}
			for i, want := range test.want {
				if !strings.HasPrefix(found[i], want) {
					t.Errorf("found %q, want %q", found[i], want)
				}
			}
			if test.name == "a damaged log" {
				return
			}
			if ds, err = Open(ctx, dir, nil); err != nil {
				t.Fatal(err)
			}
			defer ds.Close()
			var steps []string
			for s, err := range ds.Repair(ctx, &RepairOptions{PythonCompat: true}) {
				if err != nil {
					t.Fatal(err)
				}
				steps = append(steps, s.String())
			}
			slices.Sort(steps)
			if d := cmp.Diff(test.repair, steps); d != "" {
				t.Errorf("repaired (-want +got):\n%s", d)
			}
			for f, err := range ds.Inspect(ctx, &InspectOptions{PythonCompat: true}) {
				if err != nil {
					t.Fatal(err)
				}
				if f.Repair != "" && f.Kind != FoundVersions {
					t.Errorf("after the repair: %v", f)
				}
			}
		})
	}
}

// TestInspectUnfinished looks at what a crash left, where nothing may be written, and completes it.
func TestInspectUnfinished(t *testing.T) {
	defer func(f func(string)) { fault = f }(fault)
	ctx := t.Context()
	ds := newFair(t, 2, 4, rand.New(rand.NewPCG(8, 8)))
	dir := filepath.Join(t.TempDir(), "copy")
	fault = func(step string) {
		if step == "logged" {
			if err := os.CopyFS(dir, os.DirFS(ds.Path())); err != nil {
				t.Error(err)
			}
		}
	}
	class, _ := ds.Schema().Class("item")
	row, err := schema.NewDynamic(class)
	if err != nil {
		t.Fatal(err)
	}
	if err := row.Set("id", "new"); err != nil {
		t.Fatal(err)
	}
	if err := ds.Add(ctx, "item", row); err != nil {
		t.Fatal(err)
	}
	fault = func(string) {}
	crashed, err := Open(ctx, dir, &Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer crashed.Close()
	found := inspected(t, crashed, nil)
	if !slices.Contains(found, "warning unfinished: .pixano/log: the last changes may not be in all tables") {
		t.Errorf("found %q", found)
	}
	again, err := Open(ctx, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if there, err := again.Exist(ctx, "item", "new"); err != nil || !there["new"] {
		t.Errorf("the change was not completed (%v)", err)
	}
	if found := inspected(t, again, nil); slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, "unfinished") }) {
		t.Errorf("found %q", found)
	}
}

func cutFiles(t *testing.T, pattern string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s names %d files (%v)", pattern, len(files), err)
	}
	for _, f := range files {
		st, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(f, st.Size()/2); err != nil {
			t.Fatal(err)
		}
	}
}

// TestInspectMemory inspects 500,000 objects and prints what it took.
func TestInspectMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("a large dataset")
	}
	ds := crowded(t, 100_000)
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	peak := uint64(0)
	began := time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for f, err := range ds.Inspect(t.Context(), nil) {
			if err != nil || f.Severity != SeverityInfo {
				t.Errorf("%v (%v)", f, err)
				return
			}
		}
	}()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		select {
		case <-tick.C:
			runtime.ReadMemStats(&now)
			peak = max(peak, now.HeapAlloc)
			continue
		case <-done:
		}
		break
	}
	mib := float64(int64(peak)-int64(before.HeapAlloc)) / (1 << 20)
	t.Logf("600,000 rows in %.1f s, at most %.0f MiB of Go memory", time.Since(began).Seconds(), mib)
	if mib > 256 {
		t.Errorf("%.0f MiB: want a few batches and 8 bytes a row", mib)
	}
}
