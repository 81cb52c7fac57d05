// Operations on the masks that are selected: a chunk of its own, since they are not needed to draw.
import type { RLE } from '../../masks/rle';
import { areaOf, combine, rleOf, runsOf, type Runs } from '../../masks/runs';
import { t } from '../../i18n';
import { maskData, maskOf } from '../../store/masks';
import { refOf, type Patch, type Row } from '../../store/types';
import { toast } from '../ui/toasts.svelte';
import type { Work } from './work.svelte';

export type MaskOperation = 'union' | 'subtract' | 'intersect' | 'grow' | 'shrink' | 'smooth' | 'specks' | 'holes' | 'split';
export const joining: ReadonlySet<MaskOperation> = new Set(['union', 'subtract', 'intersect']);

let worker: Worker | null = null;
let next = 0;
const waiting = new Map<number, (answer: { masks?: RLE[]; error?: string }) => void>();

// reshape runs an operation away from the page: a large mask takes its time.
function reshape(mask: RLE, operation: MaskOperation, by: number): Promise<RLE[]> {
	if (!worker) {
		worker = new Worker(new URL('../../masks/morph.worker.ts', import.meta.url), { type: 'module' });
		worker.onmessage = (e: MessageEvent<{ id: number; masks?: RLE[]; error?: string }>) => {
			waiting.get(e.data.id)?.(e.data);
			waiting.delete(e.data.id);
		};
	}
	const id = next++;
	worker.postMessage({ id, mask, operation, by });
	return new Promise((done, fail) => waiting.set(id, ({ masks, error }) => (masks ? done(masks) : fail(new Error(error ?? 'no answer')))));
}

// chosenMasks are the masks that are selected and may be changed, in the order in which they were selected.
export function chosenMasks(work: Work): { key: string; row: Row; mask: RLE }[] {
	return [...work.selection].flatMap((key) => {
		const row = work.session?.byKey(key);
		const mask = row && !work.locked.has(key) ? maskOf(row) : null;
		return row && mask ? [{ key, row, mask }] : [];
	});
}

// operate runs an operation on the selected masks. Those that join two or more leave the first one, with its object; a
// split keeps the largest part, and makes an object like it of each other part.
export async function operate(work: Work, operation: MaskOperation, by: number): Promise<void> {
	const s = work.session;
	const chosen = chosenMasks(work);
	if (!s || chosen.length === 0) return;
	const label = `mask ${operation}`;
	if (joining.has(operation)) {
		const [first, ...rest] = chosen;
		const view = refOf(first.row, 'view_ref')?.id;
		const fits = rest.filter((m) => refOf(m.row, 'view_ref')?.id === view && String(m.mask.size) === String(first.mask.size));
		if (fits.length === 0) return void toast(t('mask.two'), 'warn');
		let runs: Runs = runsOf(first.mask);
		for (const m of fits) runs = combine(runs, runsOf(m.mask), operation as 'union' | 'subtract' | 'intersect');
		if (areaOf(runs) === 0) return void toast(t('mask.nothing.left'), 'warn');
		const mask = rleOf(runs, first.mask.size);
		const changed = s.change([{ row: first.row, data: maskData(mask, first.row.data.inference_metadata, null) }], label);
		// What is subtracted stays; what is joined goes into the first.
		const removed = operation === 'subtract' ? [] : s.remove(fits.map((m) => m.key)).patches;
		s.run({ ...changed, patches: [...changed.patches, ...removed] });
		work.select([first.key]);
		return;
	}
	work.hint = 'hint.working';
	const { item } = s;
	try {
		const results = await Promise.all(chosen.map((m) => reshape(m.mask, operation, by)));
		if (s.item !== item) return void toast(t('mask.left'), 'warn'); // its parts and the step would be the new one's
		const patches: Patch[] = [];
		const keys: string[] = [];
		let empty = 0;
		chosen.forEach(({ key, row }, i) => {
			const now = s.byKey(key);
			const [first, ...more] = results[i];
			if (!now || now.data.counts !== row.data.counts) return; // changed meanwhile
			if (!first) {
				empty++;
				return;
			}
			if (first.counts === row.data.counts) return;
			patches.push(...s.change([{ row: now, data: maskData(first, now.data.inference_metadata, null) }], label).patches);
			keys.push(key);
			for (const mask of more) {
				const copy = s.copies([{ row: now, entity: s.entityOf(now) }], null);
				const made = copy.command.patches.at(-1)!;
				patches.push(...copy.command.patches.slice(0, -1), {
					...made,
					after: { ...made.after!, data: { ...made.after!.data, ...maskData(mask, made.after!.data.inference_metadata, null) } },
				});
				keys.push(...copy.keys);
			}
		});
		if (empty > 0) toast(t('mask.nothing.left'), 'warn');
		if (patches.length > 0) {
			const view = refOf(chosen[0].row, 'view_ref');
			s.run({ label, patches, place: view ? { view: view.id } : undefined });
			work.select(keys);
		} else if (empty === 0) toast(t('mask.same'), 'info', undefined, 2000);
	} catch (e) {
		toast(e instanceof Error ? e.message : String(e), 'warn');
	} finally {
		if (work.hint === 'hint.working') work.hint = null;
	}
}
