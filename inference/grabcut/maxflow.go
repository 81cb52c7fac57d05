package grabcut

// graph is a network whose minimum cut divides nodes into object and background. It is solved with the algorithm of
// Boykov and Kolmogorov, "An experimental comparison of min-cut/max-flow algorithms for energy minimization in vision",
// 2004: two trees of residual arcs grow from the terminals until they meet.
type graph struct {
	// Nodes. terminal is the residual capacity from the source, or, below zero, to the sink.
	terminal []int32
	first    []int32 // arc, or noArc
	parent   []int32 // arc to the node's parent in its tree, or one of the values below
	sink     []bool  // the tree: of the sink, else of the source
	stamp    []int32 // when distance was last known to be right
	distance []int32 // to the terminal
	queued   []bool

	// Arcs come in pairs: the one back is a^1.
	head     []int32
	next     []int32
	residual []int32

	active  []int32 // nodes that may grow, first in first out
	orphans []int32
	time    int32
}

const (
	noArc      = -1
	noParent   = -1
	atTerminal = -2
	orphaned   = -3
)

// reset makes a graph of n nodes without arcs, with room for so many pairs of arcs.
func (g *graph) reset(n, pairs int) {
	g.terminal = resize(g.terminal, n)
	g.first = resize(g.first, n)
	g.parent = resize(g.parent, n)
	g.sink = resize(g.sink, n)
	g.stamp = resize(g.stamp, n)
	g.distance = resize(g.distance, n)
	g.queued = resize(g.queued, n)
	for i := range n {
		g.first[i] = noArc
		g.parent[i] = noParent
	}
	if cap(g.head) < 2*pairs {
		g.head = make([]int32, 0, 2*pairs)
		g.next = make([]int32, 0, 2*pairs)
		g.residual = make([]int32, 0, 2*pairs)
	}
	g.head, g.next, g.residual = g.head[:0], g.next[:0], g.residual[:0]
	g.active, g.orphans, g.time = g.active[:0], g.orphans[:0], 0
}

// resize returns a slice of n zeros, in the memory of s if it is large enough.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
}

// link joins two nodes with the same capacity in both directions.
func (g *graph) link(a, b, capacity int32) {
	at := int32(len(g.head))
	g.head = append(g.head, b, a)
	g.next = append(g.next, g.first[a], g.first[b])
	g.residual = append(g.residual, capacity, capacity)
	g.first[a], g.first[b] = at, at+1
}

// solve finds the maximum flow.
func (g *graph) solve() {
	for i, t := range g.terminal {
		if t != 0 {
			g.sink[i] = t < 0
			g.parent[i] = atTerminal
			g.distance[i] = 1
			g.activate(int32(i))
		}
	}
	for done := 0; done < len(g.active); {
		i := g.active[done]
		if g.parent[i] == noParent {
			g.queued[i] = false
			done++
			continue
		}
		bridge := g.grow(i)
		if bridge == noArc {
			g.queued[i] = false
			done++
			if done > 1<<16 && done > len(g.active)/2 {
				g.active = append(g.active[:0], g.active[done:]...)
				done = 0
			}
			continue
		}
		// The node stays in front: it may meet the other tree at more places.
		g.time++
		g.augment(bridge)
		for len(g.orphans) > 0 {
			o := g.orphans[len(g.orphans)-1]
			g.orphans = g.orphans[:len(g.orphans)-1]
			g.adopt(o)
		}
	}
}

// object reports, after solve, whether a node is on the source's side.
func (g *graph) object(i int32) bool { return g.parent[i] != noParent && !g.sink[i] }

func (g *graph) activate(i int32) {
	if !g.queued[i] {
		g.queued[i] = true
		g.active = append(g.active, i)
	}
}

// along returns the residual capacity of arc a in the direction away from the terminal of its tail's tree: that of the arc
// for the source, that of the arc back for the sink.
func (g *graph) along(a int32, sink bool) int32 {
	if sink {
		return g.residual[a^1]
	}
	return g.residual[a]
}

// grow takes free neighbours of a node into its tree. It returns an arc from the source's tree to the sink's if it meets the
// other one.
func (g *graph) grow(i int32) int32 {
	sink := g.sink[i]
	for a := g.first[i]; a != noArc; a = g.next[a] {
		if g.along(a, sink) == 0 {
			continue
		}
		j := g.head[a]
		switch {
		case g.parent[j] == noParent:
			g.sink[j] = sink
			g.parent[j] = a ^ 1
			g.stamp[j] = g.stamp[i]
			g.distance[j] = g.distance[i] + 1
			g.activate(j)
		case g.sink[j] != sink:
			if sink {
				return a ^ 1
			}
			return a
		case g.stamp[j] <= g.stamp[i] && g.distance[j] > g.distance[i]:
			// A shorter way to the terminal.
			g.parent[j] = a ^ 1
			g.stamp[j] = g.stamp[i]
			g.distance[j] = g.distance[i] + 1
		}
	}
	return noArc
}

// augment sends as much as can be through the path over an arc between the trees. Nodes whose arc to the parent is full then
// are orphans.
func (g *graph) augment(bridge int32) {
	u, v := g.head[bridge^1], g.head[bridge]
	flow := g.residual[bridge]
	i := u
	for ; g.parent[i] != atTerminal; i = g.head[g.parent[i]] {
		flow = min(flow, g.residual[g.parent[i]^1])
	}
	flow = min(flow, g.terminal[i])
	for i = v; g.parent[i] != atTerminal; i = g.head[g.parent[i]] {
		flow = min(flow, g.residual[g.parent[i]])
	}
	flow = min(flow, -g.terminal[i])

	g.residual[bridge] -= flow
	g.residual[bridge^1] += flow
	for i = u; g.parent[i] != atTerminal; {
		a := g.parent[i]
		g.residual[a] += flow
		if g.residual[a^1] -= flow; g.residual[a^1] == 0 {
			g.orphan(i)
		}
		i = g.head[a]
	}
	if g.terminal[i] -= flow; g.terminal[i] == 0 {
		g.orphan(i)
	}
	for i = v; g.parent[i] != atTerminal; {
		a := g.parent[i]
		g.residual[a^1] += flow
		if g.residual[a] -= flow; g.residual[a] == 0 {
			g.orphan(i)
		}
		i = g.head[a]
	}
	if g.terminal[i] += flow; g.terminal[i] == 0 {
		g.orphan(i)
	}
}

func (g *graph) orphan(i int32) {
	g.parent[i] = orphaned
	g.orphans = append(g.orphans, i)
}

// adopt finds a new parent for an orphan in its tree, as near to the terminal as can be, or makes it free.
func (g *graph) adopt(i int32) {
	sink := g.sink[i]
	best, shortest := int32(noArc), int32(1<<31-1)
	for a := g.first[i]; a != noArc; a = g.next[a] {
		j := g.head[a]
		if g.along(a^1, sink) == 0 || g.parent[j] == noParent || g.sink[j] != sink {
			continue
		}
		if d, ok := g.rooted(j); ok && d < shortest {
			best, shortest = a, d
		}
	}
	if best != noArc {
		g.parent[i] = best
		g.stamp[i] = g.time
		g.distance[i] = shortest + 1
		return
	}
	g.parent[i] = noParent
	for a := g.first[i]; a != noArc; a = g.next[a] {
		j := g.head[a]
		p := g.parent[j]
		if p == noParent || g.sink[j] != sink {
			continue
		}
		if g.along(a^1, sink) > 0 {
			g.activate(j)
		}
		if p >= 0 && g.head[p] == i {
			g.orphan(j)
		}
	}
}

// rooted returns a node's distance to its terminal, or false if an orphan is in between. It marks the way as known.
func (g *graph) rooted(j int32) (int32, bool) {
	d := int32(0)
	for i := j; ; {
		if g.stamp[i] == g.time {
			d += g.distance[i]
			break
		}
		p := g.parent[i]
		d++
		if p == atTerminal {
			g.stamp[i] = g.time
			g.distance[i] = 1
			break
		}
		if p < 0 {
			return 0, false
		}
		i = g.head[p]
	}
	for i, left := j, d; g.stamp[i] != g.time; i = g.head[g.parent[i]] {
		g.stamp[i] = g.time
		g.distance[i] = left
		left--
	}
	return d, true
}
