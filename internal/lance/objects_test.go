package lance

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestObjects(t *testing.T) {
	dir := t.TempDir()
	c := connectTo(t, dir+"/db", nil)
	ctx := t.Context()
	o := c.Objects()
	if list := must[ObjectList](t)(o.List(ctx, "", nil)); len(list.Objects) != 0 {
		t.Errorf("got %v", list)
	}
	_, err := o.Get(ctx, "info.json")
	wantError(t, err, ErrNotFound)
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for path, data := range map[string][]byte{"info.json": []byte("{}"), "log/2": []byte("two"), "log/1": large, "log/deep/x y é%": nil} {
		if err := o.Put(ctx, path, data); err != nil {
			t.Fatal(err)
		}
		got := must[[]byte](t)(o.Get(ctx, path))
		if !bytes.Equal(got, data) {
			t.Errorf("%s: got %d bytes, want %d", path, len(got), len(data))
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "db", "log", "1")); err != nil {
		t.Error(err)
	}
	for _, r := range []struct{ offset, length, want int64 }{{0, 16, 16}, {16, -1, 1<<20 - 16}, {1<<20 - 4, 100, 4}} {
		got, err := o.GetRange(ctx, "log/1", r.offset, r.length)
		if err != nil || int64(len(got)) != r.want || !bytes.Equal(got, large[r.offset:r.offset+r.want]) {
			t.Errorf("%+v: got %d bytes, %v", r, len(got), err)
		}
	}
	if got, err := o.GetRange(ctx, "log/1", 1<<21, 5); err == nil {
		t.Errorf("beyond the end: got %d bytes", len(got))
	}
	head := must[Object](t)(o.Head(ctx, "log/2"))
	if head.Path != "log/2" || head.Size != 3 || time.Since(head.Modified) > time.Minute || head.ETag == "" {
		t.Errorf("got %+v", head)
	}
	paths := func(list ObjectList) string {
		var b strings.Builder
		for _, object := range list.Objects {
			b.WriteString(object.Path + " ")
		}
		return b.String() + strings.Join(list.Prefixes, " ")
	}
	diff(t, "all", paths(must[ObjectList](t)(o.List(ctx, "", nil))), "info.json log/1 log/2 log/deep/x y é% ")
	diff(t, "one level", paths(must[ObjectList](t)(o.List(ctx, "", &ListOptions{Flat: true}))), "info.json log")
	diff(t, "folder", paths(must[ObjectList](t)(o.List(ctx, "log", &ListOptions{Flat: true}))), "log/1 log/2 log/deep")
	diff(t, "limit", len(must[ObjectList](t)(o.List(ctx, "log", &ListOptions{Limit: 2})).Objects), 2)
	diff(t, "no folder", paths(must[ObjectList](t)(o.List(ctx, "none", nil))), "")

	wantError(t, o.PutIfAbsent(ctx, "log/2", []byte("x")), ErrExists)
	if err := o.PutIfAbsent(ctx, "log/3", []byte("three")); err != nil {
		t.Error(err)
	}
	if err := o.Delete(ctx, "log/3"); err != nil {
		t.Error(err)
	}
	wantError(t, o.Delete(ctx, "log/3"), ErrNotFound)
	_, err = o.Head(ctx, "log/3")
	wantError(t, err, ErrNotFound)
	for _, path := range []string{"", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a\x00b"} {
		_, err := o.Get(ctx, path)
		wantError(t, err, ErrInvalid)
		wantError(t, o.Put(ctx, path, nil), ErrInvalid)
	}
	if _, err := os.Stat(filepath.Join(dir, "x")); err == nil {
		t.Error("an object was put outside")
	}
}

// Of many that put one object if absent, one wins.
func TestPutIfAbsentOnce(t *testing.T) {
	c := connect(t)
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if c.Objects().PutIfAbsent(t.Context(), "log/1", []byte("x")) == nil {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d have put it", won.Load())
	}
}
