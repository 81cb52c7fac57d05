package schema_test

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"pixano/features"
	"pixano/schema"
)

// A custom class embeds a built-in one and adds fields.
func Example() {
	type DetectedObject struct {
		schema.Entity
		Category string
		Tags     []string
		Score    float64 `pixano:"detection_score"`
	}
	class, err := schema.ClassOf(DetectedObject{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(class.Name, "is a", class.Base, "in", class.Group())
	for _, f := range class.Fields {
		fmt.Println(" ", f.Name, f.Type)
	}
	// Output:
	// DetectedObject is a Entity in entities
	//   id str
	//   created_at datetime
	//   updated_at datetime
	//   item_ref ItemRef
	//   view_ref ViewRef
	//   parent_ref EntityRef
	//   category str
	//   tags list[str]
	//   detection_score float
}

// One struct is one dataset item, and the schema of the dataset.
func ExampleDatasetSchemaOf() {
	type Animal struct {
		schema.Entity
		Species string
	}
	type Sighting struct {
		schema.Item
		Place   string                 // a column of the table "item"
		Photo   schema.Image           // one row per item
		Animals []Animal               // several rows per item
		BBoxes  []schema.BBox          `pixano:"bboxes"`
		Vectors []schema.ViewEmbedding `pixano:",dim=512"`
	}
	s, err := schema.DatasetSchemaOf(Sighting{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, table := range s.Tables() {
		class, _ := s.Class(table)
		fmt.Printf("%s: %s of %s, several per item: %v\n", table, class.Name, class.Group(), s.Many(table))
	}
	// Output:
	// photo: Image of views, several per item: false
	// animals: Animal of entities, several per item: true
	// bboxes: BBox of annotations, several per item: true
	// vectors: ViewEmbedding of embeddings, several per item: true
	// item: Item of item, several per item: false
}

func ExampleBBox() {
	box := schema.NewBBox("box1")
	box.ItemRef = features.Item("item1")
	box.ViewRef = features.View("image", "image1")
	box.Coords = []float64{0.25, 0.5, 0.25, 0.125}
	box.Format, box.IsNormalized = features.FormatXYWH, true
	fmt.Println(schema.Validate(box), box.Confidence)

	box.Coords[2] = 120 // pixels in a normalized box
	err := schema.Validate(box)
	fmt.Println(err)
	if e, ok := errors.AsType[*schema.Error](err); ok {
		fmt.Println(e.Type, e.Field, e.Value)
	}
	// Output:
	// <nil> -1
	// BBox.coords: want values of at most 1 in a normalized box, have [0.25 0.5 120 0.125]
	// BBox coords [0.25 0.5 120 0.125]
}

func ExampleCompressedRLE() {
	var mask schema.CompressedRLE
	rle, err := features.RLEFromPolygons(4, 6, [][]float64{{1, 1, 5, 1, 5, 3, 1, 3}}) // height, width, x and y of corners
	if err != nil {
		fmt.Println(err)
		return
	}
	mask.SetMask(rle)
	fmt.Println(mask.Size, string(mask.Counts))

	back, err := mask.Mask()
	fmt.Println(back.Area(), err)
	// Output:
	// [4 6] 522000003
	// 8 <nil>
}

func ExampleDecodeJSON() {
	var frame schema.SequenceFrame
	err := schema.DecodeJSON([]byte(`{"id": "f1", "url": "clip/1.jpg", "width": "640", "height": 480.0, "format": "JPEG",
		"timestamp": 1, "frame_index": true}`), &frame)
	fmt.Println(frame.Width, frame.Height, frame.Timestamp, frame.FrameIndex, err)

	err = schema.DecodeJSON([]byte(`{"id": "f1", "url": "clip/1.jpg", "width": 640.5}`), &frame)
	fmt.Println(err)
	// Output:
	// 640 480 1 1 <nil>
	// SequenceFrame.width: want a whole number of 64 bits, have 640.5
}

func ExampleMarshalRow() {
	text := schema.Text{Content: "a cat"}
	text.ID = "t1"
	text.CreatedAt = time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	text.UpdatedAt = text.CreatedAt
	row, err := schema.MarshalRow("caption", text)
	fmt.Println(string(row), err)
	// Output:
	// {"id":"t1","created_at":"2024-01-02T03:04:05","updated_at":"2024-01-02T03:04:05","table_info":{"name":"caption","group":"views","base_schema":"Text"},"data":{"item_ref":{"name":"","id":""},"parent_ref":{"name":"","id":""},"content":"a cat"}} <nil>
}

// A class of a file needs no Go type: its rows are dynamic.
func ExampleDynamic() {
	s, err := schema.ParseDatasetSchema([]byte(`{
		"relations": {"item": {"objects": "one_to_many"}, "objects": {"item": "many_to_one"}},
		"schemas": {"objects": {"schema": "Plant", "base_schema": "Entity", "fields": {"height_m": {"type": "float", "collection": false}}},
		            "item": {"schema": "Item", "base_schema": "Item", "fields": {}}}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	class, _ := s.Class("objects")
	plant, err := schema.NewDynamic(class)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(plant.Set("height_m", "1.5"))
	height, _ := plant.Get("height_m")
	fmt.Println(height, schema.Validate(plant))
	fmt.Println(plant.Set("height_m", "tall"))
	// Output:
	// <nil>
	// 1.5 <nil>
	// Plant.height_m: want a number, have "tall"
}

// A struct type of a notebook cell has no name and no embedded field; RegisterName gives it a class.
func ExampleRegisterName() {
	type Cell = struct {
		Entity   schema.Entity
		Category string
	}
	fmt.Println(schema.RegisterName("Vehicle", Cell{}))
	class, err := schema.ClassOf(Cell{})
	fmt.Println(class.Name, class.Base, err)
	// Output:
	// <nil>
	// Vehicle Entity <nil>
}

// What cannot be a table is an error that names the type and the field.
func ExamplePlanOf() {
	type Vehicle struct {
		schema.Entity
		Owner *string
	}
	_, err := schema.PlanOf(reflect.TypeFor[Vehicle]())
	fmt.Println(err)
	// Output:
	// schema_test.Vehicle.Owner: *string is no column type: columns hold no pointers and no null, use string
}

func ExampleDatasetSchema_GoSource() {
	s, err := schema.ParseDatasetSchema([]byte(`{
		"relations": {"item": {"objects": "one_to_many"}, "objects": {"item": "many_to_one"}},
		"schemas": {"objects": {"schema": "Plant", "base_schema": "Entity", "fields": {"height_m": {"type": "float", "collection": false}}},
		            "item": {"schema": "Item", "base_schema": "Item", "fields": {}}}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	src, err := s.GoSource("garden", "Bed")
	fmt.Print(string(src), err)
	// Output:
	// package garden
	//
	// import (
	// 	"pixano/schema"
	// )
	//
	// // Bed is one item of the dataset.
	// type Bed struct {
	// 	schema.Item
	// 	Objects []Plant
	// }
	//
	// // Plant is a class of the dataset.
	// type Plant struct {
	// 	schema.Entity
	// 	HeightM float64
	// }
	// <nil>
}
