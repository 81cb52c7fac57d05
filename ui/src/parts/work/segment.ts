// Smart segmentation: the models of the server, and a prompt sent to one of them.
import { items } from '../../api';
import { segment, type Model } from '../../api/segment';
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

export async function ask(work: Work, pane: number, prompt: Prompt, signal: AbortSignal): Promise<Segment> {
	const list = await models();
	const model = list.find((m) => m.name === prefs.segmenter) ?? list[0];
	if (!model) throw new Error(t('smart.no.model'));
	const view = work.viewOf(work.panes[pane]);
	const { box } = prompt;
	const late = setTimeout(() => toast(t('smart.late', { model: model.name }), 'info'), patience);
	try {
		const row = await segment.mask(
			work.dataset,
			{
				model: model.name,
				image: view,
				mask_table_name: work.target.masks!,
				points: prompt.points.map((p) => [p.x, p.y]),
				labels: prompt.points.map((p) => (p.negative ? 0 : 1)),
				bbox: box && { coords: [box.x, box.y, box.w, box.h].map(Math.round), format: 'xywh', is_normalized: false },
			},
			signal,
		);
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
