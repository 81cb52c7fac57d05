package server

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzip"

	"pixano/dataset"
	"pixano/internal/imaging"
)

// samplesDoc says how the values of an image of 16 bits are sent; see [imaging.Samples.Append].
const samplesDoc = "16: the values of a PNG or TIFF image of 16 bits a channel. The letters px16, then five little-endian numbers of 32 bits " +
	"(channels: 1 for grey, 3 for red, green and blue; width and height of what follows; width and height of the image), then the values as " +
	"little-endian numbers of 16 bits, row by row from the top, the channels of a pixel next to each other. Images of more than 33,554,432 values " +
	"are made smaller. 204 for an image of fewer bits"

// serveSamples answers with the values of an image of 16 bits, or with nothing for one of fewer.
func (s *Server) serveSamples(w http.ResponseWriter, r *http.Request, place string, file *dataset.Media) error {
	h := w.Header()
	tag := etag(place, file, "depth 16")
	h.Set("Vary", "Accept-Encoding")
	if unchanged(w, r, tag) {
		return nil
	}
	kept, err := s.images.get(r.Context(), tag, func() (picture, error) {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return picture{}, err
		}
		samples, err := imaging.DecodeSamples(file, imaging.MaxSamples)
		if err != nil {
			return picture{}, notFound("no image that can be decoded: %v", err)
		}
		if samples == nil {
			return picture{}, nil
		}
		var b bytes.Buffer
		zip, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
		if err != nil {
			return picture{}, err
		}
		if _, err := zip.Write(samples.Append(nil)); err != nil {
			return picture{}, err
		}
		if err := zip.Close(); err != nil {
			return picture{}, err
		}
		return picture{"application/octet-stream", b.Bytes()}, nil
	})
	if err != nil {
		h.Del("Etag")
		h.Del("Cache-Control")
		return err
	}
	if kept.content == nil {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	h.Set("Content-Type", kept.contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		h.Set("Content-Length", fmt.Sprint(len(kept.content)))
		if r.Method != http.MethodHead {
			_, _ = w.Write(kept.content)
		}
		return nil
	}
	unzip, err := gzip.NewReader(bytes.NewReader(kept.content))
	if err != nil {
		return err
	}
	if r.Method != http.MethodHead {
		_, _ = io.Copy(w, unzip)
	}
	return nil
}
