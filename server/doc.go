// Package server serves a library of datasets over HTTP: the REST API of Pixano 0.6 with its shapes and status codes, so
// that its web interface works unmodified, routes that go beyond it, media files, and the web interface of this project.
//
// Start with [New], which gives an http.Handler:
//
//	library, err := dataset.OpenLibrary("data/library")
//	if err != nil {
//		return err
//	}
//	s, err := server.New(library, &server.Options{MediaDir: "data/media"})
//	if err != nil {
//		return err
//	}
//	defer s.Close()
//	return http.ListenAndServe("127.0.0.1:7492", s)
//
// # Two families of routes
//
// The reference routes (/datasets, /items, /views, /annotations, /browser …) answer as Pixano 0.6.12 does: errors are
// {"detail": TEXT}, mistakes in the request are 422 with a list that names the place of each. The others, such as
// /changes/{dataset}, answer errors as problems (RFC 9457). Both are described in /openapi.json, which /docs shows.
//
// # Safety
//
// There is no account and no password: whoever reaches the address may read and write, so it should be a loopback one.
// Against pages of other sites in the user's browser, requests whose Host header is no address and no known name are
// refused, and so are writes whose Origin is another one. No file outside of the media and model directories is served.
//
// # Datasets
//
// A dataset is opened when it is first asked for and closed when nobody did for a while. Datasets that appear, vanish or
// are replaced while the server runs are noticed at the next request.
package server
