package server

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestDiskCache(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "notes.jpg")
	if err := os.WriteFile(other, bytes.Repeat([]byte{1}, 5000), 0o644); err != nil {
		t.Fatal(err)
	}
	open := func() *diskCache { return newDiskCache(dir, 10_000, slog.New(slog.DiscardHandler)) }
	c := open()
	content := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 1000) }
	key := func(i int) string { return fmt.Sprintf("%024x", i) }
	for i := range 30 {
		c.put(key(i), picture{"image/png", content(i)})
		at := time.Now().Add(time.Duration(i-1000) * time.Second) // in this order
		if err := os.Chtimes(c.path(key(i), ".png"), at, at); err != nil {
			t.Fatal(err)
		}
	}
	kept := 0
	for i, c := 29, open(); i >= 0; i-- { // another process
		p, ok := c.get(key(i))
		if ok && (p.contentType != "image/png" || !bytes.Equal(p.content, content(i))) {
			t.Errorf("picture %d: %s, %d bytes", i, p.contentType, len(p.content))
		}
		if ok {
			kept++
		}
		if ok != (i >= 30-kept) {
			t.Errorf("picture %d is kept: %v, and %d newer ones are", i, ok, kept)
		}
	}
	if kept < 6 || kept > 9 {
		t.Errorf("%d pictures of 1,004 bytes are kept of 10,000 bytes", kept)
	}
	// A file that is not whole is as if it were not there.
	if err := os.Truncate(c.path(key(29), ".png"), 500); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.get(key(29)); ok {
		t.Error("a cut file is read")
	}
	if _, err := os.Stat(other); err != nil {
		t.Errorf("a file of others: %v", err)
	}
	var none *diskCache
	none.put(key(1), picture{"image/png", content(1)})
	if _, ok := none.get(key(1)); ok {
		t.Error("no cache has a picture")
	}
	broken := newDiskCache(other, 10_000, slog.New(slog.DiscardHandler)) // no directory
	broken.put(key(1), picture{"image/png", content(1)})
	if _, ok := broken.get(key(1)); ok {
		t.Error("a cache without a directory has a picture")
	}
}
