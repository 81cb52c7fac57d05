import type { Template } from '../store/templates';
import { get, path, put } from './client';

export interface TemplateLists {
	templates: Template[]; // the dataset's own; they come before built-in ones of the same id
	builtin: Template[];
}

// templates of key points: what the points of a pose are, and how they are drawn.
export const templates = {
	list: (ds: string, signal?: AbortSignal) => get<TemplateLists>(path('keypoint_templates', ds), signal),
	save: (ds: string, own: Template[]) => put<TemplateLists>(path('keypoint_templates', ds), { templates: own }),
};
