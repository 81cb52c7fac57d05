//go:build darwin || freebsd || linux || netbsd

package lance

import "github.com/ebitengine/purego"

// openLibrary maps a library. All its symbols are resolved at once, so that a missing one shows here, and
// none of them is seen by other libraries, which may hold other versions of the same code.
func openLibrary(path string) (uintptr, error) {
	return purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
}

func symbol(library uintptr, name string) (uintptr, error) { return purego.Dlsym(library, name) }
