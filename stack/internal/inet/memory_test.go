package inet

import (
	"testing"
	"unsafe"
)

// What an endpoint adds to netstack's own 1.5 KB and more stays well under the
// 700 bytes that the whole socket layer may take. Nothing else is allocated
// until an option is stored or an address bound.
func TestMemory(t *testing.T) {
	const most = 352
	if n := unsafe.Sizeof(tcpEndpoint{}); n > most {
		t.Errorf("a TCP endpoint has %d bytes", n)
	}
	// A datagram endpoint has nothing of netstack's behind it.
	const mostDatagram = 1280
	if n := unsafe.Sizeof(datagram{}); n > mostDatagram {
		t.Errorf("a datagram endpoint has %d bytes", n)
	}
}
