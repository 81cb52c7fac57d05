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
	"pixano/features"
	"pixano/schema"
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

// TestDrawnShapes loads a strict COCO export of shapes as the web interface stores them with pycocotools: pixels, boxes and
// key points are the dataset's, and its evaluation finds every object in itself.
func TestDrawnShapes(t *testing.T) {
	interpreter := python(t, "pixano")
	const width, height = 97, 61
	ctx := t.Context()
	ds := must(dataset.Create(ctx, filepath.Join(t.TempDir(), "drawn"), Pets{}, dataset.Info{Name: "drawn"}, nil))(t)
	defer ds.Close()
	own := features.KeyPointTemplate{ID: "duck", Points: []features.TemplatePoint{{Name: "bill", X: 1}, {Name: "tail", Y: 1}, {Name: "foot", X: 1, Y: 1}},
		Edges: [][2]int{{0, 1}, {1, 2}}}
	if err := ds.SetKeyPointTemplates(ctx, []features.KeyPointTemplate{own}); err != nil {
		t.Fatal(err)
	}
	polygon := func(points ...float64) features.RLE {
		return must(features.RLEFromPolygons(height, width, [][]float64{points}))(t)
	}
	rings := [][]float64{{10, 5, 60, 5, 60, 45, 10, 45}, {20, 15, 40, 15, 40, 30}}
	brush := make([]byte, width*height) // a stroke to the corner of the picture
	for y := range height {
		for x := range width {
			if d := (y - x/2) * (y - x/2); d < 9 || x > width-4 && y > height-3 {
				brush[y*width+x] = 1
			}
		}
	}
	// Two parts and pixels that only touch at their corners; and the same with a part that has a hole.
	parts := must(features.Union(polygon(2, 40, 9, 40, 9, 55, 2, 55), polygon(50, 40, 80, 40, 80, 50, 50, 50),
		polygon(80, 50, 81, 50, 81, 51, 80, 51), polygon(81, 51, 82, 51, 82, 52, 81, 52)))(t)
	merged := must(features.Union(parts, must(features.Difference(polygon(50, 5, 80, 5, 80, 35, 50, 35), polygon(60, 20, 70, 20, 70, 30, 60, 30)))(t)))(t)
	human := features.KeyPointTemplates()[0]
	pose := make([]float64, 0, 34)
	states := make([]string, 0, 17)
	for i, p := range human.Points {
		pose = append(pose, 0.2+p.X/2, 0.1+p.Y/2)
		states = append(states, []string{features.StateVisible, features.StateHidden, features.StateInvisible}[i%3])
	}
	body := polygon(15, 5, 70, 5, 70, 50, 15, 50)
	pet := Pets{Item: schema.NewItem("drawn")}
	view := features.View("photo", "drawn_photo")
	pet.Photo = schema.Image{View: schema.View{ID: view.ID, ItemRef: features.Item(pet.ID)}, URL: "drawn.jpg", Width: width, Height: height, Format: "JPEG"}
	masks, points := map[string]features.RLE{}, map[string][]float64{}
	for _, o := range []struct {
		name, category string
		mask           *features.RLE
		metadata       string
		template       string
		coords         []float64
		states         []string
	}{
		{name: "holed", category: "cat", mask: new(must(features.Difference(polygon(rings[0]...), polygon(rings[1]...)))(t)), metadata: `{"polygon": [[10, 5, 60, 5, 60, 45, 10, 45], [20, 15, 40, 15, 40, 30]]}`},
		{name: "brushed", category: "cat", mask: new(must(features.RLEFromBitmap(height, width, brush))(t))},
		{name: "parts", category: "dog", mask: &parts},
		{name: "merged", category: "dog", mask: &merged},
		{name: "person", category: "person", mask: &body, template: human.ID, coords: pose, states: states},
		{name: "bystander", category: "person", mask: new(polygon(60, 5, 90, 5, 90, 50, 60, 50))}, // without key points
		{name: "duck", category: "duck", template: own.ID, coords: []float64{0.5, 0.25, 0.125, 0.5, 0, 0},
			states: []string{features.StateVisible, features.StateHidden, features.StateInvisible}},
	} {
		entity := features.Entity("animals", o.name)
		pet.Animals = append(pet.Animals, Animal{schema.Entity{ID: o.name, ItemRef: features.Item(pet.ID), ViewRef: view}, o.category})
		note := func(kind string) schema.Annotation {
			a := xch.NewAnnotation(o.name+"_"+kind, pet.ID, view, entity, "human-ana")
			a.InferenceMetadata = o.metadata
			return a
		}
		if o.mask != nil {
			row := schema.CompressedRLE{Annotation: note("mask")}
			row.SetMask(*o.mask)
			pet.Masks = append(pet.Masks, row)
			masks[row.ID] = *o.mask
			b := o.mask.Bounds()
			box := schema.NewBBox(o.name + "_box")
			box.Annotation, box.Format, box.IsNormalized = note("box"), features.FormatXYWH, true
			box.Coords = must(features.Normalize([]float64{float64(b.Min.X), float64(b.Min.Y), float64(b.Dx()), float64(b.Dy())}, width, height))(t)
			pet.Boxes = append(pet.Boxes, box)
		}
		if o.coords != nil {
			row := schema.KeyPoints{Annotation: note("points"), TemplateID: o.template, Coords: o.coords, States: o.states}
			pet.Points = append(pet.Points, row)
			for i, state := range o.states {
				v := slices.Index([]string{features.StateInvisible, features.StateHidden, features.StateVisible}, state)
				if v == 0 {
					points[row.ID] = append(points[row.ID], 0, 0, 0)
					continue
				}
				points[row.ID] = append(points[row.ID], o.coords[2*i]*width, o.coords[2*i+1]*height, float64(v))
			}
		}
	}
	if err := ds.Add(ctx, schema.SourceTable, schema.Source{ID: "human-ana", Name: "Ana", Kind: schema.SourceHuman}); err != nil {
		t.Fatal(err)
	}
	if err := ds.AddItems(ctx, []Pets{pet}); err != nil {
		t.Fatal(err)
	}
	for _, segmentation := range []string{"auto", "rle"} {
		out := filepath.Join(t.TempDir(), "out")
		report := exportTo(t, ds, "coco", out, true, map[string]string{"segmentation": segmentation})
		if len(report.Files) != 1 {
			t.Fatalf("%s: files %v, want one", segmentation, report.Files)
		}
		file, seen := filepath.Join(out, report.Files[0]), filepath.Join(t.TempDir(), "seen.json")
		runPython(t, interpreter, "testdata/formats.py", "coco", file, seen)
		sawMasks, sawPoints := 0, 0
		near := func(got, want []float64) bool {
			return slices.EqualFunc(got, want, func(a, b float64) bool { return math.Abs(a-b) < 1e-9 })
		}
		for _, a := range readJSON[map[string]struct {
			Area      float64
			BBox      []float64
			MaskBox   []float64 `json:"mask_box"`
			Counts    string    `json:"mask_counts"`
			MaskID    string    `json:"mask_id"`
			PointsID  string    `json:"points_id"`
			KeyPoints []float64
			Labelled  int `json:"num_keypoints"`
			Names     []string
			Skeleton  [][2]int
		}](t, seen) {
			if want, ok := masks[a.MaskID]; ok {
				sawMasks++
				_, counts := want.Compressed()
				b := want.Bounds()
				box := []float64{float64(b.Min.X), float64(b.Min.Y), float64(b.Dx()), float64(b.Dy())}
				if a.Counts != string(counts) || a.Area != float64(want.Area()) || !slices.Equal(a.MaskBox, box) || !near(a.BBox, box) {
					t.Errorf("%s: %s has the area %g, the boxes %v and %v and the pixels %q, want %d, %v and %q", segmentation, a.MaskID,
						a.Area, a.BBox, a.MaskBox, a.Counts, want.Area(), box, counts)
				}
			}
			if want, ok := points[a.PointsID]; ok {
				sawPoints++
				template, labelled := human, 0
				if a.PointsID == "duck_points" {
					template = own
				}
				for i := 2; i < len(want); i += 3 {
					labelled += int(min(want[i], 1))
				}
				if !near(a.KeyPoints, want) || a.Labelled != labelled {
					t.Errorf("%s: %s are %v, %d labelled, want %v, %d", segmentation, a.PointsID, a.KeyPoints, a.Labelled, want, labelled)
				}
				var names []string
				var edges [][2]int
				for _, p := range template.Points {
					names = append(names, p.Name)
				}
				for _, e := range template.Edges {
					edges = append(edges, [2]int{e[0] + 1, e[1] + 1})
				}
				if !slices.Equal(a.Names, names) || !slices.Equal(a.Skeleton, edges) {
					t.Errorf("%s: %s are %v joined by %v, want %v and %v", segmentation, a.PointsID, a.Names, a.Skeleton, names, edges)
				}
			}
		}
		if sawMasks != len(masks) || sawPoints != len(points) {
			t.Errorf("%s: %d masks and %d skeletons were seen, want %d and %d", segmentation, sawMasks, sawPoints, len(masks), len(points))
		}
		runPython(t, interpreter, "testdata/formats.py", "evaluate", file, seen)
		precision := readJSON[map[string]float64](t, seen)
		for _, kind := range []string{"bbox", "segm", "keypoints"} {
			if !near([]float64{precision[kind]}, []float64{1}) {
				t.Errorf("%s: the precision of %s against themselves is %g, want 1", segmentation, kind, precision[kind])
			}
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
