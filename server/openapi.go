package server

import (
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"pixano/schema"
)

// OpenAPI returns the description of all routes as OpenAPI 3.1 in JSON.
func (s *Server) OpenAPI() ([]byte, error) { return s.api.OpenAPI().MarshalJSON() }

// describe adds the reference routes to the description. Their shapes are those of the reference, which no Go type of
// this package has.
func (s *Server) describe() {
	d := describer{s.api.OpenAPI(), s.api.OpenAPI().Components.Schemas}
	d.schemas()
	for _, route := range rowRoutes {
		path, name := "/"+route.word+"/{dataset}", strings.ToUpper(route.word[:1])+route.word[1:]
		if route.table == "" {
			path += "/{table}"
		}
		row, rows := ref("Row"), listOf(ref("Row"))
		filter := []*huma.Param{ids(false), limit(0), skip(), where()}
		if route.table == "" {
			filter = append(filter, listParam("item_ids", "rows of these items only", false))
		}
		d.op("GET", path, "list"+name, route.word, "List rows, 404 if there are none", filter, nil, rows, 400, 404)
		d.op("POST", path, "add"+name, route.word, "Add rows: all of them or none", nil, rows, rows, 400, 404)
		d.op("PUT", path, "put"+name, route.word, "Replace or add rows: all of them or none", nil, rows, rows, 400, 404)
		d.op("DELETE", path, "delete"+name, route.word, "Delete rows; unknown ids are passed over", []*huma.Param{ids(true)}, nil, null(), 400, 404)
		d.op("GET", path+"/{id}", "get"+name, route.word, "Read a row", nil, nil, row, 404)
		d.op("POST", path+"/{id}", "addOneOf"+name, route.word, "Add a row", nil, row, row, 400, 404)
		d.op("PUT", path+"/{id}", "putOneOf"+name, route.word, "Replace or add a row", nil, row, row, 400, 404)
		d.op("DELETE", path+"/{id}", "deleteOneOf"+name, route.word, "Delete a row; an unknown id is passed over", nil, nil, null(), 400, 404)
	}
	info, item := ref("DatasetInfo"), ref("DatasetItem")
	d.op("GET", "/datasets/info", "listDatasetInfos", "datasets", "List the datasets, 404 if there are none", nil, nil, listOf(info), 404)
	d.op("GET", "/datasets/info/{dataset}", "getDatasetInfo", "datasets", "What a dataset says of itself", nil, nil, info, 404)
	d.op("GET", "/datasets/{dataset}", "getDataset", "datasets", "Tables, columns, relations and value constraints of a dataset", nil, nil, ref("DatasetDescription"), 400, 404)
	d.op("GET", "/datasets/{dataset}/stats", "getDatasetStats", "datasets", "Numbers of rows by group and table", nil, nil, mapOf(mapOf(integer("rows"))), 400, 404)
	d.op("GET", "/datasets/{dataset}/{table}/count", "countTable", "datasets", "Number of rows of a table", nil, nil, integer("rows"), 400, 404)
	d.op("GET", "/items_info/{dataset}", "listItemsInfo", "items", "Items with their numbers of rows by table, 404 if there are none",
		[]*huma.Param{ids(false), limit(0), skip(), where()}, nil, listOf(ref("ItemInfo")), 400, 404)
	d.op("GET", "/items_info/{dataset}/{id}", "getItemInfo", "items", "An item with its numbers of rows by table", nil, nil, ref("ItemInfo"), 400, 404)
	d.op("GET", "/dataset_items/{dataset}", "listDatasetItems", "items", "Whole items with their rows of all tables but embeddings; wants ids or a limit",
		[]*huma.Param{ids(false), limit(0), skip()}, nil, listOf(item), 400, 404)
	d.op("POST", "/dataset_items/{dataset}", "addDatasetItems", "items", "Add whole items; references are not checked", nil, listOf(item), listOf(item), 400, 404)
	d.op("PUT", "/dataset_items/{dataset}", "putDatasetItems", "items", "Replace or add the rows of whole items; rows left out stay", nil, listOf(item), listOf(item), 400, 404)
	d.op("DELETE", "/dataset_items/{dataset}", "deleteDatasetItems", "items", "Delete items with all their rows", []*huma.Param{ids(true)}, nil, null(), 400, 404)
	d.op("GET", "/dataset_items/{dataset}/{id}", "getDatasetItem", "items", "A whole item", nil, nil, item, 400, 404)
	d.op("POST", "/dataset_items/{dataset}/{id}", "addDatasetItem", "items", "Add a whole item", nil, item, item, 400, 404)
	d.op("PUT", "/dataset_items/{dataset}/{id}", "putDatasetItem", "items", "Replace or add the rows of a whole item", nil, item, item, 400, 404)
	d.op("DELETE", "/dataset_items/{dataset}/{id}", "deleteDatasetItem", "items", "Delete an item with all its rows", nil, nil, null(), 400, 404)
	d.op("GET", "/browser/{dataset}", "browse", "explorer", "A page of the explorer's table",
		[]*huma.Param{limit(50), skip(), where(), textParam("query", "a text to search for; wants an embedding_table"),
			textParam("embedding_table", "where to search; one of semantic_search"), textParam("sortcol", "a column, or # and a table; wants an order"),
			textParam("order", "desc, or anything else for ascending"), textParam("item_ids", "false leaves out the ids of the whole result")},
		nil, ref("ExplorerPage"), 400, 404)
	d.op("GET", "/browser/item_ids/{dataset}", "listItemIDs", "explorer", "Ids of all items in storage order", nil, nil, listOf(text("id")), 400, 404)
	d.op("GET", "/models", "listBrowserModels", "models", "Names of the models that run in the browser", nil, nil, listOf(text("name")))
	d.file("/models/{name}", "getBrowserModel", "models", "A model that runs in the browser", nil)
	d.inference()
	width := &huma.Param{Name: "w", In: "query", Description: "reduce an image to about this width, in pixels", Schema: atLeast(1)}
	depth := &huma.Param{Name: "depth", In: "query", Description: samplesDoc, Schema: &huma.Schema{Type: huma.TypeInteger, Enum: []any{16}}}
	d.file("/media/{path}", "getMedia", "media", "A media file, or a part of it, by the url of its view", []*huma.Param{width, depth})
	d.file("/dataset_media/{dataset}/{path}", "getDatasetMedia", "media", "A media file of a dataset, or a part of it, by the url of its view", []*huma.Param{width, depth})
	d.file("/app_models/{path}", "getModelFile", "models", "A file of the directory of models", nil)
	d.file("/thumbnail/{url}", "getThumbnail", "media", "A small picture of an image, by the url of its view in base64", []*huma.Param{
		{Name: "max_size", In: "query", Description: "of the longer side, in pixels", Schema: atLeast(1)}, textParam("dataset", "whose media to look at")})
}

// inference describes the routes of models.
func (d describer) inference() {
	const tag = "inference"
	one := func(name, doc string) *huma.Param {
		p := textParam(name, doc)
		p.Required = true
		return p
	}
	d.op("POST", "/inference/connect", "connectInference", tag, "Connect to a server of Pixano-Inference", []*huma.Param{one("url", "http://HOST:PORT")}, nil, null(), 404)
	provider := objectOf("name", text(""), "tasks", listOf(text("")))
	d.op("GET", "/inference/status", "getInferenceStatus", tag, "Whether there is a connection, and which", nil, nil,
		objectOf("connected", &huma.Schema{Type: huma.TypeBoolean}, "default", text("name of the provider in use"), "providers", listOf(provider)))
	d.op("GET", "/inference/providers", "listProviders", tag, "Where models run", nil, nil, listOf(provider))
	d.op("POST", "/inference/disconnect/{name}", "disconnectInference", tag, "Forget a connection", nil, nil, null(), 404)
	d.op("GET", "/inference/models/list", "listModels", tag, "Models of a provider", []*huma.Param{textParam("task", "only those for it"), textParam("provider", "empty: the one in use")},
		nil, listOf(objectOf("name", text(""), "task", text(""))), 404, 502, 504)
	free := &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
	config := &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{"name": text(""), "task": text(""), "path": text("of the weights"), "config": free, "processor_config": free}, Required: []string{"name", "task"}}
	d.op("POST", "/inference/models/instantiate", "deployModel", tag, "Load a model", nil, objectOf("config", config, "provider", text("the library that runs it")), null(), 400, 404, 502, 504)
	d.op("DELETE", "/inference/models/delete/{name}", "undeployModel", tag, "Unload a model", nil, nil, null(), 400, 404, 502, 504)
	body := func(required []string) *huma.Schema {
		row, number := ref("Row"), &huma.Schema{Type: huma.TypeNumber}
		all := map[string]*huma.Schema{
			"dataset_id": text(""), "model": text(""), "provider_name": text("empty: the one in use"), "image": row, "video": listOf(row), "entity": row,
			"bbox":   {Type: huma.TypeObject, Properties: map[string]*huma.Schema{"coords": listOf(number), "format": text("xywh or xyxy"), "is_normalized": {Type: huma.TypeBoolean}}},
			"points": listOf(listOf(integer("x, y in pixels"))), "labels": listOf(integer("1: on the object; 0: beside it")), "mask_table_name": text(""), "box_table_name": text(""), "class_table_name": text(""),
			"preview": {Type: huma.TypeBoolean, Description: "of masks and boxes: only look, make no source"},
			"quick":   {Type: huma.TypeBoolean, Description: "of a mask in an image: 400 from models that would compute all of the image for it again"},
			"classes": {Description: "a list of texts, or a text"}, "box_threshold": number, "text_threshold": number, "conversation": row, "messages": listOf(row),
			"max_new_tokens": integer(""), "temperature": number, "role_system": text(""), "role_user": text(""), "role_assistant": text(""),
		}
		return &huma.Schema{Type: huma.TypeObject, Properties: all, Required: required}
	}
	row := ref("Row")
	d.op("POST", "/inference/tasks/mask-generation/image", "runImageMask", tag, "The mask of an object; it is not stored", nil, body(imageMask.required), objectOf("mask", row), 400, 404, 502, 504)
	d.op("POST", "/inference/tasks/mask-generation/video", "runVideoMask", tag, "Masks of an object through frames; they are not stored", nil, body(videoMask.required), objectOf("masks", listOf(row)), 400, 404, 502, 504)
	d.op("POST", "/inference/tasks/zero-shot-detection/image", "runDetection", tag, "Boxes of objects of some classes; they are not stored", nil, body(detect.required),
		listOf(objectOf("bbox", row, "classification", row)), 400, 404, 502, 504)
	d.op("POST", "/inference/tasks/conditional_generation/text-image", "runAnswer", tag, "The next message of a conversation; it is not stored", nil, body(answer.required), row, 400, 404, 502, 504)
}

type describer struct {
	doc      *huma.OpenAPI
	registry huma.Registry
}

func ref(name string) *huma.Schema { return &huma.Schema{Ref: "#/components/schemas/" + name} }

func text(doc string) *huma.Schema { return &huma.Schema{Type: huma.TypeString, Description: doc} }

func integer(doc string) *huma.Schema {
	return &huma.Schema{Type: huma.TypeInteger, Format: "int64", Description: doc}
}

func atLeast(n float64) *huma.Schema { return &huma.Schema{Type: huma.TypeInteger, Minimum: &n} }

func listOf(items *huma.Schema) *huma.Schema { return &huma.Schema{Type: huma.TypeArray, Items: items} }

func mapOf(values *huma.Schema) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: values}
}

func null() *huma.Schema { return &huma.Schema{Type: "null"} }

// objectOf is an object with all of the properties named, given as names and schemas.
func objectOf(parts ...any) *huma.Schema {
	o := &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{}, AdditionalProperties: false}
	for i := 0; i < len(parts); i += 2 {
		name := parts[i].(string)
		o.Properties[name] = parts[i+1].(*huma.Schema)
		o.Required = append(o.Required, name)
	}
	return o
}

func textParam(name, doc string) *huma.Param {
	return &huma.Param{Name: name, In: "query", Description: doc, Schema: text("")}
}

func listParam(name, doc string, required bool) *huma.Param {
	explode := true
	return &huma.Param{Name: name, In: "query", Description: doc, Required: required, Explode: &explode, Schema: listOf(text(""))}
}

func ids(required bool) *huma.Param { return listParam("ids", "rows of these ids only", required) }

func limit(otherwise int) *huma.Param {
	p := &huma.Param{Name: "limit", In: "query", Description: "the largest number of rows", Schema: atLeast(1)}
	if otherwise > 0 {
		p.Schema.Default = otherwise
	}
	return p
}

func skip() *huma.Param {
	return &huma.Param{Name: "skip", In: "query", Description: "how many rows to leave out first", Schema: atLeast(0)}
}

func where() *huma.Param {
	return textParam("where", "a condition in SQL over the columns, such as confidence > 0.5 AND view_ref.id = 'v1'")
}

// schemas describes the shapes of the reference.
func (d describer) schemas() {
	Row{}.Schema(d.registry)
	all := d.registry.Map()
	all["Detail"] = objectOf("detail", text("what is wrong"))
	all["ValidationDetail"] = objectOf("detail", listOf(&huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{
		"type": text("the rule"), "loc": listOf(&huma.Schema{AnyOf: []*huma.Schema{text(""), integer("")}}), "msg": text(""), "input": {}, "ctx": {Type: huma.TypeObject},
	}, Required: []string{"type", "loc", "msg"}}))
	all["DatasetInfo"] = objectOf("id", text(""), "name", text(""), "description", text(""), "size", text("in words"),
		"preview", text("a data URL, or empty"), "workspace", text("image, video, image_vqa, image_text_entity_linking or undefined"), "num_items", integer(""))
	fields := mapOf(&huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{
		"type": text(""), "collection": {Type: huma.TypeBoolean}, "dim": integer("length of a vector"), "value_type": text("of a vector's values")},
		Required: []string{"type", "collection"}})
	all["DatasetDescription"] = objectOf("id", text(""), "path", text(""), "previews_path", text(""), "media_dir", text(""), "thumbnail", text(""),
		"dataset_schema", objectOf("relations", mapOf(mapOf(text("one_to_one, one_to_many, many_to_one or many_to_many"))),
			"schemas", mapOf(objectOf("schema", text("the class"), "base_schema", text("the nearest built-in class"), "fields", fields)),
			"groups", mapOf(listOf(text("a table")))),
		"feature_values", mapOf(mapOf(listOf(objectOf("name", text("the column"), "restricted", &huma.Schema{Type: huma.TypeBoolean}, "values", listOf(&huma.Schema{}))))),
		"info", ref("DatasetInfo"))
	counts := mapOf(mapOf(objectOf("count", integer(""))))
	info := *all["Row"]
	info.Properties = map[string]*huma.Schema{"info": counts}
	for name, p := range all["Row"].Properties {
		info.Properties[name] = p
	}
	info.Required = append([]string{"info"}, info.Required...)
	all["ItemInfo"] = &info
	rows := mapOf(&huma.Schema{AnyOf: []*huma.Schema{ref("Row"), listOf(ref("Row")), null()}})
	item := objectOf("id", text(""), "item", ref("Row"))
	for _, g := range []schema.Group{schema.GroupEntities, schema.GroupAnnotations, schema.GroupViews} {
		item.Properties[string(g)] = rows
	}
	all["DatasetItem"] = item
	page := objectOf("id", text(""), "name", text(""),
		"table_data", objectOf("columns", listOf(objectOf("name", text(""), "type", text("image, str, int, float, bool, datetime or list"))), "rows", listOf(&huma.Schema{Type: huma.TypeObject, AdditionalProperties: true})),
		"pagination", objectOf("current_page", integer("the skip given"), "page_size", integer("the limit given"), "total_size", integer("of all items")),
		"semantic_search", listOf(text("a table")))
	page.Properties["item_ids"] = listOf(text("an id of the whole result"))
	all["ExplorerPage"] = page
}

// op describes a route. Parameters of the path are found in it.
func (d describer) op(method, path, id, tag, summary string, params []*huma.Param, body, answer *huma.Schema, errors ...int) {
	op := &huma.Operation{Method: method, Path: path, OperationID: id, Tags: []string{tag}, Summary: summary,
		Parameters: append(pathParams(path), params...), Responses: map[string]*huma.Response{"200": jsonAnswer("OK", answer)}}
	if body != nil {
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: body}}}
		errors = append(errors, http.StatusForbidden, http.StatusRequestEntityTooLarge)
	}
	if method == "DELETE" {
		errors = append(errors, http.StatusForbidden)
	}
	d.errors(op, append(errors, http.StatusInternalServerError))
	d.doc.AddOperation(op)
}

func (d describer) errors(op *huma.Operation, codes []int) {
	for _, code := range codes {
		op.Responses[strconv.Itoa(code)] = jsonAnswer(http.StatusText(code), ref("Detail"))
	}
	op.Responses["422"] = jsonAnswer("A mistake in the request", ref("ValidationDetail"))
}

func jsonAnswer(doc string, s *huma.Schema) *huma.Response {
	return &huma.Response{Description: doc, Content: map[string]*huma.MediaType{"application/json": {Schema: s}}}
}

// file describes a route that gives a file.
func (d describer) file(path, id, tag, summary string, params []*huma.Param) {
	binary := map[string]*huma.MediaType{"*/*": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}
	op := &huma.Operation{Method: "GET", Path: path, OperationID: id, Tags: []string{tag}, Summary: summary, Parameters: append(pathParams(path), params...),
		Responses: map[string]*huma.Response{
			"200": {Description: "OK", Content: binary}, "206": {Description: "The part asked for", Content: binary},
			"304": {Description: "Not modified"}, "416": {Description: "No such part"}}}
	d.errors(op, []int{400, 404, 500})
	d.doc.AddOperation(op)
}

func pathParams(path string) []*huma.Param {
	docs := map[string]string{"dataset": "id of the dataset, or the name of its directory", "table": "a table of the group", "id": "of the row",
		"path": "may hold slashes", "url": "base64 of the url, of either alphabet", "name": "without extension"}
	var params []*huma.Param
	for part := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			name = strings.TrimSuffix(name, "}")
			one := 1
			params = append(params, &huma.Param{Name: name, In: "path", Required: true, Description: docs[name], Schema: &huma.Schema{Type: huma.TypeString, MinLength: &one}})
		}
	}
	return params
}

// describedAs is the schema of a type of this package.
func describedAs[T any](api huma.API, name string) *huma.Schema {
	return api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[T](), true, name)
}
