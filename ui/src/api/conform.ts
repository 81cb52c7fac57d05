// Compiles only while the hand-written types of the façade fit what the server says about itself (openapi.json).
import type { Facet, Has, ItemCell, LibraryEntry, Query, Search, ViewCell } from './index';
import type { components, paths } from './schema';

type Server = components['schemas'];
type Fits<Ours, Theirs extends Ours> = Theirs;

export type Conform = [
	Fits<Omit<LibraryEntry, 'workspace'>, Server['LibraryEntry']>,
	Fits<ViewCell, Server['ViewCell']>,
	Fits<Pick<ItemCell, 'views' | 'counts' | 'distance'>, Server['ItemCell']>,
	Fits<Pick<Facet, 'table' | 'field' | 'rows' | 'other' | 'distinct'>, Server['Facet']>,
	Fits<Server['Query'], Query>,
	Fits<Server['Has'], Has>,
	Fits<Server['Search'], Search>,
	// Routes that the façade calls
	paths['/library']['get'],
	paths['/datasets/{dataset}']['get'],
	paths['/dataset_items/{dataset}/{id}']['get'],
	paths['/sources/{dataset}']['get'],
	paths['/explore/{dataset}']['post'],
	paths['/count/{dataset}/{table}']['post'],
	paths['/neighbours/{dataset}']['post'],
	paths['/facets/{dataset}/{table}']['post'],
	paths['/rows/{dataset}/{table}']['post'],
	paths['/changes/{dataset}']['post'],
	paths['/dataset_media/{dataset}/{path}']['get'],
	paths['/keypoint_templates/{dataset}']['get' | 'put'],
];
