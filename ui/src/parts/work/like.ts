// Items that are like an object: its part of the picture goes into a search of the explorer.
import { router } from '../../router.svelte';
import { t } from '../../i18n';
import { viewSize } from '../../store/boxes';
import { ask } from '../explore/pictures';
import { toast } from '../ui/toasts.svelte';
import { bitmapOf, type Work } from './work.svelte';

const margin = 0.1; // of the object's size, on each side

export async function findLike(work: Work): Promise<void> {
	const table = work.schema?.tables('embeddings', 'ViewEmbedding')[0];
	const stage = work.stage();
	const key = [...work.selection][0];
	const at = stage && key ? stage.scene.shapes.findIndex((s) => s.key === key) : -1;
	if (!table || !stage || at < 0 || !work.focused) return toast(t(table ? 'like.none' : 'like.no.table'), 'warn');
	const { item } = work;
	try {
		const view = work.viewOf(work.focused);
		const image = await bitmapOf(work.dataset, String(view.data.url ?? ''), viewSize(view));
		const r = stage.scene.rects[at];
		const k = image.width / (viewSize(view).width || image.width); // the file can be smaller than the view says
		const x = Math.max(0, (r.x - r.w * margin) * k),
			y = Math.max(0, (r.y - r.h * margin) * k);
		const w = Math.max(1, Math.min(image.width - x, r.w * (1 + 2 * margin) * k)),
			h = Math.max(1, Math.min(image.height - y, r.h * (1 + 2 * margin) * k));
		const canvas = new OffscreenCanvas(Math.round(w), Math.round(h));
		canvas.getContext('2d')!.drawImage(image, x, y, w, h, 0, 0, canvas.width, canvas.height);
		const name = stage.scene.shapes[at].label || work.item;
		const pic = await ask(work.dataset, table, await canvas.convertToBlob({ type: 'image/png' }), name);
		if (router.route.page !== 'item' || work.item !== item) return; // the user went on
		void router.go({ page: 'explorer', dataset: work.dataset }, { pic, emb: table });
	} catch (e) {
		toast(t('picture.failed', { why: e instanceof Error ? e.message : String(e) }), 'error');
	}
}
