package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/apache/arrow-go/v18/arrow"
	"golang.org/x/term"

	"pixano/dataset"
	"pixano/search"
)

const none = "–" // what is not there

// printer writes for people: aligned, coloured and cut to width on a terminal only.
type printer struct {
	w      *bufio.Writer
	width  int // columns of the terminal; 0: unlimited
	colour bool
}

// newPrinter looks at where the output goes. See https://no-color.org for NO_COLOR.
func newPrinter(w io.Writer) *printer {
	p := &printer{w: bufio.NewWriter(w)}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.width, _, _ = term.GetSize(int(f.Fd()))
		p.colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	return p
}

func (p *printer) flush() error { return p.w.Flush() }

func (p *printer) line(s string) { fmt.Fprintln(p.w, s) }

func (p *printer) styled(code, s string) string {
	if !p.colour || code == "" || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p *printer) heading(s string) { p.line(p.styled("1", clean(s))) }
func (p *printer) dim(s string)     { p.line(p.styled("2", clean(s))) }

// hits prints what a search found, with the columns that any of it has a value for.
func (p *printer) hits(hits []search.Hit) {
	near := slices.ContainsFunc(hits, func(h search.Hit) bool { return h.VectorRank > 0 })
	scored := slices.ContainsFunc(hits, func(h search.Hit) bool { return h.WordsRank > 0 })
	t := table{header: []string{"ITEM", "ROW"}}
	column := func(name string) {
		t.right = append(t.right, len(t.header))
		t.header = append(t.header, name)
	}
	if near {
		column("DISTANCE")
	}
	if scored {
		column("SCORE")
	}
	for _, h := range hits {
		cells := []string{h.ItemID, h.ID}
		if near && h.VectorRank > 0 {
			cells = append(cells, formatFloat(h.Distance))
		} else if near {
			cells = append(cells, none)
		}
		if scored {
			cells = append(cells, formatFloat(float64(float32(h.Score))))
		}
		t.add(cells...)
	}
	p.table(t)
	if len(hits) == 0 {
		p.line("no hits")
	}
}

// table is a table of text. Cells may hold anything; they are cleaned when printed.
type table struct {
	header []string
	right  []int // the columns that are aligned to the right
	rows   [][]string

	sentences bool // the last column has sentences: they are never cut, a terminal wraps them
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

const (
	gap      = 2  // spaces between columns
	maxCell  = 40 // a wider cell is cut
	minCell  = 8  // to fit a terminal, columns are not made narrower than this
	ellipsis = "…"
)

// table prints a table. What a terminal has no room for is cut: first wide cells, then time stamps that every table
// has, then the last columns; a line says which.
func (p *printer) table(t table) {
	widths := make([]int, len(t.header))
	for c, name := range t.header {
		widths[c] = textWidth(name)
	}
	for _, row := range t.rows {
		for c := range row {
			row[c] = clean(row[c])
			if !t.sentences || c < len(row)-1 {
				widths[c] = max(widths[c], min(textWidth(row[c]), maxCell))
			}
		}
	}
	shown, hidden := p.fit(t, widths)
	write := func(cells []string, style string) {
		var b strings.Builder
		for i, c := range shown {
			last := i == len(shown)-1
			text := cells[c]
			if !t.sentences || !last {
				text = cut(text, widths[c])
			}
			pad := strings.Repeat(" ", max(0, widths[c]-textWidth(text)))
			switch {
			case slices.Contains(t.right, c):
				text = pad + p.styled(style, text)
			case last:
				text = p.styled(style, text)
			default:
				text = p.styled(style, text) + pad
			}
			b.WriteString(text)
			if !last {
				b.WriteString(strings.Repeat(" ", gap))
			}
		}
		p.line(strings.TrimRight(b.String(), " "))
	}
	if len(t.rows) == 0 {
		return
	}
	write(t.header, "2")
	for _, row := range t.rows {
		write(row, "")
	}
	if len(hidden) > 0 {
		p.dim(cut("not shown: "+strings.Join(hidden, ", "), p.width))
	}
}

// fit chooses the columns to show and narrows their widths to the terminal's.
func (p *printer) fit(t table, widths []int) (shown []int, hidden []string) {
	for c := range t.header {
		shown = append(shown, c)
	}
	total := func() int {
		n := gap * (len(shown) - 1)
		for _, c := range shown {
			n += widths[c]
		}
		return n
	}
	hide := func(i int) {
		hidden = append(hidden, t.header[shown[i]])
		shown = slices.Delete(shown, i, i+1)
	}
	if p.width == 0 {
		return shown, nil
	}
	for _, stamp := range []string{"created_at", "updated_at"} {
		if total() > p.width && len(shown) > 1 {
			if i := slices.IndexFunc(shown, func(c int) bool { return t.header[c] == stamp }); i >= 0 {
				hide(i)
			}
		}
	}
	for total() > p.width {
		widest := slices.MaxFunc(shown, func(a, b int) int { return widths[a] - widths[b] })
		switch {
		case widths[widest] > 2*minCell:
			widths[widest]--
		case len(shown) > 3:
			hide(len(shown) - 1)
		case widths[widest] > minCell:
			widths[widest]--
		default:
			return shown, hidden
		}
	}
	return shown, hidden
}

// cut shortens a text to a width and marks that it did.
func cut(s string, width int) string {
	if width <= 0 || textWidth(s) <= width {
		return s
	}
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n += runeWidth(r); n > width-1 {
			break
		}
		b.WriteRune(r)
	}
	return b.String() + ellipsis
}

// clean makes a text fit for one line of a terminal: control characters, which could also steer it, are escaped.
func clean(s string) string {
	plain := func(r rune) bool { return unicode.IsPrint(r) || unicode.Is(unicode.Mn, r) }
	if strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if plain(r) {
			b.WriteRune(r)
		} else {
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		}
	}
	return b.String()
}

func textWidth(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

// wide are the ranges that terminals draw two columns wide (East Asian Width W and F of Unicode, in outline).
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x1100, Hi: 0x115f, Stride: 1}, {Lo: 0x2e80, Hi: 0x303e, Stride: 1}, {Lo: 0x3041, Hi: 0xa4cf, Stride: 1},
		{Lo: 0xac00, Hi: 0xd7a3, Stride: 1}, {Lo: 0xf900, Hi: 0xfaff, Stride: 1}, {Lo: 0xfe30, Hi: 0xfe6f, Stride: 1},
		{Lo: 0xff00, Hi: 0xff60, Stride: 1}, {Lo: 0xffe0, Hi: 0xffe6, Stride: 1},
	},
	R32: []unicode.Range32{{Lo: 0x1f300, Hi: 0x1faff, Stride: 1}, {Lo: 0x20000, Hi: 0x3fffd, Stride: 1}},
}

func runeWidth(r rune) int {
	switch {
	case unicode.Is(unicode.Mn, r):
		return 0
	case unicode.Is(wide, r):
		return 2
	}
	return 1
}

func numeric(t arrow.DataType) bool {
	return arrow.IsInteger(t.ID()) || arrow.IsFloating(t.ID())
}

// cell is a value as people read it: references as table/id, binary by its size, long lists by their beginning.
func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return v
	case []byte:
		return fmt.Sprintf("<%d bytes>", len(v))
	case float32:
		return formatFloat(float64(v))
	case float64:
		return formatFloat(v)
	case time.Time:
		if v.Hour() == 0 && v.Minute() == 0 && v.Second() == 0 {
			return v.Format("2006-01-02")
		}
		return v.Format("2006-01-02 15:04:05")
	case dataset.Row:
		return structCell(v)
	case []float32:
		return listCell(v)
	case []float64:
		return listCell(v)
	case []int64:
		return listCell(v)
	case []string:
		return listCell(v)
	case []bool:
		return listCell(v)
	case []any:
		return listCell(v)
	}
	return fmt.Sprint(v)
}

func structCell(r dataset.Row) string {
	names := r.Columns()
	if slices.Equal(names, []string{"name", "id"}) {
		if name, id := cell(r.At(0)), cell(r.At(1)); name != "" || id != "" {
			return name + "/" + id
		}
		return none
	}
	parts := make([]string, 0, len(names))
	for name, v := range r.All() {
		parts = append(parts, name+" "+cell(v))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// listCell shows a list whole when it is short, else its beginning and its length.
func listCell[T any](list []T) string {
	const whole, beginning = 6, 3
	show := list
	if len(list) > whole {
		show = list[:beginning]
	}
	parts := make([]string, len(show))
	for i, v := range show {
		parts[i] = cell(v)
	}
	text := "[" + strings.Join(parts, ", ")
	if len(show) < len(list) {
		return text + fmt.Sprintf(", %s] (%d)", ellipsis, len(list))
	}
	return text + "]"
}

// formatFloat gives six significant digits, enough to tell rows apart.
func formatFloat(f float64) string { return strconv.FormatFloat(f, 'g', 6, 64) }
