package sockapi

import (
	"fmt"

	"usersock/stack/endpoint"
)

// NameIndex is an interface of the host, one of if_nameindex's tuples.
type NameIndex struct {
	Index int
	Name  string
}

// IfNameindex lists the host's interfaces in the order of their indexes, the
// loopback interface included.
func (n *Net) IfNameindex() []NameIndex {
	var list []NameIndex
	for _, in := range n.stack.Interfaces() {
		list = append(list, NameIndex{in.Index, in.Name})
	}
	return list
}

// IfNametoindex returns the index of an interface; ENODEV if there is none of
// that name.
func (n *Net) IfNametoindex(name string) (int, error) {
	index, ok := n.stack.InterfaceIndex(name)
	if !ok {
		return 0, fail("if_nametoindex", nil, fmt.Errorf("no interface with this name (%q): %w", name, endpoint.ENODEV))
	}
	return index, nil
}

// IfIndextoname returns the name of an interface; ENXIO if there is none of
// that index.
func (n *Net) IfIndextoname(index int) (string, error) {
	name, ok := n.stack.InterfaceName(index)
	if !ok {
		return "", fail("if_indextoname", nil, fmt.Errorf("no interface with index %d: %w", index, endpoint.ENXIO))
	}
	return name, nil
}
