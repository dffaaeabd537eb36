package netdev

import "usersock/internal/wire"

// Link is one end of a link, ready to be attached to a stack, once. Its only
// method returns a type that only this project can make; to write a link of
// your own, implement [Device] and call [FromDevice].
//
// The stack that attaches a link owns and closes it. A link that is attached
// to none is closed by [Close].
type Link interface {
	Wire() *wire.End
}

// Drops counts the packets that one end of a link did not pass on.
type Drops = wire.Drops

// Dropped returns what l has lost so far. Links count only losses; see [Count]
// for what passed.
func Dropped(l Link) Drops {
	if f := l.Wire().Drops; f != nil {
		return f()
	}
	return Drops{}
}

// Describe returns in a line, for people, what l is and how it works; "" if
// the link says nothing.
func Describe(l Link) string { return l.Wire().Text }

// Close ends a link: its goroutines are gone and what it held of the host is
// released when Close returns. The other end of a pair goes on; what it sends
// is dropped. Closing twice is harmless. A link that is attached to a stack
// is closed by the stack.
func Close(l Link) { l.Wire().Endpoint.Close() }
