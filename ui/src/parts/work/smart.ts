import { smartTool } from '../../stage/tools/smart';
import type { Host, Tool } from '../../stage/tools/tool';
import { prefs } from '../../prefs.svelte';
import { ask, look } from './segment';
import type { Work } from './work.svelte';

// make is the tool of smart segmentation, which is loaded when it is taken in hand.
export const make = (host: Host, work: Work, pane: number): Tool =>
	smartTool(host, {
		color: () => work.color(),
		fill: () => prefs.fill,
		negative: () => work.negative,
		ask: (prompt, signal) => ask(work, pane, prompt, signal),
		look: (prompt, signal) => look(work, pane, prompt, signal),
		previews: () => prefs.previews,
		state: (at, message = '') => {
			work.segmenting = { at, message };
			work.hint = message === 'hint.smart.empty' ? message : at === 'idle' ? 'hint.smart.next' : null;
		},
	});
