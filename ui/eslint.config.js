import svelte from 'eslint-plugin-svelte';
import ts from 'typescript-eslint';
import svelteConfig from './svelte.config.js';

// What a folder must not import: the core runs without a browser and without Svelte.
const core = {
	files: ['src/stage/**/*.ts', 'src/store/**/*.ts', 'src/masks/**/*.ts'],
	rules: {
		'no-restricted-imports': [
			'error',
			{ patterns: [{ group: ['svelte', 'svelte/*', '*.svelte', '**/parts/**', '**/pages/**'], message: 'the core imports no component' }] },
		],
	},
};
const pages = {
	files: ['src/pages/**', 'src/parts/**'],
	rules: { 'no-restricted-globals': ['error', { name: 'fetch', message: 'components call the façade in api/' }] },
};

export default ts.config(
	{ ignores: ['node_modules', 'src/api/schema.d.ts'] },
	...ts.configs.recommended,
	...svelte.configs.recommended,
	{
		files: ['**/*.svelte', '**/*.svelte.ts'],
		languageOptions: { parserOptions: { parser: ts.parser, extraFileExtensions: ['.svelte'], svelteConfig } },
		rules: {
			'svelte/no-navigation-without-resolve': 'off',
			'svelte/prefer-svelte-reactivity': 'off',
			'svelte/no-unused-svelte-ignore': 'off',
		},
	},
	{
		files: ['src/**'],
		rules: {
			'no-restricted-properties': [
				'error',
				{ object: 'crypto', property: 'randomUUID', message: 'pages that come unencrypted from another machine have none: newId' },
			],
		},
	},
	{ rules: { '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }], eqeqeq: 'error', 'no-undef': 'off' } },
	core,
	pages,
);
