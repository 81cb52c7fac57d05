import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Browser, Page } from 'playwright-core';
import { both, browser, demo, drag, golden, open, placeOf, repository, save, Server, shots, type Library } from '../lib';

interface Row {
	id: string;
	data: Record<string, unknown>;
}
const ref = (r: Row, field: string) => (r.data[field] as { id: string }).id;

let lib: Library, server: Server, goldens: Library, other: Server, b: Browser;
const ds = 'demo_streets';
const images = 'golden_image_detection';
beforeAll(async () => {
	lib = demo();
	goldens = golden('image_detection');
	server = new Server(lib.dir);
	other = new Server(goldens.dir);
	await Promise.all([server.start(), other.start()]);
	b = await browser();
}, 120_000);
afterAll(async () => {
	await b?.close();
	await server?.kill();
	await other?.kill();
	lib?.remove();
	goldens?.remove();
});

const ready = async (page: Page, item: string) => {
	await page.waitForFunction((id) => document.querySelector('.item')?.textContent === id && document.querySelector('[data-stage]'), item);
	await page.waitForTimeout(500);
};
const press = async (page: Page, ...keys: string[]) => {
	for (const k of keys) await page.keyboard.press(k);
};
const rows = (s: Server, dataset: string, table: string, item: string, group = 'annotations') =>
	s.json<Row[]>(`/${group}/${dataset}/${table}?item_ids=${item}&limit=1000`).catch(() => [] as Row[]);
test('a mask, a box and a skeleton are pasted into a picture of another size, and undone in one step', async () => {
	const { page, errors, context } = await open(b, { annotator: 'Ana' }, { width: 1440, height: 900 });
	const views = await other.json<Row[]>(`/views/${images}/image?limit=100`);
	const size = (r: Row) => [Number(r.data.width), Number(r.data.height)] as const;
	const fits = (p: Row, q: Row) =>
		size(q)[0] < size(p)[0] && size(q)[1] <= size(p)[1] && Math.abs(size(q)[0] / size(q)[1] / (size(p)[0] / size(p)[1]) - 1) > 0.02;
	const order = views.toSorted((p, q) => ref(p, 'item_ref').localeCompare(ref(q, 'item_ref')));
	const from = order.find((p, i) => order.slice(i + 1).some((q) => fits(p, q)))!;
	const to = order.slice(order.indexOf(from) + 1).find((q) => fits(from, q))!;
	const [fw, fh] = size(from);
	const [tw, th] = size(to);
	const item = ref(from, 'item_ref');
	const target = ref(to, 'item_ref');
	await page.goto(`${other.url}/app/d/${images}/i/${item}`);
	await ready(page, item);
	// All near the right edge, which the other picture does not have.
	const x0 = fw - 0.4 * tw,
		y0 = 0.2 * th;
	await press(page, 'r');
	await drag(page, [x0, y0], [fw - 2, y0 + 0.3 * th]);
	await press(page, 'Escape', 'Escape', 'b');
	await drag(page, [x0 + 0.1 * tw, y0 + 0.5 * th], [x0 + 0.2 * tw, y0 + 0.5 * th]);
	await press(page, 'Enter', 'Escape', 'Escape', 'j');
	await page.locator('[data-stage="0"]').focus();
	await drag(page, [x0 + 0.05 * tw, y0 + 0.05 * th], [x0 + 0.25 * tw, y0 + 0.25 * th]);
	await press(page, 'Escape', 'Escape', 'Escape');
	await save(page);
	const mine = async (table: string, of: string) =>
		(await rows(other, images, table, of)).filter((r) => ref(r, 'source_ref') === 'human-ana');
	const drawn = await Promise.all(['bboxes', 'masks', 'keypoints'].map((x) => mine(x, item)));
	expect(drawn.map((l) => l.length)).toEqual([1, 1, 1]);
	const lines = page.locator('.objects .line .name');
	const human = (await lines.allTextContents()).findIndex((text) => text.includes('Human'));
	await lines.nth(human + 1).click();
	await lines.nth(human + 3).click({ modifiers: ['Shift'] });
	await page.locator('[data-stage="0"]').focus();
	await press(page, 'Control+c');
	// Over the explorer, in the same page: what was copied is kept.
	await page.locator('header a').first().click();
	await page.locator('[role="option"], [role="row"]').filter({ hasText: target }).first().dblclick();
	await ready(page, target);
	await press(page, 'Control+v');
	await page.getByText('shapes fitted into it').waitFor();
	await page.screenshot({ path: `${shots}/paste-fitted.png` });
	await save(page);
	const [[box], [mask], [pose]] = await Promise.all(['bboxes', 'masks', 'keypoints'].map((x) => mine(x, target)));
	const [bx, by, bw, bh] = (box.data.coords as number[]).map((v, i) => v * (i & 1 ? th : tw));
	const [ox, oy, ow, oh] = (drawn[0][0].data.coords as number[]).map((v, i) => v * (i & 1 ? fh : fw));
	expect([bw, bh].map(Math.round)).toEqual([ow, oh].map(Math.round)); // pixels are kept
	expect(Math.round(bx + bw)).toBeLessThanOrEqual(tw);
	expect(mask.data.size).toEqual([th, tw]);
	// All went by the same way.
	const way = [bx - ox, by - oy].map(Math.round);
	const [px, py] = pose.data.coords as number[];
	const [qx, qy] = drawn[2][0].data.coords as number[];
	expect([px * tw - qx * fw, py * th - qy * fh].map(Math.round)).toEqual(way);
	expect(way[0]).toBeLessThan(0);
	expect(await page.locator('.objects').textContent()).not.toContain('Problems');
	await press(page, 'Control+z');
	await save(page);
	expect((await Promise.all(['bboxes', 'masks', 'keypoints'].map((x) => mine(x, target)))).flat()).toEqual([]);
	expect(errors).toEqual([]);
	await context.close();
});

test('a picture is dropped on the explorer: what is like it comes first; what cannot be searched is told', async () => {
	const { page, errors, context } = await open(b, {}, { width: 1440, height: 900 });
	await page.goto(`${server.url}/app/d/${ds}?view=grid`);
	await page.waitForSelector('.cell');
	const view = (await rows(server, ds, 'image', 'street_007', 'views'))[0];
	const content = Buffer.from(await (await fetch(`${server.url}/dataset_media/${ds}/${String(view.data.url)}`)).arrayBuffer());
	const drop = async (bytes: Buffer, name: string, type: string) => {
		const data = await page.evaluateHandle(
			([base64, n, kind]) => {
				const d = new DataTransfer();
				d.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], n, { type: kind }));
				return d;
			},
			[bytes.toString('base64'), name, type] as const,
		);
		await page.dispatchEvent('main', 'dragover', { dataTransfer: data });
		await page.screenshot({ path: `${shots}/picture-over.png` });
		await page.dispatchEvent('main', 'drop', { dataTransfer: data });
	};
	await page.getByRole('button', { name: 'Search by a picture' }).waitFor();
	await drop(content, 'mine.jpg', 'image/jpeg');
	const first = () => page.locator('.cell .caption').first().textContent();
	await expect.poll(first, { timeout: 15_000 }).toContain('street_007');
	await page.getByText('like mine.jpg').waitFor();
	await both(page, 'picture');
	// A reload, and the item's neighbours, are by the same search.
	await page.reload();
	await expect.poll(first, { timeout: 15_000 }).toContain('street_007');
	await page.locator('.cell').first().dblclick();
	await ready(page, 'street_007');
	await page.getByText('1 of 48').waitFor();
	await page.goBack();
	await page.getByRole('button', { name: 'Clear', exact: true }).click();
	await expect.poll(first).not.toContain('street_007');
	await drop(Buffer.from('hello'), 'notes.txt', 'text/plain');
	await page.getByText('notes.txt is no picture').waitFor();
	await drop(Buffer.from('hello'), 'broken.jpg', 'image/jpeg');
	await page.getByText(/cannot be searched for: .*no picture that can be read/).waitFor();

	// The part of an object, from the workspace.
	const boxes = await rows(server, ds, 'bboxes', 'street_002');
	await page.goto(`${server.url}/app/d/${ds}/i/street_002?ann=bboxes/${boxes[0].id}`);
	await ready(page, 'street_002');
	await press(page, 'Control+k');
	await page.keyboard.type('like the selected');
	await page.keyboard.press('Enter');
	await page.waitForSelector('.cell');
	expect(new URL(page.url()).searchParams.get('pic')).toBeTruthy();
	await page.screenshot({ path: `${shots}/picture-object.png` });
	expect(errors).toEqual([]);
	await context.close();

	// A dataset whose model is not there says so.
	const two = await open(b);
	await two.page.goto(`${other.url}/app/d/${images}?view=grid&emb=toy_embedding`);
	await two.page.waitForSelector('.cell');
	await two.page.getByRole('button', { name: 'Search by a picture' }).waitFor();
	await two.page.locator('input[type=file]').setInputFiles({
		name: 'a.jpg',
		mimeType: 'image/jpeg',
		buffer: readFileSync(join(repository, 'testdata/golden/image_detection/media/images/train/im_003.jpg')),
	});
	await two.page.getByText(/cannot be searched for: .*function/).waitFor();
	await two.page.screenshot({ path: `${shots}/picture-no-model.png` });
	expect(two.errors).toEqual([]);
	await two.context.close();
});

test('masks of boxes are previewed before they are made, and models are managed where they are run', async () => {
	const { page, errors, context } = await open(b, { annotator: 'Ana' }, { width: 1440, height: 900 });
	const before = (await rows(server, ds, 'masks', 'street_001')).length;
	const sources = () => server.json<Row[]>(`/sources/${ds}?limit=1000`);
	const known = (await sources()).map((s) => s.id);
	expect((await sources()).map((s) => s.data.name)).not.toContain('builtin-grabcut');
	await page.goto(`${server.url}/app/d/${ds}/i/street_001`);
	await ready(page, 'street_001');
	await page.getByRole('button', { name: 'Run a model' }).click();
	const dialog = page.getByRole('dialog');
	await dialog.getByLabel('Model', { exact: true }).selectOption({ label: 'builtin-grabcut' });
	await dialog.getByRole('button', { name: 'Preview' }).click();
	const boxes = Math.min(12, (await rows(server, ds, 'bboxes', 'street_001')).length);
	await expect.poll(() => dialog.locator('.shot svg path').count(), { timeout: 60_000 }).toBe(boxes);
	await both(page, 'preview-masks');
	expect(await rows(server, ds, 'masks', 'street_001')).toHaveLength(before); // nothing is stored
	expect((await sources()).map((s) => s.id)).toEqual(known);
	await dialog.getByRole('button', { name: 'Models and servers' }).click();
	await dialog.getByText('builtin-grabcut').first().waitFor();
	await dialog.getByLabel('Address of an inference server').fill('http://127.0.0.1:9');
	await dialog.getByRole('button', { name: 'Connect' }).click();
	await page.locator('.toast').waitFor(); // nobody answers there
	await both(page, 'run-models');
	await dialog.getByRole('button', { name: 'Back' }).click();
	await dialog.getByLabel('Model', { exact: true }).waitFor();
	expect(errors).toEqual([]);
	await context.close();
});

test('an annotation is moved to an object that is clicked in the picture; objects have thumbnails and the same colours everywhere', async () => {
	const { page, errors, context } = await open(
		b,
		{ annotator: 'Ana', overlays: true, colors: { [ds]: { car: '#ff00ff' } } },
		{ width: 1440, height: 900 },
	);
	const item = 'street_012';
	const all = await rows(server, ds, 'bboxes', item);
	const view = (await rows(server, ds, 'image', item, 'views'))[0].data as { width: number; height: number };
	const objects = await rows(server, ds, 'objects', item, 'entities');
	const truth = all
		.filter((r) => ref(r, 'source_ref') === 'ground_truth')
		.toSorted((p, q) => (p.data.coords as number[])[2] - (q.data.coords as number[])[2]);
	// A box of Ana's in a corner is to go to the object of the smallest box.
	const goal = truth[0];
	await page.goto(`${server.url}/app/d/${ds}/i/${item}`);
	await ready(page, item);
	await press(page, 'r');
	await drag(page, [4, 4], [60, 60]);
	await press(page, 'Escape', 'v');
	await save(page);
	const made = async () => (await rows(server, ds, 'bboxes', item)).find((r) => ref(r, 'source_ref') === 'human-ana')!;
	const own = ref(await made(), 'entity_ref');
	expect(objects.map((o) => o.id)).not.toContain(own);
	await press(page, 'Shift+M');
	await page.waitForSelector('.picker');
	const c = goal.data.coords as number[];
	const p = await placeOf(page, (c[0] + c[2] / 2) * view.width, (c[1] + c[3] / 2) * view.height);
	await page.mouse.move(p.x, p.y);
	await page.waitForTimeout(200);
	await both(page, 'relink-stage');
	await page.mouse.click(p.x, p.y);
	await expect.poll(() => page.locator('.picker').count()).toBe(0);
	await save(page);
	expect(ref(await made(), 'entity_ref')).toBe(ref(goal, 'entity_ref'));
	await press(page, 'Control+z');
	await save(page);
	expect(ref(await made(), 'entity_ref')).toBe(own);
	// The tool before is back: Escape leaves the panel without a change.
	await press(page, 'Shift+M');
	await page.waitForSelector('.picker');
	await press(page, 'Escape');
	await expect.poll(() => page.locator('.picker').count()).toBe(0);
	// Thumbnails: as many as there are lines with a place, with pixels in them.
	const painted = () =>
		page.evaluate(
			() =>
				[...document.querySelectorAll<HTMLCanvasElement>('.objects .line canvas')].filter((x) =>
					x
						.getContext('2d')!
						.getImageData(0, 0, x.width, x.height)
						.data.some((v) => v > 0),
				).length,
		);
	await expect.poll(painted).toBeGreaterThan(3);
	await both(page, 'object-thumbs');
	await page.goto(`${server.url}/app/d/${ds}?view=grid`);
	await expect.poll(() => page.locator('.cell svg rect[stroke="#ff00ff"]').count(), { timeout: 15_000 }).toBeGreaterThan(0);
	await page.screenshot({ path: `${shots}/explorer-colours.png` });
	expect(errors).toEqual([]);
	await context.close();
});

test('a distance is measured by a drag, and leaves nothing behind', async () => {
	const { page, errors, context } = await open(b, {}, { width: 1280, height: 800 });
	const before = await rows(server, ds, 'bboxes', 'street_001');
	await page.goto(`${server.url}/app/d/${ds}/i/street_001`);
	await ready(page, 'street_001');
	// The line and its ends are of a colour that nothing else on the stage has.
	const inked = () =>
		page.evaluate(() => {
			let n = 0;
			for (const c of document.querySelectorAll<HTMLCanvasElement>('[data-stage="0"] canvas')) {
				const pixels = c.getContext('2d')?.getImageData(0, 0, c.width, c.height).data;
				for (let i = 0; pixels && i < pixels.length; i += 4)
					if (pixels[i] === 0xff && pixels[i + 1] === 0xd5 && pixels[i + 2] === 0x4a) n++;
			}
			return n;
		});
	expect(await inked()).toBe(0);
	await press(page, 'u');
	await expect.poll(() => page.locator('[data-stage="0"]').evaluate((e) => getComputedStyle(e).cursor)).toBe('crosshair');
	await drag(page, [310, 380], [460, 290]);
	await expect.poll(inked).toBeGreaterThan(100);
	await both(page, 'measure');
	await press(page, 'Escape', 'v');
	await expect.poll(inked).toBe(0);
	expect(await page.locator('[data-state]').getAttribute('data-state')).toBe('saved');
	expect(await rows(server, ds, 'bboxes', 'street_001')).toEqual(before);
	expect(errors).toEqual([]);
	await context.close();
});
