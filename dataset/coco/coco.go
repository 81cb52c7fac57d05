// Package coco imports and exports datasets in the format of COCO: a JSON file with images, annotations and categories.
//
// An export has two forms. The strict one is what COCO's tools read: whole numbers as ids, boxes and polygons in pixels,
// filled categories, masks as polygons or run lengths, key points, and captions in files of their own. The other is that of
// the reference implementation, whose ids are texts, whose categories are empty and whose outlines are fractions. Both say
// in keys that begin with pixano_ which rows an annotation came from, and an import makes the same rows again.
//
// An import takes either form, and what other tools write: one item for each image, an entity for each annotation with a
// box, a mask and key points as they are there. Extra columns of entities and items travel under "attributes", as CVAT and
// others have them.
package coco

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"pixano/dataset/exchange"
	"pixano/features"
	"pixano/schema"
)

// Format is the format of COCO.
var Format = exchange.Format{
	Name:        "coco",
	Title:       "COCO",
	Description: "images with boxes, masks, key points and captions, in a JSON file for each split",
	Source:      "a JSON file or a directory of them, with the images beside or in --images",
	Open:        open,
	NewWriter:   newWriter,
	Options: []exchange.Option{
		{Name: "split", Description: "the split of the items; without it, as the file is called", Import: true},
		{Name: "categories", Description: "ids of categories: coco91, coco80, voc or a JSON object of names and ids " +
			"(default: coco91, and in the strict form numbers from 1 unless all names are COCO's)", Export: true},
		{Name: "segmentation", Description: "masks of the strict form as polygon, rle or auto: polygons where they are exact (default)", Export: true},
	},
}

// Object is the class of the entities that an import makes.
type Object struct {
	schema.Entity
	Category string
	IsCrowd  bool // a region of many objects
}

type item struct {
	schema.Item
	Image     schema.Image
	Objects   []Object
	BBoxes    []schema.BBox `pixano:"bboxes"`
	Masks     []schema.CompressedRLE
	Keypoints []schema.KeyPoints
}

// The tables of an import.
const (
	imageTable   = "image"
	objectTable  = "objects"
	boxTable     = "bboxes"
	maskTable    = "masks"
	pointTable   = "keypoints"
	captionTable = "captions"
)

// number is an id of COCO: a whole number, or a text in the reference's form. Its value is its JSON.
type number string

func (n *number) UnmarshalJSON(data []byte) error {
	kind := exchange.Kind(data)
	if kind != "a number" && kind != "a text" && kind != "null" {
		return fmt.Errorf("an id: want a number or a text, have %s", kind)
	}
	if string(data) != "null" {
		*n = number(data)
	}
	if whole, fraction, ok := strings.Cut(string(data), "."); ok && kind == "a number" && strings.Trim(fraction, "0") == "" {
		*n = number(whole) // 7.0 of a data frame
	}
	return nil
}

// text returns an id without quotes.
func (n number) text() string {
	var s string
	if json.Unmarshal([]byte(n), &s) == nil {
		return s
	}
	return string(n)
}

// cocoImage is an element of "images".
type cocoImage struct {
	ID         number         `json:"id"`
	View       string         `json:"view"`
	Width      int64          `json:"width"`
	Height     int64          `json:"height"`
	FileName   string         `json:"file_name"`
	URL        string         `json:"coco_url"` // LVIS has no file_name
	Timestamp  float64        `json:"timestamp"`
	FrameIndex *int64         `json:"frame_index"`
	ViewID     string         `json:"pixano_view_id"`
	ItemID     string         `json:"pixano_item_id"`
	Attributes map[string]any `json:"attributes"`
}

// cocoAnnotation is an element of "annotations".
type cocoAnnotation struct {
	ID           number          `json:"id"`
	ImageID      number          `json:"image_id"`
	CategoryID   number          `json:"category_id"`
	CategoryName *string         `json:"category_name"`
	Segmentation json.RawMessage `json:"segmentation"`
	BBox         []float64       `json:"bbox"`
	IsCrowd      flag            `json:"iscrowd"`
	KeyPoints    []float64       `json:"keypoints"`
	Caption      *string         `json:"caption"`
	View         string          `json:"view"` // of a caption: its table
	Confidence   *float64        `json:"confidence"`
	Score        *float64        `json:"score"`
	Attributes   map[string]any  `json:"attributes"`
	Segments     json.RawMessage `json:"segments_info"` // of a panoptic segmentation

	EntityID   string     `json:"pixano_entity_id"`
	BoxID      string     `json:"pixano_bbox_id"`
	MaskID     string     `json:"pixano_segmentation_id"`
	PointsID   string     `json:"pixano_keypoints_id"`
	ViewID     string     `json:"pixano_view_id"`
	Unlabelled bool       `json:"pixano_unlabelled"`
	Box        *ownBox    `json:"pixano_bbox"`
	Points     *ownPoints `json:"pixano_keypoints"`
}

// ownBox is a box as the dataset has it, in the strict form.
type ownBox struct {
	Coords       []float64 `json:"coords"`
	Format       string    `json:"format"`
	IsNormalized bool      `json:"is_normalized"`
}

// ownPoints are key points as the dataset has them, in the strict form.
type ownPoints struct {
	TemplateID string    `json:"template_id"`
	Coords     []float64 `json:"coords"`
	States     []string  `json:"states"`
}

// flag is 0 or 1, or a truth value.
type flag bool

func (f *flag) UnmarshalJSON(data []byte) error {
	switch string(data) {
	case "1", "true":
		*f = true
	case "0", "false", "null":
	default:
		return fmt.Errorf("iscrowd: want 0 or 1, have %s", data)
	}
	return nil
}

// cocoCategory is an element of "categories".
type cocoCategory struct {
	ID        number          `json:"id"`
	Name      string          `json:"name"`
	Super     *string         `json:"supercategory"`
	KeyPoints []string        `json:"keypoints"`
	Skeleton  json.RawMessage `json:"skeleton"` // pairs of points, from 1
}

// The keys that are read or mean nothing. Others are attributes, as FiftyOne has them.
var (
	imageKeys = strings.Fields("id view width height file_name timestamp frame_index attributes")
	factKeys  = strings.Fields("license coco_url flickr_url date_captured") // of an image
	noteKeys  = strings.Fields("id image_id category_id category_name segmentation bbox area iscrowd keypoints num_keypoints caption view " +
		"confidence score attributes segments_info")
)

// superColumn is the column of objects for what COCO says of their categories.
const superColumn = "supercategory"

// others calls fn for the members of an element, which was decoded before, that are none of some keys, nor ours.
func others(raw json.RawMessage, keys []string, fn func(key string, value json.RawMessage) error) error {
	return exchange.EachMember(raw, func(m exchange.Member) error {
		if slices.Contains(keys, m.Key) || strings.HasPrefix(m.Key, "pixano_") || exchange.Null(m.Value) {
			return nil
		}
		return fn(m.Key, m.Value)
	})
}

// files lists the files of a source: those in it and its folder annotations or else, as Roboflow has them, those in a folder
// for each split.
func files(in *exchange.Input) ([]string, error) {
	if in.File() != "" {
		return []string{in.File()}, nil
	}
	var names, folders []string
	list := func(dir string) error {
		entries, err := fs.ReadDir(in.Root().FS(), dir)
		for _, e := range entries {
			switch {
			case strings.HasPrefix(e.Name(), "."):
			case e.IsDir() && dir == ".":
				folders = append(folders, e.Name())
			case !e.IsDir() && path.Ext(e.Name()) == ".json":
				names = append(names, path.Join(dir, e.Name()))
			}
		}
		return err
	}
	if err := list("."); err != nil {
		return nil, err
	}
	if slices.Contains(folders, "annotations") {
		if err := list("annotations"); err != nil {
			return nil, err
		}
	}
	if len(names) == 0 {
		for _, dir := range folders {
			if err := list(dir); err != nil {
				return nil, err
			}
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("the directory has no JSON file, nor have its folders: want a COCO file, such as annotations/instances_train.json")
	}
	return names, nil
}

var exported = regexp.MustCompile(`^(?:captions_)?(.+)_pixano_export_\d+$`)

// splitOf finds the split of a file by its name.
func splitOf(file string) string {
	stem := strings.TrimSuffix(path.Base(file), path.Ext(file))
	if m := exported.FindStringSubmatch(stem); m != nil {
		return m[1]
	}
	lower := strings.ToLower(stem)
	for _, split := range []string{"train", "val", "test"} {
		if strings.Contains(lower, split) {
			return split
		}
	}
	if dir := path.Base(path.Dir(file)); dir != "." && dir != "annotations" {
		return dir
	}
	return "default"
}

// folderOf returns the folder that the images of a file are in by custom: "val2017" for instances_val2017.json.
func folderOf(file string) string {
	stem := strings.TrimSuffix(path.Base(file), path.Ext(file))
	if i := strings.LastIndex(stem, "_"); i >= 0 {
		return stem[i+1:]
	}
	return stem
}

// isName reports whether a list of categories has all names of another.
func allIn(labels *features.Labels, names []string) bool {
	for _, name := range names {
		if _, ok := labels.ID(name); !ok {
			return false
		}
	}
	return true
}

// categoryIDs returns the ids of categories: as a setting says, or by default.
func categoryIDs(setting string, strict bool, names []string) (func(name string) (int, bool), error) {
	if strings.HasPrefix(strings.TrimSpace(setting), "{") {
		ids := map[string]int{}
		if err := json.Unmarshal([]byte(setting), &ids); err != nil {
			return nil, fmt.Errorf("categories: want a JSON object of names and ids: %w", err)
		}
		return func(name string) (int, bool) { id, ok := ids[name]; return id, ok }, nil
	}
	if setting == "" && strict && !allIn(features.COCO91, names) {
		ids := map[string]int{}
		for i, name := range names {
			ids[name] = i + 1
		}
		return func(name string) (int, bool) { id, ok := ids[name]; return id, ok }, nil
	}
	labels, err := features.LabelsByName(cmp.Or(setting, "coco91"))
	if err != nil {
		return nil, fmt.Errorf("categories %q: want coco91, coco80, voc or a JSON object of names and ids", setting)
	}
	return labels.ID, nil
}
