import { expect, test } from 'vitest';
import { fromBitmap, toBitmap } from '../masks/rle';
import { areaOf, drawRings, rleOf, runsOf } from '../masks/runs';
import { fitted } from './fit';
import { maskData, ringsOf } from './masks';
import { session, told } from './fake';
import type { Data, Row } from './types';

const from = { width: 100, height: 50 };
const box = (coords: number[], more: Data = {}): Row => ({
	id: 'b',
	table_info: { name: 'bboxes', group: 'annotations', base_schema: 'BBox' },
	data: { coords, format: 'xywh', is_normalized: true, ...more },
});
const pose = (coords: number[]): Row => ({
	id: 'p',
	table_info: { name: 'points', group: 'annotations', base_schema: 'KeyPoints' },
	data: { coords, states: coords.slice(0, coords.length / 2).map(() => 'visible') },
});
const maskRow = (data: Data): Row => ({ id: 'm', table_info: { name: 'masks', group: 'annotations', base_schema: 'CompressedRLE' }, data });
const mask = (x: number, y: number, width: number, height: number): Row =>
	maskRow(maskData(fromBitmap({ x, y, width, height, data: new Uint8Array(width * height).fill(255) }, [50, 100]), {}, null));
const crop = (data: Data) => {
	const b = toBitmap({ size: data.size as [number, number], counts: data.counts as string })!;
	return [b.x, b.y, b.width, b.height];
};
const fit = (to: { width: number; height: number }, ...rows: Row[]) => {
	const found = fitted(
		rows.map((row) => ({ row, size: from })),
		to,
	);
	return rows.map((r) => found.get(r));
};

test('a view of the same size changes nothing', () => {
	expect(fit(from, box([0.1, 0.1, 0.2, 0.2]), mask(1, 1, 5, 5))).toEqual([undefined, undefined]);
});

test('in the same picture larger or smaller shapes grow and shrink with it, at the same place', () => {
	const to = { width: 200, height: 100 };
	const [b, p, m] = fit(to, box([0.1, 0.2, 0.5, 0.5]), pose([0.5, 0.5, 0.25, 1]), mask(10, 10, 50, 25));
	expect(b).toEqual({ coords: [0.1, 0.2, 0.5, 0.5] });
	expect(p).toEqual({ coords: [0.5, 0.5, 0.25, 1], states: ['visible', 'visible'] });
	expect(crop(m!)).toEqual([20, 20, 100, 50]);
	expect(m!.size).toEqual([100, 200]);
	const [pixels] = fit(to, box([10, 10, 60, 35], { is_normalized: false, format: 'xyxy' }));
	expect(pixels).toEqual({ coords: [20, 20, 120, 70] });
	expect(crop(fit({ width: 50, height: 25 }, mask(10, 10, 50, 25))[0]!)).toEqual([5, 5, 25, 12]);
});

test('a polygon stays one, with its hole', () => {
	const rings = [
		[10, 10, 40, 10, 40, 40, 10, 40],
		[20, 20, 30, 20, 30, 30, 20, 30],
	];
	const size: [number, number] = [50, 100];
	const [m] = fit({ width: 200, height: 100 }, maskRow(maskData(rleOf(drawRings(rings, ...size), size), {}, rings)));
	expect(ringsOf(maskRow(m!))).toEqual(rings.map((r) => r.map((v) => v * 2)));
	expect(areaOf(runsOf({ size: [100, 200], counts: m!.counts as string }))).toBe(60 * 60 - 20 * 20);
});

test('in another picture they keep their pixels, move inside together, and are cut off where they do not fit', () => {
	const to = { width: 40, height: 60 };
	// From 30 to 60: 20 pixels too far to the right, both.
	const [b, m] = fit(to, box([0.3, 0.2, 0.2, 0.2]), mask(40, 10, 20, 10));
	expect((b!.coords as number[])[0] * 40).toBeCloseTo(10, 4);
	expect((b!.coords as number[])[2] * 40).toBeCloseTo(20, 4);
	expect(crop(m!)).toEqual([20, 10, 20, 10]);
	// 60 wide: from the left edge on, and what is beyond the right one is gone.
	const [wide, lost, points] = fit(to, box([0.3, 0.2, 0.3, 0.2]), mask(85, 10, 5, 5), pose([0.3, 0.2, 0.9, 0.4]));
	expect((wide!.coords as number[]).map((v, i) => Math.round(v * (i & 1 ? 60 : 40)))).toEqual([0, 10, 30, 10]);
	expect(lost).toBeNull();
	expect(points!.states).toEqual(['visible', 'invisible']);
	expect(points!.coords as number[]).toEqual([0, expect.closeTo(10 / 60, 5), 1, expect.closeTo(20 / 60, 5)]);
});

test('pasted: one step, what would be outside is left out with its object, undo is the start', () => {
	const s = session(); // views of 200 × 100
	const a = told(s, 'a', 'v1', 'truth', { category: 'car' });
	const far = told(s, 'b', 'v1', 'truth', { category: 'bus' });
	s.tables.load([{ ...far, data: { ...far.data, coords: [0.9, 0.1, 0.05, 0.1] } }]);
	s.tables.load([s.row('image', { url: 'w', width: 60, height: 90, item_ref: { name: 'item', id: 'i' } }, 'w')]);
	const size = { width: 200, height: 100 };
	const rows = [a, s.byKey('bboxes\nb')!].map((row) => ({ row, entity: s.entityOf(row), size }));
	const count = () => s.tables.table('bboxes').size + s.tables.table('objects').size;
	const before = count();
	const { command, keys, fitted: n, left } = s.copies(rows, s.tables.get('image', 'w'), 0);
	expect([n, left, keys.length]).toEqual([1, 1, 1]);
	s.run(command);
	expect(count()).toBe(before + 2);
	const made = s.byKey(keys[0])!.data.coords as number[];
	expect(made.map((v, i) => Math.round(v * (i & 1 ? 90 : 60)))).toEqual([0, 10, 40, 20]);
	s.undo();
	expect(count()).toBe(before);
});
