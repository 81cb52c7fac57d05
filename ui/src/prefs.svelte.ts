// What a user chose, kept in the browser.
import type { Lang } from './i18n';

export interface Prefs {
	theme: 'dark' | 'light' | 'system';
	surround: 'black' | 'grey' | 'white';
	lang: Lang | '';
	annotator: string;
	autosave: boolean;
	ask: boolean; // for the class of each shape
	keepView: boolean; // zoom and position from item to item
	keys: Record<string, string>; // command → keys, where they differ from the defaults
	right: number; // width of the side panel, px
	facets: number;
	split: number; // height of the objects panel, percent
	showRight: boolean;
	showFacets: boolean;
	showModels: boolean;
	tabs: boolean; // one view of an item at a time
	linkViews: boolean; // views of one size move together
	looks: Record<string, object>; // named adjustments of images of all datasets
	images: Record<string, { adjust?: object; looks?: Record<string, object> }>; // by dataset: the adjustment, and named ones
	fill: number;
	labels: boolean;
	thumb: number;
	view: 'table' | 'grid';
	overlays: boolean;
	columns: Record<string, { hidden: string[]; widths: Record<string, number>; order: string[] }>; // by dataset
	target: Record<string, { boxes: string; masks?: string; entities: string; class: string }>; // by dataset
	overlap: 'keep' | 'over' | 'under'; // what a new mask does where another one is: lie over it too, take its pixels, leave them
	boxToo: boolean; // a box with each mask
	brush: { size: number; lazy: number; friction: number }; // diameter and slack in image pixels; 0 to 0.9
	operation: { radius: number; specks: number }; // of mask operations, in pixels
	previews: boolean; // of smart segmentation, under the pointer
	segmenter: string; // model, empty: the first one
	opened: Record<string, number>; // dataset → time
	template: Record<string, string>; // by dataset: of new skeletons
	colors: Record<string, Record<string, string>>; // by dataset: class → "#rrggbb"
}

const defaults: Prefs = {
	theme: 'dark',
	surround: 'black',
	lang: '',
	annotator: '',
	autosave: true,
	ask: false,
	keepView: false,
	keys: {},
	right: 320,
	facets: 248,
	split: 55,
	showRight: true,
	showFacets: true,
	showModels: true,
	tabs: false,
	linkViews: true,
	looks: {},
	images: {},
	fill: 0.6,
	labels: true,
	thumb: 160,
	view: 'grid',
	overlays: true,
	columns: {},
	target: {},
	overlap: 'keep',
	boxToo: false,
	brush: { size: 40, lazy: 0, friction: 0 },
	operation: { radius: 3, specks: 50 },
	previews: true,
	segmenter: '',
	opened: {},
	template: {},
	colors: {},
};

const key = 'pixano.prefs';

function read(): Prefs {
	try {
		return { ...defaults, ...(JSON.parse(localStorage.getItem(key) ?? '{}') as Partial<Prefs>) };
	} catch {
		return { ...defaults };
	}
}

export const prefs: Prefs = $state(read());

export function save(change: Partial<Prefs>): void {
	Object.assign(prefs, change);
	try {
		localStorage.setItem(key, JSON.stringify(prefs));
	} catch {
		// A full or forbidden storage costs the preferences only.
	}
}

const dark = matchMedia('(prefers-color-scheme: dark)');
let system = $state(dark.matches);
dark.addEventListener('change', () => (system = dark.matches));

export const theme = () => (prefs.theme === 'system' ? (system ? 'dark' : 'light') : prefs.theme);

export const annotator = () => prefs.annotator.trim() || 'annotator';
