package search

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestKeys: keys of distances come in the order of the numbers, those of equal ones in the order they had.
func TestKeys(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	values := []float32{0, float32(math.Copysign(0, -1)), 1, -1, math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32,
		float32(math.Inf(1)), float32(math.Inf(-1))}
	for range 20_000 {
		values = append(values, float32(random.NormFloat64()*100), float32(random.IntN(50)-25))
	}
	keys := make([]uint64, len(values))
	for i, v := range values {
		keys[i] = uint64(ordered(v))<<32 | uint64(i)
		if back := unordered(ordered(v)); back != v {
			t.Fatalf("%v comes back as %v", v, back)
		}
	}
	sortByDistance(keys)
	if !slices.IsSorted(keys) {
		t.Error("the keys are not sorted")
	}
	for i, key := range keys[1:] {
		a, b := values[uint32(keys[i])], values[uint32(key)]
		if a > b || a == b && uint32(keys[i]) > uint32(key) {
			t.Fatalf("%v, number %d, comes before %v, number %d", a, uint32(keys[i]), b, uint32(key))
		}
	}
}
