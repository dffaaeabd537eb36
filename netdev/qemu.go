package netdev

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"usersock/netdev/internal/framing"
	"usersock/stack/endpoint"
)

// Theory of links over sockets.
//
// QEMU, passt, gvproxy, libkrun and others hand Ethernet frames to each other
// over a socket of the host. On a stream each frame has its length before it
// (package framing); on a Unix datagram socket a datagram is a frame (vfkit.go).
// Either peer may be the one that listens.
//
// A stack sends from inside its calls and must not wait for a peer that does not
// read. A frame cannot be written in half either. So frames go into a bounded
// queue, and a goroutine writes all that waits at once. What does not fit is
// dropped and counted as TxFailed, as a real interface does, and TCP slows down.
//
// A link that listens has one peer at a time; while it has none it is down, and
// what the stack sends is dropped. A link that has connected ends for good when
// its peer has gone.

// SocketConfig says how to use a socket as a link. Its zero value works.
type SocketConfig struct {
	// MTU is the longest IP packet in bytes, 68 to 65535; 0 is 1500. The peer
	// does not tell its own.
	MTU int

	// HardwareAddr is the stack's own address, 6 bytes, that of one station;
	// empty is a random one.
	HardwareAddr net.HardwareAddr

	// Listen waits for peers at the address, one at a time, instead of
	// connecting to one. The file of a Unix socket is removed at the close.
	Listen bool
}

func (cfg *SocketConfig) check(mtu int) error {
	if cfg.MTU == 0 {
		cfg.MTU = mtu
	}
	if cfg.MTU < minMTU || cfg.MTU > maxPacket {
		return fmt.Errorf("MTU %d is not within %d to %d: %w", cfg.MTU, minMTU, maxPacket, endpoint.EINVAL)
	}
	if len(cfg.HardwareAddr) == 0 {
		cfg.HardwareAddr = RandomHardwareAddr()
	}
	return checkHardwareAddr(cfg.HardwareAddr)
}

// OpenQEMU opens a link that speaks QEMU's stream framing, for "-netdev stream"
// and "-netdev socket" of QEMU, passt's socket, and others. addr is the path of a
// Unix socket of the host, with a slash in it, or HOST:PORT for TCP. The error
// keeps the host's number: ENOENT or ECONNREFUSED where nobody listens,
// EADDRINUSE where somebody does.
func OpenQEMU(addr string, cfg SocketConfig) (Link, error) {
	d, err := openQEMU(addr, &cfg)
	if err != nil {
		return nil, fmt.Errorf("netdev: qemu: %w", err)
	}
	return FromDevice(d, DeviceConfig{Direct: true, HardwareAddr: cfg.HardwareAddr}), nil
}

func openQEMU(addr string, cfg *SocketConfig) (*frameDevice, error) {
	if err := cfg.check(1500); err != nil {
		return nil, err
	}
	network := "tcp"
	if strings.Contains(addr, "/") {
		network = "unix"
	} else if err := checkHostPort(addr); err != nil {
		return nil, err
	}
	d := newFrameDevice(cfg.MTU)
	if cfg.Listen {
		l, err := net.Listen(network, addr)
		if err != nil {
			return nil, explainSocket("listen at", addr, err)
		}
		d.listener, d.text = l, fmt.Sprintf("frames of peers that connect to %s, MTU %d", addr, cfg.MTU)
		return d, nil
	}
	c, err := net.Dial(network, addr)
	if err != nil {
		return nil, explainSocket("connect to", addr, err)
	}
	d.conn, d.text = c, fmt.Sprintf("frames to %s, MTU %d", addr, cfg.MTU)
	return d, nil
}

const (
	// frameQueue bounds what waits for the peer, in bytes: some full windows.
	frameQueue = 8 << 20
	// frameRead is how much is read from a peer at a time.
	frameRead = 256 << 10
	// frameBatch is how many frames one write takes.
	frameBatch = 64
)

// frameDevice is a [Device] over a stream of frames.
type frameDevice struct {
	mtu      int
	text     string
	listener net.Listener // nil: conn is the only peer
	gone     func() error // nil, or tells more of why the peer has gone

	frames sync.Pool // of *[]byte
	wake   chan struct{}
	tasks  sync.WaitGroup

	mu      sync.Mutex
	conn    net.Conn // the peer; nil: none
	waiting []*[]byte
	bytes   int
	started bool
	closed  bool
	deliver func([]byte)
	set     func(State)
}

var _ StatusDevice = (*frameDevice)(nil)

func newFrameDevice(mtu int) *frameDevice {
	return &frameDevice{mtu: mtu, wake: make(chan struct{}, 1), set: func(State) {}}
}

func (d *frameDevice) String() string { return d.text }

// MTU implements [Device].
func (d *frameDevice) MTU() int { return d.mtu }

// Watch implements [StatusDevice].
func (d *frameDevice) Watch(set func(State)) {
	d.set = set
	set(State{Up: d.listener == nil})
}

// Send implements [Device]. A frame is copied; the copy's memory is used again.
func (d *frameDevice) Send(frame []byte) error {
	buf, _ := d.frames.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	*buf = append(framing.AppendHeader((*buf)[:0], len(frame)), frame...)
	d.mu.Lock()
	if d.conn == nil || d.closed || d.bytes+len(*buf) > frameQueue {
		d.mu.Unlock()
		d.frames.Put(buf)
		return endpoint.ENOBUFS
	}
	d.waiting = append(d.waiting, buf)
	d.bytes += len(*buf)
	d.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default:
	}
	return nil
}

// Attach implements [Device].
func (d *frameDevice) Attach(deliver func([]byte)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deliver = deliver
	if deliver == nil || d.started {
		return
	}
	d.started = true
	if d.listener != nil {
		d.tasks.Go(d.accept)
	} else {
		conn := d.conn
		d.tasks.Go(func() { d.serve(conn) })
	}
}

// accept serves one peer after the other.
func (d *frameDevice) accept() {
	for {
		c, err := d.listener.Accept()
		if err != nil {
			d.mu.Lock()
			closed := d.closed
			d.mu.Unlock()
			if !closed {
				d.set(State{Err: fmt.Errorf("netdev: %s: accept: %w", d.text, hostError(err))})
			}
			return
		}
		d.mu.Lock()
		if d.closed {
			d.mu.Unlock()
			c.Close()
			return
		}
		d.conn = c
		d.mu.Unlock()
		d.set(State{Up: true})
		d.serve(c)
		d.set(State{})
	}
}

// serve moves frames both ways until the peer has gone or the device ends.
func (d *frameDevice) serve(c net.Conn) {
	done := make(chan struct{})
	var writer sync.WaitGroup
	var werr error
	writer.Go(func() { werr = d.write(c, done) })
	err := d.read(c)
	c.Close()
	close(done)
	writer.Wait()
	if errors.Is(err, net.ErrClosed) && werr != nil { // the writer has closed it
		err = werr
	}

	d.mu.Lock()
	d.conn = nil
	d.drop()
	closed := d.closed
	d.mu.Unlock()
	if closed || d.listener != nil {
		return
	}
	d.set(State{Err: fmt.Errorf("netdev: %s: %w", d.text, d.why(err))})
}

// why says how a peer has gone.
func (d *frameDevice) why(err error) error {
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("the peer has closed the connection: %w", endpoint.EPIPE)
	} else {
		err = endedBy("the peer has gone", err)
	}
	if d.gone != nil {
		if more := d.gone(); more != nil {
			err = fmt.Errorf("%w: %w", err, more)
		}
	}
	return err
}

func (d *frameDevice) read(c net.Conn) error {
	d.mu.Lock()
	deliver := d.deliver
	d.mu.Unlock()
	if deliver == nil {
		return net.ErrClosed
	}
	var s framing.Splitter
	buf := make([]byte, frameRead)
	for {
		n, err := c.Read(buf)
		if serr := s.Write(buf[:n], deliver); serr != nil {
			return fmt.Errorf("%w: %w", serr, endpoint.EPROTO)
		}
		if err != nil {
			return err
		}
	}
}

// write writes what waits until done. A frame that was begun is written to its
// end, or the connection is of no more use and closed.
func (d *frameDevice) write(c net.Conn, done <-chan struct{}) error {
	var batch []*[]byte
	var bufs net.Buffers
	for {
		d.mu.Lock()
		n := min(len(d.waiting), frameBatch)
		batch = append(batch[:0], d.waiting[:n]...)
		rest := copy(d.waiting, d.waiting[n:])
		clear(d.waiting[rest:])
		d.waiting = d.waiting[:rest]
		d.mu.Unlock()
		if n == 0 {
			select {
			case <-d.wake:
				continue
			case <-done:
				return nil
			}
		}
		all := bufs[:0]
		size := 0
		for _, b := range batch {
			all = append(all, *b)
			size += len(*b)
		}
		bufs = all // WriteTo moves its receiver along
		_, err := all.WriteTo(c)
		d.mu.Lock()
		d.bytes -= size
		d.mu.Unlock()
		for _, b := range batch {
			d.frames.Put(b)
		}
		if err != nil {
			c.Close() // so that the reader ends
			return err
		}
	}
}

// drop forgets what waits. It is called with d.mu held.
func (d *frameDevice) drop() {
	for i, b := range d.waiting {
		d.bytes -= len(*b)
		d.waiting[i] = nil
	}
	d.waiting = d.waiting[:0]
}

// Close implements [Device].
func (d *frameDevice) Close() error {
	d.mu.Lock()
	d.closed = true
	conn := d.conn
	d.mu.Unlock()
	if d.listener != nil {
		d.listener.Close()
	}
	if conn != nil {
		conn.Close()
	}
	d.tasks.Wait()
	return nil
}

func openQEMUSpec(addr string, o SpecOptions) (Link, error) {
	return OpenQEMU(addr, SocketConfig{MTU: o.MTU, HardwareAddr: o.MAC, Listen: o.Listen})
}
