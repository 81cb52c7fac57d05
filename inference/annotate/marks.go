package annotate

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// marks are the ids that a job has done, one quoted on each line of a file. A line that was cut off by a crash is none.
type marks struct {
	path string
	done map[string]bool
	file *os.File // nil until something is added
	buf  bytes.Buffer
	torn bool // the file does not end with a line
}

func openMarks(dataset, job string) (*marks, error) {
	m := &marks{path: filepath.Join(dataset, ".pixano", "jobs", job+".done"), done: map[string]bool{}}
	data, err := os.ReadFile(m.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		if id, err := strconv.Unquote(lines.Text()); err == nil {
			m.done[id] = true
		}
	}
	m.torn = len(data) > 0 && data[len(data)-1] != '\n'
	return m, lines.Err()
}

func (m *marks) has(id string) bool { return m.done[id] }

func (m *marks) add(ids ...string) {
	for _, id := range ids {
		m.done[id] = true
		m.buf.WriteString(strconv.Quote(id))
		m.buf.WriteByte('\n')
	}
}

// sync writes what was added, safe from a power cut.
func (m *marks) sync() error {
	if m.file == nil {
		if err := os.MkdirAll(filepath.Dir(m.path), 0o755); err != nil {
			return err
		}
		var err error
		if m.file, err = os.OpenFile(m.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
			return err
		}
	}
	data := m.buf.Bytes()
	if m.torn {
		data = append([]byte("\n"), data...)
	}
	if _, err := m.file.Write(data); err != nil {
		m.torn = true // a part of a line may be there
		return err
	}
	m.torn = false
	m.buf.Reset()
	return m.file.Sync()
}

func (m *marks) close() error {
	if m.file == nil {
		return nil
	}
	return m.file.Close()
}
