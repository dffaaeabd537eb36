package tls

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
	"time"

	"usersock/sockapi"
)

const (
	PEM_HEADER = "-----BEGIN CERTIFICATE-----"
	PEM_FOOTER = "-----END CERTIFICATE-----"
)

// DERCertToPEMCert is DER_cert_to_PEM_cert: PEM text with lines of 64
// characters.
func DERCertToPEMCert(der []byte) string {
	text := base64.StdEncoding.EncodeToString(der)
	lines := []string{PEM_HEADER}
	for len(text) > 0 {
		n := min(64, len(text))
		lines = append(lines, text[:n])
		text = text[n:]
	}
	return strings.Join(append(lines, PEM_FOOTER), "\n") + "\n"
}

// PEMCertToDERCert is PEM_cert_to_DER_cert. Text that does not begin and end as
// PEM does is a ValueError.
func PEMCertToDERCert(text string) ([]byte, error) {
	const op = "PEM_cert_to_DER_cert"
	if !strings.HasPrefix(text, PEM_HEADER) {
		return nil, valueError(op, "Invalid PEM encoding; must start with "+PEM_HEADER)
	}
	text = strings.TrimSpace(text)
	if !strings.HasSuffix(text, PEM_FOOTER) {
		return nil, valueError(op, "Invalid PEM encoding; must end with "+PEM_FOOTER)
	}
	body := strings.Join(strings.Fields(text[len(PEM_HEADER):len(text)-len(PEM_FOOTER)]), "")
	der, err := base64.StdEncoding.DecodeString(body)
	if err != nil {
		return nil, valueError(op, err.Error())
	}
	return der, nil
}

// CertTimeToSeconds is cert_time_to_seconds: the seconds since 1970 of a time as
// a certificate has it, "Jan  5 09:34:43 2018 GMT".
func CertTimeToSeconds(text string) (int64, error) {
	fields := strings.Fields(text)
	if len(fields) == 5 && strings.EqualFold(fields[4], "GMT") {
		if t, err := time.Parse("Jan 2 15:04:05 2006", strings.Join(fields[:4], " ")); err == nil {
			return t.Unix(), nil
		}
	}
	return 0, valueError("cert_time_to_seconds", "time data "+quote(text)+` does not match format "%b %d %H:%M:%S %Y GMT"`)
}

// GetServerCertificate connects to a server and returns its certificate in PEM:
// get_server_certificate. With caCerts, a PEM file, it is verified, without the
// host's name. timeout is as for [sockapi.Net.CreateConnection], and bounds each
// step.
func GetServerCertificate(n *sockapi.Net, addr sockapi.InetAddr, caCerts string, timeout time.Duration) (string, error) {
	ctx, err := NewSSLContext(PROTOCOL_TLS_CLIENT)
	if err != nil {
		return "", err
	}
	ctx.SetCheckHostname(false)
	if caCerts != "" {
		err = ctx.LoadVerifyLocations(caCerts, "", nil)
	} else {
		err = ctx.SetVerifyMode(CERT_NONE)
	}
	if err != nil {
		return "", err
	}
	plain, err := n.CreateConnection(addr, timeout, nil)
	if err != nil {
		return "", err
	}
	defer plain.Close()
	s, err := ctx.WrapSocket(plain, WrapOptions{ServerHostname: addr.Host})
	if err != nil {
		return "", err
	}
	defer s.Close()
	der, err := s.GetpeercertBinary()
	return DERCertToPEMCert(der), err
}

// RANDBytes is RAND_bytes: n bytes of the operating system's random numbers.
func RANDBytes(n int) ([]byte, error) {
	if n < 0 {
		return nil, valueError("RAND_bytes", "num must be positive")
	}
	b := make([]byte, n)
	_, err := rand.Read(b)
	return b, err
}

// RANDStatus is RAND_status: 1, there is always enough randomness.
func RANDStatus() int { return 1 }

// RANDAdd is RAND_add, without effect: the operating system needs none.
func RANDAdd([]byte, float64) {}
