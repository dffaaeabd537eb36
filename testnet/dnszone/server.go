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

// maxChain bounds the aliases that one answer follows.
const maxChain = 32

// Query is what a client asked.
type Query struct {
	Name string // in presentation form, with a final dot, in the case asked
	Type string // mnemonic, or TYPE with a number
	UDP  bool   // it came as a datagram
	EDNS int    // the client's EDNS buffer size; 0 without EDNS

	Message []byte // the query itself; not to be changed
}

// Reply is a message to send, and how long after the query.
type Reply struct {
	Message []byte
	After   time.Duration
}

// Server answers for zones. Its fields are set before it serves and not
// changed afterwards; its methods may be called from any goroutine. The zero
// Server has no zones and refuses everything.
type Server struct {
	// Intercept, when set, decides what is sent. honest is what the zones
	// say; it may be changed in place. The replies go out in order; none at
	// all means silence, and over TCP an end of the connection.
	Intercept func(q Query, honest []byte) []Reply

	// AfterFunc calls f once d has passed, unless stop comes before. Without
	// it a delayed reply goes out at once.
	AfterFunc func(d time.Duration, f func()) (stop func() bool)

	mu    sync.RWMutex
	zones []*Zone
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
	var msg []byte
	if rcode != 0 {
		msg = q.reply(rcode, nil, nil, false)
	} else {
		rcode, answers, authority := s.resolve(&q)
		msg = q.reply(rcode, answers, authority, false)
		if udp && len(msg) > min(q.udpSize, maxUDP) {
			msg = q.reply(rcode, nil, nil, true)
		}
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

// zoneFor returns the zone that name belongs to: the deepest one.
func (s *Server) zoneFor(name wireName) *Zone {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var best *Zone
	for _, z := range s.zones {
		if name.under(z.origin) && (best == nil || len(z.origin) > len(best.origin)) {
			best = z
		}
	}
	return best
}

// resolve finds the sections of the answer, following aliases through all
// zones.
func (s *Server) resolve(q *request) (rcode int, answers, authority []owned) {
	if q.class != classIN && q.class != classANY {
		return rcodeRefused, nil, nil
	}
	name := q.name
	for range maxChain {
		z := s.zoneFor(name.lower())
		if z == nil {
			if answers == nil {
				return rcodeRefused, nil, nil
			}
			return rcodeSuccess, answers, nil
		}
		records, owner, dname, exists := z.find(name.lower())
		if !exists {
			return rcodeNXDomain, answers, z.authority()
		}
		if dname {
			answers = append(answers, owned{owner, records[0]})
			alias, ok := substitute(name, owner, records[0])
			if !ok {
				return 6, answers, nil // YXDOMAIN: the new name is too long
			}
			answers = append(answers, owned{name, alias})
			name = targetOf(alias)
			continue
		}
		found := false
		var alias *record
		for i := range records {
			r := &records[i]
			if r.typ == q.typ || q.typ == typeANY {
				answers = append(answers, owned{name, *r})
				found = true
			} else if r.typ == typeCNAME {
				alias = r
			}
		}
		if found {
			return rcodeSuccess, answers, nil
		}
		if alias == nil {
			return rcodeSuccess, answers, z.authority()
		}
		loop := slices.ContainsFunc(answers, func(a owned) bool { return a.owner.lower() == name.lower() })
		if loop {
			return rcodeSuccess, answers, nil
		}
		answers = append(answers, owned{name, *alias})
		name = targetOf(*alias)
	}
	return rcodeSuccess, answers, nil
}

// authority is the SOA record that a negative answer needs. Its TTL is that of
// the negative answer (RFC 2308, section 3).
func (z *Zone) authority() []owned {
	r, owner, ok := z.soa()
	if !ok {
		return nil
	}
	if n := len(r.data); n >= 4 {
		r.ttl = min(r.ttl, binary.BigEndian.Uint32(r.data[n-4:]))
	}
	return []owned{{owner, r}}
}

func targetOf(r record) wireName {
	name, _, _ := readName(r.data, 0)
	return name
}

// substitute makes the CNAME that a DNAME record at owner means for name
// (RFC 6672, section 2.2).
func substitute(name, owner wireName, dname record) (record, bool) {
	target := name[:len(name)-len(owner)] + targetOf(dname)
	if len(target) > 254 {
		return record{}, false
	}
	return record{typeCNAME, dname.ttl, append([]byte(target), 0)}, true
}

// Serve answers the datagrams of conn, and returns when reading from it fails:
// nil once it has been closed, or else the error. Delayed replies that are
// still due then are not sent.
func (s *Server) Serve(conn net.PacketConn) error {
	var due pending
	defer due.stop()
	buf := make([]byte, 65535)
	for {
		n, peer, err := conn.ReadFrom(buf)
		if err != nil {
			return ended(err)
		}
		for _, r := range s.Respond(buf[:n], true) {
			due.do(s, r, func() { conn.WriteTo(r.Message, peer) })
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
			conn.Close()
			mu.Lock()
			delete(conns, conn)
			mu.Unlock()
		})
	}
}

// serveConn answers the queries of one connection (RFC 7766).
func (s *Server) serveConn(conn net.Conn) {
	var due pending
	defer due.stop()
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
			framed := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(r.Message)), uint16(len(r.Message)))
			framed = append(framed, r.Message...)
			due.do(s, r, func() { conn.Write(framed) }) // one Write, one piece
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

// pending are the replies that wait for their time.
type pending struct {
	mu    sync.Mutex
	over  bool
	last  int
	stops map[int]func() bool
}

// do sends a reply now, or lets AfterFunc do it.
func (p *pending) do(s *Server, r Reply, send func()) {
	if r.After <= 0 || s.AfterFunc == nil {
		send()
		return
	}
	p.mu.Lock()
	p.last++
	id := p.last
	if p.stops == nil {
		p.stops = map[int]func() bool{}
	}
	p.stops[id] = nil
	p.mu.Unlock()
	stop := s.AfterFunc(r.After, func() {
		if p.take(id) {
			send()
		}
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, waiting := p.stops[id]; waiting {
		p.stops[id] = stop
	}
}

// take reports whether the reply may still go out.
func (p *pending) take(id int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.stops, id)
	return !p.over
}

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
