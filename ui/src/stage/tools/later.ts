import { nothing, type Host, type Tool } from './tool';

// later stands for a tool whose code is loaded when it is first taken in hand. What is done with it until then is done
// when it is there; keys too, once something was begun that they are for.
export function later(name: string, host: Host, load: () => Promise<Tool>): Tool {
	let tool: Tool | null = null;
	let waiting: ((t: Tool) => void)[] = [];
	let loading = false;
	let begun = false;
	function get(): void {
		if (loading) return;
		loading = true;
		load().then(
			(t) => {
				tool = t;
				for (const f of waiting) f(t);
				forget();
				host.redraw();
			},
			() => {
				// The server is away: the next use tries again.
				loading = false;
				forget();
			},
		);
	}
	function run(f: (t: Tool) => void): void {
		if (tool) return f(tool);
		waiting.push(f);
		get();
	}
	function forget(): boolean {
		const was = begun;
		waiting = [];
		begun = false;
		return was;
	}
	function also(f: (t: Tool) => void): boolean {
		if (begun) waiting.push(f);
		return begun;
	}
	get();
	return {
		name,
		get right() {
			return tool?.right ?? false;
		},
		get busy() {
			return tool?.busy ?? begun;
		},
		get skip() {
			return tool?.skip ?? nothing;
		},
		cursor: (p) => tool?.cursor(p) ?? 'progress',
		down(p) {
			begun = !tool;
			run((t) => t.down(p));
			if (begun) host.redraw();
		},
		move: (p, pressed) => (pressed || tool ? run((t) => t.move(p, pressed)) : undefined),
		up: (p) => run((t) => t.up(p)),
		double: (p) => (tool ? tool.double?.(p) : void also((t) => t.double?.(p))),
		key(key, mods) {
			if (tool) return tool.key(key, mods);
			const then = { ...mods };
			return ['Enter', 'Backspace', 'Delete'].includes(key) && also((t) => t.key(key, then));
		},
		cancel: () => (tool ? tool.cancel() : forget()),
		undo: () => (tool ? tool.undo() : also((t) => t.undo())),
		redo: () => (tool ? tool.redo() : also((t) => t.redo())),
		draw: (ctx, view) => tool?.draw(ctx, view),
		edit: (key) => run((t) => t.edit?.(key)),
		leave: () => tool?.leave?.(),
		fresh: () => tool?.fresh?.(),
		finish() {
			forget();
			tool?.finish?.();
		},
	};
}
