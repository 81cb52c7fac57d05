import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Browser, Page } from 'playwright-core';
import { browser, demo, golden, open, pixano, placeOf, save, Server, shots, type Library } from '../lib';

interface Row {
	id: string;
	updated_at: string;
	table_info: { name: string };
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
	await page.waitForTimeout(500);
};
const rows = (s: Server, dataset: string, table: string, item: string) =>
	s.json<Row[]>(`/annotations/${dataset}/${table}?item_ids=${item}&limit=1000`).catch(() => [] as Row[]);

async function click(page: Page, points: [number, number][], button: 'left' | 'right' = 'left'): Promise<void> {
	for (const p of points) {
		const { x, y } = await placeOf(page, ...p);
		await page.mouse.move(x, y);
		await page.mouse.click(x, y, { button });
	}
}
async function stroke(page: Page, points: [number, number][], button: 'left' | 'right' = 'left'): Promise<void> {
	const places = await Promise.all(points.map((p) => placeOf(page, ...p)));
	await page.mouse.move(places[0].x, places[0].y);
	await page.mouse.down({ button });
	for (const p of places.slice(1)) await page.mouse.move(p.x, p.y, { steps: 6 });
	await page.mouse.up({ button });
}

// runsOf decodes stored counts by the format's own rules, not by the code under test.
function runsOf(row: Row): number[] {
	const text = row.data.counts as string;
	const runs: number[] = [];
	for (let i = 0; i < text.length;) {
		let x = 0,
			shift = 0,
			c: number;
		do {
			c = text.charCodeAt(i++) - 48;
			x |= (c & 31) << shift;
			shift += 5;
			if (!(c & 32) && c & 16) x |= -1 << shift;
		} while (c & 32);
		runs.push(runs.length > 2 ? x + runs[runs.length - 2] : x);
	}
	const [h, w] = row.data.size as [number, number];
	expect(runs.reduce((a, v) => a + v, 0)).toBe(h * w);
	return runs;
}
const area = (row: Row) => runsOf(row).reduce((a, v, i) => a + (i & 1 ? v : 0), 0);

interface Coco {
	annotations: { id: string | number; area: number; segmentation: unknown; pixano_segmentation_id?: string }[];
}
// exported gives the annotations that an export to COCO writes.
function exported(dir: string, ...flags: string[]): Coco['annotations'] {
	const out = mkdtempSync(join(tmpdir(), 'pixano-ui-coco-'));
	try {
		const run = spawnSync(
			pixano(),
			['data', 'export', dir, join(out, 'coco'), '--format', 'coco', '--media', 'none', '--quiet', ...flags],
			{
				encoding: 'utf8',
			},
		);
		if (run.status !== 0) throw new Error(run.stderr + run.stdout);
		return readdirSync(join(out, 'coco'), { recursive: true })
			.map(String)
			.filter((f) => f.endsWith('.json'))
			.flatMap((f) => (JSON.parse(readFileSync(join(out, 'coco', f), 'utf8')) as Coco).annotations ?? []);
	} finally {
		rmSync(out, { recursive: true, force: true });
	}
}

test('a polygon with a hole and a painted mask: drawn, saved, found, changed by points, exported, undone after a reload', async () => {
	const { page, errors, context } = await open(b, { annotator: 'Ana' });
	const item = 'item_005';
	const before = await rows(server, ds, 'masks', item);
	const { width: w, height: h } = (await server.json<Row[]>(`/views/${ds}/image?item_ids=${item}`))[0].data as {
		width: number;
		height: number;
	};
	const mine = async () => {
		const had = new Set(before.map((r) => r.id));
		return (await rows(server, ds, 'masks', item)).filter((r) => !had.has(r.id));
	};
	await page.goto(`${server.url}/app/d/${ds}/i/${item}`);
	await ready(page, item);
	await page.keyboard.press('p');
	const px = (x: number, y: number): [number, number] => [Math.round(w * x), Math.round(h * y)];
	await click(page, [px(0.2, 0.2), px(0.8, 0.2), px(0.8, 0.8), px(0.3, 0.9)]);
	await page.keyboard.press('Backspace');
	await page.keyboard.press('Control+z');
	await page.keyboard.press('Control+Shift+z');
	await click(page, [px(0.2, 0.8)]);
	await page.screenshot({ path: `${shots}/polygon-drawing.png` });
	await page.keyboard.press('Enter');
	await save(page);
	const whole = await mine();
	expect(whole).toHaveLength(1);
	expect(whole[0].data).toMatchObject({ size: [h, w], source_ref: { name: 'source', id: 'human-ana' } });
	expect(Math.abs(area(whole[0]) - 0.36 * w * h)).toBeLessThan(0.02 * w * h);
	await page.keyboard.down('Shift');
	await click(page, [px(0.4, 0.4), px(0.6, 0.4), px(0.6, 0.6)]);
	await page.screenshot({ path: `${shots}/polygon-hole.png` });
	await page.keyboard.up('Shift');
	await click(page, [px(0.4, 0.6)]);
	await page.keyboard.press('Enter');
	await save(page);
	const [holed] = await mine();
	expect(Math.abs(area(whole[0]) - area(holed) - 0.04 * w * h)).toBeLessThan(0.01 * w * h);
	expect((holed.data.inference_metadata as { polygon: number[][] }).polygon).toHaveLength(2);

	// Its points are at hand: one is dragged, one is added on an edge and one is deleted.
	await stroke(page, [px(0.2, 0.2), px(0.1, 0.1)]);
	await save(page);
	const [moved] = await mine();
	expect(area(moved)).toBeGreaterThan(area(holed));
	await stroke(page, [px(0.8, 0.5), px(0.95, 0.5)]);
	await save(page);
	expect(area((await mine())[0])).toBeGreaterThan(area(moved));
	await page.screenshot({ path: `${shots}/polygon-points.png` });
	await page.keyboard.press('Control+z');
	await page.keyboard.press('Control+z');
	await save(page);
	expect((await mine())[0].data.counts).toBe(holed.data.counts);

	// Paint: a stroke, a part of it erased with the right button, one stroke undone and done again.
	// Nothing stays selected: the brush makes a mask of its own.
	for (let n = 0; n < 3; n++) await page.keyboard.press('Escape');
	await page.keyboard.press('b');
	await stroke(page, [px(0.1, 0.95), px(0.9, 0.95)]);
	await stroke(page, [px(0.5, 0.9), px(0.5, 1)], 'right');
	await page.screenshot({ path: `${shots}/brush.png` });
	await page.keyboard.press('Control+z');
	await page.keyboard.press('Control+y');
	await page.keyboard.press('Enter');
	await save(page);
	const both = await mine();
	expect(both).toHaveLength(2);
	const painted = both.find((r) => r.id !== holed.id)!;
	expect(area(painted)).toBeGreaterThan(0.01 * w * h);

	// What COCO gets has the same areas, as polygons of the reference and in the strict form.
	const coco = new Map(exported(join(lib.dir, 'image_detection')).map((a) => [a.pixano_segmentation_id, a]));
	for (const r of both) expect(coco.get(r.id)?.area).toBe(area(r));

	// After a reload the page knows nothing of the steps; the server does.
	await page.goto(`${server.url}/app/d/${ds}/i/${item}`);
	await ready(page, item);
	const last = (await server.json<{ events: { id: string }[] }>(`/history/${ds}?table=masks&id=${painted.id}`)).events[0];
	const undone = await fetch(`${server.url}/revert/${ds}/${last.id}`, {
		method: 'POST',
		headers: { 'content-type': 'application/json' },
		body: JSON.stringify({ author: 'Ana' }),
	});
	expect(undone.status).toBe(200);
	expect((await mine()).map((r) => r.id)).toEqual([holed.id]);
	expect(errors).toEqual([]);
	await context.close();
});

test('a smart mask of the built-in segmenter, and operations on masks', async () => {
	const own = demo();
	const s = new Server(own.dir);
	await s.start();
	const { page, errors, context } = await open(b, { annotator: 'Ana' });
	try {
		const { datasets } = await s.json<{ datasets: { id: string; directory: string }[] }>('/library');
		const id = datasets.find((d) => d.id.includes('streets') || d.directory.includes('streets'))!.id;
		const info = await s.json<{ dataset_schema: { groups: Record<string, string[]>; schemas: Record<string, { base_schema: string }> } }>(
			`/datasets/${id}`,
		);
		const { groups, schemas } = info.dataset_schema;
		const masks = groups.annotations.find((t) => schemas[t].base_schema === 'CompressedRLE')!;
		const views = groups.views[0];
		const [{ id: item }] = await s.json<{ id: string }[]>(`/items/${id}?limit=1`);
		const before = await rows(s, id, masks, item);
		const mine = async () => {
			const had = new Set(before.map((r) => r.id));
			return (await rows(s, id, masks, item)).filter((r) => !had.has(r.id));
		};
		const [view] = await s.json<Row[]>(`/views/${id}/${views}?item_ids=${item}`);
		const { width: w, height: h } = view.data as { width: number; height: number };
		// The largest object that the demo drew tells where to click.
		const known = before.toSorted((p, q) => area(q) - area(p))[0];
		const [x, y] = middle(known);
		await page.goto(`${s.url}/app/d/${id}/i/${item}`);
		await ready(page, item);
		await page.keyboard.press('w');
		await page.waitForSelector('select:has(option:text("builtin-grabcut"))');
		// The mask that a click would give shows under the pointer, and nothing is written for it.
		const coloured = () =>
			page.evaluate(() => {
				const hud = [...document.querySelectorAll<HTMLCanvasElement>('[data-stage] canvas')].at(-1)!;
				const { data } = hud.getContext('2d')!.getImageData(0, 0, hud.width, hud.height);
				let n = 0;
				for (let i = 3; i < data.length; i += 4) if (data[i] > 40 && data[i] < 240) n++;
				return n;
			});
		const sources = await s.json<Row[]>(`/sources/${id}?limit=100`);
		const requests: string[] = [];
		page.on('request', (r) => r.url().includes('mask-generation') && requests.push(r.postData() ?? ''));
		const over = await placeOf(page, x, y);
		await page.mouse.move(over.x - 3, over.y);
		await page.mouse.move(over.x, over.y);
		await expect.poll(coloured, { timeout: 20_000 }).toBeGreaterThan(200);
		await page.screenshot({ path: `${shots}/smart-preview.png` });
		expect(requests.length).toBeGreaterThan(0);
		expect(requests.every((r) => (JSON.parse(r) as { preview?: boolean }).preview === true)).toBe(true);
		await page.mouse.move(5, 300); // off the canvas
		await expect.poll(coloured).toBeLessThan(50);
		await page.mouse.move(over.x, over.y);
		await expect.poll(coloured, { timeout: 20_000 }).toBeGreaterThan(200);
		await page.keyboard.press('Escape');
		await expect.poll(coloured).toBeLessThan(50);
		await page.keyboard.press('w');
		const preview = page.getByRole('checkbox', { name: 'Preview' });
		await preview.uncheck();
		const until = requests.length;
		await page.mouse.move(over.x + 4, over.y);
		await page.waitForTimeout(400);
		expect(await coloured()).toBeLessThan(100); // the sign of the tool
		expect(requests).toHaveLength(until);
		await preview.check();
		expect(await s.json<Row[]>(`/sources/${id}?limit=100`)).toEqual(sources);
		expect(await mine()).toEqual([]);
		const box = around(known);
		await stroke(page, [
			[box[0] - 4, box[1] - 4],
			[box[2] + 4, box[3] + 4],
		]);
		const found = async () => {
			await page.waitForTimeout(200); // until it has been asked
			await page.waitForSelector('[data-segmenting="idle"]', { state: 'attached', timeout: 60_000 });
		};
		await found();
		await click(page, [[x, y]]);
		await found();
		await click(page, [[2, 2]], 'right');
		await found();
		await page.waitForTimeout(300);
		await page.screenshot({ path: `${shots}/smart.png` });
		await page.keyboard.press('Enter');
		await save(page);
		let made = await mine();
		expect(made).toHaveLength(1);
		const source = await s.json<Row>(`/sources/${id}/${(made[0].data.source_ref as { id: string }).id}`);
		expect(source.data).toMatchObject({ kind: 'model', name: 'builtin-grabcut' });
		expect(made[0].data.inference_metadata).toMatchObject({ name: 'builtin-grabcut' });
		expect(Math.abs(area(made[0]) - area(known)) / area(known)).toBeLessThan(0.25);

		// Two painted masks: grown, joined, split again.
		await page.keyboard.press('Escape');
		await page.keyboard.press('Escape');
		for (const part of [0.3, 0.7]) {
			await page.keyboard.press('Escape');
			await page.keyboard.press('b');
			await stroke(page, [
				[w * (part - 0.1), h * 0.95],
				[w * (part + 0.1), h * 0.95],
			]);
			await page.keyboard.press('s');
			await page.keyboard.press('v');
			await page.keyboard.press('Escape');
		}
		await save(page);
		made = (await mine()).filter((r) => r.id !== made[0].id);
		expect(made).toHaveLength(2);
		const menu = page.getByRole('button', { name: 'Masks', exact: true });
		const choose = async (...keys: Row[]) => {
			for (const [i, r] of keys.entries()) {
				const [mx, my] = middle(r);
				const p = await placeOf(page, mx, my);
				if (i > 0) await page.keyboard.down('Shift');
				await page.mouse.click(p.x, p.y);
				if (i > 0) await page.keyboard.up('Shift');
			}
		};
		const run = async (name: string) => {
			await menu.click();
			await page.getByRole('button', { name, exact: true }).click();
			await page.keyboard.press('Escape');
			await page.waitForTimeout(600);
			await save(page);
		};
		await choose(made[0]);
		await menu.click();
		await page.waitForTimeout(200);
		await page.screenshot({ path: `${shots}/mask-menu.png` });
		await page.keyboard.press('Escape');
		await run('Grow');
		const grown = (await mine()).find((r) => r.id === made[0].id)!;
		expect(area(grown)).toBeGreaterThan(area(made[0]));
		const other = made[1];
		await choose(grown, other);
		await run('Unite');
		let now = (await mine()).filter((r) => r.id === grown.id || r.id === other.id);
		expect(now).toHaveLength(1);
		expect(area(now[0])).toBe(area(grown) + area(other));
		const alike = new Set((await mine()).map((r) => r.id));
		await run('Split parts');
		now = (await mine()).filter((r) => r.id === now[0].id || !alike.has(r.id));
		expect(now.map(area).sort()).toEqual([area(grown), area(other)].sort());
		const coco = new Map(
			exported(join(own.dir, 'library', datasets.find((d) => d.id === id)!.directory)).map((a) => [a.pixano_segmentation_id, a]),
		);
		for (const r of await mine()) expect(coco.get(r.id)?.area).toBe(area(r));
		await page.keyboard.press('Escape');
		await page.evaluate(() =>
			localStorage.setItem('pixano.prefs', JSON.stringify({ ...JSON.parse(localStorage.getItem('pixano.prefs')!), theme: 'light' })),
		);
		await page.reload();
		await ready(page, item);
		for (const tool of ['p', 'b', 'w']) {
			await page.keyboard.press(tool);
			await page.waitForTimeout(300);
			await page.screenshot({ path: `${shots}/tool-${tool}-light.png` });
		}
		expect(errors).toEqual([]);
	} finally {
		await context.close();
		await s.kill();
		own.remove();
	}
}, 180_000);

// middle is a pixel inside of a mask: in the middle of its longest run.
function middle(row: Row): [number, number] {
	const [h] = row.data.size as [number, number];
	let best = 0,
		place = 0,
		sum = 0;
	runsOf(row).forEach((n, i) => {
		if (i & 1 && n > best) {
			best = n;
			place = sum + Math.floor(n / 2);
		}
		sum += n;
	});
	return [Math.floor(place / h) + 0.5, (place % h) + 0.5];
}

// around is the rectangle that holds a mask: left, top, right, bottom.
function around(row: Row): [number, number, number, number] {
	const [h] = row.data.size as [number, number];
	const box: [number, number, number, number] = [Infinity, Infinity, 0, 0];
	let sum = 0;
	runsOf(row).forEach((n, i) => {
		if (i & 1)
			for (const at of [sum, sum + n - 1]) {
				box[0] = Math.min(box[0], Math.floor(at / h));
				box[2] = Math.max(box[2], Math.floor(at / h) + 1);
				box[1] = Math.min(box[1], at % h);
				box[3] = Math.max(box[3], (at % h) + 1);
			}
		sum += n;
	});
	return box;
}
