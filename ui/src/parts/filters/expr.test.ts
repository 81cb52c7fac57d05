import { expect, test } from 'vitest';
import { random } from '../../store/fake';
import { chosen, format, parse, toggle, without, type Node } from './expr';

test('text to tree and back', () => {
	for (const text of [
		"split = 'val'",
		"split IN ('val', 'test') AND score >= 0.5",
		"(a = 1 OR b = 2) AND c <> 'it''s'",
		'"order" IS NOT NULL OR tags IS NULL',
		'score BETWEEN -1 AND 2.5 AND reviewed = true',
		"view_ref.id = 'x' AND name LIKE 'a%' AND kind NOT IN ('b')",
		"(upper(name) = 'X') AND split = 'val'",
	])
		expect(format(parse(text))).toBe(text);
	expect(format(parse("split='val' and ((score<1))"))).toBe("split = 'val' AND score < 1");
});

test('what is not understood stays as it is', () => {
	for (const text of [
		'score + 1 > 2 )',
		"name = 'open",
		'a ==',
		'x @ y',
		'NOT a = 1',
		"captured_at > TIMESTAMP '2025-01-01 00:00:00'",
		'reviewed',
	])
		expect(format(parse(text))).toBe(text);
	expect(parse('upper(a) = 1 AND b = 2')).toMatchObject({ kids: [{ kind: 'raw' }, { kind: 'compare', field: 'b' }] });
	expect(parse('  ')).toBeNull();
});

test('random trees survive their text', () => {
	const rnd = random(11);
	const value = () => [rnd(100) - 50, rnd(), "it's", 'été', true, false, 'a (b) AND c'][rnd(7)];
	const field = () => ['split', 'view_ref.id', 'Order', 'a b', 'not', 'ünï'][rnd(6)];
	const make = (depth: number): Node => {
		if (depth > 0 && rnd(2)) {
			const op = rnd(2) ? 'and' : 'or';
			const kids = Array.from({ length: 2 + rnd(2) }, () => make(depth - 1)).flatMap((k) =>
				k.kind === 'group' && k.op === op ? k.kids : [k],
			);
			return { kind: 'group', op, kids };
		}
		switch (rnd(4)) {
			case 0:
				return { kind: 'in', field: field(), values: [value(), value()], not: rnd(2) === 1 };
			case 1:
				return { kind: 'between', field: field(), from: rnd(9), to: value() };
			case 2:
				return { kind: 'null', field: field(), not: rnd(2) === 1 };
			default:
				return { kind: 'compare', field: field(), op: (['=', '<>', '<', '<=', '>', '>=', 'like'] as const)[rnd(7)], value: value() };
		}
	};
	for (let n = 0; n < 500; n++) {
		const node = make(3);
		expect(parse(format(node))).toEqual(node);
	}
});

test('facets edit the same expression', () => {
	let node = parse('score > 1');
	node = toggle(node, 'split', 'val');
	expect(format(node)).toBe("score > 1 AND split = 'val'");
	node = toggle(node, 'split', 'test');
	expect(format(node)).toBe("score > 1 AND split IN ('val', 'test')");
	expect(chosen(node, 'split')).toEqual(['val', 'test']);
	expect(format(without(node, 'split'))).toBe('score > 1');
	node = toggle(toggle(node, 'split', 'val'), 'split', 'test');
	expect(format(node)).toBe('score > 1');
	expect(toggle(toggle(null, 'a', 1), 'a', 1)).toBeNull();
	expect(format(toggle(parse('a = 1 OR b = 2'), 'split', 'x'))).toBe("(a = 1 OR b = 2) AND split = 'x'");
});
