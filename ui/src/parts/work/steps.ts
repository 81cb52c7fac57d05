// What steps of the history are called.
import { t, type Key } from '../../i18n';
import { maskSteps } from './masks';

const names: Record<string, Key> = {
	...maskSteps,
	move: 'step.move.any',
	'draw box': 'step.box',
	'draw pose': 'step.pose',
	'move box': 'step.move',
	'move pose': 'step.move.pose',
	delete: 'step.delete',
	'set class': 'step.class',
	classify: 'step.classify',
	copy: 'step.copy',
	paste: 'step.paste',
	merge: 'step.merge',
	relink: 'step.relink',
	accept: 'step.accept',
	reject: 'step.reject',
	unreview: 'step.unreview',
};

export const stepName = (label: string): string =>
	names[label] ? t(names[label]) : label.startsWith('set ') ? t('step.set', { field: label.slice(4) }) : label;
