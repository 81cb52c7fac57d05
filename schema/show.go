package schema

import (
	"fmt"
	"html"
	"reflect"
	"strings"
)

// Shown is a table to look at. A notebook displays it by its HTML method; String gives the same as text.
type Shown struct {
	header []string
	rows   [][]string
	note   string
}

const (
	maxShownRows = 50
	maxShownCell = 80 // characters of a cell
)

// Show makes a table of what it is given, for display in a notebook: a row, a slice of rows, a [Class] or a
// [DatasetSchema]. It shows the first 50 rows and cuts long cells. What it cannot show it says.
func Show(v any) Shown {
	switch v := v.(type) {
	case *Class:
		return showClass(v)
	case *DatasetSchema:
		return showSchema(v)
	}
	rv := reflect.ValueOf(v)
	if rv.Kind() == reflect.Pointer && rv.Elem().Kind() == reflect.Slice {
		rv = rv.Elem()
	}
	if rv.Kind() != reflect.Slice {
		return showRows([]any{v}, 1)
	}
	rows := make([]any, 0, maxShownRows)
	for i := range min(rv.Len(), maxShownRows) {
		rows = append(rows, rv.Index(i).Interface())
	}
	return showRows(rows, rv.Len())
}

func showRows(rows []any, total int) Shown {
	var s Shown
	for _, row := range rows {
		r, err := openView(row)
		if err != nil {
			return Shown{note: err.Error()}
		}
		if s.header == nil {
			for _, f := range r.fields() {
				s.header = append(s.header, f.Name)
			}
		}
		cells := make([]string, 0, len(s.header))
		for i, f := range r.fields() {
			text := string(appendValue(nil, shownForm, f.Type, r.at(i)))
			if f.Type == (FieldType{Name: TypeStr}) {
				text = r.at(i).String()
			}
			cells = append(cells, cut(strings.Trim(text, `"`)))
		}
		s.rows = append(s.rows, cells)
	}
	if total > len(rows) {
		s.note = fmt.Sprintf("%d of %d rows", len(rows), total)
	}
	if total == 0 {
		s.note = "no rows"
	}
	return s
}

func showClass(c *Class) Shown {
	s := Shown{header: []string{"column", "type"}, note: c.Name + ", a " + c.Base}
	for _, f := range c.Fields {
		s.rows = append(s.rows, []string{f.Name, f.Type.String()})
	}
	return s
}

func showSchema(d *DatasetSchema) Shown {
	s := Shown{header: []string{"table", "group", "class", "base", "per item", "own columns"}}
	for _, t := range d.tables {
		count := "one"
		if d.Many(t.name) {
			count = "many"
		}
		s.rows = append(s.rows, []string{t.name, string(t.class.Group()), t.class.Name, t.class.Base, count, ownColumns(t.class)})
	}
	return s
}

// ownColumns names the columns that a class adds to its base.
func ownColumns(c *Class) string {
	b, ok := builtinsByName[c.Base]
	if !ok {
		return ""
	}
	base, err := PlanOf(b.typ)
	if err != nil {
		return ""
	}
	var names []string
	for _, f := range c.Fields {
		if base.index(f.Name) < 0 {
			names = append(names, f.Name)
		}
	}
	return strings.Join(names, ", ")
}

func cut(text string) string {
	runes := []rune(text)
	if len(runes) <= maxShownCell {
		return text
	}
	return string(runes[:maxShownCell-1]) + "…"
}

// HTML returns the table as HTML.
func (s Shown) HTML() string {
	var b strings.Builder
	b.WriteString("<table><thead><tr>")
	for _, h := range s.header {
		b.WriteString("<th>" + html.EscapeString(h) + "</th>")
	}
	b.WriteString("</tr></thead><tbody>")
	for _, row := range s.rows {
		b.WriteString("<tr>")
		for _, cell := range row {
			b.WriteString("<td>" + html.EscapeString(cell) + "</td>")
		}
		b.WriteString("</tr>")
	}
	b.WriteString("</tbody></table>")
	if s.note != "" {
		b.WriteString("<p>" + html.EscapeString(s.note) + "</p>")
	}
	return b.String()
}

// String returns the table as text, columns separated by tabs.
func (s Shown) String() string {
	lines := make([]string, 0, len(s.rows)+2)
	if s.header != nil {
		lines = append(lines, strings.Join(s.header, "\t"))
	}
	for _, row := range s.rows {
		lines = append(lines, strings.Join(row, "\t"))
	}
	if s.note != "" {
		lines = append(lines, s.note)
	}
	return strings.Join(lines, "\n")
}

// HTML returns the row as a table for display in a notebook.
func (d Dynamic) HTML() string { return Show(d).HTML() }

// HTML returns the class's columns as a table for display in a notebook.
func (c *Class) HTML() string { return Show(c).HTML() }

// HTML returns the tables as a table for display in a notebook.
func (s *DatasetSchema) HTML() string { return Show(s).HTML() }
