package tls

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// bioPair is a client and a server over memory. The server shows what it is
// given, however bad.
func bioPair(t *testing.T, cctx *SSLContext, host string, server *tls.Config) (c, s *BIOObject, carry func()) {
	t.Helper()
	return bioEnds(t, cctx, NewContextFromConfig(server), host)
}

func bioEnds(t *testing.T, cctx, sctx *SSLContext, host string) (c, s *BIOObject, carry func()) {
	t.Helper()
	toServer, toClient := new(MemoryBIO), new(MemoryBIO)
	cin, sin := new(MemoryBIO), new(MemoryBIO)
	c = must(cctx.WrapBIO(cin, toServer, WrapOptions{ServerHostname: host}))(t)
	s = must(sctx.WrapBIO(sin, toClient, WrapOptions{ServerSide: true}))(t)
	t.Cleanup(func() { c.Close(); s.Close() })
	return c, s, func() {
		sin.Write(toServer.Read(-1))
		cin.Write(toClient.Read(-1))
	}
}

// shakeBIO lets both go on until neither can.
func shakeBIO(c, s *BIOObject, carry func()) (cerr, serr error) {
	for range 20 {
		cerr = c.DoHandshake()
		serr = s.DoHandshake()
		carry()
	}
	return cerr, serr
}

// A badCert is a chain that a client refuses.
type badCert struct {
	name    string
	host    string // "" is server.example
	chain   []*issued
	root    *issued // what is trusted, nil for the usual
	crls    []*x509.RevocationList
	flags   int
	code    int
	depth   int
	openssl int // where openssl verify differs from us, with the reason beside it; -1: it cannot be asked
}

func serverFor(usage ...x509.ExtKeyUsage) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.ExtKeyUsage = usage }
}

func weakRSA(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	return must(rsa.GenerateKey(rand.Reader, 1024))(t)
}

// tamper changes bytes of a certificate behind its signer's back.
func tamper(t *testing.T, i *issued, change func(der []byte)) *issued {
	t.Helper()
	der := bytes.Clone(i.cert.Raw)
	change(der)
	return &issued{must(x509.ParseCertificate(der))(t), i.key}
}

func revoke(t *testing.T, by *issued, from, to time.Duration, list ...*issued) *x509.RevocationList {
	t.Helper()
	now := time.Now()
	var entries []x509.RevocationListEntry
	for _, i := range list {
		entries = append(entries, x509.RevocationListEntry{SerialNumber: i.cert.SerialNumber, RevocationTime: now.Add(-time.Minute)})
	}
	der := must(x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: now.Add(from), NextUpdate: now.Add(to), RevokedCertificateEntries: entries}, by.cert, by.key))(t)
	return must(x509.ParseRevocationList(der))(t)
}

func badCerts(t *testing.T) (root *issued, list []badCert) {
	root = issue(t, nil, authority("root"))
	inter := issue(t, root, authority("intermediate"))
	stranger := issue(t, nil, authority("stranger"))
	leaf := func(by *issued, adjust func(*x509.Certificate)) *issued { return issue(t, by, adjust) }
	one := func(name string, code int, adjust func(*x509.Certificate)) {
		list = append(list, badCert{name: name, chain: []*issued{leaf(root, adjust)}, code: code})
	}
	past := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	}
	one("expired", verifyExpired, past)
	one("not yet valid", verifyNotYet, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) })
	one("wrong name", verifyHostname, func(c *x509.Certificate) { c.DNSNames = []string{"other.example"} })
	one("name in CN, another in SAN", verifyHostname, func(c *x509.Certificate) { c.DNSNames = []string{"other.example"} })
	one("for clients", verifyPurpose, serverFor(x509.ExtKeyUsageClientAuth))
	one("for code signing", verifyPurpose, serverFor(x509.ExtKeyUsageCodeSigning))
	one("unhandled critical extension", verifyCritical, func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4, 5}, Critical: true, Value: []byte{5, 0}}}
	})
	one("NUL in a name", verifyHostname, func(c *x509.Certificate) {
		c.Subject.CommonName, c.DNSNames = "x", []string{"server.example\x00.evil.example"}
	})
	one("empty subject without names", verifyHostname, func(c *x509.Certificate) { c.Subject, c.DNSNames = pkix.Name{}, nil })
	one("wildcard of everything", verifyHostname, func(c *x509.Certificate) { c.Subject.CommonName, c.DNSNames = "x", []string{"*"} })
	one("wildcard of a top-level domain", verifyHostname, func(c *x509.Certificate) { c.Subject.CommonName, c.DNSNames = "x", []string{"*.example"} })
	one("partial wildcard", verifyHostname, func(c *x509.Certificate) { c.Subject.CommonName, c.DNSNames = "x", []string{"s*.server.example"} })
	one("wildcard in the middle", verifyHostname, func(c *x509.Certificate) { c.Subject.CommonName, c.DNSNames = "x", []string{"server.*.example"} })
	add := func(b badCert) { list = append(list, b) }
	add(badCert{name: "wildcard of two labels", host: "a.b.wild.example", chain: []*issued{leaf(root, nil)}, code: verifyHostname})
	add(badCert{name: "IP address in CN alone", host: "192.0.2.7", code: verifyAddress, chain: []*issued{leaf(root, func(c *x509.Certificate) {
		c.Subject.CommonName, c.DNSNames = "192.0.2.7", nil
	})}})
	add(badCert{name: "another IP address", host: "192.0.2.7", code: verifyAddress, chain: []*issued{leaf(root, func(c *x509.Certificate) {
		c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 8)}
	})}})
	add(badCert{name: "self-signed", chain: []*issued{leaf(nil, nil)}, code: verifySelfSigned})
	add(badCert{name: "unknown CA", chain: []*issued{leaf(stranger, nil)}, code: verifyNoLocalIssuer})
	add(badCert{name: "unknown CA, shown", chain: []*issued{leaf(stranger, nil), stranger}, code: verifySelfSignedInChain, depth: 1})
	add(badCert{name: "missing intermediate", chain: []*issued{leaf(inter, nil)}, code: verifyNoLocalIssuer})
	add(badCert{name: "trusted, and no root", chain: []*issued{leaf(inter, nil)}, root: inter, code: verifyNoIssuer, depth: 1})
	notCA := issue(t, root, func(c *x509.Certificate) { c.Subject.CommonName = "not a CA" })
	add(badCert{name: "CA without the CA bit", chain: []*issued{leaf(notCA, nil), notCA}, code: verifyNotCA, depth: 1})
	noSign := issue(t, root, func(c *x509.Certificate) { authority("no signing")(c); c.KeyUsage = x509.KeyUsageDigitalSignature })
	add(badCert{name: "CA that may not sign", chain: []*issued{leaf(noSign, nil), noSign}, code: verifyNotCA, depth: 1})
	short := issue(t, root, func(c *x509.Certificate) { authority("short")(c); c.MaxPathLenZero = true })
	below := issue(t, short, authority("below"))
	add(badCert{name: "path length", chain: []*issued{leaf(below, nil), below, short}, code: verifyPathLength, depth: 2})
	old := issue(t, root, func(c *x509.Certificate) { authority("old")(c); past(c) })
	add(badCert{name: "expired intermediate", chain: []*issued{leaf(old, nil), old}, code: verifyExpired, depth: 1})
	forClients := issue(t, root, func(c *x509.Certificate) {
		authority("for clients")(c)
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	})
	add(badCert{name: "intermediate for clients", chain: []*issued{leaf(forClients, nil), forClients}, code: verifyPurpose, depth: 1})
	permits := issue(t, root, func(c *x509.Certificate) {
		authority("permits")(c)
		c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"permitted.example"}
	})
	add(badCert{name: "name not permitted", chain: []*issued{leaf(permits, nil), permits}, code: verifyNotPermitted})
	excludes := issue(t, root, func(c *x509.Certificate) {
		authority("excludes")(c)
		c.PermittedDNSDomainsCritical, c.ExcludedDNSDomains = true, []string{"server.example"}
	})
	add(badCert{name: "name excluded", chain: []*issued{leaf(excludes, nil), excludes}, code: verifyExcluded})
	add(badCert{name: "weak key", chain: []*issued{issueWith(t, root, weakRSA(t), nil)}, code: verifyWeakKey})
	weakCA := issueWith(t, root, weakRSA(t), authority("weak"))
	add(badCert{name: "weak key of a CA", chain: []*issued{leaf(weakCA, nil), weakCA}, code: verifyWeakCAKey, depth: 1})
	one("weak signature", verifyWeakDigest, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 })
	add(badCert{name: "wrong signature", code: verifySignature, chain: []*issued{tamper(t, leaf(root, nil), func(der []byte) { der[len(der)-1] ^= 1 })}})
	add(badCert{name: "changed after it was signed", code: verifySignature, chain: []*issued{tamper(t, leaf(root, func(c *x509.Certificate) {
		c.DNSNames = []string{"terver.example"}
	}), func(der []byte) { copy(der[bytes.Index(der, []byte("terver")):], "server") })}})
	add(badCert{name: "unknown signature algorithm", code: verifyUnknownAlgorithm, openssl: -1, // it says the same after another check
		chain: []*issued{tamper(t, leaf(root, nil), func(der []byte) {
			oid := []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2} // ecdsa-with-SHA256
			for i := bytes.Index(der, oid); i >= 0; i = bytes.Index(der, oid) {
				der[i+7] = 0x77
			}
		})}})
	bad := leaf(root, nil)
	add(badCert{name: "revoked", chain: []*issued{bad}, crls: []*x509.RevocationList{revoke(t, root, -time.Hour, time.Hour, bad)}, flags: VERIFY_CRL_CHECK_LEAF, code: verifyRevoked})
	add(badCert{name: "no revocation list", chain: []*issued{leaf(root, nil)}, flags: VERIFY_CRL_CHECK_LEAF, code: verifyNoCRL})
	add(badCert{name: "old revocation list", chain: []*issued{leaf(root, nil)}, crls: []*x509.RevocationList{revoke(t, root, -2*time.Hour, -time.Hour)}, flags: VERIFY_CRL_CHECK_LEAF, code: verifyCRLExpired})
	add(badCert{name: "early revocation list", chain: []*issued{leaf(root, nil)}, crls: []*x509.RevocationList{revoke(t, root, time.Hour, 2*time.Hour)}, flags: VERIFY_CRL_CHECK_LEAF, code: verifyCRLNotYet})
	add(badCert{name: "revoked intermediate", chain: []*issued{leaf(inter, nil), inter}, flags: VERIFY_CRL_CHECK_CHAIN, code: verifyRevoked, depth: 1,
		crls: []*x509.RevocationList{revoke(t, inter, -time.Hour, time.Hour), revoke(t, root, -time.Hour, time.Hour, inter)}})
	return root, list
}

// TestBadCertificates: class, code and words of each, no application data on
// either side, and the number that openssl verify gives.
func TestBadCertificates(t *testing.T) {
	root, list := badCerts(t)
	if len(list) < 25 {
		t.Fatal(len(list))
	}
	for _, b := range list {
		t.Run(b.name, func(t *testing.T) {
			host := b.host
			if host == "" {
				host = "server.example"
			}
			trusted := root
			if b.root != nil {
				trusted = b.root
			}
			cctx := must(NewSSLContext(PROTOCOL_TLS_CLIENT))(t)
			cctx.SetVerifyFlags(b.flags)
			locations := trusted.pem()
			for _, l := range b.crls {
				locations = append(locations, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: l.Raw})...)
			}
			if err := cctx.LoadVerifyLocations("", "", locations); err != nil {
				t.Fatal(err)
			}
			shown := tls.Certificate{PrivateKey: b.chain[0].key}
			for _, c := range b.chain {
				shown.Certificate = append(shown.Certificate, c.cert.Raw)
			}
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				c, s, carry := bioPair(t, cctx, host, &tls.Config{Certificates: []tls.Certificate{shown}, MaxVersion: version})
				cerr, _ := shakeBIO(c, s, carry)
				var verify *SSLCertVerificationError
				var ssl *SSLError
				if !errors.As(cerr, &verify) || !errors.As(cerr, &ssl) {
					t.Fatalf("%T: %v", cerr, cerr)
				}
				if verify.VerifyCode != b.code || verify.Depth != b.depth || verify.Reason != "CERTIFICATE_VERIFY_FAILED" || verify.VerifyMessage == "" ||
					!strings.Contains(verify.Error(), verify.VerifyMessage) {
					t.Errorf("code %d at %d, %v; want %d at %d; cause %v", verify.VerifyCode, verify.Depth, verify, b.code, b.depth, verify.Err)
				}
				if (b.code == verifyUnknownAlgorithm) != errors.Is(cerr, ErrUnknownAlgorithm) {
					t.Error("unknown algorithm:", cerr)
				}
				if n, err := c.Write([]byte("secret")); n != 0 || !errors.As(err, &verify) {
					t.Error("written all the same:", n, err)
				}
				carry()
				if data, err := s.Read(100); len(data) != 0 || !errors.As(err, &ssl) || ssl.Reason != "SSLV3_ALERT_BAD_CERTIFICATE" {
					t.Errorf("the server reads %q, %v", data, err)
				}
				if data, err := c.Read(100); len(data) != 0 || !errors.As(err, &verify) {
					t.Errorf("the client reads %q, %v", data, err)
				}
			}
			askOpenSSL(t, &b, host, trusted)
		})
	}
}

var opensslError = regexp.MustCompile(`error (\d+) at (\d+) depth lookup: (.*)`)

// askOpenSSL holds a refusal against openssl verify.
func askOpenSSL(t *testing.T, b *badCert, host string, trusted *issued) {
	t.Helper()
	if b.openssl < 0 {
		return
	}
	program, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl")
	}
	dir := t.TempDir()
	files := map[string][]byte{"root": trusted.pem(), "chain": chainPEM(b.chain[1:]...), "leaf": b.chain[0].pem()}
	var crls []byte
	for _, l := range b.crls {
		crls = append(crls, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: l.Raw})...)
	}
	name := func(s string) string { return filepath.Join(dir, s) }
	args := []string{"verify", "-no-CApath", "-no-CAstore", "-purpose", "sslserver", "-auth_level", "2", "-CAfile", name("root")}
	if len(b.chain) > 1 {
		args = append(args, "-untrusted", name("chain"))
	}
	if len(crls) > 0 {
		files["crls"] = crls
		args = append(args, "-CRLfile", name("crls"))
	}
	switch b.flags {
	case VERIFY_CRL_CHECK_LEAF:
		args = append(args, "-crl_check")
	case VERIFY_CRL_CHECK_CHAIN:
		args = append(args, "-crl_check_all")
	}
	if net.ParseIP(host) != nil {
		args = append(args, "-verify_ip", host)
	} else {
		args = append(args, "-verify_hostname", host)
	}
	for file, data := range files {
		must(0, writeTo(name(file), data))(t)
	}
	out, _ := exec.Command(program, append(args, name("leaf"))...).CombinedOutput()
	m := opensslError.FindStringSubmatch(string(out))
	if m == nil {
		t.Fatalf("openssl verify accepts it: %s", out)
	}
	want := b.code
	if b.openssl != 0 {
		want = b.openssl
	}
	if m[1] != fmt.Sprint(want) || m[2] != fmt.Sprint(b.depth) {
		t.Errorf("openssl verify says %q, we %d at %d", m[0], want, b.depth)
	}
	if want == b.code && verifyText(want) != m[3] {
		t.Errorf("openssl's words are %q, ours %q", m[3], verifyText(want))
	}
}

// TestUnreadableCertificates: what crypto/tls itself refuses.
func TestUnreadableCertificates(t *testing.T) {
	root := issue(t, nil, authority("root"))
	good := issue(t, root, nil)
	cctx, _ := contexts(t, root, good)
	der := good.cert.Raw
	// A key of an algorithm that nobody has.
	unknownKey := bytes.Clone(der)
	oid := []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1} // id-ecPublicKey
	unknownKey[bytes.Index(unknownKey, oid)+5] = 0x77
	for name, c := range map[string]struct {
		der     []byte
		unknown bool
	}{
		"cut":                          {der[:len(der)-10], false},
		"no DER":                       {[]byte("hello"), false},
		"a length that lies":           {append([]byte{0x30, 0x82, 0xff, 0xff}, der[4:]...), false},
		"unknown algorithm of its key": {unknownKey, true},
	} {
		c2, s, carry := bioPair(t, cctx, "server.example", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{c.der}, PrivateKey: good.key,
			Leaf: good.cert}}})
		cerr, _ := shakeBIO(c2, s, carry)
		var ssl *SSLError
		if !errors.As(cerr, &ssl) || ssl.Code != SSL_ERROR_SSL || ssl.Reason == "" || errors.Is(cerr, ErrUnknownAlgorithm) != c.unknown {
			t.Errorf("%s: %v", name, cerr)
		}
		if n, err := c2.Write([]byte("x")); n != 0 || err == nil {
			t.Errorf("%s: written: %d, %v", name, n, err)
		}
	}
}

// TestVerifyGood: what must be accepted.
func TestVerifyGood(t *testing.T) {
	root := issue(t, nil, authority("root"))
	inter := issue(t, root, authority("intermediate"))
	for name, c := range map[string]struct {
		host  string
		root  *issued
		flags int
		chain []*issued
	}{
		"directly":             {"server.example", root, 0, []*issued{issue(t, root, nil)}},
		"in capitals":          {"SERVER.Example", root, 0, []*issued{issue(t, root, nil)}},
		"wildcard":             {"a.wild.example", root, 0, []*issued{issue(t, root, nil)}},
		"intermediate":         {"server.example", root, 0, []*issued{issue(t, inter, nil), inter}},
		"root shown too":       {"server.example", root, 0, []*issued{issue(t, inter, nil), inter, root}},
		"in another order":     {"server.example", root, 0, []*issued{issue(t, inter, nil), root, inter}},
		"partial chain":        {"server.example", inter, VERIFY_X509_PARTIAL_CHAIN, []*issued{issue(t, inter, nil)}},
		"commonName alone":     {"cn.example", root, 0, []*issued{issue(t, root, func(c *x509.Certificate) { c.Subject.CommonName, c.DNSNames = "cn.example", nil })}},
		"IP address":           {"192.0.2.7", root, 0, []*issued{issue(t, root, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 7)} })}},
		"IPv6 address":         {"2001:db8::7", root, 0, []*issued{issue(t, root, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.ParseIP("2001:db8::7")} })}},
		"revocation, and fine": {"server.example", root, VERIFY_CRL_CHECK_CHAIN, []*issued{issue(t, root, nil)}},
	} {
		cctx, sctx := contexts(t, c.root, c.chain...)
		cctx.SetVerifyFlags(c.flags)
		crl := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: revoke(t, root, -time.Hour, time.Hour).Raw})
		if err := cctx.LoadVerifyLocations("", "", crl); err != nil {
			t.Fatal(err)
		}
		a, b, carry := bioEnds(t, cctx, sctx, c.host)
		if cerr, serr := shakeBIO(a, b, carry); cerr != nil || serr != nil {
			t.Errorf("%s: %v, %v", name, cerr, serr)
		}
	}
	// The leaf itself is trusted.
	self := issue(t, nil, nil)
	cctx, sctx := contexts(t, self, self)
	a, b, carry := bioEnds(t, cctx, sctx, "server.example")
	if cerr, serr := shakeBIO(a, b, carry); cerr != nil || serr != nil {
		t.Errorf("a trusted self-signed one: %v, %v", cerr, serr)
	}
}
