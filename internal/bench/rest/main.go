// Command rest times the REST servers of this project and of Python Pixano 0.6.12 on the same requests, each on its own
// copy of the same library, over loopback, and prints the figures with their ratios. With -peer08 the server of 0.8.0, whose
// routes and layout are others, is asked for the same things (internal/bench/peer/peer08.py) before: an item takes four requests
// there, pages have 50 items instead of 20, and 16 clients post 10 boxes each.
//
//	scripts/python-env pixano pixano08
//	go run ./internal/bench/rest [-items 20000] [-repeat 15] [-seconds 10] [-pages 0] [-soak 0s] [-browsers 0] [-peer08] [-only go|0.6] [-work DIR]
//
// The servers take turns, and each is a process of its own. Where the environment is missing, its column is. With -pages
// so many pages are asked for, and the memory before and after is shown; with -soak 16 clients that read, save, change and
// delete go on together for so long, with -browsers beside headless Chromiums that annotate in this project's web interface
// (after scripts/ui deps), and any error ends the run. With -seconds 0 and -repeat 0 nothing else is measured. Times are in
// milliseconds.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"

	"pixano/dataset"
	"pixano/features"
	"pixano/schema"
)

// thing is an entity with a class of its own.
type thing struct {
	schema.Entity
	Category string
}

// scene is the aggregate of the library's dataset.
type scene struct {
	schema.Item
	Image   schema.Image
	Objects []thing
	BBoxes  []schema.BBox `pixano:"bboxes"`
}

type settings struct {
	items, boxes, repeat, pages, browsers int
	load, soak                            time.Duration
	peer08                                bool
	work                                  string
}

func main() {
	var s settings
	var only string
	flag.IntVar(&s.items, "items", 20000, "items")
	flag.IntVar(&s.boxes, "boxes", 5, "objects and boxes of each")
	flag.IntVar(&s.repeat, "repeat", 15, "requests of each kind, one after the other")
	seconds := flag.Int("seconds", 10, "seconds of each load of many clients")
	flag.IntVar(&s.pages, "pages", 0, "pages to ask for while memory is watched")
	flag.DurationVar(&s.soak, "soak", 0, "how long 16 readers and writers go on together")
	flag.IntVar(&s.browsers, "browsers", 0, "headless browsers that annotate during the soak of this project's server")
	flag.BoolVar(&s.peer08, "peer08", false, "measure the server of Python Pixano 0.8.0 too")
	flag.StringVar(&only, "only", "", "go or 0.6: one server alone")
	flag.StringVar(&s.work, "work", "", "where to make the libraries (default: a temporary directory)")
	flag.Parse()
	s.load = time.Duration(*seconds) * time.Second
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := s.run(ctx, only); err != nil {
		fmt.Fprintln(os.Stderr, "rest:", err)
		os.Exit(1)
	}
}

// peer is a server that is measured.
type peer struct {
	name    string
	command func(library, media string, port int) *exec.Cmd
	address string
	process *exec.Cmd
	figures map[string]float64
}

func (s *settings) run(ctx context.Context, only string) error {
	if s.work == "" {
		dir, err := os.MkdirTemp("", "pixano-rest-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		s.work = dir
	}
	origin := filepath.Join(s.work, "origin")
	if err := s.build(ctx, origin); err != nil {
		return err
	}
	var peers []*peer
	if only != "0.6" {
		binary := filepath.Join(s.work, "pixano")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/pixano").CombinedOutput(); err != nil {
			return fmt.Errorf("go build: %w\n%s", err, out)
		}
		peers = append(peers, &peer{name: "go", command: func(library, media string, port int) *exec.Cmd {
			return exec.Command(binary, "server", "run", library, "--media-dir", media, "--port", strconv.Itoa(port))
		}})
	}
	if only != "go" {
		out, err := exec.CommandContext(ctx, "scripts/python-env", "--find", "pixano").Output()
		if err != nil {
			fmt.Fprintln(os.Stderr, "rest: no Python Pixano: run scripts/python-env pixano")
		} else {
			program := filepath.Join(filepath.Dir(strings.TrimSpace(string(out))), "pixano")
			peers = append(peers, &peer{name: "0.6.12", command: func(library, media string, port int) *exec.Cmd {
				return exec.Command(program, library, media, "--port", strconv.Itoa(port))
			}})
		}
	}
	for _, p := range peers {
		dir := filepath.Join(s.work, p.name)
		if err := os.CopyFS(dir, os.DirFS(origin)); err != nil {
			return err
		}
		p.figures = map[string]float64{}
		if err := p.start(ctx, filepath.Join(dir, "library"), filepath.Join(dir, "media")); err != nil {
			return err
		}
		defer p.stop()
	}
	var other *peer
	if s.peer08 {
		var err error
		if other, err = s.measure08(ctx); err != nil {
			return err
		}
	}
	names, err := s.measure(ctx, peers)
	if err != nil {
		return err
	}
	if other != nil {
		peers = append(peers, other)
	}
	print(names, peers)
	return nil
}

// measure08 has the script of Python Pixano 0.8.0 build its dataset and ask its server.
func (s *settings) measure08(ctx context.Context) (*peer, error) {
	out, err := exec.CommandContext(ctx, "scripts/python-env", "--find", "pixano08").Output()
	if err != nil {
		return nil, errors.New("no Python Pixano 0.8: run scripts/python-env pixano08")
	}
	cmd := exec.CommandContext(ctx, strings.TrimSpace(string(out)), "internal/bench/peer/peer08.py", "--work", filepath.Join(s.work, "0.8"),
		"--items", strconv.Itoa(s.items), "--boxes", strconv.Itoa(s.boxes), "--dim", "8", "--repeat", "1", "--rest", strconv.Itoa(max(s.repeat, 1)))
	cmd.Stderr = os.Stderr
	if out, err = cmd.Output(); err != nil {
		return nil, fmt.Errorf("0.8: %w", err)
	}
	var answer struct {
		Seconds map[string]float64 `json:"seconds"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return nil, fmt.Errorf("0.8: %w", err)
	}
	p := &peer{name: "0.8.0", figures: map[string]float64{}}
	for name, key := range map[string]string{
		"start to first answer": "rest_server_start", "explorer page, sorted": "rest_explorer_page_sorted", "explorer page, unsorted": "rest_explorer_page",
		"whole item": "rest_item", "POST one box": "rest_post_box", "PUT one box": "rest_put_box", "DELETE one box": "rest_delete_box",
	} {
		p.figures[name] = 1000 * answer.Seconds[key]
	}
	p.figures["16 clients, saves: a second"] = answer.Seconds["rest16_post_box_per_s"]
	p.figures["16 clients: errors"] = answer.Seconds["rest16_post_box_refused"]
	p.figures["memory, MiB"] = answer.Seconds["rest_server_peak_16_mib"]
	return p, nil
}

// build makes the library that both servers get a copy of.
func (s *settings) build(ctx context.Context, dir string) error {
	for _, sub := range []string{"library", "media"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	generate := func(ctx context.Context, b *dataset.BuildContext, yield func(dataset.Batch) error) error {
		truth := schema.Source{ID: schema.GroundTruthID, Name: schema.GroundTruthName, Kind: schema.SourceGroundTruth}
		if err := yield(dataset.Batch{"source": truth}); err != nil {
			return err
		}
		begin := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
		for i := range s.items {
			id := fmt.Sprintf("item_%06d", i)
			ref, view := features.Item(id), features.View("image", "img_"+id)
			at := begin.Add(time.Duration(random.IntN(1<<30)) * time.Millisecond)
			item := schema.Item{ID: id, CreatedAt: at, UpdatedAt: at, Split: []string{"train", "val"}[i%2]}
			img := schema.Image{View: schema.View{ID: view.ID, ItemRef: ref}, URL: "missing/" + id + ".jpg", Width: 640, Height: 480, Format: "JPEG"}
			var things []thing
			var boxes []schema.BBox
			for j := range s.boxes {
				object := features.Entity("objects", fmt.Sprintf("obj_%06d_%d", i, j))
				things = append(things, thing{schema.Entity{ID: object.ID, ItemRef: ref, ViewRef: view}, fmt.Sprintf("class_%d", random.IntN(20))})
				box := schema.NewBBox(fmt.Sprintf("box_%06d_%d", i, j))
				box.ItemRef, box.ViewRef, box.EntityRef, box.SourceRef = ref, view, object, features.Source(schema.GroundTruthID)
				box.Coords, box.Format, box.IsNormalized = []float64{random.Float64() / 2, random.Float64() / 2, random.Float64() / 2, random.Float64() / 2}, features.FormatXYWH, true
				boxes = append(boxes, box)
			}
			if err := yield(dataset.Batch{"item": item, "image": img, "objects": things, "bboxes": boxes}); err != nil {
				return err
			}
		}
		return nil
	}
	ds, err := dataset.Build(ctx, filepath.Join(dir, "library", "bench"), scene{}, dataset.Info{ID: "bench", Name: "bench", Workspace: "image"},
		dataset.BuilderFunc(generate), &dataset.BuildOptions{Checks: dataset.Checks{Mode: dataset.CheckNone}})
	if err != nil {
		return err
	}
	if s.browsers > 0 {
		err = writePictures(filepath.Join(dir, "media", "missing"), 20*s.browsers+20) // and what is fetched ahead
	}
	return errors.Join(err, ds.Close())
}

// writePictures gives the first items a picture, so that browsers have something to draw on.
func writePictures(dir string, count int) error {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 640, 480)), nil); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i := range count {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("item_%06d.jpg", i)), b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// start starts the server and notes the time until its first answer.
func (p *peer) start(ctx context.Context, library, media string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	p.address = fmt.Sprintf("http://127.0.0.1:%d", port)
	p.process = p.command(library, media, port)
	log, err := os.Create(filepath.Join(filepath.Dir(library), "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	p.process.Stdout, p.process.Stderr = log, log
	begin := time.Now()
	if err := p.process.Start(); err != nil {
		return err
	}
	for {
		res, err := http.Get(p.address + "/datasets/info")
		if err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
			break
		}
		if time.Since(begin) > 2*time.Minute || ctx.Err() != nil {
			return errors.Join(fmt.Errorf("%s does not answer: see %s", p.name, log.Name()), err)
		}
		time.Sleep(2 * time.Millisecond)
	}
	p.figures["start to first answer"] = ms(time.Since(begin))
	return nil
}

func (p *peer) stop() {
	_ = p.process.Process.Signal(os.Interrupt)
	_ = p.process.Wait()
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// memory returns the resident memory of the server in MiB.
func (p *peer) memory() float64 {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.process.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmRSS:" {
			kib, _ := strconv.Atoi(fields[1])
			return float64(kib) / 1024
		}
	}
	return 0
}

// request is a kind of request; make gives the n-th of it.
type request struct {
	name string
	make func(n int) (method, path string, body any)
}

var client = &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}

// send sends a request and reads the answer. Anything but 200 is an error.
func (p *peer) send(ctx context.Context, method, path string, body any) error {
	var r io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		r = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, p.address+path, r)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 300))
		return fmt.Errorf("%s %s: status %d: %s", method, path, res.StatusCode, text)
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

// box is a row to save.
func box(id string, item int, confidence float64) map[string]any {
	ref := func(table, id string) map[string]string { return map[string]string{"name": table, "id": id} }
	name := fmt.Sprintf("item_%06d", item)
	return map[string]any{"id": id, "table_info": map[string]string{"name": "bboxes", "group": "annotations", "base_schema": "BBox"},
		"data": map[string]any{"item_ref": ref("item", name), "view_ref": ref("image", "img_"+name), "entity_ref": ref("objects", fmt.Sprintf("obj_%06d_0", item)),
			"source_ref": ref("source", schema.GroundTruthID), "inference_metadata": map[string]any{}, "coords": []float64{0.1, 0.2, 0.3, 0.4},
			"format": "xywh", "is_normalized": true, "confidence": confidence}}
}

const boxes = "/annotations/bench/bboxes"

// post saves one new box.
func (s *settings) post(prefix string) func(n int) (string, string, any) {
	return func(n int) (string, string, any) {
		return "POST", boxes, []any{box(fmt.Sprintf("%s_%d", prefix, n), n*7%s.items, 0.5)}
	}
}

// sortedPage is a page as the reference's web interface asks for it.
func (s *settings) sortedPage(n int) (string, string, any) {
	return "GET", fmt.Sprintf("/browser/bench?skip=%d&limit=20&sortcol=created_at&order=asc", n*20*37%s.items), nil
}

// measure runs all workloads and returns their names in order.
func (s *settings) measure(ctx context.Context, peers []*peer) ([]string, error) {
	requests := []request{
		{"explorer page, sorted", s.sortedPage},
		{"explorer page, unsorted", func(n int) (string, string, any) {
			return "GET", fmt.Sprintf("/browser/bench?skip=%d&limit=20", n*20*37%s.items), nil
		}},
		{"items_info of a page", func(n int) (string, string, any) {
			path := "/items_info/bench?"
			for i := range 20 {
				path += fmt.Sprintf("&ids=item_%06d", (n*20*37+i)%s.items)
			}
			return "GET", path, nil
		}},
		{"whole item", func(n int) (string, string, any) {
			return "GET", fmt.Sprintf("/dataset_items/bench/item_%06d", n*977%s.items), nil
		}},
		{"items_info, all", func(int) (string, string, any) { return "GET", "/items_info/bench", nil }},
		{"POST one box", s.post("one")},
		{"PUT one box", func(n int) (string, string, any) {
			return "PUT", boxes, []any{box(fmt.Sprintf("one_%d", n), n*7%s.items, 0.25)}
		}},
		{"DELETE one box", func(n int) (string, string, any) { return "DELETE", boxes + fmt.Sprintf("?ids=one_%d", n), nil }},
	}
	names := []string{"start to first answer"}
	if s.repeat == 0 {
		requests = nil
	}
	for _, r := range requests {
		names = append(names, r.name)
		times := make([][]float64, len(peers))
		for n := range s.repeat {
			for i, p := range peers { // in turns, so that what else the machine does hits both
				begin := time.Now()
				method, path, body := r.make(n)
				if err := p.send(ctx, method, path, body); err != nil {
					return nil, fmt.Errorf("%s: %w", p.name, err)
				}
				times[i] = append(times[i], ms(time.Since(begin)))
			}
		}
		for i, p := range peers {
			p.figures[r.name] = quantile(times[i], 0.5)
		}
	}
	if s.load > 0 {
		names = append(names, "16 clients, sorted pages: a second", "16 clients, sorted pages: p99", "10 clients, saves: p99", "16 clients, saves: a second", "16 clients, saves: p99", "16 clients: errors", "memory, MiB")
		for _, p := range peers {
			pages := p.load(ctx, 16, s.load, s.sortedPage)
			ten := p.load(ctx, 10, s.load, s.post("ten"))
			saves := p.load(ctx, 16, s.load, s.post("many"))
			p.figures["16 clients, sorted pages: a second"], p.figures["16 clients, sorted pages: p99"] = pages.rate, pages.p99
			p.figures["10 clients, saves: p99"] = ten.p99
			p.figures["16 clients, saves: a second"], p.figures["16 clients, saves: p99"] = saves.rate, saves.p99
			p.figures["16 clients: errors"] = float64(pages.errors + ten.errors + saves.errors)
			for _, err := range []error{pages.first, ten.first, saves.first} {
				if err != nil {
					fmt.Fprintf(os.Stderr, "rest: %s: %v\n", p.name, err)
				}
			}
			p.figures["memory, MiB"] = p.memory()
		}
	}
	if s.pages > 0 {
		before := "memory before the pages, MiB"
		names = append(names, before, fmt.Sprintf("memory after %d pages, MiB", s.pages))
		for _, p := range peers {
			for n := range 200 { // what is kept from the first pages on
				method, path, body := s.sortedPage(n)
				if err := p.send(ctx, method, path, body); err != nil {
					return nil, fmt.Errorf("%s: %w", p.name, err)
				}
			}
			p.figures[before] = p.memory()
			var n atomic.Int64
			if err := each(ctx, 8, func(ctx context.Context, _ int) error {
				for i := n.Add(1); i <= int64(s.pages); i = n.Add(1) {
					method, path, body := s.sortedPage(int(i))
					if err := p.send(ctx, method, path, body); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
			p.figures[names[len(names)-1]] = p.memory()
		}
	}
	if s.soak > 0 {
		requests, saved := fmt.Sprintf("soak of %s: requests without an error", s.soak), fmt.Sprintf("boxes saved in %d browsers meanwhile", s.browsers)
		names = append(names, requests, "memory after the soak, MiB")
		for _, p := range peers {
			browsers := make(chan error, 1)
			if s.browsers > 0 && p.name == "go" {
				names = append(names, saved)
				go func() {
					n, err := s.annotate(ctx, p)
					p.figures[saved] = float64(n)
					browsers <- err
				}()
			} else {
				browsers <- nil
			}
			n, err := s.mixed(ctx, p)
			if err = errors.Join(err, <-browsers); err != nil {
				return nil, fmt.Errorf("%s: after %d requests: %w", p.name, n, err)
			}
			p.figures[requests], p.figures["memory after the soak, MiB"] = float64(n), p.memory()
		}
	}
	return names, nil
}

// annotate has browsers draw and save boxes in the web interface. It returns how many they saved.
func (s *settings) annotate(ctx context.Context, p *peer) (int, error) {
	cmd := exec.CommandContext(ctx, "node", "scripts/browsers.mjs", p.address, "bench", strconv.Itoa(int(s.soak.Seconds())), strconv.Itoa(s.browsers))
	cmd.Dir, cmd.Stderr = "ui", os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("browsers: %w", err)
	}
	var sum struct {
		Saved  int      `json:"saved"`
		Errors []string `json:"errors"`
	}
	if err := json.Unmarshal(out, &sum); err != nil {
		return 0, fmt.Errorf("browsers: %w", err)
	}
	if len(sum.Errors) > 0 {
		return sum.Saved, fmt.Errorf("%d errors in the browsers, the first: %s", len(sum.Errors), sum.Errors[0])
	}
	return sum.Saved, nil
}

// loaded is what many clients saw.
type loaded struct {
	rate, p99 float64
	errors    int
	first     error
}

// load has many clients send requests one after the other for a time.
func (p *peer) load(ctx context.Context, clients int, long time.Duration, make func(n int) (string, string, any)) loaded {
	var out loaded
	var times []float64
	var mu sync.Mutex
	var next atomic.Int64
	begin := time.Now()
	_ = each(ctx, clients, func(ctx context.Context, _ int) error {
		for time.Since(begin) < long && ctx.Err() == nil {
			method, path, body := make(int(next.Add(1)))
			at := time.Now()
			err := p.send(ctx, method, path, body)
			mu.Lock()
			if err != nil {
				if out.errors++; out.first == nil {
					out.first = err
				}
			} else {
				times = append(times, ms(time.Since(at)))
			}
			mu.Unlock()
		}
		return nil
	})
	out.rate = float64(len(times)) / time.Since(begin).Seconds()
	out.p99 = quantile(times, 0.99)
	return out
}

// mixed has 16 clients read pages and items, save, change and delete. It returns the number of requests.
func (s *settings) mixed(ctx context.Context, p *peer) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.soak+time.Minute)
	defer cancel()
	var n atomic.Int64
	begin := time.Now()
	err := each(ctx, 16, func(ctx context.Context, c int) error {
		for i := 0; time.Since(begin) < s.soak; i++ {
			item := (c*1000 + i) % s.items
			row := box(fmt.Sprintf("soak_%d_%d", c, i), item, 0.5)
			changed := box(fmt.Sprintf("soak_%d_%d", c, i), item, 0.75)
			steps := []struct {
				method, path string
				body         any
			}{
				{"GET", fmt.Sprintf("/browser/bench?skip=%d&limit=20&sortcol=created_at&order=asc", i*20%s.items), nil},
				{"GET", fmt.Sprintf("/dataset_items/bench/item_%06d", item), nil},
				{"POST", boxes, []any{row}}, {"PUT", boxes, []any{changed}},
				{"GET", boxes + "?item_ids=" + fmt.Sprintf("item_%06d", item), nil},
				{"DELETE", boxes + "?ids=" + fmt.Sprintf("soak_%d_%d", c, i), nil},
			}
			for _, step := range steps {
				if err := p.send(ctx, step.method, step.path, step.body); err != nil {
					return err
				}
				n.Add(1)
			}
		}
		return nil
	})
	return n.Load(), err
}

// each runs a function several times at once and returns the first error, which ends the others.
func each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() {
			if err := do(ctx, i); err != nil {
				cancel(err)
			}
		})
	}
	wait.Wait()
	return context.Cause(ctx)
}

func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// figure is a figure of a server in parts of another one; "" if there is none.
func figure(p *peer, name, format string, of float64) string {
	value, ok := p.figures[name]
	if !ok || of == 0 {
		return ""
	}
	return fmt.Sprintf(format, value/of)
}

func print(names []string, peers []*peer) {
	fmt.Printf("%d processors\n", runtime.NumCPU())
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "\t")
	for _, p := range peers {
		fmt.Fprintf(w, "%s\t", p.name)
	}
	for _, p := range peers[1:] {
		fmt.Fprintf(w, "%s / %s\t", p.name, peers[0].name)
	}
	fmt.Fprintln(w)
	for _, name := range names {
		fmt.Fprintf(w, "%s\t", name)
		for _, p := range peers {
			fmt.Fprint(w, figure(p, name, "%.1f", 1), "\t")
		}
		for _, p := range peers[1:] {
			fmt.Fprint(w, figure(p, name, "%.2f", peers[0].figures[name]), "\t")
		}
		fmt.Fprintln(w)
	}
	w.Flush()
}
