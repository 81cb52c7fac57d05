// Annotates with several headless browsers at once, each a process of its own with the real web interface, and counts what goes
// wrong: errors of pages, answers of status 400 and above, and steps that take longer than a minute.
//
//	node scripts/browsers.mjs URL DATASET SECONDS [BROWSERS]
//
// It prints one line of JSON: how many boxes were drawn and saved, pages shown, and the errors.
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

const [url, dataset, seconds, count = '3'] = process.argv.slice(2);
if (!Number(seconds)) {
	console.error('usage: node scripts/browsers.mjs URL DATASET SECONDS [BROWSERS]');
	process.exit(2);
}
const executablePath = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
	(p) => p && existsSync(p),
);
if (!executablePath) {
	console.error('no Chromium: install it (Debian: apt-get install chromium) or name it in CHROMIUM');
	process.exit(1);
}

const end = Date.now() + Number(seconds) * 1000;
const sum = { browsers: Number(count), saved: 0, pages: 0, errors: [] };
const patient = { timeout: 60_000 };

async function annotate(number) {
	const browser = await chromium.launch({
		executablePath,
		headless: true,
		args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--enable-unsafe-swiftshader'],
	});
	try {
		const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce', locale: 'en-GB' });
		await context.addInitScript((name) => {
			if (!localStorage.getItem('pixano.prefs')) localStorage.setItem('pixano.prefs', JSON.stringify({ annotator: name }));
		}, `browser-${number}`);
		const page = await context.newPage();
		page.on('pageerror', (e) => sum.errors.push(`browser ${number}: ${e.message}`));
		page.on('response', (r) => {
			if (r.status() >= 400) sum.errors.push(`browser ${number}: ${r.request().method()} ${r.url()}: status ${r.status()}`);
		});
		const press = async (...keys) => {
			for (const key of keys) await page.keyboard.press(key);
		};
		for (let n = 0; Date.now() < end; n++) {
			await page.goto(`${url}/app/d/${dataset}`, patient);
			await page.waitForSelector('.cell', patient);
			sum.pages++;
			const item = `item_${String(number * 20 + (n % 20)).padStart(6, '0')}`;
			await page.goto(`${url}/app/d/${dataset}/i/${item}`, patient);
			await page.waitForFunction(
				(id) => document.querySelector('.item')?.textContent === id && document.querySelector('[data-stage]'),
				item,
				patient,
			);
			await page.waitForTimeout(400);
			sum.pages++;
			// A box from corner to corner, by keys; then it is saved.
			await press('r', '1', 'ArrowLeft', 'ArrowUp', 'Enter');
			await press('ArrowRight', 'ArrowRight', 'Control+ArrowRight', 'Control+ArrowDown', 'Enter', 'Control+s');
			await page.waitForSelector('[data-state="saved"]', patient);
			sum.saved++;
		}
	} catch (e) {
		sum.errors.push(`browser ${number}: ${e.message}`);
	} finally {
		await browser.close();
	}
}

await Promise.all(Array.from({ length: Number(count) }, (_, i) => annotate(i)));
console.log(JSON.stringify(sum));
