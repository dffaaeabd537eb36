package dnszone

import (
	"encoding/binary"
	"net"
	"sync"
	"time"
)

// outlet puts replies on a TCP connection, one after the other: what is sent
// byte by byte is not mixed with another reply.
type outlet struct {
	server *Server
	conn   net.Conn
	due    *pending

	mu    sync.Mutex // held for the fields below alone
	queue []Reply
	busy  bool // somebody sends, or a reply that drips is not at its end
}

func (o *outlet) send(r Reply) {
	o.mu.Lock()
	o.queue = append(o.queue, r)
	busy := o.busy
	o.busy = true
	o.mu.Unlock()
	if !busy {
		o.drain()
	}
}

// drain sends what is queued until a reply drips.
func (o *outlet) drain() {
	for {
		o.mu.Lock()
		if len(o.queue) == 0 {
			o.busy = false
			o.mu.Unlock()
			return
		}
		r := o.queue[0]
		o.queue = o.queue[1:]
		o.mu.Unlock()
		var framed []byte
		if len(r.Message) > 0 {
			length := r.Length
			if length == 0 {
				length = len(r.Message)
			}
			framed = binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(r.Message)), uint16(length))
			framed = append(framed, r.Message...)
		}
		if r.Every > 0 && o.server.AfterFunc != nil && len(framed) > 0 {
			o.drip(r, framed)
			return
		}
		if !o.write(framed, r.End) {
			return
		}
	}
}

// drip sends a byte and sees to the rest later.
func (o *outlet) drip(r Reply, rest []byte) {
	last := len(rest) == 1
	if !o.write(rest[:1], r.End && last) {
		return
	}
	if last {
		o.drain()
		return
	}
	o.due.do(o.server, r.Every, func() { o.drip(r, rest[1:]) })
}

// write writes bytes in one piece, and reports whether more can be written.
func (o *outlet) write(b []byte, end bool) bool {
	if len(b) > 0 {
		if _, err := o.conn.Write(b); err != nil {
			return false
		}
	}
	if end {
		o.conn.Close()
	}
	return !end
}

// pending are the replies that wait for their time. When it comes they are sent
// by a goroutine of their own: whoever calls the functions of AfterFunc may not
// be able to wait, as the driver of virtual time is not.
type pending struct {
	mu      sync.Mutex
	over    bool
	last    int
	stops   map[int]func() bool
	senders sync.WaitGroup
}

// do sends a reply now, or lets AfterFunc do it once d has passed.
func (p *pending) do(s *Server, d time.Duration, send func()) {
	if d <= 0 || s.AfterFunc == nil {
		send()
		return
	}
	p.mu.Lock()
	if p.over {
		p.mu.Unlock()
		return
	}
	p.last++
	id := p.last
	if p.stops == nil {
		p.stops = map[int]func() bool{}
	}
	p.stops[id] = nil
	p.mu.Unlock()
	stop := s.AfterFunc(d, func() { p.due(id, send) })
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, waiting := p.stops[id]; waiting {
		p.stops[id] = stop
	}
}

// due sends a reply, unless it is called off.
func (p *pending) due(id int, send func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.stops, id)
	if !p.over {
		p.senders.Go(send)
	}
}

// stop calls off what is not due yet.
func (p *pending) stop() {
	p.mu.Lock()
	p.over = true
	stops := p.stops
	p.stops = nil
	p.mu.Unlock()
	for _, stop := range stops {
		if stop != nil {
			stop()
		}
	}
}

// wait waits for what is being sent.
func (p *pending) wait() { p.senders.Wait() }
