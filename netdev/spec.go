package netdev

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"usersock/stack/endpoint"
)

// Spec is one kind of link that [Open] knows.
type Spec struct {
	Kind string   // what stands before the colon
	Form string   // how to write it, such as "tun:NAME"
	Text string   // one sentence for a user
	Opts []string // the options that it takes, of those that Open lists
	open func(arg string, o SpecOptions) (Link, error)
}

// SpecOptions is what may follow the name of a link, after a question mark. The
// zero value means the defaults.
type SpecOptions struct {
	MTU    int              // mtu=N: the longest IP packet in bytes
	MAC    net.HardwareAddr // mac=XX:XX:XX:XX:XX:XX: the stack's own hardware address
	Queues int              // queues=N: how many queues, 1 to 256
	Path   string           // path=FILE: the device's node, or the program to start
	Listen bool             // listen: wait for peers, one at a time
	Share  bool             // share: the interface's own hardware address
}

// parseOptions reads "key=value&key=value", of the keys that spec takes.
func (s *Spec) parseOptions(text string) (o SpecOptions, err error) {
	if text == "" {
		return o, nil
	}
	seen := make(map[string]bool)
	for _, part := range strings.Split(text, "&") {
		key, value, given := strings.Cut(part, "=")
		switch {
		case !slices.Contains(s.Opts, key):
			known := "takes no options"
			if len(s.Opts) > 0 {
				known = "takes " + strings.Join(s.Opts, ", ")
			}
			return o, fmt.Errorf("unknown option %q: %s %s: %w", key, s.Form, known, endpoint.EINVAL)
		case seen[key]:
			return o, fmt.Errorf("option %q stands twice: %w", key, endpoint.EINVAL)
		}
		seen[key] = true
		switch key {
		case "mtu":
			o.MTU, err = specNumber(value, minMTU, maxPacket)
		case "queues":
			o.Queues, err = specNumber(value, 1, maxQueues)
		case "mac":
			if o.MAC, err = net.ParseMAC(value); err != nil {
				err = fmt.Errorf("%w: %w", err, endpoint.EINVAL)
			} else {
				err = checkHardwareAddr(o.MAC)
			}
		case "listen":
			if o.Listen = true; given {
				err = fmt.Errorf("it takes no value: %w", endpoint.EINVAL)
			}
		case "share":
			if o.Share = true; given {
				err = fmt.Errorf("it takes no value: %w", endpoint.EINVAL)
			}
		case "path":
			if o.Path = value; value == "" {
				err = fmt.Errorf("no path: %w", endpoint.EINVAL)
			}
		}
		if err != nil {
			return o, fmt.Errorf("option %s=%s: %w", key, value, err)
		}
	}
	return o, nil
}

// maxQueues is MAX_TAP_QUEUES of the kernel's TUN driver.
const maxQueues = 256

func specNumber(text string, least, most int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("want a number from %d to %d: %w", least, most, endpoint.EINVAL)
	}
	return n, nil
}

// Specs returns the kinds of links that have a name, in the order in which
// they should be shown.
func Specs() []Spec {
	return []Spec{
		{"tun", "tun:NAME", "a TUN interface of this machine's kernel; it is made if there is none of that name", []string{"mtu", "path", "queues"}, openTUNSpec},
		{"tap", "tap:NAME", "a TAP interface of this machine's kernel: the same with Ethernet", []string{"mtu", "path", "queues", "mac"}, openTAPSpec},
		{"fd", "fd:N", "a TUN or TAP interface that another process has opened, as descriptor N", []string{"mtu", "mac"}, openFDSpec},
		{"afpacket", "afpacket:NAME", "an Ethernet interface of this machine's kernel, such as one end of a veth pair, by a packet socket", []string{"mtu", "mac", "share"}, openAFPacketSpec},
		{"qemu", "qemu:ADDRESS", "Ethernet frames over a stream socket, with QEMU or passt; ADDRESS is a path with a slash, or HOST:PORT", []string{"mtu", "mac", "listen"}, openQEMUSpec},
		{"vfkit", "vfkit:PATH", "Ethernet frames over a Unix datagram socket, with vfkit, gvproxy or libkrun", []string{"mtu", "mac", "listen"}, openVfkitSpec},
		{"passt", "passt:", "the outside world by the program passt, which is started, and needs no privilege", []string{"mtu", "mac", "path"}, openPasstSpec},
		{"water", "water:NAME", "the same, opened by package water", nil, openWaterSpec},
		{"auto", "auto", "the best of these that this process may have without changing the host", nil, openAutoSpec},
		{"mem", "mem", "memory of this process; it has two ends, so that only a program that runs both hosts can open it", nil, openMemSpec},
	}
}

// Open opens a link by its name: one of the forms in [Specs], and perhaps
// options of that kind after a question mark, such as "tun:tun0?mtu=1400", more
// than one with "&" between them:
//
//	mtu=N     the longest IP packet in bytes, 68 to 65535
//	mac=ADDR  the stack's own hardware address; default a random one
//	queues=N  how many queues the interface has, 1 to 256; default 1
//	path=FILE the device's node, or the program to start
//	listen    wait for peers, one at a time, instead of connecting
//	share     use the hardware address of the interface itself
//
// An unknown kind is EINVAL, with the known ones in the error's text. "mem" is EINVAL too: a
// link in memory has two ends, and a program that runs both hosts asks [Pair]
// for them.
func Open(spec string) (Link, error) {
	name, opts, _ := strings.Cut(spec, "?")
	kind, arg, _ := strings.Cut(name, ":")
	var forms []string
	for _, s := range Specs() {
		if s.Kind == kind {
			o, err := s.parseOptions(opts)
			if err != nil {
				return nil, fmt.Errorf("netdev: link %q: %w", spec, err)
			}
			return s.open(arg, o)
		}
		forms = append(forms, s.Form)
	}
	return nil, fmt.Errorf("netdev: unknown kind of link %q, known are %s: %w", spec, strings.Join(forms, ", "), endpoint.EINVAL)
}

func openTUNSpec(name string, o SpecOptions) (Link, error) {
	t, err := OpenTUN(name, TUNConfig{MTU: o.MTU, Path: o.Path, Queues: o.Queues})
	if err != nil {
		return nil, err
	}
	return t, nil
}

func openTAPSpec(name string, o SpecOptions) (Link, error) {
	t, err := OpenTAP(name, TUNConfig{MTU: o.MTU, Path: o.Path, Queues: o.Queues, HardwareAddr: o.MAC})
	if err != nil {
		return nil, err
	}
	return t, nil
}

func openFDSpec(text string, o SpecOptions) (Link, error) {
	fd, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("netdev: %q is no descriptor, want fd:N with a number: %w", "fd:"+text, endpoint.EINVAL)
	}
	t, err := OpenFD(fd, FDConfig{MTU: o.MTU, HardwareAddr: o.MAC})
	if err != nil {
		return nil, err
	}
	return t, nil
}

func openWaterSpec(name string, _ SpecOptions) (Link, error) {
	err := checkWaterName(name)
	if err != nil {
		return nil, tunError(name, err)
	}
	file, name, err := openWater(name, TUNConfig{})
	if err != nil {
		return nil, tunError(name, err)
	}
	t, err := newTUN(file, name, 0)
	if err != nil {
		return nil, err
	}
	return &TUN{t}, nil
}

func openMemSpec(string, SpecOptions) (Link, error) {
	return nil, fmt.Errorf("netdev: a link in memory joins two hosts of one process, and here is only one: "+
		"run both in one program, or use tun:NAME to reach the kernel: %w", endpoint.EINVAL)
}
