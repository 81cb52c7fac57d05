// Images of 16 bits a channel, as files.
import { crc32, deflateSync } from 'node:zlib';

export interface Deep {
	width: number;
	height: number;
	channels: 1 | 3;
	values: Uint16Array;
}

export function deep(width: number, height: number, channels: 1 | 3, value: (x: number, y: number, c: number) => number): Deep {
	const values = new Uint16Array(width * height * channels);
	for (let i = 0; i < values.length; i++) {
		const p = Math.floor(i / channels);
		values[i] = value(p % width, Math.floor(p / width), i % channels);
	}
	return { width, height, channels, values };
}

export function png({ width, height, channels, values }: Deep): Buffer {
	const chunk = (type: string, data: Buffer) => {
		const out = Buffer.alloc(12 + data.length);
		out.writeUInt32BE(data.length);
		out.write(type, 4, 'latin1');
		data.copy(out, 8);
		out.writeUInt32BE(crc32(out.subarray(4, 8 + data.length)), 8 + data.length);
		return out;
	};
	const head = Buffer.alloc(13);
	head.writeUInt32BE(width);
	head.writeUInt32BE(height, 4);
	head[8] = 16;
	head[9] = channels === 1 ? 0 : 2;
	const row = 1 + 2 * width * channels;
	const rows = Buffer.alloc(row * height);
	for (let y = 0; y < height; y++)
		for (let i = 0; i < width * channels; i++) rows.writeUInt16BE(values[y * width * channels + i], y * row + 1 + 2 * i);
	return Buffer.concat([
		Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
		chunk('IHDR', head),
		chunk('IDAT', deflateSync(rows, { level: 1 })),
		chunk('IEND', Buffer.alloc(0)),
	]);
}

export function tiff({ width, height, channels, values }: Deep): Buffer {
	const data = Buffer.from(values.buffer);
	// Tag, type (3: 16 bits, 4: 32 bits), count, value.
	const bits = channels === 1 ? 16 : 8 + data.length; // three numbers do not fit into an entry
	const tags = [
		[256, 4, 1, width],
		[257, 4, 1, height],
		[258, 3, channels, bits],
		[259, 3, 1, 1],
		[262, 3, 1, channels === 1 ? 1 : 2],
		[273, 4, 1, 8],
		[277, 3, 1, channels],
		[278, 4, 1, height],
		[279, 4, 1, data.length],
	];
	const directory = Buffer.alloc(6 + 12 * tags.length + 4);
	directory.writeUInt16LE(tags.length, 6);
	tags.forEach(([tag, type, count, value], i) => {
		const at = 8 + 12 * i;
		directory.writeUInt16LE(tag, at);
		directory.writeUInt16LE(type, at + 2);
		directory.writeUInt32LE(count, at + 4);
		directory.writeUInt32LE(value, at + 8);
	});
	for (let c = 0; c < 3; c++) directory.writeUInt16LE(16, 2 * c);
	const head = Buffer.from([0x49, 0x49, 42, 0, 0, 0, 0, 0]);
	head.writeUInt32LE(8 + data.length + 6, 4);
	return Buffer.concat([head, data, directory]);
}
