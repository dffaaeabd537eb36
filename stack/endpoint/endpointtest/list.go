package endpointtest

import (
	"encoding/binary"
	"testing"

	"usersock/stack/endpoint"
)

// listTests are for families that are a [endpoint.Lister].
var listTests = []test{
	{"Listed", testListed},
}

// testListed: an endpoint is listed from the moment it is opened until it is
// closed, by the number that SO_COOKIE tells, with its owner and address.
func testListed(t *testing.T, p *Provider) {
	list := p.Family.(endpoint.Lister).List
	find := func(id uint64) (found []endpoint.SocketInfo) {
		for _, s := range list() {
			if s.ID == id && id != 0 {
				found = append(found, s)
			}
		}
		return found
	}
	req := p.Request
	req.Cred = endpoint.Cred{Pid: 7, Uid: 1000, Gid: 100}
	ep, err := p.Family.Open(req)
	if err != nil {
		t.Fatal(err)
	}
	defer ep.Close()
	var buf [8]byte
	if _, err := ep.Option(endpoint.SOL_SOCKET, endpoint.SO_COOKIE, buf[:]); err != nil {
		t.Fatal("SO_COOKIE:", err)
	}
	id := binary.NativeEndian.Uint64(buf[:])
	found := find(id)
	if len(found) != 1 {
		t.Fatalf("the endpoint %d is listed %d times in %+v", id, len(found), list())
	}
	if s := found[0]; s.Type != req.Type || s.Owner != req.Cred || s.State != endpoint.SocketClose || s.Orphan || !s.Peer.IsZero() {
		t.Errorf("a new endpoint of %+v: %+v", req, s)
	}
	if err := ep.Bind(p.Bind()); err != nil {
		t.Fatal(err)
	}
	local, err := ep.LocalAddr()
	if err != nil {
		t.Fatal(err)
	}
	if found = find(id); len(found) != 1 || found[0].Local != local || found[0].Family != local.Family {
		t.Errorf("bound to %v: %+v", local, found)
	}
	if req.Type != endpoint.SOCK_DGRAM {
		if err := ep.Listen(9); err != nil {
			t.Fatal(err)
		}
		if found = find(id); len(found) != 1 || found[0].State != endpoint.SocketListen || found[0].RecvQ != 0 || found[0].SendQ != 9 {
			t.Errorf("listening: %+v", found)
		}
	}
	ep.Close()
	if found = find(id); len(found) != 0 {
		t.Errorf("closed: %+v", found)
	}
}
