package dataset_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pixano/dataset"
)

func encodePNG(t *testing.T, width, height int, c color.Color) string {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	for i := range width * height {
		img.Set(i%width, i/width, c)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// wantPixels decodes a JPEG and looks at some of its pixels, given as "x,y colour".
func wantPixels(t *testing.T, content []byte, width, height int, pixels map[image.Point]color.RGBA) {
	t.Helper()
	img, err := jpeg.Decode(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if img.Bounds() != image.Rect(0, 0, width, height) {
		t.Fatalf("got %v, want %d by %d", img.Bounds(), width, height)
	}
	for p, want := range pixels {
		got := color.RGBAModel.Convert(img.At(p.X, p.Y)).(color.RGBA)
		far := func(a, b uint8) bool { return max(a, b)-min(a, b) > 12 } // JPEG is not exact
		if far(got.R, want.R) || far(got.G, want.G) || far(got.B, want.B) {
			t.Errorf("pixel %v is %v, want %v", p, got, want)
		}
	}
}

var (
	red   = color.RGBA{255, 0, 0, 255}
	green = color.RGBA{0, 255, 0, 255}
	blue  = color.RGBA{0, 0, 255, 255}
	white = color.RGBA{255, 255, 255, 255}
)

func TestPreviewFile(t *testing.T) {
	needEngine(t)
	dir := copyGolden(t, "image_detection")
	ds, err := dataset.Open(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	file := dir + "/previews/dataset_preview.jpg"
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ds.Preview(t.Context())
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("a small JPEG: got %d bytes (%v), want those of the file", len(got), err)
	}
	if url := ds.PreviewURL(t.Context()); url != "data:image/jpeg;base64,"+base64.StdEncoding.EncodeToString(want) {
		t.Errorf("got url %.60s…", url)
	}
	write(t, file, encodePNG(t, 900, 300, red))
	got, err = ds.Preview(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantPixels(t, got, 350, 117, map[image.Point]color.RGBA{{3, 3}: red, {340, 110}: red})
	write(t, file, encodePNG(t, 20, 600, color.NRGBA{255, 0, 0, 0})) // transparent
	if got, err = ds.Preview(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantPixels(t, got, 5, 150, map[image.Point]color.RGBA{{2, 75}: white})

	for content, part := range map[string]string{
		"no image": "unknown format",
		hugePNG(t): "an image of 60000 by 60000 pixels: want at least 1 and at most 100000000",
	} {
		write(t, file, content)
		_, err = ds.Preview(t.Context())
		wantError(t, err, dataset.ErrCorrupt, "preview: previews/dataset_preview.jpg: ", part)
		if url := ds.PreviewURL(t.Context()); url != "" {
			t.Errorf("got url %.60s…", url)
		}
	}
}

// hugePNG is a small file that says that it is a large image.
func hugePNG(t *testing.T) string {
	b := []byte(encodePNG(t, 1, 1, red))
	copy(b[16:], "\x00\x00\xea\x60\x00\x00\xea\x60") // width and height
	binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
	return string(b)
}

func TestPreviewMosaic(t *testing.T) {
	needEngine(t)
	// The first rows of the table "image" are pics/0.png to pics/3.png.
	square := func(c color.Color) string { return encodePNG(t, 40, 40, c) }
	// Of this one the middle is shown: the ends are cut off.
	wide := func() string {
		img := image.NewRGBA(image.Rect(0, 0, 400, 40))
		for i := range 400 * 40 {
			img.Set(i%400, i/400, red)
			if x := i % 400; x >= 130 && x < 270 {
				img.Set(x, i/400, blue)
			}
		}
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}()
	for _, test := range []struct {
		name   string
		images [4]string
		want   map[image.Point]color.RGBA
	}{
		{"one", [4]string{"", square(red)}, map[image.Point]color.RGBA{{5, 5}: red, {345, 145}: red}},
		{"one wide", [4]string{wide}, map[image.Point]color.RGBA{{0, 5}: blue, {349, 145}: blue}},
		{"two", [4]string{square(red), "", "", square(green)}, map[image.Point]color.RGBA{{5, 5}: red, {170, 145}: red, {180, 5}: green, {345, 145}: green}},
		{"three", [4]string{square(red), "broken", square(green), square(blue)}, map[image.Point]color.RGBA{{5, 5}: red, {345, 5}: green, {5, 145}: blue, {345, 145}: white}},
		{"four", [4]string{square(red), square(green), square(blue), square(color.NRGBA{0, 0, 0, 0})}, map[image.Point]color.RGBA{{170, 70}: red, {180, 70}: green, {170, 80}: blue, {180, 80}: white}},
		{"huge", [4]string{hugePNG(t), square(green)}, map[image.Point]color.RGBA{{5, 5}: green, {345, 145}: green}},
		{"none", [4]string{"", "x"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := copyGolden(t, "vqa")
			remove(t, dir+"/media")
			if err := os.MkdirAll(dir+"/media/pics", 0o755); err != nil {
				t.Fatal(err)
			}
			for i, content := range test.images {
				if content != "" {
					write(t, fmt.Sprintf("%s/media/pics/%d.png", dir, i), content)
				}
			}
			before := files(t, dir)
			ds, err := dataset.Open(t.Context(), dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer ds.Close()
			got, err := ds.Preview(t.Context())
			if test.want == nil {
				wantError(t, err, dataset.ErrNotFound, "preview: no image that can be read")
				wantError(t, ds.SavePreview(t.Context()), dataset.ErrNotFound, "save preview: no image that can be read")
				if url := ds.PreviewURL(t.Context()); url != "" {
					t.Errorf("got url %.60s…", url)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wantPixels(t, got, 350, 150, test.want)
			if after := files(t, dir); len(after) != len(before) {
				t.Errorf("%d files became %d", len(before), len(after))
			}
			write(t, filepath.Join(dir, "before"), "")
			if err := ds.SavePreview(t.Context()); err != nil {
				t.Fatal(err)
			}
			if saved := files(t, dir)["previews/dataset_preview.jpg"]; saved != string(got) {
				t.Errorf("saved %d bytes, want the %d of the preview", len(saved), len(got))
			}
			if err := ds.SavePreview(t.Context()); err != nil { // again, where it is
				t.Fatal(err)
			}
		})
	}
}

// TestPreviewTables: only tables of images count, the first that has one; sequence frames are images.
func TestPreviewTables(t *testing.T) {
	needEngine(t)
	for name, want := range map[string]bool{"multiview_text": true, "video_tracking": true, "record_image": false} {
		ds, err := dataset.OpenTables(t.Context(), filepath.Join(goldenDir, name), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer ds.Close()
		url := ds.PreviewURL(t.Context())
		if strings.HasPrefix(url, "data:image/jpeg;base64,") != want {
			t.Errorf("%s: got %.60q, want one: %v", name, url, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ds, err := dataset.Open(t.Context(), filepath.Join(goldenDir, "vqa"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	_, err = ds.Preview(ctx)
	wantError(t, err, context.Canceled, "preview")
}
