import { expect, test } from 'vitest';
import type { Camera } from '../camera';
import { Scene, type Shape } from '../scene';
import type { View } from '../c2d/draw';
import { measureTool, type Measure } from './measure';
import { mergeTool } from './merge';
import { relinkTool } from './relink';
import { skeletonTool, type Pose, type Sketch } from './skeleton';
import type { Host, Pointer, Tool } from './tool';

const image = { width: 200, height: 100 };
const camera: Camera = { scale: 1, x: 0, y: 0, turn: 0 };
const hand: Sketch = {
	id: 'hand',
	points: [
		{ name: 'wrist', x: 0.5, y: 1 },
		{ name: 'thumb', x: 0, y: 0.5 },
		{ name: 'tip', x: 1, y: 0 },
	],
	edges: [
		[0, 1],
		[0, 2],
	],
};

const common = { entity: '', label: '', color: 0, origin: 'human' as const, hidden: false, locked: false };
const pose = (key: string, points: number[], states = [0, 0, 0]): Shape => ({
	...common,
	key,
	kind: 'skeleton',
	points: Float32Array.from(points),
	states: Uint8Array.from(states),
	edges: hand.edges,
});
const box = (key: string, x: number): Shape => ({ ...common, key, kind: 'box', x, y: 10, w: 20, h: 20 });

// bench drives a tool by events and keeps what it asks for.
function bench(make: (host: Host) => Tool, shapes: Shape[] = []) {
	const b = { shapes, selection: new Set<string>(), hint: null as string | null };
	const no = () => {
		throw new Error('not expected');
	};
	const host: Host = {
		scene: () => new Scene(b.shapes),
		image: () => image,
		camera: () => camera,
		selection: () => b.selection,
		select: (keys: readonly string[]) => (b.selection = new Set(keys)),
		hover: () => {},
		addBox: no,
		changeBoxes: no,
		duplicate: no,
		stack: no,
		redraw: () => {},
		hint: (key: string | null) => (b.hint = key),
	} as unknown as Host;
	const tool = make(host);
	const at = (x: number, y: number): Pointer => ({ x, y, screen: { x, y }, button: 0, shift: false, alt: false, ctrl: false });
	return {
		state: b,
		tool,
		click(x: number, y: number) {
			tool.move(at(x, y), false);
			tool.down(at(x, y));
			tool.up(at(x, y));
		},
		drag(x: number, y: number, u: number, v: number) {
			tool.down(at(x, y));
			tool.move(at((x + u) / 2, (y + v) / 2), true);
			tool.move(at(u, v), true);
			tool.up(at(u, v));
		},
		key: (key: string, mods: Partial<{ shift: boolean; alt: boolean; ctrl: boolean }> = {}) =>
			tool.key(key, { shift: false, alt: false, ctrl: false, ...mods }),
	};
}

function skeleton(shapes: Shape[] = []) {
	const made: { pose: Pose; template: string }[] = [];
	const changed: { key: string; points: number[]; states: number[]; merge?: string }[] = [];
	const names: string[] = [];
	const b = bench(
		(host) =>
			skeletonTool(host, {
				color: () => 0,
				template: () => hand,
				templateOf: () => hand,
				add: (p, template) => made.push({ pose: p, template }),
				change: (key, p, merge) => {
					changed.push({ key, points: [...p.points], states: [...p.states], merge });
					b.state.shapes = b.state.shapes.map((s) => (s.key === key ? pose(key, [...p.points], [...p.states]) : s));
				},
				named: (name, state) => names.push(name && `${name} ${state}`),
			}),
		shapes,
	);
	return { ...b, made, changed, names };
}

test('skeleton: a dragged box places the template, inside of the image; a slip of the hand does not', () => {
	const s = skeleton();
	s.drag(150, 40, 250, 80);
	expect(s.made.map((m) => [m.template, [...m.pose.points], [...m.pose.states]])).toEqual([
		['hand', [175, 80, 150, 60, 200, 40], [0, 0, 0]],
	]);
	s.drag(10, 10, 10, 18);
	expect(s.made).toHaveLength(1);
});

test('skeleton: point after point, hidden ones, going back, ending early', () => {
	const s = skeleton();
	s.click(10, 10);
	expect(s.tool.busy).toBe(true);
	s.key('o');
	s.click(20, 30);
	s.click(40, 50);
	expect(s.made.map((m) => [[...m.pose.points], [...m.pose.states]])).toEqual([
		[
			[10, 10, 20, 30, 40, 50],
			[0, 1, 0],
		],
	]);
	s.click(10, 10);
	s.click(11, 11);
	s.key('Backspace');
	s.key('Enter');
	expect([...s.made[1].pose.points]).toEqual([10, 10, 0, 0, 0, 0]);
	expect([...s.made[1].pose.states]).toEqual([0, 2, 2]); // what was not set is invisible
	s.click(10, 10);
	expect(s.tool.undo()).toBe(true); // the only point
	expect(s.tool.busy).toBe(false);
	expect(s.tool.undo()).toBe(false);
	s.click(10, 10);
	expect(s.tool.cancel()).toBe(true);
	expect(s.made).toHaveLength(2);
});

test('skeleton: points are dragged, walked over, hidden and nudged; all of it moves and stays inside', () => {
	const s = skeleton([pose('p', [100, 50, 120, 60, 140, 40])]);
	s.state.selection = new Set(['p']);
	s.drag(121, 61, 131, 71);
	expect(s.changed).toEqual([{ key: 'p', points: [100, 50, 130, 70, 140, 40], states: [0, 0, 0], merge: undefined }]);
	s.drag(120, 45, 320, 45); // on a line: the pose
	expect(s.changed[1].points).toEqual([160, 50, 190, 70, 200, 40]);
	expect(s.key('o')).toBe(false); // no point in hand
	s.key('Tab');
	expect(s.names.at(-1)).toBe('wrist 0');
	s.key('o');
	s.key('o');
	expect(s.names.at(-1)).toBe('wrist 2');
	s.key('o');
	expect(s.changed.slice(2).map((c) => c.states[0])).toEqual([1, 2, 0]);
	s.key('Tab', { shift: true });
	expect(s.names.at(-1)).toBe('tip 0');
	s.key('ArrowLeft');
	s.key('ArrowUp', { ctrl: true });
	const [a, b] = s.changed.slice(-2);
	expect(a.points.slice(4)).toEqual([199, 40]);
	expect(b.points.slice(4)).toEqual([199, 30]);
	expect(a.merge).toBe(b.merge); // one step
	s.key('Tab');
	s.key('ArrowLeft');
	expect(s.changed.at(-1)!.merge).not.toBe(b.merge);
});

test('skeleton: a click takes another pose in hand; locked ones are passed over', () => {
	const s = skeleton([pose('p', [10, 10, 20, 20, 30, 10]), { ...pose('q', [100, 50, 120, 60, 140, 40]), locked: true }]);
	s.click(20, 20);
	expect([...s.state.selection]).toEqual(['p']);
	s.click(120, 60);
	expect(s.tool.busy).toBe(true); // the first point of a new one
});

test('merge: picks in order, forbidden ones stay out, Enter merges', () => {
	let picked: string[] = [];
	let merged: string[] = [];
	const b = bench(
		(host) =>
			mergeTool(host, {
				picked: () => picked,
				toggle: (key) => {
					if (picked.includes(key)) picked = picked.filter((k) => k !== key);
					else if (key !== 'no') picked = [...picked, key];
				},
				allowed: (key) => key !== 'no',
				merge: () => {
					if (picked.length < 2) return false;
					merged = picked;
					picked = [];
					return true;
				},
				clear: () => picked.length > 0 && ((picked = []), true),
			}),
		[box('a', 10), box('b', 60), box('no', 110)],
	);
	b.click(20, 20);
	expect(b.key('Enter')).toBe(false);
	b.click(120, 20);
	b.click(70, 20);
	expect(picked).toEqual(['a', 'b']);
	expect(b.tool.cursor({ x: 120, y: 20, screen: { x: 120, y: 20 }, button: 0, shift: false, alt: false, ctrl: false })).toBe('not-allowed');
	expect(b.key('Enter')).toBe(true);
	expect(merged).toEqual(['a', 'b']);
	b.state.selection = new Set(['b']);
	b.key('m');
	expect(picked).toEqual(['b']);
	expect(b.tool.cancel()).toBe(true);
	expect(b.tool.cancel()).toBe(false);
});

test('relink: an object that can take the annotation is picked, others are not; Escape leaves', () => {
	const chosen: string[] = [];
	let left = 0;
	const b = bench(
		(host) => relinkTool(host, { own: 'a', allowed: (key) => key === 'c', choose: (key) => chosen.push(key), cancel: () => left++ }),
		[box('a', 10), box('b', 50), box('c', 90)],
	);
	b.click(20, 20); // itself
	b.click(60, 20); // forbidden
	b.click(150, 80); // nothing there
	expect(chosen).toEqual([]);
	b.click(100, 20);
	expect(chosen).toEqual(['c']);
	expect(b.tool.cancel()).toBe(true);
	expect(left).toBe(1);
});

test('measure: a drag and two clicks tell the distance; level with Shift, from corner to corner with Ctrl; nothing is changed', () => {
	const told: Measure[] = [];
	const text = (m: Measure) => (told.push(m), '');
	const ctx = new Proxy({} as CanvasRenderingContext2D, {
		get: (_, name) => (name === 'measureText' ? () => ({ width: 0 }) : () => {}),
		set: () => true,
	});
	const b = bench((host) => measureTool(host, text), [box('a', 10), box('b', 110)]);
	const read = () => {
		told.length = 0;
		b.tool.draw(ctx, { camera, image, size: image } as View);
		return told.at(-1);
	};
	const at = (x: number, y: number, mods = {}): Pointer => ({
		x,
		y,
		screen: { x, y },
		button: 0,
		shift: false,
		alt: false,
		ctrl: false,
		...mods,
	});
	b.drag(10, 20, 40, 60);
	expect(read()).toMatchObject({ dx: 30, dy: 40, length: 50 });
	expect(read()!.angle).toBeCloseTo(-53.13, 2);
	expect(b.tool.busy).toBe(false);
	b.click(100, 50);
	expect([read(), b.tool.busy]).toEqual([undefined, true]);
	b.tool.move(at(100, 20, { shift: true }), false);
	expect(read()).toMatchObject({ dx: 0, dy: 30, angle: 90 });
	b.tool.move(at(120, 53, { shift: true }), false);
	expect(read()!.dy).toBeCloseTo(0, 9);
	b.click(100, 20);
	expect(b.tool.busy).toBe(false);
	// The right edge of one box to the left edge of the other.
	b.tool.down(at(32, 11, { ctrl: true }));
	b.tool.move(at(80, 11, { ctrl: true }), true);
	b.tool.move(at(108, 8, { ctrl: true }), true);
	b.tool.up(at(108, 8, { ctrl: true }));
	expect(read()).toEqual({ dx: 80, dy: 0, length: 80, angle: 0 });
	expect(b.tool.cancel()).toBe(true);
	expect(read()).toBeUndefined();
	// By keys: from the middle to the right.
	for (const k of ['ArrowUp', 'Enter', 'ArrowRight', 'ArrowRight', 'Enter']) expect(b.key(k)).toBe(true);
	expect(read()).toMatchObject({ dx: 4, dy: 0 });
	expect(b.state.selection.size).toBe(0);
});
