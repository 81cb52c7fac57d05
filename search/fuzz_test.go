package search

import (
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
)

func FuzzFunctionOf(f *testing.F) {
	f.Add("t", `[{"name":"pixano_x_t_open-clip","model":{"a":1},"source_column":"view_ref","vector_column":"vector"}]`)
	f.Add("t(", `[{"name":""}]`)
	f.Add("", `{}`)
	f.Fuzz(func(t *testing.T, table, text string) {
		metadata := arrow.NewMetadata([]string{functionsKey}, []string{text})
		columns := arrow.NewSchema([]arrow.Field{{Name: "vector", Type: arrow.FixedSizeListOf(3, arrow.PrimitiveTypes.Float32)}}, &metadata)
		function, ok, err := FunctionOf(table, columns)
		if ok && (err != nil || function.Name == "") || !ok && function.Name != "" {
			t.Errorf("got %+v, %v, %v", function, ok, err)
		}
	})
}

func FuzzWords(f *testing.F) {
	f.Add("A red, RED car!", "red car")
	f.Add("Été\xff 東京", "été")
	f.Fuzz(func(t *testing.T, text, query string) {
		m := newMatcher(query, false, true)
		counts := make([]uint16, len(m.numbers))
		length, together := m.match(text, counts)
		words := wordsOf(text)
		if length != len(words) {
			t.Errorf("got %d words, want %q", length, words)
		}
		want := strings.Contains(" "+strings.Join(words, " ")+" ", " "+strings.Join(wordsOf(query), " ")+" ")
		if len(m.sequence) > 0 && together != want {
			t.Errorf("the phrase %q in %q: got %v, want %v", wordsOf(query), words, together, want)
		}
	})
}
