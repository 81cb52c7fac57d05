package exchange

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	_ "image/gif" // the formats whose size is read here
	_ "image/jpeg"
	_ "image/png"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	_ "golang.org/x/image/bmp"
	_ "golang.org/x/image/tiff"
	_ "golang.org/x/image/webp"

	"pixano/features"
)

// imageSuffixes are the suffixes, in lower case, of files that are taken for images.
var imageSuffixes = set(`.blp .bmp .dib .bufr .cur .pcx .dcx .dds .ps .eps .fit .fits .fli .flc .ftc .ftu .gbr .gif .grib .h5
	.hdf .png .apng .jp2 .j2k .jpc .jpf .jpx .j2c .icns .ico .im .iim .tif .tiff .jfif .jpe .jpg .jpeg .mpg .mpeg .msp .pcd .pxr
	.pbm .pgm .ppm .pnm .psd .bw .rgb .rgba .sgi .ras .tga .icb .vda .vst .webp .wmf .emf .xbm .xpm`)

// videoSuffixes are those of files that are taken for videos.
var videoSuffixes = set(".mp4 .avi .mov .mkv .webm .flv .vob")

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// IsImage reports whether the suffix of a file name, in letters of any case, is that of an image.
func IsImage(name string) bool { return imageSuffixes[strings.ToLower(path.Ext(name))] }

// IsVideo reports whether the suffix of a file name, in letters of any case, is that of a video.
func IsVideo(name string) bool { return videoSuffixes[strings.ToLower(path.Ext(name))] }

// ImageInfo is what an image file says of itself.
type ImageInfo struct {
	Width, Height int64  // in pixels
	Format        string // in capitals: "PNG", "JPEG"
}

// VideoInfo is what a video file says of itself.
type VideoInfo struct {
	Width, Height, NumFrames int64
	FPS, Duration            float64 // frames per second; seconds
	Format                   string  // the suffix of the file, "mp4"
}

// Image reads the size and format of an image file from its head; pixels are not decoded. A file that ends too early is
// warned of. The error matches ErrMedia: no such file, no image, one of no pixels or of more than 2^32 - 1.
func (in *Input) Image(name string) (ImageInfo, error) {
	f, err := in.OpenMedia(name)
	if err != nil {
		return ImageInfo{}, in.missing(name, err)
	}
	defer f.Close()
	info, err := ReadImageInfo(f)
	if err != nil {
		if probed, ok := in.probed.image(f); ok {
			return probed, nil
		}
		return ImageInfo{}, &mediaError{name, err}
	}
	if cutOff(f, info.Format) {
		in.Warn(name, 0, "the %s file seems to be cut off: its end is missing", info.Format)
	}
	return info, nil
}

// SizeOf reads the size of an image file that is of a format known here, or else reports false.
func (in *Input) SizeOf(name string) (width, height int64, ok bool) {
	f, err := in.OpenMedia(name)
	if err != nil {
		return 0, 0, false
	}
	defer f.Close()
	info, err := ReadImageInfo(f)
	return info.Width, info.Height, err == nil
}

func (in *Input) missing(name string, err error) error {
	if _, why := in.Stat(name); why != nil {
		return why
	}
	return err
}

// ReadImageInfo reads the size and format of an image from its first bytes.
func ReadImageInfo(r io.Reader) (ImageInfo, error) {
	head := bufio.NewReaderSize(r, 4096)
	info, err := imageInfo(head)
	if err != nil {
		return info, err
	}
	if info.Width <= 0 || info.Height <= 0 {
		return info, fmt.Errorf("an image of %d × %d pixels", info.Width, info.Height)
	}
	if info.Width > features.MaxPixels || info.Height > features.MaxPixels/info.Width {
		return info, fmt.Errorf("an image of %d × %d pixels: want at most %d", info.Width, info.Height, int64(features.MaxPixels))
	}
	return info, nil
}

func imageInfo(r *bufio.Reader) (ImageInfo, error) {
	start, _ := r.Peek(26)
	switch {
	case len(start) == 0:
		return ImageInfo{}, errors.New("the file is empty")
	case len(start) >= 22 && bytes.HasPrefix(start, []byte("8BPS\x00\x01")):
		return ImageInfo{int64(binary.BigEndian.Uint32(start[18:])), int64(binary.BigEndian.Uint32(start[14:])), "PSD"}, nil
	case len(start) >= 8 && (bytes.HasPrefix(start, []byte("\x00\x00\x01\x00")) || bytes.HasPrefix(start, []byte("\x00\x00\x02\x00"))):
		size := func(b byte) int64 { return (int64(b)+255)%256 + 1 } // 0 is 256
		return ImageInfo{size(start[6]), size(start[7]), map[byte]string{1: "ICO", 2: "CUR"}[start[2]]}, nil
	case len(start) > 2 && start[0] == 'P' && start[1] >= '1' && start[1] <= '6':
		return pnmInfo(r)
	}
	c, format, err := image.DecodeConfig(r)
	if err != nil {
		if errors.Is(err, image.ErrFormat) {
			return ImageInfo{}, errors.New("not an image of a known format")
		}
		return ImageInfo{}, fmt.Errorf("the head of the image cannot be read: %w", err)
	}
	return ImageInfo{int64(c.Width), int64(c.Height), strings.ToUpper(format)}, nil
}

// pnmInfo reads the head of a file of the PNM family: a number, comments, width and height.
func pnmInfo(r *bufio.Reader) (ImageInfo, error) {
	r.Discard(2)
	var sizes [2]int64
	for i := range sizes {
		digits := ""
		for comment := false; ; {
			b, err := r.ReadByte()
			if err != nil {
				return ImageInfo{}, errors.New("the head of the image cannot be read: want width and height")
			}
			switch {
			case b == '\n' || b == '\r':
				comment = false
			case b == '#':
				comment = true
			}
			if b >= '0' && b <= '9' && !comment && len(digits) < 18 {
				digits += string(b)
			} else if digits != "" {
				break
			} else if !comment && !strings.ContainsRune(" \t\r\n", rune(b)) {
				return ImageInfo{}, errors.New("the head of the image cannot be read: want width and height")
			}
		}
		sizes[i], _ = strconv.ParseInt(digits, 10, 64)
	}
	return ImageInfo{sizes[0], sizes[1], "PPM"}, nil
}

// cutOff reports whether the end is missing that files of a format have.
func cutOff(f *os.File, format string) bool {
	st, err := f.Stat()
	if err != nil {
		return false
	}
	tail := make([]byte, min(st.Size(), 64))
	if _, err := f.ReadAt(tail, st.Size()-int64(len(tail))); err != nil {
		return false
	}
	switch format {
	case "PNG":
		return !bytes.Contains(tail, []byte("IEND"))
	case "JPEG":
		return !bytes.Contains(tail, []byte("\xff\xd9"))
	case "GIF":
		return !bytes.Contains(tail, []byte(";"))
	}
	return false
}

// prober asks ffprobe, if there is one, about videos and images of formats that are not read here.
type prober struct {
	once sync.Once
	path string
}

func newProber() *prober { return &prober{} }

func (p *prober) command() (string, error) {
	p.once.Do(func() { p.path, _ = exec.LookPath("ffprobe") })
	if p.path == "" {
		return "", errors.New("its size cannot be read without ffprobe: want ffmpeg installed")
	}
	return p.path, nil
}

type probedStream struct {
	Width     int64  `json:"width"`
	Height    int64  `json:"height"`
	Codec     string `json:"codec_name"`
	Rate      string `json:"r_frame_rate"`
	Frames    string `json:"nb_frames"`
	Counted   string `json:"nb_read_packets"`
	Duration  string `json:"duration"`
	container string
}

// stream describes the first video stream of a file, which ffprobe reads from its standard input or, for containers whose
// index stands at the end, through /dev/fd.
func (p *prober) stream(f *os.File) (probedStream, error) {
	name, err := p.command()
	if err != nil {
		return probedStream{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	file, err := filepath.Abs(f.Name())
	if err != nil {
		return probedStream{}, err
	}
	cmd := exec.CommandContext(ctx, name, "-v", "error", "-select_streams", "v:0", "-count_packets", "-show_entries",
		"stream=width,height,codec_name,r_frame_rate,nb_frames,nb_read_packets,duration:format=duration", "-of", "json",
		"-protocol_whitelist", "file", "file:"+file)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var reply struct {
		Streams []probedStream `json:"streams"`
		Format  struct {
			Duration string `json:"duration"`
		} `json:"format"`
	}
	if err == nil {
		err = json.Unmarshal(out, &reply)
	}
	if err != nil || len(reply.Streams) == 0 || reply.Streams[0].Width == 0 {
		if text := strings.TrimSpace(stderr.String()); text != "" {
			_, text, _ = strings.Cut(text, file+": ")
			return probedStream{}, fmt.Errorf("ffprobe cannot read it: %s", text)
		}
		return probedStream{}, errors.New("ffprobe finds no picture in it")
	}
	s := reply.Streams[0]
	s.container = reply.Format.Duration
	return s, nil
}

func (p *prober) image(f *os.File) (ImageInfo, bool) {
	s, err := p.stream(f)
	if err != nil || s.Width > features.MaxPixels || s.Height > features.MaxPixels/s.Width {
		return ImageInfo{}, false
	}
	return ImageInfo{s.Width, s.Height, strings.ToUpper(s.Codec)}, true
}

// Video reads what a video file says of itself, with ffprobe. The error matches ErrMedia.
func (in *Input) Video(name string) (VideoInfo, error) {
	f, err := in.OpenMedia(name)
	if err != nil {
		return VideoInfo{}, in.missing(name, err)
	}
	defer f.Close()
	s, err := in.probed.stream(f)
	if err != nil {
		return VideoInfo{}, &mediaError{name, err}
	}
	v := VideoInfo{Width: s.Width, Height: s.Height, Format: strings.TrimPrefix(path.Ext(name), ".")}
	v.NumFrames, _ = strconv.ParseInt(s.Frames, 10, 64)
	if v.NumFrames == 0 {
		v.NumFrames, _ = strconv.ParseInt(s.Counted, 10, 64)
	}
	num, den, _ := strings.Cut(s.Rate, "/")
	n, _ := strconv.ParseFloat(num, 64)
	if d, _ := strconv.ParseFloat(den, 64); d > 0 {
		v.FPS = n / d
	}
	if v.Duration, err = strconv.ParseFloat(s.Duration, 64); err != nil {
		v.Duration, _ = strconv.ParseFloat(s.container, 64)
	}
	return v, nil
}
