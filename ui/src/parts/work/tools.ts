// Every tool of the stage, in the order of the tool bar. The tool bar, the keymap, the palette, the help and the
// settings are made from this list: a new tool is one file and one entry.
import MousePointer2 from '@lucide/svelte/icons/mouse-pointer-2';
import Square from '@lucide/svelte/icons/square';
import type { Component } from 'svelte';
import type { Def } from '../../commands';
import type { Key } from '../../i18n';
import type { Cmd } from '../../keys.svelte';
import { boxTool } from '../../stage/tools/box';
import { selectTool } from '../../stage/tools/select';
import type { Host, Tool } from '../../stage/tools/tool';
import type { Work } from './work.svelte';

export interface ToolDef {
	id: string;
	keys: string; // default
	title: Key;
	icon: Component<{ size?: number }>;
	hint?: Key; // shown when it is taken in hand
	available?(work: Work): boolean; // whether the dataset has a table for its results
	make(host: Host, work: Work): Tool; // one for each view
	options?: () => Promise<{ default: Component<{ work: Work }> }>; // what is set for it, shown above the stage
	actions?: ToolAction[]; // keys that count while it is in hand
}

export interface ToolAction {
	id: string;
	keys: string;
	title: Key;
	run(work: Work, tool: Tool): void;
}

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
