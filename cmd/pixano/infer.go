package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pixano/dataset"
	"pixano/inference"
	"pixano/inference/annotate"
	"pixano/inference/grabcut"
	"pixano/schema"
)

func inferCommand() *cobra.Command {
	return group("infer", "Annotate datasets with models", inferDetectCommand(), inferSegmentCommand())
}

// inferOptions are those that both commands have.
type inferOptions struct {
	models                modelOptions
	model, provider       string
	mediaDir, author      string
	query                 dataset.Query
	workers               int
	dryRun, quiet, asJSON bool
}

func (o *inferOptions) add(flags *pflag.FlagSet, rows string) {
	flags.StringVar(&o.provider, "provider", "", "the provider that runs the model (default: the first that has it)")
	flags.StringVar(&o.query.Where, "where", "", "only "+rows+" that match this condition in SQL")
	flags.IntVar(&o.query.Limit, "limit", 0, "look at no more "+rows+" than this; 0 for all")
	flags.IntVar(&o.workers, "workers", 0, "pictures that are looked at at the same time (default 2)")
	flags.StringVar(&o.author, "author", "", "who is noted in the history (default: the model)")
	flags.StringVar(&o.mediaDir, "media-dir", "", "the directory that the urls of media start from")
	flags.BoolVar(&o.dryRun, "dry-run", false, "say what would be done")
	flags.BoolVar(&o.quiet, "quiet", false, "show no progress")
	flags.BoolVar(&o.asJSON, "json", false, "write what was done as JSON")
	o.models.add(flags)
}

const inferResumes = "The rows refer to a source of kind model, named after the model. What is done is noted, so a command that was interrupted\n" +
	"goes on when it is repeated, and one that was not does nothing but new rows; what people change or delete meanwhile stays so.\n" +
	"What cannot be done is named at the end, and the exit code is then 1.\n\n"

func inferDetectCommand() *cobra.Command {
	var o inferOptions
	var job annotate.DetectJob
	cmd := &cobra.Command{
		Use:   "detect DATASET --model MODEL [--classes NAME,...]",
		Short: "Find objects in pictures: boxes with classes",
		Long: "Find objects in the pictures of a dataset with a model, and store for each its box, its class and an entity.\n\n" +
			inferResumes + modelPlaces,
		Example: "  pixano infer detect library/voc --model yolov3-tiny --where \"item_ref.id LIKE 'val%'\" --dry-run\n" +
			"  pixano infer detect library/voc --inference-url http://gpu:7463 --model grounding-dino --classes \"car,traffic light\"",
		Args: arguments("DATASET"),
	}
	flags := cmd.Flags()
	flags.StringVar(&o.model, "model", "", "the model, see 'pixano models list' (required)")
	flags.StringSliceVar(&job.Classes, "classes", nil, "names of what to look for, with commas between them (default: all that the model knows)")
	flags.Float64Var(&job.BoxThreshold, "box-threshold", inference.DefaultBoxThreshold, "least score of a box, from 0 to 1")
	flags.Float64Var(&job.TextThreshold, "text-threshold", inference.DefaultTextThreshold, "least score of a word, for models that read text")
	flags.StringVar(&job.Views, "views", "", "the table of images (default: the only one)")
	flags.StringVar(&job.Boxes, "boxes", "", "the table for the boxes, made if it is not there (default: the only one)")
	flags.StringVar(&job.Labels, "labels", "", "the table for the classes, made if it is not there; none for none (default: the only one)")
	flags.StringVar(&job.Masks, "masks", "", "the table for masks, of models that have them (default: none)")
	flags.StringVar(&job.Entities, "entities", "", "the table of entities; none for none (default: the only one)")
	o.add(flags, "pictures")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if o.model == "" {
			return usagef("missing option --model: the model that finds objects")
		}
		for name, value := range map[string]*float64{"box-threshold": &job.BoxThreshold, "text-threshold": &job.TextThreshold} {
			if !(*value >= 0 && *value <= 1) {
				return usagef("--%s %v: want a value from 0 to 1", name, *value)
			}
			if *value == 0 {
				*value = -1 // no limit
			}
		}
		return o.run(cmd, args[0], inference.TaskDetection, func(ctx context.Context, ds *dataset.Dataset, shared annotate.Job) (annotate.Result, string, error) {
			err := errors.Join(
				choose(ctx, ds, &job.Views, "views", schema.GroupViews, "Image", nil, o.dryRun),
				choose(ctx, ds, &job.Boxes, "boxes", schema.GroupAnnotations, "BBox", schema.BBox{}, o.dryRun),
				chooseOptional(ctx, ds, &job.Labels, "labels", schema.GroupAnnotations, "Classification", schema.Classification{}, o.dryRun),
				chooseOptional(ctx, ds, &job.Entities, "entities", schema.GroupEntities, "Entity", nil, o.dryRun))
			if err != nil {
				return annotate.Result{}, "", err
			}
			job.Job, job.Query = shared, o.query
			r, err := annotate.DetectViews(ctx, ds, job)
			return r, "pictures of " + job.Views, err
		})
	}
	return cmd
}

func inferSegmentCommand() *cobra.Command {
	var o inferOptions
	var job annotate.SegmentJob
	cmd := &cobra.Command{
		Use:   "segment DATASET [--model MODEL]",
		Short: "Find the mask of the object in each box",
		Long: "Find, with a model, the mask of the object in each box of a dataset, and store it for the same item, view and entity.\n" +
			"The default model, " + grabcut.Model + ", needs no file: it goes by colours and edges.\n\n" +
			inferResumes + modelPlaces,
		Example: "  pixano infer segment library/voc --where \"confidence > 0.5\"\n" +
			"  pixano infer segment library/voc --model sam_vit_b --boxes bboxes --masks masks",
		Args: arguments("DATASET"),
	}
	flags := cmd.Flags()
	flags.StringVar(&o.model, "model", grabcut.Model, "the model, see 'pixano models list'")
	flags.StringVar(&job.Boxes, "boxes", "", "the table of boxes (default: the only one)")
	flags.StringVar(&job.Masks, "masks", "", "the table for the masks, made if it is not there (default: the only one)")
	o.add(flags, "boxes")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return o.run(cmd, args[0], inference.TaskImageMask, func(ctx context.Context, ds *dataset.Dataset, shared annotate.Job) (annotate.Result, string, error) {
			err := errors.Join(
				choose(ctx, ds, &job.Boxes, "boxes", schema.GroupAnnotations, "BBox", nil, o.dryRun),
				choose(ctx, ds, &job.Masks, "masks", schema.GroupAnnotations, "CompressedRLE", schema.CompressedRLE{}, o.dryRun))
			if err != nil {
				return annotate.Result{}, "", err
			}
			job.Job, job.Query = shared, o.query
			r, err := annotate.SegmentBoxes(ctx, ds, job)
			return r, "boxes of " + job.Boxes, err
		})
	}
	return cmd
}

// choose fills in a table that was not named: the only one whose rows extend a built-in class. One that was named and is not
// there is made, of class, if that is not nil.
func choose(ctx context.Context, ds *dataset.Dataset, name *string, flag string, group schema.Group, base string, class any, dryRun bool) error {
	var fit []string
	for _, table := range ds.Schema().TablesOf(group) {
		// A conversation is an entity that no picture shows.
		if c, _ := ds.Schema().Class(table); schema.IsA(c.Base, base) && c.Base != "Conversation" {
			fit = append(fit, table)
		}
	}
	if *name == "" {
		switch {
		case len(fit) == 1:
			*name = fit[0]
			return nil
		case len(fit) == 0:
			return usagef("missing option --%s: the dataset has no table of %s", flag, base)
		}
		return usagef("missing option --%s: the dataset has the tables %s", flag, strings.Join(fit, ", "))
	}
	if _, there := ds.Schema().Class(*name); there || class == nil {
		return nil
	}
	if dryRun {
		return usagef("--%s %s: a dry run does not make the table: name one that is there", flag, *name)
	}
	return ds.CreateTable(ctx, *name, class, schema.ManyToOne)
}

// chooseOptional is choose for a table that need not be: "none" is none, and so is no table that fits.
func chooseOptional(ctx context.Context, ds *dataset.Dataset, name *string, flag string, group schema.Group, base string, class any, dryRun bool) error {
	if *name == "none" {
		*name = ""
		return nil
	}
	if *name != "" {
		return choose(ctx, ds, name, flag, group, base, class, dryRun)
	}
	if err := choose(ctx, ds, name, flag, group, base, nil, dryRun); err != nil && strings.Contains(err.Error(), "has the tables") {
		return err
	}
	return nil
}

// run opens the dataset, finds the model and runs the job.
func (o *inferOptions) run(cmd *cobra.Command, path string, task inference.Task, do func(context.Context, *dataset.Dataset, annotate.Job) (annotate.Result, string, error)) error {
	ctx := cmd.Context()
	if o.workers < 0 || o.query.Limit < 0 {
		return usagef("--workers and --limit want numbers from 0 on")
	}
	ds, err := dataset.Open(ctx, path, &dataset.Options{MediaDir: mediaDirOf(path, o.mediaDir), ReadOnly: o.dryRun})
	if err != nil {
		return err
	}
	defer ds.Close()
	providers, _, err := o.models.providers(ctx, path)
	if err != nil {
		return err
	}
	defer providers.Close()
	p, err := providers.Find(ctx, o.provider, o.model, task)
	if err != nil {
		return err
	}
	bar := newProgress(cmd.ErrOrStderr(), o.quiet || o.dryRun)
	job := annotate.Job{Model: annotate.Model{Provider: p, Name: o.model}, Workers: o.workers, DryRun: o.dryRun, Author: o.author,
		Progress: func(p annotate.Progress) {
			done := p.Before + p.Done + p.Failed
			text := fmt.Sprintf("%d of %d", done, p.Total)
			if p.Total > 0 {
				text += fmt.Sprintf(" (%d %%), %d rows", 100*done/p.Total, p.Rows)
			}
			bar.show(text, float64(p.Done), "a second")
		}}
	began := time.Now()
	r, rows, err := do(ctx, ds, job)
	bar.end()
	if err != nil && r.Total == 0 {
		return err // nothing was begun
	}
	if o.asJSON {
		err = errors.Join(err, writeJSON(cmd.OutOrStdout(), inferReport(r)))
	} else {
		line := fmt.Sprintf("%d of %d %s done, %d rows stored", r.Done, r.Total, rows, r.Rows)
		if o.dryRun {
			line = fmt.Sprintf("%d of %d %s to be done with %s of %s; nothing was stored", r.Total-r.Before, r.Total, rows, o.model, p.Name())
		}
		if r.Before > 0 {
			line += fmt.Sprintf(", %d done before", r.Before)
		}
		if r.Failed > 0 {
			line += fmt.Sprintf(", %d failed", r.Failed)
		}
		if seconds := time.Since(began).Seconds(); r.Done > 0 && !o.quiet {
			fmt.Fprintf(cmd.ErrOrStderr(), "%.1f s, %.1f a second\n", seconds, float64(r.Done)/seconds)
		}
		if _, werr := fmt.Fprintln(cmd.OutOrStdout(), line); werr != nil {
			return errors.Join(err, werr)
		}
	}
	if err == nil && r.Failed > 0 {
		err = fmt.Errorf("%d of %d %s failed", r.Failed, r.Total, rows)
	}
	return errors.Join(append(r.Errors, goOn(ctx, err))...)
}

// inferReport is a result as JSON.
func inferReport(r annotate.Result) any {
	errs := []string{}
	for _, err := range r.Errors {
		errs = append(errs, err.Error())
	}
	return struct {
		Total  int      `json:"total"`
		Before int      `json:"before"`
		Done   int      `json:"done"`
		Failed int      `json:"failed"`
		Rows   int      `json:"rows"`
		Errors []string `json:"errors"`
	}{r.Total, r.Before, r.Done, r.Failed, r.Rows, errs}
}
