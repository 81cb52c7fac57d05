// Command ui makes the library that the web interface is measured on: "many", a dataset of a million items, and "crowd",
// one picture of 3840 × 2160 with 400 boxes, 500 masks of polygons of 60 points, and 100 skeletons. The flows of the web
// interface (ui/tests/flows/load.test.ts) print what they take.
//
//	go run ./internal/bench/ui [-items 1000000] DIR
package main

import (
	"context"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"

	"pixano/dataset"
	"pixano/features"
	"pixano/schema"
)

type many struct {
	schema.Item
	Weather string
	Score   float64
	Number  int
}

type thing struct {
	schema.Entity
	Category string
}

type crowd struct {
	schema.Item
	Image     schema.Image
	Objects   []thing
	BBoxes    []schema.BBox          `pixano:"bboxes"`
	Masks     []schema.CompressedRLE `pixano:"masks"`
	KeyPoints []schema.KeyPoints     `pixano:"keypoints"`
}

func main() {
	items := flag.Int("items", 1_000_000, "items of the dataset many")
	flag.Parse()
	if flag.NArg() != 1 || *items < 1 {
		fmt.Fprintln(os.Stderr, "usage: ui [-items N] DIR")
		os.Exit(2)
	}
	if err := run(context.Background(), flag.Arg(0), *items); err != nil {
		fmt.Fprintln(os.Stderr, "ui:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, items int) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	ds, err := dataset.Build(ctx, filepath.Join(dir, "many"), many{}, dataset.Info{ID: "many", Name: "Many", Description: "a long list", Workspace: "image"}, manyItems(items), nil)
	if err != nil {
		return err
	}
	if err := ds.Close(); err != nil {
		return err
	}
	ds, err = dataset.Build(ctx, filepath.Join(dir, "crowd"), crowd{}, dataset.Info{ID: "crowd", Name: "Crowd", Description: "1,000 objects on one picture", Workspace: "image"}, crowdItems(), nil)
	if err != nil {
		return err
	}
	if err := writePicture(filepath.Join(dir, "crowd", "media", "crowd.jpg")); err != nil {
		return err
	}
	return ds.Close()
}

func manyItems(n int) dataset.Builder {
	const batch = 10_000
	return dataset.BuilderFunc(func(_ context.Context, _ *dataset.BuildContext, yield func(dataset.Batch) error) error {
		rng := rand.New(rand.NewPCG(1, 1))
		weather := []string{"clear", "cloudy", "fog", "rain", "snow"}
		splits := []string{"train", "train", "train", "val", "test"}
		for start := 0; start < n; start += batch {
			rows := make([]many, min(batch, n-start))
			for i := range rows {
				item := schema.NewItem(fmt.Sprintf("item_%07d", start+i))
				item.Split = splits[rng.IntN(len(splits))]
				rows[i] = many{Item: item, Weather: weather[rng.IntN(len(weather))], Score: rng.Float64(), Number: start + i}
			}
			if err := yield(dataset.Batch{"item": rows}); err != nil {
				return err
			}
		}
		return nil
	})
}

const width, height = 3840, 2160

func crowdItems() dataset.Builder {
	return dataset.BuilderFunc(func(_ context.Context, b *dataset.BuildContext, yield func(dataset.Batch) error) error {
		truth, err := b.AddGroundTruthSource(nil)
		if err != nil {
			return err
		}
		rng := rand.New(rand.NewPCG(2, 2))
		item, view := features.Item("crowd"), features.View("image", "crowd-image")
		classes := []string{"car", "person", "bus", "dog", "bicycle", "tree"}
		var things []thing
		var boxes []schema.BBox
		var masks []schema.CompressedRLE
		var poses []schema.KeyPoints
		for i := range 1000 {
			x, y := 100+rng.Float64()*(width-400), 100+rng.Float64()*(height-400)
			w, h := 30+rng.Float64()*160, 30+rng.Float64()*160
			object := thing{Entity: schema.Entity{ID: fmt.Sprintf("thing_%04d", i), ItemRef: item, ViewRef: view}, Category: classes[i%len(classes)]}
			things = append(things, object)
			said := schema.Annotation{ID: fmt.Sprintf("said_%04d", i), ItemRef: item, ViewRef: view, EntityRef: features.Entity("objects", object.ID), SourceRef: features.Source(truth), InferenceMetadata: "{}"}
			switch {
			case i < 400:
				boxes = append(boxes, schema.BBox{Annotation: said, Coords: []float64{x, y, w, h}, Format: "xywh", Confidence: 1})
			case i < 900:
				ring := make([]float64, 0, 120)
				for k := range 60 {
					angle := 2 * math.Pi * float64(k) / 60
					r := 0.75 + 0.25*rng.Float64()
					ring = append(ring, x+w/2*(1+r*math.Cos(angle)), y+h/2*(1+r*math.Sin(angle)))
				}
				rle, err := features.RLEFromPolygons(height, width, [][]float64{ring})
				if err != nil {
					return err
				}
				mask := schema.CompressedRLE{Annotation: said}
				mask.SetMask(rle)
				masks = append(masks, mask)
			default:
				pose := schema.KeyPoints{Annotation: said, TemplateID: "person-17"}
				for range 17 {
					pose.Coords = append(pose.Coords, x+rng.Float64()*w, y+rng.Float64()*h)
					pose.States = append(pose.States, "visible")
				}
				poses = append(poses, pose)
			}
		}
		return yield(dataset.Batch{
			"item":    schema.NewItem("crowd"),
			"image":   schema.Image{View: schema.View{ID: view.ID, ItemRef: item}, URL: "crowd.jpg", Width: width, Height: height, Format: "JPEG"},
			"objects": things, "bboxes": boxes, "masks": masks, "keypoints": poses,
		})
	})
}

// writePicture draws soft waves, which compress as photographs do.
func writePicture(path string) error {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			v := math.Sin(float64(x)/170)*math.Cos(float64(y)/130)*60 + math.Sin(float64(x*y)/9000)*12
			img.SetRGBA(x, y, color.RGBA{uint8(100 + v), uint8(115 + v/2), uint8(130 - v/3), 255})
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := jpeg.Encode(file, img, &jpeg.Options{Quality: 88}); err != nil {
		return err
	}
	return file.Close()
}
