import type { en } from './en';

export type Lang = 'en' | 'fr' | 'pseudo';
export type Key = keyof typeof en;
export type Args = Record<string, string | number>;

// fill puts arguments into a text: {name}, and {n|one|many} chooses by number.
export function fill(text: string, args: Args | undefined, locale: string): string {
	if (!args) return text;
	return text.replace(/\{(\w+)(?:\|([^|}]*)\|([^}]*))?\}/g, (whole, name: string, one?: string, many?: string) => {
		const value = args[name];
		if (value === undefined) return whole;
		if (one !== undefined) return new Intl.PluralRules(locale).select(Number(value)) === 'one' ? one : many!;
		return typeof value === 'number' ? new Intl.NumberFormat(locale).format(value) : value;
	});
}

// pseudo makes a language that shows text which is not translated, or has no room.
export function pseudo(table: Record<Key, string>): Record<Key, string> {
	const accents: Record<string, string> = { a: 'á', e: 'é', i: 'í', o: 'ó', u: 'ú', c: 'ç', n: 'ñ' };
	return Object.fromEntries(
		Object.entries(table).map(([key, text]) => [key, `⟦${text.replace(/\{[^}]*\}|[aeioucn]/g, (m) => accents[m] ?? m)}~~⟧`]),
	) as Record<Key, string>;
}
