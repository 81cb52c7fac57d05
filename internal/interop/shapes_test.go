package interop_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/features"
	"pixano/inference"
	"pixano/inference/grabcut"
	"pixano/search"
	"pixano/server"
	"pixano/server/ui"
)

// TestShapes makes a polygon with a hole, a painted mask, a mask of a segmenter, skeletons and labels in the web interface of
// this project, reviews and saves them. Then Python Pixano reads what REST shows, COCO's tools find the same areas, the web
// interface of Pixano 0.6.12 shows them, and after a reload the history undoes all of it. PIXANO_SHOTS names a folder for
// pictures of the screen.
func TestShapes(t *testing.T) {
	modules, chromium := browser(t)
	python := python(t, "pixano")
	library, media := makePets(t)
	registry := &inference.Registry{}
	if err := registry.Add(grabcut.New()); err != nil {
		t.Fatal(err)
	}
	defer registry.Close()
	address := startServer(t, library, &server.Options{
		MediaDir: media, UI: ui.Files(), ReferenceUI: referenceUI(t, python), ModelsDir: filepath.Join(library, "models"),
		Inference: registry, Models: func(context.Context, search.Function) (search.Embedder, error) { return lengths{}, nil },
	})
	const item = "pet_05"
	drive := func(phase string, more ...string) []byte {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "node", append([]string{filepath.Join("testdata", "shapes.mjs"), phase, address, item, modules, chromium, os.Getenv("PIXANO_SHOTS")}, more...)...)
		var problems strings.Builder
		cmd.Stderr = &problems
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s\n%s", phase, err, problems.String(), out)
		}
		return out
	}
	before := restRows(t, address, item)
	drive("make")
	made := restRows(t, address, item)

	masks := map[string]int{} // areas by id
	var holed, painted, model, known string
	for id, row := range made["masks"] {
		counts := must(base64.StdEncoding.DecodeString(row["counts"].(string)))(t)
		size := row["size"].([]any)
		mask := must(features.ParseRLE([]int64{int64(size[0].(float64)), int64(size[1].(float64))}, counts))(t)
		masks[id] = mask.Area()
		metadata, _ := row["inference_metadata"].(map[string]any)
		switch source := row["source_ref"].(map[string]any)["id"]; {
		case source != "human-ana":
			model = id
			if metadata["review"] != "accepted" {
				t.Errorf("the model's mask was not accepted: %v", metadata)
			}
		case metadata["polygon"] != nil:
			holed = id
			if want := 120*200 - 60*80; mask.Area() != want {
				t.Errorf("the polygon with a hole has %d pixels, want %d", mask.Area(), want)
			}
		default:
			painted = id
		}
	}
	for id, row := range made["points"] {
		if row["template_id"] == "person" {
			known = id
		}
	}
	if len(masks) != 3 || len(made["points"]) != 2 || len(made["labels"]) != 1 || holed == "" || painted == "" || model == "" || known == "" {
		t.Fatalf("made were %d masks, %d skeletons and %d labels, want 3, 2 and 1", len(masks), len(made["points"]), len(made["labels"]))
	}

	// Python reads the same rows.
	there := runPixano(t, python, "read", filepath.Join(library, "pets"))
	for table, rows := range made {
		got := byID(there.Tables[table])
		for id, row := range rows {
			if text, ok := got[id]["inference_metadata"].(string); ok {
				var metadata map[string]any
				if err := json.Unmarshal([]byte(text), &metadata); err != nil {
					t.Errorf("%s %s: %v", table, id, err)
				}
				got[id]["inference_metadata"] = metadata
			}
			if d := cmp.Diff(row, got[id]); d != "" {
				t.Errorf("%s %s (-REST +Python):\n%s", table, id, d)
			}
		}
	}

	// COCO's tools find the same areas.
	ds := must(dataset.Open(t.Context(), filepath.Join(library, "pets"), &dataset.Options{ReadOnly: true}))(t)
	defer ds.Close()
	for _, strict := range []bool{true, false} {
		out := filepath.Join(t.TempDir(), "out")
		report := exportTo(t, ds, "coco", out, strict, nil)
		areas := map[string]int{}
		for _, file := range report.Files {
			if strict {
				seen := filepath.Join(t.TempDir(), "seen.json")
				runPython(t, python, "testdata/formats.py", "coco", filepath.Join(out, file), seen)
				for _, a := range readJSON[map[string]struct {
					MaskArea *int   `json:"mask_area"`
					MaskID   string `json:"mask_id"`
				}](t, seen) {
					if a.MaskID != "" {
						areas[a.MaskID] = *a.MaskArea
					}
				}
				continue
			}
			for _, a := range readJSON[struct {
				Annotations []struct {
					Area   float64
					MaskID string `json:"pixano_segmentation_id"`
				}
			}](t, filepath.Join(out, file)).Annotations {
				if a.MaskID != "" {
					areas[a.MaskID] = int(a.Area)
				}
			}
		}
		if d := cmp.Diff(masks, areas); d != "" {
			t.Errorf("areas in COCO, strict %v (-dataset +export):\n%s", strict, d)
		}
	}

	// The web interface of the reference shows them: masks painted where they are, not in the hole nor beside them.
	var seen struct {
		Drawn   []struct{ Kind, ID string }
		Painted []bool
		Text    string
	}
	if err := json.Unmarshal(drive("see", "[[210,230],[260,300],[60,420],[500,110],[20,20],[600,300]]"), &seen); err != nil {
		t.Fatal(err)
	}
	if want := []bool{true, false, true, true, false, false}; !slices.Equal(seen.Painted, want) {
		t.Errorf("painted in the interface of the reference: %v, want %v", seen.Painted, want)
	}
	drawn := map[string]bool{}
	for _, s := range seen.Drawn {
		drawn[s.ID] = true
	}
	for _, id := range []string{holed, painted, model, "rect" + item + "_box"} {
		if !drawn[id] {
			t.Errorf("the interface of the reference does not draw %s", id)
		}
	}
	for i := range 7 {
		if id := fmt.Sprintf("keypoint-%s-%d", known, i); !drawn[id] {
			t.Errorf("the interface of the reference does not draw %s", id)
		}
	}
	for id := range made["animals"] {
		if !strings.Contains(seen.Text, id) {
			t.Errorf("the interface of the reference does not list %s", id)
		}
	}

	drive("undo")
	if d := cmp.Diff(before, restRows(t, address, item)); d != "" {
		t.Errorf("rows after all was undone (-before +after):\n%s", d)
	}
}

// restRows are the rows of an item by table and id, as REST shows them in the form of testdata/pixano_dataset.py.
func restRows(t *testing.T, address, item string) map[string]map[string]map[string]any {
	t.Helper()
	tables := map[string]map[string]map[string]any{}
	for _, table := range []string{"animals", "boxes", "masks", "points", "labels"} {
		group := "annotations"
		if table == "animals" {
			group = "entities"
		}
		res, err := http.Get(fmt.Sprintf("%s/%s/pets/%s?item_ids=%s&limit=1000", address, group, table, item))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		tables[table] = map[string]map[string]any{}
		if res.StatusCode == http.StatusNotFound {
			continue // no row
		}
		var rows []map[string]any
		if err := json.NewDecoder(res.Body).Decode(&rows); err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			data := row["data"].(map[string]any)
			data["id"] = row["id"]
			for _, at := range []string{"created_at", "updated_at"} {
				data[at] = row[at]
			}
			if counts, ok := data["counts"].(string); ok {
				data["counts"] = base64.StdEncoding.EncodeToString([]byte(counts))
			}
			tables[table][row["id"].(string)] = data
		}
	}
	return tables
}
