//go:build linux

package interop

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"usersock/interop/netns"
	"usersock/resolver"
	"usersock/resolver/doh"
	"usersock/resolver/dot"
	"usersock/sockapi"
	"usersock/stack/endpoint"
)

const serverName = "dns.example"

// certificate makes an authority and a server's certificate by it, both in PEM.
func certificate(t *testing.T) (roots *x509.CertPool, pin [sha256.Size]byte, cert, key string) {
	t.Helper()
	make := func(serial int64, ca bool, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		check(t, err)
		template := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "interop"},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			IsCA: ca, BasicConstraintsValid: true,
		}
		if ca {
			template.KeyUsage = x509.KeyUsageCertSign
			parent, by = template, key
		} else {
			template.DNSNames = []string{serverName}
			template.IPAddresses = []net.IP{net.ParseIP(kernel4)}
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
		check(t, err)
		c, err := x509.ParseCertificate(der)
		check(t, err)
		return c, key
	}
	ca, caKey := make(1, true, nil, nil)
	leaf, leafKey := make(2, false, ca, caKey)
	roots = x509.NewCertPool()
	roots.AddCert(ca)
	der, err := x509.MarshalPKCS8PrivateKey(leafKey)
	check(t, err)
	return roots, sha256.Sum256(leaf.RawSubjectPublicKeyInfo),
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// later is a clock that is ahead.
type later struct{ endpoint.Clock }

func (c later) Now() time.Time { return c.Clock.Now().Add(2 * time.Hour) }

// TestEncrypted: unbound over TLS and over HTTPS, and who it must prove to be.
func TestEncrypted(t *testing.T) {
	netns.Need(t, "nsd", "unbound", "ip")
	n := host(t, "tun")
	p := startNSD(t, signedZone)
	roots, pin, cert, key := certificate(t)
	p.startUnbound(t, "iterator", fmt.Sprintf(`	interface: %[1]s@853
	interface: %[1]s@443
	interface: %[2]s@853
	interface: %[2]s@443
	tls-port: 853
	https-port: 443
	tls-service-pem: %[3]q
	tls-service-key: %[4]q
`, kernel4, kernel6, p.write(t, "cert.pem", cert), p.write(t, "key.pem", key)))
	var dials atomic.Int32
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		return n.DialContext(ctx, network, address)
	}
	clock := n.Stack().Clock()
	var servers [2]netip.AddrPort
	for i, at := range []string{kernel4, kernel6} {
		servers[i] = netip.AddrPortFrom(netip.MustParseAddr(at), 0)
	}
	strangers := x509.NewCertPool()
	type client interface {
		Exchange(ctx context.Context, query []byte) ([]byte, error)
		Close() error
	}
	tls := func(cfg dot.Config) (client, error) {
		cfg.Dial = dial
		if cfg.Clock == nil {
			cfg.Clock = clock
		}
		return dot.New(cfg)
	}
	https := func(cfg doh.Config) (client, error) {
		cfg.Dial = dial
		if cfg.Clock == nil {
			cfg.Clock = clock
		}
		return doh.New(cfg)
	}
	const url = "https://" + serverName + "/dns-query"
	other := pin
	other[0]++
	plain := 0
	fallback := func(ctx context.Context, query []byte) ([]byte, error) {
		plain++
		return process(t, n, "", resolver.Config{Servers: addrPorts(t, p.unbound[0])}).Resolver().Exchange(ctx, query)
	}
	for _, c := range []struct {
		what string
		make func() (client, error)
		want any // a pointer to a type of error, dot.ErrPin, or nil
	}{
		{"tls", func() (client, error) {
			return tls(dot.Config{Servers: servers[:1], ServerName: serverName, RootCAs: roots})
		}, nil},
		{"tls, IPv6", func() (client, error) {
			return tls(dot.Config{Servers: servers[1:], ServerName: serverName, RootCAs: roots})
		}, nil},
		{"tls, by address", func() (client, error) { return tls(dot.Config{Servers: servers[:1], RootCAs: roots}) }, nil},
		{"tls, by an address that is not in the certificate", func() (client, error) {
			return tls(dot.Config{Servers: servers[1:], RootCAs: roots})
		}, new(x509.HostnameError)},
		{"tls, another name", func() (client, error) {
			return tls(dot.Config{Servers: servers[:1], ServerName: "dns.other", RootCAs: roots})
		}, new(x509.HostnameError)},
		{"tls, another authority", func() (client, error) {
			return tls(dot.Config{Servers: servers[:1], ServerName: serverName, RootCAs: strangers})
		}, new(x509.UnknownAuthorityError)},
		{"tls, too late", func() (client, error) {
			return tls(dot.Config{Servers: servers[:1], ServerName: serverName, RootCAs: roots, Clock: later{clock}})
		}, new(x509.CertificateInvalidError)},
		{"tls, pinned", func() (client, error) {
			return tls(dot.Config{Servers: servers[:1], Pins: [][32]byte{pin}})
		}, nil},
		{"tls, another pin", func() (client, error) {
			return tls(dot.Config{Servers: servers[:1], Pins: [][32]byte{other}})
		}, dot.ErrPin},
		{"tls, opportunistic", func() (client, error) {
			return tls(dot.Config{Servers: servers[:1], Opportunistic: true, Fallback: fallback})
		}, nil},
		{"tls, the second server", func() (client, error) {
			return tls(dot.Config{Servers: []netip.AddrPort{netip.AddrPortFrom(servers[0].Addr(), 854), servers[0]}, ServerName: serverName, RootCAs: roots})
		}, nil},
		{"https", func() (client, error) { return https(doh.Config{URL: url, Servers: servers[:1], RootCAs: roots}) }, nil},
		{"https, IPv6", func() (client, error) { return https(doh.Config{URL: url, Servers: servers[1:], RootCAs: roots}) }, nil},
		{"https, GET", func() (client, error) {
			return https(doh.Config{URL: url + "{?dns}", Get: true, Servers: servers[:1], RootCAs: roots})
		}, nil},
		{"https, another name", func() (client, error) {
			return https(doh.Config{URL: "https://dns.other/dns-query", Servers: servers[:1], RootCAs: roots})
		}, new(x509.HostnameError)},
		{"https, another authority", func() (client, error) {
			return https(doh.Config{URL: url, Servers: servers[:1], RootCAs: strangers})
		}, new(x509.UnknownAuthorityError)},
		{"https, too late", func() (client, error) {
			return https(doh.Config{URL: url, Servers: servers[:1], RootCAs: roots, Clock: later{clock}})
		}, new(x509.CertificateInvalidError)},
	} {
		t.Run(c.what, func(t *testing.T) {
			cl, err := c.make()
			check(t, err)
			defer func() { check(t, cl.Close()) }()
			if c.want != nil {
				_, err := cl.Exchange(t.Context(), wireQuery(t, "www.example.", dnsmessage.TypeA, 1232, false))
				if c.want == any(dot.ErrPin) {
					if !errors.Is(err, dot.ErrPin) {
						t.Errorf("%v", err)
					}
				} else if !errors.As(err, c.want) {
					t.Errorf("%v", err)
				}
				return
			}
			dials.Store(0)
			r := process(t, n, "options timeout:5 attempts:1\n", resolver.Config{Exchange: cl.Exchange, CacheSize: -1})
			for name, want := range map[string]string{
				"www.example.":     "www.example 2001:db8:77::1 203.0.113.1",
				"alias.example.":   "www.example 2001:db8:77::1 203.0.113.1",
				"y.d.example.":     "y.new.example 203.0.113.7",
				"nowhere.example.": "EAI_NONAME",
				"text.example.":    "EAI_NODATA",
			} {
				if got := hosts(r, name, sockapi.AF_UNSPEC); got != want {
					t.Errorf("%s: %s, want %s", name, got, want)
				}
			}
			if got := strings.Fields(hosts(r, "many.example.", sockapi.AF_UNSPEC)); len(got) != 1+256 {
				t.Errorf("many.example: %d addresses", len(got)-1)
			}
			// Many at once, on the same connection.
			var tasks sync.WaitGroup
			for range 32 {
				tasks.Go(func() {
					reply, err := cl.Exchange(t.Context(), wireQuery(t, "large.example.", dnsmessage.TypeTXT, 1232, false))
					if err != nil || !bytes.Contains(reply, []byte("199 xxx")) {
						t.Errorf("%d bytes, %v", len(reply), err)
					}
				})
			}
			tasks.Wait()
			most := int32(1)
			switch {
			case strings.Contains(c.what, "second"):
				most = 3 // A and AAAA are refused by the first
			case strings.HasPrefix(c.what, "https"):
				most = 2 // net/http may dial for A and for AAAA before it knows that both fit one connection
			}
			if got := dials.Load(); got > most {
				t.Errorf("%d connections", got)
			}
		})
	}
	if plain > 0 {
		t.Errorf("%d queries in plain text, though TLS worked", plain)
	}
	// Nothing speaks TLS at port 854: only the opportunistic client with a way
	// back gets an answer, in plain text.
	closed := []netip.AddrPort{netip.AddrPortFrom(servers[0].Addr(), 854)}
	for _, c := range []struct {
		cfg dot.Config
		ok  bool
	}{
		{dot.Config{Servers: closed, Opportunistic: true, Fallback: fallback}, true},
		{dot.Config{Servers: closed, Opportunistic: true}, false},
		{dot.Config{Servers: closed, ServerName: serverName, RootCAs: roots}, false},
	} {
		cl, err := tls(c.cfg)
		check(t, err)
		reply, err := cl.Exchange(t.Context(), wireQuery(t, "www.example.", dnsmessage.TypeA, 1232, false))
		if c.ok != (err == nil) || !c.ok && !errors.Is(err, endpoint.ECONNREFUSED) || c.ok && !bytes.Contains(reply, []byte{203, 0, 113, 1}) {
			t.Errorf("%+v: % x, %v", c.cfg, reply, err)
		}
		check(t, cl.Close())
	}
	if plain != 1 {
		t.Errorf("%d queries in plain text", plain)
	}
}
