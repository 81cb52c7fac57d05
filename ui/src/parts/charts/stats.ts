// The requests behind the dashboard: how rows are spread, by a field of the items, under a condition.
import { items, type Facet, type Has, type Query } from '../../api';
import { countRows, sql } from '../../api/more';
import { all, format, join, parse, quote, quoteName, type Value } from '../filters/expr';
import { params } from '../explore/query';
import type { Schema } from '../../store/schema';
import { router } from '../../router.svelte';

// Group is the items of one value of the field that charts are split by, or all of them.
export interface Group {
	name: string;
	where: string;
}

// both joins conditions; one with OR stays together.
export const both = (a: string, b: string): string => format(join([a, b].flatMap((x) => all(parse(x)))));

export const equals = (field: string, value: Value): string =>
	value === '' ? `(${quoteName(field)} = '' OR ${quoteName(field)} IS NULL)` : `${quoteName(field)} = ${quote(value)}`;

// queryOf selects rows of a table whose items pass a condition.
export const queryOf = (table: string, where: string): Query =>
	table === 'item' ? (where ? { where } : {}) : where ? { has: [{ table: 'item', where }] } : {};

// link is the address of the explorer with the items that pass a condition and have a row of another table.
export function link(dataset: string, where: string, has: Has[] = [], more: Record<string, string> = {}): string {
	const ask = params({ where, has, sort: '', q: '', like: '', pic: '', emb: '', off: false });
	return router.href({ page: 'explorer', dataset }, { ...ask, ...more });
}

export const counts = (dataset: string, table: string, groups: Group[], extra: Query, signal: AbortSignal): Promise<number[]> =>
	Promise.all(
		groups.map((g) => {
			const q = queryOf(table, g.where);
			const where = [q.where, extra.where].filter(Boolean).join(' AND ');
			return countRows(dataset, table, { ...(where ? { where } : {}), has: [...(q.has ?? []), ...(extra.has ?? [])] }, signal);
		}),
	);

export interface Spread {
	whole: Facet;
	parts: Facet[]; // by group
}

const bins = 20;

// spread counts the values of a field, or a histogram of it whose bins all groups share.
export async function spread(
	dataset: string,
	table: string,
	field: string,
	where: string,
	groups: Group[],
	values: number,
	signal: AbortSignal,
): Promise<Spread> {
	const [whole] = await items.facets(dataset, table, [field], queryOf(table, where), { values, bins }, signal);
	if (groups.length === 1) return { whole, parts: [whole] };
	const ends = whole.bins?.length && typeof whole.bins[0].start === 'number' ? [whole.bins[0].start, whole.bins.at(-1)!.end] : null;
	const options = { values: 1000, bins, ...(ends ? { range: ends as [number, number] } : {}) };
	const parts = await Promise.all(
		groups.map(async (g) => (await items.facets(dataset, table, [field], queryOf(table, g.where), options, signal))[0]),
	);
	return { whole, parts };
}

const itemsOf = (where: string) => `(SELECT id FROM item${where ? ` WHERE ${where}` : ''})`;

// perItem counts items by how many rows of a table they have.
export async function perItem(dataset: string, table: string, groups: Group[], signal: AbortSignal): Promise<Map<number, number[]>> {
	const out = new Map<number, number[]>();
	const answers = await Promise.all(
		groups.map((g) =>
			sql(
				dataset,
				`SELECT n, count(*) AS items FROM (SELECT i.id, count(b.id) AS n FROM ${itemsOf(g.where)} i LEFT JOIN ${quoteName(table)} b ON b.item_ref['id'] = i.id GROUP BY i.id) GROUP BY n ORDER BY n`,
				signal,
			),
		),
	);
	answers.forEach((rows, k) => {
		for (const r of rows) {
			const list = out.get(Number(r.n)) ?? groups.map(() => 0);
			list[k] = Number(r.items);
			out.set(Number(r.n), list);
		}
	});
	return out;
}

export const sizeBins = 20;

// sizes counts boxes by the side of the square of their area, in twentieths of that of their image.
export async function sizes(dataset: string, schema: Schema, table: string, groups: Group[], signal: AbortSignal): Promise<number[][]> {
	const views = schema.tables('views', 'Image', 'SequenceFrame');
	const images =
		views.map((v) => `SELECT id, width, height FROM ${quoteName(v)}`).join(' UNION ALL ') || 'SELECT id, 0 AS width, 0 AS height FROM item';
	const out = Array.from({ length: sizeBins }, () => groups.map(() => 0));
	const answers = await Promise.all(
		groups.map((g) =>
			sql(
				dataset,
				`SELECT bin, count(*) AS n FROM (SELECT cast(floor(sqrt(CASE WHEN b.is_normalized THEN w * h WHEN v.width > 0 AND v.height > 0 THEN w * h / (v.width * v.height) END) * ${sizeBins}) AS INT) AS bin ` +
					`FROM (SELECT view_ref['id'] AS view, item_ref['id'] AS item, is_normalized, CASE WHEN format = 'xyxy' THEN coords[3] - coords[1] ELSE coords[3] END AS w, ` +
					`CASE WHEN format = 'xyxy' THEN coords[4] - coords[2] ELSE coords[4] END AS h FROM ${quoteName(table)}) b ` +
					(g.where ? `JOIN ${itemsOf(g.where)} i ON i.id = b.item ` : '') +
					`LEFT JOIN (${images}) v ON v.id = b.view) WHERE bin IS NOT NULL GROUP BY bin`,
				signal,
			),
		),
	);
	answers.forEach((rows, k) => {
		for (const r of rows) out[Math.max(0, Math.min(sizeBins - 1, Number(r.bin)))][k] += Number(r.n);
	});
	return out;
}
