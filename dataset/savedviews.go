package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// savedViewsFile holds the saved views, in .pixano.
const savedViewsFile = "views.json"

// maxViewName is how long the name of a saved view may be, in characters.
const maxViewName = 100

// SavedView is a named state of a list of items: what it filters, sorts, searches and shows.
type SavedView struct {
	Name   string    `json:"name"` // 1 to 100 characters
	Author string    `json:"author,omitempty"`
	Saved  time.Time `json:"saved"`

	// Address is the state as the query of a URL, as "where=split+%3D+%27val%27&view=grid".
	Address string `json:"address"`
}

// SavedViews returns the saved views in the order of their names.
func (d *Dataset) SavedViews() ([]SavedView, error) {
	list := []SavedView{}
	raw, err := os.ReadFile(filepath.Join(d.path, privateFolder, savedViewsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return list, nil
	}
	if err == nil {
		if err = json.Unmarshal(raw, &list); err != nil {
			err = &kindError{ErrCorrupt, err.Error(), nil}
		}
	}
	if err != nil {
		return nil, &Error{Op: "read saved views of", Field: savedViewsFile, Err: err}
	}
	return list, nil
}

// SaveView stores a view in the place of the one of its name. The time of saving becomes now. A name that is empty, too
// long or more than a line is ErrSchema.
func (d *Dataset) SaveView(ctx context.Context, v SavedView) error {
	const op = "save view of"
	if v.Name = strings.TrimSpace(v.Name); v.Name == "" || utf8.RuneCountInString(v.Name) > maxViewName || !utf8.ValidString(v.Name) || strings.ContainsAny(v.Name, "\n\r\x00") {
		return at(op, "", schemaError("name %q: want a line of 1 to %d characters", v.Name, maxViewName))
	}
	v.Saved = time.Now().UTC().Truncate(time.Second)
	return d.changeViews(ctx, op, func(list []SavedView) ([]SavedView, error) {
		i, there := slices.BinarySearchFunc(list, v.Name, func(e SavedView, name string) int { return strings.Compare(e.Name, name) })
		if there {
			list[i] = v
			return list, nil
		}
		return slices.Insert(list, i, v), nil
	})
}

// RemoveView removes a saved view. One that is not there is ErrNotFound.
func (d *Dataset) RemoveView(ctx context.Context, name string) error {
	return d.changeViews(ctx, "remove view of", func(list []SavedView) ([]SavedView, error) {
		i := slices.IndexFunc(list, func(e SavedView) bool { return e.Name == name })
		if i < 0 {
			return nil, &kindError{ErrNotFound, fmt.Sprintf("there is no view %q", name), nil}
		}
		return slices.Delete(list, i, i+1), nil
	})
}

// changeViews replaces the saved views, under the dataset's lock.
func (d *Dataset) changeViews(ctx context.Context, op string, change func([]SavedView) ([]SavedView, error)) error {
	return d.exclusively(ctx, op, "", func(*meta) error {
		list, err := d.SavedViews()
		if err != nil {
			return err
		}
		if list, err = change(list); err != nil {
			return err
		}
		raw, err := json.MarshalIndent(list, "", "  ")
		if err != nil {
			return err
		}
		dir := filepath.Join(d.path, privateFolder)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		return writeFile(filepath.Join(dir, savedViewsFile), append(raw, '\n'))
	})
}
