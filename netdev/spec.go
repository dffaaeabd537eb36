package netdev

import (
	"fmt"
	"strings"

	"usersock/stack/endpoint"
)

// Spec is one kind of link that [Open] knows.
type Spec struct {
	Kind string // what stands before the colon
	Form string // how to write it, such as "tun:NAME"
	Text string // one sentence for a user
	open func(arg string) (Link, error)
}

// Specs returns the kinds of links that have a name, in the order in which
// they should be shown.
func Specs() []Spec {
	return []Spec{
		{"tun", "tun:NAME", "a TUN interface of this machine's kernel; it is made if there is none of that name", openTUNSpec},
		{"water", "water:NAME", "the same, opened by package water", openWaterSpec},
		{"mem", "mem", "memory of this process; it has two ends, so that only a program that runs both hosts can open it", openMemSpec},
	}
}

// Open opens a link by its name: one of the forms in [Specs]. An unknown kind
// is EINVAL, with the known ones in the error's text. "mem" is EINVAL too: a
// link in memory has two ends, and a program that runs both hosts asks [Pair]
// for them.
func Open(spec string) (Link, error) {
	kind, arg, _ := strings.Cut(spec, ":")
	var forms []string
	for _, s := range Specs() {
		if s.Kind == kind {
			return s.open(arg)
		}
		forms = append(forms, s.Form)
	}
	return nil, fmt.Errorf("netdev: unknown kind of link %q, known are %s: %w", spec, strings.Join(forms, ", "), endpoint.EINVAL)
}

func openTUNSpec(name string) (Link, error) {
	t, err := OpenTUN(name, TUNConfig{})
	if err != nil {
		return nil, err
	}
	return t, nil
}

func openWaterSpec(name string) (Link, error) {
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
	return t, nil
}

func openMemSpec(string) (Link, error) {
	return nil, fmt.Errorf("netdev: a link in memory joins two hosts of one process, and here is only one: "+
		"run both in one program, or use tun:NAME to reach the kernel: %w", endpoint.EINVAL)
}
