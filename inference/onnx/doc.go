// Package onnx runs ONNX models in this process: vectors of texts and pictures, masks from clicks and boxes, detection.
//
// Start with [New], whose [Provider] finds models in directories and runs them through ONNX Runtime:
//
//	p := onnx.New(&onnx.Options{Dirs: []string{"models"}})
//	defer p.Close()
//	answer, err := inference.Embed(ctx, p, &inference.EmbeddingRequest{Model: "all-minilm-l6-v2", Texts: texts})
//
// # Models
//
// [Scan] says which files are models, and [Family] which kinds there are. Tokenizers, picture sizes and normalisation
// follow from the family; models.json says what else is to be known.
//
// # Runtime
//
// ONNX Runtime (1.24 or newer) is a shared library that is found when the first model is loaded, see [Load]. Without it,
// and in a program built without cgo, models can be listed and everything else is a [*LoadError].
//
// # Cost
//
// A model is loaded when it is first used, and stays. What an encoder of the SAM family computes of a picture, which takes
// seconds for the large ones, is kept for the next click, see [Options].
package onnx
