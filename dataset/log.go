package dataset

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"pixano/features"
)

// The change log lies in <dataset>/.pixano/log: segments of entries, one a line, and a small file that says how far
// they have been applied. A segment is named after its first entry. An entry is acknowledged once its line is on
// disk; a last line that is cut or does not match its checksum was never acknowledged, and the next writer cuts it
// off. Only the holder of the dataset's lock touches the log.
const (
	logFolder    = ".pixano/log"
	logState     = "state"
	logID        = "id"
	segmentBytes = 8 << 20 // where the next segment begins
	keyLife      = 24 * time.Hour
)

// entry is what one group of change sets does, as a line of the log.
type entry struct {
	Number  uint64          `json:"number"`            // dense, from 1
	Time    time.Time       `json:"time"`              // the clock of its writer, in UTC
	Outside []outsideCommit `json:"outside,omitempty"` // what was found in the tables when it was checked
	Sets    []loggedSet     `json:"sets,omitempty"`
	Bulk    *bulkLoad       `json:"bulk,omitempty"`
	Void    uint64          `json:"void,omitempty"` // the entry that was given up before any of it was done
}

// loggedSet is a change set of an entry.
type loggedSet struct {
	Author   string     `json:"author,omitempty"`
	Key      string     `json:"key,omitempty"`
	Reverts  string     `json:"reverts,omitempty"`  // the change set that it undoes
	Restores string     `json:"restores,omitempty"` // the snapshot that it brings back
	Rows     []loggedOp `json:"rows"`
}

// loggedOp is what a change set made of one row.
type loggedOp struct {
	Table  string          `json:"table"`
	ID     string          `json:"id"`
	Before json.RawMessage `json:"before,omitempty"` // the row; absent if it was not there
	After  json.RawMessage `json:"after,omitempty"`  // absent if it was deleted
	Append bool            `json:"append,omitempty"` // After was added beside rows of the same id
}

// bulkLoad notes rows that were appended without being logged one by one.
type bulkLoad struct {
	Author  string `json:"author,omitempty"`
	Key     string `json:"key,omitempty"`
	Table   string `json:"table"`
	Rows    int64  `json:"rows"`
	Version uint64 `json:"version"` // of the table that has them
}

// outsideCommit is a commit to a table that did not come through a log.
type outsideCommit struct {
	Table     string    `json:"table"`
	Version   uint64    `json:"version"`
	Time      time.Time `json:"time"` // of the commit, in UTC
	Operation string    `json:"operation"`
}

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// marshalEntry gives the line of an entry: the checksum of the JSON in eight hex digits, a space, the JSON, a newline.
func marshalEntry(e *entry) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("00000000 ")
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(e); err != nil {
		return nil, err
	}
	line := b.Bytes()
	hex.Encode(line, binary.BigEndian.AppendUint32(nil, crc32.Checksum(line[9:len(line)-1], crcTable)))
	return line, nil
}

var (
	errTorn    = errors.New("the last line is cut or damaged")
	errDamaged = errors.New("a line is damaged")
)

// parseEntry reads a line, which ends in a newline.
func parseEntry(line []byte, e *entry) error {
	if len(line) < 11 || line[8] != ' ' || line[len(line)-1] != '\n' {
		return errTorn
	}
	text := line[9 : len(line)-1]
	sum, err := hex.DecodeString(string(line[:8]))
	if err != nil || binary.BigEndian.Uint32(sum) != crc32.Checksum(text, crcTable) {
		return errTorn
	}
	if json.Unmarshal(text, e) != nil {
		return errTorn
	}
	return nil
}

// changeLog is this process's hold of the log. Its methods are called with the dataset's lock held.
type changeLog struct {
	dir string
	id  string // tells it from logs that the tables' commits may name and that are gone

	file  *os.File // the segment that is written, open for appending
	first uint64   // its first entry
	size  int64    // bytes of it that were read or written
	last  uint64   // the last entry
	state stateFile

	changed map[string]uint64 // by table: the last entry that changes it
	from    uint64            // the entry after which changed has all

	keys       map[string]keyAt // of the change sets within keyLife
	foldedKeys bool             // so are those of the folded history
}

// keyAt says where a change set with a key is logged.
type keyAt struct {
	segment uint64 // 0: in the folded history
	offset  int64
	number  uint64
	set     int
	time    time.Time
}

// stateFile says how far the log has been applied. It is written in place and not synced: what it says is true if it
// can be read, or else too little, which costs a look at tables that are found to be done.
type stateFile struct {
	Applied uint64 `json:"applied"` // this entry and all before it are in the tables
	Synced  uint64 `json:"synced"`  // so are these, and a power cut does not change that
	Boot    string `json:"boot"`    // which run of the machine wrote it
	Last    uint64 `json:"last"`    // the last entry
	Segment uint64 `json:"segment"` // the last segment
	Size    int64  `json:"size"`    // and its size, by which a reader sees that nothing was logged since
}

func segmentName(first uint64) string { return fmt.Sprintf("%020d.log", first) }

// openLog opens or begins the log of a dataset.
func openLog(dataset string) (*changeLog, error) {
	dir := filepath.Join(dataset, filepath.FromSlash(logFolder))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	l := &changeLog{dir: dir, changed: map[string]uint64{}, keys: map[string]keyAt{}}
	id, err := os.ReadFile(filepath.Join(dir, logID))
	if err == nil {
		l.id = strings.TrimSpace(string(id))
		return l, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l.id = features.NewShortUUID()
	return l, writeFile(filepath.Join(dir, logID), []byte(l.id+"\n"))
}

func (l *changeLog) close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

// segments lists the first entries of the segments, in order.
func (l *changeLog) segments() ([]uint64, error) {
	files, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, err
	}
	var firsts []uint64
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), ".log")
		if n, err := strconv.ParseUint(name, 10, 64); ok && err == nil && len(name) == 20 {
			firsts = append(firsts, n)
		}
	}
	slices.Sort(firsts)
	return firsts, nil
}

// catchUp reads what other processes logged since the last look, and the state. It cuts off a torn end.
func (l *changeLog) catchUp(now time.Time) error {
	for {
		if l.file != nil {
			if err := l.readOn(now); err != nil {
				return err
			}
		}
		firsts, err := l.segments()
		if err != nil {
			return err
		}
		next := slices.IndexFunc(firsts, func(n uint64) bool { return l.file == nil || n > l.first })
		if next < 0 {
			break
		}
		// To begin with, those that may hold keys that are still good.
		for ; l.file == nil && next+1 < len(firsts); next++ {
			st, err := os.Stat(filepath.Join(l.dir, segmentName(firsts[next])))
			if err == nil && now.Sub(st.ModTime()) < keyLife {
				break
			}
		}
		if l.file == nil || firsts[next] != l.last+1 {
			l.from = max(firsts[next], 1) - 1
		}
		if l.file != nil {
			l.file.Close()
			// What came between was folded away already.
			l.foldedKeys = l.foldedKeys && firsts[next] == l.last+1
		}
		if err := l.openSegment(firsts[next], os.O_RDWR); err != nil {
			return err
		}
	}
	l.state = stateFile{}
	if s := l.readState(); s.Applied <= l.last && s.Synced <= s.Applied {
		l.state = s
	}
	return nil
}

// readState reads the state file; what cannot be read is the zero value.
func (l *changeLog) readState() stateFile {
	var s stateFile
	text, err := os.ReadFile(filepath.Join(l.dir, logState))
	if line, _, ok := bytes.Cut(text, []byte("\n")); err != nil || !ok || json.Unmarshal(line, &s) != nil {
		return stateFile{}
	}
	return s
}

func (l *changeLog) openSegment(first uint64, flag int) error {
	f, err := os.OpenFile(filepath.Join(l.dir, segmentName(first)), flag|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	l.file, l.first, l.size = f, first, 0
	if first > 0 {
		l.last = first - 1
	}
	return nil
}

// readOn reads the rest of the open segment.
func (l *changeLog) readOn(now time.Time) error {
	st, err := l.file.Stat()
	if err != nil || st.Size() == l.size {
		return err
	}
	err = readEntries(io.NewSectionReader(l.file, l.size, st.Size()-l.size), func(e *entry, length int64) error {
		if e.Number != l.last+1 {
			return l.corrupt(fmt.Sprintf("entry %d follows entry %d", e.Number, l.last))
		}
		l.noteKeys(e, l.size, now)
		e.noteTables(l.changed)
		l.last = e.Number
		l.size += length
		return nil
	})
	switch err {
	case errTorn:
		return l.file.Truncate(l.size)
	case errDamaged:
		return l.corrupt(fmt.Sprintf("the line after entry %d is damaged", l.last))
	}
	return err
}

func (l *changeLog) corrupt(what string) error {
	return &kindError{ErrCorrupt, "change log, " + filepath.Base(l.file.Name()) + ": " + what, nil}
}

// readEntries calls f for each entry with the length of its line. The error of a damaged line is errTorn at the end, and
// errDamaged before others.
func readEntries(r io.Reader, f func(e *entry, length int64) error) error {
	return readLines(r, func(line []byte) error {
		e := new(entry)
		if err := parseEntry(line, e); err != nil {
			return err
		}
		return f(e, int64(len(line)))
	})
}

// readLines calls f for each line, which f must not keep. Where f finds it damaged, the error is as in readEntries.
func readLines(r io.Reader, f func(line []byte) error) error {
	in := bufio.NewReaderSize(r, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			return nil
		}
		if err != nil && err != io.EOF {
			return err
		}
		switch err := f(line); {
		case err == errTorn:
			if _, more := in.Peek(1); more == nil {
				return errDamaged
			}
			return errTorn
		case err != nil:
			return err
		}
	}
}

func (l *changeLog) noteKeys(e *entry, offset int64, now time.Time) {
	if now.Sub(e.Time) > keyLife {
		return
	}
	if e.Void != 0 {
		maps.DeleteFunc(l.keys, func(_ string, at keyAt) bool { return at.number == e.Void })
	}
	for i, set := range e.Sets {
		if set.Key != "" {
			l.keys[set.Key] = keyAt{l.first, offset, e.Number, i, e.Time}
		}
	}
	if e.Bulk != nil && e.Bulk.Key != "" {
		l.keys[e.Bulk.Key] = keyAt{l.first, offset, e.Number, 0, e.Time}
	}
}

// read reads the entry of a key again.
func (l *changeLog) read(at keyAt) (*entry, error) {
	f, err := os.Open(filepath.Join(l.dir, segmentName(at.segment)))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	line, err := bufio.NewReader(io.NewSectionReader(f, at.offset, 1<<62)).ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	e := new(entry)
	return e, parseEntry(line, e)
}

// after calls f for the entries after number n, in order.
func (l *changeLog) after(n uint64, f func(*entry) error) error {
	firsts, err := l.segments()
	if err != nil {
		return err
	}
	for i, first := range firsts {
		if i+1 < len(firsts) && firsts[i+1] <= n+1 {
			continue
		}
		file, err := os.Open(filepath.Join(l.dir, segmentName(first)))
		if err != nil {
			return err
		}
		err = readEntries(file, func(e *entry, _ int64) error {
			if e.Number <= n {
				return nil
			}
			return f(e)
		})
		file.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// append logs an entry under the next number and makes it durable. After an error the entry is not there.
func (l *changeLog) append(e *entry, now time.Time) error {
	e.Number = l.last + 1
	line, err := marshalEntry(e)
	if err != nil {
		return err
	}
	if l.file == nil || l.size >= segmentBytes {
		if l.file != nil {
			l.file.Close()
			l.file = nil
		}
		if err := l.openSegment(e.Number, os.O_RDWR|os.O_CREATE); err != nil {
			return err
		}
		if err := syncDir(l.dir); err != nil {
			return err
		}
	}
	_, err = l.file.Write(line)
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		// What was written of it must not be taken for an entry; if this fails as well, the checksum tells, or the entry
		// is complete and will be redone although its caller was told otherwise.
		l.file.Truncate(l.size)
		return err
	}
	l.noteKeys(e, l.size, now)
	e.noteTables(l.changed)
	l.last = e.Number
	l.size += int64(len(line))
	return nil
}

// noteTables notes the tables that an entry changes.
func (e *entry) noteTables(changed map[string]uint64) {
	for _, set := range e.Sets {
		for _, op := range set.Rows {
			changed[op.Table] = e.Number
		}
	}
	if e.Bulk != nil {
		changed[e.Bulk.Table] = e.Number
	}
}

// setState notes how far the log has been applied.
func (l *changeLog) setState(applied, synced uint64) error {
	s := stateFile{applied, synced, bootID(), l.last, l.first, l.size}
	if s == l.state {
		return nil
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(l.dir, logState), os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	// The line is padded so that a shorter one covers a longer one.
	if _, err := f.WriteAt(fmt.Appendf(nil, "%-200s\n", text), 0); err != nil {
		return err
	}
	l.state = s
	return nil
}

// bootID tells runs of the machine apart, where it can.
func bootID() string {
	text, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text))
}
