// Camera maps image pixels to CSS pixels of the view: screen = rotate(image) × scale + (x, y).
export interface Camera {
	readonly scale: number;
	readonly x: number;
	readonly y: number;
	readonly turn: 0 | 1 | 2 | 3; // quarter turns clockwise
}

export interface Size {
	readonly width: number;
	readonly height: number;
}

export interface Point {
	x: number;
	y: number;
}

export interface Rect {
	x: number;
	y: number;
	w: number;
	h: number;
}

export const minScale = 0.01;
export const maxScale = 64;

// turned gives the image's size as it is seen.
export const turned = (image: Size, turn: number): Size => (turn & 1 ? { width: image.height, height: image.width } : image);

export function rotate(p: Point, image: Size, turn: number): Point {
	switch (turn & 3) {
		case 1:
			return { x: image.height - p.y, y: p.x };
		case 2:
			return { x: image.width - p.x, y: image.height - p.y };
		case 3:
			return { x: p.y, y: image.width - p.x };
		default:
			return p;
	}
}

export function toScreen(c: Camera, image: Size, p: Point): Point {
	const r = rotate(p, image, c.turn);
	return { x: r.x * c.scale + c.x, y: r.y * c.scale + c.y };
}

export function toImage(c: Camera, image: Size, p: Point): Point {
	return rotate({ x: (p.x - c.x) / c.scale, y: (p.y - c.y) / c.scale }, turned(image, c.turn), 4 - c.turn);
}

// matrix returns a, b, c, d, e, f of the canvas transform from image to screen.
export function matrix(c: Camera, image: Size): [number, number, number, number, number, number] {
	const o = toScreen(c, image, { x: 0, y: 0 });
	const u = toScreen(c, image, { x: 1, y: 0 });
	const v = toScreen(c, image, { x: 0, y: 1 });
	return [u.x - o.x, u.y - o.y, v.x - o.x, v.y - o.y, o.x, o.y];
}

export function fit(image: Size, view: Size, turn: Camera['turn'] = 0, margin = 16): Camera {
	return fitRect({ x: 0, y: 0, w: image.width, h: image.height }, image, view, turn, margin, maxScale);
}

// fitRect shows a part of the image as large as the view allows.
export function fitRect(r: Rect, image: Size, view: Size, turn: Camera['turn'], margin: number, largest = 8): Camera {
	const a = rotate({ x: r.x, y: r.y }, image, turn);
	const b = rotate({ x: r.x + r.w, y: r.y + r.h }, image, turn);
	const w = Math.max(1e-6, Math.abs(b.x - a.x)),
		h = Math.max(1e-6, Math.abs(b.y - a.y));
	const scale = clampScale(Math.min((view.width - 2 * margin) / w, (view.height - 2 * margin) / h, largest));
	return { scale, turn, x: view.width / 2 - ((a.x + b.x) / 2) * scale, y: view.height / 2 - ((a.y + b.y) / 2) * scale };
}

// zoomAt changes the scale by a factor; the point of the image under p stays there.
export function zoomAt(c: Camera, p: Point, factor: number): Camera {
	const scale = clampScale(c.scale * factor);
	const f = scale / c.scale;
	return { ...c, scale, x: p.x - (p.x - c.x) * f, y: p.y - (p.y - c.y) * f };
}

export const pan = (c: Camera, dx: number, dy: number): Camera => ({ ...c, x: c.x + dx, y: c.y + dy });

// hold keeps a part of the image inside of the view, so that it cannot be lost.
export function hold(c: Camera, image: Size, view: Size, keep = 48): Camera {
	const seen = turned(image, c.turn);
	const w = seen.width * c.scale,
		h = seen.height * c.scale;
	return { ...c, x: Math.min(view.width - keep, Math.max(keep - w, c.x)), y: Math.min(view.height - keep, Math.max(keep - h, c.y)) };
}

// visible returns the part of the image that the view shows.
export function visible(c: Camera, image: Size, view: Size): Rect {
	const a = toImage(c, image, { x: 0, y: 0 });
	const b = toImage(c, image, { x: view.width, y: view.height });
	return { x: Math.min(a.x, b.x), y: Math.min(a.y, b.y), w: Math.abs(a.x - b.x), h: Math.abs(a.y - b.y) };
}

const clampScale = (s: number) => Math.min(maxScale, Math.max(minScale, s));
