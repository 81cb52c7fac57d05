package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"pixano/dataset"
	"pixano/dataset/exchange"
	"pixano/dataset/folder"
	"pixano/dataset/formats"
)

func initCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init DATA_DIR",
		Short: "Make a data directory: a library, media and models",
		Long:  "Make a data directory with the folders library, media and models. What is there already stays.",
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usagef("missing argument DATA_DIR")
			case len(args) > 1:
				return usagef("unexpected argument %q", args[1])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, folder := range []string{"library", "media", "models"} {
				if err := os.MkdirAll(filepath.Join(args[0], folder), 0o755); err != nil {
					return err
				}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Initialized Pixano data directory at %s\n", args[0])
			return nil
		},
	}
}

func formatsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "formats",
		Short: "List the formats that datasets are imported from and exported to",
		Args:  arguments(),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write a JSON list")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if asJSON {
			type option struct {
				Name        string `json:"name"`
				Description string `json:"description"`
				Import      bool   `json:"import"`
				Export      bool   `json:"export"`
			}
			type format struct {
				Name        string   `json:"name"`
				Title       string   `json:"title"`
				Description string   `json:"description"`
				Import      bool     `json:"import"`
				Export      bool     `json:"export"`
				Source      string   `json:"source"`
				Options     []option `json:"options"`
			}
			list := []format{}
			for _, f := range formats.All() {
				options := []option{}
				for _, o := range f.Options {
					options = append(options, option(o))
				}
				list = append(list, format{f.Name, f.Title, f.Description, f.Open != nil, f.NewWriter != nil, f.Source, options})
			}
			return writeJSON(cmd.OutOrStdout(), list)
		}
		out := newPrinter(cmd.OutOrStdout())
		yes := func(b bool) string {
			if b {
				return "yes"
			}
			return none
		}
		t := table{header: []string{"FORMAT", "IMPORT", "EXPORT", "HOLDS"}}
		for _, f := range formats.All() {
			t.add(f.Name, yes(f.Open != nil), yes(f.NewWriter != nil), f.Title)
		}
		out.table(t)
		for _, f := range formats.All() {
			out.line("")
			out.heading(f.Name)
			out.line("  " + f.Description)
			if f.Source != "" {
				out.line("  imported from " + f.Source)
			}
			for _, o := range f.Options {
				out.line("  --option " + o.Name + "=…: " + o.Description)
			}
		}
		return out.flush()
	}
	return cmd
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// leanMemory has garbage collected earlier than usual: imports and exports go through many rows once, and a heap of twice
// what is in use would be most of their memory. GOGC in the environment wins.
func leanMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(30)
	}
}

// runOptions are those that imports and exports share.
type runOptions struct {
	format         string
	params         []string
	dryRun, asJSON bool
	quiet          bool
}

func (o *runOptions) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&o.params, "option", nil, "a setting of the format, as NAME=VALUE (see 'pixano data formats')")
	flags.BoolVar(&o.dryRun, "dry-run", false, "read everything and report what would be done, without doing it")
	flags.BoolVar(&o.asJSON, "json", false, "write the report as JSON")
	flags.BoolVar(&o.quiet, "quiet", false, "print errors and warnings only")
}

func (o *runOptions) settings() (map[string]string, error) {
	m := map[string]string{}
	for _, p := range o.params {
		name, value, ok := strings.Cut(p, "=")
		if !ok {
			return nil, usagef("--option %q: want NAME=VALUE", p)
		}
		m[name] = value
	}
	return m, nil
}

type importFlags struct {
	runOptions
	name, description, kind, schema, mode, media, images, author string
	roots                                                        []string
	namesAsIDs, noNames, stableIDs, skipMissing, resume          bool
	fps                                                          float64
}

func importCommand() *cobra.Command {
	var o importFlags
	cmd := &cobra.Command{
		Use:   "import DATA_DIR SOURCE",
		Short: "Import a dataset from a folder of media or another format",
		Long: "Import a dataset into DATA_DIR/library/NAME, with its media in DATA_DIR/media/NAME. SOURCE is a directory with a\n" +
			"folder for each split, or what --format says.\n\n" +
			"The dataset appears at the end, with all its media, or not at all. When an import was interrupted, the same\n" +
			"command with --resume goes on where it was; without, it begins anew.\n\n" +
			"With --media copy, the files that rows name are copied. link makes hard links, and copies where that cannot be.\n" +
			"keep leaves them where they are: in DATA_DIR/media, or in a directory that --media-root names.",
		Example: "  pixano data import data photos\n" +
			"  pixano data import data photos --schema schema.json --mode add\n" +
			"  pixano data import data coco/annotations/instances_val2017.json --format coco --images coco/val2017 --name coco\n" +
			"  pixano data import data photos --dry-run --json",
		Args: arguments("DATA_DIR", "SOURCE"),
	}
	flags := cmd.Flags()
	flags.StringVar(&o.name, "name", "", "name of the dataset and of its folders (default: the base name of SOURCE)")
	flags.StringVar(&o.description, "description", "", "what the dataset is")
	flags.StringVar(&o.format, "format", "folder", "the format of SOURCE (see 'pixano data formats')")
	flags.StringVar(&o.kind, "type", "", "image, video, vqa or image_text_entity_linking (default: asked for on a terminal, else as SOURCE looks)")
	flags.StringVar(&o.schema, "schema", "", "JSON file with the tables: a schema.json or a declaration")
	flags.StringVar(&o.mode, "mode", "create", "create, overwrite or add")
	flags.StringVar(&o.media, "media", "copy", "copy, link or keep")
	flags.StringArrayVar(&o.roots, "media-root", nil, "a further directory of media, as NAME=DIR, for --media keep")
	flags.StringVar(&o.images, "images", "", "directory of the media, where that is not in SOURCE")
	flags.BoolVar(&o.namesAsIDs, "use-image-name-as-id", false, "use file names as ids of views, and numbers as ids of items")
	flags.BoolVar(&o.noNames, "no-use-image-name-as-id", false, "make ids (the default)")
	flags.BoolVar(&o.stableIDs, "stable-ids", false, "make the same ids from the same source each time")
	flags.BoolVar(&o.skipMissing, "skip-missing", false, "leave items out whose media cannot be read, with a warning")
	flags.BoolVar(&o.resume, "resume", false, "go on with an import that was interrupted")
	flags.Float64Var(&o.fps, "fps", 25, "frames per second of videos that are folders of frames")
	flags.StringVar(&o.author, "author", "", "who imports, for the history")
	flags.MarkHidden("no-use-image-name-as-id")
	o.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := mustExist(args[1]); err != nil {
			return err
		}
		return o.run(cmd, args[0], args[1])
	}
	return cmd
}

func (o *importFlags) run(cmd *cobra.Command, data, source string) error {
	format, err := formats.ByName(o.format)
	if err != nil {
		return usageError{fmt.Errorf("--%w", err)}
	}
	for flag, values := range map[string][]string{"mode": {"create", "overwrite", "add"}, "media": {"copy", "link", "keep"}} {
		if value := cmd.Flag(flag).Value.String(); !slices.Contains(values, value) {
			return usagef("--%s %q: want one of %s", flag, value, strings.Join(values, ", "))
		}
	}
	if o.fps <= 0 {
		return usagef("--fps %g: want more than 0", o.fps)
	}
	params, err := o.settings()
	if err != nil {
		return err
	}
	name := o.name
	if name == "" {
		abs, err := filepath.Abs(source)
		if err != nil {
			return err
		}
		name = filepath.Base(abs)
		if st, err := os.Stat(abs); err == nil && !st.IsDir() {
			name = strings.TrimSuffix(name, filepath.Ext(name))
		}
	}
	opts := exchange.ImportOptions{
		Format: format, Source: source, Dataset: filepath.Join(data, "library", name), MediaDir: filepath.Join(data, "media"),
		Media: exchange.MediaMode(o.media), Images: o.images, Mode: dataset.BuildMode(o.mode), Type: o.kind,
		Info:      dataset.Info{Name: name, Description: o.description},
		StableIDs: o.stableIDs, NamesAsIDs: o.namesAsIDs && !o.noNames, SkipMissing: o.skipMissing, Resume: o.resume, FPS: o.fps,
		Params: params, Author: o.author,
	}
	if opts.MediaRoots, err = mediaRoots(o.roots); err != nil {
		return err
	}
	if o.schema != "" {
		text, err := os.ReadFile(o.schema)
		if err != nil {
			return usagef("--schema: %w", err)
		}
		if opts.Schema, err = folder.ParseSchema(text); err != nil {
			return usagef("--schema %s: %w", o.schema, err)
		}
	}
	if format.Name == folder.Format.Name {
		if opts.Type, err = o.chooseType(cmd, source); err != nil {
			return err
		}
	}
	if _, err := os.Stat(opts.MediaDir); err != nil {
		return fmt.Errorf("%s: no media directory: make one with 'pixano init %s'", opts.MediaDir, data)
	}
	if _, err := os.Stat(filepath.Dir(opts.Dataset)); err != nil {
		return fmt.Errorf("%s: no library: make one with 'pixano init %s'", filepath.Dir(opts.Dataset), data)
	}
	leanMemory()
	show := newProgress(cmd.ErrOrStderr(), o.quiet)
	opts.Progress = show.update
	run := exchange.Import
	if o.dryRun {
		run = exchange.PlanImport
	}
	report, err := run(cmd.Context(), opts)
	show.end()
	if err != nil {
		if cmd.Context().Err() != nil {
			return fmt.Errorf("%w\nThe library is as it was. Run the command with --resume to go on", err)
		}
		return err
	}
	if err := printReport(cmd, report, &o.runOptions); err != nil || o.asJSON || o.quiet || o.dryRun {
		return err
	}
	out := cmd.OutOrStdout()
	if report.Media.Files > 0 && report.Media.Mode != exchange.MediaKeep {
		verb := map[exchange.MediaMode]string{exchange.MediaCopy: "Copied", exchange.MediaLink: "Linked"}[report.Media.Mode]
		fmt.Fprintf(out, "%s media from '%s' to '%s'.\n", verb, cmp.Or(o.images, source), filepath.Join(opts.MediaDir, name))
	}
	_, err = fmt.Fprintf(out, "Dataset '%s' built successfully (%d items).\n", name, report.Items)
	return err
}

// chooseType finds the type of a folder of media: as told, as answered on a terminal, or as it looks.
func (o *importFlags) chooseType(cmd *cobra.Command, source string) (string, error) {
	if o.kind != "" {
		if !slices.Contains(folder.Types(), o.kind) {
			return "", usagef("--type %q: want one of %s", o.kind, strings.Join(folder.Types(), ", "))
		}
		return o.kind, nil
	}
	detected, err := folder.Detect(os.DirFS(source))
	if err != nil {
		return "", err
	}
	in, isFile := cmd.InOrStdin().(*os.File)
	if !isFile || !term.IsTerminal(int(in.Fd())) {
		if !o.quiet {
			fmt.Fprintf(cmd.ErrOrStderr(), "type: %s, as the source looks (--type gives another)\n", detected)
		}
		return detected, nil
	}
	err2 := cmd.ErrOrStderr()
	fmt.Fprint(err2, "What does the source hold?\n"+
		"  image                      pictures, with objects, boxes, masks and key points\n"+
		"  video                      videos or folders of frames, with tracks\n"+
		"  vqa                        pictures with questions and answers\n"+
		"  image_text_entity_linking  pictures with texts, and entities that both name\n")
	fmt.Fprintf(err2, "Type [%s]: ", detected)
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("aborted")
	}
	answer := cmp.Or(strings.TrimSpace(line), detected)
	if !slices.Contains(folder.Types(), answer) {
		return "", fmt.Errorf("invalid type %q: want one of %s", answer, strings.Join(folder.Types(), ", "))
	}
	return answer, nil
}

func mediaRoots(given []string) (map[string]string, error) {
	roots := map[string]string{}
	for _, r := range given {
		name, dir, ok := strings.Cut(r, "=")
		if !ok || name == "" || dir == "" {
			return nil, usagef("--media-root %q: want NAME=DIR", r)
		}
		if err := mustExist(dir); err != nil {
			return nil, err
		}
		roots[name] = dir
	}
	return roots, nil
}

type exportFlags struct {
	runOptions
	name, media, mediaDir, where string
	roots, splits                []string
	perFile                      int
	strict, overwrite            bool
}

func exportCommand() *cobra.Command {
	var o exportFlags
	cmd := &cobra.Command{
		Use:   "export DATASET OUT --format FORMAT",
		Short: "Export a dataset to a format of other tools",
		Long: "Export a dataset into a new directory OUT, which appears as a whole or, after an error, not at all.\n\n" +
			"The report says what the format cannot hold. Without --strict, coco is written as Pixano's own export writes it,\n" +
			"which keeps all ids but is not what COCO's tools read.",
		Example: "  pixano data export data/library/photos out --format coco --strict\n" +
			"  pixano data export data/library/photos out --format yolo --option task=segment\n" +
			"  pixano data export data/library/photos out --format json --dry-run --json",
		Args: arguments("DATASET", "OUT"),
	}
	flags := cmd.Flags()
	flags.StringVar(&o.format, "format", "", "the format to write (required; see 'pixano data formats')")
	flags.BoolVar(&o.strict, "strict", false, "write what other tools read, where Pixano's own form of the format is not that")
	flags.StringVar(&o.name, "name", "", "in the names of files: SPLIT_NAME_NUMBER (default: pixano_export)")
	flags.IntVar(&o.perFile, "items-per-file", 0, "at most so many items in one file; 0: all of a split")
	flags.BoolVar(&o.overwrite, "overwrite", false, "allow an OUT with files in it; those of the same names are replaced")
	flags.StringVar(&o.media, "media", "", "copy, link or none (default: what suits the format)")
	flags.StringVar(&o.mediaDir, "media-dir", "", "the directory that the urls of media start from")
	flags.StringArrayVar(&o.roots, "media-root", nil, "a further directory of media, as NAME=DIR")
	flags.StringArrayVar(&o.splits, "split", nil, "export this split only; may be repeated")
	flags.StringVar(&o.where, "where", "", "export only items that match this condition in SQL")
	o.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case o.format == "":
			return usagef("missing option --format: one of those that 'pixano data formats' lists")
		case o.media != "" && !slices.Contains([]string{"copy", "link", "none"}, o.media):
			return usagef("--media %q: want copy, link or none", o.media)
		case o.perFile < 0:
			return usagef("--items-per-file %d: want 0 or more", o.perFile)
		}
		format, err := formats.ByName(o.format)
		if err != nil {
			return usageError{fmt.Errorf("--%w", err)}
		}
		if format.NewWriter == nil {
			return usagef("--format %s: cannot be exported, only imported", o.format)
		}
		params, err := o.settings()
		if err != nil {
			return err
		}
		roots, err := mediaRoots(o.roots)
		if err != nil {
			return err
		}
		ds, err := dataset.Open(cmd.Context(), args[0], &dataset.Options{ReadOnly: true, MediaDir: mediaDirOf(args[0], o.mediaDir), MediaRoots: roots})
		if err != nil {
			return err
		}
		defer ds.Close()
		leanMemory()
		show := newProgress(cmd.ErrOrStderr(), o.quiet)
		run := exchange.Export
		if o.dryRun {
			run = exchange.PlanExport
		}
		report, err := run(cmd.Context(), ds, exchange.ExportOptions{Format: format, Out: args[1], Overwrite: o.overwrite, Name: o.name,
			ItemsPerFile: o.perFile, Strict: o.strict, Media: exchange.MediaMode(o.media), Splits: o.splits, Where: o.where, Params: params,
			Progress: show.update})
		show.end()
		if err != nil {
			return err
		}
		if err := printReport(cmd, report, &o.runOptions); err != nil || o.asJSON || o.quiet || o.dryRun {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "Exported %d items to '%s'.\n", report.Items, args[1])
		return err
	}
	return cmd
}

// mediaDirOf returns the media directory of a dataset: what the user says, or else "media" in the dataset, or that of the
// data directory whose library the dataset lies in; "" is the dataset's own.
func mediaDirOf(path, given string) string {
	if given != "" {
		return given
	}
	if _, err := os.Stat(filepath.Join(path, "media")); err == nil {
		return ""
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return ""
	}
	if library := filepath.Dir(abs); filepath.Base(library) == "library" {
		media := filepath.Join(filepath.Dir(library), "media")
		if _, err := os.Stat(media); err == nil {
			return media
		}
	}
	return ""
}

// printReport prints what a run did: as JSON, or for people with warnings on standard error.
func printReport(cmd *cobra.Command, r *exchange.Report, o *runOptions) error {
	if o.asJSON {
		return writeJSON(cmd.OutOrStdout(), r)
	}
	warnings := bufio.NewWriter(cmd.ErrOrStderr())
	const shown = 20
	for i, w := range r.Warnings {
		if i == shown {
			break
		}
		fmt.Fprintf(warnings, "Warning: %s\n", clean(w.String()))
	}
	if r.WarningCount > shown {
		fmt.Fprintf(warnings, "Warning: %d more (--json lists up to a thousand)\n", r.WarningCount-shown)
	}
	if err := warnings.Flush(); err != nil || o.quiet {
		return err
	}
	out := newPrinter(cmd.OutOrStdout())
	if r.DryRun {
		out.heading("Nothing was written. The " + r.Action + " would make:")
	}
	counts := func(header string, m map[string]int64, limit int) {
		t := table{header: []string{header, "ROWS"}, right: []int{1}}
		names := slices.Sorted(maps.Keys(m))
		if len(names) == 0 || len(names) > limit {
			return
		}
		for _, name := range names {
			t.add(name, strconv.FormatInt(m[name], 10))
		}
		out.table(t)
	}
	counts("TABLE", r.Tables, 1000)
	counts("SPLIT", r.Splits, 20)
	counts("CATEGORY", r.Categories, 20)
	if r.Media.Files > 0 {
		out.line(fmt.Sprintf("%d media files, %s (%s)", r.Media.Files, bytesText(r.Media.Bytes), r.Media.Mode))
	}
	if len(r.Losses) > 0 {
		t := table{header: []string{"NOT KEPT", "COUNT", "WHY"}, right: []int{1}, sentences: true}
		for _, l := range r.Losses {
			name := l.Table
			if l.Field != "" && name != "" {
				name += "."
			}
			t.add(name+l.Field, strconv.FormatInt(l.Count, 10), l.Reason)
		}
		out.table(t)
	}
	return out.flush()
}

func bytesText(n int64) string {
	units := []string{"B", "KB", "MB", "GB", "TB"}
	f := float64(n)
	i := 0
	for f >= 1000 && i < len(units)-1 {
		f /= 1000
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}

// progress shows how far a run is: in one changing line on a terminal, otherwise as a line now and then.
type progress struct {
	w        io.Writer
	terminal bool
	quiet    bool
	shown    time.Time
	begun    time.Time
	drawn    bool
}

// lineInterval is how often progress is a line of its own where there is no terminal.
const lineInterval = 10 * time.Second

func newProgress(w io.Writer, quiet bool) *progress {
	p := &progress{w: w, quiet: quiet, begun: time.Now(), shown: time.Now()}
	if f, ok := w.(*os.File); ok {
		p.terminal = term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
	}
	return p
}

func (p *progress) update(u exchange.Progress) {
	if p.quiet || u.Step == "done" {
		return
	}
	text := fmt.Sprintf("%s: %d items, %d rows", u.Step, u.Items, u.Rows)
	if u.Total > 0 {
		text = fmt.Sprintf("%s: %d of %d items (%d %%)", u.Step, u.Items, u.Total, 100*u.Items/u.Total)
	}
	if u.Media > 0 {
		text += fmt.Sprintf(", %d media files", u.Media)
	}
	if u.Total > 0 && p.terminal {
		text = bar(u.Items, u.Total) + " " + text
	}
	p.show(text, float64(u.Items), "items")
}

// bar draws how much of something is done.
func bar(done, of int64) string {
	const cells = 24
	full := int(max(0, min(of, done)) * cells / of)
	return strings.Repeat("█", full) + strings.Repeat("░", cells-full)
}

// show shows a text with the pace at which n things were done.
func (p *progress) show(text string, n float64, things string) {
	if p.quiet {
		return
	}
	if seconds := time.Since(p.begun).Seconds(); seconds > 1 {
		text += fmt.Sprintf(", %.0f %s/s", n/seconds, things)
	}
	switch {
	case p.terminal:
		if width, _, err := term.GetSize(int(p.w.(*os.File).Fd())); err == nil && width > 0 { // a line that wraps is not written over
			text = string([]rune(text)[:min(width-1, utf8.RuneCountInString(text))])
		}
		fmt.Fprintf(p.w, "\r\x1b[K%s", text)
		p.drawn = true
	case time.Since(p.shown) >= lineInterval:
		p.shown = time.Now()
		fmt.Fprintln(p.w, text)
	}
}

func (p *progress) end() {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
