import { colorOf, oklch } from '../theme/palette';
import type { Origin } from '../stage/scene';

export type ColorBy = 'class' | 'object' | 'source' | 'confidence';

// Colors say which colour an annotation has.
export interface Colors {
	by: ColorBy;
	classes: readonly string[]; // their order gives the colours
	own: Readonly<Record<string, string>>; // class → "#rrggbb", chosen by the user
}

const origins: Record<Origin, number> = { truth: 0x00a878, human: 0x56b4e9, model: 0xe69f00, other: 0xb8c0cc };

export function classColor(colors: Pick<Colors, 'classes' | 'own'>, label: string): number {
	const own = Object.hasOwn(colors.own, label) ? parseInt(colors.own[label].slice(1), 16) : NaN;
	return Number.isNaN(own) ? colorOf(label, colors.classes) : own;
}

// shapeColor colours by class, by what belongs together, by who said it, or by how sure it is: red through yellow to green.
// A confidence below 0 is none.
export function shapeColor(colors: Colors, of: { label: string; entity: string; origin: Origin; confidence: number }): number {
	switch (colors.by) {
		case 'class':
			return classColor(colors, of.label);
		case 'object':
			return colorOf(of.entity, []);
		case 'source':
			return origins[of.origin];
		case 'confidence':
			return of.confidence < 0 ? 0xb8c0cc : oklch(0.75, 0.15, 25 + 125 * Math.min(1, of.confidence));
	}
}
