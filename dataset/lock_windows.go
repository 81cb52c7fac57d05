package dataset

import (
	"os"

	"golang.org/x/sys/windows"
)

// flock locks an open file among processes and among open files of this one, until it is closed. Another kind of lock
// that the open file holds is given up for it. Without wait, a lock that others hold is errLocked.
func flock(f *os.File, exclusive, wait bool) error {
	handle := windows.Handle(f.Fd())
	var flags uint32
	if exclusive {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	if !wait {
		flags |= windows.LOCKFILE_FAIL_IMMEDIATELY
	}
	windows.UnlockFileEx(handle, 0, 1, 0, new(windows.Overlapped)) // not locked: no matter
	err := windows.LockFileEx(handle, flags, 0, 1, 0, new(windows.Overlapped))
	switch err {
	case windows.ERROR_LOCK_VIOLATION, windows.ERROR_IO_PENDING:
		return errLocked
	case nil:
		return nil
	}
	return &os.PathError{Op: "lock", Path: f.Name(), Err: err}
}

// renameDir renames a directory. The new name may be that of an empty directory; anything else there is an error.
func renameDir(from, to string) error {
	os.Remove(to) // which a directory that is not empty survives; what else is there was looked for before
	return os.Rename(from, to)
}

// crossDevice is the error of a rename to another volume.
const crossDevice = windows.ERROR_NOT_SAME_DEVICE

// syncDir does nothing: names are safe when the file is.
func syncDir(string) error { return nil }
