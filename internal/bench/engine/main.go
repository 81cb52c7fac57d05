// Command engine times the storage engine as Go programs use it beside Python's lancedb of the same generation, on
// copies of the same tables, and prints both with their ratio.
//
//	scripts/python-env lancedb040
//	go run ./internal/bench/engine [-rows 100000] [-vectors 20000] [-repeat 21] [-python PATH] [-work DIR]
//
// Times are medians. The machine's speed drifts, so the two sides take turns, workload by workload.
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
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"pixano/features"
	"pixano/internal/lance"
	"pixano/internal/lance/lib"
	"pixano/internal/rowcodec"
	"pixano/schema"
)

const dim = 512

// embedding is a vector of the benchmark tables.
type embedding struct {
	schema.Embedding `pixano:",dim=512"`
}

type settings struct {
	rows, vectors, repeat int
	python, work          string
}

func main() {
	var s settings
	flag.IntVar(&s.rows, "rows", 100_000, "rows of the table of boxes")
	flag.IntVar(&s.vectors, "vectors", 20_000, "rows of the table of vectors")
	flag.IntVar(&s.repeat, "repeat", 21, "runs of each workload")
	flag.StringVar(&s.python, "python", "", "interpreter with lancedb (default: the environment lancedb040 of scripts/python-env)")
	flag.StringVar(&s.work, "work", "", "directory for the tables (default: a temporary one)")
	first := flag.String("first-row", "", "open the tables in this directory, read one row and exit")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if *first != "" {
		err = firstRow(ctx, *first)
	} else {
		err = s.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (s *settings) run(ctx context.Context) error {
	if s.python == "" {
		out, err := exec.Command("scripts/python-env", "--find", "lancedb040").Output()
		if err != nil {
			return fmt.Errorf("no Python to compare with: run scripts/python-env lancedb040 first (%w)", err)
		}
		s.python = strings.TrimSpace(string(out))
	}
	if s.work == "" {
		dir, err := os.MkdirTemp("", "pixano-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		s.work = dir
	}
	mine, theirs := filepath.Join(s.work, "go"), filepath.Join(s.work, "python")
	if err := s.makeTables(ctx, mine); err != nil {
		return err
	}
	if err := os.CopyFS(theirs, os.DirFS(mine)); err != nil {
		return err
	}
	peer, err := startPeer(ctx, s.python, theirs)
	if err != nil {
		return err
	}
	defer peer.stop()
	own, err := newWorkloads(ctx, mine)
	if err != nil {
		return err
	}
	defer own.close()

	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(out, "%d boxes, %d vectors of %d; medians of %d runs\n", s.rows, s.vectors, dim, s.repeat)
	fmt.Fprintln(out, "workload\tGo ms\tPython ms\tPython/Go\t")
	report := func(name string, a, b []time.Duration) {
		x, y := median(a), median(b)
		fmt.Fprintf(out, "%s\t%.2f\t%.2f\t%.2f\t\n", name, ms(x), ms(y), float64(y)/float64(x))
	}
	for _, w := range own.list {
		var a, b []time.Duration
		for i := range s.repeat + 2 {
			if w.prepare != nil {
				if err := w.prepare(i); err != nil {
					return fmt.Errorf("%s: %w", w.name, err)
				}
			}
			x, err := timed(func() error { return w.run(ctx, i) })
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			y, err := peer.run(w.name, i)
			if err != nil {
				return err
			}
			if i >= 2 { // the first runs fill caches
				a, b = append(a, x), append(b, y)
			}
		}
		report(w.name, a, b)
	}
	a, b, err := s.processStart(ctx, mine, theirs)
	if err != nil {
		return err
	}
	report("process start to first row", a, b)
	if err := out.Flush(); err != nil {
		return err
	}
	return sizes()
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func timed(f func() error) (time.Duration, error) {
	start := time.Now()
	err := f()
	return time.Since(start), err
}

func box(r *rand.Rand, i int) schema.BBox {
	b := schema.NewBBox(fmt.Sprintf("box_%07d", i))
	b.CreatedAt = time.Date(2026, 1, 2, 3, 4, 5, i%1_000_000*1000, time.UTC)
	b.UpdatedAt = b.CreatedAt
	b.ItemRef = features.Item(fmt.Sprintf("item_%06d", i/5))
	b.ViewRef = features.View("image", fmt.Sprintf("image_%06d", i/5))
	b.EntityRef = features.Entity("objects", fmt.Sprintf("object_%07d", i))
	b.SourceRef = features.Source("model")
	b.InferenceMetadata = "{}"
	b.Coords = []float64{r.Float64(), r.Float64(), r.Float64(), r.Float64()}
	b.Format, b.IsNormalized, b.Confidence = "xywh", true, r.Float64()
	return b
}

func encode[T any](rows []T) (arrow.RecordBatch, error) {
	c, err := rowcodec.For(reflect.TypeFor[T]())
	if err != nil {
		return nil, err
	}
	s, err := c.Schema()
	if err != nil {
		return nil, err
	}
	return c.Encode(rows, s)
}

func (s *settings) makeTables(ctx context.Context, dir string) error {
	r := rand.New(rand.NewPCG(2026, 2))
	conn, err := lance.Connect(ctx, dir, nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	boxes := make([]schema.BBox, s.rows)
	for i := range boxes {
		boxes[i] = box(r, i)
	}
	vectors := make([]embedding, s.vectors)
	for i := range vectors {
		v := &vectors[i]
		v.ID, v.ItemRef, v.Shape = fmt.Sprintf("emb_%06d", i), features.Item(fmt.Sprintf("item_%06d", i)), []int64{dim}
		v.Vector = make([]float32, dim)
		for j := range v.Vector {
			v.Vector[j] = float32(r.NormFloat64())
		}
	}
	one, err := encode(boxes)
	if err != nil {
		return err
	}
	two, err := encode(vectors)
	if err != nil {
		return err
	}
	for name, batch := range map[string]arrow.RecordBatch{"bboxes": one, "writes": one, "vectors": two} {
		table, err := conn.CreateTable(ctx, name, batch.Schema(), lance.FromBatches(batch.Schema(), batch), nil)
		if err != nil {
			return err
		}
		table.Close()
	}
	return nil
}

type workload struct {
	name    string
	run     func(ctx context.Context, i int) error
	prepare func(i int) error // not timed: makes the Arrow data that run writes
}

type workloads struct {
	conn                    *lance.Connection
	boxes, vectors, written *lance.Table
	list                    []workload
}

func (w *workloads) close() { w.conn.Close() }

func newWorkloads(ctx context.Context, dir string) (*workloads, error) {
	conn, err := lance.Connect(ctx, dir, nil)
	if err != nil {
		return nil, err
	}
	w := &workloads{conn: conn}
	for name, table := range map[string]**lance.Table{"bboxes": &w.boxes, "vectors": &w.vectors, "writes": &w.written} {
		if *table, err = conn.OpenTable(ctx, name, nil); err != nil {
			return nil, err
		}
	}
	rows := func(t *lance.Table, q lance.Query, want int64) error {
		var n int64
		for batch, err := range t.Batches(ctx, q) {
			if err != nil {
				return err
			}
			n += batch.NumRows()
		}
		if want >= 0 && n != want {
			return fmt.Errorf("got %d rows, want %d", n, want)
		}
		return nil
	}
	r := rand.New(rand.NewPCG(7, 7))
	all, err := w.boxes.Count(ctx, "")
	if err != nil {
		return nil, err
	}
	random := func() []float32 {
		v := make([]float32, dim)
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
		return v
	}
	var data arrow.RecordBatch
	w.list = []workload{
		{name: "full scan to Arrow", run: func(ctx context.Context, i int) error { return rows(w.boxes, lance.Query{}, all) }},
		{name: "page of 50", run: func(ctx context.Context, i int) error {
			return rows(w.boxes, lance.Query{Limit: 50, Offset: int(all) / 2}, 50)
		}},
		{name: "page of 50 with filter", run: func(ctx context.Context, i int) error {
			return rows(w.boxes, lance.Query{Where: "confidence > 0.5", Limit: 50, Offset: 1000}, 50)
		}},
		{name: "one row by id", run: func(ctx context.Context, i int) error {
			return rows(w.boxes, lance.Query{Where: fmt.Sprintf("id = 'box_%07d'", (i*7919)%int(all)), Limit: 1}, 1)
		}},
		{name: "vector top 50, exact", run: func(ctx context.Context, i int) error {
			return rows(w.vectors, lance.Query{Limit: 50, BatchRows: 1024, Vector: &lance.VectorQuery{Vectors: [][]float32{random()}, Exact: true}}, 50)
		}},
		{name: "append 1000 rows", prepare: func(i int) error {
			more := make([]schema.BBox, 1000)
			for j := range more {
				more[j] = box(r, 10_000_000+i*1000+j)
			}
			data, err = encode(more)
			return err
		}, run: func(ctx context.Context, i int) error {
			_, err := w.written.Append(ctx, lance.FromBatches(data.Schema(), data), nil)
			return err
		}},
		{name: "merge-insert one row", prepare: func(i int) error {
			data, err = encode([]schema.BBox{box(r, (i*7919)%int(all))})
			return err
		}, run: func(ctx context.Context, i int) error {
			result, err := w.written.MergeInsert(ctx, lance.MergeInsert{On: []string{"id"}, UpdateMatched: true, InsertMissing: true},
				lance.FromBatches(data.Schema(), data), nil)
			if err == nil && result.Updated != 1 {
				err = fmt.Errorf("updated %d rows, want 1", result.Updated)
			}
			return err
		}},
	}
	return w, nil
}

func firstRow(ctx context.Context, dir string) error {
	conn, err := lance.Connect(ctx, dir, nil)
	if err != nil {
		return err
	}
	table, err := conn.OpenTable(ctx, "bboxes", nil)
	if err != nil {
		return err
	}
	for batch, err := range table.Batches(ctx, lance.Query{Limit: 1}) {
		if err != nil {
			return err
		}
		fmt.Println(batch.NumRows())
	}
	return nil
}

// processStart times whole processes that print the count of one row.
func (s *settings) processStart(ctx context.Context, mine, theirs string) (a, b []time.Duration, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	for i := range 7 {
		for _, side := range []struct {
			command []string
			times   *[]time.Duration
		}{{[]string{self, "-first-row", mine}, &a}, {[]string{s.python, "internal/bench/peer/engine.py", "--first-row", theirs}, &b}} {
			d, err := timed(func() error {
				out, err := exec.CommandContext(ctx, side.command[0], side.command[1:]...).Output()
				if err == nil && strings.TrimSpace(string(out)) != "1" {
					err = fmt.Errorf("%s printed %q, want 1", side.command[0], out)
				}
				return err
			})
			if err != nil {
				return nil, nil, err
			}
			if i > 0 {
				*side.times = append(*side.times, d)
			}
		}
	}
	return a, b, nil
}

// sizes prints what a program carries and what its first start costs.
func sizes() error {
	m, err := lib.ReadManifest()
	if err != nil {
		return err
	}
	for platform, l := range m.Libraries {
		fmt.Printf("library %s: %.0f MB, %.0f MB compressed\n", platform, float64(l.Size)/1e6, float64(l.CompressedSize)/1e6)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	info, err := os.Stat(self)
	if err != nil {
		return err
	}
	fmt.Printf("this program: %.0f MB\n", float64(info.Size())/1e6)
	cache, err := os.MkdirTemp("", "pixano-bench-cache-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(cache)
	command := exec.Command(self, "-first-row", filepath.Join(cache, "none"))
	command.Env = append(os.Environ(), "XDG_CACHE_HOME="+cache, lance.EngineVariable+"=")
	d, _ := timed(command.Run) // fails, as there is no table, after having unpacked the library
	fmt.Printf("start with an empty cache (unpack, verify, load): %.0f ms\n", ms(d))
	return nil
}

// peer is the Python process: a line asks for a run, a line answers with its time.
type peer struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
}

func startPeer(ctx context.Context, python, dir string) (*peer, error) {
	command := exec.CommandContext(ctx, python, "internal/bench/peer/engine.py", dir)
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &peer{command, in, bufio.NewScanner(out)}, command.Start()
}

func (p *peer) run(name string, i int) (time.Duration, error) {
	request, err := json.Marshal(map[string]any{"workload": name, "run": i})
	if err != nil {
		return 0, err
	}
	if _, err := fmt.Fprintf(p.in, "%s\n", request); err != nil {
		return 0, err
	}
	if !p.out.Scan() {
		return 0, fmt.Errorf("python ended during %q", name)
	}
	var answer struct{ Seconds float64 }
	if err := json.Unmarshal(p.out.Bytes(), &answer); err != nil {
		return 0, fmt.Errorf("python: %w", err)
	}
	return time.Duration(answer.Seconds * float64(time.Second)), nil
}

func (p *peer) stop() {
	p.in.Close()
	p.command.Wait()
}
