package search_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"pixano/dataset"
	"pixano/features"
	"pixano/schema"
	"pixano/search"
)

// TestProject: vectors that lie in a plane of their space, but for a little, are placed as they lie in that plane.
func TestProject(t *testing.T) {
	if _, err := dataset.Engine(); err != nil {
		t.Skipf("no storage engine here: %v", err)
	}
	ctx := t.Context()
	ds, err := dataset.Create(ctx, filepath.Join(t.TempDir(), "photos"), photo{}, dataset.Info{Name: "photos"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	if err := ds.CreateTable(ctx, "vectors", vector16{}, schema.ManyToOne); err != nil {
		t.Fatal(err)
	}
	s := search.New(ds, nil)
	if p, err := s.Project(ctx, "vectors"); err != nil || len(p.Items) != 0 {
		t.Errorf("of no rows: %+v (%v)", p, err)
	}
	random := rand.New(rand.NewPCG(3, 3))
	var u, w [dim]float64 // orthogonal, of length 1
	for j := range dim {
		u[j], w[j] = 0.25, 0.25
		if j%2 == 1 {
			w[j] = -0.25
		}
	}
	const n = 3000
	var rows []vector16
	places := make([][2]float64, n)
	for i := range n {
		places[i] = [2]float64{3 * random.NormFloat64(), random.NormFloat64()}
		e := vector16{Kind: "whole"}
		e.ID, e.ItemRef = fmt.Sprintf("v%04d", i), features.Item(fmt.Sprintf("i%04d", i))
		for j := range dim {
			e.Vector[j] = float32(5 + places[i][0]*u[j] + places[i][1]*w[j] + 0.001*random.NormFloat64())
		}
		rows = append(rows, e)
	}
	if err := ds.WithChecks(dataset.Checks{Mode: dataset.CheckNone}).Add(ctx, "vectors", rows); err != nil {
		t.Fatal(err)
	}
	p, err := s.Project(ctx, "vectors")
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Items) != n || len(p.Points) != 2*n || p.Items[7] != "i0007" {
		t.Fatalf("%d items, %d numbers, the eighth is of %s", len(p.Items), len(p.Points), p.Items[7])
	}
	if e := p.Explained; math.Abs(e[0]-0.9) > 0.02 || math.Abs(e[0]+e[1]-1) > 0.001 {
		t.Errorf("explained %v, want about 0.9 and 0.1", e)
	}
	// The same places but for the middle, the scale and the signs.
	for axis := range 2 {
		var xy, xx, yy, mean, mid float64
		for i := range n {
			mean += places[i][axis] / n
			mid += float64(p.Points[2*i+axis]) / n
		}
		for i := range n {
			x, y := places[i][axis]-mean, float64(p.Points[2*i+axis])-mid
			xy, xx, yy = xy+x*y, xx+x*x, yy+y*y
		}
		if r := math.Abs(xy) / math.Sqrt(xx*yy); r < 0.999 {
			t.Errorf("axis %d: correlation %f", axis, r)
		}
	}
	if most := slices.Max(p.Points); most > 1 {
		t.Errorf("a point at %v, want up to 1", most)
	}
	again, err := s.Project(ctx, "vectors")
	if err != nil || !slices.Equal(again.Points, p.Points) {
		t.Errorf("the same table gives another plane (%v)", err)
	}
	if _, err := s.Project(ctx, "item"); !errors.Is(err, dataset.ErrQuery) {
		t.Errorf("a table without vectors: %v", err)
	}
}
