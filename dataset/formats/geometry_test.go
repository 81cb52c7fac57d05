package formats

import (
	"fmt"
	"image"
	"image/png"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/dataset/exchange"
	"pixano/features"
	"pixano/schema"
)

type thing struct {
	schema.Entity
	Category string
}

type scene struct {
	schema.Item
	Image     schema.Image
	Objects   []thing
	BBoxes    []schema.BBox `pixano:"bboxes"`
	Masks     []schema.CompressedRLE
	Keypoints []schema.KeyPoints
}

// sample makes a dataset of pictures with boxes of whole pixels, masks of one and of several parts, and poses.
func sample(t *testing.T) *dataset.Dataset {
	t.Helper()
	dir := t.TempDir()
	media := filepath.Join(dir, "media")
	ds, err := dataset.Create(t.Context(), filepath.Join(dir, "scenes"), scene{}, dataset.Info{Name: "scenes"}, &dataset.Options{MediaDir: media})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ds.Close() })
	if err := os.MkdirAll(filepath.Join(media, "pics"), 0o755); err != nil {
		t.Fatal(err)
	}
	var scenes []scene
	for i := range 6 {
		w, h := 40+3*i, 30+i
		name := fmt.Sprintf("pics/p%d.png", i)
		f, err := os.Create(filepath.Join(media, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := png.Encode(f, image.NewGray(image.Rect(0, 0, w, h))); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprintf("item%d", i)
		view := features.View("image", fmt.Sprintf("img%d", i))
		s := scene{Item: schema.Item{ID: id, Split: []string{"train", "val"}[i%2]}}
		s.Image = schema.Image{View: schema.View{ID: view.ID, ItemRef: features.Item(id)}, URL: name, Width: int64(w), Height: int64(h), Format: "PNG"}
		for j := range i {
			x, y := float64(2+4*j), float64(1+3*j)
			oid := fmt.Sprintf("%s_%d", id, j)
			s.Objects = append(s.Objects, thing{schema.Entity{ID: "o" + oid, ItemRef: features.Item(id), ViewRef: view}, []string{"car", "dog", "été"}[j%3]})
			note := func(kind string) schema.Annotation {
				return exchange.NewAnnotation(kind+oid, id, view, features.Entity("objects", "o"+oid), "")
			}
			box := schema.NewBBox("")
			box.Annotation, box.Format = note("b"), features.FormatXYWH
			box.Coords = []float64{x, y, 8, 7}
			s.BBoxes = append(s.BBoxes, box)
			parts := [][]float64{{x, y, x + 3, y, x + 3, y + 2, x, y + 2}}
			if j%2 == 1 {
				parts = append(parts, []float64{x + 5, y + 5, x + 7, y + 5, x + 7, y + 7, x + 5, y + 7})
			}
			mask, err := features.RLEFromPolygons(h, w, parts)
			if err != nil {
				t.Fatal(err)
			}
			m := schema.CompressedRLE{Annotation: note("m")}
			m.SetMask(mask)
			s.Masks = append(s.Masks, m)
			s.Keypoints = append(s.Keypoints, schema.KeyPoints{Annotation: note("k"), TemplateID: "points_2",
				Coords: []float64{x / float64(w), y / float64(h), (x + 2) / float64(w), (y + 1) / float64(h)}, States: []string{"visible", "hidden"}})
		}
		scenes = append(scenes, s)
	}
	if err := ds.AddItems(t.Context(), scenes); err != nil {
		t.Fatal(err)
	}
	return ds
}

// shown is what an image shows, without ids.
type shown struct {
	Split, Category string
	Box             []float64 // pixels
	Mask            string
	Points          []float64
	States          string
}

// shownIn reads what the images of a dataset show, by the name of their files.
func shownIn(t *testing.T, ds *dataset.Dataset) map[string][]shown {
	t.Helper()
	out := map[string][]shown{}
	tables := exchange.TablesFor(ds.Schema())
	var items []dataset.Item
	if err := ds.Items(t.Context(), &items, dataset.Query{}); err != nil {
		t.Fatal(err)
	}
	round := func(list []float64) []float64 {
		for i, f := range list {
			list[i] = math.Round(f*1e6) / 1e6
		}
		return list
	}
	for i := range items {
		for _, p := range tables.Pictures(&items[i], func(string) {}) {
			name := path.Base(exchange.Text(p.Row, "url"))
			out[name] = []shown{}
			for _, e := range p.Objects {
				s := shown{Split: exchange.Text(items[i].Item, "split"), Category: e.Category()}
				if e.Box != nil {
					box, err := exchange.Box(e.Box, p.Width, p.Height)
					if err != nil {
						t.Fatal(err)
					}
					s.Box = round(box[:])
				}
				if e.Mask != nil {
					counts, _ := exchange.Value(e.Mask, "counts").([]byte)
					s.Mask = string(counts)
				}
				if e.Points != nil {
					coords, _ := exchange.Value(e.Points, "coords").([]float64)
					states, _ := exchange.Value(e.Points, "states").([]string)
					s.Points, s.States = round(slices.Clone(coords)), strings.Join(states, " ")
				}
				out[name] = append(out[name], s)
			}
		}
	}
	return out
}

// TestGeometryRoundTrip exports to formats that keep no ids, and compares what the images show.
func TestGeometryRoundTrip(t *testing.T) {
	for _, test := range []struct {
		format, task string
		keep         func(*shown) // what the format keeps
	}{
		{"yolo", "detect", func(s *shown) { s.Mask, s.Points, s.States = "", nil, "" }},
		{"yolo", "segment", func(s *shown) { s.Box, s.Points, s.States = nil, nil, "" }},
		{"yolo", "pose", func(s *shown) { s.Mask = "" }},
		{"voc", "", func(s *shown) { s.Points, s.States = nil, "" }},
	} {
		t.Run(test.format+test.task, func(t *testing.T) {
			ds := sample(t)
			f, err := ByName(test.format)
			if err != nil {
				t.Fatal(err)
			}
			o := exchange.ExportOptions{Format: f, Out: filepath.Join(t.TempDir(), "out"), Params: map[string]string{}}
			if test.task != "" {
				o.Params["task"] = test.task
			}
			report := export(t, ds, o)
			if report.Media.Files != 6 {
				t.Errorf("%d media files, want 6", report.Media.Files)
			}
			data := dataDir(t)
			imported, err := exchange.Import(t.Context(), exchange.ImportOptions{Format: f, Source: o.Out,
				Dataset: filepath.Join(data, "library", "again"), MediaDir: filepath.Join(data, "media")})
			if err != nil {
				t.Fatal(err)
			}
			if len(imported.Warnings) > 0 {
				t.Errorf("warnings: %v", imported.Warnings)
			}
			again, err := dataset.Open(t.Context(), filepath.Join(data, "library", "again"), &dataset.Options{MediaDir: filepath.Join(data, "media")})
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			want, got := shownIn(t, ds), shownIn(t, again)
			for _, m := range []map[string][]shown{want, got} {
				for _, list := range m {
					for i := range list {
						test.keep(&list[i])
					}
				}
			}
			if test.format == "voc" { // pixels of two masks belong to the later one
				for _, m := range []map[string][]shown{want, got} {
					for _, list := range m {
						for i := range list[:max(0, len(list)-1)] {
							list[i].Mask = ""
						}
					}
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("images differ (-before +after):\n%s", diff)
			}
			media, err := again.OpenMedia("again/" + map[string]string{"yolo": "images/train/p0.png", "voc": "JPEGImages/p0.png"}[test.format])
			if err != nil {
				t.Fatal(err)
			}
			media.Close()
		})
	}
}
