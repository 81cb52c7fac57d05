import { expect, test } from 'vitest';
import { highest, short, sumOf, ticks } from './series';

test('ticks are few, round and within the range', () => {
	for (const max of [1, 2, 3, 7, 10, 48, 99, 1234, 5e6]) {
		const list = ticks(max);
		expect(list[0]).toBe(0);
		expect(list.length).toBeGreaterThan(1);
		expect(list.length).toBeLessThan(7);
		expect(list.at(-1)).toBeLessThanOrEqual(max);
		for (const v of list) expect(Number.isInteger(v)).toBe(true);
	}
	expect(ticks(0)).toEqual([0]);
});

test('ends of bins are told apart', () => {
	expect(short(0.05, 0.05)).toBe('0.05');
	expect(short(0.1234567, 0.001)).toBe('0.1235');
	expect(short(640, 32)).toBe('640');
	expect(short(641.6, 32)).toBe('641.6');
});

test('the highest bar is never nothing', () => {
	expect(highest([])).toBe(1);
	expect(highest([{ label: 'a', parts: [2, 3] }])).toBe(5);
	expect(sumOf({ label: 'a', parts: [] })).toBe(0);
});
