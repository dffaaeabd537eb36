package virtual

import (
	"fmt"
	"math/rand"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usersock/stack/endpoint"
)

// bubble runs f with a driver in a bubble. f may start it.
func bubble(t *testing.T, carry func(Packet), f func(d *Driver)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := NewDriver(Config{Seed: 1, Clock: endpoint.SystemClock(), Settle: synctest.Wait, Carry: carry})
		defer d.Stop()
		f(d)
	})
}

func TestGateAdmitsInOrder(t *testing.T) {
	for seed := range int64(20) {
		bubble(t, nil, func(d *Driver) {
			a, b := d.Node("a"), d.Node("b")
			var want []string
			type call struct {
				node *Node
				key  Key
			}
			var calls []call
			for _, n := range []*Node{a, b} {
				for fd := 3; fd < 9; fd++ {
					calls = append(calls, call{n, Key{FD: fd, Dir: fd % 3}})
					want = append(want, fmt.Sprint(n.Name(), fd))
				}
			}
			rand.New(rand.NewSource(seed)).Shuffle(len(calls), func(i, j int) { calls[i], calls[j] = calls[j], calls[i] })
			var mu sync.Mutex
			var got []string
			d.Start()
			var wg sync.WaitGroup
			for _, c := range calls {
				wg.Go(func() {
					c.node.Admit(c.key)
					mu.Lock()
					defer mu.Unlock()
					got = append(got, fmt.Sprint(c.node.Name(), c.key.FD))
				})
			}
			wg.Wait()
			if !slices.Equal(got, want) {
				t.Errorf("admitted %v, want %v", got, want)
			}
			if s := d.Stats(); s.Ties != 0 || s.Admitted != uint64(len(want)) {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestTiesAreCounted(t *testing.T) {
	bubble(t, nil, func(d *Driver) {
		n := d.Node("a")
		d.Start()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { n.Admit(Key{FD: -1, What: "socket"}) })
		}
		wg.Wait()
		if s := d.Stats(); s.Ties != 2 {
			t.Errorf("three calls with one key in one round: %d ties, want 2", s.Ties)
		}
		// One after the other, nothing is left to chance.
		for range 3 {
			n.Admit(Key{FD: -1, What: "socket"})
		}
		if s := d.Stats(); s.Ties != 2 {
			t.Errorf("calls in different rounds: %d ties, want still 2", s.Ties)
		}
	})
}

func TestNobodyIsHeldWhileTheDriverDoesNotRun(t *testing.T) {
	bubble(t, nil, func(d *Driver) {
		n := d.Node("a")
		n.Admit(Key{}) // would never return
		d.Start()
		held := make(chan struct{})
		n.AfterFunc(0, d.wake)
		go func() {
			n.AttachPump(func() {})()
			close(held)
		}()
		<-held
		d.Stop()
		n.Admit(Key{})
		d.Stop()
	})
}

func TestTimeJumpsFromEventToEvent(t *testing.T) {
	bubble(t, nil, func(d *Driver) {
		a, b := d.Node("a"), d.Node("b")
		var got []string
		done := make(chan struct{})
		note := func(name string) func() {
			return func() { got = append(got, fmt.Sprint(name, " ", d.Now())) }
		}
		b.AfterFunc(time.Hour, note("b"))
		a.AfterFunc(time.Hour, note("a"))
		stopped := a.AfterFunc(time.Minute, note("stopped"))
		moved := a.AfterFunc(2*time.Hour, note("moved"))
		a.AfterFunc(-time.Second, note("late"))
		a.AfterFunc(100*24*time.Hour, func() { close(done) })
		if !stopped.Stop() || stopped.Stop() {
			t.Error("Stop reports that it prevented the call other than once")
		}
		moved.Reset(time.Second)
		before := a.Now()
		d.Start()
		<-done
		want := []string{"late 0s", "moved 1s", "a 1h0m0s", "b 1h0m0s"}
		if !slices.Equal(got, want) {
			t.Errorf("timers %v, want %v", got, want)
		}
		if passed := a.Now().Sub(before); passed != 100*24*time.Hour || a.Monotonic() != passed {
			t.Errorf("%v passed, and %v on the monotonic clock", passed, a.Monotonic())
		}
		if moved.Stop() {
			t.Error("a timer that has run was stopped")
		}
	})
}

func TestPacketsAreOrderedByPortAndFlow(t *testing.T) {
	var carried [][]string
	for range 20 {
		var got []string
		carry := func(p Packet) {
			got = append(got, fmt.Sprintf("%s%d %x %d %d", p.From.Node().Name(), p.From.Index(), p.Flow, p.Nth, p.Bytes[len(p.Bytes)-1]))
		}
		bubble(t, carry, func(d *Driver) {
			var wg sync.WaitGroup
			d.Start()
			for _, n := range []*Node{d.Node("a"), d.Node("b")} {
				for _, p := range []*Port{n.Port(1500), n.Port(1500)} {
					for flow := range byte(4) {
						wg.Go(func() {
							for i := range byte(5) {
								p.Send(append(ip4(6, flow, 9, 0, 0, 1, 1), i))
							}
						})
					}
				}
			}
			wg.Wait()
			d.Node("c").AfterFunc(0, func() {})
			synctestSettled(d)
		})
		if len(got) != 2*2*4*5 {
			t.Fatalf("%d packets", len(got))
		}
		carried = append(carried, got)
	}
	for _, got := range carried[1:] {
		if !slices.Equal(got, carried[0]) {
			t.Fatalf("order %v, then %v", carried[0], got)
		}
	}
	for i, line := range carried[0] {
		var name string
		var flow uint64
		var nth, last int
		if _, err := fmt.Sscanf(line, "%s %x %d %d", &name, &flow, &nth, &last); err != nil || nth != i%5 || last != nth {
			t.Errorf("packet %d: %s (%v)", i, line, err)
		}
	}
}

// synctestSettled returns when the driver has handled all that was there.
func synctestSettled(d *Driver) {
	done := make(chan struct{})
	d.Node("settled").AfterFunc(time.Nanosecond, func() { close(done) })
	<-done
}

func TestDeliver(t *testing.T) {
	var there *Port
	carry := func(p Packet) {
		if p.From != there && !p.From.IsLoopback() {
			there.Deliver(time.Duration(p.Bytes[len(p.Bytes)-1])*time.Millisecond, p.Bytes)
		}
	}
	bubble(t, carry, func(d *Driver) {
		a, b := d.Node("a"), d.Node("b")
		from := a.Port(1500)
		there = b.Port(1280)
		lo := a.Loopback(65536)
		if from.MTU() != 1500 || there.MTU() != 1280 || lo.MTU() != 65536 || !lo.IsLoopback() || from.IsLoopback() {
			t.Error("ports are not what was asked for")
		}
		pumps := 0
		stop := b.AttachPump(func() { pumps++ })
		var got []string
		there.Attach(func(p []byte) { got = append(got, fmt.Sprint("there ", p[len(p)-1], " ", d.Now())) })
		lo.Attach(func(p []byte) { got = append(got, fmt.Sprint("back ", p[len(p)-1], " ", d.Now())) })
		d.Start()
		buf := append(ip4(17, 1, 2, 0, 0, 1, 1), 20)
		from.Send(buf)
		buf[len(buf)-1] = 10 // Send has copied it
		from.Send(buf)
		lo.Send(buf)
		time.Sleep(time.Second)
		synctestSettled(d)
		want := []string{"back 10 0s", "there 10 10ms", "there 20 20ms"}
		if !slices.Equal(got, want) {
			t.Errorf("delivered %v, want %v", got, want)
		}
		if pumps < 2 {
			t.Errorf("%d pumps for two packets", pumps)
		}
		stop()
		there.Attach(nil)
		pumps = 0
		from.Send(buf)
		time.Sleep(time.Second)
		synctestSettled(d)
		if len(got) != 3 || pumps != 0 {
			t.Errorf("after the end: %v, %d pumps", got[3:], pumps)
		}
	})
}

// TestPumpPrecedesPrograms checks that what a stack has queued is processed
// before any waiting call goes on, and that the pump goes on until nothing is.
func TestPumpPrecedesPrograms(t *testing.T) {
	bubble(t, nil, func(d *Driver) {
		n := d.Node("a")
		queued := 0
		n.AttachPump(func() { queued = 0 })
		d.Start()
		for range 10 {
			n.Admit(Key{FD: 3})
			if queued != 0 {
				t.Fatal("a call was admitted while something was queued")
			}
			queued++
			n.Now() // as a stack does that takes a packet
		}
	})
}

func TestIncarnations(t *testing.T) {
	bubble(t, nil, func(d *Driver) {
		first, other, again := d.Node("a"), d.Node("b"), d.Node("a")
		if x, y, z := first.Source().Uint64(), other.Source().Uint64(), again.Source().Uint64(); x == y || x == z || y == z {
			t.Errorf("hosts share numbers: %x %x %x", x, y, z)
		}
		if first.Index() != 0 || again.Index() != 2 {
			t.Error("hosts are not numbered in order")
		}
	})
}

// TestSendAllocates bounds what a packet costs: its copy.
func TestSendAllocates(t *testing.T) {
	_, p, packet := sender()
	per := testing.AllocsPerRun(100, func() {
		for range 100 {
			p.Send(packet)
		}
		clear(p.node.out)
		p.node.out = p.node.out[:0]
	})
	if per > 101 {
		t.Errorf("%.0f allocations for 100 packets", per)
	}

}

func sender() (*Driver, *Port, []byte) {
	d := NewDriver(Config{Clock: endpoint.SystemClock(), Settle: func() {}})
	return d, d.Node("a").Port(1500), append(ip4(6, 1, 2, 0, 0, 1, 1), make([]byte, 1400)...)
}

func BenchmarkSend(b *testing.B) {
	_, p, packet := sender()
	b.ReportAllocs()
	for b.Loop() {
		p.Send(packet)
		if len(p.node.out) == 1000 {
			clear(p.node.out)
			p.node.out = p.node.out[:0]
		}
	}
}

// BenchmarkEvent has one timer that sets itself anew: what the driver costs an
// event, without a bubble.
func BenchmarkEvent(b *testing.B) {
	d := NewDriver(Config{Clock: endpoint.SystemClock(), Settle: func() {}})
	n := d.Node("a")
	var timer endpoint.Timer
	timer = n.AfterFunc(0, func() { timer.Reset(0) })
	b.ReportAllocs()
	for b.Loop() {
		// Not runDue: its batch would never end.
		d.mu.Lock()
		e := d.take()
		d.mu.Unlock()
		e.call()
		d.flush()
	}
}
