package dataset_test

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
)

var nan = math.NaN()

func TestStatistics(t *testing.T) {
	needEngine(t)
	dir := copyGolden(t, "image_detection")
	ds, err := dataset.Open(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	split := dataset.Statistic{Name: "Split", Type: "categorical", Histogram: []map[string]any{
		{"split": "train", "count": int64(18)}, {"split": "val", "count": int64(6)}}}
	score := dataset.Statistic{Name: "Score", Type: "numerical", Range: []float64{0, 1}, Histogram: []map[string]any{
		{"bin_start": 0.0, "bin_end": 0.5, "counts": int64(12), "split": "train"}}}
	want := func(list ...dataset.Statistic) {
		t.Helper()
		got, err := ds.Statistics()
		if diff := cmp.Diff(list, got); diff != "" || err != nil {
			t.Errorf("statistics (%v, -want +got):\n%s", err, diff)
		}
	}
	want(split, score)
	before := files(t, dir)["stats.json"]

	empty := dataset.Statistic{Name: "été", Histogram: []map[string]any{}, Range: []float64{}}
	if err := ds.SaveStatistic(t.Context(), empty); err != nil {
		t.Fatal(err)
	}
	want(split, score, empty)
	const end = `,
    {
        "name": "\u00e9t\u00e9",
        "type": "",
        "histogram": [],
        "range": []
    }
]`
	if diff := cmp.Diff(strings.TrimSuffix(before, "\n]")+end, files(t, dir)["stats.json"]); diff != "" {
		t.Errorf("stats.json (-want +got):\n%s", diff)
	}
	// It goes to the end, in the place of the one of its name.
	split.Histogram = append(split.Histogram, map[string]any{"split": "test", "count": 2, "share": 1.0, "of": float32(0.25)})
	if err := ds.SaveStatistic(t.Context(), split); err != nil {
		t.Fatal(err)
	}
	split.Histogram[2]["count"], split.Histogram[2]["of"] = int64(2), 0.25
	want(score, empty, split)
	if !strings.Contains(files(t, dir)["stats.json"], `"share": 1.0,`) {
		t.Errorf("the fraction is gone:\n%s", files(t, dir)["stats.json"])
	}
	for _, s := range []dataset.Statistic{
		{},
		{Name: "\xff"},
		{Name: "x", Type: "\xff"},
		{Name: "x", Histogram: []map[string]any{{"a": true}}},
		{Name: "x", Histogram: []map[string]any{{"a": nan}}},
		{Name: "x", Histogram: []map[string]any{{"\xff": 1}}},
		{Name: "x", Range: []float64{0, math.Inf(1)}},
	} {
		wantError(t, ds.SaveStatistic(t.Context(), s), dataset.ErrSchema, "save statistic: stats.json: ")
	}
	want(score, empty, split)
}

func TestStatisticFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ds")
	ds := newDataset(t, path, dataset.Info{}, nil)
	if list, err := ds.Statistics(); len(list) > 0 || err != nil {
		t.Errorf("no file: got %v (%v), want none", list, err)
	}
	for content, part := range map[string]string{
		`{}`:                           "the file is an object: want a list",
		`[`:                            "line 1: not JSON",
		`[1]`:                          "[0]: the statistic is a number: want an object",
		`[{"name": null}]`:             "[0]: name is null: want a string",
		`[{"name": "a", "type": "b"}]`: "[0]: histogram is missing: want a list",
		`[{"name": "a", "type": "b", "histogram": [3]}]`:                "histogram[0] is a number: want an object",
		`[{"name": "a", "type": "b", "histogram": [{"x": null}]}]`:      "histogram[0].x: null",
		`[{"name": "a", "type": "b", "histogram": [], "range": ["x"]}]`: "range is a list: want a list of numbers",
	} {
		write(t, path+"/stats.json", content)
		_, err := ds.Statistics()
		wantError(t, err, dataset.ErrSchema, "read statistics: stats.json: ", part)
		wantError(t, ds.SaveStatistic(t.Context(), dataset.Statistic{Name: "x"}), dataset.ErrSchema, "save statistic: stats.json: ")
		if files(t, path)["stats.json"] != content {
			t.Errorf("%s was replaced", content)
		}
	}
}
