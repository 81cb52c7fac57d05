// Outlines of masks: from pixels to rings of points and back.
import type { Bitmap } from './rle';

export type Ring = number[]; // x, y, x, y … in pixels of the image

// outlines follows the edges of the pixels of a mask. Each 8-connected part gives a ring, each hole another one; filled
// by the even-odd rule they draw the same mask again. Points are where the outline turns.
export function outlines({ x: left, y: top, width, height, data }: Bitmap): Ring[] {
	const rings: Ring[] = [];
	const inside = (x: number, y: number) => x >= 0 && y >= 0 && x < width && y < height && data[y * width + x] !== 0;
	const done = new Uint8Array(width * height); // pixels whose upper edge is part of a ring
	const step = [
		[1, 0],
		[0, 1],
		[-1, 0],
		[0, -1],
	]; // east, south, west, north
	// The pixels ahead of a corner, to the left and to the right of each direction.
	const aheadLeft = [
		[0, -1],
		[0, 0],
		[-1, 0],
		[-1, -1],
	];
	const aheadRight = [
		[0, 0],
		[-1, 0],
		[-1, -1],
		[0, -1],
	];
	for (let y = 0; y < height; y++)
		for (let x = 0; x < width; x++) {
			const i = y * width + x;
			if (!data[i] || done[i] || (y > 0 && data[i - width])) continue;
			const ring: Ring = [];
			let cx = x,
				cy = y,
				d = 0;
			do {
				if (d === 0) done[cy * width + cx] = 1;
				cx += step[d][0];
				cy += step[d][1];
				let turn = 0;
				if (inside(cx + aheadLeft[d][0], cy + aheadLeft[d][1])) turn = 3;
				else if (!inside(cx + aheadRight[d][0], cy + aheadRight[d][1])) turn = 1;
				if (turn) ring.push(cx + left, cy + top);
				d = (d + turn) & 3;
			} while (cx !== x || cy !== y || d !== 0);
			rings.push(ring);
		}
	return rings;
}

// simplify leaves out points of a ring that lie closer than tolerance to the line between those that stay. A ring that
// would have fewer than three points is null.
export function simplify(ring: ArrayLike<number>, tolerance: number): Ring | null {
	const n = ring.length >> 1;
	if (n < 3) return null;
	// The first cut is between the first point and the one farthest from it.
	let far = 0,
		most = -1;
	for (let i = 1; i < n; i++) {
		const d = Math.hypot(ring[2 * i] - ring[0], ring[2 * i + 1] - ring[1]);
		if (d > most) {
			most = d;
			far = i;
		}
	}
	const keep = new Uint8Array(n);
	keep[0] = keep[far] = 1;
	const stack: [number, number][] = [
		[0, far],
		[far, n],
	];
	while (stack.length > 0) {
		const [a, b] = stack.pop()!;
		const ax = ring[2 * a],
			ay = ring[2 * a + 1],
			bx = ring[2 * (b % n)],
			by = ring[2 * (b % n) + 1];
		const length = Math.hypot(bx - ax, by - ay);
		let at = -1,
			worst = tolerance;
		for (let i = a + 1; i < b; i++) {
			const x = ring[2 * i] - ax,
				y = ring[2 * i + 1] - ay;
			const d = length === 0 ? Math.hypot(x, y) : Math.abs((bx - ax) * y - (by - ay) * x) / length;
			if (d > worst) {
				worst = d;
				at = i;
			}
		}
		if (at < 0) continue;
		keep[at] = 1;
		stack.push([a, at], [at, b]);
	}
	const out: Ring = [];
	for (let i = 0; i < n; i++) if (keep[i]) out.push(ring[2 * i], ring[2 * i + 1]);
	return out.length >= 6 ? out : null;
}

export function ringArea(ring: ArrayLike<number>): number {
	let twice = 0;
	for (let i = 0, j = ring.length - 2; i < ring.length; j = i, i += 2) twice += ring[j] * ring[i + 1] - ring[i] * ring[j + 1];
	return Math.abs(twice) / 2;
}
