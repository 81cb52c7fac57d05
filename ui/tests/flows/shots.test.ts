// Pictures of pages are compared with those in tests/shots; `npm run shots:update` takes them anew.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Browser, Page } from 'playwright-core';
import { browser, demo, open, Server, shots, type Library } from '../lib';

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

test.each(looks)('$name is as it was', async ({ name, path, ready, theme = 'dark', width = 1280, lang = 'en', zoom = 1 }) => {
	// Which models there are is the machine's affair.
	const size = { width: width / zoom, height: (width === 1280 ? 800 : 1080) / zoom };
	const { page, context, errors } = await open(b, { theme, lang, annotator: 'ana', showModels: false }, size);
	await page.goto(`${server.url}/app/${path}`);
	await page.locator(ready).first().waitFor({ state: 'attached' });
	await page.evaluate(() => document.fonts.ready);
	await page.waitForLoadState('networkidle');
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
	await context.close();
});
