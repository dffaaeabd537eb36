package unix

import "usersock/stack/endpoint"

var _ endpoint.Lister = (*Family)(nil)

// List implements endpoint.Lister. A connection that waits to be accepted is an
// orphan whose ID and Owner are known.
func (f *Family) List() (list []endpoint.SocketInfo) {
	for _, e := range f.all() {
		list = append(list, e.info())
	}
	return list
}

// Count returns how many endpoints are not closed.
func (f *Family) Count() int {
	f.liveMu.Lock()
	defer f.liveMu.Unlock()
	return f.lives
}

// all returns the endpoints that are not closed.
func (f *Family) all() (list []*Endpoint) {
	f.liveMu.Lock()
	defer f.liveMu.Unlock()
	for e := f.live; e != nil; e = e.nextLive {
		list = append(list, e)
	}
	return list
}

func (e *Endpoint) info() endpoint.SocketInfo {
	info := endpoint.SocketInfo{
		Family: endpoint.AF_UNIX, Type: e.typ,
		State: endpoint.SocketClose, Local: e.addr(),
		ID: e.id, Owner: e.cred, Orphan: e.listener.Load() != nil,
	}
	info.RecvQ, info.SendQ = e.in.waiting(), int(e.charged.Load())
	if p := e.peer.Load(); p != nil {
		info.State, info.Peer = endpoint.SocketEstablished, p.addr()
		if p.state.Load() != closed {
			info.PeerID = p.id
		}
	}
	if e.state.Load() == listening {
		info.State = endpoint.SocketListen
		e.family.mu.Lock()
		info.RecvQ, info.SendQ = len(e.pending), e.backlog
		e.family.mu.Unlock()
	}
	return info
}
