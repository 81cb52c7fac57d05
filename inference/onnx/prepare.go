package onnx

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"pixano/inference"
)

// relative returns the path of a file that models.json names.
func (m *Model) relative(name string) string {
	return filepath.Join(filepath.Dir(m.Path()), filepath.FromSlash(name))
}

// The means and deviations of colours that the models were trained with, in the range 0 to 255.
var (
	clipMean, clipStd         = pixels(0.48145466, 0.4578275, 0.40821073), pixels(0.26862954, 0.26130258, 0.27577711)
	imageNetMean, imageNetStd = pixels(0.485, 0.456, 0.406), pixels(0.229, 0.224, 0.225)
	samMean, samStd           = [3]float32{123.675, 116.28, 103.53}, [3]float32{58.395, 57.12, 57.375}
)

func pixels(r, g, b float32) [3]float32 { return [3]float32{255 * r, 255 * g, 255 * b} }

// clipPreparation is how a CLIP model wants its pictures: as OpenAI's, unless a preprocessor_config.json beside the model
// or models.json say otherwise.
func (m *Model) clipPreparation(input port) (preparation, error) {
	p := preparation{fit: fitCrop, filter: bicubic, mean: clipMean, std: clipStd}
	size := 224
	if path := m.beside("preprocessor_config.json"); path != "" {
		raw, err := os.ReadFile(path)
		if err != nil {
			return p, err
		}
		var file struct {
			Mean      []float32       `json:"image_mean"`
			Std       []float32       `json:"image_std"`
			Normalize *bool           `json:"do_normalize"`
			Crop      *bool           `json:"do_center_crop"`
			Size      json.RawMessage `json:"size"`
		}
		if err := json.Unmarshal(raw, &file); err != nil {
			return p, fmt.Errorf("%s: %w", path, err)
		}
		if file.Normalize != nil && !*file.Normalize {
			p.mean, p.std = [3]float32{}, pixels(1, 1, 1)
		} else if err := p.colours(file.Mean, file.Std); err != nil {
			return p, fmt.Errorf("%s: %w", path, err)
		}
		if file.Crop != nil && !*file.Crop {
			p.fit = fitStretch
		}
		var sizes struct {
			Shortest int `json:"shortest_edge"`
			Height   int `json:"height"`
		}
		if json.Unmarshal(file.Size, &size) != nil && json.Unmarshal(file.Size, &sizes) == nil {
			size = max(sizes.Shortest, sizes.Height, 0)
		}
	}
	if err := p.colours(m.config.Mean, m.config.Std); err != nil {
		return p, err
	}
	switch m.config.Resize {
	case "":
	case "crop":
		p.fit = fitCrop
	case "stretch":
		p.fit = fitStretch
	default:
		return p, fmt.Errorf("resize %q: want crop or stretch", m.config.Resize)
	}
	return p, p.size(input.shape[2], input.shape[3], m.config.ImageSize, size)
}

// colours takes means and deviations in 0..1, if there are any.
func (p *preparation) colours(mean, std []float32) error {
	if len(mean) == 0 && len(std) == 0 {
		return nil
	}
	if len(mean) != 3 || len(std) != 3 || std[0] <= 0 || std[1] <= 0 || std[2] <= 0 {
		return fmt.Errorf("mean %v and std %v: want three numbers each", mean, std)
	}
	p.mean, p.std = pixels(mean[0], mean[1], mean[2]), pixels(std[0], std[1], std[2])
	return nil
}

// maxSide bounds the sides of a model's input.
const maxSide = 4096

// size takes the size of the input or, where that is open, the first that is given.
func (p *preparation) size(height, width int64, open ...int) error {
	for _, n := range append(open, 0) {
		if height <= 0 {
			height = int64(n)
		}
		if width <= 0 {
			width = int64(n)
		}
	}
	if height <= 0 || width <= 0 || height > maxSide || width > maxSide {
		return fmt.Errorf("an input of %d × %d pixels: want at most %d", width, height, maxSide)
	}
	p.width, p.height = int(width), int(height)
	return nil
}

// prepareAll decodes pictures and brings them to a model's input, of size values each, on all cores.
func prepareAll(p *preparation, images []*inference.Image, size int) ([]float32, error) {
	out := make([]float32, size*len(images))
	errs := make([]error, len(images))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(images)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(images); i = int(next.Add(1)) - 1 {
				img, err := images[i].Decode()
				if err != nil {
					errs[i] = err
					continue
				}
				p.prepare(img, out[i*size:])
			}
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			if len(images) > 1 {
				err = fmt.Errorf("picture %d of %d: %w", i+1, len(images), err)
			}
			return nil, err
		}
	}
	return out, nil
}
