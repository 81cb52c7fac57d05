// Template says what the points of a pose are, in the order in which they are stored, and which of them lines join.
export interface Template {
	id: string;
	points: { name: string; x: number; y: number }[]; // place in a sketch of the pose, as fractions of its size
	edges: [number, number][];
}

// templateOf finds the template of stored points. Rows name it only: one with another number of points is not it, but that
// of the name with the number may be.
export function templateOf(templates: readonly Template[], id: string, points: number): Template | null {
	return [id, `${id}-${points}`].flatMap((x) => templates.find((t) => t.id === x && t.points.length === points) ?? [])[0] ?? null;
}

// known joins the dataset's own templates and the built-in ones: of those with one id the first counts.
export function known(own: readonly Template[], builtin: readonly Template[]): Template[] {
	const ids = new Set(own.map((t) => t.id));
	return [...own, ...builtin.filter((t) => !ids.has(t.id))];
}
