package demo

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"pixano/dataset"
	"pixano/features"
	"pixano/inference/toyclip"
	"pixano/schema"
	"pixano/search"
)

// How much there is of everything.
const (
	streetCount               = 48
	filmCount, filmFrames     = 4, 60
	quizCount, captionCount   = 12, 12
	pictureWidth              = 960
	pictureHeight             = 640
	frameWidth, frameHeight   = 640, 360
	framesPerSecond           = 12
	keyFrames                 = 10 // a box is drawn by hand so often, and interpolated between
	modelSource, humanSource  = "street-detector", "ana"
	objectsTable, imagesTable = "objects", "image"
)

// StreetObject is something on a street.
type StreetObject struct {
	schema.Entity
	Category string
	Colour   string
	Visible  float64 // the part of it that nothing hides
}

// Street is an item of the dataset of streets.
type Street struct {
	schema.Item
	Weather        string
	TimeOfDay      string
	Image          schema.Image
	Objects        []StreetObject
	BBoxes         []schema.BBox `pixano:"bboxes"`
	Masks          []schema.CompressedRLE
	Keypoints      []schema.KeyPoints
	Labels         []schema.Classification
	ImageEmbedding []schema.ViewEmbedding `pixano:",dim=11"`
}

// RoadUser is who moves through a film.
type RoadUser struct {
	schema.Track
	Category string
	Colour   string
}

// Film is an item of the dataset of films.
type Film struct {
	schema.Item
	Weather   string
	Image     []schema.SequenceFrame
	Tracks    []RoadUser
	Tracklets []schema.Tracklet
	BBoxes    []schema.BBox `pixano:"bboxes"`
}

// Quiz is an item of the dataset of questions.
type Quiz struct {
	schema.Item
	Image         schema.Image
	Conversations []schema.Conversation
	Messages      []schema.Message
}

// Caption is an item of the dataset of captions.
type Caption struct {
	schema.Item
	Image    schema.Image
	Text     schema.Text
	Entities []schema.MultiModalEntity
	BBoxes   []schema.BBox `pixano:"bboxes"`
	Spans    []schema.TextSpan
}

// pictures draws n scenes into the folder of a dataset.
func (d *demo) scenes(ctx context.Context, name string, n int) ([]*picture, error) {
	pictures := make([]*picture, n)
	for i := range pictures {
		pictures[i] = &picture{scene: randomScene(random(name, i)), url: fmt.Sprintf("%s/%s_%03d.jpg", name, strings.TrimSuffix(name, "s"), i+1)}
	}
	return pictures, d.draw(ctx, pictureWidth, pictureHeight, pictures)
}

// each makes a builder that makes one batch a picture.
func each[T any](of []T, sources func(*dataset.BuildContext) error, batch func(i int, of T) dataset.Batch) dataset.Builder {
	return dataset.BuilderFunc(func(_ context.Context, b *dataset.BuildContext, yield func(dataset.Batch) error) error {
		if _, err := b.AddGroundTruthSource(map[string]string{"made": "drawn, so exact"}); err != nil {
			return err
		}
		if sources != nil {
			if err := sources(b); err != nil {
				return err
			}
		}
		for i, one := range of {
			if err := yield(batch(i, one)); err != nil {
				return err
			}
		}
		return nil
	})
}

func split(i int) string {
	if i%4 == 3 {
		return "val"
	}
	return "train"
}

func (p *picture) image(id string, item features.ItemRef) schema.Image {
	return schema.Image{View: schema.View{ID: id, ItemRef: item}, URL: p.url, Width: pictureWidth, Height: pictureHeight, Format: "JPEG"}
}

// truth gives an annotation its head.
func truth(id string, item features.ItemRef, view features.ViewRef, entity features.EntityRef) schema.Annotation {
	return schema.Annotation{ID: id, ItemRef: item, ViewRef: view, EntityRef: entity, SourceRef: features.Source(schema.GroundTruthID)}
}

func boxOf(head schema.Annotation, width, height int, s seen) schema.BBox {
	box := schema.NewBBox(head.ID)
	box.Annotation = head
	box.Coords, box.Format, box.IsNormalized = fractions(width, height, s.box[:]...), "xywh", true
	return box
}

func (d *demo) streets(ctx context.Context) (dataset.Builder, error) {
	pictures, err := d.scenes(ctx, Streets, streetCount)
	if err != nil {
		return nil, err
	}
	sources := func(b *dataset.BuildContext) error {
		_, err := b.AddSource("street-detector", schema.SourceModel, map[string]any{"version": 3, "threshold": .25}, modelSource)
		return err
	}
	return each(pictures, sources, func(i int, p *picture) dataset.Batch {
		name := fmt.Sprintf("street_%03d", i+1)
		item, view := features.Item(name), features.View(imagesTable, "image_"+name)
		row := struct {
			schema.Item
			Weather   string
			TimeOfDay string
		}{schema.NewItem(name), p.light.weather, p.light.time}
		row.Split = split(i)
		var objects []StreetObject
		var boxes []schema.BBox
		var masks []schema.CompressedRLE
		var poses []schema.KeyPoints
		r := random("model", i)
		for _, s := range p.sight {
			id := fmt.Sprintf("%s_%d", name, s.index+1)
			entity := features.Entity(objectsTable, id)
			objects = append(objects, StreetObject{schema.Entity{ID: id, ItemRef: item, ViewRef: view}, s.category, s.colour, math.Round(100*s.parts) / 100})
			boxes = append(boxes, boxOf(truth("box_"+id, item, view, entity), pictureWidth, pictureHeight, s))
			size, counts := s.mask.Compressed()
			masks = append(masks, schema.CompressedRLE{Annotation: truth("mask_"+id, item, view, entity), Size: size, Counts: counts})
			if pose := p.pose[s.index]; pose != nil {
				if k := keyPoints(truth("pose_"+id, item, view, entity), pose, s.mask); slices.Contains(k.States, features.StateVisible) {
					poses = append(poses, k)
				}
			}
			if i%2 == 0 && r.Float64() < .85 {
				boxes = append(boxes, predicted("model_"+id, item, view, entity, s, r))
			}
		}
		if i%2 == 0 && r.Float64() < .5 { // something that is not there
			id := "phantom_" + name
			objects = append(objects, StreetObject{Entity: schema.Entity{ID: id, ItemRef: item, ViewRef: view}, Category: categories[r.IntN(len(categories))]})
			wrong := seen{box: [4]float64{100 + 600*r.Float64(), 200 + 200*r.Float64(), 60 + 80*r.Float64(), 50 + 60*r.Float64()}}
			boxes = append(boxes, predicted("model_"+id, item, view, features.Entity(objectsTable, id), wrong, r))
			boxes[len(boxes)-1].Confidence = math.Round(100*(.26+.3*r.Float64())) / 100
		}
		labels := truth("label_"+name, item, view, features.EntityRef{})
		return dataset.Batch{
			schema.ItemTable: row, imagesTable: p.image(view.ID, item), objectsTable: objects, "bboxes": boxes, "masks": masks, "keypoints": poses,
			"labels": schema.Classification{Annotation: labels, Labels: []string{p.light.time, p.light.weather}, Confidences: []float64{1, 1}},
			"image_embedding": schema.ViewEmbedding{Embedding: schema.Embedding{
				ID: "vector_" + name, ItemRef: item, Vector: p.vector, Shape: []int64{int64(toyclip.Dim)}}, ViewRef: view},
		}
	}), nil
}

// predicted is a box as a model would find it: near the right place, with a confidence that knows of the hidden part.
func predicted(id string, item features.ItemRef, view features.ViewRef, entity features.EntityRef, s seen, r *rand.Rand) schema.BBox {
	near := s
	for k := range near.box {
		near.box[k] += (r.Float64() - .5) * .12 * s.box[2+k%2]
	}
	near.box[0], near.box[1] = max(0, near.box[0]), max(0, near.box[1])
	near.box[2], near.box[3] = min(near.box[2], pictureWidth-near.box[0]), min(near.box[3], pictureHeight-near.box[1])
	head := truth(id, item, view, entity)
	head.SourceRef = features.Source(modelSource)
	box := boxOf(head, pictureWidth, pictureHeight, near)
	box.Confidence = math.Round(100*min(.99, .45+.45*s.parts+.12*(r.Float64()-.5))) / 100
	return box
}

// keyPoints are those of a person: hidden where something else is in front, invisible outside of the picture.
func keyPoints(head schema.Annotation, pose []point, mask features.RLE) schema.KeyPoints {
	k := schema.KeyPoints{Annotation: head, TemplateID: "person-17"}
	alpha, err := mask.Image()
	for _, p := range pose {
		state := features.StateVisible
		if p.x < 0 || p.y < 0 || p.x >= pictureWidth || p.y >= pictureHeight {
			state = features.StateInvisible
		} else if err != nil || alpha.AlphaAt(int(p.x), int(p.y)).A == 0 {
			state = features.StateHidden
		}
		k.Coords = append(k.Coords, fractions(pictureWidth, pictureHeight, p.x, p.y)...)
		k.States = append(k.States, state)
	}
	return k
}

func finishStreets(ctx context.Context, ds *dataset.Dataset) error {
	if err := search.SetFunction(ctx, ds, "image_embedding", toyclip.Embedder{}); err != nil {
		return err
	}
	known := []any{}
	for _, c := range categories {
		known = append(known, c)
	}
	if err := ds.SetConstraint(ctx, objectsTable, dataset.Constraint{Name: "category", Restricted: true, Values: known}); err != nil {
		return err
	}
	return ds.SetConstraint(ctx, schema.ItemTable, dataset.Constraint{Name: "weather", Values: []any{"clear", "cloudy", "rain"}})
}

func finishFilms(ctx context.Context, ds *dataset.Dataset) error {
	return ds.SetConstraint(ctx, "tracks", dataset.Constraint{Name: "category", Restricted: true, Values: []any{"bicycle", "bus", "car", "dog", "person"}})
}

func (d *demo) films(ctx context.Context) (dataset.Builder, error) {
	films := make([][]*picture, filmCount)
	for f := range films {
		r := random(Films, f)
		from := scene{light: lights[f%len(lights)], seed: r.Uint64()}
		speed := []float64{}
		add := func(t thing, v float64) {
			t.look = r.IntN(1000)
			from.things, speed = append(from.things, t), append(speed, v)
		}
		for k := range 2 + r.IntN(2) {
			add(thing{category: []string{"person", "dog", "person"}[k], colour: []string{clothColours[r.IntN(8)], "brown", clothColours[r.IntN(8)]}[k],
				x: .15 + .3*float64(k) + .1*r.Float64(), y: .605, scale: .085, left: k == 1}, .0022+.001*r.Float64())
		}
		add(thing{category: "bus", colour: carColours[r.IntN(8)], x: 1.15 + .2*r.Float64(), y: .735, scale: .088, left: true}, .016)
		add(thing{category: "car", colour: carColours[r.IntN(8)], x: .55 + .1*r.Float64(), y: .73, scale: .086, left: true}, .013)
		add(thing{category: "car", colour: carColours[r.IntN(8)], x: -.2 - .2*r.Float64(), y: .885, scale: .118}, .026)
		add(thing{category: "car", colour: carColours[r.IntN(8)], x: .1 + .2*r.Float64(), y: .89, scale: .12}, .017)
		add(thing{category: "bicycle", colour: carColours[r.IntN(8)], x: .35 + .2*r.Float64(), y: .66, scale: .09}, .006)
		for n := range filmFrames {
			at := from
			at.things = slices.Clone(from.things)
			for k := range at.things {
				t := &at.things[k]
				way := speed[k] * float64(n)
				if t.left {
					way = -way
				}
				t.x += way
				t.step = math.Mod(float64(n)/14, 1)
			}
			films[f] = append(films[f], &picture{scene: at, url: fmt.Sprintf("%s/film_%02d_%04d.jpg", Films, f+1, n)})
		}
		for _, p := range films[f] {
			p.inOrder()
		}
	}
	if err := d.draw(ctx, frameWidth, frameHeight, slices.Concat(films...)); err != nil {
		return nil, err
	}
	sources := func(b *dataset.BuildContext) error {
		_, err := b.AddSource("Ana", schema.SourceHuman, nil, humanSource)
		return err
	}
	return each(films, sources, func(i int, frames []*picture) dataset.Batch {
		name := fmt.Sprintf("film_%02d", i+1)
		item := features.Item(name)
		row := struct {
			schema.Item
			Weather string
		}{schema.NewItem(name), frames[0].light.weather}
		row.Split = split(i)
		views := make([]schema.SequenceFrame, len(frames))
		for n, p := range frames {
			image := p.image(fmt.Sprintf("%s_frame_%04d", name, n), item)
			image.Width, image.Height = frameWidth, frameHeight
			views[n] = schema.SequenceFrame{Image: image, FrameIndex: int64(n), Timestamp: float64(n) / framesPerSecond}
		}
		var tracks []RoadUser
		var tracklets []schema.Tracklet
		var boxes []schema.BBox
		for k, t := range frames[0].things {
			track := RoadUser{Category: t.category, Colour: t.colour}
			track.ID, track.ItemRef, track.Name = fmt.Sprintf("%s_track_%d", name, k+1), item, t.colour+" "+t.category
			if t.category == "dog" {
				track.Name = "dog"
			}
			entity := features.Entity("tracks", track.ID)
			sight := make([]*seen, len(frames))
			for n, p := range frames {
				at := slices.IndexFunc(p.sight, func(s seen) bool { return s.index == k })
				if at >= 0 && p.sight[at].parts > .2 && !p.sight[at].cut() {
					sight[n] = &p.sight[at]
				}
			}
			for n := 0; n < len(frames); n++ {
				if sight[n] == nil {
					continue
				}
				end := n
				for end+1 < len(frames) && sight[end+1] != nil {
					end++
				}
				if end-n < 4 { // too short to follow
					n = end
					continue
				}
				head := truth(fmt.Sprintf("%s_from_%d", track.ID, n), item, features.View(imagesTable, views[n].ID), entity)
				head.SourceRef = features.Source(humanSource)
				tracklet := schema.NewTracklet(head.ID)
				tracklet.Annotation = head
				tracklet.StartTimestep, tracklet.EndTimestep = int64(n), int64(end)
				tracklet.StartTimestamp, tracklet.EndTimestamp = views[n].Timestamp, views[end].Timestamp
				tracklets = append(tracklets, tracklet)
				for at := n; at <= end; at++ {
					if at != n && at != end && (at-n)%keyFrames != 0 {
						continue
					}
					head := truth(fmt.Sprintf("%s_at_%d", track.ID, at), item, features.View(imagesTable, views[at].ID), entity)
					head.SourceRef = features.Source(humanSource)
					boxes = append(boxes, boxOf(head, frameWidth, frameHeight, *sight[at]))
				}
				n = end
			}
			if len(tracklets) > 0 && tracklets[len(tracklets)-1].EntityRef == entity {
				tracks = append(tracks, track)
			}
		}
		return dataset.Batch{schema.ItemTable: row, imagesTable: views, "tracks": tracks, "tracklets": tracklets, "bboxes": boxes}
	}), nil
}

// cut reports whether the edge of a frame cuts through what is seen, most of which is outside then.
func (s seen) cut() bool { return s.box[2] < 12 || s.box[3] < 12 }

// inOrder has what is nearer drawn later, with the order of things kept by number: they are told apart by it.
func (p *picture) inOrder() {
	p.order = make([]int, len(p.things))
	for i := range p.order {
		p.order[i] = i
	}
	slices.SortStableFunc(p.order, func(a, b int) int { return int(math.Copysign(1, p.things[a].y-p.things[b].y)) })
}

func (d *demo) questions(ctx context.Context) (dataset.Builder, error) {
	pictures, err := d.scenes(ctx, Questions, quizCount)
	if err != nil {
		return nil, err
	}
	return each(pictures, nil, func(i int, p *picture) dataset.Batch {
		name := fmt.Sprintf("question_%03d", i+1)
		item, view := features.Item(name), features.View(imagesTable, "image_"+name)
		conversation := schema.Conversation{Entity: schema.Entity{ID: "talk_" + name, ItemRef: item, ViewRef: view}, Kind: "vqa"}
		var messages []schema.Message
		say := func(kind, questionType, content string, choices ...string) {
			number := int64(len(messages) / 2)
			head := truth(fmt.Sprintf("message_%s_%d", name, len(messages)+1), item, view, features.Entity("conversations", conversation.ID))
			messages = append(messages, schema.Message{Annotation: head, Content: content, Number: number, User: "Ana", Type: kind, QuestionType: questionType, Choices: choices})
		}
		counts := map[string]int{}
		var largest *seen
		for k, s := range p.sight {
			counts[s.category]++
			if s.category != "dog" && s.category != "traffic light" && (largest == nil || s.box[2]*s.box[3] > largest.box[2]*largest.box[3]) {
				largest = &p.sight[k]
			}
		}
		say(schema.MessageQuestion, schema.QuestionOpen, "How many people can you see?")
		say(schema.MessageAnswer, schema.QuestionOpen, fmt.Sprint(counts["person"]))
		if largest != nil {
			r := random("choices", i)
			choices := []string{largest.colour}
			for len(choices) < 4 {
				if c := carColours[r.IntN(len(carColours))]; !slices.Contains(choices, c) {
					choices = append(choices, c)
				}
			}
			r.Shuffle(len(choices), func(a, b int) { choices[a], choices[b] = choices[b], choices[a] })
			say(schema.MessageQuestion, schema.QuestionSingleChoice, "What colour has the largest "+largest.category+"?", choices...)
			say(schema.MessageAnswer, schema.QuestionSingleChoice, fmt.Sprintf("[[%c]] ", 'A'+slices.Index(choices, largest.colour)))
		}
		var there []string
		for k, c := range categories {
			if counts[c] > 0 {
				there = append(there, string(rune('A'+k)))
			}
		}
		say(schema.MessageQuestion, schema.QuestionMultiChoice, "Which of these are in the picture?", categories...)
		say(schema.MessageAnswer, schema.QuestionMultiChoice, "[["+strings.Join(there, ";")+"]] ")
		times, why := []string{"day", "dusk", "night"}, map[string]string{
			"day": "The sky is bright.", "dusk": "The sky is red above the houses and lamps are lit.", "night": "There are stars, and light in the windows."}
		say(schema.MessageQuestion, schema.QuestionSingleChoiceExplanation, "What time of the day is it, and how can you tell?", times...)
		say(schema.MessageAnswer, schema.QuestionSingleChoiceExplanation, fmt.Sprintf("[[%c]] %s", 'A'+slices.Index(times, p.light.time), why[p.light.time]))
		row := schema.NewItem(name)
		row.Split = split(i)
		return dataset.Batch{schema.ItemTable: row, imagesTable: p.image(view.ID, item), "conversations": conversation, "messages": messages}
	}), nil
}

func (d *demo) captions(ctx context.Context) (dataset.Builder, error) {
	pictures, err := d.scenes(ctx, Captions, captionCount)
	if err != nil {
		return nil, err
	}
	return each(pictures, nil, func(i int, p *picture) dataset.Batch {
		name := fmt.Sprintf("caption_%03d", i+1)
		item, view := features.Item(name), features.View(imagesTable, "image_"+name)
		text := schema.Text{View: schema.View{ID: "text_" + name, ItemRef: item}}
		words := features.View("text", text.ID)
		var entities []schema.MultiModalEntity
		var boxes []schema.BBox
		var spans []schema.TextSpan
		content := map[string]string{"day": "A street by day", "dusk": "A street at dusk", "night": "A street at night"}[p.light.time] +
			map[string]string{"clear": ", under a clear sky.", "cloudy": ", under clouds.", "rain": ", in the rain."}[p.light.weather]
		for _, s := range p.sight {
			mention := s.mention()
			id := fmt.Sprintf("%s_%d", name, s.index+1)
			entity := features.Entity("entities", id)
			linked := schema.MultiModalEntity{}
			linked.ID, linked.ItemRef, linked.ViewRef, linked.Name = id, item, view, mention
			start := len(content) + 1
			content += " " + strings.ToUpper(mention[:1]) + mention[1:] + s.does()
			entities = append(entities, linked)
			boxes = append(boxes, boxOf(truth("box_"+id, item, view, entity), pictureWidth, pictureHeight, s))
			spans = append(spans, schema.TextSpan{Annotation: truth("span_"+id, item, words, entity), Mention: content[start : start+len(mention)],
				SpansStart: []int64{int64(start)}, SpansEnd: []int64{int64(start + len(mention))}})
		}
		text.Content = content
		row := schema.NewItem(name)
		row.Split = split(i)
		return dataset.Batch{schema.ItemTable: row, imagesTable: p.image(view.ID, item), "text": text, "entities": entities, "bboxes": boxes, "spans": spans}
	}), nil
}

// mention names a thing in a text; does says what it does.
func (t thing) mention() string {
	switch {
	case t.category == "person":
		return "someone in " + t.colour
	case t.category == "traffic light":
		return "a " + t.colour + " traffic light"
	case t.colour == "orange":
		return "an orange " + t.category
	}
	return "a " + t.colour + " " + t.category
}

func (t thing) does() string {
	side := "on the right"
	if t.x < .4 {
		side = "on the left"
	} else if t.x < .6 {
		side = "in the middle"
	}
	switch t.category {
	case "person":
		return " walks " + side + "."
	case "dog":
		return " trots along " + side + "."
	case "traffic light":
		return " stands " + side + "."
	case "bicycle":
		return " is parked " + side + "."
	}
	return " drives " + side + "."
}
