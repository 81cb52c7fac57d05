import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Browser, Page } from 'playwright-core';
import { browser, demo, golden, open, repository, save, Server, shots, type Library } from '../lib';

interface Row {
	id: string;
	data: Record<string, unknown>;
}

let lib: Library, server: Server, b: Browser;
let views: Library, viewServer: Server;
const ds = 'demo_streets';
beforeAll(async () => {
	lib = demo();
	views = golden('multiview_text');
	server = new Server(lib.dir);
	viewServer = new Server(views.dir);
	await Promise.all([server.start(), viewServer.start()]);
	b = await browser();
});
afterAll(async () => {
	await b?.close();
	await Promise.all([server?.kill(), viewServer?.kill()]);
	lib?.remove();
	views?.remove();
});

const query = <T>(path: string, body: unknown): Promise<T> =>
	fetch(server.url + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }).then(
		(r) => r.json() as Promise<T>,
	);
const count = async (table: string, q: object) => (await query<{ count: number }>(`/count/${ds}/${table}`, q)).count;
const press = async (page: Page, ...keys: string[]) => {
	for (const k of keys) await page.keyboard.press(k);
};

test('dashboard: its numbers are those of REST, split by a field; a bar leads to its items', async () => {
	const { page, errors, context } = await open(b);
	await page.goto(`${server.url}/app/d/${ds}/stats`);
	const card = page.getByRole('region', { name: 'objects.category', exact: true });
	await card.getByRole('link').first().waitFor();
	const cars = await count('objects', { where: "category = 'car'" });
	await card.getByRole('link', { name: `car: ${cars}` }).waitFor();
	await page.getByLabel('Split by').selectOption('split');
	const val = await count('objects', { where: "category = 'car'", has: [{ table: 'item', where: "split = 'val'" }] });
	await card.getByRole('link', { name: `car: ${cars} (train ${cars - val}, val ${val})` }).waitFor();
	// Completeness
	const without = await count('item', { has: [{ table: 'keypoints', not: true }] });
	const complete = page.getByRole('region', { name: 'Items with rows' });
	await complete
		.getByRole('row', { name: /^keypoints/ })
		.getByRole('link', { name: String(without), exact: true })
		.waitFor();
	await page.screenshot({ path: `${shots}/dashboard.png` });
	await card.getByRole('link', { name: /^car:/ }).click();
	await page.waitForSelector('.cell img');
	const items = await count('item', { has: [{ table: 'objects', where: "category = 'car'" }] });
	await page.waitForFunction((n) => document.querySelector('header .count')?.textContent?.includes(`${n} of 48`), items);
	await page.goBack();
	await card.waitFor();
	expect(new URL(page.url()).searchParams.get('by')).toBe('split');
	// A condition that cannot be read says so and leaves the page in place.
	await page.getByLabel('Filter', { exact: true }).fill('split = = 1');
	await page.keyboard.press('Enter');
	await page.getByRole('alert').waitFor();
	expect(errors).toEqual([]);
	await context.close();
});

test('schema: value lists and key point templates are edited and found through REST', async () => {
	const { page, errors, context } = await open(b);
	await page.goto(`${server.url}/app/d/${ds}/schema`);
	await page.getByRole('button', { name: 'Edit the values of objects.colour' }).click();
	await page.getByRole('radio', { name: /Closed/ }).check();
	await page.getByLabel('One value a line').fill('red\nblue\nred');
	await page.getByRole('button', { name: 'Save', exact: true }).click();
	await page.getByText('red, blue').waitFor();
	const d = await server.json<{ feature_values: { entities: { objects: { name: string; restricted: boolean; values: string[] }[] } } }>(
		`/datasets/${ds}`,
	);
	expect(d.feature_values.entities.objects.find((c) => c.name === 'colour')).toEqual({
		name: 'colour',
		restricted: true,
		values: ['red', 'blue'],
	});
	// A number where texts are wanted is refused by the page, and nothing is stored.
	await page.getByRole('button', { name: 'Edit the values of objects.visible' }).click();
	await page.getByLabel('One value a line').fill('much');
	await page.getByRole('button', { name: 'Save', exact: true }).click();
	await page.getByRole('alert').waitFor();
	await page.keyboard.press('Escape');

	await page.getByRole('button', { name: 'New template' }).click();
	await page.getByLabel('Name, as rows refer to it').fill('hand');
	await page.getByLabel('Name of point 1').fill('wrist');
	await page.getByRole('button', { name: 'Add a point' }).click();
	await page.getByLabel('Name of point 2').fill('tip');
	await page.getByLabel('x', { exact: true }).nth(1).fill('0.9');
	await page.getByRole('button', { name: 'Join' }).click();
	await page.screenshot({ path: `${shots}/template.png` });
	await page.getByRole('button', { name: 'Save', exact: true }).click();
	await page.getByRole('button', { name: 'Edit template hand' }).waitFor();
	const { templates } = await server.json<{ templates: unknown[] }>(`/keypoint_templates/${ds}`);
	expect(templates).toEqual([
		{
			id: 'hand',
			points: [
				{ name: 'wrist', x: 0.5, y: 0.5 },
				{ name: 'tip', x: 0.9, y: 0.5 },
			],
			edges: [[0, 1]],
		},
	]);
	expect(errors).toEqual([]);
	await context.close();
});

test('a selection: set a field, undo, delete, undo; saved views; more like one', async () => {
	const { page, errors, context } = await open(b, { annotator: 'Ana' });
	const ids = (await server.json<Row[]>(`/items/${ds}?limit=3`)).map((r) => r.id);
	const weather = () => Promise.all(ids.map(async (id) => (await server.json<Row>(`/items/${ds}/${id}`)).data.weather));
	const before = await weather();
	await page.goto(`${server.url}/app/d/${ds}?view=grid`);
	await page.waitForSelector('.cell img');
	await page.locator('.cell').nth(0).click();
	await page
		.locator('.cell')
		.nth(2)
		.click({ modifiers: ['Shift'] });
	const bar = page.getByRole('toolbar', { name: 'Selection' });
	await bar.getByText('3 selected').waitFor();
	await bar.getByRole('button', { name: 'Set a field' }).click();
	await page.getByRole('dialog').locator('select').selectOption('weather');
	await page.getByRole('dialog').locator('input').fill('snow');
	await page.getByRole('button', { name: 'Set on 3' }).click();
	await expect.poll(weather).toEqual(['snow', 'snow', 'snow']);
	await page.getByRole('button', { name: 'Undo' }).click();
	await expect.poll(weather).toEqual(before);
	await page.getByRole('status').getByText('Undone: 3 items changed').waitFor();

	const boxes = await count('bboxes', {});
	await bar.getByRole('button', { name: 'Delete' }).click();
	await page.getByRole('button', { name: 'Delete 3' }).click();
	await expect.poll(() => count('item', {})).toBe(45);
	expect(await count('bboxes', {})).toBeLessThan(boxes);
	await page.getByRole('button', { name: 'Undo' }).last().click();
	await expect.poll(() => count('item', {})).toBe(48);
	expect(await count('bboxes', {})).toBe(boxes);

	// Everything that matches, beyond what is loaded
	await page.goto(`${server.url}/app/d/${ds}?view=grid&where=split+%3D+%27val%27`);
	await page.waitForSelector('.cell img');
	await page.locator('.cell').first().click();
	await bar.getByRole('button', { name: 'Select all 12' }).click();
	await bar.getByText('12 selected').waitFor();
	await page.getByRole('button', { name: 'Saved views' }).click();
	await page.getByLabel('Name for what is shown now').fill('validation');
	await page.getByRole('button', { name: 'Save', exact: true }).click();
	await page.getByRole('button', { name: 'Remove validation' }).waitFor();
	await page.keyboard.press('Escape');

	// Another user finds the view.
	const other = await open(b);
	await other.page.goto(`${server.url}/app/d/${ds}?view=table`);
	await other.page.getByRole('button', { name: 'Saved views' }).click();
	await other.page.getByRole('button', { name: 'validation', exact: true }).click();
	await other.page.waitForFunction(() => document.body.innerText.includes('12 of 48'));
	await other.page.waitForSelector('.cell img');

	await other.page.locator('.cell').first().click();
	await other.page.getByRole('button', { name: 'More like this' }).click();
	await other.page.waitForFunction(() => new URL(location.href).searchParams.get('like') === 'street_004');
	await other.page.waitForFunction(() => document.querySelector('.cell .caption')?.textContent?.includes('street_004'));
	await other.page.screenshot({ path: `${shots}/like.png` });
	// Words describe, too: vectors of texts and of pictures are of one model.
	await other.page.getByLabel('Search by words').fill('red');
	await other.page.keyboard.press('Enter');
	await other.page.waitForFunction(() => new URL(location.href).searchParams.get('q') === 'red' && document.querySelector('.cell img'));
	expect([...errors, ...other.errors]).toEqual([]);
	await other.context.close();
	await context.close();
});

test('what is shown, copied as a call of REST and as a Go program: both give the same items', async () => {
	const { page, errors, context } = await open(b);
	await context.grantPermissions(['clipboard-read', 'clipboard-write']);
	const copied = async (name: string) => {
		await page.getByRole('button', { name: 'The same as a call' }).click();
		await page.getByRole('button', { name: `Copy ${name}` }).click();
		await page.getByText('Copied').first().waitFor();
		await page.keyboard.press('Escape');
		return page.evaluate(() => navigator.clipboard.readText());
	};
	const run = (command: string, args: string[]) => {
		const done = spawnSync(command, args, { cwd: repository, encoding: 'utf8' });
		expect(done.status, done.stderr).toBe(0);
		return done.stdout;
	};
	const where = "split = 'val' AND weather <> 'rain'";
	const has = [{ table: 'objects', where: "category = 'car'" }];
	await page.goto(`${server.url}/app/d/${ds}?${new URLSearchParams({ view: 'grid', where, has: JSON.stringify(has), sort: 'id desc' })}`);
	await page.waitForSelector('.cell img');
	const want = (await query<{ items: { row: Row }[] }>(`/explore/${ds}`, { query: { where, has, order_by: 'id desc' } })).items.map(
		(c) => c.row.id,
	);
	expect(want.length).toBeGreaterThan(2);
	const answer = JSON.parse(run('sh', ['-c', await copied('REST')])) as { items: { row: Row }[]; total: number };
	expect([answer.items.map((c) => c.row.id), answer.total]).toEqual([want, want.length]);
	const at = mkdtempSync(join(tmpdir(), 'pixano-ui-go-'));
	const program = async () => {
		const text = (await copied('Go')).replace('"library/', `"${lib.dir}/library/`);
		writeFileSync(join(at, 'main.go'), text);
		expect(run('gofmt', ['-l', at])).toBe('');
		return run('go', ['run', join(at, 'main.go')])
			.trim()
			.split('\n');
	};
	expect(await program()).toEqual(want);
	// A search, by a row that results are like
	await page.goto(`${server.url}/app/d/${ds}?${new URLSearchParams({ view: 'grid', where, emb: 'image_embedding', like: 'street_004' })}`);
	await page.waitForSelector('.cell img');
	expect(await program()).toEqual((JSON.parse(run('sh', ['-c', await copied('REST')])) as typeof answer).items.map((c) => c.row.id));
	rmSync(at, { recursive: true, force: true });
	expect(errors).toEqual([]);
	await context.close();
});

test('facets: a source and a confidence are those of one box, and what is left is counted so', async () => {
	const { page, errors, context } = await open(b);
	await page.goto(`${server.url}/app/d/${ds}?view=grid`);
	await page.waitForSelector('.cell img');
	await page.getByRole('button', { name: 'bboxes.source' }).click();
	await page.getByRole('button', { name: 'bboxes.confidence' }).click();
	await page.locator('aside').getByText('street-detector').first().click();
	await page.waitForFunction(() => new URL(location.href).searchParams.get('has')?.includes('street-detector'));
	const bins = page.getByRole('group', { name: 'confidence' }).getByRole('button');
	const model = await count('bboxes', { where: "source_ref.id = 'street-detector'" });
	const counted = async () =>
		(await bins.evaluateAll((list) => list.map((x) => Number(/: ([\d,]+)/.exec(x.getAttribute('title') ?? '')?.[1] ?? 0)))).reduce(
			(a, n) => a + n,
			0,
		);
	await expect.poll(counted).toBe(model); // not those of the truth in the same items
	await bins.last().focus();
	await page.keyboard.press('Enter');
	await page.waitForFunction(() => new URL(location.href).searchParams.get('has')?.includes('BETWEEN'));
	const has = JSON.parse(new URL(page.url()).searchParams.get('has')!) as { table: string; where: string }[];
	expect(has).toHaveLength(1);
	expect(has[0].where).toMatch(/^source_ref\.id = 'street-detector' AND confidence BETWEEN /);
	const n = await count('item', { has });
	await page.waitForFunction((x) => document.querySelector('header .count')?.textContent?.includes(`${x} of 48`), n);
	expect(errors).toEqual([]);
	await context.close();
});

test('words are found in texts', async () => {
	const { page, errors, context } = await open(b);
	await page.goto(`${server.url}/app/d/captions?view=grid`);
	await page.waitForSelector('.cell');
	await page.getByLabel('Search by words').fill('bus');
	await page.keyboard.press('Enter');
	const found = await query<{ total: number }>('/explore/captions', { search: { table: 'text', words: { text: 'bus' } }, with: ['total'] });
	expect(found.total).toBeGreaterThan(0);
	await page.waitForFunction((n) => document.querySelector('header .count')?.textContent?.trim().startsWith(`${n} item`), found.total);
	expect(errors).toEqual([]);
	await context.close();
});

test('models: the local ones are listed; one makes masks of the boxes of an item, as a job under its own source', async () => {
	const { page, errors, context } = await open(b, { annotator: 'Ana' });
	await page.goto(`${server.url}/app/`);
	const panel = page.getByRole('complementary', { name: 'Models' });
	await panel.getByText('builtin-grabcut').first().waitFor();
	await panel.getByLabel('Address of an inference server').fill('http://127.0.0.1:9');
	await panel.getByRole('button', { name: 'Connect' }).click();
	await page.locator('.toast').waitFor(); // nobody answers there
	const boxes = await count('bboxes', { item_ids: ['street_001'] });
	await page.goto(`${server.url}/app/d/${ds}/i/street_001`);
	await page.waitForSelector('[data-stage]');
	await page.getByRole('button', { name: 'Run a model' }).click();
	await page.getByRole('dialog').getByLabel('Model', { exact: true }).selectOption({ label: 'builtin-grabcut' });
	await page.getByText(`${boxes} rows of bboxes`).waitFor();
	await page.getByRole('button', { name: 'Run', exact: true }).click();
	await page.getByText(`${boxes} done now`).waitFor({ timeout: 60_000 });
	await page.screenshot({ path: `${shots}/job.png` });
	await page.getByRole('button', { name: 'Close', exact: true }).last().click();
	const sources = await server.json<Row[]>(`/sources/${ds}`);
	const source = sources.find((s) => s.data.kind === 'model' && s.data.name === 'builtin-grabcut')!;
	expect(await count('masks', { where: `source_ref.id = '${source.id}'` })).toBe(boxes);
	expect(errors).toEqual([]);
	await context.close();
});

test('several views: side by side, one at a time, and cameras that move together', async () => {
	const { page, errors, context } = await open(b);
	const [item] = await viewServer.json<Row[]>('/items/golden_multiview_text?limit=1');
	await page.goto(`${viewServer.url}/app/d/golden_multiview_text/i/${item.id}`);
	await page.waitForSelector('[data-stage]');
	const stages = () => page.locator('[data-stage]').count();
	const many = await stages();
	expect(many).toBeGreaterThan(1);
	await page.waitForTimeout(500);
	type Stages = Map<number, { camera: { scale: number }; image: { width: number; height: number } }>;
	const state = () =>
		page.evaluate(() =>
			[...(globalThis as unknown as { pixanoStages: Stages }).pixanoStages.values()].map((s) => ({
				scale: s.camera.scale,
				size: `${s.image.width} ${s.image.height}`,
			})),
		);
	const before = await state();
	await page.locator('[data-stage]').first().hover();
	await page.mouse.wheel(0, -400);
	await page.waitForTimeout(300);
	const after = await state();
	expect(after[0].scale).not.toBe(before[0].scale);
	for (const s of after.slice(1)) if (s.size === after[0].size) expect(s.scale).toBeCloseTo(after[0].scale, 5);
	// One alone, by double click, key and tab; the eye's place is kept.
	await page
		.locator('[data-stage]')
		.first()
		.dblclick({ position: { x: 5, y: 5 } });
	expect(await stages()).toBe(1);
	await page.screenshot({ path: `${shots}/view-alone.png` });
	const tabs = page.getByRole('tablist', { name: 'Views of the item' }).getByRole('tab');
	await tabs.nth(1).click();
	expect(await tabs.nth(1).getAttribute('aria-selected')).toBe('true');
	await page.getByRole('button', { name: 'Side by side' }).click();
	expect(await stages()).toBe(many);
	await page.waitForTimeout(300);
	expect((await state())[0].scale).toBeCloseTo(after[0].scale, 5);
	await page.screenshot({ path: `${shots}/views-split.png` });
	expect(errors).toEqual([]);
	await context.close();
});

test('three pictures of the demo are labelled from the keyboard alone, and read through REST and by Python Pixano', async () => {
	const { page, errors, context } = await open(b, { annotator: 'Ana' });
	const items = (await server.json<Row[]>(`/items/${ds}?limit=3`)).map((i) => i.id);
	const boxes = async (item: string) => server.json<Row[]>(`/annotations/${ds}/bboxes?item_ids=${item}`);
	const before = new Set((await Promise.all(items.map(boxes))).flat().map((r) => r.id));
	await page.goto(`${server.url}/app/`);
	await page.waitForSelector('a.card');
	for (let n = 0; n < 30; n++) {
		await press(page, 'Tab');
		if (
			await page.evaluate(
				() => document.activeElement?.textContent?.includes('Streets') && document.activeElement.classList.contains('card'),
			)
		)
			break;
	}
	await press(page, 'Enter');
	await page.waitForSelector('.cell');
	for (let n = 0; n < 80 && (await page.evaluate(() => document.activeElement?.getAttribute('role'))) !== 'listbox'; n++)
		await press(page, 'Tab');
	await press(page, 'ArrowDown', 'Enter');
	for (const item of items) {
		await page.waitForFunction((id) => document.querySelector('.item')?.textContent === id && document.querySelector('[data-stage]'), item);
		await page.waitForTimeout(400);
		await press(page, 'r', '3', 'ArrowLeft', 'ArrowUp', 'Enter');
		await press(page, 'ArrowRight', 'ArrowRight', 'Control+ArrowRight', 'Control+ArrowDown', 'Enter');
		if (item !== items[2]) await press(page, 'Shift+ArrowRight');
	}
	await save(page);
	const rows = (await Promise.all(items.map(boxes))).flat().filter((r) => !before.has(r.id));
	expect(rows.map((r) => (r.data.item_ref as { id: string }).id)).toEqual(items);
	const entity = (r: Row) => (r.data.entity_ref as { id: string }).id;
	for (const r of rows) {
		expect(r.data.source_ref).toEqual({ name: 'source', id: 'human-ana' });
		expect((await server.json<Row>(`/entities/${ds}/objects/${entity(r)}`)).data.category).toBe('car');
	}
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
	const read = spawnSync(python.stdout.trim(), ['-c', script, join(lib.dir, 'library/streets'), JSON.stringify(rows.map((r) => r.id))], {
		encoding: 'utf8',
	});
	expect(read.stderr.split('\n').filter((l) => l.startsWith('Traceback'))).toEqual([]);
	const seen = JSON.parse(read.stdout.trim().split('\n').at(-1)!) as [string, ...unknown[]][];
	expect(new Map(seen.map(([id, ...rest]) => [id, rest]))).toEqual(new Map(rows.map((r) => [r.id, [r.data.coords, 'human-ana', 'car']])));
});
