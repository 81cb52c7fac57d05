package folder_test

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/dataset/exchange"
	"pixano/dataset/folder"
	"pixano/schema"
)

// write makes files below a directory; a name that ends in .png becomes an image whose size its content says.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var w, h int
		if n, _ := fmt.Sscanf(content, "%dx%d", &w, &h); n == 2 && filepath.Ext(name) == ".png" {
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			img := image.NewRGBA(image.Rect(0, 0, w, h))
			img.Set(0, 0, color.White)
			if err := png.Encode(f, img); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// imported imports a folder and opens the dataset.
func imported(t *testing.T, files map[string]string, change func(*exchange.ImportOptions)) (*dataset.Dataset, *exchange.Report) {
	t.Helper()
	data := t.TempDir()
	for _, d := range []string{"library", "media"} {
		if err := os.Mkdir(filepath.Join(data, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	src := filepath.Join(t.TempDir(), "src")
	write(t, src, files)
	o := exchange.ImportOptions{Format: folder.Format, Source: src, Dataset: filepath.Join(data, "library", "d"), MediaDir: filepath.Join(data, "media")}
	if change != nil {
		change(&o)
	}
	report, err := exchange.Import(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ds, err := dataset.Open(t.Context(), o.Dataset, &dataset.Options{MediaDir: o.MediaDir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ds.Close() })
	return ds, report
}

func rows[T schema.Row](t *testing.T, ds *dataset.Dataset, table string) []T {
	t.Helper()
	tbl, err := dataset.TableOf[T](ds, table)
	if err != nil {
		t.Fatal(err)
	}
	list, err := tbl.Slice(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestConversations imports questions and answers with the outcomes that the reference gives, and keeps what it loses.
func TestConversations(t *testing.T) {
	ds, report := imported(t, map[string]string{"val/a.png": "8x6", "val/metadata.jsonl": strings.Join([]string{
		`{"image":"a.png","conversations":[{"question":{"content":"What?","question_type":"OPEN"},"responses":[{"content":"A cat"},{"content":"cat","user":"ana"}]}]}`,
		`{"image":"a.png","conversations":[[{"question":{"content":"Which <image 1>?","choices":["a cat","a dog"]},"response":{"content":"a dog"}},` +
			`{"question":{"content":"Sure?","question_type":"single_choice_explanation","choices":["yes","no"],"user":null},"response":{"content":"A","explanation":"I see it"}}],` +
			`[{"question":{"content":"And?","choices":["x"]},"response":{"content":"nothing of these"}}]]}`}, "\n")}, nil)
	if report.Items != 2 || report.Tables["conversations"] != 3 {
		t.Errorf("report %+v", report)
	}
	if ds.Info().Workspace != "image_vqa" {
		t.Errorf("workspace %q", ds.Info().Workspace)
	}
	type said struct {
		Number                      int64
		Type, Kind, Content, User   string
		Choices                     []string
		InView, ToEntity, HasSource bool
	}
	var got []said
	for _, m := range rows[schema.Message](t, ds, "messages") {
		got = append(got, said{m.Number, m.Type, m.QuestionType, m.Content, m.User, m.Choices, m.ViewRef.ID != "", m.EntityRef.Name == "conversations", m.SourceRef.ID != ""})
	}
	want := []said{
		{0, "QUESTION", "OPEN", "What?", "import", []string{}, true, true, true},
		{0, "ANSWER", "OPEN", "A cat", "import", []string{}, false, true, true},
		{0, "ANSWER", "OPEN", "cat", "ana", []string{}, false, true, true},
		{0, "QUESTION", "MULTI_CHOICE", "Which <image 1>?", "import", []string{"a cat", "a dog"}, true, true, true},
		{0, "ANSWER", "MULTI_CHOICE", "[[B]] ", "import", []string{}, false, true, true},
		{1, "QUESTION", "SINGLE_CHOICE_EXPLANATION", "Sure?", "import", []string{"yes", "no"}, true, true, true},
		{1, "ANSWER", "SINGLE_CHOICE_EXPLANATION", "[[A]] I see it", "import", []string{}, false, true, true},
		{0, "QUESTION", "MULTI_CHOICE", "And?", "import", []string{"x"}, true, true, true},
		{0, "ANSWER", "MULTI_CHOICE", "nothing of these", "import", []string{}, false, true, true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages differ (-want +got):\n%s", diff)
	}
}

// TestFrames imports folders of frames as videos, with tracks that have a box in several frames.
func TestFrames(t *testing.T) {
	frames := map[string]string{"train/clip/f1.png": "8x6", "train/clip/f2.png": "8x6", "train/clip/f3.png": "8x6", "train/other/x.png": "4x4"}
	ds, _ := imported(t, frames, func(o *exchange.ImportOptions) { o.Type, o.FPS = folder.Video, 10 })
	var got []string
	for _, f := range rows[schema.SequenceFrame](t, ds, "image") {
		got = append(got, fmt.Sprintf("%s %s %d %g %dx%d", f.ItemRef.ID, f.URL, f.FrameIndex, f.Timestamp, f.Width, f.Height))
	}
	want := []string{"clip d/train/clip/f1.png 0 0 8x6", "clip d/train/clip/f2.png 1 0.1 8x6", "clip d/train/clip/f3.png 2 0.2 8x6", "other d/train/other/x.png 0 0 4x4"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("frames differ (-want +got):\n%s", diff)
	}
	frames["train/metadata.jsonl"] = `{"id":"v","image":"clip","fps":2,"tracks":{"name":["dog"],"bboxes":[[{"frame_index":0,"coords":[1,1,2,2],"format":"xywh","is_normalized":false},{"frame_index":2,"coords":[2,1,2,2],"format":"xywh","is_normalized":false}]],"tracklets":[{"start_timestep":0,"end_timestep":2}]}}`
	ds, _ = imported(t, frames, func(o *exchange.ImportOptions) { o.Type = folder.Video })
	index := map[string]int64{}
	for _, f := range rows[schema.SequenceFrame](t, ds, "image") {
		index[f.ID] = f.FrameIndex
		if f.Timestamp != float64(f.FrameIndex)/2 {
			t.Errorf("frame %d is at %g", f.FrameIndex, f.Timestamp)
		}
	}
	var at []int64
	for _, b := range rows[schema.BBox](t, ds, "bboxes") {
		at = append(at, index[b.ViewRef.ID])
	}
	if diff := cmp.Diff([]int64{0, 2}, at); diff != "" {
		t.Errorf("frames of the boxes (-want +got):\n%s", diff)
	}
	if tracks := rows[schema.Tracklet](t, ds, "tracklets"); len(tracks) != 1 || tracks[0].EndTimestep != 2 || tracks[0].StartTimestamp != schema.NoTime {
		t.Errorf("tracklets %+v", tracks)
	}
}

// TestVideoFile imports a video file, with what ffprobe says of it.
func TestVideoFile(t *testing.T) {
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		if os.Getenv("PIXANO_REQUIRE_INTEROP") != "" {
			t.Fatal("no ffmpeg")
		}
		t.Skip("no ffmpeg: want it to make a video")
	}
	file := filepath.Join(t.TempDir(), "a.mp4")
	if out, err := exec.Command(ffmpeg, "-v", "error", "-f", "lavfi", "-i", "testsrc=size=64x48:rate=5:duration=2", file).CombinedOutput(); err != nil {
		t.Skipf("ffmpeg makes no video: %v %s", err, out)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	ds, _ := imported(t, map[string]string{"train/a.mp4": string(text)}, nil)
	videos := rows[schema.Video](t, ds, "video")
	if len(videos) != 1 {
		t.Fatalf("%d videos", len(videos))
	}
	v := videos[0]
	if v.NumFrames != 10 || v.FPS != 5 || v.Width != 64 || v.Height != 48 || v.Duration != 2 || v.Format != "mp4" || v.URL != "d/train/a.mp4" {
		t.Errorf("got %+v", v)
	}
	if ds.Info().Workspace != "video" {
		t.Errorf("workspace %q", ds.Info().Workspace)
	}
}

// TestMosaic puts several images of one view together. Its size is that of the reference.
func TestMosaic(t *testing.T) {
	ds, _ := imported(t, map[string]string{"train/a_1.png": "12x8", "train/a_2.png": "12x8", "train/x.png": "9x9",
		"train/metadata.jsonl": `{"id":"one","image":["a_1.png","a_2.png"]}` + "\n" + `{"id":"two","image":["a_1.png","x.png"]}` + "\n" + `{"id":"three","image":["x.png"]}` + "\n" + `{"id":"four","image":[]}`}, nil)
	var got []string
	for _, v := range rows[schema.Image](t, ds, "image") {
		got = append(got, fmt.Sprintf("%s %s %dx%d %s", v.ItemRef.ID, v.URL, v.Width, v.Height, v.Format))
		m, err := ds.OpenMedia(v.URL)
		if err != nil {
			t.Fatal(err)
		}
		info, err := exchange.ReadImageInfo(m)
		if err != nil || info.Width != v.Width || info.Height != v.Height {
			t.Errorf("%s: the file has %+v, %v", v.URL, info, err)
		}
		m.Close()
	}
	want := []string{"one d/train/a_mosaic.jpg 29x38 JPEG", "two d/train/two_mosaic.jpg 25x38 JPEG", "three d/train/x.png 9x9 PNG"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("images differ (-want +got):\n%s", diff)
	}
}

// TestLinking imports images with texts, and entities that both name.
func TestLinking(t *testing.T) {
	ds, report := imported(t, map[string]string{"train/a.png": "8x6", "train/long.txt": "A dog in the snow.", "train/metadata.jsonl": strings.Join([]string{
		`{"image":"a.png","text":"A dog","entities":{"name":["dog"],"bboxes":[[1,1,2,2]],"text_spans":[{"mention":"dog","spans_start":[2],"spans_end":[5]}]}}`,
		`{"image":"a.png","text":"long.txt"}`}, "\n")}, nil)
	if ds.Info().Workspace != "image_text_entity_linking" || report.Items != 2 {
		t.Errorf("workspace %q, %d items", ds.Info().Workspace, report.Items)
	}
	texts := rows[schema.Text](t, ds, "text")
	if len(texts) != 2 || texts[0].Content != "A dog" || texts[1].Content != "A dog in the snow." {
		t.Errorf("texts %+v", texts)
	}
	spans, boxes := rows[schema.TextSpan](t, ds, "text_spans"), rows[schema.BBox](t, ds, "bboxes")
	if len(spans) != 1 || spans[0].ViewRef.Name != "text" || spans[0].ViewRef.ID != texts[0].ID {
		t.Errorf("spans %+v", spans)
	}
	if len(boxes) != 1 || boxes[0].ViewRef.Name != "image" || boxes[0].EntityRef != spans[0].EntityRef {
		t.Errorf("boxes %+v", boxes)
	}
}

// TestTwoViews imports two pictures of each item, with entities in the second.
func TestTwoViews(t *testing.T) {
	s, err := folder.ParseSchema([]byte(`{"tables":{"rgb_image":{"base":"Image"},"thermal_image":{"base":"Image"},
		"objects":{"base":"Entity","many":true,"fields":{"category":"str"}},"bboxes":{"base":"BBox","many":true}}}`))
	if err != nil {
		t.Fatal(err)
	}
	ds, _ := imported(t, map[string]string{"test/rgb/0.png": "8x6", "test/thermal/0.png": "4x3", "test/metadata.jsonl": `{"rgb_image":"rgb/0.png","thermal_image":"test/thermal/0.png","objects":{"view_ref":"thermal_image","bboxes":[[0.1,0.1,0.2,0.2]],"category":["car"]}}`},
		func(o *exchange.ImportOptions) { o.Schema = s })
	thermal := rows[schema.Image](t, ds, "thermal_image")
	boxes := rows[schema.BBox](t, ds, "bboxes")
	if len(thermal) != 1 || len(boxes) != 1 || boxes[0].ViewRef.ID != thermal[0].ID || !boxes[0].IsNormalized {
		t.Errorf("boxes %+v of %+v", boxes, thermal)
	}
}

// TestNamesAsIDs gives items and views the ids that the reference gives them.
func TestNamesAsIDs(t *testing.T) {
	ds, _ := imported(t, map[string]string{"train/a.png": "8x6", "train/metadata.jsonl": `{"image":"a.png"}`}, func(o *exchange.ImportOptions) { o.NamesAsIDs = true })
	items, images := rows[schema.Item](t, ds, "item"), rows[schema.Image](t, ds, "image")
	if items[0].ID != "item_train_0" || images[0].ID != "a" {
		t.Errorf("ids %q and %q, want item_train_0 and a", items[0].ID, images[0].ID)
	}
}
