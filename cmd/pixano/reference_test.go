package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

var updateReference = flag.Bool("update", false, "write docs/cli.md anew")

// reference writes a section for each command that does something.
func reference(w *strings.Builder, cmd *cobra.Command) {
	cmd.InitDefaultHelpFlag()
	if cmd.Hidden || cmd.Name() == "help" {
		return
	}
	if cmd.Runnable() && !cmd.HasSubCommands() {
		about := cmd.Long
		if about == "" {
			about = cmd.Short + "."
		}
		text := strings.TrimSpace(about) + "\n\nUsage:\n  " + cmd.UseLine() + "\n"
		if cmd.Example != "" {
			text += "\nExamples:\n" + cmd.Example + "\n"
		}
		fmt.Fprintf(w, "## %s\n\n```text\n%s\nFlags:\n%s\n```\n\n", cmd.CommandPath(), text, strings.TrimRight(cmd.LocalFlags().FlagUsages(), "\n"))
	}
	for _, c := range cmd.Commands() {
		reference(w, c)
	}
}

// TestReference wants the reference of the command line to be what the commands say. It is written by -update.
func TestReference(t *testing.T) {
	t.Setenv("USER", "ana")
	root := rootCommand()
	root.InitDefaultCompletionCmd()
	var b strings.Builder
	b.WriteString("# The command line\n\nWritten by `go test ./cmd/pixano -run TestReference -update` from what `pixano COMMAND --help` says.\n\n" +
		"Results go to standard output, messages to standard error. `NO_COLOR` is honoured, Ctrl-C ends a command cleanly.\n\n" +
		"| exit code | |\n|---|---|\n| 0 | all went well |\n| 1 | a failure |\n| 2 | called in a wrong way |\n| 3 | a check found errors |\n\n" +
		"A DATASET is its directory. Its media are in `--media-dir`, else in `media` inside of it, else in `DATA_DIR/media` where it lies in `DATA_DIR/library`.\n\n")
	reference(&b, root)
	got := strings.TrimRight(b.String(), "\n") + "\n"
	file := filepath.Join("..", "..", "docs", "cli.md")
	if *updateReference {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("docs/cli.md is stale: run go test ./cmd/pixano -run TestReference -update (-file +now):\n%s", d)
	}
}
