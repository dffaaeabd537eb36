package inet

import (
	"bytes"

	"usersock/stack/endpoint"
)

// corkedDatagram is a datagram that is not complete.
type corkedDatagram struct {
	to      endpoint.Addr
	control []endpoint.Control
	data    []byte
	started bool
}

// sendCorked adds to the datagram that is held back, and sends it unless
// there is more to come, udp_sendmsg of Linux. The address and the control
// items of the first call count.
func (d *datagram) sendCorked(m endpoint.Message) (int, error) {
	n := m.Len()
	more := m.Flags&endpoint.MSG_MORE != 0 || d.has(flagUserCork)
	d.corkMu.Lock()
	started := d.corked != nil && d.corked.started
	d.corkMu.Unlock()
	if !started || d.kind == kindRaw { // a raw socket asks for the destination each time
		if err := d.checkCork(m); err != nil { // at once, as the write would at the end
			return 0, err
		}
	}
	limit := maxPayload6
	if d.af == endpoint.AF_INET {
		limit = maxPayload4
	}
	d.corkMu.Lock()
	c := d.corked
	if c == nil {
		c = new(corkedDatagram)
		d.corked = c
	}
	if !c.started {
		c.started = true
		c.to = m.To
		c.control = c.control[:0]
		for _, item := range m.Control { // the caller keeps its buffers
			item.Data = bytes.Clone(item.Data)
			c.control = append(c.control, item)
		}
		c.data = c.data[:0]
	}
	if len(c.data)+n > limit {
		c.started = false
		d.set(flagMore, false)
		d.corkMu.Unlock()
		return 0, endpoint.EMSGSIZE
	}
	for _, b := range m.Bufs {
		c.data = append(c.data, b...)
	}
	d.set(flagMore, more)
	d.corkMu.Unlock()
	if more {
		return n, nil
	}
	if err := d.pushCorked(); err != nil {
		return 0, err
	}
	return n, nil
}

func (d *datagram) checkCork(m endpoint.Message) error {
	b := d.where.Load()
	to, err := d.destination(m.To, b)
	if err != nil {
		return err
	}
	var items outgoing
	if err := d.sendControl(m.Control, to, &items); err != nil {
		return err
	}
	return d.maySend()
}

// pushCorked sends the datagram that is held back, if there is one.
func (d *datagram) pushCorked() error {
	d.corkMu.Lock()
	c := d.corked
	if c == nil || !c.started {
		d.corkMu.Unlock()
		return nil
	}
	d.corked = nil
	d.set(flagMore, false)
	d.corkMu.Unlock()
	_, err := d.sendNow(endpoint.Message{Bufs: [][]byte{c.data}, To: c.to, Control: c.control}, true)
	return err
}
