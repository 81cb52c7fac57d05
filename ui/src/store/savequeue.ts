import { merge } from './merge';
import type { Tables } from './tables';
import { keyOf, newId, sameRow, type Patch, type Row } from './types';

// Change is one row of a change set on the wire.
export interface Change {
	op: 'insert' | 'put' | 'delete';
	table: string;
	id: string;
	row?: Row;
	if_updated_at?: string;
}

export interface ChangeSet {
	key: string; // idempotency key: sent again, it changes nothing twice
	author: string;
	changes: Change[];
}

export type Answer =
	| { kind: 'saved'; times: Map<string, { created_at?: string; updated_at?: string }> }
	| { kind: 'conflict'; current: Map<string, Row | null> } // nothing was stored
	| { kind: 'refused'; message: string; rows: Map<string, string> } // nothing was stored: the rows are wrong
	| { kind: 'away'; message: string }; // no answer: it may have been stored

export interface Conflict {
	table: string;
	id: string;
	base: Row | null;
	mine: Row | null;
	theirs: Row | null;
	fields: string[]; // that both changed; empty when one side deleted the row
}

export type SaveState = 'saved' | 'waiting' | 'saving' | 'offline' | 'failed';

// Unsaved is what outlives a crash: the row as the server had it and as it should become.
export interface Unsaved {
	table: string;
	id: string;
	base: Row | null;
	current: Row | null;
}

export interface Journal {
	write(rows: Unsaved[]): Promise<void>;
	remove(keys: { table: string; id: string }[]): Promise<void>;
	// sending keeps the change set whose answer is awaited: after a crash exactly it is sent again.
	sending(set: ChangeSet | null): Promise<void>;
}

export interface Options {
	tables: Tables;
	send: (set: ChangeSet) => Promise<Answer>;
	journal: Journal;
	author: () => string;
	auto: () => boolean; // false: save on demand only
	quiet?: number; // ms without changes before a save
	groupRank: (row: Row) => number; // order within a change set: parents first
	setTimer?: (fn: () => void, ms: number) => unknown;
	clearTimer?: (timer: unknown) => void;
	merged?: (rows: Row[]) => void; // rows that another's change was merged into, for a notice
	unkept?: () => void; // the journal failed, told once: what waits would not outlive a crash
}

interface Entry {
	base: Row | null; // as the server has it
}

interface Flight {
	set: ChangeSet;
	rows: Map<string, { table: string; id: string; base: Row | null; sent: Row | null }>;
}

const maxBackoff = 60_000;

// SaveQueue carries changes to the server. A row is in it from its change until the server has stored exactly the row
// as it is now; a failed request never takes a row out. One change set is under way at a time, and is repeated with
// its key until it was answered, so that a lost answer stores nothing twice.
export class SaveQueue {
	private dirty = new Map<string, Entry & { table: string; id: string }>();
	private flight: Flight | null = null;
	private held = new Map<string, Conflict>();
	private refusals = new Map<string, string>();
	private timer: unknown = null;
	private backoff = 0;
	private running: Promise<void> | null = null;
	private listeners = new Set<() => void>();
	private stopped = false;
	private unkept = false;
	private moved = new Map<string, number>(); // row → when it was changed here, or stored, last
	private clock = 0;
	error = '';
	state: SaveState = 'saved';

	constructor(private o: Options) {}

	// now is the time of a question to the server, for since.
	get now(): number {
		return this.clock;
	}

	// since tells whether a row was changed here or stored since a time: what the server answered may be older.
	since(time: number, table: string, id: string): boolean {
		return (this.moved.get(keyOf(table, id)) ?? 0) > time;
	}

	private move(key: string): void {
		this.moved.set(key, ++this.clock);
	}

	// keep lets no failure of the journal, such as a full disk, keep changes from the server.
	private keep(written: Promise<void>): Promise<void> {
		return written.catch(() => {
			if (!this.unkept) this.o.unkept?.();
			this.unkept = true;
		});
	}

	// record takes changes that were applied to the tables. The promise settles when they are in the journal.
	record(patches: readonly Patch[]): Promise<void> {
		for (const p of patches) {
			const key = keyOf(p.table, p.id);
			this.refusals.delete(key);
			this.move(key);
			if (!this.dirty.has(key)) this.dirty.set(key, { table: p.table, id: p.id, base: this.flight?.rows.get(key)?.sent ?? p.before });
			const held = this.held.get(key);
			if (held) this.held.set(key, { ...held, mine: p.after });
		}
		this.settle();
		const written = this.keep(
			this.o.journal.write(
				patches.flatMap((p) => {
					const entry = this.dirty.get(keyOf(p.table, p.id));
					return entry ? [{ table: p.table, id: p.id, base: entry.base, current: p.after }] : [];
				}),
			),
		);
		if (this.o.auto()) this.schedule(this.backoff || (this.o.quiet ?? 800));
		this.changed();
		return written;
	}

	// restore takes up what the journal kept of an earlier life. A change set whose answer was not heard is sent first.
	restore(rows: Unsaved[], set: ChangeSet | null): void {
		for (const u of rows) this.dirty.set(keyOf(u.table, u.id), { table: u.table, id: u.id, base: u.base });
		if (set) {
			const flight: Flight = { set, rows: new Map() };
			for (const c of set.changes) {
				const key = keyOf(c.table, c.id);
				const unsaved = rows.find((u) => u.table === c.table && u.id === c.id);
				flight.rows.set(key, { table: c.table, id: c.id, base: unsaved?.base ?? null, sent: c.row ?? null });
				// What was sent is the base of what came after it, once it is stored.
				if (unsaved && sameRow(unsaved.current, c.row ?? null)) this.dirty.delete(key);
				else if (unsaved) this.dirty.set(key, { table: c.table, id: c.id, base: c.row ?? null });
			}
			this.flight = flight;
		}
		this.changed();
		if (this.o.auto()) void this.save();
	}

	// save sends what waits, now. It settles when everything that can be saved is, or the server is away.
	save(): Promise<void> {
		this.cancelTimer();
		if (this.stopped) return Promise.resolve();
		this.running ??= this.run().finally(() => (this.running = null));
		return this.running;
	}

	// retry sends refused rows again.
	retry(): Promise<void> {
		this.refusals.clear();
		return this.save();
	}

	get waiting(): number {
		const keys = new Set(this.dirty.keys());
		for (const key of this.flight?.rows.keys() ?? []) keys.add(key);
		return keys.size;
	}

	get conflicts(): Conflict[] {
		return [...this.held.values()];
	}

	get refused(): { table: string; id: string; message: string }[] {
		return [...this.refusals].map(([key, message]) => ({ table: key.split('\n')[0], id: key.split('\n')[1], message }));
	}

	// pending tells whether a row's change is not stored yet.
	pending(table: string, id: string): boolean {
		const key = keyOf(table, id);
		return this.dirty.has(key) || (this.flight?.rows.has(key) ?? false) || this.held.has(key);
	}

	// idle tells that nothing waits, so that the rows may be dropped from memory.
	get idle(): boolean {
		return this.waiting === 0;
	}

	// resolve ends a conflict with the row as it should become; null deletes it.
	resolve(table: string, id: string, row: Row | null): void {
		const key = keyOf(table, id);
		const conflict = this.held.get(key);
		if (!conflict) return;
		this.held.delete(key);
		this.move(key);
		const before = this.o.tables.get(table, id);
		const times = conflict.theirs ?? row;
		const after = row && { ...row, created_at: times?.created_at, updated_at: times?.updated_at };
		if (after) this.o.tables.load([after]);
		else if (before) this.o.tables.apply({ patches: [{ table, id, before, after: null }] });
		this.dirty.set(key, { table, id, base: conflict.theirs });
		this.settle();
		void this.keep(this.o.journal.write([{ table, id, base: conflict.theirs, current: after }]));
		this.changed();
		if (this.o.auto()) this.schedule(0);
	}

	subscribe(listener: () => void): () => void {
		this.listeners.add(listener);
		return () => this.listeners.delete(listener);
	}

	stop(): void {
		this.stopped = true;
		this.cancelTimer();
	}

	// settle drops rows that are again as the server has them.
	private settle(): void {
		for (const [key, entry] of this.dirty) {
			if (this.flight?.rows.has(key) || this.held.has(key)) continue;
			if (sameRow(entry.base, this.o.tables.get(entry.table, entry.id))) {
				this.dirty.delete(key);
				void this.keep(this.o.journal.remove([entry]));
			}
		}
	}

	private async run(): Promise<void> {
		for (;;) {
			if (this.stopped) return;
			this.flight ??= this.load();
			if (!this.flight) {
				this.setState();
				return;
			}
			this.state = 'saving';
			this.changed();
			await this.keep(this.o.journal.sending(this.flight.set));
			let answer: Answer;
			try {
				answer = await this.o.send(this.flight.set);
			} catch (e) {
				answer = { kind: 'away', message: e instanceof Error ? e.message : String(e) };
			}
			if (answer.kind === 'away') {
				this.error = answer.message;
				this.backoff = Math.min(maxBackoff, this.backoff ? this.backoff * 2 : 1000);
				this.state = 'offline';
				this.schedule(this.backoff);
				this.changed();
				return;
			}
			this.backoff = 0;
			this.error = '';
			const flight = this.flight;
			this.flight = null;
			if (answer.kind === 'saved') this.stored(flight, answer.times);
			else {
				// Nothing was stored: the rows are as they were before they were sent, with what happened since.
				const later: Unsaved[] = []; // changed since: the journal has what was sent as their base
				for (const [key, { table, id, base }] of flight.rows) {
					if (this.dirty.has(key)) later.push({ table, id, base, current: this.o.tables.get(table, id) });
					this.dirty.set(key, { table, id, base });
				}
				if (later.length > 0) void this.keep(this.o.journal.write(later));
				if (answer.kind === 'conflict' && [...answer.current.keys()].some((key) => flight.rows.has(key))) this.clash(answer.current);
				else if (answer.kind === 'conflict') for (const key of flight.rows.keys()) this.refusals.set(key, 'conflict');
				else {
					this.error = answer.message;
					const named = [...answer.rows].filter(([key]) => flight.rows.has(key));
					for (const [key, message] of named) this.refusals.set(key, message);
					if (named.length === 0) for (const key of flight.rows.keys()) this.refusals.set(key, answer.message);
				}
			}
			await this.keep(this.o.journal.sending(null));
			this.settle();
			this.changed();
		}
	}

	private load(): Flight | null {
		const rows: Flight['rows'] = new Map();
		const changes: { change: Change; rank: number; order: number }[] = [];
		let order = 0;
		for (const [key, entry] of this.dirty) {
			if (this.held.has(key) || this.refusals.has(key)) continue;
			const current = this.o.tables.get(entry.table, entry.id);
			if (sameRow(entry.base, current)) {
				this.dirty.delete(key);
				void this.keep(this.o.journal.remove([entry]));
				continue;
			}
			const { table, id, base } = entry;
			rows.set(key, { table, id, base, sent: current });
			const condition = base?.updated_at ? { if_updated_at: base.updated_at } : {};
			const change: Change = current
				? { op: base ? 'put' : 'insert', table, id, row: current, ...condition }
				: { op: 'delete', table, id, ...condition };
			const rank = this.o.groupRank((current ?? base)!);
			changes.push({ change, rank: current ? rank : 1000 - rank, order: order++ });
		}
		if (rows.size === 0) return null;
		for (const key of rows.keys()) this.dirty.delete(key);
		changes.sort((a, b) => a.rank - b.rank || a.order - b.order);
		return { set: { key: newId(), author: this.o.author(), changes: changes.map((c) => c.change) }, rows };
	}

	private stored(flight: Flight, times: Map<string, { created_at?: string; updated_at?: string }>): void {
		const done: { table: string; id: string }[] = [];
		const touched: Row[] = [];
		const rewrite: Unsaved[] = [];
		for (const [key, f] of flight.rows) {
			this.move(key);
			const stamp = times.get(key) ?? {};
			const stored = f.sent && { ...f.sent, ...stamp };
			const current = this.o.tables.get(f.table, f.id);
			const later = this.dirty.get(key);
			if (later) {
				this.dirty.set(key, { ...later, base: stored });
				rewrite.push({ table: f.table, id: f.id, base: stored, current });
			} else done.push(f);
			if (current) touched.push({ ...current, ...stamp });
		}
		if (touched.length > 0) this.o.tables.load(touched);
		void this.keep(this.o.journal.remove(done));
		if (rewrite.length > 0) void this.keep(this.o.journal.write(rewrite));
	}

	private clash(current: Map<string, Row | null>): void {
		const merged: Row[] = [];
		for (const [key, theirs] of current) {
			const entry = this.dirty.get(key);
			if (!entry) continue;
			const { table, id, base } = entry;
			const mine = this.o.tables.get(table, id);
			if (sameRow(mine, theirs)) {
				this.dirty.delete(key); // they did the same
				this.move(key);
				if (theirs) this.o.tables.load([theirs]);
				void this.keep(this.o.journal.remove([entry]));
				continue;
			}
			const joined = base && mine && theirs ? merge(base, mine, theirs) : null;
			if (joined && joined.clashes.length === 0) {
				this.o.tables.load([joined.row]);
				merged.push(joined.row);
				this.dirty.set(key, { table, id, base: theirs });
				void this.keep(this.o.journal.write([{ table, id, base: theirs, current: joined.row }]));
			} else this.held.set(key, { table, id, base, mine, theirs, fields: joined?.clashes ?? [] });
		}
		if (merged.length > 0) this.o.merged?.(merged);
	}

	private setState(): void {
		const next: SaveState = this.refusals.size > 0 ? 'failed' : this.held.size > 0 || this.dirty.size === 0 ? 'saved' : 'waiting';
		this.state = next;
		this.changed();
	}

	private schedule(ms: number): void {
		this.cancelTimer();
		if (this.state === 'saved' && this.dirty.size > 0) this.state = 'waiting';
		const set = this.o.setTimer ?? ((fn, wait) => setTimeout(fn, wait));
		this.timer = set(() => void this.save(), ms);
	}

	private cancelTimer(): void {
		if (this.timer === null) return;
		(this.o.clearTimer ?? ((t) => clearTimeout(t as number)))(this.timer);
		this.timer = null;
	}

	private changed(): void {
		if (this.state === 'saved' && this.dirty.size > this.held.size) this.state = 'waiting';
		if (this.state === 'waiting' && this.dirty.size === 0 && !this.flight) this.state = 'saved';
		for (const listener of this.listeners) listener();
	}
}
