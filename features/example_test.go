package features_test

import (
	"encoding/json"
	"errors"
	"fmt"

	"pixano/features"
)

func Example() {
	// A mask as a row stores it: what is it, how large, and where?
	mask, err := features.ParseRLE([]int64{30, 40}, []byte("a97g000000000000000000cb0"))
	if err != nil {
		fmt.Println(err)
		return
	}
	box, err := mask.BBox()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(mask.Area(), mask.Bounds())
	fmt.Printf("%.3f\n", box)
	// Output:
	// 70 (10,5)-(20,12)
	// [0.250 0.167 0.250 0.233]
}

func ExampleItem() {
	data, err := json.Marshal(features.Item("i1"))
	fmt.Println(string(data), err)
	fmt.Println(features.ItemRef{}.IsZero(), features.ItemRef{Name: "image", ID: "i1"}.Validate())
	// Output:
	// {"name":"item","id":"i1"} <nil>
	// true ItemRef.name: want "item", have "image"
}

func ExampleRLE() {
	mask := features.RLE{Height: 3, Width: 2, Counts: []uint32{0, 2, 3, 1}}
	pix, err := mask.Bitmap()
	if err != nil {
		fmt.Println(err)
		return
	}
	for y := range mask.Height {
		fmt.Println(pix[y*mask.Width:][:mask.Width])
	}
	size, counts := mask.Compressed()
	fmt.Println(size, string(counts))
	// Output:
	// [1 0]
	// [1 0]
	// [0 1]
	// [3 2] 023O
}

func ExampleRLE_UnmarshalJSON() {
	var mask features.RLE
	err := json.Unmarshal([]byte(`{"size": [3, 2], "counts": [0, 2, 3, 1]}`), &mask)
	fmt.Println(mask, err)

	err = json.Unmarshal([]byte(`{"size": [3, 2], "counts": [0, 2]}`), &mask)
	fmt.Println(errors.Is(err, features.ErrInvalid), err)
	// Output:
	// {3 2 [0 2 3 1]} <nil>
	// true RLE.counts: want lengths that add up to 3 x 2 pixels, have 2
}

func ExampleRLEFromPolygons() {
	mask, err := features.RLEFromPolygons(6, 6, [][]float64{{1, 1, 4, 1, 4, 4, 1, 4}})
	_, counts := mask.Compressed()
	fmt.Println(string(counts), err)
	// Output: 733000; <nil>
}

func ExampleRLE_Polygons() {
	ring := features.Polygon{
		Exterior: []float64{0, 0, 5, 0, 5, 5, 0, 5},
		Holes:    [][]float64{{2, 2, 3, 2, 3, 3, 2, 3}},
	}
	mask, err := ring.RLE(6, 6)
	if err != nil {
		fmt.Println(err)
		return
	}
	polygons, err := mask.Polygons()
	fmt.Println(mask.Area(), polygons, err)
	// Output: 24 [{[0 0 5 0 5 5 0 5] [[2 2 2 3 3 3 3 2]]}] <nil>
}

func ExampleIoU() {
	left, err := features.RLEFromPolygons(10, 10, [][]float64{{0, 0, 6, 0, 6, 10, 0, 10}})
	if err != nil {
		fmt.Println(err)
		return
	}
	right, err := features.RLEFromPolygons(10, 10, [][]float64{{3, 0, 9, 0, 9, 10, 3, 10}})
	if err != nil {
		fmt.Println(err)
		return
	}
	iou, err := features.IoU(left, right, false)
	fmt.Printf("%.3f %v\n", iou, err)
	// Output: 0.333 <nil>
}

func ExampleConvertBox() {
	corners, err := features.ConvertBox([]float64{10, 20, 30, 40}, features.FormatXYWH, features.FormatXYXY)
	fmt.Println(corners, err)
	// Output: [10 20 40 60] <nil>
}

func ExampleNormalize() {
	fractions, err := features.Normalize([]float64{10, 20, 30, 40}, 100, 200)
	fmt.Println(fractions, err)
	pixels, err := features.Denormalize([]float64{.125, .5}, 20, 99)
	fmt.Println(pixels, err)
	// Output:
	// [0.1 0.1 0.3 0.2] <nil>
	// [2 50] <nil>
}

func ExampleLabels() {
	id, ok := features.COCO91.ID(" Traffic Light ")
	fmt.Println(id, ok)
	name, ok := features.COCO80.Name(80)
	fmt.Println(name, ok)
	id, ok = features.COCO80To91(80)
	fmt.Println(id, ok)
	// Output:
	// 10 true
	// toothbrush true
	// 90 true
}

func ExampleKeyPointsFromCOCO() {
	coords, states, err := features.KeyPointsFromCOCO([]float64{120, 80, 2, 130, 90, 1, 0, 0, 0})
	fmt.Println(coords, states, err)
	// Output: [120 80 130 90 0 0] [visible hidden invisible] <nil>
}

func ExampleShortUUID() {
	fmt.Println(features.ShortUUID([16]byte{15: 1}))
	fmt.Println(len(features.NewShortUUID()))
	// Output:
	// 2222222222222222222223
	// 22
}
