package server

import (
	"bytes"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"

	manual "pixano/docs"
)

// reachable lets keys scroll long lines of code, and makes head cells that say nothing plain ones.
var reachable = strings.NewReplacer("<pre>", `<pre tabindex="0">`, "<th></th>", "<td></td>")

var manualPage = template.Must(template.New("manual").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<style>
:root { color-scheme: light dark; --line: #8884; --code: #8881; --accent: #0b5fc2; background: #ffffff; color: #171b20; }
@media (prefers-color-scheme: dark) { :root { --accent: #5aa9ff; background: #0f1216; color: #e8ecf1; } }
body { font: 15px/1.6 system-ui, sans-serif; margin: 0 auto; max-width: 56rem; padding: 1rem 1.5rem 4rem; }
nav { border-bottom: 1px solid var(--line); padding-bottom: .5rem; }
nav a { margin-right: 1rem; }
a { color: var(--accent); }
code, pre { font: 13px/1.5 ui-monospace, monospace; }
code, pre { background: var(--code); border-radius: 3px; }
code { padding: .1em .25em; }
pre { overflow: auto; padding: .6rem .8rem; tab-size: 4; }
pre code { background: none; padding: 0; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem 1rem .25rem 0; text-align: left; vertical-align: top; }
img { max-width: 100%; }
h2 { margin-top: 2.5rem; }
</style>
</head>
<body>
<nav><a href="./">Manual</a><a href="cli.md">Command line</a><a href="../">REST</a><a href="../../app/">Library</a></nav>
<main>{{.Body}}</main>
</body>
</html>
`))

// routeManual adds the pages of package docs, which lead to each other by the names of their files.
func (s *Server) routeManual() {
	markdown := goldmark.New(goldmark.WithExtensions(extension.Table), goldmark.WithParserOptions(parser.WithAutoHeadingID()))
	s.both("/docs/manual", func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Location", "manual/") // relative, for a prefix
		w.WriteHeader(http.StatusFound)
		return nil
	})
	page := func(w http.ResponseWriter, r *http.Request) error {
		name := r.PathValue("page")
		if name == "" {
			name = "README.md"
		}
		text, err := fs.ReadFile(manual.Files, name)
		if err != nil {
			return notFound("the manual has no page %q", name)
		}
		if kind := mime.TypeByExtension(path.Ext(name)); !strings.HasSuffix(name, ".md") {
			writeBody(w, http.StatusOK, kind, text)
			return nil
		}
		text = bytes.ReplaceAll(text, []byte("](/"), []byte("](../../")) // of this server, which may stand below a prefix
		var body, out bytes.Buffer
		if err := markdown.Convert(text, &body); err != nil {
			return err
		}
		title, _, _ := strings.Cut(string(text[max(0, bytes.Index(text, []byte("# "))):]), "\n")
		err = manualPage.Execute(&out, map[string]any{"Title": strings.TrimPrefix(title, "# "), "Body": template.HTML(reachable.Replace(body.String()))})
		if err != nil {
			return err
		}
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'")
		writeBody(w, http.StatusOK, "text/html; charset=utf-8", out.Bytes())
		return nil
	}
	s.both("/docs/manual/", page)
	s.both("/docs/manual/{page...}", page)
}
