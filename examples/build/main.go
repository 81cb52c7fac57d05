// Build makes a dataset of one's own data with an iterator: here a table of measurements in CSV. Rows are written while the
// iterator goes on, in bounded memory, and the dataset appears when it is whole.
//
//	go run ./examples/build
package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"pixano/dataset"
	"pixano/features"
	"pixano/schema"
)

const data = `file,width,height,split,object,x,y,w,h
a.jpg,640,480,train,cat,10,20,100,80
a.jpg,640,480,train,dog,200,120,90,60
b.jpg,800,600,val,cat,300,310,50,40
`

// Animal is what is seen.
type Animal struct {
	schema.Entity
	Species string
}

// Photo is one item.
type Photo struct {
	schema.Item
	Image   schema.Image
	Animals []Animal
	BBoxes  []schema.BBox `pixano:"bboxes"`
}

// lines is the builder: it yields rows of the tables, as many at a time as it likes.
type lines struct{ from io.Reader }

func (l lines) Generate(_ context.Context, b *dataset.BuildContext) iter.Seq2[dataset.Batch, error] {
	return func(yield func(dataset.Batch, error) bool) {
		source, err := b.AddSource("counting by hand", "human", map[string]any{"year": 2026}, "")
		if err != nil {
			yield(nil, err)
			return
		}
		table := csv.NewReader(l.from)
		if _, err := table.Read(); err != nil { // the header
			yield(nil, err)
			return
		}
		seen := map[string]bool{}
		for {
			line, err := table.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
			var n [6]float64 // width, height, x, y, w, h
			for i, column := range []int{1, 2, 5, 6, 7, 8} {
				if n[i], err = strconv.ParseFloat(line[column], 64); err != nil {
					yield(nil, err)
					return
				}
			}
			id := strings.TrimSuffix(line[0], ".jpg")
			item, view := features.Item(id), features.View("image", "view_"+id)
			batch := dataset.Batch{}
			if !seen[id] {
				seen[id] = true
				row := schema.NewItem(id)
				row.Split = line[3]
				batch["item"] = row
				batch["image"] = schema.Image{View: schema.View{ID: view.ID, ItemRef: item}, URL: line[0], Width: int64(n[0]), Height: int64(n[1]), Format: "JPEG"}
			}
			animal := Animal{Entity: schema.Entity{ID: b.NewID(), ItemRef: item, ViewRef: view}, Species: line[4]}
			box := schema.NewBBox(b.NewID())
			box.ItemRef, box.ViewRef, box.EntityRef, box.SourceRef = item, view, features.Entity("animals", animal.ID), features.Source(source)
			box.Format, box.Coords = "xywh", n[2:]
			batch["animals"], batch["bboxes"] = animal, box
			if !yield(batch, nil) {
				return
			}
		}
	}
}

func main() {
	dir, err := os.MkdirTemp("", "build-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = run(context.Background(), filepath.Join(dir, "animals"))
	}
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, path string) error {
	ds, err := dataset.Build(ctx, path, Photo{}, dataset.Info{Name: "Animals"}, lines{strings.NewReader(data)}, nil)
	if err != nil {
		return err
	}
	defer ds.Close()
	for _, t := range ds.Tables() {
		n, err := ds.Count(ctx, t.Name, dataset.Query{})
		if err != nil {
			return err
		}
		fmt.Println(t.Name, n)
	}

	// A mistake in the data names its place, and nothing of it is stored.
	wrong := lines{strings.NewReader("file,width,height,split,object,x,y,w,h\nc.jpg,640,480,train,cat,-5,20,100,80\n")}
	_, err = dataset.Build(ctx, path, nil, dataset.Info{}, wrong, &dataset.BuildOptions{Mode: dataset.BuildAdd})
	var place *dataset.Error
	fmt.Println(errors.As(err, &place), place.Table, place.Field)
	n, err := ds.Count(ctx, "item", dataset.Query{})
	fmt.Println("items:", n)
	return err
}
