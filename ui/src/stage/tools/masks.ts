import type { Bitmap } from '../../masks/rle';
import { toScreen } from '../camera';
import type { View } from '../c2d/draw';

// drawCrop draws pixels of the image where they are on the screen. Corners go to whole device pixels, so that pieces
// side by side leave no seam.
export function drawCrop(
	ctx: CanvasRenderingContext2D,
	view: View,
	pixels: CanvasImageSource,
	x: number,
	y: number,
	width: number,
	height: number,
): void {
	const { camera, image, ratio, size } = view;
	const whole = (v: number) => Math.round(v * ratio) / ratio;
	const a = toScreen(camera, image, { x, y }),
		b = toScreen(camera, image, { x: x + width, y: y + height });
	const left = whole(Math.min(a.x, b.x)),
		right = whole(Math.max(a.x, b.x)),
		top = whole(Math.min(a.y, b.y)),
		bottom = whole(Math.max(a.y, b.y));
	if (right < 0 || bottom < 0 || left > size.width || top > size.height) return;
	ctx.imageSmoothingEnabled = false;
	if (camera.turn === 0) {
		ctx.drawImage(pixels, left, top, right - left, bottom - top);
		return;
	}
	ctx.save();
	ctx.translate((left + right) / 2, (top + bottom) / 2);
	ctx.rotate((camera.turn * Math.PI) / 2);
	const [w, h] = camera.turn & 1 ? [bottom - top, right - left] : [right - left, bottom - top];
	ctx.drawImage(pixels, -w / 2, -h / 2, w, h);
	ctx.restore();
}

// tinted is a mask as a picture of one colour.
export function tinted({ width, height, data }: Bitmap, color: number): OffscreenCanvas {
	const out = new OffscreenCanvas(width, height);
	const pixels = new ImageData(width, height);
	const words = new Uint32Array(pixels.data.buffer);
	const ink = (0xff000000 | ((color & 255) << 16) | (color & 0xff00) | (color >> 16)) >>> 0;
	for (let i = 0; i < data.length; i++) if (data[i]) words[i] = ink;
	out.getContext('2d')!.putImageData(pixels, 0, 0);
	return out;
}
