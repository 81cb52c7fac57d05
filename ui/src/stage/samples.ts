import { alike, lookShader, setLook, spread, type Adjust, type Windows } from './adjust';
import { paint } from './c2d/paint';
import type { Size } from './camera';
import { between } from './histogram';

export interface Level {
	width: number;
	height: number;
	values: Uint16Array;
}

// Counted are samples with what takes long to make of them.
export interface Counted {
	channels: 1 | 3;
	full: Size; // pixels of the image
	levels: Level[]; // the samples, and each time of half the size
	counts: Uint32Array[]; // of each value, by channel
}

const share = 0.001; // of the darkest and of the lightest samples that the automatic window leaves out

// parse reads what the server sends of an image of 16 bits, and counts it.
export function parse(buffer: ArrayBuffer): Counted {
	const head = new DataView(buffer);
	const at = (i: number) => head.getUint32(4 + 4 * i, true);
	if (buffer.byteLength < 24 || head.getUint32(0) !== 0x70783136) throw new Error('no samples of 16 bits');
	const channels = at(0);
	const [width, height] = [at(1), at(2)];
	if ((channels !== 1 && channels !== 3) || buffer.byteLength !== 24 + 2 * width * height * channels)
		throw new Error(`samples of ${width} × ${height} × ${channels}: ${buffer.byteLength - 24} bytes`);
	const values = new Uint16Array(buffer, 24);
	const counts = Array.from({ length: channels }, () => new Uint32Array(65536));
	for (let c = 0; c < channels; c++) {
		const n = counts[c];
		for (let i = c; i < values.length; i += channels) n[values[i]]++;
	}
	const levels: Level[] = [{ width, height, values }];
	for (let last = levels[0]; last.width > 1 || last.height > 1; levels.push(last)) last = half(last, channels);
	return { channels, full: { width: at(3), height: at(4) }, levels, counts };
}

function half(from: Level, channels: number): Level {
	const width = Math.max(1, from.width >> 1),
		height = Math.max(1, from.height >> 1);
	const values = new Uint16Array(width * height * channels);
	const right = from.width > 1 ? channels : 0,
		down = from.height > 1 ? from.width * channels : 0;
	let o = 0;
	for (let y = 0; y < height; y++) {
		let i = 2 * y * from.width * channels;
		for (let x = 0; x < width; x++, i += channels)
			for (let c = 0; c < channels; c++, i++)
				values[o++] = (from.values[i] + from.values[i + right] + from.values[i + down] + from.values[i + right + down] + 2) >> 2;
	}
	return { width, height, values };
}

// Samples is an image of 16 bits a channel: a stage shows it as it does a bitmap, with windows on all its values.
export class Samples {
	readonly max = 65535;
	readonly width: number;
	readonly height: number;
	readonly suggested: Windows; // what shows when no window is asked for
	private even: Uint16Array | null = null;

	constructor(readonly counted: Counted) {
		({ width: this.width, height: this.height } = counted.full);
		this.suggested = alike(between(counted.counts, share));
	}

	get bytes(): number {
		return this.counted.levels.reduce((n, l) => n + l.values.byteLength, 0);
	}

	// at returns the values of a pixel of the image, one for each channel.
	at(x: number, y: number): number[] {
		const { channels, levels } = this.counted;
		const [{ width, height, values }] = levels;
		const [u, v] = [
			Math.min(width - 1, Math.floor((x * width) / this.width)),
			Math.min(height - 1, Math.floor((y * height) / this.height)),
		];
		const i = (v * width + u) * channels;
		return Array.from(values.subarray(i, i + channels));
	}

	equalized(): Uint16Array {
		const { counts } = this.counted;
		return (this.even ??= spread(
			counts.length === 1 ? counts[0] : counts[0].map((n, v) => n + counts[1][v] + counts[2][v]),
			new Uint16Array(65536),
		));
	}

	windows(adjust: Adjust): Windows {
		return adjust.windows ?? this.suggested;
	}

	// canvas makes the picture without WebGL.
	canvas(adjust: Adjust): OffscreenCanvas {
		const { channels, levels } = this.counted;
		const [{ width, height, values }] = levels;
		const off = new OffscreenCanvas(width, height);
		const pixels = new ImageData(width, height);
		paint(pixels.data, values, channels, adjust, this.windows(adjust), adjust.equalize ? this.equalized() : null);
		off.getContext('2d')!.putImageData(pixels, 0, 0);
		return off;
	}

	// painter brings the samples to a context as whole numbers, which are not interpolated there: the shader does that.
	painter(gl: WebGL2RenderingContext, program: (vertex: string, fragment: string) => WebGLProgram, vertex: string): Painter {
		const { channels, levels } = this.counted;
		const p = program(vertex, fragment);
		const [format, kind] = channels === 1 ? [gl.R16UI, gl.RED_INTEGER] : [gl.RGB16UI, gl.RGB_INTEGER];
		const [top] = levels;
		const kx = this.width / top.width,
			ky = this.height / top.height;
		const textures: WebGLTexture[] = [];
		let uploaded = 0;
		const texture = () => {
			const t = gl.createTexture();
			textures.push(t);
			gl.bindTexture(gl.TEXTURE_2D, t);
			for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
			gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST_MIPMAP_NEAREST);
			gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
			return t;
		};
		gl.pixelStorei(gl.UNPACK_ALIGNMENT, 2);
		const tiles: { place: [number, number, number, number]; texture: WebGLTexture; depth: number }[] = [];
		for (let y = 0; y < top.height; y += tileSize)
			for (let x = 0; x < top.width; x += tileSize) {
				const w = Math.min(tileSize, top.width - x),
					h = Math.min(tileSize, top.height - y);
				const depth = Math.floor(Math.log2(Math.max(w, h))) + 1;
				const t = texture();
				gl.texStorage2D(gl.TEXTURE_2D, depth, format, w, h);
				for (let l = 0; l < depth; l++) {
					const { width, height, values } = levels[l];
					const [lw, lh] = [Math.max(1, w >> l), Math.max(1, h >> l)];
					gl.pixelStorei(gl.UNPACK_ROW_LENGTH, width);
					gl.pixelStorei(gl.UNPACK_SKIP_PIXELS, Math.min(x >> l, width - lw));
					gl.pixelStorei(gl.UNPACK_SKIP_ROWS, Math.min(y >> l, height - lh));
					gl.texSubImage2D(gl.TEXTURE_2D, l, 0, 0, lw, lh, kind, gl.UNSIGNED_SHORT, values);
					uploaded += lw * lh * channels * 2;
				}
				tiles.push({ place: [x * kx, y * ky, w * kx, h * ky], texture: t, depth });
			}
		for (const what of [gl.UNPACK_ROW_LENGTH, gl.UNPACK_SKIP_PIXELS, gl.UNPACK_SKIP_ROWS]) gl.pixelStorei(what, 0);
		let table: WebGLTexture | null = null;
		return {
			uploaded,
			draw: (toClip, adjust, scale, smooth) => {
				const even = adjust.equalize ? this.equalized() : null;
				gl.useProgram(p);
				gl.activeTexture(gl.TEXTURE1);
				if (even && !table) {
					table = texture();
					gl.pixelStorei(gl.UNPACK_ALIGNMENT, 2);
					gl.texStorage2D(gl.TEXTURE_2D, 1, gl.R16UI, 256, 256);
					gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, 256, 256, gl.RED_INTEGER, gl.UNSIGNED_SHORT, even);
				}
				gl.bindTexture(gl.TEXTURE_2D, table);
				const u = (name: string) => gl.getUniformLocation(p, name);
				setLook(gl, p, adjust, this.windows(adjust), even);
				gl.uniformMatrix3fv(u('toClip'), false, toClip);
				gl.uniform1i(u('image'), 0);
				gl.uniform1i(u('table'), 1);
				gl.activeTexture(gl.TEXTURE0);
				for (const t of tiles) {
					// The level whose samples are about as large as a pixel of the screen.
					const level = smooth ? Math.min(t.depth - 1, Math.max(0, Math.round(-Math.log2(scale * kx)))) : 0;
					gl.uniform3i(u('how'), channels, level, smooth ? 1 : 0);
					gl.uniform4f(u('tile'), ...t.place);
					gl.bindTexture(gl.TEXTURE_2D, t.texture);
					gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
				}
				return tiles.length;
			},
			dispose() {
				for (const t of textures) gl.deleteTexture(t);
				gl.deleteProgram(p);
			},
		};
	}
}

// Painter draws samples into a context that holds them.
export interface Painter {
	uploaded: number; // bytes
	// draw returns the number of draw calls. scale is device pixels to a pixel of the image.
	draw(toClip: Float32Array, adjust: Adjust, scale: number, smooth: boolean): number;
	dispose(): void;
}

const tileSize = 2048;

const fragment = `#version 300 es
precision highp float; precision highp int; precision highp usampler2D;
uniform usampler2D image; uniform usampler2D table; uniform ivec3 how; in vec2 uv; out vec4 color;
${lookShader}
vec3 sampleAt(ivec2 p, ivec2 size) {
	uvec4 t = texelFetch(image, clamp(p, ivec2(0), size - 1), how.y);
	uvec3 v = how.x == 1 ? t.rrr : t.rgb;
	if ((mode.y & 2) != 0) for (int k = 0; k < 3; k++) v[k] = texelFetch(table, ivec2(v[k] & 255u, v[k] >> 8), 0).r;
	return vec3(v) / 65535.0;
}
void main() {
	ivec2 size = textureSize(image, how.y);
	vec3 c;
	if (how.z == 0) c = sampleAt(ivec2(uv * vec2(size)), size);
	else {
		vec2 p = uv * vec2(size) - 0.5; ivec2 i = ivec2(floor(p)); vec2 f = p - vec2(i);
		c = mix(mix(sampleAt(i, size), sampleAt(i + ivec2(1, 0), size), f.x), mix(sampleAt(i + ivec2(0, 1), size), sampleAt(i + 1, size), f.x), f.y);
	}
	color = vec4(look(c), 1.0);
}`;
