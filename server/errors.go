package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"syscall"

	"pixano/dataset"
)

// statusClientClosed is what the access log shows of a request whose client left; nobody receives it.
const statusClientClosed = 499

// statusOf returns the status code of an error of the library.
func statusOf(err error) int {
	var status *statusError
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return http.StatusOK
	case errors.As(err, &status):
		return status.code
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, context.Canceled):
		return statusClientClosed
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, dataset.ErrClosed):
		return http.StatusServiceUnavailable
	case errors.Is(err, dataset.ErrConflict), errors.Is(err, dataset.ErrExists):
		return http.StatusConflict
	case errors.Is(err, dataset.ErrCorrupt):
		return http.StatusInternalServerError
	case errors.Is(err, dataset.ErrUnsupported), errors.Is(err, dataset.ErrQuery), errors.Is(err, dataset.ErrSchema), errors.Is(err, dataset.ErrIntegrity):
		return http.StatusBadRequest
	case errors.Is(err, dataset.ErrNoSpace), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return http.StatusInsufficientStorage
	case errors.Is(err, dataset.ErrReadOnly), errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return http.StatusForbidden
	case errors.Is(err, dataset.ErrNotFound):
		return http.StatusNotFound
	}
	return http.StatusInternalServerError
}

// statusError is an error with a status code of its own.
type statusError struct {
	code int
	text string
}

func (e *statusError) Error() string { return e.text }

func badRequest(format string, args ...any) error {
	return &statusError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) error {
	return &statusError{http.StatusNotFound, fmt.Sprintf(format, args...)}
}

// invalid is a mistake at one place of a request, as the reference implementation reports it: loc is the way to the
// place, from "query", "path" or "body" on; typ names the rule.
type invalid struct {
	Type  string          `json:"type"`
	Loc   []any           `json:"loc"`
	Msg   string          `json:"msg"`
	Input json.RawMessage `json:"input"`
	Ctx   map[string]any  `json:"ctx,omitempty"`
}

// invalidRequest is the mistakes of a request.
type invalidRequest []invalid

func (e invalidRequest) Error() string {
	text := "invalid request"
	for i, v := range e {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		text += sep
		for _, part := range v.Loc {
			text += fmt.Sprint(part) + "."
		}
		text = text[:len(text)-1] + ": " + v.Msg
	}
	return text
}

// reference makes a handler of a function, whose error is answered as the reference implementation does.
func (s *Server) reference(handle func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := handle(w, r); err != nil {
			s.detail(w, r, err)
		}
	}
}

// detail answers an error as the reference implementation does.
func (s *Server) detail(w http.ResponseWriter, r *http.Request, err error) {
	if mistakes, ok := errors.AsType[invalidRequest](err); ok {
		writeJSON(w, http.StatusUnprocessableEntity, map[string]any{"detail": mistakes})
		return
	}
	code := statusOf(err)
	if code == http.StatusConflict && errors.Is(err, dataset.ErrExists) {
		code = http.StatusBadRequest
	}
	s.noteError(r, code, err)
	writeJSON(w, code, map[string]any{"detail": shown(code, err)})
}

// shown is an error as clients see it. Of failures of the server they see no more than that there was one if they lead
// to paths; the log has the rest.
func shown(code int, err error) string {
	_, meant := errors.AsType[*statusError](err)
	if code == http.StatusInternalServerError && !meant && !errors.Is(err, dataset.ErrCorrupt) {
		return "the server failed to answer; its log says why"
	}
	switch {
	case code == http.StatusInsufficientStorage:
		return "the storage of the server is full"
	case errors.Is(err, syscall.EROFS):
		return "the storage of the server can only be read"
	}
	return err.Error()
}

// noteError logs failures of the server.
func (s *Server) noteError(r *http.Request, code int, err error) {
	if code >= http.StatusInternalServerError {
		s.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
}

// marshal writes JSON without escaping characters of HTML, as the reference does.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	body, err := marshal(v)
	if err != nil {
		code, body = http.StatusInternalServerError, []byte(`{"detail":"the answer has no JSON form"}`)
	}
	writeBody(w, code, "application/json", body)
}

// writeBody answers with a whole body.
func writeBody(w http.ResponseWriter, code int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, _ = w.Write(body) // a client that left
}
