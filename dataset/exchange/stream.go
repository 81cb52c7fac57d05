package exchange

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Stream reads the JSON values of a file one after the other, in any length. It only finds where values end, which is many
// times as fast as decoding them, and holds one of them at a time. A mark that some editors put in front of UTF-8 is left out.
type Stream struct {
	r        io.Reader
	buf      []byte
	pos, end int // what was read and not taken yet: buf[pos:end]
	line     int // of pos, from 1
	err      error
	open     []byte // brackets of the value that is read
}

// streamBuffer is how much is read at a time.
const streamBuffer = 256 << 10

// maxNesting bounds the depth of values, as package json does.
const maxNesting = 10_000

// NewStream returns a stream of what r reads.
func NewStream(r io.Reader) *Stream {
	s := &Stream{r: r, buf: make([]byte, streamBuffer), line: 1}
	for s.end < 3 && s.more() {
	}
	if bytes.HasPrefix(s.buf[:s.end], []byte("\xef\xbb\xbf")) {
		s.pos = 3
	}
	if head := s.buf[:s.end]; bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff")) {
		s.end, s.err = 0, errors.New("the file is UTF-16: want UTF-8")
	}
	return s
}

// Line returns the line of what comes next, from 1; after an error that of what is wrong.
func (s *Stream) Line() int { return s.line }

// more reads on, and reports whether there was something. What was not taken stays.
func (s *Stream) more() bool {
	if s.err != nil {
		return false
	}
	if s.pos > 0 {
		s.end = copy(s.buf, s.buf[s.pos:s.end])
		s.pos = 0
	}
	if s.end == len(s.buf) {
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
	for range 100 {
		n, err := s.r.Read(s.buf[s.end:])
		s.end += n
		if s.err = err; n > 0 || err != nil {
			return n > 0
		}
	}
	s.err = io.ErrNoProgress
	return false
}

// take goes on to a place of the buffer.
func (s *Stream) take(to int) {
	s.line += bytes.Count(s.buf[s.pos:to], []byte{'\n'})
	s.pos = to
}

// peek skips white space and returns the byte that follows, or false at the end of the file.
func (s *Stream) peek() (byte, bool) {
	for {
		for ; s.pos < s.end; s.pos++ {
			switch c := s.buf[s.pos]; c {
			case '\n':
				s.line++
			case ' ', '\t', '\r':
			default:
				return c, true
			}
		}
		if !s.more() {
			return 0, false
		}
	}
}

// cut is the error of a file that ends too early, or cannot be read.
func (s *Stream) cut() error {
	if s.err != nil && s.err != io.EOF {
		return s.err
	}
	return jsonError(io.ErrUnexpectedEOF)
}

// wrong is the error of the byte at a place of the buffer.
func (s *Stream) wrong(at int, where string) error {
	c := s.buf[at]
	s.take(at)
	return jsonError(fmt.Errorf("invalid character %q %s", c, where))
}

// Raw returns the text of the next value. It is valid until the stream is used again, and may be no JSON inside.
func (s *Stream) Raw() (json.RawMessage, error) {
	if _, ok := s.peek(); !ok {
		return nil, s.cut()
	}
	n, err := s.find(false)
	if err != nil {
		return nil, err
	}
	raw := json.RawMessage(s.buf[s.pos : s.pos+n])
	s.take(s.pos + n)
	return raw, nil
}

// Skip leaves out the next value, without keeping it in memory.
func (s *Stream) Skip() error {
	if _, ok := s.peek(); !ok {
		return s.cut()
	}
	n, err := s.find(true)
	if err == nil {
		s.take(s.pos + n)
	}
	return err
}

// find returns how many bytes from pos on the value there has. With drop those before the last ones are taken already.
func (s *Stream) find(drop bool) (int, error) {
	s.open = s.open[:0]
	start := s.line
	var text, escaped bool // in a text; after a backslash in it
	var after bool         // after a value or in a number, where no other may begin
	for i := s.pos; ; i++ {
		if i == s.end {
			if drop {
				s.take(s.end)
			}
			n := i - s.pos
			if !s.more() {
				if !text && after && len(s.open) == 0 { // a number at the end of the file
					return n, nil
				}
				s.line = start
				return 0, s.cut()
			}
			i = s.pos + n
		}
		c := s.buf[i]
		if text {
			switch {
			case escaped:
				escaped = false
			case c == '\\':
				escaped = true
			case c == '"':
				if text = false; len(s.open) == 0 {
					return i + 1 - s.pos, nil
				}
			}
			continue
		}
		switch c {
		case ' ', '\t', '\r', '\n', ',', ':', '}', ']':
			if len(s.open) > 0 {
				break
			}
			if after {
				return i - s.pos, nil
			}
			return 0, s.wrong(i, "looking for beginning of value")
		case '"', '{', '[':
			if after {
				return 0, s.wrong(i, "after a value")
			}
		default:
			if c < '0' && c != '-' && c != '+' && c != '.' || c > '9' && c < 'A' || c > 'z' {
				return 0, s.wrong(i, "looking for beginning of value")
			}
			after = true
		}
		switch c {
		case '"':
			text, after = true, true
		case '{', '[':
			if s.open = append(s.open, c); len(s.open) > maxNesting {
				return 0, s.wrong(i, "exceeds the depth of values")
			}
		case '}', ']':
			if s.open[len(s.open)-1] != c-2 { // in ASCII the opening bracket is two before
				return 0, s.wrong(i, "where another bracket should close")
			}
			after = true
			if s.open = s.open[:len(s.open)-1]; len(s.open) == 0 {
				return i + 1 - s.pos, nil
			}
		case ',', ':':
			after = false
		}
	}
}

// Object reads an object of any length and calls fn for each key, which has to read or skip its value.
func (s *Stream) Object(fn func(key string) error) error {
	return s.members('{', "a JSON object", func(int) error {
		if c, ok := s.peek(); ok && c != '"' {
			return s.wrong(s.pos, "looking for a key")
		}
		raw, err := s.Raw()
		if err != nil {
			return err
		}
		key := string(raw[1 : len(raw)-1])
		if strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == '\\' || r >= utf8.RuneSelf }) {
			if err := s.decode(raw, &key); err != nil {
				return err
			}
		}
		switch c, ok := s.peek(); {
		case !ok:
			return s.cut()
		case c != ':':
			return s.wrong(s.pos, "after a key")
		}
		s.pos++
		return fn(key)
	})
}

// List reads a list of any length and calls fn before each element, which it has to read or skip. null is an empty list.
func (s *Stream) List(fn func(i int) error) error {
	if c, ok := s.peek(); ok && c == 'n' {
		if raw, err := s.Raw(); err != nil || Null(raw) {
			return err
		}
		return errors.New("want a JSON list")
	}
	return s.members('[', "a JSON list", fn)
}

// members reads what brackets enclose.
func (s *Stream) members(open byte, want string, fn func(i int) error) error {
	switch c, ok := s.peek(); {
	case !ok:
		return s.cut()
	case c != open:
		return errors.New("want " + want)
	}
	s.pos++
	for i := 0; ; i++ {
		switch c, ok := s.peek(); {
		case !ok:
			return s.cut()
		case c == open+2:
			s.pos++
			return nil
		case i > 0 && c != ',':
			return s.wrong(s.pos, "where a comma or an end should be")
		case i > 0:
			s.pos++
		}
		if err := fn(i); err != nil {
			return err
		}
	}
}

// Decode reads the next value into v.
func (s *Stream) Decode(v any) error {
	if _, ok := s.peek(); !ok {
		return s.cut()
	}
	raw, err := s.Raw()
	if err != nil {
		return err
	}
	return s.decode(raw, v)
}

// decode reads what Raw returned last.
func (s *Stream) decode(raw json.RawMessage, v any) error {
	err := json.Unmarshal(raw, v)
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		s.line -= bytes.Count(raw[min(max(0, int(e.Offset)-1), len(raw)):], []byte{'\n'})
	}
	return typeError(err)
}
