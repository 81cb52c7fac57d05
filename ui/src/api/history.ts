import { get, path, post } from './client';
import { newId } from '../store/types';

export interface PastRow {
	table: string;
	id: string;
	outcome: string; // added, updated, deleted, …
	before?: Record<string, unknown>;
	after?: Record<string, unknown>;
}

// Past is a change set as it was stored, with its rows.
export interface Past {
	id: string;
	kind: string;
	time: string;
	author?: string;
	reverts?: string;
	restores?: string;
	rows?: PastRow[];
	count: number;
}

// Blocked is a row that later changes keep from being undone.
export interface Blocked {
	Table: string;
	ID: string;
	Fields: string[] | null;
	Why: string;
}

export interface Client {
	client: string;
	author: string;
	item: string;
}

export interface Changed {
	change: string; // id in the history
	author: string;
	tables: Record<string, string[]>; // ids by table; none: read everything again
}

export const past = {
	// list gives the change sets of an item, newest first; before is the id of the last one of the page before.
	list: async (ds: string, item: string, before: string | null, limit: number, signal?: AbortSignal): Promise<Past[]> => {
		const query = new URLSearchParams({ item, limit: String(limit), ...(before ? { before } : {}) });
		return (await get<{ events: Past[] }>(`${path('history', ds)}?${query}`, signal)).events;
	},
	revert: (ds: string, change: string, author: string) => post<{ change: string }>(path('revert', ds, change), { author, key: newId() }),
};

// live gives changes and presence as the server tells them.
export const live = {
	listen(ds: string, on: { change(e: Changed): void; presence(clients: Client[]): void; open(): void }): () => void {
		let source: EventSource;
		let again: ReturnType<typeof setTimeout> | undefined;
		const connect = () => {
			source = new EventSource(path('events', ds));
			const hear = <T>(type: string, then: (data: T) => void) =>
				source.addEventListener(type, (e) => then(JSON.parse((e as MessageEvent<string>).data) as T));
			hear<Changed>('change', (e) => on.change(e));
			hear<{ clients: Client[] }>('presence', (e) => on.presence(e.clients));
			source.addEventListener('open', () => on.open());
			// Browsers come back by themselves from a broken connection, not from an answer such as a proxy's 502.
			source.addEventListener('error', () => {
				if (source.readyState === EventSource.CLOSED) again = setTimeout(connect, 5000);
			});
		};
		connect();
		return () => {
			clearTimeout(again);
			source.close();
		};
	},
	here: async (ds: string, client: string, author: string, item: string): Promise<Client[]> =>
		(await post<{ clients: Client[] }>(path('presence', ds), { client, author, item })).clients,
	// gone is sent while the page goes away, and is not waited for.
	gone(ds: string, client: string): void {
		void fetch(path('presence', ds), {
			method: 'POST',
			keepalive: true,
			headers: { 'content-type': 'application/json' },
			body: JSON.stringify({ client, gone: true }),
		}).catch(() => {});
	},
};
