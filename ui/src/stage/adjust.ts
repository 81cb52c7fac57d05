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

// small is an image made no larger than 256 pixels, for its histogram.
export function small(image: ImageBitmap): Uint8ClampedArray {
	const scale = Math.min(1, 256 / Math.max(image.width, image.height));
	const off = new OffscreenCanvas(Math.max(1, Math.round(image.width * scale)), Math.max(1, Math.round(image.height * scale)));
	const ctx = off.getContext('2d', { willReadFrequently: true })!;
	ctx.drawImage(image, 0, 0, off.width, off.height);
	return ctx.getImageData(0, 0, off.width, off.height).data;
}
