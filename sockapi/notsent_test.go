package sockapi_test

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "usersock/sockapi"
)

// With TCP_NOTSENT_LOWAT every writer gets on whenever there is room, however
// many there are and whatever waits for the socket beside them.
func TestNotsentLowatWakesWriters(t *testing.T) {
	a, b := hosts(t)
	for _, low := range []int{1, 5000, 200_000} {
		t.Run(fmt.Sprint(low), func(t *testing.T) {
			l, err := b.Socket(AF_INET, SOCK_STREAM, 0)
			check(t, err)
			check(t, l.Setsockopt(SOL_SOCKET, SO_RCVBUF, 20_000)) // a small window: much has to wait
			check(t, l.Bind(InetAddr{"192.0.2.2", 0}))
			check(t, l.Listen(1))
			name, err := l.Getsockname()
			check(t, err)
			c, err := a.Socket(AF_INET, SOCK_STREAM, 0)
			check(t, err)
			check(t, c.Setsockopt(IPPROTO_TCP, TCP_NOTSENT_LOWAT, low))
			check(t, c.Connect(name))
			s, _, err := l.Accept()
			check(t, err)
			for _, k := range []*Socket{c, s} {
				check(t, k.Settimeout(30*time.Second))
			}

			const writers, each = 3, 400_000
			var done atomic.Bool
			var busy sync.WaitGroup
			busy.Go(func() { // a poll beside them
				for !done.Load() {
					if got, err := c.Wait(POLLOUT, time.Minute); err != nil || got&POLLOUT == 0 {
						t.Errorf("wait: %#x, %v", got, err)
						return
					}
				}
			})
			for range writers {
				busy.Go(func() {
					if err := c.Sendall(make([]byte, each)); err != nil {
						t.Error(err)
					}
				})
			}
			for left := writers * each; left > 0; {
				data, err := s.Recv(min(left, 7000))
				if err != nil || len(data) == 0 {
					t.Fatalf("%d bytes before the end: %q, %v", left, data, err)
				}
				left -= len(data)
			}
			done.Store(true)
			busy.Wait()
			for end := time.Now().Add(10 * time.Second); ; runtime.Gosched() { // the last acknowledgement
				n, err := c.Ioctl(SIOCOUTQ, 0)
				check(t, err)
				if n == 0 {
					break
				}
				if time.Now().After(end) {
					t.Fatalf("%d bytes under way", n)
				}
			}
		})
	}
}
