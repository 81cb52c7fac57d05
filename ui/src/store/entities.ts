import type { Session } from './session';
import type { Tables } from './tables';
import { newId, refOf, type Command, type Patch, type Ref, type Row } from './types';

// Why names a reason against joining objects; the interface has the words.
export type Why = 'same' | 'alone' | 'table' | 'view' | 'locked' | 'none';
export type Fate = { kind: 'move' | 'merge' } | { kind: 'forbidden'; why: Why };

const refTo = (row: Row): Ref => ({ name: row.table_info.name, id: row.id });

// annotationsOf returns what is said of an entity, and childrenOf the entities that are part of it.
export const annotationsOf = (tables: Tables, entity: Row): Row[] =>
	tables.referring('entity_ref', entity.id).filter((r) => refOf(r, 'entity_ref')!.name === entity.table_info.name);
export const childrenOf = (tables: Tables, entity: Row): Row[] =>
	tables.referring('parent_ref', entity.id).filter((r) => refOf(r, 'parent_ref')!.name === entity.table_info.name);

// emptied lists the entities that nothing belongs to any more once some rows are gone or moved away, and those above.
export function emptied(tables: Tables, gone: Iterable<Row>): Row[] {
	const going = new Set(gone);
	const out: Row[] = [];
	for (const row of going) {
		const ref = refOf(row, 'entity_ref') ?? refOf(row, 'parent_ref');
		const entity = ref && tables.get(ref.name, ref.id);
		if (!entity || going.has(entity)) continue;
		if ([...annotationsOf(tables, entity), ...childrenOf(tables, entity)].some((r) => !going.has(r))) continue;
		going.add(entity); // the loop comes to it
		out.push(entity);
	}
	return out;
}

// slot is what an object has once: an annotation of a table in a view, from one source.
const slot = (row: Row) => `${row.table_info.name}\n${refOf(row, 'view_ref')?.id ?? ''}\n${refOf(row, 'source_ref')?.id ?? ''}`;

function clash(a: readonly Row[], b: readonly Row[]): boolean {
	const taken = new Set(a.filter((r) => refOf(r, 'view_ref')).map(slot));
	return b.some((r) => taken.has(slot(r)));
}

// whyNotMerge tells what keeps the object of an annotation from being joined to those that were picked before it, the
// first of which stays. null: nothing does.
export function whyNotMerge(session: Session, picked: readonly Row[], row: Row): Why | null {
	const entity = session.entityOf(row);
	const into = picked.length > 0 ? session.entityOf(picked[0]) : entity;
	if (!into) return 'none';
	if (picked.length === 0) return null;
	if (entity && picked.some((p) => session.entityOf(p)?.id === entity.id)) return 'same';
	if (entity && entity.table_info.name !== into.table_info.name) return 'table';
	const t = session.tables;
	const all = picked.flatMap((p) => {
		const e = session.entityOf(p);
		return e ? annotationsOf(t, e) : [p];
	});
	return clash(all, entity ? annotationsOf(t, entity) : [row]) ? 'view' : null;
}

// mergeObjects joins the objects of annotations into that of the first one, which keeps its id and its fields.
export function mergeObjects(session: Session, rows: readonly Row[]): Command {
	const into = session.entityOf(rows[0])!;
	const moving = new Map<string, Patch>();
	const put = (row: Row, field: 'entity_ref' | 'parent_ref') =>
		moving.set(row.table_info.name + '\n' + row.id, {
			table: row.table_info.name,
			id: row.id,
			before: row,
			after: { ...row, data: { ...row.data, [field]: refTo(into) } },
		});
	const gone = new Map<string, Row>();
	for (const row of rows.slice(1)) {
		const entity = session.entityOf(row);
		if (entity?.id === into.id) continue;
		if (!entity) put(row, 'entity_ref');
		else {
			for (const a of annotationsOf(session.tables, entity)) put(a, 'entity_ref');
			for (const c of childrenOf(session.tables, entity)) put(c, 'parent_ref');
			gone.set(entity.id, entity);
		}
	}
	const out = [...gone.values(), ...emptied(session.tables, gone.values())].filter((e) => e.id !== into.id);
	return {
		label: 'merge',
		place: placeOf(rows[0]),
		patches: [...moving.values(), ...out.map((e): Patch => ({ table: e.table_info.name, id: e.id, before: e, after: null }))],
	};
}

// relinkFate tells what becomes of an annotation's object when the annotation goes to another one, or to a new one (null):
// the annotation alone moves, or it was the last and the objects become one, or it is not possible.
export function relinkFate(session: Session, row: Row, target: Row | null): Fate {
	const own = session.entityOf(row);
	const last = own !== null && annotationsOf(session.tables, own).length + childrenOf(session.tables, own).length === 1;
	if (!target) return last ? { kind: 'forbidden', why: 'alone' } : { kind: 'move' };
	if (own && own.id === target.id && own.table_info.name === target.table_info.name) return { kind: 'forbidden', why: 'same' };
	if (own && own.table_info.base_schema !== target.table_info.base_schema) return { kind: 'forbidden', why: 'table' };
	if (clash(annotationsOf(session.tables, target), [row])) return { kind: 'forbidden', why: 'view' };
	return { kind: last ? 'merge' : 'move' };
}

// relink moves an annotation to another object, or to a new one like its own. Objects that are left empty go.
export function relink(session: Session, row: Row, target: Row | null, table: string | null): Command {
	const own = session.entityOf(row);
	const patches: Patch[] = [];
	let to = target;
	if (!to) {
		const name = own?.table_info.name ?? table!;
		const item_ref = row.data.item_ref,
			view_ref = row.data.view_ref;
		to = own
			? { id: newId(), table_info: own.table_info, data: { ...own.data, item_ref, view_ref } }
			: session.row(name, { item_ref, view_ref });
		patches.push({ table: name, id: to.id, before: null, after: to });
	}
	patches.push({
		table: row.table_info.name,
		id: row.id,
		before: row,
		after: { ...row, data: { ...row.data, entity_ref: refTo(to) } },
	});
	for (const e of emptied(session.tables, [row]))
		if (e.id !== to.id) patches.push({ table: e.table_info.name, id: e.id, before: e, after: null });
	return { label: 'relink', place: placeOf(row), patches };
}

function placeOf(row: Row) {
	const view = refOf(row, 'view_ref');
	return view ? { view: view.id } : undefined;
}
