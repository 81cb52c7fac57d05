import { expect, test } from 'vitest';
import { session, told } from '../../store/fake';
import { parse } from './expr';
import { fieldsOf, matches } from './match';

test('conditions over the fields of an annotation and of what it refers to', () => {
	const s = session();
	told(s, 'a', 'v1', 'model', { category: 'car' });
	const f = fieldsOf(s, s.tables.get('bboxes', 'a')!);
	const is = (text: string) => matches(parse(text), f);
	for (const yes of [
		"objects.category = 'car'",
		"objects.category = 'bus' OR source.kind = 'model'",
		"objects.category LIKE 'c%' AND image.width >= 200 AND item.split = 'train'",
		"objects.category IN ('car', 'bus')",
		'bboxes.coords > 0.15',
		'tracks.name IS NULL',
		"bboxes.id = 'a'",
		'bboxes.is_normalized = true',
		'image.width BETWEEN 100 AND 200',
	])
		expect(is(yes), yes).toBe(true);
	for (const no of [
		"objects.category = 'bus'",
		"objects.category NOT IN ('car')",
		"tracks.name = 'x'",
		"tracks.name <> 'x'", // missing
		'image.width < 200',
		"(objects.category = 'car' OR image.width = 3) AND source.kind = 'human'",
		"objects.category > 'd'",
		"objects.category LIKE 'a_'",
	])
		expect(is(no), no).toBe(false);
});
