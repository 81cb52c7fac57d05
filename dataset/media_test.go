package dataset_test

import (
	"encoding/base64"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"pixano/dataset"
)

func TestOpenMedia(t *testing.T) {
	needEngine(t)
	base := t.TempDir()
	for path, content := range map[string]string{
		"media/a.txt": "a", "media/sub/b c%20.txt": "b", "media/share/c.txt": "hidden by the root", "secret": "secret",
		"share/c.txt": "c", "share/deep/d.txt": "d", "media2/e.txt": "e",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(base, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(base, path), content)
	}
	for name, target := range map[string]string{
		"inside.txt": "a.txt", "outside.txt": "../secret", "absolute.txt": filepath.Join(base, "secret"), "up": "..",
		"loop": "loop", "toshare": "../share/c.txt",
	} {
		if err := os.Symlink(target, filepath.Join(base, "media", name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(base, "media"), filepath.Join(base, "medialink")); err != nil {
		t.Fatal(err)
	}
	opts := &dataset.Options{MediaDir: filepath.Join(base, "media"), MediaRoots: map[string]string{"share": filepath.Join(base, "share"), "gone": filepath.Join(base, "gone")}}
	ds, err := dataset.Open(t.Context(), filepath.Join(goldenDir, "vqa"), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()

	slash := filepath.ToSlash(base)
	for ref, want := range map[string]string{
		"a.txt":                            "a",
		"/a.txt":                           "a",
		"///a.txt":                         "a",
		"./sub/../a.txt":                   "a",
		"sub/b c%20.txt":                   "b",
		"inside.txt":                       "a",
		"share/c.txt":                      "c",
		"/share//deep/d.txt":               "d",
		filepath.Join(base, "media/a.txt"): "a",
		filepath.Join(base, "share/c.txt"): "c",
		"file://" + slash + "/media/a.txt": "a",
		"file://localhost" + slash + "/share/deep/../c.txt":                    "c",
		"FILE://" + (&url.URL{Path: slash + "/media/sub/b c%20.txt"}).String(): "b",
	} {
		m, err := ds.OpenMedia(ref)
		if err != nil {
			t.Errorf("%s: %v", ref, err)
			continue
		}
		content, err := io.ReadAll(m)
		if err != nil || string(content) != want || m.Size != int64(len(want)) || m.ModTime.IsZero() || m.Name == "" || m.ContentType != "" {
			t.Errorf("%s: got %q, %+v (%v), want %q", ref, content, m, err, want)
		}
		if _, err := m.Seek(0, io.SeekStart); err != nil {
			t.Error(err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}

	for ref, kind := range map[string]error{
		"":                                     dataset.ErrNotFound,
		"/":                                    dataset.ErrNotFound,
		".":                                    dataset.ErrNotFound,
		"sub":                                  dataset.ErrNotFound,
		"share":                                dataset.ErrNotFound,
		"share/":                               dataset.ErrNotFound,
		"share/nope":                           dataset.ErrNotFound,
		"gone/a.txt":                           dataset.ErrNotFound,
		"nope.txt":                             dataset.ErrNotFound,
		"a.txt/":                               dataset.ErrNotFound,
		"a.txt/b":                              dataset.ErrNotFound,
		"a\x00.txt":                            dataset.ErrNotFound,
		"loop":                                 dataset.ErrNotFound,
		"sub/b%20c%2520.txt":                   dataset.ErrNotFound,
		"/etc/passwd":                          dataset.ErrNotFound,
		strings.Repeat("x", 5000):              dataset.ErrNotFound,
		"../secret":                            fs.ErrPermission,
		"..":                                   fs.ErrPermission,
		"sub/../../secret":                     fs.ErrPermission,
		"/../secret":                           fs.ErrPermission,
		"share/../secret":                      fs.ErrPermission,
		"share/../media/a.txt":                 fs.ErrPermission,
		"outside.txt":                          fs.ErrPermission,
		"absolute.txt":                         fs.ErrPermission,
		"toshare":                              fs.ErrPermission,
		"up/secret":                            fs.ErrPermission,
		"up/media/a.txt":                       fs.ErrPermission,
		"file:///etc/passwd":                   fs.ErrPermission,
		"file://" + slash + "/media/../secret": fs.ErrPermission,
		"file://" + slash + "/media/%2e%2e/secret": fs.ErrPermission,
		"file://" + slash + "/media2/e.txt":        fs.ErrPermission,
		"file://host/media/a.txt":                  dataset.ErrUnsupported,
		"file:a.txt":                               dataset.ErrUnsupported,
		"file://%zz":                               dataset.ErrUnsupported,
		"http://example.org/a.txt":                 dataset.ErrUnsupported,
		"HTTPS://example.org/a.txt":                dataset.ErrUnsupported,
		"s3://bucket/a.txt":                        dataset.ErrUnsupported,
		filepath.Join(base, "media2/e.txt"):        dataset.ErrNotFound,
		filepath.Join(base, "secret"):              dataset.ErrNotFound,
	} {
		m, err := ds.OpenMedia(ref)
		if err == nil {
			content, _ := io.ReadAll(m)
			t.Errorf("%q opened %q", ref, content)
			m.Close()
			continue
		}
		wantError(t, err, kind, "open media ")
		if len(err.Error()) > 500 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
}

// TestOpenMediaThroughLink: the media directory itself may be a link.
func TestOpenMediaThroughLink(t *testing.T) {
	needEngine(t)
	dir := copyGolden(t, "vqa")
	if err := os.Rename(dir+"/media", dir+"/elsewhere"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("elsewhere", dir+"/media"); err != nil {
		t.Fatal(err)
	}
	ds, err := dataset.Open(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	m, err := ds.OpenMedia("pics/0.png")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	want, err := os.Stat(dir + "/elsewhere/pics/0.png")
	if err != nil || m.Size != want.Size() || !m.ModTime.Equal(want.ModTime()) || m.Name != "0.png" {
		t.Errorf("got %+v, want %d bytes of %v (%v)", m, want.Size(), want.ModTime(), err)
	}
}

func TestOpenDataURL(t *testing.T) {
	needEngine(t)
	ds, err := dataset.Open(t.Context(), filepath.Join(goldenDir, "vqa"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	binary := "\xff\xfe\xfd>?"
	for ref, want := range map[string][2]string{
		"data:,a%20b":                {"text/plain", "a b"},
		"data:;charset=utf-8,%C3%A9": {"text/plain;charset=utf-8", "é"},
		"data:text/html;base64,PGI+": {"text/html", "<b>"},
		"DATA:image/png;base64,PGI":  {"image/png", "<b"},
		"data:image/png;base64,":     {"image/png", ""},
		"data:a/b;base64,PGI%2B":     {"a/b", "<b>"},
		"data:a/b;base64," + base64.StdEncoding.EncodeToString([]byte(binary)): {"a/b", binary},
		"data:a/b;base64," + base64.URLEncoding.EncodeToString([]byte(binary)): {"a/b", binary},
	} {
		m, err := ds.OpenMedia(ref)
		if err != nil {
			t.Errorf("%s: %v", ref, err)
			continue
		}
		content, err := io.ReadAll(m)
		if err != nil || string(content) != want[1] || m.ContentType != want[0] || m.Size != int64(len(want[1])) {
			t.Errorf("%s: got %q, %q (%v), want %q", ref, m.ContentType, content, err, want)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, ref := range []string{"data:", "data:text/plain", "data:,%zz", "data:;base64,a*b", "data:;base64,a"} {
		_, err := ds.OpenMedia(ref)
		wantError(t, err, dataset.ErrSchema, "open media ")
	}
	large := strings.Repeat("x", 64<<20)
	if m, err := ds.OpenMedia("data:," + large); err != nil || m.Size != 64<<20 {
		t.Errorf("the largest: %v", err)
	}
	_, err = ds.OpenMedia("data:," + large + "x")
	wantError(t, err, dataset.ErrSchema, "want at most 67108864")
	runtime.KeepAlive(large)
}
