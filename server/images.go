package server

import (
	"bytes"
	"container/list"
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

// images makes pictures, few at a time so that decoding them neither takes all memory nor all processors, each once
// for all who wait for it, and keeps those that were asked for last.
type images struct {
	workers chan struct{} // one free place each
	limit   int           // bytes kept

	mu     sync.Mutex
	kept   map[string]*list.Element // of *keptPicture
	recent *list.List               // most recent first
	bytes  int
	making map[string]*making
}

type keptPicture struct {
	key string
	picture
}

// making is a picture that is being made. It is given up when nobody waits for it any more.
type making struct {
	done    chan struct{}
	picture picture
	err     error
}

func newImages(workers, limit int) *images {
	if workers < 1 {
		workers = max(1, runtime.GOMAXPROCS(0))
	}
	return &images{workers: make(chan struct{}, workers), limit: limit, kept: map[string]*list.Element{}, recent: list.New(), making: map[string]*making{}}
}

// reduced returns the picture of a key, which make makes if it is not kept. make is called before reduced returns, or not
// at all if the context ends first.
func (m *images) reduced(ctx context.Context, key string, make_ func() (picture, error)) (picture, error) {
	for {
		m.mu.Lock()
		if e, ok := m.kept[key]; ok {
			m.recent.MoveToFront(e)
			p := e.Value.(*keptPicture).picture
			m.mu.Unlock()
			return p, nil
		}
		if other := m.making[key]; other != nil {
			m.mu.Unlock()
			select {
			case <-other.done:
			case <-ctx.Done():
				return picture{}, ctx.Err()
			}
			if other.err == nil {
				return other.picture, nil
			}
			if ctx.Err() == nil && other.err != context.Canceled && other.err != context.DeadlineExceeded {
				return picture{}, other.err
			}
			continue // the one who made it left
		}
		own := &making{done: make(chan struct{})}
		m.making[key] = own
		m.mu.Unlock()

		select {
		case m.workers <- struct{}{}:
			own.picture, own.err = make_()
			<-m.workers
		case <-ctx.Done():
			own.err = ctx.Err()
		}
		m.mu.Lock()
		delete(m.making, key)
		if own.err == nil {
			m.keep(key, own.picture)
		}
		m.mu.Unlock()
		close(own.done)
		return own.picture, own.err
	}
}

func (m *images) keep(key string, p picture) {
	if len(p.content) > m.limit/8 {
		return
	}
	m.kept[key] = m.recent.PushFront(&keptPicture{key, p})
	m.bytes += len(p.content)
	for m.bytes > m.limit {
		last := m.recent.Back()
		old := m.recent.Remove(last).(*keptPicture)
		delete(m.kept, old.key)
		m.bytes -= len(old.content)
	}
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
