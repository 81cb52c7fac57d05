// Package toyclip is a stand-in for a model that has vectors of pictures and texts in one space: it knows the names of eleven
// colours. It is for demonstrations and tests, where no weights are at hand, and needs no runtime for models.
//
// A picture's vector says how much of it has each colour, that of a text how often it names each, so that "a red car"
// finds pictures with much red in them. It computes what a pair of small ONNX models of the same name does, up to rounding.
package toyclip

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"strings"
	"unicode"
)

// Name is the name of the model as the metadata of embedding tables has it.
const Name = "toy-clip"

// Dim is the number of values of a vector: one for each of red, green, blue, yellow, white, black, gray, orange, purple,
// pink and brown.
const Dim = len(words)

var words = [...]string{"red", "green", "blue", "yellow", "white", "black", "gray", "orange", "purple", "pink", "brown"}

var colours = [Dim][3]float64{
	{1, 0, 0}, {0, .6, 0}, {0, 0, 1}, {1, 1, 0}, {1, 1, 1}, {0, 0, 0}, {.5, .5, .5}, {1, .55, 0}, {.5, 0, .5}, {1, .7, .75}, {.55, .27, .07},
}

const (
	cells     = 16  // of the square, in a row and in a column
	sharpness = 30  // of the choice between colours
	least     = .01 // of each value of a text
)

// Embedder computes the vectors. Its zero value is ready, and safe for concurrent use.
type Embedder struct{}

// Name returns [Name].
func (Embedder) Name() string { return Name }

// Metadata returns nil: there is one model of this kind.
func (Embedder) Metadata() map[string]any { return nil }

// Dim returns [Dim].
func (Embedder) Dim() int { return Dim }

// EmbedTexts returns a vector for each text: how often it has each of the words, in any case, and a little more than
// nothing of the others.
func (Embedder) EmbedTexts(ctx context.Context, texts []string) ([][]float32, error) {
	vectors := make([][]float32, len(texts))
	for i, text := range texts {
		v := make([]float32, Dim)
		for k := range v {
			v[k] = least
		}
		for word := range strings.FieldsFuncSeq(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) }) {
			for k, name := range words {
				if word == name {
					v[k]++
				}
			}
		}
		vectors[i] = v
	}
	return vectors, ctx.Err()
}

// EmbedImages returns a vector for each picture: the share of each colour in the square in its middle, cut into 16 by 16
// cells, each of which is divided among the colours by how near they are to its mean. The values sum up to 1. A picture
// without pixels is an error.
func (Embedder) EmbedImages(ctx context.Context, images []image.Image) ([][]float32, error) {
	vectors := make([][]float32, len(images))
	for i, img := range images {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if img == nil || img.Bounds().Empty() {
			return nil, fmt.Errorf("image %d: %w", i, errEmpty)
		}
		vectors[i] = embed(img)
	}
	return vectors, nil
}

var errEmpty = errors.New("it has no pixels: want at least one")

func embed(img image.Image) []float32 {
	bounds := img.Bounds()
	side := min(bounds.Dx(), bounds.Dy())
	left, top := bounds.Min.X+(bounds.Dx()-side)/2, bounds.Min.Y+(bounds.Dy()-side)/2
	var sums [Dim]float64
	for row := range cells {
		y0, y1 := span(top, side, row)
		for column := range cells {
			x0, x1 := span(left, side, column)
			share(mean(img, image.Rect(x0, y0, x1, y1)), &sums)
		}
	}
	v := make([]float32, Dim)
	for k, sum := range sums {
		v[k] = float32(sum / (cells * cells))
	}
	return v
}

// span gives the pixels of the i-th cell from a start on, one at least.
func span(start, side, i int) (from, to int) {
	from, to = start+side*i/cells, start+side*(i+1)/cells
	return from, max(to, from+1)
}

// mean gives the mean colour of a part of a picture, in [0, 1]. What is transparent counts as black.
func mean(img image.Image, part image.Rectangle) (c [3]float64) {
	for y := part.Min.Y; y < part.Max.Y; y++ {
		if rgba, ok := img.(*image.RGBA); ok { // by far the most pictures come like this, and the interface is slow
			at := rgba.PixOffset(part.Min.X, y)
			for range part.Dx() {
				for k := range c {
					c[k] += float64(rgba.Pix[at+k]) / math.MaxUint8
				}
				at += 4
			}
			continue
		}
		for x := part.Min.X; x < part.Max.X; x++ {
			r, g, b, _ := img.At(x, y).RGBA()
			c[0] += float64(r) / math.MaxUint16
			c[1] += float64(g) / math.MaxUint16
			c[2] += float64(b) / math.MaxUint16
		}
	}
	for k := range c {
		c[k] /= float64(part.Dx() * part.Dy())
	}
	return c
}

// share divides one cell among the colours.
func share(c [3]float64, sums *[Dim]float64) {
	var weights [Dim]float64
	total := 0.0
	for k, colour := range colours {
		distance := 0.0
		for i := range c {
			distance += (c[i] - colour[i]) * (c[i] - colour[i])
		}
		weights[k] = math.Exp(-sharpness * distance)
		total += weights[k]
	}
	for k := range sums {
		sums[k] += weights[k] / total
	}
}
