import { expect, test } from 'vitest';
import 'fake-indexeddb/auto';
import { FakeServer, random, row } from './fake';
import { adopt, discard, leftovers, openJournal, TabJournal } from './journal';
import { merge } from './merge';
import { SaveQueue, type Answer, type ChangeSet, type Journal } from './savequeue';
import { Tables } from './tables';
import { keyOf, type Data, type Row } from './types';

const none: Journal = { write: async () => {}, remove: async () => {}, sending: async () => {} };
const rank = (r: Row) => ['source', 'tracks', 'objects', 'bboxes'].indexOf(r.table_info.name);

function setup(send: (set: ChangeSet) => Promise<Answer>, journal: Journal = none) {
	const tables = new Tables();
	const merged: Row[] = [];
	const queue = new SaveQueue({
		tables,
		send,
		journal,
		author: () => 'ana',
		auto: () => false,
		groupRank: rank,
		setTimer: () => 0,
		clearTimer: () => {},
		merged: (rows) => merged.push(...rows),
	});
	const put = (table: string, id: string, data: Data | null) => {
		const before = tables.get(table, id);
		const patches = tables.apply({ patches: [{ table, id, before, after: data && row(table, id, data) }] });
		return queue.record(patches);
	};
	return { tables, queue, put, merged };
}

test('only what changed travels, collapsed, parents first and deletions last reversed', async () => {
	const server = new FakeServer();
	const { tables, queue, put } = setup(async (set) => server.apply(set));
	server.other('bboxes', 'old', { x: 1 });
	server.other('objects', 'gone', { name: 'car' });
	server.other('bboxes', 'gone', { x: 1 });
	tables.load([...server.rows.values()]);
	await put('bboxes', 'b', { x: 1 });
	await put('bboxes', 'b', { x: 2 });
	await put('objects', 'o', { name: 'bus' });
	await put('source', 's', { kind: 'human' });
	await put('bboxes', 'brief', { x: 1 });
	await put('bboxes', 'brief', null);
	await put('bboxes', 'old', { x: 2 });
	await put('bboxes', 'old', { x: 1 });
	await put('objects', 'gone', null);
	await put('bboxes', 'gone', null);
	expect(queue.waiting).toBe(5);
	await queue.save();
	expect(server.applied.map((s) => s.changes.map((c) => `${c.op} ${c.table} ${c.id}`))).toEqual([
		['insert source s', 'insert objects o', 'insert bboxes b', 'delete bboxes gone', 'delete objects gone'],
	]);
	expect(queue.waiting).toBe(0);
	expect(queue.state).toBe('saved');
	expect(tables.get('bboxes', 'b')!.updated_at).toBe(server.rows.get(keyOf('bboxes', 'b'))!.updated_at);
	await put('bboxes', 'b', { x: 3 });
	await queue.save();
	expect(server.rows.get(keyOf('bboxes', 'b'))!.data.x).toBe(3);
});

test('changes made while a save is under way follow it', async () => {
	const server = new FakeServer();
	let release = () => {};
	const { tables, queue, put } = setup(async (set) => {
		await new Promise<void>((r) => (release = r));
		return server.apply(set);
	});
	await put('bboxes', 'b', { x: 1 });
	const saving = queue.save();
	await new Promise((r) => setTimeout(r, 5));
	await put('bboxes', 'b', { x: 2 });
	expect(queue.waiting).toBe(1);
	release();
	await new Promise((r) => setTimeout(r, 5));
	release();
	await saving;
	expect(server.applied.map((s) => s.changes[0].op)).toEqual(['insert', 'put']);
	expect(server.rows.get(keyOf('bboxes', 'b'))!.data.x).toBe(2);
	expect(tables.get('bboxes', 'b')!.updated_at).toBe(server.rows.get(keyOf('bboxes', 'b'))!.updated_at);
});

test('disjoint fields merge silently, the same field is shown, the other rows go on saving', async () => {
	const server = new FakeServer();
	const { tables, queue, put, merged } = setup(async (set) => server.apply(set));
	for (const id of ['a', 'b', 'c']) server.other('bboxes', id, { x: 1, label: 'car' });
	tables.load([...server.rows.values()]);
	server.other('bboxes', 'a', { x: 1, label: 'bus' });
	server.other('bboxes', 'b', { x: 9, label: 'car' });
	await put('bboxes', 'a', { x: 2, label: 'car' });
	await put('bboxes', 'b', { x: 2, label: 'car' });
	await put('bboxes', 'c', { x: 2, label: 'car' });
	await queue.save();
	expect(server.rows.get(keyOf('bboxes', 'a'))!.data).toEqual({ x: 2, label: 'bus' });
	expect(tables.get('bboxes', 'a')!.data).toEqual({ x: 2, label: 'bus' });
	expect(merged.map((r) => r.id)).toEqual(['a']);
	expect(server.rows.get(keyOf('bboxes', 'c'))!.data.x).toBe(2);
	expect(server.rows.get(keyOf('bboxes', 'b'))!.data.x).toBe(9); // never overwritten silently
	expect(queue.conflicts.map((c) => [c.id, c.base!.data.x, c.mine!.data.x, c.theirs!.data.x, c.fields])).toEqual([['b', 1, 2, 9, ['x']]]);
	queue.resolve('bboxes', 'b', { ...queue.conflicts[0].mine! });
	await queue.save();
	expect(server.rows.get(keyOf('bboxes', 'b'))!.data.x).toBe(2);
	expect(queue.waiting).toBe(0);
});

test('a row that the other deleted is shown; each way out holds', async () => {
	for (const keep of [true, false]) {
		const server = new FakeServer();
		const { tables, queue, put } = setup(async (set) => server.apply(set));
		server.other('bboxes', 'a', { x: 1 });
		tables.load([...server.rows.values()]);
		server.other('bboxes', 'a', null);
		await put('bboxes', 'a', { x: 2 });
		await queue.save();
		expect(queue.conflicts).toHaveLength(1);
		queue.resolve('bboxes', 'a', keep ? queue.conflicts[0].mine : null);
		await queue.save();
		expect(queue.waiting).toBe(0);
		expect(server.rows.get(keyOf('bboxes', 'a'))?.data.x).toBe(keep ? 2 : undefined);
		expect(tables.get('bboxes', 'a')?.data.x).toBe(keep ? 2 : undefined);
	}
});

test('a refused row stays, with the cause, and keeps no other from being saved', async () => {
	const server = new FakeServer();
	const { queue, put } = setup(async (set) => server.apply(set));
	await put('bboxes', 'good', { x: 1 });
	await put('bboxes', 'bad', { bad: true });
	await queue.save();
	expect([...server.rows.values()].map((r) => r.id)).toEqual(['good']);
	expect(queue.state).toBe('failed');
	expect(queue.refused).toEqual([{ table: 'bboxes', id: 'bad', message: 'bad is true' }]);
	await put('bboxes', 'bad', { bad: false });
	await queue.save();
	expect(queue.state).toBe('saved');
	expect(server.rows.size).toBe(2);
});

test('with answers lost, late and refused and another writer, nothing is lost and nothing is stored twice', async () => {
	for (let seed = 1; seed <= 80; seed++) {
		const rnd = random(seed * 104729);
		const server = new FakeServer();
		let broken = true;
		const send = async (set: ChangeSet): Promise<Answer> => {
			if (rnd(2)) await new Promise((r) => setTimeout(r, 0));
			const how = broken ? rnd(5) : 9;
			if (how === 0) throw new TypeError('network'); // the request was lost
			const answer = server.apply(set);
			if (how === 1) throw new TypeError('network'); // its answer was
			if (how === 2) return { kind: 'away', message: '503' };
			return answer;
		};
		const { tables, queue, put } = setup(send);
		for (let n = 0; n < 8; n++) server.other('bboxes', `r${n}`, { x: 0, y: 0 });
		tables.load([...server.rows.values()]);
		for (let step = 0; step < 40; step++) {
			const id = `r${rnd(12)}`; // "x" is ours, "y" is the other's
			const have = tables.get('bboxes', id);
			await put('bboxes', id, { ...(have?.data ?? { y: 0 }), x: step + 1 });
			if (rnd(3) === 0) {
				const other = `r${rnd(8)}`;
				const theirs = server.rows.get(keyOf('bboxes', other))!;
				server.other('bboxes', other, { ...theirs.data, y: step + 1 });
			}
			if (rnd(3) === 0) void queue.save();
			if (rnd(4) === 0) await queue.save();
		}
		broken = false;
		for (let n = 0; n < 4; n++) await queue.save();
		expect(queue.waiting).toBe(0);
		expect(queue.conflicts).toEqual([]);
		for (const r of tables.table('bboxes').values()) expect(server.rows.get(keyOf('bboxes', r.id))!.data.x).toBe(r.data.x ?? 0);
		const keys = server.applied.map((s) => s.key);
		expect(new Set(keys).size).toBe(keys.length);
	}
});

test('a crash at any point: the journal brings everything back, once', async () => {
	const db = await openJournal('crash');
	for (let seed = 1; seed <= 25; seed++) {
		const rnd = random(seed * 15485863);
		const server = new FakeServer();
		const dataset = `d${seed}`;
		const last = new Map<string, number>();
		let owner = 0;
		const start = () => {
			let dead = false;
			const send = async (set: ChangeSet): Promise<Answer> => {
				const lost = rnd(3);
				if (lost === 0) throw new TypeError('network');
				const answer = server.apply(set);
				if (lost === 1 || dead) throw new TypeError('network');
				return answer;
			};
			const life = setup(send, new TabJournal(db, `t${owner}`, dataset));
			return { ...life, kill: () => ((dead = true), life.queue.stop()) };
		};
		let life = start();
		for (let step = 1; step <= 30; step++) {
			const id = `r${rnd(6)}`;
			await life.put('bboxes', id, { x: step });
			last.set(id, step);
			if (rnd(3) === 0) void life.queue.save();
			if (rnd(3) === 0) await new Promise((r) => setTimeout(r, 0));
			if (rnd(8) === 0) {
				life.kill();
				owner++;
				const [left] = (await leftovers(db, new Set([`t${owner}`]))).filter((l) => l.dataset === dataset);
				life = start();
				life.tables.load([...server.rows.values()]);
				if (left) {
					await adopt(db, left, `t${owner}`);
					for (const u of left.rows) life.tables.apply({ patches: [{ table: u.table, id: u.id, before: u.base, after: u.current }] });
					life.queue.restore(left.rows, left.set);
				}
				for (const [row, x] of last) expect(life.tables.get('bboxes', row)?.data.x).toBe(x);
			}
		}
		for (let n = 0; n < 60 && !life.queue.idle; n++) await life.queue.save();
		expect(life.queue.conflicts).toEqual([]);
		for (const [id, x] of last) expect(server.rows.get(keyOf('bboxes', id))!.data.x).toBe(x);
		await new Promise((r) => setTimeout(r, 5));
		const left = (await leftovers(db, new Set())).filter((l) => l.dataset === dataset);
		expect(left).toEqual([]);
	}
});

test('what is discarded is gone, what a living tab has is not offered', async () => {
	const db = await openJournal('discard');
	await new TabJournal(db, 'a', 'd').write([{ table: 't', id: '1', base: null, current: row('t', '1', {}) }]);
	expect(await leftovers(db, new Set(['a']))).toEqual([]);
	const [left] = await leftovers(db, new Set(['b']));
	expect(left.rows).toHaveLength(1);
	await discard(db, left);
	expect(await leftovers(db, new Set())).toEqual([]);
});

test('merge laws', () => {
	const rnd = random(99);
	const data = () => Object.fromEntries(['a', 'b', 'c'].flatMap((k) => (rnd(4) ? [[k, rnd(3)]] : []))) as Data;
	for (let n = 0; n < 2000; n++) {
		const base = row('t', '1', data());
		const [mine, theirs] = [row('t', '1', { ...base.data, ...data() }), row('t', '1', { ...base.data, ...data() })];
		expect(merge(base, base, theirs).row.data).toEqual(theirs.data); // who changed nothing gets theirs
		expect(merge(base, mine, base).row.data).toEqual(mine.data);
		expect(merge(base, mine, mine).clashes).toEqual([]);
		const m = merge(base, mine, theirs);
		const back = merge(base, theirs, mine);
		expect(m.clashes.toSorted()).toEqual(back.clashes.toSorted());
		if (m.clashes.length === 0) expect(m.row.data).toEqual(back.row.data); // the order does not matter
	}
});
