package inet

import (
	"encoding/binary"
	"sync"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"

	"usersock/stack/endpoint"
)

// A TCP socket that joins makes its interface join, and leaves when it is closed,
// whatever comes first.
func TestStreamJoinsGroups(t *testing.T) {
	p := newProtocols(t, true, true)
	group := tcpip.AddrFrom4([4]byte{239, 1, 1, 1})
	joined := func() bool {
		in, err := p.stack.IsInGroup(1, group)
		must(t, err)
		return in
	}
	request := make([]byte, storageAt+storageSize)
	binary.NativeEndian.PutUint32(request, 1)
	putStorage(request[storageAt:], group)

	a, b := open(t, p, endpoint.AF_INET, endpoint.SOCK_STREAM), open(t, p, endpoint.AF_INET, endpoint.SOCK_STREAM)
	for _, s := range []*sock{a, b} {
		check(t, s.SetOption(endpoint.SOL_IP, endpoint.MCAST_JOIN_GROUP, request))
	}
	check(t, a.Close())
	if !joined() {
		t.Error("the interface has left, and a socket has not")
	}
	check(t, b.SetOption(endpoint.SOL_IP, endpoint.MCAST_LEAVE_GROUP, request))
	if joined() {
		t.Error("the interface has not left with the last socket")
	}
	for range 200 {
		s := open(t, p, endpoint.AF_INET, endpoint.SOCK_STREAM)
		var both sync.WaitGroup
		both.Go(func() { _ = s.SetOption(endpoint.SOL_IP, endpoint.MCAST_JOIN_GROUP, request) })
		both.Go(func() { _ = s.Close() })
		both.Wait()
		if joined() {
			t.Fatal("a closed socket is in a group")
		}
	}
}
