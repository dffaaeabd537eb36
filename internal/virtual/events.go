package virtual

import (
	"container/heap"
	"time"
)

// An event is something that happens at a moment of virtual time: a packet
// arrives, or a timer runs out.
type event struct {
	at     time.Duration
	timer  bool
	node   *Node
	seq    uint64 // in the order of creation
	index  int    // in the heap; −1 when it is not there
	call   func() // a timer's
	port   *Port  // a packet's
	packet []byte
}

// before is the order in which events happen: by time, packets before timers,
// then by host, then as they were created.
func (e *event) before(o *event) bool {
	switch {
	case e.at != o.at:
		return e.at < o.at
	case e.timer != o.timer:
		return o.timer
	case e.node != o.node:
		return e.node.index < o.node.index
	}
	return e.seq < o.seq
}

// events is a heap of them.
type events []*event

var _ heap.Interface = (*events)(nil)

func (h events) Len() int           { return len(h) }
func (h events) Less(i, j int) bool { return h[i].before(h[j]) }

func (h events) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push is heap.Push's.
func (h *events) Push(x any) {
	e := x.(*event)
	e.index = len(*h)
	*h = append(*h, e)
}

// Pop is heap.Pop's.
func (h *events) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	e.index = -1
	return e
}
