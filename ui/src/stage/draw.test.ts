import { expect, test } from 'vitest';
import { fromBitmap, toBitmap, type RLE } from '../masks/rle';
import { areaOf, combine, drawRings, rleOf, runsOf } from '../masks/runs';
import type { Camera } from './camera';
import { Scene, type Shape } from './scene';
import { snapToImage, snapToShapes } from './snap';
import { brushTool, type BrushSettings } from './tools/brush';
import { polygonTool } from './tools/polygon';
import { smartTool, type Prompt, type Segment } from './tools/smart';
import { later } from './tools/later';
import type { Host, MadeMask, Pointer, Tool } from './tools/tool';

const image = { width: 200, height: 150 };
const camera: Camera = { scale: 1, x: 0, y: 0, turn: 0 };

// bench is a workspace of masks for event scripts: what tools emit changes the scene at once.
function bench<T extends Tool>(make: (host: Host) => T) {
	const masks = new Map<string, MadeMask>();
	let selected = new Set<string>();
	const log: string[] = [];
	const scene = () =>
		new Scene(
			[...masks].flatMap(([key, m]): Shape[] => {
				const crop = toBitmap(m.mask);
				return crop ? [{ key, entity: '', label: '', color: 1, origin: 'human', hidden: false, locked: false, kind: 'mask', crop }] : [];
			}),
		);
	const size = (m: MadeMask) => areaOf(runsOf(m.mask));
	const host: Host = {
		scene,
		image: () => image,
		camera: () => camera,
		selection: () => selected,
		select: (keys) => (selected = new Set(keys)),
		hover: () => {},
		addBox: () => {},
		changeBoxes: () => {},
		move: () => {},
		addMask: (made) => {
			const key = `m${masks.size + 1}`;
			masks.set(key, made);
			selected = new Set([key]);
			log.push(`add ${size(made)}`);
			return key;
		},
		changeMask: (key, made, label) => {
			if (size(made) === 0) masks.delete(key);
			else masks.set(key, made);
			log.push(`${label} ${key} ${size(made)}`);
		},
		maskOf: (key) => {
			const m = masks.get(key);
			return m ? { mask: m.mask, rings: m.rings ?? null } : null;
		},
		take: () => {},
		duplicate: () => [],
		stack: () => {},
		redraw: () => {},
		hint: () => {},
	};
	const tool = make(host);
	const at = (x: number, y: number, mods: Partial<Pointer> = {}): Pointer => ({
		x,
		y,
		screen: { x, y },
		button: 0,
		shift: false,
		alt: false,
		ctrl: false,
		...mods,
	});
	const bench = {
		tool,
		log,
		masks,
		selected: () => [...selected],
		select: (...keys: string[]) => (selected = new Set(keys)),
		click: (x: number, y: number, m?: Partial<Pointer>) => {
			tool.move(at(x, y, m), false);
			tool.down(at(x, y, m));
			tool.up(at(x, y, m));
		},
		drag: (points: [number, number][], m?: Partial<Pointer>) => {
			tool.down(at(...points[0], m));
			for (const p of points.slice(1)) tool.move(at(...p, m), true);
			tool.up(at(...points.at(-1)!, m));
		},
		key: (key: string, shift = false) => tool.key(key, { shift, alt: false, ctrl: false }),
	};
	return bench;
}
const polygon = () => bench((h) => polygonTool(h, { color: () => 0 }));

test('polygon: clicks, Backspace, undo and redo of points, closing on the first one', () => {
	const b = polygon();
	b.click(10, 10);
	b.click(50, 10);
	b.click(90, 90);
	expect(b.key('Backspace')).toBe(true);
	b.click(50, 50);
	b.click(12, 50);
	expect(b.tool.undo() && b.tool.undo() && b.tool.redo() && b.tool.redo()).toBe(true);
	expect(b.tool.redo()).toBe(false);
	b.click(12, 11); // near the first
	expect(b.log).toEqual(['add 1560']);
	expect(b.masks.get('m1')!.rings).toEqual([[10, 10, 50, 10, 50, 50, 12, 50]]);
	expect(b.tool.busy).toBe(false);
	// Two points are no polygon; Escape drops them.
	b.click(100, 100);
	b.click(120, 100);
	expect(b.key('Enter')).toBe(true);
	expect(b.tool.busy && b.tool.cancel()).toBe(true);
	expect(b.log).toHaveLength(1);
	// All points undone: the history of rows is next.
	b.click(100, 100);
	expect(b.tool.undo()).toBe(true);
	expect(b.tool.undo()).toBe(false);
});

test('polygon: freehand closes where it began, and is thinned', () => {
	const b = polygon();
	const circle = Array.from({ length: 80 }, (_, i): [number, number] => [100 + 40 * Math.cos(i / 12.7), 75 + 40 * Math.sin(i / 12.7)]);
	b.drag(circle);
	expect(b.log).toHaveLength(1);
	const m = b.masks.get('m1')!;
	expect(m.rings![0].length).toBeLessThan(100);
	expect(Math.abs(areaOf(runsOf(m.mask)) - Math.PI * 1600)).toBeLessThan(150);
});

test('polygon: a hole with Shift, into the mask that is selected', () => {
	const b = polygon();
	for (const [x, y] of [
		[10, 10],
		[60, 10],
		[60, 60],
		[10, 60],
	])
		b.click(x, y);
	b.key('Enter');
	for (const [x, y] of [
		[20, 20],
		[40, 20],
		[40, 40],
		[20, 40],
	])
		b.click(x, y, { shift: true });
	b.key('Enter');
	expect(b.log).toEqual(['add 2500', 'cut hole m1 2100']);
	expect(b.masks.get('m1')!.rings).toHaveLength(2);
});

test('polygon: points are dragged, added on edges and deleted', () => {
	const b = polygon();
	for (const [x, y] of [
		[10, 10],
		[60, 10],
		[60, 60],
		[10, 60],
	])
		b.click(x, y);
	b.key('Enter');
	b.drag([
		[60, 60],
		[70, 65],
		[80, 80],
	]);
	expect(b.masks.get('m1')!.rings![0]).toEqual([10, 10, 60, 10, 80, 80, 10, 60]);
	b.drag([
		[35, 10],
		[35, 5],
		[35, 0],
	]);
	expect(b.masks.get('m1')!.rings![0]).toEqual([10, 10, 35, 0, 60, 10, 80, 80, 10, 60]);
	b.click(80, 80, { alt: true });
	expect(b.masks.get('m1')!.rings![0]).toEqual([10, 10, 35, 0, 60, 10, 10, 60]);
	expect(b.log).toHaveLength(4);
});

test('polygon: the outline of any mask can be edited, and changes near what moved alone', () => {
	const b = polygon();
	const pixels = new Uint8Array(60 * 60);
	for (let y = 0; y < 60; y++)
		for (let x = 0; x < 60; x++) if ((x - 30) ** 2 + (y - 30) ** 2 < 800 && (x + y) % 9 !== 1) pixels[y * 60 + x] = 255;
	const mask = fromBitmap({ x: 20, y: 20, width: 60, height: 60, data: pixels }, [150, 200]);
	b.masks.set('m1', { mask });
	b.tool.edit!('m1');
	const before = runsOf(mask);
	// Some point of the outline far to the left is pulled out.
	let from: [number, number] | null = null;
	for (let y = 40; y < 60 && !from; y++)
		for (let x = 18; x < 26; x++)
			if (b.tool.cursor({ x, y, screen: { x, y }, button: 0, shift: false, alt: false, ctrl: false }) === 'grab') from = [x, y];
	expect(from).not.toBe(null);
	b.drag([from!, [10, from![1]], [5, from![1]]]);
	expect(b.log).toHaveLength(1);
	const changed = toBitmap(rleOf(combine(before, runsOf(b.masks.get('m1')!.mask), 'differ'), [150, 200]))!;
	expect(changed.x).toBeGreaterThanOrEqual(4);
	expect(changed.x + changed.width).toBeLessThan(60); // the right half is as it was
});

function brush(settings: Partial<BrushSettings> = {}) {
	return bench((h) =>
		brushTool(h, { color: () => 0, fill: () => 1, settings: () => ({ size: 10, lazy: 0, friction: 0, erase: false, ...settings }) }),
	);
}

test('brush: strokes become a mask with Enter; the right button erases; undo is inside of the strokes', () => {
	const b = brush();
	b.drag([
		[20, 50],
		[120, 50],
	]);
	b.drag(
		[
			[70, 30],
			[70, 70],
		],
		{ button: 2 },
	);
	b.tool.undo();
	b.tool.redo();
	expect(b.key('Enter')).toBe(true);
	const got = b.masks.get('m1')!.mask;
	const crop = toBitmap(got)!;
	expect([crop.x, crop.y, crop.width, crop.height]).toEqual([15, 45, 110, 10]);
	expect(crop.data[5 * crop.width + 55]).toBe(0);
	expect(b.log).toHaveLength(1);
	// The next stroke is another mask, until one is chosen.
	b.drag([
		[20, 100],
		[60, 100],
	]);
	b.tool.commit();
	expect([...b.masks.keys()]).toEqual(['m1', 'm2']);
	b.tool.finish!();
	b.select('m1');
	b.drag([
		[20, 50],
		[20, 80],
	]);
	expect([...b.tool.skip]).toEqual(['m1']);
	b.tool.commit();
	expect(b.log.at(-1)).toMatch(/^paint m1 /);
	expect(b.masks.size).toBe(2);
});

test('brush: what Escape drops comes back with undo; another tool keeps it; erasing all deletes', () => {
	const b = brush();
	b.drag([
		[20, 50],
		[120, 50],
	]);
	expect(b.tool.cancel()).toBe(true);
	expect(b.tool.busy).toBe(false);
	expect(b.tool.undo()).toBe(true);
	b.tool.finish!();
	expect(b.log).toHaveLength(1);
	b.drag(
		[
			[0, 50],
			[199, 50],
		],
		{ button: 2 },
	);
	b.tool.commit();
	expect(b.masks.size).toBe(0);
});

test('brush: the end of a stroke counts, also without moves before it', () => {
	const b = brush();
	const at = (x: number): Pointer => ({ x, y: 50, screen: { x, y: 50 }, button: 0, shift: false, alt: false, ctrl: false });
	b.tool.down(at(20));
	b.tool.up(at(90));
	b.tool.commit();
	expect(toBitmap(b.masks.get('m1')!.mask)).toMatchObject({ x: 15, width: 80 });
});

test('brush: it follows with slack', () => {
	const b = brush({ lazy: 20 });
	b.drag([
		[20, 50],
		[30, 50],
		[100, 50],
	]);
	b.tool.commit();
	const crop = toBitmap(b.masks.get('m1')!.mask)!;
	expect(crop.x + crop.width).toBe(85); // 20 behind, and the radius
});

test('smart: clicks, box, right button, dragging of points, retry, accept', async () => {
	const asked: Prompt[] = [];
	let fail = false;
	const states: string[] = [];
	const answer: RLE = rleOf(drawRings([[10, 10, 30, 10, 30, 30, 10, 30]], 150, 200), [150, 200]);
	const b = bench((h) =>
		smartTool(h, {
			color: () => 0,
			fill: () => 1,
			negative: () => false,
			ask: async (prompt, signal): Promise<Segment> => {
				asked.push(prompt);
				await Promise.resolve();
				signal.throwIfAborted();
				if (fail) throw new Error('no model');
				return { mask: answer, source: { name: 'source', id: 'model' }, metadata: { name: 'm' } };
			},
			look: async () => null,
			previews: () => false,
			state: (at) => states.push(at),
		}),
	);
	const settle = () => new Promise((done) => setTimeout(done));
	b.click(15, 15);
	b.click(100, 100, { button: 2 });
	b.drag([
		[5, 5],
		[40, 40],
	]);
	await settle();
	expect(asked.at(-1)).toEqual({
		points: [
			{ x: 15, y: 15, negative: false },
			{ x: 100, y: 100, negative: true },
		],
		box: { x: 5, y: 5, w: 35, h: 35 },
	});
	b.drag([
		[15, 15],
		[25, 25],
	]);
	expect(b.tool.undo() && b.tool.redo()).toBe(true);
	await settle();
	expect(asked.at(-1)!.points[0]).toEqual({ x: 25, y: 25, negative: false });
	fail = true;
	b.click(60, 60);
	await settle();
	expect(states.at(-1)).toBe('failed');
	expect(b.tool.busy).toBe(true); // the prompt is still there
	fail = false;
	b.key('Enter'); // asks again
	await settle();
	b.key('Enter');
	expect(b.log).toEqual(['add 400']);
	expect(b.masks.get('m1')).toMatchObject({ source: { id: 'model' }, metadata: { name: 'm' } });
	expect(b.tool.busy).toBe(false);
	// Enter while the model is at work accepts what it finds; Escape drops it.
	b.click(15, 15);
	b.key('Enter');
	await settle();
	expect(b.log).toHaveLength(2);
	b.click(15, 15);
	b.tool.cancel();
	await settle();
	expect(b.log).toHaveLength(2);
});

test('snapping: to the edges of the image, to corners of pixels of masks', () => {
	expect(snapToImage({ x: 3, y: 147 }, image, 4)).toEqual({ x: 0, y: 150 });
	expect(snapToImage({ x: 30, y: 100 }, image, 4)).toEqual({ x: 30, y: 100 });
	const b = polygon();
	b.masks.set('m1', { mask: rleOf(drawRings([[50, 50, 80, 50, 80, 80, 50, 80]], 150, 200), [150, 200]) });
	const crop = toBitmap(b.masks.get('m1')!.mask)!;
	const scene = new Scene([
		{ key: 'm1', entity: '', label: '', color: 0, origin: 'human', hidden: false, locked: false, kind: 'mask', crop },
	]);
	expect(snapToShapes(scene, { x: 46.5, y: 60.2 }, 6, new Set())).toEqual({ x: 50, y: 60 });
	expect(snapToShapes(scene, { x: 65, y: 65 }, 6, new Set())).toBe(null);
	expect(snapToShapes(scene, { x: 46.5, y: 60.2 }, 6, new Set(['m1']))).toBe(null);
});

test('previews of smart segmentation: one question at a time, the newest place wins, nothing is kept', async () => {
	const questions: { prompt: Prompt; done(m: RLE | null): void; signal: AbortSignal }[] = [];
	let wanted = true;
	let asked = 0;
	const square: RLE = rleOf(drawRings([[10, 10, 60, 10, 60, 60, 10, 60]], 150, 200), [150, 200]);
	const b = bench((h) =>
		smartTool(h, {
			color: () => 0,
			fill: () => 1,
			negative: () => false,
			ask: () => (asked++, new Promise<Segment>(() => {})),
			look: (prompt, signal) => new Promise((done) => questions.push({ prompt, done, signal })),
			previews: () => wanted,
			state: () => {},
		}),
	);
	const wait = () => new Promise((done) => setTimeout(done, 60));
	const move = (x: number, y: number) => b.tool.move({ x, y, screen: { x, y }, button: 0, shift: false, alt: false, ctrl: false }, false);
	move(20, 20);
	move(21, 20);
	await wait();
	expect(questions.map((q) => q.prompt)).toEqual([{ points: [{ x: 21, y: 20, negative: false }], box: null }]);
	for (let x = 22; x < 40; x++) move(x, 20);
	await wait();
	expect(questions).toHaveLength(1); // the first is under way
	questions[0].done(square);
	await wait();
	expect(questions).toHaveLength(2);
	expect(questions[1].prompt.points).toEqual([{ x: 39, y: 20, negative: false }]);
	questions[1].done(square);
	await wait();
	expect(questions).toHaveLength(2); // the pointer rests
	// Escape leaves it to others to put the tool away, and what comes too late is not asked again.
	move(45, 20);
	await wait();
	expect(b.tool.busy).toBe(false);
	expect(b.tool.cancel()).toBe(false);
	b.tool.finish!();
	expect(questions[2].signal.aborted).toBe(true);
	questions[2].done(square);
	await wait();
	expect(questions).toHaveLength(3);
	// Beside the image, after the pointer left, switched off, and while a click is answered: no question.
	move(-5, 20);
	await wait();
	move(30, 20);
	b.tool.leave!();
	await wait();
	wanted = false;
	move(31, 20);
	await wait();
	wanted = true;
	b.click(32, 20);
	move(33, 20);
	await wait();
	expect([questions.length, asked]).toEqual([3, 1]);
	expect([...b.masks]).toEqual([]);
});

test('smart, on another frame: the preview goes, and what was asked about the last one is asked about this one', async () => {
	const questions: { done(m: RLE | null): void; signal: AbortSignal }[] = [];
	const asked: Prompt[] = [];
	const square: RLE = rleOf(drawRings([[10, 10, 60, 10, 60, 60, 10, 60]], 150, 200), [150, 200]);
	const b = bench((h) =>
		smartTool(h, {
			color: () => 0,
			fill: () => 1,
			negative: () => false,
			ask: async (prompt): Promise<Segment> => {
				asked.push(prompt);
				return { mask: square, source: { name: 'source', id: 'model' }, metadata: {} };
			},
			look: (_, signal) => new Promise((done) => questions.push({ done, signal })),
			previews: () => true,
			state: () => {},
		}),
	);
	const wait = () => new Promise((done) => setTimeout(done, 60));
	const move = (x: number, y: number) => b.tool.move({ x, y, screen: { x, y }, button: 0, shift: false, alt: false, ctrl: false }, false);
	move(20, 20);
	await wait();
	questions[0].done(square);
	await wait();
	b.tool.fresh!();
	await wait();
	expect(questions).toHaveLength(1); // frames that are passed by ask for nothing
	move(20, 20);
	await wait();
	expect(questions).toHaveLength(2);
	b.tool.fresh!();
	expect(questions[1].signal.aborted).toBe(true);
	b.click(20, 20);
	await wait();
	b.tool.fresh!();
	b.key('Enter'); // the answer of the last frame is not taken for one of this
	expect(b.log).toEqual([]);
	await wait();
	expect(asked.map((a) => a.points.length)).toEqual([1, 1]);
	expect(b.log).toEqual(['add 2500']);
});

test('a tool that is loaded later gets what was done with it until then', async () => {
	let give: (t: Tool) => void = () => {};
	let real: Tool | null = null;
	const b = bench((h) => later('polygon', h, () => new Promise((done) => (give = done))));
	const host = bench((h) => (real = polygonTool(h, { color: () => 0 })));
	b.click(10, 10);
	b.click(50, 10);
	b.click(90, 90);
	b.click(5, 90);
	// Keys for what is half drawn wait too, and go nowhere else; others are not the tool's.
	expect([b.key('Backspace'), b.tool.undo(), b.tool.redo(), b.key('Delete'), b.key('n')]).toEqual([true, true, true, true, false]);
	expect(b.tool.busy).toBe(true);
	give(real!);
	await Promise.resolve();
	expect(b.tool.busy).toBe(true);
	b.click(50, 50);
	b.key('Enter');
	expect([...host.masks.values()].map((m) => m.rings)).toEqual([[[10, 10, 50, 10, 50, 50]]]);
	// What was dropped is not done; a load that failed is tried again.
	let fails = 1;
	const c = bench((h) =>
		later('x', h, () => (fails-- > 0 ? Promise.reject(new Error('away')) : Promise.resolve(polygonTool(h, { color: () => 0 })))),
	);
	await new Promise((done) => setTimeout(done));
	c.click(10, 10);
	expect(c.tool.cancel()).toBe(true);
	expect([c.tool.cancel(), c.key('Enter'), c.tool.undo()]).toEqual([false, false, false]);
	await new Promise((done) => setTimeout(done));
	expect(c.tool.busy).toBe(false);
	c.click(10, 10);
	expect(c.tool.busy).toBe(true);
});
