import { expect, test } from 'vitest';
import { session, told } from './fake';
import { movedCoords, pixelsOf, pointsOf, poseIn } from './points';
import { problemsOf } from './problems';
import { judge, nextOf, progress, sourcesOf, underReview, verdictOf } from './review';
import { known, templateOf } from './templates';

test('verdicts are kept with the row; a correction by hand counts as accepted', () => {
	const s = session();
	told(s, 'a', 'v1', 'model', { category: 'car' });
	told(s, 'b', 'v1', 'model', { category: 'car' });
	told(s, 'c', 'v1', 'truth', { category: 'car' });
	const row = (id: string) => s.tables.get('bboxes', id)!;
	const models = new Set(sourcesOf(s, 'model'));
	const all = () => ['a', 'b', 'c'].map(row).filter((r) => underReview(r, models));
	expect(progress(all())).toEqual({ total: 2, accepted: 0, rejected: 0, edited: 0 });
	s.run(judge([row('a')], 'rejected', 'Ana'));
	expect(row('a').data.inference_metadata).toEqual({ review: 'rejected', reviewed_by: 'Ana' });
	expect(row('a').data.source_ref).toEqual({ name: 'source', id: 'model' });
	s.run(s.moveBoxes([{ key: 'bboxes\nb', rect: { x: 1, y: 2, w: 30, h: 40 } }]));
	expect(row('b').data.source_ref).toEqual({ name: 'source', id: 'human-ana' });
	expect(row('b').data.inference_metadata).toEqual({ edited_from: 'model', review: 'accepted', reviewed_by: 'Ana' });
	expect(progress(all())).toEqual({ total: 2, accepted: 1, rejected: 1, edited: 1 });
	s.run(judge([row('a')], null, 'Ana'));
	expect(verdictOf(row('a'))).toBeNull();
	expect(judge([row('a')], null, 'Ana').patches).toEqual([]);
	s.jump(0);
	expect(progress(all())).toEqual({ total: 2, accepted: 0, rejected: 0, edited: 0 });
});

test('the walk goes to the next open one, around the end', () => {
	const keys = ['a', 'b', 'c', 'd'];
	const open = (k: string) => k !== 'b';
	expect(nextOf(keys, null, 1, open)).toBe('a');
	expect(nextOf(keys, 'a', 1, open)).toBe('c');
	expect(nextOf(keys, 'd', 1, open)).toBe('a');
	expect(nextOf(keys, 'c', -1, open)).toBe('a');
	expect(nextOf(keys, null, -1, open)).toBe('d');
	expect(nextOf(keys, 'a', 1, (k) => k === 'a')).toBe('a');
	expect(nextOf(keys, 'a', 1, () => false)).toBeNull();
	expect(nextOf([], null, 1, open)).toBeNull();
});

test('points keep their unit and stay in the view', () => {
	const view = { width: 200, height: 100 };
	expect([...pixelsOf([0.5, 0.5, 1, 0], view)]).toEqual([100, 50, 200, 0]);
	expect([...pixelsOf([50, 20, 1, 0], view)]).toEqual([50, 20, 1, 0]);
	expect(pointsOf(Float32Array.of(100, 50, 300, -5), view, null)).toEqual([0.5, 0.5, 1, 0]);
	expect(pointsOf(Float32Array.of(100, 50, 300, -5), view, [50, 2])).toEqual([100, 50, 200, 0]);
	const template = { id: 't', points: [{ name: 'a', x: 0, y: 0.5 }], edges: [] };
	expect([...poseIn(template, { x: 10, y: 20, w: 100, h: 50 })]).toEqual([10, 45]);
	const s = session();
	const pose = (coords: number[], states: string[]) => s.row('keypoints', { coords, states, template_id: 't' });
	expect(movedCoords(pose([0.25, 0.5, 0.75, 0.5], ['visible', 'visible']), view, 1000, 10)).toEqual([
		0.5,
		expect.closeTo(0.6),
		1,
		expect.closeTo(0.6),
	]);
	expect(movedCoords(pose([0, 0, 0.75, 0.5], ['invisible', 'visible']), view, -20, 0)![2]).toBeCloseTo(0.65);
	const own = { ...template, points: [...template.points, { name: 'b', x: 1, y: 1 }] };
	expect(templateOf(known([own], [template]), 't', 2)).toBe(own);
	expect(templateOf(known([own], [template]), 't', 1)).toBeNull();
	const one = { id: 't-1', points: own.points.slice(0, 1), edges: [] };
	expect(templateOf([own, one], 't', 1)).toBe(one); // rows may leave the number out of the name
});

test('rows that cannot be shown are told with the reason', () => {
	const s = session();
	const of = (table: string, data: Record<string, unknown>) =>
		problemsOf(s, s.row(table, { view_ref: { name: 'image', id: 'v1' }, ...data })).map((p) => p.reason);
	expect(of('bboxes', { coords: [0, 0, 1, 1] })).toEqual([]);
	expect(of('bboxes', { coords: [0, 0, 1] })).toEqual(['coords']);
	expect(of('bboxes', { coords: [0, 0, 1, 1], entity_ref: { name: 'objects', id: 'gone' } })).toEqual(['entity']);
	expect(of('keypoints', { coords: [0, 0], states: [] })).toEqual(['states']);
	expect(of('labels', { labels: ['a'], confidences: [] })).toEqual(['labels']);
	expect(of('bboxes', { coords: [0, 0, 1, 1], view_ref: { name: 'image', id: 'gone' } })).toEqual(['view']);
	expect(of('unknown', {})).toEqual(['table']);
	const mask = { id: 'm', table_info: { name: 'bboxes', group: 'annotations' as const, base_schema: 'CompressedRLE' } };
	const sized = (size: number[]) =>
		problemsOf(s, { ...mask, data: { view_ref: { name: 'image', id: 'v1' }, size, counts: 'x' } }).map((p) => p.reason);
	expect(sized([100, 200])).toEqual([]);
	expect(sized([200, 100])).toEqual(['size']);
});
