//go:build no_ui

// Package ui holds the built web interface. The build tag no_ui leaves it out.
package ui

import "io/fs"

// Files returns the files of the web interface, of which index.html is the page, or nil if it was left out.
func Files() fs.FS { return nil }
