// Package grabcut cuts objects out of pictures from clicks and boxes, in this process and without any model file: colours of
// object and background are mixtures of Gaussians, and the border between both is the minimum cut of a graph of pixels.
//
// [Segment] cuts one object out of one picture. [New] makes a provider with the model "builtin-grabcut" for masks in
// pictures and, by following colours and place from frame to frame, in videos.
//
// The method is that of Rother, Kolmogorov and Blake, "GrabCut: interactive foreground extraction using iterated graph cuts",
// 2004. The whole cut is made on a small copy of the part of the picture that matters; then its border is refined at each
// larger scale, as in Lombaert, Sun, Grady and Xu, "A multilevel banded graph cuts method for fast image segmentation", 2005.
// It finds what differs from its surroundings in colour, and knows no objects: more clicks help where colours do not.
package grabcut

import (
	"context"
	"image"

	"pixano/features"
	"pixano/inference"
)

// Segment returns the mask of the object that a prompt means, in the size of img. A prompt needs a point on the object or a
// box; coordinates count from the top left of img.
//
// Error: ErrInvalidRequest for a prompt without either, or outside of the picture; that of the context.
func Segment(ctx context.Context, img image.Image, prompt inference.Prompt) (features.RLE, error) {
	size := img.Bounds().Size()
	if err := check(size, prompt); err != nil {
		return features.RLE{}, err
	}
	s, _, err := new(solver).prompted(ctx, rasterOf(img), prompt)
	if err != nil {
		return features.RLE{}, err
	}
	return s.rle(size)
}

func check(size image.Point, prompt inference.Prompt) error {
	all := image.Rectangle{Max: size}
	on := false
	for _, p := range prompt.Points {
		on = on || !p.Background
		if !image.Pt(p.X, p.Y).In(all) {
			return inference.Errorf(inference.ErrInvalidRequest, "point %d, %d is outside of the picture of %d × %d pixels", p.X, p.Y, size.X, size.Y)
		}
	}
	if prompt.Box.Empty() && !on {
		return inference.Errorf(inference.ErrInvalidRequest, "want a point on the object, or a box around it")
	}
	if !prompt.Box.Empty() && prompt.Box.Intersect(all).Empty() {
		return inference.Errorf(inference.ErrInvalidRequest, "box %v is outside of the picture of %d × %d pixels", prompt.Box, size.X, size.Y)
	}
	return nil
}

// around is the part of the picture looked at for an object in a box.
func around(picture raster, box image.Rectangle) image.Rectangle {
	return inflate(box, 0.2, 10).Intersect(image.Rect(0, 0, picture.w, picture.h))
}

// prompted cuts out the object that a prompt means.
func (s *solver) prompted(ctx context.Context, picture raster, prompt inference.Prompt) (*shape, models, error) {
	all := image.Rect(0, 0, picture.w, picture.h)
	j := job{picture: picture, roi: all, box: prompt.Box.Intersect(all)}
	for _, p := range prompt.Points {
		if p.Background {
			j.off = append(j.off, image.Pt(p.X, p.Y))
		} else {
			j.on = append(j.on, image.Pt(p.X, p.Y))
		}
	}
	if !j.box.Empty() {
		j.roi = around(picture, j.box)
		for _, p := range j.on {
			j.roi = j.roi.Union(image.Rectangle{Min: p, Max: p.Add(image.Pt(1, 1))})
		}
		return s.run(ctx, j)
	}
	cut, m, err := s.run(ctx, j)
	if err != nil {
		return nil, m, err
	}
	// A small object in a large picture was found on few pixels: look again at its part of the picture.
	b := bounds(cut.mask, cut.at.Dx(), cut.at.Dy())
	if closer := around(picture, inflate(b, 0.3, 0)); all.Dx()*all.Dy() > coarsePixels && closer.Dx()*closer.Dy() < all.Dx()*all.Dy()/4 {
		j.roi, j.box, j.start, j.overlap = closer, inflate(b, 0.15, 4).Intersect(all), m, cut
		return s.run(ctx, j)
	}
	return cut, m, nil
}

// rle returns the shape as a mask of a whole picture.
func (s *shape) rle(size image.Point) (features.RLE, error) {
	if s == nil {
		return features.RLEFromBitmap(size.Y, size.X, make([]byte, size.X*size.Y))
	}
	if s.at.Size() == size {
		return features.RLEFromBitmap(size.Y, size.X, s.mask)
	}
	pix := make([]byte, size.X*size.Y)
	w := s.at.Dx()
	for y := range s.at.Dy() {
		copy(pix[(s.at.Min.Y+y)*size.X+s.at.Min.X:], s.mask[y*w:(y+1)*w])
	}
	return features.RLEFromBitmap(size.Y, size.X, pix)
}
