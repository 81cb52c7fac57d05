package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"pixano/dataset"
	"pixano/search"
)

func indexCommand() *cobra.Command {
	return group("index", "Make, list, measure and drop indexes for searches",
		indexCreateCommand(), indexListCommand(), indexStatsCommand(), indexRecallCommand(), indexDropCommand())
}

// withSearcher runs a command on the dataset that is its first argument, once its flags named were given.
func withSearcher(run func(cmd *cobra.Command, s *search.Searcher) error, required ...string) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		for _, name := range required {
			if cmd.Flag(name).Value.String() == "" {
				return usagef("missing option --%s", name)
			}
		}
		ds, err := dataset.OpenTables(cmd.Context(), args[0], nil)
		if err != nil {
			return err
		}
		defer ds.Close()
		return run(cmd, search.New(ds, nil))
	}
}

func indexCreateCommand() *cobra.Command {
	var index dataset.Index
	var tokens dataset.Tokens
	var kind, metric string
	var recall float64
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "create DATASET --table TABLE",
		Short: "Make an index for searches by vectors or by words",
		Long: "Opt a dataset in to an index of a table's vectors or, with --column, of a column of texts. Searches use it from then\n" +
			"on, and rows that are written later are found too. An index of vectors is measured against exact search and tuned to\n" +
			"find the share of the 50 nearest that --recall says.\n\n" +
			"Without --type, vectors get IVF_HNSW_SQ from " + strconv.Itoa(dataset.IndexRows) + " rows on, and none before. Python programs of older releases\n" +
			"can no longer do everything with the table; the result says what.",
		Example: "  pixano data index create library/voc --table image_embedding --metric cosine\n" +
			"  pixano data index create library/voc --table captions --column content --positions",
		Args: arguments("DATASET"),
	}
	flags := cmd.Flags()
	flags.StringVar(&index.Table, "table", "", "the table (required)")
	flags.StringVar(&index.Column, "column", "", "the column (default: that of the vectors)")
	flags.StringVar(&index.Name, "name", "", "the index's name (default: the column's with _idx)")
	flags.StringVar(&kind, "type", "", "IVF_HNSW_SQ, IVF_PQ, IVF_FLAT, IVF_HNSW_PQ or FTS (default: chosen)")
	flags.StringVar(&metric, "metric", "", "distance between vectors: l2, cosine or dot (default: l2)")
	flags.IntVar(&index.Partitions, "partitions", 0, "partitions of the vectors (default: chosen)")
	flags.IntVar(&index.SubVectors, "sub-vectors", 0, "parts of a vector for product quantization; a divisor of the dimension")
	flags.IntVar(&index.Bits, "bits", 0, "bits of a part for product quantization: 4 or 8")
	flags.IntVar(&index.M, "m", 0, "edges of a node of a graph")
	flags.IntVar(&index.EFConstruction, "ef-construction", 0, "candidates looked at when a node is added to a graph")
	flags.IntVar(&index.NProbes, "nprobes", 0, "partitions that searches look into (default: tuned)")
	flags.IntVar(&index.EF, "ef", 0, "candidates that searches keep in a graph (default: tuned)")
	flags.IntVar(&index.Refine, "refine", 0, "searches compare so many times the hits by exact distance (default: tuned)")
	flags.Float64Var(&recall, "recall", 0.95, "share of the 50 nearest that searches are tuned to find; 0 measures nothing")
	flags.StringVar(&tokens.Tokenizer, "tokenizer", "", "how texts are cut into words: simple, whitespace, raw or ngram (default: simple)")
	flags.StringVar(&tokens.Language, "language", "", "language of stems and stop words (default: English)")
	flags.BoolVar(&tokens.NoStem, "no-stem", false, "find words only in the form asked for")
	flags.BoolVar(&tokens.KeepStops, "keep-stop-words", false, "index words such as \"the\" too")
	flags.BoolVar(&tokens.Positions, "positions", false, "keep the places of words, for phrases")
	flags.BoolVar(&asJSON, "json", false, "write the result as JSON")
	cmd.RunE = withSearcher(func(cmd *cobra.Command, s *search.Searcher) error {
		if recall < 0 || recall > 1 {
			return usagef("--recall %v: want 0 to 1", recall)
		}
		index.Type, index.Metric = dataset.IndexType(kind), dataset.Metric(metric)
		if tokens != (dataset.Tokens{}) {
			index.Tokens = &tokens
		}
		opts := &search.BuildOptions{Recall: recall, Progress: buildProgress(cmd)}
		if recall == 0 {
			opts.Recall = -1
		}
		info, err := s.CreateIndex(cmd.Context(), index, opts)
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(cmd.OutOrStdout(), info)
		}
		out := newPrinter(cmd.OutOrStdout())
		if info.Built.IsZero() {
			out.line(fmt.Sprintf("%s of %s: waits for the table to grow to %d rows; until then searches are exact",
				info.Name, info.Table, dataset.IndexRows))
			return out.flush()
		}
		out.line(fmt.Sprintf("%s of %s: %s over %d rows in %s, %s", info.Name, info.Table, info.Type, info.Rows,
			duration(info.Seconds), size(info.Bytes)))
		if info.Recall > 0 {
			out.line(fmt.Sprintf("searches find %.1f %% of the 50 nearest (nprobes %d, ef %d, refine %d)",
				100*info.Recall, info.NProbes, info.EF, info.Refine))
		}
		out.line("cost: " + info.Python)
		return out.flush()
	}, "table")
	return cmd
}

// buildProgress prints how far an index is, on a terminal only: a line that is written over.
func buildProgress(cmd *cobra.Command) func(search.Progress) {
	out := newPrinter(cmd.ErrOrStderr())
	if out.width == 0 {
		return nil
	}
	return func(p search.Progress) {
		fmt.Fprintf(out.w, "\r\x1b[K%s: %s, %s", p.Stage, p.Elapsed.Round(time.Second), size(p.Bytes))
		out.flush()
	}
}

func duration(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(time.Millisecond).String()
}

// size is a number of bytes for people.
func size(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }

func indexListCommand() *cobra.Command {
	var tableName string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list DATASET",
		Short: "List the indexes of a dataset",
		Long:  "List the indexes of a dataset: those that it opted in to, and those that Python programs made.",
		Args:  arguments("DATASET"),
		RunE: withSearcher(func(cmd *cobra.Command, s *search.Searcher) error {
			infos, err := s.Indexes(cmd.Context(), tableName)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), infos)
			}
			out := newPrinter(cmd.OutOrStdout())
			t := table{header: []string{"TABLE", "NAME", "COLUMN", "TYPE", "METRIC", "INDEXED", "PENDING", "RECALL", "OPTED IN"}, right: []int{5, 6, 7}}
			for _, i := range infos {
				kind, recall, mine := string(i.Type), none, "yes"
				if i.Built.IsZero() && i.OptedIn {
					kind = "waits"
				}
				if i.Recall > 0 {
					recall = strconv.FormatFloat(i.Recall, 'f', 3, 64)
				}
				if !i.OptedIn {
					mine = "no"
				}
				t.add(i.Table, i.Name, i.Column, kind, string(i.Metric), strconv.FormatInt(i.Indexed, 10), strconv.FormatInt(i.Unindexed, 10), recall, mine)
			}
			out.table(t)
			if len(infos) == 0 {
				out.line("no indexes: searches are exact")
			}
			return out.flush()
		}),
	}
	cmd.Flags().StringVar(&tableName, "table", "", "only those of this table")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write a JSON list")
	return cmd
}

func indexStatsCommand() *cobra.Command {
	var tableName, name string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "stats DATASET --table TABLE",
		Short: "Show how complete and how large the indexes of a table are",
		Args:  arguments("DATASET"),
		RunE: withSearcher(func(cmd *cobra.Command, s *search.Searcher) error {
			infos, err := s.Indexes(cmd.Context(), tableName)
			if err != nil {
				return err
			}
			out := newPrinter(cmd.OutOrStdout())
			chosen := infos[:0]
			for _, i := range infos {
				if name == "" || i.Name == name {
					chosen = append(chosen, i)
				}
			}
			if name != "" && len(chosen) == 0 {
				return &dataset.Error{Op: "index of", Table: tableName, Err: fmt.Errorf("no index %q: %w", name, dataset.ErrNotFound)}
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), chosen)
			}
			for _, i := range chosen {
				out.heading(i.Table + ": " + i.Name)
				t := table{header: []string{"", ""}}
				add := func(key, format string, v ...any) { t.add(key, fmt.Sprintf(format, v...)) }
				add("column", "%s", i.Column)
				add("type", "%s", i.Type)
				if i.Metric != "" {
					add("metric", "%s", i.Metric)
				}
				add("indexed rows", "%d", i.Indexed)
				add("pending rows", "%d", i.Unindexed)
				add("files", "%s", size(i.Bytes))
				if i.OptedIn && !i.Built.IsZero() {
					add("built", "%s in %s", i.Built.Format("2006-01-02 15:04:05"), duration(i.Seconds))
				}
				if i.Recall > 0 {
					add("recall of the 50 nearest", "%.3f", i.Recall)
					add("searches", "nprobes %d, ef %d, refine %d", i.NProbes, i.EF, i.Refine)
				}
				for _, row := range t.rows {
					out.line(fmt.Sprintf("%-26s%s", row[0], clean(row[1])))
				}
				out.line("cost: " + i.Python)
			}
			if len(chosen) == 0 {
				out.line("no indexes: searches are exact")
			}
			return out.flush()
		}, "table"),
	}
	cmd.Flags().StringVar(&tableName, "table", "", "the table (required)")
	cmd.Flags().StringVar(&name, "name", "", "only the index of this name")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write a JSON list")
	return cmd
}

func indexRecallCommand() *cobra.Command {
	var tableName string
	var o search.RecallOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "recall DATASET --table TABLE",
		Short: "Measure what searches with an index find of the nearest vectors",
		Long:  "Search with and without the index of a table's vectors for vectors of the table chosen by chance, and compare.",
		Args:  arguments("DATASET"),
		RunE: withSearcher(func(cmd *cobra.Command, s *search.Searcher) error {
			r, err := s.Recall(cmd.Context(), tableName, &o)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), r)
			}
			out := newPrinter(cmd.OutOrStdout())
			ms := func(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/1e6) }
			out.line(fmt.Sprintf("%s: %.1f %% of the %d nearest found on average, %.1f %% at worst, in %d searches", r.Index,
				100*r.Mean, r.K, 100*r.Least, r.Queries))
			out.line(fmt.Sprintf("exact %s (p99 %s), with the index %s (p99 %s)", ms(r.ExactP50), ms(r.ExactP99), ms(r.IndexP50), ms(r.IndexP99)))
			return out.flush()
		}, "table"),
	}
	flags := cmd.Flags()
	flags.StringVar(&tableName, "table", "", "the table (required)")
	flags.IntVar(&o.K, "k", 50, "nearest rows to look for")
	flags.IntVar(&o.Samples, "samples", 100, "searches to make")
	flags.IntVar(&o.NProbes, "nprobes", 0, "partitions to look into (default: as tuned)")
	flags.IntVar(&o.EF, "ef", 0, "candidates to keep in a graph (default: as tuned)")
	flags.IntVar(&o.Refine, "refine", 0, "compare so many times the hits by exact distance (default: as tuned)")
	flags.BoolVar(&asJSON, "json", false, "write the result as JSON, times in nanoseconds")
	return cmd
}

func indexDropCommand() *cobra.Command {
	var tableName, name string
	cmd := &cobra.Command{
		Use:   "drop DATASET --table TABLE --name INDEX",
		Short: "Remove an index",
		Long:  "Remove an index, whoever made it. Searches are exact again; no row is touched.",
		Args:  arguments("DATASET"),
		RunE: withSearcher(func(cmd *cobra.Command, s *search.Searcher) error {
			return s.DropIndex(cmd.Context(), tableName, name)
		}, "table", "name"),
	}
	cmd.Flags().StringVar(&tableName, "table", "", "the table (required)")
	cmd.Flags().StringVar(&name, "name", "", "the index (required)")
	return cmd
}
