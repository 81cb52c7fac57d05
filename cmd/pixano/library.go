package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"pixano/dataset"
)

// libraryIn is the library of a directory of data: its directory "library", or if there is none, itself.
func libraryIn(dir string) string {
	if st, err := os.Stat(filepath.Join(dir, "library")); err == nil && st.IsDir() {
		if _, _, err := dataset.ReadInfo(filepath.Join(dir, "library")); err != nil { // a dataset may have this name
			return filepath.Join(dir, "library")
		}
	}
	return dir
}

// notDataset refuses a dataset where a library is wanted.
func notDataset(dir string) error {
	if _, _, err := dataset.ReadInfo(dir); err != nil {
		return nil
	}
	return usagef("%s is a dataset: want the library that it is in, such as %s; 'pixano data show' shows a dataset", dir, filepath.Join(dir, ".."))
}

// inLibrary gives the library that a dataset's directory is in, and the key that names it there.
func inLibrary(cmd *cobra.Command, path string) (*dataset.Library, string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, "", err
	}
	info, _, err := dataset.ReadInfo(path)
	if err != nil {
		return nil, "", err
	}
	library, err := dataset.OpenLibrary(filepath.Dir(path))
	if err != nil {
		return nil, "", err
	}
	// The name of a directory may be the id of another dataset, and two may have one id.
	for _, key := range []string{filepath.Base(path), info.ID} {
		if found, err := library.Locate(cmd.Context(), key); err == nil && found == path {
			return library, key, nil
		}
	}
	return nil, "", fmt.Errorf("%s: its name is the id of another dataset, and its own id %q is not unique: give one of them another id or directory", path, info.ID)
}

func deleteCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "delete DATASET",
		Short: "Delete a dataset for good",
		Long: "Delete a dataset with its history, its snapshots and all else that lies in its directory. Media in another\n" +
			"directory stay. On a terminal it asks first; elsewhere it wants --yes.",
		Example: "  pixano data delete library/voc --yes",
		Args:    arguments("DATASET"),
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		library, key, err := inLibrary(cmd, args[0])
		if err != nil {
			return err
		}
		if !yes {
			if file, ok := cmd.InOrStdin().(*os.File); !ok || !term.IsTerminal(int(file.Fd())) {
				return usagef("deleting %s cannot be undone: want --yes", args[0])
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "Delete %s and all that is in it? [y/N] ", args[0])
			answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
			if answer = strings.ToLower(strings.TrimSpace(answer)); err != nil || answer != "y" && answer != "yes" {
				return fmt.Errorf("%s was not deleted", args[0])
			}
		}
		if err := library.Delete(cmd.Context(), key); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "Deleted %s\n", args[0])
		return nil
	}
	return cmd
}

func renameCommand() *cobra.Command {
	var title string
	cmd := &cobra.Command{
		Use:   "rename DATASET NAME",
		Short: "Give a dataset's directory another name",
		Long: "Give the directory of a dataset another name within its library. The id stays. The name that people see stays\n" +
			"too, unless --title gives another one; NAME may then be the one that the directory has.",
		Example: "  pixano data rename library/voc voc-2012\n" +
			"  pixano data rename library/voc voc --title \"VOC 2012\"",
		Args: arguments("DATASET", "NAME"),
	}
	cmd.Flags().StringVar(&title, "title", "", "the name that people see")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		library, key, err := inLibrary(cmd, args[0])
		if err != nil {
			return err
		}
		if title != "" {
			ds, err := library.Open(cmd.Context(), key, nil)
			if err != nil {
				return err
			}
			defer ds.Close()
			info := ds.Info()
			info.Name = title
			if err := ds.SetInfo(cmd.Context(), info); err != nil {
				return err
			}
			if err := ds.Close(); err != nil {
				return err
			}
		}
		if title == "" || args[1] != filepath.Base(filepath.Clean(args[0])) {
			if err := library.Rename(cmd.Context(), key, args[1]); err != nil {
				return err
			}
		}
		fmt.Fprintf(cmd.OutOrStdout(), "Renamed %s to %s\n", args[0], filepath.Join(filepath.Dir(filepath.Clean(args[0])), args[1]))
		return nil
	}
	return cmd
}

func copyCommand() *cobra.Command {
	var opts dataset.CopyOptions
	cmd := &cobra.Command{
		Use:   "copy DATASET NAME",
		Short: "Copy a dataset within its library",
		Long: "Copy a dataset to a new directory of its library, with its history and the media in its directory. Media elsewhere\n" +
			"are shared by both. The copy appears as a whole or not at all.",
		Example: "  pixano data copy library/voc voc-trial",
		Args:    arguments("DATASET", "NAME"),
	}
	cmd.Flags().StringVar(&opts.ID, "id", "", "the id of the copy (default: a new one)")
	cmd.Flags().StringVar(&opts.Name, "title", "", "the name that people see (default: that of the original)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		library, key, err := inLibrary(cmd, args[0])
		if err != nil {
			return err
		}
		entry, err := library.Copy(cmd.Context(), key, args[1], &opts)
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "Copied %s to %s, id %s\n", args[0], filepath.Join(filepath.Dir(filepath.Clean(args[0])), args[1]), entry.Info.ID)
		return nil
	}
	return cmd
}

func previewCommand() *cobra.Command {
	var out, media string
	cmd := &cobra.Command{
		Use:   "preview DATASET",
		Short: "Make the picture that stands for a dataset in lists",
		Long: "Make a mosaic of a dataset's first images and store it as its preview. With --out it is written to a file, and the\n" +
			"dataset is not changed.",
		Example: "  pixano data preview library/voc",
		Args:    arguments("DATASET"),
	}
	cmd.Flags().StringVar(&out, "out", "", "write the preview, a JPEG, to this file")
	cmd.Flags().StringVar(&media, "media-dir", "", "the directory that the urls of media start from")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ds, err := dataset.Open(cmd.Context(), args[0], &dataset.Options{MediaDir: mediaDirOf(args[0], media), ReadOnly: out != ""})
		if err != nil {
			return err
		}
		defer ds.Close()
		if out == "" {
			if err := ds.SavePreview(cmd.Context()); err != nil {
				return err
			}
			out = filepath.Join(args[0], "previews", "dataset_preview.jpg")
		} else {
			content, err := ds.Preview(cmd.Context())
			if err != nil {
				return err
			}
			if err := os.WriteFile(out, content, 0o644); err != nil {
				return err
			}
		}
		fmt.Fprintf(cmd.OutOrStdout(), "Wrote %s\n", out)
		return nil
	}
	return cmd
}
