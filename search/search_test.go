package search_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/search"
)

const goldenDir = "../testdata/golden"

// toy is the embedding function "toy-bytes" of the golden datasets: byte i of a text is added to element i mod 8, all are
// divided by 255 and multiplied by a scale. A picture is the text of its width and height.
type toy struct{ scale float64 }

func (toy) Name() string               { return "toy-bytes" }
func (e toy) Metadata() map[string]any { return map[string]any{"scale": e.scale} }
func (toy) Dim() int                   { return 8 }
func (e toy) vector(text string) []float32 {
	var sums [8]int
	for i, b := range []byte(text) {
		sums[i%8] += int(b)
	}
	vector := make([]float32, 8)
	for i, n := range sums {
		vector[i] = float32(float64(n) / 255 * e.scale)
	}
	return vector
}

func (e toy) EmbedTexts(_ context.Context, texts []string) (vectors [][]float32, err error) {
	for _, text := range texts {
		vectors = append(vectors, e.vector(text))
	}
	return vectors, nil
}

func (e toy) EmbedImages(_ context.Context, images []image.Image) (vectors [][]float32, err error) {
	for _, picture := range images {
		size := picture.Bounds().Size()
		vectors = append(vectors, e.vector(fmt.Sprintf("%dx%d", size.X, size.Y)))
	}
	return vectors, nil
}

// toys is the registry of models of these tests.
func toys(_ context.Context, f search.Function) (search.Embedder, error) {
	if f.Name != "toy-bytes" {
		return nil, errors.New("there is no such model here")
	}
	scale, ok := f.Model["scale"].(float64)
	if !ok {
		scale = 1
	}
	return toy{scale}, nil
}

func wantError(t *testing.T, err, kind error, parts ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("got error %v, want %v", err, kind)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

func openGolden(t testing.TB, name string) *dataset.Dataset {
	t.Helper()
	if _, err := dataset.Engine(); err != nil {
		t.Skipf("no storage engine here: %v", err)
	}
	ds, err := dataset.OpenTables(t.Context(), filepath.Join(goldenDir, name), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ds.Close() })
	return ds
}

type goldenCall struct {
	Op     string
	Args   json.RawMessage
	Result json.RawMessage
	Raises *struct{ Error string }
}

// closeTo is the tolerance for distances, which are float32 sums in an order of the engine's choice.
func closeTo(a, b float64) bool { return math.Abs(a-b) <= 1e-4*math.Max(1, math.Abs(b)) }

// TestGoldenSearches makes the searches that were recorded of the reference.
func TestGoldenSearches(t *testing.T) {
	ops := map[string]func(*testing.T, *dataset.Dataset, goldenCall){
		"vector_query": vectorCall, "semantic_rank_by_vector": rankCall, "semantic_search": semanticCall,
	}
	made := map[string]int{}
	for _, name := range []string{"image_detection", "image_detection_f1098606", "multiview_text", "record_image"} {
		ds := openGolden(t, name)
		raw, err := os.ReadFile(filepath.Join(goldenDir, name, "expected.json"))
		if err != nil {
			t.Fatal(err)
		}
		var want struct{ Calls []goldenCall }
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatal(err)
		}
		for i, call := range want.Calls {
			if run, ok := ops[call.Op]; ok {
				made[call.Op]++
				t.Run(fmt.Sprintf("%s %d %s", name, i, call.Op), func(t *testing.T) { run(t, ds, call) })
			}
		}
	}
	if diff := cmp.Diff(map[string]int{"vector_query": 8, "semantic_rank_by_vector": 3, "semantic_search": 15}, made); diff != "" {
		t.Errorf("calls made (-want +got):\n%s", diff)
	}
}

func decode[T any](t *testing.T, raw json.RawMessage) (v T) {
	t.Helper()
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func semanticCall(t *testing.T, ds *dataset.Dataset, call goldenCall) {
	a := decode[struct {
		Query       string
		Table       string `json:"table_name"`
		Limit, Skip int
	}](t, call.Args)
	s := search.New(ds, nil).WithModels(toys)
	got, err := s.Semantic(t.Context(), a.Query, a.Table, max(a.Limit, 0))
	if a.Skip > 0 {
		got, err = s.Search(t.Context(), search.Query{Table: a.Table, Text: a.Query, Limit: a.Limit, Offset: a.Skip, Ranking: true})
		if call.Raises != nil { // the reference fails on a page past the end
			if err != nil || len(got.Hits) != 0 || len(got.Ranking) != 24 {
				t.Errorf("past the end: got %+v (%v), want an empty page of 24", got, err)
			}
			return
		}
	}
	if call.Raises != nil {
		wantError(t, err, dataset.ErrQuery)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	want := decode[struct {
		IDs       []string  `json:"full_item_ids"`
		Distances []float64 `json:"full_distances"`
		Page      []float64 `json:"distances"`
	}](t, call.Result)
	if len(got.Hits) != len(want.Page) || len(got.Ranking) != len(want.IDs) {
		t.Fatalf("got %d hits of %d, want %d of %d", len(got.Hits), len(got.Ranking), len(want.Page), len(want.IDs))
	}
	for i, id := range got.Ranking { // at equal distances the reference has any order, and this package that of the ids
		place := slices.Index(want.IDs, id)
		if place < 0 || !closeTo(want.Distances[place], want.Distances[i]) {
			t.Errorf("place %d: got %s, want %s", i, id, want.IDs[i])
		}
	}
	for i, hit := range got.Hits {
		if hit.ItemID != got.Ranking[a.Skip+i] || !closeTo(hit.Distance, want.Page[i]) || hit.VectorRank != a.Skip+i+1 {
			t.Errorf("hit %d: got %+v, want %s at %g", i, hit, want.IDs[a.Skip+i], want.Page[i])
		}
		if i > 0 && hit.Distance == got.Hits[i-1].Distance && hit.ItemID < got.Hits[i-1].ItemID {
			t.Errorf("hit %d: %s comes after %s at the same distance", i, hit.ItemID, got.Hits[i-1].ItemID)
		}
	}
}

func vectorCall(t *testing.T, ds *dataset.Dataset, call goldenCall) {
	a := decode[struct {
		Table  string
		Vector []float32
		Limit  int
		Metric dataset.Metric
	}](t, call.Args)
	want := decode[[]struct {
		ID       string  `json:"id"`
		ItemID   string  `json:"item_id"`
		Distance float64 `json:"_distance"`
	}](t, call.Result)
	got, err := search.New(ds, nil).Search(t.Context(), search.Query{Table: a.Table, Vector: a.Vector, Metric: a.Metric, Limit: a.Limit, ByRow: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Hits) != len(want) || got.Index != "" {
		t.Fatalf("got %d hits by index %q, want %d", len(got.Hits), got.Index, len(want))
	}
	for i, w := range want {
		if h := got.Hits[i]; h.ID != w.ID || h.ItemID != w.ItemID || !closeTo(h.Distance, w.Distance) {
			t.Errorf("hit %d: got %+v, want %+v", i, h, w)
		}
	}
}

func rankCall(t *testing.T, ds *dataset.Dataset, call goldenCall) {
	a := decode[struct {
		Table  string
		Vector []float32
	}](t, call.Args)
	want := decode[struct {
		IDs       []string  `json:"item_ids"`
		Distances []float64 `json:"distances"`
	}](t, call.Result)
	for _, limit := range []int{0, 1, len(want.IDs) / 2, len(want.IDs), 1000, math.MaxInt} {
		for _, offset := range []int{0, 1, len(want.IDs), math.MaxInt} {
			got, err := search.New(ds, nil).Search(t.Context(), search.Query{Table: a.Table, Vector: a.Vector, Limit: limit, Offset: offset})
			if err != nil {
				t.Fatal(err)
			}
			n := max(len(want.IDs)-offset, 0)
			if limit > 0 {
				n = min(n, limit)
			}
			if len(got.Hits) != n || got.Ranking != nil {
				t.Fatalf("limit %d, offset %d: got %d hits, want %d", limit, offset, len(got.Hits), n)
			}
			for i, hit := range got.Hits {
				if place := offset + i; hit.ItemID != want.IDs[place] || !closeTo(hit.Distance, want.Distances[place]) {
					t.Errorf("limit %d, offset %d: hit %d: got %+v, want %s at %g", limit, offset, i, hit, want.IDs[place], want.Distances[place])
				}
			}
		}
	}
}
