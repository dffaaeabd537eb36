// Command bench does the same work over this project, over its peers and over
// the kernel's loopback, and prints how they compare.
//
//	go run -C bench . [flags]
//
// The systems:
//
//	kernel   package net over the kernel's loopback
//	gonet    gVisor's adapter over netstack's own loopback link
//	raw      netstack's endpoints over this project's link (netdev.Pair)
//	sockapi  this project's net.Conn over the same link
//
// raw is the floor of sockapi: the difference is what the socket layer costs.
// gonet and raw run with the TCP options that this project sets (SACK, cubic,
// no RACK, buffers of 4 MiB), so that options explain no difference.
//
// The work (see work.go): stream over 1 and 4 connections, ping-pong,
// connections a second, datagrams without pacing, memory of an idle pair.
//
// With -links the systems are others: this project's stack over a TUN, by our own
// fast path and by package water, with the kernel's sockets at the other end, at an
// MTU of 1500 and of 65520, in both directions. They run in a user and network
// namespace, so that no privilege is needed and nothing of the machine is touched.
//
// With -names it is looking names up that is measured, by this project's resolver
// and by Go's own over the same link and from the same server (see names.go).
//
// A round measures each work once on each system, one after the other, the
// order turning from round to round, so that a machine that slows down slows
// all of them. What is compared is the median; the ratios are medians of the
// ratios within one round. Both ends run in this one process.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if err == flag.ErrHelp {
			os.Exit(2)
		}
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	rounds  int
	time    time.Duration
	only    []string // names of works, a prefix is enough; empty means all
	systems []string // likewise
	lines   string   // file for benchstat, "" for none
	links   bool     // measure links to the kernel
	names   bool     // measure looking names up
	table   []systemKind
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	var only, systems string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&o.rounds, "rounds", 5, "how often each work is measured on each system")
	f.DurationVar(&o.time, "time", time.Second, "how long one measurement of a rate takes")
	f.StringVar(&only, "only", "", "comma-separated works: "+strings.Join(names(works), " "))
	f.StringVar(&systems, "systems", "", "comma-separated systems: "+strings.Join(names(systemTable), " ")+"; with -links: "+strings.Join(names(linkTable), " "))
	f.BoolVar(&o.links, "links", false, "measure links to this machine's kernel instead, in a network namespace of their own")
	f.BoolVar(&o.names, "names", false, "measure looking names up instead, by this project's resolver and by Go's over the same link")
	f.StringVar(&o.lines, "o", "", "also write every measurement to this file, for benchstat")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("arguments %q: there are only flags", f.Args())
	}
	if o.rounds < 1 || o.time <= 0 {
		return o, fmt.Errorf("-rounds %d -time %v: both must be positive", o.rounds, o.time)
	}
	var err error
	o.table = systemTable
	all := names(works)
	if o.links {
		o.table = linkTable
		all = slices.DeleteFunc(all, func(name string) bool { return !slices.Contains(linkWorks, name) })
	}
	if o.only, err = choose(only, all); err != nil {
		return o, fmt.Errorf("-only: %w", err)
	}
	if o.systems, err = choose(systems, names(o.table)); err != nil {
		return o, fmt.Errorf("-systems: %w", err)
	}
	return o, nil
}

// linkWorks are the works that are done over links to the kernel.
var linkWorks = []string{"stream", "stream4", "pingpong", "connect"}

type named interface{ title() string }

func names[T named](list []T) (names []string) {
	for _, x := range list {
		names = append(names, x.title())
	}
	return names
}

// choose returns the names that a comma-separated list of prefixes names, in
// the order of all; all of them if the list is empty.
func choose(list string, all []string) ([]string, error) {
	if list == "" {
		return all, nil
	}
	wanted := map[string]bool{}
	for want := range strings.SplitSeq(list, ",") {
		found := false
		for _, name := range all {
			if want != "" && strings.HasPrefix(name, want) {
				wanted[name], found = true, true
			}
		}
		if !found {
			return nil, fmt.Errorf("%q is none of %q", want, all)
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(name string) bool { return !wanted[name] }), nil
}

func run(args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if o.links {
		if done, err := inNamespace(args); done || err != nil {
			return err
		}
	}
	if o.names {
		return measureNames(o, stdout, stderr)
	}
	res := results{}
	for round := range o.rounds {
		fmt.Fprintf(stderr, "round %d of %d\n", round+1, o.rounds)
		if err := measureRound(o, round, res); err != nil {
			return err
		}
	}
	fmt.Fprintf(stdout, "%s/%s, %s, GOMAXPROCS %d, %d rounds of %v\n",
		runtime.GOOS, runtime.GOARCH, runtime.Version(), runtime.GOMAXPROCS(0), o.rounds, o.time)
	res.print(stdout, o)
	if o.lines == "" {
		return nil
	}
	file, err := os.Create(o.lines)
	if err != nil {
		return err
	}
	res.lines(file, o)
	return file.Close()
}

// measureRound adds one measurement of each work on each system.
func measureRound(o options, round int, res results) error {
	for _, w := range works {
		if !slices.Contains(o.only, w.name) {
			continue
		}
		for i := range o.systems {
			name := o.systems[(i+round)%len(o.systems)]
			sys, err := open(o.table, name, round)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			hung := time.AfterFunc(o.time+time.Minute, func() { panic(w.name + " over " + name + " does not end") })
			value, err := w.do(sys, job{time: o.time})
			hung.Stop()
			if cerr := sys.close(); err == nil {
				err = cerr
			}
			if err != nil {
				return fmt.Errorf("%s over %s: %w", w.name, name, err)
			}
			for _, v := range value {
				res.add(w.name, v, name)
			}
			runtime.GC()
		}
	}
	return nil
}
