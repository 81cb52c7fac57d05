import { keyOf, refOf, type Command, type Patch, type Row } from './types';

export type Listener = (patches: readonly Patch[]) => void;

// The references that are indexed: every annotation of a view, an entity or a source is found without a scan.
const indexed = ['item_ref', 'view_ref', 'entity_ref', 'source_ref', 'parent_ref'] as const;
export type IndexedRef = (typeof indexed)[number];

// Tables holds the rows of one item (and the sources) in plain maps, outside of any reactive proxy. Listeners hear
// of every change in the tick in which it happens, after rows and indexes are up to date.
export class Tables {
	private rows = new Map<string, Map<string, Row>>();
	private index = new Map<string, Map<string, Row>>(); // field, id of what it refers to → rows by key
	private listeners = new Set<Listener>();
	version = 0;

	get(table: string, id: string): Row | null {
		return this.rows.get(table)?.get(id) ?? null;
	}

	table(name: string): ReadonlyMap<string, Row> {
		return this.rows.get(name) ?? empty;
	}

	names(): string[] {
		return [...this.rows.keys()];
	}

	*all(): Generator<Row> {
		for (const table of this.rows.values()) yield* table.values();
	}

	// referring returns the rows whose field refers to a row of this id.
	referring(field: IndexedRef, id: string): Row[] {
		return [...(this.index.get(`${field}\n${id}`)?.values() ?? [])];
	}

	count(field: IndexedRef, id: string): number {
		return this.index.get(`${field}\n${id}`)?.size ?? 0;
	}

	subscribe(listener: Listener): () => void {
		this.listeners.add(listener);
		return () => this.listeners.delete(listener);
	}

	// load puts rows as the server has them.
	load(rows: Iterable<Row>): void {
		const patches: Patch[] = [];
		for (const row of rows)
			patches.push({ table: row.table_info.name, id: row.id, before: this.get(row.table_info.name, row.id), after: row });
		this.write(patches);
	}

	clear(): void {
		const patches = [...this.all()].map((row): Patch => ({ table: row.table_info.name, id: row.id, before: row, after: null }));
		this.write(patches);
		this.rows.clear();
	}

	// apply runs a command's patches. Times are the server's: a row keeps those that it has.
	apply(command: Pick<Command, 'patches'>): readonly Patch[] {
		const done = command.patches.map((p): Patch => {
			const before = this.get(p.table, p.id);
			const after = p.after && before ? { ...p.after, created_at: before.created_at, updated_at: before.updated_at } : p.after;
			return { table: p.table, id: p.id, before, after };
		});
		this.write(done);
		return done;
	}

	private write(patches: readonly Patch[]): void {
		if (patches.length === 0) return;
		for (const { table, id, after } of patches) {
			let rows = this.rows.get(table);
			if (!rows) this.rows.set(table, (rows = new Map()));
			const old = rows.get(id);
			if (old) this.reindex(old, false);
			if (after) {
				rows.set(id, after);
				this.reindex(after, true);
			} else rows.delete(id);
		}
		this.version++;
		for (const listener of this.listeners) listener(patches);
	}

	private reindex(row: Row, add: boolean): void {
		for (const field of indexed) {
			const ref = refOf(row, field);
			if (!ref) continue;
			const at = `${field}\n${ref.id}`;
			let rows = this.index.get(at);
			if (add) {
				if (!rows) this.index.set(at, (rows = new Map()));
				rows.set(keyOf(row.table_info.name, row.id), row);
			} else if (rows) {
				rows.delete(keyOf(row.table_info.name, row.id));
				if (rows.size === 0) this.index.delete(at);
			}
		}
	}
}

const empty: ReadonlyMap<string, Row> = new Map();
