package tls

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// asOpenSSL reads lists, one a line, and prints what Python's ssl module makes
// of each: the names of the suites in their order, or null.
const asOpenSSL = `
import json, ssl, sys
for line in sys.stdin:
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        ctx.set_ciphers(line.rstrip('\n'))
        print(json.dumps([c['name'] for c in ctx.get_ciphers() if not c['name'].startswith('TLS_')]))
    except ssl.SSLError:
        print('null')
`

// TestCipherListsLikeOpenSSL compares made-up lists with the OpenSSL of this
// machine.
func TestCipherListsLikeOpenSSL(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 here to ask OpenSSL")
	}
	if out, err := exec.Command(python, "-c", "import ssl; print(ssl.OPENSSL_VERSION_INFO[:2])").Output(); err != nil || strings.TrimSpace(string(out)) != "(3, 0)" {
		t.Skipf("python3 has no OpenSSL 3.0: %s %v", out, err)
	}
	words := []string{"ALL", "DEFAULT", "HIGH", "MEDIUM", "LOW", "COMPLEMENTOFALL", "COMPLEMENTOFDEFAULT", "eNULL", "NULL", "aNULL", "FIPS", "EXPORT",
		"kRSA", "kECDHE", "kEECDH", "ECDH", "kDHE", "DH", "kPSK", "PSK", "SRP", "aRSA", "aECDSA", "ECDSA", "DSS", "RSA", "ECDHE", "EECDH", "DHE", "EDH", "ADH", "AECDH",
		"AES", "AES128", "AES256", "AESGCM", "AESCCM", "CHACHA20", "CBC", "CAMELLIA", "SEED", "3DES", "ARIA", "RC4", "SHA1", "SHA", "SHA256", "SHA384", "MD5",
		"SSLv3", "TLSv1", "TLSv1.0", "TLSv1.2", "SUITEB128", "SUITEB192", "high", "@STRENGTH", "@SECLEVEL=3", "@SECLEVEL=9", "@X", "TLS_AES_128_GCM_SHA256"}
	for _, s := range suites {
		words = append(words, s.name, s.name)
	}
	words = append(words, suites[0].standard)
	rng := rand.New(rand.NewPCG(1, 2))
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	var lists []string
	for range 4000 {
		var b strings.Builder
		for n := 1 + rng.IntN(5); n > 0; n-- {
			b.WriteString(pick("", "", "", "", "!", "-", "-", "+", "+", "@", "++"))
			b.WriteString(pick(words...))
			for rng.IntN(3) == 0 {
				b.WriteString("+" + pick(words...))
			}
			b.WriteString(pick(":", ":", ":", ",", ";", " ", "::", "", "?"))
		}
		lists = append(lists, strings.TrimRight(b.String(), "?"))
	}
	cmd := exec.Command(python, "-c", asOpenSSL)
	cmd.Stdin = strings.NewReader(strings.Join(lists, "\n") + "\n")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	answers := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(answers) != len(lists) {
		t.Fatalf("%d answers to %d lists", len(answers), len(lists))
	}
	known := make(map[string]bool)
	for _, s := range suites {
		known[s.name] = true
	}
	some := 0
	for i, answer := range answers {
		var want []string
		if err := json.Unmarshal([]byte(answer), &want); err != nil {
			t.Fatal(err)
		}
		refused := answer == "null"
		want = slices.DeleteFunc(want, func(name string) bool { return !known[name] })
		list, err := parseCipherList(lists[i])
		var names []string
		for _, s := range list.suites {
			names = append(names, s.name)
		}
		if err != nil != refused && (err != nil || len(names) > 0) || err == nil && !slices.Equal(names, want) {
			t.Errorf("%q: %v %v, OpenSSL: %s", lists[i], names, err, answer)
		}
		if len(want) > 0 {
			some++
		}
	}
	if some < 500 {
		t.Errorf("only %d lists selected anything", some)
	}
}
