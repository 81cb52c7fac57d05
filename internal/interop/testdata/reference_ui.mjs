// Drives the web interface of Pixano 0.6.12. Arguments: address, folder of JavaScript packages, Chromium, folder for pictures.
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [address, modules, executablePath, shots] = process.argv.slice(2);
const { chromium } = createRequire(join(modules, 'x.js'))('playwright-core');
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
const problems = [];
page.on('pageerror', (e) => { if (!/preload CSS/.test(e.message)) problems.push(e.message.slice(0, 500)); });
page.on('console', (m) => { if (/ZodError/.test(m.text())) problems.push(m.text().slice(0, 500)); });
page.on('response', (r) => { if (r.status() >= 400 && r.url().startsWith(address)) problems.push(`${r.status()} ${r.url()}`); });
await page.route((url) => !url.href.startsWith(address), (route) => route.abort());

let step = 0;
async function shot(name) {
  if (shots) await page.screenshot({ path: join(shots, `${String(++step).padStart(2, '0')}-${name}.png`) });
}

const row = (id) => page.locator('tbody tr', { hasText: id });
const firstID = () => page.locator('tbody tr').first().innerText();

await page.goto(address + '/');
await page.getByText('25 items').first().waitFor();
await shot('library');
await page.locator('button', { hasText: 'Pets' }).first().click();
await row('pet_00').waitFor();
await shot('explorer');

// Page.
await page.getByText('1 - 20 of 25').waitFor();
const footer = page.getByText('1 - 20 of 25').locator('..');
await footer.locator('button').nth(2).click();
await row('pet_24').waitFor();
await shot('second page');
// Sort.
const header = (name) => page.locator('thead th', { hasText: name }).locator('svg').first();
async function sortBy(name, want) { // until the first row is the one wanted: clicks go through the directions
  for (let i = 0; i < 3; i++) {
    const answered = page.waitForResponse((r) => r.url().includes('/browser/pets?'));
    await header(name).click();
    await answered;
    await page.waitForTimeout(300);
    if ((await firstID()).includes(want)) return;
  }
  throw new Error(`sorted by ${name}, the first row is ${await firstID()}: want ${want}`);
}
await sortBy('id', 'pet_24');
await sortBy('stars', 'pet_04');
await shot('sorted');
// Filter, and search by a text of 11 letters.
await page.getByPlaceholder('filter value').fill('pet_07');
await page.getByPlaceholder('filter value').press('Enter');
await page.getByText('1 - 1 of 1', { exact: true }).waitFor();
await row('pet_07').waitFor();
await shot('filtered');
await page.goto(address + '/pets/dataset');
await row('pet_00').waitFor();
await page.getByPlaceholder(/Semantic search/).fill('eleven abcd');
await page.getByPlaceholder(/Semantic search/).press('Enter');
await page.locator('thead th', { hasText: 'distance' }).waitFor();
if (!(await firstID()).includes('pet_11')) throw new Error(`found first: ${await firstID()}`);
await shot('search');

// Open, and draw a box.
await page.goto(address + '/pets/dataset');
await row('pet_03').waitFor();
await row('pet_03').click();
await page.getByText('pet_03_animal').first().waitFor();
const canvas = page.locator('canvas').first();
await canvas.waitFor();
await page.waitForTimeout(1000);
await shot('item');
const icon = (name) => page.locator(`button:has(svg.lucide-${name})`);
await icon('square').first().click();
const stage = await canvas.boundingBox();
const at = (x, y) => [stage.x + x * stage.width, stage.y + y * stage.height];
await page.mouse.move(...at(0.6, 0.5));
await page.mouse.down();
await page.mouse.move(...at(0.7, 0.6), { steps: 5 });
await page.mouse.move(...at(0.85, 0.75), { steps: 5 });
await page.mouse.up();
await page.waitForTimeout(800);
await shot('drawn');
await page.getByText('cat', { exact: true }).last().click();
await page.getByRole('button', { name: 'Confirm' }).click();

// Save: a source, an entity, a box.
const sent = [];
page.on('response', (r) => { const q = r.request(); if (q.method() !== 'GET') sent.push(`${q.method()} ${new URL(q.url()).pathname} ${r.status()}`); });
async function save(count) {
  const before = sent.length;
  await page.getByRole('button', { name: 'Save' }).click();
  for (let i = 0; i < 100 && sent.length < before + count; i++) await page.waitForTimeout(100);
  await page.waitForTimeout(300);
}
await save(3);
await shot('saved');
await page.reload();
await page.getByText('pet_03_animal').first().waitFor();
await page.waitForTimeout(1000);
await shot('reloaded');

// Delete the object that was there, which asks once more, and save again.
const card = page.getByText('pet_03_animal').first().locator('../..');
await card.hover();
await card.locator('button:has(> svg.lucide-trash-2)').click();
await page.waitForTimeout(300);
await shot('asked');
const confirm = card.locator('button:has(> svg.lucide-trash-2)');
if (await confirm.count()) await confirm.first().click();
await save(2);
await shot('deleted');
await page.reload();
await page.getByText('4 of 25').waitFor();
await page.waitForTimeout(1000);
if (await page.getByText('pet_03_animal').count()) throw new Error('the object is still there');
await shot('reloaded again');

// The next item.
await icon('arrow-right').first().click();
await page.getByText('5 of 25').waitFor();
await page.getByText('pet_04_animal').first().waitFor();
console.log(sent.join('\n'));
await browser.close();
if (problems.length) throw new Error(problems.join('\n'));
