import type { Session } from './session';
import { newId, refOf, type Command, type Patch, type Ref, type Row } from './types';

// Subject is what labels are given to: an item (no view, no object), a view, or an object.
export interface Subject {
	view: Ref | null;
	entity: Ref | null;
}

export type Labels = readonly (readonly [label: string, confidence: number])[];

const none: Ref = { name: '', id: '' };
const same = (a: Ref | null, b: Ref | null) => (a?.id ?? '') === (b?.id ?? '');

// labelsOf finds the row of labels of a subject: the annotator's own before those of others.
export function labelsOf(session: Session, table: string, subject: Subject): Row | null {
	const rows = session.tables
		.referring('item_ref', session.item)
		.filter((r) => r.table_info.name === table && same(refOf(r, 'entity_ref'), subject.entity))
		.filter((r) => (subject.entity ? true : same(refOf(r, 'view_ref'), subject.view)));
	const kind = (r: Row) => session.sourceOf(r)?.data.kind;
	return rows.find((r) => kind(r) === 'human') ?? rows.find((r) => kind(r) === 'model') ?? rows[0] ?? null;
}

export function pairs(row: Row | null): [string, number][] {
	const labels = (row?.data.labels ?? []) as string[];
	const confidences = (row?.data.confidences ?? []) as number[];
	return labels.map((l, i) => [l, confidences[i] ?? 1]);
}

// classify gives subjects their labels. A row without labels goes. Commands with one merge key are one step.
export function classify(
	session: Session,
	table: string,
	changes: readonly { subject: Subject; labels: Labels }[],
	merge?: string,
): Command {
	const patches = changes.flatMap(({ subject, labels }): Patch[] => {
		const row = labelsOf(session, table, subject);
		const data = { labels: labels.map(([l]) => l), confidences: labels.map(([, c]) => Math.min(1, Math.max(0, c))) };
		if (row) {
			const after = labels.length > 0 ? session.edited(row, data) : null;
			return [{ table, id: row.id, before: row, after }];
		}
		if (labels.length === 0) return [];
		const after = session.row(
			table,
			{
				...data,
				item_ref: { name: 'item', id: session.item },
				view_ref: subject.view ?? none,
				entity_ref: subject.entity ?? none,
				source_ref: session.human(),
			},
			newId(),
		);
		return [{ table, id: after.id, before: null, after }];
	});
	const view = changes[0]?.subject.view;
	return { label: 'classify', patches, merge, place: view ? { view: view.id } : undefined };
}
