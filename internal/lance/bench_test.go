package lance

import (
	"testing"
)

// What a call costs by itself: closing nothing.
func BenchmarkCall(b *testing.B) {
	needEngine(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := callToken(fnClose, 0, 0, args{op: "close"}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkScan(b *testing.B) {
	c := connect(b)
	table := create(b, c, "t", numbers(0, 100_000))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for batch, err := range table.Batches(b.Context(), Query{}) {
			if err != nil {
				b.Fatal(err)
			}
			n += int(batch.NumRows())
		}
		if n != 100_000 {
			b.Fatal(n)
		}
	}
	b.ReportMetric(100_000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkPage(b *testing.B) {
	c := connect(b)
	table := create(b, c, "t", numbers(0, 100_000))
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range table.Batches(b.Context(), Query{Offset: 50_000, Limit: 50}) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	c := connect(b)
	create(b, c, "t", numbers(0, 10))
	for b.Loop() {
		table, err := c.OpenTable(b.Context(), "t", nil)
		if err != nil {
			b.Fatal(err)
		}
		table.Close()
	}
}

func BenchmarkMergeOne(b *testing.B) {
	c := connect(b)
	table := create(b, c, "t", numbers(0, 1000))
	row := numbers(500, 501)
	merge := MergeInsert{On: []string{"id"}, UpdateMatched: true, InsertMissing: true}
	for b.Loop() {
		if _, err := table.MergeInsert(b.Context(), merge, FromBatches(nil, row), nil); err != nil {
			b.Fatal(err)
		}
	}
}
