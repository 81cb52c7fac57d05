import { prefs } from '../prefs.svelte';
import { en } from './en';
import { fr } from './fr';
import { fill, type Args, type Key, type Lang, pseudo } from './text';

const tables: Record<Lang, Record<Key, string>> = { en, fr, pseudo: pseudo(en) };

export const lang = (): Lang => prefs.lang || (navigator.language.startsWith('fr') ? 'fr' : 'en');
const locale = () => (lang() === 'pseudo' ? 'en' : lang());

// t is the text of a key in the chosen language.
export const t = (key: Key, args?: Args): string => fill(tables[lang()][key], args, locale());

export const number = (n: number): string => new Intl.NumberFormat(locale()).format(n);
export const compact = (n: number): string => new Intl.NumberFormat(locale(), { notation: 'compact', maximumFractionDigits: 1 }).format(n);
export const ago = (ms: number): string => {
	const s = (Date.now() - ms) / 1000;
	const f = new Intl.RelativeTimeFormat(locale(), { numeric: 'auto' });
	return s < 60
		? f.format(0, 'minute')
		: s < 3600
			? f.format(-Math.round(s / 60), 'minute')
			: s < 86400
				? f.format(-Math.round(s / 3600), 'hour')
				: f.format(-Math.round(s / 86400), 'day');
};
export const date = (text: string): string => {
	const d = new Date(text);
	return Number.isNaN(d.getTime()) ? text : new Intl.DateTimeFormat(locale(), { dateStyle: 'medium', timeStyle: 'short' }).format(d);
};
