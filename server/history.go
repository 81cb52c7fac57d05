package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"pixano/dataset"
)

// HistoryPage is events, newest first.
type HistoryPage struct {
	Body struct {
		Events []dataset.Event `json:"events"`
	}
}

// ByBody says who makes a change.
type ByBody struct {
	Author string `json:"author,omitempty"`
	Key    string `json:"key,omitempty" doc:"see applyChanges"`
}

// RevertProblem says which rows keep a change set from being undone.
type RevertProblem struct {
	huma.ErrorModel
	Rows []dataset.BlockedRow `json:"rows"`
}

func revertProblem(e *dataset.RevertError, err error) error {
	return &RevertProblem{huma.ErrorModel{Status: http.StatusConflict, Title: http.StatusText(http.StatusConflict), Detail: err.Error()}, e.Rows}
}

// conflictAnswer describes the answer to a conflict.
func conflictAnswer(doc string, s *huma.Schema) map[string]*huma.Response {
	return map[string]*huma.Response{"409": {Description: doc, Content: map[string]*huma.MediaType{"application/problem+json": {Schema: s}}}}
}

func (s *Server) routeHistory() {
	list := operation("GET", "/history/{dataset}", "listHistory", "history", "What changed, newest first")
	list.Description = "Each change set with its rows before and after. The next page begins before the last event of this one."
	huma.Register(s.api, list, func(ctx context.Context, in *struct {
		DatasetPath
		Table  string    `query:"table"`
		ID     string    `query:"id" doc:"of a row; wants a table"`
		Item   string    `query:"item" doc:"id of an item: changes of its row and of those that refer to it"`
		Author string    `query:"author"`
		Since  time.Time `query:"since"`
		Until  time.Time `query:"until"`
		Before string    `query:"before" doc:"id of an event: older ones only"`
		After  string    `query:"after" doc:"id of an event: newer ones only"`
		Limit  int       `query:"limit" default:"50" minimum:"1" maximum:"1000"`
	}) (*HistoryPage, error) {
		return with(s, ctx, in.DatasetPath, func(ds *dataset.Dataset) (*HistoryPage, error) {
			q := dataset.HistoryQuery{Table: in.Table, ID: in.ID, Item: in.Item, Author: in.Author, Since: in.Since, Until: in.Until, Limit: in.Limit}
			if err := errors.Join(changeID(in.Before, &q.Before), changeID(in.After, &q.After)); err != nil {
				return nil, err
			}
			return history(ctx, ds, q)
		})
	})
	huma.Register(s.api, operation("GET", "/history/{dataset}/{change}", "getChange", "history", "A change set with its rows before and after"), func(ctx context.Context, in *ChangePath) (*struct{ Body dataset.Event }, error) {
		return with(s, ctx, in.DatasetPath, func(ds *dataset.Dataset) (*struct{ Body dataset.Event }, error) {
			var q dataset.HistoryQuery
			if err := changeID(in.Change, &q.Change); err != nil {
				return nil, err
			}
			page, err := history(ctx, ds, q)
			if err != nil {
				return nil, err
			}
			if len(page.Body.Events) == 0 {
				return nil, notFound("change %s: the history has no such change", in.Change)
			}
			return &struct{ Body dataset.Event }{page.Body.Events[0]}, nil
		})
	})
	revert := operation("POST", "/revert/{dataset}/{change}", "revertChange", "history", "Undo a change set by an inverse one")
	revert.Description = "Rows that were changed since are merged column by column."
	revert.Responses = conflictAnswer("Later changes are in the way; nothing was changed.", describedAs[RevertProblem](s.api, "RevertProblem"))
	huma.Register(s.api, revert, func(ctx context.Context, in *struct {
		ChangePath
		Body ByBody
	}) (*ChangesResult, error) {
		return with(s, ctx, in.DatasetPath, func(ds *dataset.Dataset) (*ChangesResult, error) {
			var id dataset.ChangeID
			if err := changeID(in.Change, &id); err != nil {
				return nil, err
			}
			res, err := ds.Revert(ctx, id, dataset.By(in.Body))
			return s.told(ds, in.Body.Author, res, err)
		})
	})
}

// told tells those who listen what a change did, and returns it as an answer.
func (s *Server) told(ds *dataset.Dataset, author string, res *dataset.Result, err error) (*ChangesResult, error) {
	if err != nil {
		return nil, err
	}
	s.events.changed(ds, author, res)
	return resultOf(res), nil
}

// ChangePath names a change set of a dataset in a path.
type ChangePath struct {
	DatasetPath
	Change string `path:"change" doc:"id of the event"`
}

func changeID(text string, id *dataset.ChangeID) (err error) {
	if text != "" {
		*id, err = dataset.ParseChangeID(text)
	}
	return err
}

func history(ctx context.Context, ds *dataset.Dataset, q dataset.HistoryQuery) (*HistoryPage, error) {
	out := &HistoryPage{}
	out.Body.Events = []dataset.Event{}
	for event, err := range ds.History(ctx, q) {
		if err != nil {
			return nil, err
		}
		out.Body.Events = append(out.Body.Events, event)
	}
	return out, nil
}

// SnapshotPath names a snapshot of a dataset in a path.
type SnapshotPath struct {
	DatasetPath
	Name string `path:"name"`
}

// SnapshotList is snapshots, oldest first.
type SnapshotList struct {
	Body struct {
		Snapshots []dataset.Snapshot `json:"snapshots"`
	}
}

// DiffPath names two states of a dataset.
type DiffPath struct {
	DatasetPath
	From string `query:"from" doc:"a snapshot; empty: the present"`
	To   string `query:"to" doc:"a snapshot; empty: the present"`
}

// DiffCounts are the numbers of rows that differ.
type DiffCounts struct {
	Body struct {
		From   string                    `json:"from"`
		To     string                    `json:"to"`
		Tables []dataset.TableDifference `json:"tables"`
	}
}

// DiffRows are rows that differ.
type DiffRows struct {
	Body struct {
		Rows []dataset.RowChange `json:"rows"`
		More bool                `json:"more" doc:"there are more than asked for"`
	}
}

func (s *Server) routeSnapshots() {
	huma.Register(s.api, operation("GET", "/snapshots/{dataset}", "listSnapshots", "snapshots", "List the named states of a dataset"), func(ctx context.Context, in *DatasetPath) (*SnapshotList, error) {
		return with(s, ctx, *in, func(ds *dataset.Dataset) (*SnapshotList, error) {
			found, err := ds.Snapshots()
			out := &SnapshotList{}
			out.Body.Snapshots = append([]dataset.Snapshot{}, found...)
			return out, err
		})
	})
	create := operation("POST", "/snapshots/{dataset}", "createSnapshot", "snapshots", "Give the present state a name")
	create.Description = "All routes read it where a path has DATASET@NAME in place of the dataset."
	create.Errors = append(create.Errors, http.StatusConflict)
	huma.Register(s.api, create, func(ctx context.Context, in *struct {
		DatasetPath
		Body struct {
			Name    string `json:"name" minLength:"1" maxLength:"64"`
			Author  string `json:"author,omitempty"`
			Message string `json:"message,omitempty"`
		}
	}) (*struct{ Body *dataset.Snapshot }, error) {
		return with(s, ctx, in.DatasetPath, func(ds *dataset.Dataset) (*struct{ Body *dataset.Snapshot }, error) {
			snapshot, err := ds.Snapshot(ctx, in.Body.Name, dataset.SnapshotOptions{Author: in.Body.Author, Message: in.Body.Message})
			return &struct{ Body *dataset.Snapshot }{snapshot}, err
		})
	})
	remove := operation("DELETE", "/snapshots/{dataset}/{name}", "deleteSnapshot", "snapshots", "Forget a named state")
	huma.Register(s.api, remove, func(ctx context.Context, in *SnapshotPath) (*struct{}, error) {
		return with(s, ctx, in.DatasetPath, func(ds *dataset.Dataset) (*struct{}, error) {
			return &struct{}{}, ds.DeleteSnapshot(ctx, in.Name)
		})
	})
	restore := operation("POST", "/restore/{dataset}/{name}", "restoreSnapshot", "snapshots", "Make the rows those of a named state again, by one change set")
	restore.Errors = append(restore.Errors, http.StatusConflict)
	huma.Register(s.api, restore, func(ctx context.Context, in *struct {
		SnapshotPath
		Body ByBody
	}) (*ChangesResult, error) {
		return with(s, ctx, in.DatasetPath, func(ds *dataset.Dataset) (*ChangesResult, error) {
			res, err := ds.Restore(ctx, in.Name, dataset.By(in.Body))
			return s.told(ds, in.Body.Author, res, err)
		})
	})
	huma.Register(s.api, operation("GET", "/diff/{dataset}", "countDifferences", "snapshots", "How many rows differ between two states"), func(ctx context.Context, in *DiffPath) (*DiffCounts, error) {
		return with(s, ctx, in.DatasetPath, func(ds *dataset.Dataset) (*DiffCounts, error) {
			d, err := ds.Diff(ctx, in.From, in.To)
			if err != nil {
				return nil, err
			}
			defer d.Close()
			out := &DiffCounts{}
			out.Body.From, out.Body.To, out.Body.Tables = d.From, d.To, d.Tables
			return out, nil
		})
	})
	huma.Register(s.api, operation("GET", "/diff_rows/{dataset}", "listDifferences", "snapshots", "The rows that differ between two states"), func(ctx context.Context, in *struct {
		DiffPath
		Tables []string `query:"tables,explode"`
		Limit  int      `query:"limit" default:"1000" minimum:"1" maximum:"10000"`
	}) (*DiffRows, error) {
		return with(s, ctx, in.DatasetPath, func(ds *dataset.Dataset) (*DiffRows, error) {
			d, err := ds.Diff(ctx, in.From, in.To)
			if err != nil {
				return nil, err
			}
			defer d.Close()
			out := &DiffRows{}
			out.Body.Rows = []dataset.RowChange{}
			for row, err := range d.Rows(ctx, in.Tables...) {
				if err != nil {
					return nil, err
				}
				if out.Body.More = len(out.Body.Rows) == in.Limit; out.Body.More {
					break
				}
				out.Body.Rows = append(out.Body.Rows, row)
			}
			return out, nil
		})
	})
}

// The bounds of a query in SQL.
const (
	sqlTime   = 30 * time.Second
	sqlMemory = 1 << 30
	sqlRows   = 10_000
	sqlBytes  = 64 << 20 // of an answer
)

// SQLRows is the result of a query in SQL.
type SQLRows struct {
	Body struct {
		Columns []pageColumn      `json:"columns"`
		Rows    []json.RawMessage `json:"rows" doc:"an object of the columns each"`
		More    bool              `json:"more" doc:"there are more than asked for"`
	}
}

func (s *Server) routeSQL() {
	op := operation("POST", "/sql/{dataset}", "querySQL", "explorer", "A query in SQL over all tables, which only reads")
	op.Description = "The dialect is that of Apache DataFusion. It may take 30 seconds and 1 GiB of memory, and its answer 64 MiB."
	huma.Register(s.api, op, func(ctx context.Context, in *struct {
		DatasetPath
		Body struct {
			Query string `json:"query" minLength:"1" maxLength:"100000"`
			Args  []any  `json:"args,omitempty" doc:"the values of the question marks"`
			Limit int    `json:"limit,omitempty" default:"1000" minimum:"1" maximum:"10000"`
		}
	}) (*SQLRows, error) {
		return with(s, ctx, in.DatasetPath, func(ds *dataset.Dataset) (*SQLRows, error) {
			result, err := ds.WithLimits(dataset.Limits{Time: sqlTime, Memory: sqlMemory}).SQL(ctx, in.Body.Query, in.Body.Args...)
			if err != nil {
				return nil, err
			}
			defer result.Close()
			out := &SQLRows{}
			out.Body.Columns = []pageColumn{}
			for _, f := range result.Schema().Fields() {
				out.Body.Columns = append(out.Body.Columns, pageColumn{f.Name, f.Type.String()})
			}
			out.Body.Rows = []json.RawMessage{}
			bytes := 0
			for row, err := range result.Rows(ctx) {
				if errors.Is(err, dataset.ErrNoSpace) {
					return nil, badRequest("sql: the query wants more than %d bytes of memory", sqlMemory)
				}
				if err != nil {
					return nil, err
				}
				if out.Body.More = len(out.Body.Rows) == min(in.Body.Limit, sqlRows); out.Body.More {
					break
				}
				one := row.AppendJSON(nil)
				if bytes += len(one); bytes > sqlBytes {
					return nil, badRequest("sql: the first %d rows take more than %d bytes: want fewer rows or columns", len(out.Body.Rows), sqlBytes)
				}
				out.Body.Rows = append(out.Body.Rows, one)
			}
			return out, nil
		})
	})
}
