import type { Row } from '../store/types';
import { get, path, post, root } from './client';

export interface Model {
	name: string;
	task: string;
}

export interface MaskAsked {
	model: string;
	provider_name?: string; // none: one that has the model
	image: Row;
	mask_table_name: string;
	points: [number, number][];
	labels: (0 | 1)[];
	preview?: boolean; // only look: nothing is written
	quick?: boolean; // only of models that do not compute all of the image for it again
	bbox: { coords: number[]; format: 'xywh'; is_normalized: false } | null;
}

export const segment = {
	// models that make a mask from points and a box.
	models: (signal?: AbortSignal) => get<Model[]>(`${root()}inference/models/list?task=image_mask_generation`, signal),
	mask: async (ds: string, asked: MaskAsked, signal: AbortSignal) =>
		(await post<{ mask: Row }>(path('inference', 'tasks', 'mask-generation', 'image'), { dataset_id: ds, ...asked }, signal)).mask,
};
