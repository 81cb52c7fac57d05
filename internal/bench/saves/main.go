// Command saves stores single rows from several writers, with readers that check what they see meanwhile, and prints how
// fast that is, and what it takes of disk and memory before and after maintenance:
//
//	go run ./internal/bench/saves -saves 100000 -writers 10
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"pixano/dataset"
	"pixano/features"
	"pixano/internal/lance"
	"pixano/schema"
)

// Scene is the dataset: items with objects and boxes.
type Scene struct {
	schema.Item
	Ledger  int64
	Objects []Object
	BBoxes  []schema.BBox `pixano:"bboxes"`
}

// Object keeps the other side of an item's ledger.
type Object struct {
	schema.Entity
	Ledger int64
}

// SceneItem is a Scene's row of the table of items.
type SceneItem struct {
	schema.Item
	Ledger int64
}

const ledger = 1000 // what the ledgers of an item and its object sum up to

var (
	saves   = flag.Int("saves", 10_000, "single-row saves")
	writers = flag.Int("writers", 10, "writers that save at once")
	boxes   = flag.Int("boxes", 20_000, "boxes in the dataset")
	limit   = flag.Duration("for", time.Hour, "stop saving after so long")
	readers = flag.Int("readers", 2, "readers that check meanwhile")
	pause   = flag.Duration("pause", 50*time.Millisecond, "of a reader between reads")
	dir     = flag.String("dir", "", "where to make the dataset (default: a temporary directory)")
)

func main() {
	flag.Parse()
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	root := *dir
	if root == "" {
		var err error
		if root, err = os.MkdirTemp("", "pixano-saves-"); err != nil {
			return err
		}
		defer os.RemoveAll(root)
	}
	path := filepath.Join(root, "scenes")
	ds, err := dataset.Create(ctx, path, Scene{}, dataset.Info{}, nil)
	if err != nil {
		return err
	}
	defer ds.Close()
	b := &bench{ds: ds, path: path, last: make([]atomic.Int64, *boxes), mine: make([]sync.Mutex, *boxes)}
	if err := b.fill(ctx); err != nil {
		return err
	}
	alone := min(500, *saves/10)
	latency, took, err := b.save(ctx, 1, alone)
	if err != nil {
		return err
	}
	report("one writer", latency, took)
	fmt.Printf("memory before: %.0f MB\n", memory())
	stop := make(chan struct{})
	var watching sync.WaitGroup
	for i := range *readers {
		watching.Go(func() { b.watch(ctx, uint64(i), stop) })
	}
	watching.Go(func() { b.keepLedgers(ctx, stop) })
	watching.Go(func() { b.snapshots(ctx, stop) })
	latency, took, err = b.save(ctx, *writers, *saves)
	close(stop)
	watching.Wait()
	if err = errors.Join(err, b.failure()); err != nil {
		return err
	}
	report(fmt.Sprintf("%d writers", *writers), latency, took)
	fmt.Printf("%d reads checked, %d saves of two tables, %d snapshots checked\n", b.reads.Load(), b.pairs.Load(), b.snaps.Load())
	background, err := ds.Background()
	if err != nil {
		return err
	}
	fmt.Printf("maintenance in the background: %+v\n", background)
	if err := b.checkAll(ctx); err != nil {
		return err
	}
	return b.disk(ctx)
}

type bench struct {
	ds   *dataset.Dataset
	path string
	last []atomic.Int64 // by box: the number that was acknowledged last
	mine []sync.Mutex   // by box: held by the writer that saves it

	reads, pairs, snaps atomic.Int64

	mu     sync.Mutex
	failed error
}

func (b *bench) fail(err error) {
	b.mu.Lock()
	b.failed = cmp.Or(b.failed, err)
	b.mu.Unlock()
}

func (b *bench) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed
}

func boxID(i int) string { return fmt.Sprintf("box%06d", i) }

// box makes a box whose coordinates all tell the number of its save.
func box(i int, n int64) schema.BBox {
	row := schema.NewBBox(boxID(i))
	row.ItemRef, row.EntityRef = features.Item("item"+strconv.Itoa(i%100)), features.Entity("objects", "object"+strconv.Itoa(i%100))
	row.Format, row.Coords = features.FormatXYXY, []float64{float64(i), float64(n), float64(i) + float64(n), 2 * float64(n)}
	return row
}

func (b *bench) fill(ctx context.Context) error {
	var items []SceneItem
	var objects []Object
	for i := range 100 {
		items = append(items, SceneItem{schema.NewItem("item" + strconv.Itoa(i)), 0})
		objects = append(objects, Object{schema.Entity{ID: "object" + strconv.Itoa(i), ItemRef: features.Item("item" + strconv.Itoa(i))}, ledger})
	}
	rows := make([]schema.BBox, *boxes)
	for i := range rows {
		rows[i] = box(i, 0)
	}
	_, err := b.ds.Apply(ctx, dataset.ChangeSet{Author: "bench", Changes: []dataset.Change{dataset.Insert("item", items), dataset.Insert("objects", objects)}})
	if err == nil {
		err = b.ds.Add(ctx, "bboxes", rows)
	}
	return err
}

// save makes saves of random boxes, and returns how long each took, and all.
func (b *bench) save(ctx context.Context, writers, saves int) ([]time.Duration, time.Duration, error) {
	latency := make([]time.Duration, saves)
	var next, made atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	tenth := int64(max(1, saves/10))
	for w := range writers {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), uint64(saves)))
			for b.failure() == nil {
				n := next.Add(1) - 1
				if n >= int64(saves) || time.Since(began) > *limit {
					return
				}
				made.Add(1)
				if n > 0 && n%tenth == 0 && saves > 1000 {
					fmt.Printf("  after %d saves, %.0f s: memory %.0f MB (%.0f of it Go's heap), disk %.1f MB\n", n, time.Since(began).Seconds(), memory(), heap(), folder(b.path))
				}
				i := r.IntN(*boxes)
				b.mine[i].Lock()
				number := b.last[i].Load() + 1
				start := time.Now()
				_, err := b.ds.Apply(ctx, dataset.ChangeSet{Author: "writer" + strconv.Itoa(w), Changes: []dataset.Change{dataset.Put("bboxes", box(i, number))}})
				latency[n] = time.Since(start)
				b.last[i].Store(number)
				b.mine[i].Unlock()
				if err != nil {
					b.fail(err)
				}
			}
		})
	}
	all.Wait()
	return latency[:made.Load()], time.Since(began), b.failure()
}

func report(who string, latency []time.Duration, took time.Duration) {
	slices.Sort(latency)
	at := func(share float64) float64 { return latency[int(share*float64(len(latency)-1))].Seconds() * 1000 }
	fmt.Printf("%s: %d saves in %.1f s, %.0f a second; p50 %.1f ms, p99 %.1f ms, longest %.0f ms\n", who, len(latency), took.Seconds(),
		float64(len(latency))/took.Seconds(), at(0.5), at(0.99), at(1))
}

// watch reads boxes by their ids and checks that each is whole, and no older than what was acknowledged before the read.
func (b *bench) watch(ctx context.Context, seed uint64, stop chan struct{}) {
	r := rand.New(rand.NewPCG(seed, 99))
	for {
		select {
		case <-stop:
			return
		case <-time.After(*pause):
		}
		least := map[string]int64{}
		var ids []string
		for range 10 {
			i := r.IntN(*boxes)
			ids = append(ids, boxID(i))
			least[boxID(i)] = b.last[i].Load()
		}
		var rows []schema.BBox
		if err := b.ds.Get(ctx, "bboxes", &rows, dataset.Query{IDs: ids}); err != nil {
			b.fail(err)
			return
		}
		if len(rows) != len(least) {
			b.fail(fmt.Errorf("%d of %d boxes are there", len(rows), len(least)))
		}
		for _, row := range rows {
			if c := row.Coords; c[2] != c[0]+c[1] || c[3] != 2*c[1] || int64(c[1]) < least[row.ID] {
				b.fail(fmt.Errorf("box %s is %v, %d was acknowledged", row.ID, c, least[row.ID]))
			}
		}
		b.reads.Add(1)
	}
}

// keepLedgers moves amounts between an item and its object, in one change set.
func (b *bench) keepLedgers(ctx context.Context, stop chan struct{}) {
	r := rand.New(rand.NewPCG(7, 7))
	for {
		select {
		case <-stop:
			return
		case <-time.After(100 * time.Millisecond):
		}
		id, n := strconv.Itoa(r.IntN(100)), r.Int64N(ledger)
		_, err := b.ds.Apply(ctx, dataset.ChangeSet{Author: "ledger", Changes: []dataset.Change{
			dataset.Put("item", SceneItem{schema.NewItem("item" + id), n}),
			dataset.Put("objects", Object{schema.Entity{ID: "object" + id, ItemRef: features.Item("item" + id)}, ledger - n})}})
		if err != nil {
			b.fail(err)
			return
		}
		b.pairs.Add(1)
	}
}

// snapshots takes snapshots, and checks that the ledgers sum up in each.
func (b *bench) snapshots(ctx context.Context, stop chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-time.After(5 * time.Second):
		}
		name := "s" + strconv.Itoa(n)
		err := b.snapshot(ctx, name)
		if err == nil {
			err = b.ds.DeleteSnapshot(ctx, name)
		}
		if err != nil {
			b.fail(err)
			return
		}
		b.snaps.Add(1)
	}
}

func (b *bench) snapshot(ctx context.Context, name string) error {
	if _, err := b.ds.Snapshot(ctx, name, dataset.SnapshotOptions{}); err != nil {
		return err
	}
	past, err := b.ds.At(ctx, name)
	if err != nil {
		return err
	}
	defer past.Close()
	var items []SceneItem
	var objects []Object
	err = errors.Join(past.Get(ctx, "item", &items, dataset.Query{}), past.Get(ctx, "objects", &objects, dataset.Query{}))
	if err != nil {
		return err
	}
	sums := map[string]int64{}
	for _, item := range items {
		sums[strings.TrimPrefix(item.ID, "item")] += item.Ledger
	}
	for _, object := range objects {
		sums[strings.TrimPrefix(object.ID, "object")] += object.Ledger
	}
	for id, sum := range sums {
		if sum != ledger {
			return fmt.Errorf("snapshot %s: the ledgers of %s sum up to %d", name, id, sum)
		}
	}
	return nil
}

// checkAll checks that every save is there.
func (b *bench) checkAll(ctx context.Context) error {
	var rows []schema.BBox
	if err := b.ds.Get(ctx, "bboxes", &rows, dataset.Query{}); err != nil {
		return err
	}
	if len(rows) != *boxes {
		return fmt.Errorf("%d boxes, want %d", len(rows), *boxes)
	}
	for _, row := range rows {
		i, _ := strconv.Atoi(strings.TrimPrefix(row.ID, "box"))
		if int64(row.Coords[1]) != b.last[i].Load() {
			return fmt.Errorf("box %s has number %v, %d was acknowledged", row.ID, row.Coords[1], b.last[i].Load())
		}
	}
	events := 0
	for event, err := range b.ds.History(ctx, dataset.HistoryQuery{Table: "bboxes"}) {
		if err != nil {
			return err
		}
		if event.Kind == dataset.EventChange && strings.HasPrefix(event.Author, "writer") {
			events++
		}
	}
	made := int64(0)
	for i := range b.last {
		made += b.last[i].Load()
	}
	if int64(events) != made {
		return fmt.Errorf("%d saves in the history, %d were made", events, made)
	}
	fmt.Printf("all of %d saves are in the table and in the history\n", made)
	return nil
}

// disk prints what is on disk, and what maintenance makes of it.
func (b *bench) disk(ctx context.Context) error {
	fmt.Printf("disk: %.1f MB before\n", folder(b.path))
	did, err := b.ds.Optimize(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("disk: %.1f MB after maintenance (%.1f s, saves held up %d ms at most, %d entries folded), versions of ten minutes kept\n",
		folder(b.path), float64(did.MillisecondsIn)/1000, did.LongestHoldMS, did.EntriesFolded)
	if err := b.ds.Close(); err != nil {
		return err
	}
	// As ten minutes later.
	later, err := dataset.Open(ctx, b.path, &dataset.Options{Maintenance: dataset.Maintenance{KeepFor: -1, Off: true}})
	if err != nil {
		return err
	}
	defer later.Close()
	if did, err = later.Optimize(ctx); err != nil {
		return err
	}
	live, err := b.live(ctx)
	if err != nil {
		return err
	}
	history := folder(filepath.Join(b.path, ".pixano"))
	fmt.Printf("disk: %.1f MB after maintenance ten minutes later (%.1f s); live data %.1f MB, history %.1f MB: %.2f times both\n",
		folder(b.path), float64(did.MillisecondsIn)/1000, live, history, folder(b.path)/(live+history))
	fmt.Printf("memory after: %.0f MB\n", memory())
	return nil
}

// live is the size in MB of the data files of the newest versions.
func (b *bench) live(ctx context.Context) (float64, error) {
	db, err := lance.Connect(ctx, filepath.Join(b.path, "db"), nil)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	names, err := db.TableNames(ctx)
	sum := int64(0)
	for _, name := range names {
		t, err := db.OpenTable(ctx, name, nil)
		if err != nil {
			return 0, err
		}
		info, err := t.Info(ctx, true)
		t.Close()
		if err != nil {
			return 0, err
		}
		sum += max(info.Bytes, 0)
	}
	return float64(sum) / 1e6, err
}

// folder is the size in MB of the files in a folder.
func folder(path string) float64 {
	var sum int64
	filepath.WalkDir(path, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			if st, err := entry.Info(); err == nil {
				sum += st.Size()
			}
		}
		return nil // files come and go
	})
	return float64(sum) / 1e6
}

// memory is what the process has resident, in MB.
func memory() float64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	pages, _ := strconv.ParseFloat(fields[1], 64)
	return pages * float64(os.Getpagesize()) / 1e6
}

// heap is what is reachable in Go's heap, in MB, and what was not collected yet.
func heap() float64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / 1e6
}
