import { openDB, type DBSchema, type IDBPDatabase } from 'idb';
import type { ChangeSet, Journal, Unsaved } from './savequeue';

interface Schema extends DBSchema {
	rows: {
		key: [string, string, string, string];
		value: Unsaved & { owner: string; dataset: string; at: number };
		indexes: { owner: [string, string] };
	};
	sending: { key: [string, string]; value: { owner: string; dataset: string; set: ChangeSet } };
}

export type Database = IDBPDatabase<Schema>;

export function openJournal(name = 'pixano-journal'): Promise<Database> {
	return openDB<Schema>(name, 1, {
		upgrade(db) {
			db.createObjectStore('rows', { keyPath: ['owner', 'dataset', 'table', 'id'] }).createIndex('owner', ['owner', 'dataset']);
			db.createObjectStore('sending', { keyPath: ['owner', 'dataset'] });
		},
	});
}

// TabJournal keeps one tab's unsaved rows of one dataset. Tabs do not see each other's rows while they live; what a
// dead tab left is offered by leftovers.
export class TabJournal implements Journal {
	constructor(
		private db: Database,
		private owner: string,
		private dataset: string,
	) {}

	async write(rows: Unsaved[]): Promise<void> {
		if (rows.length === 0) return;
		const tx = this.db.transaction('rows', 'readwrite', { durability: 'strict' });
		const at = Date.now();
		await Promise.all([...rows.map((row) => tx.store.put({ ...row, owner: this.owner, dataset: this.dataset, at })), tx.done]);
	}

	async remove(keys: { table: string; id: string }[]): Promise<void> {
		if (keys.length === 0) return;
		const tx = this.db.transaction('rows', 'readwrite');
		await Promise.all([...keys.map(({ table, id }) => tx.store.delete([this.owner, this.dataset, table, id])), tx.done]);
	}

	async sending(set: ChangeSet | null): Promise<void> {
		if (set) await this.db.put('sending', { owner: this.owner, dataset: this.dataset, set });
		else await this.db.delete('sending', [this.owner, this.dataset]);
	}
}

export interface Leftover {
	owner: string;
	dataset: string;
	rows: Unsaved[];
	set: ChangeSet | null;
	at: number; // ms of the last change
}

// leftovers lists what tabs left that no longer live.
export async function leftovers(db: Database, alive: ReadonlySet<string>): Promise<Leftover[]> {
	const found = new Map<string, Leftover>();
	const of = (owner: string, dataset: string) => {
		const key = `${owner}\n${dataset}`;
		let entry = found.get(key);
		if (!entry) found.set(key, (entry = { owner, dataset, rows: [], set: null, at: 0 }));
		return entry;
	};
	for (const { owner, dataset, at, ...row } of await db.getAll('rows')) {
		if (alive.has(owner)) continue;
		const entry = of(owner, dataset);
		entry.rows.push(row);
		entry.at = Math.max(entry.at, at);
	}
	for (const { owner, dataset, set } of await db.getAll('sending')) if (!alive.has(owner)) of(owner, dataset).set = set;
	return [...found.values()];
}

// adopt moves what another tab left to a living one, and tells whether it was still there; discard drops it.
export async function adopt(db: Database, from: Leftover, owner: string): Promise<boolean> {
	const tx = db.transaction(['rows', 'sending'], 'readwrite', { durability: 'strict' });
	const key: [string, string] = [from.owner, from.dataset];
	const left = (await tx.objectStore('rows').index('owner').count(key)) + (await tx.objectStore('sending').count(key));
	if (left === 0) return false;
	for (const row of from.rows) {
		void tx.objectStore('rows').put({ ...row, owner, dataset: from.dataset, at: from.at });
		void tx.objectStore('rows').delete([from.owner, from.dataset, row.table, row.id]);
	}
	if (from.set) void tx.objectStore('sending').put({ owner, dataset: from.dataset, set: from.set });
	void tx.objectStore('sending').delete(key);
	await tx.done;
	return true;
}

export async function discard(db: Database, from: Leftover): Promise<void> {
	const tx = db.transaction(['rows', 'sending'], 'readwrite');
	for (const row of from.rows) void tx.objectStore('rows').delete([from.owner, from.dataset, row.table, row.id]);
	void tx.objectStore('sending').delete([from.owner, from.dataset]);
	await tx.done;
}

let named: Promise<void> | null = null;

// livingTabs names this tab with a lock that the browser drops when the tab dies, and lists those that live now.
export async function livingTabs(owner: string): Promise<Set<string>> {
	if (!globalThis.navigator?.locks) return new Set([owner]);
	named ??= new Promise<void>((ready) => {
		void navigator.locks.request(`pixano-tab-${owner}`, () => {
			ready();
			return new Promise<never>(() => {});
		});
	});
	await named;
	const { held } = await navigator.locks.query();
	return new Set((held ?? []).flatMap((lock) => (lock.name?.startsWith('pixano-tab-') ? [lock.name.slice(11)] : [])));
}
