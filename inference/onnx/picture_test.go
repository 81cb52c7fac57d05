package onnx

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"testing"
)

// gradient is a picture whose red goes from left to right and green from top to bottom.
func gradient(w, h int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.SetNRGBA(x, y, color.NRGBA{uint8(x * 255 / max(1, w-1)), uint8(y * 255 / max(1, h-1)), 40, 255})
		}
	}
	return m
}

var benchmarkPreparations = map[string]preparation{
	"CLIP224": {width: 224, height: 224, fit: fitCrop, filter: bicubic, std: [3]float32{1, 1, 1}},
	"YOLO640": {width: 640, height: 640, fit: fitLetterbox, filter: bilinear, std: [3]float32{255, 255, 255}},
	"SAM1024": {width: 1024, height: 1024, fit: fitCorner, filter: bilinear, std: [3]float32{58, 57, 57}},
}

// BenchmarkPrepare brings decoded pictures of 1920 by 1080 pixels to model inputs.
func BenchmarkPrepare(b *testing.B) {
	var file bytes.Buffer
	if err := jpeg.Encode(&file, gradient(1920, 1080), nil); err != nil {
		b.Fatal(err)
	}
	img, err := jpeg.Decode(&file)
	if err != nil {
		b.Fatal(err)
	}
	for name, p := range benchmarkPreparations {
		b.Run(name, func(b *testing.B) {
			dst := make([]float32, 3*p.width*p.height)
			for b.Loop() {
				p.prepare(img, dst)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "images/s")
		})
	}
}

var _ = math.Abs
