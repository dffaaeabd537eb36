package resolver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Messages of RFC 1035.
//
// A reply counts as one only if it is bound to its question: the ID, the QR
// bit, the opcode and the question as asked (name compared without case). All
// else that arrives on the socket is somebody else's, maybe a forger's, and
// the wait goes on. Of a reply that is ours, only records are used whose class
// is IN and whose owner is the name asked for or stands at the end of the
// CNAME chain that begins there. Records of a wrong length are skipped; if
// nothing else is there, the answer is unusable.
//
// dnsmessage refuses names with a dot inside a label. That matters in two
// places: names in records (then the name is unfit, not the message),
// and the SOA's mailbox, which is why the SOA's MINIMUM is read from the end
// of the raw record.

const (
	ednsSize      = 1232 // our EDNS buffer size: fits every IPv6 link unfragmented
	udpBufferSize = 4096
	maxChain      = 16 // CNAMEs followed
)

// reply is what became of a datagram or TCP message.
type reply uint8

const (
	replyForeign   reply = iota // not the reply to our question
	replyAnswer                 // positive or negative, cacheable
	replyTruncated              // TC: ask over TCP
	replyFormErr                // FORMERR: maybe the server knows no EDNS
	replyFailure                // the server could not or would not answer
	replyUnusable               // malformed
)

// answer is what is known about one name and type. It is not changed once
// made, because it is shared; sorted and item are the cache's.
type answer struct {
	canon   string       // canonical name; "" is the name as asked for
	aliases []string     // CNAME owners, the name as asked for first
	addrs   []netip.Addr // of one family
	name    string       // PTR: the first name, "" if that is unfit
	records []record     // of other types than A and AAAA
	msg     []byte       // the whole reply, where the whole query was given
	err     error        // no answer: a *dnsError
	ttl     time.Duration
	asked   time.Duration // when, on the monotonic clock

	sorted atomic.Pointer[sortedList] // what became of addrs last time
	item   cacheItem                  // its place in the cache
	space  [2]netip.Addr              // room for a few addrs
}

// dnsError says what was asked of whom, and what came of it.
type dnsError struct {
	name, typ, server string
	kind              error // ErrNotFound, ErrNoData, ErrTryAgain or ErrNoRecovery
	cause             error // may be nil
	transport         bool  // no reply at all, in contrast to a bad one
}

func (e *dnsError) Error() string {
	var b strings.Builder
	b.WriteString("asking ")
	if e.server != "" {
		b.WriteString(e.server)
		b.WriteByte(' ')
	}
	fmt.Fprintf(&b, "for %s %s: ", quoteName(e.name), e.typ)
	if e.cause != nil {
		b.WriteString(e.cause.Error())
	} else {
		b.WriteString(e.kind.Error())
	}
	return b.String()
}

func (e *dnsError) Unwrap() []error {
	if e.cause == nil {
		return []error{e.kind}
	}
	return []error{e.kind, e.cause}
}

// appendQuery appends the message that asks q.
func appendQuery(buf []byte, q *question, trustAD bool) ([]byte, error) {
	if q.raw != nil {
		buf = append(buf, q.raw...)
		binary.BigEndian.PutUint16(buf, q.id)
		return buf, nil
	}
	b := dnsmessage.NewBuilder(buf, dnsmessage.Header{ID: q.id, RecursionDesired: true, AuthenticData: trustAD})
	if err := b.StartQuestions(); err != nil {
		return nil, err
	}
	if err := b.Question(dnsmessage.Question{Name: q.name, Type: q.typ, Class: dnsmessage.ClassINET}); err != nil {
		return nil, err
	}
	if q.edns {
		if err := b.StartAdditionals(); err != nil {
			return nil, err
		}
		var h dnsmessage.ResourceHeader
		if err := h.SetEDNS0(ednsSize, dnsmessage.RCodeSuccess, false); err != nil {
			return nil, err
		}
		if err := b.OPTResource(h, dnsmessage.OPTResource{}); err != nil {
			return nil, err
		}
	}
	return b.Finish()
}

// readReply judges a message that arrived for q. answer is nil unless the
// reply is replyAnswer; why says what is wrong with any other.
func readReply(msg []byte, q *question) (kind reply, ans *answer, rcode dnsmessage.RCode, why error) {
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil || h.ID != q.id || !h.Response || h.OpCode != 0 {
		return replyForeign, nil, 0, err
	}
	asked, err := p.Question()
	class := dnsmessage.ClassINET
	if q.raw != nil {
		class = q.class
	}
	switch {
	case err == dnsmessage.ErrSectionDone && h.RCode == dnsmessage.RCodeFormatError:
		// A server that could not read the question cannot repeat it.
		return replyFormErr, nil, h.RCode, errRCode(h.RCode)
	case err != nil || asked.Type != q.typ || asked.Class != class || !equalNames(&asked.Name, &q.name):
		return replyForeign, nil, 0, err
	}
	if _, err := p.Question(); err != dnsmessage.ErrSectionDone {
		return replyForeign, nil, 0, err
	}
	switch {
	case h.RCode == dnsmessage.RCodeFormatError:
		return replyFormErr, nil, h.RCode, errRCode(h.RCode)
	case h.RCode != dnsmessage.RCodeSuccess && h.RCode != dnsmessage.RCodeNameError:
		return replyFailure, nil, h.RCode, errRCode(h.RCode)
	case h.Truncated:
		return replyTruncated, nil, h.RCode, errTruncated
	case q.raw != nil:
		return replyAnswer, &answer{msg: append([]byte(nil), msg...)}, h.RCode, nil
	}
	if q.edns && msg[6]|msg[7] == 0 { // without answers the code may be elsewhere
		switch code := fullRCode(p, h.RCode); {
		case code == rcodeBadVers: // of version 0: a server that does not know EDNS
			return replyFormErr, nil, code, errRCode(code)
		case code > 0xf:
			return replyFailure, nil, code, errRCode(code)
		}
	}
	ans, err = readAnswer(p, h.RCode, q)
	if err != nil {
		return replyUnusable, nil, h.RCode, err
	}
	return replyAnswer, ans, h.RCode, nil
}

const rcodeBadVers dnsmessage.RCode = 16

// fullRCode is a reply's code with the upper bits that its OPT record has (RFC
// 6891, section 6.1.3). p stands at the answer section.
func fullRCode(p dnsmessage.Parser, rcode dnsmessage.RCode) dnsmessage.RCode {
	if p.SkipAllAnswers() != nil || p.SkipAllAuthorities() != nil {
		return rcode
	}
	for {
		h, err := p.AdditionalHeader()
		if err != nil {
			return rcode
		}
		if h.Type == dnsmessage.TypeOPT {
			return h.ExtendedRCode(rcode)
		}
		if p.SkipAdditional() != nil {
			return rcode
		}
	}
}

var (
	errTruncated = errors.New("reply is cut off")
	errChain     = errors.New("CNAME chain is too long or a loop")
	errRecords   = errors.New("records have a wrong length")
)

// errRCode is a server's response code, as an error.
type errRCode dnsmessage.RCode

func (e errRCode) Error() string { return "server says " + rcodeName(dnsmessage.RCode(e)) }

func rcodeName(c dnsmessage.RCode) string {
	switch c {
	case dnsmessage.RCodeSuccess:
		return "NOERROR"
	case dnsmessage.RCodeFormatError:
		return "FORMERR"
	case dnsmessage.RCodeServerFailure:
		return "SERVFAIL"
	case dnsmessage.RCodeNameError:
		return "NXDOMAIN"
	case dnsmessage.RCodeNotImplemented:
		return "NOTIMP"
	case dnsmessage.RCodeRefused:
		return "REFUSED"
	case rcodeBadVers:
		return "BADVERS"
	}
	return fmt.Sprintf("RCODE%d", uint16(c))
}

func typeName(t dnsmessage.Type) string {
	switch t {
	case dnsmessage.TypeA:
		return "A"
	case dnsmessage.TypeNS:
		return "NS"
	case dnsmessage.TypeCNAME:
		return "CNAME"
	case dnsmessage.TypeSOA:
		return "SOA"
	case dnsmessage.TypePTR:
		return "PTR"
	case dnsmessage.TypeMX:
		return "MX"
	case dnsmessage.TypeTXT:
		return "TXT"
	case dnsmessage.TypeAAAA:
		return "AAAA"
	case dnsmessage.TypeSRV:
		return "SRV"
	}
	return fmt.Sprintf("TYPE%d", uint16(t))
}

// readAnswer reads a reply to q whose header and question are fine; p stands
// at the answer section. An error means that the message is malformed.
func readAnswer(p dnsmessage.Parser, rcode dnsmessage.RCode, q *question) (*answer, error) {
	ans := new(answer)
	ans.addrs = ans.space[:0]
	owner, ttl, err := followChain(p, q, ans)
	if err != nil {
		return nil, err
	}
	if rcode == dnsmessage.RCodeSuccess {
		found, err := collect(p, q, &owner, ans, &ttl)
		if err != nil {
			return nil, err
		}
		if found {
			ans.ttl = seconds(ttl)
			return ans, nil
		}
	}
	kind := ErrNoData
	if rcode == dnsmessage.RCodeNameError {
		kind = ErrNotFound
	}
	negative := &answer{err: &dnsError{name: q.text, typ: typeName(q.typ), kind: kind}}
	soa, ok, err := negativeTTL(p)
	if err != nil {
		return nil, err
	}
	if ok {
		negative.ttl = seconds(shorter(soa, ttl))
	}
	return negative, nil
}

// shorter is the smaller of two TTLs; one with the top bit set is 0 (RFC 2181,
// section 8).
func shorter(a, b uint32) uint32 {
	if a > 1<<31-1 || b > 1<<31-1 {
		return 0
	}
	return min(a, b)
}

func seconds(ttl uint32) time.Duration { return time.Duration(ttl) * time.Second }

// followChain follows the CNAMEs from the question's name, in whatever order
// the records come, and returns the last name and the smallest TTL on the
// way. Names that are unfit to be shown are followed but not recorded.
func followChain(p dnsmessage.Parser, q *question, ans *answer) (owner dnsmessage.Name, ttl uint32, err error) {
	owner, ttl = q.name, 1<<31-1
	hops := 0
	for moved := true; moved; {
		moved = false
		for scan := p; ; {
			h, err := scan.AnswerHeader()
			if err == dnsmessage.ErrSectionDone {
				break
			}
			if err != nil {
				return owner, 0, err
			}
			if h.Type != dnsmessage.TypeCNAME || h.Class != dnsmessage.ClassINET || !equalNames(&h.Name, &owner) {
				if err := scan.SkipAnswer(); err != nil {
					return owner, 0, err
				}
				continue
			}
			if hops++; hops > maxChain {
				return owner, 0, errChain
			}
			target, err := scan.CNAMEResource()
			if err != nil {
				return owner, 0, err
			}
			owner, ttl, moved = target.CNAME, shorter(ttl, h.TTL), true
			if name := nameText(&owner); isHostname(name) {
				if ans.canon == "" {
					ans.canon = q.text
				}
				ans.aliases = append(ans.aliases, ans.canon)
				ans.canon = name
			}
		}
	}
	return owner, ttl, nil
}

// collect takes the records of owner that q asks for. p is a copy, and so the
// caller's parser stays where it is.
func collect(p dnsmessage.Parser, q *question, owner *dnsmessage.Name, ans *answer, ttl *uint32) (found bool, err error) {
	wrong := false
	for {
		h, err := p.AnswerHeader()
		if err == dnsmessage.ErrSectionDone {
			break
		}
		if err != nil {
			return false, err
		}
		if h.Type != q.typ || h.Class != dnsmessage.ClassINET || !equalNames(&h.Name, owner) {
			if err := p.SkipAnswer(); err != nil {
				return false, err
			}
			continue
		}
		switch {
		case h.Type == dnsmessage.TypeA && h.Length == 4:
			a, err := p.AResource()
			if err != nil {
				return false, err
			}
			ans.addrs = append(ans.addrs, netip.AddrFrom4(a.A))
		case h.Type == dnsmessage.TypeAAAA && h.Length == 16:
			a, err := p.AAAAResource()
			if err != nil {
				return false, err
			}
			ans.addrs = append(ans.addrs, netip.AddrFrom16(a.AAAA))
		case h.Type != dnsmessage.TypeA && h.Type != dnsmessage.TypeAAAA:
			rr, ok := readRecord(&p, h)
			if !ok { // a name with a dot inside a label, or cut
				if err := p.SkipAnswer(); err != nil {
					return false, err
				}
			}
			ok = ok && rr.fit()
			if ok {
				ans.records = append(ans.records, rr)
			}
			// Of several PTR records the first one is the name.
			if h.Type == dnsmessage.TypePTR && !found && ok {
				ans.name = rr.text
			}
			found = true
			*ttl = shorter(*ttl, h.TTL)
			continue
		default:
			wrong = true
			if err := p.SkipAnswer(); err != nil {
				return false, err
			}
			continue
		}
		*ttl = shorter(*ttl, h.TTL)
		found = true
	}
	if !found && wrong {
		return false, errRecords
	}
	return found && (len(ans.addrs) > 0 || len(ans.records) > 0), nil
}

// negativeTTL is how long a negative answer holds: the smaller of the SOA
// record's TTL and its MINIMUM (RFC 2308, section 5). ok is false without SOA.
func negativeTTL(p dnsmessage.Parser) (ttl uint32, ok bool, err error) {
	if err := p.SkipAllAnswers(); err != nil {
		return 0, false, err
	}
	for {
		h, err := p.AuthorityHeader()
		if err == dnsmessage.ErrSectionDone {
			return 0, false, nil
		}
		if err != nil {
			return 0, false, err
		}
		if h.Type != dnsmessage.TypeSOA || h.Class != dnsmessage.ClassINET {
			if err := p.SkipAuthority(); err != nil {
				return 0, false, err
			}
			continue
		}
		soa, err := p.UnknownResource()
		if err != nil {
			return 0, false, err
		}
		if n := len(soa.Data); n >= 22 { // two names and five numbers
			return shorter(h.TTL, binary.BigEndian.Uint32(soa.Data[n-4:])), true, nil
		}
		return 0, false, errRecords
	}
}

// equalNames compares two names without case (RFC 4343).
func equalNames(a, b *dnsmessage.Name) bool {
	if a.Length != b.Length {
		return false
	}
	for i := range a.Data[:a.Length] {
		x, y := a.Data[i], b.Data[i]
		if x == y {
			continue
		}
		if x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z' {
			return false
		}
	}
	return true
}

// nameText is a name without the final dot.
func nameText(n *dnsmessage.Name) string {
	data := n.Data[:n.Length]
	if len(data) > 0 && data[len(data)-1] == '.' {
		data = data[:len(data)-1]
	}
	return string(data)
}
