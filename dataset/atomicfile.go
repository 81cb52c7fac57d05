package dataset

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"pixano/features"
)

// writeFile replaces a file so that a reader, and a crash at any moment, finds the old content or the new one as a
// whole. The directory must exist.
func writeFile(path string, content []byte) (err error) {
	dir, base := filepath.Split(path)
	f, err := os.OpenFile(dir+"."+base+"."+features.NewShortUUID()+".tmp", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if st, err := os.Stat(path); err == nil {
		if err := f.Chmod(st.Mode().Perm()); err != nil {
			f.Close()
			return err
		}
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Clean(filepath.Dir(path)))
}

// syncTree makes all files and directories under a directory safe from a power cut.
func syncTree(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return syncDir(path)
		case !entry.Type().IsRegular():
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}
