import Flatbush from 'flatbush';
import type { Bitmap } from '../masks/rle';
import { hit } from '../masks/rle';
import type { Point, Rect } from './camera';

// How a shape's origin shows, beside its colour: truth solid, human solid with a dot, model dashed.
export type Origin = 'truth' | 'human' | 'model' | 'other';

interface Common {
	readonly key: string; // table and id of the row
	readonly entity: string; // id of the entity, "" if none
	readonly label: string;
	readonly color: number; // 0xRRGGBB
	readonly origin: Origin;
	readonly hidden: boolean;
	readonly locked: boolean;
}

export type Shape = Common &
	(
		| ({ readonly kind: 'box' } & Rect)
		| { readonly kind: 'mask'; readonly crop: Bitmap }
		| { readonly kind: 'polygon'; readonly rings: readonly Float32Array[] } // x, y, x, y …; the first is the outline, the others are holes
		| {
				readonly kind: 'skeleton';
				readonly points: Float32Array;
				readonly states: Uint8Array;
				readonly edges: readonly (readonly [number, number])[];
		  }
	);

export const visibleState = 0,
	hiddenState = 1,
	invisibleState = 2;

export function bounds(s: Shape): Rect {
	switch (s.kind) {
		case 'box':
			return { x: s.x, y: s.y, w: s.w, h: s.h };
		case 'mask':
			return { x: s.crop.x, y: s.crop.y, w: s.crop.width, h: s.crop.height };
		case 'polygon':
			return extent(s.rings[0]);
		case 'skeleton':
			return extent(s.points);
	}
}

function extent(points: Float32Array): Rect {
	let x0 = Infinity,
		y0 = Infinity,
		x1 = -Infinity,
		y1 = -Infinity;
	for (let i = 0; i < points.length; i += 2) {
		x0 = Math.min(x0, points[i]);
		x1 = Math.max(x1, points[i]);
		y0 = Math.min(y0, points[i + 1]);
		y1 = Math.max(y1, points[i + 1]);
	}
	return x0 <= x1 ? { x: x0, y: y0, w: x1 - x0, h: y1 - y0 } : { x: 0, y: 0, w: 0, h: 0 };
}

// Scene holds what one view shows, in drawing order, with an index of where it lies.
export class Scene {
	readonly shapes: readonly Shape[];
	readonly rects: readonly Rect[];
	private index: Flatbush | null;
	private byKey = new Map<string, number>();

	constructor(shapes: readonly Shape[]) {
		// Large shapes first, so that small ones are drawn over them and can be reached.
		const rects = new Map(shapes.map((s) => [s, bounds(s)]));
		const size = (s: Shape) => rects.get(s)!.w * rects.get(s)!.h;
		this.shapes = shapes.toSorted((a, b) => Number(b.kind === 'mask') - Number(a.kind === 'mask') || size(b) - size(a));
		this.rects = this.shapes.map((s) => rects.get(s)!);
		this.index = shapes.length > 0 ? new Flatbush(shapes.length) : null;
		this.shapes.forEach((s, i) => this.byKey.set(s.key, i));
		for (const r of this.rects) this.index!.add(r.x, r.y, r.x + r.w, r.y + r.h);
		this.index?.finish();
	}

	get(key: string): Shape | undefined {
		const i = this.byKey.get(key);
		return i === undefined ? undefined : this.shapes[i];
	}

	// query returns the shapes that may show in a rectangle, in drawing order.
	query(r: Rect): number[] {
		return this.index?.search(r.x, r.y, r.x + r.w, r.y + r.h).sort((a, b) => a - b) ?? [];
	}

	// pick returns the shapes under a point, the smallest first. tolerance is in image pixels. Hidden and locked shapes
	// are passed over.
	pick(p: Point, tolerance: number): Shape[] {
		const near = this.query({ x: p.x - tolerance, y: p.y - tolerance, w: 2 * tolerance, h: 2 * tolerance });
		const size = (i: number) => this.rects[i].w * this.rects[i].h;
		return near
			.filter((i) => !this.shapes[i].hidden && !this.shapes[i].locked && touches(this.shapes[i], p, tolerance))
			.sort((a, b) => size(a) - size(b) || b - a)
			.map((i) => this.shapes[i]);
	}

	// inside returns the shapes that lie wholly in a rectangle.
	inside(r: Rect): Shape[] {
		return this.query(r)
			.filter((i) => {
				const b = this.rects[i];
				return b.x >= r.x && b.y >= r.y && b.x + b.w <= r.x + r.w && b.y + b.h <= r.y + r.h;
			})
			.map((i) => this.shapes[i])
			.filter((s) => !s.hidden && !s.locked);
	}
}

export function touches(s: Shape, p: Point, tolerance: number): boolean {
	switch (s.kind) {
		case 'box':
			return p.x >= s.x - tolerance && p.x <= s.x + s.w + tolerance && p.y >= s.y - tolerance && p.y <= s.y + s.h + tolerance;
		case 'mask':
			return hit(s.crop, p.x, p.y);
		case 'polygon':
			return s.rings.reduce((odd, ring) => odd !== inRing(ring, p), false);
		case 'skeleton': {
			for (let i = 0; i < s.points.length; i += 2)
				if (s.states[i >> 1] !== invisibleState && Math.hypot(s.points[i] - p.x, s.points[i + 1] - p.y) <= 2 * tolerance) return true;
			return s.edges.some(
				([a, b]) => s.states[a] !== invisibleState && s.states[b] !== invisibleState && toSegment(p, s.points, a, b) <= tolerance,
			);
		}
	}
}

function inRing(ring: Float32Array, p: Point): boolean {
	let odd = false;
	for (let i = 0, j = ring.length - 2; i < ring.length; j = i, i += 2) {
		const yi = ring[i + 1],
			yj = ring[j + 1];
		if (yi > p.y !== yj > p.y && p.x < ((ring[j] - ring[i]) * (p.y - yi)) / (yj - yi) + ring[i]) odd = !odd;
	}
	return odd;
}

function toSegment(p: Point, points: Float32Array, a: number, b: number): number {
	const ax = points[2 * a],
		ay = points[2 * a + 1];
	const dx = points[2 * b] - ax,
		dy = points[2 * b + 1] - ay;
	const length = dx * dx + dy * dy;
	const t = length ? Math.min(1, Math.max(0, ((p.x - ax) * dx + (p.y - ay) * dy) / length)) : 0;
	return Math.hypot(p.x - ax - t * dx, p.y - ay - t * dy);
}
