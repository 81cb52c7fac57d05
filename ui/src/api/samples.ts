import { media } from '.';
import { bytes } from './client';

// samples fetches the values of an image of 16 bits; null for one of fewer.
export async function samples(ds: string, url: string): Promise<ArrayBuffer | null> {
	const values = await bytes(`${media.url(ds, url)}?depth=16`);
	return values.byteLength > 0 ? values : null;
}
