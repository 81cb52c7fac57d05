import type { Has, Query, Search } from '../../api';
import { quoteName } from '../filters/expr';
import { picture } from './pictures';

// inWords stands before a table whose texts are searched for words.
export const inWords = 'words:';

// Asked is what the explorer asks for, as it stands in the address.
export interface Asked {
	where: string;
	has: Has[];
	sort: string; // a column or #table, with " desc"
	q: string; // text to search for
	like: string; // id of an embedding row that results should be like
	pic: string; // name of a picture that results should be like
	emb: string; // embedding table, or a table of texts after inWords
	off: boolean; // the filter is there, but not used
}

export function asked(params: URLSearchParams): Asked {
	let has: Has[] = [];
	try {
		const value: unknown = JSON.parse(params.get('has') ?? '[]');
		if (Array.isArray(value)) has = value.filter((h): h is Has => typeof (h as Has)?.table === 'string');
	} catch {
		// A broken address filters nothing.
	}
	const text = (name: string) => params.get(name) ?? '';
	return {
		where: text('where'),
		has,
		sort: text('sort'),
		q: text('q'),
		like: text('like'),
		pic: text('pic'),
		emb: text('emb'),
		off: text('off') === '1',
	};
}

export const params = (a: Asked): Record<string, string | undefined> => ({
	where: a.where || undefined,
	has: a.has.length > 0 ? JSON.stringify(a.has) : undefined,
	sort: a.sort || undefined,
	q: a.q || undefined,
	like: a.like || undefined,
	pic: a.pic || undefined,
	emb: a.emb || undefined,
	off: a.off ? '1' : undefined,
});

export function toQuery(a: Asked): { query: Query; search: Search | null } {
	const query: Query = {};
	if (!a.off && a.where.trim()) query.where = a.where;
	if (!a.off && a.has.length > 0) query.has = a.has;
	const words = a.emb.startsWith(inWords) ? a.emb.slice(inWords.length) : '';
	let search: Search | null = null;
	if (words && a.q) search = { table: words, words: { text: a.q } };
	else if (!words && a.emb && a.pic) {
		const vector = picture(a.pic)?.vector;
		if (vector) search = { table: a.emb, vector };
	} else if (!words && a.emb && a.like) search = { table: a.emb, like: a.like };
	else if (!words && a.emb && a.q) search = { table: a.emb, text: a.q };
	if (a.sort && !search) query.order_by = orderOf(a.sort);
	return { query, search };
}

function orderOf(sort: string): string {
	const desc = sort.endsWith(' desc');
	const name = desc ? sort.slice(0, -5) : sort;
	return (name.startsWith('#') ? name : quoteName(name)) + (desc ? ' desc' : '');
}
