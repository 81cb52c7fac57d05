package lance

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"pixano/internal/lance/lib"
)

// archive is a compressed library and what is known of it.
type archive struct {
	file fs.FS
	name string
	lib.Library
}

// embeddedArchive is the archive in the program for its platform.
func embeddedArchive(files fs.FS, manifest lib.Manifest) (archive, error) {
	platform := runtime.GOOS + "_" + runtime.GOARCH
	known, ok := manifest.Libraries[platform]
	name := platform + "/" + lib.Name
	if _, err := fs.Stat(files, name); err != nil || !ok {
		return archive{}, errNotEmbedded
	}
	return archive{files, name, known}, nil
}

// copyTo writes the unpacked library and checks it against the manifest.
func (a archive) copyTo(w io.Writer) error {
	file, err := a.file.Open(a.name)
	if err != nil {
		return err
	}
	defer file.Close()
	// Decoding runs ahead in goroutines of its own, beside the hashing and writing here: 163 MB in half a second
	// on two cores.
	unpacked, err := zstd.NewReader(file, zstd.WithDecoderConcurrency(4), zstd.WithDecoderMaxMemory(1<<30))
	if err != nil {
		return err
	}
	defer unpacked.Close()
	hash := sha256.New()
	size, err := io.Copy(io.MultiWriter(w, hash), unpacked)
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(hash.Sum(nil)); size != a.Size || got != a.SHA256 {
		return fmt.Errorf("unpacked to %d bytes with hash %s, the manifest says %d and %s", size, got, a.Size, a.SHA256)
	}
	return nil
}

// unpack makes sure that the library lies in a folder as <hash>.so, and returns its path. Several processes
// may do so at once: each renames a file of its own that is complete, and the last one stays.
func (a archive) unpack(dir string) (string, error) {
	path := filepath.Join(dir, a.SHA256+extension())
	if verify(path, a.SHA256, a.Size) == nil {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	removeStale(dir)
	err := install(path, a.SHA256, a.copyTo)
	return path, err
}

// install writes a file under a temporary name, makes it safe from a power cut, renames it and notes that it
// was verified.
func install(path, hash string, write func(io.Writer) error) error {
	file, err := os.CreateTemp(filepath.Dir(path), "*"+temporarySuffix)
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // fails once it is renamed
	err = write(file)
	ours, statErr := file.Stat()
	if err := errors.Join(err, statErr, file.Chmod(0o700), file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	// By now the file may be another process's, which notes that itself.
	if now, err := os.Stat(path); err == nil && os.SameFile(ours, now) {
		return writeStamp(path, hash, now)
	}
	return nil
}

const (
	temporarySuffix = ".tmp"
	stampSuffix     = ".verified"
)

// removeStale removes what a killed process has left behind and libraries of other versions that were
// unpacked long ago. A program that still wants one unpacks it again.
func removeStale(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		entryInfo, err := entry.Info()
		if err != nil || !entryInfo.Mode().IsRegular() {
			continue
		}
		age := time.Since(entryInfo.ModTime())
		name := strings.TrimSuffix(entry.Name(), stampSuffix)
		if strings.HasSuffix(name, temporarySuffix) && age > time.Hour || strings.HasSuffix(name, extension()) && age > 60*24*time.Hour {
			os.Remove(filepath.Join(dir, entry.Name()))
		}
	}
}

// verify checks that a file has a hash. Hashing 150 MB at every start would take as long as the rest of it
// together, so a file that was hashed gets a stamp beside it with its size, times and inode, and while these
// are the same the stamp is believed. Whoever changes the file's content, by accident or by restoring it from
// elsewhere, changes at least the time of its last change, which no call can set.
func verify(path, hash string, size int64) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	fileInfo, err := file.Stat()
	if err != nil {
		return err
	}
	if !fileInfo.Mode().IsRegular() {
		return fmt.Errorf("it is no regular file")
	}
	if size >= 0 && fileInfo.Size() != size {
		return fmt.Errorf("it has %d bytes, want %d", fileInfo.Size(), size)
	}
	if noted, err := os.ReadFile(path + stampSuffix); err == nil && bytes.Equal(noted, stamp(hash, fileInfo)) {
		return nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != hash {
		return fmt.Errorf("its hash is %s, want %s", got, hash)
	}
	// A folder that cannot be written to only costs the time again.
	_ = writeStamp(path, hash, fileInfo)
	return nil
}

func stamp(hash string, fileInfo fs.FileInfo) []byte {
	return fmt.Appendf(nil, "%s %d %d %s\n", hash, fileInfo.Size(), fileInfo.ModTime().UnixNano(), changeMark(fileInfo))
}

// writeStamp notes that the file at a path, as described, has the hash.
func writeStamp(path, hash string, fileInfo fs.FileInfo) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), "*"+temporarySuffix)
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(stamp(hash, fileInfo))
	return errors.Join(err, temporary.Close(), os.Rename(temporary.Name(), path+stampSuffix))
}

// temporaryDir is a folder below the system's temporary one that only this user can write to. One that
// somebody else has made under its name is refused: libraries are run from it.
func temporaryDir() (string, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("pixano-%d", os.Getuid()))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return dir, err
	}
	dirInfo, err := os.Lstat(dir)
	if err != nil {
		return dir, err
	}
	if !dirInfo.IsDir() || !private(dirInfo) {
		return dir, errors.New("it belongs to somebody else, or others may write to it")
	}
	return dir, nil
}

// BuiltPath is where a library that was built from the sources with a hash lies in a cache folder.
func BuiltPath(dir, sourceSHA256 string) string {
	return filepath.Join(dir, fmt.Sprintf("build-%.16s-%s_%s%s", sourceSHA256, runtime.GOOS, runtime.GOARCH, extension()))
}

// InstallBuilt puts a library that was built from source where [Load] looks for it, and returns the path.
func InstallBuilt(dir, sourceSHA256, built string) (string, error) {
	content, err := os.ReadFile(built)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	path := BuiltPath(dir, sourceSHA256)
	sum := sha256.Sum256(content)
	err = install(path, hex.EncodeToString(sum[:]), func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
	return path, err
}

// verifyBuilt checks a library that was built from source against the stamp made when it was installed.
func verifyBuilt(path string) error {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	noted, err := os.ReadFile(path + stampSuffix)
	if err != nil {
		return err
	}
	hash, _, _ := strings.Cut(string(noted), " ")
	return verify(path, hash, -1)
}

// extension of shared libraries.
func extension() string {
	switch runtime.GOOS {
	case "darwin":
		return ".dylib"
	case "windows":
		return ".dll"
	default:
		return ".so"
	}
}
