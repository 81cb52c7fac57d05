package search_test

import (
	"context"
	"fmt"

	"pixano/dataset"
	"pixano/search"
)

func Example() {
	ctx := context.Background()
	ds, err := dataset.Open(ctx, "../testdata/golden/image_detection", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ds.Close()
	s := search.New(ds, nil)
	like := search.Query{Table: "image_embedding", Like: "emb_003_1", Limit: 2}
	words := search.Query{Table: "objects", Words: &search.Words{Text: "Cat", Columns: []string{"category"}}, Limit: 1, ByRow: true}
	for _, q := range []search.Query{like, words} {
		r, err := s.Search(ctx, q)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, hit := range r.Hits {
			fmt.Printf("%s %s %.2f\n", hit.ItemID, hit.ID, hit.Distance)
		}
	}
	// Output:
	// item_003 emb_003_1 0.00
	// item_005 emb_005_0 23.62
	// item_006 obj_006_0 0.00
}
