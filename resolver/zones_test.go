package resolver

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"usersock/testnet/dnszone"
)

// zoneWorld is testdata/zone.json.
type zoneWorld struct {
	Servers map[string]struct{ Mode string }
	Zones   []struct {
		Origin  string
		Records [][]any
	}
	Behaviors []behavior
	TTL       uint32

	zones []*dnszone.Zone
}

type behavior struct {
	Name, Type, Do, Rcode, First string
	FailFirst                    int `json:"fail_first"`
	Delay                        float64
}

func loadZones(t testing.TB) *zoneWorld {
	t.Helper()
	data, err := os.ReadFile("testdata/zone.json")
	if err != nil {
		t.Fatal(err)
	}
	w := new(zoneWorld)
	if err := json.Unmarshal(data, w); err != nil {
		t.Fatal(err)
	}
	for _, zone := range w.Zones {
		z, err := dnszone.NewZone(zone.Origin)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range zone.Records {
			if err := addRecord(z, r, w.TTL); err != nil {
				t.Fatal(err)
			}
		}
		w.zones = append(w.zones, z)
	}
	return w
}

func addRecord(z *dnszone.Zone, r []any, ttl uint32) error {
	if len(r) > 3 {
		ttl = uint32(r[3].(float64))
	}
	full := func(name string) string { return strings.TrimSuffix(name, ".") + "." }
	owner, typ, rdata := full(r[0].(string)), r[1].(string), r[2].(string)
	switch number, raw := strings.CutPrefix(typ, "RAW"); {
	case raw:
		typ, rdata = "TYPE"+number, fmt.Sprintf(`\# %d %s`, len(rdata)/2, rdata)
	case typ == "TXT":
		rdata = strconv.Quote(rdata)
	case typ == "SOA":
		fields := strings.Fields(rdata)
		fields[0], fields[1] = full(fields[0]), full(fields[1])
		rdata = strings.Join(fields, " ")
	case typ != "A" && typ != "AAAA":
		fields := strings.Fields(rdata)
		last := &fields[len(fields)-1]
		// Presentation form, except for the bytes that need no escape there.
		*last = strings.NewReplacer("$(", `$\(`, ")", `\)`).Replace(full(*last))
		rdata = strings.Join(fields, " ")
	}
	return z.Add(owner, typ, rdata, ttl)
}

func rcodeNumber(name string) byte {
	return map[string]byte{"FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "NOTIMP": 4, "REFUSED": 5}[name]
}

// servers makes fresh servers, whose counts of failures begin anew.
func (w *zoneWorld) servers() map[string]*dnszone.Server {
	out := map[string]*dnszone.Server{}
	for addr, s := range w.Servers {
		server := dnszone.NewServer(w.zones...)
		counts := map[string]int{}
		server.Intercept = func(q dnszone.Query, honest []byte) []dnszone.Reply {
			switch s.Mode {
			case "zone":
				return w.misbehave(q, honest, counts)
			case "drop":
				return nil
			}
			return send(withRcode(q.Message, rcodeNumber(s.Mode)))
		}
		out[netip.AddrPortFrom(netip.MustParseAddr(addr), 53).String()] = server
	}
	return out
}

func send(messages ...[]byte) (replies []dnszone.Reply) {
	for _, m := range messages {
		replies = append(replies, dnszone.Reply{Message: m})
	}
	return replies
}

// withRcode is a reply to query with nothing but a response code.
func withRcode(query []byte, rcode byte) []byte {
	end := 12
	for query[end] != 0 {
		end += 1 + int(query[end])
	}
	m := slices.Clone(query[:end+5])
	m[2] |= 0x80
	m[3] = 0x80 | rcode
	clear(m[6:12])
	return m
}

func (w *zoneWorld) misbehave(q dnszone.Query, honest []byte, counts map[string]int) []dnszone.Reply {
	var b *behavior
	for i := range w.Behaviors {
		if c := &w.Behaviors[i]; strings.EqualFold(c.Name+".", q.Name) && (c.Type == "*" || c.Type == q.Type) {
			b = c
		}
	}
	if b == nil {
		return send(honest)
	}
	if key := q.Name + " " + q.Type; counts[key] < b.FailFirst {
		counts[key]++
		if b.First == "drop" {
			return nil
		}
		return send(withRcode(q.Message, rcodeNumber(b.First)))
	}
	cut := func() []byte {
		m := withRcode(q.Message, 0)
		m[2] |= 0x02
		return m
	}
	switch b.Do {
	case "":
		return []dnszone.Reply{{Message: honest, After: time.Duration(b.Delay * float64(time.Second))}}
	case "drop":
		return nil
	case "drop-udp":
		if q.UDP {
			return nil
		}
	case "rcode":
		return send(withRcode(q.Message, rcodeNumber(b.Rcode)))
	case "truncate":
		if q.UDP {
			return send(cut())
		}
	case "truncate-partial":
		if q.UDP {
			honest[2] |= 0x02
		}
	case "tc-tcp-refuse":
		if q.UDP {
			return send(cut())
		}
		return nil
	case "spoof-id-first":
		forged := slices.Clone(honest)
		forged[0] ^= 0xff
		forged[len(forged)-12] ^= 0x55 // into the rdata, before the OPT record
		return send(forged, honest)
	case "wrong-question-first":
		forged := slices.Clone(honest)
		forged[13] ^= 1
		forged[len(forged)-12] ^= 0x55
		return send(forged, honest)
	case "upper-question":
		for i := 12; honest[i] != 0; i += 1 + int(honest[i]) {
			for j := i + 1; j <= i+int(honest[i]); j++ {
				if 'a' <= honest[j] && honest[j] <= 'z' {
					honest[j] &^= 0x20
				}
			}
		}
	case "extra-unrelated":
		return send(withExtra(honest))
	case "short-rdata":
		return send(honest[:len(honest)-11-2]) // the OPT record, and two bytes more
	case "ptr-loop":
		m := withRcode(q.Message, 0)
		m[7] = 1
		at := len(m)
		return send(append(m, 0xc0|byte(at>>8), byte(at), 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1))
	case "no-soa":
		return send(withRcode(q.Message, rcodeNumber("NXDOMAIN")))
	default:
		panic("no behaviour " + b.Do)
	}
	return send(honest)
}

// withExtra adds an address of another name to a reply.
func withExtra(honest []byte) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(honest); err != nil {
		panic(err)
	}
	m.Answers = append([]dnsmessage.Resource{{
		Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName("unrelated.example."), Class: dnsmessage.ClassINET, TTL: 60},
		Body:   &dnsmessage.AResource{A: [4]byte{203, 0, 113, 66}},
	}}, m.Answers...)
	out, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return out
}

// parsedQuestion is the question of a query, for logs.
type parsedQuestion struct{ name, typ string }

func (p *parsedQuestion) read(msg []byte) {
	var parser dnsmessage.Parser
	if _, err := parser.Start(msg); err == nil {
		if q, err := parser.Question(); err == nil {
			p.name, p.typ = q.Name.String(), typeName(q.Type)
		}
	}
}
