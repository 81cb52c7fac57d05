package search

import (
	"context"
	"io"
	"math"
	"runtime"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"pixano/dataset"
	"pixano/internal/lance"
)

// scanRows reads the selected rows of a table with as many goroutines as there are processors. Each has a function of its
// own, made by worker, that is called for its batches one after the other.
// batchRows is how many rows it gets at a time; 0: the engine's own number.
func scanRows(ctx context.Context, t *dataset.Searched, columns []string, batchRows int, worker func() func(batch arrow.RecordBatch) error) error {
	reader, err := t.Table.Query(ctx, lance.Query{Columns: columns, Where: t.Where, BatchRows: batchRows})
	if err != nil {
		return err
	}
	defer reader.Close()
	var group sync.WaitGroup
	errs := make([]error, runtime.GOMAXPROCS(0))
	for i := range errs {
		each := worker()
		group.Go(func() {
			for {
				batch, err := reader.Next(ctx)
				if err == nil {
					err = each(batch)
				}
				if err == io.EOF {
					return
				}
				if errs[i] = err; err != nil {
					return
				}
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// The engine can scan texts too, but takes capitals for other letters.

// nextWord returns the first word of a text, in lower case and appended to b, and what follows it. Words are letters and
// digits; everything else parts them. At the end of the text the word is empty.
func nextWord(b []byte, text string) (word []byte, rest string) {
	for i := 0; i < len(text); {
		r, size := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(text[i:])
		}
		switch {
		case r < utf8.RuneSelf && ('a' <= r && r <= 'z' || '0' <= r && r <= '9'):
			b = append(b, byte(r))
		case r < utf8.RuneSelf && 'A' <= r && r <= 'Z':
			b = append(b, byte(r)+'a'-'A')
		case r >= utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)):
			b = utf8.AppendRune(b, unicode.ToLower(r))
		case len(b) > 0:
			return b, text[i:]
		}
		i += size
	}
	return b, ""
}

// wordsOf returns the words of a text in order.
func wordsOf(text string) (words []string) {
	var b []byte
	for {
		if b, text = nextWord(b[:0], text); len(b) == 0 {
			return words
		}
		words = append(words, string(b))
	}
}

// matcher counts the words of a query in texts.
type matcher struct {
	sequence []int          // of the query's words, each as its number
	numbers  map[string]int // of the different words
	all      bool
	phrase   bool

	buffer []byte
	recent []int // numbers of the last words of a text, -1 for others
}

func newMatcher(text string, all, phrase bool) *matcher {
	m := &matcher{numbers: map[string]int{}, all: all, phrase: phrase}
	for _, word := range wordsOf(text) {
		n, ok := m.numbers[word]
		if !ok {
			n = len(m.numbers)
			m.numbers[word] = n
		}
		m.sequence = append(m.sequence, n)
	}
	return m
}

// match counts the words of a text into counts, by number, and returns how many words the text has, and whether it is a
// hit.
func (m *matcher) match(text string, counts []uint16) (length int, hit bool) {
	clear(counts)
	m.recent = m.recent[:0]
	different, together := 0, false
	for {
		if m.buffer, text = nextWord(m.buffer[:0], text); len(m.buffer) == 0 {
			break
		}
		length++
		n, ok := m.numbers[string(m.buffer)]
		if !ok {
			n = -1
		} else {
			if counts[n] == 0 {
				different++
			}
			if counts[n] < math.MaxUint16 {
				counts[n]++
			}
		}
		if m.phrase {
			together = together || m.ends(n)
		}
	}
	switch {
	case m.phrase:
		return length, together
	case m.all:
		return length, different == len(m.numbers)
	}
	return length, different > 0
}

// ends reports whether a word is the last one of the phrase.
func (m *matcher) ends(n int) bool {
	if len(m.recent) == len(m.sequence) {
		copy(m.recent, m.recent[1:])
		m.recent = m.recent[:len(m.recent)-1]
	}
	m.recent = append(m.recent, n)
	if len(m.recent) < len(m.sequence) {
		return false
	}
	for i, n := range m.sequence {
		if m.recent[i] != n {
			return false
		}
	}
	return true
}

// The usual constants of BM25.
const (
	bm25K1 = 1.2
	bm25B  = 0.75
)

// field is what was counted in one column.
type field struct {
	texts, words int64   // in all rows
	having       []int64 // rows with each word
}

// textHit is a row with words of the query in one column.
type textHit struct {
	hit    Hit
	column int
	length int
	counts []uint16
}

// scan ranks all rows that have the words, by reading them. A row's score is the sum of those of its columns.
func (w *wordSearch) scan(ctx context.Context) ([]Hit, error) {
	model := newMatcher(w.query.Text, w.query.Operator == "and", w.query.Phrase)
	n := len(model.numbers)
	columns := append(idColumns(w.t), w.query.Columns...)
	fields := make([]field, len(w.query.Columns))
	for i := range fields {
		fields[i].having = make([]int64, n)
	}
	var mu sync.Mutex
	var found []textHit
	err := scanRows(ctx, w.t, columns, 0, func() func(arrow.RecordBatch) error {
		m := newMatcher(w.query.Text, model.all, model.phrase)
		counts := make([]uint16, n)
		return func(batch arrow.RecordBatch) error {
			rows, items, err := ids(batch, w.t)
			if err != nil {
				return err
			}
			var hits []textHit
			sums := make([]field, len(fields))
			for c, name := range w.query.Columns {
				values, err := textColumn(batch, name)
				if err != nil {
					return err
				}
				nulls := batch.Column(batch.Schema().FieldIndices(name)[0])
				sums[c].having = make([]int64, n)
				for i := range int(batch.NumRows()) {
					if nulls.IsNull(i) {
						continue
					}
					length, ok := m.match(values.Value(i), counts)
					sums[c].texts++
					sums[c].words += int64(length)
					for k, count := range counts {
						if count > 0 {
							sums[c].having[k]++
						}
					}
					if ok && (w.t.Allow == nil || w.t.Allow(items.Value(i))) {
						hits = append(hits, textHit{Hit{ItemID: items.Value(i), ID: rows.Value(i)}, c, length, append([]uint16{}, counts...)})
					}
				}
			}
			mu.Lock()
			defer mu.Unlock()
			found = append(found, hits...)
			for c := range fields {
				fields[c].texts += sums[c].texts
				fields[c].words += sums[c].words
				for k, having := range sums[c].having {
					fields[c].having[k] += having
				}
			}
			return nil
		}
	})
	if err != nil {
		return nil, err
	}
	return w.score(fields, found), nil
}

// score gives the hits their scores, best first.
func (w *wordSearch) score(fields []field, found []textHit) []Hit {
	place := make(map[string]int, len(found))
	hits := make([]Hit, 0, len(found))
	for _, f := range found {
		in := &fields[f.column]
		mean := float64(in.words) / float64(in.texts)
		var score float64
		for k, count := range f.counts {
			if count > 0 {
				rarity := math.Log(1 + (float64(in.texts-in.having[k])+0.5)/(float64(in.having[k])+0.5))
				tf := float64(count)
				score += rarity * tf * (bm25K1 + 1) / (tf + bm25K1*(1-bm25B+bm25B*float64(f.length)/mean))
			}
		}
		if i, ok := place[f.hit.ID]; ok && len(fields) > 1 {
			hits[i].Score += score
			continue
		}
		place[f.hit.ID] = len(hits)
		f.hit.Score = score
		hits = append(hits, f.hit)
	}
	return hits
}

// rank returns all hits with their distances, by reading all vectors. The engine, asked for all rows, would carry their
// vectors through its sort, which takes three times as long.
func (v *vectorSearch) rank(ctx context.Context) ([]Hit, error) {
	query := v.query.Vectors[0]
	distance := kernel(v.query.Metric, query)
	var mu sync.Mutex
	var hits []Hit
	err := scanRows(ctx, v.t, append(idColumns(v.t), v.query.Column), vectorBatch, func() func(arrow.RecordBatch) error {
		return func(batch arrow.RecordBatch) error {
			rows, items, err := ids(batch, v.t)
			if err != nil {
				return err
			}
			list, ok := batch.Column(int(batch.NumCols()) - 1).(*array.FixedSizeList)
			if !ok {
				return kindErrorf(dataset.ErrCorrupt, "the engine gave no vectors but %s", batch.Schema())
			}
			values, ok := list.ListValues().(*array.Float32)
			if !ok {
				return kindErrorf(dataset.ErrCorrupt, "the engine gave vectors of %s", list.ListValues().DataType())
			}
			all := values.Float32Values()
			part := make([]Hit, 0, list.Len())
			for i := range list.Len() {
				from, to := list.ValueOffsets(i)
				if list.IsNull(i) || int(to-from) != len(query) {
					continue
				}
				d := float64(distance(all[from:to]))
				if math.IsNaN(d) || v.query.UpperBound != nil && d >= float64(*v.query.UpperBound) {
					continue
				}
				part = append(part, Hit{ItemID: items.Value(i), ID: rows.Value(i), Distance: d})
			}
			mu.Lock()
			hits = append(hits, part...)
			mu.Unlock()
			return nil
		}
	})
	if err != nil {
		return nil, err
	}
	return v.finish(hits), nil
}

// kernel returns the distance from a query.
func kernel(metric dataset.Metric, query []float32) func(vector []float32) float32 {
	switch metric {
	case dataset.Dot:
		return func(v []float32) float32 { return 1 - dot(query, v) }
	case dataset.Cosine:
		norm := float32(math.Sqrt(float64(dot(query, query))))
		return func(v []float32) float32 {
			return 1 - dot(query, v)/(norm*float32(math.Sqrt(float64(dot(v, v)))))
		}
	}
	return func(v []float32) float32 { return squared(query, v) }
}

// squared is the squared distance of two vectors of one length. Eight sums let the processor work on several at once.
func squared(a, b []float32) float32 {
	b = b[:len(a)]
	var s0, s1, s2, s3, s4, s5, s6, s7 float32
	for len(a) >= 8 && len(b) >= 8 {
		d0, d1, d2, d3 := a[0]-b[0], a[1]-b[1], a[2]-b[2], a[3]-b[3]
		d4, d5, d6, d7 := a[4]-b[4], a[5]-b[5], a[6]-b[6], a[7]-b[7]
		s0, s1, s2, s3 = s0+d0*d0, s1+d1*d1, s2+d2*d2, s3+d3*d3
		s4, s5, s6, s7 = s4+d4*d4, s5+d5*d5, s6+d6*d6, s7+d7*d7
		a, b = a[8:], b[8:]
	}
	for i := range a {
		d := a[i] - b[i]
		s0 += d * d
	}
	return (s0 + s1) + (s2 + s3) + ((s4 + s5) + (s6 + s7))
}

// dot is the dot product of two vectors of one length.
func dot(a, b []float32) float32 {
	b = b[:len(a)]
	var s0, s1, s2, s3, s4, s5, s6, s7 float32
	for len(a) >= 8 && len(b) >= 8 {
		s0, s1, s2, s3 = s0+a[0]*b[0], s1+a[1]*b[1], s2+a[2]*b[2], s3+a[3]*b[3]
		s4, s5, s6, s7 = s4+a[4]*b[4], s5+a[5]*b[5], s6+a[6]*b[6], s7+a[7]*b[7]
		a, b = a[8:], b[8:]
	}
	for i := range a {
		s0 += a[i] * b[i]
	}
	return (s0 + s1) + (s2 + s3) + ((s4 + s5) + (s6 + s7))
}
