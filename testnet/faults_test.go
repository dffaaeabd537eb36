package testnet_test

import (
	"context"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"usersock/sockapi"
	"usersock/testnet/dnszone"
)

// TestNameServerFaults: what a lookup makes of each way in which a name server
// can misbehave, and how long it takes, to the millisecond. A packet takes 10 ms,
// so that an honest answer is there after 20, and over TCP 60 after the
// question; each of three attempts may take two seconds.
func TestNameServerFaults(t *testing.T) {
	const (
		ms    = time.Millisecond
		truth = "192.0.2.7"
		again = "Temporary failure in name resolution"
	)
	udp := func(f dnszone.Fault) dnszone.Fault { f.Over = dnszone.UDP; return f }
	toTCP := dnszone.Fault{Over: dnszone.UDP, Do: dnszone.Truncate}
	for _, c := range []struct {
		name   string
		faults []dnszone.Fault
		edns   dnszone.EDNS
		want   string
		took   time.Duration
		drip   time.Duration // for each byte of the answer but the first
	}{
		{name: "honest", want: truth, took: 20 * ms},
		{name: "late", faults: []dnszone.Fault{{Delay: 1500 * ms}}, want: truth, took: 1520 * ms},
		{name: "too late", faults: []dnszone.Fault{{Delay: 3000 * ms}}, want: again, took: 6000 * ms},
		{name: "too late once", faults: []dnszone.Fault{{Delay: 3000 * ms, Times: 1}}, want: truth, took: 2020 * ms},
		{name: "lost once", faults: []dnszone.Fault{{Do: dnszone.Drop, Times: 1}}, want: truth, took: 2020 * ms},
		{name: "lost twice", faults: []dnszone.Fault{{Do: dnszone.Drop, Times: 2}}, want: truth, took: 4020 * ms},
		{name: "lost", faults: []dnszone.Fault{{Do: dnszone.Drop}}, want: again, took: 6000 * ms},
		{name: "of another type", faults: []dnszone.Fault{{Type: "AAAA", Do: dnszone.Drop}, {Name: "other.example.", Do: dnszone.Drop}}, want: truth, took: 20 * ms},
		{name: "SERVFAIL once", faults: []dnszone.Fault{{Do: dnszone.Fail, Times: 1}}, want: truth, took: 40 * ms},
		{name: "SERVFAIL", faults: []dnszone.Fault{{Do: dnszone.Fail}}, want: again, took: 60 * ms},
		{name: "REFUSED", faults: []dnszone.Fault{{Do: dnszone.Fail, RCode: 5}}, want: again, took: 60 * ms},
		{name: "a lie", faults: []dnszone.Fault{{Do: dnszone.Lie, Answer: " A 203.0.113.66"}}, want: "203.0.113.66", took: 20 * ms}, // nobody can know
		{name: "truncated", faults: []dnszone.Fault{toTCP}, want: truth, took: 60 * ms},
		{name: "truncated over TCP too", faults: []dnszone.Fault{{Do: dnszone.Truncate}}, want: "Non-recoverable failure in name resolution", took: 140 * ms},
		{name: "cut once", faults: []dnszone.Fault{udp(dnszone.Fault{Do: dnszone.Cut, Times: 1})}, want: truth, took: 2020 * ms},
		{name: "garbage once", faults: []dnszone.Fault{{Do: dnszone.Garbage, Times: 1}}, want: truth, took: 2020 * ms},
		{name: "garbage before the answer", faults: []dnszone.Fault{{Do: dnszone.Garbage, Then: true}}, want: truth, took: 20 * ms},
		{name: "another ID before the answer", faults: []dnszone.Fault{{Do: dnszone.WrongID, Then: true}}, want: truth, took: 20 * ms},
		{name: "another ID once", faults: []dnszone.Fault{{Do: dnszone.WrongID, Times: 1}}, want: truth, took: 2020 * ms},
		{name: "another name before the answer", faults: []dnszone.Fault{{Do: dnszone.WrongName, Then: true}}, want: truth, took: 20 * ms},
		{name: "another port before the answer", faults: []dnszone.Fault{{Do: dnszone.WrongPort, Then: true}}, want: truth, took: 20 * ms},
		{name: "another port", faults: []dnszone.Fault{{Do: dnszone.WrongPort}}, want: again, took: 6000 * ms},
		{name: "byte by byte", faults: []dnszone.Fault{toTCP, {Do: dnszone.Drip, Every: 10 * ms}}, want: truth, took: 60 * ms, drip: 10 * ms},
		{name: "too slowly", faults: []dnszone.Fault{toTCP, {Do: dnszone.Drip, Every: time.Second}}, want: again, took: 6060 * ms},
		{name: "cut off over TCP once", faults: []dnszone.Fault{toTCP, {Do: dnszone.Cut, Times: 1}}, want: truth, took: 120 * ms},
		{name: "hung up over TCP once", faults: []dnszone.Fault{toTCP, {Do: dnszone.Hangup, Times: 1}}, want: truth, took: 120 * ms},
		{name: "silent over TCP once", faults: []dnszone.Fault{toTCP, {Do: dnszone.Drop, Times: 1}}, want: truth, took: 2080 * ms},
		{name: "FORMERR for EDNS", edns: dnszone.EDNSFormErr, want: truth, took: 40 * ms},
		{name: "no EDNS", edns: dnszone.EDNSIgnored, want: truth, took: 20 * ms},
		{name: "BADVERS for EDNS", edns: dnszone.EDNSBadVers, want: truth, took: 40 * ms},
		{name: "an extended code", faults: []dnszone.Fault{{Do: dnszone.Fail, RCode: 23}}, want: again, took: 60 * ms},
		{name: "silence for EDNS", edns: dnszone.EDNSDropped, want: again, took: 6000 * ms},
	} {
		t.Run(c.name, func(t *testing.T) {
			runs := 3
			if testing.Short() {
				runs = 1
			}
			same(t, runs, func(t *testing.T) outcome {
				return run(t, 1, wire{delay: 10 * ms}, func(w *world) {
					zone, err := dnszone.Parse("@ 300 SOA a. b. 1 2 3 4 60\nwww 300 A "+truth+"\n", "example")
					if err != nil {
						t.Fatal(err)
					}
					server := dnszone.NewServer(zone)
					server.EDNS = c.edns
					server.AfterFunc = func(d time.Duration, f func()) func() bool { return w.nodes[1].AfterFunc(d, f).Stop }
					if server.Elsewhere, err = w.nets[1].ListenPacket("udp", ":54"); err != nil {
						t.Fatal(err)
					}
					for _, f := range c.faults {
						if _, err := server.AddFault(f); err != nil {
							t.Fatal(err)
						}
					}
					stop := w.serveNames(server)
					w.task(0, "lookup", func(n *sockapi.Net) {
						defer server.Elsewhere.Close()
						defer stop()
						want := c.took + c.drip*time.Duration(1+answerSize(t))
						began := w.driver.Now()
						ip, err := n.Gethostbyname(context.Background(), "www.example.")
						took := w.driver.Now() - began
						got := ip
						if err != nil {
							got = err.Error()
						}
						if got != c.want || took != want {
							t.Errorf("%s after %v, want %s after %v", got, took, c.want, want)
						}
					})
				})
			})
		})
	}
}

// answerSize is the size of the answer to what TestNameServerFaults asks.
func answerSize(t *testing.T) int {
	m := dnsmessage.Message{
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName("www.example."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
		Additionals: []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName("."), Type: dnsmessage.TypeOPT}, Body: &dnsmessage.OPTResource{},
		}},
	}
	query, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	const answer = 2 + 10 + 4 // the owner compressed
	return len(query) + answer
}
