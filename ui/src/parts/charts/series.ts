// What charts show: bars of one value or range each, with one part for each series.
export interface Bar {
	label: string;
	parts: number[]; // by series
	href?: string;
	dim?: boolean; // not a value but what is left: missing, others
}

export const sumOf = (bar: Bar): number => bar.parts.reduce((a, b) => a + b, 0);

// highest is the largest sum, at least 1, so that it can be divided by.
export const highest = (bars: readonly Bar[]): number => Math.max(1, ...bars.map(sumOf));

// ticks are round numbers from 0 to max, three or four of them.
export function ticks(max: number): number[] {
	if (max <= 0) return [0];
	const power = 10 ** Math.floor(Math.log10(max / 3));
	const step = [1, 2, 5, 10].map((k) => k * power).find((s) => max / s <= 4) ?? max;
	const whole = Math.max(1, step);
	return Array.from({ length: Math.floor(max / whole) + 1 }, (_, i) => i * whole);
}

// short writes an end of a range with as many digits as are needed to tell the ends of its bins apart.
export function short(value: number, width: number): string {
	if (!Number.isFinite(value)) return String(value);
	if (width > 0 && width < 1) return String(Number(value.toFixed(Math.min(6, Math.ceil(-Math.log10(width)) + 1))));
	return String(Number(value.toFixed(Number.isInteger(value) ? 0 : 1)));
}
