package pixano_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// level says how far up a package stands; a package imports only packages below it. A pattern ending in "/" stands for
// the packages in that folder that have no entry of their own.
var level = map[string]int{
	"":                    0, // the root is a package comment
	"docs":                1,
	"features":            1,
	"schema":              2,
	"internal/rowcodec":   3,
	"internal/imaging":    1,
	"internal/lance/lib":  1,
	"internal/tokenize":   1,
	"internal/fetched":    1,
	"internal/lance":      2,
	"internal/lance/":     3,
	"dataset":             4,
	"dataset/exchange":    5, // what the exchange formats share
	"dataset/":            6, // one package for each exchange format
	"dataset/formats":     7, // lists them
	"search":              5,
	"inference":           6, // stands beside the datasets: see below
	"inference/internal/": 7,
	"inference/":          8, // one package for each kind of provider
	"inference/annotate":  9, // joins models and datasets
	"inference/toyclip":   1,
	"internal/demo":       6, // datasets to try things with
	"internal/notebook":   1,
	"server/ui":           1,
	"server":              10,
	"cmd/pixano":          11,
	"internal/interop":    11,
	"internal/bench/":     11,
	"examples":            11,
	"examples/":           11,
}

// only names the packages that alone may import a package.
var only = map[string][]string{
	"internal/lance":     {"dataset", "search", "internal/lance/", "internal/bench/"},
	"internal/lance/lib": {"internal/lance", "internal/lance/", "internal/bench/"},
	"internal/rowcodec":  {"dataset", "internal/bench/"},
	"inference/annotate": {"server", "cmd/pixano", "examples/"},
}

// never names what a package must not import although it stands below.
var never = map[string][]string{
	"inference":  {"dataset"},
	"inference/": {"dataset"},
}

// TestImports holds the direction of imports: features <- schema <- rowcodec <- dataset <- search, formats <- server <- cmd,
// with the storage engine behind dataset and search alone. It looks at direct imports, so that a mistake is reported
// where it was made.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	seen := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&pkg); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		from, ours := inModule(pkg.ImportPath)
		if !ours {
			continue
		}
		seen++
		fromEntry, ok := entry(from)
		if !ok {
			t.Errorf("package %s has no place among the levels of this test", pkg.ImportPath)
			continue
		}
		for _, path := range pkg.Imports {
			to, ours := inModule(path)
			if !ours {
				if from == "features" && strings.Contains(strings.Split(path, "/")[0], ".") {
					t.Errorf("features imports %s: want the standard library only", path)
				}
				continue
			}
			toEntry, ok := entry(to)
			switch allowed := only[toEntry]; {
			case !ok:
			case level[toEntry] >= level[fromEntry] && from != to:
				t.Errorf("%s imports %s, which does not stand below it", pkg.ImportPath, path)
			case allowed != nil && !slices.Contains(allowed, fromEntry):
				t.Errorf("%s imports %s, which only %s may", pkg.ImportPath, path, strings.Join(allowed, ", "))
			case slices.Contains(never[fromEntry], toEntry):
				t.Errorf("%s must not import %s", pkg.ImportPath, path)
			}
		}
	}
	if seen < 4 {
		t.Errorf("go list names %d packages of this module", seen)
	}
}

// inModule returns the path of a package of this module below its root.
func inModule(path string) (string, bool) {
	if path == "pixano" {
		return "", true
	}
	return strings.CutPrefix(path, "pixano/")
}

// entry returns the package's key in level: its own, or that of the nearest folder.
func entry(path string) (string, bool) {
	if _, ok := level[path]; ok {
		return path, true
	}
	for dir := path; ; {
		i := strings.LastIndexByte(dir, '/')
		if i < 0 {
			return "", false
		}
		dir = dir[:i]
		if _, ok := level[dir+"/"]; ok {
			return dir + "/", true
		}
	}
}
