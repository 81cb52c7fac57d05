import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Browser, Page } from 'playwright-core';
import { browser, demo, open, Server, shots, type Library } from '../lib';

let lib: Library, server: Server, b: Browser;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
beforeAll(async () => {
	lib = demo();
	server = new Server(lib.dir);
	await server.start();
	b = await browser();
});
afterAll(async () => {
	await b?.close();
	await server?.kill();
	lib?.remove();
});

interface Found {
	id: string;
	impact: string;
	nodes: { html: string; failureSummary: string }[];
}

async function faults(page: Page, ...rules: string[]): Promise<string[]> {
	await page.evaluate(axe);
	const found = await page.evaluate(
		async (only) => {
			const { axe } = globalThis as unknown as { axe: { run(o: unknown): Promise<{ violations: Found[] }> } };
			return (await axe.run({ runOnly: only, rules: { region: { enabled: false } } })).violations;
		},
		rules.length > 0 ? rules : ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
	);
	return found.flatMap((f) =>
		f.nodes.map((n) => `${f.id}: ${n.html.slice(0, 160)} ${n.failureSummary.replaceAll('\n', ' ').slice(0, 200)}`),
	);
}

// Every page, and what opens on it. Each is looked at in the dark theme by all rules, in both for its colours.
type Step = (page: Page) => Promise<unknown>;
const key =
	(...keys: string[]): Step =>
	async (page) => {
		for (const k of keys) await page.keyboard.press(k);
	};
const stage: Step = async (page) => {
	await page.waitForFunction(() => document.querySelector('.objects .line'));
	await page.focus('[data-stage]');
};
const button =
	(name: string): Step =>
	(page) =>
		page.getByRole('button', { name, exact: true }).click();
const chosen: Step = async (page) => {
	await page.locator('.cell').first().click();
	await page.getByRole('toolbar', { name: 'Selection' }).waitFor();
};
const narrow: Step = async (page) => {
	await page.setViewportSize({ width: 640, height: 800 });
	await page.getByRole('button', { name: 'Show or hide the filters' }).click();
	await page.getByRole('dialog', { name: 'Filters' }).waitFor();
};
const item = 'd/streets/i/street_001';
const states: [name: string, path: string, ready: string, ...steps: Step[]][] = [
	['library', '', 'a.card'],
	['library, nothing found', '?q=zzz', 'main'],
	['grid', 'd/streets?view=grid', '.cell img'],
	['grid, a selection', 'd/streets?view=grid', '.cell img', chosen],
	['grid, a field of the selection', 'd/streets?view=grid', '.cell img', chosen, button('Set a field')],
	['grid, deletion', 'd/streets?view=grid', '.cell img', chosen, button('Delete')],
	['grid, preview', 'd/streets?view=grid', '.cell img', chosen, (p) => p.locator('.list [role=listbox]').press(' ')],
	['grid, saved views', 'd/streets?view=grid', '.cell img', button('Saved views')],
	['grid, run a model', 'd/streets?view=grid', '.cell img', button('Run a model')],
	['table', 'd/streets?view=table', '[role=gridcell] img'],
	['narrow, filters', 'd/streets?view=grid', '.cell img', narrow],
	['grid, a histogram', 'd/streets?view=grid', '.cell img', button('bboxes.confidence'), (p) => p.locator('.bin').first().press('End')],
	['a lost picture', 'd/streets?view=grid&pic=x&emb=image_embedding', '[role=alert]'],
	['table, columns', 'd/streets?view=table', '[role=gridcell] img', button('Columns')],
	['table, conditions', `d/streets?view=table&where=${encodeURIComponent("split = 'val'")}`, '[role=gridcell] img', button('Conditions')],
	['a wrong filter', 'd/streets?where=split+%3D+%3D', '[role=alert]'],
	['no match', `d/streets?where=${encodeURIComponent("split = 'none'")}`, '.message h2'],
	['texts', 'd/captions?view=grid', '.cell'],
	['dashboard', 'd/streets/stats?by=split', 'section[aria-label^="objects"] svg'],
	['schema', 'd/streets/schema', '.sources a'],
	['schema, values', 'd/streets/schema', '.sources a', button('Edit the values of objects.colour')],
	['schema, template', 'd/streets/schema', '.sources a', button('New template')],
	['workspace', item, '[data-stage]', stage],
	['workspace, one selected', item, '[data-stage]', stage, key('Tab')],
	...(
		[
			['box', 'r'],
			['polygon', 'p'],
			['brush', 'b'],
			['skeleton', 'j'],
			['smart', 'w'],
			['merge', 'm'],
		] as const
	).map(([tool, k]): (typeof states)[number] => [`workspace, ${tool}`, item, '[data-stage]', stage, key(k)]),
	['workspace, masks', item, '[data-stage]', stage, button('Masks')],
	['workspace, classes', item, '[data-stage]', stage, key('Tab', 'Shift+c')],
	['workspace, labels', item, '[data-stage]', stage, key('Tab', 'c')],
	['workspace, relink', item, '[data-stage]', stage, key('Tab', 'Shift+m')],
	['workspace, image', item, '[data-stage]', stage, (p) => p.locator('#tab-image').click()],
	['workspace, history', item, '[data-stage]', stage, (p) => p.locator('#tab-history').click()],
	['workspace, review', item, '[data-stage]', stage, key('Shift+r')],
	['workspace, object menu', item, '[data-stage]', stage, key('Tab', 'Shift+F10')],
	['workspace, undone', item, '[data-stage]', stage, key('Tab', 'Delete', 'Control+z')],
	['workspace, objects filtered', item, '[data-stage]', stage, button('Filter and colour objects')],
	['workspace, saved', item, '[data-stage]', stage, (p) => p.locator('[data-state] button').click()],
	['workspace, run a model', item, '[data-stage]', stage, button('Run a model')],
	['palette', item, '[data-stage]', stage, key('Control+k')],
	['keys', item, '[data-stage]', stage, key('?')],
	['an item that is not there', 'd/streets/i/none', '[role=alert]'],
	['settings', 'settings', '.keys'],
	['no such page', 'nowhere', '[role=alert]'],
	['manual', '../docs/manual/', 'h1'],
	['manual, a page', '../docs/manual/rest.md', 'h1'],
	['manual, the command line', '../docs/manual/cli.md', 'h1'],
	['description of REST', '../docs', 'h1'],
];

test.each(states)('axe finds nothing: %s', async (name, path, ready, ...steps) => {
	const { page, context, errors } = await open(b, { theme: 'dark', annotator: 'ana' });
	const pages = path.startsWith('../'); // of the server, which follow the system
	const theme = (to: 'dark' | 'light') =>
		pages ? page.emulateMedia({ colorScheme: to }) : page.evaluate((x) => (document.documentElement.dataset.theme = x), to);
	if (pages) await theme('dark');
	await page.goto(new URL(path, `${server.url}/app/`).href);
	await page.waitForSelector(ready);
	for (const step of steps) await step(page);
	await page.waitForLoadState('networkidle');
	await page.waitForTimeout(200);
	const picture = (theme: string) => page.screenshot({ path: `${shots}/state ${name} ${theme}.png` });
	await picture('dark');
	expect(await faults(page)).toEqual([]);
	await theme('light');
	await picture('light');
	// Colours again in both, without what axe cannot see through: canvases that reach beyond the stage, bars below texts.
	await page.addStyleTag({ content: 'canvas { display: none } *::after { content: none !important }' });
	for (const to of ['light', 'dark'] as const) {
		await theme(to);
		expect(await faults(page, 'color-contrast'), to).toEqual([]);
	}
	expect(errors).toEqual([]);
	await context.close();
});

test('by keys alone: menus give the focus back, lists tell where they are, the stage is left, panels are a drawer', async () => {
	const { page, context, errors } = await open(b, { annotator: 'ana' });
	const press = key;
	const focus = () =>
		page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent?.trim());
	await page.goto(`${server.url}/app/d/streets?view=table`);
	await page.waitForSelector('[role=gridcell] img');
	// A menu
	await page.getByRole('button', { name: 'Columns' }).focus();
	await press('Enter')(page);
	await expect.poll(() => page.evaluate(() => document.activeElement?.closest('label')?.textContent)).toBe('image');
	await press('ArrowDown', 'ArrowDown', 'Space')(page);
	await page.getByRole('columnheader', { name: 'split', exact: true }).waitFor({ state: 'detached' });
	await press('Home', 's', 'Space', 'Escape')(page);
	await page.getByRole('columnheader', { name: 'split', exact: true }).waitFor();
	expect(await focus()).toBe('Columns');
	expect(await page.locator(':popover-open').count()).toBe(0);
	// The order by a head, and the rows
	await page.getByRole('columnheader', { name: 'weather' }).getByRole('button').focus();
	await press('Enter', 'Enter')(page);
	await page.waitForSelector('[aria-sort=descending]');
	const grid = page.getByRole('grid');
	await expect.poll(() => grid.getAttribute('aria-rowcount')).toBe('49');
	await grid.focus();
	const active = () =>
		page.evaluate(() => {
			const e = document.getElementById(document.activeElement?.getAttribute('aria-activedescendant') ?? '');
			return e && [e.getAttribute('aria-rowindex'), e.getAttribute('aria-selected')].join(' ');
		});
	await press('ArrowDown', 'ArrowDown')(page);
	await expect.poll(active).toBe('3 true');
	await press('End')(page);
	await page.waitForSelector('[aria-rowindex="49"]');
	await press('Home')(page);
	await expect.poll(active).toBe('3 true');
	// As a grid of pictures, sorted
	await press('2')(page);
	await page.getByRole('combobox', { name: /^Sort/ }).selectOption('time_of_day');
	await page.getByRole('button', { name: /^Smallest first/ }).press('Enter');
	await page.waitForFunction(() => new URL(location.href).searchParams.get('sort') === 'time_of_day desc');
	const first = page.locator('.cell').first();
	expect([await first.getAttribute('aria-posinset'), await first.getAttribute('aria-setsize')]).toEqual(['1', '48']);
	// The stage
	await page.goto(`${server.url}/app/${item}`);
	await stage(page);
	await press('Tab', 'Tab')(page);
	expect(await page.evaluate(() => document.activeElement?.hasAttribute('data-stage'))).toBe(true);
	await press('Escape', 'Escape', 'Tab')(page);
	expect(await page.evaluate(() => document.activeElement?.closest('main, aside, [role=separator]') !== null)).toBe(true);
	expect(await page.evaluate(() => document.activeElement?.hasAttribute('data-stage'))).toBe(false);
	// In a narrow window
	await page.setViewportSize({ width: 800, height: 600 });
	await expect.poll(() => page.locator('aside').count()).toBe(0);
	await press('/')(page);
	await page.getByLabel('Search objects').waitFor();
	expect(await focus()).toBe('Search objects');
	await press('Escape', ']')(page);
	await expect.poll(() => page.locator('aside').count()).toBe(0);
	expect(errors).toEqual([]);
	await context.close();
});

test('French, and a language that shows what is not translated', async () => {
	for (const lang of ['fr', 'pseudo']) {
		const { page, context, errors } = await open(b, { lang });
		await page.goto(`${server.url}/app/d/streets/i/street_001`);
		await page.waitForSelector('[data-stage]');
		await page.waitForTimeout(800);
		await page.screenshot({ path: `${shots}/item-${lang}.png` });
		const words = await page.evaluate(() =>
			[...document.querySelectorAll('[role=tab], .hint, [role=toolbar] button')]
				.map((e) => e.getAttribute('aria-label') ?? e.textContent ?? '')
				.filter(Boolean),
		);
		if (lang === 'fr') expect(words).toContain('Propriétés');
		else for (const w of words) expect(w).toMatch(/^⟦.*⟧$/);
		await page.goto(`${server.url}/app/d/streets`);
		await page.waitForSelector('.cell');
		await page.waitForTimeout(500);
		await page.screenshot({ path: `${shots}/explorer-${lang}.png` });
		expect(errors).toEqual([]);
		await context.close();
	}
});

test('library → filter → open → next under the filter; Back keeps the place', async () => {
	const { page, context, errors } = await open(b);
	await page.goto(`${server.url}/app/`);
	await page.getByText('Streets').click();
	await page.waitForSelector('.cell img');
	// A facet, the same as text, a condition on another table
	await page.locator('aside').getByText('val', { exact: true }).click();
	await expect.poll(() => page.getByLabel('Filter', { exact: true }).inputValue()).toBe("split = 'val'");
	await page.waitForFunction(() => document.body.innerText.includes('12 of 48'));
	await page.locator('aside').getByText('bus', { exact: true }).click();
	await page.waitForFunction(() => /\b[1-9] of 48/.test(document.body.innerText));
	const url = page.url();
	const shown = Number(/(\d+) of 48/.exec(await page.locator('header .count').innerText())![1]);
	// A wrong expression says where
	await page.getByLabel('Filter', { exact: true }).fill('split = = 1');
	await page.keyboard.press('Enter');
	await page.waitForSelector('[role=alert] h2');
	await page.screenshot({ path: `${shots}/filter-wrong.png` });
	await page.goBack().catch(() => {});
	await page.goto(url);
	await page.waitForSelector('.cell img');
	await page.locator('.cell').first().dblclick();
	await page.waitForSelector('[data-stage]');
	await page.waitForFunction((n) => document.querySelector('.place')?.textContent === `1 of ${n}`, shown);
	await page.keyboard.press('Shift+ArrowRight');
	await page.waitForFunction((n) => document.querySelector('.place')?.textContent === `2 of ${n}`, shown);
	await page.locator('header a').first().click();
	await page.waitForSelector('.cell img');
	expect(new URL(page.url()).searchParams.get('where')).toBe("split = 'val'");
	// Nothing matches: the filter in words, and a way out
	await page.getByLabel('Filter', { exact: true }).fill("split = 'none'");
	await page.keyboard.press('Enter');
	await page.getByRole('button', { name: 'Clear the last condition' }).click();
	expect(errors).toEqual([]);
	await context.close();
});
