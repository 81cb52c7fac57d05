package interop_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"pixano/inference"
	"pixano/inference/grabcut"
	"pixano/server"
)

// TestSchemathesis sends the server what its description allows, and what it does not: no answer is a failure of the server,
// or another one than the description says.
func TestSchemathesis(t *testing.T) {
	python := python(t, "schemathesis")
	library, media := copyLibrary(t)
	registry := &inference.Registry{}
	defer registry.Close()
	if err := registry.Add(grabcut.New()); err != nil {
		t.Fatal(err)
	}
	address := startServer(t, library, &server.Options{MediaDir: media, ExchangeDir: t.TempDir(), Inference: registry})
	config, err := filepath.Abs(filepath.Join("testdata", "schemathesis.toml"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(filepath.Dir(python), "schemathesis"), "--config-file", config, "run", address+"/openapi.json",
		"--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
		"--phases", "examples,coverage,fuzzing", "-n", "5", "--continue-on-failure", "--generation-deterministic", "--no-color", "--warnings", "off", "--workers", "2",
		"--exclude-path", "/events/{dataset}", // has no end
		"--exclude-path", "/inference/disconnect/{name}") // without a provider the others answer 500, as those of the reference
	cmd.Dir = t.TempDir() // where it keeps what it found
	cmd.Env = append(os.Environ(), "HYPOTHESIS_STORAGE_DIRECTORY="+cmd.Dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%.20000s", err, out)
	}
	found := regexp.MustCompile(`(\d+) generated, \d+ passed`).FindSubmatch(out)
	if found == nil || len(found[1]) < 4 {
		t.Errorf("fewer than 1000 requests:\n%s", out)
	} else {
		t.Logf("%s requests", found[1])
	}
}
