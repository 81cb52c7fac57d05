package annotate

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"io"
	"math"
	"strings"

	"pixano/dataset"
	"pixano/features"
	"pixano/inference"
	"pixano/schema"
)

// View is a picture of a dataset: a row of a table of images or of frames.
type View struct {
	Table string
	schema.Image
}

// Ref returns the reference to the row.
func (v View) Ref() features.ViewRef { return features.View(v.Table, v.ID) }

// checkViews wants a table of images.
func checkViews(ds *dataset.Dataset, table string) error {
	class, err := classOf(ds, table)
	if err == nil && !schema.IsA(class.Base, "Image") {
		err = inference.Errorf(inference.ErrInvalidRequest, "table %s holds %s: want Image or SequenceFrame", table, class.Base)
	}
	return err
}

// classOf returns the class of a table's rows.
func classOf(ds *dataset.Dataset, table string) (*schema.Class, error) {
	if ds.Schema() != nil {
		if class, ok := ds.Schema().Class(table); ok {
			return class, nil
		}
	}
	return nil, &dataset.Error{Op: "annotate", Table: table, Err: fmt.Errorf("%w: no such table", dataset.ErrNotFound)}
}

// ReadView reads a row of a table of images.
func ReadView(ctx context.Context, ds *dataset.Dataset, table, id string) (View, error) {
	if err := checkViews(ds, table); err != nil {
		return View{}, err
	}
	v := View{Table: table}
	err := ds.Resolve(ctx, features.View(table, id), &v.Image)
	return v, err
}

// Picture opens the picture of a view for a model. Its ID changes with the file, so that providers may keep what they
// computed of it. Pictures of http, https and s3 are left to the provider, see [inference.RemoteImage].
func Picture(ds *dataset.Dataset, v View) (*inference.Image, error) {
	img, err := picture(ds, v)
	if err != nil {
		return nil, &dataset.Error{Op: "read picture", Table: v.Table, ID: v.ID, Err: err}
	}
	return img, nil
}

func picture(ds *dataset.Dataset, v View) (*inference.Image, error) {
	switch scheme, _, _ := strings.Cut(v.URL, "://"); strings.ToLower(scheme) {
	case "http", "https", "s3":
		return inference.RemoteImage(v.URL)
	}
	media, err := ds.OpenMedia(v.URL)
	if err != nil {
		return nil, err
	}
	defer media.Close()
	if media.Size > inference.MaxImageBytes {
		return nil, inference.Errorf(inference.ErrInvalidRequest, "picture of %d bytes: want at most %d", media.Size, inference.MaxImageBytes)
	}
	// One byte more, so that a file that grows meanwhile is found out.
	var buf bytes.Buffer
	buf.Grow(int(media.Size) + 512)
	if _, err := buf.ReadFrom(io.LimitReader(media, inference.MaxImageBytes+1)); err != nil {
		return nil, err
	}
	img, err := inference.NewImage(buf.Bytes())
	if err != nil {
		return nil, err
	}
	return img.WithID(fmt.Sprintf("%s/%s/%s@%d.%d", ds.Info().ID, v.Table, v.ID, media.Size, media.ModTime.UnixNano())), nil
}

// sizeOf returns the size of a view's picture, in pixels: of the file, or what the row says of one that is not here.
func sizeOf(img *inference.Image, v View) image.Point {
	if size := img.Size(); size != (image.Point{}) {
		return size
	}
	return image.Pt(int(v.Width), int(v.Height))
}

// Box returns a box in whole pixels of a picture of the given size, as prompts want it: fractions are multiplied by the
// size, halves are rounded to the even number. What is no box is ErrInvalidRequest.
func Box(b schema.BBox, size image.Point) (image.Rectangle, error) {
	coords, err := b.Coords, error(nil)
	if b.IsNormalized {
		coords, err = features.Denormalize(coords, float64(size.X), float64(size.Y))
	}
	if err == nil {
		coords, err = features.ConvertBox(coords, b.Format, features.FormatXYXY)
	}
	if err != nil {
		return image.Rectangle{}, inference.Errorf(inference.ErrInvalidRequest, "%v", err)
	}
	var c [4]int
	for i, v := range coords {
		if !(math.Abs(v) < math.MaxInt32) {
			return image.Rectangle{}, inference.Errorf(inference.ErrInvalidRequest, "box %v: want coordinates in the picture", coords)
		}
		c[i] = int(math.RoundToEven(v))
	}
	return image.Rectangle{Min: image.Pt(c[0], c[1]), Max: image.Pt(c[2], c[3])}, nil
}
