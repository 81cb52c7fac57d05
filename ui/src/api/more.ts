// Requests that only some pages make, so that the first page need not load them.
import type { components } from './schema';
import type { Query } from './index';
import type { Row } from '../store/types';
import { ApiError, get, path, post, request, root } from './client';

type Server = components['schemas'];
export type SavedView = Server['SavedView'];

// Job is work that the server does in the background.
export interface Job {
	id: string;
	kind: string;
	dataset: string;
	state: 'running' | 'done' | 'failed' | 'cancelled';
	progress?: { step: string; items?: number; rows?: number; total?: number };
	result?: { total?: number; before?: number; done?: number; failed?: number; rows?: number; errors?: string[] | null } | null;
	error?: string;
	file?: string;
}

export const constraints = {
	set: (ds: string, table: string, column: string, value: { restricted: boolean; values: (string | number | boolean)[] }) =>
		request<void>('PUT', path('constraints', ds, table, column), value),
	remove: (ds: string, table: string, column: string) => request<void>('DELETE', path('constraints', ds, table, column)),
};

export const savedViews = {
	list: async (ds: string, signal?: AbortSignal) => (await get<{ views: SavedView[] }>(path('saved_views', ds), signal)).views,
	save: (ds: string, name: string, address: string, author: string) =>
		request<void>('PUT', path('saved_views', ds, name), { address, author }),
	remove: (ds: string, name: string) => request<void>('DELETE', path('saved_views', ds, name)),
};

// sql runs a query that only reads.
export const sql = async (ds: string, query: string, signal?: AbortSignal) =>
	(await post<{ rows: Record<string, unknown>[] }>(path('sql', ds), { query, limit: 10_000 }, signal)).rows;

export const countRows = async (ds: string, table: string, query: Query, signal?: AbortSignal) =>
	(await post<{ count: number }>(path('count', ds, table), query, signal)).count;

export const bulk = {
	remove: (ds: string, ids: string[], author: string) => post<{ change: string }>(path('delete_items', ds), { ids, author }),
	revert: (ds: string, change: string, author: string) => post<unknown>(path('revert', ds, change), { author }),
	put: (ds: string, author: string, rows: { id: string; data: unknown; updated_at?: string }[]) =>
		post<{ change: string }>(path('changes', ds), {
			author,
			changes: rows.map((r) => ({ op: 'put', table: 'item', row: { id: r.id, data: r.data }, if: r.updated_at })),
		}),
	formats: async () =>
		(await get<{ formats: { name: string; title: string; exports: boolean }[] }>(`${root()}formats`)).formats.filter((f) => f.exports),
	export: (ds: string, format: string, where: string) => post<Job>(path('export', ds), { format, where }),
};

export const jobs = {
	get: (id: string, signal?: AbortSignal) => get<Job>(path('jobs', id), signal),
	list: async (signal?: AbortSignal) => (await get<{ jobs: Job[] }>(`${root()}jobs`, signal)).jobs,
	cancel: (id: string) => request<void>('DELETE', path('jobs', id)),
	file: (job: Job) => `${root()}jobs/${encodeURIComponent(job.id)}/file`,
	start: (kind: 'detect' | 'segment' | 'embed', ds: string, body: unknown) => post<Job>(path(kind, ds), body),
};

export interface Provider {
	name: string;
	tasks: string[];
}
export interface Model {
	name: string;
	task: string;
	provider: string;
}

export const models = {
	status: (signal?: AbortSignal) =>
		get<{ connected: boolean; default: string; providers: Provider[] }>(`${root()}inference/status`, signal),
	of: async (provider: string, signal?: AbortSignal): Promise<Model[]> => {
		const list = await get<{ name: string; task: string }[]>(
			`${root()}inference/models/list?provider=${encodeURIComponent(provider)}`,
			signal,
		);
		return list.map((m) => ({ ...m, provider }));
	},
	connect: (url: string) => request<null>('POST', `${root()}inference/connect?url=${encodeURIComponent(url)}`),
	disconnect: (name: string) => request<null>('POST', path('inference', 'disconnect', name)),
};

// detectIn asks for the objects in one picture, only to look.
export async function detectIn(
	ds: string,
	ask: { row: Row; model: Model; classes: string[]; threshold: number; boxes: string; labels: string },
	signal?: AbortSignal,
): Promise<{ box: Row['data']; label: string }[]> {
	const found = await post<{ bbox: Row; classification: Row }[]>(
		`${root()}inference/tasks/zero-shot-detection/image`,
		{
			dataset_id: ds,
			image: ask.row,
			entity: null,
			classes: ask.classes,
			model: ask.model.name,
			provider_name: ask.model.provider,
			box_threshold: ask.threshold,
			box_table_name: ask.boxes,
			class_table_name: ask.labels,
			preview: true,
		},
		signal,
	);
	return found.map((d) => ({ box: d.bbox.data, label: String((d.classification.data.labels as string[] | undefined)?.[0] ?? '') }));
}

// isLocal tells whether models run in the server's own process: servers elsewhere are named by their address.
export const isLocal = (provider: string) => !provider.includes('@');

export { ApiError };
