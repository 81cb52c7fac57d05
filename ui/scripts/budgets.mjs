// Sizes of the built files beside their limits, gzipped: fails beyond one.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';

const dist = new URL('../../server/ui/dist/', import.meta.url).pathname;
const files = readdirSync(dist, { recursive: true })
	.map((name) => join(dist, name))
	.filter((name) => statSync(name).isFile());
const size = (name) => (name.endsWith('.woff2') ? statSync(name).size : gzipSync(readFileSync(name), { level: 9 }).length);

// reach lists a chunk with the chunks and styles that it loads at once. Pages are loaded later, by import().
function reach(name, seen = new Set()) {
	if (seen.has(name)) return seen;
	seen.add(name);
	const text = readFileSync(name, 'utf8');
	for (const [, to] of text.matchAll(/(?:from|import)\s*["'](\.\/[^"']+\.js)["']/g)) reach(join(name, '..', to), seen);
	return seen;
}
const html = join(dist, 'index.html');
const page = readFileSync(html, 'utf8');
const first = new Set([html]);
for (const [, to] of page.matchAll(/(?:src|href)="\.\/([^"]+\.(?:js|css))"/g)) {
	const name = join(dist, to);
	if (name.endsWith('.js')) reach(name, first);
	else first.add(name);
}
// Eight signs of a hash, which may be hyphens too, end the names.
const stem = (name) => name.replace(/-.{8}\.(js|css)$/, '');
// A page's chunk and styles, without what the first load has.
function extra(chunk) {
	const name = files.find((f) => new RegExp(`/${chunk}-.{8}\\.js$`).test(f));
	const all = reach(name);
	const entry = [...first].find((f) => /index-[^/]+\.js$/.test(f));
	const deps = [...readFileSync(entry, 'utf8').matchAll(/["'](?:\.\/)?(assets\/[^"']+)["']/g)].map((m) => join(dist, m[1]));
	const css = files.filter((f) => f.endsWith('.css') && [...all].some((js) => stem(js) === stem(f)));
	return [...new Set([...all, ...css.filter((f) => deps.length === 0 || deps.includes(f))])].filter((f) => !first.has(f));
}
const sum = (list) => [...list].reduce((n, f) => n + size(f), 0);
const rows = [
	['first load: Library', sum(first), 60],
	['+ Explorer', sum(extra('Explorer')), 30],
	['+ Workspace', sum(extra('Workspace')), 90],
	['all of dist', sum(files), 350],
];
let over = false;
for (const [name, bytes, limit] of rows) {
	const kb = bytes / 1000;
	over ||= kb > limit;
	console.log(`${name.padEnd(24)} ${kb.toFixed(1).padStart(7)} kB of ${limit} kB${kb > limit ? '  TOO LARGE' : ''}`);
}
console.log(
	`largest: ${files
		.map((f) => [size(f), relative(dist, f)])
		.sort((a, b) => b[0] - a[0])
		.slice(0, 4)
		.map(([n, f]) => `${f} ${(n / 1000).toFixed(1)}`)
		.join(', ')}`,
);
process.exit(over ? 1 : 0);
