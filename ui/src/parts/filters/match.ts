import type { Node, Value } from './expr';
import type { Session } from '../../store/session';
import { refOf, type Row } from '../../store/types';

// Fields gives the values that a name such as "objects.category" has for one annotation.
export type Fields = (field: string) => unknown;

// fieldsOf reads fields of an annotation, and of the object, view, item and source that it refers to.
export function fieldsOf(session: Session, row: Row): Fields {
	const around = new Map<string, Row>([[row.table_info.name, row]]);
	const add = (r: Row | null) => r && around.set(r.table_info.name, r);
	for (let entity = session.entityOf(row); entity;) {
		add(entity);
		const up = refOf(entity, 'parent_ref');
		entity = up ? session.tables.get(up.name, up.id) : null;
		if (entity && around.get(entity.table_info.name)) break;
	}
	add(session.viewOf(row));
	add(session.sourceOf(row));
	add(session.tables.get('item', refOf(row, 'item_ref')?.id ?? ''));
	return (field) => {
		const dot = field.indexOf('.');
		const of = around.get(field.slice(0, dot));
		if (!of) return null;
		const name = field.slice(dot + 1);
		if (name === 'id') return of.id;
		return name.split('.').reduce<unknown>((v, part) => (v as Record<string, unknown> | null | undefined)?.[part], of.data) ?? null;
	};
}

// matches decides a condition as the server would: a missing value makes every comparison false. Of a list one element
// is enough. What is not understood is no condition.
export function matches(node: Node | null, fields: Fields): boolean {
	if (!node) return true;
	const any = (field: string, test: (v: unknown) => boolean) => {
		const v = fields(field);
		return Array.isArray(v) ? v.some(test) : v !== null && v !== undefined && test(v);
	};
	switch (node.kind) {
		case 'group':
			return node.op === 'and' ? node.kids.every((k) => matches(k, fields)) : node.kids.some((k) => matches(k, fields));
		case 'raw':
			return true;
		case 'null': {
			const v = fields(node.field);
			return (v === null || v === undefined || v === '') !== node.not;
		}
		case 'in':
			return any(node.field, (v) => node.values.some((w) => same(v, w)) !== node.not);
		case 'between':
			return any(node.field, (v) => order(v, node.from) >= 0 && order(v, node.to) <= 0);
		case 'compare': {
			const { op, value } = node;
			return any(node.field, (v) => {
				switch (op) {
					case '=':
						return same(v, value);
					case '<>':
						return !same(v, value);
					case 'like':
						return like(String(value)).test(String(v));
					case '<':
						return order(v, value) < 0;
					case '<=':
						return order(v, value) <= 0;
					case '>':
						return order(v, value) > 0;
					case '>=':
						return order(v, value) >= 0;
				}
			});
		}
	}
}

const same = (v: unknown, w: Value) => v === w || (typeof v !== 'object' && String(v) === String(w));

// order is NaN for values that have none, which makes every comparison false.
function order(v: unknown, w: Value): number {
	if (typeof v === 'number' || typeof w === 'number') return Number(v) - Number(w);
	const a = String(v),
		b = String(w);
	return a < b ? -1 : a > b ? 1 : 0;
}

const like = (pattern: string) =>
	new RegExp(
		`^${pattern
			.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
			.replaceAll('%', '.*')
			.replaceAll('_', '.')}$`,
		's',
	);
