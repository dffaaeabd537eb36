package dnszone

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// Query is what a client asked.
type Query struct {
	Name string // in presentation form, with a final dot, in the case asked
	Type string // mnemonic, or TYPE with a number
	UDP  bool   // it came as a datagram
	EDNS int    // the client's EDNS buffer size; 0 without EDNS

	Message []byte // the query itself; not to be changed
}

// Reply is a message to send, and how.
type Reply struct {
	Message []byte        // nothing is sent if it is empty
	After   time.Duration // how long after the query

	Elsewhere bool // UDP: from Server.Elsewhere, hence from another port

	Every  time.Duration // TCP: more than 0 sends byte after byte, this far apart
	Length int           // TCP: what the length before the message says; 0 means the truth
	End    bool          // TCP: the connection ends after it
}

// EDNS is how a server treats the OPT record of a query (RFC 6891).
type EDNS uint8

// The ways to treat an OPT record. All but the first are those of servers that
// clients have to live with.
const (
	EDNSFull    EDNS = iota // as the RFC says
	EDNSFormErr             // FORMERR, without an OPT record (section 7)
	EDNSIgnored             // an answer as if it were not there
	EDNSBadVers             // BADVERS, even to version 0
	EDNSDropped             // silence
)

// DefaultMaxUDP is the largest datagram, in bytes, that a server sends (RFC
// 9715).
const DefaultMaxUDP = 1400

// Server answers for zones. Its fields are set before it serves and not
// changed afterwards; its methods may be called from any goroutine. The zero
// Server has no zones and refuses everything.
type Server struct {
	// Intercept, when set, decides what is sent. honest is what the zones
	// say; it may be changed in place. The replies go out in order; none at
	// all means silence, and over TCP an end of the connection.
	Intercept func(q Query, honest []byte) []Reply

	// AfterFunc calls f once d has passed, unless stop comes before. It is
	// the server's only idea of time: that of a stack's clock puts it into the
	// stack's time, virtual or not. Without it a delayed reply goes out at once.
	AfterFunc func(d time.Duration, f func()) (stop func() bool)

	// Elsewhere is a socket beside the one that serves, for replies that come
	// from another port or address. The server does not close it.
	Elsewhere net.PacketConn

	// EDNS is how OPT records are treated.
	EDNS EDNS

	// MaxUDP is the largest datagram that the server sends, in bytes, and
	// announces by EDNS. 0 means DefaultMaxUDP; less than 512 is 512.
	MaxUDP int

	mu     sync.RWMutex
	zones  []*Zone
	faults []*Active // not changed in place
}

// NewServer returns a server for zones.
func NewServer(zones ...*Zone) *Server { return &Server{zones: zones} }

// AddZone adds a zone, or replaces the one of the same name.
func (s *Server) AddZone(z *Zone) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zones = slices.DeleteFunc(slices.Clone(s.zones), func(old *Zone) bool { return old.origin == z.origin })
	s.zones = append(s.zones, z)
}

// Answer returns the first reply to query, or nil if there is none. udp says
// that the reply has to fit a datagram.
func (s *Server) Answer(query []byte, udp bool) []byte {
	if replies := s.Respond(query, udp); len(replies) > 0 {
		return replies[0].Message
	}
	return nil
}

// Respond returns all replies to query, in order.
func (s *Server) Respond(query []byte, udp bool) []Reply {
	q, rcode, ok := readRequest(query)
	if !ok {
		return nil
	}
	if q.edns {
		switch s.EDNS {
		case EDNSFormErr:
			q.edns, rcode = false, rcodeFormErr
		case EDNSIgnored:
			q.edns, q.udpSize = false, plainSize
			if rcode == rcodeBadVers {
				rcode = 0
			}
		case EDNSBadVers:
			rcode = rcodeBadVers
		case EDNSDropped:
			return nil
		}
	}
	r := response{rcode: rcode}
	if rcode == 0 {
		r = s.resolve(&q)
	}
	msg := q.reply(r, false, s.maxUDP())
	if udp && len(msg) > min(q.udpSize, s.maxUDP()) || len(msg) > 0xffff {
		msg = q.reply(r, true, s.maxUDP())
	}
	if replies, ok := s.misbehave(&q, udp, msg); ok {
		return replies
	}
	if s.Intercept == nil {
		return []Reply{{Message: msg}}
	}
	public := Query{Name: q.name.String(), Type: typeText(q.typ), UDP: udp, Message: query}
	if q.edns {
		public.EDNS = q.udpSize
	}
	return s.Intercept(public, msg)
}

func (s *Server) maxUDP() int {
	switch {
	case s.MaxUDP == 0:
		return DefaultMaxUDP
	case s.MaxUDP < plainSize:
		return plainSize
	}
	return min(s.MaxUDP, 0xffff)
}

// Serve answers the datagrams of conn, and returns when reading from it fails:
// nil once it has been closed, or else the error. Delayed replies that are
// still due then are not sent.
func (s *Server) Serve(conn net.PacketConn) error {
	var due pending
	defer due.wait()
	defer due.stop()
	buf := make([]byte, 65535)
	for {
		n, peer, err := conn.ReadFrom(buf)
		if err != nil {
			return ended(err)
		}
		for _, r := range s.Respond(buf[:n], true) {
			from := conn
			if r.Elsewhere && s.Elsewhere != nil {
				from = s.Elsewhere
			}
			if len(r.Message) > 0 {
				due.do(s, r.After, func() { from.WriteTo(r.Message, peer) })
			}
		}
	}
}

// ServeListener answers the queries of the connections that l accepts, and
// returns when accepting fails: nil once l has been closed, or else the error.
// All its connections have ended by then.
func (s *Server) ServeListener(l net.Listener) error {
	var mu sync.Mutex
	conns := map[net.Conn]bool{}
	var wait sync.WaitGroup
	for {
		conn, err := l.Accept()
		if err != nil {
			mu.Lock()
			open := make([]net.Conn, 0, len(conns))
			for c := range conns {
				open = append(open, c)
			}
			mu.Unlock()
			for _, c := range open {
				c.Close()
			}
			wait.Wait()
			return ended(err)
		}
		mu.Lock()
		conns[conn] = true
		mu.Unlock()
		wait.Go(func() {
			s.serveConn(conn)
			mu.Lock()
			delete(conns, conn)
			mu.Unlock()
		})
	}
}

// serveConn answers the queries of one connection (RFC 7766) and closes it.
func (s *Server) serveConn(conn net.Conn) {
	var due pending
	defer func() {
		due.stop()
		conn.Close() // or a sender might wait for ever
		due.wait()
	}()
	out := &outlet{server: s, conn: conn, due: &due}
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		replies := s.Respond(query, false)
		if len(replies) == 0 {
			return
		}
		for _, r := range replies {
			due.do(s, r.After, func() { out.send(r) })
		}
	}
}

// ended makes nil of the error that a closed socket gives.
func ended(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
		return nil
	}
	return err
}
