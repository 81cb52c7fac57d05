// A server and data for tests of the store: rows in memory, change sets stored whole or not at all, answers that get
// lost, refuse or are late.
import type { Answer, ChangeSet } from './savequeue';
import { keyOf, type Data, type Group, type Row } from './types';

export function random(seed: number): (below?: number) => number {
	let s = seed >>> 0 || 1;
	return (below) => {
		s ^= s << 13;
		s ^= s >>> 17;
		s ^= s << 5;
		const x = (s >>> 0) / 2 ** 32;
		return below === undefined ? x : Math.floor(x * below);
	};
}

export const row = (table: string, id: string, data: Data, time?: string, group: Group = 'annotations'): Row => ({
	id,
	...(time ? { created_at: time, updated_at: time } : {}),
	table_info: { name: table, group, base_schema: 'BBox' },
	data,
});

export class FakeServer {
	rows = new Map<string, Row>();
	answered = new Map<string, Answer>();
	applied: ChangeSet[] = [];
	clock = 0;

	now(): string {
		return new Date(Date.UTC(2025, 0, 1) + this.clock++).toISOString().slice(0, -1) + '000';
	}

	// other is a write of someone else.
	other(table: string, id: string, data: Data | null): void {
		const key = keyOf(table, id);
		if (data === null) this.rows.delete(key);
		else this.rows.set(key, { ...row(table, id, data), created_at: this.rows.get(key)?.created_at ?? this.now(), updated_at: this.now() });
	}

	apply(set: ChangeSet): Answer {
		const before = this.answered.get(set.key);
		if (before) return before;
		const current = new Map<string, Row | null>();
		for (const c of set.changes) {
			const key = keyOf(c.table, c.id);
			const have = this.rows.get(key) ?? null;
			const gone = have === null && c.op !== 'insert' && c.if_updated_at !== undefined;
			if ((c.op === 'insert' && have) || gone || (have && c.if_updated_at !== undefined && have.updated_at !== c.if_updated_at))
				current.set(key, have);
		}
		if (current.size > 0) return { kind: 'conflict', current };
		const times = new Map<string, { created_at?: string; updated_at?: string }>();
		const refused = set.changes.find((c) => c.row?.data.bad === true);
		if (refused) return { kind: 'refused', message: 'bad row', rows: new Map([[keyOf(refused.table, refused.id), 'bad is true']]) };
		for (const c of set.changes) {
			const key = keyOf(c.table, c.id);
			if (c.op === 'delete') this.rows.delete(key);
			else {
				const updated_at = this.now();
				const created_at = this.rows.get(key)?.created_at ?? updated_at;
				this.rows.set(key, { ...c.row!, created_at, updated_at });
				times.set(key, { created_at, updated_at });
			}
		}
		this.applied.push(set);
		const answer: Answer = { kind: 'saved', times };
		this.answered.set(set.key, answer);
		return answer;
	}
}
