//go:build !cgo

package onnx

import (
	"context"
	"errors"
)

// canLoad: ONNX Runtime is a library of C.
func canLoad() error {
	return errors.New("it was built without cgo: build it with CGO_ENABLED=1 and a C compiler")
}

func loadLibrary(string) (string, error) { return "", canLoad() }

type session struct{ inputs []port }

func newSession(string, *header, []string, int) (*session, error) { return nil, canLoad() }

func (*session) run(context.Context, map[string]tensor) ([]tensor, error) {
	return nil, canLoad()
}

func (*session) close() error { return nil }
