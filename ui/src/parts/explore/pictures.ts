// Pictures that are searched for. The address names one; its vector is kept for this tab, so that the way back and a reload
// find the same items.
import { path, request } from '../../api/client';
import { newId } from '../../store/types';

export interface Picture {
	vector: number[];
	small: string; // as a data URL; "": it cannot be shown
	name: string;
}

const kept = 12;
const order = 'pixano.pictures'; // the names of those that are kept, oldest first: storages have no order of their own
const key = (id: string) => `pixano.picture ${id}`;
const memory = new Map<string, Picture>();

export function picture(id: string): Picture | null {
	const known = memory.get(id);
	if (known) return known;
	try {
		const found = JSON.parse(sessionStorage.getItem(key(id)) ?? 'null') as Picture | null;
		if (found) memory.set(id, found);
		return found;
	} catch {
		return null;
	}
}

// keep gives a picture its name, and forgets the oldest of many.
export function keep(p: Picture): string {
	const id = newId().slice(0, 8);
	memory.set(id, p);
	try {
		const ids = [...(JSON.parse(sessionStorage.getItem(order) ?? '[]') as string[]), id];
		for (const old of ids.splice(0, Math.max(0, ids.length - kept))) sessionStorage.removeItem(key(old));
		sessionStorage.setItem(order, JSON.stringify(ids));
		sessionStorage.setItem(key(id), JSON.stringify(p));
	} catch {
		// In memory alone.
	}
	return id;
}

// ask has the server compute the vector of a picture by the model of a table, and returns the picture's name for the address.
export async function ask(dataset: string, table: string, file: Blob, name: string, signal?: AbortSignal): Promise<string> {
	const [{ vector }, small] = await Promise.all([
		request<{ vector: number[] }>('POST', path('picture_vector', dataset, table), file, signal),
		reduced(file),
	]);
	return keep({ vector, small, name });
}

async function reduced(file: Blob): Promise<string> {
	try {
		const bitmap = await createImageBitmap(file);
		const k = Math.min(1, 64 / Math.max(bitmap.width, bitmap.height));
		const canvas = document.createElement('canvas');
		canvas.width = Math.max(1, Math.round(bitmap.width * k));
		canvas.height = Math.max(1, Math.round(bitmap.height * k));
		canvas.getContext('2d')!.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
		bitmap.close();
		return canvas.toDataURL('image/jpeg', 0.8);
	} catch {
		return ''; // a format that the server reads and the browser does not
	}
}
