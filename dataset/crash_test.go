package dataset_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/features"
	"pixano/internal/lance"
	"pixano/internal/rowcodec"
	"pixano/schema"
)

// Street is the aggregate of the datasets that are written by processes that are killed.
type Street struct {
	schema.Item
	Note    string
	Image   schema.Image
	Objects []Thing
	BBoxes  []schema.BBox          `pixano:"bboxes"`
	Vectors []schema.ViewEmbedding `pixano:",dim=4"`
	Wide    []schema.ViewEmbedding `pixano:",dim=2048"` // 130 rows of it are a bulk load
}

// StreetItem is its row of the table of items.
type StreetItem struct {
	schema.Item
	Note string
}

// crashChange is what a change set does to one row: it stores it with the number of the set in it, or deletes it.
type crashChange struct {
	table, id string
	delete    bool
	insert    bool
}

const bulkOfSet, bulkSize = 15, 130

// crashChanges gives what the change set with a number does, one of the endless list of each writer. All write the
// number into several tables, so that a set that is half there shows.
func crashChanges(writer string, n int) []crashChange {
	if writer == "delete" {
		return []crashChange{{table: "vectors", id: "base", delete: true}} // a short line in the log
	}
	h := fnv.New64()
	h.Write([]byte(writer))
	r := rand.New(rand.NewPCG(h.Sum64(), uint64(n)))
	id := func(of int) string { return fmt.Sprintf("%s-%d", writer, r.IntN(of)) }
	if n%bulkOfSet == bulkOfSet-1 {
		var rows []crashChange
		for i := range bulkSize {
			rows = append(rows, crashChange{table: "wide", id: fmt.Sprintf("%s-%d-%d", writer, n, i), insert: true})
		}
		return rows
	}
	object := id(8)
	changes := []crashChange{
		{table: "item", id: writer},
		{table: "image", id: id(8)},
		{table: "objects", id: object},
		{table: "bboxes", id: object},
		{table: "bboxes", id: fmt.Sprintf("%s-new-%d", writer, n), insert: true},
	}
	if n%4 == 0 {
		for i := range 4 {
			changes = append(changes, crashChange{table: "bboxes", id: fmt.Sprintf("%s-new-%d", writer, n-5-i), delete: true})
		}
	}
	if r.IntN(4) == 0 {
		changes = append(changes, crashChange{table: "vectors", id: id(4)})
	}
	for _, table := range []string{"image", "objects", "bboxes", "vectors"} {
		gone := crashChange{table: table, id: id(8), delete: true}
		if r.IntN(8) == 0 && !slices.ContainsFunc(changes, func(c crashChange) bool { return c.table == table && c.id == gone.id }) {
			changes = append(changes, gone)
		}
	}
	if bulk := n - 5; n > bulkOfSet && bulk%bulkOfSet == bulkOfSet-1 {
		for i := range bulkSize {
			changes = append(changes, crashChange{table: "wide", id: fmt.Sprintf("%s-%d-%d", writer, bulk, i), delete: true})
		}
	}
	return changes
}

// crashSteps lists steps of the protocol that the set with a number goes through, one of them if another writer comes in.
func crashSteps(writer string, n int) []string {
	if n%bulkOfSet == bulkOfSet-1 {
		return []string{"appended"}
	}
	steps := []string{"logged", "voided", "noted"}
	for _, c := range crashChanges(writer, n) {
		if step := "committed " + c.table; !c.delete && !slices.Contains(steps, step) {
			steps = append(steps, step)
		}
	}
	return steps
}

// crashRow makes a row that the set with a number stores.
func crashRow(table, id string, n int) any {
	item := features.Item("base")
	switch table {
	case "item":
		return StreetItem{schema.NewItem(id), strconv.Itoa(n)}
	case "image":
		return schema.Image{View: schema.View{ID: id, ItemRef: item}, URL: fmt.Sprintf("é'%d.png", n), Width: int64(n), Height: 7, Format: "PNG"}
	case "objects":
		return Thing{Entity: schema.Entity{ID: id, ItemRef: item}, Category: strconv.Itoa(n), Rank: int64(-n), Weight: float64(n) / 7,
			Tags: make([]string, n%3)}
	case "bboxes":
		b := schema.NewBBox(id)
		b.ItemRef, b.Format, b.IsNormalized = item, features.FormatXYXY, false
		b.EntityRef = features.Entity("objects", objectOfBox(id))
		b.Coords = []float64{float64(n), 0.1, float64(n) + 1.0/3, 1e300}
		return b
	case "vectors":
		return schema.ViewEmbedding{Embedding: schema.Embedding{ID: id, ItemRef: item,
			Vector: []float32{float32(n), float32(n) / 3, -0.1, 1e-30}, Shape: []int64{4}}}
	}
	wide := schema.ViewEmbedding{Embedding: schema.Embedding{ID: id, ItemRef: item, Vector: make([]float32, 2048), Shape: []int64{2048}}}
	wide.Vector[0] = float32(n)
	return wide
}

// objectOfBox is the object that a box is of: the one of its name, which the same set stores.
func objectOfBox(id string) string {
	if strings.Contains(id, "-new-") || !strings.Contains(id, "-") {
		return "base"
	}
	return id
}

// crashState is what rows of a writer there are, and the numbers of the sets that stored them.
type crashState map[[2]string]int

func (s crashState) apply(writer string, n int) {
	for _, c := range crashChanges(writer, n) {
		if c.delete {
			delete(s, [2]string{c.table, c.id})
		} else {
			s[[2]string{c.table, c.id}] = n
		}
	}
}

// crashChild says what the test binary does instead of its tests. It is given in the environment.
type crashChild struct {
	Dir    string
	Writer string
	Pause  time.Duration
}

const crashVariable = "PIXANO_TEST_CRASH"

// crashStart says, on a child's standard input, how it goes.
type crashStart struct {
	First   int    // the number of the first set
	Present bool   // it is there already, although it was not acknowledged
	Fault   string // the step at which the process ends itself
	Nth     int    // the how manyth time
	Outside bool   // rows are added past the log now and then

	Snapshots bool // after each set one is taken, and the one before the last deleted

	Optimize int   // sets between maintenance; 0: 20
	Roll     int64 // size from which on a segment of the log is ended; 0: as it is
}

func TestMain(m *testing.M) {
	text := os.Getenv(crashVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	var c crashChild
	err := json.Unmarshal([]byte(text), &c)
	if err == nil {
		err = c.run(context.Background())
	}
	if err != nil {
		fmt.Println("error", strings.ReplaceAll(err.Error(), "\n", " "))
		os.Exit(1)
	}
}

func (c *crashChild) run(ctx context.Context) error {
	if _, err := dataset.Engine(); err != nil {
		return err
	}
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return nil // the test is over
	}
	var start crashStart
	if err := json.Unmarshal(line, &start); err != nil {
		return err
	}
	if start.Roll > 0 {
		dataset.SetRollBytes(start.Roll)
	}
	stop := make(chan struct{})
	go func() {
		in.ReadByte()
		close(stop)
	}()
	// Rows that others add in the middle of the protocol: before the first commit of an entry it is given up, later it
	// is completed on top of them.
	r := rand.New(rand.NewPCG(uint64(os.Getpid()), 0))
	steps, outside := 0, 0
	dataset.SetFault(func(step string) {
		if step == start.Fault {
			if steps++; steps == start.Nth {
				self, _ := os.FindProcess(os.Getpid())
				self.Kill()
				select {}
			}
		}
		table := []string{"image", "objects", "bboxes", "vectors"}[r.IntN(4)]
		always := start.Fault == "voided" && step == "logged"
		if always {
			table = "item" // of all sets the first to be committed
		}
		if always || start.Outside && r.IntN(20) == 0 {
			outside++
			id := fmt.Sprintf("outside%d.%d", os.Getpid(), outside)
			if err := c.append(ctx, table, id); err != nil {
				fmt.Println("error", err)
				os.Exit(1)
			}
			fmt.Println("outside", table, id)
		}
	})
	ds, err := dataset.Open(ctx, c.Dir, nil)
	if err != nil {
		return err
	}
	defer ds.Close()
	for n := start.First; ; n++ {
		select {
		case <-stop:
			return nil
		default:
		}
		if err := c.set(ctx, ds, n, start.Present && n == start.First); err != nil {
			return fmt.Errorf("set %d: %w", n, err)
		}
		fmt.Println("ack", n)
		if start.Snapshots {
			if _, err := ds.Snapshot(ctx, fmt.Sprint("s", n), dataset.SnapshotOptions{}); err != nil {
				return err
			}
			if err := ds.DeleteSnapshot(ctx, fmt.Sprint("s", n-2)); err != nil && !errors.Is(err, dataset.ErrNotFound) {
				return err
			}
		}
		if every := cmp.Or(start.Optimize, 20); n%every == every-1 {
			if _, err := ds.Optimize(ctx); err != nil {
				return err
			}
		}
		time.Sleep(c.Pause)
	}
}

// set makes the change set with a number, which must change nothing if it was made before.
func (c *crashChild) set(ctx context.Context, ds *dataset.Dataset, n int, present bool) error {
	changes := crashChanges(c.Writer, n)
	if changes[0].table == "wide" {
		var rows []schema.ViewEmbedding
		for _, change := range changes {
			rows = append(rows, crashRow(change.table, change.id, n).(schema.ViewEmbedding))
		}
		if present {
			return nil // bulk loads have no key
		}
		return ds.Add(ctx, "wide", rows)
	}
	set := dataset.ChangeSet{Author: c.Writer, Key: fmt.Sprintf("%s:%d", c.Writer, n)}
	for _, change := range changes {
		switch {
		case change.delete:
			set.Changes = append(set.Changes, dataset.Delete(change.table, change.id))
		case change.insert:
			set.Changes = append(set.Changes, dataset.Insert(change.table, crashRow(change.table, change.id, n)))
		default:
			set.Changes = append(set.Changes, dataset.Put(change.table, crashRow(change.table, change.id, n)))
		}
	}
	res, err := ds.Apply(ctx, set)
	if err != nil {
		return err
	}
	if res.Replayed != present {
		return fmt.Errorf("replayed: %v, but present: %v", res.Replayed, present)
	}
	return nil
}

// append adds a row as a program does that knows nothing of the log.
func (c *crashChild) append(ctx context.Context, table, id string) error {
	conn, err := lance.Connect(ctx, filepath.Join(c.Dir, "db"), nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	t, err := conn.OpenTable(ctx, table, nil)
	if err != nil {
		return err
	}
	defer t.Close()
	columns, err := t.Schema(ctx)
	if err != nil {
		return err
	}
	row := crashRow(table, id, 1)
	codec, err := rowcodec.For(reflect.TypeOf(row))
	if err != nil {
		return err
	}
	rows := reflect.MakeSlice(reflect.SliceOf(reflect.TypeOf(row)), 1, 1)
	rows.Index(0).Set(reflect.ValueOf(row))
	if err := schema.Normalize(rows.Index(0).Addr().Interface()); err != nil {
		return err
	}
	batch, err := codec.Encode(rows.Interface(), columns)
	if err != nil {
		return err
	}
	_, err = t.Append(ctx, lance.FromBatches(columns, batch), nil)
	return err
}

// crashProcess is a child and what it has said.
type crashProcess struct {
	command *exec.Cmd
	stdin   interface {
		Write([]byte) (int, error)
		Close() error
	}
	ack  atomic.Int64 // the last set that it acknowledged
	told chan struct{}

	mu      sync.Mutex
	outside [][2]string // rows that it added past the log
	failed  string
}

func startChild(t *testing.T, command *exec.Cmd) *crashProcess {
	t.Helper()
	p := &crashProcess{command: command, told: make(chan struct{})}
	p.ack.Store(-1)
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin = stdin
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	command.Stderr = &stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.told)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			switch words := strings.Fields(lines.Text()); words[0] {
			case "ack":
				n, _ := strconv.ParseInt(words[1], 10, 64)
				p.ack.Store(n)
			case "outside":
				p.mu.Lock()
				p.outside = append(p.outside, [2]string{words[1], words[2]})
				p.mu.Unlock()
			default:
				p.mu.Lock()
				p.failed += lines.Text() + "\n"
				p.mu.Unlock()
			}
		}
		command.Wait()
		p.mu.Lock()
		p.failed += stderr.String()
		p.mu.Unlock()
	}()
	t.Cleanup(func() { command.Process.Kill(); <-p.told })
	return p
}

func (p *crashProcess) tell(t *testing.T, v any) {
	t.Helper()
	line, err := json.Marshal(v)
	if err == nil {
		_, err = p.stdin.Write(append(line, '\n'))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (p *crashProcess) trouble() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

func goChild(t *testing.T, dir, writer string, pause time.Duration) *crashProcess {
	t.Helper()
	text, err := json.Marshal(crashChild{dir, writer, pause})
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), crashVariable+"="+string(text))
	return startChild(t, command)
}

// crashPython appends rows to a table as long as it lives.
const crashPython = `
import sys, time
import lancedb, pyarrow as pa
table = lancedb.connect(sys.argv[1]).open_table("bboxes")
row = table.search().where("id = 'base'").to_arrow().to_pylist()[0]
n = 0
while True:
    row["id"] = f"python{n}"
    table.add(pa.Table.from_pylist([row], schema=table.schema))
    print("ack", n, flush=True)
    n += 1
    time.sleep(0.8)
`

// pixanoPython returns the interpreter of Python Pixano, or "" and why there is none. Where it is required, the test
// fails without.
func pixanoPython(t *testing.T) (interpreter, why string) {
	t.Helper()
	out, err := exec.Command(filepath.Join("..", "scripts", "python-env"), "--find", "pixano").CombinedOutput()
	if err == nil {
		return strings.TrimSpace(string(out)), ""
	}
	if os.Getenv("PIXANO_REQUIRE_INTEROP") != "" {
		t.Fatalf("no Python environment: %s", out)
	}
	return "", strings.TrimSpace(string(out))
}

// newStreet makes a dataset with a row in each table.
func newStreet(t *testing.T, dir string) *dataset.Dataset {
	t.Helper()
	needEngine(t)
	ds, err := dataset.Create(t.Context(), dir, Street{}, dataset.Info{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ds.Close() })
	var base []dataset.Change
	for _, table := range []string{"item", "image", "objects", "bboxes", "vectors", "wide"} {
		base = append(base, dataset.Insert(table, crashRow(table, "base", 0)))
	}
	if _, err := ds.Apply(t.Context(), dataset.ChangeSet{Changes: base}); err != nil {
		t.Fatal(err)
	}
	return ds
}

// readStreet reads all tables and sorts the rows by who wrote them, the part of the id before the first "-".
func readStreet(ctx context.Context, ds *dataset.Dataset) (map[string]crashState, error) {
	found := map[string]crashState{}
	add := func(table string, row any, n int) error {
		id, err := schema.ID(row)
		if err != nil {
			return err
		}
		want := crashRow(table, id, n)
		created, updated, err := schema.Times(row)
		if err != nil {
			return err
		}
		p := reflect.New(reflect.TypeOf(want))
		p.Elem().Set(reflect.ValueOf(want))
		if err := schema.Normalize(p.Interface()); err != nil {
			return err
		}
		if err := schema.SetTimes(p.Interface(), created, updated); err != nil {
			return err
		}
		if table == "wide" {
			wide := p.Interface().(*schema.ViewEmbedding)
			wide.Vector = wide.Vector[:1]
		}
		got := reflect.ValueOf(row).Elem().Interface()
		if d := gocmp.Diff(p.Elem().Interface(), got); d != "" {
			return fmt.Errorf("%s %s (-want +got):\n%s", table, id, d)
		}
		writer, _, _ := strings.Cut(id, "-")
		if found[writer] == nil {
			found[writer] = crashState{}
		}
		place := [2]string{table, id}
		if _, again := found[writer][place]; again {
			return fmt.Errorf("%s %s is there twice", table, id)
		}
		found[writer][place] = n
		return nil
	}
	var items []StreetItem
	var images []schema.Image
	var objects []Thing
	var boxes []schema.BBox
	var vectors, wide []schema.ViewEmbedding
	for table, dst := range map[string]any{"item": &items, "image": &images, "objects": &objects, "bboxes": &boxes,
		"vectors": &vectors, "wide": &wide} {
		if err := ds.Get(ctx, table, dst, dataset.Query{}); err != nil {
			return nil, err
		}
	}
	var errs []error
	number := func(text string) int {
		n, err := strconv.Atoi(text)
		errs = append(errs, err)
		return n
	}
	for i := range items {
		errs = append(errs, add("item", &items[i], number(items[i].Note)))
	}
	for i := range images {
		errs = append(errs, add("image", &images[i], int(images[i].Width)))
	}
	for i := range objects {
		errs = append(errs, add("objects", &objects[i], number(objects[i].Category)))
	}
	for i := range boxes {
		errs = append(errs, add("bboxes", &boxes[i], int(boxes[i].Coords[0])))
	}
	for i := range vectors {
		errs = append(errs, add("vectors", &vectors[i], int(vectors[i].Vector[0])))
	}
	for i := range wide {
		n := int(wide[i].Vector[0])
		for _, rest := range wide[i].Vector[1:] {
			if rest != 0 {
				n = -1
			}
		}
		wide[i].Vector = wide[i].Vector[:1] // comparing all of them takes long
		errs = append(errs, add("wide", &wide[i], n))
	}
	return found, errors.Join(errs...)
}

// TestCrash kills a process that writes, at random moments and after each step of the protocol, while others write to
// the same tables, and looks each time at what is there: of every change set all or nothing, and of those that were
// acknowledged all.
func TestCrash(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "street")
	ds := newStreet(t, dir)
	if err := ds.Close(); err != nil {
		t.Fatal(err)
	}
	kills := 200
	if testing.Short() {
		kills = 20
	}
	var python *crashProcess
	if interpreter, why := pixanoPython(t); why != "" {
		t.Log("no rows from Python: ", why)
	} else {
		python = startChild(t, exec.Command(interpreter, "-c", crashPython, filepath.Join(dir, "db")))
	}
	other := goChild(t, dir, "other", 400*time.Millisecond)
	other.tell(t, crashStart{})
	r := rand.New(rand.NewPCG(1, 2))
	want, outside := crashState{}, map[[2]string]bool{}
	wantOther, lastOther := crashState{}, -1
	last, present, died := -1, false, map[string]int{}
	began := time.Now()
	next := goChild(t, dir, "victim", 0)
	for kill := range kills {
		victim := next
		start := crashStart{First: last + 1, Present: present, Outside: kill%2 == 1}
		if kill%2 == 1 {
			n := start.First
			if present {
				n++ // the first one is there
			}
			steps := crashSteps("victim", n)
			start.Fault = slices.MinFunc(steps, func(a, b string) int { return cmp.Compare(died[a], died[b]) })
			start.Nth = 1
			if start.Fault != "appended" {
				start.Nth += r.IntN(4) / 3
			}
		}
		victim.ack.Store(int64(last))
		victim.tell(t, start)
		if kill+1 < kills {
			next = goChild(t, dir, "victim", 0) // it is ready when the victim is dead
		}
		if start.Fault == "" {
			time.Sleep(time.Duration(5+r.IntN(100)) * time.Millisecond)
			victim.command.Process.Kill()
		}
		select {
		case <-victim.told:
		case <-time.After(time.Minute):
			victim.command.Process.Signal(syscall.SIGQUIT)
			<-victim.told
			t.Fatalf("kill %d %+v: the process goes on at set %d: %s", kill, start, victim.ack.Load(), victim.trouble())
		}
		if why := victim.trouble(); why != "" || victim.command.ProcessState.Success() {
			t.Fatalf("kill %d %+v: the process ended by itself: %s", kill, start, why)
		}
		died[start.Fault]++
		for _, row := range victim.outside {
			outside[row] = true
		}
		for n := last + 1; n <= int(victim.ack.Load()); n++ {
			want.apply("victim", n)
			last = n
		}

		ackOther := int(other.ack.Load())
		ackPython := -1
		if python != nil {
			ackPython = int(python.ack.Load())
		}
		ds, err := dataset.Open(t.Context(), dir, nil)
		if err != nil {
			t.Fatalf("kill %d %+v: %v", kill, start, err)
		}
		unlock, err := dataset.Lock(t.Context(), ds)
		if err != nil {
			t.Fatal(err)
		}
		found, err := readStreet(t.Context(), ds)
		unlock()
		if err != nil {
			t.Fatalf("kill %d %+v: %v", kill, start, err)
		}
		if err := ds.Close(); err != nil {
			t.Fatal(err)
		}

		// The victim's last set may have been logged, and not acknowledged.
		all := maps.Clone(want)
		all.apply("victim", last+1)
		present = maps.Equal(found["victim"], all)
		if !present && !(len(want) == 0 && found["victim"] == nil) {
			if d := gocmp.Diff(want, found["victim"]); d != "" {
				t.Fatalf("kill %d %+v: set %d was the last acknowledged (-acknowledged +got):\n%s\n(-next +got):\n%s", kill, start,
					last, d, gocmp.Diff(all, found["victim"]))
			}
		}
		delete(found, "victim")
		// The other one waited for the lock.
		if n, ok := found["other"][[2]string{"item", "other"}]; ok {
			for wantNext := lastOther + 1; wantNext <= n; wantNext++ {
				wantOther.apply("other", wantNext)
				lastOther = wantNext
			}
			bulk := maps.Clone(wantOther)
			bulk.apply("other", lastOther+1)
			if (lastOther+1)%bulkOfSet == bulkOfSet-1 && maps.Equal(bulk, found["other"]) {
				wantOther, lastOther = bulk, lastOther+1 // it leaves no trace in the table of items
			}
		}
		if lastOther < ackOther {
			t.Fatalf("kill %d: the other process acknowledged set %d, the last there is %d", kill, ackOther, lastOther)
		}
		if d := gocmp.Diff(wantOther, found["other"]); d != "" && lastOther >= 0 {
			t.Fatalf("kill %d: the other process's sets to %d (-want +got):\n%s", kill, lastOther, d)
		}
		delete(found, "other")
		for n := range ackPython + 1 {
			if id := fmt.Sprint("python", n); found[id][[2]string{"bboxes", id}] != 0 || found[id] == nil {
				t.Fatalf("kill %d: row %d of Python is lost", kill, n)
			}
		}
		for row := range outside {
			if _, ok := found[row[1]][row]; !ok {
				t.Fatalf("kill %d: row %v is lost, which was added past the log", kill, row)
			}
		}
		for _, p := range []*crashProcess{other, python} {
			if p != nil && p.trouble() != "" {
				t.Fatal(p.trouble())
			}
		}
	}
	other.stdin.Close()
	<-other.told
	if why := other.trouble(); why != "" {
		t.Fatal(why)
	}
	for _, step := range append(crashSteps("", 0), "committed vectors", "appended") {
		if died[step] == 0 && !testing.Short() { // ten deaths do not reach all of them
			t.Errorf("no process died after the step %q", step)
		}
	}
	t.Logf("%d kills in %.1f s, %v of them after steps; %d sets of the victim, %d of the other process", kills,
		time.Since(began).Seconds(), died, last+1, lastOther+1)
	if python != nil {
		t.Logf("%d rows of Python, %d past the log", python.ack.Load()+1, len(outside))
		if python.ack.Load() < 1 {
			t.Error("Python added no rows")
		}
	}
}

// killedStreet makes a dataset in which writers made their change sets from the first one on, until each was killed at
// the Nth time that it went through a step.
func killedStreet(t *testing.T, dir string, writers map[string]crashStart, order ...string) {
	t.Helper()
	if _, err := os.Stat(dir); err != nil {
		if err := newStreet(t, dir).Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, writer := range order {
		p := goChild(t, dir, writer, 0)
		p.tell(t, writers[writer])
		<-p.told
		if why := p.trouble(); why != "" {
			t.Fatal(why)
		}
	}
}

// sets gives the state after the sets of a writer with the numbers below n.
func sets(writer string, n int) crashState {
	s := crashState{}
	for i := range n {
		s.apply(writer, i)
	}
	return s
}

// openStreet opens a dataset, reads all of it and closes it.
func openStreet(t *testing.T, dir string) map[string]crashState {
	t.Helper()
	ds, err := dataset.Open(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	found, err := readStreet(t.Context(), ds)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// lastLog returns the path and the content of the last segment of the log.
func lastLog(t *testing.T, dir string) (path string, content []byte) {
	t.Helper()
	segments, err := filepath.Glob(filepath.Join(dir, ".pixano", "log", "*.log"))
	if err != nil || len(segments) == 0 {
		t.Fatal("no log: ", err)
	}
	path = segments[len(segments)-1]
	if content, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	return path, content
}

// TestLogCut cuts the line of an entry that was not applied at every byte: the entry is not there, and nothing else is
// missing. With all its bytes it is.
func TestLogCut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "street")
	killedStreet(t, dir, map[string]crashStart{"a": {Fault: "noted", Nth: 3}, "delete": {Fault: "logged", Nth: 1}}, "a", "delete")
	path, content := lastLog(t, dir)
	from := strings.LastIndex(strings.TrimSuffix(string(content), "\n"), "\n") + 1
	state, err := os.ReadFile(filepath.Join(dir, ".pixano", "log", "state"))
	if err != nil {
		t.Fatal(err)
	}
	tables := files(t, filepath.Join(dir, "db"))
	step := 1
	if testing.Short() {
		step = 37
	}
	opens := 0
	for cut := from; cut < len(content); cut += step {
		write(t, path, string(content[:cut]))
		write(t, filepath.Join(dir, ".pixano", "log", "state"), string(state))
		ds, err := dataset.Open(t.Context(), dir, nil)
		if err != nil {
			t.Fatalf("cut at byte %d of %d: %v", cut-from, len(content)-from, err)
		}
		if err := ds.Close(); err != nil {
			t.Fatal(err)
		}
		if opens++; !maps.Equal(tables, files(t, filepath.Join(dir, "db"))) {
			t.Fatalf("cut at byte %d: the tables changed", cut-from)
		}
		if _, left := lastLog(t, dir); len(left) != from {
			t.Fatalf("cut at byte %d: the log has %d bytes, want %d", cut-from, len(left), from)
		}
	}
	t.Logf("%d cuts of a line of %d bytes", opens, len(content)-from)
	base := [2]string{"vectors", "base"}
	found := openStreet(t, dir)
	if _, there := found["base"][base]; !there {
		t.Error("an entry of which a part was written is done")
	}
	// After the cut the log goes on.
	write(t, path, string(content))
	write(t, filepath.Join(dir, ".pixano", "log", "state"), string(state))
	found = openStreet(t, dir)
	if _, there := found["base"][base]; there {
		t.Error("the whole entry is not done")
	}
	if d := gocmp.Diff(sets("a", 3), found["a"]); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestLogGarbage puts something behind the last entry, as a file system may after a power cut.
func TestLogGarbage(t *testing.T) {
	for name, garbage := range map[string]string{
		"a byte": "x", "a newline": "\n", "a line": "garbage\n", "zeros": strings.Repeat("\x00", 4096),
		"the head of an entry": `12345678 {"number":`, "a wrong checksum": "00000000 {}\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "street")
			killedStreet(t, dir, map[string]crashStart{"a": {Fault: "committed image", Nth: 2}}, "a")
			path, content := lastLog(t, dir)
			write(t, path, string(content)+garbage)
			found := openStreet(t, dir)
			if d := gocmp.Diff(sets("a", 2), found["a"]); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if _, left := lastLog(t, dir); string(left) != string(content) {
				t.Errorf("the log has %d bytes, want the %d before the garbage", len(left), len(content))
			}
			killedStreet(t, dir, map[string]crashStart{"a": {First: 1, Present: true, Fault: "noted", Nth: 2}}, "a")
			if d := gocmp.Diff(sets("a", 4), openStreet(t, dir)["a"]); d != "" {
				t.Errorf("written on (-want +got):\n%s", d)
			}
		})
	}
}

// TestLogDamaged damages a line in the middle: what follows cannot be trusted, so nothing is changed any more.
func TestLogDamaged(t *testing.T) {
	wantCorrupt := func(t *testing.T, err error, segment string) {
		t.Helper()
		if !errors.Is(err, dataset.ErrCorrupt) || !strings.Contains(err.Error(), segment) {
			t.Errorf("got %v, want an error that is ErrCorrupt and names %s", err, segment)
		}
	}
	damage := func(t *testing.T, dir string) string {
		t.Helper()
		path, content := lastLog(t, dir)
		second := strings.Index(string(content), "\n") + 1
		content[second+200] ^= 1
		write(t, path, string(content))
		return filepath.Base(path)
	}
	t.Run("half done", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "street")
		killedStreet(t, dir, map[string]crashStart{"a": {Fault: "committed image", Nth: 3}}, "a")
		segment := damage(t, dir)
		before := files(t, dir)
		_, err := dataset.Open(t.Context(), dir, nil)
		wantCorrupt(t, err, segment)
		if d := gocmp.Diff(before, files(t, dir)); d != "" {
			t.Error("something changed")
		}
		ds, err := dataset.Open(t.Context(), dir, &dataset.Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		defer ds.Close()
		if n, err := ds.Count(t.Context(), "image", dataset.Query{}); err != nil || n == 0 {
			t.Errorf("%d images, %v", n, err)
		}
	})
	t.Run("all done", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "street")
		killedStreet(t, dir, map[string]crashStart{"a": {Fault: "noted", Nth: 3}}, "a")
		segment := damage(t, dir)
		before := files(t, dir)
		ds, err := dataset.Open(t.Context(), dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		wantCorrupt(t, ds.Add(t.Context(), "image", crashRow("image", "new", 1)), segment)
		if found, err := readStreet(t.Context(), ds); err != nil || !maps.Equal(found["a"], sets("a", 3)) {
			t.Errorf("after a write that was refused: %v", err)
		}
		ds.Close()
		after := files(t, dir)
		delete(after, ".pixano/lock")
		delete(before, ".pixano/lock")
		if d := gocmp.Diff(before, after); d != "" {
			t.Error("something changed")
		}
	})
}

// TestLogWithoutState removes the note of how far the log was applied, before and after a bulk load: nothing is done
// twice.
func TestLogWithoutState(t *testing.T) {
	for name, at := range map[string]crashStart{
		"half done": {Fault: "committed objects", Nth: 3}, "all done": {Fault: "noted", Nth: 12}, "bulk": {Fault: "appended", Nth: 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "street")
			killedStreet(t, dir, map[string]crashStart{"a": at}, "a")
			remove(t, filepath.Join(dir, ".pixano", "log", "state"))
			n := at.Nth
			if at.Fault == "appended" {
				n = bulkOfSet
			}
			if d := gocmp.Diff(sets("a", n), openStreet(t, dir)["a"]); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestLogDeleted deletes all that is ours between two sessions: that loses the keys, no rows, and numbers that begin anew
// do not meet those of the log before.
func TestLogDeleted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "street")
	killedStreet(t, dir, map[string]crashStart{"a": {Fault: "noted", Nth: 8}}, "a")
	remove(t, filepath.Join(dir, ".pixano"))
	found := openStreet(t, dir)
	if d := gocmp.Diff(sets("a", 8), found["a"]); d != "" {
		t.Fatalf("(-want +got):\n%s", d)
	}
	for n, step := range []string{"logged", "committed image", "committed bboxes"} {
		first := 8 + n
		killedStreet(t, dir, map[string]crashStart{"a": {First: first, Fault: step, Nth: 1}}, "a")
		if d := gocmp.Diff(sets("a", first+1), openStreet(t, dir)["a"]); d != "" {
			t.Fatalf("after a crash at %q (-want +got):\n%s", step, d)
		}
	}
}

// TestFullDisk lets the disk run full at different points of a change set. The error says so, and when there is space
// again the set is there as a whole or not at all, in this process and after opening.
func TestFullDisk(t *testing.T) {
	needEngine(t)
	mount := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", mount).CombinedOutput(); err != nil {
		t.Skipf("this user cannot mount a file system: %s", out)
	}
	t.Cleanup(func() { exec.Command("umount", "-l", mount).Run() })
	ctx := t.Context()
	dir := filepath.Join(mount, "street")
	ds := newStreet(t, dir)
	ballast := filepath.Join(mount, "ballast")
	c := crashChild{Dir: dir, Writer: "a"}
	failed, refused := 0, 0
	n := 0
	kilobytes := []int{0, 0, 0, 0, 4, 8, 16, 32, 64, 96, 128}
	if !testing.Short() {
		kilobytes = append(kilobytes, 0, 2, 6, 10, 12, 14, 20, 24, 28, 36, 40, 44, 48, 52, 56, 60)
	}
	for i, free := range kilobytes {
		if n%bulkOfSet == bulkOfSet-1 {
			if err := c.set(ctx, ds, n, false); err != nil {
				t.Fatal(err)
			}
			n++
		}
		f, err := os.Create(ballast)
		if err != nil {
			t.Fatal(err)
		}
		size := int64(0)
		for block := make([]byte, 4096); ; size += int64(len(block)) {
			if _, err := f.Write(block); err != nil {
				break
			}
		}
		if err := errors.Join(f.Truncate(max(0, size-int64(free)<<10)), f.Close()); err != nil {
			t.Fatal(err)
		}
		err = c.set(ctx, ds, n, false)
		if err != nil {
			failed++
			if !errors.Is(err, lance.ErrNoSpace) && !errors.Is(err, syscall.ENOSPC) || !strings.Contains(strings.ToLower(err.Error()), "no space") {
				t.Errorf("%d kB free: got %v, want an error that says that there is no space", free, err)
			}
		}
		remove(t, ballast)
		if err != nil && i%2 == 0 {
			if err := ds.Close(); err != nil {
				t.Fatal(err)
			}
			again, openErr := dataset.Open(ctx, dir, nil)
			if openErr != nil {
				t.Fatal(openErr)
			}
			ds = again
		} else if err != nil {
			// Any change completes what was begun.
			if _, err := ds.Update(ctx, "source", schema.Source{ID: "s", Name: "s", Kind: "model"}); err != nil {
				t.Fatal(err)
			}
		}
		found, readErr := readStreet(ctx, ds)
		if readErr != nil {
			t.Fatal(readErr)
		}
		done := maps.Equal(found["a"], sets("a", n+1))
		if !done && (err == nil || !maps.Equal(found["a"], sets("a", n)) && !(n == 0 && found["a"] == nil)) {
			t.Fatalf("%d kB free, set %d (%v): a part of it is there:\n%s", free, n, err, gocmp.Diff(sets("a", n), found["a"]))
		}
		if err != nil && !done {
			refused++
		}
		// And once more, under the same key.
		if err := c.set(ctx, ds, n, done); err != nil {
			t.Fatal(err)
		}
		n++
	}
	t.Logf("%d of %d sets failed, %d of them without a trace", failed, n, refused)
	if refused == 0 || refused == failed {
		t.Errorf("%d sets failed, %d without a trace: want some of each", failed, refused)
	}
	if err := ds.Close(); err != nil {
		t.Fatal(err)
	}
}
