package server

import (
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// diskCache keeps pictures in files, so that a server that is started anew need not make them again. Each file is a picture and
// its checksum; one that a power cut left incomplete is as if it were not there. Several processes may share the directory. A
// nil cache keeps nothing.
type diskCache struct {
	dir   string
	limit int64 // bytes of all files
	log   *slog.Logger

	mu   sync.Mutex
	used int64 // bytes, -1 if the files were not looked at; those of other processes are found when it is full
}

const touchAfter = time.Hour // a file that is read counts as new, at most so often

// pictureTypes are the types of pictures by the ends of their files' names.
var pictureTypes = map[string]string{".jpg": "image/jpeg", ".png": "image/png"}

func newDiskCache(dir string, limit int64, log *slog.Logger) *diskCache {
	if dir == "" || limit <= 0 {
		return nil
	}
	return &diskCache{dir: dir, limit: limit, log: log, used: -1}
}

func (c *diskCache) path(key, end string) string { return filepath.Join(c.dir, key[:2], key+end) }

// get returns the picture of a key, which has letters and digits only.
func (c *diskCache) get(key string) (picture, bool) {
	if c == nil {
		return picture{}, false
	}
	for end, contentType := range pictureTypes {
		name := c.path(key, end)
		content, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		if n := len(content) - 4; n > 0 && binary.LittleEndian.Uint32(content[n:]) == crc32.ChecksumIEEE(content[:n]) {
			if st, err := os.Stat(name); err == nil && time.Since(st.ModTime()) > touchAfter {
				now := time.Now()
				_ = os.Chtimes(name, now, now)
			}
			return picture{contentType, content[:n]}, true
		}
		_ = os.Remove(name)
	}
	return picture{}, false
}

// put keeps a picture. What fails is no error of a request: then it is made again.
func (c *diskCache) put(key string, p picture) {
	if c == nil {
		return
	}
	for end, contentType := range pictureTypes {
		if contentType != p.contentType {
			continue
		}
		if err := c.write(c.path(key, end), binary.LittleEndian.AppendUint32(slices.Clip(p.content), crc32.ChecksumIEEE(p.content))); err != nil {
			c.log.Warn("a reduced image is not kept on disk", "directory", c.dir, "error", err)
		}
	}
}

func (c *diskCache) write(name string, content []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.used < 0 {
		c.used = 0
		for _, f := range c.files() {
			c.used += f.size
		}
	}
	if c.used+int64(len(content)) > c.limit {
		c.evict(c.limit - c.limit/8 - int64(len(content)))
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	temp, err := os.CreateTemp(c.dir, ".new-*")
	if err != nil {
		return err
	}
	_, err = temp.Write(content)
	if err = cmp.Or(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), name)
	}
	if err != nil {
		_ = os.Remove(temp.Name())
		return err
	}
	c.used += int64(len(content))
	return nil
}

type cachedFile struct {
	name string
	size int64
	at   time.Time
}

// files lists the cache's own files: nothing else in the directory is touched.
func (c *diskCache) files() (files []cachedFile) {
	_ = filepath.WalkDir(c.dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil // files come and go
		}
		base := entry.Name()
		key, end := strings.TrimSuffix(base, filepath.Ext(base)), filepath.Ext(base)
		st, err := entry.Info()
		if err != nil {
			return nil
		}
		left := strings.HasPrefix(base, ".new-") && time.Since(st.ModTime()) > time.Hour // by a process that died
		if left || pictureTypes[end] != "" && len(key) > 2 && filepath.Base(filepath.Dir(name)) == key[:2] {
			files = append(files, cachedFile{name, st.Size(), st.ModTime()})
		}
		return nil
	})
	return files
}

// evict removes the files that were not read for longest until the others take no more than so much.
func (c *diskCache) evict(most int64) {
	files := c.files()
	slices.SortFunc(files, func(a, b cachedFile) int { return a.at.Compare(b.at) })
	c.used = 0
	for _, f := range files {
		c.used += f.size
	}
	for _, f := range files {
		if c.used <= most {
			return
		}
		if os.Remove(f.name) == nil {
			c.used -= f.size
		}
	}
}
