import { toBitmap, type Bitmap, type RLE } from './rle';

// Decodes masks away from the page. An empty mask has no crop; a broken one has an error.
self.onmessage = (e: MessageEvent<{ key: number; rle: RLE }[]>) => {
	const out: { key: number; crop: Bitmap | null; error?: string }[] = [];
	const buffers: ArrayBuffer[] = [];
	for (const { key, rle } of e.data) {
		try {
			const crop = toBitmap(rle);
			if (crop) buffers.push(crop.data.buffer as ArrayBuffer);
			out.push({ key, crop });
		} catch (error) {
			out.push({ key, crop: null, error: error instanceof Error ? error.message : String(error) });
		}
	}
	(self as unknown as Worker).postMessage(out, buffers);
};
