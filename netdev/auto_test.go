package netdev

import (
	"errors"
	"strings"
	"testing"

	"usersock/stack/endpoint"
)

// TestAutoOrder: the first that opens is taken, and the line says why those
// before it were not.
func TestAutoOrder(t *testing.T) {
	none := func(why string) func() ([]string, error) {
		return func() ([]string, error) { return nil, errors.New(why) }
	}
	some := func(specs ...string) func() ([]string, error) {
		return func() ([]string, error) { return specs, nil }
	}
	for _, c := range []struct {
		choices []choice
		line    string
	}{
		{nil, "auto: memory, where nobody else is"},
		{[]choice{{kind: "descriptor", specs: none("X is not set")}, {kind: "passt", specs: none("it is not installed")}},
			"auto: memory, where nobody else is, because there is no descriptor (X is not set), no passt (it is not installed)"},
		{[]choice{{kind: "TUN", specs: some("nothing:a", "mem")}},
			"auto: memory, where nobody else is, because there is no TUN (a link in memory joins two hosts"},
	} {
		l, line, err := auto(c.choices)
		if err != nil || !strings.HasPrefix(line, c.line) || strings.Contains(line, "\n") {
			t.Errorf("%q, %v, want %q", line, err, c.line)
			continue
		}
		if Describe(l) == "" {
			t.Error("the link has no text")
		}
		Close(l)
	}
	_, _, err := auto([]choice{{kind: "inherited descriptor", must: true, specs: some("nothing:7")}})
	if !errors.Is(err, endpoint.EINVAL) || !strings.Contains(err.Error(), "inherited descriptor") {
		t.Errorf("a descriptor that was named and is none: %v", err)
	}
}

// TestOwnTUNs: the kernel's rule of who may open a persistent interface.
func TestOwnTUNs(t *testing.T) {
	all := []hostTUN{
		{name: "anybody", persistent: true, owner: -1, group: -1},
		{name: "group", persistent: true, owner: -1, group: 50},
		{name: "both", persistent: true, owner: 1000, group: 50, tap: true},
		{name: "mine", persistent: true, owner: 1000, group: -1},
		{name: "passing", owner: 1000, group: -1},
		{name: "used", persistent: true, used: true, owner: 1001, group: -1},
	}
	for _, c := range []struct {
		uid  int
		gids []int
		want string
	}{
		{1000, []int{50}, "tun:group tap:both tun:mine"},
		{1000, nil, "tun:mine"},
		{7, []int{1, 50}, "tun:group"},
		{1001, nil, "used in use: Device or resource busy"},
		{7, nil, "none belongs to user 7"},
	} {
		specs, err := ownTUNs(all, c.uid, c.gids)
		got := strings.Join(specs, " ")
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("user %d: %q, want %q", c.uid, got, c.want)
		}
	}
}
