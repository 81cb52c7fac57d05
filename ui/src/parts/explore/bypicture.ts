import { isAbort } from '../../api';
import { t } from '../../i18n';
import { toast } from '../ui/toasts.svelte';
import { ask } from './pictures';
import type { Asked } from './query';

// searchBy asks for the items that are like a picture, or tells why that cannot be.
export async function searchBy(
	dataset: string,
	table: string,
	file: File,
	change: (part: Partial<Asked>) => void,
	signal?: AbortSignal,
): Promise<void> {
	if (file.type && !file.type.startsWith('image/')) return toast(t('picture.type', { name: file.name }), 'warn');
	try {
		const pic = await ask(dataset, table, file, file.name, signal);
		change({ pic, like: '', q: '', emb: table });
	} catch (e) {
		if (!isAbort(e)) toast(t('picture.failed', { why: e instanceof Error ? e.message : String(e) }), 'error');
	}
}
