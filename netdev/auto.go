package netdev

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"usersock/stack/endpoint"
)

// AutoFD is the environment variable that names the descriptor of an inherited
// TUN or TAP interface, such as 3, for [Auto].
const AutoFD = "USERSOCK_FD"

// Auto opens the best link that this process may have without making or
// changing anything on the host, and says in one line what it chose and why
// the better ones were not. It tries, in this order:
//
//  1. the descriptor that the environment variable [AutoFD] names;
//  2. a persistent TUN or TAP interface that an administrator made for this
//     user or one of its groups, and that nobody uses: the first by name;
//  3. passt, if it is installed and starts;
//  4. memory: a link without another end. The stack then reaches itself alone.
//
// What there is and does not work is named in the line, and the next one is
// tried. A variable [AutoFD] that is set to something unusable is an error: its
// owner meant it.
func Auto() (Link, string, error) { return auto(hostChoices()) }

// A choice is one kind of link that Auto may take.
type choice struct {
	kind string
	// specs returns the links of this kind to try, best first, or why there
	// are none.
	specs func() ([]string, error)
	must  bool // a failure to open one is the end
}

func auto(choices []choice) (Link, string, error) {
	var why []string
	for _, c := range choices {
		specs, err := c.specs()
		for _, spec := range specs {
			var l Link
			if l, err = Open(spec); err == nil {
				return l, chosen(spec, why), nil
			}
			if c.must {
				return nil, "", fmt.Errorf("netdev: auto: %s: %w", c.kind, err)
			}
		}
		why = append(why, fmt.Sprintf("no %s (%s)", c.kind, strings.TrimPrefix(err.Error(), "netdev: ")))
	}
	return lonely(), chosen("memory, where nobody else is", why), nil
}

const autoPrefix = "auto: "

func chosen(what string, why []string) string {
	if len(why) == 0 {
		return autoPrefix + what
	}
	return autoPrefix + what + ", because there is " + strings.Join(why, ", ")
}

// lonely returns a link whose other end nobody has.
func lonely() Link {
	a, b := Pair(PairConfig{})
	Close(b)
	a.Wire().Text = "memory, without another end"
	return a
}

// hostChoices are the links that this host may offer.
func hostChoices() []choice {
	return []choice{
		{kind: "inherited descriptor", must: true, specs: func() ([]string, error) {
			fd := os.Getenv(AutoFD)
			if fd == "" {
				return nil, errors.New(AutoFD + " is not set")
			}
			return []string{"fd:" + fd}, nil
		}},
		{kind: "persistent TUN", specs: func() ([]string, error) {
			all, err := hostTUNs()
			if err != nil {
				return nil, err
			}
			return ownTUNs(all, os.Geteuid(), groups())
		}},
		{kind: "passt", specs: func() ([]string, error) {
			if _, err := exec.LookPath("passt"); err != nil {
				return nil, errors.New("it is not installed")
			}
			return []string{"passt:"}, nil
		}},
	}
}

// hostTUN is a TUN or TAP interface of the host, as its kernel describes it.
type hostTUN struct {
	name         string
	tap          bool
	persistent   bool
	pi, vnet     bool // flags of whoever opened it last
	multi        bool // several queues
	owner, group int  // -1: none
	used         bool // a process has it open
}

// ownTUNs returns the specs of the persistent interfaces that were made for
// this user and that nobody uses, or why there are none.
func ownTUNs(all []hostTUN, uid int, gids []int) (specs []string, err error) {
	var busy []string
	for _, t := range all {
		switch {
		case !t.persistent || !t.ours(uid, gids):
		case t.used:
			busy = append(busy, t.name)
		case t.tap:
			specs = append(specs, "tap:"+t.name)
		default:
			specs = append(specs, "tun:"+t.name)
		}
	}
	switch {
	case len(specs) > 0:
		return specs, nil
	case len(busy) > 0:
		return nil, fmt.Errorf("%s in use: %w", strings.Join(busy, ", "), endpoint.EBUSY)
	}
	return nil, fmt.Errorf("none belongs to user %d", uid)
}

// ours applies the kernel's rule (tun_not_capable) to a process without
// privileges, and wants an owner or group to be named.
func (t *hostTUN) ours(uid int, gids []int) bool {
	if t.owner == -1 && t.group == -1 || t.owner != -1 && t.owner != uid {
		return false
	}
	if t.group == -1 {
		return true
	}
	for _, g := range gids {
		if g == t.group {
			return true
		}
	}
	return false
}

// groups returns the groups of this process.
func groups() []int {
	gids, err := os.Getgroups()
	if err != nil {
		gids = nil
	}
	return append(gids, os.Getegid())
}

func openAutoSpec(arg string, _ SpecOptions) (Link, error) {
	if err := noName("auto", arg); err != nil {
		return nil, err
	}
	l, line, err := Auto()
	if err != nil {
		return nil, err
	}
	line = strings.TrimPrefix(line, autoPrefix)
	if text := Describe(l); text != "" {
		line += ": " + text
	}
	l.Wire().Text = line
	return l, nil
}
