// Package imaging decodes images of bounded size and makes them smaller.
package imaging

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	_ "image/gif" // a format that can be decoded; so are those below
	"image/jpeg"
	"image/png"
	"io"
	"math"

	_ "golang.org/x/image/bmp"
	"golang.org/x/image/draw"
	_ "golang.org/x/image/tiff"
	_ "golang.org/x/image/webp"
)

// MaxPixels bounds the images that are decoded: a file of a few bytes can claim a size that fills the memory.
const MaxPixels = 100_000_000

const quality = 85 // of a JPEG

// Decode decodes an image of at most MaxPixels, and returns it with the name of its format ("jpeg", "png", "gif", "bmp",
// "tiff", "webp").
func Decode(r io.ReadSeeker) (image.Image, string, error) {
	config, format, err := image.DecodeConfig(r)
	if err != nil {
		return nil, "", err
	}
	if config.Width <= 0 || config.Height <= 0 || config.Width > MaxPixels/config.Height {
		return nil, "", fmt.Errorf("an image of %d by %d pixels: want at least 1 and at most %d",
			config.Width, config.Height, MaxPixels)
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, "", err
	}
	img, _, err := image.Decode(r)
	if err == nil && img.Bounds().Empty() {
		err = errors.New("an image without pixels")
	}
	return img, format, err
}

// Fit returns the largest size of the same shape within a frame that is not larger than the image.
func Fit(width, height, frameWidth, frameHeight int) (int, int) {
	scale := min(1, float64(frameWidth)/float64(width), float64(frameHeight)/float64(height))
	scaled := func(n int) int { return max(1, int(math.Round(float64(n)*scale))) }
	return scaled(width), scaled(height)
}

// WhiteCanvas returns a white image.
func WhiteCanvas(width, height int) *image.RGBA {
	canvas := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(canvas, canvas.Rect, image.White, image.Point{}, draw.Src)
	return canvas
}

// EncodeJPEG returns an image as a JPEG.
func EncodeJPEG(img image.Image) ([]byte, error) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Reduce decodes an image and makes it fit into a frame, in pixels; it never makes it larger. The result is a JPEG or,
// if the image has transparent parts, a PNG. Opaque images of 16 bits are stretched over the range that they
// use, so that dark pictures of depth, heat or X-rays can be seen.
func Reduce(r io.ReadSeeker, frameWidth, frameHeight int) (content []byte, contentType string, err error) {
	img, _, err := Decode(r)
	if err != nil {
		return nil, "", err
	}
	b := img.Bounds()
	width, height := Fit(b.Dx(), b.Dy(), frameWidth, frameHeight)
	opaque, ok := img.(interface{ Opaque() bool })
	if ok && !opaque.Opaque() {
		canvas := image.NewNRGBA(image.Rect(0, 0, width, height))
		draw.ApproxBiLinear.Scale(canvas, canvas.Rect, img, b, draw.Src, nil)
		var buf bytes.Buffer
		if err := png.Encode(&buf, canvas); err != nil {
			return nil, "", err
		}
		return buf.Bytes(), "image/png", nil
	}
	if deep := samplesOf(img, MaxSamples); deep != nil {
		img = deep.stretched()
		b = img.Bounds()
	}
	canvas := image.NewRGBA(image.Rect(0, 0, width, height))
	scaler(b.Dx(), width).Scale(canvas, canvas.Rect, img, b, draw.Src, nil)
	content, err = EncodeJPEG(canvas)
	return content, "image/jpeg", err
}

// scaler returns the way of scaling: the exact one looks at every pixel, and is needed where many become one.
func scaler(from, to int) draw.Scaler {
	if from < 2*to {
		return draw.ApproxBiLinear
	}
	return draw.BiLinear
}
