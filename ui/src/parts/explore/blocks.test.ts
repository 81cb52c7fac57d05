import { expect, test } from 'vitest';
import { Blocks } from './blocks';

const tick = () => new Promise((r) => setTimeout(r, 0));

test('a million rows: what is shown is loaded, far requests are stopped, memory is bounded', async () => {
	const asked: number[] = [];
	let stopped = 0;
	const source = (offset: number, limit: number, signal: AbortSignal) =>
		new Promise<number[]>((done, fail) => {
			asked.push(offset);
			signal.addEventListener('abort', () => (stopped++, fail(signal.reason)));
			setTimeout(() => done(Array.from({ length: limit }, (_, i) => offset + i)), 0);
		});
	const b = new Blocks(source, () => {});
	b.show(0, 30, true, 1_000_000);
	b.show(999_970, 1_000_000, true, 1_000_000);
	await tick();
	expect(asked).toEqual([0, 100, 999_900]);
	expect(stopped).toBe(2);
	expect(b.get(999_999)).toBe(999_999);
	expect(b.get(0)).toBeUndefined();
	for (let at = 0; at < 20_000; at += 90) {
		b.show(at, at + 30, true, 1_000_000);
		await tick();
		expect(b.get(at)).toBe(at);
		expect(b.get(at + 29)).toBe(at + 29);
	}
	expect(b.blocks).toBeLessThanOrEqual(61);
});

test('a failed block says why, and is asked for again on retry', async () => {
	let fail = true;
	const b = new Blocks(
		async (offset) => {
			if (fail) throw new Error('no such column');
			return [offset];
		},
		() => {},
	);
	b.show(0, 10, true, 10);
	await tick();
	expect(b.error(0)).toBe('no such column');
	fail = false;
	b.retry();
	b.show(0, 10, true, 10);
	await tick();
	expect(b.get(0)).toBe(0);
});

test('a block that had no answer is asked for again by itself', async () => {
	let asked = 0;
	const b = new Blocks(
		async (offset) => {
			if (asked++ < 2) throw Object.assign(new Error('away'), { status: 0 });
			return [offset];
		},
		() => {},
		100,
		60,
		5,
	);
	b.show(0, 10, true, 10);
	await tick();
	expect(b.error(0)).toBe('away');
	await expect.poll(() => b.get(0)).toBe(0);
	expect(b.error(0)).toBeUndefined();
	// What is no longer shown, or was stopped, is not.
	asked = 0;
	b.show(100, 110, true, 110);
	await tick();
	b.stop();
	await new Promise((done) => setTimeout(done, 20));
	expect(asked).toBe(1);
});
