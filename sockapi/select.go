package sockapi

import (
	"fmt"
	"slices"
	"time"

	"usersock/stack/endpoint"
)

// What makes a descriptor readable, writable and exceptional to select(2), as
// events of poll(2).
const (
	selectReadable    = POLLIN | POLLRDHUP | POLLHUP | POLLERR
	selectWritable    = POLLOUT | POLLERR
	selectExceptional = POLLPRI
)

// Select waits until one of the descriptors of this Net is ready: of rlist to
// be received from or accepted on (the end of a stream and a pending error
// count), of wlist to be sent to (a connection that was made or failed counts),
// of xlist to give urgent data, which an AF_UNIX stream alone has. It returns
// those that are, each list in the order given; a descriptor may be in several lists and
// more than once in one. There is no limit like FD_SETSIZE.
//
// timeout is Forever, 0 (do not wait) or a duration on the stack's clock, after
// which the lists are empty; any other negative is a [*ValueError]. Without
// descriptors Select waits for the timeout alone. EBADF if a descriptor is not
// open, and also net.ErrClosed if it is closed while Select waits.
//
// The numbers do not keep their Sockets from being closed by the garbage
// collector; whoever waits keeps those.
func (n *Net) Select(rlist, wlist, xlist []int, timeout time.Duration) (r, w, x []int, err error) {
	if err := checkTimeout("select", timeout); err != nil {
		return nil, nil, nil, err
	}
	waiter := n.getWaiter()
	items := slices.Grow(waiter.items[:0], len(rlist)+len(wlist)+len(xlist))
	for _, fd := range rlist {
		items = append(items, pollItem{fd: fd, mask: selectReadable})
	}
	for _, fd := range wlist {
		items = append(items, pollItem{fd: fd, mask: selectWritable})
	}
	for _, fd := range xlist {
		items = append(items, pollItem{fd: fd, mask: selectExceptional})
	}
	defer n.putItems(waiter, items)
	if n.waitMany("select", waiter, items, timeout) == 0 {
		return nil, nil, nil, nil
	}
	for i := range items {
		if items[i].got&POLLNVAL != 0 {
			return nil, nil, nil, badDescriptor("select", &items[i])
		}
	}
	nr, nw := len(rlist), len(rlist)+len(wlist)
	return selected(items[:nr]), selected(items[nr:nw]), selected(items[nw:]), nil
}

func selected(items []pollItem) (fds []int) {
	for i := range items {
		if items[i].got != 0 {
			fds = append(fds, items[i].fd)
		}
	}
	return fds
}

func badDescriptor(op string, it *pollItem) error {
	err := error(endpoint.EBADF)
	if it.desc != nil {
		err = errClosed
	}
	return fail(op, nil, fmt.Errorf("descriptor %d: %w", it.fd, err))
}
