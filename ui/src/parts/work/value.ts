import type { Point, Size } from '../../stage/camera';
import { deep, type Picture } from '../../stage/gl/image';

let ctx: OffscreenCanvasRenderingContext2D | null = null;

// valuesAt returns the values of a picture's pixel, one or three of them; null beside it. size is that of the view.
export function valuesAt(picture: Picture | undefined, size: Size, p: Point): number[] | null {
	if (!picture?.width || p.x < 0 || p.y < 0 || p.x >= size.width || p.y >= size.height) return null;
	const x = (p.x * picture.width) / size.width,
		y = (p.y * picture.height) / size.height;
	if (deep(picture)) return picture.at(x, y);
	ctx ??= new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true })!;
	ctx.clearRect(0, 0, 1, 1);
	ctx.drawImage(picture, Math.floor(x), Math.floor(y), 1, 1, 0, 0, 1, 1);
	const [r, g, b] = ctx.getImageData(0, 0, 1, 1).data;
	return r === g && g === b ? [r] : [r, g, b];
}
