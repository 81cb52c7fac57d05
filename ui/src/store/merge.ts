import { sameValue, type Data, type Row } from './types';

export interface Merge {
	readonly row: Row; // theirs with our changes in it
	readonly changed: string[]; // fields that differ from theirs
	readonly clashes: string[]; // fields that both changed, to different values; row holds ours
}

// merge joins two changes of one row by field. base is the row that both began from.
export function merge(base: Row, mine: Row, theirs: Row): Merge {
	const data: Data = { ...theirs.data };
	const changed: string[] = [];
	const clashes: string[] = [];
	for (const field of new Set([...Object.keys(base.data), ...Object.keys(mine.data)])) {
		const own = mine.data[field];
		if (sameValue(own, base.data[field]) || sameValue(own, theirs.data[field])) continue;
		changed.push(field);
		data[field] = own;
		if (!sameValue(theirs.data[field], base.data[field])) clashes.push(field);
	}
	return { row: { ...theirs, data }, changed, clashes };
}
