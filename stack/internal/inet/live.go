package inet

import "sync"

// liveList has the endpoints of one kind that are not closed: netstack knows
// only those that have a port.
type liveList[T any] struct {
	of func(*T) *links[T]

	mu    sync.Mutex // a leaf
	first *T
	n     int
}

// links are an endpoint's neighbours on its list, guarded by the list's mutex.
type links[T any] struct{ prev, next *T }

func (l *liveList[T]) add(e *T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(e).next = l.first
	if l.first != nil {
		l.of(l.first).prev = e
	}
	l.first = e
	l.n++
}

func (l *liveList[T]) remove(e *T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.of(e)
	switch {
	case at.prev != nil:
		l.of(at.prev).next = at.next
	case l.first == e:
		l.first = at.next
	default:
		return // it is out already
	}
	if at.next != nil {
		l.of(at.next).prev = at.prev
	}
	*at = links[T]{}
	l.n--
}

func (l *liveList[T]) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

func (l *liveList[T]) all() (list []*T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for e := l.first; e != nil; e = l.of(e).next {
		list = append(list, e)
	}
	return list
}
