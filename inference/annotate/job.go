package annotate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"pixano/dataset"
	"pixano/features"
	"pixano/inference"
	"pixano/schema"
)

// Job says how DetectViews and SegmentBoxes run a model over a dataset.
//
// What is found is stored every few pictures, all rows of a picture together, and the pictures that are done are noted in
// .pixano/jobs of the dataset. Running the same job again, after it was interrupted or when there are new pictures, does the
// ones that are left; no picture is done twice, and rows that people changed or deleted meanwhile stay so. The job is the
// same when model, tables and settings are; which rows are selected makes no difference.
type Job struct {
	Model   Model
	Workers int    // pictures at a time. 0: 2
	DryRun  bool   // only count: nothing is computed or stored
	Author  string // noted in the history; "": the model

	// Progress, if not nil, is called after each picture, by one goroutine at a time.
	Progress func(Progress)
}

// Progress is how far a job has come, in rows of the table that it goes over.
type Progress struct {
	Total  int // selected
	Before int // of them done by earlier runs
	Done   int // by this one
	Failed int
	Rows   int // stored by this run
}

// Result is what a job did.
type Result struct {
	Progress
	Errors []error // why rows failed; of many only the first
}

const (
	maxErrors     = 10          // kept in a Result
	failuresInRow = 5           // in a row, after which a job gives up
	flushUnits    = 32          // pictures that are stored together
	flushAfter    = time.Second // or when so much time has gone
)

// DetectJob goes over views and stores what a model of detection finds.
type DetectJob struct {
	Job
	Views string        // table of images
	Query dataset.Query // which of them

	Classes       []string
	BoxThreshold  float64 // see [inference.DetectionRequest]
	TextThreshold float64

	Boxes    string // table of BBox, for the boxes
	Labels   string // table of Classification, for the classes; "": none
	Masks    string // table of CompressedRLE, for masks of models that have them; "": none
	Entities string // table of entities, one row for each object, whose column category, name, label or class gets the class; "": none
}

// SegmentJob goes over boxes and stores the mask that a model finds in each.
type SegmentJob struct {
	Job
	Boxes string        // table of BBox
	Query dataset.Query // which of them
	Masks string        // table of CompressedRLE
}

// unit is what a worker does at a time: rows of one view.
type unit struct {
	view features.ViewRef
	ids  []string // of the rows that the job goes over
}

// part is what is to be stored for one row that a job goes over, all of it or nothing.
type part struct {
	id      string
	changes []dataset.Change
}

// outcome is what became of a unit.
type outcome struct {
	unit
	parts []part
	err   error
	// ofPicture: the error is about the picture and says nothing about others.
	ofPicture bool
}

// work does a unit.
type work func(ctx context.Context, u unit) outcome

// DetectViews runs a job of detection. Pictures that cannot be read, and answers that cannot be used, are counted and named in
// the result; a model or a provider that is not there, and many failures in a row, end the job with an error. Then, too, the
// result says what was done.
func DetectViews(ctx context.Context, ds *dataset.Dataset, job DetectJob) (Result, error) {
	if err := checkViews(ds, job.Views); err != nil {
		return Result{}, err
	}
	boxes, err := target(ds, job.Boxes, "BBox")
	if err != nil {
		return Result{}, err
	}
	labels, err := optional(ds, job.Labels, "Classification")
	if err != nil {
		return Result{}, err
	}
	masks, err := optional(ds, job.Masks, "CompressedRLE")
	if err != nil {
		return Result{}, err
	}
	entities, err := optional(ds, job.Entities, "Entity")
	if err != nil {
		return Result{}, err
	}
	named := ""
	if entities != nil {
		named = classColumn(entities)
	}
	if labels == nil && named == "" {
		return Result{}, inference.Errorf(inference.ErrInvalidRequest, "the classes would be lost: want a table of Classification, or one of entities with a column category, name, label or class")
	}
	id := nameID(append([]string{"detect", job.Model.Name, job.Views, job.Boxes, job.Labels, job.Masks, job.Entities, fmt.Sprint(job.BoxThreshold), fmt.Sprint(job.TextThreshold)}, job.Classes...)...)
	ids, err := ds.IDs(ctx, job.Views, job.Query)
	if err != nil {
		return Result{}, err
	}
	units := make([]unit, len(ids))
	for i, view := range ids {
		units[i] = unit{features.View(job.Views, view), []string{view}}
	}
	rowID := func(view string, i int, kind string) string { return nameID(id, view, fmt.Sprint(i), kind) }

	do := func(source features.SourceRef) work {
		return func(ctx context.Context, u unit) (o outcome) {
			o.unit = u
			v, err := ReadView(ctx, ds, u.view.Name, u.view.ID)
			if err == nil {
				var img *inference.Image
				if img, err = Picture(ds, v); err == nil {
					var resp *inference.DetectionResponse
					resp, err = inference.Detect(ctx, job.Model.Provider, &inference.DetectionRequest{Model: job.Model.Name, Image: img,
						Classes: job.Classes, BoxThreshold: job.BoxThreshold, TextThreshold: job.TextThreshold})
					if err == nil {
						done := part{id: v.ID}
						done.changes, err = job.changes(resp, v, source, boxes, labels, masks, entities, named, rowID)
						o.parts = []part{done}
					}
					o.ofPicture = err != nil && damaged(img)
				} else {
					o.ofPicture = true
				}
			}
			o.err = err
			return o
		}
	}
	stored := func(view string) string { return rowID(view, 0, "box") }
	return job.run(ctx, ds, id, inference.TaskDetection, units, job.Boxes, stored, do)
}

// damaged reports whether a picture is here and cannot be decoded.
func damaged(img *inference.Image) bool {
	if img.Remote() {
		return false
	}
	_, err := img.Decode()
	return err != nil
}

// changes makes the rows of an answer. Their ids follow from job, view and place in the answer.
func (job *DetectJob) changes(resp *inference.DetectionResponse, v View, source features.SourceRef, boxes, labels, masks, entities *schema.Class, named string,
	rowID func(string, int, string) string) (changes []dataset.Change, err error) {
	found, err := detected(resp, v, features.EntityRef{}, source)
	if err != nil {
		return nil, err
	}
	add := func(table string, class *schema.Class, row any) {
		if err != nil {
			return
		}
		var d *schema.Dynamic
		if d, err = asClass(class, row); err == nil {
			changes = append(changes, dataset.Insert(table, d))
		}
	}
	for i, d := range found {
		var entity features.EntityRef
		if entities != nil {
			entity = features.Entity(job.Entities, rowID(v.ID, i, "entity"))
			e := schema.Entity{ID: entity.ID, ItemRef: v.ItemRef, ViewRef: v.Ref()}
			var row *schema.Dynamic
			if row, err = asClass(entities, &e); err == nil && named != "" {
				err = row.Set(named, d.Classification.Labels[0])
			}
			if err != nil {
				return nil, err
			}
			changes = append(changes, dataset.Insert(job.Entities, row))
		}
		d.BBox.ID, d.BBox.EntityRef = rowID(v.ID, i, "box"), entity
		add(job.Boxes, boxes, &d.BBox)
		if labels != nil {
			d.Classification.ID, d.Classification.EntityRef = rowID(v.ID, i, "label"), entity
			add(job.Labels, labels, &d.Classification)
		}
		if masks != nil && d.Mask != nil {
			d.Mask.ID, d.Mask.EntityRef = rowID(v.ID, i, "mask"), entity
			add(job.Masks, masks, d.Mask)
		}
	}
	return changes, err
}

// SegmentBoxes runs a job of segmentation: one mask for each box, of the same item, view and entity. See [DetectViews].
func SegmentBoxes(ctx context.Context, ds *dataset.Dataset, job SegmentJob) (Result, error) {
	if _, err := target(ds, job.Boxes, "BBox"); err != nil {
		return Result{}, err
	}
	masks, err := target(ds, job.Masks, "CompressedRLE")
	if err != nil {
		return Result{}, err
	}
	id := nameID("segment", job.Model.Name, job.Boxes, job.Masks)
	// Boxes of one view are done together, so that its picture is read, and looked at by the model, once.
	at := map[features.ViewRef]int{}
	var units []unit
	q := job.Query
	q.Columns = []string{"id", "view_ref.name", "view_ref.id"}
	for row, err := range ds.Rows(ctx, job.Boxes, q) {
		if err != nil {
			return Result{}, err
		}
		table, _ := row.At(1).(string)
		view, _ := row.At(2).(string)
		ref := features.View(table, view)
		i, ok := at[ref]
		if !ok || len(units[i].ids) >= flushUnits {
			i = len(units)
			at[ref] = i
			units = append(units, unit{view: ref})
		}
		units[i].ids = append(units[i].ids, row.ID())
	}
	do := func(source features.SourceRef) work {
		return func(ctx context.Context, u unit) (o outcome) {
			o.unit = u
			v, err := ReadView(ctx, ds, u.view.Name, u.view.ID)
			if err != nil {
				o.err, o.ofPicture = err, true
				return o
			}
			img, err := Picture(ds, v)
			if err != nil {
				o.err, o.ofPicture = err, true
				return o
			}
			var boxes []schema.BBox
			if _, o.err = ds.ByID(ctx, job.Boxes, &boxes, u.ids...); o.err != nil {
				return o
			}
			ask := &inference.ImageMaskRequest{Model: job.Model.Name, Image: img}
			for _, b := range boxes {
				r, err := Box(b, sizeOf(img, v))
				if err != nil {
					o.err, o.ofPicture = &dataset.Error{Op: "segment", Table: job.Boxes, ID: b.ID, Err: err}, true
					return o
				}
				ask.Prompts = append(ask.Prompts, inference.Prompt{Box: r})
			}
			if len(boxes) == 0 {
				return o // they were deleted meanwhile
			}
			resp, err := inference.ImageMask(ctx, job.Model.Provider, ask)
			if err != nil {
				o.err, o.ofPicture = err, damaged(img) || errors.Is(err, inference.ErrInvalidRequest)
				return o
			}
			metadata, err := schema.JSONText(resp.InferenceMetadata())
			if err != nil {
				o.err = err
				return o
			}
			for i, m := range resp.Best() {
				row := schema.CompressedRLE{Annotation: newAnnotation(v, boxes[i].EntityRef, source, metadata)}
				row.ID, row.ItemRef = nameID(id, boxes[i].ID), boxes[i].ItemRef
				row.SetMask(m.RLE)
				d, err := asClass(masks, &row)
				if err != nil {
					o.err = err
					return o
				}
				o.parts = append(o.parts, part{boxes[i].ID, []dataset.Change{dataset.Insert(job.Masks, d)}})
			}
			return o
		}
	}
	stored := func(box string) string { return nameID(id, box) }
	return job.run(ctx, ds, id, inference.TaskImageMask, units, job.Masks, stored, do)
}

// target returns the class of a table that a job reads or fills, and wants it to extend a built-in one.
func target(ds *dataset.Dataset, table, base string) (*schema.Class, error) {
	class, err := classOf(ds, table)
	if err == nil && !schema.IsA(class.Base, base) {
		err = inference.Errorf(inference.ErrInvalidRequest, "table %s holds %s: want %s", table, class.Base, base)
	}
	return class, err
}

func optional(ds *dataset.Dataset, table, base string) (*schema.Class, error) {
	if table == "" {
		return nil, nil
	}
	return target(ds, table, base)
}

// classColumn returns the column of an entity class that holds what the entity is, or "".
func classColumn(class *schema.Class) string {
	for _, name := range []string{"category", "name", "label", "class"} {
		if f, _, ok := class.Field(name); ok && f.Type == (schema.FieldType{Name: schema.TypeStr}) {
			return name
		}
	}
	return ""
}

// asClass makes a row of a table's class, with its defaults, from one of a class that it extends.
func asClass(class *schema.Class, row any) (*schema.Dynamic, error) {
	d, err := schema.NewDynamic(class)
	if err != nil {
		return nil, err
	}
	own, err := schema.ClassOf(row)
	if err != nil {
		return nil, err
	}
	for _, f := range own.Fields {
		v, err := schema.Value(row, f.Name)
		if err != nil {
			return nil, err
		}
		if err := d.Set(f.Name, v); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// run does what is not done yet of the units. stored names, for an id of a unit, the row of table that is there when something
// was stored for it; do does a unit, with the source for its rows.
func (job *Job) run(ctx context.Context, ds *dataset.Dataset, id string, task inference.Task, units []unit, table string,
	stored func(id string) string, do func(features.SourceRef) work) (r Result, err error) {
	if err := job.checkModel(ctx, task); err != nil {
		return r, err
	}
	for _, u := range units {
		r.Total += len(u.ids)
	}
	marks, err := openMarks(ds.Path(), id)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, marks.close()) }()
	if units, err = left(ctx, ds, units, marks, table, stored); err != nil {
		return r, err
	}
	r.Before = r.Total
	for _, u := range units {
		r.Before -= len(u.ids)
	}
	report := func() {
		if job.Progress != nil {
			job.Progress(r.Progress)
		}
	}
	report()
	if job.DryRun || len(units) == 0 {
		return r, nil
	}
	source, err := ModelSource(ctx, ds, job.Model.Name)
	if err != nil {
		return r, err
	}

	working, stop := context.WithCancel(ctx)
	defer stop()
	queue := make(chan unit)
	results := make(chan outcome)
	var workers sync.WaitGroup
	f := do(source)
	for range cmp.Or(job.Workers, 2) {
		workers.Go(func() {
			for u := range queue {
				results <- f(working, u)
			}
		})
	}
	go func() {
		defer func() { workers.Wait(); close(results) }()
		defer close(queue)
		for _, u := range units {
			select {
			case queue <- u:
			case <-working.Done():
				return
			}
		}
	}()

	var waiting []outcome
	var since time.Time
	failures := 0
	// What was computed is stored, also when the job ends early.
	store := func() {
		if len(waiting) == 0 {
			return
		}
		done, rows, failed := job.store(context.WithoutCancel(ctx), ds, marks, waiting)
		r.Done, r.Rows = r.Done+done, r.Rows+rows
		if failed != nil {
			err = errors.Join(err, failed)
			stop()
		}
		waiting = waiting[:0]
	}
	for o := range results {
		switch {
		case o.err == nil:
			failures = 0
			if len(waiting) == 0 {
				since = time.Now()
			}
			waiting = append(waiting, o)
			if len(waiting) >= flushUnits || time.Since(since) > flushAfter {
				store()
			}
		case working.Err() != nil:
			// Cut off, not failed.
		default:
			r.Failed += len(o.ids)
			if len(r.Errors) < maxErrors {
				r.Errors = append(r.Errors, fmt.Errorf("%s %q: %w", o.view.Name, o.view.ID, o.err))
			}
			if !o.ofPicture {
				failures++
			}
			if final(o.err) || failures >= failuresInRow {
				err = errors.Join(err, o.err)
				stop()
			}
		}
		report()
	}
	store()
	report()
	if err == nil {
		err = ctx.Err()
	}
	return r, err
}

// final reports whether an error is one that every other picture will meet as well.
func final(err error) bool {
	return slices.ContainsFunc([]error{inference.ErrConnection, inference.ErrModelNotFound, inference.ErrTaskNotSupported, dataset.ErrReadOnly, dataset.ErrClosed},
		func(kind error) bool { return errors.Is(err, kind) }) || errors.Is(err, fs.ErrPermission) && isProviders(err)
}

// isProviders reports whether an error comes from a provider. That of a picture that may not be read is about one picture.
func isProviders(err error) bool {
	_, ok := errors.AsType[*inference.Error](err)
	return ok
}

// checkModel wants the provider to have the model.
func (job *Job) checkModel(ctx context.Context, task inference.Task) error {
	models, err := job.Model.Provider.Models(ctx)
	if err != nil {
		return err
	}
	var known []string
	for _, m := range models {
		if m.Task != task && m.Task.Valid() {
			continue // a task that is not known may be this one by another name
		}
		if m.Name == job.Model.Name {
			return nil
		}
		known = append(known, m.Name)
	}
	return inference.Located(inference.Errorf(inference.ErrModelNotFound, "model not found: it has %q", known), job.Model.Provider.Name(), string(task), job.Model.Name)
}

// left returns what is to be done of the units: ids without a mark, and without a row that an earlier run stored and could
// not mark any more.
func left(ctx context.Context, ds *dataset.Dataset, units []unit, marks *marks, table string, stored func(id string) string) ([]unit, error) {
	const chunk = 500
	var out []unit
	for units := range slices.Chunk(units, chunk) {
		var rows []string
		for i := range units {
			units[i].ids = slices.DeleteFunc(units[i].ids, marks.has)
			for _, id := range units[i].ids {
				rows = append(rows, stored(id))
			}
		}
		there, err := ds.Exist(ctx, table, rows...)
		if err != nil {
			return nil, err
		}
		for _, u := range units {
			u.ids = slices.DeleteFunc(u.ids, func(id string) bool { return there[stored(id)] })
			if len(u.ids) > 0 {
				out = append(out, u)
			}
		}
	}
	return out, nil
}

// store stores what was found and marks it. Where another process has stored rows for an id meanwhile, those stay.
func (job *Job) store(ctx context.Context, ds *dataset.Dataset, marks *marks, list []outcome) (done, rows int, err error) {
	author := cmp.Or(job.Author, job.Model.Name)
	all := dataset.ChangeSet{Author: author}
	for _, o := range list {
		for _, p := range o.parts {
			all.Changes = append(all.Changes, p.changes...)
		}
	}
	if len(all.Changes) > 0 {
		_, err = ds.Apply(ctx, all)
	}
	rows = len(all.Changes)
	if errors.Is(err, dataset.ErrExists) {
		rows = 0
		for _, o := range list {
			for _, p := range o.parts {
				if len(p.changes) == 0 {
					continue
				}
				switch _, err := ds.Apply(ctx, dataset.ChangeSet{Author: author, Changes: p.changes}); {
				case err == nil:
					rows += len(p.changes)
				case !errors.Is(err, dataset.ErrExists):
					return 0, rows, err
				}
			}
		}
	} else if err != nil {
		return 0, 0, err
	}
	for _, o := range list {
		marks.add(o.ids...)
		done += len(o.ids)
	}
	return done, rows, marks.sync()
}
