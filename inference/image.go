package inference

import (
	"bytes"
	"encoding/base64"
	"image"
	_ "image/gif" // decoders of the formats that datasets have
	_ "image/jpeg"
	"image/png"
	"net/url"
	"strings"
	"sync"

	_ "golang.org/x/image/bmp"
	_ "golang.org/x/image/tiff"
	_ "golang.org/x/image/webp"
)

// The largest picture that is taken. A file of a few kilobytes can claim to be larger than any memory.
const (
	MaxImageBytes  = 256 << 20   // of the encoded file
	MaxImagePixels = 150_000_000 // 600 MB when decoded
)

// Image is a picture that a model is to look at: an encoded file, decoded pixels, or the URL of a file that the provider
// is to fetch. It does not change, and is safe for concurrent use.
type Image struct {
	id     string
	url    string // of a remote picture; then the rest is empty
	data   []byte // the encoded file; nil for decoded pixels that were not encoded yet
	format string // of data: "jpeg", "png"
	size   image.Point

	mu     sync.Mutex
	pixels image.Image
	err    error // of decoding
}

// NewImage makes an image of an encoded file: JPEG, PNG, GIF, WebP, TIFF or BMP. It keeps data. What is none of them, or
// larger than [MaxImagePixels] or [MaxImageBytes], is ErrInvalidRequest. The pixels are decoded when they are first wanted.
func NewImage(data []byte) (*Image, error) {
	if len(data) > MaxImageBytes {
		return nil, Errorf(ErrInvalidRequest, "picture of %d bytes: want at most %d", len(data), MaxImageBytes)
	}
	config, format, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, Errorf(ErrInvalidRequest, "no picture in a format that can be read: %v", err)
	}
	img := &Image{data: data, format: format, size: image.Pt(config.Width, config.Height)}
	if err := checkSize(img.size); err != nil {
		return nil, err
	}
	return img, nil
}

func checkSize(size image.Point) error {
	if size.X <= 0 || size.Y <= 0 {
		return Errorf(ErrInvalidRequest, "picture of %d × %d pixels", size.X, size.Y)
	}
	if size.X > MaxImagePixels/size.Y {
		return Errorf(ErrInvalidRequest, "picture of %d × %d pixels: want at most %d", size.X, size.Y, MaxImagePixels)
	}
	return nil
}

// ImageOf makes an image of decoded pixels. It keeps img, whose bounds may begin anywhere; coordinates in prompts and
// answers count from its top left pixel. An empty picture is ErrInvalidRequest.
func ImageOf(img image.Image) (*Image, error) {
	size := img.Bounds().Size()
	if err := checkSize(size); err != nil {
		return nil, err
	}
	return &Image{pixels: img, size: size}, nil
}

// RemoteImage makes an image of a URL that the provider is to fetch: http, https or s3. A provider in this process
// fetches nothing and refuses it.
func RemoteImage(ref string) (*Image, error) {
	u, err := url.Parse(ref)
	if err != nil || u.Host == "" {
		return nil, Errorf(ErrInvalidRequest, "%q is no URL of a picture", ref)
	}
	switch strings.ToLower(u.Scheme) {
	case "http", "https", "s3":
		return &Image{url: ref}, nil
	}
	return nil, Errorf(ErrInvalidRequest, "%q: want http, https or s3", ref)
}

// WithID returns the same picture under a name by which providers may keep what they computed of it. Give another name
// when the pixels are other ones.
func (m *Image) WithID(id string) *Image {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Image{id: id, url: m.url, data: m.data, format: m.format, size: m.size, pixels: m.pixels, err: m.err}
}

// ID returns the name given by WithID, or "".
func (m *Image) ID() string { return m.id }

// Remote reports whether the picture is only known by its URL.
func (m *Image) Remote() bool { return m.url != "" }

// Size returns width and height in pixels, or zeros for a remote picture.
func (m *Image) Size() image.Point { return m.size }

// Decode returns the pixels. A file that is damaged, and a remote picture, is ErrInvalidRequest. Do not change the result.
func (m *Image) Decode() (image.Image, error) {
	if m.Remote() {
		return nil, Errorf(ErrInvalidRequest, "%q is not fetched: want a picture that is here", m.url)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pixels == nil && m.err == nil {
		img, _, err := image.Decode(bytes.NewReader(m.data))
		if err != nil {
			m.err = Errorf(ErrInvalidRequest, "damaged picture: %v", err)
		} else {
			m.pixels = img
		}
	}
	return m.pixels, m.err
}

// Encoded returns the picture as a file and its format, "jpeg" or "png": the one it was made of, or a new PNG for decoded
// pixels. Do not change the result.
func (m *Image) Encoded() (data []byte, format string, err error) {
	if m.Remote() {
		return nil, "", Errorf(ErrInvalidRequest, "%q is not fetched: want a picture that is here", m.url)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.data == nil {
		var buf bytes.Buffer
		if err := png.Encode(&buf, m.pixels); err != nil {
			return nil, "", Errorf(ErrInvalidRequest, "picture: %v", err)
		}
		m.data, m.format = buf.Bytes(), "png"
	}
	return m.data, m.format, nil
}

// Source returns the picture as servers take it: its URL if it is remote, else a data URL of the file.
func (m *Image) Source() (string, error) {
	if m.Remote() {
		return m.url, nil
	}
	data, format, err := m.Encoded()
	if err != nil {
		return "", err
	}
	return "data:image/" + format + ";base64," + base64.StdEncoding.EncodeToString(data), nil
}
