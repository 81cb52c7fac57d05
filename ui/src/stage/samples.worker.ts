import { parse } from './samples';

// Counts samples aside: those of a large image take a tenth of a second.
onmessage = (e: MessageEvent<{ key: number; buffer: ArrayBuffer }>) => {
	const { key, buffer } = e.data;
	try {
		const counted = parse(buffer);
		postMessage({ key, counted }, { transfer: [...counted.levels.map((l) => l.values.buffer), ...counted.counts.map((c) => c.buffer)] });
	} catch (error) {
		postMessage({ key, error: error instanceof Error ? error.message : String(error) });
	}
};
