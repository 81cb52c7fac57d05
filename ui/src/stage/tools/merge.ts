import { matrix } from '../camera';
import { bounds } from '../scene';
import { css } from '../c2d/draw';
import { drawRect, shade } from './handles';
import { nothing, type Host, type Tool } from './tool';

export interface MergeOptions {
	picked(): readonly string[];
	toggle(key: string): void; // adds a shape, or takes it out
	allowed(key: string): boolean;
	merge(): boolean; // whether there was enough to merge
	clear(): boolean;
}

// mergeTool picks the shapes whose objects become one. The first one stays; those that cannot join are dimmed.
export function mergeTool(host: Host, options: MergeOptions): Tool {
	return {
		name: 'merge',
		busy: false,
		skip: nothing,
		cursor(p) {
			const s = p && host.scene().pick(p, 4 / host.camera().scale)[0];
			return !s ? 'default' : options.allowed(s.key) || options.picked().includes(s.key) ? 'pointer' : 'not-allowed';
		},
		down() {},
		move(p, pressed) {
			if (!pressed) host.hover(host.scene().pick(p, 4 / host.camera().scale)[0]?.key ?? null);
		},
		up(p) {
			const s = host.scene().pick(p, 4 / host.camera().scale)[0];
			if (s) options.toggle(s.key);
			host.redraw();
		},
		key(key) {
			if (key === 'Enter') {
				const done = options.merge();
				host.redraw('shapes');
				return done;
			}
			// With the keyboard: Tab walks over the objects, the tool's own key picks.
			if (key.toLowerCase() !== 'm') return false;
			const one = [...host.selection()].at(-1);
			if (one === undefined) return false;
			options.toggle(one);
			host.redraw();
			return true;
		},
		cancel() {
			const did = options.clear();
			host.redraw();
			return did;
		},
		undo: () => false,
		redo: () => false,
		draw(ctx, view) {
			const picked = options.picked();
			for (const s of host.scene().shapes) {
				if (s.hidden) continue;
				const at = picked.indexOf(s.key);
				const r = bounds(s);
				if (at >= 0) {
					drawRect(ctx, view, r, s.color, at > 0);
					const [a, b, c, d, e, f] = matrix(view.camera, view.image);
					const x = a * r.x + c * r.y + e,
						y = b * r.x + d * r.y + f;
					ctx.fillStyle = css(s.color);
					ctx.beginPath();
					ctx.arc(x, y, 9, 0, 2 * Math.PI);
					ctx.fill();
					ctx.fillStyle = '#0f1216';
					ctx.font = '600 11px "Inter Variable", system-ui, sans-serif';
					ctx.textAlign = 'center';
					ctx.textBaseline = 'middle';
					ctx.fillText(String(at + 1), x, y + 0.5);
					ctx.textAlign = 'start';
				} else if (picked.length > 0 && !options.allowed(s.key)) shade(ctx, view, r);
			}
		},
	};
}
