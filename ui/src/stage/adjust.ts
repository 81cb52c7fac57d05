// How an image is shown: what is black and white in each channel, which channels, and the tone. Shared by both layers.

export type Range = readonly [low: number, high: number]; // shares of the greatest value a sample can have
export type Windows = readonly [red: Range, green: Range, blue: Range];
export const channels = ['rgb', 'rg', 'rb', 'gb', 'r', 'g', 'b', 'grey'] as const;

// Adjust is the live change of the image's look. Zero values leave the image as it is.
export interface Adjust {
	brightness: number; // -1 to 1
	contrast: number; // -1 to 1
	gamma: number; // exponent's logarithm, -1 to 1
	windows: Windows | null; // what becomes black and white; null: all values, and of 16 bits those that occur
	channel: (typeof channels)[number]; // one alone shows as grey
	invert: boolean;
	equalize: boolean;
	smooth: boolean;
}

export const plain: Adjust = {
	brightness: 0,
	contrast: 0,
	gamma: 0,
	windows: null,
	channel: 'rgb',
	invert: false,
	equalize: false,
	smooth: true,
};

export const all: Range = [0, 1];
export const alike = (range: Range): Windows => [range, range, range];
export const wide = alike(all);

// kept reads settings that were stored, also those of before there were windows.
export function kept(stored: object | undefined): Adjust {
	const { low, high, ...rest } = { ...stored } as Partial<Adjust> & { low?: number; high?: number };
	const windows = low !== undefined && high !== undefined && (low > 0 || high < 1) ? alike([low, high]) : null;
	return { ...plain, windows, ...rest };
}

export const sameLook = (a: Adjust, b: Adjust) =>
	(Object.keys(plain) as (keyof Adjust)[]).every((k) => JSON.stringify(a[k]) === JSON.stringify(b[k]));

// bits of the channels that show; 0 for their brightness as grey.
export const bitsOf = (channel: Adjust['channel']) =>
	channel === 'grey' ? 0 : [...channel].reduce((n, c) => n | { r: 1, g: 2, b: 4 }[c]!, 0);

// levels are what becomes black and the factor that makes the rest white. Where values are spread evenly by a table, a
// window of them is one of what the table makes of them.
export function levels(windows: Windows, even: ArrayLike<number> | null): { low: number[]; scale: number[] } {
	const max = even ? even.length - 1 : 0;
	const through = (x: number) => (even ? even[Math.round(Math.min(1, Math.max(0, x)) * max)] / max : x);
	const low = windows.map((w) => through(w[0]));
	return { low, scale: windows.map((w, k) => 1 / Math.max(1e-6, through(w[1]) - low[k])) };
}

export const tones = ({ brightness, contrast, gamma }: Adjust) => ({
	brightness,
	contrast: 2 ** (contrast * 2),
	gamma: 2 ** (-gamma * 1.6),
});

// lookShader is the same for shaders: look(c) is what is shown of c, samples from 0 to 1.
export const lookShader = `
uniform vec3 low; uniform vec3 scale; uniform vec3 tone; uniform ivec2 mode;
vec3 look(vec3 c) {
	c = clamp((c - low) * scale, 0.0, 1.0);
	if (mode.x == 0) c = vec3(dot(c, vec3(0.299, 0.587, 0.114)));
	else if (mode.x == 1) c = c.rrr; else if (mode.x == 2) c = c.ggg; else if (mode.x == 4) c = c.bbb;
	c = (pow(c, vec3(tone.z)) - 0.5) * tone.y + 0.5 + tone.x;
	c = clamp((mode.y & 1) != 0 ? 1.0 - c : c, 0.0, 1.0);
	return mode.x == 3 || mode.x == 5 || mode.x == 6 ? c * vec3(mode.x & 1, mode.x >> 1 & 1, mode.x >> 2) : c;
}`;

// setLook gives a shader with lookShader its uniforms.
export function setLook(
	gl: WebGL2RenderingContext,
	program: WebGLProgram,
	adjust: Adjust,
	windows: Windows,
	even: ArrayLike<number> | null,
): void {
	const u = (name: string) => gl.getUniformLocation(program, name);
	const { low, scale } = levels(windows, adjust.equalize ? even : null);
	const { brightness, contrast, gamma } = tones(adjust);
	gl.uniform3fv(u('low'), low);
	gl.uniform3fv(u('scale'), scale);
	gl.uniform3f(u('tone'), brightness, contrast, gamma);
	gl.uniform2i(u('mode'), bitsOf(adjust.channel), (adjust.invert ? 1 : 0) | (adjust.equalize ? 2 : 0));
}

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

// spread makes the table that gives each value its place among all, so that they come out even.
export function spread<T extends Uint8Array | Uint16Array>(counts: ArrayLike<number>, table: T): T {
	const max = table.length - 1;
	let first = 0,
		total = 0;
	for (let v = 0; v <= max; v++) {
		if (total === 0) first = counts[v];
		total += counts[v];
	}
	const rest = total - first;
	for (let v = 0, sum = 0; v <= max; v++) {
		sum += counts[v];
		table[v] = rest > 0 ? Math.max(0, Math.round(((sum - first) / rest) * max)) : v;
	}
	return table;
}

// equalize makes the table that spreads the brightness of pixels evenly.
export function equalize(rgba: Uint8ClampedArray): Uint8Array<ArrayBuffer> {
	const counts = new Uint32Array(256);
	for (let i = 0; i < rgba.length; i += 4) counts[Math.round(0.299 * rgba[i] + 0.587 * rgba[i + 1] + 0.114 * rgba[i + 2])]++;
	return spread(counts, new Uint8Array(256));
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

// small is an image made no larger than 256 pixels, for its histogram.
export function small(image: ImageBitmap): Uint8ClampedArray {
	const scale = Math.min(1, 256 / Math.max(image.width, image.height));
	const off = new OffscreenCanvas(Math.max(1, Math.round(image.width * scale)), Math.max(1, Math.round(image.height * scale)));
	const ctx = off.getContext('2d', { willReadFrequently: true })!;
	ctx.drawImage(image, 0, 0, off.width, off.height);
	return ctx.getImageData(0, 0, off.width, off.height).data;
}
