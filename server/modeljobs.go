package server

import (
	"context"
	"fmt"

	"github.com/danielgtaylor/huma/v2"

	"pixano/dataset"
	"pixano/inference"
	"pixano/inference/annotate"
)

// ModelJobResult says what a job of a model did, in rows of the table that it went over.
type ModelJobResult struct {
	Total  int      `json:"total" doc:"selected"`
	Before int      `json:"before" doc:"of them done by earlier runs"`
	Done   int      `json:"done"`
	Failed int      `json:"failed"`
	Rows   int      `json:"rows" doc:"stored"`
	Errors []string `json:"errors" doc:"the first of them"`
}

func texts(errs []error) []string {
	list := []string{}
	for _, err := range errs {
		list = append(list, err.Error())
	}
	return list
}

// ModelBody names a model in the body of a request.
type ModelBody struct {
	Model    string        `json:"model" minLength:"1"`
	Provider string        `json:"provider,omitempty" doc:"empty: the first that has the model"`
	Author   string        `json:"author,omitempty" doc:"noted in the history; empty: the model"`
	Query    dataset.Query `json:"query,omitempty" doc:"which rows to go over"`
}

// routeModelJobs adds the jobs that run a model over a dataset and store what it finds.
func (s *Server) routeModelJobs() {
	embed := operation("POST", "/embed/{dataset}", "startEmbedding", "jobs", "Compute vectors of views and store them, as a job")
	embed.Description = "Views that have a vector are passed over, so a job that was interrupted goes on."
	huma.Register(s.api, embed, func(ctx context.Context, in *struct {
		DatasetPath
		Body struct {
			ModelBody
			Views   string   `json:"views" doc:"the table of views"`
			Table   string   `json:"table" doc:"of embeddings; it is made if it is not there"`
			Texts   []string `json:"texts,omitempty" doc:"columns whose texts are embedded in place of the views, as objects.category"`
			Replace bool     `json:"replace,omitempty" doc:"compute anew what is there"`
		}
	}) (*jobBody, error) {
		b := in.Body
		return s.modelJob(ctx, "embed", in.DatasetPath, b.ModelBody, inference.TaskEmbedding, b.Views, func(ctx context.Context, ds *dataset.Dataset, m annotate.Model, progress func(JobProgress)) (any, error) {
			res, err := annotate.EmbedViews(ctx, ds, annotate.EmbedRequest{Model: m, Table: b.Table, Views: b.Views, Texts: b.Texts, Filter: b.Query, Replace: b.Replace, Author: b.Author,
				Progress: func(r annotate.EmbedResult) {
					progress(JobProgress{Step: "embed", Items: int64(r.Done()), Total: int64(r.Total)})
				}})
			return ModelJobResult{res.Total, res.Present, res.Embedded, res.Failed, res.Embedded, texts(res.Failures)}, err
		})
	})
	huma.Register(s.api, operation("POST", "/detect/{dataset}", "startDetection", "jobs", "Find objects in views and store them, as a job"), func(ctx context.Context, in *struct {
		DatasetPath
		Body struct {
			ModelBody
			Views         string   `json:"views" doc:"the table of images"`
			Classes       []string `json:"classes,omitempty"`
			BoxThreshold  float64  `json:"box_threshold,omitempty" default:"0.3" minimum:"0" maximum:"1"`
			TextThreshold float64  `json:"text_threshold,omitempty" default:"0.2" minimum:"0" maximum:"1"`
			Boxes         string   `json:"boxes" doc:"the table for boxes"`
			Labels        string   `json:"labels,omitempty" doc:"the table for classes; empty: none"`
			Masks         string   `json:"masks,omitempty" doc:"the table for masks; empty: none"`
			Entities      string   `json:"entities,omitempty" doc:"the table for entities; empty: none"`
		}
	}) (*jobBody, error) {
		b := in.Body
		return s.modelJob(ctx, "detect", in.DatasetPath, b.ModelBody, inference.TaskDetection, b.Views, func(ctx context.Context, ds *dataset.Dataset, m annotate.Model, progress func(JobProgress)) (any, error) {
			res, err := annotate.DetectViews(ctx, ds, annotate.DetectJob{Job: jobOf("detect", m, b.Author, progress), Views: b.Views, Query: b.Query, Classes: b.Classes,
				BoxThreshold: b.BoxThreshold, TextThreshold: b.TextThreshold, Boxes: b.Boxes, Labels: b.Labels, Masks: b.Masks, Entities: b.Entities})
			return modelResult(res), err
		})
	})
	huma.Register(s.api, operation("POST", "/segment/{dataset}", "startSegmentation", "jobs", "Make a mask of each box and store it, as a job"), func(ctx context.Context, in *struct {
		DatasetPath
		Body struct {
			ModelBody
			Boxes string `json:"boxes" doc:"the table of boxes"`
			Masks string `json:"masks" doc:"the table for masks"`
		}
	}) (*jobBody, error) {
		b := in.Body
		return s.modelJob(ctx, "segment", in.DatasetPath, b.ModelBody, inference.TaskImageMask, b.Boxes, func(ctx context.Context, ds *dataset.Dataset, m annotate.Model, progress func(JobProgress)) (any, error) {
			res, err := annotate.SegmentBoxes(ctx, ds, annotate.SegmentJob{Job: jobOf("segment", m, b.Author, progress), Boxes: b.Boxes, Query: b.Query, Masks: b.Masks})
			return modelResult(res), err
		})
	})
}

func jobOf(step string, m annotate.Model, author string, progress func(JobProgress)) annotate.Job {
	return annotate.Job{Model: m, Author: author, Progress: func(p annotate.Progress) {
		progress(JobProgress{Step: step, Items: int64(p.Before + p.Done), Rows: int64(p.Rows), Total: int64(p.Total)})
	}}
}

func modelResult(r annotate.Result) ModelJobResult {
	return ModelJobResult{r.Total, r.Before, r.Done, r.Failed, r.Rows, texts(r.Errors)}
}

// modelJob begins a job of a model, once it is known that there is the model and the table to go over.
func (s *Server) modelJob(ctx context.Context, kind string, path DatasetPath, body ModelBody, task inference.Task, table string,
	do func(ctx context.Context, ds *dataset.Dataset, m annotate.Model, progress func(JobProgress)) (any, error),
) (*jobBody, error) {
	return with(s, ctx, path, func(ds *dataset.Dataset) (*jobBody, error) {
		if _, err := ds.Count(ctx, table, dataset.Query{Where: body.Query.Where, Args: body.Query.Args, Has: body.Query.Has}); err != nil {
			return nil, err
		}
		if s.opts.Inference == nil {
			return nil, notFound("model %q: this server has no models", body.Model)
		}
		p, err := s.opts.Inference.Find(ctx, body.Provider, body.Model, task)
		if err != nil {
			return nil, inferenceError(err)
		}
		job, err := s.datasetJob(kind, path.Dataset, func(ctx context.Context, ds *dataset.Dataset, progress func(JobProgress)) (any, error) {
			out, err := do(ctx, ds, annotate.Model{Provider: p, Name: body.Model}, progress)
			s.events.reread(ds)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", body.Model, err)
			}
			return out, nil
		})
		return &jobBody{job}, err
	})
}
