// Makes shapes in the web interface of this project, looks at them in that of Pixano 0.6.12, and undoes them after a reload.
// Arguments: make, see or undo; address, item, folder of JavaScript packages, Chromium, folder for pictures; to see: points
// of the image of which is told whether a mask is painted there.
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [phase, address, item, modules, executablePath, shots, places] = process.argv.slice(2);
const { chromium } = createRequire(join(modules, 'x.js'))('playwright-core');
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--enable-unsafe-swiftshader'] });
const page = await browser.newPage({ viewport: { width: 1400, height: 900 }, locale: 'en-GB' });
const problems = [];
page.on('pageerror', (e) => { if (!/preload CSS/.test(e.message)) problems.push((e.stack ?? e.message).slice(0, 900)); });
page.on('console', (m) => {
	if (m.type() === 'error' && !/Failed to load resource/.test(m.text())) problems.push(m.text().slice(0, 500));
});
page.on('response', (r) => { if (r.status() >= 400 && r.url().startsWith(address)) problems.push(`${r.status()} ${r.url()}`); });
await page.route((url) => !url.href.startsWith(address), (route) => route.abort());
const shot = async (name) => { if (shots) await page.screenshot({ path: join(shots, `shapes-${name}.png`) }); };

async function opened() {
	await page.waitForFunction((id) => document.querySelector('.item')?.textContent === id && document.querySelector('[data-stage]'), item);
	await page.waitForTimeout(600);
}
async function own() {
	await page.addInitScript(() => localStorage.setItem('pixano.prefs', JSON.stringify({ annotator: 'Ana' })));
	await page.goto(`${address}/app/d/pets/i/${item}`);
	await opened();
}
// at gives the place on the screen of a point of the image, once the page shows what the last event did.
const at = ([x, y]) =>
	page.evaluate(async ([px, py]) => {
		await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
		const { scale, x, y } = globalThis.pixanoStages.get(0).camera;
		const r = document.querySelector('[data-stage]').getBoundingClientRect();
		return [r.left + px * scale + x, r.top + py * scale + y];
	}, [x, y]);
async function click(...points) {
	for (const p of points) await page.mouse.click(...(await at(p)));
}
async function drag(...points) {
	await page.mouse.move(...(await at(points[0])));
	await page.mouse.down();
	for (const p of points.slice(1)) await page.mouse.move(...(await at(p)), { steps: 6 });
	await page.mouse.up();
}
const press = async (...keys) => { for (const k of keys) await page.keyboard.press(k); };
const release = () => press('Escape', 'Escape', 'Escape'); // nothing is selected, the select tool is in hand
async function save() {
	await press('Control+s');
	await page.waitForSelector('[data-state="saved"]', { timeout: 20_000 });
}

async function skeleton(template, from, to) {
	await press('j');
	await page.locator('label', { hasText: 'Skeleton' }).locator('select').selectOption(template);
	await page.locator('[data-stage="0"]').focus();
	await drag(from, to);
}

async function make() {
	await own();
	await press('1'); // cat
	// A polygon with a hole.
	await press('p');
	await click([200, 220], [320, 220], [320, 420], [200, 420]);
	await press('Enter');
	await page.keyboard.down('Shift');
	await click([230, 260], [290, 260], [290, 340]);
	await page.keyboard.up('Shift');
	await click([230, 340]);
	await press('Enter');
	await release();
	// A painted mask.
	await press('b');
	await drag([40, 400], [90, 440], [160, 400]);
	await press('Enter');
	await release();
	// A mask of a segmenter.
	await press('w');
	await page.waitForSelector('select:has(option:text("builtin-grabcut"))');
	await drag([430, 40], [570, 180]);
	await page.waitForTimeout(300);
	await page.waitForSelector('[data-segmenting="idle"]', { state: 'attached', timeout: 60_000 });
	await page.waitForTimeout(300);
	await shot('smart');
	await press('Enter');
	await release();
	// Skeletons of a template that Pixano does not know, and of one that it does, with labels for the object of the latter.
	await skeleton('person-17', [570, 220], [630, 460]);
	await release();
	await skeleton('person', [380, 220], [520, 460]);
	await press('Tab', 'o');
	await press('c');
	await page.getByRole('combobox', { name: 'Search, or type a label' }).fill('jumping');
	await press('Enter');
	await page.getByLabel('Confidence of jumping').fill('0.75');
	await press('Tab', 'Escape');
	await save();
	await release();
	// What the model made is accepted.
	await press('Shift+R');
	await page.waitForSelector('.review progress');
	await page.locator('[data-stage="0"]').focus();
	await press('y');
	await save();
	await shot('made');
}

async function undo() {
	await own();
	await page.locator('#tab-history').click();
	await page.waitForSelector('[data-change]');
	const changes = page.locator('[data-change]');
	const n = await changes.filter({ hasText: 'Ana' }).count(); // below them is the one that added the item
	const all = await changes.count();
	for (let i = 0; i < n; i++) {
		// From the newest on: each undoing is a change itself, and comes in at the top.
		await changes.nth(2 * i).getByRole('button', { name: 'Undo this change' }).click();
		for (let k = 0; k < 100 && (await changes.count()) !== all + i + 1; k++) await page.waitForTimeout(100);
	}
	await shot('undone');
}

async function see() {
	await page.goto(`${address}/pets/dataset`);
	await page.locator('tbody tr', { hasText: item }).click();
	await page.locator('canvas').first().waitFor();
	await page.waitForTimeout(2500);
	await shot('reference');
	// What is drawn, with the place of each shape, and what the list of objects has.
	const drawn = await page.evaluate(() =>
		globalThis.Konva.stages.flatMap((s) => s.find((n) => n.id() && n.isVisible()).map((n) => ({ kind: n.getClassName(), id: n.id(), x: n.x(), y: n.y() }))),
	);
	// The colour of a pixel of the masks alone tells that they are painted, and where not.
	const painted = await page.evaluate((points) => {
		const group = globalThis.Konva.stages.flatMap((s) => s.find('#masks-photo'))[0];
		const { x, y } = group.getAbsolutePosition();
		const k = group.getAbsoluteScale().x;
		const canvas = group.toCanvas({ x: 0, y: 0, width: group.getStage().width(), height: group.getStage().height() });
		const context = canvas.getContext('2d');
		const ratio = canvas.width / group.getStage().width();
		return points.map(([px, py]) => context.getImageData(Math.round((x + px * k) * ratio), Math.round((y + py * k) * ratio), 1, 1).data[3] > 0);
	}, JSON.parse(places));
	process.stdout.write(JSON.stringify({ drawn, painted, text: await page.locator('body').innerText() }));
}

await { make, see, undo }[phase]();
await browser.close();
if (problems.length) throw new Error(problems.join('\n'));
