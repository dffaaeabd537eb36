package main

import (
	"errors"
	"io"
	"net"
	"runtime"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// openRaw uses netstack's endpoints over this project's link with as little
// between them and the caller as works: no deadlines, no locks, no errno. It
// shows what netstack and the link allow.
func openRaw(int) (*system, error) {
	h, err := pairHosts()
	if err != nil {
		return nil, err
	}
	return &system{
		listen: h.rawListen,
		dial:   func(listener) (conn, error) { return h.rawDial() },
		datagrams: func() (client, server conn, err error) {
			d, err := newRaw(h.server.NewEndpoint, udp.ProtocolNumber)
			if err != nil {
				return nil, nil, err
			}
			if terr := d.ep.Bind(h.target()); terr != nil {
				return nil, nil, errors.Join(failed("bind", terr), d.Close())
			}
			c, err := newRaw(h.client.NewEndpoint, udp.ProtocolNumber)
			if err != nil {
				return nil, nil, errors.Join(err, d.Close())
			}
			if terr := c.ep.Connect(h.target()); terr != nil {
				return nil, nil, errors.Join(failed("connect", terr), c.Close(), d.Close())
			}
			return c, d, nil
		},
		close: h.close,
	}, nil
}

// rawConn reads and writes an endpoint. It registers with it once.
type rawConn struct {
	ep       tcpip.Endpoint
	wq       *waiter.Queue
	entry    waiter.Entry
	readable chan struct{} // one signal at most
	writable chan struct{}
	ended    chan struct{} // closed by Close
	once     sync.Once
	in       sliceWriter
	out      sliceReader
}

type newEndpoint func(tcpip.TransportProtocolNumber, tcpip.NetworkProtocolNumber, *waiter.Queue) (tcpip.Endpoint, tcpip.Error)

func newRaw(make newEndpoint, proto tcpip.TransportProtocolNumber) (*rawConn, error) {
	wq := new(waiter.Queue)
	ep, err := make(proto, ipv4.ProtocolNumber, wq)
	if err != nil {
		return nil, failed("open", err)
	}
	return wrapRaw(ep, wq), nil
}

func wrapRaw(ep tcpip.Endpoint, wq *waiter.Queue) *rawConn {
	c := &rawConn{
		ep:       ep,
		wq:       wq,
		readable: make(chan struct{}, 1),
		writable: make(chan struct{}, 1),
		ended:    make(chan struct{}),
	}
	c.entry.Init(c, waiter.ReadableEvents|waiter.WritableEvents|waiter.EventErr|waiter.EventHUp)
	wq.EventRegister(&c.entry)
	return c
}

// NotifyEvent implements waiter.EventListener.
func (c *rawConn) NotifyEvent(events waiter.EventMask) {
	const both = waiter.EventErr | waiter.EventHUp
	if events&(waiter.ReadableEvents|both) != 0 {
		signal(c.readable)
	}
	if events&(waiter.WritableEvents|both) != 0 {
		signal(c.writable)
	}
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// sleep waits for a signal, after one yield: often the other side only needs
// the processor, and this project's sockets yield once too.
func (c *rawConn) sleep(ch chan struct{}) error {
	select {
	case <-ch:
		return nil
	default:
		runtime.Gosched()
	}
	select {
	case <-ch:
		return nil
	case <-c.ended:
		return net.ErrClosed
	}
}

func (c *rawConn) Read(b []byte) (int, error) {
	for {
		c.in.b = b
		res, err := c.ep.Read(&c.in, tcpip.ReadOptions{})
		switch err.(type) {
		case nil:
			return res.Count, nil
		case *tcpip.ErrClosedForReceive:
			select {
			case <-c.ended:
				return 0, net.ErrClosed
			default:
				return 0, io.EOF
			}
		case *tcpip.ErrWouldBlock:
			if err := c.sleep(c.readable); err != nil {
				return 0, err
			}
		default:
			return 0, failed("read", err)
		}
	}
}

func (c *rawConn) Write(b []byte) (n int, err error) {
	for n < len(b) {
		c.out.b = b[n:]
		m, err := c.ep.Write(&c.out, tcpip.WriteOptions{})
		n += int(m)
		switch err.(type) {
		case nil:
		case *tcpip.ErrWouldBlock:
			if err := c.sleep(c.writable); err != nil {
				return n, err
			}
		default:
			return n, failed("write", err)
		}
	}
	return n, nil
}

func (c *rawConn) Close() error {
	c.once.Do(func() {
		close(c.ended)
		c.wq.EventUnregister(&c.entry)
		c.ep.Close()
	})
	return nil
}

func (h *hosts) rawListen() (listener, error) {
	c, err := newRaw(h.server.NewEndpoint, tcp.ProtocolNumber)
	if err != nil {
		return nil, err
	}
	if err := c.ep.Bind(h.target()); err != nil {
		return nil, errors.Join(failed("bind", err), c.Close())
	}
	if err := c.ep.Listen(backlog); err != nil {
		return nil, errors.Join(failed("listen", err), c.Close())
	}
	accept := func() (*rawConn, error) {
		for {
			ep, wq, err := c.ep.Accept(nil)
			if err == nil {
				return wrapRaw(ep, wq), nil
			}
			if _, again := err.(*tcpip.ErrWouldBlock); !again {
				return nil, failed("accept", err)
			}
			if err := c.sleep(c.readable); err != nil {
				return nil, err
			}
		}
	}
	return accepts[*rawConn]{accept, c.Close}, nil
}

func (h *hosts) rawDial() (conn, error) {
	c, err := newRaw(h.client.NewEndpoint, tcp.ProtocolNumber)
	if err != nil {
		return nil, err
	}
	terr := c.ep.Connect(h.target())
	if _, started := terr.(*tcpip.ErrConnectStarted); started {
		if err := c.sleep(c.writable); err != nil {
			return nil, err
		}
		terr = c.ep.LastError()
	}
	if terr != nil {
		return nil, errors.Join(failed("connect", terr), c.Close())
	}
	return c, nil
}

func failed(what string, err tcpip.Error) error { return errors.New(what + ": " + err.String()) }

// sliceWriter is where an endpoint puts what it received.
type sliceWriter struct{ b []byte }

func (w *sliceWriter) Write(p []byte) (int, error) {
	n := copy(w.b, p)
	w.b = w.b[n:]
	if n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

// sliceReader is where an endpoint takes what it sends.
type sliceReader struct{ b []byte }

func (r *sliceReader) Len() int { return len(r.b) }

func (r *sliceReader) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.b)
	r.b = r.b[n:]
	return n, nil
}
