import { expect, test } from 'vitest';
import { random } from '../store/fake';
import { fit, hold, matrix, toImage, toScreen, visible, zoomAt, type Camera, type Rect } from './camera';
import { bounds, Scene, type Shape } from './scene';
import { boxTool } from './tools/box';
import { handleAt, resize } from './tools/handles';
import { selectTool } from './tools/select';
import type { BoxChange, Host, Pointer, Tool } from './tools/tool';

const image = { width: 640, height: 480 };

test('screen and image are inverse, at every turn', () => {
	const rnd = random(5);
	for (let n = 0; n < 400; n++) {
		const c: Camera = { scale: 0.05 + rnd() * 20, x: rnd() * 900 - 400, y: rnd() * 900 - 400, turn: (n & 3) as Camera['turn'] };
		const p = { x: rnd() * 640, y: rnd() * 480 };
		const back = toImage(c, image, toScreen(c, image, p));
		expect(back.x).toBeCloseTo(p.x, 6);
		expect(back.y).toBeCloseTo(p.y, 6);
		const [a, b, cc, d, e, f] = matrix(c, image);
		expect(a * p.x + cc * p.y + e).toBeCloseTo(toScreen(c, image, p).x, 6);
		expect(b * p.x + d * p.y + f).toBeCloseTo(toScreen(c, image, p).y, 6);
		const at = { x: rnd() * 500, y: rnd() * 500 };
		const z = zoomAt(c, at, 1.3);
		expect(toImage(z, image, at).x).toBeCloseTo(toImage(c, image, at).x, 4);
	}
	const f = fit(image, { width: 1000, height: 500 });
	expect(visible(f, image, { width: 1000, height: 500 })).toMatchObject({ h: expect.closeTo(480 * (500 / 468), 3) });
	expect(hold({ ...f, x: 1e6 }, image, { width: 1000, height: 500 }).x).toBeLessThan(1000);
});

const shape = (key: string, r: Rect, more: Partial<Shape> = {}): Shape =>
	({ key, entity: '', label: key, color: 0xff0000, origin: 'human', hidden: false, locked: false, kind: 'box', ...r, ...more }) as Shape;

test('picking: smallest first, exact on masks, hidden and locked passed over', () => {
	const data = new Uint8Array(100 * 100).fill(255);
	data.fill(0, 0, 100 * 50); // the upper half is empty
	const scene = new Scene([
		shape('large', { x: 0, y: 0, w: 300, h: 300 }),
		shape('small', { x: 40, y: 40, w: 30, h: 30 }),
		shape('hidden', { x: 45, y: 45, w: 5, h: 5 }, { hidden: true }),
		shape('locked', { x: 45, y: 45, w: 6, h: 6 }, { locked: true }),
		{ ...shape('mask', { x: 0, y: 0, w: 0, h: 0 }), kind: 'mask', crop: { x: 200, y: 200, width: 100, height: 100, data } } as Shape,
	]);
	const keys = (x: number, y: number) => scene.pick({ x, y }, 1).map((s) => s.key);
	expect(keys(47, 47)).toEqual(['small', 'large']);
	expect(keys(250, 220)).toEqual(['large']);
	expect(keys(250, 280)).toEqual(['mask', 'large']);
	expect(keys(500, 400)).toEqual([]);
	expect(bounds(scene.get('mask')!)).toEqual({ x: 200, y: 200, w: 100, h: 100 });
	expect(scene.inside({ x: 30, y: 30, w: 60, h: 60 }).map((s) => s.key)).toEqual(['small']);
});

// bench is a workspace of boxes for event scripts: what tools emit changes the scene at once.
function bench(make: (host: Host) => Tool, start: Shape[] = []) {
	let scene = new Scene(start);
	let selected = new Set<string>();
	const log: string[] = [];
	const camera: Camera = { scale: 1, x: 0, y: 0, turn: 0 };
	const round = (r: Rect) => [r.x, r.y, r.w, r.h].map(Math.round).join(',');
	const host: Host = {
		scene: () => scene,
		image: () => image,
		camera: () => camera,
		selection: () => selected,
		select: (keys, add) => {
			selected = new Set(add ? [...selected, ...keys] : keys);
		},
		hover: () => {},
		addBox: (r) => {
			const key = `new${scene.shapes.length}`;
			log.push(`add ${round(r)}`);
			scene = new Scene([...scene.shapes, shape(key, r)]);
			selected = new Set([key]);
		},
		changeBoxes: (changes: readonly BoxChange[]) => {
			log.push(...changes.map((c) => `${c.key} ${round(c.rect)}`));
			scene = new Scene(scene.shapes.map((s) => ({ ...s, ...changes.find((c) => c.key === s.key)?.rect }) as Shape));
		},
		duplicate: (keys) => {
			scene = new Scene([...scene.shapes, ...keys.map((k) => ({ ...scene.get(k)!, key: `${k}'` }))]);
			return keys.map((k) => `${k}'`);
		},
		move: (keys, dx, dy) => {
			log.push(...keys.map((k) => `${k} by ${dx},${dy}`));
		},
		addMask: () => null,
		changeMask: () => {},
		maskOf: () => null,
		take: (tool, key) => log.push(`take ${tool} ${key}`),
		stack: () => log.push('stack'),
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
	return {
		tool,
		log,
		selected: () => [...selected].sort(),
		press: (x: number, y: number, m?: Partial<Pointer>) => tool.down(at(x, y, m)),
		drag: (x: number, y: number, m?: Partial<Pointer>) => tool.move(at(x, y, m), true),
		go: (x: number, y: number, m?: Partial<Pointer>) => tool.move(at(x, y, m), false),
		release: (x: number, y: number, m?: Partial<Pointer>) => tool.up(at(x, y, m)),
		key: (key: string, m = {}) => tool.key(key, { shift: false, alt: false, ctrl: false, ...m }),
	};
}
const boxBench = () => bench((h) => boxTool(h, { color: () => 0xffffff }));

test('box: drag, two clicks, square, from the centre, held inside of the image', () => {
	const b = boxBench();
	b.press(10, 10);
	b.drag(12, 11); // still a click
	b.drag(110, 60);
	b.release(110, 60);
	b.press(200, 200);
	b.release(201, 200);
	b.go(260, 230);
	b.press(260, 240);
	b.release(260, 240);
	b.press(400, 100);
	b.drag(450, 120, { shift: true });
	b.release(450, 120, { shift: true });
	b.press(500, 300);
	b.drag(520, 310, { alt: true });
	b.release(520, 310, { alt: true });
	b.press(600, 400);
	b.drag(900, 900);
	b.release(900, 900);
	expect(b.log).toEqual(['add 10,10,100,50', 'add 201,200,59,40', 'add 400,100,50,50', 'add 480,290,40,20', 'add 600,400,40,80']);
});

test('box: a slip is no box, Escape and undo take the corner back, the new box keeps its handles', () => {
	const b = boxBench();
	b.press(10, 10);
	b.release(10, 10);
	expect(b.tool.busy).toBe(true);
	expect(b.tool.undo()).toBe(true);
	expect(b.tool.busy).toBe(false);
	b.press(10, 10);
	b.release(10, 10);
	b.press(11, 11);
	b.release(11, 11);
	expect(b.log).toEqual([]);
	b.press(50, 50);
	b.drag(100, 100);
	expect(b.tool.cancel()).toBe(true);
	b.release(100, 100);
	expect(b.log).toEqual([]);
	b.press(50, 50);
	b.drag(100, 100);
	b.release(100, 100);
	b.press(100, 100); // the corner's handle
	b.drag(120, 130);
	b.release(120, 130);
	expect(b.log).toEqual(['add 50,50,50,50', 'new0 50,50,70,80']);
});

test('box: from the keyboard alone', () => {
	const b = boxBench();
	expect(b.key('Enter')).toBe(false);
	b.key('ArrowLeft');
	b.key('ArrowUp', { ctrl: true });
	b.key('Enter');
	for (let n = 0; n < 5; n++) b.key('ArrowRight');
	b.key('ArrowDown', { ctrl: true });
	b.key('ArrowDown', { alt: true });
	b.key('Enter');
	expect(b.log).toEqual(['add 310,192,50,49']);
	expect(b.key('ArrowRight', { shift: true })).toBe(false); // next item
});

test('select: click cycles down, shift adds, drag moves, marquee, arrows, alt copies, escape puts back', () => {
	const b = bench(selectTool, [
		shape('a', { x: 0, y: 0, w: 200, h: 200 }),
		shape('b', { x: 50, y: 50, w: 40, h: 40 }),
		shape('c', { x: 300, y: 300, w: 20, h: 20 }),
	]);
	const click = (x: number, y: number, m?: Partial<Pointer>) => (b.press(x, y, m), b.release(x, y, m));
	click(70, 70);
	expect(b.selected()).toEqual(['b']);
	click(70, 70);
	expect(b.selected()).toEqual(['a']);
	click(310, 310, { shift: true });
	expect(b.selected()).toEqual(['a', 'c']);
	click(500, 20);
	expect(b.selected()).toEqual([]);
	b.press(400, 400);
	b.drag(290, 290);
	b.release(290, 290);
	expect(b.selected()).toEqual(['c']);
	b.key('ArrowLeft');
	b.key('ArrowDown', { ctrl: true });
	expect(b.log.splice(0)).toEqual(['c 299,300,20,20', 'c 299,310,20,20']);
	b.press(70, 70);
	b.drag(80, 90);
	b.drag(100, 100);
	b.release(100, 100);
	expect(b.log.splice(0)).toEqual(['b 80,80,40,40']);
	b.press(100, 100, { alt: true });
	b.drag(150, 120, { alt: true });
	b.release(150, 120, { alt: true });
	expect(b.log.splice(0)).toEqual(["b' 130,100,40,40"]);
	expect(b.selected()).toEqual(["b'"]);
	b.press(150, 120);
	b.drag(250, 220);
	b.tool.cancel();
	expect(b.log.splice(0)).toEqual([]);
	click(90, 90, { alt: true });
	expect(b.log.splice(0)).toEqual(['stack']);
});

test('handles: reach, proportions, turning inside out', () => {
	const c: Camera = { scale: 1, x: 0, y: 0, turn: 0 };
	const r = { x: 100, y: 100, w: 100, h: 50 };
	expect(handleAt(r, c, image, { x: 203, y: 152 })).toEqual({ x: 1, y: 1 });
	expect(handleAt(r, c, image, { x: 150, y: 99 })).toEqual({ x: 0, y: -1 });
	expect(handleAt(r, c, image, { x: 150, y: 125 })).toBeNull();
	const p = (x: number, y: number, m = {}) => ({
		x,
		y,
		screen: { x, y },
		button: 0,
		shift: false,
		alt: false,
		ctrl: false,
		...m,
	});
	expect(resize(r, { x: 1, y: 1 }, p(300, 150, { shift: true }), image)).toEqual({ x: 100, y: 100, w: 200, h: 100 });
	expect(resize(r, { x: 1, y: 0 }, p(50, 0), image)).toEqual({ x: 50, y: 100, w: 50, h: 50 });
	expect(resize(r, { x: 1, y: 0 }, p(220, 0, { alt: true }), image)).toEqual({ x: 80, y: 100, w: 140, h: 50 });
	expect(resize(r, { x: -1, y: -1 }, p(-50, -50), image)).toEqual({ x: 0, y: 0, w: 200, h: 150 });
});
