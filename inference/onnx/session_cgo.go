//go:build cgo

package onnx

import (
	"context"
	"errors"
	"fmt"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"pixano/inference"
)

func canLoad() error { return nil }

// loadLibrary loads a shared library of ONNX Runtime and returns its version.
func loadLibrary(path string) (string, error) {
	ort.SetSharedLibraryPath(path)
	if err := ort.InitializeEnvironment(ort.WithLogLevelError()); err != nil {
		return "", err
	}
	return ort.GetVersion(), nil
}

// session is a model that is loaded. It is safe for concurrent use; runs take turns, since each uses all cores.
type session struct {
	inputs  []port
	outputs []string
	ort     *ort.DynamicAdvancedSession
	turn    chan struct{} // of one element
	once    sync.Once
	fails   error
}

// newSession loads a model, of which some outputs are wanted, to be computed by a number of threads.
func newSession(path string, h *header, outputs []string, threads int) (*session, error) {
	o, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	defer o.Destroy()
	if err := errors.Join(o.SetIntraOpNumThreads(threads), o.SetInterOpNumThreads(1),
		o.SetGraphOptimizationLevel(ort.GraphOptimizationLevelEnableAll)); err != nil {
		return nil, err
	}
	var inputs []string
	for _, p := range h.inputs {
		inputs = append(inputs, p.name)
	}
	s, err := ort.NewDynamicAdvancedSession(path, inputs, outputs, o)
	if err != nil {
		return nil, err
	}
	return &session{inputs: h.inputs, outputs: outputs, ort: s, turn: make(chan struct{}, 1)}, nil
}

// run computes the outputs. All inputs of the model must be given.
func (s *session) run(ctx context.Context, in map[string]tensor) (out []tensor, err error) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-s.turn }()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.ort == nil {
		return nil, errClosed
	}
	values := make([]ort.Value, len(s.inputs))
	defer func() { destroy(values) }()
	for i, p := range s.inputs {
		t, ok := in[p.name]
		if !ok {
			return nil, fmt.Errorf("no value for the input %v", p)
		}
		if values[i], err = value(t); err != nil {
			return nil, fmt.Errorf("input %v: %w", p, err)
		}
	}
	options, err := ort.NewRunOptions()
	if err != nil {
		return nil, err
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = options.Terminate()
		close(stopped)
	})
	results := make([]ort.Value, len(s.outputs))
	defer func() { destroy(results) }()
	err = s.ort.RunWithOptions(values, results, options)
	if !stop() {
		<-stopped
	}
	_ = options.Destroy()
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, inference.Errorf(inference.ErrFailed, "%v", err)
	}
	for i, name := range s.outputs {
		t, err := result(results[i])
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", name, err)
		}
		out = append(out, t)
	}
	return out, nil
}

func value(t tensor) (ort.Value, error) {
	shape := ort.Shape(t.shape)
	switch {
	case t.float32 != nil:
		return ort.NewTensor(shape, t.float32)
	case t.int64 != nil:
		return ort.NewTensor(shape, t.int64)
	case t.int32 != nil:
		return ort.NewTensor(shape, t.int32)
	case t.uint8 != nil:
		return ort.NewTensor(shape, t.uint8)
	}
	return nil, errors.New("an empty tensor")
}

// result takes the content of an output, which is Go's own memory.
func result(v ort.Value) (tensor, error) {
	switch v := v.(type) {
	case *ort.Tensor[float32]:
		return tensor{shape: v.GetShape(), float32: v.GetData()}, nil
	case *ort.Tensor[int64]:
		return tensor{shape: v.GetShape(), int64: v.GetData()}, nil
	case *ort.Tensor[int32]:
		return tensor{shape: v.GetShape(), int32: v.GetData()}, nil
	}
	return tensor{}, inference.Errorf(inference.ErrInvalidResponse, "a %T: want numbers", v)
}

func destroy(values []ort.Value) {
	for _, v := range values {
		if v != nil {
			_ = v.Destroy()
		}
	}
}

// close frees the model once no run uses it.
func (s *session) close() error {
	s.once.Do(func() {
		s.turn <- struct{}{}
		s.fails = s.ort.Destroy()
		s.ort = nil
		<-s.turn
	})
	return s.fails
}
