package yolo

import (
	"cmp"
	"math"
	"slices"
)

type point struct{ x, y float64 }

// hull returns the convex hull of points, in order, by Andrew's monotone chain.
func hull(points []point) []point {
	slices.SortFunc(points, func(a, b point) int { return cmp.Or(cmp.Compare(a.x, b.x), cmp.Compare(a.y, b.y)) })
	points = slices.Compact(points)
	if len(points) < 3 {
		return points
	}
	turn := func(a, b, c point) float64 { return (b.x-a.x)*(c.y-a.y) - (b.y-a.y)*(c.x-a.x) }
	chain := func(points []point) []point {
		var h []point
		for _, p := range points {
			for len(h) > 1 && turn(h[len(h)-2], h[len(h)-1], p) <= 0 {
				h = h[:len(h)-1]
			}
			h = append(h, p)
		}
		return h[:len(h)-1]
	}
	lower := chain(points)
	slices.Reverse(points)
	return append(lower, chain(points)...)
}

// smallestBox returns the corners of the smallest box, turned as it may be, around points: one side lies on the hull.
func smallestBox(points []point) []float64 {
	h := hull(points)
	best, area := []float64(nil), math.Inf(1)
	for i := range h {
		a, b := h[i], h[(i+1)%len(h)]
		length := math.Hypot(b.x-a.x, b.y-a.y)
		if length == 0 {
			continue
		}
		ux, uy := (b.x-a.x)/length, (b.y-a.y)/length
		minU, maxU, minV, maxV := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
		for _, p := range h {
			u, v := p.x*ux+p.y*uy, p.y*ux-p.x*uy
			minU, maxU, minV, maxV = min(minU, u), max(maxU, u), min(minV, v), max(maxV, v)
		}
		if size := (maxU - minU) * (maxV - minV); size < area-1e-9 {
			area = size
			best = best[:0]
			for _, c := range [][2]float64{{minU, minV}, {maxU, minV}, {maxU, maxV}, {minU, maxV}} {
				best = append(best, c[0]*ux-c[1]*uy, c[0]*uy+c[1]*ux)
			}
		}
	}
	return best
}
