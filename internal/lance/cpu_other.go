//go:build !amd64

package lance

// lackingFeatures: libraries for other processors are built on them and ask for nothing special.
func lackingFeatures() []string { return nil }
