// Owntypes declares classes of one's own by embedding, in Go and at run time.
//
//	go run ./examples/owntypes
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"pixano/dataset"
	"pixano/features"
	"pixano/schema"
)

// Vehicle is an entity with columns of its own. Tags name columns and give vectors their length.
type Vehicle struct {
	schema.Entity
	Kind     string
	Colours  []string
	Seen     time.Time
	Speed    float64   `pixano:"speed_kmh"`
	Features []float32 `pixano:",dim=4"`
}

// Truck extends a class of one's own.
type Truck struct {
	Vehicle
	Axles int
}

// Scene is an item with a column of its own, and three tables.
type Scene struct {
	schema.Item
	Weather  string
	Image    schema.Image // one for each item
	Vehicles []Vehicle    // any number
	Trucks   []Truck
}

func main() {
	dir, err := os.MkdirTemp("", "owntypes-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = run(context.Background(), filepath.Join(dir, "scenes"))
	}
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, path string) error {
	ds, err := dataset.Create(ctx, path, Scene{}, dataset.Info{Name: "Scenes"}, nil)
	if err != nil {
		return err
	}
	for _, t := range ds.Tables() {
		fmt.Printf("%s: %s, a kind of %s\n", t.Name, t.Schema, t.BaseSchema)
	}

	item := features.Item("scene_1")
	view := features.View("image", "view_1")
	lorry := Truck{Axles: 3, Vehicle: Vehicle{
		Entity: schema.Entity{ID: "lorry", ItemRef: item, ViewRef: view},
		Kind:   "lorry", Colours: []string{"white", "red"}, Seen: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Speed: 62.5,
		Features: []float32{1, 2, 3, 4},
	}}
	err = ds.AddItems(ctx, Scene{
		Item: schema.NewItem("scene_1"), Weather: "rain",
		Image:  schema.Image{View: schema.View{ID: view.ID, ItemRef: item}, URL: "scene_1.jpg", Width: 640, Height: 480, Format: "JPEG"},
		Trucks: []Truck{lorry},
	})
	if err != nil {
		return err
	}
	if err := ds.Close(); err != nil {
		return err
	}

	// A program that knows the types reads them as they are …
	if ds, err = dataset.Open(ctx, path, nil); err != nil {
		return err
	}
	defer ds.Close()
	trucks, err := dataset.TableOf[Truck](ds, "trucks")
	if err != nil {
		return err
	}
	for t, err := range trucks.Where("speed_kmh > ? AND axles >= ?", 50, 3).All(ctx) {
		if err != nil {
			return err
		}
		fmt.Println(t.ID, t.Kind, t.Colours, t.Seen.Year(), t.Speed, t.Axles, t.Features)
	}

	// … one that wants some columns says which …
	var speeds []struct {
		schema.Entity
		Speed float64 `pixano:"speed_kmh"`
	}
	if err := ds.Get(ctx, "trucks", &speeds, dataset.Query{}); err != nil {
		return err
	}
	fmt.Println(speeds[0].ID, speeds[0].Speed)

	// … and one that does not know them reads dynamic rows.
	var rows []*schema.Dynamic
	if err := ds.Get(ctx, "trucks", &rows, dataset.Query{}); err != nil {
		return err
	}
	id, _ := rows[0].Get("id")
	axles, _ := rows[0].Get("axles")
	fmt.Println(id, axles)

	// A type that does not fit the table is an error, before anything is read or written.
	type Bicycle struct {
		schema.Entity
		Gears int
	}
	_, err = dataset.TableOf[Bicycle](ds, "trucks")
	fmt.Println(err)
	return nil
}
