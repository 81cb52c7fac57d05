package demo

import (
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/features"
	"pixano/inference/toyclip"
	"pixano/schema"
	"pixano/search"
)

func TestCreate(t *testing.T) {
	dir := t.TempDir()
	var last, of int
	created, err := Create(t.Context(), dir, func(n, all int) { last, of = n, all })
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{Streets, Films, Questions, Captions}; !slices.Equal(created, want) {
		t.Errorf("created %v, want %v", created, want)
	}
	if pictures := streetCount + filmCount*filmFrames + quizCount + captionCount; last != pictures || of != pictures {
		t.Errorf("drew %d of %d pictures, want %d", last, of, pictures)
	}
	open := func(name string) *dataset.Dataset {
		t.Helper()
		ds, err := dataset.Open(t.Context(), filepath.Join(dir, "library", name), &dataset.Options{MediaDir: filepath.Join(dir, "media")})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ds.Close() })
		for violation, err := range ds.Check(t.Context()) {
			t.Error(name, violation, err)
		}
		if preview, err := ds.Preview(t.Context()); err != nil || len(preview) < 2000 {
			t.Errorf("%s: preview of %d bytes, %v", name, len(preview), err)
		}
		return ds
	}

	streets := open(Streets)
	items, err := dataset.ItemsOf[Street](streets)
	if err != nil {
		t.Fatal(err)
	}
	things, poses := map[string]int{}, 0
	for item, err := range items.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		media, err := streets.OpenMedia(item.Image.URL)
		if err != nil {
			t.Fatal(err)
		}
		media.Close()
		for _, o := range item.Objects {
			things[o.Category]++
		}
		masks := map[string]schema.CompressedRLE{}
		for _, m := range item.Masks {
			masks[m.EntityRef.ID] = m
		}
		for _, b := range item.BBoxes {
			if b.SourceRef.ID != schema.GroundTruthID {
				if b.Confidence < 0 || b.Confidence > 1 {
					t.Errorf("%s has confidence %v", b.ID, b.Confidence)
				}
				continue
			}
			m := masks[b.EntityRef.ID]
			rle, err := features.ParseRLE(m.Size, m.Counts)
			if err != nil {
				t.Fatal(b.ID, err)
			}
			around, err := rle.BBox()
			if err != nil {
				t.Fatal(b.ID, err)
			}
			for i, v := range b.Coords {
				if math.Abs(v-around[i]) > 1e-12 {
					t.Errorf("%s is %v, its mask is in %v", b.ID, b.Coords, around)
					break
				}
			}
		}
		for _, k := range item.Keypoints {
			poses++
			if len(k.States) != 17 || !slices.Contains(k.States, features.StateVisible) {
				t.Errorf("%s has %d points, states %v", k.ID, len(k.States), k.States)
			}
		}
	}
	for _, category := range categories {
		if things[category] < 5 {
			t.Errorf("%d of %q, want some", things[category], category)
		}
	}
	if poses < 20 {
		t.Errorf("%d poses", poses)
	}

	// The vectors are those that the model gives for texts too: who looks for night finds what is black.
	models := func(_ context.Context, f search.Function) (search.Embedder, error) {
		if f.Name != toyclip.Name {
			t.Errorf("the vectors are of %q", f.Name)
		}
		return toyclip.Embedder{}, nil
	}
	found, err := search.New(streets, nil).WithModels(models).Search(t.Context(),
		search.Query{Table: "image_embedding", Text: "a black night", Metric: dataset.Cosine, Limit: 3})
	if err != nil || len(found.Hits) != 3 {
		t.Fatal(found, err)
	}
	for _, hit := range found.Hits {
		var rows []schema.Dynamic
		if _, err := streets.ByID(t.Context(), "item", &rows, hit.ItemID); err != nil {
			t.Fatal(err)
		}
		if when, _ := schema.Value(&rows[0], "time_of_day"); when != "night" {
			t.Errorf("%s is by %v, want night", hit.ItemID, when)
		}
	}

	films, err := dataset.ItemsOf[Film](open(Films))
	if err != nil {
		t.Fatal(err)
	}
	gaps := 0
	for film, err := range films.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if len(film.Image) != filmFrames || len(film.Tracks) < 3 {
			t.Errorf("%s has %d frames and %d tracks", film.ID, len(film.Image), len(film.Tracks))
		}
		spans := map[string]int{}
		for _, tracklet := range film.Tracklets {
			spans[tracklet.EntityRef.ID]++
			boxes := 0
			for _, b := range film.BBoxes {
				at := slices.IndexFunc(film.Image, func(f schema.SequenceFrame) bool { return f.ID == b.ViewRef.ID })
				if b.EntityRef == tracklet.EntityRef && int64(at) >= tracklet.StartTimestep && int64(at) <= tracklet.EndTimestep {
					boxes++
				}
			}
			if boxes < 2 {
				t.Errorf("%s has %d boxes, want one at each end", tracklet.ID, boxes)
			}
		}
		for _, n := range spans {
			gaps += n - 1
		}
	}
	if gaps == 0 {
		t.Error("no track is interrupted")
	}

	questions, err := dataset.TableOf[schema.Message](open(Questions), "messages")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for m, err := range questions.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		kinds[m.Type+" "+m.QuestionType]++
		if doubts, err := schema.Warnings(m); err != nil || len(doubts) > 0 {
			t.Error(m.ID, doubts, err)
		}
	}
	if len(kinds) != 8 {
		t.Errorf("kinds of messages %v, want questions and answers of four kinds", kinds)
	}

	captions, err := dataset.ItemsOf[Caption](open(Captions))
	if err != nil {
		t.Fatal(err)
	}
	for item, err := range captions.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if len(item.Spans) == 0 || len(item.Spans) != len(item.BBoxes) {
			t.Errorf("%s links %d spans and %d boxes", item.ID, len(item.Spans), len(item.BBoxes))
		}
		for _, s := range item.Spans {
			if got := item.Text.Content[s.SpansStart[0]:s.SpansEnd[0]]; got != s.Mention {
				t.Errorf("%s is %q in the text, and says %q", s.ID, got, s.Mention)
			}
		}
	}
}

// TestInterrupted: what one call left undone the next one does, and what it did stays.
func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Create(ctx, dir, func(n, _ int) {
		if n == 3 {
			cancel()
		}
	})
	if err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Fatalf("got %v, want that it was cancelled", err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "library")); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v: want no dataset", left, err)
	}
}

// TestSameAgain: the same numbers give the same pictures, pixel by pixel, and the same shapes.
func TestSameAgain(t *testing.T) {
	draw := func() (*canvas, *picture) {
		p := &picture{scene: randomScene(random(Streets, 7))}
		c := newCanvas(240, 160)
		p.pose = p.draw(c)
		if err := p.look(c); err != nil {
			t.Fatal(err)
		}
		return c, p
	}
	c1, p1 := draw()
	c2, p2 := draw()
	if !bytes.Equal(c1.img.Pix, c2.img.Pix) {
		t.Error("two drawings of one scene differ")
	}
	if d := cmp.Diff(boxes(p1), boxes(p2)); d != "" || len(p1.sight) == 0 {
		t.Errorf("%d things; boxes differ: %s", len(p1.sight), d)
	}
}

func boxes(p *picture) (all [][4]float64) {
	for _, s := range p.sight {
		all = append(all, s.box)
	}
	return all
}
