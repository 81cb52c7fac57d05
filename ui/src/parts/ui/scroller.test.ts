import { expect, test } from 'vitest';
import { lastTop, reveal, scaled, scrollTopOf, shown, spacer, spacerMax, topOf, type Scroller } from './scroller';

test('ten million rows: every row is reached, the thumb and the rows agree', () => {
	for (const rows of [0, 1, 7, 1000, 111_111, 1_000_000, 10_000_000]) {
		for (const rowHeight of [36, 72, 181]) {
			const s: Scroller = { rows, rowHeight, viewport: 843 };
			expect(spacer(s)).toBeLessThanOrEqual(spacerMax);
			expect(topOf(s, 0)).toBe(0);
			expect(topOf(s, spacer(s))).toBeCloseTo(lastTop(s), 6);
			expect(shown(s, lastTop(s))[1]).toBe(rows);
			for (let k = 0; k <= 50; k++) {
				const row = Math.floor(((rows - 1) * k) / 50);
				if (rows === 0) continue;
				const top = reveal(s, Math.random() * lastTop(s), row);
				expect(top).toBeGreaterThanOrEqual(0);
				expect(row).toBeGreaterThanOrEqual(top - 1e-6);
				expect(row + 1).toBeLessThanOrEqual(Math.max(top + s.viewport / rowHeight + 1e-6, 1));
				expect(topOf(s, scrollTopOf(s, top))).toBeCloseTo(top, 3);
				const [first, end] = shown(s, top);
				expect(first <= row && row < end).toBe(true);
			}
			expect(scaled(s)).toBe(rows * rowHeight > spacerMax);
		}
	}
});

test('a step of the wheel moves by real rows in a scaled list', () => {
	const s: Scroller = { rows: 10_000_000, rowHeight: 36, viewport: 720 };
	const top = 5_000_000 + 120 / s.rowHeight;
	expect(topOf(s, scrollTopOf(s, top))).toBeCloseTo(top, 3);
});
