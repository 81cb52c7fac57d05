// Command pixano works with multimodal datasets: it makes, imports, searches, annotates, serves and exports them.
//
// It exits with 0 when all went well, 1 on a failure, 2 when it was called in a wrong way and 3 when a check found errors.
// Results go to standard output, messages to standard error.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

const (
	exitFailure  = 1
	exitUsage    = 2
	exitFindings = 3
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends what takes its time to end
	return execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}

// execute runs one command line and returns its exit code.
func execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SilenceErrors = true
	root.SilenceUsage = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })

	cmd, err := root.ExecuteContextC(ctx)
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errHelp):
		return exitUsage
	case errors.Is(err, errFindings):
		return exitFindings
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "Error: %v\nSee '%s --help'.\n", err, cmd.CommandPath())
		return exitUsage
	}
	fmt.Fprintf(stderr, "Error: %v\n", err)
	return exitFailure
}

func rootCommand() *cobra.Command {
	root := group("pixano", "Multimodal datasets on LanceDB", demoCommand(), initCommand(), dataCommand(), modelsCommand(), inferCommand(), serverCommand(), notebookCommand(), versionCommand())
	root.Long = "pixano makes, imports, searches, annotates, serves and exports multimodal datasets in the format of Pixano."
	return root
}

// usageError is a mistake in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errHelp ends a command that was called without the command wanted; its help is the answer.
var errHelp = errors.New("help was shown")

// errFindings ends a check that found errors, which it has printed.
var errFindings = errors.New("the check found errors")

// group is a command that only holds others.
func group(name, short string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   name,
		Short: short,
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q", args[0])
			}
			if err := cmd.Help(); err != nil {
				return err
			}
			return errHelp
		},
	}
	cmd.AddCommand(children...)
	return cmd
}

// arguments accepts exactly the arguments named, of which the first, if any, is a directory that must exist.
func arguments(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usagef("missing argument %s", names[len(args)])
		case len(args) > len(names):
			return usagef("unexpected argument %q", args[len(names)])
		case len(names) == 0:
			return nil
		}
		return mustExist(args[0])
	}
}

func mustExist(path string) error {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return usagef("%s: no such file or directory", path)
	}
	return nil
}
