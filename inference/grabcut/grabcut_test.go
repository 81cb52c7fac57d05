package grabcut_test

import (
	"context"
	"errors"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"testing"

	"pixano/features"
	"pixano/inference"
	"pixano/inference/grabcut"
)

// scene is a generated picture: a shape of one look on a ground of another, with noise.
type scene struct {
	size   image.Point
	shape  func(x, y float64) bool // x and y in pixels
	look   func(x, y float64) color.RGBA
	ground func(x, y float64) color.RGBA
	noise  float64 // standard deviation, in steps of 256
	seed   uint64
}

func flat(r, g, b uint8) func(x, y float64) color.RGBA {
	return func(x, y float64) color.RGBA { return color.RGBA{r, g, b, 255} }
}

// gradient goes from one colour to another over the width of the picture.
func gradient(from, to color.RGBA, width float64) func(x, y float64) color.RGBA {
	mix := func(a, b uint8, t float64) uint8 { return uint8(float64(a)*(1-t) + float64(b)*t) }
	return func(x, y float64) color.RGBA {
		t := x / width
		return color.RGBA{mix(from.R, to.R, t), mix(from.G, to.G, t), mix(from.B, to.B, t), 255}
	}
}

// draw returns the picture, and its shape as a mask.
func (s scene) draw() (*image.RGBA, features.RLE) {
	rnd := rand.New(rand.NewPCG(s.seed, 1))
	img := image.NewRGBA(image.Rectangle{Max: s.size})
	mask := make([]byte, s.size.X*s.size.Y)
	for y := range s.size.Y {
		for x := range s.size.X {
			fx, fy := float64(x)+0.5, float64(y)+0.5
			c := s.ground(fx, fy)
			if s.shape(fx, fy) {
				c = s.look(fx, fy)
				mask[y*s.size.X+x] = 1
			}
			n := func(v uint8) uint8 {
				if s.noise == 0 {
					return v
				}
				return uint8(max(0, min(255, math.Round(float64(v)+rnd.NormFloat64()*s.noise))))
			}
			img.SetRGBA(x, y, color.RGBA{n(c.R), n(c.G), n(c.B), 255})
		}
	}
	m, err := features.RLEFromBitmap(s.size.Y, s.size.X, mask)
	if err != nil {
		panic(err)
	}
	return img, m
}

func disc(cx, cy, r float64) func(x, y float64) bool {
	return func(x, y float64) bool { return math.Hypot(x-cx, y-cy) < r }
}

func rect(r image.Rectangle) func(x, y float64) bool {
	return func(x, y float64) bool { return image.Pt(int(x), int(y)).In(r) }
}

func iou(t testing.TB, a, b features.RLE) float64 {
	t.Helper()
	v, err := features.IoU(a, b, false)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func on(x, y int) inference.Point  { return inference.Point{X: x, Y: y} }
func off(x, y int) inference.Point { return inference.Point{X: x, Y: y, Background: true} }

var (
	hd    = image.Pt(1920, 1080)
	small = image.Pt(320, 240)
)

// cases are pictures with the prompts for them and how well the mask has to fit.
func cases() map[string]struct {
	scene  scene
	prompt inference.Prompt
	iou    float64
} {
	star := func(x, y float64) bool {
		a, r := math.Atan2(y-540, x-960), math.Hypot(x-960, y-540)
		return r < 260+110*math.Cos(5*a)
	}
	ring := func(x, y float64) bool { r := math.Hypot(x-160, y-120); return r < 80 && r > 40 }
	twins := func(x, y float64) bool { return disc(90, 120, 40)(x, y) || disc(230, 120, 40)(x, y) }
	bar := rect(image.Rect(600, 500, 1400, 506))
	checks := func(x, y float64) color.RGBA {
		if (int(x)/30+int(y)/30)%2 == 0 {
			return color.RGBA{220, 210, 60, 255}
		}
		return color.RGBA{120, 30, 40, 255}
	}
	stripes := func(x, y float64) color.RGBA {
		if int(x+y)/25%2 == 0 {
			return color.RGBA{40, 60, 120, 255}
		}
		return color.RGBA{110, 150, 120, 255}
	}
	type c = struct {
		scene  scene
		prompt inference.Prompt
		iou    float64
	}
	return map[string]c{
		"disc, a click":                {scene{hd, disc(960, 540, 300), flat(200, 60, 50), flat(60, 110, 160), 0, 1}, inference.Prompt{Points: []inference.Point{on(950, 500)}}, 0.999},
		"disc, a box":                  {scene{hd, disc(960, 540, 300), flat(200, 60, 50), flat(60, 110, 160), 0, 1}, inference.Prompt{Box: image.Rect(640, 220, 1290, 860)}, 0.999},
		"disc with noise, a click":     {scene{hd, disc(960, 540, 300), flat(170, 90, 80), flat(90, 110, 140), 16, 2}, inference.Prompt{Points: []inference.Point{on(950, 500)}}, 0.99},
		"disc with noise, a box":       {scene{hd, disc(960, 540, 300), flat(170, 90, 80), flat(90, 110, 140), 16, 3}, inference.Prompt{Box: image.Rect(640, 220, 1290, 860)}, 0.99},
		"star on a gradient, a click":  {scene{hd, star, flat(230, 200, 60), gradient(color.RGBA{20, 40, 80, 255}, color.RGBA{90, 160, 120, 255}, 1920), 10, 4}, inference.Prompt{Points: []inference.Point{on(960, 540)}}, 0.99},
		"star on a gradient, a box":    {scene{hd, star, flat(230, 200, 60), gradient(color.RGBA{20, 40, 80, 255}, color.RGBA{90, 160, 120, 255}, 1920), 10, 5}, inference.Prompt{Box: image.Rect(600, 180, 1340, 910)}, 0.99},
		"checks on stripes, a box":     {scene{hd, disc(960, 540, 300), checks, stripes, 8, 13}, inference.Prompt{Box: image.Rect(640, 220, 1290, 860)}, 0.98},
		"small object, a click":        {scene{hd, disc(300, 200, 22), flat(210, 210, 40), flat(50, 90, 60), 12, 6}, inference.Prompt{Points: []inference.Point{on(302, 198)}}, 0.97},
		"small object, a box":          {scene{hd, disc(300, 200, 22), flat(210, 210, 40), flat(50, 90, 60), 12, 6}, inference.Prompt{Box: image.Rect(270, 170, 330, 230)}, 0.97},
		"thin bar, a box":              {scene{hd, bar, flat(30, 30, 30), flat(180, 180, 170), 8, 7}, inference.Prompt{Box: image.Rect(580, 490, 1420, 516)}, 0.97},
		"ring with its hole":           {scene{small, ring, flat(40, 130, 60), flat(200, 190, 180), 10, 8}, inference.Prompt{Points: []inference.Point{on(160, 60)}}, 0.98},
		"one of two alike":             {scene{small, disc(90, 120, 40), flat(150, 60, 150), flat(120, 130, 60), 8, 9}, inference.Prompt{Points: []inference.Point{on(90, 120)}}, 0.98},
		"two alike, both clicked":      {scene{small, twins, flat(150, 60, 150), flat(120, 130, 60), 8, 10}, inference.Prompt{Points: []inference.Point{on(90, 120), on(230, 120)}}, 0.98},
		"the whole picture as the box": {scene{small, disc(160, 120, 60), flat(150, 60, 150), flat(120, 130, 60), 8, 11}, inference.Prompt{Box: image.Rectangle{Max: small}}, 0.98},
		"at the edge, a box":           {scene{small, rect(image.Rect(0, 100, 120, 240)), flat(40, 90, 180), flat(190, 160, 90), 8, 12}, inference.Prompt{Box: image.Rect(0, 90, 130, 240)}, 0.98},
	}
}

func TestSegment(t *testing.T) {
	for name, tt := range cases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			img, want := tt.scene.draw()
			got, err := grabcut.Segment(t.Context(), img, tt.prompt)
			if err != nil {
				t.Fatal(err)
			}
			if v := iou(t, got, want); v < tt.iou {
				t.Errorf("IoU %.4f, want at least %.4f: %d pixels at %v, want %d at %v", v, tt.iou, got.Area(), got.Bounds(), want.Area(), want.Bounds())
			}
		})
	}
}

// Of two objects of one look, a click on one takes that one, and a click beside takes a part away.
func TestClicks(t *testing.T) {
	twins := scene{small, func(x, y float64) bool { return disc(90, 120, 40)(x, y) || disc(230, 120, 40)(x, y) }, flat(150, 60, 150), flat(120, 130, 60), 8, 1}
	img, both := twins.draw()
	one := twins
	one.shape = disc(230, 120, 40)
	_, right := one.draw()
	got, err := grabcut.Segment(t.Context(), img, inference.Prompt{Points: []inference.Point{on(230, 120)}})
	if err != nil {
		t.Fatal(err)
	}
	if v := iou(t, got, right); v < 0.98 {
		t.Errorf("one click: IoU %.4f with the one clicked, %.4f with both", v, iou(t, got, both))
	}
	// A red and a blue half in one box: a click beside on the blue one leaves the red one.
	halves := scene{small, rect(image.Rect(60, 60, 260, 180)), func(x, y float64) color.RGBA {
		if x < 160 {
			return color.RGBA{200, 50, 40, 255}
		}
		return color.RGBA{50, 60, 200, 255}
	}, flat(130, 130, 130), 6, 2}
	img, whole := halves.draw()
	box := image.Rect(50, 50, 270, 190)
	if got, err = grabcut.Segment(t.Context(), img, inference.Prompt{Box: box}); err != nil || iou(t, got, whole) < 0.98 {
		t.Errorf("box: IoU %.4f, %v", iou(t, got, whole), err)
	}
	left := halves
	left.shape = rect(image.Rect(60, 60, 160, 180))
	_, red := left.draw()
	if got, err = grabcut.Segment(t.Context(), img, inference.Prompt{Box: box, Points: []inference.Point{on(100, 120), off(220, 120)}}); err != nil || iou(t, got, red) < 0.98 {
		t.Errorf("box and a click beside: IoU %.4f, %v", iou(t, got, red), err)
	}
}

// Any picture and prompt gives a mask of the picture's size that keeps to the clicks.
func TestOddPictures(t *testing.T) {
	noise := image.NewRGBA(image.Rect(0, 0, 300, 200))
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := range noise.Pix {
		noise.Pix[i] = uint8(rnd.Uint32())
	}
	sub := image.NewRGBA(image.Rect(0, 0, 100, 80)).SubImage(image.Rect(30, 20, 90, 70))
	for name, img := range map[string]image.Image{
		"noise": noise, "one colour": image.NewGray(image.Rect(0, 0, 500, 300)), "part of another": sub, "a pixel": image.NewRGBA(image.Rect(0, 0, 1, 1)),
		"a row": image.NewRGBA(image.Rect(0, 0, 70_000, 1)), "paletted": image.NewPaletted(image.Rect(5, 5, 50, 60), color.Palette{color.Black, color.White}),
		"16 bits": image.NewNRGBA64(image.Rect(-10, -10, 33, 21)),
	} {
		t.Run(name, func(t *testing.T) {
			size := img.Bounds().Size()
			middle := on(size.X/2, size.Y/2)
			for _, prompt := range []inference.Prompt{
				{Points: []inference.Point{middle}},
				{Box: image.Rect(0, 0, size.X, size.Y)},
				{Box: image.Rect(size.X/3, size.Y/3, size.X/3+1, size.Y/3+1)},
				{Points: []inference.Point{middle, off(0, 0)}, Box: image.Rect(-5, -5, size.X+5, size.Y+5)},
			} {
				m, err := grabcut.Segment(t.Context(), img, prompt)
				if err != nil {
					t.Fatal(err)
				}
				if m.Width != size.X || m.Height != size.Y || m.Validate() != nil {
					t.Errorf("a mask of %d × %d for a picture of %v", m.Width, m.Height, size)
				}
				pix, err := m.Bitmap()
				if err != nil {
					t.Fatal(err)
				}
				// The last click on a pixel counts.
				if len(prompt.Points) == 1 && pix[size.Y/2*size.X+size.X/2] == 0 {
					t.Errorf("%+v: the click is not in the mask", prompt)
				}
				if b := prompt.Box.Intersect(image.Rectangle{Max: size}); !b.Empty() && !m.Bounds().In(b) {
					t.Errorf("%+v: the mask is at %v", prompt, m.Bounds())
				}
			}
		})
	}
}

func TestBadPrompts(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 20, 10))
	for _, p := range []inference.Prompt{{}, {Points: []inference.Point{off(1, 1)}}, {Points: []inference.Point{on(20, 1)}}, {Points: []inference.Point{on(-1, 1)}}, {Box: image.Rect(30, 0, 40, 5)}} {
		if _, err := grabcut.Segment(t.Context(), img, p); !errors.Is(err, inference.ErrInvalidRequest) {
			t.Errorf("%+v: error %v", p, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := grabcut.Segment(ctx, img, inference.Prompt{Points: []inference.Point{on(1, 1)}}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// A provider answers through the functions of package inference.
func TestProvider(t *testing.T) {
	p := grabcut.New()
	defer p.Close()
	tt := cases()["disc with noise, a click"]
	img, want := tt.scene.draw()
	m, err := inference.ImageOf(img)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time from memory
		got, err := inference.ImageMask(t.Context(), p, &inference.ImageMaskRequest{Model: grabcut.Model, Image: m.WithID("a"), Prompts: []inference.Prompt{tt.prompt, {Box: image.Rect(640, 220, 1290, 860)}}})
		if err != nil {
			t.Fatal(err)
		}
		for i, best := range got.Best() {
			if v := iou(t, best.RLE, want); v < 0.99 {
				t.Errorf("prompt %d: IoU %.4f", i, v)
			}
		}
		if got.Metadata["name"] != grabcut.Model || got.ProcessingTime <= 0 {
			t.Errorf("meta %+v", got.Meta)
		}
	}
	if _, err := inference.ImageMask(t.Context(), p, &inference.ImageMaskRequest{Model: "sam", Image: m, Prompts: []inference.Prompt{tt.prompt}}); !errors.Is(err, inference.ErrModelNotFound) {
		t.Errorf("unknown model: %v", err)
	}
	remote, err := inference.RemoteImage("http://host/a.png")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inference.ImageMask(t.Context(), p, &inference.ImageMaskRequest{Model: grabcut.Model, Image: remote, Prompts: []inference.Prompt{tt.prompt}}); !errors.Is(err, inference.ErrInvalidRequest) {
		t.Errorf("remote picture: %v", err)
	}
}

// TestVideo follows a disc that crosses the picture, grows and leaves it, and another of the same look that stands.
func TestVideo(t *testing.T) {
	const n = 16
	centre := func(i int) (x, y, r float64) {
		return 60 + 22*float64(i), 110 + 30*math.Sin(float64(i)/3), 20 + float64(i)
	}
	var frames []*inference.Image
	var want []features.RLE
	for i := range n {
		x, y, r := centre(i)
		s := scene{image.Pt(400, 240), disc(x, y, r), flat(200, 70, 60), gradient(color.RGBA{30, 60, 90, 255}, color.RGBA{120, 150, 90, 255}, 400), 8, uint64(i)}
		_, mask := s.draw()
		want = append(want, mask)
		both := s
		both.shape = func(px, py float64) bool { return disc(x, y, r)(px, py) || disc(350, 200, 22)(px, py) }
		img, _ := both.draw()
		m, err := inference.ImageOf(img)
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, m)
	}
	p := grabcut.New()
	x, y, _ := centre(5)
	var done []int
	got, err := inference.VideoMask(t.Context(), p, &inference.VideoMaskRequest{Model: grabcut.Model, Frames: frames,
		Progress: func(d, total int) { done = append(done, d, total) },
		Prompts: []inference.VideoPrompt{
			{Object: 3, Frame: 5, Prompt: inference.Prompt{Points: []inference.Point{on(int(x), int(y))}}},
			{Object: 8, Frame: 0, Prompt: inference.Prompt{Box: image.Rect(320, 170, 380, 230)}}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Masks) != 2*n {
		t.Fatalf("%d masks", len(got.Masks))
	}
	still := scene{image.Pt(400, 240), disc(350, 200, 22), nil, nil, 0, 0}
	still.look, still.ground = flat(0, 0, 0), flat(0, 0, 0)
	_, standing := still.draw()
	for _, m := range got.Masks {
		expected := want[m.Frame]
		if m.Object == 8 {
			expected = standing
		}
		v := iou(t, m.RLE, expected)
		if v < 0.95 {
			t.Errorf("object %d, frame %d: IoU %.4f, %d pixels at %v, want %d at %v", m.Object, m.Frame, v, m.Area(), m.Bounds(), expected.Area(), expected.Bounds())
		}
	}
	if len(done) != 2*2*n || done[len(done)-2] != n || done[len(done)-1] != n {
		t.Errorf("progress %v", done)
	}
}

// An object that has left has no mask.
func TestVideoGone(t *testing.T) {
	s := scene{image.Pt(200, 120), disc(100, 60, 25), flat(200, 70, 60), flat(60, 90, 130), 6, 1}
	there, want := s.draw()
	s.shape = disc(-500, 0, 1)
	gone, _ := s.draw()
	var frames []*inference.Image
	for _, img := range []image.Image{there, there, gone, gone, there} {
		m, err := inference.ImageOf(img)
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, m)
	}
	got, err := inference.VideoMask(t.Context(), grabcut.New(), &inference.VideoMaskRequest{Model: grabcut.Model, Frames: frames,
		Prompts: []inference.VideoPrompt{{Prompt: inference.Prompt{Box: image.Rect(70, 30, 130, 90)}}}})
	if err != nil {
		t.Fatal(err)
	}
	for i, there := range []bool{true, true, false, false, true} {
		switch m := got.Masks[i]; {
		case there && iou(t, m.RLE, want) < 0.98:
			t.Errorf("frame %d: IoU %.4f", i, iou(t, m.RLE, want))
		case !there && m.Area() > 0:
			t.Errorf("frame %d: %d pixels of an object that is gone", i, m.Area())
		}
	}
}
