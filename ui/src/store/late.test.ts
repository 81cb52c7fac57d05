// What comes late, or fails beside: answers older than what was saved since, storage of the browser, other tabs.
import { expect, test } from 'vitest';
import 'fake-indexeddb/auto';
import { dataset, FakeServer, row } from './fake';
import { adopt, leftovers, openJournal, TabJournal } from './journal';
import { SaveQueue, type Answer, type ChangeSet, type Journal } from './savequeue';
import { Schema } from './schema';
import { Session } from './session';
import { Tables } from './tables';
import { keyOf, type Row } from './types';

const none: Journal = { write: async () => {}, remove: async () => {}, sending: async () => {} };

function work(send: (set: ChangeSet) => Promise<Answer>, journal = none, unkept?: () => void): Session {
	return new Session({
		schema: new Schema(dataset),
		send,
		journal,
		annotator: () => 'Ana',
		auto: () => false,
		merged: () => {},
		unkept,
	});
}

test('rows that were asked for before a save, and come after it, do not undo what was saved', async () => {
	const server = new FakeServer();
	const s = work(async (set) => server.apply(set));
	const box = (id: string, x: number) => row('bboxes', id, { x, item_ref: { name: 'item', id: 'i' } });
	for (const id of ['changed', 'gone', 'other']) server.other('bboxes', id, box(id, 1).data);
	const read = () => [...server.rows.values()];
	s.open('i', read());
	s.run({
		label: 'all',
		patches: [
			{ table: 'bboxes', id: 'changed', before: s.tables.get('bboxes', 'changed'), after: box('changed', 2) },
			{ table: 'bboxes', id: 'gone', before: s.tables.get('bboxes', 'gone'), after: null },
			{ table: 'bboxes', id: 'made', before: null, after: box('made', 3) },
		],
	});
	const asked = s.queue.now;
	const old = read();
	await s.queue.save();
	server.other('bboxes', 'other', box('other', 7).data);
	const there = () => Object.fromEntries([...s.tables.table('bboxes').values()].map((r) => [r.id, r.data.x]));
	s.open('i', old, asked);
	expect(there()).toEqual({ changed: 2, made: 3, other: 1 });
	// An answer to a later question is taken whole; rows that are the same stay the same objects.
	server.other('bboxes', 'made', null);
	const kept = s.tables.get('bboxes', 'changed');
	s.refresh('i', read(), s.queue.now);
	expect(there()).toEqual({ changed: 2, other: 7 });
	expect(s.tables.get('bboxes', 'changed')).toBe(kept);
});

test('a journal that fails keeps nothing from the server, and is told once', async () => {
	const server = new FakeServer();
	const full = () => Promise.reject(new DOMException('full', 'QuotaExceededError'));
	let told = 0;
	const s = work(
		async (set) => server.apply(set),
		{ write: full, remove: full, sending: full },
		() => told++,
	);
	for (const id of ['a', 'b']) {
		s.run({ label: 'x', patches: [{ table: 'bboxes', id, before: null, after: row('bboxes', id, { x: 1 }) }] });
		await s.queue.save();
	}
	expect([...server.rows.keys()]).toEqual([keyOf('bboxes', 'a'), keyOf('bboxes', 'b')]);
	expect([s.queue.state, told]).toEqual(['saved', 1]);
});

test('after a conflict the journal has what the server has as the base of rows that were changed meanwhile', async () => {
	const db = await openJournal('late-conflict');
	const server = new FakeServer();
	let release = () => {};
	const tables = new Tables();
	const queue = new SaveQueue({
		tables,
		send: async (set) => {
			await new Promise<void>((done) => (release = done));
			return server.apply(set);
		},
		journal: new TabJournal(db, 'tab', 'd'),
		author: () => 'ana',
		auto: () => false,
		groupRank: () => 0,
	});
	const put = (id: string, data: Row['data']) =>
		queue.record(tables.apply({ patches: [{ table: 'bboxes', id, before: tables.get('bboxes', id), after: row('bboxes', id, data) }] }));
	server.other('bboxes', 'a', { x: 1, y: 1 });
	tables.load([...server.rows.values()]);
	await put('a', { x: 2, y: 1 });
	server.other('bboxes', 'a', { x: 9, y: 1 });
	const saving = queue.save();
	await new Promise((done) => setTimeout(done, 20));
	await put('a', { x: 2, y: 2 });
	release();
	await saving;
	expect(queue.conflicts.map((c) => c.id)).toEqual(['a']);
	await new Promise((done) => setTimeout(done, 20));
	const [left] = await leftovers(db, new Set());
	expect(left.rows.map((r) => [r.base!.data, r.current!.data])).toEqual([
		[
			{ x: 1, y: 1 },
			{ x: 2, y: 2 },
		],
	]);
});

test('what a dead tab left goes to one tab only', async () => {
	const db = await openJournal('late-adopt');
	await new TabJournal(db, 'dead', 'd').write([{ table: 'bboxes', id: 'a', base: null, current: row('bboxes', 'a', { x: 1 }) }]);
	const [left] = await leftovers(db, new Set());
	expect([await adopt(db, left, 'one'), await adopt(db, left, 'two')]).toEqual([true, false]);
	expect((await leftovers(db, new Set())).map((l) => l.owner)).toEqual(['one']);
});
