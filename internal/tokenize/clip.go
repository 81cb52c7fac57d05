package tokenize

import (
	"bufio"
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"html"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"
)

// CLIP is the tokenizer of CLIP: pairs of symbols are joined in the order in which they were learnt, beginning with the
// bytes of a word. It is safe for concurrent use.
type CLIP struct {
	ids   map[string]int32
	ranks map[[2]string]int32

	mu    sync.RWMutex
	cache map[string][]int64 // ids of words seen
}

const (
	clipMerges = 49152 - 256 - 2 // pairs that the models were trained with
	clipCache  = 1 << 14         // words
	clipWord   = 1 << 10         // bytes; joining takes the square of it
)

//go:embed clip_merges.txt.gz
var merges []byte

// DefaultCLIP returns the tokenizer with the vocabulary of OpenAI's CLIP, of 49,408 ids, which OpenCLIP, MobileCLIP and
// OWL-ViT use too.
var DefaultCLIP = sync.OnceValue(func() *CLIP {
	r, err := gzip.NewReader(bytes.NewReader(merges))
	if err != nil {
		panic(err) // it is part of the program
	}
	c, err := NewCLIP(r)
	if err != nil {
		panic(err)
	}
	return c
})

// NewCLIP reads a vocabulary: a merges.txt, one pair of symbols a line in the order in which they were learnt, perhaps
// after a line with its version.
func NewCLIP(r io.Reader) (*CLIP, error) {
	c := &CLIP{ids: make(map[string]int32, 49408), ranks: make(map[[2]string]int32, clipMerges), cache: map[string][]int64{}}
	add := func(symbol string) {
		if _, ok := c.ids[symbol]; !ok {
			c.ids[symbol] = int32(len(c.ids))
		}
	}
	for _, b := range symbolOrder {
		add(byteSymbols[b])
	}
	for _, b := range symbolOrder {
		add(byteSymbols[b] + wordEnd)
	}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan() && len(c.ranks) < clipMerges; n++ {
		line := strings.TrimRight(lines.Text(), "\r")
		if n == 1 && strings.Contains(line, "#version") {
			continue
		}
		if line == "" {
			continue
		}
		a, b, ok := strings.Cut(line, " ")
		if !ok || a == "" || b == "" || strings.Contains(b, " ") || !utf8.ValidString(line) {
			return nil, fmt.Errorf("merges: line %d is %q: want two symbols", n, line)
		}
		for _, symbol := range []string{a, b} {
			if _, ok := c.ids[symbol]; !ok {
				return nil, fmt.Errorf("merges: line %d: no line before makes %q", n, symbol)
			}
		}
		if _, ok := c.ranks[[2]string{a, b}]; ok {
			return nil, fmt.Errorf("merges: line %d repeats %q", n, line)
		}
		c.ranks[[2]string{a, b}] = int32(len(c.ranks))
		c.ids[a+b] = int32(512 + len(c.ranks) - 1)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("merges: %w", err)
	}
	if len(c.ranks) == 0 {
		return nil, fmt.Errorf("merges: no pair of symbols")
	}
	return c, nil
}

const wordEnd = "</w>"

// Start and End return the ids that enclose a text: 49406 and 49407 with the vocabulary of OpenAI.
func (c *CLIP) Start() int64 { return int64(512 + len(c.ranks)) }

// End returns the id after a text, see Start.
func (c *CLIP) End() int64 { return c.Start() + 1 }

// Encode returns the ids of a text between those of start and end, at most limit of them; 0 is no limit. Of a longer text
// the rest is left out.
func (c *CLIP) Encode(text string, limit int) []int64 {
	ids := []int64{c.Start()}
	for word := range c.split(cleanCLIP(text)) {
		ids = append(ids, c.word(word)...)
		if limit > 0 && len(ids) >= limit-1 {
			ids = ids[:max(limit-1, 1)]
			break
		}
	}
	return append(ids, c.End())
}

// cleanCLIP brings a text into the form in which the models saw theirs: HTML entities resolved, straight quotes, no
// controls, letters in the place of ligatures and of wide forms, no capitals.
func cleanCLIP(text string) string {
	text = html.UnescapeString(html.UnescapeString(text))
	if strings.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf || r < ' ' || r == 0x7f }) < 0 {
		return strings.ToLower(text)
	}
	var b strings.Builder
	for _, r := range norm.NFC.String(text) {
		switch {
		case strings.ContainsRune("‘’‚‛ʼ", r):
			b.WriteByte('\'')
		case strings.ContainsRune("“”„‟", r):
			b.WriteByte('"')
		case isSpace(r):
			b.WriteByte(' ')
		case unicode.Is(unicode.Cc, r) || r == '\ufeff' || r >= 0x206a && r <= 0x206f || r >= 0xfff9 && r <= 0xfffc:
		case r == 'ŉ', r >= 'Ĳ' && r <= 'ĳ', r >= 'Ǆ' && r <= 'ǌ', r >= 'Ǳ' && r <= 'ǳ', r >= 0xfb00 && r <= 0xfb06,
			r >= 0xff01 && r <= 0xffee:
			b.WriteString(strings.ReplaceAll(norm.NFKC.String(string(r)), "ʼ", "'"))
		default:
			b.WriteRune(r)
		}
	}
	return cases.Lower(language.Und).String(b.String())
}

// The contractions that are words by themselves.
var contractions = []string{"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}

// split yields the words of a text: contractions, runs of letters, single digits, and runs of other signs. Runs of more
// than clipWord bytes, which no language has, are cut.
func (c *CLIP) split(text string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
	next:
		for len(text) > 0 {
			for _, s := range contractions {
				if strings.HasPrefix(text, s) {
					if !yield(s) {
						return
					}
					text = text[len(s):]
					continue next
				}
			}
			r, n := utf8.DecodeRuneInString(text)
			if isSpace(r) {
				text = text[n:]
				continue
			}
			end := n
			if class := signClass(r); class != digit {
				end = len(text)
				if i := strings.IndexFunc(text, func(r rune) bool { return isSpace(r) || signClass(r) != class }); i >= 0 {
					end = i
				}
			}
			if end > clipWord {
				for end = clipWord; !utf8.RuneStart(text[end]); end-- {
				}
			}
			if !yield(text[:end]) {
				return
			}
			text = text[end:]
		}
	}
}

type class int

const (
	letter class = iota
	digit
	other
)

func signClass(r rune) class {
	switch {
	case unicode.IsLetter(r):
		return letter
	case unicode.Is(unicode.N, r):
		return digit
	}
	return other
}

// word returns the ids of a word.
func (c *CLIP) word(word string) []int64 {
	c.mu.RLock()
	ids, ok := c.cache[word]
	c.mu.RUnlock()
	if ok {
		return ids
	}
	symbols := make([]string, 0, len(word))
	for i := range len(word) {
		symbols = append(symbols, byteSymbols[word[i]])
	}
	symbols[len(symbols)-1] += wordEnd
	for len(symbols) > 1 {
		best, at := int32(len(c.ranks)), -1
		for i := range len(symbols) - 1 {
			if rank, ok := c.ranks[[2]string{symbols[i], symbols[i+1]}]; ok && rank < best {
				best, at = rank, i
			}
		}
		if at < 0 {
			break
		}
		a, b := symbols[at], symbols[at+1]
		joined := symbols[:at]
		for i := at; i < len(symbols); i++ {
			if i+1 < len(symbols) && symbols[i] == a && symbols[i+1] == b {
				joined = append(joined, a+b)
				i++
			} else {
				joined = append(joined, symbols[i])
			}
		}
		symbols = joined
	}
	ids = make([]int64, len(symbols))
	for i, s := range symbols {
		ids[i] = int64(c.ids[s])
	}
	if len(word) <= 32 {
		c.mu.Lock()
		if len(c.cache) >= clipCache {
			clear(c.cache)
		}
		c.cache[strings.Clone(word)] = ids
		c.mu.Unlock()
	}
	return ids
}

// byteSymbols are the characters that stand for bytes: printable ones for themselves, the others for characters from 256
// on. symbolOrder is the order in which the bytes have their ids.
var byteSymbols, symbolOrder = func() (symbols [256]string, order []byte) {
	var rest []byte
	for b := range 256 {
		if b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE {
			symbols[b] = string(rune(b))
			order = append(order, byte(b))
		} else {
			symbols[b] = string(rune(256 + len(rest)))
			rest = append(rest, byte(b))
		}
	}
	return symbols, append(order, rest...)
}()
