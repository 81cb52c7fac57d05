// @vitest-environment jsdom
import { clean, lay, press, text } from '../testing';
import { cleanup, fireEvent, render, screen } from '@testing-library/svelte';
import { createRawSnippet, tick } from 'svelte';
import { afterEach, beforeAll, expect, test, vi } from 'vitest';
import Menu from './Menu.svelte';
import { radios } from './radios';
import VirtualList from './VirtualList.svelte';

beforeAll(() => lay({ width: 300, height: 720 }));
afterEach(cleanup);

const focused = () => document.activeElement?.textContent?.trim() || document.activeElement?.getAttribute('aria-label') || '';

function menu(): HTMLElement {
	const children = createRawSnippet(() => ({
		render: () => `<ul>
			<li><button>Grow</button></li><li><button>Shrink</button></li><li><button disabled>Smooth</button></li>
			<li><button>Split parts</button></li><li><label>Radius <input type="number" value="3"></label></li>
			<li><label><input type="checkbox"> Store a box</label></li></ul>`,
	}));
	render(Menu, { label: 'Masks', button: text('Masks'), children });
	return screen.getByRole('button', { name: 'Masks' });
}

test('Menu: opened by an arrow, it has the focus at its first or last control', async () => {
	const button = menu();
	expect(button.getAttribute('aria-expanded')).toBe('false');
	button.focus();
	expect(press('ArrowDown')).toBe(false);
	await expect.poll(focused).toBe('Grow');
	expect(button.getAttribute('aria-expanded')).toBe('true');
	await clean();
	screen.getByRole('dialog', { name: 'Masks' }).hidePopover();
	await tick();
	expect(screen.queryByText('Grow')).toBeNull();
	button.focus();
	press('ArrowUp');
	await expect.poll(() => (document.activeElement as HTMLInputElement).type).toBe('checkbox');
});

test('Menu: arrows, Home, End and letters go over the controls that are not disabled; fields keep their own keys', async () => {
	vi.useFakeTimers({ toFake: ['performance'] });
	vi.advanceTimersByTime(2000);
	const button = menu();
	const behind = vi.fn();
	document.body.addEventListener('keydown', behind);
	button.focus();
	press('ArrowDown');
	await expect.poll(focused).toBe('Grow');
	press('ArrowDown');
	expect(focused()).toBe('Shrink');
	press('ArrowDown');
	expect(focused()).toBe('Split parts'); // Smooth is disabled
	press('Home');
	expect(focused()).toBe('Grow');
	press('ArrowUp');
	expect((document.activeElement as HTMLInputElement).type).toBe('checkbox');
	press('Home');
	press('End');
	expect((document.activeElement as HTMLInputElement).type).toBe('checkbox');
	press('g');
	expect(focused()).toBe('Grow');
	press('Delete'); // not for what is selected behind the menu
	vi.advanceTimersByTime(2000);
	press('s');
	expect(focused()).toBe('Shrink');
	press('s'); // again: the next that begins so, then the names of labels
	expect(focused()).toBe('Split parts');
	press('s');
	expect((document.activeElement as HTMLInputElement).type).toBe('checkbox');
	vi.advanceTimersByTime(2000);
	press('s');
	press('p');
	expect(focused()).toBe('Split parts');
	vi.useRealTimers();
	const field = screen.getByRole('spinbutton');
	field.focus();
	expect(press('ArrowDown')).toBe(true);
	expect(press('3')).toBe(true);
	expect(document.activeElement).toBe(field);
	expect(behind).not.toHaveBeenCalled();
	expect(press('Escape')).toBe(true); // the browser's own, which closes it
	expect(behind).toHaveBeenCalledOnce();
	document.body.removeEventListener('keydown', behind);
});

const row = createRawSnippet((i: () => number) => ({
	render: () => `<div role="row" aria-rowindex="${i() + 2}"><span role="gridcell">${i()}</span></div>`,
}));
const header = createRawSnippet(() => ({ render: () => `<div role="row" aria-rowindex="1"><span role="columnheader">n</span></div>` }));
const shown = () => screen.getAllByRole('gridcell').map((c) => Number(c.textContent));

test('VirtualList: a million rows to their end by keys, with the focus kept and few elements', async () => {
	const asked: [number, number][] = [];
	const { component } = render(VirtualList, {
		rows: 1_000_000,
		rowHeight: 72,
		row,
		label: 'Items',
		role: 'grid',
		onrange: (first: number, end: number) => asked.push([first, end]),
	});
	const box = screen.getByRole('grid', { name: 'Items' });
	expect(box.getAttribute('aria-rowcount')).toBe('1000000');
	box.focus();
	await tick();
	expect(shown().slice(0, 3)).toEqual([0, 1, 2]);
	const go = async (key: string) => {
		expect(press(key)).toBe(false);
		await tick();
		expect(document.activeElement).toBe(box);
		expect(shown().length).toBeLessThanOrEqual(17); // ten fit
		return shown();
	};
	expect((await go('End')).at(-1)).toBe(999_999);
	expect(asked.at(-1)![1]).toBe(1_000_000);
	expect((await go('ArrowUp'))[0]).toBe(999_986); // by one row, though a pixel of the thumb is nine
	expect((await go('PageUp'))[0]).toBe(999_977);
	expect((await go('Home'))[0]).toBe(0);
	expect((await go('PageDown')).at(-1)).toBe(21);
	await fireEvent.wheel(box, { deltaY: 72 });
	expect(shown().at(-1)).toBe(22);
	component.reveal(500_000);
	await tick();
	expect(shown()).toContain(500_000);
	expect(press('ArrowDown', { ctrlKey: true })).toBe(true); // not a key of the list
	await clean();
});

test('VirtualList: the header is a row too, and the active element is told', async () => {
	const { rerender } = render(VirtualList, { rows: 5, rowHeight: 72, row, header, label: 'Items', role: 'grid', active: 'row-2' });
	const box = screen.getByRole('grid');
	expect(box.getAttribute('aria-rowcount')).toBe('6');
	expect(box.getAttribute('aria-activedescendant')).toBe('row-2');
	expect(box.getAttribute('aria-multiselectable')).toBe('true');
	const own = vi.fn((e: KeyboardEvent) => e.key === 'ArrowDown' && e.preventDefault());
	await rerender({ onkey: own });
	box.focus();
	press('ArrowDown'); // what the page does with it comes first
	press('End');
	expect(own).toHaveBeenCalledTimes(2);
});

test('radios: arrows choose the next one that is not disabled, round the ends', () => {
	document.body.innerHTML = `<div role="radiogroup" aria-label="Mode">
		<button role="radio">paint</button><button role="radio" disabled>smudge</button><button role="radio">erase</button></div>`;
	const group = document.querySelector<HTMLElement>('[role=radiogroup]')!;
	const [paint, , erase] = group.querySelectorAll('button');
	const clicked: string[] = [];
	group.addEventListener('click', (e) => clicked.push((e.target as HTMLElement).textContent!));
	const { destroy } = radios(group);
	paint.focus();
	press('ArrowRight');
	expect(document.activeElement).toBe(erase);
	press('ArrowDown');
	expect(document.activeElement).toBe(paint);
	press('ArrowRight', { ctrlKey: true });
	expect(clicked).toEqual(['erase', 'paint']);
	destroy();
	press('ArrowRight');
	expect(document.activeElement).toBe(paint);
	document.body.innerHTML = '';
});
