// Package tokenize turns text into the numbers that language models read: WordPiece, of BERT and the sentence models made
// of it, and the byte pair encoding of CLIP.
//
// The results are those of the tokenizers that the models were trained with, except that special tokens which are spelled
// out in a text, such as [SEP], are text like any other.
package tokenize

import (
	"unicode"
	"unicode/utf8"
)

// isSpace reports whether r separates words.
func isSpace(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Z, r) }

// isControl reports whether r is dropped: controls, formats, surrogates and private ones. Tab and line ends
// are spaces.
func isControl(r rune) bool {
	switch {
	case r == '\t' || r == '\n' || r == '\r':
		return false
	case r == 0 || r == utf8.RuneError:
		return true
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co)
}
