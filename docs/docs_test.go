package docs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pixano/docs"
	"pixano/internal/demo"
)

// block is a fenced block of a page. Blocks of shell and Go are executed in order; one of text right after one of those is what
// they print, where "…" stands for anything.
type block struct {
	language, text string
	line           int
	adjacent       bool // nothing stands between it and the block before
}

var fence = regexp.MustCompile("(?ms)^```(\\S*)\n(.*?)^```$")

func blocks(page string) (all []block) {
	end := 0
	for _, m := range fence.FindAllStringSubmatchIndex(page, -1) {
		all = append(all, block{page[m[2]:m[3]], page[m[4]:m[5]], 1 + strings.Count(page[:m[0]], "\n"), strings.TrimSpace(page[end:m[0]]) == ""})
		end = m[1]
	}
	return all
}

// step is what is executed at a time: one block of shell, or blocks of Go that follow each other, which share
// variables until something is printed.
type step struct {
	shell  string
	goName string // of the package that holds the blocks of Go
	line   int
	want   string
}

// imports are the packages that fragments of Go may name without importing them.
var imports = map[string]string{
	"context": "context", "errors": "errors", "fmt": "fmt", "http": "net/http", "image": "image", "log": "log", "os": "os",
	"filepath": "path/filepath", "strings": "strings", "time": "time", "iter": "iter",
	"dataset": "pixano/dataset", "exchange": "pixano/dataset/exchange", "coco": "pixano/dataset/coco", "yolo": "pixano/dataset/yolo",
	"features": "pixano/features", "schema": "pixano/schema", "search": "pixano/search", "inference": "pixano/inference",
	"annotate": "pixano/inference/annotate", "grabcut": "pixano/inference/grabcut", "toyclip": "pixano/inference/toyclip",
	"onnx": "pixano/inference/onnx", "openai": "pixano/inference/openai", "pixanoserver": "pixano/inference/pixanoserver",
	"server": "pixano/server", "ui": "pixano/server/ui",
}

// program makes a package of a page's blocks of Go, whose function Main runs the statements of the last group. decls are
// the declarations of the page so far. A block that is a whole program stands for itself.
func program(name string, decls *[]string, group []block) ([]byte, error) {
	if strings.HasPrefix(group[0].text, "package main\n") {
		if len(group) != 1 {
			return nil, errors.New("a whole program stands among fragments")
		}
		text := strings.Replace(group[0].text, "package main\n", "package "+name+"\n", 1)
		if !strings.Contains(text, "\nfunc main() {") {
			return nil, errors.New("the program has no function main")
		}
		return []byte(strings.Replace(text, "\nfunc main() {", "\nfunc Main() {", 1)), nil
	}
	var statements strings.Builder
	for _, b := range group {
		// Declarations stand for themselves, everything else is a part of a function. Both end where a line is empty.
		for part := range strings.SplitSeq(b.text, "\n\n") {
			if regexp.MustCompile(`(?m)^(type|func) `).MatchString(part) {
				*decls = append(*decls, part)
			} else {
				fmt.Fprintf(&statements, "%s\n\n", part)
			}
		}
	}
	body := strings.Join(*decls, "\n\n") + "\n\nfunc Main() {\n\tif err := run(context.Background()); err != nil {\n\t\tlog.Fatal(err)\n\t}\n}\n\n" +
		"func run(ctx context.Context) error {\n" + statements.String() + "\treturn nil\n}\n"
	file, err := parser.ParseFile(token.NewFileSet(), "", "package "+name+"\n"+body, 0)
	if err != nil {
		return nil, fmt.Errorf("%w in\n%s", err, body)
	}
	used := map[string]bool{"context": true, "log": true}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && imports[x.Name] != "" && x.Obj == nil {
				used[x.Name] = true
			}
		}
		return true
	})
	head := "package " + name + "\n\nimport (\n"
	for _, p := range slices.Sorted(maps.Keys(used)) {
		head += fmt.Sprintf("\t%q\n", imports[p])
	}
	if used["image"] {
		head += "\t_ \"image/jpeg\"\n\t_ \"image/png\"\n"
	}
	return format.Source([]byte(head + ")\n\n" + body))
}

// page is a page of the manual, or README, whose commands are run in a directory of its own.
type page struct {
	name, text string
	steps      []step
}

func pages(t *testing.T) (all []*page) {
	t.Helper()
	names, err := fs.Glob(docs.Files, "*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(names, "../README.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, &page{name: name, text: string(text)})
	}
	return all
}

// parse cuts the pages into steps and writes the programs of their blocks of Go into dir. It returns the names of their packages.
func parse(t *testing.T, all []*page, dir string) (packages []string) {
	t.Helper()
	for _, p := range all {
		var decls []string
		var group []block
		var want string
		flush := func() {
			if len(group) == 0 {
				return
			}
			name := fmt.Sprintf("p%d", len(packages))
			source, err := program(name, &decls, group)
			if err != nil {
				t.Fatalf("%s:%d: %v", p.name, group[0].line, err)
			}
			if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name, name+".go"), source, 0o644); err != nil {
				t.Fatal(err)
			}
			packages = append(packages, name)
			p.steps = append(p.steps, step{goName: name, line: group[0].line, want: want})
			group, want = nil, ""
		}
		previous := ""
		for _, b := range blocks(p.text) {
			switch b.language {
			case "go":
				if strings.HasPrefix(b.text, "package ") {
					flush()
				}
				group = append(group, b)
			case "sh":
				flush()
				p.steps = append(p.steps, step{shell: b.text, line: b.line})
			case "text":
				switch {
				case !b.adjacent:
				case previous == "go":
					want = b.text
					flush()
				case previous == "sh":
					p.steps[len(p.steps)-1].want = b.text
				}
			case "json", "python", "mod":
			default:
				t.Errorf("%s:%d: a block of %q: want sh, go, text, json, python or mod", p.name, b.line, b.language)
			}
			previous = b.language
		}
		flush()
	}
	return packages
}

// shim stands in the place of the command pixano: a server is started in the background, at the page's port, and the shell
// goes on once it answers. In a README, "go run ./cmd/pixano" is the command too.
const shim = `#!/bin/bash
if [ "$(basename "$0")" = go ]; then
	if [ "$1 $2" = "run ./cmd/pixano" ]; then shift 2; else exec "$DOCS_GO" "$@"; fi
fi
case " $1 $2 $* " in
" server run "* | " demo "*)
	case " $* " in *" --no-serve "*) exec "$DOCS_PIXANO" "$@" ;; esac
	[ ! -e "$DOCS_PID" ] || { kill "$(cat "$DOCS_PID")"; sleep 0.2; }
	args=("$@" --port "$DOCS_PORT")
	if [ "$1" = demo ]; then args+=(--open=false); else args=("${args[@]/--open/--access-log}"); fi
	"$DOCS_PIXANO" "${args[@]}" >"$DOCS_PID.out" 2>&1 &
	echo $! >"$DOCS_PID"
	for i in $(seq 300); do
		curl -sf "http://127.0.0.1:$DOCS_PORT/datasets/info" >/dev/null && exit 0
		kill -0 "$(cat "$DOCS_PID")" 2>/dev/null || break
		sleep 0.2
	done
	cat "$DOCS_PID.out" >&2
	exit 1
	;;
esac
exec "$DOCS_PIXANO" "$@"
`

// TestBlocks executes every block of shell and Go of the manual and of README, page by page, in an empty directory.
func TestBlocks(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs programs for minutes")
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	all := pages(t)
	dir := t.TempDir()

	// One program holds the Go blocks of all pages, so that it is linked once.
	source := filepath.Join(dir, "source")
	packages := parse(t, all, source)
	main := "package main\n\nimport (\n\t\"os\"\n\n"
	cases := ""
	for _, name := range packages {
		main += fmt.Sprintf("\t%q\n", "example.com/blocks/"+name)
		cases += fmt.Sprintf("\tcase %q:\n\t\t%s.Main()\n", name, name)
	}
	main += ")\n\nfunc main() {\n\tswitch os.Args[1] {\n" + cases + "\t}\n}\n"
	for name, text := range map[string]string{
		"main.go": main,
		"go.mod":  "module example.com/blocks\n\ngo 1.26\n",
		"go.work": fmt.Sprintf("go 1.26.0\n\nuse (\n\t.\n\t%s\n)\n", root),
	} {
		if err := os.WriteFile(filepath.Join(source, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	build := func(dir string, args ...string) {
		t.Helper()
		cmd := exec.Command("go", append([]string{"build", "-ldflags=-s -w"}, args...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	program, command := filepath.Join(dir, "blocks"), filepath.Join(dir, "pixano")
	build(source, "-o", program, ".")
	build(root, "-o", command, "./cmd/pixano")
	for _, name := range []string{"pixano", "go"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(shim), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	golang, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	library := filepath.Join(dir, "demo")
	if _, err := demo.Create(t.Context(), library, nil); err != nil {
		t.Fatal(err)
	}

	for _, p := range all {
		t.Run(path.Base(p.name), func(t *testing.T) {
			if len(p.steps) == 0 {
				t.Skip("nothing to execute")
			}
			work := t.TempDir()
			port := freePort(t)
			pid := filepath.Join(t.TempDir(), "pid")
			defer stop(t, pid)
			for _, link := range []string{"scripts", "testdata", "internal"} { // what README names of the clone
				if strings.HasPrefix(p.name, "..") {
					if err := os.Symlink(filepath.Join(root, link), filepath.Join(work, link)); err != nil {
						t.Fatal(err)
					}
				}
			}
			env := append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "DOCS_PIXANO="+command, "DOCS_GO="+golang,
				"DOCS_PORT="+port, "DOCS_PID="+pid, "DOCS_DEMO="+library, "PIXANO="+root, "LIBRARY_DIR=", "MEDIA_DIR=", "MODELS_DIR=", "USER=ana")
			for _, s := range p.steps {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
				cmd := exec.CommandContext(ctx, program, s.goName)
				if s.shell != "" {
					text := s.shell
					if regexp.MustCompile(`(?m)^(go run \./cmd/)?pixano demo`).MatchString(text) { // drawn once for all pages
						if err := os.CopyFS(filepath.Join(work, "pixano-demo"), os.DirFS(library)); err != nil {
							t.Fatal(err)
						}
					}
					cmd = exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", strings.ReplaceAll(text, "127.0.0.1:7492", "127.0.0.1:"+port))
				}
				cmd.Dir, cmd.Env = work, env
				var out, messages bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &messages
				cmd.WaitDelay = time.Second
				err := cmd.Run()
				cancel()
				if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
					t.Fatalf("%s:%d: %v\n%s%s", p.name, s.line, err, out.Bytes(), messages.Bytes())
				}
				if s.want != "" && !matches(s.want, out.String()) {
					t.Errorf("%s:%d prints something else (-page +now):\n%s\n%s", p.name, s.line, cmp.Diff(s.want, out.String()), messages.String())
				}
			}
		})
	}
}

// matches compares what is printed with a page, where "…" stands for anything, and trailing space makes no difference.
func matches(want, got string) bool {
	trim := func(s string) string {
		return regexp.MustCompile(`(?m)[ \t]+$`).ReplaceAllString(strings.TrimSpace(s), "")
	}
	pattern := strings.ReplaceAll(regexp.QuoteMeta(trim(want)), "…", "(?s:.*)")
	return regexp.MustCompile(`\A` + pattern + `\z`).MatchString(trim(got))
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// stop ends the server of a page, if there is one.
func stop(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		return
	}
	if out, err := exec.Command("kill", strings.TrimSpace(string(text))).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

var code = regexp.MustCompile("`[^`\n]*`")

var link = regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)

// TestLinks wants every link to lead to a file, and those of the manual to stay in it: the server has nothing else.
func TestLinks(t *testing.T) {
	for _, p := range pages(t) {
		text := code.ReplaceAllString(fence.ReplaceAllString(p.text, ""), "")
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			to := m[1]
			switch {
			case strings.HasPrefix(to, "https://"):
			case strings.HasPrefix(p.name, ".."):
				if _, err := os.Stat(filepath.Join("..", to)); err != nil {
					t.Errorf("README.md: link %s: %v", to, err)
				}
			default:
				if _, err := fs.Stat(docs.Files, path.Clean(to)); err != nil && to != "/docs" && to != "/openapi.json" {
					t.Errorf("%s: link %s: %v", p.name, to, err)
				}
			}
		}
	}
}
