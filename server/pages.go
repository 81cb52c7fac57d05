package server

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"

	"pixano/dataset"
)

// routePages adds the web interfaces: this project's under /app/, to which the other pages lead, or at the root the one
// of the reference that a directory holds.
func (s *Server) routePages() error {
	if s.opts.UI != nil {
		s.both("/app/{path...}", s.serveApp)
	}
	if s.opts.ReferenceUI == "" {
		s.both("/", s.redirect(func(*http.Request) string { return "" }))
		s.both("/app", s.redirect(func(*http.Request) string { return "" }))
		s.both("/{dataset}/dataset", s.redirect(func(r *http.Request) string { return "d/" + segment(r, "dataset") }))
		s.both("/{dataset}/dashboard", s.redirect(func(r *http.Request) string { return "d/" + segment(r, "dataset") + "/stats" }))
		s.both("/{dataset}/dataset/{item}", s.redirect(func(r *http.Request) string { return "d/" + segment(r, "dataset") + "/i/" + segment(r, "item") }))
		return nil
	}
	index, err := readFile(s.opts.ReferenceUI, "index.html")
	if err != nil {
		return fmt.Errorf("the web interface in %s: %w", s.opts.ReferenceUI, err)
	}
	policy := inlinePolicy(index)
	page := func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Cache-Control", "no-cache")
		writeBody(w, http.StatusOK, "text/html; charset=utf-8", index)
		return nil
	}
	for _, p := range []string{"/", "/{dataset}/dataset", "/{dataset}/dashboard", "/{dataset}/dataset/{item}"} {
		s.both(p, page)
	}
	s.both("/_app/{path...}", func(w http.ResponseWriter, r *http.Request) error {
		file, err := dataset.OpenMediaIn(path.Join(s.opts.ReferenceUI, "_app"), nil, r.PathValue("path"))
		if err != nil {
			return hidden(err)
		}
		defer file.Close()
		serveAsset(w, r, file)
		return nil
	})
	return nil
}

// prefix is what clients put before paths, without a slash at its end.
func (s *Server) prefix() string { return strings.TrimSuffix(s.opts.Prefix, "/") }

func segment(r *http.Request, name string) string { return url.PathEscape(r.PathValue(name)) }

func (s *Server) redirect(to func(r *http.Request) string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if s.opts.UI == nil {
			return notFound("this server has no web interface; its API is described at /docs")
		}
		http.Redirect(w, r, s.prefix()+"/app/"+to(r), http.StatusFound)
		return nil
	}
}

func readFile(dir, name string) ([]byte, error) {
	file, err := dataset.OpenMediaIn(dir, nil, name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(file)
	return b.Bytes(), err
}

func serveAsset(w http.ResponseWriter, r *http.Request, file *dataset.Media) {
	w.Header().Set("Content-Type", cmp.Or(mime.TypeByExtension(path.Ext(file.Name)), "application/octet-stream"))
	w.Header().Set("Etag", etag(r.URL.Path, file, ""))
	w.Header().Set("Cache-Control", assetCache(r.PathValue("path")))
	http.ServeContent(w, r, "", file.ModTime, file)
}

var hashed = regexp.MustCompile(`(^|/)(immutable/|assets/.*[-.][A-Za-z0-9_-]{8,}\.)`)

// assetCache says how long an asset may be used: for good if its name has a hash of its content.
func assetCache(name string) string {
	if hashed.MatchString(name) {
		return "public, max-age=31536000, immutable"
	}
	return "no-cache"
}

// appPolicy lets the pages of this project's interface run and load what comes from this server only.
const appPolicy = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data: blob:; media-src 'self' blob:; worker-src 'self' blob:; connect-src 'self'; " +
	"frame-ancestors 'self'; base-uri 'self'; form-action 'none'; object-src 'none'"

var inlineScript = regexp.MustCompile(`(?s)<script(?:\s[^>]*)?>(.*?)</script>`)

// inlinePolicy is the policy of a page of others: its inline scripts by their hashes, and fonts from elsewhere, which the
// reference's style sheets import.
func inlinePolicy(page []byte) string {
	var b strings.Builder
	for _, m := range inlineScript.FindAllSubmatch(page, -1) {
		if len(bytes.TrimSpace(m[1])) > 0 {
			sum := sha256.Sum256(m[1])
			b.WriteString(" 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'")
		}
	}
	return "default-src 'self'; script-src 'self' 'wasm-unsafe-eval' 'unsafe-eval' blob:" + b.String() + "; style-src 'self' 'unsafe-inline' https:; " +
		"font-src 'self' data: https:; img-src 'self' data: blob:; media-src 'self' blob:; worker-src 'self' blob:; connect-src 'self' data: blob:; " +
		"frame-ancestors 'self'; object-src 'none'"
}

var baseElement = regexp.MustCompile(`<base\s[^>]*>`)

// serveApp serves this project's web interface. A path without a file is one of its pages.
func (s *Server) serveApp(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("path")
	if name != "" && fs.ValidPath(name) && name != "index.html" {
		if content, err := fs.ReadFile(s.opts.UI, name); err == nil {
			w.Header().Set("Content-Type", cmp.Or(mime.TypeByExtension(path.Ext(name)), "application/octet-stream"))
			w.Header().Set("Cache-Control", assetCache(name))
			w.Header().Set("X-Content-Type-Options", "nosniff")
			sum := sha256.Sum256(content)
			w.Header().Set("Etag", fmt.Sprintf(`"%x"`, sum[:8]))
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
			return nil
		}
		if path.Ext(name) != "" && strings.HasPrefix(name, "assets/") {
			return notFound("no such file")
		}
	}
	index, err := fs.ReadFile(s.opts.UI, "index.html")
	if err != nil {
		return notFound("this program was built without the web interface")
	}
	// The base makes links work behind a proxy that puts a prefix before all paths.
	base := `<base href="` + html.EscapeString(s.prefix()+"/app/") + `">`
	if baseElement.Match(index) {
		index = baseElement.ReplaceAll(index, []byte(base))
	} else {
		index = bytes.Replace(index, []byte("<head>"), []byte("<head>"+base), 1)
	}
	w.Header().Set("Content-Security-Policy", appPolicy)
	w.Header().Set("Referrer-Policy", "same-origin")
	w.Header().Set("Cache-Control", "no-cache")
	writeBody(w, http.StatusOK, "text/html; charset=utf-8", index)
	return nil
}
