// radios gives buttons that are radios of one group the keys of such a group: arrows go to the next one and choose it.
export function radios(node: HTMLElement) {
	const key = (e: KeyboardEvent) => {
		const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key];
		if (!by || e.ctrlKey || e.altKey || e.metaKey || e.shiftKey) return;
		const list = [...node.querySelectorAll<HTMLElement>('[role=radio]:not(:disabled)')];
		const at = list.indexOf(e.target as HTMLElement);
		if (at < 0) return;
		e.preventDefault();
		e.stopPropagation();
		const to = list[(at + by + list.length) % list.length];
		to.focus();
		to.click();
	};
	node.addEventListener('keydown', key);
	return { destroy: () => node.removeEventListener('keydown', key) };
}
