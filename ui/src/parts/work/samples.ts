// Images of 16 bits: fetched, counted in a worker, and the last few kept.
import { samples } from '../../api/samples';
import { Samples, type Counted } from '../../stage/samples';

const most = 256e6; // bytes that are kept; the last three in any case

let worker: Worker | null = null;
let next = 0;
const waiting = new Map<number, { done(c: Counted): void; fail(e: Error): void }>();
const held = new Map<string, Promise<Samples | null>>();

function count(buffer: ArrayBuffer): Promise<Counted> {
	if (!worker) {
		worker = new Worker(new URL('../../stage/samples.worker.ts', import.meta.url), { type: 'module' });
		worker.onmessage = (e: MessageEvent<{ key: number; counted?: Counted; error?: string }>) => {
			const { key, counted, error } = e.data;
			if (counted) waiting.get(key)?.done(counted);
			else waiting.get(key)?.fail(new Error(error));
			waiting.delete(key);
		};
	}
	return new Promise((done, fail) => {
		waiting.set(next, { done, fail });
		worker!.postMessage({ key: next++, buffer }, [buffer]);
	});
}

// samplesOf returns null for an image of fewer bits.
export function samplesOf(dataset: string, url: string): Promise<Samples | null> {
	const key = `${dataset}\n${url}`;
	const have = held.get(key);
	if (have) return have;
	const made = samples(dataset, url).then(async (b) => (b ? new Samples(await count(b)) : null));
	held.set(key, made);
	made.catch(() => held.delete(key));
	void made.then(trim, () => {});
	return made;
}

async function trim(): Promise<void> {
	let bytes = 0,
		n = 0;
	for (const [key, p] of [...held].reverse()) {
		const size = (await p.catch(() => null))?.bytes ?? 0;
		bytes += size;
		if (size > 0 && n++ >= 3 && bytes > most) held.delete(key);
	}
	while (held.size > 200) held.delete(held.keys().next().value!);
}
