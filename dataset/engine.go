package dataset

import (
	"fmt"

	"pixano/internal/lance"
)

// Engine loads the storage engine, as the first [Open] does, and returns its versions as text. An error lists the
// places where the engine was looked for.
func Engine() (string, error) {
	e, err := lance.Engine()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("lancedb %s, lance %s, interface %d", e.LanceDB, e.Lance, e.ABI), nil
}
