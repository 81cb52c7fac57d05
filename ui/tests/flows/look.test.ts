import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Browser } from 'playwright-core';
import { browser, demo, open, Server, shots, type Library } from '../lib';

let lib: Library, server: Server, b: Browser;
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

for (const theme of ['dark', 'light'] as const)
	for (const width of [1280, 1920])
		test(`every page, ${theme}, ${width}`, async () => {
			const { page, context, errors } = await open(b, { theme, annotator: 'ana' }, { width, height: width === 1280 ? 800 : 1080 });
			const shot = (name: string) => page.screenshot({ path: `${shots}/${name}-${theme}-${width}.png` });
			await page.goto(`${server.url}/app/`);
			await page.waitForSelector('a.card');
			await page.waitForTimeout(400);
			await shot('library');
			const first = await page.evaluate(() => [...document.querySelectorAll('a.card')].map((a) => a.getAttribute('href')!));
			for (const [i, href] of first.entries()) {
				await page.goto(`${server.url}${href}`);
				await page.waitForSelector('.cell img, .cell .text', { timeout: 15000 }).catch(() => {});
				await page.waitForTimeout(900);
				await shot(`explorer-${i}`);
				if (i === 0) {
					await page.keyboard.press('1');
					await page.waitForTimeout(600);
					await shot('explorer-table');
					await page.keyboard.press('2');
				}
				const ds = href.split('/d/')[1];
				const page1 = await server.json<{ id: string }[]>(`/items/${ds}?limit=1`);
				await page.goto(`${server.url}/app/d/${ds}/i/${page1[0].id}`);
				await page.waitForSelector('footer');
				await page.waitForTimeout(1500);
				await shot(`item-${i}`);
				if (i === 0) {
					await page.focus('[data-stage]').catch(() => {});
					await page.keyboard.press('Tab');
					await page.waitForTimeout(300);
					await shot('item-selected');
					await page.keyboard.press('?');
					await page.waitForTimeout(300);
					await shot('help');
					await page.keyboard.press('Escape');
				}
			}
			await page.goto(`${server.url}/app/settings`);
			await page.waitForTimeout(500);
			await shot('settings');
			expect(errors).toEqual([]);
			await context.close();
		});
