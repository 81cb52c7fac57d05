// Quickstart makes a dataset of three pictures, reads it, adds an annotation and searches it by meaning.
//
//	go run ./examples/quickstart
package main

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"log"
	"os"
	"path/filepath"

	"pixano/dataset"
	"pixano/features"
	"pixano/inference"
	"pixano/inference/annotate"
	"pixano/inference/toyclip"
	"pixano/schema"
	"pixano/search"
)

// Object is a class of one's own: an entity with a column more.
type Object struct {
	schema.Entity
	Category string
}

// Street is one item of the dataset. Its fields are the tables.
type Street struct {
	schema.Item
	Image   schema.Image
	Objects []Object
	BBoxes  []schema.BBox `pixano:"bboxes"`
}

func main() {
	dir, err := os.MkdirTemp("", "quickstart-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = run(context.Background(), dir)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, dir string) error {
	// Create. dataset.Open opens it again.
	ds, err := dataset.Create(ctx, filepath.Join(dir, "streets"), Street{}, dataset.Info{Name: "Streets", Workspace: "image"},
		&dataset.Options{MediaDir: filepath.Join(dir, "media")})
	if err != nil {
		return err
	}
	defer ds.Close()

	// Add whole items.
	colours := map[string]color.RGBA{"red": {220, 20, 20, 255}, "green": {20, 160, 40, 255}, "blue": {30, 60, 220, 255}}
	var items []Street
	for _, name := range []string{"red", "green", "blue"} {
		if err := paint(filepath.Join(dir, "media", name+".png"), colours[name]); err != nil {
			return err
		}
		item, view, object := features.Item(name), features.View("image", "view_"+name), features.Entity("objects", "car_"+name)
		box := schema.NewBBox("box_" + name)
		box.ItemRef, box.ViewRef, box.EntityRef = item, view, object
		box.Format, box.Coords, box.Confidence = "xywh", []float64{40, 60, 80, 50}, 0.9
		items = append(items, Street{
			Item:    schema.NewItem(name),
			Image:   schema.Image{View: schema.View{ID: view.ID, ItemRef: item}, URL: name + ".png", Width: 160, Height: 160, Format: "PNG"},
			Objects: []Object{{Entity: schema.Entity{ID: object.ID, ItemRef: item, ViewRef: view}, Category: name + " car"}},
			BBoxes:  []schema.BBox{box},
		})
	}
	if err := ds.AddItems(ctx, items); err != nil {
		return err
	}

	// Read whole items.
	streets, err := dataset.ItemsOf[Street](ds)
	if err != nil {
		return err
	}
	for street, err := range streets.OrderBy("id").All(ctx) {
		if err != nil {
			return err
		}
		fmt.Println(street.ID, street.Image.URL, street.Objects[0].Category, street.BBoxes[0].Coords)
	}

	// Add an annotation to a table, and ask for rows of it.
	boxes, err := dataset.TableOf[schema.BBox](ds, "bboxes")
	if err != nil {
		return err
	}
	wheel := schema.NewBBox("wheel")
	wheel.ItemRef, wheel.ViewRef = features.Item("red"), features.View("image", "view_red")
	wheel.Format, wheel.Coords, wheel.Confidence = "xywh", []float64{50, 100, 15, 15}, 0.4
	if err := boxes.Add(ctx, wheel); err != nil {
		return err
	}
	for box, err := range boxes.Where("confidence < ?", 0.5).All(ctx) {
		if err != nil {
			return err
		}
		fmt.Println("unsure:", box.ID, "on", box.ItemRef.ID)
	}

	// Vectors of the pictures, by a model without weights that knows names of colours, and a search by text.
	model := toyclip.Embedder{}
	_, err = annotate.EmbedViews(ctx, ds, annotate.EmbedRequest{
		Model: annotate.Model{Provider: inference.ProviderOf(model), Name: toyclip.Name}, Table: "image_embedding", Views: "image"})
	if err != nil {
		return err
	}
	found, err := search.New(ds, model).Semantic(ctx, "a blue car", "image_embedding", 1)
	if err != nil {
		return err
	}
	fmt.Println("a blue car:", found.Hits[0].ItemID)
	return nil
}

// paint writes a picture of a car.
func paint(path string, c color.Color) error {
	img := image.NewRGBA(image.Rect(0, 0, 160, 160))
	draw.Draw(img, img.Bounds(), image.NewUniform(color.Gray{235}), image.Point{}, draw.Src)
	draw.Draw(img, image.Rect(40, 60, 120, 110), image.NewUniform(c), image.Point{}, draw.Src)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return png.Encode(f, img)
}
