package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/spf13/cobra"

	"pixano/dataset"
	"pixano/schema"
	"pixano/search"
)

func dataCommand() *cobra.Command {
	return group("data", "Import, export, list, show and search datasets", importCommand(), exportCommand(), formatsCommand(), listCommand(), showCommand(), searchCommand(), indexCommand(), embedCommand(),
		deleteCommand(), renameCommand(), copyCommand(), previewCommand(),
		historyCommand(), revertCommand(), snapshotCommand(), diffCommand(), restoreCommand(), optimizeCommand(),
		checkCommand(), repairCommand(), statsCommand(), facetsCommand(), sqlCommand(), columnsCommand())
}

func listCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list LIBRARY",
		Short: "List the datasets of a library directory",
		Long: "List the datasets of a library: every directory in LIBRARY, or in its directory library, that holds an info.json.\n" +
			"A dataset that cannot be read is listed too, and its error printed; the exit code is then 1.",
		Args: arguments("LIBRARY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := notDataset(args[0]); err != nil {
				return err
			}
			library, err := dataset.OpenLibrary(libraryIn(args[0]))
			if err != nil {
				return err
			}
			entries, err := library.Datasets(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return listJSON(cmd.OutOrStdout(), entries)
			}
			out := newPrinter(cmd.OutOrStdout())
			t := table{header: []string{"DIRECTORY", "ID", "NAME", "WORKSPACE", "LAYOUT", "ITEMS"}, right: []int{5}}
			var broken []error
			for _, e := range entries {
				items := strconv.FormatInt(e.Items, 10)
				if e.Err != nil {
					items = none
					broken = append(broken, e.Err)
				}
				t.add(filepath.Base(e.Path), e.Info.ID, e.Info.Name, e.Info.Workspace, string(e.Layout), items)
			}
			out.table(t)
			if len(entries) == 0 {
				out.line("no datasets in " + args[0])
			}
			return errors.Join(append(broken, out.flush())...)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write a JSON list")
	return cmd
}

// listJSON writes the datasets of a library as JSON.
func listJSON(w io.Writer, entries []dataset.Entry) error {
	type entry struct {
		Path      string `json:"path"`
		ID        string `json:"id"`
		Name      string `json:"name"`
		Workspace string `json:"workspace"`
		Layout    string `json:"layout"`
		Items     int64  `json:"items"`
		Error     string `json:"error,omitempty"`
	}
	list := []entry{}
	var broken []error
	for _, e := range entries {
		one := entry{e.Path, e.Info.ID, e.Info.Name, string(e.Info.Workspace), string(e.Layout), e.Items, ""}
		if e.Err != nil {
			one.Error = e.Err.Error()
			broken = append(broken, e.Err)
		}
		list = append(list, one)
	}
	return errors.Join(append(broken, writeJSON(w, list))...)
}

type showOptions struct {
	table, format string
	query         dataset.Query
}

func showCommand() *cobra.Command {
	var o showOptions
	cmd := &cobra.Command{
		Use:   "show DATASET",
		Short: "Show a dataset, or the rows of one of its tables",
		Long: "Show a dataset: its tables, its first items and a search among its vectors; or, with --table, the rows of\n" +
			"a table. Datasets of the layout of Pixano 0.7 and 0.8 are shown too.\n\n" +
			"As a table for people, rows are shortened to what fits on the terminal. The formats json (one list) and jsonl\n" +
			"(one row a line) hold all columns in full: times without a zone, binary as base64.",
		Example: "  pixano data show library/voc\n" +
			"  pixano data show library/voc --table bboxes --where \"confidence > 0.5\" --order-by \"confidence desc\" --limit 10\n" +
			"  pixano data show library/voc --table item --format jsonl",
		Args: arguments("DATASET"),
	}
	flags := cmd.Flags()
	flags.StringVar(&o.table, "table", "", "the table whose rows to show")
	flags.StringVar(&o.query.Where, "where", "", "show only rows that match this condition in SQL")
	flags.StringVar(&o.query.OrderBy, "order-by", "", "sort by these columns: \"split desc, id\" (default: storage order)")
	flags.IntVar(&o.query.Limit, "limit", 0, "show at most so many rows; 0 shows all (default: 20 as a table, else all)")
	flags.IntVar(&o.query.Offset, "offset", 0, "leave out so many rows first")
	flags.StringVar(&o.format, "format", "table", "table, json or jsonl")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains([]string{"table", "json", "jsonl"}, o.format) {
			return usagef("--format %q: want table, json or jsonl", o.format)
		}
		for flag, value := range map[string]int{"limit": o.query.Limit, "offset": o.query.Offset} {
			if value < 0 {
				return usagef("--%s %d: want 0 or more", flag, value)
			}
		}
		if o.table == "" {
			for _, flag := range []string{"where", "order-by", "offset", "limit"} {
				if flags.Changed(flag) {
					return usagef("--%s wants a --table to apply to", flag)
				}
			}
		}
		if o.format == "table" && !flags.Changed("limit") {
			o.query.Limit = 20
		}
		ds, err := dataset.OpenTables(cmd.Context(), args[0], nil)
		if err != nil {
			return err
		}
		defer ds.Close()
		switch out := cmd.OutOrStdout(); {
		case o.table == "" && o.format == "table":
			return showOverview(cmd.Context(), out, ds)
		case o.table == "":
			return writeOverview(cmd.Context(), out, ds, o.format)
		case o.format == "table":
			return showRows(cmd.Context(), out, ds, o)
		default:
			return writeRows(cmd.Context(), out, ds, o)
		}
	}
	return cmd
}

// tableState is a table with what was read of it.
type tableState struct {
	dataset.TableInfo
	rows   int64
	vector *arrow.FixedSizeListType // of its column "vector", or nil
	err    error
}

func readStates(ctx context.Context, ds *dataset.Dataset) (states []tableState, errs []error) {
	for _, info := range ds.Tables() {
		s := tableState{TableInfo: info}
		if s.rows, s.err = ds.Count(ctx, info.Name, dataset.Query{}); s.err == nil {
			var columns *arrow.Schema
			if columns, s.err = ds.Columns(ctx, info.Name); s.err == nil {
				if f, ok := columns.FieldsByName("vector"); ok {
					s.vector, _ = f[0].Type.(*arrow.FixedSizeListType)
				}
			}
		}
		if s.err != nil {
			errs = append(errs, s.err)
		}
		states = append(states, s)
	}
	return states, errs
}

const (
	overviewItems = 5 // item rows in an overview
	overviewHits  = 5
)

// showOverview prints a dataset for people. What cannot be read is left out, and its errors are returned.
func showOverview(ctx context.Context, w io.Writer, ds *dataset.Dataset) error {
	out := newPrinter(w)
	states, errs := readStates(ctx, ds)
	info := ds.Info()
	out.heading(cmp.Or(info.Name, filepath.Base(ds.Path())))
	if info.Description != "" {
		out.line(clean(info.Description))
	}
	out.dim(fmt.Sprintf("id %s, workspace %s, %s layout, media in %s", cmp.Or(info.ID, none), info.Workspace, ds.Layout(), ds.MediaDir()))
	out.line("")

	t := table{header: []string{"TABLE", "GROUP", "CLASS", "ROWS", "VECTORS"}, right: []int{3}}
	for _, s := range states {
		class, rows, vector := s.Schema, strconv.FormatInt(s.rows, 10), ""
		if s.BaseSchema != s.Schema {
			class += " (" + s.BaseSchema + ")"
		}
		if s.err != nil {
			rows = none
		}
		if s.vector != nil {
			vector = fmt.Sprintf("%d × %s", s.vector.Len(), s.vector.Elem())
		}
		t.add(s.Name, cmp.Or(string(s.Group), none), cmp.Or(class, none), rows, vector)
	}
	out.table(t)

	for _, s := range states {
		if s.err == nil && s.rows > 0 && s.Name == ds.ItemTable() {
			out.line("")
			if err := rowsTable(ctx, out, ds, s, dataset.Query{Limit: overviewItems}); err != nil {
				errs = append(errs, err)
			}
		}
	}
	for _, s := range states {
		// A table of the record layout has no class; there the one of vectors has a fixed name.
		if s.err == nil && s.rows > 0 && s.vector != nil && (s.BaseSchema == "ViewEmbedding" || s.Name == "embeddings") {
			if err := sampleSearch(ctx, out, ds, s); err != nil {
				errs = append(errs, err)
			}
			break
		}
	}
	return errors.Join(append(errs, out.flush())...)
}

// sampleSearch shows the items nearest to the first vector of a table.
func sampleSearch(ctx context.Context, out *printer, ds *dataset.Dataset, s tableState) error {
	ids, err := ds.IDs(ctx, s.Name, dataset.Query{Where: "vector IS NOT NULL", Limit: 1})
	if err != nil || len(ids) == 0 {
		return err
	}
	found, err := search.New(ds, nil).Search(ctx, search.Query{Table: s.Name, Like: ids[0], Limit: overviewHits})
	if err != nil {
		return err
	}
	out.line("")
	out.heading(fmt.Sprintf("%s: nearest to %s", s.Name, clean(ids[0])))
	out.hits(found.Hits)
	return nil
}

// writeOverview writes the tables of a dataset as JSON.
func writeOverview(ctx context.Context, w io.Writer, ds *dataset.Dataset, format string) error {
	type tableJSON struct {
		Name       string       `json:"name"`
		Group      schema.Group `json:"group"`
		Schema     string       `json:"schema"`
		BaseSchema string       `json:"base_schema"`
		Rows       *int64       `json:"rows"` // null: the table cannot be read
	}
	states, errs := readStates(ctx, ds)
	tables := make([]tableJSON, len(states))
	for i, s := range states {
		tables[i] = tableJSON{s.Name, s.Group, s.Schema, s.BaseSchema, &s.rows}
		if s.err != nil {
			tables[i].Rows = nil
		}
	}
	buf := bufio.NewWriter(w)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if format == "jsonl" {
		for _, t := range tables {
			if err := enc.Encode(t); err != nil {
				return err
			}
		}
	} else {
		enc.SetIndent("", "  ")
		err := enc.Encode(struct {
			Info   dataset.Info   `json:"info"`
			Layout dataset.Layout `json:"layout"`
			Tables []tableJSON    `json:"tables"`
		}{ds.Info(), ds.Layout(), tables})
		if err != nil {
			return err
		}
	}
	return errors.Join(append(errs, buf.Flush())...)
}

// showRows prints rows of a table for people.
func showRows(ctx context.Context, w io.Writer, ds *dataset.Dataset, o showOptions) error {
	rows, err := ds.Count(ctx, o.table, o.query)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(ds.Tables(), func(t dataset.TableInfo) bool { return t.Name == o.table })
	out := newPrinter(w)
	err = rowsTable(ctx, out, ds, tableState{TableInfo: ds.Tables()[i], rows: rows}, o.query)
	return errors.Join(out.flush(), err)
}

// rowsTable prints a page of the rows of a table, of which rows match the query.
func rowsTable(ctx context.Context, out *printer, ds *dataset.Dataset, s tableState, q dataset.Query) error {
	columns, err := ds.Columns(ctx, s.Name)
	if err != nil {
		return err
	}
	var t table
	for i, f := range columns.Fields() {
		t.header = append(t.header, f.Name)
		if numeric(f.Type) {
			t.right = append(t.right, i)
		}
	}
	shown := 0
	for row, err := range ds.Rows(ctx, s.Name, q) {
		if err != nil {
			return err
		}
		cells := make([]string, 0, row.Len())
		for i := range row.Len() {
			cells = append(cells, cell(row.At(i)))
		}
		t.add(cells...)
		shown++
	}
	title := s.Name
	if s.Group != "" {
		title += fmt.Sprintf(" (%s, %s)", s.Group, s.Schema)
	}
	switch {
	case shown == 0:
		title += ": no rows"
	case q.Offset == 0 && int64(shown) == s.rows:
		title += fmt.Sprintf(": %d rows", s.rows)
	default:
		title += fmt.Sprintf(": rows %d to %d of %d", q.Offset+1, q.Offset+shown, s.rows)
	}
	out.heading(title)
	out.table(t)
	return nil
}

// writeRows writes rows of a table as JSON, one a line.
func writeRows(ctx context.Context, w io.Writer, ds *dataset.Dataset, o showOptions) error {
	out := bufio.NewWriterSize(w, 1<<16)
	list := o.format == "json"
	var line []byte
	n := 0
	for row, err := range ds.Rows(ctx, o.table, o.query) {
		if err != nil {
			return errors.Join(out.Flush(), err)
		}
		line = line[:0]
		switch {
		case list && n == 0:
			line = append(line, "[\n"...)
		case list:
			line = append(line, ",\n"...)
		}
		line = row.AppendJSON(line)
		if !list {
			line = append(line, '\n')
		}
		if _, err := out.Write(line); err != nil {
			return err
		}
		n++
	}
	switch {
	case list && n == 0:
		out.WriteString("[]\n")
	case list:
		out.WriteString("\n]\n")
	}
	return out.Flush()
}
