package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"pixano/internal/lance"
)

func main() {
	ctx := context.Background()
	c, err := lance.Connect(ctx, os.Args[1], nil)
	if err != nil { panic(err) }
	t, err := c.OpenTable(ctx, "image_embedding", nil)
	if err != nil { panic(err) }
	v := make([]float32, 512)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range v { v[i] = float32(r.NormFloat64()) }
	all, _ := t.Count(ctx, "")
	type cse struct { name string; q lance.Query }
	vq := func() *lance.VectorQuery { return &lance.VectorQuery{Column: "vector", Vectors: [][]float32{v}, Metric: lance.L2, Exact: true} }
	cases := []cse{
		{"id 50", lance.Query{Columns: []string{"id"}, Limit: 50, Vector: vq()}},
		{"id,item 50", lance.Query{Columns: []string{"id", "item_ref.id"}, Limit: 50, Vector: vq()}},
		{"id,item 66", lance.Query{Columns: []string{"id", "item_ref.id"}, Limit: 66, Vector: vq()}},
		{"rowid 66", lance.Query{Columns: []string{}, WithRowID: true, Limit: 66, Vector: vq()}},
		{"rowid all", lance.Query{Columns: []string{}, WithRowID: true, Limit: int(all), Vector: vq()}},
		{"id,item all", lance.Query{Columns: []string{"id", "item_ref.id"}, Limit: int(all), Vector: vq()}},
	}
	cases = cases[:0]
	names := []string{}
	for _, br := range []int{128, 256, 512, 1024, 2048, 8192} {
		n := fmt.Sprintf("top66 %d", br)
		cases = append(cases, cse{n, lance.Query{Columns: []string{"id", "item_ref.id"}, BatchRows: br, Limit: 66, Vector: vq()}})
		names = append(names, n)
	}
	for _, br := range []int{256, 1024, 8192} {
		n := fmt.Sprintf("scan %d", br)
		cases = append(cases, cse{n, lance.Query{Columns: []string{"id", "item_ref.id", "vector"}, BatchRows: br}})
		names = append(names, n)
		n = fmt.Sprintf("all %d", br)
		cases = append(cases, cse{n, lance.Query{Columns: []string{"id", "item_ref.id"}, BatchRows: br, Limit: int(all), Vector: vq()}})
		names = append(names, n)
	}
	times := map[string][]time.Duration{}
	for range 15 {
		for _, c := range cases {
			start := time.Now()
			for _, err := range t.Batches(ctx, c.q) { if err != nil { panic(err) } }
			times[c.name] = append(times[c.name], time.Since(start))
		}
		start := time.Now(); t.Count(ctx, ""); times["count"] = append(times["count"], time.Since(start))
		start = time.Now(); t.Indexes(ctx); times["indexes"] = append(times["indexes"], time.Since(start))
		start = time.Now(); t.CheckoutLatest(ctx); times["latest"] = append(times["latest"], time.Since(start))
	}
	for _, k := range append(names, "count") {
		slices.Sort(times[k]); fmt.Println(k, times[k][0], times[k][len(times[k])/2])
	}
}
