// Package lib holds the storage engine's shared library for the platforms that have one ready, compressed,
// with a manifest that ties it to the sources in internal/lance/native. Both are made by
//
//	go run pixano/internal/lance/build -profile release -embed
package lib

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// Name is the library's file name in the folder of its platform, GOOS_GOARCH.
const Name = "libpixano_lance.so.zst"

// Manifest describes the libraries of one state of the sources.
type Manifest struct {
	ABI          uint32             `json:"abi"`           // number of the C interface
	SourceSHA256 string             `json:"source_sha256"` // of the sources, see SourceSHA256
	Versions     map[string]string  `json:"versions"`      // of the engine's parts: lancedb, lance, datafusion, arrow
	Libraries    map[string]Library `json:"libraries"`     // by platform
}

// Library describes one compressed library.
type Library struct {
	SHA256           string `json:"sha256"` // unpacked
	Size             int64  `json:"size"`
	CompressedSHA256 string `json:"compressed_sha256"`
	CompressedSize   int64  `json:"compressed_size"`
}

//go:embed manifest.json
var manifest []byte

// ReadManifest returns the manifest that was compiled in.
func ReadManifest() (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(manifest, &m); err != nil {
		return m, fmt.Errorf("manifest of the storage engine: %w", err)
	}
	return m, nil
}

// SourceSHA256 returns the hash of the crate's sources in a folder: of Cargo.toml, Cargo.lock, build.rs where
// there is one, and all files below src. It is the SHA-256 of the lines that sha256sum prints for these files
// in the order of their names.
func SourceSHA256(crate fs.FS) (string, error) {
	names := []string{"Cargo.toml", "Cargo.lock"}
	if _, err := fs.Stat(crate, "build.rs"); err == nil {
		names = append(names, "build.rs")
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	err := fs.WalkDir(crate, "src", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	slices.Sort(names)
	all := sha256.New()
	for _, name := range names {
		content, err := fs.ReadFile(crate, name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(all, "%x  %s\n", sha256.Sum256(content), name)
	}
	return hex.EncodeToString(all.Sum(nil)), nil
}
