// A mask while it is painted: one byte a pixel, and what it takes to undo each stroke.
import type { Bitmap } from './rle';
import { crop, fillHoles, part, type Extent } from './morph';

export const tile = 64; // pixels; a stroke keeps the tiles that it changed

export interface Area {
	x: number;
	y: number;
	width: number;
	height: number;
}

type Tiles = Map<number, Uint8Array>; // by number → its pixels before

const most = 64 << 20; // bytes that all strokes may keep

export class Painting {
	readonly data: Uint8Array;
	private columns: number;
	private undone: Tiles[] = [];
	private done: Tiles[] = [];
	private bytes = 0;
	private stroke: Tiles | null = null;

	constructor(
		readonly size: Extent,
		start: Bitmap | null,
	) {
		this.data = new Uint8Array(size.width * size.height);
		this.columns = Math.ceil(size.width / tile);
		if (start)
			for (let y = 0; y < start.height; y++)
				this.data.set(start.data.subarray(y * start.width, (y + 1) * start.width), (start.y + y) * size.width + start.x);
	}

	get canUndo(): boolean {
		return this.done.length > 0;
	}
	get canRedo(): boolean {
		return this.undone.length > 0;
	}

	begin(): void {
		this.stroke = new Map();
	}

	// line paints (255) or erases (0) with a round brush from a to b, and returns what may have changed.
	line(a: { x: number; y: number }, b: { x: number; y: number }, radius: number, value: 0 | 255): Area | null {
		const { width, height } = this.size;
		const x0 = Math.max(0, Math.floor(Math.min(a.x, b.x) - radius)),
			x1 = Math.min(width - 1, Math.ceil(Math.max(a.x, b.x) + radius)),
			y0 = Math.max(0, Math.floor(Math.min(a.y, b.y) - radius)),
			y1 = Math.min(height - 1, Math.ceil(Math.max(a.y, b.y) + radius));
		if (x0 > x1 || y0 > y1) return null;
		const area = { x: x0, y: y0, width: x1 - x0 + 1, height: y1 - y0 + 1 };
		this.keep(area);
		// Each row of the two discs and the band between them is one run of pixels.
		const dx = b.x - a.x,
			dy = b.y - a.y,
			length = Math.hypot(dx, dy);
		const nx = length ? (-dy / length) * radius : 0,
			ny = length ? (dx / length) * radius : 0;
		for (let y = y0; y <= y1; y++) {
			const cy = y + 0.5;
			let from = Infinity,
				to = -Infinity;
			for (const c of [a, b]) {
				const h = radius * radius - (cy - c.y) ** 2;
				if (h < 0) continue;
				const w = Math.sqrt(h);
				from = Math.min(from, c.x - w);
				to = Math.max(to, c.x + w);
			}
			if (length)
				for (const s of [1, -1]) {
					// The long sides of the band.
					const py = a.y + s * ny,
						qy = b.y + s * ny;
					if (dy === 0 || cy < Math.min(py, qy) || cy > Math.max(py, qy)) continue;
					const x = a.x + s * nx + ((cy - py) / (qy - py)) * dx;
					from = Math.min(from, x);
					to = Math.max(to, x);
				}
			// Pixels whose middle is inside.
			const i = Math.max(0, Math.ceil(from - 0.5)),
				j = Math.min(width - 1, Math.floor(to - 0.5));
			if (i <= j) this.data.fill(value, y * width + i, y * width + j + 1);
		}
		return area;
	}

	end(): void {
		const s = this.stroke;
		this.stroke = null;
		if (!s) return;
		// Tiles that the brush passed over without a change are not kept.
		for (const [n, before] of s) {
			if (sameBytes(this.read(n), before)) s.delete(n);
		}
		if (s.size === 0) return;
		this.done.push(s);
		this.undone = [];
		this.bytes = this.done.reduce((sum, t) => sum + bytesOf(t), 0);
		while (this.bytes > most && this.done.length > 1) this.bytes -= bytesOf(this.done.shift()!);
	}

	undo(): Area | null {
		return this.swap(this.done, this.undone);
	}
	redo(): Area | null {
		return this.swap(this.undone, this.done);
	}

	// fill fills holes, as a stroke of its own.
	fill(): Area | null {
		const now = this.crop();
		if (!now) return null;
		this.begin();
		this.keep(now);
		const filled = fillHoles(now);
		for (let y = 0; y < filled.height; y++)
			this.data.set(filled.data.subarray(y * filled.width, (y + 1) * filled.width), (filled.y + y) * this.size.width + filled.x);
		this.end();
		return now;
	}

	crop(): Bitmap | null {
		return crop({ x: 0, y: 0, ...this.size, data: this.data });
	}

	part(a: Area): Bitmap {
		return part({ x: 0, y: 0, ...this.size, data: this.data }, a.x, a.y, a.width, a.height);
	}

	private keep(a: Area): void {
		if (!this.stroke) return;
		for (let ty = Math.floor(a.y / tile); ty <= Math.floor((a.y + a.height - 1) / tile); ty++)
			for (let tx = Math.floor(a.x / tile); tx <= Math.floor((a.x + a.width - 1) / tile); tx++) {
				const n = ty * this.columns + tx;
				if (!this.stroke.has(n)) this.stroke.set(n, this.read(n));
			}
	}

	private place(n: number): Area {
		const x = (n % this.columns) * tile,
			y = Math.floor(n / this.columns) * tile;
		return { x, y, width: Math.min(tile, this.size.width - x), height: Math.min(tile, this.size.height - y) };
	}

	private read(n: number): Uint8Array {
		return this.part(this.place(n)).data;
	}

	private swap(from: Tiles[], to: Tiles[]): Area | null {
		const tiles = from.pop();
		if (!tiles) return null;
		const other: Tiles = new Map();
		let x0 = Infinity,
			y0 = Infinity,
			x1 = 0,
			y1 = 0;
		for (const [n, pixels] of tiles) {
			const p = this.place(n);
			other.set(n, this.read(n));
			for (let y = 0; y < p.height; y++) this.data.set(pixels.subarray(y * p.width, (y + 1) * p.width), (p.y + y) * this.size.width + p.x);
			x0 = Math.min(x0, p.x);
			y0 = Math.min(y0, p.y);
			x1 = Math.max(x1, p.x + p.width);
			y1 = Math.max(y1, p.y + p.height);
		}
		to.push(other);
		return { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
	}
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
	for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
	return true;
}

const bytesOf = (tiles: Tiles) => [...tiles.values()].reduce((n, t) => n + t.length, 0);
