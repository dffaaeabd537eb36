package endpoint

// Request says what to open: the arguments of socket(2) without the family.
type Request struct {
	Type     int  // SOCK_STREAM and so on, without SOCK_NONBLOCK and SOCK_CLOEXEC
	Protocol int  // IPPROTO_TCP and so on; 0 is the type's usual protocol
	Cred     Cred // who opens it
}

// Cred is the identity of a process, as in struct ucred of unix(7).
type Cred struct {
	Pid int32
	Uid uint32
	Gid uint32
}

// Family makes the endpoints of one address family.
type Family interface {
	// Open makes an unbound endpoint. A type that the family lacks is
	// ESOCKTNOSUPPORT, a protocol that the type lacks EPROTONOSUPPORT.
	Open(Request) (Endpoint, error)
}

// Pairer is a Family that can also make two connected endpoints,
// socketpair(2).
type Pairer interface {
	Pair(Request) (a, b Endpoint, err error)
}

// Endpoint is one end of a communication, without any waiting. All methods
// may be called at the same time from any goroutine.
//
// # Waiting
//
// Accept and Recv that return EAGAIN promise a later sink call with In, Err or
// Hup; Send and Connect that return EAGAIN or EINPROGRESS promise one with
// Out, Err or Hup. The call comes once the cause may have changed, whichever
// endpoint the cause belongs to (a full backlog and a full queue are the
// peer's). Calls may be spurious, so whoever waits tries again on each.
//
// Connect is tried again only after EAGAIN. After EINPROGRESS it is
// [Endpoint.Ready] that says when the attempt has ended (Out, Err or Hup), and
// SO_ERROR how.
type Endpoint interface {
	// Bind gives the endpoint a local address.
	Bind(Addr) error

	// Connect starts or makes a connection, or sets a datagram endpoint's
	// peer. An address of family AF_UNSPEC dissolves the association of a
	// datagram endpoint.
	Connect(Addr) error

	// Listen makes the endpoint accept connections, at most backlog waiting
	// ones; called again it changes the backlog.
	Listen(backlog int) error

	// Accept takes the oldest finished connection and its peer's address. The
	// new endpoint has no sink yet.
	Accept() (Endpoint, Addr, error)

	// Send takes bytes or one datagram. A stream may take fewer bytes than
	// given; it takes at least one, or returns an error. A datagram is taken
	// whole or not at all. Buffers are not kept after the call. Rights in the
	// message pass to the endpoint only when err is nil.
	Send(Message) (n int, err error)

	// Recv copies queued bytes, or one datagram, into the request's buffers.
	// N = 0 without error is the end of a stream, or an empty datagram.
	Recv(RecvRequest) (Received, error)

	// Shutdown closes one or both directions: SHUT_RD, SHUT_WR or SHUT_RDWR.
	Shutdown(how int) error

	// Close ends the endpoint. Bytes taken by Send are still delivered, unless
	// SO_LINGER with time 0 asks for a reset. The sink and Ready stay valid:
	// Hup becomes true when the last byte has been acknowledged or given up,
	// which is what a lingering close waits for. Closing twice is harmless.
	Close() error

	// LocalAddr is getsockname(2).
	LocalAddr() (Addr, error)

	// PeerAddr is getpeername(2).
	PeerAddr() (Addr, error)

	// Option is getsockopt(2): it writes the value into buf, cut to its length,
	// and returns how many bytes it wrote.
	Option(level, name int, buf []byte) (int, error)

	// SetOption is setsockopt(2).
	SetOption(level, name int, value []byte) error

	// Ready returns which of want hold now. Err and Hup are always reported.
	// Out may stay false although a single byte would still fit.
	Ready(want Events) Events

	// Notify sets the sink of events. It is called once in an endpoint's life,
	// before the first wait, and calls the sink once.
	Notify(Sink)

	// Queued returns how many bytes wait to be received (of the next datagram,
	// for SIOCINQ's sake) and how many of those sent are under way, for SIOCOUTQ's:
	// of TCP those not acknowledged, of AF_UNIX those not read, of datagrams the
	// memory of those that no link has taken. [Unknown] where the family cannot
	// tell.
	Queued() (in, out int)
}

// Unknown is the answer of [Endpoint.Queued] for a direction that the family
// cannot see.
const Unknown = -1

// Message is what [Endpoint.Send] takes: sendmsg(2).
type Message struct {
	Bufs    [][]byte
	To      Addr // family AF_UNSPEC: the connected peer
	Flags   int  // MSG_*; MSG_DONTWAIT and MSG_NOSIGNAL mean nothing here
	Control []Control
}

// Len returns the sum of the buffers' lengths.
func (m Message) Len() int { return total(m.Bufs) }

// RecvRequest is what [Endpoint.Recv] takes: recvmsg(2).
type RecvRequest struct {
	Bufs [][]byte

	// Flags are MSG_PEEK, MSG_TRUNC, MSG_ERRQUEUE, MSG_OOB, and MSG_DONTWAIT
	// when the caller will not wait, whatever the answer: Linux makes a
	// difference in places, such as the end of AF_UNIX datagrams. Without it EAGAIN is
	// a promise as ever.
	Flags int

	// Control asks for control items. Without it they are dropped, their
	// rights released, and MSG_CTRUNC is set where Linux sets it.
	Control bool
}

// Len returns the sum of the buffers' lengths.
func (r RecvRequest) Len() int { return total(r.Bufs) }

// Received is what came with the bytes.
type Received struct {
	N       int  // bytes copied into the buffers
	Size    int  // true length of the datagram; N for a stream
	From    Addr // source; family AF_UNSPEC on a stream, but AF_UNIX tells it; and for one without a name
	Flags   int  // MSG_TRUNC, MSG_CTRUNC, MSG_EOR, MSG_ERRQUEUE, MSG_OOB
	Control []Control

	// Stop says that a stream's call ended at a place that no single call passes,
	// such as bytes that came with rights: MSG_WAITALL ends there too.
	Stop bool
}

// Control is one item of ancillary data, cmsg(3), before it is packed.
type Control struct {
	Level, Type int
	Data        []byte
	Rights      []Right // SCM_RIGHTS: what Data's descriptors stand for

	// Err says that an item to be sent is no good, and why: what Send returns
	// where it would look at the item. The other fields do not count then.
	Err error
}

// Right is an open file description in flight between two processes. The
// family only counts: each Retain is matched by one Release, and the last
// Release closes what the right stands for.
type Right interface {
	Retain()
	Release()
}

// Description is a Right that tells what it stands for, so that a family can
// find endpoints that nothing refers to but rights in flight to one another, and
// drop those rights. A right that is no Description is taken to be held from
// outside.
type Description interface {
	Right

	// Endpoint is what the last Release closes.
	Endpoint() Endpoint

	// References is the number of references that are not yet released, those
	// in flight included. An endpoint has one Description in all its life, and
	// each of its references is counted there.
	References() int
}

// Carried is an Endpoint that may be in flight inside its own family. Whoever
// releases a reference to its [Description] that was not the last one tells it,
// holding no lock: perhaps all the others are in flight.
type Carried interface {
	Endpoint

	// Dropped says how many references are left.
	Dropped(left int)
}

// Marker is an Endpoint that may have urgent data.
type Marker interface {
	Endpoint

	// AtMark reports whether urgent data comes next, or has been received from
	// there: SIOCATMARK. EOPNOTSUPP if the type of endpoint has none.
	AtMark() (bool, error)
}

// NullSetter is an Endpoint with options that tell a NULL pointer from bytes, of
// other levels than SOL_SOCKET. An endpoint that is none has no such options.
type NullSetter interface {
	Endpoint

	// SetNull is SetOption with a NULL pointer to n bytes, n above 0.
	SetNull(level, name, n int) error
}

func total(bufs [][]byte) (n int) {
	for _, b := range bufs {
		n += len(b)
	}
	return n
}
