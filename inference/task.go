package inference

import (
	"image"
	"time"

	"pixano/features"
	"pixano/schema"
)

// Task is something that a model can do. Its values are those of the reference implementation.
type Task string

const (
	TaskImageMask  Task = "image_mask_generation"             // masks from points and boxes
	TaskVideoMask  Task = "video_mask_generation"             // masks of objects through a video
	TaskDetection  Task = "image_zero_shot_detection"         // boxes of the classes asked for
	TaskGeneration Task = "text_image_conditional_generation" // text about pictures and text
	TaskEmbedding  Task = "embedding"                         // vectors of texts or pictures
)

// Tasks returns all tasks.
func Tasks() []Task {
	return []Task{TaskImageMask, TaskVideoMask, TaskDetection, TaskGeneration, TaskEmbedding}
}

// Valid reports whether t is one of the tasks.
func (t Task) Valid() bool {
	switch t {
	case TaskImageMask, TaskVideoMask, TaskDetection, TaskGeneration, TaskEmbedding:
		return true
	}
	return false
}

// NoScore is the score of what a model does not rate.
const NoScore = -1

// Meta is what a provider says about how it came to an answer.
type Meta struct {
	Timestamp      time.Time      // when the answer was made, a wall clock without zone
	ProcessingTime time.Duration  // how long the model took
	Metadata       map[string]any // what else the provider tells, such as the model's name and settings
}

// InferenceMetadata returns the value that annotations keep of an answer, as the reference implementation writes it:
// timestamp, processing_time in seconds, and what else the provider tells.
func (m Meta) InferenceMetadata() map[string]any {
	out := make(map[string]any, len(m.Metadata)+2)
	for k, v := range m.Metadata {
		out[k] = v
	}
	out["timestamp"] = schema.FormatTime(m.Timestamp)
	out["processing_time"] = m.ProcessingTime.Seconds()
	return out
}

// Tensor is an array of numbers in row-major order.
type Tensor struct {
	Values []float32 `json:"values"`
	Shape  []int     `json:"shape"`
}

// Point is a click: a pixel of the original picture, on the object or, if Background, beside it.
type Point struct {
	X, Y       int
	Background bool
}

// Prompt says which object is meant: by points on it and beside it, by a box around it, or both.
type Prompt struct {
	Points []Point
	Box    image.Rectangle // in pixels of the original picture; empty: none
}

// Features are what a model computed of a picture, to be used again. Both fields are the model's own business.
type Features struct {
	Embedding      Tensor   // SAM and SAM2: [256, 64, 64]
	HighResolution []Tensor // SAM2: [32, 256, 256] and [64, 128, 128]; nil for models without
}

// ImageMaskRequest asks for the masks of objects in a picture.
type ImageMaskRequest struct {
	Model   string
	Image   *Image
	Prompts []Prompt // one object each

	// MasksPerPrompt is 1, or 3 for the three readings of an ambiguous prompt that models of the SAM family have. 0: 1.
	MasksPerPrompt int

	// Features, if not nil, are those of the picture from an earlier answer of the model.
	Features *Features
	// ReturnFeatures asks for the features of the picture.
	ReturnFeatures bool
}

// Mask is a mask with the model's own estimate of its quality, usually in [0, 1]; [NoScore] if it gives none.
type Mask struct {
	features.RLE
	Score float64
}

// ImageMaskResponse has one list of masks for each prompt, in the order in which the model gives them.
type ImageMaskResponse struct {
	Meta
	Masks    [][]Mask
	Features *Features // nil unless they were asked for and the model has them
}

// Best returns the mask of the highest score for each prompt, the first of equal ones.
func (r *ImageMaskResponse) Best() []Mask {
	best := make([]Mask, len(r.Masks))
	for i, masks := range r.Masks {
		for j, m := range masks {
			if j == 0 || m.Score > best[i].Score {
				best[i] = m
			}
		}
	}
	return best
}

// VideoPrompt says which object is meant, in one frame of a video.
type VideoPrompt struct {
	Object int // a number of the caller's choice; several prompts may be about one object
	Frame  int // index into the request's frames
	Prompt
}

// VideoMaskRequest asks for the masks of objects in every frame of a video.
type VideoMaskRequest struct {
	Model   string
	Frames  []*Image
	Prompts []VideoPrompt

	// Progress, if not nil, is told how many frames are done, by providers that know. It is called by one goroutine at a
	// time.
	Progress func(done, total int)
}

// FrameMask is the mask of an object in a frame.
type FrameMask struct {
	Object int
	Frame  int
	Mask
}

// VideoMaskResponse has the masks in order of frames. An object that is not seen in a frame has an empty mask there, or
// none.
type VideoMaskResponse struct {
	Meta
	Masks []FrameMask
}

// The thresholds of detection that the reference implementation uses.
const (
	DefaultBoxThreshold  = 0.3
	DefaultTextThreshold = 0.2
)

// DetectionRequest asks for the boxes of objects in a picture.
type DetectionRequest struct {
	Model string
	Image *Image

	// Classes are names of what to look for: any, for models that know what words mean; models of a fixed list ignore
	// names that are not in it. Empty: all that a model of a fixed list has.
	Classes []string

	BoxThreshold  float64 // least score of a box, in [0, 1]. 0: DefaultBoxThreshold; -1: no limit
	TextThreshold float64 // least score of a word, for models that read text. 0: DefaultTextThreshold; -1: no limit
}

// Detection is an object found.
type Detection struct {
	Box   image.Rectangle // in pixels of the picture, inside it, not empty
	Score float64         // in [0, 1]
	Class string
	Mask  *features.RLE // nil for models that find boxes only
}

// DetectionResponse has the objects in the order in which the model gives them.
type DetectionResponse struct {
	Meta
	Detections []Detection
}

// The roles of chat messages.
const (
	RoleSystem    = "system"
	RoleUser      = "user"
	RoleAssistant = "assistant"
)

// Part is a piece of a chat message: a picture, or a text if Image is nil.
type Part struct {
	Text  string
	Image *Image
}

// ChatMessage is a turn of a conversation with a model. Role is one of the roles above, or what the model wants in their
// place.
type ChatMessage struct {
	Role  string
	Parts []Part
}

// The settings of generation that the reference implementation uses.
const (
	DefaultMaxNewTokens = 100
	DefaultTemperature  = 0.9
)

// GenerationRequest asks for the next turn of a conversation.
type GenerationRequest struct {
	Model        string
	Messages     []ChatMessage
	MaxNewTokens int     // length of the answer. 0: DefaultMaxNewTokens
	Temperature  float64 // how freely words are chosen, at least 0; 0 takes the likeliest

	// OnText, if not nil, is called with each piece of the answer as it comes, by providers that stream; by others once,
	// with all of it. An error ends the call and is its error.
	OnText func(text string) error
}

// Usage counts tokens, as the provider does.
type Usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
}

// GenerationResponse is the next turn of a conversation.
type GenerationResponse struct {
	Meta
	Text   string
	Usage  Usage
	Config map[string]any // the settings that the model was run with, as far as it tells
}

// EmbeddingRequest asks for vectors: of Texts or of Images, not of both.
type EmbeddingRequest struct {
	Model     string
	Texts     []string
	Images    []*Image
	Normalize bool // vectors of length 1
}

// EmbeddingResponse has a vector for each text or picture, all of one length.
type EmbeddingResponse struct {
	Meta
	Vectors [][]float32
	Shape   []int // of each vector, where it stands for an array of more than one dimension; nil for others
}
