// What the explorer shows, as a call of the REST API and as a Go program.
import type { Query, Search } from '../../api';

export interface Asking {
	dataset: string; // id
	directory: string; // of the dataset
	query: Query;
	search: Search | null;
}

const limit = 50;

// curl is a command for a shell of Unix.
export function curl(a: Asking, root: string): string {
	const body = { query: { ...a.query, limit }, ...(a.search ? { search: a.search } : {}), with: ['total'] };
	const address = `${root}explore/${encodeURIComponent(a.dataset)}`;
	return `curl -s '${address.replaceAll("'", '%27')}' -H 'Content-Type: application/json' \\\n  -d '${JSON.stringify(body).replaceAll("'", `'\\''`)}'`;
}

// quote writes a text as a Go string.
function quote(s: string): string {
	return /^[^`\\"]*$/.test(s) || /[`\r\n]/.test(s) ? JSON.stringify(s) : `\`${s}\``;
}

function literal(q: Query): string {
	const has = (q.has ?? []).map(
		(h) => `{Table: ${quote(h.table)}${h.where ? `, Where: ${quote(h.where)}` : ''}${h.not ? ', Not: true' : ''}}`,
	);
	const fields = [
		q.where ? `Where: ${quote(q.where)}` : '',
		has.length > 0 ? `Has: []dataset.Has{${has.join(', ')}}` : '',
		q.order_by ? `OrderBy: ${quote(q.order_by)}` : '',
	].filter(Boolean);
	return `dataset.Query{${fields.join(', ')}}`;
}

// program is a whole Go program that prints the ids of the items, as gofmt would write it.
export function program(a: Asking): string {
	const uses = a.search ? ['pixano/dataset', ...(a.search.text ? ['pixano/inference'] : []), 'pixano/search'] : ['pixano/dataset'];
	return `package main

import (
	"context"
	"fmt"
	"log"

${uses.map((u) => `\t"${u}"`).join('\n')}
)

func main() {
	ctx := context.Background()
	ds, err := dataset.Open(ctx, ${quote(a.directory)}, nil) // the folder of the dataset
	if err != nil {
		log.Fatal(err)
	}
	defer ds.Close()
${a.search ? searching(a, a.search) : listing(a)}}
`;
}

function listing(a: Asking): string {
	return `	ids, err := ds.IDs(ctx, "item", ${literal(a.query)})
	if err != nil {
		log.Fatal(err)
	}
	for _, id := range ids {
		fmt.Println(id)
	}
`;
}

function searching(a: Asking, s: Search): string {
	const { where, ...rest } = a.query;
	const filter: Query = { ...rest, has: [...(rest.has ?? []), ...(where ? [{ table: 'item', where }] : [])] };
	const fields = [
		`Table: ${quote(s.table)}`,
		s.text ? `Text: ${quote(s.text)}` : '',
		s.vector ? `Vector: []float32{${s.vector.map((v) => String(Math.fround(v))).join(', ')}}` : '',
		s.like ? `Like: ${quote(s.like)}` : '',
		s.words ? `Words: &search.Words{Text: ${quote(s.words.text)}}` : '',
		filter.has!.length > 0 ? `Filter: ${literal(filter)}` : '',
		`Limit: ${limit}`,
	].filter(Boolean);
	return `${s.text ? '\tvar models inference.Registry // connect what runs the model of the table\n' : ''}	s := search.New(ds, nil)${s.text ? '.WithModels(models.Embedder)' : ''}
	found, err := s.Search(ctx, search.Query{${fields.join(', ')}})
	if err != nil {
		log.Fatal(err)
	}
	for _, hit := range found.Hits {
		fmt.Println(hit.ItemID)
	}
`;
}
