import type { Bitmap, RLE } from './rle';

export type Decoded = { crop: Bitmap | null; error?: string };

// Decoder decodes the masks of rows in a worker, each once. What is not there yet comes later, with a call of ready.
export class Decoder<K extends object> {
	private done = new WeakMap<K, Decoded>();
	private asked = new WeakSet<K>();
	private waiting = new Map<number, K>();
	private batch: { key: number; rle: RLE }[] = [];
	private worker: Worker | null = null;
	private next = 0;

	constructor(private ready: () => void) {}

	get(row: K, rle: RLE): Decoded | null {
		const have = this.done.get(row);
		if (have) return have;
		if (this.asked.has(row)) return null;
		this.asked.add(row);
		if (this.batch.length === 0) queueMicrotask(() => this.send());
		this.waiting.set(this.next, row);
		this.batch.push({ key: this.next++, rle });
		return null;
	}

	// put keeps a decoded mask that is known already.
	put(row: K, crop: Bitmap | null): void {
		this.done.set(row, { crop });
	}

	dispose(): void {
		this.worker?.terminate();
	}

	private send(): void {
		if (!this.worker) {
			this.worker = new Worker(new URL('./mask.worker.ts', import.meta.url), { type: 'module' });
			this.worker.onmessage = (e: MessageEvent<({ key: number } & Decoded)[]>) => {
				for (const { key, crop, error } of e.data) {
					const row = this.waiting.get(key);
					if (row) this.done.set(row, { crop, error });
					this.waiting.delete(key);
				}
				this.ready();
			};
		}
		this.worker.postMessage(this.batch);
		this.batch = [];
	}
}
