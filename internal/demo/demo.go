// Package demo makes a small library of datasets to try things with: drawn street scenes whose boxes, masks and key
// points are exact, films of them, questions about them and texts that tell what is seen. It needs no network, no model
// and no files, takes seconds, and gives the same rows each time.
package demo

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"pixano/dataset"
	"pixano/features"
	"pixano/inference/toyclip"
)

// The names of the datasets' directories in the library.
const (
	Streets   = "streets"
	Films     = "films"
	Questions = "questions"
	Captions  = "captions"
)

// Progress is how far Create has come: the pictures drawn, of all.
type Progress func(drawn, of int)

// Create makes the library in dir: "library" with the datasets, "media" with their pictures, and an empty folder "models".
// Datasets that are there stay as they are, and those that are missing are made; created names the latter. progress may
// be nil.
//
// A dataset appears when it is whole. Its pictures are written first; what an interrupted call left of them is written
// again by the next one.
func Create(ctx context.Context, dir string, progress Progress) (created []string, err error) {
	for _, name := range []string{"library", "media", "models"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			return nil, err
		}
	}
	d := &demo{dir: dir, progress: progress}
	makers := []struct {
		name    string
		tables  any
		info    dataset.Info
		make    func(context.Context) (dataset.Builder, error)
		count   int
		finish  func(context.Context, *dataset.Dataset) error
		missing bool
	}{
		{name: Streets, tables: Street{}, make: d.streets, count: streetCount, finish: finishStreets, info: dataset.Info{
			ID: "demo_streets", Name: "Streets", Workspace: "image",
			Description: "Street scenes with boxes, masks and key points, and the predictions of a model beside the truth",
		}},
		{name: Films, tables: Film{}, make: d.films, count: filmCount * filmFrames, finish: finishFilms, info: dataset.Info{
			ID: "demo_films", Name: "Films", Workspace: "video",
			Description: "Traffic as sequences of frames, with tracks, key frames and gaps",
		}},
		{name: Questions, tables: Quiz{}, make: d.questions, count: quizCount, info: dataset.Info{
			ID: "demo_questions", Name: "Questions", Workspace: "image_vqa",
			Description: "Questions about pictures with one answer, several or none to choose from",
		}},
		{name: Captions, tables: Caption{}, make: d.captions, count: captionCount, info: dataset.Info{
			ID: "demo_captions", Name: "Captions", Workspace: "image_text_entity_linking",
			Description: "Texts about pictures whose words are linked to what they name",
		}},
	}
	for i, m := range makers {
		_, err := os.Stat(filepath.Join(dir, "library", m.name, "info.json"))
		if makers[i].missing = errors.Is(err, fs.ErrNotExist); makers[i].missing {
			d.pictures += m.count
		} else if err != nil {
			return nil, err
		}
	}
	for _, m := range makers {
		if !m.missing {
			continue
		}
		if err := os.MkdirAll(filepath.Join(dir, "media", m.name), 0o755); err != nil {
			return created, err
		}
		builder, err := m.make(ctx)
		if err != nil {
			return created, fmt.Errorf("%s: %w", m.name, err)
		}
		ds, err := dataset.Build(ctx, filepath.Join(dir, "library", m.name), m.tables, m.info, builder, &dataset.BuildOptions{
			Author: "demo", Options: &dataset.Options{MediaDir: filepath.Join(dir, "media")},
		})
		if err != nil {
			return created, err
		}
		if m.finish != nil {
			err = m.finish(ctx, ds)
		}
		if err == nil && m.name != Captions { // a mosaic wants pictures that differ more
			err = ds.SavePreview(ctx)
		}
		if err = errors.Join(err, ds.Close()); err != nil {
			return created, fmt.Errorf("%s: %w", m.name, err)
		}
		created = append(created, m.name)
	}
	return created, nil
}

type demo struct {
	dir      string
	progress Progress

	mu              sync.Mutex
	drawn, pictures int
}

// picture is a scene that was drawn.
type picture struct {
	scene
	url    string // relative to the folder of media
	sight  []seen
	pose   map[int][]point
	vector []float32 // of the picture, see package toyclip
}

// seen is what can be seen of a thing of a scene.
type seen struct {
	index int // of the thing
	thing
	mask  features.RLE
	box   [4]float64 // x, y, width, height in pixels
	parts float64    // the part of it that nothing hides
}

// draw draws scenes into files, on all cores.
func (d *demo) draw(ctx context.Context, width, height int, pictures []*picture) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	next := make(chan *picture)
	var wait sync.WaitGroup
	var failed error
	for range runtime.NumCPU() {
		wait.Go(func() {
			for p := range next {
				err := d.drawOne(p, width, height)
				d.mu.Lock()
				if err != nil && failed == nil {
					failed = err
					cancel()
				}
				d.drawn++
				if d.progress != nil {
					d.progress(d.drawn, d.pictures)
				}
				d.mu.Unlock()
			}
		})
	}
	for _, p := range pictures {
		if ctx.Err() != nil {
			break
		}
		next <- p
	}
	close(next)
	wait.Wait()
	if failed != nil {
		return failed
	}
	return context.Cause(ctx)
}

func (d *demo) drawOne(p *picture, width, height int) error {
	c := newCanvas(width, height)
	p.pose = p.scene.draw(c)
	if err := p.look(c); err != nil {
		return err
	}
	vectors, err := toyclip.Embedder{}.EmbedImages(context.Background(), []image.Image{c.img})
	if err != nil {
		return err
	}
	p.vector = vectors[0]
	file, err := os.Create(filepath.Join(d.dir, "media", filepath.FromSlash(p.url)))
	if err != nil {
		return err
	}
	err = jpeg.Encode(file, c.img, &jpeg.Options{Quality: 90})
	return errors.Join(err, file.Close())
}

// look finds what can be seen of each thing.
func (p *picture) look(c *canvas) error {
	width, height := c.size()
	visible := make([]int, 256)
	for _, id := range c.ids {
		visible[id]++
	}
	bitmap := make([]byte, len(c.ids))
	for i, t := range p.things {
		id := uint8(i + 1)
		if visible[id] < 40 {
			continue // all of it is behind something
		}
		for k := range bitmap {
			bitmap[k] = 0
			if c.ids[k] == id {
				bitmap[k] = 1
			}
		}
		mask, err := features.RLEFromBitmap(height, width, bitmap)
		if err != nil {
			return err
		}
		bounds := mask.Bounds()
		p.sight = append(p.sight, seen{index: i, thing: t, mask: mask, parts: float64(visible[id]) / float64(c.whole[id]),
			box: [4]float64{float64(bounds.Min.X), float64(bounds.Min.Y), float64(bounds.Dx()), float64(bounds.Dy())}})
	}
	return nil
}

// fractions gives pixels as fractions of the picture's size; every second one counts from the top.
func fractions(width, height int, pixels ...float64) []float64 {
	scaled := make([]float64, len(pixels))
	for i, v := range pixels {
		of := float64(width)
		if i%2 == 1 {
			of = float64(height)
		}
		scaled[i] = min(1, max(0, v/of))
	}
	return scaled
}

func random(of string, n int) *rand.Rand {
	seed := uint64(0)
	for _, c := range of {
		seed = seed*31 + uint64(c)
	}
	return rand.New(rand.NewPCG(seed, uint64(n)))
}
