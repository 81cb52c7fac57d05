import { expect, test } from 'vitest';
import { edited, tagged } from './bulk';
import type { Row } from '../../store/types';

const row = (id: string, data: Record<string, unknown>): Row => ({
	id,
	table_info: { name: 'item', group: 'item', base_schema: 'Item' },
	data,
});

test('only rows that change are stored, and none is changed in place', () => {
	const rows = [row('a', { split: 'train', n: 1 }), row('b', { split: 'val', n: 2 })];
	const before = JSON.stringify(rows);
	expect(edited(rows, 'split', 'val').map((r) => [r.id, r.data])).toEqual([['a', { split: 'val', n: 1 }]]);
	expect(JSON.stringify(rows)).toBe(before);
});

test('tags are added once and taken away where they are', () => {
	const rows = [row('a', { tags: ['x'] }), row('b', { tags: [] }), row('c', { tags: null })];
	expect(tagged(rows, 'tags', 'x', true).map((r) => [r.id, r.data.tags])).toEqual([
		['b', ['x']],
		['c', ['x']],
	]);
	expect(tagged(rows, 'tags', 'x', false).map((r) => [r.id, r.data.tags])).toEqual([['a', []]]);
});
