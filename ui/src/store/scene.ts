import type { Decoder } from '../masks/decoder';
import type { RLE } from '../masks/rle';
import { Scene, type Shape } from '../stage/scene';
import { colorOf } from '../theme/palette';
import { rectOf, viewSize } from './boxes';
import { pixelsOf, stateNames } from './points';
import { labelOf, originOf } from './schema';
import type { Session } from './session';
import { keyOf, type Row } from './types';
import { templateOf, type Template } from './templates';

export interface Look {
	classes: readonly string[]; // their order gives the colours
	hidden: ReadonlySet<string>;
	locked: ReadonlySet<string>;
	isolated: ReadonlySet<string> | null; // only these show
	threshold: number; // confidence; shapes below it are hidden
	templates: readonly Template[];
}

export interface Problem {
	row: Row;
	reason: string;
}

// sceneOf makes the shapes of a view from its annotations. Rows that cannot be shown are told as problems.
export function sceneOf(session: Session, view: Row, look: Look, decoder: Decoder<object>): { scene: Scene; problems: Problem[] } {
	const shapes: Shape[] = [];
	const problems: Problem[] = [];
	const size = viewSize(view);
	for (const row of session.tables.referring('view_ref', view.id)) {
		if (row.table_info.group !== 'annotations') continue;
		const key = keyOf(row.table_info.name, row.id);
		const entity = session.entityOf(row);
		const label = labelOf(session.schema, entity);
		const confidence = typeof row.data.confidence === 'number' ? row.data.confidence : -1;
		const common = {
			key,
			entity: entity?.id ?? '',
			label,
			color: colorOf(label, look.classes),
			origin: originOf(session.sourceOf(row)),
			hidden:
				look.hidden.has(key) || (look.isolated !== null && !look.isolated.has(key)) || (confidence >= 0 && confidence < look.threshold),
			locked: look.locked.has(key),
		};
		switch (row.table_info.base_schema) {
			case 'BBox': {
				const rect = rectOf(row.data, size);
				if (rect) shapes.push({ ...common, kind: 'box', ...rect });
				else problems.push({ row, reason: 'coords' });
				break;
			}
			case 'CompressedRLE': {
				const { size: of, counts } = row.data as { size: number[]; counts: string };
				if (!Array.isArray(of) || of.length !== 2 || typeof counts !== 'string') {
					problems.push({ row, reason: 'size' });
					break;
				}
				if (of[0] * of[1] === 0) break; // the empty mask
				const decoded = decoder.get(row.data, { size: of as [number, number], counts } satisfies RLE);
				if (decoded?.error) problems.push({ row, reason: decoded.error });
				else if (decoded?.crop) shapes.push({ ...common, kind: 'mask', crop: decoded.crop });
				break;
			}
			case 'KeyPoints': {
				const { coords, states, template_id } = row.data as { coords: number[]; states: string[]; template_id: string };
				if (!Array.isArray(coords) || !Array.isArray(states) || coords.length !== 2 * states.length) {
					problems.push({ row, reason: 'states' });
					break;
				}
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
