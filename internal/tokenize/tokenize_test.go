package tokenize

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/internal/fetched"
)

type goldenText struct {
	Text      string  `json:"text"`
	WordPiece []int64 `json:"wordpiece"`
	CLIP      []int64 `json:"clip"`
}

// golden returns texts with the ids that the tokenizers of the Python packages give, see testdata/golden.py.
func golden(t *testing.T) []goldenText {
	t.Helper()
	raw, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var texts []goldenText
	if err := json.Unmarshal(raw, &texts); err != nil {
		t.Fatal(err)
	}
	if len(texts) < 100 {
		t.Fatalf("%d texts", len(texts))
	}
	return texts
}

func TestCLIPGolden(t *testing.T) {
	c := DefaultCLIP()
	for _, g := range golden(t) {
		got := c.Encode(g.Text, 0)
		got = got[1 : len(got)-1]
		if diff := cmp.Diff(append([]int64{}, g.CLIP...), append([]int64{}, got...)); diff != "" {
			t.Errorf("%q: -want +got\n%s", g.Text, diff)
		}
	}
}

func vocabulary(t *testing.T) *WordPiece {
	t.Helper()
	f, err := os.Open(filepath.Join(fetched.Dir(t, "all-minilm-l6-v2"), "vocab.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := NewWordPiece(f)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestWordPieceGolden(t *testing.T) {
	w := vocabulary(t)
	for _, g := range golden(t) {
		if diff := cmp.Diff(g.WordPiece, w.Encode(g.Text, 256)); diff != "" {
			t.Errorf("%q: -want +got\n%s", g.Text, diff)
		}
	}
}

const small = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nred\ncar\n##s\n##port\n,\n车\n"

func TestWordPiece(t *testing.T) {
	w, err := NewWordPiece(strings.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		text  string
		limit int
		want  []int64
	}{
		{"", 0, []int64{2, 3}},
		{"Red, CARS", 0, []int64{2, 4, 8, 5, 6, 3}},
		{"réd\u200b carports", 0, []int64{2, 4, 5, 7, 6, 3}},
		{"red车car", 0, []int64{2, 4, 9, 5, 3}},
		{"blue cart red", 0, []int64{2, 1, 1, 4, 3}},
		{strings.Repeat("s", 200), 0, []int64{2, 1, 3}},
		{"red red red red", 4, []int64{2, 4, 4, 3}},
		{"carportssss", 4, []int64{2, 5, 7, 3}},
		{"red", 1, []int64{2, 3}},
	} {
		if diff := cmp.Diff(test.want, w.Encode(test.text, test.limit)); diff != "" {
			t.Errorf("%q, %d: -want +got\n%s", test.text, test.limit, diff)
		}
	}
}

// TestWordPieceJSON: a tokenizer.json gives what the same vocab.txt gives, and says itself whether capitals count.
func TestWordPieceJSON(t *testing.T) {
	for _, test := range []struct {
		file string
		want []int64
	}{
		{`{"normalizer":{"lowercase":true},"model":{"type":"WordPiece","vocab":{"[UNK]":1,"[CLS]":2,"[SEP]":3,"red":4}}}`, []int64{2, 4, 3}},
		{`{"normalizer":{"lowercase":false},"model":{"type":"WordPiece","vocab":{"[UNK]":1,"[CLS]":2,"[SEP]":3,"red":4}}}`, []int64{2, 1, 3}},
	} {
		w, err := NewWordPiece(strings.NewReader(test.file))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, w.Encode("RED", 0)); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	}
}

func TestCLIP(t *testing.T) {
	c, err := NewCLIP(strings.NewReader("#version: 0.2\nr e\nre d</w>\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Start() != 514 || c.End() != 515 {
		t.Errorf("start %d and end %d, want 514 and 515", c.Start(), c.End())
	}
	for _, test := range []struct {
		text  string
		limit int
		want  []int64
	}{
		{"", 77, []int64{514, 515}},
		{"RED", 77, []int64{514, 513, 515}},
		{"red re", 77, []int64{514, 513, 81, 256 + 68, 515}},
		{"red red red", 4, []int64{514, 513, 513, 515}},
	} {
		if diff := cmp.Diff(test.want, c.Encode(test.text, test.limit)); diff != "" {
			t.Errorf("%q, %d: -want +got\n%s", test.text, test.limit, diff)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, test := range []struct{ file, want string }{
		{"", "vocabulary of 0 pieces without [CLS]"},
		{"a\nb\n", "vocabulary of 2 pieces without [CLS]"},
		{"[CLS]\n\xff\n", "line 2 is no UTF-8"},
		{`{"model":{"type":"BPE","vocab":{"a":1}}}`, `model of type "BPE": want WordPiece`},
		{`{"model":`, "tokenizer.json: unexpected EOF"},
		{`{"model":{"vocab":{"[CLS]":-1}}}`, `"[CLS]" has the id -1`},
	} {
		if _, err := NewWordPiece(strings.NewReader(test.file)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got %v, want %s", test.file, err, test.want)
		}
	}
	for _, test := range []struct{ file, want string }{
		{"", "no pair of symbols"},
		{"a b c\n", `line 1 is "a b c": want two symbols`},
		{"a b\nabc d\n", `line 2: no line before makes "abc"`},
		{"a b\na b\n", `line 2 repeats "a b"`},
	} {
		if _, err := NewCLIP(strings.NewReader(test.file)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got %v, want %s", test.file, err, test.want)
		}
	}
}

func FuzzEncode(f *testing.F) {
	for _, s := range []string{"", "a red car", "Élan 日本 'll", "\xff\x00", strings.Repeat("a", 3000)} {
		f.Add(s, 5)
	}
	w, err := NewWordPiece(strings.NewReader(small))
	if err != nil {
		f.Fatal(err)
	}
	c := DefaultCLIP()
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit = 2 + max(limit, -limit)%100
		for what, ids := range map[string][]int64{"WordPiece": w.Encode(text, limit), "CLIP": c.Encode(text, limit)} {
			if len(ids) < 2 || len(ids) > limit {
				t.Errorf("%s: %d ids, want 2 to %d", what, len(ids), limit)
			}
			for _, id := range ids {
				if id < 0 || id > c.End() {
					t.Errorf("%s: id %d", what, id)
				}
			}
		}
	})
}

func FuzzVocabulary(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte(`{"model":{"vocab":{"[UNK]":1,"[CLS]":2,"[SEP]":3,"red":4}}}`))
	f.Add([]byte("#version: 0.2\nr e\nre d</w>\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if w, err := NewWordPiece(bytes.NewReader(file)); err == nil {
			w.Encode("a red car", 10)
		}
		if c, err := NewCLIP(bytes.NewReader(file)); err == nil {
			c.Encode("a red car", 10)
		}
	})
}

func BenchmarkWordPiece(b *testing.B) {
	w, err := NewWordPiece(strings.NewReader(small))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		w.Encode("a red car on the road beside two other cars, seen from above", 256)
	}
}

func BenchmarkCLIP(b *testing.B) {
	c := DefaultCLIP()
	for b.Loop() {
		c.Encode("a red car on the road beside two other cars, seen from above", 77)
	}
}
