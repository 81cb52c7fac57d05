package dataset_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"pixano/dataset"
	"pixano/schema"
)

func Example() {
	ctx := context.Background()
	ds, err := dataset.Open(ctx, "../testdata/golden/image_detection", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ds.Close()
	q := dataset.Query{Where: "confidence > ?", Args: []any{0.8}, OrderBy: "confidence desc", Limit: 3}
	for row, err := range ds.Rows(ctx, "bboxes", q) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(row.ID(), row.Value("item_ref.id"), row.Value("confidence"))
	}
	// Output:
	// box_010_0 item_010 0.8836
	// box_011_0 item_011 0.8776
	// box_021_0 item_021 0.8749
}

func ExampleRow() {
	ctx := context.Background()
	ds, err := dataset.Open(ctx, "../testdata/golden/image_detection", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ds.Close()
	for row, err := range ds.Rows(ctx, "source", dataset.Query{IDs: []string{"src_human"}}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for column, value := range row.All() {
			fmt.Printf("%s: %v\n", column, value)
		}
		fmt.Println(row)
	}
	// Output:
	// id: src_human
	// created_at: 2024-01-02 03:04:05.678901 +0000 UTC
	// updated_at: 2024-01-02 03:11:05.680138 +0000 UTC
	// name: Zoé
	// kind: human
	// metadata: {}
	// {"id":"src_human","created_at":"2024-01-02T03:04:05.678901","updated_at":"2024-01-02T03:11:05.680138","name":"Zoé","kind":"human","metadata":"{}"}
}

func ExampleLibrary_Datasets() {
	library, err := dataset.OpenLibrary("../testdata/golden")
	if err != nil {
		fmt.Println(err)
		return
	}
	entries, err := library.Datasets(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range entries {
		fmt.Println(e.Info.Name, e.Layout, e.Items)
	}
	// Output:
	// Golden image detection item 24
	// Golden image detection item 24
	// Golden multi-view and text item 5
	// Golden record image record 6
	// Golden video tracking item 4
	// Golden VQA item 7
}

func ExampleError() {
	ds, err := dataset.Open(context.Background(), "nowhere", nil)
	if err == nil {
		ds.Close()
	}
	fmt.Println(err)
	fmt.Println(errors.Is(err, dataset.ErrNotFound), errors.Is(err, fs.ErrNotExist))
	// Output:
	// open nowhere: no such directory
	// true true
}

func ExampleDataset_Get() {
	ctx := context.Background()
	ds, err := dataset.Open(ctx, "../testdata/golden/image_detection", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ds.Close()
	var boxes []schema.BBox
	if err := ds.Get(ctx, "bboxes", &boxes, dataset.Query{ItemIDs: []string{"item_003"}}); err != nil {
		fmt.Println(err)
		return
	}
	for _, b := range boxes {
		fmt.Println(b.ID, b.EntityRef.ID, b.Format, b.Confidence)
	}
	var objects []any // rows of a class without a Go type are *schema.Dynamic
	if err := ds.Get(ctx, "objects", &objects, dataset.Query{OrderBy: "area desc", Limit: 1}); err != nil {
		fmt.Println(err)
		return
	}
	category, _ := objects[0].(*schema.Dynamic).Get("category")
	fmt.Println(category)
	// Output:
	// box_003_0 obj_003_0 xywh 0.578
	// box_003_1 obj_003_1 xyxy -1
	// box_003_2 obj_003_2 xywh 0.6563
	// bird "x"
}

func ExampleDataset_Resolve() {
	ctx := context.Background()
	ds, err := dataset.Open(ctx, "../testdata/golden/image_detection", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ds.Close()
	var boxes []schema.BBox
	missing, err := ds.ByID(ctx, "bboxes", &boxes, "box_011_0", "box_999_0")
	if err != nil {
		fmt.Println(err)
		return
	}
	var image schema.Image
	if err := ds.Resolve(ctx, boxes[0].ViewRef, &image); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(boxes[0].ID, "on", image.URL)
	fmt.Println("missing:", missing)
	// Output:
	// box_011_0 on images/train/im_011.jpg
	// missing: [box_999_0]
}

func ExampleTableOf() {
	ctx := context.Background()
	ds, err := dataset.Open(ctx, "../testdata/golden/image_detection", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ds.Close()
	boxes, err := dataset.TableOf[schema.BBox](ds, "bboxes")
	if err != nil {
		fmt.Println(err)
		return
	}
	sure := boxes.Where("confidence > ?", 0.8).OrderBy("confidence desc")
	for b, err := range sure.Limit(2).All(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(b.ID, b.ItemRef.ID, b.Confidence)
	}
	n, err := sure.Where("is_normalized").Count(ctx) // sure itself stays as it is
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(n, "normalized")
	// Output:
	// box_010_0 item_010 0.8836
	// box_011_0 item_011 0.8776
	// 3 normalized
}

func ExampleItemsOf() {
	type Scene struct { // of the dataset's tables and columns those that are of interest
		schema.Item
		Category string
		Image    schema.Image
		BBoxes   []schema.BBox `pixano:"bboxes"`
	}
	ctx := context.Background()
	ds, err := dataset.Open(ctx, "../testdata/golden/image_detection", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ds.Close()
	items, err := dataset.ItemsOf[Scene](ds)
	if err != nil {
		fmt.Println(err)
		return
	}
	for item, err := range items.Where("category = ?", "dog").OrderBy("#bboxes desc, id").Limit(3).All(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(item.ID, item.Image.URL, len(item.BBoxes))
	}
	// Output:
	// item_007 images/train/im_007.jpg 3
	// item_019 images/train/im_019.jpg 3
	// item_001 images/train/im_001.jpg 1
}

func ExampleDataset_Items() {
	ctx := context.Background()
	ds, err := dataset.Open(ctx, "../testdata/golden/video_tracking", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ds.Close()
	var items []dataset.Item
	if err := ds.Items(ctx, &items, dataset.Query{OrderBy: "#tracks desc", Limit: 1}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(items[0].ID, len(items[0].Tables["tracks"].([]*schema.Dynamic)))
	rest, err := schema.MarshalItem(ds.Schema(), items[0].Item, items[0].Tables)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.31s…\n", rest)
	// Output:
	// video_3 3
	// {"id":"video_3","item":{"id":"v…
}
