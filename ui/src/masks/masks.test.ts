import { expect, test } from 'vitest';
import { random } from '../store/fake';
import { outlines, ringArea, simplify } from './contour';
import { crop, despeckle, fillHoles, grow, moved, shrink, smooth, split } from './morph';
import { Painting } from './painting';
import { fromBitmap, toBitmap, type Bitmap } from './rle';
import { areaOf, combine, drawRing, drawRings, rleOf, runsOf, sameRuns } from './runs';

const size = { width: 40, height: 30 };

// Rings and what COCO draws of them into 30 × 40 pixels.
const drawn: [number[], string][] = [
	[[18, 20, 17, 34, 15, 35, 13, 40, 10, 25, 40, 5, 30, 29], 'U:2k04L100O1O100ON2J71N2N2O0O2N2O1N1O2O1N2N01M2O1O2M2O1N3N1O1NN'],
	[
		[30.07, 23.94, 40, 20.78, 26.33, 29.909999999999997, 22.55, 10.04, 32.06, 15.690000000000001, 36.75, 20.33, 0.5800000000000001, 27.36],
		'`51m0000k10UN0000000O1000O100000O100C3IM87CI>92O_OL;3EL<4DL=3CL?3AL`03@Mb02^ONc01]ONe01[ONg01XO0k0On00\\O',
	],
	[
		[36, 9, 8, 0, 38, 32, 40, 0, 7, 36, 22, 12],
		'^81n01N1MNXO3e0O\\O1b0O_O2>OC2:OH16OK22N03NM43IN83EN<2DM>1DM=3DK=48O\\ON<2C0<0C2=MA6>IB9=50@C>>1LAG`07AHa065N2N1OK4B`0',
	],
	[[37.32, 22.1, 9.92, 25.2, 12.77, 21.01], 'T:1l01N20000000O1000000000001O000O100000000000000000P4'],
	[[0, 17, 14, 0, 37, 37, 40, 35, 37, 37, 28, 35, 30, 35], '`01l02N1O2M3N1O2N1O2M3N1O2N1O2O10O2O1N101O0O2O1N1O2N1O2N2N1O2N1O2Nd6'],
	[[24.38, 33.76, 40, 11.41, 38.69, 12.27, 25.19, 40], 'Wj01l01N2O00O001O001Ol00TO0d0'],
	[[40, 33, 34, 15, 2, 38], 'Q>1l0100O1O1O100O1O1O100O1O100O1O1O100O1O11O3M3M3M3M2'],
	[[12.42, 40, 24.2, 34.96, 0, 34.5, 0, 32.65, 3.13, 14.260000000000002], 'f16b06M33M3M2N3M3MUl0'],
	[
		[0, 40, 0, 30, 39, 39, 39, 11, 6, 17, 17, 10, 13, 31, 0, 2],
		'3k05N2N3M2N2N2N0CB:=GE7;HH67KK34NOO11=1BN01L43MH87GH<=00000O100000000O10000000000O100000000O10000c0',
	],
	[
		[
			0, 35.86, 0, 31.229999999999997, 38.3, 5.800000000000001, 27.91, 3.0999999999999996, 0, 16.33, 16.97, 7.8100000000000005, 27, 21.06,
			30, 15.23,
		],
		'i21m00O1O100O100O0010O000010O00010COL150I081GO84EL<5BK>;0KDG<9EG;9EH98GI96GI;7DH?65O100O2N100Of2',
	],
	[
		[17, 28, 19, 1, 37, 21, 33, 40, 35, 15, 37, 17, 14, 38, 2, 13],
		'Y21n01O1O1O1O1O1O2N00O1O1O1O1O1OJ6C=I72N1O1O1N2N2N2N2O1N3M2N2N2N2N2NVO8=JB6a0HA2n2',
	],
	[[13.530000000000001, 17.25, 25.82, 39.58, 30.36, 40, 32.36, 27.64, 33.84, 12.43], 'e=2l02M2O2N2N2N2M1000000O1000000O100000L3Gb5'],
];

test('rings are drawn as COCO draws them', () => {
	expect(rleOf(drawRing([1, 1, 4, 1, 4, 4, 1, 4], 6, 6), [6, 6]).counts).toBe('733000;');
	for (const [ring, counts] of drawn) expect(rleOf(drawRing(ring, 30, 40), [30, 40]).counts).toBe(counts);
	expect(areaOf(drawRing([-9, -9, 90, -9, 90, 90, -9, 90], 30, 40))).toBe(1200);
	const hole = [5, 5, 5, 10, 10, 10, 10, 5];
	expect(areaOf(drawRings([[0, 0, 20, 0, 20, 20, 0, 20], hole], 30, 40))).toBe(400 - 25);
});

const bitmap = (rows: string[], x = 0, y = 0): Bitmap => ({
	x,
	y,
	width: rows[0].length,
	height: rows.length,
	data: Uint8Array.from(rows.join(''), (c) => (c === '#' ? 255 : 0)),
});
const text = (b: Bitmap | null): string[] =>
	b
		? Array.from({ length: b.height }, (_, y) => [...b.data.subarray(y * b.width, (y + 1) * b.width)].map((v) => (v ? '#' : '.')).join(''))
		: [];
const noise = (rnd: () => number, part: number): Bitmap | null =>
	crop({ x: 0, y: 0, ...size, data: Uint8Array.from({ length: 1200 }, () => (rnd() < part ? 255 : 0)) });
const runs = (b: Bitmap | null) => runsOf(fromBitmap(b, [30, 40]));

test('set operations, pixel by pixel', () => {
	const rnd = random(3);
	for (let n = 0; n < 60; n++) {
		const a = runs(noise(rnd, rnd() * rnd())),
			b = runs(noise(rnd, rnd()));
		const flat = (r: ArrayLike<number>) => Array.from(r).flatMap((k, i) => Array<number>(k).fill(i & 1));
		const [pa, pb] = [flat(a), flat(b)];
		for (const [name, op] of [
			['union', (x: number, y: number) => x | y],
			['intersect', (x: number, y: number) => x & y],
			['subtract', (x: number, y: number) => x & (y ^ 1)],
			['differ', (x: number, y: number) => x ^ y],
		] as const) {
			const got = combine(a, b, name);
			expect(flat(got)).toEqual(pa.map((x, i) => op(x, pb[i])));
			expect(rleOf(got, [30, 40])).toEqual(fromBitmap(toBitmap(rleOf(got, [30, 40])), [30, 40]));
		}
	}
});

test('outlines draw the same mask again', () => {
	const rnd = random(11);
	for (let n = 0; n < 60; n++) {
		const b = noise(rnd, 0.1 + 0.8 * rnd());
		if (b) expect(sameRuns(drawRings(outlines(b), 30, 40), runs(b))).toBe(true);
	}
	expect(outlines(bitmap(['###', '#.#', '###'], 2, 3))).toEqual([
		[5, 3, 5, 6, 2, 6, 2, 3],
		[4, 5, 4, 4, 3, 4, 3, 5],
	]);
	expect(outlines(bitmap(['#.', '.#']))).toHaveLength(1); // 8-connected
});

test('simplified rings stay within the tolerance', () => {
	const circle = Array.from({ length: 200 }, (_, i) => [50 + 40 * Math.cos(i / 31.83), 50 + 40 * Math.sin(i / 31.83)]).flat();
	const few = simplify(circle, 0.5)!;
	expect(few.length).toBeLessThan(80);
	expect(Math.abs(ringArea(few) - ringArea(circle)) / ringArea(circle)).toBeLessThan(0.02);
	expect(simplify([0, 0, 5, 0, 10, 0, 10, 10, 0, 10], 0.5)).toEqual([0, 0, 10, 0, 10, 10, 0, 10]);
	expect(simplify([0, 0, 1, 0, 0.5, 0.1], 5)).toBe(null);
});

test('grow and shrink are exact discs', () => {
	const rnd = random(8);
	for (let n = 0; n < 12; n++) {
		const b = noise(rnd, n % 2 ? 0.02 : 0.9)!;
		const at = (m: Bitmap | null, x: number, y: number) =>
			!!m && x >= m.x && y >= m.y && x < m.x + m.width && y < m.y + m.height && m.data[(y - m.y) * m.width + x - m.x] > 0;
		const radius = 1 + (n % 3);
		let wrong = 0;
		const large = grow(b, radius, size),
			small = shrink(b, radius, size);
		for (let y = 0; y < size.height; y++)
			for (let x = 0; x < size.width; x++) {
				let any = false,
					all = at(b, x, y);
				for (let v = 0; v < size.height; v++)
					for (let u = 0; u < size.width; u++)
						if ((u - x) ** 2 + (v - y) ** 2 <= radius * radius) {
							any ||= at(b, u, v);
							all &&= at(b, u, v);
						}
				wrong += Number(at(large, x, y) !== any) + Number(at(small, x, y) !== all);
			}
		expect(wrong).toBe(0);
	}
	expect(shrink(bitmap(['###', '###']), 3, size)).toBe(null);
});

test('specks, holes, parts, smoothing, moving', () => {
	const b = bitmap(['####.#', '#..#..', '####..', '......', '#....#'], 3, 4);
	expect(text(fillHoles(b)).slice(0, 3)).toEqual(['####.#', '####..', '####..']);
	expect(text(despeckle(b, 2))).toEqual(['####', '#..#', '####']);
	expect(split(b).map((p) => [p.x, p.y, p.width * p.height])).toEqual([
		[3, 4, 12],
		[8, 4, 1],
		[3, 8, 1],
		[8, 8, 1],
	]);
	const rough = bitmap(['........', '.######.', '.###.##.', '.######.', '.######.', '.######.', '...#....', '...#....'], 10, 10);
	const round = smooth(rough, 1.5, size)!;
	expect(round.height).toBe(5); // the stalk is gone
	expect(round.data[round.width * 1 + 3]).toBe(255); // the dent too
	expect(moved(b, -5, 0, size)).toMatchObject({ x: 0, y: 4 });
	expect(moved(b, 50, 0, size)).toBe(null);
});

test('painting: strokes are undone and done again tile by tile', () => {
	const rnd = random(21);
	const p = new Painting({ width: 300, height: 200 }, bitmap(['###', '###'], 100, 100));
	const states = [p.data.slice()];
	for (let n = 0; n < 30; n++) {
		p.begin();
		let at = { x: rnd() * 340 - 20, y: rnd() * 240 - 20 };
		for (let k = 0; k < 5; k++) {
			const to = { x: at.x + rnd() * 60 - 30, y: at.y + rnd() * 60 - 30 };
			p.line(at, to, 1 + rnd() * 30, n % 3 === 2 ? 0 : 255);
			at = to;
		}
		p.end();
		if (states.at(-1)!.some((v, i) => v !== p.data[i])) states.push(p.data.slice());
	}
	expect(states.length).toBeGreaterThan(10);
	for (let n = states.length - 2; n >= 0; n--) {
		expect(p.undo()).not.toBe(null);
		expect(sameRuns(p.data, states[n])).toBe(true);
	}
	expect(p.undo()).toBe(null);
	for (let n = 1; n < states.length; n++) {
		p.redo();
		expect(sameRuns(p.data, states[n])).toBe(true);
	}
	expect(p.redo()).toBe(null);
});

test('painting: a line covers the pixels whose middle is within the radius of it', () => {
	const rnd = random(5);
	for (let n = 0; n < 40; n++) {
		const p = new Painting({ width: 60, height: 50 }, null);
		const a = { x: rnd() * 60, y: rnd() * 50 },
			b = n % 4 ? { x: rnd() * 60, y: rnd() * 50 } : { ...a, x: a.x + 9 * (n % 3) };
		const radius = 0.8 + rnd() * 12;
		p.begin();
		p.line(a, b, radius, 255);
		const length = (b.x - a.x) ** 2 + (b.y - a.y) ** 2;
		let wrong = 0;
		for (let y = 0; y < 50; y++)
			for (let x = 0; x < 60; x++) {
				const t = length ? Math.min(1, Math.max(0, ((x + 0.5 - a.x) * (b.x - a.x) + (y + 0.5 - a.y) * (b.y - a.y)) / length)) : 0;
				const d = Math.hypot(x + 0.5 - a.x - t * (b.x - a.x), y + 0.5 - a.y - t * (b.y - a.y));
				if (Math.abs(d - radius) > 1e-6) wrong += Number(p.data[y * 60 + x] > 0 !== d < radius);
			}
		expect(wrong).toBe(0);
	}
});

test('painting: holes are filled, and that is undone', () => {
	const p = new Painting({ width: 64, height: 64 }, bitmap(['####', '#..#', '####'], 30, 30));
	p.fill();
	expect(text(p.crop())).toEqual(['####', '####', '####']);
	p.undo();
	expect(text(p.crop())).toEqual(['####', '#..#', '####']);
});
