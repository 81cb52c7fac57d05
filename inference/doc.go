// Package inference runs models on pictures and texts: masks from clicks and boxes, masks through a video, detection by
// class names, answers about pictures, vectors for search.
//
// Start with [Provider], which is where models run: in this process (packages grabcut and onnx) or on a server (packages
// pixanoserver and openai). Call one through the functions of this package, which check what goes in and what comes out:
//
//	p, err := pixanoserver.Connect(ctx, "http://gpu:7463", nil)
//	if err != nil {
//		return err
//	}
//	defer p.Close()
//	picture, err := inference.NewImage(file)
//	if err != nil {
//		return err
//	}
//	answer, err := inference.ImageMask(ctx, p, &inference.ImageMaskRequest{
//		Model:   "sam2",
//		Image:   picture,
//		Prompts: []inference.Prompt{{Points: []inference.Point{{X: 310, Y: 200}}}},
//	})
//
// A [Registry] holds the providers that a program is connected to. Package inference/annotate turns answers into rows of a
// dataset; this package and the providers know nothing of datasets.
//
// # Errors
//
// Errors are an *[Error] that names provider, model and task, and match the kinds of this package with errors.Is. An
// answer that makes no sense, such as a mask of another size than its picture, is ErrInvalidResponse and never reaches the
// caller.
//
// # Time
//
// A call whose context has no deadline gets one: a minute, two for videos, see [Timeout]. When that passes, the error
// matches ErrTimeout; when the caller's own context ends, it matches that context's error.
package inference
