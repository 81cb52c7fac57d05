// Which points of a skeleton a line joins. Unknown templates show their points alone.
const coco: (readonly [number, number])[] = [
	[15, 13],
	[13, 11],
	[16, 14],
	[14, 12],
	[11, 12],
	[5, 11],
	[6, 12],
	[5, 6],
	[5, 7],
	[6, 8],
	[7, 9],
	[8, 10],
	[1, 2],
	[0, 1],
	[0, 2],
	[1, 3],
	[2, 4],
	[3, 5],
	[4, 6],
];

const templates: Record<string, { points: number; edges: (readonly [number, number])[] }> = {
	person: { points: 17, edges: coco },
	coco_person: { points: 17, edges: coco },
};

export function edgesOf(template: string, points: number): readonly (readonly [number, number])[] {
	const t = templates[template];
	return t && t.points === points ? t.edges : [];
}
