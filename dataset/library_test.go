package dataset_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
)

// newLibrary makes a library of copies of golden datasets.
func newLibrary(t *testing.T, names ...string) (*dataset.Library, string) {
	t.Helper()
	needEngine(t)
	dir := t.TempDir()
	for _, name := range names {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join(goldenDir, name))); err != nil {
			t.Fatal(err)
		}
	}
	l, err := dataset.OpenLibrary(dir)
	if err != nil {
		t.Fatal(err)
	}
	return l, dir
}

// hostile are names that no dataset's directory may have.
var hostile = []string{"", ".", "..", "../x", "a/b", `a\b`, "/abs", ".hidden", ".pixano", "a\x00b", "a\nb", "x/..", "vqa/"}

func TestLibraryFindAndOpen(t *testing.T) {
	l, dir := newLibrary(t, "vqa", "video_tracking", "record_image")
	ctx := t.Context()
	e, err := l.Find(ctx, "golden_vqa")
	if err != nil || e.Path != filepath.Join(dir, "vqa") || e.Items != 7 || e.Info.Name != "Golden VQA" {
		t.Errorf("got %+v (%v)", e, err)
	}
	for _, id := range append(hostile, "vqa", "nope") { // an id is not a directory
		_, err := l.Find(ctx, id)
		wantError(t, err, dataset.ErrNotFound, "find "+fmt.Sprintf("%q", id), "no dataset of this id")
	}
	for _, key := range []string{"golden_vqa", "vqa"} {
		ds, err := l.Open(ctx, key, nil)
		if err != nil {
			t.Fatal(err)
		}
		if ds.Info().ID != "golden_vqa" {
			t.Errorf("%s: opened %s", key, ds.Info().ID)
		}
		ds.Close()
	}
	for _, key := range append(hostile, "nope") {
		_, err := l.Open(ctx, key, nil)
		wantError(t, err, dataset.ErrNotFound, "open ", "no dataset of this id or directory")
	}
	_, err = l.Open(ctx, "golden_record_image", nil)
	wantError(t, err, dataset.ErrUnsupported)

	// A dataset that was copied by hand has the id of the first: neither is guessed.
	if err := os.CopyFS(filepath.Join(dir, "twin"), os.DirFS(filepath.Join(dir, "vqa"))); err != nil {
		t.Fatal(err)
	}
	both := []string{filepath.Join(dir, "twin"), filepath.Join(dir, "vqa")}
	_, err = l.Find(ctx, "golden_vqa")
	wantError(t, err, dataset.ErrExists, "several datasets have this id: "+strings.Join(both, ", "))
	_, err = l.Open(ctx, "golden_vqa", nil)
	wantError(t, err, dataset.ErrExists, both...)
	wantError(t, l.Delete(ctx, "golden_vqa"), dataset.ErrExists, both...)
	ds, err := l.Open(ctx, "twin", nil)
	if err != nil {
		t.Fatal(err)
	}
	ds.Close()
	entries, err := l.Datasets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, e := range entries {
		got[filepath.Base(e.Path)] = e.SameID
	}
	want := map[string][]string{"record_image": nil, "video_tracking": nil, "twin": {both[1]}, "vqa": {both[0]}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the same ids (-want +got):\n%s", diff)
	}
}

// TestListingWritesNothing lists whole, old and broken datasets; all bytes, and all names of directories, stay.
func TestListingWritesNothing(t *testing.T) {
	l, dir := newLibrary(t, "vqa", "record_image", "multiview_text")
	remove(t, filepath.Join(dir, "multiview_text", "db"))
	for _, name := range []string{"bare", "broken", "no"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "bare", "info.json"), `{"id": "b"}`)
	write(t, filepath.Join(dir, "broken", "info.json"), `{`)
	tree := func() (names []string) {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			names = append(names, path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	names, content := tree(), files(t, dir)
	entries, err := l.Datasets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, e := range entries {
		got = append(got, fmt.Sprintf("%s %s %d %v", filepath.Base(e.Path), e.Info.ID, e.Items, e.Err != nil))
	}
	want := []string{"bare b 0 true", "broken  0 true", "multiview_text golden_multiview_text 0 true", "record_image golden_record_image 6 false", "vqa golden_vqa 7 false"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(names, tree()); diff != "" {
		t.Errorf("names (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(content, files(t, dir)); diff != "" {
		t.Errorf("content (-before +after):\n%s", diff)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = l.Datasets(ctx)
	wantError(t, err, context.Canceled, "list "+dir)
}

func TestLibraryCreate(t *testing.T) {
	l, dir := newLibrary(t, "vqa")
	ctx := t.Context()
	ds, err := l.Create(ctx, "my shots", Shot{}, dataset.Info{ID: "s"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ds.Close()
	if e, err := l.Find(ctx, "s"); err != nil || e.Err != nil || e.Path != filepath.Join(dir, "my shots") {
		t.Errorf("got %+v (%v)", e, err)
	}
	before := files(t, dir)
	for _, name := range hostile {
		_, err := l.Create(ctx, name, Shot{}, dataset.Info{}, nil)
		wantError(t, err, dataset.ErrSchema, fmt.Sprintf("create %q: ", name), "directory name")
		wantError(t, l.Rename(ctx, "s", name), dataset.ErrSchema, "directory name")
		_, err = l.Copy(ctx, "s", name, nil)
		wantError(t, err, dataset.ErrSchema, "directory name")
	}
	_, err = l.Create(ctx, "vqa", Shot{}, dataset.Info{}, nil)
	wantError(t, err, dataset.ErrExists, "there is a dataset already")
	_, err = l.Create(ctx, "other", Shot{}, dataset.Info{ID: "golden_vqa"}, nil)
	wantError(t, err, dataset.ErrExists, `has the id "golden_vqa" already`)
	after := files(t, dir)
	delete(after, "my shots/.pixano/lock") // which those who change a dataset leave
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("refusals changed something (-before +after):\n%s", diff)
	}
}

func TestLibraryRenameAndDelete(t *testing.T) {
	l, dir := newLibrary(t, "vqa", "video_tracking")
	ctx := t.Context()
	want := files(t, filepath.Join(dir, "vqa"))
	want[".pixano/lock"] = ""
	if err := l.Rename(ctx, "golden_vqa", "new name"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"new name", "video_tracking"}, dirNames(t, dir)); diff != "" {
		t.Errorf("directories (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, files(t, filepath.Join(dir, "new name"))); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
	wantError(t, l.Rename(ctx, "new name", "video_tracking"), dataset.ErrExists, `rename "new name": `, "is there already")
	wantError(t, l.Rename(ctx, "vqa", "x"), dataset.ErrNotFound, `rename "vqa": no dataset`)

	if err := l.Delete(ctx, "new name"); err != nil {
		t.Fatal(err)
	}
	wantError(t, l.Delete(ctx, "golden_vqa"), dataset.ErrNotFound, `delete "golden_vqa": no dataset`)
	if diff := cmp.Diff([]string{"video_tracking"}, dirNames(t, dir)); diff != "" {
		t.Errorf("directories (-want +got):\n%s", diff)
	}
	// A dataset whose info.json is broken has no id, but a directory.
	write(t, filepath.Join(dir, "video_tracking", "info.json"), "{")
	if err := l.Delete(ctx, "video_tracking"); err != nil {
		t.Fatal(err)
	}
	if names := dirNames(t, dir); len(names) > 0 {
		t.Errorf("%v is left", names)
	}
	for _, key := range hostile {
		wantError(t, l.Delete(ctx, key), dataset.ErrNotFound, "no dataset of this id or directory")
	}
}

func TestLibraryCopy(t *testing.T) {
	l, dir := newLibrary(t, "image_detection")
	ctx := t.Context()
	from := filepath.Join(dir, "image_detection")
	if err := os.Symlink("images/train/im_001.jpg", filepath.Join(from, "media", "link.jpg")); err != nil {
		t.Fatal(err)
	}
	old := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(from, "stats.json"), old, old); err != nil {
		t.Fatal(err)
	}
	e, err := l.Copy(ctx, "golden_image_detection", "second", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Info.ID) != 22 || e.Err != nil || e.Items != 24 || e.Info.Name != "Golden image detection" {
		t.Errorf("got %+v", e)
	}
	want, got := files(t, from), files(t, filepath.Join(dir, "second"))
	want["info.json"] = strings.Replace(want["info.json"], "golden_image_detection", e.Info.ID, 1)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
	if st, err := os.Stat(filepath.Join(dir, "second", "stats.json")); err != nil || !st.ModTime().Equal(old) {
		t.Errorf("the time of a file: %v (%v), want %v", st.ModTime(), err, old)
	}
	if link, err := os.Readlink(filepath.Join(dir, "second", "media", "link.jpg")); link != "images/train/im_001.jpg" {
		t.Errorf("a link leads to %q (%v)", link, err)
	}
	// The copy is one of its own.
	ds, err := l.Open(ctx, e.Info.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	if err := ds.DropTable(ctx, "masks"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(from, "db", "masks.lance")); err != nil {
		t.Error(err)
	}

	e, err = l.Copy(ctx, "golden_image_detection", "third", &dataset.CopyOptions{ID: "3", Name: "Third"})
	if err != nil || e.Info.ID != "3" || e.Info.Name != "Third" {
		t.Errorf("got %+v (%v)", e, err)
	}
	_, err = l.Copy(ctx, "3", "fourth", &dataset.CopyOptions{ID: "golden_image_detection"})
	wantError(t, err, dataset.ErrExists, "has the id")
	_, err = l.Copy(ctx, "3", "fourth", &dataset.CopyOptions{ID: "a b"})
	wantError(t, err, dataset.ErrSchema, "has a space")
	_, err = l.Copy(ctx, "3", "second", nil)
	wantError(t, err, dataset.ErrExists, "is there already")
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = l.Copy(cancelled, "3", "fourth", nil)
	wantError(t, err, context.Canceled, `copy "3"`)
	if diff := cmp.Diff([]string{"image_detection", "second", "third"}, dirNames(t, dir)); diff != "" {
		t.Errorf("directories (-want +got):\n%s", diff)
	}
}

func TestLibraryMove(t *testing.T) {
	other := map[string]string{"same file system": t.TempDir()}
	if dir, err := os.MkdirTemp("/dev/shm", "pixano"); err == nil { // another file system, where there is one
		t.Cleanup(func() { os.RemoveAll(dir) })
		other["other file system"] = dir
	}
	for name, target := range other {
		t.Run(name, func(t *testing.T) {
			l, dir := newLibrary(t, "vqa", "video_tracking")
			to, err := dataset.OpenLibrary(target)
			if err != nil {
				t.Fatal(err)
			}
			want := files(t, filepath.Join(dir, "vqa"))
			want[".pixano/lock"] = ""
			if err := l.Move(t.Context(), "golden_vqa", to); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"video_tracking"}, dirNames(t, dir)); diff != "" {
				t.Errorf("what stays (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"vqa"}, dirNames(t, target)); diff != "" {
				t.Errorf("what went (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want, files(t, filepath.Join(target, "vqa"))); diff != "" {
				t.Errorf("content (-want +got):\n%s", diff)
			}
			if e, err := to.Find(t.Context(), "golden_vqa"); err != nil || e.Err != nil || e.Items != 7 {
				t.Errorf("got %+v (%v)", e, err)
			}

			if err := os.CopyFS(filepath.Join(dir, "vqa"), os.DirFS(filepath.Join(goldenDir, "video_tracking"))); err != nil {
				t.Fatal(err)
			}
			wantError(t, l.Move(t.Context(), "vqa", to), dataset.ErrExists, "is there already")
			if err := os.CopyFS(filepath.Join(dir, "again"), os.DirFS(filepath.Join(goldenDir, "vqa"))); err != nil {
				t.Fatal(err)
			}
			wantError(t, l.Move(t.Context(), "again", to), dataset.ErrExists, `has the id "golden_vqa" already`)
			if err := os.Symlink(filepath.Join(dir, "again"), filepath.Join(dir, "link")); err != nil {
				t.Fatal(err)
			}
			remove(t, filepath.Join(target, "vqa"))
			wantError(t, l.Move(t.Context(), "link", to), dataset.ErrUnsupported, "is a link")
			if diff := cmp.Diff([]string{"again", "link", "video_tracking", "vqa"}, dirNames(t, dir)); diff != "" {
				t.Errorf("after refusals (-want +got):\n%s", diff)
			}
		})
	}
}

// TestDeletedDatasetStaysDeleted: a handle that is still open does not bring a deleted dataset back.
func TestDeletedDatasetStaysDeleted(t *testing.T) {
	l, dir := newLibrary(t, "vqa")
	ds, err := l.Open(t.Context(), "vqa", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	if err := l.Delete(t.Context(), "vqa"); err != nil {
		t.Fatal(err)
	}
	err = ds.SetInfo(t.Context(), dataset.Info{Name: "x"})
	wantError(t, err, dataset.ErrNotFound, "set info: ")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is no fs.ErrNotExist", err)
	}
	if names := dirNames(t, dir); len(names) > 0 {
		t.Errorf("%v came back", names)
	}
}
