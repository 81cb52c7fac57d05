// Command embed measures how many texts a second MiniLM embeds through package onnx, beside Python's ONNX Runtime with the
// same model, texts, batches and threads; the two take turns.
//
//	scripts/models && go run ./internal/bench/embed
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"pixano/inference"
	"pixano/inference/onnx"
)

const model = "all-minilm-l6-v2"

func main() {
	log.SetFlags(0)
	texts := flag.Int("texts", 2048, "texts of a run")
	runs := flag.Int("runs", 7, "runs of each")
	flag.Parse()
	if err := run(*texts, *runs); err != nil {
		log.Fatal("embed: ", err)
	}
}

func run(n, runs int) error {
	texts := captions(n)
	p := onnx.New(nil)
	defer p.Close()
	m, err := p.Find(model)
	if err != nil {
		return err
	}
	peer, err := startPeer(filepath.Dir(m.Path()), texts)
	if err != nil {
		return err
	}
	defer peer.stop()
	embed := func(texts []string) (*inference.EmbeddingResponse, error) {
		return inference.Embed(context.Background(), p, &inference.EmbeddingRequest{Model: model, Texts: texts})
	}
	if _, err := embed(texts[:64]); err != nil {
		return err
	}
	var ours, theirs []float64
	var least float64 = 1
	for range runs {
		began := time.Now()
		r, err := embed(texts)
		if err != nil {
			return err
		}
		ours = append(ours, float64(n)/time.Since(began).Seconds())
		rate, vector, err := peer.run()
		if err != nil {
			return err
		}
		theirs = append(theirs, rate)
		var cosine float64
		for i, x := range r.Vectors[0] {
			cosine += float64(x) * vector[i]
		}
		least = min(least, cosine)
	}
	a, b := median(ours), median(theirs)
	fmt.Printf("%d texts, %d runs, %d threads, medians\nGo %.0f texts/s, Python %.0f texts/s, ratio %.2f, cosine of the first vectors %.4f\n",
		n, runs, runtime.GOMAXPROCS(0), a, b, a/b, least)
	return nil
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// captions makes texts as people write them under pictures, of 4 to 40 words.
func captions(n int) []string {
	words := strings.Fields("a the red blue small large car bus person dog bicycle street river mountain house standing running on in near " +
		"under two three people with green trees at night during rain market kitchen table laptop microscope image of blood cells and old wooden bridge")
	r := rand.New(rand.NewPCG(1, 2))
	texts := make([]string, n)
	for i := range texts {
		var b []string
		for range 4 + r.IntN(37) {
			b = append(b, words[r.IntN(len(words))])
		}
		texts[i] = strings.Join(b, " ")
	}
	return texts
}

type peer struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	dir string
}

func startPeer(modelDir string, texts []string) (*peer, error) {
	python, err := exec.Command("scripts/python-env", "--find", "onnx").Output()
	if err != nil {
		return nil, fmt.Errorf("scripts/python-env --find onnx: %w", err)
	}
	dir, err := os.MkdirTemp("", "pixano-bench-")
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(texts)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "texts.json")
	if err := os.WriteFile(file, raw, 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command(strings.TrimSpace(string(python)), "internal/bench/peer/embed.py", modelDir, file, strconv.Itoa(runtime.GOMAXPROCS(0)))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &peer{cmd, in, bufio.NewReader(out), dir}, cmd.Start()
}

func (p *peer) run() (rate float64, vector []float64, err error) {
	if _, err := fmt.Fprintln(p.in, "go"); err != nil {
		return 0, nil, err
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return 0, nil, err
	}
	var answer struct {
		Rate   float64   `json:"rate"`
		Vector []float64 `json:"vector"`
	}
	err = json.Unmarshal(line, &answer)
	return answer.Rate, answer.Vector, err
}

func (p *peer) stop() {
	_ = p.in.Close()
	_ = p.cmd.Wait()
	_ = os.RemoveAll(p.dir)
}
