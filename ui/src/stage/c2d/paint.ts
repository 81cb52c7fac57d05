import { bitsOf, levels, tones, type Adjust, type Windows } from '../adjust';

// paint writes the look of values, each from 0 to max and per to a pixel, as RGBA. A fourth value is how opaque it is.
export function paint(
	out: Uint8ClampedArray,
	values: Uint8ClampedArray | Uint16Array,
	per: 1 | 3 | 4,
	adjust: Adjust,
	windows: Windows,
	even: ArrayLike<number> | null,
): void {
	const max = values instanceof Uint16Array ? 65535 : 255;
	const spread = adjust.equalize ? even : null;
	const { low, scale } = levels(windows, spread);
	const { brightness, contrast, gamma } = tones(adjust);
	const tone = (c: number) => {
		const x = (c ** gamma - 0.5) * contrast + 0.5 + brightness;
		return 255 * (adjust.invert ? 1 - x : x);
	};
	const bits = bitsOf(adjust.channel);
	const mixed = bits === 0 || bits === 1 || bits === 2 || bits === 4;
	const fine = 4095; // steps of what is mixed before its tone
	const tables: Float32Array[] = [];
	for (let k = 0; k < 3; k++) {
		const twin = windows.findIndex((w) => w[0] === windows[k][0] && w[1] === windows[k][1]);
		tables[k] = tables[twin] ?? new Float32Array(max + 1);
		if (twin < k) continue;
		for (let v = 0; v <= max; v++) {
			const c = Math.min(1, Math.max(0, ((spread ? spread[v] : v) / max - low[k]) * scale[k]));
			tables[k][v] = mixed ? c : tone(c);
		}
	}
	const last = mixed ? new Uint8ClampedArray(fine + 1).map((_, i) => tone(i / fine)) : null;
	const [r, g, b] = tables;
	const green = per === 1 ? 0 : 1,
		blue = per === 1 ? 0 : 2;
	for (let i = 0, o = 0; i < values.length; i += per, o += 4) {
		const x = r[values[i]],
			y = g[values[i + green]],
			z = b[values[i + blue]];
		if (last) {
			const c = bits === 1 ? x : bits === 2 ? y : bits === 4 ? z : 0.299 * x + 0.587 * y + 0.114 * z;
			out[o] = out[o + 1] = out[o + 2] = last[Math.round(c * fine)];
		} else {
			out[o] = bits & 1 ? x : 0;
			out[o + 1] = bits & 2 ? y : 0;
			out[o + 2] = bits & 4 ? z : 0;
		}
		out[o + 3] = per === 4 ? values[i + 3] : 255;
	}
}
