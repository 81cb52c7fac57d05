// Shapes that are pasted into a view of another size. Where that view is the same picture larger or smaller, by its
// proportions, they grow or shrink with it. Else they keep their size in pixels and their place, moved together as far as
// needed to lie inside, and are cut off at the edges.
import { moved } from '../masks/morph';
import { fromBitmap, toBitmap, type Bitmap } from '../masks/rle';
import type { Ring } from '../masks/contour';
import { drawRings, rleOf } from '../masks/runs';
import type { Rect, Size } from '../stage/camera';
import { coordsOf, rectOf } from './boxes';
import { maskData, maskOf, ringsOf } from './masks';
import { pixelsOf, pointsOf } from './points';
import type { Data, Row } from './types';

interface Place {
	kx: number;
	ky: number;
	dx: number;
	dy: number;
}

// fitted gives what of the rows' data is different in a view of a size; null for what would be outside of it. Rows come
// with the size of their own view. Those without a place in a view, or from one of the same size, are not in the result.
export function fitted(rows: readonly { row: Row; size: Size }[], to: Size): Map<Row, Data | null> {
	const out = new Map<Row, Data | null>();
	const other = rows.filter(
		({ size }) =>
			size.width > 0 && size.height > 0 && to.width > 0 && to.height > 0 && (size.width !== to.width || size.height !== to.height),
	);
	const rects = other.map(({ row, size }) => extentOf(row, size));
	// Those of one view go by one offset.
	for (const [name, { size }] of new Map(other.map((o) => [`${o.size.width} ${o.size.height}`, o]))) {
		const these = other.map((o, i) => ({ ...o, rect: rects[i] })).filter((o) => o.rect && `${o.size.width} ${o.size.height}` === name);
		if (these.length === 0) continue;
		const ratio = size.width / size.height / (to.width / to.height);
		const alike = Math.abs(ratio - 1) <= 0.01;
		const inside = (from: number, end: number, most: number) => Math.round(Math.max(Math.min(0, most - end), -from));
		const place: Place = alike
			? { kx: to.width / size.width, ky: to.height / size.height, dx: 0, dy: 0 }
			: {
					kx: 1,
					ky: 1,
					dx: inside(Math.min(...these.map((o) => o.rect!.x)), Math.max(...these.map((o) => o.rect!.x + o.rect!.w)), to.width),
					dy: inside(Math.min(...these.map((o) => o.rect!.y)), Math.max(...these.map((o) => o.rect!.y + o.rect!.h)), to.height),
				};
		for (const { row } of these) out.set(row, put(row, size, to, place));
	}
	return out;
}

// extentOf is the rectangle in pixels that a row takes in its view; null: it has no place.
export function extentOf(row: Row, size: Size): Rect | null {
	switch (row.table_info.base_schema) {
		case 'BBox':
			return rectOf(row.data, size);
		case 'CompressedRLE': {
			const mask = maskOf(row);
			const crop = mask && toBitmap(mask);
			return crop && { x: crop.x, y: crop.y, w: crop.width, h: crop.height };
		}
		case 'KeyPoints': {
			const points = seen(row, pixelsOf(row.data.coords as number[], size));
			if (points.length === 0) return null;
			const x = Math.min(...points.map((p) => p[0])),
				y = Math.min(...points.map((p) => p[1]));
			return { x, y, w: Math.max(...points.map((p) => p[0])) - x, h: Math.max(...points.map((p) => p[1])) - y };
		}
	}
	return null;
}

function seen(row: Row, points: Float32Array): [number, number][] {
	return (row.data.states as string[]).flatMap((s, i) =>
		s === 'invisible' ? [] : [[points[2 * i], points[2 * i + 1]] as [number, number]],
	);
}

function put(row: Row, from: Size, to: Size, { kx, ky, dx, dy }: Place): Data | null {
	switch (row.table_info.base_schema) {
		case 'BBox': {
			const r = rectOf(row.data, from)!;
			const x = Math.max(0, r.x * kx + dx),
				y = Math.max(0, r.y * ky + dy);
			const w = Math.min(to.width, (r.x + r.w) * kx + dx) - x,
				h = Math.min(to.height, (r.y + r.h) * ky + dy) - y;
			return w > 0 && h > 0 ? { coords: coordsOf(row.data, { x, y, w, h }, to) } : null;
		}
		case 'KeyPoints': {
			const old = row.data.coords as number[];
			const points = pixelsOf(old, from).map((v, i) => (i & 1 ? v * ky + dy : v * kx + dx));
			const outside = (i: number) =>
				points[2 * i] < 0 || points[2 * i + 1] < 0 || points[2 * i] > to.width || points[2 * i + 1] > to.height;
			const states = (row.data.states as string[]).map((s, i) => (outside(i) ? 'invisible' : s));
			return states.every((s) => s === 'invisible') ? null : { coords: pointsOf(points, to, old), states };
		}
		default: {
			const size: [number, number] = [to.height, to.width];
			const rings: Ring[] | null = ringsOf(row)?.map((r) => r.map((v, i) => (i & 1 ? v * ky + dy : v * kx + dx))) ?? null;
			if (rings) {
				const drawn = rleOf(drawRings(rings, ...size), size);
				return toBitmap(drawn) ? maskData(drawn, row.data.inference_metadata, rings) : null;
			}
			const crop = toBitmap(maskOf(row)!);
			const there = crop && moved(scaled(crop, kx, ky), dx, dy, to);
			return there ? maskData(fromBitmap(there, size), row.data.inference_metadata, null) : null;
		}
	}
}

// scaled takes for each pixel the one that its middle was in.
function scaled(b: Bitmap, kx: number, ky: number): Bitmap {
	if (kx === 1 && ky === 1) return b;
	const x = Math.floor(b.x * kx),
		y = Math.floor(b.y * ky);
	const width = Math.ceil((b.x + b.width) * kx) - x,
		height = Math.ceil((b.y + b.height) * ky) - y;
	const data = new Uint8Array(width * height);
	for (let j = 0; j < height; j++) {
		const row = Math.floor((y + j + 0.5) / ky) - b.y;
		if (row < 0 || row >= b.height) continue;
		for (let i = 0; i < width; i++) {
			const column = Math.floor((x + i + 0.5) / kx) - b.x;
			if (column >= 0 && column < b.width) data[j * width + i] = b.data[row * b.width + column];
		}
	}
	return { x, y, width, height, data };
}
