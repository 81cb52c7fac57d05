import type { Ring } from '../../masks/contour';
import type { Bitmap, RLE } from '../../masks/rle';
import type { Data, Ref } from '../../store/types';
import type { Camera, Point, Rect, Size } from '../camera';
import type { View } from '../c2d/draw';
import type { Scene } from '../scene';

// Pointer is a pointer event in image pixels. screen is in CSS pixels of the view.
export interface Pointer extends Point {
	screen: Point;
	button: number; // 0 left, 1 middle, 2 right
	shift: boolean;
	alt: boolean;
	ctrl: boolean;
}

export interface BoxChange {
	key: string;
	rect: Rect;
}

// MadeMask is a mask from a tool, with the rings that it was drawn by and, of a model, where it is from.
export interface MadeMask {
	mask: RLE;
	crop?: Bitmap | null; // the same pixels, where they are at hand
	rings?: Ring[] | null;
	source?: Ref;
	metadata?: Data;
}

// Host is what a tool sees of the workspace, and where its results go. Tools never change rows.
export interface Host {
	scene(): Scene;
	image(): Size;
	camera(): Camera;
	selection(): ReadonlySet<string>;
	select(keys: readonly string[], add: boolean): void;
	hover(key: string | null): void;
	addBox(rect: Rect): void;
	changeBoxes(changes: readonly BoxChange[], merge?: string): void; // those with one merge key become one step
	move(keys: readonly string[], dx: number, dy: number, merge?: string): void; // boxes and masks, in image pixels
	addMask(made: MadeMask): string | null; // the key of the new mask
	changeMask(key: string, made: MadeMask, label: string): void; // one without pixels is deleted
	maskOf(key: string): { mask: RLE; rings: Ring[] | null } | null; // rings: of one drawn as a polygon
	take(tool: string, key?: string): void; // into the hand, to edit a shape
	duplicate(keys: readonly string[], merge?: string): string[]; // keys of the copies, in the same order
	stack(p: Pointer): void; // opens the list of all that lies under the pointer
	redraw(what?: 'shapes'): void; // what is being edited; with 'shapes' all shapes
	hint(key: string | null): void;
}

// Tool is a state machine over pointer and key events.
export interface Tool {
	readonly name: string;
	readonly busy: boolean; // something is half drawn
	readonly skip: ReadonlySet<string>; // keys of the shapes that draw paints itself
	cursor(p: Pointer | null): string;
	down(p: Pointer): void;
	move(p: Pointer, pressed: boolean): void;
	up(p: Pointer): void;
	key(key: string, mods: { shift: boolean; alt: boolean; ctrl: boolean }): boolean; // whether it was used
	cancel(): boolean; // whether there was something to cancel
	undo(): boolean;
	redo(): boolean;
	draw(ctx: CanvasRenderingContext2D, view: View): void;
	double?(p: Pointer): void; // a double click, after both clicks
	edit?(key: string): void; // takes a shape in hand
	leave?(): void; // the pointer is no longer over the view
	fresh?(): void; // another picture is shown, such as the next frame
	finish?(): void; // another tool or item comes: keep what is half drawn
	readonly right?: boolean; // takes the right button too
}

// clickSlop is how far a pointer moves, in CSS pixels, before a press is a drag.
export const clickSlop = 4;

export const clampRect = (r: Rect, image: Size): Rect => {
	const x = Math.min(Math.max(r.x, 0), image.width),
		y = Math.min(Math.max(r.y, 0), image.height);
	return { x, y, w: Math.min(Math.max(r.x + r.w, 0), image.width) - x, h: Math.min(Math.max(r.y + r.h, 0), image.height) - y };
};

// moved keeps a rectangle's size and holds it inside of the image.
export const moved = (r: Rect, dx: number, dy: number, image: Size): Rect => ({
	...r,
	x: Math.min(Math.max(r.x + dx, 0), Math.max(0, image.width - r.w)),
	y: Math.min(Math.max(r.y + dy, 0), Math.max(0, image.height - r.h)),
});

export const nothing: ReadonlySet<string> = new Set();
