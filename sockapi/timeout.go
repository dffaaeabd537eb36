package sockapi

import (
	"sync/atomic"
	"time"

	"usersock/stack/endpoint"
)

// How long a call may wait is the mode of the open socket, and in the modes that
// wait also SO_RCVTIMEO (for receive and accept calls) or SO_SNDTIMEO (for send
// calls and connect). Whichever ends first counts and says so in its way: the
// mode's timeout is [ErrTimeout]; the options are Linux's, EAGAIN, and
// EINPROGRESS of a connect that goes on by itself. A [Conn] heeds neither, only
// its deadlines.

// Settimeout sets the mode of the open socket, shared by all its descriptors:
// [Forever] blocks, 0 never waits (EAGAIN, EINPROGRESS), and a duration bounds
// each later call, which then fails with [ErrTimeout]. Any other negative value
// is a [*ValueError]. The options SO_RCVTIMEO and SO_SNDTIMEO bound calls that wait
// too, and say EAGAIN; of the two the shorter one counts.
func (s *Socket) Settimeout(timeout time.Duration) error {
	d, err := s.use()
	if err != nil {
		return fail("settimeout", nil, err)
	}
	if err := checkTimeout("settimeout", timeout); err != nil {
		return err
	}
	d.file.timeout.Store(int64(timeout))
	return nil
}

// Gettimeout returns the mode: Forever, 0 or a duration.
func (s *Socket) Gettimeout() time.Duration { return time.Duration(s.desc.file.timeout.Load()) }

// Setblocking(true) is Settimeout(Forever), Setblocking(false) is
// Settimeout(0).
func (s *Socket) Setblocking(blocking bool) error {
	d, err := s.use()
	if err != nil {
		return fail("setblocking", nil, err)
	}
	timeout := time.Duration(0)
	if blocking {
		timeout = Forever
	}
	d.file.timeout.Store(int64(timeout))
	return nil
}

// Getblocking reports whether calls may wait, with or without a time limit.
func (s *Socket) Getblocking() bool { return s.Gettimeout() != 0 }

// recvLimit is how long a call that receives or accepts may wait.
func (s *Socket) recvLimit() limit { return s.desc.file.limit(&s.desc.file.rcvtimeo) }

// sendLimit is how long a call that sends or connects may wait.
func (s *Socket) sendLimit() limit { return s.desc.file.limit(&s.desc.file.sndtimeo) }

// modeLimit is the mode's alone.
func (s *Socket) modeLimit() limit {
	return limitFor(s.desc.net.clock, time.Duration(s.desc.file.timeout.Load()))
}

func (f *file) limit(option *atomic.Int64) limit {
	mode := time.Duration(f.timeout.Load())
	l := limitFor(f.stack.Clock(), mode)
	l.blocking = mode < 0
	most := time.Duration(option.Load())
	switch {
	case most == 0 || mode == 0 || mode > 0 && mode <= most:
	case most < 0:
		l.until = atOnce
	default:
		l.until = limitFor(f.stack.Clock(), most).until
		l.late = endpoint.EAGAIN
	}
	return l
}

// noteOption keeps what this layer itself heeds of the options that a program
// has set on the endpoint.
func (f *file) noteOption(level, name int, value []byte) {
	if level != SOL_SOCKET {
		return
	}
	switch name {
	case SO_RCVTIMEO, SO_SNDTIMEO:
		d, err := endpoint.Timeval(value)
		if err != nil {
			return
		}
		if name == SO_RCVTIMEO {
			f.rcvtimeo.Store(int64(d))
		} else {
			f.sndtimeo.Store(int64(d))
		}
	case SO_RCVLOWAT:
		var now [4]byte // the endpoint has corrected what was set
		if _, err := f.ep.Option(level, name, now[:]); err == nil {
			n, _ := endpoint.Int(now[:])
			f.lowat.Store(int32(n))
		}
	}
}

// inherit takes over those options from the listening socket, as on Linux,
// where an AF_UNIX socket begins with its own.
func (f *file) inherit(from *file) {
	if from.family == AF_UNIX {
		return
	}
	f.rcvtimeo.Store(from.rcvtimeo.Load())
	f.sndtimeo.Store(from.sndtimeo.Load())
	f.lowat.Store(from.lowat.Load())
}
