package grabcut_test

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"

	"pixano/inference"
	"pixano/inference/grabcut"
)

// A click on a red square in a blue picture.
func ExampleSegment() {
	img := image.NewRGBA(image.Rect(0, 0, 640, 480))
	draw.Draw(img, img.Rect, image.NewUniform(color.RGBA{40, 80, 160, 255}), image.Point{}, draw.Src)
	draw.Draw(img, image.Rect(200, 100, 300, 200), image.NewUniform(color.RGBA{200, 40, 30, 255}), image.Point{}, draw.Src)

	mask, err := grabcut.Segment(context.Background(), img, inference.Prompt{Points: []inference.Point{{X: 250, Y: 150}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(mask.Area(), "pixels at", mask.Bounds())
	// Output: 10000 pixels at (200,100)-(300,200)
}
