import { beforeEach, expect, test, vi } from 'vitest';

// A storage lists its keys in an order of its own.
class Sorted {
	[name: string]: unknown;
	getItem = (k: string) => (this[k] as string | undefined) ?? null;
	setItem = (k: string, v: string) => void (this[k] = v);
	removeItem = (k: string) => void delete this[k];
}
const storage = new Proxy(new Sorted(), { ownKeys: (s) => Reflect.ownKeys(s).sort().reverse() });
const fresh = async () => {
	vi.resetModules(); // as after a reload
	return import('./pictures');
};
beforeEach(() => void vi.stubGlobal('sessionStorage', storage));

test('of many pictures the oldest are forgotten, whatever order the storage has', async () => {
	const first = await fresh();
	const names = Array.from({ length: 15 }, (_, i) => `p${i}`);
	const ids = names.map((name) => first.keep({ vector: [1], small: '', name }));
	const after = await fresh();
	expect(ids.map((id) => after.picture(id)?.name ?? '')).toEqual(['', '', '', ...names.slice(3)]);
	after.keep({ vector: [1], small: '', name: 'last' });
	const later = await fresh();
	expect([later.picture(ids[3]), later.picture(ids[4])?.name]).toEqual([null, 'p4']);
});
