package sockapi

import (
	"net"
	"time"

	"usersock/stack/endpoint"
)

// The options of the Go dialect, by the names of package net.

// SetNoDelay sets TCP_NODELAY.
func (c *Conn) SetNoDelay(on bool) error {
	return c.setError("set", "setsockopt", c.s.setFlag(IPPROTO_TCP, TCP_NODELAY, on))
}

// SetKeepAlive sets SO_KEEPALIVE.
func (c *Conn) SetKeepAlive(on bool) error {
	return c.setError("set", "setsockopt", c.s.setFlag(SOL_SOCKET, SO_KEEPALIVE, on))
}

// SetKeepAlivePeriod sets TCP_KEEPIDLE, in whole seconds, rounded up: how long
// the connection is idle before it is probed. 0 is 15 s, a negative duration
// changes nothing.
func (c *Conn) SetKeepAlivePeriod(d time.Duration) error {
	return c.setError("set", "setsockopt", c.s.keepAlive(TCP_KEEPIDLE, seconds(d), keepAliveIdle))
}

// SetKeepAliveConfig sets SO_KEEPALIVE, the times of its probes and their
// number. As with package net 0 is 15 s, or 9 probes, and a negative value
// changes nothing.
func (c *Conn) SetKeepAliveConfig(config net.KeepAliveConfig) error {
	err := c.s.setFlag(SOL_SOCKET, SO_KEEPALIVE, config.Enable)
	if err == nil {
		err = c.s.keepAlive(TCP_KEEPIDLE, seconds(config.Idle), keepAliveIdle)
	}
	if err == nil {
		err = c.s.keepAlive(TCP_KEEPINTVL, seconds(config.Interval), keepAliveInterval)
	}
	if err == nil {
		err = c.s.keepAlive(TCP_KEEPCNT, config.Count, keepAliveCount)
	}
	return c.setError("set", "setsockopt", err)
}

func (s *Socket) keepAlive(name, value, byDefault int) error {
	switch {
	case value < 0:
		return nil
	case value == 0:
		value = byDefault
	}
	return s.setInt(IPPROTO_TCP, name, value)
}

// seconds rounds up; what is more than a C int holds is as much as it holds.
func seconds(d time.Duration) int {
	if d <= 0 {
		return int(max(d, -1))
	}
	return int(min((d-1)/time.Second+1, 1<<31-1))
}

// SetLinger sets SO_LINGER: a negative number of seconds turns it off.
func (c *Conn) SetLinger(seconds int) error {
	var value [8]byte
	endpoint.PutLinger(value[:], seconds >= 0, time.Duration(min(max(seconds, 0), 1<<31-1))*time.Second)
	return c.setError("set", "setsockopt", c.s.setRaw(SOL_SOCKET, SO_LINGER, value[:]))
}

// SetReadBuffer sets SO_RCVBUF, in bytes.
func (c *endpointConn) SetReadBuffer(bytes int) error {
	return c.setError("set", "setsockopt", c.s.setInt(SOL_SOCKET, SO_RCVBUF, bytes))
}

// SetWriteBuffer sets SO_SNDBUF, in bytes.
func (c *endpointConn) SetWriteBuffer(bytes int) error {
	return c.setError("set", "setsockopt", c.s.setInt(SOL_SOCKET, SO_SNDBUF, bytes))
}
