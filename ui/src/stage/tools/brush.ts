import { Painting, type Area } from '../../masks/painting';
import { fromBitmap, toBitmap } from '../../masks/rle';
import { toScreen, type Point } from '../camera';
import { css, type View } from '../c2d/draw';
import { drawCrop } from './masks';
import { nothing, type Host, type Pointer, type Tool } from './tool';

export interface BrushSettings {
	size: number; // diameter in image pixels
	lazy: number; // how far the pointer may be ahead of the brush, image pixels
	friction: number; // 0 to 0.9: how much of the way to the pointer the brush leaves out at each step
	erase: boolean;
}

export interface BrushOptions {
	color(): number;
	fill(): number; // opacity, 0 to 1
	settings(): BrushSettings;
}

export interface BrushTool extends Tool {
	commit(): void;
	fillHoles(): void;
}

interface Work {
	key: string | null; // of the mask that is painted on, null: a new one
	painting: Painting;
	tiles: Map<number, OffscreenCanvas>;
	color: number;
}

const shownTile = 256; // pixels; what a stroke changes is shown tile by tile

// brushTool paints a new mask, or the selected one; the right button erases. What is painted becomes a mask with Enter,
// with another tool and with another item, so that no stroke is lost.
export function brushTool(host: Host, options: BrushOptions): BrushTool {
	let work: Work | null = null;
	let dropped: Work | null = null; // by Escape; undo brings it back
	let fresh: string | null = null; // the mask that was painted last: the next stroke begins another one
	let pointer: Pointer | null = null;
	let brush: Point | null = null; // where the lazy brush is
	let erasing: boolean | null = null; // while a button is down

	const radius = () => Math.max(0.5, options.settings().size / 2);

	function start(): Work {
		const keys = [...host.selection()];
		const key = keys.length === 1 && keys[0] !== fresh ? keys[0] : null;
		const old = key && !host.scene().get(key)?.locked ? host.maskOf(key) : null;
		const { width, height } = host.image();
		const fits = old && old.mask.size[0] === height && old.mask.size[1] === width;
		const crop = fits ? toBitmap(old.mask) : null;
		work = {
			key: fits ? key : null,
			painting: new Painting({ width, height }, crop),
			tiles: new Map(),
			color: (fits && host.scene().get(key!)?.color) || options.color(),
		};
		dropped = null;
		if (crop) show(crop);
		host.redraw('shapes');
		return work;
	}

	// show brings the pixels of an area onto the tiles that are drawn. Small canvases, since one that was drawn is copied
	// when it changes, and in the memory of the page, since they change all the time.
	function show(a: Area): void {
		if (!work || typeof OffscreenCanvas === 'undefined') return;
		const { painting, tiles, color } = work;
		const columns = Math.ceil(painting.size.width / shownTile);
		const ink = (0xff000000 | ((color & 255) << 16) | (color & 0xff00) | (color >> 16)) >>> 0;
		for (let ty = Math.floor(a.y / shownTile); ty * shownTile < a.y + a.height; ty++)
			for (let tx = Math.floor(a.x / shownTile); tx * shownTile < a.x + a.width; tx++) {
				const n = ty * columns + tx;
				const x = Math.max(a.x, tx * shownTile),
					y = Math.max(a.y, ty * shownTile);
				const width = Math.min(a.x + a.width, (tx + 1) * shownTile) - x,
					height = Math.min(a.y + a.height, (ty + 1) * shownTile) - y;
				let tile = tiles.get(n);
				if (!tile) tiles.set(n, (tile = new OffscreenCanvas(shownTile, shownTile)));
				const pixels = new ImageData(width, height);
				const words = new Uint32Array(pixels.data.buffer);
				const { data } = painting.part({ x, y, width, height });
				for (let i = 0; i < data.length; i++) if (data[i]) words[i] = ink;
				tile.getContext('2d', { willReadFrequently: true })!.putImageData(pixels, x - tx * shownTile, y - ty * shownTile);
			}
	}

	function follow(p: Pointer): Point {
		const { lazy, friction } = options.settings();
		if (!brush || (lazy <= 0 && friction <= 0)) return { x: p.x, y: p.y };
		const dx = p.x - brush.x,
			dy = p.y - brush.y,
			away = Math.hypot(dx, dy);
		if (away <= lazy || away === 0) return brush;
		const by = ((away - lazy) / away) * (1 - Math.min(0.95, friction));
		return { x: brush.x + dx * by, y: brush.y + dy * by };
	}

	function paint(from: Point, to: Point): void {
		const area = work!.painting.line(from, to, radius(), erasing ? 0 : 255);
		if (area) show(area);
	}

	function commit(): void {
		const w = work;
		endStroke();
		work = null;
		dropped = null;
		if (!w) return;
		const changed = w.painting.canUndo;
		const crop = changed ? w.painting.crop() : null;
		const { width, height } = host.image();
		if (w.key && changed) {
			host.changeMask(w.key, { mask: fromBitmap(crop, [height, width]), crop }, 'paint');
			fresh = w.key;
		} else if (crop) fresh = host.addMask({ mask: fromBitmap(crop, [height, width]), crop });
		host.hint('hint.brush');
		host.redraw('shapes');
	}

	function endStroke(): void {
		if (erasing === null) return;
		erasing = null;
		work?.painting.end();
	}

	function step(area: Area | null): boolean {
		if (area) show(area);
		host.redraw();
		return area !== null;
	}

	return {
		name: 'brush',
		right: true,
		get busy() {
			return work !== null;
		},
		get skip() {
			return work?.key ? new Set([work.key]) : nothing;
		},
		cursor: () => 'none',
		down(p) {
			pointer = p;
			if (p.ctrl) {
				const under = host
					.scene()
					.pick(p, 0)
					.find((s) => s.kind === 'mask');
				commit();
				fresh = null;
				if (under) host.select([under.key], false);
				return;
			}
			const w = work ?? start();
			erasing = p.button === 2 ? true : options.settings().erase;
			w.painting.begin();
			brush = { x: p.x, y: p.y };
			paint(brush, brush);
			host.hint(w.key ? 'hint.brush.into' : 'hint.brush.paint');
			host.redraw();
		},
		move(p, pressed) {
			pointer = p;
			if (pressed && erasing !== null && brush) {
				const to = follow(p);
				if (to.x !== brush.x || to.y !== brush.y) paint(brush, to);
				brush = to;
			} else host.hover(null);
			host.redraw();
		},
		up(p) {
			// A busy page may hear of the last part of a stroke by its end alone.
			if (erasing !== null && brush && work) paint(brush, follow(p));
			endStroke();
			brush = null;
			host.redraw();
		},
		key(key) {
			if (key !== 'Enter' || !work) return false;
			commit();
			return true;
		},
		cancel() {
			endStroke();
			if (!work) return false;
			if (work.painting.canUndo) dropped = work;
			work = null;
			host.hint(dropped ? 'hint.brush.dropped' : 'hint.brush');
			host.redraw('shapes');
			return true;
		},
		undo() {
			endStroke();
			if (work) {
				if (step(work.painting.undo())) return true;
				return work.painting.canRedo; // all strokes are undone already: what is older waits
			}
			if (!dropped) return false;
			work = dropped;
			dropped = null;
			host.redraw('shapes');
			return true;
		},
		redo: () => (work ? step(work.painting.redo()) || true : false),
		commit,
		fillHoles() {
			if (work) step(work.painting.fill());
		},
		finish() {
			commit();
			fresh = null;
			dropped = null;
		},
		leave() {
			pointer = null;
		},
		draw(ctx, view) {
			if (work) drawTiles(ctx, view, work.tiles, work.painting.size.width, options.fill());
			if (!pointer) return;
			const at = erasing !== null && brush ? brush : pointer;
			const p = toScreen(view.camera, view.image, at);
			const r = radius() * view.camera.scale;
			const erase = erasing ?? options.settings().erase;
			ring(ctx, p, Math.max(1.5, r), css(work?.color ?? options.color()), erase);
			if (erasing !== null && options.settings().lazy > 0) {
				const q = pointer.screen;
				for (const [width, ink] of [
					[3, 'rgba(0, 0, 0, 0.5)'],
					[1, '#ffffff'],
				] as const) {
					ctx.beginPath();
					ctx.moveTo(p.x, p.y);
					ctx.lineTo(q.x, q.y);
					ctx.lineWidth = width;
					ctx.strokeStyle = ink;
					ctx.stroke();
				}
			}
		},
	};
}

function drawTiles(ctx: CanvasRenderingContext2D, view: View, tiles: Map<number, OffscreenCanvas>, width: number, fill: number): void {
	const columns = Math.ceil(width / shownTile);
	ctx.globalAlpha = Math.max(0.15, fill * 0.75);
	for (const [n, tile] of tiles)
		drawCrop(ctx, view, tile, (n % columns) * shownTile, Math.floor(n / columns) * shownTile, shownTile, shownTile);
	ctx.globalAlpha = 1;
}

function ring(ctx: CanvasRenderingContext2D, p: Point, r: number, color: string, erase: boolean): void {
	ctx.setLineDash([]);
	ctx.beginPath();
	ctx.arc(p.x, p.y, r, 0, 7);
	ctx.lineWidth = 3.5;
	ctx.strokeStyle = 'rgba(0, 0, 0, 0.6)';
	ctx.stroke();
	if (erase) ctx.setLineDash([4, 4]);
	ctx.lineWidth = 1.5;
	ctx.strokeStyle = erase ? '#ffffff' : color;
	ctx.stroke();
	ctx.setLineDash([]);
	ctx.fillStyle = '#ffffff';
	ctx.fillRect(p.x - 1, p.y - 1, 2, 2);
}
