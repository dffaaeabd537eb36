package tls

import (
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A distinguished name (RFC 5280, section 4.1.2.4) is a sequence of relative
// ones, each a set of attributes that is nearly always of one. It is read from
// the certificate's own bytes, because crypto/x509 forgets the order, the kinds
// of strings, and which attributes belong together.

// attribute is one attribute with its value as it stands in the certificate.
type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

type relativeNameSET []attribute // encoding/asn1 reads a set because of the SET

type distinguishedName []relativeNameSET

func parseName(der []byte) (distinguishedName, error) {
	var name distinguishedName
	rest, err := asn1.Unmarshal(der, &name)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes follow it", len(rest))
	}
	if err != nil {
		return nil, fmt.Errorf("tls: distinguished name: %w", err)
	}
	return name, nil
}

// attributeName are OpenSSL's short and long names for an attribute's type.
type attributeName struct{ short, long string }

// nameOf returns the names of a type: its numbers where OpenSSL has none.
func nameOf(oid asn1.ObjectIdentifier) attributeName {
	if n, ok := attributeNames(oid.String()); ok {
		return n
	}
	return attributeName{oid.String(), oid.String()}
}

// attributeNames has the types of RFC 4519, RFC 4524, PKCS #9 and of extended
// validation certificates.
func attributeNames(oid string) (n attributeName, ok bool) {
	switch oid {
	case "2.5.4.3":
		n = attributeName{"CN", "commonName"}
	case "2.5.4.4":
		n = attributeName{"SN", "surname"}
	case "2.5.4.5":
		n = attributeName{"serialNumber", "serialNumber"}
	case "2.5.4.6":
		n = attributeName{"C", "countryName"}
	case "2.5.4.7":
		n = attributeName{"L", "localityName"}
	case "2.5.4.8":
		n = attributeName{"ST", "stateOrProvinceName"}
	case "2.5.4.9":
		n = attributeName{"street", "streetAddress"}
	case "2.5.4.10":
		n = attributeName{"O", "organizationName"}
	case "2.5.4.11":
		n = attributeName{"OU", "organizationalUnitName"}
	case "2.5.4.12":
		n = attributeName{"title", "title"}
	case "2.5.4.13":
		n = attributeName{"description", "description"}
	case "2.5.4.15":
		n = attributeName{"businessCategory", "businessCategory"}
	case "2.5.4.16":
		n = attributeName{"postalAddress", "postalAddress"}
	case "2.5.4.17":
		n = attributeName{"postalCode", "postalCode"}
	case "2.5.4.18":
		n = attributeName{"postOfficeBox", "postOfficeBox"}
	case "2.5.4.20":
		n = attributeName{"telephoneNumber", "telephoneNumber"}
	case "2.5.4.41":
		n = attributeName{"name", "name"}
	case "2.5.4.42":
		n = attributeName{"GN", "givenName"}
	case "2.5.4.43":
		n = attributeName{"initials", "initials"}
	case "2.5.4.44":
		n = attributeName{"generationQualifier", "generationQualifier"}
	case "2.5.4.45":
		n = attributeName{"x500UniqueIdentifier", "x500UniqueIdentifier"}
	case "2.5.4.46":
		n = attributeName{"dnQualifier", "dnQualifier"}
	case "2.5.4.65":
		n = attributeName{"pseudonym", "pseudonym"}
	case "2.5.4.72":
		n = attributeName{"role", "role"}
	case "2.5.4.97":
		n = attributeName{"organizationIdentifier", "organizationIdentifier"}
	case "2.5.4.98":
		n = attributeName{"c3", "countryCode3c"}
	case "2.5.4.99":
		n = attributeName{"n3", "countryCode3n"}
	case "0.9.2342.19200300.100.1.1":
		n = attributeName{"UID", "userId"}
	case "0.9.2342.19200300.100.1.3":
		n = attributeName{"mail", "rfc822Mailbox"}
	case "0.9.2342.19200300.100.1.25":
		n = attributeName{"DC", "domainComponent"}
	case "0.9.2342.19200300.100.1.44":
		n = attributeName{"uid", "uniqueIdentifier"}
	case "1.2.840.113549.1.9.1":
		n = attributeName{"emailAddress", "emailAddress"}
	case "1.2.840.113549.1.9.2":
		n = attributeName{"unstructuredName", "unstructuredName"}
	case "1.2.840.113549.1.9.7":
		n = attributeName{"challengePassword", "challengePassword"}
	case "1.2.840.113549.1.9.8":
		n = attributeName{"unstructuredAddress", "unstructuredAddress"}
	case "1.2.840.113549.1.9.20":
		n = attributeName{"friendlyName", "friendlyName"}
	case "1.3.6.1.4.1.311.60.2.1.1":
		n = attributeName{"jurisdictionL", "jurisdictionLocalityName"}
	case "1.3.6.1.4.1.311.60.2.1.2":
		n = attributeName{"jurisdictionST", "jurisdictionStateOrProvinceName"}
	case "1.3.6.1.4.1.311.60.2.1.3":
		n = attributeName{"jurisdictionC", "jurisdictionCountryName"}
	default:
		return n, false
	}
	return n, true
}

// onelineMax is how many characters Python 2.5's ssl object has room for.
const onelineMax = 255

// oneline writes a name as OpenSSL before 3.0 does (X509_NAME_oneline(3)), which
// is the form of the 2.5 document: a slash before each attribute, also between
// those that belong together, and none of them escaped in values; bytes that are
// not printable ASCII as \xHH. An attribute with which the text would pass max
// characters is dropped, and all that follow.
func (n distinguishedName) oneline(max int) string {
	var b strings.Builder
	for _, rdn := range n {
		for _, a := range rdn {
			item := "/" + nameOf(a.Type).short + "=" + printable(a.Value)
			if b.Len()+len(item) > max {
				return b.String()
			}
			b.WriteString(item)
		}
	}
	return b.String()
}

// printable is a value's content, byte by byte whatever the kind of string.
func printable(v asn1.RawValue) string {
	content := v.Bytes
	if v.Class == asn1.ClassUniversal && v.Tag == asn1.TagGeneralString && len(content)%4 == 0 {
		content = fourByteASCII(content)
	}
	var b strings.Builder
	for _, c := range content {
		if c < ' ' || c > '~' {
			fmt.Fprintf(&b, `\x%02X`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// fourByteASCII takes the zeros out of a GeneralString in which each character
// has four bytes, of which the last alone is used; others stay as they are.
func fourByteASCII(b []byte) []byte {
	var last []byte
	for i, c := range b {
		if i%4 == 3 {
			last = append(last, c)
		} else if c != 0 {
			return b
		}
	}
	return last
}

// stringOf returns a value as text, by the kind of string that it is
// (ASN1_STRING_to_UTF8(3)): T.61 is taken for Latin-1.
func stringOf(v asn1.RawValue) (string, error) {
	if v.Class != asn1.ClassUniversal {
		return "", fmt.Errorf("tls: a value of class %d and tag %d is no string", v.Class, v.Tag)
	}
	switch b := v.Bytes; v.Tag {
	case asn1.TagUTF8String:
		if !utf8.Valid(b) {
			return "", fmt.Errorf("tls: UTF8String %q is no UTF-8", b)
		}
		return string(b), nil
	case asn1.TagNumericString, asn1.TagPrintableString, asn1.TagT61String, asn1.TagIA5String, tagVisibleString:
		var s strings.Builder
		for _, c := range b {
			s.WriteRune(rune(c))
		}
		return s.String(), nil
	case asn1.TagBMPString:
		if len(b)%2 != 0 {
			return "", fmt.Errorf("tls: BMPString of %d bytes", len(b))
		}
		units := make([]uint16, len(b)/2)
		for i := range units {
			units[i] = binary.BigEndian.Uint16(b[2*i:])
		}
		return string(utf16.Decode(units)), nil
	case tagUniversalString:
		if len(b)%4 != 0 {
			return "", fmt.Errorf("tls: UniversalString of %d bytes", len(b))
		}
		var s strings.Builder
		for ; len(b) > 0; b = b[4:] {
			s.WriteRune(rune(binary.BigEndian.Uint32(b)))
		}
		return s.String(), nil
	default:
		return "", fmt.Errorf("tls: a value of tag %d is no string that is known", v.Tag)
	}
}

// Tags that encoding/asn1 has no names for (X.680, section 8.4).
const (
	tagVisibleString   = 26
	tagUniversalString = 28
)

// A NamePair is an attribute of a name, ("commonName", "example.com"), or an
// alternative name of a subject, ("DNS", "example.com").
type NamePair struct{ Name, Value string }

// pairs returns a name as getpeercert does: a list of relative names.
func (n distinguishedName) pairs() ([][]NamePair, error) {
	list := make([][]NamePair, len(n))
	for i, rdn := range n {
		for _, a := range rdn {
			s, err := stringOf(a.Value)
			if err != nil {
				return nil, err
			}
			list[i] = append(list[i], NamePair{nameOf(a.Type).long, s})
		}
	}
	return list, nil
}
