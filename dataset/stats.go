package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"pixano/schema"
)

// statsFile holds the statistics.
const statsFile = "stats.json"

// Statistic is a table of numbers about the dataset, kept in stats.json. Nothing keeps it up to date with the rows; [Dataset.UpdateStatistics] brings
// those that it computes up to date.
type Statistic struct {
	Name string `json:"name"`

	// Type is numerical or categorical. It is not checked.
	Type string `json:"type"`

	// Histogram holds the bins: by custom, {"category": "cat", "counts": 3, "split": "train"} or {"bin_start": 0.0,
	// "bin_end": 0.5, "counts": 12, "split": "train"}. Values are int64, float64 or string.
	Histogram []map[string]any `json:"histogram"`

	// Range is the least and the largest value of a numerical statistic. Nil: none.
	Range []float64 `json:"range"`
}

// Statistics reads the statistics, in the order of stats.json. A missing file has none; one that cannot be understood is
// ErrSchema.
func (d *Dataset) Statistics() ([]Statistic, error) {
	_, list, err := readStatistics(d.files)
	if err != nil {
		return nil, &Error{Op: "read statistics", Field: statsFile, Err: err}
	}
	return list, nil
}

// SaveStatistic stores a statistic after the others, and removes the one of its name. A statistic without a name, and
// values of other types than numbers and strings, are ErrSchema.
func (d *Dataset) SaveStatistic(ctx context.Context, s Statistic) error {
	return d.exclusively(ctx, "save statistic", "", func(*meta) error {
		return replaceStatistics(d.path, []Statistic{s}, nil)
	})
}

// replaceStatistics stores statistics after the others, and removes those of their names and of some other names. The
// lock of the dataset is held.
func replaceStatistics(path string, put []Statistic, remove []string) error {
	fail := func(err error) error { return &Error{Field: statsFile, Err: err} }
	raws, list, err := readStatistics(path)
	if err != nil {
		return fail(err)
	}
	gone := set(remove...)
	var encoded []json.RawMessage
	for _, s := range put {
		raw, err := encodeStatistic(s)
		if err != nil {
			return fail(err)
		}
		encoded = append(encoded, raw)
		gone[s.Name] = true
	}
	kept := []json.RawMessage{}
	for i, old := range list {
		if !gone[old.Name] {
			kept = append(kept, raws[i])
		}
	}
	if err := writeFile(filepath.Join(path, statsFile), fileJSON(rawList(append(kept, encoded...)))); err != nil {
		return fail(fileError(err))
	}
	return nil
}

func encodeStatistic(s Statistic) (json.RawMessage, error) {
	if s.Name == "" {
		return nil, schemaError("the statistic has no name")
	}
	name, err := scalarJSON(s.Name)
	if err != nil {
		return nil, fmt.Errorf("name: %w", err)
	}
	kind, err := scalarJSON(s.Type)
	if err != nil {
		return nil, fmt.Errorf("type: %w", err)
	}
	bins := make([]json.RawMessage, len(s.Histogram))
	for i, bin := range s.Histogram {
		o := &jsonObject{values: map[string]json.RawMessage{}}
		for _, key := range slices.Sorted(maps.Keys(bin)) {
			_, err := scalarJSON(key)
			var v any
			if err == nil {
				v, err = toNumberOrString(bin[key])
			}
			var raw json.RawMessage
			if err == nil {
				raw, err = scalarJSON(v)
			}
			if err != nil {
				return nil, fmt.Errorf("histogram[%d].%s: %w", i, key, err)
			}
			o.set(key, raw)
		}
		bins[i] = o.raw()
	}
	limits := json.RawMessage("null")
	if s.Range != nil {
		list := make([]json.RawMessage, len(s.Range))
		for i, v := range s.Range {
			var err error
			if list[i], err = scalarJSON(v); err != nil {
				return nil, fmt.Errorf("range[%d]: %w", i, err)
			}
		}
		limits = rawList(list)
	}
	o := &jsonObject{values: map[string]json.RawMessage{}}
	o.set("name", name)
	o.set("type", kind)
	o.set("histogram", rawList(bins))
	o.set("range", limits)
	return o.raw(), nil
}

func toNumberOrString(v any) (any, error) {
	if n, ok := v.(json.Number); ok {
		return n, nil
	}
	for _, name := range []string{schema.TypeFloat, schema.TypeStr} {
		if s, err := toScalar(schema.FieldType{Name: name}, v); err == nil {
			return s, nil
		}
	}
	return nil, schemaError("%v is a %T: want a number or a string", v, v)
}

// readStatistics reads stats.json, and each statistic as it stands there.
func readStatistics(path string) ([]json.RawMessage, []Statistic, error) {
	content, err := os.ReadFile(filepath.Join(path, statsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fileError(err)
	}
	var whole json.RawMessage
	if err := decodeJSON(content, &whole); err != nil {
		return nil, nil, err
	}
	raws, err := parseList("the file", whole)
	if err != nil {
		return nil, nil, err
	}
	list := make([]Statistic, len(raws))
	for i, raw := range raws {
		if err := decodeStatistic(raw, &list[i]); err != nil {
			return nil, nil, fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return raws, list, nil
}

func decodeStatistic(raw json.RawMessage, s *Statistic) error {
	o, err := parseObject("the statistic", raw)
	if err != nil {
		return err
	}
	if s.Name, err = o.text("name"); err != nil {
		return err
	}
	if s.Type, err = o.text("type"); err != nil {
		return err
	}
	bins, err := parseList("histogram", o.values["histogram"])
	if err != nil {
		return err
	}
	s.Histogram = make([]map[string]any, len(bins))
	for i, raw := range bins {
		bin, err := parseObject(fmt.Sprintf("histogram[%d]", i), raw)
		if err != nil {
			return err
		}
		s.Histogram[i] = map[string]any{}
		for _, key := range bin.keys {
			if s.Histogram[i][key], err = parseScalar(bin.values[key]); err != nil {
				return fmt.Errorf("histogram[%d].%s: %w", i, key, err)
			}
		}
	}
	if raw, ok := o.values["range"]; ok {
		if err := json.Unmarshal(raw, &s.Range); err != nil {
			return schemaError("range is %s: want a list of numbers, or null", jsonKind(raw))
		}
	}
	return nil
}
