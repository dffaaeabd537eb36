package unix

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"usersock/stack/endpoint"
	"usersock/stack/internal/kernel"
)

// optionExceptions are the options that Linux has and this family does not, or
// whose value differs by nature.
var optionExceptions = map[int]string{
	endpoint.SO_ATTACH_FILTER:         "no packet filters",
	endpoint.SO_DETACH_FILTER:         "no packet filters",
	endpoint.SO_LOCK_FILTER:           "no packet filters",
	endpoint.SO_BPF_EXTENSIONS:        "no packet filters",
	endpoint.SO_ATTACH_REUSEPORT_CBPF: "no packet filters",
	endpoint.SO_ATTACH_REUSEPORT_EBPF: "no packet filters",
	endpoint.SO_DETACH_REUSEPORT_BPF:  "no packet filters",
	endpoint.SO_PASSSEC:               "no security labels",
	endpoint.SO_TIMESTAMPING:          "no transmit or hardware time stamps",
	endpoint.SO_TXTIME:                "no packets that could be sent later",
	endpoint.SO_MAX_PACING_RATE:       "no packets that could be paced",
	endpoint.SO_BINDTOIFINDEX:         "no devices",
	endpoint.SO_CNX_ADVICE:            "no routes",
	endpoint.SO_PASSPIDFD:             "no process descriptors",
	endpoint.SO_PEERPIDFD:             "no process descriptors",
	endpoint.SO_COOKIE:                "the kernel counts all its sockets",
}

// TestOptionsAgainstLinux compares each option's first value, what setting it
// says, and its value after that, with the kernel's.
func TestOptionsAgainstLinux(t *testing.T) {
	cred := endpoint.Cred{Pid: int32(os.Getpid()), Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid())}
	for _, typ := range []int{endpoint.SOCK_STREAM, endpoint.SOCK_DGRAM, endpoint.SOCK_SEQPACKET} {
		for name := 1; name <= endpoint.SO_PASSRIGHTS; name++ {
			if name >= 63 && name <= 67 || name >= 69 && name <= 74 || name >= 78 && name <= 81 || name == 50 {
				continue // not among the documented numbers
			}
			linux := optionLife(t, kernel.Family{AF: endpoint.AF_UNIX}, typ, name, cred)
			if name >= endpoint.SO_RCVPRIORITY && strings.HasPrefix(linux, "  ENOPROTOOPT") {
				continue // younger than this kernel
			}
			here := optionLife(t, New(Config{}), typ, name, cred)
			reason, excepted := optionExceptions[name]
			if linux != here && !excepted {
				t.Errorf("type %d, option %d:\nLinux: %s\nours:  %s", typ, name, linux, here)
			}
			if linux == here && excepted && name != endpoint.SO_COOKIE {
				t.Errorf("type %d, option %d is as on Linux, no exception (%s): %s", typ, name, reason, here)
			}
		}
	}
}

// optionLife tells what happens to one option.
func optionLife(t *testing.T, f endpoint.Family, typ, name int, cred endpoint.Cred) (life string) {
	e, err := f.Open(endpoint.Request{Type: typ, Cred: cred})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	get := func() {
		buf := make([]byte, 64)
		n, err := e.Option(endpoint.SOL_SOCKET, name, buf)
		life += fmt.Sprintf(" % x %s;", buf[:n], errName(err))
	}
	get()
	for _, value := range [][]byte{
		{1, 0, 0}, intBytes(1), intBytes(2), intBytes(0), intBytes(7), intBytes(100_000), intBytes(-1),
		lingerBytes(1, 20_000), append(intBytes(0), intBytes(0)...), make([]byte, 16),
	} {
		// A size of −1 and memory use differ from kernel to kernel.
		if (name == endpoint.SO_SNDBUF || name == endpoint.SO_RCVBUF) && value[0] == 0xFF {
			continue
		}
		life += " set " + errName(e.SetOption(endpoint.SOL_SOCKET, name, value))
		get()
	}
	return life
}

func intBytes(v int) []byte {
	b := make([]byte, 4)
	endpoint.PutInt(b, v)
	return b
}

// lingerBytes is a struct linger, and where words are short a struct timeval:
// then the second number is microseconds, which Linux rounds to its ticks.
func lingerBytes(on, seconds int) []byte { return append(intBytes(on), intBytes(seconds)...) }

func TestOtherLevelsAgainstLinux(t *testing.T) {
	for _, f := range []endpoint.Family{kernel.Family{AF: endpoint.AF_UNIX}, New(Config{})} {
		e, err := f.Open(endpoint.Request{Type: endpoint.SOCK_STREAM})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		for _, level := range []int{endpoint.SOL_IP, endpoint.SOL_TCP, endpoint.SOL_IPV6, 99} {
			if _, err := e.Option(level, 1, make([]byte, 4)); err != endpoint.EOPNOTSUPP {
				t.Errorf("%T: option of level %d: %v", e, level, err)
			}
			if err := e.SetOption(level, 1, make([]byte, 4)); err != endpoint.EOPNOTSUPP {
				t.Errorf("%T: setting an option of level %d: %v", e, level, err)
			}
		}
	}
}
