package tls

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"reflect"
	"testing"
)

// TestOnelineVectors holds names to OpenSSL's answers, and to CPython's
// getpeercert.
func TestOnelineVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/x509_oneline.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Certs []struct {
			ID        string
			PEM       string
			Server    string
			Issuer    string
			Unlimited string `json:"server_unlimited"`
			Cert      struct {
				Subject, Issuer [][][2]string
			} `json:"getpeercert"`
		}
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors.Certs {
		block, _ := pem.Decode([]byte(v.PEM))
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Errorf("%s: %v", v.ID, err)
			continue
		}
		for _, n := range []struct {
			der             []byte
			want, unlimited string
			pairs           [][][2]string
		}{{cert.RawSubject, v.Server, v.Unlimited, v.Cert.Subject}, {cert.RawIssuer, v.Issuer, "", v.Cert.Issuer}} {
			name, err := parseName(n.der)
			if err != nil {
				t.Errorf("%s: %v", v.ID, err)
				continue
			}
			if got := name.oneline(onelineMax); got != n.want {
				t.Errorf("%s: %q, want %q", v.ID, got, n.want)
			}
			if got := name.oneline(1 << 20); n.unlimited != "" && got != n.unlimited {
				t.Errorf("%s: without a limit %q, want %q", v.ID, got, n.unlimited)
			}
			pairs, err := name.pairs()
			if err != nil {
				t.Errorf("%s: %v", v.ID, err)
				continue
			}
			got := [][][2]string{}
			for _, rdn := range pairs {
				var list [][2]string
				for _, p := range rdn {
					list = append(list, [2]string{p.Name, p.Value})
				}
				got = append(got, list)
			}
			if !reflect.DeepEqual(got, n.pairs) {
				t.Errorf("%s: %v, want %v", v.ID, got, n.pairs)
			}
		}
	}
}
