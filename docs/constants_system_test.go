package docs_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The numbers, asked of those who know: the machine's python3 and its C headers.
// Where neither is to be had, and off Linux, testdata/constants.txt alone decides.

// promisedPrefixes are the constants that the documents promise as a kind.
var promisedPrefixes = []string{"SO_", "SOMAXCONN", "MSG_", "SOL_", "IPPROTO_", "IPPORT_", "INADDR_", "IP_", "IPV6_",
	"EAI_", "AI_", "NI_", "TCP_", "SHUT_", "AF_", "SOCK_", "SCM_", "UDPLITE_", "NETLINK_", "CMSG_"}

// notServed are Python's names for address families that no Stack has.
var notServed = regexp.MustCompile(`^AF_|_(ALG|HCI|J1939|CAN|VM_SOCKETS|RDS|TIPC)(_|$)|CAN_`)

// TestConstantsLikePython compares every constant that package sockapi and
// python3's modules have both, and finds those that only Python has.
func TestConstantsLikePython(t *testing.T) {
	python := systemProgram(t, "python3")
	out, err := exec.Command(python, "-c", `
import socket, select, fcntl, sys
if sys.version_info < (3, 11): sys.exit("old")
print("sys", "minor", sys.version_info.minor)
for module in (socket, select, fcntl):
    for name in dir(module):
        value = getattr(module, name)
        if isinstance(value, int) and not isinstance(value, bool): print(module.__name__, name, int(value))
`).Output()
	if err != nil {
		t.Skip("python3 is no CPython 3.11 or later:", err)
	}
	theirs := map[string]int64{}
	have := constants(t)
	for line := range strings.Lines(string(out)) {
		var module, name string
		var value int64
		if _, err := fmt.Sscan(line, &module, &name, &value); err != nil {
			t.Fatal(err)
		}
		theirs[name] = value
		ours, ok := have[name]
		kind := slices.ContainsFunc(promisedPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
		switch {
		case ok && ours != value:
			t.Errorf("%s is %d, Python's %s.%s %d", name, ours, module, name, value)
		case !ok && module == "socket" && kind && !notServed.MatchString(name) && theirs["minor"] == 11: // later ones have more
			t.Errorf("Python's %s (%d) is missing", name, value)
		case !ok && module == "select" && strings.HasPrefix(name, "POLL"),
			!ok && module == "select" && strings.HasPrefix(name, "EPOLL") && name != "EPOLL_CLOEXEC":
			t.Errorf("select.%s (%d) is missing", name, value)
		}
	}
	if len(theirs) < 300 {
		t.Errorf("python3 names %d constants: too few to be all", len(theirs))
	}
}

// headers declare the numbers of Linux.
var headers = []string{"sys/socket.h", "sys/un.h", "sys/ioctl.h", "sys/epoll.h", "poll.h", "fcntl.h", "netdb.h", "netinet/in.h",
	"netinet/tcp.h", "netinet/udp.h", "netinet/icmp6.h", "linux/icmp.h", "linux/errqueue.h", "linux/sockios.h", "linux/netlink.h"}

// TestConstantsLikeHeaders compiles a C program that prints every constant of
// package sockapi that the C headers define.
func TestConstantsLikeHeaders(t *testing.T) {
	cc := systemProgram(t, "cc")
	have := constants(t)
	var c strings.Builder
	c.WriteString("#define _GNU_SOURCE\n")
	for _, h := range headers {
		fmt.Fprintf(&c, "#if __has_include(<%s>)\n#include <%s>\n#endif\n", h, h)
	}
	c.WriteString("#include <stdio.h>\nint main() {\n")
	for _, name := range slices.Sorted(maps.Keys(have)) {
		fmt.Fprintf(&c, "#ifdef %s\nprintf(\"%s %%lld\\n\", (long long)(%s));\n#endif\n", name, name, name)
	}
	c.WriteString("return 0; }\n")
	dir := t.TempDir()
	source, program := filepath.Join(dir, "numbers.c"), filepath.Join(dir, "numbers")
	if err := os.WriteFile(source, []byte(c.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(cc, "-w", "-o", program, source).CombinedOutput(); err != nil {
		t.Skipf("the headers are not to be had: %v\n%s", err, out)
	}
	out, err := exec.Command(program).Output()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(out)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		value, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		n++
		if uint32(value) != uint32(have[name]) {
			t.Errorf("%s is %d, in the headers %d", name, have[name], value)
		}
	}
	if n < 250 {
		t.Errorf("the headers define %d of %d constants: too few", n, len(have))
	}
	t.Logf("%d of %d constants are in the headers", n, len(have))
}

// systemProgram finds a program of a Linux machine, or skips.
func systemProgram(t *testing.T, name string) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the numbers are Linux's")
	}
	switch runtime.GOARCH {
	case "amd64", "arm64", "386", "arm", "riscv64", "loong64":
	default:
		t.Skip("Linux has other numbers on", runtime.GOARCH)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip(err)
	}
	return path
}
