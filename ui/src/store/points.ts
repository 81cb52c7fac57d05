import type { Rect, Size } from '../stage/camera';
import { coordsOf, rectOf } from './boxes';
import type { Template } from './templates';
import type { Data, Row } from './types';

export const stateNames = ['visible', 'hidden', 'invisible'] as const;

// fractional tells whether the points of a row are fractions of the view, as the reference stores them. Larger ones are
// pixels.
export const fractional = (coords: readonly number[]) => coords.every((v) => v <= 1);

// pixelsOf gives points in pixels of their view.
export function pixelsOf(coords: readonly number[], view: Size): Float32Array {
	const fractions = fractional(coords);
	return Float32Array.from(coords, (v, i) => (fractions ? v * (i & 1 ? view.height : view.width) : v));
}

// pointsOf writes points back in the unit that the row has, held inside of the view. New rows have fractions.
export function pointsOf(points: Float32Array, view: Size, old: readonly number[] | null): number[] {
	const fractions = view.width > 0 && view.height > 0 && (old === null || fractional(old));
	return Array.from(points, (v, i) => {
		const most = i & 1 ? view.height : view.width;
		const held = Math.max(0, most > 0 ? Math.min(v, most) : v);
		return fractions ? held / most : held;
	});
}

// poseIn lays a template out in a rectangle.
export function poseIn(template: Template, r: Rect): Float32Array {
	return Float32Array.from(template.points.flatMap((p) => [r.x + p.x * r.w, r.y + p.y * r.h]));
}

// movedCoords gives the coordinates of a box or of points that are moved by pixels and stay inside of the view. null: the
// row has none.
export function movedCoords(row: Row, view: Size, dx: number, dy: number): number[] | null {
	const data: Readonly<Data> = row.data;
	const inside = (at: number, length: number, most: number) => (most > 0 ? Math.min(Math.max(at, 0), Math.max(0, most - length)) : at);
	if (row.table_info.base_schema === 'BBox') {
		const r = rectOf(data, view);
		return r && coordsOf(data, { ...r, x: inside(r.x + dx, r.w, view.width), y: inside(r.y + dy, r.h, view.height) }, view);
	}
	if (row.table_info.base_schema !== 'KeyPoints' || !Array.isArray(data.coords)) return null;
	const coords = data.coords as number[];
	const points = pixelsOf(coords, view);
	const states = data.states as string[];
	const span = (axis: 0 | 1) => {
		const at = [...points].filter((_, i) => (i & 1) === axis && states[i >> 1] !== 'invisible');
		return at.length > 0 ? { from: Math.min(...at), length: Math.max(...at) - Math.min(...at) } : { from: 0, length: 0 };
	};
	const x = span(0),
		y = span(1);
	const by = [inside(x.from + dx, x.length, view.width) - x.from, inside(y.from + dy, y.length, view.height) - y.from];
	return pointsOf(
		points.map((v, i) => v + by[i & 1]),
		view,
		coords,
	);
}
