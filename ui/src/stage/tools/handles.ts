import { matrix, toScreen, type Camera, type Point, type Rect, type Size } from '../camera';
import { css, type View } from '../c2d/draw';
import { clampRect, type Pointer } from './tool';

// A handle is named by what it moves: -1 the left or top edge, 1 the right or bottom one, 0 neither.
export interface Handle {
	x: -1 | 0 | 1;
	y: -1 | 0 | 1;
}

const all: Handle[] = ([-1, 0, 1] as const).flatMap((x) => ([-1, 0, 1] as const).map((y) => ({ x, y }))).filter((h) => h.x || h.y);
const reach = 8; // CSS pixels

const at = (r: Rect, h: Handle): Point => ({ x: r.x + (r.w * (h.x + 1)) / 2, y: r.y + (r.h * (h.y + 1)) / 2 });

// usable leaves out the handles of edges that are too short to tell apart.
function usable(r: Rect, scale: number): Handle[] {
	return all.filter((h) => (h.x !== 0 || r.w * scale >= 24) && (h.y !== 0 || r.h * scale >= 24));
}

export function handleAt(r: Rect, camera: Camera, image: Size, screen: Point): Handle | null {
	let best: Handle | null = null,
		least = reach;
	for (const h of usable(r, camera.scale)) {
		const p = toScreen(camera, image, at(r, h));
		const d = Math.max(Math.abs(p.x - screen.x), Math.abs(p.y - screen.y)) - (h.x && h.y ? 1 : 0);
		if (d < least) {
			best = h;
			least = d;
		}
	}
	return best;
}

// resize moves a handle to a point: Shift keeps the proportions, Alt the centre. A box that is turned inside out
// changes sides.
export function resize(r: Rect, h: Handle, p: Pointer, image: Size): Rect {
	let x0 = h.x < 0 ? p.x : r.x,
		x1 = h.x > 0 ? p.x : r.x + r.w,
		y0 = h.y < 0 ? p.y : r.y,
		y1 = h.y > 0 ? p.y : r.y + r.h;
	if (p.shift && h.x && h.y && r.w > 0 && r.h > 0) {
		const k = Math.max(Math.abs(x1 - x0) / r.w, Math.abs(y1 - y0) / r.h);
		const w = Math.sign(x1 - x0 || 1) * r.w * k,
			hh = Math.sign(y1 - y0 || 1) * r.h * k;
		if (h.x < 0) x0 = x1 - w;
		else x1 = x0 + w;
		if (h.y < 0) y0 = y1 - hh;
		else y1 = y0 + hh;
	}
	if (p.alt) {
		if (h.x < 0) x1 = 2 * r.x + r.w - x0;
		else if (h.x > 0) x0 = 2 * r.x + r.w - x1;
		if (h.y < 0) y1 = 2 * r.y + r.h - y0;
		else if (h.y > 0) y0 = 2 * r.y + r.h - y1;
	}
	return clampRect({ x: Math.min(x0, x1), y: Math.min(y0, y1), w: Math.abs(x1 - x0), h: Math.abs(y1 - y0) }, image);
}

export function handleCursor(h: Handle, turn: number): string {
	const diagonal = h.x * h.y;
	if (diagonal) return diagonal > 0 === !(turn & 1) ? 'nwse-resize' : 'nesw-resize';
	return (h.x !== 0) === !(turn & 1) ? 'ew-resize' : 'ns-resize';
}

export function drawHandles(ctx: CanvasRenderingContext2D, view: View, r: Rect, color: number): void {
	for (const h of usable(r, view.camera.scale)) {
		const p = toScreen(view.camera, view.image, at(r, h));
		ctx.fillStyle = '#ffffff';
		ctx.strokeStyle = '#0f1216';
		ctx.lineWidth = 1;
		ctx.fillRect(p.x - 4, p.y - 4, 8, 8);
		ctx.strokeRect(p.x - 4, p.y - 4, 8, 8);
		ctx.fillStyle = css(color);
		ctx.fillRect(p.x - 2, p.y - 2, 4, 4);
	}
}

// shade dims what is in a rectangle.
export function shade(ctx: CanvasRenderingContext2D, view: View, r: Rect): void {
	const [a, b, c, d, e, f] = matrix(view.camera, view.image);
	ctx.fillStyle = 'rgba(15, 18, 22, 0.6)';
	ctx.fillRect(a * r.x + c * r.y + e, b * r.x + d * r.y + f, a * r.w + c * r.h, b * r.w + d * r.h);
}

export function drawRect(ctx: CanvasRenderingContext2D, view: View, r: Rect, color: number, dashed = false): void {
	const [a, b, c, d, e, f] = matrix(view.camera, view.image);
	const box = [a * r.x + c * r.y + e, b * r.x + d * r.y + f, a * r.w + c * r.h, b * r.w + d * r.h] as const;
	ctx.setLineDash([]);
	ctx.lineWidth = 3.5;
	ctx.strokeStyle = 'rgba(0, 0, 0, 0.6)';
	ctx.strokeRect(...box);
	ctx.setLineDash(dashed ? [4, 4] : []);
	ctx.lineWidth = 2;
	ctx.strokeStyle = css(color);
	ctx.strokeRect(...box);
	ctx.setLineDash([]);
}
