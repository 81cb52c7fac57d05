import { equalize, plain, sameLook, small, wide, type Adjust } from '../adjust';
import { matrix } from '../camera';
import { deep, type Layer, type Picture } from '../gl/image';
import type { Scene } from '../scene';
import { css } from './draw';
import { paint } from './paint';

// canvasLayer draws image and masks with Canvas2D, where WebGL2 is missing. The adjusted image is made when an
// adjustment changes and kept.
export function canvasLayer(canvas: HTMLCanvasElement): Layer {
	const ctx = canvas.getContext('2d')!;
	const stats = { draws: 0, uploaded: 0 };
	let picture: Picture | null = null;
	let size = { width: 0, height: 0 };
	let scene: Scene | null = null;
	let adjusted: { of: string; image: CanvasImageSource } | null = null;
	let masks = new Map<object, { color: number; image: OffscreenCanvas }>();

	function look(adjust: Adjust): CanvasImageSource {
		const of = JSON.stringify({ ...adjust, smooth: true });
		if (adjusted?.of === of) return adjusted.image;
		const from = picture!;
		let image: CanvasImageSource;
		if (deep(from)) image = from.canvas(adjust);
		else if (sameLook({ ...adjust, smooth: true }, plain)) image = from;
		else {
			const off = new OffscreenCanvas(from.width, from.height);
			const c = off.getContext('2d', { willReadFrequently: true })!;
			c.drawImage(from, 0, 0);
			const pixels = c.getImageData(0, 0, off.width, off.height);
			paint(pixels.data, pixels.data, 4, adjust, adjust.windows ?? wide, adjust.equalize ? equalize(small(from)) : null);
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
			picture = image;
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
			if (picture) {
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
