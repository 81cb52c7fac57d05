package server_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"image"
	"image/color"
	"image/png"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// TestSamples asks for the values of an image of 16 bits, which others of its files do not have.
func TestSamples(t *testing.T) {
	library := newLibrary(t, "image_detection")
	img := image.NewGray16(image.Rect(0, 0, 3, 2))
	for i, v := range []uint16{0, 1, 255, 256, 4095, 65535} {
		img.SetGray16(i%3, i/3, color.Gray16{Y: v})
	}
	media := filepath.Join(library, "image_detection", "media")
	for name, content := range map[string]image.Image{"deep.png": img, "flat.png": image.NewGray(img.Rect)} {
		file, err := os.Create(filepath.Join(media, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := png.Encode(file, content); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	address := start(t, library, nil) + "/dataset_media/" + images + "/"
	for _, encoding := range []string{"gzip", "identity"} {
		got := call(t, "GET", address+"deep.png?depth=16", nil, "Accept-Encoding", encoding)
		if got.status != http.StatusOK || got.header.Get("Etag") == "" || got.header.Get("Vary") == "" {
			t.Fatalf("%s: status %d, %v", encoding, got.status, got.header)
		}
		body := got.body
		if encoding == "gzip" {
			unzip, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil || got.header.Get("Content-Encoding") != "gzip" {
				t.Fatal(err, got.header)
			}
			if body, err = io.ReadAll(unzip); err != nil {
				t.Fatal(err)
			}
		}
		if len(body) != 24+12 || string(body[:4]) != "px16" {
			t.Fatalf("%s: % x", encoding, body)
		}
		for i, want := range []uint32{1, 3, 2, 3, 2} {
			if n := binary.LittleEndian.Uint32(body[4+4*i:]); n != want {
				t.Errorf("%s: number %d of the head is %d, want %d", encoding, i, n, want)
			}
		}
		for i, want := range []uint16{0, 1, 255, 256, 4095, 65535} {
			if v := binary.LittleEndian.Uint16(body[24+2*i:]); v != want {
				t.Errorf("%s: value %d is %d, want %d", encoding, i, v, want)
			}
		}
		if again := call(t, "GET", address+"deep.png?depth=16", nil, "If-None-Match", got.header.Get("Etag")); again.status != http.StatusNotModified {
			t.Errorf("unchanged: status %d", again.status)
		}
	}
	for path, want := range map[string]int{
		"flat.png?depth=16":                http.StatusNoContent,
		"images/train/im_003.jpg?depth=16": http.StatusNoContent,
		"deep.png?depth=8":                 http.StatusUnprocessableEntity,
		"deep.png?depth=x":                 http.StatusUnprocessableEntity,
		"nope.png?depth=16":                http.StatusNotFound,
	} {
		if got := call(t, "GET", address+path, nil); got.status != want {
			t.Errorf("%s: status %d, want %d", path, got.status, want)
		}
	}
	if head := call(t, "HEAD", address+"deep.png?depth=16", nil); head.status != http.StatusOK || len(head.body) != 0 {
		t.Errorf("head: status %d, %d bytes", head.status, len(head.body))
	}
}
