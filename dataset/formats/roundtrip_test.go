package formats

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/dataset/exchange"
	"pixano/schema"
)

const golden = "../../testdata/golden"

// goldenSets are those of the layout that is exported.
var goldenSets = []string{"image_detection", "image_detection_f1098606", "video_tracking", "vqa", "multiview_text"}

func openGolden(t *testing.T, name string) *dataset.Dataset {
	t.Helper()
	ds, err := dataset.Open(t.Context(), filepath.Join(golden, name), &dataset.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ds.Close() })
	return ds
}

// dataDir makes a data directory.
func dataDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"library", "media"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// tables reads all tables of a dataset but those of vectors, by id, as JSON without times.
func tables(t *testing.T, ds *dataset.Dataset) map[string]map[string]map[string]any {
	t.Helper()
	out := map[string]map[string]map[string]any{}
	for _, info := range ds.Tables() {
		if info.Group == schema.GroupEmbeddings {
			continue
		}
		rows := map[string]map[string]any{}
		for row, err := range ds.Rows(t.Context(), info.Name, dataset.Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			var columns map[string]any
			if err := json.Unmarshal(row.AppendJSON(nil), &columns); err != nil {
				t.Fatal(err)
			}
			delete(columns, "created_at")
			delete(columns, "updated_at")
			rows[row.ID()] = columns
		}
		out[info.Name] = rows
	}
	return out
}

func export(t *testing.T, ds *dataset.Dataset, o exchange.ExportOptions) *exchange.Report {
	t.Helper()
	report, err := exchange.Export(t.Context(), ds, o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// importKept imports a source whose media stay in a media directory.
func importKept(t *testing.T, format, source, images string, more func(*exchange.ImportOptions)) (*dataset.Dataset, *exchange.Report) {
	t.Helper()
	f, err := ByName(format)
	if err != nil {
		t.Fatal(err)
	}
	data := dataDir(t)
	o := exchange.ImportOptions{Format: f, Source: source, Dataset: filepath.Join(data, "library", "again"), MediaDir: images, Images: images,
		Media: exchange.MediaKeep}
	if more != nil {
		more(&o)
	}
	report, err := exchange.Import(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ds, err := dataset.Open(t.Context(), o.Dataset, &dataset.Options{MediaDir: images})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ds.Close() })
	return ds, report
}

// importCopied imports a source with the media beside.
func importCopied(t *testing.T, format, source string, more func(*exchange.ImportOptions)) (*dataset.Dataset, *exchange.Report) {
	t.Helper()
	f, err := ByName(format)
	if err != nil {
		t.Fatal(err)
	}
	data := dataDir(t)
	o := exchange.ImportOptions{Format: f, Source: source, Dataset: filepath.Join(data, "library", "d"), MediaDir: filepath.Join(data, "media")}
	if more != nil {
		more(&o)
	}
	report, err := exchange.Import(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ds, err := dataset.Open(t.Context(), o.Dataset, &dataset.Options{MediaDir: o.MediaDir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ds.Close() })
	return ds, report
}

// TestPixanoRoundTrip exports the golden sets as Pixano's own formats and imports them again: all rows of all tables but
// those of vectors come back, with their ids and all of their columns, and the reports name the rest.
func TestPixanoRoundTrip(t *testing.T) {
	for _, name := range goldenSets {
		for _, format := range []string{"json", "jsonl"} {
			for _, perFile := range []int{0, 2} {
				t.Run(fmt.Sprintf("%s/%s/%d", name, format, perFile), func(t *testing.T) {
					ds := openGolden(t, name)
					f, err := ByName(format)
					if err != nil {
						t.Fatal(err)
					}
					out := filepath.Join(t.TempDir(), "out")
					report := export(t, ds, exchange.ExportOptions{Format: f, Out: out, ItemsPerFile: perFile})
					for _, l := range report.Losses {
						class, ok := ds.Schema().Class(l.Table)
						vectors := ok && class.Group() == schema.GroupEmbeddings
						if l.Field != "created_at, updated_at" && !vectors && !strings.Contains(l.Reason, "constraints") {
							t.Errorf("unexpected loss %s", l)
						}
					}
					again, _ := importKept(t, format, out, ds.MediaDir(), func(o *exchange.ImportOptions) { o.SkipMissing = true })
					if diff := cmp.Diff(tables(t, ds), tables(t, again)); diff != "" {
						t.Errorf("rows differ (-before +after):\n%s", diff)
					}
					plan, err := exchange.PlanExport(t.Context(), ds, exchange.ExportOptions{Format: f, Out: out, ItemsPerFile: perFile})
					if err != nil {
						t.Fatal(err)
					}
					plan.DryRun, plan.Seconds, report.Seconds = false, 0, 0
					if diff := cmp.Diff(report, plan); diff != "" {
						t.Errorf("the plan differs from the run:\n%s", diff)
					}
				})
			}
		}
	}
}

// TestGuessedClasses imports Pixano's formats without the schema beside.
func TestGuessedClasses(t *testing.T) {
	for _, format := range []string{"json", "jsonl"} {
		t.Run(format, func(t *testing.T) {
			ds := openGolden(t, "image_detection")
			f, err := ByName(format)
			if err != nil {
				t.Fatal(err)
			}
			out := filepath.Join(t.TempDir(), "out")
			export(t, ds, exchange.ExportOptions{Format: f, Out: out})
			if err := os.Remove(filepath.Join(out, "schema.json")); err != nil {
				t.Fatal(err)
			}
			again, report := importKept(t, format, out, ds.MediaDir(), nil)
			if diff := cmp.Diff(tables(t, ds), tables(t, again)); diff != "" {
				t.Errorf("rows differ (-before +after):\n%s", diff)
			}
			if !slices.ContainsFunc(report.Warnings, func(w exchange.Warning) bool { return strings.Contains(w.Message, "guessed") }) {
				t.Errorf("no warning that classes were guessed: %v", report.Warnings)
			}
		})
	}
}

// TestCOCORoundTrip exports a golden set as COCO and imports it again. What the report did not name comes back as it was.
func TestCOCORoundTrip(t *testing.T) {
	for _, strict := range []bool{true, false} {
		for _, name := range []string{"image_detection", "video_tracking", "multiview_text"} {
			t.Run(fmt.Sprintf("%s/strict=%t", name, strict), func(t *testing.T) {
				ds := openGolden(t, name)
				f, err := ByName("coco")
				if err != nil {
					t.Fatal(err)
				}
				out := filepath.Join(t.TempDir(), "out")
				report := export(t, ds, exchange.ExportOptions{Format: f, Out: out, Strict: strict})
				again, _ := importKept(t, "coco", out, ds.MediaDir(), nil)
				compareKept(t, ds, again, report, strings.NewReplacer("persons", "objects", "tracks", "objects", "boxes", "bboxes", "skeletons", "keypoints"))
			})
		}
	}
}

// compareKept compares the rows of a dataset with what came back of them: all rows of all tables and all columns that the
// report does not name as lost.
func compareKept(t *testing.T, before, after *dataset.Dataset, report *exchange.Report, renamed *strings.Replacer) {
	t.Helper()
	lost, rowsLost := map[string]bool{}, map[string]int64{}
	for _, l := range report.Losses {
		if l.Field == "" {
			if !strings.Contains(l.Reason, "an import makes rows of the table") {
				rowsLost[l.Table] += l.Count
			}
			continue
		}
		lost[l.Table+"."+l.Field] = true
	}
	have := tables(t, after)
	compared := 0
	for table, rows := range tables(t, before) {
		to, missing := table, int64(0)
		if have[table] == nil {
			to = renamed.Replace(table)
		}
		for id, want := range rows {
			got := have[to][id]
			if got == nil {
				missing++
				continue
			}
			for column, w := range want {
				g := got[column]
				if ref, ok := w.(map[string]any); ok && ref["name"] != nil {
					name, _ := ref["name"].(string)
					if _, there := have[name]; !there {
						ref["name"] = renamed.Replace(name)
					}
				}
				if lost[table+"."+column] || cmp.Equal(w, g) {
					compared++
					continue
				}
				if _, has := got[column]; !has && isNothing(w) {
					continue
				}
				t.Errorf("%s %s %s: got %v, want %v", table, id, column, g, w)
			}
		}
		if missing > rowsLost[table] && !lost[table+".id"] {
			t.Errorf("%s: %d of %d rows did not come back, the report says %d", table, missing, len(rows), rowsLost[table])
		}
	}
	if compared == 0 {
		t.Error("nothing was compared")
	}
}

// isNothing reports whether a value is a column's default, which a table without the column stands for.
func isNothing(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == "" || v == "{}"
	case float64:
		return v == 0
	case bool:
		return !v
	case []any:
		return len(v) == 0
	case map[string]any:
		return v["id"] == "" || v["id"] == nil
	}
	return false
}
