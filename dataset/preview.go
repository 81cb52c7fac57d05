package dataset

import (
	"context"
	"encoding/base64"
	"errors"
	"image"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/image/draw"

	"pixano/internal/imaging"
	"pixano/schema"
)

const previewWidth, previewHeight = 350, 150 // pixels

// previewFile is the thumbnail of the dataset in lists.
const previewFile = "previews/dataset_preview.jpg"

// Preview returns a picture of the dataset as a JPEG of at most 350 by 150 pixels.
//
// It is previews/dataset_preview.jpg if that is there, made smaller where needed. Otherwise it is made, and not stored:
// of the images of the first four rows of the first table of images that has a readable one among them, two side by side
// and more in two rows. Without any, and for a dataset of the record layout, it is ErrNotFound.
func (d *Dataset) Preview(ctx context.Context) ([]byte, error) {
	const op = "preview"
	file, err := openIn(d.path, previewFile)
	if errors.Is(err, ErrNotFound) {
		content, err := d.mosaic(ctx, op)
		return content, wrap(op, "", err)
	}
	if err == nil {
		defer file.Close()
		var content []byte
		if content, err = fitPreview(file); err == nil {
			return content, nil
		}
	}
	return nil, &Error{Op: op, Field: previewFile, Err: err}
}

// PreviewURL returns the preview as a data URL, or "" if there is none.
func (d *Dataset) PreviewURL(ctx context.Context) string {
	content, err := d.Preview(ctx)
	if err != nil {
		return ""
	}
	return "data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(content)
}

// SavePreview makes the preview of the dataset's images, as [Dataset.Preview] does where there is none, and stores it as
// previews/dataset_preview.jpg in the place of the one there.
func (d *Dataset) SavePreview(ctx context.Context) error {
	const op = "save preview"
	if d.readOnly {
		return at(op, "", ErrReadOnly)
	}
	content, err := d.mosaic(ctx, op) // without the lock: it may take seconds
	if err != nil {
		return at(op, "", err)
	}
	return d.exclusively(ctx, op, "", func(*meta) error {
		path := filepath.Join(d.path, filepath.FromSlash(previewFile))
		err := os.Mkdir(filepath.Dir(path), 0o755)
		if err == nil || errors.Is(err, fs.ErrExist) {
			err = writeFile(path, content)
		}
		if err != nil {
			return &Error{Field: previewFile, Err: fileError(err)}
		}
		return nil
	})
}

// mosaic makes a preview of the first images.
func (d *Dataset) mosaic(ctx context.Context, op string) ([]byte, error) {
	for _, table := range d.Tables() {
		if table.Group != schema.GroupViews || !schema.IsA(table.BaseSchema, "Image") {
			continue
		}
		urls, err := d.firstURLs(ctx, op, table.Name, 4)
		if err != nil {
			return nil, err
		}
		var images []image.Image
		for _, url := range urls {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if img, err := d.decodeMedia(url); err == nil {
				images = append(images, img)
			}
		}
		if len(images) > 0 {
			return imaging.EncodeJPEG(drawMosaic(images))
		}
	}
	const none = "no image that can be read: want one in the first rows of a table of images"
	return nil, &kindError{ErrNotFound, none, fs.ErrNotExist}
}

// firstURLs returns the urls of the first n rows of a table.
func (d *Dataset) firstURLs(ctx context.Context, op, table string, n int) ([]string, error) {
	var urls []string
	for batch, err := range d.scan(ctx, op, table, Query{Limit: n}, []string{"url"}) {
		if err != nil {
			return nil, err
		}
		rows, err := decodeRows(batch, newRowColumns(batch.Schema().Fields()))
		if err != nil {
			return nil, at(op, table, err)
		}
		for _, row := range rows {
			if url, ok := row.Value("url").(string); ok {
				urls = append(urls, url)
			}
		}
	}
	return urls, nil
}

func (d *Dataset) decodeMedia(url string) (image.Image, error) {
	file, err := d.OpenMedia(url)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	img, _, err := imaging.Decode(file)
	return img, err
}

// fitPreview returns the image in a file as a JPEG of the size of previews. One that is so already stays as it is.
func fitPreview(file *Media) ([]byte, error) {
	img, format, err := imaging.Decode(file)
	if err != nil {
		return nil, &kindError{ErrCorrupt, err.Error(), err}
	}
	width, height := imaging.Fit(img.Bounds().Dx(), img.Bounds().Dy(), previewWidth, previewHeight)
	if format == "jpeg" && width == img.Bounds().Dx() && height == img.Bounds().Dy() {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		return io.ReadAll(file)
	}
	canvas := imaging.WhiteCanvas(width, height)
	draw.CatmullRom.Scale(canvas, canvas.Rect, img, img.Bounds(), draw.Over, nil)
	return imaging.EncodeJPEG(canvas)
}

// drawMosaic fills a canvas of the size of previews with up to four images, each cut to the shape of its cell.
func drawMosaic(images []image.Image) image.Image {
	columns, rows := min(len(images), 2), 1
	if len(images) > 2 {
		rows = 2
	}
	cell := image.Rect(0, 0, previewWidth/columns, previewHeight/rows)
	canvas := imaging.WhiteCanvas(previewWidth, previewHeight)
	for i, img := range images {
		place := cell.Add(image.Pt(i%columns*cell.Dx(), i/columns*cell.Dy()))
		draw.CatmullRom.Scale(canvas, place, img, centre(img.Bounds(), cell), draw.Over, nil)
	}
	return canvas
}

// centre returns the largest part in the middle of an image that has the shape of a cell.
func centre(b, cell image.Rectangle) image.Rectangle {
	width, height := b.Dx(), b.Dy()
	if width*cell.Dy() > height*cell.Dx() {
		width = max(1, height*cell.Dx()/cell.Dy())
	} else {
		height = max(1, width*cell.Dy()/cell.Dx())
	}
	corner := b.Min.Add(image.Pt((b.Dx()-width)/2, (b.Dy()-height)/2))
	return image.Rectangle{corner, corner.Add(image.Pt(width, height))}
}
