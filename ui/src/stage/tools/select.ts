import type { Rect } from '../camera';
import type { View } from '../c2d/draw';
import { css } from '../c2d/draw';
import { matrix } from '../camera';
import { drawHandles, drawRect, handleAt, handleCursor, resize, type Handle } from './handles';
import { snapToImage } from '../snap';
import { drawCrop, tinted } from './masks';
import { clickSlop, moved, nothing, type Host, type Pointer, type Tool } from './tool';
import type { Bitmap } from '../../masks/rle';

type State =
	| { at: 'idle' }
	| { at: 'press'; from: Pointer; key: string | null }
	| { at: 'move'; from: Pointer; to: Pointer; boxes: { key: string; rect: Rect; color: number }[]; masks: Moving[]; copy: boolean }
	| { at: 'resize'; key: string; handle: Handle; rect: Rect; to: Pointer | null; color: number }
	| { at: 'marquee'; from: Pointer; to: Pointer };

interface Moving {
	key: string;
	crop: Bitmap;
	picture: OffscreenCanvas | null;
}

// selectTool picks, moves and resizes: a click takes the smallest shape under the pointer and the next one below with
// each further click; a drag from nothing, or from a mask that is not selected, selects what lies inside.
// A double click on a mask takes its outline in hand.
export function selectTool(host: Host): Tool {
	let state: State = { at: 'idle' };
	let drags = 0;
	let cycle: { x: number; y: number; n: number } | null = null;

	const single = (): { key: string; rect: Rect; color: number } | null => {
		const keys = [...host.selection()];
		const s = keys.length === 1 ? host.scene().get(keys[0]) : undefined;
		return s?.kind === 'box' && !s.locked && !s.hidden ? { key: s.key, rect: { x: s.x, y: s.y, w: s.w, h: s.h }, color: s.color } : null;
	};
	const boxes = (keys: Iterable<string>) =>
		[...keys].flatMap((key) => {
			const s = host.scene().get(key);
			return s?.kind === 'box' && !s.locked ? [{ key, rect: { x: s.x, y: s.y, w: s.w, h: s.h }, color: s.color }] : [];
		});
	const masks = (keys: Iterable<string>): Moving[] =>
		[...keys].flatMap((key) => {
			const s = host.scene().get(key);
			if (s?.kind !== 'mask' || s.locked) return [];
			return [{ key, crop: s.crop, picture: typeof OffscreenCanvas === 'undefined' ? null : tinted(s.crop, s.color) }];
		});
	const shift = (s: State & { at: 'move' }) => ({ x: Math.round(s.to.x - s.from.x), y: Math.round(s.to.y - s.from.y) });
	const shifted = (s: State & { at: 'move' }) =>
		s.boxes.map((b) => ({ key: b.key, rect: moved(b.rect, s.to.x - s.from.x, s.to.y - s.from.y, host.image()) }));
	const under = (p: Pointer) => host.scene().pick(p, 4 / host.camera().scale);

	return {
		name: 'select',
		get busy() {
			return state.at !== 'idle' && state.at !== 'press';
		},
		get skip() {
			return state.at === 'resize'
				? new Set([state.key])
				: state.at === 'move' && !state.copy
					? new Set([...state.boxes, ...state.masks].map((b) => b.key))
					: nothing;
		},
		cursor(p) {
			if (state.at === 'resize') return handleCursor(state.handle, host.camera().turn);
			if (state.at === 'move') return 'grabbing';
			const one = single();
			const handle = p && one ? handleAt(one.rect, host.camera(), host.image(), p.screen) : null;
			if (handle) return handleCursor(handle, host.camera().turn);
			const top = p && under(p)[0];
			return top ? (host.selection().has(top.key) ? 'move' : 'pointer') : 'default';
		},
		down(p) {
			const one = single();
			const handle = one ? handleAt(one.rect, host.camera(), host.image(), p.screen) : null;
			if (one && handle && !p.ctrl) {
				state = { at: 'resize', key: one.key, handle, rect: one.rect, to: null, color: one.color };
				return;
			}
			const found = under(p);
			const chosen = found.find((s) => host.selection().has(s.key));
			state = { at: 'press', from: p, key: (chosen ?? found[0])?.key ?? null };
		},
		move(p, pressed) {
			if (!pressed) {
				host.hover(under(p)[0]?.key ?? null);
				return;
			}
			if (state.at === 'press') {
				const { from, key } = state;
				if (Math.hypot(p.screen.x - from.screen.x, p.screen.y - from.screen.y) < clickSlop) return;
				// A large mask is not moved by a slip: it is selected first.
				const loose = key !== null && host.scene().get(key)?.kind === 'mask' && !host.selection().has(key);
				if (key === null || loose) state = { at: 'marquee', from, to: p };
				else {
					if (!host.selection().has(key)) host.select([key], from.shift);
					state = { at: 'move', from, to: p, boxes: boxes(host.selection()), masks: masks(host.selection()), copy: from.alt };
					host.redraw('shapes');
				}
			}
			if (state.at === 'move' || state.at === 'resize') {
				if (state.at === 'resize' && state.to === null) host.redraw('shapes');
				state = { ...state, to: state.at === 'resize' ? snapToImage(p, host.image(), 6 / host.camera().scale) : p };
				host.redraw();
			} else if (state.at === 'marquee') {
				state = { ...state, to: p };
				host.redraw();
			}
		},
		up(p) {
			if (state.at === 'press') {
				const { from } = state;
				const found = under(p);
				if (p.alt && found.length > 1) host.stack(p);
				else if (found.length === 0) {
					if (!p.shift) host.select([], false);
					cycle = null;
				} else {
					// A click at the same place goes one shape down.
					const same = cycle && Math.hypot(cycle.x - p.screen.x, cycle.y - p.screen.y) < clickSlop;
					const n = same ? (cycle!.n + 1) % found.length : 0;
					cycle = { ...from.screen, n };
					host.select([found[n].key], p.shift);
				}
			} else if (state.at === 'marquee') {
				const r = rectOf(state.from, state.to);
				host.select(
					host
						.scene()
						.inside(r)
						.map((s) => s.key),
					p.shift,
				);
			} else if (state.at === 'move') {
				// A drag with Alt leaves the boxes where they are, and moves copies.
				const changes = shifted(state);
				const by = shift(state);
				const merge = `drag ${drags++}`;
				const put = (boxKeys: string[], maskKeys: string[]) => {
					if (changes.length > 0)
						host.changeBoxes(
							changes.map((c, i) => ({ ...c, key: boxKeys[i] })),
							merge,
						);
					if (maskKeys.length > 0) host.move(maskKeys, by.x, by.y, merge);
				};
				const keys = [state.boxes.map((b) => b.key), state.masks.map((m) => m.key)];
				if (state.copy) {
					const copies = host.duplicate(keys.flat(), merge); // copied and moved is one step
					put(copies.slice(0, keys[0].length), copies.slice(keys[0].length));
					host.select(copies, false);
				} else put(keys[0], keys[1]);
			} else if (state.at === 'resize' && state.to)
				host.changeBoxes([{ key: state.key, rect: resize(state.rect, state.handle, state.to, host.image()) }]);
			state = { at: 'idle' };
			host.redraw('shapes');
		},
		key(key, { ctrl, shift }) {
			const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
			if (!step || shift) return false;
			const chosen = boxes(host.selection());
			const also = [...host.selection()].filter((k) => {
				const m = host.scene().get(k);
				return m?.kind === 'mask' && !m.locked;
			});
			if (chosen.length + also.length === 0) return false;
			const by = ctrl ? 10 : 1;
			const image = host.image();
			const merge = `nudge ${[...host.selection()].join()}`;
			if (chosen.length > 0)
				host.changeBoxes(
					chosen.map((b) => ({ key: b.key, rect: moved(b.rect, step[0] * by, step[1] * by, image) })),
					merge,
				);
			if (also.length > 0) host.move(also, step[0] * by, step[1] * by, merge);
			return true;
		},
		cancel() {
			if (state.at !== 'idle') {
				state = { at: 'idle' };
				host.redraw('shapes');
				return true;
			}
			if (host.selection().size === 0) return false;
			host.select([], false);
			return true;
		},
		double(p) {
			const found = under(p);
			if (found.length === 0) return;
			// The second of the two clicks went one shape down.
			const n = cycle && found.length > 1 ? (cycle.n - 1 + found.length) % found.length : 0;
			if (found[n].kind !== 'mask') return;
			cycle = null;
			host.take('polygon', found[n].key);
		},
		undo: () => false,
		redo: () => false,
		draw(ctx, view: View) {
			if (state.at === 'move') {
				const moving = state;
				const by = shift(moving);
				ctx.globalAlpha = 0.6;
				for (const m of moving.masks)
					if (m.picture) drawCrop(ctx, view, m.picture, m.crop.x + by.x, m.crop.y + by.y, m.crop.width, m.crop.height);
				ctx.globalAlpha = 1;
				shifted(moving).forEach((c, i) => drawRect(ctx, view, c.rect, moving.boxes[i].color));
				return;
			}
			if (state.at === 'resize') {
				const r = state.to ? resize(state.rect, state.handle, state.to, host.image()) : state.rect;
				drawRect(ctx, view, r, state.color);
				drawHandles(ctx, view, r, state.color);
				return;
			}
			const one = single();
			if (one) drawHandles(ctx, view, one.rect, one.color);
			if (state.at !== 'marquee') return;
			const r = rectOf(state.from, state.to);
			const [a, b, c, d, e, f] = matrix(view.camera, view.image);
			const box = [a * r.x + c * r.y + e, b * r.x + d * r.y + f, a * r.w + c * r.h, b * r.w + d * r.h] as const;
			ctx.fillStyle = css(0x5aa9ff, 0.12);
			ctx.fillRect(...box);
			ctx.strokeStyle = css(0x5aa9ff);
			ctx.lineWidth = 1;
			ctx.strokeRect(...box);
		},
	};
}

const rectOf = (a: Pointer, b: Pointer): Rect => ({
	x: Math.min(a.x, b.x),
	y: Math.min(a.y, b.y),
	w: Math.abs(a.x - b.x),
	h: Math.abs(a.y - b.y),
});
