package endpoint

// Events is a set of poll(2) events, with Linux's numbers.
type Events uint32

const (
	In    Events = 0x0001 // POLLIN: Recv or Accept would not return EAGAIN
	Pri   Events = 0x0002 // POLLPRI: urgent data of an AF_UNIX stream; never true on TCP
	Out   Events = 0x0004 // POLLOUT: Send would take at least one byte
	Err   Events = 0x0008 // POLLERR: an error is pending, see SO_ERROR
	Hup   Events = 0x0010 // POLLHUP: both directions are closed
	RdHup Events = 0x2000 // POLLRDHUP: the peer closed its sending direction

	// Always is reported whether asked for or not.
	Always = Err | Hup
)

// Sink hears from an endpoint that something may have changed.
type Sink interface {
	// Event says which events may have come to hold. It is a hint, possibly
	// spurious; Ready and a new try decide. It comes from any goroutine, under
	// locks of the family (netstack's are held): it must not block, must not
	// call the endpoint, and must take no lock that anyone holds around a call
	// to an endpoint.
	Event(Events)
}
