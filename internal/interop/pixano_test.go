package interop_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/features"
	"pixano/schema"
)

// Scene is the aggregate of a dataset that is made here and changed by Python Pixano.
type Scene struct {
	schema.Item
	Note           string
	Lanes          int64
	Image          schema.Image
	Objects        []Vehicle
	BBoxes         []schema.BBox `pixano:"bboxes"`
	Masks          []schema.CompressedRLE
	ImageEmbedding []schema.ViewEmbedding `pixano:",dim=4"`
}

// Vehicle is an entity class of its own.
type Vehicle struct {
	schema.Entity
	Category string
	Doors    int64
	Weight   float64
	Parked   bool
	Tags     []string
}

func makeScene(i int) Scene {
	item := fmt.Sprintf("item_%02d", i)
	image := fmt.Sprintf("img_%02d", i)
	ref, view := features.Item(item), features.View("image", image)
	s := Scene{Item: schema.NewItem(item), Note: fmt.Sprintf("note %d é 😀 '\"\n", i), Lanes: int64(-i)}
	s.Image = schema.Image{View: schema.View{ID: image, ItemRef: ref}, URL: fmt.Sprintf("train/%d.jpg", i), Width: 640, Height: 480, Format: "JPEG"}
	for j := range 3 {
		id := fmt.Sprintf("%02d_%d", i, j)
		object := features.Entity("objects", "obj_"+id)
		s.Objects = append(s.Objects, Vehicle{Entity: schema.Entity{ID: object.ID, ItemRef: ref, ViewRef: view}, Category: "car",
			Doors: int64(j) - 1<<40, Weight: float64(i) / 3, Parked: j == 1, Tags: []string{"a", "ü"}[:j%3]})
		note := schema.Annotation{ItemRef: ref, ViewRef: view, EntityRef: object, SourceRef: features.Source("model")}
		box := schema.NewBBox("box_" + id)
		note.ID = box.ID
		box.Annotation = note
		box.InferenceMetadata = `{"k": 1}`
		box.Format, box.Coords, box.IsNormalized = features.FormatXYWH, []float64{0.1, 1.0 / 3, float64(j), 5e-324}, false
		box.Confidence = float64(j) / 7
		s.BBoxes = append(s.BBoxes, box)
		note.ID = "mask_" + id
		s.Masks = append(s.Masks, schema.CompressedRLE{Annotation: note, Size: []int64{25, 37}, Counts: []byte("c15d0000000000df0")})
	}
	s.ImageEmbedding = []schema.ViewEmbedding{{Embedding: schema.Embedding{ID: "emb_" + item, ItemRef: ref,
		Vector: []float32{float32(i) / 3, -1e-30, 3e38, 0.1}, Shape: []int64{2, 2}}, ViewRef: view}}
	return s
}

// seen is what testdata/pixano_dataset.py writes.
type seen struct {
	Tables  map[string][]map[string]any
	Wrote   map[string][]map[string]any
	Deleted map[string][]string
	Missing []string
}

// runPixano has Python Pixano read or change a dataset.
func runPixano(t *testing.T, interpreter, command, dir string) seen {
	t.Helper()
	out := filepath.Join(t.TempDir(), "seen.json")
	runPython(t, interpreter, "testdata/pixano_dataset.py", command, dir, out)
	var s seen
	if err := json.Unmarshal(must(os.ReadFile(out))(t), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// readHere reads all tables of a dataset as JSON, in storage order.
func readHere(t *testing.T, ds *dataset.Dataset) map[string][]map[string]any {
	t.Helper()
	tables := map[string][]map[string]any{}
	for _, table := range ds.Tables() {
		tables[table.Name] = []map[string]any{}
		for row, err := range ds.Rows(t.Context(), table.Name, dataset.Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			var columns map[string]any
			if err := json.Unmarshal(must(json.Marshal(row))(t), &columns); err != nil {
				t.Fatal(err)
			}
			// Tables that were filled by a function store no shape; Python fills it in.
			if shape, ok := columns["shape"].([]any); ok && len(shape) == 0 {
				if vector, ok := columns["vector"].([]any); ok {
					columns["shape"] = []any{float64(len(vector))}
				}
			}
			tables[table.Name] = append(tables[table.Name], columns)
		}
	}
	return tables
}

func byID(rows []map[string]any) map[string]map[string]any {
	m := make(map[string]map[string]any, len(rows))
	for _, row := range rows {
		m[fmt.Sprint(row["id"])] = row
	}
	return m
}

// sameRows compares what is read here with what Python reads, row for row and in order.
func sameRows(t *testing.T, when string, here map[string][]map[string]any, there seen) {
	t.Helper()
	if d := cmp.Diff(slices.Sorted(maps.Keys(there.Tables)), slices.Sorted(maps.Keys(here))); d != "" {
		t.Errorf("%s: tables (-Python +here):\n%s", when, d)
	}
	for table, want := range there.Tables {
		if d := cmp.Diff(want, here[table]); d != "" {
			t.Errorf("%s: rows of %s (-Python +here):\n%s", when, table, d)
		}
	}
}

// changedBy compares what Python says that it wrote with what is read here.
func changedBy(t *testing.T, there seen, here map[string][]map[string]any) {
	t.Helper()
	n := 0
	for table, rows := range there.Wrote {
		found := byID(here[table])
		deleted := map[string]bool{}
		for _, id := range there.Deleted["item"] {
			deleted[id] = true
		}
		for id, row := range byID(rows) { // the last of those that were written twice
			ref, _ := row["item_ref"].(map[string]any)
			if slices.Contains(there.Deleted[table], id) || deleted[fmt.Sprint(ref["id"])] {
				continue
			}
			n++
			if d := cmp.Diff(row, found[id]); d != "" {
				t.Errorf("%s %s (-Python wrote +here):\n%s", table, id, d)
			}
		}
	}
	if n < 10 {
		t.Errorf("Python wrote %d rows, want some in each table", n)
	}
	for table, ids := range there.Deleted {
		found := byID(here[table])
		for _, id := range ids {
			if _, ok := found[id]; ok {
				t.Errorf("%s %s is there, Python deleted it", table, id)
			}
		}
	}
	for table, rows := range here {
		for _, row := range rows {
			ref, _ := row["item_ref"].(map[string]any)
			if id, _ := ref["id"].(string); id != "" && slices.Contains(there.Deleted["item"], id) {
				t.Errorf("%s %v is there, Python deleted its item", table, row["id"])
			}
		}
	}
	if d := cmp.Diff([]string{"nobody", "no_item"}, there.Missing); d != "" {
		t.Errorf("ids that Python missed (-want +got):\n%s", d)
	}
}

// changeAll reads every row, stores it again, and compacts.
func changeAll(t *testing.T, ds *dataset.Dataset) {
	t.Helper()
	for _, table := range ds.Tables() {
		var rows []*schema.Dynamic
		if err := ds.Get(t.Context(), table.Name, &rows, dataset.Query{}); err != nil {
			t.Fatal(err)
		}
		if len(rows) == 0 {
			continue
		}
		res, err := ds.WithChecks(dataset.Checks{Mode: dataset.CheckNone}).Update(t.Context(), table.Name, rows)
		if err != nil {
			t.Fatal(err)
		}
		if len(res.Updated) != len(rows) {
			t.Errorf("%s: %d rows were replaced, want %d", table.Name, len(res.Updated), len(rows))
		}
	}
	if _, err := ds.Optimize(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestPixanoChangesDatasetMadeHere makes a dataset here, has Python Pixano read, change and read it, and goes on with it.
func TestPixanoChangesDatasetMadeHere(t *testing.T) {
	interpreter := python(t, "pixano")
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "scenes")
	ds := must(dataset.Create(ctx, dir, Scene{}, dataset.Info{Name: "scenes", Description: "été"}, nil))(t)
	defer ds.Close()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(ds.Add(ctx, "source", schema.Source{ID: "model", Name: "detector", Kind: "model", Metadata: `{"v": 2}`}))
	var scenes []Scene
	for i := range 12 {
		scenes = append(scenes, makeScene(i))
	}
	check(ds.AddItems(ctx, scenes[:8]))
	check(ds.AddItems(ctx, scenes[8:]))
	scenes[3].Note, scenes[3].BBoxes[1].Confidence = "updated here", 0.75
	_, err := ds.UpdateItems(ctx, scenes[3])
	check(err)
	_, err = ds.Update(ctx, "objects", Vehicle{Entity: schema.Entity{ID: "obj_05_0", ItemRef: features.Item("item_05")}, Category: "bus"})
	check(err)
	_, err = ds.Delete(ctx, "masks", "mask_02_0", "mask_02_2")
	check(err)
	_, err = ds.DeleteItems(ctx, "item_06")
	check(err)
	_, err = ds.Apply(ctx, dataset.ChangeSet{Author: "ana", Key: "one", Changes: []dataset.Change{
		dataset.Put("bboxes", scenes[7].BBoxes[0]), dataset.Delete("bboxes", "box_07_1"),
	}})
	check(err)
	sameRows(t, "before compaction", readHere(t, ds), runPixano(t, interpreter, "read", dir))
	must(ds.Optimize(ctx))(t)

	there := runPixano(t, interpreter, "change", dir)
	here := readHere(t, ds) // by the handle that was open all the time
	sameRows(t, "after Python's changes", here, there)
	changedBy(t, there, here)
	for _, table := range []string{"item", "image", "objects", "bboxes", "masks", "image_embedding"} {
		if len(there.Wrote[table]) == 0 || len(here[table]) == 0 {
			t.Errorf("Python wrote %d rows of %s, and %d are there", len(there.Wrote[table]), table, len(here[table]))
		}
	}

	changeAll(t, ds)
	after := readHere(t, ds)
	sameRows(t, "after all rows were written again", after, runPixano(t, interpreter, "read", dir))
	for table, rows := range after {
		was := byID(here[table])
		for id, row := range byID(rows) {
			before := maps.Clone(was[id])
			if before["updated_at"] == row["updated_at"] {
				t.Errorf("%s %s was not written again", table, id)
			}
			before["updated_at"] = row["updated_at"]
			if d := cmp.Diff(before, row); d != "" {
				t.Errorf("%s %s changed (-before +after):\n%s", table, id, d)
			}
		}
	}
}

// TestPixanoReadsGoldenWrittenHere writes every row of the datasets that the reference wrote once more; Python Pixano
// reads what it had written itself, and changes it.
func TestPixanoReadsGoldenWrittenHere(t *testing.T) {
	for _, name := range []string{"image_detection", "image_detection_f1098606", "video_tracking", "vqa", "multiview_text"} {
		t.Run(name, func(t *testing.T) {
			interpreter := python(t, "pixano")
			dir := filepath.Join(t.TempDir(), name)
			if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "testdata", "golden", name))); err != nil {
				t.Fatal(err)
			}
			original := runPixano(t, interpreter, "read", dir)
			ds := must(dataset.Open(t.Context(), dir, nil))(t)
			defer ds.Close()
			sameRows(t, "as it came", readHere(t, ds), original)
			began := time.Now()
			changeAll(t, ds)
			t.Logf("written again in %.1f s", time.Since(began).Seconds())
			there := runPixano(t, interpreter, "read", dir)
			sameRows(t, "written again", readHere(t, ds), there)
			for table, rows := range original.Tables {
				found := byID(there.Tables[table])
				if len(found) != len(byID(rows)) {
					t.Errorf("%s: Python reads %d rows, had written %d", table, len(found), len(rows))
				}
				for _, want := range rows {
					got := found[fmt.Sprint(want["id"])]
					if got == nil {
						t.Errorf("%s %v is lost", table, want["id"])
						continue
					}
					want["updated_at"] = got["updated_at"]
					if d := cmp.Diff(want, got); d != "" {
						t.Errorf("%s %v (-Python wrote +Python reads):\n%s", table, want["id"], d)
					}
				}
			}
			if name == "image_detection" {
				there := runPixano(t, interpreter, "change", dir)
				here := readHere(t, ds)
				sameRows(t, "changed by Python", here, there)
				changedBy(t, there, here)
			}
		})
	}
}
