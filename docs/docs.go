// Package docs holds the manual, which the server shows under /docs/manual/.
package docs

import "embed"

// Files are the pages, which begin with README.md, and their pictures.
//
//go:embed README.md concepts.md install.md own-types.md import-export.md search.md annotate.md models.md server.md object-storage.md snapshots.md from-python.md performance.md cli.md rest.md format.md images/*.png
var Files embed.FS
