import type { Host, Tool } from '../../stage/tools/tool';
import { mergeTool } from '../../stage/tools/merge';
import { mergeObjects, whyNotMerge, type Why } from '../../store/entities';
import type { Row } from '../../store/types';
import type { Work } from './work.svelte';

// Merging holds what was picked to become one object. Picks go over views and frames.
export class Merging {
	picked: readonly string[] = $state.raw([]);

	constructor(private work: Work) {}

	rows = $derived.by((): Row[] => {
		void this.work.version;
		return this.picked.flatMap((k) => this.work.session?.byKey(k) ?? []);
	});

	// why tells what keeps an annotation from being picked; null: nothing does.
	why(key: string): Why | null {
		const s = this.work.session;
		const row = s?.byKey(key);
		if (!s || !row) return 'none';
		if (this.work.locked.has(key) || this.work.isBad(row)) return 'locked';
		return whyNotMerge(s, this.rows, row);
	}

	toggle(key: string): void {
		if (this.picked.includes(key)) this.picked = this.picked.filter((k) => k !== key);
		else if (this.why(key) === null) this.picked = [...this.picked, key];
		this.work.select(this.picked);
	}

	merge(): boolean {
		const s = this.work.session;
		const rows = this.rows;
		if (!s || rows.length < 2) return false;
		s.run(mergeObjects(s, rows));
		this.picked = [];
		return true;
	}

	clear(): boolean {
		if (this.picked.length === 0) return false;
		this.picked = [];
		return true;
	}

	tool(host: Host): Tool {
		return mergeTool(host, {
			picked: () => this.picked,
			toggle: (key) => this.toggle(key),
			allowed: (key) => this.why(key) === null,
			merge: () => this.merge(),
			clear: () => this.clear(),
		});
	}
}
