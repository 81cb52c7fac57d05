package server_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"pixano/dataset"
	"pixano/server"
)

// The server is a handler beside others.
func ExampleNew() {
	library, err := dataset.OpenLibrary("../testdata/golden")
	if err != nil {
		fmt.Println(err)
		return
	}
	pixano, err := server.New(library, &server.Options{ReadOnly: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pixano.Close()
	mux := http.NewServeMux()
	mux.Handle("/", pixano)
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") })
	s := httptest.NewServer(mux)
	defer s.Close()
	for _, path := range []string{"/hello", "/annotations/golden_vqa/messages?limit=1"} {
		answer, err := http.Get(s.URL + path)
		if err != nil {
			fmt.Println(err)
			return
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s %.20s\n", answer.Status, body)
	}
	// Output:
	// 200 OK hello
	// 200 OK [{"id":"msg1_0_0","c
}
