package tls

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"time"
)

// Certificate is what getpeercert returns of a certificate that was verified, in
// CPython's form. The zero value is the empty dictionary of one that was not.
type Certificate struct {
	Subject      [][]NamePair // relative names of ("commonName", "example.com") and so on
	Issuer       [][]NamePair
	Version      int    // 1 to 3
	SerialNumber string // hexadecimal, capital letters, whole bytes
	NotBefore    string // "Jan  5 09:34:43 2018 GMT"
	NotAfter     string

	// SubjectAltName has the kinds "DNS", "IP Address", "email", "URI",
	// "Registered ID" and those of which only the kind is told, such as
	// ("othername", "<unsupported>"). Of "DirName" the value is the one-line form.
	SubjectAltName []NamePair

	OCSP                  []string // addresses of OCSP responders
	CaIssuers             []string // addresses of the issuer's certificate
	CrlDistributionPoints []string // addresses of revocation lists
}

func (c *Certificate) empty() bool {
	return c == nil || c.Subject == nil && c.Issuer == nil && c.SubjectAltName == nil && c.Version == 0
}

// describe returns a certificate as getpeercert does.
func describe(cert *x509.Certificate) (*Certificate, error) {
	c := &Certificate{
		Version:               cert.Version,
		SerialNumber:          serialText(cert.SerialNumber),
		NotBefore:             timeText(cert.NotBefore),
		NotAfter:              timeText(cert.NotAfter),
		OCSP:                  cert.OCSPServer,
		CaIssuers:             cert.IssuingCertificateURL,
		CrlDistributionPoints: cert.CRLDistributionPoints,
	}
	for _, n := range []struct {
		der []byte
		to  *[][]NamePair
	}{{cert.RawSubject, &c.Subject}, {cert.RawIssuer, &c.Issuer}} {
		name, err := parseName(n.der)
		if err != nil {
			return nil, err
		}
		if *n.to, err = name.pairs(); err != nil {
			return nil, err
		}
	}
	for _, ext := range cert.Extensions {
		if !ext.Id.Equal(oidSubjectAltName) {
			continue
		}
		var err error
		if c.SubjectAltName, err = altNames(ext.Value); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// timeText is the form of ASN1_TIME_print(3).
func timeText(t time.Time) string { return t.UTC().Format("Jan _2 15:04:05 2006 GMT") }

// serialText is the form of i2a_ASN1_INTEGER(3).
func serialText(n *big.Int) string {
	text := fmt.Sprintf("%X", new(big.Int).Abs(n))
	if len(text)%2 != 0 {
		text = "0" + text
	}
	if n.Sign() < 0 {
		text = "-" + text
	}
	return text
}

var oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// Tags of GeneralName (RFC 5280, section 4.2.1.6).
const (
	altOther = iota
	altEmail
	altDNS
	altX400
	altDirectory
	altEDI
	altURI
	altIP
	altRegistered
)

// altNames reads the extension subjectAltName.
func altNames(der []byte) (list []NamePair, err error) {
	var seq []asn1.RawValue
	rest, err := asn1.Unmarshal(der, &seq)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes follow it", len(rest))
	}
	if err != nil {
		return nil, fmt.Errorf("tls: subjectAltName: %w", err)
	}
	for _, v := range seq {
		if v.Class != asn1.ClassContextSpecific {
			return nil, fmt.Errorf("tls: subjectAltName: a name of class %d", v.Class)
		}
		pair := NamePair{Value: "<unsupported>"}
		switch v.Tag {
		case altOther:
			pair.Name = "othername"
		case altEmail:
			pair = NamePair{"email", latin1(v.Bytes)}
		case altDNS:
			pair = NamePair{"DNS", latin1(v.Bytes)}
		case altX400:
			pair.Name = "X400Name"
		case altDirectory:
			name, err := parseName(v.Bytes)
			if err != nil {
				return nil, err
			}
			pair = NamePair{"DirName", name.oneline(1 << 16)}
		case altEDI:
			pair.Name = "EdiPartyName"
		case altURI:
			pair = NamePair{"URI", latin1(v.Bytes)}
		case altIP:
			pair = NamePair{"IP Address", addrText(v.Bytes)}
		case altRegistered:
			var oid asn1.ObjectIdentifier
			if _, err := asn1.UnmarshalWithParams(v.FullBytes, &oid, "tag:8"); err != nil {
				return nil, fmt.Errorf("tls: subjectAltName: registered ID: %w", err)
			}
			pair = NamePair{"Registered ID", oid.String()}
		default:
			return nil, fmt.Errorf("tls: subjectAltName: a name of tag %d", v.Tag)
		}
		list = append(list, pair)
	}
	return list, nil
}

// latin1 is the text of an IA5String that may hold anything.
func latin1(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		s.WriteRune(rune(c))
	}
	return s.String()
}

// addrText writes an address as CPython does: IPv6 in full, without zeros in
// front, in capital letters.
func addrText(b []byte) string {
	switch a, _ := netip.AddrFromSlice(b); {
	case a.Is4():
		return a.String()
	case a.Is6():
		var groups []string
		for i := 0; i < len(b); i += 2 {
			groups = append(groups, fmt.Sprintf("%X", int(b[i])<<8|int(b[i+1])))
		}
		return strings.Join(groups, ":")
	}
	return "<invalid>"
}
