package dataset

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/internal/lance"
	"pixano/schema"
)

// ringed opens the dataset of generated in a folder whose name has to be escaped, and has rows of boxes read by the rings as
// those of a large table are.
func ringed(t *testing.T) *Dataset {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a b%41é#?")
	if err := os.CopyFS(dir, os.DirFS(generated(t, 200).Path())); err != nil {
		t.Fatal(err)
	}
	ds, err := Open(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ds.Close() })
	ds.cache.table("bboxes").refused = true
	return ds.unchecked()
}

// some are ids of boxes that lie apart.
func some(step int) (ids []string) {
	for i := range 100 {
		ids = append(ids, fmt.Sprintf("bbox-%08d-%d", (i*37+step)%200, (i+step)%5))
	}
	return ids
}

func byID(ctx context.Context, ds *Dataset, ids []string) (boxes []schema.BBox, missing []string, err error) {
	missing, err = ds.ByID(ctx, "bboxes", &boxes, ids...)
	return boxes, missing, err
}

// TestRings: rows come the same by io_uring and without, whatever happens to the table meanwhile.
func TestRings(t *testing.T) {
	ds := ringed(t)
	ctx := t.Context()
	common, err := Open(ctx, ds.Path(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer common.Close()
	common.ring.off.Store(true)
	common.cache.table("bboxes").refused = true
	if _, err := ds.Exist(ctx, "bboxes", "b"); err != nil { // the index is made at the second search
		t.Fatal(err)
	}
	step := 0
	compare := func(what string) {
		t.Helper()
		step++
		got, gotMissing, err := byID(ctx, ds, some(step))
		want, wantMissing, wantErr := byID(ctx, common, some(step))
		if err != nil || wantErr != nil {
			t.Fatal(what, err, wantErr)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", what, d)
		}
		if d := cmp.Diff(wantMissing, gotMissing); d != "" {
			t.Errorf("%s: missing: %s", what, d)
		}
		if ds.ring.off.Load() {
			t.Skip("this machine lets nobody read with io_uring")
		}
		version, err := ds.Version(ctx, "bboxes")
		if err != nil {
			t.Fatal(err)
		}
		if r := ds.ring.tables["bboxes"]; r == nil || r.version != version {
			t.Fatalf("%s: the rows were not read by io_uring at version %d", what, version)
		}
	}
	compare("as built")
	boxes, _, err := byID(ctx, common, some(3))
	if err != nil {
		t.Fatal(err)
	}
	for i := range boxes {
		boxes[i].Confidence = 0.75
	}
	if _, err := ds.Update(ctx, "bboxes", boxes[:40]); err != nil {
		t.Fatal(err)
	}
	compare("updated")
	if _, err := common.unchecked().Delete(ctx, "bboxes", some(5)[:50]...); err != nil {
		t.Fatal(err)
	}
	compare("deleted by another")
	own, err := common.openTable(ctx, "compact", "bboxes")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if _, err := own.Optimize(ctx, lance.OptimizeOptions{Compact: &lance.Compact{}}, nil); err != nil {
		t.Fatal(err)
	}
	compare("compacted")

	// Many readers at once while the versions move on.
	var wait sync.WaitGroup
	for g := range 4 {
		wait.Go(func() {
			for i := range 15 {
				ids := some(g*100 + i)
				got, missing, err := byID(ctx, ds, ids)
				if err != nil || len(got)+len(missing) != len(ids) {
					t.Errorf("%d rows, %d missing (%v)", len(got), len(missing), err)
					return
				}
				for _, box := range got {
					if box.ItemRef.ID[len("item-"):] != box.ID[len("bbox-"):len(box.ID)-2] {
						t.Errorf("box %s has the item of another: %s", box.ID, box.ItemRef.ID)
					}
				}
			}
		})
	}
	for i := range 20 {
		if _, err := common.unchecked().Update(ctx, "bboxes", boxes[i:i+20]); err != nil {
			t.Error(err)
		}
	}
	wait.Wait()

	if err := ds.Close(); err != nil {
		t.Error(err)
	}
	if _, _, err := byID(ctx, ds, some(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("after closing: %v", err)
	}
}

// TestRingsRefused: where the kernel gives no rings, rows are read all the same.
func TestRingsRefused(t *testing.T) {
	const variable = "LANCE_URING_QUEUE_DEPTH"
	const tooMany = "1000000" // for any kernel
	if os.Getenv(variable) != tooMany {
		child := exec.Command(os.Args[0], "-test.run=^TestRingsRefused$", "-test.v")
		child.Env = append(os.Environ(), variable+"="+tooMany)
		if out, err := child.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	ds := ringed(t)
	for step := range 4 {
		boxes, missing, err := byID(t.Context(), ds, some(step))
		if err != nil || missing != nil || len(boxes) != 100 {
			t.Fatalf("%d rows, missing %v (%v)", len(boxes), missing, err)
		}
	}
	if !ds.ring.off.Load() {
		t.Error("the rings did not fail")
	}
}
