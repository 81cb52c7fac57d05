import { items } from '../../api';
import { live, type Changed, type Client } from '../../api/history';
import { annotator } from '../../prefs.svelte';
import type { Session } from '../../store/session';
import { refOf, type Row } from '../../store/types';

const beat = 20_000; // ms between signs of life; the server forgets a client after 45 s

// Live hears what others do in a dataset while this tab is in view: rows that they change come in, unless they wait to be
// saved here, and who else is there is shown. A hidden tab holds no connection, since browsers allow few to one server.
export class Live {
	others: Client[] = $state.raw([]);
	heard = $state(0); // changes of anyone
	news = 0; // rises with all that may have made what was read before old
	private stop: (() => void) | null = null;
	private timer: ReturnType<typeof setInterval> | null = null;
	private away = false; // changes may have been missed
	private waiting: Promise<void> = Promise.resolve();
	private item = '';
	private session: Session | null = null;
	private readonly abort = new AbortController();

	constructor(
		private dataset: string,
		private client: string,
	) {
		const on = (target: EventTarget, type: string, fn: () => void) => target.addEventListener(type, fn, { signal: this.abort.signal });
		on(document, 'visibilitychange', () => (document.visibilityState === 'hidden' ? this.close() : this.open()));
		on(globalThis, 'pagehide', () => this.close());
		if (document.visibilityState !== 'hidden') this.open();
	}

	// show tells the others which item is looked at.
	show(session: Session, item: string): void {
		this.session = session;
		if (item === this.item) return;
		this.item = item;
		this.tell();
	}

	dispose(): void {
		this.abort.abort();
		this.close();
	}

	private open(): void {
		if (this.stop) return;
		this.stop = live.listen(this.dataset, {
			change: (e) => {
				this.heard++;
				this.news++;
				this.queue(() => this.changed(e));
			},
			presence: (clients) => this.seen(clients),
			open: () => {
				if (this.away) {
					this.news++;
					this.queue(() => this.reread());
				}
				this.away = true; // the next time it is a connection anew
				this.tell();
			},
		});
		this.timer = setInterval(() => this.tell(), beat);
	}

	private close(): void {
		if (!this.stop) return;
		this.stop();
		this.stop = null;
		this.news++;
		clearInterval(this.timer!);
		live.gone(this.dataset, this.client);
		this.others = [];
	}

	private tell(): void {
		if (this.item && this.stop)
			live.here(this.dataset, this.client, annotator(), this.item).then(
				(c) => this.seen(c),
				() => {},
			);
	}

	private seen(clients: Client[]): void {
		if (this.stop) this.others = clients.filter((c) => c.client !== this.client).sort((a, b) => a.author.localeCompare(b.author));
	}

	// queue does one after the other, so that an older answer never comes after a newer one.
	private queue(work: () => Promise<void>): void {
		this.waiting = this.waiting.then(work).catch(() => {}); // away: the item is read again with the next connection
	}

	private async changed(e: Changed): Promise<void> {
		const s = this.session;
		const tables = Object.entries(e.tables);
		if (!s || this.item === '') return;
		if (tables.length === 0) return this.reread();
		const item = this.item;
		for (const [table, ids] of tables) {
			const group = s.schema.group(table);
			if (group === 'embeddings' || (table !== 'source' && s.schema.base(table) === '')) continue;
			// Rows in memory of other items are read when those are opened.
			const own = (r: Row | null) => r === null || group === 'source' || (group === 'item' ? r.id : refOf(r, 'item_ref')?.id) === item;
			const had = new Map(ids.map((id) => [id, s.tables.get(table, id)] as const).filter(([, r]) => own(r)));
			if (had.size === 0) continue;
			const quoted = item.replaceAll("'", "''");
			const where = group === 'source' ? undefined : group === 'item' ? `id = '${quoted}'` : `item_ref.id = '${quoted}'`;
			const rows = await items.rows(this.dataset, table, { ids, where, limit: ids.length });
			if (item !== this.item) return; // it is read when it is opened
			s.incoming(table, had, rows);
		}
	}

	private async reread(): Promise<void> {
		const s = this.session;
		const item = this.item;
		if (!s || item === '') return;
		const asked = s.queue.now;
		const rows = await items.all(this.dataset, item);
		if (item === this.item && s.item === item) s.refresh(item, rows, asked);
	}
}
