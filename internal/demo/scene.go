package demo

import (
	"image/color"
	"math"
	"math/rand/v2"
	"slices"
)

// A scene is a street: a sky, houses, a pavement and a road with two lanes, and things on them.
type scene struct {
	light  light
	seed   uint64 // of the houses
	things []thing
	order  []int // in which the things are drawn; nil: their own
}

// light is the time of day, and the weather.
type light struct {
	time, weather             string
	top, horizon              color.RGBA // of the sky
	house, pavement, road     color.RGBA
	dim                       float64 // how much the colours of things are mixed with that of the sky
	lamps, sun, clouds, rainy bool
}

var lights = []light{
	{time: "day", weather: "clear", top: rgb(0x5b9bd8), horizon: rgb(0xd3e7f5), house: rgb(0xc9b8a6), pavement: rgb(0xb9b6ae), road: rgb(0x5d6066), sun: true},
	{time: "day", weather: "cloudy", top: rgb(0x9fb0bf), horizon: rgb(0xdde4e8), house: rgb(0xb4aca4), pavement: rgb(0xa9a9a6), road: rgb(0x55585d), dim: .1, clouds: true},
	{time: "dusk", weather: "clear", top: rgb(0x44507c), horizon: rgb(0xf0a875), house: rgb(0x7a6468), pavement: rgb(0x7d7478), road: rgb(0x45454d), dim: .22, lamps: true, sun: true},
	{time: "night", weather: "clear", top: rgb(0x0d1426), horizon: rgb(0x2b3a59), house: rgb(0x2f3442), pavement: rgb(0x444853), road: rgb(0x2a2c33), dim: .42, lamps: true},
	{time: "day", weather: "rain", top: rgb(0x77838f), horizon: rgb(0xaab4bb), house: rgb(0x8b8783), pavement: rgb(0x7f8285), road: rgb(0x3f4348), dim: .2, clouds: true, rainy: true},
}

// thing is something on the street. Its place is where it stands, as fractions of the picture, its scale in fractions
// of the picture's height for a metre.
type thing struct {
	category string
	colour   string
	x, y     float64
	scale    float64
	left     bool    // it looks to the left
	step     float64 // of someone who walks, in [0, 1)
	look     int     // which skin, hair and trousers
}

// paints are the colours of vehicles and clothes, by the names that they have in texts and searches.
var paints = map[string]color.RGBA{
	"red": rgb(0xd3222a), "green": rgb(0x1f8a4c), "blue": rgb(0x1f4fd1), "yellow": rgb(0xf2c418), "white": rgb(0xf1f2f0),
	"black": rgb(0x23252a), "gray": rgb(0x8a8f96), "orange": rgb(0xee7a1b), "purple": rgb(0x7c3aa6), "pink": rgb(0xec8fb4), "brown": rgb(0x80522d),
}

var (
	carColours    = []string{"red", "blue", "white", "black", "yellow", "green", "orange", "gray"}
	clothColours  = []string{"red", "blue", "green", "purple", "orange", "pink", "yellow", "white"}
	categories    = []string{"bicycle", "bus", "car", "dog", "person", "traffic light"}
	glass         = rgb(0x9fc3d8)
	rubber        = rgb(0x1c1d20)
	skins         = []color.RGBA{rgb(0xf0c8a0), rgb(0xd9a066), rgb(0xa56a3c), rgb(0x6b4226)}
	trousers      = []color.RGBA{rgb(0x2c3e66), rgb(0x3a3a3f), rgb(0x6e5b45)}
	horizonHeight = .50
)

// randomScene makes a street with some things on it, without crowding: things of one row keep apart.
func randomScene(r *rand.Rand) scene {
	s := scene{light: lights[r.IntN(len(lights))], seed: r.Uint64()}
	type row struct {
		y, scale float64
		of       []string
		most     int
		width    float64 // that a thing takes, in metres
		left     bool
	}
	rows := []row{
		{.585, .082, []string{"traffic light"}, 1, 2, false},
		{.605, .085, []string{"person", "person", "dog", "bicycle"}, 4, 1.8, false},
		{.735, .088, []string{"car", "car", "bus", "bicycle"}, 2, 8.5, true},
		{.885, .118, []string{"car", "car", "car", "bus"}, 2, 7.5, false},
		{.985, .135, []string{"person", "dog", "person"}, 2, 2, false},
	}
	for _, row := range rows {
		n := r.IntN(row.most + 1)
		var taken []float64
		for range n {
			for range 20 { // places to try
				x := .04 + .92*r.Float64()
				if slices.ContainsFunc(taken, func(other float64) bool { return math.Abs(other-x) < row.width*row.scale*.67 }) {
					continue
				}
				taken = append(taken, x)
				t := thing{category: row.of[r.IntN(len(row.of))], x: x, y: row.y + .012*(r.Float64()-.5), scale: row.scale, left: row.left, step: r.Float64(), look: r.IntN(1000)}
				switch t.category {
				case "person":
					t.colour, t.left = clothColours[r.IntN(len(clothColours))], r.IntN(2) == 0
				case "dog":
					t.colour, t.left = []string{"brown", "black", "white"}[r.IntN(3)], r.IntN(2) == 0
				case "traffic light":
					t.colour = []string{"red", "green"}[r.IntN(2)]
				default:
					t.colour = carColours[r.IntN(len(carColours))]
				}
				s.things = append(s.things, t)
				break
			}
		}
	}
	if len(s.things) == 0 {
		s.things = append(s.things, thing{category: "car", colour: carColours[r.IntN(len(carColours))], x: .5, y: .885, scale: .118})
	}
	slices.SortStableFunc(s.things, func(a, b thing) int { return int(math.Copysign(1, a.y-b.y)) })
	return s
}

// draw paints the scene. The pixels of thing i are those with the id i+1. It returns the key points of persons, x and y
// in pixels in the order of the template "person-17", by thing.
func (s scene) draw(c *canvas) map[int][]point {
	s.background(c)
	poses := s.drawThings(c)
	c.place(0, 0, 1, false)
	if s.light.rainy {
		s.rain(c)
	}
	return poses
}

// drawThings paints the things alone.
func (s scene) drawThings(c *canvas) map[int][]point {
	_, height := c.size()
	poses := map[int][]point{}
	order := s.order
	if order == nil {
		for i := range s.things {
			order = append(order, i)
		}
	}
	for _, i := range order {
		t := s.things[i]
		x, y := t.pixels(c)
		unit := t.scale * float64(height)
		c.place(x, y, unit, t.left)
		t.shadow(c, s.light)
		c.thing(uint8(i+1), func() {
			switch t.category {
			case "car":
				t.car(c, s.light)
			case "bus":
				t.bus(c, s.light)
			case "bicycle":
				t.bicycle(c, s.light)
			case "dog":
				t.dog(c, s.light)
			case "traffic light":
				t.trafficLight(c, s.light)
			case "person":
				pose := t.person(c, s.light)
				for k := range pose {
					pose[k] = c.pixel(pose[k])
				}
				if t.left {
					pose = mirrored(pose)
				}
				poses[i] = pose
			}
		})
	}
	return poses
}

func (t thing) pixels(c *canvas) (x, y float64) {
	width, height := c.size()
	return t.x * float64(width), t.y * float64(height)
}

// paint gives a colour as the light shows it.
func (l light) paint(c color.RGBA) color.RGBA { return mix(c, mix(l.top, l.house, .5), l.dim) }

func (s scene) background(c *canvas) {
	width, height := c.size()
	w, h := float64(width), float64(height)
	l := s.light
	horizon := int(horizonHeight * h)
	for y := range height {
		colour := l.road
		switch {
		case y < horizon+int(.04*h):
			colour = mix(l.top, l.horizon, min(1, float64(y)/float64(horizon)))
		case float64(y) < .635*h:
			colour = l.pavement
		case float64(y) > .965*h:
			colour = l.pavement
		}
		for x := range width {
			c.img.SetRGBA(x, y, colour)
		}
	}
	c.place(0, 0, h, false)
	right := w / h
	r := rand.New(rand.NewPCG(s.seed, 1))
	if l.sun {
		at := point{right * (.1 + .8*r.Float64()), .10 + .1*r.Float64()}
		if l.time == "dusk" {
			at.y = .3
		}
		for i := range 5 {
			c.fill(see(rgb(0xfff4d0), .10), ellipse(at, .05+.018*float64(i), .05+.018*float64(i)))
		}
		c.fill(rgb(0xfff6dc), ellipse(at, .045, .045))
	}
	if l.time == "night" {
		for range 60 {
			at, size := point{right * r.Float64(), .38 * r.Float64()}, .0008+.0012*r.Float64()
			c.fill(see(rgb(0xffffff), .7), ellipse(at, size, size))
		}
		moon := point{right * (.15 + .7*r.Float64()), .13}
		c.fill(rgb(0xe9ecf2), ellipse(moon, .036, .036))
		c.fill(mix(l.top, l.horizon, .26), ellipse(point{moon.x + .016, moon.y - .008}, .031, .031))
	}
	if l.clouds || r.IntN(2) == 0 && l.time != "night" {
		for range 3 + r.IntN(4) {
			at := point{right * r.Float64(), .05 + .2*r.Float64()}
			for range 6 {
				c.fill(see(mix(l.horizon, rgb(0xffffff), .5), .35), ellipse(point{at.x + .16*(r.Float64()-.5), at.y + .03*(r.Float64()-.5)}, .05+.05*r.Float64(), .02+.02*r.Float64()))
			}
		}
	}
	s.houses(c, r, right)
	// Kerbs, and the lines of the road.
	kerb := mix(l.pavement, rgb(0xffffff), .25)
	c.fill(kerb, path{{0, .632}, {right, .632}, {right, .641}, {0, .641}})
	c.fill(mix(l.road, rgb(0), .25), path{{0, .641}, {right, .641}, {right, .647}, {0, .647}})
	c.fill(kerb, path{{0, .958}, {right, .958}, {right, .966}, {0, .966}})
	for x := -.1 + .2*r.Float64(); x < right; x += .24 {
		c.fill(see(rgb(0xf0efe6), .8), path{{x, .786}, {x + .13, .786}, {x + .128, .796}, {x - .004, .796}})
	}
	for x := .11 * r.Float64(); x < right; x += .11 {
		c.fill(see(mix(l.pavement, rgb(0), .4), .5), path{{x, .54}, {x + .0015, .54}, {x - .012, .632}, {x - .0135, .632}})
	}
	s.trees(c, r, right)
}

// houses fill the back of the street.
func (s scene) houses(c *canvas, r *rand.Rand, right float64) {
	l := s.light
	for x := -.05; x < right; { // far away
		width, top := .06+.1*r.Float64(), .24+.18*r.Float64()
		c.fill(mix(l.horizon, l.house, .45), path{{x, top}, {x + width, top}, {x + width, .55}, {x, .55}})
		x += width
	}
	tints := []color.RGBA{rgb(0xb5654a), rgb(0xd9c7a3), rgb(0x8fa3ad), rgb(0xc8b6a0), rgb(0xa9b79a), rgb(0xe0d5c5)}
	for x := -.04 * r.Float64(); x < right; {
		width, top := .2+.16*r.Float64(), .17+.2*r.Float64()
		wall := mix(l.house, tints[r.IntN(len(tints))], .45*(1-l.dim))
		c.fill(wall, path{{x, top}, {x + width, top}, {x + width, .545}, {x, .545}})
		c.fill(mix(wall, rgb(0), .25), path{{x - .004, top - .012}, {x + width + .004, top - .012}, {x + width + .004, top}, {x - .004, top}})
		columns := int(width / .055)
		gap := width / float64(columns)
		for floor := top + .03; floor < .44; floor += .068 {
			for k := range columns {
				window := mix(glass, l.top, .35+.3*l.dim)
				if l.lamps && r.Float64() < .45 {
					window = rgb(0xffd98a)
				}
				left := x + gap*(float64(k)+.5) - .013
				c.fill(mix(wall, rgb(0xffffff), .3), path{{left - .003, floor - .003}, {left + .029, floor - .003}, {left + .029, floor + .041}, {left - .003, floor + .041}})
				c.fill(window, path{{left, floor}, {left + .026, floor}, {left + .026, floor + .038}, {left, floor + .038}})
			}
		}
		// The shop at the bottom, with an awning.
		awning := mix(tints[r.IntN(len(tints))], paints[clothColours[r.IntN(4)]], .35)
		c.fill(mix(wall, rgb(0), .35), path{{x + .015, .475}, {x + width - .015, .475}, {x + width - .015, .545}, {x + .015, .545}})
		shop := mix(glass, l.top, .5)
		if l.lamps {
			shop = rgb(0xf7cf86)
		}
		c.fill(shop, path{{x + .022, .486}, {x + width*.62, .486}, {x + width*.62, .538}, {x + .022, .538}})
		c.fill(mix(l.paint(awning), rgb(0xffffff), .1), path{{x + .012, .462}, {x + width - .012, .462}, {x + width - .004, .485}, {x + .004, .485}})
		x += width
	}
}

func (s scene) trees(c *canvas, r *rand.Rand, right float64) {
	l := s.light
	for x := .1 + .2*r.Float64(); x < right; x += .35 + .3*r.Float64() {
		c.fill(l.paint(rgb(0x5a3f2b)), path{{x - .006, .40}, {x + .006, .40}, {x + .009, .585}, {x - .009, .585}})
		for i := range 9 {
			angle := float64(i) * .7
			leaf := mix(rgb(0x2e6b3a), rgb(0x4f9a4a), r.Float64())
			c.fill(l.paint(leaf), ellipse(point{x + .045*math.Cos(angle) + .01*(r.Float64()-.5), .36 + .05*math.Sin(angle)}, .042, .045))
		}
	}
}

func (s scene) rain(c *canvas) {
	width, height := c.size()
	r := rand.New(rand.NewPCG(s.seed, 2))
	for range 260 {
		x, y := float64(width)*r.Float64(), float64(height)*r.Float64()
		length := float64(height) * (.015 + .02*r.Float64())
		c.fill(see(rgb(0xe6eef5), .28), path{{x, y}, {x + 1.2, y}, {x + 1.2 - length*.25, y + length}, {x - length*.25, y + length}})
	}
}

func (t thing) shadow(c *canvas, l light) {
	length := map[string]float64{"car": 2.3, "bus": 5, "bicycle": .9, "dog": .5, "person": .33, "traffic light": .25}[t.category]
	alpha := .28 - .2*l.dim
	c.fill(see(rgb(0x0a0c10), alpha), ellipse(point{0, .02}, length, .05+.06*length/2.3))
	c.fill(see(rgb(0x0a0c10), alpha), ellipse(point{0, .02}, length*.85, .04+.04*length/2.3))
}

// The things are drawn in metres from the middle of where they stand, looking to the right; up is negative.

func (t thing) wheel(c *canvas, x, radius float64) {
	centre := point{x, -radius}
	c.fill(rubber, ellipse(centre, radius, radius))
	c.fill(rgb(0xb8bcc2), ellipse(centre, radius*.55, radius*.55))
	c.fill(rgb(0x6f747b), ellipse(centre, radius*.18, radius*.18))
}

func (t thing) car(c *canvas, l light) {
	body := l.paint(paints[t.colour])
	shade := mix(body, rgb(0), .22)
	c.fill(shade, rounded(.35, point{-1.25, -.9}, point{-.75, -1.48}, point{.55, -1.5}, point{1.25, -.9}))
	c.fill(body, rounded(.3, point{-2.2, -.95}, point{-1.1, -1.0}, point{1.2, -.98}, point{2.15, -.78}, point{2.22, -.3}, point{-2.2, -.3}))
	c.fill(mix(body, rgb(0xffffff), .25), box(-2.1, -.93, 1.6, -.86, .05))
	pane := mix(glass, l.top, .3)
	c.fill(pane, rounded(.12, point{-1.08, -.96}, point{-.66, -1.38}, point{-.12, -1.39}, point{-.12, -.96}))
	c.fill(pane, rounded(.12, point{0, -.96}, point{0, -1.4}, point{.48, -1.4}, point{1.0, -.96}))
	c.fill(shade, path{{-.08, -.9}, {-.05, -.9}, {-.05, -.38}, {-.08, -.38}})
	c.fill(mix(body, rgb(0xffffff), .5), box(.1, -.82, .32, -.77, .03))
	c.fill(rgb(0xfff2c0), ellipse(point{2.08, -.66}, .09, .08))
	c.fill(rgb(0xb3161c), box(-2.2, -.8, -2.08, -.62, .04))
	if l.lamps {
		c.fill(see(rgb(0xfff2c0), .35), ellipse(point{2.14, -.66}, .1, .14))
	}
	t.wheel(c, -1.35, .36)
	t.wheel(c, 1.35, .36)
}

func (t thing) bus(c *canvas, l light) {
	body := l.paint(paints[t.colour])
	c.fill(body, box(-4.6, -3.0, 4.6, -.35, .3))
	c.fill(mix(body, rgb(0), .25), box(-4.6, -.75, 4.6, -.35, .15))
	c.fill(mix(body, rgb(0xffffff), .6), path{{-4.6, -1.15}, {4.6, -1.15}, {4.6, -1.02}, {-4.6, -1.02}})
	pane := mix(glass, l.top, .3)
	if l.lamps {
		pane = rgb(0xffe3a6)
	}
	for i := range 6 {
		x := -4.35 + 1.22*float64(i)
		c.fill(pane, box(x, -2.62, x+1.05, -1.4, .1))
	}
	c.fill(pane, box(3.15, -2.62, 4.45, -1.25, .12))
	c.fill(mix(body, rgb(0), .4), box(1.85, -2.55, 2.85, -.42, .06))
	c.fill(pane, box(1.93, -2.45, 2.32, -.6, .05))
	c.fill(pane, box(2.4, -2.45, 2.77, -.6, .05))
	c.fill(rgb(0xfff2c0), ellipse(point{4.45, -.85}, .12, .1))
	c.fill(rgb(0xb3161c), box(-4.58, -1.0, -4.46, -.7, .04))
	t.wheel(c, -2.9, .5)
	t.wheel(c, 3.1, .5)
}

func (t thing) bicycle(c *canvas, l light) {
	frame := l.paint(paints[t.colour])
	for _, x := range []float64{-.55, .55} {
		c.ring(rubber, point{x, -.35}, .32, .06)
		c.ring(rgb(0x9aa0a6), point{x, -.35}, .29, .02)
		for k := range 6 {
			sin, cos := math.Sincos(math.Pi * float64(k) / 6)
			c.line(rgb(0x9aa0a6), .012, point{x - .28*cos, -.35 - .28*sin}, point{x + .28*cos, -.35 + .28*sin})
		}
	}
	c.line(frame, .06, point{-.55, -.35}, point{-.22, -.82}, point{.36, -.85}, point{.02, -.36}, point{-.55, -.35})
	c.line(frame, .06, point{-.22, -.82}, point{.02, -.36})
	c.line(frame, .06, point{.55, -.35}, point{.36, -.85}, point{.32, -1.0})
	c.line(rubber, .07, point{.22, -1.02}, point{.42, -1.02})
	c.line(rubber, .09, point{-.36, -.9}, point{-.12, -.88})
	c.line(frame, .05, point{-.22, -.82}, point{-.25, -.9})
}

func (t thing) dog(c *canvas, l light) {
	coat := l.paint(paints[t.colour])
	dark := mix(coat, rgb(0), .3)
	swing := .08 * math.Sin(2*math.Pi*t.step)
	for i, x := range []float64{-.27, .22} {
		s := swing * float64(1-2*i)
		c.line(dark, .085, point{x + .06, -.32}, point{x + .06 - s, -.04})
		c.line(coat, .085, point{x, -.32}, point{x + s, -.04})
	}
	c.fill(coat, rounded(.14, point{-.42, -.56}, point{.34, -.58}, point{.36, -.28}, point{-.4, -.3}))
	c.line(coat, .07, point{-.38, -.5}, point{-.56, -.72})
	c.line(coat, .17, point{.3, -.5}, point{.44, -.7})
	c.fill(coat, ellipse(point{.5, -.74}, .15, .12))
	c.fill(coat, box(.52, -.76, .74, -.66, .05))
	c.fill(dark, ellipse(point{.42, -.74}, .055, .11))
	c.fill(rgb(0x141414), ellipse(point{.73, -.73}, .03, .028))
	c.fill(rgb(0x141414), ellipse(point{.56, -.78}, .018, .018))
}

func (t thing) trafficLight(c *canvas, l light) {
	c.fill(l.paint(rgb(0x4c5157)), path{{-.06, -2.6}, {.06, -2.6}, {.07, 0}, {-.07, 0}})
	c.fill(l.paint(rgb(0x25282c)), box(-.25, -3.6, .25, -2.4, .1))
	for i, name := range []string{"red", "yellow", "green"} {
		on := paints[name]
		if name == "green" {
			on = rgb(0x2fe07c)
		}
		if name != t.colour {
			on = mix(on, rgb(0x15171a), .8)
		} else {
			c.fill(see(on, .25), ellipse(point{0, -3.36 + .36*float64(i)}, .2, .2))
		}
		c.fill(on, ellipse(point{0, -3.36 + .36*float64(i)}, .13, .13))
	}
}

// person draws someone who walks, seen from the side and a little from the front, and returns the points of the template "person-17".
func (t thing) person(c *canvas, l light) []point {
	seed := t.look
	skin, legs := l.paint(skins[seed%len(skins)]), l.paint(trousers[seed%len(trousers)])
	cloth := l.paint(paints[t.colour])
	hair := l.paint([]color.RGBA{rgb(0x2b1d14), rgb(0x5a3a1e), rgb(0x161616), rgb(0xb98a4a)}[seed/7%4])
	swing := math.Sin(2 * math.Pi * t.step)
	hipL, hipR := point{.1, -.9}, point{-.1, -.9}
	kneeL, kneeR := point{.1 + .17*swing, -.5}, point{-.1 - .17*swing, -.5}
	ankleL, ankleR := point{.1 + .26*swing, -.07}, point{-.1 - .26*swing, -.07}
	shoulderL, shoulderR := point{.19, -1.42}, point{-.19, -1.42}
	elbowL, elbowR := point{.25 - .13*swing, -1.13}, point{-.25 + .13*swing, -1.13}
	wristL, wristR := point{.26 - .24*swing, -.87}, point{-.24 + .26*swing, -.87}
	head := point{.02, -1.63}
	shoe := rgb(0x1d1d20)

	c.line(mix(skin, cloth, .7), .11, shoulderL, elbowL)
	c.line(skin, .085, elbowL, wristL)
	c.line(mix(legs, rgb(0), .2), .15, hipR, kneeR, ankleR)
	c.line(shoe, .1, ankleR, point{ankleR.x + .12, -.04})
	c.line(legs, .16, hipL, kneeL, ankleL)
	c.line(shoe, .1, ankleL, point{ankleL.x + .12, -.04})
	c.fill(cloth, rounded(.12, point{-.25, -1.5}, point{.25, -1.5}, point{.19, -.86}, point{-.19, -.86}))
	c.line(mix(cloth, rgb(0), .12), .12, shoulderR, elbowR)
	c.line(skin, .085, elbowR, wristR)
	c.fill(skin, path{{-.05, -1.56}, {.07, -1.56}, {.07, -1.46}, {-.05, -1.46}})
	c.fill(hair, ellipse(point{head.x - .025, head.y - .03}, .125, .135))
	c.fill(skin, ellipse(point{head.x + .02, head.y + .015}, .1, .12))
	return []point{
		{head.x + .115, head.y + .03}, {head.x + .085, head.y - .01}, {head.x + .035, head.y - .01}, {head.x + .03, head.y + .02}, {head.x - .07, head.y + .02},
		shoulderL, shoulderR, elbowL, elbowR, wristL, wristR, hipL, hipR, kneeL, kneeR, ankleL, ankleR,
	}
}

// mirrored swaps left and right of someone who looks to the other side.
func mirrored(pose []point) []point {
	m := slices.Clone(pose)
	for i := 1; i+1 < len(m); i += 2 {
		m[i], m[i+1] = m[i+1], m[i]
	}
	return m
}
