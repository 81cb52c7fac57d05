import { toScreen, type Point, type Rect } from '../camera';
import { drawCrosshair, drawNote, nudged } from './guides';
import { drawHandles, drawRect, handleAt, handleCursor, resize, type Handle } from './handles';
import { snapToImage } from '../snap';
import { clampRect, clickSlop, nothing, type Host, type Pointer, type Tool } from './tool';

type State =
	| { at: 'idle' }
	| { at: 'press'; from: Pointer } // the button is down; it may become a drag or the first of two clicks
	| { at: 'drag'; from: Point; to: Pointer }
	| { at: 'open'; from: Point; to: Pointer | null } // one corner is set
	| { at: 'resize'; key: string; handle: Handle; rect: Rect; to: Pointer | null; color: number };

const smallest = 2; // image pixels; a smaller box is a slip of the hand

export interface BoxOptions {
	color(): number;
}

// boxTool draws boxes by a drag, by two clicks, or with the keyboard: arrows move a crosshair, Enter sets a corner.
// Shift keeps a square, Alt draws from the centre. The last box keeps its handles until the next one is drawn.
export function boxTool(host: Host, options: BoxOptions): Tool {
	let state: State = { at: 'idle' };
	let pointer: Pointer | null = null;
	let keyboard: Point | null = null; // the crosshair, once keys moved it

	const last = () => {
		const keys = [...host.selection()];
		const s = keys.length === 1 ? host.scene().get(keys[0]) : undefined;
		return s?.kind === 'box' && !s.locked && !s.hidden ? { key: s.key, rect: { x: s.x, y: s.y, w: s.w, h: s.h }, color: s.color } : null;
	};
	const onHandle = (p: Pointer) => {
		const one = last();
		const handle = one && handleAt(one.rect, host.camera(), host.image(), p.screen);
		return one && handle ? { ...one, handle } : null;
	};
	const spanned = (from: Point, to: Point & { shift?: boolean; alt?: boolean }): Rect => {
		let dx = to.x - from.x,
			dy = to.y - from.y;
		if (to.shift) {
			const side = Math.max(Math.abs(dx), Math.abs(dy));
			dx = Math.sign(dx || 1) * side;
			dy = Math.sign(dy || 1) * side;
		}
		const a = to.alt ? { x: from.x - dx, y: from.y - dy } : from;
		const b = { x: from.x + dx, y: from.y + dy };
		return clampRect({ x: Math.min(a.x, b.x), y: Math.min(a.y, b.y), w: Math.abs(a.x - b.x), h: Math.abs(a.y - b.y) }, host.image());
	};
	const commit = (from: Point, to: Point & { shift?: boolean; alt?: boolean }) => {
		const rect = spanned(from, to);
		state = { at: 'idle' };
		if (rect.w >= smallest && rect.h >= smallest) host.addBox(rect);
		host.redraw();
	};
	const inside = (p: Point): Point => {
		const { width, height } = host.image();
		return { x: Math.min(Math.max(p.x, 0), width), y: Math.min(Math.max(p.y, 0), height) };
	};
	// Edges that come near those of the image go onto them.
	const snap = <P extends Point>(p: P): P => snapToImage(p, host.image(), 6 / host.camera().scale);
	const still = (p: Pointer, from: Pointer) => Math.hypot(p.screen.x - from.screen.x, p.screen.y - from.screen.y) < clickSlop;

	return {
		name: 'box',
		get busy() {
			return state.at === 'drag' || state.at === 'open' || state.at === 'resize';
		},
		get skip() {
			return state.at === 'resize' ? new Set([state.key]) : nothing;
		},
		cursor(p) {
			if (state.at === 'resize') return handleCursor(state.handle, host.camera().turn);
			const on = p && state.at === 'idle' ? onHandle(p) : null;
			return on ? handleCursor(on.handle, host.camera().turn) : 'crosshair';
		},
		down(p) {
			keyboard = null;
			if (state.at === 'open') return;
			const on = onHandle(p);
			state = on ? { at: 'resize', key: on.key, handle: on.handle, rect: on.rect, to: null, color: on.color } : { at: 'press', from: p };
		},
		move(p, pressed) {
			pointer = p;
			if (pressed && state.at === 'press' && !still(p, state.from)) state = { at: 'drag', from: inside(snap(state.from)), to: p };
			if (state.at === 'drag' || state.at === 'open') state = { ...state, to: snap(p) };
			else if (state.at === 'resize') {
				if (state.to === null) host.redraw('shapes');
				state = { ...state, to: snap(p) };
			}
			if (!pressed && state.at === 'idle') host.hover(null);
			host.redraw();
		},
		up(p) {
			switch (state.at) {
				case 'press':
					state = { at: 'open', from: inside(snap(p)), to: p };
					host.hint('hint.box.second');
					break;
				case 'drag':
				case 'open':
					commit(state.from, snap(p));
					host.hint(null);
					break;
				case 'resize':
					if (state.to) host.changeBoxes([{ key: state.key, rect: resize(state.rect, state.handle, state.to, host.image()) }]);
					state = { at: 'idle' };
					host.redraw('shapes');
			}
			host.redraw();
		},
		key(key, mods) {
			const to = nudged(key, mods, keyboard, host.image());
			if (to) {
				keyboard = to;
				pointer = null;
				host.hint(state.at === 'open' ? 'hint.box.second' : 'hint.box.keys');
				host.redraw();
				return true;
			}
			if (key !== 'Enter') return false;
			if (state.at === 'open') {
				const to = keyboard ?? state.to;
				if (to) commit(state.from, { x: to.x, y: to.y, shift: false, alt: false });
				host.hint(null);
				return true;
			}
			if (!keyboard) return false;
			state = { at: 'open', from: keyboard, to: null };
			host.hint('hint.box.second');
			host.redraw();
			return true;
		},
		cancel() {
			host.hint(null);
			if (state.at === 'idle' && !keyboard) return false;
			if (state.at === 'idle') keyboard = null;
			state = { at: 'idle' };
			host.redraw('shapes');
			return true;
		},
		undo() {
			if (state.at !== 'open') return false;
			state = { at: 'idle' };
			host.redraw();
			return true;
		},
		redo: () => false,
		leave() {
			pointer = null;
		},
		draw(ctx, view) {
			const color = options.color();
			const one = last();
			if (state.at === 'resize') {
				const r = state.to ? resize(state.rect, state.handle, state.to, host.image()) : state.rect;
				drawRect(ctx, view, r, state.color);
				drawHandles(ctx, view, r, state.color);
				return;
			}
			if (one && state.at === 'idle') drawHandles(ctx, view, one.rect, one.color);
			const p = keyboard ? { ...toScreen(view.camera, view.image, keyboard) } : pointer?.screen;
			if (p) drawCrosshair(ctx, view, p, color);
			const to = state.at === 'drag' || state.at === 'open' ? (keyboard ?? state.to) : null;
			if (!to || (state.at !== 'drag' && state.at !== 'open')) return;
			const r = spanned(state.from, to);
			drawRect(ctx, view, r, color);
			drawNote(ctx, view, toScreen(view.camera, view.image, { x: r.x + r.w, y: r.y + r.h }), `${Math.round(r.w)} × ${Math.round(r.h)}`);
		},
	};
}
