package dataset

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
)

var filterSchema = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.BinaryTypes.String},
	{Name: "confidence", Type: arrow.PrimitiveTypes.Float64},
	{Name: "Kind", Type: arrow.BinaryTypes.String},
	{Name: "order", Type: arrow.PrimitiveTypes.Int64},
	{Name: "größe", Type: arrow.PrimitiveTypes.Int64},
	{Name: "created_at", Type: arrow.FixedWidthTypes.Timestamp_us},
	{Name: "timestamp", Type: arrow.PrimitiveTypes.Float64},
	{Name: "tags", Type: arrow.ListOf(arrow.BinaryTypes.String)},
	{Name: "item_ref", Type: arrow.StructOf(
		arrow.Field{Name: "name", Type: arrow.BinaryTypes.String},
		arrow.Field{Name: "id", Type: arrow.BinaryTypes.String},
	)},
	{Name: "Twin", Type: arrow.PrimitiveTypes.Int64},
	{Name: "twin", Type: arrow.PrimitiveTypes.Int64},
}, nil)

func TestBindFilter(t *testing.T) {
	type name string
	tests := []struct {
		where string
		args  []any
		want  string
	}{
		{"", nil, ""},
		{" \n\t", nil, ""},
		{"confidence > 0.5", nil, "`confidence` > 0.5"},
		{"CONFIDENCE>=.5e-3", nil, "`confidence` >= .5e-3"},
		{"kind='a''b' and not id<>''", nil, "`Kind` = 'a''b' and not `id` <> ''"},
		{"item_ref.id = ?", []any{"it's"}, "`item_ref`.`id` = 'it''s'"},
		{`"order" = 1 AND "Kind" IN ('a', 'b')`, nil, "`order` = 1 AND `Kind` IN ( 'a' , 'b' )"},
		{"`item_ref`.`name` LIKE '%?--%'", nil, "`item_ref` . `name` LIKE '%?--%'"},
		{"größe BETWEEN ? AND ?", []any{1, int8(-2)}, "`größe` BETWEEN 1 AND (-2)"},
		{"created_at > TIMESTAMP '2020-03-10 00:00:00'", nil, "`created_at` > TIMESTAMP '2020-03-10 00:00:00'"},
		{"timestamp > 0 and created_at < timestamp '2020-01-01'", nil, "`timestamp` > 0 and `created_at` < timestamp '2020-01-01'"},
		{"CAST(order AS double) / 2 > 1 and (confidence::int) = 1", nil, "CAST ( `order` AS double ) / 2 > 1 and ( `confidence` :: int ) = 1"},
		{"array_has(tags, 'x') or tags[1] = 'y'", nil, "array_has ( `tags` , 'x' ) or `tags` [ 1 ] = 'y'"},
		{"id = X'00ff'", nil, "`id` = X'00ff'"},
		{"id IN ?", []any{[]string{"a", "b'"}}, "`id` IN ('a', 'b''')"},
		{"id IN ?", []any{[]any{"a", nil, name("c")}}, "`id` IN ('a', NULL, 'c')"},
		{"confidence -?> 0", []any{-1.5}, "`confidence` - (-1.5) > 0"},
		{"created_at = ?", []any{time.Date(2020, 1, 2, 3, 4, 5, 6000, time.FixedZone("", 3600))}, "`created_at` = TIMESTAMP '2020-01-02 03:04:05.000006'"},
		{"confidence IS ? or confidence = ?", []any{nil, true}, "`confidence` IS NULL or `confidence` = TRUE"},
		{"confidence = ?", []any{1.0}, "`confidence` = 1"},
		{"confidence = ?", []any{float32(0.1)}, "`confidence` = 0.10000000149011612"},
		{"confidence = ?", []any{1e300}, "`confidence` = 1e+300"},
		{"id = ?", []any{[]byte{0, 255}}, "`id` = X'00ff'"},
		{"id = ?", []any{new("p")}, "`id` = 'p'"},
		{"id = ?", []any{(*string)(nil)}, "`id` = NULL"},
		{"Twin = twin", nil, "`Twin` = `twin`"},
	}
	for _, test := range tests {
		got, err := bindFilter(test.where, test.args, filterSchema)
		want := strings.ReplaceAll(test.want, " . ", ".")
		if err != nil || got != want {
			t.Errorf("%s %v\n got %s (%v)\nwant %s", test.where, test.args, got, err, want)
		}
	}
}

func TestBindFilterRefuses(t *testing.T) {
	tests := []struct {
		where string
		args  []any
		want  string // part of the message
	}{
		{"nope = 1", nil, `no column "nope": want one of id, confidence`},
		{"item_ref.nope = 1", nil, `column "item_ref" has no field "nope": want one of name, id`},
		{"id.x = 1", nil, `column "id" of type utf8 has no fields`},
		{"TWIN = 1", nil, `column "TWIN" may be "Twin" or "twin"`},
		{`kind = "dog"`, nil, `a text is written in single quotes`},
		{"id = 'a", nil, "a quote ' is not closed"},
		{"id = 'a') OR (1 = 1", nil, `")" closes nothing`},
		{"(id = 'a'", nil, `"(" is not closed`},
		{"tags[1) = 2", nil, `")" closes nothing`},
		{"id = 'a' -- x", nil, "no comments"},
		{"id = 'a' /* x */", nil, "no comments"},
		{"id = 'a' =/* x */", nil, "no comments"},
		{"id = 'a'; DROP TABLE x", nil, `unexpected ';'`},
		{"id IN (SELECT id FROM x)", nil, `no column "SELECT"`},
		{"id = ?", nil, "0 values for the question marks are too few"},
		{"id = ?", []any{"a", "b"}, "2 values for 1 question marks"},
		{"", []any{"a"}, "1 values for 0 question marks"},
		{"id IN ?", []any{[]string{}}, "value 1: an empty list"},
		{"confidence = ?", []any{math.NaN()}, "want a finite number"},
		{"confidence = ?", []any{struct{}{}}, "struct {}: want a boolean"},
		{"id = ?", []any{"\xff"}, "is not UTF-8"},
		{"id = '\xff'", nil, "is not UTF-8"},
		{"confidence > 12abc", nil, `"12a" is not a number`},
		{"confidence > 1.2.3", nil, "is not a number"},
		{`"" = 1`, nil, "empty name"},
		{"#objects > 1", nil, `unexpected "#objects": a number of rows is for the order`},
		{"id = \\1", nil, "unexpected '\\\\'"},
	}
	for _, test := range tests {
		got, err := bindFilter(test.where, test.args, filterSchema)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %v: got %q, %v\nwant an error with %s", test.where, test.args, got, err, test.want)
		}
	}
}

func TestParseOrder(t *testing.T) {
	tests := []struct{ order, want, err string }{
		{"", "", ""},
		{"confidence", "confidence+", ""},
		{"confidence desc, item_ref.ID ASC,`order`", "confidence- item_ref.id+ order+", ""},
		{"nope", "", `no column "nope"`},
		{"tags", "", "have no order"},
		{"item_ref desc", "", "have no order"},
		{"id up", "", `order "up": want asc or desc`},
		{"id desc confidence", "", "want a comma"},
		{"id,", "", "want columns"},
		{"id; drop", "", "unexpected"},
		{"1", "", "want columns"},
		{"#objects", "#objects+", ""},
		{"id, #a.b-c_1 DESC , confidence desc", "id+ #a.b-c_1- confidence-", ""},
		{"#", "", "want the name of a table after #"},
		{"#'objects'", "", "want the name of a table after #"},
		{"#objects.id desc asc", "", "want a comma"},
		{"id #objects", "", "want a comma"},
	}
	for _, test := range tests {
		keys, err := parseOrder(test.order, filterSchema)
		var got []string
		for _, k := range keys {
			sign := "+"
			if k.descending {
				sign = "-"
			}
			name := "#" + k.table
			if k.table == "" {
				name = k.column.String()
			}
			got = append(got, name+sign)
		}
		switch {
		case test.err == "" && (err != nil || strings.Join(got, " ") != test.want):
			t.Errorf("%s: got %v (%v), want %s", test.order, got, err, test.want)
		case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
			t.Errorf("%s: got %v, want an error with %s", test.order, err, test.err)
		}
	}
}

// FuzzQuote checks that a text comes back from its literal, and that the literal is one token wherever it stands.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "a", "it's", "''", "\\'", "--", "/*", "?", "a\x00b", "é", "'); DROP TABLE x; --"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := quote(s)
		if err != nil {
			return
		}
		tokens, err := lex("id = " + q + " OR id = " + q)
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if len(tokens) != 7 || tokens[2].kind != stringToken || tokens[6].kind != stringToken {
			t.Fatalf("%q became %v", s, tokens)
		}
		text, _, err := lexQuoted(tokens[2].text, 0)
		if err != nil || text != s {
			t.Fatalf("%q came back as %q (%v)", s, text, err)
		}
	})
}

// FuzzBindFilter checks that no text makes the parser panic, and that what it accepts it also accepts in parentheses,
// beside another condition.
func FuzzBindFilter(f *testing.F) {
	for _, s := range []string{"confidence > 0.5", "a = 'x' AND (b IN (1,2))", `"order" = ?`, "CAST(id AS double) > 1", "id ||", "x'00", "é.ü", "1e", "(((", "]", "id desc, #objects"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		bound, err := bindFilter(s, nil, filterSchema)
		if err != nil {
			return
		}
		again, err := bindFilter("("+bound+") AND (id = 'x')", nil, filterSchema)
		if err != nil {
			t.Fatalf("%q became %q, which is refused: %v", s, bound, err)
		}
		if want := "( " + bound + " ) AND ( `id` = 'x' )"; bound != "" && again != want {
			t.Fatalf("%q became %q and then\n%q, want\n%q", s, bound, again, want)
		}
		if _, err := parseOrder(s, filterSchema); err != nil {
			return
		}
	})
}
