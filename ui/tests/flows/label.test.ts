import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Browser, Page } from 'playwright-core';
import { browser, drag, golden, open, repository, saved, Server, shots, type Library } from '../lib';

interface Row {
	id: string;
	updated_at: string;
	data: Record<string, unknown>;
}

let lib: Library, server: Server, b: Browser;
const ds = 'golden_image_detection';
beforeAll(async () => {
	lib = golden('image_detection');
	server = new Server(lib.dir);
	await server.start();
	b = await browser();
});
afterAll(async () => {
	await b?.close();
	await server?.kill();
	lib?.remove();
});

const ready = async (page: Page, item: string) => {
	await page.waitForFunction((id) => document.querySelector('.item')?.textContent === id && document.querySelector('[data-stage]'), item);
	await page.waitForTimeout(400);
};
const boxes = (item: string) => server.json<Row[]>(`/annotations/${ds}/bboxes?item_ids=${item}`).catch(() => [] as Row[]);
const press = async (page: Page, ...keys: string[]) => {
	for (const k of keys) await page.keyboard.press(k);
};

// drawn returns the boxes of an item beyond those that were there.
async function drawn(item: string, before: Row[]): Promise<Row[]> {
	const had = new Set(before.map((r) => r.id));
	return (await boxes(item)).filter((r) => !had.has(r.id));
}

test('three items are labelled from the keyboard alone, found through REST and by Python Pixano', async () => {
	const { page, errors, context } = await open(b, { annotator: 'Ana' });
	const items = (await server.json<{ id: string }[]>(`/items/${ds}?limit=3`)).map((i) => i.id);
	const before = await Promise.all(items.map(boxes));
	await page.goto(`${server.url}/app/`);
	await page.waitForSelector('a.card');
	// From the library to the item: Tab to the card, Enter, arrows to the picture, Enter.
	for (let n = 0; n < 20 && !(await page.evaluate(() => document.activeElement?.classList.contains('card'))); n++) await press(page, 'Tab');
	await press(page, 'Enter');
	await page.waitForSelector('.cell');
	for (let n = 0; n < 60 && (await page.evaluate(() => document.activeElement?.getAttribute('role'))) !== 'listbox'; n++)
		await press(page, 'Tab');
	await press(page, 'ArrowDown', 'Enter');
	for (const item of items) {
		await ready(page, item);
		// The second class; a corner, the opposite one.
		await press(page, 'r', '2', 'ArrowLeft', 'ArrowUp', 'Enter');
		await press(page, 'ArrowRight', 'ArrowRight', 'Control+ArrowRight', 'Control+ArrowDown', 'Enter');
		if (item === items[0]) await page.screenshot({ path: `${shots}/keyboard.png` });
		if (item !== items[2]) await press(page, 'Shift+ArrowRight');
	}
	await press(page, 'Control+s');
	await saved(page);
	const rows = (await Promise.all(items.map((item, i) => drawn(item, before[i])))).flat();
	expect(rows).toHaveLength(3);
	const objects = await Promise.all(
		rows.map((r) => server.json<Row>(`/entities/${ds}/objects/${(r.data.entity_ref as { id: string }).id}`)),
	);
	expect(objects.map((o) => o.data.category)).toEqual(['dog', 'dog', 'dog']);
	for (const r of rows) {
		const c = r.data.coords as number[];
		expect(r.data).toMatchObject({ format: 'xywh', is_normalized: true, source_ref: { name: 'source', id: 'human-ana' } });
		expect(c.every((v) => v >= 0 && v <= 1) && c[2] > 0.05 && c[3] > 0.05).toBe(true);
	}
	expect((await server.json<Row>(`/sources/${ds}/human-ana`)).data).toMatchObject({ kind: 'human', name: 'Ana' });
	expect(errors).toEqual([]);
	await context.close();

	const python = spawnSync(join(repository, 'scripts/python-env'), ['--find', 'pixano'], { encoding: 'utf8' });
	if (python.status !== 0) {
		if (process.env.PIXANO_REQUIRE_INTEROP) throw new Error(python.stderr);
		console.warn(`not read by Python Pixano: ${python.stderr.trim()}`);
		return;
	}
	const script = `
import sys, json
from pathlib import Path
from pixano.datasets import Dataset
ds = Dataset(Path(sys.argv[1]))
rows = ds.get_data("bboxes", ids=json.loads(sys.argv[2]))
print(json.dumps([[r.id, list(r.coords), r.source_ref.id, ds.get_data("objects", ids=r.entity_ref.id).category] for r in rows]))`;
	const read = spawnSync(python.stdout.trim(), ['-c', script, join(lib.dir, 'image_detection'), JSON.stringify(rows.map((r) => r.id))], {
		encoding: 'utf8',
	});
	expect(read.stderr.split('\n').filter((l) => l.startsWith('Traceback'))).toEqual([]);
	const seen = JSON.parse(read.stdout.trim().split('\n').at(-1)!) as [string, number[], string, string][];
	expect(new Map(seen.map((s) => [s[0], s.slice(1)]))).toEqual(new Map(rows.map((r) => [r.id, [r.data.coords, 'human-ana', 'dog']])));
});

for (const gl of ['1', '0'])
	test(`draw with the mouse, move, undo after save, redo (gl=${gl})`, async () => {
		const { page, errors, context } = await open(b, { annotator: 'Ana' });
		const item = gl === '1' ? 'item_005' : 'item_006';
		const { width, height } = (await server.json<Row[]>(`/views/${ds}/image?item_ids=${item}`))[0].data as {
			width: number;
			height: number;
		};
		const before = await boxes(item);
		await page.goto(`${server.url}/app/d/${ds}/i/${item}?gl=${gl}`);
		await ready(page, item);
		expect(
			await page.evaluate(() => (globalThis as unknown as { pixanoStages: Map<number, { kind: string }> }).pixanoStages.get(0)!.kind),
		).toBe(gl === '1' ? 'gl' : '2d');
		await page.keyboard.press('r');
		await drag(page, [width * 0.25, height * 0.25], [width * 0.75, height * 0.5]);
		await saved(page);
		let mine = await drawn(item, before);
		expect(mine).toHaveLength(1);
		expect((mine[0].data.coords as number[]).map((v) => Math.round(v * 20))).toEqual([5, 5, 10, 5]);
		await page.screenshot({ path: `${shots}/box-gl${gl}.png` });

		await press(page, 'Escape', 'v');
		await page.keyboard.press('ArrowRight');
		await page.keyboard.press('ArrowRight');
		await page.waitForSelector('[data-state="waiting"]').catch(() => {});
		await saved(page);
		await expect
			.poll(async () => Math.round(((await drawn(item, before))[0].data.coords as number[])[0] * width))
			.toBe(Math.round(width * 0.25) + 2);

		await press(page, 'Control+z', 'Control+z');
		await press(page, 'Control+s');
		await saved(page);
		expect(await drawn(item, before)).toEqual([]);
		await press(page, 'Control+Shift+z', 'Control+s');
		await saved(page);
		mine = await drawn(item, before);
		expect(mine).toHaveLength(1);

		// Delete takes the object along that nothing else belongs to.
		const object = (mine[0].data.entity_ref as { id: string }).id;
		await page.keyboard.press('Tab');
		await press(page, 'Control+z');
		await press(page, 'Control+s');
		await saved(page);
		expect((await server.json<Row[]>(`/entities/${ds}/objects?item_ids=${item}`).catch(() => [])).some((o) => o.id === object)).toBe(false);
		expect(errors).toEqual([]);
		await context.close();
	});

test('the server is killed while drawing and started again: nothing is lost', async () => {
	const { page, errors, context } = await open(b, { annotator: 'Ana' });
	const item = 'item_007';
	const before = await boxes(item);
	const { width, height } = (await server.json<Row[]>(`/views/${ds}/image?item_ids=${item}`))[0].data as { width: number; height: number };
	await page.goto(`${server.url}/app/d/${ds}/i/${item}`);
	await ready(page, item);
	await page.keyboard.press('r');
	await drag(page, [0, 0], [width * 0.3, height * 0.3]);
	await server.kill();
	for (let n = 1; n <= 4; n++) {
		await drag(page, [width * 0.15 * n, height * 0.35], [width * (0.15 * n + 0.12), height * 0.8]);
		await page.keyboard.press('Escape');
		await page.keyboard.press('r');
		await page.waitForTimeout(350);
	}
	await page.waitForSelector('[data-state="offline"]');
	await page.waitForSelector('.away');
	await page.screenshot({ path: `${shots}/offline.png` });
	await server.start();
	await press(page, 'Control+s'); // not waiting for the next try, which may be a minute away
	await saved(page);
	expect(await drawn(item, before)).toHaveLength(5);
	expect(errors).toEqual([]);
	await context.close();
});

test('the tab dies with unsaved work while the server is away: the next one offers it', async () => {
	const { page, context } = await open(b, { annotator: 'Ana' });
	const item = 'item_008';
	const before = await boxes(item);
	const { width, height } = (await server.json<Row[]>(`/views/${ds}/image?item_ids=${item}`))[0].data as { width: number; height: number };
	await page.goto(`${server.url}/app/d/${ds}/i/${item}`);
	await ready(page, item);
	await server.kill();
	await page.keyboard.press('r');
	await drag(page, [width * 0.1, height * 0.1], [width * 0.4, height * 0.4]);
	await page.waitForTimeout(300);
	await page.close({ runBeforeUnload: false });
	await server.start();
	const next = await open(b, {}, undefined, context);
	await next.page.goto(`${server.url}/app/d/${ds}/i/${item}`);
	await next.page.waitForSelector('.leftover');
	await next.page.screenshot({ path: `${shots}/leftover.png` });
	await next.page.getByRole('button', { name: 'Restore' }).click();
	await saved(next.page);
	await expect.poll(async () => (await drawn(item, before)).length).toBe(1);
	await context.close();
});

test('two windows edit one row: different fields are merged, the same field is shown', async () => {
	const one = await open(b, { annotator: 'Ana' });
	const two = await open(b, { annotator: 'Ben' });
	const item = 'item_009';
	// Neither hears of the other's changes, as when both are made at once.
	for (const { page } of [one, two]) await page.route('**/events/**', (route) => route.abort());
	const target = (await server.json<Row[]>(`/entities/${ds}/objects?item_ids=${item}`))[0];
	const box = (await boxes(item)).find((r) => (r.data.entity_ref as { id: string }).id === target.id)!;
	const go = async (p: Page) => {
		await p.goto(`${server.url}/app/d/${ds}/i/${item}?ann=bboxes/${box.id}`);
		await ready(p, item);
		await p.waitForSelector('#tab-properties');
	};
	await go(one.page);
	await go(two.page);
	const field = (p: Page, name: string) => p.locator('section', { hasText: 'objects' }).getByLabel(name, { exact: true }).first();
	// Different fields of one row
	await field(one.page, 'area').fill('11');
	await field(one.page, 'area').press('Tab');
	await one.page.waitForTimeout(1200);
	await saved(one.page);
	await field(two.page, 'category').fill('lion');
	await field(two.page, 'category').press('Tab');
	await two.page.waitForSelector('.toast');
	await saved(two.page);
	const merged = (await server.json<Row>(`/entities/${ds}/objects/${target.id}`)).data;
	expect(merged).toMatchObject({ area: 11, category: 'lion' });
	// The same field
	await field(one.page, 'category').fill('tiger');
	await field(one.page, 'category').press('Tab');
	await one.page.waitForSelector('[data-state="conflict"]');
	expect((await server.json<Row>(`/entities/${ds}/objects/${target.id}`)).data.category).toBe('lion'); // not overwritten
	await one.page.locator('[data-state="conflict"] button').click();
	await one.page.waitForSelector('table');
	await one.page.screenshot({ path: `${shots}/conflict.png` });
	await one.page.getByRole('button', { name: 'Keep mine' }).click();
	await saved(one.page);
	await expect.poll(async () => (await server.json<Row>(`/entities/${ds}/objects/${target.id}`)).data.category).toBe('tiger');
	expect([...one.errors, ...two.errors]).toEqual([]);
	await one.context.close();
	await two.context.close();
});
