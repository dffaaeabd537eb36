package sockapi

import "time"

// Settimeout sets the mode of the open socket, shared by all its descriptors:
// [Forever] blocks, 0 never waits (EAGAIN, EINPROGRESS), and a duration bounds
// each later call, which then fails with [ErrTimeout]. Any other negative value
// is a [*ValueError].
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
