package features

import (
	"slices"
	"testing"
)

func TestKeyPointTemplates(t *testing.T) {
	var got []string
	for _, template := range KeyPointTemplates() {
		if err := template.Validate(); err != nil {
			t.Errorf("%s: %v", template.ID, err)
		}
		got = append(got, template.ID)
	}
	if want := []string{"person-17", "face-5", "animal-17", "person", "face", "cow"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	person := KeyPointTemplates()[0]
	if got, want := [2]int{len(person.Points), len(person.Edges)}, [2]int{17, 19}; got != want {
		t.Errorf("person has %v points and edges, COCO %v", got, want)
	}
	person.Points[0].Name, person.Edges[0] = "changed", [2]int{0, 0}
	if err := KeyPointTemplates()[0].Validate(); err != nil || KeyPointTemplates()[0].Points[0].Name != "nose" {
		t.Error("a caller can change the templates of others")
	}
}

func TestTemplateID(t *testing.T) {
	for _, test := range []struct {
		id     string
		points int
		want   string
	}{{"person", 7, "person"}, {"person", 17, "person-17"}, {"face", 68, "face-68"}, {"hand", 21, "hand"}, {"person-17", 17, "person-17"}} {
		if got := TemplateID(test.id, test.points); got != test.want {
			t.Errorf("%s of %d points: %s, want %s", test.id, test.points, got, test.want)
		}
	}
}

func TestKeyPointTemplateValidate(t *testing.T) {
	points := []TemplatePoint{{"a", 0, 0}, {"b", 1, 1}}
	for _, test := range []struct {
		name     string
		template KeyPointTemplate
		valid    bool
	}{
		{"line", KeyPointTemplate{"t", points, [][2]int{{0, 1}}}, true},
		{"no edges", KeyPointTemplate{"t", points, nil}, true},
		{"no id", KeyPointTemplate{"", points, nil}, false},
		{"no points", KeyPointTemplate{"t", nil, nil}, false},
		{"point without name", KeyPointTemplate{"t", []TemplatePoint{{"", 0, 0}}, nil}, false},
		{"name twice", KeyPointTemplate{"t", []TemplatePoint{{"a", 0, 0}, {"a", 1, 1}}, nil}, false},
		{"x outside", KeyPointTemplate{"t", []TemplatePoint{{"a", 1.5, 0}}, nil}, false},
		{"y outside", KeyPointTemplate{"t", []TemplatePoint{{"a", 0, -.5}}, nil}, false},
		{"edge to nowhere", KeyPointTemplate{"t", points, [][2]int{{0, 2}}}, false},
		{"edge from nowhere", KeyPointTemplate{"t", points, [][2]int{{-1, 0}}}, false},
		{"edge to itself", KeyPointTemplate{"t", points, [][2]int{{1, 1}}}, false},
	} {
		t.Run(test.name, func(t *testing.T) { checkValid(t, test.template.Validate(), test.valid) })
	}
}

func TestKeyPointsCOCO(t *testing.T) {
	coords, states, err := KeyPointsFromCOCO([]float64{10, 20, 2, 30, 40, 1, 0, 0, 0})
	if err != nil {
		t.Fatal(err)
	}
	if want := []float64{10, 20, 30, 40, 0, 0}; !slices.Equal(coords, want) {
		t.Errorf("coords %v, want %v", coords, want)
	}
	if want := []string{StateVisible, StateHidden, StateInvisible}; !slices.Equal(states, want) {
		t.Errorf("states %v, want %v", states, want)
	}
	coords[4] = 50 // COCO has no place for it
	keypoints, labelled, err := KeyPointsToCOCO(coords, states)
	if err != nil {
		t.Fatal(err)
	}
	if want := []float64{10, 20, 2, 30, 40, 1, 0, 0, 0}; !slices.Equal(keypoints, want) || labelled != 2 {
		t.Errorf("got %v, %d labelled, want %v, 2", keypoints, labelled, want)
	}
	for _, bad := range [][]float64{{1, 2}, {1, 2, 3}, {1, 2, 1.5}, {1, 2, -1}} {
		_, _, err := KeyPointsFromCOCO(bad)
		checkValid(t, err, false)
	}
	for _, bad := range []struct {
		coords []float64
		states []string
	}{{[]float64{1, 2}, nil}, {[]float64{1}, []string{StateVisible}}, {[]float64{1, 2}, []string{"VISIBLE"}}} {
		_, _, err := KeyPointsToCOCO(bad.coords, bad.states)
		checkValid(t, err, false)
	}
}
