package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"pixano/internal/notebook"
)

func notebookCommand() *cobra.Command {
	var o notebook.Options
	install := &cobra.Command{
		Use:   "install",
		Short: "Build the Jupyter kernel for Go cells that import pixano, and register it",
		Long: "Build gophernotes, a Jupyter kernel for Go, in a form that runs with today's Go, and register it with Jupyter as\n" +
			notebook.Kernel + ": notebooks can then import pixano/dataset and the other packages. It needs the go command and a C compiler,\n" +
			"which the kernel compiles a cell's imports with: the first import of a package takes a minute or two, later ones seconds.",
		Example: "  pixano notebook install\n" +
			"  jupyter lab examples/notebooks/walkthrough.ipynb",
		Args: arguments(),
	}
	install.Flags().StringVar(&o.Source, "source", "", "the directory of the module pixano (default: as the go command finds it from here)")
	install.Flags().StringVar(&o.Kernels, "kernels", "", "the directory of Jupyter's kernels (default: the user's)")
	install.RunE = func(cmd *cobra.Command, _ []string) error {
		o.Log = cmd.ErrOrStderr()
		dir, err := notebook.Install(cmd.Context(), o)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "Installed kernel %s in %s\n", notebook.Kernel, dir)
		return err
	}
	return group("notebook", "Use pixano in Jupyter", install)
}
