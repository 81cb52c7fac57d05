package server

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// router finds the handler of a request by its method and path. Patterns are those of [http.ServeMux] without host:
// "GET /items/{dataset}/{id}", with {name...} for the rest of a path. Other than there, patterns may overlap: literal
// segments go before wildcards, from left to right, and a pattern that has the method before one that has not. Paths are
// not cleaned, so nothing is redirected, and segments are compared after unescaping, so an id may hold any character.
type router struct {
	root *node
	// otherwise answers where there is no route, or with allow, the methods that there are.
	otherwise func(w http.ResponseWriter, r *http.Request, allow []string)
}

type node struct {
	literal  map[string]*node
	wildcard *node
	rest     *node
	routes   map[string]*endpoint // by method
}

type endpoint struct {
	pattern string
	names   []string // of the wildcards
	handler http.HandlerFunc
}

// HandleFunc adds a route. A pattern that is there already, or makes no sense, panics: it is a mistake of this package.
func (rt *router) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	method, path, ok := strings.Cut(pattern, " ")
	if !ok || !strings.HasPrefix(path, "/") {
		panic("server: pattern " + pattern)
	}
	if rt.root == nil {
		rt.root = &node{}
	}
	n, e := rt.root, &endpoint{pattern: path, handler: handler}
	for segment := range strings.SplitSeq(path[1:], "/") {
		next := func(to **node) {
			if *to == nil {
				*to = &node{}
			}
			n = *to
		}
		name, wild := strings.CutPrefix(segment, "{")
		name, _ = strings.CutSuffix(name, "}")
		base, rest := strings.CutSuffix(name, "...")
		switch {
		case wild && rest:
			e.names = append(e.names, base)
			next(&n.rest)
		case wild:
			e.names = append(e.names, name)
			next(&n.wildcard)
		default:
			if n.literal == nil {
				n.literal = map[string]*node{}
			}
			if n.literal[segment] == nil {
				n.literal[segment] = &node{}
			}
			n = n.literal[segment]
		}
	}
	if n.routes == nil {
		n.routes = map[string]*endpoint{}
	}
	if n.routes[method] != nil {
		panic("server: two routes " + pattern)
	}
	n.routes[method] = e
}

// ServeHTTP answers a request by its route.
func (rt *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	segments, ok := split(r.URL)
	if !ok || rt.root == nil {
		rt.otherwise(w, r, nil)
		return
	}
	if e, values := rt.root.find(segments, r.Method, nil); e != nil {
		for i, name := range e.names {
			r.SetPathValue(name, values[i])
		}
		r.Pattern = e.pattern
		e.handler(w, r)
		return
	}
	var allow []string
	rt.root.methods(segments, &allow)
	slices.Sort(allow)
	rt.otherwise(w, r, slices.Compact(allow))
}

// split returns the unescaped segments of a path.
func split(u *url.URL) ([]string, bool) {
	path, ok := strings.CutPrefix(u.EscapedPath(), "/")
	if !ok {
		return nil, false
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if strings.IndexByte(s, '%') >= 0 {
			var err error
			if segments[i], err = url.PathUnescape(s); err != nil {
				return nil, false
			}
		}
	}
	return segments, true
}

// find returns the route of a path that has a method, and the values of its wildcards. No wildcard is empty.
func (n *node) find(segments []string, method string, values []string) (*endpoint, []string) {
	if len(segments) == 0 {
		if e := n.routes[method]; e != nil {
			return e, values
		}
		return nil, nil
	}
	if child := n.literal[segments[0]]; child != nil {
		if e, v := child.find(segments[1:], method, values); e != nil {
			return e, v
		}
	}
	if n.wildcard != nil && segments[0] != "" {
		if e, v := n.wildcard.find(segments[1:], method, append(slices.Clip(values), segments[0])); e != nil {
			return e, v
		}
	}
	if n.rest != nil {
		if e := n.rest.routes[method]; e != nil {
			return e, append(slices.Clip(values), strings.Join(segments, "/"))
		}
	}
	return nil, nil
}

// methods collects the methods of all routes of a path.
func (n *node) methods(segments []string, allow *[]string) {
	here := n
	if len(segments) > 0 {
		if child := n.literal[segments[0]]; child != nil {
			child.methods(segments[1:], allow)
		}
		if n.wildcard != nil && segments[0] != "" {
			n.wildcard.methods(segments[1:], allow)
		}
		if here = n.rest; here == nil {
			return
		}
	}
	for method := range here.routes {
		*allow = append(*allow, method)
	}
}
