// What the workspace does with masks: new ones and changed ones. Operations on them are in maskops.ts.
import type { MadeMask } from '../../stage/tools/tool';
import type { Bitmap, RLE } from '../../masks/rle';
import { toBitmap } from '../../masks/rle';
import { areaOf, combine, rleOf, runsOf, type Runs } from '../../masks/runs';
import { t, type Key } from '../../i18n';
import { prefs } from '../../prefs.svelte';
import { coordsOf, viewSize } from '../../store/boxes';
import { maskData, maskOf } from '../../store/masks';
import { keyOf, type Command, type Data, type Patch, type Row } from '../../store/types';
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
