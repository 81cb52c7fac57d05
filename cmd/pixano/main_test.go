package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"pixano/dataset"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"pixano": main})
}

const goldenDir = "../../testdata/golden"

// TestScripts runs testdata/*.txt. Beside the usual commands there are
//
//	exits CODE COMMAND [ARG...]   runs a command that ends with an exit code
//	golden NAME [AS]              copies a golden dataset to the work directory
//	halve FILE                    cuts a file in the middle
//	drop DATASET TABLE ID AUTHOR  deletes a row
//
// The condition runtime holds where scripts/models has fetched ONNX Runtime and MiniLM; $MODELS is the directory of toy models.
func TestScripts(t *testing.T) {
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	models, err := filepath.Abs("../../inference/onnx/testdata/models")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PIXANO_ENGINE", os.Getenv("PIXANO_ENGINE"))
			env.Setenv("XDG_CACHE_HOME", cache) // where the engine has been unpacked already, and models were fetched to
			env.Setenv("MODELS", models)
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond != "runtime" {
				return false, fmt.Errorf("unknown condition %s", cond)
			}
			for _, name := range []string{"onnxruntime", "models/all-minilm-l6-v2"} {
				if _, err := os.Stat(filepath.Join(cache, "pixano", name)); err != nil {
					if os.Getenv("PIXANO_REQUIRE_INTEROP") == "1" {
						return false, fmt.Errorf("%w: run scripts/models", err)
					}
					return false, nil
				}
			}
			return true, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) < 2 {
					ts.Fatalf("usage: exits CODE COMMAND [ARG...]")
				}
				got := 0
				if err := ts.Exec(args[1], args[2:]...); err != nil {
					exit, ok := errors.AsType[*exec.ExitError](err)
					if !ok {
						ts.Fatalf("%v", err)
					}
					got = exit.ExitCode()
				}
				if strconv.Itoa(got) != args[0] {
					ts.Fatalf("exit code %d, want %s", got, args[0])
				}
			},
			"golden": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) < 1 || len(args) > 2 {
					ts.Fatalf("usage: golden NAME [AS]")
				}
				ts.Check(os.CopyFS(ts.MkAbs(args[len(args)-1]), os.DirFS(filepath.Join(goldenDir, args[0]))))
			},
			"drop": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 4 {
					ts.Fatalf("usage: drop DATASET TABLE ID AUTHOR")
				}
				ds, err := dataset.Open(t.Context(), ts.MkAbs(args[0]), nil)
				ts.Check(err)
				defer ds.Close()
				_, err = ds.Apply(t.Context(), dataset.ChangeSet{Author: args[3], Changes: []dataset.Change{dataset.Delete(args[1], args[2])}})
				ts.Check(err)
			},
			"halve": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 1 {
					ts.Fatalf("usage: halve FILE")
				}
				files, err := filepath.Glob(ts.MkAbs(args[0]))
				ts.Check(err)
				if len(files) != 1 {
					ts.Fatalf("%s names %d files", args[0], len(files))
				}
				st, err := os.Stat(files[0])
				ts.Check(err)
				ts.Check(os.Truncate(files[0], st.Size()/2))
			},
		},
	})
}

// TestPermission looks at files that may not be read. As root, who may read them all, the command runs as another user.
func TestPermission(t *testing.T) {
	dir := t.TempDir()
	for d := dir; d != filepath.Clean(os.TempDir()); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	command := filepath.Join(dir, "pixano")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	copyFile(t, command, self)
	for i, test := range []struct{ file, table, want string }{
		{"info.json", "item", "open DATASET: info.json: permission denied"},
		{"schema.json", "item", "open DATASET: schema.json: permission denied"},
		{"db/item.lance/_versions", "item", "count item: "},
		{"db/bboxes.lance/data/*.lance", "bboxes", "read bboxes: "},
	} {
		t.Run(test.file, func(t *testing.T) {
			dataset := filepath.Join(dir, strconv.Itoa(i))
			if err := os.CopyFS(dataset, os.DirFS(filepath.Join(goldenDir, "image_detection"))); err != nil {
				t.Fatal(err)
			}
			files, err := filepath.Glob(filepath.Join(dataset, test.file))
			if err != nil || len(files) != 1 {
				t.Fatalf("%s names %d files (%v)", test.file, len(files), err)
			}
			if err := os.Chmod(files[0], 0); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.Chmod(files[0], 0o755) })
			cmd := exec.Command(command, "data", "show", dataset, "--table", test.table)
			cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+dir, "HOME="+dir)
			if os.Geteuid() == 0 {
				const nobody = 65534
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			}
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			err = cmd.Run()
			exit, ok := errors.AsType[*exec.ExitError](err)
			if !ok || exit.ExitCode() != exitFailure {
				t.Errorf("ended with %v, want exit code %d", err, exitFailure)
			}
			got := stderr.String()
			if want := strings.ReplaceAll(test.want, "DATASET", dataset); !strings.Contains(got, want) || !strings.Contains(strings.ToLower(got), "permission denied") {
				t.Errorf("got %q, want it to say %q and why", got, want)
			}
		})
	}
}

// TestSecondInterrupt ends a server that waits for a client.
func TestSecondInterrupt(t *testing.T) {
	dir := t.TempDir()
	command := filepath.Join(dir, "pixano")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	copyFile(t, command, self)
	for _, sub := range []string{"library", "media"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(command, "server", "run", dir, "--port", "0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	lines.Scan()
	conn, err := net.Dial("tcp", regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(lines.Text()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// The server answers "100 Continue" once it reads the body, which never comes.
	fmt.Fprint(conn, "POST /items/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() && lines.Text() != "Shutting down" {
	}
	// One that comes in the moment of the first is still taken for the same.
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for waiting := true; waiting; {
		select {
		case err = <-ended:
			waiting = false
		case <-again.C:
			_ = cmd.Process.Signal(os.Interrupt)
		}
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
		t.Errorf("ended with %v", err)
	}
}

func copyFile(t *testing.T, to, from string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
