package toyclip_test

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"

	"pixano/inference/toyclip"
)

// A picture is nearest to the text that names its colour.
func Example() {
	ctx := context.Background()
	picture := image.NewRGBA(image.Rect(0, 0, 32, 32))
	draw.Draw(picture, picture.Bounds(), image.NewUniform(color.RGBA{R: 220, G: 20, B: 20, A: 255}), image.Point{}, draw.Src)
	model := toyclip.Embedder{}
	of, err := model.EmbedImages(ctx, []image.Image{picture})
	if err != nil {
		fmt.Println(err)
		return
	}
	texts := []string{"a blue bus", "a red car", "a green field"}
	vectors, err := model.EmbedTexts(ctx, texts)
	if err != nil {
		fmt.Println(err)
		return
	}
	best, nearest := "", 10.0
	for i, v := range vectors {
		var distance float64
		for k := range v {
			d := float64(v[k] - of[0][k])
			distance += d * d
		}
		if distance < nearest {
			best, nearest = texts[i], distance
		}
	}
	fmt.Println(best)
	// Output: a red car
}
