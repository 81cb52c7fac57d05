import { matrix } from '../camera';
import { equalize, type Adjust, type Layer } from '../gl/image';
import type { Scene } from '../scene';
import { css } from './draw';

// canvasLayer draws image and masks with Canvas2D, where WebGL2 is missing. The adjusted image is made when an
// adjustment changes and kept.
export function canvasLayer(canvas: HTMLCanvasElement): Layer {
	const ctx = canvas.getContext('2d')!;
	const stats = { draws: 0, uploaded: 0 };
	let bitmap: ImageBitmap | null = null;
	let size = { width: 0, height: 0 };
	let scene: Scene | null = null;
	let adjusted: { of: string; image: CanvasImageSource } | null = null;
	let masks = new Map<object, { color: number; image: OffscreenCanvas }>();

	function look(adjust: Adjust): CanvasImageSource {
		const of = JSON.stringify({ ...adjust, smooth: true });
		if (adjusted?.of === of) return adjusted.image;
		const { brightness, contrast, gamma, low, high, channel, invert } = adjust;
		let image: CanvasImageSource = bitmap!;
		if (brightness || contrast || gamma || low > 0 || high < 1 || channel !== 'rgb' || invert || adjust.equalize) {
			const off = new OffscreenCanvas(bitmap!.width, bitmap!.height);
			const c = off.getContext('2d', { willReadFrequently: true })!;
			c.drawImage(bitmap!, 0, 0);
			const pixels = c.getImageData(0, 0, off.width, off.height);
			const even = adjust.equalize ? equalize(pixels.data) : null;
			const table = new Uint8ClampedArray(256).map((_, v) => {
				const level = Math.min(1, Math.max(0, ((even?.[v] ?? v) / 255 - low) / Math.max(1 / 255, high - low)));
				let x = (level ** (2 ** (-gamma * 1.6)) - 0.5) * 2 ** (contrast * 2) + 0.5 + brightness;
				if (invert) x = 1 - x;
				return x * 255;
			});
			const only = { rgb: -1, r: 0, g: 1, b: 2, grey: 3 }[channel];
			const p = pixels.data;
			for (let i = 0; i < p.length; i += 4) {
				const v = only === 3 ? 0.299 * p[i] + 0.587 * p[i + 1] + 0.114 * p[i + 2] : only >= 0 ? p[i + only] : -1;
				for (let k = 0; k < 3; k++) p[i + k] = table[Math.round(v >= 0 ? v : p[i + k])];
			}
			c.putImageData(pixels, 0, 0);
			image = off;
		}
		adjusted = { of, image };
		return image;
	}

	return {
		kind: '2d',
		stats,
		setImage(image, width, height) {
			bitmap = image;
			size = { width, height };
			adjusted = null;
		},
		setMasks(next) {
			scene = next;
			const kept = new Map<object, { color: number; image: OffscreenCanvas }>();
			for (const s of next.shapes) {
				if (s.kind !== 'mask') continue;
				const old = masks.get(s.crop);
				if (old?.color === s.color) {
					kept.set(s.crop, old);
					continue;
				}
				const { width, height, data } = s.crop;
				const image = new OffscreenCanvas(width, height);
				const pixels = new ImageData(width, height);
				const words = new Uint32Array(pixels.data.buffer);
				const word = (0xff000000 | ((s.color & 255) << 16) | (s.color & 0xff00) | (s.color >> 16)) >>> 0;
				for (let i = 0; i < data.length; i++) if (data[i]) words[i] = word;
				image.getContext('2d')!.putImageData(pixels, 0, 0);
				kept.set(s.crop, { color: s.color, image });
			}
			masks = kept;
		},
		draw(view, adjust, style) {
			const { size: canvasSize, ratio, camera } = view;
			ctx.setTransform(1, 0, 0, 1, 0, 0);
			ctx.clearRect(0, 0, canvasSize.width * ratio, canvasSize.height * ratio);
			stats.draws = 0;
			const [a, b, c, d, e, f] = matrix(camera, view.image);
			ctx.setTransform(a * ratio, b * ratio, c * ratio, d * ratio, e * ratio, f * ratio);
			ctx.imageSmoothingEnabled = adjust.smooth && camera.scale < 8;
			if (bitmap) {
				ctx.drawImage(look(adjust), 0, 0, size.width, size.height);
				stats.draws++;
			}
			if (!scene || style.peek) return;
			ctx.imageSmoothingEnabled = false;
			for (const s of scene.shapes) {
				if (s.kind !== 'mask' || s.hidden || style.skip.has(s.key)) continue;
				const active = style.selected.has(s.key) || s.key === style.hover;
				ctx.globalAlpha = Math.max(0.02, style.fill * (active ? 0.75 : 0.45));
				ctx.drawImage(masks.get(s.crop)!.image, s.crop.x, s.crop.y);
				if (active) {
					ctx.globalAlpha = 1;
					ctx.strokeStyle = css(s.color);
					ctx.lineWidth = 1 / camera.scale;
					ctx.strokeRect(s.crop.x, s.crop.y, s.crop.width, s.crop.height);
				}
				stats.draws++;
			}
			ctx.globalAlpha = 1;
		},
		dispose() {
			masks.clear();
		},
	};
}
