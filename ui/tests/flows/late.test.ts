// What a slow or broken connection does to a user: nothing is lost, and nothing happens to the wrong item.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Browser, Page, Route } from 'playwright-core';
import { browser, demo, drag, open, painted, placeOf, saved, save, Server, type Library } from '../lib';

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
let ids: string[];
beforeAll(async () => {
	lib = demo();
	server = new Server(lib.dir);
	await server.start();
	b = await browser();
	ids = (await server.json<Row[]>(`/items/${ds}?limit=30`)).map((r) => r.id);
});
afterAll(async () => {
	await b?.close();
	await server?.kill();
	lib?.remove();
});

const eventually = <T>(see: () => T | Promise<T>) => expect.poll(see, { timeout: 15_000 });
const address = (item: string, query = '') => `${server.url}/app/d/${ds}/i/${item}${query}`;
const arrive = (page: Page, item: string) =>
	page.waitForFunction((id) => document.querySelector('.item')?.textContent === id && document.querySelector('[data-stage]'), item);
const go = async (page: Page, item: string, query = '') => {
	await page.goto(address(item, query));
	await arrive(page, item);
	await page.waitForFunction(() => document.querySelectorAll('[role=option][id^="shape-0"]').length > 0);
};
const press = async (page: Page, ...keys: string[]) => {
	for (const k of keys) await page.keyboard.press(k);
};
const toStage = (page: Page) => page.locator('[data-stage="0"]').focus();
const chosen = (page: Page) => new URL(page.url()).searchParams.get('ann');
const boxes = (item: string) => server.json<Row[]>(`/annotations/${ds}/bboxes?item_ids=${item}&limit=1000`).catch(() => [] as Row[]);
// all counts the annotations that the server has of an item.
const all = async (item: string) => {
	const { annotations } = await server.json<{ annotations: Record<string, Row[] | null> }>(`/dataset_items/${ds}/${item}`);
	return Object.values(annotations).reduce((n, list) => n + (list?.length ?? 0), 0);
};
const shown = (page: Page) => page.locator('[role=option][id^="shape-0"]').count();
const shownBoxes = (page: Page) => page.locator('[role=option][id^="shape-0-bboxes-"]').count(); // masks come as they are decoded
const move = async (r: Row, data: Record<string, unknown>) => {
	const answer = await fetch(`${server.url}/changes/${ds}`, {
		method: 'POST',
		headers: { 'content-type': 'application/json' },
		body: JSON.stringify({
			author: 'Ben',
			key: `${r.id}-${Date.now()}`,
			changes: [{ op: 'put', table: r.table_info.name, row: { id: r.id, table_info: r.table_info, data: { ...r.data, ...data } } }],
		}),
	});
	expect(answer.status).toBe(200);
};

// gate holds the answers to some requests until it is opened. They are what the server said when it was asked.
async function gate(page: Page, path: RegExp, method = 'GET') {
	let release = () => {};
	const opened = new Promise<void>((done) => (release = done));
	const seen: Route[] = [];
	await page.route(
		(url) => path.test(url.pathname),
		async (route) => {
			if (route.request().method() !== method) return route.fallback();
			const response = await route.fetch();
			seen.push(route);
			await opened;
			await route.fulfill({ response }).catch(() => {}); // nobody asks any more
		},
	);
	return { release, asked: () => eventually(() => seen.length).toBeGreaterThan(0) };
}

test('keys that come before the next item are for that one', async () => {
	const { page, errors, context } = await open(b, { annotator: 'Ana' }, { width: 1440, height: 900 });
	const model = async (item: string) => (await boxes(item)).filter((r) => (r.data.source_ref as Ref).id === 'street-detector');
	const [one, two] = [ids[0], ids[2]]; // the one between has no model's
	const late = await gate(page, new RegExp(`/dataset_items/.*/${two}$`));
	await go(page, one);
	await press(page, 'Shift+R');
	await toStage(page);
	await eventually(() => chosen(page)).not.toBeNull();
	await press(page, 'Shift+ArrowRight', 'Shift+ArrowRight', 'y', 'Delete');
	await late.asked();
	late.release();
	await arrive(page, two);
	await eventually(async () => {
		await save(page);
		return (await model(two))
			.map((r) => (r.data.inference_metadata as { review?: string })?.review)
			.filter(Boolean)
			.sort();
	}).toEqual(['accepted', 'rejected']);
	expect((await model(one)).map((r) => (r.data.inference_metadata as { review?: string })?.review).filter(Boolean)).toEqual([]);
	expect(errors).toEqual([]);
	await context.close();
});

test('what was drawn stays in view when an answer comes that is older than its saving', async () => {
	const { page, errors, context } = await open(b, { annotator: 'Ana' });
	const [one, two] = [ids[4], ids[5]];
	const [box] = await boxes(one);
	await go(page, one, `?ann=bboxes/${box.id}`);
	await toStage(page);
	const [before, stored] = [await shownBoxes(page), await all(one)];
	let store = () => {};
	const held = new Promise<void>((done) => (store = done));
	await page.route('**/changes/**', async (route) => {
		await held;
		await route.continue();
	});
	const late = await gate(page, new RegExp(`/dataset_items/.*/${one}$`));
	await press(page, 'Control+d', 'Shift+ArrowRight');
	await arrive(page, two);
	await press(page, 'Shift+ArrowLeft');
	await late.asked(); // before anything was stored
	store();
	await saved(page);
	late.release();
	await arrive(page, one);
	await eventually(() => shownBoxes(page)).toBe(before + 1);
	await painted(page);
	expect(await shownBoxes(page)).toBe(before + 1);
	expect(await all(one)).toBe(stored + 1);
	expect(errors).toEqual([]);
	await context.close();
});

test('what is drawn belongs to the item that is seen, also when one that was left comes last', async () => {
	const { page, errors, context } = await open(b, { annotator: 'Ana' });
	const [one, two] = [ids[6], ids[7]];
	const first = await gate(page, /\/sources\//);
	const late = await gate(page, new RegExp(`/dataset_items/.*/${one}$`));
	await page.goto(`${server.url}/app/d/${ds}`);
	const card = (id: string) => page.locator('[id^="item-"]', { hasText: id }).first();
	await card(one).dblclick();
	await first.asked();
	await page.goBack();
	await card(two).dblclick();
	first.release();
	await arrive(page, two);
	late.release();
	await eventually(() => shown(page)).toBeGreaterThan(0);
	await page.waitForLoadState('networkidle');
	const [n, m] = [await all(one), await all(two)];
	await toStage(page);
	await press(page, 'Tab', 'Control+d');
	await save(page);
	expect([await all(one), await all(two)]).toEqual([n, m + 1]);
	expect(errors).toEqual([]);
	await context.close();
});

test('an item that cannot be opened is told, the next key leads on, and trying again brings it', async () => {
	const { page, errors, context } = await open(b);
	// The dataset itself, at first.
	let fails = true;
	await page.route(`**/datasets/${ds}`, (route) => (fails ? route.abort() : route.fallback()));
	await page.goto(address(ids[0]));
	await page.locator('.failure').waitFor();
	fails = false;
	await page.getByRole('button', { name: 'Try again' }).click();
	await arrive(page, ids[0]);
	await eventually(() => shown(page)).toBeGreaterThan(0);
	// One item.
	let gone = true;
	await page.route(`**/dataset_items/${ds}/${ids[1]}`, (route) => (gone ? route.abort() : route.fallback()));
	await press(page, 'Shift+ArrowRight');
	await page.locator('.failure').waitFor();
	await press(page, 'Escape', 'Delete', 'Tab', 'Control+z'); // are for nothing
	await press(page, 'Shift+ArrowLeft');
	await arrive(page, ids[0]);
	await press(page, 'Shift+ArrowRight');
	await page.locator('.failure').waitFor();
	gone = false;
	await page.getByRole('button', { name: 'Try again' }).click();
	await arrive(page, ids[1]);
	// No answer about the next item is not the end of the list.
	await page.route('**/neighbours/**', (route) => route.abort());
	await page.goto(address(ids[2]));
	await arrive(page, ids[2]);
	await press(page, 'Shift+ArrowRight');
	await page.locator('.toast', { hasText: 'does not say which item is next' }).waitFor();
	expect(errors).toEqual([]);
	await context.close();
});

test('objects never lie over the picture of the item before', async () => {
	const { page, errors, context } = await open(b);
	await page.goto(address(ids[8]));
	await arrive(page, ids[8]);
	const url = (await server.json<Row[]>(`/views/${ds}/image?item_ids=${ids[10]}`))[0].data.url as string;
	const late = await gate(page, new RegExp(`/dataset_media/.*${url.split('/').at(-1)}$`));
	const over = () => page.locator('[data-stage="0"]').hover({ position: { x: 300 + Math.round(Math.random() * 50), y: 300 } });
	const value = page.locator('footer .value');
	await over();
	await value.waitFor();
	await page.goto(address(ids[9]));
	await arrive(page, ids[9]);
	await over();
	await value.waitFor();
	await press(page, 'Shift+ArrowRight');
	await arrive(page, ids[10]);
	await painted(page);
	await over();
	await eventually(() => value.count()).toBe(0);
	late.release();
	await eventually(async () => (await over(), await value.count())).toBe(1);
	expect(errors).toEqual([]);
	await context.close();
});

test('what others change in an item that was read ahead is seen', async () => {
	const { page, errors, context } = await open(b);
	const [one, two] = [ids[12], ids[13]];
	const [box] = await boxes(two);
	const ahead = page.waitForResponse((r) => r.url().endsWith(`/dataset_items/${ds}/${two}`));
	const listening = page.waitForRequest((r) => r.url().includes('/events/'));
	await page.goto(address(one));
	await arrive(page, one);
	await listening;
	await ahead;
	await page.waitForTimeout(500); // the connection is open
	await move(box, { coords: [0.01, 0.02, 0.03, 0.04], is_normalized: true, format: 'xywh' });
	await press(page, 'Shift+ArrowRight');
	await arrive(page, two);
	const x = () =>
		page.evaluate(
			(key) =>
				(
					globalThis as unknown as { pixanoStages: Map<number, { image: { width: number }; scene: { get(k: string): { x: number } } }> }
				).pixanoStages
					.get(0)!
					.scene.get(key)?.x,
			`bboxes\n${box.id}`,
		);
	const { width } = (await server.json<Row[]>(`/views/${ds}/image?item_ids=${two}`))[0].data as { width: number };
	await eventually(async () => Math.round((await x()) ?? -1)).toBe(Math.round(width * 0.01));
	// A proxy that answers for the server ends the connection for good; the page makes another.
	await page.route('**/events/**', (route) => route.fulfill({ status: 502 }), { times: 1 });
	await page.reload();
	await arrive(page, two);
	await page.waitForRequest((r) => r.url().includes('/events/'), { timeout: 15_000 });
	await page.waitForTimeout(500); // the connection is open
	await move(box, { coords: [0.05, 0.02, 0.03, 0.04], is_normalized: true, format: 'xywh' });
	await eventually(async () => Math.round((await x()) ?? -1)).toBe(Math.round(width * 0.05));
	expect(errors).toEqual([]);
	await context.close();
});

test('a key for a row that is on its way opens it; rows that had no answer are asked for again', async () => {
	const { page, errors, context } = await open(b);
	const late = await gate(page, /\/explore\//, 'POST');
	await page.goto(`${server.url}/app/d/${ds}?view=table&at=3`);
	await late.asked();
	await page.getByRole('grid', { name: 'Items' }).focus();
	await press(page, 'Enter');
	late.release();
	await arrive(page, ids[3]);
	await page.route('**/explore/**', (route) => route.abort(), { times: 1 });
	await page.goto(`${server.url}/app/d/${ds}`);
	await page.getByRole('alert').first().waitFor();
	await page.locator('[id^="item-"]').first().waitFor();
	expect(errors).toEqual([]);
	await context.close();
});

test('the page stays until the next one is there', async () => {
	const { page, errors, context } = await open(b);
	await page.goto(`${server.url}/app/d/${ds}`);
	await page.locator('[id^="item-"]').first().waitFor();
	await page
		.locator('main')
		.first()
		.evaluate((e) => e.setAttribute('data-same', ''));
	let release = () => {};
	const held = new Promise<void>((done) => (release = done));
	await page.route('**/assets/Settings-*.js', async (route) => {
		await held;
		await route.fallback();
	});
	const asked = page.waitForRequest('**/assets/Settings-*.js');
	await page.getByRole('button', { name: 'Settings' }).click();
	await asked;
	await painted(page);
	expect(await page.locator('main[data-same]').count()).toBe(1);
	release();
	await page.getByRole('heading', { name: 'Settings' }).waitFor();
	expect(errors).toEqual([]);
	await context.close();
});

test('two tabs: unsaved work of the one is not offered to the other, and is counted over all datasets', async () => {
	const { page, errors, context } = await open(b, { annotator: 'Ana' });
	const inside = async (p: Page, dataset: string) => {
		await p.locator('a.back').click(); // to the explorer
		await p.locator('[id^="item-"]').first().waitFor();
		await p.locator('a.back').click();
		await p.locator(`a.card[href$="/d/${dataset}"]`).click();
		await p.locator('[id^="item-"]').first().dblclick();
		await p.locator('[data-stage="0"]').waitFor();
		await eventually(() => shown(p)).toBeGreaterThan(0);
	};
	await page.goto(address(ids[14]));
	await arrive(page, ids[14]);
	const two = await open(b, {}, undefined, context);
	await two.page.route(`**/changes/${ds}`, (route) => route.abort());
	const [box] = await boxes(ids[15]);
	await go(two.page, ids[15], `?ann=bboxes/${box.id}`);
	await toStage(two.page);
	await press(two.page, 'Control+d');
	await two.page.waitForSelector('[data-state="offline"]');
	await page.bringToFront();
	await inside(page, ds);
	await page.waitForLoadState('networkidle');
	expect(await page.locator('.leftover').count()).toBe(0);
	// Saved in another dataset, what waits in this one is still there: the window asks before it closes.
	await two.page.bringToFront();
	await inside(two.page, 'demo_films');
	await toStage(two.page);
	await press(two.page, 'Tab', 'Control+d');
	await save(two.page);
	const asks = two.page.waitForEvent('dialog');
	await two.page.close({ runBeforeUnload: true });
	await (await asks).accept();
	expect([...errors, ...two.errors]).toEqual([]);
	await context.close();
});

test('a model is run once, however often the button is pressed', async () => {
	const { page, errors, context } = await open(b);
	await page.goto(address(ids[0]));
	await arrive(page, ids[0]);
	const late = await gate(page, /\/segment\//, 'POST');
	let started = 0;
	page.on('request', (r) => {
		if (r.method() === 'POST' && /\/segment\//.test(r.url())) started++;
	});
	await page.getByRole('button', { name: 'Run a model' }).click();
	await page.getByRole('dialog').getByLabel('Model', { exact: true }).selectOption({ label: 'builtin-grabcut' });
	await page.getByText(/rows of bboxes/).waitFor();
	await page.getByRole('button', { name: 'Run', exact: true }).dblclick();
	await late.asked();
	late.release();
	await page.getByText(/done now/).waitFor({ timeout: 60_000 });
	expect(started).toBe(1);
	expect(errors).toEqual([]);
	await context.close();
});

test('a page that is left keeps what is painted, and takes no mask of a model to another item', async () => {
	const { page, errors, context } = await open(b, { annotator: 'Ana' });
	const [one, two] = [ids[20], ids[21]];
	await go(page, one);
	const [n, m] = [await all(one), await all(two)];
	const back = async () => {
		await page.locator('a.back').click();
		await page.locator('[id^="item-"]').first().waitFor();
	};
	const { width, height } = (await server.json<Row[]>(`/views/${ds}/image?item_ids=${one}`))[0].data as { width: number; height: number };
	await press(page, 'b');
	await drag(page, [width * 0.3, height * 0.3], [width * 0.6, height * 0.6]);
	await back();
	await eventually(() => all(one)).toBe(n + 1);
	// Enter while the model is at work, and then away.
	const late = await gate(page, /\/mask-generation\//, 'POST');
	await page.goBack();
	await arrive(page, one);
	await press(page, 'w');
	await page.waitForSelector('select:has(option:text("builtin-grabcut"))');
	const at = await placeOf(page, width / 2, height / 2);
	await page.mouse.click(at.x, at.y);
	await page.waitForSelector('[data-segmenting="asking"]');
	await press(page, 'Enter');
	await late.asked();
	await back();
	await page.locator('[id^="item-"]', { hasText: two }).first().dblclick();
	await arrive(page, two);
	late.release();
	await page.waitForLoadState('networkidle');
	await save(page);
	expect([await all(one), await all(two)]).toEqual([n + 1, m]);
	expect(errors).toEqual([]);
	await context.close();
});
