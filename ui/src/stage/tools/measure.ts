import { toScreen, type Point } from '../camera';
import { css } from '../c2d/draw';
import { drawCrosshair, drawNote, nudged } from './guides';
import { snapToShapes } from '../snap';
import { clickSlop, nothing, type Host, type Pointer, type Tool } from './tool';

// Measure is what lies between two places, in image pixels; angle in degrees, counterclockwise from the right as it is
// seen in the unturned image, from -180 to 180.
export interface Measure {
	dx: number;
	dy: number;
	length: number;
	angle: number;
}

export function measure(a: Point, b: Point): Measure {
	const dx = b.x - a.x,
		dy = b.y - a.y;
	return { dx: Math.abs(dx), dy: Math.abs(dy), length: Math.hypot(dx, dy), angle: (Math.atan2(a.y - b.y || 0, dx) * 180) / Math.PI };
}

const ink = 0xffd54a;
const reach = 8; // CSS pixels, to corners and outlines with Ctrl

// measureTool shows a crosshair, and the distance between two places: by a drag, by two clicks, or by keys, as boxes are
// drawn. Shift keeps the line level, upright or at 45 degrees; Ctrl takes corners of boxes and outlines of masks.
// Nothing is stored.
export function measureTool(host: Host, text: (m: Measure) => string): Tool {
	let from: Point | null = null;
	let to: Point | null = null;
	let done = true; // the line stays until the next one begins
	let press: Pointer | null = null; // the button is down since here, and was not dragged
	let pointer: Point | null = null;
	let keyboard: Point | null = null;

	const snap = (p: Pointer): Point => (p.ctrl && snapToShapes(host.scene(), p, reach / host.camera().scale, nothing)) || { x: p.x, y: p.y };
	function held(p: Pointer): Point {
		const q = snap(p);
		if (!p.shift || !from) return q;
		const dx = q.x - from.x,
			dy = q.y - from.y;
		const turn = Math.round(Math.atan2(dy, dx) / (Math.PI / 4)) * (Math.PI / 4);
		const along = dx * Math.cos(turn) + dy * Math.sin(turn);
		return { x: from.x + along * Math.cos(turn), y: from.y + along * Math.sin(turn) };
	}
	function begin(p: Point): void {
		[from, to, done] = [p, null, false];
		host.hint('hint.measure.second');
	}
	function end(p: Point): void {
		[to, done] = [p, true];
		host.hint(null);
	}

	return {
		name: 'measure',
		get busy() {
			return !done;
		},
		skip: nothing,
		cursor: () => 'crosshair',
		down(p) {
			keyboard = null;
			press = done ? p : null;
			if (done) begin(snap(p));
			host.redraw();
		},
		move(p, pressed) {
			pointer = snap(p);
			if (pressed && press && Math.hypot(p.screen.x - press.screen.x, p.screen.y - press.screen.y) >= clickSlop) press = null;
			if (!done && !press) to = held(p);
			host.redraw();
		},
		up(p) {
			// After a click without a drag the line is open, and the next click ends it.
			if (!done && !press) end(held(p));
			press = null;
			host.redraw();
		},
		key(key, mods) {
			const next = nudged(key, mods, keyboard, host.image());
			if (next) {
				keyboard = next;
				pointer = null;
				if (!done) to = keyboard;
				host.redraw();
				return true;
			}
			if (key !== 'Enter' || !keyboard) return false;
			if (done) begin(keyboard);
			else end(keyboard);
			host.redraw();
			return true;
		},
		cancel() {
			if (!from && !keyboard) return false;
			from = to = press = keyboard = null;
			done = true;
			host.hint(null);
			host.redraw();
			return true;
		},
		undo: () => false,
		redo: () => false,
		leave() {
			pointer = null;
			host.redraw();
		},
		draw(ctx, view) {
			const screen = (p: Point) => toScreen(view.camera, view.image, p);
			const at = keyboard ?? pointer;
			if (at) drawCrosshair(ctx, view, screen(at), ink);
			if (!from) {
				if (at) drawNote(ctx, view, screen(at), `${Math.round(at.x)}, ${Math.round(at.y)}`);
				return;
			}
			if (!to) return;
			const [a, b] = [screen(from), screen(to)];
			for (const [width, colour] of [
				[4, 'rgba(0, 0, 0, 0.6)'],
				[2, css(ink, 1)],
			] as const) {
				ctx.setLineDash([]);
				ctx.lineWidth = width;
				ctx.strokeStyle = colour;
				ctx.beginPath();
				ctx.moveTo(a.x, a.y);
				ctx.lineTo(b.x, b.y);
				for (const p of [a, b]) {
					ctx.moveTo(p.x + 4, p.y);
					ctx.arc(p.x, p.y, 4, 0, 2 * Math.PI);
				}
				ctx.stroke();
			}
			drawNote(ctx, view, b, text(measure(from, to)));
		},
	};
}
