//go:build linux

package interop

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"usersock/interop/netns"
	"usersock/netdev"
	"usersock/sockapi"
	"usersock/stack"
	"usersock/testnet/dnszone"
)

// serveHTTP runs a web server of package net/http on our stack.
func serveHTTP(t *testing.T, n *sockapi.Net, at string) {
	t.Helper()
	l, err := n.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.Write(make([]byte, 1000))
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		web.Serve(l)
	}()
	t.Cleanup(func() {
		web.Close()
		<-done
	})
}

// TestLoadPrograms: ab and wrk load our web server, and no request fails.
func TestLoadPrograms(t *testing.T) {
	netns.Need(t, "ab", "wrk")
	n := host(t, "tun")
	serveHTTP(t, n, ours4+":80")
	serveHTTP(t, n, "["+ours6+"]:80")
	for _, url := range []string{"http://" + ours4 + "/", "http://[" + ours6 + "]/"} {
		for _, keep := range [][]string{nil, {"-k"}} {
			out := netns.Run(t, "ab", append(keep, "-q", "-n", "2000", "-c", "20", url)...)
			if !regexp.MustCompile(`Complete requests:\s+2000\n`).MatchString(out) || !regexp.MustCompile(`Failed requests:\s+0\n`).MatchString(out) ||
				strings.Contains(out, "Non-2xx") {
				t.Errorf("ab %v %s:\n%s", keep, url, out)
			}
		}
		out := netns.Run(t, "wrk", "-t", "2", "-c", "50", "-d", "1s", url)
		if strings.Contains(out, "Socket errors") || strings.Contains(out, "Non-2xx") || !regexp.MustCompile(`\d{3,} requests in`).MatchString(out) {
			t.Errorf("wrk %s:\n%s", url, out)
		}
	}
}

// TestNginx: our client fetches 50 MB and small files from nginx on the
// kernel's sockets.
func TestNginx(t *testing.T) {
	netns.Need(t, "nginx")
	n := host(t, "tun")
	dir := t.TempDir()
	data := make([]byte, 50<<20)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("large", string(data))
	write("small", "a few bytes")
	conf := write("nginx.conf", fmt.Sprintf(`user root; daemon off; master_process off; worker_processes 1; pid %[1]s/pid; error_log stderr notice;
events {}
http { access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
server { listen %[2]s:80; listen [%[3]s]:80; root %[1]s; sendfile on; } }
`, dir, kernel4, kernel6))
	p := netns.Start(t, "nginx", "-c", conf, "-e", "stderr", "-p", dir)
	p.Expect("getrlimit") // it listens by then
	tr := &http.Transport{DialContext: n.DialContext}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	for _, at := range []string{kernel4, "[" + kernel6 + "]"} {
		for range 200 {
			reply, err := client.Get("http://" + at + "/small")
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(reply.Body)
			reply.Body.Close()
			if err != nil || string(text) != "a few bytes" {
				t.Fatalf("%q, %v", text, err)
			}
		}
		reply, err := client.Get("http://" + at + "/large")
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.New()
		size, err := io.Copy(sum, reply.Body)
		reply.Body.Close()
		if err != nil || [32]byte(sum.Sum(nil)) != sha256.Sum256(data) {
			t.Errorf("%s: %d bytes, %v", at, size, err)
		}
	}
}

// TestPingFlood: 10,000 echo requests as fast as they come back, none lost.
func TestPingFlood(t *testing.T) {
	netns.Need(t, "ping")
	host(t, "tun")
	for _, at := range []string{ours4, ours6} {
		out := netns.Run(t, "ping", "-q", "-f", "-c", "10000", at)
		if !strings.Contains(out, "10000 packets transmitted, 10000 received, 0% packet loss") {
			t.Errorf("ping %s:\n%s", at, out)
		}
	}
}

// second is a network namespace beside the test's own.
type second struct {
	t   *testing.T
	pid string
}

// newSecond makes one, which lives as long as the test.
func newSecond(t *testing.T) *second {
	t.Helper()
	netns.Need(t, "nsenter", "unshare", "ip")
	p := netns.Start(t, "unshare", "--net", "sh", "-c", "echo $$; exec sleep 1000")
	s := &second{t, strings.TrimSpace(p.Expect(""))}
	s.run("ip", "link", "set", "lo", "up")
	return s
}

func (s *second) args(args []string) []string { return append([]string{"-t", s.pid, "-n"}, args...) }

func (s *second) run(args ...string) string {
	s.t.Helper()
	return netns.Run(s.t, "nsenter", s.args(args)...)
}

func (s *second) start(args ...string) *netns.Process {
	s.t.Helper()
	return netns.Start(s.t, "nsenter", s.args(args)...)
}

// The far network has the kernel's end at the first address, ours at the
// second.
const (
	far4, farOurs4 = "198.51.100.1", "198.51.100.2"
	far6, farOurs6 = "2001:db8:f::1", "2001:db8:f::2"
)

// middle is a stack of ours with a TUN in the test's namespace and one in
// another.
//
// None of its links may have lost a packet on the way in when the test ends.
func middle(t *testing.T, forward bool) (*sockapi.Net, *second) {
	t.Helper()
	netns.Need(t)
	far := newSecond(t)
	a, err := netdev.Open("tun:near0")
	if err != nil {
		t.Fatal(err)
	}
	b, err := netdev.Open("tun:far0")
	if err != nil {
		t.Fatal(err)
	}
	netns.IP(t, "link", "set", "far0", "netns", far.pid)
	st, err := stack.New(stack.Config{Hostname: "middle", Forwarding: forward, Interfaces: []stack.Interface{
		{Name: "near0", Link: a, Addrs: []netip.Prefix{netip.MustParsePrefix(ours4 + "/24"), netip.MustParsePrefix(ours6 + "/64")}},
		{Name: "far0", Link: b, Addrs: []netip.Prefix{netip.MustParsePrefix(farOurs4 + "/24"), netip.MustParsePrefix(farOurs6 + "/64")}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	n, err := sockapi.New(sockapi.Config{Stack: st})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.Close()
		st.Close()
		for name, l := range map[string]netdev.Link{"near0": a, "far0": b} {
			if d := netdev.Dropped(l); d.RxQueueFull+d.RxMalformed+d.RxTooLong > 0 {
				t.Errorf("lost on %s: %+v", name, d)
			}
		}
	})
	netns.Up(t, "near0", kernel4+"/24", kernel6+"/64")
	for _, a := range []string{far4 + "/24", far6 + "/64"} {
		args := []string{"ip", "addr", "add", a, "dev", "far0"}
		if strings.Contains(a, ":") {
			args = append(args, "nodad")
		}
		far.run(args...)
	}
	far.run("ip", "link", "set", "far0", "up")
	if forward {
		netns.IP(t, "route", "add", far4+"/32", "via", ours4)
		netns.IP(t, "route", "add", far6+"/128", "via", ours6)
		far.run("ip", "route", "add", kernel4+"/32", "via", farOurs4)
		far.run("ip", "route", "add", kernel6+"/128", "via", farOurs6)
	}
	return n, far
}

// iperf3 runs the client for a second, or as long as USERSOCK_IPERF_SECONDS
// says, at most 60, and returns the bytes that arrived and
// the share of datagrams that was lost. The server takes one client at a time, and says
// "Server listening" whenever it is ready for one.
func iperf3(t *testing.T, server *netns.Process, args ...string) (bytes, lost float64) {
	t.Helper()
	server.Expect("Server listening")
	seconds := os.Getenv("USERSOCK_IPERF_SECONDS")
	if seconds == "" {
		seconds = "1"
	}
	out := netns.Run(t, "iperf3", append([]string{"-J", "-t", seconds}, args...)...)
	var report struct {
		Error string
		End   struct {
			SumReceived struct {
				Bytes float64
			} `json:"sum_received"`
			Sum struct {
				Bytes       float64
				LostPercent float64 `json:"lost_percent"`
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || report.Error != "" {
		t.Fatalf("iperf3 %v: %v %s\n%s", args, err, report.Error, out)
	}
	return max(report.End.SumReceived.Bytes, report.End.Sum.Bytes), report.End.Sum.LostPercent
}

// TestIperfRouted: iperf3 between two namespaces whose TUNs our stack routes
// between, over TCP and UDP, in both directions.
func TestIperfRouted(t *testing.T) {
	netns.Need(t, "iperf3")
	_, far := middle(t, true)
	server := far.start("iperf3", "-s", "--forceflush")
	for _, to := range []string{far4, far6} {
		for _, back := range [][]string{nil, {"-R"}} {
			if n, _ := iperf3(t, server, append(back, "-c", to)...); n < 1<<20 {
				t.Errorf("TCP %s %v: %.0f bytes", to, back, n)
			}
			if n, lost := iperf3(t, server, append(back, "-c", to, "-u", "-b", "20M")...); n < 1<<20 || lost > 5 { // a busy machine may let the kernel's sockets overflow; our links lose nothing, see middle
				t.Errorf("UDP %s %v: %.0f bytes, %.2f %% lost", to, back, n, lost)
			}
		}
	}
}

// TestIperfRelayed: the same through a relay of TCP over our sockets.
func TestIperfRelayed(t *testing.T) {
	netns.Need(t, "iperf3")
	n, far := middle(t, false)
	server := far.start("iperf3", "-s", "--forceflush")
	for at, to := range map[string]string{ours4: far4, ours6: far6} {
		l, err := n.Listen("tcp", net.JoinHostPort(at, "5201"))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go relay(n, l, net.JoinHostPort(to, "5201"))
		for _, back := range [][]string{nil, {"-R"}, {"-P", "4"}} {
			if n, _ := iperf3(t, server, append(back, "-c", at)...); n < 1<<20 {
				t.Errorf("%s %v: %.0f bytes", at, back, n)
			}
		}
	}
}

// relay connects each client of l to the server at to.
func relay(n *sockapi.Net, l net.Listener, to string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			s, err := n.Dial("tcp", to)
			if err != nil {
				return
			}
			defer s.Close()
			var ways sync.WaitGroup
			for _, way := range [][2]net.Conn{{c, s}, {s, c}} {
				ways.Go(func() {
					io.Copy(way[0], way[1])
					way[0].(*sockapi.Conn).CloseWrite()
				})
			}
			ways.Wait()
		}()
	}
}

// TestTraceroute: traceroute sees our stack as a router on the way and as the
// host at the end.
func TestTraceroute(t *testing.T) {
	netns.Need(t, "traceroute")
	middle(t, true)
	for _, c := range []struct {
		family, how, to string
		hops            []string
	}{
		{"-4", "-U", far4, []string{ours4, far4}},
		{"-4", "-I", far4, []string{ours4, far4}},
		{"-4", "-T", far4, []string{ours4, far4}},
		{"-6", "-U", far6, []string{ours6, far6}},
		{"-6", "-I", far6, []string{ours6, far6}},
		{"-4", "-U", ours4, []string{ours4}},
		{"-4", "-I", ours4, []string{ours4}},
		{"-6", "-U", ours6, []string{ours6}},
	} {
		out := netns.Run(t, "traceroute", c.family, c.how, "-n", "-q", "1", "-w", "2", "-m", "5", c.to)
		var hops []string
		for _, line := range strings.Split(out, "\n") {
			if f := strings.Fields(line); len(f) > 1 {
				if _, err := strconv.Atoi(f[0]); err == nil {
					hops = append(hops, f[1])
				}
			}
		}
		if fmt.Sprint(hops) != fmt.Sprint(c.hops) {
			t.Errorf("traceroute %s %s %s: %v, want %v\n%s", c.family, c.how, c.to, hops, c.hops, out)
		}
	}
}

// TestDig: dig asks a DNS server on our stack.
func TestDig(t *testing.T) {
	netns.Need(t, "dig")
	n := host(t, "tun")
	zone, err := dnszone.Parse(`$TTL 60
@ SOA ns hostmaster 1 2 3 4 5
@ NS ns
ns A 192.0.2.2
www A 203.0.113.1
www AAAA 2001:db8::77
alias CNAME www
text TXT "hello world"
@ MX 10 mail
mail A 203.0.113.2
*.wild A 203.0.113.3
there.wild TXT here
child NS ns.child
child NS ns.example.net.
ns.child A 203.0.113.54
ns.child AAAA 2001:db8::54
child DS 12345 13 2 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
in CNAME www.child
old DNAME new
www.new A 203.0.113.7
deep DNAME long.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
srv NAPTR 1 2 "s" "SIP+D2U" "" _sip._udp
_443._tcp TLSA 3 1 1 00ff17
`+many(), "example.com")
	check(t, err)
	server := dnszone.NewServer(zone)
	serveNames(t, n, ":53", server)
	old := dnszone.NewServer(zone) // from before EDNS
	old.EDNS = dnszone.EDNSFormErr
	serveNames(t, n, ":54", old)
	small := dnszone.NewServer(zone)
	small.MaxUDP = 512
	serveNames(t, n, ":55", small)
	clock := n.Stack().Clock()
	bad := dnszone.NewServer(zone)
	bad.AfterFunc = func(d time.Duration, f func()) func() bool { return clock.AfterFunc(d, f).Stop }
	serveNames(t, n, ":56", bad)
	for _, f := range []dnszone.Fault{
		{Name: "text.example.com.", Do: dnszone.Drop, Over: dnszone.UDP, Times: 1},
		{Name: "www.example.com.", Type: "A", Do: dnszone.Fail},
		{Name: "www.example.com.", Type: "AAAA", Do: dnszone.Drip, Over: dnszone.TCP, Every: time.Millisecond},
		{Name: "alias.example.com.", Do: dnszone.WrongID, Then: true},
		{Name: "mail.example.com.", Do: dnszone.Lie, Answer: " 5 A 203.0.113.66"},
		{Name: "ns.example.com.", Do: dnszone.Truncate, Over: dnszone.UDP},
	} {
		_, err := bad.AddFault(f)
		check(t, err)
	}
	for _, c := range []struct{ args, want string }{
		{"+short www.example.com A", "203.0.113.1"},
		{"+short www.example.com AAAA", "2001:db8::77"},
		{"+short +tcp www.example.com A", "203.0.113.1"},
		{"+short alias.example.com A", "www.example.com.\n203.0.113.1"},
		{"+short text.example.com TXT", `"hello world"`},
		{"+short example.com MX", "10 mail.example.com."},
		{"+short a.b.wild.example.com A", "203.0.113.3"},
		{"+noall +comments none.example.com A", "status: NXDOMAIN"},
		{"+noall +comments other.example.net A", "status: REFUSED"},
		{"+noall +comments +ignore +noedns many.example.com A", "flags: qr aa tc"},
		{"+noall +comments many.example.com A", "ANSWER: 100"},
		{"+short srv.example.com NAPTR", `1 2 "s" "SIP+D2U" "" _sip._udp.example.com.`},
		{"+short _443._tcp.example.com TLSA", "3 1 1 00FF17"},
		// Delegation: no AA, the servers, and the glue that the zone has.
		{"+norec www.child.example.com A", "flags: qr; QUERY: 1, ANSWER: 0, AUTHORITY: 2, ADDITIONAL: 3"},
		{"+norec +noall +authority www.child.example.com A", "NS\tns.child.example.com."},
		{"+norec +noall +additional child.example.com NS", "ns.child.example.com.\t60\tIN\tAAAA\t2001:db8::54"},
		{"+norec +noall +comments child.example.com DS", "flags: qr aa ra; QUERY: 1, ANSWER: 1"},
		{"+norec +noall +comments in.example.com A", "flags: qr aa; QUERY: 1, ANSWER: 1, AUTHORITY: 2, ADDITIONAL: 3"},
		// DNAME: both records, the target, a name that becomes too long.
		{"+noall +answer www.old.example.com A", "old.example.com.\t60\tIN\tDNAME\tnew.example.com.\nwww.old.example.com.\t60\tIN\tCNAME\twww.new.example.com.\nwww.new.example.com.\t60\tIN\tA\t203.0.113.7"},
		{"+noall +comments old.example.com A", "status: NOERROR"},
		{"+noall +comments aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.deep.example.com A", "status: YXDOMAIN"},
		// Wildcards: a name that exists is not covered, nor is what is below it.
		{"+noall +comments there.wild.example.com A", "status: NOERROR"},
		{"+noall +comments below.there.wild.example.com A", "status: NXDOMAIN"},
		{"+noall +authority wild.example.com A", "SOA"},
		// EDNS.
		{"+noall +comments +edns=1 +noednsneg www.example.com A", "status: BADVERS"},
		{"+noall +comments www.example.com A", "EDNS: version: 0, flags:; udp: 1400"},
		{"+noall +comments +dnssec www.example.com A", "flags: do; udp: 1400"},
		{"+noall +comments +nsid www.example.com A", "status: NOERROR"},
		{"+noall +comments -p 54 www.example.com A", "status: FORMERR"},
		{"+short -p 54 +noedns www.example.com A", "203.0.113.1"},
		{"+noall +comments -p 55 +ignore many.example.com A", "flags: qr aa tc"},
		{"+noall +comments -p 55 www.example.com A", "udp: 512"},
		{"-p 55 many.example.com A", "(TCP)"},
		// Faults.
		{"-p 56 +tries=2 +time=1 +short text.example.com TXT", `"hello world"`},
		{"-p 56 +noall +comments www.example.com A", "status: SERVFAIL"},
		{"-p 56 +tcp +short www.example.com AAAA", "2001:db8::77"},
		{"-p 56 alias.example.com A", "ID mismatch"},
		{"-p 56 +short mail.example.com A", "203.0.113.66"},
		{"-p 56 ns.example.com A", "(TCP)"},
	} {
		for _, at := range []string{ours4, ours6} {
			out := netns.Run(t, "dig", append([]string{"@" + at, "+tries=1", "+time=5"}, strings.Fields(c.args)...)...)
			if !strings.Contains(out, c.want) {
				t.Errorf("dig @%s %s:\n%s\nwant %q", at, c.args, out, c.want)
			}
		}
	}
}

// serveNames lets a name server answer on n, over UDP and TCP, until the test
// ends.
func serveNames(t *testing.T, n *sockapi.Net, at string, server *dnszone.Server) {
	t.Helper()
	pc, err := n.ListenPacket("udp", at)
	check(t, err)
	l, err := n.Listen("tcp", at)
	check(t, err)
	var tasks sync.WaitGroup
	tasks.Go(func() { server.Serve(pc) })
	tasks.Go(func() { server.ServeListener(l) })
	t.Cleanup(func() {
		pc.Close()
		l.Close()
		tasks.Wait()
	})
}

// many is a name with 100 addresses.
func many() string {
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, "many A 203.0.113.%d\n", i)
	}
	return b.String()
}

// TestEchoProgramEnds: the program says why when its interface is deleted.
func TestEchoProgramEnds(t *testing.T) {
	netns.Need(t, "ip")
	program := filepath.Join(t.TempDir(), "userspace-echo")
	build := exec.Command("go", "build", "-o", program, "usersock/cmd/userspace-echo")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p := netns.Start(t, program, "serve", "-link", "tun:"+device, "-addr", ours4+"/24")
	p.Expect("Ctrl-C")
	netns.IP(t, "link", "del", device)
	p.Expect("the interface is gone")
}
