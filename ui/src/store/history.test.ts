import { expect, test } from 'vitest';
import { random, row } from './fake';
import { History } from './history';
import { Tables } from './tables';
import { refOf, type Command, type Patch, type Row } from './types';

const snapshot = (t: Tables) =>
	[...t.all()]
		.map((r) => ({ table: r.table_info.name, id: r.id, data: r.data }))
		.sort((a, b) => (a.table + a.id < b.table + b.id ? -1 : 1));

function change(t: Tables, rnd: (n?: number) => number): Command {
	const patches: Patch[] = [];
	for (let n = 1 + rnd(3); n > 0; n--) {
		const table = ['bboxes', 'masks', 'objects'][rnd(3)];
		const id = `r${rnd(12)}`;
		if (patches.some((p) => p.table === table && p.id === id)) continue;
		const before = t.get(table, id);
		const after =
			before && rnd(3) === 0
				? null
				: row(table, id, { coords: [rnd(9), rnd(9)], view_ref: { name: 'image', id: `v${rnd(3)}` }, label: `l${rnd(4)}` });
		patches.push({ table, id, before, after });
	}
	return { label: 'change', patches, merge: rnd(2) ? undefined : `m${rnd(2)}` };
}

test('undo of all is the start, redo of all is the end', () => {
	for (let seed = 1; seed <= 60; seed++) {
		const rnd = random(seed * 7919);
		const t = new Tables();
		const h = new History();
		t.load([row('bboxes', 'r0', { coords: [1, 2] }), row('objects', 'r1', { label: 'car' })]);
		const start = snapshot(t);
		for (let n = 0; n < 80; n++) {
			const c = change(t, rnd);
			t.apply(c);
			h.push(c);
			if (rnd(5) === 0) h.seal();
			for (let back = rnd(4) === 0 ? rnd(4) : 0; back > 0; back--) {
				const at = snapshot(t);
				const u = h.undo();
				if (!u) break;
				t.apply(u);
				t.apply(h.redo()!);
				expect(snapshot(t)).toEqual(at);
			}
		}
		const end = snapshot(t);
		const steps = h.steps().length;
		for (let u; (u = h.undo());) t.apply(u);
		expect(snapshot(t)).toEqual(start);
		expect(h.steps().length).toBe(steps);
		for (let r; (r = h.redo());) t.apply(r);
		expect(snapshot(t)).toEqual(end);
	}
});

test('commands of one drag are one step, and a sealed step takes no more', () => {
	const t = new Tables();
	const h = new History();
	const move = (x: number): Command => {
		const before = t.get('bboxes', 'b');
		const c = { label: 'move', merge: 'drag b', patches: [{ table: 'bboxes', id: 'b', before, after: row('bboxes', 'b', { x }) }] };
		t.apply(c);
		h.push(c);
		return c;
	};
	t.load([row('bboxes', 'b', { x: 0 })]);
	for (let x = 1; x <= 10; x++) move(x);
	expect(h.steps()).toHaveLength(1);
	h.seal();
	move(11);
	expect(h.steps()).toHaveLength(2);
	t.apply(h.undo()!);
	expect(t.get('bboxes', 'b')!.data.x).toBe(10);
	t.apply(h.undo()!);
	expect(t.get('bboxes', 'b')!.data.x).toBe(0);
	move(5); // a new change ends redo
	expect(h.canRedo).toBe(false);
});

test('the history is bounded by steps and by bytes', () => {
	const h = new History();
	const big = 'x'.repeat(3 << 20);
	for (let n = 0; n < 300; n++) h.push({ label: `${n}`, patches: [{ table: 't', id: 'a', before: null, after: row('t', 'a', { n }) }] });
	expect(h.steps()).toHaveLength(200);
	expect(h.steps()[0].label).toBe('100');
	for (let n = 0; n < 30; n++)
		h.push({ label: `${n}`, patches: [{ table: 't', id: 'a', before: null, after: row('t', 'a', { big: big + n }) }] });
	expect(h.steps().length).toBeLessThan(12);
});

test('indexes follow the rows', () => {
	const rnd = random(42);
	const t = new Tables();
	for (let n = 0; n < 500; n++) t.apply(change(t, rnd));
	for (const view of ['v0', 'v1', 'v2']) {
		const want = [...t.all()].filter((r) => refOf(r, 'view_ref')?.id === view);
		expect(new Set(t.referring('view_ref', view))).toEqual(new Set<Row>(want));
		expect(t.count('view_ref', view)).toBe(want.length);
	}
});
