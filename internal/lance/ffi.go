package lance

import (
	"context"
	"encoding/json"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/ebitengine/purego"
)

// abiVersion is the number of the C interface. Both sides hold it; a library with another one is refused.
const abiVersion = 2

// function numbers the functions of the C interface that have its common signature.
type function int

const (
	fnClose function = iota
	fnConnect
	fnTableNames
	fnCreateTable
	fnOpenTable
	fnDropTable
	fnSchema
	fnTableInfo
	fnSetMetadata
	fnStream
	fnWrite
	fnMergeInsert
	fnUpdate
	fnDelete
	fnTransaction
	fnSync
	fnQuery
	fnRead
	fnCount
	fnExplain
	fnSQL
	fnIndex
	fnOptimize
	fnVersions
	fnColumns
	fnObjects
	functionCount
)

var functionNames = [functionCount]string{
	"close", "connect", "table_names", "create_table", "open_table", "drop_table", "schema", "table_info",
	"set_metadata", "stream", "write", "merge_insert", "update", "delete",
	"transaction", "sync", "query", "read", "count", "explain", "sql", "index", "optimize", "versions",
	"columns", "objects",
}

// library is a loaded engine: the addresses of its functions. They have this signature, all numbers 64 bits
// wide but the result:
//
//	int32_t pixano_X(uint64_t handle, uint64_t call, const uint8_t *req, uint64_t req_len,
//	                 const uint8_t *body, uint64_t body_len, pixano_reply *out);
//
// A call blocks its thread until it is done; Go's scheduler runs other goroutines on another one meanwhile.
type library struct {
	functions              [functionCount]uintptr
	abi, free, call, start uintptr
}

// engine is the library of the process, nil until it is loaded.
var engine atomic.Pointer[library]

// nativeReply is pixano_reply. It is allocated on the heap, which Go does not move, and reused.
type nativeReply struct {
	code   int32
	flags  uint32
	handle uint64
	data   uintptr // in C memory; not a Go pointer, lest the collector follow a stale one
	len    uint64
	cap    uint64
}

const flagEnd = 1

var replies = sync.Pool{New: func() any { return new(nativeReply) }}

// args is what a call is about: op and table for its errors, and what goes in.
type args struct {
	op, table string
	request   any    // written as JSON; nil: none
	body      []byte // read during the call only
}

// reply is what a call answered.
type reply struct {
	handle uint64
	data   []byte // in Go memory, 64-byte aligned
	end    bool   // the stream has ended
}

// call calls a function without a handle.
func call(ctx context.Context, fn function, a args) (reply, error) {
	return callHandle(ctx, fn, 0, a)
}

// callHandle makes a call that ends when its context does, and turns its answer into Go's terms.
func callHandle(ctx context.Context, fn function, handle uint64, a args) (reply, error) {
	// A call that cannot be cancelled costs no token.
	if ctx.Done() == nil {
		return callToken(fn, handle, 0, a)
	}
	if ctx.Err() != nil {
		return reply{}, cancelled(ctx, a.op, a.table)
	}
	token := newToken()
	stop := context.AfterFunc(ctx, token.cancel)
	answer, err := callToken(fn, handle, token.id, a)
	stop()
	token.end()
	return answer, withContext(ctx, err)
}

// withContext replaces the error of a cancelled call by that of its context.
func withContext(ctx context.Context, err error) error {
	if e, ok := err.(*Error); ok && e.Code == CodeCancelled && e.cause == nil && ctx.Err() != nil {
		return cancelled(ctx, e.Op, e.Table)
	}
	return err
}

// token is a cancellation token. Cancelling one that has ended does nothing: numbers are never used twice.
type token struct{ id uint64 }

func newToken() token {
	id, _, _ := purego.SyscallN(engine.Load().call, 0, 0)
	return token{uint64(id)}
}

func (t token) cancel() { purego.SyscallN(engine.Load().call, 1, uintptr(t.id)) }
func (t token) end()    { purego.SyscallN(engine.Load().call, 2, uintptr(t.id)) }

func callToken(fn function, handle, token uint64, a args) (reply, error) {
	var request []byte
	if a.request != nil {
		var err error
		if request, err = json.Marshal(a.request); err != nil {
			return reply{}, newError(a.op, a.table, CodeInvalid, "request: "+err.Error())
		}
	}
	lib := engine.Load()
	out := replies.Get().(*nativeReply)
	*out = nativeReply{}
	// SyscallN keeps what its arguments point to alive and in place until it returns. The address of a slice
	// without elements is never read.
	purego.SyscallN(lib.functions[fn], uintptr(handle), uintptr(token),
		uintptr(unsafe.Pointer(unsafe.SliceData(request))), uintptr(len(request)),
		uintptr(unsafe.Pointer(unsafe.SliceData(a.body))), uintptr(len(a.body)),
		uintptr(unsafe.Pointer(out)))
	answer, err := lib.take(out, a)
	replies.Put(out)
	return answer, err
}

// take copies an answer into Go memory and gives the engine's back.
func (lib *library) take(out *nativeReply, a args) (reply, error) {
	answer := reply{handle: out.handle, end: out.flags&flagEnd != 0}
	if out.data != 0 {
		native := unsafe.Slice(*(**byte)(unsafe.Pointer(&out.data)), out.len)
		if out.code == 0 {
			answer.data = cloneAligned(native)
		} else {
			answer.data = append([]byte(nil), native...)
		}
		purego.SyscallN(lib.free, out.data, uintptr(out.len), uintptr(out.cap))
	}
	if out.code != 0 {
		return reply{}, newError(a.op, a.table, Code(out.code), string(answer.data))
	}
	return answer, nil
}

// alignment of the buffers in an IPC stream, as Arrow recommends.
const alignment = 64

// cloneAligned copies bytes to an aligned address.
func cloneAligned(native []byte) []byte {
	// Large blocks begin on a page, and append does not clear what it is about to overwrite.
	clone := append([]byte(nil), native...)
	if len(clone) == 0 || uintptr(unsafe.Pointer(unsafe.SliceData(clone)))%alignment == 0 {
		return clone
	}
	room := make([]byte, len(native)+alignment-1)
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(room))) % alignment
	clone = room[skip : int(skip)+len(native) : int(skip)+len(native)]
	copy(clone, native)
	return clone
}

// handle is an object of the engine. Its numbers are never used twice, and a call that runs keeps the object
// itself, so closing one at any moment is safe.
type handle struct {
	id      uint64
	closed  atomic.Bool
	cleanup runtime.Cleanup
}

func newHandle(id uint64) *handle {
	h := &handle{id: id}
	// The net under Close: closes what was collected without it.
	h.cleanup = runtime.AddCleanup(h, closeNative, id)
	return h
}

func closeNative(id uint64) { callToken(fnClose, id, 0, args{op: "close"}) }

func (h *handle) close() error {
	if h.closed.CompareAndSwap(false, true) {
		h.cleanup.Stop()
		_, err := callToken(fnClose, h.id, 0, args{op: "close"})
		return err
	}
	return nil
}

// call calls a function on the handle.
func (h *handle) call(ctx context.Context, fn function, a args) (reply, error) {
	if h.closed.Load() {
		return reply{}, closed(a.op, a.table)
	}
	answer, err := callHandle(ctx, fn, h.id, a)
	runtime.KeepAlive(h)
	return answer, err
}

// json calls a function that answers with JSON.
func (h *handle) json(ctx context.Context, fn function, a args, answer any) error {
	got, err := h.call(ctx, fn, a)
	if err != nil {
		return err
	}
	return got.json(a, answer)
}

// json decodes an answer.
func (r reply) json(a args, answer any) error {
	if err := json.Unmarshal(r.data, answer); err != nil {
		return newError(a.op, a.table, CodeInternal, "decode the engine's answer: "+err.Error())
	}
	return nil
}
