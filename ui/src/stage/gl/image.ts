import { equalize, lookShader, setLook, small, wide, type Adjust } from '../adjust';
import { matrix } from '../camera';
import type { View } from '../c2d/draw';
import type { Painter, Samples } from '../samples';
import type { Scene } from '../scene';

// Picture is what a layer shows: a bitmap, or the samples of an image of 16 bits.
export type Picture = ImageBitmap | Samples;
export const deep = (p: Picture): p is Samples => 'counted' in p;

export interface MaskStyle {
	selected: ReadonlySet<string>;
	hover: string | null;
	fill: number;
	peek: boolean;
	skip: ReadonlySet<string>; // masks that the tool draws itself
}

// Layer draws the image and the masks of one view. There are two: WebGL2, and Canvas2D where that is missing.
export interface Layer {
	readonly kind: 'gl' | '2d';
	setImage(image: Picture | null, width: number, height: number): void;
	setMasks(scene: Scene): void;
	draw(view: View, adjust: Adjust, style: MaskStyle): void;
	readonly stats: { draws: number; uploaded: number };
	dispose(): void;
}

const tileSize = 2048;
const pageSize = 4096;

const imageVertex = `#version 300 es
uniform mat3 toClip; uniform vec4 tile; in vec2 corner; out vec2 uv;
void main() { uv = corner; vec3 p = toClip * vec3(tile.xy + corner * tile.zw, 1.0); gl_Position = vec4(p.xy, 0.0, 1.0); }`;

const imageFragment = `#version 300 es
precision highp float;
uniform sampler2D image; uniform sampler2D table; in vec2 uv; out vec4 color;
${lookShader}
void main() {
	vec4 t = texture(image, uv);
	vec3 c = t.rgb;
	if ((mode.y & 2) != 0) c = vec3(texture(table, vec2(c.r, 0.5)).r, texture(table, vec2(c.g, 0.5)).r, texture(table, vec2(c.b, 0.5)).r);
	color = vec4(look(c) * t.a, t.a);
}`;

const maskVertex = `#version 300 es
uniform mat3 toClip; in vec2 corner; in vec4 place; in vec4 inAtlas; in vec4 tint; flat out vec4 box; out vec2 at; flat out vec4 ink;
void main() {
	at = inAtlas.xy + corner * inAtlas.zw; box = vec4(inAtlas.xy, inAtlas.xy + inAtlas.zw); ink = tint;
	vec3 p = toClip * vec3(place.xy + corner * place.zw, 1.0); gl_Position = vec4(p.xy, 0.0, 1.0);
}`;

// The outline is where a neighbour one screen pixel away lies outside of the mask.
const maskFragment = `#version 300 es
precision highp float;
uniform sampler2D atlas; uniform float step; in vec2 at; flat in vec4 box; flat in vec4 ink; out vec4 color;
float inside(vec2 p) { return p.x < box.x || p.y < box.y || p.x >= box.z || p.y >= box.w ? 0.0 : texelFetch(atlas, ivec2(p), 0).r; }
void main() {
	if (ink.a <= 0.0) discard;
	float here = inside(at);
	if (here < 0.5) discard;
	float d = step * 1.5;
	float least = min(min(inside(at + vec2(d, 0)), inside(at - vec2(d, 0))), min(inside(at + vec2(0, d)), inside(at - vec2(0, d))));
	float alpha = least < 0.5 ? min(1.0, ink.a + 0.55) : ink.a;
	color = vec4(ink.rgb * alpha, alpha);
}`;

interface Instance {
	key: string;
	hidden: boolean;
	color: number;
	page: number;
	place: [number, number, number, number];
	at: [number, number, number, number];
}

// glLayer returns null where WebGL2 is missing.
export function glLayer(canvas: HTMLCanvasElement): Layer | null {
	const context = canvas.getContext('webgl2', { alpha: true, antialias: false, premultipliedAlpha: true, preserveDrawingBuffer: false });
	if (!context) return null;
	const gl = context;
	const stats = { draws: 0, uploaded: 0 };
	let picture: Picture | null = null;
	let bitmap: ImageBitmap | null = null; // the picture, if it is none of 16 bits
	let painter: Painter | null = null; // of the picture, if it is
	let even: Uint8Array<ArrayBuffer> = new Uint8Array(256);
	let size = { width: 0, height: 0 };
	let tiles: { x: number; y: number; w: number; h: number; texture: WebGLTexture }[] = [];
	let pages: WebGLTexture[] = [];
	let instances: Instance[] = [];
	let scene: Scene | null = null;
	let uploadedStyle = '';
	let smooth = true;
	let tools: ReturnType<typeof build> | null = null;

	function build() {
		const quad = gl.createBuffer();
		gl.bindBuffer(gl.ARRAY_BUFFER, quad);
		gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([0, 0, 1, 0, 0, 1, 1, 1]), gl.STATIC_DRAW);
		const imageProgram = program(imageVertex, imageFragment);
		const maskProgram = program(maskVertex, maskFragment);
		const imageArray = gl.createVertexArray();
		gl.bindVertexArray(imageArray);
		corner(imageProgram);
		const maskArray = gl.createVertexArray();
		gl.bindVertexArray(maskArray);
		corner(maskProgram);
		const data = gl.createBuffer();
		const table = texture(
			gl.R8,
			256,
			1,
			gl.RED,
			new Uint8Array(256).map((_, i) => i),
		);
		return { imageProgram, maskProgram, imageArray, maskArray, data, table };
	}

	function corner(p: WebGLProgram): void {
		const at = gl.getAttribLocation(p, 'corner');
		gl.enableVertexAttribArray(at);
		gl.vertexAttribPointer(at, 2, gl.FLOAT, false, 0, 0);
	}

	function program(vertex: string, fragment: string): WebGLProgram {
		const p = gl.createProgram();
		for (const [type, text] of [
			[gl.VERTEX_SHADER, vertex],
			[gl.FRAGMENT_SHADER, fragment],
		] as const) {
			const s = gl.createShader(type)!;
			gl.shaderSource(s, text);
			gl.compileShader(s);
			gl.attachShader(p, s);
		}
		gl.bindAttribLocation(p, 0, 'corner'); // one array serves all that draw images
		gl.linkProgram(p);
		if (!gl.getProgramParameter(p, gl.LINK_STATUS) && !gl.isContextLost()) throw new Error(`shader: ${gl.getProgramInfoLog(p)}`);
		return p;
	}

	function texture(format: number, w: number, h: number, channels: number, pixels: Uint8Array | null): WebGLTexture {
		const t = gl.createTexture();
		gl.bindTexture(gl.TEXTURE_2D, t);
		gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
		gl.texImage2D(gl.TEXTURE_2D, 0, format, w, h, 0, channels, gl.UNSIGNED_BYTE, pixels);
		for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
		for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, filter, gl.NEAREST);
		return t;
	}

	function uploadImage(): void {
		for (const t of tiles) gl.deleteTexture(t.texture);
		tiles = [];
		painter?.dispose();
		painter = null;
		bitmap = null;
		if (!picture) return;
		if (deep(picture)) {
			painter = picture.painter(gl, program, imageVertex);
			stats.uploaded += painter.uploaded;
			return;
		}
		bitmap = picture;
		const kx = size.width / bitmap.width,
			ky = size.height / bitmap.height;
		for (let y = 0; y < bitmap.height; y += tileSize)
			for (let x = 0; x < bitmap.width; x += tileSize) {
				const w = Math.min(tileSize, bitmap.width - x),
					h = Math.min(tileSize, bitmap.height - y);
				const t = gl.createTexture();
				gl.bindTexture(gl.TEXTURE_2D, t);
				gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, 0);
				gl.texStorage2D(gl.TEXTURE_2D, Math.floor(Math.log2(Math.max(w, h))) + 1, gl.RGBA8, w, h);
				gl.pixelStorei(gl.UNPACK_ROW_LENGTH, 0);
				gl.pixelStorei(gl.UNPACK_SKIP_PIXELS, x);
				gl.pixelStorei(gl.UNPACK_SKIP_ROWS, y);
				gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, w, h, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
				gl.pixelStorei(gl.UNPACK_SKIP_PIXELS, 0);
				gl.pixelStorei(gl.UNPACK_SKIP_ROWS, 0);
				gl.generateMipmap(gl.TEXTURE_2D);
				for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
				stats.uploaded += w * h * 4;
				tiles.push({ x: x * kx, y: y * ky, w: w * kx, h: h * ky, texture: t });
			}
	}

	function uploadMasks(): void {
		for (const p of pages) gl.deleteTexture(p);
		pages = [];
		instances = [];
		uploadedStyle = '';
		if (!scene) return;
		const masks = scene.shapes.filter((s) => s.kind === 'mask');
		const side = Math.min(pageSize, gl.getParameter(gl.MAX_TEXTURE_SIZE) as number);
		// Shelves: tall masks first, rows of equal height. Masks larger than a page are cut.
		const pieces = masks.flatMap((s) => cut(s.crop, side).map((crop) => ({ s, crop })));
		pieces.sort((a, b) => b.crop.height - a.crop.height);
		let x = 0,
			y = 0,
			shelf = 0,
			page = -1;
		const placed: { x: number; y: number; page: number; piece: (typeof pieces)[number] }[] = [];
		const heights: number[] = [];
		for (const piece of pieces) {
			const { width, height } = piece.crop;
			if (page < 0 || x + width > side) {
				x = 0;
				y += shelf;
				shelf = 0;
			}
			if (page < 0 || y + height > side) {
				page++;
				x = y = shelf = 0;
			}
			placed.push({ x, y, page, piece });
			x += width;
			shelf = Math.max(shelf, height);
			heights[page] = y + shelf;
		}
		heights.forEach((h) => pages.push(texture(gl.R8, side, h, gl.RED, null)));
		for (const { x, y, page, piece } of placed) {
			const { crop, s } = piece;
			gl.bindTexture(gl.TEXTURE_2D, pages[page]);
			gl.texSubImage2D(gl.TEXTURE_2D, 0, x, y, crop.width, crop.height, gl.RED, gl.UNSIGNED_BYTE, crop.data);
			stats.uploaded += crop.width * crop.height;
			const rect = (px: number, py: number): [number, number, number, number] => [px, py, crop.width, crop.height];
			instances.push({ key: s.key, hidden: s.hidden, color: s.color, page, place: rect(crop.x, crop.y), at: rect(x, y) });
		}
		instances.sort((a, b) => a.page - b.page);
	}

	function uploadInstances(style: MaskStyle): void {
		const now = `${style.fill} ${style.hover} ${[...style.selected].join()} ${[...style.skip].join()}`;
		if (now === uploadedStyle || !tools) return;
		uploadedStyle = now;
		const values = new Float32Array(instances.length * 12);
		instances.forEach((m, i) => {
			const active = style.selected.has(m.key) || m.key === style.hover;
			const alpha = m.hidden || style.skip.has(m.key) ? 0 : Math.max(0.02, style.fill * (active ? 0.75 : 0.45));
			values.set([...m.place, ...m.at, (m.color >> 16) / 255, ((m.color >> 8) & 255) / 255, (m.color & 255) / 255, alpha], i * 12);
		});
		gl.bindBuffer(gl.ARRAY_BUFFER, tools.data);
		gl.bufferData(gl.ARRAY_BUFFER, values, gl.DYNAMIC_DRAW);
		stats.uploaded += values.byteLength;
	}

	function equalizeTable(): void {
		if (!bitmap || !tools) return;
		even = equalize(small(bitmap));
		gl.bindTexture(gl.TEXTURE_2D, tools.table);
		gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
		gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, 256, 1, gl.RED, gl.UNSIGNED_BYTE, even);
	}

	tools = build();
	const onLost = (e: Event) => e.preventDefault();
	const onRestored = () => {
		tools = build();
		tiles = [];
		pages = [];
		uploadImage();
		uploadMasks();
		equalizeTable();
		canvas.dispatchEvent(new Event('redraw'));
	};
	canvas.addEventListener('webglcontextlost', onLost);
	canvas.addEventListener('webglcontextrestored', onRestored);

	return {
		kind: 'gl',
		stats,
		setImage(image, width, height) {
			picture = image;
			size = { width, height };
			uploadImage();
			equalizeTable();
		},
		setMasks(next) {
			const same =
				scene !== null &&
				instances.length === next.shapes.reduce((n, s) => n + (s.kind === 'mask' ? 1 : 0), 0) &&
				instances.every((m) => {
					const [was, is] = [scene!.get(m.key), next.get(m.key)];
					return was?.kind === 'mask' && is?.kind === 'mask' && was.crop === is.crop;
				});
			scene = next;
			if (!same) return uploadMasks();
			// Only colours or visibility changed: the pixels stay where they are.
			for (const m of instances) {
				const s = next.get(m.key)!;
				m.color = s.color;
				m.hidden = s.hidden;
			}
			uploadedStyle = '';
		},
		draw(view, adjust, style) {
			if (!tools || gl.isContextLost()) return;
			const { size: canvasSize, ratio, camera, image } = view;
			gl.viewport(0, 0, Math.round(canvasSize.width * ratio), Math.round(canvasSize.height * ratio));
			gl.clearColor(0, 0, 0, 0);
			gl.clear(gl.COLOR_BUFFER_BIT);
			stats.draws = 0;
			const [a, b, c, d, e, f] = matrix(camera, image);
			const sx = 2 / canvasSize.width,
				sy = -2 / canvasSize.height;
			const toClip = new Float32Array([a * sx, b * sy, 0, c * sx, d * sy, 0, e * sx - 1, f * sy + 1, 1]);
			gl.enable(gl.BLEND);
			gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
			smooth = adjust.smooth && camera.scale < 8;
			gl.bindVertexArray(tools.imageArray);
			if (painter) stats.draws += painter.draw(toClip, adjust, camera.scale * ratio, smooth);
			gl.useProgram(tools.imageProgram);
			const u = (name: string) => gl.getUniformLocation(tools!.imageProgram, name);
			gl.uniformMatrix3fv(u('toClip'), false, toClip);
			setLook(gl, tools.imageProgram, adjust, adjust.windows ?? wide, even);
			gl.uniform1i(u('image'), 0);
			gl.uniform1i(u('table'), 1);
			gl.activeTexture(gl.TEXTURE1);
			gl.bindTexture(gl.TEXTURE_2D, tools.table);
			gl.activeTexture(gl.TEXTURE0);
			for (const t of tiles) {
				gl.bindTexture(gl.TEXTURE_2D, t.texture);
				gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, smooth ? gl.LINEAR_MIPMAP_LINEAR : gl.NEAREST);
				gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, smooth ? gl.LINEAR : gl.NEAREST);
				gl.uniform4f(u('tile'), t.x, t.y, t.w, t.h);
				gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
				stats.draws++;
			}
			if (instances.length === 0 || style.peek) return;
			uploadInstances(style);
			gl.useProgram(tools.maskProgram);
			gl.bindVertexArray(tools.maskArray);
			gl.uniformMatrix3fv(gl.getUniformLocation(tools.maskProgram, 'toClip'), false, toClip);
			gl.uniform1i(gl.getUniformLocation(tools.maskProgram, 'atlas'), 0);
			gl.uniform1f(gl.getUniformLocation(tools.maskProgram, 'step'), 1 / camera.scale);
			gl.bindBuffer(gl.ARRAY_BUFFER, tools.data);
			for (let first = 0; first < instances.length;) {
				const page = instances[first].page;
				let n = 0;
				while (first + n < instances.length && instances[first + n].page === page) n++;
				['place', 'inAtlas', 'tint'].forEach((name, k) => {
					const at = gl.getAttribLocation(tools!.maskProgram, name);
					gl.enableVertexAttribArray(at);
					gl.vertexAttribPointer(at, 4, gl.FLOAT, false, 48, first * 48 + k * 16);
					gl.vertexAttribDivisor(at, 1);
				});
				gl.bindTexture(gl.TEXTURE_2D, pages[page]);
				gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, n);
				stats.draws++;
				first += n;
			}
		},
		dispose() {
			canvas.removeEventListener('webglcontextlost', onLost);
			canvas.removeEventListener('webglcontextrestored', onRestored);
			gl.getExtension('WEBGL_lose_context')?.loseContext();
		},
	};
}

type Crop = { x: number; y: number; width: number; height: number; data: Uint8Array };

function cut(crop: Crop, side: number): Crop[] {
	if (crop.width <= side && crop.height <= side) return [crop];
	const out: Crop[] = [];
	for (let y = 0; y < crop.height; y += side)
		for (let x = 0; x < crop.width; x += side) {
			const width = Math.min(side, crop.width - x),
				height = Math.min(side, crop.height - y);
			const data = new Uint8Array(width * height);
			for (let r = 0; r < height; r++) data.set(crop.data.subarray((y + r) * crop.width + x, (y + r) * crop.width + x + width), r * width);
			out.push({ x: crop.x + x, y: crop.y + y, width, height, data });
		}
	return out;
}
