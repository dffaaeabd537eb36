//go:build linux

package interop

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"usersock/interop/netns"
)

// The name servers unbound and nsd on the kernel's side: nsd has the zones, a
// root zone among them; unbound finds its way from that root, and asks nobody
// else. Our stack is the client of both.
const (
	nsdPort = "5353" // at the kernel's addresses; at 127.0.0.1 it has port 53
)

const rootZone = `$TTL 300
. SOA ns. host. 1 3600 600 86400 60
. NS ns.
ns. A 127.0.0.1
example. NS ns.
other. NS ns.
signed. NS ns.
in-addr.arpa. NS ns.
8.b.d.0.1.0.0.2.ip6.arpa. NS ns.
`

// peerZone has no record below a DNAME, which nsd refuses.
func peerZone() string {
	var b strings.Builder
	b.WriteString(`$TTL 300
@         SOA   ns hostmaster 1 3600 600 86400 60
          NS    ns
          MX    10 mail
ns        A     127.0.0.1
mail      A     203.0.113.2
www       A     203.0.113.1
www       AAAA  2001:db8:77::1
four      A     203.0.113.4
six       AAAA  2001:db8:77::6
alias     CNAME alias2
alias2    CNAME alias3
alias3    CNAME www
dangling  CNAME nowhere
toother   CNAME www.other.
loopa     CNAME loopb
loopb     CNAME loopa
text      TXT   "hello \"world\"" two
_s._tcp   SRV   1 2 443 www
host.sub.example. A 203.0.113.5
d         DNAME new
d         A     203.0.113.98
y.new     A     203.0.113.7
z.new     CNAME y.d
dd        DNAME d
*.star    A     203.0.113.3
a.star    TXT   here
sub.*.star TXT  below
*.cstar   CNAME www
child     NS    ns.child
child     NS    ns.example.net.
ns.child  A     203.0.113.54
ns.child  AAAA  2001:db8:77::54
child     DS    12345 13 2 ( 000102030405060708090a0b0c0d0e0f
                             101112131415161718191a1b1c1d1e1f )
in        CNAME www.child
`)
	for i := range 1000 {
		fmt.Fprintf(&b, "many A 203.0.113.%d\n", i%256)
		if i < 100 {
			fmt.Fprintf(&b, "hundred AAAA 2001:db8:77::%x\n", i+1)
		}
	}
	for i := range 200 {
		fmt.Fprintf(&b, "large TXT \"%03d %s\"\n", i, strings.Repeat("x", 200))
	}
	return b.String()
}

const otherZone = `$TTL 300
@ SOA ns. host. 1 3600 600 86400 60
  NS  ns.
www A 203.0.113.20
four A 203.0.113.21
only A 203.0.113.22
`

const reverse4Zone = `$TTL 300
@ SOA ns. host. 1 3600 600 86400 60
  NS  ns.
1.113.0.203 PTR www.example.
2.113.0.203 CNAME 2.rfc2317.113.0.203
2.rfc2317.113.0.203 PTR mail.example.
3.113.0.203 PTR bad\;name.example.
`

const reverse6Zone = `$TTL 300
@ SOA ns. host. 1 3600 600 86400 60
  NS  ns.
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.7.7.0.0 PTR www.example.
`

const signedZone = `$TTL 300
@ SOA ns. host. 1 3600 600 86400 60
  NS  ns.
www A 203.0.113.31
www AAAA 2001:db8:77::31
alias CNAME www
forged A 203.0.113.32
*.star A 203.0.113.33
`

// peers are the name servers of a test.
type peers struct {
	dir          string
	nsd, unbound []string // their addresses with port, IPv4 and IPv6
}

// startNSD starts nsd with all zones. signed is the signed zone's text.
func startNSD(t *testing.T, signed string) *peers {
	t.Helper()
	p := &peers{dir: t.TempDir()}
	check(t, os.Chmod(p.dir, 0o755))
	for _, at := range []string{kernel4, kernel6} {
		p.nsd = append(p.nsd, net.JoinHostPort(at, nsdPort))
		p.unbound = append(p.unbound, net.JoinHostPort(at, "53"))
	}
	conf := fmt.Sprintf(`server:
	ip-address: 127.0.0.1@53
	ip-address: %s@%s
	ip-address: %s@%s
	server-count: 1
	username: ""
	chroot: ""
	zonesdir: %q
	database: ""
	pidfile: ""
	logfile: ""
	zonelistfile: "zone.list"
	xfrdfile: ""
	xfrdir: %[5]q
	minimal-responses: yes
	refuse-any: no
remote-control:
	control-enable: no
`, kernel4, nsdPort, kernel6, nsdPort, p.dir)
	for name, text := range map[string]string{
		".": rootZone, "example": peerZone(), "other": otherZone, "signed": signed,
		"in-addr.arpa": reverse4Zone, "8.b.d.0.1.0.0.2.ip6.arpa": reverse6Zone,
	} {
		file := "zone-" + strings.ReplaceAll(name, ".", "_")
		p.write(t, file, text)
		conf += fmt.Sprintf("zone:\n\tname: %q\n\tzonefile: %q\n", name, file)
	}
	netns.Start(t, "nsd", "-d", "-c", p.write(t, "nsd.conf", conf)).Expect("nsd started")
	return p
}

func (p *peers) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(p.dir, name)
	check(t, os.WriteFile(path, []byte(text), 0o644))
	return path
}

// startUnbound starts unbound; more are lines of its server section.
func (p *peers) startUnbound(t *testing.T, modules, more string) {
	t.Helper()
	hints := p.write(t, "root.hints", ". 3600000 NS ns.\nns. 3600000 A 127.0.0.1\n")
	conf := p.write(t, "unbound.conf", fmt.Sprintf(`server:
	interface: %s
	interface: %s
	access-control: 192.0.2.0/24 allow
	access-control: 2001:db8::/64 allow
	username: ""
	chroot: ""
	directory: %q
	pidfile: ""
	use-syslog: no
	logfile: ""
	do-daemonize: no
	num-threads: 1
	root-hints: %q
	do-not-query-localhost: no
	module-config: %q
	local-zone: "in-addr.arpa." nodefault
	local-zone: "113.0.203.in-addr.arpa." nodefault
	local-zone: "8.b.d.0.1.0.0.2.ip6.arpa." nodefault
	minimal-responses: yes
	outgoing-interface: 127.0.0.1
%s
remote-control:
	control-enable: no
`, kernel4, kernel6, p.dir, hints, modules, more))
	netns.Start(t, "unbound", "-d", "-c", conf).Expect("start of service")
}

func addrPorts(t *testing.T, text string) []netip.AddrPort {
	t.Helper()
	ap, err := netip.ParseAddrPort(text)
	check(t, err)
	return []netip.AddrPort{ap}
}
