import { onAway } from './api';

// health tells whether the server answers, and how much is kept here until it does.
export const health = $state({ away: false, waiting: 0 });

onAway((away) => (health.away = away));
