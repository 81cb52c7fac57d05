import type { Session } from './session';
import { viewSize } from './boxes';
import { refOf, type Row } from './types';

// Problem is a row that cannot be shown as it is. It is listed with the reason, and never written back changed.
export interface Problem {
	row: Row;
	reason: 'coords' | 'size' | 'mask' | 'states' | 'labels' | 'spans' | 'view' | 'entity' | 'source' | 'table';
	detail: string;
}

const numbers = (v: unknown): v is number[] => Array.isArray(v) && v.every((x) => typeof x === 'number' && Number.isFinite(x));

// problemsOf looks at what a row says by itself and at what it refers to.
export function problemsOf(session: Session, row: Row): Problem[] {
	const out: Problem[] = [];
	const bad = (reason: Problem['reason'], detail: unknown) => out.push({ row, reason, detail: short(detail) });
	const d = row.data;
	if (session.schema.base(row.table_info.name) === '') bad('table', row.table_info.name);
	const view = session.viewOf(row);
	for (const [field, reason] of [
		['view_ref', 'view'],
		['entity_ref', 'entity'],
		['source_ref', 'source'],
	] as const) {
		const ref = refOf(row, field);
		if (ref && !session.tables.get(ref.name, ref.id)) bad(reason, `${ref.name} ${ref.id}`);
	}
	switch (row.table_info.base_schema) {
		case 'BBox':
			if (!numbers(d.coords) || d.coords.length !== 4) bad('coords', d.coords);
			break;
		case 'CompressedRLE': {
			const size = d.size as number[];
			if (!numbers(size) || size.length !== 2 || typeof d.counts !== 'string') {
				bad('mask', size);
				break;
			}
			const of = view ? viewSize(view) : null;
			if (size[0] * size[1] > 0 && of && of.width * of.height > 0 && (size[0] !== of.height || size[1] !== of.width))
				bad('size', `${size[1]} × ${size[0]}, ${of.width} × ${of.height}`);
			break;
		}
		case 'KeyPoints': {
			const states = d.states as unknown[];
			if (!numbers(d.coords) || !Array.isArray(states) || d.coords.length !== 2 * states.length) bad('states', d.states);
			break;
		}
		case 'Classification':
			if (!Array.isArray(d.labels) || !numbers(d.confidences) || d.labels.length !== d.confidences.length) bad('labels', d.labels);
			break;
		case 'TextSpan':
			if (!numbers(d.spans_start) || !numbers(d.spans_end) || d.spans_start.length !== d.spans_end.length) bad('spans', d.spans_start);
	}
	return out;
}

function short(v: unknown): string {
	const text = typeof v === 'string' ? v : (JSON.stringify(v) ?? '–');
	return text.length > 80 ? text.slice(0, 79) + '…' : text;
}
