package features

import (
	"math"
	"math/rand/v2"
	"testing"
)

// masks1080p returns n masks of objects in pictures of 1080p: ragged outlines of 60 points, 100 to 1,000 pixels wide.
func masks1080p(b *testing.B, n int) (masks []RLE, texts [][]byte) {
	b.Helper()
	r := rand.New(rand.NewPCG(1, 1080))
	for range n {
		m, err := RLEFromPolygons(1080, 1920, [][]float64{ring1080p(r)})
		if err != nil {
			b.Fatal(err)
		}
		_, text := m.Compressed()
		masks, texts = append(masks, m), append(texts, text)
	}
	return masks, texts
}

func ring1080p(r *rand.Rand) []float64 {
	cx, cy, size := r.Float64()*1920, r.Float64()*1080, 50+r.Float64()*450
	ring := make([]float64, 0, 120)
	for i := range 60 {
		angle, radius := 2*math.Pi*float64(i)/60, size*(.7+.3*r.Float64())
		ring = append(ring, cx+radius*math.Cos(angle), cy+radius*math.Sin(angle))
	}
	return ring
}

// One operation reads 1,000 masks: their text to lengths, and the area.
func BenchmarkParseRLEAndArea1000(b *testing.B) {
	masks, texts := masks1080p(b, 1000)
	size := masks[0].Size()
	bytes := 0
	for _, t := range texts {
		bytes += len(t)
	}
	b.SetBytes(int64(bytes))
	b.ReportAllocs()
	area := 0
	for b.Loop() {
		for _, t := range texts {
			m, err := ParseRLE(size, t)
			if err != nil {
				b.Fatal(err)
			}
			area += m.Area()
		}
	}
	if area == 0 {
		b.Fatal("no area")
	}
}

// One operation is one mask, in all that follow.

func BenchmarkCompressed(b *testing.B) {
	masks, _ := masks1080p(b, 100)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		masks[i%len(masks)].Compressed()
	}
}

func BenchmarkBounds(b *testing.B) {
	masks, _ := masks1080p(b, 100)
	for i := 0; b.Loop(); i++ {
		masks[i%len(masks)].Bounds()
	}
}

func BenchmarkIoU(b *testing.B) {
	masks, _ := masks1080p(b, 100)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := IoU(masks[i%len(masks)], masks[i*7%len(masks)], false); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnion(b *testing.B) {
	masks, _ := masks1080p(b, 100)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := Union(masks[i%len(masks)], masks[i*7%len(masks)]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRLEFromPolygons(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1080))
	rings := make([][]float64, 100)
	for i := range rings {
		rings[i] = ring1080p(r)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := RLEFromPolygons(1080, 1920, rings[i%len(rings):][:1]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRLEFromBitmap(b *testing.B) {
	masks, _ := masks1080p(b, 8)
	pix := make([][]byte, len(masks))
	for i, m := range masks {
		var err error
		if pix[i], err = m.Bitmap(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.SetBytes(1080 * 1920)
	for i := 0; b.Loop(); i++ {
		if _, err := RLEFromBitmap(1080, 1920, pix[i%len(pix)]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDrawBitmap(b *testing.B) {
	masks, _ := masks1080p(b, 100)
	pix := make([]byte, 1080*1920)
	b.ReportAllocs()
	b.SetBytes(1080 * 1920)
	for i := 0; b.Loop(); i++ {
		if err := masks[i%len(masks)].DrawBitmap(pix); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkContours(b *testing.B) { benchmarkOutlines(b, RLE.Contours) }

func BenchmarkPolygons(b *testing.B) { benchmarkOutlines(b, RLE.Polygons) }

func benchmarkOutlines(b *testing.B, outline func(RLE) ([]Polygon, error)) {
	b.Helper()
	masks, _ := masks1080p(b, 100)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := outline(masks[i%len(masks)]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewShortUUID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		NewShortUUID()
	}
}
