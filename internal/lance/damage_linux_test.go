package lance

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mountTemporary mounts a file system in memory for the test.
func mountTemporary(t testing.TB, dir, options string, noexec bool) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var flags uintptr
	if noexec {
		flags = unix.MS_NOEXEC
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", flags, options); err != nil {
		t.Skip("this user cannot mount a file system: ", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
}

func TestDiskFull(t *testing.T) {
	needEngine(t)
	dir := t.TempDir() + "/db"
	mountTemporary(t, dir, "size=3m", false)
	c := connectTo(t, dir, nil)
	ctx := t.Context()
	table := create(t, c, "t", numbers(0, 1000))
	var err error
	good := int64(1000)
	for i := range 200 {
		var result WriteResult
		if result, err = table.Append(ctx, FromBatches(nil, numbers(0, 10_000)), nil); err != nil {
			break
		}
		good += result.Rows
		if i == 199 {
			t.Fatal("3 MB have taken more than they can hold")
		}
	}
	t.Log(err)
	wantError(t, err, ErrNoSpace)
	var e *Error
	if !errors.As(err, &e) || e.Table != "t" || e.Op != "append" {
		t.Errorf("got %#v", err)
	}
	_, err = table.Append(ctx, &source{n: 100, rows: 10_000}, &WriteOptions{BufferBytes: -1})
	wantError(t, err, ErrNoSpace)
	_, err = c.CreateTable(ctx, "new", nil, FromBatches(nil, numbers(0, 200_000)), nil)
	wantError(t, err, ErrNoSpace)
	if err := c.Objects().Put(ctx, "object", make([]byte, 4<<20)); !errors.Is(err, ErrNoSpace) {
		t.Error("an object: ", err)
	}
	// What was there can be read, by another connection too.
	if n := count(t, openTable(t, connectTo(t, dir, nil), "t"), ""); n != good {
		t.Errorf("got %d rows, want %d", n, good)
	}
}

func TestReadOnlyDisk(t *testing.T) {
	needEngine(t)
	dir := t.TempDir() + "/db"
	mountTemporary(t, dir, "size=8m", false)
	create(t, connectTo(t, dir, nil), "t", numbers(0, 10))
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Skip("the file system cannot be made read-only: ", err)
	}
	c := connectTo(t, dir, nil)
	checkNoAccess(t, c)
}

// checkNoAccess checks a database that can be read and not be written to.
func checkNoAccess(t testing.TB, c *Connection) {
	t.Helper()
	ctx := t.Context()
	table := openTable(t, c, "t")
	if n := count(t, table, "n >= 0"); n != 10 {
		t.Errorf("got %d rows", n)
	}
	for name, write := range map[string]func() error{
		"append": func() error { return second(table.Append(ctx, FromBatches(nil, numbers(0, 1)), nil)) },
		"delete": func() error { return second(table.Delete(ctx, "n = 1", nil)) },
		"update": func() error { return second(table.Update(ctx, "", []Set{{"n", "1"}}, nil)) },
		"merge": func() error {
			return second(table.MergeInsert(ctx, MergeInsert{On: []string{"id"}, InsertMissing: true}, FromBatches(nil, numbers(50, 51)), nil))
		},
		"index":  func() error { return second(table.CreateIndex(ctx, Index{Columns: []string{"n"}, Type: BTree}, nil)) },
		"create": func() error { return second(c.CreateTable(ctx, "new", numbered, nil, nil)) },
		"drop":   func() error { return c.DropTable(ctx, "t", nil) },
		"put":    func() error { return c.Objects().Put(ctx, "x", []byte("x")) },
		"tag":    func() error { return table.CreateTag(ctx, "x", 1) },
	} {
		err := write()
		t.Logf("%s: %v", name, err)
		if !errors.Is(err, ErrPermission) {
			t.Errorf("%s: got %v, want %v", name, err, ErrPermission)
		}
	}
}

// Root may do everything, so the test goes on as nobody, in a copy of itself that nobody may run.
func TestNoPermission(t *testing.T) {
	needEngine(t)
	const variable = "PIXANO_TEST_NOBODY"
	if dir := os.Getenv(variable); dir != "" {
		checkNoAccess(t, connectTo(t, dir, nil))
		c := connectTo(t, filepath.Join(dir, "secret"), nil)
		_, err := c.OpenTable(t.Context(), "t", nil)
		t.Log(err)
		if !errors.Is(err, ErrPermission) && !errors.Is(err, ErrNotFound) {
			t.Errorf("a folder that may not be read: got %v", err)
		}
		_, err = openTable(t, connectTo(t, dir, nil), "unreadable").Count(t.Context(), "n > 0")
		t.Log(err)
		wantError(t, err, ErrPermission)
		return
	}
	if os.Getuid() != 0 {
		t.Skip("only root can go on as somebody else")
	}
	dir, err := os.MkdirTemp("", "pixano")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	db := filepath.Join(dir, "db")
	create(t, connectTo(t, db, nil), "t", numbers(0, 10))
	create(t, connectTo(t, db, nil), "unreadable", numbers(0, 10))
	create(t, connectTo(t, filepath.Join(db, "secret"), nil), "t", numbers(0, 10))
	data, err := filepath.Glob(filepath.Join(db, "unreadable.lance/data/*"))
	if err != nil || len(data) != 1 {
		t.Fatal(data, err)
	}
	os.Chmod(dir, 0o755)
	os.Chmod(data[0], 0)
	os.Chmod(filepath.Join(db, "secret"), 0)
	home := filepath.Join(dir, "home")
	os.Mkdir(home, 0o777)
	os.Chmod(home, 0o777)
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(write(t, filepath.Join(dir, "test"), program), "-test.run=^TestNoPermission$", "-test.v")
	command.Dir = dir
	command.Env = append(os.Environ(), variable+"="+db, "HOME="+home, "XDG_CACHE_HOME="+home, "TMPDIR="+home)
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := command.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

// damaged makes a table of two versions with deletions and an index in a new directory, changes one of its
// files, and returns its name and what reading the table gives.
func damaged(t testing.TB, pattern string, change func([]byte) []byte) (string, error) {
	t.Helper()
	dir := t.TempDir()
	ctx := t.Context()
	table := create(t, connectTo(t, dir, nil), "t", numbers(0, 5000))
	must[WriteResult](t)(table.Delete(ctx, "n % 7 = 3", nil))
	names, err := filepath.Glob(filepath.Join(dir, "t.lance", pattern))
	if err != nil || len(names) == 0 {
		t.Fatal("no file ", pattern, ": ", err)
	}
	name := names[len(names)-1]
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	write(t, name, change(content))
	within(t, 60*time.Second, "reading a damaged table", func() {
		// A connection of its own has cached nothing.
		c := connectTo(t, dir, nil)
		var again *Table
		if again, err = c.OpenTable(ctx, "t", nil); err != nil {
			return
		}
		defer again.Close()
		for _, err = range again.Batches(ctx, Query{Where: "n >= 0"}) {
			if err != nil {
				return
			}
		}
	})
	return filepath.Base(name), err
}

func TestDamage(t *testing.T) {
	needEngine(t)
	cut := func(share float64) func([]byte) []byte {
		return func(b []byte) []byte { return b[:int(float64(len(b))*share)] }
	}
	noise := func(b []byte) []byte { return bytes.Repeat([]byte{0xa5}, len(b)) }
	for _, pattern := range []string{"data/*", "_versions/2.manifest", "_deletions/*"} {
		for name, change := range map[string]func([]byte) []byte{
			"emptied": cut(0), "cut to a tenth": cut(0.1), "cut in half": cut(0.5), "cut by a byte": func(b []byte) []byte { return b[:len(b)-1] }, "noise": noise,
		} {
			file, err := damaged(t, pattern, change)
			t.Logf("%s %s: %v", pattern, name, err)
			var e *Error
			if !errors.As(err, &e) || e.Table != "t" || e.Code == CodePanic {
				t.Errorf("%s %s: got %v (code %v)", pattern, name, err, code(err))
			} else if e.Code != CodeCorrupt {
				t.Errorf("%s %s: got %v (code %v), want it found corrupt", pattern, name, err, code(err))
			} else if !strings.Contains(e.Message, file) {
				t.Errorf("%s %s: %v does not name %s", pattern, name, err, file)
			}
		}
	}
}

func code(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return 0
}

// Files of a generation that this engine does not know.
func TestNewerGeneration(t *testing.T) {
	needEngine(t)
	for name, change := range map[string]func([]byte) []byte{
		"storage version": func(b []byte) []byte {
			// DataStorageFormat{file_format: "lance", version: "2.0"}
			return bytes.ReplaceAll(b, []byte("\x0a\x05lance\x12\x032.0"), []byte("\x0a\x05lance\x12\x039.9"))
		},
		"feature flags": func(b []byte) []byte {
			// The manifest: its position and the magic word end the file, its length stands before it. A field that
			// comes again replaces the one before: 9 are the flags that readers must know.
			at := binary.LittleEndian.Uint64(b[len(b)-16:])
			length := binary.LittleEndian.Uint32(b[at:])
			flags := binary.AppendUvarint([]byte{9 << 3}, 1<<40)
			out := append([]byte(nil), b[:at]...)
			out = binary.LittleEndian.AppendUint32(out, length+uint32(len(flags)))
			out = append(out, b[at+4:at+4+uint64(length)]...)
			out = append(out, flags...)
			return append(out, b[at+4+uint64(length):]...)
		},
	} {
		_, err := damaged(t, "_versions/2.manifest", change)
		t.Logf("%s: %v", name, err)
		if !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: got %v (code %v), want %v", name, err, code(err), ErrUnsupported)
		}
	}
}

// A day of a server: memory and files stay.
func TestFlat(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	create(t, c, "t", numbers(0, 1000))
	rounds := 5000 // of two queries and an open each
	if testing.Short() {
		rounds = 200
	}
	round := func(i int) {
		table, err := c.OpenTable(ctx, "t", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer table.Close()
		for _, err := range table.Batches(ctx, Query{Where: fmt.Sprint("n = ", i%1000), Columns: []string{"id"}}) {
			if err != nil {
				t.Fatal(err)
			}
		}
		// One that is left in the middle, and one that fails.
		reader, err := table.Query(ctx, Query{BatchRows: 10})
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			reader.Next(ctx)
		}
		reader.Close()
		if i%10 == 0 {
			if _, err := table.Count(ctx, "nothing = 1"); err == nil {
				t.Fatal("no error")
			}
		}
	}
	for i := range rounds / 10 {
		round(i)
	}
	memory, descriptors := resident(t), openFiles(t)
	begin := time.Now()
	for i := range rounds {
		round(i)
	}
	t.Logf("%d rounds in %v: memory %d to %d MB, files %d to %d", rounds, time.Since(begin).Round(time.Millisecond),
		memory>>20, resident(t)>>20, descriptors, openFiles(t))
	if now := resident(t); now > memory+(48<<20) {
		t.Errorf("memory grew from %d to %d MB", memory>>20, now>>20)
	}
	if now := openFiles(t); now > descriptors+4 {
		t.Errorf("open files grew from %d to %d", descriptors, now)
	}
}

func resident(t testing.TB) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var size, pages int64
	fmt.Sscan(string(text), &size, &pages)
	return pages * int64(os.Getpagesize())
}

func openFiles(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestLoadFromFolderThatRunsNothing(t *testing.T) {
	dir, _ := pack(t, needFake(t))
	home := t.TempDir()
	mountTemporary(t, filepath.Join(home, "cache"), "size=8m", true)
	got := start(t, dir, home)()
	if got.Error != "" || !strings.HasPrefix(got.Info.Path, home+"/tmp/") {
		t.Errorf("got %+v, want the library below %s/tmp", got, home)
	}
}
