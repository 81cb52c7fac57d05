package imaging

import (
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"io"
	"slices"

	_ "image/png" // the formats that hold 16 bits
)

// MaxSamples bounds the values of an image of 16 bits that are handed out: 64 MB. Larger images are made smaller.
const MaxSamples = 32 << 20

// Samples are the values of an image of 16 bits a channel.
type Samples struct {
	Width, Height         int // pixels of the values
	FullWidth, FullHeight int // pixels of the image
	Channels              int // 1: grey; 3: red, green, blue
	Values                []uint16
}

// DecodeSamples reads the values of a PNG or TIFF image of 16 bits a channel, without what says how transparent a pixel
// is. Of an image with more than most values each one is the mean of a square of pixels, whose side is the least whole
// number that suffices. An image of fewer bits gives nil.
func DecodeSamples(r io.ReadSeeker, most int) (*Samples, error) {
	config, _, err := image.DecodeConfig(r)
	if err != nil {
		return nil, err
	}
	switch config.ColorModel {
	case color.Gray16Model, color.RGBA64Model, color.NRGBA64Model:
	default:
		return nil, nil
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	img, _, err := Decode(r)
	if err != nil {
		return nil, err
	}
	s := samplesOf(img, most)
	if s == nil {
		return nil, fmt.Errorf("an image of 16 bits as %T: want greys or colours", img)
	}
	return s, nil
}

// samplesOf returns the values of an image of 16 bits, or nil.
func samplesOf(img image.Image, most int) *Samples {
	// pix has the samples of a row after each other, high byte first.
	var pix []byte
	var stride, each int
	b := img.Bounds()
	s := &Samples{FullWidth: b.Dx(), FullHeight: b.Dy(), Channels: 3}
	switch img := img.(type) {
	case *image.Gray16:
		pix, stride, each, s.Channels = img.Pix, img.Stride, 1, 1
	case *image.RGBA64:
		pix, stride, each = img.Pix, img.Stride, 4
	case *image.NRGBA64:
		pix, stride, each = img.Pix, img.Stride, 4
	default:
		return nil
	}
	side := 1
	for {
		s.Width, s.Height = max(1, s.FullWidth/side), max(1, s.FullHeight/side)
		if s.Width*s.Height*s.Channels <= most || s.Width*s.Height == 1 {
			break
		}
		side++
	}
	s.Values = make([]uint16, s.Width*s.Height*s.Channels)
	if side == 1 {
		i := 0
		for y := range s.Height {
			for x := range s.Width {
				for c := range s.Channels {
					s.Values[i] = binary.BigEndian.Uint16(pix[y*stride+2*(x*each+c):])
					i++
				}
			}
		}
		return s
	}
	for y := range s.Height {
		for x := range s.Width {
			// A side that is longer than the image, as that of a line, ends with it.
			x1, y1 := min((x+1)*side, s.FullWidth), min((y+1)*side, s.FullHeight)
			for c := range s.Channels {
				sum, n := uint64(0), uint64(0)
				for v := y * side; v < y1; v++ {
					for u := x * side; u < x1; u++ {
						sum += uint64(binary.BigEndian.Uint16(pix[v*stride+2*(u*each+c):]))
						n++
					}
				}
				s.Values[(y*s.Width+x)*s.Channels+c] = uint16((sum + n/2) / n)
			}
		}
	}
	return s
}

// Append appends samples as the server sends them: the letters "px16", five little-endian numbers of 32 bits (channels,
// width, height, width and height of the whole image), and the values as little-endian numbers of 16 bits, row by row
// from the top, the channels of a pixel next to each other.
func (s *Samples) Append(b []byte) []byte {
	b = append(b, "px16"...)
	for _, n := range []int{s.Channels, s.Width, s.Height, s.FullWidth, s.FullHeight} {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	for _, v := range s.Values {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	return b
}

// stretched brings the values to 8 bits, the least becoming black and the greatest white.
func (s *Samples) stretched() image.Image {
	low, high := slices.Min(s.Values), slices.Max(s.Values)
	span := max(1, int(high)-int(low))
	value := func(v uint16) uint8 { return uint8((int(v) - int(low)) * 255 / span) }
	if s.Channels == 1 {
		out := image.NewGray(image.Rect(0, 0, s.Width, s.Height))
		for i, v := range s.Values {
			out.Pix[i] = value(v)
		}
		return out
	}
	out := image.NewRGBA(image.Rect(0, 0, s.Width, s.Height))
	for i := range s.Width * s.Height {
		for c := range 3 {
			out.Pix[4*i+c] = value(s.Values[3*i+c])
		}
		out.Pix[4*i+3] = 255
	}
	return out
}
