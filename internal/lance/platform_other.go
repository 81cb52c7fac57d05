//go:build !linux

package lance

import (
	"context"
	"errors"
	"io/fs"
	"runtime"
)

// changeMark is what tells a file that was changed or replaced, beyond size and time of modification.
func changeMark(fs.FileInfo) string { return "-" }

// private reports whether nobody else may write to a folder.
func private(dir fs.FileInfo) bool {
	return runtime.GOOS == "windows" || dir.Mode().Perm()&0o022 == 0
}

func (a archive) unpackToMemory() (path string, done func(), err error) {
	return "", nil, errors.ErrUnsupported
}

func boundHeaps(uintptr) {}

func settleRings(uintptr) {}

// ConnectRing is only for Linux.
func ConnectRing(context.Context, string, *ConnectOptions) (*Connection, error) {
	return nil, newError("connect", "", CodeUnsupported, "no reads by io_uring here")
}

// RingFailed is only for Linux.
func RingFailed(error) bool { return false }

// Trim gives memory that the engine freed back to the system, where that is of use.
func Trim() {}

// KeepFreed is only for Linux.
func KeepFreed(int) {}
