package exchange

import (
	"bufio"
	"io"
)

// NewLines reads lines of up to 64 MiB, without the mark that some editors put in front of UTF-8.
func NewLines(r io.Reader) *bufio.Scanner {
	head := bufio.NewReader(r)
	if mark, err := head.Peek(3); err == nil && string(mark) == "\xef\xbb\xbf" {
		head.Discard(3)
	}
	s := bufio.NewScanner(head)
	s.Buffer(nil, 64<<20)
	return s
}
