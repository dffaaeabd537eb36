package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A work is one thing that is measured.
type work struct {
	name string
	what string
	do   func(*system, job) ([]value, error)
}

func (w work) title() string { return w.name }

var works = []work{
	{"stream", "one connection, one direction, writes of 61,440 bytes", func(s *system, j job) ([]value, error) { return stream(s, j, 1) }},
	{"stream4", "four connections, one direction each, writes of 61,440 bytes", func(s *system, j job) ([]value, error) { return stream(s, j, 4) }},
	{"pingpong", "one byte there and back over one connection, the median of all round trips", pingPong},
	{"connect", "connect, one byte there and back, close, one after the other", connect},
	{"udp", "datagrams of 1,400 bytes sent without pacing; what arrived", datagrams},
	{"idle", "an open connection, both ends, nobody reading; Go's memory only, not the kernel's", idle},
}

// A job says how much of a work to do.
type job struct {
	time   time.Duration
	verify bool // check every byte of streams, which costs time
}

const (
	writeSize = 61440     // 65,536 would leave a segment of 50 bytes behind each write
	readSize  = 256 << 10 // as much as io.Copy's users commonly give
	datagram  = 1400      // fits an Ethernet frame
	maxOpened = 20000     // of one measurement: closed connections keep their port for a minute
	idlePairs = 500       // of one measurement
)

// block is what streams carry over and over: no two neighbours alike, and no
// period that divides its length.
func block() []byte {
	b := make([]byte, writeSize)
	for i := range b {
		b[i] = byte(i*31 + i/251)
	}
	return b
}

// stream measures bytes received, from the first write to the end of the last
// stream, over several connections at a time.
func stream(s *system, j job, conns int) ([]value, error) {
	l, err := s.listen()
	if err != nil {
		return nil, err
	}
	defer l.Close()
	var senders, receivers []conn
	defer func() { closeAll(append(senders, receivers...)) }()
	for range conns {
		c, d, err := join(s, l)
		if err != nil {
			return nil, err
		}
		senders, receivers = append(senders, c), append(receivers, d)
	}
	var g group
	var sent, received atomic.Int64
	start, busy := time.Now(), processTime()
	for i := range conns {
		g.goDo(func() error {
			n, err := sendFor(senders[i], j.time)
			sent.Add(n)
			return err
		})
		g.goDo(func() error {
			n, err := drain(receivers[i], j.verify)
			received.Add(n)
			if err != nil {
				receivers[i].Close() // ends the sender too
			}
			return err
		})
	}
	if err := g.wait(); err != nil {
		return nil, err
	}
	took := time.Since(start)
	if sent.Load() != received.Load() {
		return nil, fmt.Errorf("sent %d bytes, received %d", sent.Load(), received.Load())
	}
	values := []value{{unit: "Gbit/s", n: float64(received.Load()) * 8 / 1e9 / took.Seconds()}}
	if busy = processTime() - busy; busy > 0 {
		values = append(values, value{unit: "CPU s/GB", n: busy.Seconds() / (float64(received.Load()) / 1e9), fewer: true})
	}
	return values, nil
}

// sendFor writes blocks for a while and then closes the connection.
func sendFor(c conn, d time.Duration) (n int64, err error) {
	b := block()
	for start := time.Now(); time.Since(start) < d; {
		m, err := c.Write(b)
		n += int64(m)
		if err != nil {
			return n, errors.Join(err, c.Close())
		}
	}
	return n, c.Close()
}

// drain reads to the end of the stream.
func drain(c conn, verify bool) (n int64, err error) {
	b, want := make([]byte, readSize), block()
	for {
		m, err := c.Read(b)
		if verify {
			for got := b[:m]; len(got) > 0; {
				at := int(n % writeSize)
				k := min(len(got), writeSize-at)
				if !bytes.Equal(got[:k], want[at:at+k]) {
					return n, fmt.Errorf("wrong bytes between %d and %d", n, n+int64(k))
				}
				got, n = got[k:], n+int64(k)
			}
		} else {
			n += int64(m)
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// pingPong measures round trips of one byte.
func pingPong(s *system, j job) ([]value, error) {
	l, err := s.listen()
	if err != nil {
		return nil, err
	}
	defer l.Close()
	c, d, err := join(s, l)
	if err != nil {
		return nil, err
	}
	defer closeAll([]conn{c, d})
	var g group
	g.goDo(func() error { return echo(d) })
	trips := make([]time.Duration, 0, 1<<16)
	g.goDo(func() error {
		b := make([]byte, 1)
		for start := time.Now(); len(trips) == 0 || time.Since(start) < j.time; {
			before := time.Now()
			if err := exchange(c, b, byte(len(trips))); err != nil {
				return errors.Join(err, c.Close())
			}
			trips = append(trips, time.Since(before))
		}
		return c.Close()
	})
	if err := g.wait(); err != nil {
		return nil, err
	}
	slices.Sort(trips)
	return []value{{unit: "µs", n: float64(trips[len(trips)/2].Nanoseconds()) / 1e3, fewer: true}}, nil
}

// exchange sends the byte x and waits for it to come back.
func exchange(c conn, b []byte, x byte) error {
	b[0] = x
	if _, err := c.Write(b); err != nil {
		return err
	}
	b[0] = ^x
	if _, err := io.ReadFull(c, b); err != nil {
		return err
	}
	if b[0] != x {
		return fmt.Errorf("sent %#x, got %#x back", x, b[0])
	}
	return nil
}

// echo sends back single bytes until the other end closes.
func echo(c conn) error {
	b := make([]byte, 1)
	for {
		if _, err := c.Read(b); err == io.EOF {
			return c.Close()
		} else if err != nil {
			return err
		}
		if _, err := c.Write(b); err != nil {
			return err
		}
	}
}

// connect measures whole connections, one after the other.
func connect(s *system, j job) ([]value, error) {
	l, err := s.listen()
	if err != nil {
		return nil, err
	}
	var served int
	var g group
	ended := make(chan struct{})
	g.goDo(func() error {
		for {
			d, err := l.Accept()
			if err != nil {
				select {
				case <-ended:
					return nil
				default:
					return err
				}
			}
			served++
			if err := echo(d); err != nil {
				return errors.Join(err, l.Close()) // ends the other side too
			}
		}
	})
	b := make([]byte, 1)
	once := func(number int) error {
		c, err := s.dial(l)
		if err != nil {
			return err
		}
		err = exchange(c, b, byte(number))
		return errors.Join(err, c.Close())
	}
	// One before the clock starts: the kernel may lose the first packet over
	// a TUN that has just been opened, and a second with it.
	err = once(0)
	made := 1
	var took time.Duration
	for start := time.Now(); err == nil && made < maxOpened && (took < j.time || made == 1); made++ {
		err = once(made)
		took = time.Since(start)
	}
	close(ended)
	l.Close()
	if err = errors.Join(err, g.wait()); err != nil {
		return nil, err
	}
	if served != made {
		return nil, fmt.Errorf("made %d connections, served %d", made, served)
	}
	return []value{{unit: "conn/s", n: float64(made-1) / took.Seconds()}}, nil
}

// datagrams measures what arrives of what is sent as fast as the sender can.
// The first eight bytes of a datagram are its number; what arrives must be
// whole, intact, in order and not twice.
func datagrams(s *system, j job) ([]value, error) {
	c, d, err := s.datagrams()
	if err != nil {
		return nil, err
	}
	pattern := block()[:datagram]
	var g group
	var arrived atomic.Int64
	ended := make(chan struct{})
	g.goDo(func() error {
		b := make([]byte, 1<<16)
		for last := int64(-1); ; {
			n, err := d.Read(b)
			if err != nil {
				select {
				case <-ended:
					return nil
				default:
					return err
				}
			}
			if n != datagram || j.verify && !bytes.Equal(b[8:n], pattern[8:]) {
				return fmt.Errorf("a datagram of %d bytes is not the one sent", n)
			}
			number := int64(binary.BigEndian.Uint64(b))
			if number <= last {
				return fmt.Errorf("datagram %d after %d", number, last)
			}
			last = number
			arrived.Add(1)
		}
	})
	b := bytes.Clone(pattern)
	sent := uint64(0)
	start := time.Now()
	for time.Since(start) < j.time && err == nil {
		for range 64 {
			binary.BigEndian.PutUint64(b, sent)
			if _, err = c.Write(b); err != nil {
				err = fmt.Errorf("send datagram %d: %w", sent, err)
				break
			}
			sent++
		}
	}
	took, n := time.Since(start), arrived.Load()
	close(ended)
	err = errors.Join(err, c.Close(), d.Close(), g.wait())
	if err != nil {
		return nil, err
	}
	if n == 0 || uint64(n) > sent {
		return nil, fmt.Errorf("sent %d datagrams, received %d", sent, n)
	}
	return []value{
		{unit: "kdatagram/s", n: float64(n) / 1e3 / took.Seconds()},
		{unit: "lost %", n: 100 * (1 - float64(n)/float64(sent)), fewer: true},
	}, nil
}

// idle measures the memory that open connections take.
func idle(s *system, _ job) ([]value, error) {
	l, err := s.listen()
	if err != nil {
		return nil, err
	}
	defer l.Close()
	// Warm up: what is made once does not count.
	c, d, err := join(s, l)
	if err != nil {
		return nil, err
	}
	all := []conn{c, d}
	defer func() { closeAll(all) }()
	all = slices.Grow(all, 2*idlePairs)
	heap, stacks := memory()
	for range idlePairs {
		c, d, err := join(s, l)
		if err != nil {
			return nil, err
		}
		all = append(all, c, d)
	}
	heap2, stacks2 := memory()
	runtime.KeepAlive(all)
	return []value{
		{unit: "KB of heap", n: (heap2 - heap) / 1e3 / idlePairs, fewer: true},
		{unit: "KB of stacks", n: (stacks2 - stacks) / 1e3 / idlePairs, fewer: true},
	}, nil
}

// memory returns the bytes in use after two collections: the second frees
// what finalizers and pools held on to.
func memory() (heap, stacks float64) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc), float64(m.StackInuse)
}

// join makes one connection and returns both ends.
func join(s *system, l listener) (c, d conn, err error) {
	var g group
	g.goDo(func() (err error) { d, err = l.Accept(); return err })
	c, err = s.dial(l)
	if err != nil {
		l.Close() // ends Accept
		return nil, nil, errors.Join(err, g.wait())
	}
	if err := g.wait(); err != nil {
		c.Close()
		return nil, nil, err
	}
	return c, d, nil
}

func closeAll(conns []conn) {
	for _, c := range conns {
		c.Close()
	}
}

// group runs functions and collects their errors.
type group struct {
	wg   sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

func (g *group) goDo(f func() error) {
	g.wg.Go(func() {
		if err := f(); err != nil {
			g.mu.Lock()
			g.errs = append(g.errs, err)
			g.mu.Unlock()
		}
	})
}

func (g *group) wait() error {
	g.wg.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	return errors.Join(g.errs...)
}
