// Command formats times imports and exports, the import of a folder beside the folder builder of Python Pixano, and prints
// seconds, rates, processor time and the peak memory of each, which runs in a process of its own.
//
//	scripts/python-env pixano
//	go run ./internal/bench/formats [-images 10000] [-coco 20000] [-boxes 5] [-large 0] [-flush 1000] [-work DIR]
//
// -flush is how many items Python Pixano writes together; 0 is each on its own, as its command does. -large is the number of
// annotations of one more COCO export and import, such as 1000000, on 20 to an image. Images of COCO stay in place.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"pixano/dataset"
	"pixano/dataset/exchange"
	"pixano/dataset/formats"
)

type settings struct {
	images, coco, boxes, large, flush int
	work                              string
}

func main() {
	var s settings
	flag.IntVar(&s.images, "images", 10_000, "images of the folder")
	flag.IntVar(&s.coco, "coco", 20_000, "images of the COCO file")
	flag.IntVar(&s.boxes, "boxes", 5, "boxes of each image")
	flag.IntVar(&s.large, "large", 0, "annotations of a large COCO export and import; 0: none")
	flag.IntVar(&s.flush, "flush", 1000, "items that Python Pixano writes together; 0: one")
	flag.StringVar(&s.work, "work", "", "directory for inputs and datasets (default: a temporary one)")
	child := flag.String("child", "", "what to time in this process")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if *child != "" {
		err = runChild(ctx, *child, flag.Args())
	} else {
		err = s.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// runChild times one import or export: "import FORMAT SOURCE DATASET MEDIA MODE", "export FORMAT DATASET OUT MEDIA".
func runChild(ctx context.Context, what string, args []string) error {
	f, err := formats.ByName(args[0])
	if err != nil {
		return err
	}
	debug.SetGCPercent(30) // as the command does
	begun := time.Now()
	switch what {
	case "import":
		images := ""
		if args[0] == "coco" {
			images = filepath.Join(args[3], "images")
		}
		_, err = exchange.Import(ctx, exchange.ImportOptions{Format: f, Source: args[1], Dataset: args[2], MediaDir: args[3],
			Media: exchange.MediaMode(args[4]), Images: images})
	case "export":
		var ds *dataset.Dataset
		if ds, err = dataset.Open(ctx, args[1], &dataset.Options{ReadOnly: true, MediaDir: args[3]}); err != nil {
			return err
		}
		_, err = exchange.Export(ctx, ds, exchange.ExportOptions{Format: f, Out: args[2], Strict: true})
		err = errors.Join(err, ds.Close())
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"seconds": time.Since(begun).Seconds()})
}

// result is what a run took.
type result struct {
	name    string
	seconds float64
	cpu     float64 // seconds of all cores
	memory  float64 // MiB
	n       int     // of images
	note    string
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
	for _, dir := range []string{"library", "python", "media", "copied", "out"} {
		if err := os.RemoveAll(filepath.Join(s.work, dir)); err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(s.work, dir), 0o755); err != nil {
			return err
		}
	}
	at := func(parts ...string) string { return filepath.Join(append([]string{s.work}, parts...)...) }
	if err := makeFolder(at("media", "folder"), s.images, s.boxes); err != nil {
		return err
	}
	if err := makeCOCO(at("coco.json"), at("media", "images"), s.coco, s.boxes); err != nil {
		return err
	}
	var results []result
	add := func(r result) {
		results = append(results, r)
		fmt.Fprintf(os.Stderr, "%s: %.2f s\n", r.name, r.seconds)
	}
	child := func(name string, n int, args ...string) error {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		r, err := timed(exec.CommandContext(ctx, self, append([]string{"-child", args[0]}, args[1:]...)...))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		r.name, r.n = name, n
		add(r)
		return nil
	}
	steps := []func() error{
		func() error {
			return child("folder import, media kept", s.images, "import", "folder", at("media", "folder"), at("library", "kept"), at("media"), "keep")
		},
		func() error {
			return child("folder import, media copied", s.images, "import", "folder", at("media", "folder"), at("library", "copied"), at("copied"), "copy")
		},
		func() error {
			out, err := exec.Command("scripts/python-env", "--find", "pixano").Output()
			if err != nil {
				fmt.Fprintln(os.Stderr, "no environment pixano: left out")
				return nil
			}
			r, err := timed(exec.CommandContext(ctx, strings.TrimSpace(string(out)), "internal/bench/peer/folder.py", "--media", at("media"), "--name", "folder",
				"--library", at("python"), "--flush", fmt.Sprint(s.flush)))
			r.name, r.n, r.note = "folder builder of Python Pixano 0.6.12", s.images, fmt.Sprintf("%.0f × ours, CPU %.0f ×", r.seconds/results[0].seconds, r.cpu/results[0].cpu)
			if err == nil {
				add(r)
			}
			return err
		},
		func() error {
			return child("COCO import, media kept", s.coco, "import", "coco", at("coco.json"), at("library", "coco"), at("media"), "keep")
		},
		func() error {
			return child("COCO export", s.coco, "export", "coco", at("library", "coco"), at("out", "coco"), at("media"))
		},
		func() error {
			if s.large == 0 {
				return nil
			}
			n := max(1, s.large/20)
			if err := makeCOCO(at("large.json"), at("media", "images"), n, 20); err != nil {
				return err
			}
			name := fmt.Sprintf("of %d annotations", s.large)
			if err := child("COCO import "+name, n, "import", "coco", at("large.json"), at("library", "large"), at("media"), "keep"); err != nil {
				return err
			}
			return child("COCO export "+name, n, "export", "coco", at("library", "large"), at("out", "large"), at("media"))
		},
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "run\tseconds\timages/s\tCPU s\tpeak MiB\t\t")
	for _, r := range results {
		fmt.Fprintf(out, "%s\t%.2f\t%.0f\t%.1f\t%.0f\t%s\t\n", r.name, r.seconds, float64(r.n)/r.seconds, r.cpu, r.memory, r.note)
	}
	return out.Flush()
}

// timed runs a command that prints its seconds.
func timed(cmd *exec.Cmd) (result, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return result{}, err
	}
	lines := bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n"))
	var answer struct {
		Seconds json.RawMessage `json:"seconds"`
	}
	if err := json.Unmarshal(lines[len(lines)-1], &answer); err != nil {
		return result{}, fmt.Errorf("%w: %.200s", err, out.Bytes())
	}
	var r result
	if json.Unmarshal(answer.Seconds, &r.seconds) != nil {
		var named map[string]float64
		if err := json.Unmarshal(answer.Seconds, &named); err != nil {
			return result{}, err
		}
		r.seconds = named["folder_import"]
	}
	r.cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.memory = float64(usage.Maxrss) / 1024
	}
	return r, nil
}

// makeFolder makes images of 64 × 48 pixels with boxes, in 10 folders.
func makeFolder(dir string, images, boxes int) error {
	random := rand.New(rand.NewPCG(1, 2))
	for part := range 10 {
		if err := os.MkdirAll(filepath.Join(dir, "train", fmt.Sprint(part)), 0o755); err != nil {
			return err
		}
	}
	f, err := os.Create(filepath.Join(dir, "train", "metadata.jsonl"))
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	for i := range images {
		name := fmt.Sprintf("%d/%06d.png", i%10, i)
		img := image.NewPaletted(image.Rect(0, 0, 64, 48), color.Palette{color.White, color.RGBA{uint8(i), uint8(i >> 8), 90, 255}})
		var data bytes.Buffer
		if err := png.Encode(&data, img); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "train", filepath.FromSlash(name)), data.Bytes(), 0o644); err != nil {
			return err
		}
		var coords [][]float64
		var categories []string
		for range boxes {
			coords = append(coords, []float64{random.Float64() / 2, random.Float64() / 2, random.Float64() / 2, random.Float64() / 2})
			categories = append(categories, []string{"car", "dog", "tree"}[random.IntN(3)])
		}
		line, err := json.Marshal(map[string]any{"image": name, "objects": map[string]any{"bboxes": coords, "category": categories}})
		if err != nil {
			return err
		}
		w.Write(append(line, '\n'))
	}
	return cmp.Or(w.Flush(), f.Close())
}

// makeCOCO makes a COCO file with boxes, and a file for each image, which is not opened.
func makeCOCO(file, media string, images, boxes int) error {
	random := rand.New(rand.NewPCG(3, 4))
	if err := os.MkdirAll(media, 0o755); err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	w.WriteString(`{"images": [`)
	for i := range images {
		name := fmt.Sprintf("%06d.jpg", i)
		if i > 0 {
			w.WriteString(", ")
		}
		fmt.Fprintf(w, `{"id": %d, "file_name": %q, "width": 640, "height": 480}`, i+1, name)
		if _, err := os.Stat(filepath.Join(media, name)); err == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(media, name), []byte("\xff\xd8\xff\xd9"), 0o644); err != nil {
			return err
		}
	}
	w.WriteString(`], "annotations": [`)
	for i := range images * boxes {
		if i > 0 {
			w.WriteString(", ")
		}
		width, height := 20+random.Float64()*200, 20+random.Float64()*100
		fmt.Fprintf(w, `{"id": %d, "image_id": %d, "category_id": %d, "bbox": [%.2f, %.2f, %.2f, %.2f], "area": %.2f, "iscrowd": 0}`,
			i+1, i/boxes+1, i%80+1, random.Float64()*400, random.Float64()*300, width, height, width*height)
	}
	w.WriteString(`], "categories": [`)
	for i := range 80 {
		if i > 0 {
			w.WriteString(", ")
		}
		fmt.Fprintf(w, `{"id": %d, "name": "class %d"}`, i+1, i+1)
	}
	w.WriteString("]}")
	return cmp.Or(w.Flush(), f.Close())
}
