import { expect, test } from 'vitest';
import { curl, program } from './calls';

const has = [
	{ table: 'objects', where: "category = 'car'" },
	{ table: 'masks', not: true },
];

test('a call of REST is safe in a shell', () => {
	const text = curl({ dataset: 'my set', directory: 'd', query: { where: "name = 'it''s' AND x < 3" }, search: null }, 'http://h/p/');
	expect(text).toBe(
		`curl -s 'http://h/p/explore/my%20set' -H 'Content-Type: application/json' \\
  -d '{"query":{"where":"name = '\\''it'\\'''\\''s'\\'' AND x < 3","limit":50},"with":["total"]}'`,
	);
});

test('a program has the conditions and the order, or the search among them', () => {
	const list = program({ dataset: 'd', directory: 'library/d', query: { where: 'a = "b"', has, order_by: 'split desc' }, search: null });
	expect(list).toContain(
		'ds.IDs(ctx, "item", dataset.Query{Where: `a = "b"`, Has: []dataset.Has{{Table: "objects", Where: "category = \'car\'"}, {Table: "masks", Not: true}}, OrderBy: "split desc"})',
	);
	expect(list).not.toContain('search');
	const words = program({ dataset: 'd', directory: 'd', query: { where: 'x > 1' }, search: { table: 'text', words: { text: 'a `b`\n' } } });
	expect(words).toContain(
		'search.Query{Table: "text", Words: &search.Words{Text: "a `b`\\n"}, Filter: dataset.Query{Has: []dataset.Has{{Table: "item", Where: "x > 1"}}}, Limit: 50}',
	);
	expect(words).not.toContain('pixano/inference');
	expect(program({ dataset: 'd', directory: 'd', query: {}, search: { table: 'e', vector: [0.5, -1e-9] } })).toContain(
		'search.Query{Table: "e", Vector: []float32{0.5, -9.999999717180685e-10}, Limit: 50}',
	);
	expect(program({ dataset: 'd', directory: 'd', query: {}, search: { table: 'e', text: 'red' } })).toContain(
		'WithModels(models.Embedder)',
	);
});
