package formats

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/dataset/exchange"
)

// cut is a reader that fails after some batches.
type cut struct {
	exchange.Reader
	left int
}

var errCut = errors.New("the source went away")

func (c *cut) Rows(ctx context.Context) iter.Seq2[dataset.Batch, error] {
	return func(yield func(dataset.Batch, error) bool) {
		for batch, err := range c.Reader.Rows(ctx) {
			if c.left--; c.left < 0 {
				yield(nil, errCut)
				return
			}
			if !yield(batch, err) || err != nil {
				return
			}
		}
	}
}

// cutAfter is a format whose sources fail after some batches.
func cutAfter(f exchange.Format, batches int) exchange.Format {
	open := f.Open
	f.Open = func(ctx context.Context, in *exchange.Input) (exchange.Reader, error) {
		r, err := open(ctx, in)
		if err != nil {
			return nil, err
		}
		return &cut{r, batches}, nil
	}
	return f
}

// TestInterruptedImport breaks imports off: nothing of them is seen. With Resume the next one goes on and ends as one that
// was not interrupted; without, it begins anew.
func TestInterruptedImport(t *testing.T) {
	files := map[string]string{}
	for i := range 1600 {
		files[fmt.Sprintf("train/%04d.ppm", i)] = tiny
	}
	f, err := ByName("folder")
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []dataset.BuildMode{dataset.BuildCreate, dataset.BuildOverwrite, dataset.BuildAdd} {
		for _, resume := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/resume=%t", mode, resume), func(t *testing.T) {
				data := dataDir(t)
				src := source(t, files)
				o := exchange.ImportOptions{Format: f, Source: src, Dataset: filepath.Join(data, "library", "d"), MediaDir: filepath.Join(data, "media")}
				items := int64(1600)
				if mode != dataset.BuildCreate {
					first := o
					first.Source = source(t, map[string]string{"val/old.ppm": tiny})
					if _, err := exchange.Import(t.Context(), first); err != nil {
						t.Fatal(err)
					}
				}
				if mode == dataset.BuildAdd {
					items++
				}
				o.Mode = mode
				before := listing(t, data)
				broken := o
				broken.Format = cutAfter(f, 2)
				if _, err := exchange.Import(t.Context(), broken); !errors.Is(err, errCut) {
					t.Fatalf("got %v, want %v", err, errCut)
				}
				if diff := cmp.Diff(before, listing(t, data)); diff != "" {
					t.Errorf("files after the break:\n%s", diff)
				}
				o.Resume = resume
				report, err := exchange.Import(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				if report.Resumed != resume || report.Items != 1600 {
					t.Errorf("resumed %t with %d items, want %t with 1600", report.Resumed, report.Items, resume)
				}
				ds, err := dataset.Open(t.Context(), o.Dataset, &dataset.Options{MediaDir: o.MediaDir})
				if err != nil {
					t.Fatal(err)
				}
				defer ds.Close()
				if n, err := ds.Count(t.Context(), "item", dataset.Query{}); err != nil || n != items {
					t.Errorf("%d items (%v), want %d", n, err, items)
				}
				for v, err := range ds.Check(t.Context()) {
					t.Errorf("%v %v", v, err)
				}
				var urls []string
				for row, err := range ds.Rows(t.Context(), "image", dataset.Query{}) {
					if err != nil {
						t.Fatal(err)
					}
					url, _ := row.Value("url").(string)
					urls = append(urls, url)
					m, err := ds.OpenMedia(url)
					if err != nil {
						t.Fatal(err)
					}
					m.Close()
				}
				slices.Sort(urls)
				if len(slices.Compact(urls)) != int(items) {
					t.Errorf("%d images, want %d", len(urls), items)
				}
				old, err := os.Stat(filepath.Join(data, "media", "d", "val", "old.ppm"))
				if (err == nil) != (mode == dataset.BuildAdd) {
					t.Errorf("the file of before: %v %v", old, err)
				}
				left, _ := filepath.Glob(filepath.Join(data, "*", ".pixano", "imports", "*"))
				if len(left) > 0 {
					t.Errorf("left behind: %q", left)
				}
			})
		}
	}
}

// TestStableIDs imports twice and gets the same rows, and others without the option.
func TestStableIDs(t *testing.T) {
	f, err := ByName("folder")
	if err != nil {
		t.Fatal(err)
	}
	src := source(t, described(`{"image":"a.ppm","objects":{"bboxes":[[0,0,1,1]]}}`))
	ids := func(stable bool) string {
		data := dataDir(t)
		o := exchange.ImportOptions{Format: f, Source: src, Dataset: filepath.Join(data, "library", "d"), MediaDir: filepath.Join(data, "media"), StableIDs: stable}
		if _, err := exchange.Import(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		ds, err := dataset.Open(t.Context(), o.Dataset, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer ds.Close()
		var all []string
		for _, info := range ds.Tables() {
			list, err := ds.IDs(t.Context(), info.Name, dataset.Query{})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, list...)
		}
		return strings.Join(all, " ")
	}
	a, b, c := ids(true), ids(true), ids(false)
	if a != b || a == c || a == "" {
		t.Errorf("stable ids %q and %q, others %q", a, b, c)
	}
}
