// Changes of a mask's shape. Masks are crops; size is that of the image, which nothing leaves. null is the empty mask.
import type { Bitmap } from './rle';

export interface Extent {
	width: number;
	height: number;
}

// crop cuts a mask to the smallest rectangle that holds it.
export function crop(b: Bitmap): Bitmap | null {
	let x0 = b.width,
		x1 = -1,
		y0 = -1,
		y1 = -1;
	for (let y = 0; y < b.height; y++) {
		const row = b.data.subarray(y * b.width, (y + 1) * b.width);
		const first = row.indexOf(255);
		if (first < 0) continue;
		x0 = Math.min(x0, first);
		x1 = Math.max(x1, row.lastIndexOf(255));
		if (y0 < 0) y0 = y;
		y1 = y;
	}
	if (x1 < 0) return null;
	return part(b, b.x + x0, b.y + y0, x1 - x0 + 1, y1 - y0 + 1);
}

// part is what a mask has in a rectangle of the image.
export function part(b: Bitmap, x: number, y: number, width: number, height: number): Bitmap {
	const data = new Uint8Array(width * height);
	const from = Math.max(x, b.x),
		to = Math.min(x + width, b.x + b.width);
	if (from < to)
		for (let row = Math.max(y, b.y); row < Math.min(y + height, b.y + b.height); row++) {
			const o = (row - b.y) * b.width;
			data.set(b.data.subarray(o + from - b.x, o + to - b.x), (row - y) * width + from - x);
		}
	return { x, y, width, height, data };
}

// padded is a mask with room on all sides, as far as the image goes.
function padded(b: Bitmap, by: number, size: Extent): Bitmap {
	const x = Math.max(0, b.x - by),
		y = Math.max(0, b.y - by);
	return part(b, x, y, Math.min(size.width, b.x + b.width + by) - x, Math.min(size.height, b.y + b.height + by) - y);
}

// distances gives the squared distance of each pixel to the nearest one of a value; far beyond reach where none is.
function distances({ width, height, data }: Bitmap, set: boolean): Float32Array {
	const far = 1e12;
	const out = new Float32Array(width * height);
	// Columns first: distances to the nearest pixel above and below.
	for (let x = 0; x < width; x++) {
		let d = far;
		for (let y = 0, i = x; y < height; y++, i += width) out[i] = d = (data[i] !== 0) === set ? 0 : Math.min(far, d + 1);
		for (let y = height - 1, i = y * width + x; y >= 0; y--, i -= width)
			out[i] = Math.min(out[i], y === height - 1 ? far : out[i + width] + 1);
	}
	// Then rows: the lower envelope of parabolas.
	const row = new Float64Array(width),
		at = new Int32Array(width),
		from = new Float64Array(width + 1);
	for (let y = 0; y < height; y++) {
		const o = y * width;
		for (let x = 0; x < width; x++) row[x] = Math.min(far, out[o + x]) ** 2;
		let k = 0;
		at[0] = 0;
		from[0] = -Infinity;
		from[1] = Infinity;
		for (let x = 1; x < width; x++) {
			let s: number;
			do {
				const v = at[k];
				s = (row[x] + x * x - (row[v] + v * v)) / (2 * (x - v));
			} while (s <= from[k] && --k >= 0);
			k++;
			at[k] = x;
			from[k] = s;
			from[k + 1] = Infinity;
		}
		for (let x = 0, e = 0; x < width; x++) {
			while (from[e + 1] < x) e++;
			out[o + x] = (x - at[e]) ** 2 + row[at[e]];
		}
	}
	return out;
}

// grow adds all pixels that are at most radius away.
export function grow(b: Bitmap, radius: number, size: Extent): Bitmap {
	const wide = padded(b, Math.ceil(radius), size);
	const d = distances(wide, true);
	const most = radius * radius;
	return crop({ ...wide, data: wide.data.map((_, i) => (d[i] <= most ? 255 : 0)) })!;
}

// shrink takes away all pixels that are at most radius away from one outside. What lies beyond the image counts as
// inside, so that an object that the image cuts keeps its edge there.
export function shrink(b: Bitmap, radius: number, size: Extent): Bitmap | null {
	const wide = padded(b, 1, size);
	const d = distances(wide, false);
	const most = radius * radius;
	return crop({ ...wide, data: wide.data.map((v, i) => (v && d[i] > most ? 255 : 0)) });
}

// smooth rounds off corners, and closes and cuts off what is thinner than twice the radius.
export function smooth(b: Bitmap, radius: number, size: Extent): Bitmap | null {
	const closed = shrink(grow(b, radius, size), radius, size);
	const opened = closed && shrink(closed, radius, size);
	return opened && grow(opened, radius, size);
}

// labels numbers the connected pixels of a value from 1 on: 8-connected ones that are set, 4-connected ones that are
// not, so that a hole does not leak through a corner.
function labels({ width, height, data }: Bitmap, set: boolean): { of: Int32Array; areas: number[] } {
	const of = new Int32Array(width * height);
	const areas = [0];
	const stack: number[] = [];
	for (let start = 0; start < of.length; start++) {
		if (of[start] || (data[start] !== 0) !== set) continue;
		const label = areas.length;
		let area = 0;
		of[start] = label;
		stack.push(start);
		while (stack.length > 0) {
			const i = stack.pop()!;
			area++;
			const x = i % width,
				y = (i - x) / width;
			for (let dy = -1; dy <= 1; dy++)
				for (let dx = -1; dx <= 1; dx++) {
					if ((!set && dx && dy) || x + dx < 0 || x + dx >= width || y + dy < 0 || y + dy >= height) continue;
					const j = i + dy * width + dx;
					if (of[j] || (data[j] !== 0) !== set) continue;
					of[j] = label;
					stack.push(j);
				}
		}
		areas.push(area);
	}
	return { of, areas };
}

// split gives the parts of a mask that do not touch, the largest first.
export function split(b: Bitmap): Bitmap[] {
	const { of, areas } = labels(b, true);
	return areas
		.map((area, label) => ({ area, label }))
		.slice(1)
		.sort((p, q) => q.area - p.area)
		.map(({ label }) => crop({ ...b, data: b.data.map((_, i) => (of[i] === label ? 255 : 0)) })!);
}

// despeckle takes away parts of fewer pixels than least.
export function despeckle(b: Bitmap, least: number): Bitmap | null {
	const { of, areas } = labels(b, true);
	return crop({ ...b, data: b.data.map((v, i) => (v && areas[of[i]] >= least ? 255 : 0)) });
}

// fillHoles fills what is enclosed. What reaches the edge of the image is not.
export function fillHoles(b: Bitmap): Bitmap {
	const { of, areas } = labels(b, false);
	const open = new Uint8Array(areas.length);
	const { width, height } = b;
	for (let x = 0; x < width; x++) open[of[x]] = open[of[(height - 1) * width + x]] = 1;
	for (let y = 0; y < height; y++) open[of[y * width]] = open[of[y * width + width - 1]] = 1;
	return { ...b, data: b.data.map((v, i) => (v || !open[of[i]] ? 255 : 0)) };
}

// moved shifts a mask; what leaves the image is cut off.
export function moved(b: Bitmap, dx: number, dy: number, size: Extent): Bitmap | null {
	const to = { ...b, x: b.x + dx, y: b.y + dy };
	const x = Math.max(0, to.x),
		y = Math.max(0, to.y);
	const width = Math.min(size.width, to.x + b.width) - x,
		height = Math.min(size.height, to.y + b.height) - y;
	return width > 0 && height > 0 ? crop(part(to, x, y, width, height)) : null;
}
