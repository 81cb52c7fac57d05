import type { Decoder } from '../masks/decoder';
import type { RLE } from '../masks/rle';
import { Scene, type Shape } from '../stage/scene';
import { shapeColor, type Colors } from './colors';
import { rectOf, viewSize } from './boxes';
import type { Problem } from './problems';
import { verdictOf } from './review';
import { pixelsOf, stateNames } from './points';
import { labelOf, originOf } from './schema';
import type { Session } from './session';
import { keyOf, type Row } from './types';
import { templateOf, type Template } from './templates';

export interface Look {
	colors: Colors;
	hidden: ReadonlySet<string>;
	locked: ReadonlySet<string>;
	isolated: ReadonlySet<string> | null; // only these show
	threshold: number; // confidence; shapes below it are hidden
	filtered: ReadonlySet<string> | null; // only these meet the filter
	rejected: boolean; // whether shapes that a reviewer rejected show
	bad: ReadonlySet<string>; // rows with problems, which are never changed
	templates: readonly Template[];
}

export const confidenceOf = (row: Row) => (typeof row.data.confidence === 'number' ? row.data.confidence : -1);

export function isHidden(look: Look, row: Row, key = keyOf(row.table_info.name, row.id)): boolean {
	const confidence = confidenceOf(row);
	return (
		look.hidden.has(key) ||
		(look.isolated !== null && !look.isolated.has(key)) ||
		(look.filtered !== null && !look.filtered.has(key)) ||
		(confidence >= 0 && confidence < look.threshold) ||
		(!look.rejected && verdictOf(row) === 'rejected')
	);
}

// sceneOf makes the shapes of a view from its annotations. Rows without a shape are told by problemsOf; masks that cannot
// be decoded are told here.
export function sceneOf(session: Session, view: Row, look: Look, decoder: Decoder<object>): { scene: Scene; problems: Problem[] } {
	const shapes: Shape[] = [];
	const problems: Problem[] = [];
	const size = viewSize(view);
	for (const row of session.tables.referring('view_ref', view.id)) {
		if (row.table_info.group !== 'annotations') continue;
		const key = keyOf(row.table_info.name, row.id);
		const entity = session.entityOf(row);
		const label = labelOf(session.schema, entity);
		const confidence = confidenceOf(row);
		const origin = originOf(session.sourceOf(row));
		const common = {
			key,
			entity: entity?.id ?? '',
			label,
			color: shapeColor(look.colors, { label, entity: entity?.id ?? '', origin, confidence }),
			origin,
			hidden: isHidden(look, row, key),
			locked: look.locked.has(key) || look.bad.has(key),
		};
		switch (row.table_info.base_schema) {
			case 'BBox': {
				const rect = rectOf(row.data, size);
				if (rect) shapes.push({ ...common, kind: 'box', ...rect });
				break;
			}
			case 'CompressedRLE': {
				const { size: of, counts } = row.data as { size: number[]; counts: string };
				if (!Array.isArray(of) || of.length !== 2 || typeof counts !== 'string') break;
				if (of[0] * of[1] === 0) break; // the empty mask
				const decoded = decoder.get(row.data, { size: of as [number, number], counts } satisfies RLE);
				if (decoded?.error) problems.push({ row, reason: 'mask', detail: decoded.error });
				else if (decoded?.crop) shapes.push({ ...common, kind: 'mask', crop: decoded.crop });
				break;
			}
			case 'KeyPoints': {
				const { coords, states, template_id } = row.data as { coords: number[]; states: string[]; template_id: string };
				if (!Array.isArray(coords) || !Array.isArray(states) || coords.length !== 2 * states.length) break;
				const points = pixelsOf(coords, size);
				const code = Uint8Array.from(states, (s) => stateNames.indexOf(s as (typeof stateNames)[number]));
				shapes.push({
					...common,
					kind: 'skeleton',
					points,
					states: code,
					edges: templateOf(look.templates, template_id, states.length)?.edges ?? [],
				});
			}
		}
	}
	return { scene: new Scene(shapes), problems };
}
