package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/danielgtaylor/huma/v2/sse"

	"pixano/dataset"
	"pixano/schema"
)

// apiVersion is that of the additive routes.
const apiVersion = "1"

// routeAPI adds the routes that the reference does not have.
func (s *Server) routeAPI() {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	s.api = humago.New(&s.router, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{Title: "Pixano", Version: apiVersion,
				Description: "Datasets of images, videos and texts with their annotations."},
			Components: &huma.Components{Schemas: registry},
		},
		OpenAPIPath:   "/openapi",
		Formats:       huma.DefaultFormats,
		DefaultFormat: "application/json",
	})
	s.describe()
	s.routeLibrary()
	s.routeChanges()
	s.routeEvents()
	s.routeExplore()
	s.routeProjection()
	s.routeRowsOut()
	s.routeFrames()
	s.routeHistory()
	s.routeTemplates()
	s.routeSnapshots()
	s.routeSQL()
	s.routeJobs()
	s.routeShared()
}

// operation describes an additive route; its id is what clients call it by.
func operation(method, path, id, tag, summary string) huma.Operation {
	return huma.Operation{Method: method, Path: path, OperationID: id, Tags: []string{tag}, Summary: summary,
		BodyReadTimeout: time.Minute, MaxBodyBytes: -1, // bounded for all routes
		Errors: []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusInternalServerError}}
}

// problem is an error as the additive routes answer it.
func (s *Server) problem(err error) error {
	if err == nil {
		return nil
	}
	code := statusOf(err)
	if conflict, ok := errors.AsType[*dataset.ConflictError](err); ok {
		return conflictProblem(conflict, err)
	}
	if revert, ok := errors.AsType[*dataset.RevertError](err); ok {
		return revertProblem(revert, err)
	}
	if code >= http.StatusInternalServerError {
		s.log.Error("request failed", "error", err)
	}
	return huma.NewError(code, shown(code, err))
}

// DatasetPath names a dataset in a path.
type DatasetPath struct {
	Dataset string `path:"dataset" doc:"id of the dataset, or the name of its directory"`
}

// with runs a function on the dataset of a request.
func with[T any](s *Server, ctx context.Context, in DatasetPath, do func(ds *dataset.Dataset) (*T, error)) (*T, error) {
	ds, release, err := s.pool.get(ctx, in.Dataset)
	if err != nil {
		return nil, s.problem(err)
	}
	defer release()
	if ds.Schema() == nil {
		return nil, huma.Error400BadRequest("the dataset has the layout of Pixano 0.7 and 0.8, which this route does not serve")
	}
	out, err := do(ds)
	if err != nil {
		return nil, s.problem(err)
	}
	return out, nil
}

// Row is a row as it travels: its columns are in data.
type Row json.RawMessage

// MarshalJSON returns the row as it is.
func (r Row) MarshalJSON() ([]byte, error) { return json.RawMessage(r).MarshalJSON() }

// UnmarshalJSON keeps the row as it is.
func (r *Row) UnmarshalJSON(b []byte) error { return (*json.RawMessage)(r).UnmarshalJSON(b) }

// Schema describes rows.
func (Row) Schema(r huma.Registry) *huma.Schema {
	const name = "Row"
	if r.Map()[name] == nil {
		r.Map()[name] = &huma.Schema{
			Type:        huma.TypeObject,
			Description: "A row of a table.",
			Properties: map[string]*huma.Schema{
				"id":         text("without spaces"),
				"created_at": text("ISO 8601; without a zone it is the server's wall clock"),
				"updated_at": text("ISO 8601"),
				"table_info": {Type: huma.TypeObject, Properties: map[string]*huma.Schema{
					"name": text("of the table"), "group": {Type: huma.TypeString, Enum: groupNames()}, "base_schema": text("the nearest built-in class")},
					Required: []string{"name", "group", "base_schema"}},
				"data": {Type: huma.TypeObject, Description: "the other columns", AdditionalProperties: true},
			},
			Required:             []string{"id", "data"},
			AdditionalProperties: true,
		}
	}
	return &huma.Schema{Ref: "#/components/schemas/" + name}
}

func groupNames() []any {
	var names []any
	for _, g := range schema.Groups() {
		names = append(names, string(g))
	}
	return names
}

// LibraryEntry is a dataset of the library, also one that cannot be read.
type LibraryEntry struct {
	dataset.Info
	NumItems  int64    `json:"num_items"`
	Directory string   `json:"directory"`
	Layout    string   `json:"layout" doc:"item: of Pixano 0.6; record: of Pixano 0.7 and 0.8, whose tables are not served"`
	SameID    []string `json:"same_id" doc:"directories of other datasets with the same id"`
	Error     string   `json:"error,omitempty" doc:"why the dataset cannot be read"`
}

// LibraryList is the datasets of a library.
type LibraryList struct {
	Body struct {
		Datasets []LibraryEntry `json:"datasets"`
		ReadOnly bool           `json:"read_only" doc:"changes are refused"`
	}
}

func (s *Server) routeLibrary() {
	huma.Register(s.api, operation("GET", "/library", "listLibrary", "library", "List the datasets"), func(ctx context.Context, in *struct {
		Previews bool `query:"previews" default:"true" doc:"with a picture of each, as a data URL"`
	}) (*LibraryList, error) {
		entries, err := s.library.Datasets(ctx)
		if err != nil {
			return nil, s.problem(err)
		}
		out := &LibraryList{}
		out.Body.ReadOnly = s.opts.ReadOnly
		out.Body.Datasets = []LibraryEntry{}
		for _, e := range entries {
			entry := LibraryEntry{Info: e.Info, NumItems: e.Items, Directory: filepath.Base(e.Path), Layout: string(e.Layout), SameID: []string{}}
			for _, path := range e.SameID {
				entry.SameID = append(entry.SameID, filepath.Base(path))
			}
			if e.Err != nil {
				entry.Error = e.Err.Error()
			}
			entry.Preview = ""
			if in.Previews && e.Err == nil {
				entry.Preview = s.previews.of(ctx, s, e.Path)
			}
			out.Body.Datasets = append(out.Body.Datasets, entry)
		}
		return out, nil
	})
}

// ChangeBody is a change of one row.
type ChangeBody struct {
	Op    string `json:"op" enum:"put,insert,delete" doc:"put replaces the row of its id or adds it; insert wants it to be new"`
	Table string `json:"table"`
	Row   *Row   `json:"row,omitempty" doc:"to put or insert; table_info may be left out; without created_at it keeps the one it has"`
	ID    string `json:"id,omitempty" doc:"of the row to delete"`
	If    string `json:"if,omitempty" doc:"a precondition: the updated_at that the row has now, or absent" example:"2026-01-02T03:04:05.678901"`
}

// ChangesInput is a change set.
type ChangesInput struct {
	DatasetPath
	Body struct {
		Author  string       `json:"author,omitempty" doc:"who makes the changes"`
		Key     string       `json:"key,omitempty" doc:"a name of this change set among all, such as a UUID: sent again within 24 hours, it gives the first result and changes nothing"`
		Changes []ChangeBody `json:"changes" maxItems:"100000"`
	}
}

// RowOutcome is what became of a row.
type RowOutcome struct {
	Table     string `json:"table"`
	ID        string `json:"id"`
	Outcome   string `json:"outcome" enum:"added,updated,deleted,missing"`
	CreatedAt string `json:"created_at,omitempty"`
	UpdatedAt string `json:"updated_at,omitempty" doc:"of the row now, for a later precondition"`
}

// ChangesResult says what a change set did.
type ChangesResult struct {
	Body struct {
		Change   string       `json:"change" doc:"id in the history; 0: nothing was to be done"`
		Time     string       `json:"time"`
		Replayed bool         `json:"replayed" doc:"it was applied before, under the same key"`
		Rows     []RowOutcome `json:"rows"`
	}
}

// RowConflict is a row that is not as a change expected it.
type RowConflict struct {
	Table string `json:"table"`
	ID    string `json:"id"`
	Want  string `json:"want" doc:"the updated_at that was expected, or absent"`
	Now   *Row   `json:"now" doc:"the row as it is; null: there is none"`
}

// ConflictProblem says which preconditions did not hold.
type ConflictProblem struct {
	huma.ErrorModel
	Conflicts []RowConflict `json:"conflicts"`
}

const absent = "absent"

func conflictProblem(conflict *dataset.ConflictError, err error) error {
	p := &ConflictProblem{ErrorModel: huma.ErrorModel{Status: http.StatusConflict, Title: http.StatusText(http.StatusConflict), Detail: err.Error()}}
	for _, c := range conflict.Conflicts {
		row := RowConflict{Table: c.Table, ID: c.ID, Want: absent}
		if !c.Want.IsZero() {
			row.Want = schema.FormatTime(c.Want)
		}
		if c.Now != nil {
			if b, err := schema.MarshalRow(c.Table, c.Now); err == nil {
				now := Row(b)
				row.Now = &now
			}
		}
		p.Conflicts = append(p.Conflicts, row)
	}
	return p
}

func (s *Server) routeChanges() {
	op := operation("POST", "/changes/{dataset}", "applyChanges", "changes", "Change rows of several tables: all or nothing")
	op.Description = "The changes are stored as one entry of the change log, safe from a crash, before the answer is sent. " +
		"References are checked against the state after all of them, so rows may refer to each other."
	op.Errors = append(op.Errors, http.StatusRequestEntityTooLarge)
	op.Responses = conflictAnswer("A precondition did not hold, or a row to insert is there; nothing was changed.", describedAs[ConflictProblem](s.api, "ConflictProblem"))
	huma.Register(s.api, op, func(ctx context.Context, in *ChangesInput) (*ChangesResult, error) {
		return with(s, ctx, in.DatasetPath, func(ds *dataset.Dataset) (*ChangesResult, error) {
			cs := dataset.ChangeSet{Author: in.Body.Author, Key: in.Body.Key}
			for i, c := range in.Body.Changes {
				change, err := c.change(ds)
				if err != nil {
					return nil, badRequest("changes[%d]: %v", i, err)
				}
				cs.Changes = append(cs.Changes, change)
			}
			res, err := s.apply(ctx, ds, cs)
			if err != nil {
				return nil, err
			}
			return resultOf(res), nil
		})
	})
}

func resultOf(res *dataset.Result) *ChangesResult {
	out := &ChangesResult{}
	out.Body.Change, out.Body.Replayed, out.Body.Time = dataset.ChangeID{Number: res.Number, Set: res.Set}.String(), res.Replayed, schema.FormatTime(schema.Naive(res.Time))
	out.Body.Rows = make([]RowOutcome, len(res.Rows))
	for i, row := range res.Rows {
		o := RowOutcome{Table: row.Table, ID: row.ID, Outcome: string(row.Outcome)}
		if !row.UpdatedAt.IsZero() {
			o.CreatedAt, o.UpdatedAt = schema.FormatTime(row.CreatedAt), schema.FormatTime(row.UpdatedAt)
		}
		out.Body.Rows[i] = o
	}
	return out
}

// change makes a change of its JSON form.
func (c ChangeBody) change(ds *dataset.Dataset) (dataset.Change, error) {
	var change dataset.Change
	class, ok := ds.Schema().Class(c.Table)
	switch {
	case !ok:
		return change, badRequest("table %q: want one of %v", c.Table, slices.Sorted(slices.Values(ds.Schema().Tables())))
	case c.Op == "delete" && (c.ID == "" || c.Row != nil):
		return change, badRequest("delete wants an id and no row")
	case c.Op == "delete":
		change = dataset.Delete(c.Table, c.ID)
	case c.Row == nil:
		return change, badRequest("%s wants a row", c.Op)
	default:
		row, err := readRow(c.Table, class, json.RawMessage(*c.Row))
		if err != nil {
			return change, err
		}
		if change = dataset.Put(c.Table, row); c.Op == "insert" {
			change = dataset.Insert(c.Table, row)
		}
	}
	switch c.If {
	case "":
	case absent:
		change = change.If(time.Time{})
	default:
		at, err := schema.ParseTime(c.If)
		if err != nil || at.IsZero() {
			return change, badRequest("if %q: want the updated_at of the row, or %s", c.If, absent)
		}
		change = change.If(at)
	}
	return change, nil
}

// readRow reads a row of a table, which need not name it.
func readRow(table string, class *schema.Class, raw json.RawMessage) (*schema.Dynamic, error) {
	m, ok := object(raw)
	if !ok {
		return nil, badRequest("row: want an object")
	}
	if _, named := m["table_info"]; !named {
		info, err := json.Marshal(schema.TableInfo{Name: table, Group: class.Group(), BaseSchema: class.Base})
		if err != nil {
			return nil, err
		}
		m["table_info"] = info
		if raw, err = json.Marshal(m); err != nil {
			return nil, err
		}
	}
	e, err := schema.ParseEnvelope(raw)
	if err != nil {
		return nil, badRequest("row: %v", err)
	}
	if e.Table.Name != table {
		return nil, badRequest("row %q: table_info names the table %q: want %q", e.ID, e.Table.Name, table)
	}
	row, err := schema.NewDynamic(class)
	if err != nil {
		return nil, err
	}
	if err := e.Decode(row); err != nil {
		return nil, badRequest("row %q: %v", e.ID, err)
	}
	if e.CreatedAt.IsZero() {
		err = schema.SetTimes(row, time.Time{}, time.Time{})
	}
	return row, err
}

func (s *Server) routeEvents() {
	presence := operation("POST", "/presence/{dataset}", "tellPresence", "events", "Say that a client looks at a dataset")
	presence.Description = "A client that said nothing for 45 seconds counts as gone."
	huma.Register(s.api, presence, func(ctx context.Context, in *struct {
		DatasetPath
		Body struct {
			Client string `json:"client" minLength:"1" maxLength:"100"`
			Author string `json:"author,omitempty" maxLength:"200"`
			Item   string `json:"item,omitempty" maxLength:"1000"`
			Gone   bool   `json:"gone,omitempty" doc:"the client leaves"`
		}
	}) (*struct{ Body PresenceEvent }, error) {
		return with(s, ctx, in.DatasetPath, func(ds *dataset.Dataset) (*struct{ Body PresenceEvent }, error) {
			b := in.Body
			event := s.events.presence(ds.Path(), PresenceEntry{b.Client, b.Author, b.Item, time.Now().UTC()}, b.Gone)
			return &struct{ Body PresenceEvent }{event}, nil
		})
	})
	stream := operation("GET", "/events/{dataset}", "streamEvents", "events", "Changes and presence as they happen")
	stream.Description = "Server-sent events. Changes are told as they are made through this server, and within a second or two if others make them; a change without tables means that all must be read again."
	// A stream that began and ended would be asked for again and again.
	stream.Middlewares = huma.Middlewares{func(c huma.Context, next func(huma.Context)) {
		if _, err := s.library.Locate(c.Context(), c.Param("dataset")); err != nil {
			code := statusOf(err)
			_ = huma.WriteErr(s.api, c, code, shown(code, err))
			return
		}
		next(c)
	}}
	sse.Register(s.api, stream, map[string]any{"change": ChangeEvent{}, "presence": PresenceEvent{}, "ping": PingEvent{}},
		func(ctx context.Context, in *DatasetPath, send sse.Sender) {
			path, err := s.library.Locate(ctx, in.Dataset)
			if err != nil {
				return
			}
			l, stop := s.events.listen(path, func(ctx context.Context) { s.watch(ctx, in.Dataset) })
			defer stop()
			ping := time.NewTicker(15 * time.Second)
			defer ping.Stop()
			if send.Data(PingEvent{time.Now().UTC()}) != nil {
				return
			}
			for {
				var event any
				select {
				case <-ctx.Done():
					return
				case <-s.events.closed:
					return
				case event = <-l.queue:
				case now := <-ping.C:
					event = PingEvent{now.UTC()}
				}
				if send.Data(event) != nil {
					return
				}
			}
		})
}
