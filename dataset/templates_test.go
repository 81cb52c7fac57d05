package dataset_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/features"
)

func TestKeyPointTemplates(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "d")
	ds := newDataset(t, dir, dataset.Info{Name: "d"}, nil)
	if got, err := ds.KeyPointTemplates(); err != nil || got != nil {
		t.Fatalf("without a file: got %v, %v", got, err)
	}
	hand := features.KeyPointTemplate{ID: "hand", Points: []features.TemplatePoint{{Name: "wrist", X: .5, Y: 1}, {Name: "thumb", X: 0, Y: .5}}, Edges: [][2]int{{0, 1}}}
	dot := features.KeyPointTemplate{ID: "dot", Points: []features.TemplatePoint{{Name: "é", X: .5, Y: .5}}}
	if err := ds.SetKeyPointTemplates(t.Context(), []features.KeyPointTemplate{hand, dot}); err != nil {
		t.Fatal(err)
	}
	if _, err := ds.Snapshot(t.Context(), "v1", dataset.SnapshotOptions{}); err != nil {
		t.Fatal(err)
	}
	bad := hand
	bad.Edges = [][2]int{{0, 2}}
	for _, list := range [][]features.KeyPointTemplate{{hand, bad}, {hand, hand}} {
		if err := ds.SetKeyPointTemplates(t.Context(), list); !errors.Is(err, dataset.ErrSchema) {
			t.Errorf("%v: got %v, want ErrSchema", list, err)
		}
	}
	dot.Edges = [][2]int{}
	got, err := ds.KeyPointTemplates()
	if diff := cmp.Diff([]features.KeyPointTemplate{hand, dot}, got); diff != "" || err != nil {
		t.Errorf("(-want +got):\n%s%v", diff, err)
	}
	if err := ds.SetKeyPointTemplates(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got, err := ds.KeyPointTemplates(); err != nil || len(got) != 0 {
		t.Errorf("emptied: got %v, %v", got, err)
	}
	then, err := ds.At(t.Context(), "v1")
	if err != nil {
		t.Fatal(err)
	}
	defer then.Close()
	if got, err := then.KeyPointTemplates(); err != nil || len(got) != 2 {
		t.Errorf("snapshot: got %v, %v", got, err)
	}
	if err := then.SetKeyPointTemplates(t.Context(), nil); !errors.Is(err, dataset.ErrReadOnly) {
		t.Errorf("snapshot: got %v, want ErrReadOnly", err)
	}
	for _, content := range []string{"", "null", "{}", `[{"id": 3}]`, `[{"id": "a", "points": []}]`} {
		if err := os.WriteFile(filepath.Join(dir, "keypoint_templates.json"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ds.KeyPointTemplates(); !errors.Is(err, dataset.ErrSchema) || !strings.Contains(err.Error(), "keypoint_templates.json") {
			t.Errorf("%q: got %v, want ErrSchema that names the file", content, err)
		}
	}
}

func FuzzKeyPointTemplates(f *testing.F) {
	needEngine(f)
	dir := filepath.Join(f.TempDir(), "d")
	ds, err := dataset.Create(context.Background(), dir, Shot{}, dataset.Info{Name: "d"}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { ds.Close() })
	f.Add([]byte(`[{"id": "hand", "points": [{"name": "a", "x": 0, "y": 1}], "edges": []}]`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(filepath.Join(dir, "keypoint_templates.json"), content, 0o644); err != nil {
			t.Fatal(err)
		}
		list, err := ds.KeyPointTemplates()
		if err != nil {
			if !errors.Is(err, dataset.ErrSchema) {
				t.Fatal(err)
			}
			return
		}
		if err := ds.SetKeyPointTemplates(context.Background(), list); err != nil {
			t.Fatal(err)
		}
		again, err := ds.KeyPointTemplates()
		if diff := cmp.Diff(list, again); diff != "" || err != nil {
			t.Fatalf("(-first +again):\n%s%v", diff, err)
		}
	})
}
