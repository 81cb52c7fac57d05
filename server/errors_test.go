package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"pixano/dataset"
)

// TestStatusOf: each kind of error has its status, also inside of others.
func TestStatusOf(t *testing.T) {
	for err, want := range map[error]int{
		dataset.ErrNotFound: 404, dataset.ErrExists: 409, dataset.ErrConflict: 409, dataset.ErrQuery: 400, dataset.ErrSchema: 400, dataset.ErrIntegrity: 400,
		dataset.ErrReadOnly: 403, dataset.ErrUnsupported: 400, dataset.ErrCorrupt: 500, dataset.ErrClosed: 503, fs.ErrPermission: 403,
		dataset.ErrNoSpace: 507, syscall.ENOSPC: 507, syscall.EROFS: 403,
		&dataset.ConflictError{}: 409, &dataset.IntegrityError{}: 400, &http.MaxBytesError{}: 413, context.Canceled: 499, context.DeadlineExceeded: 503,
		badRequest("x"): 400, notFound("x"): 404, errors.New("x"): 500,
	} {
		for _, err := range []error{err, fmt.Errorf("there: %w", err), &dataset.Error{Op: "read", Err: err}} {
			if got := statusOf(err); got != want {
				t.Errorf("%v: status %d, want %d", err, got, want)
			}
		}
	}
	if got := statusOf(nil); got != 200 {
		t.Errorf("no error: status %d", got)
	}
	for code, err := range map[int]error{500: errors.New("secret"), 507: &fs.PathError{Op: "write", Path: "/secret", Err: syscall.ENOSPC}, 403: &fs.PathError{Op: "open", Path: "/secret", Err: syscall.EROFS}} {
		if got := shown(code, err); strings.Contains(got, "secret") {
			t.Errorf("the error of a failure is shown to clients: %s", got)
		}
	}
}

// TestRouter: literal segments go before wildcards, methods before both, and ids may hold any character.
func TestRouter(t *testing.T) {
	var got string
	rt := router{otherwise: func(_ http.ResponseWriter, _ *http.Request, allow []string) { got = fmt.Sprint("none ", allow) }}
	for _, pattern := range []string{"GET /a/{x}", "POST /a/b", "GET /{x}/b", "GET /a/{x}/c", "GET /f/{rest...}", "GET /", "GET /a"} {
		rt.HandleFunc(pattern, func(_ http.ResponseWriter, r *http.Request) {
			got = fmt.Sprintf("%s x=%s rest=%s", pattern, r.PathValue("x"), r.PathValue("rest"))
		})
	}
	for request, want := range map[string]string{
		"GET /a/z": "GET /a/{x} x=z rest=", "POST /a/b": "POST /a/b x= rest=", "GET /a/b": "GET /a/{x} x=b rest=", "GET /q/b": "GET /{x}/b x=q rest=",
		"GET /a/p%2Fq/c": "GET /a/{x}/c x=p/q rest=", "GET /f/1/2//3": "GET /f/{rest...} x= rest=1/2//3", "GET /f/": "GET /f/{rest...} x= rest=",
		"GET /": "GET / x= rest=", "GET /a": "GET /a x= rest=", "GET /a/": "none []", "DELETE /a/b": "none [GET POST]", "GET /nope": "none []", "GET /a//c": "none []",
	} {
		method, path, _ := cutLast(request, " ")
		r, err := http.NewRequest(method, "http://localhost"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if rt.ServeHTTP(nil, r); got != want {
			t.Errorf("%s: %s, want %s", request, got, want)
		}
	}
}
