// Images of 16 bits: what is shown is read back from the canvas.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Browser, Page } from 'playwright-core';
import { deep, png, tiff } from '../deep';
import { browser, open, pixano, placeOf, Server, shots } from '../lib';

let dir: string, server: Server, b: Browser;
const dataset = 'scans';
const items: Record<string, string> = {};

// Twelve bits: a ramp above; below two greys whose upper eight bits are the same.
const grey = deep(400, 300, 1, (x, y) => (y < 150 ? Math.floor((x * 4096) / 400) : x < 200 ? 2048 : 2080));
const colours = deep(200, 150, 3, (x, _, c) => [1000 + (x < 100 ? 0 : 40), 9000 + (x < 100 ? 0 : 90), 30000][c]);

beforeAll(async () => {
	dir = mkdtempSync(join(tmpdir(), 'pixano-ui-'));
	// 4k in colours, smooth enough to be written soon.
	const large = deep(3840, 2160, 3, (x, y, c) => 500 + ((x * (c + 1) + y) >> 2));
	const photos = join(dir, 'photos'),
		split = join(photos, 'train');
	mkdirSync(split, { recursive: true });
	writeFileSync(join(split, 'a_grey.png'), png(grey));
	writeFileSync(join(split, 'b_grey.tif'), tiff(grey));
	writeFileSync(join(split, 'c_colours.png'), png(colours));
	writeFileSync(join(split, 'd_large.png'), png(large));
	b = await browser();
	const photo = await turnedPhoto();
	writeFileSync(join(split, 'e_photo.jpg'), photo);
	const coco = join(dir, 'coco');
	mkdirSync(coco);
	writeFileSync(join(coco, 'e_photo.jpg'), photo);
	const image = { id: 1, file_name: 'e_photo.jpg', width: 60, height: 120 }; // as those who look at it see it
	writeFileSync(join(coco, 'instances.json'), JSON.stringify({ images: [image], annotations: [], categories: [] }));
	for (const args of [
		['init', join(dir, 'data')],
		['data', 'import', join(dir, 'data'), photos, '--type', 'image', '--name', dataset, '--quiet'],
		['data', 'import', join(dir, 'data'), coco, '--format', 'coco', '--name', 'upright', '--quiet'],
	]) {
		const made = spawnSync(pixano(), args, { encoding: 'utf8' });
		if (made.status !== 0) throw new Error(made.stderr);
	}
	server = new Server(join(dir, 'data'));
	await server.start();
	const views = await server.json<{ data: { url: string; item_ref: { id: string } } }[]>(`/views/${dataset}/image?limit=10`);
	for (const v of views) items[/([abcde])_/.exec(v.data.url)![1]] = v.data.item_ref.id;
});
// turnedPhoto is a JPEG file whose pixels lie on their side: 120 wide and 60 high, the left half blue, the right one red; its
// EXIF says that a quarter turn clockwise brings it upright.
async function turnedPhoto(): Promise<Buffer> {
	const page = await b.newPage();
	const text = await page.evaluate(() => {
		const canvas = document.createElement('canvas');
		[canvas.width, canvas.height] = [120, 60];
		const c = canvas.getContext('2d')!;
		['#1e1ec8', '#c81e1e'].forEach((ink, i) => {
			c.fillStyle = ink;
			c.fillRect(60 * i, 0, 60, 60);
		});
		return canvas.toDataURL('image/jpeg', 0.95);
	});
	await page.close();
	const file = Buffer.from(text.slice(text.indexOf(',') + 1), 'base64');
	const tiff = '4d4d002a00000008' + '0001' + '0112000300000001' + '00060000' + '00000000';
	const exif = Buffer.from('ffe10022' + '457869660000' + tiff, 'hex');
	return Buffer.concat([file.subarray(0, 2), exif, file.subarray(2)]);
}

afterAll(async () => {
	await b?.close();
	await server?.kill();
	rmSync(dir, { recursive: true, force: true });
});

const show = async (page: Page, item: string, gl = '1') => {
	await page.goto(`${server.url}/app/d/${dataset}/i/${items[item]}?gl=${gl}`);
	await page.waitForFunction(() => document.querySelector('[data-stage] canvas'));
	await page.getByRole('tab', { name: 'Image' }).click();
	await page.waitForSelector('[data-histogram]');
};

// shown reads what the stage shows of pixels of the image.
const shown = (page: Page, ...at: [number, number][]) =>
	page.evaluate(async (points) => {
		interface S {
			camera: { scale: number; x: number; y: number };
			invalidate(...l: string[]): void;
		}
		const stage = (globalThis as unknown as { pixanoStages: Map<number, S> }).pixanoStages.get(0)!;
		const canvas = document.querySelector<HTMLCanvasElement>('[data-stage] canvas')!;
		const off = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true })!;
		stage.invalidate('image', 'shapes', 'hud');
		// What WebGL drew is there until the end of the frame.
		await new Promise((done) => requestAnimationFrame(() => (off.drawImage(canvas, 0, 0), done(0))));
		const k = canvas.width / canvas.clientWidth;
		const [mx, my] = [-canvas.offsetLeft, -canvas.offsetTop];
		return points.map(([x, y]) =>
			Array.from(
				off
					.getImageData(
						Math.floor((x * stage.camera.scale + stage.camera.x + mx) * k),
						Math.floor((y * stage.camera.scale + stage.camera.y + my) * k),
						1,
						1,
					)
					.data.slice(0, 3),
			),
		);
	}, at);
const field = (page: Page, name: string) => page.getByRole('spinbutton', { name, exact: true });
const near = (got: number, want: number) => expect(Math.abs(got - want), `${got} is about ${want}`).toBeLessThanOrEqual(2);

for (const gl of ['1', '0'])
	for (const item of ['a', 'b'])
		test(`a window on 12 bits tells greys apart that are the same in 8 (gl=${gl}, ${item === 'a' ? 'PNG' : 'TIFF'})`, async () => {
			const { page, errors, context } = await open(b);
			await show(page, item, gl);
			if (item === 'a') {
				// The browser itself sees one grey.
				const seen = await page.evaluate(
					async (url) => {
						const image = await createImageBitmap(await (await fetch(url)).blob());
						const c = new OffscreenCanvas(image.width, image.height).getContext('2d')!;
						c.drawImage(image, 0, 0);
						return [c.getImageData(100, 200, 1, 1).data[0], c.getImageData(300, 200, 1, 1).data[0]];
					},
					`${server.url}/dataset_media/${dataset}/${(await server.json<{ data: { url: string } }[]>(`/views/${dataset}/image?item_ids=${items.a}`))[0].data.url}`,
				);
				expect(seen[0]).toBe(seen[1]);
			}
			// Without a window asked for, the values that occur fill the range: 8 bits alone would be almost black.
			const [dark, light, left] = await shown(page, [20, 50], [380, 50], [100, 225]);
			expect(dark[0]).toBeLessThan(20);
			expect(light[0]).toBeGreaterThan(235);
			near(left[0], Math.round((2048 / 4091) * 255));
			await field(page, 'Black from').fill('2040');
			await page.keyboard.press('Enter');
			await field(page, 'White from').fill('2090');
			await page.keyboard.press('Enter');
			await page.waitForTimeout(100);
			const [p, q] = await shown(page, [100, 225], [300, 225]);
			near(p[0], (8 / 50) * 255);
			near(q[0], (40 / 50) * 255);
			// The value under the pointer is the sample's.
			const at = await placeOf(page, 300, 225);
			await page.mouse.move(at.x, at.y);
			await page.waitForFunction(() => document.querySelector('footer')?.textContent?.includes('2,080'));
			await page.screenshot({ path: `${shots}/deep-${item}-gl${gl}.png` });
			// The window is the dataset's from now on.
			await page.reload();
			await page.waitForFunction(() => document.querySelector('[data-stage] canvas'));
			await page.getByRole('tab', { name: 'Image' }).click();
			expect(await field(page, 'Black from').inputValue()).toBe('2040');
			await page.waitForTimeout(300);
			near((await shown(page, [300, 225]))[0][0], (40 / 50) * 255);
			// Equalised, the two greys, which fill the window, are its ends.
			await page.getByRole('checkbox', { name: 'Equalise' }).check();
			await page.waitForTimeout(100);
			const [e, f] = await shown(page, [100, 225], [300, 225]);
			expect(f[0] - e[0]).toBeGreaterThan(100);
			await page.getByRole('button', { name: 'Reset' }).click();
			await page.waitForTimeout(100);
			near((await shown(page, [100, 225]))[0][0], Math.round((2048 / 4091) * 255));
			expect(errors).toEqual([]);
			await context.close();
		});

for (const gl of ['1', '0'])
	test(`each channel has its window, alone or with others (gl=${gl})`, async () => {
		const { page, errors, context } = await open(b);
		await show(page, 'c', gl);
		await page.getByRole('checkbox', { name: 'Each channel by itself' }).check();
		for (const [c, low, high] of [
			['R', 990, 1050],
			['G', 8950, 9150],
			['B', 20000, 40000],
		] as const) {
			await field(page, `Black from ${c}`).fill(String(low));
			await page.keyboard.press('Enter');
			await field(page, `White from ${c}`).fill(String(high));
			await page.keyboard.press('Enter');
		}
		await page.waitForTimeout(100);
		const want = [
			[10 / 60, 50 / 200, 0.5],
			[50 / 60, 140 / 200, 0.5],
		].map((p) => p.map((v) => v * 255));
		let got = await shown(page, [50, 75], [150, 75]);
		got.forEach((p, i) => p.forEach((v, k) => near(v, want[i][k])));
		await page.screenshot({ path: `${shots}/channels-gl${gl}.png` });
		// Without blue; then red alone, as a grey.
		const channel = (name: string) => page.getByRole('group', { name: 'Channels' }).getByRole('button', { name, exact: true });
		await channel('B').click();
		await page.waitForTimeout(100);
		got = await shown(page, [150, 75]);
		[want[1][0], want[1][1], 0].forEach((v, k) => near(got[0][k], v));
		await channel('G').click();
		await page.waitForTimeout(100);
		got = await shown(page, [150, 75]);
		got[0].forEach((v) => near(v, want[1][0]));
		// The settings get a name, are taken back, and found again by it.
		await page.getByLabel('Name for these settings').fill('Red');
		await page.keyboard.press('Enter');
		await page.getByRole('button', { name: 'Reset' }).click();
		await page.getByRole('button', { name: 'Red', exact: true }).click();
		await page.waitForTimeout(100);
		(await shown(page, [150, 75]))[0].forEach((v) => near(v, want[1][0]));
		if (gl === '1') {
			// A context that is lost and comes back shows the same.
			await page.evaluate(async () => {
				const canvas = document.querySelector<HTMLCanvasElement>('[data-stage] canvas')!;
				const lose = canvas.getContext('webgl2')!.getExtension('WEBGL_lose_context')!;
				lose.loseContext();
				await new Promise((done) => setTimeout(done, 200));
				const back = new Promise((done) => canvas.addEventListener('webglcontextrestored', done, { once: true }));
				lose.restoreContext();
				await back;
			});
			await page.waitForTimeout(100);
			(await shown(page, [150, 75]))[0].forEach((v) => near(v, want[1][0]));
		}
		expect(errors).toEqual([]);
		await context.close();
	});

for (const gl of ['1', '0'])
	test(`a 4k picture of 16 bits in three channels: what a window costs (gl=${gl})`, async () => {
		const { page, errors, context } = await open(b, {}, { width: 1600, height: 900 });
		const start = Date.now();
		await show(page, 'd', gl);
		const first = Date.now() - start;
		const run = await page.evaluate(async () => {
			interface S {
				stats: { script: number; draws: number; uploaded: number };
				adjust: { windows: unknown };
				setAdjust(a: unknown): void;
			}
			const stage = (globalThis as unknown as { pixanoStages: Map<number, S> }).pixanoStages.get(0)!;
			const frame = () => new Promise((done) => requestAnimationFrame(done));
			await frame();
			const before = stage.stats.uploaded;
			const times: number[] = [];
			for (let i = 0; i < 12; i++) {
				const range = [0.005 + i / 10000, 0.03];
				stage.setAdjust({ ...stage.adjust, windows: [range, range, range] });
				await frame();
				await frame();
				times.push(stage.stats.script);
			}
			return {
				script: times.toSorted((x, y) => x - y)[6],
				draws: stage.stats.draws,
				uploaded: before,
				again: stage.stats.uploaded - before,
			};
		});
		console.log(
			`4k, 3 × 16 bits, gl=${gl}: shown after ${first} ms with page and server, ${run.script.toFixed(1)} ms of script a window${gl === '1' ? ' (limit 4)' : ''}, ${run.draws} draw calls, ${(run.uploaded / 1e6).toFixed(0)} MB uploaded once, ${run.again} bytes a window`,
		);
		if (gl === '1') expect([run.draws, run.again, run.uploaded > 3840 * 2160 * 6]).toEqual([4, 0, true]);
		expect(errors).toEqual([]);
		await context.close();
	});

test('a photo that is stored turned is shown upright, with coordinates of the pixels as they are stored', async () => {
	const { page, errors, context } = await open(b);
	interface S {
		camera: { scale: number; x: number; y: number; turn: number };
		image: { width: number; height: number };
	}
	const stage = () => page.evaluate(() => (globalThis as unknown as { pixanoStages: Map<number, S> }).pixanoStages.get(0) as S);
	const turn = async () => (await stage()).camera.turn;
	// under names what lies below a place of the stage, between 0 and 1 of what is seen of the picture.
	const under = async (x: number, y: number) => {
		const { camera, image } = await stage();
		const [w, h] = camera.turn & 1 ? [image.height, image.width] : [image.width, image.height];
		const r = (await page.locator('[data-stage="0"]').boundingBox())!;
		await page.mouse.move(r.x + camera.x + x * w * camera.scale, r.y + camera.y + y * h * camera.scale);
		const status = page.locator('footer');
		await expect.poll(() => status.textContent()).toMatch(/R \d+/);
		const [, px, py, red, blue] = /x (\d+) y (\d+).*R (\d+) G \d+ B (\d+)/s.exec((await status.textContent())!)!;
		return [Number(px), Number(py), Number(red) > Number(blue) ? 'red' : 'blue'];
	};
	await page.goto(`${server.url}/app/d/${dataset}/i/${items.e}`);
	await expect.poll(turn).toBe(1);
	expect((await stage()).image).toEqual({ width: 120, height: 60 });
	expect(await under(0.51, 0.26)).toEqual([31, 29, 'blue']);
	expect(await under(0.51, 0.76)).toEqual([91, 29, 'red']);
	await page.screenshot({ path: `${shots}/exif.png` });
	// The next item is not turned.
	await page.goto(`${server.url}/app/d/${dataset}/i/${items.d}`);
	await expect.poll(async () => (await stage())?.image?.width).toBe(3840);
	expect(await turn()).toBe(0);
	// Annotations of others may be those of the turned picture: the size of the view tells.
	const [{ data }] = await server.json<{ data: { item_ref: { id: string } } }[]>('/views/upright/image?limit=1');
	await page.goto(`${server.url}/app/d/upright/i/${data.item_ref.id}`);
	await expect.poll(async () => (await stage())?.image?.height).toBe(120);
	expect(await under(0.51, 0.26)).toEqual([30, 31, 'blue']);
	expect(await under(0.51, 0.76)).toEqual([30, 91, 'red']);
	expect(await turn()).toBe(0);
	expect(errors).toEqual([]);
	await context.close();
});
