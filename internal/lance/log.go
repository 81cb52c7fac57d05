package lance

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/ebitengine/purego"
)

var logger atomic.Pointer[slog.Logger]

// SetLogger sends the engine's own log records to a logger, with the attribute "target" naming the part that
// wrote each; nil, as at the start, sends them nowhere. The records are those of the levels enabled in the
// logger when it is set. It may be called at any time; the logger is called from the engine's threads.
func SetLogger(l *slog.Logger) {
	logger.Store(l)
	if lib := engine.Load(); lib != nil {
		// The answer says nothing that is not known.
		lib.initialize(initRequest{LogLevel: logLevel(), IOCoreReservation: -1})
	}
}

// The engine's levels, by number less one.
var logLevels = [...]struct {
	name  string
	level slog.Level
}{
	{"error", slog.LevelError},
	{"warn", slog.LevelWarn},
	{"info", slog.LevelInfo},
	{"debug", slog.LevelDebug},
	{"trace", slog.LevelDebug - 4},
}

// logLevel is the most talkative level that the logger has enabled.
func logLevel() string {
	level := "off"
	if l := logger.Load(); l != nil {
		for _, known := range logLevels {
			if l.Enabled(context.Background(), known.level) {
				level = known.name
			}
		}
	}
	return level
}

// logCallback is the function that the engine gives its records to. It is made once: callbacks are never
// given back.
var logCallback = sync.OnceValue(func() uintptr { return purego.NewCallback(logRecord) })

func logRecord(level int32, target *byte, targetLen uint64, message *byte, messageLen uint64) uintptr {
	l := logger.Load()
	if l == nil || level < 1 || int(level) > len(logLevels) {
		return 0
	}
	// Copied: the engine's memory is good for the length of the call.
	text := func(p *byte, n uint64) string { return string(unsafe.Slice(p, n)) }
	l.LogAttrs(context.Background(), logLevels[level-1].level, text(message, messageLen), slog.String("target", text(target, targetLen)))
	return 0
}
