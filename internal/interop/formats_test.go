package interop_test

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	xch "pixano/dataset/exchange"
	"pixano/dataset/formats"
)

func openGolden(t *testing.T, name string) *dataset.Dataset {
	t.Helper()
	ds, err := dataset.Open(t.Context(), filepath.Join("..", "..", "testdata", "golden", name), &dataset.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ds.Close() })
	return ds
}

func exportTo(t *testing.T, ds *dataset.Dataset, format, out string, strict bool, params map[string]string) *xch.Report {
	t.Helper()
	f := must(formats.ByName(format))(t)
	return must(xch.Export(t.Context(), ds, xch.ExportOptions{Format: f, Out: out, Strict: strict, Params: params}))(t)
}

func readJSON[T any](t *testing.T, path string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(must(os.ReadFile(path))(t), &v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return v
}

// TestPixanoExporters compares exports with those of Python Pixano, on the golden sets: JSON lines byte by byte, JSON and
// COCO by their values, since the order of tables there is that of a set, and COCO has the time of the export.
func TestPixanoExporters(t *testing.T) {
	interpreter := python(t, "pixano")
	for _, name := range []string{"image_detection", "video_tracking", "vqa", "multiview_text"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			set := filepath.Join(dir, "set")
			if err := os.CopyFS(set, os.DirFS(filepath.Join("..", "..", "testdata", "golden", name))); err != nil {
				t.Fatal(err)
			}
			theirs := filepath.Join(dir, "theirs")
			if err := os.Mkdir(theirs, 0o755); err != nil {
				t.Fatal(err)
			}
			runPython(t, interpreter, "testdata/formats.py", "pixano", set, theirs)
			made := readJSON[map[string]any](t, filepath.Join(theirs, "made.json"))
			ds := openGolden(t, name)
			compared := 0
			for _, format := range []string{"json", "jsonl", "coco"} {
				if made[format] != true {
					t.Logf("%s: Python Pixano cannot export this dataset: %v", format, made[format])
					continue
				}
				ours := filepath.Join(dir, format)
				exportTo(t, ds, format, ours, false, nil)
				files := must(filepath.Glob(filepath.Join(theirs, format, "*")))(t)
				if len(files) == 0 {
					t.Errorf("%s: Python Pixano wrote nothing", format)
				}
				for _, file := range files {
					mine := filepath.Join(ours, filepath.Base(file))
					compared++
					if format == "jsonl" {
						if got, want := must(os.ReadFile(mine))(t), must(os.ReadFile(file))(t); !bytes.Equal(got, want) {
							t.Errorf("%s differs:\n%s", filepath.Base(file), cmp.Diff(string(want), string(got)))
						}
						continue
					}
					got, want := readJSON[map[string]any](t, mine), readJSON[map[string]any](t, file)
					if format == "coco" {
						for _, m := range []map[string]any{got, want} {
							info := m["info"].(map[string]any)
							delete(info, "version")
							delete(info, "date_created")
						}
					}
					for _, m := range []map[string]any{got, want} {
						sortRows(m)
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("%s differs (-theirs +ours):\n%s", filepath.Base(file), diff)
					}
				}
			}
			if compared == 0 {
				t.Error("nothing was compared")
			}
		})
	}
}

// sortRows sorts lists of rows by their ids.
func sortRows(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			sortRows(e)
		}
	case []any:
		slices.SortStableFunc(v, func(a, b any) int {
			id := func(v any) string {
				m, _ := v.(map[string]any)
				s, _ := m["id"].(string)
				return s
			}
			return strings.Compare(id(a), id(b))
		})
	}
}

// TestPycocotools loads strict COCO exports of the golden sets with pycocotools: areas of masks and boxes are the
// dataset's, with masks as polygons and as run lengths.
func TestPycocotools(t *testing.T) {
	interpreter := python(t, "pixano")
	for _, name := range []string{"image_detection", "video_tracking", "multiview_text"} {
		for _, segmentation := range []string{"auto", "rle"} {
			t.Run(name+"/"+segmentation, func(t *testing.T) {
				ds := openGolden(t, name)
				out := filepath.Join(t.TempDir(), "out")
				report := exportTo(t, ds, "coco", out, true, map[string]string{"segmentation": segmentation})
				type annotation struct {
					MaskArea *int    `json:"mask_area"`
					Area     float64 `json:"area"`
					BBox     []float64
					Image    string
					Category string
					BoxID    string `json:"box_id"`
					MaskID   string `json:"mask_id"`
				}
				boxes, masks := map[string][4]float64{}, map[string]int{}
				tables := xch.TablesFor(ds.Schema())
				var items []dataset.Item
				if err := ds.Items(t.Context(), &items, dataset.Query{}); err != nil {
					t.Fatal(err)
				}
				for i := range items {
					for _, p := range tables.Pictures(&items[i], func(string) {}) {
						for _, e := range p.Objects {
							if e.Box != nil {
								boxes[xch.Text(e.Box, "id")] = must(xch.Box(e.Box, p.Width, p.Height))(t)
							}
							if e.Mask != nil {
								masks[xch.Text(e.Mask, "id")] = must(xch.Mask(e.Mask))(t).Area()
							}
						}
					}
				}
				seenBoxes, seenMasks := 0, 0
				for _, file := range report.Files {
					if strings.HasPrefix(file, "captions_") {
						continue
					}
					seen := filepath.Join(t.TempDir(), "seen.json")
					runPython(t, interpreter, "testdata/formats.py", "coco", filepath.Join(out, file), seen)
					for id, a := range readJSON[map[string]annotation](t, seen) {
						if want, ok := boxes[a.BoxID]; ok {
							seenBoxes++
							if !slices.Equal(a.BBox, want[:]) {
								t.Errorf("annotation %s: the box is %v, want %v", id, a.BBox, want)
							}
						}
						if want, ok := masks[a.MaskID]; ok {
							seenMasks++
							if a.MaskArea == nil || *a.MaskArea != want || a.Area != float64(want) {
								t.Errorf("annotation %s: the area is %v and %g, want %d", id, a.MaskArea, a.Area, want)
							}
						}
						if a.Category == "" {
							t.Errorf("annotation %s has no category", id)
						}
					}
				}
				if seenBoxes != len(boxes) || seenMasks != len(masks) || len(boxes) == 0 {
					t.Errorf("%d boxes and %d masks were seen, want %d and %d", seenBoxes, seenMasks, len(boxes), len(masks))
				}
			})
		}
	}
}

// TestSupervision reads YOLO and Pascal VOC exports of a golden set with supervision.
func TestSupervision(t *testing.T) {
	interpreter := python(t, "supervision")
	ds := openGolden(t, "image_detection")
	type detection struct {
		Category string
		XYXY     []float64
		Area     *int
	}
	want := map[string][]detection{}
	masked := map[string]int{}
	var items []dataset.Item
	if err := ds.Items(t.Context(), &items, dataset.Query{}); err != nil {
		t.Fatal(err)
	}
	tables := xch.TablesFor(ds.Schema())
	for i := range items {
		for _, p := range tables.Pictures(&items[i], func(string) {}) {
			name := filepath.Base(xch.Text(p.Row, "url"))
			for _, e := range p.Objects {
				if e.Mask != nil {
					masked[name]++
				}
				if e.Box == nil {
					continue
				}
				box := must(xch.Box(e.Box, p.Width, p.Height))(t)
				category := e.Category()
				if category == "" {
					category = "object"
				}
				want[name] = append(want[name], detection{category, []float64{box[0], box[1], min(box[0]+box[2], p.Width), min(box[1]+box[3], p.Height)}, nil})
			}
		}
	}
	read := func(t *testing.T, args ...string) map[string][]detection {
		t.Helper()
		out := filepath.Join(t.TempDir(), "seen.json")
		runPython(t, interpreter, append(append([]string{"testdata/formats.py"}, args...), out)...)
		return readJSON[map[string][]detection](t, out)
	}
	compare := func(t *testing.T, got map[string][]detection, tolerance float64, shift [4]float64) {
		t.Helper()
		n := 0
		for name, list := range want {
			if len(got[name]) != len(list) {
				t.Errorf("%s: %d objects, want %d", name, len(got[name]), len(list))
				continue
			}
			for i, w := range list {
				n++
				g := got[name][i]
				for k := range 4 {
					if math.Abs(g.XYXY[k]-w.XYXY[k]-shift[k]) > tolerance {
						t.Errorf("%s: object %d is at %v, want %v", name, i, g.XYXY, w.XYXY)
						break
					}
				}
				if g.Category != w.Category {
					t.Errorf("%s: object %d is %q, want %q", name, i, g.Category, w.Category)
				}
			}
		}
		if n == 0 {
			t.Error("nothing was compared")
		}
	}
	t.Run("yolo detect", func(t *testing.T) {
		out := filepath.Join(t.TempDir(), "out")
		exportTo(t, ds, "yolo", out, false, map[string]string{"task": "detect"})
		compare(t, read(t, "yolo", out, "detect"), 1e-3, [4]float64{})
	})
	for _, task := range []string{"segment", "obb"} {
		t.Run("yolo "+task, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			exportTo(t, ds, "yolo", out, false, map[string]string{"task": task})
			got := read(t, "yolo", out, task)
			for name, n := range masked {
				if task == "segment" && len(got[name]) != n {
					t.Errorf("%s: %d masks, want %d", name, len(got[name]), n)
				}
				for _, g := range got[name] {
					if task == "segment" && (g.Area == nil || *g.Area == 0) {
						t.Errorf("%s: an object without a mask", name)
					}
				}
			}
			if len(masked) == 0 {
				t.Error("nothing was compared")
			}
		})
	}
	t.Run("voc", func(t *testing.T) {
		out := filepath.Join(t.TempDir(), "out")
		exportTo(t, ds, "voc", out, false, nil)
		// It reads the last pixel of a box, which is inside, as the end of the box; boxes are rounded to whole pixels.
		compare(t, read(t, "voc", out), 1, [4]float64{0, 0, -1, -1})
	})
}
