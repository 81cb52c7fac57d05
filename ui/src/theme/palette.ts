// Colours of categories. The first eight stay apart for people who cannot tell red from green; further ones step
// around the hue circle by the golden angle, at two lightnesses.

export const base = [0x56b4e9, 0xe69f00, 0x00a878, 0xf0e442, 0xd55e00, 0xcc79a7, 0x3b6fe0, 0xb8c0cc] as const;

export function colorAt(n: number): number {
	if (n < base.length) return base[n];
	const k = n - base.length;
	return oklch(k % 2 === 0 ? 0.74 : 0.6, 0.13, (40 + k * 137.508) % 360);
}

// colorOf hangs a colour on a name: its place among the known values, else a hash of it.
export function colorOf(name: string, known: readonly string[]): number {
	const at = known.indexOf(name);
	if (at >= 0) return colorAt(at);
	if (name === '') return 0xb8c0cc;
	let h = 2166136261;
	for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 16777619);
	return colorAt((h >>> 0) % 24);
}

export function oklch(l: number, c: number, hue: number): number {
	const a = c * Math.cos((hue * Math.PI) / 180),
		b = c * Math.sin((hue * Math.PI) / 180);
	const l3 = (l + 0.3963377774 * a + 0.2158037573 * b) ** 3,
		m3 = (l - 0.1055613458 * a - 0.0638541728 * b) ** 3,
		s3 = (l - 0.0894841775 * a - 1.291485548 * b) ** 3;
	const rgb = [
		4.0767416621 * l3 - 3.3077115913 * m3 + 0.2309699292 * s3,
		-1.2684380046 * l3 + 2.6097574011 * m3 - 0.3413193965 * s3,
		-0.0041960863 * l3 - 0.7034186147 * m3 + 1.707614701 * s3,
	].map((v) => Math.round(255 * Math.min(1, Math.max(0, v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055))));
	return (rgb[0] << 16) | (rgb[1] << 8) | rgb[2];
}

export const hex = (color: number) => `#${color.toString(16).padStart(6, '0')}`;
