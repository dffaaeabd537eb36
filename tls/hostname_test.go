package tls

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

// certificateOf reads CPython's form of a certificate from JSON.
func certificateOf(t *testing.T, data json.RawMessage) *Certificate {
	t.Helper()
	var dict struct {
		Subject        [][][2]string
		SubjectAltName [][2]string
		NotAfter       string
	}
	if len(data) == 0 || string(data) == "null" {
		return nil
	}
	if err := json.Unmarshal(data, &dict); err != nil {
		t.Fatal(err)
	}
	c := &Certificate{NotAfter: dict.NotAfter}
	for _, rdn := range dict.Subject {
		var list []NamePair
		for _, p := range rdn {
			list = append(list, NamePair{p[0], p[1]})
		}
		c.Subject = append(c.Subject, list)
	}
	for _, p := range dict.SubjectAltName {
		c.SubjectAltName = append(c.SubjectAltName, NamePair{p[0], p[1]})
	}
	return c
}

// TestMatchHostnameVectors holds the rules to CPython's answers, the texts of
// the errors included.
func TestMatchHostnameVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/match_hostname.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Cases []struct {
			ID       string
			Cert     json.RawMessage
			Hostname string
			Result   string
			Exc      string
			Msg      string
			Py36     string
			Grade    string
			Accept   []string
		}
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors.Cases {
		cert := certificateOf(t, v.Cert)
		err := MatchHostname(cert, v.Hostname)
		result := "ok"
		if err != nil {
			result = "err"
		}
		if result != v.Result && !slices.Contains(v.Accept, result) {
			t.Errorf("%s: %q: %v, want %s", v.ID, v.Hostname, err, v.Result)
		}
		if result == "err" && v.Result == "err" {
			var ce *CertificateError
			if errors.As(err, &ce) != (v.Exc == "CertificateError") {
				t.Errorf("%s: %T, want %s", v.ID, err, v.Exc)
			}
			if msg := "(" + quote(err.Error()) + ",)"; msg != v.Msg && v.Exc == "CertificateError" {
				t.Errorf("%s:\n%s, want\n%s", v.ID, msg, v.Msg)
			}
		}
		if v.Py36 != "" {
			if err := MatchHostnameLegacy(cert, v.Hostname); (err == nil) != (v.Py36 == "ok") {
				t.Errorf("%s: %q as up to 3.6: %v, want %s", v.ID, v.Hostname, err, v.Py36)
			}
		}
	}
}

// TestMatchHostnameLegacy: parts of labels, within limits.
func TestMatchHostnameLegacy(t *testing.T) {
	for _, c := range []struct {
		pattern, host string
		ok            bool
	}{
		{"f*.com", "f.com", true}, {"f*.com", "foo.com", true}, {"*o.com", "foo.com", true}, {"f*o.com", "fo.com", true},
		{"f*o.com", "f.com", false}, {"f*.com", "foo.a.com", false}, {"f*.com", "com", false}, {"*.a.com", "b.a.com", true}, {"*.a.com", ".a.com", false},
		{"a.*.com", "a.b.com", false}, {"**.com", "a.com", false}, {"www*.xn--pythn-mua.org", "www1.xn--pythn-mua.org", true},
		{"xn--b*.com", "xn--bcher-kva.com", false}, {"*.com", "xn--bcher-kva.com", true}, {"b*.com", "xn--bcher-kva.com", false}, {"", "a", false},
	} {
		cert := &Certificate{SubjectAltName: []NamePair{{"DNS", c.pattern}}}
		if err := MatchHostnameLegacy(cert, c.host); (err == nil) != c.ok {
			t.Errorf("%q, %q: %v", c.pattern, c.host, err)
		}
	}
	if err := MatchHostname(nil, "a"); err == nil || !strings.Contains(err.Error(), "empty or no certificate") {
		t.Errorf("without a certificate: %v", err)
	}
}
