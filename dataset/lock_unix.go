//go:build unix

package dataset

import (
	"os"

	"golang.org/x/sys/unix"
)

// flock locks an open file among processes and among open files of this one, until it is closed. Another kind of lock
// that the open file holds is given up for it. Without wait, a lock that others hold is errLocked.
func flock(f *os.File, exclusive, wait bool) error {
	how := unix.LOCK_SH
	if exclusive {
		how = unix.LOCK_EX
	}
	if !wait {
		how |= unix.LOCK_NB
	}
	for {
		err := unix.Flock(int(f.Fd()), how)
		switch err {
		case unix.EINTR:
			continue
		case unix.EWOULDBLOCK:
			return errLocked
		case nil:
			return nil
		}
		return &os.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
}

// renameDir renames a directory, in one step. The new name may be that of an empty directory; anything else there is an
// error.
func renameDir(from, to string) error {
	// os.Rename refuses an empty directory too.
	if err := unix.Rename(from, to); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// crossDevice is the error of a rename to another file system.
const crossDevice = unix.EXDEV

// syncDir makes the names in a directory safe from a power cut.
func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
