// Package testnet_test proves that hosts in virtual time repeat: the same seed
// gives the same packets, whatever the scheduler does.
package testnet_test

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usersock/internal/virtual"
	"usersock/netdev"
	"usersock/resolver"
	"usersock/sockapi"
	"usersock/stack"
	"usersock/stack/endpoint"
)

// wire describes the link between the two hosts of a world. Loss is a
// fraction, of each direction.
type wire struct {
	delay time.Duration
	loss  float64
}

// A world is two hosts on one link in virtual time, inside a bubble.
type world struct {
	t      *testing.T
	seed   uint64
	wire   wire
	learns bool // host 1 has its addresses by DHCP
	driver *virtual.Driver
	nodes  [2]*virtual.Node
	stacks [2]*stack.Stack
	nets   [2]*sockapi.Net
	mu     sync.Mutex
	ends   [2]*virtual.Port                 // guarded by mu: carry reads them
	begin  []func()                         // what task was given, until the driver runs
	tap    func(host int, p virtual.Packet) // sees what the link carries; may be nil
	tasks  sync.WaitGroup

	// Only the driver's goroutine has these until it has stopped.
	trace   hash.Hash
	packets [2]int // by host
	looped  int    // on loopback interfaces
	lost    int
}

// outcome is what is left of a world.
type outcome struct {
	trace   [sha256.Size]byte
	packets [2]int
	looped  int
	lost    int
	elapsed time.Duration // virtual
	stats   virtual.Stats
}

var hostNames = [2]string{"alpha", "beta"}

// addrs are the addresses of the hosts: 192.0.2.1 and .2, 2001:db8::1 and ::2.
func addrs(i int) []netip.Prefix {
	last := byte(i + 1)
	return []netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, last}), 24),
		netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 15: last}), 64),
	}
}

// run makes a world in a bubble of its own, lets programs run in it, waits for
// them to end and closes everything. programs starts tasks by w.task; it may
// also set up sockets, as long as it does not wait.
func run(t *testing.T, seed uint64, link wire, programs func(w *world)) outcome {
	t.Helper()
	return runWith(t, seed, link, func(*world) {}, programs)
}

// runWith is run with a world that change has changed.
func runWith(t *testing.T, seed uint64, link wire, change, programs func(w *world)) outcome {
	t.Helper()
	var out outcome
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, seed, link)
		change(w)
		defer w.close()
		for host := range hostNames {
			if err := w.boot(host); err != nil {
				t.Fatal(err)
			}
		}
		programs(w)
		w.driver.Start()
		for _, program := range w.begin {
			w.tasks.Go(program)
		}
		w.tasks.Wait()
		out.elapsed = w.driver.Now()
		w.driver.Stop()
		w.trace.Sum(out.trace[:0])
		out.packets, out.looped, out.lost, out.stats = w.packets, w.looped, w.lost, w.driver.Stats()
	})
	return out
}

// newWorld makes the driver; boot makes the hosts.
func newWorld(t *testing.T, seed uint64, link wire) *world {
	w := &world{t: t, seed: seed, wire: link, trace: sha256.New()}
	w.driver = virtual.NewDriver(virtual.Config{
		Seed:   seed,
		Clock:  endpoint.SystemClock(),
		Settle: synctest.Wait,
		Carry:  w.carry,
	})
	return w
}

// boot starts a host, for the first time or anew.
func (w *world) boot(host int) error {
	node := w.driver.Node(hostNames[host])
	end := node.Port(1500)
	in := stack.Interface{Name: "eth0", Link: netdev.FromDevice(end, netdev.DeviceConfig{Direct: true}), Addrs: addrs(host)}
	if w.learns && host == 1 {
		in.Addrs, in.Auto = nil, stack.Auto{DHCPv4: true}
	}
	st, err := stack.New(stack.Config{Hostname: node.Name(), Clock: node, Interfaces: []stack.Interface{in}})
	if err != nil {
		return err
	}
	w.nodes[host], w.stacks[host] = node, st
	w.mu.Lock()
	w.ends[host] = end
	w.mu.Unlock()
	w.nets[host], err = sockapi.New(sockapi.Config{
		Stack: st,
		Resolver: resolver.Config{
			Hosts:      "192.0.2.1 alpha\n192.0.2.2 beta\n",
			ResolvConf: "nameserver 192.0.2.2\noptions attempts:3 timeout:2\n",
		},
	})
	return err
}

// crash ends a host. Its connections are reset.
func (w *world) crash(host int) error {
	var errs []error
	if w.stacks[host] != nil {
		errs = append(errs, w.stacks[host].Close())
	}
	if w.nets[host] != nil {
		errs = append(errs, w.nets[host].Close())
	}
	return errors.Join(errs...)
}

// close stops the driver, if something failed before, and ends the hosts.
func (w *world) close() {
	w.driver.Stop()
	for host := range hostNames {
		if err := w.crash(host); err != nil {
			w.t.Error(err)
		}
	}
}

// task starts a program on a host. Tasks begin one after the other, by host
// and name: each goes on until it waits before the next begins.
func (w *world) task(host int, name string, program func(n *sockapi.Net)) {
	w.begin = append(w.begin, func() {
		w.nodes[host].Admit(virtual.Key{FD: -1, What: name})
		program(w.nets[host])
	})
}

// carry is the link: it records the packet, and loses or delays it.
func (w *world) carry(p virtual.Packet) {
	host := 0
	if p.From.Node().Name() == hostNames[1] { // a host that came back has a new number
		host = 1
	}
	var head [24]byte
	binary.BigEndian.PutUint64(head[0:], uint64(w.driver.Now()))
	binary.BigEndian.PutUint32(head[8:], uint32(p.From.Node().Index()))
	binary.BigEndian.PutUint32(head[12:], uint32(p.From.Index()))
	binary.BigEndian.PutUint64(head[16:], uint64(len(p.Bytes)))
	w.trace.Write(head[:])
	w.trace.Write(p.Bytes)
	if p.From.IsLoopback() {
		w.looped++
		return
	}
	w.packets[host]++
	if w.tap != nil {
		w.tap(host, p)
	}
	if virtual.Fraction(virtual.Draw(w.seed, 0, host, p.Flow, p.Nth, 0)) < w.wire.loss {
		w.lost++
		return
	}
	w.mu.Lock()
	to := w.ends[1-host]
	w.mu.Unlock()
	to.Deliver(w.wire.delay, p.Bytes)
}

func (o outcome) String() string {
	return fmt.Sprintf("trace %x, packets %v + %d looped, %d lost, %v, %+v", o.trace[:6], o.packets, o.looped, o.lost, o.elapsed, o.stats)
}

// same lets f make the same run n times, several at once, and fails unless all
// outcomes are equal; it returns the outcome.
func same(t *testing.T, n int, f func(t *testing.T) outcome) outcome {
	t.Helper()
	outcomes := make([]outcome, n)
	ok := t.Run("runs", func(t *testing.T) {
		for i := range outcomes {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				outcomes[i] = f(t)
			})
		}
	})
	if !ok {
		t.FailNow()
	}
	first := outcomes[0]
	t.Log(first)
	different := 0
	for _, o := range outcomes {
		if o.stats.Ties != 0 {
			t.Errorf("chance decided %d times who passes the gate", o.stats.Ties)
		}
		o.stats = first.stats // how often the driver looked is no matter
		if o == first {
			continue
		}
		if different++; different <= 3 {
			t.Log("differs:", o)
		}
	}
	if different != 0 {
		t.Errorf("%d of %d runs differ from the first", different, n)
	}
	return first
}
