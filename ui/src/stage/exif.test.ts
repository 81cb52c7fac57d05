import { expect, test } from 'vitest';
import { orientationOf, turnOf } from './exif';

// photo is the head of a JPEG file with an orientation in its second tag.
function photo(little: boolean, value: number): ArrayBuffer {
	const b = new ArrayBuffer(80);
	const v = new DataView(b);
	const put = [0xffd8, 0xffe0, 4, 0, 0xffe1, 44];
	put.forEach((n, i) => v.setUint16(2 * i, n));
	v.setUint32(12, 0x45786966); // "Exif", two zeros
	const tiff = 18;
	v.setUint16(tiff, little ? 0x4949 : 0x4d4d);
	v.setUint16(tiff + 2, 42, little);
	v.setUint32(tiff + 4, 8, little);
	v.setUint16(tiff + 8, 2, little);
	v.setUint16(tiff + 10, 0x010f, little);
	v.setUint16(tiff + 22, 0x0112, little);
	v.setUint16(tiff + 24, 3, little);
	v.setUint32(tiff + 26, 1, little);
	v.setUint16(tiff + 30, value, little);
	v.setUint16(54, 0xffda);
	return b;
}

test('the orientation of a JPEG file is found in either byte order, and can be set', () => {
	for (const little of [true, false])
		for (let value = 1; value <= 8; value++) {
			const file = photo(little, value);
			const found = orientationOf(file)!;
			expect(found.value).toBe(value);
			new Uint8Array(file)[found.at] = 1;
			expect(orientationOf(file)).toEqual({ value: 1, at: found.at });
		}
	expect([3, 6, 8, 1].map(turnOf)).toEqual([2, 1, 3, 0]);
});

test('files without an orientation, of other formats, cut off anywhere or with wild lengths have none', () => {
	const whole = photo(true, 6);
	for (let n = 0; n < 56; n++) expect(() => orientationOf(whole.slice(0, n))).not.toThrow();
	expect(orientationOf(whole.slice(0, 48))).toBeNull();
	expect(orientationOf(new TextEncoder().encode('PNG or so').buffer)).toBeNull();
	expect(orientationOf(photo(true, 9))).toBeNull();
	for (let at = 2; at < 56; at++)
		for (const n of [0, 0xff]) {
			const file = photo(at % 2 === 0, 6);
			new Uint8Array(file)[at] = n;
			expect(() => orientationOf(file)).not.toThrow();
		}
});
