package folder

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"pixano/dataset/exchange"
	"pixano/features"
	"pixano/schema"
)

// addEntities adds entities with their annotations, from an object of parallel lists.
func (it *item) addEntities(table string, class *schema.Class, value json.RawMessage) error {
	members, err := exchange.Members(value)
	if err != nil {
		return err
	}
	type column struct {
		key    string
		table  bool // it names a table of annotations
		values []json.RawMessage
	}
	var columns []column
	seen := view{}
	if len(it.views) > 0 {
		seen = it.views[0]
	}
	count := -1
	for _, m := range members {
		if exchange.Null(m.Value) {
			continue
		}
		if m.Key == "view_ref" {
			var name string
			if err := json.Unmarshal(m.Value, &name); err != nil {
				return fmt.Errorf("view_ref: want the name of a view table, have %s", exchange.Kind(m.Value))
			}
			if seen, err = it.viewOf(name); err != nil {
				return err
			}
			continue
		}
		c := column{key: m.Key}
		group, isTable := it.s.schema.Group(m.Key)
		_, _, isField := class.Field(m.Key)
		switch {
		case isTable && group == schema.GroupAnnotations:
			c.table = true
		case isField:
			if m.Key == "id" || strings.HasSuffix(m.Key, "_ref") {
				return fmt.Errorf("%s: cannot be given: it is made by the import", m.Key)
			}
		case isTable:
			return fmt.Errorf("%s is a table of %s: want one of annotations", m.Key, group)
		default:
			return fmt.Errorf("%q is neither a field of %s nor a table of annotations", m.Key, class.Name)
		}
		if bytes.HasPrefix(bytes.TrimSpace(m.Value), []byte("[")) {
			if err := json.Unmarshal(m.Value, &c.values); err != nil {
				return fmt.Errorf("%s: %w", m.Key, err)
			}
		} else {
			c.values = []json.RawMessage{m.Value}
		}
		if count >= 0 && len(c.values) != count {
			return fmt.Errorf("%s has %d values and %s has %d: want as many of each", columns[0].key, count, m.Key, len(c.values))
		}
		count = len(c.values)
		columns = append(columns, c)
	}
	if count <= 0 {
		return nil
	}
	if len(it.views) == 0 {
		return errors.New("the item has no view that its entities could be in")
	}
	for i := range count {
		row, err := it.row(table, "")
		if err != nil {
			return err
		}
		values := map[string]any{"view_ref": features.View(seen.table, seen.id)}
		for _, c := range columns {
			if c.table || exchange.Null(c.values[i]) {
				continue
			}
			if values[c.key], err = exchange.Decoded(c.values[i]); err != nil {
				return err
			}
		}
		if err := setAll(row, values); err != nil {
			return fmt.Errorf("entity %d: %w", i, err)
		}
		entity := features.Entity(table, exchange.Text(row, "id"))
		for _, c := range columns {
			if !c.table || exchange.Null(c.values[i]) {
				continue
			}
			if err := it.addAnnotations(c.key, c.values[i], seen, entity); err != nil {
				return fmt.Errorf("%s %d: %w", c.key, i, err)
			}
		}
	}
	return nil
}

// viewOf returns the first view of a table in this item.
func (it *item) viewOf(table string) (view, error) {
	for _, v := range it.views {
		if v.table == table {
			return v, nil
		}
	}
	var names []string
	for _, v := range it.views {
		names = append(names, v.table)
	}
	return view{}, fmt.Errorf("view_ref %q is no view of the item: want one of %q", table, names)
}

// addAnnotations adds what an entity has in one table of annotations: an object, a list of numbers for a box, or a list of
// objects.
func (it *item) addAnnotations(table string, value json.RawMessage, seen view, entity features.EntityRef) error {
	class, _ := it.s.schema.Class(table)
	v, err := exchange.Decoded(value)
	if err != nil {
		return err
	}
	switch v := v.(type) {
	case map[string]any:
		return it.addAnnotation(table, class, v, seen, entity)
	case []any:
		if len(v) > 0 {
			if _, ok := v[0].(map[string]any); ok {
				for _, e := range v {
					m, ok := e.(map[string]any)
					if !ok {
						return errors.New("want a list of objects")
					}
					if err := it.addAnnotation(table, class, m, seen, entity); err != nil {
						return err
					}
				}
				return nil
			}
		}
		values, err := it.fromList(class, v, value, seen)
		if err != nil {
			return err
		}
		return it.addAnnotation(table, class, values, seen, entity)
	}
	return fmt.Errorf("want an object with the fields of %s, have %s", class.Name, exchange.Kind(value))
}

// fromList makes the fields of an annotation that is given as a list: the coordinates of a box, or polygons of a mask.
func (it *item) fromList(class *schema.Class, list []any, raw json.RawMessage, seen view) (map[string]any, error) {
	switch class.Base {
	case "BBox":
		normalized := len(list) > 0
		for _, e := range list {
			n, ok := number(e)
			if !ok {
				return nil, fmt.Errorf("want four numbers, have %s", raw)
			}
			if n < 0 || n > 1 {
				normalized = false
			}
		}
		return map[string]any{"coords": list, "format": features.FormatXYWH, "confidence": 1.0, "is_normalized": normalized}, nil
	case "CompressedRLE":
		width, height, err := it.sizeOf(seen)
		if err != nil {
			return nil, err
		}
		mask, err := features.ParseSegmentation(height, width, raw)
		if err != nil {
			return nil, err
		}
		size, counts := mask.Compressed()
		return map[string]any{"size": size, "counts": string(counts)}, nil
	}
	return nil, fmt.Errorf("want an object with the fields of %s, have a list", class.Name)
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

func (it *item) sizeOf(seen view) (width, height int, err error) {
	for _, row := range it.rows[seen.table] {
		if exchange.Text(row, "id") == seen.id {
			return int(exchange.Int(row, "width")), int(exchange.Int(row, "height")), nil
		}
	}
	return 0, 0, errors.New("the view has no size")
}

// addAnnotation adds one annotation, given by its fields. In a sequence, frame_index says in which frame it is.
func (it *item) addAnnotation(table string, class *schema.Class, values map[string]any, seen view, entity features.EntityRef) error {
	seen = it.viewFor(class, seen)
	if _, _, ok := class.Field("frame_index"); !ok {
		if index, ok := values["frame_index"].(int64); ok {
			delete(values, "frame_index")
			found := false
			for _, v := range it.views {
				if v.table == seen.table && v.frame == index && v.class == "SequenceFrame" {
					seen, found = v, true
				}
			}
			if !found {
				return fmt.Errorf("frame_index %d: the item has no such frame", index)
			}
		}
	}
	if counts, ok := values["counts"].([]any); ok && class.Base == "CompressedRLE" {
		text, err := json.Marshal(map[string]any{"size": values["size"], "counts": counts})
		if err != nil {
			return err
		}
		var mask features.RLE
		if err := json.Unmarshal(text, &mask); err != nil {
			return err
		}
		size, compressed := mask.Compressed()
		values["size"], values["counts"] = size, string(compressed)
	}
	row, err := it.row(table, "")
	if err != nil {
		return err
	}
	for key := range values {
		if _, _, ok := class.Field(key); !ok {
			return fmt.Errorf("%q is no field of %s", key, class.Name)
		}
	}
	delete(values, "id")
	values["view_ref"], values["entity_ref"] = features.View(seen.table, seen.id), entity
	values["source_ref"] = features.Source(it.s.builder())
	if err := setAll(row, values); err != nil {
		return err
	}
	return it.inside(table, class, row, seen)
}

// viewFor returns the view that annotations of a class are in: marks of texts in texts, others in what is no text.
func (it *item) viewFor(class *schema.Class, seen view) view {
	wantText := class.Base == "TextSpan"
	if wantText == (seen.class == "Text") {
		return seen
	}
	for _, v := range it.views {
		if wantText == (v.class == "Text") {
			return v
		}
	}
	return seen
}

// inside warns of what leaves its view, and refuses masks of another size.
func (it *item) inside(table string, class *schema.Class, row *schema.Dynamic, seen view) error {
	width, height, err := it.sizeOf(seen)
	if err != nil || width == 0 || height == 0 {
		return nil
	}
	file := it.split.name + "/" + metadataFile
	switch class.Base {
	case "BBox":
		box, err := exchange.Box(row, float64(width), float64(height))
		if err != nil {
			return err
		}
		const slack = 1e-6
		if box[0]+box[2] > float64(width)*(1+slack) || box[1]+box[3] > float64(height)*(1+slack) {
			it.s.in.Warn(file, it.line, "%s: a box reaches out of its image of %d × %d pixels", table, width, height)
		}
	case "CompressedRLE":
		mask, err := exchange.Mask(row)
		if err != nil {
			return err
		}
		if (mask.Width != width || mask.Height != height) && mask.Width*mask.Height > 0 {
			it.s.in.Warn(file, it.line, "%s: a mask of %d × %d pixels in an image of %d × %d", table, mask.Width, mask.Height, width, height)
		}
	}
	return nil
}

// conversation adds a conversation about the first view.
func (it *item) conversation(table string) (*schema.Dynamic, error) {
	row, err := it.row(table, "")
	if err != nil {
		return nil, err
	}
	values := map[string]any{"kind": "vqa"}
	if len(it.views) > 0 {
		values["view_ref"] = features.View(it.views[0].table, it.views[0].id)
	}
	return row, setAll(row, values)
}

// addConversations adds conversations: a list of questions is one, a list of lists are several.
func (it *item) addConversations(table string, value json.RawMessage) error {
	var list []json.RawMessage
	if err := json.Unmarshal(value, &list); err != nil {
		return fmt.Errorf("want a list of questions, have %s", exchange.Kind(value))
	}
	if len(list) == 0 {
		return nil
	}
	if len(it.views) == 0 {
		return errors.New("the item has no view to talk about")
	}
	var conversations [][]json.RawMessage
	if exchange.Kind(list[0]) == "a list" {
		for _, c := range list {
			var questions []json.RawMessage
			if err := json.Unmarshal(c, &questions); err != nil {
				return fmt.Errorf("want a list of questions, have %s", exchange.Kind(c))
			}
			conversations = append(conversations, questions)
		}
	} else {
		conversations = [][]json.RawMessage{list}
	}
	messages := ""
	for _, name := range it.s.schema.TablesOf(schema.GroupAnnotations) {
		if class, _ := it.s.schema.Class(name); class.Base == "Message" && (messages == "" || name == "messages") {
			messages = name
		}
	}
	if messages == "" {
		return errors.New("the schema has no table of messages")
	}
	for _, questions := range conversations {
		row, err := it.conversation(table)
		if err != nil {
			return err
		}
		entity := features.Entity(table, exchange.Text(row, "id"))
		for i, q := range questions {
			if err := it.addQuestion(messages, entity, i, q); err != nil {
				return fmt.Errorf("question %d: %w", i, err)
			}
		}
	}
	return nil
}

// addQuestion adds a question with its answers.
func (it *item) addQuestion(table string, entity features.EntityRef, number int, value json.RawMessage) error {
	var q struct {
		Question  map[string]any   `json:"question"`
		Response  json.RawMessage  `json:"response"`
		Responses []map[string]any `json:"responses"`
	}
	if _, err := exchange.Members(value); err != nil {
		return err
	}
	if err := exchange.Unmarshal(value, &q); err != nil {
		return err
	}
	if len(q.Question) == 0 {
		return errors.New("there is no question: want {\"question\": {\"content\": …}, \"response\": …}")
	}
	content, _ := q.Question["content"].(string)
	if content == "" {
		return errors.New("the question has no text: want a content")
	}
	seen := it.views[0]
	if i := strings.Index(content, "<image "); i >= 0 && len(content) > i+8 && content[i+8] == '>' {
		if n := int(content[i+7] - '0'); n >= 1 && n <= len(it.views) && n <= 9 {
			seen = it.views[n-1]
		}
	}
	question, err := it.message(table, entity, number, "QUESTION", q.Question, func(values map[string]any) {
		values["view_ref"] = features.View(seen.table, seen.id)
	})
	if err != nil {
		return err
	}
	if exchange.Kind(q.Response) == "an object" {
		var one map[string]any
		if err := json.Unmarshal(q.Response, &one); err != nil {
			return err
		}
		q.Responses = []map[string]any{one}
	}
	kind := exchange.Text(question, "question_type")
	choices, _ := exchange.Value(question, "choices").([]string)
	for i, response := range q.Responses {
		if response == nil {
			continue
		}
		_, err := it.message(table, entity, number, "ANSWER", response, func(values map[string]any) {
			values["question_type"] = kind
			if kind != schema.QuestionOpen {
				values["content"] = choiceAnswer(values, choices)
			}
			delete(values, "explanation")
		})
		if err != nil {
			return fmt.Errorf("answer %d: %w", i, err)
		}
	}
	return nil
}

// choiceAnswer writes the answer to a choice question as it is stored: labels in double brackets and an explanation. The
// text of a choice stands for its label; any other text is kept as it is.
func choiceAnswer(values map[string]any, choices []string) string {
	content, _ := values["content"].(string)
	explanation, _ := values["explanation"].(string)
	if _, _, ok := schema.ParseChoiceAnswer(content); ok {
		return content
	}
	labels := strings.Split(content, ";")
	for i, label := range labels {
		label = strings.TrimSpace(label)
		found := label != "" && len(label) <= 2 && strings.IndexFunc(label, func(r rune) bool {
			return (r < 'A' || r > 'Z') && (r < '0' || r > '9')
		}) < 0
		for j, choice := range choices {
			if strings.EqualFold(strings.TrimSpace(choice), label) && j < 26 {
				label, found = string(rune('A'+j)), true
				break
			}
		}
		if !found {
			return content
		}
		labels[i] = label
	}
	return schema.FormatChoiceAnswer(labels, explanation)
}

// message adds a message.
func (it *item) message(table string, entity features.EntityRef, number int, kind string, given map[string]any, more func(map[string]any)) (*schema.Dynamic, error) {
	class, _ := it.s.schema.Class(table)
	values := map[string]any{}
	for key, v := range given {
		_, _, known := class.Field(key)
		switch {
		case v == nil:
		case known || key == "explanation":
			values[key] = v
		default:
			it.s.in.Lose(table, key, "the schema has no such field", 1)
		}
	}
	if user, ok := values["user"].(string); !ok || user == "" {
		values["user"] = "import"
	}
	delete(values, "id")
	values["number"], values["type"] = int64(number), kind
	values["entity_ref"], values["source_ref"] = entity, features.Source(it.s.builder())
	values["timestamp"] = schema.FormatTime(schema.Now())
	more(values)
	if kind == "QUESTION" {
		delete(values, "explanation")
	}
	row, err := it.row(table, "")
	if err != nil {
		return nil, err
	}
	return row, setAll(row, values)
}
