package dataset

import (
	"encoding/hex"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
)

// A filter reaches the engine only after it was read word by word here: every name must be a column, every bracket
// closed, and what could end the condition early (a comment, a second statement) is refused. So a condition can be
// put in parentheses and joined with others, and a mistake is reported with the table's own column names.

type tokenKind int

const (
	wordToken   tokenKind = iota // a bare name or keyword
	nameToken                    // a name in double quotes or backticks, text without them
	stringToken                  // a string literal, text with its quotes
	numberToken
	paramToken // ?
	countToken // #table, text without the sign
	opToken    // anything else; brackets and commas are one character
)

type token struct {
	kind tokenKind
	text string
	pos  int // byte offset in the source
}

// lex splits a condition or an order into tokens.
func lex(s string) ([]token, error) {
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("%q is not UTF-8", s)
	}
	var tokens []token
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		start := i
		switch {
		case unicode.IsSpace(r):
			i += size
			continue
		case r == '\'' || r == '"' || r == '`':
			text, end, err := lexQuoted(s, i)
			if err != nil {
				return nil, err
			}
			i = end
			if r == '\'' {
				tokens = append(tokens, token{stringToken, s[start:end], start})
			} else if text == "" {
				return nil, fmt.Errorf("at %d: empty name in quotes", start)
			} else {
				tokens = append(tokens, token{nameToken, text, start})
			}
			continue
		case isWordStart(r):
			for i < len(s) {
				r, size := utf8.DecodeRuneInString(s[i:])
				if !isWordStart(r) && !unicode.IsDigit(r) {
					break
				}
				i += size
			}
			tokens = append(tokens, token{wordToken, s[start:i], start})
			continue
		case isDigit(r) || r == '.' && i+1 < len(s) && isDigit(rune(s[i+1])):
			i = lexNumber(s, i)
			if next, _ := utf8.DecodeRuneInString(s[i:]); i < len(s) && (isWordStart(next) || next == '.') {
				return nil, fmt.Errorf("at %d: %q is not a number", start, s[start:i]+string(next))
			}
			tokens = append(tokens, token{numberToken, s[start:i], start})
			continue
		case r == '?':
			tokens = append(tokens, token{paramToken, "?", start})
		case r == '#':
			for i++; i < len(s) && isTableByte(s[i]); i++ {
			}
			tokens = append(tokens, token{countToken, s[start+1 : i], start})
			continue
		case strings.HasPrefix(s[i:], "--") || strings.HasPrefix(s[i:], "/*"):
			return nil, fmt.Errorf("at %d: a condition holds no comments", i)
		case strings.ContainsRune("()[],.", r):
			tokens = append(tokens, token{opToken, s[start : i+1], start})
		case strings.ContainsRune("=<>!+-*/%|~:", r):
			for size = 1; i+size < len(s) && size < 3 && strings.ContainsRune("=<>|~:*", rune(s[i+size])) && s[i+size-1:i+size+1] != "/*"; {
				size++
			}
			tokens = append(tokens, token{opToken, s[start : i+size], start})
		default:
			return nil, fmt.Errorf("at %d: unexpected %q", i, r)
		}
		i += size
	}
	return tokens, nil
}

func isWordStart(r rune) bool { return r == '_' || unicode.IsLetter(r) }
func isDigit(r rune) bool     { return '0' <= r && r <= '9' }

// isTableByte reports whether a table's name may hold a byte.
func isTableByte(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '_' || b == '.' || b == '-'
}

// lexQuoted reads a quoted text at s[i:], in which the doubled quote stands for itself.
func lexQuoted(s string, i int) (text string, end int, err error) {
	quote := s[i]
	var b strings.Builder
	for j := i + 1; j < len(s); j++ {
		if s[j] != quote {
			b.WriteByte(s[j])
			continue
		}
		if j+1 == len(s) || s[j+1] != quote {
			return b.String(), j + 1, nil
		}
		b.WriteByte(quote)
		j++
	}
	return "", 0, fmt.Errorf("at %d: a quote %c is not closed", i, quote)
}

func lexNumber(s string, i int) int {
	digits := func() {
		for i < len(s) && isDigit(rune(s[i])) {
			i++
		}
	}
	digits()
	if i < len(s) && s[i] == '.' {
		i++
		digits()
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		j := i + 1
		if j < len(s) && (s[j] == '+' || s[j] == '-') {
			j++
		}
		if j < len(s) && isDigit(rune(s[j])) {
			i = j
			digits()
		}
	}
	return i
}

// keywords are the bare words of a condition that name no column. A column of such a name is written in quotes.
var keywords = set("and", "or", "not", "in", "is", "null", "like", "ilike", "between", "true", "false", "escape",
	"case", "when", "then", "else", "end", "distinct", "from", "unknown", "as")

// literals are the words that may stand before a string: TIMESTAMP '2020-03-10 00:00:00', X'00ff'.
var literals = set("timestamp", "date", "time", "interval", "x")

func set(words ...string) map[string]bool {
	m := make(map[string]bool, len(words))
	for _, w := range words {
		m[w] = true
	}
	return m
}

// bindFilter checks a condition against the columns and puts the arguments in place of its question marks.
// The result is balanced, so that it may be put in parentheses. A blank condition gives "".
func bindFilter(where string, args []any, schema *arrow.Schema) (string, error) {
	tokens, err := lex(where)
	if err != nil {
		return "", err
	}
	var (
		out    []string
		open   []string // brackets that wait for their other half
		casts  []int    // depths at which a CAST names its type
		used   int
		isType = func(i int) bool {
			if i > 0 && tokens[i-1].text == "::" {
				return true
			}
			return len(casts) > 0 && len(open) >= casts[len(casts)-1]
		}
		next = func(i int) token {
			if i+1 < len(tokens) {
				return tokens[i+1]
			}
			return token{kind: opToken}
		}
	)
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		lower := strings.ToLower(t.text)
		switch {
		case t.kind == paramToken:
			if used == len(args) {
				return "", fmt.Errorf("at %d: %d values for the question marks are too few", t.pos, len(args))
			}
			q, err := quote(args[used])
			if err != nil {
				return "", fmt.Errorf("value %d: %w", used+1, err)
			}
			used++
			out = append(out, q)
		case t.kind == wordToken && isType(i):
			out = append(out, t.text)
		case t.kind == wordToken && lower == "as":
			casts = append(casts, len(open))
			out = append(out, t.text)
		case t.kind == wordToken && keywords[lower],
			t.kind == wordToken && next(i).kind == stringToken && literals[lower],
			t.kind == wordToken && next(i).text == "(" && next(i).kind == opToken:
			out = append(out, t.text)
			if lower == "x" && next(i).kind == stringToken { // X'00' is one word to the engine
				i++
				out[len(out)-1] += tokens[i].text
			}
		case t.kind == wordToken || t.kind == nameToken:
			path := []string{t.text}
			for next(i).text == "." && next(i).kind == opToken && i+2 < len(tokens) &&
				(tokens[i+2].kind == wordToken || tokens[i+2].kind == nameToken) {
				path = append(path, tokens[i+2].text)
				i += 2
			}
			column, err := resolve(schema, path)
			if err != nil {
				if t.kind == nameToken && where[t.pos] == '"' {
					return "", fmt.Errorf("at %d: %w; a text is written in single quotes", t.pos, err)
				}
				return "", fmt.Errorf("at %d: %w", t.pos, err)
			}
			out = append(out, column.sql())
		case t.kind == countToken:
			return "", fmt.Errorf("at %d: unexpected \"#%s\": a number of rows is for the order", t.pos, t.text)
		case t.kind == opToken:
			switch t.text {
			case "(", "[":
				open = append(open, t.text)
			case ")", "]":
				if len(open) == 0 || (open[len(open)-1] == "(") != (t.text == ")") {
					return "", fmt.Errorf("at %d: %q closes nothing", t.pos, t.text)
				}
				open = open[:len(open)-1]
				if len(casts) > 0 && len(open) < casts[len(casts)-1] {
					casts = casts[:len(casts)-1]
				}
			}
			out = append(out, t.text)
		default:
			out = append(out, t.text)
		}
	}
	switch {
	case len(open) > 0:
		return "", fmt.Errorf("%q is not closed", open[len(open)-1])
	case used < len(args):
		return "", fmt.Errorf("%d values for %d question marks", len(args), used)
	}
	return strings.Join(out, " "), nil
}

// column is a column, or a field inside a struct column, by its exact names.
type column struct {
	path []string
	typ  arrow.DataType
}

func (c column) String() string { return strings.Join(c.path, ".") }

// sql gives the column as the engine's filters name it. Backticks keep capitals and words of the language.
func (c column) sql() string {
	parts := make([]string, len(c.path))
	for i, p := range c.path {
		parts[i] = "`" + strings.ReplaceAll(p, "`", "``") + "`"
	}
	return strings.Join(parts, ".")
}

// resolve finds a column by path. Upper and lower case are the same unless two columns differ in nothing else.
func resolve(schema *arrow.Schema, path []string) (column, error) {
	fields := schema.Fields()
	c := column{}
	for depth, want := range path {
		found := -1
		for i, f := range fields {
			if f.Name == want {
				found = i
				break
			}
			if strings.EqualFold(f.Name, want) {
				if found >= 0 {
					return column{}, fmt.Errorf("column %q may be %q or %q", want, fields[found].Name, f.Name)
				}
				found = i
			}
		}
		if found < 0 {
			where := "no column"
			if depth > 0 {
				where = fmt.Sprintf("column %q has no field", c)
			}
			return column{}, fmt.Errorf("%s %q: want one of %s", where, want, fieldNames(fields))
		}
		c.path = append(c.path, fields[found].Name)
		c.typ = fields[found].Type
		fields = nil
		if s, ok := c.typ.(*arrow.StructType); ok {
			fields = s.Fields()
		} else if depth+1 < len(path) {
			return column{}, fmt.Errorf("column %q of type %s has no fields", c, c.typ)
		}
	}
	return c, nil
}

func fieldNames(fields []arrow.Field) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return strings.Join(names, ", ")
}

// quote writes a Go value as a literal of the engine's filters. It is the only way for a value into a filter.
//
// It takes nil, booleans, integers, finite floats, strings, []byte and [time.Time] (as the wall clock of its own
// location, as times are stored), types based on them, pointers to them (nil is NULL), and slices of them, which
// become a list for IN.
func quote(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "NULL", nil
	case time.Time:
		return "TIMESTAMP '" + v.Format("2006-01-02 15:04:05.000000") + "'", nil
	case []byte:
		return "X'" + hex.EncodeToString(v) + "'", nil
	}
	rv := reflect.ValueOf(v)
	switch rv.Kind() {
	case reflect.Bool:
		if rv.Bool() {
			return "TRUE", nil
		}
		return "FALSE", nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return negative(strconv.FormatInt(rv.Int(), 10)), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.FormatUint(rv.Uint(), 10), nil
	case reflect.Float32, reflect.Float64:
		f := rv.Float()
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return "", fmt.Errorf("%v: want a finite number", f)
		}
		// A whole number is written without a fraction: the engine takes 1 for a double column, but not 1.0 for an integer one.
		return negative(strconv.FormatFloat(f, 'g', -1, 64)), nil
	case reflect.String:
		s := rv.String()
		if !utf8.ValidString(s) {
			return "", fmt.Errorf("%q is not UTF-8", s)
		}
		return "'" + strings.ReplaceAll(s, "'", "''") + "'", nil
	case reflect.Pointer:
		if rv.IsNil() {
			return "NULL", nil
		}
		return quote(rv.Elem().Interface())
	case reflect.Slice, reflect.Array:
		if rv.Len() == 0 {
			return "", fmt.Errorf("an empty list: want at least one value")
		}
		parts := make([]string, rv.Len())
		for i := range parts {
			q, err := quote(rv.Index(i).Interface())
			if err != nil {
				return "", err
			}
			parts[i] = q
		}
		return "(" + strings.Join(parts, ", ") + ")", nil
	}
	return "", fmt.Errorf("%T: want a boolean, number, string, []byte, time.Time or a list of them", v)
}

// negative puts a negative number in parentheses: after a minus sign it would begin a comment.
func negative(number string) string {
	if strings.HasPrefix(number, "-") {
		return "(" + number + ")"
	}
	return number
}

// order is one key of a sort: a column, or for items the number of their rows in a table.
type order struct {
	column     column
	table      string // "": a column
	descending bool
}

// parseOrder reads "column [asc|desc], #table [asc|desc], ...". Whether tables exist is not checked.
func parseOrder(s string, schema *arrow.Schema) ([]order, error) {
	tokens, err := lex(s)
	if err != nil || len(tokens) == 0 {
		return nil, err
	}
	var keys []order
	for i := 0; ; i++ {
		key, next, err := parseKey(s, tokens, i, schema)
		if err != nil {
			return nil, err
		}
		i = next
		if i < len(tokens) && tokens[i].kind == wordToken {
			switch strings.ToLower(tokens[i].text) {
			case "asc":
			case "desc":
				key.descending = true
			default:
				return nil, fmt.Errorf("%s: order %q: want asc or desc", key, tokens[i].text)
			}
			i++
		}
		keys = append(keys, key)
		if i == len(tokens) {
			return keys, nil
		}
		if tokens[i].text != "," || tokens[i].kind != opToken {
			return nil, fmt.Errorf("at %d: unexpected %q: want a comma", tokens[i].pos, tokens[i].text)
		}
	}
}

// parseKey reads a column or #table at tokens[i], and returns where it ends.
func parseKey(s string, tokens []token, i int, schema *arrow.Schema) (key order, next int, err error) {
	if i < len(tokens) && tokens[i].kind == countToken {
		if key.table = tokens[i].text; key.table == "" {
			return key, i, fmt.Errorf("at %d: want the name of a table after #", tokens[i].pos)
		}
		return key, i + 1, nil
	}
	var path []string
	for {
		if i == len(tokens) || tokens[i].kind != wordToken && tokens[i].kind != nameToken {
			return key, i, fmt.Errorf("%q: want columns or #table, each with an optional asc or desc", s)
		}
		path = append(path, tokens[i].text)
		i++
		if i == len(tokens) || tokens[i].text != "." || tokens[i].kind != opToken {
			break
		}
		i++
	}
	if key.column, err = resolve(schema, path); err != nil {
		return key, i, err
	}
	if nested(key.column.typ) {
		return key, i, fmt.Errorf("%s: values of type %s have no order", key, key.column.typ)
	}
	return key, i, nil
}

func (o order) String() string {
	if o.table != "" {
		return "#" + o.table
	}
	return fmt.Sprintf("column %q", o.column.String())
}

func nested(t arrow.DataType) bool {
	switch t.ID() {
	case arrow.STRUCT, arrow.LIST, arrow.LARGE_LIST, arrow.FIXED_SIZE_LIST, arrow.MAP:
		return true
	}
	return false
}
