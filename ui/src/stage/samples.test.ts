import { describe, expect, test } from 'vitest';
import { paint } from './c2d/paint';
import { between, histogramOf, outline, suggest } from './histogram';
import { alike, bitsOf, channels, equalize, kept, levels, plain, sameLook, spread, wide, type Adjust, type Windows } from './adjust';
import type { Picture } from './gl/image';
import { parse, Samples } from './samples';

function sent(width: number, height: number, channels: number, values: number[], full = [width, height]): ArrayBuffer {
	const buffer = new ArrayBuffer(24 + 2 * values.length);
	const head = new DataView(buffer);
	head.setUint32(0, 0x70783136);
	[channels, width, height, ...full].forEach((n, i) => head.setUint32(4 + 4 * i, n, true));
	values.forEach((v, i) => head.setUint16(24 + 2 * i, v, true));
	return buffer;
}

describe('samples of 16 bits', () => {
	test('are read with what they count and their smaller levels', () => {
		const { levels: l, counts, full } = parse(sent(3, 2, 1, [0, 10, 65535, 20, 30, 65535]));
		expect(full).toEqual({ width: 3, height: 2 });
		expect(l.map((x) => [x.width, x.height, ...x.values])).toEqual([
			[3, 2, 0, 10, 65535, 20, 30, 65535],
			[1, 1, 15],
		]);
		expect([counts[0][0], counts[0][65535], counts[0][11]]).toEqual([1, 2, 0]);
		const line = parse(sent(1, 4, 3, [0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14]));
		expect(line.levels.map((x) => [x.width, x.height, ...x.values]).slice(1)).toEqual([
			[1, 2, 2, 3, 4, 10, 11, 12],
			[1, 1, 6, 7, 8],
		]);
	});
	test('of a wrong length, kind or number of channels are refused', () => {
		expect(() => parse(new ArrayBuffer(4))).toThrow('no samples');
		expect(() => parse(new ArrayBuffer(100))).toThrow('no samples');
		expect(() => parse(sent(3, 2, 1, [1, 2]))).toThrow('3 × 2 × 1: 4 bytes');
		expect(() => parse(sent(1, 1, 2, [1, 2]))).toThrow('1 × 1 × 2');
	});
	test('have values at the places of an image that may be larger', () => {
		const s = new Samples(parse(sent(2, 1, 3, [1, 2, 3, 4, 5, 6], [5, 3])));
		expect([s.at(0, 0), s.at(4, 2), s.at(4.9, 2.9)]).toEqual([
			[1, 2, 3],
			[4, 5, 6],
			[4, 5, 6],
		]);
		expect([s.width, s.height]).toEqual([5, 3]);
	});
	test('suggest a window without the rarest of them', () => {
		const values = Array.from({ length: 2000 }, (_, i) => (i === 0 ? 0 : i === 1999 ? 65535 : 1000 + (i % 100)));
		const s = new Samples(parse(sent(2000, 1, 1, values)));
		expect(s.suggested[0].map((v) => Math.round(v * 65535))).toEqual([1000, 1099]);
		const h = histogramOf(s as unknown as Picture);
		expect([h.first, h.last, h.max, h.counts.length]).toEqual([0, 65535, 65535, 1]);
		expect(suggest(h).map((v) => Math.round(v * 65535))).toEqual([1000, 1099]);
		expect(outline(h.counts[0], 1000, 1099, 4)).toMatch(/^M0 100V0\.0H1V0\.0H2V0\.0H3V/);
	});
});

describe('the look', () => {
	// The same said once more, for one pixel and without tables.
	function slow(rgb: number[], max: number, a: Adjust, windows: Windows, even: ArrayLike<number> | null): number[] {
		const clamp = (x: number) => Math.min(1, Math.max(0, x));
		const table = a.equalize && even ? (v: number) => even[v] / max : (v: number) => v / max;
		let c = rgb.map((v, k) => {
			const [low, high] = windows[k].map((x) => table(Math.round(x * max)));
			return clamp((table(v) - low) / Math.max(1e-6, high - low));
		});
		if (a.channel === 'grey') c = Array<number>(3).fill(0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2]);
		else if (a.channel.length === 1) c = Array<number>(3).fill(c['rgb'.indexOf(a.channel)]);
		const shown = c.map((x) => clamp((x ** (2 ** (-a.gamma * 1.6)) - 0.5) * 2 ** (a.contrast * 2) + 0.5 + a.brightness));
		return shown.map((x, k) => (a.channel.length === 2 && !a.channel.includes('rgb'[k]) ? 0 : 255 * (a.invert ? 1 - x : x)));
	}
	test('of pixels is the same by tables and by hand, of 8 and of 16 bits', () => {
		const windows: Windows = [
			[51 / 255, 204 / 255],
			[0, 1],
			[102 / 255, 153 / 255],
		];
		for (const channel of channels)
			for (const more of [{}, { gamma: 0.4, contrast: 0.2, brightness: -0.1 }, { invert: true }, { equalize: true }]) {
				const a: Adjust = { ...plain, windows, channel, ...more };
				for (const max of [255, 65535]) {
					const pixel = [120, 33, 140].map((v) => Math.round((v * max) / 255));
					const values = max === 255 ? new Uint8ClampedArray(pixel) : new Uint16Array(pixel);
					const counts = new Uint32Array(max + 1);
					for (let v = 0; v < max; v += 7) counts[v] = 1 + (v % 11);
					const even = spread(counts, max === 255 ? new Uint8Array(256) : new Uint16Array(65536));
					const out = new Uint8ClampedArray(4);
					paint(out, values, 3, a, windows, even);
					slow(pixel, max, a, windows, even).forEach((want, k) => expect(Math.abs(out[k] - want)).toBeLessThan(1));
					expect(out[3]).toBe(255);
				}
			}
	});
	test('of greys has three channels, and transparency stays', () => {
		const out = new Uint8ClampedArray(8);
		paint(out, new Uint16Array([0, 65535]), 1, plain, wide, null);
		expect([...out]).toEqual([0, 0, 0, 255, 255, 255, 255, 255]);
		const rgba = new Uint8ClampedArray([10, 20, 30, 40]);
		paint(rgba, rgba, 4, { ...plain, invert: true }, wide, null);
		expect([...rgba]).toEqual([245, 235, 225, 40]);
	});
	test('is the plain one again when it was stored, also as before', () => {
		expect(kept(undefined)).toEqual(plain);
		expect(sameLook(kept(JSON.parse(JSON.stringify(plain)) as object), plain)).toBe(true);
		expect(kept({ gamma: 0.5, low: 0.2, high: 0.8 })).toEqual({ ...plain, gamma: 0.5, windows: alike([0.2, 0.8]) });
		expect(kept({ low: 0, high: 1 })).toEqual(plain);
	});
	test('equalised spreads values, and its windows with them', () => {
		expect([...spread([0, 1, 1, 0, 2], new Uint8Array(5))]).toEqual([0, 0, 1, 1, 4]);
		expect([...equalize(new Uint8ClampedArray([9, 9, 9, 255, 200, 200, 200, 255]))].slice(198, 202)).toEqual([0, 0, 255, 255]);
		expect(levels(alike([0.25, 0.75]), [0, 0, 1, 1, 4]).scale[0]).toBeCloseTo(4);
	});
	test('has windows that are never empty', () => {
		expect(between([[0, 0, 5, 0]], 0)).toEqual([0, 2 / 3]);
		expect(between([[5, 0, 0, 0]], 0)).toEqual([0, 1 / 3]);
		expect(bitsOf('rb')).toBe(5);
	});
});
