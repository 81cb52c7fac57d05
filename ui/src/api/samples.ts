import { media } from '.';
import { ApiError } from './client';

// samples fetches the values of an image of 16 bits; null for one of fewer.
export async function samples(ds: string, url: string): Promise<ArrayBuffer | null> {
	const answer = await fetch(`${media.url(ds, url)}?depth=16`);
	if (!answer.ok) throw new ApiError(answer.status, answer.statusText);
	return answer.status === 204 ? null : answer.arrayBuffer();
}
