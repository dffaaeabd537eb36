package resolver

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"usersock/stack/endpoint"
)

// The vectors are answers of CPython 3.11 over glibc 2.36, taken with the name
// servers of testdata/zone.json. Each is run against the same servers, made of
// dnszone and called without a network. Where a vector names an answer that
// would be better than glibc's, that one is wanted.

// beyondTypes are vectors whose arguments our types cannot express.
var beyondTypes = map[string]string{
	"dual-332":     "a port is a uint16",
	"dual-336":     "a socket address always has a port",
	"nosearch-050": "a port is a string",
	"nosearch-051": "a host is a string",
}

// exceptions are vectors that fail on purpose. The test fails when one passes.
var exceptions = map[string]string{}

// otherQueries are vectors whose answers agree while the questions put to the
// servers differ on purpose.
var otherQueries = map[string]string{
	"dual-220": "A and AAAA go out together; glibc gives up AAAA when A failed first",
}

type vectorFile struct {
	Constants map[string]int
	AddrSets  map[string]struct {
		V0     []string
		Routes []string
		No6    bool
	} `json:"addr_sets"`
	Envs    map[string]vectorEnv
	Vectors []vector
}

type vectorEnv struct {
	Hosts, Nsswitch, Hostname, Addrs string
	ResolvConf                       string `json:"resolv_conf"`
	GaiConf                          string `json:"gai_conf"`
}

type vector struct {
	ID, Env, Func, Grade, Why string
	Args                      []any
	Kwargs                    map[string]any
	Ok                        any
	Err                       *vectorErr
	Accept                    []vectorAlt
	Prefer                    *vectorAlt
	Queries                   []string
	Order                     []string `json:"rfc6724_order"`
}

type vectorErr struct{ Exc, Code, Msg string }

type vectorAlt struct {
	Err     *vectorErr
	Ok      any
	OkAny   bool     `json:"ok_any"`
	OkAddrs []string `json:"ok_addrs"`
	Dedup   bool
}

var errBeyondTypes = errors.New("arguments that the types exclude")

func loadVectors(t testing.TB) *vectorFile {
	t.Helper()
	data, err := os.ReadFile("testdata/getaddrinfo.json")
	if err != nil {
		t.Fatal(err)
	}
	var f vectorFile
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	return &f
}

func TestVectors(t *testing.T) {
	file := loadVectors(t)
	world := loadZones(t)
	seen := map[string]bool{}
	for _, v := range file.Vectors {
		seen[v.ID] = true
		t.Run(v.ID, func(t *testing.T) {
			got, queries, err := file.run(world, v)
			if errors.Is(err, errBeyondTypes) {
				if beyondTypes[v.ID] == "" {
					t.Fatalf("%s%v: cannot be expressed, and is not listed", v.Func, v.Args)
				}
				return
			}
			if beyondTypes[v.ID] != "" {
				t.Fatal("listed as beyond the types, but it was run")
			}
			fault := v.check(got, err)
			if why := exceptions[v.ID]; why != "" {
				if fault == "" {
					t.Fatalf("passes, but is listed as an exception: %s", why)
				}
				return
			}
			if fault != "" {
				t.Fatalf("%s%v %v: %s", v.Func, v.Args, v.Kwargs, fault)
			}
			if v.Grade != "must" {
				return
			}
			fault = compareQueries(v.Queries, queries)
			if why := otherQueries[v.ID]; why != "" {
				if fault == "" {
					t.Fatalf("asks the same, but is listed as different: %s", why)
				}
				return
			}
			if fault != "" {
				t.Fatalf("%s%v %v: %s", v.Func, v.Args, v.Kwargs, fault)
			}
		})
	}
	for _, list := range []map[string]string{beyondTypes, exceptions, otherQueries} {
		for id := range list {
			if !seen[id] {
				t.Errorf("no vector %s", id)
			}
		}
	}
}

// compareQueries wants the same questions to the same servers, each at least
// once; the transport and the number of tries are ours.
func compareQueries(want, got []string) string {
	reduce := func(list []string) []string {
		var out []string
		for _, q := range list {
			fields := strings.Fields(q)
			server := "@127.0.0.1"
			if last := fields[len(fields)-1]; last[0] == '@' {
				server = last
			}
			if s := fields[1] + " " + fields[2] + " " + server; !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
		slices.Sort(out)
		return out
	}
	if w, g := reduce(want), reduce(got); !slices.Equal(w, g) {
		return fmt.Sprintf("asked %v, want %v", g, w)
	}
	return ""
}

// run makes the call of a vector. The result is in the form of the JSON.
func (f *vectorFile) run(world *zoneWorld, v vector) (result any, queries []string, err error) {
	env := f.Envs[v.Env]
	network := newFakeNet(world.servers())
	for _, s := range network.servers {
		s.AfterFunc = func(d time.Duration, fn func()) func() bool { return network.clock.AfterFunc(d, fn).Stop }
	}
	r, err := New(Config{
		Dial: network.dial, Clock: network.clock, Host: f.host(env),
		Hosts: env.Hosts, ResolvConf: env.ResolvConf, Nsswitch: env.Nsswitch, GaiConf: env.GaiConf,
	})
	if err != nil {
		return nil, nil, err
	}
	result, err = f.call(r, v)
	r.Close()
	if network.open != 0 {
		err = fmt.Errorf("%d sockets left open", network.open)
	}
	return result, network.asked(), err
}

func (f *vectorFile) host(env vectorEnv) Host {
	set := f.AddrSets[env.Addrs]
	h := StaticHost{Name: env.Hostname, Addrs: []Address{
		{Prefix: netip.MustParsePrefix("127.0.0.1/8"), Index: 1, Interface: "lo", Loopback: true},
		{Prefix: netip.MustParsePrefix("::1/128"), Index: 1, Interface: "lo", Loopback: true},
	}}
	for _, a := range set.V0 {
		h.Addrs = append(h.Addrs, Address{Prefix: netip.MustParsePrefix(a), Index: 3, Interface: "v0"})
	}
	for _, route := range set.Routes {
		if strings.HasPrefix(route, "-6") {
			h.Routes = append(h.Routes, netip.MustParsePrefix("::/0"))
		} else {
			h.Routes = append(h.Routes, netip.MustParsePrefix("0.0.0.0/0"))
		}
	}
	return h
}

// number reads an int, or the name of a constant.
func (f *vectorFile) number(v any) int {
	switch v := v.(type) {
	case float64:
		return int(v)
	case string:
		if n, err := strconv.ParseInt(v, 0, 32); err == nil {
			return int(n)
		}
		if n, ok := f.Constants[v]; ok {
			return n
		}
		switch v {
		case "AF_INET":
			return endpoint.AF_INET
		case "AF_INET6":
			return endpoint.AF_INET6
		case "AF_UNIX":
			return endpoint.AF_UNIX
		case "AF_UNSPEC":
			return endpoint.AF_UNSPEC
		case "SOCK_STREAM":
			return endpoint.SOCK_STREAM
		case "SOCK_DGRAM":
			return endpoint.SOCK_DGRAM
		case "SOCK_RAW":
			return endpoint.SOCK_RAW
		case "SOCK_RDM":
			return endpoint.SOCK_RDM
		case "SOCK_SEQPACKET":
			return endpoint.SOCK_SEQPACKET
		}
	case nil:
		return 0
	}
	panic(fmt.Sprintf("no number: %v", v))
}

func (f *vectorFile) flags(v any) (flags int) {
	list, _ := v.([]any)
	for _, name := range list {
		flags |= f.number(name)
	}
	return flags
}

func familyName(family int) string {
	if family == endpoint.AF_INET {
		return "AF_INET"
	}
	return "AF_INET6"
}

func sockaddr(a endpoint.Addr) []any {
	if a.Family == endpoint.AF_INET {
		return []any{a.IP.String(), float64(a.Port)}
	}
	return []any{a.IP.String(), float64(a.Port), float64(a.Flowinfo), float64(a.Scope)}
}

func texts[T any](list []T) []any {
	out := []any{}
	for _, v := range list {
		out = append(out, fmt.Sprint(v))
	}
	return out
}

func packed(v any) []byte {
	data, err := hex.DecodeString(v.(map[string]any)["hex"].(string))
	if err != nil {
		panic(err)
	}
	return data
}

func (f *vectorFile) call(r *Resolver, v vector) (any, error) {
	ctx := context.Background()
	text := func(i int) string {
		if i >= len(v.Args) || v.Args[i] == nil {
			return ""
		}
		return v.Args[i].(string)
	}
	switch v.Func {
	case "getaddrinfo":
		host, ok := v.Args[0].(string)
		if !ok && v.Args[0] != nil {
			return nil, errBeyondTypes
		}
		var port string
		switch p := v.Args[1].(type) {
		case float64:
			if v.ID == "nosearch-050" { // 80.0, which JSON reads as 80
				return nil, errBeyondTypes
			}
			port = strconv.Itoa(int(p))
		case string:
			port = p
		}
		infos, err := r.Getaddrinfo(ctx, host, port, f.number(v.Kwargs["family"]), f.number(v.Kwargs["type"]),
			f.number(v.Kwargs["proto"]), f.flags(v.Kwargs["flags"]))
		if err != nil {
			return nil, err
		}
		out := []any{}
		types := map[int]string{1: "SOCK_STREAM", 2: "SOCK_DGRAM", 3: "SOCK_RAW", 5: "SOCK_SEQPACKET", 6: "SOCK_DCCP"}
		for _, a := range infos {
			out = append(out, map[string]any{
				"family": familyName(a.Family), "type": types[a.Type], "proto": float64(a.Proto),
				"canonname": a.Canonname, "sockaddr": sockaddr(a.Addr),
			})
		}
		return out, nil
	case "getnameinfo":
		sa := v.Args[0].([]any)
		if len(sa) < 2 || sa[1].(float64) > 65535 {
			return nil, errBeyondTypes
		}
		infos, err := r.Getaddrinfo(ctx, sa[0].(string), "0", 0, endpoint.SOCK_DGRAM, 0, endpoint.AI_NUMERICHOST)
		if err != nil {
			return nil, err
		}
		addr := infos[0].Addr
		addr.Port = uint16(sa[1].(float64))
		if len(sa) > 3 {
			addr.Scope = uint32(sa[3].(float64))
		}
		host, service, err := r.Getnameinfo(ctx, addr, f.flags(v.Args[1]))
		return []any{host, service}, err
	case "gethostbyname":
		ip, err := r.Gethostbyname(ctx, text(0))
		return ip.String(), err
	case "gethostbyname_ex":
		canon, aliases, addrs, err := r.GethostbynameEx(ctx, text(0))
		return []any{canon, texts(aliases), texts(addrs)}, err
	case "gethostbyaddr":
		canon, aliases, addrs, err := r.Gethostbyaddr(ctx, text(0))
		return []any{canon, texts(aliases), texts(addrs)}, err
	case "getfqdn":
		return r.Getfqdn(ctx, text(0)), nil
	case "gethostname":
		return r.host.Hostname(), nil
	case "getservbyname":
		port, err := r.Getservbyname(text(0), text(1))
		return float64(port), err
	case "getservbyport":
		return r.Getservbyport(int(v.Args[0].(float64)), text(1))
	case "getprotobyname":
		n, err := r.Getprotobyname(text(0))
		return float64(n), err
	case "inet_aton":
		ip, err := InetAton(text(0))
		return map[string]any{"hex": hex.EncodeToString(ip[:])}, err
	case "inet_ntoa":
		return InetNtoa(packed(v.Args[0]))
	case "inet_pton":
		data, err := InetPton(f.number(v.Args[0]), text(1))
		return map[string]any{"hex": hex.EncodeToString(data)}, err
	case "inet_ntop":
		return InetNtop(f.number(v.Args[0]), packed(v.Args[1]))
	}
	return nil, fmt.Errorf("no function %s", v.Func)
}

// check says what is wrong with an outcome; "" is fine.
func (v *vector) check(got any, err error) string {
	if v.Prefer != nil {
		if v.matches(*v.Prefer, got, err) {
			return ""
		}
		return fmt.Sprintf("got %v, %v; want the better %+v", got, err, *v.Prefer)
	}
	own := vectorAlt{Err: v.Err, Ok: v.Ok}
	if v.matches(own, got, err) {
		return ""
	}
	for _, alt := range v.Accept {
		if v.matches(alt, got, err) {
			return ""
		}
	}
	if v.Err != nil {
		return fmt.Sprintf("got %v, %v; want %+v", got, err, *v.Err)
	}
	return fmt.Sprintf("got %v, %v; want %v", got, err, v.Ok)
}

func (v *vector) matches(alt vectorAlt, got any, err error) bool {
	switch {
	case alt.Err != nil:
		return err != nil && alt.Err.is(err)
	case err != nil:
		return false
	case alt.OkAny:
		return true
	case alt.OkAddrs != nil:
		return slices.Equal(addrsOf(got), alt.OkAddrs)
	case alt.Dedup:
		return reflect.DeepEqual(dedup(got), dedup(v.Ok))
	}
	return reflect.DeepEqual(plainAddrs(got), plainAddrs(alt.Ok))
}

// plainAddrs writes the addresses of getaddrinfo's results in one way: which
// of several texts an address has is not this package's affair.
func plainAddrs(v any) any {
	list, _ := v.([]any)
	for _, e := range list {
		if info, ok := e.(map[string]any); ok {
			sa := info["sockaddr"].([]any)
			sa[0] = netip.MustParseAddr(sa[0].(string)).String()
		}
	}
	return v
}

func (e *vectorErr) is(err error) bool {
	var gai *Gaierror
	var h *Herror
	switch {
	case errors.As(err, &gai):
		codes := map[string]int{
			"EAI_ADDRFAMILY": -9, "EAI_AGAIN": -3, "EAI_BADFLAGS": -1, "EAI_FAIL": -4, "EAI_FAMILY": -6,
			"EAI_NODATA": -5, "EAI_NONAME": -2, "EAI_SERVICE": -8, "EAI_SOCKTYPE": -7,
		}
		if e.Code == "" {
			return e.Exc == "gaierror"
		}
		return codes[e.Code] == gai.Code && (e.Msg == "" || e.Msg == err.Error())
	case errors.As(err, &h):
		codes := map[string]int{"HOST_NOT_FOUND": 1, "TRY_AGAIN": 2, "NO_RECOVERY": 3, "NO_DATA": 4}
		if e.Code == "" {
			return e.Exc == "herror"
		}
		return codes[e.Code] == h.Code && (e.Msg == "" || e.Msg == err.Error())
	case e.Code != "":
		return false
	case strings.HasPrefix(e.Msg, "[Errno 97]"):
		return errors.Is(err, endpoint.EAFNOSUPPORT)
	case e.Exc == "ValueError" && e.Msg == "":
		return errors.Is(err, ErrInetAton)
	}
	return e.Msg == err.Error()
}

// addrsOf lists the addresses of a result, each once.
func addrsOf(got any) (out []string) {
	for _, v := range got.([]any) {
		ip := v.(map[string]any)["sockaddr"].([]any)[0].(string)
		if !slices.Contains(out, ip) {
			out = append(out, ip)
		}
	}
	return out
}

// dedup drops repeated elements from every list in a result.
func dedup(v any) any {
	list, ok := v.([]any)
	if !ok {
		return v
	}
	out := []any{}
	for _, e := range list {
		e = dedup(e)
		if !slices.ContainsFunc(out, func(o any) bool { return reflect.DeepEqual(o, e) }) {
			out = append(out, e)
		}
	}
	return out
}
