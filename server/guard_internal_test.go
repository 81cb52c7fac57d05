package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestStalledBody: a body that does not come ends the request; one that comes late does not, nor does what takes long after it.
func TestStalledBody(t *testing.T) {
	d := bodyTimeout
	t.Cleanup(func() { bodyTimeout = d })
	bodyTimeout = 500 * time.Millisecond
	s := &Server{opts: Options{}.withDefaults()}
	web := httptest.NewServer(s.guarded(s.reference(func(w http.ResponseWriter, r *http.Request) error {
		body, err := readBody(r)
		if r.ContentLength == 0 {
			body, err = []byte("{}"), nil
		}
		if err != nil {
			return err
		}
		select {
		case <-time.After(2 * bodyTimeout):
		case <-r.Context().Done():
			return r.Context().Err()
		}
		writeBody(w, http.StatusOK, "application/json", body)
		return nil
	})))
	t.Cleanup(web.Close)
	for name, test := range map[string]struct {
		parts  []string
		status int
		length int
	}{
		"nothing":        {[]string{}, http.StatusRequestTimeout, 9},
		"a beginning":    {[]string{"["}, http.StatusRequestTimeout, 9},
		"piece by piece": {[]string{"[", "1", ",", "2", ",", "3", ",", "4", "]"}, http.StatusOK, 9},
		"none":           {nil, http.StatusOK, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", web.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", test.length)
			for _, part := range test.parts {
				time.Sleep(bodyTimeout / 5)
				io.WriteString(conn, part)
			}
			_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || res.StatusCode != test.status {
				t.Errorf("%v, %v", res, err)
			}
		})
	}
}
