package unix

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"usersock/stack/endpoint"
	"usersock/stack/internal/kernel"
)

// inFlightChild says in the environment that the process is the child of
// TestTooManyInFlightAgainstLinux: its socket type.
const inFlightChild = "USERSOCK_UNIX_CHILD"

// tooMany sends more rights than a user may have in flight, and tries what
// else can be wrong with a message then.
func tooMany(s *stage) {
	a, b := s.pair()
	for range 6 {
		s.sendMsg(a, withItems(rightsItem(253)), "x")
	}
	s.send(a, "plain")
	one := withItems(rightsItem(1))
	s.sendMsg(a, one, "x")
	e := s.open("e")
	s.sendMsg(e, one, "x")
	if s.typ == endpoint.SOCK_DGRAM {
		one.To = s.path("none")
		s.sendMsg(e, one, "x")
		one.To = endpoint.Addr{}
	}
	c, d := s.named("x")
	s.close(d)
	s.sendMsg(c, one, "x")
	s.shutdown(a, endpoint.SHUT_WR)
	s.sendMsg(a, one, "x")
	s.recvMsg(b, 1, 0, true)
	s.sendMsg(b, one, "after one was received")
}

// TestTooManyInFlightAgainstLinux compares ETOOMANYREFS. The kernel's part
// plays in a process of its own, which is another user and has the usual limit.
func TestTooManyInFlightAgainstLinux(t *testing.T) {
	types := map[string]int{"stream": endpoint.SOCK_STREAM, "dgram": endpoint.SOCK_DGRAM, "seqpacket": endpoint.SOCK_SEQPACKET}
	if name := os.Getenv(inFlightChild); name != "" {
		limit := syscall.Rlimit{Cur: maxInFlight, Max: maxInFlight}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Setuid(65534); err != nil {
			t.Fatal(err)
		}
		s := newStage(t, types[name], kernel.Family{AF: endpoint.AF_UNIX}, true)
		tooMany(s)
		for _, line := range s.log {
			os.Stdout.WriteString("log: " + line + "\n")
		}
		return
	}
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	for name, typ := range types {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestTooManyInFlightAgainstLinux$")
			cmd.Env = append(os.Environ(), inFlightChild+"="+name)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			var linux []string
			for line := range strings.Lines(string(out)) {
				if rest, ok := strings.CutPrefix(line, "log: "); ok {
					linux = append(linux, strings.TrimSuffix(rest, "\n"))
				}
			}
			s := newStage(t, typ, New(Config{}), false)
			s.cred.Uid = 65534
			tooMany(s)
			compare(t, linux, s.log)
		})
	}
}
