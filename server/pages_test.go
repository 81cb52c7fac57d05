package server_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"pixano/server"
)

// TestPrefix: behind a proxy that serves the server under a path of its own, addresses have that path.
func TestPrefix(t *testing.T) {
	ui := fstest.MapFS{"index.html": {Data: []byte("<html><head></head></html>")}}
	address := start(t, newLibrary(t, "image_detection"), &server.Options{UI: ui, Prefix: "/pixano/"})
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for path, want := range map[string]string{"/": "/pixano/app/", "/x/dataset/y": "/pixano/app/d/x/i/y"} {
		res, err := client.Get(address + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got := res.Header.Get("Location"); got != want {
			t.Errorf("%s leads to %s, want %s", path, got, want)
		}
	}
	for path, want := range map[string]string{"/app/": `<base href="/pixano/app/">`, "/browser/" + images + "?limit=1": address + "/pixano/thumbnail/"} {
		if got := call(t, "GET", address+path, nil); !strings.Contains(string(got.body), want) {
			t.Errorf("%s: no %s in %.500s", path, want, got.body)
		}
	}
}
