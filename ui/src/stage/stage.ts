import { canvasLayer } from './c2d/layer';
import { css, draw, pixelGrid, type Style, type View } from './c2d/draw';
import { fit, fitRect, hold, pan, toImage, toScreen, zoomAt, type Camera, type Point, type Rect, type Size } from './camera';
import { plain, type Adjust } from './adjust';
import { glLayer, type Layer, type Picture } from './gl/image';
import { Scene } from './scene';
import { drawRect } from './tools/handles';
import { nothing, type Pointer, type Tool } from './tools/tool';

// Ghost is a box that is shown but not there, such as the other side of a conflict.
export interface Ghost {
	rect: Rect;
	color: number;
	label: string;
}

const slow = 8; // ms; a redraw above it lets pan and zoom move the drawn canvases instead
const settle = 80; // ms of quiet before they are drawn anew
const margin = 0.2; // of the view on each side, drawn beyond its edges

export interface StageOptions {
	gl: boolean; // false: Canvas2D
	tool(): Tool;
	onCamera(camera: Camera, by: 'hand' | 'code'): void;
	onPointer(p: Point | null): void; // image pixels
	onFocus(): void;
	linked?(camera: Camera): void;
}

// Stage shows one view: three canvases over each other, for the image with its masks, the shapes, and what is being
// edited. It draws at most once a frame, and only what changed.
export class Stage {
	camera: Camera = { scale: 1, x: 0, y: 0, turn: 0 };
	image: Size = { width: 1, height: 1 };
	scene = new Scene([]);
	adjust: Adjust = plain;
	moves = 0; // how often a hand moved the camera
	stats = { script: 0, frames: 0, draws: 0, uploaded: 0, painted: 0 };

	private size: Size = { width: 0, height: 0 };
	private corner = { x: 0, y: 0 }; // of the box on the screen
	private ratio = 1;
	private layer: Layer;
	private canvases: HTMLCanvasElement[];
	private shapes: CanvasRenderingContext2D;
	private hud: CanvasRenderingContext2D;
	private style: Style = { selected: new Set(), hover: null, fill: 0.6, labels: true, skip: nothing, peek: false };
	private dirty = { image: false, shapes: false, hud: false };
	private frame = 0;
	private cost = 0; // ms of the last full redraw
	private drawn: Camera | null = null; // the camera that the canvases show
	private quiet = 0;
	private panning: { x: number; y: number } | null = null;
	private pressed = false;
	private space = false;
	private touched = false; // the user moved the camera: keep it when the view changes its size
	private ghosts: Ghost[] = [];
	private observer: ResizeObserver;
	private last: Pointer | null = null;
	private pinch = new Map<number, Point>();
	private abort = new AbortController();

	constructor(
		private box: HTMLElement,
		private o: StageOptions,
	) {
		const make = () => {
			const c = document.createElement('canvas');
			c.style.cssText = 'position:absolute;transform-origin:0 0;pointer-events:none';
			box.append(c);
			return c;
		};
		this.canvases = [make(), make(), make()];
		let layer = o.gl ? glLayer(this.canvases[0]) : null;
		if (!layer) {
			// A canvas that was asked for WebGL and had none gives no 2D context in some browsers.
			const fresh = document.createElement('canvas');
			fresh.style.cssText = this.canvases[0].style.cssText;
			this.canvases[0].replaceWith(fresh);
			this.canvases[0] = fresh;
			layer = canvasLayer(fresh);
		}
		this.layer = layer;
		this.shapes = this.canvases[1].getContext('2d')!;
		this.hud = this.canvases[2].getContext('2d')!;
		this.canvases[0].addEventListener('redraw', () => this.invalidate('image'));
		this.observer = new ResizeObserver(() => this.resize());
		this.observer.observe(box);
		this.listen();
		this.resize();
	}

	get kind(): 'gl' | '2d' {
		return this.layer.kind;
	}

	setImage(picture: Picture | null, size: Size): void {
		const first = this.image.width !== size.width || this.image.height !== size.height;
		this.image = size;
		this.layer.setImage(picture, size.width, size.height);
		if (first && !this.touched) this.fit();
		this.invalidate('image', 'shapes', 'hud');
	}

	setScene(scene: Scene): void {
		this.scene = scene;
		this.layer.setMasks(scene);
		this.invalidate('image', 'shapes', 'hud');
	}

	setStyle(style: Partial<Style>): void {
		this.style = { ...this.style, ...style };
		this.invalidate('image', 'shapes', 'hud');
	}

	setGhosts(ghosts: Ghost[]): void {
		this.ghosts = ghosts;
		this.invalidate('hud');
	}

	setAdjust(adjust: Adjust): void {
		this.adjust = adjust;
		this.invalidate('image');
	}

	setCamera(camera: Camera, by: 'hand' | 'code' = 'code'): void {
		this.camera = hold(camera, this.image, this.size);
		if (by === 'hand') {
			this.touched = true;
			this.moves++;
		}
		this.move();
		this.o.onCamera(this.camera, by);
	}

	fit(turn = this.camera.turn): void {
		this.touched = false;
		this.setCamera(fit(this.image, this.size, turn));
	}

	showRect(r: Rect): void {
		this.touched = true;
		this.setCamera(fitRect(r, this.image, this.size, this.camera.turn, Math.min(this.size.width, this.size.height) * 0.2));
	}

	zoom(factor: number): void {
		this.setCamera(zoomAt(this.camera, { x: this.size.width / 2, y: this.size.height / 2 }, factor), 'hand');
	}

	actualSize(): void {
		this.zoom(1 / this.camera.scale);
	}

	turn(): void {
		this.fit(((this.camera.turn + 1) & 3) as Camera['turn']);
		this.invalidate('image', 'shapes', 'hud');
	}

	get viewSize(): Size {
		return this.size;
	}

	invalidate(...layers: ('image' | 'shapes' | 'hud')[]): void {
		for (const l of layers) this.dirty[l] = true;
		this.frame ||= requestAnimationFrame(() => this.paint());
	}

	// hold Space to pan.
	setSpace(on: boolean): void {
		this.space = on;
		this.updateCursor();
	}

	updateCursor(): void {
		this.box.style.cursor = this.panning ? 'grabbing' : this.space ? 'grab' : this.o.tool().cursor(this.last);
	}

	dispose(): void {
		this.abort.abort();
		this.observer.disconnect();
		cancelAnimationFrame(this.frame);
		clearTimeout(this.quiet);
		this.layer.dispose();
		for (const c of this.canvases) c.remove();
	}

	private resize(): void {
		const { clientWidth: width, clientHeight: height } = this.box;
		if (width === 0 || height === 0) return;
		const before = this.size;
		const { left: x, top: y } = this.box.getBoundingClientRect();
		this.ratio = Math.min(2, globalThis.devicePixelRatio || 1);
		this.size = { width, height };
		const mx = Math.round(width * margin),
			my = Math.round(height * margin);
		for (const c of this.canvases) {
			c.width = Math.round((width + 2 * mx) * this.ratio);
			c.height = Math.round((height + 2 * my) * this.ratio);
			c.style.width = `${width + 2 * mx}px`;
			c.style.height = `${height + 2 * my}px`;
			c.style.left = `${-mx}px`;
			c.style.top = `${-my}px`;
		}
		if (!this.touched) this.fit();
		else if (before.width) this.setCamera(pan(this.camera, this.corner.x - x, this.corner.y - y)); // it stays where the eye has it
		this.corner = { x, y };
		this.drawn = null;
		this.invalidate('image', 'shapes', 'hud');
	}

	// view is what is drawn: the visible part with its margins.
	private view(): View {
		const mx = Math.round(this.size.width * margin),
			my = Math.round(this.size.height * margin);
		return {
			camera: { ...this.camera, x: this.camera.x + mx, y: this.camera.y + my },
			image: this.image,
			size: { width: this.size.width + 2 * mx, height: this.size.height + 2 * my },
			ratio: this.ratio,
		};
	}

	private move(): void {
		clearTimeout(this.quiet);
		if (this.cost > slow && this.drawn && this.drawn.turn === this.camera.turn) {
			// The compositor moves what is drawn; it is drawn sharp when the hand rests.
			const f = this.camera.scale / this.drawn.scale;
			const mx = Math.round(this.size.width * margin),
				my = Math.round(this.size.height * margin);
			const x = this.camera.x + mx - (this.drawn.x + mx) * f,
				y = this.camera.y + my - (this.drawn.y + my) * f;
			for (const c of this.canvases) c.style.transform = `translate(${x}px, ${y}px) scale(${f})`;
			this.quiet = setTimeout(() => this.invalidate('image', 'shapes', 'hud'), settle) as unknown as number;
		} else this.invalidate('image', 'shapes', 'hud');
	}

	private paint(): void {
		this.frame = 0;
		if (this.size.width === 0) return;
		const start = performance.now();
		const view = this.view();
		const full = this.dirty.image && this.dirty.shapes;
		const tool = this.o.tool();
		if (this.drawn && !same(this.drawn, this.camera)) this.dirty = { image: true, shapes: true, hud: true };
		if (this.drawn === null || !same(this.drawn, this.camera)) for (const c of this.canvases) c.style.transform = '';
		this.drawn = this.camera;
		if (this.dirty.image) {
			this.layer.draw(view, this.adjust, { ...this.style, skip: tool.skip });
			this.stats.draws = this.layer.stats.draws;
			this.stats.uploaded = this.layer.stats.uploaded;
		}
		if (this.dirty.shapes) {
			this.stats.painted = draw(this.shapes, this.scene, view, { ...this.style, skip: tool.skip });
			if (this.camera.scale >= 12) pixelGrid(this.shapes, view);
		}
		if (this.dirty.hud) {
			const { width, height } = view.size;
			this.hud.setTransform(1, 0, 0, 1, 0, 0);
			this.hud.clearRect(0, 0, width * this.ratio, height * this.ratio);
			const mx = Math.round(this.size.width * margin),
				my = Math.round(this.size.height * margin);
			// Tools draw in the coordinates of the view without its margins.
			this.hud.setTransform(this.ratio, 0, 0, this.ratio, mx * this.ratio, my * this.ratio);
			const plainView = { camera: this.camera, image: this.image, size: this.size, ratio: this.ratio };
			for (const g of this.ghosts) {
				drawRect(this.hud, plainView, g.rect, g.color, true);
				const at = toScreen(this.camera, this.image, g.rect);
				this.hud.font = '500 12px "Inter Variable", system-ui, sans-serif';
				this.hud.textBaseline = 'alphabetic';
				this.hud.fillStyle = css(g.color);
				this.hud.fillText(g.label, at.x, at.y - 5);
			}
			if (!this.style.peek) tool.draw(this.hud, plainView);
		}
		this.dirty = { image: false, shapes: false, hud: false };
		const took = performance.now() - start;
		this.stats.script = took;
		this.stats.frames++;
		if (full) {
			// What the GPU still does is not in it; the time to the frame after next tells.
			this.cost = took;
			requestAnimationFrame(() => requestAnimationFrame(() => (this.cost = Math.max(this.cost, (performance.now() - start - 17) / 2))));
		}
	}

	private pointer(e: PointerEvent | MouseEvent): Pointer {
		const r = this.box.getBoundingClientRect();
		const screen = { x: e.clientX - r.left, y: e.clientY - r.top };
		return {
			...toImage(this.camera, this.image, screen),
			screen,
			button: e.button,
			shift: e.shiftKey,
			alt: e.altKey,
			ctrl: e.ctrlKey || e.metaKey,
		};
	}

	private listen(): void {
		const on = <K extends keyof HTMLElementEventMap>(type: K, fn: (e: HTMLElementEventMap[K]) => void, passive = true) =>
			this.box.addEventListener(type, fn as EventListener, { signal: this.abort.signal, passive });
		on('pointerdown', (e) => {
			this.o.onFocus();
			this.box.setPointerCapture(e.pointerId);
			if (e.pointerType === 'touch') {
				this.pinch.set(e.pointerId, { x: e.clientX, y: e.clientY });
				if (this.pinch.size === 2) this.o.tool().cancel();
			}
			if (e.button === 1 || this.space) {
				this.panning = { x: e.clientX, y: e.clientY };
				this.updateCursor();
				return;
			}
			if (e.button !== 0 && !(e.button === 2 && this.o.tool().right)) return;
			this.pressed = true;
			this.o.tool().down(this.pointer(e));
			this.updateCursor();
		});
		on('pointermove', (e) => {
			const p = this.pointer(e);
			this.last = p;
			this.o.onPointer(p);
			if (this.pinch.size === 2 && this.pinch.has(e.pointerId)) {
				const [a, b] = [...this.pinch.values()];
				const before = Math.hypot(a.x - b.x, a.y - b.y);
				this.pinch.set(e.pointerId, { x: e.clientX, y: e.clientY });
				const [c, d] = [...this.pinch.values()];
				const after = Math.hypot(c.x - d.x, c.y - d.y);
				const r = this.box.getBoundingClientRect();
				const middle = { x: (c.x + d.x) / 2 - r.left, y: (c.y + d.y) / 2 - r.top };
				this.setCamera(
					pan(zoomAt(this.camera, middle, after / Math.max(1, before)), (c.x + d.x - a.x - b.x) / 2, (c.y + d.y - a.y - b.y) / 2),
					'hand',
				);
				return;
			}
			if (this.panning) {
				this.setCamera(pan(this.camera, e.clientX - this.panning.x, e.clientY - this.panning.y), 'hand');
				this.panning = { x: e.clientX, y: e.clientY };
				return;
			}
			// Of a stroke every place counts, also those between two frames.
			const all = this.pressed ? (e.getCoalescedEvents?.() ?? []) : [];
			for (const c of all.slice(0, -1)) this.o.tool().move(this.pointer(c), true);
			this.o.tool().move(p, this.pressed);
			this.updateCursor();
		});
		const end = (e: PointerEvent) => {
			this.pinch.delete(e.pointerId);
			if (this.panning) this.panning = null;
			else if (this.pressed) {
				this.pressed = false;
				if (e.type === 'pointercancel') this.o.tool().cancel();
				else this.o.tool().up(this.pointer(e));
			}
			this.updateCursor();
		};
		on('pointerup', end);
		on('pointercancel', end);
		on('pointerleave', () => {
			this.o.onPointer(null);
			this.o.tool().leave?.();
			this.invalidate('hud');
		});
		on('dblclick', (e) => this.o.tool().double?.(this.pointer(e)));
		on('contextmenu', (e) => e.preventDefault(), false);
		on(
			'wheel',
			(e) => {
				e.preventDefault();
				const unit = e.deltaMode === 1 ? 16 : e.deltaMode === 2 ? this.size.height : 1;
				const r = this.box.getBoundingClientRect();
				// A trackpad's two fingers give small deltas with a sideways part; its pinch comes as Ctrl and wheel.
				const trackpad = !e.ctrlKey && e.deltaMode === 0 && (e.deltaX !== 0 || (Math.abs(e.deltaY) < 40 && !Number.isInteger(e.deltaY)));
				if (trackpad || e.shiftKey)
					this.setCamera(
						pan(this.camera, -e.deltaX * unit - (e.shiftKey && !e.deltaX ? e.deltaY : 0), e.shiftKey ? 0 : -e.deltaY * unit),
						'hand',
					);
				else
					this.setCamera(
						zoomAt(this.camera, { x: e.clientX - r.left, y: e.clientY - r.top }, Math.exp((-e.deltaY * unit * (e.ctrlKey ? 4 : 1)) / 500)),
						'hand',
					);
			},
			false,
		);
	}
}

const same = (a: Camera, b: Camera) => a.scale === b.scale && a.x === b.x && a.y === b.y && a.turn === b.turn;
