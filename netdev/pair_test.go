package netdev

import (
	"fmt"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
)

const (
	aliceNet  = "192.0.2.1/24"
	bobNet    = "192.0.2.2/24"
	aliceNet6 = "2001:db8::1/64"
	bobNet6   = "2001:db8::2/64"
)

// alice and bob are two hosts at the ends of a pair.
func twoHosts(t testing.TB, cfg PairConfig) (alice, bob *host) {
	alice, bob = newHost(t), newHost(t)
	a, b := Pair(cfg)
	alice.attach(a, aliceNet, aliceNet6)
	bob.attach(b, bobNet, bobNet6)
	return alice, bob
}

func TestPairStream(t *testing.T) {
	for _, queued := range []bool{false, true} {
		for _, mtu := range []int{0, 1500, 1280} {
			for _, to := range []string{"192.0.2.2:7", "[2001:db8::2]:7"} {
				t.Run(fmt.Sprintf("queued=%v/mtu=%d/%s", queued, mtu, to), func(t *testing.T) {
					alice, bob := twoHosts(t, PairConfig{MTU: mtu, Queued: queued})
					transfer(t, alice, bob.listen(to), to, pattern(3<<20))
				})
			}
		}
	}
}

func TestPairDatagrams(t *testing.T) {
	for _, mtu := range []int{0, 1500} {
		for _, net := range [][2]string{{"192.0.2.1:9", "192.0.2.2:9"}, {"[2001:db8::1]:9", "[2001:db8::2]:9"}} {
			t.Run(fmt.Sprintf("mtu=%d/%s", mtu, net[1]), func(t *testing.T) {
				alice, bob := twoHosts(t, PairConfig{MTU: mtu})
				from, to := alice.udp(net[0]), bob.udp(net[1])
				for _, n := range []int{0, 1, 1400, 20000} {
					want := pattern(n)
					if err := from.sendTo(want, net[1]); err != nil {
						t.Fatalf("send %d bytes: %v", n, err)
					}
					got := make([]byte, 65536)
					if g := to.read(got); g != n || string(got[:g]) != string(want) {
						t.Fatalf("got %d bytes of %d, or others", g, n)
					}
				}
			})
		}
	}
}

// A port that nobody listens on is refused: the RST comes back inside Connect.
func TestPairRefused(t *testing.T) {
	alice, _ := twoHosts(t, PairConfig{})
	_, err := alice.dial("192.0.2.2:81")
	if _, ok := err.(*tcpip.ErrConnectionRefused); !ok {
		t.Fatalf("dial: %v, want connection refused", err)
	}
}
