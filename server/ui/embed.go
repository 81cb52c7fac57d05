//go:build !no_ui

// Package ui holds the built web interface. The build tag no_ui leaves it out.
package ui

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Files returns the files of the web interface, of which index.html is the page, or nil if it was left out.
func Files() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the directory is embedded
	}
	return files
}
