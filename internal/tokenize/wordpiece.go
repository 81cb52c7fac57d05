package tokenize

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// WordPiece is the tokenizer of BERT: a vocabulary of words and of pieces that continue one, "##ing". It is safe for
// concurrent use.
type WordPiece struct {
	words    map[string]int32 // pieces that begin a word
	parts    map[string]int32 // those that continue one, without "##"
	longest  int              // bytes of the longest piece
	lower    bool
	cls, sep int64
	unk      int32
}

// maxWord is the length in characters above which a word is unknown as a whole, as in the tokenizer that BERT came with.
const maxWord = 100

// maxVocabulary bounds a vocabulary that is read: that of the largest multilingual models is a quarter of it.
const maxVocabulary = 1 << 20

// NewWordPiece reads a vocabulary: vocab.txt, one piece a line, whose number is its id from 0, or a tokenizer.json with a
// model of type WordPiece. Where a vocab.txt has no Latin capitals, those
// of texts are made small.
func NewWordPiece(r io.Reader) (*WordPiece, error) {
	in := bufio.NewReaderSize(r, 1<<16)
	first, err := in.Peek(1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(first) > 0 && first[0] == '{' {
		return wordPieceJSON(in)
	}
	vocabulary := map[string]int32{}
	lower := true
	lines := bufio.NewScanner(in)
	for n := int32(0); lines.Scan(); n++ {
		piece := strings.TrimRight(lines.Text(), "\r")
		if !utf8.ValidString(piece) {
			return nil, fmt.Errorf("vocabulary: line %d is no UTF-8", n+1)
		}
		if n >= maxVocabulary {
			return nil, fmt.Errorf("vocabulary: more than %d lines", maxVocabulary)
		}
		if _, ok := vocabulary[piece]; !ok {
			vocabulary[piece] = n
		}
		lower = lower && (strings.HasPrefix(piece, "[") || !strings.ContainsAny(piece, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("vocabulary: %w", err)
	}
	return newWordPiece(vocabulary, lower)
}

func wordPieceJSON(r io.Reader) (*WordPiece, error) {
	var file struct {
		Normalizer struct {
			Lowercase bool `json:"lowercase"`
		} `json:"normalizer"`
		Model struct {
			Type  string           `json:"type"`
			Vocab map[string]int32 `json:"vocab"`
		} `json:"model"`
	}
	if err := json.NewDecoder(r).Decode(&file); err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	if file.Model.Type != "WordPiece" && file.Model.Type != "" {
		return nil, fmt.Errorf("tokenizer.json: model of type %q: want WordPiece", file.Model.Type)
	}
	if len(file.Model.Vocab) > maxVocabulary {
		return nil, fmt.Errorf("tokenizer.json: more than %d pieces", maxVocabulary)
	}
	for piece, id := range file.Model.Vocab {
		if id < 0 {
			return nil, fmt.Errorf("tokenizer.json: %q has the id %d", piece, id)
		}
	}
	return newWordPiece(file.Model.Vocab, file.Normalizer.Lowercase)
}

func newWordPiece(vocabulary map[string]int32, lower bool) (*WordPiece, error) {
	w := &WordPiece{words: make(map[string]int32, len(vocabulary)), parts: map[string]int32{}, lower: lower}
	for _, special := range []string{"[CLS]", "[SEP]", "[UNK]"} {
		if _, ok := vocabulary[special]; !ok {
			return nil, fmt.Errorf("vocabulary of %d pieces without %s: want that of a BERT model", len(vocabulary), special)
		}
	}
	w.cls, w.sep, w.unk = int64(vocabulary["[CLS]"]), int64(vocabulary["[SEP]"]), vocabulary["[UNK]"]
	for piece, id := range vocabulary {
		if part, ok := strings.CutPrefix(piece, "##"); ok && part != "" {
			w.parts[part] = id
			piece = part
		} else {
			w.words[piece] = id
		}
		w.longest = max(w.longest, len(piece))
	}
	return w, nil
}

// Encode returns the ids of a text between those of [CLS] and [SEP], at most limit of them; 0 is no limit. Pieces beyond
// are left out.
func (w *WordPiece) Encode(text string, limit int) []int64 {
	ids := []int64{w.cls}
	full := func() bool { return limit > 0 && len(ids) >= limit-1 }
	word := make([]byte, 0, 64)
	runes := 0
	flush := func() {
		if len(word) > 0 && !full() {
			ids = w.pieces(ids, word, runes)
		}
		word, runes = word[:0], 0
	}
	for _, r := range w.normalize(text) {
		switch {
		case isSpace(r):
			flush()
		case isPunctuation(r) || isIdeograph(r):
			flush()
			word, runes = utf8.AppendRune(word, r), 1
			flush()
		default:
			word = utf8.AppendRune(word, r)
			runes++
		}
		if full() {
			break
		}
	}
	flush()
	if limit > 0 && len(ids) > limit-1 {
		ids = ids[:max(limit-1, 1)]
	}
	return append(ids, w.sep)
}

// normalize drops control characters and, for a model without capitals, takes capitals and accents away.
func (w *WordPiece) normalize(text string) string {
	plain := true
	for i := range len(text) {
		if c := text[i]; c >= utf8.RuneSelf || c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0x7f {
			plain = false
			break
		}
	}
	if plain { // most texts are ASCII, where nothing can be composed
		if w.lower {
			return strings.ToLower(text)
		}
		return text
	}
	text = strings.Map(func(r rune) rune {
		if isControl(r) {
			return -1
		}
		return r
	}, text)
	if !w.lower {
		return text
	}
	var b strings.Builder
	for _, r := range norm.NFD.String(text) {
		if !unicode.Is(unicode.Mn, r) {
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

// pieces appends the ids of a word: each time those of the longest piece that fits.
func (w *WordPiece) pieces(ids []int64, word []byte, runes int) []int64 {
	if runes > maxWord {
		return append(ids, int64(w.unk))
	}
	from := len(ids)
	table := w.words
	for len(word) > 0 {
		end := min(len(word), w.longest)
		for ; end > 0; end-- {
			if end < len(word) && !utf8.RuneStart(word[end]) {
				continue
			}
			if id, ok := table[string(word[:end])]; ok {
				ids = append(ids, int64(id))
				break
			}
		}
		if end == 0 {
			return append(ids[:from], int64(w.unk))
		}
		word, table = word[end:], w.parts
	}
	return ids
}

// isPunctuation reports whether r is a word by itself: what Unicode calls punctuation, and all signs of ASCII.
func isPunctuation(r rune) bool {
	if r < utf8.RuneSelf {
		return r > ' ' && r < '0' || r > '9' && r < 'A' || r > 'Z' && r < 'a' || r > 'z' && r < 0x7f
	}
	return unicode.IsPunct(r)
}

// isIdeograph reports whether r is one of the CJK ideographs, each of which is a word by itself.
func isIdeograph(r rune) bool {
	switch {
	case r < 0x3400:
		return false
	case r <= 0x4DBF, r >= 0x4E00 && r <= 0x9FFF, r >= 0xF900 && r <= 0xFAFF:
		return true
	}
	return r >= 0x20000 && r <= 0x2A6DF || r >= 0x2A700 && r <= 0x2B73F || r >= 0x2B740 && r <= 0x2B81F ||
		r >= 0x2B920 && r <= 0x2CEAF || r >= 0x2F800 && r <= 0x2FA1F
}
