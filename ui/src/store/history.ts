import { keyOf, sameRow, type Command, type Patch } from './types';

const maxSteps = 200;
const maxBytes = 64 << 20;

// History is the undo and redo stack of one item. It holds commands; the caller applies what it returns.
export class History {
	private done: Step[] = [];
	private undone: Step[] = [];
	private bytes = 0;
	private open = false; // whether the last step still takes commands of its merge key
	private listeners = new Set<() => void>();

	push(command: Command): void {
		const last = this.done.at(-1);
		this.undone = [];
		if (last && this.open && command.merge !== undefined && last.command.merge === command.merge) {
			this.bytes -= last.bytes;
			last.command = {
				...last.command,
				label: command.label,
				place: command.place,
				patches: collapse([...last.command.patches, ...command.patches]),
			};
			last.bytes = size(last.command);
			this.bytes += last.bytes;
		} else {
			const step = { command: { ...command, patches: collapse(command.patches) }, bytes: size(command), at: Date.now() };
			this.done.push(step);
			this.bytes += step.bytes;
		}
		this.open = command.merge !== undefined;
		while (this.done.length > maxSteps || (this.bytes > maxBytes && this.done.length > 1)) this.bytes -= this.done.shift()!.bytes;
		this.changed();
	}

	// seal ends merging: the next command is a step of its own, such as after a drag was released.
	seal(): void {
		this.open = false;
	}

	undo(): Command | null {
		const step = this.done.pop();
		if (!step) return null;
		this.bytes -= step.bytes;
		this.undone.push(step);
		this.open = false;
		this.changed();
		return inverse(step.command);
	}

	redo(): Command | null {
		const step = this.undone.pop();
		if (!step) return null;
		this.bytes += step.bytes;
		this.done.push(step);
		this.open = false;
		this.changed();
		return step.command;
	}

	get canUndo(): boolean {
		return this.done.length > 0;
	}
	get canRedo(): boolean {
		return this.undone.length > 0;
	}

	// steps lists the history, oldest first; those at or beyond position are undone.
	steps(): { label: string; at: number }[] {
		return [...this.done, ...this.undone.toReversed()].map((s) => ({ label: s.command.label, at: s.at }));
	}
	get position(): number {
		return this.done.length;
	}

	subscribe(listener: () => void): () => void {
		this.listeners.add(listener);
		return () => this.listeners.delete(listener);
	}

	private changed(): void {
		for (const listener of this.listeners) listener();
	}
}

interface Step {
	command: Command;
	bytes: number;
	at: number;
}

export function inverse(command: Command): Command {
	return { ...command, patches: command.patches.map((p) => ({ ...p, before: p.after, after: p.before })).reverse() };
}

// collapse joins the patches of one row: the first before, the last after. A row that ends as it began drops out.
export function collapse(patches: readonly Patch[]): Patch[] {
	const rows = new Map<string, Patch>();
	for (const p of patches) {
		const key = keyOf(p.table, p.id);
		const first = rows.get(key);
		rows.set(key, first ? { ...p, before: first.before } : p);
	}
	return [...rows.values()].filter((p) => !sameRow(p.before, p.after));
}

// size estimates the bytes that a command keeps alive; masks make most of it.
function size(command: Command): number {
	let n = 200;
	for (const p of command.patches) n += 200 + text(p.before?.data) + text(p.after?.data);
	return n;
}

function text(value: unknown): number {
	if (typeof value === 'string') return 2 * value.length;
	if (Array.isArray(value)) return value.length * 8;
	if (value && typeof value === 'object') return Object.values(value).reduce<number>((n, v) => n + 16 + text(v), 0);
	return 8;
}
