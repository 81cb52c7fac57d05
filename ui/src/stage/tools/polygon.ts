import { outlines, simplify, type Ring } from '../../masks/contour';
import { grow } from '../../masks/morph';
import { fromBitmap, toBitmap, type RLE } from '../../masks/rle';
import { areaOf, combine, drawRing, drawRings, rleOf, runsOf, sameRuns } from '../../masks/runs';
import { toScreen, type Point } from '../camera';
import { css, type View } from '../c2d/draw';
import { snapToImage, snapToShapes } from '../snap';
import { clickSlop, nothing, type Host, type Pointer, type Tool } from './tool';

interface Drawing {
	ring: Ring;
	marks: number[]; // lengths of the ring after each click or freehand stroke: what undo goes back to
	undone: { ring: Ring; mark: number }[];
	hole: boolean;
}

interface Editing {
	key: string;
	counts: string; // of the mask that the rings are of
	rings: Ring[];
	loose: number; // how far, in pixels, the rings may lie from the mask's outline; 0: they draw it
}

type Press =
	| { at: 'add'; from: Pointer; free: boolean } // a point, or a freehand stroke once it moves
	| { at: 'vertex'; ring: number; index: number; rings: Ring[]; moved: boolean };

const reach = 8; // CSS pixels, to a point
const near = 5; // to an edge

export interface PolygonOptions {
	color(): number;
	tolerance?: number; // of freehand strokes, CSS pixels
}

// polygonTool draws polygons by clicks and freehand strokes, and holes into masks with Shift. The last polygon keeps its
// points in hand until the next one is begun: they are dragged, a click on an edge adds one, Alt and click deletes.
export function polygonTool(host: Host, options: PolygonOptions): Tool {
	let drawing: Drawing | null = null;
	let editing: Editing | null = null;
	let press: Press | null = null;
	let pointer: Pointer | null = null;
	let seen = new Map<string, Editing>(); // the states of the mask in hand, so that undo gives the same points again

	const scale = () => host.camera().scale;
	const screen = (x: number, y: number) => toScreen(host.camera(), host.image(), { x, y });
	const far = (p: Pointer, x: number, y: number) => {
		const s = screen(x, y);
		return Math.hypot(s.x - p.screen.x, s.y - p.screen.y);
	};
	const size = (): [number, number] => [host.image().height, host.image().width];

	function place(p: Pointer): Point {
		const own = editing && press ? new Set([editing.key]) : nothing;
		const snapped = p.ctrl ? snapToShapes(host.scene(), p, 12 / scale(), own) : null;
		const { width, height } = host.image();
		const q = snapped ?? snapToImage({ x: p.x, y: p.y }, host.image(), 4 / scale());
		return { x: Math.min(width, Math.max(0, q.x)), y: Math.min(height, Math.max(0, q.y)) };
	}

	// current is the polygon in hand as the rows have it now: undo and others may have changed it.
	function current(): Editing | null {
		if (!editing) return null;
		const now = host.maskOf(editing.key);
		if (!now || host.scene().get(editing.key)?.locked) editing = null;
		else if (now.mask.counts !== editing.counts) editing = seen.get(now.mask.counts) ?? trace(editing.key);
		return editing;
	}

	function trace(key: string): Editing | null {
		const now = host.maskOf(key);
		if (!now) return null;
		if (now.rings) return { key, counts: now.mask.counts, rings: now.rings, loose: 0 };
		const b = toBitmap(now.mask);
		if (!b) return null;
		// As few points as a hand can hold; the outline between them stays as it is until they are moved.
		const loose = Math.max(1, 1.5 / scale());
		const rings = outlines(b)
			.map((r) => simplify(r, loose))
			.filter((r) => r !== null);
		return rings.length > 0 ? { key, counts: now.mask.counts, rings, loose } : null;
	}

	function hold(next: Editing | null): void {
		editing = next;
		if (next) seen.set(next.counts, next);
	}

	function vertexAt(p: Pointer): { ring: number; index: number } | null {
		let best: { ring: number; index: number } | null = null,
			least = reach;
		current()?.rings.forEach((r, ring) => {
			for (let index = 0; index < r.length / 2; index++) {
				const d = far(p, r[2 * index], r[2 * index + 1]);
				if (d <= least) {
					least = d;
					best = { ring, index };
				}
			}
		});
		return best;
	}

	// edgeAt finds the edge under the pointer; index is that of the point that a new one goes before.
	function edgeAt(p: Pointer): { ring: number; index: number } | null {
		let best: { ring: number; index: number } | null = null,
			least = near;
		current()?.rings.forEach((r, ring) => {
			const n = r.length / 2;
			for (let i = 0; i < n; i++) {
				const a = screen(r[2 * i], r[2 * i + 1]),
					b = screen(r[2 * ((i + 1) % n)], r[2 * ((i + 1) % n) + 1]);
				const dx = b.x - a.x,
					dy = b.y - a.y,
					length = dx * dx + dy * dy;
				const t = length ? Math.min(1, Math.max(0, ((p.screen.x - a.x) * dx + (p.screen.y - a.y) * dy) / length)) : 0;
				const d = Math.hypot(p.screen.x - a.x - t * dx, p.screen.y - a.y - t * dy);
				if (d <= least) {
					least = d;
					best = { ring, index: i + 1 };
				}
			}
		});
		return best;
	}

	// apply gives the mask in hand other rings. Where the rings only come near the outline, pixels change near what moved
	// alone.
	function apply(rings: Ring[]): void {
		const now = editing && host.maskOf(editing.key);
		if (!editing || !now) return;
		const [h, w] = now.mask.size;
		const old = runsOf(now.mask),
			a = drawRings(editing.rings, h, w),
			b = drawRings(rings, h, w);
		let next: ArrayLike<number> = b;
		let loose = 0;
		if (!sameRuns(old, a)) {
			const change = toBitmap(rleOf(combine(a, b, 'differ'), [h, w]));
			if (!change) return;
			const zone = runsOf(fromBitmap(grow(change, Math.ceil(editing.loose) + 1, { width: w, height: h }), [h, w]));
			next = combine(combine(old, zone, 'subtract'), combine(b, zone, 'intersect'), 'union');
			loose = editing.loose;
		}
		if (areaOf(next) === 0) return;
		const mask = rleOf(next, [h, w]);
		const { key } = editing;
		hold({ key, counts: mask.counts, rings, loose });
		host.changeMask(key, { mask, rings }, 'edit outline');
	}

	function close(shift: boolean): void {
		const d = drawing;
		if (!d) return;
		if (d.ring.length < 6) {
			host.hint('hint.polygon.few');
			return;
		}
		drawing = null;
		press = null;
		const [h, w] = size();
		const runs = drawRing(d.ring, h, w);
		if (d.hole || shift) cut(d.ring);
		else if (areaOf(runs) > 0) {
			const mask: RLE = rleOf(runs, [h, w]);
			const key = host.addMask({ mask, rings: [d.ring] });
			seen = new Map();
			hold(key ? trace(key) : null);
		}
		host.hint('hint.polygon');
		host.redraw('shapes');
	}

	// cut takes a ring out of the mask that is selected, or else of the one that the ring begins in.
	function cut(ring: Ring): void {
		const chosen = [...host.selection()];
		const under = host.scene().pick({ x: ring[0], y: ring[1] }, 0);
		const key = (chosen.length === 1 && host.maskOf(chosen[0]) ? chosen[0] : null) ?? under.find((s) => s.kind === 'mask')?.key ?? null;
		const now = key ? host.maskOf(key) : null;
		if (!key || !now || host.scene().get(key)?.locked) {
			host.hint('hint.polygon.nothing');
			return;
		}
		const [h, w] = now.mask.size;
		const before = editing?.key === key ? current() : now.rings ? trace(key) : null;
		const next = combine(runsOf(now.mask), drawRing(ring, h, w), 'subtract');
		const rings = before && [...before.rings, ring];
		host.changeMask(key, { mask: rleOf(next, [h, w]), rings }, 'cut hole');
		if (!host.maskOf(key)) return hold(null);
		hold(trace(key));
		host.select([key], false);
	}

	function back(): boolean {
		if (!drawing) return false;
		const mark = drawing.marks.pop()!;
		drawing.undone.push({ ring: drawing.ring.slice(), mark });
		drawing.ring = drawing.ring.slice(0, drawing.marks.at(-1) ?? 0);
		if (drawing.marks.length === 0) {
			// The first point is gone, but redo still brings it back.
			if (drawing.ring.length > 0) drawing.ring = [];
		}
		host.redraw();
		return true;
	}

	const started = () => drawing !== null && drawing.ring.length > 0;
	const closing = (p: Pointer) => drawing !== null && drawing.ring.length >= 6 && far(p, drawing.ring[0], drawing.ring[1]) <= reach;

	return {
		name: 'polygon',
		get busy() {
			return started() || press?.at === 'vertex';
		},
		skip: nothing,
		cursor(p) {
			if (press?.at === 'vertex') return 'grabbing';
			if (!p || started()) return 'crosshair';
			if (vertexAt(p)) return p.alt ? 'not-allowed' : 'grab';
			return edgeAt(p) ? 'copy' : 'crosshair';
		},
		edit(key) {
			seen = new Map();
			hold(trace(key));
			if (editing) host.select([key], false);
			host.hint(editing ? 'hint.polygon.edit' : 'hint.polygon');
			host.redraw('shapes');
		},
		down(p) {
			pointer = p;
			if (!started()) {
				const on = vertexAt(p);
				const edge = on ? null : edgeAt(p);
				if (editing && on && p.alt) {
					const ring = editing.rings[on.ring].toSpliced(2 * on.index, 2);
					if (ring.length >= 6) apply(editing.rings.with(on.ring, ring));
					else if (editing.rings.length > 1) apply(editing.rings.toSpliced(on.ring, 1));
					host.redraw('shapes');
					return;
				}
				if (editing && (on || edge)) {
					const { ring, index } = (on ?? edge)!;
					const rings = editing.rings.map((r) => r.slice());
					const at = place(p);
					if (edge) rings[ring].splice(2 * index, 0, at.x, at.y);
					press = { at: 'vertex', ring, index, rings, moved: edge !== null };
					host.redraw();
					return;
				}
			}
			press = { at: 'add', from: p, free: false };
		},
		move(p, pressed) {
			pointer = p;
			if (pressed && press?.at === 'vertex') {
				const q = place(p);
				const r = press.rings[press.ring];
				if (!press.moved && far(p, r[2 * press.index], r[2 * press.index + 1]) < 2) return;
				r[2 * press.index] = q.x;
				r[2 * press.index + 1] = q.y;
				press.moved = true;
			} else if (pressed && press?.at === 'add') {
				const { from } = press;
				if (!press.free && Math.hypot(p.screen.x - from.screen.x, p.screen.y - from.screen.y) >= clickSlop && !closing(from)) {
					press.free = true;
					begin(from.shift);
					const q = place(from);
					drawing!.ring.push(q.x, q.y);
				}
				if (press.free && drawing) {
					const q = place(p);
					const [x, y] = drawing.ring.slice(-2);
					if (Math.hypot(q.x - x, q.y - y) * scale() >= 2) drawing.ring.push(q.x, q.y);
				}
			} else host.hover(null);
			host.redraw();
		},
		up(p) {
			pointer = p;
			const was = press;
			press = null;
			if (was?.at === 'vertex') {
				if (was.moved) apply(was.rings);
				host.redraw('shapes');
				return;
			}
			if (was?.at !== 'add') return;
			if (closing(p) && !was.free) return close(p.shift);
			begin(was.from.shift);
			const d = drawing!;
			if (was.free) {
				// A stroke that ends where the ring began closes it.
				const from = d.marks.at(-1) ?? 0;
				const stroke = d.ring.slice(from);
				const few = thin(stroke, (options.tolerance ?? 1) / scale());
				d.ring = [...d.ring.slice(0, from), ...few];
				d.marks.push(d.ring.length);
				d.undone = [];
				if (d.ring.length >= 12 && far(p, d.ring[0], d.ring[1]) <= reach * 1.5) return close(p.shift);
			} else {
				const q = place(p);
				if (d.ring.length >= 2 && d.ring.at(-2) === q.x && d.ring.at(-1) === q.y) return; // the second click of two
				d.ring.push(q.x, q.y);
				d.marks.push(d.ring.length);
				d.undone = [];
			}
			host.hint(d.hole ? 'hint.polygon.hole' : 'hint.polygon.next');
			host.redraw();
		},
		double(p) {
			if (!drawing || drawing.ring.length < 6) return;
			// The second click of the two left a point beside that of the first.
			const { ring } = drawing;
			if (ring.length > 6 && Math.hypot(ring.at(-2)! - ring.at(-4)!, ring.at(-1)! - ring.at(-3)!) * scale() < clickSlop) ring.splice(-2);
			close(p.shift);
		},
		key(key, { shift }) {
			if (!started()) return false;
			if (key === 'Enter') {
				close(shift);
				return true;
			}
			if (key === 'Backspace' || key === 'Delete') return back();
			return false;
		},
		cancel() {
			const was = started() || press !== null || editing !== null;
			if (started() || press) {
				drawing = null;
				press = null;
			} else editing = null;
			host.hint(was ? 'hint.polygon' : null);
			host.redraw('shapes');
			return was;
		},
		undo() {
			if (!started()) return false;
			return back();
		},
		redo() {
			const next = drawing?.undone.pop();
			if (!drawing || !next) return false;
			drawing.ring = next.ring;
			drawing.marks.push(next.mark);
			host.redraw();
			return true;
		},
		finish() {
			drawing = null;
			press = null;
			editing = null;
		},
		leave() {
			pointer = null;
		},
		draw(ctx, view) {
			const color = options.color();
			const e = press?.at === 'vertex' ? editing : current();
			if (e) {
				const rings = press?.at === 'vertex' ? press.rings : e.rings;
				const own = host.scene().get(e.key)?.color ?? color;
				for (const r of rings) path(ctx, view, r, true, own);
				if (!started()) for (const r of rings) points(ctx, view, r, own);
				if (!started() && pointer && !press) {
					const on = vertexAt(pointer);
					const edge = on ? null : edgeAt(pointer);
					if (on) dotAt(ctx, view, e.rings[on.ring][2 * on.index], e.rings[on.ring][2 * on.index + 1], own, 6);
					else if (edge) dotAt(ctx, view, pointer.x, pointer.y, own, 4);
				}
			}
			if (pointer?.ctrl) {
				const s = snapToShapes(host.scene(), pointer, 12 / scale(), nothing);
				if (s) cross(ctx, view, s);
			}
			if (!started() || !drawing) return;
			const d = drawing;
			const ink = d.hole ? 0xffffff : color;
			const to = pointer && !(press?.at === 'add' && press.free) ? place(pointer) : null;
			path(ctx, view, to ? [...d.ring, to.x, to.y] : d.ring, false, ink, d.hole);
			if (d.marks.length > 0 || d.ring.length === 2) points(ctx, view, d.ring, ink);
			const ready = pointer !== null && closing(pointer);
			dotAt(ctx, view, d.ring[0], d.ring[1], ink, ready ? 8 : 5);
		},
	};

	function begin(hole: boolean): void {
		if (started()) return;
		drawing = { ring: [], marks: [], undone: [], hole };
		if (!hole) editing = null;
	}
}

// thin leaves out points of an open stroke.
function thin(stroke: Ring, tolerance: number): Ring {
	if (stroke.length < 6) return stroke;
	const out = simplify(stroke, tolerance) ?? [...stroke.slice(0, 2), ...stroke.slice(-2)];
	const [x, y] = stroke.slice(-2);
	return out.at(-2) === x && out.at(-1) === y ? out : [...out, x, y];
}

function path(ctx: CanvasRenderingContext2D, view: View, ring: Ring, closed: boolean, color: number, dashed = false): void {
	ctx.beginPath();
	for (let i = 0; i < ring.length; i += 2) {
		const p = toScreen(view.camera, view.image, { x: ring[i], y: ring[i + 1] });
		if (i === 0) ctx.moveTo(p.x, p.y);
		else ctx.lineTo(p.x, p.y);
	}
	if (closed) ctx.closePath();
	ctx.lineJoin = 'round';
	ctx.setLineDash([]);
	ctx.lineWidth = 3.5;
	ctx.strokeStyle = 'rgba(0, 0, 0, 0.6)';
	ctx.stroke();
	ctx.setLineDash(dashed ? [5, 4] : []);
	ctx.lineWidth = 2;
	ctx.strokeStyle = css(color);
	ctx.stroke();
	ctx.setLineDash([]);
	if (!closed && ring.length >= 6 && !dashed) {
		ctx.fillStyle = css(color, 0.15);
		ctx.fill();
	}
}

function points(ctx: CanvasRenderingContext2D, view: View, ring: Ring, color: number): void {
	let last: Point | null = null;
	for (let i = 0; i < ring.length; i += 2) {
		const p = toScreen(view.camera, view.image, { x: ring[i], y: ring[i + 1] });
		// Points that lie upon each other show as one.
		if (last && Math.hypot(p.x - last.x, p.y - last.y) < 5) continue;
		last = p;
		if (p.x < -8 || p.y < -8 || p.x > view.size.width + 8 || p.y > view.size.height + 8) continue;
		ctx.fillStyle = '#0f1216';
		ctx.fillRect(p.x - 4, p.y - 4, 8, 8);
		ctx.fillStyle = '#ffffff';
		ctx.fillRect(p.x - 3, p.y - 3, 6, 6);
		ctx.fillStyle = css(color);
		ctx.fillRect(p.x - 1.5, p.y - 1.5, 3, 3);
	}
}

function dotAt(ctx: CanvasRenderingContext2D, view: View, x: number, y: number, color: number, radius: number): void {
	const p = toScreen(view.camera, view.image, { x, y });
	ctx.beginPath();
	ctx.arc(p.x, p.y, radius, 0, 7);
	ctx.fillStyle = '#ffffff';
	ctx.fill();
	ctx.lineWidth = 2.5;
	ctx.strokeStyle = css(color);
	ctx.stroke();
	ctx.lineWidth = 1;
	ctx.beginPath();
	ctx.arc(p.x, p.y, radius + 1.75, 0, 7);
	ctx.strokeStyle = 'rgba(0, 0, 0, 0.7)';
	ctx.stroke();
}

function cross(ctx: CanvasRenderingContext2D, view: View, at: Point): void {
	const p = toScreen(view.camera, view.image, at);
	for (const [width, ink] of [
		[4, 'rgba(0, 0, 0, 0.7)'],
		[1.5, '#ffffff'],
	] as const) {
		ctx.beginPath();
		ctx.moveTo(p.x - 6, p.y - 6);
		ctx.lineTo(p.x + 6, p.y + 6);
		ctx.moveTo(p.x + 6, p.y - 6);
		ctx.lineTo(p.x - 6, p.y + 6);
		ctx.lineWidth = width;
		ctx.strokeStyle = ink;
		ctx.stroke();
	}
}
