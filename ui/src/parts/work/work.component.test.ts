// @vitest-environment jsdom
// The panels of the workspace on real rows, by keys alone. No server answers: what they change is seen in the session.
import { clean, lay, press } from '../testing';
import { cleanup, fireEvent, render, screen, within } from '@testing-library/svelte';
import { tick } from 'svelte';
import { afterEach, beforeAll, expect, test, vi } from 'vitest';
import { dataset, session, told } from '../../store/fake';
import type { Conflict } from '../../store/savequeue';
import { rleOf } from '../../masks/runs';
import { Session } from '../../store/session';
import { keyOf } from '../../store/types';
import { prefs, save } from '../../prefs.svelte';
import type { Work } from './work.svelte';

let Made: typeof Work;
beforeAll(async () => {
	lay({ width: 900, height: 560 });
	vi.stubGlobal('fetch', () => Promise.reject(new TypeError('no server')));
	vi.stubGlobal(
		'EventSource',
		class {
			addEventListener(): void {}
			close(): void {}
		},
	);
	({ Work: Made } = await import('./work.svelte'));
});
const made: Work[] = [];
afterEach(() => {
	cleanup();
	for (const w of made.splice(0)) w.dispose();
	save({ target: {}, brush: { ...prefs.brush, size: 20 } });
});

// working is the work on an item with a car of the truth, a bus and two cars of a model.
async function working(s: Session = session()): Promise<Work> {
	told(s, 'a', 'v1', 'truth', { category: 'car' });
	for (const [id, category, confidence] of [
		['b', 'bus', 0.9],
		['c', 'car', 0.6],
		['d', 'car', 0.3],
	] as const) {
		const box = told(s, id, 'v1', 'model', { category });
		s.tables.load([{ ...box, data: { ...box.data, confidence } }]);
	}
	const w = new Made(
		'd',
		() => new URLSearchParams(),
		async () => {},
	);
	made.push(w);
	await expect.poll(() => w.failed).not.toBe(''); // nobody answers
	w.opened = {
		session: s,
		dataset,
		schema: s.schema,
		decoder: { get: () => null } as never,
		values: ['car', 'bus'],
		templates: [
			{
				id: 'stick',
				points: [
					{ name: 'top', x: 0.5, y: 0 },
					{ name: 'end', x: 0.5, y: 1 },
				],
				edges: [[0, 1]],
			},
			{ id: 'dot', points: [{ name: 'dot', x: 0.5, y: 0.5 }], edges: [] },
		],
	};
	w.values = ['car', 'bus'];
	w.item = 'i';
	w.failed = '';
	w.loading = false;
	s.tables.subscribe(() => w.touch());
	return w;
}
const category = (w: Work, id: string) => w.session!.tables.get('objects', id)!.data.category;
const chosen = (w: Work) => [...w.selection].map((k) => k.split('\n')[1]);

test('Objects: groups, arrows, search, and what is hidden, locked and alone', async () => {
	const w = await working();
	const { default: Objects } = await import('./Objects.svelte');
	const { component } = render(Objects, { work: w });
	expect(screen.getByText('4 of 4 shown')).toBeTruthy();
	const list = screen.getByRole('list', { name: 'Objects' });
	const lines = () =>
		within(list)
			.getAllByRole('listitem')
			.map((l) => l.textContent!.replace(/\s+/g, ' ').trim());
	expect(lines()).toEqual(['Ground truth1', 'car', 'Model3', 'bus 0.90', 'car 0.60', 'car 0.30']);
	await clean();
	list.focus();
	press('ArrowDown');
	await tick();
	expect(chosen(w)).toEqual(['a']);
	press('ArrowDown'); // over the head of the group
	await tick();
	expect(chosen(w)).toEqual(['b']);
	press('ArrowDown', { shiftKey: true });
	expect(chosen(w)).toEqual(['b', 'c']);
	await fireEvent.change(screen.getByLabelText('Group objects by'), { target: { value: 'class' } });
	expect(lines().filter((l) => /^(bus|car)\d$/.test(l))).toEqual(['bus1', 'car3']);
	component.focus();
	const search = screen.getByLabelText('Search objects');
	expect(document.activeElement).toBe(search);
	await fireEvent.input(search, { target: { value: 'bus' } });
	expect(lines()).toEqual(['bus1', 'bus 0.90']);
	press('Escape');
	await tick();
	expect(lines()).toHaveLength(6);
	const of = (name: string, i: number) => within(list).getAllByRole('button', { name })[i];
	await fireEvent.click(of('Hide', 0)); // the whole group
	expect([...w.hidden]).toEqual(['bboxes\nb']);
	expect(screen.getByText('3 of 4 shown')).toBeTruthy();
	await fireEvent.click(of('Lock', 2));
	expect(w.locked.size).toBe(3);
	await fireEvent.click(of('Show alone', 3));
	expect(w.isolated?.size).toBe(1);
	await fireEvent.click(of('Show alone', 3));
	expect(w.isolated).toBeNull();
	const head = within(list).getAllByRole('button', { expanded: true })[1];
	await fireEvent.click(head);
	expect(lines()).toHaveLength(3);
	// Those below a confidence are not shown.
	w.hidden = new Set();
	await fireEvent.input(screen.getByLabelText('Confidence'), { target: { value: '0.5' } });
	expect(screen.getByText('3 of 4 shown')).toBeTruthy();
	w.threshold = 0;
});

test('Properties: mixed values are told, and one change is one step for all that are selected', async () => {
	const w = await working();
	const { default: Properties } = await import('./Properties.svelte');
	render(Properties, { work: w });
	expect((screen.getByLabelText('split') as HTMLInputElement).value).toBe('train'); // of the item, while nothing is selected
	w.select(['bboxes\na', 'bboxes\nb']);
	await tick();
	const field = screen.getByLabelText('category') as HTMLInputElement;
	expect([field.value, field.placeholder]).toEqual(['', 'mixed']);
	await clean();
	await fireEvent.change(field, { target: { value: 'van' } });
	expect([category(w, 'oa'), category(w, 'ob'), category(w, 'oc')]).toEqual(['van', 'van', 'car']);
	expect((screen.getByLabelText('category') as HTMLInputElement).value).toBe('van');
	w.undo();
	expect([category(w, 'oa'), category(w, 'ob')]).toEqual(['car', 'bus']);
	expect(screen.getByText(/gt \(ground_truth\), yolo \(model\)/)).toBeTruthy();
});

test('ValueList: values are added and removed, those of the wrong type are refused, closed lists offer theirs alone', async () => {
	const { default: ValueList } = await import('./ValueList.svelte');
	const edits: unknown[] = [];
	const change = vi.fn((edit: (l: (string | number | boolean)[]) => unknown) => edits.push(edit([1, 2])));
	const props = {
		id: 'x',
		lists: [[1, 2], [2]],
		known: [1, 2, 3],
		closed: false,
		parse: (s: string) => (Number.isInteger(Number(s)) ? Number(s) : null),
		change,
	};
	const { rerender, container } = render(ValueList, props);
	container.insertAdjacentHTML('afterbegin', '<label for="x">numbers</label>');
	await clean();
	await fireEvent.click(screen.getByRole('button', { name: 'Remove 1' }));
	const input = screen.getByLabelText('numbers') as HTMLInputElement;
	await fireEvent.change(input, { target: { value: 'many' } });
	expect(input.getAttribute('aria-invalid')).toBe('true');
	await fireEvent.change(input, { target: { value: '7' } });
	expect(edits).toEqual([[2], [1, 2, 7]]);
	await rerender({ closed: true });
	const select = screen.getByLabelText('numbers') as HTMLSelectElement;
	expect([...select.options].map((o) => o.value)).toEqual(['', '1', '3']); // 1 is not in all of them
	await fireEvent.change(select, { target: { value: '3' } });
	expect(edits.at(-1)).toEqual([1, 2, 3]);
});

test('Picker: typing, arrows, digits and Enter choose; what is off is not chosen; new names are offered', async () => {
	const { default: Picker } = await import('./Picker.svelte');
	const choose = vi.fn();
	const choices = [
		{ key: 'car', text: 'car' },
		{ key: 'bus', text: 'bus', off: true, note: 'in use' },
		{ key: 'cart', text: 'cart' },
	];
	render(Picker, { label: 'Class', choices, choose, fresh: true });
	const box = screen.getByRole('combobox', { name: 'Class' });
	expect(document.activeElement).toBe(box);
	await clean();
	const current = () => document.getElementById(box.getAttribute('aria-activedescendant')!)!;
	expect(current().textContent).toContain('car');
	press('3');
	expect(choose.mock.calls).toEqual([['cart']]);
	press('ArrowDown');
	await tick();
	expect(current().getAttribute('aria-disabled')).toBe('true');
	press('Enter');
	expect(choose).toHaveBeenCalledTimes(1);
	await fireEvent.input(box, { target: { value: 'car' } });
	expect(screen.getAllByRole('option')).toHaveLength(2); // car is there: no new one of that name
	await fireEvent.input(box, { target: { value: 'tram 2' } });
	expect(screen.getByRole('option').textContent).toContain('tram 2');
	press('Enter');
	expect(choose.mock.calls.at(-1)).toEqual(['tram 2']);
});

test('ClassBar: the class of new shapes by arrows', async () => {
	const w = await working();
	const { default: ClassBar } = await import('./ClassBar.svelte');
	render(ClassBar, { work: w });
	const radios = screen.getAllByRole('radio');
	expect(radios.map((r) => r.getAttribute('aria-checked'))).toEqual(['true', 'false']);
	radios[0].focus();
	press('ArrowRight');
	await tick();
	expect(w.sticky).toBe('bus');
	expect(radios[1].getAttribute('aria-checked')).toBe('true');
	await clean();
	w.intoSelected = true;
	await tick();
	expect(screen.getByText('Into the selected object')).toBeTruthy();
});

test('ToolBar and options: tools that have no table are off; the brush and the skeleton are set', async () => {
	const w = await working();
	const { default: ToolBar } = await import('./ToolBar.svelte');
	const bar = render(ToolBar, { work: w });
	const tool = (name: string) => screen.getByRole('button', { name }) as HTMLButtonElement;
	expect(tool('Paint masks').disabled).toBe(true); // the dataset has no masks
	await fireEvent.click(tool('Draw boxes'));
	expect([w.tool, tool('Draw boxes').getAttribute('aria-pressed'), tool('Select and edit').getAttribute('aria-pressed')]).toEqual([
		'box',
		'true',
		'false',
	]);
	await clean();
	bar.unmount();
	const { default: BrushOptions } = await import('./BrushOptions.svelte');
	const brush = render(BrushOptions, { work: w });
	await clean();
	screen.getByRole('radio', { name: 'Paint' }).focus();
	press('ArrowRight');
	await tick();
	expect([w.erase, screen.getByRole('radio', { name: 'Erase' }).getAttribute('aria-checked')]).toEqual([true, 'true']);
	await fireEvent.input(screen.getByLabelText(/^Size/), { target: { value: '100' } });
	expect(prefs.brush.size).toBe(100);
	brush.unmount();
	const { default: SkeletonBar } = await import('./SkeletonBar.svelte');
	render(SkeletonBar, { work: w });
	await fireEvent.change(screen.getByRole('combobox'), { target: { value: 'dot' } });
	expect(w.poses.template?.id).toBe('dot');
	await clean();
});

test('SmartOptions: without a model it says so and can ask again', async () => {
	const w = await working();
	const { default: SmartOptions } = await import('./SmartOptions.svelte');
	render(SmartOptions, { work: w });
	await screen.findByRole('button', { name: 'Try again' });
	screen.getAllByRole('radio')[0].focus();
	press('ArrowRight');
	expect(w.negative).toBe(true);
	w.segmenting = { at: 'failed', message: 'the model is away' };
	await tick();
	expect(screen.getByRole('status').textContent).toContain('the model is away');
	await clean();
});

test('MaskMenu: operations are off until as many masks are selected as they need', async () => {
	const w = await working();
	const { default: MaskMenu } = await import('./MaskMenu.svelte');
	render(MaskMenu, { work: w });
	screen.getByRole('button', { name: 'Masks' }).focus();
	press('ArrowDown');
	expect((await screen.findByRole<HTMLButtonElement>('button', { name: 'Unite' })).disabled).toBe(true);
	await fireEvent.change(screen.getByLabelText(/Radius|by/i, { selector: 'input[type=number][max="200"]' }), { target: { value: '900' } });
	expect(prefs.operation.radius).toBe(200);
	await clean();
});

test('ReviewPanel: verdicts go into the rows and the progress counts them', async () => {
	const w = await working();
	const { default: ReviewPanel } = await import('./ReviewPanel.svelte');
	render(ReviewPanel, { work: w });
	await clean();
	await fireEvent.click(screen.getByRole('button', { name: 'Start reviewing' }));
	expect([...w.review.sources]).toEqual(['model']); // the truth is not under review
	w.select(['bboxes\nb']);
	await tick();
	await fireEvent.click(screen.getByRole('button', { name: /^Accept/ }));
	w.select(['bboxes\nc']);
	await tick();
	await fireEvent.click(screen.getByRole('button', { name: /^Reject/ }));
	const data = (id: string) => w.session!.tables.get('bboxes', id)!.data.inference_metadata;
	expect(data('b')).toMatchObject({ review: 'accepted' });
	expect(data('c')).toMatchObject({ review: 'rejected' });
	expect(screen.getByText('2 of 3 reviewed')).toBeTruthy();
	expect((screen.getByLabelText('Progress of the review') as HTMLProgressElement).value).toBe(2);
	w.select(['bboxes\nc']);
	await tick();
	await fireEvent.click(screen.getByRole('button', { name: 'Take the verdict back' }));
	expect(screen.getByText('1 of 3 reviewed')).toBeTruthy();
	await clean();
});

test('HistoryPanel: steps of the session are gone to; without the server it says so', async () => {
	const w = await working();
	const { default: HistoryPanel } = await import('./HistoryPanel.svelte');
	render(HistoryPanel, { work: w });
	w.setClass(['bboxes\na'], 'bus');
	w.select(['bboxes\nb']);
	w.remove();
	await tick();
	const steps = within(screen.getByRole('region', { name: 'In this session' })).getAllByRole('button');
	expect(steps).toHaveLength(3);
	expect(steps[2].getAttribute('aria-current')).toBe('step');
	await fireEvent.click(steps[0]);
	expect([category(w, 'oa'), w.session!.tables.get('bboxes', 'b') !== null]).toEqual(['car', true]);
	expect(steps[0].getAttribute('aria-current')).toBe('step');
	await fireEvent.click(steps[1]);
	expect([category(w, 'oa'), w.session!.tables.get('bboxes', 'b') !== null]).toEqual(['bus', true]);
	await screen.findByRole('button', { name: 'Try again' });
	await clean();
});

test('undo and redo say what they did, also when it is the same again', async () => {
	const w = await working();
	const said = () => w.spoken.replace('\u00a0', '');
	w.undo();
	expect(said()).toBe('Nothing to undo');
	w.select(['bboxes\na', 'bboxes\nb']);
	w.remove();
	w.setClass(['bboxes\nc'], 'bus');
	w.setClass(['bboxes\nd'], 'bus');
	w.undo();
	expect(said()).toBe('Undone: Set class');
	const first = w.spoken;
	w.undo();
	expect(said()).toBe('Undone: Set class');
	expect(w.spoken).not.toBe(first); // or nobody would hear it
	w.undo();
	expect(said()).toBe('Undone: Delete, 2 objects');
	w.redo();
	expect(said()).toBe('Redone: Delete, 2 objects');
	w.jump(3);
	expect([said(), category(w, 'od')]).toEqual(['Redone: 2 steps', 'bus']);
	w.redo();
	expect(said()).toBe('Nothing to redo');
	w.setTool('box');
	expect(said()).toBe('Drag, or click two corners. Arrows and Enter draw from the keyboard.');
});

test('Properties: a menu of what can be done with the selection', async () => {
	const w = await working();
	const { keymap } = await import('../../keys.svelte');
	const { cmd } = await import('../../commands');
	const { default: Properties } = await import('./Properties.svelte');
	const run = vi.fn();
	const off = keymap.add([
		cmd('like', run, () => w.selection.size === 1),
		cmd('delete', () => w.remove()),
		cmd(
			'relink',
			() => {},
			() => false,
		),
	]);
	render(Properties, { work: w });
	expect(screen.queryByRole('button', { name: 'What can be done with the selection' })).toBeNull();
	w.select(['bboxes\na']);
	await tick();
	screen.getByRole('button', { name: 'What can be done with the selection' }).focus();
	press('ArrowDown');
	const menu = screen.getByRole('dialog', { name: 'What can be done with the selection' });
	const like = await within(menu).findByRole('button', { name: 'Find items like the selected object' });
	expect(within(menu).getAllByRole('button')).toHaveLength(2);
	await clean();
	await fireEvent.click(like);
	expect(run).toHaveBeenCalledOnce();
	await tick();
	expect(within(menu).queryByRole('button')).toBeNull(); // closed
	off();
});

test('Conflicts: mine, theirs, or field by field', async () => {
	const box = { item_ref: { name: 'item', id: 'i' }, source_ref: { name: 'source', id: 'truth' }, format: 'xywh', is_normalized: true };
	const { default: Conflicts } = await import('./Conflicts.svelte');
	const answer = async (button: string, pick?: string): Promise<unknown> => {
		const w = await working();
		const s = w.session!;
		const base = s.tables.get('bboxes', 'a')!;
		const mine = { ...base, data: { ...base.data, ...box, coords: [0.2, 0, 1, 1], confidence: 0.5 } };
		const theirs = { ...base, updated_at: '2025-01-02T00:00:00', data: { ...base.data, ...box, coords: [0.3, 0, 1, 1], confidence: 0.7 } };
		const resolve = vi.spyOn(s.queue, 'resolve').mockImplementation(() => {});
		let shown: Conflict | null = null;
		const { unmount } = render(Conflicts, {
			work: w,
			list: [{ table: 'bboxes', id: 'a', base, mine, theirs, fields: ['coords', 'confidence'] }],
			get shown() {
				return shown;
			},
			set shown(c) {
				shown = c;
			},
			close: () => {},
		});
		await tick();
		await clean();
		if (pick) await fireEvent.click(within(screen.getByRole('row', { name: new RegExp(`^${pick}`) })).getAllByRole('radio')[1]);
		await fireEvent.click(screen.getByRole('button', { name: button }));
		const [table, id, row] = resolve.mock.calls[0];
		expect([table, id]).toEqual(['bboxes', 'a']);
		unmount();
		return [row?.data.coords, row?.data.confidence, row?.updated_at === theirs.updated_at];
	};
	expect(await answer('Keep mine')).toEqual([[0.2, 0, 1, 1], 0.5, false]);
	expect(await answer('Take theirs')).toEqual([[0.3, 0, 1, 1], 0.7, true]);
	expect(await answer('Use what is ticked', 'confidence')).toEqual([[0.2, 0, 1, 1], 0.7, true]);
});

test('MergeBar and Relink: objects become one, and an annotation goes to another one', async () => {
	const s = session();
	const w = await working(s);
	told(s, 'e', 'v2', 'truth', { category: 'car' });
	const { default: MergeBar } = await import('./MergeBar.svelte');
	const bar = render(MergeBar, { work: w });
	const run = screen.getByRole('button', { name: /^Merge/ }) as HTMLButtonElement;
	expect(run.disabled).toBe(true);
	w.merging.toggle('bboxes\na');
	w.hover = 'bboxes\na';
	w.merging.toggle('bboxes\nb');
	await tick();
	expect(screen.getByText('Into car')).toBeTruthy();
	await clean();
	await fireEvent.click(run);
	expect(s.tables.get('objects', 'ob')).toBeNull();
	bar.unmount();
	const { default: Relink } = await import('./Relink.svelte');
	const close = vi.fn();
	w.select([keyOf('bboxes', 'c')]);
	render(Relink, { work: w, close });
	await clean();
	await fireEvent.input(screen.getByRole('combobox'), { target: { value: 'oe' } });
	press('Enter');
	expect((s.tables.get('bboxes', 'c')!.data.entity_ref as { id: string }).id).toBe('oe');
	expect(close).toHaveBeenCalledOnce();
});

test('Classify: labels with confidences for the selected object or the item, one step for all', async () => {
	const w = await working();
	const { default: Classify } = await import('./Classify.svelte');
	w.select(['bboxes\na']);
	render(Classify, { work: w, tables: ['labels'], close: () => {} });
	await clean();
	expect(screen.getByRole('radio', { checked: true }).textContent).toContain('car');
	await fireEvent.input(screen.getByRole('combobox'), { target: { value: 'parked' } });
	press('Enter');
	await tick();
	await fireEvent.change(screen.getByLabelText('Confidence of parked'), { target: { value: '0.75' } });
	const rows = () => [...w.session!.tables.table('labels').values()].map((r) => [r.data.labels, r.data.confidences]);
	expect(rows()).toEqual([[['parked'], [0.75]]]);
	screen.getByRole('radio', { checked: true }).focus();
	press('ArrowLeft'); // round to the item
	await tick();
	expect(screen.getByRole('radio', { checked: true }).textContent).toBe('Item');
	w.undo();
	expect(rows()).toEqual([]);
});

test('ViewBar: nothing for one view; tabs, arrows and layout for several', async () => {
	const many = structuredClone(dataset) as typeof dataset;
	Object.assign(many.dataset_schema.schemas, { depth: many.dataset_schema.schemas.image });
	(many.dataset_schema.groups.views as string[]).push('depth');
	const { Schema } = await import('../../store/schema');
	const s = new Session({
		schema: new Schema(many),
		send: async () => ({ kind: 'away', message: '' }),
		journal: { write: async () => {}, remove: async () => {}, sending: async () => {} },
		annotator: () => 'Ana',
		auto: () => false,
		merged: () => {},
	});
	const { default: ViewBar } = await import('./ViewBar.svelte');
	const one = await working();
	const { unmount } = render(ViewBar, { work: one });
	expect(screen.queryByRole('tablist')).toBeNull();
	unmount();
	const view = (table: string, id: string) => s.row(table, { url: id, width: 200, height: 100, item_ref: { name: 'item', id: 'i' } }, id);
	s.open('i', [s.row('item', { split: 'train' }, 'i'), view('image', 'v1'), view('depth', 'v2')]);
	const w = await working(s);
	render(ViewBar, { work: w });
	const tabs = screen.getAllByRole('tab');
	expect(tabs.map((x) => [x.textContent, x.tabIndex])).toEqual([
		['depth', 0],
		['image', -1],
	]);
	tabs[0].focus();
	press('ArrowRight');
	await tick();
	expect([w.pane, document.activeElement]).toEqual([1, tabs[1]]);
	await fireEvent.click(screen.getByRole('button', { name: 'One view at a time' }));
	expect([w.alone, prefs.tabs]).toEqual([true, true]);
	await fireEvent.click(screen.getByRole('button', { name: 'Side by side' }));
	await clean();
});

test('SaveState: what waits is told, and can be saved at once', async () => {
	const w = await working();
	const { default: SaveState } = await import('./SaveState.svelte');
	const conflicts = vi.fn();
	w.session!.queue.subscribe(() => w.saved());
	const { container } = render(SaveState, { work: w, conflicts });
	const state = () => container.querySelector('[data-state]')!.getAttribute('data-state');
	expect(state()).toBe('saved');
	w.setClass(['bboxes\na'], 'bus');
	await tick();
	expect(state()).toBe('waiting');
	expect(screen.getByRole('status').textContent).toBe('1 waiting');
	screen.getByRole('button').focus();
	press('ArrowDown');
	await fireEvent.click(await screen.findByRole('button', { name: 'Save now' }));
	await expect.poll(state).toBe('offline'); // nobody answers, and it stays here
	expect(w.session!.queue.waiting).toBe(1);
	await clean();
});

test('Masks: an operation that comes when another item is open changes neither', async () => {
	const posted: { id: number; mask: unknown }[] = [];
	let answer: (data: object) => void = () => {};
	vi.stubGlobal(
		'Worker',
		class {
			onmessage = (_: object): void => {};
			postMessage(m: { id: number; mask: unknown }): void {
				posted.push(m);
				answer = (data) => this.onmessage({ data });
			}
		},
	);
	const w = await working();
	const s = w.session!;
	const mask = (runs: number[]) => ({ ...rleOf(runs, [10, 10]) });
	const refs = { item_ref: { name: 'item', id: 'i' }, view_ref: { name: 'image', id: 'v1' }, source_ref: { name: 'source', id: 'truth' } };
	s.tables.load([
		{
			id: 'm',
			table_info: { name: 'masks', group: 'annotations', base_schema: 'CompressedRLE' },
			data: { ...refs, ...mask([10, 10, 10, 10, 60]), inference_metadata: {} },
		},
	]);
	w.select(['masks\nm']);
	const { operate } = await import('./maskops');
	const done = operate(w, 'split', 0);
	s.open('j', [s.row('item', { split: 'train' }, 'j')]);
	answer({ id: posted[0].id, masks: [mask([10, 10, 80]), mask([30, 10, 60])] });
	await done;
	expect([s.history.steps(), s.queue.waiting, s.rowsOf('j').length]).toEqual([[], 0, 1]);
});
