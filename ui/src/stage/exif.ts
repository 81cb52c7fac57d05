// How a camera says that its picture is to be turned. Coordinates and sizes of datasets count the pixels as they are
// stored, so pictures are decoded without being turned, and the view is turned instead.

// orientationOf finds the orientation (tag 0x0112 of EXIF, 1 to 8) in the head of a JPEG file: its value, and the place of
// the byte that holds it. Without one it returns null.
export function orientationOf(file: ArrayBuffer): { value: number; at: number } | null {
	const v = new DataView(file);
	const size = v.byteLength;
	if (size < 4 || v.getUint16(0) !== 0xffd8) return null;
	for (let at = 2; at + 4 <= size && v.getUint8(at) === 0xff;) {
		const marker = v.getUint8(at + 1);
		const end = at + 2 + v.getUint16(at + 2);
		if (marker === 0xda || end > size) return null; // the pixels begin
		const tiff = at + 10;
		if (marker === 0xe1 && tiff + 8 <= end && v.getUint32(at + 4) === 0x45786966) {
			const little = v.getUint16(tiff) === 0x4949;
			const tags = tiff + v.getUint32(tiff + 4, little);
			const n = tags + 2 <= end ? v.getUint16(tags, little) : 0;
			for (let tag = tags + 2; tag < tags + 2 + 12 * n && tag + 12 <= end; tag += 12) {
				if (v.getUint16(tag, little) !== 0x0112) continue;
				const value = v.getUint16(tag + 8, little);
				return value >= 1 && value <= 8 ? { value, at: tag + (little ? 8 : 9) } : null;
			}
		}
		at = end;
	}
	return null;
}

// turnOf is how many quarter turns clockwise bring a picture of an orientation upright; mirror images are only turned.
export const turnOf = (orientation: number): 0 | 1 | 2 | 3 => ([0, 0, 0, 2, 2, 1, 1, 3, 3] as const)[orientation] ?? 0;
