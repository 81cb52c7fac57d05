package grabcut

import "math"

// components is how many Gaussians a colour model has, as in the paper.
const components = 5

// minVariance keeps a component of one colour from being a point: noise of 3 steps of 256 is in every picture.
const minVariance = 9

// gaussian is a component of a colour model: cost(c) = base + ½ (c-mean)ᵀ inverse (c-mean).
type gaussian struct {
	mean [3]float32
	inv  [6]float32 // rr, gg, bb, rg, rb, gb
	base float32    // -ln(weight) + ½ ln(det)
}

// colors is a mixture of Gaussians over RGB.
type colors []gaussian

// cost returns the negative logarithm of the likelihood of a colour in its likeliest component.
func (m colors) cost(r, g, b float32) float32 {
	best := float32(math.MaxFloat32)
	for i := range m {
		c := &m[i]
		x, y, z := r-c.mean[0], g-c.mean[1], b-c.mean[2]
		v := c.base + 0.5*(x*x*c.inv[0]+y*y*c.inv[1]+z*z*c.inv[2]) + x*y*c.inv[3] + x*z*c.inv[4] + y*z*c.inv[5]
		best = min(best, v)
	}
	return best
}

// nearest returns the likeliest component of a colour.
func (m colors) nearest(r, g, b float32) int {
	best, at := float32(math.MaxFloat32), 0
	for i := range m {
		c := &m[i]
		x, y, z := r-c.mean[0], g-c.mean[1], b-c.mean[2]
		v := c.base + 0.5*(x*x*c.inv[0]+y*y*c.inv[1]+z*z*c.inv[2]) + x*y*c.inv[3] + x*z*c.inv[4] + y*z*c.inv[5]
		if v < best {
			best, at = v, i
		}
	}
	return at
}

// moments gathers the colours of a component.
type moments struct {
	n   float64
	sum [3]float64
	sq  [6]float64 // rr, gg, bb, rg, rb, gb
}

func (m *moments) add(r, g, b float64) {
	m.n++
	m.sum[0] += r
	m.sum[1] += g
	m.sum[2] += b
	m.sq[0] += r * r
	m.sq[1] += g * g
	m.sq[2] += b * b
	m.sq[3] += r * g
	m.sq[4] += r * b
	m.sq[5] += g * b
}

// gaussian returns the component with these moments, of total colours.
func (m *moments) gaussian(total float64) gaussian {
	mr, mg, mb := m.sum[0]/m.n, m.sum[1]/m.n, m.sum[2]/m.n
	rr := m.sq[0]/m.n - mr*mr + minVariance
	gg := m.sq[1]/m.n - mg*mg + minVariance
	bb := m.sq[2]/m.n - mb*mb + minVariance
	rg := m.sq[3]/m.n - mr*mg
	rb := m.sq[4]/m.n - mr*mb
	gb := m.sq[5]/m.n - mg*mb
	det := rr*(gg*bb-gb*gb) - rg*(rg*bb-gb*rb) + rb*(rg*gb-gg*rb)
	return gaussian{
		mean: [3]float32{float32(mr), float32(mg), float32(mb)},
		inv: [6]float32{float32((gg*bb - gb*gb) / det), float32((rr*bb - rb*rb) / det), float32((rr*gg - rg*rg) / det),
			float32((rb*gb - rg*bb) / det), float32((rg*gb - rb*gg) / det), float32((rg*rb - rr*gb) / det)},
		base: float32(-math.Log(m.n/total) + 0.5*math.Log(det)),
	}
}

// fit makes a model of colours, r, g, b, r, g, b …, with at most so many components. Starting from old, if that is not empty,
// it assigns each colour to its likeliest component once, else it finds the components by k-means.
func fit(samples []uint8, old colors, k int) colors {
	n := len(samples) / 3
	if n == 0 {
		return nil
	}
	if len(old) == 0 {
		old = kMeans(samples, k)
	}
	parts := make([]moments, len(old))
	for i := 0; i < len(samples); i += 3 {
		r, g, b := samples[i], samples[i+1], samples[i+2]
		parts[old.nearest(float32(r), float32(g), float32(b))].add(float64(r), float64(g), float64(b))
	}
	var out colors
	for i := range parts {
		if parts[i].n > 0 {
			out = append(out, parts[i].gaussian(float64(n)))
		}
	}
	return out
}

// kMeans returns round components around the means of the colours. It begins with colours that are far from each other,
// so it gives the same for the same samples.
func kMeans(samples []uint8, k int) colors {
	n := len(samples) / 3
	const most = 4096 // colours are enough to find the means
	step := 3 * max(1, n/most)
	var mean [3]float32
	count := float32(0)
	for i := 0; i+2 < len(samples); i += step {
		for c := range 3 {
			mean[c] += float32(samples[i+c])
		}
		count++
	}
	for c := range 3 {
		mean[c] /= count
	}
	distance := func(i int, m [3]float32) float32 {
		x, y, z := float32(samples[i])-m[0], float32(samples[i+1])-m[1], float32(samples[i+2])-m[2]
		return x*x + y*y + z*z
	}
	means := [][3]float32{mean}
	for len(means) < k {
		far, at := float32(minVariance), -1
		for i := 0; i+2 < len(samples); i += step {
			near := float32(math.MaxFloat32)
			for _, m := range means {
				near = min(near, distance(i, m))
			}
			if near > far {
				far, at = near, i
			}
		}
		if at < 0 {
			break // no more colours
		}
		means = append(means, [3]float32{float32(samples[at]), float32(samples[at+1]), float32(samples[at+2])})
	}
	for range 5 {
		sums := make([][4]float32, len(means))
		for i := 0; i+2 < len(samples); i += step {
			best, near := 0, float32(math.MaxFloat32)
			for j, m := range means {
				if d := distance(i, m); d < near {
					best, near = j, d
				}
			}
			for c := range 3 {
				sums[best][c] += float32(samples[i+c])
			}
			sums[best][3]++
		}
		for j, s := range sums {
			if s[3] > 0 {
				means[j] = [3]float32{s[0] / s[3], s[1] / s[3], s[2] / s[3]}
			}
		}
	}
	out := make(colors, len(means))
	for i, m := range means {
		out[i] = gaussian{mean: m, inv: [6]float32{1, 1, 1}}
	}
	return out
}
