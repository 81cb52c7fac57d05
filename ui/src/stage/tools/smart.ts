import { outlines, type Ring } from '../../masks/contour';
import { hit, toBitmap, type Bitmap, type RLE } from '../../masks/rle';
import { toScreen, type Point, type Rect } from '../camera';
import { css, type View } from '../c2d/draw';
import type { Data, Ref } from '../../store/types';
import { drawRect } from './handles';
import { drawCrop, tinted } from './masks';
import { clampRect, clickSlop, nothing, type Host, type Pointer, type Tool } from './tool';

export interface Prompt {
	points: { x: number; y: number; negative: boolean }[];
	box: Rect | null;
}

// Answer is the mask of a model, with what says where it is from.
export interface Segment {
	mask: RLE;
	source: Ref;
	metadata: Data;
}

export interface SmartOptions {
	color(): number;
	fill(): number;
	negative(): boolean; // what a click of the left button means
	ask(prompt: Prompt, signal: AbortSignal): Promise<Segment>;
	look(prompt: Prompt, signal: AbortSignal): Promise<RLE | null>; // the mask of a preview; null: there are none
	previews(): boolean; // whether they are wanted
	state(at: 'idle' | 'asking' | 'failed', message?: string): void;
}

const none: Prompt = { points: [], box: null };
const reach = 9; // CSS pixels, to a point
const pause = 40; // ms from one preview to the next question

// smartTool asks a model for the mask of what points and a box show. Each change of them asks anew; Enter accepts.
export function smartTool(host: Host, options: SmartOptions): Tool {
	let prompt: Prompt = none;
	let before: Prompt[] = [];
	let after: Prompt[] = [];
	let answer: (Segment & { crop: Bitmap | null; picture: OffscreenCanvas | null }) | null = null;
	let asking: AbortController | null = null;
	let accepting = false; // Enter was pressed while the model was at work
	let pointer: Pointer | null = null;
	// What a click would give: one question at a time, and after it one for the newest place.
	let preview: { crop: Bitmap; picture: OffscreenCanvas; rings: Ring[] } | null = null;
	let looking: AbortController | null = null;
	let rest: ReturnType<typeof setTimeout> | undefined;
	let looked = ''; // the prompt that the preview, or its question, is of
	let press: { from: Pointer; point: number; to: Pointer } | null = null;

	const empty = () => prompt.points.length === 0 && !prompt.box;
	const spanned = (a: Point, b: Point): Rect =>
		clampRect({ x: Math.min(a.x, b.x), y: Math.min(a.y, b.y), w: Math.abs(a.x - b.x), h: Math.abs(a.y - b.y) }, host.image());
	const inside = (p: Point) => {
		const { width, height } = host.image();
		return { x: Math.min(width - 1, Math.max(0, Math.floor(p.x))), y: Math.min(height - 1, Math.max(0, Math.floor(p.y))) };
	};
	const pointAt = (p: Pointer) =>
		prompt.points.findLastIndex((q) => {
			const s = toScreen(host.camera(), host.image(), { x: q.x + 0.5, y: q.y + 0.5 });
			return Math.hypot(s.x - p.screen.x, s.y - p.screen.y) <= reach;
		});

	function unlook(): void {
		preview = null;
		looked = '';
		clearTimeout(rest);
	}

	// clicked is the prompt that a click at a place would make.
	function clicked(p: Point): Prompt {
		return { ...prompt, points: [...prompt.points, { ...inside(p), negative: options.negative() }] };
	}

	// meant is whether the preview is still of what a click under the pointer means: it is there, if it is to be there.
	const meant = () =>
		options.previews() &&
		pointer !== null &&
		preview !== null &&
		!press &&
		!asking &&
		(options.negative() || hit(preview.crop, pointer.x, pointer.y));

	function look(): void {
		if (looking) return;
		clearTimeout(rest);
		rest = setTimeout(() => void lookNow(), pause);
	}

	async function lookNow(): Promise<void> {
		const { width, height } = host.image();
		const p = pointer;
		if (looking || !p || press || asking || !options.previews() || pointAt(p) >= 0) return;
		if (p.x < 0 || p.y < 0 || p.x >= width || p.y >= height) return;
		const next = clicked(p);
		const key = JSON.stringify(next);
		if (key === looked || (!next.box && next.points.every((q) => q.negative))) return;
		looked = key;
		const abort = (looking = new AbortController());
		try {
			const mask = await options.look(next, abort.signal);
			const crop = mask && !abort.signal.aborted && pointer && looked === key ? toBitmap(mask) : null;
			// An answer for a place that the pointer has left is shown as long as it means the same.
			preview =
				crop && typeof OffscreenCanvas !== 'undefined' ? { crop, picture: tinted(crop, options.color()), rings: outlines(crop) } : null;
			host.redraw();
		} catch {
			// A preview that fails is none; a click tells why.
		} finally {
			if (looking === abort) {
				looking = null;
				if (pointer) look();
			}
		}
	}

	function change(next: Prompt): void {
		before.push(prompt);
		after = [];
		go(next);
	}

	function go(next: Prompt): void {
		prompt = next;
		unlook();
		asking?.abort();
		asking = null;
		accepting = false;
		// Points that only say what is not meant ask for nothing.
		if (!prompt.box && !prompt.points.some((p) => !p.negative)) {
			answer = null;
			options.state('idle');
			host.redraw();
			return;
		}
		void ask();
		host.redraw();
	}

	async function ask(): Promise<void> {
		const abort = (asking = new AbortController());
		options.state('asking');
		try {
			const got = await options.ask(prompt, abort.signal);
			if (abort.signal.aborted) return;
			const crop = toBitmap(got.mask);
			answer = { ...got, crop, picture: crop && typeof OffscreenCanvas !== 'undefined' ? tinted(crop, options.color()) : null };
			asking = null;
			options.state('idle', crop ? undefined : 'hint.smart.empty');
			if (accepting) accept();
		} catch (e) {
			if (abort.signal.aborted) return;
			// The prompt stays: Enter asks again.
			asking = null;
			accepting = false;
			answer = null;
			options.state('failed', e instanceof Error ? e.message : String(e));
		}
		host.redraw();
	}

	function accept(): void {
		const done = answer;
		if (!done?.crop) return;
		clear();
		host.addMask({ mask: done.mask, crop: done.crop, source: done.source, metadata: done.metadata });
		host.hint('hint.smart');
		host.redraw('shapes');
	}

	function clear(): void {
		unlook();
		looking?.abort();
		looking = null;
		asking?.abort();
		asking = null;
		accepting = false;
		prompt = none;
		before = [];
		after = [];
		answer = null;
		press = null;
		options.state('idle');
	}

	return {
		name: 'smart',
		right: true,
		get busy() {
			return !empty();
		},
		skip: nothing,
		cursor: (p) => (press && press.point >= 0 ? 'grabbing' : p && pointAt(p) >= 0 ? 'grab' : 'crosshair'),
		down(p) {
			pointer = p;
			const point = pointAt(p);
			if (point >= 0 && p.alt) {
				change({ ...prompt, points: prompt.points.toSpliced(point, 1) });
				return;
			}
			press = { from: p, point, to: p };
		},
		move(p, pressed) {
			pointer = p;
			if (pressed && press) press = { ...press, to: p };
			else {
				host.hover(null);
				look();
			}
			host.redraw();
		},
		up(p) {
			const was = press;
			press = null;
			if (!was) return;
			const still = Math.hypot(p.screen.x - was.from.screen.x, p.screen.y - was.from.screen.y) < clickSlop;
			if (was.point >= 0) {
				if (!still) change({ ...prompt, points: prompt.points.with(was.point, { ...prompt.points[was.point], ...inside(p) }) });
			} else if (still) {
				const { width, height } = host.image();
				if (p.x < 0 || p.y < 0 || p.x >= width || p.y >= height) return;
				const negative = was.from.button === 2 || options.negative();
				change({ ...prompt, points: [...prompt.points, { ...inside(p), negative }] });
			} else if (was.from.button === 0) {
				const box = spanned(was.from, p);
				if (box.w >= 2 && box.h >= 2) change({ ...prompt, box });
			}
			host.redraw();
		},
		key(key) {
			if (empty()) return false;
			if (key === 'Enter') {
				if (asking) accepting = true;
				else if (answer) accept();
				else go(prompt);
				return true;
			}
			if (key === 'Backspace' || key === 'Delete') {
				change(prompt.points.length > 0 ? { ...prompt, points: prompt.points.slice(0, -1) } : none);
				return true;
			}
			return false;
		},
		cancel() {
			unlook();
			if (empty() && !press) {
				host.redraw();
				return false;
			}
			clear();
			host.hint('hint.smart');
			host.redraw('shapes');
			return true;
		},
		undo() {
			const last = before.pop();
			if (!last) return false;
			after.push(prompt);
			go(last);
			return true;
		},
		redo() {
			const next = after.pop();
			if (!next) return false;
			before.push(prompt);
			go(next);
			return true;
		},
		fresh() {
			looking?.abort();
			looking = null;
			// What was asked about is no longer there: the same is asked of what is.
			if (empty()) unlook();
			else {
				answer = null;
				go(prompt);
			}
			host.redraw();
		},
		finish: clear,
		leave() {
			pointer = null;
			unlook();
		},
		draw(ctx, view) {
			const color = options.color();
			if (answer?.crop && answer.picture) {
				ctx.globalAlpha = asking || meant() ? 0.35 : Math.max(0.3, options.fill() * 0.75);
				drawCrop(ctx, view, answer.picture, answer.crop.x, answer.crop.y, answer.crop.width, answer.crop.height);
				ctx.globalAlpha = 1;
			}
			if (preview && meant()) {
				ctx.globalAlpha = answer ? 0.5 : Math.max(0.25, options.fill() * 0.5);
				drawCrop(ctx, view, preview.picture, preview.crop.x, preview.crop.y, preview.crop.width, preview.crop.height);
				ctx.globalAlpha = 1;
				rim(ctx, view, preview.rings);
			}
			const dragged = press && Math.hypot(press.to.screen.x - press.from.screen.x, press.to.screen.y - press.from.screen.y) >= clickSlop;
			const box = press && dragged && press.point < 0 && press.from.button === 0 ? spanned(press.from, press.to) : prompt.box;
			if (box) drawRect(ctx, view, box, color, true);
			prompt.points.forEach((q, i) => {
				const at = press && dragged && press.point === i ? inside(press.to) : q;
				sign(ctx, view, at, q.negative, pointer !== null && !press && pointAt(pointer) === i);
			});
			if (pointer && !press && pointAt(pointer) < 0) {
				// What the next click means.
				const { x, y } = pointer.screen;
				ctx.font = '700 14px "Inter Variable", system-ui, sans-serif';
				ctx.textBaseline = 'middle';
				ctx.lineWidth = 3;
				ctx.strokeStyle = 'rgba(0, 0, 0, 0.75)';
				const text = options.negative() ? '−' : '+';
				ctx.strokeText(text, x + 9, y - 9);
				ctx.fillStyle = options.negative() ? '#ff7b7b' : '#4cc38a';
				ctx.fillText(text, x + 9, y - 9);
			}
		},
	};
}

// rim draws the outline of what is not there yet: dashed, and seen on any picture.
function rim(ctx: CanvasRenderingContext2D, view: View, rings: readonly Ring[]): void {
	ctx.beginPath();
	for (const ring of rings) {
		for (let i = 0; i < ring.length; i += 2) {
			const p = toScreen(view.camera, view.image, { x: ring[i], y: ring[i + 1] });
			if (i === 0) ctx.moveTo(p.x, p.y);
			else ctx.lineTo(p.x, p.y);
		}
		ctx.closePath();
	}
	ctx.lineWidth = 2.5;
	ctx.strokeStyle = css(0, 0.6);
	ctx.stroke();
	ctx.setLineDash([5, 3]);
	ctx.lineWidth = 1.25;
	ctx.strokeStyle = '#ffffff';
	ctx.stroke();
	ctx.setLineDash([]);
}

// sign draws a point with its sign: the colour is not the only difference.
function sign(ctx: CanvasRenderingContext2D, view: View, q: Point, negative: boolean, hover: boolean): void {
	const p = toScreen(view.camera, view.image, { x: q.x + 0.5, y: q.y + 0.5 });
	const r = hover ? 8 : 6.5;
	ctx.setLineDash([]);
	ctx.beginPath();
	ctx.arc(p.x, p.y, r, 0, 7);
	ctx.fillStyle = negative ? '#c4272f' : '#12784a';
	ctx.fill();
	ctx.lineWidth = 1.5;
	ctx.strokeStyle = '#ffffff';
	ctx.stroke();
	ctx.beginPath();
	ctx.arc(p.x, p.y, r + 1.25, 0, 7);
	ctx.lineWidth = 1;
	ctx.strokeStyle = css(0, 0.7);
	ctx.stroke();
	ctx.fillStyle = '#ffffff';
	ctx.fillRect(p.x - 3.5, p.y - 0.75, 7, 1.5);
	if (!negative) ctx.fillRect(p.x - 0.75, p.y - 3.5, 1.5, 7);
}
