import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Browser, Page } from 'playwright-core';
import { browser, demo, open, Server, shots, type Library } from '../lib';

let lib: Library, server: Server, b: Browser;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
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

interface Found {
	id: string;
	impact: string;
	nodes: { html: string; failureSummary: string }[];
}

async function faults(page: Page): Promise<string[]> {
	await page.evaluate(axe);
	const found = await page.evaluate(async () => {
		const { axe } = globalThis as unknown as { axe: { run(o: unknown): Promise<{ violations: Found[] }> } };
		return (await axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] })).violations;
	});
	return found.flatMap((f) =>
		f.nodes.map((n) => `${f.id}: ${n.html.slice(0, 160)} ${n.failureSummary.replaceAll('\n', ' ').slice(0, 200)}`),
	);
}

for (const theme of ['dark', 'light'])
	test(`axe finds nothing, ${theme}`, async () => {
		const { page, context, errors } = await open(b, { theme });
		await page.goto(`${server.url}/app/`);
		await page.waitForSelector('a.card');
		expect(await faults(page)).toEqual([]);
		await page.goto(`${server.url}/app/d/streets?view=grid`);
		await page.waitForSelector('.cell img');
		await page.waitForTimeout(800);
		expect(await faults(page)).toEqual([]);
		await page.goto(`${server.url}/app/d/streets?view=table`);
		await page.waitForSelector('[role=row]');
		await page.waitForTimeout(500);
		expect(await faults(page)).toEqual([]);
		await page.goto(`${server.url}/app/d/streets/i/street_001`);
		await page.waitForSelector('[data-stage]');
		await page.waitForTimeout(1000);
		expect(await faults(page)).toEqual([]);
		await page.focus('[data-stage]');
		await page.keyboard.press('Tab');
		await page.waitForTimeout(300);
		expect(await page.evaluate(() => document.activeElement?.getAttribute('aria-activedescendant'))).toBeTruthy();
		expect(await faults(page)).toEqual([]);
		await page.goto(`${server.url}/app/settings`);
		await page.waitForSelector('.keys');
		expect(await faults(page)).toEqual([]);
		expect(errors).toEqual([]);
		await context.close();
	});

test('French, and a language that shows what is not translated', async () => {
	for (const lang of ['fr', 'pseudo']) {
		const { page, context, errors } = await open(b, { lang });
		await page.goto(`${server.url}/app/d/streets/i/street_001`);
		await page.waitForSelector('[data-stage]');
		await page.waitForTimeout(800);
		await page.screenshot({ path: `${shots}/item-${lang}.png` });
		const words = await page.evaluate(() =>
			[...document.querySelectorAll('[role=tab], .hint, [role=toolbar] button')]
				.map((e) => e.getAttribute('aria-label') ?? e.textContent ?? '')
				.filter(Boolean),
		);
		if (lang === 'fr') expect(words).toContain('Propriétés');
		else for (const w of words) expect(w).toMatch(/^⟦.*⟧$/);
		await page.goto(`${server.url}/app/d/streets`);
		await page.waitForSelector('.cell');
		await page.waitForTimeout(500);
		await page.screenshot({ path: `${shots}/explorer-${lang}.png` });
		expect(errors).toEqual([]);
		await context.close();
	}
});

test('library → filter → open → next under the filter; Back keeps the place', async () => {
	const { page, context, errors } = await open(b);
	await page.goto(`${server.url}/app/`);
	await page.getByText('Streets').click();
	await page.waitForSelector('.cell img');
	// A facet, the same as text, a condition on another table
	await page.locator('aside').getByText('val', { exact: true }).click();
	await expect.poll(() => page.getByLabel('Filter', { exact: true }).inputValue()).toBe("split = 'val'");
	await page.waitForFunction(() => document.body.innerText.includes('12 of 48'));
	await page.locator('aside').getByText('bus', { exact: true }).click();
	await page.waitForFunction(() => /\b[1-9] of 48/.test(document.body.innerText));
	const url = page.url();
	const shown = Number(/(\d+) of 48/.exec(await page.locator('header .count').innerText())![1]);
	// A wrong expression says where
	await page.getByLabel('Filter', { exact: true }).fill('split = = 1');
	await page.keyboard.press('Enter');
	await page.waitForSelector('[role=alert] h2');
	await page.screenshot({ path: `${shots}/filter-wrong.png` });
	await page.goBack().catch(() => {});
	await page.goto(url);
	await page.waitForSelector('.cell img');
	await page.locator('.cell').first().dblclick();
	await page.waitForSelector('[data-stage]');
	await page.waitForFunction((n) => document.querySelector('.place')?.textContent === `1 of ${n}`, shown);
	await page.keyboard.press('Shift+ArrowRight');
	await page.waitForFunction((n) => document.querySelector('.place')?.textContent === `2 of ${n}`, shown);
	await page.locator('header a').first().click();
	await page.waitForSelector('.cell img');
	expect(new URL(page.url()).searchParams.get('where')).toBe("split = 'val'");
	// Nothing matches: the filter in words, and a way out
	await page.getByLabel('Filter', { exact: true }).fill("split = 'none'");
	await page.keyboard.press('Enter');
	await page.getByRole('button', { name: 'Clear the last condition' }).click();
	expect(errors).toEqual([]);
	await context.close();
});
