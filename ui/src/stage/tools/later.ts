import { nothing, type Host, type Tool } from './tool';

// later stands for a tool whose code is loaded when it is first taken in hand. What is done with it until then is done
// when it is there.
export function later(name: string, host: Host, load: () => Promise<Tool>): Tool {
	let tool: Tool | null = null;
	let waiting: ((t: Tool) => void)[] = [];
	let loading = false;
	function get(): void {
		if (loading) return;
		loading = true;
		load().then(
			(t) => {
				tool = t;
				for (const f of waiting) f(t);
				waiting = [];
				host.redraw();
			},
			() => {
				// The server is away: the next use tries again.
				loading = false;
				waiting = [];
			},
		);
	}
	function run(f: (t: Tool) => void): void {
		if (tool) return f(tool);
		waiting.push(f);
		get();
	}
	get();
	return {
		name,
		get right() {
			return tool?.right ?? false;
		},
		get busy() {
			return tool?.busy ?? false;
		},
		get skip() {
			return tool?.skip ?? nothing;
		},
		cursor: (p) => tool?.cursor(p) ?? 'progress',
		down: (p) => run((t) => t.down(p)),
		move: (p, pressed) => (pressed || tool ? run((t) => t.move(p, pressed)) : undefined),
		up: (p) => run((t) => t.up(p)),
		double: (p) => tool?.double?.(p),
		key: (key, mods) => tool?.key(key, mods) ?? false,
		cancel() {
			waiting = [];
			return tool?.cancel() ?? false;
		},
		undo: () => tool?.undo() ?? false,
		redo: () => tool?.redo() ?? false,
		draw: (ctx, view) => tool?.draw(ctx, view),
		edit: (key) => run((t) => t.edit?.(key)),
		leave: () => tool?.leave?.(),
		finish() {
			waiting = [];
			tool?.finish?.();
		},
	};
}
