import type { Point, Size } from './camera';
import type { Scene } from './scene';

// snapToImage puts a point that is near an edge of the image onto it.
export function snapToImage<P extends Point>(p: P, image: Size, reach: number): P {
	const near = (v: number, end: number) => (Math.abs(v) <= reach ? 0 : Math.abs(v - end) <= reach ? end : v);
	return { ...p, x: near(p.x, image.width), y: near(p.y, image.height) };
}

// snapToShapes gives the nearest corner of a box or place on the outline of a mask within reach; null if there is none.
// On masks those are corners of pixels, so that what is drawn along them leaves no gap.
export function snapToShapes(scene: Scene, p: Point, reach: number, but: ReadonlySet<string>): Point | null {
	let best: Point | null = null,
		least = reach * reach;
	const offer = (x: number, y: number) => {
		const d = (x - p.x) ** 2 + (y - p.y) ** 2;
		if (d > least) return;
		least = d;
		best = { x, y };
	};
	for (const i of scene.query({ x: p.x - reach, y: p.y - reach, w: 2 * reach, h: 2 * reach })) {
		const s = scene.shapes[i];
		if (s.hidden || but.has(s.key)) continue;
		if (s.kind === 'box') for (const x of [s.x, s.x + s.w]) for (const y of [s.y, s.y + s.h]) offer(x, y);
		if (s.kind !== 'mask') continue;
		const { x: left, y: top, width, height, data } = s.crop;
		const at = (x: number, y: number) => (x >= 0 && y >= 0 && x < width && y < height && data[y * width + x] ? 1 : 0);
		const r = Math.min(reach, 64);
		for (let y = Math.max(0, Math.floor(p.y - r) - top); y <= Math.min(height, Math.ceil(p.y + r) - top); y++)
			for (let x = Math.max(0, Math.floor(p.x - r) - left); x <= Math.min(width, Math.ceil(p.x + r) - left); x++) {
				const n = at(x - 1, y - 1) + at(x, y - 1) + at(x - 1, y) + at(x, y);
				if (n > 0 && n < 4) offer(x + left, y + top);
			}
	}
	return best;
}
