import type { Rect, Size } from '../stage/camera';
import { coordsOf, viewSize } from './boxes';
import { emptied } from './entities';
import { fitted } from './fit';
import { History } from './history';
import { maskOf, movedMask, ringsOf } from './masks';
import { movedCoords } from './points';
import { SaveQueue, type Journal, type Options, type Unsaved, type ChangeSet } from './savequeue';
import { Schema } from './schema';
import { Tables } from './tables';
import { keyOf, newId, refOf, sameRow, sameValue, type Command, type Data, type Patch, type Place, type Ref, type Row } from './types';

export interface SessionOptions {
	schema: Schema;
	send: Options['send'];
	journal: Journal;
	annotator: () => string;
	auto: () => boolean;
	merged: (rows: Row[]) => void;
	unkept?: Options['unkept'];
	went?: (place: Place) => void; // undo and redo go where the change shows
}

const keptItems = 8;

// Target is where what is drawn goes: into an object, or into a new one with these fields.
export interface Target {
	entities: string | null;
	fields: Data;
	into: Row | null;
}

export interface Copied {
	row: Row;
	entity: Row | null;
	size?: Size; // of its view
}

// Session is the work on one dataset: rows of the items that were opened, their histories, and what is to be saved.
export class Session {
	readonly tables = new Tables();
	readonly queue: SaveQueue;
	readonly schema: Schema;
	item = '';
	readonly recent: string[] = []; // labels of the last commands, for reports of failures
	private histories = new Map<string, History>();
	private opened: string[] = []; // items, the last one last

	constructor(private o: SessionOptions) {
		this.schema = o.schema;
		this.queue = new SaveQueue({
			tables: this.tables,
			send: o.send,
			journal: o.journal,
			author: o.annotator,
			auto: o.auto,
			merged: o.merged,
			unkept: o.unkept,
			groupRank: (row) => this.schema.rank(row),
		});
	}

	get history(): History {
		let h = this.histories.get(this.item);
		if (!h) this.histories.set(this.item, (h = new History()));
		return h;
	}

	// open shows an item with its rows as the server has them.
	open(item: string, rows: readonly Row[], asked = this.queue.now): void {
		this.item = item;
		this.refresh(item, rows, asked);
		this.opened = [...this.opened.filter((i) => i !== item), item];
		while (this.opened.length > keptItems && this.drop(this.opened[0])) this.opened.shift();
	}

	// refresh takes the rows of an item as the server had them when it was asked. Rows that wait to be saved keep our
	// changes, and so do those that were saved since.
	refresh(item: string, rows: readonly Row[], asked: number): void {
		const ours = (table: string, id: string) => this.queue.pending(table, id) || this.queue.since(asked, table, id);
		const fresh = new Set(rows.map((r) => keyOf(r.table_info.name, r.id)));
		const gone: Patch[] = [];
		for (const row of this.rowsOf(item)) {
			const { name } = row.table_info;
			if (!fresh.has(keyOf(name, row.id)) && !ours(name, row.id)) gone.push({ table: name, id: row.id, before: row, after: null });
		}
		if (gone.length > 0) this.tables.apply({ patches: gone });
		const same = (row: Row) => {
			const now = this.tables.get(row.table_info.name, row.id);
			return now !== null && now.updated_at === row.updated_at && sameRow(now, row);
		};
		this.tables.load(rows.filter((r) => !ours(r.table_info.name, r.id) && !same(r)));
	}

	// incoming takes rows of a table as the server has them now, after someone changed those that are asked for. What waits to be
	// saved here stays, and is merged when it is; so does what was changed here since the question.
	incoming(table: string, asked: ReadonlyMap<string, Row | null>, rows: readonly Row[]): void {
		const found = new Map(rows.map((r) => [r.id, r]));
		const fresh: Row[] = [];
		const gone: Patch[] = [];
		for (const [id, before] of asked) {
			const now = this.tables.get(table, id);
			if (now !== before || this.queue.pending(table, id)) continue;
			const row = found.get(id);
			if (!row) {
				if (now) gone.push({ table, id, before: now, after: null });
			} else if (!now || now.updated_at !== row.updated_at) fresh.push(row);
		}
		if (gone.length > 0) this.tables.apply({ patches: gone });
		if (fresh.length > 0) this.tables.load(fresh);
	}

	// rowsOf returns all rows of an item in memory, the item's own first.
	rowsOf(item: string): Row[] {
		const own = this.tables.get('item', item);
		return [...(own ? [own] : []), ...this.tables.referring('item_ref', item)];
	}

	run(command: Command): void {
		if (command.patches.length === 0) return;
		const patches = this.tables.apply(command);
		this.history.push({ ...command, patches });
		void this.queue.record(patches);
		this.note(command.label);
	}

	undo(): Command | null {
		return this.step(this.history.undo(), 'undo');
	}

	redo(): Command | null {
		return this.step(this.history.redo(), 'redo');
	}

	// jump undoes or redoes up to a position of the history.
	jump(position: number): void {
		while (this.history.position > position && this.undo());
		while (this.history.position < position && this.redo());
	}

	restore(rows: Unsaved[], set: ChangeSet | null): void {
		for (const u of rows) this.tables.apply({ patches: [{ table: u.table, id: u.id, before: u.base, after: u.current }] });
		for (const u of rows)
			if (u.current && u.base) this.tables.load([{ ...u.current, created_at: u.base.created_at, updated_at: u.base.updated_at }]);
		this.queue.restore(rows, set);
	}

	private step(command: Command | null, word: string): Command | null {
		if (!command) return null;
		// Times and what the server merged in stay; what the step changed goes back, field by field.
		const patches = this.tables.apply({ patches: command.patches.map((p) => this.rebased(p)) });
		void this.queue.record(patches);
		if (command.place) this.o.went?.(command.place);
		this.note(`${word} ${command.label}`);
		return command;
	}

	// rebased puts only the fields that a step changed on the row as it is now.
	private rebased(p: Patch): Patch {
		const now = this.tables.get(p.table, p.id);
		if (!now || !p.before || !p.after) return p;
		const data: Data = { ...now.data };
		for (const field of new Set([...Object.keys(p.before.data), ...Object.keys(p.after.data)]))
			if (p.before.data[field] !== p.after.data[field]) data[field] = p.after.data[field];
		return { ...p, before: now, after: { ...now, data } };
	}

	private note(label: string): void {
		this.recent.push(label);
		if (this.recent.length > 20) this.recent.shift();
	}

	private drop(item: string): boolean {
		if (item === this.item) return false;
		const rows = this.rowsOf(item);
		if (rows.some((r) => this.queue.pending(r.table_info.name, r.id))) return false;
		this.tables.apply({ patches: rows.map((r) => ({ table: r.table_info.name, id: r.id, before: r, after: null })) });
		this.histories.delete(item);
		return true;
	}

	// Making of commands

	row(table: string, data: Data, id = newId()): Row {
		return {
			id,
			table_info: { name: table, group: this.schema.group(table), base_schema: this.schema.base(table) },
			data: this.schema.fresh(table, data),
		};
	}

	// human is the reference to the annotator's source, which is made on the first change.
	human(): Ref {
		const name = this.o.annotator();
		for (const row of this.tables.table('source').values())
			if (row.data.kind === 'human' && row.data.name === name) return { name: 'source', id: row.id };
		const slug = name
			.normalize('NFKD')
			.replace(/[^A-Za-z0-9]+/g, '-')
			.replace(/^-|-$/g, '')
			.toLowerCase();
		let id = `human-${slug || 'annotator'}`;
		while (this.tables.get('source', id)) id += '-2';
		const row: Row = {
			id,
			table_info: { name: 'source', group: 'source', base_schema: 'Source' },
			data: { name, kind: 'human', metadata: {} },
		};
		// Not a step of the history: other items' annotations will refer to it.
		void this.queue.record(this.tables.apply({ patches: [{ table: 'source', id, before: null, after: row }] }));
		return { name: 'source', id };
	}

	// drawn makes an annotation in a view, with an object of its own or in one that is there.
	drawn(label: string, table: string, view: Row, data: Data, to: Target): { command: Command; key: string } {
		const { command, keys } = this.draw(label, view, [{ table, data }], to);
		return { command, key: keys[0] };
	}

	// draw makes the annotations of one object. source_ref is the annotator's where a part has none.
	draw(label: string, view: Row, parts: readonly { table: string; data: Data }[], to: Target): { command: Command; keys: string[] } {
		const refs = { item_ref: { name: 'item', id: this.item }, view_ref: { name: view.table_info.name, id: view.id } };
		const patches: Patch[] = [];
		let entity = to.into;
		if (!entity && to.entities) {
			entity = this.row(to.entities, { ...to.fields, ...refs });
			patches.push({ table: to.entities, id: entity.id, before: null, after: entity });
		}
		const entity_ref = entity ? { name: entity.table_info.name, id: entity.id } : { name: '', id: '' };
		const keys = parts.map(({ table, data }) => {
			const row = this.row(table, { ...data, ...refs, entity_ref, source_ref: data.source_ref ?? this.human() });
			patches.push({ table, id: row.id, before: null, after: row });
			return keyOf(table, row.id);
		});
		return { command: { label, patches, place: { view: view.id } }, keys };
	}

	// edited is a row changed by hand: a model's annotation becomes the annotator's, remembers whose it was, and counts as
	// accepted.
	edited(row: Row, data: Data): Row {
		const next: Data = { ...row.data, ...data };
		const source = refOf(row, 'source_ref');
		if (row.table_info.group === 'annotations' && source && this.tables.get('source', source.id)?.data.kind === 'model') {
			next.source_ref = this.human();
			next.inference_metadata = {
				...(next.inference_metadata as Data | null),
				edited_from: source.id,
				review: 'accepted',
				reviewed_by: this.o.annotator(),
			};
		}
		return { ...row, data: next };
	}

	change(rows: readonly { row: Row; data: Data }[], label: string, merge?: string): Command {
		const first = rows[0] && refOf(rows[0].row, 'view_ref');
		return {
			label,
			merge,
			place: first ? { view: first.id } : undefined,
			patches: rows.map(({ row, data }) => ({ table: row.table_info.name, id: row.id, before: row, after: this.edited(row, data) })),
		};
	}

	moveBoxes(changes: readonly { key: string; rect: Rect }[], merge?: string): Command {
		const rows = changes.flatMap(({ key, rect }) => {
			const row = this.byKey(key);
			const view = row && this.viewOf(row);
			return row && view ? [{ row, data: { coords: coordsOf(row.data, rect, viewSize(view)) } }] : [];
		});
		return this.change(rows, 'move box', merge);
	}

	// moveBy shifts boxes and points, and masks by whole pixels.
	moveBy(keys: Iterable<string>, dx: number, dy: number, merge?: string): Command {
		const rows = [...keys].flatMap((key) => {
			const row = this.byKey(key);
			const view = row && this.viewOf(row);
			if (!row || !view) return [];
			const size = viewSize(view);
			if (maskOf(row)) return [{ row, data: movedMask(row.data, Math.round(dx), Math.round(dy), size) }];
			const coords = movedCoords(row, size, dx, dy);
			return coords ? [{ row, data: { coords } }] : [];
		});
		return this.change(
			rows.filter(({ row, data }) => !sameValue({ ...row.data, ...data }, row.data)),
			'move',
			merge,
		);
	}

	// remove deletes annotations, and the entities that nothing else belongs to.
	remove(keys: Iterable<string>): Command {
		const rows = [...keys].flatMap((key) => this.byKey(key) ?? []);
		const view = rows[0] && refOf(rows[0], 'view_ref');
		return {
			label: 'delete',
			place: view ? { view: view.id } : undefined,
			patches: [...rows, ...emptied(this.tables, rows)].map((row) => ({
				table: row.table_info.name,
				id: row.id,
				before: row,
				after: null,
			})),
		};
	}

	// copies makes rows like the given annotations in a view of this item, or each in its own. Those of one object are one
	// object again. What would be outside of a view of another size is left out.
	copies(rows: readonly Copied[], view: Row | null, shift = 0): { command: Command; keys: string[]; fitted: number; left: number } {
		const patches: Patch[] = [];
		const keys: string[] = [];
		const fit = view
			? fitted(
					rows.flatMap(({ row, size }) => (size ? [{ row, size }] : [])),
					viewSize(view),
				)
			: new Map<Row, Data | null>();
		const item_ref = { name: 'item', id: this.item };
		const twins = new Map<string, Ref>();
		for (const { row, entity } of rows) {
			const other = fit.get(row);
			if (other === null) continue;
			const view_ref = view ? { name: view.table_info.name, id: view.id } : row.data.view_ref;
			let entity_ref = entity && twins.get(entity.id);
			if (entity && !entity_ref) {
				const here = refOf(entity, 'item_ref')?.id === this.item;
				const data: Data = { ...entity.data, item_ref, view_ref, ...(here ? {} : { parent_ref: { name: '', id: '' } }) };
				const twin: Row = { id: newId(), table_info: entity.table_info, data };
				patches.push({ table: twin.table_info.name, id: twin.id, before: null, after: twin });
				twins.set(entity.id, (entity_ref = { name: twin.table_info.name, id: twin.id }));
			}
			const rings = ringsOf(row);
			const data: Data = {
				...row.data,
				item_ref,
				view_ref,
				entity_ref: entity_ref ?? { name: '', id: '' },
				source_ref: this.human(),
				inference_metadata: rings ? { polygon: rings } : {},
			};
			if (other) {
				const polygon = (other.inference_metadata as Data | undefined)?.polygon;
				Object.assign(data, other, { inference_metadata: polygon ? { polygon } : {} });
			}
			const target = view ?? this.viewOf(row);
			const size = target ? viewSize(target) : { width: 0, height: 0 };
			if (shift && !other) {
				const coords = movedCoords(row, size, shift, shift);
				if (coords) data.coords = coords;
			}
			if (row.table_info.base_schema === 'CompressedRLE' && !other) Object.assign(data, movedMask(data, shift, shift, size));
			const twin: Row = { id: newId(), table_info: row.table_info, data };
			patches.push({ table: twin.table_info.name, id: twin.id, before: null, after: twin });
			keys.push(keyOf(twin.table_info.name, twin.id));
		}
		const left = [...fit.values()].filter((d) => d === null).length;
		return { command: { label: 'copy', patches }, keys, fitted: fit.size - left, left };
	}

	byKey(key: string): Row | null {
		const at = key.indexOf('\n');
		return this.tables.get(key.slice(0, at), key.slice(at + 1));
	}

	entityOf(row: Row): Row | null {
		const ref = refOf(row, 'entity_ref');
		return ref ? this.tables.get(ref.name, ref.id) : null;
	}

	viewOf(row: Row): Row | null {
		const ref = refOf(row, 'view_ref');
		return ref ? this.tables.get(ref.name, ref.id) : null;
	}

	sourceOf(row: Row): Row | null {
		const ref = refOf(row, 'source_ref');
		return ref ? this.tables.get('source', ref.id) : null;
	}
}
