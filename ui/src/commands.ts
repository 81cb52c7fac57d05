// Every command of the interface with its default keys, but those of the tools (parts/work/tools.ts). Pages give them
// what they do; the settings list and change them.
import type { Key } from './i18n';
import type { Cmd, Scope } from './keys.svelte';

export interface Def {
	id: string;
	title: Key;
	keys: string; // "a | b": either
	scope: Scope;
	page: 'all' | 'library' | 'explorer' | 'item';
	typing?: boolean; // inside of text fields too
	tool?: string; // counts with this tool in hand alone
	fixed?: boolean; // what parts do with keys themselves while they have the focus: listed in the help alone
}

const def = (page: Def['page'], scope: Scope, id: string, title: Key, keys: string, typing = false): Def => ({
	id,
	title,
	keys,
	scope,
	page,
	typing,
});

export const defs: Def[] = [
	def('all', 'global', 'help', 'cmd.help', '?'),
	def('all', 'global', 'palette', 'cmd.palette', 'Ctrl+k', true),
	def('all', 'global', 'theme', 'cmd.theme', ''),
	def('all', 'global', 'go.library', 'cmd.library', ''),
	def('all', 'global', 'go.settings', 'cmd.settings', ''),

	def('library', 'page', 'library.search', 'cmd.search', '/'),

	def('explorer', 'page', 'explore.table', 'cmd.table', '1'),
	def('explorer', 'page', 'explore.grid', 'cmd.grid', '2'),
	def('explorer', 'page', 'explore.filter', 'cmd.filter', '/'),
	def('explorer', 'page', 'explore.off', 'cmd.filter.off', '\\'),
	def('explorer', 'page', 'explore.facets', 'cmd.facets', '['),
	def('explorer', 'page', 'explore.overlays', 'cmd.overlays', 'o'),
	def('explorer', 'page', 'explore.all', 'cmd.all', 'Ctrl+a'),
	def('explorer', 'page', 'explore.models', 'cmd.models', ''),
	{ ...def('explorer', 'page', 'explore.width', 'cmd.width', 'ArrowLeft | ArrowRight | Home'), fixed: true },
	{ ...def('explorer', 'page', 'explore.bins', 'cmd.bins', 'Shift+ArrowLeft | Shift+ArrowRight | Enter'), fixed: true },

	def('item', 'page', 'undo', 'cmd.undo', 'Ctrl+z'),
	def('item', 'page', 'redo', 'cmd.redo', 'Ctrl+Shift+z | Ctrl+y'),
	def('item', 'page', 'save', 'cmd.save', 'Ctrl+s', true),
	def('item', 'page', 'models', 'cmd.models', ''),
	def('item', 'page', 'next', 'cmd.next', 'Shift+ArrowRight | Shift+d'),
	def('item', 'page', 'previous', 'cmd.previous', 'Shift+ArrowLeft | Shift+a'),
	def('item', 'page', 'repeat', 'cmd.repeat', 'n'),
	def('item', 'page', 'delete', 'cmd.delete', 'Delete | Backspace'),
	def('item', 'page', 'copy', 'cmd.copy', 'Ctrl+c'),
	def('item', 'page', 'paste', 'cmd.paste', 'Ctrl+v'),
	def('item', 'page', 'duplicate', 'cmd.duplicate', 'Ctrl+d'),
	def('item', 'page', 'all', 'cmd.all', 'Ctrl+a'),
	def('item', 'page', 'classify', 'cmd.classify', 'c'),
	def('item', 'page', 'class', 'cmd.class', 'Shift+c'),
	def('item', 'page', 'relink', 'cmd.relink', 'Shift+m'),
	def('item', 'page', 'like', 'cmd.like', ''),
	{ ...def('item', 'page', 'object.menu', 'object.menu', 'Shift+F10'), fixed: true },
	def('item', 'page', 'into', 'cmd.into', ';'),
	def('item', 'page', 'review', 'cmd.review', 'Shift+r'),
	def('item', 'page', 'review.accept', 'review.accept', 'y'),
	def('item', 'page', 'isolate', 'cmd.isolate', 'i'),
	def('item', 'page', 'hide', 'cmd.hide', 'Shift+h'),
	def('item', 'page', 'peek', 'cmd.peek', 'h'),
	def('item', 'page', 'search', 'cmd.objects', '/'),
	def('item', 'page', 'right', 'cmd.right', ']'),
	def('item', 'page', 'view.alone', 'cmd.alone', 'Shift+f'),
	def('item', 'page', 'fill.less', 'cmd.fill.less', '{'),
	def('item', 'page', 'fill.more', 'cmd.fill.more', '}'),
	def('item', 'tool', 'fit', 'cmd.fit', 'f'),
	def('item', 'tool', 'fit.selection', 'cmd.fit.selection', 'z'),
	def('item', 'tool', 'actual', 'cmd.actual', '0'),
	def('item', 'tool', 'zoom.in', 'cmd.zoom.in', '+ | ='),
	def('item', 'tool', 'zoom.out', 'cmd.zoom.out', '-'),
	def('item', 'tool', 'turn', 'cmd.turn', ''),
	def('item', 'tool', 'walk', 'cmd.walk', 'Tab'),
	def('item', 'tool', 'walk.back', 'cmd.walk.back', 'Shift+Tab'),
	def('item', 'tool', 'escape', 'cmd.escape', 'Escape'),
];

const byId = new Map(defs.map((d) => [d.id, d]));

// cmd gives a command what it does.
export function cmd(id: string, run: () => void, when?: () => boolean): Cmd {
	const d = byId.get(id);
	if (!d) throw new Error(`no command ${id}`);
	return { ...d, run, when };
}

// fixed are the commands of a page that parts of it do themselves.
export const fixed = (page: Def['page']): Cmd[] =>
	defs
		.filter((d) => d.fixed && d.page === page)
		.map((d) =>
			cmd(
				d.id,
				() => {},
				() => false,
			),
		);
