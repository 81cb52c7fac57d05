import { untrack } from 'svelte';
import { templates } from '../../api/templates';
import { changes, datasets, isAbort, items, media, type Dataset, type Neighbours } from '../../api';
import { Decoder } from '../../masks/decoder';
import { toScreen, type Camera, type Rect, type Size } from '../../stage/camera';
import { orientationOf, turnOf } from '../../stage/exif';
import type { Stage } from '../../stage/stage';
import { nothing, type Host, type Tool } from '../../stage/tools/tool';
import { coordsOf, viewSize } from '../../store/boxes';
import { maskOf, ringsOf } from '../../store/masks';
import { adopt, discard, leftovers, livingTabs, openJournal, TabJournal, type Database, type Leftover } from '../../store/journal';
import type { Journal, SaveQueue } from '../../store/savequeue';
import { labelOf, originOf, Schema } from '../../store/schema';
import { confidenceOf, isHidden, sceneOf, type Look } from '../../store/scene';
import { classColor, shapeColor, type ColorBy, type Colors } from '../../store/colors';
import { fieldsOf, matches } from '../filters/match';
import { underReview } from '../../store/review';
import { problemsOf, type Problem } from '../../store/problems';
import { Session, type Copied, type Target } from '../../store/session';
import { known, type Template } from '../../store/templates';
import { keyOf, newId, refOf, sameValue, type Command, type Data, type Patch, type Place, type Row } from '../../store/types';
import { kept, plain, type Adjust } from '../../stage/adjust';
import type { Picture } from '../../stage/gl/image';
import { Scene } from '../../stage/scene';
import { health } from '../../health.svelte';
import { number, t, type Key } from '../../i18n';
import { annotator, prefs, save } from '../../prefs.svelte';
import { asked, toQuery } from '../explore/query';
import { parse } from '../filters/expr';
import { toast } from '../ui/toasts.svelte';
import { addMask, changeMask } from './masks';
import { Live } from './live.svelte';
import { Merging } from './merging.svelte';
import { Poses } from './pose.svelte';
import { Review } from './review.svelte';
import { stepName } from './steps';
import { toolById } from './tools';

// tab names this browser tab, for the journal.
const tab = newId();
let database: Promise<Database> | null = null;
const journals = async () => (database ??= Promise.all([openJournal(), livingTabs(tab)]).then(([db]) => db));

// The journal of a browser that has no storage, such as a private window of some: work goes on without it.
const noJournal: Journal = { write: async () => {}, remove: async () => {}, sending: async () => {} };

interface Opened {
	session: Session;
	dataset: Dataset;
	schema: Schema;
	decoder: Decoder<object>;
	values: string[]; // classes that occur
	templates: Template[]; // of key points
}
const sessions = new Map<string, Promise<Opened>>();
const queues = new Set<SaveQueue>(); // theirs
let current: Work | null = null;

// session opens the work on a dataset, once: what waits to be saved goes on being saved from page to page.
function session(id: string): Promise<Opened> {
	let s = sessions.get(id);
	if (!s) {
		s = open(id);
		s.catch(() => sessions.delete(id));
		sessions.set(id, s);
	}
	return s;
}

async function open(id: string): Promise<Opened> {
	const [dataset, sources, store, lists] = await Promise.all([
		datasets.open(id),
		items.sources(id),
		journals().catch(() => null),
		templates.list(id).catch(() => ({ templates: [], builtin: [] })), // without them points are shown without lines
	]);
	const schema = new Schema(dataset);
	const s = new Session({
		schema,
		send: (set) => changes.send(id, set),
		journal: store ? new TabJournal(store, tab, id) : noJournal,
		annotator,
		auto: () => prefs.autosave,
		merged: (rows) => toast(t('merged', { n: rows.length })),
		unkept: () => toast(t('unkept'), 'warn', undefined, 15_000),
		went: (place) => current?.goTo(place),
	});
	s.tables.load(sources);
	const opened: Opened = {
		session: s,
		dataset,
		schema,
		decoder: new Decoder(() => current?.touch()),
		values: [],
		templates: known(lists.templates, lists.builtin),
	};
	queues.add(s.queue);
	s.queue.subscribe(() => {
		health.waiting = [...queues].reduce((n, q) => n + q.waiting, 0);
		current?.saved();
	});
	s.tables.subscribe(() => current?.touch());
	return opened;
}

addEventListener('visibilitychange', () => {
	if (document.visibilityState === 'hidden' && prefs.autosave)
		for (const s of sessions.values()) void s.then((o) => o.session.queue.save());
});
addEventListener('beforeunload', (e) => {
	if (health.waiting > 0) e.preventDefault();
});
addEventListener('online', () => {
	for (const s of sessions.values()) void s.then((o) => o.session.queue.save());
});

export interface Pane {
	table: string;
	base: string;
	rows: Row[]; // frames, or one view
}

let clipboard: Copied[] = [];

// Work is what the workspace page shows: an item, what is chosen in it, and the tool in hand.
export class Work {
	opened: Opened | null = $state.raw(null);
	item = $state('');
	loading = $state(true);
	failed = $state('');
	version = $state(0); // of the rows
	saving = $state(0); // of the save queue
	neighbours: (Neighbours & { of: string }) | null = $state.raw(null); // of the item that was shown last
	leftover: Leftover | null = $state.raw(null);
	private undecoded: ReadonlyMap<string, Problem[]> = $state.raw(new Map()); // by view

	selection: ReadonlySet<string> = $state.raw(nothing);
	hover: string | null = $state(null);
	hidden: ReadonlySet<string> = $state.raw(nothing);
	locked: ReadonlySet<string> = $state.raw(nothing);
	isolated: ReadonlySet<string> | null = $state.raw(null);
	threshold = $state(0);
	where = $state(''); // condition on objects; those that do not meet it are hidden
	colorBy: ColorBy = $state('class');
	showRejected = $state(false);
	peek = $state(false);
	adjust: Adjust = $state.raw(plain);
	pictures: Readonly<Record<number, Picture>> = $state.raw({}); // by view, those that are shown whole
	tool = $state('select'); // an id of tools.ts
	lastTool = 'box'; // that drew, for repeating
	drawing = $state(false); // something is half drawn
	erase = $state(false); // the brush takes away
	negative = $state(false); // clicks of smart segmentation say what is not meant
	segmenting: { at: 'idle' | 'asking' | 'failed'; message: string } = $state.raw({ at: 'idle', message: '' });
	preparing = $state(false); // a model computes what previews need of the image
	intoSelected = $state(false);
	pixel: number[] | null = $state.raw(null); // the values of the picture under the pointer
	pointer: { x: number; y: number } | null = $state.raw(null);
	zoom = $state(1);
	pane = $state(0); // the view in focus
	alone = $state(untrack(() => prefs.tabs)); // only that one is shown
	frame = $state(0);
	menu: { x: number; y: number } | null = $state.raw(null); // of the selected objects, on the screen
	picking: { keys: string[] } | null = $state.raw(null); // the class picker is open for these
	stack: { x: number; y: number; keys: string[] } | null = $state.raw(null);
	values: string[] = $state.raw([]);

	readonly stages = new Map<number, Stage>();
	readonly cameras = new Map<string, { item: string; camera: Camera }>(); // of views that are not shown now
	// What the line of hints says, also to those who hear it: what a tool wants, or what was done.
	private line: { hint: Key | null; said: string } = $state.raw({ hint: null, said: '' });
	readonly spoken = $derived(this.line.hint ? t(this.line.hint) : this.line.said);
	private tools = new Map<number, Map<string, Tool>>(); // by view and id
	private load: AbortController | null = null;
	private wanted = ''; // the item that was asked for last, and what brings it
	private showing: Promise<void> = Promise.resolve();
	private steps: Promise<void> = Promise.resolve(); // to other items, one after the other
	private stepping = 0;
	private gone = false; // the page was left
	private timers: ReturnType<typeof setInterval>[] = [];
	private live: Live;
	readonly review = new Review(this);
	readonly poses = new Poses(this);
	readonly merging = new Merging(this);
	panel: 'classify' | 'relink' | null = $state(null); // open over the stage

	constructor(
		readonly dataset: string,
		private params: () => URLSearchParams,
		private place: (item: string) => Promise<void>, // settles when the item was asked for, or was not to be
	) {
		// eslint-disable-next-line @typescript-eslint/no-this-alias -- the page shows one work at a time
		current = this;
		this.live = new Live(dataset, tab);
		this.adjust = kept(prefs.images[dataset]?.adjust);
		session(dataset).then(
			(o) => this.ready(o),
			(e: unknown) => this.fail(e),
		);
	}

	private ready(o: Opened): void {
		if (this.gone || this.opened === o) return;
		this.opened = o;
		this.values = o.values;
		void this.findLeftovers();
		void this.findClasses();
	}

	dispose(): void {
		this.gone = true;
		if (current === this) current = null;
		this.load?.abort();
		this.live.dispose();
		for (const timer of this.timers) clearInterval(timer);
	}

	get session(): Session | null {
		return this.opened?.session ?? null;
	}
	get schema(): Schema | null {
		return this.opened?.schema ?? null;
	}

	touch(): void {
		this.version++;
	}
	saved(): void {
		this.saving++;
	}

	get others() {
		return this.live.others;
	}
	get heard() {
		return this.live.heard;
	}

	// reread takes the item as the server has it now.
	async reread(): Promise<void> {
		const s = this.session;
		const item = this.item;
		if (!s || !item) return;
		const asked = s.queue.now;
		const rows = await items.all(this.dataset, item);
		s.refresh(item, rows, asked);
	}

	// show opens an item; the old one stays until the new one is there.
	show(item: string): Promise<void> {
		if (this.gone) return Promise.resolve();
		this.wanted = item;
		return (this.showing = this.bring(item));
	}

	// leaving tells that another item was asked for than the one that is seen: keys are for that one.
	get leaving(): boolean {
		return this.stepping > 0 || (this.loading && this.wanted !== this.item);
	}

	private async bring(item: string): Promise<void> {
		this.load?.abort();
		const load = (this.load = new AbortController());
		this.loading = true;
		let o: Opened;
		try {
			o = await session(this.dataset);
		} catch (e) {
			if (!load.signal.aborted) this.fail(e);
			return;
		}
		if (load.signal.aborted) return; // the session is that of another item, or of another page, by now
		this.ready(o);
		const { queue } = o.session;
		if (prefs.autosave) void queue.save();
		try {
			const kept = prefetched.get(`${this.dataset}\n${item}`);
			prefetched.clear();
			const ask = () => ({ rows: items.all(this.dataset, item, load.signal), asked: queue.now, news: this.live.news });
			let from = kept ?? ask();
			const rows = await from.rows.catch((e: unknown) => {
				if (from !== kept) throw e;
				from = ask();
				return from.rows;
			});
			if (load.signal.aborted) return;
			this.hide();
			o.session.open(item, rows, from.asked);
			this.item = item;
			this.live.show(o.session, item);
			this.failed = '';
			this.loading = false;
			this.version++;
			if (from.news !== this.live.news) void this.reread().catch(() => {}); // away: with the next connection
		} catch (e) {
			if (isAbort(e) || load.signal.aborted) return;
			this.hide();
			// Away: what is in memory is shown.
			if (o.session.rowsOf(item).length > 0) {
				o.session.item = item;
				this.item = item;
				this.live.show(o.session, item);
				this.failed = '';
				this.loading = false;
				this.version++;
			} else {
				this.item = ''; // the one before is not that of the address
				this.fail(e);
			}
		}
		await this.findNeighbours(item, load.signal);
	}

	private hide(): void {
		this.select([]);
		this.isolated = null;
		this.stack = null;
		this.picking = null;
		this.panel = null;
		this.menu = null;
		this.merging.clear();
		this.frame = 0;
		this.hint = toolById.get(this.tool)?.hint ?? null;
		this.putDown();
		// A crosshair that keys moved belongs to the item before.
		for (const tools of this.tools.values()) for (const tool of tools.values()) tool.cancel();
	}

	private fail(e: unknown): void {
		this.loading = false;
		this.failed = e instanceof Error ? e.message : String(e);
	}

	private async findNeighbours(item: string, signal: AbortSignal): Promise<void> {
		const { query, search } = toQuery(asked(this.params()));
		try {
			const found = await items.neighbours(this.dataset, item, query, search, signal);
			if (signal.aborted) return;
			this.neighbours = { of: item, ...found };
			const next = found.after[0];
			if (next) this.prefetch(next);
		} catch (e) {
			if (!isAbort(e) && !signal.aborted) this.neighbours = null;
		}
	}

	// prefetch reads the next item's rows and its first image.
	private prefetch(item: string): void {
		const { session } = this;
		if (!session) return;
		const key = `${this.dataset}\n${item}`;
		const rows = items.all(this.dataset, item);
		prefetched.set(key, { rows, asked: session.queue.now, news: this.live.news });
		rows.then(
			(list) => {
				const view = list.find((r) => r.table_info.base_schema === 'Image');
				if (view && typeof view.data.url === 'string') pictureOf(this.dataset, view.data.url, viewSize(view)).catch(() => {});
			},
			() => prefetched.delete(key),
		);
	}

	private beside(item: string, by: 1 | -1): string | undefined {
		const n = this.neighbours;
		const list = n ? [...n.before, n.of, ...n.after] : [];
		const at = list.indexOf(item);
		return at < 0 ? undefined : list[at + by];
	}

	// step goes on from the item that was asked for last, so that each of several quick keys counts. The neighbours of
	// an item shown before usually tell the next one too; where they do not, those of this one are waited for.
	step(by: 1 | -1): Promise<void> {
		this.stepping++;
		return (this.steps = this.steps.then(() => this.stepNow(by)).finally(() => this.stepping--));
	}

	private async stepNow(by: 1 | -1): Promise<void> {
		const from = this.wanted;
		let to = this.beside(from, by);
		if (!to && this.neighbours?.of !== from) {
			await this.showing;
			if (this.wanted === from && this.neighbours?.of !== from && this.load) await this.findNeighbours(from, this.load.signal);
			if (this.wanted !== from) return;
			to = this.beside(from, by);
		}
		if (to) await this.place(to);
		else if (this.neighbours?.of === from) toast(t(by > 0 ? 'end.last' : 'end.first'));
		else toast(t('end.unknown'), 'warn');
	}

	private async findLeftovers(): Promise<void> {
		try {
			const found = (await leftovers(await journals(), await livingTabs(tab))).filter(
				(l) => l.dataset === this.dataset && (l.rows.length > 0 || l.set),
			);
			this.leftover = found[0] ?? null;
		} catch {
			this.leftover = null;
		}
	}

	async restore(keep: boolean): Promise<void> {
		const left = this.leftover;
		if (!left || !this.session) return;
		this.leftover = null;
		const db = await journals();
		if (!keep) await discard(db, left);
		else if (await adopt(db, left, tab)) {
			this.session.restore(left.rows, left.set);
			toast(t('restored', { n: left.rows.length }));
		}
		await this.findLeftovers();
	}

	// Targets: where shapes go

	target = $derived.by(() => {
		const schema = this.schema;
		const kept = prefs.target[this.dataset];
		const boxes = schema?.tables('annotations', 'BBox') ?? [];
		const masks = schema?.tables('annotations', 'CompressedRLE') ?? [];
		const entities = (schema?.tables('entities') ?? []).filter((e) => schema!.base(e) !== 'Conversation');
		const withClass = entities.find((e) => schema!.classField(e)) ?? entities[0] ?? null;
		return {
			boxes: kept && boxes.includes(kept.boxes) ? kept.boxes : (boxes[0] ?? null),
			masks: kept?.masks && masks.includes(kept.masks) ? kept.masks : (masks[0] ?? null),
			entities: kept && entities.includes(kept.entities) ? kept.entities : withClass,
			all: { boxes, masks, entities },
		};
	});
	classField = $derived(this.target.entities && this.schema ? this.schema.classField(this.target.entities) : null);

	// listed are the classes that the dataset lists. They alone have colours by their place; the colours of others hang
	// on their names, so that they are the same on every page.
	listed = $derived.by((): string[] => {
		const schema = this.schema;
		if (!schema) return [];
		return schema.tables('entities').flatMap((e) => {
			const f = schema.classField(e);
			return f ? (schema.constraint(e, f)?.values ?? []).map(String) : [];
		});
	});

	// classes in their order: those that the dataset lists, then those that occur.
	classes = $derived.by((): string[] => {
		const schema = this.schema;
		if (!schema) return [];
		const out = new Set<string>();
		for (const e of [this.target.entities, ...schema.tables('entities')]) {
			const f = e ? schema.classField(e) : null;
			if (e && f) for (const v of schema.constraint(e, f)?.values ?? []) out.add(String(v));
		}
		for (const v of this.values) out.add(v);
		return [...out];
	});
	restricted = $derived(
		this.target.entities && this.classField ? (this.schema?.constraint(this.target.entities, this.classField)?.restricted ?? false) : false,
	);
	sticky = $derived.by(() => {
		const kept = prefs.target[this.dataset]?.class ?? '';
		return this.restricted && !this.classes.includes(kept) ? (this.classes[0] ?? '') : kept || (this.classes[0] ?? '');
	});

	setTarget(part: Partial<{ boxes: string; masks: string; entities: string; class: string }>): void {
		const now = {
			boxes: this.target.boxes ?? '',
			masks: this.target.masks ?? '',
			entities: this.target.entities ?? '',
			class: this.sticky,
		};
		save({ target: { ...prefs.target, [this.dataset]: { ...now, ...part } } });
	}

	private async findClasses(): Promise<void> {
		const { entities } = this.target;
		if (!entities || !this.classField) return;
		try {
			const [facet] = await items.facets(this.dataset, entities, [this.classField], {}, { values: 100 });
			this.values = (facet?.values ?? []).map((v) => String(v.value)).filter(Boolean);
			if (this.opened) this.opened.values = this.values;
		} catch {
			// The listed classes do.
		}
	}

	// Views

	panes = $derived.by((): Pane[] => {
		void this.version;
		const s = this.session;
		if (!s || !this.item) return [];
		return s.schema.views().flatMap((table) => {
			const rows = s.tables.referring('item_ref', this.item).filter((r) => r.table_info.name === table);
			if (rows.length === 0) return [];
			if (s.schema.base(table) === 'SequenceFrame') rows.sort((a, b) => Number(a.data.frame_index) - Number(b.data.frame_index));
			return [{ table, base: s.schema.base(table), rows }];
		});
	});
	frames = $derived(Math.max(0, ...this.panes.filter((p) => p.base === 'SequenceFrame').map((p) => p.rows.length)));
	viewOf = (pane: Pane): Row => (pane.base === 'SequenceFrame' ? pane.rows[Math.min(this.frame, pane.rows.length - 1)] : pane.rows[0]);
	focused = $derived(this.panes[this.pane] ?? this.panes[0]);

	colors = $derived.by((): Colors => ({ by: this.colorBy, classes: this.listed, own: prefs.colors[this.dataset] ?? {} }));
	classColor = (name: string): number => classColor(this.colors, name);
	colorOfRow(row: Row): number {
		const s = this.session!;
		const entity = s.entityOf(row);
		return shapeColor(this.colors, {
			label: labelOf(s.schema, entity),
			entity: entity?.id ?? '',
			origin: originOf(s.sourceOf(row)),
			confidence: confidenceOf(row),
		});
	}

	// problems are the rows that cannot be shown, and bad their keys: they are never changed.
	problems = $derived.by((): Problem[] => {
		const s = this.session;
		if (!s) return [];
		const own = this.annotations.flatMap((row) => problemsOf(s, row).slice(0, 1));
		const known = new Set(own.map((p) => p.row));
		return [
			...own,
			...[...this.undecoded.values()].flat().filter((p) => !known.has(p.row) && s.tables.get(p.row.table_info.name, p.row.id) === p.row),
		];
	});
	bad = $derived.by((): ReadonlySet<string> =>
		this.problems.length === 0 ? nothing : new Set(this.problems.map((p) => keyOf(p.row.table_info.name, p.row.id))),
	);
	isBad = (row: Row): boolean => this.bad.has(keyOf(row.table_info.name, row.id));

	private condition = $derived(parse(this.where));
	filtered = $derived.by((): ReadonlySet<string> | null =>
		this.condition === null
			? null
			: new Set(
					this.annotations.filter((r) => matches(this.condition, fieldsOf(this.session!, r))).map((r) => keyOf(r.table_info.name, r.id)),
				),
	);
	passes = (row: Row): boolean => this.filtered === null || this.filtered.has(keyOf(row.table_info.name, row.id));
	isShown = (row: Row): boolean => !isHidden(this.look, row);

	look = $derived.by((): Look => ({
		colors: this.colors,
		hidden: this.hidden,
		locked: this.locked,
		isolated: this.isolated,
		threshold: this.threshold,
		filtered: this.filtered,
		rejected: this.showRejected,
		bad: this.bad,
		templates: this.opened?.templates ?? [],
	}));

	sceneOf(view: Row): Scene {
		void this.version;
		if (!this.opened) return new Scene([]);
		const { scene, problems } = sceneOf(this.opened.session, view, this.look, this.opened.decoder);
		if (problems.length > 0 || untrack(() => this.undecoded.has(view.id)))
			queueMicrotask(() => {
				const next = new Map(this.undecoded);
				if (problems.length > 0) next.set(view.id, problems);
				else next.delete(view.id);
				if (
					!sameValue(
						[...next.values()].flat().map((p) => p.detail + p.row.id),
						[...this.undecoded.values()].flat().map((p) => p.detail + p.row.id),
					)
				)
					this.undecoded = next;
			});
		return scene;
	}

	annotations = $derived.by((): Row[] => {
		void this.version;
		const s = this.session;
		if (!s || !this.item) return [];
		const frames = new Set(
			this.panes.filter((p) => p.base === 'SequenceFrame').flatMap((p) => (this.frames > 1 ? p.rows.map((r) => r.id) : [])),
		);
		const now = new Set(this.panes.map((p) => this.viewOf(p)?.id));
		return s.tables
			.referring('item_ref', this.item)
			.filter((r) => r.table_info.group === 'annotations')
			.filter((r) => {
				const view = refOf(r, 'view_ref');
				return !view || !frames.has(view.id) || now.has(view.id); // of a video, those of the frame in view
			});
	});

	goTo(place: Place): void {
		this.panes.forEach((pane, i) => {
			const at = pane.rows.findIndex((r) => r.id === place.view);
			if (at < 0) return;
			this.pane = i;
			if (pane.base === 'SequenceFrame') this.frame = at;
		});
	}

	// Tools

	private lent: { make: (host: Host) => Tool; tools: Map<number, Tool> } | null = null;

	// lend puts a tool into the hand for as long as a panel is open; null takes it back.
	lend(make: ((host: Host) => Tool) | null): void {
		this.lent = make && { make, tools: new Map() };
		for (const stage of this.stages.values()) {
			stage.updateCursor();
			stage.invalidate('hud');
		}
	}

	// toolOf is the tool in hand as it is in a view.
	toolOf(pane: number): Tool {
		if (this.lent) {
			let tool = this.lent.tools.get(pane);
			if (!tool) this.lent.tools.set(pane, (tool = this.lent.make(this.hostOf(pane))));
			return tool;
		}
		let tools = this.tools.get(pane);
		if (!tools) this.tools.set(pane, (tools = new Map()));
		let tool = tools.get(this.tool);
		if (!tool) tools.set(this.tool, (tool = toolById.get(this.tool)!.make(this.hostOf(pane), this, pane)));
		return tool;
	}

	// putDown ends what is half drawn: a tool that can keep it does, the others drop it. No model answers any more.
	putDown(): void {
		for (const tools of this.tools.values())
			for (const tool of tools.values())
				if (tool.finish) tool.finish();
				else if (tool.busy) tool.cancel();
		this.drawing = false;
	}

	color: () => number = () => 0x5aa9ff;

	// setAdjust changes how images look, and remembers it for the dataset.
	setAdjust(adjust: Adjust): void {
		this.adjust = adjust;
		const { [this.dataset]: mine, ...others } = prefs.images;
		save({ images: { ...others, [this.dataset]: { ...mine, adjust } } });
	}

	setTool(id: string): void {
		const def = toolById.get(id);
		if (!def || !(def.available?.(this) ?? true)) return;
		this.putDown();
		this.merging.clear();
		this.tool = id;
		if (id !== 'select') this.lastTool = id;
		this.hint = def.hint ?? null;
		for (const stage of this.stages.values()) {
			stage.updateCursor();
			stage.invalidate('shapes', 'hud');
		}
	}

	private hostOf(pane: number): Host {
		const stage = () => this.stages.get(pane)!;
		return {
			scene: () => stage().scene,
			image: () => stage().image,
			camera: () => stage().camera,
			selection: () => this.selection,
			select: (keys, add) => this.select(keys, add),
			hover: (key) => {
				if (this.hover !== key) this.hover = key;
			},
			addBox: (rect) => this.addBox(pane, rect),
			changeBoxes: (list, merge) => {
				const s = this.session;
				if (s) s.run(s.moveBoxes(list, merge));
			},
			duplicate: (keys, merge) => this.duplicate(keys, 0, merge),
			move: (keys, dx, dy, merge) => {
				const s = this.session;
				if (s) s.run(s.moveBy(keys, dx, dy, merge));
			},
			addMask: (made) => addMask(this, pane, made),
			changeMask: (key, made, label) => changeMask(this, key, made, label),
			maskOf: (key) => {
				const row = this.session?.byKey(key);
				const mask = row ? maskOf(row) : null;
				return row && mask ? { mask, rings: ringsOf(row) } : null;
			},
			take: (id, key) => {
				this.setTool(id);
				if (key) this.toolOf(pane).edit?.(key);
			},
			stack: (p) => {
				const keys = stage()
					.scene.pick(p, 4 / stage().camera.scale)
					.map((s) => s.key);
				this.stack = { x: p.screen.x, y: p.screen.y, keys };
			},
			redraw: (what) => {
				this.drawing = this.toolOf(pane).busy;
				this.stages.get(pane)?.invalidate(...(what ? (['image', 'shapes', 'hud'] as const) : (['hud'] as const)));
				this.stages.get(pane)?.updateCursor();
			},
			hint: (key) => (this.hint = key as Key | null),
		};
	}

	private addBox(pane: number, rect: Rect): void {
		const { boxes } = this.target;
		const p = this.panes[pane];
		if (!p) return;
		if (!boxes) {
			toast(t('box.no.table'), 'warn');
			return;
		}
		const size = viewSize(this.viewOf(p));
		const unit = { format: 'xywh', is_normalized: size.width > 0 };
		this.add(pane, 'draw box', [{ table: boxes, data: { ...unit, coords: coordsOf(unit, rect, size) } }]);
		this.hint = 'hint.box';
	}

	// add stores what a tool drew in a view as one new object of the sticky class, or into the selected object, selects
	// its first part and returns that one's key. before goes ahead of it in the same step.
	add(
		pane: number,
		label: string,
		parts: { table: string; data: Data }[],
		more: { before?: readonly Patch[]; made?: (rows: Row[]) => void } = {},
	): string | null {
		const s = this.session;
		const p = this.panes[pane];
		if (!s || !p) return null;
		const view = this.viewOf(p);
		const to = this.drawTarget();
		const { command, keys } = s.draw(label, view, parts, to);
		more.made?.(command.patches.slice(-parts.length).map((patch) => patch.after!));
		s.run({ ...command, patches: [...(more.before ?? []), ...command.patches] });
		this.select(keys.slice(0, 1));
		if (prefs.ask && this.classField && !to.into) this.picking = { keys };
		return keys[0] ?? null;
	}

	// drawTarget is where a new shape goes: an object of the class that is chosen, or the one that is selected.
	drawTarget(): Target {
		const s = this.session;
		const chosen = this.intoSelected && s ? [...this.selection].map((k) => s.byKey(k)).find((r) => r && s.entityOf(r)) : null;
		return {
			entities: this.target.entities,
			fields: this.classField ? { [this.classField]: this.sticky } : {},
			into: chosen ? s!.entityOf(chosen) : null,
		};
	}

	select(keys: readonly string[], add = false): void {
		let next = new Set(keys);
		if (add) {
			next = new Set(this.selection);
			for (const k of keys) if (!next.delete(k)) next.add(k);
		}
		if (sameValue([...next].sort(), [...this.selection].sort())) return;
		this.selection = next;
	}

	selected = $derived.by((): Row[] => {
		void this.version;
		return [...this.selection].flatMap((k) => this.session?.byKey(k) ?? []);
	});

	// setClass names the objects of annotations.
	setClass(keys: readonly string[] | ReadonlySet<string>, name: string): void {
		const s = this.session;
		if (!s) return;
		const entities = new Map<string, Row>();
		for (const key of keys) {
			const row = s.byKey(key);
			const entity = row && s.entityOf(row);
			if (entity) entities.set(entity.id, entity);
		}
		const rows = [...entities.values()].flatMap((row) => {
			const field = s.schema.classField(row.table_info.name);
			return field && row.data[field] !== name ? [{ row, data: { [field]: name } }] : [];
		});
		// In a review a corrected class is a correction of the annotation.
		const judged =
			this.review.on && rows.length > 0
				? [...keys].flatMap((k) => s.byKey(k) ?? []).filter((r) => underReview(r, this.review.sources))
				: [];
		s.run(s.change([...rows, ...judged.map((row) => ({ row, data: {} }))], 'set class'));
	}

	remove(): void {
		const s = this.session;
		const keys = [...this.selection].filter((k) => !this.locked.has(k));
		if (!s || keys.length === 0) return;
		s.run(s.remove(keys));
		this.select([]);
	}

	duplicate(keys: readonly string[], shift = 10, merge?: string): string[] {
		const s = this.session;
		if (!s) return [];
		const rows = keys.flatMap((k) => s.byKey(k) ?? []).map((row) => ({ row, entity: s.entityOf(row) }));
		const { command, keys: made } = s.copies(rows, null, shift);
		s.run({ ...command, merge });
		return made;
	}

	copy(): void {
		const s = this.session;
		if (!s || this.selection.size === 0) return;
		clipboard = [...this.selection]
			.flatMap((k) => s.byKey(k) ?? [])
			.map((row) => {
				const view = s.viewOf(row);
				return { row, entity: s.entityOf(row), size: view ? viewSize(view) : undefined };
			});
		toast(t('copied.n', { n: clipboard.length }), 'info', undefined, 2000);
	}

	paste(): void {
		const s = this.session;
		if (!s || clipboard.length === 0 || !this.focused) return;
		const view = this.viewOf(this.focused);
		const here = clipboard.some(({ row }) => refOf(row, 'view_ref')?.id === view.id);
		const { command, keys, fitted, left } = s.copies(clipboard, view, here ? 10 : 0);
		s.run({ ...command, label: 'paste', place: { view: view.id } });
		this.select(keys);
		if (left > 0) toast(t('paste.left', { n: left }), 'warn');
		else if (fitted > 0) toast(t('paste.fitted', { n: fitted }), 'info', undefined, 4000);
	}

	undo(): void {
		if (!this.item) return;
		const part = this.toolOf(this.pane).undo();
		this.told('undone', part, part ? null : this.session?.undo());
	}

	redo(): void {
		if (!this.item) return;
		const part = this.toolOf(this.pane).redo();
		this.told('redone', part, part ? null : this.session?.redo());
	}

	private told(word: 'undone' | 'redone', part: boolean, c: Command | null | undefined): void {
		this.keep();
		if (!c) return this.say(part ? t(word, { what: t('step.part') }) : t(`${word}.none`));
		const n = c.patches.filter((p) => (p.after ?? p.before)?.table_info.group === 'annotations').length;
		const what = stepName(c.label);
		this.say(t(word, { what: n > 1 ? `${what}, ${t('objects.n', { n, count: number(n) })}` : what }));
	}

	// jump undoes or redoes up to a place in the history.
	jump(to: number): void {
		const { history } = this.session!;
		const n = to - history.position;
		this.session!.jump(to);
		this.keep();
		if (n !== 0) this.say(t(n < 0 ? 'undone' : 'redone', { what: t('steps.n', { n: Math.abs(n) }) }));
	}

	get hint(): Key | null {
		return this.line.hint;
	}
	set hint(hint: Key | null) {
		this.line = { hint, said: '' };
	}

	// say tells something once. What is said twice in a row is heard only if it is not the same.
	say(text: string): void {
		this.line = { hint: null, said: text === this.line.said ? `${text}\u00a0` : text };
	}

	// keep drops what is no longer there from the selection.
	keep(): void {
		const s = this.session;
		if (s && [...this.selection].some((k) => !s.byKey(k))) this.selection = new Set([...this.selection].filter((k) => s.byKey(k)));
	}

	toggle(set: 'hidden' | 'locked', keys: Iterable<string>, on?: boolean): void {
		const next = new Set(this[set]);
		const list = [...keys];
		const add = on ?? list.some((k) => !next.has(k));
		for (const k of list)
			if (add) next.add(k);
			else next.delete(k);
		this[set] = next;
	}

	isolate(): void {
		this.isolated = this.isolated ? null : this.selection.size > 0 ? this.selection : null;
	}

	// walk goes to the next or previous shape, in reading order.
	walk(by: 1 | -1): void {
		const stage = this.stages.get(this.pane);
		if (!stage) return;
		const list = stage.scene.shapes
			.map((s, i) => ({ s, r: stage.scene.rects[i] }))
			.filter(({ s }) => !s.hidden && !s.locked)
			.sort((a, b) => a.r.y - b.r.y || a.r.x - b.r.x);
		if (list.length === 0) return;
		const at = list.findIndex(({ s }) => this.selection.has(s.key));
		const to = list[(at + by + list.length) % list.length] ?? list[0];
		this.select([at < 0 && by < 0 ? list.at(-1)!.s.key : to.s.key]);
	}

	fitSelection(): void {
		const stage = this.stages.get(this.pane);
		if (!stage) return;
		const rects = [...this.selection].flatMap((k) => {
			const i = stage.scene.shapes.findIndex((s) => s.key === k);
			return i < 0 ? [] : [stage.scene.rects[i]];
		});
		if (rects.length === 0) return stage.fit();
		const x = Math.min(...rects.map((r) => r.x)),
			y = Math.min(...rects.map((r) => r.y));
		stage.showRect({ x, y, w: Math.max(...rects.map((r) => r.x + r.w)) - x, h: Math.max(...rects.map((r) => r.y + r.h)) - y });
	}

	// follow moves the cameras of the other views of the same size as that of one.
	follow(pane: number): void {
		const from = this.stages.get(pane);
		if (!from) return;
		for (const [i, s] of this.stages) {
			if (i === pane || s.image.width !== from.image.width || s.image.height !== from.image.height) continue;
			const [dx, dy] = [(s.viewSize.width - from.viewSize.width) / 2, (s.viewSize.height - from.viewSize.height) / 2];
			s.setCamera({ ...from.camera, x: from.camera.x + dx, y: from.camera.y + dy });
		}
	}

	// reveal brings a shape into view, at the zoom that there is.
	reveal(key: string): void {
		for (const [pane, stage] of this.stages) {
			const i = stage.scene.shapes.findIndex((s) => s.key === key);
			if (i < 0) continue;
			this.pane = pane;
			const { scale } = stage.camera;
			const r = stage.scene.rects[i];
			const a = toScreen(stage.camera, stage.image, { x: r.x + r.w / 2, y: r.y + r.h / 2 });
			const { width, height } = stage.viewSize;
			const half = { w: Math.min((r.w * scale) / 2, width / 2), h: Math.min((r.h * scale) / 2, height / 2) };
			if (a.x - half.w < 0 || a.y - half.h < 0 || a.x + half.w > width || a.y + half.h > height)
				stage.setCamera({ ...stage.camera, x: stage.camera.x + width / 2 - a.x, y: stage.camera.y + height / 2 - a.y }, 'hand');
			return;
		}
	}

	announce(key: Key): void {
		this.hint = key;
		toast(t(key), 'info', undefined, 2500);
	}

	stage(): Stage | undefined {
		return this.stages.get(this.pane);
	}
}

const prefetched = new Map<string, { rows: Promise<Row[]>; asked: number; news: number }>();

// pictureOf loads what is shown of a view of a size: an image, or the samples of one of 16 bits.
export async function pictureOf(dataset: string, url: string, size: Size): Promise<Picture> {
	const kind = /\.(png|tiff?)$/i.exec(url);
	const deep = kind && (await import('./samples').then((m) => m.samplesOf(dataset, url)).catch(() => null));
	// Browsers show no TIFF: the server makes a JPEG of it.
	return deep ?? imageOf(dataset, url, size, kind && kind[1].toLowerCase() !== 'png' ? 3840 : undefined);
}

// bitmapOf loads a view as pixels to draw; those of 16 bits as the server reduces them.
export async function bitmapOf(dataset: string, url: string, size: Size): Promise<ImageBitmap> {
	const picture = await pictureOf(dataset, url, size);
	return picture instanceof ImageBitmap ? picture : imageOf(dataset, url, size, 3840);
}

// imageOf decodes an image, and keeps the last few.
const images = new Map<string, Promise<ImageBitmap>>();
function imageOf(dataset: string, url: string, size: Size, width?: number): Promise<ImageBitmap> {
	const address = media.url(dataset, url, width);
	let image = images.get(address);
	if (!image) {
		image = /\.jpe?g$/i.test(url) ? loadPhoto(address, size) : loadImage(address);
		images.set(address, image);
		image.catch(() => images.delete(address));
		while (images.size > 6) {
			const [first, old] = images.entries().next().value!;
			images.delete(first);
			old.then((b) => setTimeout(() => b.close(), 2000)).catch(() => {});
		}
	}
	return image;
}

const bitmapOptions: ImageBitmapOptions = { premultiplyAlpha: 'none', colorSpaceConversion: 'default' };

// turns are the quarter turns that bring pictures upright whose pixels are stored turned.
export const turns = new WeakMap<Picture, Camera['turn']>();

// loadPhoto decodes the pixels as they are stored, which is what coordinates of datasets count; browsers would turn them as
// the camera says. Where the view has the size of the turned picture, its annotations are those of the turned one.
async function loadPhoto(address: string, size: Size): Promise<ImageBitmap> {
	const file = await media.file(address);
	const found = orientationOf(file);
	const decode = () => createImageBitmap(new Blob([file], { type: 'image/jpeg' }), bitmapOptions);
	if (!found || found.value === 1) return decode();
	const bytes = new Uint8Array(file);
	bytes[found.at] = 1;
	const stored = await decode();
	if (found.value >= 5 && stored.width !== stored.height && stored.width === size.height && stored.height === size.width) {
		stored.close();
		bytes[found.at] = found.value;
		return decode();
	}
	turns.set(stored, turnOf(found.value));
	return stored;
}

async function loadImage(address: string): Promise<ImageBitmap> {
	const img = new Image();
	img.decoding = 'async';
	img.src = address;
	await img.decode();
	return createImageBitmap(img, bitmapOptions);
}
