//go:build linux

package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"usersock/interop/netns"
	"usersock/resolver"
	"usersock/sockapi"
)

// signZone signs signedZone, changes one address afterwards, and returns the
// zone and the DS record of its key.
func signZone(t *testing.T) (zone, ds string) {
	t.Helper()
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "zone"), []byte(strings.ReplaceAll(signedZone, "$TTL 300\n@ ", "$TTL 300\nsigned. ")), 0o644))
	netns.Run(t, "sh", "-c", `cd "$1" && key=$(ldns-keygen -a ECDSAP256SHA256 -k signed.) && ldns-signzone -o signed. -f out zone "$key" && cat "$key.ds" >ds`, "sh", dir)
	out, err := os.ReadFile(filepath.Join(dir, "out"))
	check(t, err)
	key, err := os.ReadFile(filepath.Join(dir, "ds"))
	check(t, err)
	zone = strings.Replace(string(out), "203.0.113.32", "203.0.113.66", 1)
	if zone == string(out) {
		t.Fatalf("the signed zone is odd:\n%s", out)
	}
	return zone, strings.TrimSpace(string(key))
}

// TestSignedZone: signatures pass through our stack and do not disturb the
// resolver; what unbound finds to be forged is no answer.
func TestSignedZone(t *testing.T) {
	netns.Need(t, "nsd", "unbound", "ip", "ldns-keygen", "ldns-signzone")
	n := host(t, "tun")
	zone, ds := signZone(t)
	p := startNSD(t, zone)
	// Only the signed zone has an anchor: nothing is validated above it.
	p.startUnbound(t, "validator iterator", "\ttrust-anchor: \""+ds+"\"")
	const rrsig, nsec, ad = 46, 47, 0x20
	for _, c := range []struct {
		server, network, name string
		typ                   dnsmessage.Type
		dnssec                bool
		rcode, flags          byte // flags: AD
		has                   dnsmessage.Type
	}{
		{p.nsd[0], "udp", "www.signed.", dnsmessage.TypeA, true, 0, 0, rrsig},
		{p.unbound[0], "udp", "www.signed.", dnsmessage.TypeA, true, 0, ad, rrsig},
		{p.unbound[1], "udp", "alias.signed.", dnsmessage.TypeAAAA, true, 0, ad, rrsig},
		{p.unbound[0], "tcp", "www.signed.", dnsmessage.TypeA, true, 0, ad, rrsig},
		{p.unbound[0], "udp", "x.star.signed.", dnsmessage.TypeA, true, 0, ad, nsec}, // no closer name
		{p.unbound[0], "udp", "nowhere.signed.", dnsmessage.TypeA, true, 3, ad, nsec},
		{p.unbound[0], "udp", "forged.signed.", dnsmessage.TypeA, true, 2, 0, 0},
		{p.unbound[0], "udp", "www.signed.", dnsmessage.TypeA, false, 0, 0, dnsmessage.TypeA},
		{p.unbound[0], "udp", "www.example.", dnsmessage.TypeA, true, 0, 0, dnsmessage.TypeA},
	} {
		reply := ask(t, n, c.server, c.network, c.name, c.typ, 1232, c.dnssec)
		var m dnsmessage.Message
		check(t, m.Unpack(reply))
		found := c.has == 0
		for _, r := range append(m.Answers, m.Authorities...) {
			found = found || r.Header.Type == c.has
		}
		if reply[3]&0xf != c.rcode || reply[3]&ad != c.flags || !found {
			t.Errorf("%s %s %s: flags %02x, code %d, type %d found: %v", c.server, c.network, c.name, reply[3], reply[3]&0xf, c.has, found)
		}
	}
	for _, server := range append(p.nsd, p.unbound...) {
		c := process(t, n, "options timeout:5 attempts:1 trust-ad\n", resolver.Config{Servers: addrPorts(t, server)})
		forged := "EAI_AGAIN"
		if strings.HasSuffix(server, nsdPort) {
			forged = "forged.signed 203.0.113.66"
		}
		for name, want := range map[string]string{
			"www.signed.":     "www.signed 2001:db8:77::31 203.0.113.31",
			"alias.signed.":   "www.signed 2001:db8:77::31 203.0.113.31",
			"x.star.signed.":  "x.star.signed 203.0.113.33",
			"nowhere.signed.": "EAI_NONAME",
			"forged.signed.":  forged,
		} {
			if got := hosts(c, name, sockapi.AF_UNSPEC); got != want {
				t.Errorf("%s of %s: %s, want %s", name, server, got, want)
			}
		}
	}
}
