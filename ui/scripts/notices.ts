import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Plugin } from 'vite';

// notices writes THIRD_PARTY_NOTICES.txt into the built files: name, version and licence text of every package
// that a chunk contains, and of the font.
export function notices(): Plugin {
	return {
		name: 'notices',
		apply: 'build',
		generateBundle(_options, bundle) {
			const dirs = new Set<string>([join('node_modules', '@fontsource-variable', 'inter')]);
			for (const chunk of Object.values(bundle)) {
				if (chunk.type !== 'chunk') continue;
				for (const id of Object.keys(chunk.modules)) {
					const at = id.lastIndexOf('node_modules/');
					if (at < 0) continue;
					let dir = dirname(id.slice(at).replace(/[?].*/, ''));
					while (!existsSync(join(dir, 'package.json')) || !JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8')).version)
						dir = dirname(dir);
					dirs.add(dir);
				}
			}
			const parts = [...dirs].sort().map((dir) => {
				const pkg = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8')) as { name: string; version: string; license: string };
				const file = readdirSync(dir).find((name) => /^licen[cs]e/i.test(name));
				return `${pkg.name} ${pkg.version} (${pkg.license})\n\n${file ? readFileSync(join(dir, file), 'utf8').trim() : ''}\n`;
			});
			this.emitFile({ type: 'asset', fileName: 'THIRD_PARTY_NOTICES.txt', source: parts.join('\n' + '-'.repeat(78) + '\n\n') });
		},
	};
}
