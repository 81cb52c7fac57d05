package search

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"pixano/dataset"
	"pixano/internal/lance"
)

// IndexInfo is an index of a table.
type IndexInfo struct {
	dataset.Index

	// OptedIn: the dataset keeps it and its searches use it. Others, which a Python program made, are used for words only.
	OptedIn bool `json:"opted_in"`

	Indexed   int64  `json:"indexed_rows"`
	Unindexed int64  `json:"unindexed_rows"` // found by looking through them one by one, until the index is refreshed
	Python    string `json:"python"`         // what the index costs Python programs of older releases
}

// pythonCost says what was measured of an index in tables of storage version 2.0.
func pythonCost(kind dataset.IndexType) string {
	const all = "Python lancedb 0.29 reads, searches, writes and optimizes the table; 0.17, of Pixano 0.6, reads and writes it but cannot optimize it"
	switch kind {
	case "":
		return "nothing, until it is built"
	case dataset.IVFHNSWSQ, dataset.IVFFlat:
		return all + ", and its searches become approximate"
	case dataset.IVFPQ, dataset.IVFHNSWPQ:
		return all + " and cannot search it by vectors"
	case dataset.FullText:
		return all
	}
	return "not measured"
}

// Progress is how far the making of an index is.
type Progress struct {
	Stage   string        // "building", or "measuring" what it finds
	Elapsed time.Duration // since the beginning
	Bytes   int64         // of index files written so far; they come in bursts
}

// BuildOptions are the options of [Searcher.CreateIndex]. Nil and the zero value are the defaults.
type BuildOptions struct {
	// Progress is called about once a second, never by two goroutines at once.
	Progress func(Progress)

	// Recall is the share of the 50 nearest that searches with the index are to find: how they look into it is tuned to
	// that, as cheaply as it goes, unless the index says how. 0: 0.95. Negative: nothing is measured.
	Recall float64

	Samples int // vectors of the table to measure with; 0: 40
}

// CreateIndex opts the dataset in to an index and builds it, in place of one of the same name. Without a type the kind is
// chosen by the column and the number of rows, and small tables get theirs when they have grown: see [dataset.Index]. An
// index of vectors is measured against exact search on vectors of the table, and tuned.
//
// Rows may be written meanwhile. Cancelling leaves what was there.
func (s *Searcher) CreateIndex(ctx context.Context, index dataset.Index, opts *BuildOptions) (IndexInfo, error) {
	if opts == nil {
		opts = &BuildOptions{}
	}
	if opts.Recall > 1 || opts.Samples < 0 {
		return IndexInfo{}, &dataset.Error{Op: "index", Table: index.Table, Err: queryError(
			"recall %v on %d samples: want at most 1, and 0 samples or more", opts.Recall, opts.Samples)}
	}
	stage, done := s.watch(index.Table, opts.Progress)
	defer done()
	built, err := s.ds.BuildIndex(ctx, index)
	if err != nil {
		return IndexInfo{}, err
	}
	if built.Type != dataset.FullText && !built.Built.IsZero() && opts.Recall >= 0 {
		stage("measuring")
		if err := s.tune(ctx, &built, opts); err != nil {
			return IndexInfo{}, err
		}
	}
	infos, err := s.Indexes(ctx, index.Table)
	if err != nil {
		return IndexInfo{}, err
	}
	for _, info := range infos {
		if info.Name == built.Name {
			return info, nil
		}
	}
	return IndexInfo{Index: built, OptedIn: true, Python: pythonCost(built.Type)}, nil
}

// watch calls progress until done is called.
func (s *Searcher) watch(table string, progress func(Progress)) (stage func(string), done func()) {
	if progress == nil {
		return func(string) {}, func() {}
	}
	var mu sync.Mutex
	start, now, before := time.Now(), "building", s.indexBytes(table)
	report := func() {
		mu.Lock()
		defer mu.Unlock()
		progress(Progress{now, time.Since(start), max(0, s.indexBytes(table)-before)})
	}
	stop := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				report()
			}
		}
	})
	report()
	return func(name string) {
			mu.Lock()
			now = name
			mu.Unlock()
			report()
		}, func() {
			close(stop)
			wait.Wait()
		}
}

// indexBytes is the size of a table's index files.
func (s *Searcher) indexBytes(table string) (bytes int64) {
	root := filepath.Join(s.ds.Path(), "db", table+".lance", "_indices")
	filepath.WalkDir(root, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			if info, err := entry.Info(); err == nil {
				bytes += info.Size()
			}
		}
		return nil // files come and go
	})
	return bytes
}

// Indexes returns the indexes of a table, or of all for "", by table and name: those that the dataset opted in to, also
// while they wait for their table to grow, and those that others made.
func (s *Searcher) Indexes(ctx context.Context, table string) ([]IndexInfo, error) {
	mine, err := s.ds.Indexes()
	if err != nil {
		return nil, err
	}
	infos := []IndexInfo{}
	known := table == ""
	for _, t := range s.ds.Tables() {
		if table != "" && t.Name != table {
			continue
		}
		known = true
		found, err := s.tableIndexes(ctx, t.Name, mine)
		if err != nil {
			return nil, err
		}
		infos = append(infos, found...)
	}
	if !known {
		_, err := s.ds.Search(ctx, "indexes of", table, dataset.Query{})
		return nil, err
	}
	return infos, nil
}

func (s *Searcher) tableIndexes(ctx context.Context, table string, mine []dataset.Index) (infos []IndexInfo, err error) {
	const op = "indexes of"
	t, err := s.ds.Search(ctx, op, table, dataset.Query{})
	if err != nil {
		return nil, err
	}
	list, err := t.Table.Indexes(ctx)
	if err != nil {
		return nil, &dataset.Error{Op: op, Table: table, Err: err}
	}
	for _, index := range mine {
		there := slices.ContainsFunc(list, func(i lance.IndexInfo) bool { return i.Name == index.Name })
		if index.Table == table && !there {
			index.Built = time.Time{}
			infos = append(infos, IndexInfo{Index: index, OptedIn: true, Python: pythonCost("")})
		}
	}
	for _, i := range list {
		info := IndexInfo{Index: dataset.Index{Table: table, Name: i.Name, Type: i.Type}, Python: pythonCost(i.Type)}
		if len(i.Columns) > 0 {
			info.Column = i.Columns[0]
		}
		for _, index := range mine {
			if index.Table == table && index.Name == i.Name {
				info.Index, info.OptedIn = index, true
			}
		}
		stats, err := t.Table.IndexStats(ctx, i.Name)
		if errors.Is(err, dataset.ErrNotFound) {
			continue // dropped in between
		}
		if err != nil {
			return nil, &dataset.Error{Op: op, Table: table, Field: i.Name, Err: err}
		}
		info.Indexed, info.Unindexed = stats.IndexedRows, stats.UnindexedRows
		if info.Metric == "" {
			info.Metric = stats.Metric
		}
		infos = append(infos, info)
	}
	slices.SortFunc(infos, func(a, b IndexInfo) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return infos, nil
}

// DropIndex removes an index, whoever made it. Without one of this name the error matches dataset.ErrNotFound.
func (s *Searcher) DropIndex(ctx context.Context, table, name string) error {
	return s.ds.DropIndex(ctx, table, name)
}

// RecallOptions say how to measure an index. Nil and the zero value are the defaults.
type RecallOptions struct {
	K       int         // nearest rows looked for; 0: 50
	Samples int         // vectors of the table to search for; 0: 100
	Queries [][]float32 // vectors to search for instead

	NProbes, EF, Refine int // how to look into the index; 0: as it is tuned
}

// Recall is what searches with an index find of what there is.
type Recall struct {
	Index   string  `json:"index"`
	K       int     `json:"k"`
	Queries int     `json:"queries"`
	Mean    float64 `json:"recall"`     // the share of the K nearest rows that were found
	Least   float64 `json:"recall_min"` // that of the worst query

	// Times of a search, exact and with the index: the median and that which 99 of 100 stay below.
	ExactP50 time.Duration `json:"exact_p50_ns"`
	ExactP99 time.Duration `json:"exact_p99_ns"`
	IndexP50 time.Duration `json:"index_p50_ns"`
	IndexP99 time.Duration `json:"index_p99_ns"`
}

// Recall measures the index of vectors of a table against exact search, on vectors of the table chosen by chance. A table
// without an index that the dataset opted in to is dataset.ErrNotFound.
func (s *Searcher) Recall(ctx context.Context, table string, opts *RecallOptions) (Recall, error) {
	m, err := s.measure(ctx, table, opts)
	if err != nil {
		return Recall{}, err
	}
	return m.recall(ctx, *m.opts)
}

// measurement compares searches with an index to exact ones.
type measurement struct {
	s     *Searcher
	table string
	opts  *RecallOptions
	near  []map[string]bool // the nearest rows by query
	exact []time.Duration
}

func (s *Searcher) measure(ctx context.Context, table string, opts *RecallOptions) (*measurement, error) {
	o := RecallOptions{}
	if opts != nil {
		o = *opts
	}
	fail := func(format string, v ...any) error {
		return &dataset.Error{Op: "recall of", Table: table, Err: queryError(format, v...)}
	}
	if o.K == 0 {
		o.K = 50
	}
	if o.Samples == 0 {
		o.Samples = 100
	}
	if o.K < 0 || o.K > indexAsk-more || o.Samples < 0 {
		return nil, fail("k %d with %d samples: want k from 1 to %d", o.K, o.Samples, indexAsk-more)
	}
	if o.Queries == nil {
		var err error
		if o.Queries, err = s.sample(ctx, table, o.Samples); err != nil {
			return nil, err
		}
	}
	if len(o.Queries) == 0 {
		return nil, fail("the table has no vectors to search for")
	}
	m := &measurement{s: s, table: table, opts: &o}
	for _, vector := range o.Queries {
		start := time.Now()
		r, err := s.Search(ctx, Query{Table: table, Vector: vector, ByRow: true, Limit: o.K, Exact: true})
		if err != nil {
			return nil, err
		}
		m.exact = append(m.exact, time.Since(start))
		near := make(map[string]bool, len(r.Hits))
		for _, h := range r.Hits {
			near[h.ID] = true
		}
		m.near = append(m.near, near)
	}
	return m, nil
}

// recall searches with the index in the way that the options say.
func (m *measurement) recall(ctx context.Context, o RecallOptions) (Recall, error) {
	out := Recall{K: o.K, Queries: len(m.near), Least: 1}
	var times []time.Duration
	found, sum := 0, 0
	for i, vector := range m.opts.Queries {
		start := time.Now()
		r, err := m.s.Search(ctx, Query{Table: m.table, Vector: vector, ByRow: true, Limit: o.K, NProbes: o.NProbes, EF: o.EF, Refine: o.Refine})
		if err != nil {
			return Recall{}, err
		}
		times = append(times, time.Since(start))
		if r.Index == "" {
			return Recall{}, &dataset.Error{Op: "recall of", Table: m.table, Err: kindErrorf(dataset.ErrNotFound,
				"no index serves its searches: see pixano data index list")}
		}
		out.Index = r.Index
		mine := 0
		for _, h := range r.Hits {
			if m.near[i][h.ID] {
				mine++
			}
		}
		found, sum = found+mine, sum+len(m.near[i])
		out.Least = min(out.Least, float64(mine)/float64(max(len(m.near[i]), 1)))
	}
	out.Mean = float64(found) / float64(max(sum, 1))
	out.ExactP50, out.ExactP99 = percentiles(m.exact)
	out.IndexP50, out.IndexP99 = percentiles(times)
	return out, nil
}

func percentiles(times []time.Duration) (p50, p99 time.Duration) {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)/2], sorted[(len(sorted)*99+99)/100-1]
}

// sample returns vectors of a table chosen by chance.
func (s *Searcher) sample(ctx context.Context, table string, n int) ([][]float32, error) {
	t, err := s.ds.Search(ctx, "recall of", table, dataset.Query{})
	if err != nil {
		return nil, err
	}
	column, _, err := vectorColumn(t.Columns)
	if err != nil {
		return nil, &dataset.Error{Op: "recall of", Table: table, Err: err}
	}
	rows, err := t.Table.Count(ctx, "")
	if err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(1, 2)) // the same vectors each time, so that measurements compare
	var vectors [][]float32
	for range n {
		if rows == 0 {
			break
		}
		q := dataset.Query{Columns: []string{column}, Offset: int(random.Int64N(rows)), Limit: 1}
		for batch, err := range s.ds.Batches(ctx, table, q) {
			if err != nil {
				return nil, err
			}
			vectors = append(vectors, vectorsOf(batch, column, 1)...)
		}
	}
	return vectors, nil
}

// setting is a way to look into an index.
type setting struct{ nprobes, ef, refine int }

// settings are those to try for an index, cheaper ones first.
func settings(index *dataset.Index) (list []setting) {
	p := max(index.Partitions, 1)
	switch index.Type {
	case dataset.IVFHNSWSQ, dataset.IVFHNSWPQ:
		for n := 2; ; n *= 2 {
			for _, ef := range []int{100, 200, 400, 800, 1600, 3200, 6400} {
				for _, refine := range []int{0, 2, 5} {
					list = append(list, setting{nprobes: min(n, p), ef: ef, refine: refine})
				}
			}
			if n >= p {
				break
			}
		}
		// Each partition is walked with so many candidates.
		slices.SortStableFunc(list, func(a, b setting) int { return cmp.Compare(a.ef*a.nprobes, b.ef*b.nprobes) })
	case dataset.IVFPQ:
		for n := 8; ; n *= 2 {
			for _, refine := range []int{4, 10, 30} {
				list = append(list, setting{nprobes: min(n, p), refine: refine})
			}
			if n >= p {
				break
			}
		}
	default:
		for n := 4; ; n *= 2 {
			list = append(list, setting{nprobes: min(n, p)})
			if n >= p {
				break
			}
		}
	}
	return list
}

// tune finds how to look into an index so that it finds what is wanted, and keeps that and what it finds.
func (s *Searcher) tune(ctx context.Context, index *dataset.Index, opts *BuildOptions) error {
	o := RecallOptions{Samples: opts.Samples}
	if o.Samples == 0 {
		o.Samples = 40
	}
	want := opts.Recall
	if want == 0 {
		want = 0.95
	}
	m, err := s.measure(ctx, index.Table, &o)
	if err != nil {
		return err
	}
	o = *m.opts
	tries := settings(index)
	if index.NProbes > 0 || index.EF > 0 || index.Refine > 0 {
		tries = []setting{{index.NProbes, index.EF, index.Refine}}
	}
	var best Recall
	var chosen setting
	for _, try := range tries {
		o.NProbes, o.EF, o.Refine = try.nprobes, try.ef, try.refine
		r, err := m.recall(ctx, o)
		if errors.Is(err, dataset.ErrNotFound) {
			return nil // the table is so small that no search uses the index
		}
		if err != nil {
			return err
		}
		if r.Mean > best.Mean {
			best, chosen = r, try
		}
		if r.Mean >= want {
			break
		}
	}
	index.NProbes, index.EF, index.Refine, index.Recall = chosen.nprobes, chosen.ef, chosen.refine, best.Mean
	return s.ds.TuneIndex(ctx, *index)
}
