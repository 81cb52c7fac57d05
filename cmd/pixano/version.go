package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"pixano/dataset"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the versions of this program and of its storage engine",
		Args:  arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			engine, err := dataset.Engine()
			if err != nil {
				return err
			}
			version, revision := "devel", ""
			if build, ok := debug.ReadBuildInfo(); ok {
				if v := build.Main.Version; v != "" && v != "(devel)" {
					version = v
				}
				for _, s := range build.Settings {
					if s.Key == "vcs.revision" && len(s.Value) >= 12 {
						revision = " " + s.Value[:12]
					}
				}
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "pixano %s%s\nengine %s\n%s %s/%s\n",
				version, revision, engine, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
