// COCO run-length masks: pixels in column-major order, runs alternating 0s and 1s and beginning with 0s.

export interface RLE {
	size: [height: number, width: number];
	counts: string;
}

export interface Bitmap {
	x: number; // where the crop lies in the whole mask
	y: number;
	width: number;
	height: number;
	data: Uint8Array; // row-major, 0 or 255
}

// decodeCounts turns the compressed text into runs. total is height × width; runs that do not add up to it are an error.
export function decodeCounts(text: string, total: number): Uint32Array {
	const runs: number[] = [];
	let sum = 0;
	for (let i = 0; i < text.length;) {
		let x = 0;
		let shift = 0;
		for (;;) {
			if (i >= text.length) throw new RangeError('mask: the counts end inside a number');
			const c = text.charCodeAt(i++) - 48;
			if (c < 0 || c > 63) throw new RangeError(`mask: character ${JSON.stringify(text[i - 1])} at ${i - 1} in counts`);
			x += (c & 31) * 2 ** shift;
			shift += 5;
			if (c & 32) {
				if (shift > 45) throw new RangeError('mask: a number in counts is too long');
				continue;
			}
			if (c & 16) x -= 2 ** shift;
			break;
		}
		if (runs.length > 2) x += runs[runs.length - 2];
		if (x < 0 || (sum += x) > total) throw new RangeError(`mask: runs do not fit ${total} pixels`);
		runs.push(x);
	}
	if (sum !== total) throw new RangeError(`mask: runs cover ${sum} of ${total} pixels`);
	return Uint32Array.from(runs);
}

export function encodeCounts(runs: ArrayLike<number>): string {
	let out = '';
	for (let i = 0; i < runs.length; i++) {
		let x = i > 2 ? runs[i] - runs[i - 2] : runs[i];
		for (;;) {
			const c = ((x % 32) + 32) % 32;
			x = Math.floor(x / 32);
			const more = c & 16 ? x !== -1 : x !== 0;
			out += String.fromCharCode(48 + (more ? c | 32 : c));
			if (!more) break;
		}
	}
	return out;
}

// toBitmap decodes a mask to the smallest rectangle that holds it; an empty mask gives null.
export function toBitmap({ size: [h, w], counts }: RLE): Bitmap | null {
	const runs = decodeCounts(counts, h * w);
	let x0 = w,
		x1 = -1,
		y0 = h,
		y1 = -1;
	for (let i = 0, at = 0; i < runs.length; at += runs[i++]) {
		if (!(i & 1) || runs[i] === 0) continue;
		const last = at + runs[i] - 1;
		const ca = Math.floor(at / h),
			cb = Math.floor(last / h);
		if (ca < x0) x0 = ca;
		if (cb > x1) x1 = cb;
		if (ca !== cb) {
			y0 = 0;
			y1 = h - 1;
		} else {
			y0 = Math.min(y0, at % h);
			y1 = Math.max(y1, last % h);
		}
	}
	if (x1 < 0) return null;
	const width = x1 - x0 + 1,
		height = y1 - y0 + 1;
	const data = new Uint8Array(width * height);
	for (let i = 0, at = 0; i < runs.length; at += runs[i++]) {
		if (!(i & 1)) continue;
		let column = Math.floor(at / h),
			row = at % h;
		for (let left = runs[i]; left > 0;) {
			const n = Math.min(left, h - row);
			for (let y = row - y0, o = y * width + column - x0, end = o + n * width; o < end; o += width) data[o] = 255;
			left -= n;
			row = 0;
			column++;
		}
	}
	return { x: x0, y: y0, width, height, data };
}

// fromBitmap encodes a crop as a mask of the given size.
export function fromBitmap(crop: Bitmap | null, [h, w]: [number, number]): RLE {
	const runs: number[] = [];
	let value = 0,
		run = 0;
	const put = (v: number, n: number) => {
		if (n === 0) return;
		if (v !== value) {
			runs.push(run);
			run = 0;
			value = v;
		}
		run += n;
	};
	if (!crop) put(0, w * h);
	else {
		const { data, width, height } = crop;
		put(0, crop.x * h);
		for (let x = 0; x < width; x++) {
			put(0, crop.y);
			for (let y = 0, o = x; y < height;) {
				const v = data[o];
				let n = 1;
				for (o += width; y + n < height && data[o] === v; o += width) n++;
				put(v ? 1 : 0, n);
				y += n;
			}
			put(0, h - crop.y - height);
		}
		put(0, (w - crop.x - width) * h);
	}
	runs.push(run);
	return { size: [h, w], counts: encodeCounts(h * w === 0 ? [] : runs) };
}

export function area(rle: RLE): number {
	const runs = decodeCounts(rle.counts, rle.size[0] * rle.size[1]);
	let n = 0;
	for (let i = 1; i < runs.length; i += 2) n += runs[i];
	return n;
}

// hit tells whether the pixel is in the crop.
export function hit(crop: Bitmap, x: number, y: number): boolean {
	const cx = Math.floor(x) - crop.x,
		cy = Math.floor(y) - crop.y;
	return cx >= 0 && cy >= 0 && cx < crop.width && cy < crop.height && crop.data[cy * crop.width + cx] > 0;
}
