import { bounds } from '../scene';
import { drawRect, shade } from './handles';
import { nothing, type Host, type Tool } from './tool';

export interface RelinkOptions {
	own: string; // the annotation that is moved
	allowed(key: string): boolean; // whether it can go to the object of another one
	choose(key: string): void;
	cancel(): void;
}

// relinkTool picks the object that an annotation is moved to. Those that cannot take it are dimmed.
export function relinkTool(host: Host, options: RelinkOptions): Tool {
	const under = (p: Parameters<Tool['up']>[0]) =>
		host
			.scene()
			.pick(p, 4 / host.camera().scale)
			.find((s) => s.key !== options.own && options.allowed(s.key))?.key ?? null;
	let hovered: string | null = null;
	return {
		name: 'relink',
		busy: false,
		skip: nothing,
		cursor: (p) => (p && under(p) ? 'pointer' : p && host.scene().pick(p, 4 / host.camera().scale).length > 0 ? 'not-allowed' : 'default'),
		down() {},
		move(p, pressed) {
			if (pressed) return;
			hovered = under(p);
			host.hover(hovered);
			host.redraw();
		},
		up(p) {
			const key = under(p);
			if (key) options.choose(key);
		},
		key: () => false,
		cancel() {
			options.cancel();
			return true;
		},
		undo: () => false,
		redo: () => false,
		leave() {
			hovered = null;
			host.hover(null);
		},
		draw(ctx, view) {
			for (const s of host.scene().shapes) {
				if (s.hidden) continue;
				if (s.key === options.own) drawRect(ctx, view, bounds(s), s.color, true);
				else if (s.key === hovered) drawRect(ctx, view, bounds(s), s.color);
				else if (!options.allowed(s.key)) shade(ctx, view, bounds(s));
			}
		},
	};
}
