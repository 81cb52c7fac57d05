package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"runtime"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// picture is an encoded image.
type picture struct {
	contentType string
	content     []byte
}

// images makes pictures, few at a time, so that decoding them takes neither all memory nor all processors, and keeps
// those that were asked for last.
type images struct {
	workers chan struct{} // one place for each
	kept    *memo[picture]
}

func newImages(workers, limit int) *images {
	if workers < 1 {
		workers = runtime.GOMAXPROCS(0)
	}
	return &images{make(chan struct{}, workers), newMemo(limit, func(p picture) int { return len(p.content) })}
}

// get returns the picture of a key, which produce makes if it is not kept.
func (m *images) get(ctx context.Context, key string, produce func() (picture, error)) (picture, error) {
	return m.kept.get(ctx, key, func() (picture, error) {
		select {
		case m.workers <- struct{}{}:
			defer func() { <-m.workers }()
			return produce()
		case <-ctx.Done():
			return picture{}, ctx.Err()
		}
	})
}

const (
	textEdge  = 128 // pixels of the picture of a text
	textShown = 80  // characters of it
	textSize  = 13  // pixels of its font
)

var textFace = sync.OnceValues(func() (*opentype.Font, error) { return opentype.Parse(goregular.TTF) })

// textPicture draws the beginning of a text and returns it as a data URL, or "" if that fails.
func textPicture(text string) string {
	f, err := textFace()
	if err != nil {
		return ""
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: textSize, DPI: 72, Hinting: font.HintingFull})
	if err != nil {
		return ""
	}
	defer face.Close()
	if utf8.RuneCountInString(text) > textShown {
		text = string([]rune(text)[:textShown])
	}
	img := image.NewPaletted(image.Rect(0, 0, textEdge, textEdge), greys)
	draw.Draw(img, img.Rect, image.White, image.Point{}, draw.Src)
	d := font.Drawer{Dst: img, Src: image.Black, Face: face}
	const margin = 4
	y := margin + textSize
	line := ""
	flush := func() {
		d.Dot = fixed.P(margin, y)
		d.DrawString(line)
		y += textSize + 3
		line = ""
	}
	for word := range strings.FieldsSeq(text) {
		if line != "" && d.MeasureString(line+" "+word) > fixed.I(textEdge-2*margin) {
			flush()
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	flush()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return ""
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes())
}

var greys = func() color.Palette {
	p := make(color.Palette, 16)
	for i := range p {
		p[i] = color.Gray{uint8(i * 17)}
	}
	return p
}()
