// One place for requests: paths below the page's base, problems as typed errors, cancelling.

export class ApiError extends Error {
	constructor(
		readonly status: number, // 0: no answer
		message: string,
		readonly body: unknown = null,
	) {
		super(message);
	}
	// position is where a condition is wrong, as a byte offset, if the server says so.
	get position(): number | null {
		const at = /\bat (\d+)\b/.exec(this.message);
		return at ? Number(at[1]) : null;
	}
}

// root is the address of the API: the folder above the page's base.
export const root = () => new URL('..', document.baseURI).pathname;

type Listener = (away: boolean) => void;
const listeners = new Set<Listener>();
export function onAway(listener: Listener): () => void {
	listeners.add(listener);
	return () => listeners.delete(listener);
}
const tell = (away: boolean) => listeners.forEach((l) => l(away));

const enc = encodeURIComponent;
export const path = (...parts: string[]) => root() + parts.map(enc).join('/');

export async function request<T>(method: string, url: string, body?: unknown, signal?: AbortSignal): Promise<T> {
	let answer: Response;
	const file = body instanceof Blob;
	try {
		answer = await fetch(url, {
			method,
			signal,
			headers: {
				accept: 'application/json',
				...(body === undefined ? {} : { 'content-type': file ? body.type || 'application/octet-stream' : 'application/json' }),
			},
			body: body === undefined ? undefined : file ? body : JSON.stringify(body),
		});
	} catch (e) {
		if (e instanceof DOMException && e.name === 'AbortError') throw e;
		tell(true);
		throw new ApiError(0, e instanceof Error ? e.message : String(e));
	}
	if (answer.status === 502 || answer.status === 503 || answer.status === 504) {
		tell(true);
		throw new ApiError(0, `the server answers ${answer.status}`);
	}
	tell(false);
	if (answer.status === 204) return undefined as T;
	let value: unknown;
	try {
		value = await answer.json();
	} catch (e) {
		if (e instanceof DOMException && e.name === 'AbortError') throw e;
		throw new ApiError(answer.ok ? 0 : answer.status, `the answer of ${url} is no JSON`);
	}
	if (!answer.ok) throw new ApiError(answer.status, detailOf(value) ?? answer.statusText, value);
	return value as T;
}

function detailOf(value: unknown): string | null {
	const problem = value as { detail?: unknown; errors?: { message: string; location?: string }[] } | null;
	if (!problem) return null;
	if (Array.isArray(problem.detail))
		return problem.detail.map((d: { loc: unknown[]; msg: string }) => `${d.loc.join('.')}: ${d.msg}`).join('; ');
	const more = problem.errors?.map((e) => `${e.location ?? ''} ${e.message}`.trim()).join('; ');
	return [problem.detail, more].filter(Boolean).join(': ') || null;
}

export const get = <T>(url: string, signal?: AbortSignal) => request<T>('GET', url, undefined, signal);
export const post = <T>(url: string, body: unknown, signal?: AbortSignal) => request<T>('POST', url, body, signal);
export const put = <T>(url: string, body: unknown, signal?: AbortSignal) => request<T>('PUT', url, body, signal);

// bytes fetches a file; none where there is nothing of the kind that was asked for.
export async function bytes(url: string): Promise<ArrayBuffer> {
	const answer = await fetch(url);
	if (!answer.ok) throw new ApiError(answer.status, answer.statusText);
	return answer.arrayBuffer();
}

export const isAbort = (e: unknown) => e instanceof DOMException && e.name === 'AbortError';
