// Masks as runs: lengths of pixels that are out, in, out … in column-major order, as COCO has them. Set operations and
// polygons are exact on them, without a bitmap of the whole image.
import { decodeCounts, encodeCounts, type RLE } from './rle';

export type Runs = ArrayLike<number>;

export const runsOf = (m: RLE): Uint32Array => decodeCounts(m.counts, m.size[0] * m.size[1]);
export const rleOf = (runs: Runs, size: [number, number]): RLE => ({ size, counts: size[0] * size[1] === 0 ? '' : encodeCounts(runs) });

const operations = {
	union: (a: number, b: number) => a | b,
	intersect: (a: number, b: number) => a & b,
	subtract: (a: number, b: number) => a & (b ^ 1),
	differ: (a: number, b: number) => a ^ b,
};
export type Operation = keyof typeof operations;

// combine joins two masks of one size.
export function combine(a: Runs, b: Runs, operation: Operation): number[] {
	const op = operations[operation];
	const out: number[] = [];
	let i = 0,
		j = 0,
		left = a[0] ?? 0,
		right = b[0] ?? 0,
		value = 0,
		run = 0;
	for (;;) {
		while (left === 0 && ++i < a.length) left = a[i];
		while (right === 0 && ++j < b.length) right = b[j];
		if (i >= a.length || j >= b.length) break;
		const n = Math.min(left, right);
		const v = op(i & 1, j & 1);
		if (v !== value) {
			out.push(run);
			run = 0;
			value = v;
		}
		run += n;
		left -= n;
		right -= n;
	}
	out.push(run);
	return out;
}

export function areaOf(runs: Runs): number {
	let n = 0;
	for (let i = 1; i < runs.length; i += 2) n += runs[i];
	return n;
}

export function sameRuns(a: Runs, b: Runs): boolean {
	if (a.length !== b.length) return false;
	for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
	return true;
}

// drawRing fills a ring (x, y, x, y …) exactly as COCO does: edges are followed on a grid five times finer than pixels.
export function drawRing(xy: ArrayLike<number>, height: number, width: number): number[] {
	const n = xy.length >> 1;
	const px: number[] = [],
		py: number[] = [];
	for (let k = 0; k <= n; k++) {
		px.push(Math.trunc(5 * xy[2 * (k % n)] + 0.5));
		py.push(Math.trunc(5 * xy[2 * (k % n) + 1] + 0.5));
	}
	const at: number[] = [];
	let lastU = 0,
		lastV = 0,
		first = true;
	const visit = (u: number, v: number) => {
		if (!first && u !== lastU) {
			const x = ((u < lastU ? u : u - 1) + 0.5) / 5 - 0.5;
			if (Number.isInteger(x) && x >= 0 && x < width)
				at.push(x * height + Math.ceil(Math.min(height, Math.max(0, (Math.min(v, lastV) + 0.5) / 5 - 0.5))));
		}
		lastU = u;
		lastV = v;
		first = false;
	};
	for (let k = 0; k < n; k++) {
		let xs = px[k],
			xe = px[k + 1],
			ys = py[k],
			ye = py[k + 1];
		const dx = Math.abs(xe - xs),
			dy = Math.abs(ye - ys);
		const flip = (dx >= dy && xs > xe) || (dx < dy && ys > ye);
		if (flip) [xs, xe, ys, ye] = [xe, xs, ye, ys];
		if (dx >= dy) {
			const s = dx === 0 ? 0 : (ye - ys) / dx;
			for (let d = 0; d <= dx; d++) {
				const t = flip ? dx - d : d;
				visit(xs + t, Math.trunc(ys + s * t + 0.5));
			}
		} else {
			const s = (xe - xs) / dy;
			for (let d = 0; d <= dy; d++) {
				const t = flip ? dy - d : d;
				visit(Math.trunc(xs + s * t + 0.5), ys + t);
			}
		}
	}
	at.push(height * width);
	at.sort((a, b) => a - b);
	const runs: number[] = [];
	let before = 0;
	for (let k = 0; k < at.length; k++) {
		const d = at[k] - before;
		before = at[k];
		// Two crossings at one place cancel out.
		if (d === 0 && k > 0) {
			if (++k < at.length) {
				runs[runs.length - 1] += at[k] - before;
				before = at[k];
			}
		} else runs.push(d);
	}
	return runs;
}

// drawRings fills what an odd number of rings encloses: an outline, less its holes.
export function drawRings(rings: readonly ArrayLike<number>[], height: number, width: number): number[] {
	return rings.reduce<number[]>(
		(sum, ring, i) => {
			const runs = drawRing(ring, height, width);
			return i === 0 ? runs : combine(sum, runs, 'differ');
		},
		[height * width],
	);
}
