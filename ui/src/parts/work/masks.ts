// What the workspace does with masks: new ones, changed ones, and operations on those that are selected.
import type { MadeMask } from '../../stage/tools/tool';
import type { Bitmap, RLE } from '../../masks/rle';
import { toBitmap } from '../../masks/rle';
import { areaOf, combine, rleOf, runsOf, type Runs } from '../../masks/runs';
import { t, type Key } from '../../i18n';
import { prefs } from '../../prefs.svelte';
import { coordsOf, viewSize } from '../../store/boxes';
import { maskData, maskOf } from '../../store/masks';
import { keyOf, refOf, type Command, type Data, type Patch, type Row } from '../../store/types';
import { toast } from '../ui/toasts.svelte';
import type { Work } from './work.svelte';

// others are the masks of a view that a new one may touch: not those that are hidden by the user.
function others(work: Work, view: Row, but: ReadonlySet<string>): { row: Row; mask: RLE; locked: boolean }[] {
	return (work.session?.tables.referring('view_ref', view.id) ?? []).flatMap((row) => {
		const key = keyOf(row.table_info.name, row.id);
		const mask = but.has(key) || work.hidden.has(key) ? null : maskOf(row);
		return mask ? [{ row, mask, locked: work.locked.has(key) }] : [];
	});
}

// apart keeps masks from overlapping, where that is wanted: what a mask may keep of its pixels, and what others give up.
function apart(work: Work, view: Row, but: ReadonlySet<string>, mask: RLE): { mask: RLE; patches: Patch[] } {
	if (prefs.overlap === 'keep') return { mask, patches: [] };
	let runs: Runs = runsOf(mask);
	const giving: { row: Row; data: Data }[] = [];
	const gone: string[] = [];
	for (const o of others(work, view, but)) {
		if (o.mask.size[0] !== mask.size[0] || o.mask.size[1] !== mask.size[1]) continue;
		const theirs = runsOf(o.mask);
		if (areaOf(combine(runs, theirs, 'intersect')) === 0) continue;
		if (prefs.overlap === 'under' || o.locked) runs = combine(runs, theirs, 'subtract');
		else {
			const left = rleOf(combine(theirs, runs, 'subtract'), mask.size);
			if (areaOf(runsOf(left)) === 0) gone.push(keyOf(o.row.table_info.name, o.row.id));
			else giving.push({ row: o.row, data: maskData(left, o.row.data.inference_metadata, null) });
		}
	}
	const s = work.session!;
	return {
		mask: rleOf(runs, mask.size),
		patches: [...s.change(giving, '').patches, ...(gone.length > 0 ? s.remove(gone).patches : [])],
	};
}

// addMask stores a mask as a new object, or into the selected one, and returns its key.
export function addMask(work: Work, pane: number, made: MadeMask): string | null {
	const s = work.session;
	const { masks, boxes } = work.target;
	const p = work.panes[pane];
	if (!s || !p) return null;
	if (!masks) {
		toast(t('mask.no.table'), 'warn');
		return null;
	}
	const view = work.viewOf(p);
	const { mask, patches } = apart(work, view, new Set(), made.mask);
	if (areaOf(runsOf(mask)) === 0) {
		toast(t('mask.nothing.left'), 'warn');
		return null;
	}
	const crop = made.crop !== undefined && mask.counts === made.mask.counts ? made.crop : toBitmap(mask);
	const data: Data = { ...maskData(mask, made.metadata ?? {}, made.rings ?? null), ...(made.source ? { source_ref: made.source } : {}) };
	const parts = [{ table: masks, data }];
	if (prefs.boxToo && boxes && crop) parts.push({ table: boxes, data: boxAround(crop, view, made) });
	return work.add(pane, made.rings ? 'draw polygon' : 'draw mask', parts, {
		before: patches,
		made: (rows) => work.opened!.decoder.put(rows[0].data, crop),
	});
}

function boxAround(crop: Bitmap, view: Row, made: MadeMask): Data {
	const size = viewSize(view);
	const unit = { format: 'xywh', is_normalized: size.width > 0 };
	return {
		...unit,
		coords: coordsOf(unit, { x: crop.x, y: crop.y, w: crop.width, h: crop.height }, size),
		...(made.source ? { source_ref: made.source, inference_metadata: made.metadata } : {}),
	};
}

// changeMask puts other pixels into a mask. One without pixels is deleted.
export function changeMask(work: Work, key: string, made: MadeMask, label: string): void {
	const s = work.session;
	const row = s?.byKey(key);
	const view = row && s!.viewOf(row);
	if (!s || !row || !view) return;
	const { mask, patches } = apart(work, view, new Set([key]), made.mask);
	const command: Command =
		areaOf(runsOf(mask)) === 0
			? s.remove([key])
			: s.change([{ row, data: maskData(mask, row.data.inference_metadata, made.rings ?? null) }], label);
	const after = command.patches[0].after;
	if (after) work.opened!.decoder.put(after.data, made.crop !== undefined && mask.counts === made.mask.counts ? made.crop : toBitmap(mask));
	s.run({ ...command, label, patches: [...patches, ...command.patches] });
	work.keep();
}

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
	try {
		const results = await Promise.all(chosen.map((m) => reshape(m.mask, operation, by)));
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

// maskSteps name what was done, for the history.
export const maskSteps: Record<string, Key> = {
	'draw mask': 'step.mask',
	'draw polygon': 'step.polygon',
	'edit outline': 'step.outline',
	'cut hole': 'step.hole',
	paint: 'step.paint',
	'mask union': 'mask.union',
	'mask subtract': 'mask.subtract',
	'mask intersect': 'mask.intersect',
	'mask grow': 'mask.grow',
	'mask shrink': 'mask.shrink',
	'mask smooth': 'mask.smooth',
	'mask specks': 'mask.specks',
	'mask holes': 'mask.holes',
	'mask split': 'mask.split',
};
