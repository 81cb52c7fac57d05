import { SvelteSet } from 'svelte/reactivity';
import { annotator } from '../../prefs.svelte';
import { judge, nextOf, progress, sourcesOf, underReview, verdictOf, type Verdict } from '../../store/review';
import { keyOf, refOf, type Row } from '../../store/types';
import type { Work } from './work.svelte';

// Review walks over the annotations of some sources. Filters, zoom and the order of the walk stay from key to key.
export class Review {
	on = $state(false);
	readonly sources = new SvelteSet<string>();

	constructor(private work: Work) {}

	// found are the sources that this item has annotations of, with what was reviewed of each.
	found = $derived.by(() => {
		const s = this.work.session;
		if (!s) return [];
		const rows = new Map<string, Row[]>();
		for (const row of this.work.annotations) {
			const from = (row.data.inference_metadata as { edited_from?: string } | null)?.edited_from;
			const id = from && s.tables.get('source', from) ? from : refOf(row, 'source_ref')?.id;
			const source = id && s.tables.get('source', id);
			if (source) rows.set(source.id, [...(rows.get(source.id) ?? []), row]);
		}
		return [...rows].map(([id, list]) => ({ source: s.tables.get('source', id)!, progress: progress(list) }));
	});
	rows = $derived.by(() => (this.on ? this.work.annotations.filter((r) => underReview(r, this.sources)) : []));
	progress = $derived(progress(this.rows));

	toggle(): void {
		this.on = !this.on;
		if (!this.on) return;
		this.choose();
		this.step(1);
	}

	// choose takes the models of the item under review, or all but people, if none of its sources is yet.
	private choose(): void {
		const s = this.work.session;
		if (!s) return;
		const here = new Set(this.found.map((f) => f.source.id));
		const models = sourcesOf(s, 'model').filter((id) => here.has(id));
		if (![...this.sources].some((id) => here.has(id)))
			for (const f of this.found)
				if (models.length === 0 ? f.source.data.kind !== 'human' : models.includes(f.source.id)) this.sources.add(f.source.id);
	}

	// order is that of reading; what has no place on the stage comes last.
	private order(): string[] {
		const keys = new Map(this.rows.map((r) => [keyOf(r.table_info.name, r.id), r]));
		const placed = [...this.work.stages.entries()]
			.sort(([a], [b]) => a - b)
			.flatMap(([, stage]) =>
				stage.scene.shapes
					.map((s, i) => ({ key: s.key, r: stage.scene.rects[i] }))
					.filter(({ key }) => keys.has(key))
					.sort((a, b) => a.r.y - b.r.y || a.r.x - b.r.x)
					.map(({ key }) => key),
			);
		const seen = new Set(placed);
		return [...placed, ...[...keys.keys()].filter((k) => !seen.has(k))];
	}

	// step goes to the next or previous one without a verdict that is shown, and tells whether there is one.
	step(by: 1 | -1): boolean {
		const w = this.work;
		const at = w.selection.size === 1 ? [...w.selection][0] : null;
		const open = new Set(this.rows.filter((r) => verdictOf(r) === null && w.isShown(r)).map((r) => keyOf(r.table_info.name, r.id)));
		const next = nextOf(this.order(), at, by, (k) => open.has(k));
		if (next === null) return false;
		w.select([next]);
		w.reveal(next);
		return true;
	}

	// arrive begins the walk in an item that was gone to.
	arrive(): void {
		if (!this.on || this.work.selection.size > 0) return;
		if (this.sources.size === 0) this.choose();
		if (this.step(1)) return;
		this.work.hint = this.progress.total === 0 ? 'review.nothing' : 'review.done';
	}

	// can tells whether a verdict can be given to what is selected.
	get can(): boolean {
		return this.on && this.work.selected.some((r) => underReview(r, this.sources));
	}

	give(verdict: Verdict | null): void {
		const w = this.work;
		const s = w.session;
		const rows = w.selected.filter((r) => underReview(r, this.sources) && !w.isBad(r));
		if (!s || rows.length === 0) return;
		s.run(judge(rows, verdict, annotator()));
		if (verdict !== null && !this.step(1)) w.announce('review.done');
	}
}
