package dataset

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"pixano/schema"
)

// FacetKind is how the values of a field are summed up.
type FacetKind string

const (
	Categorical FacetKind = "categorical" // how often each value occurs
	Numerical   FacetKind = "numerical"   // a histogram over the range of the values
)

// MaxFacetValues is how many different values a facet tells apart.
const MaxFacetValues = 1 << 16

// FacetOptions are the options of [Dataset.Facet]. Nil and the zero value are the defaults.
type FacetOptions struct {
	// Kind is how values are summed up. "": numbers and times are Numerical, others Categorical. Whole numbers of few
	// values have both. Texts and booleans cannot be Numerical.
	Kind FacetKind `json:"kind,omitempty"`

	// Values is how many values are listed at most, the most frequent ones. 0: 100. Negative: all of them.
	Values int `json:"values,omitempty"`

	// Bins is the number of bins of a histogram, at most 10,000. 0: 10.
	Bins int `json:"bins,omitempty"`

	// Range are the least and the largest value of a histogram; values beyond count in Facet.Outside. Of times it is in
	// seconds since 1970. Nil: those of the values; if one of them is infinite, there are no bins.
	Range *[2]float64 `json:"range,omitempty"`

	// BySplit counts each value and bin also by the split of the rows' items.
	BySplit bool `json:"by_split,omitempty"`
}

const (
	defaultFacetValues = 100
	defaultFacetBins   = 10
	maxFacetBins       = 10_000

	// keptValues is how many numbers are kept until their range is known, at 12 bytes each. Of more rows, the column is
	// read twice.
	keptValues = 1 << 22
)

// Facet tells how the values of a field are spread over rows. Of a field with lists it is about their elements.
type Facet struct {
	Table string    `json:"table"`
	Field string    `json:"field"`
	Kind  FacetKind `json:"kind"`
	Type  string    `json:"type"` // of the values: str, int, float, bool or datetime

	Rows    int64 `json:"rows"`              // that the query selects
	Missing int64 `json:"missing,omitempty"` // of them without a value: null, or an empty list
	Count   int64 `json:"count"`             // of values, NaN included
	NaN     int64 `json:"nan,omitempty"`     // of values that are no number

	// Distinct is how many different values there are, NaN not among them; with More, at least so many. 0 in a histogram
	// of floats or times, where it is not counted.
	Distinct int  `json:"distinct,omitempty"`
	More     bool `json:"more,omitempty"`

	// Values are the most frequent values, each with its number, and Other the number of all that are not listed. With
	// More, they are the most frequent of the first MaxFacetValues that were met.
	Values []FacetValue `json:"values,omitempty"`
	Other  int64        `json:"other,omitempty"`

	// Min and Max are the least and the largest value, NaN not among them: int64, float64 or time.Time; nil if there is
	// none, and for texts and booleans. Bins are those of the histogram, of equal width and in order; the last one
	// holds its end as well. Where all values are the same, the bins reach from half below to half above. Outside is the
	// number of values beyond FacetOptions.Range.
	Min     any        `json:"min,omitempty"`
	Max     any        `json:"max,omitempty"`
	Bins    []FacetBin `json:"bins,omitempty"`
	Outside int64      `json:"outside,omitempty"`

	// Splits are the splits of items that occur, sorted, if FacetOptions.BySplit asks for them. A row whose item is not
	// there has the split "".
	Splits []string `json:"splits,omitempty"`
}

// FacetValue is how often a value occurs.
type FacetValue struct {
	Value  any              `json:"value"` // string, bool, int64, float64 or time.Time
	Count  int64            `json:"count"`
	Splits map[string]int64 `json:"splits,omitempty"` // by split; nil unless FacetOptions.BySplit
}

// FacetBin is how many values are in a part of the range. Start and End are float64, or time.Time.
type FacetBin struct {
	Start  any              `json:"start"`
	End    any              `json:"end"`
	Count  int64            `json:"count"`
	Splits map[string]int64 `json:"splits,omitempty"`
}

// MarshalJSON writes the facet with times as in rows: without a zone.
func (f Facet) MarshalJSON() ([]byte, error) {
	type plain Facet
	p := plain(f)
	p.Min, p.Max = jsonScalar(f.Min), jsonScalar(f.Max)
	p.Values = slices.Clone(f.Values)
	for i := range p.Values {
		p.Values[i].Value = jsonScalar(p.Values[i].Value)
	}
	p.Bins = slices.Clone(f.Bins)
	for i := range p.Bins {
		p.Bins[i].Start, p.Bins[i].End = jsonScalar(p.Bins[i].Start), jsonScalar(p.Bins[i].End)
	}
	return json.Marshal(p)
}

// jsonScalar gives a value that encoding/json can write.
func jsonScalar(v any) any {
	switch v := v.(type) {
	case time.Time:
		return schema.FormatTime(v)
	case float64:
		return json.RawMessage(appendFloat(nil, v))
	}
	return v
}

// Facet tells how the values of a field are spread over the rows that a query selects: how often each occurs, or a
// histogram. field is a column of texts, numbers, booleans or times, a field of a struct column such as "item_ref.id", or
// a column of lists of them. The query's OrderBy, Limit, Offset and Columns make no difference.
//
// A million rows take some tens of milliseconds. Memory is that of [MaxFacetValues] values, and with BySplit or Query.Has of the items' ids. Unknown
// fields, and those without such values, are ErrQuery.
func (d *Dataset) Facet(ctx context.Context, table, field string, q Query, opts *FacetOptions) (*Facet, error) {
	const op = "facet"
	fail := func(field string, err error) (*Facet, error) {
		return nil, &Error{Op: op, Table: table, Field: field, Err: err}
	}
	if opts == nil {
		opts = &FacetOptions{}
	}
	if err := opts.check(); err != nil {
		return fail("", queryError(err))
	}
	q.OrderBy, q.Limit, q.Offset, q.Columns = "", 0, 0, nil
	has := q.Has
	q.Has = nil
	c := &facetCount{opts: *opts, item: d.itemColumn(table)}
	var first, second *scan // of the same rows: the range is known after the first
	var own *owners
	var splits *scan
	err := d.read(ctx, op, func(v *view) (err error) {
		columns, err := v.columns(ctx, table)
		if err != nil {
			return err
		}
		path, err := resolve(columns, strings.Split(field, "."))
		if err == nil {
			err = c.of(path)
		}
		if err != nil {
			return &Error{Op: op, Table: table, Field: field, Err: queryError(err)}
		}
		if own, err = v.owners(ctx, table, Query{Has: has}); err != nil {
			return &Error{Op: op, Table: table, Field: "has", Err: err}
		}
		c.byItem = own != nil || opts.BySplit && table != d.ItemTable() && table != schema.SourceTable
		read := []string{path.String()}
		if c.byItem && path.String() != c.item {
			read = append(read, c.item)
		}
		if c.ownSplit = opts.BySplit && table == d.ItemTable(); c.ownSplit && path.String() != "split" {
			read = append(read, "split")
		}
		if opts.BySplit && !c.ownSplit && table != schema.SourceTable {
			if splits, err = v.scan(ctx, d.ItemTable(), Query{}, []string{"id", "split"}); err != nil {
				return err
			}
		}
		if first, err = v.scan(ctx, table, q, read); err != nil {
			return err
		}
		if c.bins && opts.Range == nil {
			// So few values are kept for the histogram: lists may have more.
			t, err := v.table(ctx, table)
			if err != nil {
				return err
			}
			rows, err := t.Count(ctx, "")
			if err != nil {
				return at(op, table, err)
			}
			if c.keep = rows <= keptValues && !c.lists; !c.keep {
				if second, err = v.scan(ctx, table, q, read); err != nil {
					return err
				}
			}
		}
		return nil
	})
	defer func() {
		own.close()
		for _, s := range []*scan{first, second, splits} {
			if s != nil {
				s.close()
			}
		}
	}()
	if err != nil {
		return nil, err
	}
	if c.allowed, err = own.allow(ctx); err != nil {
		return nil, err
	}
	if splits != nil {
		if err := c.readSplits(ctx, splits); err != nil {
			return nil, placed(op, d.ItemTable(), err)
		}
	}
	c.field = first.plan.query.Columns[0]
	if opts.Range != nil {
		c.edges = binEdges(opts.Range[0], opts.Range[1], c.opts.Bins)
	}
	if err := c.pass(ctx, first, true); err != nil {
		return nil, placed(op, table, err)
	}
	if c.bins && c.spread() && second != nil {
		if err := c.pass(ctx, second, false); err != nil {
			return nil, placed(op, table, err)
		}
	}
	f := c.facet()
	f.Table, f.Field = table, c.field
	return f, nil
}

// Facets is [Dataset.Facet] for several fields of a table.
func (d *Dataset) Facets(ctx context.Context, table string, fields []string, q Query, opts *FacetOptions) ([]Facet, error) {
	facets := make([]Facet, len(fields))
	for i, field := range fields {
		f, err := d.Facet(ctx, table, field, q, opts)
		if err != nil {
			return nil, err
		}
		facets[i] = *f
	}
	return facets, nil
}

func (o *FacetOptions) check() error {
	switch {
	case o.Kind != "" && o.Kind != Categorical && o.Kind != Numerical:
		return fmt.Errorf("kind %q: want %s or %s", o.Kind, Categorical, Numerical)
	case o.Bins < 0 || o.Bins > maxFacetBins:
		return fmt.Errorf("%d bins: want 1 to %d", o.Bins, maxFacetBins)
	case o.Range != nil && !(o.Range[0] <= o.Range[1] && !math.IsInf(o.Range[1]-o.Range[0], 0)):
		return fmt.Errorf("range %v to %v: want two finite numbers, the least first", o.Range[0], o.Range[1])
	}
	return nil
}

// ItemCounts returns how many rows of tables belong to each of some items: by table, in the order of the ids. No tables
// are all but "item" and "source". All are counted in one state. It is meant for pages of items: the rows are found by an
// index in memory that is made at the second call. Unknown tables are ErrNotFound, unknown ids have no rows.
func (d *Dataset) ItemCounts(ctx context.Context, ids []string, tables ...string) (map[string][]int64, error) {
	const op = "count"
	if len(tables) == 0 {
		for _, t := range d.meta.Load().tables {
			if t.Name != d.ItemTable() && t.Name != schema.SourceTable {
				tables = append(tables, t.Name)
			}
		}
	}
	scans := make([]*scan, len(tables))
	defer func() {
		for _, s := range scans {
			if s != nil {
				s.close()
			}
		}
	}()
	err := d.read(ctx, op, func(v *view) (err error) {
		items, err := v.table(ctx, d.ItemTable())
		if err != nil {
			return err
		}
		all, err := items.Count(ctx, "")
		if err != nil {
			return at(op, d.ItemTable(), err)
		}
		for i, table := range tables {
			if table == schema.SourceTable {
				return at(op, table, queryError(errors.New("sources belong to no item")))
			}
			if scans[i], err = v.scan(ctx, table, partsOf(slices.Concat([]string{}, ids), all), []string{d.itemColumn(table)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	counts := make(map[string][]int64, len(tables))
	for i, table := range tables {
		byID := make(map[string]int64, len(ids))
		for batch, err := range scans[i].all(ctx) {
			if err != nil {
				return nil, err
			}
			column, err := stringColumn(batch, d.itemColumn(table))
			if err != nil {
				return nil, at(op, table, err)
			}
			for j := range column.Len() {
				byID[column.Value(j)]++
			}
		}
		counts[table] = make([]int64, len(ids))
		for j, id := range ids {
			counts[table][j] = byID[id]
		}
	}
	return counts, nil
}

// binEdges returns the edges of equal bins. Those of a range without extent reach half a unit to each side, as in NumPy.
func binEdges(low, high float64, bins int) []float64 {
	if bins == 0 {
		bins = defaultFacetBins
	}
	if low == high {
		low, high = low-0.5, high+0.5
	}
	edges := make([]float64, bins+1)
	step := (high - low) / float64(bins)
	for i := range edges {
		edges[i] = low + float64(i)*step
	}
	edges[bins] = high
	return edges
}

// binOf returns the bin of a number within the edges.
func binOf(edges []float64, x float64) int {
	n := len(edges) - 1
	i := min(max(int((x-edges[0])*(float64(n)/(edges[n]-edges[0]))), 0), n-1)
	// What the division rounds away must not move a number over an edge.
	for i > 0 && x < edges[i] {
		i--
	}
	for i < n-1 && x >= edges[i+1] {
		i++
	}
	return i
}

// facetCount counts the values of one field.
type facetCount struct {
	opts  FacetOptions
	field string // the column as it is read
	item  string // the column with the items' ids

	kind     FacetKind
	typ      string
	lists    bool
	bins     bool // a histogram is wanted
	values   bool // values are told apart
	byItem   bool // rows are looked up by their items
	ownSplit bool // the table has the splits itself

	allowed func(item string) bool
	items   itemSplits
	names   []string         // of the splits
	places  map[string]int32 // by name

	rows, missing, count, nan int64
	numbers                   int64 // values with a place in the range
	keep                      bool  // they are kept until the range is known
	kept                      []float64
	keptSplits                []int32
	min, max                  float64
	minInt, maxInt            int64
	texts                     tally[string]
	ints                      tally[int64]
	edges                     []float64
	inBins                    [][]int64 // by split, by bin
	outside                   int64
}

// tally counts how often values occur, by split. Beyond MaxFacetValues new ones are counted together.
type tally[T comparable] struct {
	places map[T]int32
	keys   []T
	counts [][]int64 // by split, by place
	other  int64
	full   bool
	clone  func(T) T
}

func (t *tally[T]) add(v T, split int32) {
	at, ok := t.places[v]
	if !ok {
		if len(t.keys) == MaxFacetValues {
			t.full = true
			t.other++
			return
		}
		if t.places == nil {
			t.places = map[T]int32{}
		}
		if t.clone != nil {
			v = t.clone(v) // lets go of the batch
		}
		at = int32(len(t.keys))
		t.places[v] = at
		t.keys = append(t.keys, v)
	}
	for int(split) >= len(t.counts) {
		t.counts = append(t.counts, nil)
	}
	for int(at) >= len(t.counts[split]) {
		t.counts[split] = append(t.counts[split], make([]int64, int(at)+1-len(t.counts[split]))...)
	}
	t.counts[split][at]++
}

// of prepares the count of a column.
func (c *facetCount) of(path column) error {
	t := path.typ
	if l, ok := t.(arrow.ListLikeType); ok && t.ID() != arrow.FIXED_SIZE_LIST {
		c.lists, t = true, l.Elem()
	}
	switch t.ID() {
	case arrow.STRING:
		c.typ = schema.TypeStr
	case arrow.BOOL:
		c.typ = schema.TypeBool
	case arrow.INT64:
		c.typ = schema.TypeInt
	case arrow.FLOAT64, arrow.FLOAT32:
		c.typ = schema.TypeFloat
	case arrow.TIMESTAMP:
		c.typ = schema.TypeDatetime
	default:
		what := fmt.Sprintf("values of type %s have no facet", path.typ)
		if s, ok := t.(*arrow.StructType); ok && !c.lists {
			what += fmt.Sprintf(": want one of its fields, such as %s.%s", path, s.Field(s.NumFields()-1).Name)
		}
		return errors.New(what)
	}
	number := c.typ != schema.TypeStr && c.typ != schema.TypeBool
	c.kind = cmp.Or(c.opts.Kind, Categorical)
	switch {
	case c.opts.Kind == Numerical && !number:
		return fmt.Errorf("values of type %s have no histogram", c.typ)
	case c.opts.Kind == "" && number:
		c.kind = Numerical
	}
	c.bins = c.kind == Numerical
	c.values = c.kind == Categorical || c.typ == schema.TypeInt
	c.texts.clone = strings.Clone
	c.min, c.max = math.Inf(1), math.Inf(-1)
	c.minInt, c.maxInt = math.MaxInt64, math.MinInt64
	c.places = map[string]int32{}
	if !c.opts.BySplit {
		c.split("")
	}
	return nil
}

// split returns the place of a split by its name.
func (c *facetCount) split(name string) int32 {
	at, ok := c.places[name]
	if !ok {
		name = strings.Clone(name)
		at = int32(len(c.names))
		c.places[name] = at
		c.names = append(c.names, name)
	}
	return at
}

// readSplits reads the splits of all items.
func (c *facetCount) readSplits(ctx context.Context, s *scan) error {
	for batch, err := range s.all(ctx) {
		if err != nil {
			return err
		}
		ids, err := stringColumn(batch, "id")
		if err != nil {
			return err
		}
		splits, err := stringColumn(batch, "split")
		if err != nil {
			return err
		}
		for i := range ids.Len() {
			c.items.ids = append(c.items.ids, ids.Value(i))
			c.items.splits = append(c.items.splits, c.split(splits.Value(i)))
		}
	}
	return nil
}

// itemSplits are the splits of all items.
type itemSplits struct {
	ids    []string
	splits []int32
	at     int            // of the item that was found last
	places map[string]int // nil until an item is not found near the last one
}

// splitOf returns the split of the item of a place, that of none for -1.
func (c *facetCount) splitOf(item int) int32 {
	if item < 0 {
		return c.split("")
	}
	return c.items.splits[item]
}

// find returns the place of an item, -1 for one that is not there. Rows mostly come in the order of their items, so the
// next ones are tried first.
func (s *itemSplits) find(item string) int {
	for i := s.at; i < min(s.at+4, len(s.ids)); i++ {
		if s.ids[i] == item {
			s.at = i
			return i
		}
	}
	if s.places == nil {
		s.places = make(map[string]int, len(s.ids))
		for i, id := range s.ids {
			s.places[id] = i
		}
	}
	i, ok := s.places[item]
	if !ok {
		return -1
	}
	s.at = i
	return i
}

// pass counts the rows of a scan: all there is to count at the first time, the bins at the second.
func (c *facetCount) pass(ctx context.Context, s *scan, first bool) error {
	var items, splits *array.String
	for batch, err := range s.all(ctx) {
		if err != nil {
			return err
		}
		if c.byItem {
			if items, err = stringColumn(batch, c.item); err != nil {
				return err
			}
		}
		if c.ownSplit {
			if splits, err = stringColumn(batch, "split"); err != nil {
				return err
			}
		}
		values := batch.Column(0)
		var list array.ListLike
		if c.lists {
			l, ok := values.(array.ListLike)
			if !ok {
				return schemaError("column %s is %s: want lists", c.field, values.DataType())
			}
			list, values = l, l.ListValues()
		}
		one, err := c.counter(values, first)
		if err != nil {
			return err
		}
		last, split := "", int32(-1) // rows of an item mostly follow one another
		for i := range int(batch.NumRows()) {
			if items != nil {
				item := items.Value(i)
				if !c.allowed(item) {
					continue
				}
				if c.opts.BySplit && !c.ownSplit && (split < 0 || item != last) {
					last, split = item, c.splitOf(c.items.find(item))
				}
			}
			at := max(split, 0)
			switch {
			case splits != nil:
				at = c.split(splits.Value(i))
			case c.opts.BySplit && items == nil:
				at = c.split("")
			}
			from, to := int64(i), int64(i+1)
			if list != nil {
				if from, to = list.ValueOffsets(i); list.IsNull(i) {
					to = from
				}
			}
			had := false
			for j := from; j < to; j++ {
				if !values.IsNull(int(j)) {
					had = true
					one(int(j), at)
				}
			}
			if first {
				c.rows++
				if !had {
					c.missing++
				}
			}
		}
	}
	return nil
}

// counter returns a function that counts a value of an array.
func (c *facetCount) counter(values arrow.Array, first bool) (func(i int, split int32), error) {
	tell := first && c.values
	switch values := values.(type) {
	case *array.String:
		return func(i int, split int32) {
			c.count++
			c.texts.add(values.Value(i), split)
		}, nil
	case *array.Boolean:
		return func(i int, split int32) {
			c.count++
			n := int64(0)
			if values.Value(i) {
				n = 1
			}
			c.ints.add(n, split)
		}, nil
	case *array.Int64:
		return func(i int, split int32) {
			n := values.Value(i)
			if tell {
				c.ints.add(n, split)
			}
			if first {
				c.minInt, c.maxInt = min(c.minInt, n), max(c.maxInt, n)
			}
			c.number(float64(n), split, first)
		}, nil
	case *array.Float64:
		return func(i int, split int32) { c.float(values.Value(i), split, first) }, nil
	case *array.Float32:
		return func(i int, split int32) { c.float(float64(values.Value(i)), split, first) }, nil
	case *array.Timestamp:
		unit := values.DataType().(*arrow.TimestampType).Unit
		return func(i int, split int32) {
			micros := values.Value(i).ToTime(unit).UnixMicro()
			if tell {
				c.ints.add(micros, split)
			}
			if first {
				c.minInt, c.maxInt = min(c.minInt, micros), max(c.maxInt, micros)
			}
			c.number(float64(micros)/1e6, split, first)
		}, nil
	}
	return nil, schemaError("column %s is %s", c.field, values.DataType())
}

// float counts a floating-point number.
func (c *facetCount) float(x float64, split int32, first bool) {
	if math.IsNaN(x) {
		if first {
			c.count++
			c.nan++
		}
		return
	}
	if first && c.values {
		if x == 0 {
			x = 0 // without a sign
		}
		c.ints.add(int64(math.Float64bits(x)), split)
	}
	c.number(x, split, first)
}

// number counts a number in the range and in the bins.
func (c *facetCount) number(x float64, split int32, first bool) {
	if first {
		c.count++
		c.numbers++
		c.min, c.max = min(c.min, x), max(c.max, x)
		if c.keep {
			c.kept, c.keptSplits = append(c.kept, x), append(c.keptSplits, split)
		}
	}
	if c.edges == nil || !c.bins {
		return
	}
	if x < c.edges[0] || x > c.edges[len(c.edges)-1] {
		c.outside++
		return
	}
	for int(split) >= len(c.inBins) {
		c.inBins = append(c.inBins, make([]int64, len(c.edges)-1))
	}
	c.inBins[split][binOf(c.edges, x)]++
}

// spread makes bins over the range of the numbers that were counted, unless there are some, and puts those into them
// that were kept. It reports whether there are bins that want the numbers once more.
func (c *facetCount) spread() bool {
	if c.edges != nil || c.numbers == 0 || math.IsInf(c.min, 0) || math.IsInf(c.max, 0) {
		return false
	}
	c.edges = binEdges(c.min, c.max, c.opts.Bins)
	for i, x := range c.kept {
		c.number(x, c.keptSplits[i], false)
	}
	return true
}

// scalar returns a value by its number in the tally.
func (c *facetCount) scalar(n int64) any {
	switch c.typ {
	case schema.TypeBool:
		return n != 0
	case schema.TypeFloat:
		return math.Float64frombits(uint64(n))
	case schema.TypeDatetime:
		return time.UnixMicro(n).UTC()
	}
	return n
}

// facet returns what was counted.
func (c *facetCount) facet() *Facet {
	f := &Facet{Kind: c.kind, Type: c.typ, Rows: c.rows, Missing: c.missing, Count: c.count, NaN: c.nan, Outside: c.outside}
	if c.opts.BySplit {
		f.Splits = slices.Sorted(slices.Values(c.names))
	}
	if c.typ == schema.TypeStr {
		fillValues(c, f, &c.texts, func(v string) any { return v }, strings.Compare)
	} else if c.values {
		order := cmp.Compare[int64]
		if c.typ == schema.TypeFloat {
			order = func(a, b int64) int {
				return cmp.Compare(math.Float64frombits(uint64(a)), math.Float64frombits(uint64(b)))
			}
		}
		fillValues(c, f, &c.ints, c.scalar, order)
	}
	switch {
	case c.numbers == 0:
	case c.typ == schema.TypeFloat:
		f.Min, f.Max = c.min, c.max
	default:
		f.Min, f.Max = c.scalar(c.minInt), c.scalar(c.maxInt)
	}
	if !c.bins || c.edges == nil {
		return f
	}
	edge := func(x float64) any {
		if c.typ == schema.TypeDatetime {
			return time.UnixMicro(int64(math.Round(x * 1e6))).UTC()
		}
		return x
	}
	f.Bins = make([]FacetBin, len(c.edges)-1)
	for i := range f.Bins {
		b := FacetBin{Start: edge(c.edges[i]), End: edge(c.edges[i+1])}
		b.Count, b.Splits = c.bySplit(func(split int) int64 {
			if split < len(c.inBins) {
				return c.inBins[split][i]
			}
			return 0
		})
		f.Bins[i] = b
	}
	return f
}

// bySplit sums up counts, and returns those of the splits if they are asked for.
func (c *facetCount) bySplit(of func(split int) int64) (sum int64, splits map[string]int64) {
	for i, name := range c.names {
		n := of(i)
		sum += n
		if n > 0 && c.opts.BySplit {
			if splits == nil {
				splits = map[string]int64{}
			}
			splits[name] = n
		}
	}
	return sum, splits
}

// fillValues lists the most frequent values, equally frequent ones in order.
func fillValues[T comparable](c *facetCount, f *Facet, t *tally[T], show func(T) any, order func(a, b T) int) {
	totals := make([]int64, len(t.keys))
	for _, counts := range t.counts {
		for i, n := range counts {
			totals[i] += n
		}
	}
	places := make([]int, len(t.keys))
	for i := range places {
		places[i] = i
	}
	slices.SortFunc(places, func(a, b int) int {
		return cmp.Or(cmp.Compare(totals[b], totals[a]), order(t.keys[a], t.keys[b]))
	})
	f.Distinct, f.More, f.Other = len(t.keys), t.full, t.other
	list := cmp.Or(c.opts.Values, defaultFacetValues)
	if list < 0 {
		list = len(places)
	}
	if f.Kind == Numerical && c.opts.Values == 0 && len(places) > list {
		list = 0 // a histogram says it better
	}
	for i, place := range places {
		if i >= list {
			f.Other += totals[place]
			continue
		}
		v := FacetValue{Value: show(t.keys[place])}
		v.Count, v.Splits = c.bySplit(func(split int) int64 {
			if split < len(t.counts) && place < len(t.counts[split]) {
				return t.counts[split][place]
			}
			return 0
		})
		f.Values = append(f.Values, v)
	}
}
