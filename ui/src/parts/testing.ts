// What component tests share: what jsdom lacks, and axe. It is imported first, since modules look for some of it at once.
import axe from 'axe-core';
import { createRawSnippet } from 'svelte';
import { expect, vi } from 'vitest';

// lay gives the page the things of a browser that jsdom has not: colour schemes, dialogs, popovers, sizes, the base address.
export function lay(size = { width: 300, height: 600 }): void {
	vi.stubGlobal('matchMedia', () => ({ matches: false, addEventListener: () => {}, removeEventListener: () => {} }));
	vi.stubGlobal(
		'ResizeObserver',
		class {
			constructor(private told: ResizeObserverCallback) {}
			observe(target: Element): void {
				this.told([{ target } as ResizeObserverEntry], this as unknown as ResizeObserver);
			}
			unobserve(): void {}
			disconnect(): void {}
		},
	);
	Object.defineProperty(HTMLElement.prototype, 'clientHeight', { configurable: true, get: () => size.height });
	Object.defineProperty(HTMLElement.prototype, 'clientWidth', { configurable: true, get: () => size.width });
	Element.prototype.scrollIntoView = () => {};
	HTMLDialogElement.prototype.showModal = function () {
		this.open = true;
	};
	HTMLDialogElement.prototype.close = function () {
		this.open = false;
		this.dispatchEvent(new Event('close'));
	};
	const toggled = (newState: string) => Object.assign(new Event('toggle'), { newState });
	HTMLElement.prototype.showPopover = function () {
		this.dispatchEvent(toggled('open'));
	};
	HTMLElement.prototype.hidePopover = function () {
		this.dispatchEvent(toggled('closed'));
	};
	document.head.innerHTML = '<base href="http://localhost:3000/app/">';
	history.replaceState(null, '', '/app/');
}

lay();

export const text = (s: string) => createRawSnippet(() => ({ render: () => `<span>${s}</span>` }));

// clean holds that axe finds nothing. Colours and landmarks are those of whole pages: the flows look at them.
export async function clean(): Promise<void> {
	const { violations } = await axe.run(document.body, { rules: { region: { enabled: false }, 'color-contrast': { enabled: false } } });
	expect(violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.html}`))).toEqual([]);
}

// press types a key where the focus is.
export function press(key: string, more: KeyboardEventInit = {}): boolean {
	return (document.activeElement ?? document.body).dispatchEvent(
		new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...more }),
	);
}
