package dataset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/apache/arrow-go/v18/arrow"

	"pixano/internal/lance"
)

// Limits bound what a query of [Dataset.SQL] may take. The zero value is the default. See [Dataset.WithLimits].
type Limits struct {
	// Time is how long a query may run, from its start to its last row. What takes longer matches
	// [context.DeadlineExceeded]. 0: as long as its context lasts.
	Time time.Duration

	// Memory is what sorting, joining and grouping may hold, in bytes. Sorts and joins go on in temporary files beyond
	// it; what cannot is an error. 0: 1 GiB.
	Memory int64
}

// defaultMemory is Limits.Memory where none is given.
const defaultMemory = 1 << 30

// WithLimits returns a handle of the same dataset whose SQL has other limits.
func (d *Dataset) WithLimits(l Limits) *Dataset {
	h := *d
	h.limits = l
	return &h
}

// SQLResult is the running result of a query of [Dataset.SQL]. Its methods may be called by one goroutine at a time.
type SQLResult struct {
	reader *lance.Reader
}

// SQL starts one query in SQL, in the dialect of Apache DataFusion, over all tables of the dataset: SELECT, WITH, VALUES
// or EXPLAIN. It only reads, and nothing but the tables. The caller closes the result.
//
//	SELECT split, count(*) AS boxes FROM bboxes b JOIN item i ON b.item_ref.id = i.id WHERE confidence > ? GROUP BY split
//
// args are the values for the question marks outside of quotes and comments, as [Query].Args; they never become part of
// the statement otherwise. Names are taken in small letters unless they stand in double quotes, as those of tables with
// a dot or a dash must. The fields of a reference are written item_ref.id.
//
// All tables are seen in one state. Memory is that of a few batches and what the query itself needs, see [Limits]; it
// ends with its context. A statement that cannot be understood, and one that changes something, is ErrQuery or
// ErrUnsupported.
func (d *Dataset) SQL(ctx context.Context, query string, args ...any) (*SQLResult, error) {
	const op = "sql"
	fail := func(err error) error { return &Error{Op: op, Err: err} }
	bound, err := bindSQL(query, args)
	if err != nil {
		return nil, fail(queryError(err))
	}
	limits := d.limits
	var r *lance.Reader
	err = d.read(ctx, op, func(v *view) error {
		tables := map[string]*lance.Table{}
		var names []string
		for _, info := range d.meta.Load().tables {
			names = append(names, info.Name)
			// A table that the query does not mention need not be readable.
			if !strings.Contains(strings.ToLower(query), strings.ToLower(info.Name)) {
				continue
			}
			t, err := v.table(ctx, info.Name)
			if err != nil {
				return err
			}
			tables[info.Name] = t
		}
		r, err = lance.SQL(ctx, bound, tables, &lance.SQLOptions{Time: limits.Time, MemoryBytes: cmp.Or(limits.Memory, defaultMemory)})
		if err != nil {
			return fail(sqlError(err, names))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &SQLResult{reader: r}, nil
}

// sqlError makes the engine's error about a statement one of the dataset.
func sqlError(err error, tables []string) error {
	e, ok := errors.AsType[*lance.Error](err)
	if !ok || !errors.Is(err, ErrQuery) && !errors.Is(err, ErrNotFound) {
		return err
	}
	text := strings.ReplaceAll(e.Message, "datafusion.public.", "")
	if errors.Is(err, ErrNotFound) || strings.HasPrefix(text, "table '") {
		text += ": want one of " + strings.Join(tables, ", ")
	}
	return &kindError{ErrQuery, text, err}
}

// Schema returns the columns of the result with their Arrow types.
func (r *SQLResult) Schema() *arrow.Schema { return r.reader.Schema() }

// Batches yields what is left of the result as Arrow record batches. An error is the last pair. A batch belongs to the
// caller.
func (r *SQLResult) Batches(ctx context.Context) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for batch, err := range r.reader.All(ctx) {
			if err != nil {
				err = &Error{Op: "sql", Err: sqlError(err, nil)}
			}
			if !yield(batch, err) || err != nil {
				return
			}
		}
	}
}

// Rows yields what is left of the result row by row. An error is the last pair. The rows belong to the caller.
func (r *SQLResult) Rows(ctx context.Context) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		columns := newRowColumns(r.Schema().Fields())
		for batch, err := range r.Batches(ctx) {
			var rows []Row
			if err == nil {
				if rows, err = decodeRows(batch, columns); err != nil {
					err = &Error{Op: "sql", Err: err}
				}
			}
			if err != nil {
				yield(Row{}, err)
				return
			}
			for _, row := range rows {
				if !yield(row, nil) {
					return
				}
			}
		}
	}
}

// Collect returns what is left of the result and closes it: for small results, and where one cannot range over
// functions, as in notebooks.
func (r *SQLResult) Collect(ctx context.Context) ([]Row, error) {
	defer r.Close()
	rows := []Row{}
	for row, err := range r.Rows(ctx) {
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// Close ends the query and frees what it holds. It may be repeated.
func (r *SQLResult) Close() error { return r.reader.Close() }

// bindSQL puts the arguments in place of a statement's question marks. Those within texts, quoted names and comments are
// none.
func bindSQL(query string, args []any) (string, error) {
	if strings.TrimSpace(query) == "" {
		return "", errors.New("the statement is empty: want one SELECT")
	}
	var out strings.Builder
	used := 0
	for i := 0; i < len(query); {
		end, err := skipSQL(query, i)
		if err != nil {
			return "", err
		}
		if end > i {
			out.WriteString(query[i:end])
			i = end
			continue
		}
		if query[i] != '?' {
			out.WriteByte(query[i])
			i++
			continue
		}
		if used == len(args) {
			return "", fmt.Errorf("at %d: %d values for the question marks are too few", i, len(args))
		}
		text, err := quote(args[used])
		if err != nil {
			return "", fmt.Errorf("value %d: %w", used+1, err)
		}
		out.WriteString(text)
		used++
		i++
	}
	if used < len(args) {
		return "", fmt.Errorf("%d values for %d question marks", len(args), used)
	}
	return out.String(), nil
}

// skipSQL returns where the text, the quoted name, the comment or the word ends that begins at i; i itself if none does.
func skipSQL(s string, i int) (end int, err error) {
	rest := s[i:]
	switch c := s[i]; {
	case c == '\'' || c == '"' || c == '`':
		_, end, err := lexQuoted(s, i)
		return end, err
	case (c == 'e' || c == 'E') && strings.HasPrefix(rest[1:], "'"):
		for j := i + 2; j < len(s); j++ {
			switch {
			case s[j] == '\\' && j+1 < len(s):
				j++
			case s[j] == '\'' && j+1 < len(s) && s[j+1] == '\'':
				j++
			case s[j] == '\'':
				return j + 1, nil
			}
		}
		return 0, fmt.Errorf("at %d: a quote ' is not closed", i)
	case c == '$':
		// $$text$$ and $tag$text$tag$
		if close := strings.IndexByte(rest[1:], '$'); close >= 0 && isTag(rest[1:1+close]) {
			tag := rest[:close+2]
			if n := strings.Index(rest[len(tag):], tag); n >= 0 {
				return i + 2*len(tag) + n, nil
			}
			return 0, fmt.Errorf("at %d: %s is not closed", i, tag)
		}
	case strings.HasPrefix(rest, "--"):
		if n := strings.IndexByte(rest, '\n'); n >= 0 {
			return i + n, nil
		}
		return len(s), nil
	case strings.HasPrefix(rest, "/*"):
		depth := 1 // they nest
		for j := i + 2; j < len(s); j++ {
			switch {
			case strings.HasPrefix(s[j:], "/*"):
				depth++
				j++
			case strings.HasPrefix(s[j:], "*/"):
				depth--
				j++
				if depth == 0 {
					return j + 1, nil
				}
			}
		}
		return 0, fmt.Errorf("at %d: a comment is not closed", i)
	default:
		// As a whole, so that the letter before a quote is known to be no part of one.
		word := strings.IndexFunc(rest, func(r rune) bool { return !isWordStart(r) && !unicode.IsDigit(r) })
		if word < 0 {
			word = len(rest)
		}
		return i + word, nil
	}
	return i, nil
}

// isTag reports whether a text may stand between the dollars of a quote.
func isTag(s string) bool {
	return !slices.ContainsFunc([]rune(s), func(r rune) bool { return !isWordStart(r) && !unicode.IsDigit(r) })
}
