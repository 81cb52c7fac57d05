// Every tool of the stage, in the order of the tool bar. The tool bar, the keymap, the palette, the help and the
// settings are made from this list: a new tool is one file and one entry.
import MousePointer2 from '@lucide/svelte/icons/mouse-pointer-2';
import Brush from '@lucide/svelte/icons/brush';
import Pentagon from '@lucide/svelte/icons/pentagon';
import Sparkles from '@lucide/svelte/icons/sparkles';
import Square from '@lucide/svelte/icons/square';
import Combine from '@lucide/svelte/icons/combine';
import Ruler from '@lucide/svelte/icons/ruler';
import Waypoints from '@lucide/svelte/icons/waypoints';
import type { Component } from 'svelte';
import type { Def } from '../../commands';
import { number, t, type Key } from '../../i18n';
import type { Cmd } from '../../keys.svelte';
import { prefs, save } from '../../prefs.svelte';
import { boxTool } from '../../stage/tools/box';
import { brushTool, type BrushTool } from '../../stage/tools/brush';
import { selectTool } from '../../stage/tools/select';
import { later } from '../../stage/tools/later';
import type { Measure } from '../../stage/tools/measure';
import type { Host, Tool } from '../../stage/tools/tool';
import type { Work } from './work.svelte';

export interface ToolDef {
	id: string;
	keys: string; // default
	title: Key;
	icon: Component<{ size?: number }>;
	hint?: Key; // shown when it is taken in hand
	available?(work: Work): boolean; // whether the dataset has a table for its results
	make(host: Host, work: Work, pane: number): Tool; // one for each view
	options?: () => Promise<{ default: Component<{ work: Work }> }>; // what is set for it, shown above the stage
	actions?: ToolAction[]; // keys that count while it is in hand
}

export interface ToolAction {
	id: string;
	keys: string;
	title: Key;
	run(work: Work, tool: Tool): void;
}

const masks = (work: Work) => work.target.masks !== null;
const sized = (by: number) => (work: Work) => {
	const { size } = prefs.brush;
	save({ brush: { ...prefs.brush, size: Math.min(500, Math.max(1, by > 1 ? Math.ceil(size * by) : Math.floor(size * by))) } });
	work.stage()?.invalidate('hud');
};

// measured is a distance as text.
const measured = (m: Measure) =>
	t('measure', { length: number(round(m.length)), w: number(round(m.dx)), h: number(round(m.dy)), angle: number(round(m.angle)) });
const round = (v: number) => Math.round(v * 10) / 10;

export const tools: ToolDef[] = [
	{ id: 'select', keys: 'v', title: 'tool.select', icon: MousePointer2, make: selectTool },
	{
		id: 'box',
		keys: 'r',
		title: 'tool.box',
		icon: Square,
		hint: 'hint.box',
		available: (work) => work.target.boxes !== null,
		make: (host, work) => boxTool(host, { color: () => work.color() }),
	},
	{
		id: 'polygon',
		keys: 'p',
		title: 'tool.polygon',
		icon: Pentagon,
		hint: 'hint.polygon',
		available: masks,
		make: (host, work) =>
			later('polygon', host, () => import('../../stage/tools/polygon').then((m) => m.polygonTool(host, { color: () => work.color() }))),
	},
	{
		id: 'brush',
		keys: 'b',
		title: 'tool.brush',
		icon: Brush,
		hint: 'hint.brush',
		available: masks,
		make: (host, work) =>
			brushTool(host, { color: () => work.color(), fill: () => prefs.fill, settings: () => ({ ...prefs.brush, erase: work.erase }) }),
		options: () => import('./BrushOptions.svelte'),
		actions: [
			{
				id: 'brush.erase',
				keys: 'x',
				title: 'brush.toggle',
				run: (work) => {
					work.erase = !work.erase;
					work.stage()?.invalidate('hud');
				},
			},
			{ id: 'brush.smaller', keys: '[ | q', title: 'brush.smaller', run: sized(1 / 1.2) },
			{ id: 'brush.larger', keys: '] | e', title: 'brush.larger', run: sized(1.2) },
			{ id: 'brush.holes', keys: 'g', title: 'brush.holes', run: (_, tool) => (tool as BrushTool).fillHoles() },
			{ id: 'brush.done', keys: 's', title: 'brush.done', run: (_, tool) => (tool as BrushTool).commit() },
		],
	},
	{
		id: 'smart',
		keys: 'w',
		title: 'tool.smart',
		icon: Sparkles,
		hint: 'hint.smart',
		available: masks,
		make: (host, work, pane) => later('smart', host, () => import('./smart').then((m) => m.make(host, work, pane))),
		options: () => import('./SmartOptions.svelte'),
		actions: [
			{
				id: 'smart.flip',
				keys: 'x',
				title: 'smart.flip',
				run: (work) => {
					work.negative = !work.negative;
					work.stage()?.invalidate('hud');
				},
			},
		],
	},
	{
		id: 'skeleton',
		keys: 'j',
		title: 'tool.skeleton',
		icon: Waypoints,
		hint: 'hint.skeleton',
		available: (work) => work.poses.table !== null,
		make: (host, work) => work.poses.tool(host),
		options: () => import('./SkeletonBar.svelte'),
	},
	{
		id: 'merge',
		keys: 'm',
		title: 'tool.merge',
		icon: Combine,
		hint: 'hint.merge',
		available: (work) => work.target.all.entities.length > 0,
		make: (host, work) => work.merging.tool(host),
		options: () => import('./MergeBar.svelte'),
	},
	{
		id: 'measure',
		keys: 'u',
		title: 'tool.measure',
		icon: Ruler,
		hint: 'hint.measure',
		make: (host) => later('measure', host, () => import('../../stage/tools/measure').then((m) => m.measureTool(host, measured))),
	},
];

export const toolById = new Map(tools.map((d) => [d.id, d]));

export const toolDefs: Def[] = tools.flatMap((d) => [
	{ id: `tool.${d.id}`, title: d.title, keys: d.keys, scope: 'tool', page: 'item' } as const,
	...(d.actions ?? []).map((a) => ({ id: a.id, title: a.title, keys: a.keys, scope: 'tool', page: 'item', tool: d.id }) as const),
]);

// toolCommands are the commands of a workspace that take a tool in hand, and those of the tool in hand.
export function toolCommands(work: Work): Cmd[] {
	return tools.flatMap((d): Cmd[] => [
		{
			id: `tool.${d.id}`,
			title: d.title,
			keys: d.keys,
			scope: 'tool',
			run: () => work.setTool(d.id),
			when: () => d.available?.(work) ?? true,
		},
		...(d.actions ?? []).map((a): Cmd => ({
			id: a.id,
			title: a.title,
			keys: a.keys,
			scope: 'tool',
			run: () => a.run(work, work.toolOf(work.pane)),
			when: () => work.tool === d.id,
		})),
	]);
}
