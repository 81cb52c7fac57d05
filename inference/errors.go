package inference

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// The kinds of error that callers tell apart, with [errors.Is]. A call whose context ended matches the context's error
// instead.
var (
	// ErrProviderNotFound: no provider of that name is connected, or none of that kind is known.
	ErrProviderNotFound = errors.New("provider not found")
	// ErrConnection: the provider cannot be reached, or went away in the middle of an answer.
	ErrConnection = errors.New("no connection")
	// ErrTimeout: the provider did not answer in time.
	ErrTimeout = errors.New("timed out")
	// ErrModelNotFound: the provider has no model of that name.
	ErrModelNotFound = errors.New("model not found")
	// ErrTaskNotSupported: the provider or the model cannot do that. It also matches [errors.ErrUnsupported].
	ErrTaskNotSupported error = &kindError{errors.ErrUnsupported, "task not supported"}
	// ErrInvalidRequest: the request makes no sense, such as a point outside of the picture, or a file that is none.
	ErrInvalidRequest = errors.New("invalid request")
	// ErrInvalidResponse: the provider answered what makes no sense.
	ErrInvalidResponse = errors.New("invalid response")
	// ErrFailed: the provider says that it failed.
	ErrFailed = errors.New("inference failed")
)

// Error says what went wrong where. It prints as: pixano-inference@gpu:7463: image_mask_generation with "sam2": timed out.
type Error struct {
	Provider string // name of the provider; "" where none is concerned
	Op       string // the task, or what else was being done: "connect", "list models"
	Model    string // "" where none is concerned
	Status   int    // the status of the HTTP answer that is the reason; 0 for none
	Detail   string // what that answer says
	Err      error  // why; a kind of this package or an error that matches one
}

// Error joins the parts that are given.
func (e *Error) Error() string {
	var parts []string
	if e.Provider != "" {
		parts = append(parts, e.Provider)
	}
	op := e.Op
	if e.Model != "" {
		op = strings.TrimSpace(op + " with " + strconv.Quote(e.Model))
	}
	if op != "" {
		parts = append(parts, op)
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	if h := e.HTTP(); h != "" {
		parts = append(parts, h)
	}
	return strings.Join(parts, ": ")
}

// HTTP returns the answer that is the reason the way the reference implementation words it, "HTTP 404: Not Found -
// Model sam9 is not registered.", or "" if there is none.
func (e *Error) HTTP() string {
	if e.Status == 0 {
		return ""
	}
	text := fmt.Sprintf("HTTP %d: %s", e.Status, http.StatusText(e.Status))
	if e.Detail != "" {
		text += " - " + e.Detail
	}
	return text
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// kindError is a message of this package with its kind.
type kindError struct {
	kind error
	text string
}

func (e *kindError) Error() string { return e.text }
func (e *kindError) Unwrap() error { return e.kind }

// Errorf returns an error of one of the kinds of this package with a text of its own. It is meant for providers.
func Errorf(kind error, format string, args ...any) error {
	return &kindError{kind, fmt.Sprintf(format, args...)}
}
