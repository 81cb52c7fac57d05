//go:build !(linux && amd64) || pixano_noembed

package lib

import (
	"embed"
	"io/fs"
)

// Files holds the folder of this program's platform, or nothing.
var Files fs.FS = embed.FS{}
