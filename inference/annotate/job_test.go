package annotate_test

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/features"
	"pixano/inference"
	"pixano/inference/annotate"
	"pixano/inference/grabcut"
	"pixano/inference/pixanoserver"
	"pixano/schema"
)

func detectJob(model annotate.Model) annotate.DetectJob {
	return annotate.DetectJob{Job: annotate.Job{Model: model}, Views: "image", Classes: []string{"car", "dog"}, Boxes: "boxes", Labels: "labels", Entities: "objects"}
}

// checkDetections wants, for each of the pictures, the rows of two objects and no more.
func checkDetections(t *testing.T, ds *dataset.Dataset, pictures ...int) {
	t.Helper()
	var boxes []schema.BBox
	var labels []schema.Classification
	var entities []object
	if err := errors.Join(ds.Get(t.Context(), "boxes", &boxes, dataset.Query{}), ds.Get(t.Context(), "labels", &labels, dataset.Query{}),
		ds.Get(t.Context(), "objects", &entities, dataset.Query{})); err != nil {
		t.Fatal(err)
	}
	category := map[string]string{}
	for _, e := range entities {
		category[e.ID] = e.Category
	}
	got := map[string]int{}
	for _, b := range boxes {
		got[fmt.Sprint(b.ViewRef.ID, " ", category[b.EntityRef.ID], " ", b.Coords, " ", b.SourceRef == oneSource(t, ds), " ", b.ItemRef.ID)]++
	}
	for _, l := range labels {
		got[fmt.Sprint(l.ViewRef.ID, " ", l.Labels[0], " is ", category[l.EntityRef.ID])]++
	}
	want := map[string]int{}
	for _, i := range pictures {
		r := square(i)
		for _, class := range []string{"car", "dog"} {
			want[fmt.Sprintf("vi%02d %s [%d %d %d %d] true i%02d", i, class, r.Min.X, r.Min.Y, r.Max.X, r.Max.Y, i)] = 1
			want[fmt.Sprintf("vi%02d %s is %s", i, class, class)] = 1
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(entities) != 2*len(pictures) {
		t.Errorf("%d entities for %d pictures", len(entities), len(pictures))
	}
	for v, err := range ds.Check(t.Context()) {
		t.Errorf("integrity: %v %v", v, err)
	}
}

func upTo(n int) (list []int) {
	for i := range n {
		list = append(list, i)
	}
	return list
}

func TestDetectViews(t *testing.T) {
	const n = 12
	ds := newDataset(t, n)
	s, model := newServer(t)
	job := detectJob(model)
	run := func() annotate.Result {
		t.Helper()
		r, err := annotate.DetectViews(t.Context(), ds, job)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}

	job.DryRun = true
	if r := run(); r.Progress != (annotate.Progress{Total: n}) || len(s.tasks) != 0 {
		t.Errorf("dry run: %+v, %d requests", r, len(s.tasks))
	}
	if c, err := ds.Count(t.Context(), "source", dataset.Query{}); err != nil || c != 0 {
		t.Errorf("a dry run stored %d sources, %v", c, err)
	}
	job.DryRun = false

	job.Query = dataset.Query{Where: "id < ?", Args: []any{"vi05"}}
	var last annotate.Progress
	job.Progress = func(p annotate.Progress) { last = p }
	if r := run(); r.Progress != (annotate.Progress{Total: 5, Done: 5, Rows: 30}) || last != r.Progress {
		t.Errorf("with a filter: %+v, last progress %+v", r, last)
	}
	checkDetections(t, ds, upTo(5)...)

	job.Query = dataset.Query{}
	if r := run(); r.Progress != (annotate.Progress{Total: n, Before: 5, Done: n - 5, Rows: 6 * (n - 5)}) {
		t.Errorf("the rest: %+v", r)
	}
	checkDetections(t, ds, upTo(n)...)
	asked := len(s.tasks)
	if r := run(); r.Progress != (annotate.Progress{Total: n, Before: n}) || len(s.tasks) != asked {
		t.Errorf("again: %+v, %d requests", r, len(s.tasks)-asked)
	}

	// What people do with the rows stays.
	var boxes []schema.BBox
	if err := ds.Get(t.Context(), "boxes", &boxes, dataset.Query{Where: "view_ref.id = 'vi03'"}); err != nil {
		t.Fatal(err)
	}
	boxes[0].Coords = []float64{1, 2, 3, 4}
	if _, err := ds.Apply(t.Context(), dataset.ChangeSet{Changes: []dataset.Change{dataset.Put("boxes", boxes[0]), dataset.Delete("boxes", boxes[1].ID)}}); err != nil {
		t.Fatal(err)
	}
	if r := run(); r.Done != 0 {
		t.Errorf("after changes: %+v", r)
	}
	boxes = nil
	if err := ds.Get(t.Context(), "boxes", &boxes, dataset.Query{Where: "view_ref.id = 'vi03'"}); err != nil || len(boxes) != 1 || boxes[0].Coords[0] != 1 {
		t.Errorf("boxes %+v, %v", boxes, err)
	}
}

// A run that could not note any more what it stored stores nothing twice.
func TestLostMarks(t *testing.T) {
	ds := newDataset(t, 6)
	_, model := newServer(t)
	job := detectJob(model)
	if _, err := annotate.DetectViews(t.Context(), ds, job); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(ds.Path(), ".pixano", "jobs", "*.done"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	// The last lines are gone, and one is cut.
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files[0], data[:len(data)/2-3], 0o644); err != nil {
		t.Fatal(err)
	}
	if r, err := annotate.DetectViews(t.Context(), ds, job); err != nil || r.Before != 6 {
		t.Errorf("%+v, %v", r, err)
	}
	checkDetections(t, ds, upTo(6)...)
}

// TestKilled kills a process at several points of a job and runs the job again to its end: no row is missing or there twice.
func TestKilled(t *testing.T) {
	const n = 130
	ds := newDataset(t, n)
	s, model := newServer(t)
	for round := range 3 {
		kill := make(chan struct{})
		already := len(s.tasks)
		s.mu.Lock()
		s.before = func(_ string, _ http.ResponseWriter, k int) bool {
			if k == already+34 { // while the first 32 are stored
				close(kill)
			}
			time.Sleep(time.Millisecond)
			return false
		}
		s.mu.Unlock()
		cmd := exec.Command(os.Args[0], "-test.run=^TestJobProcess$")
		cmd.Env = append(os.Environ(), "PIXANO_JOB_DATASET="+ds.Path(), "PIXANO_JOB_SERVER="+s.URL)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		exited := make(chan error, 1)
		go func() { exited <- cmd.Wait() }()
		select {
		case <-kill:
		case err := <-exited:
			t.Fatalf("the process ended by itself: %v", err)
		}
		time.Sleep(time.Duration(round) * 15 * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		<-exited
	}
	s.mu.Lock()
	s.before = nil
	s.mu.Unlock()
	r, err := annotate.DetectViews(t.Context(), ds, detectJob(model))
	if err != nil || r.Before+r.Done != n {
		t.Fatalf("%+v, %v", r, err)
	}
	t.Logf("of %d pictures the killed runs had done %d", n, r.Before)
	checkDetections(t, ds, upTo(n)...)
}

// TestJobProcess is the job of another process, for TestKilled.
func TestJobProcess(t *testing.T) {
	path := os.Getenv("PIXANO_JOB_DATASET")
	if path == "" {
		t.Skip("runs in a process of TestKilled")
	}
	ds, err := dataset.Open(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	p, err := pixanoserver.Connect(t.Context(), os.Getenv("PIXANO_JOB_SERVER"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := annotate.DetectViews(t.Context(), ds, detectJob(annotate.Model{Provider: p, Name: "m"})); err != nil {
		t.Fatal(err)
	}
}

// Two runs at once, of two handles, store each picture once.
func TestTwoRuns(t *testing.T) {
	ds := newDataset(t, 20)
	_, model := newServer(t)
	other, err := dataset.Open(t.Context(), ds.Path(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	var wg sync.WaitGroup
	for _, ds := range []*dataset.Dataset{ds, other} {
		wg.Go(func() {
			if _, err := annotate.DetectViews(t.Context(), ds, detectJob(model)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	checkDetections(t, ds, upTo(20)...)
}

// A server that dies ends the job; what was done stays, and the job goes on with another server.
func TestServerDies(t *testing.T) {
	ds := newDataset(t, 10)
	s, model := newServer(t)
	s.before = func(_ string, w http.ResponseWriter, n int) bool {
		if n >= 5 {
			panic(http.ErrAbortHandler) // the connection breaks
		}
		return false
	}
	job := detectJob(model)
	job.Workers = 1
	r, err := annotate.DetectViews(t.Context(), ds, job)
	if !errors.Is(err, inference.ErrConnection) || r.Done != 4 || r.Failed != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	checkDetections(t, ds, upTo(4)...)
	_, job.Model = newServer(t)
	if r, err := annotate.DetectViews(t.Context(), ds, job); err != nil || r.Before != 4 || r.Done != 6 {
		t.Errorf("with another server: %+v, %v", r, err)
	}
	checkDetections(t, ds, upTo(10)...)
}

// Pictures that cannot be read and answers that make no sense are named; the others are done, and the next run tries again.
func TestSomeFail(t *testing.T) {
	ds := newDataset(t, 9)
	s, model := newServer(t)
	if err := os.WriteFile(filepath.Join(ds.MediaDir(), "i02.png"), []byte("no picture"), 0o644); err != nil {
		t.Fatal(err)
	}
	whole := pictureFile(t, square(3))
	if err := os.WriteFile(filepath.Join(ds.MediaDir(), "i03.png"), whole[:len(whole)-30], 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(ds.MediaDir(), "i07.png")); err != nil {
		t.Fatal(err)
	}
	s.before = func(_ string, w http.ResponseWriter, n int) bool {
		if n == 1 {
			io.WriteString(w, `{"status":"SUCCESS","data":{"boxes":[[1,2,3,4]],"scores":[7],"classes":["car"]}}`)
		}
		return n == 1
	}
	job := detectJob(model)
	job.Workers = 1
	// The server refuses the picture that is cut, as real ones do.
	before := s.before
	s.before = func(task string, w http.ResponseWriter, n int) bool {
		if n == 3 {
			w.WriteHeader(500)
			io.WriteString(w, `{"detail":"cannot decode"}`)
			return true
		}
		return before(task, w, n)
	}
	r, err := annotate.DetectViews(t.Context(), ds, job)
	if err != nil || r.Progress != (annotate.Progress{Total: 9, Done: 5, Failed: 4, Rows: 30}) {
		t.Errorf("%+v, %v", r, err)
	}
	text := errors.Join(r.Errors...).Error()
	for _, want := range []string{`image "vi00": `, `image "vi02": `, `image "vi03": `, `image "vi07": `, "a score of 7", "no such file"} {
		if !strings.Contains(text, want) {
			t.Errorf("errors\n%s\nlack %q", text, want)
		}
	}
	checkDetections(t, ds, 1, 4, 5, 6, 8)
	s.before = nil
	if err := os.WriteFile(filepath.Join(ds.MediaDir(), "i03.png"), whole, 0o644); err != nil {
		t.Fatal(err)
	}
	if r, err = annotate.DetectViews(t.Context(), ds, job); err != nil || r.Progress != (annotate.Progress{Total: 9, Before: 5, Done: 2, Failed: 2, Rows: 12}) {
		t.Errorf("again: %+v, %v", r, err)
	}
	checkDetections(t, ds, 0, 1, 3, 4, 5, 6, 8)
}

// A model that fails each time is given up; one that is not there is not tried.
func TestAllFail(t *testing.T) {
	ds := newDataset(t, 20)
	s, model := newServer(t)
	s.before = func(_ string, w http.ResponseWriter, _ int) bool {
		w.WriteHeader(500)
		io.WriteString(w, `{"detail":"out of memory"}`)
		return true
	}
	job := detectJob(model)
	job.Workers = 1
	if r, err := annotate.DetectViews(t.Context(), ds, job); !errors.Is(err, inference.ErrFailed) || r.Failed != 5 || len(s.tasks) > 7 {
		t.Errorf("%+v after %d requests, %v", r, len(s.tasks), err)
	}
	job.Model.Name = "m9"
	if _, err := annotate.DetectViews(t.Context(), ds, job); !errors.Is(err, inference.ErrModelNotFound) || !strings.Contains(err.Error(), `"m"`) {
		t.Errorf("unknown model: %v", err)
	}
}

// What was computed before a job is cancelled is stored.
func TestJobCancelled(t *testing.T) {
	ds := newDataset(t, 20)
	s, model := newServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.before = func(_ string, _ http.ResponseWriter, n int) bool {
		if n == 8 {
			cancel()
			time.Sleep(50 * time.Millisecond)
		}
		return false
	}
	job := detectJob(model)
	job.Workers = 1
	r, err := annotate.DetectViews(ctx, ds, job)
	if !errors.Is(err, context.Canceled) || r.Done != 7 || r.Failed != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	checkDetections(t, ds, upTo(7)...)
}

func TestBadJobs(t *testing.T) {
	ds := newDataset(t, 1)
	_, model := newServer(t)
	for name, change := range map[string]func(*annotate.DetectJob){
		"views":    func(j *annotate.DetectJob) { j.Views = "caption" },
		"boxes":    func(j *annotate.DetectJob) { j.Boxes = "masks" },
		"labels":   func(j *annotate.DetectJob) { j.Labels = "boxes" },
		"entities": func(j *annotate.DetectJob) { j.Entities = "boxes" },
		"nowhere":  func(j *annotate.DetectJob) { j.Labels, j.Entities = "", "chats" },
	} {
		job := detectJob(model)
		change(&job)
		if _, err := annotate.DetectViews(t.Context(), ds, job); !errors.Is(err, inference.ErrInvalidRequest) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	job := detectJob(model)
	job.Boxes = "none"
	if _, err := annotate.DetectViews(t.Context(), ds, job); !errors.Is(err, dataset.ErrNotFound) {
		t.Errorf("unknown table: %v", err)
	}
	job = detectJob(model)
	job.Query.Where = "nonsense = 3"
	if _, err := annotate.DetectViews(t.Context(), ds, job); !errors.Is(err, dataset.ErrQuery) {
		t.Errorf("bad filter: %v", err)
	}
}

// TestSegmentBoxes segments with the method of package grabcut: exact squares from boxes around them.
func TestSegmentBoxes(t *testing.T) {
	const n = 6
	ds := newDataset(t, n)
	model := annotate.Model{Provider: grabcut.New(), Name: grabcut.Model}
	var boxes []schema.BBox
	for i := range n {
		r := square(i).Inset(-3)
		about := schema.Annotation{ID: fmt.Sprintf("b%d", i), ItemRef: features.Item(fmt.Sprintf("i%02d", i)), ViewRef: features.View("image", fmt.Sprintf("vi%02d", i))}
		boxes = append(boxes, schema.BBox{Annotation: about, Coords: []float64{float64(r.Min.X), float64(r.Min.Y), float64(r.Dx()), float64(r.Dy())}, Format: "xywh"})
		about.ID += "n"
		boxes = append(boxes, schema.BBox{Annotation: about, Coords: []float64{float64(r.Min.X) / 64, float64(r.Min.Y) / 48, float64(r.Max.X) / 64, float64(r.Max.Y) / 48}, Format: "xyxy", IsNormalized: true})
	}
	outside := boxes[0]
	outside.ID, outside.Coords, outside.ViewRef.ID = "far", []float64{900, 900, 5, 5}, "vi05"
	// An own picture, so that the other boxes of its view do not suffer.
	outside.ViewRef.ID = "far"
	far := schema.Image{View: schema.View{ID: "far", ItemRef: features.Item("i05")}, URL: "i05.png", Width: 64, Height: 48}
	if _, err := ds.Apply(t.Context(), dataset.ChangeSet{Changes: []dataset.Change{dataset.Insert("image", far), dataset.Insert("boxes", append(boxes, outside))}}); err != nil {
		t.Fatal(err)
	}
	job := annotate.SegmentJob{Job: annotate.Job{Model: model}, Boxes: "boxes", Masks: "masks", Query: dataset.Query{Where: "is_normalized"}}
	if r, err := annotate.SegmentBoxes(t.Context(), ds, job); err != nil || r.Progress != (annotate.Progress{Total: n, Done: n, Rows: n}) {
		t.Fatalf("%+v, %v", r, err)
	}
	job.Query = dataset.Query{}
	r, err := annotate.SegmentBoxes(t.Context(), ds, job)
	if err != nil || r.Progress != (annotate.Progress{Total: 2*n + 1, Before: n, Done: n, Failed: 1, Rows: n}) || !strings.Contains(r.Errors[0].Error(), "is outside of the picture") {
		t.Fatalf("%+v, %v", r, err)
	}
	var masks []schema.CompressedRLE
	if err := ds.Get(t.Context(), "masks", &masks, dataset.Query{}); err != nil {
		t.Fatal(err)
	}
	seen := map[image.Rectangle]int{}
	for _, m := range masks {
		mask, err := m.Mask()
		if err != nil || mask.Area() != 256 {
			t.Errorf("%s: %d pixels, %v", m.ViewRef.ID, mask.Area(), err)
		}
		seen[mask.Bounds()]++
		if !strings.Contains(m.InferenceMetadata, grabcut.Model) || m.SourceRef.IsZero() {
			t.Errorf("row %+v", m.Annotation)
		}
	}
	for i := range n {
		if seen[square(i)] != 2 {
			t.Errorf("%d masks at %v", seen[square(i)], square(i))
		}
	}
}
