// The arithmetic of a list of any length in a scroll box. Browsers stop at about 33 million pixels, so the spacer is
// capped and the thumb scaled, while wheel and keys move by real rows.

export const spacerMax = 8_000_000;

export interface Scroller {
	readonly rows: number;
	readonly rowHeight: number;
	readonly viewport: number; // px
}

export const spacer = (s: Scroller): number => Math.min(spacerMax, s.rows * s.rowHeight);
export const scaled = (s: Scroller): boolean => s.rows * s.rowHeight > spacerMax;

// lastTop is the position, in rows, at which the last row stands at the bottom.
export const lastTop = (s: Scroller): number => Math.max(0, s.rows - s.viewport / s.rowHeight);

export function topOf(s: Scroller, scrollTop: number): number {
	if (!scaled(s)) return Math.min(lastTop(s), scrollTop / s.rowHeight);
	const range = spacerMax - s.viewport;
	return range <= 0 ? 0 : Math.min(1, Math.max(0, scrollTop / range)) * lastTop(s);
}

export function scrollTopOf(s: Scroller, top: number): number {
	const t = Math.min(lastTop(s), Math.max(0, top));
	if (!scaled(s)) return t * s.rowHeight;
	const last = lastTop(s);
	return last === 0 ? 0 : (t / last) * (spacerMax - s.viewport);
}

// shown returns the rows to draw: those in view and a few more on each side.
export function shown(s: Scroller, top: number, extra = 3): [first: number, end: number] {
	const first = Math.max(0, Math.floor(top) - extra);
	return [first, Math.min(s.rows, Math.ceil(top + s.viewport / s.rowHeight) + extra)];
}

// reveal is the least move after which a row is wholly in view.
export function reveal(s: Scroller, top: number, row: number): number {
	const fits = s.viewport / s.rowHeight;
	if (row < top) return row;
	if (row + 1 > top + fits) return Math.min(lastTop(s), row + 1 - fits);
	return top;
}
