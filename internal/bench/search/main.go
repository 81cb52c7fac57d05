// Command search times searches on a generated dataset of vectors and captions: exact, beside Python lancedb 0.40 on the
// same table; with each kind of index at several ways of looking into it, with the share of the 50 nearest that it finds;
// and by words. It prints times to build, sizes and memory.
//
//	scripts/python-env lancedb040
//	go run ./internal/bench/search [-rows 1000000] [-dim 512] [-queries 40] [-work DIR] [-keep] [-only exact,words,IVF_HNSW_SQ,IVF_PQ]
//
// With -keep the last index of vectors stays in the dataset, and a later run with the same DIR measures it again without
// building it: one DIR for each kind.
//
// The vectors are those of the other benchmarks: 64 centres with normal values of width 1, and normal values of width 0.6
// around them. 1,000,000 of 512 take 2.1 GB on disk, and as much again in the system's cache. A dataset that is in DIR
// already is used as it is.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"pixano/dataset"
	"pixano/features"
	"pixano/schema"
	"pixano/search"
)

const nearest = 50 // hits of a search

type captioned struct {
	schema.Item
	Caption string
}

type item struct {
	captioned
}

type settings struct {
	rows, dim, queries int
	work, only         string
	keep               bool
	m, construction    int
	partitions         int

	probes, candidates, refines string
}

func main() {
	var s settings
	flag.IntVar(&s.rows, "rows", 1_000_000, "items, each with a vector and a caption")
	flag.IntVar(&s.dim, "dim", 512, "dimension of the vectors")
	flag.IntVar(&s.queries, "queries", 40, "searches of each kind")
	flag.StringVar(&s.work, "work", "", "directory for the dataset (default: a temporary one)")
	flag.StringVar(&s.only, "only", "exact,words,IVF_HNSW_SQ,IVF_PQ", "what to time")
	flag.IntVar(&s.partitions, "partitions", 0, "partitions of an index (default: as the dataset chooses)")
	flag.IntVar(&s.m, "m", 0, "edges of a node of a graph (default: as the dataset chooses)")
	flag.IntVar(&s.construction, "ef-construction", 0, "candidates looked at when a node is added to a graph (default: as the dataset chooses)")
	flag.BoolVar(&s.keep, "keep", false, "leave the last index of vectors in the dataset, for another run")
	flag.StringVar(&s.probes, "nprobes", "", "numbers of partitions to look into, as 4,8 (default: a few)")
	flag.StringVar(&s.candidates, "ef", "", "numbers of candidates to keep while walking a graph (default: a few)")
	flag.StringVar(&s.refines, "refine", "", "how many times the hits to compare exactly (default: a few)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := s.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (s *settings) run(ctx context.Context) error {
	if s.work == "" {
		dir, err := os.MkdirTemp("", "pixano-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		s.work = dir
	}
	draw := newVectors(s.dim)
	path := filepath.Join(s.work, "search")
	if _, err := os.Stat(filepath.Join(path, "info.json")); err != nil {
		start := time.Now()
		if err := s.generate(ctx, path, draw); err != nil {
			return err
		}
		fmt.Printf("%d × %d written in %.0f s\n", s.rows, s.dim, time.Since(start).Seconds())
	}
	ds, err := dataset.Open(ctx, path, nil)
	if err != nil {
		return err
	}
	defer ds.Close()
	b := &bench{s: s, ds: ds, search: search.New(ds, nil)}
	random := rand.New(rand.NewPCG(99, 1))
	for range s.queries {
		b.queries = append(b.queries, draw.next(random))
	}
	only := strings.Split(s.only, ",")
	if err := b.exact(ctx, slices.Contains(only, "exact")); err != nil {
		return err
	}
	for _, kind := range []dataset.IndexType{dataset.IVFHNSWSQ, dataset.IVFPQ} {
		if slices.Contains(only, string(kind)) {
			if err := b.index(ctx, kind); err != nil {
				return err
			}
		}
	}
	if slices.Contains(only, "words") {
		if err := b.words(ctx); err != nil {
			return err
		}
	}
	memory("at the end")
	return nil
}

// vectors draws vectors around fixed centres.
type vectors struct{ centres [][]float32 }

func newVectors(dim int) *vectors {
	random := rand.New(rand.NewPCG(20260204, 64))
	v := &vectors{make([][]float32, 64)}
	for i := range v.centres {
		v.centres[i] = make([]float32, dim)
		for j := range dim {
			v.centres[i][j] = float32(random.NormFloat64())
		}
	}
	return v
}

func (v *vectors) next(random *rand.Rand) []float32 {
	centre := v.centres[random.IntN(len(v.centres))]
	vector := make([]float32, len(centre))
	for j, x := range centre {
		vector[j] = x + 0.6*float32(random.NormFloat64())
	}
	return vector
}

// caption draws words as texts have them: a few are in many captions, most in few.
func caption(random *rand.Rand, zipf *rand.Zipf) string {
	var b strings.Builder
	for range 6 + random.IntN(9) {
		fmt.Fprintf(&b, "%s ", word(zipf.Uint64()))
	}
	return strings.TrimSpace(b.String())
}

const vocabulary = 50_000

// word is the n-th word of a made-up language.
func word(n uint64) string {
	syllables := []string{"ba", "ke", "lo", "mi", "nu", "ra", "se", "ti", "vo", "zu", "dra", "flo", "gre", "pli", "sko", "tru"}
	var b strings.Builder
	for n += 16; n > 0; n /= 16 {
		b.WriteString(syllables[n%16])
	}
	return b.String()
}

func (s *settings) generate(ctx context.Context, path string, draw *vectors) error {
	ds, err := dataset.Create(ctx, path, item{}, dataset.Info{Name: "search"}, nil)
	if err != nil {
		return err
	}
	defer ds.Close()
	class, err := schema.ClassOf(schema.ViewEmbedding{})
	if err != nil {
		return err
	}
	if class, err = class.WithDim(s.dim); err != nil {
		return err
	}
	if err := ds.CreateTable(ctx, "image_embedding", class, schema.OneToOne); err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(1, 1))
	zipf := rand.NewZipf(random, 1.1, 10, vocabulary)
	ds = ds.WithChecks(dataset.Checks{Mode: dataset.CheckNone})
	const step = 50_000
	for from := 0; from < s.rows; from += step {
		n := min(step, s.rows-from)
		items := make([]captioned, 0, n)
		rows := make([]schema.ViewEmbedding, 0, n)
		for i := from; i < from+n; i++ {
			id := fmt.Sprintf("item-%08d", i)
			items = append(items, captioned{schema.Item{ID: id, Split: []string{"train", "val"}[i%5/4]}, caption(random, zipf)})
			rows = append(rows, schema.ViewEmbedding{Embedding: schema.Embedding{
				ID: fmt.Sprintf("emb-%08d", i), ItemRef: features.Item(id), Vector: draw.next(random),
			}})
		}
		if err := ds.Add(ctx, "item", items); err != nil {
			return err
		}
		if err := ds.Add(ctx, "image_embedding", rows); err != nil {
			return err
		}
	}
	return nil
}

type bench struct {
	s       *settings
	ds      *dataset.Dataset
	search  *search.Searcher
	queries [][]float32
	near    []map[string]bool // the nearest rows by query
	median  time.Duration     // of an exact search
}

// exact searches without an index and, if asked to, takes turns with Python.
func (b *bench) exact(ctx context.Context, compare bool) error {
	var python *peer
	if compare {
		var err error
		if python, err = startPeer(ctx, filepath.Join(b.ds.Path(), "db")); err != nil {
			fmt.Fprintln(os.Stderr, "bench: Python is left out:", err)
		} else {
			defer python.stop()
		}
	}
	var mine, theirs []time.Duration
	for i, vector := range append(b.queries[:1:1], b.queries...) { // the first one warms up
		start := time.Now()
		r, err := b.search.Search(ctx, search.Query{Table: "image_embedding", Vector: vector, Limit: nearest, ByRow: true, Exact: true})
		if err != nil {
			return err
		}
		d := time.Since(start)
		near := map[string]bool{}
		for _, h := range r.Hits {
			near[h.ID] = true
		}
		if python != nil {
			seconds, ids, err := python.search(vector)
			if err != nil {
				return err
			}
			for _, id := range ids {
				if !near[id] {
					return fmt.Errorf("query %d: Python finds %s, Go does not", i, id)
				}
			}
			if i > 0 {
				theirs = append(theirs, seconds)
			}
		}
		if i > 0 {
			mine = append(mine, d)
			b.near = append(b.near, near)
		}
	}
	b.median, _ = percentiles(mine)
	printTimes("exact, Go", mine, "")
	if python != nil {
		median, _ := percentiles(theirs)
		printTimes("exact, Python", theirs, fmt.Sprintf("Python/Go %.2f", median.Seconds()/b.median.Seconds()))
	}
	memory("after exact searches")
	return nil
}

// index builds an index of a kind, and searches with it in several ways.
func (b *bench) index(ctx context.Context, kind dataset.IndexType) error {
	const name = "vector_idx"
	index := dataset.Index{Table: "image_embedding", Column: "vector", Name: name, Type: kind, Partitions: b.s.partitions, M: b.s.m, EFConstruction: b.s.construction}
	if kind == dataset.IVFPQ {
		index.SubVectors = b.s.dim / 4
	}
	info, err := b.built(ctx, index)
	if err != nil {
		return err
	}
	fmt.Printf("%s: built in %.0f s, %.0f MB, %d partitions\n", kind, info.Seconds, float64(info.Bytes)/1e6, info.Partitions)
	memory("after building")
	type way struct{ nprobes, ef, refine int }
	var ways []way
	probes, candidates, refines := []int{16, 32, 64}, []int{0}, []int{1, 4, 6, 10}
	if kind == dataset.IVFHNSWSQ {
		probes, candidates, refines = []int{2, 4, 8, 16}, []int{200, 800, 1600}, []int{0, 2, 4}
	}
	for i, list := range []string{b.s.probes, b.s.candidates, b.s.refines} {
		if list == "" {
			continue
		}
		to := []*[]int{&probes, &candidates, &refines}[i]
		*to = nil
		for _, text := range strings.Split(list, ",") {
			n, err := strconv.Atoi(text)
			if err != nil {
				return err
			}
			*to = append(*to, n)
		}
	}
	for _, nprobes := range probes {
		if nprobes > info.Partitions {
			nprobes = info.Partitions
		}
		for _, ef := range candidates {
			for _, refine := range refines {
				if w := (way{nprobes, ef, refine}); !slices.Contains(ways, w) {
					ways = append(ways, w)
				}
			}
		}
	}
	for _, w := range ways {
		var times []time.Duration
		found := 0
		for i, vector := range append(b.queries[:1:1], b.queries...) {
			start := time.Now()
			r, err := b.search.Search(ctx, search.Query{
				Table: "image_embedding", Vector: vector, Limit: nearest, ByRow: true, NProbes: w.nprobes, EF: w.ef, Refine: w.refine,
			})
			if err != nil {
				return err
			}
			if r.Index == "" {
				return fmt.Errorf("the index is not used")
			}
			if i == 0 {
				continue
			}
			times = append(times, time.Since(start))
			for _, h := range r.Hits {
				if b.near[i-1][h.ID] {
					found++
				}
			}
		}
		median, _ := percentiles(times)
		printTimes(fmt.Sprintf("%s nprobes %d ef %d refine %d", kind, w.nprobes, w.ef, w.refine), times,
			fmt.Sprintf("recall@50 %.3f, exact/this %.1f", float64(found)/float64(nearest*len(b.queries)), b.median.Seconds()/median.Seconds()))
	}
	memory("after searches with the index")
	if b.s.keep {
		return nil
	}
	return b.search.DropIndex(ctx, "image_embedding", name)
}

// built builds an index, unless an earlier run left it.
func (b *bench) built(ctx context.Context, index dataset.Index) (search.IndexInfo, error) {
	infos, err := b.search.Indexes(ctx, index.Table)
	if err != nil {
		return search.IndexInfo{}, err
	}
	for _, info := range infos {
		if info.Type == index.Type && info.OptedIn {
			return info, nil
		}
	}
	return b.search.CreateIndex(ctx, index, &search.BuildOptions{Recall: -1})
}

// words searches captions for two words, one of them rare, without and with a full text index.
func (b *bench) words(ctx context.Context) error {
	random := rand.New(rand.NewPCG(5, 5))
	zipf := rand.NewZipf(random, 1.1, 10, vocabulary)
	texts := make([]string, b.s.queries)
	for i := range texts {
		texts[i] = word(zipf.Uint64()) + " " + word(uint64(random.IntN(vocabulary)))
	}
	run := func(name string) error {
		var times []time.Duration
		for i, text := range append(texts[:1:1], texts...) {
			start := time.Now()
			if _, err := b.search.Search(ctx, search.Query{Table: "item", Words: &search.Words{Text: text}, Limit: nearest}); err != nil {
				return err
			}
			if i > 0 {
				times = append(times, time.Since(start))
			}
		}
		printTimes(name, times, "")
		return nil
	}
	if err := run("words, scanning"); err != nil {
		return err
	}
	info, err := b.search.CreateIndex(ctx, dataset.Index{Table: "item", Column: "caption"}, nil)
	if err != nil {
		return err
	}
	fmt.Printf("FTS: built in %.1f s, %.0f MB\n", info.Seconds, float64(info.Bytes)/1e6)
	if err := run("words, by index"); err != nil {
		return err
	}
	return b.search.DropIndex(ctx, "item", info.Name)
}

func percentiles(times []time.Duration) (p50, p99 time.Duration) {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)/2], sorted[(len(sorted)*99+99)/100-1]
}

func printTimes(name string, times []time.Duration, more string) {
	p50, p99 := percentiles(times)
	fmt.Printf("%-42s p50 %8.1f ms  p99 %8.1f ms  %s\n", name, 1000*p50.Seconds(), 1000*p99.Seconds(), more)
}

// memory prints the largest memory that the process had so far.
func memory(when string) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err == nil {
		fmt.Printf("memory %s: at most %d MB\n", when, usage.Maxrss>>10)
	}
}

// peer is a Python process that searches the same table.
type peer struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

func startPeer(ctx context.Context, dir string) (*peer, error) {
	python, err := exec.Command("scripts/python-env", "--find", "lancedb040").Output()
	if err != nil {
		return nil, fmt.Errorf("no environment lancedb040: %w", err)
	}
	command := exec.CommandContext(ctx, strings.TrimSpace(string(python)), "internal/bench/peer/search.py", dir, "image_embedding")
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &peer{command, in, bufio.NewReader(out)}, command.Start()
}

func (p *peer) search(vector []float32) (time.Duration, []string, error) {
	if err := json.NewEncoder(p.in).Encode(vector); err != nil {
		return 0, nil, err
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return 0, nil, fmt.Errorf("python: %w", err)
	}
	var answer struct {
		Seconds float64
		IDs     []string
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		return 0, nil, err
	}
	return time.Duration(answer.Seconds * float64(time.Second)), answer.IDs, nil
}

func (p *peer) stop() {
	p.in.Close()
	p.command.Wait()
}
