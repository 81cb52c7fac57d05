package features

import (
	"fmt"
	"slices"
)

// The states of key points.
const (
	StateVisible   = "visible"   // seen
	StateHidden    = "hidden"    // in the view, behind something
	StateInvisible = "invisible" // outside the view or not annotated
)

// KeyPointTemplate says what the points of a pose are, in which order they are stored, and how to draw them.
//
// The stored rows name a template by its ID only, and which points that means is not part of the format: rows of
// others can have another number of points under the same ID.
type KeyPointTemplate struct {
	ID     string          `json:"id"` // "person-17"
	Points []TemplatePoint `json:"points"`
	Edges  [][2]int        `json:"edges"` // lines to draw, between points by their index
}

// TemplatePoint is a point of a template: its name, and where it is in a sketch of the whole pose, as fractions of the
// sketch's width from the left and of its height from the top. Left and right in names are the sides of who is shown.
type TemplatePoint struct {
	Name string  `json:"name"` // "left_eye"
	X    float64 `json:"x"`
	Y    float64 `json:"y"`
}

// KeyPointTemplates returns the built-in templates: "person-17" has the points and the lines of COCO, "face-5" the landmarks
// that face detectors give, and "animal-17" the points and lines of AP-10K for four-legged animals; "person", "face" and
// "cow" have the 7, 4 and 11 points that Pixano 0.6 knows by these names. The result belongs to the caller.
// See https://cocodataset.org/#format-data and https://github.com/AlexTheBad/AP-10K.
func KeyPointTemplates() []KeyPointTemplate {
	templates := slices.Clone(keyPointTemplates)
	for i, t := range templates {
		templates[i].Points = slices.Clone(t.Points)
		templates[i].Edges = slices.Clone(t.Edges)
	}
	return templates
}

// TemplateID returns a name for poses of so many points that are called by id: the id itself, or "id-points" where a
// built-in template of that id has another number of points. The web interface of Pixano 0.6 opens no item with a pose that has
// more points than its template.
func TemplateID(id string, points int) string {
	for _, t := range keyPointTemplates {
		if t.ID == id && len(t.Points) != points {
			return fmt.Sprintf("%s-%d", id, points)
		}
	}
	return id
}

// Validate checks that the template has an ID and points, each of a name of its own and inside the sketch, and that
// edges join two of them. The error matches [ErrInvalid].
func (t KeyPointTemplate) Validate() error {
	if t.ID == "" {
		return invalid("KeyPointTemplate", "id", t.ID, "want a name")
	}
	if len(t.Points) == 0 {
		return invalid("KeyPointTemplate", "points", nil, "want at least one point")
	}
	seen := make(map[string]bool, len(t.Points))
	for i, p := range t.Points {
		field := fmt.Sprintf("points[%d]", i)
		switch {
		case p.Name == "" || seen[p.Name]:
			return invalid("KeyPointTemplate", field, p.Name, "want a name that no other point has")
		case !(p.X >= 0 && p.X <= 1):
			return invalid("KeyPointTemplate", field, p.X, "want an x in [0, 1]")
		case !(p.Y >= 0 && p.Y <= 1):
			return invalid("KeyPointTemplate", field, p.Y, "want a y in [0, 1]")
		}
		seen[p.Name] = true
	}
	for i, e := range t.Edges {
		if min(e[0], e[1]) < 0 || max(e[0], e[1]) >= len(t.Points) || e[0] == e[1] {
			return invalid("KeyPointTemplate", fmt.Sprintf("edges[%d]", i), fmt.Sprint(e), "want two of %d points, from 0", len(t.Points))
		}
	}
	return nil
}

// cocoStates lists the states by COCO's visibility flag: 0 not labelled, 1 labelled and not visible, 2 visible.
var cocoStates = []string{StateInvisible, StateHidden, StateVisible}

// KeyPointsFromCOCO splits COCO's "keypoints", x, y and visibility of every point, into coordinates x, y, x, y, … and
// states: visibility 2 is [StateVisible], 1 is [StateHidden], 0 is [StateInvisible]. The error matches [ErrInvalid] for
// half a point or another visibility.
func KeyPointsFromCOCO(keypoints []float64) (coords []float64, states []string, err error) {
	if len(keypoints)%3 != 0 {
		return nil, nil, invalid("keypoints", "", len(keypoints), "want 3 values per point")
	}
	for i := 0; i < len(keypoints); i += 3 {
		v := keypoints[i+2]
		if v != 0 && v != 1 && v != 2 {
			return nil, nil, invalid("keypoints", fmt.Sprintf("[%d]", i+2), v, "want a visibility of 0, 1 or 2")
		}
		coords = append(coords, keypoints[i], keypoints[i+1])
		states = append(states, cocoStates[int(v)])
	}
	return coords, states, nil
}

// KeyPointsToCOCO is the inverse of [KeyPointsFromCOCO]. COCO wants 0, 0 for a point of visibility 0, so those lose their
// place. labelled counts the others, COCO's "num_keypoints". The error matches [ErrInvalid] for half a point, a number
// of states that does not fit, or an unknown state.
func KeyPointsToCOCO(coords []float64, states []string) (keypoints []float64, labelled int, err error) {
	if len(coords) != 2*len(states) {
		return nil, 0, invalid("keypoints", "states", len(states), "want one state for each 2 of %d coords", len(coords))
	}
	for i, state := range states {
		v := slices.Index(cocoStates, state)
		switch v {
		case -1:
			return nil, 0, invalid("keypoints", fmt.Sprintf("states[%d]", i), state, "want visible, hidden or invisible")
		case 0:
			keypoints = append(keypoints, 0, 0, 0)
		default:
			keypoints = append(keypoints, coords[2*i], coords[2*i+1], float64(v))
			labelled++
		}
	}
	return keypoints, labelled, nil
}

var keyPointTemplates = []KeyPointTemplate{
	{
		ID: "person-17",
		Points: []TemplatePoint{
			{"nose", .50, .08}, {"left_eye", .54, .06}, {"right_eye", .46, .06}, {"left_ear", .59, .08}, {"right_ear", .41, .08},
			{"left_shoulder", .66, .22}, {"right_shoulder", .34, .22}, {"left_elbow", .74, .38}, {"right_elbow", .26, .38},
			{"left_wrist", .78, .53}, {"right_wrist", .22, .53}, {"left_hip", .60, .54}, {"right_hip", .40, .54},
			{"left_knee", .61, .76}, {"right_knee", .39, .76}, {"left_ankle", .62, .98}, {"right_ankle", .38, .98},
		},
		Edges: [][2]int{
			{15, 13}, {13, 11}, {16, 14}, {14, 12}, {11, 12}, // legs
			{5, 11}, {6, 12}, {5, 6}, {5, 7}, {6, 8}, {7, 9}, {8, 10}, // trunk and arms
			{1, 2}, {0, 1}, {0, 2}, {1, 3}, {2, 4}, {3, 5}, {4, 6}, // head
		},
	},
	{
		ID: "face-5",
		Points: []TemplatePoint{
			{"left_eye", .68, .35}, {"right_eye", .32, .35}, {"nose", .50, .58}, {"left_mouth", .64, .80}, {"right_mouth", .36, .80},
		},
		Edges: [][2]int{{0, 1}, {0, 2}, {1, 2}, {2, 3}, {2, 4}, {3, 4}},
	},
	{
		ID: "animal-17",
		Points: []TemplatePoint{
			{"left_eye", .10, .18}, {"right_eye", .06, .18}, {"nose", .03, .32}, {"neck", .24, .26}, {"root_of_tail", .93, .24},
			{"left_shoulder", .28, .48}, {"left_elbow", .27, .68}, {"left_front_paw", .27, .97},
			{"right_shoulder", .36, .48}, {"right_elbow", .37, .68}, {"right_front_paw", .37, .97},
			{"left_hip", .80, .48}, {"left_knee", .80, .70}, {"left_back_paw", .80, .97},
			{"right_hip", .88, .48}, {"right_knee", .90, .70}, {"right_back_paw", .90, .97},
		},
		Edges: [][2]int{
			{0, 1}, {0, 2}, {1, 2}, {2, 3}, {3, 4}, // head and back
			{3, 5}, {5, 6}, {6, 7}, {3, 8}, {8, 9}, {9, 10}, // front legs
			{4, 11}, {11, 12}, {12, 13}, {4, 14}, {14, 15}, {15, 16}, // back legs
		},
	},
	{
		ID: "person",
		Points: []TemplatePoint{
			{"head", .50, .06}, {"chest", .50, .27}, {"left_arm", .90, .42}, {"right_arm", .10, .42},
			{"belly", .50, .55}, {"left_foot", .72, .97}, {"right_foot", .28, .97},
		},
		Edges: [][2]int{{0, 1}, {1, 2}, {1, 3}, {1, 4}, {4, 5}, {4, 6}},
	},
	{
		ID:     "face",
		Points: []TemplatePoint{{"left_eye", .70, .30}, {"right_eye", .30, .30}, {"nose", .50, .55}, {"mouth", .50, .82}},
		Edges:  [][2]int{{0, 1}, {0, 2}, {1, 2}, {2, 3}},
	},
	{
		ID: "cow",
		Points: []TemplatePoint{
			{"muzzle", .04, .36}, {"withers", .32, .22}, {"rump", .92, .24}, {"poll", .14, .14}, {"neck", .23, .20},
			{"back", .52, .25}, {"loin", .72, .23},
			{"left_front_foot", .28, .96}, {"right_front_foot", .38, .96}, {"right_back_foot", .90, .96}, {"left_back_foot", .80, .96},
		},
		Edges: [][2]int{
			{0, 3}, {3, 4}, {4, 1}, {1, 5}, {5, 6}, {6, 2}, // head and back
			{1, 7}, {1, 8}, {2, 9}, {2, 10}, // legs
		},
	},
}
