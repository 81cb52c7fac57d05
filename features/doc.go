// Package features holds the values that columns of a dataset are made of, and the arithmetic on them: references,
// arrays, camera models, boxes, key points, masks, polygons, category labels and ids. It reads and writes no files and
// needs nothing but the standard library.
//
// Rows themselves are in package schema, whose fields have these types. Start here with [Item] and [View], which refer
// to rows, and with [ParseRLE], which reads a mask.
//
// # References
//
// A row refers to another by table and id: [Item], [View], [Entity], [Annotation], [Embedding] and [Source] make such
// references. The zero value refers to nothing. References compare with ==.
//
// # Boxes and key points
//
// Coordinates are flat lists of numbers, x and y in turn (x, y and z in space), with the origin at the top left of the
// view. [ConvertBox] changes the format of a box, corners or extent. [Normalize] and [Denormalize] go from pixels to
// fractions of the view's size and back; they serve boxes, key points and polygons alike, in two dimensions or three.
// [KeyPointTemplates] says which points a pose has, [KeyPointsFromCOCO] and [KeyPointsToCOCO] translate their states.
//
// # Masks
//
// An [RLE] is a mask as run lengths in column-major order, as COCO has it. It comes from the stored text ([ParseRLE]),
// from JSON, from pixels ([RLEFromBitmap], [RLEFromImage]) or from polygons ([RLEFromPolygons], [Polygon.RLE]), and goes
// back to each of them. Area, bounds, [Union], [Intersection], [Difference] and [IoU] work on the lengths, without
// pixels. [RLE.PNG] shows a mask in a notebook.
//
// Results are those of the COCO tools, to the pixel and to the bit: tests compare texts, areas, boxes, unions,
// intersections and IoU with pycocotools on thousands of random masks and polygons, and contours with OpenCV.
//
// There are two kinds of outline, both with holes kept apart from exteriors. [RLE.Polygons] runs along the edges of
// pixels and draws the same mask again. [RLE.Contours] runs through the middles of the outermost pixels, as the
// reference implementation exports masks; it is half a pixel smaller.
//
// # Ids and labels
//
// [NewShortUUID] makes the ids that rows get where none is given. [COCO91], [COCO80] and [VOC] map category names to
// ids and back.
//
// # Errors
//
// Every error matches [ErrInvalid] and is an [*Error], which tells the place, the value and what was wanted. No input
// makes a function panic: decoders are fuzzed, and check sizes before they allocate. Memory is bounded by the length of
// the input or by the limits given with each function, [MaxPixels] and [MaxBitmapPixels] among them.
//
// # Concurrency
//
// All values are plain data: any number of goroutines may read one, and no function keeps or changes its arguments,
// but for [RLE.DrawBitmap], which fills one.
package features
