package lance

import (
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"

	"github.com/ebitengine/purego"
	"golang.org/x/sys/unix"
)

// The option of malloc.h, and its variable, for how much of the free memory at the end of a heap is kept.
const trimVariable = "MALLOC_TRIM_THRESHOLD_"

var trimOption = -1

// boundHeaps has the C library's allocator keep less of what is freed. It makes up to eight heaps a core, each of which
// holds on to the free memory at its end, up to twice the largest block that was ever freed, 64 MB: after a thousand searches
// a quarter of the process's memory. What is set in the environment stays in force.
func boundHeaps(library uintptr) {
	if trim, err := symbol(library, "malloc_trim"); err == nil {
		trimmer.Store(trim)
	}
	mallopt, err := symbol(library, "mallopt")
	if err != nil {
		return // another C library may have none
	}
	limiter.Store(mallopt)
	for _, option := range []struct {
		variable string
		name     int // of malloc.h
		value    int
	}{
		{"MALLOC_ARENA_MAX", -8, max(2, runtime.NumCPU())},
		{trimVariable, trimOption, 4 << 20},
		{"MALLOC_MMAP_THRESHOLD_", -3, 32 << 20}, // the largest; setting one alone fixes the other
	} {
		if os.Getenv(option.variable) == "" {
			purego.SyscallN(mallopt, uintptr(option.name), uintptr(option.value))
		}
	}
}

// limiter is mallopt of the C library; 0 if it has none.
var limiter atomic.Uintptr

// KeepFreed has the C library's allocator keep up to so many bytes of what the engine frees at the end of each heap. Where
// a query passes gigabytes through the memory, giving it back and taking it again costs a fifth of its time. What is set in
// the environment stays in force.
func KeepFreed(bytes int) {
	if mallopt := limiter.Load(); mallopt != 0 && os.Getenv(trimVariable) == "" {
		purego.SyscallN(mallopt, uintptr(trimOption), uintptr(bytes))
	}
}

// trimmer is malloc_trim of the C library; 0 if it has none.
var trimmer atomic.Uintptr

// Trim gives memory that the engine freed back to the system. The C library's allocator keeps it otherwise, in the gaps
// between what is in use. It takes milliseconds, and is worth it after work that needed much more memory than others.
func Trim() {
	if trim := trimmer.Load(); trim != 0 {
		purego.SyscallN(trim, 0)
	}
}

// changeMark is what tells a file that was changed or replaced, beyond size and time of modification.
func changeMark(fileInfo fs.FileInfo) string {
	s := fileInfo.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d %d %d", s.Dev, s.Ino, s.Ctim.Nano())
}

// private reports whether a folder belongs to this user and nobody else may write to it.
func private(dir fs.FileInfo) bool {
	s := dir.Sys().(*syscall.Stat_t)
	return int(s.Uid) == os.Getuid() && dir.Mode().Perm()&0o022 == 0
}

// unpackToMemory puts the library into anonymous memory, where no folder will do. The path is good until
// done is called; what was loaded from it stays.
func (a archive) unpackToMemory() (path string, done func(), err error) {
	descriptor, err := unix.MemfdCreate("pixano_lance", unix.MFD_CLOEXEC)
	if err != nil {
		return "", nil, os.NewSyscallError("memfd_create", err)
	}
	file := os.NewFile(uintptr(descriptor), "memory")
	if err := a.copyTo(file); err != nil {
		file.Close()
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d", descriptor), func() { file.Close() }, nil
}
