package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"usersock/resolver"
	"usersock/sockapi"
)

// The measurements of -names: looking names up by this project's resolver and
// by Go's own, over the same link and from the same server, in one process.
//
// Go's resolver is net.Resolver with PreferGo and a Dial that opens sockets of
// the same Net. It has no cache, so that "cached" compares it with itself: what
// a program pays that asks for the same name again. (At 64 callers of one name
// Go's lookups share one flight, as ours do.)
//
// Allocations are those of the whole process: the name server's, and netstack's
// for two sockets and four packets, are the same for both.

// nameServer is a name server that does as little as possible: it answers any A
// and AAAA question with one address, by changing the query in place.
type nameServer struct {
	conn    net.PacketConn
	queries atomic.Int64
	done    chan error
}

func serveNames(n *sockapi.Net, address string) (*nameServer, error) {
	conn, err := n.ListenPacket("udp", address)
	if err != nil {
		return nil, err
	}
	s := &nameServer{conn: conn, done: make(chan error, 1)}
	go func() { s.done <- s.serve() }()
	return s, nil
}

func (s *nameServer) serve() error {
	buf := make([]byte, 2048)
	packets := s.conn.(*sockapi.PacketConn)
	for {
		n, peer, err := packets.ReadFromUDPAddrPort(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				err = nil
			}
			return err
		}
		reply, ok := answerName(buf, n)
		if !ok {
			return fmt.Errorf("a query of %d bytes that cannot be read", n)
		}
		s.queries.Add(1)
		if _, err := packets.WriteToUDPAddrPort(reply, peer); err != nil {
			return err
		}
	}
}

func (s *nameServer) close() error {
	err := s.conn.Close()
	return errors.Join(err, <-s.done)
}

// answerName makes the reply of the query in buf[:n], in the same buffer.
func answerName(buf []byte, n int) ([]byte, bool) {
	end := 12
	for end < n && buf[end] != 0 {
		end += 1 + int(buf[end])
	}
	if end+5 > n {
		return nil, false
	}
	end += 5
	v6 := buf[end-3] == 28
	buf[2] |= 0x80 // a reply
	buf[3] = 0x80  // recursion is available
	copy(buf[6:12], []byte{0, 1, 0, 0, 0, 0})
	// The name of the question, the type, class IN, an hour, the address.
	out := append(buf[:end], 0xc0, 12, 0, buf[end-3], 0, 1, 0, 0, 0x0e, 0x10)
	if v6 {
		out = append(out, 0, 16, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9)
	} else {
		out = append(out, 0, 4, 198, 51, 100, 9)
	}
	return out, true
}

// callersOfNames is how many look names up at the same time.
var callersOfNames = [...]int{1, 64}

// lookupFunc looks a name up and says how many addresses it has.
type lookupFunc func(ctx context.Context, name string) (int, error)

// nameSystem is one resolver in one state of its cache.
type nameSystem struct {
	name  string
	cold  bool   // a new name each time
	ratio string // what it is compared with
	look  lookupFunc
}

// nameFigures are the results of one measurement.
type nameFigures struct {
	rate, p50, p99, allocs, bytes float64
}

// measureNames does the measurements of -names and prints them.
func measureNames(o options, stdout, stderr io.Writer) (err error) {
	client, server, err := twoNets()
	if err != nil {
		return err
	}
	closeAll := closeNets(client, server)
	defer func() { err = errors.Join(err, closeAll()) }()
	dns, err := serveNames(server, "192.0.2.2:53")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dns.close()) }()

	process, err := sockapi.New(sockapi.Config{Stack: client.Stack(), Resolver: resolver.Config{
		Servers:    []netip.AddrPort{netip.MustParseAddrPort("192.0.2.2:53")},
		ResolvConf: "options timeout:5\n",
	}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, process.Close()) }()
	own := process.Resolver()
	gonet := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return process.DialContext(ctx, network, "192.0.2.2:53")
	}}
	goLook := func(ctx context.Context, name string) (int, error) {
		ips, err := gonet.LookupNetIP(ctx, "ip", name)
		return len(ips), err
	}
	ownLook := func(ctx context.Context, name string) (int, error) {
		ips, err := own.LookupNetIP(ctx, "ip", name)
		return len(ips), err
	}
	getaddrinfo := func(ctx context.Context, name string) (int, error) {
		infos, err := own.Getaddrinfo(ctx, name, "", 0, sockapi.SOCK_STREAM, 0, 0)
		return len(infos), err
	}
	systems := []nameSystem{
		{"Go cold", true, "Go cold", goLook},
		{"LookupNetIP cold", true, "Go cold", ownLook},
		{"Getaddrinfo cold", true, "Go cold", getaddrinfo},
		{"Go again", false, "Go again", goLook},
		{"LookupNetIP cached", false, "Go again", ownLook},
		{"Getaddrinfo cached", false, "Go again", getaddrinfo},
	}
	figures := map[string][]nameFigures{}
	for round := range o.rounds {
		fmt.Fprintf(stderr, "round %d of %d\n", round+1, o.rounds)
		for _, callers := range callersOfNames {
			for i := range systems {
				s := systems[(i+round)%len(systems)]
				f, err := lookNames(s, callers, o.time, strconv.Itoa(round))
				if err != nil {
					return fmt.Errorf("%s: %w", s.name, err)
				}
				key := fmt.Sprint(s.name, " ", callers)
				figures[key] = append(figures[key], f)
				runtime.GC()
			}
		}
	}
	fmt.Fprintf(stdout, "%s/%s, %s, GOMAXPROCS %d, %d rounds of %v\n\n%-28s %8s %12s %10s %10s %10s %10s   %s\n",
		runtime.GOOS, runtime.GOARCH, runtime.Version(), runtime.GOMAXPROCS(0), o.rounds, o.time,
		"", "callers", "lookups/s", "p50 µs", "p99 µs", "allocs", "bytes", "rate, allocs against Go's (medians of the rounds)")
	for _, callers := range callersOfNames {
		for _, s := range systems {
			list := figures[fmt.Sprint(s.name, " ", callers)]
			base := figures[fmt.Sprint(s.ratio, " ", callers)]
			pick := func(get func(nameFigures) float64) float64 {
				var all []float64
				for _, f := range list {
					all = append(all, get(f))
				}
				return median(all)
			}
			against := func(get func(nameFigures) float64) float64 {
				var all []float64
				for i, f := range list {
					all = append(all, get(f)/get(base[i]))
				}
				return median(all)
			}
			rate := func(f nameFigures) float64 { return f.rate }
			allocs := func(f nameFigures) float64 { return f.allocs }
			fmt.Fprintf(stdout, "%-28s %8d %12s %10s %10s %10s %10s   %.2f, %.2f\n", s.name, callers,
				figure(pick(rate)), figure(pick(func(f nameFigures) float64 { return f.p50 })),
				figure(pick(func(f nameFigures) float64 { return f.p99 })), figure(pick(allocs)),
				figure(pick(func(f nameFigures) float64 { return f.bytes })), against(rate), against(allocs))
		}
	}
	return nil
}

// lookNames lets callers look names up for a time. What the server and the
// sockets allocate counts in, for both resolvers alike.
func lookNames(s nameSystem, callers int, span time.Duration, label string) (nameFigures, error) {
	ctx := context.Background()
	if _, err := s.look(ctx, "same.example."); err != nil {
		return nameFigures{}, err
	}
	var before, after runtime.MemStats
	times := make([][]float64, callers)
	counts := make([]struct {
		n int64
		_ [56]byte // each on a line of its own
	}, callers)
	errs := make([]error, callers)
	runtime.ReadMemStats(&before)
	start := time.Now()
	var wait sync.WaitGroup
	for c := range callers {
		times[c] = make([]float64, 0, 1<<10)
		wait.Go(func() {
			for i := 0; time.Since(start) < span; i++ {
				name := "same.example."
				if s.cold {
					name = "n" + strconv.Itoa(i) + ".c" + strconv.Itoa(c) + ".r" + label + "." + strconv.Itoa(len(s.name)) + "c" + strconv.Itoa(callers) + ".example."
				}
				began := time.Now()
				n, err := s.look(ctx, name)
				if err == nil && n != 2 {
					err = fmt.Errorf("%s has %d addresses, want 2", name, n)
				}
				if err != nil {
					errs[c] = err
					return
				}
				if i%16 == 0 || s.cold {
					times[c] = append(times[c], float64(time.Since(began).Nanoseconds())/1e3)
				}
				counts[c].n++
			}
		})
	}
	wait.Wait()
	spent := time.Since(start)
	runtime.ReadMemStats(&after)
	if err := errors.Join(errs...); err != nil {
		return nameFigures{}, err
	}
	var total float64
	for c := range callers {
		total += float64(counts[c].n)
	}
	all := slices.Sorted(slices.Values(slices.Concat(times...)))
	return nameFigures{
		rate:   total / spent.Seconds(),
		p50:    all[len(all)/2],
		p99:    all[len(all)*99/100],
		allocs: float64(after.Mallocs-before.Mallocs) / total,
		bytes:  float64(after.TotalAlloc-before.TotalAlloc) / total,
	}, nil
}
