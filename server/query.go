package server

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// query reads the query string of a reference route and collects what is wrong with it.
type query struct {
	values   url.Values
	mistakes invalidRequest
}

func queryOf(r *http.Request) (*query, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("query string: %v", err)
	}
	return &query{values: values}, nil
}

func (q *query) err() error {
	if len(q.mistakes) > 0 {
		return q.mistakes
	}
	return nil
}

func (q *query) has(name string) bool { return len(q.values[name]) > 0 }

// text returns the last value of a parameter, and whether there is one.
func (q *query) text(name string) (string, bool) {
	v := q.values[name]
	if len(v) == 0 {
		return "", false
	}
	return v[len(v)-1], true
}

// list returns the values of a parameter; nil if it is not there.
func (q *query) list(name string) []string { return q.values[name] }

// required returns the values of a parameter that has to be there.
func (q *query) required(name string) []string {
	v := q.values[name]
	if len(v) == 0 {
		q.mistakes = append(q.mistakes, invalid{Type: "missing", Loc: []any{"query", name}, Msg: "Field required", Input: json.RawMessage("null")})
	}
	return v
}

// integer returns a parameter that is an integer, or otherwise if it is not there.
func (q *query) integer(name string, otherwise int) int {
	text, ok := q.text(name)
	if !ok {
		return otherwise
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		q.wrong("int_parsing", name, "want an integer", text, nil)
		return otherwise
	}
	return int(n)
}

// atLeast is integer with a lower bound.
func (q *query) atLeast(name string, otherwise, least int) int {
	n := q.integer(name, otherwise)
	if n < least {
		text, _ := q.text(name)
		if least == 1 {
			q.wrong("greater_than", name, "want an integer greater than 0", text, map[string]any{"gt": 0})
		} else {
			q.wrong("greater_than_equal", name, "want an integer of at least "+strconv.Itoa(least), text, map[string]any{"ge": least})
		}
	}
	return n
}

func (q *query) wrong(typ, name, msg, input string, ctx map[string]any) {
	raw, _ := json.Marshal(input)
	q.mistakes = append(q.mistakes, invalid{Type: typ, Loc: []any{"query", name}, Msg: msg, Input: raw, Ctx: ctx})
}
