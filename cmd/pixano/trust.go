package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"pixano/dataset"
	"pixano/schema"
)

// The commands that look after a dataset: check, repair, stats, facets, sql and columns.

func checkCommand() *cobra.Command {
	var opts dataset.InspectOptions
	var media string
	var asJSON bool
	limit := 20
	cmd := &cobra.Command{
		Use:   "check DATASET",
		Short: "Look for whatever may be wrong with a dataset",
		Long: "Look for whatever may be wrong with a dataset: ids that are empty or not unique, references that lead nowhere,\n" +
			"values that a class refuses, boxes outside of their images, rows and views of different items, tables that cannot\n" +
			"be read, changes that a crash cut off, many old versions. Nothing is changed.\n\n" +
			"The exit code is 3 if there are errors; warnings and hints alone leave it at 0.",
		Example: "  pixano data check library/voc --media\n" +
			"  pixano data check library/voc --python-compat --json",
		Args: arguments("DATASET"),
	}
	flags := cmd.Flags()
	flags.BoolVar(&opts.Media, "media", false, "open the media file of each view as well")
	flags.BoolVar(&opts.PythonCompat, "python-compat", false, "look for what keeps Pixano 0.6.12 and lancedb 0.17 from reading or writing it")
	flags.StringVar(&media, "media-dir", "", "the directory that the urls of media start from")
	flags.IntVar(&limit, "limit", limit, "print at most so many findings of a kind; 0 prints all")
	flags.BoolVar(&asJSON, "json", false, "print all findings as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if limit < 0 {
			return usagef("--limit %d: want 0 or more", limit)
		}
		ds, err := dataset.Open(cmd.Context(), args[0], &dataset.Options{ReadOnly: true, MediaDir: mediaDirOf(args[0], media)})
		if err != nil {
			return err
		}
		defer ds.Close()
		out := newFindingPrinter(cmd.OutOrStdout(), asJSON, limit)
		for f, err := range ds.Inspect(cmd.Context(), &opts) {
			if err != nil {
				return cmp.Or(err, out.flush())
			}
			if err := out.print(f); err != nil {
				return err
			}
		}
		if err := out.end(); err != nil {
			return err
		}
		if out.bySeverity[dataset.SeverityError] > 0 {
			return errFindings
		}
		return nil
	}
	return cmd
}

// findingPrinter prints findings as they come, and their numbers at the end.
type findingPrinter struct {
	*printer
	json       bool
	limit      int
	byKind     map[dataset.FindingKind]int
	bySeverity map[dataset.Severity]int
	fixable    int
	n          int
}

func newFindingPrinter(w io.Writer, asJSON bool, limit int) *findingPrinter {
	return &findingPrinter{printer: newPrinter(w), json: asJSON, limit: limit,
		byKind: map[dataset.FindingKind]int{}, bySeverity: map[dataset.Severity]int{}}
}

// severityStyles are the colours of severities on a terminal.
var severityStyles = map[dataset.Severity]string{dataset.SeverityError: "31", dataset.SeverityWarning: "33", dataset.SeverityInfo: "2"}

func (p *findingPrinter) print(f dataset.Finding) error {
	p.n++
	p.byKind[f.Kind]++
	p.bySeverity[f.Severity]++
	if f.Repair != "" {
		p.fixable++
	}
	if p.json {
		return p.element(f)
	}
	if p.limit == 0 || p.byKind[f.Kind] <= p.limit {
		p.line(p.styled(severityStyles[f.Severity], fmt.Sprintf("%-7s", f.Severity)) + "  " + clean(f.String()))
	}
	return nil
}

// element prints an element of the list that a JSON answer begins with.
func (p *findingPrinter) element(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	before := ",\n    "
	if p.n == 1 {
		before = "{\n  \"findings\": [\n    "
	}
	_, err = p.w.WriteString(before + string(text))
	return err
}

func (p *findingPrinter) end() error {
	if p.json {
		counts, err := json.Marshal(p.bySeverity)
		if err != nil {
			return err
		}
		head := "\n  ]"
		if p.n == 0 {
			head = "{\n  \"findings\": []"
		}
		p.line(head + ",\n  \"counts\": " + string(counts) + "\n}")
		return p.flush()
	}
	for _, kind := range slices.Sorted(maps.Keys(p.byKind)) {
		if more := p.byKind[kind] - p.limit; p.limit > 0 && more > 0 {
			p.dim(fmt.Sprintf("and %d more of the kind %s", more, kind))
		}
	}
	if p.n == 0 {
		p.line("nothing found")
		return p.flush()
	}
	p.line("")
	p.line(strings.Join([]string{
		count(p.bySeverity[dataset.SeverityError], "error"), count(p.bySeverity[dataset.SeverityWarning], "warning"),
		count(p.bySeverity[dataset.SeverityInfo], "hint"),
	}, ", "))
	if p.fixable > 0 {
		p.line(fmt.Sprintf("'pixano data repair' can set %d of them right; try it with --dry-run", p.fixable))
	}
	return p.flush()
}

// count gives a number of things.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func repairCommand() *cobra.Command {
	var opts dataset.RepairOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "repair DATASET",
		Short: "Set right what 'data check' finds and needs no decision",
		Long: "Set right what 'data check' finds, as far as nobody has to decide what is true: rows whose items are gone are\n" +
			"deleted, references that lead nowhere emptied, rows without an id get one, of rows with one id the newest keeps\n" +
			"it; changes that a crash cut off are completed, small files joined. What changes rows is in the history.\n\n" +
			"With --dry-run it only says what it would do.",
		Example: "  pixano data repair library/voc --dry-run",
		Args:    arguments("DATASET"),
	}
	flags := cmd.Flags()
	flags.BoolVar(&opts.DryRun, "dry-run", false, "change nothing and say what would be done")
	flags.BoolVar(&opts.PythonCompat, "python-compat", false, "drop indexes, with which lancedb 0.17 cannot write")
	flags.StringVar(&opts.Author, "author", "", "who repairs, for the history (default: repair)")
	flags.BoolVar(&asJSON, "json", false, "print one step a line as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ds, err := dataset.Open(cmd.Context(), args[0], &dataset.Options{ReadOnly: opts.DryRun})
		if err != nil {
			return err
		}
		defer ds.Close()
		out := bufio.NewWriter(cmd.OutOrStdout())
		defer out.Flush()
		n := 0
		for step, err := range ds.Repair(cmd.Context(), &opts) {
			if err != nil {
				return err
			}
			n++
			if !asJSON {
				fmt.Fprintln(out, clean(step.String()))
			} else if err := json.NewEncoder(out).Encode(step); err != nil {
				return err
			}
		}
		if asJSON {
			return out.Flush()
		}
		switch {
		case n == 0:
			fmt.Fprintln(out, "nothing to repair")
		case opts.DryRun:
			fmt.Fprintf(out, "%s to make, nothing was changed\n", count(n, "step"))
		default:
			fmt.Fprintf(out, "%s made\n", count(n, "step"))
		}
		return out.Flush()
	}
	return cmd
}

func statsCommand() *cobra.Command {
	var save, asJSON bool
	cmd := &cobra.Command{
		Use:   "stats DATASET",
		Short: "Count what a dataset consists of",
		Long: "Count rows, categories and rows per item of a dataset, and bin numbers such as the size of images, by split.\n" +
			"With --save they go into stats.json, where Pixano finds them.",
		Example: "  pixano data stats library/voc --save",
		Args:    arguments("DATASET"),
	}
	flags := cmd.Flags()
	flags.BoolVar(&save, "save", false, "store them in stats.json")
	flags.BoolVar(&asJSON, "json", false, "print them in the form of stats.json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ds, err := dataset.Open(cmd.Context(), args[0], &dataset.Options{ReadOnly: !save})
		if err != nil {
			return err
		}
		defer ds.Close()
		compute := ds.ComputeStatistics
		if save {
			compute = ds.UpdateStatistics
		}
		list, err := compute(cmd.Context())
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(cmd.OutOrStdout(), list)
		}
		out := newPrinter(cmd.OutOrStdout())
		for i, s := range list {
			if i > 0 {
				out.line("")
			}
			out.statistic(s)
		}
		return out.flush()
	}
	return cmd
}

// statistic prints a statistic as a table with a column for each split.
func (p *printer) statistic(s dataset.Statistic) {
	p.heading(s.Name)
	var splits, values []string
	counts := map[[2]string]string{}
	for _, bin := range s.Histogram {
		value := ""
		for key, v := range bin {
			if key != "counts" && key != "split" && key != "bin_end" {
				value = cell(v)
			}
		}
		if end, ok := bin["bin_end"]; ok {
			value += " to " + cell(end)
		}
		split := cell(bin["split"])
		if !slices.Contains(splits, split) {
			splits = append(splits, split)
		}
		if !slices.Contains(values, value) {
			values = append(values, value)
		}
		counts[[2]string{value, split}] = fmt.Sprint(bin["counts"])
	}
	slices.Sort(splits)
	t := table{header: []string{strings.ToUpper(s.Type)}}
	for i, split := range splits {
		t.header = append(t.header, cmp.Or(split, none))
		t.right = append(t.right, i+1)
	}
	for _, value := range values {
		cells := []string{value}
		for _, split := range splits {
			cells = append(cells, counts[[2]string{value, split}])
		}
		t.add(cells...)
	}
	p.table(t)
}

func facetsCommand() *cobra.Command {
	var q dataset.Query
	var opts dataset.FacetOptions
	var has []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "facets DATASET TABLE FIELD...",
		Short: "Show how the values of fields are spread over rows",
		Long: "Show how often each value of a field occurs in the rows of a table, or of numbers and times a histogram.\n" +
			"--has chooses rows by what another table has of their items, as TABLE or TABLE:CONDITION.",
		Example: "  pixano data facets library/voc objects category --by-split\n" +
			"  pixano data facets library/voc bboxes confidence --where \"is_normalized\" --has \"item:split = 'val'\"",
	}
	cmd.Args = atLeast("DATASET", "TABLE", "FIELD")
	flags := cmd.Flags()
	flags.StringVar(&q.Where, "where", "", "only rows that match this condition in SQL")
	flags.StringArrayVar(&has, "has", nil, "only rows whose items have a row in another table, TABLE or TABLE:CONDITION")
	flags.IntVar(&opts.Values, "values", 20, "list so many values, the most frequent ones")
	flags.IntVar(&opts.Bins, "bins", 10, "bins of a histogram")
	flags.BoolVar(&opts.BySplit, "by-split", false, "count by the split of the items as well")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		for _, h := range has {
			name, where, _ := strings.Cut(h, ":")
			q.Has = append(q.Has, dataset.Has{Table: name, Where: where})
		}
		ds, err := dataset.OpenTables(cmd.Context(), args[0], &dataset.Options{ReadOnly: true})
		if err != nil {
			return err
		}
		defer ds.Close()
		facets, err := ds.Facets(cmd.Context(), args[1], args[2:], q, &opts)
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(cmd.OutOrStdout(), facets)
		}
		out := newPrinter(cmd.OutOrStdout())
		for i, f := range facets {
			if i > 0 {
				out.line("")
			}
			out.facet(f)
		}
		return out.flush()
	}
	return cmd
}

// facet prints the values and the bins of a facet.
func (p *printer) facet(f dataset.Facet) {
	p.heading(f.Table + "." + f.Field)
	more := ""
	if f.More {
		more = " or more"
	}
	text := fmt.Sprintf("%d rows, %d values", f.Rows, f.Count)
	if f.Distinct > 0 {
		text += fmt.Sprintf(", %d%s of them different", f.Distinct, more)
	}
	if f.Missing > 0 {
		text += fmt.Sprintf(", %d rows without one", f.Missing)
	}
	if f.NaN > 0 {
		text += fmt.Sprintf(", %d are no number", f.NaN)
	}
	p.dim(text)
	row := func(t *table, value string, n int64, splits map[string]int64) {
		cells := []string{value, strconv.FormatInt(n, 10)}
		for _, split := range f.Splits {
			cells = append(cells, strconv.FormatInt(splits[split], 10))
		}
		t.add(cells...)
	}
	header := func(first string) table {
		t := table{header: []string{first, "COUNT"}, right: []int{1}}
		for _, split := range f.Splits {
			t.right = append(t.right, len(t.header))
			t.header = append(t.header, cmp.Or(split, none))
		}
		return t
	}
	values := header("VALUE")
	for _, v := range f.Values {
		row(&values, cell(v.Value), v.Count, v.Splits)
	}
	p.table(values)
	if f.Other > 0 && len(f.Values) > 0 {
		p.dim(fmt.Sprintf("and %d of other values", f.Other))
	}
	bins := header("FROM TO")
	for _, b := range f.Bins {
		row(&bins, cell(b.Start)+" to "+cell(b.End), b.Count, b.Splits)
	}
	p.table(bins)
}

func sqlCommand() *cobra.Command {
	var format string
	var limits dataset.Limits
	var memory int64
	cmd := &cobra.Command{
		Use:   "sql DATASET QUERY",
		Short: "Run a query in SQL over the tables of a dataset",
		Long: "Run one query in SQL, in the dialect of Apache DataFusion, over all tables of a dataset. It only reads.\n" +
			"The fields of a reference are written item_ref.id.",
		Example: "  pixano data sql library/voc \"SELECT category, count(*) AS n FROM objects GROUP BY category ORDER BY n DESC\"",
		Args:    arguments("DATASET", "QUERY"),
	}
	flags := cmd.Flags()
	flags.StringVar(&format, "format", "table", "table, json or jsonl")
	flags.DurationVar(&limits.Time, "time", 0, "end the query after so long, as 30s; 0: never")
	flags.Int64Var(&memory, "memory", 1024, "memory for sorting, joining and grouping, in MiB")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains([]string{"table", "json", "jsonl"}, format) {
			return usagef("--format %q: want table, json or jsonl", format)
		}
		if memory <= 0 || limits.Time < 0 {
			return usagef("want a --memory above 0 and a --time of 0 or more")
		}
		limits.Memory = memory << 20
		ds, err := dataset.OpenTables(cmd.Context(), args[0], &dataset.Options{ReadOnly: true})
		if err != nil {
			return err
		}
		defer ds.Close()
		result, err := ds.WithLimits(limits).SQL(cmd.Context(), args[1])
		if err != nil {
			return err
		}
		defer result.Close()
		if format == "table" {
			return printQuery(cmd, result)
		}
		out := bufio.NewWriter(cmd.OutOrStdout())
		before, between, after := "[\n  ", ",\n  ", "\n]\n"
		if format == "jsonl" {
			before, between, after = "", "\n", "\n"
		}
		n := 0
		for row, err := range result.Rows(cmd.Context()) {
			if err != nil {
				return err
			}
			text, err := row.MarshalJSON()
			if err != nil {
				return err
			}
			if n == 0 {
				out.WriteString(before)
			} else {
				out.WriteString(between)
			}
			out.Write(text)
			n++
		}
		switch {
		case n > 0:
			out.WriteString(after)
		case format == "json":
			out.WriteString("[]\n")
		}
		return out.Flush()
	}
	return cmd
}

// resultRows is how many rows of a result are printed for people.
const resultRows = 1000

func printQuery(cmd *cobra.Command, result *dataset.SQLResult) error {
	var t table
	for i, f := range result.Schema().Fields() {
		t.header = append(t.header, f.Name)
		if numeric(f.Type) {
			t.right = append(t.right, i)
		}
	}
	more := false
	for row, err := range result.Rows(cmd.Context()) {
		if err != nil {
			return err
		}
		if more = len(t.rows) == resultRows; more {
			break
		}
		cells := make([]string, row.Len())
		for i := range cells {
			cells[i] = cell(row.At(i))
		}
		t.add(cells...)
	}
	out := newPrinter(cmd.OutOrStdout())
	out.table(t)
	switch {
	case more:
		out.dim(fmt.Sprintf("only the first %d rows; --format jsonl has them all", resultRows))
	case len(t.rows) == 0:
		out.line("no rows")
	}
	return out.flush()
}

// atLeast accepts the arguments named, of which the last may be repeated, and the first is a directory that must exist.
func atLeast(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usagef("missing argument %s", names[len(args)])
		}
		return mustExist(args[0])
	}
}

func columnsCommand() *cobra.Command {
	return group("columns", "Add, rename, drop and convert columns of one's own", addColumnCommand(), renameColumnCommand(),
		dropColumnsCommand(), retypeColumnCommand())
}

// changeColumns is a command that changes the columns of a table.
func changeColumns(cmd *cobra.Command, done func(args []string) string, change func(ds *dataset.Dataset, args []string) error) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ds, err := dataset.Open(cmd.Context(), args[0], nil)
		if err != nil {
			return err
		}
		defer ds.Close()
		if err := change(ds, args); err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), clean(done(args)))
		return nil
	}
	return cmd
}

func addColumnCommand() *cobra.Command {
	var value, sql string
	cmd := &cobra.Command{
		Use:   "add DATASET TABLE NAME TYPE",
		Short: "Add a column to a table",
		Long: "Add a column to a table and to its class in schema.json. TYPE is str, int, float, bool, bytes, datetime, a\n" +
			"reference such as EntityRef, list[TYPE] of these, or FixedSizeList[float,16]. The rows that are there get the\n" +
			"value of --value (a list as JSON), what --sql computes from the other columns, or else an empty value.",
		Example: "  pixano data columns add library/voc objects difficult bool --value false\n" +
			"  pixano data columns add library/voc objects label str --sql \"upper(category)\"",
		Args: arguments("DATASET", "TABLE", "NAME", "TYPE"),
	}
	cmd.Flags().StringVar(&value, "value", "", "the value in the rows that are there")
	cmd.Flags().StringVar(&sql, "sql", "", "an expression in SQL that computes it")
	cmd.MarkFlagsMutuallyExclusive("value", "sql")
	return changeColumns(cmd, func(args []string) string { return fmt.Sprintf("Added column %s to %s", args[2], args[1]) },
		func(ds *dataset.Dataset, args []string) error {
			t, err := parseType(args[3])
			if err != nil {
				return err
			}
			column := dataset.NewColumn{Name: args[2], Type: t, SQL: sql}
			if cmd.Flags().Changed("value") {
				column.Value = value
				if t.Collection || t.Name == schema.TypeFixedSizeList || len(t.Fields()) > 0 {
					column.Value = nil
					if err := json.Unmarshal([]byte(value), &column.Value); err != nil {
						return usagef("--value %q: want JSON for a column of type %s: %v", value, t, err)
					}
				}
			}
			return ds.AddColumns(cmd.Context(), args[1], column)
		})
}

func renameColumnCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "rename DATASET TABLE COLUMN NAME",
		Short:   "Give a column another name",
		Example: "  pixano data columns rename library/voc objects category label",
		Args:    arguments("DATASET", "TABLE", "COLUMN", "NAME"),
	}
	return changeColumns(cmd, func(args []string) string {
		return fmt.Sprintf("Renamed column %s of %s to %s", args[2], args[1], args[3])
	},
		func(ds *dataset.Dataset, args []string) error {
			return ds.RenameColumn(cmd.Context(), args[1], args[2], args[3])
		})
}

func dropColumnsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "drop DATASET TABLE COLUMN...",
		Short:   "Remove columns with their values",
		Example: "  pixano data columns drop library/voc objects difficult",
		Args:    atLeast("DATASET", "TABLE", "COLUMN"),
	}
	return changeColumns(cmd, func(args []string) string {
		return fmt.Sprintf("Dropped %s of %s: %s", map[bool]string{true: "column", false: "columns"}[len(args) == 3], args[1], strings.Join(args[2:], ", "))
	}, func(ds *dataset.Dataset, args []string) error {
		return ds.DropColumns(cmd.Context(), args[1], args[2:]...)
	})
}

func retypeColumnCommand() *cobra.Command {
	var sql string
	cmd := &cobra.Command{
		Use:   "retype DATASET TABLE COLUMN TYPE",
		Short: "Convert a column to another type",
		Long: "Convert a column to another type, see 'columns add'. Values are converted where nothing is lost; if one cannot\n" +
			"be, its row is named and nothing is changed. With --sql they are computed by an expression.",
		Example: "  pixano data columns retype library/voc objects rank str\n" +
			"  pixano data columns retype library/voc objects score int --sql \"round(score * 100)\"",
		Args: arguments("DATASET", "TABLE", "COLUMN", "TYPE"),
	}
	cmd.Flags().StringVar(&sql, "sql", "", "an expression in SQL that computes the new values")
	return changeColumns(cmd, func(args []string) string { return fmt.Sprintf("Column %s of %s is %s now", args[2], args[1], args[3]) },
		func(ds *dataset.Dataset, args []string) error {
			t, err := parseType(args[3])
			if err != nil {
				return err
			}
			return ds.RetypeColumn(cmd.Context(), args[1], args[2], t, sql)
		})
}

// parseType reads a column type: str, list[str] or FixedSizeList[float,16].
func parseType(text string) (schema.FieldType, error) {
	name, inner, ok := strings.Cut(strings.TrimSuffix(text, "]"), "[")
	t := schema.FieldType{Name: name}
	switch {
	case ok && name == "list":
		t = schema.FieldType{Name: inner, Collection: true}
	case ok && name == schema.TypeFixedSizeList:
		value, dim, _ := strings.Cut(inner, ",")
		n, err := strconv.Atoi(strings.TrimSpace(dim))
		if err != nil {
			return t, usagef("type %q: want a length, as in FixedSizeList[float,16]", text)
		}
		t.ValueType, t.Dim = strings.TrimSpace(value), n
	case ok:
		return t, usagef("type %q: want a type such as str, list[str] or FixedSizeList[float,16]", text)
	}
	if err := t.Validate(); err != nil || ok != strings.HasSuffix(text, "]") {
		return t, usagef("type %q: want one of str, int, float, bool, bytes, datetime, a reference such as EntityRef, list[…] of these, or FixedSizeList[float,16]", text)
	}
	return t, nil
}
