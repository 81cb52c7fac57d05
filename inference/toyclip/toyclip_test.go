package toyclip

import (
	"context"
	"image"
	"image/color"
	"image/draw"
	"math"
	"slices"
	"strings"
	"testing"
)

func plain(c color.Color, size image.Rectangle) image.Image {
	img := image.NewNRGBA(size)
	draw.Draw(img, size, image.NewUniform(c), image.Point{}, draw.Src)
	return img
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab, aa, bb = ab+float64(a[i])*float64(b[i]), aa+float64(a[i])*float64(a[i]), bb+float64(b[i])*float64(b[i])
	}
	return ab / math.Sqrt(aa*bb)
}

func TestTextsFindTheirColours(t *testing.T) {
	texts, err := Embedder{}.EmbedTexts(t.Context(), []string{"a photo of a red car", "the BLUE sea", "yellow flower", "reddish"})
	if err != nil {
		t.Fatal(err)
	}
	size := image.Rect(3, 5, 40, 64)
	images, err := Embedder{}.EmbedImages(t.Context(), []image.Image{
		plain(color.NRGBA{255, 0, 0, 255}, size), plain(color.NRGBA{0, 0, 255, 255}, size), plain(color.NRGBA{255, 255, 0, 255}, size),
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range images {
		for k := range images {
			want := .01
			if i == k {
				want = 1
			}
			if got := cosine(texts[i], images[k]); math.Abs(got-want) > .011 {
				t.Errorf("text %d, picture %d: cosine %.3f, want %.2f", i, k, got, want)
			}
		}
	}
	if i := slices.IndexFunc(texts[3], func(v float32) bool { return v != .01 }); i >= 0 {
		t.Errorf("a word that is no colour counts as %v", texts[3])
	}
}

// TestRGBA: the quick way through the pixels gives what the slow one gives.
func TestRGBA(t *testing.T) {
	size := image.Rect(0, 0, 50, 33)
	slow := image.NewNRGBA(size)
	for i := range slow.Pix {
		slow.Pix[i] = uint8(i * 7)
		if i%4 == 3 {
			slow.Pix[i] = 255
		}
	}
	quick := image.NewRGBA(size)
	draw.Draw(quick, size, slow, image.Point{}, draw.Src)
	v, err := Embedder{}.EmbedImages(t.Context(), []image.Image{slow, quick})
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for k := range v[0] {
		sum += float64(v[0][k])
		if math.Abs(float64(v[0][k]-v[1][k])) > 1e-4 {
			t.Errorf("value %d: %v and %v", k, v[0][k], v[1][k])
		}
	}
	if math.Abs(sum-1) > 1e-5 {
		t.Errorf("the shares sum up to %v, want 1", sum)
	}
}

func TestBadPictures(t *testing.T) {
	for _, img := range []image.Image{nil, image.NewRGBA(image.Rectangle{})} {
		if _, err := (Embedder{}).EmbedImages(t.Context(), []image.Image{plain(color.Black, image.Rect(0, 0, 1, 1)), img}); err == nil || !strings.Contains(err.Error(), "image 1") {
			t.Errorf("got %v, want an error that names image 1", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (Embedder{}).EmbedImages(ctx, []image.Image{plain(color.Black, image.Rect(0, 0, 1, 1))}); err == nil {
		t.Error("no error after the context ended")
	}
}
