//go:build !pixano_noembed

package lib

import (
	"embed"
	"io/fs"
)

// The whole folder is embedded, with the notices of the libraries linked in, so that the package also
// compiles while the library has still to be built.
//
//go:embed linux_amd64
var files embed.FS

// Files holds the folder of this program's platform, or nothing.
var Files fs.FS = files
