package resolver

import (
	"fmt"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// record is the data of a record that is no address. Names in it have no
// final dot, so that the root is "".
type record struct {
	typ     dnsmessage.Type
	numbers [3]uint16 // MX: preference; SRV: priority, weight, port
	text    string    // a name, or the strings of a TXT record as one
}

// readRecord reads the record whose header is h. ok is false where it cannot be
// read; then p has not moved on.
func readRecord(p *dnsmessage.Parser, h dnsmessage.ResourceHeader) (rr record, ok bool) {
	rr.typ = h.Type
	var name dnsmessage.Name
	switch h.Type {
	case dnsmessage.TypePTR:
		data, err := p.PTRResource()
		if err != nil {
			return rr, false
		}
		name = data.PTR
	case dnsmessage.TypeNS:
		data, err := p.NSResource()
		if err != nil {
			return rr, false
		}
		name = data.NS
	case dnsmessage.TypeMX:
		data, err := p.MXResource()
		if err != nil {
			return rr, false
		}
		name, rr.numbers[0] = data.MX, data.Pref
	case dnsmessage.TypeSRV:
		data, err := p.SRVResource()
		if err != nil {
			return rr, false
		}
		name, rr.numbers = data.Target, [3]uint16{data.Priority, data.Weight, data.Port}
	case dnsmessage.TypeTXT:
		data, err := p.TXTResource()
		rr.text = strings.Join(data.TXT, "")
		return rr, err == nil
	default:
		return rr, false
	}
	rr.text = nameText(&name)
	return rr, true
}

// fit reports whether a program may be shown the record. The root stands for
// "none" in MX (RFC 7505) and SRV (RFC 2782).
func (rr *record) fit() bool {
	switch rr.typ {
	case dnsmessage.TypePTR:
		return isPeerName(rr.text)
	case dnsmessage.TypeTXT:
		return true
	case dnsmessage.TypeMX, dnsmessage.TypeSRV:
		return rr.text == "" || isHostname(rr.text)
	}
	return isHostname(rr.text)
}

// String is the data as in a master file, without the final dots.
func (rr record) String() string {
	switch rr.typ {
	case dnsmessage.TypeMX:
		return fmt.Sprintf("%d %s", rr.numbers[0], rr.text)
	case dnsmessage.TypeSRV:
		return fmt.Sprintf("%d %d %d %s", rr.numbers[0], rr.numbers[1], rr.numbers[2], rr.text)
	case dnsmessage.TypeTXT:
		return quoteName(rr.text)
	}
	return rr.text
}
