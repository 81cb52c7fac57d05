package main

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTableFits(t *testing.T) {
	wideTable := func() table {
		tab := table{header: []string{"id", "created_at", "updated_at", "coords", "format", "count"}, right: []int{5}}
		tab.add("box_1", "2024-01-02 03:04:05", "2024-01-02 03:04:05", "[0.123456, 0.234567, 0.345678, 0.456789]", "xywh", "7")
		tab.add("日本語", "2024-01-02 03:04:05", "2024-01-02 03:04:05", "[]", "a\x1b[31mb\n", "12345")
		return tab
	}
	tests := []struct {
		width int
		want  string
	}{
		{0, `
id      created_at           updated_at           coords                                    format        count
box_1   2024-01-02 03:04:05  2024-01-02 03:04:05  [0.123456, 0.234567, 0.345678, 0.456789]  xywh              7
日本語  2024-01-02 03:04:05  2024-01-02 03:04:05  []                                        a\x1b[31mb\n  12345
`},
		{90, `
id      updated_at           coords                                    format        count
box_1   2024-01-02 03:04:05  [0.123456, 0.234567, 0.345678, 0.456789]  xywh              7
日本語  2024-01-02 03:04:05  []                                        a\x1b[31mb\n  12345
not shown: created_at
`},
		{48, `
id      coords               format        count
box_1   [0.123456, 0.23456…  xywh              7
日本語  []                   a\x1b[31mb\n  12345
not shown: created_at, updated_at
`},
		{20, `
id      coords    format
box_1   [0.1234…  xywh
日本語  []        a\x1b[3…
not shown: created_…
`},
	}
	for _, test := range tests {
		var out bytes.Buffer
		p := &printer{w: bufio.NewWriter(&out), width: test.width}
		p.table(wideTable())
		if err := p.flush(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.TrimPrefix(test.want, "\n"), out.String()); diff != "" {
			t.Errorf("width %d (-want +got):\n%s", test.width, diff)
		}
	}
}

// TestSentences prints a last column that is never cut.
func TestSentences(t *testing.T) {
	for _, width := range []int{0, 30} {
		var out bytes.Buffer
		p := &printer{w: bufio.NewWriter(&out), width: width}
		tab := table{header: []string{"a", "COUNT", "WHY"}, right: []int{1}, sentences: true}
		tab.add("tracks.view_ref", "6", "an import sets it to the view of the first annotation")
		p.table(tab)
		if err := p.flush(); err != nil {
			t.Fatal(err)
		}
		want := "a                COUNT  WHY\ntracks.view_ref      6  an import sets it to the view of the first annotation\n"
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("width %d (-want +got):\n%s", width, diff)
		}
	}
}

func TestColour(t *testing.T) {
	for _, test := range []struct {
		colour bool
		want   string
	}{
		{true, "\x1b[1mtitle\x1b[0m\n\x1b[2ma\x1b[0m  \x1b[2mb\x1b[0m\n1  2\n"},
		{false, "title\na  b\n1  2\n"},
	} {
		var out bytes.Buffer
		p := &printer{w: bufio.NewWriter(&out), colour: test.colour}
		p.heading("title")
		tab := table{header: []string{"a", "b"}}
		tab.add("1", "2")
		p.table(tab)
		p.flush()
		if diff := cmp.Diff(test.want, out.String()); diff != "" {
			t.Errorf("colour %v (-want +got):\n%s", test.colour, diff)
		}
	}
}

func TestCell(t *testing.T) {
	tests := []struct {
		value any
		want  string
	}{
		{nil, "null"},
		{"a\tb", "a\tb"}, // cleaned when printed
		{[]byte("abc"), "<3 bytes>"},
		{float32(0.1), "0.1"},
		{-1234567.0, "-1.23457e+06"},
		{int64(7), "7"},
		{true, "true"},
		{time.Date(2024, 1, 2, 0, 0, 0, 0, time.UTC), "2024-01-02"},
		{time.Date(2024, 1, 2, 3, 4, 5, 678, time.UTC), "2024-01-02 03:04:05"},
		{[]float64{1, 2, 3, 4, 5, 6}, "[1, 2, 3, 4, 5, 6]"},
		{[]float64{1, 2, 3, 4, 5, 6, 7}, "[1, 2, 3, …] (7)"},
		{[]any{"a", nil}, "[a, null]"},
		{[]string{}, "[]"},
		{[]uint16{1, 2}, "[1 2]"},
	}
	for _, test := range tests {
		if got := cell(test.value); got != test.want {
			t.Errorf("%v: got %s, want %s", test.value, got, test.want)
		}
	}
}
