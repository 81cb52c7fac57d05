import { prefs, save } from '../../prefs.svelte';
import type { Host, Tool } from '../../stage/tools/tool';
import { later } from '../../stage/tools/later';
import type { Pose, SkeletonOptions } from '../../stage/tools/skeleton';
import { viewSize } from '../../store/boxes';
import { pointsOf, stateNames } from '../../store/points';
import { templateOf, type Template } from '../../store/templates';
import { keyOf, type Row } from '../../store/types';
import type { Work } from './work.svelte';

// Poses is what the skeleton tool needs of the workspace: templates, the table, and the commands that it makes.
export class Poses {
	point = $state.raw({ name: '', state: 0 }); // the one in hand

	constructor(private work: Work) {}

	templates = $derived.by((): Template[] => this.work.opened?.templates ?? []);
	template = $derived.by((): Template | null => {
		const kept = prefs.template[this.work.dataset];
		return this.templates.find((t) => t.id === kept) ?? this.templates[0] ?? null;
	});
	table = $derived.by((): string | null => this.work.schema?.tables('annotations', 'KeyPoints')[0] ?? null);

	choose(id: string): void {
		save({ template: { ...prefs.template, [this.work.dataset]: id } });
	}

	tool(host: Host): Tool {
		const options: SkeletonOptions = {
			color: () => this.work.color(),
			template: () => this.template,
			templateOf: (key) => {
				const row = this.work.session?.byKey(key);
				return row ? templateOf(this.templates, String(row.data.template_id), (row.data.states as string[]).length) : null;
			},
			add: (pose, template) => this.add(pose, template),
			change: (key, pose, merge) => this.change(key, pose, merge),
			named: (name, state) => {
				if (this.point.name !== name || this.point.state !== state) this.point = { name, state };
			},
		};
		return later('skeleton', host, () => import('../../stage/tools/skeleton').then((m) => m.skeletonTool(host, options)));
	}

	private add(pose: Pose, template_id: string): void {
		const w = this.work;
		const s = w.session;
		if (!s || !this.table || !w.focused) return;
		const view = w.viewOf(w.focused);
		const { command, key } = s.drawn('draw pose', this.table, view, { template_id, ...stored(pose, view, null) }, w.drawTarget());
		s.run(command);
		w.select([key]);
		if (prefs.ask && w.classField) w.picking = { keys: [key] };
	}

	private change(key: string, pose: Pose, merge?: string): void {
		const s = this.work.session;
		const row = s?.byKey(key);
		const view = row && s!.viewOf(row);
		if (!s || !row || !view || keyOf(row.table_info.name, row.id) !== key) return;
		s.run(s.change([{ row, data: stored(pose, view, row.data.coords as number[]) }], 'move pose', merge));
	}
}

const stored = (pose: Pose, view: Row, old: number[] | null) => ({
	coords: pointsOf(pose.points, viewSize(view), old),
	states: Array.from(pose.states, (s) => stateNames[s]),
});
