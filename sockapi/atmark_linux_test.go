package sockapi_test

import (
	"fmt"
	"math/rand"
	"testing"

	"golang.org/x/sys/unix"

	. "usersock/sockapi"
	"usersock/stack/endpoint"
)

// TestAtMarkLikeKernel sends and receives urgent and other data over AF_UNIX
// streams of the kernel and of ours, and compares where SIOCATMARK says they are.
func TestAtMarkLikeKernel(t *testing.T) {
	kernelPair := func() [2]int {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		check(t, err)
		return fds
	}
	var name unix.Utsname
	check(t, unix.Uname(&name))
	var major, minor int
	fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor)
	if major < 6 || major == 6 && minor < 18 {
		t.Skip("urgent data on AF_UNIX streams was otherwise before Linux 6.18")
	}
	n := host(t)
	for seed := range int64(300) {
		random := rand.New(rand.NewSource(seed))
		theirs := kernelPair()
		ours, from := pair(t, n, SOCK_STREAM)
		inline := random.Intn(4) == 0
		if inline {
			check(t, unix.SetsockoptInt(theirs[0], SOL_SOCKET, SO_OOBINLINE, 1))
			check(t, ours.Setsockopt(SOL_SOCKET, SO_OOBINLINE, 1))
		}
		log := fmt.Sprintf("seed %d, in line %v:", seed, inline)
		for range 20 {
			size, urgent := 1+random.Intn(3), random.Intn(2)*MSG_OOB
			data := make([]byte, size)
			var want, got string
			if random.Intn(2) == 0 {
				k, err := unix.SendmsgN(theirs[1], data, nil, nil, urgent)
				want = fmt.Sprint("send ", k, " ", hostErrno(err))
				k, err = from.Send(data, urgent)
				got = fmt.Sprint("send ", k, " ", errnoOf(err))
			} else {
				k, _, err := unix.Recvfrom(theirs[0], data, urgent|unix.MSG_DONTWAIT)
				want = fmt.Sprint("recv ", max(k, 0), " ", hostErrno(err))
				k, err = ours.RecvInto(data, 0, urgent|MSG_DONTWAIT)
				got = fmt.Sprint("recv ", k, " ", errnoOf(err))
			}
			at, err := unix.IoctlGetInt(theirs[0], SIOCATMARK)
			check(t, err)
			want += fmt.Sprint(", at ", at)
			at, err = ours.Ioctl(SIOCATMARK, 0)
			check(t, err)
			got += fmt.Sprint(", at ", at)
			log += fmt.Sprintf(" %d bytes, flags %d: %s;", size, urgent, want)
			if got != want {
				t.Errorf("%s but ours %s", log, got)
				break
			}
		}
		unix.Close(theirs[0])
		unix.Close(theirs[1])
		check(t, ours.Close())
		check(t, from.Close())
	}
}

func hostErrno(err error) Errno {
	e, _ := endpoint.FromHost(err)
	return e
}
