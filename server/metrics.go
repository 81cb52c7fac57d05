package server

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// measures counts requests for /metrics.
type measures struct {
	began    time.Time
	inFlight atomic.Int64

	mu     sync.Mutex
	routes map[route]*routeMeasures
}

// route is what requests are counted by.
type route struct {
	method, pattern string
	code            int
}

type routeMeasures struct {
	requests, bytes int64
	seconds         float64
	within          [len(durations)]int64 // requests that took no longer
}

// durations are the upper bounds of the histogram of durations, in seconds.
var durations = [...]float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60}

func newMeasures() *measures {
	return &measures{began: time.Now(), routes: map[route]*routeMeasures{}}
}

// note counts a request that was answered.
func (m *measures) note(r *http.Request, status int, bytes int64, took time.Duration) {
	// Methods are the client's choice: those without a route are not told apart.
	key := route{r.Method, r.Pattern, status}
	if r.Pattern == "" {
		key.method = ""
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	of := m.routes[key]
	if of == nil {
		of = &routeMeasures{}
		m.routes[key] = of
	}
	of.requests++
	of.bytes += bytes
	of.seconds += took.Seconds()
	for i, bound := range durations {
		if took.Seconds() <= bound {
			of.within[i]++
		}
	}
}

// exposition writes figures in Prometheus' text format.
type exposition struct{ w io.Writer }

func (e exposition) head(name, kind, help string) {
	fmt.Fprintf(e.w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// value writes a figure; labels are pairs of names and values.
func (e exposition) value(name string, value float64, labels ...string) {
	io.WriteString(e.w, name)
	for i := 0; i+1 < len(labels); i += 2 {
		sep := ","
		if i == 0 {
			sep = "{"
		}
		fmt.Fprintf(e.w, `%s%s="%s"`, sep, labels[i], strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(labels[i+1]))
	}
	if len(labels) > 0 {
		io.WriteString(e.w, "}")
	}
	fmt.Fprintf(e.w, " %s\n", strconv.FormatFloat(value, 'g', -1, 64))
}

func (e exposition) single(name, kind, help string, value float64) {
	e.head(name, kind, help)
	e.value(name, value)
}

func (m *measures) write(e exposition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	routes := slices.SortedFunc(maps.Keys(m.routes), func(a, b route) int {
		return strings.Compare(fmt.Sprint(a.pattern, a.method, a.code), fmt.Sprint(b.pattern, b.method, b.code))
	})
	labels := func(r route, more ...string) []string {
		return append([]string{"method", r.method, "route", r.pattern, "code", strconv.Itoa(r.code)}, more...)
	}
	e.head("pixano_http_requests_total", "counter", "Requests that were answered.")
	for _, r := range routes {
		e.value("pixano_http_requests_total", float64(m.routes[r].requests), labels(r)...)
	}
	e.head("pixano_http_response_bytes_total", "counter", "Bytes of answers, as sent.")
	for _, r := range routes {
		e.value("pixano_http_response_bytes_total", float64(m.routes[r].bytes), labels(r)...)
	}
	const name = "pixano_http_request_duration_seconds"
	e.head(name, "histogram", "Time from the request to the end of its answer.")
	for _, r := range routes {
		of := m.routes[r]
		for i, bound := range durations {
			e.value(name+"_bucket", float64(of.within[i]), labels(r, "le", strconv.FormatFloat(bound, 'g', -1, 64))...)
		}
		e.value(name+"_bucket", float64(of.requests), labels(r, "le", "+Inf")...)
		e.value(name+"_sum", of.seconds, labels(r)...)
		e.value(name+"_count", float64(of.requests), labels(r)...)
	}
	e.single("pixano_http_requests_in_flight", "gauge", "Requests that are being answered, streams of events among them.", float64(m.inFlight.Load()))
	e.single("process_start_time_seconds", "gauge", "When this server began, in seconds since 1970.", float64(m.began.UnixMilli())/1000)
}

// local reports whether a request comes from this machine, and not by way of a proxy.
func local(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback() && r.Header.Get("X-Forwarded-For") == "" && r.Header.Get("Forwarded") == ""
}

// serveMetrics answers with figures in Prometheus' text format, to clients of this machine.
func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) error {
	if !local(r) {
		return &statusError{http.StatusForbidden, "metrics are for clients on the machine of the server"}
	}
	var b strings.Builder
	e := exposition{&b}
	s.measures.write(e)
	e.single("pixano_datasets_open", "gauge", "Datasets that are open.", float64(s.pool.count()))
	e.single("pixano_event_listeners", "gauge", "Clients that listen to events.", float64(s.events.count()))
	e.head("pixano_jobs", "gauge", "Jobs by state.")
	states := s.jobs.states()
	for _, state := range slices.Sorted(maps.Keys(states)) {
		e.value("pixano_jobs", float64(states[state]), "state", state)
	}
	e.head("pixano_cache_bytes", "gauge", "What caches hold.")
	e.value("pixano_cache_bytes", float64(s.images.kept.size()), "cache", "images")
	e.value("pixano_cache_bytes", float64(s.lists.size()), "cache", "lists")
	e.value("pixano_cache_bytes", float64(s.projections.size()), "cache", "projections")
	process(e)
	w.Header().Set("Cache-Control", "no-store")
	writeBody(w, http.StatusOK, "text/plain; version=0.0.4; charset=utf-8", []byte(b.String()))
	return nil
}

// process writes figures of the process, under the names that Prometheus' own clients use.
func process(e exposition) {
	e.single("go_goroutines", "gauge", "Goroutines.", float64(runtime.NumGoroutine()))
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() == metrics.KindUint64 {
		e.single("go_memstats_heap_alloc_bytes", "gauge", "Go's heap, without what the storage engine holds.", float64(sample[0].Value.Uint64()))
	}
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := strings.Fields(string(text)); len(fields) > 1 {
			pages, _ := strconv.ParseFloat(fields[1], 64)
			e.single("process_resident_memory_bytes", "gauge", "Resident memory.", pages*float64(os.Getpagesize()))
		}
	}
	if text, err := os.ReadFile("/proc/self/stat"); err == nil {
		_, after, _ := strings.Cut(string(text), ") ")
		if fields := strings.Fields(after); len(fields) > 12 {
			const ticks = 100 // a second, on every Linux of today
			user, _ := strconv.ParseFloat(fields[11], 64)
			system, _ := strconv.ParseFloat(fields[12], 64)
			e.single("process_cpu_seconds_total", "counter", "Time of processors.", (user+system)/ticks)
		}
	}
}
