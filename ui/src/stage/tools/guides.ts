import type { Point } from '../camera';
import { css, type View } from '../c2d/draw';

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
