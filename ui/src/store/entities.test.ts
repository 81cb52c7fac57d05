import { expect, test } from 'vitest';
import { annotationsOf, mergeObjects, relink, relinkFate, whyNotMerge } from './entities';
import { random, session, told } from './fake';
import type { Session } from './session';
import { keyOf, refOf, type Row } from './types';

const boxes = (s: Session, ...ids: string[]) => ids.map((id) => s.tables.get('bboxes', id)!);
const objects = (s: Session) => [...s.tables.table('objects').keys()].sort();
const owner = (s: Session, id: string) => refOf(s.tables.get('bboxes', id)!, 'entity_ref')?.id ?? null;
// state is all rows, to be compared.
const state = (s: Session) => [...s.tables.all()].map((r) => JSON.stringify([keyOf(r.table_info.name, r.id), r.data])).sort();

test('objects are merged into the first, in one step that is undone in one', () => {
	const s = session();
	told(s, 'a', 'v1', 'truth', { category: 'car' });
	told(s, 'b', 'v2', 'truth', { category: 'bus' });
	told(s, 'c', 'v1', 'model', null);
	s.tables.load([
		s.row('objects', { category: 'wheel', parent_ref: { name: 'objects', id: 'ob' }, item_ref: { name: 'item', id: 'i' } }, 'part'),
	]);
	const before = state(s);
	s.run(mergeObjects(s, boxes(s, 'a', 'b', 'c')));
	expect(objects(s)).toEqual(['oa', 'part']);
	expect(['a', 'b', 'c'].map((id) => owner(s, id))).toEqual(['oa', 'oa', 'oa']);
	expect(s.tables.get('objects', 'oa')!.data.category).toBe('car');
	expect(refOf(s.tables.get('objects', 'part')!, 'parent_ref')!.id).toBe('oa');
	expect(refOf(s.tables.get('bboxes', 'c')!, 'source_ref')!.id).toBe('model'); // whose it is stays
	s.undo();
	expect(state(s)).toEqual(before);
	expect(s.history.canUndo).toBe(false);
});

test('what cannot be merged is told', () => {
	const s = session();
	const a = told(s, 'a', 'v1', 'truth', { category: 'car' });
	const same = told(s, 'b', 'v1', 'truth', { category: 'car' }); // two boxes of one source in one view
	const model = told(s, 'c', 'v1', 'model', { category: 'car' });
	const track = told(s, 'd', 'v2', 'truth', { name: 't' }, 'tracks');
	const loose = told(s, 'e', 'v2', 'truth', null);
	expect(whyNotMerge(s, [], a)).toBeNull();
	expect(whyNotMerge(s, [], loose)).toBe('none');
	expect(whyNotMerge(s, [a], same)).toBe('view');
	expect(whyNotMerge(s, [a], model)).toBeNull();
	expect(whyNotMerge(s, [a], track)).toBe('table');
	expect(whyNotMerge(s, [a], loose)).toBeNull();
	s.run(mergeObjects(s, [a, model]));
	expect(whyNotMerge(s, boxes(s, 'a'), boxes(s, 'c')[0])).toBe('same');
});

test('an annotation goes to another object or to a new one', () => {
	const s = session();
	told(s, 'a', 'v1', 'truth', { category: 'car' });
	told(s, 'b', 'v2', 'truth', { category: 'bus' });
	const oa = s.tables.get('objects', 'oa')!;
	const fate = (id: string, to: Row | null) => relinkFate(s, s.tables.get('bboxes', id)!, to);
	expect(fate('b', null)).toEqual({ kind: 'forbidden', why: 'alone' });
	expect(fate('a', oa)).toEqual({ kind: 'forbidden', why: 'same' });
	expect(fate('b', oa)).toEqual({ kind: 'merge' });
	s.run(relink(s, boxes(s, 'b')[0], oa, null));
	expect(objects(s)).toEqual(['oa']);
	expect(fate('b', null)).toEqual({ kind: 'move' });
	s.run(relink(s, boxes(s, 'b')[0], null, null));
	expect(objects(s)).toHaveLength(2);
	expect(s.entityOf(boxes(s, 'b')[0])!.data.category).toBe('car'); // a new one like the one that it leaves
	told(s, 'c', 'v1', 'truth', { category: 'car' });
	expect(fate('c', oa)).toEqual({ kind: 'forbidden', why: 'view' });
});

test('laws: every annotation has an object that is there, none is lost, undo of all is the start', () => {
	for (let seed = 1; seed <= 30; seed++) {
		const rnd = random(seed);
		const s = session();
		for (let i = 0; i < 8; i++) told(s, `b${i}`, rnd(2) ? 'v1' : 'v2', rnd(2) ? 'truth' : 'model', rnd(5) ? { category: 'x' } : null);
		const before = state(s);
		const ids = [...s.tables.table('bboxes').keys()];
		for (let n = 0; n < 20; n++) {
			const rows = boxes(s, ids[rnd(8)], ids[rnd(8)]);
			if (rnd(2)) {
				if (!whyNotMerge(s, [], rows[0]) && !whyNotMerge(s, [rows[0]], rows[1])) s.run(mergeObjects(s, rows));
			} else {
				const target = rnd(3) ? s.entityOf(rows[1]) : null;
				if ((target || rows[0]) && relinkFate(s, rows[0], target).kind !== 'forbidden') s.run(relink(s, rows[0], target, 'objects'));
			}
			expect([...s.tables.table('bboxes').keys()].sort()).toEqual(ids.toSorted());
			for (const row of s.tables.table('bboxes').values()) if (refOf(row, 'entity_ref')) expect(s.entityOf(row)).not.toBeNull();
			for (const o of s.tables.table('objects').values()) {
				const own = annotationsOf(s.tables, o);
				expect(own.length).toBeGreaterThan(0); // none is left empty
				const slots = own.map((r) => `${refOf(r, 'view_ref')!.id} ${refOf(r, 'source_ref')!.id}`);
				expect(new Set(slots).size).toBe(slots.length);
			}
		}
		s.jump(0);
		expect(state(s)).toEqual(before);
	}
});

test('copies keep together what is one object, in another item too', () => {
	const s = session();
	told(s, 'a', 'v1', 'model', { category: 'car' });
	s.tables.load([{ ...boxes(s, 'a')[0], id: 'a2' }]);
	const rows = boxes(s, 'a', 'a2').map((row) => ({ row, entity: s.entityOf(row) }));
	s.open('j', [s.row('item', {}, 'j'), s.row('image', { width: 200, height: 100, item_ref: { name: 'item', id: 'j' } }, 'w')]);
	const { command, keys } = s.copies(rows, s.tables.get('image', 'w'), 0);
	s.run(command);
	const made = keys.map((k) => s.byKey(k)!);
	expect(new Set(made.map((r) => s.entityOf(r)!.id)).size).toBe(1);
	expect(made.map((r) => [refOf(r, 'item_ref')!.id, refOf(r, 'view_ref')!.id, refOf(r, 'source_ref')!.id])).toEqual(
		Array(2).fill(['j', 'w', 'human-ana']),
	);
	expect(s.entityOf(made[0])!.data).toMatchObject({ category: 'car', item_ref: { id: 'j' } });
});
