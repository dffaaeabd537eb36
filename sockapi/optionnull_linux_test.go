package sockapi_test

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	. "usersock/sockapi"
	"usersock/stack/endpoint"
)

// TestOptionNullLikeKernel: setsockopt with None and a length, which is a NULL
// pointer, on sockets of the kernel and on ours.
func TestOptionNullLikeKernel(t *testing.T) {
	n := host(t)
	for _, kind := range [][2]int{{AF_INET, SOCK_STREAM}, {AF_INET6, SOCK_STREAM}, {AF_INET, SOCK_DGRAM}, {AF_INET6, SOCK_DGRAM}, {AF_UNIX, SOCK_STREAM}} {
		for _, o := range []struct {
			symbol      string
			level, name int
		}{
			{"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR},
			{"SO_LINGER", SOL_SOCKET, SO_LINGER},
			{"SO_BINDTODEVICE", SOL_SOCKET, SO_BINDTODEVICE},
			{"IP_TTL", IPPROTO_IP, IP_TTL},
			{"IP_TOS", IPPROTO_IP, IP_TOS},
			{"IP_ADD_MEMBERSHIP", IPPROTO_IP, IP_ADD_MEMBERSHIP},
			{"none of IP", IPPROTO_IP, 99},
			{"IPV6_V6ONLY", IPPROTO_IPV6, IPV6_V6ONLY},
			{"IPV6_TCLASS", IPPROTO_IPV6, IPV6_TCLASS},
			{"IPV6_JOIN_GROUP", IPPROTO_IPV6, IPV6_JOIN_GROUP},
			{"none of IPv6", IPPROTO_IPV6, 99},
			{"TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY},
			{"TCP_CONGESTION", IPPROTO_TCP, TCP_CONGESTION},
			{"none of TCP", IPPROTO_TCP, 99},
			{"UDP_CORK", IPPROTO_UDP, UDP_CORK},
			{"none of UDP", IPPROTO_UDP, 99},
			{"no level", 99, 1},
		} {
			if kind[0] == AF_INET6 && !kernelHasIPv6() {
				continue
			}
			for _, size := range []int{0, 1, 3, 4, 7, 8, 16, 20, 40} {
				fd, err := unix.Socket(kind[0], kind[1]|unix.SOCK_CLOEXEC, 0)
				check(t, err)
				s := open(t, n, kind[0], kind[1])
				_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(o.level), uintptr(o.name), 0, uintptr(size), 0)
				want, _ := endpoint.FromHost(errno)
				got := errnoOf(s.SetsockoptNone(o.level, o.name, size))
				if got != want {
					t.Errorf("%v, %s, %d bytes: %v, the kernel %v", kind, o.symbol, size, fmt.Sprint(got), fmt.Sprint(want))
				}
				unix.Close(fd)
				check(t, s.Close())
			}
		}
	}
}

func kernelHasIPv6() bool {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
	}
	return err == nil
}
