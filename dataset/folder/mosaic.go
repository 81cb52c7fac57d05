package folder

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"io"
	"math"

	xdraw "golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"

	"pixano/dataset/exchange"
)

type picture = image.Image

const (
	mosaicGap    = 5  // pixels between cells
	mosaicBand   = 30 // height of the title above each
	mosaicPixels = 100_000_000
)

// readPicture decodes an image of the source, unless it is too large.
func readPicture(in *exchange.Input, name string) (picture, error) {
	info, err := in.Image(name)
	if err != nil {
		return nil, err
	}
	if info.Width*info.Height > mosaicPixels {
		return nil, fmt.Errorf("%s: %w", name, errTooLarge)
	}
	f, err := in.OpenMedia(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	img, _, err := image.Decode(io.Reader(f))
	if err != nil {
		return nil, fmt.Errorf("media file %q cannot be decoded: %w", name, err)
	}
	return img, nil
}

// mosaic puts images of one view side by side, each under a title, and returns a JPEG with its size.
func mosaic(title string, images []picture) (data []byte, width, height int, err error) {
	w, h := 0, 0
	for _, img := range images {
		w += img.Bounds().Dx()
		h += img.Bounds().Dy()
	}
	w, h = max(1, w/len(images)), max(1, h/len(images))
	cols := int(math.Ceil(math.Sqrt(float64(len(images)))))
	rows := (len(images) + cols - 1) / cols
	width, height = cols*(w+mosaicGap)-mosaicGap, rows*(h+mosaicBand+mosaicGap)-mosaicGap
	if int64(width)*int64(height) > mosaicPixels {
		return nil, 0, 0, errTooLarge
	}
	canvas := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(canvas, canvas.Bounds(), image.Black, image.Point{}, draw.Src)
	for i, img := range images {
		x, y := i%cols*(w+mosaicGap), i/cols*(h+mosaicBand+mosaicGap)
		label := &font.Drawer{Dst: canvas, Src: image.NewUniform(color.White), Face: basicfont.Face7x13}
		text := fmt.Sprintf("%s %d", title, i+1)
		left := x + max(0, (w-label.MeasureString(text).Ceil())/2)
		label.Dot = fixed.P(left, y+mosaicBand/2+5)
		label.DrawString(text)
		cell := image.Rect(x, y+mosaicBand, x+w, y+mosaicBand+h)
		draw.Draw(canvas, cell, image.Black, image.Point{}, draw.Src)
		xdraw.CatmullRom.Scale(canvas, cell, img, img.Bounds(), draw.Over, nil)
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, canvas, &jpeg.Options{Quality: 85}); err != nil {
		return nil, 0, 0, err
	}
	return out.Bytes(), width, height, nil
}
