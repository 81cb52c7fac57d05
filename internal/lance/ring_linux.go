package lance

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"github.com/ebitengine/purego"
)

// ringThreads is the engine's variable for how many threads wait for the kernel's rings. "0" in the environment switches
// them off.
const ringThreads = "LANCE_URING_THREAD_COUNT"

// ringFiles is how many open files a process must be allowed: the engine keeps up to 10,000 of them for a minute.
const ringFiles = 16_000

// ConnectRing opens the database in a local directory for reads that go through io_uring: without a switch of threads for
// each value that lies apart from others, which is most of what rows read by their addresses cost. Its tables must
// not be written.
//
// The error matches [ErrUnsupported] where the process may not have enough files open. Whether the kernel gives rings
// shows at the first read; errors of those that it does not give are told by [RingFailed].
func ConnectRing(ctx context.Context, dir string, opts *ConnectOptions) (*Connection, error) {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Cur < ringFiles || os.Getenv(ringThreads) == "0" {
		return nil, newError("connect", "", CodeUnsupported, "no reads by io_uring here")
	}
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, newError("connect", "", CodeInvalid, err.Error())
	}
	return Connect(ctx, (&url.URL{Scheme: "file+uring", Path: path}).String(), opts)
}

// RingFailed reports whether an error is one of the rings, so that other reads will fail like it.
func RingFailed(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "io_uring") || strings.Contains(err.Error(), "UringReader"))
}

// settleRings sets what the engine's rings are made with. Its own settings are two threads on any machine, which wake up a
// hundred times a second each, and 16,384 places for reads, more than old kernels let a process lock. What is set in the
// environment stays in force.
func settleRings(library uintptr) {
	setenv, err := symbol(library, "setenv")
	if err != nil {
		return
	}
	for name, value := range map[string]int{
		ringThreads:                   max(1, runtime.NumCPU()/4),
		"LANCE_URING_POLL_TIMEOUT_MS": 60_000,
		"LANCE_URING_QUEUE_DEPTH":     1024,
	} {
		name, text := append([]byte(name), 0), append(strconv.AppendInt(nil, int64(value), 10), 0)
		purego.SyscallN(setenv, uintptr(unsafe.Pointer(unsafe.SliceData(name))), uintptr(unsafe.Pointer(unsafe.SliceData(text))), 0)
		runtime.KeepAlive(name)
		runtime.KeepAlive(text)
	}
}
