package search

import (
	"context"
	"math"
	"math/rand/v2"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"pixano/dataset"
)

// Projection places the vectors of a table on a plane.
type Projection struct {
	// Items are the ids of the items that the vectors belong to, in storage order. Points has x and y of each, from -1 to 1
	// by the same scale; not a number, for a row without a vector.
	Items  []string
	Points []float32

	// Explained are the shares of the vectors' variance along x and y, from 0 to 1.
	Explained [2]float64
}

const (
	projectionSample = 8192 // vectors that the directions are found from
	projectionSteps  = 60
	projectionExact  = 1e-7 // the change of a direction that ends the search for it, as one less its cosine
)

// Project places the vectors of a table on the plane of the two directions in which they differ most (principal component
// analysis). The directions are found from up to 8,192 vectors that are spread over the table. The same table gives the same
// plane. Memory is that of the sample and of the points.
func (s *Searcher) Project(ctx context.Context, table string) (*Projection, error) {
	t, err := s.ds.Search(ctx, "project", table, dataset.Query{})
	if err != nil {
		return nil, err
	}
	column, dim, err := vectorColumn(t.Columns)
	if err != nil {
		return nil, at(table, "", err)
	}
	read := func(do func(item string, vector []float32)) error {
		q := dataset.Query{Columns: []string{t.Item, column}}
		for batch, err := range s.ds.Batches(ctx, table, q) {
			if err != nil {
				return err
			}
			items, ok := batch.Column(0).(*array.String)
			if !ok {
				return queryError("column %s is %s: want texts", t.Item, batch.Column(0).DataType())
			}
			eachVector(batch, 1, func(i int, vector []float32) { do(items.Value(i), vector) })
		}
		return ctx.Err()
	}
	count, err := s.ds.Count(ctx, table, dataset.Query{})
	if err != nil {
		return nil, err
	}
	step, n := int(count/projectionSample)+1, 0
	var sample [][]float32
	if err := read(func(_ string, vector []float32) {
		if n++; n%step == 0 || count < projectionSample {
			if vector != nil {
				sample = append(sample, append([]float32(nil), vector...))
			}
		}
	}); err != nil {
		return nil, at(table, "", err)
	}
	mean, axes, explained := principal(sample, dim)
	p := &Projection{Explained: explained}
	var most float64
	if err := read(func(item string, vector []float32) {
		x, y := math.NaN(), math.NaN()
		if vector != nil {
			x, y = along(vector, mean, axes[0]), along(vector, mean, axes[1])
			most = max(most, math.Abs(x), math.Abs(y))
		}
		p.Items, p.Points = append(p.Items, item), append(p.Points, float32(x), float32(y))
	}); err != nil {
		return nil, at(table, "", err)
	}
	if most > 0 {
		for i := range p.Points {
			p.Points[i] = float32(float64(p.Points[i]) / most)
		}
	}
	return p, nil
}

// eachVector calls do for each row of a batch with its vector, which is good until the next; nil if it has none, or one with
// numbers that are not finite.
func eachVector(batch arrow.RecordBatch, column int, do func(row int, vector []float32)) {
	list, ok := batch.Column(column).(*array.FixedSizeList)
	if !ok {
		return
	}
	var vector []float32
	for i := range list.Len() {
		vector = vector[:0]
		if !list.IsNull(i) {
			vector = appendVector(vector, list, i)
		}
		if len(vector) == 0 || finite(vector) != nil {
			do(i, nil)
			continue
		}
		do(i, vector)
	}
}

// along is the place of a vector along an axis through the mean.
func along(vector []float32, mean, axis []float64) float64 {
	sum := 0.0
	for j, v := range vector {
		sum += (float64(v) - mean[j]) * axis[j]
	}
	return sum
}

// principal returns the mean of vectors, the two orthogonal directions of length 1 in which they differ most, and the shares of
// the variance along them. The directions are found by multiplying two vectors with the covariance until they turn no more.
func principal(vectors [][]float32, dim int) (mean []float64, axes [2][]float64, explained [2]float64) {
	mean = make([]float64, dim)
	axes = [2][]float64{make([]float64, dim), make([]float64, dim)}
	if len(vectors) == 0 {
		return
	}
	for _, v := range vectors {
		for j, x := range v {
			mean[j] += float64(x) / float64(len(vectors))
		}
	}
	total := 0.0
	for _, v := range vectors {
		for j, x := range v {
			total += (float64(x) - mean[j]) * (float64(x) - mean[j])
		}
	}
	if total == 0 {
		return
	}
	random := rand.New(rand.NewPCG(1, 2))
	for k := range axes {
		for j := range axes[k] {
			axes[k][j] = random.NormFloat64()
		}
	}
	orthonormal(&axes)
	for range projectionSteps {
		var next [2][]float64
		for k := range next {
			next[k] = make([]float64, dim)
		}
		for _, v := range vectors {
			a, b := along(v, mean, axes[0]), along(v, mean, axes[1])
			for j, x := range v {
				d := float64(x) - mean[j]
				next[0][j] += a * d
				next[1][j] += b * d
			}
		}
		explained = [2]float64{product(next[0], axes[0]) / total, product(next[1], axes[1]) / total}
		orthonormal(&next)
		turned := max(1-math.Abs(product(axes[0], next[0])), 1-math.Abs(product(axes[1], next[1])))
		axes = next
		if turned < projectionExact {
			break
		}
	}
	for k := range axes { // of the two signs, the one with which the largest part is positive
		largest := 0.0
		for _, x := range axes[k] {
			if math.Abs(x) > math.Abs(largest) {
				largest = x
			}
		}
		if largest < 0 {
			for j := range axes[k] {
				axes[k][j] = -axes[k][j]
			}
		}
	}
	return
}

func product(a, b []float64) (sum float64) {
	for i := range a {
		sum += a[i] * b[i]
	}
	return
}

// orthonormal gives two vectors length 1 and makes the second one orthogonal to the first. One that vanishes is zero.
func orthonormal(axes *[2][]float64) {
	unit := func(v []float64) {
		length := math.Sqrt(product(v, v))
		for j := range v {
			if length > 0 {
				v[j] /= length
			}
		}
	}
	unit(axes[0])
	before := math.Sqrt(product(axes[1], axes[1]))
	for range 2 { // twice, for what rounding leaves
		d := product(axes[0], axes[1])
		for j := range axes[1] {
			axes[1][j] -= d * axes[0][j]
		}
	}
	if math.Sqrt(product(axes[1], axes[1])) <= before*1e-9 {
		clear(axes[1])
	}
	unit(axes[1])
}
