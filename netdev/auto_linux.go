package netdev

import (
	"encoding/binary"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// hostTUNs asks the kernel for its TUN and TAP interfaces, in this network
// namespace, sorted by name (rtnetlink(7), RTM_GETLINK).
func hostTUNs() ([]hostTUN, error) {
	var list []hostTUN
	err := eachHostLink(func(_ *hostLink, attrs []byte) {
		if t, ok := parseHostTUN(attrs); ok {
			list = append(list, t)
		}
	})
	if err != nil {
		return nil, errnoOf(err)
	}
	slices.SortFunc(list, func(a, b hostTUN) int { return strings.Compare(a.name, b.name) })
	return list, nil
}

// hostTUNOf returns the TUN or TAP interface of that name, and whether there is
// one.
func hostTUNOf(name string) (hostTUN, bool) {
	all, _ := hostTUNs()
	for _, t := range all {
		if t.name == name {
			return t, true
		}
	}
	return hostTUN{}, false
}

// Attributes of IFLA_INFO_DATA for the kind "tun" (linux/if_link.h).
const (
	iflaTunOwner   = 1
	iflaTunGroup   = 2
	iflaTunType    = 3
	iflaTunPI      = 4
	iflaTunVnet    = 5
	iflaTunPersist = 6
	iflaTunMulti   = 7
)

// parseHostTUN reads the attributes of one interface and reports whether it is
// a TUN or TAP.
func parseHostTUN(attrs []byte) (t hostTUN, ok bool) {
	t.owner, t.group = -1, -1
	kind := ""
	var data []byte
	eachAttr(attrs, func(typ int, v []byte) {
		switch typ {
		case unix.IFLA_IFNAME:
			t.name = text(v)
		case unix.IFLA_CARRIER: // there while a process has the interface open
			t.used = len(v) > 0 && v[0] != 0
		case unix.IFLA_LINKINFO:
			eachAttr(v, func(typ int, v []byte) {
				switch typ {
				case unix.IFLA_INFO_KIND:
					kind = text(v)
				case unix.IFLA_INFO_DATA:
					data = v
				}
			})
		}
	})
	eachAttr(data, func(typ int, v []byte) {
		switch {
		case typ == iflaTunOwner && len(v) >= 4:
			t.owner = int(int32(binary.NativeEndian.Uint32(v)))
		case typ == iflaTunGroup && len(v) >= 4:
			t.group = int(int32(binary.NativeEndian.Uint32(v)))
		case typ == iflaTunType && len(v) >= 1:
			t.tap = v[0] == unix.IFF_TAP
		case typ == iflaTunPersist && len(v) >= 1:
			t.persistent = v[0] != 0
		case typ == iflaTunPI && len(v) >= 1:
			t.pi = v[0] != 0
		case typ == iflaTunVnet && len(v) >= 1:
			t.vnet = v[0] != 0
		case typ == iflaTunMulti && len(v) >= 1:
			t.multi = v[0] != 0
		}
	})
	return t, kind == "tun" && t.name != ""
}

// eachAttr calls f for each attribute of a list as netlink(7) has them; it
// stops at one that is cut short.
func eachAttr(b []byte, f func(typ int, value []byte)) {
	for len(b) >= unix.SizeofNlAttr {
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofNlAttr || n > len(b) {
			return
		}
		f(int(binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER)), b[unix.SizeofNlAttr:n])
		b = b[min((n+3)&^3, len(b)):]
	}
}

// text is a string of the kernel without the NUL at its end.
func text(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}
