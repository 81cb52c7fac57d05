package lance

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// lines collects what a logger writes from many threads.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestLogger(t *testing.T) {
	c := connect(t)
	work := func(name string) { create(t, c, name, numbers(0, 10)) }
	var got lines
	SetLogger(slog.New(slog.NewTextHandler(&got, &slog.HandlerOptions{Level: slog.LevelDebug})))
	defer SetLogger(nil)
	work("a")
	if text := got.String(); !strings.Contains(text, "level=DEBUG") || !strings.Contains(text, "target=lance") || strings.Contains(text, "level=DEBUG-4") {
		t.Errorf("got %.2000s", text)
	}
	SetLogger(nil)
	before := len(got.String())
	work("b")
	if after := got.String(); len(after) != before {
		t.Errorf("without a logger it went on with %s", after[before:])
	}
}
