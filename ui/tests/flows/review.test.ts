import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Browser, Page } from 'playwright-core';
import { both, browser, demo, drag, open, pixano, placeOf, save, Server, type Library } from '../lib';

interface Row {
	id: string;
	updated_at: string;
	table_info: { name: string };
	data: Record<string, unknown>;
}
interface Ref {
	id: string;
}

let lib: Library, server: Server, b: Browser;
const ds = 'demo_streets';
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

const go = async (page: Page, item: string, query = '', dataset = ds, at = server) => {
	await page.goto(`${at.url}/app/d/${dataset}/i/${item}${query}`);
	await page.waitForFunction((id) => document.querySelector('.item')?.textContent === id && document.querySelector('[data-stage]'), item);
	await page.waitForTimeout(500);
};
const rows = (table: string, item: string, group = 'annotations', dataset = ds, at = server) =>
	at.json<Row[]>(`/${group}/${dataset}/${table}?item_ids=${item}&limit=1000`).catch(() => [] as Row[]);
const row = (table: string, id: string, group = 'annotations') => server.json<Row>(`/${group}/${ds}/${table}/${id}`);
const press = async (page: Page, ...keys: string[]) => {
	for (const k of keys) await page.keyboard.press(k);
};
const toStage = (page: Page) => page.locator('[data-stage="0"]').focus();
const chosen = (page: Page) => new URL(page.url()).searchParams.get('ann');
const ref = (r: Row, field: string) => (r.data[field] as Ref).id;

const eventually = <T>(see: () => T | Promise<T>) => expect.poll(see, { timeout: 15_000 });

// withModel finds the first item with so many boxes of a model that was not given before.
const given = new Set<string>();
async function withModel(least: number): Promise<string> {
	const boxes = await server.json<Row[]>(
		`/rows/${ds}/bboxes?${new URLSearchParams({ where: "source_ref.id = 'street-detector'", limit: '1000' })}`,
	);
	const counts = new Map<string, number>();
	for (const x of boxes) counts.set(ref(x, 'item_ref'), (counts.get(ref(x, 'item_ref')) ?? 0) + 1);
	const item = [...counts].sort().find(([i, n]) => n >= least && !given.has(i))![0];
	given.add(item);
	return item;
}

test('review: model annotations are accepted, rejected and corrected, and found through REST', async () => {
	const { page, errors, context } = await open(b, { annotator: 'Ana' }, { width: 1440, height: 900 });
	const item = await withModel(3);
	const model = (await rows('bboxes', item)).filter((r) => ref(r, 'source_ref') === 'street-detector');
	expect(model.length).toBeGreaterThan(2);
	await go(page, item);
	const scale = () =>
		page.evaluate(
			() => (globalThis as unknown as { pixanoStages: Map<number, { camera: { scale: number } }> }).pixanoStages.get(0)!.camera.scale,
		);
	await page.locator('[data-stage="0"]').hover();
	await press(page, '+', '+');
	const zoom = await scale();
	await press(page, 'Shift+R');
	await page.waitForSelector('.review progress');
	await toStage(page);
	// The walk begins at the first one; each verdict goes to the next.
	const first = chosen(page)!;
	await press(page, 'y');
	await eventually(() => chosen(page)).not.toBe(first);
	const second = chosen(page)!;
	await press(page, 'Delete');
	await eventually(() => chosen(page)).not.toBe(second);
	const third = chosen(page)!;
	await press(page, 'ArrowRight'); // corrected by hand
	await press(page, 'Tab');
	await both(page, 'review');
	await save(page);
	expect(await scale()).toBe(zoom);
	const id = (key: string) => key.split('/')[1];
	const [a, r, e] = await Promise.all([first, second, third].map((k) => row('bboxes', id(k))));
	expect(a.data).toMatchObject({ inference_metadata: { review: 'accepted', reviewed_by: 'Ana' }, source_ref: { id: 'street-detector' } });
	expect(r.data).toMatchObject({ inference_metadata: { review: 'rejected' }, source_ref: { id: 'street-detector' } });
	expect(e.data).toMatchObject({
		inference_metadata: { review: 'accepted', edited_from: 'street-detector' },
		source_ref: { id: 'human-ana' },
	});
	expect(await page.locator('.figures').textContent()).toContain(`3 of ${model.length}`);
	// A filter of the server finds them too.
	const accepted = await server.json<Row[]>(
		`/rows/${ds}/bboxes?${new URLSearchParams({ where: `item_ref.id = '${item}'`, limit: '1000' })}`,
	);
	expect(accepted.filter((x) => (x.data.inference_metadata as { review?: string }).review === 'accepted')).toHaveLength(2);
	// Undo takes verdicts back, one by one.
	await press(page, 'Control+z', 'Control+z');
	await save(page);
	expect((await row('bboxes', id(second))).data.inference_metadata).toEqual(
		r.data.inference_metadata && model.find((m) => m.id === id(second))!.data.inference_metadata,
	);
	expect(errors).toEqual([]);
	await context.close();
});

test('every key to the next item counts, however late the server says what comes next', async () => {
	const { page, errors, context } = await open(b, {}, { width: 1440, height: 900 });
	const ids = (await server.json<{ id: string }[]>(`/items/${ds}?limit=6`)).map((r) => r.id);
	const arrive = (id: string) => page.waitForFunction((x) => document.querySelector('.item')?.textContent === x, id);
	let asked = 0;
	await page.route('**/neighbours/**', async (route) => {
		asked++;
		await new Promise((done) => setTimeout(done, 1000));
		await route.continue().catch(() => {}); // the page may have moved on
	});
	await page.goto(`${server.url}/app/d/${ds}/i/${ids[0]}`);
	await arrive(ids[0]);
	await press(page, 'Shift+ArrowRight', 'Shift+ArrowRight'); // before anything is known
	await arrive(ids[2]);
	await press(page, 'Shift+ArrowRight', 'Shift+ArrowRight', 'Shift+ArrowRight');
	await arrive(ids[5]);
	await press(page, 'Shift+ArrowLeft');
	await arrive(ids[4]);
	await page.getByText(/^5 of /).waitFor();
	expect(asked).toBeGreaterThan(1);
	expect(errors).toEqual([]);
	await context.close();
});

test('a review goes on in the next item, and says where there is nothing to do', async () => {
	const { page, errors, context } = await open(b, { annotator: 'Ana' }, { width: 1440, height: 900 });
	const boxes = await server.json<Row[]>(
		`/rows/${ds}/bboxes?${new URLSearchParams({ where: "source_ref.id = 'street-detector'", limit: '1000' })}`,
	);
	const having = new Set(boxes.map((r) => ref(r, 'item_ref')));
	const ids = (await server.json<{ id: string }[]>(`/items/${ds}?limit=48`)).map((r) => r.id);
	const arrive = (id: string) => page.waitForFunction((x) => document.querySelector('.item')?.textContent === x, id);
	// An item with boxes of the model, one without, one with.
	const at = ids.findIndex((id, i) => i > 20 && having.has(id) && !having.has(ids[i + 1]) && having.has(ids[i + 2]));
	await go(page, ids[at]);
	await press(page, 'Shift+R');
	await page.waitForSelector('.review progress');
	await toStage(page);
	await press(page, 'Shift+ArrowRight');
	await arrive(ids[at + 1]);
	await page.getByText('Nothing to review here.').waitFor();
	expect(chosen(page)).toBeNull();
	await press(page, 'Shift+ArrowRight');
	await arrive(ids[at + 2]);
	await eventually(() => chosen(page)).not.toBeNull();
	const one = chosen(page)!.split('/')[1];
	expect(boxes.find((r) => r.id === one && ref(r, 'item_ref') === ids[at + 2])).toBeTruthy();
	await press(page, 'y');
	await save(page);
	expect((await row('bboxes', one)).data.inference_metadata).toMatchObject({ review: 'accepted' });
	expect(errors).toEqual([]);
	await context.close();
});

test('objects: filter over tables, colours, isolating; values of several rows are changed together', async () => {
	const { page, errors, context } = await open(b, { annotator: 'Ana' }, { width: 1440, height: 900 });
	const item = await withModel(2);
	await go(page, item);
	const count = async () => (await page.locator('.count span').first().textContent()) ?? '';
	const all = Number(/of (\d+)/.exec(await count())![1]);
	await page.getByRole('button', { name: 'Filter and colour objects' }).click();
	await page.locator('.filter').getByRole('button', { name: 'Add a condition' }).click();
	await page.locator('.filter').getByLabel('Field').selectOption('source.kind');
	await page.locator('.filter').getByLabel('Value').fill('model');
	await page.locator('.filter').getByLabel('Value').press('Tab');
	const boxes = (await rows('bboxes', item)).filter((r) => ref(r, 'source_ref') === 'street-detector').length;
	await eventually(count).toBe(`${boxes} of ${all} shown`);
	const visible = () =>
		page.evaluate(
			() =>
				(globalThis as unknown as { pixanoStages: Map<number, { scene: { shapes: { hidden: boolean }[] } }> }).pixanoStages
					.get(0)!
					.scene.shapes.filter((s) => !s.hidden).length,
		);
	expect(await visible()).toBe(boxes); // on the stage too
	await page.getByLabel('Colour by').selectOption('confidence');
	await both(page, 'objects-filter');
	await page.locator('.filter').getByRole('button', { name: 'Remove this condition' }).click();
	await eventually(count).toBe(`${all} of ${all} shown`);
	expect(errors).toEqual([]);
	await context.close();
});

test('history: who changed what after a reload, undone there, and what is in the way is named', async () => {
	const { page, errors, context } = await open(b, { annotator: 'Ana' }, { width: 1440, height: 900 });
	const item = 'street_003';
	const box = (await rows('bboxes', item))[0];
	await go(page, item, `?ann=bboxes/${box.id}`);
	await toStage(page);
	await press(page, 'ArrowRight', 'ArrowRight');
	await save(page);
	const moved = (await row('bboxes', box.id)).data.coords as number[];
	expect(moved).not.toEqual(box.data.coords);
	await page.reload();
	await go(page, item, `?ann=bboxes/${box.id}`);
	await page.locator('#tab-history').click();
	await page.waitForSelector('[data-change]');
	expect(await page.locator('[data-change]').count()).toBe(1);
	expect(await page.locator('[data-change]').textContent()).toMatch(/Ana.*1 changed in bboxes: coords/s);
	// Changed again by Ben: the older change cannot be undone.
	const now = await row('bboxes', box.id);
	const other = await fetch(`${server.url}/changes/${ds}`, {
		method: 'POST',
		headers: { 'content-type': 'application/json' },
		body: JSON.stringify({
			author: 'Ben',
			changes: [{ op: 'put', table: 'bboxes', row: { ...now, data: { ...now.data, coords: [0.5, 0.5, 0.1, 0.1] } } }],
		}),
	});
	expect(other.status).toBe(200);
	await eventually(() => page.locator('[data-change]').count()).toBe(2); // heard of, without a reload
	await page.locator('[data-change]').nth(1).getByRole('button', { name: 'Undo this change' }).click();
	await page.waitForSelector('.blocked');
	expect(await page.locator('.blocked').textContent()).toContain(box.id);
	await both(page, 'history');
	await page.locator('[data-change]').nth(0).getByRole('button', { name: 'Undo this change' }).click();
	await eventually(async () => (await row('bboxes', box.id)).data.coords).toEqual(moved);
	await eventually(() => page.locator('[data-change]').count()).toBe(3);
	expect(errors).toEqual([]);
	await context.close();
});

test('two windows: who is there, and what the other changes comes in, but not over unsaved work', async () => {
	const one = await open(b, { annotator: 'Ana Lee' }, { width: 1440, height: 900 });
	const two = await open(b, { annotator: 'Ben', autosave: false });
	const item = 'street_004';
	const [box, kept] = await rows('bboxes', item);
	await go(one.page, item);
	await go(two.page, item, `?ann=bboxes/${kept.id}`);
	await one.page.waitForSelector('[title="Ben is in this item"]');
	await two.page.waitForSelector('[title="Ana Lee is in this item"]');
	// Ben has unsaved work on one box; Ana moves both.
	await toStage(two.page);
	await press(two.page, 'ArrowDown');
	const coords = (p: Page, id: string) =>
		p.evaluate((key) => {
			const stage = (
				globalThis as unknown as { pixanoStages: Map<number, { scene: { get(k: string): { x: number; y: number } | undefined } }> }
			).pixanoStages.get(0)!;
			const s = stage.scene.get(`bboxes\n${key}`);
			return s ? [Math.round(s.x * 10), Math.round(s.y * 10)] : null;
		}, id);
	const mine = await coords(two.page, kept.id);
	await go(one.page, item, `?ann=bboxes/${box.id}`);
	await toStage(one.page);
	await press(one.page, 'Control+ArrowRight');
	await save(one.page);
	await go(one.page, item, `?ann=bboxes/${kept.id}`);
	await toStage(one.page);
	await press(one.page, 'Control+ArrowRight');
	await save(one.page);
	await eventually(() => coords(two.page, box.id)).toEqual(await coords(one.page, box.id));
	expect(await coords(two.page, kept.id)).toEqual(mine);
	await both(one.page, 'presence');
	// Saved, both changes are there: they are merged where they differ by column only, and shown where not.
	await press(two.page, 'Control+s');
	await two.page.waitForSelector('[data-state="conflict"]');
	// A row that the other deletes goes.
	await go(one.page, item, `?ann=bboxes/${box.id}`);
	await toStage(one.page);
	await press(one.page, 'Delete');
	await save(one.page);
	await eventually(() => coords(two.page, box.id)).toBeNull();
	await two.page.goto(`${server.url}/docs`);
	await eventually(() => one.page.locator('[title="Ben is in this item"]').count()).toBe(0);
	expect([...one.errors, ...two.errors]).toEqual([]);
	await one.context.close();
	await two.context.close();
});

test('a skeleton and a label: made, found through REST, equal in a COCO export, undone after a reload', async () => {
	const { page, errors, context } = await open(b, { annotator: 'Ana' }, { width: 1440, height: 900 });
	const item = 'street_010';
	const before = await rows('keypoints', item);
	const view = (await rows('image', item, 'views'))[0].data as { width: number; height: number };
	await go(page, item);
	await press(page, '5'); // person
	await press(page, 'j');
	await page.waitForSelector('.bar select');
	await page.locator('label', { hasText: 'Skeleton' }).locator('select').selectOption('person-17');
	await toStage(page);
	await drag(page, [200, 100], [300, 400]);
	// The second point is hidden, the third invisible, the first moved.
	await press(page, 'Tab', 'Control+ArrowRight', 'Tab', 'o', 'Tab', 'o', 'o');
	await both(page, 'skeleton');
	await save(page);
	const mine = (await rows('keypoints', item)).filter((r) => !before.some((x) => x.id === r.id));
	expect(mine).toHaveLength(1);
	const data = mine[0].data as { coords: number[]; states: string[]; template_id: string };
	expect(data).toMatchObject({ template_id: 'person-17', source_ref: { id: 'human-ana' } });
	expect(data.states).toEqual(['visible', 'hidden', 'invisible', ...Array<string>(14).fill('visible')]);
	const pixels = data.coords.map((v, i) => v * (i & 1 ? view.height : view.width));
	expect(pixels[0]).toBeCloseTo(200 + 0.5 * 100 + 10, 0);
	expect(pixels[1]).toBeCloseTo(100 + 0.08 * 300, 0);
	expect((await row('objects', ref(mine[0], 'entity_ref'), 'entities')).data.category).toBe('person');

	// A label with a confidence for the object, another for the item: one step for each sitting.
	await press(page, 'c');
	await page.waitForSelector('.classify');
	await page.getByRole('combobox', { name: 'Search, or type a label' }).fill('crossing');
	await page.keyboard.press('Enter');
	await page.getByLabel('Confidence of crossing').fill('0.75');
	await page.getByLabel('Confidence of crossing').press('Tab');
	await both(page, 'classify');
	await page.getByRole('radio', { name: 'Item' }).click();
	await page.getByRole('combobox', { name: 'Search, or type a label' }).fill('busy');
	await page.keyboard.press('Enter');
	await page.keyboard.press('Escape');
	await save(page);
	const labels = (await rows('labels', item)).filter((r) => ref(r, 'source_ref') === 'human-ana');
	expect(
		new Map(labels.map((r) => [(r.data.labels as string[]).join(), [r.data.confidences, ref(r, 'entity_ref'), ref(r, 'view_ref')]])),
	).toEqual(
		new Map([
			['crossing', [[0.75], ref(mine[0], 'entity_ref'), ref(mine[0], 'view_ref')]],
			['busy', [[1], '', '']],
		]),
	);

	// COCO has the same points.
	const out = mkdtempSync(join(tmpdir(), 'pixano-ui-coco-'));
	const done = spawnSync(
		pixano(),
		['data', 'export', join(lib.dir, 'library/streets'), join(out, 'coco'), '--format', 'coco', '--strict'],
		{
			encoding: 'utf8',
		},
	);
	expect(done.status, done.stderr).toBe(0);
	const files = readdirSync(join(out, 'coco'), { recursive: true, encoding: 'utf8' }).filter((f) => f.endsWith('.json'));
	const annotations = files.flatMap(
		(f) => (JSON.parse(readFileSync(join(out, 'coco', f), 'utf8')) as { annotations?: { keypoints?: number[] }[] }).annotations ?? [],
	);
	const want = data.states.flatMap((s, i) => (s === 'invisible' ? [0, 0, 0] : [pixels[2 * i], pixels[2 * i + 1], s === 'visible' ? 2 : 1]));
	const equal = annotations.filter((a) => a.keypoints?.length === want.length && a.keypoints.every((v, i) => Math.abs(v - want[i]) < 0.01));
	expect(equal).toHaveLength(1);
	rmSync(out, { recursive: true, force: true });

	// After a reload the history of the server undoes them.
	await go(page, item);
	await page.locator('#tab-history').click();
	await page.waitForSelector('[data-change]');
	const changes = page.locator('[data-change]');
	for (let n = await changes.count(), i = 0; i < n; i++) {
		// From the newest on: what is undone is no longer in the way.
		await changes
			.nth(2 * i)
			.getByRole('button', { name: 'Undo this change' })
			.click();
		await eventually(() => changes.count()).toBe(n + i + 1);
	}
	await eventually(() => rows('keypoints', item)).toHaveLength(before.length);
	expect((await rows('labels', item)).filter((r) => ref(r, 'source_ref') === 'human-ana')).toEqual([]);
	expect(errors).toEqual([]);
	await context.close();
});

test('objects are merged and annotations moved, each in one step that is undone in one', async () => {
	const { page, errors, context } = await open(b, { annotator: 'Ana' }, { width: 1440, height: 900 });
	const item = await withModel(1);
	const all = await rows('bboxes', item);
	const truth = all.find((r) => ref(r, 'source_ref') === 'ground_truth')!;
	const model = all.find((r) => ref(r, 'source_ref') === 'street-detector')!;
	const view = (await rows('image', item, 'views'))[0].data as { width: number; height: number };
	// The detector's box has an object of its own far from the others, so that it can be clicked.
	const own = { id: 'own', table_info: { name: 'objects', group: 'entities', base_schema: 'Entity' }, data: {} as Record<string, unknown> };
	own.data = { ...(await row('objects', ref(truth, 'entity_ref'), 'entities')).data };
	const put = await fetch(`${server.url}/changes/${ds}`, {
		method: 'POST',
		headers: { 'content-type': 'application/json' },
		body: JSON.stringify({
			changes: [
				{ op: 'insert', table: 'objects', row: own },
				{
					op: 'put',
					table: 'bboxes',
					row: { ...model, data: { ...model.data, coords: [0.02, 0.02, 0.1, 0.1], entity_ref: { name: 'objects', id: 'own' } } },
				},
			],
		}),
	});
	expect(put.status, await put.clone().text()).toBe(200);
	await go(page, item);
	await press(page, 'm');
	await page.waitForSelector('.bar .primary');
	const middle = (c: number[]) => placeOf(page, (c[0] + c[2] / 2) * view.width, (c[1] + c[3] / 2) * view.height);
	const click = async (c: number[]) => {
		const p = await middle(c);
		await page.mouse.move(p.x, p.y);
		await page.mouse.click(p.x, p.y);
	};
	await click(truth.data.coords as number[]);
	await click([0.02, 0.02, 0.1, 0.1]);
	expect(await page.locator('.bar').last().textContent()).toContain('2 picked');
	await both(page, 'merge');
	await press(page, 'Enter');
	await save(page);
	const into = ref(await row('bboxes', model.id), 'entity_ref');
	expect(into).not.toBe('own');
	expect((await rows('objects', item, 'entities')).some((o) => o.id === 'own')).toBe(false);
	await press(page, 'Escape', 'Control+z');
	await save(page);
	expect(ref(await row('bboxes', model.id), 'entity_ref')).toBe('own');
	expect((await rows('objects', item, 'entities')).some((o) => o.id === 'own')).toBe(true);

	// Relink by the keyboard: forbidden ones are named with the reason.
	await press(page, 'v');
	await click([0.02, 0.02, 0.1, 0.1]);
	await press(page, 'Shift+M');
	await page.waitForSelector('.picker');
	await both(page, 'relink');
	expect(await page.locator('.picker [aria-disabled="true"]').first().textContent()).toMatch(/already/);
	await page.locator('.picker input').fill(into);
	await page.keyboard.press('Enter');
	await save(page);
	expect(ref(await row('bboxes', model.id), 'entity_ref')).toBe(into);
	await press(page, 'Control+z');
	await save(page);
	expect(ref(await row('bboxes', model.id), 'entity_ref')).toBe('own');
	expect(errors).toEqual([]);
	await context.close();
});
