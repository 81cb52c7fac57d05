package pixanoserver

import (
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"pixano/inference"
	"pixano/schema"
)

func nonsense(format string, args ...any) error {
	return inference.Errorf(inference.ErrInvalidResponse, "the answer makes no sense: "+format, args...)
}

func escape(id string) string { return url.PathEscape(id) }

// object is a JSON object whose keys may be in snake case or, as generation D writes them, in camel case.
type object map[string]json.RawMessage

func (o object) get(key string) json.RawMessage {
	if raw, ok := o[key]; ok {
		return raw
	}
	return o[camel(key)]
}

// read decodes the value of a key, named in snake case. One that is missing or null leaves dst.
func (o object) read(key string, dst any) error {
	raw := o.get(key)
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	if err := json.Unmarshal(raw, dst); err != nil {
		return nonsense("%s: %v", key, err)
	}
	return nil
}

func (o object) forget(key string) {
	delete(o, key)
	delete(o, camel(key))
}

// camel writes a name in camel case.
func camel(snake string) string {
	var b strings.Builder
	for i, word := range strings.Split(snake, "_") {
		if i > 0 && word != "" {
			word = strings.ToUpper(word[:1]) + word[1:]
		}
		b.WriteString(word)
	}
	return b.String()
}

// camelKeys returns a request with all its keys in camel case.
func camelKeys(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			out[camel(key)] = camelKeys(value)
		}
		return out
	case []map[string]any:
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = camelKeys(value)
		}
		return out
	}
	return v
}

// answer is the envelope of what a task gives.
type answer struct {
	id     string // of the job
	status string
	detail string
	meta   inference.Meta
	data   object // nil if there is none yet
}

// read decodes an envelope.
func readAnswer(o object) (*answer, error) {
	var a answer
	var stamp string
	var seconds float64
	var detail json.RawMessage
	for key, dst := range map[string]any{"id": &a.id, "job_id": &a.id, "status": &a.status, "detail": &detail, "timestamp": &stamp,
		"processing_time": &seconds, "metadata": &a.meta.Metadata, "data": &a.data} {
		if err := o.read(key, dst); err != nil {
			return nil, err
		}
	}
	if json.Unmarshal(detail, &a.detail) != nil {
		a.detail = string(detail)
	}
	a.meta.Timestamp = schema.Now()
	if t, err := schema.ParseTime(stamp); err == nil {
		a.meta.Timestamp = t
	}
	a.meta.ProcessingTime = time.Duration(seconds * float64(time.Second))
	return &a, nil
}

// state is what has become of a job.
type state int

const (
	pending state = iota
	done
	failed
	cancelled
)

func (a *answer) state() state {
	switch strings.ToUpper(a.status) {
	case "FAILURE", "FAILED", "ERROR":
		return failed
	case "REVOKED", "CANCELED", "CANCELLED":
		return cancelled
	case "SUCCESS", "SUCCEEDED", "COMPLETED", "COMPLETE", "DONE", "FINISHED":
		return done
	}
	if a.data != nil {
		return done
	}
	return pending
}

// checkTensor wants as many values as the shape says, and at least one dimension.
func checkTensor(t inference.Tensor) error {
	n := 1
	for _, d := range t.Shape {
		if d < 0 || n > len(t.Values) {
			break
		}
		n *= d
	}
	if len(t.Shape) == 0 || n != len(t.Values) {
		return nonsense("%d values in the shape %v", len(t.Values), t.Shape)
	}
	return nil
}
