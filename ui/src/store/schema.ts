import type { Dataset, Field } from '../api';
import { refOf, type Data, type Group, type Row } from './types';
import type { Origin } from '../stage/scene';

const groupRank: Record<Group, number> = { source: 0, item: 1, views: 2, entities: 3, annotations: 4, embeddings: 5 };
const classFields = ['name', 'category', 'category_name'];

// Schema answers questions about a dataset's tables.
export class Schema {
	constructor(readonly dataset: Dataset) {}

	base(table: string): string {
		return table === 'source' ? 'Source' : (this.dataset.dataset_schema.schemas[table]?.base_schema ?? '');
	}

	group(table: string): Group {
		if (table === 'source') return 'source';
		for (const [group, tables] of Object.entries(this.dataset.dataset_schema.groups)) if (tables.includes(table)) return group as Group;
		return 'annotations';
	}

	tables(group: Group, ...bases: string[]): string[] {
		const tables = (this.dataset.dataset_schema.groups[group] ?? []).toSorted();
		return bases.length === 0 ? tables : tables.filter((t) => bases.includes(this.base(t)));
	}

	fields(table: string): Record<string, Field> {
		return this.dataset.dataset_schema.schemas[table]?.fields ?? {};
	}

	// ownFields are the columns that are not part of every row of the group.
	ownFields(table: string): [string, Field][] {
		return Object.entries(this.fields(table)).filter(([name, f]) => !common.has(name) && !f.type.endsWith('Ref'));
	}

	// views in the order of the item: images first.
	views(): string[] {
		const rank = (t: string) => ['Image', 'SequenceFrame', 'Text', 'Video', 'PointCloud'].indexOf(this.base(t));
		return this.tables('views').toSorted((a, b) => rank(a) - rank(b));
	}

	// classField is the field of an entity table that names what an object is.
	classField(entities: string): string | null {
		const fields = this.fields(entities);
		return classFields.find((f) => fields[f]?.type === 'str' && !fields[f].collection) ?? null;
	}

	constraint(table: string, field: string): { restricted: boolean; values: (string | number | boolean)[] } | null {
		const group = this.group(table);
		return this.dataset.feature_values[group]?.[table]?.find((c) => c.name === field) ?? null;
	}

	// rank orders the rows of a change set: who is referred to comes first.
	rank(row: Row): number {
		const { group, base_schema, name } = row.table_info;
		const depth =
			group === 'entities' ? (base_schema === 'Track' || base_schema === 'MultiModalEntity' ? 0 : refOf(row, 'parent_ref') ? 2 : 1) : 0;
		return groupRank[name === 'source' ? 'source' : group] * 10 + depth;
	}

	// fresh fills every column of a new row: all of them are required.
	fresh(table: string, data: Data): Data {
		const out: Data = {};
		for (const [name, f] of Object.entries(this.fields(table)))
			if (!always.has(name)) out[name] = name in data ? data[name] : blank(name, f, this.base(table));
		return out;
	}
}

const always = new Set(['id', 'created_at', 'updated_at']);
const common = new Set([...always, 'item_ref', 'view_ref', 'entity_ref', 'source_ref', 'parent_ref', 'inference_metadata']);

function blank(name: string, f: Field, base: string): unknown {
	if (f.collection) return [];
	if (f.type.endsWith('Ref')) return { name: '', id: '' };
	if (name === 'inference_metadata') return {};
	if (name === 'confidence' && (base === 'BBox' || base === 'BBox3D')) return 1;
	switch (f.type) {
		case 'int':
		case 'float':
			return 0;
		case 'bool':
			return false;
		case 'datetime':
			return '1970-01-01T00:00:00';
		default:
			return '';
	}
}

export function originOf(source: Row | null): Origin {
	switch (source?.data.kind) {
		case 'ground_truth':
			return 'truth';
		case 'human':
			return 'human';
		case 'model':
			return 'model';
		default:
			return 'other';
	}
}

// labelOf names an object: its class field, else nothing.
export function labelOf(schema: Schema, entity: Row | null): string {
	if (!entity) return '';
	const field = schema.classField(entity.table_info.name);
	const value = field ? entity.data[field] : null;
	return typeof value === 'string' ? value : '';
}
