package annotate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"pixano/dataset"
	"pixano/features"
	"pixano/inference"
	"pixano/schema"
	"pixano/search"
)

// EmbedRequest asks for the vectors of views, to be stored in a table of embeddings.
type EmbedRequest struct {
	Model Model

	// Table is the table of embeddings. One that is not there is made.
	Table string

	// Views is the table of the views.
	Views string

	// Texts are columns whose texts are embedded in place of the view itself, as "objects.category" or "captions.content":
	// a column of texts, or of lists of them, in a table. Rows of an annotation or entity that name a view belong to that
	// one, others to all views of their item, as do those of the table of items. The texts of a view are put together, each
	// once, in the order of Texts and of the rows. Empty: pictures of a table of images, contents of a table of texts.
	Texts []string

	// Filter narrows down the views: Where, Args, IDs, ItemIDs and Limit.
	Filter dataset.Query

	// Replace computes vectors anew that are there. Otherwise views that have one are passed over, so that a job that was
	// interrupted goes on where it ended.
	Replace bool

	BatchSize int    // views for a call of the model. 0: 64
	Workers   int    // batches that are read and sent to the model at the same time. 0: as many as Go uses processors, at most 4
	Author    string // for the history. "": the model's name

	// Progress, if not nil, is called after each batch, in order, by one goroutine.
	Progress func(EmbedResult)
}

// EmbedResult says what became of the views.
type EmbedResult struct {
	Total    int // views that the filter selects
	Embedded int // that got a vector
	Present  int // that had one
	Empty    int // without any text
	Failed   int // that could not be read

	// Failures are the errors of the first views that failed, up to a hundred, each a *[dataset.Error] with the view's id.
	Failures []error
}

// Done is the number of views that were looked at.
func (r EmbedResult) Done() int { return r.Embedded + r.Present + r.Empty + r.Failed }

const (
	embedBatch  = 64
	maxFailures = 100
	maxPresent  = 10_000 // views that are passed over before that is reported

	// How many values are gathered before they are stored, and for how long at most. A dataset notes this many in its
	// history by their number only: as text, vectors would fill it.
	flushValues = 262_144
	flushTime   = 15 * time.Second
)

// EmbedViews computes vectors of views and stores them. The first time it makes the table, whose schema then names the
// model as its embedding function as in the reference implementation, so that texts can be searched for; the features of
// an encoder of the SAM family, which have a shape, are no such vectors.
//
// Rows have ids that are made of the view, so no view gets two, whatever is interrupted, repeated or done twice at once. A
// view that cannot be read is counted and passed over. An error of the model or of the dataset ends the job, and so does
// the end of the context; what was computed by then is stored.
func EmbedViews(ctx context.Context, ds *dataset.Dataset, req EmbedRequest) (EmbedResult, error) {
	j := &embedJob{ds: ds, req: req}
	if err := j.prepare(ctx); err != nil {
		return j.result, err
	}
	return j.result, j.run(ctx)
}

type embedJob struct {
	ds      *dataset.Dataset
	req     EmbedRequest
	columns []textColumn        // of Texts
	content bool                // the views are texts
	table   bool                // the table of embeddings is there and of the right model
	named   bool                // it names its function
	present map[string][]string // ids of the rows that views have, by view

	result  EmbedResult
	rows    []schema.ViewEmbedding // to be stored
	flushed time.Time
}

// textColumn is a column of texts of a table.
type textColumn struct {
	table, column string
	byView        bool // its rows name views
}

func (j *embedJob) fail(err error) error {
	return &dataset.Error{Op: "embed " + j.req.Views + " into", Table: j.req.Table, Err: err}
}

func (j *embedJob) invalid(format string, args ...any) error {
	return j.fail(inference.Errorf(inference.ErrInvalidRequest, format, args...))
}

// prepare checks what is asked for and reads which views have vectors.
func (j *embedJob) prepare(ctx context.Context) error {
	r := &j.req
	r.BatchSize = cmp.Or(r.BatchSize, embedBatch)
	r.Workers = cmp.Or(r.Workers, min(runtime.GOMAXPROCS(0), 4))
	r.Author = cmp.Or(r.Author, r.Model.Name)
	switch {
	case r.Table == "":
		return j.invalid("want the name of a table")
	case r.BatchSize < 0 || r.Workers < 0:
		return j.invalid("batches of %d by %d workers: want 1 or more", r.BatchSize, r.Workers)
	case len(r.Filter.Columns) > 0 || r.Filter.OrderBy != "" || r.Filter.Offset != 0:
		return j.invalid("the filter has columns, an order or an offset: want conditions and a limit")
	}
	class, err := classOf(j.ds, r.Views)
	if err != nil {
		return err
	}
	if class.Group() != schema.GroupViews {
		return j.invalid("%s is a table of %s: want one of views", r.Views, class.Group())
	}
	for _, name := range r.Texts {
		c, err := j.textColumn(name)
		if err != nil {
			return err
		}
		j.columns = append(j.columns, c)
	}
	j.content = schema.IsA(class.Base, "Text")
	if len(j.columns) == 0 && !j.content && !schema.IsA(class.Base, "Image") {
		return j.invalid("%s holds %s: want images or texts, or columns of texts", r.Views, class.Base)
	}
	total, err := j.ds.Count(ctx, r.Views, r.Filter)
	if err != nil {
		return err
	}
	j.result.Total = int(total)
	if r.Filter.Limit > 0 {
		j.result.Total = min(j.result.Total, r.Filter.Limit)
	}
	j.present = map[string][]string{}
	if _, there := j.ds.Schema().Class(r.Table); !there {
		return nil
	}
	if err := j.checkTable(ctx); err != nil {
		return err
	}
	return j.readPresent(ctx)
}

func (j *embedJob) textColumn(name string) (textColumn, error) {
	table, column, ok := strings.Cut(name, ".")
	if !ok {
		return textColumn{}, j.invalid("texts of %q: want table.column", name)
	}
	class, err := classOf(j.ds, table)
	if err != nil {
		return textColumn{}, err
	}
	f, _, ok := class.Field(column)
	if !ok || f.Type.Name != schema.TypeStr {
		return textColumn{}, j.invalid("%s has no column %q of texts", table, column)
	}
	_, _, byView := class.Field("view_ref")
	if class.Group() == schema.GroupSource || class.Group() == schema.GroupEmbeddings {
		return textColumn{}, j.invalid("%s is a table of %s: want one whose rows belong to items", table, class.Group())
	}
	return textColumn{table, column, byView}, nil
}

// checkTable wants a table of embeddings of views.
func (j *embedJob) checkTable(ctx context.Context) error {
	class, err := classOf(j.ds, j.req.Table)
	if err != nil {
		return err
	}
	if !schema.IsA(class.Base, "ViewEmbedding") {
		return j.invalid("%s holds %s: want ViewEmbedding", j.req.Table, class.Base)
	}
	return j.checkFunction(ctx)
}

// checkFunction wants the vectors of a table that is there to be of the model: as the function that it names, or as the
// features of an encoder, for which there is none.
func (j *embedJob) checkFunction(ctx context.Context) error {
	// Counted before the function is read: another job names it before it stores rows.
	rows, err := j.ds.Count(ctx, j.req.Table, dataset.Query{})
	if err != nil {
		return err
	}
	columns, err := j.ds.Columns(ctx, j.req.Table)
	if err != nil {
		return err
	}
	f, named, err := search.FunctionOf(j.req.Table, columns)
	if err != nil {
		return j.fail(err)
	}
	if j.named = named; named {
		if err := inference.IsFunction(f, j.req.Model.Provider, j.req.Model.Name); err != nil {
			return j.fail(fmt.Errorf("%w: want another table", err))
		}
		return nil
	}
	if rows == 0 { // such as when a crash came between making the table and naming its function
		return nil
	}
	models, err := j.req.Model.Provider.Models(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(models, func(m inference.Model) bool { return m.Name == j.req.Model.Name && m.Task == inference.TaskImageMask }) {
		return j.invalid("it has %d rows and does not say which model they are of: want another table", rows)
	}
	return nil
}

func (j *embedJob) readPresent(ctx context.Context) error {
	q := dataset.Query{Columns: []string{"id", "view_ref.id"}, Where: "view_ref.name = ?", Args: []any{j.req.Views}}
	for row, err := range j.ds.Rows(ctx, j.req.Table, q) {
		if err != nil {
			return err
		}
		if view, _ := row.At(1).(string); view != "" {
			j.present[view] = append(j.present[view], row.ID())
		}
	}
	return nil
}

// embedView is a view on its way to the model.
type embedView struct {
	id, item string
	text     string // to embed, or the url of a picture
}

// embedded are the views of a batch with their vectors.
type embedded struct {
	views   []embedView
	vectors [][]float32
	shape   []int64
	empty   int
	present int
	failed  []error
	err     error // that ends the job
}

// run goes through the views. Workers compute batches at the same time; their results are stored in the order of the views.
func (j *embedJob) run(ctx context.Context) error {
	compute, stop := context.WithCancel(ctx)
	defer stop()
	queue := make(chan chan embedded, j.req.Workers-1) // results to come; with the one that is waited for, one for each worker
	go func() {
		defer close(queue)
		send := func(views []embedView, present int) bool {
			result := make(chan embedded, 1)
			select {
			case queue <- result:
			case <-compute.Done():
				return false
			}
			go func() { result <- j.compute(compute, views, present) }()
			return true
		}
		var views []embedView
		present := 0
		for v, err := range j.views(compute) {
			if err != nil {
				result := make(chan embedded, 1)
				result <- embedded{err: err}
				select {
				case queue <- result:
				case <-compute.Done():
				}
				return
			}
			if len(j.present[v.id]) > 0 && !j.req.Replace {
				present++
			} else {
				views = append(views, v)
			}
			if len(views) == j.req.BatchSize || present == maxPresent {
				if !send(views, present) {
					return
				}
				views, present = nil, 0
			}
		}
		send(views, present)
	}()
	j.flushed = time.Now()
	var err error
	for result := range queue {
		r := <-result
		if err == nil {
			if err = j.take(ctx, r); err != nil {
				stop()
			}
		}
	}
	if err == nil {
		err = ctx.Err()
	}
	// What was computed is stored even when the context has ended.
	flushErr := j.flush(context.WithoutCancel(ctx))
	if flushErr != nil && err == nil {
		err = flushErr
	}
	if err == nil || flushErr == nil {
		j.report()
	}
	return err
}

func (j *embedJob) report() {
	if j.req.Progress != nil {
		j.req.Progress(j.result)
	}
}

// views reads the views of the filter.
func (j *embedJob) views(ctx context.Context) func(yield func(embedView, error) bool) {
	return func(yield func(embedView, error) bool) {
		q := j.req.Filter
		q.Columns = []string{"id", "item_ref.id"}
		switch {
		case len(j.columns) > 0:
		case j.content:
			q.Columns = append(q.Columns, "content")
		default:
			q.Columns = append(q.Columns, "url")
		}
		for row, err := range j.ds.Rows(ctx, j.req.Views, q) {
			v := embedView{}
			if err == nil {
				v.id = row.ID()
				v.item, _ = row.At(1).(string)
				if len(q.Columns) > 2 {
					v.text, _ = row.At(2).(string)
				}
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// compute has the model compute the vectors of views.
func (j *embedJob) compute(ctx context.Context, views []embedView, present int) (r embedded) {
	r.present = present
	if len(views) == 0 {
		return r
	}
	request := &inference.EmbeddingRequest{Model: j.req.Model.Name, Normalize: true}
	if len(j.columns) == 0 && !j.content {
		for _, v := range views {
			image := View{Table: j.req.Views}
			image.ID, image.URL = v.id, v.text
			img, err := Picture(j.ds, image)
			if err == nil && !img.Remote() {
				_, err = img.Decode() // on this goroutine, so that the model finds them ready
				if err != nil {
					err = &dataset.Error{Op: "read picture", Table: j.req.Views, ID: v.id, Err: err}
				}
			}
			if err != nil {
				if ctx.Err() != nil {
					r.err = ctx.Err()
					return r
				}
				r.failed = append(r.failed, err)
				continue
			}
			r.views = append(r.views, v)
			request.Images = append(request.Images, img)
		}
	} else {
		if len(j.columns) > 0 {
			if r.err = j.gather(ctx, views); r.err != nil {
				return r
			}
		}
		for _, v := range views {
			if v.text = strings.TrimSpace(v.text); v.text == "" {
				r.empty++
				continue
			}
			r.views = append(r.views, v)
			request.Texts = append(request.Texts, v.text)
		}
	}
	if len(r.views) == 0 {
		return r
	}
	resp, err := inference.Embed(ctx, j.req.Model.Provider, request)
	if err != nil {
		r.err = err
		return r
	}
	r.vectors = resp.Vectors
	for _, n := range resp.Shape {
		r.shape = append(r.shape, int64(n))
	}
	return r
}

// gather puts the texts of the columns together for each view.
func (j *embedJob) gather(ctx context.Context, views []embedView) error {
	var items []string
	byID, byItem := map[string]int{}, map[string][]int{}
	for i, v := range views {
		byID[v.id] = i
		byItem[v.item] = append(byItem[v.item], i)
		items = append(items, v.item)
	}
	texts := make([][]string, len(views))
	for _, c := range j.columns {
		q := dataset.Query{ItemIDs: items, Columns: []string{c.column, "item_ref.id"}}
		switch {
		case c.table == schema.ItemTable:
			q.Columns[1] = "id"
		case c.byView:
			q.Columns = append(q.Columns, "view_ref.name", "view_ref.id")
		}
		for row, err := range j.ds.Rows(ctx, c.table, q) {
			if err != nil {
				return err
			}
			item, _ := row.At(1).(string)
			to := byItem[item]
			if c.byView {
				table, _ := row.At(2).(string)
				id, _ := row.At(3).(string)
				if table != "" && id != "" {
					to = nil
					if i, ok := byID[id]; ok && table == j.req.Views {
						to = []int{i}
					}
				}
			}
			var found []string
			switch value := row.At(0).(type) {
			case string:
				found = []string{value}
			case []string:
				found = value
			}
			for _, text := range found {
				if text = strings.TrimSpace(text); text == "" {
					continue
				}
				for _, i := range to {
					if !slices.Contains(texts[i], text) {
						texts[i] = append(texts[i], text)
					}
				}
			}
		}
	}
	for i := range views {
		views[i].text = strings.Join(texts[i], ", ")
	}
	return nil
}

// take adds a batch to what is to be stored.
func (j *embedJob) take(ctx context.Context, r embedded) error {
	if r.err != nil {
		return r.err
	}
	j.result.Present += r.present
	j.result.Empty += r.empty
	j.result.Failed += len(r.failed)
	for _, err := range r.failed {
		if len(j.result.Failures) < maxFailures {
			j.result.Failures = append(j.result.Failures, err)
		}
	}
	if len(r.vectors) > 0 && !j.table {
		if err := j.makeTable(ctx, len(r.vectors[0]), r.shape); err != nil {
			return err
		}
		j.table = true
	}
	for i, v := range r.views {
		j.rows = append(j.rows, schema.ViewEmbedding{
			Embedding: schema.Embedding{ID: nameID("embedding", j.req.Table, j.req.Views, v.id), ItemRef: features.Item(v.item), Vector: r.vectors[i], Shape: r.shape},
			ViewRef:   features.View(j.req.Views, v.id),
		})
	}
	if len(j.rows) > 0 && (len(j.rows)*len(j.rows[0].Vector) > flushValues || time.Since(j.flushed) > flushTime) {
		if err := j.flush(ctx); err != nil {
			return err
		}
	}
	j.report()
	return nil
}

// makeTable makes the table of embeddings, or checks that the one there has vectors of this model.
func (j *embedJob) makeTable(ctx context.Context, dim int, shape []int64) error {
	if _, there := j.ds.Schema().Class(j.req.Table); !there {
		class, err := schema.ClassOf(schema.ViewEmbedding{})
		if err == nil {
			class, err = class.WithDim(dim)
		}
		if err != nil {
			return j.fail(err)
		}
		if err := j.ds.CreateTable(ctx, j.req.Table, class, schema.ManyToOne); err != nil {
			if _, there := j.ds.Schema().Class(j.req.Table); !there { // by another job
				return err
			}
		}
	}
	if err := j.checkFunction(ctx); err != nil {
		return err
	}
	if have, err := j.dim(ctx); err != nil || have != dim {
		return cmp.Or(err, j.invalid("its vectors have %d values, those of %q %d: want another table", have, j.req.Model.Name, dim))
	}
	if j.named || len(shape) > 1 { // the features of an encoder are of no function
		return nil
	}
	e, err := inference.NewEmbedder(ctx, j.req.Model.Provider, j.req.Model.Name)
	if err != nil {
		return err
	}
	return search.SetFunction(ctx, j.ds, j.req.Table, e)
}

// dim returns the length of the table's vectors.
func (j *embedJob) dim(ctx context.Context) (int, error) {
	columns, err := j.ds.Columns(ctx, j.req.Table)
	if err != nil {
		return 0, err
	}
	if fields, ok := columns.FieldsByName("vector"); ok {
		if t, ok := fields[0].Type.(*arrow.FixedSizeListType); ok {
			return int(t.Len()), nil
		}
	}
	return 0, j.invalid("it has no vectors of a fixed length")
}

// flush stores the rows that were gathered.
func (j *embedJob) flush(ctx context.Context) error {
	rows := j.rows
	j.rows, j.flushed = nil, time.Now()
	if len(rows) == 0 {
		return nil
	}
	if j.req.Replace {
		if err := j.replace(ctx, rows); err != nil {
			return err
		}
		j.result.Embedded += len(rows)
		return nil
	}
	for {
		err := j.ds.Add(ctx, j.req.Table, rows)
		if err == nil {
			j.result.Embedded += len(rows)
			return nil
		}
		if !errors.Is(err, dataset.ErrExists) && !errors.Is(err, dataset.ErrIntegrity) && !errors.Is(err, dataset.ErrConflict) {
			return err
		}
		// Another job stored some of them meanwhile.
		var ids []string
		for _, row := range rows {
			ids = append(ids, row.ID)
		}
		there, existErr := j.ds.Exist(ctx, j.req.Table, ids...)
		if existErr != nil {
			return existErr
		}
		before := len(rows)
		rows = slices.DeleteFunc(rows, func(r schema.ViewEmbedding) bool { return there[r.ID] })
		j.result.Present += before - len(rows)
		if len(rows) == 0 {
			return nil
		}
		if len(rows) == before && !errors.Is(err, dataset.ErrConflict) {
			return err
		}
	}
}

// replace stores rows in the place of those that their views have.
func (j *embedJob) replace(ctx context.Context, rows []schema.ViewEmbedding) error {
	var old []string
	for _, row := range rows {
		for _, id := range j.present[row.ViewRef.ID] {
			if id != row.ID {
				old = append(old, id)
			}
		}
	}
	changes := []dataset.Change{dataset.Put(j.req.Table, rows)}
	if len(old) > 0 {
		changes = append(changes, dataset.Delete(j.req.Table, old...))
	}
	_, err := j.ds.Apply(ctx, dataset.ChangeSet{Author: j.req.Author, Changes: changes})
	return err
}
