package interop_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pixano/dataset"
	"pixano/features"
	"pixano/schema"
	"pixano/search"
	"pixano/server"
)

// Animal is what is seen in the pictures of Pets.
type Animal struct {
	schema.Entity
	Category string
}

// Pets is the aggregate of a dataset that the web interface of the reference can show: it has no list and no time of its
// own.
type Pets struct {
	schema.Item
	Caption string
	Stars   int64
	Photo   schema.Image
	Animals []Animal
	Boxes   []schema.BBox
	Masks   []schema.CompressedRLE
	Points  []schema.KeyPoints
	Labels  []schema.Classification
	Vectors []schema.ViewEmbedding `pixano:"photo_text,dim=4"`
}

// lengths is a model that knows how long a text is: one of n letters is like the n-th pet.
type lengths struct{}

func (lengths) Name() string             { return "lengths" }
func (lengths) Metadata() map[string]any { return nil }
func (lengths) Dim() int                 { return 4 }

func (lengths) EmbedTexts(_ context.Context, texts []string) ([][]float32, error) {
	var vectors [][]float32
	for _, t := range texts {
		vectors = append(vectors, []float32{float32(len(t)), 0, 0, 0})
	}
	return vectors, nil
}

func (lengths) EmbedImages(context.Context, []image.Image) ([][]float32, error) {
	return nil, errors.ErrUnsupported
}

const petCount = 25 // items: two pages

// Each picture has a ball that a segmenter finds: its middle and radius in pixels.
const ballX, ballY, ballRadius = 500, 110, 60

// makePets makes a library with one dataset and its media.
func makePets(t testing.TB) (library, media string) {
	t.Helper()
	dir := t.TempDir()
	library, media = filepath.Join(dir, "library"), filepath.Join(dir, "media")
	for _, d := range []string{library, filepath.Join(media, "pets")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	ds, err := dataset.Create(ctx, filepath.Join(library, "pets"), Pets{}, dataset.Info{ID: "pets", Name: "Pets", Workspace: "image"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	var pets []Pets
	for i := range petCount {
		id := fmt.Sprintf("pet_%02d", i)
		p := Pets{Item: schema.NewItem(id), Caption: fmt.Sprintf("a pet number %d", i), Stars: int64(i % 5)}
		ref, view := features.Item(id), features.View("photo", id+"_photo")
		p.Photo = schema.Image{View: schema.View{ID: view.ID, ItemRef: ref}, URL: "pets/" + id + ".jpg", Width: 640, Height: 480, Format: "JPEG"}
		animal := features.Entity("animals", id+"_animal")
		p.Animals = []Animal{{Entity: schema.Entity{ID: animal.ID, ItemRef: ref, ViewRef: view}, Category: []string{"cat", "dog"}[i%2]}}
		box := schema.NewBBox(id + "_box")
		box.Annotation = schema.Annotation{ID: id + "_box", ItemRef: ref, ViewRef: view, EntityRef: animal, SourceRef: features.Source("ground_truth")}
		box.Format, box.Coords, box.IsNormalized, box.Confidence = features.FormatXYWH, []float64{0.1, 0.1, 0.3, 0.3}, true, 1
		p.Boxes = []schema.BBox{box}
		vector := schema.ViewEmbedding{Embedding: schema.Embedding{ID: id + "_vector", ItemRef: ref, Vector: []float32{float32(i), 0, 0, 0}}, ViewRef: view}
		p.Vectors = []schema.ViewEmbedding{vector}
		pets = append(pets, p)
		writeJPEG(t, filepath.Join(media, p.Photo.URL), uint8(i*10))
	}
	truth := schema.Source{ID: schema.GroundTruthID, Name: schema.GroundTruthName, Kind: schema.SourceGroundTruth}
	if err := ds.Add(ctx, schema.SourceTable, truth); err != nil {
		t.Fatal(err)
	}
	if err := ds.AddItems(ctx, pets); err != nil {
		t.Fatal(err)
	}
	if err := search.SetFunction(ctx, ds, "photo_text", lengths{}); err != nil {
		t.Fatal(err)
	}
	if err := ds.SetConstraint(ctx, "animals", dataset.Constraint{Name: "category", Restricted: true, Values: []any{"cat", "dog"}}); err != nil {
		t.Fatal(err)
	}
	return library, media
}

func writeJPEG(t testing.TB, path string, shade uint8) {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 640, 480))
	for y := range 480 {
		for x := range 640 {
			c := color.RGBA{shade, uint8(x / 3), uint8(y / 2), 255}
			if dx, dy := x-ballX, y-ballY; dx*dx+dy*dy < ballRadius*ballRadius {
				c = color.RGBA{250, 220, 40, 255}
			}
			img.SetRGBA(x, y, c)
		}
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := jpeg.Encode(f, img, nil); err != nil {
		t.Fatal(err)
	}
}

// browser returns what drives a browser: the folder of the JavaScript packages of the web interface, and Chromium. Where
// one is missing the test is skipped, or fails if PIXANO_REQUIRE_INTEROP is set.
func browser(t *testing.T) (modules, chromium string) {
	t.Helper()
	missing := func(what string) {
		if os.Getenv("PIXANO_REQUIRE_INTEROP") != "" {
			t.Fatal(what)
		}
		t.Skip(what)
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			chromium = path
			break
		}
	}
	if chromium == "" {
		missing("no Chromium")
	}
	if _, err := exec.LookPath("node"); err != nil {
		missing("no Node.js")
	}
	modules = os.Getenv("PIXANO_UI_MODULES")
	if modules == "" {
		modules = filepath.Join("..", "..", "ui", "node_modules")
	}
	modules, err := filepath.Abs(modules)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, "playwright-core")); err != nil {
		missing("no playwright-core in " + modules + ": run npm ci in ui")
	}
	return modules, chromium
}

// referenceUI returns the folder of the web interface of Pixano 0.6.12, in the environment of an interpreter.
func referenceUI(t *testing.T, python string) string {
	t.Helper()
	out, err := exec.Command(python, "-c", "import importlib.util as u; print(u.find_spec('pixano').submodule_search_locations[0])").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "app", "dist")
}

// TestReferenceUI drives the real web interface of Pixano 0.6.12 on the server of this project: browse, page, sort,
// search, open, draw, save, reload, change, delete. PIXANO_SHOTS names a folder for pictures of the screen.
func TestReferenceUI(t *testing.T) {
	modules, chromium := browser(t)
	python := python(t, "pixano")
	dist := referenceUI(t, python)
	library, media := makePets(t)
	address := startServer(t, library, &server.Options{
		MediaDir: media, ReferenceUI: dist, ModelsDir: filepath.Join(library, "models"),
		Models: func(context.Context, search.Function) (search.Embedder, error) { return lengths{}, nil },
	})
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", filepath.Join("testdata", "reference_ui.mjs"), address, modules, chromium, os.Getenv("PIXANO_SHOTS"))
	log, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	t.Logf("%s", log)

	// What was drawn is in the dataset, as other programs see it.
	res, err := http.Get(address + "/annotations/pets/boxes?item_ids=pet_03")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var boxes []struct {
		ID   string
		Data struct {
			SourceRef struct{ ID string } `json:"source_ref"`
			EntityRef struct{ ID string } `json:"entity_ref"`
			Coords    []float64
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&boxes); err != nil {
		t.Fatal(err)
	}
	if len(boxes) != 1 || boxes[0].ID == "pet_03_box" || boxes[0].Data.SourceRef.ID != "pixano_source" {
		t.Errorf("boxes of the item in the end: %+v: want the one that was drawn", boxes)
	}
}
