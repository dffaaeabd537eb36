package endpoint_test

import (
	"net"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"usersock/stack/endpoint"
)

// ParseTCPInfo reads the kernel's own value of a connection as x/sys does.
func TestParseTCPInfo(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var want *unix.TCPInfo
	raw.Control(func(fd uintptr) { want, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if err != nil {
		t.Fatal(err)
	}
	got, err := endpoint.ParseTCPInfo(unsafe.Slice((*byte)(unsafe.Pointer(want)), unsafe.Sizeof(*want)))
	if err != nil {
		t.Fatal(err)
	}
	if got.State != want.State || got.Options != want.Options || got.State != 1 || got.RTO != time.Duration(want.Rto)*time.Microsecond ||
		got.SndMSS != want.Snd_mss || got.RcvMSS != want.Rcv_mss || got.PMTU != want.Pmtu || got.SndCwnd != want.Snd_cwnd ||
		got.SndSsthresh != want.Snd_ssthresh || got.AdvMSS != want.Advmss || got.Reordering != want.Reordering ||
		got.RTT != time.Duration(want.Rtt)*time.Microsecond || got.RcvSpace != want.Rcv_space || got.TotalRetrans != want.Total_retrans ||
		got.SndWscale == 0 || got.RcvWscale == 0 {
		t.Errorf("%+v\nfrom %+v", got, want)
	}
	if _, err := endpoint.ParseTCPInfo(make([]byte, 7)); err != endpoint.EINVAL {
		t.Errorf("seven bytes: %v", err)
	}
}
