// @vitest-environment jsdom
// Parts by themselves: what the keyboard does, and that axe finds nothing wrong.
import { clean, press, text } from './testing';
import { cleanup, fireEvent, render, screen, within } from '@testing-library/svelte';
import { tick } from 'svelte';
import { afterEach, expect, test, vi } from 'vitest';

afterEach(cleanup);

test('Button: an icon alone has a name, and pressed is told', async () => {
	const { default: Button } = await import('./ui/Button.svelte');
	const onclick = vi.fn();
	render(Button, { children: text('i'), icon: true, label: 'Fit', keys: 'F', pressed: true, onclick });
	const button = screen.getByRole('button', { name: 'Fit', pressed: true });
	expect(button.title).toContain('(F)');
	await fireEvent.click(button);
	expect(onclick).toHaveBeenCalledOnce();
	await clean();
});

test('Splitter: arrows move it between its ends', async () => {
	const { default: Splitter } = await import('./ui/Splitter.svelte');
	const onchange = vi.fn();
	const { rerender } = render(Splitter, { value: 300, min: 200, max: 310, label: 'Panels', onchange });
	const bar = screen.getByRole('separator', { name: 'Panels' });
	expect(bar.getAttribute('aria-valuenow')).toBe('300');
	await fireEvent.keyDown(bar, { key: 'ArrowRight' });
	expect(onchange).toHaveBeenLastCalledWith(310);
	await rerender({ reverse: true });
	await fireEvent.keyDown(bar, { key: 'ArrowRight' });
	expect(onchange).toHaveBeenLastCalledWith(284);
	// Home and a double click bring back what is normal; keys of the page stay with it.
	await rerender({ reverse: false, value: 205, normal: 240 });
	await fireEvent.keyDown(bar, { key: 'Home' });
	expect(onchange).toHaveBeenLastCalledWith(240);
	await fireEvent.keyDown(bar, { key: 'ArrowLeft' });
	expect(onchange).toHaveBeenLastCalledWith(200);
	await fireEvent.dblClick(bar);
	expect(onchange).toHaveBeenLastCalledWith(240);
	const calls = onchange.mock.calls.length;
	expect(await fireEvent.keyDown(bar, { key: 'ArrowRight', shiftKey: true })).toBe(true);
	expect(onchange).toHaveBeenCalledTimes(calls);
	await clean();
});

test('Bins: one stop of Tab, a range by Shift and arrows, told, applied by Enter and dropped by Escape', async () => {
	const { default: Bins } = await import('./filters/Bins.svelte');
	let where = "split = 'val'";
	const edit = vi.fn((fn: (text: string) => string) => void (where = fn(where)));
	const facet = {
		table: 'item',
		field: 'score',
		kind: 'number',
		type: 'float',
		rows: 10,
		min: 0,
		max: 4,
		bins: [4, 3, 2, 1].map((count, i) => ({ start: i, end: i + 1, count })),
	};
	const { rerender } = render(Bins, { field: 'score', facet, where, edit });
	const group = screen.getByRole('group', { name: 'score' });
	const bars = within(group).getAllByRole('button');
	expect(bars.map((b) => b.tabIndex)).toEqual([0, -1, -1, -1]);
	await clean();
	bars[0].focus();
	press('ArrowRight');
	await tick();
	expect([document.activeElement, bars.map((b) => b.tabIndex)]).toEqual([bars[1], [-1, 0, -1, -1]]);
	press('ArrowRight', { shiftKey: true });
	await tick();
	expect(screen.getByRole('status').textContent).toBe('1 to 3: 5');
	press('ArrowRight', { shiftKey: true });
	await tick();
	expect(screen.getByRole('status').textContent).toBe('1 to 4: 6');
	expect(within(group).getAllByRole('button', { pressed: true })).toEqual(bars.slice(1));
	await fireEvent.pointerUp(window); // of something else
	expect(edit).not.toHaveBeenCalled();
	expect(press('Escape')).toBe(false); // it does not close what the bars lie in
	await tick();
	expect([screen.getByRole('status').textContent, within(group).queryAllByRole('button', { pressed: true })]).toEqual(['', []]);
	expect(press('Escape')).toBe(true);
	press('ArrowLeft', { shiftKey: true }); // backwards, over where it began
	press('ArrowLeft', { shiftKey: true });
	await tick();
	expect(screen.getByRole('status').textContent).toBe('1 to 4: 6');
	await fireEvent.click(document.activeElement!, { detail: 0 }); // Enter
	expect(where).toBe("split = 'val' AND score BETWEEN 1 AND 4");
	await rerender({ where });
	screen.getByRole('group', { name: 'score, from 1 to 4' });
	bars[1].focus();
	press('Home', { shiftKey: true });
	bars[0].blur(); // what is not applied is dropped
	await tick();
	expect(screen.getByRole('status').textContent).toBe('');
});

test('Dialog: it is named, and its button closes it', async () => {
	const { default: Dialog } = await import('./ui/Dialog.svelte');
	const onclose = vi.fn();
	const before = document.body.appendChild(document.createElement('button'));
	before.focus();
	render(Dialog, { open: true, title: 'Delete 3 items?', children: text('All of them go.'), onclose });
	expect(screen.getByRole('dialog', { name: 'Delete 3 items?' })).toBeTruthy();
	before.textContent = 'b';
	await clean();
	screen.getByRole('button', { name: 'Close' }).focus();
	await fireEvent.click(screen.getByRole('button', { name: 'Close' }));
	expect(onclose).toHaveBeenCalled();
	expect(screen.queryByRole('dialog')).toBeNull();
	expect(document.activeElement).toBe(before);
	before.remove();
});

test('Toasts: told politely, with an action and a way to dismiss', async () => {
	const { default: Toasts } = await import('./ui/Toasts.svelte');
	const { toast } = await import('./ui/toasts.svelte');
	render(Toasts);
	const run = vi.fn();
	toast('3 items changed', 'info', { label: 'Undo', run }, 0);
	await fireEvent.click(await screen.findByRole('button', { name: 'Undo' }));
	expect(run).toHaveBeenCalledOnce();
	expect(screen.queryByText('3 items changed')).toBeNull();
	toast('Not saved', 'error', undefined, 0);
	await screen.findByText('Not saved');
	await clean();
	await fireEvent.click(screen.getByRole('button', { name: 'Close' }));
	expect(screen.queryByText('Not saved')).toBeNull();
});

test('Bars: each bar is a link that says its numbers, and stays in the page', async () => {
	const { default: Bars } = await import('./charts/Bars.svelte');
	render(Bars, {
		label: 'category',
		names: ['train', 'val'],
		colors: ['#111111', '#222222'],
		bars: [
			{ label: 'car', parts: [3, 1], href: '/app/d/streets?where=x' },
			{ label: 'others', parts: [2], dim: true },
		],
	});
	const link = screen.getByRole('link', { name: 'car: 4 (train 3, val 1)' });
	const widths = [...link.querySelectorAll('rect')].map((r) => Number(r.getAttribute('width')));
	expect(widths).toEqual([75, 25]);
	await clean();
	await fireEvent.click(link);
	expect(location.pathname + location.search).toBe('/app/d/streets?where=x');
});

test('Histogram: columns that hold something are links; none of them is too low to be seen', async () => {
	const { default: Histogram } = await import('./charts/Histogram.svelte');
	render(Histogram, {
		label: 'confidence',
		names: ['all'],
		colors: ['#111111'],
		bars: [
			{ label: '0 to 0.5', parts: [1], href: '/app/a' },
			{ label: '0.5 to 0.9', parts: [0], href: '/app/b' },
			{ label: '0.9 to 1', parts: [1000], href: '/app/c' },
		],
	});
	expect(screen.getAllByRole('link').map((a) => a.getAttribute('aria-label'))).toEqual(['0 to 0.5: 1', '0.9 to 1: 1,000']);
	expect(Number(screen.getAllByRole('link')[0].querySelectorAll('rect')[1].getAttribute('height'))).toBeGreaterThanOrEqual(1.5);
	await clean();
});

test('Builder: conditions are made and edited from fields alone', async () => {
	const { default: Builder } = await import('./filters/Builder.svelte');
	const { Schema } = await import('../store/schema');
	const schema = new Schema({
		id: 'd',
		info: { id: 'd', name: 'd', description: '', workspace: 'image', num_items: 1 },
		dataset_schema: {
			relations: {},
			schemas: {
				item: {
					schema: 'Item',
					base_schema: 'Item',
					fields: { split: { type: 'str', collection: false }, score: { type: 'float', collection: false } },
				},
			},
			groups: { item: ['item'], views: [], entities: [], annotations: [], embeddings: [], source: [] },
		},
		feature_values: {},
	});
	const change = vi.fn();
	render(Builder, { schema, where: "split = 'val' AND score > 0.5", change });
	await clean();
	const values = screen.getAllByLabelText('Value') as HTMLInputElement[];
	expect(values.map((v) => v.value)).toEqual(['val', '0.5']);
	await fireEvent.change(values[1], { target: { value: '0.75' } });
	expect(change).toHaveBeenLastCalledWith("split = 'val' AND score > 0.75");
	await fireEvent.click(screen.getAllByRole('button', { name: 'Remove this condition' })[0]);
	expect(change).toHaveBeenLastCalledWith('score > 0.5');
});

test('Sketch and template editor: wrong templates cannot be saved', async () => {
	const { default: TemplateEditor } = await import('./schema/TemplateEditor.svelte');
	const store = vi.fn(async () => {});
	render(TemplateEditor, {
		template: { id: '', points: [{ name: 'wrist', x: 0.5, y: 0.5 }], edges: [] },
		taken: ['person'],
		own: false,
		store,
		remove: async () => {},
		close: () => {},
	});
	const save = screen.getByRole('button', { name: 'Save' }) as HTMLButtonElement;
	expect(save.disabled).toBe(true);
	await fireEvent.input(screen.getByLabelText('Name, as rows refer to it'), { target: { value: 'person' } });
	expect(screen.getByRole('alert').textContent).toContain('person');
	await fireEvent.input(screen.getByLabelText('Name, as rows refer to it'), { target: { value: 'hand' } });
	expect(save.disabled).toBe(false);
	await clean();
	await fireEvent.click(save);
	expect(store).toHaveBeenCalledWith({ id: 'hand', points: [{ name: 'wrist', x: 0.5, y: 0.5 }], edges: [] });
});

test('Sort: a field, and which way', async () => {
	const { default: Sort } = await import('./explore/Sort.svelte');
	const change = vi.fn();
	const fields = [
		{ key: 'split', title: 'split' },
		{ key: '#objects', title: '#objects' },
	];
	const { rerender } = render(Sort, { sort: '', fields, change });
	expect(screen.queryByRole('button')).toBeNull(); // nothing to turn round
	await fireEvent.change(screen.getByRole('combobox', { name: /^Sort/ }), { target: { value: '#objects' } });
	expect(change).toHaveBeenLastCalledWith('#objects');
	await rerender({ sort: '#objects' });
	await clean();
	await fireEvent.click(screen.getByRole('button', { name: /^Smallest first/ }));
	expect(change).toHaveBeenLastCalledWith('#objects desc');
	await rerender({ sort: '#objects desc' });
	await fireEvent.click(screen.getByRole('button', { name: /^Largest first/ }));
	expect(change).toHaveBeenLastCalledWith('#objects');
	await rerender({ disabled: true });
	expect((screen.getByRole('combobox') as HTMLSelectElement).disabled).toBe(true);
});

test('Palette: commands are found by words, walked by arrows and run by Enter; those that cannot be run are not there', async () => {
	const { keymap } = await import('../keys.svelte');
	const { cmd } = await import('../commands');
	const { default: Palette } = await import('./Palette.svelte');
	const undo = vi.fn();
	const redo = vi.fn();
	const off = keymap.add([
		cmd('undo', undo),
		cmd('redo', redo),
		cmd(
			'save',
			() => {},
			() => false,
		),
	]);
	render(Palette, { open: true });
	const box = screen.getByRole('combobox');
	const names = () => screen.queryAllByRole('option').map((o) => o.textContent?.trim());
	expect(names()).toEqual([expect.stringContaining('Undo'), expect.stringContaining('Redo')]);
	await clean();
	box.focus();
	press('ArrowDown');
	press('ArrowDown'); // no further than the last one
	press('Enter');
	await vi.waitFor(() => expect(redo).toHaveBeenCalledOnce());
	cleanup();
	render(Palette, { open: true });
	await fireEvent.input(screen.getByRole('combobox'), { target: { value: 'nothing of the kind' } });
	expect(names()).toEqual([]);
	expect(screen.getByRole('combobox').getAttribute('aria-expanded')).toBe('false');
	await clean();
	await fireEvent.input(screen.getByRole('combobox'), { target: { value: 'undo' } });
	screen.getByRole('combobox').focus();
	press('Enter');
	await vi.waitFor(() => expect(undo).toHaveBeenCalledOnce());
	off();
});

test('Failure: what went wrong is an alert, can be tried again and copied without the picture', async () => {
	const { default: Failure } = await import('./Failure.svelte');
	const retry = vi.fn();
	const written: string[] = [];
	Object.defineProperty(navigator, 'clipboard', { configurable: true, value: { writeText: async (s: string) => void written.push(s) } });
	render(Failure, { message: 'no answer\nat x.ts', retry, recent: ['draw box'] });
	expect(screen.getByRole('alert').textContent).toContain('no answer');
	expect(screen.getByRole('alert').textContent).not.toContain('x.ts'); // for those who ask for it
	await clean();
	await fireEvent.click(screen.getByRole('button', { name: 'Try again' }));
	expect(retry).toHaveBeenCalledOnce();
	await fireEvent.click(screen.getByRole('button', { name: 'Copy details' }));
	expect(JSON.parse(written[0])).toMatchObject({ route: location.pathname, message: 'no answer\nat x.ts', recent: ['draw box'] });
});

test('Help and Header: every command with its keys as they are now, and the way back', async () => {
	const { keymap } = await import('../keys.svelte');
	const { prefs, save } = await import('../prefs.svelte');
	const { cmd } = await import('../commands');
	const { default: Help } = await import('./Help.svelte');
	const { default: Header } = await import('./Header.svelte');
	const run = vi.fn();
	const off = keymap.add([cmd('fit', run), cmd('help', run)]);
	save({ keys: { ...prefs.keys, fit: 'Ctrl+ArrowUp' } });
	const { unmount } = render(Help, { open: true });
	expect(screen.getByText('Fit the image').closest('div')!.textContent).toContain('Ctrl↑');
	await clean();
	unmount();
	save({ keys: {} });
	render(Header, { back: { route: { page: 'library' }, label: 'Library' }, title: 'Streets' });
	expect(screen.getByRole('heading', { level: 1 }).textContent).toBe('Streets');
	expect(screen.getByRole('link', { name: 'Library' }).getAttribute('href')).toBe('/app/');
	await fireEvent.click(screen.getByRole('button', { name: 'Show keys' }));
	expect(run).toHaveBeenCalledOnce();
	await clean();
	off();
});
