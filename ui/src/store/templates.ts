// Template says what the points of a pose are, in the order in which they are stored, and which of them lines join.
export interface Template {
	id: string;
	points: { name: string; x: number; y: number }[]; // place in a sketch of the pose, as fractions of its size
	edges: [number, number][];
}

// templateOf finds the template of stored points. Rows name it only: one with another number of points is not it.
export function templateOf(templates: readonly Template[], id: string, points: number): Template | null {
	return templates.find((t) => t.id === id && t.points.length === points) ?? null;
}

// known joins the dataset's own templates and the built-in ones: of those with one id the first counts.
export function known(own: readonly Template[], builtin: readonly Template[]): Template[] {
	const ids = new Set(own.map((t) => t.id));
	return [...own, ...builtin.filter((t) => !ids.has(t.id))];
}
