package grabcut_test

import (
	"syscall"
	"testing"

	"pixano/features"
	"pixano/inference"
	"pixano/inference/grabcut"
)

// BenchmarkClick is a click or a box on a picture of 1920 × 1080 that is decoded already. With -cpu 1, cpu-ms/click is what it
// takes on one core that has nothing else to do.
func BenchmarkClick(b *testing.B) {
	all := cases()
	worst := all["disc with noise, a box"]
	worst.scene.noise = 120
	all["nothing but noise, a box"] = worst
	worst.prompt = inference.Prompt{Points: []inference.Point{on(950, 500)}}
	all["nothing but noise, a click"] = worst
	for name, tt := range all {
		if tt.scene.size != hd {
			continue
		}
		b.Run(name, func(b *testing.B) {
			img, want := tt.scene.draw()
			var got features.RLE
			var before, after syscall.Rusage
			if err := syscall.Getrusage(syscall.RUSAGE_SELF, &before); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				var err error
				if got, err = grabcut.Segment(b.Context(), img, tt.prompt); err != nil {
					b.Fatal(err)
				}
			}
			if err := syscall.Getrusage(syscall.RUSAGE_SELF, &after); err != nil {
				b.Fatal(err)
			}
			used := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
			b.ReportMetric(float64(used)/1e6/float64(b.N), "cpu-ms/click")
			b.ReportMetric(iou(b, got, want), "IoU")
		})
	}
}
