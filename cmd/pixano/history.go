package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pixano/dataset"
)

// openToWrite opens a dataset that a command changes.
func openToWrite(cmd *cobra.Command, path string) (*dataset.Dataset, error) {
	return dataset.Open(cmd.Context(), path, &dataset.Options{Maintenance: dataset.Maintenance{Off: true}})
}

// author is who changes datasets from the command line, unless a flag says so.
func author(flag string) string {
	if flag != "" {
		return flag
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return os.Getenv("USER")
}

// writeLine writes a value as one line.
func writeLine(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// moment reads a time: a date, a time of RFC 3339, or how long ago it was ("90m", "7d").
func moment(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 {
			return time.Now().AddDate(0, 0, -n), nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return time.Now().Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usagef("--%s %q: want a date (2026-01-31), a time (2026-01-31T12:00:00Z), or how long ago (90m, 7d)", flag, text)
}

func historyCommand() *cobra.Command {
	var q dataset.HistoryQuery
	var since, until, before string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "history DATASET",
		Short: "Show who changed what",
		Long: "Show what changed in a dataset, newest first: change sets with their rows, loads of many rows, and commits of\n" +
			"other programs, such as Python, by their versions. With --json each is one line, with the rows before and after.",
		Example: "  pixano data history library/voc --since 7d\n" +
			"  pixano data history library/voc --table bboxes --id b1 --json",
		Args: arguments("DATASET"),
	}
	flags := cmd.Flags()
	flags.StringVar(&q.Table, "table", "", "only changes of this table")
	flags.StringVar(&q.ID, "id", "", "only changes of the rows of this id")
	flags.StringVar(&q.Author, "author", "", "only changes by this author")
	flags.StringVar(&since, "since", "", "only changes since then: a date, a time, or how long ago (90m, 7d)")
	flags.StringVar(&until, "until", "", "only changes before then")
	flags.StringVar(&before, "before", "", "only changes older than this one, to go on where a list ended")
	flags.IntVar(&q.Limit, "limit", 20, "show at most so many; 0 shows all")
	flags.BoolVar(&asJSON, "json", false, "one JSON object a line")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if q.Since, err = moment("since", since); err != nil {
			return err
		}
		if q.Until, err = moment("until", until); err != nil {
			return err
		}
		if before != "" {
			if q.Before, err = dataset.ParseChangeID(before); err != nil {
				return usagef("--before %q: want a number, such as 12 or 12.1", before)
			}
		}
		if q.Limit < 0 {
			return usagef("--limit %d: want 0 or more", q.Limit)
		}
		ds, err := dataset.Open(cmd.Context(), args[0], &dataset.Options{ReadOnly: true})
		if err != nil {
			return err
		}
		defer ds.Close()
		out := newPrinter(cmd.OutOrStdout())
		t := table{header: []string{"CHANGE", "TIME", "AUTHOR", "WHAT"}}
		for event, err := range ds.History(cmd.Context(), q) {
			if err != nil {
				return err
			}
			if asJSON {
				if err := writeLine(cmd.OutOrStdout(), event); err != nil {
					return err
				}
				continue
			}
			number := event.ID.String()
			if event.ID == (dataset.ChangeID{}) {
				number = none
			}
			t.add(number, event.Time.Local().Format(time.DateTime), cmp.Or(event.Author, none), summary(event))
		}
		switch {
		case asJSON:
			return nil
		case len(t.rows) == 0:
			out.line("no changes")
		default:
			out.table(t)
		}
		return out.flush()
	}
	return cmd
}

// summary says in few words what an event did.
func summary(e dataset.Event) string {
	switch e.Kind {
	case dataset.EventLoad:
		return fmt.Sprintf("%d rows loaded into %s", e.Count, e.Table)
	case dataset.EventOutside:
		return fmt.Sprintf("changed by another program: %s, version %d (%s)", e.Table, e.Version, e.Operation)
	}
	var text strings.Builder
	switch {
	case e.Reverts != nil:
		fmt.Fprintf(&text, "undo of %s: ", e.Reverts)
	case e.Restores != "":
		fmt.Fprintf(&text, "restore of %s: ", e.Restores)
	}
	type what struct {
		outcome dataset.Outcome
		table   string
	}
	counts := map[what][]string{}
	var order []what
	for _, row := range e.Rows {
		w := what{row.Outcome, row.Table}
		if counts[w] == nil {
			order = append(order, w)
		}
		id := row.ID
		if fields := row.Fields(); row.Outcome == dataset.Updated && len(fields) > 0 {
			id += " (" + strings.Join(fields, ", ") + ")"
		}
		counts[w] = append(counts[w], id)
	}
	for i, w := range order {
		if i > 0 {
			text.WriteString("; ")
		}
		ids := counts[w]
		if len(ids) > 3 {
			fmt.Fprintf(&text, "%s %d rows of %s", w.outcome, len(ids), w.table)
		} else {
			fmt.Fprintf(&text, "%s %s %s", w.outcome, w.table, strings.Join(ids, ", "))
		}
	}
	if len(order) == 0 {
		text.WriteString("nothing")
	}
	return text.String()
}

func revertCommand() *cobra.Command {
	var by string
	cmd := &cobra.Command{
		Use:   "revert DATASET CHANGE",
		Short: "Undo a change set of the history",
		Long: "Undo a change set by an inverse one. What was changed since stays, column by column; where a later change is in\n" +
			"the way nothing is changed, and the rows are named. Undoing the undo does the change again.",
		Example: "  pixano data revert library/voc 12",
		Args:    arguments("DATASET", "CHANGE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := dataset.ParseChangeID(args[1])
			if err != nil {
				return usagef("%q is no change: want a number of the history, such as 12 or 12.1", args[1])
			}
			ds, err := openToWrite(cmd, args[0])
			if err != nil {
				return err
			}
			defer ds.Close()
			res, err := ds.Revert(cmd.Context(), id, dataset.By{Author: author(by)})
			if err != nil {
				return err
			}
			return printResult(cmd, res, "undone already")
		},
	}
	cmd.Flags().StringVar(&by, "author", "", "who undoes it (default: the user's name)")
	return cmd
}

// printResult says what a change set did.
func printResult(cmd *cobra.Command, res *dataset.Result, nothing string) error {
	out := newPrinter(cmd.OutOrStdout())
	if res.Number == 0 {
		out.line(nothing)
		return out.flush()
	}
	counts := map[dataset.Outcome]int{}
	for _, row := range res.Rows {
		counts[row.Outcome]++
	}
	out.line(fmt.Sprintf("change %s: %d rows added, %d updated, %d deleted", res.ID(), counts[dataset.Added], counts[dataset.Updated], counts[dataset.Deleted]))
	return out.flush()
}

func snapshotCommand() *cobra.Command {
	var by, message string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "snapshot DATASET create|list|delete [NAME]",
		Short: "Give the state of a dataset a name, list or delete such names",
		Long: "Give the present state of a dataset a name, to be read, compared and restored later. It takes no time and only the\n" +
			"space of what is changed or deleted afterwards.\n\nNote: " + dataset.SnapshotCost + ".",
		Example: "  pixano data snapshot library/voc create v1 --message \"as delivered\"\n" +
			"  pixano data snapshot library/voc list",
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usagef("missing argument DATASET")
			case len(args) == 1:
				return usagef("missing argument create, list or delete")
			case !slices.Contains([]string{"create", "list", "delete"}, args[1]):
				return usagef("%q: want create, list or delete", args[1])
			case args[1] == "list" && len(args) > 2:
				return usagef("unexpected argument %q", args[2])
			case args[1] != "list" && len(args) < 3:
				return usagef("missing argument NAME")
			case len(args) > 3:
				return usagef("unexpected argument %q", args[3])
			}
			return mustExist(args[0])
		},
	}
	cmd.Flags().StringVar(&by, "author", "", "who takes it (default: the user's name)")
	cmd.Flags().StringVar(&message, "message", "", "what it is for")
	cmd.Flags().BoolVar(&asJSON, "json", false, "list: one JSON object a line")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		out := newPrinter(cmd.OutOrStdout())
		if args[1] == "list" {
			ds, err := dataset.Open(cmd.Context(), args[0], &dataset.Options{ReadOnly: true})
			if err != nil {
				return err
			}
			defer ds.Close()
			snapshots, err := ds.Snapshots()
			if err != nil {
				return err
			}
			t := table{header: []string{"NAME", "TIME", "AUTHOR", "ITEMS", "CHANGE", "MESSAGE"}, right: []int{3, 4}}
			for _, s := range snapshots {
				if asJSON {
					if err := writeLine(cmd.OutOrStdout(), s); err != nil {
						return err
					}
					continue
				}
				t.add(s.Name, s.Time.Local().Format(time.DateTime), cmp.Or(s.Author, none), strconv.FormatInt(s.Tables[ds.ItemTable()].Rows, 10),
					strconv.FormatUint(s.Number, 10), s.Message)
			}
			switch {
			case asJSON:
				return nil
			case len(snapshots) == 0:
				out.line("no snapshots")
			default:
				out.table(t)
			}
			return out.flush()
		}
		ds, err := openToWrite(cmd, args[0])
		if err != nil {
			return err
		}
		defer ds.Close()
		if args[1] == "delete" {
			return ds.DeleteSnapshot(cmd.Context(), args[2])
		}
		snap, err := ds.Snapshot(cmd.Context(), args[2], dataset.SnapshotOptions{Author: author(by), Message: message})
		if err != nil {
			return err
		}
		fmt.Fprintln(cmd.ErrOrStderr(), "Note: "+dataset.SnapshotCost+".")
		rows := int64(0)
		for _, t := range snap.Tables {
			rows += t.Rows
		}
		out.line(fmt.Sprintf("snapshot %s: %d rows of %d tables", snap.Name, rows, len(snap.Tables)))
		return out.flush()
	}
	return cmd
}

// state is the name of a state in the API: "now" is the present there as well, without a name.
func state(arg string) string {
	if arg == "now" {
		return ""
	}
	return arg
}

func diffCommand() *cobra.Command {
	var rows, asJSON bool
	var only string
	cmd := &cobra.Command{
		Use:   "diff DATASET FROM [TO]",
		Short: "Compare two snapshots, or one with the present",
		Long: "Compare two states of a dataset, each a snapshot or \"now\" (TO is \"now\" by default): how many rows of each table were\n" +
			"added, changed and removed; with --rows, which ones. The exit code is 0 whether or not there is a difference.",
		Example: "  pixano data diff library/voc v1\n  pixano data diff library/voc v1 v2 --table bboxes --rows --json",
		Args: func(_ *cobra.Command, args []string) error {
			names := []string{"DATASET", "FROM"}
			if len(args) > 2 {
				names = append(names, "TO")
			}
			return arguments(names...)(nil, args)
		},
	}
	cmd.Flags().BoolVar(&rows, "rows", false, "list the rows that differ")
	cmd.Flags().StringVar(&only, "table", "", "compare only this table")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line: the tables, then with --rows the rows before and after")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ds, err := dataset.Open(cmd.Context(), args[0], &dataset.Options{ReadOnly: true})
		if err != nil {
			return err
		}
		defer ds.Close()
		to := ""
		if len(args) > 2 {
			to = state(args[2])
		}
		diff, err := ds.Diff(cmd.Context(), state(args[1]), to)
		if err != nil {
			return err
		}
		defer diff.Close()
		if only != "" && !slices.ContainsFunc(diff.Tables, func(t dataset.TableDifference) bool { return t.Table == only }) {
			return usagef("--table %q: neither state has such a table", only)
		}
		return showDiff(cmd, diff, only, rows, asJSON)
	}
	return cmd
}

func showDiff(cmd *cobra.Command, diff *dataset.Difference, only string, rows, asJSON bool) error {
	out := newPrinter(cmd.OutOrStdout())
	t := table{header: []string{"TABLE", "ADDED", "CHANGED", "REMOVED", "SAME"}, right: []int{1, 2, 3, 4}}
	for _, d := range diff.Tables {
		if only != "" && d.Table != only {
			continue
		}
		if asJSON {
			if err := writeLine(cmd.OutOrStdout(), d); err != nil {
				return err
			}
			continue
		}
		t.add(d.Table, strconv.FormatInt(d.Added, 10), strconv.FormatInt(d.Changed, 10), strconv.FormatInt(d.Removed, 10), strconv.FormatInt(d.Same, 10))
		for sign, columns := range map[string][]string{"+": d.AddedColumns, "-": d.RemovedColumns} {
			for _, column := range columns {
				t.add("  "+sign+" column "+column, "", "", "", "")
			}
		}
	}
	if !asJSON {
		out.table(t)
	}
	if rows {
		var tables []string
		if only != "" {
			tables = []string{only}
		}
		for c, err := range diff.Rows(cmd.Context(), tables...) {
			if err != nil {
				return err
			}
			if asJSON {
				err = writeLine(cmd.OutOrStdout(), c)
			} else {
				sign := map[dataset.Outcome]string{dataset.Added: "+", dataset.Deleted: "-", dataset.Updated: "~"}[c.Outcome]
				text := fmt.Sprintf("%s %s %s", sign, c.Table, c.ID)
				if c.Outcome == dataset.Updated {
					text += ": " + strings.Join(c.Fields(), ", ")
				}
				out.line(clean(text))
			}
			if err != nil {
				return err
			}
		}
	}
	return out.flush()
}

func restoreCommand() *cobra.Command {
	var by string
	var dry bool
	cmd := &cobra.Command{
		Use:   "restore DATASET NAME",
		Short: "Make the rows of a dataset those of a snapshot again",
		Long: "Make the rows of all tables those of a snapshot again, by one change set, which can be undone as any other. With\n" +
			"--dry-run nothing is changed: it shows how many rows would be added, changed and removed.",
		Example: "  pixano data restore library/voc v1 --dry-run",
		Args:    arguments("DATASET", "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dry {
				ds, err := dataset.Open(cmd.Context(), args[0], &dataset.Options{ReadOnly: true})
				if err != nil {
					return err
				}
				defer ds.Close()
				diff, err := ds.Diff(cmd.Context(), "", args[1])
				if err != nil {
					return err
				}
				defer diff.Close()
				return showDiff(cmd, diff, "", false, false)
			}
			ds, err := openToWrite(cmd, args[0])
			if err != nil {
				return err
			}
			defer ds.Close()
			res, err := ds.Restore(cmd.Context(), args[1], dataset.By{Author: author(by)})
			if err != nil {
				return err
			}
			return printResult(cmd, res, "nothing differs")
		},
	}
	cmd.Flags().StringVar(&by, "author", "", "who restores it (default: the user's name)")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only show what would be changed")
	return cmd
}

func optimizeCommand() *cobra.Command {
	var asJSON bool
	var m dataset.Maintenance
	cmd := &cobra.Command{
		Use:   "optimize DATASET",
		Short: "Join small files, remove old versions, fold the change log",
		Long: "Do the maintenance of a dataset, which otherwise happens in the background while a server or a program has it open\n" +
			"and changes it: join small files, bring indexes up to date, remove old versions that no snapshot holds, and fold the\n" +
			"change log into the history. It may run beside reads and writes.",
		Args: arguments("DATASET"),
		RunE: func(cmd *cobra.Command, args []string) error {
			m.Off = true
			if m.KeepFor == 0 {
				m.KeepFor = -1
			}
			if m.KeepVersions == 0 {
				m.KeepVersions = -1
			}
			if m.KeepHistory < 0 {
				return usagef("--keep-history %s: want 0 or more", m.KeepHistory)
			}
			ds, err := dataset.Open(cmd.Context(), args[0], &dataset.Options{Maintenance: m})
			if err != nil {
				return err
			}
			defer ds.Close()
			did, err := ds.Optimize(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return writeLine(cmd.OutOrStdout(), did)
			}
			out := newPrinter(cmd.OutOrStdout())
			t := table{header: []string{"TABLE", "PARTS JOINED", "INTO", "VERSIONS REMOVED", "MB FREED"}, right: []int{1, 2, 3, 4}}
			for _, u := range did.Tables {
				t.add(u.Table, strconv.Itoa(u.FragmentsRemoved), strconv.Itoa(u.FragmentsAdded), strconv.Itoa(u.VersionsRemoved), megabytes(u.BytesRemoved))
			}
			if len(t.rows) > 0 {
				out.table(t)
			}
			out.line(fmt.Sprintf("%d entries of the change log folded; %s MB before, %s MB after; %.1f s, saves held up for %d ms at most",
				did.EntriesFolded, megabytes(did.BytesBefore), megabytes(did.BytesAfter), float64(did.MillisecondsIn)/1000, did.LongestHoldMS))
			return out.flush()
		},
	}
	cmd.Flags().DurationVar(&m.KeepFor, "keep-for", 10*time.Minute, "keep versions that are younger; reads that began before may fail")
	cmd.Flags().IntVar(&m.KeepVersions, "keep-versions", 20, "keep so many newest versions of each table")
	cmd.Flags().DurationVar(&m.KeepHistory, "keep-history", 0, "forget changes that are older, but not before 24h; 0 keeps all")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	return cmd
}

func megabytes(bytes int64) string { return strconv.FormatFloat(float64(bytes)/1e6, 'f', 1, 64) }
