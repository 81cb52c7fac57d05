package server

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"pixano/dataset"
)

// ConstraintValues are the values of a constraint. Whole numbers stay whole.
type ConstraintValues []any

// UnmarshalJSON reads a list of texts, numbers and truth values.
func (v *ConstraintValues) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var list []any
	if err := d.Decode(&list); err != nil {
		return err
	}
	for i, value := range list {
		if n, ok := value.(json.Number); ok {
			if whole, err := n.Int64(); err == nil {
				list[i] = whole
			} else if list[i], err = n.Float64(); err != nil {
				return err
			}
		}
	}
	*v = list
	return nil
}

// Schema describes the list.
func (ConstraintValues) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{Description: "of the type of the column"}}
}

// ViewList is saved views.
type ViewList struct {
	Body struct {
		Views []dataset.SavedView `json:"views"`
	}
}

// ColumnPath names a column of a table in a path.
type ColumnPath struct {
	TablePath
	Column string `path:"column"`
}

// ViewPath names a saved view in a path.
type ViewPath struct {
	DatasetPath
	Name string `path:"name"`
}

// routeShared adds what those who work on a dataset share beside its rows: value constraints, saved views.
func (s *Server) routeShared() {
	set := operation("PUT", "/constraints/{dataset}/{table}/{column}", "setConstraint", "datasets", "Say which values a column is meant to hold")
	set.Description = "Rows that are stored already are not looked at."
	huma.Register(s.api, set, func(ctx context.Context, in *struct {
		ColumnPath
		Body struct {
			Restricted bool             `json:"restricted" doc:"other values are wrong; otherwise the values are suggestions"`
			Values     ConstraintValues `json:"values"`
		}
	}) (*struct{}, error) {
		return with(s, ctx, in.DatasetPath, func(ds *dataset.Dataset) (*struct{}, error) {
			return nil, ds.SetConstraint(ctx, in.Table, dataset.Constraint{Name: in.Column, Restricted: in.Body.Restricted, Values: in.Body.Values})
		})
	})
	huma.Register(s.api, operation("DELETE", "/constraints/{dataset}/{table}/{column}", "removeConstraint", "datasets", "Let a column hold any value again"), func(ctx context.Context, in *ColumnPath) (*struct{}, error) {
		return with(s, ctx, in.DatasetPath, func(ds *dataset.Dataset) (*struct{}, error) {
			return nil, ds.RemoveConstraint(ctx, in.Table, in.Column)
		})
	})

	huma.Register(s.api, operation("GET", "/saved_views/{dataset}", "listSavedViews", "explorer", "Named states of the list of items"), func(ctx context.Context, in *DatasetPath) (*ViewList, error) {
		return with(s, ctx, *in, func(ds *dataset.Dataset) (*ViewList, error) {
			views, err := ds.SavedViews()
			out := &ViewList{}
			out.Body.Views = append([]dataset.SavedView{}, views...)
			return out, err
		})
	})
	huma.Register(s.api, operation("PUT", "/saved_views/{dataset}/{name}", "saveView", "explorer", "Store a named state of the list of items, in the place of the one of its name"), func(ctx context.Context, in *struct {
		ViewPath
		Body struct {
			Author  string `json:"author,omitempty"`
			Address string `json:"address" maxLength:"20000" doc:"the state as the query of a URL"`
		}
	}) (*struct{}, error) {
		return with(s, ctx, in.DatasetPath, func(ds *dataset.Dataset) (*struct{}, error) {
			return nil, ds.SaveView(ctx, dataset.SavedView{Name: in.Name, Author: in.Body.Author, Address: in.Body.Address})
		})
	})
	huma.Register(s.api, operation("DELETE", "/saved_views/{dataset}/{name}", "removeSavedView", "explorer", "Forget a named state"), func(ctx context.Context, in *ViewPath) (*struct{}, error) {
		return with(s, ctx, in.DatasetPath, func(ds *dataset.Dataset) (*struct{}, error) {
			return nil, ds.RemoveView(ctx, in.Name)
		})
	})

	remove := operation("POST", "/delete_items/{dataset}", "deleteItemsAsChange", "changes", "Delete items with all that belongs to them, as one change set")
	remove.Description = "POST /revert/{dataset}/{change} brings them back."
	remove.Errors = append(remove.Errors, http.StatusConflict)
	huma.Register(s.api, remove, func(ctx context.Context, in *struct {
		DatasetPath
		Body struct {
			ByBody
			IDs []string `json:"ids" minItems:"1" maxItems:"10000"`
		}
	}) (*ChangesResult, error) {
		return with(s, ctx, in.DatasetPath, func(ds *dataset.Dataset) (*ChangesResult, error) {
			res, err := ds.DeleteItemsBy(ctx, dataset.By(in.Body.ByBody), in.Body.IDs...)
			return s.told(ds, in.Body.Author, res, err)
		})
	})
}
