package annotate_test

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/features"
	"pixano/inference"
	"pixano/inference/annotate"
	"pixano/inference/onnx"
	"pixano/internal/fetched"
	"pixano/schema"
	"pixano/search"
)

// local returns the provider with the toy models and those that were fetched, in a registry.
func local(t *testing.T) (*inference.Registry, *onnx.Provider) {
	t.Helper()
	fetched.Dir(t, "onnxruntime")
	p := onnx.New(&onnx.Options{Dirs: []string{"../onnx/testdata/models"}})
	r := &inference.Registry{}
	if err := r.Add(p); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r, p
}

var colours = []struct {
	name  string
	color color.Color
}{
	{"red", color.NRGBA{255, 0, 0, 255}}, {"blue", color.NRGBA{0, 0, 255, 255}}, {"yellow", color.NRGBA{255, 255, 0, 255}},
	{"black", color.NRGBA{0, 0, 0, 255}}, {"white", color.NRGBA{255, 255, 255, 255}},
}

// paint makes the pictures of a dataset plain ones, the colour of item i being the i-th.
func paint(t *testing.T, ds *dataset.Dataset, n int) {
	t.Helper()
	for i := range n {
		img := image.NewNRGBA(image.Rect(0, 0, 60, 40))
		for k := range img.Pix {
			r, g, b, a := colours[i%len(colours)].color.RGBA()
			img.Pix[k] = uint8([]uint32{r, g, b, a}[k%4] >> 8)
		}
		f, err := os.Create(filepath.Join(ds.MediaDir(), fmt.Sprintf("i%02d.png", i)))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(png.Encode(f, img), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func found(t *testing.T, r *inference.Registry, ds *dataset.Dataset, table, text string, limit int) (items []string) {
	t.Helper()
	res, err := search.New(ds, nil).WithModels(r.Embedder).Search(t.Context(), search.Query{Table: table, Text: text, Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range res.Hits {
		items = append(items, h.ItemID)
	}
	return items
}

// TestEmbedPictures finds pictures by words for their colours, after embedding them in parts that were interrupted.
func TestEmbedPictures(t *testing.T) {
	r, p := local(t)
	const n = 25
	ds := newDataset(t, n)
	paint(t, ds, n)
	req := annotate.EmbedRequest{Model: annotate.Model{Provider: p, Name: "toy-clip"}, Table: "vectors", Views: "image", BatchSize: 4, Workers: 3}

	// A job that is interrupted in the middle has stored what was done.
	ctx, cancel := context.WithCancel(t.Context())
	interrupted := req
	interrupted.Progress = func(r annotate.EmbedResult) {
		if r.Total != n {
			t.Errorf("%d views, want %d", r.Total, n)
		}
		cancel()
	}
	part, err := annotate.EmbedViews(ctx, ds, interrupted)
	if !errors.Is(err, context.Canceled) || part.Embedded == 0 || part.Embedded == n {
		t.Fatalf("interrupted: %+v, %v", part, err)
	}
	rest, err := annotate.EmbedViews(t.Context(), ds, req)
	if err != nil || rest.Present != part.Embedded || rest.Embedded != n-part.Embedded || rest.Failed != 0 {
		t.Fatalf("after %d: %+v, %v", part.Embedded, rest, err)
	}
	again, err := annotate.EmbedViews(t.Context(), ds, req)
	if err != nil || again.Present != n || again.Embedded != 0 {
		t.Fatalf("again: %+v, %v", again, err)
	}
	if rows, err := ds.Count(t.Context(), "vectors", dataset.Query{}); err != nil || rows != n {
		t.Errorf("%d rows, want %d (%v)", rows, n, err)
	}
	for text, colour := range map[string]int{"a photo of a red car": 0, "the blue sea": 1, "yellow flower": 2} {
		var want []string
		for i := colour; i < n; i += len(colours) {
			want = append(want, fmt.Sprintf("i%02d", i))
		}
		got := found(t, r, ds, "vectors", text, len(want))
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", text, diff)
		}
	}
	for v := range ds.CheckTable(t.Context(), "vectors") {
		t.Errorf("%v", v)
	}
	columns, err := ds.Columns(t.Context(), "vectors")
	if err != nil {
		t.Fatal(err)
	}
	metadata := columns.Metadata()
	stored, _ := metadata.GetValue("embedding_functions")
	want := "[\n  {\n    \"name\": \"pixano_ds_vectors_toy-clip\",\n    \"model\": {},\n    \"source_column\": \"view_ref\",\n    \"vector_column\": \"vector\"\n  }\n]"
	if stored != want {
		t.Errorf("metadata %s, want %s", stored, want)
	}
}

// TestEmbedLabels finds items by the meaning of their labels and captions, with a real model.
func TestEmbedLabels(t *testing.T) {
	r, p := local(t)
	fetched.Dir(t, "all-minilm-l6-v2")
	ds := newDataset(t, 6)
	labels := [][]string{{"car", "truck"}, {"dog", "cat"}, {"broccoli", "carrot"}, {"person", "tie"}, {"airplane"}, nil}
	captions := []string{"vehicles in heavy traffic", "pets on a sofa", "vegetables at the market", "a man in a suit", "a jet above the clouds", "cells under a microscope"}
	var objects []object
	var texts []schema.Text
	for i, names := range labels {
		item := fmt.Sprintf("i%02d", i)
		for k, name := range names {
			objects = append(objects, object{Entity: schema.Entity{ID: fmt.Sprintf("o%d%d", i, k), ItemRef: features.Item(item), ViewRef: features.View("image", "v"+item)}, Category: name})
		}
		texts = append(texts, schema.Text{View: schema.View{ID: "t" + item, ItemRef: features.Item(item)}, Content: captions[i]})
	}
	if _, err := ds.Apply(t.Context(), dataset.ChangeSet{Changes: []dataset.Change{dataset.Insert("objects", objects), dataset.Insert("caption", texts)}}); err != nil {
		t.Fatal(err)
	}
	model := annotate.Model{Provider: p, Name: "all-minilm-l6-v2"}
	byLabel, err := annotate.EmbedViews(t.Context(), ds, annotate.EmbedRequest{Model: model, Table: "label_vectors", Views: "image", Texts: []string{"objects.category"}})
	if err != nil || byLabel.Embedded != 5 || byLabel.Empty != 1 {
		t.Fatalf("labels: %+v, %v", byLabel, err)
	}
	byCaption, err := annotate.EmbedViews(t.Context(), ds, annotate.EmbedRequest{Model: model, Table: "caption_vectors", Views: "caption"})
	if err != nil || byCaption.Embedded != 6 {
		t.Fatalf("captions: %+v, %v", byCaption, err)
	}
	both, err := annotate.EmbedViews(t.Context(), ds, annotate.EmbedRequest{Model: model, Table: "both_vectors", Views: "image", Texts: []string{"objects.category", "caption.content"}})
	if err != nil || both.Embedded != 6 {
		t.Fatalf("both: %+v, %v", both, err)
	}
	for _, test := range []struct{ table, text, want string }{
		{"label_vectors", "automobile", "i00"},
		{"label_vectors", "animals that people keep at home", "i01"},
		{"label_vectors", "healthy food", "i02"},
		{"label_vectors", "flying machine", "i04"},
		{"caption_vectors", "automobiles in a jam", "i00"},
		{"caption_vectors", "biology laboratory", "i05"},
		{"caption_vectors", "businessman", "i03"},
		{"both_vectors", "groceries", "i02"},
		{"both_vectors", "seen through a lens in the laboratory", "i05"},
	} {
		if got := found(t, r, ds, test.table, test.text, 1); !slices.Equal(got, []string{test.want}) {
			t.Errorf("%s: %q finds %v, want %s", test.table, test.text, got, test.want)
		}
	}
	// The function is the one that Python's LanceDB knows for this model.
	columns, err := ds.Columns(t.Context(), "caption_vectors")
	if err != nil {
		t.Fatal(err)
	}
	f, ok, err := search.FunctionOf("caption_vectors", columns)
	if err != nil || !ok || f.Name != "sentence-transformers" || f.Model["name"] != "all-minilm-l6-v2" {
		t.Errorf("function %+v, %v, %v", f, ok, err)
	}
}

// TestEmbedReplace: vectors of changed texts are computed anew in the place of the old ones, also of rows with other ids.
func TestEmbedReplace(t *testing.T) {
	r, p := local(t)
	ds := newDataset(t, 2)
	text := func(id, content string) schema.Text {
		return schema.Text{View: schema.View{ID: "t" + id, ItemRef: features.Item(id)}, Content: content}
	}
	if err := ds.Add(t.Context(), "caption", []schema.Text{text("i00", "red"), text("i01", "car")}); err != nil {
		t.Fatal(err)
	}
	req := annotate.EmbedRequest{Model: annotate.Model{Provider: p, Name: "toy-sentence"}, Table: "vectors", Views: "caption"}
	if _, err := annotate.EmbedViews(t.Context(), ds, req); err != nil {
		t.Fatal(err)
	}
	// As another program stores them: under ids of its own, twice.
	var rows []schema.ViewEmbedding
	if err := ds.Get(t.Context(), "vectors", &rows, dataset.Query{}); err != nil {
		t.Fatal(err)
	}
	rows[0].ID = "other"
	if err := ds.Add(t.Context(), "vectors", rows[:1]); err != nil {
		t.Fatal(err)
	}
	if _, err := ds.Update(t.Context(), "caption", []schema.Text{text("i00", "dog"), text("i01", "dogs")}); err != nil {
		t.Fatal(err)
	}
	req.Replace = true
	res, err := annotate.EmbedViews(t.Context(), ds, req)
	if err != nil || res.Embedded != 2 || res.Present != 0 {
		t.Fatalf("%+v, %v", res, err)
	}
	if n, err := ds.Count(t.Context(), "vectors", dataset.Query{}); err != nil || n != 2 {
		t.Errorf("%d rows, want 2 (%v)", n, err)
	}
	if got := found(t, r, ds, "vectors", "dog", 2); len(got) != 2 {
		t.Errorf("found %v", got)
	}
	if err := ds.Get(t.Context(), "vectors", &rows, dataset.Query{}); err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if math.Abs(float64(row.Vector[2])-1) > 0.1 {
			t.Errorf("%s: %v, want that of dog", row.ID, row.Vector)
		}
	}
}

// TestEmbedTogether: jobs that run at the same time store each view once.
func TestEmbedTogether(t *testing.T) {
	_, p := local(t)
	const n = 30
	ds := newDataset(t, n)
	var texts []schema.Text
	for i := range n {
		item := fmt.Sprintf("i%02d", i)
		texts = append(texts, schema.Text{View: schema.View{ID: "t" + item, ItemRef: features.Item(item)}, Content: "red car"})
	}
	if err := ds.Add(t.Context(), "caption", texts); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	embedded := 0
	for range 3 {
		wg.Go(func() {
			res, err := annotate.EmbedViews(t.Context(), ds, annotate.EmbedRequest{Model: annotate.Model{Provider: p, Name: "toy-sentence"}, Table: "vectors", Views: "caption", BatchSize: 3})
			if err != nil || res.Embedded+res.Present != n {
				t.Errorf("%+v, %v", res, err)
			}
			mu.Lock()
			embedded += res.Embedded
			mu.Unlock()
		})
	}
	wg.Wait()
	if rows, err := ds.Count(t.Context(), "vectors", dataset.Query{}); err != nil || rows != n || embedded != n {
		t.Errorf("%d rows of %d that were reported, want %d (%v)", rows, embedded, n, err)
	}
}

// TestEmbedFeatures: the features of an encoder are stored with their shape, and name no function.
func TestEmbedFeatures(t *testing.T) {
	_, p := local(t)
	ds := newDataset(t, 2)
	res, err := annotate.EmbedViews(t.Context(), ds, annotate.EmbedRequest{Model: annotate.Model{Provider: p, Name: "toy-sam"}, Table: "features", Views: "image"})
	if err != nil || res.Embedded != 2 {
		t.Fatalf("%+v, %v", res, err)
	}
	var rows []schema.ViewEmbedding
	if err := ds.Get(t.Context(), "features", &rows, dataset.Query{}); err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if len(row.Vector) != 256*64*64 || !slices.Equal(row.Shape, []int64{256, 64, 64}) {
			t.Errorf("%s: %d values of the shape %v", row.ID, len(row.Vector), row.Shape)
		}
	}
	columns, err := ds.Columns(t.Context(), "features")
	if err != nil {
		t.Fatal(err)
	}
	if _, named, err := search.FunctionOf("features", columns); named || err != nil {
		t.Errorf("it names a function (%v)", err)
	}
}

// TestEmbedBadPictures: pictures that cannot be read are counted and named, the others are embedded.
func TestEmbedBadPictures(t *testing.T) {
	_, p := local(t)
	ds := newDataset(t, 4)
	if err := os.WriteFile(filepath.Join(ds.MediaDir(), "i01.png"), []byte("no picture"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(ds.MediaDir(), "i02.png"), 60); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(ds.MediaDir(), "i03.png")); err != nil {
		t.Fatal(err)
	}
	res, err := annotate.EmbedViews(t.Context(), ds, annotate.EmbedRequest{Model: annotate.Model{Provider: p, Name: "toy-clip"}, Table: "vectors", Views: "image"})
	if err != nil || res.Embedded != 1 || res.Failed != 3 || len(res.Failures) != 3 {
		t.Fatalf("%+v, %v", res, err)
	}
	for i, err := range res.Failures {
		e, ok := errors.AsType[*dataset.Error](err)
		if !ok || e.Table != "image" || e.ID != fmt.Sprintf("vi%02d", i+1) {
			t.Errorf("failure %d: %v", i, err)
		}
	}
}

func TestEmbedErrors(t *testing.T) {
	_, p := local(t)
	ds := newDataset(t, 2)
	toy := annotate.Model{Provider: p, Name: "toy-clip"}
	if _, err := annotate.EmbedViews(t.Context(), ds, annotate.EmbedRequest{Model: toy, Table: "vectors", Views: "image"}); err != nil {
		t.Fatal(err)
	}
	class, err := schema.ClassOf(schema.ViewEmbedding{})
	if err != nil {
		t.Fatal(err)
	}
	if class, err = class.WithDim(11); err != nil {
		t.Fatal(err)
	}
	if err := ds.CreateTable(t.Context(), "plain", class, schema.ManyToOne); err != nil {
		t.Fatal(err)
	}
	row := schema.ViewEmbedding{Embedding: schema.Embedding{ID: "e", ItemRef: features.Item("i00"), Vector: make([]float32, 11)}}
	if err := ds.Add(t.Context(), "plain", row); err != nil {
		t.Fatal(err)
	}
	if err := ds.Add(t.Context(), "caption", schema.Text{View: schema.View{ID: "t", ItemRef: features.Item("i00")}, Content: "red"}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		req  annotate.EmbedRequest
		kind error
		want string
	}{
		{"no table", annotate.EmbedRequest{Model: toy, Views: "image"}, inference.ErrInvalidRequest, "want the name of a table"},
		{"unknown views", annotate.EmbedRequest{Model: toy, Table: "v", Views: "nothing"}, dataset.ErrNotFound, "no such table"},
		{"no views", annotate.EmbedRequest{Model: toy, Table: "v", Views: "boxes"}, inference.ErrInvalidRequest, "want one of views"},
		{"not a table of vectors", annotate.EmbedRequest{Model: toy, Table: "boxes", Views: "image"}, inference.ErrInvalidRequest, "boxes holds BBox: want ViewEmbedding"},
		{"column", annotate.EmbedRequest{Model: toy, Table: "v", Views: "image", Texts: []string{"objects.nothing"}}, inference.ErrInvalidRequest, `no column "nothing" of texts`},
		{"no column", annotate.EmbedRequest{Model: toy, Table: "v", Views: "image", Texts: []string{"objects"}}, inference.ErrInvalidRequest, "want table.column"},
		{"filter", annotate.EmbedRequest{Model: toy, Table: "v", Views: "image", Filter: dataset.Query{Where: "nothing > 1"}}, dataset.ErrQuery, "nothing"},
		{"unknown model", annotate.EmbedRequest{Model: annotate.Model{Provider: p, Name: "nothing"}, Table: "v", Views: "image"}, inference.ErrModelNotFound, `no model "nothing"`},
		{"texts only", annotate.EmbedRequest{Model: annotate.Model{Provider: p, Name: "toy-sentence"}, Table: "v", Views: "image"}, inference.ErrTaskNotSupported, "embeds texts, no pictures"},
		{"another model", annotate.EmbedRequest{Model: annotate.Model{Provider: p, Name: "toy-clip-one"}, Table: "vectors", Views: "image", Replace: true}, inference.ErrInvalidRequest, `its vectors are of the function "toy-clip"`},
		{"another dimension", annotate.EmbedRequest{Model: annotate.Model{Provider: p, Name: "toy-sentence"}, Table: "vectors", Views: "caption"}, inference.ErrInvalidRequest, `its vectors are of the function "toy-clip" with map[], "toy-sentence" is "sentence-transformers"`},
		{"unknown vectors", annotate.EmbedRequest{Model: toy, Table: "plain", Views: "image"}, inference.ErrInvalidRequest, "does not say which model"},
	} {
		_, err := annotate.EmbedViews(t.Context(), ds, test.req)
		if !errors.Is(err, test.kind) || !strings.Contains(fmt.Sprint(err), test.want) {
			t.Errorf("%s: got %v, want %s", test.name, err, test.want)
		}
		if _, made := ds.Schema().Class("v"); made {
			t.Errorf("%s: it made a table", test.name)
		}
	}
}
