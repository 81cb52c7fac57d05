// Rows as they travel over REST, and what changes them.

export interface Ref {
	name: string;
	id: string;
}

export type Group = 'item' | 'views' | 'entities' | 'annotations' | 'embeddings' | 'source';

// Data is a row's columns beyond id and times. Values are JSON.
export type Data = Record<string, unknown>;

// Row is immutable: a change makes a new object, so that identity tells whether it changed.
export interface Row {
	readonly id: string;
	readonly created_at?: string;
	readonly updated_at?: string;
	readonly table_info: { readonly name: string; readonly group: Group; readonly base_schema: string };
	readonly data: Readonly<Data>;
}

// Patch is one row before and after: null before is an addition, null after a deletion.
export interface Patch {
	readonly table: string;
	readonly id: string;
	readonly before: Row | null;
	readonly after: Row | null;
}

// Command is the only way to change rows. Commands with the same merge key that follow each other become one step
// of the history, such as the moves of one drag.
export interface Command {
	readonly label: string;
	readonly patches: readonly Patch[];
	readonly merge?: string;
	readonly place?: Place;
}

// Place is where a change shows, so that undo can go there.
export interface Place {
	readonly view?: string;
	readonly frame?: number;
}

export const keyOf = (table: string, id: string) => `${table}\n${id}`;

export function refOf(row: Row, field: string): Ref | null {
	const ref = row.data[field] as Ref | undefined;
	return ref && ref.id !== '' ? ref : null;
}

// sameValue compares JSON values, without regard to the order of keys.
export function sameValue(a: unknown, b: unknown): boolean {
	if (Object.is(a, b)) return true;
	if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
	if (Array.isArray(a) !== Array.isArray(b)) return false;
	const ka = Object.keys(a);
	if (ka.length !== Object.keys(b).length) return false;
	return ka.every((k) => Object.hasOwn(b, k) && sameValue((a as Data)[k], (b as Data)[k]));
}

// sameRow compares what a user can change: times are the server's.
export const sameRow = (a: Row | null, b: Row | null) => a === b || (a !== null && b !== null && sameValue(a.data, b.data));

// newId makes an id of 22 characters, 128 random bits in the alphabet that the ids of Pixano use.
export function newId(): string {
	const bytes = crypto.getRandomValues(new Uint8Array(22));
	const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
	return Array.from(bytes, (b) => alphabet[b & 63]).join('');
}
