package dataset

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// exchangeDirs exchanges two directories in one step, and reports whether the system can.
func exchangeDirs(a, b string) (bool, error) {
	err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP):
		return false, nil // an old kernel, or a file system such as NFS
	}
	return true, &os.LinkError{Op: "exchange", Old: a, New: b, Err: err}
}
