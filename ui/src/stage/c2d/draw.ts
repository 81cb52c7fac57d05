import { matrix, visible, type Camera, type Rect, type Size } from '../camera';
import { hiddenState, invisibleState, type Scene, type Shape } from '../scene';

export interface View {
	camera: Camera;
	image: Size;
	size: Size; // CSS pixels that are drawn, margin included
	ratio: number; // device pixels a CSS pixel
}

export interface Style {
	selected: ReadonlySet<string>;
	hover: string | null;
	fill: number; // opacity of fills, 0 to 1
	labels: boolean;
	skip: ReadonlySet<string>; // shapes that the tool draws itself
	peek: boolean; // hide all
}

const casing = 'rgba(0, 0, 0, 0.6)';

// css makes the text of a colour; made once, since it is asked for by every stroke.
const texts = new Map<number, string>();
export function css(color: number, alpha = 1): string {
	const key = color * 256 + Math.round(alpha * 255);
	let text = texts.get(key);
	if (!text) texts.set(key, (text = `rgba(${color >> 16}, ${(color >> 8) & 255}, ${color & 255}, ${alpha})`));
	return text;
}

// draw paints boxes, polygons, skeletons and labels of what is visible, and returns how many shapes it painted.
export function draw(ctx: CanvasRenderingContext2D, scene: Scene, view: View, style: Style): number {
	const { camera, image, size, ratio } = view;
	ctx.setTransform(1, 0, 0, 1, 0, 0);
	ctx.clearRect(0, 0, size.width * ratio, size.height * ratio);
	if (style.peek) return 0;
	const [a, b, c, d, e, f] = matrix(camera, image);
	ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
	ctx.lineJoin = 'round';
	const part = visible(camera, image, size);
	const shown = scene.query(part);
	const late: number[] = []; // the selected ones come last, over the others
	let painted = 0;
	const put = (i: number, selected: boolean) => {
		const s = scene.shapes[i];
		const r = scene.rects[i];
		const extent = Math.max(r.w, r.h) * camera.scale;
		painted++;
		if (extent < 2 && s.kind !== 'mask') {
			ctx.fillStyle = css(s.color);
			ctx.fillRect(a * r.x + c * r.y + e - 1, b * r.x + d * r.y + f - 1, 2, 2);
			return;
		}
		const active = selected || s.key === style.hover;
		const width = active ? 2.5 : 1.5;
		if (s.kind === 'box') {
			const x = a * s.x + c * s.y + e,
				y = b * s.x + d * s.y + f;
			const w = a * s.w + c * s.h,
				h = b * s.w + d * s.h;
			if (style.fill > 0) {
				ctx.fillStyle = css(s.color, style.fill * (active ? 0.35 : 0.18));
				ctx.fillRect(x, y, w, h);
			}
			ctx.setLineDash(none);
			ctx.lineWidth = width + 1.5;
			ctx.strokeStyle = casing;
			ctx.strokeRect(x, y, w, h);
			dash(ctx, s);
			ctx.lineWidth = width;
			ctx.strokeStyle = css(s.color);
			ctx.strokeRect(x, y, w, h);
			if (s.origin === 'human') dot(ctx, Math.min(x, x + w), Math.min(y, y + h), s.color);
		} else if (s.kind === 'polygon') {
			ctx.beginPath();
			// Unselected outlines leave out what lies closer than half a pixel.
			const near = selected ? 0 : 0.5;
			for (const ring of s.rings) {
				let px = Infinity,
					py = Infinity;
				for (let k = 0; k < ring.length; k += 2) {
					const x = a * ring[k] + c * ring[k + 1] + e,
						y = b * ring[k] + d * ring[k + 1] + f;
					if (k > 0 && Math.abs(x - px) < near && Math.abs(y - py) < near) continue;
					if (k === 0) ctx.moveTo(x, y);
					else ctx.lineTo(x, y);
					px = x;
					py = y;
				}
				ctx.closePath();
			}
			ctx.fillStyle = css(s.color, style.fill * (active ? 0.6 : 0.4));
			if (style.fill > 0) ctx.fill('evenodd');
			dash(ctx, s);
			ctx.lineWidth = width;
			ctx.strokeStyle = css(s.color);
			ctx.stroke();
		} else if (s.kind === 'skeleton') {
			ctx.setLineDash(none);
			ctx.beginPath();
			for (const [p, q] of s.edges) {
				if (s.states[p] === invisibleState || s.states[q] === invisibleState) continue;
				ctx.moveTo(a * s.points[2 * p] + c * s.points[2 * p + 1] + e, b * s.points[2 * p] + d * s.points[2 * p + 1] + f);
				ctx.lineTo(a * s.points[2 * q] + c * s.points[2 * q + 1] + e, b * s.points[2 * q] + d * s.points[2 * q + 1] + f);
			}
			ctx.lineWidth = width + 1.5;
			ctx.strokeStyle = casing;
			ctx.stroke();
			dash(ctx, s);
			ctx.lineWidth = width;
			ctx.strokeStyle = css(s.color);
			ctx.stroke();
			if (extent < 24) return; // points would cover the lines
			ctx.setLineDash(none);
			const radius = active ? 4 : 3;
			for (let k = 0; k < s.states.length; k++) {
				if (s.states[k] === invisibleState) continue;
				ctx.beginPath();
				ctx.arc(a * s.points[2 * k] + c * s.points[2 * k + 1] + e, b * s.points[2 * k] + d * s.points[2 * k + 1] + f, radius, 0, 7);
				ctx.fillStyle = s.states[k] === hiddenState ? '#0f1216' : css(s.color);
				ctx.fill();
				ctx.lineWidth = 1.5;
				ctx.strokeStyle = s.states[k] === hiddenState ? css(s.color) : casing;
				ctx.stroke();
			}
		} else if (active) {
			// The mask itself is drawn below, by the image layer; its frame shows that it is chosen.
			const x = a * r.x + c * r.y + e,
				y = b * r.x + d * r.y + f;
			ctx.setLineDash([3, 3]);
			ctx.lineWidth = 1;
			ctx.strokeStyle = css(s.color);
			ctx.strokeRect(x, y, a * r.w + c * r.h, b * r.w + d * r.h);
		}
	};
	for (const i of shown) {
		const s = scene.shapes[i];
		if (s.hidden || style.skip.has(s.key)) continue;
		if (style.selected.has(s.key) || s.key === style.hover) late.push(i);
		else put(i, false);
	}
	for (const i of late) put(i, style.selected.has(scene.shapes[i].key));
	if (style.labels) labels(ctx, scene, shown, late, view, style);
	return painted;
}

const none: number[] = [];

function dash(ctx: CanvasRenderingContext2D, s: Shape): void {
	ctx.setLineDash(s.origin === 'model' ? [6, 4] : none);
}

function dot(ctx: CanvasRenderingContext2D, x: number, y: number, color: number): void {
	ctx.beginPath();
	ctx.arc(x, y, 3, 0, 7);
	ctx.fillStyle = css(color);
	ctx.fill();
}

const widths = new Map<string, number>();

// labels writes names where they have room: a grid of taken cells, selected shapes first.
function labels(ctx: CanvasRenderingContext2D, scene: Scene, shown: number[], late: number[], view: View, style: Style): void {
	const [a, b, c, d, e, f] = matrix(view.camera, view.image);
	const cell = 16;
	const columns = Math.ceil(view.size.width / cell) + 1;
	const taken = new Set<number>();
	ctx.font = '500 12px "Inter Variable", system-ui, sans-serif';
	ctx.textBaseline = 'middle';
	const put = (i: number) => {
		const s = scene.shapes[i];
		if (s.hidden || s.label === '' || style.skip.has(s.key)) return;
		const r = scene.rects[i];
		if (Math.max(r.w, r.h) * view.camera.scale < 14) return;
		const x0 = a * r.x + c * r.y + e,
			y0 = b * r.x + d * r.y + f;
		const x = Math.min(x0, x0 + a * r.w + c * r.h),
			top = Math.min(y0, y0 + b * r.w + d * r.h);
		let width = widths.get(s.label);
		if (width === undefined) {
			width = ctx.measureText(s.label).width;
			if (widths.size > 5000) widths.clear();
			widths.set(s.label, width);
		}
		const w = width + 10;
		const y = top - 18 >= 0 ? top - 18 : top + 2;
		const cx0 = Math.floor(x / cell),
			cx1 = Math.floor((x + w) / cell),
			cy0 = Math.floor(y / cell),
			cy1 = Math.floor((y + 16) / cell);
		for (let cy = cy0; cy <= cy1; cy++) for (let cx = cx0; cx <= cx1; cx++) if (taken.has(cy * columns + cx)) return;
		for (let cy = cy0; cy <= cy1; cy++) for (let cx = cx0; cx <= cx1; cx++) taken.add(cy * columns + cx);
		ctx.fillStyle = css(s.color);
		ctx.fillRect(x - 1, y, w, 16);
		ctx.fillStyle = luminance(s.color) > 0.32 ? '#0f1216' : '#ffffff';
		ctx.fillText(s.label, x + 4, y + 8.5);
	};
	for (let i = late.length - 1; i >= 0; i--) put(late[i]);
	const chosen = new Set(late);
	for (let i = shown.length - 1; i >= 0; i--) if (!chosen.has(shown[i])) put(shown[i]);
}

function luminance(color: number): number {
	const lin = (v: number) => ((v /= 255), v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
	return 0.2126 * lin(color >> 16) + 0.7152 * lin((color >> 8) & 255) + 0.0722 * lin(color & 255);
}

// grid draws the borders of pixels, for zooms at which one is large.
export function pixelGrid(ctx: CanvasRenderingContext2D, view: View): void {
	const { camera, image, size } = view;
	const r: Rect = visible(camera, image, size);
	const [a, b, c, d, e, f] = matrix(camera, image);
	ctx.beginPath();
	const x0 = Math.max(0, Math.floor(r.x)),
		x1 = Math.min(image.width, Math.ceil(r.x + r.w)),
		y0 = Math.max(0, Math.floor(r.y)),
		y1 = Math.min(image.height, Math.ceil(r.y + r.h));
	for (let x = x0; x <= x1; x++) {
		ctx.moveTo(a * x + c * y0 + e, b * x + d * y0 + f);
		ctx.lineTo(a * x + c * y1 + e, b * x + d * y1 + f);
	}
	for (let y = y0; y <= y1; y++) {
		ctx.moveTo(a * x0 + c * y + e, b * x0 + d * y + f);
		ctx.lineTo(a * x1 + c * y + e, b * x1 + d * y + f);
	}
	ctx.setLineDash(none);
	ctx.lineWidth = 1;
	ctx.strokeStyle = 'rgba(128, 128, 128, 0.35)';
	ctx.stroke();
}
