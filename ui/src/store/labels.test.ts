import { expect, test } from 'vitest';
import { session, told } from './fake';
import { classify, labelsOf, pairs, type Subject } from './labels';

test('labels of an item, a view and an object are rows of their own, and go when they are empty', () => {
	const s = session();
	told(s, 'a', 'v1', 'truth', { category: 'car' });
	const view = { name: 'image', id: 'v1' };
	const item: Subject = { view: null, entity: null };
	const of: Subject[] = [item, { view, entity: null }, { view, entity: { name: 'objects', id: 'oa' } }];
	of.forEach((subject, i) =>
		s.run(
			classify(s, 'labels', [
				{
					subject,
					labels: [
						[`l${i}`, 0.5],
						['x', 7],
					],
				},
			]),
		),
	);
	expect(s.tables.table('labels').size).toBe(3);
	of.forEach((subject, i) =>
		expect(pairs(labelsOf(s, 'labels', subject))).toEqual([
			[`l${i}`, 0.5],
			['x', 1],
		]),
	); // held to 0 … 1
	const row = labelsOf(s, 'labels', of[2])!;
	expect(row.data).toMatchObject({ entity_ref: { id: 'oa' }, view_ref: { id: 'v1' }, source_ref: { id: 'human-ana' } });
	expect(labelsOf(s, 'labels', item)!.data).toMatchObject({ view_ref: { id: '' }, entity_ref: { id: '' } });
	// Several changes of one sitting are one step.
	s.run(classify(s, 'labels', [{ subject: item, labels: [['a', 1]] }], 'k'));
	s.run(
		classify(
			s,
			'labels',
			[
				{
					subject: item,
					labels: [
						['a', 1],
						['b', 1],
					],
				},
			],
			'k',
		),
	);
	s.undo();
	expect(pairs(labelsOf(s, 'labels', item))[0]).toEqual(['l0', 0.5]);
	s.run(classify(s, 'labels', [{ subject: item, labels: [] }]));
	expect(labelsOf(s, 'labels', item)).toBeNull();
	s.jump(0);
	expect(s.tables.table('labels').size).toBe(0);
});

test('a label of a model that is changed is the annotator’s', () => {
	const s = session();
	const subject: Subject = { view: { name: 'image', id: 'v1' }, entity: null };
	s.tables.load([
		s.row(
			'labels',
			{
				item_ref: { name: 'item', id: 'i' },
				view_ref: subject.view,
				source_ref: { name: 'source', id: 'model' },
				labels: ['day'],
				confidences: [0.7],
			},
			'm',
		),
	]);
	s.run(classify(s, 'labels', [{ subject, labels: [['night', 1]] }]));
	expect(s.tables.get('labels', 'm')!.data).toMatchObject({
		labels: ['night'],
		source_ref: { id: 'human-ana' },
		inference_metadata: { edited_from: 'model' },
	});
});
