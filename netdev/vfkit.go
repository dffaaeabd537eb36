//go:build !windows

package netdev

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"usersock/stack/endpoint"
)

// vfkitMagic is the first datagram to a peer, by which it knows that this is
// one: gvproxy waits for it, and it is too short to be a frame for others.
const vfkitMagic = "VFKT"

// OpenVfkit opens a link over a Unix datagram socket of the host, one Ethernet
// frame a datagram, as vfkit, gvproxy and libkrun have it. path is the peer's
// socket. This end has a socket of its own beside the host's temporary files, which
// is removed at the close. With Listen path is this end's own, and the peer is
// whoever sent last. EOPNOTSUPP on Windows.
//
// A datagram that does not fit the peer's queue is dropped and counted as
// TxFailed.
func OpenVfkit(path string, cfg SocketConfig) (Link, error) {
	d, err := openVfkit(path, &cfg)
	if err != nil {
		return nil, fmt.Errorf("netdev: vfkit: %w", err)
	}
	return FromDevice(d, DeviceConfig{Direct: true, HardwareAddr: cfg.HardwareAddr}), nil
}

func openVfkit(path string, cfg *SocketConfig) (*datagramDevice, error) {
	if err := cfg.check(1500); err != nil {
		return nil, err
	}
	if path == "" {
		return nil, fmt.Errorf("no path: %w", endpoint.EINVAL)
	}
	d := &datagramDevice{mtu: cfg.MTU, set: func(State) {}, listens: cfg.Listen}
	own := path
	if !cfg.Listen {
		dir, err := os.MkdirTemp("", "vfkit")
		if err != nil {
			return nil, err
		}
		d.dir, own = dir, filepath.Join(dir, "s")
		d.peer = &net.UnixAddr{Name: path, Net: "unixgram"}
	}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: own, Net: "unixgram"})
	if err != nil {
		os.RemoveAll(d.dir)
		return nil, explainSocket("bind to", own, err)
	}
	d.conn, d.own = c, own
	d.text = fmt.Sprintf("frames to %s, MTU %d", path, cfg.MTU)
	if cfg.Listen {
		d.text = fmt.Sprintf("frames of the peer that sends to %s, MTU %d", path, cfg.MTU)
		return d, nil
	}
	c.SetReadBuffer(datagramBuffer)
	c.SetWriteBuffer(datagramBuffer)
	if err := d.Send([]byte(vfkitMagic)); err != nil {
		d.Close()
		return nil, explainSocket("send to", path, err)
	}
	return d, nil
}

// datagramBuffer is what the host's sockets may hold, in bytes, if it lets us.
const datagramBuffer = 4 << 20

// datagramDevice is a [Device] over a Unix datagram socket.
type datagramDevice struct {
	mtu     int
	text    string
	listens bool
	conn    *net.UnixConn
	own     string // the path of our socket
	dir     string // a folder of ours, to be removed

	reader sync.WaitGroup

	mu      sync.Mutex
	peer    *net.UnixAddr // nil: not yet known
	started bool
	closed  bool
	deliver func([]byte)
	set     func(State)
}

var _ StatusDevice = (*datagramDevice)(nil)

func (d *datagramDevice) String() string { return d.text }

// MTU implements [Device].
func (d *datagramDevice) MTU() int { return d.mtu }

// Watch implements [StatusDevice].
func (d *datagramDevice) Watch(set func(State)) {
	d.set = set
	set(State{Up: !d.listens})
}

// Send implements [Device]. It does not wait for room.
func (d *datagramDevice) Send(frame []byte) error {
	d.mu.Lock()
	peer := d.peer
	d.mu.Unlock()
	if peer == nil {
		return endpoint.ENOTCONN
	}
	raw, err := d.conn.SyscallConn()
	if err != nil {
		return err
	}
	to := &syscall.SockaddrUnix{Name: peer.Name}
	var serr error
	err = raw.Write(func(fd uintptr) bool {
		serr = syscall.Sendto(int(fd), frame, 0, to)
		return true
	})
	if err == nil {
		err = serr
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT),
		errors.Is(err, syscall.EBADF): // the reader hears nothing of that
		d.lost(err)
	}
	return errnoOf(err)
}

// lost notes that nobody has the socket open any more: the peer its own, or we
// ours.
func (d *datagramDevice) lost(err error) {
	if d.listens && !errors.Is(err, syscall.EBADF) {
		d.mu.Lock()
		d.peer = nil
		d.mu.Unlock()
		d.set(State{})
		return
	}
	d.set(State{Err: fmt.Errorf("netdev: %s: %w", d.text, endedBy("the peer has gone", err))})
}

// Attach implements [Device].
func (d *datagramDevice) Attach(deliver func([]byte)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deliver = deliver
	if deliver != nil && !d.started {
		d.started = true
		d.reader.Go(d.read)
	}
}

func (d *datagramDevice) read() {
	buf := make([]byte, maxPacket+etherHeader+1)
	for {
		n, from, err := d.conn.ReadFromUnix(buf)
		d.mu.Lock()
		deliver, closed := d.deliver, d.closed
		fresh := d.listens && err == nil && from != nil && (d.peer == nil || d.peer.Name != from.Name)
		if fresh {
			d.peer = from
		}
		d.mu.Unlock()
		if closed || deliver == nil {
			return
		}
		if err != nil {
			d.set(State{Err: fmt.Errorf("netdev: %s: %w", d.text, endedBy("receive", err))})
			return
		}
		if fresh {
			d.set(State{Up: true})
		}
		if string(buf[:n]) != vfkitMagic {
			deliver(buf[:n])
		}
	}
}

// Close implements [Device].
func (d *datagramDevice) Close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.conn.Close()
	d.reader.Wait()
	os.Remove(d.own)
	if d.dir != "" {
		os.RemoveAll(d.dir)
	}
	return nil
}
