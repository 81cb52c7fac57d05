import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { area, decodeCounts, encodeCounts, fromBitmap, hit, toBitmap, type RLE } from './rle';

const vectors: { size: [number, number]; runs: number[]; counts: string; area: number }[] = [
	{
		size: [30, 40],
		runs: [305, 7, 23, 7, 23, 7, 23, 7, 23, 7, 23, 7, 23, 7, 23, 7, 23, 7, 23, 7, 618],
		counts: 'a97g000000000000000000cb0',
		area: 70,
	},
	{ size: [3, 2], runs: [0, 6], counts: '06', area: 6 },
	{ size: [3, 2], runs: [6], counts: '6', area: 0 },
	{ size: [3, 2], runs: [0, 2, 3, 1], counts: '023O', area: 3 },
];

test('COCO vectors', () => {
	for (const v of vectors) {
		expect([...decodeCounts(v.counts, v.size[0] * v.size[1])]).toEqual(v.runs);
		expect(encodeCounts(v.runs)).toBe(v.counts);
		expect(area(v)).toBe(v.area);
		expect(fromBitmap(toBitmap(v), v.size)).toEqual({ size: v.size, counts: v.counts });
	}
	const crop = toBitmap(vectors[0])!;
	expect([crop.x, crop.y, crop.width, crop.height]).toEqual([10, 5, 10, 7]);
	expect(hit(crop, 10, 5) && hit(crop, 19.9, 11.9)).toBe(true);
	expect(hit(crop, 9.9, 5) || hit(crop, 20, 5) || hit(crop, 10, 12)).toBe(false);
});

test('masks that Python wrote', () => {
	const file = new URL('../../../testdata/golden/image_detection/expected.json', import.meta.url);
	const rows = JSON.parse(readFileSync(file, 'utf8')).tables.masks.rows as { size: [number, number]; counts: string }[];
	let seen = 0;
	for (const row of rows) {
		const rle: RLE = { size: row.size, counts: Buffer.from(row.counts, 'base64').toString() };
		if (rle.size[0] * rle.size[1] === 0) continue;
		expect(fromBitmap(toBitmap(rle), rle.size)).toEqual(rle);
		seen++;
	}
	expect(seen).toBeGreaterThan(10);
});

test('random masks survive', () => {
	let seed = 7;
	const random = () => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) / 0x7fffffff;
	for (let n = 0; n < 200; n++) {
		const h = 1 + Math.floor(random() * 90),
			w = 1 + Math.floor(random() * 90);
		const data = new Uint8Array(h * w);
		const p = random();
		for (let i = 0; i < data.length; i++) data[i] = random() < p * p ? 255 : 0;
		const rle = fromBitmap({ x: 0, y: 0, width: w, height: h, data }, [h, w]);
		const crop = toBitmap(rle);
		expect(fromBitmap(crop, [h, w])).toEqual(rle);
		let sum = 0;
		for (const v of data) sum += v ? 1 : 0;
		expect(area(rle)).toBe(sum);
	}
});

test('broken counts are errors', () => {
	for (const [text, total] of [
		['a', 6],
		['07', 6],
		['5', 6],
		['\u0020', 6],
		['oooooooooooo0', 6],
	] as const)
		expect(() => decodeCounts(text, total)).toThrow(/mask/);
});
