import type { Rect, Size } from '../stage/camera';
import type { Data, Row } from './types';

// rectOf gives a box in pixels of its view, from the units and the format that the row has.
export function rectOf(data: Readonly<Data>, view: Size): Rect | null {
	const c = data.coords as number[] | undefined;
	if (!Array.isArray(c) || c.length !== 4 || !c.every(Number.isFinite)) return null;
	const kx = data.is_normalized ? view.width : 1,
		ky = data.is_normalized ? view.height : 1;
	const x = c[0] * kx,
		y = c[1] * ky;
	return data.format === 'xyxy'
		? { x: Math.min(x, c[2] * kx), y: Math.min(y, c[3] * ky), w: Math.abs(c[2] * kx - x), h: Math.abs(c[3] * ky - y) }
		: { x, y, w: c[2] * kx, h: c[3] * ky };
}

// coordsOf writes a rectangle back in the units and the format that the row has.
export function coordsOf(data: Readonly<Data>, rect: Rect, view: Size): number[] {
	const kx = data.is_normalized ? view.width : 1,
		ky = data.is_normalized ? view.height : 1;
	const end = data.format === 'xyxy' ? [rect.x + rect.w, rect.y + rect.h] : [rect.w, rect.h];
	const out = [rect.x / kx, rect.y / ky, end[0] / kx, end[1] / ky];
	return data.is_normalized ? out.map((v) => Math.min(1, Math.max(0, v))) : out;
}

export const viewSize = (view: Row): Size => ({ width: Number(view.data.width) || 0, height: Number(view.data.height) || 0 });
