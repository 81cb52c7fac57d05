package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"pixano/schema"
)

// statisticsCache, in the private folder, holds the statistics that were computed last, with the versions of the tables
// that they are of. Without it all are computed anew.
const statisticsCache = "statistics.json"

// RowsStatistic is the name of the statistic with the numbers of rows.
const RowsStatistic = "rows"

// maxCategories is how many different values a text may have to be a category that is counted.
const maxCategories = 100

// describing are the columns of built-in classes that tell something about a dataset as a whole.
var describing = map[string][]string{
	"Image":          {"width", "height", "format"},
	"Video":          {"num_frames", "fps", "width", "height", "duration"},
	"NamedEntity":    {"name"},
	"Conversation":   {"kind"},
	"BBox":           {"confidence"},
	"BBox3D":         {"confidence"},
	"Classification": {"labels"},
	"Relation":       {"predicate"},
	"Message":        {"type", "question_type"},
}

// ComputeStatistics counts what a dataset consists of, in the form of stats.json, by split:
//
//	"rows"              categorical: the numbers of rows, {"table": "bboxes", "counts": 3, "split": "train"}
//	"TABLE per item"    numerical: of a table with several rows per item, how many items have how many
//	"TABLE.COLUMN"      of columns of one's own, and of those of built-in classes that say something about the whole, such as
//	                    the size of images: categorical, {"category": "cat", "counts": 3, "split": "train"}, for texts and
//	                    booleans ("true", "false"); numerical for numbers
//
// Numerical ones have ten equal bins over their range, the last one with its end, {"bin_start": 0.0, "bin_end": 0.5,
// "counts": 12, "split": "train"}, for each split that occurs. A row whose item is not there has the split "". Left out
// are texts with more than 100 different values, which are no categories, empty columns, NaN and infinite values.
//
// Statistics whose tables have not changed since [Dataset.UpdateStatistics] are not computed again. In the record layout
// the error is ErrUnsupported.
func (d *Dataset) ComputeStatistics(ctx context.Context) ([]Statistic, error) {
	computed, err := d.computeStatistics(ctx)
	if err != nil {
		return nil, err
	}
	return computed.list(), nil
}

// UpdateStatistics computes the statistics and stores them in stats.json, after those of other names. Computed ones that
// there are no more, since a column was dropped or has too many values now, are removed.
func (d *Dataset) UpdateStatistics(ctx context.Context) ([]Statistic, error) {
	const op = "update statistics"
	computed, err := d.computeStatistics(ctx)
	if err != nil {
		return nil, err
	}
	list := computed.list()
	err = d.exclusively(ctx, op, "", func(*meta) error {
		var gone []string
		for _, old := range readComputed(d.path).list() {
			gone = append(gone, old.Name)
		}
		if err := replaceStatistics(d.path, list, gone); err != nil {
			return err
		}
		// If it cannot be kept, they are computed anew the next time.
		if raw, err := json.Marshal(computed); err == nil {
			_ = writeFile(filepath.Join(d.path, privateFolder, statisticsCache), raw)
		}
		return nil
	})
	return list, err
}

// computedStatistics are statistics with what they are of.
type computedStatistics []computedStatistic

type computedStatistic struct {
	Name string            `json:"name"`
	Of   map[string]string `json:"of"` // the commits of the tables, by table
	JSON json.RawMessage   `json:"statistic"`

	// Rows by split stand beside each table's own statistic, and are joined to one.
	Rows map[string]int64 `json:"rows,omitempty"`

	statistic *Statistic // nil for none
}

// list returns the statistics in order, that of the numbers of rows first.
func (c computedStatistics) list() []Statistic {
	rows := Statistic{Name: RowsStatistic, Type: string(Categorical), Histogram: []map[string]any{}}
	list := []Statistic{rows}
	for _, s := range c {
		if table, ok := strings.CutPrefix(s.Name, rowsEntry); ok {
			for _, split := range slices.Sorted(maps.Keys(s.Rows)) {
				list[0].Histogram = append(list[0].Histogram, map[string]any{"table": table, "counts": s.Rows[split], "split": split})
			}
		}
		if s.statistic != nil {
			list = append(list, *s.statistic)
		}
	}
	return list
}

// rowsEntry begins the name of the entry of a table.
const rowsEntry = "#"

// readComputed reads what was computed last; nothing if it cannot be read.
func readComputed(path string) computedStatistics {
	raw, err := os.ReadFile(filepath.Join(path, privateFolder, statisticsCache))
	if err != nil {
		return nil
	}
	var list computedStatistics
	if json.Unmarshal(raw, &list) != nil {
		return nil
	}
	for i := range list {
		if len(list[i].JSON) == 0 || string(list[i].JSON) == "null" {
			continue
		}
		s := new(Statistic)
		if decodeStatistic(list[i].JSON, s) != nil {
			return nil
		}
		list[i].statistic = s
	}
	return list
}

func (d *Dataset) computeStatistics(ctx context.Context) (computedStatistics, error) {
	const op = "compute statistics"
	m := d.meta.Load()
	if m.schema == nil {
		return nil, at(op, "", &kindError{ErrUnsupported, "statistics are those of the item layout: the dataset has the record layout", nil})
	}
	known := map[string]computedStatistic{}
	for _, s := range readComputed(d.path) {
		known[s.Name] = s
	}
	before, err := d.commits(ctx, op, m)
	if err != nil {
		return nil, err
	}
	var list computedStatistics
	add := func(name, table string, compute func() (*Statistic, map[string]int64, error)) error {
		of := map[string]string{table: before[table], schema.ItemTable: before[schema.ItemTable]}
		if s, ok := known[name]; ok && maps.Equal(s.Of, of) {
			list = append(list, s)
			return nil
		}
		s, rows, err := compute()
		if err != nil {
			return placed(op, table, err)
		}
		c := computedStatistic{Name: name, Of: of, Rows: rows, statistic: s, JSON: json.RawMessage("null")}
		if s != nil {
			if c.JSON, err = encodeStatistic(*s); err != nil {
				return &Error{Op: op, Table: table, Field: s.Name, Err: err}
			}
		}
		list = append(list, c)
		return nil
	}
	for _, table := range append(m.schema.Tables(), schema.SourceTable) {
		err := add(rowsEntry+table, table, func() (*Statistic, map[string]int64, error) { return d.rowStatistic(ctx, m, table) })
		if err != nil {
			return nil, err
		}
	}
	for _, table := range m.schema.Tables() {
		class, _ := m.schema.Class(table)
		for _, field := range statisticFields(class) {
			err := add(table+"."+field, table, func() (*Statistic, map[string]int64, error) {
				s, err := d.fieldStatistic(ctx, table, field)
				return s, nil, err
			})
			if err != nil {
				return nil, err
			}
		}
	}
	// What changed meanwhile may be of either version.
	after, err := d.commits(ctx, op, m)
	if err != nil {
		return nil, err
	}
	for i := range list {
		for table := range list[i].Of {
			if before[table] != after[table] {
				list[i].Of = map[string]string{}
			}
		}
	}
	return list, nil
}

// commits returns what tells the newest versions of all tables from any others.
func (d *Dataset) commits(ctx context.Context, op string, m *meta) (map[string]string, error) {
	commits := map[string]string{}
	err := d.read(ctx, op, func(v *view) error {
		for _, info := range m.tables {
			t, err := v.table(ctx, info.Name)
			if err != nil {
				return err
			}
			newest, err := t.Transactions(ctx, 0, 1)
			if err != nil || len(newest) == 0 {
				return at(op, info.Name, errors.Join(err, fs.ErrNotExist))
			}
			commits[info.Name] = fmt.Sprintf("%d %s", newest[0].Version, newest[0].UUID)
		}
		return nil
	})
	return commits, err
}

// statisticFields lists the columns of a class that have a statistic.
func statisticFields(class *schema.Class) []string {
	if class.Group() == schema.GroupEmbeddings {
		return nil
	}
	var fields []string
	base := baseColumns(class)
	for _, f := range class.Fields {
		told := slices.Contains([]string{schema.TypeStr, schema.TypeBool, schema.TypeInt, schema.TypeFloat}, f.Type.Name)
		if base[f.Name] {
			told = false
			for builtin, columns := range describing {
				told = told || schema.IsA(class.Base, builtin) && slices.Contains(columns, f.Name)
			}
		}
		if told {
			fields = append(fields, f.Name)
		}
	}
	return fields
}

// baseColumns are the columns that a class has from its built-in base.
func baseColumns(class *schema.Class) map[string]bool {
	base := map[string]bool{}
	if t, ok := schema.Lookup(class.Base); ok {
		if plan, err := schema.PlanOf(t); err == nil {
			for _, c := range plan.Columns {
				base[c.Name] = true
			}
		}
	}
	return base
}

// fieldStatistic computes the statistic of a column; nil if it has none.
func (d *Dataset) fieldStatistic(ctx context.Context, table, field string) (*Statistic, error) {
	f, err := d.Facet(ctx, table, field, Query{}, &FacetOptions{BySplit: true, Values: maxCategories})
	if err != nil {
		return nil, err
	}
	s := &Statistic{Name: table + "." + field, Type: string(f.Kind), Histogram: []map[string]any{}}
	if f.Kind == Numerical {
		s.bins(f)
		if len(f.Bins) == 0 {
			return nil, nil
		}
		return s, nil
	}
	if f.Distinct == 0 || f.Distinct > maxCategories {
		return nil, nil
	}
	key := field
	if field == "counts" || field == "split" {
		key = "value"
	}
	for _, v := range f.Values {
		value := v.Value
		if b, ok := value.(bool); ok {
			value = fmt.Sprint(b)
		}
		for _, split := range f.Splits {
			if n := v.Splits[split]; n > 0 {
				s.Histogram = append(s.Histogram, map[string]any{key: value, "counts": n, "split": split})
			}
		}
	}
	return s, nil
}

// bins takes over the bins of a facet, for each split that has some.
func (s *Statistic) bins(f *Facet) {
	if len(f.Bins) == 0 {
		return
	}
	number := func(v any) float64 {
		if n, ok := v.(int64); ok {
			return float64(n)
		}
		return v.(float64)
	}
	s.Range = []float64{number(f.Min), number(f.Max)}
	for _, split := range f.Splits {
		if !slices.ContainsFunc(f.Bins, func(b FacetBin) bool { return b.Splits[split] > 0 }) {
			continue
		}
		for _, b := range f.Bins {
			s.Histogram = append(s.Histogram, map[string]any{"bin_start": b.Start, "bin_end": b.End, "counts": b.Splits[split], "split": split})
		}
	}
}

// rowStatistic counts the rows of a table by split and, if an item may have several, computes the statistic of their
// numbers.
func (d *Dataset) rowStatistic(ctx context.Context, m *meta, table string) (*Statistic, map[string]int64, error) {
	if table == schema.SourceTable { // they belong to no item
		n, err := d.Count(ctx, table, Query{})
		return nil, map[string]int64{"": n}, err
	}
	c := &facetCount{opts: FacetOptions{BySplit: true, Kind: Numerical}, keep: true}
	if err := c.of(column{path: []string{"rows"}, typ: arrow.PrimitiveTypes.Int64}); err != nil {
		return nil, nil, err
	}
	c.values = false
	var items, rows *scan
	err := d.read(ctx, "count", func(v *view) (err error) {
		if items, err = v.scan(ctx, schema.ItemTable, Query{}, []string{"id", "split"}); err == nil && table != schema.ItemTable {
			rows, err = v.scan(ctx, table, Query{}, []string{d.itemColumn(table)})
		}
		return err
	})
	defer func() {
		for _, s := range []*scan{items, rows} {
			if s != nil {
				s.close()
			}
		}
	}()
	if err != nil {
		return nil, nil, err
	}
	if err := c.readSplits(ctx, items); err != nil {
		return nil, nil, err
	}
	perItem := make([]int64, len(c.items.ids))
	bySplit := map[string]int64{}
	if rows == nil {
		for i := range perItem {
			bySplit[c.names[c.splitOf(i)]]++
		}
		return nil, bySplit, nil
	}
	for batch, err := range rows.all(ctx) {
		if err != nil {
			return nil, nil, err
		}
		column, err := stringColumn(batch, d.itemColumn(table))
		if err != nil {
			return nil, nil, err
		}
		for i := range column.Len() {
			at := c.items.find(column.Value(i))
			if at >= 0 {
				perItem[at]++
			}
			bySplit[c.names[c.splitOf(at)]]++
		}
	}
	if !m.schema.Many(table) || len(perItem) == 0 {
		return nil, bySplit, nil
	}
	for i, n := range perItem {
		c.minInt, c.maxInt = min(c.minInt, n), max(c.maxInt, n)
		c.number(float64(n), c.splitOf(i), true)
	}
	c.spread()
	s := &Statistic{Name: table + " per item", Type: string(Numerical), Histogram: []map[string]any{}}
	s.bins(c.facet())
	return s, bySplit, nil
}
