package dataset

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/schema"
)

func statisticOf(t *testing.T, list []Statistic, name string) *Statistic {
	t.Helper()
	i := slices.IndexFunc(list, func(s Statistic) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &list[i]
}

func TestUpdateStatistics(t *testing.T) {
	ds := newFair(t, 20, 100, rand.New(rand.NewPCG(5, 5)))
	ctx := t.Context()
	if err := ds.SaveStatistic(ctx, Statistic{Name: "my own", Histogram: []map[string]any{}}); err != nil {
		t.Fatal(err)
	}
	update := func() []Statistic {
		t.Helper()
		list, err := ds.UpdateStatistics(ctx)
		if err != nil {
			t.Fatal(err)
		}
		stored, err := ds.Statistics()
		if err != nil {
			t.Fatal(err)
		}
		if stored[0].Name != "my own" {
			t.Errorf("the first statistic is %q, want the one of one's own", stored[0].Name)
		}
		if d := cmp.Diff(list, stored[1:]); d != "" {
			t.Errorf("stored statistics (-computed +stored):\n%s", d)
		}
		return list
	}
	first := update()
	var names []string
	for _, s := range first {
		names = append(names, s.Name)
	}
	want := []string{"rows", "stalls per item", "stalls.kind", "stalls.price", "stalls.open", "stalls.seats", "stalls.tags", "stalls.marks", "item.weather"}
	if d := cmp.Diff(want, names); d != "" {
		t.Errorf("names (-want +got):\n%s", d)
	}
	var rows int64
	for _, bin := range statisticOf(t, first, "rows").Histogram {
		if bin["table"] == "stalls" {
			rows += bin["counts"].(int64)
		}
	}
	if rows != 100 {
		t.Errorf("%d rows of stalls in all splits, want 100", rows)
	}
	// What is kept is used for tables that did not change: a mark in it shows.
	cache := filepath.Join(ds.Path(), ".pixano", "statistics.json")
	mark := func() {
		t.Helper()
		text, err := os.ReadFile(cache)
		if err != nil {
			t.Fatal(err)
		}
		marked := strings.ReplaceAll(string(text), `"weather":"rain"`, `"weather":"marked"`)
		marked = strings.ReplaceAll(marked, `"open":"true"`, `"open":"marked"`)
		if err := os.WriteFile(cache, []byte(marked), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	marked := func(list []Statistic, name, field string) bool {
		return slices.ContainsFunc(statisticOf(t, list, name).Histogram, func(bin map[string]any) bool { return bin[field] == "marked" })
	}
	mark()
	if list := update(); !marked(list, "item.weather", "weather") || !marked(list, "stalls.open", "open") {
		t.Error("statistics were computed again although nothing had changed")
	}
	if _, err := ds.Delete(ctx, "stalls", "s1", "s2"); err != nil {
		t.Fatal(err)
	}
	list := update()
	if !marked(list, "item.weather", "weather") || marked(list, "stalls.open", "open") {
		t.Error("want the statistics of stalls computed again, and those of items not")
	}
	if _, err := ds.DeleteItems(ctx, "i1"); err != nil {
		t.Fatal(err)
	}
	// The splits of all tables come from the items.
	if list = update(); marked(list, "item.weather", "weather") || marked(list, "stalls.open", "open") {
		t.Error("want all statistics computed again after a change of items")
	}
	// A cache that cannot be read is none.
	if err := os.WriteFile(cache, []byte(`[{"name": "rows", "statistic": {"name": 3}}]`), 0o644); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(list, update()); d != "" {
		t.Errorf("computed anew (-before +after):\n%s", d)
	}
	// A text with too many values has no statistic any more.
	items := make([]*schema.Dynamic, 150)
	class, _ := ds.Schema().Class("item")
	for i := range items {
		row, err := schema.NewDynamic(class)
		if err != nil {
			t.Fatal(err)
		}
		for column, value := range map[string]any{"id": "n" + string(rune('a'+i/26)) + string(rune('a'+i%26)), "split": "new", "weather": strings.Repeat("w", i)} {
			if err := row.Set(column, value); err != nil {
				t.Fatal(err)
			}
		}
		items[i] = row
	}
	if err := ds.Add(ctx, "item", items); err != nil {
		t.Fatal(err)
	}
	if s := statisticOf(t, update(), "item.weather"); s != nil {
		t.Errorf("150 different texts are a statistic: %d bins", len(s.Histogram))
	}
	readOnly, err := Open(ctx, ds.Path(), &Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer readOnly.Close()
	if _, err := readOnly.UpdateStatistics(ctx); !errors.Is(err, ErrReadOnly) {
		t.Errorf("read only: %v", err)
	}
	if computed, err := readOnly.ComputeStatistics(ctx); err != nil || len(computed) != len(want)-1 {
		t.Errorf("%d statistics of a dataset opened for reading (%v), want %d", len(computed), err, len(want)-1)
	}
}
