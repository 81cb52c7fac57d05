// Command dataset times the dataset layer on the workloads of Python Pixano's benchmark scripts beside it, under their
// names, and both Pythons on the same inputs, and prints the figures with their ratios.
//
//	scripts/python-env pixano pixano08
//	go run ./internal/bench/dataset [-items 20000] [-boxes 5] [-dim 512] [-repeat 5] [-work DIR] [-only go|0.6|0.8]
//
// Where the environments are missing, their columns are. Times are medians in milliseconds where a workload can repeat.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"pixano/dataset"
	"pixano/features"
	"pixano/schema"
	"pixano/search"
)

type benchObject struct {
	schema.Entity
	Category string
}

type benchVector struct {
	schema.ViewEmbedding
}

type benchItem struct {
	schema.Item
	Image   schema.Image
	Objects []benchObject
	BBoxes  []schema.BBox `pixano:"bboxes"`
}

type settings struct {
	items, boxes, dim, repeat int
	work, only                string
}

func main() {
	var s settings
	flag.IntVar(&s.items, "items", 20_000, "items")
	flag.IntVar(&s.boxes, "boxes", 5, "objects and boxes of each item")
	flag.IntVar(&s.dim, "dim", 512, "dimension of the vectors")
	flag.IntVar(&s.repeat, "repeat", 5, "runs of each workload that can repeat")
	flag.StringVar(&s.work, "work", "", "directory for inputs and datasets (default: a temporary one)")
	flag.StringVar(&s.only, "only", "", "time one side alone: go, 0.6 or 0.8")
	child := flag.Bool("child", false, "time this side in this process and print JSON")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if *child {
		err = s.child(ctx)
	} else {
		err = s.compare(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// side is one of the programs that are timed.
type side struct {
	name    string
	command *exec.Cmd
	seconds map[string]float64
}

func (s *settings) compare(ctx context.Context) error {
	if s.work == "" {
		dir, err := os.MkdirTemp("", "pixano-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		s.work = dir
	}
	size := []string{"--work", s.work, "--items", fmt.Sprint(s.items), "--boxes", fmt.Sprint(s.boxes),
		"--dim", fmt.Sprint(s.dim), "--repeat", fmt.Sprint(s.repeat)}
	var sides []*side
	python := func(name, environment, script string, more ...string) {
		if s.only != "" && s.only != name {
			return
		}
		out, err := exec.Command("scripts/python-env", "--find", environment).Output()
		if err != nil {
			fmt.Fprintf(os.Stderr, "no environment %s: left out\n", environment)
			return
		}
		arguments := append([]string{filepath.Join("internal/bench/peer", script)}, size...)
		sides = append(sides, &side{name: name, command: exec.CommandContext(ctx, strings.TrimSpace(string(out)), append(arguments, more...)...)})
	}
	// The Pythons first: the script of 0.6 makes the inputs.
	python("0.6", "pixano", "peer.py")
	python("0.8", "pixano08", "peer08.py", "--no-rest")
	if s.only == "" || s.only == "go" {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		arguments := []string{"-child", "-work", s.work, "-items", fmt.Sprint(s.items), "-boxes", fmt.Sprint(s.boxes),
			"-dim", fmt.Sprint(s.dim), "-repeat", fmt.Sprint(s.repeat)}
		sides = append(sides, &side{name: "go", command: exec.CommandContext(ctx, self, arguments...)})
	}
	for _, side := range sides {
		fmt.Fprintf(os.Stderr, "timing %s\n", side.name)
		var out bytes.Buffer
		side.command.Stdout, side.command.Stderr = &out, os.Stderr
		if err := side.command.Run(); err != nil {
			return fmt.Errorf("%s: %w", side.name, err)
		}
		var answer struct {
			Seconds map[string]float64 `json:"seconds"`
		}
		if err := json.Unmarshal(out.Bytes(), &answer); err != nil {
			return fmt.Errorf("%s: %w: %.200s", side.name, err, out.Bytes())
		}
		side.seconds = answer.Seconds
	}
	return print(sides)
}

// workloads are in the order of the Python scripts; those that measure no time have a unit.
var workloads = []struct{ name, unit string }{
	{"build", ""}, {"add_embeddings", ""}, {"open", ""}, {"page_items", ""}, {"page_items_sorted", ""}, {"page_where", ""},
	{"by_ids_100", ""}, {"dataset_items_50", ""}, {"all_ids", ""}, {"read_all_bboxes", ""}, {"semantic_search_50", ""},
	{"add_1000_unchecked", ""}, {"update_100", ""}, {"add_checked_1", ""}, {"delete_100", ""},
	{"delete_dataset_items_10", ""}, {"peak_rss_mib", "MiB"}, {"disk_mib", "MiB"},
}

func print(sides []*side) error {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := []string{"workload"}
	var own *side
	for _, side := range sides {
		line = append(line, side.name)
		if side.name == "go" {
			own = side
		}
	}
	for _, side := range sides {
		if side != own && own != nil {
			line = append(line, side.name+"/go")
		}
	}
	fmt.Fprintln(out, strings.Join(line, "\t")+"\t")
	for _, w := range workloads {
		line := []string{w.name}
		for _, side := range sides {
			value, ok := side.seconds[w.name]
			switch {
			case !ok:
				line = append(line, "–")
			case w.unit != "":
				line = append(line, fmt.Sprintf("%.0f %s", value, w.unit))
			default:
				line = append(line, fmt.Sprintf("%.2f ms", value*1000))
			}
		}
		for _, side := range sides {
			if side == own || own == nil {
				continue
			}
			value, ok := side.seconds[w.name]
			if mine := own.seconds[w.name]; ok && mine > 0 {
				line = append(line, fmt.Sprintf("%.1f", value/mine))
			} else {
				line = append(line, "–")
			}
		}
		fmt.Fprintln(out, strings.Join(line, "\t")+"\t")
	}
	return out.Flush()
}

// inputs are the numbers that all sides build their datasets from.
type inputs struct {
	vectors, queries, boxes, confidence []float32
}

func (s *settings) inputs() (*inputs, error) {
	dir := filepath.Join(s.work, "inputs")
	read := func(name string, count int) ([]float32, error) {
		file, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		defer file.Close()
		// As the scripts of the Pythons do, without a second copy: it would count as memory of the program.
		values := make([]float32, count)
		buffer := make([]byte, 1<<16)
		for rest := values; len(rest) > 0; {
			part := buffer[:min(len(buffer), 4*len(rest))]
			if _, err := io.ReadFull(file, part); err != nil {
				return nil, fmt.Errorf("%s: want %d bytes: %w", name, 4*count, err)
			}
			for i := range len(part) / 4 {
				rest[i] = math.Float32frombits(binary.LittleEndian.Uint32(part[4*i:]))
			}
			rest = rest[len(part)/4:]
		}
		return values, nil
	}
	items := s.items + 200
	if _, err := os.Stat(dir); os.IsNotExist(err) {
		// Without Python beside it, numbers of the same kind do.
		random := rand.New(rand.NewPCG(1, 2))
		values := func(n int, draw func() float64) []float32 {
			list := make([]float32, n)
			for i := range list {
				list[i] = float32(draw())
			}
			return list
		}
		half := func() float64 { return random.Float64() / 2 }
		return &inputs{values(items*s.dim, random.NormFloat64), values(100*s.dim, random.NormFloat64),
			values(items*s.boxes*4, half), values(items*s.boxes, random.Float64)}, nil
	}
	var in inputs
	var err error
	for _, file := range []struct {
		to    *[]float32
		name  string
		count int
	}{
		{&in.vectors, "vectors.f32", items * s.dim}, {&in.queries, "queries.f32", 100 * s.dim},
		{&in.boxes, "boxes.f32", items * s.boxes * 4}, {&in.confidence, "confidence.f32", items * s.boxes},
	} {
		if *file.to, err = read(file.name, file.count); err != nil {
			return nil, err
		}
	}
	return &in, nil
}

// tables are the rows of some items.
type tables struct {
	items   []schema.Item
	images  []schema.Image
	objects []benchObject
	boxes   []schema.BBox
}

func (s *settings) rows(in *inputs, from, to int) *tables {
	n := to - from
	t := &tables{make([]schema.Item, 0, n), make([]schema.Image, 0, n), make([]benchObject, 0, n*s.boxes), make([]schema.BBox, 0, n*s.boxes)}
	for i := from; i < to; i++ {
		item := features.Item(fmt.Sprintf("item-%08d", i))
		view := features.View("image", fmt.Sprintf("image-%08d", i))
		split := "train"
		if i%5 == 0 {
			split = "val"
		}
		t.items = append(t.items, schema.Item{ID: item.ID, Split: split})
		t.images = append(t.images, schema.Image{
			View: schema.View{ID: view.ID, ItemRef: item}, URL: fmt.Sprintf("%08d.jpg", i), Width: 640, Height: 480, Format: "JPEG",
		})
		for b := range s.boxes {
			k := i*s.boxes + b
			entity := features.Entity("objects", fmt.Sprintf("object-%09d", k))
			t.objects = append(t.objects, benchObject{schema.Entity{ID: entity.ID, ItemRef: item, ViewRef: view}, fmt.Sprintf("class-%02d", k%80)})
			coords := make([]float64, 4)
			for j := range coords {
				coords[j] = float64(in.boxes[4*k+j])
			}
			t.boxes = append(t.boxes, schema.BBox{
				Annotation: schema.Annotation{
					ID: fmt.Sprintf("bbox-%09d", k), ItemRef: item, ViewRef: view, EntityRef: entity,
					SourceRef: features.Source(schema.GroundTruthID),
				},
				Coords: coords, Format: "xywh", IsNormalized: true, Confidence: float64(in.confidence[k]),
			})
		}
	}
	return t
}

// child times this side.
func (s *settings) child(ctx context.Context) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(30) // as the command does
	}
	in, err := s.inputs()
	if err != nil {
		return err
	}
	target := filepath.Join(s.work, "go")
	if err := os.RemoveAll(target); err != nil {
		return err
	}
	// What the program itself takes before any work, to be told from what the work takes.
	seconds := map[string]float64{}
	times := func(name string, n int, run func(i int) error) error {
		var all []time.Duration
		for i := range n {
			start := time.Now()
			if err := run(i); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			all = append(all, time.Since(start))
		}
		slices.Sort(all)
		seconds[name] = all[len(all)/2].Seconds()
		fmt.Fprintf(os.Stderr, "%-32s %9.4f s\n", name, seconds[name])
		return nil
	}
	var ds *dataset.Dataset
	type workload struct {
		name  string
		times int
		run   func(i int) error
	}
	get := func(table string, dst any, q dataset.Query) error { return ds.Get(ctx, table, dst, q) }
	half, last := s.items/2, s.items-50
	ids := make([]string, 100)
	for i := range ids {
		ids[i] = fmt.Sprintf("bbox-%09d", (i*7919)%(s.items*s.boxes))
	}
	unchecked := dataset.Checks{Mode: dataset.CheckNone}
	var mine []schema.BBox
	fresh := s.rows(in, s.items, s.items+200)
	one := s.rows(in, 0, 1).boxes[0]
	list := []workload{
		{"build", 1, func(int) error { return s.build(ctx, in, target) }},
		{"add_embeddings", 1, func(int) (err error) {
			if ds, err = dataset.Open(ctx, target, nil); err != nil {
				return err
			}
			err = s.embed(ctx, ds, in)
			in.vectors = nil // which are in the dataset now
			return err
		}},
		{"open", s.repeat, func(int) error {
			d, err := dataset.Open(ctx, target, nil)
			if err != nil {
				return err
			}
			defer d.Close()
			_, err = d.Count(ctx, "item", dataset.Query{})
			return err
		}},
		{"page_items", s.repeat, func(int) error {
			var rows []schema.Item
			return get("item", &rows, dataset.Query{Limit: 50, Offset: last})
		}},
		{"page_items_sorted", s.repeat, func(int) error {
			var rows []schema.Item
			return get("item", &rows, dataset.Query{Limit: 50, Offset: half, OrderBy: "split desc"})
		}},
		{"page_where", s.repeat, func(int) error {
			var rows []schema.BBox
			return get("bboxes", &rows, dataset.Query{Limit: 50, Offset: half, Where: "confidence > 0.25"})
		}},
		{"by_ids_100", s.repeat, func(int) error {
			missing, err := ds.ByID(ctx, "bboxes", &mine, ids...)
			if err == nil && len(missing) > 0 {
				err = fmt.Errorf("%d rows are missing", len(missing))
			}
			return err
		}},
		{"dataset_items_50", s.repeat, func(int) error {
			var items []benchItem
			err := ds.Items(ctx, &items, dataset.Query{Limit: 50, Offset: half})
			if err == nil && (len(items) != 50 || len(items[49].BBoxes) != s.boxes) {
				err = fmt.Errorf("%d items came", len(items))
			}
			return err
		}},
		{"all_ids", s.repeat, func(int) error { _, err := ds.IDs(ctx, "item", dataset.Query{}); return err }},
		{"read_all_bboxes", s.repeat, func(int) error {
			var rows []schema.BBox
			err := get("bboxes", &rows, dataset.Query{})
			if err == nil && len(rows) != s.items*s.boxes {
				err = fmt.Errorf("%d rows came", len(rows))
			}
			return err
		}},
		{"semantic_search_50", s.repeat, func(i int) error {
			r, err := search.New(ds, nil).Search(ctx, search.Query{Table: "image_embedding", Vector: in.queries[i*s.dim : (i+1)*s.dim], Limit: 50, Ranking: true})
			if err != nil {
				return err
			}
			if len(r.Ranking) != s.items {
				return fmt.Errorf("%d items are ranked", len(r.Ranking))
			}
			var items []schema.Item
			_, err = ds.ByID(ctx, "item", &items, r.Ranking[:50]...)
			return err
		}},
		{"add_1000_unchecked", 1, func(int) error {
			return ds.WithChecks(unchecked).Add(ctx, "bboxes", fresh.boxes[:min(1000, len(fresh.boxes))])
		}},
		{"update_100", s.repeat, func(int) error { _, err := ds.WithChecks(unchecked).Update(ctx, "bboxes", mine); return err }},
		{"add_checked_1", s.repeat, func(i int) error {
			box := one
			box.ID = fmt.Sprintf("new-%d", i)
			return ds.Add(ctx, "bboxes", box)
		}},
		{"delete_100", 1, func(int) error { _, err := ds.Delete(ctx, "bboxes", ids...); return err }},
		{"delete_dataset_items_10", 1, func(int) error {
			doomed := make([]string, 10)
			for i := range doomed {
				doomed[i] = fmt.Sprintf("item-%08d", i)
			}
			_, err := ds.DeleteItems(ctx, doomed...)
			return err
		}},
	}
	for _, w := range list {
		if err := times(w.name, w.times, w.run); err != nil {
			return err
		}
	}
	if err := ds.Close(); err != nil {
		return err
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err == nil && runtime.GOOS == "linux" {
		seconds["peak_rss_mib"] = float64(usage.Maxrss) / 1024
	}
	var size int64
	err = filepath.WalkDir(target, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	seconds["disk_mib"] = float64(size) / (1 << 20)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"items": s.items, "boxes": s.boxes, "dim": s.dim, "seconds": seconds})
}

// embed makes the table of vectors and adds them.
func (s *settings) embed(ctx context.Context, ds *dataset.Dataset, in *inputs) error {
	class, err := schema.ClassOf(benchVector{})
	if err != nil {
		return err
	}
	if class, err = class.WithDim(s.dim); err != nil {
		return err
	}
	if err := ds.CreateTable(ctx, "image_embedding", class, schema.OneToOne); err != nil {
		return err
	}
	const step = 10_000
	for from := 0; from < s.items; from += step {
		to := min(from+step, s.items)
		rows := make([]benchVector, 0, to-from)
		for i := from; i < to; i++ {
			rows = append(rows, benchVector{schema.ViewEmbedding{
				Embedding: schema.Embedding{
					ID: fmt.Sprintf("emb-%08d", i), ItemRef: features.Item(fmt.Sprintf("item-%08d", i)),
					Vector: in.vectors[i*s.dim : (i+1)*s.dim],
				},
				ViewRef: features.View("image", fmt.Sprintf("image-%08d", i)),
			}})
		}
		if err := ds.WithChecks(dataset.Checks{Mode: dataset.CheckNone}).Add(ctx, "image_embedding", rows); err != nil {
			return err
		}
	}
	return nil
}
