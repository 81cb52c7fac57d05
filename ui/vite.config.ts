import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';
import { notices } from './scripts/notices.ts';

// The development server passes API calls on to a running `pixano server run`.
const server = process.env.PIXANO_SERVER ?? 'http://127.0.0.1:7492';
const api = [
	'browser',
	'changes',
	'datasets',
	'media',
	'thumbnail',
	'items',
	'sources',
	'dataset_items',
	'events',
	'history',
	'models',
	'inference',
	'api',
];

export default defineConfig(({ command }) => ({
	// Every address in the built files is relative; the server puts the prefix into <base href>.
	base: command === 'build' ? './' : '/app/',
	plugins: [svelte(), notices()],
	build: {
		outDir: '../server/ui/dist',
		emptyOutDir: true,
		target: 'es2023',
		modulePreload: { polyfill: false },
		assetsInlineLimit: 0,
		reportCompressedSize: false,
	},
	worker: { format: 'es' as const },
	server: { proxy: Object.fromEntries(api.map((name) => [`/${name}`, server])) },
	resolve: process.env.VITEST ? { conditions: ['browser'] } : undefined,
	test: {
		include: ['src/**/*.test.ts'],
		environment: 'node',
		testTimeout: 20_000, // machines are busy
	},
}));
