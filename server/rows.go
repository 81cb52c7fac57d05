package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"pixano/dataset"
	"pixano/schema"
)

// rowRoutes are the routes of rows by the first word of their path. Items and sources have one table each, which is in
// no path.
var rowRoutes = []struct {
	word  string
	group schema.Group
	table string // "": the path names it
}{
	{"items", schema.GroupItem, schema.ItemTable},
	{"views", schema.GroupViews, ""},
	{"entities", schema.GroupEntities, ""},
	{"annotations", schema.GroupAnnotations, ""},
	{"embeddings", schema.GroupEmbeddings, ""},
	{"sources", schema.GroupSource, schema.SourceTable},
}

func (s *Server) routeRows() {
	for _, route := range rowRoutes {
		t := rowTable{s, route.group, route.table}
		path := "/" + route.word + "/{dataset}"
		if route.table == "" {
			path += "/{table}"
		}
		s.refer("GET", path, t.list)
		s.refer("GET", path+"/{id}", t.one)
		s.refer("POST", path, t.post)
		s.refer("POST", path+"/{id}", t.post)
		s.refer("PUT", path, t.put)
		s.refer("PUT", path+"/{id}", t.put)
		s.refer("DELETE", path, t.delete)
		s.refer("DELETE", path+"/{id}", t.deleteOne)
	}
}

// rowTable serves the rows of the tables of a group.
type rowTable struct {
	s     *Server
	group schema.Group
	table string
}

// open returns the dataset and the table of a request. A table of another group is not found.
func (t rowTable) open(r *http.Request) (ds *dataset.Dataset, table string, release func(), err error) {
	if ds, release, err = t.s.dataset(r); err != nil {
		return nil, "", nil, err
	}
	if table = t.table; table != "" {
		return ds, table, release, nil
	}
	table = r.PathValue("table")
	if g, ok := ds.Schema().Group(table); !ok || g != t.group {
		release()
		return nil, "", nil, notFound("the dataset has no table %q in the group %s", table, t.group)
	}
	return ds, table, release, nil
}

// selection reads ids, item_ids, limit, skip and where. A limit of 0 stands for none.
func (q *query) selection(itemIDs bool) (dataset.Query, error) {
	out := dataset.Query{IDs: q.list("ids")}
	if itemIDs {
		out.ItemIDs = q.list("item_ids")
	}
	limit, skip := q.integer("limit", 0), q.integer("skip", 0)
	if err := q.err(); err != nil {
		return out, err
	}
	where, hasWhere := q.text("where")
	switch {
	case out.IDs != nil && q.has("limit"):
		return out, badRequest("ids and limit exclude each other")
	case out.IDs != nil && out.ItemIDs != nil:
		return out, badRequest("ids and item_ids exclude each other")
	case q.has("limit") && limit < 1 || skip < 0:
		return out, badRequest("want a limit of at least 1 and a skip of at least 0")
	case hasWhere && where == "":
		return out, badRequest("where is empty: want a condition")
	}
	out.Where, out.Limit = where, limit
	if out.IDs == nil {
		out.Offset = skip
	}
	return out, nil
}

func (t rowTable) list(w http.ResponseWriter, r *http.Request) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	sel, err := q.selection(t.table == "")
	if err != nil {
		return err
	}
	ds, table, release, err := t.open(r)
	if err != nil {
		return err
	}
	defer release()
	out := newList(w)
	err = ds.Each(r.Context(), table, sel, func(row any) error {
		return out.add(func(b []byte) ([]byte, error) { return schema.AppendRow(b, table, row) })
	})
	if err == nil && out.n == 0 {
		err = noRows(r, table)
	}
	return out.end(err)
}

// noRows is the answer of the reference where one would expect an empty list.
func noRows(r *http.Request, table string) error {
	return notFound("no rows found for %s/%s", r.PathValue("dataset"), table)
}

func (t rowTable) one(w http.ResponseWriter, r *http.Request) error {
	ds, table, release, err := t.open(r)
	if err != nil {
		return err
	}
	defer release()
	var rows []*schema.Dynamic
	missing, err := ds.ByID(r.Context(), table, &rows, r.PathValue("id"))
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return noRows(r, table)
	}
	return writeRow(w, table, rows[0])
}

func writeRow(w http.ResponseWriter, table string, row any) error {
	body, err := schema.MarshalRow(table, row)
	if err != nil {
		return err
	}
	writeBody(w, http.StatusOK, "application/json", body)
	return nil
}

func (t rowTable) post(w http.ResponseWriter, r *http.Request) error {
	return t.store(w, r, dataset.Insert)
}

func (t rowTable) put(w http.ResponseWriter, r *http.Request) error {
	return t.store(w, r, dataset.Put)
}

// store stores the rows of the body, a list or, where the path has an id, one.
func (t rowTable) store(w http.ResponseWriter, r *http.Request, change func(table string, rows any) dataset.Change) error {
	id := r.PathValue("id")
	envelopes, err := readRows(r, t.group, id != "")
	if err != nil {
		return err
	}
	if id != "" && envelopes[0].ID != id {
		return badRequest("the id in the path is %q, that in the body %q", id, envelopes[0].ID)
	}
	ds, table, release, err := t.open(r)
	if err != nil {
		return err
	}
	defer release()
	rows := make([]*schema.Dynamic, len(envelopes))
	for i, e := range envelopes {
		if rows[i], err = decodeRow(ds, table, e); err != nil {
			return err
		}
	}
	if len(rows) > 0 {
		res, err := t.s.apply(r.Context(), ds, dataset.ChangeSet{
			Author: r.Header.Get(authorHeader), Separate: true, Changes: []dataset.Change{change(table, rows)}})
		if err != nil {
			return err
		}
		for i, stored := range res.Rows {
			if err := schema.SetTimes(rows[i], stored.CreatedAt, stored.UpdatedAt); err != nil {
				return err
			}
		}
	}
	if id != "" {
		return writeRow(w, table, rows[0])
	}
	out := newList(w)
	for _, row := range rows {
		if err := out.add(func(b []byte) ([]byte, error) { return schema.AppendRow(b, table, row) }); err != nil {
			return err
		}
	}
	return out.end(nil)
}

// decodeRow makes a row of a table of an envelope.
func decodeRow(ds *dataset.Dataset, table string, e *schema.Envelope) (*schema.Dynamic, error) {
	class, ok := ds.Schema().Class(table)
	if !ok || e.Table.Name != table {
		return nil, badRequest("row %q: table_info names the table %q: want %q", e.ID, e.Table.Name, table)
	}
	row, err := schema.NewDynamic(class)
	if err != nil {
		return nil, err
	}
	if err := e.Decode(row); err != nil {
		return nil, badRequest("row %q: %v", e.ID, err)
	}
	return row, nil
}

func (t rowTable) delete(w http.ResponseWriter, r *http.Request) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	ids := q.required("ids")
	if err := q.err(); err != nil {
		return err
	}
	return t.deleteIDs(w, r, ids)
}

func (t rowTable) deleteOne(w http.ResponseWriter, r *http.Request) error {
	return t.deleteIDs(w, r, []string{r.PathValue("id")})
}

func (t rowTable) deleteIDs(w http.ResponseWriter, r *http.Request, ids []string) error {
	ds, table, release, err := t.open(r)
	if err != nil {
		return err
	}
	defer release()
	if _, err := t.s.apply(r.Context(), ds, dataset.ChangeSet{
		Author: r.Header.Get(authorHeader), Changes: []dataset.Change{dataset.Delete(table, ids...)}}); err != nil {
		return err
	}
	writeBody(w, http.StatusOK, "application/json", []byte("null"))
	return nil
}

// authorHeader names who makes the changes of a reference route, whose body has no place for it.
const authorHeader = "Pixano-Author"

// apply stores a change set and tells those who listen.
func (s *Server) apply(ctx context.Context, ds *dataset.Dataset, cs dataset.ChangeSet) (*dataset.Result, error) {
	res, err := ds.Apply(ctx, cs)
	if err == nil {
		s.events.changed(ds, cs.Author, res)
	}
	return res, err
}

// readBody reads a body, which must be JSON.
func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &statusError{http.StatusRequestTimeout, "the body did not come"}
	case err != nil && !errors.As(err, &tooLarge):
		return nil, badRequest("body: %v", err)
	case err != nil:
		return nil, err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, invalidRequest{{Type: "missing", Loc: []any{"body"}, Msg: "want a body in JSON", Input: json.RawMessage("null")}}
	}
	var v json.RawMessage
	if err := json.Unmarshal(body, &v); err != nil {
		at := int64(0)
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			at = max(0, syntax.Offset-1)
		}
		return nil, invalidRequest{{Type: "json_invalid", Loc: []any{"body", at}, Msg: "want JSON", Input: json.RawMessage("{}"),
			Ctx: map[string]any{"error": err.Error()}}}
	}
	return body, nil
}

// readRows reads the body of a request as rows of a group.
func readRows(r *http.Request, group schema.Group, single bool) ([]*schema.Envelope, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	parts, err := listBody(body, single)
	if err != nil {
		return nil, err
	}
	rows := make([]*schema.Envelope, len(parts))
	var mistakes invalidRequest
	for i, part := range parts {
		loc := []any{"body"}
		if !single {
			loc = append(loc, i)
		}
		c := checker{}
		c.row(part, loc, group)
		if mistakes = append(mistakes, c.mistakes...); len(mistakes) > 0 {
			continue
		}
		if rows[i], err = schema.ParseEnvelope(part); err != nil {
			mistakes = append(mistakes, valueError(loc, part, err))
		}
	}
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	return rows, nil
}

// listBody returns the elements of a body that is a list, or that is one element.
func listBody(body []byte, single bool) ([]json.RawMessage, error) {
	if single {
		return []json.RawMessage{body}, nil
	}
	var parts []json.RawMessage
	if json.Unmarshal(body, &parts) != nil || parts == nil {
		return nil, invalidRequest{{Type: "list_type", Loc: []any{"body"}, Msg: "want a list", Input: body}}
	}
	return parts, nil
}

// checker finds what is wrong with the shape of a row, before its columns are looked at.
type checker struct{ mistakes invalidRequest }

func (c *checker) add(typ, msg string, input json.RawMessage, loc []any, ctx map[string]any) {
	c.mistakes = append(c.mistakes, invalid{Type: typ, Loc: loc, Msg: msg, Input: input, Ctx: ctx})
}

func valueError(loc []any, input json.RawMessage, err error) invalid {
	return invalid{Type: "value_error", Loc: loc, Msg: err.Error(), Input: input, Ctx: map[string]any{"error": map[string]any{}}}
}

func below(loc []any, more ...any) []any { return append(append([]any{}, loc...), more...) }

func object(raw json.RawMessage) (map[string]json.RawMessage, bool) {
	var m map[string]json.RawMessage
	return m, json.Unmarshal(raw, &m) == nil && m != nil
}

func (c *checker) row(raw json.RawMessage, loc []any, group schema.Group) {
	m, ok := object(raw)
	if !ok {
		c.add("model_attributes_type", "want an object, a row", raw, loc, nil)
		return
	}
	before := len(c.mistakes)
	if id, ok := c.text(m, "id", raw, loc); ok {
		if err := schema.CheckID(id); err != nil {
			c.mistakes = append(c.mistakes, valueError(below(loc, "id"), m["id"], err))
		}
	}
	c.tableInfo(m, raw, loc, group)
	if data, ok := m["data"]; !ok {
		c.add("missing", "want the columns of the row", raw, below(loc, "data"), nil)
	} else if _, ok := object(data); !ok {
		c.add("dict_type", "want an object", data, below(loc, "data"), nil)
	}
	if len(c.mistakes) == before {
		c.times(m, raw, loc)
	}
}

func (c *checker) text(m map[string]json.RawMessage, key string, raw json.RawMessage, loc []any) (string, bool) {
	value, ok := m[key]
	if !ok {
		c.add("missing", "want "+key, raw, below(loc, key), nil)
		return "", false
	}
	var text string
	if len(value) == 0 || value[0] != '"' || json.Unmarshal(value, &text) != nil {
		c.add("string_type", "want a text", value, below(loc, key), nil)
		return "", false
	}
	return text, true
}

func (c *checker) tableInfo(row map[string]json.RawMessage, raw json.RawMessage, loc []any, group schema.Group) {
	at := below(loc, "table_info")
	info, ok := row["table_info"]
	if !ok {
		c.add("missing", "want the table of the row", raw, at, nil)
		return
	}
	m, ok := object(info)
	if !ok {
		c.add("model_type", "want an object with name, group and base_schema", info, at, map[string]any{"class_name": "TableInfo"})
		return
	}
	before := len(c.mistakes)
	c.text(m, "name", info, at)
	name, ok := c.text(m, "group", info, at)
	if ok && !schema.Group(name).Valid() {
		c.mistakes = append(c.mistakes, valueError(below(at, "group"), m["group"], errors.New("want one of the six groups")))
	}
	if base, ok := c.text(m, "base_schema", info, at); ok {
		if _, ok := schema.GroupOfClass(base); !ok {
			c.mistakes = append(c.mistakes, valueError(below(at, "base_schema"), m["base_schema"], errors.New("want a built-in class")))
		}
	}
	if len(c.mistakes) == before && group != "" && schema.Group(name) != group {
		c.mistakes = append(c.mistakes, valueError(at, info, errors.New("want a table of the group "+string(group))))
	}
}

func (c *checker) times(m map[string]json.RawMessage, raw json.RawMessage, loc []any) {
	var at [2]time.Time
	for i, key := range []string{"created_at", "updated_at"} {
		value, ok := m[key]
		if !ok || string(value) == "null" {
			if i == 1 {
				at[1] = at[0]
			}
			continue
		}
		if i == 1 && at[0].IsZero() {
			c.mistakes = append(c.mistakes, valueError(loc, raw, errors.New("updated_at wants a created_at with it")))
			return
		}
		var text string
		err := json.Unmarshal(value, &text)
		if err == nil {
			at[i], err = schema.ParseTime(text)
		}
		if err != nil {
			c.mistakes = append(c.mistakes, valueError(loc, raw, errors.New(key+": want a time in ISO 8601")))
			return
		}
	}
	if at[1].Before(at[0]) {
		c.mistakes = append(c.mistakes, valueError(loc, raw, errors.New("updated_at is before created_at")))
	}
}

// jsonList writes a JSON list piece by piece. What it has is sent when there is much of it; until then an error can still
// have its own status code.
type jsonList struct {
	w    http.ResponseWriter
	buf  []byte
	n    int
	sent bool
}

const listBuffer = 1 << 20 // bytes before a list begins to be sent

func newList(w http.ResponseWriter) *jsonList { return &jsonList{w: w, buf: []byte{'['}} }

func (l *jsonList) add(appendTo func([]byte) ([]byte, error)) error {
	if l.n > 0 {
		l.buf = append(l.buf, ',')
	}
	l.n++
	var err error
	if l.buf, err = appendTo(l.buf); err != nil {
		return err
	}
	if len(l.buf) < listBuffer {
		return nil
	}
	if !l.sent {
		l.sent = true
		l.w.Header().Set("Content-Type", "application/json")
		l.w.WriteHeader(http.StatusOK)
	}
	_, err = l.w.Write(l.buf)
	l.buf = l.buf[:0]
	return err
}

// end closes the list or, after an error, gives it back to be answered. An answer that has begun is broken off, so that
// the client does not take it for a whole one.
func (l *jsonList) end(err error) error {
	switch {
	case err != nil && l.sent:
		panic(http.ErrAbortHandler)
	case err != nil:
		return err
	case !l.sent:
		writeBody(l.w, http.StatusOK, "application/json", append(l.buf, ']'))
		return nil
	}
	if _, err := l.w.Write(append(l.buf, ']')); err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}
