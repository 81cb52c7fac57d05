// The condition of the explorer as a tree that facets and builder rows edit, and as the text that the server reads.
// What the tree does not know stays as the text that it is.

export type Value = string | number | boolean;
export type Compare = '=' | '<>' | '<' | '<=' | '>' | '>=' | 'like';

export type Node =
	| { kind: 'group'; op: 'and' | 'or'; kids: Node[] }
	| { kind: 'compare'; field: string; op: Compare; value: Value }
	| { kind: 'in'; field: string; values: Value[]; not: boolean }
	| { kind: 'between'; field: string; from: Value; to: Value }
	| { kind: 'null'; field: string; not: boolean }
	| { kind: 'raw'; text: string };

const words = new Set(
	'and or not in is null like between true false select from where order by limit case when then else end timestamp date exists cast as table group'.split(
		' ',
	),
);

export const quoteName = (name: string) =>
	name
		.split('.')
		.map((part) => (/^[a-z_][a-z0-9_]*$/.test(part) && !words.has(part) ? part : `"${part.replaceAll('"', '""')}"`))
		.join('.');

export const quote = (v: Value): string => (typeof v === 'string' ? `'${v.replaceAll("'", "''")}'` : String(v));

export function format(node: Node | null, inside = false): string {
	if (!node) return '';
	switch (node.kind) {
		case 'group': {
			const kids = node.kids.map((k) => format(k, true)).filter(Boolean);
			const text = kids.join(node.op === 'and' ? ' AND ' : ' OR ');
			return inside && kids.length > 1 ? `(${text})` : text;
		}
		case 'compare':
			return `${quoteName(node.field)} ${node.op === 'like' ? 'LIKE' : node.op} ${quote(node.value)}`;
		case 'in':
			return `${quoteName(node.field)} ${node.not ? 'NOT ' : ''}IN (${node.values.map(quote).join(', ')})`;
		case 'between':
			return `${quoteName(node.field)} BETWEEN ${quote(node.from)} AND ${quote(node.to)}`;
		case 'null':
			return `${quoteName(node.field)} IS ${node.not ? 'NOT ' : ''}NULL`;
		case 'raw':
			return inside ? `(${node.text})` : node.text;
	}
}

type Token = { kind: 'name' | 'word' | 'text' | 'number' | 'op'; text: string; at: number; end: number };

function lex(s: string): Token[] | null {
	const out: Token[] = [];
	const re = /\s+|(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|([\p{L}_][\p{L}\p{N}_]*)|"((?:[^"]|"")*)"|'((?:[^']|'')*)'|(<=|>=|<>|!=|[=<>(),.-])/uy;
	for (let at = 0; at < s.length; at = re.lastIndex) {
		re.lastIndex = at;
		const m = re.exec(s);
		if (!m) return null;
		const end = re.lastIndex;
		if (m[1] !== undefined) out.push({ kind: 'number', text: m[1], at, end });
		else if (m[2] !== undefined)
			out.push({
				kind: words.has(m[2].toLowerCase()) ? 'word' : 'name',
				text: words.has(m[2].toLowerCase()) ? m[2].toLowerCase() : m[2],
				at,
				end,
			});
		else if (m[3] !== undefined) out.push({ kind: 'name', text: m[3].replaceAll('""', '"'), at, end });
		else if (m[4] !== undefined) out.push({ kind: 'text', text: m[4].replaceAll("''", "'"), at, end });
		else if (m[5] !== undefined) out.push({ kind: 'op', text: m[5], at, end });
	}
	return out;
}

// parse reads a condition. What is not understood becomes raw text, whole or part by part.
export function parse(text: string): Node | null {
	const source = text.trim();
	if (source === '') return null;
	const read = lex(source);
	if (!read) return { kind: 'raw', text: source };
	const tokens = read;
	let i = 0;
	const is = (kind: Token['kind'], t?: string) => tokens[i]?.kind === kind && (t === undefined || tokens[i].text === t);
	const take = (kind: Token['kind'], t?: string) => (is(kind, t) ? tokens[i++] : null);

	function value(): Value | null {
		const text = take('text');
		if (text) return text.text;
		const minus = take('op', '-');
		const n = take('number');
		if (n) return (minus ? -1 : 1) * Number(n.text);
		if (take('word', 'true')) return true;
		if (take('word', 'false')) return false;
		return null;
	}
	function field(): string | null {
		let name = take('name')?.text;
		if (name === undefined) return null;
		while (is('op', '.') && tokens[i + 1]?.kind === 'name') {
			i++;
			name += '.' + tokens[i++].text;
		}
		return name;
	}
	function leaf(): Node | null {
		if (take('op', '(')) {
			const inner = either();
			return inner && take('op', ')') ? inner : null;
		}
		const f = field();
		if (f === null) return null;
		if (take('word', 'is')) {
			const not = take('word', 'not') !== null;
			return take('word', 'null') ? { kind: 'null', field: f, not } : null;
		}
		const not = take('word', 'not') !== null;
		if (take('word', 'in')) {
			if (!take('op', '(')) return null;
			const values: Value[] = [];
			do {
				const v = value();
				if (v === null) return null;
				values.push(v);
			} while (take('op', ','));
			return take('op', ')') ? { kind: 'in', field: f, values, not } : null;
		}
		if (not) return null;
		if (take('word', 'between')) {
			const from = value();
			if (from === null || !take('word', 'and')) return null;
			const to = value();
			return to === null ? null : { kind: 'between', field: f, from, to };
		}
		if (take('word', 'like')) {
			const v = value();
			return v === null ? null : { kind: 'compare', field: f, op: 'like', value: v };
		}
		const op = take('op');
		if (!op || !['=', '<>', '!=', '<', '<=', '>', '>='].includes(op.text)) return null;
		const v = value();
		return v === null ? null : { kind: 'compare', field: f, op: (op.text === '!=' ? '<>' : op.text) as Compare, value: v };
	}
	// part keeps a condition that is not understood as text, up to the next AND or OR at its level.
	function part(): Node | null {
		const start = i;
		const node = leaf();
		if (node && (i === tokens.length || is('word', 'and') || is('word', 'or') || is('op', ')'))) return node;
		i = start;
		let depth = 0;
		for (; i < tokens.length; i++) {
			if (is('op', '(')) depth++;
			else if (is('op', ')') && --depth < 0) break;
			else if (depth === 0 && (is('word', 'or') || (is('word', 'and') && !tokens.slice(start, i).some((t) => t.text === 'between')))) break;
		}
		return i === start ? null : { kind: 'raw', text: source.slice(tokens[start].at, tokens[i - 1].end) };
	}
	function series(op: 'and' | 'or', next: () => Node | null): Node | null {
		const first = next();
		if (!first) return null;
		const kids = [first];
		while (take('word', op)) {
			const kid = next();
			if (!kid) return null;
			kids.push(kid);
		}
		return kids.length === 1 ? first : { kind: 'group', op, kids: kids.flatMap((k) => (k.kind === 'group' && k.op === op ? k.kids : [k])) };
	}
	const both = () => series('and', part);
	const either = (): Node | null => series('or', both);
	const node = either();
	return node && i === tokens.length ? node : { kind: 'raw', text: source };
}

// all lists the conditions that must hold together.
export const all = (node: Node | null): Node[] => (node === null ? [] : node.kind === 'group' && node.op === 'and' ? node.kids : [node]);

export const join = (nodes: Node[], op: 'and' | 'or' = 'and'): Node | null =>
	nodes.length === 0 ? null : nodes.length === 1 ? nodes[0] : { kind: 'group', op, kids: nodes };

export const on = (node: Node, field: string) => 'field' in node && node.field === field;

// without leaves the conditions on a field out.
export const without = (node: Node | null, field: string): Node | null => join(all(node).filter((n) => !on(n, field)));

// chosen lists the values of a field that are asked for.
export function chosen(node: Node | null, field: string): Value[] {
	const at = all(node).find((n) => on(n, field));
	return at?.kind === 'in' && !at.not ? at.values : at?.kind === 'compare' && at.op === '=' ? [at.value] : [];
}

// toggle adds a value of a field to those asked for, or takes it out.
export function toggle(node: Node | null, field: string, value: Value): Node | null {
	const now = chosen(node, field);
	const values = now.includes(value) ? now.filter((v) => v !== value) : [...now, value];
	const rest = all(without(node, field));
	if (values.length === 0) return join(rest);
	return join([
		...rest,
		values.length === 1 ? { kind: 'compare', field, op: '=', value: values[0] } : { kind: 'in', field, values, not: false },
	]);
}
