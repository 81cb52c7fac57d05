// What can be done without a pointer, and what is told to those who do not see it.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Browser, Page } from 'playwright-core';
import { both, browser, demo, golden, open, placeOf, Server, shots, type Library } from '../lib';

interface Row {
	id: string;
	data: Record<string, unknown>;
}

let lib: Library, server: Server, films: Library, filmServer: Server, b: Browser;
const ds = 'demo_streets';
beforeAll(async () => {
	lib = demo();
	films = golden('video_tracking');
	server = new Server(lib.dir);
	filmServer = new Server(films.dir);
	await Promise.all([server.start(), filmServer.start()]);
	b = await browser();
});
afterAll(async () => {
	await b?.close();
	await Promise.all([server?.kill(), filmServer?.kill()]);
	lib?.remove();
	films?.remove();
});

const press = async (page: Page, ...keys: string[]) => {
	for (const k of keys) await page.keyboard.press(k);
};
const focus = (page: Page) =>
	page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent?.trim() ?? '');
const ready = async (page: Page, item: string) => {
	await page.waitForFunction((id) => document.querySelector('.item')?.textContent === id && document.querySelector('[data-stage]'), item);
	await page.waitForTimeout(500);
};

test('columns: their heads are one stop, their edges are moved by arrows, and kept; heads sort with a row chosen', async () => {
	const { page, errors, context } = await open(b);
	await page.goto(`${server.url}/app/d/${ds}?view=table`);
	await page.waitForSelector('[role=gridcell] img');
	await page.getByRole('grid').focus();
	await press(page, 'ArrowDown', 'Tab', 'ArrowRight', 'ArrowRight');
	expect(await focus(page)).toBe('split');
	await press(page, 'Enter');
	await page.waitForSelector('[aria-sort=ascending]');
	expect(new URL(page.url()).pathname).toBe(`/app/d/${ds}`); // the chosen row was not opened
	await press(page, 'Tab');
	expect(await focus(page)).toBe('Width of split');
	const edge = page.getByRole('separator', { name: 'Width of split' });
	const width = async () => Math.round((await page.getByRole('columnheader', { name: /^split/ }).boundingBox())!.width);
	const first = await width();
	await press(page, 'ArrowRight', 'ArrowRight');
	await expect.poll(width).toBe(first + 32);
	expect(await edge.getAttribute('aria-valuenow')).toBe(String(first + 32));
	await page.reload();
	await page.waitForSelector('[role=gridcell] img');
	await expect.poll(width).toBe(first + 32);
	await edge.focus();
	await press(page, 'Home');
	await expect.poll(width).toBe(first);
	// By the pointer
	const at = (await edge.boundingBox())!;
	await page.mouse.move(at.x, at.y + 8);
	await page.mouse.down();
	await page.mouse.move(at.x + 40, at.y + 8, { steps: 4 });
	await page.mouse.up();
	await expect.poll(width).toBe(first + 40);
	await edge.dblclick();
	await expect.poll(width).toBe(first);
	// One Tab more leaves the heads.
	await edge.focus();
	await press(page, 'Tab');
	expect(await page.evaluate(() => document.activeElement?.closest('[role=columnheader]'))).toBeNull();
	await edge.focus();
	await both(page, 'columns');
	await press(page, '?');
	await page.getByText('At the edge of a column: narrower, wider, as before').waitFor();
	await both(page, 'columns-help');
	expect(errors).toEqual([]);
	await context.close();
});

test('in a narrow window the filters are a drawer: the focus goes in, stays, and comes back; a histogram is brushed by keys', async () => {
	const { page, errors, context } = await open(b, {}, { width: 640, height: 800 });
	await page.goto(`${server.url}/app/d/${ds}?view=grid`);
	await page.waitForSelector('.cell img');
	expect(await page.locator('.facets').count()).toBe(0);
	expect((await page.locator('.list').boundingBox())!.width).toBe(640);
	const button = page.getByRole('button', { name: 'Show or hide the filters' });
	await button.press('Enter');
	const drawer = page.getByRole('dialog', { name: 'Filters' });
	await drawer.getByText('clear', { exact: true }).waitFor();
	const inside = () => page.evaluate(() => document.activeElement?.closest('dialog')?.getAttribute('aria-label') ?? '');
	expect(await inside()).toBe('Filters');
	expect((await page.locator('.list').boundingBox())!.width).toBe(640); // it lies over the list
	await both(page, 'drawer-640');
	await drawer.getByRole('button', { name: 'bboxes.confidence' }).press('Enter');
	const bars = drawer.getByRole('group', { name: 'confidence' }).getByRole('button');
	await bars.first().focus();
	await press(page, 'End', 'Shift+ArrowLeft', 'Shift+ArrowLeft');
	const said = drawer.getByRole('status').filter({ hasText: / to [\d.]+: \d+/ });
	await said.waitFor();
	await both(page, 'bins');
	await press(page, 'Escape');
	await expect.poll(() => said.count()).toBe(0);
	expect(await inside()).toBe('Filters');
	await press(page, 'Shift+ArrowLeft');
	const [, from, to] = /^(.*) to (.*): /.exec(await said.innerText())!;
	await press(page, 'Enter');
	await drawer.getByRole('group', { name: `confidence, from ${from} to ${to}` }).waitFor();
	expect(new URL(page.url()).searchParams.get('has')).toMatch(/confidence BETWEEN [\d.]+ AND [\d.]+/);
	expect(await page.evaluate(() => document.activeElement?.className)).toContain('bin'); // it is gone on with
	for (let i = 0; i < 40; i++) {
		await press(page, 'Tab');
		expect(['Filters', '']).toContain(await inside()); // "": of the browser
		expect(await page.evaluate(() => document.activeElement === document.body || !!document.activeElement?.closest('dialog'))).toBe(true);
	}
	await drawer.getByRole('button', { name: 'Close' }).focus();
	await press(page, 'Escape');
	await drawer.waitFor({ state: 'detached' });
	expect(await focus(page)).toBe('Show or hide the filters');
	// By its key, its button and beside it; the window that is made wide has the panel.
	await press(page, '[');
	await drawer.getByRole('button', { name: 'Close' }).click();
	await drawer.waitFor({ state: 'detached' });
	expect(await focus(page)).toBe('Show or hide the filters');
	await press(page, '[');
	await drawer.waitFor();
	await page.mouse.click(600, 500);
	await drawer.waitFor({ state: 'detached' });
	await page.setViewportSize({ width: 901, height: 800 });
	await page.getByRole('complementary', { name: 'Filters' }).waitFor();
	expect(errors).toEqual([]);
	await context.close();
});

test('the link to a search by a picture, in another tab: what is missing is told, and the search is made again or ended', async () => {
	const { page, errors, context } = await open(b);
	const view = (await server.json<Row[]>(`/views/${ds}/image?item_ids=street_007`))[0];
	const buffer = Buffer.from(await (await fetch(`${server.url}/dataset_media/${ds}/${String(view.data.url)}`)).arrayBuffer());
	const file = { name: 'mine.jpg', mimeType: 'image/jpeg', buffer };
	await page.goto(`${server.url}/app/d/${ds}?view=grid`);
	await page.waitForSelector('.cell img');
	await page.getByRole('button', { name: 'Search by a picture' }).waitFor();
	await page.locator('header input[type=file]').setInputFiles(file);
	const first = (p: Page) => p.locator('.cell .caption').first().textContent();
	await expect.poll(() => first(page)).toContain('street_007');
	const link = page.url();
	const two = await open(b, {}, undefined, context);
	const asked: string[] = [];
	two.page.on('request', (r) => asked.push(r.url()));
	await two.page.goto(link);
	const told = two.page.getByRole('alert').filter({ hasText: 'Only the tab that made this search knows its picture' });
	await told.waitFor();
	expect(await two.page.locator('.cell').count()).toBe(0); // not all items, as if that were the answer
	expect(asked.filter((x) => x.includes('/explore/'))).toEqual([]);
	await both(two.page, 'picture-lost');
	await told.locator('input[type=file]').setInputFiles(file);
	await expect.poll(() => first(two.page)).toContain('street_007');
	await two.page.goto(link);
	await told.getByRole('button', { name: 'End the search' }).click();
	await expect.poll(() => first(two.page)).toContain('street_001');
	await two.page.goto(link);
	await told.waitFor();
	await two.page.getByRole('button', { name: 'Clear', exact: true }).click();
	await two.page.waitForSelector('.cell img');
	expect(new URL(two.page.url()).searchParams.get('pic')).toBeNull();
	expect([...errors, ...two.errors]).toEqual([]);
	await context.close();
});

test('the menu of an object, by the pointer and by keys, finds what is like it; undo says what was undone', async () => {
	const { page, errors, context } = await open(b, { annotator: 'Ana' });
	const item = 'street_002';
	const box = (await server.json<Row[]>(`/annotations/${ds}/bboxes?item_ids=${item}`))[0];
	await page.goto(`${server.url}/app/d/${ds}/i/${item}?ann=bboxes/${box.id}`);
	await ready(page, item);
	const menu = page.getByRole('dialog', { name: 'What can be done with the selection' });
	const said = (text: string) => page.locator('footer [role=status]').filter({ hasText: text }).waitFor();
	// Where the selected box is; one that is not selected would be.
	await page.focus('[data-stage]');
	await press(page, 'Shift+F10');
	await menu.waitFor();
	await both(page, 'object-menu');
	await page.keyboard.press('Escape');
	await expect.poll(() => menu.count()).toBe(0);
	expect(await page.evaluate(() => (document.activeElement as HTMLElement).dataset.stage)).toBe('0');
	expect(new URL(page.url()).searchParams.get('ann')).toBe(`bboxes/${box.id}`); // it is still selected
	await press(page, 'Shift+F10');
	await menu.getByRole('button', { name: 'Delete what is selected' }).press('Enter');
	await press(page, 'Control+z');
	await said('Undone: Delete');
	await press(page, 'Control+Shift+z', 'Control+z');
	await said('Undone: Delete');
	await press(page, 'Control+z');
	await said('Nothing to undo');
	await both(page, 'undone');
	// With the right button, on an object that is not selected
	await press(page, 'Escape');
	const [x, y, w, h] = box.data.coords as number[];
	const view = (await server.json<Row[]>(`/views/${ds}/image?item_ids=${item}`))[0].data as { width: number; height: number };
	const norm = box.data.is_normalized ? [view.width, view.height] : [1, 1];
	const middle = box.data.format === 'xyxy' ? [(x + w) / 2, (y + h) / 2] : [x + w / 2, y + h / 2];
	const at = await placeOf(page, middle[0] * norm[0], middle[1] * norm[1]);
	await page.mouse.click(at.x, at.y, { button: 'right' });
	await menu.getByRole('button', { name: 'Find items like the selected object' }).click();
	await page.waitForSelector('.cell');
	expect(new URL(page.url()).searchParams.get('pic')).toBeTruthy();
	expect(errors).toEqual([]);
	await context.close();
});

test('of a video, the preview of smart segmentation goes with its frame', async () => {
	const { page, errors, context } = await open(b, { annotator: 'Ana' });
	const film = 'golden_video_tracking';
	const [{ id }] = await filmServer.json<Row[]>(`/items/${film}?limit=1`);
	await page.goto(`${filmServer.url}/app/d/${film}/i/${id}`);
	await ready(page, id);
	await press(page, 'w');
	await page.waitForSelector('select:has(option:text("builtin-grabcut"))');
	const coloured = () =>
		page.evaluate(() => {
			const hud = [...document.querySelectorAll<HTMLCanvasElement>('[data-stage] canvas')].at(-1)!;
			const { data } = hud.getContext('2d')!.getImageData(0, 0, hud.width, hud.height);
			let n = 0;
			for (let i = 3; i < data.length; i += 4) if (data[i] > 40 && data[i] < 240) n++;
			return n;
		});
	const stage = (await page.locator('[data-stage]').boundingBox())!;
	await page.mouse.move(stage.x + stage.width / 2 - 3, stage.y + stage.height / 2);
	await page.mouse.move(stage.x + stage.width / 2, stage.y + stage.height / 2);
	await expect.poll(coloured, { timeout: 20_000 }).toBeGreaterThan(200);
	await page.screenshot({ path: `${shots}/film-preview.png` });
	await press(page, 'ArrowRight');
	await page.getByText(/^Frame 2 of/).waitFor();
	await expect.poll(coloured).toBeLessThan(100); // the sign of the tool
	await page.waitForTimeout(600);
	expect(await coloured()).toBeLessThan(100); // nor did the last question bring one
	expect(errors).toEqual([]);
	await context.close();
});
