// The keys of an open menu: arrows, Home, End and the first letters of a name go from control to control.

export const controlsOf = (panel: HTMLElement): HTMLElement[] => [
	...panel.querySelectorAll<HTMLElement>(':is(button, input, select, textarea, a[href]):not(:disabled, [tabindex="-1"])'),
];

// next goes on in the order of the controls; up and down stay in a column where they stand in several.
function next(list: HTMLElement[], at: number, key: string): HTMLElement | undefined {
	const n = list.length;
	if (key === 'Home') return list[0];
	if (key === 'End') return list[n - 1];
	const by = key === 'ArrowDown' || key === 'ArrowRight' ? 1 : -1;
	const beside = list[(at + by + n) % n];
	if (key === 'ArrowLeft' || key === 'ArrowRight' || at < 0) return beside;
	const box = (x: HTMLElement) => x.getBoundingClientRect();
	const from = box(list[at]);
	const ahead = (by > 0 ? list.slice(at + 1) : list.slice(0, at).reverse()).filter((x) => Math.abs(box(x).top - from.top) > 4);
	const row = ahead.filter((x) => Math.abs(box(x).top - box(ahead[0]).top) <= 4);
	return row.sort((a, b) => Math.abs(box(a).left - from.left) - Math.abs(box(b).left - from.left))[0] ?? beside;
}

let typed = '';
let last = 0;
const nameOf = (x: HTMLElement) =>
	(x.getAttribute('aria-label') ?? ((x instanceof HTMLInputElement ? x.labels?.[0]?.textContent : null) || x.textContent) ?? '')
		.trim()
		.toLowerCase();
function byLetters(list: HTMLElement[], at: number, letter: string): HTMLElement | undefined {
	const now = performance.now();
	typed = now - last > 700 ? letter : typed + letter;
	last = now;
	const same = [...typed].every((c) => c === letter); // one letter again and again goes through the names
	const around = [...list.slice(at + 1), ...list.slice(0, at + 1)];
	return (same ? around : [list[at], ...around]).find((x) => x && nameOf(x).startsWith(same ? letter : typed));
}

export function menuKey(panel: HTMLElement, e: KeyboardEvent): void {
	const target = e.target as HTMLElement;
	if (target.matches('input:not([type=checkbox]), select, textarea, [role=combobox]')) return;
	const list = controlsOf(panel);
	const at = list.indexOf(target);
	let to: HTMLElement | undefined;
	if (/^(Arrow(Up|Down|Left|Right)|Home|End)$/.test(e.key)) to = next(list, at, e.key);
	else if (e.key.length === 1 && e.key !== ' ') to = byLetters(list, at, e.key.toLowerCase());
	if (!to) return;
	e.preventDefault();
	to.focus();
}
