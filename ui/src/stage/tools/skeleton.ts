import { toScreen, type Point, type Rect } from '../camera';
import { css, type View } from '../c2d/draw';
import { hiddenState, invisibleState, visibleState, type Shape } from '../scene';
import { drawRect } from './handles';
import { clickSlop, nothing, type Host, type Pointer, type Tool } from './tool';

export interface Pose {
	points: Float32Array; // x, y of each point, image pixels
	states: Uint8Array; // of each point, as in scene.ts
}

export interface Sketch {
	id: string;
	points: readonly { name: string; x: number; y: number }[]; // fractions of the box that a pose is placed in
	edges: readonly (readonly [number, number])[];
}

export interface SkeletonOptions {
	color(): number;
	template(): Sketch | null; // the one that is chosen for new poses
	templateOf(key: string): Sketch | null; // that of a row
	add(pose: Pose, template: string): void;
	change(key: string, pose: Pose, merge?: string): void;
	named(name: string, state: number): void; // the point in hand, "" for none
}

type State =
	| { at: 'idle' }
	| { at: 'press'; from: Pointer }
	| { at: 'place'; from: Pointer; to: Pointer } // a box that the pose is laid out in
	| { at: 'points'; points: number[]; states: number[]; hide: boolean } // one after the other
	| { at: 'drag'; key: string; point: number; from: Pointer; pose: Pose; to: Pointer | null }; // point -1: all of it

const reach = 9; // CSS pixels around a point
const smallest = 4; // image pixels; a smaller box is a slip of the hand

// skeletonTool places poses of a template: dragged as a box, or point after point. A pose that is selected can be
// changed: points are dragged, Tab walks over them, O goes from visible to hidden to invisible, arrows move the one in hand.
export function skeletonTool(host: Host, options: SkeletonOptions): Tool {
	let state: State = { at: 'idle' };
	let pointer: Pointer | null = null;
	let active = -1; // point in hand
	let of = ''; // key of the pose that it is of
	let nudges = 0; // merges the arrows of one walk into one step

	const chosen = (): (Shape & { kind: 'skeleton' }) | null => {
		const keys = [...host.selection()];
		const s = keys.length === 1 ? host.scene().get(keys[0]) : undefined;
		const pose = s?.kind === 'skeleton' && !s.locked && !s.hidden ? s : null;
		if ((pose?.key ?? '') !== of) {
			of = pose?.key ?? '';
			active = -1;
		}
		return pose;
	};
	const inside = (p: Point): Point => {
		const { width, height } = host.image();
		return { x: Math.min(Math.max(p.x, 0), width), y: Math.min(Math.max(p.y, 0), height) };
	};
	const still = (a: Pointer, b: Pointer) => Math.hypot(a.screen.x - b.screen.x, a.screen.y - b.screen.y) < clickSlop;
	const pointAt = (s: { points: Float32Array }, p: Pointer): number => {
		let best = -1,
			least = reach;
		for (let i = 0; i < s.points.length / 2; i++) {
			const at = toScreen(host.camera(), host.image(), { x: s.points[2 * i], y: s.points[2 * i + 1] });
			const d = Math.hypot(at.x - p.screen.x, at.y - p.screen.y);
			if (d < least) {
				best = i;
				least = d;
			}
		}
		return best;
	};
	const spanned = (from: Point, to: Point): Rect => {
		const a = inside(from),
			b = inside(to);
		return { x: Math.min(a.x, b.x), y: Math.min(a.y, b.y), w: Math.abs(a.x - b.x), h: Math.abs(a.y - b.y) };
	};
	const laidOut = (t: Sketch, r: Rect): Pose => ({
		points: Float32Array.from(t.points.flatMap((p) => [r.x + p.x * r.w, r.y + p.y * r.h])),
		states: new Uint8Array(t.points.length),
	});
	const shifted = (s: State & { at: 'drag' }): Pose => {
		if (!s.to) return s.pose;
		const points = s.pose.points.slice();
		let dx = s.to.x - s.from.x,
			dy = s.to.y - s.from.y;
		if (s.point >= 0) {
			const p = inside({ x: points[2 * s.point] + dx, y: points[2 * s.point + 1] + dy });
			points[2 * s.point] = p.x;
			points[2 * s.point + 1] = p.y;
			return { points, states: s.pose.states };
		}
		const { width, height } = host.image();
		const xs = points.filter((_, i) => !(i & 1)),
			ys = points.filter((_, i) => i & 1);
		dx = Math.min(Math.max(dx, -Math.min(...xs)), width - Math.max(...xs));
		dy = Math.min(Math.max(dy, -Math.min(...ys)), height - Math.max(...ys));
		return { points: points.map((v, i) => v + (i & 1 ? dy : dx)), states: s.pose.states };
	};
	function tell(): void {
		if (state.at === 'points') {
			const t = options.template();
			const n = state.states.length;
			options.named(t?.points[n]?.name ?? '', state.hide ? hiddenState : visibleState);
			host.hint('hint.skeleton.next');
			return;
		}
		const s = chosen();
		const t = s && options.templateOf(s.key);
		if (s && active >= 0) options.named(t?.points[active]?.name ?? String(active + 1), s.states[active]);
		else options.named('', visibleState);
		host.hint(s ? 'hint.skeleton.edit' : 'hint.skeleton');
	}
	// end stores the points that were set; those that were not are invisible.
	function end(): void {
		const t = options.template();
		if (state.at !== 'points' || !t) return;
		const { points, states } = state;
		state = { at: 'idle' };
		while (states.length < t.points.length) {
			points.push(0, 0);
			states.push(invisibleState);
		}
		if (states.some((s) => s !== invisibleState)) options.add({ points: Float32Array.from(points), states: Uint8Array.from(states) }, t.id);
		tell();
		host.redraw('shapes');
	}
	function paint(ctx: CanvasRenderingContext2D, view: View, pose: Pose, edges: Sketch['edges'], color: number, at: number): void {
		const place = (i: number) => toScreen(view.camera, view.image, { x: pose.points[2 * i], y: pose.points[2 * i + 1] });
		const n = pose.points.length / 2;
		for (const [width, ink] of [
			[4, 'rgba(0, 0, 0, 0.6)'],
			[2, css(color)],
		] as const) {
			ctx.beginPath();
			for (const [a, b] of edges) {
				if (a >= n || b >= n || pose.states[a] === invisibleState || pose.states[b] === invisibleState) continue;
				const p = place(a),
					q = place(b);
				ctx.moveTo(p.x, p.y);
				ctx.lineTo(q.x, q.y);
			}
			ctx.lineWidth = width;
			ctx.strokeStyle = ink;
			ctx.stroke();
		}
		for (let i = 0; i < n; i++) {
			const p = place(i);
			ctx.beginPath();
			ctx.arc(p.x, p.y, i === at ? 6.5 : 5, 0, 2 * Math.PI);
			ctx.lineWidth = i === at ? 2.5 : 1.5;
			if (pose.states[i] === invisibleState) {
				ctx.setLineDash([2, 2]);
				ctx.strokeStyle = 'rgba(232, 236, 241, 0.8)';
				ctx.stroke();
				ctx.setLineDash([]);
				continue;
			}
			ctx.fillStyle = pose.states[i] === hiddenState ? '#0f1216' : css(color);
			ctx.fill();
			ctx.strokeStyle = i === at ? '#ffffff' : pose.states[i] === hiddenState ? css(color) : '#0f1216';
			ctx.stroke();
		}
	}

	return {
		name: 'skeleton',
		get busy() {
			return state.at !== 'idle' && state.at !== 'press';
		},
		get skip() {
			const s = chosen();
			return s ? new Set([s.key]) : nothing;
		},
		cursor(p) {
			if (state.at === 'drag') return 'grabbing';
			const s = state.at === 'idle' ? chosen() : null;
			if (p && s) {
				if (pointAt(s, p) >= 0) return 'grab';
				if (host.scene().pick(p, 4 / host.camera().scale)[0]?.key === s.key) return 'move';
			}
			return 'crosshair';
		},
		down(p) {
			if (state.at === 'points') return;
			const s = chosen();
			const point = s ? pointAt(s, p) : -1;
			const body = s !== null && point < 0 && host.scene().pick(p, 4 / host.camera().scale)[0]?.key === s.key;
			if (s && (point >= 0 || body)) {
				active = point;
				state = { at: 'drag', key: s.key, point, from: p, pose: { points: s.points, states: s.states }, to: null };
				tell();
			} else if (options.template()) state = { at: 'press', from: p };
			host.redraw();
		},
		move(p, pressed) {
			pointer = p;
			if (pressed && state.at === 'press' && !still(p, state.from)) state = { at: 'place', from: state.from, to: p };
			if (state.at === 'place') state = { ...state, to: p };
			else if (state.at === 'drag' && (state.to || !still(p, state.from))) state = { ...state, to: p };
			if (!pressed && state.at === 'idle') host.hover(host.scene().pick(p, 4 / host.camera().scale)[0]?.key ?? null);
			host.redraw();
		},
		up(p) {
			const t = options.template();
			switch (state.at) {
				case 'press': {
					// A click on another pose takes it; elsewhere it is the first point.
					const under = host.scene().pick(p, 4 / host.camera().scale)[0];
					state = { at: 'idle' };
					if (under?.kind === 'skeleton') host.select([under.key], false);
					else if (t) {
						host.select([], false);
						const at = inside(p);
						state = { at: 'points', points: [at.x, at.y], states: [visibleState], hide: false };
						if (t.points.length === 1) end();
					}
					break;
				}
				case 'points': {
					const at = inside(p);
					state.points.push(at.x, at.y);
					state.states.push(state.hide ? hiddenState : visibleState);
					state.hide = false;
					if (t && state.states.length === t.points.length) end();
					break;
				}
				case 'place': {
					const r = spanned(state.from, p);
					state = { at: 'idle' };
					if (t && r.w >= smallest && r.h >= smallest) options.add(laidOut(t, r), t.id);
					break;
				}
				case 'drag': {
					const { key, to } = state;
					const pose = shifted(state);
					state = { at: 'idle' };
					if (to) options.change(key, pose);
				}
			}
			tell();
			host.redraw('shapes');
		},
		key(key, { shift, ctrl, alt }) {
			if (state.at === 'points') {
				if (key === 'Enter') end();
				else if (key === 'Backspace') this.undo();
				else if (key.toLowerCase() === 'o') {
					state.hide = !state.hide;
					tell();
				} else return false;
				host.redraw();
				return true;
			}
			const s = chosen();
			if (!s || state.at !== 'idle' || alt) return false;
			const n = s.points.length / 2;
			const pose = () => ({ points: s.points.slice(), states: s.states.slice() });
			if (key === 'Tab') {
				active = active < 0 ? (shift ? n - 1 : 0) : (active + (shift ? n - 1 : 1)) % n;
				nudges++;
			} else if (key.toLowerCase() === 'o' && !ctrl && active >= 0) {
				const next = pose();
				next.states[active] = (next.states[active] + 1) % 3;
				options.change(s.key, next);
			} else {
				const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
				if (!step || shift) return false;
				const by = ctrl ? 10 : 1;
				const from = { screen: { x: 0, y: 0 }, x: 0, y: 0, button: 0, shift, alt, ctrl };
				const to = { ...from, x: step[0] * by, y: step[1] * by };
				options.change(
					s.key,
					shifted({ at: 'drag', key: s.key, point: active, from, to, pose: pose() }),
					`point ${s.key} ${active} ${nudges}`,
				);
			}
			tell();
			host.redraw('shapes');
			return true;
		},
		cancel() {
			if (state.at !== 'idle') state = { at: 'idle' };
			else if (active >= 0) active = -1;
			else if (host.selection().size > 0) host.select([], false);
			else {
				host.hint(null);
				return false;
			}
			tell();
			host.redraw('shapes');
			return true;
		},
		undo() {
			if (state.at !== 'points') return false;
			state.points.splice(-2);
			state.states.pop();
			if (state.states.length === 0) state = { at: 'idle' };
			tell();
			host.redraw();
			return true;
		},
		redo: () => false,
		draw(ctx, view) {
			const t = options.template();
			const color = options.color();
			if (state.at === 'drag') {
				paint(
					ctx,
					view,
					shifted(state),
					host.scene().get(state.key)?.kind === 'skeleton' ? (chosen()?.edges ?? []) : [],
					chosen()?.color ?? color,
					state.point,
				);
				return;
			}
			if (state.at === 'place' && t) {
				const r = spanned(state.from, state.to);
				drawRect(ctx, view, r, color, true);
				paint(ctx, view, laidOut(t, r), t.edges, color, -1);
				return;
			}
			if (state.at === 'points' && t) {
				const points = [...state.points],
					states = [...state.states];
				if (pointer && states.length < t.points.length) {
					points.push(pointer.x, pointer.y);
					states.push(state.hide ? hiddenState : visibleState);
				}
				paint(ctx, view, { points: Float32Array.from(points), states: Uint8Array.from(states) }, t.edges, color, states.length - 1);
				const p = pointer && toScreen(view.camera, view.image, pointer);
				const name = t.points[state.states.length]?.name;
				if (p && name) label(ctx, name, p.x + 12, p.y + 10);
				return;
			}
			const s = chosen();
			if (!s) return;
			paint(ctx, view, s, s.edges, s.color, active);
			const name = active >= 0 ? options.templateOf(s.key)?.points[active]?.name : undefined;
			if (name) {
				const p = toScreen(view.camera, view.image, { x: s.points[2 * active], y: s.points[2 * active + 1] });
				label(ctx, name, p.x + 12, p.y + 10);
			}
		},
	};
}

function label(ctx: CanvasRenderingContext2D, text: string, x: number, y: number): void {
	ctx.font = '500 12px "Inter Variable", system-ui, sans-serif';
	ctx.textBaseline = 'middle';
	ctx.fillStyle = 'rgba(15, 18, 22, 0.85)';
	ctx.fillRect(x, y - 9, ctx.measureText(text).width + 10, 18);
	ctx.fillStyle = '#e8ecf1';
	ctx.fillText(text, x + 5, y + 0.5);
}
