import { media } from '.';
import { bytes } from './client';

// samples fetches the values of an image of 16 bits; null for one of fewer.
export const samples = (ds: string, url: string): Promise<ArrayBuffer | null> => bytes(`${media.url(ds, url)}?depth=16`);
