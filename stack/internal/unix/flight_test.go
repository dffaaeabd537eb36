package unix

import (
	"sync/atomic"

	"usersock/stack/endpoint"
)

// description is what package sockapi makes of an endpoint: references are
// counted, and the last one closes it.
type description struct {
	e    *Endpoint
	refs atomic.Int32
}

func newDescription(e endpoint.Endpoint) *description {
	d := &description{e: e.(*Endpoint)}
	d.refs.Store(1)
	return d
}

func (d *description) Retain()                     { d.refs.Add(1) }
func (d *description) Endpoint() endpoint.Endpoint { return d.e }
func (d *description) References() int             { return int(d.refs.Load()) }

func (d *description) Release() {
	if left := d.refs.Add(-1); left == 0 {
		d.e.Close()
	} else {
		d.e.Dropped(int(left))
	}
}

var _ endpoint.Description = (*description)(nil)
