package schema

// Image is a still picture.
//
// URL is the file's path relative to the dataset's media root, with forward slashes, or an absolute URL with a scheme
// (file, http, https, data). Width and Height are in pixels. Format is the file format in capitals, as image libraries
// name it: "PNG", "JPEG". None of them is checked against the file.
//
// Stored as the columns of [View], string, int64, int64, string.
type Image struct {
	View
	URL    string
	Width  int64
	Height int64
	Format string
}

// SequenceFrame is one picture of a sequence, usually a frame of a video.
//
// Timestamp is in seconds from the start of the sequence, FrameIndex counts frames from 0.
//
// Stored as the columns of [Image], double, int64.
type SequenceFrame struct {
	Image
	Timestamp  float64
	FrameIndex int64
}

// Video is a whole film in one file.
//
// URL is as in [Image]. FPS is in frames per second, Width and Height in pixels, Duration in seconds. Format is the
// container, such as "mp4".
//
// Stored as the columns of [View], string, int64, double, int64, int64, string, double.
type Video struct {
	View
	URL       string
	NumFrames int64
	FPS       float64
	Width     int64
	Height    int64
	Format    string
	Duration  float64
}

// Text is a text shown as a view; [TextSpan] marks parts of it.
//
// Stored as the columns of [View], string.
type Text struct {
	View
	Content string
}

// PointCloud is a set of points in space, in a file. URL is as in [Image].
//
// Stored as the columns of [View], string.
type PointCloud struct {
	View
	URL string
}

func (i *Image) warnings() []*Error { return sizeWarnings(i.Width, i.Height) }
func (v *Video) warnings() []*Error { return sizeWarnings(v.Width, v.Height) }

// sizeWarnings flags picture sizes that are accepted and cannot be meant.
func sizeWarnings(width, height int64) []*Error {
	var w []*Error
	if width < 0 {
		w = append(w, doubtful("width", width, "a width is not negative"))
	}
	if height < 0 {
		w = append(w, doubtful("height", height, "a height is not negative"))
	}
	return w
}
