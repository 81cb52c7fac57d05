package server

import (
	"cmp"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// compressible reports whether bodies of a type get smaller by compression. Streams of events are sent as they come.
func compressible(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	switch kind {
	case "application/json", "application/problem+json", "application/javascript", "application/x-ndjson", "image/svg+xml", "application/wasm":
		return true
	case "text/event-stream":
		return false
	}
	return strings.HasPrefix(kind, "text/")
}

// guarded refuses what pages of other sites may have caused, and bounds bodies.
func (s *Server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		if !s.knownHost(r.Host) {
			writeJSON(w, http.StatusMisdirectedRequest, map[string]string{"detail": "this server is not known by the name " + r.Host + "; pixano server run --allow-host NAME makes one known"})
			return
		}
		origin := r.Header.Get("Origin")
		trusted := slices.Contains(s.opts.CORS, "*") || slices.Contains(s.opts.CORS, origin)
		if origin != "" && trusted {
			w.Header().Set("Access-Control-Allow-Origin", s.allowed(origin))
			if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
				preflight(w, r)
				return
			}
		}
		if changes(r.Method) && !trusted && foreign(r, origin) {
			writeJSON(w, http.StatusForbidden, map[string]string{"detail": "changes from pages of " + cmp.Or(origin, "other sites") + " are refused; pixano server run --cors ORIGIN lets those of one make them"})
			return
		}
		if r.ContentLength > s.opts.MaxBody {
			writeJSON(w, http.StatusRequestEntityTooLarge, map[string]string{"detail": "the body is too large"})
			return
		}
		if r.Body != http.NoBody {
			r.Body = http.MaxBytesReader(w, patientBody{r.Body, http.NewResponseController(w)}, s.opts.MaxBody)
		}
		next.ServeHTTP(w, r)
	})
}

// bodyTimeout is how long a piece of a body may take to come.
var bodyTimeout = time.Minute

// patientBody fails where a client sends nothing for long, so that it holds nothing. It must not be read after its end, nor be
// that of a request without one: net/http then waits for the connection to close, and a time that is over would end the request.
type patientBody struct {
	io.ReadCloser
	conn *http.ResponseController
}

func (b patientBody) Read(p []byte) (int, error) {
	_ = b.conn.SetReadDeadline(time.Now().Add(bodyTimeout)) // not with every writer
	return b.ReadCloser.Read(p)
}

func (s *Server) allowed(origin string) string {
	if slices.Contains(s.opts.CORS, "*") {
		return "*"
	}
	return origin
}

func preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")
	h.Set("Access-Control-Max-Age", "600")
	if headers := r.Header.Get("Access-Control-Request-Headers"); headers != "" {
		h.Set("Access-Control-Allow-Headers", headers)
	}
	writeBody(w, http.StatusOK, "text/plain; charset=utf-8", []byte("OK"))
}

func changes(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

// foreign reports whether a request comes from a page of another site.
func foreign(r *http.Request, origin string) bool {
	if origin == "" {
		return r.Header.Get("Sec-Fetch-Site") == "cross-site"
	}
	u, err := url.Parse(origin)
	return err != nil || u.Host != r.Host
}

// knownHost refuses names that an attacker may have made lead to this address, whose pages would then count as this
// server's own.
func (s *Server) knownHost(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	name = strings.ToLower(strings.Trim(name, "[]"))
	if name == "localhost" || strings.HasSuffix(name, ".localhost") || slices.Contains(s.opts.Hosts, "*") {
		return true
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return slices.ContainsFunc(s.opts.Hosts, func(h string) bool { return strings.EqualFold(h, name) })
}

// logged notes each request, and keeps a failing one from ending the process.
func (s *Server) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		rec := &recorder{ResponseWriter: w}
		s.measures.inFlight.Add(1)
		defer func() {
			failure := recover()
			if failure != nil && failure != http.ErrAbortHandler {
				s.log.Error("request panicked", "method", r.Method, "path", r.URL.Path, "panic", failure, "stack", string(debug.Stack()))
				if rec.status == 0 {
					writeJSON(rec, http.StatusInternalServerError, map[string]string{"detail": "the server failed to answer; its log says why"})
					failure = nil
				} else {
					failure = http.ErrAbortHandler
				}
			}
			s.measures.inFlight.Add(-1)
			s.measures.note(r, rec.status, rec.bytes, time.Since(begin))
			s.log.Debug("request", "method", r.Method, "path", r.URL.Path, "status", rec.status, "bytes", rec.bytes,
				"ms", float64(time.Since(begin).Microseconds())/1000, "from", r.RemoteAddr)
			if failure != nil {
				panic(failure)
			}
		}()
		next.ServeHTTP(rec, r)
	})
}

// caught makes a panic of a goroutine an error, which would end the process otherwise.
func caught(log *slog.Logger, err *error) {
	if failure := recover(); failure != nil {
		log.Error("panicked", "panic", failure, "stack", string(debug.Stack()))
		*err = errors.New("the server failed; its log says why")
	}
}

// recorder notes what was answered. A write that takes longer than a minute fails, so that slow readers hold nothing.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

const writeTimeout = time.Minute

func (r *recorder) WriteHeader(code int) {
	if r.status == 0 {
		r.status = code
	}
	r.ResponseWriter.WriteHeader(code)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	_ = http.NewResponseController(r.ResponseWriter).SetWriteDeadline(time.Now().Add(writeTimeout)) // not with every writer
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Unwrap lets a http.ResponseController find the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Flush sends what was written.
func (r *recorder) Flush() { _ = http.NewResponseController(r.ResponseWriter).Flush() }
