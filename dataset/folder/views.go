package folder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"pixano/dataset/exchange"
	"pixano/schema"
)

// addViews adds the views of a table, from the value of its key: a file, a folder of frames, a list of files, or a text.
func (it *item) addViews(table string, value json.RawMessage) error {
	class, _ := it.s.schema.Class(table)
	var name string
	if json.Unmarshal(value, &name) == nil {
		if class.Base == "Text" && !strings.EqualFold(path.Ext(name), ".txt") {
			return it.addText(table, name)
		}
		if name == "" {
			return fmt.Errorf("%s: the name of the file is empty", table)
		}
		return it.addFile(table, it.pathOf(name), -1)
	}
	var names []string
	if err := json.Unmarshal(value, &names); err != nil {
		have := exchange.Kind(value)
		if have == "a list" {
			have = "a list of other things"
		}
		return fmt.Errorf("%s: want the name of a file or a list of them, have %s", table, have)
	}
	for i, name := range names {
		names[i] = it.listed(name)
	}
	switch {
	case len(names) == 0:
		return nil
	case len(names) == 1 && class.Base != "SequenceFrame":
		return it.addFile(table, names[0], -1)
	case class.Base == "SequenceFrame" || it.s.schema.Many(table):
		for i, name := range names {
			if err := it.addFile(table, name, i); err != nil {
				return err
			}
		}
		return nil
	case schema.IsA(class.Base, "Image"):
		return it.addMosaic(table, names)
	}
	return fmt.Errorf("%s: %d files for one %s: want one", table, len(names), class.Base)
}

// pathOf returns the path in the source of a file that the metadata names: from the source if it begins with the split's
// name, otherwise from the split.
func (it *item) pathOf(name string) string {
	clean := path.Clean(strings.ReplaceAll(name, `\`, "/"))
	if first, _, _ := strings.Cut(clean, "/"); first == it.split.name || path.IsAbs(clean) {
		return clean
	}
	return path.Join(it.split.name, clean)
}

// listed is pathOf for files in a list, which are looked for in the source first.
func (it *item) listed(name string) string {
	clean := path.Clean(strings.ReplaceAll(name, `\`, "/"))
	if it.s.in.HasMedia(clean) {
		return clean
	}
	return it.pathOf(name)
}

// newView adds the row of a view.
func (it *item) newView(table, name string) (*schema.Dynamic, error) {
	id := ""
	if it.s.in.Options().NamesAsIDs && name != "" {
		id = strings.ReplaceAll(strings.TrimSuffix(path.Base(name), path.Ext(name)), " ", "_")
	}
	return it.row(table, id)
}

func (it *item) keep(table string, row *schema.Dynamic, class *schema.Class, frame int64, values map[string]any) error {
	if err := setAll(row, values); err != nil {
		return err
	}
	id := exchange.Text(row, "id")
	it.views = append(it.views, view{table, id, class.Base, frame})
	if url, ok := values["url"].(string); ok {
		it.urls = append(it.urls, url)
	}
	return nil
}

func (it *item) addText(table, content string) error {
	class, _ := it.s.schema.Class(table)
	row, err := it.newView(table, "")
	if err != nil {
		return err
	}
	return it.keep(table, row, class, 0, map[string]any{"content": content})
}

// addFile adds a view of a file of the source. frame is its place in a sequence, or -1.
func (it *item) addFile(table, name string, frame int) error {
	in := it.s.in
	class, _ := it.s.schema.Class(table)
	name, err := exchange.CheckMediaName(name)
	if err != nil {
		return err
	}
	if class.Base == "Text" {
		text, err := it.readText(name)
		if err != nil {
			return err
		}
		return it.addText(table, text)
	}
	if class.Base == "SequenceFrame" && frame < 0 {
		return it.addFrames(table, name)
	}
	values := map[string]any{}
	switch {
	case schema.IsA(class.Base, "Image"):
		info, err := in.Image(name)
		if err != nil {
			return err
		}
		values["width"], values["height"], values["format"] = info.Width, info.Height, info.Format
		if class.Base == "SequenceFrame" {
			values["frame_index"], values["timestamp"] = int64(frame), float64(frame)/it.fps()
		}
	case class.Base == "Video":
		v, err := in.Video(name)
		if err != nil {
			return err
		}
		values["width"], values["height"], values["format"] = v.Width, v.Height, v.Format
		values["num_frames"], values["fps"], values["duration"] = v.NumFrames, v.FPS, v.Duration
	case class.Base == "PointCloud":
	default:
		return fmt.Errorf("%s: views of class %s cannot be made of files: want Image, SequenceFrame, Video, Text or PointCloud", table, class.Base)
	}
	if values["url"], err = in.Media(name); err != nil {
		return err
	}
	row, err := it.newView(table, name)
	if err != nil {
		return err
	}
	return it.keep(table, row, class, int64(max(frame, 0)), values)
}

// fps returns the item's field of this name, or the option.
func (it *item) fps() float64 {
	if rows := it.rows[schema.ItemTable]; len(rows) > 0 {
		if v, ok := exchange.Value(rows[0], "fps").(float64); ok && v > 0 {
			return v
		}
		if v := exchange.Int(rows[0], "fps"); v > 0 {
			return float64(v)
		}
	}
	return it.s.in.Options().FPS
}

// addFrames adds the frames in a folder.
func (it *item) addFrames(table, dir string) error {
	entries, err := fs.ReadDir(it.s.in.Root().FS(), dir)
	if err != nil {
		if exchange.IsImage(dir) {
			return it.addFile(table, dir, 0)
		}
		if _, why := it.s.in.Stat(dir); why != nil {
			return why
		}
		return err
	}
	n := 0
	for _, e := range entries {
		if e.IsDir() || !exchange.IsImage(e.Name()) {
			continue
		}
		if err := it.addFile(table, path.Join(dir, e.Name()), n); err != nil {
			return err
		}
		n++
	}
	if n == 0 {
		return fmt.Errorf("%s: the folder %q has no frames: want image files", table, dir)
	}
	return nil
}

// addMosaic adds one view of several images.
func (it *item) addMosaic(table string, names []string) error {
	in := it.s.in
	class, _ := it.s.schema.Class(table)
	images := make([]picture, len(names))
	for i, name := range names {
		clean, err := exchange.CheckMediaName(name)
		if err != nil {
			return err
		}
		if images[i], err = readPicture(in, clean); err != nil {
			return err
		}
	}
	jpeg, width, height, err := mosaic(table, images)
	if err != nil {
		return err
	}
	name := mosaicName(names, it.id)
	url, err := in.WriteMedia(name, jpeg)
	if err != nil {
		return err
	}
	row, err := it.newView(table, name)
	if err != nil {
		return err
	}
	return it.keep(table, row, class, 0, map[string]any{"url": url, "width": int64(width), "height": int64(height), "format": "JPEG"})
}

// mosaicName names the mosaic of some images: their folder, what their names have in common, and "_mosaic.jpg". Without
// anything in common it is the item's id.
func mosaicName(names []string, item string) string {
	dir := path.Dir(names[0])
	for _, name := range names {
		for dir != "." && !strings.HasPrefix(name, dir+"/") {
			dir = path.Dir(dir)
		}
	}
	prefix := path.Base(names[0])
	for _, name := range names {
		base := path.Base(name)
		for !strings.HasPrefix(base, prefix) {
			prefix = prefix[:len(prefix)-1]
		}
	}
	prefix = strings.TrimRight(strings.ToValidUTF8(prefix, ""), "_- ")
	if slices.Contains([]string{"", "."}, prefix) {
		prefix = strings.Map(func(r rune) rune {
			if strings.ContainsRune(`/\:`, r) {
				return '_'
			}
			return r
		}, item)
	}
	return path.Join(dir, prefix+"_mosaic.jpg")
}

var errTooLarge = errors.New("too large for a mosaic: want at most 100 million pixels")
