// Masks in rows: their size and counts, and the rings of those that were drawn as polygons. The rings are kept in the
// metadata, so that a polygon can be changed by its own points later; they count as long as they draw the stored mask.
import type { Ring } from '../masks/contour';
import { moved } from '../masks/morph';
import { fromBitmap, toBitmap, type RLE } from '../masks/rle';
import { areaOf, drawRings, runsOf, sameRuns, type Runs } from '../masks/runs';
import type { Size } from '../stage/camera';
import type { Data, Row } from './types';

// maskOf reads the mask of a row; null for other rows and for those that do not hold one.
export function maskOf(row: Row): RLE | null {
	const { size, counts } = row.data as { size?: unknown; counts?: unknown };
	if (row.table_info.base_schema !== 'CompressedRLE' || !Array.isArray(size) || size.length !== 2 || typeof counts !== 'string')
		return null;
	const mask: RLE = { size: size as [number, number], counts };
	try {
		areaOf(runsOf(mask));
		return mask;
	} catch {
		return null;
	}
}

// maskData are the columns of a mask, with its rings where they draw it.
export function maskData(mask: RLE, metadata: unknown, rings: readonly Ring[] | null): Data {
	const rest: Data = { ...(metadata as Data | null) };
	delete rest.polygon;
	const kept = rings && drawn(rings, mask.size, runsOf(mask));
	return { size: mask.size, counts: mask.counts, inference_metadata: kept ? { ...rest, polygon: rings } : rest };
}

// ringsOf are the rings that a mask was drawn by, if it is still the same.
export function ringsOf(row: Row): Ring[] | null {
	const rings = (row.data.inference_metadata as Data | null)?.polygon;
	const mask = maskOf(row);
	if (!mask || !Array.isArray(rings) || !rings.every((r) => Array.isArray(r) && r.length >= 6 && r.every(Number.isFinite))) return null;
	return drawn(rings as Ring[], mask.size, runsOf(mask)) ? (rings as Ring[]) : null;
}

const drawn = (rings: readonly Ring[], [h, w]: [number, number], runs: Runs) => sameRuns(drawRings(rings, h, w), runs);

// movedMask shifts a mask and cuts it off at the edges of a view, whose size it takes.
export function movedMask(data: Readonly<Data>, dx: number, dy: number, view: Size): Data {
	const size = data.size as [number, number];
	const to: [number, number] = view.width > 0 ? [view.height, view.width] : size;
	if (dx === 0 && dy === 0 && size[0] === to[0] && size[1] === to[1]) return {};
	const crop = toBitmap({ size, counts: data.counts as string });
	const mask = fromBitmap(crop && moved(crop, dx, dy, { width: to[1], height: to[0] }), to);
	const rings = (data.inference_metadata as { polygon?: Ring[] } | null)?.polygon;
	return maskData(mask, data.inference_metadata, rings?.map((r) => r.map((v, i) => v + (i & 1 ? dy : dx))) ?? null);
}
