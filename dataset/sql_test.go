package dataset

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBindSQL(t *testing.T) {
	day := time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC)
	for _, test := range []struct {
		query string
		args  []any
		want  string
	}{
		{"SELECT ?", []any{"it's"}, "SELECT 'it''s'"},
		{"SELECT a?b, ?", []any{-1, []string{"x", "y"}}, "SELECT a(-1)b, ('x', 'y')"},
		{"SELECT '?' , \"?\", `?`, ?", []any{day}, "SELECT '?' , \"?\", `?`, TIMESTAMP '2024-02-03 04:05:06.000000'"},
		{"SELECT 'a''?', E'\\'?', name'?', ?", []any{nil}, "SELECT 'a''?', E'\\'?', name'?', NULL"},
		{"SELECT $$?$$, $x$ ? $$ $x$, ?", []any{true}, "SELECT $$?$$, $x$ ? $$ $x$, TRUE"},
		{"SELECT 1 -- ?\n, ? /* ? /* ? */ ? */", []any{2.5}, "SELECT 1 -- ?\n, 2.5 /* ? /* ? */ ? */"},
		{"SELECT 1 - -? -- ?", []any{3}, "SELECT 1 - -3 -- ?"},
		{"SELECT 'é?', ? + $1", []any{[]byte{0, 255}}, "SELECT 'é?', X'00ff' + $1"},
	} {
		got, err := bindSQL(test.query, test.args)
		if err != nil || got != test.want {
			t.Errorf("%s: %s (%v), want %s", test.query, got, err, test.want)
		}
	}
	for query, want := range map[string]string{
		" \n":           "the statement is empty",
		"SELECT ?, ?":   "at 10: 1 values for the question marks are too few",
		"SELECT 1":      "1 values for 0 question marks",
		"SELECT 'a":     "at 7: a quote ' is not closed",
		"SELECT E'a\\'": "is not closed",
		"SELECT /* ?":   "at 7: a comment is not closed",
		"SELECT $a$ ?":  "at 7: $a$ is not closed",
	} {
		if _, err := bindSQL(query, []any{1}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", query, err, want)
		}
	}
	if _, err := bindSQL("SELECT ?", []any{make(chan int)}); err == nil || !strings.Contains(err.Error(), "value 1: chan int") {
		t.Errorf("a channel: %v", err)
	}
}

// FuzzBindSQL wants that a text which is bound comes out of the engine as it was, wherever its question mark stands.
func FuzzBindSQL(f *testing.F) {
	ds := newFair(f, 1, 1, rand.New(rand.NewPCG(1, 1)))
	for _, s := range []string{"'", "''", "\\'", "x' OR 'a' = 'a", "--", "/*", "$$", "?", "é\x00"} {
		f.Add("", s)
		f.Add("/* /* ? */ */", s)
		f.Add("'a?' AS a, E'\\'?' AS b, $$'?$$ AS c,", s)
	}
	f.Fuzz(func(t *testing.T, before, text string) {
		bound, err := bindSQL("SELECT "+before+" ? AS bound", []any{text})
		if err != nil {
			return
		}
		r, err := ds.SQL(t.Context(), "SELECT "+before+" ? AS bound", text)
		if err != nil {
			return // what stands before is no SQL
		}
		rows, err := r.Collect(t.Context())
		if err != nil || len(rows) != 1 {
			return
		}
		if got := rows[0].Value("bound"); got != text {
			t.Errorf("%s: got %q, want %q", bound, got, text)
		}
	})
}

func TestSQL(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	ds := newFair(t, 30, 400, r)
	ctx := t.Context()
	want := map[string]int64{}
	for row, err := range ds.Rows(ctx, "stalls", Query{Where: "seats > 1"}) {
		if err != nil {
			t.Fatal(err)
		}
		items, err := ds.IDs(ctx, "item", Query{IDs: []string{row.Value("item_ref.id").(string)}, Where: "weather = 'fög'"})
		if err != nil {
			t.Fatal(err)
		}
		if len(items) > 0 {
			want[row.Value("kind").(string)]++
		}
	}
	result, err := ds.SQL(ctx, `SELECT kind, count(*) AS n FROM stalls s JOIN item i ON s.item_ref.id = i.id
		WHERE s.seats > ? AND i.weather = ? GROUP BY kind`, 1, "fög")
	if err != nil {
		t.Fatal(err)
	}
	defer result.Close()
	if d := cmp.Diff("kind utf8, n int64", columnsText(result)); d != "" {
		t.Errorf("columns (-want +got):\n%s", d)
	}
	got := map[string]int64{}
	for row, err := range result.Rows(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		got[row.Value("kind").(string)] = row.Value("n").(int64)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("numbers of stalls (-want +got):\n%s", d)
	}
	for query, text := range map[string]string{
		"SELECT nope FROM stalls":                 "sql: No field named nope. Valid fields are stalls.id",
		"SELECT * FROM stall":                     "sql: table 'stall' not found: want one of item, stalls, source",
		"SELEC 1":                                 "Expected: an SQL statement, found: SELEC",
		"DELETE FROM stalls":                      "DML not supported: Delete",
		"SELECT 1; SELECT 2":                      "2 statements, want one query",
		"CREATE TABLE x AS SELECT 1":              "",
		"COPY stalls TO '/tmp/x'":                 "",
		"SELECT * FROM '/etc/passwd'":             "not found",
		"SELECT 1 + 'a'":                          "",
		"SET datafusion.execution.x = 1":          "",
		"SELECT count(*) FROM stalls WHERE ?":     "0 values for the question marks are too few",
		"SELECT price FROM stalls WHERE id = 1 +": "",
	} {
		r, err := ds.SQL(ctx, query)
		if err == nil {
			_, err = r.Collect(ctx)
		}
		if err == nil || !strings.Contains(err.Error(), text) || !strings.HasPrefix(err.Error(), "sql: ") {
			t.Errorf("%s: error %v, want %s", query, err, text)
		}
		if !errors.Is(err, ErrQuery) && !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v is of neither kind", query, err)
		}
	}
	// A table that is broken does not hide the others.
	files, err := filepath.Glob(filepath.Join(ds.Path(), "db/stalls.lance/_versions/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.Truncate(f, 3); err != nil {
			t.Fatal(err)
		}
	}
	again, err := Open(ctx, ds.Path(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if r, err := again.SQL(ctx, "SELECT count(*) AS n FROM item"); err != nil {
		t.Error(err)
	} else if rows, err := r.Collect(ctx); err != nil || rows[0].Value("n") != int64(30) {
		t.Errorf("%v (%v), want 30", rows, err)
	}
	if _, err := again.SQL(ctx, "SELECT count(*) AS n FROM stalls"); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a broken table: %v, want ErrCorrupt", err)
	}
}

func columnsText(r *SQLResult) string {
	var parts []string
	for _, f := range r.Schema().Fields() {
		parts = append(parts, f.Name+" "+f.Type.String())
	}
	return strings.Join(parts, ", ")
}

// TestSQLLimits runs queries that would take forever or hold too much.
func TestSQLLimits(t *testing.T) {
	ds := crowded(t, 20_000)
	endless := "SELECT count(*) FROM objects a, objects b, objects c WHERE a.score + b.score + c.score < -1"
	end := func(d *Dataset, ctx context.Context, query string) error {
		r, err := d.SQL(ctx, query)
		if err != nil {
			return err
		}
		_, err = r.Collect(ctx)
		return err
	}
	if err := end(ds.WithLimits(Limits{Time: 200 * time.Millisecond}), t.Context(), endless); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("out of time: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := end(ds, ctx, endless); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("context out of time: %v", err)
	}
	much := "SELECT array_agg(id ORDER BY score DESC) FROM objects GROUP BY crowd"
	if err := end(ds.WithLimits(Limits{Memory: 1 << 20}), t.Context(), much); err == nil || !strings.Contains(err.Error(), "emory") {
		t.Errorf("out of memory: %v", err)
	}
	if err := end(ds, t.Context(), "SELECT count(*) FROM objects"); err != nil {
		t.Errorf("after the others: %v", err)
	}
}
