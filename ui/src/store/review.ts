import type { Session } from './session';
import { refOf, type Command, type Data, type Row } from './types';

// Verdict is what a reviewer found of an annotation. It is kept with the row, in inference_metadata.review, where other
// programs see it too.
export type Verdict = 'accepted' | 'rejected';

export function verdictOf(row: Row): Verdict | null {
	const v = (row.data.inference_metadata as Data | null | undefined)?.review;
	return v === 'accepted' || v === 'rejected' ? v : null;
}

// judge gives annotations a verdict, or takes it back with null. Whose they are stays.
export function judge(rows: readonly Row[], verdict: Verdict | null, by: string): Command {
	const view = rows[0] && refOf(rows[0], 'view_ref');
	return {
		label: verdict === null ? 'unreview' : verdict === 'accepted' ? 'accept' : 'reject',
		place: view ? { view: view.id } : undefined,
		patches: rows
			.filter((row) => verdictOf(row) !== verdict)
			.map((row) => {
				const inference_metadata: Data = { ...(row.data.inference_metadata as Data | null) };
				delete inference_metadata.review;
				delete inference_metadata.reviewed_by;
				if (verdict !== null) Object.assign(inference_metadata, { review: verdict, reviewed_by: by });
				return { table: row.table_info.name, id: row.id, before: row, after: { ...row, data: { ...row.data, inference_metadata } } };
			}),
	};
}

// underReview tells whether an annotation is one of the sources that are reviewed. One that was corrected by hand stays
// one of the source that made it.
export function underReview(row: Row, sources: ReadonlySet<string>): boolean {
	if (row.table_info.group !== 'annotations') return false;
	const from = (row.data.inference_metadata as Data | null | undefined)?.edited_from;
	return sources.has(refOf(row, 'source_ref')?.id ?? '') || (typeof from === 'string' && sources.has(from));
}

export interface Progress {
	total: number;
	accepted: number;
	rejected: number;
	edited: number; // of the accepted, those that a human corrected
}

export function progress(rows: readonly Row[]): Progress {
	const p = { total: rows.length, accepted: 0, rejected: 0, edited: 0 };
	for (const row of rows) {
		const v = verdictOf(row);
		if (v) p[v]++;
		if (v === 'accepted' && (row.data.inference_metadata as Data).edited_from !== undefined) p.edited++;
	}
	return p;
}

// nextOf returns the one to look at after a key, in the order of the list and around its end: the next without a verdict,
// or with all the next one at all.
export function nextOf(keys: readonly string[], at: string | null, by: 1 | -1, open: (key: string) => boolean): string | null {
	const n = keys.length;
	const from = at === null ? -1 : keys.indexOf(at);
	const start = from < 0 ? (by > 0 ? -1 : n) : from;
	for (let i = 1; i <= n; i++) {
		const key = keys[(((start + by * i) % n) + n) % n];
		if (open(key)) return key;
	}
	return null;
}

export const sourcesOf = (session: Session, kind: string): string[] =>
	[...session.tables.table('source').values()].filter((s) => s.data.kind === kind).map((s) => s.id);
