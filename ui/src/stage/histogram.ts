import { small, type Range } from './adjust';
import { deep, type Picture } from './gl/image';

const share = 0.001; // of the darkest and of the lightest values that an automatic window leaves out

// Histogram counts a picture's values: of each channel, or of one if all are the same.
export interface Histogram {
	counts: ArrayLike<number>[];
	max: number; // the greatest value that there can be
	first: number; // the least and the greatest that there are
	last: number;
}

export function histogramOf(picture: Picture): Histogram {
	if (deep(picture)) return ends(picture.counted.counts, 65535);
	const rgba = small(picture);
	const counts = [0, 1, 2].map(() => new Uint32Array(256));
	let grey = true;
	for (let i = 0; i < rgba.length; i += 4) {
		for (let c = 0; c < 3; c++) counts[c][rgba[i + c]]++;
		grey &&= rgba[i] === rgba[i + 1] && rgba[i] === rgba[i + 2];
	}
	return ends(grey ? counts.slice(0, 1) : counts, 255);
}

function ends(counts: ArrayLike<number>[], max: number): Histogram {
	const any = (v: number) => counts.some((c) => c[v] > 0);
	let first = 0,
		last = max;
	while (first < max && !any(first)) first++;
	while (last > first && !any(last)) last--;
	return { counts, max, first, last };
}

// between is the range of values without the least and the greatest share of them. counts are those of each value.
export function between(counts: readonly ArrayLike<number>[], share: number): Range {
	const max = counts[0].length - 1;
	let total = 0;
	for (const c of counts) for (let v = 0; v <= max; v++) total += c[v];
	const cut = total * share;
	const end = (from: number, by: 1 | -1) => {
		let sum = 0;
		for (let v = from; v >= 0 && v <= max; v += by) {
			for (const c of counts) sum += c[v];
			if (sum > cut) return v;
		}
		return from;
	};
	const low = end(0, 1),
		high = end(max, -1);
	return low < high ? [low / max, high / max] : [0, Math.max(1, high) / max];
}

// suggest is the window of the values that occur, of one channel or of all.
export const suggest = (h: Histogram, channel?: number): Range => between(channel === undefined ? h.counts : [h.counts[channel]], share);

// outline draws the counts of the values of a domain as an SVG path of so many steps, 100 high. Roots show what is rare.
export function outline(counts: ArrayLike<number>, from: number, to: number, steps: number): string {
	const bins = new Float64Array(steps);
	const k = steps / (to - from + 1);
	for (let v = from; v <= to; v++) bins[Math.min(steps - 1, Math.floor((v - from) * k))] += counts[v] ?? 0;
	// A domain of fewer values than steps has gaps, which are no zeros.
	if (k > 1) for (let i = 1; i < steps; i++) if (Math.floor(i / k) === Math.floor((i - 1) / k)) bins[i] = bins[i - 1];
	// One value that most pixels have, such as that of the background, must not press the others flat.
	const [most, , third] = bins.toSorted((a, b) => b - a);
	const top = Math.sqrt(third || most || 1);
	let path = 'M0 100';
	bins.forEach((n, i) => (path += `V${(100 - Math.min(100, (100 * Math.sqrt(n)) / top)).toFixed(1)}H${i + 1}`));
	return `${path}V100Z`;
}
