import { despeckle, fillHoles, grow, shrink, smooth, split } from './morph';
import { fromBitmap, toBitmap, type Bitmap, type RLE } from './rle';

// Reshapes a mask away from the page. by is a radius in pixels, or for specks the least number of pixels that stays.
self.onmessage = (e: MessageEvent<{ id: number; mask: RLE; operation: string; by: number }>) => {
	const { id, mask, operation, by } = e.data;
	const post = (answer: object) => (self as unknown as Worker).postMessage({ id, ...answer });
	try {
		const b = toBitmap(mask);
		const size = { width: mask.size[1], height: mask.size[0] };
		const operations: Record<string, (b: Bitmap) => (Bitmap | null)[]> = {
			grow: (m) => [grow(m, by, size)],
			shrink: (m) => [shrink(m, by, size)],
			smooth: (m) => [smooth(m, by, size)],
			specks: (m) => [despeckle(m, by)],
			holes: (m) => [fillHoles(m)],
			split,
		};
		const made = b ? operations[operation](b) : [];
		post({ masks: made.flatMap((m) => (m ? [fromBitmap(m, mask.size)] : [])) });
	} catch (error) {
		post({ error: error instanceof Error ? error.message : String(error) });
	}
};
