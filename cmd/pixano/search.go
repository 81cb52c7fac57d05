package main

import (
	"encoding/json"
	"fmt"
	"image"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"pixano/dataset"
	"pixano/internal/imaging"
	"pixano/schema"
	"pixano/search"
)

type searchOptions struct {
	query                 search.Query
	words                 search.Words
	image, vector, metric string
	has                   []string
	maxDistance           float64
	hybrid, json, explain bool
	models                modelOptions
	model                 string
}

func searchCommand() *cobra.Command {
	var o searchOptions
	cmd := &cobra.Command{
		Use:   "search DATASET [--table TABLE] (--text TEXT | --image FILE | --like ID | --vector FILE | --fts WORDS)",
		Short: "Find items by meaning, by example or by words",
		Long: "Find the items nearest to a text, a picture, a row or a vector in a table of embeddings; or those whose texts have some\n" +
			"words; or, with --hybrid, both joined. Every item appears once, with its nearest row; a smaller distance and a\n" +
			"larger score are better.\n\n" +
			"--text and --image need the model that computed the table's vectors, which the table names; --model names it for\n" +
			"tables that do not. --like takes the id of a\n" +
			"row of the table, of a view or of an item; that row itself comes first. FILE of --vector holds the vector as a JSON\n" +
			"list of numbers; \"-\" reads it from standard input.\n\n" +
			"Every vector is compared, so the result is exact, unless the dataset has an index: see 'pixano data index'. Words are\n" +
			"looked for in the columns that have a full text index, or by scanning in all columns of texts.",
		Example: "  pixano data search library/voc --table image_embedding --text \"car on road\" --limit 20\n" +
			"  pixano data search library/voc --table image_embedding --like emb_007 --where \"view_ref.name = 'image'\"\n" +
			"  pixano data search library/voc --table captions --fts \"red car\" --json\n" +
			"  pixano data search library/voc --table image_embedding --text \"red car\" --hybrid --fts-table captions",
		Args: arguments("DATASET"),
	}
	flags := cmd.Flags()
	q, w := &o.query, &o.words
	flags.StringVar(&q.Table, "table", "", "the table of embeddings, or of texts for words alone (default: the only one of embeddings)")
	flags.StringVar(&q.Text, "text", "", "search with the vector of this text")
	flags.StringVar(&o.image, "image", "", "search with the vector of the picture in this file")
	flags.StringVar(&q.Like, "like", "", "search with the vector of the row, view or item of this id")
	flags.StringVar(&o.vector, "vector", "", "search with the vector in this file")
	flags.StringVar(&o.metric, "metric", "", "distance between vectors: l2 (squared), cosine or dot (default: that of the index, else l2)")
	flags.Float64Var(&o.maxDistance, "max-distance", 0, "leave out what is at this distance or farther")
	flags.StringVar(&w.Text, "fts", "", "search for these words")
	flags.BoolVar(&o.hybrid, "hybrid", false, "join the rankings by vectors and by words: those of --fts, or of --text")
	flags.StringVar(&w.Table, "fts-table", "", "the table of texts, where it is another one than --table")
	flags.StringSliceVar(&w.Columns, "fts-column", nil, "columns of texts to look into")
	flags.BoolVar(&w.All, "fts-all", false, "want all words, not one of them")
	flags.BoolVar(&w.Phrase, "fts-phrase", false, "want the words together in this order; needs a full text index with positions")
	flags.IntVar(&w.Fuzziness, "fts-fuzziness", 0, "letters by which a word may differ, 0 to 2; needs a full text index")
	flags.Float64Var(&w.Weight, "fts-weight", 1, "how much the ranking by words counts")
	flags.Float64Var(&q.VectorWeight, "vector-weight", 1, "how much the ranking by vectors counts")
	flags.StringVar(&q.Filter.Where, "where", "", "search only among rows of the table that match this condition in SQL")
	flags.StringArrayVar(&o.has, "has", nil, "search only among items of which another table has a row: TABLE or \"TABLE: CONDITION\"; may be repeated")
	flags.BoolVar(&q.ByRow, "rows", false, "find rows, not items")
	flags.IntVar(&q.Limit, "limit", 10, "find at most so many; 0 ranks all")
	flags.IntVar(&q.Offset, "offset", 0, "leave out so many first")
	flags.BoolVar(&q.Exact, "exact", false, "compare with every vector, even where there is an index")
	flags.IntVar(&q.NProbes, "nprobes", 0, "partitions of the index to look into (default: as tuned)")
	flags.IntVar(&q.EF, "ef", 0, "candidates to keep in the index's graphs (default: as tuned)")
	flags.IntVar(&q.Refine, "refine", 0, "compare so many times the hits by exact distance (default: as tuned)")
	flags.BoolVar(&o.explain, "explain", false, "say how the search is done, instead of doing it")
	flags.StringVar(&o.model, "model", "", "the model of the table's vectors, where the table names none")
	o.models.add(flags)
	flags.BoolVar(&o.json, "json", false, "write a JSON list of hits with item_id, id (of the row), distance and score")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		var ways []string
		for _, name := range []string{"text", "image", "like", "vector"} {
			if flags.Changed(name) {
				ways = append(ways, "--"+name)
			}
		}
		words := flags.Changed("fts") || o.hybrid
		switch {
		case len(ways) > 1:
			return usagef("%s: want one of them", strings.Join(ways, " and "))
		case len(ways) == 0 && !flags.Changed("fts"):
			return usagef("want one of --text, --image, --like, --vector and --fts")
		case len(ways) == 0 && q.Table == "":
			return usagef("missing option --table: the table of texts to search")
		case o.hybrid && len(ways) == 0:
			return usagef("--hybrid wants --text, --image, --like or --vector beside --fts")
		case o.hybrid && !flags.Changed("fts") && !flags.Changed("text"):
			return usagef("--hybrid wants words: --fts")
		}
		for name, value := range map[string]int{"limit": q.Limit, "offset": q.Offset} {
			if value < 0 {
				return usagef("--%s %d: want 0 or more", name, value)
			}
		}
		for name, value := range map[string]string{"text": q.Text, "like": q.Like, "fts": w.Text} {
			if flags.Changed(name) && strings.TrimSpace(value) == "" {
				return usagef("--%s is empty", name)
			}
		}
		q.Metric = dataset.Metric(o.metric)
		if words {
			if w.Text == "" {
				w.Text = q.Text
			}
			q.Words = w
		}
		if flags.Changed("max-distance") {
			q.MaxDistance = &o.maxDistance
		}
		for _, condition := range o.has {
			table, where, _ := strings.Cut(condition, ":")
			q.Filter.Has = append(q.Filter.Has, dataset.Has{Table: strings.TrimSpace(table), Where: strings.TrimSpace(where)})
		}
		var err error
		if flags.Changed("vector") {
			if q.Vector, err = readVector(cmd.InOrStdin(), o.vector); err != nil {
				return err
			}
		}
		if flags.Changed("image") {
			if q.Image, err = readPicture(o.image); err != nil {
				return err
			}
		}
		ds, err := dataset.OpenTables(ctx, args[0], nil)
		if err != nil {
			return err
		}
		defer ds.Close()
		if q.Table == "" {
			if q.Table, err = onlyEmbeddings(ds); err != nil {
				return err
			}
		}
		models, _, err := o.models.providers(ctx, args[0])
		if err != nil {
			return err
		}
		defer models.Close()
		embedder, err := queryModel(ctx, models, o.model)
		if err != nil {
			return err
		}
		s := search.New(ds, embedder).WithModels(models.Embedder)
		out := newPrinter(cmd.OutOrStdout())
		if o.explain {
			e, err := s.Explain(ctx, *q)
			if err != nil {
				return err
			}
			out.line(e.String())
			return out.flush()
		}
		r, err := s.Search(ctx, *q)
		if err != nil {
			return err
		}
		if o.json {
			return writeJSON(cmd.OutOrStdout(), r.Hits)
		}
		out.hits(r.Hits)
		return out.flush()
	}
	return cmd
}

// onlyEmbeddings names the table of embeddings that a dataset has.
func onlyEmbeddings(ds *dataset.Dataset) (string, error) {
	var names []string
	for _, t := range ds.Tables() {
		if schema.IsA(t.BaseSchema, "Embedding") {
			names = append(names, t.Name)
		}
	}
	switch len(names) {
	case 0:
		return "", usagef("missing option --table: the dataset has no table of embeddings; 'pixano data embed' makes one")
	case 1:
		return names[0], nil
	}
	return "", usagef("missing option --table: the dataset has the tables of embeddings %s", strings.Join(names, ", "))
}

// readVector reads a JSON list of numbers from a file or, for "-", from standard input.
func readVector(stdin io.Reader, path string) ([]float32, error) {
	var raw []byte
	var err error
	if path == "-" {
		path = "standard input"
		raw, err = io.ReadAll(stdin)
	} else if err = mustExist(path); err == nil {
		raw, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, err
	}
	var vector []float32
	if err := json.Unmarshal(raw, &vector); err != nil || len(vector) == 0 {
		return nil, fmt.Errorf("%s: want a JSON list of numbers, such as [0.1, -0.2]", path)
	}
	return vector, nil
}

// readPicture reads a picture from a file.
func readPicture(path string) (image.Image, error) {
	if err := mustExist(path); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	picture, _, err := imaging.Decode(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return picture, nil
}
