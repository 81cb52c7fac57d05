package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"pixano/internal/demo"
)

func demoCommand() *cobra.Command {
	o := serverOptions{host: "127.0.0.1"}
	var noServe bool
	cmd := &cobra.Command{
		Use:   "demo [DIR]",
		Short: "Make a small library to try things with, and serve it",
		Long: "Make a library of four small datasets in DIR (pixano-demo), serve it and open the browser: street scenes with boxes,\n" +
			"masks and key points, films with tracks, questions about pictures, and texts linked to what they name.\n\n" +
			"The pictures are drawn, so this needs no network and no model. Datasets that are there already stay as they are.",
		Example: "  pixano demo\n" +
			"  pixano demo /tmp/demo --no-serve",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("unexpected argument %q", args[1])
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&noServe, "no-serve", false, "make the library only")
	cmd.Flags().IntVar(&o.port, "port", defaultPort, "the port to serve at; 0 for any that is free")
	cmd.Flags().BoolVar(&o.open, "open", true, "open the browser")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir := "pixano-demo"
		if len(args) > 0 {
			dir = args[0]
		}
		began := time.Now()
		var progress demo.Progress
		if file, ok := cmd.ErrOrStderr().(*os.File); ok && term.IsTerminal(int(file.Fd())) {
			progress = func(drawn, of int) {
				fmt.Fprintf(file, "\rDrawing %d of %d", drawn, of)
				if drawn == of {
					fmt.Fprint(file, "\r\033[K")
				}
			}
		}
		created, err := demo.Create(cmd.Context(), dir, progress)
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		for _, name := range created {
			fmt.Fprintf(out, "Made %s\n", filepath.Join(dir, "library", name))
		}
		if len(created) == 0 {
			fmt.Fprintf(out, "The demo library is in %s already.\n", dir)
		} else {
			fmt.Fprintf(cmd.ErrOrStderr(), "%d datasets in %.1f s\n", len(created), time.Since(began).Seconds())
		}
		if noServe {
			return nil
		}
		return o.run(cmd, dir)
	}
	return cmd
}
