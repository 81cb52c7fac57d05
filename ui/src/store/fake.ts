// A server and data for tests of the store: rows in memory, change sets stored whole or not at all, answers that get
// lost, refuse or are late.
import type { Dataset } from '../api';
import type { Answer, ChangeSet } from './savequeue';
import { Schema } from './schema';
import { Session } from './session';
import { keyOf, type Data, type Group, type Row } from './types';

export function random(seed: number): (below?: number) => number {
	let s = seed >>> 0 || 1;
	return (below) => {
		s ^= s << 13;
		s ^= s >>> 17;
		s ^= s << 5;
		const x = (s >>> 0) / 2 ** 32;
		return below === undefined ? x : Math.floor(x * below);
	};
}

export const row = (table: string, id: string, data: Data, time?: string, group: Group = 'annotations'): Row => ({
	id,
	...(time ? { created_at: time, updated_at: time } : {}),
	table_info: { name: table, group, base_schema: 'BBox' },
	data,
});

export class FakeServer {
	rows = new Map<string, Row>();
	answered = new Map<string, Answer>();
	applied: ChangeSet[] = [];
	clock = 0;

	now(): string {
		return new Date(Date.UTC(2025, 0, 1) + this.clock++).toISOString().slice(0, -1) + '000';
	}

	// other is a write of someone else.
	other(table: string, id: string, data: Data | null): void {
		const key = keyOf(table, id);
		if (data === null) this.rows.delete(key);
		else this.rows.set(key, { ...row(table, id, data), created_at: this.rows.get(key)?.created_at ?? this.now(), updated_at: this.now() });
	}

	apply(set: ChangeSet): Answer {
		const before = this.answered.get(set.key);
		if (before) return before;
		const current = new Map<string, Row | null>();
		for (const c of set.changes) {
			const key = keyOf(c.table, c.id);
			const have = this.rows.get(key) ?? null;
			const gone = have === null && c.op !== 'insert' && c.if_updated_at !== undefined;
			if ((c.op === 'insert' && have) || gone || (have && c.if_updated_at !== undefined && have.updated_at !== c.if_updated_at))
				current.set(key, have);
		}
		if (current.size > 0) return { kind: 'conflict', current };
		const times = new Map<string, { created_at?: string; updated_at?: string }>();
		const refused = set.changes.find((c) => c.row?.data.bad === true);
		if (refused) return { kind: 'refused', message: 'bad row', rows: new Map([[keyOf(refused.table, refused.id), 'bad is true']]) };
		for (const c of set.changes) {
			const key = keyOf(c.table, c.id);
			if (c.op === 'delete') this.rows.delete(key);
			else {
				const updated_at = this.now();
				const created_at = this.rows.get(key)?.created_at ?? updated_at;
				this.rows.set(key, { ...c.row!, created_at, updated_at });
				times.set(key, { created_at, updated_at });
			}
		}
		this.applied.push(set);
		const answer: Answer = { kind: 'saved', times };
		this.answered.set(set.key, answer);
		return answer;
	}
}

const column = (type: string, collection = false) => ({ type, collection });
const refs = { item_ref: column('ItemRef'), view_ref: column('ViewRef'), entity_ref: column('EntityRef'), source_ref: column('SourceRef') };
const head = { id: column('str'), created_at: column('datetime'), updated_at: column('datetime') };

// dataset is one with boxes, points and labels of two kinds of objects, in two views.
export const dataset = {
	id: 'd',
	info: { id: 'd', name: 'd', description: '', workspace: 'image', num_items: 1 },
	dataset_schema: {
		relations: {},
		schemas: Object.fromEntries(
			(
				[
					['item', 'Item', { split: column('str') }],
					['image', 'Image', { url: column('str'), width: column('int'), height: column('int'), item_ref: refs.item_ref }],
					['objects', 'Entity', { category: column('str'), item_ref: refs.item_ref, view_ref: refs.view_ref, parent_ref: refs.entity_ref }],
					['tracks', 'Track', { name: column('str'), item_ref: refs.item_ref, view_ref: refs.view_ref, parent_ref: refs.entity_ref }],
					[
						'bboxes',
						'BBox',
						{
							...refs,
							coords: column('float', true),
							format: column('str'),
							is_normalized: column('bool'),
							confidence: column('float'),
							inference_metadata: column('dict'),
						},
					],
					[
						'keypoints',
						'KeyPoints',
						{
							...refs,
							template_id: column('str'),
							coords: column('float', true),
							states: column('str', true),
							inference_metadata: column('dict'),
						},
					],
					[
						'labels',
						'Classification',
						{ ...refs, labels: column('str', true), confidences: column('float', true), inference_metadata: column('dict') },
					],
				] as const
			).map(([name, base_schema, fields]) => [name, { schema: base_schema, base_schema, fields: { ...head, ...fields } }]),
		),
		groups: {
			item: ['item'],
			views: ['image'],
			entities: ['objects', 'tracks'],
			annotations: ['bboxes', 'keypoints', 'labels'],
			embeddings: [],
			source: ['source'],
		},
	},
	feature_values: {},
} satisfies Dataset;

// session is the work on it by Ana: an item with two views of 200 × 100, a truth and a model.
export function session(): Session {
	const s = new Session({
		schema: new Schema(dataset),
		send: async () => ({ kind: 'away', message: '' }),
		journal: { write: async () => {}, remove: async () => {}, sending: async () => {} },
		annotator: () => 'Ana',
		auto: () => false,
		merged: () => {},
	});
	s.tables.load([
		{ id: 'truth', table_info: { name: 'source', group: 'source', base_schema: 'Source' }, data: { name: 'gt', kind: 'ground_truth' } },
		{ id: 'model', table_info: { name: 'source', group: 'source', base_schema: 'Source' }, data: { name: 'yolo', kind: 'model' } },
	]);
	const view = (id: string) => s.row('image', { url: id, width: 200, height: 100, item_ref: { name: 'item', id: 'i' } }, id);
	s.open('i', [s.row('item', { split: 'train' }, 'i'), view('v1'), view('v2')]);
	return s;
}

// told puts an object with a box of a source in a view, and returns the box.
export function told(s: Session, id: string, view: string, source: string, entity: Data | null, table = 'objects'): Row {
	const item_ref = { name: 'item', id: s.item },
		view_ref = { name: 'image', id: view };
	const box = s.row(
		'bboxes',
		{
			item_ref,
			view_ref,
			entity_ref: entity ? { name: table, id: `o${id}` } : { name: '', id: '' },
			source_ref: { name: 'source', id: source },
			coords: [0.1, 0.1, 0.2, 0.2],
			format: 'xywh',
			is_normalized: true,
		},
		id,
	);
	if (entity) s.tables.load([s.row(table, { ...entity, item_ref, view_ref }, `o${id}`)]);
	s.tables.load([box]);
	return box;
}
