package grabcut

import (
	"context"
	"image"
	"math"
	"slices"
)

// The settings of the method.
const (
	gamma        = 12     // weight of a border between equal pixels; the 50 of the paper loses thin parts
	maxUnary     = 25     // largest difference of the likelihoods of object and background, in nats
	unit         = 64     // capacities are whole numbers of 1/unit nats
	coarsePixels = 50_000 // the whole cut is made on a picture of at most so many
	maxBand      = 400_000
	maxSamples   = 16_384 // colours that a model is made of
	rounds       = 4      // of cutting and fitting at most
	clickRadius  = 4      // pixels around a click whose colours are taken for its object's
)

// models are what object and background look like.
type models struct{ object, background colors }

// job is one object to be cut out of a picture. Coordinates are those of the picture.
type job struct {
	picture raster
	roi     image.Rectangle // the part looked at
	box     image.Rectangle // outside of it is no object; empty: no limit
	on, off []image.Point   // clicks on the object and beside it
	start   models          // empty: to be found
	overlap *shape          // of several parts, those are wanted that lie on this; nil: those with a click, or the large ones
}

// shape is a mask of a part of the picture.
type shape struct {
	at   image.Rectangle
	mask []uint8 // row by row, 1 inside
}

func (s *shape) has(p image.Point) bool {
	return p.In(s.at) && s.mask[(p.Y-s.at.Min.Y)*s.at.Dx()+p.X-s.at.Min.X] != 0
}

// The labels of pixels before a cut.
const (
	free uint8 = iota
	isObject
	isBackground
)

// level is the picture at one scale: pixels are 1<<shift pixels of the picture wide.
type level struct {
	raster
	shift int
	fixed []uint8 // per pixel: free, isObject or isBackground
}

// solver has the memory that cuts share.
type solver struct {
	graph graph
	index []int32 // node of a pixel, or -1
	cells []int32 // pixel of a node
}

// run cuts the object out. It returns its shape in the job's part of the picture, and what it and the background look like.
func (s *solver) run(ctx context.Context, j job) (*shape, models, error) {
	var levels []level
	for r := j.picture.crop(j.roi); ; r = r.halve() {
		levels = append(levels, j.level(r, len(levels)))
		if r.w*r.h <= coarsePixels {
			break
		}
	}
	coarse := levels[len(levels)-1]
	m := j.start
	if len(m.object) == 0 || len(m.background) == 0 {
		m = j.firstModels(coarse)
	}
	var mask, cut []uint8
	for round := range rounds {
		if err := ctx.Err(); err != nil {
			return nil, m, err
		}
		before := mask
		cut = s.cut(coarse, coarse.fixed, m)
		mask = j.wanted(coarse, cut)
		if round > 0 && slices.Equal(mask, before) {
			break
		}
		m = refit(coarse, mask, cut, m)
	}
	for i := len(levels) - 2; i >= 0; i-- {
		if err := ctx.Err(); err != nil {
			return nil, m, err
		}
		l := levels[i]
		label, size := band(levels[i+1], mask, l)
		if size > maxBand {
			// Hardly an object: its border is everywhere.
			for k, v := range label {
				if v == free {
					label[k] = isBackground
					if x, y := k%l.w, k/l.w; mask[(y/2)*levels[i+1].w+x/2] != 0 {
						label[k] = isObject
					}
				}
			}
		} else if i > 0 {
			m = refit(l, objects(label), nil, m)
		}
		mask = s.cut(l, label, m)
	}
	if len(levels) > 1 {
		mask = j.wanted(levels[0], mask)
	}
	return &shape{j.roi, mask}, m, nil
}

// level returns a scale with what is known before any cut.
func (j *job) level(r raster, shift int) level {
	l := level{r, shift, make([]uint8, r.w*r.h)}
	if !j.box.Empty() {
		for y := range l.h {
			for x := range l.w {
				if !l.middle(x, y, j.roi).In(j.box) {
					l.fixed[y*l.w+x] = isBackground
				}
			}
		}
	}
	for _, p := range j.off {
		if i, ok := l.pixel(p, j.roi); ok {
			l.fixed[i] = isBackground
		}
	}
	for _, p := range j.on {
		if i, ok := l.pixel(p, j.roi); ok {
			l.fixed[i] = isObject
		}
	}
	return l
}

// middle returns the pixel of the picture in the middle of one of the level.
func (l level) middle(x, y int, roi image.Rectangle) image.Point {
	half := 1 << l.shift / 2
	return image.Pt(min(roi.Min.X+x<<l.shift+half, roi.Max.X-1), min(roi.Min.Y+y<<l.shift+half, roi.Max.Y-1))
}

// pixel returns where a pixel of the picture is in the level.
func (l level) pixel(p image.Point, roi image.Rectangle) (int, bool) {
	if !p.In(roi) {
		return 0, false
	}
	return (p.Y-roi.Min.Y)>>l.shift*l.w + (p.X-roi.Min.X)>>l.shift, true
}

// sample returns the colours of the pixels for which want is true, of many only some.
func (l level) sample(want func(i int) bool) []uint8 {
	n := 0
	for i := range l.w * l.h {
		if want(i) {
			n++
		}
	}
	step := max(1, (n+maxSamples-1)/maxSamples)
	out := make([]uint8, 0, 3*(n/step+1))
	n = 0
	for i := range l.w * l.h {
		if want(i) {
			if n%step == 0 {
				at := l.at(i%l.w, i/l.w)
				out = append(out, l.pix[at], l.pix[at+1], l.pix[at+2])
			}
			n++
		}
	}
	return out
}

// patch returns the colours around clicks, in the picture itself.
func (j *job) patch(clicks []image.Point) []uint8 {
	var out []uint8
	for _, p := range clicks {
		around := image.Rectangle{Min: p, Max: p.Add(image.Pt(1, 1))}.Inset(-clickRadius).Intersect(image.Rect(0, 0, j.picture.w, j.picture.h))
		for y := around.Min.Y; y < around.Max.Y; y++ {
			for x := around.Min.X; x < around.Max.X; x++ {
				at := j.picture.at(x, y)
				out = append(out, j.picture.pix[at], j.picture.pix[at+1], j.picture.pix[at+2])
			}
		}
	}
	return out
}

// firstModels guesses what object and background look like from the box and the clicks.
func (j *job) firstModels(l level) models {
	on, off := j.patch(j.on), j.patch(j.off)
	if !j.box.Empty() {
		return j.modelsOfBox(l, on, off)
	}
	// Around the clicks is the object, and what looks otherwise is not.
	object := fit(on, nil, 2)
	near := spread(object, on, 0.99) + 6
	other := l.sample(func(i int) bool {
		at := l.at(i%l.w, i/l.w)
		return l.fixed[i] != isObject && object.cost(float32(l.pix[at]), float32(l.pix[at+1]), float32(l.pix[at+2])) > near
	})
	if len(other) < 3*l.w*l.h/50 {
		other = append(other, l.frame()...)
	}
	return models{object, fit(withClicks(other, off), nil, components)}
}

// withClicks adds the colours around clicks to others, so often that they count.
func withClicks(samples, clicks []uint8) []uint8 {
	if len(clicks) == 0 {
		return samples
	}
	for n := len(samples) / 10; n >= 0; n -= len(clicks) {
		samples = append(samples, clicks...)
	}
	return samples
}

// modelsOfBox guesses from a box: around it is the background, and what looks otherwise in it is the object.
func (j *job) modelsOfBox(l level, on, off []uint8) models {
	outside := l.sample(func(i int) bool { return l.fixed[i] == isBackground })
	if len(outside) < 3*l.w*l.h/50 {
		outside = append(outside, l.frame()...) // the box is the picture
	}
	far := spread(fit(outside, nil, components), outside, 0.5) // with more, parts that look a little like the ground are lost
	background := fit(withClicks(outside, off), nil, components)
	// What looks like the place of a click beside the object is not the object, however much of it is in the box.
	beside := fit(off, nil, 2)
	near := spread(beside, off, 0.99) + 6
	inside := l.sample(func(i int) bool {
		if l.fixed[i] == isBackground {
			return false
		}
		at := l.at(i%l.w, i/l.w)
		r, g, b := float32(l.pix[at]), float32(l.pix[at+1]), float32(l.pix[at+2])
		return background.cost(r, g, b) > far && (len(beside) == 0 || beside.cost(r, g, b) > near)
	})
	all := l.sample(func(i int) bool { return l.fixed[i] != isBackground })
	if len(inside) < len(all)/25 {
		inside = all // object and background look alike: take the middle of the box for the object
		if in := j.box.Inset(min(j.box.Dx(), j.box.Dy()) / 4); !in.Empty() {
			if middle := l.sample(func(i int) bool { return l.middle(i%l.w, i/l.w, j.roi).In(in) }); len(middle) > 0 {
				inside = middle
			}
		}
	}
	return models{fit(append(inside, on...), nil, components), background}
}

// frame returns the colours along the edge of the level.
func (l level) frame() []uint8 {
	return l.sample(func(i int) bool {
		x, y := i%l.w, i/l.w
		return x == 0 || y == 0 || x == l.w-1 || y == l.h-1
	})
}

// spread returns the cost that so large a part of the samples does not exceed.
func spread(m colors, samples []uint8, part float64) float32 {
	var costs []float32
	for i := 0; i+2 < len(samples); i += 3 {
		costs = append(costs, m.cost(float32(samples[i]), float32(samples[i+1]), float32(samples[i+2])))
	}
	if len(costs) == 0 {
		return 0
	}
	slices.Sort(costs)
	return costs[int(part*float64(len(costs)-1))]
}

// refit makes the models anew from a cut. Pixels that were cut out and are not wanted may be other objects of the same look:
// they count for neither.
func refit(l level, mask, cut []uint8, m models) models {
	object := l.sample(func(i int) bool { return mask[i] != 0 })
	background := l.sample(func(i int) bool { return mask[i] == 0 && (cut == nil || cut[i] == 0) })
	if len(object) > 3*4*components {
		m.object = fit(object, again(m.object), components)
	}
	if len(background) > 3*4*components {
		m.background = fit(background, again(m.background), components)
	}
	return m
}

// again returns a model to start from, or none if the model was a guess from few colours.
func again(m colors) colors {
	if len(m) < components {
		return nil
	}
	return m
}

func objects(label []uint8) []uint8 {
	out := make([]uint8, len(label))
	for i, v := range label {
		if v == isObject {
			out[i] = 1
		}
	}
	return out
}

// band returns the labels of a level from the cut of the next coarser one: pixels near its border are free, and their
// number.
func band(coarse level, mask []uint8, l level) (label []uint8, size int) {
	near := make([]uint8, len(mask))
	w, h := coarse.w, coarse.h
	for y := range h {
		for x := range w {
			i := y*w + x
			if x+1 < w && mask[i] != mask[i+1] || y+1 < h && mask[i] != mask[i+w] {
				for dy := -1; dy <= 2; dy++ {
					for dx := -1; dx <= 2; dx++ {
						if u, v := x+dx, y+dy; u >= 0 && v >= 0 && u < w && v < h {
							near[v*w+u] = 1
						}
					}
				}
			}
		}
	}
	label = make([]uint8, l.w*l.h)
	for y := range l.h {
		for x := range l.w {
			i, c := y*l.w+x, (y/2)*w+x/2
			switch {
			case l.fixed[i] != free:
				label[i] = l.fixed[i]
			case near[c] != 0:
				size++
			case mask[c] != 0:
				label[i] = isObject
			default:
				label[i] = isBackground
			}
		}
	}
	return label, size
}

// neighbours are the four directions in which each pair of neighbours is met once.
var neighbours = [4]struct{ dx, dy int }{{1, 0}, {0, 1}, {1, 1}, {-1, 1}}

// cut divides the free pixels of a level into object and background so that they fit the models and the border follows edges,
// and returns all pixels, 1 for the object.
func (s *solver) cut(l level, label []uint8, m models) []uint8 {
	s.index = resize(s.index, len(label))
	s.cells = s.cells[:0]
	for i, v := range label {
		s.index[i] = -1
		if v == free {
			s.index[i] = int32(len(s.cells))
			s.cells = append(s.cells, int32(i))
		}
	}
	s.graph.reset(len(s.cells), 4*len(s.cells))
	for node, cell := range s.cells {
		at := l.at(int(cell)%l.w, int(cell)/l.w)
		r, g, b := float32(l.pix[at]), float32(l.pix[at+1]), float32(l.pix[at+2])
		unary := m.background.cost(r, g, b) - m.object.cost(r, g, b)
		s.graph.terminal[node] = int32(max(-maxUnary, min(maxUnary, unary)) * unit)
	}
	// How much pixels differ from their neighbours decides what is an edge.
	var sum, pairs float64
	for _, cell := range s.cells {
		x, y := int(cell)%l.w, int(cell)/l.w
		if x+1 < l.w && y+1 < l.h {
			sum += float64(l.difference(x, y, x+1, y) + l.difference(x, y, x, y+1))
			pairs += 2
		}
	}
	beta := 1 / (2 * max(1, sum/max(1, pairs)))
	var weights [1024]int32 // by difference, in steps; beyond them they are less than 1
	step := math.Log(gamma*unit) / beta / float64(len(weights))
	for i := range weights {
		weights[i] = int32(gamma * unit * math.Exp(-beta*step*(float64(i)+0.5)))
	}
	perDifference := float32(1 / step)
	for node, cell := range s.cells {
		x, y := int(cell)%l.w, int(cell)/l.w
		for _, d := range neighbours {
			for _, sign := range [2]int{1, -1} {
				u, v := x+sign*d.dx, y+sign*d.dy
				if u < 0 || v < 0 || u >= l.w || v >= l.h {
					continue
				}
				other := v*l.w + u
				to := s.index[other]
				if to >= 0 && sign < 0 {
					continue // met from the other side
				}
				c := int32(0)
				if i := int(float32(l.difference(x, y, u, v)) * perDifference); i < len(weights) {
					c = weights[i]
				}
				if d.dx != 0 && d.dy != 0 {
					c = c * 181 >> 8 // the neighbour is √2 pixels away
				}
				switch {
				case to >= 0:
					s.graph.link(int32(node), to, c)
				case label[other] == isObject:
					s.graph.terminal[node] += c
				default:
					s.graph.terminal[node] -= c
				}
			}
		}
	}
	s.graph.solve()
	out := objects(label)
	for node, cell := range s.cells {
		if s.graph.object(int32(node)) {
			out[cell] = 1
		}
	}
	return out
}

// difference returns the squared distance of the colours of two pixels.
func (l level) difference(x, y, u, v int) int {
	a, b := l.pix[l.at(x, y):], l.pix[l.at(u, v):]
	r, g, bl := int(a[0])-int(b[0]), int(a[1])-int(b[1]), int(a[2])-int(b[2])
	return r*r + g*g + bl*bl
}

// wanted leaves out the parts of a cut that are not meant, and fills specks in the others.
func (j *job) wanted(l level, cut []uint8) []uint8 {
	out := make([]uint8, len(cut))
	part := bounds(cut, l.w, l.h)
	if part.Empty() {
		return out
	}
	// Everything happens in the part with the cut and a line around it.
	part = part.Inset(-1).Intersect(image.Rect(0, 0, l.w, l.h))
	w, h := part.Dx(), part.Dy()
	inside := make([]uint8, w*h)
	for y := range h {
		copy(inside[y*w:(y+1)*w], cut[(part.Min.Y+y)*l.w+part.Min.X:])
	}
	labelOf := func(labels []int32, p image.Point) int32 {
		if i, ok := l.pixel(p, j.roi); ok {
			if at := image.Pt(i%l.w, i/l.w); at.In(part) {
				return labels[(at.Y-part.Min.Y)*w+at.X-part.Min.X]
			}
		}
		return -1
	}

	labels, areas, _ := regions(inside, w, h, 1)
	keep := make([]bool, len(areas))
	largest := slices.Max(areas)
	clicked := false
	for _, p := range j.on {
		if label := labelOf(labels, p); label >= 0 {
			keep[label], clicked = true, true
		}
	}
	switch {
	case j.overlap != nil:
		common := make([]int, len(areas))
		for i, label := range labels {
			if label >= 0 && j.overlap.has(l.middle(part.Min.X+i%w, part.Min.Y+i/w, j.roi)) {
				common[label]++
			}
		}
		most := slices.Max(common)
		for label, n := range common {
			// Without any the object has jumped, and the largest part is it.
			keep[label] = keep[label] || n > 0 && (n == most || 2*n > areas[label]) || most == 0 && areas[label] == largest
		}
	case !clicked || !j.box.Empty():
		for label, a := range areas {
			keep[label] = keep[label] || a >= largest/20
		}
	}
	area := 0
	for i, label := range labels {
		inside[i] = 0
		if label >= 0 && keep[label] {
			inside[i] = 1
			area++
		}
	}
	labels, areas, edge := regions(inside, w, h, 0)
	specks := make([]bool, len(areas))
	for label, a := range areas {
		specks[label] = !edge[label] && a <= max(2, area/500)
	}
	for _, p := range j.off {
		if label := labelOf(labels, p); label >= 0 {
			specks[label] = false
		}
	}
	for i, label := range labels {
		if label >= 0 && specks[label] {
			inside[i] = 1
		}
	}
	for y := range h {
		copy(out[(part.Min.Y+y)*l.w+part.Min.X:], inside[y*w:(y+1)*w])
	}
	return out
}
