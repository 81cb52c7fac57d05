package annotate

import (
	"cmp"
	"context"
	"slices"

	"pixano/dataset"
	"pixano/features"
	"pixano/inference"
	"pixano/schema"
)

// AnswerRequest asks for the next message of a conversation.
type AnswerRequest struct {
	Model        Model
	Conversation features.EntityRef // in a table of conversations
	Table        string             // of the messages
	Messages     []schema.Message   // in order; the last one is what is answered

	MaxNewTokens int     // 0: inference.DefaultMaxNewTokens
	Temperature  float64 // 0 takes the likeliest words; inference.DefaultTemperature is what the reference implementation uses

	// The names that the model has for the roles. "": system, user and assistant.
	RoleSystem, RoleUser, RoleAssistant string

	// ImagesOnce gives the pictures with the first message of an item only. The reference implementation repeats them with
	// each message.
	ImagesOnce bool

	// OnText, if not nil, is called with each piece of the answer as it comes. An error ends the call.
	OnText func(text string) error
}

// Answer asks a model for the next message of a conversation. The model sees, with each message, the first picture of
// each table of images of the item and the boxes and names of its entities.
//
// After a question the row is an answer of the same number, else a question of the next one.
func Answer(ctx context.Context, ds *dataset.Dataset, req AnswerRequest) (*schema.Message, error) {
	if class, err := classOf(ds, req.Conversation.Name); err != nil {
		return nil, err
	} else if !schema.IsA(class.Base, "Conversation") {
		return nil, inference.Errorf(inference.ErrInvalidRequest, "table %s holds %s: want Conversation", req.Conversation.Name, class.Base)
	}
	if class, err := classOf(ds, req.Table); err != nil {
		return nil, err
	} else if !schema.IsA(class.Base, "Message") {
		return nil, inference.Errorf(inference.ErrInvalidRequest, "table %s holds %s: want Message", req.Table, class.Base)
	}
	if len(req.Messages) == 0 {
		return nil, inference.Errorf(inference.ErrInvalidRequest, "want at least one message")
	}
	ask := &inference.GenerationRequest{Model: req.Model.Name, MaxNewTokens: req.MaxNewTokens, Temperature: req.Temperature, OnText: req.OnText}
	roles := map[string]string{
		schema.MessageSystem:   cmp.Or(req.RoleSystem, inference.RoleSystem),
		schema.MessageQuestion: cmp.Or(req.RoleUser, inference.RoleUser),
		schema.MessageAnswer:   cmp.Or(req.RoleAssistant, inference.RoleAssistant),
	}
	contexts := map[string][]inference.Part{} // by item
	for _, m := range req.Messages {
		role, ok := roles[m.Type]
		if !ok {
			return nil, inference.Errorf(inference.ErrInvalidRequest, "message %q is of type %q: want SYSTEM, QUESTION or ANSWER", m.ID, m.Type)
		}
		parts, seen := contexts[m.ItemRef.ID]
		if !seen {
			var err error
			if parts, err = itemContext(ctx, ds, m.ItemRef.ID); err != nil {
				return nil, err
			}
			contexts[m.ItemRef.ID] = parts
		}
		if seen && req.ImagesOnce {
			parts = nil
		}
		ask.Messages = append(ask.Messages, inference.ChatMessage{Role: role, Parts: append(slices.Clone(parts), inference.Part{Text: m.Content})})
	}
	resp, err := inference.Generate(ctx, req.Model.Provider, ask)
	if err != nil {
		return nil, err
	}
	about := resp.InferenceMetadata()
	about["generation_config"], about["usage"] = resp.Config, resp.Usage
	metadata, err := schema.JSONText(about)
	if err != nil {
		return nil, err
	}
	source, err := ModelSource(ctx, ds, req.Model.Name)
	if err != nil {
		return nil, err
	}
	last := req.Messages[len(req.Messages)-1]
	now := schema.Now()
	row := &schema.Message{
		Annotation: schema.Annotation{ID: features.NewShortUUID(), CreatedAt: now, UpdatedAt: now, ItemRef: last.ItemRef, ViewRef: last.ViewRef,
			EntityRef: req.Conversation, SourceRef: source, InferenceMetadata: metadata},
		Content: resp.Text, Number: last.Number, User: req.Model.Name, Type: schema.MessageAnswer, QuestionType: schema.QuestionOpen, Timestamp: resp.Timestamp,
	}
	if last.Type != schema.MessageQuestion {
		row.Type, row.Number = schema.MessageQuestion, last.Number+1
	}
	return row, nil
}

// itemContext returns what a model gets to know of an item: its first picture of each table of images, and for each
// entity that has a box the box and the entity's name.
func itemContext(ctx context.Context, ds *dataset.Dataset, item string) ([]inference.Part, error) {
	var parts []inference.Part
	s := ds.Schema()
	of := dataset.Query{ItemIDs: []string{item}, Limit: 1}
	for _, table := range slices.Sorted(slices.Values(s.TablesOf(schema.GroupViews))) {
		if checkViews(ds, table) != nil {
			continue // texts and the like
		}
		var first []schema.Image
		if err := ds.Get(ctx, table, &first, of); err != nil {
			return nil, err
		}
		if len(first) == 0 {
			continue
		}
		img, err := Picture(ds, View{table, first[0]})
		if err != nil {
			return nil, err
		}
		parts = append(parts, inference.Part{Image: img})
	}
	boxes := tablesOf(ds, schema.GroupAnnotations, "BBox")
	if len(boxes) == 0 {
		return parts, nil
	}
	of.Limit = 0
	var rows []schema.BBox
	if err := ds.Get(ctx, boxes[0], &rows, of); err != nil {
		return nil, err
	}
	for _, table := range s.TablesOf(schema.GroupEntities) {
		if class, _ := s.Class(table); schema.IsA(class.Base, "Conversation") {
			continue
		}
		var entities []*schema.Dynamic
		if err := ds.Get(ctx, table, &entities, of); err != nil {
			return nil, err
		}
		for _, e := range entities {
			id, err := schema.ID(e)
			if err != nil {
				return nil, err
			}
			i := slices.IndexFunc(rows, func(b schema.BBox) bool { return b.EntityRef.ID == id })
			if i < 0 {
				continue
			}
			coords, err := schema.JSONText(rows[i].Coords)
			if err != nil {
				return nil, err
			}
			text := "a bounding box " + coords
			if rows[i].IsNormalized {
				text = "a normalized bounding box " + coords
			}
			if name, _ := e.Get("name"); name != nil && name != "" {
				if name, ok := name.(string); ok {
					text += " with the name '" + name + "'"
				}
			}
			parts = append(parts, inference.Part{Text: text})
		}
	}
	return parts, nil
}

// tablesOf returns the tables of a group whose rows are of a built-in class or extend it, as declared.
func tablesOf(ds *dataset.Dataset, group schema.Group, base string) []string {
	var out []string
	for _, table := range ds.Schema().TablesOf(group) {
		if class, _ := ds.Schema().Class(table); schema.IsA(class.Base, base) {
			out = append(out, table)
		}
	}
	return out
}
