package stack_test

import (
	"errors"
	"io"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usersock/internal/virtual"
	"usersock/netdev"
	"usersock/sockapi"
	"usersock/stack"
	"usersock/stack/endpoint"
)

// What TestStallWithRACK transfers, and when it calls a transfer stalled.
const (
	rackBytes = 32 << 10
	rackLoss  = 0.2 // as little as 5 % will do, in far fewer transfers
	rackDelay = 20 * time.Millisecond
	rackQuiet = time.Hour // retransmissions are at most two minutes apart
)

// lossyHosts are a sender and a receiver in virtual time, on a link that loses
// packets. end ends them.
func lossyHosts(t *testing.T, seed uint64) (driver *virtual.Driver, stacks [2]*stack.Stack, nets [2]*sockapi.Net, end func()) {
	t.Helper()
	var ends [2]*virtual.Port
	driver = virtual.NewDriver(virtual.Config{
		Seed:   seed,
		Clock:  endpoint.SystemClock(),
		Settle: synctest.Wait,
		Carry: func(p virtual.Packet) {
			from := p.From.Node().Index()
			if p.From.IsLoopback() || virtual.Fraction(virtual.Draw(seed, 0, from, p.Flow, p.Nth, 0)) < rackLoss {
				return
			}
			ends[1-from].Deliver(rackDelay, p.Bytes)
		},
	})
	for i, name := range [...]string{"sender", "receiver"} {
		node := driver.Node(name)
		ends[i] = node.Port(1500)
		var err error
		stacks[i], err = stack.New(stack.Config{
			Clock: node,
			Interfaces: []stack.Interface{{
				Link:  netdev.FromDevice(ends[i], netdev.DeviceConfig{Direct: true}),
				Addrs: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), 24)},
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if nets[i], err = sockapi.New(sockapi.Config{Stack: stacks[i]}); err != nil {
			t.Fatal(err)
		}
	}
	return driver, stacks, nets, func() {
		driver.Stop()
		for i := range nets {
			nets[i].Close()
			stacks[i].Close()
		}
	}
}

// rackTransfer sends bytes from one host to another over a link that loses
// packets, all in virtual time. It reports whether the receiver waits for more
// an hour after the last byte, and in which states the sender is then.
func rackTransfer(t *testing.T, seed uint64, rack bool) (stalled bool, received int, sender []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		driver, stacks, nets, end := lossyHosts(t, seed)
		defer end()
		for _, st := range stacks {
			if err := st.SetRACK(rack); err != nil {
				t.Fatal(err)
			}
		}
		l, err := nets[1].Listen("tcp", "192.0.2.2:80")
		if err != nil {
			t.Fatal(err)
		}
		driver.Start()
		var programs sync.WaitGroup
		programs.Go(func() {
			s, _, err := l.(*sockapi.Listener).Socket().Accept()
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			s.Settimeout(rackQuiet)
			for {
				b, err := s.Recv(1 << 20)
				received += len(b)
				switch {
				case errors.Is(err, sockapi.ErrTimeout):
					stalled, sender = true, stacks[0].ConnStates()
					return
				case err != nil:
					t.Error(err)
					return
				case len(b) == 0:
					return
				}
			}
		})
		c, err := nets[0].Dial("tcp", "192.0.2.2:80")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(make([]byte, rackBytes)); err != nil {
			t.Error(err)
		}
		c.(*sockapi.Conn).CloseWrite()
		programs.Wait()
		if !stalled {
			if _, err := io.ReadAll(c); err != nil {
				t.Error(err)
			}
		}
		c.Close()
		l.Close()
	})
	return stalled, received, sender
}

// TestStallWithRACK is why Stack.tune turns RACK off. With it, some transfers
// over a link that loses packets stand still for ever: the sender is in
// FIN-WAIT1 with its FIN, and at times the last data, lost and nothing that would
// send them again. The same transfers end without RACK.
//
// When this fails because nothing stalls, netstack may have been repaired: try
// many more seeds, and then turn RACK on.
func TestStallWithRACK(t *testing.T) {
	const first, most, enough = 100, 400, 2
	stalls, seed := 0, uint64(first)
	for ; seed < first+most && stalls < enough; seed++ {
		if stalled, received, states := rackTransfer(t, seed, true); stalled {
			stalls++
			t.Logf("seed %d: the receiver has %d of %d bytes, the sender is in %v", seed, received, rackBytes, states)
			if !slices.Equal(states, []string{"FIN-WAIT1"}) {
				t.Errorf("seed %d: stalled in %v, want FIN-WAIT1", seed, states)
			}
		}
	}
	if stalls < enough {
		t.Errorf("%d of %d transfers stalled with RACK", stalls, most)
	}
	for again := uint64(first); again < seed; again++ {
		if stalled, received, states := rackTransfer(t, again, false); stalled || received != rackBytes {
			t.Errorf("seed %d without RACK: %d bytes of %d, the sender is in %v", again, received, rackBytes, states)
		}
	}
}
