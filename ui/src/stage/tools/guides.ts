import type { Point, Size } from '../camera';
import { css, type View } from '../c2d/draw';

// nudged is where an arrow key takes a crosshair, which begins in the middle of the image: by 1 / 50 of it, with Ctrl by 1 / 10,
// with Alt by a pixel. It returns null for other keys, and with Shift.
export function nudged(
	key: string,
	{ shift, alt, ctrl }: { shift: boolean; alt: boolean; ctrl: boolean },
	from: Point | null,
	{ width, height }: Size,
): Point | null {
	const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
	if (!step || shift) return null;
	const { x, y } = from ?? { x: Math.round(width / 2), y: Math.round(height / 2) };
	const by = alt ? 1 : Math.max(1, Math.round(Math.min(width, height) / (ctrl ? 10 : 50)));
	return { x: Math.min(width, Math.max(0, x + step[0] * by)), y: Math.min(height, Math.max(0, y + step[1] * by)) };
}

// drawCrosshair draws lines through a place over the whole view, seen on light and dark pictures.
export function drawCrosshair(ctx: CanvasRenderingContext2D, view: View, p: Point, color: number): void {
	ctx.setLineDash([]);
	for (const [width, ink] of [
		[3, 'rgba(0, 0, 0, 0.45)'],
		[1, css(color, 0.9)],
	] as const) {
		ctx.beginPath();
		ctx.moveTo(0, p.y);
		ctx.lineTo(view.size.width, p.y);
		ctx.moveTo(p.x, 0);
		ctx.lineTo(p.x, view.size.height);
		ctx.lineWidth = width;
		ctx.strokeStyle = ink;
		ctx.stroke();
	}
}

// drawNote writes figures below and to the right of a place, or on its other side where the view ends.
export function drawNote(ctx: CanvasRenderingContext2D, view: View, p: Point, text: string): void {
	ctx.font = '500 12px "Inter Variable", system-ui, sans-serif';
	const w = ctx.measureText(text).width + 10;
	const x = p.x + 8 + w > view.size.width ? p.x - 8 - w : p.x + 8;
	const y = p.y + 26 > view.size.height ? p.y - 26 : p.y + 8;
	ctx.fillStyle = 'rgba(15, 18, 22, 0.85)';
	ctx.fillRect(x, y, w, 18);
	ctx.fillStyle = '#e8ecf1';
	ctx.textBaseline = 'middle';
	ctx.fillText(text, x + 5, y + 9.5);
}
