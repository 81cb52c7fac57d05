package server

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"pixano/dataset"
	"pixano/features"
)

// TemplateList is templates of key points.
type TemplateList struct {
	Body struct {
		Templates []features.KeyPointTemplate `json:"templates" doc:"the dataset's own; they come before built-in ones of the same id"`
		Builtin   []features.KeyPointTemplate `json:"builtin"`
	}
}

func (s *Server) routeTemplates() {
	huma.Register(s.api, operation("GET", "/keypoint_templates/{dataset}", "listKeyPointTemplates", "datasets", "What the points of poses are and how they are drawn"), func(ctx context.Context, in *DatasetPath) (*TemplateList, error) {
		return with(s, ctx, *in, templatesOf)
	})
	put := operation("PUT", "/keypoint_templates/{dataset}", "setKeyPointTemplates", "datasets", "Replace the dataset's own templates of key points")
	huma.Register(s.api, put, func(ctx context.Context, in *struct {
		DatasetPath
		Body struct {
			Templates []features.KeyPointTemplate `json:"templates"`
		}
	}) (*TemplateList, error) {
		return with(s, ctx, in.DatasetPath, func(ds *dataset.Dataset) (*TemplateList, error) {
			if err := ds.SetKeyPointTemplates(ctx, in.Body.Templates); err != nil {
				return nil, err
			}
			return templatesOf(ds)
		})
	})
}

func templatesOf(ds *dataset.Dataset) (*TemplateList, error) {
	own, err := ds.KeyPointTemplates()
	if err != nil {
		return nil, err
	}
	out := &TemplateList{}
	out.Body.Templates = append([]features.KeyPointTemplate{}, own...)
	out.Body.Builtin = features.KeyPointTemplates()
	return out, nil
}
