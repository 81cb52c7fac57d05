// What flows need: the real server on copies of datasets, and a browser.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';

export const repository = resolve(import.meta.dirname, '../..');
export const shots = join(tmpdir(), 'pixano-ui-shots');
mkdirSync(shots, { recursive: true });

let binary = process.env.PIXANO_BIN ?? '';

// pixano is the program under test, built once.
export function pixano(): string {
	if (binary) return binary;
	binary = join(tmpdir(), `pixano-ui-test-${process.pid}`, 'pixano');
	const built = spawnSync('go', ['build', '-o', binary, './cmd/pixano'], { cwd: repository, stdio: ['ignore', 'inherit', 'inherit'] });
	if (built.status !== 0) throw new Error('go build ./cmd/pixano failed');
	return binary;
}

export interface Library {
	dir: string;
	remove(): void;
}

// golden copies datasets that Python Pixano wrote into a library of their own.
export function golden(...names: string[]): Library {
	const dir = mkdtempSync(join(tmpdir(), 'pixano-ui-'));
	for (const name of names) cpSync(join(repository, 'testdata/golden', name), join(dir, name), { recursive: true });
	return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

// demo makes the demo library.
export function demo(): Library {
	const dir = mkdtempSync(join(tmpdir(), 'pixano-ui-'));
	const made = spawnSync(pixano(), ['demo', dir, '--no-serve'], { encoding: 'utf8' });
	if (made.status !== 0) throw new Error(made.stderr);
	return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

export class Server {
	private child: ChildProcess | null = null;
	port = 0;

	constructor(private dir: string) {}

	// start serves at the same port each time, so that pages find the server again.
	async start(): Promise<void> {
		const child = spawn(pixano(), ['server', 'run', this.dir, '--port', String(this.port)], { stdio: ['ignore', 'pipe', 'pipe'] });
		this.child = child;
		let text = '';
		await new Promise<void>((ready, fail) => {
			const read = (chunk: Buffer) => {
				text += chunk.toString();
				const at = /http:\/\/127\.0\.0\.1:(\d+)/.exec(text);
				if (at) {
					this.port = Number(at[1]);
					ready();
				}
			};
			child.stdout!.on('data', read);
			child.stderr!.on('data', read);
			child.once('exit', (code) => fail(new Error(`the server ended with ${code}: ${text}`)));
		});
	}

	// kill ends the process at once, in the middle of whatever it does.
	async kill(): Promise<void> {
		const child = this.child;
		if (!child || child.exitCode !== null) return;
		const gone = new Promise((done) => child.once('exit', done));
		child.kill('SIGKILL');
		await gone;
		this.child = null;
	}

	get url(): string {
		return `http://127.0.0.1:${this.port}`;
	}

	async json<T>(path: string): Promise<T> {
		const answer = await fetch(this.url + path);
		if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
		return (await answer.json()) as T;
	}
}

export function chromiumPath(): string {
	const found = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
		(p) => p && existsSync(p),
	);
	if (!found) throw new Error('no Chromium: install it (Debian: apt-get install chromium) or name it in CHROMIUM');
	return found;
}

export async function browser(): Promise<Browser> {
	return chromium.launch({
		executablePath: chromiumPath(),
		headless: true,
		args: [
			'--no-sandbox',
			'--disable-gpu',
			'--disable-quic',
			'--no-first-run',
			'--disable-background-networking',
			'--disable-component-update',
			'--disable-sync',
			'--enable-unsafe-swiftshader',
		],
	});
}

export interface Opened {
	page: Page;
	context: BrowserContext;
	errors: string[];
}

// open makes a window of its own, with its own storage. Errors of the page are collected.
export async function open(
	b: Browser,
	prefs: Record<string, unknown> = {},
	size = { width: 1280, height: 800 },
	context?: BrowserContext,
): Promise<Opened> {
	const c = context ?? (await b.newContext({ viewport: size, reducedMotion: 'reduce', locale: 'en-GB', timezoneId: 'UTC' }));
	if (!context)
		await c.addInitScript((p) => {
			if (!localStorage.getItem('pixano.prefs')) localStorage.setItem('pixano.prefs', JSON.stringify(p));
		}, prefs);
	// What pages that come unencrypted from another machine do not have.
	await c.addInitScript(() => delete (Crypto.prototype as { randomUUID?: unknown }).randomUUID);
	const page = await c.newPage();
	await slow(page);
	const errors: string[] = [];
	page.on('pageerror', (e) => errors.push(`${e.message}\n${e.stack ?? ''}`));
	page.on('console', (m) => {
		if (m.type() === 'error' && !/Failed to load resource|net::ERR/.test(m.text())) errors.push(m.text());
	});
	return { page, context: c, errors };
}

// slow makes a page that of a slow network or machine: answers and later chunks of code come up to PIXANO_FLOWS_DELAY ms
// late and out of order, scripts run PIXANO_FLOWS_CPU times as long.
async function slow(page: Page): Promise<void> {
	const { PIXANO_FLOWS_DELAY: delay, PIXANO_FLOWS_CPU: cpu } = process.env;
	if (delay)
		await page.route(
			(url) => !/\/(dataset_media|thumbnail|events)\//.test(url.pathname),
			async (route) => {
				if (!['fetch', 'xhr', 'script'].includes(route.request().resourceType())) return route.fallback();
				try {
					const response = await route.fetch();
					await new Promise((done) => setTimeout(done, Math.random() * Number(delay)));
					await route.fulfill({ response });
				} catch {
					await route.abort().catch(() => {}); // no server, or the page no longer asks
				}
			},
		);
	if (cpu) await (await page.context().newCDPSession(page)).send('Emulation.setCPUThrottlingRate', { rate: Number(cpu) });
}

// painted waits until the page shows what the last event did.
export const painted = (page: Page) =>
	page.evaluate(() => new Promise<void>((done) => requestAnimationFrame(() => requestAnimationFrame(() => done()))));

// saved waits until everything is stored; the state shown may at first be that of before.
export async function saved(page: Page): Promise<void> {
	await painted(page);
	await page.waitForSelector('[data-state="saved"]', { timeout: 20_000 });
}

// save saves now.
export async function save(page: Page): Promise<void> {
	await page.keyboard.press('Control+s');
	await saved(page);
}

// placeOf gives the place on the screen of a point of the first view's image.
export async function placeOf(page: Page, x: number, y: number): Promise<{ x: number; y: number }> {
	await painted(page); // what opened may have moved the view
	return page.evaluate(
		([px, py]) => {
			const stage = (
				globalThis as unknown as { pixanoStages: Map<number, { camera: { scale: number; x: number; y: number } }> }
			).pixanoStages.get(0)!;
			const r = document.querySelector('[data-stage]')!.getBoundingClientRect();
			return { x: r.left + px * stage.camera.scale + stage.camera.x, y: r.top + py * stage.camera.scale + stage.camera.y };
		},
		[x, y] as const,
	);
}

export async function drag(page: Page, from: [number, number], to: [number, number]): Promise<void> {
	const a = await placeOf(page, ...from),
		z = await placeOf(page, ...to);
	await page.mouse.move(a.x, a.y);
	await page.mouse.down();
	await page.mouse.move((a.x + z.x) / 2, (a.y + z.y) / 2, { steps: 3 });
	await page.mouse.move(z.x, z.y);
	await page.mouse.up();
}

// both takes a picture of the page in each theme.
export async function both(page: Page, name: string): Promise<void> {
	await page.screenshot({ path: `${shots}/${name}.png` });
	const theme = (to: string) => page.evaluate((x) => (document.documentElement.dataset.theme = x), to);
	await theme('light');
	await page.waitForTimeout(150);
	await page.screenshot({ path: `${shots}/${name}-light.png` });
	await theme('dark');
}
