// Pictures of pages are compared with those in tests/shots; `npm run shots:update` takes them anew.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Browser, Page } from 'playwright-core';
import { browser, demo, drag, open, placeOf, Server, shots, type Library } from '../lib';

const references = join(import.meta.dirname, '../shots');
const update = process.env.PIXANO_SHOTS === 'update';
const most = 0.001; // of the pixels may differ

let lib: Library, server: Server, b: Browser, judge: Page;
beforeAll(async () => {
	mkdirSync(references, { recursive: true });
	lib = demo();
	server = new Server(lib.dir);
	await server.start();
	b = await browser();
	judge = await b.newPage();
});
afterAll(async () => {
	await b?.close();
	await server?.kill();
	lib?.remove();
});

// different gives the share of pixels that differ visibly.
const different = (a: Buffer, z: Buffer): Promise<number> =>
	judge.evaluate(
		async ([one, two]) => {
			const pixels = async (base64: string) => {
				const image = new Image();
				image.src = `data:image/png;base64,${base64}`;
				await image.decode();
				const canvas = new OffscreenCanvas(image.width, image.height);
				const c = canvas.getContext('2d')!;
				c.drawImage(image, 0, 0);
				return c.getImageData(0, 0, image.width, image.height);
			};
			const [x, y] = await Promise.all([pixels(one), pixels(two)]);
			if (x.width !== y.width || x.height !== y.height) return 1;
			let n = 0;
			for (let i = 0; i < x.data.length; i += 4) {
				const d = Math.max(...[0, 1, 2].map((k) => Math.abs(x.data[i + k] - y.data[i + k])));
				if (d > 16) n++;
			}
			return n / (x.data.length / 4);
		},
		[a.toString('base64'), z.toString('base64')] as const,
	);

interface Look {
	name: string;
	path: string;
	ready: string;
	theme?: 'dark' | 'light';
	width?: number;
	lang?: string;
	zoom?: number; // of the whole page: fewer CSS pixels, each of more real ones
	then?: (page: Page) => Promise<unknown>; // what is done before the picture is taken
}
const pages: Omit<Look, 'name'>[] = [
	{ path: '', ready: 'a.card img' },
	{ path: 'd/demo_streets?view=grid&where=split+%3D+%27val%27', ready: '.cell img' },
	{ path: 'd/demo_streets?view=table', ready: '[role=row] img' },
	{ path: 'd/demo_streets/stats?by=split', ready: 'section[aria-label^="objects p"] svg' },
	{ path: 'd/demo_streets/schema', ready: '.sources a' },
	{ path: 'settings', ready: '.keys' },
];
const names = ['library', 'grid', 'table', 'dashboard', 'schema', 'settings'];
const looks: Look[] = [
	...pages.slice(0, 5).flatMap((p, i): Look[] => [
		{ ...p, name: `${names[i]}-dark-1280`, theme: 'dark', width: 1280 },
		{ ...p, name: `${names[i]}-light-1920`, theme: 'light', width: 1920 },
	]),
	{ ...pages[0], name: 'library-light-1280', theme: 'light', width: 1280 },
	{ ...pages[1], name: 'grid-light-1280', theme: 'light', width: 1280 },
	{ ...pages[3], name: 'dashboard-light-1280', theme: 'light', width: 1280 },
	{ ...pages[5], name: 'settings-light-1280', theme: 'light', width: 1280 },
	{ ...pages[1], name: 'grid-fr', lang: 'fr' },
	{ ...pages[3], name: 'dashboard-fr', lang: 'fr' },
	{ ...pages[4], name: 'schema-fr', lang: 'fr', theme: 'light' },
	{ ...pages[0], name: 'library-zoom', zoom: 2 },
	{ ...pages[1], name: 'grid-zoom', zoom: 2 },
	{ ...pages[4], name: 'schema-zoom', zoom: 2 },
];

// The workspace: boxes, masks and skeletons of an item, and what is done with them. Nothing of it is stored.
const item = 'd/demo_streets/i/street_001';
const keys = async (page: Page, ...list: string[]) => {
	await page.focus('[data-stage]');
	for (const k of list) await page.keyboard.press(k);
};
const click = async (page: Page, ...points: [number, number][]) => {
	for (const p of points) {
		const { x, y } = await placeOf(page, ...p);
		await page.mouse.click(x, y);
	}
};
const work: Record<string, (page: Page) => Promise<unknown>> = {
	objects: async () => {},
	properties: (page) => keys(page, 'Tab'),
	polygon: async (page) => {
		await keys(page, 'p');
		await click(page, [60, 420], [330, 420], [400, 560], [120, 600]);
	},
	review: (page) => keys(page, 'Shift+r'),
	image: async (page) => {
		await page.locator('#tab-image').click();
		await page.getByLabel('Brightness').fill('0.3');
		await page.getByLabel('Invert').check();
	},
	smart: async (page) => {
		await keys(page, 'w');
		await page.waitForSelector('select:has(option:text("builtin-grabcut"))');
		await drag(page, [750, 375], [955, 475]);
		await page.waitForTimeout(200); // until it has been asked
		await page.waitForSelector('[data-segmenting="idle"]', { state: 'attached', timeout: 60_000 });
	},
};
for (const [name, then] of Object.entries(work))
	for (const theme of ['dark', 'light'] as const)
		looks.push({ name: `work-${name}-${theme}`, path: item, ready: '.objects .line', theme, then });
looks.push(
	{ name: 'work-1920', path: item, ready: '.objects .line', width: 1920 },
	{ name: 'work-fr', path: item, ready: '.objects .line', lang: 'fr', theme: 'light' },
	{ name: 'work-zoom', path: item, ready: '[data-stage]', zoom: 2 },
);

test.each(looks)('$name is as it was', async ({ name, path, ready, theme = 'dark', width = 1280, lang = 'en', zoom = 1, then }) => {
	// Which models there are is the machine's affair.
	const size = { width: width / zoom, height: (width === 1280 ? 800 : 1080) / zoom };
	const { page, context, errors } = await open(b, { theme, lang, annotator: 'ana', showModels: false }, size);
	try {
		await page.goto(`${server.url}/app/${path}`);
		await page.locator(ready).first().waitFor({ state: 'attached' });
		await page.evaluate(() => document.fonts.ready);
		await page.waitForLoadState('networkidle');
		if (then) await page.waitForTimeout(500);
		await then?.(page);
		await page.mouse.move(0, 0);
		await page.waitForTimeout(900);
		const taken = await page.screenshot({ animations: 'disabled', caret: 'hide' });
		const file = join(references, `${name}.png`);
		if (update || !existsSync(file)) {
			if (!update) throw new Error(`${file} is missing: npm run shots:update takes it`);
			writeFileSync(file, taken);
		} else {
			const share = await different(taken, readFileSync(file));
			if (share > most) writeFileSync(join(shots, `${name}-differs.png`), taken);
			expect(share, `part of ${name} that differs; what it is now: ${shots}/${name}-differs.png`).toBeLessThanOrEqual(most);
		}
		expect(errors).toEqual([]);
	} finally {
		await page.goto('about:blank'); // it tells the server, so that the next one is alone
		await context.close();
	}
});
