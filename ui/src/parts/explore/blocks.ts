// Pages of a long list: blocks of equal size, the least recently used dropped, requests that nobody waits for stopped.

export interface BlockSource<T> {
	(offset: number, limit: number, signal: AbortSignal): Promise<T[]>;
}

export class Blocks<T> {
	private have = new Map<number, T[]>();
	private asked = new Map<number, AbortController>();
	private failed = new Map<number, string>();
	private wanted: number[] = [];
	private timers = new Set<ReturnType<typeof setTimeout>>();

	constructor(
		private source: BlockSource<T>,
		private changed: () => void,
		readonly size = 100,
		private kept = 60,
		private pause = 3000, // ms until a block is asked for again that had no answer
	) {}

	get(index: number): T | undefined {
		return this.have.get(Math.floor(index / this.size))?.[index % this.size];
	}

	error(index: number): string | undefined {
		return this.failed.get(Math.floor(index / this.size));
	}

	// show asks for the rows in view and the block that follows in the direction of travel. Requests for blocks that
	// are no longer near are stopped.
	show(first: number, end: number, down: boolean, rows: number): void {
		const a = Math.floor(first / this.size),
			b = Math.max(a, Math.floor(Math.max(first, end - 1) / this.size));
		const ahead = down ? b + 1 : a - 1;
		const wanted = [...Array.from({ length: b - a + 1 }, (_, i) => a + i), ahead].filter(
			(n) => n >= 0 && (n === 0 || n * this.size < rows),
		);
		this.wanted = wanted;
		for (const [n, abort] of this.asked)
			if (!wanted.includes(n)) {
				abort.abort();
				this.asked.delete(n);
			}
		for (const n of wanted) this.load(n);
		for (const n of wanted) {
			const rows = this.have.get(n);
			if (!rows) continue;
			this.have.delete(n); // the youngest is the last
			this.have.set(n, rows);
		}
		for (const n of this.have.keys()) {
			if (this.have.size <= this.kept) break;
			if (!wanted.includes(n)) this.have.delete(n);
		}
	}

	retry(): void {
		this.failed.clear();
		this.changed();
	}

	stop(): void {
		for (const abort of this.asked.values()) abort.abort();
		this.asked.clear();
		for (const timer of this.timers) clearTimeout(timer);
	}

	get loaded(): number {
		let n = 0;
		for (const [block, rows] of this.have) n = Math.max(n, block * this.size + rows.length);
		return n;
	}
	get blocks(): number {
		return this.have.size;
	}

	private load(n: number): void {
		if (this.have.has(n) || this.asked.has(n) || this.failed.has(n)) return;
		const abort = new AbortController();
		this.asked.set(n, abort);
		this.source(n * this.size, this.size, abort.signal).then(
			(rows) => {
				if (this.asked.get(n) !== abort) return;
				this.asked.delete(n);
				this.have.set(n, rows);
				this.changed();
			},
			(e: unknown) => {
				if (this.asked.get(n) !== abort) return;
				this.asked.delete(n);
				this.failed.set(n, e instanceof Error ? e.message : String(e));
				this.changed();
				// What the server refuses it refuses again; where there was no answer there may be one.
				if ((e as { status?: number }).status === 0) this.later(n);
			},
		);
	}

	private later(n: number): void {
		const timer = setTimeout(() => {
			this.timers.delete(timer);
			this.failed.delete(n);
			if (this.wanted.includes(n)) this.load(n);
		}, this.pause);
		this.timers.add(timer);
	}
}
