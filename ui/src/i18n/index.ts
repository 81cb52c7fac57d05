export { ago, compact, date, lang, number, t } from './index.svelte';
export type { Args, Key, Lang } from './text';
