package rowcodec_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/google/go-cmp/cmp"

	"pixano/features"
	"pixano/internal/lance"
	"pixano/internal/rowcodec"
	"pixano/schema"
)

// The classes that the golden datasets add to the built-in ones.
type (
	detectedObject struct {
		schema.Entity
		Category   string
		Occluded   bool
		Area       float64
		Rank       int
		Attributes []string
	}
	imageVec16 struct {
		schema.ViewEmbedding `pixano:",dim=16"`
	}
	toyVec8 struct {
		schema.ViewEmbedding `pixano:",dim=8"`
	}
	textVec struct {
		schema.Embedding
		Vector [6]float64
	}
	detectionItem struct {
		schema.Item
		Category   string
		Difficulty int64
		Score      float64
		Reviewed   bool
		Tags       []string
		CapturedAt time.Time
	}
	multiviewItem struct {
		schema.Item
		Pose      features.NDArrayFloat
		Checksum  []byte
		SensorIDs []int64 `pixano:"sensor_ids"`
		Ratios    []float64
		Flags     []bool
	}
	trackingItem struct {
		schema.Item
		Location  string
		NumFrames int64
		FPS       float64
	}
	vqaItem struct {
		schema.Item
		Topic string
	}
)

// goldenTypes gives the Go type of the rows of every table of every golden dataset that has a schema.json. It holds for
// the table's data, so both writers of one dataset share it.
var goldenTypes = map[string]map[string]any{
	"image_detection": detectionTypes, "image_detection_f1098606": detectionTypes,
	"multiview_text": {
		"left": schema.Image{}, "right": schema.Image{}, "thumbs": schema.Image{}, "caption": schema.Text{},
		"cloud": schema.PointCloud{}, "persons": schema.MultiModalEntity{}, "places": schema.NamedEntity{},
		"boxes": schema.BBox{}, "spans": schema.TextSpan{}, "relations": schema.Relation{},
		"calibrations": schema.CamCalibration{}, "boxes3d": schema.BBox3D{}, "skeletons": schema.KeyPoints3D{},
		"text_vectors": textVec{}, "item": multiviewItem{}, "source": schema.Source{},
	},
	"video_tracking": {
		"clip": schema.Video{}, "image": schema.SequenceFrame{}, "tracks": schema.Track{}, "tracklets": schema.Tracklet{},
		"bboxes": schema.BBox{}, "masks": schema.CompressedRLE{}, "item": trackingItem{}, "source": schema.Source{},
	},
	"vqa": {
		"image": schema.Image{}, "conversations": schema.Conversation{}, "messages": schema.Message{},
		"objects": schema.Entity{}, "bboxes": schema.BBox{}, "masks": schema.CompressedRLE{},
		"keypoints": schema.KeyPoints{}, "item": vqaItem{}, "source": schema.Source{},
	},
}

var detectionTypes = map[string]any{
	"image": schema.Image{}, "objects": detectedObject{}, "bboxes": schema.BBox{}, "masks": schema.CompressedRLE{},
	"keypoints": schema.KeyPoints{}, "labels": schema.Classification{}, "image_embedding": imageVec16{},
	"toy_embedding": toyVec8{}, "item": detectionItem{}, "source": schema.Source{},
}

// TestGoldenTablesAsTheirOwnTypes reads every column of every golden table into structs that have all of its columns,
// compares the rows with those that the reference implementation read, and encodes them again in the schema that the
// struct gives, not the table's.
func TestGoldenTablesAsTheirOwnTypes(t *testing.T) {
	ctx := context.Background()
	root := filepath.Join("..", "..", "testdata", "golden")
	for set, types := range goldenTypes {
		want := expectedRows(t, filepath.Join(root, set))
		have := slices.Sorted(maps.Keys(types))
		if tables := slices.Sorted(maps.Keys(want)); !slices.Equal(have, tables) {
			t.Errorf("%s: have Go types for %v, want them for %v", set, have, tables)
		}
		conn, err := lance.Connect(ctx, filepath.Join(root, set, "db"), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for name, row := range types {
			t.Run(set+"/"+name, func(t *testing.T) {
				table, err := conn.OpenTable(ctx, name, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer table.Close()
				c := codecFor(t, row)
				rows := reflect.New(reflect.SliceOf(reflect.TypeOf(row)))
				for batch, err := range table.Batches(ctx, lance.Query{}) {
					if err != nil {
						t.Fatal(err)
					}
					checkTyped(t, c, batch, rows)
				}
				got := []any{}
				for i := range rows.Elem().Len() {
					got = append(got, plainRow(t, rows.Elem().Index(i).Interface()))
				}
				if diff := cmp.Diff(want[name], got); diff != "" {
					t.Errorf("rows (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// checkTyped decodes a batch of all columns, appends its rows to what rows points to, and encodes them again.
func checkTyped(t *testing.T, c *rowcodec.Codec, batch arrow.RecordBatch, rows reflect.Value) {
	t.Helper()
	s, err := c.Schema()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.Fields(), batch.Schema().Fields(); len(got) != len(want) {
		t.Fatalf("got columns %v, want %v", got, want)
	}
	for i, want := range batch.Schema().Fields() {
		got := s.Field(i)
		if got.Name != want.Name || got.Nullable != want.Nullable || !arrow.TypeEqual(got.Type, want.Type) {
			t.Errorf("column %d: got %v, want %v", i, got, want)
		}
	}
	d, err := c.Decoder(batch.Schema())
	if err != nil {
		t.Fatal(err)
	}
	old := rows.Elem().Len()
	if err := d.AppendTo(rows.Interface(), batch); err != nil {
		t.Fatal(err)
	}
	again, err := c.Encode(rows.Elem().Slice(old, rows.Elem().Len()).Interface(), s)
	if err != nil {
		t.Fatal(err)
	}
	if again.NumRows() != batch.NumRows() {
		t.Fatalf("got %d rows, want %d", again.NumRows(), batch.NumRows())
	}
	for i, want := range batch.Columns() {
		if got := again.Column(i); got.NullN() != want.NullN() || !array.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", batch.ColumnName(i), got, want)
		}
	}
}

// expectedRows returns the rows of a golden dataset by table.
func expectedRows(t *testing.T, dir string) map[string][]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var expected struct {
		Tables map[string]struct{ Rows []any }
	}
	if err := json.Unmarshal(text, &expected); err != nil {
		t.Fatal(err)
	}
	rows := map[string][]any{}
	for name, table := range expected.Tables {
		rows[name] = table.Rows
	}
	return rows
}

// plainRow writes a row as expected.json does: numbers as float64, bytes in base64, times in ISO 8601 without zone.
func plainRow(t *testing.T, row any) any {
	t.Helper()
	columns, err := schema.ColumnsOf(reflect.TypeOf(row))
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]any{}
	for _, c := range columns {
		m[c.Name] = plain(reflect.ValueOf(row).FieldByIndex(c.Index))
	}
	return m
}

func plain(v reflect.Value) any {
	switch x := v.Interface().(type) {
	case []byte:
		return base64.StdEncoding.EncodeToString(x)
	case time.Time:
		if x.Nanosecond() == 0 {
			return x.Format("2006-01-02T15:04:05")
		}
		return x.Format("2006-01-02T15:04:05.000000")
	}
	switch v.Kind() {
	case reflect.String, reflect.Bool:
		return v.Interface()
	case reflect.Int, reflect.Int64:
		return float64(v.Int())
	case reflect.Float32, reflect.Float64:
		return v.Float()
	case reflect.Slice, reflect.Array:
		list := []any{}
		for i := range v.Len() {
			list = append(list, plain(v.Index(i)))
		}
		return list
	case reflect.Struct: // of package features, whose json tags are the names of the parts
		m := map[string]any{}
		for i := range v.NumField() {
			m[v.Type().Field(i).Tag.Get("json")] = plain(v.Field(i))
		}
		return m
	}
	panic(fmt.Sprintf("no column: %v", v.Type()))
}
