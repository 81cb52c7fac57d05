package inference_test

import (
	"context"
	"fmt"
	"image"

	"pixano/inference"
	"pixano/inference/grabcut"
)

// A registry finds the provider that has a model, and its requests are checked before the model sees them.
func ExampleRegistry() {
	ctx := context.Background()
	var models inference.Registry
	if err := models.Add(grabcut.New()); err != nil {
		fmt.Println(err)
		return
	}
	defer models.Close()

	p, err := models.Find(ctx, "", grabcut.Model, inference.TaskImageMask)
	if err != nil {
		fmt.Println(err)
		return
	}
	picture, err := inference.ImageOf(image.NewGray(image.Rect(0, 0, 640, 480)))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = inference.ImageMask(ctx, p, &inference.ImageMaskRequest{Model: grabcut.Model, Image: picture,
		Prompts: []inference.Prompt{{Points: []inference.Point{{X: 900, Y: 10}}}}})
	fmt.Println(err)
	// Output: builtin: image_mask_generation with "builtin-grabcut": point 900, 10 is outside of the picture of 640 × 480 pixels
}
