// Addresses below the page's base. What someone may want to send to a colleague is in them.

export type Route =
	| { page: 'library' }
	| { page: 'explorer'; dataset: string }
	| { page: 'item'; dataset: string; item: string }
	| { page: 'stats'; dataset: string }
	| { page: 'schema'; dataset: string }
	| { page: 'settings' }
	| { page: 'lost'; path: string };

const base = () => new URL(document.baseURI).pathname;

export function parse(path: string): Route {
	const parts = path.split('/').filter(Boolean).map(decode);
	if (parts.length === 0) return { page: 'library' };
	if (parts[0] === 'settings' && parts.length === 1) return { page: 'settings' };
	if (parts[0] === 'd' && parts.length === 2) return { page: 'explorer', dataset: parts[1] };
	if (parts[0] === 'd' && parts.length === 4 && parts[2] === 'i') return { page: 'item', dataset: parts[1], item: parts[3] };
	if (parts[0] === 'd' && parts.length === 3 && (parts[2] === 'stats' || parts[2] === 'schema'))
		return { page: parts[2], dataset: parts[1] };
	return { page: 'lost', path };
}

export function format(route: Route, query: Record<string, string | undefined> = {}): string {
	const path = {
		library: () => '',
		explorer: (r: Route & { page: 'explorer' }) => `d/${encodeURIComponent(r.dataset)}`,
		item: (r: Route & { page: 'item' }) => `d/${encodeURIComponent(r.dataset)}/i/${encodeURIComponent(r.item)}`,
		stats: (r: Route & { page: 'stats' }) => `d/${encodeURIComponent(r.dataset)}/stats`,
		schema: (r: Route & { page: 'schema' }) => `d/${encodeURIComponent(r.dataset)}/schema`,
		settings: () => 'settings',
		lost: (r: Route & { page: 'lost' }) => r.path,
	}[route.page](route as never);
	const q = new URLSearchParams();
	for (const [key, value] of Object.entries(query)) if (value) q.set(key, value);
	const text = q.toString();
	return path + (text ? `?${text}` : '');
}

function decode(part: string): string {
	try {
		return decodeURIComponent(part);
	} catch {
		return part;
	}
}

class Router {
	private at = $state.raw(location.pathname + location.search);
	private guard: (() => boolean | Promise<boolean>) | null = null;

	// A change of the query leaves the route the same object, so that pages do not begin anew.
	private path = $derived(this.at.split('?')[0].slice(base().length));
	route = $derived(parse(this.path));
	query = $derived(new URLSearchParams(this.at.split('?')[1] ?? ''));

	constructor() {
		addEventListener('popstate', () => (this.at = location.pathname + location.search));
	}

	// leave asks before the page changes; false stays.
	leave(guard: (() => boolean | Promise<boolean>) | null): void {
		this.guard = guard;
	}

	async go(route: Route, query: Record<string, string | undefined> = {}, replace = false): Promise<void> {
		if (this.guard && !(await this.guard())) return;
		const to = base() + format(route, query);
		if (to === this.at) return;
		history[replace ? 'replaceState' : 'pushState'](null, '', to);
		this.at = to;
	}

	// set changes the query in place.
	set(query: Record<string, string | undefined>, replace = true): void {
		const all = Object.fromEntries(this.query);
		const to = base() + format(this.route, { ...all, ...query });
		if (to === this.at) return;
		history[replace ? 'replaceState' : 'pushState'](null, '', to);
		this.at = to;
	}

	href = (route: Route, query: Record<string, string | undefined> = {}) => base() + format(route, query);

	// follow goes to an address that href gave.
	follow(href: string): void {
		const [to, query] = href.split('?');
		void this.go(parse(to.slice(base().length)), Object.fromEntries(new URLSearchParams(query ?? '')));
	}

	// click lets the browser open links in other tabs.
	click = (e: MouseEvent, route: Route, query: Record<string, string | undefined> = {}) => {
		if (e.button !== 0 || e.ctrlKey || e.metaKey || e.shiftKey || e.altKey) return;
		e.preventDefault();
		void this.go(route, query);
	};
}

export const router = new Router();
