package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"usersock/resolver"
	"usersock/sockapi"
	"usersock/stack/endpoint"
)

// report is what lookup tells; -json prints it as it is.
type report struct {
	Name      string         `json:"name"`            // what was looked up, a name or an address
	Addrs     []string       `json:"host"`            // the looking host's addresses, with prefix lengths
	Sources   []sourceReport `json:"sources"`         // in the order in which they were consulted
	Names     []string       `json:"names,omitempty"` // the canonical name, then aliases
	Addresses []destination  `json:"addresses"`       // in the order in which they are to be tried
	Error     *errorReport   `json:"error,omitempty"` // why there are none
	asked     []queryReport  // of the source that is being consulted
}

type sourceReport struct {
	Source    string        `json:"source"`
	Queries   []queryReport `json:"queries,omitempty"`
	Names     []string      `json:"names,omitempty"`
	Addresses []netip.Addr  `json:"addresses,omitempty"`
	Error     string        `json:"error,omitempty"`
	Last      bool          `json:"last"` // no further source was consulted
	Seconds   float64       `json:"seconds"`
}

type queryReport struct {
	Server  string   `json:"server"`
	Network string   `json:"network"`
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	Attempt int      `json:"attempt"`
	RCode   string   `json:"rcode,omitempty"` // without it there was no reply
	Answers []string `json:"answers,omitempty"`
	Error   string   `json:"error,omitempty"`
	Seconds float64  `json:"seconds"`
}

type destination struct {
	Address      string `json:"address"`
	Source       string `json:"source,omitempty"` // without it the address cannot be reached
	Scope        int    `json:"scope"`
	SourceScope  int    `json:"sourceScope,omitempty"`
	Label        int    `json:"label"`
	SourceLabel  int    `json:"sourceLabel"`
	Precedence   int    `json:"precedence"`
	CommonPrefix int    `json:"commonPrefix"`
	Rule         int    `json:"rule,omitempty"` // of RFC 6724, section 6: why it is before the next one
	Why          string `json:"why,omitempty"`
}

type errorReport struct {
	Code int    `json:"code"` // EAI_*
	Text string `json:"text"` // gai_strerror's
}

// lookup looks up a name, or with -x an address, and tells how.
func lookup(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o := options{inMemory: true}
	var reverse, asJSON bool
	rest, err := o.parse("lookup", "lookup [-x] [-json] [-link SPEC [-auto] [-addr ADDRESS/BITS] -dns SERVER] NAME: who is asked about a name, and in which order its addresses come", args, stderr, func(flags *flag.FlagSet) {
		flags.BoolVar(&reverse, "x", false, "look up the name of an address")
		flags.BoolVar(&asJSON, "json", false, "print JSON")
		flags.Func("search", "a `domain` that completes names, such as example.com; again or with commas for more", func(text string) error {
			o.search = append(o.search, strings.Split(text, ",")...)
			return nil
		})
	})
	if err != nil {
		return err
	}
	if len(rest) != 1 || rest[0] == "" {
		return usageError("lookup: want one name, or with -x one address")
	}
	r := &report{Name: rest[0], Sources: []sourceReport{}, Addresses: []destination{}}
	var ip netip.Addr
	if reverse {
		if ip, err = netip.ParseAddr(r.Name); err != nil {
			return usageError("lookup -x: want an address: " + err.Error())
		}
		if ip.Zone() != "" {
			return usageError("lookup -x: want an address without a zone: names do not depend on it")
		}
	}
	o.resolver.Trace, o.resolver.TraceSource = r.query, r.source
	out := o.messages(stdout, stderr)
	n, end, err := o.openAny(ctx, "client")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	if !asJSON {
		o.describe(out)
	}
	for _, in := range n.Stack().Interfaces() {
		for _, a := range in.Addrs {
			if !in.Loopback {
				r.Addrs = append(r.Addrs, a.String())
			}
		}
	}
	if reverse {
		err = r.nameOf(ctx, n.Resolver(), ip)
	} else {
		err = r.addressesOf(ctx, n.Resolver())
	}
	var gai *resolver.Gaierror
	if errors.As(err, &gai) {
		r.Error = &errorReport{gai.Code, gai.Error()}
	}
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		err = errors.Join(err, e.Encode(r))
	} else {
		r.print(out)
	}
	if err != nil {
		return interrupted(ctx, fmt.Errorf("%s: %w", r.Name, err))
	}
	return nil
}

// addressesOf is the lookup of a name.
func (r *report) addressesOf(ctx context.Context, names *resolver.Resolver) error {
	infos, err := names.Getaddrinfo(ctx, r.Name, "", sockapi.AF_UNSPEC, sockapi.SOCK_STREAM, 0, sockapi.AI_CANONNAME)
	if err != nil {
		return err
	}
	r.Names = []string{infos[0].Canonname}
	if n := len(r.Sources); n > 0 && len(r.Sources[n-1].Names) > 0 {
		r.Names = r.Sources[n-1].Names
	}
	var addrs []netip.Addr
	for _, i := range infos {
		ip := i.Addr.IP
		if i.Addr.Scope != 0 && ip.Is6() {
			ip = ip.WithZone(strconv.Itoa(int(i.Addr.Scope)))
		}
		addrs = append(addrs, ip)
	}
	list := names.Order(addrs...)
	for i, d := range list {
		out := destination{
			Address: d.Addr.String(), Scope: d.Scope, SourceScope: d.SourceScope, Label: d.Label, SourceLabel: d.SourceLabel,
			Precedence: d.Precedence, CommonPrefix: d.CommonPrefix,
		}
		if d.Source.IsValid() {
			out.Source = d.Source.String()
		}
		if i+1 < len(list) {
			out.Rule, out.Why = int(d.Rule), d.Rule.String()+figures(d, list[i+1])
		}
		r.Addresses = append(r.Addresses, out)
	}
	return nil
}

// figures says what a rule compared.
func figures(a, b resolver.Destination) string {
	switch a.Rule {
	case 2, 8:
		return fmt.Sprintf(" (%s from %s; the next %s from %s)", scope(a.Scope), scope(a.SourceScope), scope(b.Scope), scope(b.SourceScope))
	case 5:
		return fmt.Sprintf(" (label %d from %d; the next %d from %d)", a.Label, a.SourceLabel, b.Label, b.SourceLabel)
	case 6:
		return fmt.Sprintf(" (%d; the next has %d)", a.Precedence, b.Precedence)
	case 9:
		return fmt.Sprintf(" (%d bits; the next has %d)", a.CommonPrefix, b.CommonPrefix)
	}
	return ""
}

func scope(n int) string {
	switch n {
	case 0x2:
		return "link-local"
	case 0x5:
		return "site-local"
	case 0xe:
		return "global"
	}
	return "scope " + strconv.Itoa(n)
}

// nameOf is the lookup of an address.
func (r *report) nameOf(ctx context.Context, names *resolver.Resolver, ip netip.Addr) error {
	family := sockapi.AF_INET6
	if ip.Is4() {
		family = sockapi.AF_INET
	}
	host, _, err := names.Getnameinfo(ctx, endpoint.Addr{Family: family, IP: ip}, sockapi.NI_NAMEREQD)
	if err != nil {
		return err
	}
	r.Names = []string{host}
	if n := len(r.Sources); n > 0 && len(r.Sources[n-1].Names) > 0 {
		r.Names = r.Sources[n-1].Names
	}
	return nil
}

// query hears of a question to a name server, and source of the source that
// asked it.
func (r *report) query(e resolver.Event) {
	q := queryReport{
		Server: e.Server, Network: e.Network, Name: e.Name, Type: e.Type, Attempt: e.Attempt,
		RCode: e.RCode, Answers: e.Answers, Seconds: e.Elapsed.Seconds(),
	}
	if e.Err != nil {
		q.Error = e.Err.Error()
	}
	r.asked = append(r.asked, q)
}

func (r *report) source(e resolver.SourceEvent) {
	s := sourceReport{Source: e.Source, Queries: r.asked, Names: e.Names, Addresses: e.Addrs, Last: e.Last, Seconds: e.Elapsed.Seconds()}
	if e.Err != nil {
		s.Error = e.Err.Error()
	}
	r.Sources = append(r.Sources, s)
	r.asked = nil
}

// print writes the report for a person.
func (r *report) print(out io.Writer) {
	fmt.Fprintf(out, "Looking up %s from a host with %s.\n\n", r.Name, strings.Join(r.Addrs, ", "))
	if len(r.Sources) == 0 {
		fmt.Fprintln(out, "No source was consulted.")
	} else {
		fmt.Fprintln(out, "Sources, in the order in which they were consulted:")
	}
	for _, s := range r.Sources {
		said := s.Error
		if said == "" {
			said = strings.Join(s.Names, ", also ")
			if len(s.Addresses) > 0 {
				said += "; " + join(s.Addresses)
			}
		}
		fmt.Fprintf(out, "  %s: %s\n", s.Source, said)
		for _, q := range s.Queries {
			code := q.RCode
			if code == "" {
				code = "no reply"
			}
			said := strings.Join(q.Answers, ", ")
			if q.Error != "" {
				said = q.Error
			}
			network := q.Network
			if q.Attempt > 1 {
				network += fmt.Sprintf(", attempt %d", q.Attempt)
			}
			fmt.Fprintf(out, "    %s (%s) %s %s: %s, %s, in %s\n", q.Server, network, q.Name, q.Type, code, said, seconds(q.Seconds))
		}
	}
	if len(r.Addresses) > 0 {
		fmt.Fprintln(out, "\nAddresses, in the order in which they are to be tried (RFC 6724):")
	}
	for i, a := range r.Addresses {
		from := "cannot be reached"
		if a.Source != "" {
			from = "from " + a.Source
		}
		fmt.Fprintf(out, "  %d. %s, %s\n", i+1, a.Address, from)
		if a.Why != "" {
			fmt.Fprintf(out, "       before the next by %s\n", a.Why)
		}
	}
	if len(r.Names) > 0 {
		fmt.Fprintf(out, "\nName: %s\n", r.Names[0])
		if len(r.Names) > 1 {
			fmt.Fprintf(out, "Also: %s\n", strings.Join(r.Names[1:], ", "))
		}
	}
}

func join(addrs []netip.Addr) string {
	var out []string
	for _, ip := range addrs {
		out = append(out, ip.String())
	}
	return strings.Join(out, ", ")
}

// seconds writes a short time to two digits or so.
func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}
