package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Cargo rebuilds everything, for an hour, when these change: not by accident.
func TestFlags(t *testing.T) {
	t.Setenv("HOME", "/home/ann")
	t.Setenv("CARGO_HOME", "")
	b := builder{target: "/tmp/target", home: "/src/pixano/internal/lance"}
	maps, err := b.pathMaps()
	if err != nil {
		t.Fatal(err)
	}
	maps = append(maps, [2]string{"/home/ann/.cargo/registry/src/host", crates})
	rust, c := flags(maps, b.target, true)
	want := "RUSTFLAGS=-C target-cpu=x86-64-v3 --remap-path-prefix=/home/ann=/home/build --remap-path-prefix=/tmp/target=/target" +
		" --remap-path-prefix=/src/pixano/internal/lance/native=/pixano/internal/lance/native" +
		" --remap-path-prefix=/home/ann/.cargo/registry/src=/crates --remap-path-prefix=/home/ann/.cargo/registry/src/host=/crates"
	if d := cmp.Diff(want, rust); d != "" {
		t.Errorf("flags for Rust (-want +got):\n%s", d)
	}
	if d := cmp.Diff("-ffile-prefix-map=/home/ann/.cargo/registry/src/host=/crates -ffile-prefix-map=/tmp/target=/target", c); d != "" {
		t.Errorf("flags for C (-want +got):\n%s", d)
	}
}
