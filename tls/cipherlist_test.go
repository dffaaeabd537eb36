package tls

import (
	"crypto/tls"
	"encoding/json"
	"os"
	"slices"
	"testing"
)

// TestCipherVectors holds the lists to OpenSSL's answers, in their order, as
// far as crypto/tls has the suites.
func TestCipherVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/ciphers.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Strings []struct {
			List      string   `json:"cipher_string"`
			Go        []string `json:"go"`
			Supported []string `json:"go_supported"`
			Error     string   `json:"openssl_error"`
		}
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors.Strings {
		list, err := parseCipherList(v.List)
		var names, supported []string
		for _, s := range list.suites {
			names = append(names, s.standard)
		}
		for _, id := range list.ids() {
			supported = append(supported, tls.CipherSuiteName(id))
		}
		switch {
		case v.Error != "":
			if err == nil && len(list.suites) > 0 {
				t.Errorf("%q: %v, OpenSSL says %q", v.List, names, v.Error)
			}
			if (err != nil) != (v.Error == "invalid command") {
				t.Errorf("%q: %v, OpenSSL says %q", v.List, err, v.Error)
			}
		case err != nil:
			t.Errorf("%q: %v", v.List, err)
		case !slices.Equal(names, v.Go):
			t.Errorf("%q:\n%v, OpenSSL has\n%v", v.List, names, v.Go)
		case !slices.Equal(supported, v.Supported):
			t.Errorf("%q, with the security level:\n%v, OpenSSL has\n%v", v.List, supported, v.Supported)
		}
	}
}
