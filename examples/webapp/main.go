// Webapp serves the REST API and the web interface of Pixano inside of one's own program, beside routes of one's own over
// the same library.
//
//	pixano demo pixano-demo --no-serve
//	go run ./examples/webapp pixano-demo             # serves at http://127.0.0.1:8080
//	go run ./examples/webapp -once pixano-demo       # asks itself a few questions and ends
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"pixano/dataset"
	"pixano/server"
	"pixano/server/ui"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen at")
	once := flag.Bool("once", false, "ask a few questions and end")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("usage: webapp [-addr ADDRESS] [-once] DIRECTORY-OF-THE-DEMO")
	}
	if err := run(*addr, *once, flag.Arg(0)); err != nil {
		log.Fatal(err)
	}
}

func run(addr string, once bool, dir string) error {
	library, err := dataset.OpenLibrary(filepath.Join(dir, "library"))
	if err != nil {
		return err
	}
	pixano, err := server.New(library, &server.Options{MediaDir: filepath.Join(dir, "media"), UI: ui.Files()})
	if err != nil {
		return err
	}
	defer pixano.Close()
	ds, err := library.Open(context.Background(), "streets", nil)
	if err != nil {
		return err
	}
	defer ds.Close()

	mux := http.NewServeMux()
	mux.Handle("/", pixano) // everything else
	mux.HandleFunc("GET /busiest", func(w http.ResponseWriter, r *http.Request) {
		var items []dataset.Item
		err := ds.Items(r.Context(), &items, dataset.Query{OrderBy: "#objects desc, id", Limit: 3})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		names := []string{}
		for _, item := range items {
			names = append(names, item.ID)
		}
		json.NewEncoder(w).Encode(names)
	})

	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	if !once {
		fmt.Println("http://" + listener.Addr().String())
		return http.Serve(listener, mux)
	}
	go http.Serve(listener, mux)
	for _, path := range []string{"/busiest", "/datasets/info/demo_streets", "/app/"} {
		if err := ask("http://" + listener.Addr().String() + path); err != nil {
			return err
		}
	}
	return nil
}

func ask(url string) error {
	answer, err := http.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	fmt.Println(answer.Request.URL.Path, answer.Status, answer.Header.Get("Content-Type"))
	if answer.Header.Get("Content-Type") == "application/json" || answer.Request.URL.Path == "/busiest" {
		_, err = io.CopyN(os.Stdout, answer.Body, 100)
		fmt.Println()
	}
	if err == io.EOF {
		err = nil
	}
	return err
}
