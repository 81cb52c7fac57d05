package exchange

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"unicode/utf8"
)

// JSONStyle is how JSON is laid out: as Python's json module writes it, with escapes for all that is not ASCII.
type JSONStyle struct {
	Indent bool // four spaces a level; otherwise all on one line
	Depth  int  // the level that the text begins at
	Drop   func(key string) bool
}

// AppendJSON appends a JSON text in a style. Keys of the outermost object that Drop names are left out.
func AppendJSON(dst, text []byte, style JSONStyle) []byte {
	w := restyler{out: dst, style: style}
	w.copy(text)
	return w.out
}

type restyler struct {
	out   []byte
	style JSONStyle
}

func (w *restyler) line(depth int) {
	if !w.style.Indent {
		return
	}
	w.out = append(w.out, '\n')
	for range w.style.Depth + depth {
		w.out = append(w.out, "    "...)
	}
}

// copy copies valid JSON token by token.
func (w *restyler) copy(text []byte) {
	depth := 0
	empty := false            // the object or list has no element yet
	object := make([]bool, 0) // of each level
	isKey := false            // the next text is a key
	first := false            // no comma is wanted before the next element
	skip := 0                 // 1: the next value at depth 1 is left out
	element := func() {
		if empty || first {
			first = false
		} else {
			w.out = append(w.out, ',')
			if !w.style.Indent {
				w.out = append(w.out, ' ')
			}
		}
		if depth > 0 {
			w.line(depth)
		}
		empty = false
	}
	for i := 0; i < len(text); {
		c := text[i]
		switch c {
		case ' ', '\n', '\r', '\t', ',', ':':
			i++
			if c == ',' && len(object) > 0 && object[len(object)-1] {
				isKey = true
			}
			continue
		case '}', ']':
			i++
			object = object[:len(object)-1]
			if !empty {
				w.line(depth - 1)
			}
			depth--
			w.out = append(w.out, c)
			empty, first, isKey = false, false, false
			continue
		}
		if isKey {
			end := textEnd(text, i)
			if depth == 1 && w.style.Drop != nil {
				if key, err := strconv.Unquote(string(text[i:end])); err == nil && w.style.Drop(key) {
					skip = 1
				}
			}
			if skip == 0 {
				element()
				w.text(text[i:end])
				w.out = append(w.out, ": "...)
			}
			i = end
			isKey = false
			if skip == 1 {
				i = valueEnd(text, i)
				skip = 0
			} else {
				first = true // the value follows its key
				i = w.value(text, i, &depth, &object, &empty, &isKey)
				first = false
			}
			continue
		}
		if depth > 0 {
			element()
		}
		i = w.value(text, i, &depth, &object, &empty, &isKey)
	}
}

// value copies a value that is no object or list, or begins one.
func (w *restyler) value(text []byte, i int, depth *int, object *[]bool, empty, isKey *bool) int {
	for i < len(text) && (text[i] == ' ' || text[i] == ':' || text[i] == '\n' || text[i] == '\t' || text[i] == '\r') {
		i++
	}
	if i >= len(text) {
		return i
	}
	switch c := text[i]; c {
	case '{', '[':
		w.out = append(w.out, c)
		*depth++
		*object = append(*object, c == '{')
		*empty, *isKey = true, c == '{'
		return i + 1
	case '"':
		end := textEnd(text, i)
		w.text(text[i:end])
		return end
	}
	end := i
	for end < len(text) && !bytes.ContainsRune([]byte(" \n\r\t,:]}"), rune(text[end])) {
		end++
	}
	w.out = append(w.out, text[i:end]...)
	return end
}

// text copies a text and escapes what is not ASCII.
func (w *restyler) text(s []byte) {
	for len(s) > 0 {
		if s[0] < utf8.RuneSelf {
			w.out = append(w.out, s[0])
			s = s[1:]
			continue
		}
		r, n := utf8.DecodeRune(s)
		w.out = appendEscaped(w.out, r)
		s = s[n:]
	}
}

func appendEscaped(dst []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	unit := func(u rune) {
		dst = append(dst, '\\', 'u', hex[u>>12&15], hex[u>>8&15], hex[u>>4&15], hex[u&15])
	}
	if r >= 0x10000 {
		r -= 0x10000
		unit(0xd800 + r>>10)
		unit(0xdc00 + r&0x3ff)
	} else {
		unit(r)
	}
	return dst
}

// textEnd returns where a text ends that begins at i.
func textEnd(text []byte, i int) int {
	for j := i + 1; j < len(text); j++ {
		switch text[j] {
		case '\\':
			j++
		case '"':
			return j + 1
		}
	}
	return len(text)
}

// valueEnd returns where the next value ends.
func valueEnd(text []byte, i int) int {
	depth := 0
	for i < len(text) {
		switch c := text[i]; c {
		case '"':
			i = textEnd(text, i)
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}

// Spool is a file for a part of an export that has to wait for its place in another file.
type Spool struct {
	f *os.File
	w *File
	n int64
}

// NewSpool makes an empty spool.
func (o *Output) NewSpool() (*Spool, error) {
	s := &Spool{}
	return s, s.open(o.dir)
}

func (s *Spool) open(dir string) (err error) {
	if dir == "" {
		dir = os.TempDir()
	}
	if s.f, err = os.CreateTemp(dir, ".spool-"); err != nil {
		return err
	}
	s.w = newFile(s.f)
	return nil
}

// Write appends to the spool.
func (s *Spool) Write(p []byte) (int, error) {
	s.n += int64(len(p))
	return s.w.Write(p)
}

// Len returns how many bytes there are.
func (s *Spool) Len() int64 { return s.n }

// Drain writes the content to w and empties the spool.
func (s *Spool) Drain(w io.Writer) error {
	if err := s.w.Flush(); err != nil {
		return err
	}
	if _, err := s.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if _, err := io.Copy(w, s.f); err != nil {
		return err
	}
	if _, err := s.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	s.n = 0
	return s.f.Truncate(0)
}

// Close removes the spool.
func (s *Spool) Close() error {
	err := s.f.Close()
	return errors.Join(err, os.Remove(filepath.Clean(s.f.Name())))
}
