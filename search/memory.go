package search

import (
	"context"
	"math"
	"runtime"
	"sync"
)

// compare returns the nearest rows, want of them or all for 0, by comparing vectors in memory. It returns false where the
// engine has to compare them.
func (v *vectorSearch) compare(ctx context.Context, want int, ranked bool) ([]Hit, bool, error) {
	vectors, selected, err := v.t.Vectors(ctx, v.query.Column, ranked)
	if vectors == nil || err != nil {
		return nil, false, err
	}
	query := v.query.Vectors[0]
	distance := kernel(v.query.Metric, query)
	// A key is a distance above the place of its row, which follows item and id: its order is that of the hits.
	parts := make([][]uint64, runtime.GOMAXPROCS(0))
	each := (len(vectors.Rows) + len(parts) - 1) / len(parts)
	var wait sync.WaitGroup
	for p := range parts {
		from, to := min(p*each, len(vectors.Rows)), min((p+1)*each, len(vectors.Rows))
		wait.Go(func() {
			keys := make([]uint64, 0, to-from)
			for i := from; i < to; i++ {
				row := &vectors.Rows[i]
				switch {
				case selected != nil && !selected[i], len(row.Vector) != len(query), !v.byRow && row.Item == "":
					continue
				case v.t.Allow != nil && !v.t.Allow(row.Item):
					continue
				}
				d := distance(row.Vector)
				if d != d || v.query.UpperBound != nil && d >= *v.query.UpperBound {
					continue
				}
				keys = append(keys, uint64(ordered(d))<<32|uint64(i))
			}
			parts[p] = keys
		})
	}
	wait.Wait()
	keys := make([]uint64, 0, len(vectors.Rows))
	for _, part := range parts {
		keys = append(keys, part...)
	}
	sortByDistance(keys)
	if want == 0 || want > len(keys) {
		want = len(keys)
	}
	hits := make([]Hit, 0, want)
	seen := make([]bool, len(vectors.Rows)) // by group
	for _, key := range keys {
		if len(hits) == want {
			break
		}
		row := &vectors.Rows[uint32(key)]
		if !v.byRow && seen[row.Group] {
			continue
		}
		seen[row.Group] = true
		hits = append(hits, Hit{ItemID: row.Item, ID: row.ID, Distance: float64(unordered(uint32(key >> 32)))})
	}
	return hits, true, ctx.Err()
}

// ordered maps a number to one whose order is that of the numbers; both zeros are one. unordered maps back.
func ordered(d float32) uint32 {
	bits := math.Float32bits(d + 0)
	if bits>>31 == 1 {
		return ^bits
	}
	return bits | 1<<31
}

func unordered(bits uint32) float32 {
	if bits>>31 == 1 {
		return math.Float32frombits(bits &^ (1 << 31))
	}
	return math.Float32frombits(^bits)
}

// sortByDistance sorts keys by their upper halves; those with equal ones stay in their order. It is a radix sort: three
// passes over the keys, a tenth of the time of comparing them.
func sortByDistance(keys []uint64) {
	const digit = 11
	from, to := keys, make([]uint64, len(keys))
	for shift := 32; shift < 64; shift += digit {
		var starts [1 << digit]int
		for _, key := range from {
			starts[key>>shift&(1<<digit-1)]++
		}
		sum := 0
		for i, n := range starts {
			starts[i], sum = sum, sum+n
		}
		for _, key := range from {
			place := &starts[key>>shift&(1<<digit-1)]
			to[*place] = key
			*place++
		}
		from, to = to, from
	}
	copy(keys, from)
}
