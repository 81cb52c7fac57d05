import"./disclose-version-xihTtKlq.js";import{At as e,Et as t,F as n,G as r,K as i,Nt as a,S as o,St as s,Tt as c,V as l,W as u,_t as d,ct as f,dt as p,ft as m,h,m as g,mt as _,o as v,pt as y,st as b,tt as x,yt as S}from"./i18n-B8-vpOzn.js";import{t as C}from"./Icon-BfIWbKh-.js";import{A as w,c as T,k as E,m as D,y as O}from"./index-CljWXb2y.js";var k=new Set([`$$slots`,`$$events`,`$$legacy`]);function A(e,t){let n=g(t,k),r={name:`copy`,size:24,node:[[`rect`,{width:`14`,height:`14`,x:`8`,y:`8`,rx:`2`,ry:`2`}],[`path`,{d:`M4 16c-1.1 0-2-.9-2-2V4c0-1.1.9-2 2-2h10c1.1 0 2 .9 2 2`}]]};C(e,h(()=>n,{get icon(){return r}}))}var j=50;function M(e,t){let n={query:{...e.query,limit:j},...e.search?{search:e.search}:{},with:[`total`]};return`curl -s '${`${t}explore/${encodeURIComponent(e.dataset)}`.replaceAll(`'`,`%27`)}' -H 'Content-Type: application/json' \\\n  -d '${JSON.stringify(n).replaceAll(`'`,`'\\''`)}'`}function N(e){return/^[^`\\"]*$/.test(e)||/[`\r\n]/.test(e)?JSON.stringify(e):`\`${e}\``}function P(e){let t=(e.has??[]).map(e=>`{Table: ${N(e.table)}${e.where?`, Where: ${N(e.where)}`:``}${e.not?`, Not: true`:``}}`);return`dataset.Query{${[e.where?`Where: ${N(e.where)}`:``,t.length>0?`Has: []dataset.Has{${t.join(`, `)}}`:``,e.order_by?`OrderBy: ${N(e.order_by)}`:``].filter(Boolean).join(`, `)}}`}function F(e){return`package main

import (
	"context"
	"fmt"
	"log"

${(e.search?[`pixano/dataset`,...e.search.text?[`pixano/inference`]:[],`pixano/search`]:[`pixano/dataset`]).map(e=>`\t"${e}"`).join(`
`)}
)

func main() {
	ctx := context.Background()
	ds, err := dataset.Open(ctx, ${N(e.directory)}, nil) // the folder of the dataset
	if err != nil {
		log.Fatal(err)
	}
	defer ds.Close()
${e.search?L(e,e.search):I(e)}}
`}function I(e){return`	ids, err := ds.IDs(ctx, "item", ${P(e.query)})
	if err != nil {
		log.Fatal(err)
	}
	for _, id := range ids {
		fmt.Println(id)
	}
`}function L(e,t){let{where:n,...r}=e.query,i={...r,has:[...r.has??[],...n?[{table:`item`,where:n}]:[]]},a=[`Table: ${N(t.table)}`,t.text?`Text: ${N(t.text)}`:``,t.vector?`Vector: []float32{${t.vector.map(e=>String(Math.fround(e))).join(`, `)}}`:``,t.like?`Like: ${N(t.like)}`:``,t.words?`Words: &search.Words{Text: ${N(t.words.text)}}`:``,i.has.length>0?`Filter: ${P(i)}`:``,`Limit: ${j}`].filter(Boolean);return`${t.text?`	var models inference.Registry // connect what runs the model of the table
`:``}	s := search.New(ds, nil)${t.text?`.WithModels(models.Embedder)`:``}
	found, err := s.Search(ctx, search.Query{${a.join(`, `)}})
	if err != nil {
		log.Fatal(err)
	}
	for _, hit := range found.Hits {
		fmt.Println(hit.ItemID)
	}
`}var R=i(`<!> `,1),z=i(`<section class="svelte-1b4grfn"><header class="svelte-1b4grfn"><h2> </h2> <!></header> <pre tabindex="0" class="svelte-1b4grfn"> </pre></section>`);function B(i,h){t(h,!0);let g=S(``);f(()=>{let e=new AbortController;return T.list(e.signal).then(({datasets:e})=>d(g,e.find(e=>e.id===h.dataset)?.directory??h.dataset,!0),e=>{D(e)||d(g,h.dataset,!0)}),()=>e.abort()});let C=s(()=>({dataset:h.dataset,directory:`library/${x(g)}`,query:h.query,search:h.search})),k=s(()=>[[`REST`,M(x(C),location.origin+O())],[`Go`,F(x(C))]]);async function j(e){try{await navigator.clipboard.writeText(e),E(v(`copied`))}catch{E(v(`calls.denied`),`warn`)}}var N=r(),P=m(N);n(P,17,()=>x(k),([e,t])=>e,(t,n)=>{var r=s(()=>a(x(n),2));let i=()=>x(r)[0],c=()=>x(r)[1];var d=z(),f=p(d),h=p(f),S=y(h,!0),C=_(h,2);{let e=s(()=>x(g)===``),t=s(()=>v(`calls.copy`,{name:i()}));w(C,{get disabled(){return x(e)},onclick:()=>void j(c()),get"aria-label"(){return x(t)},children:(e,t)=>{var n=R(),r=m(n);A(r,{size:14});var i=_(r,1,!0);b(e=>l(i,e),[()=>v(`copy`)]),u(e,n)},$$slots:{default:!0}})}e(f);var T=_(f,2),E=y(T,!0);e(d),b(()=>{o(d,`aria-label`,i()),l(S,i()),l(E,c())}),u(t,d)}),u(i,N),c()}export{B as default};