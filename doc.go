// Package pixano is a Go SDK and command for multimodal datasets on LanceDB: images, video, text, question answering
// and 3D with their annotations and embeddings, in the format of the Python package of the same name.
//
// The package itself is empty. Start with [pixano/dataset], which opens, queries and searches a dataset, and with
// the command in cmd/pixano, which does the same from a shell.
package pixano
