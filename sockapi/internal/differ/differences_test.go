package differ

import (
	"slices"
	"strings"
	"testing"
)

// A difference is a step of which ours has another outcome than the kernel.
// In the patterns * stands for any text. A step that an exact outcome is listed
// for has to have it; where ours has a *, the kernel's outcome will do as well, as
// long as some step differs.
type difference struct {
	in     string // pattern of the sequences' names
	call   string // pattern of the call
	kernel string // pattern of the kernel's outcome: the result, and {readiness} if that changed
	ours   string // our outcome, or a pattern
	why    string
}

// differences are all that are known. A line that no longer holds fails.
var differences = slices.Concat(byRule, byNetstack, ofOptions, ofCases)

// byRule are those that the documents or docs/deviations.md ask for.
var byRule = []difference{
	{"*/addresses of other families", "a.*", "EPIPE", "EAFNOSUPPORT", "an address of another family is refused whatever the call"},
	{"*/addresses of other families", "a.*", "EINVAL", "EAFNOSUPPORT", "an address of another family is refused whatever the call"},
	{"*/addresses of other families", "a.*", "E*OT*", "*EAFNOSUPPORT", "an address of another family is refused whatever the call"},
	{"udp6/addresses of other families", "a.connect(127.0.0.1:9)", "ok", "EAFNOSUPPORT", "an address of another family is refused whatever the call"},
	{"udp6/addresses of other families", "a.sendto(*", "1 *", "EAFNOSUPPORT", "an address of another family is refused whatever the call"},
}

// byNetstack are those that netstack leaves no way round, or none that is worth
// it.
var byNetstack = []difference{
	// Urgent data.
	{"tcp*/urgent data*", `c.send("*!", MSG_OOB)`, "3 {p:IN|PRI|OUT}", "3 {p:IN|OUT}", urgent},
	{"tcp*/urgent data between others", `c.send("!", MSG_OOB)`, "1 {p:IN|PRI|OUT}", "1", urgent},
	{"wire*/urgent data*", `peer sends URG|ACK "ab!"`, "ok {a:IN|PRI|OUT}", "ok {a:IN|OUT}", urgent},
	{"*/urgent data*", "*.recv(9, MSG_OOB*)", "1 *", "EINVAL", urgent},
	{"*/urgent data*", "*.recv(9)", `2 "ab" *`, `3 "ab!" *`, urgent},
	{"*/urgent data in line", "p.recv(9)", `2 "ab"`, `3 "ab!" {p:OUT}`, urgent},
	{"*/urgent data in line", "p.recv(9)", `1 "!" {p:OUT}`, "EAGAIN", urgent},
	{"*/urgent data between others", "p.recv(1)", `1 "a"`, `1 "!"`, urgent},
	{"*/urgent data between others", "p.recv(9)", `4 "fter" {p:OUT}`, `5 "after" {p:OUT}`, urgent},

	{"unix-stream/urgent data and its neighbours", "b.recv(0, MSG_OOB)", `1 "" *`, `0 "" *`, "a receive into nothing gets nothing: Linux says 1, and there is no byte"},

	// The end of a connection that was shut down for writing before it was made.
	{"tcp*/shut *, then listening", "c.connect(*)", "EINPROGRESS {l:IN c:IN|OUT|RDHUP}", "EINPROGRESS {l:IN c:OUT}", endAtOnce},
	{"tcp4/shut for writing, then listening", "p = l.accept()", "from 127.0.0.1:p2 {l:- p:OUT}", "from 127.0.0.1:p2 {l:- c:IN|OUT|RDHUP p:OUT}", endAtOnce},
	{"tcp6/shut for writing, then listening", "p = l.accept()", "from [::1]:p2 {l:- p:OUT}", "from [::1]:p2 {l:- c:IN|OUT|RDHUP p:OUT}", endAtOnce},
	{"tcp4/shut both ways, then listening", "p = l.accept()", "from 127.0.0.1:p2 {l:- p:IN|OUT|HUP|RDHUP}", "from 127.0.0.1:p2 {l:- c:IN|OUT|RDHUP p:IN|OUT|HUP|RDHUP}", endAtOnce},
	{"tcp6/shut both ways, then listening", "p = l.accept()", "from [::1]:p2 {l:- p:IN|OUT|HUP|RDHUP}", "from [::1]:p2 {l:- c:IN|OUT|RDHUP p:IN|OUT|HUP|RDHUP}", endAtOnce},
	{"tcp*/shut for writing, then connected to itself", "a.connect(*)", "EINPROGRESS {a:IN|OUT|HUP|RDHUP}", "EINPROGRESS {a:OUT}", endAtOnce},

	// SYN-RECV of a simultaneous open.
	{"states*/SYN-RECV/close with a reset", "peer expects END", "RST|ACK seq 1 ack 1", "RST|ACK seq * ack -5000", "netstack resets a connection in SYN-RECV with numbers that mean nothing"},
	{"states*/SYN-RECV/close", "peer expects END", "FIN|ACK seq 1 ack 1", "RST seq 1", synRecvEnds},
	{"states*/SYN-RECV/shutdown*", "a.shutdown(*)", "ok {*", "ok {a:IN|OUT|ERR|HUP|RDHUP}", synRecvEnds},
	{"states*/SYN-RECV/shutdown for writing", "a.shutdown(*)", "ok", "*", synRecvEnds},
	{"states*/SYN-RECV/shutdown*", "a.shutdown(*)", "ok", "ENOTCONN", synRecvEnds},
	{"states*/SYN-RECV/shutdown*", "a.state of TCP", "state SYN-RECV", "state CLOSE", synRecvEnds},
	{"states*/SYN-RECV/shutdown*", "a.recv(9)", `0 ""`, "ECONNRESET {*", synRecvEnds},
	{"states*/SYN-RECV/shutdown*", `a.send("x")`, "EAGAIN", "E*", synRecvEnds},

	// Resets.
	{"wire*/data for a socket that is closed", "peer expects RST", "RST seq 2", "RST|ACK seq 2 ack 1", "how a reset is numbered; RFC 9293 allows both"},
	{"accepted, over *", "a.getsockopt(IP*_MULTICAST_HOPS)", "64", "1", "netstack does not keep the hop limit that a connection came with"},
	{"accepted, over *", "a.getsockopt(IP_MULTICAST_TTL)", "64", "1", "netstack does not keep the TTL that a connection came with"},
	{"wire*/queues after a reset", "a.ioctl(*)", "queues 0 2", "queues 0 0", "netstack drops what was not acknowledged, and forgets how much it was"},
	{"wire*/the end before the data", "*", "*", "*", "netstack drops a FIN without data that arrives out of order, and waits for it to be sent again"},

	// A source that another interface has, or that the host has not, of TCP.
	{"sources/6/from lo, IPv6", "b.connect(*)", "EINPROGRESS*", "ENETUNREACH", "netstack's TCP leaves by an interface that has the source address alone"},
	{"sources/4/from nowhere", "b.bind(*)", "ok*", "EADDRNOTAVAIL", "netstack's TCP binds the host's own addresses alone"},
	{"states6/CLOSE and bound/connect", "a.connect(*)", "E*", "ENETUNREACH", foreignSource},

	// Raw sockets.
	{"raw4/raw ICMP, filtered", "a.recv of a packet", "*00000000400100*", "*00004000400100*", "netstack sends an echo reply with Don't Fragment"},
	{"raw6/raw, of protocol 253", "b.recv of a packet", "30 *", "22 *", "netstack takes protocol 253 of IPv6 for an extension header of 8 bytes"},
}

const (
	endAtOnce     = "netstack tells of a connection under its locks, where nothing can be sent: on Linux one that comes out of SYN-RECV shut down for writing sends its end at once"
	urgent        = "netstack has no urgent data"
	synRecvEnds   = "netstack ends a connection in SYN-RECV with a reset, where Linux completes it first"
	foreignSource = "netstack sends by an interface that has the source address alone: Linux sends from ::1 to the outside"
)

// ofOptions are of the option table.
var ofOptions = []difference{
	{"options/*/SO_DEBUG", "a.setsockopt(*)", "EACCES", "ok", privilege},
	{"options/*/SO_DEBUG", "a.getsockopt(*)", "*", "*", privilege},
	{"options/*4/IP_OPTIONS", "a.setsockopt(*)", "*", "*EOPNOTSUPP", ipOptionsSent},
	{"options/*4/IP_OPTIONS", "a.getsockopt(*)", "*", "*", ipOptionsSent},
}

// ofCases are of the option cases.
var ofCases = []difference{
	{"cases/unix-*/lives", "life of SO_DEBUG", "*", "*01000000 ok, 1*", privilege},
	{"cases/unix-*/lives", "life of SO_*BUFFORCE", "*", "*01000000 ok*", privilege},
	{"cases/unix-*", "*SO_MAX_PACING_RATE*", "*", "*ENOPROTOOPT", "AF_UNIX has no packets that could be paced"},
	{"cases/unix-*", "a.setsockopt(SO_BINDTODEVICE, 6c6f)*", "ok*", "ENODEV*", "AF_UNIX has no devices"},
	{"cases/unix-*", "*SO_BINDTOIFINDEX*", "0*", "ENOPROTOOPT*", "AF_UNIX has no devices"},
	{"cases/tcp4/accepted", "p.getsockopt(IP_MULTICAST_TTL)", "64", "1", acceptedNotes},
	{"cases/tcp6/accepted", "p.getsockopt(IPV6_MULTICAST_HOPS)", "64", "1", acceptedNotes},
	{"cases/tcp*/accepted", "p.getsockopt(TCP_MAXSEG)", "32768", "654*", "TCP_MAXSEG is the route's: Linux also counts a small receive buffer"},
	{"cases/tcp*/accepted", "p.getsockopt(TCP_WINDOW_CLAMP)", "40000", "0", "Linux sets TCP_WINDOW_CLAMP from SO_RCVBUF: here it is only stored"},
}

const (
	acceptedNotes = "netstack does not tell the TTL or hop limit that a connection came with"
	privilege     = "every process of user 0 has the privilege: the room of the kernel's sockets has it not over the first namespace"
	ipOptionsSent = "netstack sends no IP options"
)

// ofGenerated are differences that generated sequences come across; in is the
// family and the type.
var ofGenerated = []difference{}

// lasting are steps that ours agrees on and that may have consequences later
// which differ: what follows them in a generated sequence is not compared.
var lasting = []difference{
	{in: "AF_INET*/SOCK_STREAM", call: "*.shutdown(SHUT_*WR)", kernel: "ENOTCONN*", why: endAtOnce},
}

// glob reports whether text is of the pattern.
func glob(pattern, text string) bool {
	first, rest, more := strings.Cut(pattern, "*")
	if !strings.HasPrefix(text, first) {
		return false
	}
	if !more {
		return text == first
	}
	for text = text[len(first):]; ; text = text[1:] {
		if glob(rest, text) {
			return true
		}
		if text == "" {
			return false
		}
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "abc", true}, {"a*c", "abc", true}, {"a*c", "ab", false},
		{"a*", "ba", false}, {"*b*", "abc", true}, {"ab", "abc", false}, {"a*b*c", "axbxbxc", true},
	} {
		if got := glob(c.pattern, c.text); got != c.want {
			t.Errorf("glob(%q, %q) = %v", c.pattern, c.text, got)
		}
	}
}
