package features

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files of testdata anew, which needs "+interopVariable)

// interopVariable names a Python that can import pycocotools.
const interopVariable = "PIXANO_INTEROP_PYTHON"

// question is a line for testdata/pycocotools_oracle.py. An answer has what its question asks for.
type question struct {
	Op       string      `json:"op"` // "polygons", "bitmap" or "pair"
	Size     []int64     `json:"size"`
	Polygons [][]float64 `json:"polygons,omitempty"`
	Bitmap   []byte      `json:"bitmap,omitempty"` // row after row
	A        string      `json:"a,omitempty"`      // compressed counts
	B        string      `json:"b,omitempty"`
}

type answer struct {
	Counts       string  `json:"counts,omitempty"`
	Area         int     `json:"area,omitempty"`
	Box          []int   `json:"box,omitempty"`
	Contours     [][]int `json:"contours,omitempty"` // parent, x, y, x, y, …; nil without OpenCV
	Union        string  `json:"union,omitempty"`
	Intersection string  `json:"intersection,omitempty"`
	IoU          float64 `json:"iou,omitempty"`
	IoUCrowd     float64 `json:"iou_crowd,omitempty"`
}

// TestPycocotools compares 1,000 random polygons, 1,000 random masks and the pairs of neighbours among them with
// pycocotools, exactly.
func TestPycocotools(t *testing.T) {
	python := os.Getenv(interopVariable)
	if python == "" {
		t.Skipf("%s is not set: it names a python that can import pycocotools", interopVariable)
	}
	checkAnswers(t, ask(t, python, randomQuestions(1, 1000)))
}

// TestPycocotoolsGolden does the same for fewer, whose answers are on file.
func TestPycocotoolsGolden(t *testing.T) {
	const file = "testdata/pycocotools.jsonl"
	if *update {
		python := os.Getenv(interopVariable)
		if python == "" {
			t.Fatalf("-update needs %s", interopVariable)
		}
		var lines bytes.Buffer
		small := slices.DeleteFunc(randomQuestions(2, 60), func(q question) bool { return q.Size[0]*q.Size[1] > 600 })
		for _, e := range ask(t, python, small) {
			line, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			lines.Write(append(line, '\n'))
		}
		if err := os.WriteFile(file, lines.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var exchanges []exchange
	for line := range bytes.Lines(data) {
		var e exchange
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		exchanges = append(exchanges, e)
	}
	checkAnswers(t, exchanges)
}

// exchange is a question and its answer.
type exchange struct {
	Question question `json:"question"`
	Answer   answer   `json:"answer"`
}

// randomQuestions returns n questions about polygons, n about bitmaps, and those about the masks of the former in pairs.
func randomQuestions(seed uint64, n int) []question {
	r := rand.New(rand.NewPCG(seed, 0))
	var questions []question
	for range n {
		h, w := randomSize(r)
		questions = append(questions, question{Op: "polygons", Size: []int64{int64(h), int64(w)}, Polygons: randomPolygons(r, h, w)})
	}
	for range n {
		h, w := randomSize(r)
		questions = append(questions, question{Op: "bitmap", Size: []int64{int64(h), int64(w)}, Bitmap: randomBitmap(r, h, w)})
	}
	for range n {
		h, w := randomSize(r)
		var counts [2]string
		for i := range counts {
			m, err := RLEFromBitmap(h, w, randomBitmap(r, h, w))
			if r.IntN(2) == 0 {
				m, err = RLEFromPolygons(h, w, randomPolygons(r, h, w))
			}
			if err != nil {
				panic(err)
			}
			_, text := m.Compressed()
			counts[i] = string(text)
		}
		questions = append(questions, question{Op: "pair", Size: []int64{int64(h), int64(w)}, A: counts[0], B: counts[1]})
	}
	return questions
}

func randomSize(r *rand.Rand) (h, w int) {
	switch r.IntN(8) {
	case 0:
		return 1 + r.IntN(4), 1 + r.IntN(40)
	case 1:
		return 100 + r.IntN(400), 100 + r.IntN(400)
	}
	return 1 + r.IntN(40), 1 + r.IntN(40)
}

// randomPolygons returns one to four rings: around a middle, all over, or on whole, half and fifth numbers, where
// rounding matters; some leave the picture, some repeat points.
func randomPolygons(r *rand.Rand, h, w int) [][]float64 {
	rings := make([][]float64, 1+r.IntN(4)*r.IntN(2))
	for i := range rings {
		n := 3 + r.IntN(12)
		kind := r.IntN(5)
		size := math.Max(float64(h), float64(w))
		cx, cy := r.Float64()*float64(w), r.Float64()*float64(h)
		for j := range n {
			var x, y float64
			switch kind {
			case 0, 1:
				angle, radius := 2*math.Pi*float64(j)/float64(n), size*(.1+.5*r.Float64())
				x, y = cx+radius*math.Cos(angle), cy+radius*math.Sin(angle)
			case 2:
				x, y = r.Float64()*float64(w), r.Float64()*float64(h)
			case 3:
				x, y = (r.Float64()*3-1)*float64(w), (r.Float64()*3-1)*float64(h)
			case 4:
				grid := []float64{1, 2, 5, 10}[r.IntN(4)]
				x, y = math.Round(r.Float64()*float64(w)*grid)/grid, math.Round(r.Float64()*float64(h)*grid)/grid
			}
			rings[i] = append(rings[i], x, y)
			if r.IntN(20) == 0 {
				rings[i] = append(rings[i], x, y)
			}
		}
	}
	return rings
}

// randomBitmap returns rectangles with holes, noise, or one value all over.
func randomBitmap(r *rand.Rand, h, w int) []byte {
	pix := make([]byte, h*w)
	switch r.IntN(8) {
	case 0:
		for i := range pix {
			pix[i] = 1
		}
	case 1: // empty
	case 2, 3:
		density := r.Float64()
		for i := range pix {
			if r.Float64() < density {
				pix[i] = 1
			}
		}
	default:
		for range 1 + r.IntN(10) {
			x0, y0 := r.IntN(w), r.IntN(h)
			value := byte(r.IntN(3)+1) / 2
			for y := y0; y < min(h, y0+1+r.IntN(h)); y++ {
				for x := x0; x < min(w, x0+1+r.IntN(w)); x++ {
					pix[y*w+x] = value
				}
			}
		}
	}
	return pix
}

func ask(t *testing.T, python string, questions []question) []exchange {
	t.Helper()
	var in, out, problems bytes.Buffer
	for _, q := range questions {
		line, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		in.Write(append(line, '\n'))
	}
	cmd := exec.Command(python, filepath.Join("testdata", "pycocotools_oracle.py"))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, &out, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("the oracle: %v\n%s", err, &problems)
	}
	var exchanges []exchange
	lines := bufio.NewScanner(&out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		e := exchange{Question: questions[len(exchanges)]}
		if err := json.Unmarshal(lines.Bytes(), &e.Answer); err != nil {
			t.Fatal(err)
		}
		exchanges = append(exchanges, e)
	}
	if len(exchanges) != len(questions) {
		t.Fatalf("%d answers to %d questions", len(exchanges), len(questions))
	}
	return exchanges
}

func checkAnswers(t *testing.T, exchanges []exchange) {
	t.Helper()
	contours := 0
	for i, e := range exchanges {
		q, want := e.Question, e.Answer
		var got answer
		var err error
		switch q.Op {
		case "polygons":
			got, err = describe(RLEFromPolygons(int(q.Size[0]), int(q.Size[1]), q.Polygons))
		case "bitmap":
			m, mErr := RLEFromBitmap(int(q.Size[0]), int(q.Size[1]), q.Bitmap)
			got, err = describe(m, mErr)
			if want.Contours != nil && err == nil {
				contours++
				got.Contours = want.Contours
				if a, b := flatContours(t, m), longContours(want.Contours); a != b {
					t.Errorf("question %d: contours\n got %s\nwant %s", i, a, b)
				}
			}
		case "pair":
			got, err = combined(q)
		}
		if err != nil {
			t.Errorf("question %d: %v", i, err)
			continue
		}
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(want)
		if !bytes.Equal(a, b) {
			text, _ := json.Marshal(q)
			t.Errorf("question %d: %s\n got %s\nwant %s", i, text, a, b)
		}
	}
	t.Logf("%d questions, contours in %d", len(exchanges), contours)
}

func describe(m RLE, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	_, counts := m.Compressed()
	b := m.Bounds()
	return answer{Counts: string(counts), Area: m.Area(), Box: []int{b.Min.X, b.Min.Y, b.Dx(), b.Dy()}}, nil
}

func combined(q question) (answer, error) {
	a, err := ParseRLE(q.Size, []byte(q.A))
	if err != nil {
		return answer{}, err
	}
	b, err := ParseRLE(q.Size, []byte(q.B))
	if err != nil {
		return answer{}, err
	}
	union, err := Union(a, b)
	if err != nil {
		return answer{}, err
	}
	intersection, err := Intersection(a, b)
	if err != nil {
		return answer{}, err
	}
	var got answer
	_, u := union.Compressed()
	_, n := intersection.Compressed()
	got.Union, got.Intersection = string(u), string(n)
	if got.IoU, err = IoU(a, b, false); err != nil {
		return answer{}, err
	}
	got.IoUCrowd, err = IoU(a, b, true)
	return got, err
}

// flatContours prints contours as longContours does.
func flatContours(t *testing.T, m RLE) string {
	t.Helper()
	polygons, err := m.Contours()
	if err != nil {
		t.Fatal(err)
	}
	var lines [][]int
	add := func(parent int, ring []float64) {
		line := []int{parent}
		for _, c := range ring {
			line = append(line, int(math.Floor(c)))
		}
		lines = append(lines, line)
	}
	for _, p := range polygons {
		parent := len(lines)
		add(-1, p.Exterior)
		for _, h := range p.Holes {
			add(parent, h)
		}
	}
	return fmt.Sprint(lines)
}

// longContours prints OpenCV's contours, exteriors of fewer than three points left out, every hole after its exterior.
func longContours(all [][]int) string {
	var lines [][]int
	for i, c := range all {
		if c[0] >= 0 || len(c) < 7 {
			continue
		}
		parent := len(lines)
		lines = append(lines, c)
		for _, h := range all {
			if h[0] == i {
				lines = append(lines, slices.Concat([]int{parent}, h[1:]))
			}
		}
	}
	return fmt.Sprint(lines)
}
