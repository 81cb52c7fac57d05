// Smart segmentation: the models of the server, and a prompt sent to one of them.
import { items } from '../../api';
import { segment, type MaskAsked, type Model } from '../../api/segment';
import { ApiError } from '../../api/client';
import type { RLE } from '../../masks/rle';
import type { Prompt, Segment } from '../../stage/tools/smart';
import { refOf, type Data } from '../../store/types';
import { t } from '../../i18n';
import { prefs } from '../../prefs.svelte';
import { toast } from '../ui/toasts.svelte';
import type { Work } from './work.svelte';

const patience = 30_000; // ms after which it is said that the model is still at work

let known: Promise<Model[]> | null = null;

// models lists what the server can segment with. A server without models has none.
export function models(again = false): Promise<Model[]> {
	if (!known || again) {
		known = segment.models().catch(() => []);
		void known.then((list) => list.length === 0 && (known = null));
	}
	return known;
}

const blind = new Set<string>(); // models without previews

// look asks for the mask that a click would give. Models that would compute all of the image again have none.
export async function look(work: Work, pane: number, prompt: Prompt, signal: AbortSignal): Promise<RLE | null> {
	const model = await chosen();
	if (!model || blind.has(model.name)) return null;
	const late = setTimeout(() => (work.preparing = true), 500);
	try {
		const row = await segment.mask(work.dataset, { ...asked(work, pane, model, prompt), preview: true, quick: true }, signal);
		const { size, counts } = row.data as unknown as RLE;
		return { size, counts };
	} catch (e) {
		if (e instanceof ApiError && (e.status === 400 || e.status === 404)) blind.add(model.name);
		throw e;
	} finally {
		clearTimeout(late);
		work.preparing = false;
	}
}

async function chosen(): Promise<Model | undefined> {
	const list = await models();
	return list.find((m) => m.name === prefs.segmenter) ?? list[0];
}

function asked(work: Work, pane: number, model: Model, { points, box }: Prompt): MaskAsked {
	return {
		model: model.name,
		image: work.viewOf(work.panes[pane]),
		mask_table_name: work.target.masks!,
		points: points.map((p) => [p.x, p.y]),
		labels: points.map((p) => (p.negative ? 0 : 1)),
		bbox: box && { coords: [box.x, box.y, box.w, box.h].map(Math.round), format: 'xywh', is_normalized: false },
	};
}

export async function ask(work: Work, pane: number, prompt: Prompt, signal: AbortSignal): Promise<Segment> {
	const model = await chosen();
	if (!model) throw new Error(t('smart.no.model'));
	const late = setTimeout(() => toast(t('smart.late', { model: model.name }), 'info'), patience);
	try {
		const row = await segment.mask(work.dataset, asked(work, pane, model, prompt), signal);
		const source = refOf(row, 'source_ref');
		const { session } = work;
		if (source && session && !session.tables.get('source', source.id)) {
			// The server made the model's source. Ours may be changed and not yet saved, so only new ones are taken.
			const rows = await items.sources(work.dataset, signal);
			session.tables.load(rows.filter((r) => !session.tables.get('source', r.id)));
		}
		const { size, counts } = row.data as unknown as RLE;
		return { mask: { size, counts }, source: source ?? session!.human(), metadata: (row.data.inference_metadata ?? {}) as Data };
	} finally {
		clearTimeout(late);
	}
}
