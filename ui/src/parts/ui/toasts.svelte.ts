export interface Toast {
	id: number;
	text: string;
	kind: 'info' | 'warn' | 'error';
	action?: { label: string; run: () => void };
}

let next = 0;
export const toasts: Toast[] = $state([]);

export function toast(text: string, kind: Toast['kind'] = 'info', action?: Toast['action'], ms = 5000): void {
	const id = next++;
	toasts.push({ id, text, kind, action });
	if (toasts.length > 4) toasts.shift();
	if (ms > 0) setTimeout(() => dismiss(id), ms);
}

export function dismiss(id: number): void {
	const i = toasts.findIndex((x) => x.id === id);
	if (i >= 0) toasts.splice(i, 1);
}
