// Commands with their keys. Every action of the interface is a command: the keymap, the palette and the help list them.
import { untrack } from 'svelte';
import type { Key } from './i18n';
import { prefs } from './prefs.svelte';

export type Scope = 'global' | 'page' | 'tool';

export interface Cmd {
	id: string;
	title: Key;
	keys: string; // default, such as "Ctrl+Shift+z | Ctrl+y"
	scope: Scope;
	run: () => void;
	when?: () => boolean;
	typing?: boolean; // works inside of text fields too
	silent?: boolean; // not listed in the help and the palette
}

const order: Scope[] = ['tool', 'page', 'global'];

// normalise gives the name of what was pressed: letters and signs as typed, with Ctrl, Alt and Shift where they do
// not already show in the sign.
export function pressed(e: KeyboardEvent): string {
	let key = e.key === ' ' ? 'Space' : e.key;
	if (key.length === 1) key = key.toLowerCase();
	const mods = [];
	if (e.ctrlKey || e.metaKey) mods.push('Ctrl');
	if (e.altKey) mods.push('Alt');
	if (e.shiftKey && (key.length > 1 || /[a-z]/.test(key))) mods.push('Shift');
	return [...mods, key].join('+');
}

class Keymap {
	private list = $state.raw<Cmd[]>([]);
	all = $derived(this.list.filter((c) => !c.silent));

	add(commands: Cmd[]): () => void {
		// Effects add commands; they must not depend on the list that they change.
		untrack(() => (this.list = [...this.list, ...commands]));
		return () => untrack(() => (this.list = this.list.filter((c) => !commands.includes(c))));
	}

	keysOf(c: Pick<Cmd, 'id' | 'keys'>): string[] {
		return (prefs.keys[c.id] ?? c.keys)
			.split(' | ')
			.map((k) => k.trim())
			.filter(Boolean);
	}

	// of returns what a key is for, now or at another time.
	of(e: KeyboardEvent): Cmd | undefined {
		const name = pressed(e);
		for (const scope of order) {
			const c = this.list.findLast((x) => x.scope === scope && this.keysOf(x).includes(name));
			if (c) return c;
		}
	}

	handle(e: KeyboardEvent): boolean {
		if (e.isComposing) return false;
		const typing = isField(e.target);
		const name = pressed(e);
		for (const scope of order) {
			const c = this.list.findLast(
				(x) => x.scope === scope && (!typing || x.typing) && this.keysOf(x).includes(name) && (x.when?.() ?? true),
			);
			if (!c) continue;
			e.preventDefault();
			e.stopPropagation();
			c.run();
			return true;
		}
		return false;
	}
}

export function isField(target: EventTarget | null): boolean {
	if (!(target instanceof HTMLElement)) return false;
	if (target instanceof HTMLInputElement) return !['checkbox', 'radio', 'range', 'button'].includes(target.type);
	return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || target.isContentEditable;
}

export const keymap = new Keymap();
