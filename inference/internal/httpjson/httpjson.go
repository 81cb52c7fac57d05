// Package httpjson talks JSON with inference servers: bounded, without redirects, with the error kinds of package
// inference.
package httpjson

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
	"unicode"

	"pixano/inference"
)

const (
	maxAnswer = 512 << 20 // the features of a picture for SAM2 are 70 MB of JSON
	maxDetail = 500       // bytes of a server's explanation that go into an error
)

// Client sends requests to one server. It is safe for concurrent use.
type Client struct {
	base   string // without a slash at the end
	host   string // host:port
	http   *http.Client
	header http.Header
	secret string
}

// New makes a client for the server at a URL: http or https, a host, and maybe a path. header goes with every request.
// secret, if not empty, is kept out of errors. A nil client is one of New's own, which connects to no link-local address.
func New(rawURL string, header http.Header, secret string, client *http.Client) (*Client, error) {
	u, err := url.Parse(rawURL)
	switch {
	case err != nil:
		return nil, inference.Errorf(inference.ErrInvalidRequest, "not a URL: want http://HOST:PORT") // its text may hold a password
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, inference.Errorf(inference.ErrInvalidRequest, "%q: want http://HOST:PORT or https://HOST:PORT", u.Redacted())
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, inference.Errorf(inference.ErrInvalidRequest, "%q: want a URL without user, query and fragment", u.Redacted())
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := checkAddress(addr); err != nil {
			return nil, err
		}
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if client == nil {
		client = defaultClient
	}
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	own.Timeout = 0 // contexts limit the time
	return &Client{
		base:   strings.TrimRight(u.Scheme+"://"+u.Host+u.EscapedPath(), "/"),
		host:   net.JoinHostPort(u.Hostname(), port),
		http:   &own,
		header: header,
		secret: secret,
	}, nil
}

// Host returns host and port of the server.
func (c *Client) Host() string { return c.host }

// URL returns the server's URL.
func (c *Client) URL() string { return c.base }

// Close closes connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

var defaultClient = &http.Client{Transport: &http.Transport{
	Proxy: http.ProxyFromEnvironment,
	DialContext: (&net.Dialer{
		Timeout: 10 * time.Second,
		// Here names have been looked up, so that none of them leads to such an address either.
		Control: func(_, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return err
			}
			return checkAddress(to.Addr())
		},
	}).DialContext,
	TLSHandshakeTimeout: 10 * time.Second,
	IdleConnTimeout:     time.Minute,
	MaxIdleConnsPerHost: 16,
	ForceAttemptHTTP2:   true,
}}

// cloudMetadata is where a cloud gives its machines their secrets over IPv6. Over IPv4 that is a link-local address.
var cloudMetadata = netip.MustParseAddr("fd00:ec2::254")

func checkAddress(addr netip.Addr) error {
	addr = addr.Unmap().WithZone("")
	if addr.IsLinkLocalUnicast() || addr.IsLinkLocalMulticast() || addr.IsMulticast() || addr == cloudMetadata {
		return inference.Errorf(inference.ErrConnection, "%s is refused: link-local and multicast addresses are no inference servers", addr)
	}
	return nil
}

// Do sends a request with in as its JSON body, none for nil, and decodes the JSON answer into out, if that is not nil.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	resp, err := c.Send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return c.failure(ctx, err)
	case len(body) > maxAnswer:
		return inference.Errorf(inference.ErrInvalidResponse, "an answer of more than %d bytes", maxAnswer)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return inference.Errorf(inference.ErrInvalidResponse, "the answer is no JSON as wanted: %v: %s", err, c.excerpt(body))
	}
	return nil
}

// Send sends a request and returns the answer, whose body the caller closes. An answer of another status than 2xx is an
// error.
func (c *Client) Send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("request: %w", err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+"/"+path, body)
	if err != nil {
		return nil, inference.Errorf(inference.ErrInvalidRequest, "%v", err)
	}
	for k, v := range c.header {
		req.Header[k] = v
	}
	req.Header.Set("Accept", "application/json, text/event-stream")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.failure(ctx, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	e := &inference.Error{Status: resp.StatusCode, Detail: c.detail(text), Err: kind(resp.StatusCode)}
	if resp.StatusCode/100 == 3 {
		e.Detail = "a redirect, which is not followed"
	}
	return nil, e
}

// failure is the error of a connection that was not made or that broke.
func (c *Client) failure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, inference.ErrConnection) {
		return err
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // the rest is the URL once more
	}
	return inference.Errorf(inference.ErrConnection, "no connection to %s: %s", c.base, c.clean(err.Error()))
}

// kind is the kind of error that a status stands for.
func kind(status int) error {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w: the server wants another API key", fs.ErrPermission)
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		return inference.ErrInvalidRequest
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return inference.ErrTaskNotSupported
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return inference.ErrTimeout
	case http.StatusBadGateway:
		return inference.ErrConnection
	}
	if status/100 == 3 {
		return inference.ErrConnection
	}
	return inference.ErrFailed
}

// detail is what an answer with an error says: the fields detail and error of its JSON, or its text.
func (c *Client) detail(body []byte) string {
	var fields struct {
		Detail, Error, Message json.RawMessage
	}
	if json.Unmarshal(body, &fields) != nil {
		return c.excerpt(body)
	}
	var parts []string
	for _, raw := range []json.RawMessage{fields.Detail, fields.Error, fields.Message} {
		if text := words(raw); text != "" {
			parts = append(parts, text)
		}
	}
	return c.clean(strings.Join(parts, " - "))
}

// words is a JSON text as it is, the message of an object that has one, and else the JSON.
func words(raw json.RawMessage) string {
	var text string
	if len(raw) == 0 || string(raw) == "null" || json.Unmarshal(raw, &text) == nil {
		return text
	}
	var object struct{ Message, Msg string }
	if json.Unmarshal(raw, &object) == nil && object.Message+object.Msg != "" {
		return object.Message + object.Msg
	}
	return string(raw)
}

func (c *Client) excerpt(body []byte) string {
	return c.clean(string(body[:min(len(body), 4*maxDetail)]))
}

// clean makes a text of a server fit for one line of an error: short, without control characters and without the secret.
func (c *Client) clean(text string) string {
	if c.secret != "" {
		text = strings.ReplaceAll(text, c.secret, "***")
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxDetail {
		text = strings.ToValidUTF8(text[:maxDetail], "") + "…"
	}
	return text
}
