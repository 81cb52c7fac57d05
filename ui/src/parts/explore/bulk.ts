// Changes of many items: in change sets of bounded size, which can be undone together.
import { items, type ItemCell, type Query, type Search } from '../../api';
import { bulk } from '../../api/more';
import type { Row } from '../../store/types';

const together = 1000; // items in one change set
export const most = 100_000; // items of one action

// Chosen is some items by id, or all that a query or a search finds.
export type Chosen = { ids: string[] } | { query: Query; search: Search | null };

// collect reads the items that were chosen.
export async function collect(dataset: string, chosen: Chosen, progress: (n: number) => void, signal?: AbortSignal): Promise<Row[]> {
	const rows: Row[] = [];
	if ('ids' in chosen) {
		for (let i = 0; i < chosen.ids.length; i += together) {
			rows.push(...(await items.rows(dataset, 'item', { ids: chosen.ids.slice(i, i + together), limit: together }, signal)));
			progress(rows.length);
		}
		return rows;
	}
	for (;;) {
		const page = await items.page(dataset, { ...chosen.query, limit: together, offset: rows.length }, chosen.search, [], signal);
		rows.push(...page.items.map((c: ItemCell) => c.row));
		progress(rows.length);
		if (page.items.length < together || rows.length >= most) return rows;
	}
}

// put stores rows and returns the change sets, oldest first.
export async function put(dataset: string, author: string, rows: Row[], progress: (n: number) => void): Promise<string[]> {
	const changes: string[] = [];
	try {
		for (let i = 0; i < rows.length; i += together) {
			changes.push((await bulk.put(dataset, author, rows.slice(i, i + together))).change);
			progress(Math.min(rows.length, i + together));
		}
	} catch (e) {
		throw new Partly(changes, e);
	}
	return changes;
}

export async function remove(dataset: string, author: string, ids: string[], progress: (n: number) => void): Promise<string[]> {
	const changes: string[] = [];
	try {
		for (let i = 0; i < ids.length; i += together) {
			changes.push((await bulk.remove(dataset, ids.slice(i, i + together), author)).change);
			progress(Math.min(ids.length, i + together));
		}
	} catch (e) {
		throw new Partly(changes, e);
	}
	return changes;
}

// Partly says that an action failed after some of its change sets were stored.
export class Partly extends Error {
	constructor(
		readonly changes: string[],
		cause: unknown,
	) {
		super(cause instanceof Error ? cause.message : String(cause));
	}
}

export async function undo(dataset: string, author: string, changes: string[]): Promise<void> {
	for (const change of changes.toReversed()) if (change !== '0') await bulk.revert(dataset, change, author);
}

// edited returns the rows that a new value of a field changes, with it.
export function edited(rows: Row[], field: string, value: unknown): Row[] {
	return rows.filter((r) => r.data[field] !== value).map((r) => ({ ...r, data: { ...r.data, [field]: value } }));
}

// tagged returns the rows whose list of a field changes when a tag is added or taken away, with it.
export function tagged(rows: Row[], field: string, tag: string, add: boolean): Row[] {
	return rows.flatMap((r) => {
		const list = (r.data[field] as string[] | null) ?? [];
		if (list.includes(tag) === add) return [];
		return [{ ...r, data: { ...r.data, [field]: add ? [...list, tag] : list.filter((x) => x !== tag) } }];
	});
}
