import { afterEach, expect, test, vi } from 'vitest';
import { asked, params, toQuery } from './query';

afterEach(() => vi.unstubAllGlobals());

test('a picture in the address is searched for by its vector, and passed over when it is no longer known', () => {
	const kept = { vector: [0.5, -1], small: '', name: 'a.jpg' };
	vi.stubGlobal('sessionStorage', { getItem: (key: string) => (key === 'pixano.picture p1' ? JSON.stringify(kept) : null) });
	const known = asked(new URLSearchParams('emb=vectors&pic=p1&where=n > 1'));
	expect(toQuery(known)).toEqual({ query: { where: 'n > 1' }, search: { table: 'vectors', vector: [0.5, -1] } });
	expect(asked(new URLSearchParams(Object.entries(params(known)).flatMap(([k, v]) => (v ? [[k, v]] : []))))).toEqual(known);
	const gone = asked(new URLSearchParams('emb=vectors&pic=p2&sort=n'));
	expect(toQuery(gone)).toEqual({ query: { order_by: 'n' }, search: null });
});
