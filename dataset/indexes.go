package dataset

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"pixano/internal/lance"
)

// IndexType is a kind of index.
type IndexType = lance.IndexType

// The kinds of index: one for words, the others for vectors.
const (
	FullText  = lance.FTS       // words of a column of texts
	IVFFlat   = lance.IVFFlat   // partitions of whole vectors
	IVFPQ     = lance.IVFPQ     // partitions of product-quantized vectors: smallest
	IVFHNSWSQ = lance.IVFHNSWSQ // graphs over scalar-quantized vectors: best recall for its speed
	IVFHNSWPQ = lance.IVFHNSWPQ // graphs over product-quantized vectors
)

// Metric is a distance between vectors. Smaller is nearer with all of them.
type Metric = lance.Metric

// The metrics.
const (
	L2     = lance.L2     // squared Euclidean distance
	Cosine = lance.Cosine // 1 minus the cosine of the angle
	Dot    = lance.Dot    // 1 minus the dot product
)

// IndexRows is the number of rows from which an index of vectors is worth having: below it, comparing with every vector
// takes some tens of milliseconds and misses nothing.
const IndexRows = 100_000

// Index is an index that a dataset opted in to, and how searches use it. Package search makes and describes indexes; the
// dataset keeps the list, in .pixano/indexes.json, and refreshes them.
type Index struct {
	Table  string `json:"table"`
	Column string `json:"column"`         // of vectors, or of texts
	Name   string `json:"name,omitempty"` // "": the column's name with "_idx"

	// Type is the kind. "": FullText for texts. For vectors the kind is chosen by the number of rows: none below IndexRows,
	// where the choice is left to the refresh that finds more, and IVFHNSWSQ from there on.
	Type IndexType `json:"type,omitempty"`

	Metric Metric `json:"metric,omitempty"` // of vectors, and of the searches that use the index; "": L2

	// How it is built; 0 leaves a number to the dataset.
	Partitions     int `json:"partitions,omitempty"`      // of all IVF kinds
	SubVectors     int `json:"sub_vectors,omitempty"`     // of product quantization, by default a quarter of the dimension, which they must divide
	Bits           int `json:"bits,omitempty"`            // of product quantization, per sub-vector: 4 or 8
	M              int `json:"m,omitempty"`               // edges of a node of a graph
	EFConstruction int `json:"ef_construction,omitempty"` // candidates looked at when a node is added to a graph

	Tokens *Tokens `json:"tokens,omitempty"` // of FullText; nil: the defaults

	// How searches look into it; 0 leaves a number to the engine.
	NProbes int `json:"nprobes,omitempty"` // partitions looked into
	EF      int `json:"ef,omitempty"`      // candidates kept while walking a graph
	Refine  int `json:"refine,omitempty"`  // so many times the hits are compared by their exact distance

	// What was measured when it was built. Recall is the share of the 50 nearest that searches found, 0 if it was not
	// measured.
	Rows    int64     `json:"rows,omitempty"`
	Seconds float64   `json:"seconds,omitempty"`
	Bytes   int64     `json:"bytes,omitempty"` // of its files
	Recall  float64   `json:"recall,omitempty"`
	Built   time.Time `json:"built,omitzero"` // zero: it waits for its table to grow
}

// Tokens say how a full text index cuts texts into words.
type Tokens struct {
	Tokenizer string `json:"tokenizer,omitempty"`  // "simple" (as ""), "whitespace", "raw" or "ngram"
	Language  string `json:"language,omitempty"`   // of stems and stop words, as "French"; "": English
	NoStem    bool   `json:"no_stem,omitempty"`    // words are found in the form asked for only
	KeepStops bool   `json:"keep_stops,omitempty"` // words such as "the" are indexed too
	Positions bool   `json:"positions,omitempty"`  // for phrases; makes the index larger
}

// engine gives the index as the engine builds it.
func (i *Index) engine() lance.Index {
	e := lance.Index{
		Columns: []string{i.Column}, Type: i.Type, Name: i.Name, Metric: i.Metric, Partitions: i.Partitions,
		SubVectors: i.SubVectors, Bits: i.Bits, M: i.M, EFConstruction: i.EFConstruction,
	}
	if t := i.Tokens; t != nil {
		e.FTS = &lance.FTSOptions{
			Tokenizer: t.Tokenizer, Language: t.Language, Stem: new(!t.NoStem), RemoveStopWords: new(!t.KeepStops), WithPosition: &t.Positions,
		}
	}
	return e
}

const indexesFile = "indexes.json"

// Indexes returns the indexes that the dataset opted in to, by table and name. Those that others made are not among them.
func (d *Dataset) Indexes() ([]Index, error) {
	indexes, err := readIndexes(d.path)
	return indexes, wrap("read indexes", "", err)
}

func readIndexes(path string) ([]Index, error) {
	raw, err := os.ReadFile(filepath.Join(path, privateFolder, indexesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var file struct {
		Indexes []Index `json:"indexes"`
	}
	if err == nil {
		err = json.Unmarshal(raw, &file)
	}
	if err != nil {
		return nil, &Error{Field: privateFolder + "/" + indexesFile, Err: fileError(err)}
	}
	return file.Indexes, nil
}

// changeIndexes replaces the list. It is called with the lock of indexes held.
func (s *state) changeIndexes(change func(list []Index) []Index) error {
	list, err := readIndexes(s.path)
	if err != nil {
		return err
	}
	list = change(list)
	slices.SortFunc(list, func(a, b Index) int {
		return cmp.Or(strings.Compare(a.Table, b.Table), strings.Compare(a.Name, b.Name))
	})
	raw, err := json.Marshal(struct {
		Indexes []Index `json:"indexes"`
	}{list})
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	return writeFile(filepath.Join(s.path, privateFolder, indexesFile), b.Bytes())
}

// indexing runs a change of indexes. Those of one dataset wait for one another, or give errLocked; rows are written
// meanwhile.
func (s *state) indexing(ctx context.Context, op, table string, wait bool, do func() error) error {
	err := s.lockIndexes(ctx, wait, do)
	if err == nil {
		return nil
	}
	return placed(op, table, err)
}

func (s *state) lockIndexes(ctx context.Context, wait bool, do func() error) error {
	if s.readOnly {
		return ErrReadOnly
	}
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return ErrClosed
	}
	folder := filepath.Join(s.path, privateFolder)
	if err := os.Mkdir(folder, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fileError(err)
	}
	f, err := os.OpenFile(filepath.Join(folder, "indexes.lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return fileError(err)
	}
	defer f.Close()
	if wait {
		err = lockWait(ctx, f, true)
	} else {
		err = flock(f, true, false)
	}
	if err != nil {
		return err
	}
	return do()
}

// BuildIndex opts the dataset in to an index and builds it, in place of one of the same name. It returns the index as it
// was built; one of which nothing is built yet has no time in Built. Package search has the form for people, which also
// measures what the index finds.
//
// Rows may be written meanwhile. Cancelling leaves the index as it was.
func (d *Dataset) BuildIndex(ctx context.Context, index Index) (Index, error) {
	const op = "index"
	err := d.indexing(ctx, op, index.Table, true, func() error {
		if err := d.checkIndex(ctx, op, &index); err != nil {
			return err
		}
		if err := d.buildIndex(ctx, op, &index); err != nil {
			return err
		}
		return d.changeIndexes(func(list []Index) []Index {
			return append(slices.DeleteFunc(list, index.same), index)
		})
	})
	return index, err
}

func (i *Index) same(other Index) bool { return i.Table == other.Table && i.Name == other.Name }

// checkIndex checks an index against its table and completes it.
func (d *Dataset) checkIndex(ctx context.Context, op string, index *Index) error {
	wrong := func(field, format string, v ...any) error {
		return &Error{Op: op, Table: index.Table, Field: field, Err: queryError(fmt.Errorf(format, v...))}
	}
	columns, err := d.Columns(ctx, index.Table)
	if err != nil {
		var e *Error
		if errors.As(err, &e) {
			e.Op = op
		}
		return err
	}
	if index.Column == "" {
		for _, f := range columns.Fields() {
			if arrow.IsListLike(f.Type.ID()) && f.Type.ID() == arrow.FIXED_SIZE_LIST {
				index.Column = f.Name
			}
		}
		if index.Column == "" {
			return wrong("column", "the table has no vectors: name the column of texts to index")
		}
	}
	c, err := resolve(columns, strings.Split(index.Column, "."))
	if err != nil {
		return wrong("column", "%w", err)
	}
	index.Column = c.String()
	for _, n := range []struct {
		name  string
		value int
	}{
		{"partitions", index.Partitions}, {"sub_vectors", index.SubVectors}, {"bits", index.Bits}, {"m", index.M},
		{"ef_construction", index.EFConstruction}, {"nprobes", index.NProbes}, {"ef", index.EF}, {"refine", index.Refine},
	} {
		if n.value < 0 || n.value > 1<<20 {
			return wrong(n.name, "%d: want 0 to %d", n.value, 1<<20)
		}
	}
	if index.Name == "" {
		index.Name = strings.ReplaceAll(index.Column, ".", "_") + "_idx"
	}
	switch t := c.typ.(type) {
	case *arrow.FixedSizeListType:
		switch index.Type {
		case "", IVFFlat, IVFPQ, IVFHNSWSQ, IVFHNSWPQ:
		default:
			return wrong("type", "%q: want %s, %s, %s or %s for vectors", index.Type, IVFHNSWSQ, IVFPQ, IVFFlat, IVFHNSWPQ)
		}
		switch index.Metric {
		case "":
			index.Metric = L2
		case L2, Cosine, Dot:
		default:
			return wrong("metric", "%q: want l2, cosine or dot", index.Metric)
		}
		if n := int(t.Len()); index.SubVectors > 0 && n%index.SubVectors != 0 {
			return wrong("sub_vectors", "%d: want a divisor of the dimension, %d", index.SubVectors, n)
		}
		// The engine's own number, a sixteenth, finds 0.73 of the 50 nearest at best.
		if n := int(t.Len()); index.SubVectors == 0 && n%4 == 0 && (index.Type == IVFPQ || index.Type == IVFHNSWPQ) {
			index.SubVectors = n / 4
		}
		if index.Bits != 0 && index.Bits != 4 && index.Bits != 8 {
			return wrong("bits", "%d: want 4 or 8", index.Bits)
		}
	case *arrow.StringType, *arrow.LargeStringType:
		if index.Type == "" {
			index.Type = FullText
		}
		if t := index.Tokens; t != nil && t.Language != "" && !slices.Contains(languages, t.Language) {
			return wrong("language", "%q: want one of %s", t.Language, strings.Join(languages, ", "))
		}
		if index.Type != FullText {
			return wrong("type", "%q: want %s for a column of texts", index.Type, FullText)
		}
		index.Metric = ""
	default:
		return wrong("column", "%s is %s: want vectors or texts", index.Column, c.typ)
	}
	return nil
}

// languages are those that the engine knows stems of.
var languages = strings.Fields("Arabic Danish Dutch English Finnish French German Greek Hungarian Italian Norwegian Portuguese Romanian Russian " +
	"Spanish Swedish Tamil Turkish")

// trainingRows are the rows without which product quantization with 8 bits cannot be trained.
const trainingRows = 256

// buildIndex builds an index, or leaves it for later if its table is too small.
func (s *state) buildIndex(ctx context.Context, op string, index *Index) error {
	t, err := s.openTable(ctx, op, index.Table)
	if err != nil {
		return err
	}
	defer t.Close()
	index.Built = time.Time{}
	vectors := index.Type != FullText
	var where string
	if vectors {
		where = "`" + strings.ReplaceAll(index.Column, "`", "``") + "` IS NOT NULL"
	}
	if index.Rows, err = t.Count(ctx, where); err != nil {
		return err
	}
	switch chosen := index.Type == ""; {
	case chosen && index.Rows < IndexRows:
		return nil
	case chosen:
		index.Type = IVFHNSWSQ
	case vectors && index.Rows < trainingRows:
		return &Error{Op: op, Table: index.Table, Field: "type", Err: queryError(fmt.Errorf(
			"%s wants %d vectors or more, the table has %d", index.Type, trainingRows, index.Rows))}
	}
	if index.Partitions == 0 && vectors {
		index.Partitions = partitions(index.Type, index.Rows)
	}
	if index.Type == IVFHNSWSQ || index.Type == IVFHNSWPQ {
		index.M, index.EFConstruction = cmp.Or(index.M, graphEdges), cmp.Or(index.EFConstruction, graphCandidates)
	}
	start := time.Now()
	before := s.indexFolders(index.Table)
	for try := 1; ; try++ {
		_, err = t.CreateIndex(ctx, index.engine(), nil)
		// Compaction moved the rows meanwhile.
		if !errors.Is(err, ErrConflict) || try == 3 {
			break
		}
	}
	if err != nil {
		return err
	}
	index.Seconds, index.Built, index.Bytes = time.Since(start).Seconds(), s.now(), 0
	for folder, size := range s.indexFolders(index.Table) {
		if _, old := before[folder]; !old {
			index.Bytes += size
		}
	}
	_, err = t.Sync(ctx, 0)
	return err
}

// partitions chooses how many partitions an index gets.
func partitions(kind IndexType, rows int64) int {
	switch kind {
	case IVFHNSWSQ, IVFHNSWPQ:
		return int(max(1, rows/graphRows))
	}
	n := int64(1)
	for n*n < rows {
		n *= 2
	}
	return int(n)
}

const (
	// graphRows is about how many vectors share a graph. One graph of 1,000,000 vectors in clusters misses whole clusters,
	// however many candidates are kept, and takes longer to build than many small ones.
	graphRows = 1 << 14

	// Edges of a node, and candidates looked at when it is added. The engine's own, 20 and 150, take six times as long to
	// build for a recall that searches reach by keeping a few more candidates.
	graphEdges      = 16
	graphCandidates = 64
)

// indexFolders returns the size of the files of each index of a table, whether it is in use or a version of the past.
func (s *state) indexFolders(table string) map[string]int64 {
	sizes := map[string]int64{}
	root := filepath.Join(s.path, "db", table+".lance", "_indices")
	filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			if info, err := entry.Info(); err == nil {
				sizes[filepath.Dir(path)] += info.Size()
			}
		}
		return nil // files come and go
	})
	return sizes
}

// TuneIndex changes how searches use an index, and what is known of it: NProbes, EF, Refine and Recall. An index that
// the dataset did not opt in to is ErrNotFound.
func (d *Dataset) TuneIndex(ctx context.Context, index Index) error {
	const op = "tune index"
	return d.indexing(ctx, op, index.Table, true, func() error {
		found := false
		err := d.changeIndexes(func(list []Index) []Index {
			for i := range list {
				if index.same(list[i]) {
					found = true
					list[i].NProbes, list[i].EF, list[i].Refine, list[i].Recall = index.NProbes, index.EF, index.Refine, index.Recall
				}
			}
			return list
		})
		if err == nil && !found {
			err = noIndex(index.Name)
		}
		return err
	})
}

func noIndex(name string) error {
	return &kindError{ErrNotFound, fmt.Sprintf("no index %q", name), nil}
}

// DropIndex removes an index, whoever made it, and no longer opts in to it. Without one the error matches ErrNotFound.
func (d *Dataset) DropIndex(ctx context.Context, table, name string) error {
	const op = "drop index"
	return d.indexing(ctx, op, table, true, func() error {
		t, err := d.openTable(ctx, op, table)
		if err != nil {
			return err
		}
		defer t.Close()
		if _, err := t.CheckoutLatest(ctx); err != nil {
			return err
		}
		err = t.DropIndex(ctx, name)
		there := err == nil
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		err = d.changeIndexes(func(list []Index) []Index {
			return slices.DeleteFunc(list, func(i Index) bool {
				mine := i.Table == table && i.Name == name
				there = there || mine
				return mine
			})
		})
		if err == nil && !there {
			err = noIndex(name)
		}
		return err
	})
}

// RefreshIndexes brings indexes up to the rows written since: those that more than pending rows wait for. It also builds
// what waited for its table to grow, and what was lost. Maintenance does so too; until then searches look through the rows
// that an index does not cover one by one.
func (d *Dataset) RefreshIndexes(ctx context.Context, pending int64) error {
	const op = "refresh indexes"
	list, err := d.Indexes()
	if err != nil {
		return err
	}
	var errs []error
	for _, info := range d.Tables() {
		if slices.ContainsFunc(list, func(i Index) bool { return i.Table == info.Name }) {
			t, err := d.openTable(ctx, op, info.Name)
			if err == nil {
				_, err = d.tendIndexes(ctx, t, pending)
				t.Close()
			}
			errs = append(errs, wrap(op, info.Name, err))
		}
	}
	return errors.Join(errs...)
}

// refreshRows are the rows that an index may be behind in the background: comparing with each takes milliseconds.
const refreshRows = 10_000

// tendIndexes brings the indexes of a table, whoever made them, up to its rows, if more than pending wait, and builds those
// that the dataset opted in to and that are not there. It reports whether it did anything. With rows pending at most, it
// leaves the table alone while another builds an index.
func (s *state) tendIndexes(ctx context.Context, t *lance.Table, pending int64) (done bool, err error) {
	if _, err := t.CheckoutLatest(ctx); err != nil {
		return false, err
	}
	there, err := t.Indexes(ctx)
	if err != nil {
		return false, err
	}
	list, err := readIndexes(s.path)
	if err != nil {
		return false, err
	}
	var stale []string
	for _, index := range there {
		stats, err := t.IndexStats(ctx, index.Name)
		if err != nil {
			return false, err
		}
		if stats.UnindexedRows > pending {
			stale = append(stale, index.Name)
		}
	}
	rows, err := t.Count(ctx, "")
	if err != nil {
		return false, err
	}
	list = slices.DeleteFunc(list, func(i Index) bool {
		built := slices.ContainsFunc(there, func(is lance.IndexInfo) bool { return is.Name == i.Name })
		small := i.Type == "" && rows < IndexRows || i.Type != FullText && rows < trainingRows
		return i.Table != t.Name() || built || small
	})
	if stale == nil && len(list) == 0 {
		return false, nil
	}
	err = s.indexing(ctx, "", t.Name(), pending == 0, func() error {
		for _, index := range list {
			if err := s.buildIndex(ctx, "", &index); err != nil {
				return err
			}
			if index.Built.IsZero() {
				continue
			}
			done = true
			if err := s.changeIndexes(func(list []Index) []Index { return append(slices.DeleteFunc(list, index.same), index) }); err != nil {
				return err
			}
		}
		if stale == nil {
			return nil
		}
		res, err := t.Optimize(ctx, lance.OptimizeOptions{Index: &lance.Reindex{Names: stale}}, nil)
		if errors.Is(err, ErrConflict) {
			return nil // the next time
		}
		done = done || res.IndexUpdated
		if err == nil {
			_, err = t.Sync(ctx, 0)
		}
		return err
	})
	if errors.Is(err, errLocked) {
		err = nil
	}
	return done, err
}
