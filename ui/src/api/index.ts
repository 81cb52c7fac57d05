import type { Answer, Change, ChangeSet } from '../store/savequeue';
import { keyOf, type Group, type Row } from '../store/types';
import { ApiError, bytes, get, path, post, root } from './client';

export { ApiError, isAbort, onAway } from './client';

export interface LibraryEntry {
	id: string;
	name: string;
	description: string;
	size: string;
	preview: string;
	workspace: string;
	num_items: number;
	directory: string;
	layout: string;
	error?: string;
}

export interface Field {
	type: string;
	collection: boolean;
	dim?: number;
}

export interface TableSchema {
	schema: string;
	base_schema: string;
	fields: Record<string, Field>;
}

export interface Constraint {
	name: string;
	restricted: boolean;
	values: (string | number | boolean)[];
}

export interface Dataset {
	id: string;
	info: { id: string; name: string; description: string; workspace: string; num_items: number };
	dataset_schema: {
		relations: Record<string, Record<string, string>>;
		schemas: Record<string, TableSchema>;
		groups: Record<Group, string[]>;
	};
	feature_values: Partial<Record<Group, Record<string, Constraint[]>>>;
}

export interface Has {
	table: string;
	where?: string;
	not?: boolean;
}

export interface Query {
	where?: string;
	has?: Has[];
	order_by?: string;
	ids?: string[];
	item_ids?: string[];
	limit?: number;
	offset?: number;
}

export interface Search {
	table: string;
	text?: string;
	like?: string; // id of a row of the table, of a view or of an item
	vector?: number[];
	words?: { text: string; table?: string };
}

export interface ViewCell {
	id: string;
	url?: string;
	width?: number;
	height?: number;
	text?: string;
}

export interface ItemCell {
	row: Row;
	views?: Record<string, ViewCell>;
	counts?: Record<string, number>;
	distance?: number;
}

export interface Neighbours {
	index: number;
	total: number;
	before: string[];
	after: string[];
}

export interface Facet {
	table: string;
	field: string;
	kind: string;
	type: string;
	rows: number;
	missing?: number;
	distinct?: number;
	more?: boolean;
	values?: { value: string | number | boolean; count: number }[];
	other?: number;
	min?: number | string;
	max?: number | string;
	bins?: { start: number | string; end: number | string; count: number }[];
}

export const datasets = {
	list: (signal?: AbortSignal) => get<{ datasets: LibraryEntry[]; read_only: boolean }>(`${root()}library`, signal),
	open: (id: string, signal?: AbortSignal) => get<Dataset>(path('datasets', id), signal),
};

export const items = {
	page: (ds: string, query: Query, search: Search | null, what: ('views' | 'counts' | 'total')[], signal?: AbortSignal) =>
		post<{ items: ItemCell[]; offset: number; total?: number }>(
			path('explore', ds),
			{ query, ...(search ? { search } : {}), with: what },
			signal,
		),
	count: async (ds: string, query: Query, signal?: AbortSignal) =>
		(await post<{ count: number }>(path('count', ds, 'item'), query, signal)).count,
	neighbours: (ds: string, id: string, query: Query, search: Search | null, signal?: AbortSignal) =>
		post<Neighbours>(path('neighbours', ds), { id, query, ...(search ? { search } : {}), before: 20, after: 20 }, signal),
	facets: async (
		ds: string,
		table: string,
		fields: string[],
		query: Query,
		options: { values?: number; bins?: number; range?: [number, number] } = {},
		signal?: AbortSignal,
	) => (await post<{ facets: Facet[] }>(path('facets', ds, table), { fields, query, options }, signal)).facets,
	rows: (ds: string, table: string, query: Query, signal?: AbortSignal) => post<Row[]>(path('rows', ds, table), query, signal),
	// all returns every row of an item, but its embeddings.
	all: async (ds: string, item: string, signal?: AbortSignal): Promise<Row[]> => {
		type Rows = Record<string, Row | Row[] | null>;
		const it = await get<{ item: Row; entities: Rows; annotations: Rows; views: Rows }>(path('dataset_items', ds, item), signal);
		const rows = [it.entities, it.annotations, it.views].flatMap((tables) =>
			Object.values(tables).flatMap((t) => (Array.isArray(t) ? t : t ? [t] : [])),
		);
		return [it.item, ...rows];
	},
	sources: async (ds: string, signal?: AbortSignal): Promise<Row[]> => {
		try {
			return await get<Row[]>(path('sources', ds), signal);
		} catch (e) {
			if (e instanceof ApiError && e.status === 404) return []; // no source yet
			throw e;
		}
	},
};

// media gives addresses, for images.
export const media = {
	url: (ds: string, url: string, width?: number) =>
		root() +
		'dataset_media/' +
		encodeURIComponent(ds) +
		'/' +
		url.split('/').map(encodeURIComponent).join('/') +
		(width ? `?w=${width}` : ''),
	file: bytes,
};

interface Problem {
	conflicts?: { table: string; id: string; now: Row | null }[];
	detail?: string;
}

export const changes = {
	// send stores a change set, or says why not. It never throws: no answer is an answer too.
	async send(ds: string, set: ChangeSet): Promise<Answer> {
		const wire = set.changes.map((c: Change) =>
			c.op === 'delete'
				? { op: c.op, table: c.table, id: c.id, if: c.if_updated_at }
				: { op: c.op, table: c.table, row: { id: c.row!.id, table_info: c.row!.table_info, data: c.row!.data }, if: c.if_updated_at },
		);
		try {
			const done = await post<{ rows: { table: string; id: string; created_at?: string; updated_at?: string }[] }>(path('changes', ds), {
				author: set.author,
				key: set.key,
				changes: wire,
			});
			return {
				kind: 'saved',
				times: new Map(done.rows.map((r) => [keyOf(r.table, r.id), { created_at: r.created_at, updated_at: r.updated_at }])),
			};
		} catch (e) {
			if (!(e instanceof ApiError) || e.status === 0 || e.status === 429 || (e.status >= 500 && e.status !== 501))
				return { kind: 'away', message: e instanceof Error ? e.message : String(e) };
			const problem = e.body as Problem | null;
			if (problem?.conflicts && problem.conflicts.length > 0)
				return { kind: 'conflict', current: new Map(problem.conflicts.map((c) => [keyOf(c.table, c.id), c.now])) };
			// A refusal names rows in its text; a row whose id it holds is the one.
			const rows = new Map(set.changes.filter((c) => e.message.includes(`"${c.id}"`)).map((c) => [keyOf(c.table, c.id), e.message]));
			const numbered = /changes\[(\d+)\]/.exec(e.message);
			const c = numbered && set.changes[Number(numbered[1])];
			if (c) rows.set(keyOf(c.table, c.id), e.message);
			return { kind: 'refused', message: e.message, rows };
		}
	},
};
