import { defineConfig } from 'vitest/config';

// Flows run in a real browser against the real server, one file after the other.
export default defineConfig({
	test: {
		include: ['tests/flows/**/*.test.ts'],
		fileParallelism: false,
		testTimeout: 90_000,
		hookTimeout: 180_000,
		reporters: ['verbose'],
	},
});
