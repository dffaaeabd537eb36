package unix

import (
	"strings"

	"usersock/stack/endpoint"
)

// maxPath is the size of sun_path in struct sockaddr_un.
const maxPath = 108

// name is a key of the table of names. Path names are of no type: one that is
// taken by a stream is taken for datagrams too. Linux keeps abstract names
// apart by type.
type name struct {
	path string
	typ  int // 0 for a path name
}

// node is what a name stands for. A path name outlives its endpoint, as a
// file does; an abstract one does not.
type node struct {
	ep  *Endpoint // nil once that is closed
	typ int
}

// parseName checks an address to bind, connect or send to.
func parseName(a endpoint.Addr, typ int) (name, error) {
	if a.Family != endpoint.AF_UNIX {
		return name{}, endpoint.EAFNOSUPPORT
	}
	path := a.Path
	if path == "" || len(path) > maxPath {
		return name{}, endpoint.EINVAL
	}
	if path[0] == 0 {
		return name{path, typ}, nil
	}
	path, _, _ = strings.Cut(path, "\x00")
	return name{path, 0}, nil
}

// Bind implements endpoint.Endpoint. The empty path asks for an abstract name
// of five hexadecimal digits (autobind), which an endpoint that has a name
// keeps. Errors: EAFNOSUPPORT, EINVAL for a path over 108 bytes or an endpoint
// that has a name, EADDRINUSE, ENOSPC if autobind finds no free name.
func (e *Endpoint) Bind(a endpoint.Addr) error {
	f := e.family
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.state.Load() == closed {
		return endpoint.EBADF
	}
	if a.Family == endpoint.AF_UNIX && a.Path == "" {
		return f.autobind(e)
	}
	n, err := parseName(a, e.typ)
	if err != nil {
		return err
	}
	_, taken := f.names[n]
	bound := e.local.Load() != nil
	switch {
	case bound && (n.typ != 0 || !taken):
		return endpoint.EINVAL
	case taken:
		return endpoint.EADDRINUSE
	}
	f.give(e, n)
	return nil
}

// give names e. Called with f.mu held.
func (f *Family) give(e *Endpoint, n name) {
	e.node = &node{ep: e, typ: e.typ}
	e.name = n
	f.names[n] = e.node
	e.local.Store(&n.path)
}

// autobind gives e an abstract name, if it has none. Called with f.mu held.
func (f *Family) autobind(e *Endpoint) error {
	if e.local.Load() != nil {
		return nil
	}
	const digits = 0xFFFFF
	first := f.auto + 1
	if f.random != nil {
		first = uint32(f.random())
	}
	for i := range uint32(digits + 1) {
		f.auto = (first + i) & digits
		n := name{autoName(f.auto), e.typ}
		if _, taken := f.names[n]; !taken {
			f.give(e, n)
			return nil
		}
	}
	return endpoint.ENOSPC
}

// autoName returns the abstract name of five hexadecimal digits.
func autoName(n uint32) string {
	const hex = "0123456789abcdef"
	var b [6]byte
	for i := 5; i > 0; i-- {
		b[i] = hex[n&0xF]
		n >>= 4
	}
	return string(b[:])
}

// dropName ends e's hold on its name when it closes. Called with f.mu held.
func (f *Family) dropName(e *Endpoint) {
	if e.node == nil {
		return
	}
	e.node.ep = nil
	if e.name.typ != 0 && f.names[e.name] == e.node {
		delete(f.names, e.name)
	}
	e.node = nil
}

// find returns the endpoint of type typ that has the name: ENOENT for an
// unknown path name, ECONNREFUSED for an unknown abstract one or a path name
// whose endpoint is closed, EPROTOTYPE for one of another type. Called with
// f.mu held.
func (f *Family) find(n name, typ int) (*Endpoint, error) {
	there := f.names[n]
	switch {
	case there == nil && n.typ == 0:
		return nil, endpoint.ENOENT
	case there == nil || there.ep == nil:
		return nil, endpoint.ECONNREFUSED
	case there.typ != typ:
		return nil, endpoint.EPROTOTYPE
	}
	return there.ep, nil
}

// Unlink removes a path name, as unlink(2) does with a socket's file: the
// endpoint bound to it lives on without being found, and the name is free.
// ENOENT if there is none.
func (f *Family) Unlink(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := name{path, 0}
	if path == "" || path[0] == 0 || f.names[n] == nil {
		return endpoint.ENOENT
	}
	delete(f.names, n)
	return nil
}
