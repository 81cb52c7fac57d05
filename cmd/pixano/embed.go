package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pixano/dataset"
	"pixano/inference"
	"pixano/inference/annotate"
	"pixano/schema"
)

type embedOptions struct {
	models        modelOptions
	request       annotate.EmbedRequest
	model         string
	mediaDir      string
	dryRun, quiet bool
	json          bool
}

func embedCommand() *cobra.Command {
	var o embedOptions
	cmd := &cobra.Command{
		Use:   "embed DATASET --model MODEL [--views TABLE]",
		Short: "Compute vectors of pictures, texts or labels, for search by meaning",
		Long: "Compute a vector of each view with a model, and store them in a table of embeddings, which is made if it is not there.\n" +
			"The table names the model, so that 'pixano data search --text' finds what a text means.\n\n" +
			"Pictures and texts are embedded themselves or, with --text-of, the texts of other tables that belong to them: the\n" +
			"categories of objects, captions, names. A model for texts then searches pictures by what is known of them.\n\n" +
			"Views that have a vector are passed over, so a command that was interrupted goes on when it is repeated; --replace\n" +
			"computes them anew. Views that cannot be read are named at the end, and the exit code is then 1.\n\n" + modelPlaces,
		Example: "  pixano data embed library/voc --model all-minilm-l6-v2 --text-of objects.category\n" +
			"  pixano data search library/voc --table image_embedding --text automobile\n" +
			"  pixano data embed library/voc --model sam_vit_b --views image --table image_features",
		Args: arguments("DATASET"),
	}
	flags := cmd.Flags()
	r := &o.request
	flags.StringVar(&o.model, "model", "", "the model, see 'pixano models list' (required)")
	flags.StringVar(&r.Views, "views", "", "the table of the views (default: the only one)")
	flags.StringVar(&r.Table, "table", "", "the table for the vectors (default: that of the views with _embedding after it)")
	flags.StringArrayVar(&r.Texts, "text-of", nil, "embed the texts of this TABLE.COLUMN that belong to a view; may be repeated")
	flags.StringVar(&r.Filter.Where, "where", "", "embed only views that match this condition in SQL")
	flags.IntVar(&r.Filter.Limit, "limit", 0, "look at no more views than this; 0 for all")
	flags.BoolVar(&r.Replace, "replace", false, "compute vectors anew that are there")
	flags.IntVar(&r.BatchSize, "batch-size", 0, "views for a call of the model (default 64)")
	flags.IntVar(&r.Workers, "workers", 0, "batches that are read at the same time (default: as many as there are processors, at most 4)")
	flags.StringVar(&o.mediaDir, "media-dir", "", "the directory that the urls of media start from")
	flags.BoolVar(&o.dryRun, "dry-run", false, "say what would be done")
	flags.BoolVar(&o.quiet, "quiet", false, "show no progress")
	flags.BoolVar(&o.json, "json", false, "write what was done as JSON")
	o.models.add(flags)
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return o.run(cmd, args[0]) }
	return cmd
}

func (o *embedOptions) run(cmd *cobra.Command, path string) error {
	ctx := cmd.Context()
	r := &o.request
	switch {
	case o.model == "":
		return usagef("missing option --model: the model that computes the vectors")
	case r.BatchSize < 0 || r.Workers < 0 || r.Filter.Limit < 0:
		return usagef("--batch-size, --workers and --limit want numbers from 0 on")
	}
	ds, err := dataset.Open(ctx, path, &dataset.Options{MediaDir: mediaDirOf(path, o.mediaDir), ReadOnly: o.dryRun})
	if err != nil {
		return err
	}
	defer ds.Close()
	if r.Views == "" {
		views := ds.Schema().TablesOf(schema.GroupViews)
		if len(views) != 1 {
			return usagef("missing option --views: the dataset has the tables of views %s", strings.Join(views, ", "))
		}
		r.Views = views[0]
	}
	if r.Table == "" {
		r.Table = r.Views + "_embedding"
	}
	providers, _, err := o.models.providers(ctx, path)
	if err != nil {
		return err
	}
	defer providers.Close()
	p, err := providers.Find(ctx, "", o.model, inference.TaskEmbedding)
	if err != nil {
		return err
	}
	r.Model = annotate.Model{Provider: p, Name: o.model}
	if o.dryRun {
		return o.plan(cmd, ds)
	}
	bar := newProgress(cmd.ErrOrStderr(), o.quiet)
	r.Progress = func(u annotate.EmbedResult) {
		text := fmt.Sprintf("%d of %d views", u.Done(), u.Total)
		if u.Total > 0 {
			text += fmt.Sprintf(" (%d %%)", 100*u.Done()/u.Total)
		}
		bar.show(text, float64(u.Done()-u.Present), "views")
	}
	began := time.Now()
	result, err := annotate.EmbedViews(ctx, ds, *r)
	bar.end()
	if o.json {
		err = errors.Join(err, writeJSON(cmd.OutOrStdout(), embedReport(result, r.Table)))
	} else if err == nil || result.Embedded > 0 {
		line := fmt.Sprintf("%d vectors of %s in %s", result.Embedded, r.Views, r.Table)
		for _, part := range []struct {
			n    int
			text string
		}{{result.Present, "there before"}, {result.Empty, "without text"}, {result.Failed, "failed"}} {
			if part.n > 0 {
				line += fmt.Sprintf(", %d %s", part.n, part.text)
			}
		}
		if seconds := time.Since(began).Seconds(); result.Embedded > 0 && !o.quiet {
			fmt.Fprintf(cmd.ErrOrStderr(), "%.1f s, %.0f views/s\n", seconds, float64(result.Embedded)/seconds)
		}
		fmt.Fprintln(cmd.OutOrStdout(), line)
	}
	if result.Failed > len(result.Failures) {
		result.Failures = append(result.Failures, fmt.Errorf("and %d more", result.Failed-len(result.Failures)))
	}
	return errors.Join(append([]error{goOn(ctx, err)}, result.Failures...)...)
}

// goOn adds to the error of a job that was interrupted what to do next.
func goOn(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return fmt.Errorf("%w\nWhat was done is stored. Run the command again to go on", err)
}

// plan says what would be done.
func (o *embedOptions) plan(cmd *cobra.Command, ds *dataset.Dataset) error {
	r := &o.request
	n, err := ds.Count(cmd.Context(), r.Views, r.Filter)
	if err != nil {
		return err
	}
	there := int64(0)
	if slices.Contains(ds.Schema().TablesOf(schema.GroupEmbeddings), r.Table) {
		if there, err = ds.Count(cmd.Context(), r.Table, dataset.Query{Where: "view_ref.name = ?", Args: []any{r.Views}}); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d views of %s, %d rows in %s; nothing was done\n", n, r.Views, there, r.Table)
	return err
}

// embedReport is a result as JSON.
func embedReport(r annotate.EmbedResult, table string) any {
	failures := []string{}
	for _, err := range r.Failures {
		failures = append(failures, err.Error())
	}
	return struct {
		Table    string   `json:"table"`
		Total    int      `json:"total"`
		Embedded int      `json:"embedded"`
		Present  int      `json:"present"`
		Empty    int      `json:"empty"`
		Failed   int      `json:"failed"`
		Failures []string `json:"failures"`
	}{table, r.Total, r.Embedded, r.Present, r.Empty, r.Failed, failures}
}
