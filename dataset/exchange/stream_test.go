package exchange_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pixano/dataset/exchange"
)

// walk reads a value by its parts and writes it again.
func walk(s *exchange.Stream, depth int) (string, error) {
	var parts []string
	switch depth {
	case 0:
		raw, err := s.Raw()
		return string(raw), err
	case 1:
		err := s.List(func(int) error {
			part, err := walk(s, 0)
			parts = append(parts, part)
			return err
		})
		return "[" + strings.Join(parts, ",") + "]", err
	}
	err := s.Object(func(key string) error {
		text, _ := json.Marshal(key)
		var part string
		var err error
		if strings.HasPrefix(key, "skip") {
			part, err = "null", s.Skip()
		} else {
			part, err = walk(s, depth-1)
		}
		parts = append(parts, string(text)+":"+part)
		return err
	})
	return "{" + strings.Join(parts, ",") + "}", err
}

// TestStream reads files of all sizes of reads, with marks, long values and what is wrong.
func TestStream(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for _, test := range []struct {
		name, text, want string
		line             int
		err              string
	}{
		{"values", `{"a": [1, -2.5e3, "}]\"\\", {"b": [null]}], "b": []}`, `{"a":[1,-2.5e3,"}]\"\\",{"b": [null]}],"b":[]}`, 1, ""},
		{"mark and lines", "\xef\xbb\xbf{\r\n\"a\": [\r\n1,\r\n2]\r\n}", `{"a":[1,2]}`, 5, ""},
		{"long", `{"a": ["` + long + `", "b"]}`, `{"a":["` + long + `","b"]}`, 1, ""},
		{"skipped", "{\"skip\": [\n{\"x\": \"" + long + "\"}], \"a\": [\n7]}", `{"skip":null,"a":[7]}`, 3, ""},
		{"null", `{"a": null}`, `{"a":[]}`, 1, ""},
		{"cut", "{\"a\": [\n{\"b\": 1,\n\n", "", 2, "not JSON: it ends in the middle of a value"},
		{"cut text", "{\"a\": [\n\"b", "", 2, "not JSON: it ends in the middle of a value"},
		{"cut list", "{\"a\": [1\n", "", 2, "not JSON: it ends in the middle of a value"},
		{"empty", "", "", 1, "not JSON: it ends in the middle of a value"},
		{"no end", "{\"a\": [{\"b\": {\"c\": 1}\n {\"b\": 2}]}", "", 2, "not JSON: invalid character '{' after a value"},
		{"brackets", "{\"a\": [\n[1}]}", "", 2, "not JSON: invalid character '}' where another bracket should close"},
		{"no comma", `{"a": [1 2]}`, "", 1, "not JSON: invalid character '2' where a comma or an end should be"},
		{"comma", `{"a": [1,]}`, "", 1, "not JSON: invalid character ']' looking for beginning of value"},
		{"no key", `{"a": [1], 2}`, "", 1, "not JSON: invalid character '2' looking for a key"},
		{"no colon", `{"a" [1]}`, "", 1, "not JSON: invalid character '[' after a key"},
		{"no list", `{"a": {}}`, "", 1, "want a JSON list"},
		{"no object", `[1]`, "", 1, "want a JSON object"},
		{"bytes", "{\"a\": [\n\x00]}", "", 2, `not JSON: invalid character '\x00' looking for beginning of value`},
		{"deep", `{"a": [` + strings.Repeat("[", 10_001) + "]}", "", 1, "not JSON: invalid character '[' exceeds the depth of values"},
	} {
		for size, r := range map[string]io.Reader{"whole": strings.NewReader(test.text), "half": iotest.HalfReader(strings.NewReader(test.text)),
			"bytes": iotest.OneByteReader(strings.NewReader(test.text))} {
			s := exchange.NewStream(r)
			got, err := walk(s, 2)
			if test.err == "" && err != nil || test.err != "" && (err == nil || err.Error() != test.err) {
				t.Errorf("%s, %s: error %v, want %q", test.name, size, err, test.err)
				continue
			}
			if test.err == "" && got != test.want {
				t.Errorf("%s, %s: got %.100s, want %.100s", test.name, size, got, test.want)
			}
			if s.Line() != test.line {
				t.Errorf("%s, %s: line %d, want %d", test.name, size, s.Line(), test.line)
			}
		}
	}
	broken := errors.New("broken")
	if err := exchange.NewStream(io.MultiReader(strings.NewReader(`{"a": [1`), iotest.ErrReader(broken))).Skip(); !errors.Is(err, broken) {
		t.Errorf("an error of reading is %v", err)
	}
	s := exchange.NewStream(strings.NewReader("{\"a\":\n {\"n\":\n \"text\"}}"))
	var v struct{ A struct{ N int } }
	if err := s.Decode(&v); err == nil || err.Error() != "A.N: want a whole number, have a text" {
		t.Errorf("a value of another type is %v", err)
	}
	if err := exchange.NewStream(strings.NewReader("[1,\n2,\nnull null\n,\n3]")).Decode(new([]int)); err == nil {
		t.Error("what is no JSON inside is decoded")
	}
}

// FuzzStream finds the end of whatever is JSON, and reads its parts.
func FuzzStream(f *testing.F) {
	for _, seed := range []string{`{"a": [1, "b"]}`, "\xef\xbb\xbf1", `{"a": 1}{"b": [}`, "nul", "[1,2", `"\u00`, `{"a": [1, {"b": "]"}], "skip": [[]]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got []string
		for v, err := range exchange.JSONValues(iotest.HalfReader(bytes.NewReader(data))) {
			if err == nil {
				got = append(got, string(v.Value))
			}
		}
		if want := string(bytes.Trim(data, " \t\r\n")); json.Valid(data) && (len(got) != 1 || got[0] != want) {
			t.Errorf("got %q, want %q", got, want)
		}
		text, err := walk(exchange.NewStream(iotest.OneByteReader(bytes.NewReader(data))), 2)
		if err == nil && json.Valid(data) && !json.Valid([]byte(text)) {
			t.Errorf("%q became %q", data, text)
		}
	})
}
